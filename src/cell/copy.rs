//! Copying between shared memory and our own, whole words at a time.
//!
//! Others may write what we read, so each access is atomic, and as wide as the shared address is aligned: an
//! element of up to 8 bytes that lies on a multiple of its size is read and written whole.

use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

/// The widest access at `address` that stays within `len` bytes.
fn width(address: usize, len: usize) -> usize {
    let mut width = 8;
    while address & (width - 1) != 0 || width > len {
        width /= 2;
    }
    width
}

macro_rules! each_width {
    ($shared:ident, $len:ident, |$at:ident, $atomic:ident, $int:ident| $body:expr) => {{
        let mut done = 0;
        while done < $len {
            let start = done;
            // SAFETY: the address is aligned to the width and within the range that the caller vouches for;
            // all other accesses to it are atomic or made by processes that are told of torn values.
            done += unsafe {
                match width($shared as usize + done, $len - done) {
                    8 => {
                        type $atomic = AtomicU64;
                        type $int = u64;
                        // From here on all but the last few bytes are whole words.
                        let words = ($len - start) / 8;
                        for word in 0..words {
                            let $at = start + word * 8;
                            $body;
                        }
                        words * 8
                    }
                    4 => {
                        type $atomic = AtomicU32;
                        type $int = u32;
                        let $at = start;
                        $body;
                        4
                    }
                    2 => {
                        type $atomic = AtomicU16;
                        type $int = u16;
                        let $at = start;
                        $body;
                        2
                    }
                    _ => {
                        type $atomic = AtomicU8;
                        type $int = u8;
                        let $at = start;
                        $body;
                        1
                    }
                }
            };
        }
    }};
}

/// Copies `len` bytes out of shared memory.
///
/// # Safety
/// `shared` is readable and `own` writable for `len` bytes, and `own` is not shared.
pub unsafe fn copy_out(shared: *const u8, own: *mut u8, len: usize) {
    each_width!(shared, len, |at, Atomic, Int| {
        let value = (*shared.add(at).cast::<Atomic>()).load(Relaxed);
        own.add(at).cast::<Int>().write_unaligned(value)
    });
}

/// Copies `len` bytes into shared memory.
///
/// # Safety
/// `shared` is writable and `own` readable for `len` bytes, and `own` is not shared.
pub unsafe fn copy_in(shared: *mut u8, own: *const u8, len: usize) {
    crate::atomic::step();
    each_width!(shared, len, |at, Atomic, Int| {
        (*shared.add(at).cast::<Atomic>()).store(own.add(at).cast::<Int>().read_unaligned(), Relaxed)
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(bytes: Vec<u8>, offset in 0usize..16) {
            let mut memory = vec![0xaau8; bytes.len() + 32];
            let mut out = vec![0; bytes.len()];
            // SAFETY: the vectors are long enough.
            unsafe {
                copy_in(memory.as_mut_ptr().add(offset), bytes.as_ptr(), bytes.len());
                copy_out(memory.as_ptr().add(offset), out.as_mut_ptr(), bytes.len());
            }
            prop_assert_eq!(&out, &bytes);
            prop_assert!(memory[..offset].iter().chain(&memory[offset + bytes.len()..]).all(|b| *b == 0xaa));
        }
    }
}
