//! What a case is, and how it is played and killed.

use std::cell::{OnceCell, RefCell};
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering::Relaxed;

use sharecell::*;

use crate::common::*;
use crate::objects::{KINDS, check, make};
use crate::play::{wait_for, watch};
use crate::shared::Shared;

/// How much memory a service has anyway.
pub const GIVEN: usize = 1 << 20;

/// How far the segments may grow.
pub const LIMIT: u64 = 4 << 20;

/// What is killed. It owns its handles, so that their closing is a part of it.
pub type Operation = Box<dyn FnOnce()>;

type Setup = Box<dyn Fn(&Scene)>;
type Prepare = Box<dyn Fn(&Scene) -> Operation>;
type Check = Box<dyn Fn(&Scene, bool)>;

/// Which process is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The one that runs the operation.
    Itself,
    /// The one that the operation forks.
    ItsChild,
}

pub struct Case {
    pub name: String,
    /// What it is about, to put the figures in order by.
    pub object: &'static str,
    pub who: Who,
    /// Whether the survivors must notice the death by themselves, without being told to sweep.
    pub unaided: bool,
    /// In the survivor, before the fork.
    pub setup: Setup,
    /// In the process that is killed: opens what it needs, and returns what is counted.
    pub operation: Prepare,
    /// In the survivor, after the sweep; whether the operation got through.
    pub check: Check,
}

impl Case {
    pub fn about(mut self, object: &'static str) -> Self {
        self.object = object;
        self
    }

    /// Nobody sweeps but those who wait.
    pub fn unaided(mut self) -> Self {
        self.unaided = true;
        self
    }

    /// Whether its steps are told by the system calls among them: where the kernel does most of the work.
    pub fn by_calls(&self) -> bool {
        self.object == "segment"
    }

    /// It is the child that is killed.
    pub fn in_the_child(mut self) -> Self {
        self.who = Who::ItsChild;
        self
    }
}

pub fn case(
    name: impl Into<String>,
    setup: impl Fn(&Scene) + 'static,
    operation: impl Fn(&Scene) -> Operation + 'static,
    check: impl Fn(&Scene, bool) + 'static,
) -> Case {
    Case {
        name: name.into(),
        object: "",
        who: Who::Itself,
        unaided: false,
        setup: Box::new(setup),
        operation: Box::new(operation),
        check: Box::new(check),
    }
}

/// What a case plays in: a new one for each death.
pub struct Scene {
    pub s: Segment,
    /// The name of a segment that the survivor is not attached to.
    pub other: String,
    /// Other processes, to be reaped before the check is over: those who hold, and those who wait.
    pub holders: RefCell<Vec<i32>>,
    pub sleepers: RefCell<Vec<i32>>,
    /// A segment without a name, and a socket over which another comes.
    pub anonymous: RefCell<Option<Segment>>,
    pub socket: RefCell<Option<UnixStream>>,
    /// What the survivor has found.
    found: RefCell<Vec<&'static str>>,
    /// Memory that a service has anyway.
    given: OnceCell<Shared>,
    /// When those who waited had what they waited for, in nanoseconds of the clock that all processes share; 0 is never.
    times: Shared,
}

/// Nanoseconds of CLOCK_MONOTONIC.
pub fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

impl Scene {
    pub fn new(world: &World) -> Self {
        let s = world.segment_with(SegmentOptions::new().limit(LIMIT).participants(8));
        Self {
            s,
            other: world.name(),
            holders: RefCell::default(),
            sleepers: RefCell::default(),
            anonymous: RefCell::default(),
            socket: RefCell::default(),
            found: RefCell::default(),
            given: OnceCell::new(),
            times: Shared::page(),
        }
    }

    /// Memory that a service has anyway, [`GIVEN`] bytes. First asked for before anybody is forked who uses it.
    pub fn given(&self) -> *mut u8 {
        self.given.get_or_init(|| Shared::new(GIVEN)).base()
    }

    /// Says what the survivor finds, for the table.
    pub fn saw(&self, what: &'static str) {
        self.found.borrow_mut().push(what);
    }

    /// All that the survivor has found.
    pub fn found(&self) -> String {
        self.found.borrow().join(", ")
    }

    /// When those who waited went on.
    pub fn went_on(&self) -> impl Iterator<Item = u64> {
        self.times.iter().map(|time| time.load(Relaxed)).take_while(|time| *time > 0)
    }

    /// Notes that somebody who waited goes on.
    fn note_time(&self) {
        let now = now();
        let noted = self.times.iter().any(|time| time.compare_exchange(0, now, Relaxed, Relaxed).is_ok());
        assert!(noted, "a few who wait");
    }

    /// Starts a process that takes something, and then stays until it is killed.
    pub fn holder(&self, take: impl FnOnce() -> Box<dyn std::any::Any>) {
        let pid = Self::start(|ready| {
            let _held = take();
            drop(ready);
            loop {
                // SAFETY: pause has no preconditions.
                unsafe { libc::pause() };
            }
        });
        self.holders.borrow_mut().push(pid);
    }

    /// Starts a process that sleeps in `wait` until that returns whether all is well.
    pub fn sleeper(&self, wait: impl FnOnce() -> bool) {
        let pid = Self::start(|ready| {
            drop(ready);
            let good = wait();
            self.note_time();
            i32::from(!good)
        });
        self.sleepers.borrow_mut().push(pid);
        wait_until("the helper sleeps", || process_state(pid) == 'S');
    }

    /// As [`sleeper`](Self::sleeper), started by who is to be killed.
    pub fn orphan(&self, wait: impl FnOnce() -> bool) {
        let pid = fork(|| {
            // SAFETY: prctl has no preconditions. It must not die with its parent.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) };
            watch(2 * WATCHDOG);
            let good = wait();
            self.note_time();
            i32::from(!good)
        });
        wait_until("the orphan sleeps", || process_state(pid) == 'S');
    }

    /// Returns when `child` has dropped what it was given.
    fn start(child: impl FnOnce(std::io::PipeWriter) -> i32) -> i32 {
        let (mut read, write) = std::io::pipe().unwrap();
        let pid = fork(|| child(write));
        assert_eq!(read.read(&mut [0]).unwrap(), 0);
        pid
    }

    /// Kills those who hold something.
    pub fn kill_helpers(&self) {
        for pid in self.holders.take() {
            // SAFETY: kill has no memory-safety preconditions; the child was not reaped yet.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            assert_eq!(wait_for(pid), libc::SIGKILL);
        }
    }

    /// Those who wait must have got what they waited for.
    pub fn join_helpers(&self) {
        for pid in self.sleepers.take() {
            assert_eq!(reap(pid), 0, "a helper that waits");
        }
        self.s.recover();
    }

    pub fn queue(&self) -> Queue {
        Queue::open(&self.s, "queue").unwrap()
    }
}

pub fn in_time() -> Deadline {
    Deadline::after(WATCHDOG)
}

/// Removes all that there is; how many blocks of the arenas are in use then. If `thorough`, all kinds of objects are
/// seen to work before.
pub fn tidy_all(scene: &Scene, thorough: bool) -> usize {
    scene.s.recover();
    let mut used = tidy(&scene.s, thorough);
    if Segment::names().unwrap().contains(&scene.other) {
        let other = Segment::open(&scene.other).unwrap();
        other.recover();
        used += tidy(&other, thorough);
        assert_eq!(other.participants().len(), 1);
        Segment::unlink(&scene.other).unwrap();
    }
    assert_eq!(scene.s.participants().len(), 1);
    used
}

fn tidy(s: &Segment, thorough: bool) -> usize {
    if thorough {
        use_all_kinds(s);
    }
    for object in s.objects().unwrap() {
        s.remove(&object.name).unwrap();
    }
    assert_eq!(s.objects().unwrap().len(), 0);
    blocks_in_use(s)
}

fn use_all_kinds(s: &Segment) {
    for kind in KINDS {
        let name = format!("new {kind}");
        drop(make(s, kind, &name));
        check(s, kind, &name, true);
    }
    // Of the size of the directory's first table, which they would overwrite, were it not in use.
    let arrays = [0, 1, 2].map(|i| Array::<u64>::create(s, &format!("array {i}"), 200).unwrap());
    for array in &arrays {
        array.fill(u64::MAX).unwrap();
    }
    assert!(arrays.iter().all(|array| array.to_vec().unwrap() == [u64::MAX; 200]));
}

/// Those that the killed had started must have got what they waited for. Each of them is watched.
pub fn reap_orphans() {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place to write to.
        match unsafe { libc::waitpid(-1, &mut status, 0) } {
            // Who traced its parent has got it too, and then the parent was killed.
            pid if pid > 0 && libc::WIFSTOPPED(status) => {
                // SAFETY: the process is traced by this one and stopped.
                assert_eq!(unsafe { libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0) }, 0);
            }
            pid if pid > 0 => assert!(status == 0 || status == libc::SIGKILL, "an orphan: {status:#x}"),
            _ => return,
        }
    }
}
