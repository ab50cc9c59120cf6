//! Attaching to a segment and opening an object in it, by a name.

use std::ffi::CString;
use std::fs::File;
use std::hint::black_box;
use std::os::fd::{AsRawFd, FromRawFd};

use anyhow::{Result, ensure};
use sharecell::{Lock, Pipe, PipeOptions, Queue, QueueOptions, Segment, Value};

use crate::group::{Group, Sample};
use crate::machine::{clock_runs, now};
use crate::peers::{Scratch, unique};
use crate::trial::{self, Place};

pub const BARE: &str = "floor: shm_open and mmap";
/// What nobody can beat whose lease the kernel ends with his process, and with nothing else.
pub const LEASED: &str = "floor: shm_open, mmap and a lease";

pub fn groups<'a>() -> Vec<Group<'a>> {
    let mut attach = Group::new("open.attach", "Attach to what another process has made", "ns");
    // Who attaches takes a seat in the segment, so he writes to it.
    for (name, leased, touched) in [
        (BARE, false, false),
        ("floor: shm_open, mmap and a first touch", false, true),
        (LEASED, true, false),
        ("floor: shm_open, mmap, a lease and a first touch", true, true),
    ] {
        attach.add(name, Place::Processes, move |count| floor(count, leased, touched));
    }
    attach.add("sharecell Segment, 1 GiB limit", Place::Processes, |count| segment(1 << 30, count));
    attach.add("sharecell Segment, 64 GiB limit", Place::Processes, |count| segment(64 << 30, count));
    attach.add("shared_memory", Place::Processes, shared_memory_crate);
    let mut object = Group::new("open.object", "Open an object of an attached segment, and close it", "ns");
    object.add("sharecell Value", Place::Processes, |n| opened(n, |s| drop(Value::<u64>::open(s, "value"))));
    object.add("sharecell Lock", Place::Processes, |n| opened(n, |s| drop(Lock::open(s, "lock"))));
    object.add("sharecell Queue", Place::Processes, |n| opened(n, |s| drop(Queue::open(s, "queue"))));
    vec![attach, object]
}

/// The mean time of `open` alone, for worker 0; what it gives is closed while the clock stands.
pub fn timed<T>(count: u64, mut open: impl FnMut() -> Result<T>) -> Result<f64> {
    let mut ns = 0;
    for _ in 0..count {
        clock_runs(Some(0));
        let start = now();
        let opened = black_box(open()?);
        ns += now() - start;
        clock_runs(None);
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

/// The byte that the floor locks: only its number matters.
const LEASE_BYTE: libc::off_t = 1 << 30;
const LEN: usize = 1 << 20;

/// What is made by hand, with nothing around it.
struct Bare {
    name: CString,
    leased: bool,
    touched: bool,
}

impl Bare {
    fn descriptor(&self, flags: libc::c_int) -> Result<File> {
        // SAFETY: the name is a C string.
        let fd = unsafe { libc::shm_open(self.name.as_ptr(), flags | libc::O_RDWR | libc::O_CLOEXEC, 0o600) };
        ensure!(fd >= 0, "shm_open: {}", std::io::Error::last_os_error());
        // SAFETY: it was just opened, for nobody else.
        Ok(unsafe { File::from_raw_fd(fd) })
    }

    fn map(file: &File, len: usize, protection: libc::c_int) -> Result<Mapping> {
        // SAFETY: a new mapping at an address of the kernel's choice.
        let at = unsafe {
            libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        ensure!(at != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        Ok(Mapping(at, len))
    }

    /// How long it is, and whose: nobody maps what he knows nothing of.
    fn look(file: &File) -> Result<()> {
        // SAFETY: zero is valid in every field; the call writes them.
        let code = unsafe { libc::fstat(file.as_raw_fd(), &mut std::mem::zeroed()) };
        ensure!(code == 0, "fstat: {}", std::io::Error::last_os_error());
        Ok(())
    }

    /// A lock of a description of its own, which lasts as long as a mapping of it that children do not inherit.
    fn lease(&self) -> Result<Mapping> {
        let second = self.descriptor(0)?;
        // SAFETY: zero is valid in every field, and the record outlives the call.
        let code = unsafe {
            let mut lock: libc::flock = std::mem::zeroed();
            (lock.l_type, lock.l_start, lock.l_len) = (libc::F_WRLCK as _, LEASE_BYTE, 1);
            libc::fcntl(second.as_raw_fd(), libc::F_OFD_SETLK, &lock)
        };
        ensure!(code == 0, "fcntl: {}", std::io::Error::last_os_error());
        let page = Self::map(&second, 4096, libc::PROT_NONE)?;
        // SAFETY: the mapping is ours.
        let code = unsafe { libc::madvise(page.0, page.1, libc::MADV_DONTFORK) };
        ensure!(code == 0, "madvise: {}", std::io::Error::last_os_error());
        Ok(page)
    }

    /// The mapping, and of who has a lease also that, and the first descriptor to ask for others' leases by.
    fn attach(&self) -> Result<(Mapping, Option<(Mapping, File)>)> {
        let file = self.descriptor(0)?;
        if self.leased {
            Self::look(&file)?;
        }
        let map = Self::map(&file, LEN, libc::PROT_READ | libc::PROT_WRITE)?;
        let lease = if self.leased { Some((self.lease()?, file)) } else { None };
        if self.touched {
            // SAFETY: it was mapped, so that it can be written to, and the file is as long.
            unsafe { map.0.cast::<u8>().write_volatile(1) };
        }
        Ok((map, lease))
    }
}

fn floor(count: u64, leased: bool, touched: bool) -> Result<Sample> {
    let bare = Bare { name: CString::new(format!("/{}", unique()))?, leased, touched };
    let made = bare.descriptor(libc::O_CREAT | libc::O_EXCL)?;
    made.set_len(LEN as u64)?;
    let sample = trial(count, || Ok(|| bare.attach()));
    // SAFETY: the name is a C string.
    unsafe { libc::shm_unlink(bare.name.as_ptr()) };
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
