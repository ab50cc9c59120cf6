//! Writes what the kills did between the markers of `docs/reliability.md`.

use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result};

use crate::kills::{HEADS, Results};

const BEGIN: &str = "<!-- kills: begin -->\n";
const END: &str = "<!-- kills: end -->";

pub fn write(results: &Path, page: &Path) -> Result<()> {
    let text = std::fs::read_to_string(results)?;
    let table = table(&serde_json::from_str(&text)?)?;
    let page_text = std::fs::read_to_string(page)?;
    let (before, rest) = page_text.split_once(BEGIN).context("the page has no marker of a beginning")?;
    let (_, after) = rest.split_once(END).context("the page has no marker of an end")?;
    std::fs::write(page, format!("{before}{BEGIN}{table}{END}{after}"))?;
    println!("{}", page.display());
    Ok(())
}

fn table(results: &Results) -> Result<String> {
    let m = &results.machine;
    let kills: u64 = results.rows.iter().map(|r| r.kills).sum();
    let mut out = String::new();
    writeln!(
        out,
        "{kills} kills in {} s; bound {} ms. {} processors of {}, {}, {}, {}; commit {}.\n",
        results.seconds, results.bound_ms, m.processors, m.processor, m.kernel, m.libc, m.date, m.commit
    )?;
    writeln!(out, "| {} |", HEADS.join(" | "))?;
    writeln!(out, "|---|---|{}", "---:|".repeat(HEADS.len() - 2))?;
    for row in &results.rows {
        writeln!(out, "| {} |", row.cells().join(" | "))?;
    }
    for (peer, why) in &results.absent {
        writeln!(out, "\nAbsent: {peer}: {}", why.replace('\n', " "))?;
    }
    Ok(out)
}
