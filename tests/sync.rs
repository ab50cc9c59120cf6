//! Reentrant and reader-writer locks, conditions, events, barriers, and semaphores that know who holds them:
//! what they do, and what they do when somebody is killed.

mod common;

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use common::*;
use sharecell::*;

const ROLES: &[Role] = &[("hold", hold), ("wait", wait), ("arrive", arrive)];

#[test]
#[ignore = "a role, run by the others"]
fn child() {
    act(ROLES);
}

fn open(args: &[String]) -> Segment {
    Segment::open(&args[0]).unwrap()
}

/// Holds the named object in the given way, says so, and waits to be killed.
fn hold(args: Args) {
    let s = open(&args);
    match args[1].as_str() {
        "lock" => {
            let l = Lock::open(&s, "lock").unwrap();
            let _guard = l.lock().unwrap();
            held();
        }
        "rlock" => {
            let l = RLock::open(&s, "rlock").unwrap();
            let _guards = (l.lock().unwrap(), l.lock().unwrap());
            held();
        }
        "read" => {
            let l = RwLock::open(&s, "rwlock").unwrap();
            let _guard = l.read().unwrap();
            held();
        }
        "write" => {
            let l = RwLock::open(&s, "rwlock").unwrap();
            let _guard = l.write().unwrap();
            held();
        }
        "undo" => {
            let m = Semaphore::open(&s, "undo").unwrap();
            m.acquire().unwrap();
            m.acquire().unwrap();
            held();
        }
        "condition" => {
            let c = Condition::open(&s, "condition").unwrap();
            let _guard = c.lock().unwrap();
            held();
        }
        other => panic!("{other}"),
    }
}

/// Waits for the condition, and says what came of it.
fn wait(args: Args) {
    let s = open(&args);
    let c = Condition::open(&s, "condition").unwrap();
    let _guard = c.lock().unwrap();
    say("waits");
    let _ = c.wait().unwrap();
    say("notified");
}

/// Arrives at the barrier, and says what came of it.
fn arrive(args: Args) {
    let s = open(&args);
    let b = Barrier::open(&s, &args[1]).unwrap();
    say("arrives");
    match b.wait() {
        Ok(number) => say(number),
        Err(e) => say(format!("{:?}", e.kind())),
    }
}

fn segment(test: &str) -> Segment {
    Segment::options().ephemeral(true).create(&format!("sync-{}-{test}", std::process::id())).unwrap()
}

#[test]
fn rlocks_count() {
    let s = segment("rlock");
    let l = RLock::create(&s, "rlock").unwrap();
    assert_eq!(kind(l.release()), ErrorKind::NotHeld);
    let outer = l.lock().unwrap();
    let inner = l.try_lock().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(kind(l.try_lock()), ErrorKind::WouldBlock);
            assert_eq!(kind(l.release()), ErrorKind::NotOwner);
        });
    });
    drop(inner);
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(kind(l.try_lock()), ErrorKind::WouldBlock));
    });
    drop(outer);
    std::thread::scope(|scope| {
        scope.spawn(|| drop(l.try_lock().unwrap()));
    });
    let mut other = spawn("hold", &[s.name(), "rlock"]);
    other.expect("held");
    assert_eq!(kind(l.lock_timeout(Duration::from_millis(2))), ErrorKind::TimedOut);
    other.kill();
    let guard = l.lock().unwrap();
    assert!(guard.owner_died() && !l.lock().unwrap().owner_died());
    drop(guard);
    assert!(!l.lock().unwrap().owner_died());
}

#[test]
fn rwlocks_share_and_exclude() {
    let s = segment("rwlock");
    let l = RwLock::create(&s, "rwlock").unwrap();
    let (a, b) = (l.read().unwrap(), l.try_read().unwrap());
    assert_eq!(kind(l.try_write()), ErrorKind::WouldBlock);
    assert_eq!(kind(l.write_timeout(Duration::from_millis(2))), ErrorKind::TimedOut);
    drop((a, b));
    let w = l.write().unwrap();
    assert_eq!(kind(l.try_read()), ErrorKind::WouldBlock);
    assert_eq!(kind(l.try_write()), ErrorKind::WouldBlock);
    drop(w);
    assert_eq!(kind(l.release_read()), ErrorKind::NotHeld);
    assert_eq!(kind(l.release_write()), ErrorKind::NotHeld);

    let sum = AtomicU32::new(0);
    let inside = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let _guard = l.write().unwrap();
                    assert_eq!(inside.fetch_add(1, SeqCst), 0);
                    sum.fetch_add(1, SeqCst);
                    inside.fetch_sub(1, SeqCst);
                }
            });
            scope.spawn(|| {
                for _ in 0..2_000 {
                    let _guard = l.read().unwrap();
                    assert_eq!(inside.load(SeqCst), 0);
                }
            });
        }
    });
    assert_eq!(sum.into_inner(), 6_000);
}

#[test]
fn a_writer_is_not_starved_and_the_dead_are_forgotten() {
    let s = segment("rwlock2");
    let l = RwLock::create(&s, "rwlock").unwrap();
    let mut reader = spawn("hold", &[s.name(), "read"]);
    reader.expect("held");
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| l.write().unwrap().owner_died());
        // Once a writer waits no new reader gets in, until the writer had its turn.
        wait_until("a waiting writer", || l.try_read().is_err());
        reader.kill();
        assert!(!writer.join().unwrap(), "a dead reader changes nothing");
    });
    let mut writer = spawn("hold", &[s.name(), "write"]);
    writer.expect("held");
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| l.read().unwrap().owner_died());
        writer.kill();
        assert!(waiting.join().unwrap());
    });
    assert!(l.read().unwrap().owner_died());
    assert!(l.write().unwrap().owner_died());
    assert!(!l.read().unwrap().owner_died() && !l.write().unwrap().owner_died());
}

#[test]
fn semaphores_bounded_and_with_undo() {
    let s = segment("semaphore");
    let m = Semaphore::create_with(&s, "bounded", &SemaphoreOptions::new(2).bounded()).unwrap();
    assert_eq!(kind(m.release(1)), ErrorKind::Overflow);
    m.acquire().unwrap();
    m.release(1).unwrap();
    assert_eq!(kind(Semaphore::open_or_create(&s, "bounded", 2)), ErrorKind::WrongType);

    let m = Semaphore::create_with(&s, "undo", &SemaphoreOptions::new(3).undo()).unwrap();
    assert_eq!(kind(m.release(1)), ErrorKind::NotHeld);
    let mut other = spawn("hold", &[s.name(), "undo"]);
    other.expect("held");
    assert_eq!(m.value(), 1);
    m.acquire().unwrap();
    assert_eq!(kind(m.try_acquire()), ErrorKind::WouldBlock);
    assert_eq!(kind(m.release(2)), ErrorKind::NotHeld);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| m.acquire());
        other.kill();
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(m.value(), 1);
    m.release(2).unwrap();
    assert_eq!(m.value(), 3);
}

#[test]
fn events_are_seen() {
    let s = segment("event");
    let e = Event::create(&s, "e").unwrap();
    assert_eq!(kind(e.wait_timeout(Duration::from_millis(2))), ErrorKind::TimedOut);
    std::thread::scope(|scope| {
        let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| e.wait())).collect();
        e.set();
        waiting.into_iter().for_each(|w| w.join().unwrap().unwrap());
    });
    assert!(e.is_set());
    e.wait().unwrap();
    e.clear();
    assert!(!Event::open(&s, "e").unwrap().is_set());
}

#[test]
fn conditions_notify_in_order() {
    let s = segment("condition");
    let c = Condition::create(&s, "condition").unwrap();
    assert_eq!(kind(c.notify_all()), ErrorKind::NotHeld);
    assert_eq!(kind(c.wait()), ErrorKind::NotHeld);
    let guard = c.lock().unwrap();
    assert_eq!(kind(c.wait_timeout(Duration::from_millis(2))), ErrorKind::TimedOut);
    assert!(!c.wait_for(Deadline::after(Duration::from_millis(2)), || false).unwrap());
    drop(guard);
    let mut waiters: Vec<Process> = Vec::new();
    for n in 1..=3 {
        waiters.push(spawn("wait", &[s.name()]));
        waiters[n - 1].expect("waits");
        wait_until("a waiter", || c.waiters() == n);
    }
    for (n, waiter) in waiters.iter_mut().enumerate() {
        let _guard = c.lock().unwrap();
        c.notify(1).unwrap();
        drop(_guard);
        waiter.expect("notified");
        assert_eq!(c.waiters(), 2 - n);
    }
}

#[test]
fn a_notification_spent_on_the_dead_passes_on() {
    let s = segment("passes");
    let c = Condition::create(&s, "condition").unwrap();
    let mut first = spawn("wait", &[s.name()]);
    first.expect("waits");
    wait_until("the first", || c.waiters() == 1);
    let mut second = spawn("wait", &[s.name()]);
    second.expect("waits");
    wait_until("the second", || c.waiters() == 2);
    {
        // The lock is ours, so the first one is notified and cannot go on; then it is killed.
        let _guard = c.lock().unwrap();
        c.notify(1).unwrap();
        assert_eq!(c.waiters(), 1);
        first.kill();
        wait_until("the sweep", || {
            s.recover();
            c.waiters() == 0
        });
    }
    second.expect("notified");
    // One who is killed while it waits is forgotten, and one who is killed with the lock is told of.
    let mut third = spawn("wait", &[s.name()]);
    third.expect("waits");
    wait_until("the third", || c.waiters() == 1);
    third.kill();
    wait_until("the sweep", || {
        s.recover();
        c.waiters() == 0
    });
    let mut holder = spawn("hold", &[s.name(), "condition"]);
    holder.expect("held");
    holder.kill();
    assert!(c.lock().unwrap().owner_died());
}

#[test]
fn barriers_meet() {
    let s = segment("barrier");
    let b = Barrier::create(&s, "barrier", 3).unwrap();
    assert_eq!((b.parties(), b.n_waiting(), b.is_broken()), (3, 0, false));
    let actions = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for round in 0..500 {
                    let action = || {
                        actions.fetch_add(1, SeqCst);
                        true
                    };
                    b.wait_with(Deadline::Never, action).unwrap();
                    assert!(actions.load(SeqCst) > round, "nobody goes on before the action");
                }
            });
        }
    });
    assert_eq!(actions.into_inner(), 500);
    let mut others = [spawn("arrive", &[s.name(), "barrier"]), spawn("arrive", &[s.name(), "barrier"])];
    let mut numbers = vec![b.wait().unwrap().to_string()];
    for other in &mut others {
        other.expect("arrives");
        numbers.push(other.line());
    }
    numbers.sort();
    assert_eq!(numbers, ["0", "1", "2"]);
}

#[test]
fn barriers_break() {
    let s = segment("broken");
    let b = Barrier::create(&s, "barrier", 3).unwrap();
    // One who has arrived is killed.
    let mut dead = spawn("arrive", &[s.name(), "barrier"]);
    dead.expect("arrives");
    wait_until("the arrival", || b.n_waiting() == 1);
    let mut other = spawn("arrive", &[s.name(), "barrier"]);
    other.expect("arrives");
    wait_until("the second arrival", || b.n_waiting() == 2);
    dead.kill();
    other.expect("Broken");
    assert!(b.is_broken() && b.n_waiting() == 0);
    assert_eq!(kind(b.wait()), ErrorKind::Broken);
    b.reset().unwrap();
    // A timeout, an abort, a reset, a failed action.
    assert_eq!(kind(b.wait_timeout(Duration::from_millis(2))), ErrorKind::Broken);
    b.reset().unwrap();
    for end in [Barrier::abort, Barrier::reset] {
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| b.wait());
            wait_until("the arrival", || b.n_waiting() == 1);
            end(&b).unwrap();
            assert_eq!(kind(waiting.join().unwrap()), ErrorKind::Broken);
        });
        b.reset().unwrap();
    }
    let b = Barrier::create(&s, "alone", 1).unwrap();
    assert_eq!(kind(b.wait_with(Deadline::Never, || false)), ErrorKind::Broken);
    assert!(b.is_broken());
    b.reset().unwrap();
    assert_eq!(b.wait().unwrap(), 0);
}

#[test]
fn the_last_one_at_a_barrier_looks_after_those_who_came() {
    let s = segment("last");
    // With nobody asleep at the barrier nobody has noticed the death.
    let b = Barrier::create(&s, "two", 2).unwrap();
    let mut dead = spawn("arrive", &[s.name(), "two"]);
    dead.expect("arrives");
    wait_until("the arrival", || b.n_waiting() == 1);
    dead.kill();
    assert_eq!(kind(b.wait()), ErrorKind::Broken);
    assert!(b.is_broken());
    b.reset().unwrap();
    let mut other = spawn("arrive", &[s.name(), "two"]);
    other.expect("arrives");
    let numbers = [b.wait().unwrap().to_string(), other.line()];
    assert!(numbers == ["0", "1"] || numbers == ["1", "0"]);
}

#[test]
fn a_lock_is_repaired_or_given_up() {
    let s = segment("poison");
    let l = Lock::create(&s, "lock").unwrap();
    let die_holding = || {
        let mut other = spawn("hold", &[s.name(), "lock"]);
        other.expect("held");
        other.kill();
    };
    die_holding();
    let mut repaired = false;
    let guard = l.lock_or_repair(Deadline::Never, || {
        // Nobody else gets in before the repair is done.
        assert_eq!(kind(l.try_lock()), ErrorKind::WouldBlock);
        repaired = true;
        true
    });
    assert!(!guard.unwrap().owner_died() && repaired);
    assert!(!l.lock_or_repair(Deadline::Never, || panic!("nobody died")).unwrap().owner_died());
    die_holding();
    std::thread::scope(|scope| {
        let guard = l.lock().unwrap();
        let waiting = scope.spawn(|| kind(l.lock()));
        guard.poison().unwrap();
        assert_eq!(waiting.join().unwrap(), ErrorKind::Poisoned);
    });
    assert_eq!(kind(l.try_lock()), ErrorKind::Poisoned);
    assert!(l.is_poisoned() && l.clear_poison() && !l.clear_poison());
    assert!(!l.lock().unwrap().owner_died());
}
