//! What the machine allows: rings in shared memory that do nothing but move items. They do not sleep, and nobody recovers
//! what a killed process leaves in them.

use std::sync::atomic::{AtomicU64, Ordering::*};

use anyhow::Result;

use crate::peers::queues::{Fifo, Shared, Words, until_some};
use crate::region::Region;
use crate::trial::Place;

/// A word that shares its line, and the one that is fetched along with it, with no other.
#[repr(C, align(128))]
struct Alone(AtomicU64);

/// A word that tells whose turn the cell is, and the item.
#[repr(C, align(64))]
struct Cell<const W: usize> {
    word: AtomicU64,
    item: Words<W>,
}

impl<const W: usize> Cell<W> {
    /// Stores the item of a cell that the caller has claimed.
    #[inline]
    fn fill(&self, item: &Words<W>) {
        // SAFETY: the cell lies in shared memory, and whoever has claimed it is alone with its item.
        unsafe { (&raw const self.item).cast_mut().write_volatile(*item) };
    }

    /// Loads it.
    #[inline]
    fn item(&self) -> Words<W> {
        // SAFETY: as above.
        unsafe { (&raw const self.item).read_volatile() }
    }
}

#[repr(C)]
struct Hints {
    tail: Alone,
    head: Alone,
}

/// Cells behind two counters, in memory that forked workers share.
pub struct Ring<const W: usize> {
    region: Region<Hints>,
    capacity: u64,
}

impl<const W: usize> Ring<W> {
    /// The word of cell `i` begins as `word(i)`.
    fn new(capacity: usize, word: impl Fn(u64) -> u64) -> Result<Self> {
        let len = size_of::<Hints>() + capacity * size_of::<Cell<W>>();
        let ring = Self { region: Region::with_len(len)?, capacity: capacity as u64 };
        for at in 0..ring.capacity {
            ring.cell(at).word.store(word(at), Relaxed);
        }
        Ok(ring)
    }

    #[inline]
    fn cell(&self, ticket: u64) -> &Cell<W> {
        let index = (ticket % self.capacity) as usize;
        // SAFETY: the cells lie behind the counters; there are as many as the capacity says.
        unsafe { &*self.region.as_ptr().add(1).cast::<Cell<W>>().add(index) }
    }

    #[inline]
    fn hints(&self) -> &Hints {
        self.region.get()
    }
}

/// The common ring for many: who moves the counter on has the cell, and nobody knows who that was.
pub struct Bare<const W: usize>(Ring<W>);

impl<const W: usize> Bare<W> {
    /// Claims the ticket at which the cell's word is `ready` beyond it; `None` if it is not yet so.
    #[inline]
    fn claim(&self, counter: &AtomicU64, ready: u64) -> Option<u64> {
        let mut ticket = counter.load(Relaxed);
        loop {
            let word = self.0.cell(ticket).word.load(Acquire);
            if word == ticket + ready {
                match counter.compare_exchange_weak(ticket, ticket + 1, Relaxed, Relaxed) {
                    Ok(_) => return Some(ticket),
                    Err(now) => ticket = now,
                }
            } else if word < ticket + ready {
                return None;
            } else {
                ticket = counter.load(Relaxed);
            }
        }
    }
}

impl<const W: usize> Shared<W> for Bare<W> {
    const NAME: &'static str = "floor: bare ring";
    const PLACE: Place = Place::Processes;
    type Side<'a> = &'a Self;
    fn make(capacity: usize) -> Result<Self> {
        Ok(Self(Ring::new(capacity, |at| at)?))
    }
    fn side(&self) -> Result<&Self> {
        Ok(self)
    }
    #[inline]
    fn put(side: &mut &Self, item: &Words<W>) {
        let ticket = until_some(|| side.claim(&side.0.hints().tail.0, 0));
        let cell = side.0.cell(ticket);
        cell.fill(item);
        cell.word.store(ticket + 1, Release);
    }
    #[inline]
    fn get(side: &mut &Self) -> Words<W> {
        let ticket = until_some(|| side.claim(&side.0.hints().head.0, 1));
        let cell = side.0.cell(ticket);
        let item = cell.item();
        cell.word.store(ticket + side.0.capacity, Release);
        item
    }
}

/// The ring as sharecell's protocol has it, and no more: one compare-and-swap on the cell claims it and names the owner; the
/// counters are hints that are stored plainly.
pub struct Owned<const W: usize>(Ring<W>);

/// A cell's word counts tickets in steps of this, then states, and ends with the owner, if there is one. So words only grow.
const TICKET: u64 = 4 * STATE;
const STATE: u64 = 1 << 14;
const FREE: u64 = 0;
const WRITING: u64 = STATE;
const FULL: u64 = 2 * STATE;
const READING: u64 = 3 * STATE;

/// A worker's way to the ring, with how far it knows it to be.
pub struct Way<'a, const W: usize> {
    ring: &'a Ring<W>,
    me: u64,
    ticket: u64,
}

impl<const W: usize> Way<'_, W> {
    /// Claims the first ticket whose cell is in the state `from`; `None` if it is not yet so.
    #[inline]
    fn claim(&mut self, hint: &AtomicU64, from: u64, to: u64) -> Option<u64> {
        loop {
            let ticket = self.ticket;
            let word = &self.ring.cell(ticket).word;
            let seen = word.load(Acquire);
            let wanted = ticket * TICKET + from;
            if seen < wanted {
                return None;
            }
            let claimed = ticket * TICKET + to + self.me;
            if seen == wanted && word.compare_exchange(seen, claimed, Acquire, Relaxed).is_ok() {
                hint.store(ticket + 1, Relaxed);
                self.ticket = ticket + 1;
                return Some(ticket);
            }
            // Somebody else has it, and all before it.
            self.ticket = hint.load(Relaxed).max(ticket + 1);
        }
    }
}

impl<const W: usize> Shared<W> for Owned<W> {
    const NAME: &'static str = "floor: bare ring, each claim names its owner";
    const PLACE: Place = Place::Processes;
    type Side<'a> = Way<'a, W>;
    fn make(capacity: usize) -> Result<Self> {
        Ok(Self(Ring::new(capacity, |at| at * TICKET + FREE)?))
    }
    fn side(&self) -> Result<Way<'_, W>> {
        Ok(Way { ring: &self.0, me: u64::from(std::process::id()) % STATE, ticket: 0 })
    }
    #[inline]
    fn put(side: &mut Way<'_, W>, item: &Words<W>) {
        let ticket = until_some(|| side.claim(&side.ring.hints().tail.0, FREE, WRITING));
        let cell = side.ring.cell(ticket);
        cell.fill(item);
        cell.word.store(ticket * TICKET + FULL, Release);
    }
    #[inline]
    fn get(side: &mut Way<'_, W>) -> Words<W> {
        let ticket = until_some(|| side.claim(&side.ring.hints().head.0, FULL, READING));
        let cell = side.ring.cell(ticket);
        let item = cell.item();
        cell.word.store((ticket + side.ring.capacity) * TICKET + FREE, Release);
        item
    }
}

/// A cell as sharecell's protocol has it, without a ring: one puts the items 1, 2, 3, and so on, and one gets them.
pub struct Single(Ring<1>);

impl Single {
    pub fn new() -> Result<Self> {
        Ok(Self(Ring::new(1, |_| TICKET + FREE)?))
    }

    /// Claims the cell in the state `from` for `me`.
    #[inline]
    fn claim(&self, from: u64, to: u64, me: u64, wait: impl Fn(&AtomicU64, u64)) -> &Cell<1> {
        let cell = self.0.cell(0);
        while cell.word.compare_exchange(from, to + me % STATE, Acquire, Relaxed).is_err() {
            wait(&cell.word, from);
        }
        cell
    }

    /// Puts item `n`; `wait` returns when a word has a value.
    #[inline]
    pub fn put(&self, n: u64, me: u64, wait: impl Fn(&AtomicU64, u64)) {
        let ticket = n * TICKET;
        let cell = self.claim(ticket + FREE, ticket + WRITING, me, wait);
        cell.fill(&Words([n]));
        cell.word.store(ticket + FULL, Release);
    }

    /// Gets item `n`.
    #[inline]
    pub fn get(&self, n: u64, me: u64, wait: impl Fn(&AtomicU64, u64)) -> u64 {
        let ticket = n * TICKET;
        // Trying for the line while the other one writes to it would only take it from him.
        wait(&self.0.cell(0).word, ticket + FULL);
        let cell = self.claim(ticket + FULL, ticket + READING, me, wait);
        let item = cell.item().number();
        cell.word.store(ticket + TICKET + FREE, Release);
        item
    }
}

/// For one who puts and one who gets: packed items and a counter for each side, of which the other keeps a copy. With `NAMED`,
/// each side is claimed by a compare-and-swap that names its owner, for each item.
pub struct Line<const NAMED: bool> {
    region: Region<Sides>,
    capacity: u64,
}

#[repr(C)]
struct Sides {
    put: Side,
    get: Side,
}

#[repr(C)]
struct Side {
    count: Alone,
    owner: Alone,
}

/// One side's way to it.
pub struct Half<'a> {
    mine: &'a Side,
    other: &'a Side,
    items: *mut u64,
    mask: u64,
    count: u64,
    /// How far the other side was when it was last looked at.
    seen: u64,
    me: u64,
}

impl Half<'_> {
    /// Does `work` at the place of the next item when the other side is more than `behind` short of this count.
    #[inline]
    fn step<const NAMED: bool, T>(&mut self, behind: u64, work: impl FnOnce(*mut u64) -> T) -> T {
        if NAMED {
            until_some(|| self.mine.owner.0.compare_exchange(0, self.me, Acquire, Relaxed).ok());
        }
        if self.seen.wrapping_add(behind) == self.count {
            self.seen = until_some(|| {
                let now = self.other.count.0.load(Acquire);
                (now.wrapping_add(behind) != self.count).then_some(now)
            });
        }
        // SAFETY: the mask keeps it within the items; the counts give each place to one side at a time.
        let done = work(unsafe { self.items.add((self.count & self.mask) as usize) });
        self.count += 1;
        self.mine.count.0.store(self.count, Release);
        if NAMED {
            self.mine.owner.0.store(0, Release);
        }
        done
    }
}

impl<const NAMED: bool> Line<NAMED> {
    fn half<'a>(&'a self, mine: &'a Side, other: &'a Side) -> Half<'a> {
        // SAFETY: the items lie behind the sides.
        let items = unsafe { self.region.as_ptr().add(1) }.cast();
        let me = std::process::id().into();
        Half { mine, other, items, mask: self.capacity - 1, count: 0, seen: 0, me }
    }
}

impl<const NAMED: bool> Fifo<1> for Line<NAMED> {
    const NAME: &'static str = if NAMED {
        "floor: bare ring for two, each claim names its owner"
    } else {
        "floor: bare ring for two"
    };
    const PLACE: Place = Place::Processes;
    const MANY: bool = false;
    type Tx<'a> = Half<'a>;
    type Rx<'a> = Half<'a>;
    fn make(capacity: usize) -> Result<Self> {
        let capacity = capacity.next_power_of_two();
        let region = Region::with_len(size_of::<Sides>() + capacity * 8)?;
        Ok(Self { region, capacity: capacity as u64 })
    }
    fn tx(&self) -> Result<Half<'_>> {
        let sides = self.region.get();
        Ok(self.half(&sides.put, &sides.get))
    }
    fn rx(&self) -> Result<Half<'_>> {
        let sides = self.region.get();
        Ok(self.half(&sides.get, &sides.put))
    }
    #[inline]
    fn put(tx: &mut Half<'_>, item: &Words<1>) {
        let capacity = tx.mask + 1;
        // SAFETY: the place is this side's for the time of the step.
        tx.step::<NAMED, ()>(capacity, |at| unsafe { at.write_volatile(item.0[0]) });
    }
    #[inline]
    fn get(rx: &mut Half<'_>) -> Words<1> {
        // SAFETY: as above.
        Words([rx.step::<NAMED, u64>(0, |at| unsafe { at.read_volatile() })])
    }
}
