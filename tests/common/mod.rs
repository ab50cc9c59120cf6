//! Real processes for tests: a process runs its own test binary again in a role, and they talk by lines.
//!
//! A file of tests that uses this has one ignored test called `child`, which hands its roles to [`act`].
#![allow(dead_code, reason = "each file of tests uses a part of this")]

mod blocks;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use sharecell::{ErrorKind, Segment, SegmentOptions};

/// Whoever waits longer than this hangs. It is a limit, not an expectation: generous, for a machine may be busy.
pub const WATCHDOG: Duration = Duration::from_secs(180);
const ROLE: &str = "SHARECELL_TEST_ROLE";
/// What marks the lines of a role among those of the test harness.
const MARK: char = '@';

/// A role's arguments.
pub type Args = Vec<String>;
/// What a process plays: the role's name and its part.
pub type Role = (&'static str, fn(Args));

/// The kind of an error that is expected.
#[track_caller]
pub fn kind<T>(result: sharecell::Result<T>) -> ErrorKind {
    result.err().expect("an error").kind()
}

// ---- in the child --------------------------------------------------------------------------------------

/// Plays the role that the environment names, and ends the process.
pub fn act(roles: &[Role]) -> ! {
    let role = std::env::var(ROLE).expect("this is run by the other tests, in a role");
    let mut words = role.split('\n').map(str::to_owned);
    let name = words.next().unwrap();
    // SAFETY: prctl has no preconditions. Who started us must not leave us behind.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let (_, play) = roles.iter().find(|(known, _)| *known == name).expect("a known role");
    play(words.collect());
    std::process::exit(0)
}

/// Says a line to the parent.
pub fn say(line: impl std::fmt::Display) {
    let mut out = std::io::stdout();
    write!(out, "\n{MARK}{line}\n").unwrap();
    out.flush().unwrap();
}

/// The parent's next line. Ends the process when there is none any more.
pub fn hear() -> String {
    let mut line = String::new();
    if std::io::stdin().read_line(&mut line).unwrap() == 0 {
        std::process::exit(0);
    }
    line.trim_end().to_owned()
}

/// Says that something is held, and goes on when the parent says so.
pub fn held() {
    say("held");
    assert_eq!(hear(), "go on");
}

/// Waits to be killed, or for the parent's end of input.
pub fn park() -> ! {
    loop {
        hear();
    }
}

// ---- in the parent -------------------------------------------------------------------------------------

/// A child process in a role. Dropping it kills it.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    next: Option<String>,
    role: String,
}

/// Starts this test binary in a role.
pub fn spawn(role: &str, args: &[&str]) -> Process {
    spawn_with(role, args, |_| {})
}

/// Starts this test binary in a role, after `prepare` has had the command.
pub fn spawn_with(role: &str, args: &[&str], prepare: impl FnOnce(&mut Command)) -> Process {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let words: Vec<&str> = std::iter::once(role).chain(args.iter().copied()).collect();
    command
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env(ROLE, words.join("\n"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    prepare(&mut command);
    let mut child = command.spawn().expect("this binary can be run again");
    let (sender, lines) = channel();
    let out = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || {
        for line in out.lines().map_while(Result::ok) {
            if let Some(line) = line.strip_prefix(MARK) {
                let _ = sender.send(line.to_owned());
            }
        }
    });
    let input = child.stdin.take();
    Process { child, input, lines, next: None, role: words.join(" ") }
}

/// Runs a role to its good end.
#[track_caller]
pub fn run(role: &str, args: &[&str]) {
    spawn(role, args).finish();
}

impl Process {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Its next line.
    #[track_caller]
    pub fn line(&mut self) -> String {
        if let Some(line) = self.next.take() {
            return line;
        }
        match self.lines.recv_timeout(WATCHDOG) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("`{}` hangs", self.role),
            Err(RecvTimeoutError::Disconnected) => {
                panic!("`{}` has ended: {:?}", self.role, self.child.wait())
            }
        }
    }

    /// Its next line must be `line`.
    #[track_caller]
    pub fn expect(&mut self, line: &str) {
        assert_eq!(self.line(), line, "said by `{}`", self.role);
    }

    /// Whether it has said a line that nobody has read yet; the next [`line`](Self::line) is that line.
    pub fn said_something(&mut self) -> bool {
        self.next = self.next.take().or_else(|| self.lines.try_recv().ok());
        self.next.is_some()
    }

    /// Says a line to it.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Kills it, and returns when the kernel has buried it.
    pub fn kill(&mut self) {
        self.signal(libc::SIGKILL);
        assert_eq!(self.child.wait().unwrap().signal(), Some(libc::SIGKILL), "`{}`", self.role);
    }

    /// Kills it and leaves it a zombie.
    pub fn kill_unreaped(&self) {
        self.signal(libc::SIGKILL);
        self.wait_state('Z');
    }

    /// Stops it, and returns when it has stopped.
    pub fn stop(&self) {
        self.signal(libc::SIGSTOP);
        self.wait_state('T');
    }

    /// Lets it run again.
    pub fn proceed(&self) {
        self.signal(libc::SIGCONT);
    }

    /// Returns when the role sleeps in the kernel: after a line that says what it is going to wait for.
    pub fn wait_asleep(&self) {
        // The harness runs the role in a thread that has the name of the test.
        let tasks = format!("/proc/{}/task", self.pid());
        let role = || {
            let mut tasks = std::fs::read_dir(&tasks).ok()?.map_while(Result::ok).map(|task| task.path());
            tasks.find(|task| std::fs::read(task.join("comm")).is_ok_and(|name| name == b"child\n"))
        };
        wait_until(&format!("`{}` sleeps", self.role), || role().is_some_and(|task| state_in(&task) == 'S'));
    }

    fn signal(&self, signal: i32) {
        // SAFETY: kill has no memory-safety preconditions; the child was not reaped, so the id is its own.
        assert_eq!(unsafe { libc::kill(self.pid(), signal) }, 0);
    }

    fn wait_state(&self, state: char) {
        wait_until(&format!("`{}` is in state {state}", self.role), || process_state(self.pid()) == state);
    }

    /// Ends its input and waits for its end.
    pub fn join(&mut self) -> ExitStatus {
        self.input = None;
        let mut status = None;
        wait_until(&format!("`{}` ends", self.role), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    /// Ends its input and waits for its good end.
    #[track_caller]
    pub fn finish(mut self) {
        let status = self.join();
        assert!(status.success(), "`{}`: {status}", self.role);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `/proc` says a process does: R, S, T, Z and so on.
pub fn process_state(pid: i32) -> char {
    state_in(std::path::Path::new(&format!("/proc/{pid}")))
}

fn state_in(directory: &std::path::Path) -> char {
    let stat = std::fs::read_to_string(directory.join("stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('?')
}

/// Looks again and again until `ready`, at most as long as the watchdog allows: soon at first, for much of what is
/// waited for takes less than a millisecond.
#[track_caller]
pub fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let start = Instant::now();
    let mut pause = Duration::from_micros(5);
    while !ready() {
        assert!(start.elapsed() < WATCHDOG, "waited in vain until {what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(1));
    }
}

/// Waits for a forked child; its exit code, or minus the number of the signal that killed it.
pub fn reap(pid: i32) -> i32 {
    let mut status = 0;
    wait_until("a forked child ends", || {
        // SAFETY: `status` is a valid place to write to.
        unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) == pid }
    });
    if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
}

/// Runs `child` in a forked process, which exits with what it returns; its process id.
///
/// Only where the calling thread holds no lock of the harness: in a role.
pub fn fork(child: impl FnOnce() -> i32) -> i32 {
    // SAFETY: libc's own locks are whole in the child, and those of the harness are not used in it.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: as in `act`; `_exit` runs nothing of the parent's.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(101);
            // SAFETY: as above.
            unsafe { libc::_exit(code) }
        }
        -1 => panic!("fork: {}", std::io::Error::last_os_error()),
        pid => pid,
    }
}

// ---- the surroundings of a test ------------------------------------------------------------------------

/// A test's own names in `/dev/shm`, of which nothing may be left at its end, and mostly a limit to its time.
pub struct World {
    prefix: String,
    count: AtomicU32,
    done: Option<Sender<()>>,
}

impl World {
    /// For the test called `test`.
    pub fn new(test: &str) -> Self {
        Self::within(test, WATCHDOG * 3)
    }

    /// For one that may take longer.
    pub fn within(test: &str, limit: Duration) -> Self {
        let (done, wait) = channel();
        let name = test.to_owned();
        std::thread::spawn(move || {
            if wait.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                eprintln!("{name}: the test itself hangs");
                std::process::abort();
            }
        });
        let mut world = Self::unlimited(test);
        world.done = Some(done);
        world
    }

    /// For one whose time somebody else limits.
    pub fn unlimited(test: &str) -> Self {
        Self { prefix: format!("test-{}-{test}-", std::process::id()), count: AtomicU32::new(0), done: None }
    }

    /// A segment's name that nobody else has.
    pub fn name(&self) -> String {
        format!("{}{}", self.prefix, self.count.fetch_add(1, Relaxed))
    }

    /// An ephemeral segment of its own.
    pub fn segment(&self) -> Segment {
        self.segment_with(SegmentOptions::new().limit(64 << 20))
    }

    /// An ephemeral segment with other options.
    pub fn segment_with(&self, options: SegmentOptions) -> Segment {
        options.ephemeral(true).create(&self.name()).unwrap()
    }

    /// What is in `/dev/shm` under this test's names.
    pub fn leftovers(&self) -> Vec<String> {
        let mut names = Segment::names().unwrap();
        names.retain(|name| name.starts_with(&self.prefix));
        names
    }
}

impl Drop for World {
    fn drop(&mut self) {
        drop(self.done.take());
        let left = self.leftovers();
        for name in &left {
            let _ = std::fs::remove_file(path(name));
        }
        assert!(left.is_empty() || std::thread::panicking(), "left behind: {left:?}");
    }
}

/// The file of a segment.
pub fn path(name: &str) -> String {
    format!("/dev/shm/sharecell.{name}")
}

/// Counts the blocks that are not free.
pub fn blocks_in_use(s: &Segment) -> usize {
    blocks::owners(s.name()).len()
}

/// Runs `scene` in a process that has a `/dev/shm` of its own, empty and with `size` bytes. Says so and
/// returns where that is not permitted.
pub fn in_private_shm(size: u64, scene: impl FnOnce()) {
    const NOT_PERMITTED: i32 = 77;
    let child = fork(|| {
        if !mount_private_shm(size) {
            eprintln!("NOT TESTED, no /dev/shm of one's own here: {}", std::io::Error::last_os_error());
            return NOT_PERMITTED;
        }
        scene();
        0
    });
    let code = reap(child);
    assert!(code == 0 || code == NOT_PERMITTED, "the process with its own /dev/shm ended with {code}");
}

/// Gives this process, and its children to be, a `/dev/shm` of its own; whether that is permitted.
pub fn mount_private_shm(size: u64) -> bool {
    let options = std::ffi::CString::new(format!("size={size}")).unwrap();
    let (tmpfs, none) = (c"tmpfs".as_ptr(), std::ptr::null());
    // SAFETY: all strings are NUL-terminated and live for the calls.
    unsafe {
        (libc::unshare(libc::CLONE_NEWNS) == 0 || enter_user_namespace())
            && libc::mount(none, c"/".as_ptr(), none, libc::MS_REC | libc::MS_PRIVATE, none.cast()) == 0
            && libc::mount(tmpfs, c"/dev/shm".as_ptr(), tmpfs, 0, options.as_ptr().cast()) == 0
    }
}

/// Where a user who is not root may mount, as the same user.
pub fn enter_user_namespace() -> bool {
    // SAFETY: these have no memory-safety preconditions.
    let (user, group, entered) = unsafe {
        (libc::geteuid(), libc::getegid(), libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) == 0)
    };
    let write = |file: &str, text: String| std::fs::write(format!("/proc/self/{file}"), text).is_ok();
    entered
        && write("uid_map", format!("{user} {user} 1"))
        && write("setgroups", "deny".into())
        && write("gid_map", format!("{group} {group} 1"))
}

/// A generator of numbers that need to be no more than various: xorshift64*.
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % n
    }
}
