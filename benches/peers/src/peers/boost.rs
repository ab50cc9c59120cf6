//! Boost.Interprocess, compiled by the build script where it is installed.

#[cfg(boost)]
pub use there::{Mutex, Queue, Semaphore};

#[cfg(not(boost))]
pub const ABSENT: &str = concat!("Boost.Interprocess did not compile: ", env!("BOOST_ABSENT"));

#[cfg(boost)]
mod there {
    use std::ffi::{CString, c_char, c_int, c_void};

    use anyhow::{Result, ensure};

    use crate::peers::locks::{Guarded, LockPeer, Run};
    use crate::peers::queues::{Shared, Words};
    use crate::peers::unique;
    use crate::region::Region;
    use crate::trial::Place;

    unsafe extern "C" {
        fn boost_mutex_init(at: *mut c_void);
        fn boost_mutex_pairs(at: *mut c_void, counter: *mut u64, dwell: u64, count: u64);
        fn boost_semaphore_init(at: *mut c_void);
        fn boost_semaphore_pairs(at: *mut c_void, counter: *mut u64, dwell: u64, count: u64);
        fn boost_queue_create(name: *const c_char, capacity: usize, item: usize) -> *mut c_void;
        fn boost_queue_open(name: *const c_char) -> *mut c_void;
        fn boost_queue_close(queue: *mut c_void);
        fn boost_queue_remove(name: *const c_char);
        fn boost_queue_put(queue: *mut c_void, item: *const c_void, len: usize) -> c_int;
        fn boost_queue_get(queue: *mut c_void, item: *mut c_void, len: usize) -> c_int;
    }

    /// A lock in a region, of which the C++ side has one function to make it and one to loop over it.
    macro_rules! lock {
        ($name:ident, $called:literal, $init:path, $pairs:path) => {
            #[doc = concat!($called, ".")]
            pub struct $name(Region<[u64; 16]>);

            impl LockPeer for $name {
                const NAME: &'static str = $called;
                const PLACE: Place = Place::Processes;
                fn make() -> Result<Self> {
                    let region = Region::<[u64; 16]>::new()?;
                    // SAFETY: the C++ side asserts that it fits into the region.
                    unsafe { $init(region.as_ptr().cast()) };
                    Ok(Self(region))
                }
                fn pairs(&self, guarded: Guarded, run: Run<'_>) -> Result<()> {
                    let at = self.0.as_ptr().cast();
                    // SAFETY: `make` has made the lock, which guards the counter.
                    run(&mut |count| unsafe { $pairs(at, guarded.counter, guarded.dwell, count) });
                    Ok(())
                }
            }
        };
    }

    lock!(Mutex, "Boost interprocess_mutex", boost_mutex_init, boost_mutex_pairs);
    lock!(Semaphore, "Boost interprocess_semaphore", boost_semaphore_init, boost_semaphore_pairs);

    pub struct Queue(CString);

    pub struct End(*mut c_void);

    impl<const W: usize> Shared<W> for Queue {
        const NAME: &'static str = "Boost message_queue";
        const PLACE: Place = Place::Processes;
        type Side<'a> = End;
        fn make(capacity: usize) -> Result<Self> {
            let name = CString::new(unique())?;
            // SAFETY: the name is a C string; the queue is closed here and removed when dropped.
            unsafe {
                let queue = boost_queue_create(name.as_ptr(), capacity, W * 8);
                ensure!(!queue.is_null(), "message_queue was not created");
                boost_queue_close(queue);
            }
            Ok(Self(name))
        }
        fn side(&self) -> Result<End> {
            // SAFETY: the name is a C string.
            let queue = unsafe { boost_queue_open(self.0.as_ptr()) };
            ensure!(!queue.is_null(), "message_queue was not opened");
            Ok(End(queue))
        }
        fn put(side: &mut End, item: &Words<W>) {
            // SAFETY: the queue is open and takes items of this size.
            assert_eq!(unsafe { boost_queue_put(side.0, (&raw const *item).cast(), W * 8) }, 0);
        }
        fn get(side: &mut End) -> Words<W> {
            let mut item = Words([0; W]);
            // SAFETY: the queue is open, `item` has room for what it holds.
            assert_eq!(unsafe { boost_queue_get(side.0, (&raw mut item).cast(), W * 8) }, 0);
            item
        }
    }

    impl Drop for End {
        fn drop(&mut self) {
            // SAFETY: opened by us.
            unsafe { boost_queue_close(self.0) };
        }
    }

    impl Drop for Queue {
        fn drop(&mut self) {
            // SAFETY: the name is a C string.
            unsafe { boost_queue_remove(self.0.as_ptr()) };
        }
    }
}
