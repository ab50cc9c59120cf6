//! Runs of a queue: what goes by them is delivered once, in order and whole, and so is what one of them is split for.

use sharecell::*;

use crate::scene::{Case, case};

/// Two groups.
const CAPACITY: u64 = 16;
/// The items of a run.
const RUN: u64 = 8;

pub fn cases() -> Vec<Case> {
    vec![
        on_queue(
            "put a run",
            RUN,
            true,
            |q| put(q, RUN, RUN),
            |got, finished| {
                let new = got.strip_prefix(&numbers(0, RUN)[..]).expect("what was there, in order");
                assert!(*new == numbers(RUN, RUN) || new.is_empty() && !finished, "{got:?}");
                if new.is_empty() { "what was there before" } else { "the new items, once" }
            },
        ),
        on_queue(
            "put a run into single cells",
            0,
            false,
            |q| put(q, 0, RUN),
            |got, finished| {
                assert!(*got == numbers(0, RUN) || got.is_empty() && !finished, "{got:?}");
                if got.is_empty() { "what was there before" } else { "the new items, once" }
            },
        ),
        on_queue(
            "put two runs",
            0,
            true,
            |q| put(q, 0, 2 * RUN),
            |got, finished| {
                assert!(numbers(0, 2 * RUN).starts_with(got) && (got.len() == 16 || !finished), "{got:?}");
                assert!(got.len().is_multiple_of(RUN as usize), "{got:?}");
                match got.len() {
                    0 => "what was there before",
                    8 => "the first run, once",
                    _ => "both runs, once",
                }
            },
        ),
        on_queue(
            "put one item where a run was",
            0,
            true,
            |q| put(q, 0, 1),
            |got, finished| {
                assert!(*got == [0] || got.is_empty() && !finished, "{got:?}");
                if got.is_empty() { "what was there before" } else { "the new item, once" }
            },
        ),
        taking("get a run", RUN, |q| assert_eq!(q.get_many(RUN as usize).unwrap(), numbers(0, RUN))),
        taking("get two runs", 2 * RUN, |q| assert_eq!(q.get_many(16).unwrap(), numbers(0, 2 * RUN))),
        taking("get one item of a run", 1, |q| assert_eq!(q.get().unwrap(), 0)),
        taking("get two items of a run", 2, |q| assert_eq!(q.get_many(2).unwrap(), [0, 1])),
        taking("receive one item of a run", 1, |q| {
            assert_eq!(q.as_bytes().recv(Deadline::Never).unwrap()[..], 0u64.to_ne_bytes());
        }),
        taking("put one item of a run back", 0, |q| q.as_bytes().recv(Deadline::Never).unwrap().put_back()),
    ]
}

/// Takes so many of the items of two runs.
fn taking(name: &str, taken: u64, get: fn(&TypedQueue<u64>)) -> Case {
    on_queue(name, 2 * RUN, true, get, move |got, finished| {
        assert!(numbers(0, 2 * RUN).ends_with(got), "lost, doubled or overtaken: {got:?}");
        let gone = 2 * RUN - got.len() as u64;
        assert!(gone == taken || gone < taken && !finished, "{got:?}");
        match gone {
            0 => "all items, once",
            1 => "all but the one taken",
            _ if gone == taken => "all but those taken",
            _ => "all but the first of those taken",
        }
    })
}

fn numbers(from: u64, count: u64) -> Vec<u64> {
    (from..from + count).collect()
}

fn put(q: &TypedQueue<u64>, from: u64, count: u64) {
    match count {
        1 => q.put(from).unwrap(),
        _ => assert_eq!(q.put_many(&numbers(from, count)).unwrap() as u64, count),
    }
}

fn open(s: &Segment) -> TypedQueue<u64> {
    TypedQueue::open(s, "queue").unwrap()
}

/// Puts as many items as there is room for, and gets them.
fn refill(q: &TypedQueue<u64>) {
    assert_eq!(q.put_many_until(&numbers(0, CAPACITY), Deadline::Now).unwrap() as u64, CAPACITY);
    assert!(q.as_bytes().is_full());
    assert_eq!(drain(q), numbers(0, CAPACITY));
    assert!(q.as_bytes().is_empty());
}

fn drain(q: &TypedQueue<u64>) -> Vec<u64> {
    std::iter::from_fn(|| q.try_get().ok()).collect()
}

/// A queue with so many items in it, in runs if the groups `are_runs`, an operation on it, and what it may hold after a
/// death.
fn on_queue(
    name: &str,
    before: u64,
    are_runs: bool,
    operation: fn(&TypedQueue<u64>),
    check: impl Fn(&[u64], bool) -> &'static str + 'static,
) -> Case {
    case(
        format!("{name}, in a queue of two groups"),
        move |scene| {
            let q = TypedQueue::<u64>::create(&scene.s, "queue", CAPACITY).unwrap();
            // The first lap goes by single items; who gets them as a batch makes runs of those that follow.
            for _ in 0..1 + u32::from(are_runs) {
                put(&q, 0, CAPACITY);
                assert_eq!(q.get_many(CAPACITY as usize).unwrap(), numbers(0, CAPACITY));
            }
            put(&q, 0, before);
        },
        move |scene| {
            let q = open(&scene.s);
            Box::new(move || operation(&q))
        },
        move |scene, finished| {
            let q = open(&scene.s);
            scene.saw(check(&drain(&q), finished));
            refill(&q);
        },
    )
}
