//! The one file of a model, which is the segment's memory, and its one name.
//!
//! A name that is taken away is a word: who looks for it may still find it until he knows of what happened since.

use std::cell::RefCell;
use std::fs::File;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{SEGMENT, machine, memory, rc, words};
use crate::error::{Result, fail};
use crate::sys::shm::{Identity, Stat};
use crate::sys::{io_error, process};

/// What the segment is called.
pub const NAME: &str = "model";

/// How many names the file has.
#[derive(Default)]
pub(super) struct Files {
    links: RefCell<Option<Rc<loom::sync::atomic::AtomicU32>>>,
    unlinked: std::cell::Cell<bool>,
}

impl Files {
    pub(super) fn begin(&self) {
        *self.links.borrow_mut() = None;
        self.unlinked.set(false);
    }

    pub(super) fn open(&self) {
        *self.links.borrow_mut() = Some(rc(loom::sync::atomic::AtomicU32::new(1)));
    }
}

/// Whether the file has its name, as who asks sees it.
fn is_linked() -> bool {
    let machine = machine();
    if !machine.running.get() || machine.is_stopped() {
        return !machine.files.unlinked.get();
    }
    let links = machine.files.links.borrow().clone().expect("the model runs");
    machine.switching(|| links.load(Ordering::Acquire)) != 0
}

/// Opens a description of the file by its name.
pub fn open(name: &str) -> Result<File> {
    if name != NAME || !is_linked() {
        fail!(NotFound, "segment {name:?} does not exist");
    }
    description()
}

/// A description of the file.
pub fn description() -> Result<File> {
    File::open("/dev/null").map_err(|e| io_error("opening /dev/null", &e))
}

/// Describes the file.
pub fn stat(_: &File) -> Result<Stat> {
    let identity = Identity::default();
    Ok(Stat { identity, len: SEGMENT as u64, user: process::user(), regular: true })
}

/// Which file `name` leads to at the moment.
pub fn identity_of(name: &str) -> Option<Identity> {
    (name == NAME && is_linked()).then(Identity::default)
}

/// Whether the file has no name any more.
pub fn is_unlinked(_: &File) -> Result<bool> {
    Ok(!is_linked())
}

/// Removes the name.
pub fn unlink(name: &str) -> Result<()> {
    let machine = machine();
    if machine.is_stopped() {
        return Ok(());
    }
    machine.step();
    if machine.running.get() {
        let links = machine.files.links.borrow().clone().expect("the model runs");
        machine.switching(|| links.swap(0, Ordering::AcqRel));
    }
    if machine.files.unlinked.replace(true) {
        fail!(NotFound, "segment {name:?} does not exist");
    }
    machine.trace(|| "unlinks the file".into());
    Ok(())
}

/// The names of all segments.
pub fn names() -> Result<impl Iterator<Item = String>> {
    Ok(is_linked().then(|| NAME.to_owned()).into_iter())
}

/// The first bytes of the file, which nobody changes any more.
pub fn read<const N: usize>(_: &File) -> Result<[u8; N]> {
    // SAFETY: the memory is the model's own, longer than that, and all of it runs in one thread.
    Ok(unsafe { *memory().0.cast::<[u8; N]>() })
}

/// Writes a word of the file, as a copy by the kernel does: it orders nothing.
#[track_caller]
pub fn write_word(_: &File, at: u64, value: u32) -> Result<()> {
    // SAFETY: the word lies in the model's memory, which is never unmapped.
    let word = unsafe { &*memory().0.add(at as usize).cast::<AtomicU32>() };
    words::store(word, value, Ordering::Relaxed);
    Ok(())
}
