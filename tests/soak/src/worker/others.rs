//! Everything that items do not go through: cells, locks, counters, and segments themselves.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use sharecell::*;

use super::{HANG, Worker};
use crate::ledger::*;
use crate::objects::{PERMITS, Wide};

impl Worker<'_> {
    // ---- cells ----------------------------------------------------------------------------------------

    pub(super) fn value(&mut self) {
        let before = self.check(0, self.objects.value.get(), &[]);
        self.begin(0, KIND_A, 1);
        let old = if self.random.below(2) == 0 {
            self.objects.value.add(1)
        } else {
            self.objects.value.update(|n| n + 1)
        };
        if let (Some(before), Some(old)) = (before, self.check(0, old, &[])) {
            if old < before {
                self.fault(0, &format!("went back from {before} to {old}"));
            }
            self.tally(0, tally::A, 1);
        }
        self.end(0, true);
    }

    pub(super) fn wide(&mut self) {
        let whole = |w: &Self, seen: Wide| {
            if !seen.is_whole() {
                w.fault(1, &format!("torn: {seen:?}"));
            }
        };
        if let Some(seen) = self.check(1, self.objects.wide.get(), &[]) {
            whole(self, seen);
        }
        self.begin(1, KIND_A, 1);
        let old = self.objects.wide.update(|w| Wide::of(w.0[0] + 1));
        if let Some(old) = self.check(1, old, &[]) {
            whole(self, old);
            self.tally(1, tally::A, 1);
        }
        self.end(1, true);
    }

    // ---- locks ----------------------------------------------------------------------------------------

    /// Has just acquired an object exclusively.
    fn hold(&self, object: usize, owner_died: bool) {
        let before = self.ledger.object(object, object::HOLDER).swap(self.me(), SeqCst);
        if before != 0 && !self.ledger.is_doomed(before) {
            self.fault(object, &format!("robbed: lane {} has it and lives", before >> 40));
        } else if before != 0 && !owner_died {
            self.fault(object, "the last holder was killed, and the next was not told");
        }
        self.waited(object, self.ledger.object(object, object::RELEASED_AT).load(SeqCst));
    }

    /// Is about to release it.
    fn let_go(&self, object: usize) {
        self.ledger.object(object, object::RELEASED_AT).store(now(), SeqCst);
        if self.ledger.object(object, object::HOLDER).swap(0, SeqCst) != self.me() {
            self.fault(object, "robbed while holding it");
        }
    }

    /// Changes a pair of elements that the object protects.
    fn work(&mut self, object: usize, owner_died: bool) {
        let at = object - 2;
        let pair = |i: usize| self.check(2, self.objects.array.get(2 * at + i), &[]).unwrap_or(0);
        let (a, b) = (pair(0), pair(1));
        if a != b && !owner_died {
            self.fault(object, &format!("torn: {a} and {b}, and nobody died"));
        }
        let next = a.max(b) + 1;
        self.check(2, self.objects.array.set(2 * at, next), &[]);
        if self.random.below(50) == 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
        self.check(2, self.objects.array.set(2 * at + 1, next), &[]);
    }

    pub(super) fn array(&mut self) {
        self.begin(2, KIND_OTHER, 0);
        let guard = self.objects.array.lock_timeout(HANG);
        let guard = self.check(2, guard, &[]);
        if let Some(guard) = guard {
            self.hold(2, guard.owner_died());
            self.work(2, guard.owner_died());
            self.let_go(2);
        }
        self.end(2, true);
    }

    pub(super) fn lock(&mut self) {
        self.begin(3, KIND_OTHER, 0);
        let deadline = if self.random.below(3) == 0 { Deadline::Now } else { Deadline::after(HANG) };
        let allowed: &[ErrorKind] = if deadline == Deadline::Now { &[ErrorKind::WouldBlock] } else { &[] };
        let guard = self.check(3, self.objects.lock.lock_until(deadline), allowed);
        let got = guard.is_some();
        if let Some(guard) = guard {
            self.hold(3, guard.owner_died());
            self.work(3, guard.owner_died());
            self.let_go(3);
        }
        self.end(3, got);
    }

    pub(super) fn rlock(&mut self) {
        self.begin(4, KIND_OTHER, 0);
        let guard = self.check(4, self.objects.rlock.lock_timeout(HANG), &[]);
        if let Some(guard) = guard {
            self.hold(4, guard.owner_died());
            let again = self.check(4, self.objects.rlock.try_lock(), &[]);
            self.work(4, guard.owner_died());
            drop(again);
            self.let_go(4);
        }
        self.end(4, true);
    }

    pub(super) fn rwlock(&mut self) {
        self.begin(5, KIND_OTHER, 0);
        if self.random.below(3) == 0 {
            let guard = self.check(5, self.objects.rwlock.write_timeout(HANG), &[]);
            if let Some(guard) = guard {
                self.hold(5, guard.owner_died());
                for lane in 0..LANES {
                    let reader = self.ledger.tally(lane, 5, tally::HOLDING).load(SeqCst);
                    if reader != 0 && !self.ledger.is_doomed(reader) {
                        self.fault(5, &format!("a writer beside the reader of lane {lane}"));
                    }
                }
                self.work(5, guard.owner_died());
                self.let_go(5);
            }
        } else {
            let guard = self.check(5, self.objects.rwlock.read_timeout(HANG), &[]);
            if guard.is_some() {
                let holding = self.ledger.tally(self.lane, 5, tally::HOLDING);
                holding.store(self.me(), SeqCst);
                let writer = self.ledger.object(5, object::HOLDER).load(SeqCst);
                if writer != 0 && !self.ledger.is_doomed(writer) {
                    self.fault(5, "a reader beside a writer");
                }
                self.waited(5, self.ledger.object(5, object::RELEASED_AT).load(SeqCst));
                holding.store(0, SeqCst);
            }
        }
        self.end(5, true);
    }

    // ---- semaphores, condition, event, barrier ---------------------------------------------------------

    pub(super) fn signal(&mut self) {
        if self.random.below(2) == 0 {
            self.begin(6, KIND_A, 1);
            self.check(6, self.objects.semaphore.release(1), &[]);
            self.tally(6, tally::A, 1);
            return self.end(6, true);
        }
        let deadline = self.deadline();
        self.begin(6, KIND_B, 1);
        let got = self.objects.semaphore.acquire_until(deadline);
        let got = self.check(6, got, &[ErrorKind::WouldBlock, ErrorKind::TimedOut]).is_some();
        if got {
            self.tally(6, tally::B, 1);
        }
        self.end(6, got);
    }

    pub(super) fn permit(&mut self) {
        self.begin(7, KIND_OTHER, 0);
        if self.check(7, self.objects.undo.acquire_timeout(HANG), &[]).is_some() {
            self.ledger.tally(self.lane, 7, tally::HOLDING).store(self.me(), SeqCst);
            let holders = (0..LANES)
                .map(|lane| self.ledger.tally(lane, 7, tally::HOLDING).load(SeqCst))
                .filter(|who| *who != 0 && !self.ledger.is_doomed(*who));
            let holders = holders.count();
            if holders > PERMITS as usize {
                self.fault(7, &format!("{holders} hold {PERMITS} permits"));
            }
            self.waited(7, self.ledger.object(7, object::RELEASED_AT).load(SeqCst));
            self.ledger.tally(self.lane, 7, tally::HOLDING).store(0, SeqCst);
            self.ledger.object(7, object::RELEASED_AT).store(now(), SeqCst);
            self.check(7, self.objects.undo.release(1), &[]);
        }
        self.end(7, true);
    }

    /// A count in the array under the condition's lock, which one side raises and the other waits for.
    pub(super) fn condition(&mut self) {
        let produce = self.random.below(2) == 0;
        let deadline = self.deadline();
        self.begin(8, if produce { KIND_A } else { KIND_B }, 1);
        let guard = self.check(8, self.objects.condition.lock_until(Deadline::after(HANG)), &[]);
        let mut success = false;
        if let Some(guard) = guard {
            self.hold(8, guard.owner_died());
            let read = |w: &Self| w.check(2, w.objects.array.get(2 * 6), &[]).unwrap_or(0);
            let write = |w: &Self, n| w.check(2, w.objects.array.set(2 * 6, n), &[]);
            if produce {
                write(self, read(self) + 1);
                self.tally(8, tally::A, 1);
                self.check(8, self.objects.condition.notify(1), &[]);
                success = true;
            } else {
                let mut left = true;
                while read(self) == 0 && left {
                    self.let_go(8);
                    let woken = self.objects.condition.wait_until(deadline);
                    let woken = self.check(8, woken, &[ErrorKind::WouldBlock, ErrorKind::TimedOut]);
                    // After a time-out the lock may have come from a dead one, and nobody says so.
                    self.started = now();
                    self.hold(8, woken != Some(Acquired::Clean));
                    left = woken.is_some();
                }
                success = read(self) > 0;
                if success {
                    write(self, read(self) - 1);
                    self.tally(8, tally::B, 1);
                }
            }
            self.let_go(8);
            drop(guard);
        }
        self.end(8, success);
    }

    pub(super) fn event(&mut self) {
        let deadline = self.deadline();
        self.begin(9, KIND_OTHER, 0);
        let success = match self.random.below(4) {
            0 => {
                self.objects.event.clear();
                true
            }
            1 | 2 => {
                self.objects.event.set();
                true
            }
            _ => {
                let set = self.objects.event.wait_until(deadline);
                self.check(9, set, &[ErrorKind::WouldBlock, ErrorKind::TimedOut]).is_some()
            }
        };
        self.end(9, success);
    }

    pub(super) fn barrier(&mut self) {
        self.begin(10, KIND_OTHER, 1);
        let met = self.objects.barrier.wait_timeout(Duration::from_millis(5));
        let met = self.check(10, met, &[ErrorKind::Broken, ErrorKind::TimedOut]);
        match met {
            Some(0) => self.tally(10, tally::A, 1),
            Some(1) => self.tally(10, tally::B, 1),
            Some(n) => self.fault(10, &format!("party {n} of 2")),
            None => {
                self.check(10, self.objects.barrier.reset(), &[]);
            }
        }
        self.end(10, met.is_some());
    }

    // ---- segments -------------------------------------------------------------------------------------

    pub(super) fn come_and_go(&mut self) {
        use ErrorKind::*;
        self.begin(19, KIND_OTHER, 0);
        let k = self.random.below(6);
        let name = format!("passing-{k}");
        let s = self.segment;
        let done = match k % 3 {
            0 => Value::open_or_create(s, &name, 5i64).and_then(|v| v.add(1)).map(drop),
            1 => Queue::open_or_create(s, &name, &QueueOptions::new(4).inline(64))
                .and_then(|q| q.try_put(&[7; 300])),
            _ => Lock::open_or_create(s, &name).and_then(|l| l.lock_timeout(HANG).map(drop)),
        };
        let done = self.check(19, done, &[WouldBlock]).is_some();
        if self.random.below(2) == 0 {
            self.check(19, s.remove(&name), &[NotFound]);
        }
        self.end(19, done || k % 3 == 1);
    }

    pub(super) fn attach(&mut self) {
        self.begin(20, KIND_OTHER, 0);
        let name = format!("{}-side", self.segment.name());
        let options = Segment::options().ephemeral(true).limit(1 << 20);
        let side = self.check(20, options.open_or_create(&name), &[]);
        if let Some(side) = side {
            let count = Value::open_or_create(&side, "count", 0i64).and_then(|v| v.add(1));
            self.check(20, count, &[]);
        }
        self.end(20, true);
    }

    pub(super) fn any(&mut self) {
        self.begin(21, KIND_OTHER, 0);
        let o = self.objects;
        let interests = [
            o.queues[0].readable(),
            o.event.when_set(),
            o.lock.when_free(),
            o.undo.when_free(),
            o.queues[1].writable(),
        ];
        let deadline = Deadline::after(Duration::from_millis(5));
        let n = 1 + self.random.below(5) as usize;
        let ready = wait_any(&interests[..n], deadline);
        let ready = self.check(21, ready, &[ErrorKind::TimedOut]).is_some();
        self.end(21, ready);
    }
}
