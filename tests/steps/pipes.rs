//! Pipes: whole messages in order, then the end of file.

use sharecell::*;

use crate::objects::{IN_PARTS, SPILLED};
use crate::scene::{Case, Scene, case, in_time, reap_orphans};

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = [8, SPILLED, IN_PARTS].into_iter().flat_map(pipes).collect();
    cases.extend(in_place());
    cases
}

/// All messages up to the end of file, each whole, by the byte that it consists of.
fn received(a: &Pipe, size: usize) -> Vec<u8> {
    let mut got = Vec::new();
    loop {
        match a.recv_until(in_time()) {
            Ok(message) => {
                assert!(message.len() == size && message.iter().all(|byte| *byte == message[0]));
                got.push(message[0]);
            }
            Err(e) if e.kind() == ErrorKind::Closed => return got,
            Err(e) => panic!("{e}"),
        }
    }
}

fn pipes(size: usize) -> Vec<Case> {
    let create = |s: &Segment| Pipe::create(s, "pipe", &PipeOptions::new().capacity(4)).unwrap();
    let end = |scene: &Scene, end| Pipe::open(&scene.s, "pipe", end).unwrap();
    let in_parts = size == IN_PARTS;
    vec![
        case(
            format!("send {size} bytes"),
            move |scene| {
                let (a, b) = create(&scene.s);
                let count = Value::create(&scene.s, "count", 0u64).unwrap();
                scene.holder(|| Box::new(b));
                scene.sleeper(|| {
                    let got = received(&a, size);
                    count.set(got.len() as u64).unwrap();
                    got.ends_with(&[9]) && [7, 9].ends_with(&got)
                });
            },
            move |scene| {
                let (b, message) = (end(scene, End::B), vec![7; size]);
                Box::new(move || b.send(&message).unwrap())
            },
            move |scene, finished| {
                end(scene, End::B).send_until(&vec![9; size], in_time()).unwrap();
                scene.kill_helpers();
                scene.join_helpers();
                let count = Value::<u64>::open(&scene.s, "count").unwrap().get().unwrap();
                assert!(count == 2 || count == 1 && !finished, "{count}");
                scene.saw(if count == 2 {
                    "the message, once"
                } else {
                    "no message, or a part that is dropped"
                });
            },
        ),
        case(
            format!("receive {size} bytes"),
            move |scene| {
                let (a, b) = create(&scene.s);
                scene.holder(|| Box::new(a));
                let send =
                    move || [7, 8].iter().all(|fill| b.send_until(&vec![*fill; size], in_time()).is_ok());
                if in_parts {
                    // It waits until its parts are received.
                    scene.sleeper(send);
                } else {
                    assert!(send());
                }
            },
            move |scene| {
                let (a, message) = (end(scene, End::A), vec![7; size]);
                Box::new(move || assert!(a.recv().unwrap() == message))
            },
            move |scene, finished| {
                // Before who held it is dead: if nobody held that end, there would be nobody to send to.
                let a = end(scene, End::A);
                scene.kill_helpers();
                let got = received(&a, size);
                // A message of which a part was taken is lost with who took it.
                let lost = in_parts && got == [8];
                assert!(lost || got == [8] || got == [7, 8] && !finished, "{got:?}");
                scene.saw(if got == [8] {
                    "the message is gone with who took it"
                } else {
                    "the message, once"
                });
                scene.join_helpers();
            },
        ),
        case(
            format!("send {size} bytes to one who waits, and close"),
            move |scene| drop(create(&scene.s)),
            move |scene| {
                let mut b = Some(end(scene, End::B));
                scene.orphan(|| {
                    drop(b.take());
                    let got = received(&end(scene, End::A), size);
                    got == [7] || got.is_empty()
                });
                let message = vec![7; size];
                Box::new(move || {
                    b.as_ref().unwrap().send(&message).unwrap();
                    drop(b);
                })
            },
            move |scene, _| {
                reap_orphans();
                assert_eq!(received(&end(scene, End::A), size), [0; 0]);
                scene.saw("the end of file, the message before it or not");
            },
        )
        .unaided(),
    ]
}

/// Messages that are written and read where they lie.
fn in_place() -> [Case; 2] {
    let options = || PipeOptions::new().duplex(false).capacity(4);
    let end = |scene: &Scene, end| Pipe::open(&scene.s, "pipe", end).unwrap();
    let create = move |scene: &Scene, messages: u8| {
        let (a, b) = Pipe::create(&scene.s, "pipe", &options()).unwrap();
        let (from, to) = if a.can_send() { (a, b) } else { (b, a) };
        (1..=messages).for_each(|fill| from.send(&[fill; SPILLED]).unwrap());
        scene.holder(|| Box::new((from, to)));
    };
    let either = move |scene: &Scene, sends: bool| {
        let a = end(scene, End::A);
        if a.can_send() == sends { a } else { end(scene, End::B) }
    };
    let rest = move |scene: &Scene| {
        let to = either(scene, false);
        scene.kill_helpers();
        scene.s.recover();
        received(&to, SPILLED)
    };
    [
        case(
            "reserve and commit a message",
            move |scene| create(scene, 0),
            move |scene| {
                let from = either(scene, true);
                Box::new(move || {
                    let mut place = from.reserve(SPILLED, Deadline::Now).unwrap();
                    place.fill(7);
                    place.commit().unwrap();
                })
            },
            move |scene, finished| {
                let got = rest(scene);
                assert!(got == [7] || got.is_empty() && !finished, "{got:?}");
                scene.saw(if got == [7] { "the message, once" } else { "no message" });
            },
        ),
        case(
            "receive a message in place",
            move |scene| create(scene, 2),
            move |scene| {
                let to = either(scene, false);
                Box::new(move || assert_eq!(to.recv_in_place(Deadline::Now).unwrap()[..], [1; SPILLED]))
            },
            move |scene, finished| {
                let got = rest(scene);
                assert!(got == [2] || got == [1, 2] && !finished, "{got:?}");
                scene.saw(if got == [2] {
                    "the message is gone with who took it"
                } else {
                    "the message, once"
                });
            },
        ),
    ]
}
