//! Shared memory under loom.
//!
//! The protocols' words lie in plain memory. A word that several processes touch, one of them to change it, is an
//! atomic of loom's beside that: found by its address, and made before the processes start. Which words those are is
//! learnt: an execution that finds another one goes on with one value a word and no switches, counts for nothing, and
//! the exploration starts anew. All other words are one process's own, or constant, so that their accesses need not be
//! explored. (loom's atomics cannot lie in the memory themselves: they have another size, and end with the execution.)

use std::any::Any;
use std::collections::{BTreeSet, HashMap};
use std::panic::Location;
use std::rc::Rc;
use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

use super::mutation::{self, Action};
use super::{Machine, machine, rc};

/// Address and width in bytes; width 0 is a payload.
type Place = (usize, usize);

/// Who has touched eight bytes in one execution, and as what.
#[derive(Clone, Copy, Default)]
struct Touched {
    by: u8,
    changed: bool,
    /// For each width, a bit for each offset.
    places: [u8; 4],
}

const WIDTHS: [usize; 4] = [1, 2, 4, 8];

/// What is known of the memory.
#[derive(Default)]
pub(super) struct Words {
    shared: BTreeSet<Place>,
    learnt: bool,
    touched: Vec<Touched>,
    dirty: Vec<usize>,
    atomics: HashMap<Place, Rc<dyn Any>>,
    payloads: HashMap<usize, Rc<loom::cell::UnsafeCell<()>>>,
    /// What all fences touch, where there is a defect to be found.
    fences: Option<Rc<loom::sync::atomic::AtomicU32>>,
}

impl Words {
    pub(super) fn forget(&mut self) {
        self.touched.resize(super::memory().1 as usize / 8, Touched::default());
        for index in self.dirty.drain(..) {
            self.touched[index] = Touched::default();
        }
        self.atomics.clear();
        self.payloads.clear();
        self.fences = None;
        self.learnt = false;
    }

    pub(super) fn has_learnt(&self) -> bool {
        self.learnt
    }

    pub(super) fn known(&self) -> usize {
        self.shared.len()
    }

    /// Makes loom's atomics for all shared words, with what the memory holds now.
    pub(super) fn register(&mut self) {
        self.fences = mutation::is_set().then(|| rc(loom::sync::atomic::AtomicU32::new(0)));
        for &(address, width) in &self.shared {
            let atomic: Rc<dyn Any> = match width {
                0 => {
                    self.payloads.insert(address, rc(loom::cell::UnsafeCell::new(())));
                    continue;
                }
                1 => made::<std::sync::atomic::AtomicU8>(address),
                2 => made::<std::sync::atomic::AtomicU16>(address),
                4 => made::<std::sync::atomic::AtomicU32>(address),
                _ => made::<std::sync::atomic::AtomicU64>(address),
            };
            self.atomics.insert((address, width), atomic);
        }
    }

    fn touch(&mut self, (address, width): Place, thread: usize, change: bool) {
        let index = (address - super::memory().0 as usize) / 8;
        let touched = &mut self.touched[index];
        if touched.by == 0 {
            self.dirty.push(index);
        }
        touched.by |= 1 << thread;
        touched.changed |= change;
        touched.places[width.ilog2() as usize] |= 1 << (address % 8);
        if touched.by.count_ones() < 2 || !touched.changed {
            return;
        }
        let (first, places) = (address & !7, touched.places);
        for (width, offsets) in WIDTHS.into_iter().zip(places) {
            (0..8).filter(|at| offsets & 1 << at != 0).for_each(|at| self.learn((first + at, width)));
        }
    }

    /// Of words that overlap, the narrower ones are loom's.
    fn learn(&mut self, place: Place) {
        let overlap = |a: Place, b: Place| a.0 < b.0 + b.1 && b.0 < a.0 + a.1;
        if self.shared.iter().any(|known| overlap(*known, place) && known.1 <= place.1) {
            return;
        }
        self.shared.retain(|known| !overlap(*known, place));
        self.shared.insert(place);
        self.learnt = true;
    }

    /// The shared words within a wider place.
    fn parts(&self, place: Place) -> Vec<Place> {
        self.shared
            .range((place.0, 1)..(place.0 + place.1, 0))
            .copied()
            .filter(|part| part.1 < place.1)
            .collect()
    }
}

/// loom's atomic for the word at an address.
fn made<W: Word>(address: usize) -> Rc<dyn Any> {
    // SAFETY: the address is that of a live word of the model's memory, which is never unmapped.
    let word = unsafe { &*(address as *const W) };
    rc(W::make(word.get()))
}

/// A change of a word that depends on what it held.
#[derive(Clone, Copy)]
pub enum Change<I> {
    /// Another value.
    Swap(I),
    /// The first value becomes the second.
    Cas(I, I),
    /// A sum.
    Add(I),
    /// A difference.
    Sub(I),
    /// Bits set.
    Or(I),
    /// Bits kept.
    And(I),
    /// The greater one.
    Max(I),
}

/// A word of shared memory: an atomic of std's, and loom's atomic of the same width.
pub trait Word: Sized + 'static {
    /// The integer in it.
    type Int: Copy + PartialEq + Into<u64>;
    /// loom's atomic.
    type Loom: 'static;
    /// A new one.
    fn make(value: Self::Int) -> Self::Loom;
    /// What the memory holds.
    fn get(&self) -> Self::Int;
    /// Changes the memory.
    fn set(&self, value: Self::Int);
    /// loom's load.
    fn load(atomic: &Self::Loom, order: Ordering) -> Self::Int;
    /// loom's store.
    fn store(atomic: &Self::Loom, value: Self::Int, order: Ordering);
    /// loom's read-modify-write; what was there, as an error if nothing was changed.
    fn change(
        atomic: &Self::Loom,
        change: Change<Self::Int>,
        order: Ordering,
    ) -> Result<Self::Int, Self::Int>;
    /// What becomes of a value.
    fn changed(old: Self::Int, change: Change<Self::Int>) -> Option<Self::Int>;
    /// The low bits of a number.
    fn from(bits: u64) -> Self::Int;
}

macro_rules! word {
    ($name:ident, $int:ty) => {
        impl Word for std::sync::atomic::$name {
            type Int = $int;
            type Loom = loom::sync::atomic::$name;
            fn make(value: $int) -> Self::Loom {
                Self::Loom::new(value)
            }
            fn get(&self) -> $int {
                self.load(SeqCst)
            }
            fn set(&self, value: $int) {
                self.store(value, SeqCst)
            }
            fn load(atomic: &Self::Loom, order: Ordering) -> $int {
                atomic.load(order)
            }
            fn store(atomic: &Self::Loom, value: $int, order: Ordering) {
                atomic.store(value, order)
            }
            fn change(atomic: &Self::Loom, change: Change<$int>, order: Ordering) -> Result<$int, $int> {
                Ok(match change {
                    Change::Swap(v) => atomic.swap(v, order),
                    Change::Cas(old, new) => {
                        let failed = if order == Relaxed { Relaxed } else { Acquire };
                        return atomic.compare_exchange(old, new, order, failed);
                    }
                    Change::Add(v) => atomic.fetch_add(v, order),
                    Change::Sub(v) => atomic.fetch_sub(v, order),
                    Change::Or(v) => atomic.fetch_or(v, order),
                    Change::And(v) => atomic.fetch_and(v, order),
                    Change::Max(v) => atomic.fetch_max(v, order),
                })
            }
            fn changed(old: $int, change: Change<$int>) -> Option<$int> {
                Some(match change {
                    Change::Swap(v) => v,
                    Change::Cas(expected, _) if expected != old => return None,
                    Change::Cas(_, new) => new,
                    Change::Add(v) => old.wrapping_add(v),
                    Change::Sub(v) => old.wrapping_sub(v),
                    Change::Or(v) => old | v,
                    Change::And(v) => old & v,
                    Change::Max(v) => old.max(v),
                })
            }
            fn from(bits: u64) -> $int {
                bits as $int
            }
        }
    };
}

word!(AtomicU8, u8);
word!(AtomicU16, u16);
word!(AtomicU32, u32);
word!(AtomicU64, u64);

fn place<W: Word>(word: &W) -> Place {
    (std::ptr::from_ref(word) as usize, size_of::<W>())
}

/// loom's atomic for a word, if processes share it.
fn atomic<W: Word>(machine: &Machine, word: &W, change: bool) -> Option<Rc<W::Loom>> {
    let place = place(word);
    let mut words = machine.words.borrow_mut();
    if let Some(atomic) = words.atomics.get(&place)
        && !words.learnt
    {
        return Some(Rc::clone(atomic).downcast().expect("made for this width"));
    }
    words.touch(place, machine.current.get(), change);
    None
}

fn traced<W: Word>(machine: &Machine, at: &Location<'_>, word: &W, what: &str, value: W::Int) {
    machine.trace(|| {
        let (address, value) = (std::ptr::from_ref(word) as usize - super::memory().0 as usize, value.into());
        format!("{}:{}: {what} {value:#x} at {address:#x}", at.file(), at.line())
    });
}

/// loom orders accesses that are SeqCst as if they were AcqRel; each gets a fence before it, as a compiler may
/// make it for machines that have fences only.
fn ordered(order: Ordering, weaker: Ordering) -> Ordering {
    if order == SeqCst {
        loom::sync::atomic::fence(SeqCst);
        return weaker;
    }
    order
}

/// A load.
#[track_caller]
pub fn load<W: Word>(word: &W, order: Ordering) -> W::Int {
    let machine = machine();
    if !machine.is_wrong() || machine.is_stopped() {
        return word.get();
    }
    let caller = Location::caller();
    let wrong = mutation::at(caller);
    match wrong {
        Some(Action::Answer(value)) => return W::from(value),
        Some(Action::Again) => return W::from(machine.thread().last.get()),
        _ if !machine.running.get() => return word.get(),
        _ => {}
    }
    let value = match atomic(machine, word, false) {
        Some(atomic) => {
            let order = if wrong.is_some() { Relaxed } else { order };
            machine.switching(|| W::load(&atomic, ordered(order, Acquire)))
        }
        None => word.get(),
    };
    machine.thread().last.set(value.into());
    traced(machine, caller, word, "load", value);
    value
}

/// A store.
#[track_caller]
pub fn store<W: Word>(word: &W, value: W::Int, order: Ordering) {
    let machine = machine();
    if !machine.is_wrong() {
        return word.set(value);
    }
    if machine.is_stopped() {
        return;
    }
    if value != word.get() {
        machine.step();
    }
    let caller = Location::caller();
    let order = match mutation::at(caller) {
        None => order,
        Some(Action::Skip) => return,
        Some(_) => Relaxed,
    };
    if !machine.running.get() {
        return word.set(value);
    }
    match atomic(machine, word, true) {
        Some(atomic) => machine.switching(|| W::store(&atomic, value, ordered(order, Release))),
        None => store_parts(machine, place(word), value.into(), order),
    }
    word.set(value);
    traced(machine, caller, word, "store", value);
}

/// Stores what a wide word holds of the narrower ones that processes share.
fn store_parts(machine: &Machine, place: Place, value: u64, order: Ordering) {
    if machine.words.borrow().learnt {
        return;
    }
    let parts = machine.words.borrow().parts(place);
    for (address, width) in parts {
        let bits = value >> ((address - place.0) * 8);
        let Some(atomic) = machine.words.borrow().atomics.get(&(address, width)).cloned() else { continue };
        machine.switching(|| match width {
            4 => atomic
                .downcast_ref::<loom::sync::atomic::AtomicU32>()
                .expect("of its width")
                .store(bits as u32, order),
            2 => atomic
                .downcast_ref::<loom::sync::atomic::AtomicU16>()
                .expect("of its width")
                .store(bits as u16, order),
            _ => atomic
                .downcast_ref::<loom::sync::atomic::AtomicU8>()
                .expect("of its width")
                .store(bits as u8, order),
        });
    }
}

/// A read-modify-write; what was there, as an error if nothing was changed.
#[track_caller]
pub fn change<W: Word>(word: &W, change: Change<W::Int>, order: Ordering) -> Result<W::Int, W::Int> {
    let machine = machine();
    if machine.running.get() && machine.is_stopped() {
        return Ok(word.get());
    }
    // A compare-and-swap that fails changes nothing: it is a load.
    let changes = W::changed(word.get(), change).is_some();
    if changes {
        machine.step();
    }
    let running = machine.running.get();
    let caller = Location::caller();
    let wrong = if machine.is_wrong() { mutation::at(caller) } else { None };
    let change = match (wrong, change) {
        (Some(Action::Blind), Change::Cas(_, new)) => Change::Swap(new),
        (_, change) => change,
    };
    let atomic = if running { atomic(machine, word, changes && wrong != Some(Action::Skip)) } else { None };
    if wrong == Some(Action::Skip) {
        let value = atomic.map_or_else(|| word.get(), |a| machine.switching(|| W::load(&a, Relaxed)));
        return if matches!(change, Change::Cas(..)) { Err(value) } else { Ok(value) };
    }
    let old = match atomic {
        Some(atomic) => {
            let order = if wrong == Some(Action::Relaxed) { Relaxed } else { order };
            machine.switching(|| W::change(&atomic, change, ordered(order, AcqRel)))?
        }
        None => word.get(),
    };
    let new = W::changed(old, change).ok_or(old)?;
    word.set(new);
    if running {
        traced(machine, caller, word, "change to", new);
    }
    Ok(old)
}

/// A fence. loom would go through it together with the access before it, and hide that one's defects; so where there
/// is one, fences are accesses as well, of a word that orders nothing.
#[track_caller]
pub fn fence(order: Ordering) {
    let machine = machine();
    if !machine.running.get() || machine.is_stopped() || mutation::at(Location::caller()).is_some() {
        return;
    }
    let fences = machine.words.borrow().fences.clone();
    machine.switching(|| {
        if let Some(fences) = fences {
            fences.fetch_add(1, Relaxed);
        }
        loom::sync::atomic::fence(order);
    });
}

/// The bytes at `address` were written, or read: they are nobody else's meanwhile, which loom checks.
pub fn payload(address: *mut u8, written: bool) {
    let machine = machine();
    let has_learnt = machine.words.borrow().learnt;
    if !machine.running.get() || machine.is_stopped() {
        return;
    }
    let known = machine.words.borrow().payloads.get(&(address as usize)).cloned();
    match known {
        _ if has_learnt => {}
        Some(cell) if written => cell.with_mut(|_| ()),
        Some(cell) => cell.with(|_| ()),
        None => machine.words.borrow_mut().learn((address as usize, 0)),
    }
}
