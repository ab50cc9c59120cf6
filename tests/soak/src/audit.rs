//! Between rounds, when all others have left: is everything there, and nothing more?

use std::sync::atomic::Ordering::SeqCst;

use sharecell::*;

use crate::blocks;
use crate::ledger::*;
use crate::objects::{Objects, PERMITS, SIGNALS};
use crate::worker::Worker;

/// What a round came to, by object; added up over the rounds.
#[derive(Clone, Copy, Default)]
pub struct Sums {
    pub operations: u64,
    pub lost: u64,
    /// Items that a process was copying out, or had just copied out, when it was killed.
    pub went_along: u64,
    pub again: u64,
}

pub struct Audit<'a> {
    pub ledger: &'a Ledger,
    pub sums: &'a mut [Sums; OBJECTS],
    pub faults: Vec<String>,
}

impl Audit<'_> {
    fn fault(&mut self, object: usize, text: String) {
        self.faults.push(format!("{}: {text}", NAMES[object]));
    }

    /// `have` is what is counted in the object.
    fn between(&mut self, object: usize, have: i64, low: i64, high: i64) {
        if have < low || have > high {
            self.fault(object, format!("{have} counted, and it should be {low} to {high}"));
        }
        if have < low {
            self.sums[object].lost += (low - have) as u64;
        }
    }

    fn sum(&self, object: usize, word: usize) -> i64 {
        self.ledger.sum(object, word) as i64
    }

    pub fn all(&mut self, worker: &mut Worker<'_>, segment: &Segment, small: &Segment) {
        for s in [segment, small] {
            s.recover();
            let others: Vec<_> =
                s.participants().into_iter().filter(|p| p.pid != std::process::id()).collect();
            if !others.is_empty() {
                self.faults.push(format!("leaked seats: {others:?}"));
            }
        }
        self.cells(worker.objects);
        self.locks(worker.objects);
        self.counters(worker.objects);
        for object in FIRST_ITEMS..FIRST_ITEMS + ITEM_OBJECTS {
            self.drain(worker, object);
            self.items(object);
        }
        for object in 0..OBJECTS {
            self.sums[object].operations += match object {
                0 | 1 => self.ledger.sum(object, tally::A),
                11..19 => 0,
                _ => self.ledger.sum(object, tally::A) + self.ledger.sum(object, tally::B),
            };
        }
    }

    fn cells(&mut self, o: &Objects) {
        let value = o.value.get().unwrap_or(-1);
        let wide = o.wide.get().map_or(-1, |w| if w.is_whole() { w.0[0] as i64 } else { -1 });
        for (object, have) in [(0, value), (1, wide)] {
            let done = self.sum(object, tally::A);
            self.between(object, have, done, done + self.sum(object, tally::A_KILLED));
        }
    }

    fn locks(&mut self, o: &Objects) {
        let free = [
            (2, o.array.try_lock().map(drop)),
            (3, o.lock.try_lock().map(drop)),
            (4, o.rlock.try_lock().map(drop)),
            (5, o.rwlock.try_write().map(drop)),
            (8, o.condition.lock_until(Deadline::Now).map(drop)),
        ];
        for (object, taken) in free {
            if let Err(e) = taken {
                self.fault(object, format!("nobody is left, and yet: {e}"));
            }
        }
    }

    fn counters(&mut self, o: &Objects) {
        let first = i64::from(SIGNALS);
        let [a, b] = [tally::A, tally::B].map(|word| self.sum(6, word));
        let [ak, bk] = [tally::A_KILLED, tally::B_KILLED].map(|word| self.sum(6, word));
        self.between(6, o.semaphore.value().into(), first + a - b - bk, first + a - b + ak);
        self.between(7, o.undo.value().into(), PERMITS.into(), PERMITS.into());
        let [a, b] = [tally::A, tally::B].map(|word| self.sum(8, word));
        let [ak, bk] = [tally::A_KILLED, tally::B_KILLED].map(|word| self.sum(8, word));
        self.between(8, o.array.get(12).map_or(-1, |n| n as i64), a - b - bk, a - b + ak);
        if o.condition.waiters() != 0 {
            self.fault(8, format!("{} waiters are left", o.condition.waiters()));
        }
        o.event.set();
        if let Err(e) = o.event.wait_until(Deadline::Now) {
            self.fault(9, format!("set, and yet: {e}"));
        }
        let difference = self.sum(10, tally::A) - self.sum(10, tally::B);
        if difference.abs() > self.sum(10, tally::TAKES_KILLED) {
            self.fault(10, format!("one party went on {difference} times more often than the other"));
        }
        if o.barrier.n_waiting() != 0 {
            self.fault(10, format!("{} are still waiting", o.barrier.n_waiting()));
        }
    }

    fn drain(&mut self, worker: &mut Worker<'_>, object: usize) {
        let o = worker.objects;
        loop {
            let next = match object {
                11..15 => o.queues[object - 11].get_until(Deadline::Now),
                _ => {
                    let [a, b] = &o.pipes[[0, 0, 1, 2][object - 15]];
                    (if object == 15 { b } else { a }).recv_until(Deadline::Now)
                }
            };
            match next {
                Ok(bytes) => {
                    worker.drained(object, &bytes);
                    if object == 13 {
                        let _ = o.queues[2].task_done();
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) => return self.fault(object, format!("draining it: {e}")),
            }
        }
        if let 11..15 = object {
            let queue = &o.queues[object - 11];
            if queue.qsize() != 0 || queue.is_full() {
                self.fault(object, format!("empty, and yet has {} items", queue.qsize()));
            }
            if object == 13
                && let Err(e) = queue.join(Deadline::Now)
            {
                self.fault(object, format!("all is done, and yet a join: {e}"));
            }
            queue.shutdown();
            match queue.try_get() {
                Err(e) if e.kind() == ErrorKind::Closed => {}
                other => self.fault(object, format!("shut down, and a get: {other:?}")),
            }
        }
    }

    fn items(&mut self, object: usize) {
        let (mut missing, mut missing_parts) = (Vec::new(), 0u64);
        for lane in 0..LANES {
            for seq in 0..self.ledger.tally(lane, object, tally::BEGUN).load(SeqCst) {
                let word = |word| self.ledger.item(object, lane, seq, word).load(SeqCst);
                let (put, who) = (word(item::PUT), word(item::WHO));
                match put {
                    RETURNED if who == 0 && object == PARTS && word(item::NUMBER) == LONG => {
                        missing_parts += 1
                    }
                    RETURNED if who == 0 || who == PUT_BACK => missing.push((lane, seq)),
                    REFUSED if who != 0 => {
                        self.fault(object, format!("item {seq} of lane {lane} was refused and came"))
                    }
                    _ => {}
                }
            }
        }
        let excused = self.ledger.sum(object, tally::B_KILLED);
        // A message in parts also goes along with one who has received a part of it.
        let halves = self.ledger.sum(object, tally::HALVES);
        let missed = missing.len() as u64 + missing_parts.saturating_sub(halves);
        self.sums[object].went_along += missing_parts.min(halves);
        if missed > excused {
            missing.truncate(5);
            self.fault(
                object,
                format!("{missed} items are gone, {excused} getters were killed: {missing:?}"),
            );
            self.sums[object].lost += missed - excused;
        }
        self.sums[object].went_along += missed.min(excused);
        let late = self.ledger.sum(object, tally::LATE);
        let again = self.ledger.sum(object, tally::TAKES_KILLED) + self.ledger.sum(object, tally::PUT_BACKS);
        if late > again {
            self.fault(object, format!("{late} items came late, and at most {again} were delivered again"));
        }
        self.sums[object].operations += self.ledger.sum(object, tally::A);
        self.sums[object].again += late;
    }
}

/// Removes all objects of a segment; the owners of the blocks that are in use then.
pub fn remove_all(segment: &Segment, faults: &mut Vec<String>) -> Vec<u64> {
    for object in segment.objects().unwrap_or_default() {
        if let Err(e) = segment.remove(&object.name) {
            faults.push(format!("removing {}: {e}", object.name));
        }
    }
    blocks::owners(segment.name())
}
