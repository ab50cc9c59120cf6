//! The demonstration, examples/wordcount, with texts that are hard to cut, and with what may go wrong.
//!
//! It needs what `make build` makes: the shared library, named by SHARECELL_LIBRARY or else in `release`
//! beside this test's own directory, and the examples beside the library. SHARECELL_PYTHON is the interpreter
//! (python3), CC the C compiler (cc).
#![cfg(feature = "capi")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::Duration;

/// Whatever takes longer than this hangs.
const WATCHDOG: Duration = Duration::from_secs(300);

/// As much text as goes into a slice.
const SLICE: usize = (64 << 10) - 16;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn library() -> PathBuf {
    std::env::var_os("SHARECELL_LIBRARY").map(PathBuf::from).unwrap_or_else(|| {
        let exe = std::env::current_exe().expect("this program's path");
        exe.ancestors().nth(3).expect("a target directory").join("release/libsharecell.so")
    })
}

/// Compiles a worker from a source; its path.
fn compile(source: &Path, name: &str) -> PathBuf {
    let library = library();
    assert!(library.is_file(), "{} does not exist: run `make build`", library.display());
    let directory = library.parent().expect("a directory").display().to_string();
    let output = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let mut words = compiler.split_whitespace();
    let status = Command::new(words.next().expect("a C compiler"))
        .args(words)
        .args(["-std=c99", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread"])
        .arg(format!("-I{}", root().join("include").display()))
        .arg(source)
        .arg("-o")
        .arg(&output)
        .args([format!("-L{directory}"), "-lsharecell".into(), format!("-Wl,-rpath,{directory}")])
        .status();
    assert!(status.is_ok_and(|status| status.success()), "{compiler} does not compile {}", source.display());
    output
}

fn worker() -> &'static Path {
    static WORKER: OnceLock<PathBuf> = OnceLock::new();
    WORKER.get_or_init(|| compile(&root().join("examples/wordcount/worker.c"), "demo-worker"))
}

/// A file with some text, removed in the end.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &[u8]) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("demo-{}-{name}", std::process::id()));
        std::fs::write(&path, text).expect("a file");
        Self(path)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn python() -> String {
    std::env::var("SHARECELL_PYTHON").unwrap_or_else(|_| "python3".into())
}

/// The demonstration, about to count a file.
fn demo(file: &Path, worker: &Path) -> Command {
    let follower = root().join("examples/wordcount/follow.py");
    demo_with(file, worker, &[python().as_ref(), &follower])
}

fn demo_with(file: &Path, worker: &Path, follower: &[&Path]) -> Command {
    let program = library().with_file_name("examples").join("wordcount");
    assert!(program.is_file(), "{} does not exist: run `make build`", program.display());
    let mut command = Command::new(program);
    let path = std::env::var("PYTHONPATH").unwrap_or_default();
    command.arg(file).arg(worker).args(follower).stdin(Stdio::null());
    command.env("SHARECELL_LIBRARY", library());
    command.env("PYTHONPATH", format!("{}:{path}", root().join("python").display()));
    command
}

/// What it came to: the exit status, what it said, and what it said beside.
struct Outcome {
    code: Option<i32>,
    out: Vec<String>,
    err: Vec<String>,
}

/// Waits until it has ended, and sees that it has left nothing behind.
fn finish(mut child: Child) -> Outcome {
    let pid = child.id();
    let (sender, done) = channel();
    std::thread::spawn(move || {
        let read = |from: &mut dyn Read| {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).expect("what it says");
            String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let out = child.stdout.take().map(|mut out| read(&mut out)).unwrap_or_default();
        let err = child.stderr.take().map(|mut err| read(&mut err)).unwrap_or_default();
        let code = child.wait().expect("a process of ours").code();
        let _ = sender.send(Outcome { code, out, err });
    });
    let outcome = done.recv_timeout(WATCHDOG).expect("the demonstration hangs");
    let segment = format!("wordcount-{pid}");
    assert!(!Path::new("/dev/shm").join(format!("sharecell.{segment}")).exists(), "{segment} is left behind");
    assert_eq!(processes_of(&segment), Vec::<String>::new());
    outcome
}

/// The processes that were given a segment's name.
fn processes_of(segment: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.trim_end().ends_with(segment)).collect()
}

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the demonstration")
}

fn run(command: &mut Command) -> Outcome {
    finish(start(command))
}

#[track_caller]
fn counts(outcome: &Outcome, words: u64) {
    let wanted = format!("demo: ok, {words} words, 1 worker killed, counts match");
    assert_eq!(outcome.out.last(), Some(&wanted), "{:?}", outcome.err);
    assert_eq!(outcome.code, Some(0));
    assert!(outcome.out.iter().any(|line| line.starts_with("killed C worker ")), "{:?}", outcome.out);
}

/// Counts as simply as can be.
fn count(text: &[u8]) -> u64 {
    let (mut words, mut inside) = (0, false);
    for byte in text {
        let space = b" \t\n\x0b\x0c\r".contains(byte);
        words += u64::from(!space && !inside);
        inside = !space;
    }
    words
}

#[test]
fn texts_that_are_hard_to_cut() {
    let x = |n| vec![b'x'; n];
    let texts = [
        ("empty", Vec::new()),
        ("spaces", b" \n\t\x0b\x0c\r ".repeat(30_000)),
        ("one", b"one".to_vec()),
        ("no-space", x(5 * SLICE + 7)),
        ("one-slice", x(SLICE)),
        ("ends-at-a-cut", [x(SLICE), b" yy".to_vec()].concat()),
        ("begins-at-a-cut", [x(SLICE - 1), b" yy z".to_vec()].concat()),
        ("over-a-cut", [x(SLICE - 3), b" yyyyy z".to_vec()].concat()),
        ("space-then-long", [b" ".to_vec(), x(2 * SLICE), b"\nz".to_vec(), x(SLICE), b" ".to_vec()].concat()),
        ("two-bytes", b"a ".repeat(SLICE)),
        ("words", (0..40_000).flat_map(|i| format!("word{} ", i * 7919 % 30_011).into_bytes()).collect()),
    ];
    for (name, text) in texts {
        let file = File::new(name, &text);
        let words = count(&text);
        counts(&run(&mut demo(&file.0, worker())), words);
        // Where there is a `wc`. (GNU's would leave out words without a printable character.)
        let text = std::fs::File::open(&file.0).expect("the file");
        if let Ok(said) = Command::new("wc").arg("-w").env("LC_ALL", "C").stdin(text).output() {
            assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), words.to_string(), "{name}");
        }
    }
}

#[test]
fn any_bytes() {
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as u8
    };
    let text: Vec<u8> = (0..1_000_000).map(|_| random()).collect();
    let file = File::new("bytes", &text);
    counts(&run(&mut demo(&file.0, worker())), count(&text));
}

#[test]
fn a_worker_is_killed_at_each_step() {
    let text = b"all the king's horses and all the king's men \n".repeat(30_000);
    let file = File::new("steps", &text);
    for step in ["taken", "sent", "stored"] {
        let outcome = run(demo(&file.0, worker()).env("WORDCOUNT_KILL_AT", step));
        counts(&outcome, count(&text));
        let frequent = outcome.out.iter().skip_while(|line| *line != "the most frequent words:").skip(1);
        let frequent: Vec<_> =
            frequent.take(6).map(|line| line.split_whitespace().collect::<Vec<_>>()).collect();
        let wanted = [
            ["60000", "all"],
            ["60000", "king's"],
            ["60000", "the"],
            ["30000", "and"],
            ["30000", "horses"],
            ["30000", "men"],
        ];
        assert_eq!(frequent, wanted, "killed at {step}");
    }
}

#[test]
fn more_words_than_the_follower_keeps() {
    let mut text: Vec<u8> = (0..300_000).flat_map(|i| format!("{i:x} ").into_bytes()).collect();
    text.extend(b"often ".repeat(5_000));
    let file = File::new("distinct", &text);
    let outcome = run(&mut demo(&file.0, worker()));
    counts(&outcome, 305_000);
    let title = outcome.out.iter().position(|line| line.starts_with("the most frequent words (up to "));
    let first = outcome.out[title.expect("how far off they may be") + 1].split_whitespace();
    assert_eq!(first.last(), Some("often"));
}

#[test]
fn ctrl_c_leaves_nothing() {
    // With a follower that receives nothing it gets beyond the half, and no further: the pipe takes 32.
    let file = File::new("stuck", &b"x ".repeat(30 * SLICE));
    let (python, idle) = (python(), "import time; time.sleep(1000)");
    let follower = [Path::new(&python), Path::new("-c"), Path::new(idle)];
    let mut child = start(&mut demo_with(&file.0, worker(), &follower));
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with("killed C worker") {
        line.clear();
        assert!(out.read_line(&mut line).expect("a line") > 0, "it has ended");
    }
    let pid = child.id();
    // SAFETY: it is a child of ours that was not waited for.
    unsafe { libc::kill(pid as libc::pid_t, libc::SIGINT) };
    let outcome = finish(child);
    assert_eq!(outcome.code, Some(130));
    assert_eq!(outcome.err.last().map(String::as_str), Some("demo: interrupted"));
}

#[track_caller]
fn fails(command: &mut Command, why: &str) {
    let outcome = run(command);
    let last = outcome.err.last().cloned().unwrap_or_default();
    assert!(
        last.starts_with("demo: failed: ") && last.contains(why),
        "{:?} does not say {why:?}",
        outcome.err
    );
    assert_eq!(outcome.code, Some(1));
}

#[test]
fn what_goes_wrong_is_said() {
    let file = File::new("failures", &b"some words ".repeat(100_000));
    fails(&mut demo(Path::new("/no/such/file"), worker()), "cannot map /no/such/file");
    fails(&mut demo(Path::new("/dev"), worker()), "cannot map /dev");
    fails(&mut demo(&file.0, Path::new("/no/such/worker")), "cannot start \"/no/such/worker\"");
    fails(&mut demo(&file.0, Path::new("false")), "ended before its time: exit status: 1");
    fails(&mut demo_with(&file.0, worker(), &[Path::new("false")]), "the follower ended: exit status: 1");
    fails(demo(&file.0, worker()).env("WORDCOUNT_KILL_AT", "noon"), "WORDCOUNT_KILL_AT is noon");
}

#[test]
fn a_wrong_count_is_found() {
    let source = std::fs::read_to_string(root().join("examples/wordcount/worker.c")).expect("worker.c");
    let wrong = [
        ("miscounts", "words++;", "words += 1 + (words == 99);", "the workers counted"),
        ("forgets", "w->count = 0;", "w->count = w->len == 4;", "occurs"),
        (
            "keeps",
            "if (status == SHC_CLOSED) return 0;",
            "if (status == SHC_CLOSED) return 3;",
            "exit status: 3",
        ),
    ];
    let file = File::new("wrong", &b"some words that are many ".repeat(100_000));
    for (name, right, wrong, why) in wrong {
        assert!(source.contains(right), "worker.c has no {right}");
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("demo-worker-{name}.c"));
        let mut changed = std::fs::File::create(&path).expect("a file");
        changed.write_all(source.replace(right, wrong).as_bytes()).expect("a source");
        fails(&mut demo(&file.0, &compile(&path, &format!("demo-worker-{name}"))), why);
    }
}
