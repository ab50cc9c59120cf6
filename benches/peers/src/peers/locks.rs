//! Locks: each guards a counter that is incremented by an ordinary load and store.

use std::cell::UnsafeCell;
use std::hint::black_box;
use std::mem::MaybeUninit;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering::*};

use anyhow::{Result, bail, ensure};
use raw_sync::locks::{LockImpl, LockInit};

use crate::peers::Scratch;
use crate::region::{Region, futex_wait, futex_wake};
use crate::trial::Place;

/// What a lock guards: a counter, and how long each holder keeps it besides.
#[derive(Clone, Copy)]
pub struct Guarded {
    pub counter: *mut u64,
    /// Turns of an empty loop.
    pub dwell: u64,
}

impl Guarded {
    /// What happens under the lock.
    #[inline(always)]
    fn work(self) {
        // SAFETY: the caller holds the lock that guards the counter.
        unsafe { self.counter.write_volatile(self.counter.read_volatile() + 1) };
        for turn in 0..self.dwell {
            black_box(turn);
        }
    }
}

/// Called once with a loop that takes and gives back the lock so many times.
pub type Run<'a> = &'a mut dyn FnMut(&mut dyn FnMut(u64));

/// A lock that the workers of a trial share.
pub trait LockPeer: Sized + Sync {
    const NAME: &'static str;
    const PLACE: Place;
    /// Made in the parent of processes, or in the process of the threads.
    fn make() -> Result<Self>;
    /// In a worker: opens the lock and hands `run` the loop, which works on `guarded` under the lock.
    fn pairs(&self, guarded: Guarded, run: Run<'_>) -> Result<()>;
}

/// The loop: `take` gives what `give` takes back.
#[inline(always)]
fn pairs<G>(guarded: Guarded, run: Run<'_>, take: impl Fn() -> G, give: impl Fn(G)) -> Result<()> {
    run(&mut |count| {
        for _ in 0..count {
            let held = take();
            guarded.work();
            give(held);
        }
    });
    Ok(())
}

pub struct Sharecell(Scratch);

impl LockPeer for Sharecell {
    const NAME: &'static str = "sharecell Lock";
    const PLACE: Place = Place::Processes;
    fn make() -> Result<Self> {
        let scratch = Scratch::new()?;
        sharecell::Lock::create(&scratch.segment, "lock")?;
        Ok(Self(scratch))
    }
    fn pairs(&self, guarded: Guarded, run: Run<'_>) -> Result<()> {
        let lock = sharecell::Lock::open(&self.0.open()?, "lock")?;
        pairs(guarded, run, || lock.lock().expect("lock"), drop)
    }
}

/// A semaphore of one permit, which comes back from the dead.
pub struct Undo(Scratch);

impl LockPeer for Undo {
    const NAME: &'static str = "sharecell Semaphore, undo";
    const PLACE: Place = Place::Processes;
    fn make() -> Result<Self> {
        let scratch = Scratch::new()?;
        let options = sharecell::SemaphoreOptions::new(1).undo();
        sharecell::Semaphore::create_with(&scratch.segment, "semaphore", &options)?;
        Ok(Self(scratch))
    }
    fn pairs(&self, guarded: Guarded, run: Run<'_>) -> Result<()> {
        let semaphore = sharecell::Semaphore::open(&self.0.open()?, "semaphore")?;
        let take = || semaphore.acquire().expect("acquire");
        pairs(guarded, run, take, |()| semaphore.release(1).expect("release"))
    }
}

pub struct Std(Mutex<()>);

impl LockPeer for Std {
    const NAME: &'static str = "std Mutex";
    const PLACE: Place = Place::Threads;
    fn make() -> Result<Self> {
        Ok(Self(Mutex::new(())))
    }
    fn pairs(&self, guarded: Guarded, run: Run<'_>) -> Result<()> {
        pairs(guarded, run, || self.0.lock().expect("not poisoned"), drop)
    }
}

pub struct ParkingLot(parking_lot::Mutex<()>);

impl LockPeer for ParkingLot {
    const NAME: &'static str = "parking_lot Mutex";
    const PLACE: Place = Place::Threads;
    fn make() -> Result<Self> {
        Ok(Self(parking_lot::Mutex::new(())))
    }
    fn pairs(&self, guarded: Guarded, run: Run<'_>) -> Result<()> {
        pairs(guarded, run, || self.0.lock(), drop)
    }
}

/// The least that a futex lock can be: 0 free, 1 taken, 2 taken and somebody may sleep.
pub struct BareFutex(Region<AtomicU32>);

impl LockPeer for BareFutex {
    const NAME: &'static str = "bare futex word";
    const PLACE: Place = Place::Processes;
    fn make() -> Result<Self> {
        Ok(Self(Region::new()?))
    }
    fn pairs(&self, guarded: Guarded, run: Run<'_>) -> Result<()> {
        let word = self.0.get();
        let take = || {
            if word.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
                wait_for(word);
            }
        };
        let give = |()| {
            if word.swap(0, Release) == 2 {
                futex_wake(word);
            }
        };
        pairs(guarded, run, take, give)
    }
}

#[cold]
fn wait_for(word: &AtomicU32) {
    for _ in 0..100 {
        if word.load(Relaxed) == 0 && word.compare_exchange(0, 1, Acquire, Relaxed).is_ok() {
            return;
        }
        std::hint::spin_loop();
    }
    while word.swap(2, Acquire) != 0 {
        futex_wait(word, 2);
    }
}

type Cell<T> = UnsafeCell<MaybeUninit<T>>;

/// A `pthread_mutex_t` shared between processes; with `ROBUST`, told of a holder's death.
pub struct Pthread<const ROBUST: bool>(Region<Cell<libc::pthread_mutex_t>>);

impl<const ROBUST: bool> Pthread<ROBUST> {
    /// Takes the mutex; whether its last holder had died.
    pub fn lock(&self) -> bool {
        let mutex = self.0.as_ptr().cast();
        // SAFETY: `make` has initialised the mutex.
        match unsafe { libc::pthread_mutex_lock(mutex) } {
            0 => false,
            libc::EOWNERDEAD => {
                // SAFETY: this thread holds it.
                unsafe { libc::pthread_mutex_consistent(mutex) };
                true
            }
            code => panic!("pthread_mutex_lock: {code}"),
        }
    }

    /// Gives it back; the caller has it.
    fn unlock(&self) {
        // SAFETY: this thread holds it.
        unsafe { libc::pthread_mutex_unlock(self.0.as_ptr().cast()) };
    }
}

impl<const ROBUST: bool> LockPeer for Pthread<ROBUST> {
    const NAME: &'static str = if ROBUST { "pthread mutex, shared, robust" } else { "pthread mutex, shared" };
    const PLACE: Place = Place::Processes;
    fn make() -> Result<Self> {
        let region = Region::<Cell<libc::pthread_mutex_t>>::new()?;
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the attributes are initialised before they are used, the mutex lies in the region.
        let code = unsafe {
            libc::pthread_mutexattr_init(attributes.as_mut_ptr());
            libc::pthread_mutexattr_setpshared(attributes.as_mut_ptr(), libc::PTHREAD_PROCESS_SHARED);
            if ROBUST {
                libc::pthread_mutexattr_setrobust(attributes.as_mut_ptr(), libc::PTHREAD_MUTEX_ROBUST);
            }
            libc::pthread_mutex_init(region.as_ptr().cast(), attributes.as_ptr())
        };
        ensure!(code == 0, "pthread_mutex_init: {code}");
        Ok(Self(region))
    }
    fn pairs(&self, guarded: Guarded, run: Run<'_>) -> Result<()> {
        pairs(guarded, run, || self.lock(), |_| self.unlock())
    }
}

/// A POSIX semaphore of one permit.
pub struct Posix(Region<Cell<libc::sem_t>>);

impl LockPeer for Posix {
    const NAME: &'static str = "sem_t, shared";
    const PLACE: Place = Place::Processes;
    fn make() -> Result<Self> {
        let region = Region::<Cell<libc::sem_t>>::new()?;
        // SAFETY: the semaphore lies in the region.
        if unsafe { libc::sem_init(region.as_ptr().cast(), 1, 1) } != 0 {
            bail!("sem_init: {}", std::io::Error::last_os_error());
        }
        Ok(Self(region))
    }
    fn pairs(&self, guarded: Guarded, run: Run<'_>) -> Result<()> {
        let semaphore = self.0.as_ptr().cast();
        // SAFETY: `make` has initialised the semaphore.
        let take = || assert_eq!(unsafe { libc::sem_wait(semaphore) }, 0);
        // SAFETY: as above.
        let give = |()| assert_eq!(unsafe { libc::sem_post(semaphore) }, 0);
        pairs(guarded, run, take, give)
    }
}

/// The mutex of `raw_sync` over a `shared_memory` mapping.
pub struct RawSync {
    memory: shared_memory::Shmem,
}

// SAFETY: the mapping's address is read only; workers open it by name.
unsafe impl Sync for RawSync {}

impl LockPeer for RawSync {
    const NAME: &'static str = "shared_memory + raw_sync Mutex";
    const PLACE: Place = Place::Processes;
    fn make() -> Result<Self> {
        let memory = shared_memory::ShmemConf::new().size(4096).create()?;
        let at = memory.as_ptr();
        // SAFETY: the mapping has room for the mutex and what it guards.
        let made = unsafe { raw_sync::locks::Mutex::new(at, at.add(2048)) };
        made.map_err(|e| anyhow::anyhow!("{e}"))?;
        Ok(Self { memory })
    }
    fn pairs(&self, guarded: Guarded, run: Run<'_>) -> Result<()> {
        let memory = shared_memory::ShmemConf::new().os_id(self.memory.get_os_id()).open()?;
        let at = memory.as_ptr();
        // SAFETY: `make` has made a mutex there.
        let opened = unsafe { raw_sync::locks::Mutex::from_existing(at, at.add(2048)) };
        let (lock, _): (Box<dyn LockImpl>, usize) = opened.map_err(|e| anyhow::anyhow!("{e}"))?;
        pairs(guarded, run, || lock.lock().expect("lock"), drop)
    }
}
