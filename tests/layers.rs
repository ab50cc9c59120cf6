//! The layers of src/, and what only one of them may do.

use std::path::{Path, PathBuf};

/// A layer refers to itself and to those before it. `lib.rs` (re-exports) and `bin` (uses the crate) stand outside.
const ORDER: &[&str] = &[
    "error", "sys", "atomic", "wait", "latch", "layout", "segment", "sync", "cell", "queue", "pipe",
    "select", "kinds", "capi",
];

/// The one call upwards: a sweep asks the table of kinds what to do with an object.
const EXCEPTION: (&str, &str) = ("segment", "kinds");

/// A source file with its place in `src/`, its text without comments, literals and tests.
struct Source {
    path: PathBuf,
    layer: String,
    code: String,
}

#[test]
fn references_run_from_later_layers_to_earlier_ones() {
    check(&sources(), |source| {
        if matches!(source.layer.as_str(), "lib" | "bin") {
            return Vec::new();
        }
        let Some(own) = rank(&source.layer) else {
            return vec![format!("`{}` is not in ORDER, at the top of tests/layers.rs", source.layer)];
        };
        let mut faults = Vec::new();
        for name in crate_references(&source.code) {
            match rank(&name) {
                Some(other) if other <= own => {}
                Some(_) if (source.layer.as_str(), name.as_str()) == EXCEPTION => {}
                Some(_) => faults.push(format!("`{}` refers to the later layer `{name}`", source.layer)),
                None => faults.push(format!("`crate::{name}` does not say in which layer that is")),
            }
        }
        let depth = source.path.components().count() - usize::from(source.path.ends_with("mod.rs"));
        if source.code.contains(&"super::".repeat(depth)) {
            faults.push("reaches the root by `super::`: write `crate::`".into());
        }
        faults
    });
}

#[test]
fn libc_is_called_in_sys_alone() {
    check(&sources(), |source| only_in("sys", source, &["libc"]));
}

/// Their layout is libc's own and differs between libcs, and one killed in them leaves others waiting: see
/// docs/reliability.md. The robust list is libc's, and names threads by numbers that another pid namespace uses again.
#[test]
fn locks_of_libc_are_used_nowhere() {
    check(&sources(), |source| {
        let found = words(&source.code).filter(|word| is_lock_of_libc(word));
        found.map(|word| format!("`{word}` must not be used")).collect()
    });
}

fn is_lock_of_libc(word: &str) -> bool {
    let families = ["pthread_mutex", "pthread_cond", "pthread_rwlock", "pthread_barrier", "pthread_spin"];
    let calls = ["sem_t", "sem_open", "sem_init", "sem_wait", "sem_post", "semget", "semop"];
    families.iter().any(|family| word.starts_with(family))
        || calls.contains(&word)
        || word.contains("robust_list")
        || word.ends_with("_PI")
}

#[test]
fn symbols_are_exported_in_capi_alone() {
    check(&sources(), |source| only_in("capi", source, &["no_mangle", "export_name"]));
}

#[test]
fn ctypes_is_used_in_one_python_file() {
    let files = files(&root().join("python/sharecell"), "py");
    assert!(!files.is_empty(), "there is no Python file in python/sharecell");
    for path in files.iter().filter(|path| !path.ends_with("python/sharecell/_native.py")) {
        let text = read(path);
        let line = text.lines().find(|line| imports_ctypes(line));
        assert!(line.is_none(), "{}: {:?} belongs in _native.py", path.display(), line.unwrap_or_default());
    }
}

#[test]
fn this_test_sees_what_it_should() {
    let code = code(
        "use crate::{a::B, c}; // crate::no\n/* crate::no /* */ crate::no */ let x = \"crate::no\\\"\" + r#\"crate::\"no\"#;\n\
         fn f<'a>(q: &'a u8) -> char { crate::d::e(b'\\'', '\"') }\n#[cfg(test)]\nmod tests { fn g() { crate::no } }\n\
         #[cfg(test)] use crate::no;\n#[cfg(not(test))] use crate::f;",
    );
    assert_eq!(crate_references(&code), ["a", "c", "d", "f"]);
    assert_eq!(words("libc::x my_libc").collect::<Vec<_>>(), ["libc", "x", "my_libc"]);
    assert!(["pthread_mutex_t", "SYS_set_robust_list", "FUTEX_LOCK_PI"].into_iter().all(is_lock_of_libc));
    assert!(!is_lock_of_libc("pthread_atfork") && !is_lock_of_libc("semaphore"));
    assert!(imports_ctypes("    from ctypes import c_int") && imports_ctypes("import os, _ctypes"));
    assert!(
        !imports_ctypes("from multiprocessing import sharedctypes") && !imports_ctypes("# import ctypes")
    );
}

/// Runs `rule` on every source; fails with all the faults, or when there was nothing to look at.
#[track_caller]
fn check(sources: &[Source], rule: impl Fn(&Source) -> Vec<String>) {
    assert!(sources.iter().any(|source| rank(&source.layer).is_some()), "found no layer in src/");
    let faults = sources.iter().flat_map(|source| {
        rule(source).into_iter().map(|fault| format!("src/{}: {fault}\n", source.path.display()))
    });
    let faults: String = faults.collect();
    assert!(faults.is_empty(), "\n{faults}");
}

fn only_in(layer: &str, source: &Source, forbidden: &[&str]) -> Vec<String> {
    let found = words(&source.code).find(|word| source.layer != layer && forbidden.contains(word));
    found.map(|word| format!("`{word}` belongs in src/{layer}")).into_iter().collect()
}

fn rank(layer: &str) -> Option<usize> {
    ORDER.iter().position(|name| *name == layer)
}

fn imports_ctypes(line: &str) -> bool {
    let line = line.trim_start();
    (line.starts_with("import ") || line.starts_with("from "))
        && words(line).any(|w| w == "ctypes" || w == "_ctypes")
}

/// The first name after each `crate::`, and each first name of `crate::{...}`.
fn crate_references(code: &str) -> Vec<String> {
    let first = |text: &str| words(text).next().unwrap_or_default().to_string();
    let mut names = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.push(first(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    names.extend(Some(first(&group[start..at])).filter(|name| !name.is_empty()));
                    start = at + 1;
                    if c == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    names
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// Rust text without comments, without what literals hold, and without items for tests.
fn code(text: &str) -> String {
    let mut code = without_comments_and_literals(text);
    let is_for_tests =
        |attribute: &str| words(attribute).any(|w| w == "test") && !words(attribute).any(|w| w == "not");
    let mut from = 0;
    while let Some(at) = code[from..].find("#[cfg(").map(|at| from + at) {
        from = at + 1;
        let end_of_attribute = at + code[at..].find(']').expect("an attribute that ends");
        if is_for_tests(&code[at..end_of_attribute]) {
            let mut depth = 0;
            let end = code[end_of_attribute..].char_indices().find(|(_, c)| {
                depth += i32::from(*c == '{') - i32::from(*c == '}');
                depth == 0 && matches!(c, ';' | '}')
            });
            code.replace_range(at..end.map_or(code.len(), |(length, _)| end_of_attribute + length + 1), "");
            from = at;
        }
    }
    code
}

fn without_comments_and_literals(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let raw = rest.strip_prefix('r').map(|r| r.trim_start_matches('#')).filter(|r| r.starts_with('"'));
        let before = &out[out.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len()..];
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(after) = raw.filter(|_| matches!(before, "" | "b" | "c")) {
            let end = format!("\"{}", "#".repeat(rest.len() - after.len() - 1));
            let start = rest.len() - after.len() + 1;
            start + rest[start..].find(&end).expect("a literal that ends") + end.len()
        } else if c == '"' || is_char_literal(rest) {
            quoted(rest)
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        out.push(' ');
        rest = &rest[skipped..];
    }
    out
}

/// Whether `text` begins with a character in quotes, and not with a lifetime.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next() == Some('\'') && (chars.next() == Some('\\') || chars.next() == Some('\''))
}

/// The length of the block comment that `text` begins with; these nest.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (1, 2);
    while depth > 0 {
        let next = at + text[at..].find(['*', '/']).expect("a comment that ends");
        let (opens, closes) = (text[next..].starts_with("/*"), text[next..].starts_with("*/"));
        depth += i32::from(opens) - i32::from(closes);
        at = next + 1 + usize::from(opens || closes);
    }
    at
}

/// The length of the literal in quotes that `text` begins with.
fn quoted(text: &str) -> usize {
    let quote = text.as_bytes()[0];
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == quote && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.expect("a literal that ends") + 2
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The layer of `src/x.rs` and of all that is in `src/x/` is x; files and directories named `tests` are left out.
fn sources() -> Vec<Source> {
    let src = root().join("src");
    let mut sources = Vec::new();
    for file in files(&src, "rs") {
        let path = file.strip_prefix(&src).unwrap().to_path_buf();
        let names: Vec<_> =
            path.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
        if !names.iter().any(|name| name == "tests") {
            sources.push(Source { layer: names[0].clone(), code: code(&read(&file)), path });
        }
    }
    sources
}

fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}
