//! Seats: who dies is swept, by several at once and by some who are killed at it, and its seat is taken anew.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use sharecell::model::kernel::wait_for_end;
use sharecell::model::{self, Shared, acting, keep};
use sharecell::{Deadline, ErrorKind, Event, Lock, Queue, QueueOptions, Segment};

use super::runner::{Model, deadly, model};
use super::scene::{Scene, drain, kind};

pub const MODELS: &[Model] = &[
    model("two sweep one", 3, (2, 3), swept_by_two),
    deadly("one of two who sweep is killed", 4, (1, 2), swept_by_victim),
    model("a newcomer takes the seat of one who is swept", 3, (1, 2), newcomer),
    deadly("a newcomer is killed at his arrival", 3, (1, 2), killed_newcomer),
    model("two newcomers, one after the other, take the seat of one who is swept", 2, (2, 3), two_newcomers),
    deadly("the first of two newcomers is killed at his arrival", 2, (0, 1), first_newcomer_killed),
    deadly("a process leaves as another one sweeps", 3, (0, 1), left_during_sweep),
    deadly("a process leaves as another one comes", 2, (1, 2), left_for_newcomer),
    model("the last one leaves as another one comes", 2, (2, 3), last_and_newcomer),
    deadly("the last one is killed as it leaves and another one comes", 2, (1, 2), last_and_newcomer),
    deadly("two leave, one of them is killed at it", 2, (1, 2), two_leave),
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
    scene.task(4, move || {
        // The table is full as long as somebody sweeps the seat of the dead.
        let Ok(segment) = Segment::newcomer_in_model() else { return };
        let lock = Lock::open(&segment, "mine").unwrap();
        let guard = lock.lock().unwrap();
        assert!(!guard.owner_died(), "it lives");
        data.change();
        drop(guard);
        keep((lock, segment));
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
    scene.victim(4, move || keep(Segment::newcomer_in_model()));
    scene.task(3, move || wait_for_end(4));
    scene.run();
    estate.check(&told);
    if !scene.survived.get() {
        assert_eq!(scene.segment(2).participants().len(), 2);
    }
}

/// Two newcomers take one seat after the other, the first of them dies in it. Whoever began to sweep the seat before both
/// finds it without a lease, and not at the generation that he came for.
fn two_newcomers(scene: &Scene) {
    second_newcomer(scene, || scene.doomed(3, || keep(Segment::newcomer_in_model())));
}

fn first_newcomer_killed(scene: &Scene) {
    second_newcomer(scene, || scene.victim(3, || keep(Segment::newcomer_in_model())));
}

fn second_newcomer(scene: &Scene, first: impl FnOnce()) {
    let lock = scene.by(2, |s| Lock::create(s, "mine").unwrap());
    scene.kill(1);
    let segment = scene.segment(2);
    scene.task(2, move || {
        segment.recover();
    });
    first();
    scene.task(4, move || {
        wait_for_end(3);
        // The first one may live, or the seat be swept at this moment.
        let Ok(segment) = Segment::newcomer_in_model() else { return };
        let lock = Lock::open(&segment, "mine").unwrap();
        let _ = lock.acquire(Deadline::Never).unwrap();
        wait_for_end(2);
        assert_eq!(kind(lock.release()), None, "somebody was swept who lives");
        keep((lock, segment));
    });
    scene.run();
    assert!(!lock.try_lock().unwrap().owner_died(), "nobody died with it");
}

/// One leaves in good order, with a lock in hand and an object open that was removed; another one, which waits for the
/// lock, sweeps a third, which had that object open, too. The lock is given back, the object is freed.
fn left_during_sweep(scene: &Scene) {
    let other = scene.by(2, |s| Lock::create(s, "lock").unwrap());
    let lock = scene.once_by(1, |s| Lock::open(s, "lock").unwrap());
    let before = scene.segment(2).blocks_in_use();
    let object = scene.once_by(1, |s| Event::create(s, "removed").unwrap());
    keep(scene.once_by(3, |s| Event::open(s, "removed").unwrap()));
    scene.segment(2).remove("removed").unwrap();
    let _ = acting(1, || lock.acquire(Deadline::Now).unwrap());
    scene.kill(3);
    let (leaving, segment) = (scene.leaving(1), scene.segment(2));
    scene.victim(1, move || drop((lock, object, leaving)));
    scene.task(2, move || {
        segment.recover();
        drop(other.lock().unwrap());
    });
    scene.run();
    let s = scene.segment(2);
    assert_eq!(s.participants().len(), 1);
    assert_eq!(s.blocks_in_use(), before, "blocks were lost");
}

/// One leaves in good order, and a newcomer takes the seat, which somebody may be sweeping: nobody sweeps the newcomer.
fn left_for_newcomer(scene: &Scene) {
    let lock = scene.by(2, |s| Lock::create(s, "mine").unwrap());
    let leaving = scene.leaving(1);
    scene.victim(1, move || drop(leaving));
    let segment = scene.segment(2);
    scene.task(2, move || {
        segment.recover();
    });
    scene.task(3, move || {
        let Ok(segment) = Segment::newcomer_in_model() else { return }; // he was too early
        let lock = Lock::open(&segment, "mine").unwrap();
        let _ = lock.acquire(Deadline::Never).unwrap();
        wait_for_end(2);
        assert_eq!(kind(lock.release()), None, "somebody was swept who lives");
        keep((lock, segment));
    });
    scene.run();
    assert!(!lock.try_lock().unwrap().owner_died(), "nobody died with it");
    if scene.segment(2).participants().len() == 1 {
        acting(4, || keep(Segment::newcomer_in_model().unwrap()));
    }
}

/// The last one leaves an ephemeral segment, which takes its name away, as somebody attaches by that name: he finds nothing,
/// or what he is attached to keeps its name until he leaves.
fn last_and_newcomer(scene: &Scene) {
    let second = scene.leaving(2);
    acting(2, || drop(second));
    let last = scene.leaving(1);
    model::let_locks_order();
    scene.victim(1, move || drop(last));
    let come = Arc::new(Mutex::new(None));
    let came = Arc::clone(&come);
    scene.task(3, move || match Segment::newcomer_in_model() {
        Ok(segment) => *came.lock().unwrap() = Some(segment),
        Err(e) => assert_eq!(e.kind(), ErrorKind::NotFound),
    });
    scene.run();
    if let Some(segment) = come.lock().unwrap().take() {
        acting(3, || {
            assert!(!segment.is_unlinked(), "somebody is attached");
            drop(segment);
        });
    }
    assert_unlinked(scene);
}

/// Both leave at once: the second one to look finds nobody else.
fn two_leave(scene: &Scene) {
    let segments = [1, 2].map(|p| scene.leaving(p));
    model::let_locks_order();
    let [first, second] = segments;
    scene.victim(1, move || drop(first));
    scene.task(2, move || drop(second));
    scene.run();
    assert_unlinked(scene);
}

/// The name is gone when nobody is there, unless one was killed; then it goes with the next look at all names.
fn assert_unlinked(scene: &Scene) {
    let removed = acting(4, Segment::gc).unwrap();
    assert!(removed.is_empty() || !scene.survived.get(), "nobody took the name away");
    assert_eq!(Segment::names().unwrap(), [""; 0]);
}
