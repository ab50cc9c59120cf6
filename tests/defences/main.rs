//! Takes the defences against known traps away, one by one: the test that holds each must fail then.
//!
//! What git knows of this tree is copied to `target/traps`, and changed and built there. A place that is not in the source
//! any more, or that does not build without its defence, fails the run; so does a test that does not pass with it.
//! `make traps TRAP=T13` takes away those of one trap.

mod removals;

#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use removals::{ALL, Removal};

/// How long a test may take: a watchdog only. Those that can hang have their own, shorter one.
const TIME: Duration = Duration::from_secs(300);
/// And how long it may take to build, of which the first is with all that it needs, on a machine that may be busy.
const BUILD_TIME: Duration = Duration::from_secs(3600);
/// What a test prints that could not be tried here, in capitals.
const NOT_TESTED: &str = "NOT TESTED";

fn main() -> ExitCode {
    let filters: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_chosen = |removal: &&Removal| {
        filters.is_empty() || removal.trap.split(", ").any(|trap| filters.iter().any(|f| f == trap))
    };
    let chosen: Vec<&Removal> = ALL.iter().filter(is_chosen).collect();
    // What fails may leave segments behind.
    if !common::mount_private_shm(1 << 30) {
        println!("no /dev/shm of one's own here: what fails may leave something in this one");
    }
    let copy = Copy::new();
    let (mut noticed, mut skipped) = (0, 0);
    let mut tests: Vec<&[&str]> = chosen.iter().map(|removal| removal.test).collect();
    tests.sort_unstable();
    tests.dedup();
    let tried: Vec<(&[&str], Result<(), Outcome>)> =
        tests.into_iter().map(|test| (test, copy.check_passes(test))).collect();
    for removal in &chosen {
        let start = Instant::now();
        let (_, with) = tried.iter().find(|(test, _)| *test == removal.test).expect("it was tried");
        let outcome = with.clone().map_or_else(|failed| failed, |()| copy.try_without(removal));
        let (mark, why) = match outcome {
            Outcome::Noticed => ("noticed", String::new()),
            Outcome::NotTried => ("NOT TRIED HERE", String::new()),
            Outcome::Failed(why) => ("FAILED", format!("\n{why}")),
        };
        noticed += usize::from(mark == "noticed");
        skipped += usize::from(mark == "NOT TRIED HERE");
        let time = start.elapsed().as_secs();
        println!("{mark}: {}: {} [{}] ({time} s){why}", removal.trap, removal.name, removal.test.join(" "));
    }
    println!("{noticed} of {} noticed, {skipped} cannot be tried here", chosen.len());
    let all = noticed > 0 && noticed + skipped == chosen.len();
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Clone)]
enum Outcome {
    Noticed,
    NotTried,
    Failed(String),
}

/// The copy of the tree in which defences are taken away.
struct Copy {
    tree: PathBuf,
    build: PathBuf,
}

impl Copy {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let target = std::env::var_os("TARGET").map_or_else(|| root.join("target"), PathBuf::from);
        let copy = Self { tree: target.join("traps/tree"), build: target.join("traps/build") };
        let _ = fs::remove_dir_all(&copy.tree);
        let files = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(root)
            .output();
        let files = files.expect("git can be run");
        assert!(files.status.success(), "git ls-files: {}", String::from_utf8_lossy(&files.stderr));
        let files = String::from_utf8(files.stdout).unwrap();
        for file in
            files.split_terminator('\0').filter(|file| *file != "Cargo.toml" && root.join(file).is_file())
        {
            copy.write(file, &fs::read(root.join(file)).unwrap());
        }
        // Built so often, it is built as little as will do.
        let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
        let least = manifest.replace(r#", "staticlib"]"#, "]");
        assert_ne!(manifest, least, "Cargo.toml says what the library is built as");
        copy.write("Cargo.toml", (least + "[profile.dev.package.sharecell]\ndebug = false\n").as_bytes());
        // Where the test is one that hangs, its watchdog is waited for.
        let common = fs::read_to_string(copy.tree.join("tests/common/mod.rs")).unwrap();
        let hasty = common.replace(
            "WATCHDOG: Duration = Duration::from_secs(180)",
            "WATCHDOG: Duration = Duration::from_secs(30)",
        );
        assert_ne!(common, hasty, "tests/common says how long a test waits");
        copy.write("tests/common/mod.rs", hasty.as_bytes());
        copy
    }

    fn write(&self, file: &str, content: &[u8]) {
        let path = self.tree.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn try_without(&self, removal: &Removal) -> Outcome {
        let mut sources: Vec<(&str, String)> = Vec::new();
        let mut missing = None;
        for (file, text, other) in removal.places {
            let path = self.tree.join(file);
            let source = fs::read_to_string(&path).unwrap();
            if source.matches(text).count() != 1 {
                missing = Some(format!("{text:?} is not in {file}, or more than once"));
                break;
            }
            fs::write(path, source.replace(text, other)).unwrap();
            sources.push((file, source));
        }
        let outcome = missing.map_or_else(|| self.check_fails(removal), Outcome::Failed);
        // Latest first: of two changes of a file the first one's is the source.
        sources.iter().rev().for_each(|(file, source)| self.write(file, source.as_bytes()));
        outcome
    }

    fn check_passes(&self, test: &[&str]) -> Result<(), Outcome> {
        let build = self.test(test, true);
        if !build.good {
            return Err(Outcome::Failed(format!("it does not build:\n{}", build.output)));
        }
        let run = self.test(test, false);
        if run.output.contains(NOT_TESTED) {
            return Err(Outcome::NotTried);
        }
        if run.good && run.output.contains("ok. 1 passed") {
            return Ok(());
        }
        Err(Outcome::Failed(format!("it does not pass as it is, or is not there:\n{}", run.output)))
    }

    fn check_fails(&self, removal: &Removal) -> Outcome {
        let build = self.test(removal.test, true);
        if !build.good {
            return Outcome::Failed(format!("it does not build without it:\n{}", build.output));
        }
        let run = self.test(removal.test, false);
        if run.good || run.hangs {
            let how = if run.good { "passes without it" } else { "hangs without it" };
            return Outcome::Failed(format!("the test {how}:\n{}", run.output));
        }
        Outcome::Noticed
    }

    /// Runs a test of the copy, or only builds it.
    fn test(&self, test: &[&str], build_only: bool) -> Run {
        let (last, rest) = test.split_last().expect("a test has a name");
        let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
        cargo.arg("test").args(rest).current_dir(&self.tree).env("CARGO_TARGET_DIR", &self.build);
        cargo.env("RUST_BACKTRACE", "0");
        if build_only {
            cargo.arg("--no-run");
        }
        cargo.args(["--", "--exact", last, "--nocapture"]);
        run(&mut cargo, if build_only { BUILD_TIME } else { TIME })
    }
}

struct Run {
    good: bool,
    hangs: bool,
    output: String,
}

fn run(command: &mut Command, limit: Duration) -> Run {
    let path = std::env::temp_dir().join(format!("sharecell-traps-{}", std::process::id()));
    let file = fs::File::create(&path).unwrap();
    command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).process_group(0);
    let mut child = command.spawn().expect("cargo can be run");
    let start = Instant::now();
    let mut hangs = false;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if start.elapsed() > limit => {
                hangs = true;
                // SAFETY: kill has no memory-safety preconditions; the group is the child's own.
                unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
                break child.wait().unwrap();
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let output = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
    fs::remove_file(path).unwrap();
    Run { good: status.success(), hangs, output }
}
