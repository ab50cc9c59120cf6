//! What an attach costs in system calls, and who wins when somebody attaches while the last one leaves.

mod common;

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;
use std::time::Instant;

use common::{World, fork, in_private_shm, path, reap, wait_until};
use sharecell::{ErrorKind, Segment};

/// Where `docs/layout.md` has `Header.gone`, the first `Slot`, and LIFE.
const GONE: u64 = 128;
const SLOTS: u64 = 2432;
const LIFE: i64 = 1 << 30;

/// The exit code of one that may not be traced.
const REFUSED: i32 = 77;

// ---- system calls --------------------------------------------------------------------------------------

/// The system calls of an attach, in order, on 64-bit machines; each has its reason at the head of `src/segment/seat.rs`. Root is not asked
/// who it is, as the file is root's.
const CALLS: &[(&str, i64)] = &[
    ("openat", libc::SYS_openat),
    ("statx", libc::SYS_statx),
    ("geteuid", libc::SYS_geteuid),
    ("pread64", libc::SYS_pread64),
    ("mmap", libc::SYS_mmap),
    ("openat", libc::SYS_openat),
    ("statx", libc::SYS_statx),
    ("fcntl", libc::SYS_fcntl),
    ("mmap", libc::SYS_mmap),
    ("madvise", libc::SYS_madvise),
    ("close", libc::SYS_close),
];

/// The call that brackets what is counted; nobody else makes it.
fn bracket() {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

/// Waits until a traced child is at a border of a system call; `None` when it has ended, with its code if it was not well.
fn next_stop(pid: i32) -> Option<i64> {
    let mut status = 0;
    // SAFETY: the child is this process's own, and stopped; the record is plain data of the size that is said.
    unsafe {
        libc::ptrace(libc::PTRACE_SYSCALL, pid, 0, 0);
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
        if !libc::WIFSTOPPED(status) {
            assert_eq!(status, 0, "the traced process has failed");
            return None;
        }
        let mut info: libc::ptrace_syscall_info = std::mem::zeroed();
        libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid, size_of_val(&info), &raw mut info);
        Some(if info.op == libc::PTRACE_SYSCALL_INFO_ENTRY { info.u.entry.nr as i64 } else { -1 })
    }
}

/// The system calls between each two brackets of a child; `None` where nobody may be traced.
fn traced(child: impl FnOnce()) -> Option<Vec<Vec<i64>>> {
    let pid = fork(|| {
        // SAFETY: neither has memory-safety preconditions.
        if unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) != 0 || libc::raise(libc::SIGSTOP) != 0 } {
            return REFUSED;
        }
        child();
        0
    });
    let mut status = 0;
    // SAFETY: waits for the child made above, which then is stopped and traced.
    unsafe {
        assert_eq!(libc::waitpid(pid, &mut status, 0), pid);
        if !libc::WIFSTOPPED(status) {
            return None;
        }
        let options = libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_EXITKILL;
        libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, options as usize);
    }
    let mut parts = vec![Vec::new()];
    while let Some(call) = next_stop(pid) {
        match call {
            -1 => {}
            libc::SYS_getppid => parts.push(Vec::new()),
            call => parts.last_mut().expect("never empty").push(call),
        }
    }
    Some(parts)
}

#[test]
#[cfg_attr(not(target_pointer_width = "64"), ignore = "its system calls have other names")]
fn an_attach_makes_the_system_calls_that_it_needs() {
    let world = World::new("calls");
    let name = world.name();
    // Not attached itself: its child would be, from its birth.
    drop(Segment::create(&name).unwrap());
    let parts = traced(|| {
        // What is done once in a process is done.
        drop(Segment::open(&name).unwrap());
        bracket();
        let s = black_box(Segment::open(&name).unwrap());
        bracket();
        drop(s);
        bracket();
    });
    Segment::unlink(&name).unwrap();
    let Some(parts) = parts else {
        println!("NOT TESTED: this process may not trace another");
        return;
    };
    let mut made = parts[1].clone();
    if cfg!(debug_assertions) {
        // The standard library then asks whether a descriptor is open before it closes it.
        let last = made.iter().rposition(|call| *call == libc::SYS_fcntl).expect("a call to take the lease");
        made.remove(last);
    }
    let name_of = |call: &i64| {
        CALLS.iter().find(|(_, nr)| nr == call).map_or(format!("call {call}"), |(name, _)| name.to_string())
    };
    let made: Vec<String> = made.iter().map(name_of).filter(|name| *name != "brk").collect();
    // SAFETY: geteuid has no preconditions.
    let is_root = unsafe { libc::geteuid() } == 0;
    let wanted: Vec<&str> =
        CALLS.iter().map(|(name, _)| *name).filter(|name| !is_root || *name != "geteuid").collect();
    assert_eq!(made, wanted);
    println!("{} system calls to attach, {} to detach", made.len(), parts[2].len());
}

/// The median of what something takes, in nanoseconds, prepared and undone while the clock stands.
fn median<A, B>(mut prepare: impl FnMut() -> A, mut it: impl FnMut(A) -> B, mut undo: impl FnMut(B)) -> u64 {
    let mut times: Vec<u64> = (0..4000)
        .map(|_| {
            let ready = prepare();
            let start = Instant::now();
            let done = black_box(it(ready));
            let ns = start.elapsed().as_nanos() as u64;
            undo(done);
            ns
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

/// The system calls of an attach, without the library.
struct Raw {
    path: CString,
    file: File,
}

const PAGE: usize = 4096;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

impl Raw {
    fn new(name: &str) -> Self {
        Self { path: CString::new(path(name)).unwrap(), file: File::open(path(name)).unwrap() }
    }

    fn open(&self) -> File {
        let flags = libc::O_RDWR | libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
        // SAFETY: the path is a C string, and the descriptor nobody else's.
        unsafe { File::from_raw_fd(libc::open(self.path.as_ptr(), flags)) }
    }

    fn open_by_proc(&self) -> File {
        File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd())).unwrap()
    }

    /// What the bench has as the floor: `shm_open` is `open` in /dev/shm.
    fn floor(&self) -> Mapping {
        Mapping::of(&self.open(), WRITE, MIB)
    }

    fn attach(&self) -> (File, Mapping, Mapping) {
        let first = self.open();
        read(&first);
        let segment = Mapping::of(&first, WRITE, GIB);
        let second = self.open();
        black_box((first.metadata().unwrap(), second.metadata().unwrap()));
        lock(&second, libc::F_WRLCK);
        let lease = Mapping::of(&second, libc::PROT_NONE, PAGE);
        lease.keep_from_children();
        (first, segment, lease)
    }
}

const WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

/// What is mapped; unmapped when dropped.
struct Mapping(*mut libc::c_void, usize);

impl Mapping {
    fn of(file: &File, protection: i32, len: usize) -> Self {
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let at = unsafe {
            libc::mmap(std::ptr::null_mut(), len, protection, libc::MAP_SHARED, file.as_raw_fd(), 0)
        };
        assert_ne!(at, libc::MAP_FAILED);
        Self(at, len)
    }

    fn touch(&self) {
        // SAFETY: the file is longer than a byte, and the mapping can be read.
        unsafe { self.0.cast::<u8>().read_volatile() };
    }

    fn keep_from_children(&self) {
        // SAFETY: the mapping is ours.
        assert_eq!(unsafe { libc::madvise(self.0, self.1, libc::MADV_DONTFORK) }, 0);
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and used no more.
        unsafe { libc::munmap(self.0, self.1) };
    }
}

fn read(file: &File) {
    file.read_exact_at(&mut [0; 64], 0).unwrap();
}

/// Locks a byte far from all others, for the description of `file`.
fn lock(file: &File, kind: i32) -> bool {
    set(file, kind, LIFE - 1)
}

fn set(file: &File, kind: i32, at: i64) -> bool {
    // SAFETY: plain data, for which zeroes are valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    (lock.l_type, lock.l_start, lock.l_len) = (kind as _, at as _, 1);
    // SAFETY: the descriptor is open and the record valid.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock) == 0 }
}

/// What an attach takes, beside its system calls one by one and all together, and `shm_open` and `mmap`.
#[test]
#[ignore = "measures: cargo test --release --test attach -- --ignored --nocapture"]
fn costs() {
    let world = World::new("costs");
    let name = world.name();
    drop(Segment::create(&name).unwrap());
    let holder = fork(|| {
        let _segment = Segment::open(&name).unwrap();
        // SAFETY: pause has no preconditions.
        unsafe { libc::pause() };
        0
    });
    let is_seated = || !Segment::open(&name).unwrap().participants().iter().all(|p| p.pid != holder as u32);
    wait_until("the holder has its seat", is_seated);
    let raw = Raw::new(&name);
    let (file, writable) = (&raw.file, &raw.open());
    let page = || Mapping::of(file, libc::PROT_NONE, PAGE);
    let unlock = |_| assert!(lock(writable, libc::F_UNLCK));
    let rows = [
        ("open, by name", median(|| (), |()| raw.open(), drop)),
        ("open, through /proc", median(|| (), |()| raw.open_by_proc(), drop)),
        ("fstat", median(|| (), |()| file.metadata().unwrap(), drop)),
        ("pread", median(|| (), |()| read(file), drop)),
        ("fcntl, to lock", median(|| (), |()| lock(writable, libc::F_WRLCK), unlock)),
        ("mmap, 1 GiB", median(|| (), |()| Mapping::of(file, libc::PROT_READ, GIB), drop)),
        (
            "first touch of that",
            median(
                || Mapping::of(file, libc::PROT_READ, GIB),
                |m| {
                    m.touch();
                    m
                },
                drop,
            ),
        ),
        ("mmap, a page", median(|| (), |()| page(), drop)),
        (
            "madvise",
            median(
                page,
                |m| {
                    m.keep_from_children();
                    m
                },
                drop,
            ),
        ),
        ("close", median(|| raw.open(), drop, drop)),
        ("shm_open, mmap, close", median(|| (), |()| raw.floor(), drop)),
        (
            "the same, and first touch",
            median(
                || (),
                |()| {
                    let m = raw.floor();
                    m.touch();
                    m
                },
                drop,
            ),
        ),
        ("the calls of an attach", median(|| (), |()| raw.attach(), drop)),
        (
            "the same, and first touch",
            median(
                || (),
                |()| {
                    let all = raw.attach();
                    all.1.touch();
                    all
                },
                drop,
            ),
        ),
        ("Segment::open", median(|| (), |()| Segment::open(&name).unwrap(), drop)),
        ("and to close it", median(|| Segment::open(&name).unwrap(), drop, drop)),
    ];
    for (what, ns) in rows {
        println!("{ns:>6} ns  {what}");
    }
    // SAFETY: kill has no memory-safety preconditions.
    unsafe { libc::kill(holder, libc::SIGKILL) };
    assert_eq!(reap(holder), -libc::SIGKILL);
    Segment::unlink(&name).unwrap();
}

// ---- attaching while the last one leaves ---------------------------------------------------------------

fn writable(name: &str) -> File {
    OpenOptions::new().read(true).write(true).open(path(name)).unwrap()
}

fn is_marked(file: &File) -> bool {
    let mut gone = [0; 4];
    file.read_exact_at(&mut gone, GONE).unwrap();
    gone != [0; 4]
}

/// As one leaves it who was killed between setting GONE and unlinking.
#[test]
fn who_attaches_takes_back_the_mark_of_one_who_died_unlinking() {
    let world = World::new("mark");
    let name = world.name();
    drop(Segment::create(&name).unwrap());
    let file = writable(&name);
    file.write_all_at(&1u32.to_ne_bytes(), GONE).unwrap();
    let s = Segment::open(&name).unwrap();
    assert!(!is_marked(&file) && !s.is_unlinked());
    assert_eq!(s.participants().len(), 1);
    drop(s);
    Segment::unlink(&name).unwrap();
}

/// While somebody holds LIFE and GONE is set, nobody is attached: he may unlink at any moment.
#[test]
fn who_attaches_waits_for_one_who_is_unlinking() {
    let world = World::new("life");
    let name = world.name();
    drop(Segment::create(&name).unwrap());
    let file = writable(&name);
    assert!(set(&file, libc::F_WRLCK, LIFE));
    file.write_all_at(&1u32.to_ne_bytes(), GONE).unwrap();
    std::thread::scope(|scope| {
        let late = scope.spawn(|| Segment::open(&name).map(drop).map_err(|e| e.kind()));
        // It takes a seat, finds the mark, and leaves the seat: many times, before the other is done.
        let generation = || {
            let mut state = [0; 8];
            file.read_exact_at(&mut state, SLOTS).unwrap();
            u64::from_ne_bytes(state) >> 32
        };
        let first = generation();
        wait_until("it has tried", || generation() >= first + 3);
        assert!(!late.is_finished());
        Segment::unlink(&name).unwrap();
        assert!(set(&file, libc::F_UNLCK, LIFE));
        assert_eq!(late.join().unwrap(), Err(ErrorKind::NotFound));
    });
}

/// Nobody is attached to a segment that another one unlinked for being the last. In a /dev/shm of its own, so that nobody
/// else looks at the segment in passing.
#[test]
fn the_name_stays_as_long_as_somebody_is_attached() {
    const PROCESSES: usize = 3;
    const ROUNDS: u32 = 2000;
    let options = Segment::options().limit(1 << 20).participants(4).ephemeral(true);
    // Says what went wrong by its code: a panic in a child of a process with threads may hang.
    let come_and_go = || {
        for _ in 0..ROUNDS {
            match options.open_or_create("stays") {
                Ok(s) if s.is_unlinked() => return 1,
                Ok(s) => drop(s),
                Err(_) => return 2,
            }
        }
        0
    };
    in_private_shm(64 << 20, || {
        let all = [(); PROCESSES].map(|()| fork(come_and_go));
        assert_eq!(all.map(reap), [0; PROCESSES]);
        assert_eq!(Segment::names().unwrap(), [""; 0]);
    });
}
