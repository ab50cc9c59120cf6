//! Values and arrays: what is there afterwards is the old or the new.

use sharecell::*;

use crate::objects::Wide;
use crate::scene::{Case, Scene, case};

pub fn cases() -> Vec<Case> {
    /// From 1 to 5, by an operation.
    fn one<T: Element + PartialEq + std::fmt::Debug>(
        name: &str,
        [old, new]: [T; 2],
        change: fn(&Value<T>, [T; 2]),
    ) -> Case {
        case(
            format!("{name} a value of {} bytes", size_of::<T>()),
            move |scene| drop(Value::create(&scene.s, "it", old).unwrap()),
            move |scene| {
                let value = Value::open(&scene.s, "it").unwrap();
                Box::new(move || change(&value, [old, new]))
            },
            move |scene, finished| {
                let value = Value::<T>::open(&scene.s, "it").unwrap();
                let now = value.get().unwrap();
                assert!(now == new || now == old && !finished, "{now:?}");
                scene.saw(if now == new { "the new value" } else { "the old value" });
                // It can be written, twice, so that both copies of a wide one are.
                for (next, before) in [(old, now), (new, old), (old, new)] {
                    assert_eq!(value.exchange(next).unwrap(), before);
                }
                assert_eq!(value.get().unwrap(), old);
            },
        )
    }
    fn all<T: Element + PartialEq + std::fmt::Debug>(pair: [T; 2]) -> Vec<Case> {
        vec![
            one("set", pair, |v, [_, new]| v.set(new).unwrap()),
            one("update", pair, |v, [old, new]| assert_eq!(v.update(|_| new).unwrap(), old)),
            one("exchange", pair, |v, [old, new]| assert_eq!(v.exchange(new).unwrap(), old)),
            one("compare", pair, |v, [old, new]| assert_eq!(v.compare_exchange(old, new).unwrap(), Ok(old))),
        ]
    }
    let mut cases = all([1u8, 5]);
    cases.extend(all([1u64, 5]));
    cases.extend(all([Wide([1; 5]), Wide([5; 5])]));
    cases.push(one("add to", [1i32, 5], |v, [old, new]| assert_eq!(v.add(new - old).unwrap(), old)));
    cases.push(case(
        "get a value of 40 bytes",
        |scene| drop(Value::create(&scene.s, "it", Wide([1; 5])).unwrap()),
        |scene| {
            let value = Value::<Wide>::open(&scene.s, "it").unwrap();
            Box::new(move || assert!(value.get().unwrap() == Wide([1; 5])))
        },
        |scene, _| {
            let value = Value::<Wide>::open(&scene.s, "it").unwrap();
            assert!(value.exchange(Wide([2; 5])).unwrap() == Wide([1; 5]));
            scene.saw("as before");
        },
    ));
    let array = |scene: &Scene| Array::<u32>::open(&scene.s, "it").unwrap();
    type Write = fn(&Array<u32>);
    let write: [(&str, Write); 3] = [
        ("set an element", |a| a.set(2, 5).unwrap()),
        ("write a slice", |a| a.write(1, &[5; 4]).unwrap()),
        ("fill an array", |a| a.fill(5).unwrap()),
    ];
    cases.extend(write.map(|(name, write)| {
        case(
            name,
            |scene| Array::<u32>::create(&scene.s, "it", 6).unwrap().fill(1).unwrap(),
            move |scene| {
                let array = array(scene);
                Box::new(move || write(&array))
            },
            move |scene, finished| {
                let now = array(scene).to_vec().unwrap();
                assert!(now.iter().all(|x| [1, 5].contains(x)) && (now.contains(&5) || !finished), "{now:?}");
                scene.saw(if now.contains(&5) {
                    "new elements, maybe beside old ones"
                } else {
                    "old elements"
                });
            },
        )
    }));
    cases
}
