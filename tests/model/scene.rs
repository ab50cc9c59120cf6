//! What a model plays in: one execution of it.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

use sharecell::model::{self, ProcessId, Task, acting};
use sharecell::{Deadline, ErrorKind, Queue, Result, Segment};

/// A segment with a process in each of its first seats, all new for each execution.
pub struct Scene {
    seats: u32,
    processes: RefCell<Vec<Option<Segment>>>,
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
        let attach = |p| Some(Segment::in_model(seats, p as ProcessId).unwrap());
        let processes = RefCell::new((1..=seats).map(attach).collect());
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
        let segment = self.segment(p);
        acting(p, || open(&segment))
    }

    pub fn seats(&self) -> u32 {
        self.seats
    }

    /// The `n`-th process, or the last one.
    pub fn seat(&self, n: usize) -> ProcessId {
        n.min(self.seats as ProcessId)
    }

    pub fn segment(&self, p: ProcessId) -> Segment {
        self.processes.borrow()[p - 1].clone().expect("it has not left")
    }

    /// The segment of a process that is to leave it: it does with the last handle.
    pub fn leaving(&self, p: ProcessId) -> Segment {
        self.processes.borrow_mut()[p - 1].take().expect("it has not left")
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

    /// What the process does that is killed when it has done it.
    pub fn doomed(&self, p: ProcessId, work: impl FnOnce() + Send + 'static) {
        self.tasks.borrow_mut().push(Task::doomed(p, work));
    }

    /// What another thread of process `p` does; `thread` is a number that no process of the model has.
    pub fn thread(&self, thread: usize, p: ProcessId, work: impl FnOnce() + Send + 'static) {
        self.tasks.borrow_mut().push(Task::of_thread(thread, p, work));
    }

    /// Lets all processes run to their ends, and sweeps up after the one that was killed, if it was.
    pub fn run(&self) {
        let dead = model::run(self.tasks.take());
        self.survived.set(dead.is_empty());
        let processes = self.processes.borrow();
        let all = (1..).zip(processes.iter());
        let left = |(p, segment): (ProcessId, &Option<Segment>)| {
            segment.clone().filter(|_| !model::is_killed(p)).map(|segment| (p, segment))
        };
        if let Some((survivor, segment)) = all.filter_map(left).next() {
            model::sweeping(survivor, || {
                segment.recover();
            });
        }
    }
}

impl Drop for Scene {
    /// Those who live do not leave: the scene just ends.
    fn drop(&mut self) {
        model::end();
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
