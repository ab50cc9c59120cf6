//! Locks: taken and given back by one, and by two who want it at once.

use anyhow::{Result, ensure};

use crate::group::{Group, Sample};
use crate::peers::locks::{self, Guarded, LockPeer};
use crate::region::Region;
use crate::trial::{self, Pin, Place, Report, Worker};

pub fn groups<'a>() -> Vec<Group<'a>> {
    let mut pair = Group::new("lock.pair", "Lock and unlock, nobody else wants it", "ns");
    let mut contended = Group::new("lock.contended", "Lock and unlock, two want it", "op/s");
    add::<locks::Sharecell>(&mut pair, &mut contended);
    add::<locks::Undo>(&mut pair, &mut contended);
    add::<locks::Std>(&mut pair, &mut contended);
    add::<locks::ParkingLot>(&mut pair, &mut contended);
    add::<locks::BareFutex>(&mut pair, &mut contended);
    add::<locks::Pthread<false>>(&mut pair, &mut contended);
    add::<locks::Pthread<true>>(&mut pair, &mut contended);
    add::<locks::Posix>(&mut pair, &mut contended);
    add::<locks::RawSync>(&mut pair, &mut contended);
    #[cfg(boost)]
    {
        add::<crate::peers::boost::Mutex>(&mut pair, &mut contended);
        add::<crate::peers::boost::Semaphore>(&mut pair, &mut contended);
    }
    #[cfg(not(boost))]
    for group in [&mut pair, &mut contended] {
        group.missing("Boost interprocess_mutex", crate::peers::boost::ABSENT);
        group.missing("Boost interprocess_semaphore", crate::peers::boost::ABSENT);
    }
    vec![pair, contended]
}

fn add<P: LockPeer>(pair: &mut Group<'_>, contended: &mut Group<'_>) {
    pair.add(P::NAME, P::PLACE, |count| {
        let ns = take::<P>(1, count)?;
        Ok(Sample::new(ns / count as f64, ns))
    });
    contended.add(P::NAME, P::PLACE, |count| {
        let ns = take::<P>(2, count)?;
        Ok(Sample::new(2.0 * count as f64 / ns * 1e9, ns))
    });
}

/// `workers` take the lock `count` times each; how long that took.
fn take<P: LockPeer>(workers: usize, count: u64) -> Result<f64> {
    let counter = Region::<u64>::new()?;
    let work = |worker: &Worker<'_>, peer: &P| {
        let guarded = Guarded { counter: counter.as_ptr(), dwell: 0 };
        peer.pairs(guarded, &mut |pairs| worker.measure(|_: &mut Report| pairs(count)))
    };
    let reports = match P::PLACE {
        Place::Processes => {
            let peer = P::make()?;
            trial::processes(workers, Pin::Spread, &|w| work(w, &peer))?
        }
        Place::Threads => trial::threads(workers, Pin::Spread, P::make, &work)?,
    };
    // SAFETY: the workers have ended.
    let counted = unsafe { counter.as_ptr().read() };
    ensure!(counted == workers as u64 * count, "{counted} of {} increments", workers as u64 * count);
    Ok(trial::wall_ns(&reports))
}
