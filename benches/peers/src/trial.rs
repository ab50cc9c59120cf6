//! Runs one trial: pinned workers, processes or threads, that start together and report through shared memory.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use anyhow::{Result, bail};

use crate::group::Sample;
use crate::machine;
use crate::region::Region;

/// Where the workers of a peer live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    Processes,
    Threads,
}

/// Which processors the workers run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Worker i on processor i, round and round.
    Spread,
    /// All on the first one.
    One,
}

/// A worker that takes longer is killed and its trial fails.
const WATCHDOG_SECONDS: u32 = 60;
pub const WORKERS: usize = 64;
pub const NUMBERS: usize = 16;

/// What a worker leaves behind.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Report {
    pub start: u64,
    pub end: u64,
    pub count: u64,
    pub sum: u64,
    pub squares: u64,
    pub numbers: [f64; NUMBERS],
    error: Message,
}

/// A text in memory shared with the parent.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Message {
    len: usize,
    text: [u8; 240],
}

impl Message {
    pub fn set(&mut self, text: &str) {
        self.len = text.len().min(self.text.len());
        self.text[..self.len].copy_from_slice(&text.as_bytes()[..self.len]);
    }

    /// What was set, if anything.
    pub fn get(&self) -> Option<String> {
        let text = String::from_utf8_lossy(&self.text[..self.len]);
        (self.len > 0).then(|| text.into_owned())
    }
}

impl Report {
    /// Counts an item whose number is `n`; the sums differ when one is lost, doubled or torn.
    #[inline]
    pub fn tally(&mut self, n: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(n);
        self.squares = self.squares.wrapping_add(n.wrapping_mul(n));
    }

    pub fn same_items(sent: &Self, got: &Self) -> bool {
        (sent.count, sent.sum, sent.squares) == (got.count, got.sum, got.squares)
    }

    pub fn total<'a>(reports: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut all = Self::empty();
        for r in reports {
            all.count += r.count;
            all.sum = all.sum.wrapping_add(r.sum);
            all.squares = all.squares.wrapping_add(r.squares);
        }
        all
    }

    pub fn empty() -> Self {
        // SAFETY: all fields are plain numbers, for which zero is valid.
        unsafe { std::mem::zeroed() }
    }
}

#[repr(C)]
struct Shared {
    ready: AtomicU32,
    _line: [u8; 124],
    reports: [Report; WORKERS],
}

/// One of the workers of a trial.
pub struct Worker<'a> {
    pub rank: usize,
    workers: usize,
    shared: &'a Region<Shared>,
}

impl Worker<'_> {
    /// Waits for the others, does the work, and notes when it began and ended.
    pub fn measure(&self, work: impl FnOnce(&mut Report)) {
        self.meet();
        let mut report = Report::empty();
        machine::clock_runs(Some(self.rank));
        let start = machine::now();
        work(&mut report);
        report.end = machine::now();
        machine::clock_runs(None);
        report.start = start;
        self.write(report);
    }

    /// Returns when all workers of the trial have come here.
    fn meet(&self) {
        let ready = &self.shared.get().ready;
        ready.fetch_add(1, SeqCst);
        while (ready.load(SeqCst) as usize) < self.workers {
            std::thread::yield_now();
        }
    }

    fn write(&self, report: Report) {
        // SAFETY: each worker writes its own report, and the parent reads it when the worker has ended.
        unsafe { (*self.shared.as_ptr()).reports[self.rank] = report };
    }

    fn fail(&self, error: &str) {
        let mut report = Report::empty();
        report.error.set(error);
        self.write(report);
    }
}

thread_local! {
    static MESSAGE: Cell<String> = const { Cell::new(String::new()) };
}

/// Panics of workers are kept for the report instead of being printed.
pub fn keep_panics() {
    std::panic::set_hook(Box::new(|info| MESSAGE.set(info.to_string())));
}

fn run_worker(worker: &Worker<'_>, body: &dyn Fn(&Worker<'_>) -> Result<()>) -> bool {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(worker)));
    match outcome {
        Ok(Ok(())) => return true,
        Ok(Err(e)) => worker.fail(&format!("{e:#}")),
        Err(_) => worker.fail(&MESSAGE.take()),
    }
    false
}

/// Forks `workers` processes that each run `body`.
pub fn processes(workers: usize, pin: Pin, body: &dyn Fn(&Worker<'_>) -> Result<()>) -> Result<Vec<Report>> {
    let shared = Region::<Shared>::new()?;
    let mut children = Vec::new();
    for rank in 0..workers {
        let child = Child::fork(|| {
            machine::pin(pin, rank);
            run_worker(&Worker { rank, workers, shared: &shared }, body)
        })?;
        children.push(child);
    }
    collect(children, &shared, workers)
}

/// Forks one process in which `workers` threads each run `body`, over what `make` made there.
pub fn threads<T: Sync>(
    workers: usize,
    pin: Pin,
    make: impl Fn() -> Result<T>,
    body: &(dyn Fn(&Worker<'_>, &T) -> Result<()> + Sync),
) -> Result<Vec<Report>> {
    let shared = Region::<Shared>::new()?;
    let child = Child::fork(|| {
        let first = Worker { rank: 0, workers, shared: &shared };
        let made = match make() {
            Ok(made) => made,
            Err(e) => {
                first.fail(&format!("{e:#}"));
                return false;
            }
        };
        std::thread::scope(|scope| {
            let (shared, made) = (&shared, &made);
            let all: Vec<_> = (0..workers)
                .map(|rank| {
                    scope.spawn(move || {
                        machine::pin(pin, rank);
                        run_worker(&Worker { rank, workers, shared }, &|w| body(w, made))
                    })
                })
                .collect();
            // A thread that failed may leave the others waiting: the whole process ends at once.
            all.into_iter().all(|t| t.join().unwrap_or(false) || machine::exit_now(false))
        })
    })?;
    collect(vec![child], &shared, workers)
}

/// A forked process; killed and reaped when dropped.
pub struct Child {
    pid: libc::pid_t,
}

impl Child {
    /// Forks; the child runs `body` and exits.
    pub fn fork(body: impl FnOnce() -> bool) -> Result<Self> {
        let parent = std::process::id();
        // SAFETY: this program has one thread when it forks.
        match unsafe { libc::fork() } {
            -1 => bail!("fork: {}", std::io::Error::last_os_error()),
            0 => {
                machine::die_with(parent);
                // SAFETY: no handler is installed; the signal ends the process.
                unsafe { libc::alarm(WATCHDOG_SECONDS) };
                let good = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(false);
                machine::exit_now(good)
            }
            pid => Ok(Self { pid }),
        }
    }

    pub fn pid(&self) -> libc::pid_t {
        self.pid
    }

    /// Kills it without a warning, and leaves it to be reaped.
    pub fn kill(&self) {
        // SAFETY: the process is our child and not reaped, so its number is its own.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
    }

    /// Whether it has ended; it stays to be reaped.
    pub fn has_ended(&self) -> bool {
        self.look().is_some()
    }

    /// Whether it has ended badly.
    pub fn has_failed(&self) -> bool {
        self.look().is_some_and(|good| !good)
    }

    /// Whether it ended well, if it has ended.
    fn look(&self) -> Option<bool> {
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: zero is valid in every field; the call writes them.
        unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let code = libc::waitid(libc::P_PID, self.pid as libc::id_t, &mut info, options);
            let ended = code == 0 && info.si_pid() == self.pid;
            ended.then(|| info.si_code == libc::CLD_EXITED && info.si_status() == 0)
        }
    }

    /// Waits for its end; whether it was a good one.
    pub fn wait(mut self) -> bool {
        self.reap() == Some(0)
    }

    fn reap(&mut self) -> Option<i32> {
        if self.pid == 0 {
            return None;
        }
        let mut status = 0;
        // SAFETY: `status` is a place to write to; the process is our child.
        let got = unsafe { libc::waitpid(self.pid, &mut status, 0) };
        self.pid = 0;
        (got > 0).then_some(status)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.pid != 0 {
            self.kill();
            self.reap();
        }
    }
}

fn collect(children: Vec<Child>, shared: &Region<Shared>, workers: usize) -> Result<Vec<Report>> {
    let mut children: Vec<_> = children.into_iter().map(Some).collect();
    let mut good = true;
    while good && children.iter().any(Option::is_some) {
        // In whatever order they end: the first failure ends the others, who may wait for it.
        let mut status = 0;
        // SAFETY: `status` is a place to write to.
        let pid = unsafe { libc::waitpid(-1, &mut status, 0) };
        for child in children.iter_mut().filter(|c| c.as_ref().is_some_and(|c| c.pid == pid)) {
            child.take().unwrap().pid = 0;
            good &= status == 0;
        }
        if pid < 0 {
            bail!("waitpid: {}", std::io::Error::last_os_error());
        }
    }
    drop(children);
    // SAFETY: the writers have ended.
    let reports = unsafe { (&(*shared.as_ptr()).reports)[..workers].to_vec() };
    if good {
        return Ok(reports);
    }
    match reports.iter().find_map(|r| r.error.get()) {
        Some(error) => bail!("{error}"),
        None => bail!("a worker was ended by a signal or by the watchdog after {WATCHDOG_SECONDS} s"),
    }
}

/// From the first worker's start to the last one's end.
pub fn wall_ns(reports: &[Report]) -> f64 {
    let start = reports.iter().map(|r| r.start).min().unwrap_or(0);
    let end = reports.iter().map(|r| r.end).max().unwrap_or(0);
    (end - start) as f64
}

/// One pinned process that measures itself; nanoseconds for each of `count`.
pub fn alone(count: u64, body: &dyn Fn(&Worker<'_>) -> Result<()>) -> Result<Sample> {
    let reports = processes(1, Pin::Spread, body)?;
    let ns = wall_ns(&reports);
    Ok(Sample::new(ns / count as f64, ns))
}
