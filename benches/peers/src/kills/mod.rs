//! What a SIGKILL in the middle of an operation does to those who are left: for sharecell and for its peers alike.

mod lock;
mod queue;
mod scene;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::group::{median, short};
use crate::machine::{Machine, now};
use crate::peers::floors::Bare;
use crate::peers::locks::{self, LockPeer};
use crate::peers::queues::{Fifo, Simplex, Typed};
use crate::peers::system::{Descriptors, PIPE, PosixMq, SOCKETPAIR};
use scene::{Outcome, Scene};

/// Who is left makes progress within this, or hangs.
pub const BOUND_MS: u64 = 1000;
/// Scenes that are waited for while others play.
const WAITING: usize = 64;
/// A scene has the machine to itself until it ends, or for so long after its kill.
const ALONE_NS: u64 = 15_000_000;
/// Of an item: 1 KiB, so that its copy takes a moment.
const WORDS: usize = 128;
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/kills.py");

/// How often to kill, and whom.
#[derive(Parser, Clone, Debug)]
pub struct Settings {
    /// Kills of each.
    #[arg(long, default_value_t = 100)]
    times: usize,
    /// Only those whose name contains this; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// The interpreter with Python's peers; without one they are absent.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Where the results go.
    #[arg(long, default_value = "target/bench/kills.json")]
    out: PathBuf,
}

/// All that a run found out.
#[derive(Serialize, Deserialize)]
pub struct Results {
    pub machine: Machine,
    pub bound_ms: u64,
    pub seconds: u64,
    pub rows: Vec<Row>,
    /// Who could not be tried, and why.
    pub absent: Vec<(String, String)>,
}

/// What became of a peer whose users were killed in one operation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub peer: String,
    /// In what the victim was killed.
    pub during: String,
    pub kills: u64,
    pub hangs: u64,
    /// A survivor crashed or got an error.
    pub failed: u64,
    /// Items, or increments under a lock. Of scenes that came to their end.
    pub lost: u64,
    pub doubled: u64,
    pub torn: u64,
    /// Items that a killed getter had, or was about to have.
    pub along: u64,
    /// Of those that went on.
    pub median_ns: Option<f64>,
    pub worst_ns: Option<f64>,
}

impl Row {
    fn of(peer: &str, during: &str, all: &[Outcome]) -> Self {
        let sum = |of: fn(&Outcome) -> u64| all.iter().map(of).sum();
        let gaps: Vec<f64> = all.iter().filter(|o| o.gap_ns > 0).map(|o| o.gap_ns as f64).collect();
        Self {
            peer: peer.into(),
            during: during.into(),
            kills: all.len() as u64,
            hangs: sum(|o| o.hung),
            failed: sum(|o| o.failed),
            lost: sum(|o| o.lost),
            doubled: sum(|o| o.doubled),
            torn: sum(|o| o.torn),
            along: sum(|o| o.along),
            worst_ns: gaps.iter().copied().max_by(f64::total_cmp),
            median_ns: (!gaps.is_empty()).then(|| median(gaps)),
        }
    }

    /// Its cells, as they stand in every table.
    pub fn cells(&self) -> Vec<String> {
        let time = |ns: Option<f64>| ns.map_or("–".to_owned(), |ns| format!("{} ms", short(ns / 1e6)));
        let counts = [self.kills, self.hangs, self.failed, self.lost, self.doubled, self.torn, self.along];
        let mut cells = vec![self.peer.clone(), self.during.clone()];
        cells.extend(counts.map(|n| n.to_string()));
        cells.extend([time(self.median_ns), time(self.worst_ns)]);
        cells
    }
}

/// The heads of [`Row::cells`].
pub const HEADS: [&str; 11] =
    ["", "killed in", "kills", "hangs", "failed", "lost", "doubled", "torn", "along", "median", "worst"];

/// A victim in an operation of a peer, again and again.
struct Case {
    peer: String,
    during: &'static str,
    play: Play,
}

enum Play {
    Here(fn(&Scene) -> Result<()>),
    /// By a script, under these names.
    Python(&'static str, &'static str),
}

fn cases() -> Vec<Case> {
    let mut all = Vec::new();
    lock::<locks::Sharecell>(&mut all);
    lock::<locks::Undo>(&mut all);
    lock::<locks::BareFutex>(&mut all);
    lock::<locks::Pthread<false>>(&mut all);
    lock::<locks::Pthread<true>>(&mut all);
    lock::<locks::Posix>(&mut all);
    lock::<locks::RawSync>(&mut all);
    #[cfg(boost)]
    {
        lock::<crate::peers::boost::Mutex>(&mut all);
        lock::<crate::peers::boost::Semaphore>(&mut all);
    }
    python(&mut all, "sharecell.Lock", LOCK);
    python(&mut all, "multiprocessing.Lock", LOCK);
    queue::<Typed>(&mut all);
    queue::<Simplex>(&mut all);
    queue::<Bare<WORDS>>(&mut all);
    #[cfg(boost)]
    queue::<crate::peers::boost::Queue>(&mut all);
    queue::<PosixMq>(&mut all);
    queue::<Descriptors<PIPE>>(&mut all);
    queue::<Descriptors<SOCKETPAIR>>(&mut all);
    python(&mut all, "sharecell.Queue", QUEUE);
    python(&mut all, "multiprocessing.Queue", QUEUE);
    python(&mut all, "faster-fifo, raw bytes", QUEUE);
    all
}

const LOCK: [&str; 2] = ["lock and unlock", "while it holds"];
const QUEUE: [&str; 2] = ["put", "get"];

fn lock<P: LockPeer>(all: &mut Vec<Case>) {
    all.push(Case { peer: P::NAME.into(), during: LOCK[0], play: Play::Here(lock::play::<P, 0>) });
    all.push(Case {
        peer: P::NAME.into(),
        during: LOCK[1],
        play: Play::Here(lock::play::<P, { lock::HOLDS }>),
    });
}

fn queue<F: Fifo<WORDS>>(all: &mut Vec<Case>) {
    let peer = F::NAME.replace("floor: ", "");
    all.push(Case { peer: peer.clone(), during: QUEUE[0], play: Play::Here(queue::play::<F, false>) });
    all.push(Case { peer, during: QUEUE[1], play: Play::Here(queue::play::<F, true>) });
}

fn python(all: &mut Vec<Case>, name: &'static str, during: [&'static str; 2]) {
    for during in during {
        all.push(Case { peer: format!("Python: {name}"), during, play: Play::Python(name, during) });
    }
}

pub fn run(settings: &Settings) -> Result<()> {
    let start = now();
    let wanted = |c: &Case| settings.only.is_empty() || settings.only.iter().any(|o| c.peer.contains(o));
    let cases: Vec<_> = cases().into_iter().filter(wanted).collect();
    ensure!(!cases.is_empty(), "nobody's name contains any of {:?}", settings.only);
    let style = ProgressStyle::with_template("{elapsed:>5} {bar:30} {pos}/{len} {msg}")?;
    let bar = ProgressBar::new((cases.len() * settings.times) as u64).with_style(style);
    let (mut rows, mut absent) = (Vec::new(), Vec::new());
    #[cfg(not(boost))]
    absent.push(("Boost".to_owned(), crate::peers::boost::ABSENT.to_owned()));
    bar.suspend(|| println!("{}", line(&HEADS.map(str::to_owned))));
    for case in cases {
        bar.set_message(format!("{}: {}", case.peer, case.during));
        let outcomes = match case.play {
            Play::Here(play) => play_all(play, settings.times, &bar),
            Play::Python(peer, during) => by_script(settings, peer, during, &bar),
        };
        match outcomes {
            Ok(outcomes) => {
                let row = Row::of(&case.peer, case.during, &outcomes);
                bar.suspend(|| println!("{}", line(&row.cells())));
                rows.push(row);
            }
            Err(e) => {
                bar.suspend(|| println!("{}, {}: absent: {e:#}", case.peer, case.during));
                absent.push((format!("{}, {}", case.peer, case.during), format!("{e:#}")));
            }
        }
    }
    bar.finish_and_clear();
    let seconds = (now() - start) / 1_000_000_000;
    let results = Results { machine: Machine::look(), bound_ms: BOUND_MS, seconds, rows, absent };
    write(&results, &settings.out)
}

fn write(results: &Results, out: &Path) -> Result<()> {
    if let Some(folder) = out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(out, serde_json::to_string_pretty(results)?)
        .with_context(|| format!("writing {}", out.display()))?;
    println!(
        "hangs: who was left made no progress within {BOUND_MS} ms. {} s; {}",
        results.seconds,
        out.display()
    );
    if results.rows.is_empty() {
        bail!("nobody was killed");
    }
    Ok(())
}

fn line(cells: &[String]) -> String {
    let mut line = format!("{:45} {:16}", cells[0], cells[1]);
    for cell in &cells[2..] {
        line += &format!(" {cell:>9}");
    }
    line
}

/// Plays a scene so many times. Those that hang are waited for while the next ones play.
fn play_all(play: fn(&Scene) -> Result<()>, times: usize, bar: &ProgressBar) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(times);
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..times {
        if waiting.len() == WAITING {
            outcomes.extend(waiting.pop_front().map(Scene::end).transpose()?);
        }
        let scene = Scene::begin(play)?;
        scene.watch(ALONE_NS);
        waiting.push_back(scene);
        bar.inc(1);
    }
    for scene in waiting {
        outcomes.push(scene.end()?);
    }
    Ok(outcomes)
}

/// The same by the script; its answer is a line of JSON.
fn by_script(settings: &Settings, peer: &str, during: &str, bar: &ProgressBar) -> Result<Vec<Outcome>> {
    let Some(python) = &settings.python else { bail!("no interpreter was given (--python)") };
    // A scene takes a tenth of a second; what takes far longer does not end.
    let patience = (60 + 2 * settings.times).to_string();
    let out = Command::new("timeout")
        .arg(patience)
        .arg(python)
        .args([SCRIPT, peer, during, &settings.times.to_string(), &BOUND_MS.to_string()])
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} cannot be run", python.display()))?;
    bar.inc(settings.times as u64);
    let error = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{}: {}", out.status, error.lines().last().unwrap_or(""));
    Ok(serde_json::from_slice(&out.stdout)?)
}
