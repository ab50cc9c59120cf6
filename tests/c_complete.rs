//! The C programs that try something on every function leave none out: tests/c/handles.c tries what is no handle on each
//! that takes one, tests/c/signals.c interrupts each that waits.

use std::collections::BTreeSet;

type Names<'a> = BTreeSet<&'a str>;

fn read(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The types of handles: those that the header says no more of than their name.
fn handles(header: &str) -> Names<'_> {
    let typedefs = header.lines().filter_map(|line| line.strip_prefix("typedef struct ")?.strip_suffix(';'));
    typedefs.filter_map(|typedef| typedef.split_once(' ')).map(|(_, name)| name).collect()
}

/// The functions whose first argument is a handle.
fn takers<'a>(header: &'a str, handles: &Names<'_>) -> Names<'a> {
    let functions = header.split("\nshc_status ").skip(1).filter_map(|rest| rest.split_once('('));
    let takes = |arguments: &str| {
        let argument = arguments.trim_start().trim_start_matches("const ");
        argument
            .split_once(" *")
            .is_some_and(|(kind, name)| handles.contains(kind) && name.starts_with(is_name))
    };
    functions.filter(|(_, arguments)| takes(arguments)).map(|(name, _)| name).collect()
}

/// The functions that wait.
fn waiters(header: &str) -> Names<'_> {
    let functions = header.split("\nshc_status ").skip(1).filter_map(|rest| rest.split_once('('));
    let waits = |rest: &str| rest.split(';').next().is_some_and(|arguments| arguments.contains("timeout_ns"));
    functions.filter(|(_, rest)| waits(rest)).map(|(name, _)| name).collect()
}

/// What stands before a parenthesis.
fn calls(program: &str) -> Names<'_> {
    let before_parens = program.split('(').map(|text| &text[text.trim_end_matches(is_name).len()..]);
    before_parens.filter(|name| name.starts_with("shc_")).collect()
}

#[test]
fn handles_c_calls_all_that_take_a_handle() {
    let (header, program) = (read("include/sharecell.h"), read("tests/c/handles.c"));
    let handles = handles(&header);
    let takers = takers(&header, &handles);
    let of = |handle: &str| takers.iter().filter(|name| name.starts_with(&format!("{handle}_"))).count();
    for handle in &handles {
        assert!(of(handle) > 1, "found no function of {handle} in the header");
    }
    let missing: Vec<_> = takers.difference(&calls(&program)).copied().collect();
    assert!(missing.is_empty(), "tests/c/handles.c does not try {missing:?}");
}

#[test]
fn signals_c_interrupts_all_that_wait() {
    let (header, program) = (read("include/sharecell.h"), read("tests/c/signals.c"));
    let waiters = waiters(&header);
    assert!(waiters.len() > 20, "found only {waiters:?} that wait");
    let interrupted: Names<'_> =
        program.split("INTERRUPTED(").skip(1).filter_map(|rest| rest.split('(').next()).collect();
    let missing: Vec<_> = waiters.difference(&interrupted).copied().collect();
    assert!(missing.is_empty(), "tests/c/signals.c does not interrupt {missing:?}");
}

/// What stands for all that a function does: each of these catches panics.
const CATCHING: [&str; 3] = ["guard(", "make(", "Handle::close("];

#[test]
fn every_function_catches_panics() {
    let folder = format!("{}/src/capi", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(&folder).expect("src/capi").map(|file| file.expect("a file").path());
    let sources: Vec<String> = files.map(|path| std::fs::read_to_string(path).expect("UTF-8")).collect();
    let functions = sources.iter().flat_map(|source| source.split("extern \"C\" fn shc_").skip(1));
    let bodies: Vec<(&str, &str)> =
        functions.filter_map(|rest| rest.split("\n}\n").next()?.split_once('(')).collect();
    assert!(bodies.len() > 150, "found only {} functions", bodies.len());
    // These return constants.
    let constant = |name: &str| matches!(name, "abi_version" | "layout_version" | "version");
    let catches = |body: &str| CATCHING.iter().any(|call| body.contains(call));
    let bare: Vec<_> = bodies
        .iter()
        .filter(|(name, body)| !constant(name) && !catches(body))
        .map(|(name, _)| name)
        .collect();
    assert!(bare.is_empty(), "shc_{bare:?} let panics through");
}

#[test]
fn declarations_are_read() {
    let header = "typedef struct shc_a shc_a;\ntypedef struct {\n} shc_b;\n\nshc_status shc_a_get(const shc_a *a, int *out);\n\
        shc_status shc_a_set(\n    shc_a *a);\n\nshc_status shc_a_open(shc_a **out);\n\nshc_status shc_other(int fd, shc_a *a);\n\
        shc_status shc_b_get(const shc_b *b);\n";
    let handles = handles(header);
    assert_eq!(handles, Names::from(["shc_a"]));
    assert_eq!(takers(header, &handles), Names::from(["shc_a_get", "shc_a_set"]));
    assert_eq!(calls("X(shc_a_get(a, f(shc_b)));"), Names::from(["shc_a_get"]));
}
