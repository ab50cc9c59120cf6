//! The head of every named object.

use crate::atomic::{AtomicU32, AtomicU64, Relaxed};
use crate::error::{Error, Result};

use super::describe;

/// The longest name of an object, in bytes.
pub const NAME_MAX: usize = 128;
/// The longest name of an element type, in bytes.
pub const TYPE_NAME_MAX: usize = 64;
/// The size of an object's head; its own part follows, aligned to 128.
pub const OBJECT_HEADER: u64 = size_of::<ObjectHeader>() as u64;

/// The object can be opened.
pub const LIVE: u32 = 0x4c49_5645;
/// The object was removed; who has it open goes on with it.
pub const REMOVED: u32 = 0x474f_4e45;

/// The head of an object. All but `state` and `next` is written before the object can be found.
#[repr(C, align(128))]
#[derive(Debug)]
pub struct ObjectHeader {
    /// `LIVE` or `REMOVED`.
    pub state: AtomicU32,
    /// What kind of object it is.
    pub kind: AtomicU32,
    /// Unique in the segment: another object in the same block has another one.
    pub generation: AtomicU64,
    /// The next object of the chain.
    pub next: AtomicU64,
    /// The hash of the name.
    pub hash: AtomicU64,
    /// The size of the object's own part in bytes.
    pub size: AtomicU64,
    /// The number of elements, or the capacity in items.
    pub count: AtomicU64,
    /// The typecode, 0 if none.
    pub typecode: AtomicU32,
    /// The size of an element, or the largest item, in bytes.
    pub element: AtomicU32,
    /// The lengths of the two names: the object's, and from bit 16 the type's.
    pub lengths: AtomicU32,
    /// What else distinguishes objects of the kind (a pipe's direction).
    pub variant: AtomicU32,
    /// The object's name.
    pub name: [AtomicU64; NAME_MAX / 8],
    /// The name of the element type, empty for a typecode's.
    pub type_name: [AtomicU64; TYPE_NAME_MAX / 8],
}

describe! { TABLE:
    ObjectHeader = 256 {
        state @ 0, kind @ 4, generation @ 8, next @ 16, hash @ 24, size @ 32, count @ 40, typecode @ 48,
        element @ 52, lengths @ 56, variant @ 60, name @ 64, type_name @ 192,
    }
}

/// What an object is, as its creator said and as an opener must say again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// What kind of object it is.
    pub kind: u32,
    /// The typecode, 0 if none.
    pub typecode: u32,
    /// The size of an element, or the largest item, in bytes.
    pub element: u32,
    /// What else distinguishes objects of the kind.
    pub variant: u32,
    /// The number of elements, or the capacity in items.
    pub count: u64,
    /// The name of the element type, empty for a typecode's.
    pub type_name: String,
}

fn put(words: &[AtomicU64], text: &str) {
    let mut bytes = text.bytes();
    for word in words {
        let chunk = std::array::from_fn(|_| bytes.next().unwrap_or(0));
        word.store(u64::from_ne_bytes(chunk), Relaxed);
    }
}

fn get(words: &[AtomicU64], len: usize) -> Result<String> {
    let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.load(Relaxed).to_ne_bytes()).collect();
    if len > bytes.len() {
        return Err(Error::corrupted(format!("an object's name claims to be {len} bytes long")));
    }
    bytes.truncate(len);
    String::from_utf8(bytes).map_err(|_| Error::corrupted("an object's name is not UTF-8"))
}

impl ObjectHeader {
    /// Writes all but `state` and `next`. The names must not be longer than their fields.
    pub fn write(&self, name: &str, hash: u64, generation: u64, size: u64, spec: &Spec) {
        debug_assert!(name.len() <= NAME_MAX && spec.type_name.len() <= TYPE_NAME_MAX);
        self.kind.store(spec.kind, Relaxed);
        self.generation.store(generation, Relaxed);
        self.hash.store(hash, Relaxed);
        self.size.store(size, Relaxed);
        self.count.store(spec.count, Relaxed);
        self.typecode.store(spec.typecode, Relaxed);
        self.element.store(spec.element, Relaxed);
        self.variant.store(spec.variant, Relaxed);
        self.lengths.store((name.len() | spec.type_name.len() << 16) as u32, Relaxed);
        put(&self.name, name);
        put(&self.type_name, &spec.type_name);
    }

    /// The object's name.
    pub fn name(&self) -> Result<String> {
        get(&self.name, (self.lengths.load(Relaxed) & 0xffff) as usize)
    }

    /// Whether the object's name is `name`; allocates nothing.
    pub fn is_named(&self, name: &str) -> bool {
        let mut bytes = name.bytes();
        (self.lengths.load(Relaxed) & 0xffff) as usize == name.len()
            && self.name[..name.len().div_ceil(8)].iter().all(|word| {
                let chunk = std::array::from_fn(|_| bytes.next().unwrap_or(0));
                word.load(Relaxed) == u64::from_ne_bytes(chunk)
            })
    }

    /// What the object is.
    pub fn spec(&self) -> Result<Spec> {
        Ok(Spec {
            kind: self.kind.load(Relaxed),
            typecode: self.typecode.load(Relaxed),
            element: self.element.load(Relaxed),
            variant: self.variant.load(Relaxed),
            count: self.count.load(Relaxed),
            type_name: get(&self.type_name, (self.lengths.load(Relaxed) >> 16) as usize)?,
        })
    }
}
