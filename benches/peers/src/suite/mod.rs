//! The disciplines.

pub mod growth;
pub mod loan;
pub mod lock;
pub mod open;
pub mod pipe;
pub mod python;
pub mod queue;
pub mod quiet;
pub mod recovery;
pub mod round;
pub mod sweep;
pub mod value;
