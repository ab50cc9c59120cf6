//! The directory: which object has which name.
//!
//! Chained hash tables, each eight times as large as the one before; a table never moves and an object stays
//! in its chain until it is freed, so finding one of 100,000 takes a few steps. Finding takes no lock;
//! creating and removing happen under the header's `directory` lock, and each is committed by one store:
//!
//! ```text
//!   create:  block OWNED(p), filled ─ pending = block ─ OBJECT ─ head = block (commits) ─ pending = 0
//!   remove:  pending = block ─ state = REMOVED (commits: the name is free again) ─ pending = 0
//!   free:    pending = block ─ unlink from chain ─ bump `unlinked` ─ what it holds ─ FREE ─ pending = 0
//! ```
//!
//! An object is freed when it was removed and nobody has it open: by who removes it, or by the last to leave.
//!
//! A death under the lock is told to the next holder (`OwnerDied`), who first settles the pending block: one
//! that is a table, or an object in its chain that is live or open somewhere, stays; any other is unlinked and
//! freed. So either all of a change has happened or nothing of it.
//!
//! A reader may stand on an object that is being freed. It notices by `unlinked`, which is bumped after the
//! object left its chain and before its memory is reused, and starts again. What it found it notes in its
//! open-list, fences, and looks whether the object is still live and the same; who frees marks the object,
//! fences, and reads the lists. One of the two sees the other.

use super::arena::{Block, Owner};
use super::attach::Attached;
use super::openlist;
use crate::atomic::{Acquire, AtomicU64, Relaxed, Release, SeqCst, fence};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::kinds;
use crate::latch::Acquired;
use crate::layout::{LEVELS, LIVE, NAME_MAX, OBJECT_HEADER, ObjectHeader, REMOVED, Spec};
use crate::sys::clock::Deadline;
use crate::wait::Label;

/// The chains of the first table.
const FIRST_TABLE: u64 = 256;

fn table_len(level: usize) -> u64 {
    FIRST_TABLE << (3 * level)
}

fn hash(name: &str) -> u64 {
    crate::layout::fnv(name.bytes())
}

/// Checks the name of an object.
pub fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        fail!(InvalidName, "the name of an object must not be empty");
    }
    if name.len() > NAME_MAX {
        fail!(InvalidName, "the name of an object has at most {NAME_MAX} bytes; {name:?} has {}", name.len());
    }
    if name.contains('/') || name.chars().any(char::is_control) {
        fail!(InvalidName, "the name of an object has no slash and no control characters; got {name:?}");
    }
    Ok(())
}

/// An object that was looked up.
#[derive(Clone, Copy)]
pub struct Found<'a> {
    /// What its block is called in memory.
    pub block: u64,
    /// Its head.
    pub head: &'a ObjectHeader,
    /// Which object it is, however often the block is reused.
    pub generation: u64,
    /// The offset of its head in the segment.
    pub offset: u64,
    /// The size of its own part in bytes, checked to lie within its block.
    pub size: u64,
}

impl Attached {
    /// The head of the object in the block that a reference from shared memory means.
    pub(super) fn object(&self, word: u64) -> Result<Found<'_>> {
        let block = self.block(word)?;
        if !block.is(Owner::Object) {
            return Err(self.corrupted(format_args!("block {word:#x} is no object")));
        }
        self.object_in(word, block)
    }

    fn object_in<'a>(&'a self, word: u64, block: Block<'a>) -> Result<Found<'a>> {
        let head: &ObjectHeader = self.at(block.offset)?;
        let size = head.size.load(Relaxed);
        if size > block.size - OBJECT_HEADER.min(block.size) {
            return Err(self.corrupted(format_args!("an object claims to be {size} bytes long")));
        }
        Ok(Found { block: word, head, generation: head.generation.load(Relaxed), offset: block.offset, size })
    }

    fn table(&self, level: usize) -> Result<Option<&[AtomicU64]>> {
        match self.header().levels[level].load(Acquire) {
            0 => Ok(None),
            word => {
                let block = self.block(word)?;
                Ok(Some(self.words(block.offset, table_len(level).min(block.size / 8))?))
            }
        }
    }

    fn chain(&self, level: usize, hash: u64) -> Result<Option<&AtomicU64>> {
        let Some(heads) = self.table(level)? else { return Ok(None) };
        Ok(heads.get((hash % table_len(level)) as usize))
    }

    /// Calls `visit` for each object of a chain until it returns something; also gives the word that leads
    /// to the object. Ends with an error when the chain is longer than any segment has blocks.
    fn walk<'a, R>(
        &'a self,
        head: &'a AtomicU64,
        mut visit: impl FnMut(&'a AtomicU64, Found<'a>) -> Option<R>,
    ) -> Result<Option<R>> {
        let mut link = head;
        for _ in 0..=self.map.len() / OBJECT_HEADER {
            let word = link.load(Acquire); // pairs with the store that commits an object
            if word == 0 {
                return Ok(None);
            }
            let found = self.object(word)?;
            if let Some(r) = visit(link, found) {
                return Ok(Some(r));
            }
            link = &found.head.next;
        }
        Err(self.corrupted("a chain of its directory is a ring"))
    }

    fn find_once(&self, name: &str, hash: u64) -> Result<Option<Found<'_>>> {
        for level in (0..LEVELS).rev() {
            let Some(head) = self.chain(level, hash)? else { continue };
            let found = self.walk(head, |_, found| {
                let wanted = found.head.hash.load(Relaxed) == hash
                    && found.head.state.load(Acquire) == LIVE
                    && found.head.is_named(name);
                wanted.then_some(found)
            })?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The live object called `name`.
    pub(super) fn find(&self, name: &str) -> Result<Option<Found<'_>>> {
        let hash = hash(name);
        let seen = || self.header().unlinked.load(Acquire);
        loop {
            let before = seen();
            let found = self.find_once(name, hash);
            fence(Acquire); // what was read, was read before the second look at `unlinked`
            if seen() == before {
                return found;
            }
        }
    }

    /// All live objects.
    pub(super) fn all(&self) -> Result<Vec<(String, Spec)>> {
        'again: loop {
            let before = self.header().unlinked.load(Acquire);
            let mut list = Vec::new();
            for level in 0..LEVELS {
                for head in self.table(level)?.unwrap_or_default() {
                    let done = self.walk(head, |_, found| {
                        if found.head.state.load(Acquire) == LIVE {
                            list.push(found.head.name().and_then(|name| Ok((name, found.head.spec()?))));
                        }
                        None::<()>
                    });
                    fence(Acquire); // as in `find`
                    if self.header().unlinked.load(Acquire) != before {
                        continue 'again;
                    }
                    done?;
                }
            }
            return list.into_iter().collect();
        }
    }

    /// Runs `change` under the directory's lock, after settling what a dead holder left.
    fn with_directory<R>(&self, change: impl FnOnce() -> Result<R>) -> Result<R> {
        let acquired = self.hold(&self.header().directory, Deadline::Never)?;
        self.change_directory(acquired, change)
    }

    fn change_directory<R>(&self, acquired: Acquired, change: impl FnOnce() -> Result<R>) -> Result<R> {
        let result = match acquired {
            Acquired::OwnerDied => self.settle().and_then(|()| change()),
            Acquired::Clean => change(),
        };
        self.header().directory.unlock(self.me()?)?;
        result
    }

    /// Finishes or undoes what the last holder of the lock had begun.
    fn settle(&self) -> Result<()> {
        let pending = &self.header().pending;
        let word = pending.load(Acquire);
        if word == 0 {
            return Ok(());
        }
        let is_table = self.header().levels.iter().any(|level| level.load(Acquire) == word);
        let block = self.block(word)?;
        // A block that is still its filler's is freed with the rest of what the dead one owned.
        if !is_table && block.is(Owner::Object) {
            let found = self.object_in(word, block)?;
            match self.link_to(&found)? {
                Some(_) => self.free_if_deserted(&found)?,
                None => self.release(&found)?,
            }
        }
        pending.store(0, Release);
        Ok(())
    }

    /// The word that leads to an object, if one does.
    fn link_to(&self, found: &Found<'_>) -> Result<Option<&AtomicU64>> {
        let hash = found.head.hash.load(Relaxed);
        for level in 0..LEVELS {
            let Some(head) = self.chain(level, hash)? else { continue };
            let link = self.walk(head, |link, other| (other.block == found.block).then_some(link))?;
            if link.is_some() {
                return Ok(link);
            }
        }
        Ok(None)
    }

    /// Puts a filled block into the directory under `name`, then notes it as open in `entry`. On failure the
    /// block is free again.
    pub(super) fn insert(
        &self,
        name: &str,
        block: Block<'_>,
        size: u64,
        spec: &Spec,
        entry: (&AtomicU64, u32),
    ) -> Result<Found<'_>> {
        let done = self.with_directory(|| {
            if let Some(other) = self.find_once(name, hash(name))? {
                return Err(self.taken(name, &other));
            }
            let header = self.header();
            let generation = header.generation.fetch_add(1, Relaxed).wrapping_add(1);
            let head: &ObjectHeader = self.at(block.offset)?;
            head.write(name, hash(name), generation, size, spec);
            head.state.store(LIVE, Release); // pairs with the load of who looks whether it still is what he found
            let top = self.room(header.objects.load(Relaxed))?;
            let Some(chain) = self.chain(top, hash(name))? else {
                return Err(self.corrupted("a table of its directory is missing"));
            };
            let word = block.at.pack();
            head.next.store(chain.load(Relaxed), Relaxed);
            header.pending.store(word, Release);
            block.give(Owner::Object);
            chain.store(word, Release); // commits: pairs with the load in `walk`
            // Nobody can remove it before it is listed: that needs the lock, too.
            entry.0.store(openlist::pack(word, entry.1), Release);
            header.objects.fetch_add(1, Relaxed);
            header.pending.store(0, Release);
            self.object(word)
        });
        if done.is_err() {
            block.move_on(Owner::Participant(self.me()?), Owner::Free);
        }
        done
    }

    fn taken(&self, name: &str, other: &Found<'_>) -> Error {
        let what = other.head.spec().map_or_else(|_| "an object".to_owned(), |spec| spec.to_string());
        Error::new(
            ErrorKind::AlreadyExists,
            format!(
                "segment {:?} already has {what} called {name:?}; open it or choose another name",
                self.name
            ),
        )
    }

    /// The table that a new object belongs to, made if the others are full.
    fn room(&self, objects: u64) -> Result<usize> {
        let header = self.header();
        let mut capacity = 0;
        for level in 0..LEVELS {
            capacity += table_len(level) * 2;
            if header.levels[level].load(Acquire) == 0 {
                let block = self.allocate(table_len(level) * 8, Deadline::Never)?;
                for head in self.words(block.offset, table_len(level))? {
                    head.store(0, Relaxed);
                }
                header.pending.store(block.at.pack(), Release);
                block.give(Owner::Object);
                header.levels[level].store(block.at.pack(), Release); // commits: pairs with `table`
                header.pending.store(0, Release);
                return Ok(level);
            }
            if objects < capacity {
                return Ok(level);
            }
        }
        Ok(LEVELS - 1)
    }

    /// Takes the name from an object, and frees it if nobody has it open.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        self.with_directory(|| {
            let Some(found) = self.find_once(name, hash(name))? else {
                fail!(NotFound, "segment {:?} has no object called {name:?}", self.name);
            };
            // Noted first: if we die here, the next one looks whether it can be freed.
            self.header().pending.store(found.block, Release);
            found.head.state.store(REMOVED, Release);
            self.free_if_deserted(&found)?;
            self.header().pending.store(0, Release);
            Ok(())
        })
    }

    /// Tells those at the other end of a pipe that one who had it open in `role` has left. Some entry must keep the
    /// object from being freed meanwhile.
    pub(super) fn tell(&self, block: u64, role: u32) {
        if let Ok(found) = self.object(block) {
            kinds::left(self, &found, role);
        }
    }

    /// After this process's entry for an object stopped to count: frees the object if it was removed and nobody has
    /// it open. `block` may mean anything by now.
    pub(super) fn leave(&self, block: u64) -> Result<()> {
        if self.is_removed(block)? {
            self.with_directory(|| self.free_if_deserted(&self.object(block)?))
        } else {
            Ok(())
        }
    }

    /// [`leave`](Self::leave) for a sweep, which must not wait: whom it would wait for may be dead, and this
    /// process sweeps one at a time. `WouldBlock` when somebody else has the directory.
    pub(super) fn try_leave(&self, block: u64) -> Result<()> {
        if !self.is_removed(block)? {
            return Ok(());
        }
        let acquired = self.header().directory.lock(self, Deadline::Now)?;
        self.change_directory(acquired, || self.free_if_deserted(&self.object(block)?))
    }

    fn is_removed(&self, block: u64) -> Result<bool> {
        fence(SeqCst); // pairs with the fence in `free_if_deserted`: he sees that our entry is gone, or we see his mark
        Ok(self.object(block)?.head.state.load(Acquire) == REMOVED)
    }

    /// Frees an object if its name was taken from it and nobody has it open.
    fn free_if_deserted(&self, found: &Found<'_>) -> Result<()> {
        fence(SeqCst); // pairs with the fence of who opens: he sees the mark, or we see his entry
        let removed = found.head.state.load(Acquire) == REMOVED;
        if removed && !self.is_listed(found.block) { self.release(found) } else { Ok(()) }
    }

    /// Unlinks and frees an object that nobody has open. Can be begun again after a death anywhere in it.
    fn release(&self, found: &Found<'_>) -> Result<()> {
        let header = self.header();
        found.head.state.store(REMOVED, Release);
        header.pending.store(found.block, Release);
        if let Some(link) = self.link_to(found)? {
            link.store(found.head.next.load(Relaxed), Release);
            let objects = header.objects.load(Relaxed);
            header.objects.store(objects.saturating_sub(1), Relaxed);
        }
        header.unlinked.fetch_add(1, SeqCst); // pairs with the second look in `find`
        kinds::release(self, found);
        let block = self.block(found.block)?;
        block.give(Owner::Free);
        self.freed(&block);
        header.pending.store(0, Release);
        Ok(())
    }

    /// Whether any participant keeps the object from being freed.
    fn is_listed(&self, block: u64) -> bool {
        self.labels().any(|label| self.pins(label, block))
    }

    /// Clears up after a dead holder of the segment's own locks.
    pub(super) fn recover_locks(&self, dead: Label) {
        let header = self.header();
        header.grow.recover(dead);
        if header.directory.recover(dead) {
            // If somebody else takes it first, he settles.
            if let Ok(acquired) = header.directory.lock(self, Deadline::Now) {
                let _ = self.change_directory(acquired, || Ok(()));
            }
        }
    }
}
