//! The defences against known traps, how each is taken away, and the test that must fail then.
//! `docs/reliability.md` says what the traps are and who fell into them. T10 is among the mutations of tests/model.

/// A place in a source file: what stands there, once, and what is put in its place.
pub type Place = (&'static str, &'static str, &'static str);

pub struct Removal {
    /// Its number in the table.
    pub trap: &'static str,
    /// What is so when the defence is gone.
    pub name: &'static str,
    pub places: &'static [Place],
    /// What `cargo test` is given; the test that must fail.
    pub test: &'static [&'static str],
}

const ATTACH: &str = "src/segment/attach.rs";
const CLOCK: &str = "src/sys/clock.rs";
const FUTEX: &str = "src/sys/futex.rs";
const LATCH: &str = "src/latch.rs";
const LEASE: &str = "src/sys/lease.rs";
const SEGMENT: &str = "src/segment/mod.rs";
const SHM: &str = "src/sys/shm.rs";
const WAIT: &str = "src/wait.rs";

/// Death by what a process id says.
const BY_PID: &[Place] = &[(
    ATTACH,
    "let free = lease::is_locked(file, seat_byte(label)).is_ok_and(|locked| !locked);",
    "let free = unsafe { libc::kill(self.slot(label).pid.load(Relaxed) as i32, 0) } != 0;",
)];

const fn removal(
    trap: &'static str,
    name: &'static str,
    places: &'static [Place],
    test: &'static [&'static str],
) -> Removal {
    Removal { trap, name, places, test }
}

#[rustfmt::skip]
pub const ALL: &[Removal] = &[
    removal("T1", "whether a process lives is asked by its pid", BY_PID,
        &["--test", "world", "equal_pids_of_two_namespaces_rob_nobody"]),
    removal("T2", "a sweep ends at the first thing that it finds",
        &[("src/segment/recover.rs", "kinds::recover(self, &found, label);\n                }\n                false", "kinds::recover(self, &found, label);\n                }\n                true")],
        &["--test", "traps", "unmapping_a_held_lock_keeps_nothing_else_from_recovery"]),
    removal("T3, T7", "a lock of libc's is used",
        &[(FUTEX, "/// How a sleep ended.", "/// A lock.\npub type Mutex = libc::pthread_mutex_t;\n\n/// How a sleep ended.")],
        &["--test", "layers", "locks_of_libc_are_used_nowhere"]),
    removal("T4", "memory is used anew while others have it open",
        &[("src/segment/directory.rs", "self.labels().any(|label| self.pins(label, block))", "self.labels().any(|label| label == 0 && self.pins(label, block))")],
        &["--test", "fork", "the_list_of_a_child_is_a_copy"]),
    removal("T5", "the owner is named by its lock word alone",
        &[("src/segment/seat.rs", "slot.pid.store(who.pid.into(), Relaxed);", "")],
        &["--test", "traps", "a_stuck_holder_is_named_stopped_or_dead"]),
    removal("T6", "the library has a robust list of its own",
        &[("src/sys/membarrier.rs", "    REGISTERED.store(", "    let list = Box::leak(Box::new([0usize; 3]));\n    list[0] = list.as_ptr() as usize;\n    unsafe { libc::syscall(libc::SYS_set_robust_list, list.as_ptr(), 24usize) };\n    REGISTERED.store(")],
        &["--test", "traps", "the_robust_list_is_left_to_libc_and_stays_empty"]),
    removal("T8", "who sleeps is not woken by a tick",
        &[(WAIT, "const WATCH_TICK: u64 = 80 * MS;", "const WATCH_TICK: u64 = 3_600_000 * MS;"),
          (WAIT, "const IDLE_TICK: u64 = 2_000 * MS;", "const IDLE_TICK: u64 = 3_600_000 * MS;"),
          (WAIT, "const SUSPECT_TICK: u64 = 20 * MS;", "const SUSPECT_TICK: u64 = 3_600_000 * MS;"),
          (WAIT, "const FIRST_TICK: u64 = MS;", "const FIRST_TICK: u64 = 3_600_000 * MS;"),
          (WAIT, "const UNSEEN_TICK: u64 = 20 * MS;", "const UNSEEN_TICK: u64 = 3_600_000 * MS;")],
        &["--test", "wakes", "a_wake_that_a_killed_waiter_was_given_reaches_the_other"]),
    removal("T9", "a killed waiter stays counted",
        &[("src/sync/condition.rs", "while state != 0 && label(state) == dead", "while state & STATE == NOTIFIED && label(state) == dead")],
        &["--test", "sync", "a_notification_spent_on_the_dead_passes_on"]),
    removal("T11", "a zombie lives, as its pid says", BY_PID, &["--test", "kill", "a_zombie_is_dead"]),
    removal("T11", "a zombie keeps its seat", BY_PID, &["--test", "traps", "zombies_take_no_seats"]),
    removal("T12", "who has not given a lock back after a tick is dead",
        &[(LATCH, "peers.if_nobody(holder, &mut || {\n                    self.recover(holder);\n                });", "self.recover(holder);")],
        &["--test", "kill", "a_stopped_holder_of_a_lock_keeps_it"]),
    removal("T13", "a child inherits its parent's lease",
        &[(LEASE, "            lease.keep_from_children()?;\n", "")],
        &["--test", "traps", "a_child_that_lives_on_does_not_prolong_its_parents_life"]),
    removal("T13", "a forked process's own child inherits its lease",
        &[("src/segment/fork.rs", "            let _ = seat.lease.keep_from_children();\n", "")],
        &["--test", "fork", "a_child_gets_what_its_killed_parent_held"]),
    removal("T13", "a child has no lease of its own",
        &[("src/segment/fork.rs", "attached.seat_for_child().ok()", "attached.seat_for_child().ok().filter(|_| false)")],
        &["--test", "fork", "a_child_is_a_participant_from_its_birth"]),
    removal("T13", "leases are locks that any close of the file drops",
        &[(LEASE, "libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock)", "libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &lock)"),
          (LEASE, "libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &mut lock)", "libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut lock)")],
        &["--test", "fork", "a_process_that_closes_all_descriptors_still_lives"]),
    removal("T13", "a lease hangs by a descriptor, not by a mapping",
        &[(LEASE, "MAP_SHARED, file.as_raw_fd(), 0)", "MAP_SHARED | libc::MAP_ANONYMOUS, -1, 0)"),
          (LEASE, "let lease = Self { page };", "let lease = Self { page };\n        std::mem::forget(file);")],
        &["--test", "fork", "a_process_that_closes_all_descriptors_still_lives"]),
    removal("T14", "who attaches does not look again whether the file is still there",
        &[("src/segment/seat.rs", "if gone.load(Relaxed) == 0 {", "if true || gone.load(Relaxed) == 0 {")],
        &["--test", "traps", "who_opens_what_others_unlink_never_gets_what_is_gone"]),
    removal("T14", "who unlinks does not look whether the name still is its file",
        &[("src/segment/cleanup.rs", "let ours = || shm::stat(file).ok().map(|stat| stat.identity) == shm::identity_of(name);", "let ours = || true;")],
        &["--test", "traps", "who_leaves_last_removes_no_other_file_of_the_same_name"]),
    removal("T15", "a segment has its name before it is filled",
        &[(SEGMENT, "let (attached, descriptor) = self.make(name, shm::create_unnamed(self.mode).map_err(what)?)?;",
           "let named = shm::create_unnamed(self.mode).map_err(what)?;\n        shm::link(&named, name)?;\n        let (attached, descriptor) = self.make(name, named)?;\n        if true {\n            return Ok(Segment::over(attached.seat_unnamed()?));\n        }")],
        &["--test", "world", "many_race_to_create_and_are_killed_at_it"]),
    removal("T15", "a segment without the word that says it is complete is believed",
        &[(SEGMENT, "    if word(0) == 0 {", "    if false {")],
        &["--test", "faults", "an_unfinished_segment_is_refused_and_collected"]),
    removal("T16", "who opens a segment creates its file",
        &[(SHM, ".custom_flags(libc::O_NOFOLLOW", ".create(true)\n        .custom_flags(libc::O_NOFOLLOW")],
        &["--test", "traps", "opening_creates_nothing"]),
    removal("T17", "memory is handed out that nobody has reserved",
        &[(SHM, "libc::fallocate(file.as_raw_fd(), 0, offset as _, len as _)", "libc::ftruncate(file.as_raw_fd(), (offset + len) as _)")],
        &["--test", "faults", "a_full_dev_shm_is_an_error_and_not_a_fault"]),
    removal("T18", "sleeps are private to the process",
        &[(FUTEX, "libc::FUTEX_WAIT_BITSET,", "libc::FUTEX_WAIT_BITSET | libc::FUTEX_PRIVATE_FLAG,")],
        &["--test", "traps", "sleeps_and_wakes_reach_every_mapping_of_the_memory"]),
    removal("T18", "wakes are private to the process",
        &[(FUTEX, "libc::FUTEX_WAKE, n.min", "libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG, n.min")],
        &["--test", "traps", "sleeps_and_wakes_reach_every_mapping_of_the_memory"]),
    removal("T19", "a lock whose owner died is given on without a word",
        &[(LATCH, "seen & !HOLDER | DIED", "seen & !HOLDER")],
        &["--test", "kill", "a_killed_holder_of_a_lock_hands_it_over_with_a_mark"]),
    removal("T20", "who gives a lock back is not asked whether it is his",
        &[(LATCH, "holder if holder != me => Err(ErrorKind::NotOwner.into()),", "holder if holder != me && me == 0 => Err(ErrorKind::NotOwner.into()),")],
        &["--test", "traps", "who_was_restored_cannot_give_back_what_others_have_since_taken"]),
    removal("pain 21", "deadlines are read from the wall clock",
        &[(CLOCK, "libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut t)", "libc::clock_gettime(libc::CLOCK_REALTIME, &mut t)"),
          (FUTEX, "libc::FUTEX_WAIT_BITSET,", "libc::FUTEX_WAIT_BITSET | libc::FUTEX_CLOCK_REALTIME,"),
          (FUTEX, "            libc::CLOCK_MONOTONIC,", "            libc::CLOCK_REALTIME,")],
        &["--test", "traps", "a_wait_lasts_as_long_as_asked_when_the_wall_clock_is_set"]),
];
