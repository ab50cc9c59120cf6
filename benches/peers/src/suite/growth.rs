//! How cost grows: with the size of items, with processes, capacity, objects and participants.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use anyhow::{Result, ensure};
use sharecell::{Segment, Value};

use crate::group::{Group, Sample};
use crate::machine::now;
use crate::peers::queues::{ArrayQueue, Channel, Fifo, Typed};
use crate::peers::{Scratch, unique};
use crate::region::Region;
use crate::suite::recovery::until;
use crate::suite::{pipe, queue};
use crate::trial::{self, Child, Pin, Place};

pub fn groups<'a>(quick: bool) -> Vec<Group<'a>> {
    let mut all = vec![sizes(quick), processes(quick), capacities(quick)];
    all.extend(objects(quick));
    all.extend(participants(quick));
    all
}

/// The whole series, or its ends and middle.
fn series(quick: bool, all: &[u64]) -> Vec<u64> {
    if quick { vec![all[0], all[all.len() / 2], all[all.len() - 1]] } else { all.to_vec() }
}

fn sizes<'a>(quick: bool) -> Group<'a> {
    let mut g = Group::new("grow.size", "Bytes per second by size of the item, one way", "GB/s");
    for bytes in series(quick, &[8, 64, 512, 4 << 10, 32 << 10, 256 << 10, 2 << 20, 16 << 20, 64 << 20]) {
        let size = bytes as usize;
        g.add(format!("sharecell Pipe | {bytes}"), Place::Processes, move |n| pipe::sharecell(size, n));
        g.add(format!("rtrb, chunks of bytes | {bytes}"), Place::Threads, move |n| pipe::rtrb_bytes(size, n));
        g.add(format!("floor: two buffers | {bytes}"), Place::Processes, move |n| {
            pipe::through_buffers(2, size, n)
        });
        g.add(format!("floor: two memcpys | {bytes}"), Place::Processes, move |n| pipe::two_copies(size, n));
    }
    g
}

fn processes<'a>(quick: bool) -> Group<'a> {
    let title = "Items per second by number of workers on one queue, half of them put, 8 bytes";
    let mut g = Group::new("grow.workers", title, "items/s");
    for workers in series(quick, &[2, 4, 8, 16, 32, 64]) {
        add::<Typed>(&mut g, workers, queue::CAPACITY as u64, workers);
        add::<ArrayQueue<1>>(&mut g, workers, queue::CAPACITY as u64, workers);
        add::<Channel<1>>(&mut g, workers, queue::CAPACITY as u64, workers);
    }
    g
}

fn capacities<'a>(quick: bool) -> Group<'a> {
    let title = "Items per second by capacity of the queue, one puts and one gets, 8 bytes";
    let mut g = Group::new("grow.capacity", title, "items/s");
    for capacity in series(quick, &[2, 8, 64, 512, 4096, 65_536, 1_000_000]) {
        add::<Typed>(&mut g, 2, capacity, capacity);
        add::<ArrayQueue<1>>(&mut g, 2, capacity, capacity);
        add::<Channel<1>>(&mut g, 2, capacity, capacity);
    }
    g
}

fn add<F: Fifo<1>>(group: &mut Group<'_>, workers: u64, capacity: u64, x: u64) {
    let half = workers as usize / 2;
    group.add(format!("{} | {x}", F::NAME), F::PLACE, move |count| {
        queue::one_by_one::<1, F>(half, half, capacity as usize, count)
    });
}

fn objects<'a>(quick: bool) -> Vec<Group<'a>> {
    let names = ["create one", "open one of them", "close it", "remove one"]
        .map(|what| format!("{what}, by objects"));
    let ids = ["create", "open", "close", "remove"];
    (0..ids.len())
        .map(|step| {
            let mut g =
                Group::new(format!("grow.objects.{}", ids[step]), names[step].clone(), "ns").fixed(1, 1);
            for objects in series(quick, &[10, 100, 1_000, 10_000, 100_000]) {
                g.add(format!("sharecell Value | {objects}"), Place::Processes, move |_| {
                    with_objects(objects, step)
                });
            }
            g
        })
        .collect()
}

/// Creates so many objects, opens each elsewhere, closes and removes them; the mean time of one step.
fn with_objects(objects: u64, step: usize) -> Result<Sample> {
    let scratch = Scratch::with_limit(4 << 30)?;
    let names: Vec<String> = (0..objects).map(|i| format!("object {i}")).collect();
    let mut ns = [0; 4];
    let mut timed = |step: usize, work: &mut dyn FnMut() -> Result<()>| {
        let start = now();
        work()?;
        ns[step] = now() - start;
        anyhow::Ok(())
    };
    let segment = &scratch.segment;
    timed(0, &mut || {
        for name in &names {
            Value::create(segment, name, 0u64)?;
        }
        Ok(())
    })?;
    let mut open = Vec::with_capacity(names.len());
    timed(1, &mut || {
        for name in &names {
            open.push(Value::<u64>::open(segment, name)?);
        }
        Ok(())
    })?;
    timed(2, &mut || {
        open.clear();
        Ok(())
    })?;
    // The more there are the longer each takes: a part of them tells as much.
    let removed = names.len().min(1_000);
    timed(3, &mut || names[..removed].iter().try_for_each(|n| Ok(segment.remove(n)?)))?;
    let steps = if step == 3 { removed } else { names.len() };
    Ok(Sample::new(ns[step] as f64 / steps as f64, 1.0))
}

fn participants<'a>(quick: bool) -> Vec<Group<'a>> {
    let series = series(quick, &[2, 10, 50, 200, 1_000]);
    let mut all = vec![
        Group::new("grow.participants.attach", "Attach, by participants that are attached", "ns"),
        Group::new(
            "grow.participants.probe",
            "Ask for one participant whether it lives, by participants",
            "ns",
        ),
        Group::new(
            "grow.participants.memory",
            "Memory that each participant costs, by participants",
            "bytes",
        ),
    ];
    for (which, g) in all.iter_mut().enumerate() {
        g.fixed = Some((1, 1));
        for &count in &series {
            g.add(format!("sharecell Segment | {count}"), Place::Processes, move |_| {
                Ok(Sample::new(with_participants(count)?[which], 1.0))
            });
        }
    }
    all
}

/// Attaching once more, a probe, and the memory for each, beside so many participants.
fn with_participants(count: u64) -> Result<[f64; 3]> {
    let name = unique();
    let options = |n: u64| Segment::options().participants(n as u32 + 64).ephemeral(true);
    let small = options(0).create(&unique())?.size()?;
    let made = options(count).create(&name)?;
    let size = made.size()?;
    let attached = Region::<AtomicU64>::new()?;
    // A forked child has its seat from its birth; it only has to stay.
    let mut children = Vec::new();
    for _ in 1..count {
        children.push(Child::fork(|| {
            attached.get().fetch_add(1, SeqCst);
            // SAFETY: always allowed.
            unsafe { libc::pause() };
            true
        })?);
    }
    until(|| attached.get().load(SeqCst) == count - 1);
    ensure!(made.participants().len() as u64 == count, "not all are attached");
    let start = now();
    const LOOKS: u64 = 20;
    for _ in 0..LOOKS {
        made.recover();
    }
    let probe = (now() - start) as f64 / (LOOKS * (count - 1)) as f64;
    drop(made); // so that opening it attaches anew
    let reports = trial::processes(1, Pin::Spread, &|worker| {
        worker.measure(|report| {
            let attach = super::open::timed(100, || Ok(Segment::open(&name)?));
            report.numbers[0] = attach.expect("open");
        });
        Ok(())
    });
    drop(children);
    Segment::unlink(&name)?;
    Ok([reports?[0].numbers[0], probe, (size - small) as f64 / count as f64])
}
