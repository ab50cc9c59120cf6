//! Waiting for descriptors (poll(2)), and an event descriptor to ring from another thread (eventfd(2)).

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd};

use super::clock::now;
use super::futex::Sleep;
use super::{errno, io_error, os_error};
use crate::error::Result;

/// What a descriptor is to be ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Reading.
    Read,
    /// Writing.
    Write,
}

/// A descriptor that becomes readable when it is rung.
pub struct Bell(File);

impl Bell {
    /// A silent one.
    pub fn new() -> Result<Self> {
        // SAFETY: eventfd takes numbers only.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(os_error("eventfd", errno()));
        }
        // SAFETY: the descriptor was just made and nobody else has it.
        Ok(Self(unsafe { File::from_raw_fd(fd) }))
    }

    /// Makes it readable. (It can only fail when it is readable anyway.)
    pub fn ring(&self) {
        let _ = (&self.0).write_all(&1u64.to_ne_bytes());
    }
}

impl Bell {
    /// Makes it unreadable. (It can only fail when it is unreadable anyway.)
    pub fn clear(&self) {
        let _ = (&self.0).read_exact(&mut [0; 8]);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn record(fd: BorrowedFd<'_>, wanted: Wanted) -> libc::pollfd {
    let events = if wanted == Wanted::Read { libc::POLLIN } else { libc::POLLOUT };
    libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 }
}

/// Calls poll(2); how many are ready.
fn call(records: &mut [libc::pollfd], timeout_ms: i32) -> Result<Option<usize>> {
    // SAFETY: the records are valid for their number, and their descriptors are borrowed.
    match unsafe { libc::poll(records.as_mut_ptr(), records.len() as libc::nfds_t, timeout_ms) } {
        n if n >= 0 => Ok(Some(n as usize)),
        _ if errno() == libc::EINTR => Ok(None),
        _ => Err(io_error("poll", &std::io::Error::last_os_error())),
    }
}

#[cfg(loom)]
pub use super::model::kernel::pause;

/// Does nothing for a millisecond, or until a signal handler has run.
#[cfg(not(loom))]
pub fn pause() -> Result<Sleep> {
    Ok(if call(&mut [], 1)?.is_some() { Sleep::TimedOut } else { Sleep::Interrupted })
}

/// The numbers of those descriptors that are ready, without waiting.
pub fn look(descriptors: &[(usize, BorrowedFd<'_>, Wanted)]) -> Result<Vec<usize>> {
    if descriptors.is_empty() {
        return Ok(Vec::new());
    }
    let mut records: Vec<_> = descriptors.iter().map(|(_, fd, wanted)| record(*fd, *wanted)).collect();
    call(&mut records, 0)?;
    let ready = descriptors.iter().zip(&records).filter(|(_, record)| record.revents != 0);
    Ok(ready.map(|((number, ..), _)| *number).collect())
}

/// Sleeps until a descriptor is ready, the bell rings, or `at` (nanoseconds of `CLOCK_MONOTONIC`).
pub fn sleep(descriptors: &[(usize, BorrowedFd<'_>, Wanted)], bell: &Bell, at: u64) -> Result<Sleep> {
    let mut records: Vec<_> = descriptors.iter().map(|(_, fd, wanted)| record(*fd, *wanted)).collect();
    records.push(record(bell.as_fd(), Wanted::Read));
    let timeout = at.saturating_sub(now()).div_ceil(1_000_000).min(i32::MAX as u64) as i32;
    Ok(match call(&mut records, timeout)? {
        None => Sleep::Interrupted,
        Some(0) => Sleep::TimedOut,
        Some(_) => Sleep::Woken,
    })
}
