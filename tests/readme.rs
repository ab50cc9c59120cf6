//! The README shows what the examples run, and the crate builds nothing that the README does not name.

use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// What stands between the two marks of an example, without its indentation.
fn marked(path: &str) -> String {
    let text = read(path);
    let lines: Vec<&str> = text.lines().collect();
    let marks: Vec<usize> = (0..lines.len()).filter(|i| lines[*i].contains("[README]")).collect();
    let [first, last] = marks[..] else { panic!("{path} needs two lines with [README]") };
    let indent = lines[first].len() - lines[first].trim_start().len();
    let cut = |line: &&str| line.get(indent..).unwrap_or_default().to_owned();
    lines[first + 1..last].iter().map(cut).collect::<Vec<_>>().join("\n")
}

#[test]
fn readme_shows_the_examples() {
    let readme = read("README.md");
    for (language, path) in
        [("rust", "examples/readme.rs"), ("c", "examples/readme.c"), ("python", "examples/readme.py")]
    {
        let block = format!("```{language}\n{}\n```", marked(path));
        assert!(readme.contains(&block), "README.md does not show {path}; it should read:\n{block}");
    }
}

#[test]
fn a_service_that_depends_on_the_crate_builds_little() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let args = ["tree", "--edges", "normal,build", "--prefix", "none", "--format", "{p}"];
    let out = Command::new(cargo).args(args).current_dir(root()).output().expect("cargo tree");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let mut names: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["bytemuck", "libc", "memmap2", "sharecell"]);
}
