//! The pictures, as SVG.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::Results;
use crate::group::{LEVELS, Table, short};

type Lines = Vec<(String, Vec<(f64, f64)>)>;

/// Draws what the results hold; titles and file names.
pub fn draw(results: &Results, folder: &Path) -> Result<Vec<(String, String)>> {
    std::fs::create_dir_all(folder)?;
    let mut drawn = Vec::new();
    for table in &results.tables {
        let (lines, x) = if table.id.starts_with("round.") {
            (distribution(table), "percent of the round trips took at most this")
        } else if table.id.starts_with("grow.") {
            (curves(table), table.title.split(" by ").last().unwrap_or(""))
        } else {
            continue;
        };
        if lines.is_empty() {
            continue;
        }
        let file = format!("{}.svg", table.id);
        let path = folder.join(&file);
        let area = SVGBackend::new(&path, (760, 420)).into_drawing_area();
        chart(&area, table, &lines, x).map_err(|e| anyhow!("{file}: {e}"))?;
        area.present().map_err(|e| anyhow!("{file}: {e}"))?;
        drop(area);
        drawn.push((table.title.clone(), file));
    }
    Ok(drawn)
}

/// Latencies up to 99.99 %, at places that give the tail its room.
fn distribution(table: &Table) -> Lines {
    let shown = |r: &&crate::group::Row| !r.levels.is_empty();
    let place = |level: f64| 1.0 / (1.0 - level / 100.0);
    let line = |levels: &[f64]| {
        LEVELS.iter().zip(levels).filter(|(l, _)| **l < 100.0).map(|(l, v)| (place(*l), *v)).collect()
    };
    table.rows.iter().filter(shown).map(|r| (r.peer.clone(), line(&r.levels))).collect()
}

/// Rows named "peer | x" as one line for each peer.
fn curves(table: &Table) -> Lines {
    let mut lines: Lines = Vec::new();
    for row in &table.rows {
        let Some((peer, Ok(x))) = row.peer.split_once(" | ").map(|(p, x)| (p, x.parse())) else { continue };
        match lines.iter_mut().find(|l| l.0 == peer) {
            Some(line) => line.1.push((x, row.median)),
            None => lines.push((peer.to_owned(), vec![(x, row.median)])),
        }
    }
    lines
}

fn chart(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    table: &Table,
    lines: &Lines,
    x: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let all = || lines.iter().flat_map(|l| &l.1).filter(|p| p.1 > 0.0);
    let bounds = |pick: fn(&(f64, f64)) -> f64| {
        let low = all().map(pick).fold(f64::INFINITY, f64::min);
        let high = all().map(pick).fold(0.0, f64::max);
        low..high.max(low * 1.01)
    };
    let (xs, ys) = (bounds(|p| p.0), bounds(|p| p.1));
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(area)
        .caption(format!("{} [{}]", table.title, table.unit), ("sans-serif", 15))
        .margin(10)
        .x_label_area_size(38)
        .y_label_area_size(60)
        .build_cartesian_2d(xs.log_scale(), (ys.start * 0.8..ys.end * 1.25).log_scale())?;
    let percent = table.id.starts_with("round.");
    let label = |v: &f64| if percent { format!("{:.4}", 100.0 - 100.0 / v) } else { short(*v) };
    let x_label = move |v: &f64| {
        let text = label(v);
        if percent { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
    };
    chart
        .configure_mesh()
        .x_desc(x)
        .light_line_style(WHITE)
        .x_label_formatter(&x_label)
        .y_label_formatter(&|v| short(*v))
        .draw()?;
    for (i, (name, points)) in lines.iter().enumerate() {
        // Ours are thick.
        let width = if name.starts_with("sharecell") { 3 } else { 1 };
        let style = Palette99::pick(i).stroke_width(width);
        chart
            .draw_series(LineSeries::new(points.iter().copied().filter(|p| p.1 > 0.0), style))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 10))
        .draw()?;
    Ok(())
}
