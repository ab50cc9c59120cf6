//! What must cost nothing: system calls of operations that nobody waits for, and processor time of those who wait.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use sharecell::{
    Barrier, Deadline, End, Event, Lock, Pipe, PipeOptions, Queue, QueueOptions, Segment, Semaphore, Value,
};

use crate::group::{Group, Sample};
use crate::machine::{exit_now, now};
use crate::peers::Scratch;
use crate::trial::{self, Child, Pin, Place};

pub fn groups<'a>() -> Vec<Group<'a>> {
    vec![calls(), idle()]
}

type Operation = Box<dyn FnMut()>;

fn calls<'a>() -> Group<'a> {
    let title = "System calls in a thousand operations that nobody waits for";
    let mut g = Group::new("quiet.calls", title, "calls").fixed(1000, 1000);
    let mut add = |name: &str, make: fn(&Segment) -> Result<Operation>| {
        g.add(name, Place::Processes, move |count| traced(count, make));
    };
    add("lock and unlock", |s| {
        let lock = Lock::create(s, "lock")?;
        Ok(Box::new(move || drop(lock.lock().expect("lock"))))
    });
    add("queue put and get", |s| {
        let queue = Queue::create(s, "queue", &QueueOptions::new(16))?;
        Ok(Box::new(move || {
            queue.put(b"12345678").expect("put");
            drop(black_box(queue.recv(Deadline::Never).expect("recv")));
        }))
    });
    add("queue put_many and get_many", |s| {
        let queue = Queue::create(s, "queue", &QueueOptions::new(16))?;
        Ok(Box::new(move || {
            queue.put_many([b"12345678"; 8]).expect("put_many");
            black_box(queue.get_many(8).expect("get_many"));
        }))
    });
    add("pipe send and receive", |s| {
        let (a, b) = Pipe::create(s, "pipe", &PipeOptions::new())?;
        Ok(Box::new(move || {
            a.send(b"12345678").expect("send");
            b.recv_into(&mut [0; 8], Deadline::Never).expect("recv_into");
        }))
    });
    add("value get, set and add", |s| {
        let value = Value::create(s, "value", 0u64)?;
        Ok(Box::new(move || {
            value.set(value.get().expect("get")).expect("set");
            value.add(1).expect("add");
        }))
    });
    add("semaphore release and acquire", |s| {
        let semaphore = Semaphore::create(s, "semaphore", 0)?;
        Ok(Box::new(move || {
            semaphore.release(1).expect("release");
            semaphore.acquire().expect("acquire");
        }))
    });
    add("event set and clear", |s| {
        let event = Event::create(s, "event")?;
        Ok(Box::new(move || {
            event.set();
            event.clear();
        }))
    });
    g
}

/// The call that brackets what is counted; nobody else makes it.
fn bracket() {
    // SAFETY: it takes nothing and cannot fail.
    unsafe { libc::syscall(libc::SYS_getppid) };
}

/// Runs `count` operations in a process that is traced from call to call, and counts the calls.
fn traced(count: u64, make: fn(&Segment) -> Result<Operation>) -> Result<Sample> {
    let start = now();
    let child = Child::fork(|| {
        // SAFETY: the parent traces this process; the signal stops it until the parent goes on.
        unsafe {
            libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0);
            libc::raise(libc::SIGSTOP);
        }
        let Ok(scratch) = Scratch::new() else { return false };
        let Ok(mut operation) = make(&scratch.segment) else { return false };
        (0..100).for_each(|_| operation());
        bracket();
        (0..count).for_each(|_| operation());
        bracket();
        drop((operation, scratch));
        true
    })?;
    let calls = count_between_brackets(child.pid())?;
    ensure!(child.wait(), "the traced process failed");
    Ok(Sample::new(calls as f64 * 1000.0 / count as f64, (now() - start) as f64))
}

fn count_between_brackets(pid: libc::pid_t) -> Result<u64> {
    let (mut brackets, mut calls, mut signal) = (0, 0, 0);
    let mut first = true;
    while brackets < 2 {
        let mut status = 0;
        // SAFETY: `status` is a place to write to; the process is our child.
        if unsafe { libc::waitpid(pid, &mut status, 0) } != pid || !libc::WIFSTOPPED(status) {
            bail!("the traced process ended early");
        }
        if first {
            first = false;
            // SAFETY: the child is stopped and traced by us.
            unsafe { libc::ptrace(libc::PTRACE_SETOPTIONS, pid, 0, libc::PTRACE_O_TRACESYSGOOD) };
        } else if libc::WSTOPSIG(status) == libc::SIGTRAP | 0x80 {
            match entered(pid)? {
                Some(call) if call == libc::SYS_getppid as u64 => brackets += 1,
                Some(_) if brackets == 1 => calls += 1,
                _ => {}
            }
        } else {
            signal = libc::WSTOPSIG(status);
        }
        // SAFETY: the child is stopped and traced by us.
        unsafe { libc::ptrace(libc::PTRACE_SYSCALL, pid, 0, signal) };
        signal = 0;
    }
    // The child may be running, or stopped at its next call already.
    let mut status = 0;
    // SAFETY: as above.
    unsafe {
        libc::waitpid(pid, &mut status, 0);
        libc::ptrace(libc::PTRACE_DETACH, pid, 0, 0);
    }
    Ok(calls)
}

/// The number of the call that a stopped process is about to make; `None` when it returns from one.
fn entered(pid: libc::pid_t) -> Result<Option<u64>> {
    // SAFETY: zero is valid in every field, and the kernel writes no more than its size.
    let info = unsafe {
        let mut info: libc::ptrace_syscall_info = std::mem::zeroed();
        let size = size_of_val(&info);
        if libc::ptrace(libc::PTRACE_GET_SYSCALL_INFO, pid, size, &raw mut info) < 0 {
            bail!("PTRACE_GET_SYSCALL_INFO: {}", std::io::Error::last_os_error());
        }
        info
    };
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return Ok(None);
    }
    // SAFETY: `op` says which of the union's members is valid.
    Ok(Some(unsafe { info.u.entry.nr }))
}

fn idle<'a>() -> Group<'a> {
    let title = "Processor time of a waiter, in percent of one processor";
    let mut g = Group::new("quiet.idle", title, "%").fixed(500, 5000);
    let mut add = |name: &str, wait: fn(&Segment, Duration) -> bool| {
        g.add(name, Place::Processes, move |ms| waiter(Duration::from_millis(ms), wait));
    };
    add("lock that is held", |s, time| {
        Lock::open(s, "lock").expect("open").lock_timeout(time).is_err_and(|e| e.is_timeout())
    });
    add("queue that is empty", |s, time| {
        Queue::open(s, "queue").expect("open").get_timeout(time).is_err_and(|e| e.is_timeout())
    });
    add("pipe that is empty", |s, time| {
        let end = Pipe::open(s, "pipe", End::B).expect("open");
        end.recv_timeout(time).is_err_and(|e| e.is_timeout())
    });
    add("barrier that lacks one", |s, time| {
        Barrier::open(s, "barrier").expect("open").wait_timeout(time).is_err()
    });
    g
}

fn waiter(time: Duration, wait: fn(&Segment, Duration) -> bool) -> Result<Sample> {
    let scratch = Scratch::new()?;
    let lock = Lock::create(&scratch.segment, "lock")?;
    let _queue = Queue::create(&scratch.segment, "queue", &QueueOptions::new(16))?;
    let _ends = Pipe::create(&scratch.segment, "pipe", &PipeOptions::new())?;
    let _barrier = Barrier::create(&scratch.segment, "barrier", 2)?;
    let guard = lock.lock()?;
    let reports = trial::processes(1, Pin::Spread, &|worker| {
        let segment = scratch.open()?;
        worker.measure(|report| {
            let before = processor_ns();
            if !wait(&segment, time) {
                exit_now(false);
            }
            report.numbers[0] = (processor_ns() - before) as f64;
        });
        Ok(())
    })?;
    drop(guard);
    let ns = trial::wall_ns(&reports);
    Ok(Sample::new(100.0 * reports[0].numbers[0] / ns, ns))
}

/// What this process has used so far.
fn processor_ns() -> u64 {
    let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `t` is a place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut t) };
    t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64
}
