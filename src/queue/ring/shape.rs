//! What a ring is created with.

use super::run::{GROUP, LONGEST};
use super::state::{FREE, State};
use super::{PAYLOAD, Ring, RingHead};
use crate::atomic::Relaxed;
use crate::error::{Result, fail};
use crate::layout::round_up;
use crate::segment::handle::Part;

/// A cell has 32 bits for the length.
const MAX_ITEM: u64 = u32::MAX as u64;

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
    /// The length of the items that go by runs, 0 where none do; see [`super::run`].
    pub run: usize,
    /// The distance between the items of two runs, a multiple of 64.
    pub pack_size: u64,
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
            run: 0,
            pack_size: 0,
        }
        .with_ways())
    }

    /// With the ways that items may go, which follow from the rest.
    fn with_ways(self) -> Self {
        let plain = self.max_bytes == u64::MAX && self.capacity == self.cells && !self.joinable;
        let short = if plain { self.inline().min(self.max_item) as usize + 1 } else { 0 };
        let runs = plain && self.cells >= GROUP && (1..=LONGEST).contains(&self.max_item);
        let run = if runs { self.max_item } else { 0 };
        Self { short, run: run as usize, pack_size: round_up(GROUP * run, 64), ..self }
    }

    /// The bytes that such a ring needs.
    pub fn size(&self) -> u64 {
        size_of::<RingHead>() as u64 + self.cells * self.cell_size + self.cells / GROUP * self.pack_size
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
            run: 0,
            pack_size: 0,
        };
        let sound = shape.cells.is_power_of_two()
            && shape.cells <= 1 << 30
            && (1..=shape.cells).contains(&shape.capacity)
            && shape.cell_size.is_multiple_of(64)
            && (64..=2 << 20).contains(&shape.cell_size)
            && shape.max_item <= MAX_ITEM;
        let shape = if sound { shape.with_ways() } else { shape };
        if sound && shape.size().checked_add(at).is_some_and(|end| end <= part.size) {
            Ok(shape)
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
    #[inline]
    pub(super) fn inline(&self) -> u64 {
        self.cell_size - PAYLOAD
    }
}
