//! Runs: groups of cells, of two cells here, that are put and got as one, and split by who wants one item of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use sharecell::{Deadline, Result, TypedQueue};

use super::runner::{Model, deadly, model};
use super::scene::Scene;

/// A cell's state has 47 bits of its ticket, the hints have 64: the next group is the last one before the wrap of both.
const SHORT_OF_WRAP: u64 = u64::MAX - 1;

pub const MODELS: &[Model] = &[
    model("runs come and go, wrapping", 2, (2, 4), come_and_go),
    model("one gets a run, another an item of it", 3, (1, 2), |scene| two_get(scene, &[2], &[1])),
    model("two get items of runs one by one", 2, (2, 3), |scene| two_get(scene, &[1, 1], &[1])),
    model("who splits a run is overtaken by the next one", 2, (1, 2), split_late),
    model("one puts a run, another an item", 3, (1, 2), |scene| two_put(scene, 2, 1)),
    model("two put runs", 3, (1, 2), |scene| two_put(scene, 2, 2)),
    model("a run is put where one was split", 2, (2, 3), put_where_one_was_split),
    deadly("who puts a run is killed", 3, (0, 1), |scene| killed_putter(scene, 2)),
    deadly("who puts one item where a run was is killed", 3, (0, 1), |scene| killed_putter(scene, 1)),
    deadly("who gets a run is killed", 2, (1, 2), |scene| killed_getter(scene, 2)),
    deadly("who gets one item of a run is killed", 2, (1, 2), |scene| killed_getter(scene, 1)),
];

/// A queue of two groups in which runs are put, for each process.
fn queues<const N: usize>(scene: &Scene) -> [Arc<TypedQueue<u64>>; N] {
    queues_of(scene, 4)
}

fn queues_of<const N: usize>(scene: &Scene, capacity: u64) -> [Arc<TypedQueue<u64>>; N] {
    std::array::from_fn(|i| {
        scene.by(i + 1, |s| match i {
            0 => {
                let queue = TypedQueue::<u64>::create(s, "queue", capacity).unwrap();
                queue.as_bytes().start_at(SHORT_OF_WRAP).unwrap();
                queue.as_bytes().prefer_runs();
                queue
            }
            _ => TypedQueue::open(s, "queue").unwrap(),
        })
    })
}

/// Numbers from `from` on.
fn numbers(from: u64, count: u64) -> Vec<u64> {
    (from..from + count).collect()
}

fn put(queue: &TypedQueue<u64>, from: u64, count: u64) {
    match count {
        1 => queue.put(from).unwrap(),
        _ => assert_eq!(queue.put_many(&numbers(from, count)).unwrap() as u64, count),
    }
}

fn get(queue: &TypedQueue<u64>, count: usize) -> Result<Vec<u64>> {
    match count {
        1 => queue.get().map(|n| vec![n]),
        _ => queue.get_many(count),
    }
}

/// Adds what was got, by bits: nothing may come twice.
fn note(all: &AtomicU32, got: &[u64]) {
    for n in got {
        assert_eq!(all.fetch_or(1 << n, SeqCst) & 1 << n, 0, "{n} came twice");
    }
}

fn drain(queue: &TypedQueue<u64>) -> Vec<u64> {
    std::iter::from_fn(|| queue.try_get().ok()).collect()
}

fn come_and_go(scene: &Scene) {
    let [p, c] = queues(scene);
    let q = Arc::clone(&p);
    scene.task(1, move || (0..3).for_each(|n| put(&p, 2 * n, 2)));
    scene.task(2, move || {
        let mut got = Vec::new();
        while got.len() < 6 {
            got.extend(get(&c, 2).unwrap());
        }
        assert_eq!(got, numbers(0, 6));
    });
    scene.run();
    assert!(q.as_bytes().is_empty());
}

/// Two runs are there, or one is, and a third process puts the other.
fn two_get(scene: &Scene, first: &'static [usize], second: &'static [usize]) {
    let all = Arc::new(AtomicU32::new(0));
    let [a, b] = queues(scene);
    put(&a, 0, 2);
    let rest = Arc::clone(&a);
    if scene.seats() == 3 {
        let third = scene.by(3, |s| TypedQueue::<u64>::open(s, "queue").unwrap());
        scene.task(3, move || put(&third, 2, 2));
    } else {
        put(&a, 2, 2);
    }
    for (p, queue, counts) in [(1, a, first), (2, b, second)] {
        let all = Arc::clone(&all);
        scene.task(p, move || {
            let got: Vec<u64> = counts.iter().flat_map(|count| get(&queue, *count).unwrap()).collect();
            assert!(got.is_sorted());
            note(&all, &got);
        });
    }
    scene.run();
    let left = drain(&rest);
    assert!(left.is_sorted());
    note(&all, &left);
    assert_eq!(all.load(SeqCst), 0b1111, "lost");
}

/// In a queue of one group: one gets an item while the other gets the run, puts the next, and gets an item of that.
fn split_late(scene: &Scene) {
    let [a, b] = queues_of(scene, 2);
    let all = Arc::new(AtomicU32::new(0));
    put(&a, 0, 2);
    let (rest, got) = (Arc::clone(&a), Arc::clone(&all));
    scene.task(1, move || note(&got, &get(&a, 1).unwrap()));
    let got = Arc::clone(&all);
    scene.task(2, move || {
        let first = get(&b, 2).unwrap();
        put(&b, 2, 2 * (first.len() as u64) - 2);
        note(&got, &first);
        if first.len() == 2 {
            note(&got, &get(&b, 1).unwrap());
        }
    });
    scene.run();
    note(&all, &drain(&rest));
    assert!(matches!(all.load(SeqCst), 0b11 | 0b1111), "lost");
}

fn two_put(scene: &Scene, first: u64, second: u64) {
    let [a, b, c] = queues(scene);
    let all = Arc::new(AtomicU32::new(0));
    scene.task(1, move || put(&a, 0, first));
    scene.task(2, move || put(&b, 2, second));
    let (rest, got) = (Arc::clone(&c), Arc::clone(&all));
    scene.task(3, move || note(&got, &get(&c, 2).unwrap()));
    scene.run();
    note(&all, &drain(&rest));
    assert_eq!(all.load(SeqCst), 0b11 | ((1 << second) - 1) << 2, "lost");
}

/// Of a run, the first item is got by itself, so that the group is single cells; it becomes a run again.
fn put_where_one_was_split(scene: &Scene) {
    let [p, c] = queues(scene);
    put(&p, 0, 2);
    put(&p, 2, 2);
    let rest = Arc::clone(&p);
    scene.task(1, move || {
        p.as_bytes().prefer_runs();
        put(&p, 4, 2);
    });
    scene.task(2, move || assert_eq!([0, 1].map(|_| c.get().unwrap()), [0, 1]));
    scene.run();
    assert_eq!(drain(&rest), [2, 3, 4, 5]);
}

/// The victim puts where a run was, a survivor puts a run: it arrives, and of the victim's either all or nothing.
fn killed_putter(scene: &Scene, count: u64) {
    let [a, b, c] = queues(scene);
    put(&b, 0, 4);
    assert_eq!([(); 2].map(|()| c.get_many_until(2, Deadline::Now).unwrap()), [[0, 1], [2, 3]]);
    let all = Arc::new(AtomicU32::new(0b1111));
    scene.victim(1, move || put(&a, 4, count));
    scene.task(2, move || put(&b, 6, 2));
    let (rest, got) = (Arc::clone(&c), Arc::clone(&all));
    scene.task(3, move || {
        let items = get(&c, 1).unwrap();
        note(&got, &items);
    });
    scene.run();
    note(&all, &drain(&rest));
    let (all, victims) = (all.load(SeqCst), ((1 << count) - 1) << 4);
    assert_eq!(all & 0b1100_0000, 0b1100_0000, "lost");
    assert!(all & victims == victims || !scene.survived.get() && all & victims == 0, "in part: {all:b}");
    put(&rest, 8, 2);
    assert_eq!(drain(&rest), [8, 9]);
}

/// The victim gets what is there, or one item of it, a survivor puts and gets: nothing is lost.
fn killed_getter(scene: &Scene, count: usize) {
    let [a, b] = queues(scene);
    put(&b, 0, 2);
    let (taken, all) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let victims = Arc::clone(&taken);
    scene.victim(1, move || note(&taken, &get(&a, count).unwrap()));
    let (rest, got) = (Arc::clone(&b), Arc::clone(&all));
    scene.task(2, move || {
        put(&b, 2, 2);
        note(&got, &get(&b, 1).unwrap());
    });
    scene.run();
    note(&all, &drain(&rest));
    let (victims, all) = (victims.load(SeqCst), all.load(SeqCst));
    assert_eq!(victims | all | if scene.survived.get() { 0 } else { (1 << count) - 1 }, 0b1111, "lost");
    assert!(!scene.survived.get() || victims & all == 0, "came twice");
    put(&rest, 4, 2);
    assert_eq!(drain(&rest), [4, 5]);
}
