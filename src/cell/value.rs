//! A typed value.

use std::marker::PhantomData;
use std::time::Duration;

use super::{Element, Number, RawValue};
use crate::error::{Error, ErrorKind, Result};
use crate::segment::Segment;
use crate::segment::handle::Verb;
use crate::sync::LockGuard;
use crate::sys::clock::Deadline;

/// A single value that any number of processes read and write.
///
/// Each operation is atomic: of up to 8 bytes as one machine word, wider ones because a reader never sees
/// half of a write, also not when the writer is killed in the middle. For several operations in a row there
/// is the value's own lock.
pub struct Value<T: Element> {
    raw: RawValue,
    element: PhantomData<fn(T) -> T>,
}

impl<T: Element> Value<T> {
    /// Creates a value; an error when the name is taken.
    pub fn create(segment: &Segment, name: &str, initial: T) -> Result<Self> {
        Self::get_object(segment, name, Verb::Create, Some(&initial))
    }

    /// Opens a value of the same type.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Self::get_object(segment, name, Verb::Open, None)
    }

    /// Opens a value of the same type, or creates it.
    pub fn open_or_create(segment: &Segment, name: &str, initial: T) -> Result<Self> {
        Self::get_object(segment, name, Verb::OpenOrCreate, Some(&initial))
    }

    fn get_object(segment: &Segment, name: &str, verb: Verb, initial: Option<&T>) -> Result<Self> {
        let initial = initial.map_or(&[][..], bytemuck::bytes_of);
        let raw = RawValue::get_object(segment, name, verb, &T::element_type()?, initial)?;
        Ok(Self { raw, element: PhantomData })
    }

    fn decode(&self, bits: T::Bits) -> Result<T> {
        if T::is_valid_bit_pattern(&bits) {
            // SAFETY: the bits were just found to be a valid `T`, whose layout `T::Bits` has by contract.
            return Ok(unsafe { std::mem::transmute_copy(&bits) });
        }
        let text = format!("{} does not hold a valid {}", self.raw.handle.describe(), T::type_name());
        Err(Error::new(ErrorKind::Corrupted, text))
    }

    /// The value.
    ///
    /// # Errors
    /// `Corrupted` when the bytes in memory are no valid `T`; never for numbers.
    #[inline]
    pub fn get(&self) -> Result<T> {
        let mut bits = zeroed::<T>();
        self.raw.read(bytes_of_bits::<T>(&mut bits));
        self.decode(bits)
    }

    /// Makes `value` the value.
    ///
    /// # Errors
    /// Of types wider than 8 bytes: `Interrupted` while another writer is at work.
    #[inline]
    pub fn set(&self, value: T) -> Result<()> {
        self.raw.write(bytemuck::bytes_of(&value))
    }

    /// Makes `value` the value; what it was before.
    pub fn exchange(&self, value: T) -> Result<T> {
        let mut old = zeroed::<T>();
        self.raw.exchange(bytemuck::bytes_of(&value), bytes_of_bits::<T>(&mut old))?;
        self.decode(old)
    }

    /// Makes `new` the value if it is `current`, bit by bit. `Ok` with what it was, or `Err` with what it is.
    pub fn compare_exchange(&self, current: T, new: T) -> Result<Result<T, T>> {
        let mut old = zeroed::<T>();
        let (current, new) = (bytemuck::bytes_of(&current), bytemuck::bytes_of(&new));
        let done = self.raw.compare_exchange(current, new, bytes_of_bits::<T>(&mut old))?;
        let old = self.decode(old)?;
        Ok(if done { Ok(old) } else { Err(old) })
    }

    /// Replaces the value by what `next` makes of it, atomically; what it was before. `next` may be called
    /// several times.
    pub fn update(&self, mut next: impl FnMut(T) -> T) -> Result<T> {
        let mut old = zeroed::<T>();
        let mut valid = true;
        self.raw.update(bytes_of_bits::<T>(&mut old), |now, out| {
            valid = match bytemuck::checked::try_pod_read_unaligned::<T>(now) {
                Ok(now) => {
                    out.copy_from_slice(bytemuck::bytes_of(&next(now)));
                    true
                }
                Err(_) => false,
            };
            valid
        })?;
        self.decode(old)
    }

    /// Acquires the value's lock, waiting for it.
    pub fn lock(&self) -> Result<LockGuard<'_>> {
        self.lock_until(Deadline::Never)
    }

    /// Acquires the value's lock if it is free; else `WouldBlock`.
    pub fn try_lock(&self) -> Result<LockGuard<'_>> {
        self.lock_until(Deadline::Now)
    }

    /// Acquires the value's lock, waiting for at most `timeout`.
    pub fn lock_timeout(&self, timeout: Duration) -> Result<LockGuard<'_>> {
        self.lock_until(timeout.into())
    }

    /// Acquires the value's lock, waiting until `deadline`.
    pub fn lock_until(&self, deadline: Deadline) -> Result<LockGuard<'_>> {
        LockGuard::acquire(&self.raw.handle, self.raw.lock_word(), deadline)
    }

    /// The value's name.
    pub fn name(&self) -> String {
        self.raw.handle.name()
    }
}

impl<T: Number> Value<T> {
    /// Adds to the value; what it was before. Integers wrap around.
    #[inline]
    pub fn add(&self, amount: T) -> Result<T> {
        self.update(|value| value.plus(amount))
    }
}

impl<T: Element> Clone for Value<T> {
    fn clone(&self) -> Self {
        Self { raw: self.raw.clone(), element: PhantomData }
    }
}

/// The bits of a `T` to be filled in.
pub(super) fn zeroed<T: Element>() -> T::Bits {
    // SAFETY: `Bits` is `AnyBitPattern`, which includes all zeroes.
    unsafe { std::mem::zeroed() }
}

/// The bytes of the bits of a `T`, to be filled in.
pub(super) fn bytes_of_bits<T: Element>(bits: &mut T::Bits) -> &mut [u8] {
    // SAFETY: `Bits` has the size of `T` and admits every content; a `T` has no padding (`NoUninit`), so its
    // `Bits` have none that was not written by `zeroed`.
    unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(bits).cast::<u8>(), size_of::<T>()) }
}
