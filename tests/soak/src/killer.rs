//! Kills and stops the workers of a lane, one after the other.

use std::io::Read;
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

/// The killer of one lane.
pub struct Killer<'a> {
    pub ledger: &'a Ledger,
    pub lane: usize,
    pub counts: &'a Counts,
    pub random: Random,
    /// How long a worker lives in microseconds, on average.
    pub life: u64,
}

impl Killer<'_> {
    /// Kills those whose pids come, until the agent ends or there is a hang to be looked at. Each is a child of the
    /// agent's that nobody else ends, so it is not somebody else's pid.
    pub fn serve(&mut self, mut pids: std::fs::File, quit: &AtomicBool) {
        let stopping = || self.ledger.head(head::STOP).load(SeqCst) != 0;
        let mut bytes = [0; 4];
        while pids.read_exact(&mut bytes).is_ok() {
            let pid = i32::from_ne_bytes(bytes);
            if self.ledger.head(head::CALM).load(SeqCst) != 0 {
                while !stopping() && !quit.load(SeqCst) {
                    std::thread::sleep(Duration::from_millis(5));
                }
                self.ledger.head(head::CALM).store(0, SeqCst);
            } else {
                std::thread::sleep(Duration::from_micros(self.random.below(2 * self.life)));
            }
            if quit.load(SeqCst) {
                return;
            }
            if !stopping() && self.random.below(40) == 0 {
                self.stop(pid);
            }
            self.kill(pid);
        }
    }

    fn stop(&mut self, pid: i32) {
        let ledger = self.ledger;
        ledger.lane(self.lane, lane::STOPPED).store(1, SeqCst);
        ledger.lane(self.lane, lane::STOPS).fetch_add(1, SeqCst);
        signal(pid, libc::SIGSTOP);
        self.counts.stops.fetch_add(1, SeqCst);
        let object = at(ledger, self.lane);
        if let Some(object) = object {
            ledger.object(object, object::STOPS).fetch_add(1, SeqCst);
            ledger.object(object, object::STOPPED_IN).fetch_add(1, SeqCst);
        }
        // Some for longer than any tick: who robs the living does it then.
        let long = self.random.below(20) == 0;
        ledger.head(head::LONG_STOPS).fetch_add(long.into(), SeqCst);
        ledger.head(head::LONG_STOP_EVENTS).fetch_add(long.into(), SeqCst);
        for _ in 0..if long { 2_300 } else { 1 + self.random.below(30) } {
            std::thread::sleep(Duration::from_millis(1));
            if ledger.head(head::STOP).load(SeqCst) != 0 {
                break;
            }
        }
        if let Some(object) = object {
            ledger.object(object, object::STOPPED_IN).fetch_sub(1, SeqCst);
        }
        if long {
            // Who was killed meanwhile may have waited for it.
            (0..OBJECTS).for_each(|object| ledger.object(object, object::KILLED_AT).store(0, SeqCst));
            ledger.head(head::LONG_STOP_EVENTS).fetch_add(1, SeqCst);
            ledger.head(head::LONG_STOPS).fetch_sub(1, SeqCst);
        }
        if self.random.below(3) > 0 {
            signal(pid, libc::SIGCONT);
            std::thread::sleep(Duration::from_micros(self.random.below(1000)));
        } else {
            self.counts.killed_while_stopped.fetch_add(1, SeqCst);
        }
        ledger.lane(self.lane, lane::STOPPED).store(0, SeqCst);
    }

    fn kill(&self, pid: i32) {
        let (ledger, forked) = (self.ledger, self.lane + FORKED);
        // From now on others may take what it has. An exec adds one to an even life.
        let life = ledger.lane(self.lane, lane::LIFE).load(SeqCst) | 1;
        ledger.lane(self.lane, lane::DOOMED).fetch_max(life, SeqCst);
        ledger.lane(forked, lane::DOOMED).fetch_max(life, SeqCst);
        let objects = [at(ledger, self.lane), at(ledger, forked)];
        let time = now();
        signal(pid, libc::SIGKILL);
        for object in objects.into_iter().flatten() {
            let _ = ledger.object(object, object::KILLED_AT).compare_exchange(0, time, SeqCst, SeqCst);
        }
        self.counts.kills.fetch_add(1, SeqCst);
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
