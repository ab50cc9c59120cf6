//! Attaching, which is taking a seat with a lease, and leaving it.
//!
//! ```text
//!   open     a first description, by name: it keeps no lock, children may have it, and it asks about others' leases
//!   fstat    a file of a user to be trusted; is this process attached to it already? how long is it?
//!            (geteuid, if it is not root's)
//!   pread    its head: is it ours, how long may it become?
//!   mmap     all of it, from the first description: children inherit the mapping, so it must keep no lease alive
//!   open     a second description, by name, which costs less than half of the way through /proc
//!   fstat    still the same file?
//!   fcntl    F_OFD_SETLK, the byte of a free seat            then, in memory: FREE(g) ─▶ LIVE(g + 1)
//!   mmap     a page of the second description, which keeps the lease whatever happens to descriptors
//!   madvise  DONTFORK: a child that was made behind our back does not prolong it
//!   close    the second descriptor, for the same reason      then, in memory: GONE?
//! ```
//!
//! Nothing is made known to others before the lock of the seat, and from then on the kernel ends it: with the descriptor,
//! then with the mapping. Who dies between the two words of memory leaves a seat that is LIVE without a lease, swept as
//! any other. A `fork` waits from the second `open` to the end, for a child would have the descriptor of the lease.
//! (One made by a bare `clone` in these few microseconds does prolong it, until it ends or executes something.)
//!
//! GONE settles who wins when somebody attaches while the last one leaves an ephemeral segment, without a lock for who
//! attaches: he takes his seat, fences, and looks at GONE; who unlinks sets GONE, fences, and looks at the seats. Either of
//! them sees the other, so the name never goes while somebody is attached and knows nothing of it.
//!
//! ```text
//!   0 ──nobody lives, LIFE in hand──▶ 1 ──still nobody, fenced──▶ unlinked
//!   ▲                                 ├──somebody──▶ 0
//!   └──who attaches, LIFE shared, ◀───┘ dead
//!      finds the file linked
//! ```
//!
//! So who finds GONE set takes the other way: with LIFE shared in hand nobody is unlinking. Either it is done, and he looks for
//! the name again; or it was left by somebody who died at it, and is taken back. If LIFE cannot be had, he leaves his seat
//! and tries again in a millisecond. Whoever unlinks by name alone (`Segment::unlink`) asks nobody: who has opened the
//! file before is attached to what was unlinked, as if he had been a moment earlier.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::attach::{Attached, LIFE_BYTE, seat_byte};
use super::{SEAT_ROUNDS, cleanup, fork};
use crate::atomic::{Relaxed, SeqCst, fence};
use crate::error::{Result, fail};
use crate::layout::SEAT_FREE;
use crate::sys::lease::{self, Lease, Mode};
use crate::sys::{poll, shm};
use crate::wait::Label;

impl Attached {
    /// Attaches to the segment that was opened by its name. `None` when that is not its name any more.
    pub(super) fn seat_named(self: &Arc<Self>) -> Result<Option<Arc<Self>>> {
        let again = || {
            let file = shm::open(&self.name)?;
            Ok((shm::stat(&file)?.identity == self.identity).then_some(file))
        };
        self.seat_self(again)
    }

    /// Attaches to a segment that has no name, or whose name is not that of its file.
    pub(super) fn seat_unnamed(self: &Arc<Self>) -> Result<Arc<Self>> {
        let seated = self.seat_self(|| shm::reopen(self.file()?).map(Some))?;
        seated.ok_or_else(|| self.corrupted("it says that it was unlinked"))
    }

    /// Takes a seat and its lease, and makes this attachment known in the process; or finds that another
    /// thread was faster, whose attachment is to be used. `second` gives another description of the file.
    fn seat_self(
        self: &Arc<Self>,
        second: impl FnOnce() -> Result<Option<File>>,
    ) -> Result<Option<Arc<Self>>> {
        self.try_seat_self(second).map_err(|e| e.of(format_args!("segment {:?}", self.name)))
    }

    fn try_seat_self(
        self: &Arc<Self>,
        second: impl FnOnce() -> Result<Option<File>>,
    ) -> Result<Option<Arc<Self>>> {
        // No fork in between: a child must not inherit the descriptor that is about to be the lease's.
        let mut registry = fork::registry();
        if let Some(other) = registry.find(self.identity) {
            return Ok(Some(other));
        }
        let who = registry.who()?;
        let Some(file) = second()? else { return Ok(None) };
        let label = self.find_seat(&file)?;
        self.label.store(label, Ordering::Relaxed);
        let lease = Lease::pin(file, false)?;
        // SAFETY: nobody else has this attachment yet.
        unsafe { *self.lease.get() = Some(lease) };
        registry.test_leases(self, label)?;
        if self.is_deserted()? {
            return Ok(None);
        }
        registry.add(self);
        drop(registry);
        let slot = self.slot(label);
        slot.pid.store(who.pid.into(), Relaxed);
        slot.start_time.store(who.start_time, Relaxed);
        for (word, half) in slot.command.iter().zip(who.command.chunks_exact(8)) {
            word.store(u64::from_ne_bytes(half.try_into().expect("eight bytes")), Relaxed);
        }
        Ok(Some(Arc::clone(self)))
    }

    /// Whether somebody found nobody in the segment, before we had our seat, and has unlinked it or may be at it.
    fn is_deserted(&self) -> Result<bool> {
        fence(SeqCst); // pairs with the fence of who unlinks: he sees our lease, or we see GONE
        let gone = &self.header().gone;
        if gone.load(Relaxed) == 0 {
            return Ok(false);
        }
        let file = self.file()?;
        if !lease::try_lock(file, LIFE_BYTE, Mode::Shared)? {
            return Ok(true);
        }
        let unlinked = shm::is_unlinked(file)?;
        if !unlinked {
            gone.store(0, Relaxed); // whoever set it has died
        }
        lease::unlock(file, LIFE_BYTE)?;
        Ok(unlinked)
    }

    /// A free seat, or that of somebody dead, after sweeping it.
    pub(super) fn find_seat(&self, file: &File) -> Result<Label> {
        for _ in 0..SEAT_ROUNDS {
            for label in self.labels() {
                if self.try_seat(file, label)? {
                    return Ok(label);
                }
            }
            for label in self.labels() {
                if self.try_dead_seat(file, label)? {
                    return Ok(label);
                }
            }
            // A seat that somebody else is sweeping at this moment is free in a moment.
            if !self.labels().any(|label| self.is_dead(label)) {
                break;
            }
            let _ = poll::pause();
        }
        fail!(
            TableFull,
            "all {} seats for participants are taken; create the segment with more",
            self.participants
        )
    }

    /// Takes the seat of somebody dead: with its lease in hand we act as it would have on leaving.
    fn try_dead_seat(&self, file: &File, label: Label) -> Result<bool> {
        if !lease::try_lock(file, seat_byte(label), Mode::Exclusive)? {
            return Ok(false);
        }
        let seat = self.seat(label);
        // Who announced a sweep before we had the lease goes on with it; nobody else begins one now.
        if !self.announced(label, seat) {
            self.label.store(label, Ordering::Relaxed);
            if seat.state != SEAT_FREE {
                self.sweep_seat(label, seat);
                self.leave_seat(label, seat);
            }
            if self.take_seat(label) {
                return Ok(true);
            }
            self.label.store(0, Ordering::Relaxed);
        }
        lease::unlock(file, seat_byte(label))?;
        Ok(false)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Ok(me) = self.me()
            && self.lease.get_mut().is_some()
        {
            let seat = self.seat(me);
            self.sweep_seat(me, seat);
            self.leave_seat(me, seat);
            // First the lease: of two who leave at once, the second one to look finds nobody else.
            drop(self.lease.get_mut().take());
            cleanup::leave(self);
        } else if let Some(lease) = self.lease.get_mut().take() {
            lease.forget(); // the parent's, in a child that has no seat: not mapped here
        }
        if self.file().is_err() {
            // The descriptor's number belongs to somebody else now; it is not ours to close.
            if let Ok(nothing) = File::open("/dev/null") {
                std::mem::forget(std::mem::replace(self.probe.get_mut(), nothing));
            }
        }
        fork::registry().drop_label(self.label);
    }
}
