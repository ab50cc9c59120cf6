//! Segments: created whole or not at all, found by name, attached to by a seat with a lease.
//!
//! ```text
//!   create:  nameless file ─ commit and fill ─ seat ─ link (commits; the loser of a race opens)
//!   open:    see `seat`
//!   leave:   handles gone ─ sweep oneself ─ lease given up ─ ephemeral and last: see `cleanup` ─ unmapped
//! ```
//!
//! A creator killed before the link leaves nothing, for the kernel frees a file without a name.

pub mod arena;
pub mod attach;
mod cleanup;
pub mod directory;
pub mod fork;
mod given;
pub mod handle;
#[cfg(loom)]
mod model;
mod openlist;
mod recover;
mod seat;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use attach::Attached;

use crate::atomic::{AtomicU64, Relaxed, Release};
use crate::error::{Error, ErrorKind, Result, fail};
use crate::layout::{
    self, BYTE_ORDER, EPHEMERAL, Header, Kind, LAYOUT_VERSION, LOCK_PROTOCOL, MAGIC, MAX_PARTICIPANTS,
    WORD_BYTES,
};
use crate::sys::futex::Sleep;
use crate::sys::map::Map;
use crate::sys::shm::Stat;
use crate::sys::{poll, process, shm, socket};
use crate::wait::Label;

/// How long opening tries, once a millisecond, while somebody unlinks the segment: it takes microseconds, unless he is
/// stopped.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often all seats are looked at before the table is said to be full.
const SEAT_ROUNDS: u32 = 50;

/// The longest name of a segment, in bytes.
pub const SEGMENT_NAME_MAX: usize = 200;

/// A named segment of shared memory that this process is attached to.
///
/// Clones, and segments of the same name opened twice in a process, are handles to one attachment. Handles
/// may be used by all threads, and by a forked child, which is a participant of its own from its birth. When
/// the last handle to a segment and its objects is dropped the process detaches; the segment stays until it
/// is [unlinked](Segment::unlink), unless it is ephemeral.
///
/// A process that is killed leaves the segment as whole as it found it: what it held is given back by
/// whoever notices, what it had half done is undone.
pub struct Segment {
    attached: Arc<Attached>,
}

/// How to create or open a [`Segment`].
#[derive(Clone, Debug)]
pub struct SegmentOptions {
    limit: u64,
    mode: u32,
    ephemeral: bool,
    participants: u32,
    wait: Duration,
    any_user: bool,
}

impl Default for SegmentOptions {
    fn default() -> Self {
        Self {
            limit: 1 << 30,
            mode: 0o600,
            ephemeral: false,
            participants: 64,
            wait: Duration::ZERO,
            any_user: false,
        }
    }
}

impl SegmentOptions {
    /// A limit of 1 GiB, mode 0600, persistent, for 64 participants; opening does not wait.
    pub fn new() -> Self {
        Self::default()
    }

    /// The size in bytes that a new segment may grow to, in whole pages. It is a ceiling, not a cost: address space is
    /// reserved, memory is used as objects need it.
    pub fn limit(mut self, bytes: u64) -> Self {
        self.limit = bytes;
        self
    }

    /// The permissions of a new segment's file, exactly, whatever the umask.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// Whether the last participant to leave a new segment unlinks it.
    pub fn ephemeral(mut self, yes: bool) -> Self {
        self.ephemeral = yes;
        self
    }

    /// How many processes may be attached to a new segment at a time, at most 4095. Each costs 1 KiB.
    pub fn participants(mut self, count: u32) -> Self {
        self.participants = count;
        self
    }

    /// How long `open` waits for somebody to create the segment.
    pub fn wait(mut self, time: Duration) -> Self {
        self.wait = time;
        self
    }

    /// Whether to open a segment that belongs to another user than this process or root. Its owner can
    /// change its content at will and truncate its file, which kills who touches it (SIGBUS).
    pub fn any_user(mut self, yes: bool) -> Self {
        self.any_user = yes;
        self
    }

    /// Creates a segment; an error when the name is taken.
    pub fn create(&self, name: &str) -> Result<Segment> {
        check_name(name)?;
        cleanup::look_around();
        self.create_linked(name)
    }

    /// Opens a segment, waiting for it as long as [`wait`](Self::wait) says.
    pub fn open(&self, name: &str) -> Result<Segment> {
        check_name(name)?;
        let start = Instant::now();
        loop {
            match self.open_now(name) {
                Err(e) if e.kind() == ErrorKind::NotFound && start.elapsed() < self.wait => {
                    if poll::pause()? == Sleep::Interrupted {
                        return Err(ErrorKind::Interrupted.into());
                    }
                }
                other => return other,
            }
        }
    }

    /// Opens a segment, or creates it where there is none. These options only matter for a new one.
    pub fn open_or_create(&self, name: &str) -> Result<Segment> {
        check_name(name)?;
        loop {
            match self.open_now(name) {
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                other => return other,
            }
            match self.create(name) {
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                other => return other,
            }
        }
    }

    /// Creates a segment without a name: a sealed memfd, which nobody can unlink, squat or truncate, and whose
    /// memory is freed with the last process that has it. It is handed on by inheritance (fork) and as a
    /// descriptor: see [`Segment::to_fd`] and [`Segment::send_over`].
    pub fn create_anonymous(&self) -> Result<Segment> {
        let file = shm::create_anonymous()?;
        let name = anonymous_name(&file)?;
        let (attached, _) = self.make(&name, file)?;
        shm::seal(attached.file()?)?;
        Ok(Segment::over(attached.seat_unnamed()?))
    }

    /// The sizes of the fixed parts and of the whole, for a limit that is cut down to whole pages.
    fn sizes(&self, limit: u64) -> Result<(u64, u64)> {
        if self.participants == 0 || self.participants > MAX_PARTICIPANTS {
            fail!(
                InvalidArgument,
                "a segment has 1 to {MAX_PARTICIPANTS} participants; got {}",
                self.participants
            );
        }
        let fixed = layout::arena_offset(self.participants);
        let whole = limit.min(1 << 40) & !4095;
        if whole < fixed + (64 << 10) {
            fail!(
                InvalidArgument,
                "a segment for {} participants needs a limit of at least {} bytes; got {}",
                self.participants,
                fixed + (64 << 10),
                limit
            );
        }
        Ok((fixed, whole))
    }

    /// Fills a new file, and maps it; no seat is taken yet. Also gives a descriptor to link it by.
    fn make(&self, name: &str, file: File) -> Result<(Arc<Attached>, File)> {
        let (fixed, limit) = self.sizes(self.limit)?;
        shm::commit(&file, 0, fixed).map_err(|e| e.of(format_args!("segment {name:?}")))?;
        let descriptor = file.try_clone().map_err(|e| crate::sys::io_error("dup", &e))?;
        let map = Map::of(&file, limit)?;
        let stat = shm::stat(&file)?;
        let attached = new_attachment(name, file, &stat, map, self.participants)?;
        self.fill_header(attached.header(), fixed, limit)?;
        Ok((attached, descriptor))
    }

    fn create_linked(&self, name: &str) -> Result<Segment> {
        if self.mode & !0o777 != 0 || self.mode & 0o600 != 0o600 {
            fail!(
                InvalidArgument,
                "the mode of a segment has at least 0600 and at most 0777; got {:#o}",
                self.mode
            );
        }
        let what = |e: Error| e.of(format_args!("segment {name:?}"));
        let (attached, descriptor) = self.make(name, shm::create_unnamed(self.mode).map_err(what)?)?;
        let seated = attached.seat_unnamed()?;
        match shm::link(&descriptor, name) {
            Ok(()) => Ok(Segment::over(seated)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                fail!(AlreadyExists, "segment {name:?} already exists; open it or choose another name")
            }
            Err(e) => Err(e),
        }
    }

    fn fill_header(&self, header: &Header, committed: u64, limit: u64) -> Result<()> {
        header.layout_version.store(LAYOUT_VERSION, Relaxed);
        header.byte_order.store(BYTE_ORDER, Relaxed);
        header.word_bytes.store(WORD_BYTES, Relaxed);
        header.lock_protocol.store(LOCK_PROTOCOL, Relaxed);
        header.flags.store(if self.ephemeral { EPHEMERAL } else { 0 }, Relaxed);
        header.participants.store(self.participants, Relaxed);
        header.limit.store(limit, Relaxed);
        for (word, half) in header.boot_id.iter().zip(process::boot_id()?.chunks_exact(8)) {
            word.store(u64::from_ne_bytes(half.try_into().expect("eight bytes")), Relaxed);
        }
        header.check.store(shape_check(header.flags.load(Relaxed), self.participants, limit), Relaxed);
        header.committed.store(committed, Relaxed);
        header.magic.store(MAGIC, Release);
        Ok(())
    }

    fn open_now(&self, name: &str) -> Result<Segment> {
        if let Some(segment) = self.open_once(name)? {
            return Ok(segment);
        }
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if poll::pause()? == Sleep::Interrupted {
                return Err(ErrorKind::Interrupted.into());
            }
            if let Some(segment) = self.open_once(name)? {
                return Ok(segment);
            }
        }
        fail!(Busy, "segment {name:?} is being unlinked by a process that does not go on; remove its file")
    }

    /// `None` when the segment was unlinked while we attached, or is being unlinked.
    fn open_once(&self, name: &str) -> Result<Option<Segment>> {
        let file = shm::open(name)?;
        let stat = shm::stat(&file)?;
        if !stat.regular {
            fail!(NotASegment, "segment {name:?}: the name is taken by something that is not a file");
        }
        self.check_user(name, stat.user)?;
        if let Some(attached) = fork::registry().find(stat.identity) {
            return Ok(Some(Segment::over(attached)));
        }
        let attached = open_file(name, file, &stat)?;
        Ok(attached.seat_named()?.map(Segment::over))
    }

    fn check_user(&self, name: &str, owner: u32) -> Result<()> {
        if owner == 0 || self.any_user {
            return Ok(()); // without asking who we are
        }
        let me = process::user();
        if owner != me {
            fail!(
                WrongUser,
                "segment {name:?} belongs to user {owner}, this process runs as {me}; open it with any_user if you trust that user"
            );
        }
        Ok(())
    }
}

/// Checks a segment's file and maps it; no seat is taken yet.
fn open_file(name: &str, file: File, stat: &Stat) -> Result<Arc<Attached>> {
    let (limit, participants) = check_header(name, &file, stat.len)?;
    let map = Map::of(&file, limit)?;
    new_attachment(name, file, stat, map, participants)
}

/// What an anonymous segment is called in errors.
fn anonymous_name(file: &File) -> Result<String> {
    Ok(format!("anonymous {}", shm::stat(file)?.inode()))
}

/// Checks the name of a segment.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        fail!(InvalidName, "the name of a segment must not be empty");
    }
    if name.len() > SEGMENT_NAME_MAX {
        fail!(InvalidName, "the name of a segment has at most {SEGMENT_NAME_MAX} bytes; got {}", name.len());
    }
    if name.contains('/') || name.chars().any(char::is_control) {
        fail!(InvalidName, "the name of a segment has no slash and no control characters; got {name:?}");
    }
    Ok(())
}

/// Checks the head of a segment's file of `len` bytes; limit and number of participants.
fn check_header(name: &str, file: &File, len: u64) -> Result<(u64, u32)> {
    let bytes = shm::read(file)?;
    if given::keeps_leases_only(&bytes) {
        fail!(NotASegment, "segment {name:?} lies over memory that its users have; open it over that");
    }
    check_head(name, &bytes, len)
}

/// What is checked before anything else is believed: up to the check of the shape.
const HEAD_BYTES: usize = 64;

/// The check word of what an opener must believe.
fn shape_check(flags: u32, participants: u32, limit: u64) -> u64 {
    let words = [u64::from(flags), participants.into(), limit];
    layout::fnv(words.into_iter().flat_map(u64::to_le_bytes))
}

fn check_head(name: &str, bytes: &[u8; HEAD_BYTES], len: u64) -> Result<(u64, u32)> {
    let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let half = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    if word(0) == 0 {
        fail!(Unfinished, "segment {name:?} is unfinished ({len} bytes, no header); unlink it");
    }
    if word(0) != MAGIC {
        fail!(
            NotASegment,
            "segment {name:?}: the file starts with {:#018x}, a segment with {MAGIC:#018x}",
            word(0)
        );
    }
    let same = |what: &str, have: u32, want: u32| {
        if have == want {
            return Ok(());
        }
        fail!(
            Incompatible,
            "segment {name:?} has {what} {have:#x}, this library needs {want:#x}; unlink it or use a matching version"
        )
    };
    same("byte order", half(12), BYTE_ORDER)?;
    same("layout version", half(8), LAYOUT_VERSION)?;
    same("word size", half(16), WORD_BYTES)?;
    same("lock protocol", half(20), LOCK_PROTOCOL)?;
    let (flags, participants, limit) = (half(24), half(28), word(32));
    let (check, have) = (shape_check(flags, participants, limit), word(56));
    let known = flags & !EPHEMERAL == 0 && (1..=MAX_PARTICIPANTS).contains(&participants);
    let sound = known && limit <= 1 << 40 && limit.is_multiple_of(4096);
    if !sound || check != have || limit < layout::arena_offset(participants) {
        fail!(
            Corrupted,
            "segment {name:?} is corrupted: its flags {flags:#x}, {participants} participants and limit of {limit} bytes have the check {check:#x}, not {have:#x}"
        );
    }
    if len < layout::arena_offset(participants) || len > limit {
        fail!(Corrupted, "segment {name:?} is truncated or corrupted: {len} bytes, a limit of {limit}");
    }
    let (boot, now) = (&bytes[40..56], process::boot_id()?);
    if boot != now {
        let [boot, now] = [boot, &now].map(|id| id.iter().map(|b| format!("{b:02x}")).collect::<String>());
        fail!(
            StaleBoot,
            "segment {name:?} was made before the machine was last started (boot {boot}, this one is {now}); unlink it"
        );
    }
    Ok((limit, participants))
}

fn new_attachment(name: &str, file: File, stat: &Stat, map: Map, participants: u32) -> Result<Arc<Attached>> {
    let label = fork::registry().new_label()?;
    Ok(Arc::new(Attached::over(name, file, stat, map, participants, label)))
}

/// A participant of a segment, for people who look.
#[derive(Clone, Debug)]
pub struct Participant {
    /// Its label in the segment, from 1.
    pub label: u32,
    /// Its process id, in its own pid namespace.
    pub pid: u32,
    /// When its process started, in clock ticks since boot; 0 in a forked child.
    pub start_time: u64,
    /// Its command's name.
    pub command: String,
    /// Whether it lives, by the kernel's word.
    pub alive: bool,
}

/// An object of a segment, for people who look.
#[derive(Clone, Debug)]
pub struct ObjectInfo {
    /// Its name.
    pub name: String,
    /// What kind of object it is.
    pub kind: Kind,
    /// Its typecode, or `None`.
    pub typecode: Option<char>,
    /// The size of an element, or of the largest item, in bytes.
    pub element_size: u64,
    /// The number of elements, or the capacity in items.
    pub count: u64,
}

impl Segment {
    fn over(attached: Arc<Attached>) -> Self {
        attached.segments.fetch_add(1, Ordering::Relaxed);
        Self { attached }
    }

    /// Options to create or open a segment with.
    pub fn options() -> SegmentOptions {
        SegmentOptions::new()
    }

    /// Creates a segment with the default [options](SegmentOptions).
    pub fn create(name: &str) -> Result<Self> {
        SegmentOptions::new().create(name)
    }

    /// Opens a segment.
    pub fn open(name: &str) -> Result<Self> {
        SegmentOptions::new().open(name)
    }

    /// Opens a segment, or creates it with the default [options](SegmentOptions).
    pub fn open_or_create(name: &str) -> Result<Self> {
        SegmentOptions::new().open_or_create(name)
    }

    /// Creates a segment without a name, with the default [options](SegmentOptions); see
    /// [`SegmentOptions::create_anonymous`].
    pub fn create_anonymous() -> Result<Self> {
        SegmentOptions::new().create_anonymous()
    }

    /// Attaches to an anonymous segment by a descriptor of it, which stays the caller's.
    ///
    /// # Errors
    /// `NotASegment` when the file can be truncated by others, as that of a named segment can.
    pub fn from_fd(descriptor: BorrowedFd<'_>) -> Result<Self> {
        let file = descriptor.try_clone_to_owned().map_err(|e| crate::sys::io_error("dup", &e))?;
        // A description of our own: the locks of the one that was handed on are its sender's.
        let file = shm::reopen(&File::from(file))?;
        let name = anonymous_name(&file)?;
        if !shm::is_sealed(&file) {
            fail!(NotASegment, "the descriptor is not of an anonymous segment: its file is not sealed");
        }
        let stat = shm::stat(&file)?;
        if let Some(attached) = fork::registry().find(stat.identity) {
            return Ok(Self::over(attached));
        }
        let attached = open_file(&name, file, &stat)?;
        Ok(Self::over(attached.seat_unnamed()?))
    }

    /// A descriptor to hand to another process, which attaches [by it](Self::from_fd). It is closed on exec.
    ///
    /// # Errors
    /// `Unsupported` when the segment has a name: others open it by that.
    pub fn to_fd(&self) -> Result<OwnedFd> {
        if !self.is_anonymous() {
            fail!(Unsupported, "segment {:?} has a name; open it by that", self.name());
        }
        Ok(shm::reopen(self.attached.file()?)?.into())
    }

    /// Hands the segment over a Unix socket to a process that [receives](Self::receive_over) it.
    pub fn send_over(&self, socket: BorrowedFd<'_>) -> Result<()> {
        socket::send(socket, &File::from(self.to_fd()?))
    }

    /// Attaches to an anonymous segment that comes over a Unix socket.
    ///
    /// # Errors
    /// `Closed` when the other side closed the socket, or sent no segment.
    pub fn receive_over(socket: BorrowedFd<'_>) -> Result<Self> {
        Self::from_fd(socket::receive(socket)?.as_fd())
    }

    /// Whether it has no name and never had one.
    pub fn is_anonymous(&self) -> bool {
        self.attached.file().is_ok_and(shm::is_sealed)
    }

    /// Takes the name from a segment. Who is attached goes on with it; its memory is freed when the last one
    /// has left.
    pub fn unlink(name: &str) -> Result<()> {
        check_name(name)?;
        shm::unlink(name) // who is attaching at this moment sees that the link is missing
    }

    /// The names of all segments of this machine that this process may see.
    pub fn names() -> Result<Vec<String>> {
        Ok(shm::names()?.collect())
    }

    /// Removes ephemeral and unfinished segments that nobody lives in, and those from before the last boot
    /// that were ephemeral; their names. Never removes a persistent segment.
    pub fn gc() -> Result<Vec<String>> {
        cleanup::gc()
    }

    /// The segment's name.
    pub fn name(&self) -> &str {
        self.attached.name()
    }

    /// The size that it may grow to, in bytes.
    pub fn limit(&self) -> u64 {
        self.attached.map.len()
    }

    /// The memory that it takes, in bytes.
    pub fn size(&self) -> Result<u64> {
        if self.attached.map.is_given() {
            return Ok(self.limit());
        }
        Ok(shm::stat(self.attached.file()?)?.len)
    }

    /// Whether its name was taken from it, or leads to another segment by now.
    /// False for an anonymous one.
    pub fn is_unlinked(&self) -> bool {
        !self.is_anonymous() && shm::identity_of(self.name()) != Some(self.attached.identity)
    }

    /// Whether the last participant to leave unlinks it.
    pub fn is_ephemeral(&self) -> bool {
        self.attached.header().flags.load(Relaxed) & EPHEMERAL != 0
    }

    /// Its objects, in no particular order.
    pub fn objects(&self) -> Result<Vec<ObjectInfo>> {
        let all = self.attached.all()?;
        let info = |(name, spec): (String, layout::Spec)| {
            let kind = Kind::of(spec.kind).ok_or_else(|| {
                self.attached.corrupted(format_args!("{name:?} is of unknown kind {}", spec.kind))
            })?;
            let typecode = char::from_u32(spec.typecode).filter(|_| spec.typecode != 0);
            Ok(ObjectInfo { name, kind, typecode, element_size: spec.element.into(), count: spec.count })
        };
        all.into_iter().map(info).collect()
    }

    /// Takes the name from an object. Who has it open goes on with it; its memory is reused when the last
    /// one has closed it.
    pub fn remove(&self, name: &str) -> Result<()> {
        directory::check_name(name)?;
        self.attached.remove(name)
    }

    /// Its participants, those that have died and were not swept yet included.
    pub fn participants(&self) -> Vec<Participant> {
        let text = |words: &[AtomicU64; 2]| {
            let bytes: Vec<u8> = words.iter().flat_map(|w| w.load(Relaxed).to_ne_bytes()).collect();
            String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
        };
        let seated = |label: &Label| self.attached.seat(*label).state == layout::SEAT_LIVE;
        let describe = |label| {
            let slot = self.attached.slot(label);
            Participant {
                label,
                pid: slot.pid.load(Relaxed) as u32,
                start_time: slot.start_time.load(Relaxed),
                command: text(&slot.command),
                alive: !self.attached.is_dead(label),
            }
        };
        self.attached.labels().filter(seated).map(describe).collect()
    }

    /// Clears up after participants that have died; how many there were. Waiting calls do this by
    /// themselves.
    pub fn recover(&self) -> usize {
        self.attached.sweep_all()
    }

    /// Detaches from the segment.
    ///
    /// # Errors
    /// `Busy`, with the segment handed back, while handles to its objects are open in this process and this
    /// is its last handle to the segment.
    pub fn close(self) -> Result<(), (Self, Error)> {
        match self.check_closable() {
            Ok(()) => Ok(()),
            Err(e) => Err((self, e)),
        }
    }

    /// `Busy` when this is the last handle to the segment and objects of it are open.
    pub(crate) fn check_closable(&self) -> Result<()> {
        let last = self.attached.segments.load(Ordering::Relaxed) == 1;
        let open = if last { self.attached.open_count() } else { 0 };
        if open != 0 {
            fail!(
                Busy,
                "segment {:?}: {open} of its objects are open in this process; close them first",
                self.name()
            );
        }
        Ok(())
    }

    /// The attachment behind this handle.
    pub(crate) fn attached(&self) -> &Arc<Attached> {
        &self.attached
    }
}

impl Clone for Segment {
    fn clone(&self) -> Self {
        Self::over(Arc::clone(&self.attached))
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        self.attached.segments.fetch_sub(1, Ordering::Relaxed);
        // In a forked child, lets go of what the fork had kept alive.
        drop(fork::registry());
    }
}

impl std::fmt::Debug for Segment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Segment").field("name", &self.name()).field("limit", &self.limit()).finish()
    }
}
