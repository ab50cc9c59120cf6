//! An operation under ptrace: run by single instructions and by system calls, and killed at a chosen instant.
//!
//! Counting accesses misses what happens inside copies, system calls and fork handlers; this does not. What
//! depends on the processor stands in `cpu`.

use std::collections::HashMap;

use memmap2::Mmap;

use crate::common::*;
use crate::play::{wait_for, watch};
use crate::scene::{Case, Scene, Who};

/// When an operation is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instant {
    /// Never.
    Never,
    /// So many instructions after it has come to this place for the n-th time.
    At { place: u64, nth: u64, more: u64 },
    /// When it has made this system call for the n-th time, and the kernel has done nothing yet.
    Entry(Call),
    /// Without waiting for what the kernel does in it.
    Inside(Call),
    /// When the call has done its work.
    Exit(Call),
}

impl Instant {
    /// One instruction later, if it is told by instructions.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::At { place, nth, more } => Some(Self::At { place, nth, more: more + 1 }),
            _ => None,
        }
    }
}

/// The n-th of the system calls of a number. (How many others come before it is not the same each time: who creates a
/// segment looks at a few others' in passing.)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub number: i64,
    pub nth: u64,
}

/// The instructions of an operation.
#[derive(Default)]
pub struct Course {
    /// The address of each.
    pub places: Vec<u64>,
    /// For the how-manieth time it was come to.
    pub visits: Vec<u64>,
    /// Which of them changed the segment, or called the kernel. What a loop changes is looked at a few times.
    pub effects: Vec<usize>,
}

impl Course {
    /// How far before an instruction a place is looked for that is easier to find: one that is not in a loop.
    const NEAR: usize = 64;
    /// How often an instruction is looked at, whether it changes something.
    const LOOKED_AT: u64 = 100;

    /// The instant before each instruction is executed. Told by places and not by numbers of instructions, it is found
    /// again, at nearly full speed, where another run takes some other way to it.
    pub fn instants(&self) -> Vec<Instant> {
        let before = |i: usize| {
            let cost = |j: &usize| 4 * self.visits[*j] + (i - j) as u64;
            let j = (i.saturating_sub(Self::NEAR)..=i).min_by_key(cost).expect("itself at least");
            Instant::At { place: self.places[j], nth: self.visits[j], more: (i - j) as u64 }
        };
        (0..self.places.len()).map(before).collect()
    }
}

/// What the traced process did last.
enum Stop {
    Trapped,
    Ended(i32),
}

/// A process that stands still until it is told how far to go.
struct Tracee {
    pid: i32,
    /// To be delivered when it goes on.
    signal: i32,
    /// Where its code has a breakpoint, and what stands there else.
    patched: Option<(u64, i64)>,
}

/// What a status says, beside the process having stopped, when it has forked.
const FORKED: i32 = libc::SIGTRAP | libc::PTRACE_EVENT_FORK << 8;

/// The exit code of one that may not be traced.
const REFUSED: i32 = 77;

/// Whether one process may trace another here; says why not.
pub fn is_permitted() -> bool {
    let child = fork(|| if trace_me() { 0 } else { REFUSED });
    match wait_for(child) {
        status if libc::WIFSTOPPED(status) => {
            // SAFETY: kill has no memory-safety preconditions; the child was not reaped yet.
            unsafe { libc::kill(child, libc::SIGKILL) };
            wait_for(child);
            true
        }
        status => {
            println!("NOT TESTED: this process may not trace another (status {status:#x})");
            false
        }
    }
}

fn trace_me() -> bool {
    // SAFETY: neither has memory-safety preconditions.
    unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) == 0 && libc::raise(libc::SIGSTOP) == 0 }
}

impl Tracee {
    /// The process that is about to begin the operation, and the one that it is a child of if it is a forked one.
    fn start(case: &Case, scene: &Scene) -> (Self, Option<i32>) {
        let pid = fork(|| {
            watch(10 * WATCHDOG); // Each instruction of it may be a stop.
            let operation = (case.operation)(scene);
            assert!(trace_me());
            operation();
            0
        });
        let status = wait_for(pid);
        assert!(libc::WIFSTOPPED(status), "the operation could not be prepared: {status:#x}");
        let tracee = Self::stopped(pid);
        match case.who {
            Who::Itself => (tracee, None),
            Who::ItsChild => (tracee.child(), Some(pid)),
        }
    }

    /// A process that is traced and has stopped.
    fn stopped(pid: i32) -> Self {
        let options = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACESYSGOOD | libc::PTRACE_O_TRACEFORK;
        let tracee = Self { pid, signal: 0, patched: None };
        tracee.request(libc::PTRACE_SETOPTIONS, 0, options as usize);
        tracee
    }

    /// Lets a process go on until it forks, and then without us; its child.
    fn child(mut self) -> Self {
        loop {
            self.request(libc::PTRACE_CONT, 0, self.signal as usize);
            match wait_for(self.pid) {
                status if status >> 8 == FORKED => break,
                status if libc::WIFSTOPPED(status) => self.signal = libc::WSTOPSIG(status),
                status => panic!("it ended before it forked: {status:#x}"),
            }
        }
        let child = self.forked();
        self.request(libc::PTRACE_DETACH, 0, 0);
        child
    }

    /// The child of a process that has just forked.
    fn forked(&self) -> Self {
        let mut child: libc::c_ulong = 0;
        self.request(libc::PTRACE_GETEVENTMSG, 0, &raw mut child as usize);
        assert!(libc::WIFSTOPPED(wait_for(child as i32)));
        Self::stopped(child as i32)
    }

    fn request(&self, request: libc::c_uint, address: usize, data: usize) -> i64 {
        // SAFETY: the process is traced by this one and stopped; where the kernel writes to `data`, it is the
        // address of what the request wants.
        let result = unsafe { libc::ptrace(request, self.pid, address, data) };
        assert!(result >= 0, "ptrace({request}): {}", std::io::Error::last_os_error());
        result
    }

    /// Goes on to the next instruction (`PTRACE_SINGLESTEP`) or border of a system call (`PTRACE_SYSCALL`).
    fn resume(&mut self, how: libc::c_uint) -> Stop {
        loop {
            let signal = std::mem::take(&mut self.signal);
            self.request(how, 0, signal as usize);
            let status = wait_for(self.pid);
            if !libc::WIFSTOPPED(status) {
                return Stop::Ended(status);
            }
            if status >> 8 == FORKED {
                let child = self.forked();
                if let Some((place, code)) = self.patched {
                    child.request(libc::PTRACE_POKETEXT, place as usize, code as usize);
                }
                child.request(libc::PTRACE_DETACH, 0, 0);
                continue;
            }
            match libc::WSTOPSIG(status) & !0x80 {
                libc::SIGTRAP => return Stop::Trapped,
                signal => self.signal = signal,
            }
        }
    }

    fn registers(&self, request: libc::c_uint, registers: &mut libc::user_regs_struct) {
        let mut part =
            libc::iovec { iov_base: (&raw mut *registers).cast(), iov_len: size_of_val(registers) };
        self.request(request, 1, &raw mut part as usize); // 1: NT_PRSTATUS
    }

    /// Where it stands.
    fn place(&self) -> u64 {
        // SAFETY: the registers are plain data, for which zeroes are valid.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        self.registers(libc::PTRACE_GETREGSET, &mut registers);
        *cpu::place(&mut registers)
    }

    /// The instruction at a place, and what follows it.
    fn code(&self, place: u64) -> i64 {
        // SAFETY: as in `request`; every value is a word of its memory, so an error cannot be told from one.
        unsafe { libc::ptrace(libc::PTRACE_PEEKTEXT, self.pid, place as usize, 0) }
    }

    /// Goes on until it comes to a place for the n-th time; how it ended if it did not.
    fn run_to(&mut self, place: u64, nth: u64) -> Option<i32> {
        let code = self.code(place);
        let write =
            |this: &Self, code: i64| this.request(libc::PTRACE_POKETEXT, place as usize, code as usize);
        for n in 0..nth {
            if n > 0 || self.place() == place {
                // It stands on it: over it, before it can be stopped there again.
                if n == 0 && nth == 1 {
                    return None;
                }
                if let Stop::Ended(status) = self.resume(libc::PTRACE_SINGLESTEP) {
                    return Some(status);
                }
            }
            write(self, cpu::breakpoint(code));
            self.patched = Some((place, code));
            if let Stop::Ended(status) = self.resume(libc::PTRACE_CONT) {
                return Some(status);
            }
            write(self, code);
            self.patched = None;
            // SAFETY: the registers are plain data, for which zeroes are valid.
            let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
            self.registers(libc::PTRACE_GETREGSET, &mut registers);
            *cpu::place(&mut registers) = place;
            self.registers(libc::PTRACE_SETREGSET, &mut registers);
        }
        None
    }

    /// The number of the system call at whose entry it stands.
    fn call(&self) -> i64 {
        // SAFETY: plain data, for which zeroes are valid.
        let mut info: libc::ptrace_syscall_info = unsafe { std::mem::zeroed() };
        self.request(libc::PTRACE_GET_SYSCALL_INFO, size_of_val(&info), &raw mut info as usize);
        assert_eq!(info.op, libc::PTRACE_SYSCALL_INFO_ENTRY);
        // SAFETY: `op` says which part of the union was written.
        unsafe { info.u.entry.nr as i64 }
    }

    /// Goes on to the entry of a system call; how it ended if it did not come to that.
    fn run_into(&mut self, call: Call) -> Option<i32> {
        let mut left = call.nth;
        loop {
            if let Stop::Ended(status) = self.resume(libc::PTRACE_SYSCALL) {
                return Some(status);
            }
            left -= u64::from(self.call() == call.number);
            if left == 0 {
                return None;
            }
            if let Stop::Ended(status) = self.resume(libc::PTRACE_SYSCALL) {
                return Some(status);
            }
        }
    }

    /// Kills it; false, as it did not get through.
    fn kill(&self) -> bool {
        // SAFETY: kill has no memory-safety preconditions; the process was not reaped yet.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        loop {
            match wait_for(self.pid) {
                status if libc::WIFSTOPPED(status) => {}
                status if libc::WIFSIGNALED(status) => return false,
                status => return through(status),
            }
        }
    }

    /// Brings it to the instant and kills it there; whether it got through before.
    fn go(&mut self, until: Instant) -> bool {
        let (how, count) = match until {
            Instant::Never => (libc::PTRACE_CONT, u64::MAX),
            Instant::At { place, nth, more } => match self.run_to(place, nth) {
                Some(status) => return through(status),
                None => (libc::PTRACE_SINGLESTEP, more),
            },
            Instant::Entry(call) | Instant::Inside(call) | Instant::Exit(call) => match self.run_into(call) {
                Some(status) => return through(status),
                None => (libc::PTRACE_SYSCALL, u64::from(matches!(until, Instant::Exit(_)))),
            },
        };
        for _ in 0..count {
            if let Stop::Ended(status) = self.resume(how) {
                return through(status);
            }
        }
        if matches!(until, Instant::Inside(_)) {
            self.request(libc::PTRACE_CONT, 0, 0);
        }
        self.kill()
    }
}

/// Whether a process got through, by its status: it must not have failed.
fn through(status: i32) -> bool {
    assert_eq!(status, 0, "the operation ended with {status:#x}");
    true
}

/// Plays the operation up to an instant; whether it got through.
pub fn play_until(case: &Case, scene: &Scene, until: Instant) -> bool {
    let (mut tracee, parent) = Tracee::start(case, scene);
    let through = tracee.go(until);
    if let Some(parent) = parent {
        assert_eq!(wait_for(parent), 0, "the parent of who was killed");
    }
    through
}

/// Plays the operation to its end instruction by instruction, at most `most` of them, and notes the effects.
pub fn steps_of(case: &Case, scene: &Scene, most: usize) -> Course {
    let (mut tracee, parent) = Tracee::start(case, scene);
    let mut course = Course::default();
    let (mut memory, mut codes) = (Memory::new(scene), HashMap::new());
    let ended = loop {
        let place = tracee.place();
        let (code, visits) = codes.entry(place).or_insert_with(|| (tracee.code(place), 0));
        *visits += 1;
        let calls = cpu::is_call(*code);
        match tracee.resume(libc::PTRACE_SINGLESTEP) {
            Stop::Ended(status) => break through(status),
            Stop::Trapped if course.places.len() == most => break false,
            Stop::Trapped => {
                course.places.push(place);
                course.visits.push(*visits);
            }
        }
        let looked_at = cpu::may_store(*code) && (*visits <= Course::LOOKED_AT || most == usize::MAX);
        if calls || looked_at && memory.has_changed() {
            course.effects.push(course.places.len() - 1);
        }
        if calls {
            memory = Memory::new(scene);
        }
    };
    assert!(ended || tracee.go(Instant::Never));
    if let Some(parent) = parent {
        assert_eq!(wait_for(parent), 0);
    }
    course
}

/// Plays the operation to its end, and notes its system calls.
pub fn calls_of(case: &Case, scene: &Scene) -> Vec<i64> {
    let (mut tracee, parent) = Tracee::start(case, scene);
    let mut calls = Vec::new();
    while let Stop::Trapped = tracee.resume(libc::PTRACE_SYSCALL) {
        calls.push(tracee.call());
        if let Stop::Ended(status) = tracee.resume(libc::PTRACE_SYSCALL) {
            assert!(through(status));
            break;
        }
    }
    if let Some(parent) = parent {
        assert_eq!(wait_for(parent), 0);
    }
    calls
}

/// The segments of a scene as they were when they were last looked at.
struct Memory(Vec<(Mmap, Vec<u8>)>);

impl Memory {
    fn new(scene: &Scene) -> Self {
        let files = [scene.s.name(), &scene.other].map(|name| std::fs::File::open(path(name)));
        // SAFETY: what others write meanwhile is only compared, and nobody truncates these.
        let maps = files.into_iter().flatten().filter_map(|file| unsafe { Mmap::map(&file) }.ok());
        Self(maps.map(|map| (map[..].to_vec(), map)).map(|(copy, map)| (map, copy)).collect())
    }

    fn has_changed(&mut self) -> bool {
        let mut changed = false;
        for (map, copy) in &mut self.0 {
            if map[..] != copy[..] {
                copy.copy_from_slice(map);
                changed = true;
            }
        }
        changed
    }
}

/// What differs between processors.
mod cpu {
    use libc::user_regs_struct as Registers;

    #[cfg(target_arch = "x86_64")]
    pub fn place(registers: &mut Registers) -> &mut u64 {
        &mut registers.rip
    }
    #[cfg(target_arch = "aarch64")]
    pub fn place(registers: &mut Registers) -> &mut u64 {
        &mut registers.pc
    }

    /// Whether an instruction is `syscall` or `svc #0`.
    pub fn is_call(code: i64) -> bool {
        if cfg!(target_arch = "x86_64") { code & 0xffff == 0x050f } else { code & 0xffff_ffff == 0xd400_0001 }
    }

    /// Whether an instruction may change memory, beside what a call or a push writes to the stack; what is not known
    /// may. `code` begins with it.
    pub fn may_store(code: i64) -> bool {
        if !cfg!(target_arch = "x86_64") {
            return true;
        }
        let prefixed = code.to_le_bytes().into_iter();
        let mut bytes = prefixed.skip_while(|byte| matches!(byte, 0x66 | 0xf2 | 0xf3)).peekable();
        bytes.next_if(|byte| matches!(byte, 0x40..=0x4f)); // REX
        let (Some(first), Some(second)) = (bytes.next(), bytes.next()) else { return true };
        match first {
            0x0f => second_may_store(second, bytes.next()),
            // Arithmetic: to memory, or a register, or no more than compared.
            0x00..=0x3f if first & 7 < 6 => first & 7 < 2 && first < 0x38 && is_memory(second),
            0x80 | 0x81 | 0x83 => second >> 3 & 7 != 7 && is_memory(second),
            0x88 | 0x89 | 0xc0 | 0xc1 | 0xc6 | 0xc7 | 0xd0..=0xd3 | 0xf6 | 0xf7 | 0xfe => is_memory(second),
            // Jumps, calls, returns; what goes to a register, or to the stack.
            0x70..=0x7f | 0xc2 | 0xc3 | 0xe8 | 0xe9 | 0xeb => false,
            0x50..=0x5f | 0x63 | 0x68..=0x6b | 0x84 | 0x85 | 0x8a | 0x8b | 0x8d | 0x90 | 0xb0..=0xbf => false,
            _ => true,
        }
    }

    /// As [`may_store`], of those that begin with 0x0f.
    fn second_may_store(second: u8, operand: Option<u8>) -> bool {
        match second {
            // Loads, jumps, and moves to registers.
            0x10 | 0x12 | 0x16 | 0x1f | 0x28 | 0x40..=0x4f | 0x6e | 0x6f | 0x80..=0x8f => false,
            0xb6 | 0xb7 | 0xbe | 0xbf => false,
            0x38 | 0x3a => true,
            _ => operand.is_none_or(is_memory),
        }
    }

    /// Whether an operand is in memory, and not in a register.
    fn is_memory(operand: u8) -> bool {
        operand < 0xc0
    }

    /// The same memory with `int3` or `brk #0` in place of its instruction.
    pub fn breakpoint(code: i64) -> i64 {
        if cfg!(target_arch = "x86_64") { code & !0xff | 0xcc } else { code & !0xffff_ffff | 0xd420_0000 }
    }
}
