//! The machine that models run on (`--cfg loom`, tests only): memory, kernel and processes, so that loom can go
//! through all the ways in which the threads of a model can meet, and any of them can stop for good anywhere.
//!
//! A process is a thread of loom's with an attachment of its own, or several of them. All lie in one thread of the real
//! machine, which switches between them only at an access that loom is told of, or inside the kernel; so what else
//! they touch needs no protection. [docs/models.md](../../../docs/models.md) says what this assumes.

pub mod files;
pub mod kernel;
pub mod local;
pub mod locks;
mod mutation;
pub mod words;

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

pub use mutation::{Action, is_met, mutate};

use files::Files;
use kernel::Kernel;
use local::LocalLocks;
use locks::Locks;
use words::Words;

/// Processes are numbered from 1; 0 is the model itself, before they start and after they have ended.
pub type ProcessId = usize;
/// Threads are numbered as processes are: the first one of a process has its number, another one a number that no
/// process has.
type ThreadId = usize;
/// loom has four threads beside its first one.
pub const MOST: usize = 5;
/// How many words of their own for labels all processes have.
const MOST_LABELS: usize = 4 * MOST;
/// How often a sleeper wakes up by itself after a death, to do its part for the segment.
const TICKS: u32 = 3;
/// In words, as the coroutines' library counts.
const STACK: usize = 32 << 10;

/// What unwinds a thread whose process was killed.
struct Killed;

/// One process of the model.
#[derive(Default)]
struct Process {
    dead: Cell<bool>,
    /// How many of its threads go on.
    running: Cell<u32>,
    threads: Cell<u32>,
}

/// One thread of a process.
#[derive(Default)]
struct Thread {
    of: Cell<ProcessId>,
    /// Whether it unwinds: what its guards do is nothing then.
    stopped: Cell<bool>,
    /// How many more times it may change what others see; `None` for ever.
    left: Cell<Option<u32>>,
    ticks: Cell<u32>,
    now: Cell<u64>,
    last: Cell<u64>,
    outcome: Cell<Option<super::futex::Sleep>>,
}

#[derive(Default)]
struct Machine {
    current: Cell<ThreadId>,
    running: Cell<bool>,
    /// Whether a defect shows though no model runs: in the sweep after it.
    sweeping: Cell<bool>,
    mortal: Cell<bool>,
    patient: Cell<bool>,
    processes: [Process; MOST],
    threads: [Thread; MOST],
    /// Which words for labels are whose.
    labels: RefCell<Vec<(ProcessId, &'static AtomicU32)>>,
    /// What stays open to the end of the execution.
    kept: RefCell<Vec<Box<dyn Any>>>,
    words: RefCell<Words>,
    kernel: Kernel,
    locks: Locks,
    local: LocalLocks,
    files: Files,
    trace: RefCell<Option<Vec<String>>>,
}

thread_local! {
    static MACHINE: &'static Machine = Box::leak(Box::default());
}

/// Where processes keep their labels: 0 once the process is dead, so that what its guards do while its threads unwind
/// is nothing.
static LABELS: [AtomicU32; MOST_LABELS] = [const { AtomicU32::new(0) }; MOST_LABELS];

/// The size of the model's segment in bytes. What its processes protect lies behind it.
const SEGMENT: usize = 96 * 4096;

/// A page of the model's memory.
#[repr(align(4096))]
struct Page([AtomicU64; 512]);

/// The memory of the model's segment, the same in each execution.
pub fn memory() -> (*mut u8, u64) {
    thread_local! {
        static MEMORY: &'static [Page] =
            Box::leak((0..=SEGMENT / 4096).map(|_| Page([const { AtomicU64::new(0) }; 512])).collect());
    }
    MEMORY.with(|pages| (pages[0].0[0].as_ptr().cast(), SEGMENT as u64))
}

fn machine() -> &'static Machine {
    MACHINE.with(|machine| *machine)
}

impl Machine {
    fn thread(&self) -> &Thread {
        &self.threads[self.current.get()]
    }

    fn process(&self) -> ProcessId {
        self.thread().of.get()
    }

    /// Whether the thread that acts has stopped for good: nothing that it does is seen.
    fn is_stopped(&self) -> bool {
        self.thread().stopped.get()
    }

    /// Whether a defect shows.
    fn is_wrong(&self) -> bool {
        self.running.get() || self.sweeping.get()
    }

    /// Does what may switch to another thread. If one of the same process has stopped that meanwhile, this one ends.
    fn switching<R>(&self, f: impl FnOnce() -> R) -> R {
        let me = self.current.get();
        let r = f();
        self.current.set(me);
        if self.running.get() && self.processes[self.process()].dead.get() && !self.is_stopped() {
            self.stop();
        }
        r
    }

    fn stop(&self) -> ! {
        self.thread().stopped.set(true);
        resume_unwind(Box::new(Killed))
    }

    /// Ends a process: its labels are nobody's any more.
    fn kill(&self, process: ProcessId) {
        self.processes[process].dead.set(true);
        let labels = self.labels.borrow();
        labels.iter().filter(|(of, _)| *of == process).for_each(|(_, label)| label.store(0, Relaxed));
    }

    /// Notes what happened, for who asked for it.
    fn trace(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut *self.trace.borrow_mut() {
            trace.push(format!("{}: {}", self.current.get(), what()));
        }
    }

    /// Before the process changes what others see. It ends here when its time has come, with all of its threads.
    fn step(&self) {
        if !self.running.get() || self.is_stopped() {
            return;
        }
        let left = &self.thread().left;
        match left.get() {
            Some(0) => {
                self.trace(|| "is killed".into());
                self.kill(self.process());
                self.stop();
            }
            steps => left.set(steps.map(|n| n - 1)),
        }
    }
}

/// Counts a change that is not of a word: the copying of a payload.
pub fn step() {
    machine().step();
}

/// The time of `CLOCK_MONOTONIC` as the process sees it: it passes in sleeps only.
pub fn now() -> u64 {
    machine().thread().now.get()
}

/// The process that acts.
pub fn process() -> ProcessId {
    machine().process()
}

/// A number of the thread that acts.
pub fn thread() -> u32 {
    machine().current.get() as u32
}

/// A word for a label of the process that acts.
pub fn label() -> &'static AtomicU32 {
    let machine = machine();
    let mut labels = machine.labels.borrow_mut();
    let label = &LABELS[labels.len()];
    labels.push((machine.process(), label));
    label
}

/// Keeps what a process has open to the end of the execution, and beyond the process's death.
pub fn keep(value: impl Any) {
    machine().kept.borrow_mut().push(Box::new(value));
}

/// Acts as `process` while the model is being set up, or after it has ended.
pub fn acting<R>(process: ProcessId, f: impl FnOnce() -> R) -> R {
    let machine = machine();
    let before = machine.current.replace(process);
    let r = f();
    machine.current.set(before);
    r
}

/// Notes every access from now on, execution by execution.
pub fn keep_trace() {
    *machine().trace.borrow_mut() = Some(Vec::new());
}

/// What happened in this execution so far, in the order in which it was explored.
pub fn trace() -> Vec<String> {
    machine().trace.take().unwrap_or_default()
}

/// Ends an execution: nobody is attached any more, so that what is dropped now closes and leaves nothing.
pub fn end() {
    let machine = machine();
    machine.current.set(0);
    machine.labels.borrow().iter().for_each(|(_, label)| label.store(0, Relaxed));
    machine.kept.take();
}

/// Begins an execution: nobody lives, nothing is known of any word, the memory is zero.
pub fn begin() {
    let machine = machine();
    end();
    machine.labels.borrow_mut().clear();
    let (base, len) = memory();
    // SAFETY: the memory is this module's own, and nobody runs who could use it at the same time.
    unsafe { base.write_bytes(0, len as usize) };
    machine.current.set(0);
    machine.running.set(false);
    machine.sweeping.set(false);
    machine.mortal.set(false);
    machine.patient.set(false);
    for process in &machine.processes {
        process.dead.set(false);
        process.running.set(0);
        process.threads.set(0);
    }
    for (number, thread) in machine.threads.iter().enumerate() {
        thread.of.set(number);
        thread.stopped.set(false);
        thread.left.set(None);
        thread.ticks.set(TICKS);
        thread.now.set(1);
        thread.outcome.set(None);
    }
    machine.words.borrow_mut().forget();
    if let Some(trace) = &mut *machine.trace.borrow_mut() {
        trace.clear();
    }
    machine.kernel.begin();
    machine.locks.begin();
    machine.local.begin();
    machine.files.begin();
}

/// What a process does, and when it is killed: instead of its `k`-th change of what others see.
pub struct Task {
    process: ProcessId,
    thread: ThreadId,
    killed_at: Option<u32>,
    doomed: bool,
    work: Box<dyn FnOnce() + Send>,
}

impl Task {
    /// The `work` of a process.
    pub fn new(process: ProcessId, killed_at: Option<u32>, work: impl FnOnce() + Send + 'static) -> Self {
        Self { process, thread: process, killed_at, doomed: false, work: Box::new(work) }
    }

    /// The `work` of a process that is killed when it has done it.
    pub fn doomed(process: ProcessId, work: impl FnOnce() + Send + 'static) -> Self {
        let die = move || {
            work();
            machine().thread().left.set(Some(0));
            step();
        };
        Self { doomed: true, ..Self::new(process, None, die) }
    }

    /// The `work` of another thread of a process, of a number that no process has.
    pub fn of_thread(thread: usize, process: ProcessId, work: impl FnOnce() + Send + 'static) -> Self {
        Self { thread, ..Self::new(process, None, work) }
    }
}

/// Orders who locks a byte of the segment's file, or gives it up, among each other, where processes come and go.
pub fn let_locks_order() {
    machine().locks.let_order();
}

/// Lets time pass for those who sleep once any process has ended, and not only after a death.
pub fn let_time_pass() {
    machine().patient.set(true);
}

/// Sweeps up after the model has ended, as `process`. A defect shows here as it does while the model runs.
pub fn sweeping(process: ProcessId, sweep: impl FnOnce()) {
    let machine = machine();
    machine.sweeping.set(true);
    acting(process, sweep);
    machine.sweeping.set(false);
}

/// Whether a process was killed.
pub fn is_killed(process: ProcessId) -> bool {
    machine().processes[process].dead.get()
}

/// Kills a process before the others start.
pub fn kill(process: ProcessId) {
    let machine = machine();
    machine.kill(process);
    machine.locks.end(process);
}

/// Runs processes side by side to their ends; which of them were killed.
pub fn run(tasks: Vec<Task>) -> Vec<ProcessId> {
    let machine = machine();
    machine.words.borrow_mut().register();
    machine.locks.open();
    machine.files.open();
    machine.mortal.set(tasks.iter().any(|task| task.doomed || task.killed_at.is_some()));
    let dead_before: Vec<bool> = machine.processes.iter().map(|process| process.dead.get()).collect();
    for task in &tasks {
        let (process, thread) = (&machine.processes[task.process], &machine.threads[task.thread]);
        process.running.set(process.running.get() + 1);
        process.threads.set(process.running.get());
        thread.of.set(task.process);
        thread.left.set(task.killed_at.map(|k| k - 1));
    }
    machine.running.set(true);
    let spawn = |task: Task| {
        let body = move || life(task.thread, task.work);
        loom::thread::Builder::new().stack_size(STACK).spawn(body).expect("loom has a thread left")
    };
    let threads: Vec<_> = tasks.into_iter().map(spawn).collect();
    for thread in threads {
        machine.switching(|| thread.join()).expect("a process ends, or is killed");
    }
    machine.running.set(false);
    // Those who live act again when the model is looked at.
    machine.threads.iter().for_each(|thread| thread.stopped.set(false));
    (1..MOST).filter(|p| machine.processes[*p].dead.get() && !dead_before[*p]).collect()
}

fn life(thread: ThreadId, work: Box<dyn FnOnce() + Send>) {
    let machine = machine();
    machine.current.set(thread);
    let process = &machine.processes[machine.process()];
    if !process.dead.get() {
        match catch_unwind(AssertUnwindSafe(work)) {
            Err(payload) if !payload.is::<Killed>() => resume_unwind(payload),
            _ => {}
        }
    }
    machine.thread().stopped.set(true);
    if process.dead.get() {
        machine.kernel.stop(machine, machine.process());
    }
    if process.threads.get() > 1 {
        machine.locks.stop(machine);
    }
    // A process ends with its last thread, after all that any of them did.
    process.running.set(process.running.get() - 1);
    if process.running.get() > 0 {
        return;
    }
    if process.dead.get() {
        machine.kernel.bury(machine, machine.process());
    } else {
        machine.kernel.end(machine, machine.process());
    }
}

/// Whether words were found in this execution that processes share and that loom was not told of: it counts for
/// nothing then, and the exploration is to begin anew.
pub fn has_learnt() -> bool {
    machine().words.borrow().has_learnt()
}

/// How many words processes were found to share.
pub fn words_known() -> usize {
    machine().words.borrow().known()
}

/// What the processes of a model protect from each other: loom checks that they do.
#[derive(Default)]
pub struct Shared(());

impl Shared {
    /// It is written to.
    pub fn change(&self) {
        words::payload(memory().0.wrapping_add(SEGMENT), true);
    }

    /// It is read.
    pub fn look(&self) {
        words::payload(memory().0.wrapping_add(SEGMENT), false);
    }
}

fn rc<T>(value: T) -> Rc<T> {
    Rc::new(value)
}
