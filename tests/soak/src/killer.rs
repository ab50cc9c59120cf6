//! Kills and stops the workers of a lane, one after the other.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use crate::ledger::*;
use crate::worker::Random;

#[derive(Default)]
pub struct Counts {
    pub kills: AtomicU64,
    pub stops: AtomicU64,
    pub killed_while_stopped: AtomicU64,
}

/// Serves a lane until its agent ends. Each pid that comes is a child of the agent's that nobody else ends, so it
/// is not somebody else's pid.
pub fn serve(
    ledger: &Ledger,
    lane: usize,
    mut pids: std::fs::File,
    seed: u64,
    life_us: u64,
    counts: &Counts,
    quit: &Arc<AtomicBool>,
) {
    let mut random = Random::new(mix(seed, lane as u64, 7));
    let mut bytes = [0; 4];
    while pids.read_exact(&mut bytes).is_ok() {
        let pid = i32::from_ne_bytes(bytes);
        if ledger.head(head::CALM).load(SeqCst) != 0 {
            while ledger.head(head::STOP).load(SeqCst) == 0 && !quit.load(SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            ledger.head(head::CALM).store(0, SeqCst);
        } else {
            std::thread::sleep(Duration::from_micros(random.below(2 * life_us)));
        }
        if quit.load(SeqCst) {
            return; // they are to be looked at as they are
        }
        if ledger.head(head::STOP).load(SeqCst) == 0 && random.below(40) == 0 {
            stop(ledger, lane, pid, &mut random, counts);
        }
        kill(ledger, lane, pid);
        counts.kills.fetch_add(1, SeqCst);
    }
}

/// The object that a lane is at.
fn at(ledger: &Ledger, lane: usize) -> Option<usize> {
    ((ledger.lane(lane, lane::OP).load(SeqCst) & 0xff) as usize).checked_sub(1)
}

fn signal(pid: i32, signal: i32) {
    // SAFETY: kill has no memory-safety preconditions. The group has what the worker has forked.
    unsafe {
        libc::kill(pid, signal);
        libc::kill(-pid, signal);
    }
}

fn stop(ledger: &Ledger, lane: usize, pid: i32, random: &mut Random, counts: &Counts) {
    ledger.lane(lane, lane::STOPPED).store(1, SeqCst);
    ledger.lane(lane, lane::STOPS).fetch_add(1, SeqCst);
    signal(pid, libc::SIGSTOP);
    counts.stops.fetch_add(1, SeqCst);
    let object = at(ledger, lane);
    if let Some(object) = object {
        ledger.object(object, object::STOPS).fetch_add(1, SeqCst);
        ledger.object(object, object::STOPPED_IN).fetch_add(1, SeqCst);
    }
    // Some for longer than any tick: who robs the living does it then.
    let long = random.below(20) == 0;
    let time = if long { 2_300 } else { 1 + random.below(30) };
    ledger.head(head::LONG_STOPS).fetch_add(long.into(), SeqCst);
    for _ in 0..time {
        std::thread::sleep(Duration::from_millis(1));
        if ledger.head(head::STOP).load(SeqCst) != 0 {
            break;
        }
    }
    if let Some(object) = object {
        ledger.object(object, object::STOPPED_IN).fetch_sub(1, SeqCst);
    }
    if long {
        // What was killed meanwhile may have waited for it.
        (0..OBJECTS).for_each(|object| ledger.object(object, object::KILLED_AT).store(0, SeqCst));
        ledger.head(head::LONG_STOPS).fetch_sub(1, SeqCst);
    }
    if random.below(3) > 0 {
        signal(pid, libc::SIGCONT);
        std::thread::sleep(Duration::from_micros(random.below(1000)));
    } else {
        counts.killed_while_stopped.fetch_add(1, SeqCst);
    }
    ledger.lane(lane, lane::STOPPED).store(0, SeqCst);
}

fn kill(ledger: &Ledger, lane: usize, pid: i32) {
    // From now on others may take what it has. An exec adds one to an even life.
    let life = ledger.lane(lane, lane::LIFE).load(SeqCst) | 1;
    ledger.lane(lane, lane::DOOMED).fetch_max(life, SeqCst);
    ledger.lane(lane + FORKED, lane::DOOMED).fetch_max(life, SeqCst);
    let objects = [at(ledger, lane), at(ledger, lane + FORKED)];
    let time = now();
    signal(pid, libc::SIGKILL);
    for object in objects.into_iter().flatten() {
        let _ = ledger.object(object, object::KILLED_AT).compare_exchange(0, time, SeqCst, SeqCst);
    }
}
