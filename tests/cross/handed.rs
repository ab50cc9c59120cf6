//! Segments over memory that both have mapped, and anonymous ones: handed over a Unix socket, and as a descriptor that a
//! program inherits when another becomes it; and who lays, hands on or receives one is killed.

use std::fs::File;
use std::path::PathBuf;

use sharecell::ErrorKind::*;

use crate::case;
use crate::driver::{Agent, Case, Pair};

/// The first has a segment without a name, and in it a queue, a lock and a value.
fn anonymous(Pair { a, b, .. }: &mut Pair) {
    a.does("reset");
    b.does("reset");
    a.does("segment anonymous 67108864");
    a.does("queue create q 4 0");
    a.does("lock create l");
    a.does("value create v i 07000000");
}

/// Both lay a segment over the memory in one file; whoever is second finds the first one's. Its name and the file.
fn over(Pair { a, b, segment, .. }: &mut Pair) -> (String, PathBuf) {
    let name = format!("{segment}-over");
    let path = std::env::temp_dir().join(&name);
    File::create(&path).and_then(|file| file.set_len(16 << 20)).expect("a file for the memory");
    let command = format!("segment over {name} {}", path.display());
    a.does("reset");
    b.does("reset");
    a.does(&command);
    b.does(&command);
    a.does("queue create q 4 0");
    a.does("lock create l");
    a.does("value create v i 07000000");
    open(b);
    (name, path)
}

fn open(agent: &mut Agent) {
    agent.does("queue open q");
    agent.does("lock open l");
    agent.does("value open v i");
}

/// The one has the lock, takes the item as well, and is killed: the other gets both.
fn killed_with_both(a: &mut Agent, b: &mut Agent) {
    a.ask("queue recv q -1");
    b.tell("lock acquire l -1");
    a.kill();
    b.hears("died");
    b.does("lock release l");
    b.says("queue get q -1", "01");
}

pub fn cases() -> Vec<Case> {
    vec![
        case("over a socket", |pair| {
            anonymous(pair);
            let Pair { a, b, .. } = pair;
            b.tell("segment receive");
            a.does("segment send");
            b.hears("");
            open(b);
            b.says("segment is_anonymous", "1");
            b.says("segment is_unlinked", "0");
            b.says("segment limit", "67108864");
            let mut pids = [a.pid(), b.pid()];
            pids.sort();
            a.says("segment participants", &format!("{} {}", pids[0], pids[1]));
            b.says("value add v 1", "07000000");
            a.says("value get v", "08000000");
            b.does("queue put q -1 *200000:7");
            a.says("queue get q -1", "*200000:7");
            // It grows for both.
            b.says("array create big d 1000000", "1000000");
            a.says("array open big d", "1000000");
            b.does("array set big 999999 0000000000000840");
            a.says("array get big 999999", "0000000000000840");
        }),
        case("and back by another socket", |pair| {
            anonymous(pair);
            let Pair { a, b, .. } = pair;
            a.does("segment send");
            b.does("segment receive");
            a.does("reset");
            open(b);
            b.does("segment send");
            a.does("segment receive");
            open(a);
            a.says("value get v", "07000000");
        }),
        case("a segment with a name is not handed on", |Pair { a, .. }| {
            a.says("segment is_anonymous", "0");
            a.fails("segment send", Unsupported);
        }),
        case("inherited over exec", |pair| {
            anonymous(pair);
            let Pair { a, b, .. } = pair;
            a.does("queue put q -1 *200000:9");
            a.says("lock acquire l -1", "clean");
            a.becomes(b.language);
            a.does("segment inherited");
            open(a);
            // What it was before is dead, and had held the lock.
            a.says("lock acquire l -1", "died");
            a.does("lock release l");
            a.says("queue get q -1", "*200000:9");
            a.says("segment participants", &a.pid().to_string());
            a.does("segment send");
            b.does("segment receive");
            open(b);
            b.says("value get v", "07000000");
        }),
        case("over memory that both have mapped", |pair| {
            let (name, path) = over(pair);
            let Pair { a, b, .. } = pair;
            b.says("value add v 1", "07000000");
            a.says("value get v", "08000000");
            b.does("queue put q -1 *200000:7");
            a.says("queue get q -1", "*200000:7");
            b.says("lock acquire l -1", "clean");
            a.fails("lock acquire l 0", WouldBlock);
            b.does("lock release l");
            a.does(&format!("segment unlink {name}"));
            std::fs::remove_file(path).unwrap();
        }),
        case("over memory, and who laid it is killed", |pair| {
            let (name, path) = over(pair);
            let Pair { a, b, .. } = pair;
            a.says("lock acquire l -1", "clean");
            b.does("queue put q -1 01");
            killed_with_both(a, b);
            b.does(&format!("segment unlink {name}"));
            std::fs::remove_file(path).unwrap();
        }),
        case("who has handed it on is killed", |pair| {
            anonymous(pair);
            let Pair { a, b, .. } = pair;
            a.does("segment send");
            b.does("segment receive");
            open(b);
            a.says("lock acquire l -1", "clean");
            a.does("queue put q -1 01");
            killed_with_both(a, b);
            b.does("event create e");
        }),
        case("and before it was received", |pair| {
            anonymous(pair);
            let Pair { a, b, .. } = pair;
            a.says("lock acquire l -1", "clean");
            a.does("segment send");
            a.kill();
            b.does("segment receive");
            open(b);
            b.says("lock acquire l -1", "died");
            b.does("lock release l");
            b.says("value get v", "07000000");
        }),
        case("who has received it is killed", |pair| {
            anonymous(pair);
            let Pair { a, b, .. } = pair;
            // The roles change: the first one is who can be killed.
            a.does("segment send");
            b.does("segment receive");
            open(b);
            a.does("reset");
            b.does("segment send");
            a.does("segment receive");
            open(a);
            b.does("queue put q -1 01");
            a.ask("queue recv q -1");
            a.says("lock acquire l -1", "clean");
            b.tell("lock acquire l -1");
            a.kill();
            b.hears("died");
            b.says("queue get q -1", "01");
            b.does("lock release l");
        }),
    ]
}
