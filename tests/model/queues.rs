//! Queues: the protocol of their cells, in rings of one and two cells whose tickets wrap meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use sharecell::{Deadline, ErrorKind, Queue, QueueOptions, Segment};

use super::runner::{Model, deadly, model};
use super::scene::{Scene, drain, get_all, kind};

/// A cell's state has 47 bits of its ticket, the hints have 64, and a queue has been used once before its
/// model begins, so this is one short of the wrap of both.
const SHORT_OF_WRAP: u64 = u64::MAX - 1;
/// More than a cell of these queues holds.
const SPILLED: usize = 100;

pub const MODELS: &[Model] = &[
    model("a queue of one, wrapping", 2, (2, 4), |scene| in_order(scene, 1, 8)),
    model("a queue of two, wrapping, nothing overtakes", 2, (3, 4), |scene| in_order(scene, 2, 8)),
    model("a queue of one with spilled items", 2, (2, 4), |scene| in_order(scene, 1, SPILLED)),
    model("two putters and two getters", 4, (0, 1), two_and_two),
    model("two putters, one getter", 3, (1, 3), two_putters),
    model("one putter, two getters", 3, (1, 3), two_getters),
    model("a queue is shut down", 3, (1, 2), shut_down),
    model("a put meets the end", 2, (2, 3), |scene| put_meets_end(scene, 0)),
    model("a put that waits for room meets the end", 2, (2, 3), |scene| put_meets_end(scene, 1)),
    model("a place is given up", 2, (2, 3), given_up),
    model("putters come round to a held item", 3, (1, 2), held),
    model("putters come round to an item that was given back", 2, (2, 3), given_back),
    deadly("a holder of an item is killed as others come round to it", 2, (1, 2), killed_holder),
    deadly("a putter is killed", 3, (0, 1), |scene| killed_putter(scene, 2, 8)),
    deadly("a putter is killed, queue of one, spilled", 3, (0, 1), |scene| killed_putter(scene, 1, SPILLED)),
    deadly("a getter is killed", 3, (1, 3), |scene| killed_getter(scene, 8, false)),
    deadly("a getter of a spilled item is killed", 3, (0, 1), |scene| killed_getter(scene, SPILLED, false)),
    deadly("a holder of an item is killed", 3, (1, 2), |scene| killed_getter(scene, 8, true)),
    deadly("a process dies whose two threads put", 2, (1, 2), two_threads_put),
    deadly("a process dies of whose two threads one puts and one gets", 2, (1, 2), put_and_get),
    deadly("a queue is shut down by one who is killed", 2, (2, 3), killed_at_shutdown),
    deadly("a putter is killed, its queue shut down", 3, (1, 2), killed_before_shutdown),
];

fn options(capacity: u64) -> QueueOptions {
    QueueOptions::new(capacity).inline(40)
}

/// A queue whose tickets are about to wrap, for each process of the scene.
fn queues<const N: usize>(scene: &Scene, capacity: u64) -> [Arc<Queue>; N] {
    std::array::from_fn(|i| {
        scene.by(i + 1, |s| match i {
            0 => made(s, capacity),
            _ => Queue::open(s, "queue").unwrap(),
        })
    })
}

fn made(s: &Segment, capacity: u64) -> Queue {
    let queue = Queue::create(s, "queue", &options(capacity)).unwrap();
    queue.start_at(SHORT_OF_WRAP).unwrap();
    // There is memory for spilled items: how that grows is another model's business.
    queue.put(&[0; SPILLED]).unwrap();
    queue.get().unwrap();
    queue
}

/// An item whose length and whose every byte tell which one it is.
fn item(n: u8, size: usize) -> Vec<u8> {
    vec![n; size + usize::from(n)]
}

fn number(item: &[u8], size: usize) -> u8 {
    let n = u8::try_from(item.len() - size).unwrap();
    assert!(item.iter().all(|byte| *byte == n), "torn: {item:?}");
    n
}

fn in_order(scene: &Scene, capacity: u64, size: usize) {
    let [p, c] = queues(scene, capacity);
    let before = scene.segment(1).blocks_in_use();
    let q = Arc::clone(&p);
    scene.task(1, move || (1..=2).for_each(|n| p.put(&item(n, size)).unwrap()));
    scene.task(2, move || (1..=2).for_each(|n| assert_eq!(number(&c.get().unwrap(), size), n)));
    scene.run();
    assert!(q.is_empty());
    assert_eq!(scene.segment(1).blocks_in_use(), before);
}

/// Adds what a getter got, by bits: nothing may come twice.
fn note(got: &AtomicU32, item: &[u8]) {
    let bit = 1 << number(item, 8);
    assert_eq!(got.fetch_or(bit, SeqCst) & bit, 0, "delivered twice");
}

fn two_and_two(scene: &Scene) {
    let [a, b, c, d] = queues(scene, 2);
    let got = Arc::new(AtomicU32::new(0));
    scene.task(1, move || a.put(&item(1, 8)).unwrap());
    scene.task(2, move || b.put(&item(2, 8)).unwrap());
    for (p, q) in [(3, c), (4, d)] {
        let got = Arc::clone(&got);
        scene.task(p, move || note(&got, &q.get().unwrap()));
    }
    scene.run();
    assert_eq!(got.load(SeqCst), 0b110);
}

fn two_putters(scene: &Scene) {
    let [a, b, c] = queues(scene, 2);
    let got = Arc::new(AtomicU32::new(0));
    scene.task(1, move || a.put(&item(1, 8)).unwrap());
    scene.task(2, move || b.put(&item(2, 8)).unwrap());
    let all = Arc::clone(&got);
    scene.task(3, move || (0..2).for_each(|_| note(&got, &c.get().unwrap())));
    scene.run();
    assert_eq!(all.load(SeqCst), 0b110);
}

fn two_getters(scene: &Scene) {
    let [a, b, c] = queues(scene, 2);
    let got = Arc::new(AtomicU32::new(0));
    b.put(&item(1, 8)).unwrap();
    scene.task(1, move || a.put(&item(2, 8)).unwrap());
    for (p, q) in [(2, b), (3, c)] {
        let got = Arc::clone(&got);
        scene.task(p, move || note(&got, &q.get().unwrap()));
    }
    scene.run();
    assert_eq!(got.load(SeqCst), 0b110);
}

/// What was put before the end is got, and nothing else.
fn shut_down(scene: &Scene) {
    let [p, c, closer] = queues(scene, 2);
    let (put, got) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (puts, gets) = (Arc::clone(&put), Arc::clone(&got));
    scene.task(1, move || {
        for n in 1..=2 {
            match kind(p.put(&item(n, 8))) {
                None => put.fetch_or(1 << n, SeqCst),
                Some(e) => return assert_eq!(e, ErrorKind::Closed),
            };
        }
    });
    scene.task(2, move || get_all(&c).iter().for_each(|item| note(&got, item)));
    scene.task(3, move || closer.shutdown());
    scene.run();
    assert_eq!(puts.load(SeqCst), gets.load(SeqCst), "lost, or put after the end");
}

/// One puts into a queue of one that has `before` items in it, the other shuts it down: a put that succeeds is got.
fn put_meets_end(scene: &Scene, before: u8) {
    let [p, c] = queues(scene, 1);
    (0..before).for_each(|n| p.put(&item(n, 8)).unwrap());
    let (put, got) = (Arc::new(AtomicU32::new((1 << before) - 1)), Arc::new(AtomicU32::new(0)));
    let (puts, gets) = (Arc::clone(&put), Arc::clone(&got));
    scene.task(1, move || match kind(p.put(&item(before, 8))) {
        None => drop(put.fetch_or(1 << before, SeqCst)),
        Some(e) => assert_eq!(e, ErrorKind::Closed),
    });
    scene.task(2, move || {
        c.shutdown();
        get_all(&c).iter().for_each(|item| note(&got, item));
    });
    scene.run();
    assert_eq!(puts.load(SeqCst), gets.load(SeqCst), "lost, or put after the end");
}

/// One gets, and gives up the place where the other puts next.
fn given_up(scene: &Scene) {
    let [a, b] = queues(scene, 1);
    a.put(&item(1, 8)).unwrap();
    let rest = Arc::clone(&a);
    scene.task(1, move || {
        assert_eq!(number(&a.get().unwrap(), 8), 1);
        if let Ok(place) = a.reserve(8, Deadline::Now) {
            place.abort();
        }
    });
    scene.task(2, move || b.put(&item(2, 8)).unwrap());
    scene.run();
    assert_eq!(number(&rest.get().unwrap(), 8), 2);
}

/// One receives in place while another puts: the ring of two goes round to the cell that is held.
fn held(scene: &Scene) {
    let [a, b, c] = queues(scene, 2);
    a.put(&item(1, 8)).unwrap();
    let got = Arc::new(AtomicU32::new(0));
    scene.task(1, move || (2..=3).for_each(|n| a.put(&item(n, 8)).unwrap()));
    let gets = Arc::clone(&got);
    scene.task(2, move || note(&got, &b.recv(Deadline::Never).unwrap()));
    let (rest, all) = (Arc::clone(&c), Arc::clone(&gets));
    scene.task(3, move || note(&gets, &c.get().unwrap()));
    scene.run();
    drain(&rest).iter().for_each(|item| note(&all, item));
    assert_eq!(all.load(SeqCst), 0b1110);
}

/// One receives in place and gives back what it got, the other puts, gets and puts: nobody waits for ever.
fn given_back(scene: &Scene) {
    let [a, b] = queues(scene, 2);
    a.put(&item(1, 8)).unwrap();
    let got = Arc::new(AtomicU32::new(0));
    let (rest, all) = (Arc::clone(&b), Arc::clone(&got));
    scene.task(1, move || a.recv(Deadline::Never).unwrap().put_back());
    scene.task(2, move || put_get_put(&b, &got));
    scene.run();
    drain(&rest).iter().for_each(|item| note(&all, item));
    assert_eq!(all.load(SeqCst), 0b1110);
}

/// Puts 2, gets an item, puts 3.
fn put_get_put(queue: &Queue, got: &AtomicU32) {
    queue.put(&item(2, 8)).unwrap();
    note(got, &queue.get().unwrap());
    queue.put(&item(3, 8)).unwrap();
}

fn killed_holder(scene: &Scene) {
    let [a, b] = queues(scene, 2);
    a.put(&item(1, 8)).unwrap();
    let got = Arc::new(AtomicU32::new(0));
    let (rest, all) = (Arc::clone(&b), Arc::clone(&got));
    scene.victim(1, move || drop(a.recv(Deadline::Never).unwrap()));
    scene.task(2, move || put_get_put(&b, &got));
    scene.run();
    drain(&rest).iter().for_each(|item| note(&all, item));
    // Before it was killed, or ended, the victim may have been done with the item that it got.
    let all = all.load(SeqCst);
    assert!(all == 0b1110 || (all | 0b10 == 0b1110 || all | 0b100 == 0b1110), "lost: {all:b}");
}

/// The victim puts 1, a survivor 2: that one arrives, and the other too if its put returned.
fn killed_putter(scene: &Scene, capacity: u64, size: usize) {
    let [a, b, c] = queues(scene, capacity);
    let before = scene.segment(2).blocks_in_use();
    let got = Arc::new(AtomicU32::new(0));
    scene.victim(1, move || a.put(&item(1, size)).unwrap());
    scene.task(2, move || b.put(&item(2, size)).unwrap());
    let (rest, gets) = (Arc::clone(&c), Arc::clone(&got));
    scene.task(3, move || {
        loop {
            let n = number(&c.get().unwrap(), size);
            assert_eq!(got.fetch_or(1 << n, SeqCst) & 1 << n, 0, "delivered twice");
            if n == 2 {
                return;
            }
        }
    });
    scene.run();
    let left = drain(&rest).iter().fold(0, |bits, item| bits | 1 << number(item, size));
    assert_eq!(left & gets.load(SeqCst), 0, "delivered twice");
    let all = left | gets.load(SeqCst);
    assert!(all & 0b100 != 0 && (all & 0b10 != 0 || !scene.survived.get()), "lost: {all:b}");
    assert_eq!(scene.segment(2).blocks_in_use(), before, "blocks were lost");
    rest.put(&item(3, size)).unwrap();
    assert_eq!(drain(&rest).len(), 1);
}

/// The victim gets one of two items, a survivor the other: nothing is lost.
fn killed_getter(scene: &Scene, size: usize, held: bool) {
    let [a, b, c] = queues(scene, 2);
    let before = scene.segment(2).blocks_in_use();
    b.put(&item(1, size)).unwrap();
    let (first, got) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (taken, gets) = (Arc::clone(&first), Arc::clone(&got));
    scene.victim(1, move || {
        let item = if held { a.recv(Deadline::Never).unwrap().to_vec() } else { a.get().unwrap() };
        first.store(1 << number(&item, size), SeqCst);
    });
    scene.task(2, move || got.store(1 << number(&b.get().unwrap(), size), SeqCst));
    let rest = Arc::clone(&c);
    scene.task(3, move || c.put(&item(2, size)).unwrap());
    scene.run();
    let left = drain(&rest).iter().fold(0, |bits, item| bits | 1 << number(item, size));
    let (victims, others) = (taken.load(SeqCst), gets.load(SeqCst));
    assert_eq!(left & others, 0, "delivered twice to those who live");
    // What the victim had in hand was delivered again, unless it was done with it.
    assert!((left | others | victims) == 0b110 || !scene.survived.get() && left == 0, "lost");
    assert!(!scene.survived.get() || left == 0 && victims != others, "delivered twice");
    assert_eq!(scene.segment(2).blocks_in_use(), before, "blocks were lost");
    rest.put(&item(3, size)).unwrap();
    assert_eq!(drain(&rest).len(), 1);
}

/// Notes which item it was, when the put has returned.
fn put(queue: Arc<Queue>, n: u8, done: &Arc<AtomicU32>) -> impl FnOnce() + Send + 'static {
    let done = Arc::clone(done);
    move || {
        queue.put(&item(n, 8)).unwrap();
        done.fetch_or(1 << n, SeqCst);
    }
}

/// Two threads of a process put through one handle, and the process is killed: each item whose put returned is there
/// once, another one once or not at all.
fn two_threads_put(scene: &Scene) {
    let [a, b] = queues(scene, 2);
    let (done, got) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    scene.victim(1, put(Arc::clone(&a), 1, &done));
    scene.thread(3, 1, put(a, 2, &done));
    let (rest, gets) = (Arc::clone(&b), Arc::clone(&got));
    scene.task(2, move || {
        if let Ok(item) = b.try_get() {
            note(&got, &item);
        }
    });
    scene.run();
    drain(&rest).iter().for_each(|item| note(&gets, item));
    assert_eq!(done.load(SeqCst) & !gets.load(SeqCst), 0, "lost");
    (1..=2).for_each(|n| rest.try_put(&item(n, 8)).unwrap());
}

/// One thread of a process puts, the other one gets, and the process is killed: what was got is not there any more, what
/// was put is, and the item that was there is not lost before somebody has it.
fn put_and_get(scene: &Scene) {
    let [a, b] = queues(scene, 2);
    b.put(&item(1, 8)).unwrap();
    let (done, got) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (taken, own) = (Arc::clone(&got), Arc::clone(&a));
    scene.victim(1, move || note(&taken, &own.get().unwrap()));
    scene.thread(3, 1, put(a, 2, &done));
    scene.run();
    drain(&b).iter().for_each(|item| note(&got, item));
    assert_eq!(done.load(SeqCst) & !got.load(SeqCst), 0, "lost");
    assert!(got.load(SeqCst) & 0b10 != 0 || !scene.survived.get(), "lost");
    (1..=2).for_each(|n| b.try_put(&item(n, 8)).unwrap());
}

fn killed_at_shutdown(scene: &Scene) {
    let [a, b] = queues(scene, 1);
    b.put(&item(1, 8)).unwrap();
    let rest = Arc::clone(&b);
    scene.victim(1, move || a.shutdown());
    scene.task(2, move || {
        assert_eq!(number(&b.get().unwrap(), 8), 1);
        if b.is_shutdown() {
            assert_eq!(kind(b.get()), Some(ErrorKind::Closed));
        }
    });
    scene.run();
    assert!(rest.is_shutdown() || !scene.survived.get());
}

/// A getter learns of the end although the putter died at work.
fn killed_before_shutdown(scene: &Scene) {
    let [a, b, c] = queues(scene, 2);
    scene.victim(1, move || drop(a.put(&item(1, 8))));
    scene.task(2, move || b.shutdown());
    scene.task(3, move || assert!(get_all(&c).len() <= 1));
    scene.run();
}
