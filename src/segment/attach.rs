//! One process's attachment to one segment: the mapping, the seat, and safe access to what lies in memory.

use std::cell::UnsafeCell;
use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU64 as LocalU64, AtomicUsize, Ordering};

use super::openlist::OpenList;
use crate::atomic::{AtomicU64, Relaxed};
use crate::error::{Error, ErrorKind, Result};
use crate::layout::{self, Extent, Header, SLOTS, SeatState, Slot};
use crate::sys::fork::{ForkLock, LabelCell};
use crate::sys::lease::{self, Lease};
use crate::sys::map::Map;
use crate::sys::shm::{self, Identity, Stat};
use crate::wait::{Label, Peers};

/// The bytes of a segment's file that are locked, far behind its content. Only their numbers matter.
const LOCKS: u64 = 1 << 30;
/// Exclusive to who unlinks, shared by who has met GONE.
pub(super) const LIFE_BYTE: u64 = LOCKS;
/// The segment's watch holds it.
const WATCH_BYTE: u64 = LOCKS + 1;

/// The byte that participant `label` has its lease on.
pub(super) fn seat_byte(label: Label) -> u64 {
    LOCKS + 4096 + u64::from(label)
}

/// What only this process has of a segment. Shared by all handles to the segment and its objects.
pub struct Attached {
    pub(super) name: String,
    pub(super) map: Map,
    pub(super) identity: Identity,
    pub(super) participants: u32,
    /// This process's label; 0 in a child that has no seat.
    pub(super) label: LabelCell,
    /// A description of the segment's file that holds no lease, for asking about others'.
    pub(super) probe: UnsafeCell<File>,
    /// Held while this process is attached.
    pub(super) lease: UnsafeCell<Option<Lease>>,
    /// What is ready for the child that is being forked.
    pub(super) child: UnsafeCell<Option<super::fork::ChildSeat>>,
    /// What this process has open; guarded by the process's registry lock.
    pub(super) open: UnsafeCell<OpenList>,
    /// One sweep at a time in a process.
    pub(super) sweeping: ForkLock<()>,
    pub(super) watching: AtomicBool,
    /// How many `Segment` handles there are.
    pub(super) segments: AtomicUsize,
    /// The bytes from the start that the kernel has said are there.
    backed: LocalU64,
    pub(super) recent: super::arena::Recent,
}

// SAFETY: the cells are only written to before the attachment is shared, in a forked child that has one
// thread, or (`open`, `child`) under the process's registry lock; everything else is atomic or immutable.
unsafe impl Send for Attached {}
// SAFETY: as above.
unsafe impl Sync for Attached {}

impl Attached {
    /// An attachment to `map`, with `file` for the leases; nobody's seat is taken yet.
    pub(super) fn over(
        name: &str,
        file: File,
        stat: &Stat,
        map: Map,
        participants: u32,
        label: LabelCell,
    ) -> Self {
        let backed = if map.is_given() { map.len() } else { stat.len };
        Self {
            name: name.to_owned(),
            map,
            identity: stat.identity,
            participants,
            label,
            probe: UnsafeCell::new(file),
            lease: UnsafeCell::new(None),
            child: UnsafeCell::new(None),
            open: UnsafeCell::new(OpenList::default()),
            sweeping: ForkLock::new(()),
            watching: AtomicBool::new(false),
            segments: AtomicUsize::new(0),
            backed: LocalU64::new(backed),
            recent: Default::default(),
        }
    }

    /// The segment's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The label of this process.
    #[inline]
    pub fn me(&self) -> Result<Label> {
        match self.label.load(Ordering::Relaxed) {
            0 => Err(ErrorKind::NotAttached.into()),
            me => Ok(me),
        }
    }

    /// Whether `label` is that of this process.
    #[inline]
    pub fn is_me(&self, label: Label) -> bool {
        self.label.load(Ordering::Relaxed) == label
    }

    /// This segment's file, for asking about locks and for growing.
    pub(super) fn file(&self) -> Result<&File> {
        // SAFETY: the cell is only written to in a forked child before it runs anything else.
        let file = unsafe { &*self.probe.get() };
        match shm::stat(file) {
            Ok(stat) if stat.identity == self.identity => Ok(file),
            _ => Err(Error::new(
                ErrorKind::InvalidHandle,
                format!(
                    "segment {:?}: its descriptor was closed by somebody else; open the segment again",
                    self.name
                ),
            )),
        }
    }

    /// The address of `len` bytes at `offset`, if they are within the segment and backed by memory.
    ///
    /// What the segment itself says of its size is not believed: the file's length is what counts.
    pub fn bytes(&self, offset: u64, len: u64) -> Result<*mut u8> {
        let end = offset.checked_add(len).filter(|end| *end <= self.map.len());
        let Some(end) = end else {
            return Err(self.corrupted(format_args!("{len} bytes at {offset} lie outside of it")));
        };
        if end > self.backed.load(Ordering::Relaxed) {
            let file_len = shm::stat(self.file()?)?.len;
            self.backed.store(file_len, Ordering::Relaxed);
            if end > file_len {
                return Err(
                    self.corrupted(format_args!("{len} bytes at {offset} lie behind the end of its file"))
                );
            }
        }
        // SAFETY: offset is within the mapping.
        Ok(unsafe { self.map.base().add(offset as usize) })
    }

    /// A struct of atomics at `offset`.
    pub fn at<T: Shared>(&self, offset: u64) -> Result<&T> {
        let p = self.bytes(offset, size_of::<T>() as u64)?.cast::<T>();
        if !p.is_aligned() {
            return Err(self.corrupted(format_args!("offset {offset} is not aligned")));
        }
        // SAFETY: the bytes are mapped and backed as long as `self` lives, the address is aligned, and a
        // `Shared` type consists of atomics, for which every content is valid and sharing is allowed.
        Ok(unsafe { &*p })
    }

    /// `count` atomic words at `offset`.
    pub fn words(&self, offset: u64, count: u64) -> Result<&[AtomicU64]> {
        let p = self.bytes(offset, count.saturating_mul(8))?.cast::<AtomicU64>();
        if !p.is_aligned() {
            return Err(self.corrupted(format_args!("offset {offset} is not aligned")));
        }
        // SAFETY: as in `at`; `bytes` has checked that count × 8 bytes are there.
        Ok(unsafe { std::slice::from_raw_parts(p, count as usize) })
    }

    /// An error that says how this segment contradicts itself.
    pub fn corrupted(&self, what: impl std::fmt::Display) -> Error {
        Error::corrupted(format!("segment {:?} is corrupted: {what}; remove it", self.name))
    }

    /// The header, whose presence was checked when the segment was opened.
    #[inline]
    pub fn header(&self) -> &Header {
        // SAFETY: opening has checked that the file is longer than the fixed parts; a file that is
        // truncated afterwards raises SIGBUS, as the documentation says.
        unsafe { &*self.map.base().cast::<Header>() }
    }

    /// The slot of `label`, which must be between 1 and the number of participants.
    pub fn slot(&self, label: Label) -> &Slot {
        assert!(self.is_label(label), "label {label} was not checked");
        // SAFETY: as in `header`: all slots lie in the fixed parts.
        unsafe {
            &*self.map.base().add((SLOTS + u64::from(label - 1) * layout::SLOT_SIZE) as usize).cast::<Slot>()
        }
    }

    /// Whether there is such a seat.
    pub fn is_label(&self, label: Label) -> bool {
        label != 0 && label <= self.participants
    }

    /// The table of extents.
    pub fn extents(&self) -> &[Extent] {
        let offset = layout::extents_offset(self.participants) as usize;
        // SAFETY: as in `header`: the table lies in the fixed parts.
        unsafe { std::slice::from_raw_parts(self.map.base().add(offset).cast::<Extent>(), layout::EXTENTS) }
    }

    /// Whether participant `label` is dead: nobody has the lease of its seat. In doubt it lives.
    pub fn is_dead(&self, label: Label) -> bool {
        if !self.is_label(label) || self.is_me(label) {
            return false;
        }
        let Ok(file) = self.file() else { return false };
        let free = lease::is_locked(file, seat_byte(label)).is_ok_and(|locked| !locked);
        // Somebody may have closed our descriptor meanwhile and opened another file under its number.
        free && self.file().is_ok()
    }

    /// The seat of `label`.
    #[cfg_attr(loom, track_caller)]
    pub(super) fn seat(&self, label: Label) -> SeatState {
        SeatState::unpack(self.slot(label).state.load(crate::atomic::Acquire))
    }

    /// How often the seat of `label` was taken.
    pub fn generation(&self, label: Label) -> u32 {
        self.seat(label).generation
    }

    /// The number of seats.
    pub fn seats(&self) -> u32 {
        self.participants
    }

    /// The labels of all seats.
    pub(super) fn labels(&self) -> std::ops::RangeInclusive<Label> {
        1..=self.participants
    }

    /// Notes which object this process waits for, for people who look.
    pub fn waits_for(&self, block: u64) {
        if let Ok(me) = self.me() {
            self.slot(me).waits_for.store(block, Relaxed);
        }
    }
}

/// Types that may be referred to in shared memory: atomics in `repr(C)`, nothing else.
///
/// # Safety
/// Every bit pattern must be valid, and all access must be atomic.
pub unsafe trait Shared {}

// SAFETY: they consist of atomics.
unsafe impl Shared for Header {}
// SAFETY: as above.
unsafe impl Shared for layout::ObjectHeader {}
// SAFETY: as above.
unsafe impl Shared for layout::ListPage {}
// SAFETY: as above.
unsafe impl Shared for AtomicU64 {}

impl Peers for Attached {
    fn me(&self) -> Result<Label> {
        self.me()
    }

    fn check(&self, suspect: Label) {
        if self.is_dead(suspect) {
            self.sweep(suspect);
        }
    }

    fn if_nobody(&self, label: Label, f: &mut dyn FnMut()) {
        if !self.is_label(label) {
            return f();
        }
        let is_free = || self.seat(label).state == layout::SEAT_FREE;
        // With its byte in hand nobody takes the seat.
        if is_free()
            && let Ok(file) = self.file()
            && lease::try_lock(file, seat_byte(label), lease::Mode::Exclusive) == Ok(true)
        {
            if is_free() {
                f();
            }
            let _ = lease::unlock(file, seat_byte(label));
        }
    }

    fn patrol(&self) {
        self.sweep_all();
    }

    fn start_watch(&self) -> bool {
        if self.watching.swap(true, Ordering::Acquire) {
            return false;
        }
        let won = self
            .file()
            .and_then(|file| lease::try_lock(file, WATCH_BYTE, lease::Mode::Exclusive))
            .unwrap_or(false);
        if !won {
            self.watching.store(false, Ordering::Release);
        }
        won
    }

    fn end_watch(&self) {
        if let Ok(file) = self.file() {
            let _ = lease::unlock(file, WATCH_BYTE);
        }
        self.watching.store(false, Ordering::Release);
    }
}
