//! Counts accesses to shared memory and kills the process at a chosen one (feature `steps`, tests only).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

static STEPS: AtomicU64 = AtomicU64::new(0);
static DIE_AT: AtomicU64 = AtomicU64::new(0);

/// Counts one access, and kills the process if it is the chosen one.
#[inline]
pub fn step() {
    let n = STEPS.fetch_add(1, Relaxed) + 1;
    if n == DIE_AT.load(Relaxed) {
        // SAFETY: kill has no memory-safety preconditions.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    }
}

/// Starts counting anew; the process is killed at the `k`-th access from now (0: never).
pub fn die_at(k: u64) {
    DIE_AT.store(0, Relaxed);
    STEPS.store(0, Relaxed);
    DIE_AT.store(k, Relaxed);
}

/// How many accesses were counted since [`die_at`].
pub fn count() -> u64 {
    STEPS.load(Relaxed)
}
