//! A value as bytes: one atomic word where it fits, else two copies and a word that says which is valid.
//!
//! ```text
//!   wide:   (v, which, 0) ──claim: CAS──▶ (v, which, p) ─ write the idle copy ──store──▶ (v + 1, other, 0)
//!                 ▲                            │ p dies, sweep: CAS
//!                 └────────────────────────────┘
//! ```
//!
//! Readers copy the valid one and look at the word again; they wait for nobody. A writer that is killed has
//! at most torn the idle copy. A writer that finds another at work waits for it.

use crate::atomic::{Acquire, AtomicU8, AtomicU16, AtomicU32, AtomicU64, Relaxed, Release, fence};
use crate::cell::ElementType;
use crate::cell::copy::{copy_in, copy_out};
use crate::error::Result;
#[cfg(feature = "capi")]
use crate::error::{Error, ErrorKind};
use crate::latch::LockWord;
use crate::layout::{Kind, describe, round_up};
use crate::segment::Segment;
use crate::segment::attach::Shared;
use crate::segment::handle::{Handle, Part, Request, Verb};
use crate::sys::clock::Deadline;
use crate::wait::{Label, WaitWord};

/// The head of a value; its bytes follow.
#[repr(C)]
#[derive(Debug)]
pub struct ValueCell {
    lock: LockWord,
    settled: WaitWord,
    /// Wide values: the writer's label in 12 bits, which copy is valid in one, the version above.
    state: AtomicU64,
    pad: [AtomicU64; 6],
}

describe! { TABLE:
    ValueCell = 64 { lock @ 0, settled @ 4, state @ 8 }
}

// SAFETY: it consists of atomics.
unsafe impl Shared for ValueCell {}

const DATA: u64 = size_of::<ValueCell>() as u64;
const WRITER: u64 = 0xfff;
const WHICH: u64 = 1 << 12;
const VERSION: u64 = 1 << 13;

/// Calls an atomic of 1, 2, 4 or 8 bytes.
macro_rules! narrow {
    ($self:ident, |$word:ident, $Int:ident| $body:expr) => {{
        let p = $self.data();
        // SAFETY: the value lies in the object, which the handle keeps mapped, aligned to 64; every access
        // to a narrow value is atomic and of its full width.
        unsafe {
            match $self.size {
                1 => {
                    type $Int = u8;
                    let $word = &*p.cast::<AtomicU8>();
                    $body
                }
                2 => {
                    type $Int = u16;
                    let $word = &*p.cast::<AtomicU16>();
                    $body
                }
                4 => {
                    type $Int = u32;
                    let $word = &*p.cast::<AtomicU32>();
                    $body
                }
                _ => {
                    type $Int = u64;
                    let $word = &*p.cast::<AtomicU64>();
                    $body
                }
            }
        }
    }};
}

/// A value of any type, by its bytes.
pub struct RawValue {
    pub(crate) handle: Handle,
    size: usize,
}

fn is_narrow(size: usize) -> bool {
    matches!(size, 1 | 2 | 4 | 8)
}

fn object_size(size: usize) -> u64 {
    let copies = if is_narrow(size) { 1 } else { 2 };
    DATA + copies * round_up(size as u64, 8)
}

impl RawValue {
    /// Creates or opens a value of `ty`; a new one is `initial`.
    pub fn get_object(
        segment: &Segment,
        name: &str,
        verb: Verb,
        ty: &ElementType,
        initial: &[u8],
    ) -> Result<Self> {
        let size = ty.size;
        let spec = ty.spec(Kind::Value as u32, 1);
        let init = |part: &Part<'_>| {
            part.words(0, object_size(size) / 8)?.iter().for_each(|word| word.store(0, Relaxed));
            // SAFETY: the object is as large as `object_size` says and nobody else has it yet.
            unsafe {
                copy_in(part.base.as_ptr().add(DATA as usize), initial.as_ptr(), size.min(initial.len()))
            };
            Ok(())
        };
        let fits = |have: &crate::layout::Spec| ty.check(have);
        let request = Request { name, verb, role: 1, size: object_size(size), spec };
        let handle = Handle::get(segment.attached(), &request, init, fits)?;
        handle.part().words(0, object_size(size) / 8)?;
        Ok(Self { handle, size })
    }

    /// The size of the value in bytes.
    #[cfg(feature = "capi")]
    pub fn size(&self) -> usize {
        self.size
    }

    #[inline]
    fn cell(&self) -> &ValueCell {
        // SAFETY: `get_object` has checked that head and bytes lie in the object.
        unsafe { &*self.handle.part().base.as_ptr().cast::<ValueCell>() }
    }

    #[inline]
    fn data(&self) -> *mut u8 {
        // SAFETY: as in `cell`.
        unsafe { self.handle.part().base.as_ptr().add(DATA as usize) }
    }

    /// The value's typecode, NUL for plain data.
    #[cfg(feature = "capi")]
    pub fn typecode(&self) -> char {
        char::from_u32(self.handle.head().typecode.load(Relaxed)).unwrap_or_default()
    }

    /// The value's lock.
    pub fn lock_word(&self) -> &LockWord {
        &self.cell().lock
    }

    /// The address of the value, where it is one atomic word; else `None`.
    #[cfg(feature = "capi")]
    pub fn address(&self) -> Option<*mut u8> {
        is_narrow(self.size).then(|| self.data())
    }

    fn copy(&self, which: u64) -> *mut u8 {
        let stride = round_up(self.size as u64, 8) as usize;
        // SAFETY: a wide value has two copies in its object.
        unsafe { self.data().add(if which == 0 { 0 } else { stride }) }
    }

    /// Copies the value to `out`, which has its size.
    #[inline]
    pub fn read(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.size);
        if is_narrow(self.size) {
            return narrow!(self, |word, _Int| out.copy_from_slice(&word.load(Acquire).to_ne_bytes()));
        }
        let state = &self.cell().state;
        loop {
            let before = state.load(Acquire); // pairs with the store that ends a write
            // SAFETY: both copies lie in the object; `out` is the caller's own.
            unsafe { copy_out(self.copy(before & WHICH), out.as_mut_ptr(), self.size) };
            // Pairs with the writer's fence: if we saw bytes of the next write to this copy, we see that it
            // was claimed at a later version.
            fence(Acquire);
            if (state.load(Relaxed) ^ before) & !WRITER == 0 {
                return;
            }
        }
    }

    /// Replaces the value by what `next` makes of it; `None` leaves it. `next` may be called several times.
    ///
    /// # Errors
    /// Of a wide value: `Interrupted`, while another writer is at work.
    #[inline]
    pub fn update(&self, old: &mut [u8], mut next: impl FnMut(&[u8], &mut [u8]) -> bool) -> Result<bool> {
        assert_eq!(old.len(), self.size);
        if is_narrow(self.size) {
            narrow!(self, |word, Int| {
                let mut seen = word.load(Acquire);
                loop {
                    let mut bytes = seen.to_ne_bytes();
                    old.copy_from_slice(&bytes);
                    if !next(old, &mut bytes) {
                        return Ok(false);
                    }
                    match word.cas(seen, Int::from_ne_bytes(bytes)) {
                        Ok(_) => return Ok(true),
                        Err(now) => seen = now,
                    }
                }
            })
        }
        let me = self.handle.me()?;
        let state = self.claim(me)?;
        // Ends the claim also if `next` panics; the state that it stores decides whether anything changed.
        let mut claim = WriteClaim { cell: self.cell(), after: state };
        let (valid, idle) = (self.copy(state & WHICH), self.copy(!state & WHICH));
        // SAFETY: both copies lie in the object; `old` is the caller's own.
        unsafe { copy_out(valid, old.as_mut_ptr(), self.size) };
        let mut new = vec![0; self.size];
        let changed = next(old, &mut new);
        // Pairs with the reader's fence: the claim is seen before any byte of this write.
        fence(Release);
        if changed {
            // SAFETY: as above; the claim makes the idle copy ours.
            unsafe { copy_in(idle, new.as_ptr(), self.size) };
            claim.after = (state ^ WHICH).wrapping_add(VERSION);
        }
        Ok(changed)
    }

    /// Becomes the writer of a wide value; the state without the writer.
    fn claim(&self, me: Label) -> Result<u64> {
        let cell = self.cell();
        let ready = || {
            let seen = cell.state.load(Acquire);
            Ok((seen & WRITER == 0 && cell.state.cas(seen, seen | u64::from(me)).is_ok()).then_some(seen))
        };
        if let Some(state) = ready()? {
            return Ok(state);
        }
        let writer = || Some((cell.state.load(Relaxed) & WRITER) as Label).filter(|w| *w != 0 && *w != me);
        cell.settled.wait(&**self.handle.segment(), Deadline::Never, writer, ready)
    }

    /// Makes `new` the value.
    #[inline]
    pub fn write(&self, new: &[u8]) -> Result<()> {
        assert_eq!(new.len(), self.size);
        if is_narrow(self.size) {
            narrow!(self, |word, Int| word
                .store(Int::from_ne_bytes(new.try_into().expect("its size")), Release));
            return Ok(());
        }
        self.update(&mut vec![0; self.size], |_, out| {
            out.copy_from_slice(new);
            true
        })
        .map(drop)
    }

    /// Makes `new` the value, and `old` what it was before.
    pub fn exchange(&self, new: &[u8], old: &mut [u8]) -> Result<()> {
        let replace = |_: &[u8], out: &mut [u8]| {
            out.copy_from_slice(new);
            true
        };
        self.update(old, replace).map(drop)
    }

    /// Makes `new` the value if it is `expected`, byte by byte; whether it was. `old` becomes what it was.
    pub fn compare_exchange(&self, expected: &[u8], new: &[u8], old: &mut [u8]) -> Result<bool> {
        self.update(old, |now, out| {
            out.copy_from_slice(new);
            now == expected
        })
    }

    /// Checks that a caller's buffer has the value's size.
    #[cfg(feature = "capi")]
    #[inline]
    pub fn check_size(&self, len: usize) -> Result<()> {
        if len == self.size { Ok(()) } else { Err(self.wrong_size(len)) }
    }

    #[cfg(feature = "capi")]
    #[cold]
    #[inline(never)]
    fn wrong_size(&self, len: usize) -> Error {
        let text = format!("{} has {} bytes; got {len}", self.handle.describe(), self.size);
        Error::new(ErrorKind::WrongSize, text)
    }
}

/// The right to write the idle copy of a wide value; given up when dropped.
struct WriteClaim<'a> {
    cell: &'a ValueCell,
    after: u64,
}

impl Drop for WriteClaim<'_> {
    fn drop(&mut self) {
        self.cell.state.store(self.after, Release); // commits: pairs with the load in `read`
        self.cell.settled.notify(1);
    }
}

impl Clone for RawValue {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), size: self.size }
    }
}

/// Gives back what `dead` held of a value.
pub(crate) fn recover(part: &Part<'_>, dead: Label) {
    let Ok(cell) = part.at::<ValueCell>(0) else { return };
    cell.lock.recover(dead);
    let seen = cell.state.load(Acquire);
    if seen & WRITER == u64::from(dead) && cell.state.cas(seen, seen & !WRITER).is_ok() {
        cell.settled.notify(1);
    }
}

const _: () = assert!(WRITER >= crate::layout::MAX_PARTICIPANTS as u64);
