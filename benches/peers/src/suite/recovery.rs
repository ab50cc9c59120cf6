//! From the SIGKILL of one process to the success of another that sleeps.

use std::any::Any;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use sharecell::{Barrier, Deadline, End, Lock, Pipe, PipeOptions, Queue, QueueOptions, Segment};

use crate::group::{Group, LEVELS, Sample};
use crate::machine::now;
use crate::peers::Scratch;
use crate::peers::locks::{LockPeer, Pthread};
use crate::region::Region;
use crate::trial::{Child, Place};

pub fn groups<'a>() -> Vec<Group<'a>> {
    vec![recovery(), curve()]
}

/// What the victim has when it is killed, and what the waiter waits for.
#[derive(Clone, Copy)]
struct Case {
    /// What is given back is kept meanwhile.
    make: fn(&Segment) -> Result<Box<dyn Any>>,
    victim: fn(&Segment, &dyn Fn()),
    waiter: fn(&Segment) -> bool,
}

const LOCK: Case = Case {
    make: |s| Ok(Box::new(Lock::create(s, "x")?)),
    victim: |s, dead| {
        let lock = Lock::open(s, "x").expect("open");
        let _guard = lock.lock().expect("lock");
        dead();
    },
    waiter: |s| Lock::open(s, "x").expect("open").lock().expect("lock").owner_died(),
};

const QUEUE: Case = Case {
    make: |s| {
        let queue = Queue::create(s, "x", &QueueOptions::new(16))?;
        queue.put(b"the only item")?;
        Ok(Box::new(queue))
    },
    victim: |s, dead| {
        let queue = Queue::open(s, "x").expect("open");
        let _item = queue.recv(Deadline::Never).expect("recv");
        dead();
    },
    waiter: |s| Queue::open(s, "x").expect("open").get().expect("get") == b"the only item",
};

const PIPE: Case = Case {
    make: |s| {
        let (a, b) = Pipe::create(s, "x", &PipeOptions::new())?;
        drop(b);
        Ok(Box::new(a))
    },
    victim: |s, dead| {
        let _end = Pipe::open(s, "x", End::B).expect("open");
        dead();
    },
    waiter: |s| {
        let end = Pipe::open(s, "x", End::A).expect("open");
        end.recv().is_err_and(|e| e.kind() == sharecell::ErrorKind::Closed)
    },
};

const BARRIER: Case = Case {
    make: |s| Ok(Box::new(Barrier::create(s, "x", 3)?)),
    victim: |s, dead| {
        let barrier = Barrier::open(s, "x").expect("open");
        std::thread::scope(|scope| {
            scope.spawn(|| barrier.wait());
            while barrier.n_waiting() == 0 {
                std::thread::yield_now();
            }
            dead();
        });
    },
    waiter: |s| Barrier::open(s, "x").expect("open").wait().is_err(),
};

fn recovery<'a>() -> Group<'a> {
    let title = "From the SIGKILL of a small process to a sleeping waiter's success";
    let mut g = Group::new("recovery", title, "ns").fixed(8, 30);
    for (name, case) in [
        ("lock whose holder is killed", LOCK),
        ("queue whose item was held", QUEUE),
        ("pipe whose other end is killed", PIPE),
        ("barrier at which one had come", BARRIER),
    ] {
        g.add(format!("sharecell {name}"), Place::Processes, move |count| kills(case, 0, count));
    }
    g.add("pthread mutex, shared, robust", Place::Processes, |count| {
        distribution((0..count).map(|_| robust()))
    });
    g
}

fn curve<'a>() -> Group<'a> {
    let title = "The same for a lock, by the memory that the victim had touched";
    let mut g = Group::new("recovery.size", title, "ns").fixed(1, 3);
    for (mib, name) in [(0, "0"), (64, "64 MiB"), (1024, "1 GiB")] {
        g.add(format!("sharecell Lock | {name}"), Place::Processes, move |count| kills(LOCK, mib, count));
    }
    g.add("pthread mutex, shared, robust | 0", Place::Processes, |count| {
        distribution((0..count).map(|_| robust()))
    });
    g
}

fn kills(case: Case, mib: usize, count: u64) -> Result<Sample> {
    distribution((0..count).map(|_| kill_one(case, mib)))
}

fn distribution(all: impl Iterator<Item = Result<u64>>) -> Result<Sample> {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 100_000_000_000, 3)?;
    for ns in all {
        histogram.saturating_record(ns?);
    }
    let mut sample = Sample::new(histogram.value_at_percentile(50.0) as f64, 1.0);
    sample.levels = LEVELS.iter().map(|l| histogram.value_at_percentile(*l) as f64).collect();
    Ok(sample)
}

/// What victim, waiter and parent tell each other.
#[derive(Default)]
#[repr(C)]
struct Marks {
    victim_ready: AtomicU64,
    done_at: AtomicU64,
}

fn kill_one(case: Case, mib: usize) -> Result<u64> {
    let scratch = Scratch::new()?;
    let _kept = (case.make)(&scratch.segment)?;
    let name = scratch.segment.name();
    let marks = Region::<Marks>::new()?;
    // Both are attached as processes that only know the name: what this one has open is not theirs.
    let victim = Child::fork(|| {
        let memory = vec![1u8; mib << 20];
        let segment = Segment::open(name).expect("open");
        (case.victim)(&segment, &|| {
            marks.get().victim_ready.store(1, SeqCst);
            sleep_for_ever(&memory);
        });
        true
    })?;
    until(|| marks.get().victim_ready.load(SeqCst) != 0);
    let waiter = Child::fork(|| {
        let segment = Segment::open(name).expect("open");
        let good = (case.waiter)(&segment);
        marks.get().done_at.store(now(), SeqCst);
        good
    })?;
    killed(&victim, waiter, &marks)
}

/// Kills the victim when the waiter sleeps; the time until the waiter is done.
fn killed(victim: &Child, waiter: Child, marks: &Region<Marks>) -> Result<u64> {
    let mut asleep = 0;
    // Asleep several times in a row: not merely between two steps.
    while asleep < 5 {
        asleep = if is_asleep(waiter.pid()) { asleep + 1 } else { 0 };
        std::thread::sleep(Duration::from_micros(400));
    }
    let start = now();
    victim.kill();
    ensure!(waiter.wait(), "the waiter failed");
    Ok(marks.get().done_at.load(SeqCst).saturating_sub(start))
}

fn robust() -> Result<u64> {
    let mutex = Pthread::<true>::make()?;
    let marks = Region::<Marks>::new()?;
    let victim = Child::fork(|| {
        mutex.lock();
        marks.get().victim_ready.store(1, SeqCst);
        sleep_for_ever(&[]);
        true
    })?;
    until(|| marks.get().victim_ready.load(SeqCst) != 0);
    let waiter = Child::fork(|| {
        let owner_died = mutex.lock();
        marks.get().done_at.store(now(), SeqCst);
        owner_died
    })?;
    killed(&victim, waiter, &marks)
}

fn sleep_for_ever(memory: &[u8]) {
    std::hint::black_box(memory);
    loop {
        // SAFETY: always allowed.
        unsafe { libc::pause() };
    }
}

pub fn until(ready: impl Fn() -> bool) {
    while !ready() {
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// Whether the kernel says that a process sleeps.
fn is_asleep(pid: libc::pid_t) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
}
