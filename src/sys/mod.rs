//! All of the operating system: the only module that calls libc.
//!
//! Linux 5.14 or newer is assumed (open file description locks, `O_TMPFILE`, `MADV_WIPEONFORK`, futexes).

pub mod bulk;
pub mod clock;
pub mod fork;
pub mod futex;
pub mod lease;
pub mod map;
pub mod membarrier;
#[cfg(loom)]
pub mod model;
pub mod poll;
pub mod process;
pub mod shm;
pub mod socket;
#[cfg(feature = "steps")]
pub mod steps;
pub mod thread;

use crate::error::{Error, ErrorKind};

/// The calling thread's `errno`.
pub fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The error that `errno` number means for `what`.
pub fn os_error(what: &str, number: i32) -> Error {
    let kind = match number {
        libc::ENOENT => ErrorKind::NotFound,
        libc::EEXIST => ErrorKind::AlreadyExists,
        libc::EACCES | libc::EPERM | libc::EROFS => ErrorKind::PermissionDenied,
        libc::ENOSPC | libc::EDQUOT => ErrorKind::NoSpace,
        libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOLCK => ErrorKind::OutOfResources,
        libc::EOPNOTSUPP | libc::ENOSYS => ErrorKind::Unsupported,
        libc::EINTR => ErrorKind::Interrupted,
        libc::EAGAIN => ErrorKind::WouldBlock,
        libc::EPIPE | libc::ECONNRESET => ErrorKind::Closed,
        _ => ErrorKind::System,
    };
    Error::new(kind, format!("{what}: {}", std::io::Error::from_raw_os_error(number)))
}

/// The error that an [`std::io::Error`] means for `what`.
pub fn io_error(what: &str, error: &std::io::Error) -> Error {
    match error.raw_os_error() {
        Some(number) => os_error(what, number),
        None => Error::new(ErrorKind::System, format!("{what}: {error}")),
    }
}
