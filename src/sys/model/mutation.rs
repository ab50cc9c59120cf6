//! Deliberate defects: what happens at one place of the source is weakened, and a model must notice.

use std::panic::Location;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is wrong at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The access is relaxed, the fence is not there.
    Relaxed,
    /// A change does not happen: the store is lost, the compare-and-swap fails, nobody is woken.
    Skip,
    /// A compare-and-swap does not compare.
    Blind,
    /// A load says this, whatever is there.
    Answer(u64),
    /// A load says what the process's last load of any such word said.
    Again,
}

struct Mutation {
    file: String,
    line: u32,
    action: Action,
}

static MUTATION: OnceLock<Mutation> = OnceLock::new();
static MET: AtomicBool = AtomicBool::new(false);

/// Makes what is called at `line` of the source `file` go wrong, from now on and in all of this process.
pub fn mutate(file: &str, line: u32, action: Action) {
    let set = MUTATION.set(Mutation { file: file.to_owned(), line, action });
    assert!(set.is_ok(), "one defect at a time");
}

/// Whether there is a defect.
pub(super) fn is_set() -> bool {
    MUTATION.get().is_some()
}

/// Whether the place of the defect was come by so far.
pub fn is_met() -> bool {
    MET.load(Ordering::Relaxed)
}

/// What is wrong at `place`.
pub(super) fn at(place: &Location<'_>) -> Option<Action> {
    let mutation = MUTATION.get()?;
    let met = place.line() == mutation.line && place.file().ends_with(&mutation.file);
    MET.fetch_or(met, Ordering::Relaxed);
    met.then_some(mutation.action)
}
