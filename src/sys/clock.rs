//! Time: `CLOCK_MONOTONIC` only, so that setting the wall clock never ends or prolongs a wait.

use std::time::Duration;

#[cfg(loom)]
pub use super::model::now;

/// Nanoseconds of `CLOCK_MONOTONIC`.
#[cfg(not(loom))]
pub fn now() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a valid timespec to write to; CLOCK_MONOTONIC cannot fail on Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}

/// Does nothing for `time`.
pub fn nap(time: Duration) {
    #[cfg(loom)]
    let _ = super::model::kernel::pause();
    #[cfg(not(loom))]
    std::thread::sleep(time);
    let _ = time;
}

/// How long a call may wait: the deadline bounds the call as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// Do not wait.
    Now,
    /// Until this many nanoseconds of `CLOCK_MONOTONIC`.
    At(u64),
    /// For ever.
    Never,
}

impl Deadline {
    /// The deadline `timeout` from now; a zero timeout does not wait.
    pub fn after(timeout: Duration) -> Self {
        match u64::try_from(timeout.as_nanos()) {
            Ok(0) => Self::Now,
            Ok(ns) => now().checked_add(ns).map_or(Self::Never, Self::At),
            Err(_) => Self::Never,
        }
    }

    /// C's `timeout_ns`: 0 tries, a negative number waits for ever.
    pub fn from_ns(timeout_ns: i64) -> Self {
        match u64::try_from(timeout_ns) {
            Ok(ns) => Self::after(Duration::from_nanos(ns)),
            Err(_) => Self::Never,
        }
    }

    /// Whether the deadline has passed.
    pub fn passed(self) -> bool {
        match self {
            Self::Now => true,
            Self::At(at) => now() >= at,
            Self::Never => false,
        }
    }

    /// The earlier of this deadline and `ns` from now, as absolute nanoseconds.
    pub fn earlier(self, ns: u64) -> u64 {
        let tick = now() + ns;
        match self {
            Self::Now => 0,
            Self::At(at) => at.min(tick),
            Self::Never => tick,
        }
    }
}

impl From<Duration> for Deadline {
    fn from(timeout: Duration) -> Self {
        Self::after(timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_become_deadlines() {
        assert_eq!(Deadline::from_ns(0), Deadline::Now);
        assert_eq!(Deadline::from_ns(-1), Deadline::Never);
        assert_eq!(Deadline::after(Duration::MAX), Deadline::Never);
        let before = now();
        let Deadline::At(at) = Deadline::from_ns(1_000) else { panic!("not a deadline") };
        assert!(at >= before + 1_000);
        assert!(Deadline::Now.passed() && !Deadline::Never.passed());
        assert!(!Deadline::after(Duration::from_secs(1000)).passed());
    }
}
