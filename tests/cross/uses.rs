//! One creates an object, the other opens and uses it, and the first sees what it did.

use sharecell::ErrorKind::*;

use crate::case;
use crate::driver::{Case, Language, Pair, exists};

/// A type with what its values and sums are.
struct Type {
    name: &'static str,
    size: usize,
    values: [String; 3],
    /// What to add to the first value, and the sum.
    sum: Option<(&'static str, String)>,
    /// The largest value and the smallest, which is one more.
    wrap: Option<(String, String)>,
}

fn hex(bytes: &[u8]) -> String {
    crate::data::encode(bytes)
}

/// The type of a typecode, from numbers.
macro_rules! number {
    ($name:literal, $ty:ty, $first:expr, $amount:literal, $wraps:expr) => {{
        let amount: $ty = $amount.parse().expect("a number");
        let first: $ty = $first;
        let bytes = |x: $ty| hex(&x.to_ne_bytes());
        let ends = (bytes(<$ty>::MAX), bytes(<$ty>::MIN));
        Type {
            name: $name,
            size: size_of::<$ty>(),
            values: [bytes(first), bytes(<$ty>::MAX), bytes(42 as $ty)],
            sum: Some(($amount, bytes(first + amount))),
            wrap: Option::filter(Some(ends), |_| $wraps),
        }
    }};
}

fn other(name: &'static str, size: usize, values: [&[u8]; 3]) -> Type {
    Type { name, size, values: values.map(hex), sum: None, wrap: None }
}

fn types() -> Vec<Type> {
    let point = |x: f64, y: i32, z: i32| [&x.to_ne_bytes()[..], &y.to_ne_bytes(), &z.to_ne_bytes()].concat();
    let wide = |first: u64| (0..5).flat_map(|i| (first << 60 | i).to_ne_bytes()).collect::<Vec<u8>>();
    vec![
        other("c", 1, [b"a", b"\xff", b"\0"]),
        other("?", 1, [b"\x01", b"\0", b"\x01"]),
        number!("b", i8, -5, "3", true),
        number!("B", u8, 250, "3", true),
        number!("h", i16, -500, "30", true),
        number!("H", u16, 65000, "3", true),
        number!("i", i32, -70000, "3", true),
        number!("I", u32, 4_000_000_000, "3", true),
        number!("l", i64, -5_000_000_000, "-3", true),
        number!("L", u64, 1 << 63, "3", true),
        number!("q", i64, -5_000_000_000, "-3", true),
        number!("Q", u64, 1 << 63, "3", true),
        number!("f", f32, -1.5, "0.25", false),
        number!("d", f64, 0.1, "0.2", false),
        other("Point", 16, [&point(1.5, -2, 3), &point(-0.5, 4, -5), &point(0.0, 0, 0)]),
        other("Wide", 40, [&wide(1), &wide(9), &wide(15)]),
    ]
}

fn each_type(check: fn(&mut Pair, &Type)) -> Vec<Case> {
    let case = |ty: Type| -> Case { (ty.name.to_owned(), Box::new(move |pair| check(pair, &ty))) };
    types().into_iter().map(case).collect()
}

pub fn segments() -> Vec<Case> {
    vec![
        case("both see the same objects", |Pair { a, b, .. }| {
            a.does("value create v Point 00000000000000000000000000000000");
            b.does("value create w q 0000000000000000");
            a.says("array create a d 7", "7");
            b.does("lock create l");
            a.does("semaphore create s 3");
            b.does("queue create q 5 100");
            a.does("pipe create p duplex 9");
            let all = "a:2:d:7 l:3:-:1 p:6:-:9 q:5:-:5 s:4:-:1 v:1:-:1 w:1:q:1";
            a.says("segment objects", all);
            b.says("segment objects", all);
        }),
        case("both are participants", |Pair { a, b, .. }| {
            let mut pids = [a.pid(), b.pid()];
            pids.sort_unstable();
            let pids = format!("{} {}", pids[0], pids[1]);
            a.says("segment participants", &pids);
            b.says("segment participants", &pids);
            a.says("segment limit", "67108864");
            b.says("segment limit", "67108864");
        }),
        case("it goes on when its name is taken from it", |Pair { a, b, segment, .. }| {
            a.does("value create v i 01000000");
            b.says("segment is_unlinked", "0");
            b.does(&format!("segment unlink {segment}"));
            assert!(!exists(segment), "{segment} has its name still");
            a.says("segment is_unlinked", "1");
            b.fails(&format!("segment unlink {segment}"), NotFound);
            b.does("value open v i");
            a.does("value set v 05000000");
            b.says("value get v", "05000000");
        }),
        case("the last to leave takes its name", |Pair { a, b, segment, .. }| {
            a.does("reset");
            assert!(exists(segment), "{segment} is gone although somebody has it open");
            b.does("reset");
            assert!(!exists(segment), "{segment} is left behind");
            b.fails(&format!("segment open {segment}"), NotFound);
        }),
        case("it grows for both", |Pair { a, b, .. }| {
            a.says("array create small B 100", "100");
            b.says("array create large B 3000000", "3000000");
            let size: u64 = a.ask("segment size").parse().expect("a number");
            assert!(size > 3_000_000, "{size}");
            a.says("array open large B", "3000000");
            a.does("array write large 2900000 *100000:7");
            b.says("array read large 2900000 100000", "*100000:7");
        }),
        case("what is removed stays with who has it open", |Pair { a, b, .. }| {
            a.does("value create v i 01000000");
            b.does("value open v i");
            b.does("segment remove v");
            a.does("value set v 02000000");
            b.says("value get v", "02000000");
            a.fails("value open v i", NotFound);
            b.does("value create v d 0000000000000000");
            a.says("value get v", "02000000");
        }),
    ]
}

fn value(Pair { a, b, .. }: &mut Pair, ty: &Type) {
    let [first, second, third] = &ty.values;
    let name = ty.name;
    a.does(&format!("value create v {name} {first}"));
    b.does(&format!("value open v {name}"));
    b.says("value get v", first);
    b.does(&format!("value set v {second}"));
    a.says("value get v", second);
    a.says(&format!("value exchange v {third}"), second);
    b.says(&format!("value compare_exchange v {second} {first}"), &format!("0 {third}"));
    b.says(&format!("value compare_exchange v {third} {first}"), &format!("1 {third}"));
    a.says("value get v", first);
    if let Some((amount, sum)) = &ty.sum {
        b.says(&format!("value add v {amount}"), first);
        a.says("value get v", sum);
        a.says(&format!("value exchange v {first}"), sum);
        a.says(&format!("value add v {amount}"), first);
        b.says("value get v", sum);
    }
    if let Some((largest, smallest)) = &ty.wrap {
        a.does(&format!("value set v {largest}"));
        b.says("value add v 1", largest);
        a.says("value get v", smallest);
    }
    own_lock(a, b, "value", "v");
}

/// The lock that a value and an array have.
fn own_lock(a: &mut crate::Agent, b: &mut crate::Agent, kind: &str, name: &str) {
    let does = |what: &str| format!("{kind} {}", what.replace('@', name));
    b.says(&does("lock @ -1"), "clean");
    a.fails(&does("lock @ 0"), WouldBlock);
    a.fails(&does("lock @ 5"), TimedOut);
    // In Rust there is no such call: a guard releases, and only who has acquired has one.
    if a.language != Language::Rust {
        a.fails(&does("unlock @"), NotOwner);
    }
    a.tell(&does("lock @ -1"));
    b.does(&does("unlock @"));
    a.hears("clean");
    b.fails(&does("lock @ 0"), WouldBlock);
    a.does(&does("unlock @"));
    a.fails(&does("unlock @"), NotHeld);
    b.says(&does("lock @ 0"), "clean");
    b.does(&does("unlock @"));
}

pub fn values() -> Vec<Case> {
    let mut cases = each_type(value);
    cases.push(case("l is q, and L is Q", |Pair { a, b, .. }| {
        for (one, same) in [("l", "q"), ("q", "l"), ("L", "Q"), ("Q", "L")] {
            a.does(&format!("value create {one} {one} 0100000000000000"));
            b.does(&format!("value open {one} {same}"));
            b.says(&format!("value add {one} 2"), "0100000000000000");
            a.says(&format!("value get {one}"), "0300000000000000");
        }
    }));
    cases.push(case("both add to it", |Pair { a, b, .. }| {
        a.does("value create v i 00000000");
        b.does("value open v i");
        for _ in 0..50 {
            a.tell("value add v 1");
            b.tell("value add v 1");
            a.hear_ok();
            b.hear_ok();
        }
        a.says("value get v", "64000000");
    }));
    cases
}

fn array(Pair { a, b, .. }: &mut Pair, ty: &Type) {
    let ([first, second, third], name, size) = (&ty.values, ty.name, ty.size);
    a.says(&format!("array create a {name} 6"), "6");
    b.says(&format!("array open a {name}"), "6");
    b.says("array read a 0 6", &short(&"00".repeat(6 * size)));
    b.does(&format!("array set a 5 {first}"));
    a.says("array get a 5", first);
    a.does(&format!("array write a 1 {second}{third}"));
    b.says("array read a 1 2", &short(&format!("{second}{third}")));
    b.says("array get a 2", third);
    b.does(&format!("array fill a {first}"));
    a.says("array read a 0 2", &short(&first.repeat(2)));
    a.says("array get a 5", first);
    if name != "Point" && name != "Wide" {
        b.says("array peek a 4 2", &first.repeat(2));
        b.does(&format!("array poke a 3 {second}"));
        a.says("array get a 3", second);
        a.does(&format!("array poke a 0 {third}"));
        b.says("array peek a 0 1", third);
    }
    a.fails("array get a 6", OutOfRange);
    b.fails(&format!("array set a 6 {first}"), OutOfRange);
    own_lock(a, b, "array", "a");
}

/// What an agent says that has these bytes: many bytes that are no pattern are only counted.
fn short(digits: &str) -> String {
    hex(&crate::data::decode(digits))
}

pub fn arrays() -> Vec<Case> {
    let mut cases = each_type(array);
    cases.push(case("text", |Pair { a, b, .. }| {
        a.says("array create a c 8", "8");
        b.says("array open a c", "8");
        b.says("array text a", "-");
        b.does("array set_text a 616263646566");
        a.says("array text a", "616263646566");
        a.says("array raw a", "6162636465660000");
        // Shorter text ends with a NUL; what is behind it stays.
        a.does("array set_text a 78ff");
        b.says("array text a", "78ff");
        b.says("array raw a", "78ff006465660000");
        b.does("array set_text a 3132333435363738");
        a.says("array text a", "3132333435363738");
        a.fails("array set_text a 313233343536373839", TooLarge);
        a.does("array set_text a -");
        b.says("array text a", "-");
        b.says("array raw a", "0032333435363738");
    }));
    cases.push(case("a long one", |Pair { a, b, .. }| {
        a.says("array create a B 300000", "300000");
        b.says("array open a B", "300000");
        b.does("array write a 0 *300000:5");
        a.says("array read a 0 300000", "*300000:5");
        a.says("array peek a 251 1000", "*1000:5");
    }));
    cases
}

pub fn locks_and_semaphores() -> Vec<Case> {
    vec![
        case("a lock", |Pair { a, b, .. }| {
            a.does("lock create l");
            b.does("lock open l");
            b.says("lock acquire l -1", "clean");
            a.says("lock is_held l", "1");
            a.fails("lock acquire l 0", WouldBlock);
            a.fails("lock acquire l 5", TimedOut);
            a.fails("lock release l", NotOwner);
            a.tell("lock acquire l 30000");
            b.does("lock release l");
            a.hears("clean");
            b.fails("lock acquire l 0", WouldBlock);
            b.fails("lock release l", NotOwner);
            a.does("lock release l");
            a.fails("lock release l", NotHeld);
            b.says("lock is_held l", "0");
            b.says("lock acquire l 0", "clean");
            b.does("lock release l");
        }),
        case("a lock goes to and fro", |Pair { a, b, .. }| {
            a.does("lock create l");
            b.does("lock open l");
            a.says("lock acquire l -1", "clean");
            for _ in 0..20 {
                b.tell("lock acquire l -1");
                a.does("lock release l");
                b.hears("clean");
                a.tell("lock acquire l -1");
                b.does("lock release l");
                a.hears("clean");
            }
            a.does("lock release l");
        }),
        case("a semaphore", |Pair { a, b, .. }| {
            a.does("semaphore create s 2");
            b.does("semaphore open s");
            b.says("semaphore value s", "2");
            b.does("semaphore acquire s -1");
            a.does("semaphore acquire s 0");
            a.says("semaphore value s", "0");
            a.fails("semaphore acquire s 0", WouldBlock);
            b.fails("semaphore acquire s 5", TimedOut);
            a.tell("semaphore acquire s -1");
            b.does("semaphore release s 3");
            a.hears("");
            b.says("semaphore value s", "2");
            // A permit belongs to nobody: whoever has none may give some.
            a.does("semaphore release s 5");
            b.says("semaphore value s", "7");
            b.fails("semaphore release s 2147483647", Overflow);
            a.says("semaphore value s", "7");
        }),
    ]
}

pub fn queues() -> Vec<Case> {
    vec![
        case("items in order", |Pair { a, b, .. }| {
            a.does("queue create q 4 0");
            b.does("queue open q");
            b.says("queue capacity q", "4");
            b.says("queue empty q", "1");
            for item in ["-", "00", "*104:1", "*105:2"] {
                a.does(&format!("queue put q -1 {item}"));
            }
            b.says("queue qsize q", "4");
            b.says("queue full q", "1");
            b.fails("queue put q 0 01", WouldBlock);
            b.fails("queue put q 5 01", TimedOut);
            for item in ["-", "00", "*104:1", "*105:2"] {
                b.says("queue get q -1", item);
            }
            a.says("queue empty q", "1");
            a.fails("queue get q 0", WouldBlock);
            a.fails("queue get q 5", TimedOut);
            b.does("queue put q 0 0102");
            a.says("queue get q 0", "0102");
        }),
        case("large items", |Pair { a, b, .. }| {
            a.does("queue create q 3 0");
            b.does("queue open q");
            for round in 0..3 {
                a.does(&format!("queue put q -1 *1000000:{round}"));
                a.does(&format!("queue put q -1 *70000:{round}"));
                b.says("queue get q -1", &format!("*1000000:{round}"));
                b.does(&format!("queue put q -1 *4000000:{round}"));
                b.says("queue get q -1", &format!("*70000:{round}"));
                a.says("queue get q -1", &format!("*4000000:{round}"));
            }
        }),
        case("many at a time", |Pair { a, b, .. }| {
            a.does("queue create q 8 0");
            b.does("queue open q");
            a.says("queue put_many q -1 01 - *300:3 04", "4");
            b.says("queue get_many q -1 3", "01 - *300:3");
            b.says("queue put_many q -1 05", "1");
            a.says("queue get_many q -1 60", "04 05");
            a.fails("queue get_many q 0 5", WouldBlock);
            a.fails("queue get_many q 5 5", TimedOut);
            b.says("queue put_many q 0 01 02 03 04 05 06 07 08 09 0a", "8");
            b.fails("queue put_many q 0 01", WouldBlock);
            a.says("queue get_many q 0 60", "01 02 03 04 05 06 07 08");
            b.tell("queue get_many q -1 2");
            a.does("queue put q -1 0b");
            b.hears("0b");
        }),
        case("places in the queue", |Pair { a, b, .. }| {
            a.does("queue create q 4 0");
            b.does("queue open q");
            a.does("queue reserve q -1 200000");
            b.says("queue qsize q", "0");
            b.does("queue put q -1 02");
            b.says("queue get q 0", "02");
            a.does("queue commit q *150000:9");
            b.says("queue get q 0", "*150000:9");
            b.does("queue reserve q 0 10");
            b.does("queue abort q");
            b.does("queue reserve q 0 3");
            b.does("queue commit q 010203");
            a.says("queue get q 0", "010203");
            a.says("queue empty q", "1");
        }),
        case("items in place", |Pair { a, b, .. }| {
            a.does("queue create q 4 0");
            b.does("queue open q");
            a.says("queue put_many q -1 *200000:1 02", "2");
            let taken = b.ask("queue recv q -1");
            let (number, rest) = taken.split_once(' ').expect("a number");
            assert_eq!(rest, "1 *200000:1");
            b.says("queue qsize q", "1");
            b.does("queue put_back q");
            // Put back it comes again, with its number.
            a.says("queue recv q -1", &format!("{number} 2 *200000:1"));
            b.says("queue get q -1", "02");
            b.fails("queue get q 0", WouldBlock);
            a.does("queue release q");
            a.fails("queue recv q 5", TimedOut);
            a.fails("queue release q", NotHeld);
        }),
        case("waiting for items and for room", |Pair { a, b, .. }| {
            a.does("queue create q 1 0");
            b.does("queue open q");
            for _ in 0..10 {
                b.tell("queue get q -1");
                a.does("queue put q -1 *5000:4");
                b.hears("*5000:4");
                b.does("queue put q -1 01");
                b.tell("queue put q 30000 02");
                a.says("queue get q -1", "01");
                b.hears("");
                a.says("queue get q 30000", "02");
            }
        }),
        case("shut down", |Pair { a, b, .. }| {
            a.does("queue create q 2 0");
            b.does("queue open q");
            a.does("queue put q -1 01");
            b.says("queue is_shutdown q", "0");
            b.does("queue shutdown q");
            a.says("queue is_shutdown q", "1");
            a.fails("queue put q -1 02", Closed);
            a.says("queue get q -1", "01");
            b.fails("queue get q -1", Closed);
            a.fails("queue recv q 0", Closed);
        }),
        case("shut down while somebody waits", |Pair { a, b, .. }| {
            a.does("queue create q 1 0");
            b.does("queue open q");
            b.tell("queue get q -1");
            a.does("queue shutdown q");
            b.hear_error(Closed);
            a.does("queue create r 1 0");
            b.does("queue open r");
            a.does("queue put r -1 01");
            b.tell("queue put r -1 02");
            a.does("queue shutdown r");
            b.hear_error(Closed);
            b.says("queue get r -1", "01");
        }),
    ]
}

pub fn pipes() -> Vec<Case> {
    vec![
        case("both ways", |Pair { a, b, .. }| {
            a.does("pipe create p duplex 8");
            b.does("pipe open p B");
            a.does("pipe close p B");
            for (message, answer) in
                [("01", "-"), ("-", "0203"), ("*104:1", "*105:1"), ("*1000000:3", "*4000000:5")]
            {
                a.does(&format!("pipe send p A -1 {message}"));
                b.says("pipe recv p B -1", message);
                b.does(&format!("pipe send p B -1 {answer}"));
                b.does(&format!("pipe send p B -1 {message}"));
                a.says("pipe poll p A 0", "1");
                a.says("pipe recv p A -1", answer);
                a.says("pipe recv p A 0", message);
                a.says("pipe poll p A 0", "0");
            }
            a.says("pipe can p A", "1 1");
            b.says("pipe can p B", "1 1");
            a.fails("pipe recv p A 0", WouldBlock);
            b.fails("pipe recv p B 5", TimedOut);
        }),
        case("one way", |Pair { a, b, .. }| {
            a.does("pipe open_or_create p A simplex");
            b.does("pipe open_or_create p B simplex");
            a.says("pipe can p A", "1 0");
            b.says("pipe can p B", "0 1");
            b.does("pipe send p B -1 01");
            a.says("pipe recv p A -1", "01");
            a.fails("pipe send p A -1 01", Unsupported);
            b.fails("pipe recv p B -1", Unsupported);
        }),
        case("waiting for messages and for room", |Pair { a, b, .. }| {
            a.does("pipe create p simplex 2");
            b.does("pipe open p B");
            a.does("pipe close p B");
            a.tell("pipe recv p A -1");
            b.does("pipe send p B -1 01");
            a.hears("01");
            a.tell("pipe poll p A 30000");
            b.does("pipe send p B -1 02");
            a.hears("1");
            b.does("pipe send p B -1 03");
            b.fails("pipe send p B 0 04", WouldBlock);
            b.fails("pipe send p B 5 04", TimedOut);
            b.tell("pipe send p B -1 04");
            a.says("pipe recv p A -1", "02");
            b.hears("");
            a.says("pipe recv p A -1", "03");
            a.says("pipe recv p A -1", "04");
        }),
        case("into a buffer", |Pair { a, b, .. }| {
            a.does("pipe create p duplex 8");
            b.does("pipe open p B");
            b.does("pipe send p B -1 *1000:1");
            a.fails("pipe recv_into p A 999", BufferTooSmall);
            a.says("pipe recv_into p A 1000", "*1000:1");
            a.does("pipe send p A -1 0102");
            b.says("pipe recv_into p B 1000", "0102");
        }),
        case("in place", |Pair { a, b, .. }| {
            a.does("pipe create p duplex 8");
            b.does("pipe open p B");
            b.does("pipe reserve p B 200000");
            b.does("pipe commit p B *150000:1");
            a.says("pipe recv_in_place p A -1", "*150000:1");
            b.does("pipe reserve p B 2");
            b.does("pipe abort p B");
            a.does("pipe release p A");
            a.fails("pipe release p A", NotHeld);
            a.fails("pipe recv_in_place p A 0", WouldBlock);
            a.does("pipe reserve p A 3");
            a.does("pipe commit p A 010203");
            b.says("pipe recv_in_place p B -1", "010203");
            b.does("pipe release p B");
        }),
        case("a message in parts", |Pair { a, b, .. }| {
            a.does("pipe create p duplex 8");
            b.does("pipe open p B");
            for message in ["*20000000:1", "01", "*30000000:2"] {
                // Longer than what the pipe can hold: it takes both.
                b.tell(&format!("pipe send p B -1 {message}"));
                a.says("pipe recv p A -1", message);
                b.hears("");
            }
        }),
        case("end-of-file", |Pair { a, b, .. }| {
            a.does("pipe create p duplex 8");
            b.does("pipe open p B");
            a.does("pipe close p B");
            b.does("pipe send p B -1 01");
            b.does("pipe close p B");
            a.fails("pipe send p A -1 01", Closed);
            a.says("pipe poll p A -1", "1");
            a.says("pipe recv p A -1", "01");
            a.says("pipe poll p A -1", "1");
            a.fails("pipe recv p A -1", Closed);
            b.fails("pipe open p B", Closed);
        }),
        case("end-of-file while somebody waits", |Pair { a, b, .. }| {
            a.does("pipe open_or_create p A simplex");
            b.does("pipe open p B");
            a.tell("pipe recv p A -1");
            b.does("pipe close p B");
            a.hear_error(Closed);
        }),
    ]
}

pub fn errors() -> Vec<Case> {
    vec![
        case("the name is taken, or nobody's", |Pair { a, b, .. }| {
            a.does("value create n i 00000000");
            for create in [
                "value create n i 00000000",
                "value create n d 0000000000000000",
                "array create n i 5",
                "lock create n",
                "semaphore create n 1",
                "queue create n 4 0",
                "pipe create n duplex 4",
                "rlock create n",
                "rwlock create n",
                "condition create n",
                "event create n",
                "barrier create n 2",
            ] {
                b.fails(create, AlreadyExists);
                a.fails(create, AlreadyExists);
            }
            for open in [
                "value open x i",
                "array open x i",
                "lock open x",
                "semaphore open x",
                "queue open x",
                "pipe open x A",
                "rlock open x",
                "rwlock open x",
                "condition open x",
                "event open x",
                "barrier open x",
            ] {
                b.fails(open, NotFound);
            }
            b.fails("segment open cross-that-nobody-made", NotFound);
            b.fails("segment remove x", NotFound);
        }),
        case("names that nothing can have", |Pair { a, b, .. }| {
            let long = "x".repeat(500);
            b.fails(&format!("lock create {long}"), InvalidName);
            b.fails("segment open a/b", InvalidName);
            b.fails(&format!("segment open {long}"), InvalidName);
            a.fails(&format!("queue open {long}"), InvalidName);
        }),
        case("another kind", |Pair { a, b, .. }| {
            let kinds = [
                ("value create o0 i 00000000", "value open @ i"),
                ("array create o1 i 5", "array open @ i"),
                ("lock create o2", "lock open @"),
                ("semaphore create o3 1", "semaphore open @"),
                ("queue create o4 4 0", "queue open @"),
                ("pipe create o5 duplex 4", "pipe open @ A"),
                ("rlock create o6", "rlock open @"),
                ("condition create o7", "condition open @"),
                ("event create o8", "event open @"),
                ("barrier create o9 2", "barrier open @"),
                ("rwlock create o10", "rwlock open @"),
            ];
            kinds.iter().for_each(|(create, _)| drop(a.ask(create)));
            for i in 0..kinds.len() {
                for (j, (_, open)) in kinds.iter().enumerate() {
                    let open = open.replace('@', &format!("o{i}"));
                    if i == j {
                        b.ask(&open);
                    } else {
                        b.fails(&open, WrongKind);
                    }
                }
            }
        }),
        case("another type", |Pair { a, b, .. }| {
            let types = ["c", "b", "B", "h", "H", "i", "I", "q", "Q", "f", "d", "?", "Point", "Wide"];
            for ty in types {
                a.ask(&format!("array create a{ty} {ty} 3"));
                for other in types.into_iter().filter(|other| *other != ty) {
                    b.fails(&format!("array open a{ty} {other}"), WrongType);
                }
            }
            a.does("value create v Point 00000000000000000000000000000000");
            b.fails("value open v Wide", WrongType);
            b.fails("value open v d", WrongType);
        }),
        case("what is too large", |Pair { a, b, .. }| {
            a.does("queue create q 4 100");
            b.does("queue open q");
            b.does("queue put q -1 *100:1");
            b.fails("queue put q -1 *101:1", TooLarge);
            b.fails("queue reserve q -1 101", TooLarge);
            a.says("queue get q -1", "*100:1");
            a.fails("array create huge B 100000000", LimitReached);
            b.fails("array create huge B 100000000", LimitReached);
            b.says("segment objects", "q:5:-:4");
        }),
    ]
}
