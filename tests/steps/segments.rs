//! Creating, opening, leaving and forking, as far as memory is touched.

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
                if named(scene) {
                    drop(Segment::open(&scene.other).unwrap());
                    Segment::unlink(&scene.other).unwrap();
                }
                drop(other(scene, Segment::options()));
                check_other(scene);
            },
        ),
        case(
            "open a segment",
            |scene| drop(other(scene, Segment::options())),
            |scene| {
                let name = scene.other.clone();
                Box::new(move || std::mem::forget(Segment::open(&name).unwrap()))
            },
            |scene, _| check_other(scene),
        ),
        case(
            "detach from a segment",
            |scene| drop(other(scene, Segment::options())),
            |scene| {
                let s = Segment::open(&scene.other).unwrap();
                let value = Value::<i64>::open(&s, "value").unwrap();
                keep((value, s))
            },
            |scene, _| check_other(scene),
        ),
        case(
            "leave an ephemeral segment as the last",
            |_| {},
            move |scene| keep(other(scene, ephemeral())),
            move |scene, finished| {
                assert!(!finished || !named(scene));
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
            },
        ),
        case(
            "fork",
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
            },
        ),
    ]
}
