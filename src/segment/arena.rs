//! Memory for objects, spilled items and open-lists: blocks, each with one word that says whose it is.
//!
//! ```text
//!   FREE ──claim: CAS──▶ OWNED(p) ──store──▶ OBJECT            in the directory
//!     ▲                    │  ▲  ──store──▶ SPILLED(cell, t)   the payload of a queue's cell at ticket t
//!     │                    │  └──────────────── store by who reads that cell ────┘
//!     └── store by p, or CAS by the sweep when p is dead ◀┘
//! ```
//!
//! A block is owned from the CAS that takes it, and only its owner (or, after its death, a sweep) moves it
//! on, so all other arrows are stores. A death with a block OWNED leaves it to the sweep, which visits the
//! extents that the dead participant had marked as touched. OBJECT blocks are freed under the directory's
//! lock; SPILLED ones belong to their cell and go with it.
//!
//! Growth adds an extent under the header's `grow` lock: commit memory, write the shape, store the offset.
//! The last store makes it exist; a death before leaves committed memory that the next growth uses.

use std::sync::atomic::{AtomicU64 as LocalU64, AtomicUsize};

use super::attach::Attached;
use crate::atomic::{Acquire, AtomicU64, Relaxed, Release, SeqCst, fence, prefetch};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::latch::{Acquired, LockWord};
use crate::layout::{self, BlockRef, Extent, class_count, class_of, class_size, extent_size, words_size};
use crate::sys::clock::Deadline;
use crate::sys::shm;
use crate::wait::Label;

/// Whose a block is; the low three bits say how to read the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Nobody's.
    Free,
    /// A participant's, who is filling or reading it.
    Participant(Label),
    /// An object's, which the directory knows or is about to know.
    Object,
    /// The payload of the cell at this offset while it is at this ticket.
    Cell {
        /// The offset of the cell's state word in the segment.
        cell: u64,
        /// The cell's ticket, of which 27 bits are kept.
        ticket: u64,
    },
}

const TICKET_BITS: u32 = 27;

impl Owner {
    /// To the word in memory.
    pub fn pack(self) -> u64 {
        match self {
            Self::Free => 0,
            Self::Participant(label) => u64::from(label) << 3 | 1,
            Self::Object => 2,
            Self::Cell { cell, ticket } => {
                (cell / 64) << (TICKET_BITS + 3) | (ticket & ((1 << TICKET_BITS) - 1)) << 3 | 3
            }
        }
    }
}

/// A block that was looked up: where it is and how large.
#[derive(Clone, Copy)]
pub struct Block<'a> {
    /// What it is called in memory.
    pub at: BlockRef,
    /// Its offset in the segment.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    word: &'a AtomicU64,
}

impl Block<'_> {
    /// Whether the block is `owner`'s.
    pub fn is(&self, owner: Owner) -> bool {
        self.word.load(Acquire) == owner.pack()
    }

    /// Whether the block is of the cell at this offset, at whatever ticket.
    pub fn is_of_cell(&self, cell: u64) -> bool {
        let any = Owner::Cell { cell, ticket: 0 }.pack();
        self.word.load(Acquire) & !(((1 << TICKET_BITS) - 1) << 3) == any
    }

    /// Passes the block on. Only its owner may, or whoever acts for a dead one and holds its cell.
    pub fn give(&self, owner: Owner) {
        self.word.store(owner.pack(), Release);
    }

    /// Passes the block on if it is still `from`'s.
    pub fn move_on(&self, from: Owner, to: Owner) -> bool {
        self.word.cas(from.pack(), to.pack()).is_ok()
    }
}

/// The smallest extent: less would not be worth a system call.
const MIN_EXTENT: u64 = 64 << 10;

/// How many blocks a process uses by turns, as long as each is free when its turn comes: enough that some are being
/// read while one is written, few enough to stay in the cache.
const TURNS: usize = 4;

/// The blocks that this process has taken last, of a few classes. Who takes the same ones again finds their memory in
/// the cache, and shares no word with those who free them but the blocks' own.
#[derive(Default)]
pub(super) struct Recent([Turns; 8]);

#[derive(Default)]
struct Turns {
    blocks: [LocalU64; TURNS],
    next: AtomicUsize,
}

impl Recent {
    /// Those of `class`, or of another one that maps to the same place.
    fn of(&self, class: usize) -> &Turns {
        &self.0[class % self.0.len()]
    }
}

impl Turns {
    /// The one whose turn it is, 0 for none.
    fn oldest(&self) -> u64 {
        self.blocks[self.next.load(Relaxed) % TURNS].load(Relaxed)
    }

    /// Adds the last one taken, in the place of the oldest. Threads that do so at once lose one.
    fn add(&self, at: BlockRef) {
        let next = self.next.load(Relaxed);
        self.blocks[next % TURNS].store(at.pack(), Relaxed);
        self.next.store(next.wrapping_add(1), Relaxed);
    }
}

/// The blocks of one extent.
struct Blocks<'a> {
    words: &'a [AtomicU64],
    first: u64,
    size: u64,
}

impl Attached {
    fn shape(&self, extent: &Extent) -> Result<Option<(usize, u64, u64)>> {
        let offset = extent.offset.load(Acquire); // pairs with the store that commits the extent
        if offset == 0 {
            return Ok(None);
        }
        let shape = extent.shape.load(Relaxed);
        let (class, len) = ((shape & 0xffff) as usize, shape >> 16);
        let placed = offset >= layout::arena_offset(self.participants)
            && offset.is_multiple_of(4096)
            && len != 0
            && offset.checked_add(len).is_some_and(|end| end <= self.map.len());
        if class >= layout::ARENA_CLASSES || !placed {
            return Err(
                self.corrupted(format_args!("an extent of class {class} has {len} bytes at {offset}"))
            );
        }
        Ok(Some((class, offset, len)))
    }

    fn blocks(&self, index: u32) -> Result<Option<(usize, Blocks<'_>)>> {
        let Some(extent) = self.extents().get(index as usize) else {
            return Err(self.corrupted(format_args!("extent {index} does not exist")));
        };
        let Some((class, offset, len)) = self.shape(extent)? else { return Ok(None) };
        let size = class_size(class);
        let count = class_count(len, size);
        self.bytes(offset, len)?;
        let words = self.words(offset, u64::from(count))?;
        Ok(Some((class, Blocks { words, first: offset + words_size(count), size })))
    }

    /// The block that a reference from shared memory means, if there is one.
    pub fn block(&self, word: u64) -> Result<Block<'_>> {
        let at = BlockRef::unpack(word);
        let found = match at {
            Some(at) => self.blocks(at.extent)?.and_then(|(_, blocks)| {
                let word = blocks.words.get(at.index as usize)?;
                let offset = blocks.first + u64::from(at.index) * blocks.size;
                Some(Block { at, offset, size: blocks.size, word })
            }),
            None => None,
        };
        found.ok_or_else(|| self.corrupted(format_args!("block {word:#x} does not exist")))
    }

    /// A block of at least `bytes`, owned by this process; its content is arbitrary. Waits at most until
    /// `deadline` for another process that is growing the segment.
    ///
    /// # Errors
    /// `LimitReached` and `NoSpace`, when the arena had to grow and could not.
    pub fn allocate(&self, bytes: u64, deadline: Deadline) -> Result<Block<'_>> {
        self.allocate_as(self.me()?, bytes, deadline)
    }

    /// As [`allocate`](Self::allocate), for the participant that this process is about to fork.
    pub(super) fn allocate_as(&self, me: Label, bytes: u64, deadline: Deadline) -> Result<Block<'_>> {
        let class = class_of(bytes);
        if class >= layout::ARENA_CLASSES {
            fail!(LimitReached, "{bytes} bytes are more than any segment holds");
        }
        if let Some(block) = self.claim_again(class, me) {
            return Ok(block);
        }
        loop {
            if let Some(block) = self.claim(class, me)? {
                self.recent.of(class).add(block.at);
                return Ok(block);
            }
            self.grow(class, deadline)?;
        }
    }

    /// Whether the block that this process would use again for `bytes` is still in use.
    pub fn is_next_busy(&self, bytes: u64) -> bool {
        self.next_turn(class_of(bytes)).is_some_and(|block| !block.is(Owner::Free))
    }

    /// The block of `class` that this process has used before its last few.
    fn next_turn(&self, class: usize) -> Option<Block<'_>> {
        let at = BlockRef::unpack(self.recent.of(class).oldest())?;
        self.block(at.pack()).ok().filter(|block| block.size == class_size(class))
    }

    /// Takes the block of `class` whose turn it is, if it is free by now.
    fn claim_again(&self, class: usize, me: Label) -> Option<Block<'_>> {
        let block = self.next_turn(class).filter(|block| block.word.load(Relaxed) == 0)?;
        self.touch(me, block.at.extent);
        block.word.cas(0, Owner::Participant(me).pack()).ok()?;
        self.recent.of(class).add(block.at);
        if let Some(next) = self.next_turn(class) {
            prefetch(next.word);
        }
        Some(block)
    }

    /// Takes a free block of `class` in the extents that there are.
    fn claim(&self, class: usize, me: Label) -> Result<Option<Block<'_>>> {
        let hint = &self.header().hints[class];
        if let Some(start) = BlockRef::unpack(hint.load(Relaxed))
            && let Some((found, blocks)) = self.blocks(start.extent)?
            && found == class
            && let Some(block) = self.claim_in(start.extent, blocks, start.index, me)
        {
            return Ok(Some(block));
        }
        for extent in 0..layout::EXTENTS as u32 {
            let Some((found, blocks)) = self.blocks(extent)? else { break };
            if found == class
                && let Some(block) = self.claim_in(extent, blocks, 0, me)
            {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    /// Takes a free block of one extent, from index `from` on.
    fn claim_in<'a>(&'a self, extent: u32, blocks: Blocks<'a>, from: u32, me: Label) -> Option<Block<'a>> {
        for (index, word) in blocks.words.iter().enumerate().skip(from as usize) {
            if word.load(Relaxed) != 0 {
                continue;
            }
            self.touch(me, extent);
            if word.cas(0, Owner::Participant(me).pack()).is_err() {
                continue;
            }
            let at = BlockRef { extent, index: index as u32 };
            let class = class_of(blocks.size);
            self.header().hints[class].store(BlockRef { index: at.index + 1, ..at }.pack(), Relaxed);
            let offset = blocks.first + index as u64 * blocks.size;
            return Some(Block { at, offset, size: blocks.size, word });
        }
        None
    }

    /// Notes, before a claim, that this participant may own blocks in an extent.
    fn touch(&self, me: Label, extent: u32) {
        let word = &self.slot(me).touched[extent as usize / 64];
        let bit = 1 << (extent % 64);
        if word.load(Relaxed) & bit == 0 {
            word.fetch_or(bit, SeqCst);
        }
    }

    /// Takes over a block that belongs to a cell which this process has claimed, so as to free it later.
    pub fn adopt(&self, block: &Block<'_>) -> Result<()> {
        let me = self.me()?;
        self.touch(me, block.at.extent);
        block.give(Owner::Participant(me));
        Ok(())
    }

    /// Frees a block that this process owns.
    pub fn free(&self, block: &Block<'_>) {
        block.give(Owner::Free);
        self.freed(block);
    }

    /// Lets the next allocation find a block that was just freed.
    pub fn freed(&self, block: &Block<'_>) {
        let class = class_of(block.size);
        self.header().hints[class].store(block.at.pack(), Relaxed);
    }

    /// Frees all blocks that `dead` owns.
    pub(super) fn free_blocks_of(&self, dead: Label) {
        let touched = &self.slot(dead).touched;
        fence(SeqCst); // pairs with the marking in `touch`: marked first, claimed second
        for extent in (0..).zip(touched).flat_map(|(n, word)| bits(64 * n, word.load(Relaxed))) {
            let Ok(Some((_, blocks))) = self.blocks(extent) else { continue };
            for word in blocks.words {
                let _ = word.cas(Owner::Participant(dead).pack(), 0);
            }
        }
    }

    /// Backs the bytes from `offset` on with memory, all zeroes where blocks' words will be.
    fn commit(&self, offset: u64, len: u64) -> Result<()> {
        if !self.map.is_given() {
            return shm::commit(self.file()?, offset, len);
        }
        self.words(offset, len / 8)?.iter().for_each(|word| word.store(0, Relaxed));
        Ok(())
    }

    /// Takes one of the segment's own locks; signals do not end the wait, which is short.
    pub fn hold(&self, word: &LockWord, deadline: Deadline) -> Result<Acquired> {
        // Even who must not wait may wait for somebody who is in there for a microsecond.
        let is_try = deadline == Deadline::Now;
        let deadline = if is_try { Deadline::from_ns(1_000_000) } else { deadline };
        loop {
            match word.lock(self, deadline) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if is_try && e.kind() == ErrorKind::TimedOut => {
                    return Err(ErrorKind::WouldBlock.into());
                }
                other => return other,
            }
        }
    }

    /// Adds an extent for blocks of `class`, unless somebody else has meanwhile.
    #[cold]
    fn grow(&self, class: usize, deadline: Deadline) -> Result<()> {
        let header = self.header();
        let count = |a: &Self| a.extents().iter().take_while(|e| e.offset.load(Acquire) != 0).count();
        let before = count(self);
        // A holder that died in here left nothing but committed memory, which this growth will use.
        let _ = self.hold(&header.grow, deadline)?;
        let done = if count(self) == before { self.add_extent(class, before) } else { Ok(()) };
        header.grow.unlock(self.me()?)?;
        done
    }

    fn add_extent(&self, class: usize, index: usize) -> Result<()> {
        let Some(extent) = self.extents().get(index) else {
            fail!(
                LimitReached,
                "segment {:?} consists of {} extents and cannot have more",
                self.name,
                layout::EXTENTS
            );
        };
        let end = match index.checked_sub(1).map(|i| self.shape(&self.extents()[i])).transpose()?.flatten() {
            Some((_, offset, len)) => offset + len,
            None => layout::arena_offset(self.participants),
        };
        let limit = self.map.len();
        let size = class_size(class);
        let need = layout::round_up(extent_size(1, size), 4096);
        let left = limit.saturating_sub(end);
        if need > left {
            fail!(
                LimitReached,
                "segment {:?} would need {need} more bytes, {left} of its limit of {limit} are left; create it with a larger limit",
                self.name
            );
        }
        // An eighth of what there is keeps the number of extents logarithmic; not so much that memory is
        // committed for nothing, nor that the last extent takes all that is left.
        let wish = (end / 8).min(limit / 512).min(left / 8).max(MIN_EXTENT).max(need).min(left);
        let wish = if wish == left { left & !4095 } else { layout::round_up(wish, 4096) }.max(need);
        let len = match self.commit(end, wish) {
            Err(e) if e.kind() == ErrorKind::NoSpace && wish > need => {
                self.commit(end, need).map_err(|e: Error| e.of(format_args!("segment {:?}", self.name)))?;
                need
            }
            other => other.map(|()| wish).map_err(|e| e.of(format_args!("segment {:?}", self.name)))?,
        };
        extent.shape.store(len << 16 | class as u64, Relaxed);
        self.header().committed.store(end + len, Relaxed);
        extent.offset.store(end, Release); // commits: pairs with the load in `shape`
        Ok(())
    }
}

/// The numbers of the bits that are set in a word, the first of which is called `first`.
fn bits(first: u32, word: u64) -> impl Iterator<Item = u32> {
    (0..64).filter(move |bit| word >> bit & 1 != 0).map(move |bit| first + bit)
}
