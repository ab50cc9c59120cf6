//! Sleeping on a shared word until it changes, and waking who sleeps there (futex(2), shared form).

use std::sync::atomic::AtomicU32;

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sleep {
    /// Woken, or the word no longer held the expected value.
    Woken,
    /// The time was up.
    TimedOut,
    /// A signal handler ran.
    Interrupted,
}

#[cfg(loom)]
pub use super::model::kernel::{wait, wake};

/// Sleeps while `word` holds `expected`, until `at` (absolute nanoseconds of `CLOCK_MONOTONIC`).
///
/// Every sleep is timed: a handler installed with `SA_RESTART` never ends an untimed futex wait.
#[cfg(not(loom))]
pub fn wait(word: &AtomicU32, expected: u32, at: u64) -> Sleep {
    let until = timespec(at);
    // SAFETY: `word` is a live, aligned u32 for the length of the call and `until` a valid timespec. The
    // shared form (no FUTEX_PRIVATE_FLAG) is needed because the waker is in another process.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT_BITSET,
            expected,
            &until,
            std::ptr::null::<u32>(),
            libc::FUTEX_BITSET_MATCH_ANY,
        )
    };
    match if result == 0 { 0 } else { super::errno() } {
        libc::ETIMEDOUT => Sleep::TimedOut,
        libc::EINTR => Sleep::Interrupted,
        _ => Sleep::Woken,
    }
}

/// One of several words to sleep on, as the kernel wants it (`struct futex_waitv`).
#[repr(C)]
struct Waited {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

/// 32-bit words, shared between processes.
const FUTEX2_SIZE_U32: u32 = 2;

/// Sleeps while each word holds the value beside it, until `at`. At most 128 words. One that is not mapped any more
/// counts as changed.
pub fn wait_any(words: &[(*const AtomicU32, u32)], at: u64) -> Sleep {
    let waited: Vec<Waited> = words
        .iter()
        .map(|(word, value)| Waited {
            value: u64::from(*value),
            address: word.addr() as u64,
            flags: FUTEX2_SIZE_U32,
            reserved: 0,
        })
        .collect();
    let until = timespec(at);
    // SAFETY: the records are valid for their number and `until` is a valid timespec; the words are only read, by the
    // kernel, which refuses an address that is not mapped.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex_waitv,
            waited.as_ptr(),
            waited.len() as libc::c_uint,
            0,
            &until,
            libc::CLOCK_MONOTONIC,
        )
    };
    match if result >= 0 { 0 } else { super::errno() } {
        libc::ETIMEDOUT => Sleep::TimedOut,
        libc::EINTR => Sleep::Interrupted,
        libc::ENOSYS => {
            std::thread::sleep(std::time::Duration::from_millis(1));
            Sleep::Woken
        }
        _ => Sleep::Woken,
    }
}

fn timespec(at: u64) -> libc::timespec {
    libc::timespec { tv_sec: (at / 1_000_000_000) as libc::time_t, tv_nsec: (at % 1_000_000_000) as _ }
}

/// Wakes up to `n` sleepers of `word`; how many there were.
#[cfg(not(loom))]
pub fn wake(word: &AtomicU32, n: u32) -> u32 {
    // SAFETY: FUTEX_WAKE only uses the address of `word`, which is live.
    let woken = unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, n.min(i32::MAX as u32) as i32)
    };
    u32::try_from(woken).unwrap_or(0)
}
