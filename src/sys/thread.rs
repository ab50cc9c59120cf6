//! Threads that can be started in a forked child.
//!
//! A thread of `std` begins and ends under a lock of std's own: if one did so in the parent at the moment of a fork, no
//! thread that std starts in the child ever gets going. Those of the C library know about forks.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{io, ptr};

use crate::error::{Error, ErrorKind, Result};

type Work<'a> = Box<dyn FnOnce() + Send + 'a>;

extern "C" fn begin(work: *mut c_void) -> *mut c_void {
    // SAFETY: it is the box that `start` gave away, once.
    let work = unsafe { Box::from_raw(work.cast::<Work<'_>>()) };
    // SAFETY: the name is a C string of less than 16 bytes.
    unsafe { libc::pthread_setname_np(libc::pthread_self(), c"sharecell".as_ptr()) };
    // A panic has said what there is to say, and must not leave Rust.
    let _ = catch_unwind(AssertUnwindSafe(work));
    ptr::null_mut()
}

/// Starts a thread, which is to be joined or detached.
///
/// # Safety
/// What `work` borrows lives until the thread has been joined.
unsafe fn start(work: Work<'_>) -> Result<libc::pthread_t> {
    let work = Box::into_raw(Box::new(work));
    let mut thread = 0;
    // SAFETY: the thread gets the box, and is the only one to use it.
    match unsafe { libc::pthread_create(&mut thread, ptr::null(), begin, work.cast()) } {
        0 => Ok(thread),
        code => {
            // SAFETY: there is no thread that could have taken it.
            drop(unsafe { Box::from_raw(work) });
            let e = io::Error::from_raw_os_error(code);
            Err(Error::new(ErrorKind::OutOfResources, format!("starting a thread to wait in: {e}")))
        }
    }
}

/// Starts a thread that nobody waits for.
pub fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    // SAFETY: it borrows nothing.
    let thread = unsafe { start(Box::new(work)) }?;
    // SAFETY: the thread was started, and is not used after this.
    unsafe { libc::pthread_detach(thread) };
    Ok(())
}

/// Does `meanwhile` while a thread does `work`, and waits for that to end.
pub fn beside<R>(work: impl FnOnce() + Send, meanwhile: impl FnOnce() -> R) -> Result<R> {
    struct Joined(libc::pthread_t);
    impl Drop for Joined {
        fn drop(&mut self) {
            // SAFETY: the thread was started, and is joined once.
            unsafe { libc::pthread_join(self.0, ptr::null_mut()) };
        }
    }
    // SAFETY: it is joined before this function ends, however that is.
    let _joined = Joined(unsafe { start(Box::new(work)) }?);
    Ok(meanwhile())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
    use std::sync::mpsc;

    #[test]
    fn what_is_borrowed_is_used_and_a_panic_stays_in_its_thread() {
        let done = AtomicBool::new(false);
        assert_eq!(super::beside(|| done.store(true, Relaxed), || 5).unwrap(), 5);
        assert!(done.into_inner());
        super::beside(|| std::panic::resume_unwind(Box::new(())), || ()).unwrap();
        let (tell, told) = mpsc::channel();
        super::spawn(move || tell.send(7).unwrap()).unwrap();
        assert_eq!(told.recv(), Ok(7));
    }
}
