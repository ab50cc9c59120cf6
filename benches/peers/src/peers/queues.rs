//! Queues of fixed-size items: sharecell's, and those within a process.

use std::sync::Mutex;

use anyhow::{Context, Result};
use crossbeam_utils::Backoff;
use sharecell::{Deadline, Element, Queue, QueueOptions, TypedQueue};

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
}

/// A queue that moves many items in a call.
pub trait Batches<const W: usize>: Fifo<W> {
    fn put_many(tx: &mut Self::Tx<'_>, items: &[Words<W>]);
    /// Gets at most `max` items, at least one.
    fn get_many(rx: &mut Self::Rx<'_>, max: usize, each: impl FnMut(&Words<W>));
}

/// The typed face: a value in, a value out.
pub struct Typed(Scratch);

impl<const W: usize> Fifo<W> for Typed {
    const NAME: &'static str = "sharecell TypedQueue";
    const PLACE: Place = Place::Processes;
    type Tx<'a> = TypedQueue<Words<W>>;
    type Rx<'a> = TypedQueue<Words<W>>;
    fn make(capacity: usize) -> Result<Self> {
        let scratch = Scratch::new()?;
        TypedQueue::<Words<W>>::create(&scratch.segment, "queue", capacity as u64)?;
        Ok(Self(scratch))
    }
    fn tx(&self) -> Result<Self::Tx<'_>> {
        Ok(TypedQueue::open(&self.0.open()?, "queue")?)
    }
    fn rx(&self) -> Result<Self::Rx<'_>> {
        Fifo::<W>::tx(self)
    }
    #[inline]
    fn put(tx: &mut Self::Tx<'_>, item: &Words<W>) {
        tx.put(*item).expect("put");
    }
    #[inline]
    fn get(rx: &mut Self::Rx<'_>) -> Words<W> {
        rx.get().expect("get")
    }
}

/// The face of byte strings: put copies in, recv reads in place.
pub struct Bytes(Scratch);

impl<const W: usize> Fifo<W> for Bytes {
    const NAME: &'static str = "sharecell Queue, bytes, read in place";
    const PLACE: Place = Place::Processes;
    type Tx<'a> = Queue;
    type Rx<'a> = Queue;
    fn make(capacity: usize) -> Result<Self> {
        let scratch = Scratch::new()?;
        let options = QueueOptions::new(capacity as u64).max_item(W as u64 * 8);
        Queue::create(&scratch.segment, "queue", &options)?;
        Ok(Self(scratch))
    }
    fn tx(&self) -> Result<Queue> {
        Ok(Queue::open(&self.0.open()?, "queue")?)
    }
    fn rx(&self) -> Result<Queue> {
        Fifo::<W>::tx(self)
    }
    #[inline]
    fn put(tx: &mut Queue, item: &Words<W>) {
        tx.put(bytemuck::bytes_of(item)).expect("put");
    }
    #[inline]
    fn get(rx: &mut Queue) -> Words<W> {
        bytemuck::pod_read_unaligned(&rx.recv(Deadline::Never).expect("recv"))
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

/// crossbeam's queue; it has no waiting calls, so the workers wait as its authors suggest.
pub struct ArrayQueue<const W: usize>(crossbeam_queue::ArrayQueue<Words<W>>);

impl<const W: usize> Fifo<W> for ArrayQueue<W> {
    const NAME: &'static str = "crossbeam ArrayQueue";
    const PLACE: Place = Place::Threads;
    type Tx<'a> = &'a Self;
    type Rx<'a> = &'a Self;
    fn make(capacity: usize) -> Result<Self> {
        Ok(Self(crossbeam_queue::ArrayQueue::new(capacity)))
    }
    fn tx(&self) -> Result<&Self> {
        Ok(self)
    }
    fn rx(&self) -> Result<&Self> {
        Fifo::<W>::tx(self)
    }
    #[inline]
    fn put(tx: &mut &Self, item: &Words<W>) {
        let backoff = Backoff::new();
        while tx.0.push(*item).is_err() {
            backoff.snooze();
        }
    }
    #[inline]
    fn get(rx: &mut &Self) -> Words<W> {
        let backoff = Backoff::new();
        loop {
            if let Some(item) = rx.0.pop() {
                return item;
            }
            backoff.snooze();
        }
    }
}

/// crossbeam's bounded channel.
pub struct Channel<const W: usize> {
    tx: crossbeam_channel::Sender<Words<W>>,
    rx: crossbeam_channel::Receiver<Words<W>>,
}

impl<const W: usize> Fifo<W> for Channel<W> {
    const NAME: &'static str = "crossbeam_channel";
    const PLACE: Place = Place::Threads;
    type Tx<'a> = &'a Self;
    type Rx<'a> = &'a Self;
    fn make(capacity: usize) -> Result<Self> {
        let (tx, rx) = crossbeam_channel::bounded(capacity);
        Ok(Self { tx, rx })
    }
    fn tx(&self) -> Result<&Self> {
        Ok(self)
    }
    fn rx(&self) -> Result<&Self> {
        Fifo::<W>::tx(self)
    }
    #[inline]
    fn put(tx: &mut &Self, item: &Words<W>) {
        tx.tx.send(*item).expect("send");
    }
    #[inline]
    fn get(rx: &mut &Self) -> Words<W> {
        rx.rx.recv().expect("recv")
    }
}

/// kanal's bounded channel.
pub struct Kanal<const W: usize> {
    tx: kanal::Sender<Words<W>>,
    rx: kanal::Receiver<Words<W>>,
}

impl<const W: usize> Fifo<W> for Kanal<W> {
    const NAME: &'static str = "kanal";
    const PLACE: Place = Place::Threads;
    type Tx<'a> = &'a Self;
    type Rx<'a> = &'a Self;
    fn make(capacity: usize) -> Result<Self> {
        let (tx, rx) = kanal::bounded(capacity);
        Ok(Self { tx, rx })
    }
    fn tx(&self) -> Result<&Self> {
        Ok(self)
    }
    fn rx(&self) -> Result<&Self> {
        Fifo::<W>::tx(self)
    }
    #[inline]
    fn put(tx: &mut &Self, item: &Words<W>) {
        tx.tx.send(*item).expect("send");
    }
    #[inline]
    fn get(rx: &mut &Self) -> Words<W> {
        rx.rx.recv().expect("recv")
    }
}

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
        let backoff = Backoff::new();
        while tx.push(*item).is_err() {
            backoff.snooze();
        }
    }
    #[inline]
    fn get(rx: &mut Self::Rx<'_>) -> Words<W> {
        let backoff = Backoff::new();
        loop {
            if let Ok(item) = rx.pop() {
                return item;
            }
            backoff.snooze();
        }
    }
}

/// One half of a pair, for the one worker that uses it.
pub fn taken<T>(half: &Mutex<Option<T>>) -> Result<T> {
    half.lock().expect("not poisoned").take().context("this half is taken")
}
