//! Typed values and arrays.

mod array;
mod copy;
mod raw_array;
mod raw_value;
mod typecode;
mod value;

pub use array::Array;
pub(crate) use raw_array::{RawArray, recover as recover_array};
pub(crate) use raw_value::{RawValue, recover as recover_value};
pub(crate) use typecode::ElementType;
#[cfg(feature = "capi")]
pub(crate) use typecode::typecode_size;
pub use typecode::{Char, Element, Number};
pub use value::Value;

use crate::layout::Row;

/// The layout of values and arrays.
pub const LAYOUT: &[&[Row]] = &[raw_value::TABLE, raw_array::TABLE];
