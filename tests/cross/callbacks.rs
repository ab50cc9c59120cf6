//! What the library calls back: the repair of a lock, the predicate of a condition, the action of a barrier.
//! Each adds 1 to a value, which shows that it ran, once, and before others went on.

use sharecell::ErrorKind::*;

use crate::case;
use crate::driver::{Case, Pair};
use crate::toolbox::{third, until};

/// Both have a lock, a barrier for two, a condition, and the value `v`, which is 0.
fn setting(Pair { a, b, .. }: &mut Pair) {
    for (create, open) in [
        ("lock create o", "lock open o"),
        ("barrier create m 2", "barrier open m"),
        ("condition create c", "condition open c"),
        ("value create v i 00000000", "value open v i"),
    ] {
        a.does(create);
        b.does(open);
    }
}

/// Another process has the place of the first one.
fn replace(pair: &mut Pair) {
    pair.replace_a();
    for open in ["lock open o", "barrier open m", "condition open c", "value open v i"] {
        pair.a.does(open);
    }
}

pub fn uses() -> Vec<Case> {
    vec![
        case("nothing to repair", |pair| {
            setting(pair);
            let Pair { a, b, .. } = pair;
            a.does("lock repair o -1 works v");
            b.fails("lock repair o 0 works v", WouldBlock);
            b.fails("lock repair o 5 works v", TimedOut);
            b.tell("lock repair o -1 works v");
            a.does("lock release o");
            b.hears("");
            b.says("value get v", "00000000");
            b.does("lock poison o");
            a.says("lock is_poisoned o", "1");
            a.fails("lock repair o -1 works v", Poisoned);
            a.says("lock clear_poison o", "1");
            b.says("lock is_poisoned o", "0");
        }),
        case("a predicate", |pair| {
            setting(pair);
            let Pair { a, b, .. } = pair;
            b.fails("condition wait_for c -1 v 03000000", NotHeld);
            b.says("condition acquire c -1", "clean");
            b.says("condition wait_for c 0 v 03000000", "0");
            b.says("condition wait_for c 5 v 03000000", "0");
            b.says("condition wait_for c 0 v 00000000", "1");
            b.tell("condition wait_for c -1 v 03000000");
            for _ in 0..3 {
                a.says("condition acquire c -1", "clean");
                a.ask("value add v 1");
                a.does("condition notify c 1");
                a.does("condition release c");
            }
            b.hears("1");
            b.does("condition release c");
        }),
        case("an action", |pair| {
            setting(pair);
            let Pair { a, b, .. } = pair;
            for round in 1..=4 {
                a.tell("barrier wait_with m -1 works v");
                b.tell("barrier wait_with m -1 works v");
                let mut numbers = [a.hear_ok(), b.hear_ok()];
                numbers.sort();
                assert_eq!(numbers, ["0", "1"]);
                b.says("value get v", &format!("{round:02}000000"));
            }
        }),
        case("an action that fails", |pair| {
            setting(pair);
            let Pair { a, b, .. } = pair;
            a.tell("barrier wait_with m -1 fails v");
            until(b, "barrier n_waiting m", "1");
            b.tell("barrier wait_with m -1 fails v");
            b.hear_error(Broken);
            a.hear_error(Broken);
            a.says("value get v", "01000000");
            b.does("barrier reset m");
            a.fails("barrier wait_with m 5 works v", Broken);
            a.says("value get v", "01000000");
        }),
    ]
}

pub fn kills() -> Vec<Case> {
    vec![
        case("what a dead one has left is repaired", |pair| {
            setting(pair);
            let Pair { a, b, .. } = pair;
            a.says("lock acquire o -1", "clean");
            b.tell("lock repair o -1 works v");
            a.kill();
            b.hears("");
            b.says("value get v", "01000000");
            b.does("lock release o");
            b.says("lock acquire o -1", "clean");
            b.does("lock release o");
        }),
        case("the repair, half way", |pair| {
            setting(pair);
            pair.a.says("lock acquire o -1", "clean");
            pair.a.kill();
            replace(pair);
            pair.a.tell("lock repair o -1 stays v");
            until(&mut pair.b, "value get v", "01000000");
            pair.b.fails("lock acquire o 0", WouldBlock);
            pair.a.kill();
            pair.b.does("lock repair o -1 works v");
            pair.b.says("value get v", "02000000");
            pair.b.does("lock release o");
            pair.b.says("lock acquire o -1", "clean");
            pair.b.does("lock release o");
        }),
        case("what cannot be repaired", |pair| {
            setting(pair);
            pair.a.says("lock acquire o -1", "clean");
            pair.a.kill();
            replace(pair);
            let Pair { a, b, .. } = pair;
            b.fails("lock repair o -1 fails v", Poisoned);
            b.says("lock is_poisoned o", "1");
            a.fails("lock acquire o -1", Poisoned);
            a.fails("lock repair o -1 works v", Poisoned);
            a.says("value get v", "01000000");
            // Who made it poisoned can be killed; that stays so.
            a.says("lock clear_poison o", "1");
            a.says("lock acquire o -1", "clean");
            a.does("lock poison o");
            a.kill();
            b.fails("lock acquire o -1", Poisoned);
            b.says("lock clear_poison o", "1");
            b.says("lock acquire o -1", "clean");
            b.does("lock release o");
        }),
        case("who has made a predicate true, with the lock", |pair| {
            setting(pair);
            let Pair { a, b, .. } = pair;
            b.says("condition acquire c -1", "clean");
            b.tell("condition wait_for c -1 v 01000000");
            a.says("condition acquire c -1", "clean");
            a.ask("value add v 1");
            a.does("condition notify c 1");
            a.kill();
            b.hears("died");
            b.does("condition release c");
        }),
        case("who waits for a predicate", |pair| {
            setting(pair);
            pair.a.says("condition acquire c -1", "clean");
            pair.a.tell("condition wait_for c -1 v 01000000");
            let Pair { a, b, .. } = pair;
            b.says("condition acquire c -1", "clean");
            a.kill();
            b.ask("value add v 1");
            b.does("condition notify c 1");
            b.says("condition wait_for c -1 v 01000000", "1");
            b.does("condition release c");
        }),
        case("an action, half way", |pair| {
            setting(pair);
            let mut other = third(pair);
            other.does("value open v i");
            let Pair { a, b, .. } = pair;
            b.tell("barrier wait_with m -1 works v");
            until(a, "barrier n_waiting m", "1");
            a.tell("barrier wait_with m -1 stays v");
            until(&mut other, "value get v", "01000000");
            a.kill();
            b.hear_error(Broken);
            replace(pair);
            let Pair { a, b, .. } = pair;
            a.fails("barrier wait_with m -1 works v", Broken);
            b.does("barrier reset m");
            a.tell("barrier wait_with m -1 works v");
            b.ask("barrier wait_with m -1 works v");
            a.hear_ok();
            other.says("value get v", "02000000");
            other.does("reset");
        }),
    ]
}
