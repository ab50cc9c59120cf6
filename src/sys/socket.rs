//! Handing a descriptor to another process over a Unix socket (`SCM_RIGHTS`, unix(7)).

use std::fs::File;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, RawFd};

use super::{errno, os_error};
use crate::error::{Result, fail};

/// The byte that goes along: a message must not be empty.
const BYTE: u8 = b'S';

/// Room for control messages, aligned as their heads must be: more than one, for a peer may send others along.
#[repr(C)]
union Control {
    head: libc::cmsghdr,
    bytes: [u8; 256],
}

/// Calls `f` with a message of one byte and `room` bytes of control messages.
fn with_message(
    byte: &mut u8,
    control: &mut Control,
    room: usize,
    f: impl FnOnce(&mut libc::msghdr) -> isize,
) -> isize {
    let mut part = libc::iovec { iov_base: std::ptr::from_mut(byte).cast(), iov_len: 1 };
    // SAFETY: msghdr is plain data, for which zeroes are valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = std::ptr::from_mut(control).cast();
    message.msg_controllen = room as _;
    f(&mut message)
}

/// Sends a descriptor of `file` over `socket`.
pub fn send(socket: BorrowedFd<'_>, file: &File) -> Result<()> {
    let mut control = Control { bytes: [0; 256] };
    // SAFETY: CMSG_SPACE only computes.
    let room = unsafe { libc::CMSG_SPACE(size_of::<RawFd>() as u32) } as usize;
    let sent = with_message(&mut { BYTE }, &mut control, room, |message| {
        // SAFETY: the control buffer has room for a head and one descriptor , and is aligned.
        unsafe {
            let head = libc::CMSG_FIRSTHDR(message);
            (*head).cmsg_level = libc::SOL_SOCKET;
            (*head).cmsg_type = libc::SCM_RIGHTS;
            (*head).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
            libc::CMSG_DATA(head).cast::<RawFd>().write_unaligned(file.as_raw_fd());
        }
        // SAFETY: the message and all it points to live for the call.
        unsafe { libc::sendmsg(socket.as_raw_fd(), message, libc::MSG_NOSIGNAL) }
    });
    if sent == 1 { Ok(()) } else { Err(os_error("sending a segment over a socket", errno())) }
}

/// Receives a descriptor that [`send`] sent. What else a peer sends along is closed.
pub fn receive(socket: BorrowedFd<'_>) -> Result<File> {
    let mut control = Control { bytes: [0; 256] };
    let mut files = Vec::new();
    let got = with_message(&mut 0, &mut control, size_of::<Control>(), |message| {
        // SAFETY: the message and all it points to live for the call.
        let got = unsafe { libc::recvmsg(socket.as_raw_fd(), message, libc::MSG_CMSG_CLOEXEC) };
        if got > 0 {
            // SAFETY: the kernel has filled the control buffer in.
            unsafe { collect(message, &mut files) };
        }
        got
    });
    if got < 0 {
        return Err(os_error("receiving a segment over a socket", errno()));
    }
    let Some(file) = files.into_iter().next() else {
        fail!(Closed, "the socket was closed, or no segment came over it");
    };
    Ok(file)
}

/// Takes all descriptors out of a message.
///
/// # Safety
/// The message was filled in by `recvmsg`, and its descriptors are nobody else's.
unsafe fn collect(message: &libc::msghdr, files: &mut Vec<File>) {
    // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give heads that lie in the buffer, or null; as many descriptors follow
    // a head as its length says, and each was made by the kernel for us.
    unsafe {
        let mut head = libc::CMSG_FIRSTHDR(message);
        while !head.is_null() {
            if (*head).cmsg_level == libc::SOL_SOCKET && (*head).cmsg_type == libc::SCM_RIGHTS {
                let bytes = (*head).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                let data = libc::CMSG_DATA(head).cast::<RawFd>();
                files.extend(
                    (0..bytes / size_of::<RawFd>()).map(|i| File::from_raw_fd(data.add(i).read_unaligned())),
                );
            }
            head = libc::CMSG_NXTHDR(message, head);
        }
    }
}
