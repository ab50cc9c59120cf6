//! The aims, and whether a run met them: computed from its figures, as ratios within the run.

use std::fmt::Write;

use anyhow::Result;

use crate::group::{Row, Table, median, short};
use crate::peers::floors::{Line, Owned};
use crate::peers::queues::Fifo;
use crate::suite::{open, pipe, round};

/// How large the figure may or must be.
#[derive(Clone, Copy)]
enum Need {
    AtMost(f64),
    AtLeast(f64),
}

impl Need {
    fn is_met(self, value: f64) -> bool {
        match self {
            Need::AtMost(most) => value <= most,
            Need::AtLeast(least) => value >= least,
        }
    }

    fn is_nearer(self, value: f64, other: f64) -> bool {
        match self {
            Need::AtMost(_) => value < other,
            Need::AtLeast(_) => value > other,
        }
    }
}

/// Which figure of a row.
#[derive(Clone, Copy)]
enum Figure {
    Median,
    /// The worst of a distribution.
    Worst,
}

enum Beside {
    /// As it is.
    Nothing,
    /// As a ratio to a peer of the same table, or of another.
    Peer(&'static str),
    /// As a ratio to the best of all others in the table.
    Best,
}

struct Aim {
    text: &'static str,
    table: &'static str,
    row: &'static str,
    figure: Figure,
    beside: Beside,
    need: Need,
    unit: &'static str,
    /// Rows of the same table that show what the machine allows; the best of them counts.
    floors: &'static [&'static str],
}

impl Aim {
    fn floors(self, floors: &'static [&'static str]) -> Self {
        Self { floors, ..self }
    }

    fn title(&self) -> String {
        if self.text.ends_with(": ") { format!("{}{}", self.text, self.row) } else { self.text.into() }
    }
}

/// A measure whose aim is not met.
pub struct Unmet {
    pub title: String,
    pub table: &'static str,
    pub row: &'static str,
}

/// The measures that were made and do not meet their aims, each once.
pub fn unmet(tables: &[Table]) -> Vec<Unmet> {
    let mut all: Vec<Unmet> = Vec::new();
    for aim in aims() {
        let missed = find(&aim, aim.row, tables).is_some_and(|found| !aim.need.is_met(found.value));
        if missed && !all.iter().any(|other| (other.table, other.row) == (aim.table, aim.row)) {
            all.push(Unmet { title: aim.title(), table: aim.table, row: aim.row });
        }
    }
    all
}

const LOAN: &str = "sharecell Queue, reserve and recv";
const BATCH: &str = "sharecell TypedQueue, put_many and get_many_into";
const TYPED: &str = "sharecell TypedQueue";
const RING: &str = <Owned<1> as Fifo<1>>::NAME;

fn ratio(text: &'static str, table: &'static str, row: &'static str, peer: &'static str, need: Need) -> Aim {
    let beside = Beside::Peer(peer);
    Aim { text, table, row, figure: Figure::Median, beside, need, unit: " ×", floors: &[] }
}

fn limit(text: &'static str, table: &'static str, row: &'static str, most: f64, unit: &'static str) -> Aim {
    let need = Need::AtMost(most);
    Aim { text, table, row, figure: Figure::Median, beside: Beside::Nothing, need, unit, floors: &[] }
}

fn aims() -> Vec<Aim> {
    use Need::{AtLeast, AtMost};
    let (std, array, channel) = ("std Mutex", "crossbeam ArrayQueue", "crossbeam_channel");
    let copies = "floor: two memcpys";
    let mut all = vec![
        ratio("lock and unlock, beside std Mutex", "lock.pair", "sharecell Lock", std, AtMost(1.15)),
        Aim {
            text: "contended lock, beside the best",
            table: "lock.contended",
            row: "sharecell Lock",
            figure: Figure::Median,
            beside: Beside::Best,
            need: AtLeast(1.0),
            unit: " ×",
            floors: &[],
        },
        ratio("queue 1 to 1, 8 B, beside ArrayQueue in a process", "queue.8.1", TYPED, array, AtLeast(1.5))
            .floors(&[RING]),
        ratio(
            "queue 2 to 2, beside crossbeam_channel in a process",
            "queue.8.2",
            TYPED,
            channel,
            AtLeast(1.0),
        )
        .floors(&[RING]),
        ratio(
            "queue 4 to 4, beside crossbeam_channel in a process",
            "queue.8.4",
            TYPED,
            channel,
            AtLeast(1.0),
        )
        .floors(&[RING]),
        ratio("in batches 1 to 1: 3 × 1.5 × ArrayQueue", "queue.8.1.batch", BATCH, array, AtLeast(4.5))
            .floors(&[RING]),
        ratio("in batches 2 to 2: 3 × crossbeam_channel", "queue.8.2.batch", BATCH, channel, AtLeast(3.0))
            .floors(&[RING]),
        ratio("in batches 4 to 4: 3 × crossbeam_channel", "queue.8.4.batch", BATCH, channel, AtLeast(3.0))
            .floors(&[RING]),
        ratio("there and back, beside the cache line", "round.two", TYPED, "floor: cache line", AtMost(3.0))
            .floors(&[round::NAMED]),
        ratio("the same on one processor, beside the futex", "round.one", TYPED, "floor: futex", AtMost(1.3)),
        ratio("pipe, 8 B, beside rtrb in a process", "pipe.8", "sharecell Pipe", "rtrb", AtLeast(2.0))
            .floors(&[Line::<true>::NAME]),
        ratio("pipe, 64 KiB, beside two memcpys", "pipe.65536", "sharecell Pipe", copies, AtLeast(0.9))
            .floors(&pipe::BUFFERS),
        ratio("pipe, 1 MiB, beside two memcpys", "pipe.1048576", "sharecell Pipe", copies, AtLeast(0.9))
            .floors(&pipe::BUFFERS),
        limit("in place there and back, 8 B", "loan.8", LOAN, 500.0, " ns"),
        limit("in place there and back, 64 KiB", "loan.65536", LOAN, 500.0, " ns"),
        limit("in place there and back, 1 MiB", "loan.1048576", LOAN, 500.0, " ns"),
        limit("in place there and back, 64 MiB", "loan.67108864", LOAN, 500.0, " ns"),
        ratio(
            "attach, beside shm_open and mmap",
            "open.attach",
            "sharecell Segment, 1 GiB limit",
            open::BARE,
            AtMost(2.0),
        )
        .floors(&[open::LEASED]),
        limit("open a value", "open.object", "sharecell Value", 1000.0, " ns"),
        limit("open a lock", "open.object", "sharecell Lock", 1000.0, " ns"),
        limit("open a queue", "open.object", "sharecell Queue", 1000.0, " ns"),
    ];
    for what in [
        "lock and unlock",
        "queue put and get",
        "queue put_many and get_many",
        "pipe send and receive",
        "value get, set and add",
        "semaphore release and acquire",
        "event set and clear",
    ] {
        all.push(limit("system calls in a thousand times: ", "quiet.calls", what, 0.0, ""));
    }
    for what in ["lock that is held", "queue that is empty", "pipe that is empty", "barrier that lacks one"] {
        // "0 %" is what is less than half of one.
        all.push(limit("processor time of a waiter: ", "quiet.idle", what, 0.5, " %"));
    }
    for what in [
        "sharecell lock whose holder is killed",
        "sharecell queue whose item was held",
        "sharecell pipe whose other end is killed",
        "sharecell barrier at which one had come",
    ] {
        all.push(limit("from kill to success, median: ", "recovery", what, 2e6, " ns"));
        let worst = limit("from kill to success, worst: ", "recovery", what, 25e6, " ns");
        all.push(Aim { figure: Figure::Worst, ..worst });
    }
    all
}

/// A figure and how far it wandered.
struct Found {
    value: f64,
    low: f64,
    high: f64,
}

fn find(aim: &Aim, row: &str, tables: &[Table]) -> Option<Found> {
    let table = tables.iter().find(|t| t.id == aim.table)?;
    let ours = table.row(row)?;
    let theirs = match aim.beside {
        Beside::Nothing => {
            return Some(match aim.figure {
                Figure::Median => Found { value: ours.median, low: ours.min, high: ours.max },
                Figure::Worst => {
                    let worst = *ours.levels.last()?;
                    Found { value: worst, low: worst, high: worst }
                }
            });
        }
        Beside::Peer(peer) => table.row(peer)?,
        Beside::Best => {
            let others = table.rows.iter().filter(|r| !r.peer.starts_with("sharecell"));
            others.max_by(|a, b| a.median.total_cmp(&b.median))?
        }
    };
    Some(beside(ours, theirs))
}

/// Repeat by repeat: both were measured one after the other.
fn beside(ours: &Row, theirs: &Row) -> Found {
    let ratios: Vec<f64> = ours.samples.iter().zip(&theirs.samples).map(|(a, b)| a / b).collect();
    let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let high = ratios.iter().copied().fold(0.0, f64::max);
    Found { value: median(ratios), low, high }
}

/// The section with a line for each aim.
pub fn section(out: &mut String, tables: &[Table]) -> Result<()> {
    writeln!(out, "\n## Aims\n")?;
    writeln!(
        out,
        "Ratios are the median of those of the repeats; brackets hold the lowest and the highest. *Floor*: what the"
    )?;
    writeln!(out, "least that could do the work reaches beside the same peer; see below.\n")?;
    writeln!(out, "| aim | wanted | measured | met | floor |\n|---|---|---|---|---|")?;
    let (mut met, mut all) = (0, 0);
    for aim in aims() {
        let (sign, bound) = match aim.need {
            Need::AtMost(most) => ("≤", most),
            Need::AtLeast(least) => ("≥", least),
        };
        let (measured, verdict) = match find(&aim, aim.row, tables) {
            None => ("not measured".to_owned(), "–"),
            Some(found) => {
                let good = aim.need.is_met(found.value);
                all += 1;
                met += usize::from(good);
                let [value, low, high] = [found.value, found.low, found.high].map(short);
                (format!("{value}{} ({low} to {high})", aim.unit), if good { "yes" } else { "**no**" })
            }
        };
        let floors = aim.floors.iter().filter_map(|row| find(&aim, row, tables));
        let floor = floors
            .reduce(|best, other| if aim.need.is_nearer(other.value, best.value) { other } else { best });
        let floor = floor.map(|f| format!("{}{}", short(f.value), aim.unit)).unwrap_or_default();
        let bound = short(bound);
        writeln!(out, "| {} | {sign} {bound}{} | {measured} | {verdict} | {floor} |", aim.title(), aim.unit)?;
    }
    writeln!(out, "\n{met} of {all} met.")?;
    Ok(())
}
