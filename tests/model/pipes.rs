//! Pipes: the end-of-file comes when nobody holds the other end any more, after all messages, and for good.

use std::sync::Arc;

use sharecell::model::kernel::wait_for_end;
use sharecell::model::{self, keep};
use sharecell::{End, ErrorKind, Pipe, PipeOptions, Queue, QueueOptions, Segment};

use super::runner::{self, Model, deadly};
use super::scene::{Scene, kind};

pub const MODELS: &[Model] = &[
    runner::model("a pipe is closed by its sender", 2, (1, 3), closed),
    deadly("the sender of a pipe is killed", 2, (1, 2), closed),
    deadly("the receiver of a pipe is killed", 2, (1, 2), left_by_receiver),
    runner::model("a message in parts", 2, (0, 1), in_parts),
    deadly("the sender of a message in parts is killed", 3, (0, 0), unfinished),
    runner::model("an end is opened as the other side sees it gone", 3, (1, 2), opened_late),
];

fn options() -> PipeOptions {
    PipeOptions::new().duplex(false).capacity(1).inline(40)
}

fn open(s: &Segment, end: End) -> Pipe {
    Pipe::open(s, "pipe", end).unwrap()
}

/// The receiving end in process 2, the sending one in process 1 alone.
fn ends(scene: &Scene) -> (Pipe, Arc<Pipe>) {
    let receiver = scene.by(2, |s| Pipe::open_or_create(s, "pipe", End::A, &options()).unwrap());
    (scene.once_by(1, |s| open(s, End::B)), receiver)
}

fn closed(scene: &Scene) {
    let (sender, receiver) = ends(scene);
    scene.victim(1, move || {
        sender.send(b"1").unwrap();
        drop(sender);
    });
    let survived = scene.whether_survived(1);
    scene.task(2, move || {
        let first = receiver.recv();
        match &first {
            Ok(message) => assert_eq!(message, b"1"),
            Err(e) => assert!(e.kind() == ErrorKind::Closed && !survived(), "the message was lost"),
        }
        assert_eq!(kind(receiver.recv()), Some(ErrorKind::Closed));
    });
    scene.run();
}

/// A message of two parts arrives whole.
fn in_parts(scene: &Scene) {
    let (sender, receiver) = ends(scene);
    // Longer than what is sent in one block: an eighth of the segment.
    let long = scene.segment(1).limit() as usize / 8 + 1;
    scene.task(1, move || {
        sender.send(&vec![1; long]).unwrap();
        drop(sender);
    });
    scene.task(2, move || assert_eq!(receiver.recv().unwrap(), vec![1; long]));
    scene.run();
}

/// The sender of a message in two parts is killed; it was received whole, or not at all. What is left of it is dropped for
/// the next one, of another sender.
fn unfinished(scene: &Scene) {
    let create = |s: &Segment| Pipe::open_or_create(s, "pipe", End::A, &options().capacity(2)).unwrap();
    let receiver = scene.by(2, create);
    let (sender, other) = (scene.once_by(1, |s| open(s, End::B)), scene.by(3, |s| open(s, End::B)));
    let long = scene.segment(1).limit() as usize / 8 + 1;
    // There is memory for parts: how that grows is another model's business.
    let spare = scene.by(2, |s| Queue::create(s, "spare", &QueueOptions::new(4).inline(40)).unwrap());
    (0..4).for_each(|_| spare.put(&vec![0; long / 2 + 16]).unwrap());
    (0..4).for_each(|_| drop(spare.get().unwrap()));
    let before = scene.segment(2).blocks_in_use();
    scene.victim(1, move || {
        sender.send(&vec![1; long]).unwrap();
        keep(sender);
    });
    scene.task(3, move || {
        wait_for_end(1);
        other.send(&vec![3; long]).unwrap();
    });
    let survived = scene.whether_survived(1);
    scene.task(2, move || {
        let mut message = receiver.recv().unwrap();
        if message[0] == 1 {
            assert_eq!(message, vec![1; long], "not whole");
            message = receiver.recv().unwrap();
        } else {
            assert!(!survived(), "the first message was lost");
        }
        assert_eq!(message, vec![3; long], "not whole");
    });
    scene.run();
    assert_eq!(scene.segment(2).blocks_in_use(), before, "blocks were lost");
}

/// A sender for whose message there is no room is told when the receiver is gone.
fn left_by_receiver(scene: &Scene) {
    let receiver = scene.once_by(1, |s| Pipe::open_or_create(s, "pipe", End::A, &options()).unwrap());
    let sender = scene.by(2, |s| open(s, End::B));
    sender.send(b"1").unwrap();
    scene.victim(1, move || {
        assert_eq!(receiver.recv().unwrap(), b"1");
        drop(receiver);
    });
    // A sender that waits looks now and then whether anybody is left, which takes time.
    model::let_time_pass();
    scene.task(2, move || {
        // The second one fits if the first was received, the third one has no reader.
        while sender.send(b"2").is_ok() {}
        assert_eq!(kind(sender.send(b"3")), Some(ErrorKind::Closed));
    });
    scene.run();
}

/// Somebody opens the sending end while its last holder closes it: either he is told that it is gone, or his message
/// arrives.
fn opened_late(scene: &Scene) {
    let (sender, receiver) = ends(scene);
    let segment = scene.segment(3);
    scene.task(1, move || drop(sender));
    scene.task(2, move || {
        let got = receiver.recv();
        assert!(got.as_ref().is_ok_and(|m| m == b"late") || kind(got) == Some(ErrorKind::Closed));
    });
    scene.task(3, move || match Pipe::open(&segment, "pipe", End::B) {
        Ok(late) => drop(late.send(b"late")),
        Err(e) => assert_eq!(e.kind(), ErrorKind::Closed),
    });
    scene.run();
}
