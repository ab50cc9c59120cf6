//! Waiting for any of several things, and bells: one makes ready what the other waits for, by what it does or
//! by its death.

use sharecell::ErrorKind::*;

use crate::case;
use crate::driver::{Agent, Case, Pair};

/// All that becomes ready by what another one does; nothing of it is, at first.
const ALL: &str = "readable:q set:e free:l free:s readable:p/B";

/// The first makes everything, the second opens it.
fn everything(a: &mut Agent, b: &mut Agent) {
    for (create, open) in [
        ("queue create q 1 0", "queue open q"),
        ("event create e", "event open e"),
        ("lock create l", "lock open l"),
        ("semaphore create s 0", "semaphore open s"),
        ("pipe create p duplex 2", "pipe open p B"),
    ] {
        a.does(create);
        b.does(open);
    }
    a.ask("lock acquire l -1");
}

/// While one waits, the other does something.
#[track_caller]
fn wakes(a: &mut Agent, cause: &str, b: &mut Agent, wait: &str, want: &str) {
    b.tell(wait);
    a.does(cause);
    b.hears(want);
}

/// Puts or sends until there is no room.
#[track_caller]
fn fill(agent: &mut Agent, command: &str) {
    loop {
        agent.tell(command);
        match agent.hear() {
            Ok(_) => {}
            Err((code, _)) if code == WouldBlock.code() => return,
            Err(e) => panic!("{e:?}"),
        }
    }
}

pub fn uses() -> Vec<Case> {
    vec![
        case("any of everything", |Pair { a, b, .. }| {
            everything(a, b);
            b.fails(&format!("wait_any 0 {ALL}"), WouldBlock);
            b.fails(&format!("wait_any 5 {ALL}"), TimedOut);
            let wait = format!("wait_any -1 {ALL}");
            wakes(a, "queue put q -1 01", b, &wait, "readable:q");
            b.says("queue get q -1", "01");
            wakes(a, "event set e", b, &wait, "set:e");
            b.does("event clear e");
            wakes(a, "lock release l", b, &wait, "free:l");
            b.says("lock acquire l 0", "clean");
            wakes(a, "semaphore release s 1", b, &wait, "free:s");
            b.does("semaphore acquire s 0");
            wakes(a, "pipe send p A -1 02", b, &wait, "readable:p/B");
            b.says("pipe recv p B 0", "02");
            b.fails(&format!("wait_any 0 {ALL}"), WouldBlock);
            a.does("event set e");
            a.does("queue put q -1 03");
            // All that are ready are told, and nothing was taken.
            b.says(&wait, "readable:q set:e");
            b.says(&wait, "readable:q set:e");
            b.does("lock release l");
        }),
        case("room in a queue and in a pipe", |Pair { a, b, .. }| {
            everything(a, b);
            fill(b, "queue put q 0 01");
            fill(b, "pipe send p B 0 01");
            let wait = "wait_any -1 writable:q writable:p/B";
            b.fails("wait_any 0 writable:q writable:p/B", WouldBlock);
            b.tell(wait);
            a.ask("queue get q -1");
            b.hears("writable:q");
            fill(b, "queue put q 0 01");
            b.tell(wait);
            a.ask("pipe recv p A -1");
            b.hears("writable:p/B");
        }),
        case("the end of a queue and of a pipe", |Pair { a, b, .. }| {
            everything(a, b);
            wakes(a, "queue shutdown q", b, "wait_any -1 readable:q readable:p/B", "readable:q");
            a.does("pipe close p B");
            wakes(a, "pipe close p A", b, "wait_any -1 set:e readable:p/B", "readable:p/B");
            b.fails("pipe recv p B -1", Closed);
        }),
        case("a bell", |Pair { a, b, .. }| {
            everything(a, b);
            b.says("bell poll 0", "0");
            for (cause, thing) in [
                ("event set e", "set:e"),
                ("lock release l", "free:l"),
                ("semaphore release s 1", "free:s"),
                ("pipe send p A -1 02", "readable:p/B"),
            ] {
                b.does(&format!("bell arm {thing}"));
                b.tell("bell poll -1");
                a.does(cause);
                b.hears("1");
                b.says(&format!("wait_any 0 {thing}"), thing);
                b.does("bell clear");
                // Armed for one thing it rings once, in vain or not.
                b.says("bell poll 0", "0");
                // It rings at once for what is ready.
                b.does(&format!("bell arm {thing}"));
                b.says("bell poll 0", "1");
                b.does("bell clear");
            }
            b.does("event clear e");
            b.says("lock acquire l 0", "clean");
            b.does("semaphore acquire s 0");
            b.says("pipe recv p B 0", "02");
            b.does(&format!("bell arm {ALL}"));
            b.tell("bell poll -1");
            a.does("queue put q -1 01");
            b.hears("1");
            b.says("queue get q 0", "01");
            b.does("lock release l");
        }),
    ]
}

/// What a death makes ready, how it is prepared, and what is left to be seen.
const DEATHS: [(&str, &[&str], &str, &str); 4] = [
    ("free:l", &["lock acquire l -1"], "lock acquire l 0", "died"),
    ("free:s", &["semaphore acquire s -1"], "semaphore acquire s 0", ""),
    ("readable:q", &["queue put q -1 01", "queue recv q -1"], "queue get q 0", "01"),
    ("readable:p/B", &["pipe close p B"], "pipe poll p B 0", "1"),
];

fn what_dies(a: &mut Agent, b: &mut Agent) {
    for (create, open) in [
        ("queue create q 4 0", "queue open q"),
        ("lock create l", "lock open l"),
        ("semaphore create s 1 undo", "semaphore open s"),
        ("pipe create p duplex 2", "pipe open p B"),
        ("event create e", "event open e"),
    ] {
        a.does(create);
        b.does(open);
    }
}

pub fn kills() -> Vec<Case> {
    let waits = DEATHS.iter().map(|(thing, before, after, want)| {
        let check = move |pair: &mut Pair| {
            let Pair { a, b, .. } = pair;
            what_dies(a, b);
            for command in *before {
                a.ask(command);
            }
            b.fails(&format!("wait_any 0 set:e {thing}"), WouldBlock);
            b.tell(&format!("wait_any -1 set:e {thing}"));
            a.kill();
            b.hears(thing);
            b.says(after, want);
        };
        (format!("{thing} by a death"), Box::new(check) as Box<dyn Fn(&mut Pair)>)
    });
    let bells = DEATHS.iter().map(|(thing, before, after, want)| {
        let check = move |pair: &mut Pair| {
            let Pair { a, b, .. } = pair;
            what_dies(a, b);
            for command in *before {
                a.ask(command);
            }
            b.does(&format!("bell arm {thing}"));
            b.tell("bell poll -1");
            a.kill();
            b.hears("1");
            // A bell may ring before the dead one is swept.
            b.says(&format!("wait_any -1 {thing}"), thing);
            b.says(after, want);
        };
        (format!("a bell for {thing} by a death"), Box::new(check) as Box<dyn Fn(&mut Pair)>)
    });
    let others = [
        case("the end of a process", |Pair { a, b, .. }| {
            what_dies(a, b);
            let exited = format!("exited:{}", a.pid());
            b.fails(&format!("wait_any 5 set:e {exited}"), TimedOut);
            b.tell(&format!("wait_any -1 set:e {exited} free:l"));
            // The lock is free, so it is told of that; then of the death.
            b.hears("free:l");
            b.tell(&format!("wait_any -1 set:e {exited}"));
            a.kill();
            b.hears(&exited);
        }),
        case("one that waits for several, and has armed a bell", |Pair { a, b, .. }| {
            what_dies(a, b);
            a.does("bell arm readable:q set:e");
            a.tell("wait_any -1 readable:q set:e readable:p/A");
            a.kill();
            b.does("queue put q -1 01");
            b.says("wait_any -1 readable:q set:e", "readable:q");
            b.says("queue get q -1", "01");
            b.does("event set e");
            b.does("event wait e -1");
        }),
    ];
    waits.chain(bells).chain(others).collect()
}
