//! The directory and the arena: creation, opening, closing and removal side by side, and what a death in them leaves.

use std::sync::Arc;

use sharecell::{ErrorKind, Event, Lock, Queue, QueueOptions, Segment};

use super::runner::{Model, deadly, model};
use super::scene::{Scene, kind};

pub const MODELS: &[Model] = &[
    model("two create one name", 2, (1, 2), created_by_two),
    deadly("a creator is killed", 2, (0, 1), created_by_two),
    model("an object is opened as it is removed", 2, (2, 3), opened_as_removed),
    deadly("who opens an object is killed, as it is removed", 2, (1, 2), opened_as_removed),
    deadly("who removes an object is killed", 2, (1, 2), removed_by_dead),
    model("two close a removed object", 2, (2, 3), closed_by_two),
    deadly("one of two who close a removed object is killed", 2, (1, 2), closed_by_two),
    model("two need memory", 2, (1, 2), two_grow),
    deadly("one of two who need memory is killed", 2, (0, 1), two_grow),
];

/// A segment in which there were objects before, so that its directory has a table.
fn used(scene: &Scene) -> usize {
    scene.by(1, |s| Event::create(s, "first").unwrap());
    drop(scene.once_by(2, |s| Event::create(s, "gone").unwrap()));
    scene.segment(2).remove("gone").unwrap();
    scene.segment(2).blocks_in_use()
}

fn created_by_two(scene: &Scene) {
    let before = used(scene);
    let [a, b] = [1, 2].map(|p| scene.segment(p));
    scene.victim(1, move || std::mem::forget(Event::open_or_create(&a, "x").unwrap()));
    scene.task(2, move || {
        let event = Event::open_or_create(&b, "x").unwrap();
        assert_eq!(kind(Event::create(&b, "x")), Some(ErrorKind::AlreadyExists));
        std::mem::forget(event);
    });
    scene.run();
    let s = scene.segment(2);
    assert_eq!(s.objects().unwrap().iter().filter(|object| object.name == "x").count(), 1);
    assert_eq!(s.blocks_in_use(), before + 1, "blocks were lost");
}

/// Who opens finds the object, whole and his as long as he has it, or nothing.
fn opened_as_removed(scene: &Scene) {
    let before = used(scene);
    drop(scene.once_by(2, |s| Event::create(s, "x").unwrap()));
    let [a, b] = [1, 2].map(|p| scene.segment(p));
    scene.victim(1, move || match Event::open(&a, "x") {
        Ok(event) => {
            event.set();
            assert!(event.is_set());
        }
        Err(e) => assert_eq!(e.kind(), ErrorKind::NotFound),
    });
    scene.task(2, move || {
        b.remove("x").unwrap();
        // Of the same size: it gets the same block, once nobody uses that.
        let other = Event::create(&b, "y").unwrap();
        assert!(!other.is_set(), "somebody uses the memory that was freed");
        drop(other);
    });
    scene.run();
    let s = scene.segment(2);
    assert_eq!(kind(Event::open(&s, "x")), Some(ErrorKind::NotFound));
    s.remove("y").unwrap();
    assert_eq!(s.blocks_in_use(), before, "blocks were lost");
}

fn removed_by_dead(scene: &Scene) {
    let before = used(scene);
    let own = scene.once_by(2, |s| Event::create(s, "x").unwrap());
    let [a, b] = [1, 2].map(|p| scene.segment(p));
    let remove =
        |s: Segment| move || assert!(matches!(kind(s.remove("x")), None | Some(ErrorKind::NotFound)));
    let (first, second) = (remove(a), remove(b));
    scene.victim(1, first);
    scene.task(2, move || {
        own.set();
        drop(own);
        second();
    });
    scene.run();
    assert_eq!(scene.segment(2).blocks_in_use(), before, "blocks were lost");
}

/// The last one to close it frees it, whoever that is.
fn closed_by_two(scene: &Scene) {
    let before = used(scene);
    let a = scene.once_by(1, |s| Lock::create(s, "x").unwrap());
    let b = scene.once_by(2, |s| Lock::open(s, "x").unwrap());
    scene.segment(2).remove("x").unwrap();
    scene.victim(1, move || drop(a));
    scene.task(2, move || drop(b));
    scene.run();
    assert_eq!(scene.segment(2).blocks_in_use(), before, "blocks were lost");
}

/// Two put items that spill, into memory that is not there yet.
fn two_grow(scene: &Scene) {
    let before = used(scene);
    let make = |s: &Segment, name: &str| Queue::create(s, name, &QueueOptions::new(1).inline(40)).unwrap();
    let (a, b) = (scene.by(1, |s| make(s, "a")), scene.by(2, |s| make(s, "b")));
    let rest = Arc::clone(&b);
    scene.victim(1, move || a.put(&[1; 100]).unwrap());
    scene.task(2, move || b.put(&[2; 100]).unwrap());
    scene.run();
    let left = scene.once_by(2, |s| Queue::open(s, "a").unwrap());
    assert_eq!(rest.get().unwrap(), [2; 100]);
    match left.try_get() {
        Ok(item) => assert_eq!(item, [1; 100]),
        Err(e) => assert!(e.kind() == ErrorKind::WouldBlock && !scene.survived.get()),
    }
    assert_eq!(scene.segment(2).blocks_in_use(), before + 2, "blocks were lost");
}
