//! Large items are put only a little ahead of those who get them: what was written long ago has left the cache of
//! who wrote it, and the memory that is written next was never in it.
//!
//! So a putter that finds its oldest block still in use waits for it, but never for long: only while somebody is
//! reading, for about as long as that should take, and the more seldom the more often it was in vain. How much a
//! queue holds stays as it is.

use std::cell::Cell;

use super::Ring;
use super::state::{HELD, READING};
use crate::atomic::Acquire;
use crate::sys::clock::Deadline;

/// From how many bytes on it pays: some of the smaller ones fit into the cache anyway.
const LARGE: usize = 256 << 10;
/// How many bytes are read in a pause, at the very least.
const BYTES_PER_PAUSE: usize = 64;
/// How many pauses there are between two looks.
const STEP: usize = 16;
/// The most puts that go by after a wait in vain.
const MOST_SKIPPED: u32 = 64;

/// How often a thread waits.
#[derive(Clone, Copy)]
struct Doubt {
    /// How many puts go by without a wait after one in vain.
    skips: u32,
    /// How many of them are left.
    left: u32,
}

thread_local! {
    static DOUBT: Cell<Doubt> = const { Cell::new(Doubt { skips: 0, left: 0 }) };
}

impl Ring<'_> {
    /// Lets a getter that is reading catch up before an item of `len` bytes is put.
    pub(super) fn stay_near(&self, len: usize, deadline: Deadline) {
        if len < LARGE || deadline == Deadline::Now || cfg!(loom) {
            return;
        }
        let busy = || self.part.seg.is_next_busy(len as u64);
        if busy() && self.is_being_read() {
            DOUBT.set(DOUBT.get().wait_while(len, deadline, busy));
        }
    }

    /// Whether the last item that was taken is not done.
    fn is_being_read(&self) -> bool {
        let last = self.head().head.load(Acquire).wrapping_sub(1);
        matches!(self.state(last).state(), READING | HELD)
    }
}

impl Doubt {
    /// Waits for no longer than reading `len` bytes takes, while they are `busy`; what to think of it next time.
    fn wait_while(self, len: usize, deadline: Deadline, busy: impl Fn() -> bool) -> Self {
        if self.left > 0 {
            return Self { left: self.left - 1, ..self };
        }
        let free = (0..len / BYTES_PER_PAUSE / STEP).any(|_| {
            (0..STEP).for_each(|_| std::hint::spin_loop());
            !busy() || deadline.passed()
        });
        let skips = if free { 0 } else { (self.skips * 2).clamp(1, MOST_SKIPPED) };
        Self { skips, left: skips }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(doubt: &mut Doubt, busy: bool) -> bool {
        let looked = Cell::new(false);
        *doubt = doubt.wait_while(LARGE, Deadline::Never, || {
            looked.set(true);
            busy
        });
        looked.get()
    }

    #[test]
    fn waits_in_vain_become_rare_and_one_that_pays_makes_up_for_them() {
        let mut doubt = Doubt { skips: 0, left: 0 };
        let vain = (0..1000).filter(|_| waits(&mut doubt, true)).count();
        assert!(vain < 25, "{vain} waits in vain");
        while !waits(&mut doubt, false) {}
        assert!((0..1000).all(|_| waits(&mut doubt, false)));
    }
}
