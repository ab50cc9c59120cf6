//! One error type and one table of numbers, shared by Rust, C and Python.

use std::fmt;
use std::ptr::{self, NonNull};

/// What happened, as a number that never changes its meaning.
///
/// Positive numbers are outcomes of a call that did what it could, negative ones are errors. C sees the
/// same numbers as `SHC_*`, Python as the classes of `sharecell.errors`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(i32)]
pub enum ErrorKind {
    /// The call would have had to wait, and was told not to.
    WouldBlock = 1,
    /// The deadline passed.
    TimedOut = 2,
    /// A signal handler ran during the wait.
    Interrupted = 3,
    /// The object was closed, or nobody is left at the other end.
    Closed = 4,
    /// The lock is held by the caller, and who held it before died.
    OwnerDied = 5,
    /// The barrier is broken.
    Broken = 6,
    /// An argument makes no sense by itself.
    InvalidArgument = -1,
    /// A name that no segment or object can have.
    InvalidName = -2,
    /// Nothing has that name.
    NotFound = -3,
    /// Something has that name already.
    AlreadyExists = -4,
    /// The object of that name is of another kind.
    WrongKind = -5,
    /// The object has another typecode or element type.
    WrongType = -6,
    /// The object has another length, capacity or limit.
    WrongSize = -7,
    /// The segment has another layout version, byte order, word size or lock protocol.
    Incompatible = -8,
    /// The file is not a segment.
    NotASegment = -9,
    /// The segment's creator died before it was complete.
    Unfinished = -10,
    /// The segment's content contradicts itself.
    Corrupted = -12,
    /// The operating system refused access.
    PermissionDenied = -13,
    /// The file belongs to another user.
    WrongUser = -14,
    /// The memory of the machine that backs segments is exhausted.
    NoSpace = -15,
    /// The segment has reached the limit that it was created with.
    LimitReached = -16,
    /// The item is larger than the object admits.
    TooLarge = -17,
    /// The index is outside the array.
    OutOfRange = -18,
    /// The value cannot be represented in the typecode.
    ValueRange = -19,
    /// What was to be released is not held.
    NotHeld = -20,
    /// What was to be released is held by another process.
    NotOwner = -21,
    /// This process has no seat in the segment (it was made by a raw `clone`, or no seat was free at its fork).
    NotAttached = -22,
    /// All participants' seats are taken.
    TableFull = -23,
    /// Handles, guards or views are still in use.
    Busy = -24,
    /// The kernel or file system lacks something that is needed.
    Unsupported = -25,
    /// The object was removed.
    Removed = -26,
    /// A descriptor, mapping or similar resource of the process ran out.
    OutOfResources = -27,
    /// Any other error of the operating system.
    System = -28,
    /// A defect of this library, stopped at the C boundary.
    Panic = -29,
    /// The semaphore would exceed its maximum.
    Overflow = -30,
    /// The segment was made before the machine was last started.
    StaleBoot = -31,
    /// The handle was closed, or is no handle of this type.
    InvalidHandle = -32,
    /// The buffer is too small for what is to be written to it.
    BufferTooSmall = -33,
    /// Somebody has declared what the lock protects to be beyond repair.
    Poisoned = -34,
}

impl ErrorKind {
    /// The number of this kind in C and Python.
    pub const fn code(self) -> i32 {
        self as i32
    }

    const fn text(self) -> &'static str {
        match self {
            Self::WouldBlock => "the call would have to wait",
            Self::TimedOut => "timed out",
            Self::Interrupted => "interrupted by a signal",
            Self::Closed => "closed",
            Self::OwnerDied => "acquired; the previous owner died while holding it",
            Self::Broken => "the barrier is broken",
            Self::InvalidArgument => "invalid argument",
            Self::InvalidName => "invalid name",
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::WrongKind => "wrong kind of object",
            Self::WrongType => "wrong element type",
            Self::WrongSize => "wrong size",
            Self::Incompatible => "incompatible segment",
            Self::NotASegment => "not a segment",
            Self::Unfinished => "unfinished segment",
            Self::Corrupted => "corrupted segment",
            Self::PermissionDenied => "permission denied",
            Self::WrongUser => "owned by another user",
            Self::NoSpace => "no space left in shared memory",
            Self::LimitReached => "the segment's limit is reached",
            Self::TooLarge => "item too large",
            Self::OutOfRange => "index out of range",
            Self::ValueRange => "value out of range",
            Self::NotHeld => "not held",
            Self::NotOwner => "held by another process",
            Self::NotAttached => "this process is not attached to the segment; open it again",
            Self::TableFull => "no participant's seat is free",
            Self::Busy => "still in use",
            Self::Unsupported => "not supported here",
            Self::Removed => "the object was removed",
            Self::OutOfResources => "out of descriptors or mappings",
            Self::System => "system error",
            Self::Panic => "a defect in sharecell; please report it",
            Self::Overflow => "the semaphore's maximum is exceeded",
            Self::StaleBoot => "the segment dates from before the last boot",
            Self::InvalidHandle => "the handle is closed or of another type",
            Self::Poisoned => "what the lock protects was declared beyond repair",
            Self::BufferTooSmall => "the buffer is too small",
        }
    }
}

/// An error: its [kind](ErrorKind), and a sentence that names the object and both sides of a mismatch.
///
/// The outcomes that a fast path can return (would block, timed out, interrupted, closed) carry no
/// sentence and allocate nothing.
///
/// It is one word, so that results are small: the address of what it says, or, with nothing but its kind to say,
/// that kind's number made odd.
pub struct Error(NonNull<Said>);

#[derive(Clone, PartialEq, Eq)]
struct Said {
    kind: ErrorKind,
    detail: Box<str>,
}

const _: () = assert!(size_of::<Result<()>>() == size_of::<usize>());

// SAFETY: what it says belongs to it alone, and is only read.
unsafe impl Send for Error {}
// SAFETY: as above.
unsafe impl Sync for Error {}

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a sentence of its own.
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        let said = Said { kind, detail: detail.into().into_boxed_str() };
        Self(NonNull::from(Box::leak(Box::new(said))))
    }

    /// An error with a sentence that is formatted here, so that it is not where the error is found.
    #[cold]
    #[inline(never)]
    pub(crate) fn said(kind: ErrorKind, detail: fmt::Arguments<'_>) -> Self {
        Self::new(kind, detail.to_string())
    }

    fn detail(&self) -> Option<&Said> {
        if self.0.addr().get() & 1 != 0 {
            return None;
        }
        // SAFETY: an even word comes from the box in `new`, which only `drop` takes back.
        Some(unsafe { self.0.as_ref() })
    }

    /// The kind of this error.
    pub fn kind(&self) -> ErrorKind {
        match self.detail() {
            Some(said) => said.kind,
            // SAFETY: an odd word was made of a kind's number, in `from`.
            None => unsafe { std::mem::transmute::<i32, ErrorKind>((self.0.addr().get() >> 1) as i32) },
        }
    }

    /// The number of this error in C and Python.
    pub fn code(&self) -> i32 {
        self.kind().code()
    }

    /// Whether the call only ran out of time or was told not to wait.
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
    }

    /// The same kind, with `what` before the sentence.
    pub(crate) fn of(self, what: impl fmt::Display) -> Self {
        Self::new(self.kind(), format!("{what}: {self}"))
    }

    pub(crate) fn corrupted(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupted, detail)
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        let word = (kind.code() as u32 as usize) << 1 | 1;
        Self(NonNull::new(ptr::without_provenance_mut(word)).expect("odd, so not 0"))
    }
}

impl Clone for Error {
    fn clone(&self) -> Self {
        self.detail().map_or_else(|| self.kind().into(), |said| Self::new(said.kind, said.detail.clone()))
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        (self.kind(), self.detail()) == (other.kind(), other.detail())
    }
}

impl Eq for Error {}

impl Drop for Error {
    fn drop(&mut self) {
        if self.detail().is_some() {
            // SAFETY: it comes from the box in `new`, and nobody reads it any more.
            drop(unsafe { Box::from_raw(self.0.as_ptr()) });
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail().map_or_else(|| self.kind().text(), |said| &said.detail))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind())
    }
}

impl std::error::Error for Error {}

/// Returns early with an error of a kind and a formatted sentence.
macro_rules! fail {
    ($kind:ident, $($arg:tt)*) => {
        return Err($crate::error::Error::said($crate::error::ErrorKind::$kind, format_args!($($arg)*)))
    };
}
pub(crate) use fail;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_it_was_made_of() {
        use ErrorKind::{Broken, InvalidArgument, Poisoned, WouldBlock};
        for kind in [WouldBlock, Broken, InvalidArgument, Poisoned] {
            let (plain, said) = (Error::from(kind), Error::new(kind, "so"));
            assert_eq!((plain.kind(), said.kind()), (kind, kind));
            assert_eq!((plain.to_string().as_str(), said.to_string().as_str()), (kind.text(), "so"));
            assert_eq!((&plain.clone(), &said.clone()), (&plain, &said));
            assert_ne!(plain, said);
            assert_eq!(said.of("it").to_string(), "it: so");
        }
        assert_ne!(Error::from(WouldBlock), Error::from(Broken));
    }
}
