//! The world's faults, each scripted.
//!
//! | fault | here | elsewhere |
//! |---|---|---|
//! | /dev/shm full: creation, growth, spill | | `faults.rs` `a_full_dev_shm…` |
//! | … objects, list pages, fork | `full_when_…` | |
//! | two pid namespaces with equal pids | `equal_pids_…` | |
//! | a pid that is used again | `a_pid_that_is_used_again_…` | |
//! | a zombie holder, a holder that executes a program | | `kill.rs` |
//! | fork while holding; the child exits, unlocks, closes | | `fork.rs` `what_the_parent_holds_…` |
//! | another user in the way | `what_another_user_…` | `faults.rs` `other_users_…` |
//! | umask | | `faults.rs` `the_mode_…` |
//! | unlinked, truncated underneath | `unlinked_…`, `truncated_…` | `anonymous.rs` (sealed: immune) |
//! | out of descriptors, of address space, of mappings | `out_of_…` | |
//! | 64 processes race to create, and are killed at it | `many_race_…` | `steps` (each step alone) |
//! | SIGINT, SIGTERM during every wait | | `tests/c/signals.c`, `python/tests/test_signals.py` |
//! | close in every order | `handles_close_in_every_order` | `tests/c/handles.c` |
//! | the interpreter's end with live views | | `python/tests/test_buffers.py` |
//! | a killed waiter, then a wake | | `wakes.rs` |
//!
//! What needs root, or user namespaces in its place, says so where it has neither.

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::time::Duration;

use common::*;
use sharecell::*;

#[test]
#[ignore = "the other side of these tests; they start it"]
fn child() {
    act(&[
        ("full", |_| in_private_shm(512 << 10, full)),
        ("namespace", namespace),
        ("hold", |args| hold_all(&args)),
        ("used again", used_again),
        ("squat", squat),
        ("truncated", truncated),
        ("descriptors", descriptors),
        ("address space", address_space),
        ("mappings", mappings),
        ("race", race),
    ]);
}

fn in_time() -> Deadline {
    Deadline::after(WATCHDOG)
}

/// Long enough for somebody who robs the living to do so.
fn for_a_while() -> Deadline {
    Deadline::after(Duration::from_millis(150))
}

fn pause() -> ! {
    loop {
        // SAFETY: pause has no preconditions.
        unsafe { libc::pause() };
    }
}

fn kill(pid: i32) {
    // SAFETY: kill has no memory-safety preconditions; the caller knows that the id is still that process's.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGKILL) }, 0);
}

/// Closes what a forked child has inherited and does not use.
fn close_copy(file: &impl AsRawFd) {
    // SAFETY: the child ends by `_exit`, which does not close it again.
    unsafe { libc::close(file.as_raw_fd()) };
}

fn last_error() -> std::io::Error {
    std::io::Error::last_os_error()
}

fn alive(s: &Segment) -> usize {
    s.participants().iter().filter(|p| p.alive).count()
}

// ---- no memory left ------------------------------------------------------------------------------------

/// Fills the private /dev/shm to its last byte.
fn fill_up() -> File {
    let filler = File::create("/dev/shm/filler").unwrap();
    let pages = (0..).take_while(|i| filler.write_at(&[1; 4096], i * 4096).is_ok_and(|n| n > 0)).count();
    assert!(pages > 0, "it was full before");
    filler
}

/// More than a slot lists by itself.
const MANY: usize = 400;

fn full() {
    let s = Segment::options().ephemeral(true).participants(8).create("full").unwrap();
    let names: Vec<String> = (0..MANY).map(|i| format!("v{i}")).collect();
    names.iter().for_each(|name| drop(Value::create(&s, name, 7i64).unwrap()));
    let go = Semaphore::create(&s, "go", 0).unwrap();
    // What is free in the arena is used up too: by blocks of the size of a page of the list.
    drop(fill_up());
    let mut hoard = Vec::new();
    while let Ok(page) = Array::<u8>::create(&s, &format!("hoard {}", hoard.len()), 3000) {
        hoard.push(page);
    }
    let (mut open, mut failure) = (Vec::new(), None);
    for name in &names {
        match Value::<i64>::open(&s, name) {
            Ok(value) => open.push(value),
            Err(e) => failure = failure.or(Some(e)),
        }
    }
    let error = failure.expect("a list of this length needs a page");
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert!(error.to_string().contains("available 0"), "{error}");
    assert!(open.len() > 10 && open.iter().all(|value| value.get().unwrap() == 7));
    assert_eq!(
        kind(Lock::create(&s, "lock").map(drop).and(Value::<i64>::open(&s, &names[MANY - 1]))),
        ErrorKind::NoSpace
    );
    // A fork has nothing to spare either: its child is attached, or knows that it is not.
    let child = fork(|| match open[0].add(1).and(go.release(1)) {
        Ok(()) => 0,
        Err(e) if e.kind() == ErrorKind::NotAttached => 0,
        Err(_) => 1,
    });
    assert_eq!(reap(child), 0);
    s.recover();
    // With room everything goes on.
    fs::remove_file("/dev/shm/filler").unwrap();
    drop((hoard, open));
    let open: Vec<_> = names.iter().map(|name| Value::<i64>::open(&s, name).unwrap()).collect();
    let child = fork(|| i32::from(open.iter().any(|value| value.add(1).is_err())));
    assert_eq!(reap(child), 0);
    assert!(open[1..].iter().all(|value| value.get().unwrap() == 8));
}

#[test]
fn full_when_objects_are_made_and_listed_and_at_a_fork() {
    run("full", &[]);
}

// ---- pids mean nothing ---------------------------------------------------------------------------------

/// From now on children of this process have a pid namespace of their own. Says so where that is not permitted.
fn unshare_pids() -> bool {
    // SAFETY: unshare has no memory-safety preconditions.
    let unshare = || unsafe { libc::unshare(libc::CLONE_NEWPID) } == 0;
    let done = unshare() || (enter_user_namespace() && unshare());
    if !done {
        eprintln!("NOT TESTED, no pid namespace of one's own here: {}", last_error());
    }
    done
}

/// Plays a part as pid 1 of a namespace of its own; says which pid that is outside.
fn namespace(args: Args) {
    // Only a process of one thread may enter a user namespace.
    reap(fork(|| {
        play_as_first(&args);
        0
    }));
}

fn play_as_first(args: &[String]) {
    if !unshare_pids() {
        say("not permitted");
        park();
    }
    let (mut go, going) = std::io::pipe().unwrap();
    let child = fork(|| {
        close_copy(&going);
        go.read_to_end(&mut Vec::new()).unwrap();
        assert_eq!(std::process::id(), 1);
        match args[1].as_str() {
            "hold" => hold_all(args),
            _ => {
                let s = Segment::open(&args[0]).unwrap();
                let lock = Lock::open(&s, "lock").unwrap();
                say("waits");
                say(format!("owner died: {}", lock.lock_until(in_time()).unwrap().owner_died()));
            }
        }
        pause()
    });
    say(child);
    drop(going);
    reap(child);
    say("reaped");
    park()
}

/// Holds everything until it is killed.
fn hold_all(args: &[String]) {
    let s = &Segment::open(&args[0]).unwrap();
    let (lock, rlock) = (Lock::open(s, "lock").unwrap(), RLock::open(s, "rlock").unwrap());
    let (rwlock, undo) = (RwLock::open(s, "rwlock").unwrap(), Semaphore::open(s, "undo").unwrap());
    let q = Queue::open(s, "queue").unwrap();
    let _ = (lock.acquire(in_time()).unwrap(), rlock.acquire(in_time()).unwrap());
    let _ = rwlock.acquire_write(in_time()).unwrap();
    undo.acquire().unwrap();
    let _item = q.recv(in_time()).unwrap();
    say("holds");
    pause()
}

/// What `hold_all` holds.
struct Holdings {
    s: Segment,
    lock: Lock,
    rlock: RLock,
    rwlock: RwLock,
    undo: Semaphore,
    q: Queue,
}

impl Holdings {
    fn new(s: Segment) -> Self {
        let q = Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap();
        q.put(b"item").unwrap();
        Self {
            lock: Lock::create(&s, "lock").unwrap(),
            rlock: RLock::create(&s, "rlock").unwrap(),
            rwlock: RwLock::create(&s, "rwlock").unwrap(),
            undo: Semaphore::create_with(&s, "undo", &SemaphoreOptions::new(1).undo()).unwrap(),
            q,
            s,
        }
    }

    fn check_held(&self) {
        self.s.recover();
        assert_eq!(kind(self.lock.lock_until(for_a_while())), ErrorKind::TimedOut);
        assert_eq!(kind(self.rlock.try_lock()), ErrorKind::WouldBlock);
        assert_eq!(kind(self.rwlock.try_read()), ErrorKind::WouldBlock);
        assert_eq!(kind(self.undo.try_acquire()), ErrorKind::WouldBlock);
        assert_eq!(kind(self.q.try_get()), ErrorKind::WouldBlock);
    }

    /// All but the lock, which has an heir already.
    fn check_inherited(&self) {
        assert!(self.rlock.lock_until(in_time()).unwrap().owner_died());
        assert!(self.rwlock.write_until(in_time()).unwrap().owner_died());
        self.undo.acquire_until(in_time()).unwrap();
        assert_eq!(self.q.recv(in_time()).unwrap().deliveries(), 2);
    }
}

/// Starts a part in a pid namespace of its own; its pid here.
fn spawn_namespaced(s: &Segment, part: &str, says: &str) -> Option<(Process, i32)> {
    let mut process = spawn("namespace", &[s.name(), part]);
    let line = process.line();
    let pid = line.parse().ok()?;
    process.expect(says);
    Some((process, pid))
}

#[test]
fn equal_pids_of_two_namespaces_rob_nobody() {
    let world = World::new("namespaces");
    let all = Holdings::new(world.segment());
    let Some((mut holder, holder_pid)) = spawn_namespaced(&all.s, "hold", "holds") else {
        eprintln!("NOT TESTED: no pid namespace of one's own is permitted here");
        return;
    };
    let (mut waiter, waiter_pid) = spawn_namespaced(&all.s, "wait", "waits").unwrap();
    let (mut heir, heir_pid) = spawn_namespaced(&all.s, "wait", "waits").unwrap();
    let ones = all.s.participants().iter().filter(|p| p.pid == 1).count();
    assert_eq!((ones, alive(&all.s)), (3, 4));
    all.check_held();
    kill(waiter_pid);
    waiter.expect("reaped");
    all.check_held();
    assert!(!heir.said_something());
    kill(holder_pid);
    holder.expect("reaped");
    heir.expect("owner died: true");
    all.check_inherited();
    // Buried before the segment is closed, which is ephemeral: the last to leave removes it.
    kill(heir_pid);
    heir.expect("reaped");
}

/// A newcomer gets the pid of a holder that was killed, before anybody has looked.
fn used_again(args: Args) {
    // Its watchdog is a thread, which could not be started afterwards.
    let world = World::new("again");
    let unshared = fork(|| {
        if unshare_pids() {
            let init = fork(|| {
                use_pid_again(&world, args[0].parse().unwrap());
                0
            });
            assert_eq!(reap(init), 0);
        }
        0
    });
    assert_eq!(reap(unshared), 0);
}

fn use_pid_again(world: &World, participants: u32) {
    let all = Holdings::new(world.segment_with(SegmentOptions::new().participants(participants)));
    let (mut holds, holding) = std::io::pipe().unwrap();
    let holder = fork(|| {
        let _ = all.lock.acquire(in_time()).unwrap();
        let _ = (all.rlock.acquire(in_time()).unwrap(), all.rwlock.acquire_write(in_time()).unwrap());
        all.undo.acquire().unwrap();
        std::mem::forget(all.q.recv(in_time()).unwrap());
        (&holding).write_all(b"!").unwrap();
        pause()
    });
    holds.read_exact(&mut [0]).unwrap();
    kill(holder);
    assert_eq!(reap(holder), -libc::SIGKILL);
    if let Err(e) = fs::write("/proc/sys/kernel/ns_last_pid", (holder - 1).to_string()) {
        eprintln!("NOT TESTED, the next pid cannot be chosen here: {e}");
        return;
    }
    let newcomer = fork(|| {
        assert_eq!(std::process::id() as i32, holder);
        // It holds nothing of what the other one held, and inherits as anybody does.
        assert_eq!(kind(all.rlock.release()), ErrorKind::NotOwner);
        assert_eq!(kind(all.lock.release()), ErrorKind::NotOwner);
        assert!(all.lock.lock_until(in_time()).unwrap().owner_died());
        all.check_inherited();
        0
    });
    assert_eq!(reap(newcomer), 0);
}

#[test]
fn a_pid_that_is_used_again_is_not_the_one_who_died() {
    // With one seat left, and with many.
    run("used again", &["3"]);
    run("used again", &["64"]);
}

// ---- somebody else's files -----------------------------------------------------------------------------

const NOBODY: u32 = 65534;

/// Whether this process may become somebody else; says so if not.
fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        eprintln!("NOT TESTED: only root can act as another user");
    }
    root
}

/// Makes this process another user's, who may do less.
fn become_nobody() {
    // SAFETY: these change who this process is, and nothing in memory.
    let changed = unsafe {
        libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(NOBODY, NOBODY, NOBODY) == 0
            && libc::setresuid(NOBODY, NOBODY, NOBODY) == 0
    };
    assert!(changed, "{}", last_error());
}

/// What a user may put where another one's segment is expected.
const OBSTACLES: [&str; 6] =
    ["empty", "text", "open to all", "link to a segment", "dangling link", "directory"];

fn put_in_the_way(what: &str, path: &str, target: &str) {
    match what {
        "empty" => drop(File::create(path).unwrap()),
        "text" => {
            fs::write(path, "not a segment, but as long as the header of one would be. ".repeat(10)).unwrap()
        }
        "open to all" => {
            fs::write(path, [0; 4096]).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o666)).unwrap();
        }
        "link to a segment" => symlink(target, path).unwrap(),
        "dangling link" => symlink("/dev/shm/sharecell.never-there", path).unwrap(),
        "directory" => fs::create_dir(path).unwrap(),
        other => panic!("{other}"),
    }
}

fn squat(_: Args) {
    if !is_root() {
        return;
    }
    let world = World::new("squat");
    let good = world.name();
    drop(Segment::options().limit(1 << 20).mode(0o666).create(&good).unwrap());
    let before = fs::read(path(&good)).unwrap();
    for what in OBSTACLES {
        let name = world.name();
        let squatter = fork(|| {
            become_nobody();
            put_in_the_way(what, &path(&name), &path(&good));
            0
        });
        assert_eq!(reap(squatter), 0);
        for opened in [Segment::open(&name), Segment::open_or_create(&name)] {
            let error = opened.expect_err(what);
            assert!(
                [ErrorKind::WrongUser, ErrorKind::NotASegment].contains(&error.kind())
                    && error.to_string().contains(&name),
                "{what}: {error}"
            );
        }
        assert_eq!(kind(Segment::create(&name)), ErrorKind::AlreadyExists, "{what}");
        assert!(!Segment::gc().unwrap().contains(&name), "{what}");
        let there = fs::symlink_metadata(path(&name)).unwrap();
        assert_eq!(there.uid(), NOBODY, "{what}");
        if there.is_dir() {
            fs::remove_dir(path(&name)).unwrap()
        } else {
            fs::remove_file(path(&name)).unwrap()
        };
    }
    assert!(!fs::exists("/dev/shm/sharecell.never-there").unwrap(), "a link was followed");
    assert!(fs::read(path(&good)).unwrap() == before, "a link was followed");
    Segment::unlink(&good).unwrap();
}

#[test]
fn what_another_user_put_in_the_way_is_refused_and_left_alone() {
    run("squat", &[]);
}

#[test]
fn unlinked_by_hand_it_goes_on_and_its_name_is_free() {
    let world = World::new("unlinked");
    let all = Holdings::new(Segment::options().limit(4 << 20).create(&world.name()).unwrap());
    let child = spawn_holder(&all.s);
    fs::remove_file(path(all.s.name())).unwrap();
    assert!(all.s.is_unlinked());
    let other = Segment::options().ephemeral(true).create(all.s.name()).unwrap();
    assert!(all.s.is_unlinked() && !other.is_unlinked());
    assert_eq!((other.objects().unwrap().len(), all.s.objects().unwrap().len()), (0, 5));
    all.check_held();
    // It still grows, and the dead are still found.
    drop(Array::<u8>::create(&all.s, "large", 1 << 20).unwrap());
    drop(child);
    assert!(all.lock.lock_until(in_time()).unwrap().owner_died());
    all.check_inherited();
}

/// Somebody else who holds everything, until he is dropped.
fn spawn_holder(s: &Segment) -> Process {
    let mut holder = spawn("namespace", &[s.name(), "hold"]);
    if holder.line() == "not permitted" {
        holder = spawn("hold", &[s.name()]);
    }
    holder.expect("holds");
    holder
}

/// README says what is promised of a named segment that somebody truncates: nothing but the signal.
fn truncated(_: Args) {
    let world = World::new("truncated");
    let name = world.name();
    drop(Segment::options().limit(4 << 20).create(&name).unwrap());
    let child = fork(|| {
        let s = Segment::open(&name).unwrap();
        let value = Value::create(&s, "value", 7i64).unwrap();
        File::options().write(true).open(path(&name)).unwrap().set_len(0).unwrap();
        i32::from(value.get().is_ok())
    });
    assert_eq!(reap(child), -libc::SIGBUS);
    // An empty file is one that nobody has finished: somebody else may have collected it.
    let _ = Segment::unlink(&name);
}

#[test]
fn truncated_underneath_it_kills_who_touches_it() {
    run("truncated", &[]);
}

// ---- out of resources ----------------------------------------------------------------------------------

fn limit(what: libc::__rlimit_resource_t, soft: u64) {
    // SAFETY: rlimit is plain data, for which zeroes are valid.
    let mut both: libc::rlimit = unsafe { std::mem::zeroed() };
    // SAFETY: a valid place to write to.
    assert_eq!(unsafe { libc::getrlimit(what, &mut both) }, 0);
    both.rlim_cur = soft.min(both.rlim_max);
    // SAFETY: a valid record to read.
    assert_eq!(unsafe { libc::setrlimit(what, &both) }, 0, "{}", last_error());
}

/// Gives this thread's heap room, and something at its end that keeps it: the standard library aborts the process when
/// there is no memory, which is not what is to be tried here.
fn spare_heap() -> Vec<u8> {
    let chunks: Vec<Vec<u8>> = (0..8000).map(|_| vec![1; 1000]).collect();
    let last = vec![1; 1000];
    drop(chunks);
    last
}

/// Everything that takes something of the process: each succeeds or says what ran out. How many failed. `threads`: also
/// what starts one; the standard library aborts a process whose new thread finds no memory.
fn try_all(world: &World, s: &Segment, closed: &str, threads: bool) -> usize {
    let mut failed = 0;
    let mut check = |what: &str, result: Result<()>| {
        if let Err(e) = result {
            assert_eq!(e.kind(), ErrorKind::OutOfResources, "{what}: {e}");
            failed += 1;
        }
    };
    let q = Queue::open(s, "queue").unwrap();
    check("create", Segment::options().limit(4 << 20).ephemeral(true).create(&world.name()).map(drop));
    check("open", Segment::open(closed).map(drop));
    check("anonymous", Segment::create_anonymous().map(drop));
    check("bell", Bell::new().and_then(|bell| if threads { bell.arm(&[q.readable()]) } else { Ok(()) }));
    let fd = std::io::stdin();
    let wait =
        wait_any(&[q.readable(), Interest::readable(fd.as_fd())], Deadline::after(Duration::from_millis(1)));
    check(
        "wait_any",
        wait.map(drop).or_else(|e| if e.kind() == ErrorKind::TimedOut { Ok(()) } else { Err(e) }),
    );
    let child = fork(|| match q.put(b"from the child") {
        Ok(()) => 0,
        Err(e) => i32::from(e.kind() != ErrorKind::NotAttached) + 1,
    });
    let code = reap(child);
    assert!(code < 2, "the child ended with {code}");
    // What this process has goes on, whatever failed.
    assert_eq!(q.try_get().is_ok(), code == 0);
    q.put(&[1; 5000]).unwrap();
    assert_eq!(q.get().unwrap(), [1; 5000]);
    failed
}

/// A segment in use, and one that is not.
fn with_segments(test: &str, scene: impl FnOnce(&World, &Segment, &str)) {
    let world = World::new(test);
    let s = world.segment();
    let q = Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap();
    let closed = world.name();
    drop(Segment::options().limit(4 << 20).create(&closed).unwrap());
    scene(&world, &s, &closed);
    // Nothing stayed behind.
    assert_eq!(try_all(&world, &s, &closed, true), 0);
    s.recover();
    assert_eq!(s.participants().len(), 1);
    let again = Segment::open(&closed).unwrap();
    assert_eq!(again.participants().len(), 1);
    drop(again);
    Segment::unlink(&closed).unwrap();
    assert_eq!(world.leftovers(), [s.name()]);
    drop((q, s));
    // The thread that slept for a bell may have it for a moment more.
    wait_until("nobody has it open", || world.leftovers().is_empty());
}

fn descriptors(_: Args) {
    with_segments("descriptors", |world, s, closed| {
        limit(libc::RLIMIT_NOFILE, 100);
        let null = File::open("/dev/null").unwrap();
        let mut hoard: Vec<_> = (0..).map_while(|_| null.try_clone().ok()).collect();
        let mut failures = Vec::new();
        for _ in 0..12 {
            failures.push(try_all(world, s, closed, true));
            hoard.pop();
        }
        assert!(failures[0] >= 3 && failures[11] == 0, "{failures:?}");
    });
}

#[test]
fn out_of_descriptors() {
    run("descriptors", &[]);
}

fn address_space(_: Args) {
    with_segments("space", |world, s, closed| {
        let used = fs::read_to_string("/proc/self/statm").unwrap();
        let used: u64 = used.split(' ').next().unwrap().parse::<u64>().unwrap() * 4096;
        let mut failures = Vec::new();
        for spare in [1 << 20, 2 << 20, 3 << 20, 8 << 20] {
            limit(libc::RLIMIT_AS, used + spare);
            failures.push(try_all(world, s, closed, true));
        }
        assert!(failures[0] >= 3, "{failures:?}");
        limit(libc::RLIMIT_AS, libc::RLIM_INFINITY);
    });
}

#[test]
fn out_of_address_space() {
    run("address space", &[]);
}

/// A page of its own, that the kernel cannot join with its neighbours.
fn map_page(n: usize) -> *mut libc::c_void {
    let protection = if n.is_multiple_of(2) { libc::PROT_READ } else { libc::PROT_NONE };
    // SAFETY: a new mapping at an address of the kernel's choice.
    unsafe {
        libc::mmap(std::ptr::null_mut(), 4096, protection, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)
    }
}

fn mappings(_: Args) {
    let most: usize = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    if most > 1 << 18 {
        eprintln!("NOT TESTED: a process may have {most} mappings here");
        return;
    }
    with_segments("mappings", |world, s, closed| {
        let _heap = spare_heap();
        let mut hoard: Vec<_> =
            (0..most).map(map_page).take_while(|page| *page != libc::MAP_FAILED).collect();
        assert!(hoard.len() < most, "{} mappings, and no end", hoard.len());
        let mut failures = Vec::new();
        for _ in 0..10 {
            failures.push(try_all(world, s, closed, false));
            for page in hoard.split_off(hoard.len() - 2) {
                // SAFETY: it was mapped above, and nobody uses it.
                unsafe { libc::munmap(page, 4096) };
            }
        }
        assert!(failures[0] >= 2 && failures[9] == 0, "{failures:?}");
        for page in hoard {
            // SAFETY: as above.
            unsafe { libc::munmap(page, 4096) };
        }
    });
}

#[test]
fn out_of_mappings() {
    run("mappings", &[]);
}

// ---- races ---------------------------------------------------------------------------------------------

const RACERS: usize = 64;

/// One of many that create or open a segment, and something in it, at once. With the feature `steps` some of them are
/// killed at a chosen access to it; they and others are killed at random moments besides.
fn race_once(name: &str, die_at: u64, mut results: &std::io::PipeWriter) -> i32 {
    #[cfg(feature = "steps")]
    sharecell::steps::die_at(die_at);
    let _ = die_at;
    let options = Segment::options().limit(1 << 20).participants(2 * RACERS as u32);
    let s = options.open_or_create(name).unwrap();
    let count = Value::open_or_create(&s, "count", 0i64).unwrap();
    let q = Queue::open_or_create(&s, "queue", &QueueOptions::new(RACERS as u64)).unwrap();
    q.put(b"I was here").unwrap();
    count.add(1).unwrap();
    results.write_all(b"!").unwrap();
    0
}

/// How many accesses the one who comes first makes.
#[cfg(feature = "steps")]
fn accesses_of_one(name: &str) -> u64 {
    let (mut read, write) = std::io::pipe().unwrap();
    let one = fork(|| {
        let code = race_once(name, 0, &write);
        (&write).write_all(&sharecell::steps::count().to_ne_bytes()).unwrap();
        code
    });
    assert_eq!(reap(one), 0);
    drop(write);
    let mut said = Vec::new();
    read.read_to_end(&mut said).unwrap();
    Segment::unlink(name).unwrap();
    u64::from_ne_bytes(said[1..].try_into().unwrap())
}

#[cfg(not(feature = "steps"))]
fn accesses_of_one(_: &str) -> u64 {
    0
}

const RACES: u64 = 40;

fn race(args: Args) {
    if args[0] == "another user" {
        if !is_root() {
            return;
        }
        become_nobody();
    }
    let world = World::new("race");
    let mut random = Random::new(7);
    let accesses = accesses_of_one(&world.name());
    for round in 0..RACES {
        // Of those who are killed at an access each gets as far as all others of its round, from the first to the last.
        let at = 1 + round * accesses / RACES + random.below(1 + accesses / RACES);
        let name = world.name();
        let (gun, starting) = std::io::pipe().unwrap();
        let (mut results, finish) = std::io::pipe().unwrap();
        let racers: Vec<_> = (0..RACERS)
            .map(|i| {
                let doomed = i < RACERS / 2;
                fork(|| {
                    close_copy(&starting);
                    (&gun).read_exact(&mut [0]).unwrap_err();
                    race_once(&name, if doomed { at } else { 0 }, &finish)
                })
            })
            .collect();
        drop((starting, finish));
        for _ in 0..random.below(8) {
            std::thread::sleep(Duration::from_micros(random.below(2000)));
            kill(racers[random.below(RACERS as u64 / 2) as usize]);
        }
        let codes: Vec<_> = racers.iter().map(|pid| reap(*pid)).collect();
        assert!(codes[RACERS / 2..].iter().all(|code| *code == 0), "round {round}: {codes:?}");
        assert!(codes.iter().all(|code| [0, -libc::SIGKILL].contains(code)), "round {round}: {codes:?}");
        let mut finished = Vec::new();
        results.read_to_end(&mut finished).unwrap();
        let s = Segment::open(&name).unwrap();
        s.recover();
        let count = Value::<i64>::open(&s, "count").unwrap().get().unwrap() as usize;
        let items = Queue::open(&s, "queue").unwrap().qsize();
        assert!(
            finished.len() <= count && count <= items && items <= RACERS,
            "{} {count} {items}",
            finished.len()
        );
        assert_eq!((s.objects().unwrap().len(), s.participants().len()), (2, 1), "round {round}");
        drop(s);
        Segment::unlink(&name).unwrap();
    }
}

#[test]
fn many_race_to_create_and_are_killed_at_it() {
    run("race", &["this user"]);
    run("race", &["another user"]);
}

// ---- the end -------------------------------------------------------------------------------------------

fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    let insert =
        |shorter: Vec<usize>| (0..n).map(move |at| [&shorter[..at], &[n - 1], &shorter[at..]].concat());
    permutations(n - 1).into_iter().flat_map(insert).collect()
}

#[test]
fn handles_close_in_every_order() {
    let world = World::new("order");
    let orders = permutations(6);
    assert_eq!(orders.len(), 720);
    for order in orders {
        let s = Segment::options().limit(1 << 20).ephemeral(true).create(&world.name()).unwrap();
        let (a, b) = Pipe::create(&s, "pipe", &PipeOptions::new().capacity(2)).unwrap();
        b.send(&[1; 3000]).unwrap();
        let q = Queue::create(&s, "queue", &QueueOptions::new(2)).unwrap();
        q.put(&[1; 3000]).unwrap();
        let (lock, clone) = (Lock::create(&s, "lock").unwrap(), s.clone());
        let mut handles: [Option<Box<dyn std::any::Any>>; 6] = [
            Some(Box::new(s)),
            Some(Box::new(clone)),
            Some(Box::new(a)),
            Some(Box::new(b)),
            Some(Box::new(q)),
            Some(Box::new(lock)),
        ];
        for (i, n) in order.iter().enumerate() {
            assert_eq!(world.leftovers().len(), 1, "{order:?} before step {i}");
            handles[*n] = None;
        }
        assert_eq!(world.leftovers(), [""; 0], "{order:?}");
    }
}
