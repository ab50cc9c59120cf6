//! All segments that this process is attached to, and what happens to them when it forks.
//!
//! Peers must never see a moment at which neither parent nor child holds a handle. So before the fork, a
//! seat, a lease and a copy of the open-list are made ready for the child; the child takes them over with
//! async-signal-safe calls only, and the parent drops its view of them. Where that fails the child is born
//! not attached, which its wiped label says, and each use is an error. Guards that the parent holds are
//! inert in the child, because they carry the parent's label.

use std::fs::File;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use super::attach::{Attached, seat_byte};
use crate::atomic::Relaxed;
use crate::error::{ErrorKind, Result, fail};
use crate::sys::fork::{ForkGuard, ForkLock, LabelCell, Labels, on_fork, stay_loaded};
use crate::sys::lease::{Lease, Mode, is_locked, try_lock, unlock};
#[cfg(loom)]
use crate::sys::model;
use crate::sys::process::Who;
use crate::sys::shm::Identity;
use crate::sys::{membarrier, poll, process, shm};
use crate::wait::Label;

static REGISTRY: ForkLock<Registry> = ForkLock::new(Registry::new());

#[cfg(not(loom))]
fn own_registry() -> &'static ForkLock<Registry> {
    &REGISTRY
}

/// Each process of a model has its own.
#[cfg(loom)]
fn own_registry() -> &'static ForkLock<Registry> {
    static OF_PROCESSES: [ForkLock<Registry>; model::MOST] =
        [const { ForkLock::new(Registry::new()) }; model::MOST];
    &OF_PROCESSES[model::process()]
}

/// What this process is attached to.
pub(super) struct Registry {
    labels: Labels,
    /// What people want to know of this process, and a cell that is not 0 in the process that it is said of.
    who: Option<(LabelCell, Who)>,
    /// The file systems whose leases were tried.
    tested: Vec<u64>,
    attached: Vec<(Identity, Weak<Attached>)>,
    /// Kept alive across a fork. Dropping the last reference to an attachment takes this lock, so it must not
    /// be done under it: a child leaves that to who takes the lock next.
    parked: Vec<Arc<Attached>>,
}

/// Whether the handlers are there: 0 no, [`HOOKED`] yes, else the process in which a thread is at it.
static HOOKS: AtomicU32 = AtomicU32::new(0);
const HOOKED: u32 = u32::MAX;

/// Makes sure of the fork handlers before the registry is locked for the first time: a child forked without them, while
/// another thread has the lock, would find it held by nobody. For the same reason this is no `Once`.
fn hook() -> Result<()> {
    loop {
        let seen = HOOKS.load(Ordering::Acquire);
        if seen == HOOKED || cfg!(loom) {
            return Ok(());
        }
        let me = process::pid();
        // Of another process: this one was forked while that was at it, and its thread is not here.
        if seen == me || HOOKS.compare_exchange(seen, me, Ordering::Acquire, Ordering::Relaxed).is_err() {
            process::give_way();
            continue;
        }
        stay_loaded();
        let hooked = on_fork(prepare, parent, child);
        if hooked.is_ok() {
            membarrier::register();
        }
        HOOKS.store(if hooked.is_ok() { HOOKED } else { 0 }, Ordering::Release);
        return hooked;
    }
}

/// The lock under which attachments and open-lists change. Nothing else may be waited for while it is held,
/// but for the arena's growth.
pub(super) fn registry() -> ForkGuard<'static, Registry> {
    let _ = hook(); // who attaches finds the error
    loop {
        let mut registry = own_registry().lock();
        if registry.parked.is_empty() {
            return registry;
        }
        let parked = std::mem::take(&mut registry.parked);
        drop(registry);
        drop(parked);
    }
}

impl Registry {
    const fn new() -> Self {
        Self {
            labels: Labels::new(),
            who: None,
            tested: Vec::new(),
            attached: Vec::new(),
            parked: Vec::new(),
        }
    }

    /// That of a process that has just begun.
    #[cfg(loom)]
    pub(super) fn renew(&mut self) {
        *self = Self::new();
    }

    /// A label cell for a new attachment.
    pub(super) fn new_label(&mut self) -> Result<LabelCell> {
        hook()?;
        self.labels.take()
    }

    /// This process, as people want to know it. It is asked about once.
    pub(super) fn who(&mut self) -> Result<Who> {
        let cell = match self.who {
            Some((cell, who)) if cell.load(Ordering::Relaxed) != 0 => return Ok(who),
            Some((cell, _)) => cell,
            None => self.labels.take()?,
        };
        let who = Who::myself();
        cell.store(1, Ordering::Relaxed);
        self.who = Some((cell, who));
        Ok(who)
    }

    /// Makes sure that the lease that `attached` has just taken is seen, by a description that does not hold it. Files of
    /// one system behave alike, so one of each is tried in a process.
    pub(super) fn test_leases(&mut self, attached: &Attached, label: Label) -> Result<()> {
        let device = attached.identity.device();
        if self.tested.contains(&device) {
            return Ok(());
        }
        if !is_locked(attached.file()?, seat_byte(label))? {
            fail!(
                Unsupported,
                "the kernel does not report the lock that this process just took (F_OFD_GETLK)"
            );
        }
        self.tested.push(device);
        Ok(())
    }

    /// Gives a label cell back.
    pub(super) fn drop_label(&mut self, cell: LabelCell) {
        self.labels.give(cell);
    }

    /// The attachment to the file of `identity`, if this process has one.
    pub(super) fn find(&mut self, identity: Identity) -> Option<Arc<Attached>> {
        let same = self.attached.iter().filter(|(other, _)| *other == identity);
        let found: Vec<_> = same.filter_map(|(_, attached)| attached.upgrade()).collect();
        let usable = found.iter().find(|attached| attached.me().is_ok()).cloned();
        self.parked.extend(found);
        usable
    }

    /// Adds an attachment, and forgets those that are gone.
    pub(super) fn add(&mut self, attached: &Arc<Attached>) {
        self.attached.retain(|(_, other)| other.strong_count() > 0);
        self.attached.push((attached.identity, Arc::downgrade(attached)));
    }
}

/// What is ready for a child: its label, its lease, its own description of the file, and its list's pages.
pub(super) struct ChildSeat {
    label: Label,
    lease: Lease,
    probe: File,
    pages: Vec<u64>,
}

extern "C" fn prepare() {
    REGISTRY.acquire();
    // SAFETY: acquired above; `parent` and `child` give it back.
    let registry = unsafe { REGISTRY.held() };
    registry.parked.extend(registry.attached.iter().filter_map(|(_, attached)| attached.upgrade()));
    for attached in &registry.parked {
        // SAFETY: the registry lock is held.
        unsafe { *attached.child.get() = attached.seat_for_child().ok() };
    }
}

extern "C" fn parent() {
    // SAFETY: `prepare` acquired the lock in this thread.
    let parked = unsafe {
        let parked = std::mem::take(&mut REGISTRY.held().parked);
        for attached in &parked {
            // Dropping it unmaps the parent's view of the child's lease; the child has its own.
            drop((*attached.child.get()).take());
        }
        REGISTRY.release();
        parked
    };
    drop(parked);
}

extern "C" fn child() {
    membarrier::register();
    HOOKS.store(HOOKED, Ordering::Relaxed); // it is, or this would not run
    // SAFETY: this is the only thread of the child, and a copy of the one that ran `prepare`.
    unsafe {
        for attached in &REGISTRY.held().parked {
            attached.adopt_child_seat();
        }
        REGISTRY.release();
    }
}

impl Attached {
    /// Takes a seat for the child about to be forked. The registry lock is held.
    fn seat_for_child(&self) -> Result<ChildSeat> {
        let me = self.me()?;
        let file = shm::reopen(self.file()?)?;
        let probe = shm::reopen(self.file()?)?;
        let Some(label) = self.free_seat(&file)? else { return Err(ErrorKind::TableFull.into()) };
        let lease = Lease::pin(file, true)?;
        let pages = self.copy_list(label)?;
        for (from, to) in self.slot(me).command.iter().zip(&self.slot(label).command) {
            to.store(from.load(Relaxed), Relaxed);
        }
        Ok(ChildSeat { label, lease, probe, pages })
    }

    /// Takes a free seat with `file`, after sweeping the dead if there is none.
    fn free_seat(&self, file: &File) -> Result<Option<Label>> {
        for round in 0..super::SEAT_ROUNDS {
            if round > 0 {
                self.sweep_all();
            }
            for label in self.labels() {
                if self.try_seat(file, label)? {
                    return Ok(Some(label));
                }
            }
            // A seat that is being swept at this moment is free in a moment.
            if round > 0 {
                if !self.labels().any(|label| self.is_dead(label)) {
                    break;
                }
                let _ = poll::pause();
            }
        }
        Ok(None)
    }

    /// Takes the seat of `label` with `file` if it is free; the lease is `file`'s then.
    pub(super) fn try_seat(&self, file: &File, label: Label) -> Result<bool> {
        if self.seat(label).state != crate::layout::SEAT_FREE
            || !try_lock(file, seat_byte(label), Mode::Exclusive)?
        {
            return Ok(false);
        }
        // With the lease in hand nobody else can take the seat; it may have been taken and left just before.
        if self.take_seat(label) {
            return Ok(true);
        }
        unlock(file, seat_byte(label))?;
        Ok(false)
    }

    /// Becomes the participant that the parent made ready (async-signal-safe).
    ///
    /// # Safety
    /// Only in a forked child, before anything else in it runs.
    unsafe fn adopt_child_seat(&self) {
        // SAFETY: there is no other thread, so the cells are this function's own. What is replaced is only
        // closed or forgotten, never freed: the lease of the parent is not mapped here.
        unsafe {
            self.sweeping.reset();
            self.watching.store(false, Ordering::Relaxed);
            if let Some(lease) = (*self.lease.get()).take() {
                lease.forget();
            }
            let Some(seat) = (*self.child.get()).take() else { return };
            drop(std::mem::replace(&mut *self.probe.get(), seat.probe));
            let _ = seat.lease.keep_from_children();
            *self.lease.get() = Some(seat.lease);
            let pages = &mut (*self.open.get()).pages;
            // The old pages' vector is leaked: a child may not free memory here.
            std::mem::forget(std::mem::replace(pages, seat.pages));
            self.slot(seat.label).pid.store(u64::from(process::pid()), Relaxed);
            self.label.store(seat.label, Ordering::Relaxed);
        }
    }
}
