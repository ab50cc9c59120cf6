//! A hundred thousand objects in one segment, and millions made and removed by processes that are killed.

mod common;

use std::time::{Duration, Instant};

use common::*;
use sharecell::*;

#[test]
#[ignore = "the other side of these tests; they start it"]
fn child() {
    act(&[
        ("open all", open_all),
        ("hold", hold),
        #[cfg(feature = "steps")]
        ("count", count_steps),
        ("breed", breed),
        ("attend", attend),
    ]);
}

/// One of several sorts, with a number in it by which it is known.
enum Object {
    Value(Value<i64>),
    Array(Array<i64>),
    Semaphore(Semaphore),
    Queue(Queue),
    Event(Event),
    Lock(Lock),
    Pipe(Pipe),
}

/// How many sorts are small.
const SMALL: i64 = 6;
/// How many there are.
const SORTS: i64 = 9;
/// The sort of queue whose item lies in a block of its own.
const SPILLED: i64 = 7;
const SPILLED_LEN: usize = 5000;

impl Object {
    fn create(s: &Segment, name: &str, sort: i64, number: i64) -> Result<Self> {
        let array = |len| {
            let array = Array::create(s, name, len)?;
            array.fill(number)?;
            Ok(Self::Array(array))
        };
        let queue = |len| {
            let queue = Queue::create(s, name, &QueueOptions::new(2))?;
            queue.try_put(&number.to_ne_bytes().repeat(len / 8))?;
            Ok(Self::Queue(queue))
        };
        match sort {
            0 => Value::create(s, name, number).map(Self::Value),
            1 => array(10),
            2 => Semaphore::create(s, name, number as u32).map(Self::Semaphore),
            3 => queue(8),
            4 => Event::create(s, name).map(Self::Event),
            5 => Lock::create(s, name).map(Self::Lock),
            6 => array(1000),
            SPILLED => queue(SPILLED_LEN),
            _ => Pipe::create(s, name, &PipeOptions::new().capacity(2)).map(|(a, _)| Self::Pipe(a)),
        }
    }

    fn open(s: &Segment, name: &str, sort: i64) -> Result<Self> {
        match sort {
            0 => Value::open(s, name).map(Self::Value),
            1 | 6 => Array::open(s, name).map(Self::Array),
            2 => Semaphore::open(s, name).map(Self::Semaphore),
            3 | SPILLED => Queue::open(s, name).map(Self::Queue),
            4 => Event::open(s, name).map(Self::Event),
            5 => Lock::open(s, name).map(Self::Lock),
            _ => Pipe::open(s, name, End::B).map(Self::Pipe),
        }
    }

    /// What an object of this number has in it and works; `or_new` if its creator may have been killed before all was
    /// in it.
    fn check(&self, number: i64, or_new: bool) {
        let good = |n: i64| n == number || or_new && n == 0;
        match self {
            Self::Value(it) => assert_eq!(it.get().unwrap(), number),
            Self::Array(it) => assert!(it.to_vec().unwrap().into_iter().all(good), "not {number}"),
            Self::Semaphore(it) => assert_eq!(it.value(), number as u32),
            Self::Queue(it) => match it.try_get() {
                Ok(item) => {
                    assert!(item.chunks(8).all(|part| part == number.to_ne_bytes()), "not {number}");
                    it.try_put(&item).unwrap();
                }
                Err(e) => assert!(or_new && e.kind() == ErrorKind::WouldBlock, "{e}"),
            },
            Self::Event(it) => assert!(!it.is_set()),
            Self::Lock(it) => drop(it.lock_until(Deadline::after(WATCHDOG)).unwrap()),
            Self::Pipe(it) => assert!(it.is_duplex()),
        }
    }
}

fn name_of(n: i64) -> String {
    format!("object {n}")
}

// ---- a hundred thousand --------------------------------------------------------------------------------

const MANY: i64 = 100_000;
/// Every tenth is held while it is removed; fewer without optimization, for each removal looks at all that are held.
const HELD: usize = if cfg!(debug_assertions) { 100 } else { 10 };

fn create_all(s: &Segment, count: i64) {
    for n in 0..count {
        Object::create(s, &name_of(n), n % SMALL, n).unwrap();
    }
}

fn remove_all(s: &Segment) {
    for object in s.objects().unwrap() {
        s.remove(&object.name).unwrap();
    }
}

/// Does something to all; how long it took for one.
fn timed(doing: impl FnOnce()) -> String {
    let start = Instant::now();
    doing();
    format!("{:.1} µs each", start.elapsed().as_secs_f64() * 1e6 / MANY as f64)
}

fn open_some(s: &Segment, step: usize) -> Vec<(i64, Object)> {
    let open = |n| (n, Object::open(s, &name_of(n), n % SMALL).unwrap());
    (0..MANY).step_by(step).map(open).collect()
}

/// How many descriptors this process has, and how many mappings of segments.
fn resources() -> (usize, usize) {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    (descriptors, maps.lines().filter(|line| line.contains("/dev/shm/")).count())
}

fn open_all(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let before = resources();
    let mut all = Vec::new();
    let time = timed(|| all = open_some(&s, 1));
    assert_eq!(resources(), before);
    say(time);
    all.iter().for_each(|(n, object)| object.check(*n, false));
}

fn hold(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let some = open_some(&s, HELD);
    held();
    // They have lost their names, and others have them now.
    some.iter().for_each(|(n, object)| object.check(*n, false));
    drop(some);
    say("closed");
    park();
}

#[test]
fn a_hundred_thousand_objects() {
    let world = World::new("many");
    let s = world.segment_with(SegmentOptions::new().limit(1 << 30));
    eprintln!("created: {}", timed(|| create_all(&s, MANY)));
    assert_eq!(s.objects().unwrap().len(), MANY as usize);
    let used = blocks_in_use(&s);
    let mut opener = spawn("open all", &[s.name()]);
    eprintln!("opened: {}", opener.line());
    opener.finish();
    s.recover();
    assert_eq!(blocks_in_use(&s), used, "who had all open has left nothing");

    let mut holder = spawn("hold", &[s.name()]);
    holder.expect("held");
    let size = s.size().unwrap();
    let held: Vec<i64> = (0..MANY).step_by(HELD).collect();
    let time = timed(|| remove_all(&s));
    eprintln!("removed while another has {} of them open: {time}", held.len());
    for &n in &held {
        Object::create(&s, &name_of(n), n % SMALL, MANY + n).unwrap();
    }
    let both = blocks_in_use(&s);
    holder.tell("go on");
    holder.expect("closed");
    assert_eq!(both - blocks_in_use(&s), held.len(), "freed when the last one closed them");
    for &n in &held {
        Object::open(&s, &name_of(n), n % SMALL).unwrap().check(MANY + n, false);
    }
    holder.finish();
    s.recover();
    remove_all(&s);
    assert_eq!(used - blocks_in_use(&s), MANY as usize, "what remains is the directory's own");

    create_all(&s, MANY);
    assert_eq!((s.size().unwrap(), blocks_in_use(&s)), (size, used), "all fit in the same memory");
    eprintln!("removed: {}", timed(|| remove_all(&s)));
    eprintln!("{MANY} objects in {} MiB, {} bytes each", size >> 20, size / MANY as u64);
}

/// How many accesses to shared words an opening takes.
#[cfg(feature = "steps")]
fn count_steps(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let count: i64 = args[1].parse().unwrap();
    let mut counts: Vec<u64> = (0..count)
        .step_by(1 + count as usize / 1000)
        .map(|n| {
            steps::die_at(0);
            let opened = Object::open(&s, &name_of(n), n % SMALL);
            let steps = steps::count();
            opened.unwrap().check(n, false);
            steps
        })
        .collect();
    counts.sort_unstable();
    say(counts.iter().sum::<u64>() / counts.len() as u64);
    say(counts.last().unwrap());
}

#[cfg(feature = "steps")]
#[test]
fn opening_is_constant() {
    let world = World::new("constant");
    let [few, many] = [10, MANY].map(|count| {
        let s = world.segment_with(SegmentOptions::new().limit(1 << 30));
        create_all(&s, count);
        let mut counter = spawn("count", &[s.name(), &count.to_string()]);
        [counter.line(), counter.line()].map(|line| line.parse::<u64>().unwrap())
    });
    eprintln!("accesses to open one of 10: {few:?} (mean, most); one of {MANY}: {many:?}");
    assert!(many[0] < 3 * few[0] && many[1] < 10 * few[1]);
}

// ---- millions, made and removed ------------------------------------------------------------------------

/// How many processes create and remove at a time, and how many may be attached, the dead included.
const BREEDERS: usize = 2;
const SEATS: usize = 16;
/// How many names there are for objects of each sort.
const NAMES: i64 = 200;
/// How many objects a breeder keeps open.
const KEPT: usize = 4;
/// After how many creations one is killed, on average.
const LIFE: i64 = 1000;

const COUNTS: [&str; 3] = ["created", "opened", "removed"];

/// Creates, opens and removes objects of random names, until "enough" is set.
fn churn(s: &Segment, seed: u64) -> i32 {
    let [created, opened, removed] = COUNTS.map(|name| Value::<i64>::open(s, name).unwrap());
    let enough = Event::open(s, "enough").unwrap();
    let mut random = Random::new(seed);
    let mut kept: [Option<Object>; KEPT] = Default::default();
    while !enough.is_set() {
        let n = random.below((SORTS * NAMES) as u64) as i64;
        let (name, sort) = (name_of(n), n % SORTS);
        let (done, object) = if random.below(3) == 0 {
            (&opened, Object::open(s, &name, sort).inspect(|object| object.check(n, true)).map(Some))
        } else {
            match Object::create(s, &name, sort, n) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => (&removed, s.remove(&name).map(|()| None)),
                object => (&created, object.map(Some)),
            }
        };
        match object {
            Ok(object) => {
                done.add(1).unwrap();
                kept[random.below(KEPT as u64) as usize] = object;
            }
            Err(e) => assert_eq!(e.kind(), ErrorKind::NotFound, "{name:?}: {e}"),
        }
    }
    0
}

/// Forks those who create and remove, and kills one of them now and then, until enough was created.
fn breed(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let count: i64 = args[1].parse().unwrap();
    let created = Value::<i64>::open(&s, "created").unwrap();
    let mut random = Random::new(count as u64);
    let start = |seed| fork(|| churn(&s, seed));
    let mut breeders = [0; BREEDERS].map(|_| start(random.below(1 << 32)));
    let mut kills = 0;
    while created.get().unwrap() < count {
        let next = created.get().unwrap() + random.below(2 * LIFE as u64) as i64;
        wait_until("more is created", || created.get().unwrap() >= next);
        let victim = &mut breeders[random.below(BREEDERS as u64) as usize];
        // SAFETY: kill has no memory-safety preconditions; the child was not reaped yet.
        unsafe { libc::kill(*victim, libc::SIGKILL) };
        assert_eq!(reap(*victim), -libc::SIGKILL);
        kills += 1;
        say(kills);
        *victim = start(random.below(1 << 32));
    }
    Event::open(&s, "enough").unwrap().set();
    breeders.into_iter().for_each(|pid| assert_eq!(reap(pid), 0));
    say("done");
}

fn attend(args: Args) {
    let _s = Segment::open(&args[0]).unwrap();
    say("seated");
    park();
}

/// Makes as many objects as can ever be there at once, so that the segment need not grow afterwards; and removes them.
fn warm_up(s: &Segment) {
    let most = SORTS * (NAMES + ((KEPT + 2) * SEATS) as i64);
    for n in 0..most {
        Object::create(s, &name_of(n), n % SORTS, n).unwrap();
    }
    (0..most).for_each(|n| s.remove(&name_of(n)).unwrap());
}

/// How many blocks the objects take.
fn blocks_of(s: &Segment, names: &[String]) -> usize {
    let spilled = |name: &String| {
        let n: i64 = name.rsplit_once(' ').unwrap().1.parse().unwrap();
        if n % SORTS == SPILLED { Queue::open(s, name).unwrap().qsize() } else { 0 }
    };
    names.len() + names.iter().map(spilled).sum::<usize>()
}

/// `COUNT` creations, each of them followed by a removal at last.
#[test]
fn created_and_removed_and_killed() {
    let count: i64 = std::env::var("COUNT").map_or(100_000, |count| count.parse().expect("a number"));
    let world = World::within("bred", WATCHDOG * 3 + Duration::from_millis(count as u64));
    let s = world.segment_with(SegmentOptions::new().limit(64 << 20).participants(SEATS as u32));
    let counts = COUNTS.map(|name| Value::create(&s, name, 0i64).unwrap());
    let _enough = Event::create(&s, "enough").unwrap();
    warm_up(&s);
    let (size, used) = (s.size().unwrap(), blocks_in_use(&s));

    let start = Instant::now();
    let mut breeder = spawn("breed", &[s.name(), &count.to_string()]);
    let mut kills = 0;
    loop {
        match breeder.line().as_str() {
            "done" => break,
            line => kills = line.parse().unwrap(),
        }
    }
    breeder.finish();
    let time = start.elapsed();

    wait_until("all are swept", || s.recover() == 0);
    assert_eq!(s.size().unwrap(), size, "it has grown");
    let mut live: Vec<String> = s.objects().unwrap().into_iter().map(|object| object.name).collect();
    live.retain(|name| name.starts_with("object "));
    assert_eq!(blocks_in_use(&s), used + blocks_of(&s, &live), "blocks in use");
    let [created, opened, removed] = counts.each_ref().map(|count| count.get().unwrap());
    // Who is killed between the deed and its count is not counted.
    assert!(created >= count && kills > 0 && created.abs_diff(removed + live.len() as i64) <= kills);
    live.iter().for_each(|name| s.remove(name).unwrap());
    assert_eq!(blocks_in_use(&s), used, "blocks in use when all is removed");
    for _ in 0..2 {
        let mut seated: Vec<Process> = (1..SEATS).map(|_| spawn("attend", &[s.name()])).collect();
        seated.iter_mut().for_each(|process| process.expect("seated"));
    }
    eprintln!(
        "{created} objects created, {removed} removed (and {} at the end), opened {opened} times; {kills} processes killed;\n\
         {:.1} s; {} KiB before and after, no block lost, all {SEATS} seats free",
        live.len(),
        time.as_secs_f64(),
        size >> 10,
    );
}
