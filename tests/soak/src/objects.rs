//! The objects that all work on.

use sharecell::*;

/// Five words that go together: a count, and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Wide(pub [u64; 5]);

impl Element for Wide {
    const NAME: &'static str = "Wide";
}

impl Wide {
    pub fn of(count: u64) -> Self {
        Self(std::array::from_fn(|i| count.wrapping_mul(2 * i as u64 + 1)))
    }
    pub fn is_whole(self) -> bool {
        self == Self::of(self.0[0])
    }
}

/// The owned permits of the semaphore with undo.
pub const PERMITS: u32 = 3;
/// What the plain semaphore starts with.
pub const SIGNALS: u32 = 10;
/// The limit of the segment whose pipe sends long messages in parts: those of more than an eighth of it.
pub const SMALL: u64 = 4 << 20;
/// How often the array has a pair of elements that are changed together.
pub const PAIRS: usize = 8;

pub struct Objects {
    pub value: Value<i64>,
    pub wide: Value<Wide>,
    pub array: Array<u64>,
    pub lock: Lock,
    pub rlock: RLock,
    pub rwlock: RwLock,
    pub semaphore: Semaphore,
    pub undo: Semaphore,
    pub condition: Condition,
    pub event: Event,
    pub barrier: Barrier,
    /// Small, spilling, joinable, with a byte limit.
    pub queues: [Queue; 4],
    /// Ends A and B of: duplex, simplex, simplex for parts.
    pub pipes: [[Pipe; 2]; 3],
}

const QUEUES: [&str; 4] = ["queue", "spilling", "joinable", "bytes"];
const PIPES: [&str; 3] = ["duplex", "simplex", "parts"];

impl Objects {
    /// Those of a round; their names end with its number.
    pub fn create(s: &Segment, small: &Segment, round: u64) -> Result<Self> {
        let n = |name: &str| format!("{name}.{round}");
        let spilling = QueueOptions::new(8).inline(64);
        let options = [
            QueueOptions::new(4),
            spilling,
            QueueOptions::new(16).joinable(true),
            QueueOptions::new(64).max_bytes(4096),
        ];
        for (name, options) in QUEUES.iter().zip(&options) {
            Queue::create(s, &n(name), options)?;
        }
        Pipe::create(s, &n(PIPES[0]), &PipeOptions::new().capacity(8))?;
        Pipe::create(s, &n(PIPES[1]), &PipeOptions::new().duplex(false).capacity(4))?;
        Pipe::create(small, &n(PIPES[2]), &PipeOptions::new().duplex(false).capacity(4))?;
        Value::create(s, &n("value"), 0i64)?;
        Value::create(s, &n("wide"), Wide::of(0))?;
        Array::<u64>::create(s, &n("array"), 2 * PAIRS)?;
        Lock::create(s, &n("lock"))?;
        RLock::create(s, &n("rlock"))?;
        RwLock::create(s, &n("rwlock"))?;
        Semaphore::create(s, &n("semaphore"), SIGNALS)?;
        Semaphore::create_with(s, &n("undo"), &SemaphoreOptions::new(PERMITS).undo())?;
        Condition::create(s, &n("condition"))?;
        Event::create(s, &n("event"))?;
        Barrier::create(s, &n("barrier"), 2)?;
        Self::open(s, small, round)
    }

    pub fn open(s: &Segment, small: &Segment, round: u64) -> Result<Self> {
        let n = |name: &str| format!("{name}.{round}");
        let queue = |i: usize| Queue::open(s, &n(QUEUES[i]));
        let pipe = |i: usize| -> Result<[Pipe; 2]> {
            let s = if i == 2 { small } else { s };
            Ok([Pipe::open(s, &n(PIPES[i]), End::A)?, Pipe::open(s, &n(PIPES[i]), End::B)?])
        };
        Ok(Self {
            value: Value::open(s, &n("value"))?,
            wide: Value::open(s, &n("wide"))?,
            array: Array::open(s, &n("array"))?,
            lock: Lock::open(s, &n("lock"))?,
            rlock: RLock::open(s, &n("rlock"))?,
            rwlock: RwLock::open(s, &n("rwlock"))?,
            semaphore: Semaphore::open(s, &n("semaphore"))?,
            undo: Semaphore::open(s, &n("undo"))?,
            condition: Condition::open(s, &n("condition"))?,
            event: Event::open(s, &n("event"))?,
            barrier: Barrier::open(s, &n("barrier"))?,
            queues: [queue(0)?, queue(1)?, queue(2)?, queue(3)?],
            pipes: [pipe(0)?, pipe(1)?, pipe(2)?],
        })
    }
}
