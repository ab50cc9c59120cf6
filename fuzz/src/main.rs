//! Damages a golden segment as the fuzzer says, and uses it: no fault, no endless loop, no panic.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/common/damaged.rs"]
mod damaged;
#[path = "../../tests/common/everything.rs"]
mod everything;
#[path = "../../tests/common/image.rs"]
mod image;

fn scene() -> damaged::Scene {
    let path =
        format!("{}/../tests/golden/layout-{}.hex", env!("CARGO_MANIFEST_DIR"), sharecell::LAYOUT_VERSION);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let name =
        std::env::var("SHARECELL_FUZZ_NAME").unwrap_or_else(|_| format!("fuzz-{}", std::process::id()));
    let _ = sharecell::Segment::unlink(&name);
    damaged::Scene::new(&name, image::decode(&text).expect("a golden segment"))
}

/// Its memory is this process's own, and used by one thread.
struct Shared(damaged::Scene);
// SAFETY: libFuzzer calls the target from one thread.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

static SCENE: OnceLock<Shared> = OnceLock::new();

fuzz_target!(|input: &[u8]| SCENE.get_or_init(|| Shared(scene())).0.run(input));
