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

/// Sleeps while `word` holds `expected`, until `at` (absolute nanoseconds of `CLOCK_MONOTONIC`).
///
/// Every sleep is timed: a handler installed with `SA_RESTART` never ends an untimed futex wait.
pub fn wait(word: &AtomicU32, expected: u32, at: u64) -> Sleep {
    let until =
        libc::timespec { tv_sec: (at / 1_000_000_000) as libc::time_t, tv_nsec: (at % 1_000_000_000) as _ };
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

/// Wakes up to `n` sleepers of `word`; how many there were.
pub fn wake(word: &AtomicU32, n: u32) -> u32 {
    // SAFETY: FUTEX_WAKE only uses the address of `word`, which is live.
    let woken = unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, n.min(i32::MAX as u32) as i32)
    };
    u32::try_from(woken).unwrap_or(0)
}
