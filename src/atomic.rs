//! The words that all protocols are written with.
//!
//! They are std's atomics behind one more name, so that a test build (`--features steps`) can count every
//! access to a shared word and kill the process at the k-th one. A death between two accesses to shared
//! memory looks like a death at the second, so this visits every state that a kill can leave behind in words.

pub use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

use crate::sys::membarrier;

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

/// Asks for the line of `word`, which this thread is about to write to. A hint.
#[inline]
pub fn prefetch<T>(word: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
        // SAFETY: prefetching has no effect but on the cache, and SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_ET0>(std::ptr::from_ref(word).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
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
