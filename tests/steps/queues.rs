//! Queues: what was put is delivered once, in order and whole.

use std::time::Duration;

use sharecell::*;

use crate::common::*;
use crate::objects::{SPILLED, drain, finish, make, options, refill};
use crate::scene::{Case, case, in_time};

pub fn cases() -> Vec<Case> {
    let mut cases = others();
    for (size, capacity) in [(8, 1), (8, 4), (SPILLED, 1), (SPILLED, 4)] {
        cases.extend(putting(size, capacity));
        cases.extend(getting(size, capacity));
    }
    cases
}

/// A queue with `before` in it, an operation on it, and what it may hold after a death.
fn on_queue(
    name: String,
    options: &QueueOptions,
    size: usize,
    before: &'static [u8],
    operation: impl Fn(Queue) + Clone + 'static,
    check: impl Fn(&[u8], bool) -> &'static str + 'static,
) -> Case {
    let options = options.clone();
    case(
        name,
        move |scene| {
            let q = Queue::create(&scene.s, "queue", &options).unwrap();
            // Not at the first lap, so that each cell has been used.
            for fill in 0..q.capacity() as u8 + 1 {
                q.put(&vec![fill; size]).unwrap();
                q.get().unwrap();
            }
            before.iter().for_each(|fill| q.put(&vec![*fill; size]).unwrap());
        },
        move |scene| {
            let (q, operation) = (scene.queue(), operation.clone());
            Box::new(move || operation(q))
        },
        move |scene, finished| {
            let q = scene.queue();
            let got = drain(&q);
            assert!(!q.is_shutdown());
            scene.saw(check(&got, finished));
            refill(&q);
        },
    )
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_millis(2))
}

fn refill_joinable(q: &Queue) {
    q.put(&[1; SPILLED]).unwrap();
    assert!(finish(q));
}

fn putting(size: usize, capacity: u64) -> Vec<Case> {
    let before: &[u8] = if capacity == 1 { &[] } else { &[1, 2] };
    let case = |name: &str, put: fn(&Queue, &[u8]), new: &'static [u8]| {
        let item = vec![7; size];
        on_queue(
            format!("{name} {size} bytes into a queue of {capacity}"),
            &QueueOptions::new(capacity),
            size,
            before,
            move |q| put(&q, &item),
            move |got, finished| {
                let put = got.strip_prefix(before).expect("what was there, in order");
                assert!(new.starts_with(put) && (put == new || !finished), "lost or doubled: {got:?}");
                match put.len() {
                    0 => "what was there before",
                    1 => "the new item, once",
                    _ => "both new items, once",
                }
            },
        )
    };
    let mut cases = vec![
        case("put", |q, item| q.put(item).unwrap(), &[7]),
        case(
            "reserve and commit",
            |q, item| {
                let mut place = q.reserve(item.len() + 1, Deadline::Never).unwrap();
                place[..item.len()].copy_from_slice(item);
                place.commit_len(item.len()).unwrap();
            },
            &[7],
        ),
        case("reserve and abort", |q, item| q.reserve(item.len(), Deadline::Never).unwrap().abort(), &[]),
    ];
    if capacity > 1 {
        cases.push(case("put two of", |q, item| assert_eq!(q.put_many([item; 2]).unwrap(), 2), &[7, 7]));
    }
    cases
}

fn getting(size: usize, capacity: u64) -> Vec<Case> {
    let before: &[u8] = if capacity == 1 { &[1] } else { &[1, 2, 3] };
    let case = |name: &str, get: fn(&Queue), taken: usize| {
        on_queue(
            format!("{name} {size} bytes from a queue of {capacity}"),
            &QueueOptions::new(capacity),
            size,
            before,
            move |q| get(&q),
            move |got, finished| {
                assert!(before.ends_with(got), "lost, doubled or overtaken: {got:?}");
                let gone = before.len() - got.len();
                assert!(gone == taken || gone < taken && !finished, "{got:?}");
                ["all items, once", "all but the one taken", "all but the two taken"][gone]
            },
        )
    };
    let mut cases = vec![
        case("get", |q| drop(q.get().unwrap()), 1),
        case("receive", |q| drop(q.recv(Deadline::Never).unwrap()), 1),
        case("put back", |q| q.recv(Deadline::Never).unwrap().put_back(), 0),
    ];
    if capacity > 1 {
        cases.push(case("get two of", |q| assert_eq!(q.get_many(2).unwrap().len(), 2), 2));
    }
    cases
}

fn others() -> Vec<Case> {
    // As many bytes as `refill` puts.
    let limited = QueueOptions::new(4).max_bytes(2 * (SPILLED as u64 + 8));
    let waiting = |name: &str,
                   options: QueueOptions,
                   fill: usize,
                   wait: fn(&Queue) -> bool,
                   wake: fn(&Queue),
                   again: fn(&Queue)| {
        case(
            name,
            move |scene| {
                let q = Queue::create(&scene.s, "queue", &options).unwrap();
                (0..fill).for_each(|_| q.put(&[1; SPILLED]).unwrap());
                scene.sleeper(|| wait(&q));
            },
            move |scene| {
                let q = scene.queue();
                Box::new(move || wake(&q))
            },
            move |scene, finished| {
                if !finished {
                    again(&scene.queue());
                }
                scene.join_helpers();
                let q = scene.queue();
                drain(&q);
                if !q.is_shutdown() {
                    refill(&q);
                }
                scene.saw("who waits gets it, now or at the next try");
            },
        )
        .unaided()
    };
    vec![
        on_queue(
            "put into a queue of limited bytes".into(),
            &limited,
            SPILLED,
            &[1],
            |q| q.put(&[7; SPILLED]).unwrap(),
            |got, finished| {
                assert!(got == [1, 7] || got == [1] && !finished, "{got:?}");
                if got == [1] { "what was there before" } else { "the new item, once" }
            },
        ),
        on_queue(
            "get from a queue of limited bytes".into(),
            &limited,
            SPILLED,
            &[1, 2],
            |q| drop(q.get().unwrap()),
            |got, finished| {
                assert!(got == [2] || got == [1, 2] && !finished, "{got:?}");
                if got == [2] { "all but the one taken" } else { "all items, once" }
            },
        ),
        case(
            "put around an item that another holds",
            |scene| {
                let q = Queue::create(&scene.s, "queue", &options()).unwrap();
                q.put(&[1; SPILLED]).unwrap();
                scene.holder(|| {
                    let q: &'static Queue = Box::leak(Box::new(q));
                    Box::new(q.recv(Deadline::Now).unwrap())
                });
                (2..5).for_each(|fill| scene.queue().put(&[fill; 8]).unwrap());
            },
            |scene| {
                let q = scene.queue();
                Box::new(move || {
                    assert_eq!(q.get().unwrap(), [2; 8]);
                    q.put(&[5; 8]).unwrap();
                })
            },
            |scene, finished| {
                let got = drain(&scene.queue());
                let complete: &[u8] = &[3, 4, 5];
                let fits = got == complete || !finished && [&[2, 3, 4][..], &[3, 4]].contains(&&got[..]);
                assert!(fits, "{got:?}");
                scene.saw(match got.len() {
                    2 => "all but the one taken",
                    _ if got == complete => "all but the one taken, the new one once",
                    _ => "all items, once",
                });
                scene.kill_helpers();
                scene.s.recover();
                assert_eq!(drain(&scene.queue()), [1]);
                refill(&scene.queue());
            },
        ),
        on_queue(
            "put an item for which the segment grows".into(),
            &QueueOptions::new(2),
            8,
            &[1],
            |q| q.put(&[7; 300_000]).unwrap(),
            |got, finished| {
                assert!(got == [1, 7] || got == [1] && !finished, "{got:?}");
                if got == [1] { "what was there before" } else { "the new item, once" }
            },
        ),
        on_queue(
            "wait in vain to put".into(),
            &QueueOptions::new(2),
            SPILLED,
            &[1, 2],
            |q| assert_eq!(kind(q.put_until(&[7; SPILLED], soon())), ErrorKind::TimedOut),
            |got, _| {
                assert_eq!(got, [1, 2]);
                "what was there before"
            },
        ),
        on_queue(
            "wait in vain to get".into(),
            &QueueOptions::new(2),
            8,
            &[],
            |q| assert_eq!(kind(q.get_until(soon())), ErrorKind::TimedOut),
            |got, _| {
                assert!(got.is_empty());
                "what was there before"
            },
        ),
        on_queue(
            "wait in vain for any of several".into(),
            &QueueOptions::new(2),
            8,
            &[],
            |q| assert_eq!(kind(wait_any(&[q.readable(), q.readable()], soon())), ErrorKind::TimedOut),
            |got, _| {
                assert!(got.is_empty());
                "what was there before"
            },
        ),
        case(
            "be done with what another joins",
            |scene| {
                let q = Queue::create(&scene.s, "queue", &options().joinable(true)).unwrap();
                q.put(&[1; SPILLED]).unwrap();
                scene.sleeper(|| q.join(in_time()).is_ok());
            },
            |scene| {
                let q = scene.queue();
                Box::new(move || {
                    q.get().unwrap();
                    q.task_done().unwrap();
                })
            },
            |scene, finished| {
                let q = scene.queue();
                // What was not taken, or not for good, is left to do.
                if !finished && let Ok(item) = q.get_until(Deadline::after(Duration::from_millis(50))) {
                    assert_eq!(item, [1; SPILLED]);
                    q.task_done().unwrap();
                }
                scene.join_helpers();
                refill_joinable(&q);
                scene.saw("who joins goes on, when what is there again is done");
            },
        ),
        case(
            "shut a queue down",
            |scene| {
                let q = Queue::create(&scene.s, "queue", &options()).unwrap();
                q.put(&[1; SPILLED]).unwrap();
            },
            |scene| {
                let q = scene.queue();
                Box::new(move || q.shutdown())
            },
            |scene, finished| {
                let q = scene.queue();
                assert!(q.is_shutdown() || !finished);
                scene.saw(if q.is_shutdown() { "shut down, what was there can be got" } else { "as before" });
                assert_eq!(drain(&q), [1]);
                if q.is_shutdown() {
                    assert_eq!((kind(q.put(b"x")), kind(q.get())), (ErrorKind::Closed, ErrorKind::Closed));
                } else {
                    refill(&q);
                }
            },
        ),
        case(
            "get from a joinable queue and be done",
            |scene| drop(make(&scene.s, "joinable", "queue")),
            |scene| {
                let q = scene.queue();
                Box::new(move || {
                    assert_eq!(q.get().unwrap(), [1; SPILLED]);
                    q.task_done().unwrap();
                    q.join(Deadline::Now).unwrap();
                })
            },
            |scene, finished| {
                // What the dead one had taken and not done is nobody's any more.
                let again = finish(&scene.queue());
                assert!(!again || !finished);
                scene.saw(if again { "the item, once more" } else { "done" });
            },
        ),
        waiting(
            "put what another waits for",
            options(),
            0,
            |q| q.recv(in_time()).is_ok_and(|item| item[..] == [7; SPILLED]),
            |q| q.put(&[7; SPILLED]).unwrap(),
            |q| q.put(&[7; SPILLED]).unwrap(),
        ),
        waiting(
            "put several of what another waits for",
            options(),
            0,
            |q| (0..2).all(|_| q.recv(in_time()).is_ok_and(|item| item[..] == [7; 8])),
            |q| assert_eq!(q.put_many([[7; 8]; 3]).unwrap(), 3),
            |q| assert_eq!(q.put_many([[7; 8]; 2]).unwrap(), 2),
        ),
        waiting(
            "get what another has no room beside",
            QueueOptions::new(1),
            1,
            |q| q.put_until(b"x", in_time()).is_ok(),
            |q| drop(q.get().unwrap()),
            |q| drop(q.get_until(in_time()).unwrap()),
        ),
        waiting(
            "shut down a queue that another waits for",
            options(),
            0,
            |q| kind(q.recv(in_time()).map(drop)) == ErrorKind::Closed,
            |q| q.shutdown(),
            |q| q.shutdown(),
        ),
    ]
}
