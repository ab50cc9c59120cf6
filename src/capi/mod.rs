//! The C ABI: marshalling, no logic. One file an object.
//!
//! Every function checks its pointers, lengths and numbers, catches panics, and keeps the sentence of its
//! last error for [`shc_last_error`]. What all functions require of their caller is said here once: a pointer
//! that is not NULL points to what its type says, for as many elements as the length beside it says, and a
//! handle came from this library. A closed handle or one of another type is recognised as far as its memory
//! was not reused.

#![allow(
    non_camel_case_types,
    clippy::missing_safety_doc,
    clippy::undocumented_unsafe_blocks,
    reason = "C's names; what a caller must keep is said once, in the module's head and in the header's"
)]

mod array;
mod barrier;
mod condition;
mod event;
mod item;
mod lock;
mod pipe;
mod queue;
mod rlock;
mod rwlock;
mod segment;
mod select;
mod semaphore;
mod value;

use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use crate::error::{Error, ErrorKind, Result, fail};
use crate::sys::clock::Deadline;

/// What a function returns: 0, an outcome above, or an error below.
pub type shc_status = i32;

/// Done.
pub const SHC_OK: shc_status = 0;
/// The call would have had to wait, and was told not to.
pub const SHC_WOULD_BLOCK: shc_status = 1;
/// The deadline passed.
pub const SHC_TIMED_OUT: shc_status = 2;
/// A signal handler ran during the wait.
pub const SHC_INTERRUPTED: shc_status = 3;
/// The object was shut down, or nobody is left at the other end.
pub const SHC_CLOSED: shc_status = 4;
/// The lock is held by the caller, and who held it before died: what it protects may be half changed.
pub const SHC_OWNER_DIED: shc_status = 5;
/// The barrier is broken.
pub const SHC_BROKEN: shc_status = 6;
/// An argument makes no sense by itself.
pub const SHC_ERR_INVALID_ARGUMENT: shc_status = -1;
/// A name that no segment or object can have.
pub const SHC_ERR_INVALID_NAME: shc_status = -2;
/// Nothing has that name.
pub const SHC_ERR_NOT_FOUND: shc_status = -3;
/// Something has that name already.
pub const SHC_ERR_ALREADY_EXISTS: shc_status = -4;
/// The object of that name is of another kind.
pub const SHC_ERR_WRONG_KIND: shc_status = -5;
/// The object has another typecode or element type.
pub const SHC_ERR_WRONG_TYPE: shc_status = -6;
/// The object has another length, capacity or limit.
pub const SHC_ERR_WRONG_SIZE: shc_status = -7;
/// The segment has another layout version, byte order, word size or lock protocol.
pub const SHC_ERR_INCOMPATIBLE: shc_status = -8;
/// The file is not a segment.
pub const SHC_ERR_NOT_A_SEGMENT: shc_status = -9;
/// The segment's creator died before it was complete.
pub const SHC_ERR_UNFINISHED: shc_status = -10;
/// The segment's content contradicts itself.
pub const SHC_ERR_CORRUPTED: shc_status = -12;
/// The operating system refused access.
pub const SHC_ERR_PERMISSION_DENIED: shc_status = -13;
/// The file belongs to another user.
pub const SHC_ERR_WRONG_USER: shc_status = -14;
/// The memory of the machine that backs segments is exhausted.
pub const SHC_ERR_NO_SPACE: shc_status = -15;
/// The segment has reached the limit that it was created with.
pub const SHC_ERR_LIMIT_REACHED: shc_status = -16;
/// The item is larger than the object admits.
pub const SHC_ERR_TOO_LARGE: shc_status = -17;
/// The index is outside the array.
pub const SHC_ERR_OUT_OF_RANGE: shc_status = -18;
/// The value cannot be represented in the typecode.
pub const SHC_ERR_VALUE_RANGE: shc_status = -19;
/// What was to be released is not held.
pub const SHC_ERR_NOT_HELD: shc_status = -20;
/// What was to be released is held by another process.
pub const SHC_ERR_NOT_OWNER: shc_status = -21;
/// This process has no seat in the segment: it was made by a raw clone, or no seat was free at its fork.
pub const SHC_ERR_NOT_ATTACHED: shc_status = -22;
/// All participants' seats are taken.
pub const SHC_ERR_TABLE_FULL: shc_status = -23;
/// Handles, guards or views are still in use.
pub const SHC_ERR_BUSY: shc_status = -24;
/// The kernel, the file system or this end of a pipe cannot do that.
pub const SHC_ERR_UNSUPPORTED: shc_status = -25;
/// The object was removed.
pub const SHC_ERR_REMOVED: shc_status = -26;
/// A descriptor, mapping or similar resource of the process ran out.
pub const SHC_ERR_OUT_OF_RESOURCES: shc_status = -27;
/// Any other error of the operating system.
pub const SHC_ERR_SYSTEM: shc_status = -28;
/// A defect of this library, stopped at its border.
pub const SHC_ERR_PANIC: shc_status = -29;
/// The semaphore would exceed its maximum.
pub const SHC_ERR_OVERFLOW: shc_status = -30;
/// The segment was made before the machine was last started.
pub const SHC_ERR_STALE_BOOT: shc_status = -31;
/// The handle was closed, or is no handle of this type.
pub const SHC_ERR_INVALID_HANDLE: shc_status = -32;
/// The buffer is too small for what is to be written to it.
pub const SHC_ERR_BUFFER_TOO_SMALL: shc_status = -33;
/// Somebody has declared what the lock protects to be beyond repair.
pub const SHC_ERR_POISONED: shc_status = -34;

/// The C numbers are those of [`ErrorKind`].
const _: () = {
    const fn same(code: shc_status, kind: ErrorKind) {
        assert!(code == kind.code());
    }
    same(SHC_WOULD_BLOCK, ErrorKind::WouldBlock);
    same(SHC_TIMED_OUT, ErrorKind::TimedOut);
    same(SHC_INTERRUPTED, ErrorKind::Interrupted);
    same(SHC_CLOSED, ErrorKind::Closed);
    same(SHC_OWNER_DIED, ErrorKind::OwnerDied);
    same(SHC_BROKEN, ErrorKind::Broken);
    same(SHC_ERR_POISONED, ErrorKind::Poisoned);
    same(SHC_ERR_INVALID_ARGUMENT, ErrorKind::InvalidArgument);
    same(SHC_ERR_INVALID_NAME, ErrorKind::InvalidName);
    same(SHC_ERR_NOT_FOUND, ErrorKind::NotFound);
    same(SHC_ERR_ALREADY_EXISTS, ErrorKind::AlreadyExists);
    same(SHC_ERR_WRONG_KIND, ErrorKind::WrongKind);
    same(SHC_ERR_WRONG_TYPE, ErrorKind::WrongType);
    same(SHC_ERR_WRONG_SIZE, ErrorKind::WrongSize);
    same(SHC_ERR_INCOMPATIBLE, ErrorKind::Incompatible);
    same(SHC_ERR_NOT_A_SEGMENT, ErrorKind::NotASegment);
    same(SHC_ERR_UNFINISHED, ErrorKind::Unfinished);
    same(SHC_ERR_CORRUPTED, ErrorKind::Corrupted);
    same(SHC_ERR_PERMISSION_DENIED, ErrorKind::PermissionDenied);
    same(SHC_ERR_WRONG_USER, ErrorKind::WrongUser);
    same(SHC_ERR_NO_SPACE, ErrorKind::NoSpace);
    same(SHC_ERR_LIMIT_REACHED, ErrorKind::LimitReached);
    same(SHC_ERR_TOO_LARGE, ErrorKind::TooLarge);
    same(SHC_ERR_OUT_OF_RANGE, ErrorKind::OutOfRange);
    same(SHC_ERR_VALUE_RANGE, ErrorKind::ValueRange);
    same(SHC_ERR_NOT_HELD, ErrorKind::NotHeld);
    same(SHC_ERR_NOT_OWNER, ErrorKind::NotOwner);
    same(SHC_ERR_NOT_ATTACHED, ErrorKind::NotAttached);
    same(SHC_ERR_TABLE_FULL, ErrorKind::TableFull);
    same(SHC_ERR_BUSY, ErrorKind::Busy);
    same(SHC_ERR_UNSUPPORTED, ErrorKind::Unsupported);
    same(SHC_ERR_REMOVED, ErrorKind::Removed);
    same(SHC_ERR_OUT_OF_RESOURCES, ErrorKind::OutOfResources);
    same(SHC_ERR_SYSTEM, ErrorKind::System);
    same(SHC_ERR_PANIC, ErrorKind::Panic);
    same(SHC_ERR_OVERFLOW, ErrorKind::Overflow);
    same(SHC_ERR_STALE_BOOT, ErrorKind::StaleBoot);
    same(SHC_ERR_INVALID_HANDLE, ErrorKind::InvalidHandle);
    same(SHC_ERR_BUFFER_TOO_SMALL, ErrorKind::BufferTooSmall);
};

/// What elements are: a typecode as in Python's array module (c b B h H i I l L q Q f d ?), or, with
/// typecode 0, plain data of a name, size and alignment that all languages agree on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shc_type {
    /// The typecode's character, or 0.
    pub typecode: u32,
    /// With typecode 0: the alignment in bytes, at most 64.
    pub align: u32,
    /// With typecode 0: the size in bytes.
    pub size: u64,
    /// With typecode 0: the type's name; else NULL.
    pub name: *const c_char,
}

thread_local! {
    static LAST_ERROR: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs the body of a function: its errors become numbers, its panics too.
///
/// It is compiled into each function, and what fails is not: so what succeeds pays for neither.
#[inline(always)]
fn guard(body: impl FnOnce() -> Result<shc_status>) -> shc_status {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => failed(error),
        Err(panic) => panicked(panic),
    }
}

/// The number of an error; its sentence is kept if it is none of the outcomes.
#[cold]
#[inline(never)]
fn failed(error: Error) -> shc_status {
    if error.code() < 0 {
        // A thread that is ending has no place for the text any more; the number still tells.
        let _ = LAST_ERROR.try_with(|last| *last.borrow_mut() = error.to_string());
    }
    error.code()
}

#[cold]
#[inline(never)]
fn panicked(panic: Box<dyn Any + Send>) -> shc_status {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    failed(Error::new(ErrorKind::Panic, format!("a defect in sharecell, please report it: {text}")))
}

/// A handle as C holds it: a tag that tells its type and whether it is open, and the Rust object.
trait Handle: Sized + 'static {
    type Inner;
    const TAG: u64;
    fn over(inner: Self::Inner) -> Self;
    fn tag(&mut self) -> &mut u64;
    fn inner(&self) -> &Self::Inner;

    /// Handles that were closed, with no inner object any more: their memory stays a handle's, of the same type, so
    /// that the tag of one that is used after it was closed can be read. Only tried for, never waited for: in a forked
    /// child somebody who does not exist may have it.
    fn closed() -> &'static Mutex<Vec<usize>>;

    fn give(inner: Self::Inner) -> *mut Self {
        match Self::closed().try_lock().ok().and_then(|mut closed| closed.pop()) {
            None => Box::into_raw(Box::new(Self::over(inner))),
            Some(address) => {
                let handle = std::ptr::with_exposed_provenance_mut::<Self>(address);
                unsafe { handle.write(Self::over(inner)) };
                handle
            }
        }
    }

    #[inline(always)]
    unsafe fn borrow<'a>(handle: *const Self) -> Result<&'a Self::Inner> {
        if handle.is_null() {
            return Err(null_handle());
        }
        if !handle.is_aligned() || unsafe { *(*handle.cast_mut()).tag() } != Self::TAG {
            return Err(no_handle());
        }
        Ok(unsafe { (*handle).inner() })
    }

    unsafe fn close(handle: *mut Self) -> shc_status {
        guard(|| {
            if handle.is_null() {
                return Ok(SHC_OK);
            }
            unsafe {
                Self::borrow(handle)?;
                *(*handle).tag() = 0;
                std::ptr::drop_in_place(handle);
                match Self::closed().try_lock() {
                    Ok(mut closed) => closed.push(handle.expose_provenance()),
                    Err(_) => drop(Box::from_raw(handle.cast::<MaybeUninit<Self>>())),
                }
            }
            Ok(SHC_OK)
        })
    }
}

/// What a handle consists of.
#[repr(C)]
struct Tagged<T> {
    tag: u64,
    inner: T,
}

/// Makes a struct around a [`Tagged`] object a handle.
macro_rules! handle {
    ($name:ident, $inner:ty, $tag:literal) => {
        impl $crate::capi::Handle for $name {
            type Inner = $inner;
            const TAG: u64 = u64::from_be_bytes(*$tag);
            fn closed() -> &'static std::sync::Mutex<Vec<usize>> {
                static CLOSED: std::sync::Mutex<Vec<usize>> = std::sync::Mutex::new(Vec::new());
                &CLOSED
            }
            fn over(inner: $inner) -> Self {
                // Whatever the type of a handle, its tag is where any other's is.
                const { assert!(std::mem::offset_of!(Self, tagged) == 0) };
                Self { tagged: $crate::capi::Tagged { tag: Self::TAG, inner } }
            }
            #[inline(always)]
            fn tag(&mut self) -> &mut u64 {
                &mut self.tagged.tag
            }
            #[inline(always)]
            fn inner(&self) -> &$inner {
                &self.tagged.inner
            }
        }
    };
}
use handle;

/// Writes a result through a pointer that must not be NULL; checked before anything is done.
struct Out<T>(*mut T);

impl<T> Out<T> {
    #[inline(always)]
    fn new(pointer: *mut T) -> Result<Self> {
        if pointer.is_null() {
            return Err(no_result());
        }
        Ok(Self(pointer))
    }

    #[inline(always)]
    fn set(self, value: T) -> Result<shc_status> {
        unsafe { self.0.write_unaligned(value) };
        Ok(SHC_OK)
    }
}

unsafe fn text<'a>(pointer: *const c_char, what: &str) -> Result<&'a str> {
    if pointer.is_null() {
        fail!(InvalidArgument, "{what} is NULL");
    }
    match unsafe { CStr::from_ptr(pointer) }.to_str() {
        Ok(text) => Ok(text),
        Err(_) => fail!(InvalidName, "{what} is not UTF-8"),
    }
}

#[inline(always)]
fn check_len(len: usize) -> Result<()> {
    if isize::try_from(len).is_err() { Err(no_length(len)) } else { Ok(()) }
}

#[inline(always)]
unsafe fn bytes<'a>(data: *const std::ffi::c_void, len: usize) -> Result<&'a [u8]> {
    check_len(len)?;
    if len == 0 { Ok(&[]) } else { unsafe { exactly(data, len) } }
}

#[inline(always)]
unsafe fn bytes_mut<'a>(data: *mut std::ffi::c_void, len: usize) -> Result<&'a mut [u8]> {
    check_len(len)?;
    if len == 0 { Ok(&mut []) } else { unsafe { exactly_mut(data, len) } }
}

/// [`bytes`] of which there are as many as something has that exists.
#[inline(always)]
unsafe fn exactly<'a>(data: *const std::ffi::c_void, len: usize) -> Result<&'a [u8]> {
    if data.is_null() {
        return Err(no_buffer(len));
    }
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

/// [`bytes_mut`] of which there are as many as something has that exists.
#[inline(always)]
unsafe fn exactly_mut<'a>(data: *mut std::ffi::c_void, len: usize) -> Result<&'a mut [u8]> {
    if data.is_null() {
        return Err(no_buffer(len));
    }
    Ok(unsafe { std::slice::from_raw_parts_mut(data.cast(), len) })
}

#[inline(always)]
fn deadline(timeout_ns: i64) -> Result<Deadline> {
    match timeout_ns {
        -1 => Ok(Deadline::Never),
        0 => Ok(Deadline::Now),
        _ => later(timeout_ns),
    }
}

#[inline(never)]
fn later(timeout_ns: i64) -> Result<Deadline> {
    if timeout_ns < 0 {
        fail!(
            InvalidArgument,
            "a timeout is -1 (for ever), 0 (try) or a number of nanoseconds; got {timeout_ns}"
        );
    }
    Ok(Deadline::from_ns(timeout_ns))
}

// What makes an error stands apart from what finds it, and takes numbers, so that nothing has to lie in memory for it.

#[cold]
#[inline(never)]
fn null_handle() -> Error {
    Error::new(ErrorKind::InvalidHandle, "the handle is NULL")
}

#[cold]
#[inline(never)]
fn no_handle() -> Error {
    Error::new(ErrorKind::InvalidHandle, "the handle is closed or of another type")
}

#[cold]
#[inline(never)]
fn no_result() -> Error {
    Error::new(ErrorKind::InvalidArgument, "the pointer for a result is NULL")
}

#[cold]
#[inline(never)]
fn no_length(len: usize) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("a length of {len} bytes (a negative number?)"))
}

#[cold]
#[inline(never)]
fn no_buffer(len: usize) -> Error {
    Error::new(ErrorKind::InvalidArgument, format!("a buffer of {len} bytes is NULL"))
}

/// Reads a struct of options that begins with its size; NULL is `default`. A shorter one, of an older
/// caller, is completed from `default`; a longer one is refused if what is unknown in it is not zero.
unsafe fn options<T: Copy>(given: *const T, default: T) -> Result<T> {
    if given.is_null() {
        return Ok(default);
    }
    let size = unsafe { given.cast::<usize>().read_unaligned() };
    if !(size_of::<usize>()..=4096).contains(&size) {
        fail!(InvalidArgument, "struct_size is {size}; set it to the size of the struct");
    }
    let given = unsafe { std::slice::from_raw_parts(given.cast::<u8>(), size) };
    let known = size.min(size_of::<T>());
    if given[known..].iter().any(|byte| *byte != 0) {
        fail!(Unsupported, "the options hold something that this version of the library does not know");
    }
    let mut out = default;
    unsafe { std::ptr::copy_nonoverlapping(given.as_ptr(), (&raw mut out).cast::<u8>(), known) };
    Ok(out)
}

/// Copies a string into a buffer with a NUL behind it.
unsafe fn put_text(text: &str, buffer: *mut c_char, size: usize) -> Result<shc_status> {
    let buffer = unsafe { bytes_mut(buffer.cast(), size)? };
    let Some(place) = buffer.get_mut(..text.len() + 1) else {
        fail!(BufferTooSmall, "the buffer has {size} bytes, {} are needed", text.len() + 1);
    };
    place[..text.len()].copy_from_slice(text.as_bytes());
    place[text.len()] = 0;
    Ok(SHC_OK)
}

/// The version of this ABI; a library of another one must not be used. It is not the package's version.
#[unsafe(no_mangle)]
pub extern "C" fn shc_abi_version() -> u32 {
    1
}

/// The version of what lies in memory; segments of another version are refused.
#[unsafe(no_mangle)]
pub extern "C" fn shc_layout_version() -> u32 {
    crate::layout::LAYOUT_VERSION
}

/// The package's version, as text that lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn shc_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Copies the sentence of this thread's last error (a negative status) and a NUL into a buffer, cut off if it
/// is too small.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_last_error(buffer: *mut c_char, size: usize) -> shc_status {
    guard(|| {
        let last = LAST_ERROR.with(|last| last.borrow().clone());
        let room = size.saturating_sub(1);
        let end = (0..=room.min(last.len())).rev().find(|end| last.is_char_boundary(*end)).unwrap_or(0);
        unsafe { put_text(&last[..end], buffer, size) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_error() -> String {
        let mut buffer = [0; 200];
        assert_eq!(unsafe { shc_last_error(buffer.as_mut_ptr(), buffer.len()) }, SHC_OK);
        unsafe { CStr::from_ptr(buffer.as_ptr()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_is_a_status() {
        assert_eq!(guard(|| panic!("with a {}", "sentence")), SHC_ERR_PANIC);
        assert!(last_error().ends_with("please report it: with a sentence"), "{}", last_error());
        assert_eq!(guard(|| panic!("plain")), SHC_ERR_PANIC);
        assert!(last_error().ends_with("please report it: plain"), "{}", last_error());
        assert_eq!(guard(|| std::panic::panic_any(7)), SHC_ERR_PANIC);
        assert!(last_error().ends_with("please report it: no message"), "{}", last_error());
    }

    #[test]
    fn outcomes_leave_the_last_error_as_it_was() {
        assert_eq!(guard(|| Err(null_handle())), SHC_ERR_INVALID_HANDLE);
        assert_eq!(guard(|| Err(ErrorKind::WouldBlock.into())), SHC_WOULD_BLOCK);
        assert_eq!(guard(|| Ok(SHC_OWNER_DIED)), SHC_OWNER_DIED);
        assert_eq!(last_error(), "the handle is NULL");
    }
}
