//! The fast paths, each a thousand times, under callgrind.

use std::ffi::{c_int, c_void};
use std::hint::black_box;

use count::{c_lock_pairs, c_pipe_pairs, c_queue_pairs, c_setup, c_value_adds, c_value_gets, c_value_sets};
use gungraun::{library_benchmark, library_benchmark_group, main};
use sharecell::{Deadline, Lock, Pipe, PipeOptions, Queue, QueueOptions, Segment, TypedQueue, Value};

const TIMES: c_int = 1000;

/// Does it once to warm up, outside of what is counted.
fn warm<T>(object: T, mut operation: impl FnMut(&T)) -> T {
    operation(&object);
    object
}

fn segment() -> Segment {
    Segment::create_anonymous().expect("a segment")
}

fn lock_pair(lock: &Lock) {
    drop(black_box(lock.lock().expect("lock")));
}

fn queue_bytes(queue: &Queue) {
    queue.put(black_box(b"12345678")).expect("put");
    black_box(&*queue.recv(Deadline::Never).expect("recv"));
}

fn queue_typed(queue: &TypedQueue<u64>) {
    queue.put(black_box(1)).expect("put");
    black_box(queue.get().expect("get"));
}

fn pipe_bytes((a, b): &(Pipe, Pipe)) {
    a.send(black_box(b"12345678")).expect("send");
    black_box(b.recv_into(&mut [0; 8], Deadline::Never).expect("recv_into"));
}

fn new_lock() -> Lock {
    warm(Lock::create(&segment(), "x").expect("create"), lock_pair)
}

fn new_queue() -> Queue {
    warm(Queue::create(&segment(), "x", &QueueOptions::new(64)).expect("create"), queue_bytes)
}

fn new_typed() -> TypedQueue<u64> {
    warm(TypedQueue::create(&segment(), "x", 64).expect("create"), queue_typed)
}

fn new_pipe() -> (Pipe, Pipe) {
    warm(Pipe::create(&segment(), "x", &PipeOptions::new()).expect("create"), pipe_bytes)
}

fn new_value() -> Value<i64> {
    Value::create(&segment(), "x", 0).expect("create")
}

// Objects are given back: what closing them costs does not count.

#[library_benchmark(setup = new_lock)]
fn rust_lock_unlock(lock: Lock) -> Lock {
    (0..TIMES).for_each(|_| lock_pair(&lock));
    lock
}

#[library_benchmark(setup = new_queue)]
fn rust_queue_put_recv(queue: Queue) -> Queue {
    (0..TIMES).for_each(|_| queue_bytes(&queue));
    queue
}

#[library_benchmark(setup = new_typed)]
fn rust_typed_queue_put_get(queue: TypedQueue<u64>) -> TypedQueue<u64> {
    (0..TIMES).for_each(|_| queue_typed(&queue));
    queue
}

#[library_benchmark(setup = new_pipe)]
fn rust_pipe_send_recv(ends: (Pipe, Pipe)) -> (Pipe, Pipe) {
    (0..TIMES).for_each(|_| pipe_bytes(&ends));
    ends
}

#[library_benchmark(setup = new_value)]
fn rust_value_get(value: Value<i64>) -> Value<i64> {
    (0..TIMES).for_each(|_| {
        black_box(value.get().expect("get"));
    });
    value
}

#[library_benchmark(setup = new_value)]
fn rust_value_set(value: Value<i64>) -> Value<i64> {
    (0..TIMES).for_each(|_| value.set(black_box(1)).expect("set"));
    value
}

#[library_benchmark(setup = new_value)]
fn rust_value_add(value: Value<i64>) -> Value<i64> {
    (0..TIMES).for_each(|_| {
        black_box(value.add(black_box(1)).expect("add"));
    });
    value
}

/// Objects that were made in C; `what` is the letter of their kind.
fn c_new(what: char) -> *mut c_void {
    // SAFETY: it takes any number.
    unsafe { c_setup(what as c_int) }
}

#[library_benchmark]
#[bench::c(args = ('l'), setup = c_new)]
fn c_lock_unlock(object: *mut c_void) {
    // SAFETY: the object is of the kind that the function takes.
    unsafe { c_lock_pairs(object, TIMES) };
}

#[library_benchmark]
#[bench::c(args = ('q'), setup = c_new)]
fn c_queue_put_get(object: *mut c_void) {
    // SAFETY: the object is of the kind that the function takes.
    unsafe { c_queue_pairs(object, TIMES) };
}

#[library_benchmark]
#[bench::c(args = ('p'), setup = c_new)]
fn c_pipe_send_recv(object: *mut c_void) {
    // SAFETY: the object is of the kind that the function takes.
    unsafe { c_pipe_pairs(object, TIMES) };
}

#[library_benchmark]
#[bench::c(args = ('v'), setup = c_new)]
fn c_value_get(object: *mut c_void) {
    // SAFETY: the object is of the kind that the function takes.
    unsafe { c_value_gets(object, TIMES) };
}

#[library_benchmark]
#[bench::c(args = ('v'), setup = c_new)]
fn c_value_set(object: *mut c_void) {
    // SAFETY: the object is of the kind that the function takes.
    unsafe { c_value_sets(object, TIMES) };
}

#[library_benchmark]
#[bench::c(args = ('v'), setup = c_new)]
fn c_value_add(object: *mut c_void) {
    // SAFETY: the object is of the kind that the function takes.
    unsafe { c_value_adds(object, TIMES) };
}

library_benchmark_group!(
    name = fast_paths,
    benchmarks = [
        rust_lock_unlock,
        rust_queue_put_recv,
        rust_typed_queue_put_get,
        rust_pipe_send_recv,
        rust_value_get,
        rust_value_set,
        rust_value_add,
        c_lock_unlock,
        c_queue_put_get,
        c_pipe_send_recv,
        c_value_get,
        c_value_set,
        c_value_add
    ]
);

main!(library_benchmark_groups = fast_paths);
