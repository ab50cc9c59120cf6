//! Element types: the typecodes of Python's `array` and `struct`, and plain data by name.

use bytemuck::{CheckedBitPattern, NoUninit, Pod, Zeroable};

use crate::error::{Result, fail};
use crate::layout::{Spec, TYPE_NAME_MAX};

/// The size of a typecode's elements, the same on every machine: `l` and `L` have 8 bytes.
pub fn typecode_size(code: char) -> Option<usize> {
    Some(match code {
        'c' | 'b' | 'B' | '?' => 1,
        'h' | 'H' => 2,
        'i' | 'I' | 'f' => 4,
        'l' | 'L' | 'q' | 'Q' | 'd' => 8,
        _ => return None,
    })
}

/// The typecode that stands for all that mean the same: `l` is `q`, `L` is `Q`.
fn canonical(code: char) -> char {
    match code {
        'l' => 'q',
        'L' => 'Q',
        other => other,
    }
}

/// What the elements of a value or an array are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementType {
    /// The typecode, or `None` for plain data.
    pub typecode: Option<char>,
    /// The size in bytes.
    pub size: usize,
    /// The name of a plain-data type, empty for a typecode's.
    pub name: String,
}

impl ElementType {
    /// Checks a type as a caller gives it.
    pub fn checked(self, align: usize) -> Result<Self> {
        if let Some(code) = self.typecode
            && typecode_size(code).is_none()
        {
            fail!(InvalidArgument, "unknown typecode {code:?}; one of c b B h H i I l L q Q f d ?");
        }
        if self.typecode.is_none() && self.name.is_empty() {
            fail!(InvalidArgument, "a plain-data type needs a name, so that others can check it");
        }
        if self.name.len() > TYPE_NAME_MAX || self.name.chars().any(char::is_control) {
            fail!(InvalidArgument, "the name of a type has 1 to {TYPE_NAME_MAX} bytes; got {:?}", self.name);
        }
        if self.size == 0 || self.size > 1 << 30 {
            fail!(InvalidArgument, "an element has 1 byte to 1 GiB; got {}", self.size);
        }
        if !align.is_power_of_two() || align > 64 {
            fail!(InvalidArgument, "an element is aligned to a power of two up to 64; got {align}");
        }
        Ok(self)
    }

    /// As an object of `kind` with `count` elements.
    pub fn spec(&self, kind: u32, count: u64) -> Spec {
        Spec {
            kind,
            typecode: self.typecode.map_or(0, u32::from),
            element: self.size as u32,
            variant: 0,
            count,
            type_name: self.name.clone(),
        }
    }

    /// Whether an object's elements are of this type.
    pub fn check(&self, have: &Spec) -> Result<()> {
        let same = have.typecode().map(canonical) == self.typecode.map(canonical)
            && have.element as usize == self.size
            && have.type_name == self.name;
        if same {
            return Ok(());
        }
        fail!(WrongType, "it is of type {}, not {}", have.type_text(), self.spec(have.kind, 0).type_text())
    }
}

/// A type whose values can lie in shared memory: the numbers, `bool`, [`Char`], and any plain-data type that
/// a program declares to be one.
///
/// ```
/// #[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
/// #[repr(C)]
/// struct Point {
///     x: f64,
///     y: f64,
/// }
/// impl sharecell::Element for Point {
///     const NAME: &'static str = "Point";
/// }
/// ```
///
/// The name and the size are what other languages check. Use `repr(C)` and fixed-width fields.
pub trait Element: NoUninit + CheckedBitPattern + Send + Sync {
    /// The typecode, `None` for plain data.
    const TYPECODE: Option<char> = None;
    /// The name of a plain-data type, the same in all languages; empty for a typecode's.
    const NAME: &'static str = "";

    /// The type in words.
    #[doc(hidden)]
    fn type_name() -> String {
        Self::TYPECODE.map_or_else(|| Self::NAME.to_owned(), String::from)
    }

    /// The type as an object's head has it.
    #[doc(hidden)]
    fn element_type() -> Result<ElementType> {
        let all =
            ElementType { typecode: Self::TYPECODE, size: size_of::<Self>(), name: Self::NAME.to_owned() };
        all.checked(align_of::<Self>())
    }
}

/// A number that can be added to atomically.
pub trait Number: Element {
    /// The sum; integers wrap around as atomics do.
    fn plus(self, other: Self) -> Self;
}

/// One byte of text: the elements of a 'c' array.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Char(pub u8);

// SAFETY: it is a byte, for which 0 is valid.
unsafe impl Zeroable for Char {}
// SAFETY: it is a byte: no padding, and every content is valid.
unsafe impl Pod for Char {}

impl Element for Char {
    const TYPECODE: Option<char> = Some('c');
}

impl Element for bool {
    const TYPECODE: Option<char> = Some('?');
}

macro_rules! numbers {
    ($($ty:ty, $code:literal, $a:ident, $b:ident, $sum:expr;)*) => {$(
        impl Element for $ty {
            const TYPECODE: Option<char> = Some($code);
        }
        impl Number for $ty {
            fn plus(self, other: Self) -> Self {
                let ($a, $b) = (self, other);
                $sum
            }
        }
    )*};
}

numbers! {
    i8, 'b', a, b, a.wrapping_add(b);
    u8, 'B', a, b, a.wrapping_add(b);
    i16, 'h', a, b, a.wrapping_add(b);
    u16, 'H', a, b, a.wrapping_add(b);
    i32, 'i', a, b, a.wrapping_add(b);
    u32, 'I', a, b, a.wrapping_add(b);
    i64, 'q', a, b, a.wrapping_add(b);
    u64, 'Q', a, b, a.wrapping_add(b);
    f32, 'f', a, b, a + b;
    f64, 'd', a, b, a + b;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_typecode_has_a_size_and_no_other_has() {
        for code in "cbBhHiIlLqQfd?".chars() {
            assert!(typecode_size(code).is_some(), "{code}");
        }
        for code in "xunNesPp @=<>!sw\0é".chars() {
            assert!(typecode_size(code).is_none(), "{code}");
        }
    }

    #[test]
    fn a_mismatch_names_both_types() {
        let error = f64::element_type().unwrap().check(&i32::element_type().unwrap().spec(1, 1)).unwrap_err();
        assert_eq!(error.to_string(), "it is of type 'i', not 'd'");
        let long = ElementType { typecode: Some('l'), size: 8, name: String::new() };
        i64::element_type().unwrap().check(&long.spec(1, 1)).unwrap();
    }
}
