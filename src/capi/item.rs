//! Items and places of queues and pipes, as C holds them.

use std::ffi::c_void;

use crate::error::{ErrorKind, Result, fail};
use crate::queue::ring::{Claim, Ring};
pub(super) use crate::queue::too_small;

/// An item or message that was taken and lies where it was put, to be read there and given back with the
/// function of its queue or pipe. Copies of this struct mean the same item. In a forked child it is the
/// parent's. If this process dies before, the item is delivered to somebody else.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shc_item {
    /// Its bytes.
    pub data: *const c_void,
    /// How many there are.
    pub len: usize,
    /// Its number: unique in its queue, and the same at each delivery.
    pub number: u64,
    /// How often it was delivered, this time included.
    pub deliveries: u32,
    /// 0.
    pub reserved: u32,
    /// The library's own.
    pub claim: [u64; 2],
}

/// A place in a queue or pipe that is being written, to be committed or aborted. Copies of this struct mean the
/// same place. In a forked child it is the parent's. If this process dies before, nothing was put.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shc_slot {
    /// Where to write.
    pub data: *mut c_void,
    /// How many bytes there are.
    pub len: usize,
    /// The library's own.
    pub claim: [u64; 2],
}

/// Bytes to be put.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shc_buffer {
    /// The bytes; NULL is fine if there are none.
    pub data: *const c_void,
    /// How many there are.
    pub len: usize,
}

impl shc_item {
    /// An item that lies in memory of this process's own, at `bytes`.
    pub(super) fn own(bytes: &[u8]) -> Self {
        Self {
            data: bytes.as_ptr().cast(),
            len: bytes.len(),
            number: 0,
            deliveries: 1,
            reserved: 0,
            claim: [0, Self::OWN],
        }
    }

    /// In place of a block's number, which is never that.
    pub(super) const OWN: u64 = u64::MAX;

    pub(super) fn over(claim: &Claim) -> Self {
        Self {
            data: claim.data.cast_const().cast(),
            len: claim.len,
            number: claim.number,
            deliveries: claim.deliveries.into(),
            reserved: 0,
            claim: [claim.ticket, claim.block],
        }
    }

    /// The claim, and whether it is held, if it still is this process's.
    pub(super) unsafe fn read(item: *const Self, ring: &Ring<'_>) -> Result<(Claim, bool)> {
        if item.is_null() {
            fail!(InvalidArgument, "the item is NULL");
        }
        let item = unsafe { item.read_unaligned() };
        let claim = Claim {
            count: 1,
            ticket: item.claim[0],
            data: item.data.cast_mut().cast(),
            len: item.len,
            number: item.number,
            deliveries: item.deliveries as u16,
            marks: 0,
            block: item.claim[1],
        };
        let held = ring.check(&claim, false).map_err(|_| not_held("the item was given back already"))?;
        Ok((claim, held))
    }
}

impl shc_slot {
    pub(super) fn over(claim: &Claim) -> Self {
        Self { data: claim.data.cast(), len: claim.len, claim: [claim.ticket, claim.block] }
    }

    /// The claim, if it still is this process's.
    pub(super) unsafe fn read(slot: *const Self, ring: &Ring<'_>) -> Result<Claim> {
        if slot.is_null() {
            fail!(InvalidArgument, "the place is NULL");
        }
        let slot = unsafe { slot.read_unaligned() };
        let claim = Claim {
            count: 1,
            ticket: slot.claim[0],
            data: slot.data.cast(),
            len: slot.len,
            number: slot.claim[0],
            deliveries: 0,
            marks: 0,
            block: slot.claim[1],
        };
        ring.check(&claim, true).map_err(|_| not_held("the place was committed or aborted already"))?;
        Ok(claim)
    }
}

fn not_held(text: &str) -> crate::error::Error {
    crate::error::Error::new(ErrorKind::NotHeld, text)
}

/// Copies a taken item to a buffer and gives it back, or puts it back if the buffer is too small. Its length goes to
/// `len` in both cases.
pub(super) unsafe fn copy_out(
    ring: &Ring<'_>,
    claim: &Claim,
    buffer: &mut [u8],
    len: *mut usize,
) -> Result<()> {
    unsafe { len.write_unaligned(claim.len) };
    let Some(place) = buffer.get_mut(..claim.len) else {
        ring.untake(claim);
        return Err(too_small(claim.len, buffer.len()));
    };
    unsafe { std::ptr::copy_nonoverlapping(claim.data, place.as_mut_ptr(), claim.len) };
    ring.release(claim, false);
    Ok(())
}

/// Commits a place.
pub(super) unsafe fn commit(ring: &Ring<'_>, slot: *const shc_slot, len: usize) -> Result<()> {
    let claim = unsafe { shc_slot::read(slot, ring)? };
    if len > claim.len {
        fail!(InvalidArgument, "{} bytes were reserved; got {len} to commit", claim.len);
    }
    ring.commit(&claim, len);
    ring.wake_getters(1);
    Ok(())
}
