//! A victim and a survivor want one lock. What it guards is counted.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use anyhow::Result;

use crate::kills::scene::{Fate, Outcome, Scene};
use crate::machine::now;
use crate::peers::locks::{Guarded, LockPeer};
use crate::region::Region;
use crate::trial::Child;

/// Increments of which a process knows that it made them.
#[repr(C)]
struct Counts {
    guarded: u64,
    victim: AtomicU64,
    survivor: AtomicU64,
}

/// For ever, as far as a victim is concerned.
pub const HOLDS: u64 = u64::MAX;

/// The victim keeps the lock for `DWELL` turns of an empty loop each time.
pub fn play<P: LockPeer, const DWELL: u64>(scene: &Scene) -> Result<()> {
    let peer = P::make()?;
    let marks = scene.marks();
    let counts = Region::<Counts>::new()?;
    let all = counts.get();
    // SAFETY: the field lies in the region; it is reached through pointers only.
    let counter = unsafe { &raw mut (*counts.as_ptr()).guarded };
    let worker = |dwell: u64, count: &AtomicU64, ends: bool| {
        Child::fork(|| {
            let looped = peer.pairs(Guarded { counter, dwell }, &mut |pairs| {
                marks.ready.fetch_add(1, SeqCst);
                loop {
                    let after = marks.gone.load(SeqCst) != 0;
                    pairs(1);
                    count.fetch_add(1, SeqCst);
                    if after && ends {
                        marks.done_at.store(now(), SeqCst);
                        return;
                    }
                }
            });
            looped.is_ok()
        })
    };
    let victim = worker(DWELL, &all.victim, false)?;
    // SAFETY: it is another process's counter, but a word, and only looked at.
    scene.until(|| unsafe { counter.read_volatile() } != 0)?;
    let survivor = worker(0, &all.survivor, true)?;
    scene.kill(victim, 2)?;
    let fate = scene.survive(&[&survivor], || marks.done_at.load(SeqCst) != 0);
    let mut outcome = fate.outcome();
    if fate == Fate::Well && survivor.wait() {
        // SAFETY: nobody is left who could write it.
        let counted = unsafe { counter.read_volatile() };
        let known = all.victim.load(SeqCst) + all.survivor.load(SeqCst);
        // The victim may have died between an increment and knowing of it.
        outcome = Outcome {
            lost: known.saturating_sub(counted),
            doubled: counted.saturating_sub(known + 1),
            ..outcome
        };
    }
    scene.note(outcome);
    Ok(())
}
