//! The table of kinds: what a sweep, a close and a removal do with an object of each.
//!
//! This is the one place where the segment, an early layer, calls the objects, later ones.

use crate::layout::Spec;
use crate::queue::ring::{Ring, Shape};
use crate::segment::attach::Attached;
use crate::segment::directory::Found;
use crate::segment::handle::{Handle, Part};
use crate::wait::Label;
use crate::{cell, pipe, sync};

/// What kind of object a name stands for. The numbers stand in memory and are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u32)]
pub enum Kind {
    /// A single typed value.
    Value = 1,
    /// A typed array.
    Array = 2,
    /// A mutual exclusion lock.
    Lock = 3,
    /// A counting semaphore.
    Semaphore = 4,
    /// A bounded queue.
    Queue = 5,
    /// A pipe.
    Pipe = 6,
}

const ALL: [Kind; 6] = [Kind::Value, Kind::Array, Kind::Lock, Kind::Semaphore, Kind::Queue, Kind::Pipe];

impl Kind {
    /// The kind's name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Array => "array",
            Self::Lock => "lock",
            Self::Semaphore => "semaphore",
            Self::Queue => "queue",
            Self::Pipe => "pipe",
        }
    }
}

/// The kind that a number in memory means.
pub fn of(number: u32) -> Option<Kind> {
    ALL.into_iter().find(|kind| *kind as u32 == number)
}

/// The name of a kind, known or not.
pub fn name(number: u32) -> &'static str {
    of(number).map_or("object of an unknown kind", Kind::name)
}

/// An object in words: `an array of 10 'd'`.
pub fn describe(spec: &Spec) -> String {
    let kind = of(spec.kind);
    let article = if matches!(kind, Some(Kind::Array) | None) { "an" } else { "a" };
    let what = name(spec.kind);
    match kind {
        Some(Kind::Value) => format!("{article} {what} of type {}", cell::type_text(spec)),
        Some(Kind::Array) => format!("{article} {what} of {} {}", spec.count, cell::type_text(spec)),
        Some(Kind::Queue) => format!("{article} {what} for {} items", spec.count),
        _ => format!("{article} {what}"),
    }
}

/// Gives back what `dead` held in an object. Idempotent.
pub fn recover(seg: &Attached, found: &Found<'_>, _role: u32, dead: Label) {
    with(seg, found, |kind, part| match kind {
        Kind::Value => cell::recover_value(part, dead),
        Kind::Array => cell::recover_array(part, dead),
        Kind::Lock => sync::recover_lock(part, dead),
        Kind::Semaphore => {}
        Kind::Queue => with_ring(part, |ring| ring.recover(dead)),
        Kind::Pipe => pipe::recover(part, dead),
    });
}

/// After a participant has left an object that it had open in `role`, by closing it or by dying.
pub fn left(seg: &Attached, found: &Found<'_>, role: u32) {
    with(seg, found, |kind, part| {
        if kind == Kind::Pipe {
            pipe::left(part, role);
        }
    });
}

/// Frees what an object holds besides its own block, when nobody has it open and its name is gone.
pub fn release(seg: &Attached, found: &Found<'_>) {
    with(seg, found, |kind, part| match kind {
        Kind::Queue => with_ring(part, |ring| ring.free_blocks()),
        Kind::Pipe => pipe::release(part),
        _ => {}
    });
}

fn with(seg: &Attached, found: &Found<'_>, f: impl FnOnce(Kind, &Part<'_>)) {
    if let Some(kind) = of(found.head.kind.load(crate::atomic::Relaxed)) {
        Handle::visit(seg, found, |part| f(kind, part));
    }
}

fn with_ring(part: &Part<'_>, f: impl FnOnce(Ring<'_>)) {
    if let Ok(shape) = Shape::read(part, 0) {
        f(Ring::new(*part, 0, &shape));
    }
}
