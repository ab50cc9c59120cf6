//! Seats: who dies is swept, by several at once and by some who are killed at it, and its seat is taken anew.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use sharecell::model::Shared;
use sharecell::model::kernel::wait_for_end;
use sharecell::{Deadline, Lock, Queue, QueueOptions, Segment};

use super::runner::{Model, deadly, model};
use super::scene::{Scene, drain};

pub const MODELS: &[Model] = &[
    model("two sweep one", 3, (2, 3), swept_by_two),
    deadly("one of two who sweep is killed", 4, (1, 2), swept_by_victim),
    model("a newcomer takes the seat of one who is swept", 3, (1, 2), newcomer),
    deadly("a newcomer is killed at his arrival", 3, (1, 2), killed_newcomer),
];

/// Process 1 has died with a lock and an item in hand: a lock's death is told once, the item is there once.
struct Estate {
    queues: [Arc<Queue>; 2],
    locks: [Arc<Lock>; 2],
}

fn estate(scene: &Scene) -> Estate {
    let queue = scene.by(1, |s| Queue::create(s, "queue", &QueueOptions::new(2).inline(40)).unwrap());
    let lock = scene.by(1, |s| Lock::create(s, "lock").unwrap());
    let estate = Estate {
        queues: [2, 3].map(|p| scene.by(p, |s| Queue::open(s, "queue").unwrap())),
        locks: [2, 3].map(|p| scene.by(p, |s| Lock::open(s, "lock").unwrap())),
    };
    queue.put(b"item").unwrap();
    std::mem::forget(queue.recv(Deadline::Now).unwrap());
    std::mem::forget(lock.lock().unwrap());
    scene.kill(1);
    estate
}

impl Estate {
    fn check(&self, told: &AtomicU32) {
        told.fetch_add(self.locks[0].try_lock().unwrap().owner_died().into(), SeqCst);
        assert_eq!(told.load(SeqCst), 1);
        assert_eq!(drain(&self.queues[0]), [b"item"]);
        assert_eq!(drain(&self.queues[0]).len(), 0);
    }
}

fn swept_by_two(scene: &Scene) {
    let estate = estate(scene);
    let told = Arc::new(AtomicU32::new(0));
    for p in [2, 3] {
        let (segment, lock, told) = (scene.segment(p), Arc::clone(&estate.locks[p - 2]), Arc::clone(&told));
        scene.task(p, move || {
            segment.recover();
            if let Ok(guard) = lock.try_lock() {
                told.fetch_add(guard.owner_died().into(), SeqCst);
            }
        });
    }
    scene.run();
    estate.check(&told);
    assert_eq!(scene.segment(2).participants().len(), 2);
}

fn swept_by_victim(scene: &Scene) {
    let estate = estate(scene);
    let told = Arc::new(AtomicU32::new(0));
    let (first, second) = (scene.segment(2), scene.segment(3));
    scene.task(2, move || {
        first.recover();
    });
    scene.victim(3, move || {
        second.recover();
    });
    scene.run();
    estate.check(&told);
}

/// A seat's next owner is not swept for what the former one did.
fn newcomer(scene: &Scene) {
    let estate = estate(scene);
    let lock = scene.by(2, |s| Lock::create(s, "mine").unwrap());
    let data = Arc::new(Shared::default());
    let told = Arc::new(AtomicU32::new(0));
    let (segment, own) = (scene.segment(2), Arc::clone(&lock));
    let seen = Arc::clone(&data);
    scene.task(2, move || {
        segment.recover();
        let guard = own.lock().unwrap();
        assert!(!guard.owner_died(), "it lives");
        seen.change();
    });
    let other = scene.segment(3);
    scene.task(3, move || {
        other.recover();
    });
    let seats = scene.seats();
    scene.task(4, move || {
        // The table is full as long as somebody sweeps the seat of the dead.
        let Ok(segment) = Segment::newcomer_in_model(seats, 4) else { return };
        let lock = Lock::open(&segment, "mine").unwrap();
        let guard = lock.lock().unwrap();
        assert!(!guard.owner_died(), "it lives");
        data.change();
        drop(guard);
        std::mem::forget((lock, segment));
    });
    scene.run();
    estate.check(&told);
}

/// A process takes the seat of one who is being swept, and is killed at that: the seat is free again afterwards.
fn killed_newcomer(scene: &Scene) {
    let estate = estate(scene);
    let told = Arc::new(AtomicU32::new(0));
    let segment = scene.segment(2);
    scene.task(2, move || {
        segment.recover();
    });
    let seats = scene.seats();
    scene.victim(4, move || std::mem::forget(Segment::newcomer_in_model(seats, 4)));
    scene.task(3, move || wait_for_end(4));
    scene.run();
    estate.check(&told);
    if !scene.survived.get() {
        assert_eq!(scene.segment(2).participants().len(), 2);
    }
}
