//! The kernel, as far as the protocols use it: futexes, time, and the ends of processes.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::panic::Location;
use std::rc::Rc;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use super::mutation::{self, Action};
use super::words;
use super::{Machine, ProcessId, ThreadId, machine, rc};
use crate::error::Result;
use crate::sys::futex::Sleep;

struct Sleeper {
    address: usize,
    id: ThreadId,
    at: u64,
    thread: loom::thread::Thread,
}

struct Parent {
    child: ProcessId,
    id: ThreadId,
    thread: loom::thread::Thread,
}

/// The kernel's own state.
#[derive(Default)]
pub(super) struct Kernel {
    sleepers: RefCell<Vec<Sleeper>>,
    /// One lock per futex, as the kernel's buckets have: who wakes is ordered before or after who falls asleep.
    buckets: RefCell<HashMap<usize, Rc<loom::sync::Mutex<()>>>>,
    /// Whether time passes for who sleeps.
    ticking: Cell<bool>,
    /// Processes that have ended, in whatever way, and who waits for that: parents do.
    ended: Cell<u32>,
    parents: RefCell<Vec<Parent>>,
}

impl Kernel {
    pub(super) fn begin(&self) {
        self.sleepers.borrow_mut().clear();
        self.buckets.borrow_mut().clear();
        self.ticking.set(false);
        self.ended.set(0);
        self.parents.borrow_mut().clear();
    }

    fn bucket(&self, address: usize) -> Rc<loom::sync::Mutex<()>> {
        Rc::clone(self.buckets.borrow_mut().entry(address).or_insert_with(|| rc(loom::sync::Mutex::new(()))))
    }

    /// Wakes the threads of a dead process, so that they end.
    pub(super) fn stop(&self, machine: &Machine, process: ProcessId) {
        let own = |id: ThreadId| machine.threads[id].of.get() == process;
        for sleeper in self.sleepers.borrow_mut().extract_if(.., |sleeper| own(sleeper.id)) {
            sleeper.thread.unpark();
        }
        for parent in self.parents.borrow_mut().extract_if(.., |parent| own(parent.id)) {
            parent.thread.unpark();
        }
        machine.local.stop(process);
    }

    /// Ends a dead process: its leases, and what others wait for. Time passes for those who sleep.
    pub(super) fn bury(&self, machine: &Machine, process: ProcessId) {
        machine.locks.bury(machine, process);
        self.pass_time(machine);
        self.end(machine, process);
    }

    /// Wakes those who sleep, and from now on who falls asleep: the others may be late by as much as they like.
    fn pass_time(&self, machine: &Machine) {
        self.ticking.set(true);
        let ticking = |sleeper: &mut Sleeper| machine.threads[sleeper.id].ticks.get() > 0;
        let woken: Vec<Sleeper> = self.sleepers.borrow_mut().extract_if(.., ticking).collect();
        for sleeper in woken {
            tick(machine, sleeper.id, sleeper.at);
            machine.threads[sleeper.id].outcome.set(Some(Sleep::TimedOut));
            sleeper.thread.unpark();
        }
    }

    /// Lets those go on who wait for a process's end.
    pub(super) fn end(&self, machine: &Machine, process: ProcessId) {
        if machine.patient.get() {
            self.pass_time(machine);
        }
        self.ended.set(self.ended.get() | 1 << process);
        for parent in self.parents.borrow_mut().extract_if(.., |parent| parent.child == process) {
            parent.thread.unpark();
        }
    }
}

/// A sleep of a thread until `at` is over.
fn tick(machine: &Machine, id: ThreadId, at: u64) {
    let thread = &machine.threads[id];
    thread.ticks.set(thread.ticks.get() - 1);
    thread.now.set(thread.now.get().max(at));
}

/// Waits until another process has ended or was killed, as its parent does.
pub fn wait_for_end(process: ProcessId) {
    let machine = machine();
    while machine.kernel.ended.get() & 1 << process == 0 {
        let parent = Parent { child: process, id: machine.current.get(), thread: loom::thread::current() };
        machine.kernel.parents.borrow_mut().push(parent);
        machine.switching(loom::thread::park);
    }
}

/// A short sleep, in which the others get on.
pub fn pause() -> Result<Sleep> {
    let machine = machine();
    if machine.running.get() && !machine.is_stopped() {
        machine.switching(loom::thread::yield_now);
    }
    Ok(Sleep::TimedOut)
}

/// FUTEX_WAIT. A sleep ends by itself only after a death, or an end where time passes then, and not for ever.
#[track_caller]
pub fn wait(word: &AtomicU32, expected: u32, at: u64) -> Sleep {
    let machine = machine();
    let me = machine.current.get();
    assert!(machine.running.get(), "the model would sleep for ever");
    if machine.is_stopped() {
        return Sleep::Interrupted;
    }
    machine.step();
    let address = word.as_ptr() as usize;
    let bucket = machine.kernel.bucket(address);
    // A thread that is stopped for good unwinds with it in hand, as the kernel would not.
    let guard = machine.switching(|| bucket.lock().unwrap_or_else(PoisonError::into_inner));
    if words::load(word, Relaxed) != expected {
        machine.switching(|| drop(guard));
        return Sleep::Woken;
    }
    if machine.kernel.ticking.get() && machine.thread().ticks.get() > 0 {
        tick(machine, me, at);
        machine.switching(|| drop(guard));
        return Sleep::TimedOut;
    }
    machine.trace(|| format!("sleeps, for {expected:#x}"));
    let thread = loom::thread::current();
    machine.kernel.sleepers.borrow_mut().push(Sleeper { address, id: me, at, thread });
    machine.switching(|| drop(guard));
    loop {
        if let Some(outcome) = machine.thread().outcome.take() {
            machine.trace(|| format!("wakes up: {outcome:?}"));
            return outcome;
        }
        machine.switching(loom::thread::park);
    }
}

/// FUTEX_WAKE.
#[track_caller]
pub fn wake(word: &AtomicU32, n: u32) -> u32 {
    let machine = machine();
    if !machine.running.get() || machine.is_stopped() {
        return 0;
    }
    machine.step();
    if mutation::at(Location::caller()) == Some(Action::Skip) {
        return 0;
    }
    let address = word.as_ptr() as usize;
    let bucket = machine.kernel.bucket(address);
    let guard = machine.switching(|| bucket.lock().unwrap_or_else(PoisonError::into_inner));
    let mut left = n;
    let chosen = |sleeper: &mut Sleeper| {
        let chosen = sleeper.address == address && left > 0;
        left -= u32::from(chosen);
        chosen
    };
    let woken: Vec<Sleeper> = machine.kernel.sleepers.borrow_mut().extract_if(.., chosen).collect();
    machine.trace(|| format!("wakes {} of {n}", woken.len()));
    for sleeper in &woken {
        machine.threads[sleeper.id].outcome.set(Some(Sleep::Woken));
        sleeper.thread.unpark();
    }
    machine.switching(|| drop(guard));
    woken.len() as u32
}
