//! Queues: items per second by size of the item and number of workers, one by one and in batches.

use anyhow::{Result, ensure};

use crate::group::{Group, Sample};
use crate::peers::floors;
use crate::peers::iceoryx::PubSub;
use crate::peers::queues::{ArrayQueue, BATCH, Batches, Bytes, Channel, Fifo, Kanal, Rtrb, Typed, Words};
use crate::peers::system::{Descriptors, Interprocess, IpcChannel, PIPE, PosixMq, SOCKETPAIR};
use crate::trial::{self, Pin, Place, Report, Worker};

pub const CAPACITY: usize = 1024;

pub fn groups<'a>() -> Vec<Group<'a>> {
    let mut all = Vec::new();
    for side in [1, 2, 4] {
        all.push(group::<1>(side));
        all.push(group::<8>(side));
        all.push(group::<128>(side));
        all.push(batches::<1>(side));
    }
    all
}

fn group<'a, const W: usize>(side: usize) -> Group<'a> {
    let bytes = W * 8;
    let title = format!("Queue, items of {bytes} bytes, {side} who put and {side} who get");
    let mut g = Group::new(format!("queue.{bytes}.{side}"), title, "items/s");
    add::<W, floors::Bare<W>>(&mut g, side);
    add::<W, floors::Owned<W>>(&mut g, side);
    add::<W, Typed>(&mut g, side);
    add::<W, Bytes>(&mut g, side);
    add::<W, ArrayQueue<W>>(&mut g, side);
    add::<W, Channel<W>>(&mut g, side);
    add::<W, Kanal<W>>(&mut g, side);
    add::<W, Rtrb<W>>(&mut g, side);
    #[cfg(boost)]
    add::<W, crate::peers::boost::Queue>(&mut g, side);
    #[cfg(not(boost))]
    g.missing("Boost message_queue", crate::peers::boost::ABSENT);
    add::<W, PosixMq>(&mut g, side);
    add::<W, Descriptors<PIPE>>(&mut g, side);
    add::<W, Descriptors<SOCKETPAIR>>(&mut g, side);
    add::<W, Interprocess>(&mut g, side);
    add::<W, IpcChannel>(&mut g, side);
    add::<W, PubSub<false>>(&mut g, side);
    add::<W, PubSub<true>>(&mut g, side);
    g
}

fn batches<'a, const W: usize>(side: usize) -> Group<'a> {
    let bytes = W * 8;
    let title = format!("Queue, {BATCH} items of {bytes} bytes at a time, {side} who put and {side} who get");
    let mut g = Group::new(format!("queue.{bytes}.{side}.batch"), title, "items/s");
    g.add("sharecell TypedQueue, put_many and get_many_into", Place::Processes, move |count| {
        flow::<W, Typed>(side, side, CAPACITY, count, &put_batches::<W, Typed>, &get_batches::<W, Typed>)
    });
    g.add("sharecell Queue, put_many and get_many", Place::Processes, move |count| {
        flow::<W, Bytes>(side, side, CAPACITY, count, &put_batches::<W, Bytes>, &get_batches::<W, Bytes>)
    });
    add::<W, floors::Bare<W>>(&mut g, side);
    add::<W, floors::Owned<W>>(&mut g, side);
    add::<W, ArrayQueue<W>>(&mut g, side);
    add::<W, Channel<W>>(&mut g, side);
    g
}

fn add<const W: usize, F: Fifo<W>>(group: &mut Group<'_>, side: usize) {
    if side == 1 || F::MANY {
        group.add(F::NAME, F::PLACE, move |count| one_by_one::<W, F>(side, side, CAPACITY, count));
    } else {
        group.missing(F::NAME, "has one side of one only");
    }
}

/// Items through a queue of `capacity`, between `puts` and `gets` workers.
pub fn one_by_one<const W: usize, F: Fifo<W>>(
    puts: usize,
    gets: usize,
    capacity: usize,
    count: u64,
) -> Result<Sample> {
    flow::<W, F>(puts, gets, capacity, count, &put_all::<W, F>, &get_all::<W, F>)
}

type Put<'a, const W: usize, F> = &'a (dyn Fn(&mut <F as Fifo<W>>::Tx<'_>, u64, u64, &mut Report) + Sync);
type Get<'a, const W: usize, F> = &'a (dyn Fn(&mut <F as Fifo<W>>::Rx<'_>, u64, &mut Report) + Sync);

/// The first `puts` workers put, the others get; every getter its part.
fn flow<const W: usize, F: Fifo<W>>(
    puts: usize,
    gets: usize,
    capacity: usize,
    count: u64,
    put: Put<'_, W, F>,
    get: Get<'_, W, F>,
) -> Result<Sample> {
    let each = |count: u64| {
        let each = count.div_ceil((puts * gets) as u64);
        (each * gets as u64, each * puts as u64)
    };
    let (put_each, get_each) = each(count);
    // A lap before the clock runs, so that each has touched the memory.
    let (put_first, get_first) = each(capacity as u64);
    let work = |worker: &Worker<'_>, queue: &F| {
        if worker.rank < puts {
            let mut tx = queue.tx()?;
            put(&mut tx, 0, put_first, &mut Report::empty());
            worker.measure(|report| put(&mut tx, worker.rank as u64 * put_each, put_each, report));
        } else {
            let mut rx = queue.rx()?;
            get(&mut rx, get_first, &mut Report::empty());
            worker.measure(|report| get(&mut rx, get_each, report));
        }
        Ok(())
    };
    let reports = match F::PLACE {
        Place::Processes => {
            let queue = F::make(capacity)?;
            trial::processes(puts + gets, Pin::Spread, &|w| work(w, &queue))?
        }
        Place::Threads => trial::threads(puts + gets, Pin::Spread, || F::make(capacity), &work)?,
    };
    let (sent, got) = (Report::total(&reports[..puts]), Report::total(&reports[puts..]));
    ensure!(
        Report::same_items(&sent, &got),
        "of {} items {} arrived, or not the same",
        sent.count,
        got.count
    );
    let ns = trial::wall_ns(&reports);
    Ok(Sample::new(sent.count as f64 / ns * 1e9, ns))
}

fn put_all<const W: usize, F: Fifo<W>>(tx: &mut F::Tx<'_>, first: u64, count: u64, report: &mut Report) {
    for n in first..first + count {
        F::put(tx, &Words::new(n));
        report.tally(n);
    }
}

fn get_all<const W: usize, F: Fifo<W>>(rx: &mut F::Rx<'_>, count: u64, report: &mut Report) {
    for _ in 0..count {
        report.tally(F::get(rx).number());
    }
}

fn put_batches<const W: usize, F: Batches<W>>(
    tx: &mut F::Tx<'_>,
    first: u64,
    count: u64,
    report: &mut Report,
) {
    let mut batch = [Words::new(0); BATCH];
    let mut next = first;
    while next < first + count {
        let len = (first + count - next).min(BATCH as u64);
        for (item, n) in batch.iter_mut().zip(next..next + len) {
            *item = Words::new(n);
            report.tally(n);
        }
        F::put_many(tx, &batch[..len as usize]);
        next += len;
    }
}

fn get_batches<const W: usize, F: Batches<W>>(rx: &mut F::Rx<'_>, count: u64, report: &mut Report) {
    while report.count < count {
        let want = (count - report.count).min(BATCH as u64) as usize;
        F::get_many(rx, want, |item| report.tally(item.number()));
    }
}
