//! The library exports what the header declares and what Python calls: three times the same set of names.
#![cfg(feature = "capi")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

type Names = BTreeSet<String>;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// All that the shared library defines for others, whatever its prefix.
fn exported() -> Names {
    let library = std::env::var_os("SHARECELL_LIBRARY")
        .map_or_else(|| root().join("target/release/libsharecell.so"), PathBuf::from);
    assert!(library.is_file(), "there is no {}: run `make build`", library.display());
    let nm = Command::new("nm").args(["-D", "--defined-only"]).arg(&library).output();
    let nm = nm.expect("nm cannot be run: install binutils");
    assert!(nm.status.success(), "nm {}: {}", library.display(), String::from_utf8_lossy(&nm.stderr));
    let lines = String::from_utf8(nm.stdout).unwrap();
    lines.lines().map(|line| line.rsplit(' ').next().unwrap().to_string()).collect()
}

/// What has our prefix, outside comments, directly before a parenthesis.
fn declared(header: &str) -> Names {
    let mut code = String::new();
    let mut rest = header;
    while let Some((before, comment)) = rest.split_once("/*") {
        code += before;
        rest = comment.split_once("*/").expect("a comment that ends").1;
    }
    code += rest;
    let before_parens = code.split('(').map(|text| {
        let start = text.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_').len();
        text[start..].to_string()
    });
    before_parens.filter(|name| name.starts_with("shc_")).collect()
}

/// The keys of the table `PROTOTYPES`, which ends with a brace in the first column.
fn called(python: &str) -> Names {
    let table = python.split_once("\nPROTOTYPES").expect("_native.py has a table PROTOTYPES").1;
    let table = table.split_once("\n}").expect("PROTOTYPES ends with a brace in the first column").0;
    let keys = table.lines().filter_map(|line| line.trim_start().strip_prefix('"')?.split_once("\":"));
    keys.map(|(name, _)| name.to_string()).collect()
}

/// Fails with what each side has alone.
#[track_caller]
fn assert_same(left: (&str, &Names), right: (&str, &Names)) {
    let alone = |a: &Names, b: &Names| a.difference(b).cloned().collect::<Vec<_>>();
    let (only_left, only_right) = (alone(left.1, right.1), alone(right.1, left.1));
    assert!(
        only_left.is_empty() && only_right.is_empty(),
        "only in {}: {only_left:?}\nonly in {}: {only_right:?}",
        left.0,
        right.0
    );
}

#[test]
fn library_exports_nothing_but_our_prefix() {
    let names = exported();
    assert!(!names.is_empty(), "the library exports nothing: it was built without `--features capi`");
    let others: Vec<_> = names.iter().filter(|name| !name.starts_with("shc_")).collect();
    assert!(others.is_empty(), "exported without the prefix: {others:?}");
}

#[test]
fn header_declares_what_the_library_exports() {
    assert_same(
        ("include/sharecell.h", &declared(&read("include/sharecell.h"))),
        ("the library", &exported()),
    );
}

#[test]
fn python_calls_what_the_library_exports() {
    let table = called(&read("python/sharecell/_native.py"));
    assert_same(("python/sharecell/_native.py", &table), ("the library", &exported()));
}

#[test]
fn names_are_read_from_code_alone() {
    let header =
        "/* shc_not(x) */ shc_status shc_a(int x);\ntypedef void (*shc_hook)(void *);\nvoid shc_b(void);";
    assert_eq!(declared(header), Names::from(["shc_a", "shc_b"].map(String::from)));
    let python = "\n\"shc_no\": 1\nPROTOTYPES: dict = {\n    \"shc_a\": (\"shc_x\",),\n    # \"shc_b\": 1\n}\n\"shc_c\": 2";
    assert_eq!(called(python), Names::from(["shc_a".to_string()]));
}
