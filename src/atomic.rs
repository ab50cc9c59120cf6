//! The words that all protocols are written with.
//!
//! They are std's atomics behind one more name, so that a test build (`--features steps`) can count every
//! access to a shared word and kill the process at the k-th one. A death between two accesses to shared
//! memory looks like a death at the second, so this visits every state that a kill can leave behind in words.
//! Built with `--cfg loom` they are the same words in the memory of a model (`sys::model`).

pub use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

use crate::sys::membarrier;

#[cfg(loom)]
use crate::sys::model::words::{self, Change};
#[cfg(feature = "steps")]
pub use crate::sys::steps::step;

#[cfg(all(loom, not(feature = "steps")))]
pub use crate::sys::model::step;
#[cfg(loom)]
pub use crate::sys::model::words::fence;

/// Counts an access to shared memory; nothing unless the feature `steps` is on.
#[cfg(not(any(loom, feature = "steps")))]
#[inline(always)]
pub fn step() {}

/// The bytes at `address` were written or read by who owns them: for models to check that they were.
#[inline(always)]
pub fn payload(address: *mut u8, written: bool) {
    #[cfg(loom)]
    crate::sys::model::words::payload(address, written);
    let _ = (address, written);
}

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
            pub fn raw(&self) -> &std::sync::atomic::$name {
                &self.0
            }
        }

        #[allow(
            dead_code,
            missing_docs,
            reason = "the same small set for every width; std's own documentation holds"
        )]
        #[cfg(not(loom))]
        impl $name {
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
        }

        #[cfg(loom)]
        #[allow(dead_code, missing_docs, reason = "as above")]
        impl $name {
            #[track_caller]
            pub fn load(&self, order: Ordering) -> $int {
                words::load(&self.0, order)
            }
            #[track_caller]
            pub fn store(&self, value: $int, order: Ordering) {
                words::store(&self.0, value, order)
            }
            #[track_caller]
            pub fn swap(&self, value: $int, order: Ordering) -> $int {
                self.change(Change::Swap(value), order)
            }
            #[track_caller]
            pub fn cas(&self, old: $int, new: $int) -> Result<$int, $int> {
                words::change(&self.0, Change::Cas(old, new), SeqCst)
            }
            #[track_caller]
            pub fn fetch_add(&self, value: $int, order: Ordering) -> $int {
                self.change(Change::Add(value), order)
            }
            #[track_caller]
            pub fn fetch_sub(&self, value: $int, order: Ordering) -> $int {
                self.change(Change::Sub(value), order)
            }
            #[track_caller]
            pub fn fetch_or(&self, value: $int, order: Ordering) -> $int {
                self.change(Change::Or(value), order)
            }
            #[track_caller]
            pub fn fetch_and(&self, value: $int, order: Ordering) -> $int {
                self.change(Change::And(value), order)
            }
            #[track_caller]
            pub fn fetch_max(&self, value: $int, order: Ordering) -> $int {
                self.change(Change::Max(value), order)
            }
            #[track_caller]
            fn change(&self, change: Change<$int>, order: Ordering) -> $int {
                words::change(&self.0, change, order).unwrap_or_else(|old| old)
            }
        }
    };
}

word!(AtomicU8, u8);
word!(AtomicU16, u16);
word!(AtomicU32, u32);
word!(AtomicU64, u64);

/// A fence of the given order.
#[cfg(not(loom))]
#[inline]
pub fn fence(order: Ordering) {
    std::sync::atomic::fence(order)
}

/// Asks for the line of `word`, which this thread is about to write to. A hint.
#[inline]
pub fn prefetch<T>(word: &T) {
    // The intrinsic reads the line only, unless built for processors that are sure to know PREFETCHW: others take it
    // for no operation.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: prefetching has no effect but on the cache.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) std::ptr::from_ref(word), options(readonly, nostack, preserves_flags));
    }
    #[cfg(any(not(target_arch = "x86_64"), miri))]
    let _ = word;
}

/// A sequentially consistent fence between a store and a load, towards those who pass a [`heavy_fence`]: on this side
/// it costs nothing where the kernel makes everybody else's fence reach this process.
#[inline]
pub fn light_fence() {
    if membarrier::is_registered() {
        std::sync::atomic::compiler_fence(SeqCst);
    } else {
        fence(SeqCst);
    }
}

/// The other side of [`light_fence`]: a system call of some microseconds, for who is about to sleep. False when it
/// cannot reach the others, and the caller must not rely on being seen.
pub fn heavy_fence() -> bool {
    let reached = membarrier::is_registered() && membarrier::fence_all();
    if !reached {
        fence(SeqCst);
    }
    reached
}
