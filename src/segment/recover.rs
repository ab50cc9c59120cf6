//! The sweep: what a dead participant held is given back, by whoever finds it dead.
//!
//! ```text
//!   LIVE(g) ──undo what it held──▶ SWEPT(g) ──free its blocks──▶ DONE(g) ──nobody names it──▶ FREE(g)
//!                                                                                              │ taken
//!                                                                          LIVE(g + 1) ◀───────┘
//! ```
//!
//! The sweeper announces (label, generation) in its own slot, fences, and looks again whether the slot is at
//! that generation, not DONE, and its owner dead; only then it acts, and every step is a CAS away from a
//! state that names the dead. So several may sweep at once, and any of them may be killed or stopped: the
//! next one starts again. A seat becomes FREE only when no living participant announces it, so a label that
//! a slow sweeper still acts on never means a newcomer. (Each who moves a seat to DONE looks at the
//! announcements after that; each who announces looks at the state after that.)
//!
//! In SWEPT the list of the dead one no longer counts. Then those at the other ends of its pipes are told, and
//! removed objects that it had open are freed, but not while another living sweeper may still be visiting them.
//!
//! Detaching in good order is the same sweep on oneself, with the lease still in hand.

use super::attach::Attached;
use super::openlist::LEAVING;
use crate::atomic::{Acquire, SeqCst, fence};
use crate::error::ErrorKind;
use crate::kinds;
use crate::layout::{SEAT_DONE, SEAT_FREE, SEAT_LIVE, SEAT_SWEPT, SeatState};
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
        announce.store(announcement(label, seat), SeqCst);
        fence(SeqCst); // pairs with the fence in `leave_seat`
        let now = self.seat(label);
        if now.generation == seat.generation && now.state != SEAT_FREE && self.is_dead(label) {
            self.sweep_seat(label, now);
            announce.store(0, SeqCst);
            self.leave_seat(label, now);
        } else {
            announce.store(0, SeqCst);
        }
        // SAFETY: acquired above by this thread.
        unsafe { self.sweeping.release() };
    }

    /// The sweep itself. The caller has announced it, or has the seat's lease in hand.
    pub(super) fn sweep_seat(&self, label: Label, seat: SeatState) {
        let slot = self.slot(label);
        // In any state: who sweeps with the lease of a dead one in hand may die under a lock as that one.
        self.recover_locks(label);
        if seat.state == SEAT_LIVE {
            self.entries_of(label, |block, _| {
                if let Ok(found) = self.object(block) {
                    kinds::recover(self, &found, label);
                }
                false
            });
            let _ = slot.state.cas(seat.to(SEAT_LIVE).pack(), seat.to(SEAT_SWEPT).pack());
        }
        if self.announced(label, seat) {
            return; // the other one goes on from here
        }
        let busy = self.all_entries_of(label, |block, role| {
            self.try_leave(block, role & !LEAVING).is_err_and(|e| e.kind() == ErrorKind::WouldBlock)
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
    fn announced(&self, label: Label, seat: SeatState) -> bool {
        let me = self.me().unwrap_or(0);
        fence(SeqCst);
        self.labels().any(|other| {
            other != me
                && other != label
                && self.slot(other).announce.load(Acquire) == announcement(label, seat)
                && !self.is_dead(other)
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

fn announcement(label: Label, seat: SeatState) -> u64 {
    u64::from(seat.generation) << 32 | u64::from(label)
}
