//! Looks whether everybody goes on, and writes down where who does not go on stands.

use std::fmt::Write;
use std::fs::read_to_string;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering::SeqCst;

use sharecell::Segment;

use crate::ledger::*;

/// Longer than the longest wait and the longest stop together.
const TOO_LONG: u64 = 70_000_000_000;

/// The lanes whose operation should have ended long ago.
pub fn hanging(ledger: &Ledger) -> Vec<usize> {
    let hangs = |lane: &usize| {
        let word = |word| ledger.lane(*lane, word).load(SeqCst);
        let since = word(lane::SINCE);
        word(lane::OP) != 0 && word(lane::STOPPED) == 0 && now().saturating_sub(since) > TOO_LONG
    };
    (0..LANES).filter(|lane| *lane != AUDITOR).filter(hangs).collect()
}

/// What can be known of all lanes and participants, with stacks where gdb is there.
pub fn describe(ledger: &Ledger, segment: &Segment) -> String {
    let mut text = String::new();
    for lane in 0..LANES {
        let word = |word| ledger.lane(lane, word).load(SeqCst);
        let (pid, op) = (word(lane::PID), word(lane::OP));
        if word(lane::LIFE) == 0 {
            continue;
        }
        let at = (op & 0xff) as usize;
        let what = if at == 0 { "nothing" } else { NAMES[at - 1] };
        let age = now().saturating_sub(word(lane::SINCE)) / 1_000_000;
        let _ = writeln!(
            text,
            "lane {lane}: life {}, doomed {}, pid {pid}, at {what} (kind {}), begun {age} ms ago, stopped {}",
            word(lane::LIFE),
            word(lane::DOOMED),
            op >> 8 & 0xff,
            word(lane::STOPPED)
        );
        if pid != 0 {
            let _ = writeln!(text, "{}", process(pid));
        }
    }
    for (object, name) in NAMES.iter().enumerate() {
        let holder = ledger.object(object, object::HOLDER).load(SeqCst);
        if holder != 0 {
            let _ = writeln!(text, "{name}: held by lane {} life {}", holder >> 40, holder & ((1 << 40) - 1));
        }
    }
    for participant in segment.participants() {
        let _ = writeln!(text, "{participant:?}");
    }
    text
}

fn process(pid: u64) -> String {
    let file = |name: &str| read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_else(|e| e.to_string());
    let mut text =
        format!("  wchan {}\n  syscall {}  stack\n{}", file("wchan"), file("syscall"), file("stack"));
    let gdb = Command::new("gdb")
        .args(["-batch", "-p", &pid.to_string(), "-ex", "thread apply all bt"])
        .stdin(Stdio::null())
        .output();
    if let Ok(output) = gdb {
        text += &String::from_utf8_lossy(&output.stdout);
    }
    text
}
