//! Creating, opening, removing and closing objects of each kind, and where the directory and the lists grow.

use std::io::Read;
use std::os::unix::net::UnixStream;

use sharecell::*;

use crate::objects::{KINDS, SPILLED, check, exists, make, open, options};
use crate::scene::{Case, Operation, Scene, case, reap_orphans};

pub fn cases() -> Vec<Case> {
    // These differ in size and in what they own; the others differ from them in how they are created.
    let all = |kind| ["value", "large", "queue", "pipe"].contains(&kind);
    let mut cases: Vec<Case> = KINDS
        .iter()
        .flat_map(|kind| objects(kind).into_iter().take(if all(*kind) { usize::MAX } else { 2 }))
        .collect();
    cases.extend(growth());
    cases
}

/// Creating, opening and removing an object of a kind.
fn objects(kind: &'static str) -> Vec<Case> {
    let made = move |scene: &Scene| drop(make(&scene.s, kind, "it"));
    let made_or_not = move |scene: &Scene, must: Option<bool>| {
        let is = exists(&scene.s, "it");
        scene.saw(if is { "it is there, whole" } else { "it is not there" });
        assert!(must.is_none_or(|must| must == is), "{is} {must:?}");
        if is {
            check(&scene.s, kind, "it", false);
        } else {
            drop(make(&scene.s, kind, "it"));
            check(&scene.s, kind, "it", true);
        }
    };
    vec![
        case(
            format!("create a {kind}"),
            |_| {},
            move |scene| {
                let s = scene.s.clone();
                Box::new(move || drop(make(&s, kind, "it")))
            },
            move |scene, finished| made_or_not(scene, finished.then_some(true)),
        ),
        case(
            format!("remove and close a {kind}"),
            made,
            move |scene| {
                let (s, open) = (scene.s.clone(), open(&scene.s, kind, "it"));
                Box::new(move || {
                    s.remove("it").unwrap();
                    open();
                })
            },
            move |scene, finished| made_or_not(scene, finished.then_some(false)),
        ),
        case(
            format!("open a {kind}"),
            made,
            move |scene| {
                let s = scene.s.clone();
                Box::new(move || drop(open(&s, kind, "it")))
            },
            move |scene, _| {
                check(&scene.s, kind, "it", true);
                scene.saw("as before");
            },
        ),
        case(
            format!("remove a {kind}"),
            made,
            move |scene| {
                let s = scene.s.clone();
                Box::new(move || s.remove("it").unwrap())
            },
            move |scene, finished| made_or_not(scene, finished.then_some(false)),
        ),
        case(
            format!("close a {kind} that another has removed"),
            move |scene| {
                made(scene);
                scene.holder(|| Box::new(open(&scene.s, kind, "it")));
            },
            move |scene| {
                let open = open(&scene.s, kind, "it");
                scene.s.remove("it").unwrap();
                open
            },
            move |scene, _| {
                scene.kill_helpers();
                scene.s.recover();
                made_or_not(scene, Some(false));
            },
        ),
    ]
}

/// The directory and the lists beyond their first parts, and beside others who died.
fn growth() -> Vec<Case> {
    let create = |name: &'static str| {
        move |scene: &Scene| -> Operation {
            let s = scene.s.clone();
            Box::new(move || drop(make(&s, "value", name)))
        }
    };
    let there = |scene: &Scene, finished: bool| {
        assert!(!finished || exists(&scene.s, "it"));
        scene.saw(if exists(&scene.s, "it") { "it is there, whole" } else { "it is not there" });
        if exists(&scene.s, "it") {
            check(&scene.s, "value", "it", true);
        }
    };
    vec![
        case(
            "create an object beside a dead one who had a removed one open",
            |scene| {
                drop(make(&scene.s, "queue", "removed"));
                scene.holder(|| Box::new(open(&scene.s, "queue", "removed")));
                scene.s.remove("removed").unwrap();
                scene.kill_helpers();
            },
            create("it"),
            there,
        ),
        case(
            "create the object for which the directory grows",
            |scene| (0..512).for_each(|i| drop(make(&scene.s, "value", &format!("v{i}")))),
            create("it"),
            move |scene, finished| {
                there(scene, finished);
                (0..512).for_each(|i| check(&scene.s, "value", &format!("v{i}"), true));
            },
        ),
        case(
            "open more objects than a slot lists",
            |scene| (0..100).for_each(|i| drop(make(&scene.s, "value", &format!("v{i}")))),
            |scene| {
                let s = scene.s.clone();
                let first: Vec<_> = (0..95).map(|i| open(&s, "value", &format!("v{i}"))).collect();
                Box::new(move || {
                    let rest: Vec<_> = (95..100).map(|i| open(&s, "value", &format!("v{i}"))).collect();
                    std::mem::forget((first, rest));
                })
            },
            |scene, _| {
                (0..100).for_each(|i| check(&scene.s, "value", &format!("v{i}"), true));
                scene.saw("as before");
            },
        ),
        case(
            "open or create",
            |_| {},
            |scene| {
                let s = scene.s.clone();
                Box::new(move || drop(Value::open_or_create(&s, "it", 1i64).unwrap()))
            },
            there,
        ),
        case(
            "open or create an object while another does",
            |_| {},
            |scene| {
                let s = scene.s.clone();
                let (go, mut start) = UnixStream::pair().unwrap();
                let mut go = Some(go);
                scene.orphan(|| {
                    drop(go.take());
                    let _ = start.read(&mut [0]);
                    Queue::open_or_create(&s, "it", &options()).is_ok_and(|q| q.put(&[1; SPILLED]).is_ok())
                });
                Box::new(move || {
                    drop(go);
                    drop(Queue::open_or_create(&s, "it", &options()).unwrap());
                })
            },
            |scene, _| {
                reap_orphans();
                scene.s.recover();
                check(&scene.s, "queue", "it", true);
                scene.saw("the other has got it, whoever was first");
            },
        ),
        case(
            "create what is there",
            |scene| drop(make(&scene.s, "value", "it")),
            |scene| {
                let s = scene.s.clone();
                Box::new(move || assert!(Value::create(&s, "it", 2i64).is_err()))
            },
            |scene, _| {
                check(&scene.s, "value", "it", true);
                scene.saw("as before");
            },
        ),
    ]
}
