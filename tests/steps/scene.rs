//! What a case is, and how it is played and killed.

use std::cell::RefCell;
use std::io::Read;
use std::time::Duration;

use sharecell::*;

use crate::common::*;
use crate::objects::{KINDS, check, make};

/// How far the segments may grow.
pub const LIMIT: u64 = 4 << 20;

/// What is killed. It owns its handles, so that their closing is a part of it.
pub type Operation = Box<dyn FnOnce()>;

type Setup = Box<dyn Fn(&Scene)>;
type Prepare = Box<dyn Fn(&Scene) -> Operation>;
type Check = Box<dyn Fn(&Scene, bool)>;

pub struct Case {
    pub name: String,
    /// In the survivor, before the fork.
    pub setup: Setup,
    /// In the process that is killed: opens what it needs, and returns what is counted.
    pub operation: Prepare,
    /// In the survivor, after the sweep; whether the operation got through.
    pub check: Check,
}

pub fn case(
    name: impl Into<String>,
    setup: impl Fn(&Scene) + 'static,
    operation: impl Fn(&Scene) -> Operation + 'static,
    check: impl Fn(&Scene, bool) + 'static,
) -> Case {
    Case { name: name.into(), setup: Box::new(setup), operation: Box::new(operation), check: Box::new(check) }
}

/// What a case plays in: a new one for each death.
pub struct Scene {
    pub s: Segment,
    /// The name of a segment that the survivor is not attached to.
    pub other: String,
    /// Other processes, to be reaped before the check is over: those who hold, and those who wait.
    pub holders: RefCell<Vec<i32>>,
    pub sleepers: RefCell<Vec<i32>>,
}

impl Scene {
    fn new(world: &World) -> Self {
        let s = world.segment_with(SegmentOptions::new().limit(LIMIT).participants(8));
        Self { s, other: world.name(), holders: RefCell::default(), sleepers: RefCell::default() }
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
            i32::from(!wait())
        });
        self.sleepers.borrow_mut().push(pid);
        wait_until("the helper sleeps", || process_state(pid) == 'S');
    }

    /// As [`sleeper`](Self::sleeper), started by who is to be killed.
    pub fn orphan(wait: impl FnOnce() -> bool) {
        let pid = fork(|| {
            // SAFETY: prctl has no preconditions. It must not die with its parent.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) };
            i32::from(!wait())
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
            assert_eq!(reap(pid), -libc::SIGKILL);
        }
    }

    /// Those who wait must have got what they waited for.
    pub fn join_helpers(&self) {
        for pid in self.sleepers.take() {
            assert_eq!(reap(pid), 0, "a helper that waits");
        }
    }

    pub fn queue(&self) -> Queue {
        Queue::open(&self.s, "queue").unwrap()
    }
}

pub fn in_time() -> Deadline {
    Deadline::after(WATCHDOG)
}

/// A word that parent and child share: how many accesses the operation consists of.
pub struct Count(*mut u64);

impl Count {
    fn new() -> Self {
        let (prot, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at an address of the kernel's choice.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), 4096, prot, flags, -1, 0) };
        assert_ne!(page, libc::MAP_FAILED);
        Self(page.cast())
    }

    fn set(&self, count: u64) {
        // SAFETY: the page is mapped for ever, and the parent reads it when the child has ended.
        unsafe { self.0.write_volatile(count) };
    }

    fn get(&self) -> u64 {
        // SAFETY: as in `set`.
        unsafe { self.0.read_volatile() }
    }
}

/// Plays a case once, its process being killed at access `k` (0: never). Whether it got through, and how
/// many blocks of the arenas are in use at the end.
pub fn play(case: &Case, world: &World, count: &Count, k: u64) -> (bool, usize) {
    let scene = Scene::new(world);
    (case.setup)(&scene);
    let child = fork(|| {
        // SAFETY: alarm has no preconditions. Who hangs is killed.
        unsafe { libc::alarm(WATCHDOG.as_secs() as u32) };
        let operation = (case.operation)(&scene);
        steps::die_at(k);
        operation();
        count.set(steps::count());
        0
    });
    let finished = match reap(child) {
        0 => true,
        code if code == -libc::SIGKILL && k > 0 => false,
        code => panic!("the operation ended with {code}"),
    };
    scene.s.recover();
    (case.check)(&scene, finished);
    let forgotten = scene.holders.take().len() + scene.sleepers.take().len();
    assert_eq!(forgotten, 0, "the check of a case reaps its helpers");
    reap_orphans();
    scene.s.recover();
    let mut used = tidy(&scene.s);
    if Segment::names().unwrap().contains(&scene.other) {
        let other = Segment::open(&scene.other).unwrap();
        other.recover();
        used += tidy(&other);
        assert_eq!(other.participants().len(), 1);
        Segment::unlink(&scene.other).unwrap();
    }
    assert_eq!(scene.s.participants().len(), 1);
    (finished, used)
}

/// All kinds of objects work, all that there are can be removed; how many blocks are in use then.
pub fn tidy(s: &Segment) -> usize {
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
    drop(arrays);
    let names: Vec<_> = s.objects().unwrap().into_iter().map(|object| object.name).collect();
    assert!(names.len() >= 3 + KINDS.len());
    for name in names {
        s.remove(&name).unwrap();
    }
    assert_eq!(s.objects().unwrap().len(), 0);
    blocks_in_use(s)
}

/// Counts the blocks that are not free, as docs/layout.md says where they are.
pub fn blocks_in_use(s: &Segment) -> usize {
    let size_of = |name| layout_table().iter().find(|row| row.0 == name && row.1.is_empty()).unwrap().3;
    let memory = std::fs::read(path(s.name())).unwrap();
    let word = |at: usize| u64::from_ne_bytes(memory[at..at + 8].try_into().unwrap());
    let participants = u32::from_ne_bytes(memory[28..32].try_into().unwrap()) as usize;
    let extents = size_of("Header") + participants * size_of("Slot");
    let mut used = 0;
    for extent in (0..1024).map(|i| extents + i * size_of("Extent")) {
        let (shape, start) = (word(extent), word(extent + 8) as usize);
        if start == 0 {
            break;
        }
        let (class, len) = (shape as usize & 0xffff, shape as usize >> 16);
        let block = if class < 8 { (class + 1) * 128 } else { (9 + class % 8) * (128 << (class / 8 - 1)) };
        let mut blocks = len / (block + 8);
        while (blocks * 8).next_multiple_of(128) + blocks * block > len {
            blocks -= 1;
        }
        used += (0..blocks).filter(|i| word(start + i * 8) != 0).count();
    }
    used
}

/// Those that the killed had started must have got what they waited for.
pub fn reap_orphans() {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a valid place to write to.
        match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
            0 => std::thread::sleep(Duration::from_millis(1)),
            pid if pid > 0 => assert!(status == 0 || status == libc::SIGKILL, "an orphan: {status:#x}"),
            _ => return,
        }
    }
}

/// Where to kill an operation of `count` accesses: everywhere, or if there are very many, at both ends of it
/// and here and there.
pub fn places(count: u64) -> Vec<u64> {
    const DENSE: u64 = 120;
    let stride = (count / 80).max(1);
    (1..=count).filter(|k| *k <= DENSE || *k + DENSE > count || k % stride == 0).collect()
}

/// Kills the operation of a case everywhere; says where it is, for the one who watches.
pub fn run_case(case: &Case) {
    // SAFETY: prctl has no preconditions. Orphans of who was killed are to be reaped here.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) };
    let world = World::new("steps");
    let count = Count::new();
    let (finished, used) = play(case, &world, &count, 0);
    assert!(finished);
    let mut kills = 0;
    for k in places(count.get()) {
        println!("at access {k} of {}", count.get());
        let (finished, now) = play(case, &world, &count, k);
        assert!(now <= used, "{now} blocks are in use afterwards, {used} without a kill");
        kills += u32::from(!finished);
    }
    println!("{kills} kills");
    assert!(kills > 0, "nothing was killed");
}
