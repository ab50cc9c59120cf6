//! Copying much between a process's own memory and memory that it shares with another processor.
//!
//! A store to a line that another processor has read last fetches that line first, although all of it is about to
//! be overwritten; `rep movsb`, where the processor is made for it, takes the line without its content. `memcpy`
//! uses it too, but only between two limits that were chosen for memory of one processor's own.

/// From how many bytes on starting `rep movsb` costs less than it saves.
const LONG: usize = 1024;

/// Copies `len` bytes.
///
/// # Safety
/// As of `ptr::copy_nonoverlapping`.
#[inline]
pub unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if len >= LONG && std::arch::is_x86_feature_detected!("ermsb") {
        // SAFETY: it reads and writes the bytes that the caller vouches for, upward: Rust keeps the direction
        // flag clear.
        unsafe {
            std::arch::asm!(
                "rep movsb",
                inout("rcx") len => _,
                inout("rdi") to => _,
                inout("rsi") from => _,
                options(nostack, preserves_flags)
            );
        }
        return;
    }
    // SAFETY: as the caller says.
    unsafe { std::ptr::copy_nonoverlapping(from, to, len) }
}

/// Copies `from` to `to`, which is as long.
#[inline]
pub fn copy_slice(from: &[u8], to: &mut [u8]) {
    assert_eq!(from.len(), to.len());
    // SAFETY: both are of the same length, and do not overlap, for one is borrowed mutably.
    unsafe { copy(from.as_ptr(), to.as_mut_ptr(), from.len()) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn copies_all_and_no_more(len in 0usize..3 * LONG, from in 0usize..130, to in 0usize..130, seed: u8) {
            let source: Vec<u8> = (0..len + 130).map(|i| (i as u8).wrapping_mul(31) ^ seed).collect();
            let mut target = vec![0xaa; len + 260];
            copy_slice(&source[from..from + len], &mut target[to..to + len]);
            prop_assert_eq!(&target[to..to + len], &source[from..from + len]);
            prop_assert!(target[..to].iter().chain(&target[to + len..]).all(|b| *b == 0xaa));
        }
    }
}
