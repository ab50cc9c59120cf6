//! Plays a case: its operation is killed, and a survivor looks after it.

use std::time::Duration;

use crate::common::*;
use crate::scene::{Case, Scene, now, reap_orphans, tidy_all};

/// What came of a play.
pub struct Played {
    /// Whether the operation got through.
    pub through: bool,
    /// How many blocks of the arenas are in use at the end.
    pub used: usize,
    /// What the survivor found.
    pub found: String,
    /// How long those who waited had to wait from when the dead was buried, in nanoseconds.
    pub waits: Vec<u64>,
}

impl Played {
    /// What was found after a death.
    pub fn dead(&self) -> Option<&str> {
        (!self.through).then_some(&self.found)
    }
}

/// How many blocks are in use after a play in which nobody dies.
pub struct Usual {
    light: usize,
    thorough: usize,
}

impl Usual {
    pub fn of(whole: impl Fn(bool) -> Played) -> Self {
        let [light, thorough] = [false, true].map(|thorough| {
            let played = whole(thorough);
            assert!(played.through, "it does not get through though nobody kills it");
            played.used
        });
        Self { light, thorough }
    }

    /// No block was lost; and tells how long those who waited had to.
    pub fn check(&self, played: &Played, thorough: bool) {
        let usual = if thorough { self.thorough } else { self.light };
        assert!(played.used <= usual, "leaked: {} blocks are in use, {usual} without a kill", played.used);
        played.waits.iter().for_each(|wait| println!("@wait {wait}"));
    }
}

/// Plays a case once; `victim` runs the operation in a process of its own, buries that, and says whether it
/// got through.
pub fn play(case: &Case, thorough: bool, victim: impl FnOnce(&Scene) -> bool) -> Played {
    watch(12 * WATCHDOG);
    let world = World::unlimited("steps");
    let scene = Scene::new(&world);
    (case.setup)(&scene);
    let through = victim(&scene);
    let buried = now();
    if !case.unaided {
        scene.s.recover();
    }
    (case.check)(&scene, through);
    let forgotten = scene.holders.take().len() + scene.sleepers.take().len();
    assert_eq!(forgotten, 0, "the check of a case reaps its helpers");
    reap_orphans();
    let waits = scene.went_on().filter_map(|time| time.checked_sub(buried)).collect();
    assert!(!scene.found().is_empty(), "the check of a case says what it has found");
    let (found, used) = (scene.found(), tidy_all(&scene, thorough));
    drop(scene);
    watch(Duration::ZERO);
    Played { through, used, found, waits }
}

/// From now on this process is killed after a time (none: no more), for it hangs then.
pub fn watch(time: Duration) {
    // SAFETY: alarm has no preconditions.
    unsafe { libc::alarm(time.as_secs() as u32) };
}

/// Waits for a child without polling; its raw status.
pub fn wait_for(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: `status` is a valid place to write to.
    while unsafe { libc::waitpid(pid, &mut status, libc::__WALL) } != pid {
        assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(libc::EINTR));
    }
    status
}

/// Makes this process the one that buries the children of its children.
pub fn reap_orphans_here() {
    // SAFETY: prctl has no preconditions.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
}
