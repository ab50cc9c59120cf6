//! An event descriptor for loops of other people's: epoll, asyncio, tokio, libuv.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::{Wake, Waker};

use super::Interest;
use super::reactor::Watcher;
use crate::atomic::heavy_fence;
use crate::error::Result;
use crate::sys::poll;

/// A descriptor that becomes readable when something that is waited for may have become ready.
///
/// [Arm](Self::arm) it, wait for its descriptor to be readable in whatever way, [clear](Self::clear) it, try, and
/// arm it again. It may ring in vain. While it is armed a thread of this library sleeps for it, one for all; when it is
/// dropped, none does.
///
/// It keeps no segment attached. When the segment is over memory that the caller has, the bell goes before the memory.
pub struct Bell {
    watcher: Watcher,
    bell: Arc<Ringer>,
}

struct Ringer(poll::Bell);

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.0.ring();
    }
}

impl Bell {
    /// A silent bell.
    pub fn new() -> Result<Self> {
        Ok(Self { watcher: Watcher::new(), bell: Arc::new(Ringer(poll::Bell::new()?)) })
    }

    /// Rings, once, when any of `interests` may have become ready; at once, if one is. Descriptors among them do not
    /// count: the loop has those itself.
    pub fn arm(&self, interests: &[Interest<'_>]) -> Result<()> {
        let waker = Waker::from(Arc::clone(&self.bell));
        for interest in interests {
            let Some((word, seen)) = interest.announce() else { continue };
            heavy_fence(); // pairs with the fence of who notifies; unseen, the tick finds out
            if interest.is_ready()? {
                self.bell.0.ring();
                return Ok(());
            }
            self.watcher.watch(interest, word, seen, &waker)?;
        }
        Ok(())
    }

    /// Makes the descriptor unreadable again.
    pub fn clear(&self) {
        self.bell.0.clear();
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.0.as_fd()
    }
}
