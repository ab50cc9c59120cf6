//! The table in `docs/recovery.md`: written with `SHARECELL_BLESS=1`, the rows of some operations if only these were
//! tried; compared otherwise.
//!
//! What survivors see is compared, the numbers of the steps are not: they change with every tuning of the core, and
//! with when those who wait fall asleep.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

/// Which part of the page is this run's.
const PART: &str = if cfg!(feature = "steps") { "accesses" } else { "calls" };

/// An object, an operation, and the phases of it.
type Row = (String, String, String);

/// Whether the page says what was found, or it was written anew.
pub fn agrees(rows: &[Row], all: bool) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/recovery.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let [begin, end] = ["begin", "end"].map(|side| format!("<!-- {side} {PART}: made by tests/steps -->\n"));
    let (before, rest) = text.split_once(&begin).expect("docs/recovery.md has lost a mark");
    let (old, after) = rest.split_once(&end).expect("docs/recovery.md has lost a mark");
    if std::env::var_os("SHARECELL_BLESS").is_some() {
        let mut lines = if all { Vec::new() } else { lines_of(old) };
        rows.iter().for_each(|row| put(&mut lines, row));
        std::fs::write(&path, format!("{before}{begin}{}{end}{after}", table(&lines))).unwrap();
        return true;
    }
    let mut lines = Vec::new();
    rows.iter().for_each(|row| put(&mut lines, row));
    let (written, found) = (facts(old), facts(&table(&lines)));
    let news: Vec<_> = found.difference(&written).collect();
    let operations = |facts: &BTreeSet<(String, String)>| -> BTreeSet<String> {
        facts.iter().map(|(operation, _)| operation.clone()).collect()
    };
    let stale: Vec<_> = operations(&written).difference(&operations(&found)).cloned().collect();
    for (operation, found) in &news {
        println!("docs/recovery.md does not say of \"{operation}\" that a survivor may see \"{found}\"");
    }
    for operation in stale.iter().filter(|_| all) {
        println!("docs/recovery.md tells of \"{operation}\", which nothing does");
    }
    let good = news.is_empty() && (stale.is_empty() || !all);
    if !good {
        println!("SHARECELL_BLESS=1 make steps LONG=1 writes the table again");
    }
    good
}

/// The head of the first column.
const HEAD: &str = "operation";

/// An object, an operation, and its line of the table.
type Line = (String, String, String);

/// The lines of a table that was written before.
fn lines_of(table: &str) -> Vec<Line> {
    let (mut lines, mut object) = (Vec::new(), "");
    for line in table.lines() {
        object = line.strip_prefix("### ").unwrap_or(object);
        if let Some((operation, _)) = line.strip_prefix("| ").and_then(|rest| rest.split_once(" | "))
            && operation != HEAD
        {
            lines.push((object.to_owned(), operation.to_owned(), line.to_owned()));
        }
    }
    lines
}

/// Puts a row in the place of that operation's line, or behind the others of its object.
fn put(lines: &mut Vec<Line>, row: &Row) {
    let new = (row.0.clone(), row.1.clone(), line(row));
    if let Some(old) = lines.iter_mut().find(|old| (&old.0, &old.1) == (&new.0, &new.1)) {
        *old = new;
        return;
    }
    let last = lines.iter().rposition(|old| old.0 == new.0);
    lines.insert(last.map_or(lines.len(), |last| last + 1), new);
}

/// The table in Markdown.
fn table(lines: &[Line]) -> String {
    let mut text = String::new();
    let mut object = "";
    for line in lines {
        if line.0 != object {
            object = &line.0;
            write!(text, "\n### {object}\n\n| {HEAD} | a survivor sees |\n|---|---|\n").unwrap();
        }
        writeln!(text, "{}", line.2).unwrap();
    }
    text
}

/// More changes than this come of those who wait, and are not told one by one.
const MOST: usize = 4;

fn line((_, operation, phases): &Row) -> String {
    let mut phases: Vec<[&str; 3]> = phases
        .split('\t')
        .filter_map(|phase| phase.splitn(3, '|').collect::<Vec<_>>().try_into().ok())
        .collect();
    if phases.len() > MOST {
        let mut seen = BTreeSet::new();
        phases.retain(|phase| seen.insert(phase[2]));
    }
    let mut text = String::new();
    for (n, [from, _, found]) in phases.iter().enumerate() {
        match n {
            0 => text.push_str(found),
            _ => write!(text, "; {FROM}{from} on: {found}").unwrap(),
        }
    }
    format!("| {operation} | {text} |")
}

/// Before the step at which something else begins to be seen.
const FROM: &str = "from ";

/// Each operation with each thing that survivors may see after it.
fn facts(table: &str) -> BTreeSet<(String, String)> {
    let rows =
        table.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let found = |phase: &str| match phase.strip_prefix(FROM).and_then(|phase| phase.split_once(" on: ")) {
        Some((_, found)) => found.to_owned(),
        None => phase.to_owned(),
    };
    rows.filter(|(operation, _)| *operation != HEAD)
        .flat_map(|(operation, phases)| {
            phases.split("; ").map(|phase| (operation.to_owned(), found(phase))).collect::<Vec<_>>()
        })
        .collect()
}
