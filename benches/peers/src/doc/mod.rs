//! Writes `docs/performance.md` and its pictures from the results of a run. No figure in it is typed.

mod aims;
mod kills;
mod pictures;
mod profiles;

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::Results;
use crate::group::{Table, short};
use crate::trial::Place;

/// What people have to say about the figures, kept as a file of its own.
const REMARKS: &str = include_str!("../../remarks.md");

pub use kills::write as write_kills;

fn read(results: &Path) -> Result<Results> {
    let text = std::fs::read_to_string(results).with_context(|| format!("reading {}", results.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// The measures of a run that do not meet their aims.
pub fn unmet(results: &Path) -> Result<Vec<aims::Unmet>> {
    Ok(aims::unmet(&read(results)?.tables))
}

pub fn write(results: &Path, profiles: &Path, folder: &Path) -> Result<()> {
    let results = read(results)?;
    let pictures = pictures::draw(&results, &folder.join("performance"))?;
    let mut out = String::new();
    head(&mut out, &results)?;
    aims::section(&mut out, &results.tables)?;
    writeln!(out, "\n## Pictures\n")?;
    for (title, file) in pictures {
        writeln!(out, "![{title}](performance/{file})\n")?;
    }
    writeln!(out, "{}", REMARKS.trim_end())?;
    profiles::section(&mut out, &results, profiles)?;
    writeln!(out, "\n## All figures\n")?;
    writeln!(out, "The median of the repeats, and in brackets the lowest and the highest.")?;
    for table in &results.tables {
        section(&mut out, table)?;
    }
    let path = folder.join("performance.md");
    std::fs::write(&path, out)?;
    println!("{}", path.display());
    Ok(())
}

fn head(out: &mut String, results: &Results) -> Result<()> {
    let (m, n) = (&results.machine, &results.noise);
    writeln!(out, "# How fast it is\n")?;
    writeln!(out, "Written by `make bench-doc` from the results of `make bench`; no figure here is typed.")?;
    writeln!(
        out,
        "Everything is measured in one run, one repeat of each after the other, so that ratios hold"
    )?;
    writeln!(
        out,
        "where the figures themselves drift with the machine. Workers are pinned; items are counted and"
    )?;
    writeln!(out, "summed, and a run that loses or doubles one fails.")?;
    if results.quick {
        writeln!(out, "\n**This was a quick run: few and short repeats, rough figures.**")?;
    }
    writeln!(out, "\n| | |\n|---|---|")?;
    for (what, value) in [
        ("machine", format!("{} processors of {}, {} GiB", m.processors, m.processor, m.memory_gib)),
        ("kernel", m.kernel.clone()),
        ("C library", m.libc.clone()),
        ("compilers", format!("{}; {}", m.rustc, m.compiler)),
        ("Python", m.python.clone()),
        ("commit", m.commit.clone()),
        ("date", m.date.clone()),
        ("took", format!("{} s; {} repeats of {} ms", results.seconds, results.repeats, results.trial_ms)),
        (
            "noise",
            format!(
                "a fixed loop took up to {:.2} times its best (median {:.2}); {:.1} % of the processors used by others, {:.1} % stolen by the host; load {}",
                n.spin_worst, n.spin_median, n.others_percent, n.stolen_percent, n.load
            ),
        ),
    ] {
        writeln!(out, "| {what} | {value} |")?;
    }
    Ok(())
}

fn section(out: &mut String, table: &Table) -> Result<()> {
    writeln!(out, "\n### {}\n", table.title)?;
    let spread = table.rows.iter().any(|r| !r.levels.is_empty());
    write!(out, "`make bench ONLY={}`\n\n| | where | {} |", table.id, table.unit)?;
    writeln!(out, "{}", if spread { " one by one: p50, p99, worst |" } else { "" })?;
    writeln!(out, "|---|---|---|{}", if spread { "---|" } else { "" })?;
    for row in &table.rows {
        let place = match row.place {
            Place::Processes => "processes",
            Place::Threads => "threads",
        };
        let [median, min, max] = [row.median, row.min, row.max].map(short);
        write!(out, "| {} | {place} | {median} ({min} to {max}) |", row.peer.replace(" | ", ", "))?;
        if let [.., p99, _, _, worst] = row.levels[..] {
            write!(out, " {}, {}, {} |", short(row.levels[3]), short(p99), short(worst))?;
        }
        writeln!(out)?;
    }
    let meanwhile = table.meanwhile();
    writeln!(out, "\n{}{}.", meanwhile[..1].to_uppercase(), &meanwhile[1..])?;
    if !table.absent.is_empty() {
        writeln!(out)?;
        for (peer, why) in &table.absent {
            writeln!(out, "- absent: {peer}: {}", why.replace('\n', " "))?;
        }
    }
    Ok(())
}
