//! What it costs to clean up after a dead process, by what it had open, and whether others are kept waiting meanwhile.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use anyhow::{Result, ensure};
use sharecell::{Deadline, Lock, Queue, QueueOptions, Segment, Value};

use crate::group::{Group, Sample};
use crate::machine::now;
use crate::peers::{Scratch, unique};
use crate::region::Region;
use crate::suite::recovery::until;
use crate::trial::{Child, Place};

pub fn groups<'a>() -> Vec<Group<'a>> {
    let mut sweep = Group::new("sweep", "A sweep of a dead process, by what it had open", "ns").fixed(1, 3);
    let mut gap = Group::new(
        "sweep.gap",
        "The longest that a lock and unlock of a third process took during such a sweep",
        "ns",
    )
    .fixed(1, 3);
    for (name, objects, cells) in [
        ("10 objects", 10, 0),
        ("1,000 objects", 1_000, 0),
        ("100,000 objects", 100_000, 0),
        ("a queue of 1,000,000 cells", 0, 1_000_000),
    ] {
        let name = format!("sharecell | {name}");
        sweep.add(name.clone(), Place::Processes, move |n| {
            times(n, || sweep_one(objects, cells).map(|s| s.0))
        });
        gap.add(name, Place::Processes, move |n| times(n, || sweep_one(objects, cells).map(|s| s.1)));
    }
    vec![sweep, gap]
}

fn times(count: u64, once: impl Fn() -> Result<f64>) -> Result<Sample> {
    let all: Result<Vec<f64>> = (0..count).map(|_| once()).collect();
    Ok(Sample::new(crate::group::median(all?), 1.0))
}

#[derive(Default)]
#[repr(C)]
struct Marks {
    ready: AtomicU64,
    stop: AtomicU64,
    longest: AtomicU64,
}

/// A process that has so much open is killed; how long its sweep took, and the longest gap of a third process.
fn sweep_one(objects: usize, cells: u64) -> Result<(f64, f64)> {
    let marks = Region::<Marks>::new()?;
    let name = unique();
    let options = Segment::options().limit(4 << 30).ephemeral(true);
    let scratch = Scratch { segment: options.create(&name)? };
    let lock = Lock::create(&scratch.segment, "lock")?;
    drop(lock);
    // Forked before anything is open, so that neither has it open by birth.
    let victim = Child::fork(|| {
        let segment = Segment::open(&name).expect("open");
        let held = fill(&segment, objects, cells).expect("fill");
        let item = held.1.as_ref().map(|q| q.recv(Deadline::Never).expect("recv"));
        marks.get().ready.store(1, SeqCst);
        // SAFETY: always allowed.
        unsafe { libc::pause() };
        drop((item, held.0));
        true
    })?;
    let third = Child::fork(|| {
        let segment = Segment::open(&name).expect("open");
        let lock = Lock::open(&segment, "lock").expect("open");
        let mut last = now();
        while marks.get().stop.load(SeqCst) == 0 {
            drop(lock.lock().expect("lock"));
            let at = now();
            if marks.get().ready.load(SeqCst) == 2 {
                marks.get().longest.fetch_max(at - last, SeqCst);
            }
            last = at;
        }
        true
    })?;
    until(|| marks.get().ready.load(SeqCst) != 0);
    marks.get().ready.store(2, SeqCst);
    victim.kill();
    ensure!(!victim.wait(), "the victim was killed");
    let (mut swept, mut ns) = (0, 0);
    // The kernel may take a moment to bury it; who waits might sweep before us, but nobody waits here.
    for _ in 0..10_000 {
        let start = now();
        swept = scratch.segment.recover();
        ns = now() - start;
        if swept > 0 {
            break;
        }
    }
    marks.get().stop.store(1, SeqCst);
    ensure!(third.wait(), "the third process failed");
    ensure!(swept == 1, "{swept} swept");
    Ok((ns as f64, marks.get().longest.load(SeqCst) as f64))
}

type Held = (Vec<Value<u64>>, Option<Queue>);

fn fill(segment: &Segment, objects: usize, cells: u64) -> Result<Held> {
    let all: sharecell::Result<Vec<_>> =
        (0..objects).map(|i| Value::create(segment, &format!("object {i}"), 0u64)).collect();
    let queue = match cells {
        0 => None,
        cells => {
            let queue = Queue::create(segment, "queue", &QueueOptions::new(cells))?;
            queue.put(b"an item")?;
            Some(queue)
        }
    };
    Ok((all?, queue))
}
