//! Segments over memory that the caller already has.
//!
//! The memory is the caller's: he maps it, in every process, and keeps it mapped. What cannot lie in it are
//! the leases by which the kernel tells who lives; they are locks of a small file of its own, which has the
//! segment's name.
//!
//! ```text
//!   create:  file BEGUN, LIFE held alone ─ link (the name is taken) ─ fill the memory ─ seat ─ COMPLETE ─ LIFE given up
//! ```
//!
//! A creator that dies before COMPLETE leaves a file that says so and that nobody holds; the next one replaces it.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attach::LIFE_BYTE;
use super::{Attached, HEAD_BYTES, Segment, SegmentOptions, check_head, check_name, new_attachment};
use crate::atomic::{AtomicU64, Relaxed};
use crate::error::{ErrorKind, Result, fail};
use crate::sys::lease::{self, Mode};
use crate::sys::map::{Keeper, Map};
use crate::sys::{poll, shm};

/// The content of a file that only keeps leases, when the segment in the memory is complete.
const COMPLETE: &[u8; 8] = b"SHCLEASE";
/// And before. Its creator holds LIFE alone, so one that is free was left by a dead one.
const BEGUN: &[u8; 8] = b"SHCBEGUN";
/// How long somebody else may take to lay a segment over memory.
const PATIENCE: Duration = Duration::from_secs(1);

impl SegmentOptions {
    /// Lays a new segment over `len` bytes of memory at `memory`, whose content is lost. `name` is that of the
    /// file that keeps the leases; [`Segment::unlink`] removes it. The limit is what fits into the memory.
    ///
    /// What a segment of its own promises and this one does not: the memory's own name, permissions and end are
    /// the caller's business; it does not grow; and if somebody unmaps or truncates it, who touches it is killed.
    ///
    /// # Errors
    /// `InvalidArgument` when the memory is not aligned to a page, or too small; `AlreadyExists`.
    ///
    /// # Safety
    /// The memory is a shared mapping, readable and writable, and stays mapped as long as any handle to the
    /// segment or its objects lives. Nobody else uses it, but through this library.
    pub unsafe fn create_over(&self, name: &str, memory: *mut u8, len: usize) -> Result<Segment> {
        self.create_given(name, memory, len, Box::new(()))
    }

    /// Attaches to a segment that was laid over the same memory, wherever this process has it mapped. A process
    /// that is attached already goes on with the mapping that it attached with.
    ///
    /// # Errors
    /// As of opening a segment; `Corrupted` when the segment is longer than the memory.
    ///
    /// # Safety
    /// As of [`create_over`](Self::create_over).
    pub unsafe fn open_over(&self, name: &str, memory: *mut u8, len: usize) -> Result<Segment> {
        Self::open_given(name, memory, len, Box::new(()))
    }

    /// Attaches to a segment that was laid over the same memory, or lays a new one over it where there is none of that
    /// name. These options only matter for a new one. While somebody else is laying it, this waits up to a second for
    /// that; what one who died at it has left is replaced.
    ///
    /// # Errors
    /// As of [`open_over`](Self::open_over) and [`create_over`](Self::create_over); `AlreadyExists` when the other is
    /// not done by then.
    ///
    /// # Safety
    /// As of [`create_over`](Self::create_over). Whoever uses the name means the same memory.
    pub unsafe fn open_or_create_over(&self, name: &str, memory: *mut u8, len: usize) -> Result<Segment> {
        self.open_or_create_given(name, memory, len, || Box::new(()))
    }

    /// Lays a new segment over the memory of an existing service. See [`create_over`](Self::create_over) for what
    /// is not promised.
    ///
    /// # Safety
    /// Nobody else uses the memory, but through this library. (`shared_memory` unlinks the memory's name when its
    /// owner is dropped; who has it mapped goes on.)
    #[cfg(feature = "shared_memory")]
    pub unsafe fn create_in(&self, name: &str, memory: shared_memory::Shmem) -> Result<Segment> {
        let (base, len) = (memory.as_ptr(), memory.len());
        self.create_given(name, base, len, Box::new(Kept(memory)))
    }

    /// Attaches to a segment that was laid over the same memory.
    ///
    /// # Safety
    /// As of [`create_in`](Self::create_in).
    #[cfg(feature = "shared_memory")]
    pub unsafe fn open_in(&self, name: &str, memory: shared_memory::Shmem) -> Result<Segment> {
        let (base, len) = (memory.as_ptr(), memory.len());
        Self::open_given(name, base, len, Box::new(Kept(memory)))
    }

    /// Attaches to a segment that was laid over the same memory, or lays a new one over it; see
    /// [`open_or_create_over`](Self::open_or_create_over).
    ///
    /// # Safety
    /// As of [`create_in`](Self::create_in). Whoever uses the name means the same memory.
    #[cfg(feature = "shared_memory")]
    pub unsafe fn open_or_create_in(&self, name: &str, memory: shared_memory::Shmem) -> Result<Segment> {
        let (base, len) = (memory.as_ptr(), memory.len());
        let memory = Arc::new(Kept(memory)); // for whichever try succeeds
        self.open_or_create_given(name, base, len, || Box::new(Arc::clone(&memory)))
    }

    fn open_or_create_given(
        &self,
        name: &str,
        memory: *mut u8,
        len: usize,
        keeper: impl Fn() -> Keeper,
    ) -> Result<Segment> {
        let start = Instant::now();
        loop {
            match Self::open_given(name, memory, len, keeper()) {
                Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::Unfinished) => {}
                settled => return settled,
            }
            match self.create_given(name, memory, len, keeper()) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists && start.elapsed() < PATIENCE => {}
                settled => return settled,
            }
            poll::pause()?; // a signal shortens it
        }
    }

    fn create_given(&self, name: &str, memory: *mut u8, len: usize, keeper: Keeper) -> Result<Segment> {
        check_name(name)?;
        let (fixed, limit) = self.sizes(len as u64)?;
        let map = given(memory, limit, keeper)?;
        // The name is ours before the memory is touched: whoever else comes to create it finds it taken.
        let file = begin(name, self.mode)?;
        let finish = |attached: &Arc<Attached>| {
            for word in attached.words(0, fixed / 8)? {
                word.store(0, Relaxed);
            }
            self.fill_header(attached.header(), fixed, limit)?;
            let seated = attached.seat_unnamed()?;
            let file = attached.file()?;
            shm::write(file, COMPLETE)?;
            lease::unlock(file, LIFE_BYTE)?;
            Ok(seated)
        };
        let stat = shm::stat(&file)?;
        let made = new_attachment(name, file, &stat, map, self.participants).and_then(|a| finish(&a));
        match made {
            Ok(attached) => Ok(Segment::over(attached)),
            Err(e) => {
                let _ = shm::unlink(name);
                Err(e.of(format_args!("segment {name:?}")))
            }
        }
    }

    fn open_given(name: &str, memory: *mut u8, len: usize, keeper: Keeper) -> Result<Segment> {
        check_name(name)?;
        let file: File = shm::open(name)?;
        let content = shm::read(&file)?;
        if content == *BEGUN {
            fail!(Unfinished, "segment {name:?} is being made, or its creator died; create it");
        }
        if content != *COMPLETE {
            fail!(
                NotASegment,
                "segment {name:?} is not over memory that somebody has; open it by its name alone"
            );
        }
        let map = given(memory, len as u64 & !4095, keeper)?;
        let mut head = [0; HEAD_BYTES];
        for (bytes, i) in head.chunks_exact_mut(8).zip(0..) {
            // SAFETY: the caller vouches for the memory; `given` has checked that it is aligned and a page long.
            let word = unsafe { &*map.base().cast::<AtomicU64>().add(i) };
            bytes.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        let (limit, participants) = check_head(name, &head, map.len())?;
        if limit > map.len() {
            fail!(Corrupted, "segment {name:?} is {limit} bytes long, the memory has {}", map.len());
        }
        let stat = shm::stat(&file)?;
        let attached: Arc<Attached> = new_attachment(name, file, &stat, map, participants)?;
        Ok(Segment::over(attached.seat_unnamed()?))
    }
}

/// Whether a file of this content is not a segment's own, but keeps the leases of one over given memory.
pub(super) fn keeps_leases_only(content: &[u8]) -> bool {
    content.starts_with(COMPLETE) || content.starts_with(BEGUN)
}

/// Takes the name, with LIFE in hand.
fn begin(name: &str, mode: u32) -> Result<File> {
    loop {
        let file = shm::create_unnamed(mode)?;
        shm::write(&file, BEGUN)?;
        lease::try_lock(&file, LIFE_BYTE, Mode::Exclusive)?;
        match shm::link(&file, name) {
            Ok(()) => return Ok(file),
            Err(e) if e.kind() != ErrorKind::AlreadyExists => return Err(e),
            Err(_) if remove_left_begun(name)? => {}
            Err(_) => fail!(AlreadyExists, "segment {name:?} already exists; open it or choose another name"),
        }
    }
}

/// Removes the file of a creator that died, if it is one; whether the name is free, or was.
fn remove_left_begun(name: &str) -> Result<bool> {
    let Some(file) = open_if_there(name)? else { return Ok(true) };
    // It may be completed right before LIFE is ours.
    let is_begun = || shm::read(&file).map(|content| content == *BEGUN);
    if !is_begun()? || !lease::try_lock(&file, LIFE_BYTE, Mode::Exclusive)? || !is_begun()? {
        return Ok(false);
    }
    // Nobody else removes it now; but if it is gone already, the name is that of a new one.
    if let Some(named) = open_if_there(name)?
        && shm::stat(&named)?.identity == shm::stat(&file)?.identity
    {
        shm::unlink(name)?;
    }
    Ok(true)
}

fn open_if_there(name: &str) -> Result<Option<File>> {
    match shm::open(name) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Checks memory that a caller gives.
fn given(base: *mut u8, len: u64, keeper: Keeper) -> Result<Map> {
    if base.is_null() || !base.addr().is_multiple_of(4096) || len == 0 {
        fail!(
            InvalidArgument,
            "a segment needs memory that is aligned to a page; got {len} bytes at {base:p}"
        );
    }
    Ok(Map::Given { base, len, _keeper: keeper })
}

/// Memory of `shared_memory`, only kept alive.
#[cfg(feature = "shared_memory")]
struct Kept(#[allow(dead_code, reason = "dropped last")] shared_memory::Shmem);

// SAFETY: it is never used, only dropped, which unmaps and closes and may be done in any thread.
#[cfg(feature = "shared_memory")]
unsafe impl Send for Kept {}
// SAFETY: as above.
#[cfg(feature = "shared_memory")]
unsafe impl Sync for Kept {}
