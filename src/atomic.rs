//! The words that all protocols are written with.
//!
//! They are std's atomics behind one more name, so that a test build (`--features steps`) can count every
//! access to a shared word and kill the process at the k-th one. A death between two accesses to shared
//! memory looks like a death at the second, so this visits every state that a kill can leave behind in words.

pub use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

#[cfg(feature = "steps")]
pub use crate::sys::steps::step;

/// Counts an access to shared memory; nothing unless the feature `steps` is on.
#[cfg(not(feature = "steps"))]
#[inline(always)]
pub fn step() {}

macro_rules! word {
    ($name:ident, $int:ty) => {
        /// A shared word; see the module.
        #[repr(transparent)]
        #[derive(Debug, Default)]
        pub struct $name(std::sync::atomic::$name);

        #[allow(
            dead_code,
            missing_docs,
            reason = "the same small set for every width; std's own documentation holds"
        )]
        impl $name {
            pub const fn new(value: $int) -> Self {
                Self(std::sync::atomic::$name::new(value))
            }
            #[inline]
            pub fn load(&self, order: Ordering) -> $int {
                step();
                self.0.load(order)
            }
            #[inline]
            pub fn store(&self, value: $int, order: Ordering) {
                step();
                self.0.store(value, order)
            }
            #[inline]
            pub fn swap(&self, value: $int, order: Ordering) -> $int {
                step();
                self.0.swap(value, order)
            }
            /// A strong compare-and-swap: sequentially consistent on success (which costs nothing more on x86-64), so
            /// that a claim is ordered before a SeqCst load that follows it; acquire on failure.
            #[inline]
            pub fn cas(&self, old: $int, new: $int) -> Result<$int, $int> {
                step();
                self.0.compare_exchange(old, new, SeqCst, Acquire)
            }
            #[inline]
            pub fn fetch_add(&self, value: $int, order: Ordering) -> $int {
                step();
                self.0.fetch_add(value, order)
            }
            #[inline]
            pub fn fetch_sub(&self, value: $int, order: Ordering) -> $int {
                step();
                self.0.fetch_sub(value, order)
            }
            #[inline]
            pub fn fetch_or(&self, value: $int, order: Ordering) -> $int {
                step();
                self.0.fetch_or(value, order)
            }
            #[inline]
            pub fn fetch_and(&self, value: $int, order: Ordering) -> $int {
                step();
                self.0.fetch_and(value, order)
            }
            #[inline]
            pub fn fetch_max(&self, value: $int, order: Ordering) -> $int {
                step();
                self.0.fetch_max(value, order)
            }
            #[inline]
            pub fn raw(&self) -> &std::sync::atomic::$name {
                &self.0
            }
        }
    };
}

word!(AtomicU8, u8);
word!(AtomicU16, u16);
word!(AtomicU32, u32);
word!(AtomicU64, u64);

/// A fence of the given order.
#[inline]
pub fn fence(order: Ordering) {
    std::sync::atomic::fence(order)
}
