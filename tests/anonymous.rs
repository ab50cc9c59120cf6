//! Segments without a name: handed on by fork and over a socket, immune to unlinking and truncation.

mod common;

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};

use common::*;
use sharecell::*;

const ROLES: &[Role] = &[("receive", receive), ("inherit", inherit)];

#[test]
#[ignore = "a role, run by the others"]
fn child() {
    act(ROLES);
}

/// Receives a segment over a socket, adds to its value, and holds its lock until it is killed.
fn receive(args: Args) {
    let socket = UnixStream::connect(&args[0]).unwrap();
    let s = Segment::receive_over(socket.as_fd()).unwrap();
    assert!(s.is_anonymous() && !s.is_unlinked());
    Value::<i64>::open(&s, "v").unwrap().add(5).unwrap();
    let l = Lock::open(&s, "l").unwrap();
    let _guard = l.lock().unwrap();
    held();
}

/// Creates a segment and uses it in a forked child.
fn inherit(_: Args) {
    let s = Segment::create_anonymous().unwrap();
    let q = Queue::create(&s, "q", &QueueOptions::new(4)).unwrap();
    let child = fork(|| i32::from(q.put(b"from the child").is_err()));
    assert_eq!(q.get().unwrap(), b"from the child");
    assert_eq!(reap(child), 0);
}

#[test]
fn a_segment_goes_over_a_socket() {
    let path = std::env::temp_dir().join(format!("sharecell-socket-{}", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    let s = Segment::create_anonymous().unwrap();
    let v = Value::create(&s, "v", 1i64).unwrap();
    let l = Lock::create(&s, "l").unwrap();
    let mut other = spawn("receive", &[path.to_str().unwrap()]);
    let (socket, _) = listener.accept().unwrap();
    std::fs::remove_file(&path).unwrap();
    s.send_over(socket.as_fd()).unwrap();
    other.expect("held");
    assert_eq!(v.get().unwrap(), 6);
    assert_eq!(kind(l.try_lock()), ErrorKind::WouldBlock);
    other.kill();
    assert!(l.lock().unwrap().owner_died());
}

#[test]
fn a_segment_is_inherited() {
    run("inherit", &[]);
}

#[test]
fn nobody_truncates_it_and_others_are_refused() {
    let s = Segment::create_anonymous().unwrap();
    let file = File::from(s.to_fd().unwrap());
    assert!(file.set_len(0).is_err() && file.set_len(4096).is_err());
    Array::<u8>::create(&s, "grows", 10 << 20).unwrap().fill(7).unwrap();
    // Twice in a process is one participant.
    let again = Segment::from_fd(file.as_fd()).unwrap();
    assert_eq!(again.participants().len(), 1);
    let null = File::open("/dev/null").unwrap();
    assert!(Segment::from_fd(null.as_fd()).is_err());
    let (a, b) = UnixStream::pair().unwrap();
    drop(a);
    assert_eq!(kind(Segment::receive_over(b.as_fd())), ErrorKind::Closed);
}
