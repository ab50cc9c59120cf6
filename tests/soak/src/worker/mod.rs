//! What a process does until it is killed: random operations, each booked before and after.

mod items;
mod others;

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use sharecell::*;

use crate::ledger::*;
use crate::objects::Objects;

/// Whoever waits for a lock longer than this hangs: no holder is stopped for so long, nor kept waiting by a busy machine.
pub const HANG: Duration = Duration::from_secs(60);

/// xorshift64*; numbers that need to be no more than various.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(mix(seed, 1, 2) | 1)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % n
    }
}

pub struct Worker<'a> {
    pub ledger: &'a Ledger,
    pub objects: &'a Objects,
    pub segment: &'a Segment,
    /// Where faults are reported to.
    pub faults: i32,
    lane: usize,
    life: u64,
    random: Random,
    /// The last sequence number that was taken, by object and producer.
    last: Vec<[Option<u64>; LANES]>,
    buffer: Vec<u64>,
    /// Of the operation that is under way.
    started: u64,
    /// How often this process, or any for long, had been stopped by then.
    stops: u64,
}

impl<'a> Worker<'a> {
    pub fn new(
        ledger: &'a Ledger,
        objects: &'a Objects,
        segment: &'a Segment,
        faults: i32,
        lane: usize,
    ) -> Self {
        let life = ledger.lane(lane, lane::LIFE).load(SeqCst);
        let seed = mix(ledger.head(head::SEED).load(SeqCst), lane as u64, life);
        let last = vec![[None; LANES]; ITEM_OBJECTS];
        Self {
            ledger,
            objects,
            segment,
            faults,
            lane,
            life,
            random: Random::new(seed),
            last,
            buffer: Vec::new(),
            started: 0,
            stops: 0,
        }
    }

    fn me(&self) -> u64 {
        (self.lane as u64) << 40 | self.life
    }

    pub fn fault(&self, object: usize, text: &str) {
        let line = format!("{}: {text} (lane {}, life {})\n", NAMES[object], self.lane, self.life);
        // SAFETY: the line is valid for its length; short writes to a pipe are whole.
        unsafe { libc::write(self.faults, line.as_ptr().cast(), line.len().min(512)) };
    }

    fn tally(&self, object: usize, word: usize, n: u64) {
        let tally = self.ledger.tally(self.lane, object, word);
        tally.store(tally.load(SeqCst) + n, SeqCst);
    }

    /// Says what is about to be done.
    fn begin(&mut self, object: usize, kind: u64, n: u64) {
        self.started = now();
        self.stops = self.stop_events();
        self.ledger.lane(self.lane, lane::SINCE).store(self.started, SeqCst);
        self.name(object, kind, n);
    }

    fn name(&self, object: usize, kind: u64, n: u64) {
        let op = (object as u64 + 1) | (kind << 8) | (n << 16);
        self.ledger.lane(self.lane, lane::OP).store(op, SeqCst);
    }

    /// It was done and is booked.
    fn end(&mut self, object: usize, success: bool) {
        if matches!(object, 0 | 1 | 10 | 19..) {
            self.waited(object, 0); // these have no reason to wait for long
        }
        self.ledger.lane(self.lane, lane::OP).store(0, SeqCst);
        let count = self.ledger.lane(self.lane, lane::COUNT);
        count.store(count.load(SeqCst) + 1, SeqCst);
        let killed_at = self.ledger.object(object, object::KILLED_AT);
        let stopped = self.ledger.object(object, object::STOPPED_IN).load(SeqCst);
        if stopped + self.ledger.head(head::LONG_STOPS).load(SeqCst) != 0 {
            killed_at.store(0, SeqCst);
        } else if success && killed_at.load(SeqCst) != 0 {
            let at = killed_at.swap(0, SeqCst);
            if at != 0 {
                self.ledger.recovered(object, now().saturating_sub(at));
            }
        }
    }

    fn stop_events(&self) -> u64 {
        let own = self.ledger.lane(self.lane % FORKED, lane::STOPS).load(SeqCst);
        own + self.ledger.head(head::LONG_STOP_EVENTS).load(SeqCst)
    }

    /// A wait is over that others have had reason to end `since`, or had none to begin with.
    fn waited(&self, object: usize, since: u64) {
        let wait = now().saturating_sub(since.max(self.started));
        let stopped =
            self.stop_events() != self.stops || self.ledger.head(head::LONG_STOPS).load(SeqCst) != 0;
        if wait < TICKED || stopped {
            return; // who is stopped himself waits long, and who waits for him
        }
        self.ledger.object(object, object::HEALED).fetch_add(1, SeqCst);
        // Who has received a part of a message keeps the others from the next part while it is at something else.
        if self.ledger.head(head::CALM).load(SeqCst) != 0 && object != PARTS {
            let late = wait / 1_000_000;
            self.fault(object, &format!("nobody was killed, and a wait lasted {late} ms too long"));
        }
    }

    /// What else than success an operation may end with.
    fn check<R>(&self, object: usize, result: Result<R>, allowed: &[ErrorKind]) -> Option<R> {
        match result {
            Ok(r) => Some(r),
            Err(e) if allowed.contains(&e.kind()) => None,
            Err(e) => {
                self.fault(object, &format!("{:?}: {e}", e.kind()));
                None
            }
        }
    }

    /// A time to wait: mostly short, sometimes longer than every tick.
    fn deadline(&mut self) -> Deadline {
        let long = self.ledger.head(head::NO_LONG_WAITS).load(SeqCst) > now();
        match self.random.below(100) {
            0..30 => Deadline::Now,
            30..80 => Deadline::after(Duration::from_micros(300)),
            80..97 => Deadline::after(Duration::from_millis(10)),
            _ if long => Deadline::after(Duration::from_millis(2500)),
            _ => Deadline::after(Duration::from_millis(2)),
        }
    }

    /// One random operation. (Fork and exec are the caller's.)
    pub fn step(&mut self) {
        match self.random.below(100) {
            0..4 => self.value(),
            4..8 => self.wide(),
            8..13 => self.array(),
            13..19 => self.lock(),
            19..23 => self.rlock(),
            23..29 => self.rwlock(),
            29..32 => self.signal(),
            32..36 => self.permit(),
            36..41 => self.condition(),
            41..43 => self.event(),
            43..45 => self.barrier(),
            45..90 => self.items(),
            90..94 => self.come_and_go(),
            94..96 => self.attach(),
            _ => self.any(),
        }
    }

    /// Chance decides.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.random.below(n) == 0
    }
}
