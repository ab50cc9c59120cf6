//! One error type and one table of numbers, shared by Rust, C and Python.

use std::fmt;

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
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    detail: Option<Box<str>>,
}

/// The result of every fallible call of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a sentence of its own.
    pub(crate) fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: Some(detail.into().into_boxed_str()) }
    }

    /// The kind of this error.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The number of this error in C and Python.
    pub fn code(&self) -> i32 {
        self.kind.code()
    }

    /// Whether the call only ran out of time or was told not to wait.
    pub fn is_timeout(&self) -> bool {
        matches!(self.kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
    }

    /// The same kind, with `what` before the sentence.
    pub(crate) fn of(self, what: impl fmt::Display) -> Self {
        Self::new(self.kind, format!("{what}: {self}"))
    }

    pub(crate) fn corrupted(detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupted, detail)
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, detail: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.detail.as_deref().unwrap_or(self.kind.text()))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

impl std::error::Error for Error {}

/// Returns early with an error of a kind and a formatted sentence.
macro_rules! fail {
    ($kind:ident, $($arg:tt)*) => {
        return Err($crate::error::Error::new($crate::error::ErrorKind::$kind, format!($($arg)*)))
    };
}
pub(crate) use fail;
