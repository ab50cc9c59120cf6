//! Deaths at the k-th access to shared memory, and pairs: the first dies at its k-th access, then who sweeps after it
//! at its j-th.

use sharecell::steps;

use crate::Form;
use crate::common::*;
use crate::play::{Usual, play, wait_for};
use crate::report::Phases;
use crate::scene::{Case, Scene};

/// How many accesses at either end of an operation are always tried, of those with very many in the short form.
const DENSE: u64 = 100;
/// And how many between them.
const BETWEEN: u64 = 60;
/// How many accesses of an operation are reached every time, for sure.
const EARLY: u64 = 20;
/// With it the pairs are drawn.
pub const SEED: u64 = 20_251;

/// Kills the operation of a case at its accesses; says where it is, for the one who watches.
pub fn run_case(case: &Case, form: Form) {
    let count = Shared::new();
    let usual = Usual::of(|thorough| play(case, thorough, |scene| died_at(case, scene, &count, 0)));
    let accesses = count.get();
    let mut phases = Phases::default();
    let mut kills = 0;
    for (n, k) in places(accesses, form).into_iter().enumerate() {
        println!("at access {k} of {accesses}");
        let thorough = n % 8 == 0;
        let played = play(case, thorough, |scene| died_at(case, scene, &count, k));
        usual.check(&played, thorough);
        kills += u64::from(!played.through);
        phases.add(&format!("access {k} of {accesses}"), played.dead());
    }
    assert!(kills > 0 || accesses == 0, "nothing was killed");
    let pairs = if accesses == 0 { 0 } else { pairs(case, accesses, form, &usual) };
    println!("@kills {kills}\n@pairs {pairs}");
    if !case.by_calls() {
        println!("@row {}", phases.close());
    }
}

/// Runs the operation in a process that dies at its `k`-th access (0: never); whether it got through.
fn died_at(case: &Case, scene: &Scene, count: &Shared, k: u64) -> bool {
    let child = fork(|| {
        // SAFETY: alarm has no preconditions. Who hangs is killed.
        unsafe { libc::alarm(WATCHDOG.as_secs() as u32) };
        let operation = (case.operation)(scene);
        steps::die_at(k);
        operation();
        count.set(steps::count());
        0
    });
    bury(child, k > 0)
}

/// As [`died_at`], for one that sweeps.
fn sweeper_died_at(scene: &Scene, count: &Shared, j: u64) -> bool {
    let child = fork(|| {
        steps::die_at(j);
        scene.s.recover();
        count.set(steps::count());
        0
    });
    bury(child, j > 0)
}

/// Kills pairs, drawn where there are very many; how many.
fn pairs(case: &Case, accesses: u64, form: Form, usual: &Usual) -> u64 {
    let most = match form {
        Form::Short => 16,
        Form::Long => 400,
        Form::All => u64::MAX,
    };
    let count = Shared::new();
    // How many accesses the sweep makes depends on what it finds, hence on k.
    let sweep_after = |k: u64| {
        play(case, false, |scene| {
            died_at(case, scene, &count, k) | {
                sweeper_died_at(scene, &count, 0);
                false
            }
        });
        count.get()
    };
    let mut random = Random::new(SEED);
    let all = sweep_after(accesses.div_ceil(2)) * accesses <= most;
    let (mut tried, mut killed) = (0, 0);
    let mut kill = |k: u64, j: u64| {
        println!("at access {k} of {accesses}, its sweep at access {j}");
        let mut both = false;
        let played = play(case, false, |scene| {
            let through = died_at(case, scene, &count, k);
            both = !sweeper_died_at(scene, &count, j) && !through;
            through
        });
        usual.check(&played, false);
        tried += 1;
        killed += u64::from(both);
    };
    if all {
        for k in 1..=accesses {
            (1..=sweep_after(k)).for_each(|j| kill(k, j));
        }
    } else {
        // In runs, for what each costs to find out: as many accesses of the sweep as there are chosen ones before it.
        let side = most.isqrt().max(1);
        for n in 0..side {
            // Every second one early, for a wait that ends sooner than another time does not get far.
            let k = 1 + random.below(if n % 2 == 0 { accesses } else { accesses.min(EARLY) });
            let sweep = sweep_after(k);
            (0..side).for_each(|_| kill(k, 1 + random.below(sweep)));
        }
    }
    assert!(tried > 0 && killed > 0, "no pair was killed");
    killed
}

/// Where to kill an operation of `count` accesses: everywhere, or in the short form, if there are very many, at both
/// ends of it and here and there.
fn places(count: u64, form: Form) -> Vec<u64> {
    let stride = (count / BETWEEN).max(1);
    (1..=count)
        .filter(|k| form != Form::Short || *k <= DENSE || *k + DENSE > count || k % stride == 0)
        .collect()
}

/// Waits for a child's end; whether it got through. It must have, or have been killed if it was to be.
fn bury(pid: i32, may_be_killed: bool) -> bool {
    match wait_for(pid) {
        0 => true,
        libc::SIGKILL if may_be_killed => false,
        status => panic!("the operation ended with {status:#x}"),
    }
}

/// A word that parent and child share.
struct Shared(*mut u64);

impl Shared {
    fn new() -> Self {
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        Self(page.cast())
    }

    fn set(&self, count: u64) {
        // SAFETY: the page is mapped for ever, and the parent reads it when the child has ended.
        unsafe { self.0.write_volatile(count) };
    }

    fn get(&self) -> u64 {
        // SAFETY: as in `set`.
        unsafe { self.0.read_volatile() }
    }
}
