//! Queues of fixed-size items: sharecell's, and those within a process.

use std::sync::Mutex;

use anyhow::{Context, Result};
use crossbeam_utils::Backoff;
use sharecell::{Deadline, Element, End, Pipe, PipeOptions, Queue, QueueOptions, TypedQueue};

use crate::peers::Scratch;
use crate::trial::Place;

/// An item of `W` words, its number in the first and the last of them.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Words<const W: usize>(pub [u64; W]);

// SAFETY: an array of words: no padding, every content is valid.
unsafe impl<const W: usize> bytemuck::Zeroable for Words<W> {}
// SAFETY: as above.
unsafe impl<const W: usize> bytemuck::Pod for Words<W> {}

impl<const W: usize> Element for Words<W> {
    const NAME: &'static str = "Words";
}

impl<const W: usize> Words<W> {
    #[inline]
    pub fn new(number: u64) -> Self {
        Self([number; W])
    }

    /// Its number, unless it is torn.
    #[inline]
    pub fn number(&self) -> u64 {
        assert_eq!(self.0[0], self.0[W - 1], "a torn item");
        self.0[0]
    }
}

/// A bounded queue. Waiting is up to it.
pub trait Fifo<const W: usize>: Sized + Sync + 'static {
    const NAME: &'static str;
    const PLACE: Place;
    /// Whether more than one may put and more than one may get.
    const MANY: bool = true;
    /// What a putting worker uses.
    type Tx<'a>
    where
        Self: 'a;
    /// What a getting worker uses.
    type Rx<'a>
    where
        Self: 'a;
    fn make(capacity: usize) -> Result<Self>;
    fn tx(&self) -> Result<Self::Tx<'_>>;
    fn rx(&self) -> Result<Self::Rx<'_>>;
    fn put(tx: &mut Self::Tx<'_>, item: &Words<W>);
    fn get(rx: &mut Self::Rx<'_>) -> Words<W>;
    /// Deals with those who have died, where one can ask for it.
    fn settle(&self) {}
}

/// A [`Fifo`] of which every worker uses the same thing, whether it puts or gets.
pub trait Shared<const W: usize>: Sized + Sync + 'static {
    const NAME: &'static str;
    const PLACE: Place;
    type Side<'a>
    where
        Self: 'a;
    fn make(capacity: usize) -> Result<Self>;
    fn side(&self) -> Result<Self::Side<'_>>;
    fn put(side: &mut Self::Side<'_>, item: &Words<W>);
    fn get(side: &mut Self::Side<'_>) -> Words<W>;
    fn settle(&self) {}
}

impl<const W: usize, Q: Shared<W>> Fifo<W> for Q {
    const NAME: &'static str = Q::NAME;
    const PLACE: Place = Q::PLACE;
    type Tx<'a> = Q::Side<'a>;
    type Rx<'a> = Q::Side<'a>;
    fn make(capacity: usize) -> Result<Self> {
        Q::make(capacity)
    }
    fn tx(&self) -> Result<Self::Tx<'_>> {
        self.side()
    }
    fn rx(&self) -> Result<Self::Rx<'_>> {
        self.side()
    }
    #[inline]
    fn put(tx: &mut Self::Tx<'_>, item: &Words<W>) {
        Q::put(tx, item);
    }
    #[inline]
    fn get(rx: &mut Self::Rx<'_>) -> Words<W> {
        Q::get(rx)
    }
    fn settle(&self) {
        Q::settle(self);
    }
}

/// How many items a call moves.
pub const BATCH: usize = 64;

/// A queue that moves many items in a call.
pub trait Batches<const W: usize>: Fifo<W> {
    fn put_many(tx: &mut Self::Tx<'_>, items: &[Words<W>]);
    /// Gets at most `max` items, at least one.
    fn get_many(rx: &mut Self::Rx<'_>, max: usize, each: impl FnMut(&Words<W>));
}

/// How to wait for what has no waiting call, as crossbeam's authors suggest: spin, then give the processor away.
#[inline]
pub fn until_some<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let backoff = Backoff::new();
    loop {
        if let Some(it) = attempt() {
            return it;
        }
        backoff.snooze();
    }
}

/// The typed face: a value in, a value out.
pub struct Typed(Scratch);

impl<const W: usize> Shared<W> for Typed {
    const NAME: &'static str = "sharecell TypedQueue";
    const PLACE: Place = Place::Processes;
    type Side<'a> = TypedQueue<Words<W>>;
    fn make(capacity: usize) -> Result<Self> {
        let scratch = Scratch::new()?;
        TypedQueue::<Words<W>>::create(&scratch.segment, "queue", capacity as u64)?;
        Ok(Self(scratch))
    }
    fn side(&self) -> Result<Self::Side<'_>> {
        Ok(TypedQueue::open(&self.0.open()?, "queue")?)
    }
    #[inline]
    fn put(side: &mut Self::Side<'_>, item: &Words<W>) {
        side.put(*item).expect("put");
    }
    #[inline]
    fn get(side: &mut Self::Side<'_>) -> Words<W> {
        side.get().expect("get")
    }
    fn settle(&self) {
        self.0.segment.recover();
    }
}

/// The face of byte strings: put copies in, recv reads in place.
pub struct Bytes(Scratch);

impl<const W: usize> Shared<W> for Bytes {
    const NAME: &'static str = "sharecell Queue, bytes, read in place";
    const PLACE: Place = Place::Processes;
    type Side<'a> = Queue;
    fn make(capacity: usize) -> Result<Self> {
        let scratch = Scratch::new()?;
        let options = QueueOptions::new(capacity as u64).max_item(W as u64 * 8);
        Queue::create(&scratch.segment, "queue", &options)?;
        Ok(Self(scratch))
    }
    fn side(&self) -> Result<Queue> {
        Ok(Queue::open(&self.0.open()?, "queue")?)
    }
    #[inline]
    fn put(side: &mut Queue, item: &Words<W>) {
        side.put(bytemuck::bytes_of(item)).expect("put");
    }
    #[inline]
    fn get(side: &mut Queue) -> Words<W> {
        bytemuck::pod_read_unaligned(&side.recv(Deadline::Never).expect("recv"))
    }
}

impl<const W: usize> Batches<W> for Typed {
    fn put_many(tx: &mut TypedQueue<Words<W>>, items: &[Words<W>]) {
        assert_eq!(tx.put_many(items).expect("put_many"), items.len());
    }
    fn get_many(rx: &mut TypedQueue<Words<W>>, max: usize, each: impl FnMut(&Words<W>)) {
        let mut items = [Words::new(0); BATCH];
        let got = rx.get_many_into(&mut items[..max.min(BATCH)], Deadline::Never).expect("get_many_into");
        items[..got].iter().for_each(each);
    }
}

impl<const W: usize> Batches<W> for Bytes {
    fn put_many(tx: &mut Queue, items: &[Words<W>]) {
        let done = tx.put_many(items.iter().map(bytemuck::bytes_of)).expect("put_many");
        assert_eq!(done, items.len());
    }
    fn get_many(rx: &mut Queue, max: usize, mut each: impl FnMut(&Words<W>)) {
        for item in rx.get_many(max).expect("get_many") {
            each(&bytemuck::pod_read_unaligned(&item));
        }
    }
}

/// A pipe in one direction.
pub struct Simplex {
    scratch: Scratch,
    _ends: (Pipe, Pipe),
}

impl<const W: usize> Fifo<W> for Simplex {
    const NAME: &'static str = "sharecell Pipe";
    const PLACE: Place = Place::Processes;
    type Tx<'a> = Pipe;
    type Rx<'a> = Pipe;
    fn make(capacity: usize) -> Result<Self> {
        let scratch = Scratch::new()?;
        let options = PipeOptions::new().duplex(false).capacity(capacity as u64);
        let ends = Pipe::create(&scratch.segment, "pipe", &options)?;
        Ok(Self { scratch, _ends: ends })
    }
    fn tx(&self) -> Result<Pipe> {
        Ok(Pipe::open(&self.scratch.open()?, "pipe", End::B)?)
    }
    fn rx(&self) -> Result<Pipe> {
        Ok(Pipe::open(&self.scratch.open()?, "pipe", End::A)?)
    }
    #[inline]
    fn put(tx: &mut Pipe, item: &Words<W>) {
        tx.send(bytemuck::bytes_of(item)).expect("send");
    }
    #[inline]
    fn get(rx: &mut Pipe) -> Words<W> {
        let mut item = Words([0; W]);
        let len = rx.recv_into(bytemuck::bytes_of_mut(&mut item), Deadline::Never).expect("recv_into");
        assert_eq!(len, W * 8);
        item
    }
    fn settle(&self) {
        self.scratch.segment.recover();
    }
}

/// crossbeam's queue; it has no waiting calls.
pub struct ArrayQueue<const W: usize>(crossbeam_queue::ArrayQueue<Words<W>>);

impl<const W: usize> Shared<W> for ArrayQueue<W> {
    const NAME: &'static str = "crossbeam ArrayQueue";
    const PLACE: Place = Place::Threads;
    type Side<'a> = &'a Self;
    fn make(capacity: usize) -> Result<Self> {
        Ok(Self(crossbeam_queue::ArrayQueue::new(capacity)))
    }
    fn side(&self) -> Result<&Self> {
        Ok(self)
    }
    #[inline]
    fn put(side: &mut &Self, item: &Words<W>) {
        until_some(|| side.0.push(*item).ok());
    }
    #[inline]
    fn get(side: &mut &Self) -> Words<W> {
        until_some(|| side.0.pop())
    }
}

/// A bounded channel with a sender, a receiver, and waiting of its own.
macro_rules! channel {
    ($name:ident, $called:literal, $sender:ty, $receiver:ty, $make:path) => {
        #[doc = concat!("The bounded channel of ", $called, ".")]
        pub struct $name<const W: usize> {
            tx: $sender,
            rx: $receiver,
        }

        impl<const W: usize> Shared<W> for $name<W> {
            const NAME: &'static str = $called;
            const PLACE: Place = Place::Threads;
            type Side<'a> = &'a Self;
            fn make(capacity: usize) -> Result<Self> {
                let (tx, rx) = $make(capacity);
                Ok(Self { tx, rx })
            }
            fn side(&self) -> Result<&Self> {
                Ok(self)
            }
            #[inline]
            fn put(side: &mut &Self, item: &Words<W>) {
                side.tx.send(*item).expect("send");
            }
            #[inline]
            fn get(side: &mut &Self) -> Words<W> {
                side.rx.recv().expect("recv")
            }
        }
    };
}

channel!(
    Channel,
    "crossbeam_channel",
    crossbeam_channel::Sender<Words<W>>,
    crossbeam_channel::Receiver<Words<W>>,
    crossbeam_channel::bounded
);
channel!(Kanal, "kanal", kanal::Sender<Words<W>>, kanal::Receiver<Words<W>>, kanal::bounded);

/// rtrb: one producer, one consumer, of which each worker takes its own.
pub struct Rtrb<const W: usize> {
    tx: Mutex<Option<rtrb::Producer<Words<W>>>>,
    rx: Mutex<Option<rtrb::Consumer<Words<W>>>>,
}

impl<const W: usize> Fifo<W> for Rtrb<W> {
    const NAME: &'static str = "rtrb";
    const PLACE: Place = Place::Threads;
    const MANY: bool = false;
    type Tx<'a> = rtrb::Producer<Words<W>>;
    type Rx<'a> = rtrb::Consumer<Words<W>>;
    fn make(capacity: usize) -> Result<Self> {
        let (tx, rx) = rtrb::RingBuffer::new(capacity);
        Ok(Self { tx: Mutex::new(Some(tx)), rx: Mutex::new(Some(rx)) })
    }
    fn tx(&self) -> Result<Self::Tx<'_>> {
        taken(&self.tx)
    }
    fn rx(&self) -> Result<Self::Rx<'_>> {
        taken(&self.rx)
    }
    #[inline]
    fn put(tx: &mut Self::Tx<'_>, item: &Words<W>) {
        until_some(|| tx.push(*item).ok());
    }
    #[inline]
    fn get(rx: &mut Self::Rx<'_>) -> Words<W> {
        until_some(|| rx.pop().ok())
    }
}

/// One half of a pair, for the one worker that uses it.
pub fn taken<T>(half: &Mutex<Option<T>>) -> Result<T> {
    half.lock().expect("not poisoned").take().context("this half is taken")
}
