//! Values in C.

use std::ffi::{c_char, c_void};

use super::segment::shc_segment;
use super::{
    Handle, Out, SHC_OK, Tagged, bytes, deadline, exactly, exactly_mut, guard, handle, shc_status, shc_type,
    text,
};
use crate::cell::{ElementType, Number, RawValue, typecode_size};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::segment::handle::Verb;

/// A single value. Any thread may use it, and so may a forked child. Close it with shc_value_close.
pub struct shc_value {
    tagged: Tagged<RawValue>,
}
handle!(shc_value, RawValue, b"shc_valu");

impl shc_type {
    /// The type that a caller describes.
    pub(super) unsafe fn read(given: *const Self) -> Result<ElementType> {
        if given.is_null() {
            fail!(InvalidArgument, "the type is NULL");
        }
        let given = unsafe { given.read_unaligned() };
        if given.typecode == 0 {
            let name = unsafe { text(given.name, "the type's name")? }.to_owned();
            let size = usize::try_from(given.size).unwrap_or(usize::MAX);
            return ElementType { typecode: None, size, name }.checked(given.align as usize);
        }
        let code = char::from_u32(given.typecode).unwrap_or('\u{fffd}');
        let size = typecode_size(code).unwrap_or(1);
        ElementType { typecode: Some(code), size, name: String::new() }.checked(1)
    }
}

unsafe fn make(
    segment: *const shc_segment,
    name: *const c_char,
    ty: *const shc_type,
    initial: Option<*const c_void>,
    verb: Verb,
    out: *mut *mut shc_value,
) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        let segment = shc_segment::borrow(segment)?;
        let ty = shc_type::read(ty)?;
        let initial = match initial {
            Some(initial) if !initial.is_null() => bytes(initial, ty.size)?,
            _ => &[],
        };
        let name = text(name, "the value's name")?;
        out.set(shc_value::give(RawValue::get_object(segment, name, verb, &ty, initial)?))
    })
}

/// Creates a value. `initial` points to a value of the type, or is NULL for zero bytes. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_value_create(
    segment: *const shc_segment,
    name: *const c_char,
    ty: *const shc_type,
    initial: *const c_void,
    out: *mut *mut shc_value,
) -> shc_status {
    unsafe { make(segment, name, ty, Some(initial), Verb::Create, out) }
}

/// Opens a value of the same type. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_value_open(
    segment: *const shc_segment,
    name: *const c_char,
    ty: *const shc_type,
    out: *mut *mut shc_value,
) -> shc_status {
    unsafe { make(segment, name, ty, None, Verb::Open, out) }
}

/// Opens a value of the same type, or creates it. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_value_open_or_create(
    segment: *const shc_segment,
    name: *const c_char,
    ty: *const shc_type,
    initial: *const c_void,
    out: *mut *mut shc_value,
) -> shc_status {
    unsafe { make(segment, name, ty, Some(initial), Verb::OpenOrCreate, out) }
}

/// Closes a handle; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_value_close(value: *mut shc_value) -> shc_status {
    unsafe { Handle::close(value) }
}

/// The size of the value in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_value_size(value: *const shc_value, out: *mut usize) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_value::borrow(value)? }.size()))
}

// Values of 8 bytes are the most common ones: what reads and writes them is compiled for that size into the functions
// for C, what does so for any size is called.

#[inline(never)]
fn read(value: &RawValue, out: &mut [u8]) {
    value.read(out);
}

#[inline(never)]
fn write(value: &RawValue, data: &[u8]) -> Result<()> {
    value.write(data)
}

/// Copies the value to `out`, whose `size` must be the value's. Atomic, at any size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_value_get(value: *const shc_value, out: *mut c_void, size: usize) -> shc_status {
    guard(|| unsafe {
        let value = shc_value::borrow(value)?;
        value.check_size(size)?;
        let out = exactly_mut(out, size)?;
        match <&mut [u8; 8]>::try_from(&mut *out) {
            Ok(out) => value.read(out),
            Err(_) => read(value, out),
        }
        Ok(SHC_OK)
    })
}

/// Makes what `data` points to the value. Atomic, at any size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_value_set(
    value: *const shc_value,
    data: *const c_void,
    size: usize,
) -> shc_status {
    guard(|| unsafe {
        let value = shc_value::borrow(value)?;
        value.check_size(size)?;
        let data = exactly(data, size)?;
        match <&[u8; 8]>::try_from(data) {
            Ok(data) => value.write(data)?,
            Err(_) => write(value, data)?,
        }
        Ok(SHC_OK)
    })
}

/// Makes what `data` points to the value, and copies what it was before to `old`. Atomic, at any size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_value_exchange(
    value: *const shc_value,
    data: *const c_void,
    size: usize,
    old: *mut c_void,
) -> shc_status {
    guard(|| unsafe {
        let value = shc_value::borrow(value)?;
        value.check_size(size)?;
        let data = exactly(data, size)?.to_vec();
        value.exchange(&data, exactly_mut(old, size)?)?;
        Ok(SHC_OK)
    })
}

/// Makes what `desired` points to the value if it is what `expected` points to, byte by byte; copies what it
/// was before to `old`, and whether it was changed to `changed`. Atomic, at any size.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_value_compare_exchange(
    value: *const shc_value,
    expected: *const c_void,
    desired: *const c_void,
    size: usize,
    old: *mut c_void,
    changed: *mut bool,
) -> shc_status {
    guard(|| unsafe {
        let changed = Out::new(changed)?;
        let value = shc_value::borrow(value)?;
        value.check_size(size)?;
        let (expected, desired) = (exactly(expected, size)?.to_vec(), exactly(desired, size)?.to_vec());
        changed.set(value.compare_exchange(&expected, &desired, exactly_mut(old, size)?)?)
    })
}

/// Adds, as type `T`, to a value of that type.
fn add<T: Number>(value: &RawValue, amount: T) -> Result<T> {
    let mut old = [0; size_of::<u64>()];
    let old = &mut old[..size_of::<T>()];
    value.update(old, |now, out| {
        let now: T = bytemuck::checked::pod_read_unaligned(now);
        out.copy_from_slice(bytemuck::bytes_of(&now.plus(amount)));
        true
    })?;
    Ok(bytemuck::checked::pod_read_unaligned(old))
}

#[cold]
#[inline(never)]
fn no_number(value: &RawValue, what: &str) -> Error {
    Error::new(ErrorKind::WrongType, format!("{} does not hold {what}", value.handle.describe()))
}

/// Converts an amount to the type of a value; of an unsigned one also a negative amount, which wraps around.
fn narrow<T: TryFrom<i64>, S: TryFrom<i64>>(value: &RawValue, amount: i64, wrap: fn(S) -> T) -> Result<T> {
    match T::try_from(amount).or_else(|_| S::try_from(amount).map(wrap)) {
        Ok(amount) => Ok(amount),
        Err(_) => Err(no_summand(value, amount)),
    }
}

#[cold]
#[inline(never)]
fn no_summand(value: &RawValue, amount: i64) -> Error {
    let text = format!("{amount} cannot be added to {}", value.handle.describe());
    Error::new(ErrorKind::ValueRange, text)
}

/// Adds to a value of an integer typecode, wrapping around; what it was before goes to `old`, if that is not
/// NULL (an unsigned 64-bit number as the same bits). Atomic.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_value_add_int(
    value: *const shc_value,
    amount: i64,
    old: *mut i64,
) -> shc_status {
    guard(|| {
        let value = unsafe { shc_value::borrow(value)? };
        let before = match value.typecode() {
            'b' => add::<i8>(value, narrow(value, amount, |same: i8| same)?)?.into(),
            'B' => add::<u8>(value, narrow(value, amount, |wraps: i8| wraps as u8)?)?.into(),
            'h' => add::<i16>(value, narrow(value, amount, |same: i16| same)?)?.into(),
            'H' => add::<u16>(value, narrow(value, amount, |wraps: i16| wraps as u16)?)?.into(),
            'i' => add::<i32>(value, narrow(value, amount, |same: i32| same)?)?.into(),
            'I' => add::<u32>(value, narrow(value, amount, |wraps: i32| wraps as u32)?)?.into(),
            'l' | 'q' => add::<i64>(value, amount)?,
            'L' | 'Q' => add::<u64>(value, amount as u64)? as i64,
            _ => return Err(no_number(value, "an integer")),
        };
        if !old.is_null() {
            unsafe { old.write_unaligned(before) };
        }
        Ok(SHC_OK)
    })
}

/// Adds to a value of typecode f or d; what it was before goes to `old`, if that is not NULL. Atomic.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_value_add_float(
    value: *const shc_value,
    amount: f64,
    old: *mut f64,
) -> shc_status {
    guard(|| {
        let value = unsafe { shc_value::borrow(value)? };
        let before = match value.typecode() {
            'f' => add::<f32>(value, amount as f32)?.into(),
            'd' => add::<f64>(value, amount)?,
            _ => return Err(no_number(value, "a floating-point number")),
        };
        if !old.is_null() {
            unsafe { old.write_unaligned(before) };
        }
        Ok(SHC_OK)
    })
}

/// The address of a value of 1, 2, 4 or 8 bytes, valid while the handle is open. Others read and write it at
/// any time: access it by whole words. SHC_ERR_UNSUPPORTED for other sizes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_value_address(value: *const shc_value, out: *mut *mut c_void) -> shc_status {
    guard(|| {
        let out = Out::new(out)?;
        let value = unsafe { shc_value::borrow(value)? };
        match value.address() {
            Some(address) => out.set(address.cast()),
            None => fail!(Unsupported, "{} is no single word; use get and set", value.handle.describe()),
        }
    })
}

/// Acquires the value's lock: SHC_OK, or SHC_OWNER_DIED (it is held, too); SHC_WOULD_BLOCK, SHC_TIMED_OUT,
/// SHC_INTERRUPTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_value_lock(value: *const shc_value, timeout_ns: i64) -> shc_status {
    guard(|| {
        let value = unsafe { shc_value::borrow(value)? };
        super::lock::acquire(&value.handle, value.lock_word(), deadline(timeout_ns)?)
    })
}

/// Releases the value's lock: SHC_OK, SHC_ERR_NOT_HELD, SHC_ERR_NOT_OWNER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_value_unlock(value: *const shc_value) -> shc_status {
    guard(|| {
        let value = unsafe { shc_value::borrow(value)? };
        crate::sync::release_word(&value.handle, value.lock_word()).map(|()| SHC_OK)
    })
}
