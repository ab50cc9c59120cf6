//! Who removes a segment's name, and when: never while somebody lives in it without his doing, and never a
//! persistent one without being told to.

use std::fs::File;
use std::time::Duration;

use super::attach::{Attached, LIFE_BYTE, seat_byte};
use crate::atomic::Relaxed;
use crate::error::{ErrorKind, Result};
use crate::layout::{EPHEMERAL, MAX_PARTICIPANTS};
use crate::sys::lease::{self, Mode};
use crate::sys::{clock, shm};

/// How often a leaver tries to get LIFE.
const LIFE_TRIES: u32 = 100;
/// How many names a creator looks at in passing.
const GLANCES: usize = 4;
/// Of how many.
const MOST_NAMES: usize = 1000;

fn mark_gone(file: &File) {
    use std::os::unix::fs::FileExt;
    let at = std::mem::offset_of!(crate::layout::Header, gone) as u64;
    let _ = file.write_all_at(&1u32.to_ne_bytes(), at);
}

/// Unlinks an ephemeral segment if `attached`, which is leaving, is the last one in it.
pub fn leave(attached: &Attached) {
    if attached.header().flags.load(Relaxed) & EPHEMERAL == 0 {
        return;
    }
    let Ok(file) = attached.file() else { return };
    let me = attached.me().unwrap_or(0);
    unlink_if_deserted(&attached.name, file, attached.participants, me);
}

/// Unlinks the file if nobody but `me` lives in it and it still has its name; whether it did.
///
/// Who finds LIFE taken may go: its holder looks again when he has given it up. (A leaver gives up his lease first, then
/// tries to get LIFE; a holder gives up LIFE first, then looks at the leases.)
fn unlink_if_deserted(name: &str, file: &File, participants: u32, me: u32) -> bool {
    let lives = |label: u32| label != me && lease::is_locked(file, seat_byte(label)).unwrap_or(true);
    let is_deserted = || !(1..=participants).any(lives);
    let ours = || shm::stat(file).ok().map(|stat| stat.identity) == shm::identity_of(name);
    while is_deserted() && lock_life(file) {
        // Whoever is attaching holds LIFE shared until he is seated, so with it in hand the count is final.
        let deserted = is_deserted();
        let done = deserted && ours() && {
            mark_gone(file);
            shm::unlink(name).is_ok()
        };
        let _ = lease::unlock(file, LIFE_BYTE);
        if deserted {
            return done;
        }
    }
    false
}

/// Takes LIFE alone. Others hold it for microseconds, unless they do not get to run: then the segment is left to them,
/// or if they are killed to who looks at it next.
fn lock_life(file: &File) -> bool {
    (0..LIFE_TRIES).any(|n| {
        if n > 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
        lease::try_lock(file, LIFE_BYTE, Mode::Exclusive).unwrap_or(false)
    })
}

/// Removes `name` if it is an ephemeral or unfinished segment that nobody lives in.
fn collect(name: &str) -> bool {
    let Ok(file) = shm::open(name) else { return false };
    let Ok(stat) = shm::stat(&file) else { return false };
    if !stat.regular || stat.user != crate::sys::process::user() {
        return false;
    }
    let mut flags = [0; 4];
    let at = std::mem::offset_of!(crate::layout::Header, flags) as u64;
    let ephemeral = {
        use std::os::unix::fs::FileExt;
        file.read_exact_at(&mut flags, at).is_ok() && u32::from_ne_bytes(flags) & EPHEMERAL != 0
    };
    match super::check_header(name, &file, stat.len) {
        Ok((_, participants)) => ephemeral && unlink_if_deserted(name, &file, participants, 0),
        Err(e) if e.kind() == ErrorKind::Unfinished => unlink_if_deserted(name, &file, MAX_PARTICIPANTS, 0),
        Err(e) if e.kind() == ErrorKind::StaleBoot => {
            ephemeral && unlink_if_deserted(name, &file, MAX_PARTICIPANTS, 0)
        }
        Err(_) => false,
    }
}

/// Removes all segments that [`collect`] may.
pub fn gc() -> Result<Vec<String>> {
    Ok(shm::names()?.filter(|name| collect(name)).collect())
}

/// Looks at a few segments in passing, other ones each time, so that those whose participants were all killed
/// do not pile up.
pub fn look_around() {
    let Ok(names) = shm::names() else { return };
    let names: Vec<String> = names.take(MOST_NAMES).collect();
    let start = clock::now() as usize % names.len().max(1);
    for name in names.iter().cycle().skip(start).take(GLANCES.min(names.len())) {
        collect(name);
    }
}
