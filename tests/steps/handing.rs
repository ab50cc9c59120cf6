//! Segments without a name, handed on, and over memory that is there already.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use sharecell::*;

use crate::common::*;
use crate::scene::{Case, GIVEN, LIMIT, case, in_time, reap_orphans};

pub fn cases() -> Vec<Case> {
    vec![
        anonymous(),
        send(),
        receive(),
        inherit("the parent"),
        inherit("the child").in_the_child(),
        over(),
        attach_over(),
    ]
}

fn create() -> Segment {
    let s = Segment::options().limit(LIMIT).participants(8).create_anonymous().unwrap();
    drop((Value::create(&s, "value", 7i64).unwrap(), Lock::create(&s, "lock").unwrap()));
    s
}

/// The value is there, and the lock can be had.
fn is_whole(s: &Segment) -> bool {
    Value::<i64>::open(s, "value").is_ok_and(|value| value.get() == Ok(7))
        && Lock::open(s, "lock").is_ok_and(|lock| lock.lock_until(in_time()).is_ok())
}

fn anonymous() -> Case {
    case(
        "create an anonymous segment",
        |_| {},
        |_| Box::new(|| std::mem::forget(create())),
        |scene, _| scene.saw("nothing: the kernel frees it"),
    )
}

fn send() -> Case {
    case(
        "hand a segment on over a socket",
        |_| {},
        |scene| {
            let (a, b) = UnixStream::pair().unwrap();
            let mut ours = Some(a);
            scene.orphan(|| {
                drop(ours.take());
                match Segment::receive_over(b.as_fd()) {
                    Ok(s) => is_whole(&s),
                    Err(e) => e.kind() == ErrorKind::Closed,
                }
            });
            let s = create();
            Box::new(move || s.send_over(ours.as_ref().unwrap().as_fd()).unwrap())
        },
        |scene, _| {
            reap_orphans();
            scene.saw("the receiver has all of it, or is told that nothing comes");
        },
    )
    .unaided()
}

fn receive() -> Case {
    case(
        "receive a segment over a socket",
        |scene| {
            let (a, b) = UnixStream::pair().unwrap();
            scene.holder(|| {
                let s = create();
                (0..2).for_each(|_| s.send_over(a.as_fd()).unwrap());
                Box::new((s, a))
            });
            *scene.socket.borrow_mut() = Some(b);
        },
        |scene| {
            let socket = scene.socket.borrow().as_ref().unwrap().try_clone().unwrap();
            Box::new(move || {
                let s = Segment::receive_over(socket.as_fd()).unwrap();
                assert!(is_whole(&s));
            })
        },
        |scene, _| {
            let s = Segment::receive_over(scene.socket.take().unwrap().as_fd()).unwrap();
            s.recover();
            assert!(is_whole(&s));
            assert_eq!(s.participants().len(), 2, "its creator and this process");
            scene.kill_helpers();
            scene.saw("who receives after it has all of it");
        },
    )
}

fn inherit(who: &str) -> Case {
    case(
        format!("inherit an anonymous segment by a fork, {who}"),
        |scene| *scene.anonymous.borrow_mut() = Some(create()),
        |scene| {
            let s = scene.anonymous.borrow().clone().unwrap();
            Box::new(move || {
                let code = reap(fork(|| i32::from(!is_whole(&s))));
                assert!(code == 0 || code == -libc::SIGKILL);
            })
        },
        |scene, _| {
            reap_orphans();
            let s = scene.anonymous.take().unwrap();
            s.recover();
            assert!(is_whole(&s));
            assert_eq!(s.participants().len(), 1);
            scene.saw("as before");
        },
    )
}

fn create_over(name: &str, memory: *mut u8) -> Result<Segment> {
    // SAFETY: the mapping is shared, stays as long as the scene, and only this library uses it.
    unsafe { Segment::options().participants(8).create_over(name, memory, GIVEN) }
}

fn open_over(name: &str, memory: *mut u8) -> Result<Segment> {
    // SAFETY: as above.
    unsafe { Segment::options().open_over(name, memory, GIVEN) }
}

fn over() -> Case {
    case(
        "create a segment over given memory",
        |scene| assert!(!scene.given().is_null()),
        |scene| {
            let (name, memory) = (scene.other.clone(), scene.given());
            Box::new(move || std::mem::forget(create_over(&name, memory).unwrap()))
        },
        |scene, finished| {
            let s = match create_over(&scene.other, scene.given()) {
                Ok(s) => {
                    assert!(!finished);
                    scene.saw("none, or one that was not finished: it can be made");
                    s
                }
                Err(e) => {
                    assert_eq!(e.kind(), ErrorKind::AlreadyExists, "{e}");
                    scene.saw("it is there, whole");
                    open_over(&scene.other, scene.given()).unwrap()
                }
            };
            s.recover();
            drop(Value::create(&s, "value", 7i64).unwrap());
            assert_eq!(s.participants().len(), 1);
            drop(s);
            Segment::unlink(&scene.other).unwrap();
        },
    )
}

fn attach_over() -> Case {
    case(
        "open and leave a segment over given memory",
        |scene| {
            let s = create_over(&scene.other, scene.given()).unwrap();
            drop((Value::create(&s, "value", 7i64).unwrap(), Lock::create(&s, "lock").unwrap()));
        },
        |scene| {
            let (name, memory) = (scene.other.clone(), scene.given());
            Box::new(move || drop(open_over(&name, memory).unwrap()))
        },
        |scene, _| {
            let s = open_over(&scene.other, scene.given()).unwrap();
            s.recover();
            assert!(is_whole(&s));
            assert_eq!(s.participants().len(), 1);
            drop(s);
            Segment::unlink(&scene.other).unwrap();
            scene.saw("as before");
        },
    )
}
