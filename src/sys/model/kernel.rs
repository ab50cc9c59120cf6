//! The kernel, as far as the protocols use it: futexes, and locks on bytes of a file as leases.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs::File;
use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use super::mutation::{self, Action};
use super::words;
use super::{Machine, ProcessId, machine, rc};
use crate::error::Result;
use crate::sys::futex::Sleep;

struct Sleeper {
    address: usize,
    process: ProcessId,
    at: u64,
    thread: loom::thread::Thread,
}

/// The kernel's own state.
#[derive(Default)]
pub(super) struct Kernel {
    sleepers: RefCell<Vec<Sleeper>>,
    /// One lock per futex, as the kernel's buckets have: who wakes is ordered before or after who falls asleep.
    buckets: RefCell<HashMap<usize, Rc<loom::sync::Mutex<()>>>>,
    locks: RefCell<Vec<(u64, ProcessId)>>,
    /// Changed by each death: who finds a lease free has all that its owner did before him.
    deaths: RefCell<Option<Rc<loom::sync::atomic::AtomicU32>>>,
    dead: Cell<u32>,
    /// Whether time passes for who sleeps.
    ticking: Cell<bool>,
    /// Processes that have ended, in whatever way, and who waits for that: parents do.
    ended: Cell<u32>,
    parents: RefCell<Vec<(ProcessId, loom::thread::Thread)>>,
}

impl Kernel {
    pub(super) fn begin(&self) {
        self.sleepers.borrow_mut().clear();
        self.buckets.borrow_mut().clear();
        self.locks.borrow_mut().clear();
        *self.deaths.borrow_mut() = None;
        self.dead.set(0);
        self.ticking.set(false);
        self.ended.set(0);
        self.parents.borrow_mut().clear();
    }

    pub(super) fn open(&self) {
        *self.deaths.borrow_mut() = Some(rc(loom::sync::atomic::AtomicU32::new(0)));
    }

    fn bucket(&self, address: usize) -> Rc<loom::sync::Mutex<()>> {
        Rc::clone(self.buckets.borrow_mut().entry(address).or_insert_with(|| rc(loom::sync::Mutex::new(()))))
    }

    /// Ends a dead process's leases. Time passes for those who sleep.
    pub(super) fn bury(&self, machine: &Machine, process: ProcessId) {
        let deaths = self.deaths.borrow().clone().expect("the model runs");
        machine.switching(|| deaths.fetch_add(1, Release));
        self.dead.set(self.dead.get() + 1);
        self.release(process);
        self.pass_time(machine);
    }

    /// Wakes those who sleep, and from now on who falls asleep: the others may be late by as much as they like.
    fn pass_time(&self, machine: &Machine) {
        self.ticking.set(true);
        let ticking = |sleeper: &mut Sleeper| machine.processes[sleeper.process].ticks.get() > 0;
        let woken: Vec<Sleeper> = self.sleepers.borrow_mut().extract_if(.., ticking).collect();
        for sleeper in woken {
            tick(machine, sleeper.process, sleeper.at);
            machine.processes[sleeper.process].outcome.set(Some(Sleep::TimedOut));
            sleeper.thread.unpark();
        }
    }

    /// Ends all locks of a process.
    pub(super) fn release(&self, process: ProcessId) {
        self.locks.borrow_mut().retain(|(_, owner)| *owner != process);
    }

    /// Lets those go on who wait for a process's end.
    pub(super) fn end(&self, machine: &Machine, process: ProcessId) {
        if machine.patient.get() {
            self.pass_time(machine);
        }
        self.ended.set(self.ended.get() | 1 << process);
        for (_, parent) in self.parents.borrow_mut().extract_if(.., |(child, _)| *child == process) {
            parent.unpark();
        }
    }

    /// What a query of a lock is ordered after.
    fn ask(&self, machine: &Machine) {
        if !machine.running.get() || !machine.mortal.get() {
            return;
        }
        let deaths = self.deaths.borrow().clone().expect("the model runs");
        machine.switching(|| deaths.load(Acquire));
        if self.dead.get() > 0 {
            machine.switching(|| deaths.fetch_add(0, Acquire));
        }
    }
}

/// A sleep of `process` until `at` is over.
fn tick(machine: &Machine, process: ProcessId, at: u64) {
    let process = &machine.processes[process];
    process.ticks.set(process.ticks.get() - 1);
    process.now.set(process.now.get().max(at));
}

/// Waits until another process has ended or was killed, as its parent does.
pub fn wait_for_end(process: ProcessId) {
    let machine = machine();
    while machine.kernel.ended.get() & 1 << process == 0 {
        machine.kernel.parents.borrow_mut().push((process, loom::thread::current()));
        machine.switching(loom::thread::park);
    }
}

/// FUTEX_WAIT. A sleep ends by itself only after a death, or an end where time passes then, and not for ever.
#[track_caller]
pub fn wait(word: &AtomicU32, expected: u32, at: u64) -> Sleep {
    let machine = machine();
    let me = machine.current.get();
    assert!(machine.running.get(), "the model would sleep for ever");
    if machine.process().dead.get() {
        return Sleep::Interrupted;
    }
    machine.step();
    let address = word.as_ptr() as usize;
    let bucket = machine.kernel.bucket(address);
    let guard = machine.switching(|| bucket.lock().expect("no panic inside"));
    if words::load(word, Relaxed) != expected {
        machine.switching(|| drop(guard));
        return Sleep::Woken;
    }
    if machine.kernel.ticking.get() && machine.process().ticks.get() > 0 {
        tick(machine, me, at);
        machine.switching(|| drop(guard));
        return Sleep::TimedOut;
    }
    machine.trace(|| format!("sleeps, for {expected:#x}"));
    let thread = loom::thread::current();
    machine.kernel.sleepers.borrow_mut().push(Sleeper { address, process: me, at, thread });
    machine.switching(|| drop(guard));
    loop {
        if let Some(outcome) = machine.process().outcome.take() {
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
    if !machine.running.get() || machine.process().dead.get() {
        return 0;
    }
    machine.step();
    if mutation::at(Location::caller()) == Some(Action::Skip) {
        return 0;
    }
    let address = word.as_ptr() as usize;
    let bucket = machine.kernel.bucket(address);
    let guard = machine.switching(|| bucket.lock().expect("no panic inside"));
    let mut left = n;
    let chosen = |sleeper: &mut Sleeper| {
        let chosen = sleeper.address == address && left > 0;
        left -= u32::from(chosen);
        chosen
    };
    let woken: Vec<Sleeper> = machine.kernel.sleepers.borrow_mut().extract_if(.., chosen).collect();
    machine.trace(|| format!("wakes {} of {n}", woken.len()));
    for sleeper in &woken {
        machine.processes[sleeper.process].outcome.set(Some(Sleep::Woken));
        sleeper.thread.unpark();
    }
    machine.switching(|| drop(guard));
    woken.len() as u32
}

/// Whether another process has a byte locked.
pub fn is_locked(_: &File, byte: u64) -> Result<bool> {
    let machine = machine();
    machine.kernel.ask(machine);
    let me = machine.current.get();
    Ok(machine.kernel.locks.borrow().iter().any(|(locked, owner)| *locked == byte && *owner != me))
}

/// Locks a byte for the process, or gives it up; false when another one has it.
pub fn set_lock(byte: u64, lock: bool) -> bool {
    let machine = machine();
    let me = machine.current.get();
    if lock {
        machine.kernel.ask(machine);
    }
    let mut locks = machine.kernel.locks.borrow_mut();
    locks.retain(|held| *held != (byte, me));
    if lock && locks.iter().any(|(locked, _)| *locked == byte) {
        return false;
    }
    if lock {
        locks.push((byte, me));
    }
    true
}
