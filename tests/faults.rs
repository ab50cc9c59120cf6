//! Bad input and the world's faults: each gets a clear error, and nothing is lost or left behind.

mod common;
#[path = "common/everything.rs"]
mod everything;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};

use common::*;
use everything::{Wide, use_everything};
use sharecell::*;

#[test]
#[ignore = "the other side of these tests; they start it"]
fn child() {
    act(&[
        ("open", open),
        ("stay", stay),
        ("other users", other_users),
        ("masks", masks),
        ("full", |_| in_private_shm(256 << 10, full)),
        ("truncated", truncated),
        ("damage", damage),
    ]);
}

/// A persistent segment with a value in it, that nobody is attached to.
fn closed(world: &World) -> String {
    let name = world.name();
    let s = Segment::options().limit(4 << 20).create(&name).unwrap();
    drop(Value::create(&s, "value", 7i64).unwrap());
    name
}

#[track_caller]
fn check_value(name: &str) {
    let s = Segment::open(name).unwrap();
    assert_eq!(Value::<i64>::open(&s, "value").unwrap().get().unwrap(), 7);
}

/// The error's kind, and what its text must contain.
#[track_caller]
fn check<T>(result: Result<T>, expected: ErrorKind, texts: &[&str]) {
    let error = result.err().unwrap_or_else(|| panic!("it succeeded, instead of {expected:?} {texts:?}"));
    assert_eq!(error.kind(), expected, "{error}");
    for text in texts {
        assert!(error.to_string().contains(text), "{error}: does not mention {text:?}");
    }
}

/// Where a field of the header is.
fn header(field: &str) -> u64 {
    layout_table().iter().find(|row| (row.0, row.1) == ("Header", field)).unwrap().2 as u64
}

fn file(name: &str) -> File {
    File::options().read(true).write(true).open(path(name)).unwrap()
}

#[test]
fn a_header_that_is_not_ours_is_refused() {
    use ErrorKind::*;
    let world = World::new("header");
    let name = closed(&world);
    let flip32 = |x: u32| x.swap_bytes().to_ne_bytes().to_vec();
    let word = |x: u64| x.to_ne_bytes().to_vec();
    let half = |x: u32| x.to_ne_bytes().to_vec();
    let (have, want) = (format!("{:#x}", LAYOUT_VERSION + 1), format!("{LAYOUT_VERSION:#x}"));
    let changes: [(&str, Vec<u8>, ErrorKind, &[&str]); 15] = [
        ("magic", b"SHARCELl".to_vec(), NotASegment, &[]),
        ("layout_version", half(LAYOUT_VERSION + 1), Incompatible, &["layout version", &have, &want]),
        ("byte_order", flip32(0x0102_0304), Incompatible, &["byte order", "0x4030201", "0x1020304"]),
        ("word_bytes", half(4), Incompatible, &["word size", "0x4", "0x8"]),
        ("lock_protocol", half(7), Incompatible, &["lock protocol", "0x7"]),
        ("flags", half(0x80), Corrupted, &[]),
        ("participants", half(0), Corrupted, &["0 participants"]),
        ("participants", half(5000), Corrupted, &["5000 participants"]),
        ("participants", half(4000), Corrupted, &["4194304"]),
        ("limit", word(0), Corrupted, &["0 bytes"]),
        ("limit", word((4 << 20) + 1), Corrupted, &["4194305"]),
        ("limit", word(1 << 41), Corrupted, &[]),
        ("limit", word(128 << 10), Corrupted, &["131072"]),
        ("boot_id", word(1), StaleBoot, &["unlink"]),
        ("limit", word(u64::MAX), Corrupted, &[]),
    ];
    for (field, bytes, expected, texts) in changes {
        let (file, mut before) = (file(&name), vec![0; bytes.len()]);
        file.read_exact_at(&mut before, header(field)).unwrap();
        file.write_all_at(&bytes, header(field)).unwrap();
        let texts = [texts, &[name.as_str()]].concat();
        check(Segment::open(&name), expected, &texts);
        check(Segment::open_or_create(&name), expected, &texts);
        check(Segment::create(&name), AlreadyExists, &[&name]);
        Segment::gc().unwrap();
        file.write_all_at(&before, header(field)).unwrap();
        check_value(&name);
    }
    Segment::unlink(&name).unwrap();
}

#[test]
fn a_file_that_is_no_segment_is_refused_and_left_alone() {
    let world = World::new("files");
    let good = closed(&world);
    let [foreign, link, directory, fifo] = [(); 4].map(|()| world.name());
    fs::write(path(&foreign), "a file of somebody else, longer than any header would have to be: ".repeat(9))
        .unwrap();
    symlink(path(&good), path(&link)).unwrap();
    fs::create_dir(path(&directory)).unwrap();
    let fifo_path = std::ffi::CString::new(path(&fifo)).unwrap();
    // SAFETY: the path is NUL-terminated and lives for the call.
    assert_eq!(unsafe { libc::mkfifo(fifo_path.as_ptr(), 0o600) }, 0);
    for name in [&foreign, &link, &directory, &fifo] {
        check(Segment::open(name), ErrorKind::NotASegment, &[name]);
        check(Segment::open_or_create(name), ErrorKind::NotASegment, &[name]);
        check(Segment::create(name), ErrorKind::AlreadyExists, &[name]);
    }
    let removed = Segment::gc().unwrap();
    for name in [&foreign, &link, &directory, &fifo, &good] {
        assert!(!removed.contains(name) && fs::symlink_metadata(path(name)).is_ok());
    }
    fs::remove_dir(path(&directory)).unwrap();
    for name in [&foreign, &link, &fifo] {
        Segment::unlink(name).unwrap();
    }
    check_value(&good);
    Segment::unlink(&good).unwrap();
}

#[test]
fn an_unfinished_segment_is_refused_and_collected() {
    let world = World::new("unfinished");
    for len in [0, 20, 100_000] {
        let name = world.name();
        wait_until("it is looked at before somebody else has collected it", || {
            File::create(path(&name)).unwrap().set_len(len).unwrap();
            let opened = Segment::open(&name);
            if opened.as_ref().is_err_and(|e| e.kind() == ErrorKind::NotFound) {
                return false;
            }
            check(opened, ErrorKind::Unfinished, &[&name, &len.to_string()]);
            true
        });
        wait_until("it is collected", || {
            Segment::gc().unwrap();
            world.leftovers().is_empty()
        });
    }
}

fn truncated(args: Args) {
    let name = &args[0];
    let s = Segment::open(name).unwrap();
    for kind in [kind(Array::<u8>::open(&s, "array")), kind(Queue::open(&s, "queue"))] {
        assert!(matches!(kind, ErrorKind::Corrupted | ErrorKind::NotFound), "{kind:?}");
    }
    check(Value::create(&s, "new", 1u8), ErrorKind::Corrupted, &[name]);
}

#[test]
fn a_truncated_segment_gives_errors_and_no_fault() {
    let world = World::new("truncated");
    let name = closed(&world);
    let s = Segment::open(&name).unwrap();
    drop(Array::<u8>::create(&s, "array", 300_000).unwrap());
    drop(Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap());
    drop(s);
    let len = fs::metadata(path(&name)).unwrap().len();
    let fixed = {
        let size = |of| layout_table().iter().find(|row| row.0 == of && row.1.is_empty()).unwrap().3 as u64;
        (size("Header") + 64 * size("Slot") + 1024 * size("Extent")).next_multiple_of(4096)
    };
    file(&name).set_len(fixed).unwrap();
    run("truncated", &[&name]);
    for cut in [fixed - 1, 2000, len + (1 << 30)] {
        file(&name).set_len(cut).unwrap();
        check(Segment::open(&name), ErrorKind::Corrupted, &[&name, &cut.to_string()]);
    }
    Segment::unlink(&name).unwrap();
}

#[test]
fn names_follow_rules() {
    let world = World::new("names");
    let s = world.segment();
    for bad in ["", "a/b", "/", "a\0b", "a\nb", "\x7f", &"x".repeat(201)] {
        for result in [Segment::open(bad), Segment::create(bad), Segment::open_or_create(bad)] {
            check(result, ErrorKind::InvalidName, &["the name of a segment"]);
        }
        check(Segment::unlink(bad), ErrorKind::InvalidName, &[]);
    }
    for bad in ["", "a/b", "/", "a\0b", "a\nb", "\x7f", &"x".repeat(129)] {
        check(Value::create(&s, bad, 0u8), ErrorKind::InvalidName, &["the name of an object"]);
        check(Lock::open(&s, bad), ErrorKind::InvalidName, &[]);
        check(s.remove(bad), ErrorKind::InvalidName, &[]);
    }
    for good in [".", "..", " ", "naïve ☃", &"x".repeat(128)] {
        drop(Value::create(&s, good, 1u8).unwrap());
        s.remove(good).unwrap();
        check(Lock::open(&s, good), ErrorKind::NotFound, &[good, s.name()]);
    }
    check(Segment::open(&world.name()), ErrorKind::NotFound, &["does not exist"]);
    let long = format!("{}{}", world.name(), "x".repeat(200))[..200].to_owned();
    drop(Segment::options().ephemeral(true).create(&long).unwrap());
    assert_eq!(world.leftovers(), [s.name()]);
}

#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Point([f64; 2]);

impl Element for Point {
    const NAME: &'static str = "Point";
}

/// One of each kind of object.
fn fill(s: &Segment) {
    drop(Value::create(s, "value", 7i64).unwrap());
    drop(Value::create(s, "wide", Wide([3; 5])).unwrap());
    drop(Array::<f64>::create(s, "array", 10).unwrap());
    drop(Lock::create(s, "lock").unwrap());
    drop(Semaphore::create(s, "semaphore", 1).unwrap());
    let q = Queue::create(s, "queue", &QueueOptions::new(4)).unwrap();
    q.put(&[1; 5000]).unwrap();
    q.put(b"small").unwrap();
    drop(TypedQueue::<Point>::create(s, "points", 3).unwrap());
    let (_a, b) = Pipe::create(s, "pipe", &PipeOptions::new().capacity(4)).unwrap();
    b.send(&[2; 5000]).unwrap();
    b.send(b"small").unwrap();
}

#[test]
fn what_an_object_is_is_checked_and_both_sides_are_shown() {
    use ErrorKind::*;
    let world = World::new("mismatch");
    let s = world.segment();
    fill(&s);
    let name = s.name();
    check(Lock::open(&s, "value"), WrongKind, &["\"value\"", name, "a value of type 'q'", "not lock"]);
    check(Value::<i64>::open(&s, "array"), WrongKind, &["an array of 10 'd'", "not value"]);
    check(Queue::open(&s, "pipe"), WrongKind, &["a pipe", "not queue"]);
    check(Pipe::open(&s, "queue", End::A), WrongKind, &["a queue for 4 items", "not pipe"]);
    check(Semaphore::open_or_create(&s, "lock", 1), WrongKind, &["a lock", "not semaphore"]);
    check(Value::<u64>::open(&s, "value"), WrongType, &["'q'", "'Q'", "\"value\"", name]);
    check(Value::<Point>::open(&s, "wide"), WrongType, &["Wide (40 bytes)", "Point (16 bytes)"]);
    check(Array::<f32>::open(&s, "array"), WrongType, &["'d'", "'f'"]);
    check(TypedQueue::<Wide>::open(&s, "points"), WrongType, &["Point", "Wide"]);
    check(Queue::open(&s, "points"), WrongType, &["Point"]);
    check(Array::<f64>::open_or_create(&s, "array", 11), WrongSize, &["10", "11"]);
    let queue = |options| Queue::open_or_create(&s, "queue", &options);
    check(queue(QueueOptions::new(5)), WrongSize, &["holds 4 items", "not 5"]);
    check(queue(QueueOptions::new(4).max_item(16)), WrongSize, &["16"]);
    let pipe = |options| Pipe::open_or_create(&s, "pipe", End::A, &options);
    check(pipe(PipeOptions::new().duplex(false).capacity(4)), WrongSize, &["duplex", "simplex"]);
    check(pipe(PipeOptions::new().capacity(9)), WrongSize, &["4 messages", "9 messages"]);
    for name in ["value", "array", "lock", "semaphore", "queue", "pipe"] {
        check(Value::create(&s, name, 1u8), AlreadyExists, &[name, "already has a"]);
    }
    // A refused open leaves no trace: what is removed is freed at once.
    assert_eq!(s.objects().unwrap().len(), 8);
    for object in s.objects().unwrap() {
        s.remove(&object.name).unwrap();
    }
    s.close().unwrap();
}

#[test]
fn a_removed_object_stays_with_those_who_have_it() {
    let world = World::new("removed");
    let s = world.segment();
    let q = Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap();
    q.put(&[1; 5000]).unwrap();
    s.remove("queue").unwrap();
    check(s.remove("queue"), ErrorKind::NotFound, &["queue", s.name()]);
    check(Queue::open(&s, "queue"), ErrorKind::NotFound, &["queue"]);
    let other = Queue::create(&s, "queue", &QueueOptions::new(2)).unwrap();
    q.put(b"old").unwrap();
    other.put(b"new").unwrap();
    assert_eq!(q.get().unwrap(), [1; 5000]);
    assert_eq!((q.get().unwrap(), other.get().unwrap()), (b"old".to_vec(), b"new".to_vec()));
}

#[test]
fn what_cannot_be_is_refused() {
    use ErrorKind::*;
    let world = World::new("arguments");
    let name = world.name();
    let options = Segment::options;
    check(options().participants(0).create(&name), InvalidArgument, &["got 0", "4095"]);
    check(options().participants(4096).create(&name), InvalidArgument, &["got 4096"]);
    check(options().limit(1000).create(&name), InvalidArgument, &["a limit of at least"]);
    check(options().mode(0o400).create(&name), InvalidArgument, &["0o400"]);
    check(options().mode(0o4600).create(&name), InvalidArgument, &["0o4600"]);
    let s = world.segment();
    check(Queue::create(&s, "queue", &QueueOptions::new(0)), InvalidArgument, &["got 0"]);
    check(Queue::create(&s, "queue", &QueueOptions::new(1 << 40)), InvalidArgument, &[]);
    check(Semaphore::create(&s, "semaphore", u32::MAX), InvalidArgument, &["4294967295"]);
    check(Array::<u64>::create(&s, "array", usize::MAX), InvalidArgument, &[]);
    check(Array::<u64>::create(&s, "array", 1 << 30), LimitReached, &[s.name()]);
    let q = Queue::create(&s, "queue", &QueueOptions::new(2).max_item(100)).unwrap();
    check(q.put(&[0; 101]), TooLarge, &["queue", s.name(), "up to 100 bytes", "got 101"]);
    let array = Array::<u16>::create(&s, "array", 3).unwrap();
    check(array.get(3), OutOfRange, &["array", s.name(), "3 elements", "index 3"]);
    check(array.write(1, &[0; 3]), OutOfRange, &["3 elements from 1"]);
    check(array.read(usize::MAX, 2), OutOfRange, &[]);
    let lock = Lock::create(&s, "lock").unwrap();
    check(lock.release(), NotHeld, &["lock", s.name()]);
    let semaphore = Semaphore::create(&s, "semaphore", Semaphore::MAX).unwrap();
    check(semaphore.release(1), Overflow, &["semaphore", &Semaphore::MAX.to_string()]);
    assert_eq!(s.objects().unwrap().len(), 4);
    drop((q, array, lock, semaphore));
    s.close().unwrap();
    assert_eq!(world.leftovers(), [""; 0]);
}

fn open(args: Args) {
    match Segment::open(&args[0]) {
        Ok(_) => say("opened"),
        Err(e) => say(format!("{:?}: {e}", e.kind())),
    }
}

fn stay(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    say("attached");
    hear();
    drop(s);
    say("left");
    park();
}

#[test]
fn a_full_table_of_participants_is_an_error_until_somebody_leaves() {
    let world = World::new("table");
    let s = world.segment_with(SegmentOptions::new().participants(2));
    let mut other = spawn("stay", &[s.name()]);
    other.expect("attached");
    let mut third = spawn("open", &[s.name()]);
    let line = third.line();
    assert!(
        line.starts_with("TableFull") && line.contains("all 2 seats") && line.contains(s.name()),
        "{line}"
    );
    other.tell("leave");
    other.expect("left");
    spawn("open", &[s.name()]).expect("opened");
}

// ---- users and modes -----------------------------------------------------------------------------------

const NOBODY: u32 = 65534;

/// Runs `f` in a process of another user; its exit code.
fn as_user(user: u32, f: impl FnOnce()) {
    let child = fork(|| {
        // SAFETY: these change who this process is, and nothing in memory.
        let changed = unsafe {
            libc::setgroups(0, std::ptr::null()) == 0
                && libc::setresgid(user, user, user) == 0
                && libc::setresuid(user, user, user) == 0
        };
        assert!(changed, "{}", std::io::Error::last_os_error());
        f();
        0
    });
    assert_eq!(reap(child), 0, "what was run as user {user}");
}

/// Whether this process may act as others; says so if not.
fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    let root = unsafe { libc::geteuid() } == 0;
    if !root {
        eprintln!("NOT TESTED: only root can act as other users");
    }
    root
}

fn other_users(_: Args) {
    if !is_root() {
        return;
    }
    let world = World::new("users");
    let name = closed(&world);
    let any_user = || Segment::options().any_user(true).open(&name);
    as_user(NOBODY, || {
        check(Segment::open(&name), ErrorKind::PermissionDenied, &[&name]);
        check(any_user(), ErrorKind::PermissionDenied, &[&name]);
        check(Segment::open_or_create(&name), ErrorKind::PermissionDenied, &[&name]);
        check(Segment::create(&name), ErrorKind::AlreadyExists, &[&name]);
        check(Segment::unlink(&name), ErrorKind::PermissionDenied, &[&name]);
        assert!(!Segment::gc().unwrap().contains(&name));
    });
    let mode = |mode| fs::set_permissions(path(&name), fs::Permissions::from_mode(mode)).unwrap();
    mode(0o666);
    // What belongs to root is trusted.
    as_user(NOBODY, || check_value(&name));
    std::os::unix::fs::chown(path(&name), Some(NOBODY), Some(NOBODY)).unwrap();
    let refused = [NOBODY.to_string(), name.clone()];
    let refused = refused.each_ref().map(String::as_str);
    check(Segment::open(&name), ErrorKind::WrongUser, &refused);
    as_user(NOBODY - 1, || {
        check(Segment::open(&name), ErrorKind::WrongUser, &refused);
        check(Segment::open_or_create(&name), ErrorKind::WrongUser, &refused);
        drop(any_user().unwrap());
        assert!(!Segment::gc().unwrap().contains(&name));
    });
    drop(any_user().unwrap());
    as_user(NOBODY, || check_value(&name));
    // Its owner may not write to it.
    mode(0o444);
    as_user(NOBODY, || {
        check(Segment::open(&name), ErrorKind::PermissionDenied, &[&name]);
        check(Segment::open_or_create(&name), ErrorKind::PermissionDenied, &[&name]);
    });
    mode(0o600);
    as_user(NOBODY, || check_value(&name));
    Segment::unlink(&name).unwrap();
}

#[test]
fn other_users_are_kept_out() {
    run("other users", &[]);
}

fn masks(_: Args) {
    let world = World::new("masks");
    for mask in [0o000, 0o022, 0o077, 0o777] {
        // SAFETY: umask has no preconditions.
        unsafe { libc::umask(mask) };
        for (options, mode) in [
            (Segment::options(), 0o600),
            (Segment::options().mode(0o660), 0o660),
            (Segment::options().mode(0o777), 0o777),
        ] {
            let s = options.ephemeral(true).create(&world.name()).unwrap();
            assert_eq!(fs::metadata(path(s.name())).unwrap().mode() & 0o7777, mode, "umask {mask:o}");
        }
    }
}

#[test]
fn the_mode_is_what_was_asked_for_whatever_the_umask() {
    run("masks", &[]);
}

// ---- no memory left ------------------------------------------------------------------------------------

/// The bytes that are left in /dev/shm.
fn left() -> u64 {
    // SAFETY: statvfs is plain data, for which zeroes are valid; the path is NUL-terminated.
    unsafe {
        let mut vfs: libc::statvfs = std::mem::zeroed();
        assert_eq!(libc::statvfs(c"/dev/shm".as_ptr(), &mut vfs), 0);
        vfs.f_bavail as u64 * vfs.f_bsize as u64
    }
}

/// The error says how much was needed and how much there is.
#[track_caller]
fn check_no_space<T>(result: Result<T>, needed: u64, available: u64) {
    let text = result.err().map(|e| {
        assert_eq!(e.kind(), ErrorKind::NoSpace, "{e}");
        e.to_string()
    });
    let text = text.expect("an error");
    let number = |after: &str| -> u64 {
        let rest = text.split_once(after).unwrap_or_else(|| panic!("{text}: does not say {after:?}")).1;
        rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
    };
    assert!(
        number("needed ") >= needed && number("available ") == available,
        "{text}: {needed}, {available}"
    );
}

/// With a /dev/shm of 256 KiB.
fn full() {
    let all = left();
    assert_eq!(all, 256 << 10);
    // At creation.
    check_no_space(Segment::options().participants(1000).create("large"), 1000 << 10, all);
    assert_eq!((Segment::names().unwrap(), left()), (vec![], all));
    // At growth.
    let s = Segment::options().ephemeral(true).participants(8).create("small").unwrap();
    let value = Value::create(&s, "value", 7i64).unwrap();
    let (before, size) = (left(), s.size().unwrap());
    check_no_space(Array::<u8>::create(&s, "array", 1 << 20), 1 << 20, before);
    assert_eq!((left(), s.size().unwrap()), (before, size));
    // At a spill.
    let large = vec![1; 1 << 20];
    let q = Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap();
    let before = left();
    check_no_space(q.put(&large), 1 << 20, before);
    check_no_space(q.reserve(1 << 20, Deadline::Now).map(drop), 1 << 20, before);
    check_no_space(q.put_many([&large]), 1 << 20, before);
    let (a, b) = Pipe::create(&s, "pipe", &PipeOptions::new().capacity(4)).unwrap();
    check_no_space(b.send(&large), 1 << 20, left());
    assert_eq!((kind(q.try_get()), kind(a.try_recv())), (ErrorKind::WouldBlock, ErrorKind::WouldBlock));
    // To the last byte.
    let filler = File::create("/dev/shm/filler").unwrap();
    let fill = |chunk: &[u8]| {
        (0..).take_while(|i| filler.write_at(chunk, i * chunk.len() as u64).is_ok_and(|n| n > 0)).count()
    };
    assert!(fill(&[1; 4096]) > 0);
    assert_eq!(left(), 0);
    check_no_space(Segment::create("another"), 1, 0);
    check_no_space(Array::<u8>::create(&s, "array", 200_000), 200_000, 0);
    check_no_space(q.put(&[1; 200_000]), 200_000, 0);
    let mut made = Vec::new();
    let error = loop {
        match Value::create(&s, &format!("v{}", made.len()), made.len() as u64) {
            Ok(value) => made.push(value),
            Err(e) => break e,
        }
    };
    assert_eq!(error.kind(), ErrorKind::NoSpace, "{error}");
    assert!(made.iter().zip(0..).all(|(v, i)| v.get().unwrap() == i), "{} were made", made.len());
    // What there is goes on working.
    value.set(8).unwrap();
    q.put(b"in its cell").unwrap();
    assert_eq!(q.get().unwrap(), b"in its cell");
    b.send(b"in its cell").unwrap();
    assert_eq!(a.recv().unwrap(), b"in its cell");
    let child = fork(|| value.add(1).and_then(|_| q.put(b"from a child")).map_or(1, |()| 0));
    assert_eq!((reap(child), value.get().unwrap()), (0, 9));
    // With room it grows again.
    fs::remove_file("/dev/shm/filler").unwrap();
    drop(filler);
    q.put(&[1; 20_000]).unwrap();
    assert_eq!((q.get().unwrap(), q.get().unwrap()), (b"from a child".to_vec(), vec![1; 20_000]));
    drop((value, made, q, a, b));
    s.recover();
    drop(s);
    assert_eq!((Segment::names().unwrap(), left()), (vec![], all));
}

#[test]
fn a_full_dev_shm_is_an_error_and_not_a_fault() {
    run("full", &[]);
}

// ---- damage --------------------------------------------------------------------------------------------

/// How many segments are damaged at random, besides those in known ways.
const DAMAGES: u64 = 500;

/// Where a segment has words that are not payload and not far from one that is not 0.
fn vital(bytes: &[u8]) -> Vec<usize> {
    let fixed = 56; // the fields that opening checks have a test of their own
    let used = |at: usize| {
        bytes.get(at..at + 8).is_some_and(|word| word.iter().any(|byte| *byte != 0) && word[0] != word[7])
    };
    (fixed..bytes.len() - 8).step_by(8).filter(|at| (at - 32..at + 40).step_by(8).any(used)).collect()
}

/// An offset, and the word that comes to stand there.
type Change = (usize, u64);

/// A few words of a segment, changed.
fn mutation(bytes: &[u8], vital: &[usize], random: &mut Random) -> Vec<Change> {
    let change = |random: &mut Random| {
        let at = vital[random.below(vital.len() as u64) as usize];
        let old = word(bytes, at);
        let new = match random.below(6) {
            0 => 0,
            1 => u64::MAX >> random.below(64),
            2 => random.below(1 << 32) << 32 | random.below(1 << 32),
            3 => old.wrapping_add(random.below(64)).wrapping_sub(32),
            _ => old ^ 1 << random.below(64),
        };
        (at, new)
    };
    let count = 1 + random.below(5);
    (0..count).map(|_| change(random)).collect()
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// What is worst for somebody who believes it: each alone.
fn known_bad(bytes: &[u8]) -> Vec<Vec<Change>> {
    let row = |of, field| *layout_table().iter().find(|row| (row.0, row.1) == (of, field)).unwrap();
    let at = |field| row("Header", field).2;
    // The second half of the word is the lock word that gives the growth its name.
    let grow = word(bytes, at("gone"));
    let mut bad = Vec::new();
    // Label 1 is that of the process that looks: for all it knows another thread of it holds the lock.
    for label in [2, 8, 9, 0xfff, 0x8000_0005, 0xffff_ffff] {
        bad.push(vec![(at("directory"), label)]);
        bad.push(vec![(at("gone"), grow | label << 32)]);
    }
    for value in [1, u64::MAX - 1, u64::MAX, 1 << 32] {
        bad.extend(
            ["committed", "unlinked", "pending", "objects", "generation", "levels"]
                .map(|f| vec![(at(f), value)]),
        );
    }
    let first = row("Header", "").3 + 8 * row("Slot", "").3;
    let extents: Vec<_> = (0..).map(|i| first + i * 16).take_while(|at| word(bytes, at + 8) != 0).collect();
    for at in &extents {
        let (shape, offset) = (word(bytes, *at), word(bytes, at + 8));
        bad.extend([1, 9, 128, offset | 0x10, offset - 4096, 1 << 40, u64::MAX].map(|x| vec![(at + 8, x)]));
        bad.extend([0, 0xffff, u64::MAX, 1 << 63, shape << 1].map(|x| vec![(*at, x)]));
    }
    let next = extents.last().unwrap() + 16;
    for shape in [0, 64 << 32, 4096 << 16 | 7, u64::MAX] {
        bad.extend([1, 9, 128, 4096, 1 << 40, u64::MAX - 4095].map(|x| vec![(next, shape), (next + 8, x)]));
    }
    bad
}

fn damage(_: Args) {
    let world = World::new("damage");
    let original = world.name();
    let s = Segment::options().limit(4 << 20).participants(8).create(&original).unwrap();
    fill(&s);
    drop(s);
    let bytes = fs::read(path(&original)).unwrap();
    Segment::unlink(&original).unwrap();
    let vital = vital(&bytes);
    assert!(vital.len() > 200);
    let mut damages = known_bad(&bytes);
    damages.extend((1..=DAMAGES).map(|seed| mutation(&bytes, &vital, &mut Random::new(seed))));
    // Each before the segment is opened, or while it is open.
    let faults: Vec<_> = damages
        .iter()
        .zip([false, true].iter().cycle())
        .filter_map(|(changes, open)| try_damaged(&world.name(), &bytes, changes, *open))
        .collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), damages.len(), faults.join("\n"));
}

/// Uses a damaged copy of a segment in a process of its own; how that was killed or panicked.
fn try_damaged(name: &str, bytes: &[u8], changes: &[Change], open: bool) -> Option<String> {
    // Complete when it gets its name: what is empty would be collected as unfinished.
    let draft = format!("/dev/shm/draft-{name}");
    fs::write(&draft, bytes).unwrap();
    fs::rename(&draft, path(name)).unwrap();
    let child = fork(|| {
        // SAFETY: alarm has no preconditions. Who hangs is killed.
        unsafe { libc::alarm(WATCHDOG.as_secs() as u32) };
        let segment = open.then(|| Segment::open(name).unwrap());
        let handles = segment.as_ref().map(|s| (Queue::open(s, "queue"), Pipe::open(s, "pipe", End::A)));
        for (at, new) in changes {
            file(name).write_all_at(&new.to_ne_bytes(), *at as u64).unwrap();
        }
        if let Ok(s) = Segment::open(name) {
            use_everything(&s, &["value", "wide", "array", "lock", "semaphore", "queue", "points", "pipe"]);
        }
        drop(handles);
        0
    });
    let code = reap(child);
    fs::remove_file(path(name)).unwrap();
    let text = |(at, new): &Change| format!("{at}: {:#x} -> {new:#x}", word(bytes, *at));
    let how = if code < 0 { format!("signal {}", -code) } else { "panic".to_owned() };
    (code != 0).then(|| format!("{how} after {}", changes.iter().map(text).collect::<Vec<_>>().join(", ")))
}

#[test]
fn a_damaged_segment_gives_errors_and_never_a_fault_or_a_hang() {
    run("damage", &[]);
}
