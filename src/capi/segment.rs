//! Segments in C.

use std::ffi::{c_char, c_void};
use std::os::fd::{BorrowedFd, IntoRawFd};
use std::time::Duration;

use super::{Handle, Out, SHC_OK, Tagged, guard, handle, options, put_text, shc_status, text};
use crate::error::{Result, fail};
use crate::layout::Kind;
use crate::segment::{Segment, SegmentOptions};

/// A segment that this process is attached to. Any thread may use it, and so may a forked child, which is a
/// participant of its own. Close it with shc_segment_close.
pub struct shc_segment {
    tagged: Tagged<Segment>,
}
handle!(shc_segment, Segment, b"shc_sgmt");

/// The last participant to leave a new segment unlinks it.
pub const SHC_SEGMENT_EPHEMERAL: u32 = 1;
/// Open a segment that belongs to another user, who can change and truncate it at will.
pub const SHC_SEGMENT_ANY_USER: u32 = 2;

/// How to create or open a segment. What is 0 has its default.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shc_segment_options {
    /// sizeof(shc_segment_options).
    pub struct_size: usize,
    /// The size in bytes that a new segment may grow to: a ceiling, not a cost. Default 1 GiB.
    pub limit: u64,
    /// How long opening waits for somebody to create the segment, in nanoseconds. Default 0.
    pub wait_ns: u64,
    /// The permissions of a new segment, whatever the umask. Default 0600.
    pub mode: u32,
    /// How many processes may be attached at a time. Default 64, at most 4095.
    pub participants: u32,
    /// SHC_SEGMENT_EPHEMERAL, SHC_SEGMENT_ANY_USER.
    pub flags: u32,
    /// 0.
    pub reserved: u32,
}

impl shc_segment_options {
    const DEFAULT: Self = Self {
        struct_size: size_of::<Self>(),
        limit: 0,
        wait_ns: 0,
        mode: 0,
        participants: 0,
        flags: 0,
        reserved: 0,
    };

    unsafe fn read(given: *const Self) -> Result<SegmentOptions> {
        let o = unsafe { options(given, Self::DEFAULT)? };
        if o.flags & !(SHC_SEGMENT_EPHEMERAL | SHC_SEGMENT_ANY_USER) != 0 || o.reserved != 0 {
            fail!(InvalidArgument, "unknown flags {:#x} in the segment's options", o.flags);
        }
        let mut out = SegmentOptions::new()
            .ephemeral(o.flags & SHC_SEGMENT_EPHEMERAL != 0)
            .any_user(o.flags & SHC_SEGMENT_ANY_USER != 0)
            .wait(Duration::from_nanos(o.wait_ns));
        if o.limit != 0 {
            out = out.limit(o.limit);
        }
        if o.mode != 0 {
            out = out.mode(o.mode);
        }
        if o.participants != 0 {
            out = out.participants(o.participants);
        }
        Ok(out)
    }
}

unsafe fn make(
    name: *const c_char,
    options: *const shc_segment_options,
    out: *mut *mut shc_segment,
    verb: impl FnOnce(&SegmentOptions, &str) -> Result<Segment>,
) -> shc_status {
    guard(|| {
        let out = Out::new(out)?;
        let name = unsafe { text(name, "the segment's name")? };
        let options = unsafe { shc_segment_options::read(options)? };
        out.set(shc_segment::give(verb(&options, name)?))
    })
}

/// Creates a segment. `options` may be NULL. The caller closes the segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_create(
    name: *const c_char,
    options: *const shc_segment_options,
    out: *mut *mut shc_segment,
) -> shc_status {
    unsafe { make(name, options, out, SegmentOptions::create) }
}

/// Opens a segment. `options` may be NULL. The caller closes the segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_open(
    name: *const c_char,
    options: *const shc_segment_options,
    out: *mut *mut shc_segment,
) -> shc_status {
    unsafe { make(name, options, out, SegmentOptions::open) }
}

/// Opens a segment, or creates it where there is none. `options` may be NULL. The caller closes the segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_open_or_create(
    name: *const c_char,
    options: *const shc_segment_options,
    out: *mut *mut shc_segment,
) -> shc_status {
    unsafe { make(name, options, out, SegmentOptions::open_or_create) }
}

/// Creates a segment without a name, which nobody can unlink, squat or truncate. It is handed on by fork, and as a
/// descriptor. `options` may be NULL. The caller closes the segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_create_anonymous(
    options: *const shc_segment_options,
    out: *mut *mut shc_segment,
) -> shc_status {
    guard(|| {
        let out = Out::new(out)?;
        out.set(shc_segment::give(unsafe { shc_segment_options::read(options)? }.create_anonymous()?))
    })
}

/// A descriptor of an anonymous segment, for another process to attach by. The caller closes it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_to_fd(segment: *const shc_segment, fd: *mut i32) -> shc_status {
    guard(|| {
        let fd = Out::new(fd)?;
        fd.set(unsafe { shc_segment::borrow(segment)? }.to_fd()?.into_raw_fd())
    })
}

/// Attaches to an anonymous segment by a descriptor of it, which stays the caller's. The caller closes the segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_from_fd(fd: i32, out: *mut *mut shc_segment) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        out.set(shc_segment::give(Segment::from_fd(descriptor(fd)?)?))
    })
}

/// Hands an anonymous segment over a connected Unix socket.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_send_over(segment: *const shc_segment, socket: i32) -> shc_status {
    guard(|| unsafe {
        shc_segment::borrow(segment)?.send_over(descriptor(socket)?)?;
        Ok(SHC_OK)
    })
}

/// Attaches to an anonymous segment that comes over a Unix socket. SHC_CLOSED when the socket was closed, or something
/// else came; SHC_WOULD_BLOCK, SHC_INTERRUPTED. The caller closes the segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_receive_over(socket: i32, out: *mut *mut shc_segment) -> shc_status {
    guard(|| unsafe {
        let out = Out::new(out)?;
        out.set(shc_segment::give(Segment::receive_over(descriptor(socket)?)?))
    })
}

unsafe fn descriptor<'a>(fd: i32) -> Result<BorrowedFd<'a>> {
    if fd < 0 {
        fail!(InvalidArgument, "a descriptor is not negative; got {fd}");
    }
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Lays a new segment over `len` bytes of shared memory that the caller has mapped and keeps mapped, aligned to a page.
/// `name` is that of the file that keeps the leases; shc_segment_unlink removes it. The segment does not grow beyond
/// the memory. `options` may be NULL. The caller closes the segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_create_over(
    name: *const c_char,
    memory: *mut c_void,
    len: usize,
    options: *const shc_segment_options,
    out: *mut *mut shc_segment,
) -> shc_status {
    unsafe { make(name, options, out, |options, name| options.create_over(name, memory.cast(), len)) }
}

/// Attaches to a segment that was laid over the same memory, wherever this process has it mapped; one that is attached
/// already goes on with the mapping that it attached with. `options` may be NULL. The caller closes the segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_open_over(
    name: *const c_char,
    memory: *mut c_void,
    len: usize,
    options: *const shc_segment_options,
    out: *mut *mut shc_segment,
) -> shc_status {
    unsafe { make(name, options, out, |options, name| options.open_over(name, memory.cast(), len)) }
}

/// Attaches to a segment that was laid over the same memory, or lays a new one over it where there is none of that name;
/// while somebody else is laying it, this waits up to a second for that. `options` may be NULL. The caller closes the
/// segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_open_or_create_over(
    name: *const c_char,
    memory: *mut c_void,
    len: usize,
    options: *const shc_segment_options,
    out: *mut *mut shc_segment,
) -> shc_status {
    unsafe { make(name, options, out, |options, name| options.open_or_create_over(name, memory.cast(), len)) }
}

/// Takes the name from a segment. Who is attached goes on with it. Of one over given memory it removes the file that
/// keeps the leases.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_unlink(name: *const c_char) -> shc_status {
    guard(|| Segment::unlink(unsafe { text(name, "the segment's name")? }).map(|()| SHC_OK))
}

/// Closes a handle to a segment; NULL is fine. SHC_ERR_BUSY, with the handle still open, while objects of the
/// segment are open in this process and this is its last handle to the segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_close(segment: *mut shc_segment) -> shc_status {
    guard(|| {
        if segment.is_null() {
            return Ok(SHC_OK);
        }
        // A clone of its own to close, so that the handle stays whole if that is refused.
        unsafe { shc_segment::borrow(segment)? }.check_closable()?;
        Ok(unsafe { Handle::close(segment) })
    })
}

/// Copies the segment's name and a NUL into a buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_name(
    segment: *const shc_segment,
    buffer: *mut c_char,
    size: usize,
) -> shc_status {
    guard(|| unsafe { put_text(shc_segment::borrow(segment)?.name(), buffer, size) })
}

/// The size in bytes that the segment may grow to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_limit(segment: *const shc_segment, out: *mut u64) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_segment::borrow(segment)? }.limit()))
}

/// The memory that the segment takes, in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_size(segment: *const shc_segment, out: *mut u64) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_segment::borrow(segment)? }.size()?))
}

/// Whether the segment's name was taken from it, or leads to another segment by now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_is_unlinked(segment: *const shc_segment, out: *mut bool) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_segment::borrow(segment)? }.is_unlinked()))
}

/// Whether the segment has no name and never had one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_is_anonymous(segment: *const shc_segment, out: *mut bool) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_segment::borrow(segment)? }.is_anonymous()))
}

/// Whether the last participant to leave unlinks the segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_is_ephemeral(segment: *const shc_segment, out: *mut bool) -> shc_status {
    guard(|| Out::new(out)?.set(unsafe { shc_segment::borrow(segment)? }.is_ephemeral()))
}

/// Takes the name from an object. Who has it open goes on with it; its memory is reused when the last one has
/// closed it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_remove(segment: *const shc_segment, name: *const c_char) -> shc_status {
    guard(|| unsafe {
        shc_segment::borrow(segment)?.remove(text(name, "the object's name")?)?;
        Ok(SHC_OK)
    })
}

/// Clears up after participants that have died; how many there were. Waiting calls do this by themselves.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_recover(segment: *const shc_segment, out: *mut usize) -> shc_status {
    guard(|| {
        let out = Out::new(out)?;
        out.set(unsafe { shc_segment::borrow(segment)? }.recover())
    })
}

/// An object of a segment.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shc_object_info {
    /// Its name, ended by a NUL.
    pub name: [c_char; 136],
    /// What kind of object it is: one of SHC_KIND_*.
    pub kind: u32,
    /// Its typecode's character, or 0.
    pub typecode: u32,
    /// The size of an element, or of the largest item, in bytes.
    pub element_size: u64,
    /// The number of elements, or the capacity in items.
    pub count: u64,
}

/// A value.
pub const SHC_KIND_VALUE: u32 = 1;
/// An array.
pub const SHC_KIND_ARRAY: u32 = 2;
/// A lock.
pub const SHC_KIND_LOCK: u32 = 3;
/// A semaphore.
pub const SHC_KIND_SEMAPHORE: u32 = 4;
/// A queue.
pub const SHC_KIND_QUEUE: u32 = 5;
/// A pipe.
pub const SHC_KIND_PIPE: u32 = 6;

/// A reentrant lock.
pub const SHC_KIND_RLOCK: u32 = 7;
/// A condition.
pub const SHC_KIND_CONDITION: u32 = 8;
/// An event.
pub const SHC_KIND_EVENT: u32 = 9;
/// A barrier.
pub const SHC_KIND_BARRIER: u32 = 10;
/// A reader-writer lock.
pub const SHC_KIND_RWLOCK: u32 = 11;

/// The C numbers are those of [`Kind`].
const _: () = {
    assert!(SHC_KIND_VALUE == Kind::Value as u32 && SHC_KIND_ARRAY == Kind::Array as u32);
    assert!(SHC_KIND_LOCK == Kind::Lock as u32 && SHC_KIND_SEMAPHORE == Kind::Semaphore as u32);
    assert!(SHC_KIND_QUEUE == Kind::Queue as u32 && SHC_KIND_PIPE == Kind::Pipe as u32);
    assert!(SHC_KIND_RLOCK == Kind::RLock as u32 && SHC_KIND_CONDITION == Kind::Condition as u32);
    assert!(SHC_KIND_EVENT == Kind::Event as u32 && SHC_KIND_BARRIER == Kind::Barrier as u32);
    assert!(SHC_KIND_RWLOCK == Kind::RwLock as u32);
};

/// A participant of a segment.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shc_participant_info {
    /// Its label in the segment, from 1.
    pub label: u32,
    /// Its process id, in its own pid namespace.
    pub pid: u32,
    /// When its process started, in clock ticks since boot; 0 in a forked child.
    pub start_time: u64,
    /// Its command's name, ended by a NUL.
    pub command: [c_char; 24],
    /// Whether it lives, by the kernel's word.
    pub alive: bool,
}

fn fixed<const N: usize>(text: &str) -> [c_char; N] {
    let mut out = [0; N];
    for (to, from) in out[..N - 1].iter_mut().zip(text.bytes()) {
        *to = from as c_char;
    }
    out
}

/// Writes as many of `all` as there is room for.
unsafe fn put_list<T>(all: Vec<T>, list: *mut T, room: usize, count: Out<usize>) -> Result<shc_status> {
    if list.is_null() && room != 0 {
        fail!(InvalidArgument, "a list of {room} entries is NULL");
    }
    let total = all.len();
    for (i, entry) in all.into_iter().take(room).enumerate() {
        unsafe { list.add(i).write_unaligned(entry) };
    }
    count.set(total)
}

/// Writes up to `room` of the segment's objects to `list`, in no particular order; how many there are in all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_objects(
    segment: *const shc_segment,
    list: *mut shc_object_info,
    room: usize,
    count: *mut usize,
) -> shc_status {
    guard(|| {
        let count = Out::new(count)?;
        let objects = unsafe { shc_segment::borrow(segment)? }.objects()?;
        let info = |o: crate::segment::ObjectInfo| shc_object_info {
            name: fixed(&o.name),
            kind: o.kind as u32,
            typecode: o.typecode.map_or(0, u32::from),
            element_size: o.element_size,
            count: o.count,
        };
        unsafe { put_list(objects.into_iter().map(info).collect(), list, room, count) }
    })
}

/// Writes up to `room` of the segment's participants to `list`; how many there are in all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_participants(
    segment: *const shc_segment,
    list: *mut shc_participant_info,
    room: usize,
    count: *mut usize,
) -> shc_status {
    guard(|| {
        let count = Out::new(count)?;
        let participants = unsafe { shc_segment::borrow(segment)? }.participants();
        let info = |p: crate::segment::Participant| shc_participant_info {
            label: p.label,
            pid: p.pid,
            start_time: p.start_time,
            command: fixed(&p.command),
            alive: p.alive,
        };
        unsafe { put_list(participants.into_iter().map(info).collect(), list, room, count) }
    })
}

/// Removes ephemeral and unfinished segments that nobody lives in; how many. Never a persistent segment.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_gc(removed: *mut usize) -> shc_status {
    guard(|| {
        let removed = Out::new(removed)?;
        removed.set(Segment::gc()?.len())
    })
}

/// The name of a segment.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct shc_segment_info {
    /// The name, ended by a NUL.
    pub name: [c_char; 256],
}

/// Writes up to `room` of the names of this machine's segments to `list`; how many there are in all.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shc_segment_names(
    list: *mut shc_segment_info,
    room: usize,
    count: *mut usize,
) -> shc_status {
    guard(|| {
        let count = Out::new(count)?;
        let info = |name: String| shc_segment_info { name: fixed(&name) };
        unsafe { put_list(Segment::names()?.into_iter().map(info).collect(), list, room, count) }
    })
}
