//! What the operating system says of this process and machine.

use std::fs;
use std::sync::OnceLock;

use super::io_error;
use crate::error::{Error, ErrorKind, Result};

/// The id of the machine's current boot.
pub fn boot_id() -> Result<[u8; 16]> {
    static ID: OnceLock<[u8; 16]> = OnceLock::new();
    if let Some(id) = ID.get() {
        return Ok(*id);
    }
    let path = "/proc/sys/kernel/random/boot_id";
    let text = fs::read_to_string(path).map_err(|e| io_error(path, &e))?;
    let mut id = [0; 16];
    let digits: Vec<u8> = text.bytes().filter_map(|b| char::from(b).to_digit(16)).map(|d| d as u8).collect();
    if digits.len() != 32 {
        return Err(Error::new(ErrorKind::System, format!("{path} holds no boot id: {text:?}")));
    }
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Ok(*ID.get_or_init(|| id))
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

/// What people want to know of a process.
#[derive(Clone, Copy)]
pub struct Who {
    /// The process id, in its own pid namespace.
    pub pid: u32,
    /// When it started, in clock ticks since boot (field 22 of `/proc/self/stat`).
    pub start_time: u64,
    /// The name of its command, cut to 16 bytes.
    pub command: [u8; 16],
}

impl Who {
    /// This process.
    pub fn myself() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // 12345 (command) S 1 ...: the command may hold anything, also parentheses.
        let (before, after) = stat.rsplit_once(')').unwrap_or_default();
        let name = before.split_once('(').map_or("", |(_, name)| name);
        let mut command = [0; 16];
        for (to, from) in command.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        let start_time = after.split_ascii_whitespace().nth(19).and_then(|field| field.parse().ok());
        Self { pid: pid(), start_time: start_time.unwrap_or(0), command }
    }
}

/// The number of the processor that this thread runs on at the moment.
pub fn processor() -> u32 {
    if cfg!(loom) {
        return 0; // a model has one, and what it does must not depend on the real one
    }
    // SAFETY: sched_getcpu has no preconditions.
    unsafe { libc::sched_getcpu() as u32 }
}

/// Lets another thread run on this processor, if one wants to.
pub fn give_way() {
    std::thread::yield_now();
}

/// Whether there is more than one processor for others to run on, wherever this process may.
pub fn many_processors() -> bool {
    static MANY: OnceLock<bool> = OnceLock::new();
    // SAFETY: sysconf has no preconditions.
    *MANY.get_or_init(|| unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) } > 1)
}
