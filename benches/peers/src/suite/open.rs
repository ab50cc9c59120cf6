//! Attaching to a segment and opening an object in it, by a name.

use std::ffi::CString;
use std::hint::black_box;

use anyhow::{Result, ensure};
use sharecell::{Lock, Pipe, PipeOptions, Queue, QueueOptions, Segment, Value};

use crate::group::{Group, Sample};
use crate::machine::now;
use crate::peers::{Scratch, unique};
use crate::trial::{self, Place};

pub const BARE: &str = "floor: shm_open and mmap";
/// Who attaches writes to a page of it, so this is what can be reached.
pub const TOUCHED: &str = "floor: shm_open, mmap and a first touch";

pub fn groups<'a>() -> Vec<Group<'a>> {
    let mut attach = Group::new("open.attach", "Attach to what another process has made", "ns");
    attach.add(BARE, Place::Processes, |count| shm_open(count, false));
    attach.add(TOUCHED, Place::Processes, |count| shm_open(count, true));
    attach.add("sharecell Segment, 1 GiB limit", Place::Processes, |count| segment(1 << 30, count));
    attach.add("sharecell Segment, 64 GiB limit", Place::Processes, |count| segment(64 << 30, count));
    attach.add("shared_memory", Place::Processes, shared_memory_crate);
    let mut object = Group::new("open.object", "Open an object of an attached segment, and close it", "ns");
    object.add("sharecell Value", Place::Processes, |n| opened(n, |s| drop(Value::<u64>::open(s, "value"))));
    object.add("sharecell Lock", Place::Processes, |n| opened(n, |s| drop(Lock::open(s, "lock"))));
    object.add("sharecell Queue", Place::Processes, |n| opened(n, |s| drop(Queue::open(s, "queue"))));
    vec![attach, object]
}

/// The mean time of `open` alone; what it gives is closed while the clock stands.
pub fn timed<T>(count: u64, mut open: impl FnMut() -> Result<T>) -> Result<f64> {
    let mut ns = 0;
    for _ in 0..count {
        let start = now();
        let opened = black_box(open()?);
        ns += now() - start;
        drop(opened);
    }
    Ok(ns as f64 / count as f64)
}

/// As a trial: `open` is made and run in a process of its own.
fn trial<T, O: FnMut() -> Result<T>>(count: u64, prepare: impl Fn() -> Result<O>) -> Result<Sample> {
    let reports = trial::processes(1, trial::Pin::Spread, &|worker| {
        let mut open = prepare()?;
        worker.measure(|report| report.numbers[0] = timed(count, &mut open).expect("open"));
        Ok(())
    })?;
    Ok(Sample::new(reports[0].numbers[0], trial::wall_ns(&reports)))
}

fn segment(limit: u64, count: u64) -> Result<Sample> {
    let options = Segment::options().limit(limit).ephemeral(true);
    let made = options.create(&unique())?;
    let name = made.name().to_owned();
    // Not a child of a process that is attached: such a one is attached from its birth.
    let holder = holding(made)?;
    let sample = trial(count, || Ok(|| Ok(Segment::open(&name)?)));
    drop(holder);
    Segment::unlink(&name)?; // killed, the holder could not
    sample
}

/// Keeps a segment alive in a process of its own and detaches this one.
pub fn holding(segment: Segment) -> Result<trial::Child> {
    let child = trial::Child::fork(|| {
        // SAFETY: always allowed; a signal ends it.
        unsafe { libc::pause() };
        true
    })?;
    drop(segment);
    Ok(child)
}

fn shared_memory_crate(count: u64) -> Result<Sample> {
    let made = shared_memory::ShmemConf::new().size(1 << 20).create()?;
    trial(count, || Ok(|| Ok(shared_memory::ShmemConf::new().os_id(made.get_os_id()).open()?)))
}

/// What is mapped; unmapped when dropped.
struct Mapping(*mut libc::c_void, usize);

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours.
        unsafe { libc::munmap(self.0, self.1) };
    }
}

fn shm_open(count: u64, touch: bool) -> Result<Sample> {
    const LEN: usize = 1 << 20;
    let name = CString::new(format!("/{}", unique()))?;
    let map = |flags: libc::c_int| {
        // SAFETY: the name is a C string; the mapping is a new one; the descriptor is ours.
        let at = unsafe {
            let fd = libc::shm_open(name.as_ptr(), flags | libc::O_RDWR | libc::O_CLOEXEC, 0o600);
            ensure!(fd >= 0, "shm_open: {}", std::io::Error::last_os_error());
            if flags != 0 {
                libc::ftruncate(fd, LEN as libc::off_t);
            }
            let prot = libc::PROT_READ | libc::PROT_WRITE;
            let at = libc::mmap(std::ptr::null_mut(), LEN, prot, libc::MAP_SHARED, fd, 0);
            libc::close(fd);
            at
        };
        ensure!(at != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        if touch {
            // SAFETY: it was mapped, so that it can be written to, and the file is as long.
            unsafe { at.cast::<u8>().write_volatile(1) };
        }
        Ok(Mapping(at, LEN))
    };
    let made = map(libc::O_CREAT | libc::O_EXCL)?;
    let sample = trial(count, || Ok(|| map(0)));
    // SAFETY: the name is a C string.
    unsafe { libc::shm_unlink(name.as_ptr()) };
    drop(made);
    sample
}

fn opened(count: u64, open: impl Fn(&Segment)) -> Result<Sample> {
    let scratch = Scratch::new()?;
    let _value = Value::create(&scratch.segment, "value", 0u64)?;
    let _lock = Lock::create(&scratch.segment, "lock")?;
    let _queue = Queue::create(&scratch.segment, "queue", &QueueOptions::new(16))?;
    let _pipe = Pipe::create(&scratch.segment, "pipe", &PipeOptions::new())?;
    trial::alone(count, &|worker| {
        let segment = scratch.open()?;
        worker.measure(|_| (0..count).for_each(|_| open(&segment)));
        Ok(())
    })
}
