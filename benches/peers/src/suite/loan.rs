//! There and back in place: written where it is read, whatever its size. The ends of each item are touched.

use anyhow::{Result, anyhow};
use iceoryx2::prelude::*;
use sharecell::{Deadline, End, Pipe, PipeOptions, Queue, QueueOptions};

use crate::group::{Group, Sample};
use crate::peers::iceoryx::error;
use crate::peers::queues::until_some;
use crate::peers::{Scratch, unique};
use crate::suite::pipe::{mark, marked};
use crate::suite::round::{ask_or_answer, sample};
use crate::trial::{self, Pin, Place};

pub const SIZES: [(usize, &str); 4] =
    [(8, "8 B"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB"), (64 << 20, "64 MiB")];

pub fn groups<'a>() -> Vec<Group<'a>> {
    SIZES.iter().map(|&(bytes, name)| group(bytes, name)).collect()
}

fn group<'a>(bytes: usize, name: &str) -> Group<'a> {
    let title = format!("There and back in place, items of {name}");
    let mut g = Group::new(format!("loan.{bytes}"), title, "ns");
    g.add("sharecell Queue, reserve and recv", Place::Processes, move |count| queue(bytes, count));
    g.add("sharecell Pipe, reserve and recv_in_place", Place::Processes, move |count| pipe(bytes, count));
    g.add("iceoryx2, loan and receive, polling", Place::Processes, move |count| iceoryx(bytes, count));
    g
}

/// Items of this size in memory for both directions, with room for those being given back.
fn scratch(bytes: usize) -> Result<Scratch> {
    Scratch::with_limit((bytes as u64 * 16).max(1 << 28))
}

fn queue(bytes: usize, count: u64) -> Result<Sample> {
    let scratch = scratch(bytes)?;
    for name in ["there", "back"] {
        Queue::create(&scratch.segment, name, &QueueOptions::new(16))?;
    }
    sample(trial::processes(2, Pin::Spread, &|worker| {
        let segment = scratch.open()?;
        let (there, back) = (Queue::open(&segment, "there")?, Queue::open(&segment, "back")?);
        let (out, incoming) = if worker.rank == 0 { (there, back) } else { (back, there) };
        let put = |n| {
            let mut place = out.reserve(bytes, Deadline::Never).expect("reserve");
            mark(&mut place, n);
            place.commit().expect("commit");
        };
        ask_or_answer(worker, count, put, || marked(&incoming.recv(Deadline::Never).expect("recv")));
        Ok(())
    })?)
}

fn pipe(bytes: usize, count: u64) -> Result<Sample> {
    let scratch = scratch(bytes)?;
    let _ends = Pipe::create(&scratch.segment, "pipe", &PipeOptions::new().capacity(16))?;
    sample(trial::processes(2, Pin::Spread, &|worker| {
        let segment = scratch.open()?;
        let pipe = Pipe::open(&segment, "pipe", if worker.rank == 0 { End::A } else { End::B })?;
        let put = |n| {
            let mut place = pipe.reserve(bytes, Deadline::Never).expect("reserve");
            mark(&mut place, n);
            place.commit().expect("commit");
        };
        ask_or_answer(worker, count, put, || {
            marked(&pipe.recv_in_place(Deadline::Never).expect("recv_in_place"))
        });
        Ok(())
    })?)
}

fn iceoryx(bytes: usize, count: u64) -> Result<Sample> {
    let names = [unique(), unique()];
    sample(trial::processes(2, Pin::Spread, &|worker| {
        let node = NodeBuilder::new().create::<ipc::Service>().map_err(error)?;
        let service = |name: &str| {
            node.service_builder(&name.try_into().map_err(error)?)
                .publish_subscribe::<[u8]>()
                .enable_safe_overflow(false)
                .open_or_create()
                .map_err(error)
        };
        let (there, back) = (service(&names[0])?, service(&names[1])?);
        let (out, incoming) = if worker.rank == 0 { (&there, &back) } else { (&back, &there) };
        let publisher = out
            .publisher_builder()
            .initial_max_slice_len(bytes)
            .backpressure_strategy(BackpressureStrategy::RetryUntilDelivered)
            .create()
            .map_err(error)?;
        let subscriber = incoming.subscriber_builder().create().map_err(error)?;
        while out.dynamic_config().number_of_subscribers() == 0
            || incoming.dynamic_config().number_of_publishers() == 0
        {
            std::thread::yield_now();
        }
        let put = |n| {
            let mut sample = publisher.loan_slice_uninit(bytes).expect("loan");
            let place: *mut [u8] = core::ptr::from_mut(sample.payload_mut()) as *mut [u8];
            // SAFETY: bytes of shared memory; those that are not written keep what they held.
            mark(unsafe { &mut *place }, n);
            // SAFETY: as above: any content is a valid byte.
            unsafe { sample.assume_init() }.send().expect("send");
        };
        let get = || until_some(|| subscriber.receive().expect("receive").map(|sample| marked(&sample)));
        ask_or_answer(worker, count, put, get);
        Ok(())
    })?)
    .map_err(|e| anyhow!("{e:#}"))
}
