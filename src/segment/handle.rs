//! What every handle to an object consists of.

use std::marker::PhantomData;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use super::attach::{Attached, Shared};
use super::directory::{Found, check_name};
use crate::atomic::{Acquire, AtomicU64, Relaxed};
use crate::error::{ErrorKind, Result, fail};
use crate::layout::{LIVE, OBJECT_HEADER, ObjectHeader, Spec};
use crate::sys::clock::Deadline;
use crate::wait::Label;

/// An open object: it keeps the segment mapped, and the object from being freed, as long as it lives.
///
/// Cloning it is cheap and gives an equal handle; all handles of a process to an object in the same role
/// stand as one in its open-list.
pub struct Handle {
    seg: Arc<Attached>,
    block: u64,
    role: u32,
    offset: u64,
    size: u64,
    base: NonNull<u8>,
}

// SAFETY: `base` points into the mapping that `seg` keeps, and what lies there is only accessed atomically
// or by the protocols of the objects.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// Whether and how to make an object that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// It must not exist.
    Create,
    /// It must exist.
    Open,
    /// Either will do.
    OpenOrCreate,
}

/// What somebody wants of an object of a name.
pub struct Request<'a> {
    /// The object's name.
    pub name: &'a str,
    /// Whether to create or to open it.
    pub verb: Verb,
    /// In which role to list it as open.
    pub role: u32,
    /// The size of its own part, if it is to be created.
    pub size: u64,
    /// What it is, if it is to be created; its kind in any case.
    pub spec: Spec,
}

impl Handle {
    /// Creates or opens an object. `init` fills the memory of a new one, whose content is arbitrary before;
    /// `fits` checks what an existing one is.
    pub fn get(
        seg: &Arc<Attached>,
        request: &Request<'_>,
        init: impl Fn(&Part<'_>) -> Result<()>,
        fits: impl Fn(&Spec) -> Result<()>,
    ) -> Result<Self> {
        let Request { name, verb, .. } = *request;
        check_name(name)?;
        loop {
            if verb != Verb::Create {
                match Self::open(seg, request, &fits) {
                    Err(e) if e.kind() == ErrorKind::NotFound && verb == Verb::OpenOrCreate => {}
                    other => return other,
                }
            }
            match Self::create(seg, request, &init) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists && verb == Verb::OpenOrCreate => {}
                other => return other,
            }
        }
    }

    fn create(
        seg: &Arc<Attached>,
        request: &Request<'_>,
        init: &impl Fn(&Part<'_>) -> Result<()>,
    ) -> Result<Self> {
        let Request { name, role, size, ref spec, .. } = *request;
        let mut made = None;
        seg.list_new(role, |entry| {
            let block = seg.allocate(OBJECT_HEADER + size, Deadline::Never)?;
            let draft = Part::over(seg, block.at.pack(), block.offset, size);
            if let Err(e) = draft.and_then(|part| init(&part)) {
                seg.free(&block);
                return Err(e);
            }
            let found = seg.insert(name, block, size, spec, (entry, role))?;
            made = Some(Self::over(seg, found.block, role, found.offset, size)?);
            Ok(found.block)
        })?;
        Ok(made.expect("list_new succeeds only after the object was made"))
    }

    fn open(seg: &Arc<Attached>, request: &Request<'_>, fits: &impl Fn(&Spec) -> Result<()>) -> Result<Self> {
        let Request { name, role, spec: Spec { kind, .. }, .. } = *request;
        loop {
            let Some(found) = seg.find(name)? else {
                fail!(NotFound, "segment {:?} has no object called {name:?}", seg.name());
            };
            let still = || {
                found.head.state.load(Acquire) == LIVE
                    && found.head.generation.load(Acquire) == found.generation
                    && found.head.is_named(name)
            };
            if !seg.list(found.block, role, still)? {
                continue;
            }
            let handle = Self::over(seg, found.block, role, found.offset, found.size)?;
            let spec = found.head.spec()?;
            if spec.kind != kind {
                fail!(
                    WrongKind,
                    "{name:?} in segment {:?} is {}, not {}",
                    seg.name(),
                    spec,
                    request.spec.kind_name()
                );
            }
            fits(&spec).map_err(|e| {
                e.of(format_args!("{} {name:?} in segment {:?}", spec.kind_name(), seg.name()))
            })?;
            return Ok(handle);
        }
    }

    fn over(seg: &Arc<Attached>, block: u64, role: u32, offset: u64, size: u64) -> Result<Self> {
        let base = Part::over(seg, block, offset, size)?.base;
        Ok(Self { seg: Arc::clone(seg), block, role, offset, size, base })
    }

    /// The handle that a sweep visits objects with: not listed, and never dropped as a handle.
    pub(crate) fn visit<R>(seg: &Attached, found: &Found<'_>, f: impl FnOnce(&Part<'_>) -> R) -> Option<R> {
        Some(f(&Part::over(seg, found.block, found.offset, found.size).ok()?))
    }

    /// The object's own part.
    #[inline]
    pub fn part(&self) -> Part<'_> {
        Part {
            seg: &self.seg,
            base: self.base,
            offset: self.offset + OBJECT_HEADER,
            size: self.size,
            block: self.block,
        }
    }

    /// The segment that the object is in.
    #[inline]
    pub fn segment(&self) -> &Arc<Attached> {
        &self.seg
    }

    /// The object's head.
    pub fn head(&self) -> &ObjectHeader {
        // SAFETY: the head lies right before the object's own part, checked when the handle was made.
        unsafe { &*self.base.as_ptr().sub(OBJECT_HEADER as usize).cast::<ObjectHeader>() }
    }

    /// The object's name.
    pub fn name(&self) -> String {
        self.head().name().unwrap_or_default()
    }

    /// What the object is called in errors: `queue "jobs" in segment "demo"`.
    #[cold]
    pub fn describe(&self) -> String {
        let kind = self.head().spec().map_or("object", |spec| spec.kind_name());
        format!("{kind} {:?} in segment {:?}", self.name(), self.seg.name())
    }

    /// The label of this process.
    #[inline]
    pub fn me(&self) -> Result<Label> {
        self.seg.me()
    }

    /// Whether `label` is that of this process; not so in a child of who took it.
    #[inline]
    pub fn is_me(&self, label: Label) -> bool {
        self.seg.is_me(label)
    }
}

impl Clone for Handle {
    fn clone(&self) -> Self {
        // An entry that is there is only counted; where this process is not attached nothing is.
        let _ = self.seg.list(self.block, self.role, || true);
        Self { seg: Arc::clone(&self.seg), ..*self }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Where this process is not attached there is nothing to close.
        let _ = self.seg.unlist(self.block, self.role);
    }
}

/// A handle to an object whose own part begins with a `T`, or is one.
pub struct Placed<T> {
    handle: Handle,
    cell: PhantomData<T>,
}

impl<T: Shared> Placed<T> {
    /// Creates or opens an object; see [`Handle::get`]. `init` fills in a new one, all of whose bytes are zero.
    pub fn get(
        seg: &Arc<Attached>,
        request: &Request<'_>,
        init: impl Fn(&T, &Part<'_>) -> Result<()>,
        fits: impl Fn(&Spec) -> Result<()>,
    ) -> Result<Self> {
        let fill = |part: &Part<'_>| {
            part.words(0, part.size / 8)?.iter().for_each(|word| word.store(0, Relaxed));
            init(part.at(0)?, part)
        };
        let handle = Handle::get(seg, request, fill, fits)?;
        handle.part().at::<T>(0)?;
        Ok(Self { handle, cell: PhantomData })
    }

    /// The handle itself.
    #[inline]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl<T> Deref for Placed<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: `get` has checked that a `T` lies at the start of the object, which the handle keeps mapped;
        // `T` is `Shared`, for there is no other way to make a `Placed<T>`.
        unsafe { &*self.handle.base.as_ptr().cast::<T>() }
    }
}

impl<T> Clone for Placed<T> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), cell: PhantomData }
    }
}

/// An object's own part of memory, and the segment around it: what protocols work on.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    /// The segment.
    pub seg: &'a Attached,
    /// The address of the first byte.
    pub base: NonNull<u8>,
    /// The offset of the first byte in the segment.
    pub offset: u64,
    /// The number of bytes.
    pub size: u64,
    /// What the object's block is called.
    pub block: u64,
}

impl<'a> Part<'a> {
    /// The own part, of `size` bytes, of the object whose head is at `offset`.
    fn over(seg: &'a Attached, block: u64, offset: u64, size: u64) -> Result<Self> {
        let offset = offset + OBJECT_HEADER;
        let base = NonNull::new(seg.bytes(offset, size)?).expect("a mapping is not at address 0");
        Ok(Self { seg, base, offset, size, block })
    }

    /// A struct of atomics at `at` bytes into the part.
    ///
    /// # Errors
    /// `Corrupted` when the part is too small.
    #[inline]
    pub fn at<T: Shared>(&self, at: u64) -> Result<&'a T> {
        if at + size_of::<T>() as u64 > self.size || !at.is_multiple_of(align_of::<T>() as u64) {
            return Err(self.seg.corrupted("an object is too small for what it should hold"));
        }
        // SAFETY: the part was checked to be mapped and backed, the range to lie in it, and it is aligned to
        // 128 bytes, as is every block; `Shared` types are valid for every content.
        Ok(unsafe { &*self.base.as_ptr().add(at as usize).cast::<T>() })
    }

    /// `count` atomic words at `at` bytes into the part.
    #[inline]
    pub fn words(&self, at: u64, count: u64) -> Result<&'a [AtomicU64]> {
        let fits =
            count.checked_mul(8).and_then(|len| at.checked_add(len)).is_some_and(|end| end <= self.size);
        if !fits || !at.is_multiple_of(8) {
            return Err(self.seg.corrupted("an object is too small for what it should hold"));
        }
        // SAFETY: as in `at`.
        Ok(unsafe { std::slice::from_raw_parts(self.base.as_ptr().add(at as usize).cast(), count as usize) })
    }
}
