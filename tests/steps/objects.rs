//! One of each kind: made, opened, and seen to work.

use std::time::Duration;

use sharecell::*;

use crate::common::*;
use crate::scene::{Operation, in_time};

pub const KINDS: [&str; 15] = [
    "value",
    "wide",
    "array",
    "large",
    "lock",
    "rlock",
    "rwlock",
    "condition",
    "event",
    "barrier",
    "semaphore",
    "undo",
    "queue",
    "joinable",
    "pipe",
];

#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Wide(pub [u64; 5]);

impl Element for Wide {
    const NAME: &'static str = "Wide";
}

pub const SPILLED: usize = 5000;
/// The length of a message that is sent in five parts.
pub const IN_PARTS: usize = 1_250_000;

pub fn options() -> QueueOptions {
    QueueOptions::new(4)
}

/// Creates an object with something in it.
pub fn make(s: &Segment, kind: &str, name: &str) -> Operation {
    match kind {
        "value" => keep(Value::create(s, name, 1i64).unwrap()),
        "wide" => keep(Value::create(s, name, Wide([1; 5])).unwrap()),
        "array" => keep(Array::<u8>::create(s, name, 10).unwrap()),
        // So large that the segment has to grow.
        "large" => keep(Array::<u64>::create(s, name, 10_000).unwrap()),
        "lock" => keep(Lock::create(s, name).unwrap()),
        "rlock" => keep(RLock::create(s, name).unwrap()),
        "rwlock" => keep(RwLock::create(s, name).unwrap()),
        "condition" => keep(Condition::create(s, name).unwrap()),
        "event" => keep(Event::create(s, name).unwrap()),
        "barrier" => keep(Barrier::create(s, name, 1).unwrap()),
        "semaphore" => keep(Semaphore::create(s, name, 1).unwrap()),
        // Permits that come back when their holder dies.
        "undo" => keep(Semaphore::create_with(s, name, &SemaphoreOptions::new(2).undo()).unwrap()),
        "queue" | "joinable" => {
            let q = Queue::create(s, name, &options().joinable(kind == "joinable")).unwrap();
            q.put(&[1; SPILLED]).unwrap();
            keep(q)
        }
        _ => {
            let (a, b) = Pipe::create(s, name, &PipeOptions::new()).unwrap();
            b.send(&[1; SPILLED]).unwrap();
            keep((a, b))
        }
    }
}

pub fn keep<T: 'static>(handle: T) -> Operation {
    Box::new(move || drop(handle))
}

/// Opens an object.
pub fn open(s: &Segment, kind: &str, name: &str) -> Operation {
    match kind {
        "value" => keep(Value::<i64>::open(s, name).unwrap()),
        "wide" => keep(Value::<Wide>::open(s, name).unwrap()),
        "array" => keep(Array::<u8>::open(s, name).unwrap()),
        "large" => keep(Array::<u64>::open(s, name).unwrap()),
        "lock" => keep(Lock::open(s, name).unwrap()),
        "rlock" => keep(RLock::open(s, name).unwrap()),
        "rwlock" => keep(RwLock::open(s, name).unwrap()),
        "condition" => keep(Condition::open(s, name).unwrap()),
        "event" => keep(Event::open(s, name).unwrap()),
        "barrier" => keep(Barrier::open(s, name).unwrap()),
        "semaphore" | "undo" => keep(Semaphore::open(s, name).unwrap()),
        "queue" | "joinable" => keep(Queue::open(s, name).unwrap()),
        _ => keep(Pipe::open(s, name, End::B).unwrap()),
    }
}

/// An object is whole and works; `filled` if what `make` puts into it must be there.
pub fn check(s: &Segment, kind: &str, name: &str, filled: bool) {
    match kind {
        "value" => assert!(Value::<i64>::open(s, name).unwrap().add(0).unwrap() == 1),
        "wide" => {
            assert!(Value::<Wide>::open(s, name).unwrap().exchange(Wide([1; 5])).unwrap() == Wide([1; 5]))
        }
        "array" => assert_eq!(Array::<u8>::open(s, name).unwrap().to_vec().unwrap(), [0; 10]),
        "large" => assert_eq!(Array::<u64>::open(s, name).unwrap().to_vec().unwrap(), [0; 10_000]),
        "lock" => drop(Lock::open(s, name).unwrap().lock_until(in_time()).unwrap()),
        "rlock" => {
            let lock = RLock::open(s, name).unwrap();
            drop((lock.lock_until(in_time()).unwrap(), lock.try_lock().unwrap()));
        }
        "rwlock" => {
            let lock = RwLock::open(s, name).unwrap();
            drop(lock.write_until(in_time()).unwrap());
            drop((lock.read_until(in_time()).unwrap(), lock.try_read().unwrap()));
            assert_eq!(kind_of(lock.try_write().map(drop)), None);
        }
        "condition" => {
            let condition = Condition::open(s, name).unwrap();
            let _guard = condition.lock_until(in_time()).unwrap();
            condition.notify_all().unwrap();
            assert_eq!(kind_of(condition.wait_timeout(Duration::from_nanos(1))), Some(ErrorKind::TimedOut));
        }
        "event" => {
            let event = Event::open(s, name).unwrap();
            event.set();
            event.wait_until(Deadline::Now).unwrap();
            event.clear();
            assert!(!event.is_set());
        }
        "barrier" => assert_eq!(Barrier::open(s, name).unwrap().wait_timeout(WATCHDOG).unwrap(), 0),
        "semaphore" => Semaphore::open(s, name).unwrap().acquire_until(in_time()).unwrap(),
        "undo" => {
            let semaphore = Semaphore::open(s, name).unwrap();
            assert_eq!(semaphore.value(), 2);
            (0..2).for_each(|_| semaphore.acquire_until(in_time()).unwrap());
            assert_eq!(kind_of(semaphore.try_acquire()), Some(ErrorKind::WouldBlock));
            semaphore.release(2).unwrap();
        }
        "queue" => {
            let q = Queue::open(s, name).unwrap();
            let got = drain(&q);
            assert!(got == [1] || got.is_empty() && !filled, "{got:?}");
            refill(&q);
        }
        "joinable" => {
            let q = Queue::open(s, name).unwrap();
            assert!(finish(&q) || !filled);
        }
        _ => {
            let a = Pipe::open(s, name, End::A).unwrap();
            let b = Pipe::open(s, name, End::B).unwrap();
            match a.try_recv() {
                Ok(message) => assert_eq!(message, [1; SPILLED]),
                Err(e) => assert!(e.kind() == ErrorKind::WouldBlock && !filled, "{e}"),
            }
            b.send_until(b"x", in_time()).unwrap();
            assert_eq!(a.recv_until(in_time()).unwrap(), b"x");
        }
    }
}

/// How something failed, if it did.
pub fn kind_of<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|e| e.kind())
}

pub fn exists(s: &Segment, name: &str) -> bool {
    s.objects().unwrap().iter().any(|object| object.name == name)
}

/// What can be got from a queue: the bytes that its items consist of, each of one.
pub fn drain(q: &Queue) -> Vec<u8> {
    let mut got = Vec::new();
    loop {
        match q.recv(Deadline::Now) {
            Ok(item) => {
                assert!(item.iter().all(|byte| *byte == item[0]), "torn: {item:?}", item = &item[..]);
                got.push(item[0]);
            }
            Err(e) => {
                assert!(matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Closed), "{e}");
                return got;
            }
        }
    }
}

/// Does what is in a joinable queue, at most one item of ones; whether there was one.
pub fn finish(q: &Queue) -> bool {
    let got = q.try_get();
    if let Ok(item) = &got {
        assert_eq!(*item, [1; SPILLED]);
        assert_eq!(kind_of(q.join(Deadline::Now)), Some(ErrorKind::WouldBlock));
        q.task_done().unwrap();
    }
    assert_eq!(kind_of(q.try_get()), Some(ErrorKind::WouldBlock));
    q.join(in_time()).unwrap();
    got.is_ok()
}

/// An empty queue takes as many items as it should, and gives them back in order.
pub fn refill(q: &Queue) {
    for round in 0..3 {
        for i in 0..q.capacity() {
            q.put_until(&vec![(round * 10 + i) as u8; [8, SPILLED][i % 2]], Deadline::Now).unwrap();
        }
        assert!(q.is_full() && kind(q.try_put(b"x")) == ErrorKind::WouldBlock);
        let expected: Vec<u8> = (0..q.capacity()).map(|i| (round * 10 + i) as u8).collect();
        assert_eq!(drain(q), expected);
        assert!(q.is_empty());
    }
}
