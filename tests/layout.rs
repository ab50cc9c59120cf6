//! `docs/layout.md` lists every struct that lies in memory, as the code asserts it.
//! `SHARECELL_BLESS=1` rewrites its tables.

use std::fmt::Write;
use std::path::Path;

const MARK: &str = "<!-- generated from the code by tests/layout.rs: do not edit below -->\n";

fn tables() -> String {
    let mut text = String::new();
    for (name, field, offset, size) in sharecell::layout_table() {
        if field.is_empty() {
            write!(text, "\n### {name}: {size} bytes\n\n| field | offset | size |\n|---|---|---|\n").unwrap();
        } else {
            writeln!(text, "| `{field}` | {offset} | {size} |").unwrap();
        }
    }
    text
}

#[test]
fn the_document_says_what_the_code_asserts() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/layout.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (prose, old) = text.split_once(MARK).expect("docs/layout.md has lost its mark");
    assert!(prose.contains(&format!("layout version {}", sharecell::LAYOUT_VERSION)));
    let new = tables();
    assert!(new.lines().count() > 40, "the code lists no layout");
    if std::env::var_os("SHARECELL_BLESS").is_some() {
        std::fs::write(&path, format!("{prose}{MARK}{new}")).unwrap();
        return;
    }
    assert_eq!(
        old, new,
        "docs/layout.md is not what the code says: run SHARECELL_BLESS=1 cargo test --test layout"
    );
}
