//! Pipes: messages in one or both directions, with an end-of-file that a death brings about too.
//!
//! ```text
//!   an end's word:   NEVER ──opened──▶ USED ──nobody holds it, and its messages are read──▶ GONE
//! ```
//!
//! A direction is a [ring](crate::queue::ring) with a message to a cell; large ones spill into the arena. So
//! a message is there whole or not at all, whoever is killed, and one that a killed receiver had taken goes
//! to the next receiver of that end. Messages of more than an eighth of the segment go in [parts].
//!
//! Who holds an end is in the participants' open-lists. A receiver that finds its ring empty asks, in this
//! order: is nobody listed for the other end? is the ring still empty? Then the end is GONE for good. `left`
//! is a hint that somebody has closed an end or died, which spares senders the question.

mod parts;

use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::atomic::{Acquire, AtomicU32, Relaxed, Release, SeqCst, fence};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::latch::LockWord;
use crate::layout::{Kind, Row, Spec, describe};
use crate::queue::ring::{self, Accept, Claim, Ring, Shape, Side};
use crate::queue::{Item, Reservation};
use crate::segment::Segment;
use crate::segment::attach::Shared;
use crate::segment::handle::{Handle, Part, Request, Verb};
use crate::sys::bulk;
use crate::sys::clock::Deadline;
use crate::sys::fork::ForkLock;
use crate::wait::Label;
pub(crate) use parts::Received;
use parts::{Joining, Kept};

/// The head of a pipe; its one or two rings follow.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct PipeHead {
    duplex: AtomicU32,
    /// The ends' words.
    ends: [AtomicU32; 2],
    /// Whether somebody has left an end since its other side last looked.
    left: [AtomicU32; 2],
    /// By sending end: held while a message is sent in parts, and while one is joined.
    senders: [LockWord; 2],
    receivers: [LockWord; 2],
    pad: [AtomicU32; 23],
}

describe! { TABLE:
    PipeHead = 128 { duplex @ 0, ends @ 4, left @ 12, senders @ 20, receivers @ 28 }
}

/// The layout of pipes.
pub const LAYOUT: &[&[Row]] = &[TABLE];

// SAFETY: it consists of atomics.
unsafe impl Shared for PipeHead {}

const NEVER: u32 = 0;
const USED: u32 = 1;
const GONE: u32 = 2;
/// How often a sender that waits looks whether anybody is left to receive, in nanoseconds.
const LOOK: u64 = 20_000_000;
const HEAD: u64 = size_of::<PipeHead>() as u64;

/// One of the two ends of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The first end; of a simplex pipe, the one that receives.
    A = 0,
    /// The second end; of a simplex pipe, the one that sends.
    B = 1,
}

impl End {
    /// The end at the other side.
    pub fn other(self) -> Self {
        if self == Self::A { Self::B } else { Self::A }
    }

    /// As a role in the open-lists.
    fn role(self) -> u32 {
        self as u32 + 1
    }

    fn from_role(role: u32) -> Option<Self> {
        match role {
            1 => Some(Self::A),
            2 => Some(Self::B),
            _ => None,
        }
    }
}

/// How to create a [`Pipe`].
#[derive(Clone, Debug)]
pub struct PipeOptions {
    /// Whether both ends send and receive.
    pub duplex: bool,
    /// How many messages may be under way in a direction.
    pub capacity: u64,
    /// How many bytes of a message are kept in its cell; larger ones spill into the segment's arena.
    pub inline: u64,
}

impl Default for PipeOptions {
    fn default() -> Self {
        Self { duplex: true, capacity: 256, inline: 104 }
    }
}

impl PipeOptions {
    /// Duplex, 256 messages under way in each direction, those of up to 104 bytes in their cells.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether both ends send and receive.
    pub fn duplex(mut self, yes: bool) -> Self {
        self.duplex = yes;
        self
    }

    /// How many messages may be under way in a direction.
    pub fn capacity(mut self, messages: u64) -> Self {
        self.capacity = messages;
        self
    }

    /// With messages of up to `bytes` kept in their cells.
    pub fn inline(mut self, bytes: u64) -> Self {
        self.inline = bytes;
        self
    }
}

/// One end of a pipe. It may be used by several threads and processes at once; a message goes to one of
/// those who receive. Dropping the last handle of the last process that holds an end closes it, and so does
/// that process's death.
pub struct Pipe {
    handle: Handle,
    end: End,
    duplex: bool,
    shape: Shape,
    epoch: AtomicU64,
    longest_whole: usize,
    joining: ForkLock<Joining>,
    kept: Kept,
}

impl Pipe {
    /// Creates a pipe and opens both of its ends.
    pub fn create(segment: &Segment, name: &str, options: &PipeOptions) -> Result<(Self, Self)> {
        let a = Self::get(segment, name, Verb::Create, End::A, Some(options))?;
        let b = Self::get(segment, name, Verb::Open, End::B, None)?;
        Ok((a, b))
    }

    /// Opens one end of a pipe.
    ///
    /// # Errors
    /// `Closed` when the other side has already seen the end-of-file of this end.
    pub fn open(segment: &Segment, name: &str, end: End) -> Result<Self> {
        Self::get(segment, name, Verb::Open, end, None)
    }

    /// Opens one end of a pipe, which must have been created with equal options, or creates it.
    pub fn open_or_create(segment: &Segment, name: &str, end: End, options: &PipeOptions) -> Result<Self> {
        Self::get(segment, name, Verb::OpenOrCreate, end, Some(options))
    }

    fn get(
        segment: &Segment,
        name: &str,
        verb: Verb,
        end: End,
        options: Option<&PipeOptions>,
    ) -> Result<Self> {
        let default = PipeOptions::default();
        let o = options.unwrap_or(&default);
        let shape = Shape::new(o.capacity, o.inline, u64::MAX, u64::MAX)?;
        let rings = 1 + u64::from(o.duplex);
        let size = HEAD + rings * shape.size();
        let spec = Spec {
            kind: Kind::Pipe as u32,
            typecode: 0,
            element: 0,
            variant: o.duplex.into(),
            count: o.capacity,
            type_name: String::new(),
        };
        let fits = |have: &Spec| {
            if options.is_some() && (have.variant, have.count) != (spec.variant, spec.count) {
                let text = |s: &Spec| {
                    format!("{} with {} messages", if s.variant == 0 { "simplex" } else { "duplex" }, s.count)
                };
                fail!(WrongSize, "it is {}, not {}", text(have), text(&spec));
            }
            Ok(())
        };
        let init = |part: &Part<'_>| {
            for word in part.words(0, HEAD / 8)? {
                word.store(0, Relaxed);
            }
            part.at::<PipeHead>(0)?.duplex.store(o.duplex.into(), Relaxed);
            (0..rings).try_for_each(|i| shape.init(part, HEAD + i * shape.size(), 0))
        };
        let request = Request { name, verb, role: end.role(), size, spec: spec.clone() };
        let handle = Handle::get(segment.attached(), &request, init, fits)?;
        let part = handle.part();
        let head: &PipeHead = part.at(0)?;
        let duplex = head.duplex.load(Relaxed) != 0;
        let shape = Shape::read(&part, HEAD)?;
        if duplex && Shape::read(&part, HEAD + shape.size())? != shape {
            return Err(segment.attached().corrupted("the rings of a pipe differ"));
        }
        let _ = head.ends[end as usize].cas(NEVER, USED);
        fence(SeqCst); // pairs with the fence in `mark_gone`
        if head.ends[end as usize].load(Acquire) == GONE {
            fail!(Closed, "end {end:?} of {} was closed for good", handle.describe());
        }
        let longest_whole = parts::longest_whole(segment);
        Ok(Self {
            handle,
            end,
            duplex,
            shape,
            longest_whole,
            epoch: AtomicU64::new(0),
            joining: Default::default(),
            kept: Default::default(),
        })
    }

    #[inline]
    fn head(&self) -> &PipeHead {
        // SAFETY: `get` has checked that the head lies in the object, which the handle keeps mapped.
        unsafe { &*self.handle.part().base.as_ptr().cast::<PipeHead>() }
    }

    /// The ring that `end` sends into.
    #[inline]
    fn ring_from(&self, end: End) -> Ring<'_> {
        // The ring to A comes first: it is the only one of a simplex pipe.
        let at = HEAD + if end == End::B { 0 } else { self.shape.size() };
        Ring::new(self.handle.part(), at, &self.shape)
    }

    #[inline]
    pub(crate) fn outgoing(&self) -> Result<Ring<'_>> {
        if !self.can_send() {
            fail!(Unsupported, "end A of {} only receives; it is simplex", self.handle.describe());
        }
        Ok(self.ring_from(self.end))
    }

    #[inline]
    pub(crate) fn incoming(&self) -> Result<Ring<'_>> {
        if !self.can_recv() {
            fail!(Unsupported, "end B of {} only sends; it is simplex", self.handle.describe());
        }
        Ok(self.ring_from(self.end.other()))
    }

    /// Whether this end can send.
    #[inline]
    pub fn can_send(&self) -> bool {
        self.duplex || self.end == End::B
    }

    /// Whether this end can receive.
    #[inline]
    pub fn can_recv(&self) -> bool {
        self.duplex || self.end == End::A
    }

    /// Whether nobody holds the other end any more, although somebody did.
    fn peer_is_gone(&self) -> bool {
        let other = self.end.other();
        match self.head().ends[other as usize].load(Acquire) {
            NEVER => false,
            USED => self.holder(other).is_none(),
            _ => true,
        }
    }

    /// Somebody who holds `end`, if anybody does; preferably another process.
    fn holder(&self, end: End) -> Option<Label> {
        let me = self.handle.me().unwrap_or(0);
        let block = self.handle.part().block;
        let mut own = None;
        for label in self.handle.segment().holders(block, end.role()) {
            if label != me {
                return Some(label);
            }
            own = Some(label);
        }
        own
    }

    /// Whom a wait for the other side depends on: one of its holders.
    fn suspect(&self) -> Option<Label> {
        let me = self.handle.me().ok();
        self.holder(self.end.other()).filter(|label| Some(*label) != me)
    }

    #[cold]
    fn explain(&self, e: Error) -> Error {
        match e.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted | ErrorKind::Closed => e,
            ErrorKind::TooLarge => Error::new(e.kind(), format!("{} takes {e}", self.handle.describe())),
            _ => e.of(self.handle.describe()),
        }
    }

    /// `Closed` when nobody is left to read what would be sent.
    fn check_peer(&self) -> Result<()> {
        let other = self.end.other();
        let head = self.head();
        if head.left[other as usize].load(Relaxed) == 0 {
            return Ok(());
        }
        head.left[other as usize].store(0, SeqCst);
        if self.peer_is_gone() {
            head.left[other as usize].store(1, Relaxed);
            return Err(ErrorKind::Closed.into());
        }
        Ok(())
    }

    /// Reserves a place in the outgoing ring.
    pub(crate) fn reserve_claim(&self, len: usize, deadline: Deadline) -> Result<(Ring<'_>, Claim)> {
        let ring = self.outgoing()?;
        self.check_peer()?;
        let claim = self.until_peer_is_gone(deadline, |slice| ring.reserve(len, slice));
        Ok((ring, claim.map_err(|e| self.explain(e))?))
    }

    /// Waits for the other side in slices, looking between them whether anybody is left there.
    fn until_peer_is_gone<R>(&self, deadline: Deadline, wait: impl Fn(Deadline) -> Result<R>) -> Result<R> {
        loop {
            let slice = match deadline {
                Deadline::Now => Deadline::Now,
                later => Deadline::At(later.earlier(LOOK)),
            };
            match wait(slice) {
                Err(e) if e.kind() == ErrorKind::TimedOut && !deadline.passed() => {
                    if let Some(label) = self.suspect() {
                        crate::wait::Peers::check(&**self.handle.segment(), label);
                    }
                    if self.peer_is_gone() {
                        return Err(ErrorKind::Closed.into());
                    }
                }
                other => return other,
            }
        }
    }

    /// Sends a message, waiting for room.
    ///
    /// # Errors
    /// `Closed` when the other end was opened and nobody holds it any more, `Unsupported` at an end that
    /// only receives, `Interrupted`, `NoSpace`, `LimitReached`. On any error no message arrives.
    pub fn send(&self, message: &[u8]) -> Result<()> {
        self.send_until(message, Deadline::Never)
    }

    /// Sends a message if there is room; else `WouldBlock`.
    pub fn try_send(&self, message: &[u8]) -> Result<()> {
        self.send_until(message, Deadline::Now)
    }

    /// Sends a message, waiting for room for at most `timeout`.
    pub fn send_timeout(&self, message: &[u8], timeout: Duration) -> Result<()> {
        self.send_until(message, timeout.into())
    }

    /// Sends a message, waiting until `deadline`.
    #[inline]
    pub fn send_until(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        if self.can_send() {
            self.check_peer()?;
            let ring = self.ring_from(self.end);
            if ring.put_straight(self.handle.me()?, message) {
                ring.wake_getters(1);
                return Ok(());
            }
        }
        self.send_slow(message, deadline)
    }

    #[inline(never)]
    fn send_slow(&self, message: &[u8], deadline: Deadline) -> Result<()> {
        if message.len() > self.longest_whole {
            return self.send_parts(message, self.longest_whole / 2, deadline).map_err(|e| self.explain(e));
        }
        let (ring, claim) = self.reserve_claim(message.len(), deadline)?;
        ring::fill(&claim, message);
        ring.commit(&claim, message.len());
        ring.wake_getters(1);
        Ok(())
    }

    /// A place for a message of up to `len` bytes, to be written in place and committed.
    pub fn reserve(&self, len: usize, deadline: Deadline) -> Result<Reservation<'_>> {
        let (ring, claim) = self.reserve_claim(len, deadline)?;
        Ok(Reservation::over(ring, claim, self.handle.me()?))
    }

    /// Receives the next message, waiting for one.
    ///
    /// # Errors
    /// `Closed` at the end-of-file: nobody holds the other end any more and all messages were received.
    /// `Unsupported` at an end that only sends, `Interrupted`.
    pub fn recv(&self) -> Result<Vec<u8>> {
        self.recv_until(Deadline::Never)
    }

    /// Receives the next message if there is one; else `WouldBlock`.
    pub fn try_recv(&self) -> Result<Vec<u8>> {
        self.recv_until(Deadline::Now)
    }

    /// Receives the next message, waiting for at most `timeout`.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Vec<u8>> {
        self.recv_until(timeout.into())
    }

    /// Receives the next message, waiting until `deadline`.
    pub fn recv_until(&self, deadline: Deadline) -> Result<Vec<u8>> {
        if let Some(message) = self.recv_soon(usize::MAX, deadline, <[u8]>::to_vec)? {
            return Ok(message);
        }
        Ok(match self.take(false, deadline)?.0 {
            Place::Cell(item) => item.to_vec(),
            Place::Own(bytes) => bytes,
        })
    }

    /// Hands the next message to `read`, if it is there or comes soon, and takes no more than that; see
    /// [`Ring::get_soon`].
    #[inline]
    pub(crate) fn recv_soon<R>(
        &self,
        room: usize,
        deadline: Deadline,
        read: impl FnMut(&[u8]) -> R,
    ) -> Result<Option<R>> {
        if !self.can_recv() || !self.kept.is_empty() {
            return Ok(None);
        }
        let ring = self.ring_from(self.end.other());
        ring.get_soon(self.handle.me()?, &self.epoch, room, deadline, read)
    }

    /// Receives the next message into `buffer`; its length.
    ///
    /// # Errors
    /// `BufferTooSmall` when the message is longer than `buffer`; it can still be received.
    #[inline]
    pub fn recv_into(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        let room = buffer.len();
        if let Some(len) = self.recv_soon(room, deadline, |message| ring::copy_to(message, buffer))? {
            return Ok(len);
        }
        self.recv_into_slow(buffer, deadline)
    }

    #[inline(never)]
    fn recv_into_slow(&self, buffer: &mut [u8], deadline: Deadline) -> Result<usize> {
        let message = self.take(false, deadline)?;
        let (len, size) = (message.len(), buffer.len());
        if let Some(place) = buffer.get_mut(..len) {
            bulk::copy_slice(&message, place);
            return Ok(len);
        }
        match message.0 {
            Place::Cell(item) => item.untake(),
            Place::Own(bytes) => self.keep(bytes),
        }
        fail!(BufferTooSmall, "the message has {len} bytes, the buffer {size}; it can still be received")
    }

    /// Takes the next message in place: it is read where it lies and done with when the guard is dropped. (One
    /// that came in parts lies in this process's own memory.)
    pub fn recv_in_place(&self, deadline: Deadline) -> Result<Message<'_>> {
        self.take(true, deadline)
    }

    fn take(&self, held: bool, deadline: Deadline) -> Result<Message<'_>> {
        Ok(Message(match self.receive(held, deadline)? {
            Received::Claimed(ring, claim) => Place::Cell(Item::over(ring, claim, held, self.handle.me()?)),
            Received::Joined(bytes) => Place::Own(bytes),
        }))
    }

    /// Takes the next message or part without a guard; `None` when it is not acceptable.
    fn take_claim(&self, held: bool, accept: Accept, deadline: Deadline) -> Result<Option<Claim>> {
        let ring = self.incoming()?;
        loop {
            match ring.take(held, accept, deadline, &self.epoch, || self.peer_is_gone(), || self.suspect()) {
                Ok(claim) => return Ok(claim),
                // Unless somebody has opened the other end at this very moment.
                Err(e) if e.kind() == ErrorKind::Closed && !ring.is_closed() && !self.mark_gone() => {}
                Err(e) => return Err(self.explain(e)),
            }
        }
    }

    /// The end-of-file was seen: whoever opens the other end from now on is told. False if somebody did
    /// meanwhile: he listed himself and looks at the word, we change the word and look at the lists.
    fn mark_gone(&self) -> bool {
        let other = self.end.other();
        let word = &self.head().ends[other as usize];
        let _ = word.cas(USED, GONE);
        fence(SeqCst);
        if self.holder(other).is_none() {
            return true;
        }
        word.store(USED, Release);
        false
    }

    /// Waits until a message can be received, or the end-of-file; whether one of them came in time.
    pub fn poll(&self, deadline: Deadline) -> Result<bool> {
        let ring = self.incoming()?;
        match ring.poll(deadline, &self.epoch, || self.peer_is_gone(), || self.suspect()) {
            Ok(()) => Ok(true),
            Err(e) if e.is_timeout() => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// The segment that it is in.
    pub(crate) fn segment(&self) -> &std::sync::Arc<crate::segment::attach::Attached> {
        self.handle.segment()
    }

    /// Which end this is.
    pub fn end(&self) -> End {
        self.end
    }

    /// Whether both ends send and receive.
    pub fn is_duplex(&self) -> bool {
        self.duplex
    }

    /// The pipe's name.
    pub fn name(&self) -> String {
        self.handle.name()
    }
}

impl Clone for Pipe {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle.clone(),
            end: self.end,
            duplex: self.duplex,
            shape: self.shape.clone(),
            longest_whole: self.longest_whole,
            epoch: AtomicU64::new(0),
            joining: Default::default(),
            kept: Default::default(),
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.stop_joining();
    }
}

/// A message that was received in place. Dropping it is the receipt; if this process dies before, the message is
/// delivered to whoever receives next at this end.
pub struct Message<'a>(Place<'a>);

enum Place<'a> {
    Cell(Item<'a>),
    Own(Vec<u8>),
}

impl Deref for Message<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::Cell(item) => item,
            Place::Own(bytes) => bytes,
        }
    }
}

/// Calls `f` with each ring of a pipe and the end that sends into it.
fn each_ring(part: &Part<'_>, f: impl Fn(Ring<'_>, End)) {
    let Ok(shape) = Shape::read(part, HEAD) else { return };
    f(Ring::new(*part, HEAD, &shape), End::B);
    let second = HEAD + shape.size();
    if part.at::<PipeHead>(0).is_ok_and(|head| head.duplex.load(Relaxed) != 0)
        && Shape::read(part, second).is_ok_and(|other| other == shape)
    {
        f(Ring::new(*part, second, &shape), End::A);
    }
}

/// Gives back what `dead` held in a pipe.
pub(crate) fn recover(part: &Part<'_>, dead: Label) {
    if let Ok(head) = part.at::<PipeHead>(0) {
        for word in head.senders.iter().chain(&head.receivers) {
            word.recover(dead);
        }
    }
    each_ring(part, |ring, _| ring.recover(dead));
}

/// Gives back what this process still holds of one end, when it closes its last handle to that.
pub(crate) fn give_back(part: &Part<'_>, role: u32, me: Label) {
    let (Ok(head), Some(end)) = (part.at::<PipeHead>(0), End::from_role(role)) else { return };
    head.senders[end as usize].recover(me);
    head.receivers[end.other() as usize].recover(me);
    each_ring(part, |ring, from| ring.give_back(me, if from == end { Side::Put } else { Side::Get }));
}

/// Tells the other side that somebody has left an end, by closing it or by dying.
pub(crate) fn left(part: &Part<'_>, role: u32) {
    if let (Ok(head), Some(end)) = (part.at::<PipeHead>(0), End::from_role(role)) {
        head.left[end as usize].store(1, SeqCst);
        fence(SeqCst);
    }
    each_ring(part, |ring, _| ring.wake_all());
}

/// Frees the payloads of a pipe that nobody has open.
pub(crate) fn release(part: &Part<'_>) {
    each_ring(part, |ring, _| ring.free_blocks());
}
