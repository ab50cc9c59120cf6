//! What the operating system says of this process and machine.

use std::fs;
use std::sync::OnceLock;

/// The id of the machine's current boot.
pub fn boot_id() -> [u8; 16] {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let mut id = [0; 16];
    let digits: Vec<u8> = text.bytes().filter_map(|b| char::from(b).to_digit(16)).map(|d| d as u8).collect();
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    id
}

/// The process id, in its own pid namespace (async-signal-safe).
pub fn pid() -> u32 {
    // SAFETY: getpid has no preconditions.
    unsafe { libc::getpid() as u32 }
}

/// The effective user.
pub fn user() -> u32 {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() }
}

/// When this process started, in clock ticks since boot (field 22 of `/proc/self/stat`).
pub fn start_time() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    stat.rsplit_once(')')
        .and_then(|(_, rest)| rest.split_ascii_whitespace().nth(19)?.parse().ok())
        .unwrap_or(0)
}

/// The command name of this process, cut to 16 bytes.
pub fn command() -> [u8; 16] {
    let name = fs::read("/proc/self/comm").unwrap_or_default();
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().zip(name.iter().take_while(|b| **b != b'\n')) {
        *to = *from;
    }
    out
}

/// The number of the processor that this thread runs on at the moment.
pub fn processor() -> u32 {
    // SAFETY: sched_getcpu has no preconditions.
    unsafe { libc::sched_getcpu() as u32 }
}

/// Lets another thread run on this processor, if one wants to.
pub fn give_way() {
    std::thread::yield_now();
}

/// Whether spinning can pay: more than one processor is available to this process.
pub fn many_processors() -> bool {
    static MANY: OnceLock<bool> = OnceLock::new();
    *MANY.get_or_init(|| std::thread::available_parallelism().is_ok_and(|n| n.get() > 1))
}
