//! Pipes: the end-of-file comes when nobody holds the other end any more, after all messages, and for good.

use sharecell::model;
use sharecell::{End, ErrorKind, Pipe, PipeOptions, Segment};

use super::runner::{self, Model, deadly};
use super::scene::{Scene, kind};

pub const MODELS: &[Model] = &[
    runner::model("a pipe is closed by its sender", 2, (1, 3), closed),
    deadly("the sender of a pipe is killed", 2, (1, 2), closed),
    deadly("the receiver of a pipe is killed", 2, (1, 2), left_by_receiver),
    runner::model("a message in parts", 2, (0, 1), in_parts),
    runner::model("an end is opened as the other side sees it gone", 3, (1, 2), opened_late),
];

fn options() -> PipeOptions {
    PipeOptions::new().duplex(false).capacity(1).inline(40)
}

fn open(s: &Segment, end: End) -> Pipe {
    Pipe::open(s, "pipe", end).unwrap()
}

/// The receiving end in process 2, the sending one in process 1 alone.
fn ends(scene: &Scene) -> (Pipe, std::sync::Arc<Pipe>) {
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
