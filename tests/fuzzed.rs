//! The damages that the fuzzer found interesting (`fuzz/corpus.txt`) and those that once were a fault (`fuzz/found.txt`),
//! replayed: an error or none, but no fault, no panic and no endless loop. `make fuzz` looks for others.

mod common;
#[path = "common/damaged.rs"]
mod damaged;
#[path = "common/everything.rs"]
mod everything;
#[path = "common/image.rs"]
mod image;

use common::*;
use damaged::Scene;
use sharecell::LAYOUT_VERSION;

/// How many are tried in a process.
const BATCH: usize = 50;

#[test]
#[ignore = "the other side of this test, which starts it"]
fn child() {
    act(&[("replay", replay)]);
}

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn inputs() -> Vec<Vec<u8>> {
    let bytes = |line: &str| {
        (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap()).collect()
    };
    [read("fuzz/found.txt"), read("fuzz/corpus.txt")].concat().lines().map(bytes).collect()
}

fn replay(_: Args) {
    let world = World::new("fuzzed");
    let golden = image::decode(&read(&format!("tests/golden/layout-{LAYOUT_VERSION}.hex"))).unwrap();
    let inputs = inputs();
    assert!(inputs.len() > 100, "only {} inputs", inputs.len());
    let faults: Vec<_> = inputs
        .chunks(BATCH)
        .filter(|batch| try_all(&world, &golden, batch) != 0)
        .flat_map(|batch| batch.iter().filter(|input| try_all(&world, &golden, &[(*input).clone()]) != 0))
        .map(|input| input.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        .collect();
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), inputs.len(), faults.join("\n"));
}

/// The exit code of a process that uses the segment with each of these damages.
fn try_all(world: &World, golden: &[u8], inputs: &[Vec<u8>]) -> i32 {
    let name = world.name();
    let code = reap(fork(|| {
        // SAFETY: alarm has no preconditions. Who hangs is killed.
        unsafe { libc::alarm(WATCHDOG.as_secs() as u32) };
        let scene = Scene::new(&name, golden.to_vec());
        inputs.iter().for_each(|input| scene.run(input));
        drop(scene);
        0
    }));
    let _ = std::fs::remove_file(path(&name));
    code
}

#[test]
#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
fn what_the_fuzzer_found_gives_errors_and_no_fault() {
    run("replay", &[]);
}
