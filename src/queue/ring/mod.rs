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
//!   FULL(t), given back ── a putter that comes round, CAS ──▶ FULL(t + n)
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
//!   cell and not the queue. They pass over an item that was given back, too, for its order is lost already: else
//!   those who put before they get would wait, all of them, behind an item that none of them gets.
//! - **Batches** of short items of one length claim eight cells as one; see [`run`].
//! - **Large payloads** spill into an arena block. The label on the block is the truth, the reference in the
//!   cell only says where to look: a block belongs to a cell if its label names cell and ticket, or the
//!   participant who has claimed the cell.
//!
//! The cell's ticket word is Dmitry Vyukov's (bounded MPMC queue); naming the owner in it is what makes it
//! survive kills.

mod get;
mod look;
mod pace;
mod put;
mod recover;
mod run;
mod shape;
mod state;

use std::ptr;

pub use run::{GROUP, RunPut};
pub use shape::Shape;
pub use state::Side;
use state::State;

use crate::atomic::{Acquire, AtomicU16, AtomicU32, AtomicU64, Relaxed, Release, SeqCst};
use crate::error::{Error, Result};
use crate::layout::{Row, describe};
use crate::segment::arena::Owner;
use crate::segment::attach::Shared;
use crate::segment::handle::Part;
use crate::sys::bulk;
use crate::wait::{Label, WaitWord};

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
    /// Whether those who get take batches, a hint; see `run`.
    batches: AtomicU32,
    pad_closed: [AtomicU32; 17],
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
        batches @ 56,
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

/// A claimed cell, or the cells of a run: whose ticket it is, and where its payload lies.
#[derive(Clone, Copy, Debug)]
pub struct Claim {
    /// The ticket, the first one of a run.
    pub ticket: u64,
    /// Where the payload is.
    pub data: *mut u8,
    /// The length of an item in bytes.
    pub len: usize,
    /// The item's number, the same at each delivery.
    pub number: u64,
    /// How often the item was delivered, this time included.
    pub deliveries: u16,
    /// What the putter marked it with.
    pub marks: u16,
    /// How many items there are, side by side: more than one in a run.
    pub count: u16,
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
    /// Anything, and runs as a whole.
    Runs,
    /// Only what is not part of a run.
    Singles,
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

impl Claim {
    /// Of a cell that is about to be written, whose payload will be the `len` bytes at `data`.
    #[inline]
    fn new(ticket: u64, data: *mut u8, len: usize, block: u64) -> Self {
        Self { ticket, data, len, count: 1, number: ticket, deliveries: 0, marks: 0, block }
    }

    /// The bytes of an item that was taken and not given back.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.item(0)
    }

    /// The bytes of the `i`-th item of a run that was taken and not given back.
    #[inline]
    pub fn item(&self, i: u16) -> &[u8] {
        debug_assert!(i < self.count);
        // SAFETY: who took the items has checked that their bytes are mapped, and they stay as they are until the cell
        // is given back.
        unsafe { std::slice::from_raw_parts(self.data.add(i as usize * self.len), self.len) }
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

    #[inline]
    fn cell_at(&self, ticket: u64) -> u64 {
        let index = ticket & (self.shape.cells - 1);
        self.at + size_of::<RingHead>() as u64 + index * self.shape.cell_size
    }

    #[inline]
    fn cell(&self, ticket: u64) -> &'a Cell {
        // SAFETY: as in `head`; the index is below the number of cells, which `Shape` was checked for.
        unsafe { &*self.part.base.as_ptr().add(self.cell_at(ticket) as usize).cast::<Cell>() }
    }

    #[inline]
    fn payload(&self, ticket: u64) -> *mut u8 {
        // SAFETY: as in `cell`; the payload lies in the same cell.
        unsafe { self.part.base.as_ptr().add((self.cell_at(ticket) + PAYLOAD) as usize) }
    }

    /// The first word of the payload, which refers to the block of a spilled one.
    #[inline]
    fn reference(&self, ticket: u64) -> &'a AtomicU64 {
        // SAFETY: the payload is 8 bytes long at least and aligned to 8.
        unsafe { &*self.payload(ticket).cast::<AtomicU64>() }
    }

    #[inline]
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

    /// The word that getters sleep on.
    pub fn items_word(&self) -> &'a WaitWord {
        &self.head().items
    }

    /// The word that putters sleep on.
    pub fn space_word(&self) -> &'a WaitWord {
        &self.head().space
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
    unsafe { bulk::copy(bytes.as_ptr(), claim.data.add(at), bytes.len()) }
}
