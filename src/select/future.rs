//! Waiting calls as futures, for any runtime (feature `async`).
//!
//! A future that is dropped before it is ready has taken nothing.

use std::future::poll_fn;
use std::task::Poll;

use super::Interest;
use super::reactor::Watcher;
use crate::atomic::heavy_fence;
use crate::error::{ErrorKind, Result};
use crate::pipe::Pipe;
use crate::queue::Queue;
use crate::sync::{Event, Lock, LockGuard, Semaphore};

/// Tries again whenever the object of `interest` may have become ready, until the attempt would not block.
async fn until<'a, R>(
    interest: impl Fn() -> Result<Interest<'a>>,
    mut attempt: impl FnMut() -> Result<R>,
) -> Result<R> {
    let watcher = Watcher::new();
    poll_fn(|context| {
        let mut try_once = || match attempt() {
            Err(e) if e.kind() == ErrorKind::WouldBlock => None,
            other => Some(other),
        };
        if let Some(result) = try_once() {
            return Poll::Ready(result);
        }
        let interest = match interest() {
            Ok(interest) => interest,
            Err(e) => return Poll::Ready(Err(e)),
        };
        let Some((word, seen)) = interest.announce() else { return Poll::Pending };
        heavy_fence(); // pairs with the fence of who notifies; unseen, the tick finds out
        match try_once() {
            Some(result) => Poll::Ready(result),
            None => match watcher.watch(&interest, word, seen, context.waker()) {
                Ok(()) => Poll::Pending,
                Err(e) => Poll::Ready(Err(e)),
            },
        }
    })
    .await
}

impl Queue {
    /// [`get`](Self::get) as a future.
    pub async fn get_async(&self) -> Result<Vec<u8>> {
        until(|| Ok(self.readable()), || self.try_get()).await
    }

    /// [`put`](Self::put) as a future.
    pub async fn put_async(&self, item: &[u8]) -> Result<()> {
        until(|| Ok(self.writable()), || self.try_put(item)).await
    }
}

impl Pipe {
    /// [`recv`](Self::recv) as a future.
    pub async fn recv_async(&self) -> Result<Vec<u8>> {
        until(|| self.readable(), || self.try_recv()).await
    }

    /// [`send`](Self::send) as a future.
    pub async fn send_async(&self, message: &[u8]) -> Result<()> {
        until(|| self.writable(), || self.try_send(message)).await
    }
}

impl Event {
    /// [`wait`](Self::wait) as a future.
    pub async fn wait_async(&self) -> Result<()> {
        until(|| Ok(self.when_set()), || self.wait_until(crate::sys::clock::Deadline::Now)).await
    }
}

impl Semaphore {
    /// [`acquire`](Self::acquire) as a future.
    pub async fn acquire_async(&self) -> Result<()> {
        until(|| Ok(self.when_free()), || self.try_acquire()).await
    }
}

impl Lock {
    /// [`lock`](Self::lock) as a future. The guard is a process's and may be held across an await.
    pub async fn lock_async(&self) -> Result<LockGuard<'_>> {
        until(|| Ok(self.when_free()), || self.try_lock()).await
    }
}
