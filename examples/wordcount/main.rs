//! Counts the words of a text with processes of three languages on one segment, one of which is killed.
//!
//! usage: wordcount FILE WORKER FOLLOWER...
//!
//! This process maps FILE and puts slices of it on a queue. Two WORKERs (`worker.c`) take them in place,
//! write the number of words of each slice to its place in an array, and send how often it has each word
//! through a pipe to the FOLLOWER (`follow.py`), which shows how far they are, and the most frequent words.
//! Half way, one worker is killed with a slice in its hands, and another is started. The counts must be
//! those of a plain pass through the file, which the last line says; if they are not, or anything else goes
//! wrong, the last line says what, and the exit status is not 0.
//!
//! A word is what `wc -w` counts by POSIX: a run of bytes that are no white space in the C locale. (GNU's
//! `wc` leaves out words without a printable character, and in a UTF-8 locale splits at Unicode's spaces.)
//!
//! No slice is lost and none counts twice, whenever a worker is killed: a slice that was not released is
//! delivered again; its place in the array says whether it has been counted; the lock around the number of
//! slices done tells the next worker that its holder died, who then counts the places anew; and the
//! follower knows which slices it has had. What a killed worker does not give back is its permit of the
//! semaphore, so this process, which knows that it had one, does.
//!
//! | object | what it is for |
//! |---|---|
//! | Queue `slices` | slices of text, each with a head: number (u64), starts inside a word (u32), 0 (u32) |
//! | Semaphore `in-hand` | bounds how many slices are in hand |
//! | Array `results`, u64 | a slice's words + 1; 0 while it is not done |
//! | Value `done`, u64, Lock `done-lock` | how many slices are done |
//! | Pipe `frequencies`, simplex | from the workers to the follower |
//! | Pipe `summary`, simplex | what the follower found, to this process |
//! | Value `hold`, i32 | minus the step at which the next worker is to stop; then who did |
//! | Value `held`, u64, Semaphore `holding` | which slice he has in his hands; that he has stopped |
//! | Value `redelivered`, u64 | how many slices were taken that another had taken before |
//!
//! WORDCOUNT_KILL_AT is the step at which a worker is killed: `taken` (the default), `sent` (its frequencies
//! are sent, its result is not stored), or `stored` (it holds the lock, and the number of slices done is not
//! yet right).

mod text;

use std::collections::HashMap;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sharecell::{
    Array, Deadline, End, ErrorKind, Lock, Pipe, PipeOptions, Queue, QueueOptions, Segment, Semaphore, Value,
};
use text::{SLICE, Slice, Text};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const WORKERS: u32 = 2;
const HEAD: usize = 16;
const TICK: Duration = Duration::from_millis(100);
/// How many ticks something may take that takes a fraction of one: this is a watchdog.
const PATIENCE: u32 = 1200;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [file, worker, follower @ ..] = args.as_slice() else {
        eprintln!("usage: wordcount FILE WORKER FOLLOWER...");
        return ExitCode::from(2);
    };
    catch_signals();
    match count(file, worker, follower) {
        Ok(words) => {
            println!("demo: ok, {words} words, 1 worker killed, counts match");
            ExitCode::SUCCESS
        }
        Err(_) if INTERRUPTED.load(Ordering::Relaxed) => {
            eprintln!("demo: interrupted");
            ExitCode::from(130)
        }
        Err(e) => {
            eprintln!("demo: failed: {e}");
            ExitCode::FAILURE
        }
    }
}

/// The number of words in a file.
fn count(file: &str, worker: &str, follower: &[String]) -> Result<u64> {
    let kill_at = match std::env::var("WORDCOUNT_KILL_AT").as_deref() {
        Err(_) | Ok("taken") => 1,
        Ok("sent") => 2,
        Ok("stored") => 3,
        Ok(other) => return Err(format!("WORDCOUNT_KILL_AT is {other}: taken, sent or stored").into()),
    };
    let text = Text::map(file).map_err(|e| format!("cannot map {file}: {e}"))?;
    let slices = text.slices().count();
    println!("{file}: {} bytes in {slices} slices", text.bytes().len());
    Demo::start(slices, worker, follower)?.run(&text, kill_at)
}

/// Ctrl-C and its like end a wait, so that the segment is cleared away before this process ends.
fn catch_signals() {
    extern "C" fn note(_: libc::c_int) {
        INTERRUPTED.store(true, Ordering::Relaxed);
    }
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: the handler only stores to an atomic; a zeroed `sigaction` has no flags and an empty mask.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = note as *const () as usize;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
}

fn check_signals() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err("interrupted".into()) } else { Ok(()) }
}

/// The processes that this one has started; they end with it.
struct Children {
    segment: String,
    worker: String,
    workers: Vec<Child>,
    follower: Child,
}

impl Children {
    fn start(segment: &str, worker: &str, follower: &[String]) -> Result<Self> {
        let (program, args) = follower.split_first().ok_or("no follower was named")?;
        let follower = spawn(Command::new(program).args(args).arg(segment))?;
        let mut children =
            Self { segment: segment.to_owned(), worker: worker.to_owned(), workers: Vec::new(), follower };
        (0..WORKERS).try_for_each(|_| children.start_worker())?;
        Ok(children)
    }

    fn start_worker(&mut self) -> Result<()> {
        self.workers.push(spawn(Command::new(&self.worker).arg(&self.segment))?);
        Ok(())
    }

    /// An error if one has ended that should not have.
    fn check(&mut self) -> Result<()> {
        for worker in &mut self.workers {
            if let Some(status) = worker.try_wait()? {
                return Err(format!("C worker {} ended before its time: {status}", worker.id()).into());
            }
        }
        match self.follower.try_wait()? {
            Some(status) if !status.success() => Err(format!("the follower ended: {status}").into()),
            _ => Ok(()),
        }
    }

    /// Waits until the workers have ended of themselves.
    fn join_workers(&mut self) -> Result<()> {
        self.workers.iter_mut().try_for_each(|worker| join(worker, "C worker"))?;
        self.workers.clear();
        Ok(())
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for child in self.workers.iter_mut().chain([&mut self.follower]) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts a process that leaves Ctrl-C to this one, and ends with it even if it is killed.
fn spawn(command: &mut Command) -> Result<Child> {
    // SAFETY: both calls are async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGINT, libc::SIG_IGN);
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    command.spawn().map_err(|e| format!("cannot start {:?}: {e}", command.get_program()).into())
}

fn join(child: &mut Child, what: &str) -> Result<()> {
    for _ in 0..PATIENCE * 20 {
        check_signals()?;
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("{what} {} ended: {status}", child.id()).into()),
            None => std::thread::sleep(TICK / 20),
        }
    }
    Err(format!("{what} {} does not end", child.id()).into())
}

/// What the follower found.
struct Summary {
    slices: u64,
    words: u64,
    /// By how much the frequencies may be too small; 0 if they are exact.
    error: u64,
    frequencies: HashMap<Vec<u8>, u64>,
}

impl Summary {
    fn parse(message: &[u8]) -> Option<Self> {
        let mut lines = message.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let mut numbers = std::str::from_utf8(lines.next()?).ok()?.split(' ').map(str::parse);
        let mut number = || numbers.next()?.ok();
        let (slices, words, error) = (number()?, number()?, number()?);
        let frequency = |line: &[u8]| {
            let space = line.iter().position(|byte| *byte == b' ')?;
            let count = std::str::from_utf8(&line[..space]).ok()?.parse().ok()?;
            Some((line[space + 1..].to_vec(), count))
        };
        Some(Self { slices, words, error, frequencies: lines.map(frequency).collect::<Option<_>>()? })
    }
}

/// Calls `call` with one short deadline after the other, until it says something else than that it passed.
fn patiently<T>(
    children: &mut Children,
    what: &str,
    call: impl Fn(Deadline) -> sharecell::Result<T>,
) -> Result<T> {
    for _ in 0..PATIENCE {
        check_signals()?;
        match call(Deadline::after(TICK)) {
            Err(e) if e.is_timeout() || e.kind() == ErrorKind::Interrupted => children.check()?,
            other => return other.map_err(|e| format!("{what}: {e}").into()),
        }
    }
    Err(format!("{what}: waited in vain").into())
}

struct Demo {
    // The first to go: the processes end before the segment does.
    children: Children,
    frequencies: Pipe,
    summary: Pipe,
    slices: Queue,
    in_hand: Semaphore,
    results: Array<u64>,
    done: Value<u64>,
    done_lock: Lock,
    hold: Value<i32>,
    held: Value<u64>,
    holding: Semaphore,
    redelivered: Value<u64>,
}

impl Demo {
    fn start(slices: usize, worker: &str, follower: &[String]) -> Result<Self> {
        let name = format!("wordcount-{}", std::process::id());
        let segment = Segment::options().ephemeral(true).limit(64 << 20).create(&name)?;
        let simplex = |capacity| PipeOptions::new().duplex(false).capacity(capacity);
        let queue = QueueOptions::new(16).max_item((HEAD + SLICE) as u64);
        let frequencies = Pipe::open_or_create(&segment, "frequencies", End::B, &simplex(32))?;
        let summary = Pipe::open_or_create(&segment, "summary", End::A, &simplex(1))?;
        Ok(Self {
            slices: Queue::create(&segment, "slices", &queue)?,
            in_hand: Semaphore::create(&segment, "in-hand", WORKERS)?,
            results: Array::create(&segment, "results", slices)?,
            done: Value::create(&segment, "done", 0)?,
            done_lock: Lock::create(&segment, "done-lock")?,
            hold: Value::create(&segment, "hold", 0)?,
            held: Value::create(&segment, "held", 0)?,
            holding: Semaphore::create(&segment, "holding", 0)?,
            redelivered: Value::create(&segment, "redelivered", 0)?,
            children: Children::start(&name, worker, follower)?,
            frequencies,
            summary,
        })
    }

    /// Puts all slices on the queue, and kills a worker half way.
    fn feed(&mut self, text: &Text, kill_at: i32) -> Result<()> {
        let half = self.results.len() as u64 / 2;
        for slice in text.slices() {
            let at_half = slice.number == half;
            self.put(&slice, if at_half { -kill_at } else { 0 })?;
            if at_half {
                self.kill_holder()?;
            }
        }
        self.slices.shutdown();
        Ok(())
    }

    /// Puts a slice on the queue, having asked somebody to stop, if `hold` is not 0.
    fn put(&mut self, slice: &Slice<'_>, hold: i32) -> Result<()> {
        let len = HEAD + slice.bytes.len();
        let mut place =
            patiently(&mut self.children, "slices", |deadline| self.slices.reserve(len, deadline))?;
        let (head, bytes) = place.split_at_mut(HEAD);
        head.fill(0);
        head[..8].copy_from_slice(&slice.number.to_ne_bytes());
        head[8..12].copy_from_slice(&u32::from(slice.starts_inside).to_ne_bytes());
        bytes.copy_from_slice(slice.bytes);
        if hold != 0 {
            // With room for the slice, or all might wait for somebody who has stopped; but before it can be
            // taken, so that there is a slice to stop with, however fast they are.
            self.hold.set(hold)?;
        }
        Ok(place.commit()?)
    }

    /// Kills the worker that has stopped with a slice in its hands, and starts another.
    fn kill_holder(&mut self) -> Result<()> {
        patiently(&mut self.children, "holding", |deadline| self.holding.acquire_until(deadline))?;
        let pid = self.hold.exchange(0)?;
        let slice = self.held.get()?;
        let workers = &mut self.children.workers;
        let at = workers.iter().position(|worker| i64::from(worker.id()) == i64::from(pid));
        let at = at.ok_or(format!("process {pid} is no worker"))?;
        let mut worker = workers.swap_remove(at);
        let killed = worker.kill();
        worker.wait()?;
        killed?;
        self.in_hand.release(1)?;
        self.children.start_worker()?;
        if std::io::stdout().is_terminal() {
            print!("\r\x1b[K"); // the follower's bar is there
        }
        println!("killed C worker {pid} with slice {slice} in its hands, and started another");
        Ok(())
    }

    /// How many words the workers have counted, if they have counted every slice once.
    fn counted(&mut self) -> Result<u64> {
        let lock = self.done_lock.lock()?;
        if lock.owner_died() {
            return Err("a worker died at the end".into());
        }
        let (done, results) = (self.done.get()?, self.results.to_vec()?);
        if results.contains(&0) || done != results.len() as u64 {
            let places = results.iter().filter(|place| **place != 0).count();
            let all = results.len();
            return Err(format!("of {all} slices {done} are done, and {places} have a result").into());
        }
        if self.redelivered.get()? == 0 {
            return Err("the slice of the killed worker was not delivered again".into());
        }
        match self.in_hand.value() {
            WORKERS => Ok(results.iter().map(|place| place - 1).sum()),
            left => Err(format!("of {WORKERS} permits {left} are left").into()),
        }
    }

    /// The number of words, if all counts agree.
    fn run(mut self, text: &Text, kill_at: i32) -> Result<u64> {
        self.feed(text, kill_at)?;
        self.children.join_workers()?;
        let words = self.counted()?;

        // With the last sender gone the follower sees the end-of-file, and sends what it found.
        drop(self.frequencies);
        let message = patiently(&mut self.children, "summary", |deadline| self.summary.recv_until(deadline))?;
        let summary = Summary::parse(&message).ok_or("the follower's summary makes no sense")?;
        join(&mut self.children.follower, "the follower")?;

        let (plain, frequencies) = text.count(&summary.frequencies.keys().cloned().collect::<Vec<_>>());
        compare("the workers counted", words, plain)?;
        compare("the follower has words", summary.words, plain)?;
        compare("the follower has slices", summary.slices, self.results.len() as u64)?;
        for (word, count) in &summary.frequencies {
            let real = frequencies[word];
            if !(*count..=count + summary.error).contains(&real) {
                let word = String::from_utf8_lossy(word);
                let error = summary.error;
                return Err(
                    format!("{word:?} occurs {real} times, the follower has {count} + {error}").into()
                );
            }
        }
        Ok(words)
    }
}

fn compare(what: &str, have: u64, plain: u64) -> Result<()> {
    if have == plain {
        return Ok(());
    }
    Err(format!("{what}: {have}, and a plain count says {plain}").into())
}
