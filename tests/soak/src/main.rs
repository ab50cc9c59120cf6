//! The soak: Rust, C and Python processes work on shared objects and are killed, stopped, forked and
//! executed at random, for minutes, while every item is accounted for.
//!
//! Time goes in rounds of a few seconds. In each all objects are new; at its end everybody leaves, what is left is
//! taken out, and the books must balance. Every eighth round is calm: nobody is killed, and no wait may need a
//! tick to end.

mod agent;
mod audit;
#[path = "../../common/blocks.rs"]
mod blocks;
mod killer;
mod ledger;
mod objects;
mod report;
mod watch;
mod worker;

use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use sharecell::Segment;

use audit::{Audit, Sums};
use ledger::*;
use objects::{Objects, SMALL};
use worker::{Random, Worker};

/// Kills processes at random for a while, and accounts for every item.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    agent: Option<Role>,
    /// For how long.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// What chance follows from; by default the time.
    #[arg(long)]
    seed: Option<u64>,
    /// The agent in C, compiled.
    #[arg(long)]
    c_agent: Option<String>,
    /// The interpreter for the agent in Python, with the package in its path.
    #[arg(long)]
    python: Option<String>,
    /// The agent in Python.
    #[arg(long, default_value = "agent.py")]
    python_agent: String,
    /// A file with markers, to write the figures into.
    #[arg(long)]
    report: Option<String>,
    /// Where to describe hanging processes.
    #[arg(long, default_value = ".")]
    dumps: String,
    /// How long a worker lives in microseconds, on average.
    #[arg(long, default_value_t = 1500)]
    life: u64,
}

#[derive(clap::Subcommand)]
enum Role {
    /// One of the processes; the soak starts it.
    Agent(agent::Post),
}

fn main() {
    let arguments = Arguments::parse();
    match &arguments.agent {
        Some(Role::Agent(post)) => agent::run(post),
        None => std::process::exit(soak(&arguments)),
    }
}

/// A process that runs rounds.
struct Agent {
    child: Child,
    input: ChildStdin,
    done: Receiver<()>,
    lane: usize,
    /// For one whose workers are killed.
    pids: Option<std::fs::File>,
}

struct Shared {
    ledger: Ledger,
    faults: Mutex<Vec<String>>,
    counts: killer::Counts,
    quit: AtomicBool,
}

const ROUND: Duration = Duration::from_millis(3500);
/// Every so many rounds nobody is killed.
const CALM_EVERY: u64 = 8;
/// A round must come to its end in this time.
const END_OF_ROUND: Duration = Duration::from_secs(90);

fn soak(arguments: &Arguments) -> i32 {
    let seed = arguments.seed.unwrap_or_else(|| now() % 1_000_000);
    let (ledger, ledger_fd) = Ledger::create();
    ledger.head(head::SEED).store(seed, SeqCst);
    let shared: &'static Shared = Box::leak(Box::new(Shared {
        ledger,
        faults: Mutex::default(),
        counts: killer::Counts::default(),
        quit: AtomicBool::new(false),
    }));
    let (fault_reader, fault_writer) = pipe();
    let name = format!("soak-{}", std::process::id());
    let options = Segment::options().ephemeral(true).participants(128);
    let segment = options.clone().limit(256 << 20).create(&name).expect("a new segment");
    let small = options.limit(SMALL).create(&format!("{name}-small")).expect("a new segment");

    let bar = progress(arguments.seconds);
    say(&bar, &format!("seed {seed}"));
    let listener = bar.clone();
    std::thread::spawn(move || {
        for line in BufReader::new(std::fs::File::from(fault_reader)).lines().map_while(Result::ok) {
            note(shared, &listener, line);
        }
    });
    let mut agents = start(arguments, &name, [ledger_fd, fault_writer.as_raw_fd()]);
    for agent in &mut agents {
        if let Some(pids) = agent.pids.take() {
            let mut killer = killer::Killer {
                ledger: &shared.ledger,
                lane: agent.lane,
                counts: &shared.counts,
                random: Random::new(mix(seed, agent.lane as u64, 7)),
                life: arguments.life,
            };
            std::thread::spawn(move || killer.serve(pids, &shared.quit));
        }
    }
    let mut run = Run {
        shared,
        segment,
        small,
        bar,
        sums: Default::default(),
        leaked: [0; 3],
        blocks: [0; 2],
        hangs: 0,
    };
    let (rounds, calm_rounds, time) = run.rounds(arguments, &mut agents);
    run.finish(arguments, seed, agents, rounds, calm_rounds, time.as_secs())
}

fn note(shared: &Shared, bar: &ProgressBar, line: String) {
    let mut faults = shared.faults.lock().expect("nobody panics with it");
    if faults.len() < 100 {
        say(bar, &format!("FAULT {line}"));
    }
    faults.push(line);
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    // SAFETY: two descriptors are written to the array, which are nobody else's.
    unsafe {
        assert_eq!(libc::pipe(fds.as_mut_ptr()), 0);
        (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1]))
    }
}

/// Plain lines where nobody looks at a terminal.
fn progress(seconds: u64) -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(seconds) } else { ProgressBar::hidden() };
    bar.with_style(ProgressStyle::with_template("{elapsed_precise} {bar:30} {msg}").expect("a template"))
}

fn say(bar: &ProgressBar, line: &str) {
    if bar.is_hidden() { println!("{line}") } else { bar.println(line) }
}

fn start(arguments: &Arguments, segment: &str, fds: [RawFd; 2]) -> Vec<Agent> {
    let rust = vec!["/proc/self/exe".to_owned(), "agent".into()];
    let mut posts = vec![(rust.clone(), 3, "steady")];
    posts.extend((0..3).map(|lane| (rust.clone(), lane, "nest")));
    if let Some(c) = &arguments.c_agent {
        let c = vec![c.clone()];
        posts.extend([(c.clone(), 4, "nest"), (c.clone(), 5, "nest"), (c, 6, "steady")]);
    }
    if let Some(python) = &arguments.python {
        let python = vec![python.clone(), arguments.python_agent.clone()];
        posts.extend([(python.clone(), 7, "nest"), (python, 8, "steady")]);
    }
    posts.into_iter().map(|(program, lane, mode)| spawn(&program, lane, mode, segment, fds)).collect()
}

fn spawn(program: &[String], lane: usize, mode: &str, segment: &str, fds: [RawFd; 2]) -> Agent {
    let (reader, writer) = pipe();
    // Ours alone: it ends when the agent and its workers have.
    // SAFETY: fcntl on a descriptor of ours.
    unsafe { libc::fcntl(reader.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    let mut child = Command::new(&program[0])
        .args(&program[1..])
        .arg(segment)
        .args([fds[0], fds[1], writer.as_raw_fd(), lane as RawFd].map(|n| n.to_string()))
        .arg(mode)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}", program[0]));
    let (sender, done) = channel();
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    std::thread::spawn(move || {
        for line in output.lines().map_while(Result::ok) {
            if line == "done" {
                let _ = sender.send(());
            }
        }
    });
    let input = child.stdin.take().expect("it is piped");
    let pids = (mode == "nest").then(|| std::fs::File::from(reader));
    Agent { child, input, done, lane, pids }
}

struct Run {
    shared: &'static Shared,
    segment: Segment,
    small: Segment,
    bar: ProgressBar,
    sums: [Sums; OBJECTS],
    /// Segments, blocks, seats.
    leaked: [usize; 3],
    /// In use when there is no object.
    blocks: [usize; 2],
    hangs: usize,
}

impl Run {
    fn rounds(&mut self, arguments: &Arguments, agents: &mut [Agent]) -> (u64, u64, Duration) {
        drop(Objects::create(&self.segment, &self.small, 0).expect("the objects"));
        let mut faults = Vec::new();
        self.blocks = [&self.segment, &self.small].map(|s| audit::remove_all(s, &mut faults).len());
        let start = Instant::now();
        let (mut round, mut calm_rounds) = (0, 0);
        while start.elapsed().as_secs() < arguments.seconds && self.hangs == 0 {
            round += 1;
            let calm = round % CALM_EVERY == 2;
            calm_rounds += u64::from(calm);
            self.round(arguments, agents, round, calm, start);
        }
        (round, calm_rounds, start.elapsed())
    }

    fn round(&mut self, arguments: &Arguments, agents: &mut [Agent], round: u64, calm: bool, start: Instant) {
        let shared = self.shared;
        let ledger = &shared.ledger;
        ledger.clear_round();
        let objects = Objects::create(&self.segment, &self.small, round).expect("the objects of the round");
        ledger.head(head::STOP).store(0, SeqCst);
        ledger.head(head::CALM).store(calm.into(), SeqCst);
        let end = now() + ROUND.as_nanos() as u64;
        ledger.head(head::NO_LONG_WAITS).store(end - 1_000_000_000, SeqCst);
        for agent in agents.iter_mut() {
            if let Err(e) = writeln!(agent.input, "{round}") {
                note(shared, &self.bar, format!("the agent of lane {} has ended: {e}", agent.lane));
            }
        }
        while now() < end {
            std::thread::sleep(Duration::from_millis(100));
            self.show(start, round);
        }
        ledger.head(head::STOP).store(1, SeqCst);
        let begun = Instant::now();
        for agent in agents.iter_mut() {
            let left = END_OF_ROUND.saturating_sub(begun.elapsed());
            if agent.done.recv_timeout(left).is_err() || !watch::hanging(ledger).is_empty() {
                return self.hang(arguments, agent.lane, round);
            }
        }
        let mut worker = Worker::new(ledger, &objects, &self.segment, 2, AUDITOR);
        for lane in 0..LANES {
            ledger.settle(lane);
        }
        let mut audit = Audit { ledger, sums: &mut self.sums, faults: Vec::new() };
        audit.all(&mut worker, &self.segment, &self.small);
        let mut faults = audit.faults;
        drop(objects);
        for (i, s) in [&self.segment, &self.small].into_iter().enumerate() {
            let left = audit::remove_all(s, &mut faults);
            if left.len() != self.blocks[i] {
                faults.push(format!(
                    "leaked: {} blocks were in use at first, now those of {left:x?}",
                    self.blocks[i]
                ));
                self.leaked[1] += left.len().saturating_sub(self.blocks[i]);
                self.blocks[i] = left.len();
            }
        }
        self.leaked[2] += faults.iter().filter(|fault| fault.starts_with("leaked seats")).count();
        for fault in faults {
            note(shared, &self.bar, format!("round {round}: {fault}"));
        }
        if !self.bar.is_hidden() || round.is_multiple_of(4) {
            self.show(start, round);
        }
        if self.bar.is_hidden() && round.is_multiple_of(4) {
            println!("{}", self.line(start, round));
        }
    }

    fn line(&self, start: Instant, round: u64) -> String {
        let kills = self.shared.counts.kills.load(SeqCst);
        let faults = self.shared.faults.lock().expect("nobody panics with it").len();
        let seconds = start.elapsed().as_secs_f64();
        let rate = kills as f64 / seconds;
        format!(
            "{seconds:.0} s, round {round}: {} kills ({rate:.0}/s), {faults} faults",
            report::grouped(kills)
        )
    }

    fn show(&self, start: Instant, round: u64) {
        self.bar.set_position(start.elapsed().as_secs());
        self.bar.set_message(self.line(start, round));
    }

    fn hang(&mut self, arguments: &Arguments, lane: usize, round: u64) {
        self.shared.quit.store(true, SeqCst);
        self.hangs += 1;
        let seed = self.shared.ledger.head(head::SEED).load(SeqCst);
        let path = format!("{}/hang-{seed}-{round}.txt", arguments.dumps);
        let text = watch::describe(&self.shared.ledger, &self.segment);
        let lanes = watch::hanging(&self.shared.ledger);
        let written = std::fs::write(&path, text).map_or_else(|e| e.to_string(), |()| path);
        note(
            self.shared,
            &self.bar,
            format!("HANG: round {round} does not end (lane {lane}; {lanes:?}): see {written}"),
        );
    }

    fn finish(
        mut self,
        arguments: &Arguments,
        seed: u64,
        agents: Vec<Agent>,
        rounds: u64,
        calm_rounds: u64,
        seconds: u64,
    ) -> i32 {
        let name = self.segment.name().to_owned();
        for mut agent in agents {
            drop(agent.input);
            if self.hangs > 0 {
                let _ = agent.child.kill();
            }
            let status = agent.child.wait().expect("it is our child");
            if !status.success() && self.hangs == 0 {
                note(self.shared, &self.bar, format!("the agent of lane {} ended with {status}", agent.lane));
            }
        }
        drop((self.segment, self.small));
        // One whose participants were killed all at once has no last to unlink it: who creates or collects does.
        let _ = Segment::gc();
        let left = Segment::names().unwrap_or_default().into_iter().filter(|n| n.starts_with(&name));
        for left in left.collect::<Vec<_>>() {
            self.leaked[0] += 1;
            note(self.shared, &self.bar, format!("leaked: the segment {left}"));
            let _ = Segment::unlink(&left);
        }
        self.bar.finish_and_clear();
        let faults = self.shared.faults.lock().expect("nobody panics with it");
        let of = |object: usize, words: [&str; 2]| {
            let is = |line: &&String| {
                line.contains(&format!("{}: ", NAMES[object])) && words.iter().any(|w| line.contains(w))
            };
            faults.iter().filter(is).count() as u64
        };
        let counts = &self.shared.counts;
        let summary = report::Summary {
            machine: machine(),
            seed,
            seconds,
            rounds,
            calm_rounds,
            kills: counts.kills.load(SeqCst),
            stops: counts.stops.load(SeqCst),
            killed_while_stopped: counts.killed_while_stopped.load(SeqCst),
            faults: faults.len(),
            hangs: self.hangs,
            leaked: self.leaked,
            faults_by_object: std::array::from_fn(|o| {
                [of(o, ["doubled", "robbed"]), of(o, ["torn", "went back"])]
            }),
        };
        let table = report::table(&self.shared.ledger, &self.sums, &summary);
        let sentence = report::sentence(&self.shared.ledger, &summary);
        println!("{table}\n\n{sentence}");
        if let Some(path) = &arguments.report
            && let Err(e) = report::write_into(path, &format!("{sentence}\n\n{table}"))
        {
            eprintln!("{e}");
            return 1;
        }
        if summary.kills == 0 || rounds == 0 {
            eprintln!("nobody was killed: nothing was tested");
            return 1;
        }
        i32::from(!faults.is_empty())
    }
}

/// What the figures were measured on.
fn machine() -> String {
    let first = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let date = Command::new("date")
        .arg("+%F")
        .output()
        .map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    format!("{cores} processors, Linux {}, {}", first("/proc/sys/kernel/osrelease"), date.unwrap_or_default())
}
