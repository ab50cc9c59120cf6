//! Every operation on every object of a segment that may be damaged. What they return does not matter, but they must
//! return, in time, without a fault.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use sharecell::*;

/// Wider than a word.
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Wide(pub [u64; 5]);

impl Element for Wide {
    const NAME: &'static str = "Wide";
}

/// How long each wait is, in nanoseconds: long enough to sleep and to be told, short enough for thousands of them.
pub static PATIENCE: AtomicU64 = AtomicU64::new(200_000);

fn soon() -> Deadline {
    match PATIENCE.load(Relaxed) {
        0 => Deadline::Now,
        time => Deadline::after(Duration::from_nanos(time)),
    }
}

/// Uses all objects that the segment says it has, and those whose names are `known`; then removes them and makes others.
pub fn use_everything(s: &Segment, known: &[&str]) {
    let _ = (s.participants().len(), s.recover(), s.is_unlinked(), s.size().is_ok(), s.is_ephemeral());
    let mut names: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
    for object in s.objects().unwrap_or_default() {
        if !names.contains(&object.name) && names.len() < known.len() + 10 {
            names.push(object.name);
        }
    }
    names.iter().for_each(|name| use_object(s, name));
    for name in &names {
        let _ = (s.remove(name).is_ok(), Value::create(s, name, 1u8).is_ok());
    }
    if let Ok(q) = Queue::create(s, "a new queue", &QueueOptions::new(2)) {
        use_queue(&q);
    }
}

/// As each kind: all but one are refused, after the object's head was believed.
fn use_object(s: &Segment, name: &str) {
    let _ = Value::<i64>::open(s, name).map(|it| use_value(&it, 3));
    let _ = Value::<Wide>::open(s, name).map(|it| use_value(&it, Wide([3; 5])));
    let _ = Value::<u8>::open(s, name).map(|it| it.get().is_ok());
    let _ = Array::<f64>::open(s, name).map(|it| use_array(&it, 1.5));
    let _ = Array::<Char>::open(s, name).map(|it| (it.value(), it.set_value(b"text").is_ok(), it.raw()));
    let _ = Lock::open(s, name).map(|it| use_lock(&it));
    let _ = RLock::open(s, name).map(|it| use_rlock(&it));
    let _ = RwLock::open(s, name).map(|it| use_rwlock(&it));
    let _ = Semaphore::open(s, name).map(|it| use_semaphore(&it));
    let _ = Condition::open(s, name).map(|it| use_condition(&it));
    let _ = Event::open(s, name).map(|it| use_event(&it));
    let _ = Barrier::open(s, name).map(|it| use_barrier(&it));
    let _ = TypedQueue::<u64>::open(s, name).map(|it| use_batches(&it));
    let _ = Queue::open(s, name).map(|it| use_queue(&it));
    for end in [End::A, End::B] {
        let _ = Pipe::open(s, name, end).map(|it| use_pipe(&it));
    }
}

fn use_value<T: Element>(value: &Value<T>, some: T) {
    let _ = (value.get().is_ok(), value.set(some).is_ok(), value.exchange(some).is_ok());
    let _ = value.compare_exchange(some, some).is_ok();
    let _ = value.lock_until(soon()).is_ok();
}

fn use_array<T: Element>(array: &Array<T>, some: T) {
    let len = array.len();
    let _ = (array.read(0, len.min(100)).is_ok(), array.read(len / 2, 3).is_ok(), array.get(len).is_ok());
    let _ = (array.set(len / 2, some).is_ok(), array.set(len.wrapping_sub(1), some).is_ok());
    let _ = (array.fill(some).is_ok(), array.lock_until(soon()).is_ok());
}

fn use_lock(lock: &Lock) {
    let _ = (lock.lock_until(soon()).is_ok(), lock.release().is_ok(), lock.holder(), lock.is_poisoned());
    let _ = (lock.lock_or_repair(soon(), || true).is_ok(), lock.clear_poison());
    let _ = wait_any(&[lock.when_free()], soon()).is_ok();
}

fn use_rlock(lock: &RLock) {
    let _ = lock.lock_until(soon()).is_ok_and(|_outer| lock.try_lock().is_ok());
    let _ = (lock.release().is_ok(), lock.holder());
}

fn use_rwlock(lock: &RwLock) {
    let _ = (lock.read_until(soon()).is_ok(), lock.write_until(soon()).is_ok());
    let _ = (lock.release_read().is_ok(), lock.release_write().is_ok());
}

fn use_semaphore(semaphore: &Semaphore) {
    let _ = (semaphore.acquire_until(soon()).is_ok(), semaphore.value(), semaphore.release(1).is_ok());
    let _ = (semaphore.try_acquire().is_ok(), semaphore.release(u32::MAX).is_ok());
    let _ = wait_any(&[semaphore.when_free()], soon()).is_ok();
}

fn use_condition(condition: &Condition) {
    let _ = (condition.notify(1).is_ok(), condition.waiters());
    if let Ok(_guard) = condition.lock_until(soon()) {
        let _ = (condition.notify_all().is_ok(), condition.wait_until(soon()).is_ok());
        let _ = condition.wait_for(soon(), || false).is_ok();
    }
}

fn use_event(event: &Event) {
    let _ = (event.is_set(), event.wait_until(soon()).is_ok());
    event.clear();
    let _ = wait_any(&[event.when_set()], soon()).is_ok();
    event.set();
    let _ = event.wait_until(Deadline::Never).is_ok();
}

fn use_barrier(barrier: &Barrier) {
    let _ = (barrier.parties(), barrier.n_waiting(), barrier.is_broken());
    let _ = barrier.wait_with(soon(), || true).is_ok();
    let _ = (barrier.reset().is_ok(), barrier.wait_with(soon(), || false).is_ok(), barrier.abort().is_ok());
}

fn sum(item: &[u8]) -> u8 {
    item.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// By runs and one by one, so that runs are split.
fn use_batches(q: &TypedQueue<u64>) {
    for _ in 0..3 {
        let _ = (q.get_many_until(20, soon()).is_ok(), q.get_until(soon()).is_ok());
        let _ = (q.put_many_until(&[7; 32], soon()).is_ok(), q.put_timeout(7, Duration::ZERO).is_ok());
        let _ = q.as_bytes().recv(soon()).map(Item::put_back);
    }
}

fn use_queue(q: &Queue) {
    let _ = (q.qsize(), q.is_full(), q.is_shutdown(), q.capacity(), q.max_item(), q.max_bytes());
    for _ in 0..2 {
        let _ = q.get_until(soon()).map(|item| sum(&item));
        let _ = (q.put_until(b"small", soon()).is_ok(), q.put_until(&[3; 6000], soon()).is_ok());
        let _ = q.recv(soon()).map(|item| sum(&item));
        let _ = q.reserve(5000, soon()).map(|mut place| place.fill(1));
        let _ = q.recv(soon()).map(Item::put_back);
        let _ = (q.put_many_until([b"a", b"b", b"c"], soon()).is_ok(), q.get_many_until(5, soon()).is_ok());
    }
    let _ = (q.task_done().is_ok(), q.join(soon()).is_ok());
    let _ = wait_any(&[q.readable(), q.writable()], soon()).is_ok();
    q.shutdown();
    let _ = q.get_until(soon()).is_ok();
}

fn use_pipe(pipe: &Pipe) {
    let _ = (pipe.can_send(), pipe.can_recv(), pipe.poll(soon()).is_ok(), pipe.recv_until(soon()).is_ok());
    let _ = (pipe.send_until(b"x", soon()).is_ok(), pipe.send_until(&[5; 7000], soon()).is_ok());
    let _ = pipe.send_until(&vec![6; 200_000], soon()).is_ok();
    let _ = pipe.recv_in_place(soon()).map(|message| sum(&message));
    let _ = pipe.recv_into(&mut [0; 10], soon()).is_ok();
    let _ = pipe.readable().is_ok_and(|readable| wait_any(&[readable], soon()).is_ok());
}
