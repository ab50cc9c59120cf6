//! The machine that models run on (`--cfg loom`, tests only): memory, kernel and processes, so that loom can go
//! through all the ways in which the threads of a model can meet, and any of them can stop for good anywhere.
//!
//! A process is a thread of loom's with an attachment of its own. All of them lie in one thread of the real
//! machine, which switches between them only at an access that loom is told of, or inside the kernel; so what else
//! they touch needs no protection. [docs/models.md](../../../docs/models.md) says what this assumes.

pub mod kernel;
mod mutation;
pub mod words;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

pub use mutation::{Action, is_met, mutate};

use kernel::Kernel;
use words::Words;

/// Processes are numbered from 1; 0 is the model itself, before they start and after they have ended.
pub type ProcessId = usize;
/// loom has four threads beside its first one.
const MOST: usize = 5;
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
    /// How many more times it may change what others see; `None` for ever.
    left: Cell<Option<u32>>,
    ticks: Cell<u32>,
    now: Cell<u64>,
    last: Cell<u64>,
    outcome: Cell<Option<super::futex::Sleep>>,
}

#[derive(Default)]
struct Machine {
    current: Cell<ProcessId>,
    running: Cell<bool>,
    /// Whether a defect shows though no model runs: in the sweep after it.
    sweeping: Cell<bool>,
    mortal: Cell<bool>,
    patient: Cell<bool>,
    processes: [Process; MOST],
    words: RefCell<Words>,
    kernel: Kernel,
    trace: RefCell<Option<Vec<String>>>,
}

thread_local! {
    static MACHINE: &'static Machine = Box::leak(Box::default());
}

/// The processes' labels, where [`Attached`](crate::segment) keeps its own: 0 once the process is dead, so that
/// what its guards do while its thread unwinds is nothing.
static LABELS: [AtomicU32; MOST] = [const { AtomicU32::new(0) }; MOST];

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
    fn process(&self) -> &Process {
        &self.processes[self.current.get()]
    }

    /// Whether a defect shows.
    fn is_wrong(&self) -> bool {
        self.running.get() || self.sweeping.get()
    }

    /// Does what may switch to another process.
    fn switching<R>(&self, f: impl FnOnce() -> R) -> R {
        let me = self.current.get();
        let r = f();
        self.current.set(me);
        r
    }

    /// Notes what happened, for who asked for it.
    fn trace(&self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut *self.trace.borrow_mut() {
            trace.push(format!("{}: {}", self.current.get(), what()));
        }
    }

    /// Before the process changes what others see. It ends here when its time has come.
    fn step(&self) {
        let process = self.process();
        if !self.running.get() || process.dead.get() {
            return;
        }
        match process.left.get() {
            Some(0) => {
                self.trace(|| "is killed".into());
                process.dead.set(true);
                LABELS[self.current.get()].store(0, Relaxed);
                resume_unwind(Box::new(Killed));
            }
            left => process.left.set(left.map(|n| n - 1)),
        }
    }
}

/// Counts a change that is not of a word: the copying of a payload.
pub fn step() {
    machine().step();
}

/// The time of `CLOCK_MONOTONIC` as the process sees it: it passes in sleeps only.
pub fn now() -> u64 {
    machine().process().now.get()
}

/// Where a process's attachment keeps its label.
pub fn label_cell(process: ProcessId) -> &'static AtomicU32 {
    &LABELS[process]
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

/// Begins an execution: nobody lives, nothing is known of any word, the memory is zero.
pub fn begin() {
    let machine = machine();
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
        process.left.set(None);
        process.ticks.set(TICKS);
        process.now.set(1);
        process.outcome.set(None);
    }
    LABELS.iter().for_each(|label| label.store(0, Relaxed));
    machine.words.borrow_mut().forget();
    if let Some(trace) = &mut *machine.trace.borrow_mut() {
        trace.clear();
    }
    machine.kernel.begin();
}

/// What a process does, and when it is killed: instead of its `k`-th change of what others see.
pub struct Task {
    process: ProcessId,
    killed_at: Option<u32>,
    work: Box<dyn FnOnce() + Send>,
}

impl Task {
    /// The `work` of a process.
    pub fn new(process: ProcessId, killed_at: Option<u32>, work: impl FnOnce() + Send + 'static) -> Self {
        Self { process, killed_at, work: Box::new(work) }
    }
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
    machine.processes[process].dead.set(true);
    LABELS[process].store(0, Relaxed);
    machine.kernel.release(process);
}

/// Runs processes side by side to their ends; which of them were killed.
pub fn run(tasks: Vec<Task>) -> Vec<ProcessId> {
    let machine = machine();
    machine.words.borrow_mut().register();
    machine.kernel.open();
    machine.mortal.set(tasks.iter().any(|task| task.killed_at.is_some()));
    let dead_before: Vec<bool> = machine.processes.iter().map(|process| process.dead.get()).collect();
    for task in &tasks {
        machine.processes[task.process].left.set(task.killed_at.map(|k| k - 1));
    }
    machine.running.set(true);
    let spawn = |task: Task| {
        let body = move || life(task.process, task.work);
        loom::thread::Builder::new().stack_size(STACK).spawn(body).expect("loom has a thread left")
    };
    let threads: Vec<_> = tasks.into_iter().map(spawn).collect();
    for thread in threads {
        machine.switching(|| thread.join()).expect("a process ends, or is killed");
    }
    machine.running.set(false);
    (1..MOST).filter(|p| machine.processes[*p].dead.get() && !dead_before[*p]).collect()
}

fn life(process: ProcessId, work: Box<dyn FnOnce() + Send>) {
    let machine = machine();
    machine.current.set(process);
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(()) => {}
        Err(payload) if payload.is::<Killed>() => machine.kernel.bury(machine, process),
        Err(payload) => resume_unwind(payload),
    }
    machine.kernel.end(machine, process);
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
