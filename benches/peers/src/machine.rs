//! The machine: its clock, its processors, its noise, and what it calls itself.

use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::trial::{self, Pin};

/// Nanoseconds of `CLOCK_MONOTONIC`.
pub fn now() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// The processors that this process may use.
pub fn processors() -> Vec<usize> {
    // SAFETY: a set of zero bits is a valid set, and is written by the call.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &mut set);
        (0..libc::CPU_SETSIZE as usize).filter(|&cpu| libc::CPU_ISSET(cpu, &set)).collect()
    }
}

/// Pins the calling thread.
pub fn pin(pin: Pin, rank: usize) {
    let all = processors();
    let cpu = match pin {
        Pin::Spread => all[rank % all.len()],
        Pin::One => all[0],
    };
    // SAFETY: as in `processors`.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// Whether what runs is a trial of what is measured, not of the machine.
static IS_TRIAL: AtomicBool = AtomicBool::new(false);

/// Runs a trial of what is measured.
pub fn trial<T>(run: impl FnOnce() -> T) -> T {
    IS_TRIAL.store(true, Relaxed);
    let done = run();
    IS_TRIAL.store(false, Relaxed);
    done
}

/// Calls the calling thread `timed-<rank>` while the clock of a trial runs for worker `rank`, so that a profile knows whose
/// its samples are, and something else while it stands.
pub fn clock_runs(rank: Option<usize>) {
    if !IS_TRIAL.load(Relaxed) {
        return;
    }
    let mut name = [0u8; 16];
    let text = rank.map_or("untimed".to_owned(), |rank| format!("timed-{rank}"));
    name[..text.len()].copy_from_slice(text.as_bytes());
    // SAFETY: the name ends with a zero within its 16 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// Ends this process without running what is registered for its end: that is the parent's.
pub fn exit_now(good: bool) -> ! {
    // SAFETY: always allowed.
    unsafe { libc::_exit(i32::from(!good)) }
}

/// Makes this process die with its parent.
pub fn die_with(parent: u32) {
    // SAFETY: no pointers are involved.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    // SAFETY: always allowed.
    if unsafe { libc::getppid() } != parent as libc::pid_t {
        exit_now(false);
    }
}

/// What to say about the machine beside any figure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub processors: usize,
    pub memory_gib: u64,
    pub kernel: String,
    pub libc: String,
    pub rustc: String,
    pub compiler: String,
    pub python: String,
    pub commit: String,
    pub date: String,
}

impl Machine {
    pub fn look() -> Self {
        let line = |file: &str, key: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let found = text.lines().find(|l| l.starts_with(key)).and_then(|l| l.split_once(':'));
            found.map(|(_, v)| v.trim().to_owned()).unwrap_or_default()
        };
        let kib: u64 =
            line("/proc/meminfo", "MemTotal").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Self {
            processor: line("/proc/cpuinfo", "model name"),
            processors: processors().len(),
            memory_gib: (kib + (1 << 19)) >> 20,
            kernel: said_by("uname", &["-sr"]),
            libc: said_by("ldd", &["--version"]),
            rustc: said_by("rustc", &["--version"]),
            compiler: said_by("c++", &["--version"]),
            python: said_by("python3", &["--version"]),
            commit: said_by("git", &["describe", "--always", "--dirty"]),
            date: said_by("date", &["-u", "+%Y-%m-%d"]),
        }
    }
}

/// The first line that a command prints.
fn said_by(command: &str, args: &[&str]) -> String {
    let out = Command::new(command).args(args).output().map(|o| o.stdout).unwrap_or_default();
    String::from_utf8_lossy(&out).lines().next().unwrap_or_default().to_owned()
}

/// How long a fixed loop takes: on a quiet machine, always the same.
fn spin() -> f64 {
    let start = now();
    let mut x = 1u64;
    for _ in 0..2_000_000 {
        x = black_box(x.wrapping_mul(6364136223846793005).wrapping_add(1));
    }
    black_box(x);
    (now() - start) as f64
}

/// The fixed loop on all processors at once: the longest.
fn spin_everywhere() -> Result<f64> {
    let all = processors().len().min(trial::WORKERS);
    let reports = trial::processes(all, Pin::Spread, &|worker| {
        worker.measure(|report| report.numbers[0] = spin());
        Ok(())
    })?;
    Ok(reports.iter().map(|r| r.numbers[0]).fold(0.0, f64::max))
}

/// Processor time so far, in seconds.
#[derive(Clone, Copy)]
struct Used {
    /// All there was.
    all: f64,
    busy: f64,
    stolen: f64,
    /// By this process and its children that have ended.
    own: f64,
}

impl Used {
    fn now() -> Self {
        let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let first = text.lines().next().unwrap_or("");
        let ticks: Vec<u64> = first.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
        // SAFETY: always allowed.
        let second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
        let at = |i: usize| ticks.get(i).copied().unwrap_or(0) as f64 / second;
        let all: f64 = (0..8).map(at).sum();
        let own = time_of(libc::RUSAGE_SELF) + time_of(libc::RUSAGE_CHILDREN);
        Self { all, busy: all - at(3) - at(4) - at(7), stolen: at(7), own }
    }

    /// How much of the processors others have used since `start`.
    fn by_others(&self, start: &Self) -> f64 {
        let others = (self.busy - start.busy) - (self.own - start.own);
        (others / (self.all - start.all).max(0.001)).clamp(0.0, 1.0)
    }
}

fn time_of(who: libc::c_int) -> f64 {
    // SAFETY: zero is valid in every field; the call writes them.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(who, &mut usage);
        usage
    };
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Samples the noise from its making to its end.
pub struct NoiseMeter {
    spins: Vec<f64>,
    start: Used,
    watched: Used,
}

/// How much the machine disturbed the run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Noise {
    /// A fixed loop's slowest and median run, on all processors at once, as a part of its fastest.
    pub spin_worst: f64,
    pub spin_median: f64,
    /// Processor time that the host took away, in percent.
    pub stolen_percent: f64,
    /// Processor time that others used, in percent.
    #[serde(default)]
    pub others_percent: f64,
    /// The processes that wanted to run at the end, as `/proc/loadavg` averages them over a minute.
    pub load: String,
}

impl NoiseMeter {
    pub fn new() -> Self {
        let start = Used::now();
        Self { spins: Vec::new(), start, watched: start }
    }

    pub fn sample(&mut self) {
        // Without processes nothing can be measured, which the trials will say.
        self.spins.extend(spin_everywhere().ok());
    }

    /// Begins to watch what others use.
    pub fn watch(&mut self) {
        self.watched = Used::now();
    }

    /// What part of the processors others have used since then.
    pub fn others(&self) -> f64 {
        Used::now().by_others(&self.watched)
    }

    pub fn end(mut self) -> Noise {
        self.spins.sort_by(f64::total_cmp);
        let end = Used::now();
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let beside_best = |at: usize| match self.spins[..] {
            [best, ..] => self.spins[at.min(self.spins.len() - 1)] / best,
            [] => f64::NAN,
        };
        Noise {
            spin_worst: beside_best(self.spins.len()),
            spin_median: beside_best(self.spins.len() / 2),
            stolen_percent: 100.0 * (end.stolen - self.start.stolen) / (end.all - self.start.all).max(0.001),
            others_percent: 100.0 * end.by_others(&self.start),
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        }
    }
}
