//! Files in `/dev/shm`: created whole or not at all, opened without following links, grown before use.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::PathBuf;

use super::{errno, io_error, os_error};
use crate::error::{Error, ErrorKind, Result, fail};

#[cfg(loom)]
pub use super::model::files::{identity_of, is_unlinked, names, open, read, stat, unlink, write_word};

const DIR: &str = "/dev/shm";
const PREFIX: &str = "sharecell.";

/// The path of the segment `name`.
pub fn path(name: &str) -> PathBuf {
    [DIR, "/", PREFIX, name].concat().into()
}

/// What identifies a file while it exists, and whether a name still leads to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// The file system that the file is in.
    pub fn device(&self) -> u64 {
        self.device
    }
}

/// What is worth knowing of a segment's file.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// Which file it is.
    pub identity: Identity,
    /// Its length in bytes.
    pub len: u64,
    /// The user who owns it.
    pub user: u32,
    /// Whether it is a regular file.
    pub regular: bool,
}

impl Stat {
    /// The file's number, for people.
    pub fn inode(&self) -> u64 {
        self.identity.inode
    }
}

impl From<fs::Metadata> for Stat {
    fn from(m: fs::Metadata) -> Self {
        Self {
            identity: Identity { device: m.dev(), inode: m.ino() },
            len: m.len(),
            user: m.uid(),
            regular: m.is_file(),
        }
    }
}

/// Describes an open file.
#[cfg(not(loom))]
pub fn stat(file: &File) -> Result<Stat> {
    file.metadata().map(Stat::from).map_err(|e| io_error("stat", &e))
}

/// Whether an open file has no name any more.
#[cfg(not(loom))]
pub fn is_unlinked(file: &File) -> Result<bool> {
    file.metadata().map(|m| m.nlink() == 0).map_err(|e| io_error("stat", &e))
}

/// Which file `name` leads to at the moment.
#[cfg(not(loom))]
pub fn identity_of(name: &str) -> Option<Identity> {
    fs::symlink_metadata(path(name)).ok().map(|m| Stat::from(m).identity)
}

/// A new file without a name, with exactly `mode` whatever the umask.
pub fn create_unnamed(mode: u32) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .mode(mode)
        .custom_flags(libc::O_TMPFILE)
        .open(DIR)
        .map_err(|e| io_error("creating a file in /dev/shm", &e))?;
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(|e| io_error("setting the mode", &e))?;
    Ok(file)
}

/// A new file that never has a name, and that nobody can shrink once it is [sealed](seal).
pub fn create_anonymous() -> Result<File> {
    // SAFETY: the name is NUL-terminated.
    let fd =
        unsafe { libc::memfd_create(c"sharecell".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING) };
    if fd < 0 {
        return Err(os_error("memfd_create", errno()));
    }
    // SAFETY: the descriptor was just made and nobody else has it.
    Ok(unsafe { File::from_raw_fd(fd) })
}

/// Makes sure that nobody can ever shrink the file, nor take that back.
pub fn seal(file: &File) -> Result<()> {
    // SAFETY: the descriptor is open while `file` is borrowed; the rest are numbers.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, libc::F_SEAL_SHRINK | libc::F_SEAL_SEAL) }
        != 0
    {
        return Err(os_error("sealing the segment", errno()));
    }
    Ok(())
}

/// Whether nobody can shrink the file.
pub fn is_sealed(file: &File) -> bool {
    // SAFETY: the descriptor is open while `file` is borrowed.
    let seals = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GET_SEALS) };
    seals >= 0 && seals & libc::F_SEAL_SHRINK != 0
}

/// Writes the whole content of a small file.
pub fn write(file: &File, content: &[u8; 8]) -> Result<()> {
    file.write_all_at(content, 0).map_err(|e| io_error("writing a file in /dev/shm", &e))
}

/// Writes a word of a file, if the file is that long.
#[cfg(not(loom))]
pub fn write_word(file: &File, at: u64, value: u32) -> Result<()> {
    file.write_all_at(&value.to_ne_bytes(), at).map_err(|e| io_error("writing to a segment", &e))
}

/// Reads the first bytes of a file, zeroes where it is shorter.
#[cfg(not(loom))]
pub fn read<const N: usize>(file: &File) -> Result<[u8; N]> {
    let mut content = [0; N];
    file.read_at(&mut content, 0).map_err(|e| io_error("reading a segment", &e))?;
    Ok(content)
}

/// Gives a nameless file its name; `AlreadyExists` when somebody was faster.
pub fn link(file: &File, name: &str) -> Result<()> {
    let from = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).expect("no NUL in a number");
    let to = c_path(name)?;
    // SAFETY: both are NUL-terminated strings that live for the call.
    let done = unsafe {
        libc::linkat(libc::AT_FDCWD, from.as_ptr(), libc::AT_FDCWD, to.as_ptr(), libc::AT_SYMLINK_FOLLOW)
    };
    if done == 0 { Ok(()) } else { Err(os_error(&format!("segment {name:?}"), errno())) }
}

fn c_path(name: &str) -> Result<CString> {
    CString::new(path(name).into_os_string().into_encoded_bytes())
        .map_err(|_| Error::new(ErrorKind::InvalidName, format!("segment name {name:?} contains a NUL")))
}

/// Opens the file of segment `name`; never creates it and never follows a link.
#[cfg(not(loom))]
pub fn open(name: &str) -> Result<File> {
    let what = || format!("segment {name:?}");
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path(name));
    match file {
        Ok(file) => Ok(file),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ELOOP | libc::EISDIR | libc::ENXIO)) => {
            fail!(
                NotASegment,
                "{}: its name is taken by something that is not a file; remove it or choose another name",
                what()
            )
        }
        Err(e) if e.raw_os_error() == Some(libc::ENOENT) => {
            fail!(NotFound, "{} does not exist", what())
        }
        Err(e) => Err(io_error(&what(), &e)),
    }
}

/// Another open file description of the same file, also when it has no name any more.
pub fn reopen(file: &File) -> Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(format!("/proc/self/fd/{}", file.as_raw_fd()))
        .map_err(|e| io_error("reopening the segment through /proc", &e))
}

/// Removes the name.
#[cfg(not(loom))]
pub fn unlink(name: &str) -> Result<()> {
    match fs::remove_file(path(name)) {
        Ok(()) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            fail!(NotFound, "segment {name:?} does not exist")
        }
        Err(e) => Err(io_error(&format!("segment {name:?}"), &e)),
    }
}

/// Makes sure that the bytes from `offset` on are backed by memory, so that touching them cannot fault.
pub fn commit(file: &File, offset: u64, len: u64) -> Result<()> {
    loop {
        // SAFETY: the descriptor is open while `file` is borrowed; the rest are numbers.
        if unsafe { libc::fallocate(file.as_raw_fd(), 0, offset as _, len as _) } == 0 {
            return Ok(());
        }
        match errno() {
            libc::EINTR => {}
            libc::ENOSPC => fail!(
                NoSpace,
                "no space in {DIR}: needed {len} bytes, available {}; free some or enlarge it",
                available(file)
            ),
            number => return Err(os_error("committing memory", number)),
        }
    }
}

/// The bytes left in the file system of `file`.
fn available(file: &File) -> u64 {
    // SAFETY: statvfs is plain data, for which zeroes are valid.
    let mut vfs: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and `vfs` a valid place to write to.
    if unsafe { libc::fstatvfs(file.as_raw_fd(), &mut vfs) } != 0 {
        return 0;
    }
    vfs.f_bavail as u64 * vfs.f_frsize as u64
}

/// The names of the files that look like segments, one after the other.
#[cfg(not(loom))]
pub fn names() -> Result<impl Iterator<Item = String>> {
    let entries = fs::read_dir(DIR).map_err(|e| io_error("listing /dev/shm", &e))?;
    Ok(entries
        .filter_map(|e| e.ok()?.file_name().into_string().ok()?.strip_prefix(PREFIX).map(str::to_owned)))
}
