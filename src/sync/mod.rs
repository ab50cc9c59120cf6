//! Synchronisation objects.

mod lock;
mod semaphore;

pub(crate) use lock::recover as recover_lock;
#[cfg(feature = "capi")]
pub(crate) use lock::release as release_word;
pub use lock::{Lock, LockGuard};
pub use semaphore::Semaphore;

use crate::layout::Row;

/// The layout of these objects.
pub const LAYOUT: &[&[Row]] = &[lock::TABLE, semaphore::TABLE];
