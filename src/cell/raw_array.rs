//! An array as bytes.

use crate::atomic::{AtomicU32, Relaxed};
use crate::cell::ElementType;
use crate::cell::copy::{copy_in, copy_out};
use crate::error::{Result, fail};
use crate::latch::LockWord;
use crate::layout::{Kind, Spec, describe, round_up};
use crate::segment::Segment;
use crate::segment::attach::Shared;
use crate::segment::handle::{Handle, Part, Request, Verb};
use crate::wait::Label;

/// The head of an array; its elements follow.
#[repr(C)]
#[derive(Debug)]
pub struct ArrayCell {
    lock: LockWord,
    pad: [AtomicU32; 31],
}

describe! { TABLE:
    ArrayCell = 128 { lock @ 0 }
}

// SAFETY: it consists of atomics.
unsafe impl Shared for ArrayCell {}

const DATA: u64 = size_of::<ArrayCell>() as u64;

/// An array of any element type, by its bytes.
pub struct RawArray {
    pub(crate) handle: Handle,
    element: usize,
    len: usize,
}

impl RawArray {
    /// Creates or opens an array of `ty`. A new one has `len` elements and is all zeroes; an existing one
    /// must have `len` if it is given.
    pub fn get_object(
        segment: &Segment,
        name: &str,
        verb: Verb,
        ty: &ElementType,
        len: Option<usize>,
    ) -> Result<Self> {
        let bytes = (len.unwrap_or(0) as u64).checked_mul(ty.size as u64).filter(|bytes| *bytes < 1 << 40);
        let Some(bytes) = bytes else {
            fail!(
                InvalidArgument,
                "an array has less than 1 TiB; got {:?} elements of {} bytes",
                len,
                ty.size
            );
        };
        let size = DATA + round_up(bytes, 8);
        let spec = ty.spec(Kind::Array as u32, len.unwrap_or(0) as u64);
        let init = |part: &Part<'_>| {
            part.words(0, size / 8)?.iter().for_each(|word| word.store(0, Relaxed));
            Ok(())
        };
        let fits = |have: &Spec| {
            ty.check(have)?;
            if len.is_some_and(|len| len as u64 != have.count) {
                fail!(WrongSize, "it has {} elements, not {}", have.count, spec.count);
            }
            Ok(())
        };
        let request = Request { name, verb, role: 1, size, spec: spec.clone() };
        let handle = Handle::get(segment.attached(), &request, init, fits)?;
        let len = handle.head().count.load(Relaxed);
        let fits = len.checked_mul(ty.size as u64).is_some_and(|bytes| DATA + bytes <= handle.part().size);
        if !fits {
            return Err(segment.attached().corrupted(format_args!("array {name:?} claims {len} elements")));
        }
        Ok(Self { handle, element: ty.size, len: len as usize })
    }

    /// The number of elements.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The size of an element in bytes.
    #[cfg(feature = "capi")]
    pub fn element_size(&self) -> usize {
        self.element
    }

    /// The address of the first element.
    #[inline]
    pub fn address(&self) -> *mut u8 {
        // SAFETY: `get_object` has checked that head and elements lie in the object.
        unsafe { self.handle.part().base.as_ptr().add(DATA as usize) }
    }

    /// The array's lock.
    pub fn lock_word(&self) -> &LockWord {
        // SAFETY: as in `address`.
        unsafe { &(*self.handle.part().base.as_ptr().cast::<ArrayCell>()).lock }
    }

    /// The address of elements `start` to `start + count`, which must exist.
    #[inline]
    fn range(&self, start: usize, count: usize) -> Result<*mut u8> {
        if start.checked_add(count).is_none_or(|end| end > self.len) {
            let text =
                if count == 1 { format!("index {start}") } else { format!("{count} elements from {start}") };
            fail!(OutOfRange, "{} has {} elements; got {text}", self.handle.describe(), self.len);
        }
        // SAFETY: the range was just found to lie in the array.
        Ok(unsafe { self.address().add(start * self.element) })
    }

    /// Checks that elements `start` to `start + count` exist.
    pub fn check_range(&self, start: usize, count: usize) -> Result<()> {
        self.range(start, count).map(drop)
    }

    fn count(&self, bytes: usize) -> Result<usize> {
        if !bytes.is_multiple_of(self.element) {
            let each = self.element;
            fail!(WrongSize, "{} has elements of {each} bytes; got {bytes} bytes", self.handle.describe());
        }
        Ok(bytes / self.element)
    }

    /// Copies elements from `start` on to `out`.
    #[inline]
    pub fn read(&self, start: usize, out: &mut [u8]) -> Result<()> {
        let from = self.range(start, self.count(out.len())?)?;
        // SAFETY: the range lies in the array, `out` is the caller's own.
        unsafe { copy_out(from, out.as_mut_ptr(), out.len()) };
        Ok(())
    }

    /// Copies `bytes` to the elements from `start` on.
    #[inline]
    pub fn write(&self, start: usize, bytes: &[u8]) -> Result<()> {
        let to = self.range(start, self.count(bytes.len())?)?;
        // SAFETY: the range lies in the array, `bytes` is the caller's own.
        unsafe { copy_in(to, bytes.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// Makes `count` elements from `start` on equal to `element`.
    pub fn fill(&self, start: usize, count: usize, element: &[u8]) -> Result<()> {
        if element.len() != self.element {
            let (want, got) = (self.element, element.len());
            fail!(WrongSize, "{} has elements of {want} bytes; got {got} bytes", self.handle.describe());
        }
        let to = self.range(start, count)?;
        for i in 0..count {
            // SAFETY: the range lies in the array.
            unsafe { copy_in(to.add(i * self.element), element.as_ptr(), self.element) };
        }
        Ok(())
    }

    /// The bytes before the first NUL, as of a C string that may fill the whole array.
    pub fn text(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len * self.element];
        // SAFETY: the vector has the size of the array.
        unsafe { copy_out(self.address(), bytes.as_mut_ptr(), bytes.len()) };
        bytes.truncate(bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()));
        bytes
    }

    /// Copies `text` to the start, and a NUL behind it if there is room.
    ///
    /// # Errors
    /// `TooLarge` when it does not fit.
    pub fn set_text(&self, text: &[u8]) -> Result<()> {
        let room = self.len * self.element;
        if text.len() > room {
            fail!(TooLarge, "{} holds {room} bytes of text; got {}", self.handle.describe(), text.len());
        }
        let to = self.range(0, self.count(text.len())?)?;
        // SAFETY: the range lies in the array; so does one more byte, if the text is shorter.
        unsafe {
            copy_in(to, text.as_ptr(), text.len());
            if text.len() < self.len * self.element {
                copy_in(to.add(text.len()), [0].as_ptr(), 1);
            }
        }
        Ok(())
    }
}

impl Clone for RawArray {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), ..*self }
    }
}

/// Gives back what `dead` held of an array.
pub(crate) fn recover(part: &Part<'_>, dead: Label) {
    if let Ok(cell) = part.at::<ArrayCell>(0) {
        cell.lock.recover(dead);
    }
}
