//! The table of kinds: what a sweep, a close and a removal do with an object of each.
//!
//! This is the one place where the segment, an early layer, calls the objects, later ones.

use crate::layout::Kind;
use crate::queue::ring::{Ring, Shape, Side};
use crate::segment::attach::Attached;
use crate::segment::directory::Found;
use crate::segment::handle::{Handle, Part};
use crate::wait::Label;
use crate::{cell, pipe, sync};

/// Gives back what `dead` held in an object. Idempotent.
pub fn recover(seg: &Attached, found: &Found<'_>, dead: Label) {
    with(seg, found, |kind, part| match kind {
        Kind::Value => cell::recover_value(part, dead),
        Kind::Array => cell::recover_array(part, dead),
        Kind::Lock
        | Kind::Semaphore
        | Kind::RLock
        | Kind::Condition
        | Kind::Event
        | Kind::Barrier
        | Kind::RwLock => sync::recover(kind, part, dead),
        Kind::Queue => with_ring(part, |ring| ring.recover(dead)),
        Kind::Pipe => pipe::recover(part, dead),
    });
}

/// [`recover`], where this process closes its last handle: a ring is only touched if it still has a cell.
pub fn give_back(seg: &Attached, found: &Found<'_>, role: u32, me: Label) {
    with(seg, found, |kind, part| match kind {
        Kind::Queue => with_ring(part, |ring| ring.give_back(me, Side::Both)),
        Kind::Pipe => pipe::give_back(part, role, me),
        _ => recover(seg, found, me),
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
    if let Some(kind) = Kind::of(found.head.kind.load(crate::atomic::Relaxed)) {
        Handle::visit(seg, found, |part| f(kind, part));
    }
}

fn with_ring(part: &Part<'_>, f: impl FnOnce(Ring<'_>)) {
    if let Ok(shape) = Shape::read(part, 0) {
        f(Ring::new(*part, 0, &shape));
    }
}
