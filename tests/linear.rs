//! Real processes record when each of their operations began and ended and what it gave; then a checker decides
//! whether the operations could have happened one after the other, each at some moment between its begin and
//! its end: linearizability (Herlihy and Wing, 1990).
//!
//! Two checkers. [`search`] tries the orders: Wing and Gong's search (1993) with Lowe's memory of what was tried
//! (2017). It knows every object, and the capacity of queues. [`aspects`] looks for the four ways in which a queue
//! with items of its own can fail, which take no search: Henzinger, Sezgin and Vafeiadis, "Aspect-oriented
//! linearizability proofs" (2013). Both must agree.
//!
//! `docs/choices.md` says when a queue may answer "full" although it has fewer items than its capacity: while
//! items were taken out of turn. That takes more than one getter or putter, so "full" is judged with one of each.
//! There are no kills here; the soak accounts for items in their presence.

mod common;

use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use common::*;
use sharecell::*;

#[test]
#[ignore = "the other side of these tests; they start it"]
fn child() {
    act(&[("work", work)]);
}

// ---- histories -----------------------------------------------------------------------------------------

/// What was done and what came of it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Put(u64),
    Full,
    Get(u64),
    Empty,
    Acquire,
    Refused,
    Release,
    Read(i64),
    Add(i64, i64),
    Exchange(i64, i64),
    /// Compared with, replaced by, found.
    Compare(i64, i64, i64),
}

#[derive(Clone, Copy, Debug)]
struct Op {
    start: u64,
    end: u64,
    what: What,
}

/// The operations of each process, in its order.
type History = Vec<Vec<Op>>;

impl What {
    fn words(self) -> [i64; 4] {
        use What::*;
        match self {
            Put(x) => [0, x as i64, 0, 0],
            Full => [1, 0, 0, 0],
            Get(x) => [2, x as i64, 0, 0],
            Empty => [3, 0, 0, 0],
            Acquire => [4, 0, 0, 0],
            Refused => [5, 0, 0, 0],
            Release => [6, 0, 0, 0],
            Read(x) => [7, x, 0, 0],
            Add(x, old) => [8, x, old, 0],
            Exchange(x, old) => [9, x, old, 0],
            Compare(x, y, old) => [10, x, y, old],
        }
    }

    fn of_words(words: &[i64]) -> Self {
        use What::*;
        match *words {
            [0, x, ..] => Put(x as u64),
            [1, ..] => Full,
            [2, x, ..] => Get(x as u64),
            [3, ..] => Empty,
            [4, ..] => Acquire,
            [5, ..] => Refused,
            [6, ..] => Release,
            [7, x, ..] => Read(x),
            [8, x, old, _] => Add(x, old),
            [9, x, old, _] => Exchange(x, old),
            [10, x, y, old] => Compare(x, y, old),
            _ => panic!("no operation: {words:?}"),
        }
    }
}

fn now() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

// ---- the search ----------------------------------------------------------------------------------------

/// What an object does when nobody else is there.
trait Model: Clone + Eq + Hash {
    /// The state after `op` of `process`; `None` when that cannot be its result here.
    fn apply(&self, process: usize, op: What) -> Option<Self>;
}

/// Whether the operations can have happened one after the other.
fn search<M: Model>(history: &History, first: M) -> bool {
    // How far each process is, and the state that this has led to.
    let mut stack = vec![(vec![0u32; history.len()], first)];
    let mut tried = HashSet::new();
    while let Some((at, state)) = stack.pop() {
        let next = |p: usize| history[p].get(at[p] as usize);
        let Some(first_end) = (0..history.len()).filter_map(next).map(|op| op.end).min() else { return true };
        for p in 0..history.len() {
            // Who began after another had ended cannot have been before it.
            let Some(op) = next(p).filter(|op| op.start <= first_end) else { continue };
            if let Some(state) = state.apply(p, op.what) {
                let mut at = at.clone();
                at[p] += 1;
                if tried.insert((at.clone(), state.clone())) {
                    stack.push((at, state));
                }
            }
        }
    }
    false
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Fifo {
    items: VecDeque<u64>,
    capacity: usize,
    /// Whether "full" has to be true to the item.
    strict: bool,
}

impl Model for Fifo {
    fn apply(&self, _: usize, op: What) -> Option<Self> {
        let mut next = self.clone();
        let possible = match op {
            What::Put(x) => {
                next.items.push_back(x);
                self.items.len() < self.capacity
            }
            What::Full => !self.strict || self.items.len() == self.capacity,
            What::Get(x) => next.items.pop_front() == Some(x),
            What::Empty => self.items.is_empty(),
            _ => false,
        };
        possible.then_some(next)
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Mutex(Option<usize>);

impl Model for Mutex {
    fn apply(&self, process: usize, op: What) -> Option<Self> {
        match op {
            What::Acquire => self.0.is_none().then_some(Self(Some(process))),
            What::Refused => self.0.is_some().then(|| self.clone()),
            What::Release => (self.0 == Some(process)).then_some(Self(None)),
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Permits(u32);

impl Model for Permits {
    fn apply(&self, _: usize, op: What) -> Option<Self> {
        match op {
            What::Acquire => self.0.checked_sub(1).map(Self),
            What::Refused => (self.0 == 0).then(|| self.clone()),
            What::Release => Some(Self(self.0 + 1)),
            _ => None,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Register(i64);

impl Model for Register {
    fn apply(&self, _: usize, op: What) -> Option<Self> {
        let (seen, next) = match op {
            What::Read(seen) => (seen, seen),
            What::Add(x, old) => (old, old + x),
            What::Exchange(x, old) => (old, x),
            What::Compare(x, y, old) => (old, if old == x { y } else { old }),
            _ => return None,
        };
        (seen == self.0).then_some(Self(next))
    }
}

// ---- the aspects of a queue ----------------------------------------------------------------------------

/// What is wrong with a queue's history, if it has no order. Every item must have been taken in the end.
fn aspects(history: &History) -> Result<(), String> {
    let all = || history.iter().flatten();
    let mut puts: Vec<(u64, Op)> = Vec::new();
    let mut gets = std::collections::HashMap::new();
    for op in all() {
        match op.what {
            What::Put(x) => puts.push((x, *op)),
            What::Get(x) if gets.insert(x, *op).is_some() => return Err(format!("{x:x} was got twice")),
            _ => {}
        }
    }
    // Put and got; in the order in which the puts ended.
    let mut items = Vec::new();
    for (x, put) in puts {
        let get = gets.remove(&x).ok_or_else(|| format!("{x:x} was never got"))?;
        if get.end < put.start {
            return Err(format!("{x:x} was got before it was put"));
        }
        items.push((x, put, get));
    }
    if let Some(x) = gets.keys().next() {
        return Err(format!("{x:x} was never put"));
    }
    items.sort_by_key(|(_, put, _)| put.end);
    check_order(&items)?;
    check_empty(&items, all().filter(|op| op.what == What::Empty))
}

/// No item may be put wholly before another and got wholly after it.
fn check_order(items: &[(u64, Op, Op)]) -> Result<(), String> {
    // The start of the latest get of the first so many items.
    let mut latest_gets = vec![0];
    for (i, (_, _, get)) in items.iter().enumerate() {
        latest_gets.push(latest_gets[i].max(get.start));
    }
    for (x, put, get) in items {
        let before = items.partition_point(|(_, other, _)| other.end < put.start);
        if latest_gets[before] > get.end {
            return Err(format!("{x:x} overtook an earlier item"));
        }
    }
    Ok(())
}

/// A get may say "empty" only if at some moment of it no item was there for sure.
fn check_empty<'a>(items: &[(u64, Op, Op)], empties: impl Iterator<Item = &'a Op>) -> Result<(), String> {
    // An item is there for sure from the end of its put to the start of its get.
    let sure: Vec<(u64, u64)> =
        items.iter().map(|(_, put, get)| (put.end, get.start)).filter(|(from, to)| from < to).collect();
    let mut spans: Vec<(u64, u64)> = Vec::new();
    for (from, to) in sure {
        match spans.last_mut() {
            Some(span) if from < span.1 => span.1 = span.1.max(to),
            _ => spans.push((from, to)),
        }
    }
    for op in empties {
        let at = spans.partition_point(|(from, _)| *from < op.start);
        if at > 0 && spans[at - 1].1 > op.end {
            return Err(format!("empty from {} to {}, although something was there", op.start, op.end));
        }
    }
    Ok(())
}

// ---- the processes -------------------------------------------------------------------------------------

/// A process: for each line "FILE CPU START COUNT OBJECT ROLE SEED" it works and writes what it did to FILE.
fn work(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    say("ready");
    loop {
        let line = hear();
        let [file, cpu, start, count, object, role, seed] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        pin(cpu.parse().unwrap());
        let (start, count): (u64, usize) = (start.parse().unwrap(), count.parse().unwrap());
        let mut random = Random::new(seed.parse().unwrap());
        let unique = seed.parse::<u64>().unwrap() << 32;
        let mut one = operation(&s, object, role, unique);
        std::thread::sleep(Duration::from_nanos(start.saturating_sub(now())));
        let mut words = Vec::with_capacity(count * 6 + 6);
        let mut last = What::Empty;
        // Nobody ends with what it has acquired.
        while words.len() < count * 6 || last == What::Acquire {
            let choice = random.below(1 << 16);
            let start = now();
            last = one(choice);
            let end = now();
            words.extend([start as i64, end as i64]);
            words.extend(last.words());
        }
        std::fs::write(file, bytemuck::cast_slice::<i64, u8>(&words)).unwrap();
        drop(one);
        say("done");
    }
}

fn pin(cpu: usize) {
    // SAFETY: a cpu_set_t is plain bits, all zero is an empty one; the calls only touch `set`.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set);
    }
}

/// The processors that this process may run on.
fn processors() -> Vec<usize> {
    // SAFETY: as above.
    let set = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::sched_getaffinity(0, size_of_val(&set), &mut set);
        set
    };
    // SAFETY: as above.
    (0..libc::CPU_SETSIZE as usize).filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) }).collect()
}

/// None where the answer is "not now".
fn unless_refused<R>(result: sharecell::Result<R>) -> Option<R> {
    match result {
        Ok(r) => Some(r),
        Err(e) if e.is_timeout() || e.kind() == ErrorKind::WouldBlock => None,
        Err(e) => panic!("{e}"),
    }
}

/// Tries, or waits a little.
fn patience(choice: u64) -> Deadline {
    match choice % 4 {
        0 => Deadline::Now,
        1 | 2 => Deadline::after(Duration::from_micros(40)),
        _ => Deadline::after(Duration::from_millis(1)),
    }
}

/// What a process does, again and again.
fn operation(s: &Segment, object: &str, role: &str, unique: u64) -> Box<dyn FnMut(u64) -> What> {
    match role {
        "put" => {
            let queue = Queue::open(s, object).unwrap();
            let mut item = unique;
            Box::new(move |choice| {
                item += 1;
                let put = queue.put_until(&item.to_ne_bytes(), patience(choice));
                if unless_refused(put).is_some() { What::Put(item) } else { What::Full }
            })
        }
        "get" => {
            let queue = Queue::open(s, object).unwrap();
            Box::new(move |choice| {
                unless_refused(queue.get_until(patience(choice)))
                    .map_or(What::Empty, |item| What::Get(u64::from_ne_bytes(item.try_into().unwrap())))
            })
        }
        "lock" => {
            let lock = Lock::open(s, object).unwrap();
            alternate(move |choice| match choice {
                Some(choice) => unless_refused(lock.acquire(patience(choice))).is_some(),
                None => lock.release().map(|()| true).unwrap(),
            })
        }
        "semaphore" => {
            let semaphore = Semaphore::open(s, object).unwrap();
            alternate(move |choice| match choice {
                Some(choice) => unless_refused(semaphore.acquire_until(patience(choice))).is_some(),
                None => semaphore.release(1).map(|()| true).unwrap(),
            })
        }
        "value" => {
            let value = Value::<i64>::open(s, object).unwrap();
            let mut last = 0;
            Box::new(move |choice| {
                let new = (choice >> 4) as i64;
                let what = match choice % 4 {
                    0 => What::Read(value.get().unwrap()),
                    1 => What::Add(new, value.add(new).unwrap()),
                    2 => What::Exchange(new, value.exchange(new).unwrap()),
                    _ => {
                        let found = value.compare_exchange(last, new).unwrap();
                        What::Compare(last, new, found.unwrap_or_else(|found| found))
                    }
                };
                last = match what {
                    What::Add(x, old) => old + x,
                    What::Read(seen) | What::Compare(_, _, seen) => seen,
                    _ => new,
                };
                what
            })
        }
        "wide" => {
            let value = Value::<Wide>::open(s, object).unwrap();
            let wide = |x: i64| Wide([x, !x, x, !x, x]);
            let narrow = move |w: Wide| {
                assert_eq!(w, wide(w.0[0]), "torn");
                w.0[0]
            };
            Box::new(move |choice| {
                let new = (choice >> 4) as i64;
                match choice % 3 {
                    0 => What::Read(narrow(value.get().unwrap())),
                    1 => What::Add(new, narrow(value.update(|w| wide(w.0[0] + new)).unwrap())),
                    _ => What::Exchange(new, narrow(value.exchange(wide(new)).unwrap())),
                }
            })
        }
        _ => panic!("{role}"),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Wide([i64; 5]);

impl Element for Wide {
    const NAME: &'static str = "Wide";
}

/// Acquires, and releases what it has.
fn alternate(call: impl Fn(Option<u64>) -> bool + 'static) -> Box<dyn FnMut(u64) -> What> {
    let mut has = false;
    Box::new(move |choice| {
        if has {
            has = !call(None);
            return What::Release;
        }
        has = call(Some(choice));
        if has { What::Acquire } else { What::Refused }
    })
}

/// Processes that record, and the segment where they meet.
struct Troupe {
    // In this order they end.
    processes: Vec<Process>,
    s: Segment,
    seed: u64,
    _world: World,
}

impl Troupe {
    fn new(test: &str, count: usize) -> Self {
        // On a busy machine, where several share a processor and give it away to each other, it takes minutes.
        let world = World::within(test, 10 * WATCHDOG);
        let s = world.segment();
        let mut processes: Vec<_> = (0..count).map(|_| spawn("work", &[s.name()])).collect();
        processes.iter_mut().for_each(|process| process.expect("ready"));
        Self { processes, s, seed: 1, _world: world }
    }

    /// Has one process for each role do `count` operations on `object`, on `cpus` processors.
    fn play(&mut self, object: &str, roles: &[&str], cpus: usize, count: usize) -> History {
        let available = processors();
        let start = now() + 2_000_000;
        let directory = env!("CARGO_TARGET_TMPDIR");
        let file = |i: usize| format!("{directory}/linear-{}-{i}", self.s.name());
        for (i, role) in roles.iter().enumerate() {
            self.seed += 1;
            let (cpu, seed, file) = (available[i % cpus.min(available.len())], self.seed, file(i));
            self.processes[i].tell(&format!("{file} {cpu} {start} {count} {object} {role} {seed}"));
        }
        let played = self.processes.iter_mut().zip(roles).enumerate();
        let history = played.map(|(i, (process, _))| {
            process.expect("done");
            let words: Vec<i64> = std::fs::read(file(i))
                .unwrap()
                .chunks_exact(8)
                .map(|w| i64::from_ne_bytes(w.try_into().unwrap()))
                .collect();
            std::fs::remove_file(file(i)).unwrap();
            words
                .chunks_exact(6)
                .map(|w| Op { start: w[0] as u64, end: w[1] as u64, what: What::of_words(&w[2..]) })
                .collect()
        });
        let history: History = history.collect();
        assert!(history.iter().all(|ops| ops.len() >= count), "a process recorded nothing");
        history
    }
}

/// The long form: `LINEAR_ROUNDS=50 cargo test --test linear`.
fn rounds() -> usize {
    std::env::var("LINEAR_ROUNDS").map_or(1, |rounds| rounds.parse().expect("LINEAR_ROUNDS is a number"))
}

fn count(history: &History, is: impl Fn(What) -> bool) -> usize {
    history.iter().flatten().filter(|op| is(op.what)).count()
}

// ---- the tests -----------------------------------------------------------------------------------------

/// Takes out what is left, as one more process.
fn drain(queue: &Queue, history: &mut History) {
    let mut ops = Vec::new();
    loop {
        let start = now();
        let item = unless_refused(queue.try_get());
        let what = item.map_or(What::Empty, |item| What::Get(u64::from_ne_bytes(item.try_into().unwrap())));
        ops.push(Op { start, end: now(), what });
        if what == What::Empty {
            break;
        }
    }
    history.push(ops);
}

#[test]
fn queues_are_linearizable() {
    let mut troupe = Troupe::new("linear-queue", 8);
    let (mut empties, mut fulls, mut items) = (0, 0, 0);
    for round in 0..rounds() {
        for (capacity, cpus) in [1, 2, 4].into_iter().flat_map(|capacity| [(capacity, 1), (capacity, 2)]) {
            for (putters, getters) in [(1, 1), (2, 2), (4, 4), (1, 4), (4, 1), (2, 1)] {
                let name = format!("q{round}-{capacity}-{cpus}-{putters}-{getters}");
                let queue = Queue::create(&troupe.s, &name, &QueueOptions::new(capacity)).unwrap();
                let roles = [vec!["put"; putters], vec!["get"; getters]].concat();
                let mut history = troupe.play(&name, &roles, cpus, 400);
                drain(&queue, &mut history);
                aspects(&history).unwrap_or_else(|e| panic!("{name}: {e}"));
                let strict = (putters, getters) == (1, 1);
                let fifo = Fifo { items: VecDeque::new(), capacity: capacity as usize, strict };
                check(&name, &history, fifo);
                empties += count(&history, |what| what == What::Empty);
                fulls += count(&history, |what| what == What::Full);
                items += count(&history, |what| matches!(what, What::Get(_)));
                troupe.s.remove(&name).unwrap();
            }
        }
    }
    println!("{items} items, {empties} times empty, {fulls} times full");
    assert!(items > 0 && empties > 0 && fulls > 0);
}

/// Writes a history down for people.
fn keep(name: &str, history: &impl Debug) -> String {
    let path = format!("{}/{name}.txt", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&path, format!("{history:#?}")).unwrap();
    format!("see {path}")
}

/// Processes, and processors that they are pinned to.
const CASTS: [(usize, usize); 4] = [(2, 1), (4, 1), (2, 2), (4, 2)];

fn check<M: Model>(name: &str, history: &History, first: M) {
    assert!(search(history, first), "{name}: no order explains it; {}", keep(name, history));
}

#[test]
fn locks_are_linearizable() {
    let mut troupe = Troupe::new("linear-lock", 4);
    let lock = Lock::create(&troupe.s, "lock").unwrap();
    for _ in 0..3 * rounds() {
        for (processes, cpus) in CASTS {
            let history = troupe.play("lock", &vec!["lock"; processes], cpus, 300);
            check("lock", &history, Mutex(None));
            assert_eq!(lock.holder(), 0);
        }
    }
}

#[test]
fn semaphores_are_linearizable() {
    let mut troupe = Troupe::new("linear-semaphore", 4);
    for permits in [1, 2, 3] {
        let name = format!("semaphore-{permits}");
        let semaphore = Semaphore::create(&troupe.s, &name, permits).unwrap();
        for (processes, cpus) in CASTS.repeat(2 * rounds()) {
            let history = troupe.play(&name, &vec!["semaphore"; processes], cpus, 300);
            check(&name, &history, Permits(permits));
            assert_eq!(semaphore.value(), permits);
        }
    }
}

#[test]
fn values_are_linearizable() {
    let mut troupe = Troupe::new("linear-value", 4);
    let value = Value::create(&troupe.s, "value", 0i64).unwrap();
    let wide = Value::create(&troupe.s, "wide", Wide([0, !0, 0, !0, 0])).unwrap();
    for (processes, cpus) in CASTS.repeat(3 * rounds()) {
        for role in ["value", "wide"] {
            let first = if role == "value" { value.get().unwrap() } else { wide.get().unwrap().0[0] };
            let history = troupe.play(role, &vec![role; processes], cpus, 300);
            check(role, &history, Register(first));
        }
    }
}

/// A fault and how to plant it.
type Plant = (&'static str, fn(&mut History));

/// The checkers are only worth something if they find what is wrong.
#[test]
fn planted_faults_are_found() {
    let op = |start, end, what| Op { start, end, what };
    let fifo = || Fifo { items: VecDeque::new(), capacity: 2, strict: true };
    let good = vec![
        vec![op(0, 1, What::Put(1)), op(2, 3, What::Put(2)), op(4, 5, What::Full), op(13, 20, What::Put(3))],
        vec![
            op(6, 7, What::Get(1)),
            op(8, 9, What::Get(2)),
            op(10, 14, What::Empty),
            op(15, 21, What::Get(3)),
        ],
    ];
    assert!(search(&good, fifo()) && aspects(&good).is_ok());
    let broken: [Plant; 6] = [
        ("two gets are swapped", |h| (h[1][0].what, h[1][1].what) = (What::Get(2), What::Get(1))),
        ("an item is dropped", |h| {
            h[1].remove(1);
        }),
        ("an item comes twice", |h| h[1][1].what = What::Get(1)),
        ("empty too early", |h| h[1].insert(0, Op { start: 4, end: 5, what: What::Empty })),
        ("got before it was put", |h| (h[0][3].start, h[0][3].end) = (30, 31)),
        ("got, and never put", |h| h[1][1].what = What::Get(9)),
    ];
    for (what, plant) in broken {
        let mut history = good.clone();
        plant(&mut history);
        assert!(aspects(&history).is_err(), "{what}: not found by its aspects");
        assert!(!search(&history, fifo()) || what == "an item is dropped", "{what}: not found by the search");
    }
    let mut overfull = good.clone();
    overfull[0][2].what = What::Put(4);
    overfull[1].push(op(22, 23, What::Get(4)));
    assert!(!search(&overfull, fifo()), "more items than its capacity");
    let mut early = good.clone();
    early[0][2] = op(1, 2, What::Full);
    early[0].swap(1, 2);
    assert!(!search(&early, fifo()), "full too early");

    let two = |a, b| vec![vec![op(0, 1, a)], vec![op(2, 3, b)]];
    assert!(!search(&two(What::Acquire, What::Acquire), Mutex(None)), "two holders");
    assert!(!search(&two(What::Release, What::Acquire), Mutex(None)), "released by nobody");
    assert!(!search(&vec![vec![op(0, 1, What::Refused)]], Mutex(None)), "refused while free");
    assert!(!search(&two(What::Acquire, What::Acquire), Permits(1)), "two have one permit");
    assert!(!search(&two(What::Acquire, What::Refused), Permits(2)), "refused with a permit left");
    assert!(!search(&two(What::Add(1, 0), What::Add(1, 0)), Register(0)), "a lost update");
    assert!(!search(&two(What::Exchange(1, 0), What::Read(0)), Register(0)), "an old value");
    assert!(!search(&two(What::Compare(0, 1, 0), What::Read(0)), Register(0)), "a lost exchange");
}

/// Faults planted into what real processes recorded.
#[test]
fn faults_planted_into_recorded_histories_are_found() {
    let mut troupe = Troupe::new("linear-planted", 4);
    let queue = Queue::create(&troupe.s, "q", &QueueOptions::new(4)).unwrap();
    let mut history = troupe.play("q", &["put", "get", "put", "get"], 2, 300);
    drain(&queue, &mut history);
    assert!(aspects(&history).is_ok());
    let gets: Vec<_> =
        (0..history[1].len()).filter(|i| matches!(history[1][*i].what, What::Get(_))).collect();
    let of_same = |a: usize, b: usize| match (history[1][a].what, history[1][b].what) {
        (What::Get(x), What::Get(y)) => x >> 32 == y >> 32,
        _ => false,
    };
    let mut pairs = gets.windows(2).filter(|pair| of_same(pair[0], pair[1]));
    let pair = pairs.next().expect("two items of one putter that one getter got");
    let mut swapped = history.clone();
    (swapped[1][pair[0]].what, swapped[1][pair[1]].what) =
        (history[1][pair[1]].what, history[1][pair[0]].what);
    let fifo = || Fifo { items: VecDeque::new(), capacity: 4, strict: false };
    assert!(aspects(&swapped).is_err(), "two gets of items of one putter are swapped");
    assert!(!search(&swapped, fifo()), "two gets of items of one putter are swapped");
    let mut dropped = history.clone();
    dropped[1].remove(pair[0]);
    assert!(aspects(&dropped).is_err(), "an item is dropped");
    assert!(!search(&dropped, fifo()), "an item is dropped");
}
