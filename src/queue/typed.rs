//! Queues of plain data.

use std::marker::PhantomData;
use std::time::Duration;

use super::{Queue, QueueOptions, Sink};
use crate::cell::Element;
use crate::error::{ErrorKind, Result};
use crate::segment::Segment;
use crate::segment::handle::Verb;
use crate::sys::clock::Deadline;

/// A [`Queue`] whose items are values of one plain-data type.
pub struct TypedQueue<T: Element> {
    queue: Queue,
    element: PhantomData<fn(T) -> T>,
}

/// Items that are read as values.
struct Values<T, F> {
    take: F,
    /// Whether one of them is no such value.
    foreign: bool,
    element: PhantomData<fn(T)>,
}

impl<T: Element, F: FnMut(T)> Sink for Values<T, F> {
    fn room(&self) -> usize {
        usize::MAX
    }
    #[inline]
    fn take(&mut self, item: &[u8]) -> bool {
        match bytemuck::checked::try_pod_read_unaligned(item) {
            Ok(value) => (self.take)(value),
            Err(_) => self.foreign = true,
        }
        true
    }
}

impl<T: Element> TypedQueue<T> {
    fn get_object(segment: &Segment, name: &str, verb: Verb, capacity: Option<u64>) -> Result<Self> {
        let options = capacity.map(|capacity| QueueOptions::new(capacity).max_item(size_of::<T>() as u64));
        let queue = Queue::get_object(segment, name, verb, options.as_ref(), &T::type_name())?;
        Ok(Self { queue, element: PhantomData })
    }

    /// Creates a queue for `capacity` values; an error when the name is taken.
    pub fn create(segment: &Segment, name: &str, capacity: u64) -> Result<Self> {
        Self::get_object(segment, name, Verb::Create, Some(capacity))
    }

    /// Opens a queue of the same type.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Self::get_object(segment, name, Verb::Open, None)
    }

    /// Opens a queue of the same type and capacity, or creates it.
    pub fn open_or_create(segment: &Segment, name: &str, capacity: u64) -> Result<Self> {
        Self::get_object(segment, name, Verb::OpenOrCreate, Some(capacity))
    }

    /// Puts a value, waiting for room; errors as for [`Queue::put`].
    #[inline]
    pub fn put(&self, value: T) -> Result<()> {
        self.queue.put(bytemuck::bytes_of(&value))
    }

    /// Puts a value if there is room; else `WouldBlock`.
    #[inline]
    pub fn try_put(&self, value: T) -> Result<()> {
        self.queue.try_put(bytemuck::bytes_of(&value))
    }

    /// Puts a value, waiting for room for at most `timeout`.
    pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<()> {
        self.queue.put_timeout(bytemuck::bytes_of(&value), timeout)
    }

    /// Puts values in order, waiting for room; how many were put.
    pub fn put_many(&self, values: &[T]) -> Result<usize> {
        self.put_many_until(values, Deadline::Never)
    }

    /// Puts values in order until `deadline`; how many were put. Errors as for [`Queue::put_many_until`].
    pub fn put_many_until(&self, values: &[T], deadline: Deadline) -> Result<usize> {
        self.queue.put_list(values.len(), |i| bytemuck::bytes_of(&values[i]), deadline)
    }

    /// Gets the oldest value, waiting for one; errors as for [`Queue::get`].
    #[inline]
    pub fn get(&self) -> Result<T> {
        self.get_until(Deadline::Never)
    }

    /// Gets the oldest value if there is one; else `WouldBlock`.
    #[inline]
    pub fn try_get(&self) -> Result<T> {
        self.get_until(Deadline::Now)
    }

    /// Gets the oldest value, waiting for one for at most `timeout`.
    pub fn get_timeout(&self, timeout: Duration) -> Result<T> {
        self.get_until(timeout.into())
    }

    /// Gets the oldest value, waiting until `deadline`.
    #[inline]
    pub fn get_until(&self, deadline: Deadline) -> Result<T> {
        let read = |item: &[u8]| bytemuck::checked::try_pod_read_unaligned(item).ok();
        let value = match self.queue.get_soon(size_of::<T>(), deadline, read)? {
            Some(value) => value,
            None => read(&self.queue.take(false, deadline)?),
        };
        value.ok_or_else(Self::foreign)
    }

    /// Gets values that are there into the first places of `values`, waiting until `deadline` for the first; how many
    /// were got; see [`Queue::get_many_until`].
    ///
    /// # Errors
    /// As for [`Queue::get`], but only when nothing was got.
    pub fn get_many_into(&self, values: &mut [T], deadline: Deadline) -> Result<usize> {
        let max = values.len();
        let mut places = values.iter_mut();
        self.get_run(max, deadline, |value| *places.next().expect("at most as many are got") = value)
    }

    /// Gets up to `max` values that are there, waiting until `deadline` for the first; errors as for
    /// [`get_many_into`](Self::get_many_into).
    pub fn get_many_until(&self, max: usize, deadline: Deadline) -> Result<Vec<T>> {
        let mut values = Vec::new();
        self.get_run(max, deadline, |value| values.push(value))?;
        Ok(values)
    }

    /// Gets up to `max` values, waiting for the first.
    pub fn get_many(&self, max: usize) -> Result<Vec<T>> {
        self.get_many_until(max, Deadline::Never)
    }

    fn get_run(&self, max: usize, deadline: Deadline, take: impl FnMut(T)) -> Result<usize> {
        let mut values = Values { take, foreign: false, element: PhantomData };
        let got = self.queue.get_run(max, deadline, &mut values)?;
        if values.foreign { Err(Self::foreign()) } else { Ok(got) }
    }

    #[cold]
    fn foreign() -> crate::error::Error {
        let name = T::type_name();
        crate::error::Error::new(ErrorKind::Corrupted, format!("an item of the queue is no {name}"))
    }

    /// The queue itself, for its other operations.
    pub fn as_bytes(&self) -> &Queue {
        &self.queue
    }
}

impl<T: Element> Clone for TypedQueue<T> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), element: PhantomData }
    }
}
