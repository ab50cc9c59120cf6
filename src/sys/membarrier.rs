//! Fences of which one side costs nothing: membarrier(2).
//!
//! A process that has registered is reached by everybody's `MEMBARRIER_CMD_GLOBAL_EXPEDITED`: the kernel sees to it
//! that each of its running threads passes a full fence before that call returns.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Whether this process is reached.
static REGISTERED: AtomicBool = AtomicBool::new(false);

fn membarrier(command: libc::c_int) -> bool {
    // SAFETY: membarrier takes numbers only.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}

/// Registers this process (async-signal-safe). Where it has several threads the first time takes some milliseconds.
pub fn register() {
    REGISTERED.store(membarrier(libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED), Relaxed);
}

/// Whether this process is registered; if not, it must fence itself.
#[inline]
pub fn is_registered() -> bool {
    REGISTERED.load(Relaxed)
}

/// Has each running thread of every registered process pass a full fence; false if the kernel would not.
pub fn fence_all() -> bool {
    membarrier(libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED)
}
