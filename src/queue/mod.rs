//! Bounded queues: bytes in every language, plain data in Rust.

mod join;
#[cfg(loom)]
mod model;
pub mod ring;
#[cfg(test)]
mod tests;
mod typed;

use std::ops::{Deref, DerefMut};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

pub use typed::TypedQueue;

use crate::error::{Error, ErrorKind, Result, fail};
use crate::layout::{Kind, Spec};
use crate::segment::Segment;
use crate::segment::handle::{Handle, Part, Request, Verb};
use crate::sys::clock::Deadline;
use crate::wait::Label;
use join::Join;
use ring::{Accept, Claim, GROUP, Ring, RunPut, Shape};

/// How to create a [`Queue`].
#[derive(Clone, Debug)]
pub struct QueueOptions {
    /// How many items it holds.
    pub capacity: u64,
    /// How many bytes of an item are kept in its cell; larger items spill into the segment's arena.
    pub inline: u64,
    /// The largest item in bytes.
    pub max_item: u64,
    /// How many bytes it holds in all; `u64::MAX` for no limit but the segment's.
    pub max_bytes: u64,
    /// Whether it counts what was taken and is not done.
    pub joinable: bool,
}

impl QueueOptions {
    /// A queue for `capacity` items of any size, of which up to 104 bytes are kept in the cell.
    pub fn new(capacity: u64) -> Self {
        Self { capacity, inline: 104, max_item: u64::MAX, max_bytes: u64::MAX, joinable: false }
    }

    /// For items of at most `bytes`, which stay in their cells up to 4 KiB.
    pub fn max_item(mut self, bytes: u64) -> Self {
        self.max_item = bytes;
        self.inline = bytes.min(4096);
        self
    }

    /// With at most `bytes` of items in it.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Counts what was taken and is not done, for [`Queue::task_done`] and [`Queue::join`].
    pub fn joinable(mut self, yes: bool) -> Self {
        self.joinable = yes;
        self
    }

    /// With items of up to `bytes` kept in their cells.
    pub fn inline(mut self, bytes: u64) -> Self {
        self.inline = bytes;
        self
    }
}

/// A bounded first-in, first-out queue of byte strings, for any number of putters and getters in any
/// number of processes and threads.
///
/// When a put has returned, the item is in the queue, and a get that starts later never finds it empty. An
/// item is delivered to one get that completes. If a process is killed while it puts, its item was never
/// there; if it is killed while it gets, or while it holds an [`Item`], the item is delivered again, with
/// its [number](Item::number) unchanged and its [deliveries](Item::deliveries) counted.
///
/// Items of one putter are delivered in order; one that is delivered again comes late. A place that was given
/// up (by an abort or a death) or taken out of turn counts against the capacity until the items before it are
/// taken.
pub struct Queue {
    handle: Handle,
    shape: Shape,
    epoch: AtomicU64,
}

/// Where a batch of items goes.
pub(crate) trait Sink {
    /// The longest item for which there is room.
    fn room(&self) -> usize;
    /// Copies an item, for which there is room; false if it is to stay where it is.
    fn take(&mut self, item: &[u8]) -> bool;
    /// Whether it takes all for which there is room.
    fn takes_all(&self) -> bool {
        true
    }
}

impl Sink for Vec<Vec<u8>> {
    fn room(&self) -> usize {
        usize::MAX
    }
    fn take(&mut self, item: &[u8]) -> bool {
        self.push(item.to_vec());
        true
    }
}

/// How many items of a batch are given back together at the most, so that who waits for room need not wait long.
const BATCH: usize = 64;

/// Items that were copied, and are given back together when all are: until then a death redelivers them.
struct Batch<'a> {
    ring: Ring<'a>,
    /// The tickets of those that were taken the straight way.
    straight: Vec<u64>,
    others: Vec<Claim>,
    count: usize,
}

impl<'a> Batch<'a> {
    fn new(ring: Ring<'a>) -> Self {
        Self { ring, straight: Vec::new(), others: Vec::new(), count: 0 }
    }

    #[inline]
    fn push(&mut self, claim: Claim, straight: bool) {
        if straight {
            self.straight.push(claim.ticket);
        } else {
            self.others.push(claim);
        }
        self.count += claim.count as usize;
        if self.count + GROUP as usize > BATCH {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        self.straight.drain(..).for_each(|ticket| self.ring.free_straight(ticket));
        self.others.drain(..).for_each(|claim| self.ring.release_silently(&claim, false));
        if self.count > 0 {
            self.ring.after_release(self.count as u32);
            self.count = 0;
        }
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Items that were put, and are still to be told of: once for a batch.
struct Puts<'a> {
    ring: Ring<'a>,
    me: Label,
    deadline: Deadline,
    done: usize,
    silent: u32,
}

impl Puts<'_> {
    fn count(&mut self, n: usize) {
        self.done += n;
        self.silent += n as u32;
    }

    fn tell(&mut self) {
        if self.silent > 0 {
            self.ring.wake_getters(self.silent);
            self.silent = 0;
        }
    }

    /// Puts one item; who gets is told before it waits for room.
    #[inline]
    fn put(&mut self, item: &[u8]) -> Result<()> {
        if !self.ring.put_straight(self.me, item) {
            let claim = match self.ring.reserve(item.len(), Deadline::Now) {
                Err(e) if e.kind() == ErrorKind::WouldBlock && self.deadline != Deadline::Now => {
                    self.tell();
                    self.ring.reserve(item.len(), self.deadline)
                }
                other => other,
            }?;
            ring::fill(&claim, item);
            self.ring.commit(&claim, item.len());
        }
        self.count(1);
        Ok(())
    }

    /// Puts as many items as make a run; false if they have to be put one by one.
    #[inline]
    fn put_run<'b>(&mut self, item: impl Fn(usize) -> &'b [u8]) -> Result<bool> {
        loop {
            match self.ring.put_run(self.me, &item) {
                RunPut::Done => {
                    self.count(GROUP as usize);
                    return Ok(true);
                }
                RunPut::Full if self.deadline != Deadline::Now => {
                    self.tell();
                    self.ring.await_room(self.me, self.deadline)?;
                }
                _ => return Ok(false),
            }
        }
    }
}

impl Drop for Puts<'_> {
    fn drop(&mut self) {
        self.tell();
    }
}

/// What a getter is told whose buffer is too small for the oldest item.
pub(crate) fn too_small(len: usize, room: usize) -> Error {
    let text = format!("the item has {len} bytes, the buffer {room}; it is still there");
    Error::new(ErrorKind::BufferTooSmall, text)
}

/// In the head of a joinable queue.
const JOINABLE: u32 = 1;

impl Queue {
    /// Creates a queue; an error when the name is taken.
    pub fn create(segment: &Segment, name: &str, options: &QueueOptions) -> Result<Self> {
        Self::get_object(segment, name, Verb::Create, Some(options), "")
    }

    /// Opens a queue.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Self::get_object(segment, name, Verb::Open, None, "")
    }

    /// Opens a queue, which must have been created with equal options, or creates it.
    pub fn open_or_create(segment: &Segment, name: &str, options: &QueueOptions) -> Result<Self> {
        Self::get_object(segment, name, Verb::OpenOrCreate, Some(options), "")
    }

    fn get_object(
        segment: &Segment,
        name: &str,
        verb: Verb,
        options: Option<&QueueOptions>,
        type_name: &str,
    ) -> Result<Self> {
        let mut shape = match options {
            Some(o) => Shape::new(o.capacity, o.inline, o.max_item, o.max_bytes)?,
            None => Shape::new(1, 0, 0, 0)?,
        };
        shape.joinable = options.is_some_and(|o| o.joinable);
        let counts = if shape.joinable { Join::size(segment.attached().seats()) } else { 0 };
        let spec = Spec {
            kind: Kind::Queue as u32,
            typecode: 0,
            element: shape.max_item as u32,
            variant: if shape.joinable { JOINABLE } else { 0 },
            count: shape.capacity,
            type_name: type_name.to_owned(),
        };
        let fits = |have: &Spec| {
            if have.type_name != spec.type_name {
                fail!(WrongType, "it holds items of type {:?}, not {:?}", have.type_name, spec.type_name);
            }
            if options.is_some() && have.variant != spec.variant {
                let sort = |v: u32| if v == 0 { "not joinable" } else { "joinable" };
                fail!(WrongType, "it is {}, not {}", sort(have.variant), sort(spec.variant));
            }
            if options.is_some() && (have.count, have.element) != (spec.count, spec.element) {
                fail!(
                    WrongSize,
                    "it holds {} items of up to {} bytes, not {} of up to {}",
                    have.count,
                    have.element,
                    spec.count,
                    spec.element
                );
            }
            Ok(())
        };
        let init = |part: &Part<'_>| {
            shape.init(part, 0, 0)?;
            if shape.joinable { Join::init(part, &shape) } else { Ok(()) }
        };
        let request = Request { name, verb, role: 1, size: shape.size() + counts, spec: spec.clone() };
        let handle = Handle::get(segment.attached(), &request, init, fits)?;
        let shape = Shape::read(&handle.part(), 0)?;
        if shape.joinable {
            Join::over(handle.part(), &shape)?;
        }
        Ok(Self { handle, shape, epoch: AtomicU64::new(0) })
    }

    /// The ring behind the queue.
    #[inline]
    pub(crate) fn ring(&self) -> Ring<'_> {
        Ring::new(self.handle.part(), 0, &self.shape)
    }

    #[cold]
    fn explain(&self, e: Error) -> Error {
        match e.kind() {
            ErrorKind::TooLarge => {
                let text = format!("{} holds {e}", self.handle.describe());
                Error::new(ErrorKind::TooLarge, text)
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted | ErrorKind::Closed => e,
            _ => e.of(self.handle.describe()),
        }
    }

    /// Puts `item`, waiting for room.
    ///
    /// # Errors
    /// `TooLarge`, `Closed`, `Interrupted`; `NoSpace` or `LimitReached` when a large item finds no memory.
    /// On any error nothing was put.
    pub fn put(&self, item: &[u8]) -> Result<()> {
        self.put_until(item, Deadline::Never)
    }

    /// Puts `item` if there is room; else `WouldBlock`.
    pub fn try_put(&self, item: &[u8]) -> Result<()> {
        self.put_until(item, Deadline::Now)
    }

    /// Puts `item`, waiting for room for at most `timeout`; then `TimedOut`.
    pub fn put_timeout(&self, item: &[u8], timeout: Duration) -> Result<()> {
        self.put_until(item, timeout.into())
    }

    /// Puts `item`, waiting until `deadline`.
    #[inline]
    pub fn put_until(&self, item: &[u8], deadline: Deadline) -> Result<()> {
        let ring = self.ring();
        if ring.put_straight(self.handle.me()?, item) {
            ring.wake_getters(1);
            return Ok(());
        }
        self.put_slow(item, deadline)
    }

    #[inline(never)]
    fn put_slow(&self, item: &[u8], deadline: Deadline) -> Result<()> {
        let ring = self.ring();
        let claim = self.reserve_claim(item.len(), deadline)?;
        ring::fill(&claim, item);
        ring.commit(&claim, item.len());
        ring.wake_getters(1);
        Ok(())
    }

    /// Puts items in order until `deadline`; how many were put. Getters are woken once for all of them
    /// unless the queue fills up in between.
    ///
    /// # Errors
    /// As for [`put`](Self::put), but only when nothing was put.
    pub fn put_many_until<T: AsRef<[u8]>>(
        &self,
        items: impl IntoIterator<Item = T>,
        deadline: Deadline,
    ) -> Result<usize> {
        let mut puts = self.puts(deadline)?;
        for item in items {
            match puts.put(item.as_ref()) {
                Err(e) if puts.done == 0 => return Err(self.explain(e)),
                Err(_) => break,
                Ok(()) => {}
            }
        }
        Ok(puts.done)
    }

    /// [`put_many_until`](Self::put_many_until) of `count` items that are all there.
    #[inline]
    pub(crate) fn put_list<'b>(
        &self,
        count: usize,
        item: impl Fn(usize) -> &'b [u8],
        deadline: Deadline,
    ) -> Result<usize> {
        let mut puts = self.puts(deadline)?;
        let len = puts.ring.run_item();
        while puts.done < count {
            let next = puts.done;
            let is_run = len > 0
                && count - next >= GROUP as usize
                && (next..next + GROUP as usize).all(|i| item(i).len() == len);
            if is_run && next.is_multiple_of(BATCH) {
                puts.ring.ask_for_room((count - next).min(BATCH) / GROUP as usize);
            }
            let put = match is_run.then(|| puts.put_run(|i| item(next + i))) {
                Some(Ok(true)) => Ok(()),
                Some(Err(e)) => Err(e),
                _ => puts.put(item(next)),
            };
            match put {
                Err(e) if puts.done == 0 => return Err(self.explain(e)),
                Err(_) => break,
                Ok(()) => {}
            }
        }
        Ok(puts.done)
    }

    fn puts(&self, deadline: Deadline) -> Result<Puts<'_>> {
        Ok(Puts { ring: self.ring(), me: self.handle.me()?, deadline, done: 0, silent: 0 })
    }

    /// [`put_many_until`](Self::put_many_until) without a deadline.
    pub fn put_many<T: AsRef<[u8]>>(&self, items: impl IntoIterator<Item = T>) -> Result<usize> {
        self.put_many_until(items, Deadline::Never)
    }

    /// A place for an item of up to `len` bytes, to be written in place and committed. Getters pass over it
    /// meanwhile, until the ring has gone round.
    pub fn reserve(&self, len: usize, deadline: Deadline) -> Result<Reservation<'_>> {
        let claim = self.reserve_claim(len, deadline)?;
        Ok(Reservation { ring: self.ring(), claim, me: self.handle.me()? })
    }

    /// [`reserve`](Self::reserve) without a guard.
    #[inline]
    pub(crate) fn reserve_claim(&self, len: usize, deadline: Deadline) -> Result<Claim> {
        self.ring().reserve(len, deadline).map_err(|e| self.explain(e))
    }

    /// Gets the oldest item, waiting for one.
    ///
    /// # Errors
    /// `Closed` when the queue is shut down and nothing is left, `Interrupted`.
    pub fn get(&self) -> Result<Vec<u8>> {
        self.get_until(Deadline::Never)
    }

    /// Gets the oldest item if there is one; else `WouldBlock`.
    pub fn try_get(&self) -> Result<Vec<u8>> {
        self.get_until(Deadline::Now)
    }

    /// Gets the oldest item, waiting for one for at most `timeout`; then `TimedOut`.
    pub fn get_timeout(&self, timeout: Duration) -> Result<Vec<u8>> {
        self.get_until(timeout.into())
    }

    /// Gets the oldest item, waiting until `deadline`.
    pub fn get_until(&self, deadline: Deadline) -> Result<Vec<u8>> {
        match self.get_soon(usize::MAX, deadline, <[u8]>::to_vec)? {
            Some(item) => Ok(item),
            None => Ok(self.take(false, deadline)?.to_vec()),
        }
    }

    /// Hands the oldest item to `read`, if it is there or comes soon, and takes no more than that; see
    /// [`Ring::get_soon`].
    #[inline]
    pub(crate) fn get_soon<R>(
        &self,
        room: usize,
        deadline: Deadline,
        read: impl FnMut(&[u8]) -> R,
    ) -> Result<Option<R>> {
        self.ring().get_soon(self.handle.me()?, &self.epoch, room, deadline, read)
    }

    /// Gets up to `max` items that are there, waiting until `deadline` for the first; less than `max` does not mean that
    /// nothing is left. Up to 64 are given back together
    /// when all are copied: if this process dies before, they are delivered again. Putters are woken once for them.
    ///
    /// # Errors
    /// As for [`get`](Self::get), but only when nothing was got.
    pub fn get_many_until(&self, max: usize, deadline: Deadline) -> Result<Vec<Vec<u8>>> {
        let mut items = Vec::new();
        self.get_run(max, deadline, &mut items)?;
        Ok(items)
    }

    /// Gets up to `max` items that are there into `sink`, waiting until `deadline` for the first; how many were got.
    /// It ends before an item for which there is no room, or that `sink` refuses, and, with some items got, before a run
    /// that is longer than what is left of `max`: splitting one would make the next batch split one, too.
    ///
    /// # Errors
    /// As for [`get`](Self::get), and `BufferTooSmall`, but only when nothing was got.
    pub(crate) fn get_run(&self, max: usize, deadline: Deadline, sink: &mut impl Sink) -> Result<usize> {
        let ring = self.ring();
        let me = self.handle.me()?;
        let mut batch = Batch::new(ring);
        let (mut got, mut singles, mut end) = (0, 0, Ok(()));
        while got < max && end.is_ok() {
            let room = sink.room();
            let whole = room / GROUP as usize >= ring.run_item() && sink.takes_all();
            let runs = whole && ring.run_item() > 0 && max - got >= GROUP as usize;
            let run = if runs { ring.take_run(me, &self.epoch) } else { None };
            let straight = if run.is_none() { ring.take_straight(me, &self.epoch, room) } else { None };
            let claim = match run.or(straight) {
                Some(claim) => Ok(claim),
                None => {
                    let accept = match () {
                        () if runs => Accept::Runs,
                        () if whole && got >= GROUP as usize => Accept::Singles,
                        () => Accept::All,
                    };
                    let deadline = if got == 0 { deadline } else { Deadline::Now };
                    match self.take_as(false, accept, deadline).transpose() {
                        Some(claim) => claim,
                        None => break,
                    }
                }
            };
            end = match claim {
                Err(e) => Err(e),
                Ok(claim) if claim.len > room => {
                    ring.untake(&claim);
                    Err(too_small(claim.len, room))
                }
                Ok(claim) if claim.count > 1 => {
                    if got.is_multiple_of(BATCH) {
                        ring.ask_for_runs((max - got).min(BATCH) / GROUP as usize);
                    }
                    for i in 0..claim.count {
                        sink.take(claim.item(i));
                    }
                    batch.push(claim, false);
                    got += claim.count as usize;
                    Ok(())
                }
                Ok(claim) if !sink.take(claim.bytes()) => {
                    ring.untake(&claim);
                    break;
                }
                Ok(claim) => {
                    batch.push(claim, straight.is_some());
                    got += 1;
                    singles += 1;
                    Ok(())
                }
            };
        }
        if singles >= GROUP && ring.run_item() > 0 {
            ring.prefer_runs(true);
        }
        if got > 0 { Ok(got) } else { end.map(|()| got) }
    }

    /// Up to `max` items, waiting for the first.
    pub fn get_many(&self, max: usize) -> Result<Vec<Vec<u8>>> {
        self.get_many_until(max, Deadline::Never)
    }

    /// Takes the oldest item in place: it is read where it lies, and done with when the guard is dropped. If
    /// this process dies before, it is delivered again. It costs one cell of the queue as long as it lasts.
    pub fn recv(&self, deadline: Deadline) -> Result<Item<'_>> {
        self.take(true, deadline)
    }

    fn take(&self, held: bool, deadline: Deadline) -> Result<Item<'_>> {
        let claim = self.take_claim(held, deadline)?;
        Ok(Item { ring: self.ring(), claim, held, me: self.handle.me()? })
    }

    /// Takes the oldest item without a guard.
    #[inline]
    pub(crate) fn take_claim(&self, held: bool, deadline: Deadline) -> Result<Claim> {
        let claim = self.ring().take(held, Accept::All, deadline, &self.epoch, || false, || None);
        claim.map(|claim| claim.expect("anything is acceptable")).map_err(|e| self.explain(e))
    }

    fn take_as(&self, held: bool, accept: Accept, deadline: Deadline) -> Result<Option<Claim>> {
        let claim = self.ring().take(held, accept, deadline, &self.epoch, || false, || None);
        claim.map_err(|e| self.explain(e))
    }

    /// The segment that it is in.
    pub(crate) fn segment(&self) -> &std::sync::Arc<crate::segment::attach::Attached> {
        self.handle.segment()
    }

    /// How many items can be got. True at the moment of the call, as far as others let it be.
    pub fn qsize(&self) -> usize {
        self.ring().len() as usize
    }

    /// Whether nothing can be got.
    pub fn is_empty(&self) -> bool {
        self.qsize() == 0
    }

    /// Whether a put would have to wait.
    pub fn is_full(&self) -> bool {
        self.ring().is_full()
    }

    /// How many items it holds.
    pub fn capacity(&self) -> usize {
        self.shape.capacity as usize
    }

    /// The largest item in bytes.
    pub fn max_item(&self) -> u64 {
        self.shape.max_item
    }

    /// The most bytes of items in it; `u64::MAX` for no limit.
    pub fn max_bytes(&self) -> u64 {
        self.shape.max_bytes
    }

    /// The counts of a joinable queue.
    fn counts(&self) -> Result<Join<'_>> {
        if !self.shape.joinable {
            fail!(Unsupported, "{} is not joinable; create it so", self.handle.describe());
        }
        Join::over(self.handle.part(), &self.shape)
    }

    /// Says that an item which this process got is done, once for each get. (An [`Item`] is done when it is
    /// dropped, and needs no word.)
    ///
    /// # Errors
    /// `NotHeld` when this process has got no item that is not done, `Unsupported` when the queue is not
    /// joinable.
    pub fn task_done(&self) -> Result<()> {
        self.counts()?.done(self.handle.me()?).map_err(|e| e.of(self.handle.describe()))
    }

    /// Waits until every item that was put is done, or `deadline`. What a process had taken that is killed
    /// counts as done; what it [held](Self::recv) is delivered again and does not.
    ///
    /// # Errors
    /// `WouldBlock`, `TimedOut`, `Interrupted`, `Unsupported` when the queue is not joinable.
    pub fn join(&self, deadline: Deadline) -> Result<()> {
        self.counts()?.join(self.handle.segment(), &self.ring(), deadline)
    }

    /// Lets no more items in. Getters get what is left, then `Closed`; waiting putters get `Closed`.
    pub fn shutdown(&self) {
        self.ring().close();
    }

    /// Whether it was shut down.
    pub fn is_shutdown(&self) -> bool {
        self.ring().is_closed()
    }

    /// The queue's name.
    pub fn name(&self) -> String {
        self.handle.name()
    }
}

impl Clone for Queue {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone(), shape: self.shape.clone(), epoch: AtomicU64::new(0) }
    }
}

/// A place in a queue or pipe that is being written. Dropping it gives it back; so does this process's death.
pub struct Reservation<'a> {
    ring: Ring<'a>,
    claim: Claim,
    me: Label,
}

// SAFETY: a claim belongs to the process, not to a thread; its bytes are this guard's alone.
unsafe impl Send for Reservation<'_> {}

impl<'a> Reservation<'a> {
    pub(crate) fn over(ring: Ring<'a>, claim: Claim, me: Label) -> Self {
        Self { ring, claim, me }
    }

    /// Makes the first `len` bytes an item that can be got.
    ///
    /// # Errors
    /// `InvalidArgument` when `len` is more than was reserved; `NotOwner` in a forked child.
    pub fn commit_len(self, len: usize) -> Result<()> {
        if len > self.claim.len {
            fail!(InvalidArgument, "{} bytes were reserved; got {len} to commit", self.claim.len);
        }
        if !self.ring.is_me(self.me) {
            return Err(ErrorKind::NotOwner.into());
        }
        self.ring.commit(&self.claim, len);
        self.ring.wake_getters(1);
        std::mem::forget(self);
        Ok(())
    }

    /// Makes all of it an item that can be got.
    pub fn commit(self) -> Result<()> {
        let len = self.claim.len;
        self.commit_len(len)
    }

    /// Gives the place back; nothing was put.
    pub fn abort(self) {}
}

impl Deref for Reservation<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the claim's bytes are mapped as long as the ring is borrowed, and no participant but this
        // guard's touches them before the commit.
        unsafe { std::slice::from_raw_parts(self.claim.data, self.claim.len) }
    }
}

impl DerefMut for Reservation<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and the guard is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.claim.data, self.claim.len) }
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        // In a forked child the claim is the parent's.
        if self.ring.is_me(self.me) {
            self.ring.abort(&self.claim);
        }
    }
}

/// An item that was taken, read where it lies. Dropping it is the receipt: the item is done with. If this
/// process dies before, the item is delivered to somebody else.
pub struct Item<'a> {
    ring: Ring<'a>,
    claim: Claim,
    held: bool,
    me: Label,
}

// SAFETY: as for `Reservation`; the bytes are only read.
unsafe impl Send for Item<'_> {}
// SAFETY: as above.
unsafe impl Sync for Item<'_> {}

impl<'a> Item<'a> {
    pub(crate) fn over(ring: Ring<'a>, claim: Claim, held: bool, me: Label) -> Self {
        Self { ring, claim, held, me }
    }

    /// The item's number: unique in its queue, and the same at each delivery.
    pub fn number(&self) -> u64 {
        self.claim.number
    }

    /// How often the item was delivered, this time included.
    pub fn deliveries(&self) -> u32 {
        self.claim.deliveries.into()
    }

    /// [`put_back`](Self::put_back) where the delivery is not to count.
    pub(crate) fn untake(self) {
        if self.ring.is_me(self.me) {
            self.ring.untake(&self.claim);
        }
        std::mem::forget(self);
    }

    /// Lets somebody else have the item, as this process's death would.
    pub fn put_back(self) {
        if self.ring.is_me(self.me) {
            self.ring.put_back(&self.claim);
        }
        std::mem::forget(self);
    }
}

impl Deref for Item<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.claim.bytes()
    }
}

impl Drop for Item<'_> {
    fn drop(&mut self) {
        if self.ring.is_me(self.me) {
            self.ring.release(&self.claim, self.held);
        }
    }
}
