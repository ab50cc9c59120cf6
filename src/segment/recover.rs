//! The sweep: what a dead participant held is given back, by whoever finds it dead.
//!
//! ```text
//!   LIVE(g) ──undo what it held──▶ LEFT(g) ──tell the others──▶ SWEPT(g)
//!                                                                  │ free its removed objects and its blocks
//!   LIVE(g + 1) ◀──taken── FREE(g) ◀──nobody names it── DONE(g) ◀──┘
//! ```
//!
//! The sweeper announces (label, generation) in its own slot, fences, and looks again whether the slot is at
//! that generation, not DONE, and its owner dead; only then it acts, and every step is a CAS away from a
//! state that names the dead. So several may sweep at once, and any of them may be killed or stopped: the
//! next one starts again. A seat becomes FREE only when no living participant announces it, so a label that
//! a slow sweeper still acts on never means a newcomer. (Each who moves a seat to DONE looks at the
//! announcements after that; each who announces looks at the state after that.)
//!
//! In LEFT the list of the dead one does not count as holding anything, but still keeps its objects from being freed,
//! so the others can be told without a lock. In SWEPT it keeps only those that a living sweeper, by its announcement,
//! may still be visiting. (Who frees an object reads the state, then the announcements; who visits announces, then
//! reads the state.)
//!
//! Detaching in good order is the same sweep on oneself, with the lease still in hand.

use super::attach::Attached;
use crate::atomic::{Acquire, SeqCst, fence};
use crate::error::ErrorKind;
use crate::kinds;
use crate::layout::{SEAT_DONE, SEAT_FREE, SEAT_LEFT, SEAT_LIVE, SEAT_SWEPT, SeatState};
use crate::wait::Label;

impl Attached {
    /// Sweeps every participant that has died; how many there were.
    pub fn sweep_all(&self) -> usize {
        let dead = |label: &Label| self.seat(*label).state != SEAT_FREE && self.is_dead(*label);
        self.labels().filter(dead).map(|label| self.sweep(label)).count()
    }

    /// Gives back what `label` held, if it is dead. Idempotent.
    pub fn sweep(&self, label: Label) {
        let Ok(me) = self.me() else { return };
        self.sweeping.acquire();
        let seat = self.seat(label);
        let announce = &self.slot(me).announce;
        announce.store(announcement(label, seat) | VISITING, SeqCst);
        fence(SeqCst); // pairs with the fences in `leave_seat` and `is_visited`
        let now = self.seat(label);
        if now.generation == seat.generation && now.state != SEAT_FREE && self.is_dead(label) {
            self.visit_seat(label, now);
            announce.store(announcement(label, seat), SeqCst);
            self.clear_seat(label, now);
            announce.store(0, SeqCst);
            self.leave_seat(label, now);
        } else {
            announce.store(0, SeqCst);
        }
        // SAFETY: acquired above by this thread.
        unsafe { self.sweeping.release() };
    }

    /// The sweep of a seat whose lease the caller has in hand: his own, or one that nobody else sweeps.
    pub(super) fn sweep_seat(&self, label: Label, seat: SeatState) {
        self.visit_seat(label, seat);
        self.clear_seat(label, seat);
    }

    /// Visits what the dead one had open. The caller has announced it, or has the seat's lease in hand.
    fn visit_seat(&self, label: Label, seat: SeatState) {
        let slot = self.slot(label);
        // In any state: who sweeps with the lease of a dead one in hand may die under a lock as that one.
        self.recover_locks(label);
        if seat.state == SEAT_LIVE {
            self.held_by(label, |block, _| {
                if let Ok(found) = self.object(block) {
                    kinds::recover(self, &found, label);
                }
                false
            });
            let _ = slot.state.cas(seat.to(SEAT_LIVE).pack(), seat.to(SEAT_LEFT).pack());
        }
        if self.seat(label) == seat.to(SEAT_LEFT) {
            self.pinned_by(label, |block, role| {
                self.tell(block, role);
                false
            });
            let _ = slot.state.cas(seat.to(SEAT_LEFT).pack(), seat.to(SEAT_SWEPT).pack());
        }
    }

    /// Frees what was the dead one's alone. The caller does not visit it any more.
    fn clear_seat(&self, label: Label, seat: SeatState) {
        let slot = self.slot(label);
        if self.announced(label, seat) {
            return; // the other one goes on from here
        }
        let busy = self.entries_of(label, |block, _| {
            self.try_leave(block).is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
        });
        if busy {
            return; // somebody has the directory; the next sweep goes on from here
        }
        self.free_blocks_of(label);
        let _ = slot.state.cas(seat.to(SEAT_SWEPT).pack(), seat.to(SEAT_DONE).pack());
    }

    /// Frees a seat of which nothing is left, unless a living participant still acts on it.
    pub(super) fn leave_seat(&self, label: Label, seat: SeatState) {
        fence(SeqCst); // pairs with the fence in `sweep`: we see his announcement, or he sees DONE
        if self.seat(label) == seat.to(SEAT_DONE) && !self.announced(label, seat) {
            let _ = self.slot(label).state.cas(seat.to(SEAT_DONE).pack(), seat.to(SEAT_FREE).pack());
        }
    }

    /// Whether another living participant is sweeping this seat.
    pub(super) fn announced(&self, label: Label, seat: SeatState) -> bool {
        self.any_announces(label, |other, word| {
            !self.is_me(other) && word & !VISITING == announcement(label, seat)
        })
    }

    /// Whether a living participant, this process included, is visiting what the dead one had open.
    pub(super) fn is_visited(&self, label: Label, seat: SeatState) -> bool {
        self.any_announces(label, |_, word| word == announcement(label, seat) | VISITING)
    }

    fn any_announces(&self, label: Label, is_it: impl Fn(Label, u64) -> bool) -> bool {
        fence(SeqCst); // pairs with the fence in `sweep`
        self.labels().any(|other| {
            other != label && is_it(other, self.slot(other).announce.load(Acquire)) && !self.is_dead(other)
        })
    }

    /// Takes a seat that is free: `LIVE` at the next generation. The caller has its lease.
    pub(super) fn take_seat(&self, label: Label) -> bool {
        let slot = self.slot(label);
        let seat = self.seat(label);
        if seat.state != SEAT_FREE {
            return false;
        }
        Self::clear_list(slot);
        slot.announce.store(0, SeqCst);
        let next = SeatState { state: SEAT_LIVE, generation: seat.generation.wrapping_add(1) };
        slot.state.cas(seat.pack(), next.pack()).is_ok()
    }
}

/// The announced sweep still visits objects.
const VISITING: u64 = 1 << 31;

fn announcement(label: Label, seat: SeatState) -> u64 {
    u64::from(seat.generation) << 32 | u64::from(label)
}
