//! Synchronisation objects.

mod barrier;
mod condition;
mod event;
mod lock;
mod rlock;
mod rwlock;
mod semaphore;

pub use barrier::Barrier;
pub use condition::Condition;
pub use event::Event;
#[cfg(feature = "capi")]
pub(crate) use lock::release as release_word;
pub use lock::{Lock, LockGuard};
pub use rlock::{RLock, RLockGuard};
pub use rwlock::{ReadGuard, RwLock, WriteGuard};
pub use semaphore::{Semaphore, SemaphoreOptions};

use crate::layout::{Kind, Row, Spec};
use crate::segment::handle::{Part, Request, Verb};
use crate::wait::Label;

/// The layout of these objects.
pub const LAYOUT: &[&[Row]] = &[
    lock::TABLE,
    semaphore::TABLE,
    rlock::TABLE,
    condition::TABLE,
    event::TABLE,
    barrier::TABLE,
    rwlock::TABLE,
];

/// What is wanted of an object that is one `T`, and nothing else to be checked at open.
fn request<T>(name: &str, verb: Verb, kind: Kind) -> Request<'_> {
    let spec = Spec { kind: kind as u32, count: 1, ..Spec::default() };
    Request { name, verb, role: 1, size: size_of::<T>() as u64, spec }
}

/// Gives back what `dead` held of an object of these kinds.
pub(crate) fn recover(kind: Kind, part: &Part<'_>, dead: Label) {
    match kind {
        Kind::Lock => lock::recover(part, dead),
        Kind::Semaphore => semaphore::recover(part, dead),
        Kind::RLock => rlock::recover(part, dead),
        Kind::Condition => condition::recover(part, dead),
        Kind::Barrier => barrier::recover(part, dead),
        Kind::RwLock => rwlock::recover(part, dead),
        // Nobody owns an event, and the others are not ours.
        Kind::Event | Kind::Value | Kind::Array | Kind::Queue | Kind::Pipe => {}
    }
}
