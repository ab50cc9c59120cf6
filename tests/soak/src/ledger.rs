//! The books: plain shared memory outside the library, in which every process writes what it is about to do
//! and what it has done. A kill leaves it as it is, so the audit can tell what must be there, what may be
//! there and what must not.
//!
//! Words of 64 bits throughout. `agent.c` and `agent.py` have the same numbers.
//!
//! ```text
//!   head | lanes | objects | tallies: lane × object | items: queue or pipe × lane × sequence number
//! ```
//!
//! A lane is a place for one process at a time. Its processes are numbered by lives; lane and life together
//! are a name that is never used again.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// Processes at a time, with those that they fork.
pub const LANES: usize = 24;
/// A forked process of lane `n` is in lane `n + FORKED`.
pub const FORKED: usize = 12;
/// The supervisor's lane, for what it drains.
pub const AUDITOR: usize = 11;
pub const OBJECTS: usize = 22;
/// The first object whose items are accounted for one by one; the following ones too.
pub const FIRST_ITEMS: usize = 11;
pub const ITEM_OBJECTS: usize = 8;
/// The pipe whose long messages go in parts.
pub const PARTS: usize = 18;
/// Items that a lane may put into an object in a round.
pub const ITEMS: usize = 8192;

/// The objects' names, by number.
pub const NAMES: [&str; OBJECTS] = [
    "value",
    "wide value",
    "array",
    "lock",
    "rlock",
    "rwlock",
    "semaphore",
    "semaphore, undo",
    "condition",
    "event",
    "barrier",
    "queue",
    "queue, spilling",
    "queue, joinable",
    "queue, byte limit",
    "pipe, A to B",
    "pipe, B to A",
    "pipe, simplex",
    "pipe, in parts",
    "create, remove",
    "attach, detach",
    "wait_any",
];

const HEAD_WORDS: usize = 16;
const LANE_WORDS: usize = 16;
const OBJECT_WORDS: usize = 16 + BUCKETS;
const TALLY_WORDS: usize = 16;
const ITEM_WORDS: usize = 4;
pub const BUCKETS: usize = 256;
const LANES_AT: usize = HEAD_WORDS;
const OBJECTS_AT: usize = LANES_AT + LANES * LANE_WORDS;
const TALLIES_AT: usize = OBJECTS_AT + OBJECTS * OBJECT_WORDS;
const ITEMS_AT: usize = TALLIES_AT + LANES * OBJECTS * TALLY_WORDS;
const WORDS: usize = ITEMS_AT + ITEM_OBJECTS * LANES * ITEMS * ITEM_WORDS;

/// Words of the head.
pub mod head {
    pub const SEED: usize = 1;
    pub const STOP: usize = 3;
    /// Nobody is killed or stopped in this round.
    pub const CALM: usize = 4;
    /// Whoever begins a long wait after this time delays the end of the round.
    pub const NO_LONG_WAITS: usize = 5;
    /// Processes that are stopped for long, at whatever: what takes its time then is no recovery.
    pub const LONG_STOPS: usize = 6;
    /// How often a long stop has begun or ended.
    pub const LONG_STOP_EVENTS: usize = 7;
}

/// Words of a lane.
pub mod lane {
    pub const LIFE: usize = 0;
    /// The last life that was sent SIGKILL, or has left by exec.
    pub const DOOMED: usize = 1;
    /// Object + 1, kind of operation in bits 8 to 15, how many items in bits 16 and above; 0 for none.
    pub const OP: usize = 2;
    pub const SINCE: usize = 3;
    pub const COUNT: usize = 4;
    pub const STOPPED: usize = 5;
    pub const PID: usize = 6;
    pub const FORKS: usize = 7;
    pub const EXECS: usize = 8;
    pub const STOPS: usize = 9;
}

/// Words of an object.
pub mod object {
    pub const HOLDER: usize = 0;
    pub const RELEASED_AT: usize = 1;
    pub const KILLED_AT: usize = 2;
    pub const WORST_RECOVERY: usize = 3;
    pub const HEALED: usize = 4;
    pub const KILLS: usize = 5;
    pub const STOPS: usize = 6;
    /// How many processes are stopped in it: as with [`head::LONG_STOPS`](super::head::LONG_STOPS).
    pub const STOPPED_IN: usize = 8;
    pub const HISTOGRAM: usize = 16;
}

/// Words of a tally.
pub mod tally {
    /// For items: the next sequence number.
    pub const BEGUN: usize = 0;
    pub const A: usize = 1;
    pub const B: usize = 2;
    pub const A_KILLED: usize = 3;
    pub const B_KILLED: usize = 4;
    pub const PUT_BACKS: usize = 5;
    pub const LATE: usize = 6;
    pub const HOLDING: usize = 7;
    pub const TAKES_KILLED: usize = 8;
    /// Of the pipe whose long messages go in parts: this process may have received a part of one.
    pub const HALF: usize = 9;
    /// Processes that ended so.
    pub const HALVES: usize = 10;
}

/// Words of an item.
pub mod item {
    pub const PUT: usize = 0;
    pub const WHO: usize = 1;
    pub const DONE: usize = 2;
    pub const NUMBER: usize = 3;
}

/// How a put stands.
pub const BEGUN: u64 = 1;
pub const RETURNED: u64 = 2;
pub const REFUSED: u64 = 3;
/// In place of an item's number: a message that goes in parts.
pub const LONG: u64 = u64::MAX;
/// In place of a taker: given back to the others.
pub const PUT_BACK: u64 = 1 << 63;

/// Kinds of operations: the first and second that an object's count is made of, and any other.
pub const KIND_A: u64 = 1;
/// For items: a get that copies, after which a killed process cannot tell us that it had it.
pub const KIND_B: u64 = 2;
pub const KIND_OTHER: u64 = 3;

/// A wait that others could have ended and only a tick ended.
pub const TICKED: u64 = 1_500_000_000;

pub struct Ledger {
    words: &'static [AtomicU64],
}

impl Ledger {
    /// A new one, in a descriptor that those who are executed inherit.
    pub fn create() -> (Self, RawFd) {
        // SAFETY: the name is NUL-terminated.
        let fd = unsafe { libc::memfd_create(c"soak-ledger".as_ptr(), 0) };
        // SAFETY: ftruncate has no memory-safety preconditions.
        assert!(fd >= 0 && unsafe { libc::ftruncate(fd, (WORDS * 8) as i64) } == 0);
        (Self::map(fd), fd)
    }

    pub fn map(fd: RawFd) -> Self {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping of our choice of place.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), WORDS * 8, protection, libc::MAP_SHARED, fd, 0) };
        assert_ne!(at, libc::MAP_FAILED);
        // SAFETY: the mapping is never undone, of that size, and only touched as atomics by Rust.
        Self { words: unsafe { std::slice::from_raw_parts(at.cast(), WORDS) } }
    }

    pub fn head(&self, word: usize) -> &AtomicU64 {
        &self.words[word]
    }

    pub fn lane(&self, lane: usize, word: usize) -> &AtomicU64 {
        &self.words[LANES_AT + lane * LANE_WORDS + word]
    }

    pub fn object(&self, object: usize, word: usize) -> &AtomicU64 {
        &self.words[OBJECTS_AT + object * OBJECT_WORDS + word]
    }

    pub fn tally(&self, lane: usize, object: usize, word: usize) -> &AtomicU64 {
        &self.words[TALLIES_AT + (lane * OBJECTS + object) * TALLY_WORDS + word]
    }

    /// The sum of a word of all lanes' tallies.
    pub fn sum(&self, object: usize, word: usize) -> u64 {
        (0..LANES).map(|lane| self.tally(lane, object, word).load(SeqCst)).sum()
    }

    pub fn item(&self, object: usize, lane: usize, seq: u64, word: usize) -> &AtomicU64 {
        let index = ((object - FIRST_ITEMS) * LANES + lane) * ITEMS + seq as usize;
        &self.words[ITEMS_AT + index * ITEM_WORDS + word]
    }

    /// Forgets the round's tallies and items.
    pub fn clear_round(&self) {
        for object in FIRST_ITEMS..FIRST_ITEMS + ITEM_OBJECTS {
            for lane in 0..LANES {
                for seq in 0..self.tally(lane, object, tally::BEGUN).load(SeqCst) {
                    for word in 0..ITEM_WORDS {
                        self.item(object, lane, seq, word).store(0, SeqCst);
                    }
                }
            }
        }
        self.words[TALLIES_AT..ITEMS_AT].iter().for_each(|word| word.store(0, SeqCst));
        for object in 0..OBJECTS {
            for word in [object::HOLDER, object::RELEASED_AT, object::KILLED_AT] {
                self.object(object, word).store(0, SeqCst);
            }
        }
    }

    /// Whether that process was killed, as far as we know: nobody else may be robbed.
    pub fn is_doomed(&self, who: u64) -> bool {
        let (lane, life) = (who >> 40 & 0x3f, who & ((1 << 40) - 1));
        self.lane(lane as usize, lane::DOOMED).load(SeqCst) >= life
    }

    /// Books what a process was doing that has died or left.
    pub fn settle(&self, lane: usize) {
        if self.tally(lane, PARTS, tally::HALF).swap(0, SeqCst) != 0 {
            self.tally(lane, PARTS, tally::HALVES).fetch_add(1, SeqCst);
        }
        let op = self.lane(lane, lane::OP).swap(0, SeqCst);
        if op == 0 {
            return;
        }
        let (object, kind, n) = ((op & 0xff) as usize - 1, op >> 8 & 0xff, op >> 16);
        self.object(object, object::KILLS).fetch_add(1, SeqCst);
        match kind {
            KIND_A => _ = self.tally(lane, object, tally::A_KILLED).fetch_add(n, SeqCst),
            KIND_B => {
                self.tally(lane, object, tally::B_KILLED).fetch_add(n, SeqCst);
                self.tally(lane, object, tally::TAKES_KILLED).fetch_add(n, SeqCst);
            }
            _ => _ = self.tally(lane, object, tally::TAKES_KILLED).fetch_add(n, SeqCst),
        }
    }

    /// Adds a time from kill to next success.
    pub fn recovered(&self, object: usize, ns: u64) {
        self.object(object, object::WORST_RECOVERY).fetch_max(ns, SeqCst);
        self.object(object, object::HISTOGRAM + bucket(ns)).fetch_add(1, SeqCst);
    }

    /// The time that half of the recoveries took at most, and how many there were.
    pub fn median_recovery(&self, objects: &[usize]) -> (u64, u64) {
        let count = |b: usize| -> u64 {
            objects.iter().map(|o| self.object(*o, object::HISTOGRAM + b).load(SeqCst)).sum()
        };
        let all: u64 = (0..BUCKETS).map(count).sum();
        let mut below = 0;
        let half = (0..BUCKETS).find(|b| {
            below += count(*b);
            below * 2 >= all
        });
        (half.map_or(0, upper_end), all)
    }
}

/// Four buckets for each doubling, so a median is right to 25 %.
pub fn bucket(ns: u64) -> usize {
    let ns = ns.max(8);
    let power = 63 - ns.leading_zeros() as usize;
    (power * 4 + (ns >> (power - 2) & 3) as usize).min(BUCKETS - 1)
}

fn upper_end(bucket: usize) -> u64 {
    let power = bucket / 4;
    (1 << power) + ((bucket as u64 % 4 + 1) << power >> 2)
}

/// Nanoseconds of CLOCK_MONOTONIC, the same in all processes.
pub fn now() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// A checksum of three words.
pub fn mix(a: u64, b: u64, c: u64) -> u64 {
    let x = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b;
    let y = x.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ c;
    y.wrapping_mul(0x94d0_49bb_1331_11eb)
}
