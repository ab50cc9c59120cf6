//! Messages that are too long for a block go in parts.
//!
//! ```text
//!   part:   FIRST            MIDDLE …          LAST
//!   marks:  MORE             MORE|CONTINUED    CONTINUED
//!   bytes:  n, 0, payload    n, offset, …      n, offset, …
//! ```
//!
//! n is the number of the first part, by which all of a message are known.
//!
//! The sender holds the direction's `sender` lock from its first part to its last, so that there is one such
//! message at a time; ordinary messages may come between its parts. Only who has the direction's `receiver` lock
//! takes parts (who has not leaves them where they are and waits for it), and joins them, to the last one, in
//! memory of its own.
//!
//! A death of the sender, or a deadline, leaves parts without a last one: the next FIRST drops them, and a
//! part of another message, or that does not continue where the last one ended, is dropped too. A receiver that returns in the middle of
//! a message, for its time is up or an ordinary one has come, keeps the right to its parts as long as there is
//! hope for the rest. A receiver that is killed loses the parts that it had taken, and so the message; only messages
//! of one block are delivered again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Pipe;
use crate::error::{Error, ErrorKind, Result};
use crate::latch::LockWord;
use crate::queue::ring::{self, Accept, Claim, Ring};
use crate::segment::Segment;
use crate::sys::clock::Deadline;
use crate::sys::fork::{ForkGuard, ForkLock};
use crate::sys::futex::Sleep;
use crate::sys::poll;
use crate::wait::Peers;

const MORE: u16 = 1;
const CONTINUED: u16 = 2;
/// What stands before a part's payload: the number of the message's first part, and the offset in the message.
const PREFIX: usize = 2 * size_of::<u64>();
/// Unread parts that a sender leaves in the pipe before it adds another.
const AHEAD: u64 = 1;

/// The longest message that is sent whole: three of them fit into the segment.
pub(super) fn longest_whole(segment: &Segment) -> usize {
    usize::try_from(segment.limit() / 8).unwrap_or(usize::MAX)
}

/// What a receiver has of messages that come in parts.
#[derive(Default)]
pub(super) struct Joining {
    /// Whether this handle holds the `receiver` lock.
    locked: bool,
    /// The number of the first part.
    first: u64,
    /// The parts so far.
    parts: Vec<u8>,
}

/// Messages that are whole, but did not fit where they were to go. Not under the lock of [`Joining`], which is held
/// as long as a message takes: a receive looks here first, whatever its deadline.
#[derive(Default)]
pub(super) struct Kept {
    messages: ForkLock<VecDeque<Vec<u8>>>,
    /// Whether there are any, so that it costs nothing to find none.
    any: AtomicBool,
}

impl Kept {
    pub(super) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    fn push(&self, message: Vec<u8>) {
        let mut messages = self.messages.lock();
        messages.push_front(message);
        self.any.store(true, Ordering::Release);
    }

    fn pop(&self) -> Option<Vec<u8>> {
        if self.is_empty() {
            return None;
        }
        let mut messages = self.messages.lock();
        let message = messages.pop_front();
        self.any.store(!messages.is_empty(), Ordering::Release);
        message
    }
}

/// A message as it was received.
pub(crate) enum Received<'a> {
    /// In a cell that this process has claimed.
    Claimed(Ring<'a>, Claim),
    /// Joined of parts, or kept from before.
    Joined(Vec<u8>),
}

impl Pipe {
    /// Sends a message in parts of `size` bytes.
    pub(super) fn send_parts(&self, message: &[u8], size: usize, deadline: Deadline) -> Result<()> {
        let word = &self.head().senders[self.end as usize];
        let _ = word.lock(&**self.handle.segment(), deadline)?;
        let mut first = None;
        let sent = message.chunks(size).enumerate().try_for_each(|(i, part)| {
            if i > 0 {
                self.wait_for_room(deadline)?;
            }
            let last = (i + 1) * size >= message.len();
            let marks = if last { 0 } else { MORE } | if i == 0 { 0 } else { CONTINUED };
            let (ring, claim) = self.reserve_claim(PREFIX + part.len(), deadline)?;
            let prefix = [*first.get_or_insert(claim.number), (i * size) as u64];
            ring::fill(&claim, bytemuck::bytes_of(&prefix));
            ring::fill_at(&claim, PREFIX, part);
            ring.commit_marked(&claim, claim.len, marks);
            // All: a single wake might go to a receiver that has no right to the part.
            ring.wake_getters(u32::MAX);
            Ok(())
        });
        word.unlock(self.handle.me()?)?;
        sent
    }

    /// Waits until the parts before were received, so that a message takes the memory of few of its parts.
    fn wait_for_room(&self, deadline: Deadline) -> Result<()> {
        let ring = self.outgoing()?;
        self.until_peer_is_gone(deadline, |slice| ring.wait_drained(AHEAD, slice))
    }

    /// The next message, whole.
    pub(crate) fn receive(&self, held: bool, deadline: Deadline) -> Result<Received<'_>> {
        if let Some(message) = self.kept.pop() {
            return Ok(Received::Joined(message));
        }
        loop {
            match self.take_claim(held, Accept::Unmarked, deadline)? {
                Some(claim) => return Ok(Received::Claimed(self.incoming()?, claim)),
                None => {
                    if let Some(received) = self.join(held, deadline)? {
                        return Ok(received);
                    }
                }
            }
        }
    }

    /// Keeps a message for the next receive.
    pub(crate) fn keep(&self, message: Vec<u8>) {
        self.kept.push(message);
    }

    /// Takes parts, as the only one to do so, until a message is whole; also what comes between parts. `None`
    /// when what was taken belongs to no message.
    fn join(&self, held: bool, deadline: Deadline) -> Result<Option<Received<'_>>> {
        let mut joining = self.begin_joining(deadline)?;
        let received = self.take_parts(&mut joining, held, deadline);
        // In the middle of a message the right is kept: nobody else could go on with it.
        // What was received is not lost if giving the right back fails.
        if joining.parts.is_empty() || self.is_abandoned().unwrap_or(true) {
            joining.parts.clear();
            self.give_up_joining(&mut joining);
        }
        received
    }

    fn take_parts(
        &self,
        joining: &mut Joining,
        held: bool,
        deadline: Deadline,
    ) -> Result<Option<Received<'_>>> {
        let ring = self.incoming()?;
        loop {
            let Some(claim) = self.take_claim(held, Accept::All, deadline)? else { continue };
            if claim.marks == 0 {
                return Ok(Some(Received::Claimed(ring, claim)));
            }
            // SAFETY: the claim's bytes are this process's until it is released.
            let bytes = unsafe { std::slice::from_raw_parts(claim.data, claim.len) };
            let added = joining.add(claim.marks, bytes);
            ring.release(&claim, held);
            added?;
            if claim.marks & MORE == 0 {
                let message = std::mem::take(&mut joining.parts);
                // A last part without the others is what a dead sender or receiver left.
                return Ok(Some(message).filter(|message| !message.is_empty()).map(Received::Joined));
            }
        }
    }

    /// Whether the message that is being joined will not go on: its sender is gone, and none of it is under way;
    /// or another one has begun.
    fn is_abandoned(&self) -> Result<bool> {
        let sender = &self.head().senders[self.end.other() as usize];
        if sender.holder() != 0 {
            self.handle.segment().check(sender.holder());
        }
        let gone = sender.holder() == 0;
        let ring = self.incoming()?;
        Ok(ring.any_marked(|marks| marks == MORE) || gone && !ring.any_marked(|marks| marks & CONTINUED != 0))
    }

    fn receiver_word(&self) -> &LockWord {
        &self.head().receivers[self.end.other() as usize]
    }

    /// The right to take parts: among the threads that use this handle, and among all that receive at this end.
    fn begin_joining(&self, deadline: Deadline) -> Result<ForkGuard<'_, Joining>> {
        let mut joining = loop {
            match self.joining.try_lock() {
                Some(joining) => break joining,
                None if deadline == Deadline::Now => return Err(ErrorKind::WouldBlock.into()),
                None if deadline.passed() => return Err(ErrorKind::TimedOut.into()),
                // Another thread is at it, which may take as long as its message.
                None if poll::pause()? == Sleep::Interrupted => return Err(ErrorKind::Interrupted.into()),
                None => {}
            }
        };
        if !joining.locked {
            let _ = self.receiver_word().lock(&**self.handle.segment(), deadline)?;
            joining.locked = true;
        }
        Ok(joining)
    }

    /// Lets others join, when this handle will not.
    pub(super) fn stop_joining(&self) {
        self.give_up_joining(&mut self.joining.lock());
    }

    fn give_up_joining(&self, joining: &mut Joining) {
        if std::mem::take(&mut joining.locked)
            && let Ok(me) = self.handle.me()
        {
            let _ = self.receiver_word().unlock(me);
        }
    }
}

impl Joining {
    fn add(&mut self, marks: u16, bytes: &[u8]) -> Result<()> {
        let Some((prefix, payload)) = bytes.split_first_chunk::<PREFIX>() else {
            return Err(Error::corrupted("a part of a message does not say which"));
        };
        let [first, offset]: [u64; 2] = bytemuck::pod_read_unaligned(prefix);
        if marks & CONTINUED == 0 {
            self.first = first;
            self.parts.clear();
        } else if first != self.first || offset != self.parts.len() as u64 {
            self.parts.clear();
            return Ok(());
        }
        if self.parts.try_reserve(payload.len()).is_err() {
            let text = format!("no memory to join a message of more than {} bytes", self.parts.len());
            self.parts.clear();
            return Err(Error::new(ErrorKind::OutOfResources, text));
        }
        self.parts.extend_from_slice(payload);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(first: u64, offset: u64, payload: &[u8]) -> Vec<u8> {
        [bytemuck::bytes_of(&[first, offset]), payload].concat()
    }

    #[test]
    fn what_does_not_continue_is_dropped() {
        let mut joining = Joining::default();
        joining.add(MORE, &part(1, 0, b"dead")).unwrap();
        joining.add(MORE, &part(7, 0, b"ab")).unwrap();
        joining.add(MORE | CONTINUED, &part(7, 2, b"cd")).unwrap();
        assert_eq!(joining.parts, b"abcd");
        joining.add(CONTINUED, &part(7, 2, b"xx")).unwrap();
        assert!(joining.parts.is_empty());
    }

    #[test]
    fn a_part_of_another_message_is_dropped_though_it_begins_where_the_last_one_ended() {
        let mut joining = Joining::default();
        joining.add(MORE, &part(3, 0, b"ab")).unwrap();
        joining.add(CONTINUED, &part(5, 2, b"cd")).unwrap();
        assert!(joining.parts.is_empty());
    }

    #[test]
    fn a_part_without_a_prefix_is_corrupted() {
        let mut joining = Joining::default();
        assert!(joining.add(MORE, b"short").is_err());
    }
}
