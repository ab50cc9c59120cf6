//! What a participant has open, listed by itself in shared memory before the open returns.
//!
//! So a sweep visits what the dead one had open and not everything, a pipe knows when nobody holds an end,
//! and a removed object is freed when nobody lists it. An entry is one word, object and role; the process
//! counts its own handles and keeps one entry for all of them.
//!
//! Only the owner writes its list, by single stores; everybody may read it.
//!
//! ```text
//!   entry:  0 ──listed──▶ (object, role) ──last handle closed──▶ (object, role | LEAVING)
//!           ▲                                                          │ others told
//!           └───────────────── freed if it was removed ──── (object, LEFT)
//! ```
//!
//! A LEAVING entry does not count as a holder of the object, but keeps it from being freed while the others are told. A
//! LEFT one only tells a sweep what remains to be done if its owner dies. The entries of a dead participant are taken
//! as LEAVING in the state LEFT of its seat, and as LEFT ones in the state SWEPT, but for objects that another sweeper
//! is still visiting; see [`recover`](super::recover).

use std::collections::HashMap;

use super::attach::Attached;
use super::fork::registry;
use crate::atomic::{Acquire, AtomicU64, Relaxed, Release, SeqCst, fence};
use crate::error::Result;
use crate::kinds;
use crate::layout::{INLINE_ENTRIES, ListPage, PAGE_ENTRIES, SEAT_LEFT, SEAT_LIVE, SEAT_SWEPT, Slot};
use crate::sys::clock::Deadline;
use crate::wait::Label;

/// An object and in what role it is open (a pipe's end; 1 for all else), as an entry.
pub(super) fn pack(block: u64, role: u32) -> u64 {
    block << 4 | u64::from(role)
}

/// Added to the role of an object that is being closed.
const LEAVING: u32 = 8;
/// In place of a role: all that may be left to do is to free the object.
const LEFT: u32 = 15;

fn unpack(entry: u64) -> (u64, u32) {
    (entry >> 4, entry as u32 & 15)
}

/// The process's own view of its list.
#[derive(Default)]
pub(super) struct OpenList {
    /// By entry: how many handles there are, and the entry's position.
    held: HashMap<u64, (usize, usize)>,
    /// Positions that were given back.
    free: Vec<usize>,
    /// The first position that was never used.
    next: usize,
    /// The offsets of the pages of the list.
    pub(super) pages: Vec<u64>,
}

impl Attached {
    fn entry(&self, me: Label, pages: &[u64], position: usize) -> Result<&AtomicU64> {
        match position.checked_sub(INLINE_ENTRIES) {
            None => Ok(&self.slot(me).entries[position]),
            Some(rest) => {
                let page: &ListPage = self.at(pages[rest / PAGE_ENTRIES])?;
                Ok(&page.entries[rest % PAGE_ENTRIES])
            }
        }
    }

    /// Adds a page to the list of `me`, whose pages so far are `pages`; its offset.
    fn add_page(&self, me: Label, pages: &[u64]) -> Result<u64> {
        let block = self.allocate_as(me, size_of::<ListPage>() as u64, Deadline::Never)?;
        let page: &ListPage = self.at(block.offset)?;
        page.next.store(0, Relaxed);
        for entry in &page.entries {
            entry.store(0, Relaxed);
        }
        let link = match pages.last() {
            Some(last) => &self.at::<ListPage>(*last)?.next,
            None => &self.slot(me).list,
        };
        link.store(block.at.pack(), Release); // pairs with the loads in `entries_of`
        Ok(block.offset)
    }

    /// A position in this process's list that nobody else will use, and its word.
    fn reserve(&self) -> Result<(usize, &AtomicU64)> {
        let me = self.me()?;
        let _registry = registry();
        // SAFETY: the registry lock is held.
        let open = unsafe { &mut *self.open.get() };
        let position = match open.free.pop() {
            Some(position) => position,
            None => {
                if open.next >= INLINE_ENTRIES + open.pages.len() * PAGE_ENTRIES {
                    let page = self.add_page(me, &open.pages)?;
                    open.pages.push(page);
                }
                open.next += 1;
                open.next - 1
            }
        };
        Ok((position, self.entry(me, &open.pages, position)?))
    }

    /// Another handle for what is open already; false if it is not.
    fn share(&self, entry: u64) -> bool {
        let _registry = registry();
        // SAFETY: the registry lock is held.
        let open = unsafe { &mut *self.open.get() };
        open.held.get_mut(&entry).map(|(handles, _)| *handles += 1).is_some()
    }

    /// Counts a first handle, or one more if another thread was faster and `position` is not needed.
    fn hold_entry(&self, entry: u64, position: usize, word: &AtomicU64) {
        let _registry = registry();
        // SAFETY: the registry lock is held.
        let open = unsafe { &mut *self.open.get() };
        let held = open.held.entry(entry).or_insert((0, position));
        held.0 += 1;
        if held.1 != position {
            word.store(0, Release);
            open.free.push(position);
        }
    }

    fn drop_position(&self, position: usize, word: &AtomicU64) {
        word.store(0, Release);
        let _registry = registry();
        // SAFETY: the registry lock is held.
        unsafe { &mut *self.open.get() }.free.push(position);
    }

    /// Lists an object as open in `role` if `still` says, after the entry can be seen, that it is there.
    pub(super) fn list(&self, block: u64, role: u32, still: impl FnOnce() -> bool) -> Result<bool> {
        let entry = pack(block, role);
        self.me()?;
        if self.share(entry) {
            if still() {
                return Ok(true);
            }
            self.unlist(block, role)?;
            return Ok(false);
        }
        let (position, word) = self.reserve()?;
        word.store(entry, Release);
        fence(SeqCst); // pairs with the fence in `remove`: he sees the entry, or we see his mark
        if still() {
            self.hold_entry(entry, position, word);
            return Ok(true);
        }
        // Who removed it may have seen the entry, and left the object to us.
        word.store(pack(block, LEFT), Release);
        let _ = self.leave(block);
        self.drop_position(position, word);
        Ok(false)
    }

    /// Lists what `create` makes: it is given the word for the entry, and its packed block is counted.
    pub(super) fn list_new(&self, role: u32, create: impl FnOnce(&AtomicU64) -> Result<u64>) -> Result<u64> {
        let (position, word) = self.reserve()?;
        match create(word) {
            Ok(block) => {
                self.hold_entry(pack(block, role), position, word);
                Ok(block)
            }
            Err(e) => {
                self.drop_position(position, word);
                Err(e)
            }
        }
    }

    /// Drops one handle to an object. With the process's last one, what it still holds of the object is given
    /// back as if it had died, and the object is closed.
    pub(super) fn unlist(&self, block: u64, role: u32) -> Result<()> {
        let me = self.me()?;
        let registry = registry();
        // SAFETY: the registry lock is held.
        let open = unsafe { &mut *self.open.get() };
        let Some((handles, position)) = open.held.get_mut(&pack(block, role)) else { return Ok(()) };
        *handles -= 1;
        if *handles > 0 {
            return Ok(());
        }
        let position = *position;
        let word = self.entry(me, &open.pages, position)?;
        // Under the registry lock, so that no other thread opens it meanwhile and holds something anew.
        if let Ok(found) = self.object(block) {
            kinds::give_back(self, &found, role, me);
        }
        word.store(pack(block, role | LEAVING), Release);
        open.held.remove(&pack(block, role));
        drop(registry);
        self.tell(block, role);
        word.store(pack(block, LEFT), Release);
        let _ = self.leave(block);
        self.drop_position(position, word);
        Ok(())
    }

    /// How many objects this process has open.
    pub(super) fn open_count(&self) -> usize {
        let _registry = registry();
        // SAFETY: the registry lock is held.
        unsafe { &*self.open.get() }.held.len()
    }

    /// Calls `visit` with object and role of each object that a participant holds, until it returns true.
    pub(super) fn held_by(&self, label: Label, mut visit: impl FnMut(u64, u32) -> bool) -> bool {
        self.entries_of(label, |block, role| role & LEAVING == 0 && visit(block, role))
    }

    /// Calls `visit` with object and role of each object that a participant keeps from being freed.
    pub(super) fn pinned_by(&self, label: Label, mut visit: impl FnMut(u64, u32) -> bool) -> bool {
        self.entries_of(label, |block, role| role != LEFT && visit(block, role & !LEAVING))
    }

    /// Calls `visit` with each entry of a participant's list.
    pub(super) fn entries_of(&self, label: Label, mut visit: impl FnMut(u64, u32) -> bool) -> bool {
        let slot = self.slot(label);
        let mut look = |entries: &[AtomicU64]| {
            entries.iter().any(|word| {
                let (block, role) = unpack(word.load(Acquire));
                block != 0 && visit(block, role)
            })
        };
        if look(&slot.entries) {
            return true;
        }
        let mut next = slot.list.load(Acquire);
        for _ in 0..self.map.len() / size_of::<ListPage>() as u64 {
            if next == 0 {
                break;
            }
            let Ok(page) = self.block(next).and_then(|block| self.at::<ListPage>(block.offset)) else {
                break;
            };
            if look(&page.entries) {
                return true;
            }
            next = page.next.load(Acquire);
        }
        false
    }

    /// Whether a participant, or who visits what a dead one had open, may still use the object.
    pub(super) fn pins(&self, label: Label, block: u64) -> bool {
        let seat = self.seat(label);
        matches!(seat.state, SEAT_LIVE | SEAT_LEFT | SEAT_SWEPT)
            && self.pinned_by(label, |listed, _| listed == block)
            && (seat.state != SEAT_SWEPT || self.is_visited(label, seat))
    }

    /// The participants, dead ones that were not swept yet included, that have an object open in `role`.
    pub fn holders(&self, block: u64, role: u32) -> impl Iterator<Item = Label> {
        self.labels().filter(move |label| {
            self.seat(*label).state == SEAT_LIVE
                && self.held_by(*label, |listed, as_role| listed == block && as_role == role)
        })
    }

    /// Copies this process's list for the child it is about to fork; the offsets of the copy's pages. Only
    /// what there are handles for: another thread may be opening or closing something at this moment, and
    /// does not exist in the child. The registry lock must be held.
    pub(super) fn copy_list(&self, child: Label) -> Result<Vec<u64>> {
        // SAFETY: the caller holds the registry lock.
        let open = unsafe { &*self.open.get() };
        let mut pages = Vec::with_capacity(open.pages.len());
        while pages.len() < open.pages.len() {
            pages.push(self.add_page(child, &pages)?);
        }
        for (entry, (_, position)) in &open.held {
            self.entry(child, &pages, *position)?.store(*entry, Release);
        }
        Ok(pages)
    }

    /// Empties the list in a slot that is about to be used anew.
    pub(super) fn clear_list(slot: &Slot) {
        let words = [&slot.list].into_iter().chain(&slot.entries).chain(&slot.touched);
        words.filter(|word| word.load(Relaxed) != 0).for_each(|word| word.store(0, Relaxed));
    }
}
