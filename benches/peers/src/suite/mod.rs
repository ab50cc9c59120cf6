//! The disciplines.

pub mod lock;
pub mod pipe;
pub mod queue;
pub mod round;
