//! Models of the protocols, explored by loom: every interleaving of a few processes within a bound of preemptions,
//! every value that a load may return, every step at which one of them may be killed.
//!
//! The protocols are the library's own code, in the memory of [`sharecell::model`]. Each model runs in a process of
//! its own; so does each mutation, a deliberate defect that its model must notice. See docs/models.md.

#[cfg(loom)]
mod directory;
#[cfg(loom)]
mod mutations;
#[cfg(loom)]
mod pipes;
#[cfg(loom)]
mod queues;
#[cfg(loom)]
mod runner;
#[cfg(loom)]
mod runs;
#[cfg(loom)]
mod scene;
#[cfg(loom)]
mod seats;
#[cfg(loom)]
mod sync;
#[cfg(loom)]
mod weakened;

#[cfg(loom)]
fn main() -> std::process::ExitCode {
    runner::main()
}

#[cfg(not(loom))]
fn main() {
    panic!("models are built with `--cfg loom`: say `make model`");
}
