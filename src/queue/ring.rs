//! The ring: a bounded queue of cells for any number of putters and getters, any of which may be killed.
//!
//! ```text
//!            put: CAS                 store                get: CAS                     store
//!   FREE(t) ─────────▶ WRITING(t, p) ───────▶ FULL(t) ───────────────▶ READING(t, c) ────────▶ FREE(t + n)
//!                        │  sweep or abort       ▲  ▲   receive: CAS        │ sweep
//!                        └──────▶ FREE(t + n)    │  └──────────────────────┘
//!                                                │ sweep
//!                                                └── HELD(t, c) ──CAS──▶ FREE(t + n)
//!                                                      └─ a putter that comes round, CAS ─▶ HELD(t + n, c)
//! ```
//!
//! The state word of a cell says which ticket it is at, who owns it, and in which state it is; claiming is
//! one CAS on that word. Commit and release are stores, for nobody takes a cell from a living participant;
//! only a HELD cell is released by CAS, because putters may move it on to the next ticket.
//!
//! - **Tickets** are claimed in order: a putter walks from `tail` over claimed ones and takes the first FREE
//!   one. `head` and `tail` are hints, stored plainly and only upward: they may lag and never lead.
//! - **A getter passes over cells that are WRITING**, so that a stopped writer delays nobody. It then does
//!   not store `head` (so every ticket below `head` is claimed by a getter), and, having found FULL(t),
//!   looks again at the cells it passed over before it takes t, so that nothing overtakes.
//! - **A death** turns WRITING into FREE(t + n), a skipped ticket, and READING or HELD back into FULL: the
//!   payload is still there and is delivered again. Such a cell may lie below `head`, so each sweep bumps
//!   `reopened`, and a getter that sees a new value walks all cells for the oldest FULL one, until a walk
//!   finds none.
//! - **A HELD cell** stays with a worker as long as its work lasts. Putters pass over it, so it costs one
//!   cell and not the queue.
//! - **Large payloads** spill into an arena block. The label on the block is the truth, the reference in the
//!   cell only says where to look: a block belongs to a cell if its label names cell and ticket, or the
//!   participant who has claimed the cell.
//!
//! The cell's ticket word is Dmitry Vyukov's (bounded MPMC queue); naming the owner in it is what makes it
//! survive kills.

use std::ptr;

use crate::atomic::{Acquire, AtomicU16, AtomicU32, AtomicU64, Relaxed, Release, SeqCst, fence, prefetch};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::layout::{Row, describe, round_up};
use crate::segment::arena::{Block, Owner};
use crate::segment::attach::Shared;
use crate::segment::handle::Part;
use crate::sys::clock::Deadline;
use crate::wait::{Label, WaitWord};

use super::join::Join;

/// What never changes, then the words of putters, getters and sleepers on lines of their own.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct RingHead {
    cells: AtomicU64,
    capacity: AtomicU64,
    cell_size: AtomicU64,
    max_item: AtomicU64,
    max_bytes: AtomicU64,
    /// How many sweeps there were; see the module.
    reopened: AtomicU64,
    closed: AtomicU32,
    /// Whether what was taken and is not done is counted behind the cells; see `join`.
    joinable: AtomicU32,
    pad_closed: [AtomicU32; 18],
    tail: AtomicU64,
    pad_tail: [AtomicU64; 15],
    head: AtomicU64,
    pad_head: [AtomicU64; 15],
    /// The bytes in the ring, a hint: counted anew when it stands in somebody's way.
    bytes: AtomicU64,
    pad_bytes: [AtomicU64; 15],
    items: WaitWord,
    pad_items: [AtomicU32; 31],
    space: WaitWord,
    pad_space: [AtomicU32; 31],
}

/// A cell; its payload follows, or its first word refers to the block that has it.
#[repr(C)]
#[derive(Debug)]
pub struct Cell {
    state: AtomicU64,
    number: AtomicU64,
    len: AtomicU32,
    deliveries: AtomicU16,
    flags: AtomicU16,
}

describe! { TABLE:
    RingHead = 768 {
        cells @ 0, capacity @ 8, cell_size @ 16, max_item @ 24, max_bytes @ 32, reopened @ 40, closed @ 48, joinable @ 52,
        tail @ 128, head @ 256, bytes @ 384, items @ 512, space @ 640,
    }
    Cell = 24 { state @ 0, number @ 8, len @ 16, deliveries @ 20, flags @ 22 }
}

/// The layout of rings.
pub const LAYOUT: &[&[Row]] = &[TABLE, super::join::TABLE];

// SAFETY: it consists of atomics.
unsafe impl Shared for RingHead {}
// SAFETY: as above.
unsafe impl Shared for Cell {}

const PAYLOAD: u64 = size_of::<Cell>() as u64;
/// The payload is in an arena block.
const SPILLED: u16 = 1;
/// A cell has 32 bits for the length.
const MAX_ITEM: u64 = u32::MAX as u64;

/// How many cells ahead who goes straight asks for: it takes about as long to arrive.
const AHEAD: u64 = 4;

/// How many cells back a sleeping getter looks for one that is held; of older ones the segment's watch tells.
const KEPT: u64 = 256;

const FREE: u64 = 0;
const WRITING: u64 = 1;
const FULL: u64 = 2;
const READING: u64 = 3;
const HELD: u64 = 4;

const STATE_BITS: u32 = 3;
const LABEL_BITS: u32 = 12;
const TICKET_SHIFT: u32 = STATE_BITS + LABEL_BITS;

/// What somebody does with a ring: an end of a pipe puts into one and gets from the other.
#[derive(Clone, Copy)]
pub enum Side {
    /// Puts.
    Put,
    /// Gets.
    Get,
    /// Both.
    Both,
}

/// The state word of a cell: state, owner, and the low 49 bits of the ticket.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State(u64);

impl State {
    fn new(ticket: u64, label: Label, state: u64) -> Self {
        Self(ticket << TICKET_SHIFT | u64::from(label) << STATE_BITS | state)
    }
    fn state(self) -> u64 {
        self.0 & ((1 << STATE_BITS) - 1)
    }
    fn label(self) -> Label {
        (self.0 >> STATE_BITS) as Label & ((1 << LABEL_BITS) - 1)
    }
    fn is_held_by(self, label: Label, side: Side) -> bool {
        let held = match side {
            Side::Put => self.state() == WRITING,
            Side::Get => matches!(self.state(), READING | HELD),
            Side::Both => matches!(self.state(), WRITING | READING | HELD),
        };
        held && self.label() == label
    }
    /// How far the cell's ticket is ahead of `ticket`; tickets wrap, so only the difference counts.
    fn ahead_of(self, ticket: u64) -> i64 {
        (self.0 & !((1 << TICKET_SHIFT) - 1)).wrapping_sub(ticket << TICKET_SHIFT) as i64 >> TICKET_SHIFT
    }
    /// The cell's full ticket, given one that is near it.
    fn ticket(self, near: u64) -> u64 {
        near.wrapping_add_signed(self.ahead_of(near))
    }
}

/// What a ring was created with, read once and checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// The number of cells, a power of two.
    pub cells: u64,
    /// How many items may be in it.
    pub capacity: u64,
    /// The distance between cells, a multiple of 64.
    pub cell_size: u64,
    /// The largest item in bytes.
    pub max_item: u64,
    /// The most bytes that may be in it.
    pub max_bytes: u64,
    /// Whether what was taken and is not done is counted.
    pub joinable: bool,
    /// Items shorter than this need nothing but their cell, and go straight; see [`Ring::put_straight`].
    pub short: usize,
}

impl Shape {
    /// A ring for `capacity` items, those of up to `inline` bytes in the cells themselves.
    pub fn new(capacity: u64, inline: u64, max_item: u64, max_bytes: u64) -> Result<Self> {
        if capacity == 0 || capacity > 1 << 30 {
            fail!(InvalidArgument, "the capacity is 1 to 2^30 items; got {capacity}");
        }
        if inline > 1 << 20 {
            fail!(InvalidArgument, "at most 1 MiB of an item is kept in its cell; got {inline} bytes");
        }
        let max_item = max_item.min(max_bytes).min(MAX_ITEM);
        let cell_size = round_up(PAYLOAD + inline.min(max_item).max(8), 64);
        Ok(Self {
            cells: capacity.next_power_of_two(),
            capacity,
            cell_size,
            max_item,
            max_bytes,
            joinable: false,
            short: 0,
        }
        .with_short())
    }

    fn with_short(self) -> Self {
        let plain = self.max_bytes == u64::MAX && self.capacity == self.cells && !self.joinable;
        let short = if plain { self.inline().min(self.max_item) as usize + 1 } else { 0 };
        Self { short, ..self }
    }

    /// The bytes that such a ring needs.
    pub fn size(&self) -> u64 {
        size_of::<RingHead>() as u64 + self.cells * self.cell_size
    }

    /// Reads the shape of the ring at `at` bytes into `part`, and checks that it lies within.
    pub fn read(part: &Part<'_>, at: u64) -> Result<Self> {
        let head: &RingHead = part.at(at)?;
        let shape = Self {
            cells: head.cells.load(Relaxed),
            capacity: head.capacity.load(Relaxed),
            cell_size: head.cell_size.load(Relaxed),
            max_item: head.max_item.load(Relaxed),
            max_bytes: head.max_bytes.load(Relaxed),
            joinable: head.joinable.load(Relaxed) != 0,
            short: 0,
        };
        let sound = shape.cells.is_power_of_two()
            && shape.cells <= 1 << 30
            && (1..=shape.cells).contains(&shape.capacity)
            && shape.cell_size.is_multiple_of(64)
            && (64..=2 << 20).contains(&shape.cell_size)
            && shape.max_item <= MAX_ITEM
            && shape.size().checked_add(at).is_some_and(|end| end <= part.size);
        if sound {
            Ok(shape.with_short())
        } else {
            Err(part.seg.corrupted("the head of a ring makes no sense"))
        }
    }

    /// Fills the memory of a new ring, whose first ticket is `first`.
    pub fn init(&self, part: &Part<'_>, at: u64, first: u64) -> Result<()> {
        let head: &RingHead = part.at(at)?;
        for word in part.words(at, size_of::<RingHead>() as u64 / 8)? {
            word.store(0, Relaxed);
        }
        head.cells.store(self.cells, Relaxed);
        head.capacity.store(self.capacity, Relaxed);
        head.cell_size.store(self.cell_size, Relaxed);
        head.max_item.store(self.max_item, Relaxed);
        head.max_bytes.store(self.max_bytes, Relaxed);
        head.joinable.store(self.joinable.into(), Relaxed);
        head.tail.store(first, Relaxed);
        head.head.store(first, Relaxed);
        let ring = Ring { part: *part, at, shape: self };
        for ticket in (0..self.cells).map(|i| first.wrapping_add(i)) {
            ring.cell(ticket).state.store(State::new(ticket, 0, FREE).0, Relaxed);
        }
        Ok(())
    }

    /// The bytes of an item that stay in its cell.
    fn inline(&self) -> u64 {
        self.cell_size - PAYLOAD
    }
}

/// A claimed cell: whose ticket it is, and where its payload lies.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The ticket.
    pub ticket: u64,
    /// Where the payload is.
    pub data: *mut u8,
    /// Its length in bytes.
    pub len: usize,
    /// The item's number, the same at each delivery.
    pub number: u64,
    /// How often the item was delivered, this time included.
    pub deliveries: u16,
    /// What the putter marked it with.
    pub marks: u16,
    /// The block that the payload is in, 0 if it is in the cell.
    pub block: u64,
}

/// What a getter takes of what was [marked](Ring::commit_marked).
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Accept {
    /// Anything.
    All,
    /// Only what bears no marks; what does is left to somebody else, and nothing behind it is taken.
    Unmarked,
}

/// What a getter found.
enum Found {
    /// This cell was claimed.
    Item(u64),
    /// The oldest item is not acceptable.
    Refused,
    /// Nothing to get; this participant may yet put or give something back.
    Nothing(Option<Label>),
}

impl Cell {
    /// Says what item is in the cell that is about to be committed.
    #[inline]
    fn describe(&self, ticket: u64, len: usize, flags: u16) {
        self.number.store(ticket, Relaxed);
        self.len.store(len as u32, Relaxed);
        self.deliveries.store(0, Relaxed);
        self.flags.store(flags, Relaxed);
    }
}

/// A ring in shared memory.
#[derive(Clone, Copy)]
pub struct Ring<'a> {
    part: Part<'a>,
    at: u64,
    shape: &'a Shape,
}

impl<'a> Ring<'a> {
    /// The ring at `at` bytes into `part`, whose shape was [read](Shape::read) from there.
    #[inline]
    pub fn new(part: Part<'a>, at: u64, shape: &'a Shape) -> Self {
        Self { part, at, shape }
    }

    /// The label of this process.
    #[inline]
    pub fn me(&self) -> Result<Label> {
        self.part.seg.me()
    }

    /// Whether `label` is that of this process.
    #[inline]
    pub fn is_me(&self, label: Label) -> bool {
        self.part.seg.is_me(label)
    }

    #[inline]
    fn head(&self) -> &'a RingHead {
        // SAFETY: `Shape::read` or `init` has checked that the head lies in the part, which stays mapped.
        unsafe { &*self.part.base.as_ptr().add(self.at as usize).cast::<RingHead>() }
    }

    fn cell_at(&self, ticket: u64) -> u64 {
        let index = ticket & (self.shape.cells - 1);
        self.at + size_of::<RingHead>() as u64 + index * self.shape.cell_size
    }

    #[inline]
    fn cell(&self, ticket: u64) -> &'a Cell {
        // SAFETY: as in `head`; the index is below the number of cells, which `Shape` was checked for.
        unsafe { &*self.part.base.as_ptr().add(self.cell_at(ticket) as usize).cast::<Cell>() }
    }

    fn payload(&self, ticket: u64) -> *mut u8 {
        // SAFETY: as in `cell`; the payload lies in the same cell.
        unsafe { self.part.base.as_ptr().add((self.cell_at(ticket) + PAYLOAD) as usize) }
    }

    /// The first word of the payload, which refers to the block of a spilled one.
    fn reference(&self, ticket: u64) -> &'a AtomicU64 {
        // SAFETY: the payload is 8 bytes long at least and aligned to 8.
        unsafe { &*self.payload(ticket).cast::<AtomicU64>() }
    }

    #[inline]
    #[cfg_attr(loom, track_caller)]
    fn state(&self, ticket: u64) -> State {
        State(self.cell(ticket).state.load(Acquire)) // pairs with commit and release
    }

    #[cfg_attr(loom, track_caller)]
    fn cas(&self, ticket: u64, old: State, new: State) -> bool {
        self.cell(ticket).state.cas(old.0, new.0).is_ok()
    }

    /// Who owns a block that holds the payload of `ticket`.
    fn owner(&self, ticket: u64) -> Owner {
        Owner::Cell { cell: self.part.offset + self.cell_at(ticket), ticket }
    }

    fn corrupted(&self) -> Error {
        self.part.seg.corrupted("the cells of a ring contradict each other")
    }

    /// Moves a hint up. A slower participant may move it down again, but never below where all is claimed.
    #[inline]
    fn raise(hint: &AtomicU64, to: u64) {
        if (to.wrapping_sub(hint.load(Relaxed)) as i64) > 0 {
            // Release, and Acquire where it is read: who starts from here sees the claims below as claims.
            hint.store(to, Release);
        }
    }

    // ---- putting ---------------------------------------------------------------------------------------

    /// Takes the next free cell; `None` when the ring is full.
    fn claim_free(&self, me: Label) -> Result<Option<u64>> {
        let n = self.shape.cells as i64;
        let head = self.head();
        let mut t = head.tail.load(Acquire);
        loop {
            let seen = self.state(t);
            match seen.ahead_of(t) {
                0 if seen.state() == FREE => {
                    if !self.has_room(t) {
                        return Ok(None);
                    }
                    if self.cas(t, seen, State::new(t, me, WRITING)) {
                        Self::raise(&head.tail, t.wrapping_add(1));
                        return Ok(Some(t));
                    }
                }
                // A cell that is laps ahead tells that all tickets up to a lap below it were claimed.
                ahead if ahead >= n => t = t.wrapping_add((ahead - n) as u64 + 1),
                ahead if ahead >= 0 => t = t.wrapping_add(1),
                ahead if ahead == -n && seen.state() == HELD => {
                    if !self.free_follows(t) {
                        return Ok(None);
                    }
                    // Whether this or another putter moves it on, the next look tells.
                    self.cas(t, seen, State::new(t, seen.label(), HELD));
                }
                ahead if ahead == -n && seen.state() != FREE => return Ok(None),
                _ => return Err(self.corrupted()),
            }
        }
    }

    /// Whether the ticket `capacity` below `t` was given back, where the ring has more cells than that.
    fn has_room(&self, t: u64) -> bool {
        if self.shape.capacity == self.shape.cells {
            return true;
        }
        let before = t.wrapping_sub(self.shape.capacity);
        let seen = self.state(before);
        let ahead = seen.ahead_of(before);
        ahead > 0 || ahead == 0 && seen.state() == HELD
    }

    /// Whether a putter that passes over the HELD cell at `t` finds a free one within a lap.
    fn free_follows(&self, t: u64) -> bool {
        for t in (1..self.shape.cells).map(|i| t.wrapping_add(i)) {
            let seen = self.state(t);
            match (seen.ahead_of(t), seen.state()) {
                (0, FREE) => return self.has_room(t),
                (0.., _) | (_, HELD) => {}
                _ => return false,
            }
        }
        false
    }

    /// Puts an item where that takes no more than writing it into the next cell; false where something else is to be
    /// done, and nothing was. It is what [`reserve`](Self::reserve) and [`commit`](Self::commit) come to then; it wakes
    /// nobody either.
    #[inline]
    pub fn put_straight(&self, me: Label, item: &[u8]) -> bool {
        let head = self.head();
        if item.len() >= self.shape.short || self.is_closed() {
            return false;
        }
        let ticket = head.tail.load(Acquire);
        let cell = self.cell(ticket);
        let free = State::new(ticket, 0, FREE);
        if cell.state.load(Acquire) != free.0
            || cell.state.cas(free.0, State::new(ticket, me, WRITING).0).is_err()
        {
            return false;
        }
        Self::raise(&head.tail, ticket.wrapping_add(1));
        prefetch(self.cell(ticket.wrapping_add(AHEAD)));
        if head.closed.load(SeqCst) != 0 {
            self.skip(ticket);
            return false;
        }
        crate::atomic::step();
        crate::atomic::payload(self.payload(ticket), true);
        // SAFETY: the payload has room for `short` bytes, and nobody else touches it while the cell is WRITING.
        unsafe { copy_short(item.as_ptr(), self.payload(ticket), item.len()) };
        cell.describe(ticket, item.len(), 0);
        cell.state.store(State::new(ticket, 0, FULL).0, Release); // pairs with the load in `state`
        true
    }

    /// Who keeps the next cell from being free, if it is another participant at work in it.
    fn blocks_put(&self, me: Label) -> Option<Label> {
        let t = self.head().tail.load(Acquire).wrapping_sub(self.shape.capacity);
        let seen = self.state(t);
        Some(seen.label()).filter(|label| *label != 0 && *label != me && seen.state() != HELD)
    }

    /// Claims a cell for an item of `len` bytes, waiting until `deadline`. The claim must be
    /// [committed](Self::commit) or [aborted](Self::abort).
    ///
    /// # Errors
    /// `TooLarge`, `Closed`, `WouldBlock`, `TimedOut`, `Interrupted`; `NoSpace` and `LimitReached` when the
    /// payload spills and the arena cannot hold it.
    #[inline]
    pub fn reserve(&self, len: usize, deadline: Deadline) -> Result<Claim> {
        let me = self.part.seg.me()?;
        if len as u64 > self.shape.inline().min(self.shape.max_item) || self.shape.max_bytes != u64::MAX {
            return self.reserve_large(me, len, deadline);
        }
        let ticket = self.wait_free(me, deadline)?;
        Ok(Claim {
            ticket,
            data: self.payload(ticket),
            len,
            number: ticket,
            deliveries: 0,
            marks: 0,
            block: 0,
        })
    }

    fn reserve_large(&self, me: Label, len: usize, deadline: Deadline) -> Result<Claim> {
        if len as u64 > self.shape.max_item {
            fail!(TooLarge, "items of up to {} bytes; got {len}", self.shape.max_item);
        }
        if self.is_closed() {
            return Err(ErrorKind::Closed.into());
        }
        self.take_bytes(me, len as u64, deadline)?;
        let give_bytes_back = |e| {
            self.return_bytes(len as u64);
            e
        };
        if len as u64 <= self.shape.inline() {
            let ticket = self.wait_free(me, deadline).map_err(give_bytes_back)?;
            self.cell(ticket).len.store(len as u32, Relaxed);
            return Ok(Claim {
                ticket,
                data: self.payload(ticket),
                len,
                number: ticket,
                deliveries: 0,
                marks: 0,
                block: 0,
            });
        }
        let block = self.part.seg.allocate(len as u64, deadline).map_err(give_bytes_back)?;
        let ticket = match self.wait_free(me, deadline) {
            Ok(ticket) => ticket,
            Err(e) => {
                self.part.seg.free(&block);
                return Err(give_bytes_back(e));
            }
        };
        self.cell(ticket).len.store(len as u32, Relaxed);
        let data = self.part.seg.bytes(block.offset, len as u64)?;
        Ok(Claim { ticket, data, len, number: ticket, deliveries: 0, marks: 0, block: block.at.pack() })
    }

    #[inline]
    fn wait_free(&self, me: Label, deadline: Deadline) -> Result<u64> {
        let ready = || {
            if self.is_closed() {
                return Err(ErrorKind::Closed.into());
            }
            self.claim_free(me)
        };
        let ticket = match ready()? {
            Some(ticket) => ticket,
            None => {
                self.part.seg.waits_for(self.part.block);
                let ticket = self.head().space.wait(self.part.seg, deadline, || self.blocks_put(me), ready);
                self.part.seg.waits_for(0);
                ticket?
            }
        };
        // Who closes stores `closed`, and who finds it closed fences and looks at the cells; we claimed, and look at
        // `closed`. Claim and both accesses of `closed` are SeqCst: one of the two sees the other.
        if self.head().closed.load(SeqCst) != 0 {
            self.skip(ticket);
            return Err(ErrorKind::Closed.into());
        }
        Ok(ticket)
    }

    /// Gives a claimed cell back without an item: its ticket is skipped.
    fn skip(&self, ticket: u64) {
        let next = State::new(ticket.wrapping_add(self.shape.cells), 0, FREE);
        self.cell(ticket).state.store(next.0, Release);
        self.after_release(1);
    }

    /// Makes the first `len` bytes of a claim an item that getters can take. Wakes nobody; see
    /// [`wake_getters`](Self::wake_getters).
    #[inline]
    pub fn commit(&self, claim: &Claim, len: usize) {
        self.commit_marked(claim, len, 0);
    }

    /// [`commit`](Self::commit) with marks of the caller's, 15 bits.
    #[inline]
    pub fn commit_marked(&self, claim: &Claim, len: usize, marks: u16) {
        crate::atomic::payload(claim.data, true);
        let cell = self.cell(claim.ticket);
        cell.describe(claim.ticket, len, marks << 1 | if claim.block == 0 { 0 } else { SPILLED });
        if claim.block != 0 {
            self.reference(claim.ticket).store(claim.block, Relaxed);
            if let Ok(block) = self.part.seg.block(claim.block) {
                block.give(self.owner(claim.ticket));
            }
        }
        if len < claim.len && self.shape.max_bytes != u64::MAX {
            self.return_bytes((claim.len - len) as u64);
        }
        cell.state.store(State::new(claim.ticket, 0, FULL).0, Release); // pairs with the load in `state`
    }

    /// Wakes getters after `n` commits: once for a batch.
    #[inline]
    pub fn wake_getters(&self, n: u32) {
        self.head().items.notify(n);
    }

    /// Gives a claim up: nothing was put.
    pub fn abort(&self, claim: &Claim) {
        if self.shape.max_bytes != u64::MAX {
            self.return_bytes(claim.len as u64);
        }
        if let Ok(block) = self.part.seg.block(claim.block) {
            self.part.seg.free(&block);
        }
        self.skip(claim.ticket);
    }

    // ---- bytes -----------------------------------------------------------------------------------------

    fn take_bytes(&self, me: Label, len: u64, deadline: Deadline) -> Result<()> {
        if self.shape.max_bytes == u64::MAX {
            return Ok(());
        }
        let bytes = &self.head().bytes;
        let fits = |used: u64| used.saturating_add(len) <= self.shape.max_bytes;
        let ready = || {
            if self.is_closed() {
                return Err(ErrorKind::Closed.into());
            }
            let used = bytes.load(Relaxed);
            if !fits(used) {
                // The hint may be too high after a death: what counts is what lies in the cells.
                let counted = self.count().1;
                let _ = bytes.cas(used, counted);
                if !fits(counted) {
                    return Ok(None);
                }
            }
            let used = bytes.load(Relaxed);
            Ok((fits(used) && bytes.cas(used, used + len).is_ok()).then_some(()))
        };
        self.head().space.wait(self.part.seg, deadline, || self.blocks_put(me), ready)
    }

    fn return_bytes(&self, len: u64) {
        let bytes = &self.head().bytes;
        let mut used = bytes.load(Relaxed);
        while let Err(now) = bytes.cas(used, used.saturating_sub(len)) {
            used = now;
        }
    }

    /// The items that can be taken, and the bytes of all that is not free.
    fn count(&self) -> (u64, u64) {
        let (mut items, mut bytes) = (0, 0);
        for index in 0..self.shape.cells {
            let state = self.state(index).state();
            items += u64::from(state == FULL);
            if state != FREE {
                bytes += u64::from(self.cell(index).len.load(Relaxed));
            }
        }
        (items, bytes)
    }

    // ---- getting ---------------------------------------------------------------------------------------

    /// Takes the oldest item as `taken` (READING, HELD, or FULL to only look), passing over cells that are
    /// being written.
    fn claim_full(
        &self,
        me: Label,
        taken: u64,
        accept: Accept,
        epoch: &std::sync::atomic::AtomicU64,
    ) -> Result<Found> {
        use std::sync::atomic::Ordering::Relaxed as Local;
        let head = self.head();
        let reopened = head.reopened.load(Acquire);
        if reopened != epoch.load(Local) {
            if let Some(found) = self.claim_reopened(me, taken, accept) {
                return Ok(found);
            }
            epoch.store(reopened, Local);
        }
        let n = self.shape.cells as i64;
        let mut t = head.head.load(Acquire);
        let mut passed = None;
        let mut awaited = None;
        loop {
            let seen = self.state(t);
            let ahead = seen.ahead_of(t);
            if ahead == 0 && seen.state() == FULL {
                // What was passed over may have been committed meanwhile, and is older.
                let older = passed.and_then(|first: u64| {
                    (0..t.wrapping_sub(first)).map(|i| first.wrapping_add(i)).find(|t| {
                        let seen = self.state(*t);
                        seen.ahead_of(*t) == 0 && seen.state() == FULL
                    })
                });
                if let Some(older) = older {
                    t = older;
                    continue;
                }
                if !self.is_acceptable(t, accept) {
                    return Ok(Found::Refused);
                }
                if taken == FULL {
                    return Ok(Found::Item(t));
                }
                if self.cas(t, seen, State::new(t, me, taken)) {
                    if passed.is_none() {
                        Self::raise(&head.head, t.wrapping_add(1));
                    }
                    return Ok(Found::Item(t));
                }
                continue;
            }
            if ahead < -n && seen.state() != HELD {
                return Err(self.corrupted());
            }
            if ahead < 0 || ahead == 0 && seen.state() == FREE {
                return Ok(Found::Nothing(awaited));
            }
            if ahead == 0 && seen.label() != me && awaited.is_none() {
                awaited = Some(seen.label());
            }
            if ahead == 0 && seen.state() == WRITING && passed.is_none() {
                passed = Some(t);
            }
            // A cell that is two laps ahead tells that all tickets up to two laps below it are done with.
            let step = if ahead >= 2 * n && passed.is_none() { (ahead - 2 * n) as u64 + 1 } else { 1 };
            t = t.wrapping_add(step);
        }
    }

    /// Takes the oldest item of all cells, wherever `head` is.
    #[cold]
    fn claim_reopened(&self, me: Label, taken: u64, accept: Accept) -> Option<Found> {
        loop {
            let near = self.head().head.load(Acquire);
            let full = (0..self.shape.cells).filter_map(|index| {
                let seen = self.state(index);
                let ticket = seen.ticket(near);
                // In damaged memory a cell may bear the ticket of another one.
                (seen.state() == FULL && ticket & (self.shape.cells - 1) == index).then_some((ticket, seen))
            });
            let (ticket, seen) = full.min_by_key(|(ticket, _)| ticket.wrapping_sub(near) as i64)?;
            if !self.is_acceptable(ticket, accept) {
                return Some(Found::Refused);
            }
            if taken == FULL || self.cas(ticket, seen, State::new(ticket, me, taken)) {
                return Some(Found::Item(ticket));
            }
        }
    }

    /// Whether a getter wants the item of a FULL cell. If it changes meanwhile, claiming it fails.
    fn is_acceptable(&self, ticket: u64, accept: Accept) -> bool {
        accept == Accept::All || self.cell(ticket).flags.load(Relaxed) & !SPILLED == 0
    }

    /// Takes the oldest item, waiting until `deadline`; `held` for as long as its work lasts. The claim must
    /// be [released](Self::release). `None` when the oldest item is not acceptable. `gone` says, when there is
    /// nothing, whether nothing will ever come.
    ///
    /// # Errors
    /// `Closed`, `WouldBlock`, `TimedOut`, `Interrupted`, `Corrupted`.
    #[inline]
    pub fn take(
        &self,
        held: bool,
        accept: Accept,
        deadline: Deadline,
        epoch: &std::sync::atomic::AtomicU64,
        gone: impl Fn() -> bool,
        suspect: impl Fn() -> Option<Label>,
    ) -> Result<Option<Claim>> {
        let me = self.part.seg.me()?;
        let taken = if held { HELD } else { READING };
        let blocker = std::cell::Cell::new(None);
        // The ticket that was claimed, or `None` for one that is not acceptable.
        let attempt = || match self.claim_full(me, taken, accept, epoch)? {
            Found::Item(ticket) => Ok(Some(Some(ticket))),
            Found::Refused => Ok(Some(None)),
            Found::Nothing(awaited) => {
                blocker.set(awaited);
                Ok(None)
            }
        };
        let ready = || {
            if let Some(ticket) = attempt()? {
                return Ok(Some(ticket));
            }
            if !self.is_closed() && !gone() {
                return Ok(None);
            }
            // Seen closed first; now nothing may be there, nor on its way, nor able to come back.
            match attempt()? {
                Some(ticket) => Ok(Some(ticket)),
                None if self.may_come(me) => Ok(None),
                None => Err(ErrorKind::Closed.into()),
            }
        };
        if let Some(ticket) = attempt()? {
            return ticket.map(|ticket| self.taken(ticket)).transpose();
        }
        let ticket = match if deadline == Deadline::Now { None } else { crate::wait::spin(attempt)? } {
            Some(ticket) => ticket,
            None => {
                self.part.seg.waits_for(self.part.block);
                let suspect = || blocker.get().or_else(|| self.keeper(me)).or_else(&suspect);
                let ticket = self.head().items.sleep_until(self.part.seg, deadline, suspect, ready);
                self.part.seg.waits_for(0);
                ticket?
            }
        };
        ticket.map(|ticket| self.taken(ticket)).transpose()
    }

    /// Takes the item at the head where that takes no more than reading it from its cell, and hands it to `read`;
    /// `None` where something else is to be done, and nothing was. It is what [`take`](Self::take) and
    /// [`release`](Self::release) come to then. Items longer than `room` are left where they are.
    #[inline]
    pub fn get_straight<R>(
        &self,
        me: Label,
        epoch: &std::sync::atomic::AtomicU64,
        room: usize,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let result = self.get_silently(me, epoch, room, read)?;
        self.wake_putters(1);
        Some(result)
    }

    /// [`get_straight`](Self::get_straight) that wakes nobody; see [`after_release`](Self::after_release).
    #[inline]
    pub fn get_silently<R>(
        &self,
        me: Label,
        epoch: &std::sync::atomic::AtomicU64,
        room: usize,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let head = self.head();
        if head.reopened.load(Acquire) != epoch.load(std::sync::atomic::Ordering::Relaxed) {
            return None;
        }
        let ticket = head.head.load(Acquire);
        let cell = self.cell(ticket);
        let full = State::new(ticket, 0, FULL);
        if cell.state.load(Acquire) != full.0 {
            return None;
        }
        let len = cell.len.load(Relaxed) as usize;
        // If these change meanwhile, so does the state.
        if len >= self.shape.short || len > room || cell.flags.load(Relaxed) != 0 {
            return None;
        }
        if cell.state.cas(full.0, State::new(ticket, me, READING).0).is_err() {
            return None;
        }
        Self::raise(&head.head, ticket.wrapping_add(1));
        prefetch(self.cell(ticket.wrapping_add(AHEAD)));
        cell.deliveries.store(cell.deliveries.load(Relaxed).saturating_add(1), Relaxed);
        // SAFETY: the payload has room for `short` bytes, and nobody writes to it while the cell is READING.
        let result = read(unsafe { std::slice::from_raw_parts(self.payload(ticket), len) });
        crate::atomic::payload(self.payload(ticket), false);
        cell.state.store(State::new(ticket.wrapping_add(self.shape.cells), 0, FREE).0, Release);
        Some(result)
    }

    /// [`get_straight`](Self::get_straight), also of an item that comes while it spins for it.
    #[inline]
    pub fn get_soon<R>(
        &self,
        me: Label,
        epoch: &std::sync::atomic::AtomicU64,
        room: usize,
        deadline: Deadline,
        mut read: impl FnMut(&[u8]) -> R,
    ) -> Result<Option<R>> {
        let found = self.get_straight(me, epoch, room, &mut read);
        if found.is_some() || deadline == Deadline::Now || !self.is_awaited() {
            return Ok(found);
        }
        crate::wait::spin(|| Ok(self.get_straight(me, epoch, room, &mut read)))
    }

    /// Whether an item at the head is all that is missing.
    fn is_awaited(&self) -> bool {
        let ticket = self.head().head.load(Acquire);
        let seen = self.state(ticket);
        self.shape.short > 0
            && seen.ahead_of(ticket) == 0
            && matches!(seen.state(), FREE | WRITING)
            && !self.is_closed()
    }

    /// Another participant who has taken an item lately, and whose death would bring it back.
    fn keeper(&self, me: Label) -> Option<Label> {
        let head = self.head().head.load(Acquire);
        let taken = (1..=self.shape.cells.min(KEPT)).map(|i| self.state(head.wrapping_sub(i)));
        taken
            .filter(|seen| matches!(seen.state(), READING | HELD))
            .map(State::label)
            .find(|label| *label != me)
    }

    /// Whether any cell has an item, or may yet have one that this process can get.
    fn may_come(&self, me: Label) -> bool {
        fence(SeqCst); // pairs with a putter's claim, which is SeqCst
        (0..self.shape.cells).any(|index| {
            let seen = self.state(index);
            match seen.state() {
                FREE => false,
                // What this process has taken it will not wait for.
                READING | HELD => seen.label() != me,
                _ => true,
            }
        })
    }

    /// Describes a cell that was just claimed, and counts the delivery.
    fn taken(&self, ticket: u64) -> Result<Claim> {
        let cell = self.cell(ticket);
        let deliveries = cell.deliveries.load(Relaxed).saturating_add(1);
        cell.deliveries.store(deliveries, Relaxed);
        let len = cell.len.load(Relaxed) as usize;
        let flags = cell.flags.load(Relaxed);
        let number = cell.number.load(Relaxed);
        let mut claim = Claim {
            ticket,
            data: self.payload(ticket),
            len,
            number,
            deliveries,
            marks: flags >> 1,
            block: 0,
        };
        if flags & SPILLED != 0 {
            claim.block = self.reference(ticket).load(Relaxed);
            let block = self.part.seg.block(claim.block)?;
            if len as u64 > block.size {
                return Err(self.corrupted());
            }
            claim.data = self.part.seg.bytes(block.offset, len as u64)?;
            self.part.seg.adopt(&block)?;
        } else if len as u64 > self.shape.inline() {
            return Err(self.corrupted());
        }
        Ok(claim)
    }

    /// Gives a taken cell back: its item is done with, or, in a joinable queue, taken by this process.
    #[inline]
    pub fn release(&self, claim: &Claim, held: bool) {
        self.release_silently(claim, held);
        self.after_release(1);
    }

    /// [`release`](Self::release) that wakes nobody; see [`after_release`](Self::after_release).
    #[inline]
    pub fn release_silently(&self, claim: &Claim, held: bool) {
        // Counted before the cell is free, so that it is unfinished in one place or the other.
        if self.shape.joinable
            && !held
            && let (Ok(join), Ok(me)) = (Join::over(self.part, self.shape), self.me())
        {
            let _ = join.take(me);
        }
        self.free(claim, held);
    }

    /// Wakes those who wait for `n` cells that were given back: once for a batch.
    #[inline]
    pub fn after_release(&self, n: u32) {
        self.wake_putters(n);
        self.tell_who_joins();
    }

    fn tell_who_joins(&self) {
        if self.shape.joinable
            && let Ok(join) = Join::over(self.part, self.shape)
        {
            let _ = join.look_again();
        }
    }

    #[inline]
    fn free(&self, claim: &Claim, held: bool) {
        crate::atomic::payload(claim.data, false);
        if self.shape.max_bytes != u64::MAX {
            self.return_bytes(claim.len as u64);
        }
        let cell = self.cell(claim.ticket);
        let n = self.shape.cells;
        if held {
            // Putters may have moved it on to later tickets.
            let mut seen = State(cell.state.load(Acquire));
            while let Err(now) =
                cell.state.cas(seen.0, State::new(seen.ticket(claim.ticket).wrapping_add(n), 0, FREE).0)
            {
                seen = State(now);
            }
        } else {
            cell.state.store(State::new(claim.ticket.wrapping_add(n), 0, FREE).0, Release);
        }
        if claim.block != 0
            && let Ok(block) = self.part.seg.block(claim.block)
        {
            self.part.seg.free(&block);
        }
    }

    /// [`put_back`](Self::put_back) of an item that was not looked at: this delivery does not count.
    pub fn untake(&self, claim: &Claim) {
        self.cell(claim.ticket).deliveries.store(claim.deliveries - 1, Relaxed);
        self.put_back(claim);
    }

    /// Makes a taken item one that others can take, as the death of its taker would.
    pub fn put_back(&self, claim: &Claim) {
        loop {
            let seen = self.state(claim.ticket);
            let ticket = seen.ticket(claim.ticket);
            if let Ok(block) = self.part.seg.block(claim.block) {
                block.give(self.owner(ticket));
            }
            if self.cas(ticket, seen, State::new(ticket, 0, FULL)) {
                return self.reopen();
            }
        }
    }

    /// Checks a claim that a C caller kept for us: the cell is this process's, in the state that the caller
    /// says, and so is its block. Whether it is HELD.
    ///
    /// # Errors
    /// `NotHeld` when it was given back already, or never taken.
    #[cfg(feature = "capi")]
    pub fn check(&self, claim: &Claim, writing: bool) -> Result<bool> {
        let me = self.part.seg.me()?;
        let seen = self.state(claim.ticket);
        let state = if writing { seen.state() == WRITING } else { matches!(seen.state(), READING | HELD) };
        let ahead = seen.ahead_of(claim.ticket);
        let cell = self.cell(claim.ticket);
        // The same item at the same delivery: a claim that was given back must not give back a later one.
        let same = writing
            || cell.number.load(Relaxed) == claim.number && cell.deliveries.load(Relaxed) == claim.deliveries;
        let mine = seen.label() == me && state && same && (ahead == 0 || ahead > 0 && seen.state() == HELD);
        let room = match claim.block {
            0 => self.shape.inline(),
            word => {
                let block = self.part.seg.block(word).ok().filter(|b| b.is(Owner::Participant(me)));
                block.map_or(0, |b| b.size)
            }
        };
        if !mine || claim.len as u64 > room {
            return Err(ErrorKind::NotHeld.into());
        }
        Ok(seen.state() == HELD)
    }

    #[inline]
    fn wake_putters(&self, n: u32) {
        let head = self.head();
        head.space.notify(n);
        if head.closed.load(Relaxed) != 0 {
            // Getters wait for the last one to be done before they are told that nothing comes any more.
            head.items.notify(u32::MAX);
        }
    }

    // ---- the rest --------------------------------------------------------------------------------------

    /// Whether no more items may be put.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.head().closed.load(Acquire) != 0
    }

    /// Lets no more items in, and tells everybody who waits.
    pub fn close(&self) {
        self.head().closed.store(1, SeqCst);
        self.wake_all();
    }

    /// Makes everybody who waits look again.
    pub fn wake_all(&self) {
        self.head().items.notify(u32::MAX);
        self.head().space.notify(u32::MAX);
    }

    /// How many items can be taken.
    pub fn len(&self) -> u64 {
        self.count().0
    }

    /// The word that getters sleep on.
    pub fn items_word(&self) -> &'a WaitWord {
        &self.head().items
    }

    /// The word that putters sleep on.
    pub fn space_word(&self) -> &'a WaitWord {
        &self.head().space
    }

    /// Whether any item that can be taken has such marks.
    pub fn any_marked(&self, is: impl Fn(u16) -> bool) -> bool {
        (0..self.shape.cells)
            .any(|index| self.state(index).state() == FULL && is(self.cell(index).flags.load(Relaxed) >> 1))
    }

    /// Grows with every put that has returned.
    pub fn puts(&self) -> u64 {
        self.head().tail.load(Acquire)
    }

    /// Whether all cells are free.
    pub fn is_idle(&self) -> bool {
        (0..self.shape.cells).all(|index| self.state(index).state() == FREE)
    }

    /// Somebody who has a cell, if anybody does.
    pub fn holder(&self) -> Option<Label> {
        (0..self.shape.cells).map(|index| self.state(index).label()).find(|label| *label != 0)
    }

    /// Sleeps until at most `items` can be taken.
    pub fn wait_drained(&self, items: u64, deadline: Deadline) -> Result<()> {
        let ready = || Ok((self.len() <= items).then_some(()));
        self.head().space.sleep_until(self.part.seg, deadline, || None, ready)
    }

    /// Whether a put would have to wait.
    pub fn is_full(&self) -> bool {
        let n = self.shape.cells as i64;
        let mut t = self.head().tail.load(Acquire);
        loop {
            let seen = self.state(t);
            match seen.ahead_of(t) {
                0 if seen.state() == FREE => return !self.has_room(t),
                ahead if ahead >= n => t = t.wrapping_add((ahead - n) as u64 + 1),
                ahead if ahead >= 0 => t = t.wrapping_add(1),
                _ => return seen.state() != HELD || !self.free_follows(t),
            }
        }
    }

    /// Sleeps until an item can be taken or `gone`; takes none.
    pub fn poll(
        &self,
        deadline: Deadline,
        epoch: &std::sync::atomic::AtomicU64,
        gone: impl Fn() -> bool,
        suspect: impl Fn() -> Option<Label>,
    ) -> Result<()> {
        let me = self.part.seg.me()?;
        let full =
            || Ok(matches!(self.claim_full(me, FULL, Accept::All, epoch)?, Found::Item(_)).then_some(()));
        if deadline != Deadline::Now && crate::wait::spin(full)?.is_some() {
            return Ok(());
        }
        let ready = || Ok(full()?.or_else(|| (self.is_closed() || gone()).then_some(())));
        self.head().items.sleep_until(self.part.seg, deadline, suspect, ready)
    }

    fn reopen(&self) {
        self.head().reopened.fetch_add(1, SeqCst); // after the cells, before the dead one's seat is free
        self.wake_all();
    }

    /// Gives back what this process still holds, when it closes its last handle.
    pub fn give_back(&self, me: Label, side: Side) {
        if (0..self.shape.cells).any(|index| self.state(index).is_held_by(me, side)) {
            self.recover_side(me, side);
        }
    }

    /// Gives back what `dead` held. Idempotent; several may do it at once.
    pub fn recover(&self, dead: Label) {
        self.recover_side(dead, Side::Both);
    }

    fn recover_side(&self, dead: Label, side: Side) {
        for index in 0..self.shape.cells {
            let seen = self.state(index);
            if seen.is_held_by(dead, side) {
                self.recover_cell(index, seen, dead);
            }
        }
        self.reopen();
        if self.shape.joinable
            && let Ok(join) = Join::over(self.part, self.shape)
        {
            join.recover(dead);
        }
    }

    fn recover_cell(&self, index: u64, mut seen: State, dead: Label) {
        loop {
            let ticket = seen.ticket(self.head().tail.load(Acquire));
            let reference = self.reference(index).load(Relaxed);
            let spilled = self.cell(index).flags.load(Relaxed) & SPILLED != 0;
            fence(Acquire);
            // Unchanged: the reference is this claim's, for only the dead one wrote it.
            if self.state(index) != seen {
                return;
            }
            let block = self.part.seg.block(reference);
            let next = match seen.state() {
                WRITING => {
                    if let Ok(block) = block
                        && block.move_on(self.owner(ticket), Owner::Free)
                    {
                        self.part.seg.freed(&block);
                    }
                    State::new(ticket.wrapping_add(self.shape.cells), 0, FREE)
                }
                READING | HELD => {
                    if let Ok(block) = block
                        && spilled
                    {
                        block.move_on(Owner::Participant(dead), self.owner(ticket));
                    }
                    State::new(ticket, 0, FULL)
                }
                _ => return,
            };
            if self.cas(index, seen, next) {
                return;
            }
            // A putter may have moved a HELD cell on; anything else means that somebody else was faster.
            seen = self.state(index);
            if seen.label() != dead || seen.state() != HELD {
                return;
            }
        }
    }

    /// Frees the blocks of all payloads, when nobody has the ring open any more.
    pub fn free_blocks(&self) {
        for index in 0..self.shape.cells {
            let seen = self.state(index);
            if seen.state() != FULL || self.cell(index).flags.load(Relaxed) & SPILLED == 0 {
                continue;
            }
            if let Ok(block) = self.part.seg.block(self.reference(index).load(Relaxed)) {
                // A getter's death may have left the label of an earlier ticket; the cell is what counts.
                self.free_if_ours(&block, index);
            }
        }
    }

    fn free_if_ours(&self, block: &Block<'_>, index: u64) {
        let near = self.head().tail.load(Acquire);
        let ticket = self.state(index).ticket(near);
        let numbered = self.cell(index).number.load(Relaxed);
        if block.is(self.owner(ticket)) || block.is(self.owner(numbered)) {
            block.give(Owner::Free);
            self.part.seg.freed(block);
        }
    }
}

/// Copies a few bytes, without a call where it can be two overlapping words.
///
/// # Safety
/// As of `ptr::copy_nonoverlapping`.
#[inline]
unsafe fn copy_short(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: both words lie within the `len` bytes that the caller vouches for.
    unsafe {
        match len {
            8..=16 => {
                let (first, last) =
                    (from.cast::<u64>().read_unaligned(), from.add(len - 8).cast::<u64>().read_unaligned());
                to.cast::<u64>().write_unaligned(first);
                to.add(len - 8).cast::<u64>().write_unaligned(last);
            }
            _ => ptr::copy_nonoverlapping(from, to, len),
        }
    }
}

/// Copies an item to the start of a buffer that is long enough; its length.
#[inline]
pub fn copy_to(item: &[u8], buffer: &mut [u8]) -> usize {
    let place = &mut buffer[..item.len()];
    // SAFETY: both are as long as the item, and do not overlap, for one is borrowed mutably.
    unsafe { copy_short(item.as_ptr(), place.as_mut_ptr(), item.len()) };
    item.len()
}

/// Copies `bytes` to the start of a claim.
#[inline]
pub fn fill(claim: &Claim, bytes: &[u8]) {
    fill_at(claim, 0, bytes);
}

/// Copies `bytes` into a claim. The claim is the caller's alone until it is committed.
#[inline]
pub fn fill_at(claim: &Claim, at: usize, bytes: &[u8]) {
    assert!(at.checked_add(bytes.len()).is_some_and(|end| end <= claim.len));
    crate::atomic::step();
    // SAFETY: `data` has room for `len` bytes, checked when the cell was claimed, and while the cell is in
    // WRITING nobody else touches them.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), claim.data.add(at), bytes.len()) }
}
