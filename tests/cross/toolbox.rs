//! Reentrant and reader-writer locks, conditions, events, barriers, bounded and owned permits, poison, work:
//! one uses what the other has created, and one is killed while it holds or waits, or wherever it is.

use std::time::{Duration, Instant};

use sharecell::ErrorKind::*;

use crate::case;
use crate::driver::{Agent, Case, Pair};
use crate::kills::{LOOKS, rounds};

/// What another one does is to be seen within this time.
const WATCHDOG: Duration = Duration::from_secs(180);

/// Asks until the answer is this one.
#[track_caller]
pub fn until(agent: &mut Agent, command: &str, want: &str) {
    let start = Instant::now();
    while agent.ask(command) != want {
        assert!(start.elapsed() < WATCHDOG, "`{command}` never gave {want}");
        std::thread::yield_now();
    }
}

/// One more agent in the segment of a pair, which ends with the case.
pub fn third(pair: &Pair) -> Agent {
    let mut agent = Agent::start(pair.b.language);
    agent.does(&format!("segment open {}", pair.segment));
    agent
}

/// Has an agent wait for a condition. Whoever gets its lock after this knows that it waits.
fn wait_for_condition(agent: &mut Agent) {
    agent.says("condition acquire c -1", "clean");
    agent.tell("condition wait c -1");
}

/// Whoever waits for a condition hears of it, and gives the lock back.
#[track_caller]
fn is_notified(agent: &mut Agent, how: &str) {
    agent.hears(how);
    agent.does("condition release c");
}

/// A try to read is in vain as soon as a writer waits, also for one who reads already.
#[track_caller]
fn until_turned_away(agent: &mut Agent) {
    let start = Instant::now();
    loop {
        agent.tell("rwlock read o 0");
        match agent.hear() {
            Ok(_) => agent.does("rwlock release_read o"),
            Err((code, _)) if code == WouldBlock.code() => return,
            Err(e) => panic!("{e:?}"),
        }
        assert!(start.elapsed() < WATCHDOG, "no writer ever waited");
        std::thread::yield_now();
    }
}

/// Both meet at a barrier for two.
#[track_caller]
fn meet(a: &mut Agent, b: &mut Agent) {
    a.tell("barrier wait m -1");
    b.tell("barrier wait m -1");
    let mut numbers = [a.hear_ok(), b.hear_ok()];
    numbers.sort();
    assert_eq!(numbers, ["0", "1"]);
}

pub fn uses() -> Vec<Case> {
    let locks = [
        case("a reentrant lock", |Pair { a, b, .. }| {
            a.does("rlock create o");
            b.does("rlock open o");
            b.fails("rlock release o", NotHeld);
            for _ in 0..3 {
                a.says("rlock acquire o -1", "clean");
            }
            for _ in 0..2 {
                a.does("rlock release o");
                b.fails("rlock acquire o 0", WouldBlock);
            }
            b.fails("rlock acquire o 5", TimedOut);
            b.fails("rlock release o", NotOwner);
            b.says("rlock is_held o", "1");
            b.tell("rlock acquire o -1");
            a.does("rlock release o");
            b.hears("clean");
            a.fails("rlock release o", NotOwner);
            b.does("rlock release o");
            a.says("rlock is_held o", "0");
            a.fails("rlock release o", NotHeld);
        }),
        case("many readers or one writer", |Pair { a, b, .. }| {
            a.does("rwlock create o");
            b.does("rwlock open o");
            a.says("rwlock read o -1", "clean");
            b.says("rwlock read o 0", "clean");
            b.does("rwlock release_read o");
            b.fails("rwlock release_read o", NotHeld);
            b.fails("rwlock release_write o", NotHeld);
            b.fails("rwlock write o 0", WouldBlock);
            b.fails("rwlock write o 5", TimedOut);
            b.tell("rwlock write o -1");
            a.does("rwlock release_read o");
            b.hears("clean");
            a.fails("rwlock read o 0", WouldBlock);
            a.fails("rwlock read o 5", TimedOut);
            a.fails("rwlock write o 0", WouldBlock);
            a.fails("rwlock release_write o", NotOwner);
            a.tell("rwlock read o -1");
            b.does("rwlock release_write o");
            a.hears("clean");
            a.does("rwlock release_read o");
        }),
        case("a writer that readers do not starve", |Pair { a, b, .. }| {
            a.does("rwlock create o");
            b.does("rwlock open o");
            a.says("rwlock read o -1", "clean");
            b.tell("rwlock write o -1");
            until_turned_away(a);
            a.does("rwlock release_read o");
            b.hears("clean");
            b.does("rwlock release_write o");
        }),
        case("a poisoned lock", |Pair { a, b, .. }| {
            a.does("lock create o");
            b.does("lock open o");
            b.fails("lock poison o", NotHeld);
            a.says("lock acquire o -1", "clean");
            b.fails("lock poison o", NotOwner);
            b.tell("lock acquire o -1");
            a.does("lock poison o");
            b.hear_error(Poisoned);
            b.fails("lock acquire o 0", Poisoned);
            a.fails("lock acquire o 5", Poisoned);
            a.fails("lock release o", NotHeld);
            b.says("lock clear_poison o", "1");
            a.says("lock clear_poison o", "0");
            a.says("lock acquire o 0", "clean");
            a.does("lock release o");
        }),
    ];
    let semaphores = [
        case("a bounded semaphore", |Pair { a, b, .. }| {
            a.does("semaphore create s 2 bounded");
            b.does("semaphore open s");
            b.fails("semaphore release s 1", Overflow);
            a.does("semaphore acquire s -1");
            b.fails("semaphore release s 2", Overflow);
            b.says("semaphore value s", "1");
            // A permit belongs to nobody.
            b.does("semaphore release s 1");
            a.fails("semaphore release s 1", Overflow);
            a.says("semaphore value s", "2");
        }),
        case("a semaphore whose permits are owned", |Pair { a, b, .. }| {
            a.does("semaphore create s 2 undo");
            b.does("semaphore open s");
            b.fails("semaphore release s 1", NotHeld);
            a.does("semaphore acquire s -1");
            b.does("semaphore acquire s -1");
            b.fails("semaphore release s 2", NotHeld);
            a.fails("semaphore acquire s 0", WouldBlock);
            a.tell("semaphore acquire s -1");
            b.does("semaphore release s 1");
            a.hears("");
            b.says("semaphore value s", "0");
            b.fails("semaphore acquire s 5", TimedOut);
            b.fails("semaphore release s 1", NotHeld);
            a.does("semaphore release s 2");
            b.says("semaphore value s", "2");
        }),
    ];
    let meetings = [
        case("a condition", |Pair { a, b, .. }| {
            a.does("condition create c");
            b.does("condition open c");
            b.fails("condition wait c 5", NotHeld);
            b.fails("condition notify c 1", NotHeld);
            b.fails("condition release c", NotHeld);
            for notify in ["condition notify c 1", "condition notify_all c"] {
                wait_for_condition(a);
                b.says("condition acquire c -1", "clean");
                b.says("condition waiters c", "1");
                b.does(notify);
                b.does("condition release c");
                is_notified(a, "clean");
            }
            a.says("condition acquire c -1", "clean");
            b.fails("condition acquire c 0", WouldBlock);
            b.fails("condition wait c 5", NotOwner);
            b.fails("condition notify_all c", NotOwner);
            b.fails("condition release c", NotOwner);
            // Nobody waits, and a notification is not kept.
            a.does("condition notify c 1");
            a.fails("condition wait c 5", TimedOut);
            a.does("condition release c");
            b.says("condition waiters c", "0");
        }),
        case("a condition under a lock that was taken twice", |Pair { a, b, .. }| {
            b.does("condition create c");
            a.does("condition open c");
            a.says("condition acquire c -1", "clean");
            wait_for_condition(a);
            b.says("condition acquire c -1", "clean");
            b.does("condition notify c 5");
            b.does("condition release c");
            is_notified(a, "clean");
            b.fails("condition acquire c 0", WouldBlock);
            a.does("condition release c");
            b.says("condition acquire c 0", "clean");
            b.does("condition release c");
        }),
        case("an event", |Pair { a, b, .. }| {
            a.does("event create e");
            b.does("event open e");
            b.says("event is_set e", "0");
            b.fails("event wait e 0", WouldBlock);
            b.fails("event wait e 5", TimedOut);
            b.tell("event wait e -1");
            a.does("event set e");
            b.hears("");
            b.does("event wait e 0");
            b.does("event clear e");
            a.says("event is_set e", "0");
            a.tell("event wait e 30000");
            b.does("event set e");
            a.hears("");
            a.says("event is_set e", "1");
        }),
        case("a barrier", |Pair { a, b, .. }| {
            a.does("barrier create m 2");
            b.does("barrier open m");
            b.says("barrier parties m", "2");
            for _ in 0..10 {
                meet(a, b);
            }
            a.tell("barrier wait m -1");
            until(b, "barrier n_waiting m", "1");
            b.says("barrier wait m 30000", "1");
            a.hears("0");
        }),
        case("a broken barrier", |Pair { a, b, .. }| {
            a.does("barrier create m 2");
            b.does("barrier open m");
            a.tell("barrier wait m -1");
            until(b, "barrier n_waiting m", "1");
            b.does("barrier abort m");
            a.hear_error(Broken);
            b.fails("barrier wait m -1", Broken);
            a.says("barrier is_broken m", "1");
            a.does("barrier reset m");
            b.says("barrier is_broken m", "0");
            meet(a, b);
            b.fails("barrier wait m 5", Broken);
            a.fails("barrier wait m -1", Broken);
            b.does("barrier reset m");
            a.tell("barrier wait m -1");
            until(b, "barrier n_waiting m", "1");
            b.does("barrier reset m");
            a.hear_error(Broken);
            meet(a, b);
        }),
    ];
    let work = [
        case("work that is waited for", |Pair { a, b, .. }| {
            a.does("queue create q 4 0 joinable");
            b.does("queue open q");
            a.does("queue join q 0");
            a.says("queue put_many q -1 01 *200000:1", "2");
            a.fails("queue join q 0", WouldBlock);
            b.says("queue get q -1", "01");
            b.says("queue get q -1", "*200000:1");
            a.fails("queue join q 5", TimedOut);
            a.fails("queue task_done q", NotHeld);
            b.does("queue task_done q");
            a.fails("queue join q 5", TimedOut);
            a.tell("queue join q -1");
            b.does("queue task_done q");
            a.hears("");
            b.fails("queue task_done q", NotHeld);
        }),
        case("work that is waited for, in place", |Pair { a, b, .. }| {
            a.does("queue create q 4 0 joinable");
            b.does("queue open q");
            a.does("queue put q -1 01");
            b.ask("queue recv q -1");
            b.does("queue put_back q");
            b.ask("queue recv q -1");
            a.fails("queue join q 5", TimedOut);
            a.tell("queue join q -1");
            b.does("queue release q");
            a.hears("");
            b.fails("queue task_done q", NotHeld);
        }),
        case("a queue that cannot be waited for", |Pair { a, b, .. }| {
            a.does("queue create q 4 0");
            b.does("queue open q");
            b.fails("queue join q -1", Unsupported);
            b.fails("queue task_done q", Unsupported);
        }),
        case("what there is", |Pair { a, b, .. }| {
            a.does("rlock create r");
            a.does("condition create c");
            a.does("event create e");
            a.does("barrier create m 7");
            a.does("rwlock create w");
            b.says("segment objects", "c:8:-:1 e:9:-:1 m:10:-:7 r:7:-:1 w:11:-:1");
        }),
    ];
    locks.into_iter().chain(semaphores).chain(meetings).chain(work).collect()
}

pub fn kills() -> Vec<Case> {
    let locks = [
        case("a reentrant lock, taken twice", |Pair { a, b, .. }| {
            a.does("rlock create o");
            b.does("rlock open o");
            a.says("rlock acquire o -1", "clean");
            a.says("rlock acquire o -1", "clean");
            b.fails("rlock acquire o 0", WouldBlock);
            a.kill();
            b.says("rlock acquire o -1", "died");
            b.ask("rlock acquire o 0");
            b.does("rlock release o");
            b.does("rlock release o");
            b.says("rlock is_held o", "0");
            b.says("rlock acquire o 0", "clean");
            b.does("rlock release o");
        }),
        case("a reentrant lock that the other waits for", |Pair { a, b, .. }| {
            b.does("rlock create o");
            a.does("rlock open o");
            a.says("rlock acquire o -1", "clean");
            b.tell("rlock acquire o -1");
            a.kill();
            b.hears("died");
            b.does("rlock release o");
        }),
        case("a reader", |Pair { a, b, .. }| {
            a.does("rwlock create o");
            b.does("rwlock open o");
            a.says("rwlock read o -1", "clean");
            b.fails("rwlock write o 0", WouldBlock);
            b.tell("rwlock write o -1");
            a.kill();
            b.hears("clean");
            b.does("rwlock release_write o");
        }),
        case("one of two readers", |Pair { a, b, .. }| {
            a.does("rwlock create o");
            b.does("rwlock open o");
            a.says("rwlock read o -1", "clean");
            b.says("rwlock read o -1", "clean");
            a.kill();
            b.fails("rwlock write o 5", TimedOut);
            b.does("rwlock release_read o");
            b.says("rwlock write o -1", "clean");
            b.does("rwlock release_write o");
        }),
        case("a writer", |Pair { a, b, .. }| {
            a.does("rwlock create o");
            b.does("rwlock open o");
            a.says("rwlock write o -1", "clean");
            b.fails("rwlock read o 0", WouldBlock);
            b.tell("rwlock read o -1");
            a.kill();
            b.hears("died");
            b.does("rwlock release_read o");
            // Only a writer can repair it.
            b.says("rwlock write o -1", "died");
            b.does("rwlock release_write o");
            b.says("rwlock read o -1", "clean");
            b.does("rwlock release_read o");
        }),
        case("a writer that another one waits for", |Pair { a, b, .. }| {
            b.does("rwlock create o");
            a.does("rwlock open o");
            a.says("rwlock write o -1", "clean");
            b.tell("rwlock write o -1");
            a.kill();
            b.hears("died");
            b.does("rwlock release_write o");
            b.says("rwlock write o 0", "clean");
            b.does("rwlock release_write o");
        }),
        case("a writer that waits", |Pair { a, b, .. }| {
            a.does("rwlock create o");
            b.does("rwlock open o");
            b.says("rwlock read o -1", "clean");
            a.tell("rwlock write o -1");
            until_turned_away(b);
            a.kill();
            b.does("rwlock release_read o");
            b.ask("rwlock write o -1");
            b.does("rwlock release_write o");
            b.says("rwlock read o -1", "clean");
            b.does("rwlock release_read o");
        }),
        case("a lock, and what it protects is beyond repair", |pair| {
            pair.a.does("lock create o");
            pair.b.does("lock open o");
            pair.a.says("lock acquire o -1", "clean");
            pair.a.kill();
            pair.b.says("lock acquire o -1", "died");
            pair.b.does("lock poison o");
            pair.replace_a();
            pair.a.does("lock open o");
            pair.a.fails("lock acquire o -1", Poisoned);
            pair.a.says("lock clear_poison o", "1");
            pair.a.ask("lock acquire o -1");
            pair.a.does("lock release o");
            pair.b.says("lock acquire o -1", "clean");
            pair.b.does("lock release o");
        }),
    ];
    let permits = [
        case("permits that come back", |Pair { a, b, .. }| {
            a.does("semaphore create s 2 undo");
            b.does("semaphore open s");
            a.does("semaphore acquire s -1");
            a.does("semaphore acquire s -1");
            b.fails("semaphore acquire s 0", WouldBlock);
            a.kill();
            b.does("semaphore acquire s -1");
            b.does("semaphore acquire s -1");
            b.fails("semaphore acquire s 5", TimedOut);
            b.does("semaphore release s 2");
            b.says("semaphore value s", "2");
        }),
        case("a permit that the other waits for", |Pair { a, b, .. }| {
            b.does("semaphore create s 1 undo");
            a.does("semaphore open s");
            a.does("semaphore acquire s -1");
            b.tell("semaphore acquire s -1");
            a.kill();
            b.hears("");
            b.does("semaphore release s 1");
        }),
    ];
    let meetings = [
        case("the lock of a condition", |Pair { a, b, .. }| {
            a.does("condition create c");
            b.does("condition open c");
            wait_for_condition(b);
            a.says("condition acquire c -1", "clean");
            a.does("condition notify c 1");
            a.kill();
            is_notified(b, "died");
            b.says("condition acquire c -1", "clean");
            b.does("condition release c");
        }),
        case("a condition that both wait for", |pair| {
            pair.a.does("condition create c");
            pair.b.does("condition open c");
            wait_for_condition(&mut pair.a);
            wait_for_condition(&mut pair.b);
            pair.a.kill();
            pair.replace_a();
            pair.a.does("condition open c");
            pair.a.says("condition acquire c -1", "clean");
            // The one that had waited longest is dead.
            pair.a.does("condition notify c 1");
            pair.a.does("condition release c");
            is_notified(&mut pair.b, "clean");
        }),
        case("a notification that was spent", |pair| {
            let mut other = third(pair);
            let Pair { a, b, .. } = pair;
            a.does("condition create c");
            b.does("condition open c");
            other.does("condition open c");
            wait_for_condition(a);
            wait_for_condition(&mut other);
            b.says("condition acquire c -1", "clean");
            b.says("condition waiters c", "2");
            b.does("condition notify c 1");
            // It needs the lock to go on, and does not get it any more.
            a.kill();
            b.does("condition release c");
            is_notified(&mut other, "clean");
            other.does("reset");
        }),
        case("an event that is waited for", |Pair { a, b, .. }| {
            a.does("event create e");
            b.does("event open e");
            a.tell("event wait e -1");
            a.kill();
            b.does("event set e");
            b.does("event wait e 0");
        }),
        case("who has set an event", |Pair { a, b, .. }| {
            a.does("event create e");
            b.does("event open e");
            b.tell("event wait e -1");
            a.does("event set e");
            a.kill();
            b.hears("");
            b.says("event is_set e", "1");
        }),
        case("a party, while another waits", |Pair { a, b, .. }| {
            a.does("barrier create m 3");
            b.does("barrier open m");
            a.tell("barrier wait m -1");
            until(b, "barrier n_waiting m", "1");
            b.tell("barrier wait m -1");
            a.kill();
            b.hear_error(Broken);
            b.says("barrier is_broken m", "1");
            b.fails("barrier wait m -1", Broken);
        }),
        case("a party, before the other comes", |pair| {
            let Pair { a, b, .. } = pair;
            a.does("barrier create m 2");
            b.does("barrier open m");
            a.tell("barrier wait m -1");
            until(b, "barrier n_waiting m", "1");
            a.kill();
            b.does("segment recover");
            b.fails("barrier wait m -1", Broken);
            pair.replace_a();
            let Pair { a, b, .. } = pair;
            a.does("barrier open m");
            a.fails("barrier wait m -1", Broken);
            b.does("barrier reset m");
            meet(a, b);
        }),
    ];
    let work = [
        case("work that was taken and is not done", |Pair { a, b, .. }| {
            a.does("queue create q 4 0 joinable");
            b.does("queue open q");
            b.says("queue put_many q -1 01 02", "2");
            a.says("queue get_many q -1 2", "01 02");
            a.does("queue task_done q");
            b.fails("queue join q 5", TimedOut);
            b.tell("queue join q -1");
            a.kill();
            b.hears("");
            b.fails("queue get q 0", WouldBlock);
        }),
        case("work in place", |Pair { a, b, .. }| {
            a.does("queue create q 4 0 joinable");
            b.does("queue open q");
            b.does("queue put q -1 01");
            a.ask("queue recv q -1");
            a.kill();
            // It is delivered again, and only then can it be done.
            b.fails("queue join q 5", TimedOut);
            b.says("queue get q -1", "01");
            b.fails("queue join q 5", TimedOut);
            b.does("queue task_done q");
            b.does("queue join q -1");
        }),
        case("who waits for work to be done", |Pair { a, b, .. }| {
            a.does("queue create q 4 0 joinable");
            b.does("queue open q");
            b.does("queue put q -1 01");
            a.tell("queue join q -1");
            a.kill();
            b.says("queue get q -1", "01");
            b.does("queue task_done q");
            b.does("queue join q -1");
        }),
    ];
    locks.into_iter().chain(permits).chain(meetings).chain(work).collect()
}

/// One does something over and over and is killed; the other does the same meanwhile, and after it.
fn hammer(pair: &mut Pair, kind: &str, create: &str, commands: &[(&str, &[&str])]) {
    let work = |agent: &mut Agent, also: &[&str]| {
        for (command, answers) in commands {
            let have = agent.ask(command);
            assert!(answers.contains(&have.as_str()) || also.contains(&have.as_str()), "{command}: {have}");
        }
    };
    pair.b.does(create);
    rounds(pair, &format!("{kind} open o"), |Pair { a, b, .. }| {
        a.does("hammer o - -");
        for _ in 0..LOOKS {
            work(b, &[]);
        }
        a.kill();
        work(b, &["died"]);
        work(b, &[]);
    });
}

pub fn anywhere() -> Vec<Case> {
    vec![
        case("a reentrant lock", |pair| {
            let commands: [(&str, &[&str]); 2] =
                [("rlock acquire o -1", &["clean"]), ("rlock release o", &[""])];
            hammer(pair, "rlock", "rlock create o", &commands);
        }),
        case("a reader-writer lock", |pair| {
            let commands: [(&str, &[&str]); 4] = [
                ("rwlock read o -1", &["clean"]),
                ("rwlock release_read o", &[""]),
                ("rwlock write o -1", &["clean"]),
                ("rwlock release_write o", &[""]),
            ];
            hammer(pair, "rwlock", "rwlock create o", &commands);
        }),
        case("a condition", |pair| {
            let commands: [(&str, &[&str]); 3] = [
                ("condition acquire o -1", &["clean"]),
                ("condition notify_all o", &[""]),
                ("condition release o", &[""]),
            ];
            hammer(pair, "condition", "condition create o", &commands);
        }),
        case("an event", |pair| {
            let commands: [(&str, &[&str]); 3] =
                [("event set o", &[""]), ("event is_set o", &["0", "1"]), ("event clear o", &[""])];
            hammer(pair, "event", "event create o", &commands);
        }),
        case("a semaphore whose permits come back", |pair| {
            let commands: [(&str, &[&str]); 2] =
                [("semaphore acquire o -1", &[""]), ("semaphore release o 1", &[""])];
            hammer(pair, "semaphore", "semaphore create o 1 undo", &commands);
        }),
        case("a barrier for one", |pair| {
            pair.b.does("barrier create o 1");
            rounds(pair, "barrier open o", |Pair { a, b, .. }| {
                a.does("hammer o - -");
                for _ in 0..LOOKS {
                    b.says("barrier wait o -1", "0");
                }
                a.kill();
                b.does("segment recover");
                // Killed after it had come, it has broken the barrier.
                b.does("barrier reset o");
                b.says("barrier wait o -1", "0");
            });
        }),
        case("work", |pair| {
            pair.b.does("queue create o 3 0 joinable");
            rounds(pair, "queue open o", |Pair { a, b, .. }| {
                a.does("hammer o 0102 *200000:7");
                for _ in 0..LOOKS {
                    b.does("queue put o -1 aa");
                    b.ask("queue get o -1");
                    b.does("queue task_done o");
                }
                a.kill();
                b.does("segment recover");
                while b.ask("queue empty o") == "0" {
                    b.ask("queue get o -1");
                    b.does("queue task_done o");
                }
                // What the other had got counts as done.
                b.does("queue join o -1");
                b.fails("queue task_done o", NotHeld);
            });
        }),
    ]
}
