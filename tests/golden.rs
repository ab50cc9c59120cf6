//! Golden segments: what a process that was killed in the middle of everything left in memory, kept as text in
//! `tests/golden`. Today's library reads all of it; a segment of another layout version, and one with a field of its
//! header changed, it refuses and says why.
//!
//! `SHARECELL_BLESS=1 cargo test --features capi --test golden` writes the one of the present layout version; to be
//! done when the version changes, and for nothing else.

mod common;
#[path = "common/everything.rs"]
mod everything;
#[path = "common/image.rs"]
mod image;

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::sync::Once;
use std::sync::mpsc::channel;

use common::*;
use everything::{Wide, use_everything};
use sharecell::*;

/// Larger than what fits into a cell of the golden queues.
const SPILLED: usize = 300;

#[test]
#[ignore = "the other side of these tests; they start it"]
fn child() {
    act(&[("make", make), ("words", words)]);
}

fn in_time() -> Deadline {
    Deadline::after(WATCHDOG)
}

// ---- the one who is killed -----------------------------------------------------------------------------

/// Makes one of each kind, holds what can be held, and waits to be killed.
fn make(args: Args) {
    let s = Segment::options().limit(1 << 20).participants(4).create(&args[0]).unwrap();
    make_cells(&s);
    make_locks(&s);
    make_meetings(&s);
    make_queues(&s);
    make_pipes(&s);
    let removed = Value::create(&s, "removed", 1u8).unwrap();
    s.remove("removed").unwrap();
    say("made");
    park_with(removed)
}

fn park_with<T>(_kept: T) -> ! {
    park()
}

/// Keeps for good what it is given: until this process is killed.
fn keep<T>(it: T) -> &'static T {
    Box::leak(Box::new(it))
}

fn make_cells(s: &Segment) {
    Value::create(s, "number", -7i64).unwrap();
    Value::create(s, "wide", Wide([3; 5])).unwrap();
    let half_written = keep(Value::create(s, "half written", Wide([4; 5])).unwrap());
    let (writing, is_written) = channel();
    std::thread::spawn(move || {
        half_written.update(|_| {
            writing.send(()).unwrap();
            park()
        })
    });
    is_written.recv().unwrap();
    let floats = Array::create(s, "floats", 10).unwrap();
    (0..10).for_each(|i| floats.set(i, i as f64 / 2.0).unwrap());
    let text = Array::<Char>::create(s, "text", 20).unwrap();
    text.set_value(b"held by the dead").unwrap();
    std::mem::forget(keep(text).lock().unwrap());
}

fn make_locks(s: &Segment) {
    drop(Lock::create(s, "free lock").unwrap());
    std::mem::forget(keep(Lock::create(s, "held lock").unwrap()).lock().unwrap());
    Lock::create(s, "poisoned lock").unwrap().lock().unwrap().poison().unwrap();
    let rlock = keep(RLock::create(s, "rlock").unwrap());
    std::mem::forget((rlock.lock().unwrap(), rlock.lock().unwrap()));
    std::mem::forget(keep(RwLock::create(s, "being read").unwrap()).read().unwrap());
    std::mem::forget(keep(RwLock::create(s, "being written").unwrap()).write().unwrap());
    keep(Semaphore::create(s, "semaphore", 5).unwrap()).acquire().unwrap();
    let options = SemaphoreOptions::new(2).bounded();
    keep(Semaphore::create_with(s, "bounded", &options).unwrap()).acquire().unwrap();
    let undo = keep(Semaphore::create_with(s, "undo", &SemaphoreOptions::new(4).undo()).unwrap());
    (0..3).for_each(|_| undo.acquire().unwrap());
}

fn make_meetings(s: &Segment) {
    let condition = keep(Condition::create(s, "condition").unwrap());
    std::thread::spawn(|| {
        let _guard = condition.lock().unwrap();
        let _ = condition.wait().unwrap();
    });
    wait_until("somebody waits for the condition", || condition.waiters() == 1);
    Event::create(s, "set").unwrap().set();
    drop(Event::create(s, "not set").unwrap());
    drop(Barrier::create(s, "untouched", 2).unwrap());
    let barrier = keep(Barrier::create(s, "barrier", 3).unwrap());
    std::thread::spawn(|| barrier.wait());
    wait_until("somebody has come to the barrier", || barrier.n_waiting() == 1);
}

fn make_queues(s: &Segment) {
    let q = keep(Queue::create(s, "queue", &QueueOptions::new(6)).unwrap());
    for item in [b"taken", &[5; SPILLED][..], b"in its cell", &[6; SPILLED]] {
        q.put(item).unwrap();
    }
    std::mem::forget((q.recv(Deadline::Now).unwrap(), q.recv(Deadline::Now).unwrap()));
    for len in [4, SPILLED] {
        let mut place = q.reserve(len, Deadline::Now).unwrap();
        place.fill(7);
        std::mem::forget(place);
    }
    let shut = Queue::create(s, "shut", &QueueOptions::new(2)).unwrap();
    shut.put(b"last").unwrap();
    shut.shutdown();
    let work = keep(Queue::create(s, "work", &QueueOptions::new(3).joinable(true)).unwrap());
    work.put_many([b"got", b"rec", b"new"]).unwrap();
    assert_eq!(work.get().unwrap(), b"got");
    std::mem::forget(work.recv(Deadline::Now).unwrap());
    TypedQueue::<Wide>::create(s, "typed", 3).unwrap().put(Wide([8; 5])).unwrap();
    let runs = keep(TypedQueue::<u64>::create(s, "runs", 32).unwrap());
    let numbers: Vec<u64> = (0..64).collect();
    // The first lap goes by single items; of the second, one run is got, and of the next, one item is.
    for lap in numbers.chunks(32) {
        runs.put_many(lap).unwrap();
        assert_eq!(
            runs.get_many(if lap[0] == 0 { 32 } else { 8 }).unwrap(),
            lap[..if lap[0] == 0 { 32 } else { 8 }]
        );
    }
    std::mem::forget(runs.as_bytes().recv(Deadline::Now).unwrap());
}

fn make_pipes(s: &Segment) {
    let (a, b) = keep(Pipe::create(s, "pipe", &PipeOptions::new().capacity(4)).unwrap());
    b.send(&[9; SPILLED]).unwrap();
    b.send(b"to A").unwrap();
    a.send(b"to B").unwrap();
    std::mem::forget(a.recv_in_place(Deadline::Now).unwrap());
    let (_a, b) = keep(Pipe::create(s, "simplex", &PipeOptions::new().duplex(false).capacity(2)).unwrap());
    b.send(b"only").unwrap();
    std::mem::forget(b.reserve(4, Deadline::Now).unwrap());
}

// ---- the one who looks ---------------------------------------------------------------------------------

/// What `make` made, as the heirs see it.
fn check_all(s: &Segment) {
    let mut names: Vec<_> = s.objects().unwrap().into_iter().map(|object| object.name).collect();
    names.sort();
    #[rustfmt::skip]
    assert_eq!(names, [
        "barrier", "being read", "being written", "bounded", "condition", "floats", "free lock", "half written",
        "held lock", "not set", "number", "pipe", "poisoned lock", "queue", "rlock", "runs", "semaphore", "set", "shut",
        "simplex", "text", "typed", "undo", "untouched", "wide", "work",
    ]);
    assert_eq!(s.participants().iter().map(|p| p.alive).collect::<Vec<_>>(), [false, true]);
    assert_eq!((s.recover(), s.recover(), s.participants().len()), (1, 0, 1));
    check_cells(s);
    check_locks(s);
    check_meetings(s);
    check_queues(s);
    check_pipes(s);
    names.iter().for_each(|name| s.remove(name).unwrap());
}

fn check_cells(s: &Segment) {
    assert_eq!(Value::<i64>::open(s, "number").unwrap().get().unwrap(), -7);
    assert_eq!(Value::<Wide>::open(s, "wide").unwrap().get().unwrap(), Wide([3; 5]));
    let half_written = Value::<Wide>::open(s, "half written").unwrap();
    assert_eq!(half_written.exchange(Wide([5; 5])).unwrap(), Wide([4; 5]));
    assert_eq!(half_written.get().unwrap(), Wide([5; 5]));
    let floats = Array::<f64>::open(s, "floats").unwrap();
    assert_eq!(floats.to_vec().unwrap(), (0..10).map(|i| f64::from(i) / 2.0).collect::<Vec<_>>());
    let text = Array::<Char>::open(s, "text").unwrap();
    assert_eq!((text.len(), text.value()), (20, b"held by the dead".to_vec()));
    assert!(text.try_lock().unwrap().owner_died());
}

fn check_locks(s: &Segment) {
    assert!(!Lock::open(s, "free lock").unwrap().try_lock().unwrap().owner_died());
    assert!(Lock::open(s, "held lock").unwrap().try_lock().unwrap().owner_died());
    let poisoned = Lock::open(s, "poisoned lock").unwrap();
    assert!(poisoned.is_poisoned());
    assert_eq!(kind(poisoned.try_lock()), ErrorKind::Poisoned);
    assert!(RLock::open(s, "rlock").unwrap().try_lock().unwrap().owner_died());
    assert!(!RwLock::open(s, "being read").unwrap().try_write().unwrap().owner_died());
    assert!(RwLock::open(s, "being written").unwrap().try_write().unwrap().owner_died());
    let semaphore = |name| Semaphore::open(s, name).unwrap();
    assert_eq!(["semaphore", "bounded", "undo"].map(|name| semaphore(name).value()), [4, 1, 4]);
    semaphore("bounded").release(1).unwrap();
    assert_eq!(kind(semaphore("bounded").release(1)), ErrorKind::Overflow);
}

fn check_meetings(s: &Segment) {
    let condition = Condition::open(s, "condition").unwrap();
    assert_eq!(condition.waiters(), 0);
    assert!(!condition.lock_until(Deadline::Now).unwrap().owner_died());
    assert!(Event::open(s, "set").unwrap().is_set() && !Event::open(s, "not set").unwrap().is_set());
    let barrier = Barrier::open(s, "barrier").unwrap();
    assert_eq!((barrier.parties(), barrier.is_broken()), (3, true));
    let barrier = Barrier::open(s, "untouched").unwrap();
    assert_eq!((barrier.parties(), barrier.is_broken(), barrier.n_waiting()), (2, false, 0));
    let mut numbers = std::thread::scope(|scope| {
        [(), ()].map(|()| scope.spawn(|| barrier.wait())).map(|party| party.join().unwrap().unwrap())
    });
    numbers.sort();
    assert_eq!(numbers, [0, 1]);
}

fn check_queues(s: &Segment) {
    let q = Queue::open(s, "queue").unwrap();
    assert_eq!((q.capacity(), q.qsize()), (6, 4));
    for (item, number, deliveries) in
        [(&b"taken"[..], 0, 2), (&[5; SPILLED], 1, 2), (b"in its cell", 2, 1), (&[6; SPILLED], 3, 1)]
    {
        let got = q.recv(Deadline::Now).unwrap();
        assert_eq!((&got[..], got.number(), got.deliveries()), (item, number, deliveries));
    }
    assert_eq!(kind(q.try_get()), ErrorKind::WouldBlock);
    (0..6).for_each(|i| q.try_put(&[i; SPILLED]).unwrap());
    (0..6).for_each(|i| assert_eq!(q.try_get().unwrap(), [i; SPILLED]));
    let shut = Queue::open(s, "shut").unwrap();
    assert_eq!((kind(shut.put(b"more")), shut.get().unwrap()), (ErrorKind::Closed, b"last".to_vec()));
    assert_eq!(kind(shut.get()), ErrorKind::Closed);
    let work = Queue::open(s, "work").unwrap();
    assert_eq!(kind(work.join(Deadline::Now)), ErrorKind::WouldBlock);
    let held = work.recv(Deadline::Now).unwrap();
    assert_eq!((&held[..], held.deliveries()), (&b"rec"[..], 2));
    drop(held);
    assert_eq!(work.get().unwrap(), b"new");
    work.task_done().unwrap();
    work.join(in_time()).unwrap();
    assert_eq!(TypedQueue::<Wide>::open(s, "typed").unwrap().get().unwrap(), Wide([8; 5]));
    let runs = TypedQueue::<u64>::open(s, "runs").unwrap();
    assert_eq!((runs.as_bytes().qsize(), runs.get().unwrap(), runs.get().unwrap()), (24, 40, 41));
    assert_eq!(runs.get_many(32).unwrap(), (42..64).collect::<Vec<_>>());
}

fn check_pipes(s: &Segment) {
    let [a, b] = [End::A, End::B].map(|end| Pipe::open(s, "pipe", end).unwrap());
    assert_eq!(a.try_recv().unwrap(), [9; SPILLED]);
    assert_eq!((a.try_recv().unwrap(), b.try_recv().unwrap()), (b"to A".to_vec(), b"to B".to_vec()));
    let long = [2; SPILLED];
    a.try_send(&long).unwrap();
    assert_eq!(b.try_recv().unwrap(), long);
    let simplex = Pipe::open(s, "simplex", End::A).unwrap();
    assert_eq!(simplex.recv_until(in_time()).unwrap(), b"only");
    assert_eq!(kind(simplex.recv_until(in_time())), ErrorKind::Closed);
}

// ---- the files -----------------------------------------------------------------------------------------

fn directory() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden"].iter().collect()
}

fn golden_path() -> PathBuf {
    directory().join(format!("layout-{LAYOUT_VERSION}.hex"))
}

/// Where a field of the header is, and its size.
fn field(name: &str) -> std::ops::Range<usize> {
    let row = layout_table().into_iter().find(|row| (row.0, row.1) == ("Header", name));
    let (_, _, at, size) = row.unwrap_or_else(|| panic!("the header has no field {name}"));
    at..at + size
}

/// The golden bytes of this layout version, as if made since the machine was started.
fn golden(world: &World) -> Vec<u8> {
    static BLESS: Once = Once::new();
    if std::env::var_os("SHARECELL_BLESS").is_some() {
        BLESS.call_once(|| bless(world));
    }
    let path = golden_path();
    let text = fs::read_to_string(&path).unwrap_or_else(|e| {
        panic!(
            "{}: {e}; SHARECELL_BLESS=1 cargo test --features capi --test golden writes it",
            path.display()
        )
    });
    let mut bytes = image::decode(&text).expect("a golden segment");
    let fresh = world.segment();
    bytes[field("boot_id")].copy_from_slice(&fs::read(path_of(&fresh)).unwrap()[field("boot_id")]);
    bytes
}

fn path_of(s: &Segment) -> String {
    path(s.name())
}

/// Gives a segment's bytes a name. The file is complete when it gets it: what is empty may be collected.
fn write(name: &str, bytes: &[u8]) {
    let draft = format!("/dev/shm/draft-{name}");
    fs::write(&draft, bytes).unwrap();
    fs::rename(&draft, path(name)).unwrap();
}

/// The text of `bytes`: a line for every 32 that are not all 0.
fn encode(bytes: &[u8]) -> String {
    let mut text = format!("{} bytes\n", bytes.len());
    for (line, at) in bytes.chunks(32).zip((0..).step_by(32)) {
        if line.iter().any(|byte| *byte != 0) {
            writeln!(text, "{at:x}:{}", digits(line)).unwrap();
        }
    }
    text
}

fn bless(world: &World) {
    let name = world.name();
    let mut maker = spawn("make", &[&name]);
    maker.expect("made");
    maker.kill();
    let mut bytes = fs::read(path(&name)).unwrap();
    bytes[field("boot_id")].fill(0);
    fs::create_dir_all(directory()).unwrap();
    fs::write(golden_path(), encode(&bytes)).unwrap();
    Segment::unlink(&name).unwrap();
}

#[test]
#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
fn the_golden_segment_of_this_layout_is_read() {
    let world = World::new("golden");
    let name = world.name();
    write(&name, &golden(&world));
    let s = Segment::open(&name).unwrap();
    check_all(&s);
    s.close().unwrap();
    Segment::unlink(&name).unwrap();
}

/// What is made today is what the golden segment shows.
#[test]
fn a_segment_made_today_is_read_alike() {
    let world = World::new("today");
    let name = world.name();
    let mut maker = spawn("make", &[&name]);
    maker.expect("made");
    maker.kill();
    check_all(&Segment::open(&name).unwrap());
    Segment::unlink(&name).unwrap();
}

#[test]
#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
fn golden_segments_of_other_layouts_are_refused() {
    let world = World::new("others");
    for file in fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path()) {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let version: u32 = stem.strip_prefix("layout-").expect("a golden segment").parse().unwrap();
        let bytes = image::decode(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(bytes[field("layout_version")], version.to_ne_bytes(), "{}", file.display());
        if version != LAYOUT_VERSION {
            check_refused(
                &world,
                &bytes,
                ErrorKind::Incompatible,
                &[format!("{version:#x}"), format!("{LAYOUT_VERSION:#x}")],
            );
        }
    }
}

/// Opening it fails with this kind of error, and a text that holds these and the segment's name.
#[track_caller]
fn check_refused(world: &World, bytes: &[u8], expected: ErrorKind, texts: &[String]) {
    let name = world.name();
    write(&name, bytes);
    let error = Segment::open(&name).expect_err("a refusal");
    fs::remove_file(path(&name)).unwrap();
    assert_eq!(error.kind(), expected, "{error}");
    for text in texts.iter().chain([&name]) {
        assert!(error.to_string().contains(text), "{error}: does not mention {text}");
    }
}

// ---- the header, field by field ------------------------------------------------------------------------

/// What opening says of a header in which this field's bits are all changed; `None` for what it does not judge by,
/// because it changes as long as the segment is used.
fn refusal(field: &str, old: &[u8], new: &[u8]) -> Option<(ErrorKind, Vec<String>)> {
    let both = vec![hex(old), hex(new)];
    Some(match field {
        "magic" => (ErrorKind::NotASegment, both),
        "layout_version" | "byte_order" | "word_bytes" | "lock_protocol" => (ErrorKind::Incompatible, both),
        "check" => (ErrorKind::Corrupted, both),
        // The other side is the check that these would have.
        "flags" => (ErrorKind::Corrupted, vec![hex(new)]),
        "participants" | "limit" => (ErrorKind::Corrupted, vec![number(new).to_string()]),
        "boot_id" => (ErrorKind::StaleBoot, [old, new].map(digits).to_vec()),
        // Who set `gone` has died at it: it is taken back.
        "gone" | "grow" | "committed" | "directory" | "unlinked" | "pending" | "objects" | "generation"
        | "levels" | "hints" => return None,
        new => panic!("say here what opening does about the header's new field {new}"),
    })
}

fn is_judged(field: &str) -> bool {
    refusal(field, &[], &[]).is_some()
}

fn number(bytes: &[u8]) -> u128 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u128::from(*byte))
}

/// A number as the error texts show it.
fn hex(bytes: &[u8]) -> String {
    format!("{:#x}", number(bytes))
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn header_fields() -> impl Iterator<Item = &'static str> {
    layout_table().into_iter().filter(|row| row.0 == "Header" && !row.1.is_empty()).map(|row| row.1)
}

#[test]
#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
fn a_golden_segment_with_any_field_of_its_header_changed_is_refused() {
    let world = World::new("fields");
    let bytes = golden(&world);
    let mut refused = 0;
    for name in header_fields().filter(|name| field(name).len() <= 16) {
        let mut changed = bytes.clone();
        changed[field(name)].iter_mut().for_each(|byte| *byte = !*byte);
        if let Some((kind, texts)) = refusal(name, &bytes[field(name)], &changed[field(name)]) {
            check_refused(&world, &changed, kind, &texts);
            refused += 1;
        }
    }
    assert!(refused >= 10, "only {refused} fields were tried");
}

/// Each bit of what opening judges by, alone.
#[test]
#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
fn a_golden_segment_with_a_bit_of_its_identity_changed_is_refused() {
    let world = World::new("bits");
    let bytes = golden(&world);
    for name in header_fields().filter(|name| field(name).len() <= 16) {
        if !is_judged(name) {
            continue;
        }
        for bit in 0..field(name).len() * 8 {
            let mut changed = bytes.clone();
            changed[field(name).start + bit / 8] ^= 1 << (bit % 8);
            let file = world.name();
            write(&file, &changed);
            let opened = Segment::open(&file);
            let _ = fs::remove_file(path(&file));
            assert!(opened.is_err(), "{name}, bit {bit}");
        }
    }
}

/// The words that opening does not judge by are believed by nobody who uses them.
#[test]
#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
fn a_golden_segment_with_a_word_of_its_header_changed_gives_errors_and_no_fault() {
    run("words", &[]);
}

fn words(_: Args) {
    let world = World::new("words");
    let bytes = golden(&world);
    for name in header_fields().filter(|name| !is_judged(name)) {
        for at in field(name).step_by(8).take(4) {
            let mut changed = bytes.clone();
            changed[at..(at + 8).min(field(name).end)].iter_mut().for_each(|byte| *byte = !*byte);
            let file = world.name();
            write(&file, &changed);
            let user = fork(|| {
                // SAFETY: alarm has no preconditions. Who hangs is killed.
                unsafe { libc::alarm(WATCHDOG.as_secs() as u32) };
                let _ = Segment::open(&file).map(|s| use_everything(&s, &["queue", "lock"]));
                0
            });
            assert_eq!(reap(user), 0, "{name} at {at}");
            fs::remove_file(path(&file)).unwrap();
        }
    }
}
