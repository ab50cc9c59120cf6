//! The ring against a model, and at the wrap of its tickets.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::segment::Segment;

fn segment(test: &str) -> Segment {
    let name = format!("unit-{}-{test}", std::process::id());
    Segment::options().ephemeral(true).limit(16 << 20).open_or_create(&name).unwrap()
}

/// A queue whose first ticket is `first`.
fn queue_from(segment: &Segment, name: &str, capacity: u64, first: u64) -> Queue {
    let queue = Queue::create(segment, name, &QueueOptions::new(capacity).inline(40)).unwrap();
    queue.shape.init(&queue.handle.part(), 0, first).unwrap();
    queue
}

#[test]
fn tickets_wrap() {
    let s = segment("wrap");
    // The word holds 47 bits of the ticket, the hints 64: start short of both.
    for (i, first) in [0, (1u64 << 47) - 5, u64::MAX - 4].into_iter().enumerate() {
        for capacity in [1, 2, 3, 4] {
            let q = queue_from(&s, &format!("q{i}-{capacity}"), capacity, first);
            for n in 0..20u64 {
                for _ in 0..capacity {
                    q.try_put(&n.to_ne_bytes()).unwrap();
                }
                assert!(q.is_full() && q.try_put(b"").is_err());
                for _ in 0..capacity {
                    assert_eq!(q.try_get().unwrap(), n.to_ne_bytes());
                }
                assert!(q.is_empty() && q.try_get().is_err());
            }
        }
    }
}

#[test]
fn batches_of_values_take_what_is_there() {
    let s = segment("batches");
    let q = TypedQueue::<u32>::create(&s, "q", 4).unwrap();
    let mut places = [0; 3];
    assert_eq!(q.get_many_into(&mut places, Deadline::Now).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(q.get_many_into(&mut [], Deadline::Never).unwrap(), 0);
    assert_eq!(q.put_many_until(&[1, 2, 3, 4, 5], Deadline::Now).unwrap(), 4);
    assert_eq!((q.get_many_into(&mut places, Deadline::Never).unwrap(), places), (3, [1, 2, 3]));
    assert_eq!(q.put_many(&[6, 7]).unwrap(), 2);
    assert_eq!(q.get_many(9).unwrap(), [4, 6, 7]);
    q.put(8).unwrap();
    assert_eq!((q.get_many_into(&mut places, Deadline::Never).unwrap(), places), (1, [8, 2, 3]));
    q.as_bytes().shutdown();
    assert_eq!(q.get_many(1).unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_batch_ends_before_an_item_without_room() {
    /// Room for so many bytes in all.
    struct Room(usize, Vec<u8>);
    impl Sink for Room {
        fn room(&self) -> usize {
            self.0 - self.1.len()
        }
        fn take(&mut self, item: &[u8]) -> bool {
            self.1.extend(item);
            true
        }
    }
    let s = segment("room");
    // In cells, spilled, and counted.
    for (len, joinable) in [(8, false), (500, false), (8, true)] {
        let q = Queue::create(&s, &format!("q{len}{joinable}"), &QueueOptions::new(4).joinable(joinable))
            .unwrap();
        q.put_many((1..4).map(|fill| vec![fill; len])).unwrap();
        let mut room = Room(2 * len + 1, Vec::new());
        assert_eq!(q.get_run(9, Deadline::Never, &mut room).unwrap(), 2);
        assert_eq!(room.1, [vec![1; len], vec![2; len]].concat());
        assert_eq!(q.get_run(9, Deadline::Never, &mut room).unwrap_err().kind(), ErrorKind::BufferTooSmall);
        let item = q.recv(Deadline::Now).unwrap();
        assert_eq!((&item[..], item.deliveries()), (&vec![3; len][..], 1));
    }
}

#[test]
fn a_held_item_survives_the_wrap() {
    let s = segment("held");
    let q = queue_from(&s, "q", 4, (1 << 47) - 9);
    q.put(b"held").unwrap();
    let held = q.recv(Deadline::Now).unwrap();
    for n in 0..40u64 {
        q.try_put(&n.to_ne_bytes()).unwrap();
        assert_eq!(q.try_get().unwrap(), n.to_ne_bytes());
    }
    assert_eq!(&held[..], b"held");
    let number = held.number();
    held.put_back();
    let again = q.recv(Deadline::Now).unwrap();
    assert_eq!((&again[..], again.number(), again.deliveries()), (&b"held"[..], number, 2));
}

#[test]
fn an_item_given_back_takes_one_cell_and_not_the_queue() {
    let s = segment("late");
    for (capacity, len) in [(3, 4), (4, 4), (4, 400)] {
        let q = queue_from(&s, &format!("q{capacity}-{len}"), capacity, (1 << 47) - 9);
        q.put(&vec![7; len]).unwrap();
        let late = q.recv(Deadline::Now).unwrap();
        let number = late.number();
        for n in 0..capacity as u8 - 1 {
            q.try_put(&[n]).unwrap();
            assert_eq!(q.try_get().unwrap(), [n]);
        }
        late.put_back();
        // The lap is over: those who put come round to it.
        q.try_put(b"new").unwrap();
        assert!(!q.is_full() && q.qsize() == 2);
        let mut got = [q.recv(Deadline::Now).unwrap(), q.recv(Deadline::Now).unwrap()];
        got.sort_by_key(|item| std::cmp::Reverse(item.deliveries()));
        assert_eq!((&got[0][..], got[0].number(), got[0].deliveries()), (&vec![7; len][..], number, 2));
        assert_eq!((&got[1][..], got[1].deliveries()), (&b"new"[..], 1));
    }
}

#[test]
fn a_run_does_not_wait_for_an_item_given_back() {
    let s = segment("late-runs");
    let q = numbers_from(&s, "q", 16, 0);
    let numbers: Vec<u64> = (0..16).collect();
    q.put_many(&numbers).unwrap();
    let late = q.as_bytes().recv(Deadline::Now).unwrap();
    assert_eq!(q.get_many(15).unwrap(), numbers[1..]);
    late.put_back();
    assert_eq!(q.put_many_until(&numbers[..8], Duration::from_secs(60).into()).unwrap(), 8);
    let mut got = q.get_many(16).unwrap();
    got.sort();
    assert_eq!(got, [0, 0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn an_item_given_back_is_found_below_head() {
    let s = segment("reopened");
    let q = queue_from(&s, "q", 8, 0);
    for n in 0..6u8 {
        q.put(&[n]).unwrap();
    }
    let first = q.recv(Deadline::Now).unwrap();
    assert_eq!(q.get().unwrap(), [1]);
    first.put_back();
    // Oldest first, although the hint has passed it.
    assert_eq!((0..5).map(|_| q.try_get().unwrap()[0]).collect::<Vec<_>>(), [0, 2, 3, 4, 5]);
    assert!(q.is_empty());
}

/// A queue of numbers that may go by runs, whose first ticket is `first`.
fn numbers_from(segment: &Segment, name: &str, capacity: u64, first: u64) -> TypedQueue<u64> {
    let queue = TypedQueue::<u64>::create(segment, name, capacity).unwrap();
    queue.as_bytes().shape.init(&queue.as_bytes().handle.part(), 0, first).unwrap();
    queue
}

#[test]
fn batches_go_by_runs_where_they_are_got_so() {
    let s = segment("runs");
    let q = numbers_from(&s, "q", 16, 0);
    let (ring, me) = (q.as_bytes().ring(), q.as_bytes().handle.me().unwrap());
    let take_run = || ring.take_run(me, &q.as_bytes().epoch);
    let numbers = |from: u64, n: u64| (from..from + n).collect::<Vec<_>>();
    q.put_many(&numbers(0, 16)).unwrap();
    assert!(take_run().is_none(), "nobody has got a batch yet");
    assert_eq!(q.get_many(16).unwrap(), numbers(0, 16));
    assert_eq!(q.put_many_until(&numbers(0, 20), Deadline::Now).unwrap(), 16);
    assert!(q.as_bytes().is_full() && q.as_bytes().qsize() == 16);
    let run = take_run().expect("a batch went as a run");
    assert_eq!(q.as_bytes().qsize(), 8);
    // As after a death: all of it is there again, and was delivered once.
    ring.recover(me);
    assert_eq!((run.ticket, q.as_bytes().qsize()), (16, 16));
    let item = q.as_bytes().recv(Deadline::Now).unwrap();
    assert_eq!((&item[..], item.number(), item.deliveries()), (&0u64.to_ne_bytes()[..], 16, 2));
    drop(item);
    assert_eq!(q.get_many(16).unwrap(), numbers(1, 15));
    assert!(q.as_bytes().is_empty() && ring.is_idle());
    // Who gets one of a run by itself makes those who put do without runs.
    q.put_many(&numbers(0, 16)).unwrap();
    q.get_many(8).unwrap();
    assert_eq!(q.get().unwrap(), 8);
    q.put_many(&numbers(16, 8)).unwrap();
    assert_eq!(q.get_many(7).unwrap(), numbers(9, 7));
    assert!(take_run().is_none());
    assert_eq!(q.get_many(8).unwrap(), numbers(16, 8));
}

#[test]
fn what_is_taken_is_unfinished_until_it_is_done() {
    let s = segment("join");
    let q = Queue::create(&s, "q", &QueueOptions::new(4).joinable(true)).unwrap();
    let idle = || q.join(Deadline::Now).is_ok();
    assert!(idle() && q.task_done().unwrap_err().kind() == ErrorKind::NotHeld);
    q.put(b"a").unwrap();
    q.put(b"b").unwrap();
    assert!(!idle());
    q.get().unwrap();
    drop(q.recv(Deadline::Now).unwrap());
    assert!(q.is_empty() && !idle());
    q.task_done().unwrap();
    assert!(idle());
    let place = q.reserve(10, Deadline::Now).unwrap();
    assert!(!idle());
    drop(place);
    assert!(idle());
    std::thread::scope(|scope| {
        q.put(b"c").unwrap();
        let joining = scope.spawn(|| q.join(Deadline::Never));
        q.get().unwrap();
        q.task_done().unwrap();
        joining.join().unwrap().unwrap();
    });
    let plain = Queue::create(&s, "plain", &QueueOptions::new(4)).unwrap();
    assert_eq!(plain.task_done().unwrap_err().kind(), ErrorKind::Unsupported);
}

#[derive(Clone, Debug)]
enum Step {
    Put(usize),
    Get,
    Recv,
    Release,
    PutBack,
    Reserve(usize),
    Commit,
    Abort,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0usize..200).prop_map(Step::Put),
        3 => Just(Step::Get),
        1 => Just(Step::Recv),
        1 => Just(Step::Release),
        1 => Just(Step::PutBack),
        1 => (0usize..200).prop_map(Step::Reserve),
        1 => Just(Step::Commit),
        1 => Just(Step::Abort),
    ]
}

#[derive(Clone, Debug)]
enum RunStep {
    Put(usize),
    Get(usize),
    /// Receives one, or is done with it.
    Hold,
    PutBack,
    /// A run is taken by one who dies.
    Die,
    Prefer(bool),
}

fn run_step() -> impl Strategy<Value = RunStep> {
    prop_oneof![
        4 => (1usize..30).prop_map(RunStep::Put),
        4 => (1usize..30).prop_map(RunStep::Get),
        2 => Just(RunStep::Hold),
        1 => Just(RunStep::PutBack),
        1 => Just(RunStep::Die),
        2 => any::<bool>().prop_map(RunStep::Prefer),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Runs, single cells, and what is between them are one queue, also at the wrap of its tickets.
    #[test]
    fn runs_and_single_items_are_one_queue(
        size in 3u32..6,
        first in prop_oneof![0u64..20, (1u64 << 47) - 40..(1u64 << 47) + 20, u64::MAX - 40..u64::MAX],
        steps in prop::collection::vec(run_step(), 1..60),
    ) {
        let s = segment("runs-model");
        let capacity = 1usize << size;
        let q = TypedQueue::<u64>::open_or_create(&s, &format!("q{size}"), capacity as u64).unwrap();
        q.as_bytes().shape.init(&q.as_bytes().handle.part(), 0, first).unwrap();
        let (ring, me) = (q.as_bytes().ring(), q.as_bytes().handle.me().unwrap());
        let mut model: VecDeque<u64> = VecDeque::new();
        let mut held: Option<Item<'_>> = None;
        let value = |item: &Item<'_>| u64::from_ne_bytes(item[..].try_into().unwrap());
        let mut next = 0;
        // What was taken out of turn costs a cell until those before it are done with.
        let mut gaps = false;
        for step in steps {
            gaps = !model.is_empty() && gaps || held.is_some();
            match step {
                RunStep::Put(n) => {
                    let items: Vec<u64> = (next..next + n as u64).collect();
                    let done = q.put_many_until(&items, Deadline::Now).unwrap_or(0);
                    prop_assert!(done == n || model.len() + done == capacity || gaps);
                    model.extend(&items[..done]);
                    next += done as u64;
                }
                RunStep::Get(n) => {
                    let got = q.get_many_until(n, Deadline::Now).unwrap_or_default();
                    // It may end before a run that is longer than what is left.
                    let short = n.min(model.len()) - got.len();
                    prop_assert!(short == 0 || short < GROUP as usize && got.len() >= GROUP as usize);
                    prop_assert_eq!(&got, &model.drain(..got.len()).collect::<Vec<_>>());
                }
                RunStep::Hold if held.is_none() => {
                    held = q.as_bytes().recv(Deadline::Now).ok();
                    prop_assert_eq!(held.as_ref().map(value), model.pop_front());
                }
                RunStep::Hold => drop(held.take()),
                RunStep::PutBack => {
                    if let Some(item) = held.take() {
                        model.push_back(value(&item));
                        item.put_back();
                        let mut got = q.get_many_until(usize::MAX, Deadline::Now).unwrap();
                        got.sort();
                        model.make_contiguous().sort();
                        prop_assert_eq!(got, model.drain(..).collect::<Vec<_>>());
                    }
                }
                RunStep::Die if held.is_none() => {
                    ring.take_run(me, &q.as_bytes().epoch);
                    ring.recover(me);
                }
                RunStep::Die => {}
                RunStep::Prefer(yes) => ring.prefer_runs(yes),
            }
            prop_assert_eq!(q.as_bytes().qsize(), model.len());
        }
        drop(held);
        prop_assert_eq!(q.get_many_until(usize::MAX, Deadline::Now).unwrap_or_default(), Vec::from(model));
        prop_assert!(ring.is_idle() && !q.as_bytes().is_full());
        let all: Vec<u64> = (0..capacity as u64).collect();
        prop_assert_eq!(q.put_many_until(&all, Deadline::Now).unwrap(), capacity);
        prop_assert!(q.as_bytes().is_full());
        prop_assert_eq!(q.get_many(capacity).unwrap(), all);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every item comes out once and whole, in the order of the puts but for those that were held or being
    /// written; and the arena has all of its blocks back in the end.
    #[test]
    fn the_ring_is_a_queue(capacity in 1u64..6, steps in prop::collection::vec(step(), 1..60)) {
        let s = segment("model");
        let q = Queue::open_or_create(&s, &format!("q{capacity}"), &QueueOptions::new(capacity).inline(40)).unwrap();
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        let (mut held, mut place): (Option<Item<'_>>, Option<Reservation<'_>>) = (None, None);
        // A ticket that was skipped or taken out of turn counts until those before it are done with.
        let mut gaps = false;
        for (n, step) in steps.into_iter().enumerate() {
            gaps = !model.is_empty() && gaps || held.is_some() || place.is_some();
            let item = |len: usize| vec![n as u8; len];
            match step {
                Step::Put(len) => match q.try_put(&item(len)) {
                    Ok(()) => model.push_back(item(len)),
                    Err(e) => {
                        prop_assert_eq!(e.kind(), ErrorKind::WouldBlock);
                        prop_assert!(gaps || model.len() == capacity as usize);
                    }
                },
                Step::Get => match q.try_get() {
                    Ok(got) => {
                        let at = model.iter().position(|want| *want == got);
                        prop_assert!(at.is_some(), "got what was not put: {:?}", got);
                        if place.is_none() && held.is_none() {
                            prop_assert_eq!(at, Some(0));
                        }
                        model.remove(at.unwrap());
                    }
                    Err(_) => prop_assert!(model.is_empty()),
                },
                Step::Recv if held.is_none() => {
                    held = q.recv(Deadline::Now).ok();
                    if let Some(item) = &held {
                        let at = model.iter().position(|want| want[..] == item[..]);
                        prop_assert!(at.is_some());
                        model.remove(at.unwrap());
                    }
                }
                Step::Release => drop(held.take()),
                Step::PutBack => {
                    if let Some(item) = held.take() {
                        // It is the oldest again, or comes late if others have passed it: either will do.
                        model.push_front(item.to_vec());
                        item.put_back();
                        while let Ok(got) = q.try_get() {
                            let at = model.iter().position(|want| *want == got);
                            prop_assert!(at.is_some());
                            model.remove(at.unwrap());
                        }
                    }
                }
                Step::Reserve(len) if place.is_none() => {
                    place = q.reserve(len, Deadline::Now).ok();
                    if let Some(place) = &mut place {
                        place.fill(n as u8);
                    }
                }
                Step::Commit => {
                    if let Some(place) = place.take() {
                        // Where it stands among the items depends on when its place was taken.
                        let item = place.to_vec();
                        place.commit().unwrap();
                        model.push_back(item);
                        while let Ok(got) = q.try_get() {
                            let at = model.iter().position(|want| *want == got);
                            prop_assert!(at.is_some());
                            model.remove(at.unwrap());
                        }
                    }
                }
                Step::Abort => drop(place.take()),
                Step::Recv | Step::Reserve(_) => {}
            }
            prop_assert_eq!(q.qsize(), model.len());
        }
        drop((held, place));
        while let Ok(got) = q.try_get() {
            prop_assert_eq!(Some(got), model.pop_front());
        }
        prop_assert!(model.is_empty());
        for _ in 0..capacity {
            q.try_put(&[1; 100]).unwrap();
        }
        prop_assert!(q.is_full());
        for _ in 0..capacity {
            q.try_get().unwrap();
        }
    }
}
