//! The sweep itself is killed: after one who held something of everything.

use sharecell::*;

use crate::common::*;
use crate::objects::{SPILLED, exists, make, open, refill};
use crate::scene::{Case, Operation, Scene, case, in_time};

pub fn cases() -> Vec<Case> {
    let hold = |scene: &Scene| {
        let s = &scene.s;
        (0..100).for_each(|i| drop(make(s, "value", &format!("v{i}"))));
        for kind in ["lock", "pipe", "wide"] {
            drop(make(s, kind, kind));
        }
        drop(make(s, "queue", "removed"));
        let q = Queue::create(s, "queue", &QueueOptions::new(8)).unwrap();
        (1..4).for_each(|fill| q.put(&[fill; SPILLED]).unwrap());
        scene.holder(|| {
            let mut open: Vec<Operation> = (0..100).map(|i| open(s, "value", &format!("v{i}"))).collect();
            open.extend(
                ["removed", "pipe"]
                    .iter()
                    .zip(["queue", "pipe"])
                    .map(|(name, kind)| self::open(s, kind, name)),
            );
            let lock = Lock::open(s, "lock").unwrap();
            assert_eq!(lock.acquire(Deadline::Now).unwrap(), Acquired::Clean);
            let q: &'static Queue = Box::leak(Box::new(q));
            let items = [0; 2].map(|_| q.recv(Deadline::Now).unwrap());
            let places = [8, SPILLED].map(|len| q.reserve(len, Deadline::Now).unwrap());
            s.remove("removed").unwrap();
            Box::new((open, lock, items, places))
        });
        scene.kill_helpers();
    };
    let swept = |scene: &Scene, _: bool| {
        let s = &scene.s;
        assert!(Lock::open(s, "lock").unwrap().lock_until(in_time()).unwrap().owner_died());
        let q = scene.queue();
        let items: Vec<_> = (0..3).map(|_| q.recv(Deadline::Now).unwrap()).collect();
        let told: Vec<_> = items.iter().map(|item| (item[0], item.deliveries())).collect();
        assert_eq!(told, [(1, 2), (2, 2), (3, 1)]);
        drop(items);
        refill(&q);
        let a = Pipe::open(s, "pipe", End::A).unwrap();
        assert_eq!(a.recv_until(in_time()).unwrap(), [1; SPILLED]);
        assert_eq!(kind(a.recv_until(in_time())), ErrorKind::Closed);
        assert!(!exists(s, "removed"));
        scene.saw("all that the dead had held is given back");
    };
    vec![case(
        "sweep",
        hold,
        |scene| {
            let s = scene.s.clone();
            Box::new(move || assert_eq!(s.recover(), 1))
        },
        swept,
    )]
}
