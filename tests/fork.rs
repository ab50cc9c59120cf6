//! Forked processes: what a child holds, what it does not, and who notices whose end.
//!
//! Each test runs in a process of its own, since a child must not inherit the test harness's threads.

mod common;

use std::os::fd::AsFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use common::*;
use sharecell::*;

/// Declares tests whose bodies run in processes of their own, with a [`World`] of the test's name.
macro_rules! in_own_process {
    ($($(#[doc = $text:literal])* fn $name:ident($world:ident: &World) $body:block)*) => {
        #[test]
        #[ignore = "the bodies of these tests; they start it"]
        fn child() {
            act(&[$((stringify!($name), |_| {
                let world = World::new(stringify!($name));
                let $world = &world;
                $body
            })),*]);
        }
        $($(#[doc = $text])* #[test]
        fn $name() {
            run(stringify!($name), &[]);
        })*
    };
}

fn in_time() -> Deadline {
    Deadline::after(WATCHDOG)
}

/// Long enough for somebody who robs the living to do so.
fn for_a_while() -> Deadline {
    Deadline::after(Duration::from_millis(150))
}

fn kill(pid: i32) {
    // SAFETY: kill has no memory-safety preconditions; the child was not reaped, so the id is its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    assert_eq!(reap(pid), -libc::SIGKILL);
}

/// Waits to be killed.
fn pause() -> ! {
    loop {
        // SAFETY: pause has no preconditions.
        unsafe { libc::pause() };
    }
}

/// Lets this process outlive its parent.
fn stay() {
    // SAFETY: prctl has no preconditions.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) };
}

/// As [`fork`], without the handlers that a fork runs.
fn raw_clone(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: without CLONE_VM it is a fork that runs no handlers.
    match unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } {
        0 => {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(101);
            // SAFETY: nothing of the parent's may run here.
            unsafe { libc::_exit(code) }
        }
        pid => i32::try_from(pid).unwrap(),
    }
}

fn alive(s: &Segment) -> usize {
    s.participants().iter().filter(|p| p.alive).count()
}

/// Every call that needs a seat fails, and those that do not still work.
fn check_not_attached(s: &Segment, lock: &Lock, q: &Queue, value: &Value<i64>) {
    assert_eq!(kind(lock.try_lock()), ErrorKind::NotAttached);
    assert_eq!(kind(lock.release()), ErrorKind::NotAttached);
    assert_eq!(kind(q.put(b"x")), ErrorKind::NotAttached);
    assert_eq!(kind(q.put(&[1; 5000])), ErrorKind::NotAttached);
    assert_eq!(kind(q.get()), ErrorKind::NotAttached);
    assert_eq!(kind(Value::create(s, "new", 1u8)), ErrorKind::NotAttached);
    assert_eq!(kind(Lock::open(s, "lock")), ErrorKind::NotAttached);
    assert_eq!(kind(s.remove("lock")), ErrorKind::NotAttached);
    assert_eq!(s.recover(), 0);
    assert_eq!(value.get().unwrap(), 5);
    drop((lock.clone(), q.clone(), value.clone(), s.clone()));
}

/// Byte of the segment's file that is locked while somebody has the seat `label`; see `segment/attach.rs`.
fn seat_is_locked(name: &str, label: u32) -> bool {
    let file = std::fs::File::options().read(true).write(true).open(path(name)).unwrap();
    // SAFETY: flock is plain data, for which zeroes are valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as _;
    lock.l_start = (1 << 30) + 4096 + i64::from(label);
    lock.l_len = 1;
    // SAFETY: the descriptor is open and `lock` a valid record to write to.
    let done = unsafe { libc::fcntl(std::os::fd::AsRawFd::as_raw_fd(&file), libc::F_OFD_GETLK, &mut lock) };
    assert_eq!(done, 0);
    lock.l_type as i32 != libc::F_UNLCK
}

in_own_process! {
    fn what_the_parent_holds_the_child_cannot_give_back(world: &World) {
        let s = world.segment();
        let lock = Lock::create(&s, "lock").unwrap();
        let value = Value::create(&s, "value", 5i64).unwrap();
        let q = Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap();
        q.put(b"item").unwrap();
        let mut guards = Some((lock.lock().unwrap(), value.lock().unwrap()));
        let mut item = Some(q.recv(Deadline::Now).unwrap());
        let mut places = Some([8, 5000].map(|len| q.reserve(len, Deadline::Now).unwrap()));
        let holder = lock.holder();
        let child = fork(|| {
            let (first, second) = guards.take().unwrap();
            assert_eq!(kind(first.unlock()), ErrorKind::NotOwner);
            drop(second);
            assert_eq!(kind(lock.release()), ErrorKind::NotOwner);
            assert_eq!(lock.holder(), holder);
            assert_eq!(kind(lock.try_lock()), ErrorKind::WouldBlock);
            assert_eq!(kind(value.lock_until(for_a_while())), ErrorKind::TimedOut);
            drop(item.take());
            let [first, second] = places.take().unwrap();
            assert_eq!(kind(first.commit()), ErrorKind::NotOwner);
            second.abort();
            assert_eq!(q.qsize(), 0);
            0
        });
        assert_eq!(reap(child), 0);
        assert_eq!(s.recover(), 1);
        // Nor does the child's end.
        let (first, second) = guards.unwrap();
        assert_eq!(lock.holder(), holder);
        first.unlock().unwrap();
        second.unlock().unwrap();
        assert!(!lock.lock().unwrap().owner_died());
        item.unwrap().put_back();
        assert_eq!(q.recv(in_time()).unwrap().deliveries(), 2);
        for mut place in places.unwrap() {
            place.fill(3);
            place.commit().unwrap();
        }
        assert_eq!(q.get().unwrap(), [3; 8]);
        assert_eq!(q.get().unwrap(), [3; 5000]);
    }

    fn what_the_parent_holds_stays_its_own_when_the_child_closes_everything(world: &World) {
        let s = world.segment();
        let lock = Lock::create(&s, "lock").unwrap();
        let rlock = RLock::create(&s, "rlock").unwrap();
        let rwlock = RwLock::create(&s, "rwlock").unwrap();
        let undo = Semaphore::create_with(&s, "undo", &SemaphoreOptions::new(1).undo()).unwrap();
        let q = Queue::create(&s, "queue", &QueueOptions::new(2)).unwrap();
        q.put(b"item").unwrap();
        let _ = (lock.acquire(Deadline::Now).unwrap(), rlock.acquire(Deadline::Now).unwrap());
        let _ = rwlock.acquire_write(Deadline::Now).unwrap();
        undo.acquire().unwrap();
        let item = q.recv(Deadline::Now).unwrap();
        let name = s.name().to_owned();
        let mut handles = Some((lock, rlock, rwlock, undo, s));
        for unlocks in [true, false] {
            let child = fork(|| {
                let (lock, rlock, rwlock, undo, s) = handles.take().unwrap();
                if unlocks {
                    let refused = [lock.release(), rlock.release(), rwlock.release_write()];
                    assert!(refused.iter().all(|r| r.as_ref().is_err_and(|e| e.kind() == ErrorKind::NotOwner)));
                    assert_eq!(kind(undo.release(1)), ErrorKind::NotHeld);
                }
                drop((lock, rlock, rwlock, undo, s));
                // Attached anew, if it had left: to it as to anybody all is held.
                let s = Segment::open(&name).unwrap();
                assert_eq!(kind(Lock::open(&s, "lock").unwrap().try_lock()), ErrorKind::WouldBlock);
                assert_eq!(kind(RLock::open(&s, "rlock").unwrap().try_lock()), ErrorKind::WouldBlock);
                assert_eq!(kind(RwLock::open(&s, "rwlock").unwrap().try_read()), ErrorKind::WouldBlock);
                assert_eq!(kind(Semaphore::open(&s, "undo").unwrap().try_acquire()), ErrorKind::WouldBlock);
                assert_eq!(kind(Queue::open(&s, "queue").unwrap().try_get()), ErrorKind::WouldBlock);
                0
            });
            assert_eq!(reap(child), 0);
        }
        let (lock, rlock, rwlock, undo, s) = handles.unwrap();
        s.recover();
        assert_eq!((undo.value(), item.deliveries()), (0, 1));
        lock.release().unwrap();
        rlock.release().unwrap();
        rwlock.release_write().unwrap();
        undo.release(1).unwrap();
        assert!(!lock.try_lock().unwrap().owner_died() && !rlock.try_lock().unwrap().owner_died());
        assert!(!rwlock.try_write().unwrap().owner_died());
    }

    fn a_child_gets_what_its_killed_parent_held(world: &World) {
        let s = world.segment();
        let lock = Lock::create(&s, "lock").unwrap();
        let q = Queue::create(&s, "queue", &QueueOptions::new(1)).unwrap();
        let results = Queue::create(&s, "results", &QueueOptions::new(4)).unwrap();
        q.put(b"item").unwrap();
        let parent = fork(|| {
            let _guard = lock.lock().unwrap();
            let _item = q.recv(Deadline::Now).unwrap();
            fork(|| {
                stay();
                results.put(b"there").unwrap();
                let guard = lock.lock_until(in_time()).unwrap();
                let item = q.recv(in_time()).unwrap();
                results.put(format!("{} {}", guard.owner_died(), item.deliveries()).as_bytes()).unwrap();
                0
            });
            pause()
        });
        assert_eq!(results.get_until(in_time()).unwrap(), b"there");
        kill(parent);
        assert_eq!(results.get_until(in_time()).unwrap(), b"true 2");
        wait_until("the orphan has ended", || alive(&s) == 1);
    }

    fn a_child_is_a_participant_from_its_birth(world: &World) {
        let segments = [world.segment(), world.segment()];
        let s = &segments[0];
        let q = Queue::create(s, "queue", &QueueOptions::new(8)).unwrap();
        let other = Value::create(&segments[1], "value", 1i64).unwrap();
        let total = Value::create(s, "total", 0i64).unwrap();
        let child = fork(|| {
            let me = std::process::id();
            for s in &segments {
                assert!(s.participants().iter().any(|p| p.pid == me && p.alive));
                assert_eq!(alive(s), 2);
            }
            q.put(&[1; 5000]).unwrap();
            other.add(4).unwrap();
            // More objects than a slot lists by itself, in a list that was copied.
            let made: Vec<_> = (0..300).map(|i| Value::create(s, &format!("v{i}"), i).unwrap()).collect();
            total.set(made.iter().map(|v| i64::from(v.get().unwrap())).sum()).unwrap();
            let lock = Lock::create(s, "lock").unwrap();
            std::mem::forget(lock.lock().unwrap());
            std::mem::forget(lock.clone());
            let again = Segment::open(segments[1].name()).unwrap();
            assert_eq!(Value::<i64>::open(&again, "value").unwrap().get().unwrap(), 5);
            assert_eq!(alive(&segments[1]), 2, "it is the same attachment");
            0
        });
        assert_eq!(reap(child), 0);
        assert_eq!((alive(s), alive(&segments[1])), (1, 1));
        assert_eq!(q.get_until(in_time()).unwrap(), [1; 5000]);
        assert_eq!((other.get().unwrap(), total.get().unwrap()), (5, 300 * 299 / 2));
        assert!(Lock::open(s, "lock").unwrap().lock_until(in_time()).unwrap().owner_died());
    }

    fn the_list_of_a_child_is_a_copy(world: &World) {
        let s = world.segment();
        let objects: Vec<_> = (0..300).map(|i| Value::create(&s, &format!("v{i}"), i).unwrap()).collect();
        let size = s.size().unwrap();
        let go = Semaphore::create(&s, "go", 0).unwrap();
        let mut mine = Some(objects);
        let child = fork(|| {
            go.acquire_until(in_time()).unwrap();
            let objects = mine.take().unwrap();
            assert!(objects.iter().zip(0..).all(|(v, i)| v.get().unwrap() == i));
            drop(objects);
            0
        });
        for i in 0..300 {
            s.remove(&format!("v{i}")).unwrap();
        }
        drop(mine.take());
        // The child still has them: their memory is not used for others.
        for i in 0..300 {
            drop(Value::create(&s, &format!("w{i}"), -1).unwrap());
        }
        go.release(1).unwrap();
        assert_eq!(reap(child), 0);
        s.recover();
        // Now it is.
        for i in 0..300 {
            drop(Value::create(&s, &format!("x{i}"), -1).unwrap());
        }
        assert!(s.size().unwrap() <= size + (256 << 10), "{} after {size}", s.size().unwrap());
    }

    fn a_child_that_outlives_its_parent_keeps_the_segment_and_takes_it_along(world: &World) {
        let s = world.segment();
        let name = s.name().to_owned();
        let q = Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap();
        q.put(b"inherited").unwrap();
        let (done, there) = std::io::pipe().unwrap();
        // In the parent the handles are dropped with the closure.
        let child = fork(move || {
            drop(there);
            wait_until("the parent has left", || alive(&s) == 1);
            assert_eq!(q.get().unwrap(), b"inherited");
            q.put(&[2; 9000]).unwrap();
            assert_eq!(q.get().unwrap(), [2; 9000]);
            let copy = Segment::open(&name).unwrap();
            drop((q, s, copy));
            assert_eq!(kind(Segment::open(&name)), ErrorKind::NotFound);
            0
        });
        drop(done);
        assert_eq!(reap(child), 0);
        assert_eq!(world.leftovers(), [""; 0]);
    }

    fn a_child_that_closes_everything_has_left(world: &World) {
        let s = world.segment();
        let value = Value::create(&s, "value", 5i64).unwrap();
        let left = Semaphore::create(&world.segment(), "left", 0).unwrap();
        let mut handles = Some((s, value));
        let child = fork(|| {
            drop(handles.take());
            left.release(1).unwrap();
            pause()
        });
        left.acquire_until(in_time()).unwrap();
        assert_eq!(alive(&handles.as_ref().unwrap().0), 1);
        kill(child);
    }

    fn a_pipe_ends_when_parent_and_child_have_closed_it(world: &World) {
        let s = world.segment();
        let (a, b) = Pipe::create(&s, "pipe", &PipeOptions::new()).unwrap();
        let go = Semaphore::create(&s, "go", 0).unwrap();
        let mut b = Some(b);
        for killed in [false, true] {
            let child = fork(|| {
                b.as_ref().unwrap().send(b"from the child").unwrap();
                go.acquire_until(in_time()).unwrap();
                drop(b.take());
                pause()
            });
            if killed {
                drop(b.take());
            }
            assert_eq!(a.recv_until(in_time()).unwrap(), b"from the child");
            assert_eq!(kind(a.recv_until(for_a_while())), ErrorKind::TimedOut);
            if !killed {
                go.release(1).unwrap();
                assert_eq!(kind(a.recv_until(for_a_while())), ErrorKind::TimedOut, "the parent has it still");
            }
            kill(child);
        }
        assert_eq!(kind(a.recv_until(in_time())), ErrorKind::Closed);
        assert_eq!(kind(a.send_until(b"x", in_time())), ErrorKind::Closed);
    }

    fn a_pipe_ends_when_the_child_closes_it_and_lives_on(world: &World) {
        let s = world.segment();
        let (a, b) = Pipe::create(&s, "pipe", &PipeOptions::new()).unwrap();
        let mut b = Some(b);
        let child = fork(|| {
            b.as_ref().unwrap().send(b"last").unwrap();
            drop(b.take());
            pause()
        });
        drop(b.take());
        assert_eq!(a.recv_until(in_time()).unwrap(), b"last");
        assert_eq!(kind(a.recv_until(in_time())), ErrorKind::Closed);
        kill(child);
    }

    /// The seats of children that have ended are free for the next ones, although nobody waits or sweeps.
    fn a_process_may_fork_any_number_of_children_one_after_the_other(world: &World) {
        let s = world.segment_with(SegmentOptions::new().participants(4));
        let value = Value::create(&s, "value", 0i64).unwrap();
        let q = Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap();
        for round in 0..100 {
            let child = fork(|| {
                value.add(1).unwrap();
                q.put(b"seat").map_or(1, |()| 0)
            });
            assert_eq!(reap(child), 0, "child {round}");
            q.try_get().unwrap();
        }
        assert_eq!(value.get().unwrap(), 100);
    }

    fn a_child_without_a_free_seat_gets_errors_and_its_parent_does_not(world: &World) {
        let s = world.segment_with(SegmentOptions::new().participants(1));
        let lock = Lock::create(&s, "lock").unwrap();
        let q = Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap();
        let value = Value::create(&s, "value", 5i64).unwrap();
        let guard = lock.lock().unwrap();
        let child = fork(|| {
            check_not_attached(&s, &lock, &q, &value);
            assert_eq!(kind(Segment::open(s.name())), ErrorKind::TableFull);
            0
        });
        assert_eq!(reap(child), 0);
        guard.unlock().unwrap();
        q.put(&[1; 5000]).unwrap();
        assert_eq!(q.get().unwrap(), [1; 5000]);
        assert!(!lock.lock().unwrap().owner_died());
        drop(Value::create(&s, "new", 1u8).unwrap());
    }

    fn a_raw_clone_is_not_attached_and_prolongs_nothing(world: &World) {
        let s = world.segment();
        let lock = Lock::create(&s, "lock").unwrap();
        let q = Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap();
        let value = Value::create(&s, "value", 5i64).unwrap();
        let sitting = Semaphore::create(&s, "sitting", 0).unwrap();
        let clone = raw_clone(|| {
            check_not_attached(&s, &lock, &q, &value);
            // It may attach anew.
            let again = Segment::open(s.name()).unwrap();
            Value::<i64>::open(&again, "value").unwrap().add(1).unwrap();
            assert_eq!(alive(&again), 2);
            0
        });
        assert_eq!(reap(clone), 0);
        assert_eq!(value.get().unwrap(), 6);
        let parent = fork(|| {
            let _guard = lock.lock().unwrap();
            sitting.release(raw_clone(|| pause()) as u32).unwrap();
            pause()
        });
        wait_until("the clone is there", || sitting.value() != 0);
        kill(parent);
        let clone = sitting.value() as i32;
        assert!(lock.lock_until(in_time()).unwrap().owner_died());
        // SAFETY: kill has no memory-safety preconditions.
        assert_eq!(unsafe { libc::kill(clone, libc::SIGKILL) }, 0, "it had outlived its parent");
    }

    fn a_child_that_executes_a_program_takes_nothing_along(world: &World) {
        let s = world.segment();
        let lock = Lock::create(&s, "lock").unwrap();
        let running = Queue::create(&s, "running", &QueueOptions::new(4)).unwrap();
        let holder = fork(|| {
            let _guard = lock.lock().unwrap();
            let mut command = Command::new("sleep");
            let spawned = command.arg("1000").spawn().unwrap().id();
            let executed = fork(|| {
                use std::os::unix::process::CommandExt;
                panic!("{}", command.exec());
            });
            for pid in [spawned as i32, executed] {
                wait_until("the program sleeps", || {
                    std::fs::read(format!("/proc/{pid}/comm")).unwrap() == b"sleep\n"
                        && process_state(pid) == 'S'
                });
            }
            for pid in [spawned, executed as u32] {
                running.put(&pid.to_ne_bytes()).unwrap();
            }
            pause()
        });
        let programs = [0; 2].map(|_| {
            u32::from_ne_bytes(running.get_until(in_time()).unwrap().try_into().unwrap())
        });
        assert_eq!(alive(&s), 2);
        for pid in programs {
            let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
            let files: Vec<_> = files.filter_map(|f| std::fs::read_link(f.unwrap().path()).ok()).collect();
            assert!(files.iter().all(|file| !file.starts_with("/dev/shm")), "{files:?}");
        }
        kill(holder);
        assert!(lock.lock_until(in_time()).unwrap().owner_died());
        for pid in programs {
            // SAFETY: kill has no memory-safety preconditions.
            assert_eq!(unsafe { libc::kill(pid as i32, libc::SIGKILL) }, 0);
        }
    }

    fn started_programs_take_no_seats(world: &World) {
        let s = world.segment_with(SegmentOptions::new().participants(2));
        let q = Queue::create(&s, "queue", &QueueOptions::new(1)).unwrap();
        for _ in 0..20 {
            assert!(Command::new("true").status().unwrap().success());
        }
        let child = fork(|| q.put(b"attached").map_or(1, |()| 0));
        assert_eq!(reap(child), 0);
        assert_eq!(q.get().unwrap(), b"attached");
    }

    /// As daemons do, and as `multiprocessing` does.
    fn a_process_that_closes_all_descriptors_still_lives(world: &World) {
        let s = world.segment();
        let lock = Lock::create(&s, "lock").unwrap();
        let held = Semaphore::create(&s, "held", 0).unwrap();
        let child = fork(|| {
            let _guard = lock.lock().unwrap();
            // SAFETY: the descriptors are not used in this process any more.
            unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
            held.release(1).unwrap();
            pause()
        });
        held.acquire_until(in_time()).unwrap();
        assert_eq!(kind(lock.lock_until(for_a_while())), ErrorKind::TimedOut);
        assert_eq!((s.recover(), alive(&s)), (0, 2));
        kill(child);
        assert!(lock.lock_until(in_time()).unwrap().owner_died());
    }

    fn a_process_forks_while_its_threads_are_at_work(world: &World) {
        let s = world.segment_with(SegmentOptions::new().limit(256 << 20));
        let shared = Queue::create(&s, "shared", &QueueOptions::new(2)).unwrap();
        let lock = Lock::create(&s, "lock").unwrap();
        let total = Value::create(&s, "total", 0i64).unwrap();
        let other = world.segment();
        let stop = AtomicBool::new(false);
        let busy = |work: &dyn Fn(u64)| {
            (0..).take_while(|_| !stop.load(Relaxed)).for_each(work);
        };
        std::thread::scope(|scope| {
            scope.spawn(|| busy(&|i| shared.put(&vec![1; (i % 3 * 1000) as usize]).unwrap()));
            scope.spawn(|| {
                while !(stop.load(Relaxed) && shared.is_empty()) {
                    let _ = shared.get_timeout(Duration::from_millis(1));
                }
            });
            scope.spawn(|| busy(&|_| drop(lock.lock().unwrap())));
            scope.spawn(|| busy(&|i| {
                let name = format!("v{}", i % 200);
                drop(Value::open_or_create(&s, &name, i).unwrap());
                s.remove(&name).unwrap();
            }));
            scope.spawn(|| busy(&|_| drop(Segment::open(other.name()).unwrap())));
            for round in 0..60 {
                let child = fork(|| {
                    total.add(1).unwrap();
                    let name = format!("own{round}");
                    let q = Queue::create(&s, &name, &QueueOptions::new(2)).unwrap();
                    q.put(&[7; 3000]).unwrap();
                    assert_eq!(q.get().unwrap(), [7; 3000]);
                    drop(lock.lock_until(in_time()).unwrap());
                    s.remove(&name).unwrap();
                    drop(Segment::open(other.name()).unwrap());
                    0
                });
                assert_eq!(reap(child), 0, "child {round}");
                s.recover();
                other.recover();
            }
            stop.store(true, Relaxed);
        });
        assert_eq!(total.get().unwrap(), 60);
        assert!(!lock.lock().unwrap().owner_died());
        assert_eq!((alive(&s), alive(&other)), (1, 1));
    }

    /// A child that is forked while another thread attaches must not prolong that thread's lease.
    fn a_fork_during_an_attach_prolongs_no_lease(world: &World) {
        let name = world.name();
        drop(Segment::options().participants(200).create(&name).unwrap());
        let forking = fork(|| {
            let stop = AtomicBool::new(false);
            let children: Vec<i32> = std::thread::scope(|scope| {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        drop(Segment::open(&name).unwrap());
                    }
                });
                let children = (0..100).map(|_| fork(|| pause())).collect();
                stop.store(true, Relaxed);
                children
            });
            let s = Segment::open(&name).unwrap();
            let seated: Vec<u32> = s.participants().iter().filter(|p| p.alive).map(|p| p.label).collect();
            let prolonged = (1..=200).filter(|l| !seated.contains(l) && seat_is_locked(&name, *l)).count();
            children.into_iter().for_each(kill);
            assert_eq!(prolonged, 0, "leases of nobody are kept by children");
            0
        });
        assert_eq!(reap(forking), 0);
        Segment::unlink(&name).unwrap();
    }

    /// A child that is forked while another thread attaches for the first time in the process finds nothing locked.
    fn a_fork_during_the_first_attach_leaves_a_child_that_can_attach(world: &World) {
        let name = world.name();
        // This process itself never attaches: each of its children does so for the first time.
        assert_eq!(reap(fork(|| Segment::create(&name).map_or(1, |_| 0))), 0);
        for delay in 0..30 {
            let forking = fork(|| {
                std::thread::scope(|scope| {
                    scope.spawn(|| drop(Segment::open(&name).unwrap()));
                    (0..delay * 2500).for_each(|_| std::hint::spin_loop());
                    let child = fork(|| {
                        // SAFETY: alarm has no preconditions. Who hangs is killed.
                        unsafe { libc::alarm(10) };
                        Segment::open(&name).map_or(1, |_| 0)
                    });
                    reap(child)
                })
            });
            assert_eq!(reap(forking), 0, "trial {delay}");
        }
        Segment::unlink(&name).unwrap();
    }

    fn threads_that_open_a_segment_at_once_are_one_participant(world: &World) {
        let name = world.name();
        drop(Segment::create(&name).unwrap());
        let start = std::sync::Barrier::new(4);
        for _ in 0..300 {
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        start.wait();
                        let s = Segment::open(&name).unwrap();
                        start.wait();
                        let seats = alive(&s);
                        start.wait();
                        assert_eq!(seats, 1);
                    });
                }
            });
        }
        Segment::unlink(&name).unwrap();
    }

    /// Opening looks at all attachments of the process, which other threads are giving up.
    fn threads_attach_and_detach_at_once(world: &World) {
        let [one, other] = [world.name(), world.name()];
        let ours = [Segment::create(&one).unwrap(), Segment::create(&other).unwrap()];
        drop(ours);
        std::thread::scope(|scope| {
            for name in [&one, &other, &one, &other] {
                scope.spawn(move || {
                    for i in 0..3000u64 {
                        let s = Segment::open(name).unwrap();
                        let v = Value::open_or_create(&s, "value", 0u64).unwrap();
                        v.set(i).unwrap();
                    }
                });
            }
        });
        for name in [&one, &other] {
            assert_eq!(alive(&Segment::open(name).unwrap()), 1);
            Segment::unlink(name).unwrap();
        }
    }

    /// A bell works in a child that was forked while other threads armed and dropped theirs.
    fn a_bell_in_a_child_of_one_who_arms_bells(world: &World) {
        let s = world.segment();
        let e = Event::create(&s, "event").unwrap();
        let stop = AtomicBool::new(false);
        let arm = || {
            let bell = Bell::new().unwrap();
            bell.arm(&[e.when_set()]).unwrap();
            bell
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !stop.load(Relaxed) {
                        drop(arm());
                    }
                });
            }
            let inherited = arm();
            for _ in 0..200 {
                let child = fork(|| {
                    inherited.arm(&[e.when_set()]).unwrap();
                    let bell = arm();
                    e.set();
                    let rung = [&bell, &inherited]
                        .map(|bell| wait_any(&[Interest::readable(bell.as_fd())], in_time()).is_ok());
                    i32::from(rung != [true; 2])
                });
                let code = reap(child);
                e.clear();
                inherited.clear();
                if code != 0 {
                    stop.store(true, Relaxed);
                }
                assert_eq!(code, 0);
            }
            stop.store(true, Relaxed);
        });
    }
}
