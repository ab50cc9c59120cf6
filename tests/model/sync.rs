//! The objects that synchronise: nobody sleeps for ever, nobody is let in who should not be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use sharecell::model::Shared;
use sharecell::model::kernel::wait_for_end;
use sharecell::{
    Barrier, Condition, Deadline, ErrorKind, Event, Lock, RLock, RwLock, Segment, Semaphore, SemaphoreOptions,
};

use super::runner::{Model, deadly, model};
use super::scene::{Scene, kind};

pub const MODELS: &[Model] = &[
    model("a lock", 3, (2, 3), lock),
    deadly("the holder of a lock is killed", 3, (1, 2), lock),
    model("a lock that is taken twice", 2, (2, 3), taken_twice),
    deadly("the holder of a lock that it took twice is killed", 2, (2, 3), taken_twice),
    model("two threads of a process take a lock", 1, (3, 4), two_threads),
    deadly("a process dies whose two threads take a lock", 2, (1, 2), two_threads_killed),
    model("a semaphore", 3, (2, 3), semaphore),
    deadly("a semaphore with undo", 3, (0, 1), undo),
    model("an event", 3, (2, 3), event),
    model("an event that is cleared", 2, (3, 4), cleared),
    deadly("who sets an event is killed", 3, (2, 3), event_of_dead),
    model("a condition", 2, (3, 4), condition),
    deadly("a condition's waiter is killed", 3, (0, 1), condition_of_dead),
    deadly("who notifies a condition is killed", 3, (0, 1), notifier_of_dead),
    model("a barrier", 2, (2, 4), |scene| barrier(scene, 2)),
    model("a barrier for three", 3, (1, 2), |scene| barrier(scene, 1)),
    deadly("a party that has come is killed", 2, (2, 3), barrier_left_by_dead),
    deadly("a party is killed", 3, (0, 1), barrier_of_dead),
    model("a reader and a writer", 2, (3, 5), |scene| readers(scene, 1)),
    model("two readers and a writer", 3, (1, 3), |scene| readers(scene, 2)),
    deadly("a reader is killed", 2, (2, 3), |scene| killed_reader(scene, false)),
    deadly("a writer is killed", 2, (2, 3), |scene| killed_reader(scene, true)),
];

fn each<T: Send + Sync + 'static>(
    scene: &Scene,
    create: impl Fn(&Segment) -> T,
    open: impl Fn(&Segment) -> T,
) -> [Arc<T>; 3] {
    std::array::from_fn(|i| match i {
        0 => scene.by(1, &create),
        _ => scene.by(scene.seat(i + 1), &open),
    })
}

/// Three processes count under a lock; one of them may be killed, and whoever comes next is told.
fn lock(scene: &Scene) {
    let [a, b, c] = each(scene, |s| Lock::create(s, "x").unwrap(), |s| Lock::open(s, "x").unwrap());
    let (data, told) = (Arc::new(Shared::default()), Arc::new(AtomicU32::new(0)));
    let inside = Arc::new(AtomicU32::new(0));
    for (p, lock) in [(2, b), (3, c)] {
        let (data, told) = (Arc::clone(&data), Arc::clone(&told));
        scene.task(p, move || {
            let guard = lock.lock().unwrap();
            data.change();
            told.fetch_add(guard.owner_died().into(), SeqCst);
        });
    }
    let (was, free) = (Arc::clone(&inside), Arc::clone(&a));
    scene.victim(1, move || {
        let guard = a.lock().unwrap();
        was.store(1, SeqCst);
        data.change();
        drop(guard);
        was.store(0, SeqCst);
    });
    scene.run();
    // One at most is told of one death; nobody is if nobody died holding it.
    assert!(told.load(SeqCst) <= u32::from(!scene.survived.get()));
    let free = if scene.survived.get() { free } else { scene.by(2, |s| Lock::open(s, "x").unwrap()) };
    let now = free.try_lock().unwrap().owner_died();
    let died_inside = inside.load(SeqCst) == 1 && !scene.survived.get();
    assert!(!now || died_inside && told.load(SeqCst) == 0);
}

/// A lock taken inside itself is given back by the outer guard alone; who dies inside is told of to the next one.
fn taken_twice(scene: &Scene) {
    let a = scene.by(1, |s| RLock::create(s, "x").unwrap());
    let b = scene.by(2, |s| RLock::open(s, "x").unwrap());
    let (data, told) = (Arc::new(Shared::default()), Arc::new(AtomicU32::new(0)));
    let seen = Arc::clone(&data);
    scene.victim(1, move || {
        let outer = a.lock().unwrap();
        drop(a.lock().unwrap());
        seen.change();
        drop(outer);
    });
    let tell = Arc::clone(&told);
    let free = Arc::clone(&b);
    scene.task(2, move || {
        let outer = b.lock().unwrap();
        tell.store(outer.owner_died().into(), SeqCst);
        assert!(!b.lock().unwrap().owner_died(), "it is its own owner");
        data.change();
        drop(outer);
    });
    scene.run();
    assert!(told.load(SeqCst) <= u32::from(!scene.survived.get()));
    assert_eq!(kind(free.try_lock()), None);
}

/// Takes a lock that threads of a process share, and notes that it is inside.
fn take(
    lock: &Arc<RLock>,
    rounds: u32,
    data: &Arc<Shared>,
    inside: &Arc<AtomicU32>,
) -> impl FnOnce() + Send + 'static {
    let (lock, data, inside) = (Arc::clone(lock), Arc::clone(data), Arc::clone(inside));
    move || {
        for _ in 0..rounds {
            let guard = lock.lock().unwrap();
            assert_eq!(inside.fetch_add(1, SeqCst), 0, "both are inside");
            data.change();
            inside.fetch_sub(1, SeqCst);
            drop(guard);
        }
    }
}

/// Two threads of a process that share a handle exclude each other.
fn two_threads(scene: &Scene) {
    let lock = scene.by(1, |s| RLock::create(s, "x").unwrap());
    let (data, inside) = (Arc::default(), Arc::default());
    scene.task(1, take(&lock, 2, &data, &inside));
    scene.thread(2, 1, take(&lock, 1, &data, &inside));
    scene.run();
    assert_eq!(kind(lock.try_lock()), None);
}

/// The process of two threads is killed: another one is told if one of them was inside.
fn two_threads_killed(scene: &Scene) {
    let a = scene.by(1, |s| RLock::create(s, "x").unwrap());
    let b = scene.by(2, |s| RLock::open(s, "x").unwrap());
    let (data, inside) = (Arc::default(), Arc::default());
    scene.victim(1, take(&a, 1, &data, &inside));
    scene.thread(3, 1, take(&a, 1, &data, &inside));
    let told = Arc::new(AtomicU32::new(0));
    let (tell, free, others) = (Arc::clone(&told), Arc::clone(&b), Arc::clone(&inside));
    scene.task(2, move || {
        let guard = b.lock().unwrap();
        assert!(others.load(SeqCst) == 0 || guard.owner_died(), "somebody is inside");
        tell.store(guard.owner_died().into(), SeqCst);
        data.change();
        drop(guard);
    });
    scene.run();
    let deaths = told.load(SeqCst) + u32::from(free.try_lock().unwrap().owner_died());
    assert!(deaths <= u32::from(!scene.survived.get()));
    assert!(deaths == 1 || inside.load(SeqCst) == 0, "nobody was told");
}

fn semaphore(scene: &Scene) {
    let [a, b, c] =
        each(scene, |s| Semaphore::create(s, "x", 0).unwrap(), |s| Semaphore::open(s, "x").unwrap());
    let value = Arc::clone(&b);
    scene.task(1, move || (0..2).for_each(|_| a.release(1).unwrap()));
    scene.task(2, move || b.acquire().unwrap());
    scene.task(3, move || c.acquire().unwrap());
    scene.run();
    assert_eq!(value.value(), 0);
}

/// What one who is killed held comes back, and lets a waiter in.
fn undo(scene: &Scene) {
    let options = SemaphoreOptions::new(1).undo();
    let create = |s: &Segment| Semaphore::create_with(s, "x", &options).unwrap();
    let [a, b, c] = each(scene, create, |s| Semaphore::open(s, "x").unwrap());
    let (value, data) = (Arc::clone(&b), Arc::new(Shared::default()));
    for (p, semaphore) in [(2, b), (3, c)] {
        let data = Arc::clone(&data);
        scene.task(p, move || {
            semaphore.acquire().unwrap();
            data.change();
            semaphore.release(1).unwrap();
        });
    }
    scene.victim(1, move || {
        a.acquire().unwrap();
        data.change();
        a.release(1).unwrap();
    });
    scene.run();
    assert_eq!(value.value(), 1);
}

fn events(scene: &Scene) -> [Arc<Event>; 3] {
    each(scene, |s| Event::create(s, "x").unwrap(), |s| Event::open(s, "x").unwrap())
}

fn event(scene: &Scene) {
    let [a, b, c] = events(scene);
    let data = Arc::new(Shared::default());
    for (p, event) in [(2, b), (3, c)] {
        let data = Arc::clone(&data);
        scene.task(p, move || {
            event.wait().unwrap();
            data.look();
        });
    }
    scene.task(1, move || {
        data.change();
        a.set();
    });
    scene.run();
}

/// A flag that goes there and back: who waits for the second time sleeps again, and is woken.
fn cleared(scene: &Scene) {
    let [there, _, _] = events(scene);
    let back = scene.by(1, |s| Event::create(s, "y").unwrap());
    let (there2, back2) =
        (scene.by(2, |s| Event::open(s, "x").unwrap()), scene.by(2, |s| Event::open(s, "y").unwrap()));
    scene.task(1, move || {
        for _ in 0..2 {
            there.set();
            back.wait().unwrap();
            back.clear();
        }
    });
    scene.task(2, move || {
        for _ in 0..2 {
            there2.wait().unwrap();
            there2.clear();
            back2.set();
        }
    });
    scene.run();
}

/// Two set it, one of them is killed: who waits wakes up all the same.
fn event_of_dead(scene: &Scene) {
    let [a, b, c] = events(scene);
    scene.victim(1, move || a.set());
    scene.task(2, move || b.wait().unwrap());
    scene.task(3, move || c.set());
    scene.run();
}

fn conditions(scene: &Scene) -> [Arc<Condition>; 3] {
    each(scene, |s| Condition::create(s, "x").unwrap(), |s| Condition::open(s, "x").unwrap())
}

fn condition(scene: &Scene) {
    let [a, b, _] = conditions(scene);
    let ready = Arc::new(AtomicU32::new(0));
    let flag = Arc::clone(&ready);
    scene.task(1, move || {
        let guard = a.lock().unwrap();
        while flag.load(SeqCst) == 0 {
            let _ = a.wait().unwrap();
        }
        drop(guard);
    });
    scene.task(2, move || {
        let guard = b.lock().unwrap();
        ready.store(1, SeqCst);
        b.notify(1).unwrap();
        drop(guard);
    });
    scene.run();
}

/// Two wait for one notification, and who gets it passes it on. One of them is killed: the other wakes up. (Who dies
/// with the lock in hand has got the notification; that is told to the next one who takes the lock.)
fn condition_of_dead(scene: &Scene) {
    let [a, b, c] = conditions(scene);
    let ready = Arc::new(AtomicU32::new(0));
    let wait = |condition: Arc<Condition>, ready: Arc<AtomicU32>| {
        move || {
            let guard = condition.lock().unwrap();
            if ready.load(SeqCst) == 0 {
                let _ = condition.wait().unwrap();
            }
            condition.notify(1).unwrap();
            drop(guard);
        }
    };
    scene.victim(1, wait(a, Arc::clone(&ready)));
    scene.task(2, wait(b, Arc::clone(&ready)));
    scene.task(3, move || {
        let guard = c.lock().unwrap();
        ready.store(1, SeqCst);
        c.notify(1).unwrap();
        drop(guard);
        wait_for_end(1);
        let guard = c.lock().unwrap();
        if guard.owner_died() {
            c.notify(1).unwrap();
        }
        drop(guard);
    });
    scene.run();
}

/// Who waits is woken by whoever comes after a notifier that was killed.
fn notifier_of_dead(scene: &Scene) {
    let [a, b, c] = conditions(scene);
    let ready = Arc::new(AtomicU32::new(0));
    let notify = |condition: &Condition, ready: &AtomicU32| {
        let guard = condition.lock().unwrap();
        ready.store(1, SeqCst);
        condition.notify(1).unwrap();
        drop(guard);
    };
    let (first, second) = (Arc::clone(&ready), Arc::clone(&ready));
    scene.victim(1, move || notify(&a, &first));
    scene.task(2, move || {
        let guard = b.lock().unwrap();
        while ready.load(SeqCst) == 0 {
            let _ = b.wait().unwrap();
        }
        drop(guard);
    });
    scene.task(3, move || {
        wait_for_end(1);
        notify(&c, &second);
    });
    scene.run();
}

fn barriers(scene: &Scene, parties: u32) -> [Arc<Barrier>; 3] {
    each(scene, |s| Barrier::create(s, "x", parties).unwrap(), |s| Barrier::open(s, "x").unwrap())
}

/// Nobody goes on before all have come.
fn barrier(scene: &Scene, rounds: u32) {
    let parties = scene.seats();
    let come = Arc::new(AtomicU32::new(0));
    for (p, barrier) in (1..=parties as usize).zip(barriers(scene, parties)) {
        let come = Arc::clone(&come);
        scene.task(p, move || {
            for round in 1..=rounds {
                come.fetch_add(1, SeqCst);
                barrier.wait().unwrap();
                assert!(come.load(SeqCst) >= parties * round);
            }
        });
    }
    scene.run();
    assert_eq!(come.load(SeqCst), parties * rounds);
}

/// Of two parties one is killed, and a third process aborts: whatever comes first, nobody waits for ever.
fn barrier_of_dead(scene: &Scene) {
    let [a, b, c] = barriers(scene, 2);
    scene.victim(1, move || assert!(matches!(kind(a.wait()), None | Some(ErrorKind::Broken))));
    scene.task(2, move || assert!(matches!(kind(b.wait()), None | Some(ErrorKind::Broken))));
    scene.task(3, move || c.abort().unwrap());
    scene.run();
}

/// A party comes, and tells the other; then it is killed while it waits, or has let the other go on.
fn barrier_left_by_dead(scene: &Scene) {
    let [a, b, _] = barriers(scene, 2);
    let rest = Arc::clone(&b);
    scene.victim(1, move || {
        let _ = a.wait_with(Deadline::Now, || true);
    });
    scene.task(2, move || {
        // Comes only if the other has come: what follows is certain then.
        if b.n_waiting() == 1 {
            assert!(matches!(kind(b.wait()), None | Some(ErrorKind::Broken)));
        }
    });
    scene.run();
    assert!(scene.survived.get() || rest.is_broken() || rest.n_waiting() == 0);
}

fn rwlocks(scene: &Scene) -> [Arc<RwLock>; 3] {
    each(scene, |s| RwLock::create(s, "x").unwrap(), |s| RwLock::open(s, "x").unwrap())
}

fn readers(scene: &Scene, count: usize) {
    let [a, b, c] = rwlocks(scene);
    let data = Arc::new(Shared::default());
    for (p, lock) in [(2, b), (3, c)].into_iter().take(count) {
        let data = Arc::clone(&data);
        scene.task(p, move || {
            let guard = lock.read().unwrap();
            data.look();
            drop(guard);
        });
    }
    scene.task(1, move || {
        let guard = a.write().unwrap();
        data.change();
        drop(guard);
    });
    scene.run();
}

fn killed_reader(scene: &Scene, writes: bool) {
    let [a, b, _] = rwlocks(scene);
    let data = Arc::new(Shared::default());
    let (mine, told) = (Arc::clone(&data), Arc::new(AtomicU32::new(0)));
    scene.victim(1, move || {
        if writes {
            let guard = a.write().unwrap();
            mine.change();
            drop(guard);
        } else {
            let guard = a.read().unwrap();
            mine.look();
            drop(guard);
        }
    });
    let tell = Arc::clone(&told);
    scene.task(2, move || {
        let guard = b.write().unwrap();
        data.change();
        tell.store(guard.owner_died().into(), SeqCst);
        drop(guard);
        drop(b.read().unwrap());
    });
    scene.run();
    assert!(told.load(SeqCst) == 0 || writes && !scene.survived.get());
}
