//! Locks, and all that is waited for.

use std::time::Duration;

use sharecell::*;

use crate::common::*;
use crate::objects::{check, make, open};
use crate::scene::{Case, Scene, case, in_time, reap_orphans};

pub fn cases() -> Vec<Case> {
    let about =
        |object: &'static str, cases: Vec<Case>| cases.into_iter().map(move |case| case.about(object));
    let locks = ["lock", "value", "array"].iter().flat_map(|what| locks(what)).chain([
        handed_on(),
        taken_over(),
        repaired(),
        poisoned(),
    ]);
    about("lock", locks.collect())
        .chain(about("rlock", reentrant()))
        .chain(about("rwlock", readers_and_writers()))
        .chain(about("semaphore", semaphores()))
        .chain(about("condition", conditions()))
        .chain(about("event", vec![set_event(), cleared_event()]))
        .chain(about("barrier", barriers()))
        .collect()
}

/// Takes and gives back the lock of `what`, which is `it`.
fn with_lock<R>(
    s: &Segment,
    what: &str,
    deadline: Deadline,
    f: impl FnOnce(Result<LockGuard<'_>>) -> R,
) -> R {
    match what {
        "value" => f(Value::<i64>::open(s, "it").unwrap().lock_until(deadline)),
        "array" => f(Array::<u8>::open(s, "it").unwrap().lock_until(deadline)),
        _ => f(Lock::open(s, "it").unwrap().lock_until(deadline)),
    }
}

fn locks(what: &'static str) -> Vec<Case> {
    let made = move |scene: &Scene| drop(make(&scene.s, what, "it"));
    // It can be had; that its owner died is told until it was given back once in good order.
    let free = move |scene: &Scene, finished: bool| {
        with_lock(&scene.s, what, in_time(), |guard| {
            let guard = guard.unwrap();
            assert!(!guard.owner_died() || !finished);
            scene.saw(free_or_told(guard.owner_died()));
            guard.unlock().unwrap();
        });
        with_lock(&scene.s, what, in_time(), |guard| assert!(!guard.unwrap().owner_died()));
    };
    vec![
        case(
            format!("lock and unlock a {what}"),
            made,
            move |scene| {
                let (s, open) = (scene.s.clone(), open(&scene.s, what, "it"));
                Box::new(move || {
                    with_lock(&s, what, Deadline::Now, |guard| guard.unwrap().unlock().unwrap());
                    open();
                })
            },
            free,
        ),
        case(
            format!("wait in vain for a {what}'s lock"),
            move |scene| {
                made(scene);
                scene.holder(|| {
                    // With its last handle it would give the lock back.
                    let open = open(&scene.s, what, "it");
                    with_lock(&scene.s, what, Deadline::Now, |guard| std::mem::forget(guard.unwrap()));
                    Box::new(open)
                });
            },
            move |scene| {
                let s = scene.s.clone();
                Box::new(move || {
                    let soon = Deadline::after(Duration::from_millis(2));
                    with_lock(&s, what, soon, |guard| assert_eq!(kind(guard), ErrorKind::TimedOut));
                })
            },
            move |scene, _| {
                with_lock(&scene.s, what, Deadline::Now, |guard| {
                    assert_eq!(kind(guard), ErrorKind::WouldBlock);
                });
                scene.kill_helpers();
                with_lock(&scene.s, what, in_time(), |guard| assert!(guard.unwrap().owner_died()));
                with_lock(&scene.s, what, in_time(), |guard| assert!(!guard.unwrap().owner_died()));
                scene.saw("held as before");
            },
        ),
    ]
}

fn semaphores() -> Vec<Case> {
    let semaphore = |scene: &Scene| Semaphore::open(&scene.s, "it").unwrap();
    let change = |name: &str, change: fn(&Semaphore), old: u32, new: u32| {
        case(
            name,
            move |scene| drop(Semaphore::create(&scene.s, "it", old).unwrap()),
            move |scene| {
                let semaphore = semaphore(scene);
                Box::new(move || change(&semaphore))
            },
            move |scene, finished| {
                let semaphore = semaphore(scene);
                let now = semaphore.value();
                assert!(now == new || now == old && !finished, "{now}");
                scene.saw(if now == new { "done" } else { "not done" });
                (0..now).for_each(|_| semaphore.try_acquire().unwrap());
                assert_eq!(kind(semaphore.try_acquire()), ErrorKind::WouldBlock);
                semaphore.release(1).unwrap();
                semaphore.try_acquire().unwrap();
            },
        )
    };
    vec![
        change("acquire a semaphore", |semaphore| semaphore.acquire().unwrap(), 2, 1),
        change("release a semaphore", |semaphore| semaphore.release(2).unwrap(), 0, 2),
        change(
            "wait in vain for a semaphore",
            |s| assert_eq!(kind(s.acquire_until(soon())), ErrorKind::TimedOut),
            0,
            0,
        ),
        case(
            "release a bounded semaphore",
            |scene| {
                let bounded = SemaphoreOptions::new(2).bounded();
                Semaphore::create_with(&scene.s, "it", &bounded).unwrap().acquire().unwrap();
            },
            move |scene| {
                let semaphore = semaphore(scene);
                Box::new(move || semaphore.release(1).unwrap())
            },
            move |scene, finished| {
                let semaphore = semaphore(scene);
                let now = semaphore.value();
                assert!(now == 2 || now == 1 && !finished, "{now}");
                semaphore.release(3 - now).unwrap_err();
                scene.saw(if now == 2 { "done" } else { "not done" });
            },
        ),
        case(
            "give back a permit that another waits for",
            |scene| drop(make(&scene.s, "undo", "it")),
            move |scene| {
                let semaphore = semaphore(scene);
                (0..2).for_each(|_| semaphore.acquire().unwrap());
                scene.orphan(|| {
                    semaphore.acquire_until(in_time()).and_then(|()| semaphore.release(1)).is_ok()
                });
                Box::new(move || semaphore.release(2).unwrap())
            },
            |scene, _| {
                reap_orphans();
                scene.s.recover();
                check(&scene.s, "undo", "it", true);
                scene.saw("who waits gets it; all permits");
            },
        )
        .unaided(),
        case(
            "acquire and release a permit that comes back",
            |scene| drop(make(&scene.s, "undo", "it")),
            |scene| {
                let semaphore = Semaphore::open(&scene.s, "it").unwrap();
                Box::new(move || {
                    (0..2).for_each(|_| semaphore.acquire().unwrap());
                    semaphore.release(1).unwrap();
                    semaphore.release(1).unwrap();
                })
            },
            |scene, _| {
                check(&scene.s, "undo", "it", true);
                scene.saw("all permits");
            },
        ),
        case(
            "release a semaphore that another waits for",
            move |scene| {
                let semaphore = Semaphore::create(&scene.s, "it", 0).unwrap();
                scene.sleeper(|| semaphore.acquire_until(in_time()).is_ok());
            },
            move |scene| {
                let semaphore = semaphore(scene);
                Box::new(move || semaphore.release(1).unwrap())
            },
            move |scene, finished| {
                let asleep = || scene.sleepers.borrow().iter().all(|pid| process_state(*pid) != 'Z');
                let semaphore = semaphore(scene);
                // A permit that was given is taken, if late; else it is still wanted.
                if !finished && semaphore.value() == 0 && asleep() {
                    semaphore.release(1).unwrap();
                }
                scene.join_helpers();
                scene.saw("who waits gets a permit: this one, or the next");
            },
        ),
    ]
}

/// A holder dies while it hands its lock on.
fn handed_on() -> Case {
    case(
        "unlock what another waits for",
        |scene| drop(make(&scene.s, "lock", "it")),
        |scene| {
            let lock = Lock::open(&scene.s, "it").unwrap();
            assert_eq!(lock.acquire(Deadline::Now).unwrap(), Acquired::Clean);
            scene.orphan(|| lock.lock_until(in_time()).is_ok_and(|guard| guard.unlock().is_ok()));
            Box::new(move || lock.release().unwrap())
        },
        |scene, _| {
            reap_orphans();
            let lock = Lock::open(&scene.s, "it").unwrap();
            assert!(!lock.lock_until(in_time()).unwrap().owner_died(), "the waiter has given it back");
            scene.saw("who waits gets it");
        },
    )
    .unaided()
}

/// Another waits at a barrier that is changed; until it is done again, where it was not done.
fn ending(what: &str, change: fn(&Barrier)) -> Case {
    case(
        format!("{what} where another waits"),
        |scene| {
            let barrier = Barrier::create(&scene.s, "it", 2).unwrap();
            scene.sleeper(|| match barrier.wait_timeout(WATCHDOG) {
                Ok(number) => number == 0,
                Err(e) => e.kind() == ErrorKind::Broken,
            });
        },
        move |scene| {
            let barrier = Barrier::open(&scene.s, "it").unwrap();
            Box::new(move || change(&barrier))
        },
        |scene, _| {
            let barrier = Barrier::open(&scene.s, "it").unwrap();
            barrier.abort().unwrap();
            scene.join_helpers();
            barrier.reset().unwrap();
            scene.sleeper(|| barrier.wait_timeout(WATCHDOG) == Ok(0));
            assert_eq!(barrier.wait_timeout(WATCHDOG), Ok(1));
            scene.join_helpers();
            scene.saw("who waits goes on, or is told that it is broken");
        },
    )
    .unaided()
}

fn cleared_event() -> Case {
    case(
        "clear an event and wait for it in vain",
        |scene| Event::create(&scene.s, "it").unwrap().set(),
        |scene| {
            let event = Event::open(&scene.s, "it").unwrap();
            Box::new(move || {
                event.clear();
                assert_eq!(kind(event.wait_until(soon())), ErrorKind::TimedOut);
            })
        },
        |scene, finished| {
            let event = Event::open(&scene.s, "it").unwrap();
            assert!(!finished || !event.is_set());
            scene.saw(if event.is_set() { "set" } else { "not set" });
            check(&scene.s, "event", "it", true);
        },
    )
}

fn repaired() -> Case {
    case(
        "repair what a dead one left under a lock",
        |scene| {
            drop(make(&scene.s, "lock", "it"));
            scene.holder(|| {
                let lock = Lock::open(&scene.s, "it").unwrap();
                acquired(lock.acquire(Deadline::Now));
                Box::new(lock)
            });
            scene.kill_helpers();
            scene.s.recover();
        },
        |scene| {
            let lock = Lock::open(&scene.s, "it").unwrap();
            Box::new(move || {
                assert!(lock.lock_or_repair(Deadline::Now, || false).is_err());
                assert!(lock.is_poisoned() && lock.clear_poison());
                drop(lock.lock_or_repair(Deadline::Now, || true).unwrap());
            })
        },
        |scene, finished| {
            let lock = Lock::open(&scene.s, "it").unwrap();
            assert!(!finished || !lock.is_poisoned());
            scene.saw(if lock.is_poisoned() { "poisoned" } else { "free, to be repaired or repaired" });
            lock.clear_poison();
            drop(lock.lock_until(in_time()).unwrap());
            assert!(!lock.lock_until(in_time()).unwrap().owner_died());
        },
    )
}

fn set_event() -> Case {
    case(
        "set an event that another waits for",
        |scene| {
            let event = Event::create(&scene.s, "it").unwrap();
            scene.sleeper(|| event.wait_until(in_time()).is_ok());
        },
        |scene| {
            let event = Event::open(&scene.s, "it").unwrap();
            Box::new(move || event.set())
        },
        |scene, finished| {
            let event = Event::open(&scene.s, "it").unwrap();
            assert!(event.is_set() || !finished);
            scene.saw(if event.is_set() { "set, and who waits goes on" } else { "not set" });
            if !event.is_set() {
                event.set();
            }
            scene.join_helpers();
        },
    )
    .unaided()
}

fn free_or_told(owner_died: bool) -> &'static str {
    if owner_died { "free, and that its holder died" } else { "free" }
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(2))
}

/// A lock that somebody dead has.
fn held_by_the_dead(scene: &Scene) {
    drop(make(&scene.s, "lock", "it"));
    scene.holder(|| {
        let lock = Lock::open(&scene.s, "it").unwrap();
        acquired(lock.acquire(Deadline::Now));
        Box::new(lock)
    });
    scene.kill_helpers();
}

fn taken_over() -> Case {
    case(
        "wait for a lock whose holder has died",
        held_by_the_dead,
        |scene| {
            let lock = Lock::open(&scene.s, "it").unwrap();
            Box::new(move || {
                let guard = lock.lock_until(in_time()).unwrap();
                assert!(guard.owner_died());
                guard.unlock().unwrap();
            })
        },
        |scene, finished| {
            let lock = Lock::open(&scene.s, "it").unwrap();
            let guard = lock.lock_until(in_time()).unwrap();
            assert!(!guard.owner_died() || !finished);
            scene.saw(free_or_told(guard.owner_died()));
        },
    )
}

fn poisoned() -> Case {
    case(
        "lock, and poison what is behind repair",
        |scene| drop(make(&scene.s, "lock", "it")),
        |scene| {
            let lock = Lock::open(&scene.s, "it").unwrap();
            Box::new(move || lock.lock().unwrap().poison().unwrap())
        },
        |scene, finished| {
            let lock = Lock::open(&scene.s, "it").unwrap();
            assert!(!finished || lock.is_poisoned());
            scene.saw(if lock.is_poisoned() { "poisoned" } else { "free, and that its holder died, or not" });
            lock.clear_poison();
            drop(lock.lock_until(in_time()).unwrap());
            assert!(!lock.lock_until(in_time()).unwrap().owner_died());
        },
    )
}

fn acquired(result: Result<Acquired>) {
    assert_eq!(result.unwrap(), Acquired::Clean);
}

fn reentrant() -> Vec<Case> {
    let lock = |scene: &Scene| RLock::open(&scene.s, "it").unwrap();
    vec![case(
        "lock and unlock a reentrant lock twice",
        |scene| drop(make(&scene.s, "rlock", "it")),
        move |scene| {
            let lock = lock(scene);
            Box::new(move || drop((lock.lock().unwrap(), lock.lock().unwrap())))
        },
        move |scene, finished| {
            let lock = lock(scene);
            let (first, second) = (lock.lock_until(in_time()).unwrap(), lock.lock().unwrap());
            assert!(!first.owner_died() || !finished);
            scene.saw(free_or_told(first.owner_died()));
            drop((first, second));
            assert!(!lock.lock_until(in_time()).unwrap().owner_died());
            assert_eq!(lock.holder(), 0);
        },
    )]
}

fn readers_and_writers() -> Vec<Case> {
    type Use = fn(&RwLock);
    let lock = |scene: &Scene| RwLock::open(&scene.s, "it").unwrap();
    // Both can be had; that a writer died is told until a writer gave it back.
    let free = move |scene: &Scene, marked: bool| {
        let lock = lock(scene);
        let reader = lock.read_until(in_time()).unwrap();
        assert!(!reader.owner_died() || marked);
        scene.saw(free_or_told(reader.owner_died()));
        drop(reader);
        drop(lock.write_until(in_time()).unwrap());
        assert!(!lock.read_until(in_time()).unwrap().owner_died());
    };
    let make = |scene: &Scene| drop(make(&scene.s, "rwlock", "it"));
    let alone: [(&str, Use, bool); 2] = [
        ("read", |lock| drop((lock.read().unwrap(), lock.read().unwrap())), false),
        ("write", |lock| drop(lock.write().unwrap()), true),
    ];
    let mut cases: Vec<Case> = alone
        .map(|(what, work, writes)| {
            case(
                format!("{what} under a reader-writer lock"),
                make,
                move |scene| {
                    let lock = lock(scene);
                    Box::new(move || work(&lock))
                },
                move |scene, finished| free(scene, writes && !finished),
            )
        })
        .into();
    let beside: [(&str, Use, Use); 3] = [
        (
            "reading before a writer",
            |l| acquired(l.acquire_read(Deadline::Now)),
            |l| l.release_read().unwrap(),
        ),
        (
            "writing before a writer",
            |l| acquired(l.acquire_write(Deadline::Now)),
            |l| l.release_write().unwrap(),
        ),
        (
            "writing before a reader",
            |l| acquired(l.acquire_write(Deadline::Now)),
            |l| l.release_write().unwrap(),
        ),
    ];
    let in_vain: [(&str, Use, Use); 2] = [
        (
            "read",
            |lock| acquired(lock.acquire_write(Deadline::Now)),
            |lock| assert_eq!(kind(lock.read_until(soon()).map(drop)), ErrorKind::TimedOut),
        ),
        (
            "write",
            |lock| acquired(lock.acquire_read(Deadline::Now)),
            |lock| assert_eq!(kind(lock.write_until(soon()).map(drop)), ErrorKind::TimedOut),
        ),
    ];
    cases.extend(in_vain.map(|(what, acquire, wait)| {
        case(
            format!("wait in vain to {what}"),
            move |scene| {
                make(scene);
                scene.holder(|| {
                    let lock = lock(scene);
                    acquire(&lock);
                    Box::new(lock)
                });
            },
            move |scene| {
                let lock = lock(scene);
                Box::new(move || wait(&lock))
            },
            move |scene, finished| {
                let held = lock(scene).try_write().map(drop);
                assert_eq!(kind(held), ErrorKind::WouldBlock);
                scene.kill_helpers();
                scene.s.recover();
                // A writer that was killed before its turn counts as one that wrote.
                free(scene, what == "read" || !finished);
            },
        )
    }));
    cases.extend(beside.map(|(what, acquire, release)| {
        case(
            format!("end {what} that waits"),
            make,
            move |scene| {
                let lock = lock(scene);
                acquire(&lock);
                scene.orphan(|| match what.ends_with("writer") {
                    true => lock.write_until(in_time()).is_ok(),
                    false => lock.read_until(in_time()).is_ok(),
                });
                Box::new(move || release(&lock))
            },
            move |scene, _| {
                reap_orphans();
                scene.saw("who waits gets it, then");
                free(scene, true);
            },
        )
        .unaided()
    }));
    cases
}

fn conditions() -> Vec<Case> {
    let condition = |scene: &Scene| Condition::open(&scene.s, "it").unwrap();
    let flag = |scene: &Scene| Value::<u8>::open(&scene.s, "flag").unwrap();
    let make = |scene: &Scene| {
        drop(make(&scene.s, "condition", "it"));
        drop(Value::create(&scene.s, "flag", 0u8).unwrap());
    };
    let wait = |condition: &Condition, flag: &Value<u8>| {
        let Ok(_guard) = condition.lock_until(in_time()) else { return false };
        loop {
            match condition.wait_for(in_time(), || flag.get() == Ok(1)) {
                // One who was killed had the lock; what it protects is whole.
                Err(e) if e.kind() == ErrorKind::OwnerDied => {}
                result => return result == Ok(true),
            }
        }
    };
    let set = |condition: &Condition, flag: &Value<u8>| {
        let _guard = condition.lock_until(in_time()).unwrap();
        flag.set(1).unwrap();
        condition.notify_all().unwrap();
    };
    // Whoever was killed: another waits, and is notified.
    let check = move |scene: &Scene| {
        let (condition, flag) = (condition(scene), flag(scene));
        flag.set(0).unwrap();
        scene.sleeper(|| wait(&condition, &flag));
        set(&condition, &flag);
        scene.join_helpers();
        assert_eq!(condition.waiters(), 0);
        scene.saw("waiting and notifying work");
    };
    vec![
        case(
            "notify who waits",
            move |scene| {
                make(scene);
                let (condition, flag) = (condition(scene), flag(scene));
                scene.sleeper(|| wait(&condition, &flag));
            },
            move |scene| {
                let (condition, flag) = (condition(scene), flag(scene));
                Box::new(move || set(&condition, &flag))
            },
            move |scene, finished| {
                if !finished {
                    set(&condition(scene), &flag(scene));
                }
                scene.join_helpers();
                check(scene);
            },
        ),
        case(
            "wait in vain for a notification",
            make,
            move |scene| {
                let condition = condition(scene);
                Box::new(move || {
                    let _guard = condition.lock_until(in_time()).unwrap();
                    let error = condition.wait_timeout(Duration::from_millis(1)).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::TimedOut);
                })
            },
            move |scene, _| check(scene),
        ),
        case(
            "wait for a notification",
            make,
            move |scene| {
                let (condition, flag) = (condition(scene), flag(scene));
                // Notifies as soon as somebody waits, or the survivor says that nobody will.
                let notifier = fork(|| {
                    // SAFETY: prctl has no preconditions. It must not die with its parent.
                    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) };
                    wait_until("somebody waits", || condition.waiters() > 0 || flag.get().unwrap() == 2);
                    set(&condition, &flag);
                    0
                });
                assert!(notifier > 0);
                Box::new(move || assert!(wait(&condition, &flag)))
            },
            move |scene, finished| {
                if !finished && flag(scene).get().unwrap() == 0 {
                    flag(scene).set(2).unwrap();
                }
                reap_orphans();
                check(scene);
            },
        ),
    ]
}

fn barriers() -> Vec<Case> {
    let barrier = |scene: &Scene| Barrier::open(&scene.s, "it").unwrap();
    let wait = |barrier: &Barrier| {
        let result = barrier.wait_timeout(WATCHDOG);
        result.map_or_else(|e| e.kind() == ErrorKind::Broken, |number| number < 2)
    };
    vec![
        case(
            "come to a barrier where another waits",
            move |scene| {
                let barrier = Barrier::create(&scene.s, "it", 2).unwrap();
                scene.sleeper(|| wait(&barrier));
            },
            move |scene| {
                let barrier = barrier(scene);
                Box::new(move || assert_eq!(barrier.wait().unwrap(), 1))
            },
            move |scene, finished| {
                let barrier = barrier(scene);
                // Who was killed before it had come does not break it, and is waited for.
                if !finished && barrier.n_waiting() == 1 && !barrier.is_broken() {
                    assert!(wait(&barrier));
                }
                scene.join_helpers();
                scene.saw("who waits goes on, or is told that it is broken");
                barrier.reset().unwrap();
                scene.sleeper(|| barrier.wait_timeout(WATCHDOG) == Ok(0));
                assert_eq!(barrier.wait_timeout(WATCHDOG), Ok(1));
                scene.join_helpers();
            },
        ),
        ending("abort a barrier", |barrier| barrier.abort().unwrap()),
        ending("reset a barrier", |barrier| barrier.reset().unwrap()),
        ending("run the action of a barrier", |barrier| {
            assert_eq!(barrier.wait_with(in_time(), || true).unwrap(), 1);
        }),
        case(
            "come first to a barrier and give up",
            |scene| drop(Barrier::create(&scene.s, "it", 2).unwrap()),
            move |scene| {
                let barrier = barrier(scene);
                Box::new(move || {
                    let error = barrier.wait_timeout(Duration::from_millis(1)).unwrap_err();
                    assert_eq!(error.kind(), ErrorKind::Broken);
                    barrier.reset().unwrap();
                })
            },
            move |scene, finished| {
                let barrier = barrier(scene);
                assert!(!barrier.is_broken() || !finished);
                assert!(barrier.is_broken() || barrier.n_waiting() == 0, "a dead one waits");
                scene.saw(if barrier.is_broken() { "broken, to be reset" } else { "nobody waits" });
                barrier.reset().unwrap();
                scene.sleeper(|| barrier.wait_timeout(WATCHDOG) == Ok(0));
                assert_eq!(barrier.wait_timeout(WATCHDOG), Ok(1));
                scene.join_helpers();
            },
        ),
    ]
}
