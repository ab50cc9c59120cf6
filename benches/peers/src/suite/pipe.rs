//! Pipes: messages per second of 8 bytes, and bytes per second of large ones beside memcpy.

use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::*};

use anyhow::{Result, ensure};
use sharecell::{Deadline, End, Pipe, PipeOptions};

use crate::group::{Group, Sample};
use crate::peers::floors;
use crate::peers::queues::{Fifo, Rtrb, Simplex, Typed, Words, until_some};
use crate::peers::system::{Descriptors, PIPE, SOCKETPAIR};
use crate::peers::{Scratch, queues::taken};
use crate::region::Region;
use crate::suite::{queue, round};
use crate::trial::{self, Pin, Place, Report, Worker};

/// What two processes can reach: with few buffers, which stay in caches, and with so many that neither ever waits.
pub const BUFFERS: [&str; 2] =
    ["floor: through 2 buffers between two processes", "floor: through 64 buffers between two processes"];

pub fn groups<'a>() -> Vec<Group<'a>> {
    let mut small = Group::new("pipe.8", "Pipe, messages of 8 bytes", "messages/s");
    add::<floors::Line<false>>(&mut small);
    add::<floors::Line<true>>(&mut small);
    add::<Simplex>(&mut small);
    add::<Rtrb<1>>(&mut small);
    add::<Typed>(&mut small);
    add::<Descriptors<PIPE>>(&mut small);
    add::<Descriptors<SOCKETPAIR>>(&mut small);
    vec![small, large(64 << 10, "64 KiB"), large(1 << 20, "1 MiB")]
}

fn add<F: Fifo<1>>(group: &mut Group<'_>) {
    group.add(F::NAME, F::PLACE, |count| queue::one_by_one::<1, F>(1, 1, queue::CAPACITY, count));
}

fn large<'a>(bytes: usize, name: &str) -> Group<'a> {
    let title = format!("Pipe, messages of {name}, copied in and copied out");
    let mut g = Group::new(format!("pipe.{bytes}"), title, "GB/s");
    g.add("floor: two memcpys", Place::Processes, move |count| two_copies(bytes, count));
    for (name, buffers) in BUFFERS.into_iter().zip([2, 64]) {
        g.add(name, Place::Processes, move |count| through_buffers(buffers, bytes, count));
    }
    g.add("sharecell Pipe", Place::Processes, move |count| sharecell(bytes, count));
    g.add("rtrb, chunks of bytes", Place::Threads, move |count| rtrb_bytes(bytes, count));
    g.add("OS pipe", Place::Processes, move |count| stream(PIPE, bytes, count));
    g.add("socketpair", Place::Processes, move |count| stream(SOCKETPAIR, bytes, count));
    g
}

/// How many messages may be under way: never more than fit the default segment.
fn buffers(bytes: usize) -> usize {
    ((256 << 20) / bytes).clamp(2, 64)
}

/// Bytes per second of messages that are copied in and out.
pub fn sharecell(bytes: usize, count: u64) -> Result<Sample> {
    one_way(bytes, buffers(bytes) as u64, count).map(|ns| speed(ns, bytes, count))
}

fn speed(ns: f64, bytes: usize, count: u64) -> Sample {
    Sample::new((bytes as u64 * count) as f64 / ns, ns)
}

/// `count` messages through a sharecell pipe; how long that took. Each is marked at both of its ends.
fn one_way(bytes: usize, capacity: u64, count: u64) -> Result<f64> {
    let scratch = Scratch::new()?;
    let options = PipeOptions::new().duplex(false).capacity(capacity);
    let ends = Pipe::create(&scratch.segment, "pipe", &options)?;
    let reports = trial::processes(2, Pin::Spread, &|worker| {
        let segment = scratch.open()?;
        let mut buffer = vec![1u8; bytes];
        if worker.rank == 0 {
            let tx = Pipe::open(&segment, "pipe", End::B)?;
            warm_and_measure(worker, capacity, count, |report, n| {
                mark(&mut buffer, n);
                tx.send(&buffer).expect("send");
                report.tally(n);
            });
        } else {
            let rx = Pipe::open(&segment, "pipe", End::A)?;
            warm_and_measure(worker, capacity, count, |report, _| {
                assert_eq!(rx.recv_into(&mut buffer, Deadline::Never).expect("recv_into"), bytes);
                report.tally(marked(&buffer));
            });
        }
        Ok(())
    })?;
    drop(ends);
    check(&reports)?;
    Ok(trial::wall_ns(&reports))
}

fn check(reports: &[Report]) -> Result<()> {
    ensure!(Report::same_items(&reports[0], &reports[1]), "not what was sent");
    Ok(())
}

#[inline]
pub fn mark(buffer: &mut [u8], n: u64) {
    let len = buffer.len();
    buffer[..8].copy_from_slice(&n.to_le_bytes());
    buffer[len - 8..].copy_from_slice(&n.to_le_bytes());
}

#[inline]
pub fn marked(buffer: &[u8]) -> u64 {
    let (first, last) = (&buffer[..8], &buffer[buffer.len() - 8..]);
    assert_eq!(first, last, "a torn message");
    u64::from_le_bytes(first.try_into().expect("eight bytes"))
}

/// The same two copies in one process: from a buffer to shared memory, and from there to a buffer.
pub fn two_copies(bytes: usize, count: u64) -> Result<Sample> {
    let reports = trial::processes(1, Pin::Spread, &|worker| {
        let (mut from, mut between, mut to) = (vec![1u8; bytes], vec![2u8; bytes], vec![3u8; bytes]);
        worker.measure(|_| {
            for n in 0..count {
                mark(&mut from, n);
                black_box(&mut between).copy_from_slice(&from);
                black_box(&mut to).copy_from_slice(&between);
            }
        });
        Ok(())
    })?;
    Ok(speed(trial::wall_ns(&reports), bytes, count))
}

/// Two copies between two processes, with nothing else than a flag for each buffer.
pub fn through_buffers(buffers: usize, bytes: usize, count: u64) -> Result<Sample> {
    let flags = Region::<[Flag; 64]>::new()?;
    let memory = Region::<u8>::with_len(buffers * bytes)?;
    let reports = trial::processes(2, Pin::Spread, &|worker| {
        let mut own = vec![1u8; bytes];
        let round = |report: &mut Report, n: u64| {
            let at = n as usize % buffers;
            let full = worker.rank == 1;
            // SAFETY: `at` is one of the buffers, and the flag gives it to one process at a time.
            let buffer = unsafe { std::slice::from_raw_parts_mut(memory.as_ptr().add(at * bytes), bytes) };
            until_some(|| (flags.get()[at].0.load(Acquire) == full).then_some(()));
            if full {
                own.copy_from_slice(buffer);
            } else {
                mark(&mut own, n);
                buffer.copy_from_slice(&own);
            }
            flags.get()[at].0.store(!full, Release);
            report.tally(marked(&own));
        };
        warm_and_measure(worker, buffers as u64, count, round);
        Ok(())
    })?;
    check(&reports)?;
    Ok(speed(trial::wall_ns(&reports), bytes, count))
}

/// A flag in a line of its own.
#[repr(C, align(128))]
struct Flag(AtomicBool);

/// Does `count` rounds on the clock, after some that touch the memory for the first time.
fn warm_and_measure(worker: &Worker<'_>, first: u64, count: u64, mut round: impl FnMut(&mut Report, u64)) {
    (0..first).for_each(|n| round(&mut Report::empty(), n));
    worker.measure(|report| (first..first + count).for_each(|n| round(report, n)));
}

/// rtrb moves bytes in chunks: as many as fit are written, the rest follows.
pub fn rtrb_bytes(bytes: usize, count: u64) -> Result<Sample> {
    let make = || {
        let (tx, rx) = rtrb::RingBuffer::<u8>::new(4 * bytes);
        Ok((Mutex::new(Some(tx)), Mutex::new(Some(rx))))
    };
    type Halves = (Mutex<Option<rtrb::Producer<u8>>>, Mutex<Option<rtrb::Consumer<u8>>>);
    let work = |worker: &Worker<'_>, (tx, rx): &Halves| {
        let mut buffer = vec![1u8; bytes];
        if worker.rank == 0 {
            let mut tx = taken(tx)?;
            warm_and_measure(worker, 4, count, |report, n| {
                mark(&mut buffer, n);
                let mut rest = &buffer[..];
                while !rest.is_empty() {
                    let (_, left) = tx.push_partial_slice(rest);
                    rest = left;
                    std::hint::spin_loop();
                }
                report.tally(n);
            });
        } else {
            let mut rx = taken(rx)?;
            warm_and_measure(worker, 4, count, |report, _| {
                let mut rest = &mut buffer[..];
                while !rest.is_empty() {
                    let (_, left) = rx.pop_partial_slice(rest);
                    rest = left;
                    std::hint::spin_loop();
                }
                report.tally(marked(&buffer));
            });
        }
        Ok(())
    };
    let reports = trial::threads(2, Pin::Spread, make, &work)?;
    check(&reports)?;
    Ok(speed(trial::wall_ns(&reports), bytes, count))
}

/// Bytes through a pipe or a socket of the system.
fn stream(kind: u8, bytes: usize, count: u64) -> Result<Sample> {
    use std::io::{Read, Write};
    use std::os::fd::{FromRawFd, OwnedFd};
    let mut fds = [0; 2];
    // SAFETY: `fds` is a place for two descriptors.
    let code = unsafe {
        match kind {
            PIPE => libc::pipe(fds.as_mut_ptr()),
            _ => libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM, 0, fds.as_mut_ptr()),
        }
    };
    ensure!(code == 0, "{}", std::io::Error::last_os_error());
    // SAFETY: both are open and ours.
    let [rx, tx] = fds.map(|fd| std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) }));
    let reports = trial::processes(2, Pin::Spread, &|worker| {
        let mut buffer = vec![1u8; bytes];
        worker.measure(|report| {
            for n in 0..count {
                if worker.rank == 0 {
                    mark(&mut buffer, n);
                    (&tx).write_all(&buffer).expect("write");
                } else {
                    (&rx).read_exact(&mut buffer).expect("read");
                }
                report.tally(marked(&buffer));
            }
        });
        Ok(())
    })?;
    check(&reports)?;
    Ok(speed(trial::wall_ns(&reports), bytes, count))
}

/// There and back through one duplex pipe.
pub fn round_trip(pin: Pin, count: u64) -> Result<Sample> {
    let scratch = Scratch::new()?;
    let ends = Pipe::create(&scratch.segment, "pipe", &PipeOptions::new().capacity(64))?;
    let reports = trial::processes(2, pin, &|worker| {
        let segment = scratch.open()?;
        let pipe = Pipe::open(&segment, "pipe", if worker.rank == 0 { End::A } else { End::B })?;
        let mut item = Words([0]);
        let buffer: &mut [u8] = bytemuck::bytes_of_mut(&mut item);
        if worker.rank == 0 {
            round::ask(worker, count, |n| {
                pipe.send(&n.to_ne_bytes()).expect("send");
                pipe.recv_into(buffer, Deadline::Never).expect("recv_into");
                marked(buffer)
            });
        } else {
            round::answer(worker, count, || {
                pipe.recv_into(buffer, Deadline::Never).expect("recv_into");
                pipe.send(buffer).expect("send");
            });
        }
        Ok(())
    })?;
    drop(ends);
    round::sample(reports)
}
