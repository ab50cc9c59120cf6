//! Known traps of shared-memory IPC that no other file tries. `docs/reliability.md` lists them all, each with its test;
//! `make traps` takes the defences away one by one, and each test must fail without its own.

mod common;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use common::*;
use sharecell::*;

#[test]
#[ignore = "the other side of these tests; they start it"]
fn child() {
    act(&[
        ("hold", hold),
        ("hold in two", hold_in_two),
        ("hold and fork", hold_and_fork),
        ("restored", restored),
        ("robust list", robust_list_stays),
        ("sleep", sleep),
        ("step", step_the_clock),
        ("come and go", come_and_go),
        ("put and exit", put_and_exit),
        ("many", make_many),
    ]);
}

fn in_time() -> Deadline {
    Deadline::after(WATCHDOG)
}

/// Holds the lock until it is killed.
fn hold(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let lock = Lock::open(&s, "lock").unwrap();
    let _guard = lock.lock_until(in_time()).unwrap();
    say("held");
    park()
}

// ---- libc's locks --------------------------------------------------------------------------------------

/// Where this thread's robust list begins, and what it begins with: its own beginning, when it is empty.
fn robust_list() -> (usize, usize) {
    let (mut head, mut len) = (std::ptr::null::<usize>(), 0usize);
    // SAFETY: two valid places to write to.
    assert_eq!(unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &mut head, &mut len) }, 0);
    // SAFETY: the head is this thread's own, registered for as long as it lives.
    (head as usize, if head.is_null() { 0 } else { unsafe { *head } })
}

fn robust_list_stays(args: Args) {
    let before = robust_list();
    assert_eq!(before.0, before.1, "the list of a new thread is empty");
    let s = Segment::open(&args[0]).unwrap();
    let value = Value::create(&s, "value", 1i64).unwrap();
    let (lock, rlock) = (Lock::create(&s, "lock").unwrap(), RLock::create(&s, "rlock").unwrap());
    let (rwlock, condition) =
        (RwLock::create(&s, "rwlock").unwrap(), Condition::create(&s, "condition").unwrap());
    let _guards = (lock.lock().unwrap(), rlock.lock().unwrap(), value.lock().unwrap());
    let _more = (rwlock.write().unwrap(), condition.lock().unwrap());
    assert_eq!(robust_list(), before);
}

#[test]
fn the_robust_list_is_left_to_libc_and_stays_empty() {
    let world = World::new("robust");
    run("robust list", &[world.segment().name()]);
}

/// Holds something in a segment, then in another one, which it leaves.
fn hold_in_two(args: Args) {
    let [kept, left] = [0, 1].map(|i| Segment::open(&args[i]).unwrap());
    let held = [Lock::open(&kept, "first").unwrap(), Lock::open(&left, "lock").unwrap()];
    let permits = ["a", "b", "c"].map(|name| Semaphore::open(&kept, name).unwrap());
    for lock in &held {
        let _ = lock.acquire(in_time()).unwrap();
    }
    permits.iter().for_each(|permit| permit.acquire().unwrap());
    let [_first, lock] = held;
    drop((lock, left));
    say("held");
    park()
}

#[test]
fn unmapping_a_held_lock_keeps_nothing_else_from_recovery() {
    let world = World::new("unmapped");
    let [kept, left] = [world.segment(), world.segment()];
    let (first, lock) = (Lock::create(&kept, "first").unwrap(), Lock::create(&left, "lock").unwrap());
    let undo = SemaphoreOptions::new(1).undo();
    let permits = ["a", "b", "c"].map(|name| Semaphore::create_with(&kept, name, &undo).unwrap());
    let mut holder = spawn("hold in two", &[kept.name(), left.name()]);
    holder.expect("held");
    assert!(lock.lock_until(in_time()).unwrap().owner_died());
    assert_eq!(kind(first.try_lock()), ErrorKind::WouldBlock);
    holder.kill();
    assert!(first.lock_until(in_time()).unwrap().owner_died());
    permits.iter().for_each(|permit| permit.acquire_until(in_time()).unwrap());
}

// ---- who holds what ------------------------------------------------------------------------------------

fn find(s: &Segment, pid: i32) -> Participant {
    let pid = u32::try_from(pid).unwrap();
    s.participants().into_iter().find(|p| p.pid == pid).expect("it is listed")
}

#[test]
fn a_stuck_holder_is_named_stopped_or_dead() {
    let world = World::new("named");
    let s = world.segment();
    let lock = Lock::create(&s, "lock").unwrap();
    let mut holder = spawn("hold", &[s.name()]);
    holder.expect("held");
    holder.stop();
    let stopped = find(&s, holder.pid());
    assert!(stopped.alive && stopped.start_time > 0 && !stopped.command.is_empty());
    assert_eq!(lock.holder(), stopped.label);
    holder.kill();
    // Until somebody clears up after it.
    let dead = find(&s, holder.pid());
    assert!(!dead.alive && dead.start_time == stopped.start_time);
    assert_eq!((dead.label, lock.holder()), (stopped.label, stopped.label));
    assert!(lock.lock_until(in_time()).unwrap().owner_died());
}

#[test]
fn zombies_take_no_seats() {
    let world = World::new("zombies");
    let s = world.segment_with(SegmentOptions::new().participants(2));
    let lock = Lock::create(&s, "lock").unwrap();
    let zombies = [(); 3].map(|()| {
        let mut holder = spawn("hold", &[s.name()]);
        holder.expect("held");
        holder.kill_unreaped();
        holder
    });
    assert!(lock.lock_until(in_time()).unwrap().owner_died());
    assert!(zombies.iter().all(|zombie| process_state(zombie.pid()) == 'Z'));
}

/// Holds the lock, and has a child that outlives it.
fn hold_and_fork(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let lock = Lock::open(&s, "lock").unwrap();
    let _guard = lock.lock_until(in_time()).unwrap();
    let (child, living) = std::io::pipe().unwrap();
    fork(|| {
        // SAFETY: prctl has no preconditions.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) };
        (&living).write_all(&std::process::id().to_ne_bytes()).unwrap();
        // SAFETY: pause has no preconditions.
        while unsafe { libc::pause() } != 0 {}
        0
    });
    let mut pid = [0; 4];
    (&child).read_exact(&mut pid).unwrap();
    say(u32::from_ne_bytes(pid));
    park()
}

#[test]
fn a_child_that_lives_on_does_not_prolong_its_parents_life() {
    let world = World::new("prolonged");
    let s = world.segment();
    let lock = Lock::create(&s, "lock").unwrap();
    let mut holder = spawn("hold and fork", &[s.name()]);
    let child: i32 = holder.line().parse().unwrap();
    holder.kill();
    let inherited = lock.lock_timeout(WATCHDOG);
    let alive = process_state(child);
    // SAFETY: kill has no memory-safety preconditions; nobody else has reaped the child if it lived a moment ago.
    unsafe { libc::kill(child, libc::SIGKILL) };
    assert!(!['Z', 'X', '?'].contains(&alive), "it has ended by itself");
    assert!(inherited.unwrap().owner_died());
    wait_until("the child has left", || s.participants().iter().filter(|p| p.alive).count() == 1);
}

/// Gives up the leases of a segment, as they are gone when a process was restored from a checkpoint: they are the kernel's.
fn lose_leases(s: &Segment) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let file = path(s.name());
    let leases: Vec<_> =
        maps.lines().filter(|line| line.contains(" ---s ") && line.ends_with(&file)).collect();
    assert!(!leases.is_empty(), "no lease among the mappings:\n{maps}");
    for lease in leases {
        let (start, end) = lease.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| usize::from_str_radix(address, 16).unwrap());
        let at = std::ptr::with_exposed_provenance_mut(start);
        // SAFETY: nobody reads or writes there; it is mapped for the lock alone that goes with it.
        assert_eq!(unsafe { libc::munmap(at, end - start) }, 0);
    }
}

/// Has something of everything that can be held, loses its lease, and goes on.
fn restored(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let (lock, q) = (Lock::open(&s, "lock").unwrap(), Queue::open(&s, "queue").unwrap());
    assert_eq!(lock.acquire(in_time()).unwrap(), Acquired::Clean);
    let item = q.recv(in_time()).unwrap();
    assert_eq!((&item[..], item.deliveries()), (&b"first"[..], 1));
    lose_leases(&s);
    held();
    say(format!("{:?}", kind(lock.release())));
    drop(item);
    say("gone on");
    park()
}

#[test]
fn who_was_restored_cannot_give_back_what_others_have_since_taken() {
    let world = World::new("restored");
    let s = world.segment_with(SegmentOptions::new().participants(8));
    let (lock, q) =
        (Lock::create(&s, "lock").unwrap(), Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap());
    q.put(b"first").unwrap();
    let mut restored = spawn("restored", &[s.name()]);
    restored.expect("held");
    let guard = lock.lock_until(in_time()).unwrap();
    assert!(guard.owner_died());
    let item = q.recv(in_time()).unwrap();
    assert_eq!((&item[..], item.deliveries()), (&b"first"[..], 2));
    restored.tell("go on");
    restored.expect("NotOwner");
    restored.expect("gone on");
    // Nobody else has got in.
    assert_eq!(lock.holder(), find(&s, std::process::id() as i32).label);
    assert_eq!(kind(q.try_get()), ErrorKind::WouldBlock);
    drop((guard, item));
    assert_eq!(kind(q.try_get()), ErrorKind::WouldBlock);
    assert!(!lock.lock_until(in_time()).unwrap().owner_died());
}

// ---- sleeping and waking -------------------------------------------------------------------------------

fn sleep(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let event = Event::open(&s, "event").unwrap();
    say("waits");
    event.wait_until(in_time()).unwrap();
    say("woken");
    park()
}

/// Another mapping of a segment's file, as another program would have it.
fn map_words(s: &Segment) -> &'static [AtomicU32] {
    let file = fs::File::options().read(true).write(true).open(path(s.name())).unwrap();
    let len = file.metadata().unwrap().len() as usize;
    // SAFETY: a new mapping at an address of the kernel's choice, of the whole file; it is never unmapped, and atomics may
    // be shared with whoever else has it.
    unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let at = libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, file.as_raw_fd(), 0);
        assert_ne!(at, libc::MAP_FAILED);
        std::slice::from_raw_parts(at.cast(), len / 4)
    }
}

/// The shared form of both, as any other program would call it.
fn futex(word: &AtomicU32, operation: i32, value: u32, time: *const libc::timespec) -> i64 {
    // SAFETY: the word lives for the call, and `time` is null or valid.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, time) }
}

#[test]
fn sleeps_and_wakes_reach_every_mapping_of_the_memory() {
    let world = World::new("shared");
    let s = world.segment_with(SegmentOptions::new().limit(1 << 20).participants(4));
    let event = Event::create(&s, "event").unwrap();
    let mut sleeper = spawn("sleep", &[s.name()]);
    sleeper.expect("waits");
    // Whoever sleeps in the segment is found through this mapping. (Woken for nothing, it sleeps again.)
    let words = map_words(&s);
    let mut found = None;
    wait_until("the sleeper is found", || {
        found = words.iter().find(|word| futex(word, libc::FUTEX_WAKE, 1, std::ptr::null()) == 1);
        found.is_some()
    });
    let word = found.unwrap();
    // And who sleeps here is woken by the library.
    let (say, heard) = std::sync::mpsc::channel();
    let own = std::thread::spawn(move || {
        // SAFETY: gettid has no preconditions.
        say.send(unsafe { libc::gettid() }).unwrap();
        let long = libc::timespec { tv_sec: WATCHDOG.as_secs() as _, tv_nsec: 0 };
        futex(word, libc::FUTEX_WAIT, word.load(Relaxed), &long)
    });
    let call = format!("/proc/self/task/{}/syscall", heard.recv().unwrap());
    let asleep = format!("{} {:p} ", libc::SYS_futex, word);
    wait_until("our own sleeper sleeps", || fs::read_to_string(&call).unwrap().starts_with(&asleep));
    event.set();
    assert_eq!(own.join().unwrap(), 0, "woken");
    sleeper.expect("woken");
}

// ---- the clock -----------------------------------------------------------------------------------------

/// By how many seconds the wall clock was set, in this process.
static STEP: AtomicI64 = AtomicI64::new(0);

/// In place of libc's, for everything in this program.
///
/// # Safety
/// As of libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    // SAFETY: the caller gives a valid place to write to.
    unsafe {
        let result = libc::syscall(libc::SYS_clock_gettime, clock, time) as libc::c_int;
        if result == 0 && clock == libc::CLOCK_REALTIME {
            (*time).tv_sec += STEP.load(Relaxed) as libc::time_t;
        }
        result
    }
}

fn step_the_clock(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let event = Event::create(&s, "event").unwrap();
    let permits = Semaphore::create(&s, "semaphore", 0).unwrap();
    let q = Queue::create(&s, "queue", &QueueOptions::new(1)).unwrap();
    let time = Duration::from_millis(60);
    let waits: [&dyn Fn(Deadline) -> Result<()>; 4] = [
        &|deadline| event.wait_until(deadline),
        &|deadline| permits.acquire_until(deadline),
        &|deadline| q.get_until(deadline).map(drop),
        &|deadline| wait_any(&[event.when_set(), q.readable()], deadline).map(drop),
    ];
    for step in [-86_400, 86_400] {
        for wait in waits {
            let (start, date) = (Instant::now(), SystemTime::now());
            let deadline = Deadline::after(time);
            STEP.fetch_add(step, Relaxed);
            assert_eq!(SystemTime::now() < date, step < 0, "the clock was not set");
            assert_eq!(kind(wait(deadline)), ErrorKind::TimedOut);
            assert!(start.elapsed() >= time, "it ended early");
        }
    }
}

#[test]
fn a_wait_lasts_as_long_as_asked_when_the_wall_clock_is_set() {
    let world = World::new("clock");
    run("step", &[world.segment().name()]);
}

// ---- files ---------------------------------------------------------------------------------------------

/// Nobody else unlinks a segment that somebody lives in, so what was opened is what has the name.
fn come_and_go(args: Args) {
    for round in 0..2000 {
        let options = Segment::options().ephemeral(true).limit(1 << 20).participants(8);
        let s = options.open_or_create(&args[0]).unwrap();
        assert!(!s.is_unlinked(), "round {round}");
    }
}

#[test]
fn who_opens_what_others_unlink_never_gets_what_is_gone() {
    let world = World::new("gone");
    let name = world.name();
    let all: Vec<Process> = (0..4).map(|_| spawn("come and go", &[&name])).collect();
    all.into_iter().for_each(Process::finish);
    wait_until("it is removed", || {
        Segment::gc().unwrap();
        world.leftovers().is_empty()
    });
}

#[test]
fn who_leaves_last_removes_no_other_file_of_the_same_name() {
    let world = World::new("other");
    let s = world.segment();
    let name = s.name().to_owned();
    fs::remove_file(path(&name)).unwrap();
    let other = Segment::create(&name).unwrap();
    drop(s);
    assert!(!other.is_unlinked());
    Segment::unlink(&name).unwrap();
}

#[test]
fn opening_creates_nothing() {
    let world = World::new("nothing");
    let name = world.name();
    assert_eq!(kind(Segment::open(&name)), ErrorKind::NotFound);
    assert_eq!(world.leftovers(), [""; 0]);
}

// ---- what a process costs ------------------------------------------------------------------------------

const ITEMS: usize = 500;

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// Nothing is left to a thread that would have to go on: what was put is there when the process has ended.
fn put_and_exit(args: Args) {
    let before = threads();
    let q = Queue::open(&Segment::open(&args[0]).unwrap(), "queue").unwrap();
    for n in 0..ITEMS {
        q.put(&vec![n as u8; 10_000]).unwrap();
    }
    assert_eq!(threads(), before);
    // SAFETY: nothing of the process is needed any more, which is the point.
    unsafe { libc::_exit(0) }
}

#[test]
fn what_was_put_is_there_when_its_putter_has_ended() {
    let world = World::new("exit");
    let s = world.segment();
    let q = Queue::create(&s, "queue", &QueueOptions::new(ITEMS as u64)).unwrap();
    run("put and exit", &[s.name()]);
    for n in 0..ITEMS {
        assert_eq!(q.try_get().unwrap(), vec![n as u8; 10_000]);
    }
}

fn descriptors_and_mappings() -> (usize, usize) {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mappings = maps.lines().filter(|line| line.contains("/dev/shm/")).count();
    (fs::read_dir("/proc/self/fd").unwrap().count(), mappings)
}

fn make_many(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let before = descriptors_and_mappings();
    let values: Vec<_> = (0..2000).map(|n| Value::create(&s, &format!("v{n}"), n).unwrap()).collect();
    let queues: Vec<_> =
        (0..200).map(|n| Queue::create(&s, &format!("q{n}"), &QueueOptions::new(4)).unwrap()).collect();
    let locks: Vec<_> = (0..2000).map(|n| Lock::create(&s, &format!("l{n}")).unwrap()).collect();
    let _guards: Vec<_> = locks.iter().map(|lock| lock.lock().unwrap()).collect();
    queues.iter().for_each(|q| q.put(&[1; 5000]).unwrap());
    assert_eq!(descriptors_and_mappings(), before);
    drop(values);
}

#[test]
fn objects_take_no_descriptors_and_no_mappings() {
    let world = World::new("many");
    run("many", &[world.segment().name()]);
}
