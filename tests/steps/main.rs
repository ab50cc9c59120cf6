//! Every operation is killed at each of its accesses to shared memory, and a survivor looks after it.
//!
//! For each case a process is forked that is killed at its k-th access (feature `steps`), for every k until
//! it gets through. After each death the survivor sweeps, checks what the case promises, uses all kinds of
//! objects, removes everything, and counts the blocks of the arena: none may have been lost.
//!
//! Each case runs in a process of its own, so that one that hangs does not keep the others from running.
#![cfg(feature = "steps")]

#[path = "../common/mod.rs"]
mod common;
mod directory;
mod objects;
mod pipes;
mod queues;
mod scene;
mod segments;
mod sweeps;
mod sync;
mod values;

use std::io::Write;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::Duration;

use scene::Case;

const CASE: &str = "SHARECELL_TEST_CASE";
/// How long a case may take.
const TIME: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    let cases = cases();
    if let Ok(name) = std::env::var(CASE) {
        scene::run_case(cases.iter().find(|case| case.name == name).expect("a known case"));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let chosen = |case: &&Case| filters.is_empty() || filters.iter().any(|f| case.name.contains(f.as_str()));
    let names: Vec<&str> = cases.iter().filter(chosen).map(|case| case.name.as_str()).collect();
    let (queue, failed) = (Mutex::new(names.iter()), Mutex::new(0));
    let work = || loop {
        let Some(name) = queue.lock().unwrap().next() else { return };
        *failed.lock().unwrap() += i32::from(!supervise(name));
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    println!("{} passed, {failed} failed", names.len() as i32 - failed);
    if failed > 0 || names.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Runs a case in a process of its own, and says how it went.
fn supervise(name: &str) -> bool {
    let (out, write) = std::io::pipe().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(CASE, name).stdout(write.try_clone().unwrap()).stderr(write);
    let mut child = command.spawn().unwrap();
    drop(command);
    let output = std::thread::spawn(move || std::io::read_to_string(out).unwrap_or_default());
    let start = std::time::Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status.to_string(),
            None if start.elapsed() > TIME => {
                let _ = child.kill();
                let _ = child.wait();
                break "it hangs".to_owned();
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let good = status == "exit status: 0";
    let output =
        if status == "it hangs" && !output.is_finished() { String::new() } else { output.join().unwrap() };
    let lines: Vec<&str> = output.lines().collect();
    let mut stdout = std::io::stdout().lock();
    if good {
        writeln!(stdout, "{name}: {}", lines.last().unwrap_or(&"")).unwrap();
    } else {
        let last = lines.iter().rposition(|line| line.starts_with("at access")).unwrap_or(0);
        writeln!(stdout, "FAILED {name}: {status}\n{}", lines[last..].join("\n")).unwrap();
    }
    good
}

fn cases() -> Vec<Case> {
    [
        segments::cases(),
        directory::cases(),
        values::cases(),
        sync::cases(),
        queues::cases(),
        pipes::cases(),
        sweeps::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
