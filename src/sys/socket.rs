//! Handing a descriptor to another process over a Unix socket (`SCM_RIGHTS`, unix(7)).

use std::fs::File;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, RawFd};

use super::{errno, os_error};
use crate::error::{Result, fail};

/// The byte that goes along: a message must not be empty.
const BYTE: u8 = b'S';

/// Room for one descriptor's control message, aligned as its head must be.
#[repr(C)]
union Control {
    head: libc::cmsghdr,
    bytes: [u8; 64],
}

/// Calls `f` with a message of one byte and room for one descriptor.
fn with_message(byte: &mut u8, control: &mut Control, f: impl FnOnce(&mut libc::msghdr) -> isize) -> isize {
    let mut part = libc::iovec { iov_base: std::ptr::from_mut(byte).cast(), iov_len: 1 };
    // SAFETY: msghdr is plain data, for which zeroes are valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &mut part;
    message.msg_iovlen = 1;
    message.msg_control = std::ptr::from_mut(control).cast();
    // SAFETY: CMSG_SPACE only computes.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<RawFd>() as u32) } as _;
    f(&mut message)
}

/// Sends a descriptor of `file` over `socket`.
pub fn send(socket: BorrowedFd<'_>, file: &File) -> Result<()> {
    let mut control = Control { bytes: [0; 64] };
    let sent = with_message(&mut { BYTE }, &mut control, |message| {
        // SAFETY: the control buffer has room for a head and one descriptor (64 bytes), and is aligned.
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

/// Receives a descriptor that [`send`] sent.
pub fn receive(socket: BorrowedFd<'_>) -> Result<File> {
    let mut control = Control { bytes: [0; 64] };
    let mut descriptor = MaybeUninit::<RawFd>::uninit();
    let mut found = false;
    let got = with_message(&mut 0, &mut control, |message| {
        // SAFETY: the message and all it points to live for the call; the kernel fills the control buffer in,
        // and CMSG_FIRSTHDR is null unless a whole head is there.
        unsafe {
            let got = libc::recvmsg(socket.as_raw_fd(), message, libc::MSG_CMSG_CLOEXEC);
            let head = if got > 0 { libc::CMSG_FIRSTHDR(message) } else { std::ptr::null_mut() };
            if !head.is_null()
                && (*head).cmsg_level == libc::SOL_SOCKET
                && (*head).cmsg_type == libc::SCM_RIGHTS
            {
                descriptor.write(libc::CMSG_DATA(head).cast::<RawFd>().read_unaligned());
                found = true;
            }
            got
        }
    });
    if got < 0 {
        return Err(os_error("receiving a segment over a socket", errno()));
    }
    if !found {
        fail!(Closed, "the socket was closed, or no segment came over it");
    }
    // SAFETY: the kernel made this descriptor for us with the message, and nobody else has it.
    Ok(unsafe { File::from_raw_fd(descriptor.assume_init()) })
}
