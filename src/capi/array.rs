//! Arrays in C.

use std::ffi::{c_char, c_void};

use super::segment::shc_segment;
use super::{
    Handle, Out, SHC_OK, Tagged, bytes, bytes_mut, deadline, guard, handle, shc_status, shc_type, text,
};
use crate::cell::RawArray;
use crate::error::fail;
use crate::segment::handle::Verb;

/// An array of fixed length. Any thread may use it, and so may a forked child. Close it with shc_array_close.
pub struct shc_array {
    tagged: Tagged<RawArray>,
}
handle!(shc_array, RawArray, b"shc_arry");

unsafe fn make(
    segment: *const shc_segment,
    name: *const c_char,
    ty: *const shc_type,
    len: Option<usize>,
    verb: Verb,
    out: *mut *mut shc_array,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        let segment = shc_segment::borrow(segment)?;
        let ty = shc_type::read(ty)?;
        let name = text(name, "the array's name")?;
        out.set(shc_array::give(RawArray::get_object(segment, name, verb, &ty, len)?))
    })
}

/// Creates an array of `len` elements, all zero bytes. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_array_create(
    segment: *const shc_segment,
    name: *const c_char,
    ty: *const shc_type,
    len: usize,
    out: *mut *mut shc_array,
) -> shc_status {
    unsafe { make(segment, name, ty, Some(len), Verb::Create, out) }
}

/// Opens an array of the same type, of any length. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_array_open(
    segment: *const shc_segment,
    name: *const c_char,
    ty: *const shc_type,
    out: *mut *mut shc_array,
) -> shc_status {
    unsafe { make(segment, name, ty, None, Verb::Open, out) }
}

/// Opens an array of the same type and length, or creates it. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_array_open_or_create(
    segment: *const shc_segment,
    name: *const c_char,
    ty: *const shc_type,
    len: usize,
    out: *mut *mut shc_array,
) -> shc_status {
    unsafe { make(segment, name, ty, Some(len), Verb::OpenOrCreate, out) }
}

/// Closes a handle; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_array_close(array: *mut shc_array) -> shc_status {
    unsafe { Handle::close(array) }
}

/// The number of elements.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_array_len(array: *const shc_array, out: *mut usize) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_array::borrow(array)? }.len()))
}

/// The size of an element in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_array_element_size(array: *const shc_array, out: *mut usize) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_array::borrow(array)? }.element_size()))
}

/// Copies elements from index `start` on to `out`: `size` bytes, a multiple of the element's size. An element
/// of 1, 2, 4 or 8 bytes is read whole.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_array_read(
    array: *const shc_array,
    start: usize,
    out: *mut c_void,
    size: usize,
) -> shc_status {
    guard(|| unsafe {
        shc_array::borrow(array)?.read(start, bytes_mut(out, size)?)?;
        Ok(SHC_OK)
    })
}

/// Copies `size` bytes, a multiple of the element's size, to the elements from index `start` on. An element
/// of 1, 2, 4 or 8 bytes is written whole.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_array_write(
    array: *const shc_array,
    start: usize,
    data: *const c_void,
    size: usize,
) -> shc_status {
    guard(|| unsafe {
        shc_array::borrow(array)?.write(start, bytes(data, size)?)?;
        Ok(SHC_OK)
    })
}

/// Makes `count` elements from index `start` on equal to the one of `size` bytes that `element` points to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_array_fill(
    array: *const shc_array,
    start: usize,
    count: usize,
    element: *const c_void,
    size: usize,
) -> shc_status {
    guard(|| unsafe {
        shc_array::borrow(array)?.fill(start, count, bytes(element, size)?)?;
        Ok(SHC_OK)
    })
}

/// The address of the first element, valid while the handle is open. Others read and write there at any time.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_array_address(array: *const shc_array, out: *mut *mut c_void) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_array::borrow(array)? }.address().cast()))
}

/// Copies the text of an array up to its first NUL, without one, to a buffer; its length in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_array_get_text(
    array: *const shc_array,
    buffer: *mut c_void,
    size: usize,
    len: *mut usize,
) -> shc_status {
    guard(|| unsafe {
        let len = Out::new(len)?;
        let text = shc_array::borrow(array)?.text();
        let Some(place) = bytes_mut(buffer, size)?.get_mut(..text.len()) else {
            fail!(BufferTooSmall, "the buffer has {size} bytes, {} are needed", text.len());
        };
        place.copy_from_slice(&text);
        len.set(text.len())
    })
}

/// Copies `len` bytes to the start of an array, and a NUL behind them if there is room.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_array_set_text(
    array: *const shc_array,
    text: *const c_void,
    len: usize,
) -> shc_status {
    guard(|| unsafe {
        shc_array::borrow(array)?.set_text(bytes(text, len)?)?;
        Ok(SHC_OK)
    })
}

/// Acquires the array's lock; as shc_value_lock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_array_lock(array: *const shc_array, timeout_ns: i64) -> shc_status {
    guard(|| {
        let array = unsafe { shc_array::borrow(array)? };
        super::lock::acquire(&array.handle, array.lock_word(), deadline(timeout_ns)?)
    })
}

/// Releases the array's lock; as shc_value_unlock.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_array_unlock(array: *const shc_array) -> shc_status {
    guard(|| {
        let array = unsafe { shc_array::borrow(array)? };
        crate::sync::release_word(&array.handle, array.lock_word()).map(|()| SHC_OK)
    })
}
