//! A wake that is spent on somebody who dies is not lost: of two who sleep over the same thing the first is killed, and
//! the other still gets what came. Everything that wakes is tried:
//!
//! | what | how it is woken |
//! |---|---|
//! | lock, rlock, rwlock (each side), a condition's, value's and array's lock | released |
//! | semaphore | a permit is released |
//! | condition | one notification |
//! | event | set |
//! | barrier | the death itself: it breaks |
//! | queue, pipe (get, recv, put, reserve) | one item put or taken |
//! | join | the last item is done |
//! | `wait_any`, bell | one of what they wait for |

mod common;

use std::os::fd::AsFd;

use common::*;
use sharecell::*;

#[test]
#[ignore = "the other side of these tests; they start it"]
fn child() {
    act(&[("wait", wait)]);
}

fn in_time() -> Deadline {
    Deadline::after(WATCHDOG)
}

/// Waits for what the second argument says, says what came of it, and keeps it.
fn wait(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let what = args[1].as_str();
    let got = match what {
        "semaphore" => told(|| Semaphore::open(&s, what).unwrap().acquire_until(in_time()).unwrap()),
        "event" => told(|| Event::open(&s, what).unwrap().wait_until(in_time()).unwrap()),
        "barrier" => {
            let barrier = Barrier::open(&s, what).unwrap();
            say("waits");
            format!("{:?}", barrier.wait_timeout(WATCHDOG).map_err(|e| e.kind()))
        }
        "condition" => {
            let condition = Condition::open(&s, what).unwrap();
            let _guard = condition.lock().unwrap();
            told(|| condition.wait_until(in_time()).unwrap())
        }
        "join" => told(|| Queue::open(&s, what).unwrap().join(in_time()).unwrap()),
        _ if what.starts_with("queue") => wait_for_queue(&Queue::open(&s, "queue").unwrap(), what),
        _ if what.starts_with("pipe") => wait_for_pipe(&s, what),
        _ if what.starts_with("any") => wait_for_any(&s, what),
        _ => wait_for_lock(&s, what),
    };
    say(got);
    park()
}

fn told<T>(wait: impl FnOnce() -> T) -> String {
    say("waits");
    // What was got is kept by a process that lives on.
    std::mem::forget(wait());
    "woken".to_owned()
}

fn wait_for_lock(s: &Segment, what: &str) -> String {
    match what {
        "lock" => told(|| Lock::open(s, what).unwrap().acquire(in_time()).unwrap()),
        "rlock" => told(|| RLock::open(s, what).unwrap().acquire(in_time()).unwrap()),
        "a reader" => told(|| RwLock::open(s, "rwlock").unwrap().acquire_read(in_time()).unwrap()),
        "a writer" => told(|| RwLock::open(s, "rwlock").unwrap().acquire_write(in_time()).unwrap()),
        "a condition's lock" => told(|| Condition::open(s, "condition").unwrap().acquire(in_time()).unwrap()),
        "a value's lock" => {
            let value = Value::<i64>::open(s, "value").unwrap();
            told(|| drop(value.lock_until(in_time()).unwrap()))
        }
        "an array's lock" => {
            let array = Array::<u8>::open(s, "array").unwrap();
            told(|| drop(array.lock_until(in_time()).unwrap()))
        }
        other => panic!("{other}"),
    }
}

fn wait_for_queue(q: &Queue, what: &str) -> String {
    match what {
        "queue: get" => told(|| q.get_until(in_time()).unwrap()),
        "queue: recv" => told(|| drop(q.recv(in_time()).unwrap())),
        "queue: get_many" => told(|| q.get_many_until(3, in_time()).unwrap()),
        "queue: put" => told(|| q.put_until(b"x", in_time()).unwrap()),
        "queue: reserve" => told(|| q.reserve(1, in_time()).unwrap().commit().unwrap()),
        other => panic!("{other}"),
    }
}

fn wait_for_pipe(s: &Segment, what: &str) -> String {
    let open = |end| Pipe::open(s, "pipe", end).unwrap();
    match what {
        "pipe: recv" => told(|| open(End::A).recv_until(in_time()).unwrap()),
        "pipe: recv in place" => {
            let pipe = open(End::A);
            told(|| drop(pipe.recv_in_place(in_time()).unwrap()))
        }
        "pipe: send" => told(|| open(End::B).send_until(b"x", in_time()).unwrap()),
        other => panic!("{other}"),
    }
}

fn wait_for_any(s: &Segment, what: &str) -> String {
    let event = Event::open(s, "event").unwrap();
    match what {
        "any: queue" => {
            let q = Queue::open(s, "queue").unwrap();
            told(|| wait_any(&[event.when_set(), q.readable()], in_time()).unwrap())
        }
        "any: semaphore" => {
            let semaphore = Semaphore::open(s, "semaphore").unwrap();
            told(|| wait_any(&[event.when_set(), semaphore.when_free()], in_time()).unwrap())
        }
        "any: lock" => {
            let lock = Lock::open(s, "lock").unwrap();
            told(|| wait_any(&[event.when_set(), lock.when_free()], in_time()).unwrap())
        }
        "any: bell" => {
            let (bell, q) = (Bell::new().unwrap(), Queue::open(s, "queue").unwrap());
            let interests = || [event.when_set(), q.readable()];
            bell.arm(&interests()).unwrap();
            told(|| {
                // It may ring in vain.
                while wait_any(&interests(), Deadline::Now).is_err() {
                    wait_any(&[Interest::readable(bell.as_fd())], in_time()).unwrap();
                    bell.clear();
                    bell.arm(&interests()).unwrap();
                }
            })
        }
        other => panic!("{other}"),
    }
}

// ---- the one who wakes ---------------------------------------------------------------------------------

/// Everything there is, so that every wait is in vain.
struct Scene {
    s: Segment,
    lock: Lock,
    rlock: RLock,
    rwlock: RwLock,
    condition: Condition,
    semaphore: Semaphore,
    event: Event,
    _barrier: Barrier,
    queue: Queue,
    join: Queue,
    ends: (Pipe, Pipe),
    value: Value<i64>,
    array: Array<u8>,
}

impl Scene {
    fn new(world: &World) -> Self {
        let s = world.segment();
        let join = Queue::create(&s, "join", &QueueOptions::new(1).joinable(true)).unwrap();
        join.put(b"x").unwrap();
        join.get().unwrap();
        Self {
            lock: Lock::create(&s, "lock").unwrap(),
            rlock: RLock::create(&s, "rlock").unwrap(),
            rwlock: RwLock::create(&s, "rwlock").unwrap(),
            condition: Condition::create(&s, "condition").unwrap(),
            semaphore: Semaphore::create(&s, "semaphore", 0).unwrap(),
            event: Event::create(&s, "event").unwrap(),
            _barrier: Barrier::create(&s, "barrier", 3).unwrap(),
            queue: Queue::create(&s, "queue", &QueueOptions::new(1)).unwrap(),
            join,
            ends: Pipe::create(&s, "pipe", &PipeOptions::new().capacity(1)).unwrap(),
            value: Value::create(&s, "value", 1).unwrap(),
            array: Array::create(&s, "array", 1).unwrap(),
            s,
        }
    }

    /// Lets two fall asleep over `what`, kills the first before or after `wake`, and hears of the other.
    fn check(&self, what: &str, killed_after: bool, wake: impl FnOnce()) {
        eprintln!("{what}, killed {} the wake", if killed_after { "after" } else { "before" });
        let [mut first, mut second] = [(), ()].map(|()| {
            let mut waiter = spawn("wait", &[self.s.name(), what]);
            waiter.expect("waits");
            waiter.wait_asleep();
            waiter
        });
        if killed_after {
            // Stopped, it does nothing about a wake that it gets.
            first.stop();
            wake();
            first.kill();
        } else {
            first.kill();
            wake();
        }
        second.expect(if what == "barrier" { "Err(Broken)" } else { "woken" });
    }
}

fn spent_on_the_dead(test: &str, killed_after: bool) {
    let world = World::new(test);
    let new = || Scene::new(&world);
    let held = |scene: &Scene, what: &str| match what {
        "lock" => scene.lock.acquire(Deadline::Now).map(drop).unwrap(),
        "rlock" => scene.rlock.acquire(Deadline::Now).map(drop).unwrap(),
        "a condition's lock" => scene.condition.acquire(Deadline::Now).map(drop).unwrap(),
        _ => {}
    };
    for what in ["lock", "any: lock"] {
        let scene = new();
        held(&scene, "lock");
        scene.check(what, killed_after, || scene.lock.release().unwrap());
    }
    let scene = new();
    held(&scene, "rlock");
    scene.check("rlock", killed_after, || scene.rlock.release().unwrap());
    let scene = new();
    held(&scene, "a condition's lock");
    scene.check("a condition's lock", killed_after, || scene.condition.release().unwrap());
    for what in ["a reader", "a writer"] {
        let scene = new();
        let _ = scene.rwlock.acquire_write(Deadline::Now).unwrap();
        scene.check(what, killed_after, || scene.rwlock.release_write().unwrap());
    }
    let scene = new();
    let _ = scene.rwlock.acquire_read(Deadline::Now).unwrap();
    scene.check("a writer", killed_after, || scene.rwlock.release_read().unwrap());
    let scene = new();
    let guard = scene.value.lock().unwrap();
    scene.check("a value's lock", killed_after, || drop(guard));
    let guard = scene.array.lock().unwrap();
    scene.check("an array's lock", killed_after, || drop(guard));
    for what in ["semaphore", "any: semaphore"] {
        let scene = new();
        scene.check(what, killed_after, || scene.semaphore.release(1).unwrap());
    }
    scene.check("condition", killed_after, || {
        let _guard = scene.condition.lock().unwrap();
        scene.condition.notify(1).unwrap();
    });
    for what in ["event", "any: queue", "any: bell"] {
        let scene = new();
        scene.check(what, killed_after, || scene.event.set());
    }
    scene.check("barrier", killed_after, || {});
    scene.check("join", killed_after, || scene.join.task_done().unwrap());
    for what in ["queue: get", "queue: recv", "queue: get_many", "any: queue", "any: bell"] {
        let scene = new();
        scene.check(what, killed_after, || scene.queue.put(b"x").unwrap());
    }
    for what in ["queue: put", "queue: reserve"] {
        let scene = new();
        scene.queue.put(b"full").unwrap();
        scene.check(what, killed_after, || assert_eq!(scene.queue.get().unwrap(), b"full"));
    }
    for what in ["pipe: recv", "pipe: recv in place"] {
        let scene = new();
        scene.check(what, killed_after, || scene.ends.1.send(b"x").unwrap());
    }
    let scene = new();
    scene.ends.1.send(b"full").unwrap();
    scene.check("pipe: send", killed_after, || assert_eq!(scene.ends.0.recv().unwrap(), b"full"));
}

#[test]
fn a_wake_after_a_waiter_was_killed_reaches_the_other() {
    spent_on_the_dead("before", false);
}

#[test]
fn a_wake_that_a_killed_waiter_was_given_reaches_the_other() {
    spent_on_the_dead("after", true);
}
