//! The part of the benches that is in C: `fast_paths.c`.

use std::ffi::{c_int, c_void};

unsafe extern "C" {
    /// An object of the kind with this letter: l, q, p or v.
    pub fn c_setup(what: c_int) -> *mut c_void;
    /// Acquires and releases.
    pub fn c_lock_pairs(object: *mut c_void, times: c_int);
    /// Puts and gets.
    pub fn c_queue_pairs(object: *mut c_void, times: c_int);
    /// Sends and receives.
    pub fn c_pipe_pairs(object: *mut c_void, times: c_int);
    /// Reads.
    pub fn c_value_gets(object: *mut c_void, times: c_int);
    /// Writes.
    pub fn c_value_sets(object: *mut c_void, times: c_int);
    /// Adds.
    pub fn c_value_adds(object: *mut c_void, times: c_int);
}
