//! The section that says where the time goes in each measure whose aim is not met, from what `make profile` has found.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::aims;
use crate::Results;

/// What `.ci/profile.py` writes.
#[derive(Deserialize)]
struct Profiles {
    /// What was sampled, for people.
    event: String,
    commit: String,
    /// Why there are none, if that is so.
    absent: Option<String>,
    measures: Vec<Measure>,
}

#[derive(Deserialize)]
struct Measure {
    table: String,
    row: String,
    sides: Vec<Side>,
}

/// Those workers of a measure that do the same.
#[derive(Deserialize)]
struct Side {
    name: String,
    samples: u64,
    /// By kind of instruction or of system call, and by place in the source; the largest first.
    kinds: Vec<Share>,
    places: Vec<Share>,
}

#[derive(Deserialize)]
struct Share {
    percent: f64,
    what: String,
}

pub fn section(out: &mut String, results: &Results, file: &Path) -> Result<()> {
    let unmet = aims::unmet(&results.tables);
    if unmet.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## Where the time goes\n")?;
    let Ok(text) = std::fs::read_to_string(file) else {
        writeln!(out, "Not looked at: `make profile` was not run.")?;
        return Ok(());
    };
    let profiles: Profiles =
        serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))?;
    if let Some(why) = profiles.absent {
        writeln!(out, "Not known here: {why}.")?;
        return Ok(());
    }
    writeln!(
        out,
        "In each measure whose aim is not met, while the clock runs; by `make profile` (commit {}; by {}).",
        profiles.commit, profiles.event
    )?;
    writeln!(
        out,
        "An instruction is given the samples that interrupt the one behind it. What waits for a line of memory from the other"
    )?;
    writeln!(out, "processor is thus the first instruction that needs it: a load, or a compare-and-swap.")?;
    for aim in unmet {
        writeln!(out, "\n### Time: {}\n", aim.title)?;
        match profiles.measures.iter().find(|m| (m.table.as_str(), m.row.as_str()) == (aim.table, aim.row)) {
            Some(found) => measure(out, found)?,
            None => writeln!(out, "Not looked at: `make profile` was run before.")?,
        }
    }
    Ok(())
}

/// A sentence for the kinds, and a table with a column for each side.
fn measure(out: &mut String, measure: &Measure) -> Result<()> {
    for side in &measure.sides {
        let kinds: Vec<_> = side.kinds.iter().map(|k| format!("{} {:.0} %", k.what, k.percent)).collect();
        writeln!(out, "{}: {}.", capital(&side.name), kinds.join(", "))?;
    }
    let heads: Vec<_> =
        measure.sides.iter().map(|s| format!("% | {} ({} samples) |", s.name, s.samples)).collect();
    writeln!(out, "\n| {}\n|{}", heads.join(" "), "---:|---|".repeat(heads.len()))?;
    let rows = measure.sides.iter().map(|s| s.places.len()).max().unwrap_or(0);
    for at in 0..rows {
        let cells = measure.sides.iter().map(|side| match side.places.get(at) {
            Some(place) => format!("{:.0} | {} |", place.percent, place.what),
            None => " | |".to_owned(),
        });
        writeln!(out, "| {}", cells.collect::<Vec<_>>().join(" "))?;
    }
    Ok(())
}

fn capital(text: &str) -> String {
    format!("{}{}", text[..1].to_uppercase(), &text[1..])
}
