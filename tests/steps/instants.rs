//! Deaths at single instructions, and around and within system calls.

use crate::Form;
use crate::play::{Played, Usual, play};
use crate::report::Phases;
use crate::scene::Case;
use crate::trace::{Call, Course, Instant, calls_of, play_until, steps_of};

/// How many instructions of an operation are looked at one by one, how many are tried that change nothing but
/// registers and own memory, and how many at either side of those that do.
fn most(form: Form) -> (usize, usize, usize) {
    match form {
        Form::Short => (20_000, 8, 14),
        Form::Long => (200_000, 150, 400),
        Form::All => (usize::MAX, usize::MAX, usize::MAX),
    }
}

/// How many system calls are tried. If they make the table it is all of them, or where there are more all that change
/// something.
const CALLS: usize = 40;

pub fn run_case(case: &Case, form: Form) {
    let (steps, others, effects) = most(form);
    let usual = Usual::of(|thorough| play(case, thorough, |scene| play_until(case, scene, Instant::Never)));
    let (mut course, mut calls) = (Course::default(), Vec::new());
    play(case, false, |scene| {
        course = steps_of(case, scene, steps);
        true
    });
    play(case, false, |scene| {
        calls = calls_of(case, scene);
        true
    });
    let (mut kills, mut plays) = (0, 0u64);
    let mut kill = |instant: Instant| -> Played {
        println!("at {instant:?} of {} instructions, {} calls", course.places.len(), calls.len());
        let thorough = plays % 16 == 0;
        let played = play(case, thorough, |scene| play_until(case, scene, instant));
        usual.check(&played, thorough);
        plays += 1;
        kills += u64::from(!played.through);
        played
    };
    let mut phases = Phases::default();
    let tried: Vec<usize> = match case.by_calls() {
        true => (0..calls.len()).filter(|n| calls.len() < CALLS || changes(calls[*n])).collect(),
        false => chosen(calls.len(), CALLS.max(others)).collect(),
    };
    for n in tried {
        let nth = calls[..=n].iter().filter(|number| **number == calls[n]).count() as u64;
        let (call, name) = (Call { number: calls[n], nth }, call_name(calls[n]));
        phases.add(&format!("a store before `{name}`"), kill(Instant::Entry(call)).dead());
        kill(Instant::Inside(call));
        phases.add(&format!("`{name}`"), kill(Instant::Exit(call)).dead());
    }
    let instants = course.instants();
    for i in chosen(course.effects.len(), effects) {
        let i = course.effects[i];
        kill(instants[i]);
        let Instant::At { place, nth, more } = instants[i] else { continue };
        kill(Instant::At { place, nth, more: more + 1 });
    }
    for i in chosen(instants.len(), others) {
        kill(instants[i]);
    }
    assert!(kills > 0, "nothing was killed");
    println!("@instructions {}\n@calls {}\n@kills {kills}", course.places.len(), calls.len());
    // It got through on some other way than the one that was looked at.
    println!("@missed {}", plays - kills);
    if case.by_calls() {
        println!("@row {}", phases.close());
    }
}

/// At most `most` of `count` things, spread evenly.
fn chosen(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let tried = count.min(most);
    (0..tried).map(move |n| if tried == count { n } else { n * count / tried })
}

/// Whether a system call may leave something behind that others see.
fn changes(number: i64) -> bool {
    let harmless =
        ["close", "fstat", "getdents64", "lseek", "newfstatat", "openat", "pread64", "read", "statx"];
    !harmless.contains(&call_name(number).as_str())
}

/// The name of a system call, of those that the library uses.
fn call_name(number: i64) -> String {
    let known = [
        (libc::SYS_close, "close"),
        (libc::SYS_clone, "clone"),
        (libc::SYS_clone3, "clone3"),
        (libc::SYS_exit_group, "exit_group"),
        (libc::SYS_fallocate, "fallocate"),
        (libc::SYS_fchmod, "fchmod"),
        (libc::SYS_fcntl, "fcntl"),
        (libc::SYS_fstat, "fstat"),
        (libc::SYS_ftruncate, "ftruncate"),
        (libc::SYS_futex, "futex"),
        (libc::SYS_getdents64, "getdents64"),
        (libc::SYS_linkat, "linkat"),
        (libc::SYS_lseek, "lseek"),
        (libc::SYS_madvise, "madvise"),
        (libc::SYS_memfd_create, "memfd_create"),
        (libc::SYS_mmap, "mmap"),
        (libc::SYS_munmap, "munmap"),
        (libc::SYS_newfstatat, "newfstatat"),
        (libc::SYS_openat, "openat"),
        (libc::SYS_pread64, "pread64"),
        (libc::SYS_prctl, "prctl"),
        (libc::SYS_pwrite64, "pwrite64"),
        (libc::SYS_read, "read"),
        (libc::SYS_recvmsg, "recvmsg"),
        (libc::SYS_sendmsg, "sendmsg"),
        (libc::SYS_statx, "statx"),
        (libc::SYS_unlinkat, "unlinkat"),
        (libc::SYS_wait4, "wait4"),
        (libc::SYS_write, "write"),
        #[cfg(target_arch = "x86_64")]
        (libc::SYS_unlink, "unlink"),
    ];
    let name = known.iter().find(|(known, _)| *known == number).map(|(_, name)| (*name).to_owned());
    name.unwrap_or_else(|| format!("system call {number}"))
}
