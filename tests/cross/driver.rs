//! Starts agents, talks to them, kills them, and runs the cases with each ordered pair of them.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use sharecell::ErrorKind;

/// What tells this program that it is an agent.
pub const ROLE: &str = "SHARECELL_CROSS_AGENT";

/// The descriptor by which the agents of a pair have a Unix socket to each other.
pub const SOCKET: i32 = 3;
/// The descriptor by which an agent has a segment after `segment exec`.
pub const INHERITED: i32 = 4;

/// An agent that says nothing for so long hangs.
const WATCHDOG: Duration = Duration::from_secs(180);

/// What is to be shown, and how.
pub type Case = (String, Box<dyn Fn(&mut Pair)>);

static ANSWERS: AtomicU64 = AtomicU64::new(0);

/// What agents are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Rust,
    C,
    Cpp,
    Python,
}

impl Language {
    pub const ALL: [Self; 4] = [Self::Rust, Self::C, Self::Cpp, Self::Python];

    /// The words of `segment exec` that make an agent one in this language.
    pub fn words(self) -> String {
        let command = self.command();
        let env = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        let env = env.map(|(name, value)| format!("{}={}", name.display(), value.display()));
        let rest =
            std::iter::once(command.get_program()).chain(command.get_args()).map(|w| w.display().to_string());
        std::iter::once("env".to_owned()).chain(env).chain(rest).collect::<Vec<_>>().join(" ")
    }

    fn command(self) -> Command {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        match self {
            Self::Rust => {
                let mut command = Command::new(std::env::current_exe().expect("this program's path"));
                command.args(["--exact", "agents_answer", "--nocapture", "--test-threads=1"]).env(ROLE, "1");
                command
            }
            Self::C => {
                static AGENT: OnceLock<PathBuf> = OnceLock::new();
                Command::new(AGENT.get_or_init(|| compiled(root, "agent.c", ("CC", "cc"), "c99")))
            }
            Self::Cpp => {
                static AGENT: OnceLock<PathBuf> = OnceLock::new();
                Command::new(AGENT.get_or_init(|| compiled(root, "agent.cpp", ("CXX", "c++"), "c++17")))
            }
            Self::Python => {
                let python = std::env::var_os("SHARECELL_PYTHON").unwrap_or_else(|| "python3".into());
                let mut command = Command::new(python);
                let path = std::env::var("PYTHONPATH").unwrap_or_default();
                let path = format!("{}:{path}", root.join("python").display());
                command.arg(root.join("tests/cross/agent.py")).env("PYTHONPATH", path);
                command
            }
        }
    }
}

/// The library that C, C++ and Python use, which programs look for by its soname.
fn library() -> PathBuf {
    let soname =
        concat!("libsharecell.so.", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));
    let path = std::env::var_os("SHARECELL_LIBRARY").map(PathBuf::from).unwrap_or_else(|| {
        let exe = std::env::current_exe().expect("this program's path");
        exe.ancestors().nth(3).expect("a target directory").join("release/libsharecell.so")
    });
    for file in [path.clone(), path.with_file_name(soname)] {
        assert!(
            file.is_file(),
            "{} does not exist: run `make build`, or set SHARECELL_LIBRARY",
            file.display()
        );
    }
    path
}

/// The path of a compiled agent. `compiler` is the variable that names it, and what it is without that.
fn compiled(root: &Path, source: &str, compiler: (&str, &str), standard: &str) -> PathBuf {
    let library = library();
    let directory = library.parent().expect("a directory").display().to_string();
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cross-{source}.out"));
    let compiler = std::env::var(compiler.0).unwrap_or_else(|_| compiler.1.into());
    let mut words = compiler.split_whitespace();
    let status = Command::new(words.next().expect("a compiler"))
        .args(words)
        .arg(format!("-std={standard}"))
        .args(["-O1", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"])
        .arg(format!("-I{}", root.join("include").display()))
        .arg(root.join("tests/cross").join(source))
        .arg("-o")
        .arg(&output)
        .args([format!("-L{directory}"), "-lsharecell".into(), format!("-Wl,-rpath,{directory}")])
        .status();
    let status = status.unwrap_or_else(|e| panic!("cannot run {compiler}: {e}"));
    assert!(status.success(), "{compiler} does not compile {source}: {status}");
    output
}

/// A process that does what it is told.
pub struct Agent {
    pub language: Language,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    asked: String,
}

impl Agent {
    /// One that has a socket to nobody.
    pub fn start(language: Language) -> Self {
        Self::with_socket(language, &UnixStream::pair().expect("a pair of sockets").0.into())
    }

    fn with_socket(language: Language, socket: &OwnedFd) -> Self {
        let mut command = language.command();
        let socket = socket.as_raw_fd();
        // SAFETY: between fork and exec it only calls dup2 and fcntl.
        unsafe {
            command.pre_exec(move || {
                // dup2 clears close-on-exec, but not of a descriptor onto itself.
                libc::dup2(socket, SOCKET);
                libc::fcntl(SOCKET, libc::F_SETFD, 0);
                Ok(())
            });
        }
        command.env("SHARECELL_LIBRARY", library()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok());
        });
        let mut agent = Self { language, child, input, lines, asked: "be ready".into() };
        agent.hear_ready();
        agent
    }

    #[track_caller]
    fn hear_ready(&mut self) {
        while self.line() != "ready" {}
    }

    /// It becomes an agent in another language, which has a descriptor of its segment.
    #[track_caller]
    pub fn becomes(&mut self, language: Language) {
        self.tell(&format!("segment exec {}", language.words()));
        self.hear_ready();
        self.language = language;
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    #[track_caller]
    fn line(&mut self) -> String {
        match self.lines.recv_timeout(WATCHDOG) {
            Ok(line) => line,
            Err(e) => panic!("the agent in {:?} does not answer `{}`: {e}", self.language, self.asked),
        }
    }

    /// Tells it something; `hear` has the answer.
    #[track_caller]
    pub fn tell(&mut self, command: &str) {
        self.asked = command.to_owned();
        let told = writeln!(self.input.as_ref().expect("an agent that listens"), "{command}");
        told.unwrap_or_else(|e| panic!("the agent in {:?} is told `{command}`: {e}", self.language));
    }

    /// Its answer: what was asked for, or the number of an error and its text.
    #[track_caller]
    pub fn hear(&mut self) -> Result<String, (i32, String)> {
        let line = self.line();
        ANSWERS.fetch_add(1, Relaxed);
        if let Some(answer) = line.strip_prefix("ok") {
            return Ok(answer.trim_start().to_owned());
        }
        let error = line.strip_prefix("error ").and_then(|rest| {
            let (code, text) = rest.split_once(' ').unwrap_or((rest, ""));
            Some((code.parse().ok()?, text.to_owned()))
        });
        Err(error.unwrap_or_else(|| panic!("the agent in {:?} says {line:?}", self.language)))
    }

    #[track_caller]
    fn wrong(&self, have: &Result<String, (i32, String)>, want: &str) -> ! {
        panic!("{:?}: `{}` gave {have:?} and not {want}", self.language, self.asked)
    }

    /// Its answer, which is no error.
    #[track_caller]
    pub fn hear_ok(&mut self) -> String {
        match self.hear() {
            Ok(answer) => answer,
            have => self.wrong(&have, "ok"),
        }
    }

    /// Its answer, which is to be this.
    #[track_caller]
    pub fn hears(&mut self, want: &str) {
        let have = self.hear();
        if have.as_deref().ok() != Some(want) {
            self.wrong(&have, &format!("ok {want}"));
        }
    }

    /// Its answer, which is to be an error of this kind.
    #[track_caller]
    pub fn hear_error(&mut self, want: ErrorKind) {
        match self.hear() {
            Err((code, _)) if code == want.code() => {}
            have => self.wrong(&have, &format!("{want:?} ({})", want.code())),
        }
    }

    /// What it answers to a command, which is no error.
    #[track_caller]
    pub fn ask(&mut self, command: &str) -> String {
        self.tell(command);
        self.hear_ok()
    }

    /// It answers a command as it should.
    #[track_caller]
    pub fn says(&mut self, command: &str, want: &str) {
        self.tell(command);
        self.hears(want);
    }

    /// A command that has nothing to answer.
    #[track_caller]
    pub fn does(&mut self, command: &str) {
        self.says(command, "");
    }

    /// It answers a command with an error of this kind.
    #[track_caller]
    pub fn fails(&mut self, command: &str, want: ErrorKind) {
        self.tell(command);
        self.hear_error(want);
    }

    /// Kills it. It is dead when this returns, and stays a zombie while the cases go on.
    pub fn kill(&mut self) {
        self.child.kill().expect("a process of ours");
        // SAFETY: `info` is large enough, and written before it is used, which it is not.
        let status = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            libc::waitid(libc::P_PID, self.child.id(), &mut info, libc::WEXITED | libc::WNOWAIT)
        };
        assert_eq!(status, 0, "waitid");
    }

    /// Has it end of itself.
    pub fn end(mut self) -> ExitStatus {
        self.input = None;
        self.child.wait().expect("a process of ours")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two agents with one segment; the first has created it.
pub struct Pair {
    pub a: Agent,
    pub b: Agent,
    pub segment: String,
    sockets: [OwnedFd; 2],
}

impl Pair {
    fn start(languages: (Language, Language)) -> Self {
        let sockets = UnixStream::pair().expect("a pair of sockets");
        let sockets = [sockets.0, sockets.1].map(OwnedFd::from);
        let a = Agent::with_socket(languages.0, &sockets[0]);
        let b = Agent::with_socket(languages.1, &sockets[1]);
        Self { a, b, segment: String::new(), sockets }
    }

    /// Another process takes the place of the first one, which was killed.
    pub fn replace_a(&mut self) {
        self.restart_a(self.a.language);
        let segment = &self.segment;
        self.a.does(&format!("segment open {segment}"));
    }

    fn restart_a(&mut self, language: Language) {
        self.a = Agent::with_socket(language, &self.sockets[0]);
    }

    fn run(&mut self, check: &dyn Fn(&mut Self)) {
        let languages = (self.a.language, self.b.language);
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        self.segment = format!("cross-{}-{}", std::process::id(), NUMBER.fetch_add(1, Relaxed));
        let segment = self.segment.clone();
        self.a.does(&format!("segment create {segment} {}", 64 << 20));
        self.b.does(&format!("segment open {segment}"));
        check(self);
        if self.a.child.try_wait().expect("a process of ours").is_some() {
            self.restart_a(languages.0);
        }
        self.a.does("reset");
        self.b.does("reset");
        if self.a.language != languages.0 {
            self.restart_a(languages.0); // it had become another
        }
        assert!(!exists(&segment), "{segment} is left behind");
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // After a case that failed: the agents are about to be killed, and nobody would be the last to leave.
        let _ = sharecell::Segment::unlink(&self.segment);
    }
}

/// Whether a segment has its name.
pub fn exists(segment: &str) -> bool {
    Path::new("/dev/shm").join(format!("sharecell.{segment}")).exists()
}

/// Runs all cases with all ordered pairs of languages, and says how many there were.
pub fn run(what: &str, cases: Vec<Case>) {
    let mut failures = Vec::new();
    let (mut pairs, mut done) = (0, 0);
    for first in Language::ALL {
        for second in Language::ALL {
            pairs += 1;
            let mut pair = None;
            for (name, check) in &cases {
                done += 1;
                let mut both = pair.take().unwrap_or_else(|| Pair::start((first, second)));
                let check = std::panic::AssertUnwindSafe(|| {
                    both.run(check);
                    both
                });
                match std::panic::catch_unwind(check) {
                    Ok(both) => pair = Some(both),
                    Err(_) => failures.push(format!("{first:?} and {second:?}: {name}")),
                }
            }
        }
    }
    // Not by `println`, which is only shown when a test fails.
    let answers = ANSWERS.load(Relaxed);
    let failed = failures.len();
    let line =
        format!("cross: {what}: {pairs} pairs, {done} cases, {failed} failed ({answers} answers so far)");
    writeln!(std::io::stderr(), "{line}").expect("standard error");
    assert!(done > 0 && pairs == 16, "nothing was tried");
    assert!(failures.is_empty(), "failed:\n{}", failures.join("\n"));
}
