//! What the operating system has, and crates that are built on it.

use std::ffi::CString;
use std::io::{Read, Write};
use std::sync::Mutex;

use anyhow::{Context, Result, bail};
use interprocess::local_socket::prelude::*;
use interprocess::local_socket::{GenericNamespaced, ListenerOptions, Stream};
use ipc_channel::ipc::{IpcReceiver, IpcSender};

use crate::peers::queues::{Fifo, Shared, Words, taken};
use crate::peers::unique;
use crate::trial::Place;

/// A POSIX message queue, as deep as the system lets it be.
pub struct PosixMq {
    name: CString,
}

pub struct Descriptor(libc::c_int);

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: the descriptor is ours.
        unsafe { libc::close(self.0) };
    }
}

impl<const W: usize> Shared<W> for PosixMq {
    const NAME: &'static str = "POSIX mq";
    const PLACE: Place = Place::Processes;
    type Side<'a> = Descriptor;
    fn make(capacity: usize) -> Result<Self> {
        let most = std::fs::read_to_string("/proc/sys/fs/mqueue/msg_max")
            .context("no POSIX message queues in this kernel")?;
        let name = CString::new(format!("/{}", unique()))?;
        // SAFETY: zero is valid in every field.
        let mut attributes: libc::mq_attr = unsafe { std::mem::zeroed() };
        attributes.mq_maxmsg = (capacity as i64).min(most.trim().parse()?);
        attributes.mq_msgsize = W as i64 * 8;
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_RDWR;
        // SAFETY: the name is a C string, the attributes are filled in.
        let at = unsafe { libc::mq_open(name.as_ptr(), flags, 0o600, &raw mut attributes) };
        if at < 0 {
            bail!("mq_open: {}", std::io::Error::last_os_error());
        }
        drop(Descriptor(at));
        Ok(Self { name })
    }
    fn side(&self) -> Result<Descriptor> {
        // SAFETY: the name is a C string.
        let at = unsafe { libc::mq_open(self.name.as_ptr(), libc::O_RDWR) };
        if at < 0 {
            bail!("mq_open: {}", std::io::Error::last_os_error());
        }
        Ok(Descriptor(at))
    }
    fn put(side: &mut Descriptor, item: &Words<W>) {
        // SAFETY: the item has the queue's size.
        assert_eq!(unsafe { libc::mq_send(side.0, (&raw const *item).cast(), W * 8, 0) }, 0);
    }
    fn get(side: &mut Descriptor) -> Words<W> {
        let mut item = Words([0; W]);
        // SAFETY: `item` has room for a message.
        let got = unsafe { libc::mq_receive(side.0, (&raw mut item).cast(), W * 8, std::ptr::null_mut()) };
        assert_eq!(got as usize, W * 8);
        item
    }
}

impl Drop for PosixMq {
    fn drop(&mut self) {
        // SAFETY: the name is a C string.
        unsafe { libc::mq_unlink(self.name.as_ptr()) };
    }
}

/// Two connected descriptors that children inherit.
pub struct Descriptors<const KIND: u8> {
    get: Descriptor,
    put: Descriptor,
}

pub const PIPE: u8 = 0;
pub const SOCKETPAIR: u8 = 1;

impl<const KIND: u8, const W: usize> Shared<W> for Descriptors<KIND> {
    const NAME: &'static str = if KIND == PIPE { "OS pipe" } else { "socketpair" };
    const PLACE: Place = Place::Processes;
    type Side<'a> = &'a Self;
    fn make(_: usize) -> Result<Self> {
        let mut fds = [0; 2];
        // SAFETY: `fds` is a place for two descriptors.
        let code = unsafe {
            match KIND {
                PIPE => libc::pipe(fds.as_mut_ptr()),
                _ => libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET, 0, fds.as_mut_ptr()),
            }
        };
        if code != 0 {
            bail!("{}", std::io::Error::last_os_error());
        }
        Ok(Self { get: Descriptor(fds[0]), put: Descriptor(fds[1]) })
    }
    fn side(&self) -> Result<&Self> {
        Ok(self)
    }
    fn put(side: &mut &Self, item: &Words<W>) {
        // SAFETY: the item is valid to read. A pipe takes up to 4096 bytes whole, a socket of this type all.
        let done = unsafe { libc::write(side.put.0, (&raw const *item).cast(), W * 8) };
        assert_eq!(done as usize, W * 8);
    }
    fn get(side: &mut &Self) -> Words<W> {
        let mut item = Words([0; W]);
        // SAFETY: `item` has room for it.
        let got = unsafe { libc::read(side.get.0, (&raw mut item).cast(), W * 8) };
        assert_eq!(got as usize, W * 8);
        item
    }
}

/// servo's ipc-channel: typed, serialised, over a socket. One sends, one receives.
pub struct IpcChannel {
    tx: Mutex<Option<IpcSender<Vec<u64>>>>,
    rx: Mutex<Option<IpcReceiver<Vec<u64>>>>,
}

impl<const W: usize> Fifo<W> for IpcChannel {
    const NAME: &'static str = "ipc-channel";
    const PLACE: Place = Place::Processes;
    const MANY: bool = false;
    type Tx<'a> = IpcSender<Vec<u64>>;
    type Rx<'a> = IpcReceiver<Vec<u64>>;
    fn make(_: usize) -> Result<Self> {
        let (tx, rx) = ipc_channel::ipc::channel()?;
        Ok(Self { tx: Mutex::new(Some(tx)), rx: Mutex::new(Some(rx)) })
    }
    fn tx(&self) -> Result<Self::Tx<'_>> {
        taken(&self.tx)
    }
    fn rx(&self) -> Result<Self::Rx<'_>> {
        taken(&self.rx)
    }
    fn put(tx: &mut Self::Tx<'_>, item: &Words<W>) {
        tx.send(item.0.to_vec()).expect("send");
    }
    fn get(rx: &mut Self::Rx<'_>) -> Words<W> {
        Words(rx.recv().expect("recv").try_into().expect("an item of the size that was sent"))
    }
}

/// The local sockets of `interprocess`.
pub struct Interprocess {
    tx: Mutex<Option<Stream>>,
    rx: Mutex<Option<Stream>>,
}

impl<const W: usize> Fifo<W> for Interprocess {
    const NAME: &'static str = "interprocess local socket";
    const PLACE: Place = Place::Processes;
    const MANY: bool = false;
    type Tx<'a> = Stream;
    type Rx<'a> = Stream;
    fn make(_: usize) -> Result<Self> {
        let name = unique();
        let name = name.as_str().to_ns_name::<GenericNamespaced>()?;
        let listener = ListenerOptions::new().name(name.clone()).create_sync()?;
        let tx = Stream::connect(name)?;
        let rx = listener.accept()?;
        Ok(Self { tx: Mutex::new(Some(tx)), rx: Mutex::new(Some(rx)) })
    }
    fn tx(&self) -> Result<Stream> {
        taken(&self.tx)
    }
    fn rx(&self) -> Result<Stream> {
        taken(&self.rx)
    }
    fn put(tx: &mut Stream, item: &Words<W>) {
        tx.write_all(bytemuck::bytes_of(item)).expect("write");
    }
    fn get(rx: &mut Stream) -> Words<W> {
        let mut item = Words([0; W]);
        rx.read_exact(bytemuck::bytes_of_mut(&mut item)).expect("read");
        item
    }
}
