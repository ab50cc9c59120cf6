//! Deaths at single instructions, and around and within system calls.

use std::collections::{BTreeMap, BTreeSet};

use crate::Form;
use crate::play::{Usual, play};
use crate::report::Phases;
use crate::scene::Case;
use crate::trace::{Call, Course, Instant, calls_of, play_until, steps_of};
use crate::trials::side_by_side;

/// How many instructions of an operation are looked at one by one, how many are tried that change nothing but
/// registers and own memory, and how many at either side of those that do. Those come first whose code was run least often
/// before, so that a loop does not take them all.
fn most(form: Form) -> (usize, usize, usize) {
    match form {
        Form::Short => (20_000, 8, 14),
        Form::Long => (200_000, 150, 400),
        Form::All => (usize::MAX, usize::MAX, usize::MAX),
    }
}

/// How many of these are spread over the whole operation, whatever code they are in.
const SPREAD: usize = 4;
/// For the how-manieth time these may be come to: each time round a loop costs stops, and those who wait are watched.
const DEEP: u64 = 1000;

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
    let mut tried = around_calls(case, &calls, others);
    tried.extend(around_instructions(&course, effects, others).map(|instant| (instant, None)));
    let describe = |[n, _]: [u64; 2]| {
        let instant = tried[n as usize].0;
        format!("{instant:?} of {} instructions, {} calls", course.places.len(), calls.len())
    };
    let found = side_by_side(tried.len(), describe, |n, doing| {
        doing.note([n as u64, 0]);
        let thorough = n % 16 == 0;
        let played = play(case, thorough, |scene| play_until(case, scene, tried[n].0));
        usual.check(&played, thorough);
        played.dead().unwrap_or_default().to_owned()
    });
    let mut phases = Phases::default();
    for ((_, told), found) in tried.iter().zip(&found) {
        told.iter().for_each(|step| phases.add(step, found));
    }
    let kills = found.iter().filter(|found| !found.is_empty()).count();
    assert!(kills > 0, "nothing was killed");
    println!("@instructions {}\n@calls {}\n@kills {kills}", course.places.len(), calls.len());
    // It got through on some other way than the one that was looked at.
    println!("@missed {}", found.len() - kills);
    if case.by_calls() {
        println!("@row {}", phases.close());
    }
}

/// Before, in and after system calls; with what the table calls those that make it.
fn around_calls(case: &Case, calls: &[i64], others: usize) -> Vec<(Instant, Option<String>)> {
    let tried: Vec<usize> = match case.by_calls() {
        true => (0..calls.len()).filter(|n| calls.len() < CALLS || changes(calls[*n])).collect(),
        false => chosen(calls.len(), CALLS.max(others)).collect(),
    };
    let around = |n: usize| {
        let nth = calls[..=n].iter().filter(|number| **number == calls[n]).count() as u64;
        let (call, name) = (Call { number: calls[n], nth }, call_name(calls[n]));
        [
            (Instant::Entry(call), Some(format!("a store before `{name}`"))),
            (Instant::Inside(call), None),
            (Instant::Exit(call), Some(format!("`{name}`"))),
        ]
    };
    tried.into_iter().flat_map(around).collect()
}

/// Before and after instructions that others see, and before some of the others.
fn around_instructions(course: &Course, effects: usize, others: usize) -> impl Iterator<Item = Instant> {
    let instants = course.instants();
    let all: Vec<usize> = (0..instants.len()).collect();
    let both = |i: usize| [Some(instants[i]), instants[i].next()].into_iter().flatten();
    let mut tried: Vec<Instant> =
        newest(course, &course.effects, effects).into_iter().flat_map(both).collect();
    tried.extend(newest(course, &all, others).into_iter().map(|i| instants[i]));
    tried.into_iter()
}

/// At most `most` of these instructions of an operation, in order.
fn newest(course: &Course, of: &[usize], most: usize) -> Vec<usize> {
    let near: Vec<usize> =
        of.iter().copied().filter(|i| most == usize::MAX || course.visits[*i] <= DEEP).collect();
    let mut picked: BTreeSet<usize> = chosen(near.len(), most.min(SPREAD)).map(|i| near[i]).collect();
    let mut by_visit = BTreeMap::<u64, Vec<usize>>::new();
    of.iter().for_each(|i| by_visit.entry(course.visits[*i]).or_default().push(*i));
    for same in by_visit.values() {
        picked.extend(chosen(same.len(), most.saturating_sub(picked.len())).map(|i| same[i]));
    }
    picked.into_iter().collect()
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
