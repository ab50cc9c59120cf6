//! Every operation is killed at every step, and survivors look after it.
//!
//! For each case a process is forked, and killed at a chosen step of the case's operation. After each death the
//! survivor sweeps (or those who wait do), checks what the case promises, removes everything, and counts the blocks
//! of the arena: none may have been lost. Now and then it also uses all kinds of objects.
//!
//! With the feature `steps` a step is an access to shared memory ([`count`]), without it an instruction or a system
//! call, under ptrace ([`trace`]). Either writes its part of `docs/recovery.md` with `SHARECELL_BLESS=1`, and compares
//! what survivors see with it otherwise.
//!
//! Each case runs in a process of its own, so that one that hangs does not keep the others from running.

#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "steps")]
mod count;
mod directory;
mod handing;
#[cfg(not(feature = "steps"))]
mod instants;
mod objects;
mod pipes;
mod play;
mod queues;
mod report;
mod runs;
mod scene;
mod segments;
mod shared;
mod sweeps;
mod sync;
mod table;
#[cfg(not(feature = "steps"))]
mod trace;
mod trials;
mod typed;
mod values;

use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::Duration;

#[cfg(feature = "steps")]
use count::run_case;
#[cfg(not(feature = "steps"))]
use instants::run_case;
use report::Report;
use scene::Case;

const CASE: &str = "SHARECELL_TEST_CASE";
/// How long a case may take, in the short form and in the others.
const TIME: Duration = Duration::from_secs(900);
const LONG_TIME: Duration = Duration::from_secs(24 * 3600);

/// How many steps are tried: set `LONG` for many more, to `all` for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Short,
    Long,
    All,
}

fn main() -> ExitCode {
    #[cfg(not(feature = "steps"))]
    if !trace::is_permitted() {
        return ExitCode::SUCCESS;
    }
    let mut cases = cases();
    // The forked child of a process counts on where that has stopped: these are the accesses of both.
    cases.retain(|case| cfg!(not(feature = "steps")) || case.who == scene::Who::Itself);
    let form = match std::env::var("LONG").as_deref() {
        Ok("all") => Form::All,
        Ok("") | Err(_) => Form::Short,
        Ok(_) => Form::Long,
    };
    if let Ok(name) = std::env::var(CASE) {
        play::reap_orphans_here();
        run_case(cases.iter().find(|case| case.name == name).expect("a known case"), form);
        return ExitCode::SUCCESS;
    }
    let filters: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let chosen = |case: &&Case| filters.is_empty() || filters.iter().any(|f| case.name.contains(f.as_str()));
    let names: Vec<_> = cases.iter().filter(chosen).map(|case| (case.object, case.name.as_str())).collect();
    #[cfg(feature = "steps")]
    println!("pairs are drawn with the seed {}", count::SEED);
    let start = std::time::Instant::now();
    let (queue, report) = (Mutex::new(names.iter()), Mutex::new(Report::default()));
    let work = || loop {
        let Some((object, name)) = queue.lock().unwrap().next() else { return };
        let begin = std::time::Instant::now();
        let outcome = supervise(name, if form == Form::Short { TIME } else { LONG_TIME });
        report.lock().unwrap().add(object, name, outcome, begin.elapsed());
    };
    std::thread::scope(|scope| {
        for _ in 0..=processors() {
            scope.spawn(work);
        }
    });
    let order = |name: &str| names.iter().position(|known| known.1 == name);
    println!("\ntook {:.0} s", start.elapsed().as_secs_f64());
    let good = report.into_inner().unwrap().close(order, filters.is_empty());
    if good && !names.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs a case in a process of its own; how that ended, and what it said.
fn supervise(name: &str, time: Duration) -> (String, String) {
    let (out, write) = std::io::pipe().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(CASE, name).stdout(write.try_clone().unwrap()).stderr(write);
    let mut child = command.spawn().unwrap();
    drop(command);
    let (sender, output) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(std::io::read_to_string(out).unwrap_or_default()));
    // Its output ends when it and all that it has started have ended.
    if let Ok(output) = output.recv_timeout(time) {
        return (child.wait().unwrap().to_string(), output);
    }
    let _ = child.kill();
    let _ = child.wait();
    (report::HANGS.to_owned(), output.recv_timeout(Duration::from_secs(1)).unwrap_or_default())
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(64)
}

fn cases() -> Vec<Case> {
    let about =
        |object: &'static str, cases: Vec<Case>| cases.into_iter().map(move |case| case.about(object));
    about("segment", segments::cases())
        .chain(about("segment", handing::cases()))
        .chain(about("object", directory::cases()))
        .chain(about("value", values::cases()))
        .chain(sync::cases())
        .chain(about("queue", queues::cases()))
        .chain(about("queue", runs::cases()))
        .chain(about("queue", typed::queues()))
        .chain(about("pipe", pipes::cases()))
        .chain(about("pipe", typed::pipes()))
        .chain(about("sweep", sweeps::cases()))
        .collect()
}
