//! Runs models and mutations, each in a process of its own: some defects end in an abort or a fault.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::FromRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use sharecell::model;

use super::mutations::{self, BROKEN, Mutation};
use super::scene::Scene;
use super::{directory, pipes, queues, runs, seats, sync, weakened};

const MODEL: &str = "SHARECELL_MODEL";
const MUTATION: &str = "SHARECELL_MUTATION";
/// Set to see what led to a failure, access by access.
const TRACE: &str = "SHARECELL_TRACE";
/// Printed where a model did not come to the place of a defect.
const UNMET: &str = "the place was not met";
/// Far beyond what any model takes: reached only by a loop without an end.
const MOST_STEPS: usize = 20_000;
/// How long a model may take: a watchdog only.
const TIME: Duration = Duration::from_secs(3600);
const MOST_DEATHS: u32 = 200;

/// A model: one execution of it, and how it is explored.
pub struct Model {
    pub name: &'static str,
    /// Plays one execution in a scene.
    pub play: fn(&Scene),
    pub seats: u32,
    /// Whether it has a victim, which is killed at each of its steps.
    pub deadly: bool,
    /// Preemptions that are explored in the short form, and in the long one.
    pub preemptions: (usize, usize),
}

/// A model in which nobody is killed.
pub const fn model(name: &'static str, seats: u32, preemptions: (usize, usize), play: fn(&Scene)) -> Model {
    Model { name, play, seats, deadly: false, preemptions }
}

/// A model in which the victim is killed at each of its steps, and at none.
pub const fn deadly(name: &'static str, seats: u32, preemptions: (usize, usize), play: fn(&Scene)) -> Model {
    Model { name, play, seats, deadly: true, preemptions }
}

fn models() -> Vec<&'static Model> {
    [queues::MODELS, runs::MODELS, sync::MODELS, pipes::MODELS, seats::MODELS, directory::MODELS]
        .into_iter()
        .flatten()
        .collect()
}

pub fn main() -> ExitCode {
    if let Ok(name) = std::env::var(MODEL) {
        if let Ok(mutation) = std::env::var(MUTATION) {
            mutations::apply(&mutation);
        }
        if std::env::var_os(TRACE).is_some() {
            print_traces();
        }
        let model = models().into_iter().find(|model| model.name == name).expect("a known model");
        let mutated = std::env::var_os(MUTATION).is_some();
        explore(model, std::env::var("LONG").is_ok_and(|value| !value.is_empty()));
        if mutated && !model::is_met() {
            println!("{UNMET}");
        }
        return ExitCode::SUCCESS;
    }
    let filters: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if std::env::var("WEAKEN").is_ok_and(|value| !value.is_empty()) {
        let count = weakened::run(filters.first().map_or("", String::as_str));
        println!("{count} ordered accesses relaxed, one at a time");
        return if count > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let chosen = |name: &str| filters.is_empty() || filters.iter().any(|f| name.contains(f.as_str()));
    let models: Vec<Job> = models().into_iter().filter(|m| chosen(m.name)).map(Job::Model).collect();
    let mutants: Vec<Job> = mutations::all().filter(|m| chosen(m.name)).map(Job::Mutation).collect();
    let (explored, killed) = (AtomicU64::new(0), AtomicUsize::new(0));
    let good = run(&models, &explored, &killed) & run(&mutants, &explored, &killed);
    println!(
        "{} models, {} executions explored; {} of {} mutations noticed",
        models.len(),
        explored.into_inner(),
        killed.into_inner(),
        mutants.len()
    );
    if good && models.len() + mutants.len() > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

enum Job {
    Model(&'static Model),
    Mutation(&'static Mutation),
}

/// Runs jobs side by side; whether all went as they should.
fn run(jobs: &[Job], explored: &AtomicU64, killed: &AtomicUsize) -> bool {
    let (queue, good) = (Mutex::new(jobs.iter()), AtomicBool::new(true));
    let work = || loop {
        let Some(job) = queue.lock().unwrap().next() else { return };
        let start = Instant::now();
        let (line, fine) = match job {
            Job::Model(model) => check(model, explored),
            Job::Mutation(mutation) => check_noticed(mutation, killed),
        };
        good.fetch_and(fine, Relaxed);
        let mark = if fine { "" } else { "FAILED " };
        writeln!(std::io::stdout().lock(), "{mark}{line} ({:.1} s)", start.elapsed().as_secs_f32()).unwrap();
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    good.into_inner()
}

fn child(model: &str, mutation: Option<&str>) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(MODEL, model).env("RUST_BACKTRACE", "0").stdin(Stdio::null());
    if let Some(mutation) = mutation {
        command.env(MUTATION, mutation);
    }
    let (stdout, stderr) = (file(), file());
    let mut child =
        command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap()).spawn().unwrap();
    let start = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if start.elapsed() > TIME => {
                let _ = child.kill();
                child.wait().unwrap();
                return Output {
                    stderr: format!("{BROKEN}: it takes longer than {TIME:?}"),
                    ..Output::default()
                };
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    Output { good: status.success(), status: status.to_string(), stdout: text(stdout), stderr: text(stderr) }
}

/// A file without a name.
fn file() -> File {
    // SAFETY: the name is a valid string, and the descriptor is new.
    unsafe { File::from_raw_fd(libc::memfd_create(c"output".as_ptr(), libc::MFD_CLOEXEC)) }
}

fn text(mut file: File) -> String {
    file.rewind().unwrap();
    std::io::read_to_string(file).unwrap()
}

/// How a process of a model has ended.
#[derive(Default)]
struct Output {
    good: bool,
    status: String,
    stdout: String,
    stderr: String,
}

/// Prints the execution that ends in a panic.
fn print_traces() {
    model::keep_trace();
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        hook(info);
        model::trace().iter().for_each(|line| eprintln!("  {line}"));
    }));
}

/// A model must end well, having explored something.
fn check(model: &Model, explored: &AtomicU64) -> (String, bool) {
    let output = child(model.name, None);
    let text = &output.stdout;
    let last = text.lines().last().unwrap_or_default();
    let count: u64 = last.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
    explored.fetch_add(count, Relaxed);
    if output.good && count > 0 {
        return (format!("{}: {last}", model.name), true);
    }
    (format!("{}: {}\n{text}{}", model.name, output.status, output.stderr), false)
}

/// A mutation must make its model fail, by what the model or loom says and not by a mistake of this test.
fn check_noticed(mutation: &Mutation, killed: &AtomicUsize) -> (String, bool) {
    let output = child(mutation.model, Some(mutation.name));
    if is_noticed(&output) {
        killed.fetch_add(1, Relaxed);
        return (format!("noticed: {} [{}]", mutation.name, reason(&output.stderr)), true);
    }
    let text = &output.stderr;
    let text = if output.good { "the model did not notice it" } else { text };
    (format!("mutation {:?} of {:?}: {text}", mutation.name, mutation.model), false)
}

fn is_noticed(output: &Output) -> bool {
    let text = &output.stderr;
    let broken = text.contains(BROKEN) || text.contains("model fully deterministic");
    !output.good && !broken && !reason(text).is_empty()
}

/// What became of a weakened access in a model.
pub enum Explored {
    Noticed,
    /// The model went through it.
    Unnoticed,
    /// The model never came to it.
    Unmet,
}

/// Explores a model with what is at `place`, as `FILE:LINE`, relaxed.
pub fn explore_weakened(model: &Model, place: &str) -> Explored {
    let output = child(model.name, Some(place));
    match output.stdout.contains(UNMET) {
        _ if is_noticed(&output) => Explored::Noticed,
        true => Explored::Unmet,
        false => Explored::Unnoticed,
    }
}

/// The first line of the first panic's message.
fn reason(text: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.contains("panicked at")).skip(1);
    let line = lines.find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.chars().take(90).collect()
}

/// Explores a model in all of its forms, and prints how many executions that took.
fn explore(model: &'static Model, long: bool) {
    let bound = if long { model.preemptions.1 } else { model.preemptions.0 };
    let mut total = explore_killed_at(model, None, bound).0;
    let mut deaths = 0;
    if model.deadly {
        for k in 1.. {
            assert!(k < MOST_DEATHS, "a victim without an end");
            let (executions, died) = explore_killed_at(model, Some(k), bound);
            total += executions;
            if !died {
                break;
            }
            deaths = k;
        }
        assert!(deaths > 0, "nobody was killed");
    }
    let deaths = if model.deadly { format!(", killed at {deaths} steps") } else { String::new() };
    println!("{total} executions, {bound} preemptions, {} shared words{deaths}", model::words_known());
}

/// Explores all executions in which the victim is killed at its `kill`-th step; how many there were, and whether
/// it was killed in any.
fn explore_killed_at(model: &'static Model, kill: Option<u32>, bound: usize) -> (u64, bool) {
    struct Learnt;
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(bound);
    builder.max_branches = MOST_STEPS;
    loop {
        let count = Arc::new((AtomicU64::new(0), AtomicBool::new(false)));
        let counted = Arc::clone(&count);
        let once = move || {
            let scene = Scene::new(model.seats, kill);
            (model.play)(&scene);
            if model::has_learnt() {
                resume_unwind(Box::new(Learnt));
            }
            counted.0.fetch_add(1, Relaxed);
            counted.1.fetch_or(!scene.survived.get(), Relaxed);
        };
        match catch_unwind(AssertUnwindSafe(|| builder.check(once))) {
            Ok(()) => return (count.0.load(Relaxed), count.1.load(Relaxed)),
            Err(why) if why.is::<Learnt>() => {}
            Err(why) => resume_unwind(why),
        }
    }
}
