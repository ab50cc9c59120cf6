//! Deaths at the k-th access to shared memory, and pairs: the first dies at its k-th access, then who sweeps after it
//! at its j-th.

use std::sync::atomic::Ordering::Relaxed;

use sharecell::steps;

use crate::Form;
use crate::common::*;
use crate::play::{Usual, play, wait_for, watch};
use crate::report::Phases;
use crate::scene::{Case, Scene};
use crate::shared::Shared;
use crate::trials::side_by_side;

/// How many accesses at either end of an operation are always tried, of those with very many in the short form.
const DENSE: u64 = 100;
/// And how many between them.
const BETWEEN: u64 = 60;
/// How many accesses of an operation are reached every time, for sure.
const EARLY: u64 = 20;
/// With it the pairs are drawn.
pub const SEED: u64 = 20_251;

/// Kills the operation of a case at its accesses.
pub fn run_case(case: &Case, form: Form) {
    let count = Shared::page();
    let usual = Usual::of(|thorough| play(case, thorough, |scene| died_at(case, scene, &count, 0)));
    let accesses = counted(&count);
    let places = places(accesses, form);
    let describe = |[k, _]: [u64; 2]| format!("access {k} of {accesses}");
    let found = side_by_side(places.len(), describe, |n, doing| {
        doing.note([places[n], 0]);
        let thorough = n % 8 == 0;
        let played = play(case, thorough, |scene| died_at(case, scene, &Shared::page(), places[n]));
        usual.check(&played, thorough);
        played.dead().unwrap_or_default().to_owned()
    });
    let mut phases = Phases::default();
    for (k, found) in places.iter().zip(&found) {
        phases.add(&describe([*k, 0]), found);
    }
    let kills = found.iter().filter(|found| !found.is_empty()).count();
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
        watch(WATCHDOG);
        let operation = (case.operation)(scene);
        steps::die_at(k);
        operation();
        count[0].store(steps::count(), Relaxed);
        0
    });
    bury(child, k > 0)
}

/// As [`died_at`], for one that sweeps.
fn sweeper_died_at(scene: &Scene, count: &Shared, j: u64) -> bool {
    let child = fork(|| {
        steps::die_at(j);
        scene.s.recover();
        count[0].store(steps::count(), Relaxed);
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
    // How many accesses the sweep makes depends on what it finds, hence on k.
    let sweep_after = |k: u64| {
        let count = Shared::page();
        play(case, false, |scene| {
            died_at(case, scene, &count, k) | {
                sweeper_died_at(scene, &count, 0);
                false
            }
        });
        counted(&count)
    };
    let kill = |k: u64, j: u64| {
        let (count, mut both) = (Shared::page(), false);
        let played = play(case, false, |scene| {
            let through = died_at(case, scene, &count, k);
            both = !sweeper_died_at(scene, &count, j) && !through;
            through
        });
        usual.check(&played, false);
        u64::from(both)
    };
    // Those that have the first death in common, together, for what it costs to find out how long the sweep is: if not all,
    // then as many as there are first ones.
    let all = sweep_after(accesses.div_ceil(2)) * accesses <= most;
    let side = most.isqrt().max(1);
    let firsts = if all { accesses } else { side };
    let describe = |[k, j]: [u64; 2]| format!("access {k} of {accesses}, its sweep at access {j}");
    let killed = side_by_side(firsts as usize, describe, |n, doing| {
        let mut random = Random::new(SEED + n as u64);
        // Every second one early, for a wait that ends sooner than another time does not get far.
        let drawn = 1 + random.below(if n % 2 == 0 { accesses } else { accesses.min(EARLY) });
        let k = if all { 1 + n as u64 } else { drawn };
        doing.note([k, 0]);
        let sweep = sweep_after(k);
        let seconds: Vec<u64> =
            if all { (1..=sweep).collect() } else { (0..side).map(|_| 1 + random.below(sweep)).collect() };
        let killed = seconds.into_iter().map(|j| {
            doing.note([k, j]);
            kill(k, j)
        });
        killed.sum::<u64>().to_string()
    });
    let killed = killed.iter().map(|killed| killed.parse::<u64>().unwrap()).sum();
    assert!(killed > 0, "no pair was killed");
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

/// What a child has counted.
fn counted(count: &Shared) -> u64 {
    count[0].load(Relaxed)
}
