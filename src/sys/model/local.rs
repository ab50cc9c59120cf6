//! Locks within a process: they exclude its threads from each other.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::Ordering::{Acquire, Release};

use super::{Machine, ProcessId, machine, rc};

struct Local {
    word: loom::sync::atomic::AtomicU32,
    waiters: RefCell<Vec<loom::thread::Thread>>,
}

/// By process, and by the lock's address.
#[derive(Default)]
pub(super) struct LocalLocks(RefCell<HashMap<(ProcessId, usize), Rc<Local>>>);

impl LocalLocks {
    pub(super) fn begin(&self) {
        self.0.borrow_mut().clear();
    }

    /// Wakes the threads of a dead process.
    pub(super) fn stop(&self, process: ProcessId) {
        for ((of, _), local) in self.0.borrow().iter() {
            if *of == process {
                local.wake();
            }
        }
    }

    fn get(&self, process: ProcessId, address: usize) -> Rc<Local> {
        let new = || rc(Local { word: loom::sync::atomic::AtomicU32::new(0), waiters: RefCell::default() });
        Rc::clone(self.0.borrow_mut().entry((process, address)).or_insert_with(new))
    }
}

impl Local {
    fn wake(&self) {
        self.waiters.take().iter().for_each(loom::thread::Thread::unpark);
    }
}

/// The lock at `address`, where there are threads that it excludes.
fn contended(machine: &Machine, address: usize) -> Option<Rc<Local>> {
    let process = machine.process();
    let several = machine.processes[process].threads.get() > 1;
    (machine.running.get() && !machine.is_stopped() && several).then(|| machine.local.get(process, address))
}

/// Waits for the lock at `address`.
pub fn acquire(address: usize) {
    let machine = machine();
    let Some(local) = contended(machine, address) else { return };
    while machine.switching(|| local.word.swap(1, Acquire)) != 0 {
        local.waiters.borrow_mut().push(loom::thread::current());
        machine.switching(loom::thread::park);
    }
}

/// Gives the lock at `address` back.
pub fn release(address: usize) {
    let machine = machine();
    let Some(local) = contended(machine, address) else { return };
    machine.switching(|| local.word.store(0, Release));
    local.wake();
}
