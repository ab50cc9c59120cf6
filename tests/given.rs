//! Segments over memory that the caller already has.

mod common;

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use common::*;
use sharecell::*;

const ROLES: &[Role] = &[("open", open), ("either", either)];
const LEN: usize = 1 << 20;

#[test]
#[ignore = "a role, run by the others"]
fn child() {
    act(ROLES);
}

/// A shared mapping of a file, as a service of one's own might have.
fn map(file: &File) -> *mut u8 {
    let (rw, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
    // SAFETY: a new mapping at an address of the kernel's choice, never unmapped.
    let p = unsafe { libc::mmap(std::ptr::null_mut(), LEN, rw, shared, file.as_raw_fd(), 0) };
    assert_ne!(p, libc::MAP_FAILED);
    p.cast()
}

fn memory(path: &str) -> *mut u8 {
    map(&OpenOptions::new().read(true).write(true).open(path).unwrap())
}

/// Attaches over its own mapping of the same memory, uses it, and holds the lock until it is killed.
fn open(args: Args) {
    // SAFETY: the mapping is shared, stays, and only this library uses it.
    let s = unsafe { Segment::options().open_over(&args[0], memory(&args[1]), LEN) }.unwrap();
    Value::<u64>::open(&s, "v").unwrap().set(9).unwrap();
    Queue::open(&s, "q").unwrap().put(&[3; 5000]).unwrap();
    let l = Lock::open(&s, "l").unwrap();
    let _guard = l.lock().unwrap();
    held();
}

/// Attaches, or lays the segment, and counts itself; one of those who do so at once.
fn either(args: Args) {
    // SAFETY: the mapping is shared, stays, and only this library uses it.
    let s = unsafe { Segment::options().open_or_create_over(&args[0], memory(&args[1]), LEN) }.unwrap();
    Value::open_or_create(&s, "v", 0u64).unwrap().add(1).unwrap();
    held();
}

fn own_file(test: &str) -> PathBuf {
    PathBuf::from(format!("/dev/shm/given-{}-{test}", std::process::id()))
}

#[test]
fn a_segment_over_a_raw_mapping() {
    let (name, path) = (format!("given-{}", std::process::id()), own_file("raw"));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    file.set_len(LEN as u64).unwrap();
    let (a, options) = (map(&file), Segment::options().participants(4));
    // SAFETY: the mapping is shared, stays, and only this library uses it.
    let s = unsafe { options.create_over(&name, a, LEN) }.unwrap();
    assert_eq!((s.limit(), s.size().unwrap()), (LEN as u64, LEN as u64));
    // SAFETY: as above.
    assert_eq!(kind(unsafe { options.create_over(&name, a, LEN) }), ErrorKind::AlreadyExists);
    // SAFETY: refused before it is used.
    assert_eq!(kind(unsafe { options.create_over("x", a.add(64), LEN) }), ErrorKind::InvalidArgument);
    assert_eq!(kind(Segment::open(&format!("{name}-none"))), ErrorKind::NotFound);
    let (v, q) =
        (Value::create(&s, "v", 1u64).unwrap(), Queue::create(&s, "q", &QueueOptions::new(4)).unwrap());
    let l = Lock::create(&s, "l").unwrap();
    let mut other = spawn("open", &[&name, path.to_str().unwrap()]);
    other.expect("held");
    assert_eq!((v.get().unwrap(), q.get().unwrap()), (9, vec![3; 5000]));
    other.kill();
    assert!(l.lock().unwrap().owner_died());
    assert_eq!(kind(Array::<u8>::create(&s, "large", 2 * LEN)), ErrorKind::LimitReached);
    drop((v, q, l));
    s.close().unwrap();
    // Its name is that of a file which is no segment, and which nobody removes for being deserted.
    assert_eq!(kind(Segment::open(&name)), ErrorKind::NotASegment);
    assert!(!Segment::gc().unwrap().contains(&name));
    // SAFETY: as above.
    unsafe { options.open_over(&name, a, LEN) }.unwrap().close().unwrap();
    Segment::unlink(&name).unwrap();
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn one_of_many_lays_it() {
    let (name, path) = (format!("given-{}-either", std::process::id()), own_file("either"));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
    file.set_len(LEN as u64).unwrap();
    for _ in 0..20 {
        // As one who died while he laid it has left it.
        std::fs::write(format!("/dev/shm/sharecell.{name}"), b"SHCBEGUN").unwrap();
        let mut others: Vec<_> = (0..4).map(|_| spawn("either", &[&name, path.to_str().unwrap()])).collect();
        others.iter_mut().for_each(|other| other.expect("held"));
        // SAFETY: the mapping is shared, stays, and only this library uses it.
        let s = unsafe { Segment::options().open_or_create_over(&name, map(&file), LEN) }.unwrap();
        assert_eq!(s.participants().len(), 5);
        assert_eq!(Value::<u64>::open(&s, "v").unwrap().get().unwrap(), 4);
        others.iter_mut().for_each(|other| other.kill());
        Segment::unlink(&name).unwrap();
    }
    std::fs::remove_file(&path).unwrap();
}

#[cfg(feature = "shared_memory")]
#[test]
fn a_segment_in_the_memory_of_an_existing_service() {
    let name = format!("given-{}-shmem", std::process::id());
    let owner = shared_memory::ShmemConf::new().size(LEN).create().unwrap();
    let id = owner.get_os_id().to_owned();
    let other = shared_memory::ShmemConf::new().os_id(id).open().unwrap();
    // SAFETY: nobody else uses the memory.
    let s = unsafe { Segment::options().create_in(&name, owner) }.unwrap();
    Value::create(&s, "v", 5i32).unwrap();
    // SAFETY: as above. The same process, so it is the same participant, and the second mapping is let go.
    let again = unsafe { Segment::options().open_in(&name, other) }.unwrap();
    assert_eq!(Value::<i32>::open(&again, "v").unwrap().get().unwrap(), 5);
    assert_eq!(again.participants().len(), 1);
    drop((s, again));
    Segment::unlink(&name).unwrap();
    let owner = shared_memory::ShmemConf::new().size(LEN).create().unwrap();
    for value in [7i32, 8] {
        let memory = shared_memory::ShmemConf::new().os_id(owner.get_os_id()).open().unwrap();
        // SAFETY: as above. The first lays it and the second attaches.
        let s = unsafe { Segment::options().open_or_create_in(&name, memory) }.unwrap();
        assert_eq!(Value::open_or_create(&s, "v", value).unwrap().get().unwrap(), 7);
    }
    Segment::unlink(&name).unwrap();
}
