//! One is killed, by SIGKILL and wherever it is; the other goes on. The first stays a zombie meanwhile.

use sharecell::ErrorKind::*;

use crate::case;
use crate::driver::{Agent, Case, Pair};

/// The owner of a lock is killed: whoever takes it next is told, and then it is as good as new.
fn lock_is_taken_over(a: &mut Agent, b: &mut Agent, [acquire, acquire_now, release]: [&str; 3]) {
    a.says(acquire, "clean");
    b.fails(acquire_now, WouldBlock);
    a.kill();
    b.says(acquire, "died");
    b.does(release);
    b.says(acquire_now, "clean");
    b.does(release);
}

/// The same while the other waits for it.
fn lock_is_handed_on(a: &mut Agent, b: &mut Agent, [acquire, _, release]: [&str; 3]) {
    a.says(acquire, "clean");
    b.tell(acquire);
    a.kill();
    b.hears("died");
    b.does(release);
    b.says(acquire, "clean");
    b.does(release);
}

const LOCK: [&str; 3] = ["lock acquire o -1", "lock acquire o 0", "lock release o"];
const VALUE: [&str; 3] = ["value lock o -1", "value lock o 0", "value unlock o"];
const ARRAY: [&str; 3] = ["array lock o -1", "array lock o 0", "array unlock o"];

pub fn holding() -> Vec<Case> {
    vec![
        case("a lock", |Pair { a, b, .. }| {
            a.does("lock create o");
            b.does("lock open o");
            lock_is_taken_over(a, b, LOCK);
            b.says("lock is_held o", "0");
        }),
        case("a lock that the other waits for", |Pair { a, b, .. }| {
            b.does("lock create o");
            a.does("lock open o");
            lock_is_handed_on(a, b, LOCK);
        }),
        case("a lock, and the next one as well", |pair| {
            pair.a.does("lock create o");
            pair.b.does("lock open o");
            for _ in 0..2 {
                pair.a.ask("lock acquire o -1");
                pair.a.kill();
                pair.replace_a();
                pair.a.does("lock open o");
            }
            pair.a.says("lock acquire o -1", "died");
            pair.b.fails("lock acquire o 5", TimedOut);
            pair.a.does("lock release o");
            pair.b.says("lock acquire o -1", "clean");
            pair.b.does("lock release o");
        }),
        case("a value's lock", |Pair { a, b, .. }| {
            a.does("value create o i 07000000");
            b.does("value open o i");
            lock_is_taken_over(a, b, VALUE);
            b.says("value add o 1", "07000000");
        }),
        case("a value's lock that the other waits for", |Pair { a, b, .. }| {
            a.does("value create o Point 00000000000000000000000000000000");
            b.does("value open o Point");
            lock_is_handed_on(a, b, VALUE);
        }),
        case("an array's lock", |Pair { a, b, .. }| {
            a.says("array create o d 4", "4");
            b.says("array open o d", "4");
            a.does("array set o 3 0000000000000840");
            lock_is_taken_over(a, b, ARRAY);
            b.says("array get o 3", "0000000000000840");
        }),
        case("an array's lock that the other waits for", |Pair { a, b, .. }| {
            a.says("array create o h 4", "4");
            b.says("array open o h", "4");
            lock_is_handed_on(a, b, ARRAY);
        }),
        case("a permit", |Pair { a, b, .. }| {
            a.does("semaphore create s 2");
            b.does("semaphore open s");
            a.does("semaphore acquire s -1");
            a.kill();
            // The permit is gone, and whoever knows of it gives it back.
            b.does("semaphore acquire s 0");
            b.fails("semaphore acquire s 5", TimedOut);
            b.does("semaphore release s 2");
            b.says("semaphore value s", "2");
        }),
        case("handles of everything", |pair| {
            let Pair { a, b, .. } = pair;
            a.does("value create v i 00000000");
            a.does("lock create l");
            a.does("semaphore create s 0");
            a.does("queue create q 2 0");
            a.does("pipe create p duplex 2");
            a.kill();
            b.says("segment participants", &b.pid().to_string());
            b.does("value open v i");
            b.does("lock open l");
            b.does("semaphore open s");
            b.does("queue open q");
            b.does("pipe open p B");
            b.does("segment recover");
            pair.replace_a();
            let Pair { a, b, .. } = pair;
            a.does("queue open q");
            a.does("queue put q -1 01");
            b.says("queue get q -1", "01");
            a.does("pipe open p A");
            b.does("pipe send p B -1 02");
            a.says("pipe recv p A -1", "02");
        }),
    ]
}

pub fn writing() -> Vec<Case> {
    vec![
        case("a place in a queue", |Pair { a, b, .. }| {
            a.does("queue create q 3 0");
            b.does("queue open q");
            a.does("queue put q -1 01");
            a.does("queue reserve q -1 8");
            a.does("queue write q 0000");
            b.does("queue put q -1 02");
            b.says("queue get q -1", "01");
            a.kill();
            // What was never committed was never there, and its cell is free again.
            b.says("queue get q -1", "02");
            b.fails("queue get q 5", TimedOut);
            for _ in 0..3 {
                b.says("queue put_many q 60000 01 02 03", "3");
                b.says("queue full q", "1");
                b.says("queue get_many q 0 60", "01 02 03");
            }
        }),
        case("a place in a full queue", |Pair { a, b, .. }| {
            a.does("queue create q 1 0");
            b.does("queue open q");
            a.does("queue reserve q -1 8");
            b.fails("queue put q 0 01", WouldBlock);
            b.tell("queue put q -1 01");
            a.kill();
            b.hears("");
            b.says("queue get q -1", "01");
        }),
        case("a large place in a queue", |pair| {
            pair.b.does("queue create q 3 0");
            for round in 0..5 {
                pair.a.does("queue open q");
                pair.a.does("queue reserve q -1 12000000");
                pair.a.does("queue write q *100000:1");
                pair.a.kill();
                pair.replace_a();
                // The segment has room for five of these, so that each has to be given back.
                pair.b.does(&format!("queue put q -1 *100:{round}"));
                pair.b.says("queue get q -1", &format!("*100:{round}"));
            }
            pair.b.does("segment recover");
            pair.b.does("queue reserve q -1 12000000");
            pair.b.does("queue commit q *4000:1");
            pair.b.says("queue get q -1", "*4000:1");
        }),
        case("what others wait for", |Pair { a, b, .. }| {
            a.does("queue create q 3 0");
            b.does("queue open q");
            a.does("queue reserve q -1 8");
            b.tell("queue get q -1");
            a.does("queue put q -1 05");
            b.hears("05");
            b.does("queue shutdown q");
            b.tell("queue get q -1");
            // While a writer lives an item may come yet.
            a.kill();
            b.hear_error(Closed);
        }),
        case("a full queue", |Pair { a, b, .. }| {
            a.does("queue create q 1 0");
            b.does("queue open q");
            b.does("queue put q -1 01");
            a.tell("queue put q -1 02");
            a.kill();
            b.says("queue get q -1", "01");
            b.fails("queue get q 5", TimedOut);
            b.does("queue put q 0 03");
            b.says("queue get q 0", "03");
        }),
        case("a message", |Pair { a, b, .. }| {
            a.does("pipe open_or_create p B simplex");
            b.does("pipe open p A");
            a.does("pipe send p B -1 01");
            a.does("pipe reserve p B 500000");
            a.does("pipe write p B *500000:1");
            a.kill();
            b.says("pipe poll p A -1", "1");
            b.says("pipe recv p A -1", "01");
            b.fails("pipe recv p A -1", Closed);
        }),
        case("a message that the other waits for", |Pair { a, b, .. }| {
            b.does("pipe create p duplex 4");
            a.does("pipe open p B");
            b.does("pipe close p B");
            a.does("pipe reserve p B 8");
            b.tell("pipe recv p A -1");
            a.kill();
            b.hear_error(Closed);
            b.fails("pipe send p A -1 01", Closed);
        }),
        case("one message of many senders", |Pair { a, b, .. }| {
            b.does("pipe create p duplex 2");
            a.does("pipe open p B");
            a.does("pipe reserve p B 8");
            b.does("pipe send p B -1 01");
            a.kill();
            b.says("pipe recv p A -1", "01");
            for message in ["02", "03", "04"] {
                b.does(&format!("pipe send p B 60000 {message}"));
                b.says("pipe recv p A 60000", message);
            }
        }),
    ]
}

pub fn reading() -> Vec<Case> {
    vec![
        case("an item", |Pair { a, b, .. }| {
            a.does("queue create q 2 0");
            b.does("queue open q");
            b.does("queue put q -1 01");
            let taken = a.ask("queue recv q -1");
            let number = taken.split(' ').next().expect("a number").to_owned();
            b.does("queue put q -1 02");
            a.kill();
            let mut got = [(); 2].map(|()| {
                let item = b.ask("queue recv q 60000");
                b.does("queue release q");
                item
            });
            // Delivered again, late or not, with its number.
            got.sort_by_key(|item| !item.ends_with(" 01"));
            assert_eq!(got[0], format!("{number} 2 01"));
            assert!(got[1].ends_with(" 1 02"), "{}", got[1]);
            b.fails("queue get q 5", TimedOut);
            b.says("queue put_many q 60000 03 04", "2");
            b.says("queue get_many q 0 9", "03 04");
        }),
        case("a large item that the other waits for", |Pair { a, b, .. }| {
            a.does("queue create q 2 0");
            b.does("queue open q");
            b.does("queue put q -1 *3000000:1");
            let taken = a.ask("queue recv q -1");
            let number = taken.split(' ').next().expect("a number").to_owned();
            b.tell("queue recv q -1");
            a.kill();
            b.hears(&format!("{number} 2 *3000000:1"));
            b.does("queue release q");
            b.fails("queue get q 0", WouldBlock);
        }),
        case("an item, again and again", |pair| {
            pair.b.does("queue create q 1 0");
            pair.b.does("queue put q -1 *1000:1");
            for round in 1..4 {
                pair.a.does("queue open q");
                let taken = pair.a.ask("queue recv q -1");
                assert!(taken.ends_with(&format!(" {round} *1000:1")), "{taken}");
                pair.a.kill();
                pair.replace_a();
            }
            pair.b.says("queue get q -1", "*1000:1");
            pair.b.fails("queue get q 0", WouldBlock);
        }),
        case("an item of a queue that was shut down", |Pair { a, b, .. }| {
            a.does("queue create q 2 0");
            b.does("queue open q");
            a.does("queue put q -1 01");
            a.ask("queue recv q -1");
            b.does("queue shutdown q");
            // Not closed yet: who has the item may die.
            b.fails("queue get q 5", TimedOut);
            a.kill();
            b.says("queue get q -1", "01");
            b.fails("queue get q -1", Closed);
        }),
        case("an empty queue", |Pair { a, b, .. }| {
            a.does("queue create q 2 0");
            b.does("queue open q");
            a.tell("queue get q -1");
            a.kill();
            b.does("queue put q -1 01");
            b.says("queue get q -1", "01");
        }),
        case("an empty queue that both wait for", |pair| {
            let Pair { a, b, .. } = pair;
            a.does("queue create q 2 0");
            b.does("queue open q");
            a.tell("queue get q -1");
            b.tell("queue get q -1");
            a.kill();
            pair.replace_a();
            let Pair { a, b, .. } = pair;
            a.does("queue open q");
            a.does("queue put q -1 01");
            b.hears("01");
        }),
        case("a message", |Pair { a, b, .. }| {
            b.does("pipe create p duplex 4");
            a.does("pipe open p A");
            b.does("pipe send p B -1 *500000:1");
            b.does("pipe send p B -1 02");
            a.says("pipe recv_in_place p A -1", "*500000:1");
            a.kill();
            // Delivered again to another one at that end, late or not.
            let mut got = [b.ask("pipe recv p A -1"), b.ask("pipe recv p A 60000")];
            got.sort();
            assert_eq!(got, ["*500000:1", "02"]);
            b.fails("pipe recv p A 0", WouldBlock);
        }),
        case("a pipe that the other writes to", |Pair { a, b, .. }| {
            b.does("pipe create p duplex 1");
            a.does("pipe open p A");
            b.does("pipe close p A");
            b.does("pipe send p B -1 01");
            b.tell("pipe send p B -1 02");
            a.kill();
            b.hear_error(Closed);
            b.fails("pipe recv p B -1", Closed);
        }),
        case("an empty pipe", |Pair { a, b, .. }| {
            b.does("pipe create p duplex 4");
            a.does("pipe open p A");
            a.tell("pipe recv p A -1");
            a.kill();
            b.does("pipe send p B -1 01");
            b.says("pipe recv p A -1", "01");
        }),
    ]
}

/// How often each is killed at whatever instruction it is at.
const ROUNDS: usize = 3;
/// How often the other looks before that.
pub const LOOKS: usize = 20;

pub fn rounds(pair: &mut Pair, open: &str, check: impl Fn(&mut Pair)) {
    for _ in 0..ROUNDS {
        pair.a.ask(open);
        check(pair);
        pair.replace_a();
    }
}

fn hammer_value(pair: &mut Pair, ty: &str, both: [&str; 2]) {
    let [first, second] = both;
    pair.b.does(&format!("value create o {ty} {first}"));
    rounds(pair, &format!("value open o {ty}"), |Pair { a, b, .. }| {
        a.does(&format!("hammer o {first} {second}"));
        for _ in 0..LOOKS {
            let seen = b.ask("value get o");
            assert!(both.contains(&seen.as_str()), "{seen} was never written");
        }
        a.kill();
        let left = b.ask("value get o");
        assert!(both.contains(&left.as_str()), "{left} was never written");
        b.does(&format!("value set o {first}"));
        b.says(&format!("value exchange o {second}"), first);
    });
}

pub fn anywhere() -> Vec<Case> {
    vec![
        case("a value of one word", |pair| {
            hammer_value(pair, "q", ["1111111111111111", "2222222222222222"]);
        }),
        case("a value of many words", |pair| {
            hammer_value(pair, "Wide", [&"11".repeat(40), &"22".repeat(40)]);
        }),
        case("an array under its lock", |pair| {
            let both = ["11".repeat(64), "22".repeat(64)];
            pair.b.says("array create o Q 8", "8");
            pair.b.does(&format!("array write o 0 {}", both[0]));
            rounds(pair, "array open o Q", |Pair { a, b, .. }| {
                a.does(&format!("hammer o {} {}", both[0], both[1]));
                for look in 0..LOOKS {
                    if look == LOOKS / 2 {
                        a.kill();
                    }
                    // Only a death can leave it half written.
                    let clean = b.ask("array lock o -1") == "clean";
                    assert!(clean || look >= LOOKS / 2, "nobody has died");
                    let seen = b.ask("array read o 0 8");
                    assert!(!clean || both.contains(&seen), "{seen} was never written");
                    b.does(&format!("array write o 0 {}", both[0]));
                    b.does("array unlock o");
                }
            });
        }),
        case("a lock", |pair| {
            pair.b.does("lock create o");
            rounds(pair, "lock open o", |Pair { a, b, .. }| {
                a.does("hammer o - -");
                for look in 0..LOOKS {
                    let died = b.ask("lock acquire o -1") == "died";
                    assert!(!died, "nobody has died at look {look}");
                    b.does("lock release o");
                }
                a.kill();
                b.ask("lock acquire o -1");
                b.does("lock release o");
                b.says("lock acquire o -1", "clean");
                b.does("lock release o");
            });
        }),
        case("a semaphore", |pair| {
            pair.b.does("semaphore create o 1");
            rounds(pair, "semaphore open o", |Pair { a, b, .. }| {
                a.does("hammer o - -");
                for _ in 0..LOOKS {
                    b.does("semaphore acquire o -1");
                    b.does("semaphore release o 1");
                }
                a.kill();
                match b.ask("semaphore value o").as_str() {
                    "0" => b.does("semaphore release o 1"),
                    left => assert_eq!(left, "1"),
                }
                b.does("semaphore acquire o 0");
                b.does("semaphore release o 1");
            });
        }),
        case("a queue", |pair| {
            let both = ["0102", "*200000:7"];
            pair.b.does("queue create o 3 0");
            rounds(pair, "queue open o", |Pair { a, b, .. }| {
                a.does(&format!("hammer o {} {}", both[0], both[1]));
                for _ in 0..LOOKS {
                    // It gets what it put, or what the other put: so it is with two who do both.
                    b.does("queue put o -1 aa");
                    let got = b.ask("queue get o -1");
                    assert!(got == "aa" || both.contains(&got.as_str()), "{got} was never put");
                }
                a.kill();
                // A try does not find out that whoever has a cell is dead.
                b.does("segment recover");
                let mut left = 0;
                loop {
                    b.tell("queue get o 0");
                    match b.hear() {
                        Ok(got) => {
                            assert!(got == "aa" || both.contains(&got.as_str()), "{got} was never put")
                        }
                        Err((code, _)) if code == WouldBlock.code() => break,
                        Err(e) => panic!("{e:?}"),
                    }
                    left += 1;
                }
                // One that was put and not got: the other got as many as it put.
                assert!(left <= 1, "{left} items are left");
                b.says("queue put_many o 0 01 02 03", "3");
                b.says("queue get_many o 0 9", "01 02 03");
            });
        }),
        case("a pipe", |pair| {
            let both = ["0102", "*200000:7"];
            for round in 0..ROUNDS {
                let name = format!("p{round}");
                pair.b.does(&format!("pipe open_or_create {name} A simplex"));
                pair.a.does(&format!("pipe open {name} B"));
                let Pair { a, b, .. } = &mut *pair;
                a.does(&format!("hammer {name}/B {} {}", both[0], both[1]));
                for look in 0..LOOKS {
                    b.says(&format!("pipe recv {name} A -1"), both[look % 2]);
                }
                a.kill();
                // What was sent is there, in order, and then the end.
                for look in LOOKS.. {
                    b.tell(&format!("pipe recv {name} A -1"));
                    match b.hear() {
                        Ok(got) => assert_eq!(got, both[look % 2]),
                        Err((code, _)) if code == Closed.code() => break,
                        Err(e) => panic!("{e:?}"),
                    }
                }
                pair.replace_a();
            }
        }),
    ]
}
