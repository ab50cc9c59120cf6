//! There and back: the time from one worker to another and back again.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;

use crate::group::{Group, LEVELS, Sample};
use crate::machine::now;
use crate::peers::floors::Single;
use crate::peers::iceoryx::PubSub;
use crate::peers::queues::{ArrayQueue, Bytes, Channel, Fifo, Kanal, Rtrb, Typed, Words};
use crate::peers::system::{Descriptors, Interprocess, IpcChannel, PIPE, PosixMq, SOCKETPAIR};
use crate::region::{Region, futex_wait, futex_wake};
use crate::trial::{self, Pin, Place, Report, Worker};

pub const NAMED: &str = "floor: a cell each way, each claim names its owner";

const CAPACITY: usize = 64;
/// A reading of the clock costs as much as a fast round trip: the median is that of rounds of so many.
const ROUND: u64 = 16;

pub fn groups<'a>() -> Vec<Group<'a>> {
    vec![
        group("round.two", "There and back, 8 bytes, both on their own processor", Pin::Spread),
        group("round.one", "There and back, 8 bytes, both on one processor", Pin::One),
    ]
}

fn group<'a>(id: &str, title: &str, pin: Pin) -> Group<'a> {
    let mut g = Group::new(id, title, "ns");
    g.add("floor: cache line", Place::Processes, move |count| cache_line(pin, count));
    g.add(NAMED, Place::Processes, move |count| named(pin, count));
    g.add("floor: futex", Place::Processes, move |count| futex(pin, count));
    add::<Typed>(&mut g, pin);
    add::<Bytes>(&mut g, pin);
    g.add("sharecell Pipe", Place::Processes, move |count| super::pipe::round_trip(pin, count));
    add::<ArrayQueue<1>>(&mut g, pin);
    add::<Channel<1>>(&mut g, pin);
    add::<Kanal<1>>(&mut g, pin);
    add::<Rtrb<1>>(&mut g, pin);
    #[cfg(boost)]
    add::<crate::peers::boost::Queue>(&mut g, pin);
    #[cfg(not(boost))]
    g.missing("Boost message_queue", crate::peers::boost::ABSENT);
    add::<PosixMq>(&mut g, pin);
    add::<Descriptors<PIPE>>(&mut g, pin);
    add::<Descriptors<SOCKETPAIR>>(&mut g, pin);
    add::<Interprocess>(&mut g, pin);
    add::<IpcChannel>(&mut g, pin);
    add::<PubSub<false>>(&mut g, pin);
    add::<PubSub<true>>(&mut g, pin);
    g
}

fn add<F: Fifo<1>>(group: &mut Group<'_>, pin: Pin) {
    group.add(F::NAME, F::PLACE, move |count| {
        let work = |worker: &Worker<'_>, (ping, pong): &(F, F)| {
            if worker.rank == 0 {
                let (mut tx, mut rx) = (ping.tx()?, pong.rx()?);
                ask(worker, count, |n| {
                    F::put(&mut tx, &Words::new(n));
                    F::get(&mut rx).number()
                });
            } else {
                let (mut rx, mut tx) = (ping.rx()?, pong.tx()?);
                answer(worker, count, || {
                    let item = F::get(&mut rx);
                    F::put(&mut tx, &item);
                });
            }
            Ok(())
        };
        let make = || Ok((F::make(CAPACITY)?, F::make(CAPACITY)?));
        sample(match F::PLACE {
            Place::Processes => {
                let both = make()?;
                trial::processes(2, pin, &|w| work(w, &both))?
            }
            Place::Threads => trial::threads(2, pin, make, &work)?,
        })
    });
}

/// Worker 0: sends numbers and expects them back, twice over: in rounds, and one by one.
pub fn ask(worker: &Worker<'_>, count: u64, mut there_and_back: impl FnMut(u64) -> u64) {
    let rounds = rounds(count);
    worker.measure(|report| {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3).expect("good bounds");
        let mut n = 0;
        let mut ask = |times: u64| {
            let start = now();
            for _ in 0..times {
                n += 1;
                assert_eq!(there_and_back(n), n, "not what was sent");
            }
            now() - start
        };
        let mut means: Vec<u64> = (0..rounds).map(|_| ask(ROUND)).collect();
        for _ in 0..rounds * ROUND {
            histogram.saturating_record(ask(1));
        }
        means.sort_unstable();
        report.numbers[0] = means[means.len() / 2] as f64 / ROUND as f64;
        for (at, level) in LEVELS.iter().enumerate() {
            report.numbers[at + 1] = histogram.value_at_percentile(*level) as f64;
        }
        report.count = n;
    });
}

/// One worker asks and the other answers, each by `put` and `get` of its own.
pub fn ask_or_answer(worker: &Worker<'_>, count: u64, put: impl Fn(u64), get: impl Fn() -> u64) {
    if worker.rank == 0 {
        ask(worker, count, |n| {
            put(n);
            get()
        });
    } else {
        answer(worker, count, || put(get()));
    }
}

/// Worker 1: sends back what comes.
pub fn answer(worker: &Worker<'_>, count: u64, mut echo: impl FnMut()) {
    let all = rounds(count) * ROUND * 2;
    worker.measure(|report| {
        for _ in 0..all {
            echo();
        }
        report.count = all;
    });
}

fn rounds(count: u64) -> u64 {
    (count / ROUND / 2).max(1)
}

pub fn sample(reports: Vec<Report>) -> Result<Sample> {
    ensure!(reports[0].count == reports[1].count, "{} there, {} back", reports[0].count, reports[1].count);
    let mut sample = Sample::new(reports[0].numbers[0], trial::wall_ns(&reports));
    sample.levels = reports[0].numbers[1..=LEVELS.len()].to_vec();
    Ok(sample)
}

/// Waits until `word` is `n`.
#[inline]
fn wait_for(word: &AtomicU64, n: u64, pin: Pin) {
    let backoff = crossbeam_utils::Backoff::new();
    while word.load(Acquire) != n {
        match pin {
            Pin::Spread => std::hint::spin_loop(),
            Pin::One => backoff.snooze(),
        }
    }
}

/// What no queue can beat: a word in one line of memory, written by turns.
fn cache_line(pin: Pin, count: u64) -> Result<Sample> {
    let word = Region::<AtomicU64>::new()?;
    let wait_for = |n: u64| wait_for(word.get(), n, pin);
    sample(trial::processes(2, pin, &|worker| {
        if worker.rank == 0 {
            ask(worker, count, |n| {
                word.get().store(2 * n - 1, Release);
                wait_for(2 * n);
                n
            });
        } else {
            let mut n = 0;
            answer(worker, count, || {
                n += 2;
                wait_for(n - 1);
                word.get().store(n, Release);
            });
        }
        Ok(())
    })?)
}

/// What nobody can beat who knows at each moment whose an item is: one cell each way, without a queue.
fn named(pin: Pin, count: u64) -> Result<Sample> {
    let (there, back) = (Single::new()?, Single::new()?);
    sample(trial::processes(2, pin, &|worker| {
        let (mut n, me) = (0, std::process::id().into());
        let wait = |word: &AtomicU64, value| wait_for(word, value, pin);
        if worker.rank == 0 {
            ask(worker, count, |n| {
                there.put(n, me, wait);
                back.get(n, me, wait)
            });
        } else {
            answer(worker, count, || {
                n += 1;
                back.put(there.get(n, me, wait), me, wait);
            });
        }
        Ok(())
    })?)
}

/// How long a line takes there and back, in a moment: how far the processors are from each other just now; nothing where there is one.
pub fn line_ns() -> Option<f64> {
    let several = crate::machine::processors().len() > 1;
    several.then(|| cache_line(Pin::Spread, 2000).ok()).flatten().map(|sample| sample.value)
}

/// What nobody who sleeps can beat: two futexes, a wake and a wait for each direction.
fn futex(pin: Pin, count: u64) -> Result<Sample> {
    let words = Region::<[AtomicU32; 64]>::new()?;
    let (there, back) = (&words.get()[0], &words.get()[32]);
    let post = |word: &AtomicU32| {
        word.store(1, Release);
        futex_wake(word);
    };
    let wait = |word: &AtomicU32| {
        while word.swap(0, Acquire) == 0 {
            futex_wait(word, 0);
        }
    };
    sample(trial::processes(2, pin, &|worker| {
        if worker.rank == 0 {
            ask(worker, count, |n| {
                post(there);
                wait(back);
                n
            });
        } else {
            answer(worker, count, || {
                wait(there);
                post(back);
            });
        }
        Ok(())
    })?)
}
