//! Creating, opening, leaving and forking, as far as memory is touched.

use std::io::Read;
use std::os::unix::net::UnixStream;

use sharecell::*;

use crate::common::*;
use crate::objects::{check, exists, keep, make, open};
use crate::scene::{Case, LIMIT, Scene, case, in_time, reap_orphans};

/// Sets up the other segment, with a value in it.
fn other(scene: &Scene, options: SegmentOptions) -> Segment {
    let s = options.limit(LIMIT).create(&scene.other).unwrap();
    drop(Value::create(&s, "value", 7i64).unwrap());
    s
}

fn check_other(scene: &Scene) {
    let s = Segment::open(&scene.other).unwrap();
    s.recover();
    assert_eq!(Value::<i64>::open(&s, "value").unwrap().get().unwrap(), 7);
}

/// Its name is gone, or it is there as before and can be unlinked again; then a new one can be made.
fn gone_or_whole(scene: &Scene) {
    if Segment::names().unwrap().contains(&scene.other) {
        scene.saw("it is there, to be unlinked again");
        check_other(scene);
        Segment::unlink(&scene.other).unwrap();
    } else {
        scene.saw("it is gone");
    }
    drop(other(scene, Segment::options()));
    check_other(scene);
}

pub fn cases() -> Vec<Case> {
    let ephemeral = || Segment::options().ephemeral(true);
    let named = |scene: &Scene| Segment::names().unwrap().contains(&scene.other);
    vec![
        case(
            "create a segment",
            |_| {},
            |scene| {
                let name = scene.other.clone();
                Box::new(move || std::mem::forget(Segment::options().limit(LIMIT).create(&name).unwrap()))
            },
            move |scene, finished| {
                assert!(named(scene) || !finished);
                scene.saw(if named(scene) { "it is there, whole" } else { "it is not there" });
                if named(scene) {
                    drop(Segment::open(&scene.other).unwrap());
                    Segment::unlink(&scene.other).unwrap();
                }
                drop(other(scene, Segment::options()));
                check_other(scene);
            },
        ),
        case(
            "create a segment that is there",
            |scene| drop(other(scene, Segment::options())),
            |scene| {
                let name = scene.other.clone();
                Box::new(move || assert!(Segment::create(&name).is_err()))
            },
            |scene, _| {
                check_other(scene);
                scene.saw("as before");
            },
        ),
        case(
            "open or create a segment while another does",
            |_| {},
            |scene| {
                let (name, options) = (scene.other.clone(), Segment::options().limit(LIMIT));
                let (go, mut start) = UnixStream::pair().unwrap();
                let mut go = Some(go);
                scene.orphan(|| {
                    drop(go.take());
                    let _ = start.read(&mut [0]);
                    options.open_or_create(&name).is_ok()
                });
                Box::new(move || {
                    drop(go);
                    std::mem::forget(options.open_or_create(&name).unwrap());
                })
            },
            move |scene, _| {
                reap_orphans();
                assert!(named(scene));
                let s = Segment::open(&scene.other).unwrap();
                s.recover();
                drop(Value::create(&s, "value", 7i64).unwrap());
                check_other(scene);
                scene.saw("the other has got it, whoever was first");
            },
        ),
        case(
            "open a segment",
            |scene| drop(other(scene, Segment::options())),
            |scene| {
                let name = scene.other.clone();
                Box::new(move || std::mem::forget(Segment::open(&name).unwrap()))
            },
            |scene, _| {
                check_other(scene);
                scene.saw("as before");
            },
        ),
        case(
            "detach from a segment",
            |scene| drop(other(scene, Segment::options())),
            |scene| {
                let s = Segment::open(&scene.other).unwrap();
                let value = Value::<i64>::open(&s, "value").unwrap();
                keep((value, s))
            },
            |scene, _| {
                check_other(scene);
                scene.saw("as before");
            },
        ),
        case(
            "unlink a segment",
            |scene| {
                let s = other(scene, Segment::options());
                scene.holder(|| Box::new(s));
            },
            |scene| {
                let name = scene.other.clone();
                Box::new(move || Segment::unlink(&name).unwrap())
            },
            move |scene, finished| {
                assert!(!finished || !named(scene));
                scene.kill_helpers();
                gone_or_whole(scene);
            },
        ),
        case(
            "remove segments that the dead have left",
            move |scene| {
                scene.holder(|| Box::new(other(scene, ephemeral())));
                scene.kill_helpers();
            },
            |_| Box::new(|| drop(Segment::gc().unwrap())),
            move |scene, _| {
                scene.saw(if named(scene) { "it is there, until somebody looks" } else { "it is gone" });
                wait_until("it is removed", || Segment::gc().is_ok() && !named(scene));
            },
        ),
        case(
            "leave an ephemeral segment as the last",
            |_| {},
            move |scene| keep(other(scene, ephemeral())),
            move |scene, finished| {
                assert!(!finished || !named(scene));
                scene.saw(if named(scene) { "it is there, until somebody looks" } else { "it is gone" });
                // Others that look at it at this moment would keep it from being removed.
                wait_until("it is removed", || Segment::gc().is_ok() && !named(scene));
            },
        ),
        case(
            "attach where all seats are taken by the dead",
            |scene| {
                let s = other(scene, Segment::options().participants(2));
                drop(make(&s, "queue", "removed"));
                drop(make(&s, "lock", "lock"));
                drop(s);
                for last in [false, true] {
                    scene.holder(|| {
                        let s = Segment::open(&scene.other).unwrap();
                        let (removed, lock) = (open(&s, "queue", "removed"), Lock::open(&s, "lock").unwrap());
                        if last {
                            s.remove("removed").unwrap();
                        } else {
                            assert_eq!(lock.acquire(Deadline::Now).unwrap(), Acquired::Clean);
                        }
                        Box::new((s, removed, lock))
                    });
                }
                scene.kill_helpers();
            },
            |scene| {
                let name = scene.other.clone();
                Box::new(move || std::mem::forget(Segment::open(&name).unwrap()))
            },
            |scene, _| {
                check_other(scene);
                let s = Segment::open(&scene.other).unwrap();
                assert!(!exists(&s, "removed"));
                assert!(Lock::open(&s, "lock").unwrap().lock_until(in_time()).unwrap().owner_died());
                scene.saw("what the dead had held is given back");
            },
        ),
        fork_case("fork, the parent or (by accesses) either"),
        fork_case("fork, the child").in_the_child(),
    ]
}

/// A process with many open objects forks.
fn fork_case(name: &str) -> Case {
    case(
        name,
        |scene| (0..120).for_each(|i| drop(make(&scene.s, "value", &format!("v{i}")))),
        |scene| {
            let s = scene.s.clone();
            let open: Vec<_> = (0..120).map(|i| open(&s, "value", &format!("v{i}"))).collect();
            Box::new(move || {
                // Whoever of the two is killed.
                let code = reap(fork(|| 0));
                assert!(code == 0 || code == -libc::SIGKILL);
                drop(open);
            })
        },
        |scene, _| {
            reap_orphans();
            scene.s.recover();
            (0..120).for_each(|i| check(&scene.s, "value", &format!("v{i}"), true));
            scene.saw("as before");
        },
    )
}
