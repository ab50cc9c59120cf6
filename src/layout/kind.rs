//! What kinds of objects there are, and how they are called.

use super::Spec;

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
    /// A lock that its thread can take again.
    RLock = 7,
    /// A condition variable with its lock.
    Condition = 8,
    /// A flag that can be waited for.
    Event = 9,
    /// A meeting point.
    Barrier = 10,
    /// A lock for many readers or one writer.
    RwLock = 11,
}

const ALL: [Kind; 11] = [
    Kind::Value,
    Kind::Array,
    Kind::Lock,
    Kind::Semaphore,
    Kind::Queue,
    Kind::Pipe,
    Kind::RLock,
    Kind::Condition,
    Kind::Event,
    Kind::Barrier,
    Kind::RwLock,
];

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
            Self::RLock => "rlock",
            Self::Condition => "condition",
            Self::Event => "event",
            Self::Barrier => "barrier",
            Self::RwLock => "rwlock",
        }
    }

    /// The kind that a number in memory means.
    pub fn of(number: u32) -> Option<Self> {
        ALL.into_iter().find(|kind| *kind as u32 == number)
    }
}

impl Spec {
    /// The kind's name, known or not.
    pub fn kind_name(&self) -> &'static str {
        Kind::of(self.kind).map_or("object of an unknown kind", Kind::name)
    }

    /// The element type in words: `'d'`, or `Point (16 bytes)`.
    pub fn type_text(&self) -> String {
        match self.typecode() {
            Some(code) => format!("'{code}'"),
            None => format!("{} ({} bytes)", self.type_name, self.element),
        }
    }

    /// The typecode, if the elements have one.
    pub fn typecode(&self) -> Option<char> {
        char::from_u32(self.typecode).filter(|code| *code != '\0')
    }
}

/// An object in words: `an array of 10 'd'`.
impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.kind_name();
        let article = if name.starts_with(['a', 'e', 'o']) { "an" } else { "a" };
        write!(f, "{article} {name}")?;
        match Kind::of(self.kind) {
            Some(Kind::Value) => write!(f, " of type {}", self.type_text()),
            Some(Kind::Array) => write!(f, " of {} {}", self.count, self.type_text()),
            Some(Kind::Queue) => write!(f, " for {} items", self.count),
            _ => Ok(()),
        }
    }
}
