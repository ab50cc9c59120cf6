//! A typed array.

use std::marker::PhantomData;
use std::time::Duration;

use super::value::{bytes_of_bits, zeroed};
use super::{Char, Element, RawArray};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::Segment;
use crate::segment::handle::Verb;
use crate::sync::LockGuard;
use crate::sys::clock::Deadline;

/// An array of fixed length that any number of processes read and write.
///
/// An element of 1, 2, 4 or 8 bytes is read and written whole; what is longer, and what is read or written
/// by slice, may be seen half changed by others, and stays half written if the writer is killed. Whoever
/// needs more takes the array's lock.
pub struct Array<T: Element> {
    raw: RawArray,
    element: PhantomData<fn(T) -> T>,
}

impl<T: Element> Array<T> {
    /// Creates an array of `len` elements, all zero bytes; an error when the name is taken.
    pub fn create(segment: &Segment, name: &str, len: usize) -> Result<Self> {
        Self::get_object(segment, name, Verb::Create, Some(len))
    }

    /// Opens an array of the same type, of any length.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Self::get_object(segment, name, Verb::Open, None)
    }

    /// Opens an array of the same type and length, or creates it.
    pub fn open_or_create(segment: &Segment, name: &str, len: usize) -> Result<Self> {
        Self::get_object(segment, name, Verb::OpenOrCreate, Some(len))
    }

    fn get_object(segment: &Segment, name: &str, verb: Verb, len: Option<usize>) -> Result<Self> {
        let raw = RawArray::get_object(segment, name, verb, &T::element_type()?, len)?;
        Ok(Self { raw, element: PhantomData })
    }

    /// The number of elements.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn decode(&self, bits: T::Bits) -> Result<T> {
        if T::is_valid_bit_pattern(&bits) {
            // SAFETY: the bits were just found to be a valid `T`, whose layout `T::Bits` has by contract.
            return Ok(unsafe { std::mem::transmute_copy(&bits) });
        }
        let text = format!("{} holds an element that is no {}", self.raw.handle.describe(), T::type_name());
        Err(Error::new(ErrorKind::Corrupted, text))
    }

    /// The element at `index`; `OutOfRange` if there is none.
    #[inline]
    pub fn get(&self, index: usize) -> Result<T> {
        let mut bits = zeroed::<T>();
        self.raw.read(index, bytes_of_bits::<T>(&mut bits))?;
        self.decode(bits)
    }

    /// Makes `value` the element at `index`; `OutOfRange` if there is none.
    #[inline]
    pub fn set(&self, index: usize, value: T) -> Result<()> {
        self.raw.write(index, bytemuck::bytes_of(&value))
    }

    /// Copies `values` to the elements from `start` on.
    pub fn write(&self, start: usize, values: &[T]) -> Result<()> {
        self.raw.write(start, bytemuck::cast_slice(values))
    }

    /// The `count` elements from `start` on.
    pub fn read(&self, start: usize, count: usize) -> Result<Vec<T>> {
        self.raw.check_range(start, count)?;
        (start..start + count).map(|i| self.get(i)).collect()
    }

    /// All elements.
    pub fn to_vec(&self) -> Result<Vec<T>> {
        self.read(0, self.len())
    }

    /// Makes all elements `value`.
    pub fn fill(&self, value: T) -> Result<()> {
        self.raw.fill(0, self.len(), bytemuck::bytes_of(&value))
    }

    /// The address of the first element, valid as long as this handle is. Others write there at any time:
    /// access it by atomics, or volatile, or under the lock.
    pub fn as_ptr(&self) -> *mut T {
        self.raw.address().cast()
    }

    /// Acquires the array's lock, waiting for it.
    pub fn lock(&self) -> Result<LockGuard<'_>> {
        self.lock_until(Deadline::Never)
    }

    /// Acquires the array's lock if it is free; else `WouldBlock`.
    pub fn try_lock(&self) -> Result<LockGuard<'_>> {
        self.lock_until(Deadline::Now)
    }

    /// Acquires the array's lock, waiting for at most `timeout`.
    pub fn lock_timeout(&self, timeout: Duration) -> Result<LockGuard<'_>> {
        self.lock_until(timeout.into())
    }

    /// Acquires the array's lock, waiting until `deadline`.
    pub fn lock_until(&self, deadline: Deadline) -> Result<LockGuard<'_>> {
        LockGuard::acquire(&self.raw.handle, self.raw.lock_word(), deadline)
    }

    /// The array's name.
    pub fn name(&self) -> String {
        self.raw.handle.name()
    }
}

impl Array<Char> {
    /// The bytes before the first NUL, or all if there is none.
    pub fn value(&self) -> Vec<u8> {
        self.raw.text()
    }

    /// Copies `text` to the start, and a NUL behind it if there is room; `TooLarge` if it is too long.
    pub fn set_value(&self, text: &[u8]) -> Result<()> {
        self.raw.set_text(text)
    }

    /// All bytes, NULs included.
    pub fn raw(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len()];
        self.raw.read(0, &mut bytes).expect("the whole array exists");
        bytes
    }
}

impl<T: Element> Clone for Array<T> {
    fn clone(&self) -> Self {
        Self { raw: self.raw.clone(), element: PhantomData }
    }
}
