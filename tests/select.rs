//! Waiting for any of several things.

mod common;

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use common::*;
use sharecell::*;

const ROLES: &[Role] = &[("hold", hold)];

#[test]
#[ignore = "a role, run by the others"]
fn child() {
    act(ROLES);
}

/// Holds the lock and an end of the pipe until it is killed.
fn hold(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let l = Lock::open(&s, "lock").unwrap();
    let _guard = l.lock().unwrap();
    let _end = Pipe::open(&s, "pipe", End::B).unwrap();
    held();
}

fn segment(test: &str) -> Segment {
    Segment::options().ephemeral(true).create(&format!("select-{}-{test}", std::process::id())).unwrap()
}

#[test]
fn each_object_is_told_apart() {
    let s = segment("each");
    let q = Queue::create(&s, "q", &QueueOptions::new(1)).unwrap();
    let e = Event::create(&s, "e").unwrap();
    let m = Semaphore::create(&s, "m", 0).unwrap();
    let l = Lock::create(&s, "l").unwrap();
    let (a, b) = Pipe::create(&s, "p", &PipeOptions::new()).unwrap();
    let guard = l.lock().unwrap();
    let all = || [q.readable(), e.when_set(), m.when_free(), l.when_free(), a.readable().unwrap()];
    assert_eq!(kind(wait_any(&all(), Deadline::Now)), ErrorKind::WouldBlock);
    assert_eq!(kind(wait_any(&all(), Deadline::after(Duration::from_millis(2)))), ErrorKind::TimedOut);
    assert_eq!(kind(wait_any(&[], Deadline::Never)), ErrorKind::InvalidArgument);
    let mut guard = Some(guard);
    let changes: [&mut dyn FnMut(); 5] = [
        &mut || q.put(b"x").unwrap(),
        &mut || e.set(),
        &mut || m.release(1).unwrap(),
        &mut || drop(guard.take()),
        &mut || b.send(b"x").unwrap(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| wait_any(&all()[index..], Deadline::Never));
            change();
            assert_eq!(waiting.join().unwrap().unwrap(), [0]);
        });
    }
    assert_eq!(wait_any(&all(), Deadline::Never).unwrap(), [0, 1, 2, 3, 4]);
    assert_eq!(kind(wait_any(&[q.writable()], Deadline::Now)), ErrorKind::WouldBlock);
    q.get().unwrap();
    assert_eq!(wait_any(&[q.writable(), a.writable().unwrap()], Deadline::Now).unwrap(), [0, 1]);
}

#[test]
fn objects_and_descriptors_together() {
    let s = segment("both");
    let e = Event::create(&s, "e").unwrap();
    let (mut near, far) = UnixStream::pair().unwrap();
    let both = || [e.when_set(), Interest::readable(far.as_fd())];
    assert_eq!(kind(wait_any(&both(), Deadline::after(Duration::from_millis(2)))), ErrorKind::TimedOut);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| wait_any(&both(), Deadline::Never));
        e.set();
        assert_eq!(waiting.join().unwrap().unwrap(), [0]);
        e.clear();
        let waiting = scope.spawn(|| wait_any(&both(), Deadline::Never));
        near.write_all(b"x").unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), [1]);
    });
    assert_eq!(wait_any(&[Interest::writable(near.as_fd())], Deadline::Never).unwrap(), [0]);
}

#[test]
fn a_death_is_something_to_wait_for() {
    let s = segment("death");
    let l = Lock::create(&s, "lock").unwrap();
    let (a, b) = Pipe::create(&s, "pipe", &PipeOptions::new()).unwrap();
    drop(b);
    let mut other = spawn("hold", &[s.name()]);
    other.expect("held");
    assert_eq!(kind(wait_any(&[l.when_free()], Deadline::Now)), ErrorKind::WouldBlock);
    std::thread::scope(|scope| {
        let lock = scope.spawn(|| wait_any(&[l.when_free()], Deadline::Never));
        let end = scope.spawn(|| wait_any(&[a.readable().unwrap()], Deadline::Never));
        other.kill();
        assert_eq!(lock.join().unwrap().unwrap(), [0]);
        assert_eq!(end.join().unwrap().unwrap(), [0]);
    });
    assert!(l.lock().unwrap().owner_died());
    assert_eq!(kind(a.recv()), ErrorKind::Closed);
}

#[test]
fn a_bell_that_is_dropped_keeps_no_segment() {
    let s = segment("kept"); // keeps the thread asleep for somebody else
    let other = (Bell::new().unwrap(), Event::create(&s, "e").unwrap());
    other.0.arm(&[other.1.when_set()]).unwrap();
    for i in 0..100 {
        let s = segment(&format!("left-{i}"));
        let file = Path::new("/dev/shm").join(format!("sharecell.{}", s.name()));
        let (bell, e) = (Bell::new().unwrap(), Event::create(&s, "e").unwrap());
        bell.arm(&[e.when_set()]).unwrap();
        assert!(file.exists());
        if i % 2 == 0 {
            drop((bell, e));
            s.close().unwrap();
        } else {
            drop(e);
            s.close().unwrap();
            drop(bell);
        }
        assert!(!file.exists(), "round {i}");
    }
    other.1.set();
    wait_any(&[Interest::readable(other.0.as_fd())], Deadline::Never).unwrap();
}
