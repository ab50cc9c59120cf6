//! Locks on bytes of the segment's file, which belong to a description of it, and leases.
//!
//! A stand-in for the kernel's list of a file's locks. What it holds is exact at each moment. What it orders is one word
//! that each change of the list goes through, as the kernel's spin lock has it; a query reads it without that lock.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use super::{Machine, ProcessId, machine, rc};
use crate::error::Result;
use crate::sys::lease::Mode;

/// A byte that is locked, and by which description of which process.
struct Lock {
    byte: u64,
    process: ProcessId,
    description: i32,
    shared: bool,
}

#[derive(Default)]
pub(super) struct Locks {
    held: RefCell<Vec<Lock>>,
    /// Changed by each end of a lease: who finds one free has all that its owner did before him.
    changes: RefCell<Option<Rc<loom::sync::atomic::AtomicU32>>>,
    /// How many leases have ended.
    ended: Cell<u32>,
    /// Whether each lock changes it.
    ordering: Cell<bool>,
}

impl Locks {
    pub(super) fn begin(&self) {
        self.held.borrow_mut().clear();
        *self.changes.borrow_mut() = None;
        self.ended.set(0);
        self.ordering.set(false);
    }

    pub(super) fn open(&self) {
        *self.changes.borrow_mut() = Some(rc(loom::sync::atomic::AtomicU32::new(0)));
    }

    pub(super) fn let_order(&self) {
        self.ordering.set(true);
    }

    fn changes(&self) -> Rc<loom::sync::atomic::AtomicU32> {
        self.changes.borrow().clone().expect("the model runs")
    }

    /// Ends all locks of a process, at once.
    pub(super) fn end(&self, process: ProcessId) {
        self.held.borrow_mut().retain(|lock| lock.process != process);
    }

    /// Orders the end of one thread of a process before the end of the process.
    pub(super) fn stop(&self, machine: &Machine) {
        machine.switching(|| self.changes().fetch_add(0, AcqRel));
    }

    /// Ends all locks of a process that was killed.
    pub(super) fn bury(&self, machine: &Machine, process: ProcessId) {
        machine.switching(|| self.changes().fetch_add(1, Release));
        self.ended.set(self.ended.get() + 1);
        self.end(process);
    }

    /// Ends the locks of a description.
    fn close(&self, machine: &Machine, file: &File) {
        if machine.running.get() {
            machine.switching(|| self.changes().fetch_add(1, Release));
            self.ended.set(self.ended.get() + 1);
        }
        let (process, description) = (machine.process(), file.as_raw_fd());
        self.held.borrow_mut().retain(|lock| (lock.process, lock.description) != (process, description));
    }

    /// What a query of a lock is ordered after.
    fn ask(&self, machine: &Machine) {
        if !machine.running.get() || !(machine.mortal.get() || self.ordering.get()) {
            return;
        }
        machine.switching(|| self.changes().load(Acquire));
        // Exact, but for models in which a query's writing would order more than the kernel does.
        if self.ended.get() > 0 && !self.ordering.get() {
            machine.switching(|| self.changes().fetch_add(0, Acquire));
        }
    }

    /// What a change of the list is ordered with.
    fn change(&self, machine: &Machine, adds: bool) {
        if machine.running.get() && self.ordering.get() {
            machine.switching(|| self.changes().fetch_add(1, AcqRel));
        } else if adds {
            self.ask(machine);
        }
    }
}

/// Whether another description has a byte locked.
pub fn is_locked(file: &File, byte: u64) -> Result<bool> {
    let machine = machine();
    if machine.is_stopped() {
        return Ok(true);
    }
    machine.locks.ask(machine);
    let me = (machine.process(), file.as_raw_fd());
    let held = machine.locks.held.borrow();
    Ok(held.iter().any(|lock| lock.byte == byte && (lock.process, lock.description) != me))
}

/// Locks a byte for a description, or gives it up; false when another one is in the way.
pub fn set_lock(file: &File, byte: u64, mode: Option<Mode>) -> bool {
    let machine = machine();
    if machine.is_stopped() {
        return false;
    }
    machine.locks.change(machine, mode.is_some());
    let (process, description) = (machine.process(), file.as_raw_fd());
    let mut held = machine.locks.held.borrow_mut();
    held.retain(|lock| (lock.byte, lock.process, lock.description) != (byte, process, description));
    let Some(mode) = mode else { return true };
    let shared = matches!(mode, Mode::Shared);
    let in_the_way = |lock: &Lock| lock.byte == byte && !(shared && lock.shared);
    if held.iter().any(in_the_way) {
        return false;
    }
    held.push(Lock { byte, process, description, shared });
    true
}

/// A lock that lasts until its process ends or drops it.
pub struct Lease {
    /// The description that has the lock; its number is nobody else's as long as it is open.
    file: File,
    forgotten: bool,
}

impl Lease {
    /// Pins the locks of `file`.
    pub fn pin(file: File, _for_child: bool) -> Result<Self> {
        Ok(Self { file, forgotten: false })
    }

    /// A model has no children.
    pub fn keep_from_children(&self) -> Result<()> {
        Ok(())
    }

    /// Forgets the lease of a process that is not there any more: the kernel ends it.
    pub fn forget(mut self) {
        self.forgotten = true;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let machine = machine();
        if self.forgotten || machine.is_stopped() {
            return;
        }
        machine.locks.close(machine, &self.file);
    }
}
