//! Who removes a segment's name, and when: never while somebody lives in it without his doing, and never a
//! persistent one without being told to.

use std::fs::File;
use std::time::Duration;

use super::attach::{Attached, LIFE_BYTE, seat_byte};
use crate::atomic::{Relaxed, SeqCst, fence};
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

#[cfg_attr(loom, track_caller)]
fn mark_gone(file: &File, gone: u32) {
    let at = std::mem::offset_of!(crate::layout::Header, gone) as u64;
    let _ = shm::write_word(file, at, gone);
}

/// Unlinks an ephemeral segment if nobody lives in it any more; `attached` has just left it.
pub fn leave(attached: &Attached) {
    if attached.header().flags.load(Relaxed) & EPHEMERAL == 0 {
        return;
    }
    let Ok(file) = attached.file() else { return };
    unlink_if_deserted(&attached.name, file, attached.participants);
}

/// Unlinks the file if nobody lives in it and it still has its name; whether it did.
///
/// Who finds LIFE taken may go: its holder looks again when he has given it up. (A leaver gives up his lease first, then
/// tries to get LIFE; a holder gives up LIFE first, then looks at the leases.)
fn unlink_if_deserted(name: &str, file: &File, participants: u32) -> bool {
    let lives = || lease::is_any_locked(file, seat_byte(1), participants.into()).unwrap_or(true);
    let ours = || shm::stat(file).ok().map(|stat| stat.identity) == shm::identity_of(name);
    while !lives() && lock_life(file) {
        let named = ours();
        // Of one that somebody else has unlinked GONE stays, for those who opened it before.
        let deserted = named && is_deserted(file, lives);
        let done = deserted && ours() && shm::unlink(name).is_ok();
        let _ = lease::unlock(file, LIFE_BYTE);
        if deserted || !named {
            return done;
        }
    }
    false
}

/// Whether nobody lives in the segment, nor will: whoever is attaching lives, or sees GONE (see [`seat`](super::seat)).
/// LIFE is in hand.
fn is_deserted(file: &File, lives: impl FnOnce() -> bool) -> bool {
    mark_gone(file, 1);
    fence(SeqCst); // pairs with the fence of who attaches
    let deserted = !lives();
    if !deserted {
        mark_gone(file, 0);
    }
    deserted
}

/// Takes LIFE alone. Others hold it for microseconds, unless they do not get to run: then the segment is left to them,
/// or if they are killed to who looks at it next.
fn lock_life(file: &File) -> bool {
    (0..LIFE_TRIES).any(|n| {
        if n > 0 {
            clock::nap(Duration::from_micros(200));
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
    const FLAGS: usize = std::mem::offset_of!(crate::layout::Header, flags);
    let head: [u8; FLAGS + 4] = shm::read(&file).unwrap_or([0; FLAGS + 4]);
    let flags = u32::from_ne_bytes(head[FLAGS..].try_into().expect("four bytes"));
    let ephemeral = flags & EPHEMERAL != 0;
    match super::check_header(name, &file, stat.len) {
        Ok((_, participants)) => ephemeral && unlink_if_deserted(name, &file, participants),
        Err(e) if e.kind() == ErrorKind::Unfinished => unlink_if_deserted(name, &file, MAX_PARTICIPANTS),
        Err(e) if e.kind() == ErrorKind::StaleBoot => {
            ephemeral && unlink_if_deserted(name, &file, MAX_PARTICIPANTS)
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
