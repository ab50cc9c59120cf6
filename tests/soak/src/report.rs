//! The table at the end, on the terminal and in the documentation.

use std::sync::atomic::Ordering::SeqCst;

use comfy_table::{CellAlignment, Table, presets};

use crate::audit::Sums;
use crate::ledger::*;

/// What the whole run came to.
pub struct Summary {
    pub machine: String,
    pub seed: u64,
    pub seconds: u64,
    pub rounds: u64,
    pub calm_rounds: u64,
    pub kills: u64,
    pub stops: u64,
    pub killed_while_stopped: u64,
    pub faults: usize,
    pub hangs: usize,
    pub leaked: [usize; 3],
    pub faults_by_object: [[u64; 2]; OBJECTS],
}

fn time(ns: u64) -> String {
    match ns {
        0 => "–".into(),
        1..1_000_000 => format!("{} µs", ns.div_ceil(1000)),
        _ => format!("{:.1} ms", ns as f64 / 1e6),
    }
}

pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let parts: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    parts.join(",")
}

pub fn table(ledger: &Ledger, sums: &[Sums; OBJECTS], summary: &Summary) -> String {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    table.set_header([
        "object",
        "killed in it",
        "stopped in it",
        "counted",
        "lost",
        "doubled",
        "torn",
        "again",
        "went along",
        "median",
        "worst",
        "ticks",
    ]);
    for object in 0..OBJECTS {
        let word = |word| ledger.object(object, word).load(SeqCst);
        let items = (FIRST_ITEMS..FIRST_ITEMS + ITEM_OBJECTS).contains(&object);
        let s = &sums[object];
        let only_items = |n: u64| if items { grouped(n) } else { "–".into() };
        let [doubled, torn] = summary.faults_by_object[object];
        table.add_row([
            NAMES[object].to_owned(),
            grouped(word(object::KILLS)),
            grouped(word(object::STOPS)),
            if s.operations == 0 { "–".into() } else { grouped(s.operations) },
            grouped(s.lost),
            only_items(doubled),
            grouped(torn),
            only_items(s.again),
            only_items(s.went_along),
            time(ledger.median_recovery(&[object]).0.min(word(object::WORST_RECOVERY))),
            time(word(object::WORST_RECOVERY)),
            grouped(word(object::HEALED)),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

pub fn sentence(ledger: &Ledger, s: &Summary) -> String {
    let lanes = |word| grouped((0..LANES).map(|lane| ledger.lane(lane, word).load(SeqCst)).sum());
    let (median, recoveries) = ledger.median_recovery(&(0..OBJECTS).collect::<Vec<_>>());
    let [segments, blocks, seats] = s.leaked;
    format!(
        "{} kills ({} a second; {} of them while stopped), {} stops, {} forks and {} execs besides those of the \
         killed, {} operations, in {} s and {} rounds ({} of them without kills); {} faults, {} hangs, leaked: {segments} \
         segments, {blocks} blocks, {seats} seats. From a kill to the next success on the same object: median {} of {}. \
         Seed {}; {}.",
        grouped(s.kills),
        s.kills / s.seconds.max(1),
        grouped(s.killed_while_stopped),
        grouped(s.stops),
        lanes(lane::FORKS),
        lanes(lane::EXECS),
        lanes(lane::COUNT),
        s.seconds,
        s.rounds,
        s.calm_rounds,
        s.faults,
        s.hangs,
        time(median),
        grouped(recoveries),
        s.seed,
        s.machine
    )
}

pub const BEGIN: &str = "<!-- soak: begin -->";
pub const END: &str = "<!-- soak: end -->";

/// Replaces what is between the markers of a file.
pub fn write_into(path: &str, text: &str) -> std::io::Result<()> {
    let page = std::fs::read_to_string(path)?;
    let missing = || std::io::Error::other(format!("{path} lacks {BEGIN} and {END}"));
    let (before, rest) = page.split_once(BEGIN).ok_or_else(missing)?;
    let (_, after) = rest.split_once(END).ok_or_else(missing)?;
    std::fs::write(path, format!("{before}{BEGIN}\n{text}\n{END}{after}"))
}
