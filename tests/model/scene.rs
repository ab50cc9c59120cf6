//! What a model plays in: one execution of it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

use sharecell::model::{self, ProcessId, Task, acting};
use sharecell::{Deadline, ErrorKind, Queue, Result, Segment};

/// A segment with a process in each of its first seats, all new for each execution.
pub struct Scene {
    seats: u32,
    processes: Vec<Segment>,
    kill: Option<u32>,
    tasks: RefCell<Vec<Task>>,
    /// Handles stay open to the end, unless closing them is what the model is about.
    kept: RefCell<Vec<Arc<dyn Any>>>,
    pub survived: Cell<bool>,
}

impl Scene {
    /// A segment for `seats` processes, all there; its victim, if it has one, is killed at its `kill`-th step.
    pub fn new(seats: u32, kill: Option<u32>) -> Self {
        model::begin();
        let processes = (1..=seats).map(|p| Segment::in_model(seats, p as ProcessId).unwrap()).collect();
        let (tasks, kept) = (RefCell::default(), RefCell::default());
        Self { seats, processes, kill, tasks, kept, survived: Cell::new(true) }
    }

    /// What process `p` makes or opens before all begins. It stays open.
    pub fn by<T: Any + Send + Sync>(&self, p: ProcessId, open: impl FnOnce(&Segment) -> T) -> Arc<T> {
        let made = Arc::new(self.once_by(p, open));
        self.kept.borrow_mut().push(Arc::clone(&made) as Arc<dyn Any>);
        made
    }

    /// As [`by`](Self::by), of what the process closes itself.
    pub fn once_by<T>(&self, p: ProcessId, open: impl FnOnce(&Segment) -> T) -> T {
        acting(p, || open(&self.processes[p - 1]))
    }

    pub fn seats(&self) -> u32 {
        self.seats
    }

    /// The `n`-th process, or the last one.
    pub fn seat(&self, n: usize) -> ProcessId {
        n.min(self.seats as ProcessId)
    }

    pub fn segment(&self, p: ProcessId) -> Segment {
        self.processes[p - 1].clone()
    }

    /// Whether process `p` was not killed so far.
    pub fn whether_survived(&self, p: ProcessId) -> impl Fn() -> bool + Send + 'static {
        move || !model::is_killed(p)
    }

    /// Kills process `p` before all begins.
    pub fn kill(&self, p: ProcessId) {
        model::kill(p);
    }

    /// What process `p` does.
    pub fn task(&self, p: ProcessId, work: impl FnOnce() + Send + 'static) {
        self.tasks.borrow_mut().push(Task::new(p, None, work));
    }

    /// What the process does that is killed, in a model with deaths.
    pub fn victim(&self, p: ProcessId, work: impl FnOnce() + Send + 'static) {
        self.tasks.borrow_mut().push(Task::new(p, self.kill, work));
    }

    /// Lets all processes run to their ends, and sweeps up after the one that was killed, if it was.
    pub fn run(&self) {
        let dead = model::run(self.tasks.take());
        self.survived.set(dead.is_empty());
        let survivor = (1..=self.seats as ProcessId).find(|p| !model::is_killed(*p)).expect("one is left");
        model::sweeping(survivor, || {
            self.processes[survivor - 1].recover();
        });
    }
}

/// Gets all that a queue holds.
pub fn drain(queue: &Queue) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| queue.try_get().ok()).collect()
}

/// Gets until the queue is shut down.
pub fn get_all(queue: &Queue) -> Vec<Vec<u8>> {
    let mut items = Vec::new();
    loop {
        match queue.get_until(Deadline::Never) {
            Ok(item) => items.push(item),
            Err(e) if e.kind() == ErrorKind::Closed => return items,
            Err(e) => panic!("{e:?}"),
        }
    }
}

pub fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|e| e.kind())
}
