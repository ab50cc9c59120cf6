//! The agent in Rust: a warm parent that forks short-lived workers to be killed, or a worker that stays.
//!
//! `agent SEGMENT LEDGER FAULTS PIDS LANE MODE` with descriptors by number; a line `N` on the input starts round N, and a
//! line `done` on the output ends it. Before `done`, the pid of each worker goes to PIDS as four bytes.

use std::io::{BufRead, Write};
use std::os::unix::process::CommandExt;
use std::sync::atomic::Ordering::SeqCst;

use sharecell::Segment;

use crate::ledger::*;
use crate::objects::Objects;
use crate::worker::Worker;

#[derive(Clone, clap::Args)]
pub struct Post {
    segment: String,
    ledger: i32,
    faults: i32,
    pids: i32,
    lane: usize,
    mode: String,
}

/// Opens everything for a round.
struct Scene {
    segment: Segment,
    _small: Segment,
    objects: Objects,
}

impl Scene {
    fn open(post: &Post, round: u64) -> Self {
        let segment = Segment::open(&post.segment).expect("the segment");
        let small = Segment::open(&format!("{}-small", post.segment)).expect("the small segment");
        let objects = Objects::open(&segment, &small, round).expect("the objects of the round");
        Self { segment, _small: small, objects }
    }
}

pub fn run(post: &Post) {
    let ledger = Ledger::map(post.ledger);
    // SAFETY: prctl has no preconditions. Who started us must not leave us behind; orphans come to us.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
    }
    if let Some(round) = post.mode.strip_prefix("after-exec-") {
        let scene = Scene::open(post, round.parse().expect("a round"));
        work_for_ever(&ledger, &scene, post, 0);
    }
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let round = line.parse().expect("a round");
        let scene = Scene::open(post, round);
        if post.mode == "steady" {
            stay(&ledger, &scene, post)
        } else {
            nest(&ledger, &scene, post, round)
        }
        drop(scene);
        println!("done");
        std::io::stdout().flush().expect("somebody listens");
    }
}

fn stopping(ledger: &Ledger) -> bool {
    ledger.head(head::STOP).load(SeqCst) != 0
}

/// Begins another life in a lane.
fn begin_life(ledger: &Ledger, lane: usize) {
    ledger.settle(lane);
    // An exec adds one, to an even number.
    let life = ledger.lane(lane, lane::LIFE);
    life.store((life.load(SeqCst) | 1) + 1, SeqCst);
}

fn stay(ledger: &Ledger, scene: &Scene, post: &Post) {
    begin_life(ledger, post.lane);
    ledger.lane(post.lane, lane::PID).store(std::process::id().into(), SeqCst);
    let mut worker = Worker::new(ledger, &scene.objects, &scene.segment, post.faults, post.lane);
    while !stopping(ledger) {
        worker.step();
    }
    ledger.settle(post.lane);
    ledger.lane(post.lane, lane::PID).store(0, SeqCst);
}

fn nest(ledger: &Ledger, scene: &Scene, post: &Post, round: u64) {
    while !stopping(ledger) {
        begin_life(ledger, post.lane);
        // SAFETY: this process has one thread.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
        // SAFETY: setpgid has no preconditions; both sides do it, so that it is done before either goes on.
        unsafe { libc::setpgid(pid, pid) };
        if pid == 0 {
            work_for_ever(ledger, scene, post, round);
        }
        ledger.lane(post.lane, lane::PID).store(pid as u64, SeqCst);
        // SAFETY: four bytes are there to be written.
        unsafe { libc::write(post.pids, (&raw const pid).cast(), 4) };
        let mut status = 0;
        // SAFETY: `status` is a valid place to write to.
        while unsafe { libc::waitpid(pid, &mut status, 0) } != pid {}
        if !libc::WIFSIGNALED(status) || libc::WTERMSIG(status) != libc::SIGKILL {
            let line = format!("lane {}: ended with status {status:x} before it was killed\n", post.lane);
            // SAFETY: the line is valid for its length.
            unsafe { libc::write(post.faults, line.as_ptr().cast(), line.len()) };
        }
        // What it had forked has been killed with it.
        // SAFETY: as above.
        while unsafe { libc::waitpid(-pid, &mut status, 0) } > 0 {}
        ledger.settle(post.lane + FORKED);
    }
    ledger.lane(post.lane, lane::PID).store(0, SeqCst);
    ledger.settle(post.lane);
}

fn work_for_ever(ledger: &Ledger, scene: &Scene, post: &Post, round: u64) -> ! {
    // SAFETY: prctl has no preconditions.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let mut worker = Worker::new(ledger, &scene.objects, &scene.segment, post.faults, post.lane);
    loop {
        worker.step();
        if round != 0 && worker.one_in(200) {
            fork(ledger, scene, post);
        }
        if round != 0 && worker.one_in(400) {
            exec(ledger, post, round);
        }
    }
}

/// A child that shares the handles, works a little as a participant of its own, and leaves without a word.
fn fork(ledger: &Ledger, scene: &Scene, post: &Post) {
    let lane = post.lane + FORKED;
    ledger.settle(lane);
    let life = ledger.lane(post.lane, lane::LIFE).load(SeqCst);
    ledger.lane(lane, lane::LIFE).store(life, SeqCst);
    ledger.lane(lane, lane::FORKS).fetch_add(1, SeqCst);
    // SAFETY: this process has one thread.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let mut worker = Worker::new(ledger, &scene.objects, &scene.segment, post.faults, lane);
        for _ in 0..20 {
            worker.step();
        }
        ledger.settle(lane);
        // SAFETY: ends this process and nothing else.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: no status is wanted.
    while pid > 0 && unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) } != pid {}
}

/// Goes on as a new program, which the others must take for the death of the old one.
fn exec(ledger: &Ledger, post: &Post, round: u64) {
    ledger.settle(post.lane);
    let life = ledger.lane(post.lane, lane::LIFE).load(SeqCst);
    ledger.lane(post.lane, lane::DOOMED).fetch_max(life, SeqCst);
    ledger.lane(post.lane, lane::LIFE).store(life + 1, SeqCst);
    ledger.lane(post.lane, lane::EXECS).fetch_add(1, SeqCst);
    let numbers = [post.ledger, post.faults, post.pids, post.lane as i32].map(|n| n.to_string());
    let error = std::process::Command::new("/proc/self/exe")
        .args(["agent", &post.segment])
        .args(numbers)
        .arg(format!("after-exec-{round}"))
        .exec();
    panic!("exec: {error}");
}
