//! Every object through the Rust face, within one process.

use std::time::Duration;

use sharecell::*;

/// A segment of its own for each test, gone with it.
fn segment(test: &str) -> Segment {
    Segment::options()
        .ephemeral(true)
        .limit(64 << 20)
        .create(&format!("test-{}-{test}", std::process::id()))
        .unwrap()
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

#[test]
fn values() {
    let s = segment("values");
    let v = Value::create(&s, "i", -5i32).unwrap();
    assert_eq!(v.get().unwrap(), -5);
    v.set(7).unwrap();
    assert_eq!(v.add(3).unwrap(), 7);
    assert_eq!(v.exchange(1).unwrap(), 10);
    assert_eq!(v.compare_exchange(1, 2).unwrap(), Ok(1));
    assert_eq!(v.compare_exchange(1, 3).unwrap(), Err(2));
    assert_eq!(Value::<i32>::open(&s, "i").unwrap().get().unwrap(), 2);
    let error = Value::<f64>::open(&s, "i").err().unwrap();
    assert_eq!(error.kind(), ErrorKind::WrongType);
    assert!(error.to_string().ends_with("it is of type 'i', not 'd'"), "{error}");
    assert_eq!(kind(Value::create(&s, "i", 0u8)), ErrorKind::AlreadyExists);
    assert_eq!(kind(Lock::open(&s, "i")), ErrorKind::WrongKind);
    assert_eq!(kind(Value::<i32>::open(&s, "none")), ErrorKind::NotFound);
    let b = Value::create(&s, "b", true).unwrap();
    assert!(b.exchange(false).unwrap() && !b.get().unwrap());
    let guard = v.lock().unwrap();
    assert!(!guard.owner_died());
    assert_eq!(kind(v.try_lock()), ErrorKind::WouldBlock);
    drop(guard);
    v.try_lock().unwrap().unlock().unwrap();
}

#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Wide([u64; 5]);

impl Element for Wide {
    const NAME: &'static str = "Wide";
}

#[test]
fn wide_values_are_never_torn() {
    let s = segment("wide");
    let v = Value::create(&s, "w", Wide([0; 5])).unwrap();
    std::thread::scope(|scope| {
        for t in 1..3u64 {
            let v = v.clone();
            scope.spawn(move || {
                for i in 0..20_000 {
                    v.set(Wide([i * 2 + t; 5])).unwrap();
                }
            });
        }
        for _ in 0..50_000 {
            let Wide(w) = v.get().unwrap();
            assert!(w.iter().all(|x| *x == w[0]), "{w:?}");
        }
    });
    assert_eq!(
        v.compare_exchange(Wide([1; 5]), Wide([9; 5])).unwrap().is_ok(),
        v.get().unwrap() == Wide([9; 5])
    );
}

#[test]
fn arrays() {
    let s = segment("arrays");
    let a = Array::<f64>::create(&s, "d", 10).unwrap();
    a.write(2, &[1.5, 2.5]).unwrap();
    a.set(9, 9.0).unwrap();
    assert_eq!(a.read(1, 4).unwrap(), [0.0, 1.5, 2.5, 0.0]);
    assert_eq!(Array::<f64>::open(&s, "d").unwrap().get(9).unwrap(), 9.0);
    assert_eq!(kind(a.get(10)), ErrorKind::OutOfRange);
    assert_eq!(kind(a.read(8, 3)), ErrorKind::OutOfRange);
    assert_eq!(kind(a.read(1, usize::MAX)), ErrorKind::OutOfRange);
    assert_eq!(kind(Array::<f64>::open_or_create(&s, "d", 11)), ErrorKind::WrongSize);
    a.fill(4.0).unwrap();
    assert_eq!(a.to_vec().unwrap(), [4.0; 10]);
    let c = Array::<Char>::create(&s, "c", 5).unwrap();
    c.set_value(b"ab").unwrap();
    assert_eq!((c.value(), c.raw()), (b"ab".to_vec(), b"ab\0\0\0".to_vec()));
    c.set_value(b"abcde").unwrap();
    assert_eq!(c.value(), b"abcde");
    assert_eq!(kind(c.set_value(b"abcdef")), ErrorKind::TooLarge);
}

#[test]
fn locks_and_semaphores() {
    let s = segment("sync");
    let l = Lock::create(&s, "l").unwrap();
    assert_eq!(kind(l.release()), ErrorKind::NotHeld);
    let guard = l.lock().unwrap();
    assert_eq!(kind(l.lock_timeout(Duration::from_millis(2))), ErrorKind::TimedOut);
    drop(guard);
    let m = Semaphore::create(&s, "m", 2).unwrap();
    m.acquire().unwrap();
    m.acquire().unwrap();
    assert_eq!(kind(m.try_acquire()), ErrorKind::WouldBlock);
    assert_eq!(kind(m.release(Semaphore::MAX + 1)), ErrorKind::Overflow);
    m.release(3).unwrap();
    assert_eq!(m.value(), 3);
}

#[test]
fn queues() {
    let s = segment("queues");
    for capacity in [1, 2, 3, 4, 7] {
        let name = format!("q{capacity}");
        let q = Queue::create(&s, &name, &QueueOptions::new(capacity)).unwrap();
        for round in 0..50u64 {
            for i in 0..capacity {
                assert!(!q.is_full());
                q.try_put(&vec![i as u8; (i * 100 + round) as usize]).unwrap();
            }
            assert_eq!((q.qsize() as u64, q.is_full(), q.is_empty()), (capacity, true, false));
            assert_eq!(kind(q.try_put(b"x")), ErrorKind::WouldBlock);
            for i in 0..capacity {
                assert_eq!(q.try_get().unwrap(), vec![i as u8; (i * 100 + round) as usize]);
            }
            assert_eq!(kind(q.try_get()), ErrorKind::WouldBlock);
            assert!(q.is_empty());
        }
    }
}

#[test]
fn queues_in_place_and_closed() {
    let s = segment("queues2");
    let q = Queue::create(&s, "q", &QueueOptions::new(4)).unwrap();
    let mut r = q.reserve(5, Deadline::Never).unwrap();
    r.copy_from_slice(b"hello");
    q.put(b"second").unwrap();
    // The getter passes over the cell that is being written.
    assert_eq!(q.get().unwrap(), b"second");
    r.commit_len(4).unwrap();
    q.reserve(3, Deadline::Never).unwrap().abort();
    let item = q.recv(Deadline::Now).unwrap();
    assert_eq!((&item[..], item.deliveries()), (&b"hell"[..], 1));
    let number = item.number();
    item.put_back();
    let item = q.recv(Deadline::Now).unwrap();
    assert_eq!((item.number(), item.deliveries()), (number, 2));
    // A held item costs one cell and does not stop the queue.
    for i in 0..100u32 {
        q.try_put(&i.to_ne_bytes()).unwrap();
        assert_eq!(q.try_get().unwrap(), i.to_ne_bytes());
    }
    assert_eq!(&item[..], b"hell");
    drop(item);
    q.put(b"last").unwrap();
    q.shutdown();
    assert!(q.is_shutdown());
    assert_eq!(kind(q.put(b"x")), ErrorKind::Closed);
    assert_eq!(q.get().unwrap(), b"last");
    assert_eq!(kind(q.get()), ErrorKind::Closed);
    let q = Queue::create(&s, "small", &QueueOptions::new(4).max_item(64)).unwrap();
    let error = q.put(&[0; 80]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("queue \"small\" in segment {:?} holds items of up to 64 bytes; got 80", s.name())
    );
    let q = Queue::create(&s, "bytes", &QueueOptions::new(100).max_bytes(1000)).unwrap();
    q.put(&[0; 600]).unwrap();
    assert_eq!(kind(q.try_put(&[0; 600])), ErrorKind::WouldBlock);
    assert_eq!(kind(q.try_put(&[0; 1001])), ErrorKind::TooLarge);
    q.get().unwrap();
    q.try_put(&[0; 600]).unwrap();
}

#[test]
fn queues_move_everything_once() {
    let s = segment("mpmc");
    for capacity in [1, 2, 4, 64] {
        let q = TypedQueue::<u64>::create(&s, &format!("q{capacity}"), capacity).unwrap();
        let sum = std::sync::atomic::AtomicU64::new(0);
        std::thread::scope(|scope| {
            for p in 0..3u64 {
                let (putter, sum) = (q.clone(), &sum);
                scope.spawn(move || (0..5_000).for_each(|i| putter.put(p << 32 | i).unwrap()));
                let q =
                    if p == 0 { q.clone() } else { TypedQueue::open(&s, &format!("q{capacity}")).unwrap() };
                scope.spawn(move || {
                    let mut last = [None; 3];
                    for _ in 0..5_000 {
                        let v = q.get().unwrap();
                        let (p, i) = ((v >> 32) as usize, v & 0xffff_ffff);
                        assert!(last[p] < Some(i), "overtaken: {i} after {:?}", last[p]);
                        last[p] = Some(i);
                        sum.fetch_add(i + 1, std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(sum.into_inner(), 3 * (5_000 * 5_001 / 2));
        assert!(q.as_bytes().is_empty());
    }
}

#[test]
fn pipes() {
    let s = segment("pipes");
    let (a, b) = Pipe::create(&s, "p", &PipeOptions::new()).unwrap();
    a.send(b"ping").unwrap();
    assert!(b.poll(Deadline::Now).unwrap() && !a.poll(Deadline::Now).unwrap());
    assert_eq!(b.recv().unwrap(), b"ping");
    let big = vec![7; 3 << 20];
    b.send(&big).unwrap();
    let mut small = [0; 10];
    assert_eq!(kind(a.recv_into(&mut small, Deadline::Now)), ErrorKind::BufferTooSmall);
    assert_eq!(a.recv().unwrap(), big);
    b.send(b"last").unwrap();
    drop(b);
    assert_eq!(a.recv().unwrap(), b"last");
    assert_eq!(kind(a.recv()), ErrorKind::Closed);
    assert_eq!(kind(a.send(b"x")), ErrorKind::Closed);
    assert_eq!(kind(Pipe::open(&s, "p", End::B)), ErrorKind::Closed);
    let (r, w) = Pipe::create(&s, "simplex", &PipeOptions::new().duplex(false)).unwrap();
    assert_eq!(kind(r.send(b"x")), ErrorKind::Unsupported);
    w.send(b"one way").unwrap();
    assert_eq!(r.recv().unwrap(), b"one way");
    assert_eq!(kind(r.try_recv()), ErrorKind::WouldBlock);
}

#[test]
fn messages_longer_than_the_segment() {
    let name = format!("test-{}-parts", std::process::id());
    let s = Segment::options().ephemeral(true).limit(1 << 20).create(&name).unwrap();
    let (a, b) = Pipe::create(&s, "p", &PipeOptions::new().capacity(4)).unwrap();
    let message: Vec<u8> = (0..5_000_000u32).map(|i| (i * 7) as u8).collect();
    for round in 0..3 {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                a.send(b"before").unwrap();
                a.send(&message).unwrap();
                a.send(b"after").unwrap();
            });
            assert_eq!(b.recv().unwrap(), b"before");
            match round {
                0 => assert!(b.recv().unwrap() == message),
                1 => assert!(b.recv_in_place(Deadline::Never).unwrap()[..] == message),
                _ => {
                    assert_eq!(kind(b.recv_into(&mut [0; 100], Deadline::Never)), ErrorKind::BufferTooSmall);
                    let mut buffer = vec![0; message.len()];
                    assert_eq!(b.recv_into(&mut buffer, Deadline::Never).unwrap(), message.len());
                    assert!(buffer == message);
                }
            }
            assert_eq!(b.recv().unwrap(), b"after");
        });
    }
    // A deadline bounds the message as a whole, and leaves nothing of it behind.
    assert_eq!(kind(a.send_timeout(&message, Duration::from_millis(30))), ErrorKind::TimedOut);
    a.send(b"whole").unwrap();
    assert_eq!(b.recv().unwrap(), b"whole");
    std::thread::scope(|scope| {
        scope.spawn(|| a.send(&message).unwrap());
        assert!(b.recv().unwrap() == message);
    });
    // Two receivers of an end: whichever began joins to the end.
    let c = Pipe::open(&s, "p", End::B).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (0..4).for_each(|_| a.send(&message).unwrap()));
        scope.spawn(|| (0..2).for_each(|_| assert!(b.recv().unwrap() == message)));
        (0..2).for_each(|_| assert!(c.recv().unwrap() == message));
    });
}

#[test]
fn a_try_is_a_try_while_another_thread_joins_a_message() {
    let name = format!("test-{}-joining", std::process::id());
    let s = Segment::options().ephemeral(true).limit(1 << 20).create(&name).unwrap();
    let (a, b) = Pipe::create(&s, "p", &PipeOptions::new().capacity(4)).unwrap();
    assert_eq!(kind(a.send_timeout(&vec![7; 5_000_000], Duration::from_millis(30))), ErrorKind::TimedOut);
    std::thread::scope(|scope| {
        let joining = scope.spawn(|| b.recv().unwrap());
        while b.poll(Deadline::Now).unwrap() {
            std::thread::yield_now();
        }
        // The other thread has taken all parts that there are, and waits for more.
        assert_eq!(kind(b.try_recv()), ErrorKind::WouldBlock);
        assert_eq!(kind(b.recv_timeout(Duration::from_millis(2))), ErrorKind::TimedOut);
        a.send(b"whole").unwrap();
        assert_eq!(joining.join().unwrap(), b"whole");
    });
}

#[test]
fn segments() {
    let name = format!("test-{}-segments", std::process::id());
    let s = Segment::create(&name).unwrap();
    assert_eq!(kind(Segment::create(&name)), ErrorKind::AlreadyExists);
    let v = Value::create(&s, "v", 1u8).unwrap();
    assert_eq!(Segment::open(&name).unwrap().objects().unwrap().len(), 1);
    let (s, e) = s.close().unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Busy);
    assert!(!s.is_unlinked());
    Segment::unlink(&name).unwrap();
    assert!(s.is_unlinked());
    v.set(3).unwrap();
    drop(v);
    s.close().unwrap();
    assert_eq!(kind(Segment::open(&name)), ErrorKind::NotFound);
    assert_eq!(kind(Segment::unlink(&name)), ErrorKind::NotFound);
    for bad in ["", "a/b", "a\0b", &"x".repeat(201)] {
        assert_eq!(kind(Segment::create(bad)), ErrorKind::InvalidName);
    }
}

#[test]
fn many_objects_are_removed_and_reused() {
    let s = segment("many");
    for i in 0..20_000 {
        drop(Value::create(&s, &format!("v{i}"), i).unwrap());
    }
    assert_eq!(s.objects().unwrap().len(), 20_000);
    let held = Value::<i32>::open(&s, "v19999").unwrap();
    let before = s.size().unwrap();
    for i in 0..20_000 {
        assert_eq!(Value::<i32>::open(&s, &format!("v{i}")).unwrap().get().unwrap(), i);
        s.remove(&format!("v{i}")).unwrap();
    }
    assert_eq!(held.get().unwrap(), 19_999);
    assert_eq!(kind(s.remove("v1")), ErrorKind::NotFound);
    for i in 0..20_000 {
        drop(Value::create(&s, &format!("w{i}"), i).unwrap());
        s.remove(&format!("w{i}")).unwrap();
    }
    assert_eq!(s.size().unwrap(), before);
}

#[test]
fn a_full_segment_says_so_and_goes_on() {
    let name = format!("test-{}-full", std::process::id());
    let s = Segment::options().ephemeral(true).limit(1 << 20).create(&name).unwrap();
    assert_eq!(kind(Array::<u8>::create(&s, "a", 2 << 20)), ErrorKind::LimitReached);
    let q = Queue::create(&s, "q", &QueueOptions::new(64)).unwrap();
    let mut put = 0;
    while q.try_put(&[1; 100_000]).map_err(|e| assert_eq!(e.kind(), ErrorKind::LimitReached)).is_ok() {
        put += 1;
    }
    assert!(put > 2 && q.qsize() == put);
    for _ in 0..put {
        q.get().unwrap();
    }
    q.try_put(&[1; 100_000]).unwrap();
}
