//! Queues of plain data, whose puts and gets are compiled into their callers; and others that take a message where it is to
//! be, or wait for it first.

use sharecell::*;

use crate::common::*;
use crate::objects::SPILLED;
use crate::scene::{Case, Scene, case, in_time};

type Numbers = TypedQueue<u64>;

const CAPACITY: u64 = 4;

pub fn queues() -> Vec<Case> {
    vec![
        putting("put a value", |q| q.put(7).unwrap(), &[7]),
        putting("put two values", |q| assert_eq!(q.put_many(&[7, 8]).unwrap(), 2), &[7, 8]),
        getting("get a value", |q| assert_eq!(q.get().unwrap(), 1), 1),
        getting("get two values", |q| assert_eq!(q.get_many(2).unwrap(), [1, 2]), 2),
        getting("wait for any, and get a value", wait_and_get, 1),
    ]
}

fn wait_and_get(q: &Numbers) {
    let ready = wait_any(&[q.as_bytes().readable()], Deadline::Never).unwrap();
    assert_eq!((ready.as_slice(), q.try_get().unwrap()), (&[0][..], 1));
}

fn open(scene: &Scene) -> Numbers {
    Numbers::open(&scene.s, "queue").unwrap()
}

/// Not at the first lap, so that each cell has been used.
fn create(scene: &Scene, before: &[u64]) {
    let q = Numbers::create(&scene.s, "queue", CAPACITY).unwrap();
    for n in 0..=CAPACITY {
        q.put(n).unwrap();
        q.get().unwrap();
    }
    before.iter().for_each(|n| q.put(*n).unwrap());
}

/// All that can be got; then it takes as many values as it should.
fn drain_and_refill(q: &Numbers) -> Vec<u64> {
    let drain = || std::iter::from_fn(|| q.try_get().ok()).collect();
    let got = drain();
    let all: Vec<u64> = (100..100 + CAPACITY).collect();
    assert_eq!(q.put_many_until(&all, Deadline::Now).unwrap(), all.len());
    assert_eq!(kind(q.try_put(0)), ErrorKind::WouldBlock);
    let again: Vec<u64> = drain();
    assert_eq!(again, all);
    got
}

fn putting(name: &str, put: fn(&Numbers), new: &'static [u64]) -> Case {
    case(
        format!("{name} into a queue of a type"),
        |scene| create(scene, &[1, 2]),
        move |scene| {
            let q = open(scene);
            Box::new(move || put(&q))
        },
        move |scene, finished| {
            let got = drain_and_refill(&open(scene));
            let put = got.strip_prefix(&[1, 2]).expect("what was there, in order");
            assert!(new.starts_with(put) && (put == new || !finished), "lost or doubled: {got:?}");
            scene.saw(match put.len() {
                0 => "what was there before",
                1 => "the new item, once",
                _ => "both new items, once",
            });
        },
    )
}

fn getting(name: &str, get: fn(&Numbers), taken: usize) -> Case {
    case(
        format!("{name} from a queue of a type"),
        |scene| create(scene, &[1, 2, 3]),
        move |scene| {
            let q = open(scene);
            Box::new(move || get(&q))
        },
        move |scene, finished| {
            let got = drain_and_refill(&open(scene));
            assert!([1, 2, 3].ends_with(&got), "lost, doubled or overtaken: {got:?}");
            let gone = 3 - got.len();
            assert!(gone == taken || gone < taken && !finished, "{got:?}");
            scene.saw(["all items, once", "all but the one taken", "all but the two taken"][gone]);
        },
    )
}

/// A message that is received into a buffer of the receiver's, after it was seen to be there.
pub fn pipes() -> Vec<Case> {
    [8, SPILLED].map(received).into()
}

fn received(size: usize) -> Case {
    let end = |scene: &Scene, end| Pipe::open(&scene.s, "pipe", end).unwrap();
    case(
        format!("look for {size} bytes and receive them into a buffer"),
        move |scene| {
            let (a, b) = Pipe::create(&scene.s, "pipe", &PipeOptions::new().capacity(4)).unwrap();
            [7, 8].iter().for_each(|fill| b.send(&vec![*fill; size]).unwrap());
            scene.holder(|| Box::new((a, b)));
        },
        move |scene| {
            let (a, mut buffer) = (end(scene, End::A), vec![0; size]);
            Box::new(move || {
                assert!(a.poll(Deadline::Never).unwrap());
                assert_eq!(a.recv_into(&mut buffer, Deadline::Now).unwrap(), size);
                assert!(buffer.iter().all(|byte| *byte == 7));
            })
        },
        move |scene, finished| {
            let (a, b) = (end(scene, End::A), end(scene, End::B));
            scene.kill_helpers();
            scene.s.recover();
            let got: Vec<Vec<u8>> = std::iter::from_fn(|| a.try_recv().ok()).collect();
            assert!(got.iter().all(|message| message.len() == size), "torn: {got:?}");
            let fills: Vec<u8> = got.iter().map(|message| message[0]).collect();
            assert!(fills == [8] || fills == [7, 8] && !finished, "{fills:?}");
            scene.saw(if fills == [8] {
                "the message is gone with who took it"
            } else {
                "the message, once"
            });
            b.send_until(b"x", in_time()).unwrap();
            assert_eq!(a.recv_until(in_time()).unwrap(), b"x");
        },
    )
}
