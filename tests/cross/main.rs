//! Every object between every two languages: agents in Rust, C, C++ and Python understand the same
//! lines, and for each ordered pair of them one creates what the other uses, and one is killed while the
//! other goes on. The two are started by this test, so that neither is the other's parent.
//!
//! It needs what `make build` makes: the shared library, named by SHARECELL_LIBRARY or else in `release`
//! beside this test's own directory. SHARECELL_PYTHON is the interpreter (python3), CC and CXX the compilers (cc, c++).
//!
//! An agent says `ready`, then answers each line with one: `ok` and what was asked for, or `error`, the
//! number of the error and its text. Bytes are as in `data.rs`; a time limit is in milliseconds, 0 tries and
//! -1 is for ever; yes and no are 1 and 0. What was asked for stands behind the arrow.
//!
//! ```text
//! reset                                      closes all that is open
//! hammer NAME[/END] BYTES BYTES              says `ok`, then does with both in turn what the object is for
//! wait_any LIMIT THING... → THING...         those that are ready; readable:NAME[/END], writable:NAME[/END],
//!                                            set:NAME, free:NAME, exited:PID
//! bell arm THING..., poll LIMIT → YES, clear (its descriptor, in a loop of the language's own)
//!
//! segment create NAME LIMIT, open NAME, unlink NAME, remove OBJECT, recover
//!         anonymous LIMIT, is_anonymous → YES, send and receive over the socket between the two,
//!         exec WORDS (becomes another program, with a descriptor of the segment), inherited (by that)
//!         is_unlinked → YES, limit → BYTES, size → BYTES, participants → PID...
//!         objects → NAME:KIND:TYPECODE:COUNT...
//!
//! The commands of objects have the kind, the verb, the object's name, and then:
//! (all)     open, close
//! value     create TYPE BYTES, open TYPE
//!           get → BYTES, set BYTES, add AMOUNT → BYTES before, exchange BYTES → BYTES before
//!           compare_exchange EXPECTED NEW → CHANGED BYTES before
//!           lock LIMIT → clean|died, unlock
//! array     create TYPE LENGTH → LENGTH, open TYPE → LENGTH
//!           get INDEX → BYTES, set INDEX BYTES, read START COUNT → BYTES, write START BYTES, fill BYTES
//!           peek START COUNT → BYTES, poke START BYTES (both by the address)
//!           text → BYTES, set_text BYTES, raw → BYTES, lock and unlock as of a value
//! lock      create, acquire LIMIT → clean|died, release, is_held → YES, poison, clear_poison → YES
//!           is_poisoned → YES, repair LIMIT HOW VALUE
//! rlock     create, acquire LIMIT → clean|died, release, is_held → YES
//! rwlock    create, read LIMIT → clean|died, write LIMIT → clean|died, release_read, release_write
//! condition create, acquire LIMIT → clean|died, release, wait LIMIT → clean|died
//!           notify N, notify_all, waiters → N, wait_for LIMIT VALUE BYTES → YES|died
//! event     create, set, clear, is_set → YES, wait LIMIT
//! barrier   create PARTIES, wait LIMIT → NUMBER, abort, reset
//!           wait_with LIMIT HOW VALUE → NUMBER
//!           parties → N, n_waiting → N, is_broken → YES
//! semaphore create VALUE [bounded|undo], acquire LIMIT, release N, value → N
//! queue     create CAPACITY LARGEST (or 0) [joinable], put LIMIT BYTES, get LIMIT → BYTES
//!           put_many LIMIT BYTES... → N, get_many LIMIT MOST → BYTES...
//!           recv LIMIT → NUMBER DELIVERIES BYTES, release, put_back
//!           reserve LIMIT LENGTH, write BYTES, commit BYTES, abort
//!           qsize → N, capacity → N, empty → YES, full → YES, shutdown, is_shutdown → YES
//!           task_done, join LIMIT
//! pipe      create duplex|simplex CAPACITY (both ends); all others have the end, A or B, behind the name
//!           open_or_create duplex|simplex, send LIMIT BYTES, recv LIMIT → BYTES, recv_into SIZE → BYTES
//!           poll LIMIT → YES, can → RECEIVE SEND, recv_in_place LIMIT → BYTES, release
//!           reserve LENGTH, write BYTES, commit BYTES, abort
//! ```
//!
//! HOW a repair or an action ends, after it has added 1 to VALUE: works, fails, stays.

#![cfg(feature = "capi")]

mod agent;
mod callbacks;
mod data;
mod driver;
mod handed;
mod kills;
mod several;
mod toolbox;
mod uses;

use driver::{Agent, Case, Language, run};

/// Each agent starts and ends in good order; as an agent, this is the one in Rust.
#[test]
fn agents_answer() {
    if std::env::var_os(driver::ROLE).is_some() {
        agent::main();
    }
    for language in Language::ALL {
        let mut agent = Agent::start(language);
        agent.says("reset", "");
        assert!(agent.end().success(), "the agent in {language:?} ended badly");
    }
}

#[test]
fn segments() {
    run("segments", uses::segments());
}

#[test]
fn values() {
    run("values", uses::values());
}

#[test]
fn arrays() {
    run("arrays", uses::arrays());
}

#[test]
fn locks_and_semaphores() {
    run("locks and semaphores", uses::locks_and_semaphores());
}

#[test]
fn queues() {
    run("queues", uses::queues());
}

#[test]
fn pipes() {
    run("pipes", uses::pipes());
}

#[test]
fn errors() {
    run("errors", uses::errors());
}

#[test]
fn killed_while_holding() {
    run("killed while holding", kills::holding());
}

#[test]
fn killed_while_writing() {
    run("killed while writing", kills::writing());
}

#[test]
fn killed_while_reading() {
    run("killed while reading", kills::reading());
}

#[test]
fn killed_anywhere() {
    run("killed anywhere", kills::anywhere());
}

#[test]
fn toolbox() {
    run("toolbox", toolbox::uses());
}

#[test]
fn toolbox_killed_while_holding_or_waiting() {
    run("toolbox, killed while holding or waiting", toolbox::kills());
}

#[test]
fn toolbox_killed_anywhere() {
    run("toolbox, killed anywhere", toolbox::anywhere());
}

#[test]
fn several() {
    run("waiting for several", several::uses());
}

#[test]
fn several_made_ready_by_a_death() {
    run("waiting for several, made ready by a death", several::kills());
}

#[test]
fn callbacks() {
    run("callbacks", callbacks::uses());
}

#[test]
fn killed_in_callbacks() {
    run("killed in callbacks", callbacks::kills());
}

#[test]
fn segments_handed_on() {
    run("segments handed on", handed::cases());
}

/// A case of some name.
fn case(name: &str, check: fn(&mut driver::Pair)) -> Case {
    (name.to_owned(), Box::new(check))
}
