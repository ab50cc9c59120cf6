//! `docs/objects/` shows what the examples run: each page has code in all four languages, from between the marks of
//! `examples/toolbox.*`, and what needs a feature from `tests/tokio.rs`. `SHARECELL_BLESS=1 cargo test --test pages` writes the code into the pages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The examples, of which each page shows something, and their languages.
const EXAMPLES: [(&str, &str); 4] = [
    ("examples/toolbox.rs", "rust"),
    ("examples/toolbox.c", "c"),
    ("examples/toolbox.cpp", "cpp"),
    ("examples/toolbox.py", "python"),
];
/// Other code that may be shown.
const TEST: (&str, &str) = ("tests/tokio.rs", "rust");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn pages() -> Vec<PathBuf> {
    let files = std::fs::read_dir(root().join("docs/objects")).expect("docs/objects");
    let mut pages: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    pages.sort();
    assert!(pages.len() > 10, "there are pages missing: {pages:?}");
    pages
}

/// The name in a line that is a mark, `[name]` or `[/name]`.
fn mark(line: &str) -> Option<&str> {
    let line = line.trim();
    let text = ["// ", "/* ", "# "].into_iter().find_map(|start| line.strip_prefix(start))?;
    text.trim_end_matches([' ', '*', '/']).strip_prefix('[')?.strip_suffix(']')
}

/// What stands between two marks of a file, without its indentation.
fn region(file: &str, name: &str) -> String {
    let text = read(&root().join(file));
    let lines: Vec<&str> = text.lines().collect();
    let at = |wanted: &str| {
        let found = lines.iter().position(|line| mark(line) == Some(wanted));
        found.unwrap_or_else(|| panic!("{file} has no mark [{wanted}]"))
    };
    let (first, last) = (at(name), at(&format!("/{name}")));
    let indent = lines[first].len() - lines[first].trim_start().len();
    let cut = |line: &&str| line.get(indent..).unwrap_or_default().to_owned();
    lines[first + 1..last].iter().map(cut).collect::<Vec<_>>().join("\n")
}

/// The file and the name in a line that says what the code below it is.
fn source(line: &str) -> Option<(&str, &str)> {
    line.strip_prefix("<!-- ")?.strip_suffix(" -->")?.split_once(' ')
}

/// A page with the code as it is in the examples.
fn renewed(page: &str) -> String {
    let mut out = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        out.push(line.to_owned());
        let Some((file, name)) = source(line) else { continue };
        let fence = lines.next();
        assert!(fence.is_some_and(|fence| fence.starts_with("```")), "no code below {line}");
        assert!(lines.any(|line| line == "```"), "the code below {line} does not end");
        let (_, language) =
            EXAMPLES.into_iter().chain([TEST]).find(|(f, _)| *f == file).expect("code to show");
        out.extend([format!("```{language}"), region(file, name), "```".to_owned()]);
    }
    out.join("\n") + "\n"
}

#[test]
fn pages_show_the_examples() {
    for path in pages() {
        let page = read(&path);
        let shown: BTreeSet<&str> = page.lines().filter_map(source).map(|(file, _)| file).collect();
        for (file, language) in EXAMPLES {
            assert!(shown.contains(file), "{} shows nothing in {language}", path.display());
        }
        let renewed = renewed(&page);
        if std::env::var_os("SHARECELL_BLESS").is_some() {
            std::fs::write(&path, renewed).unwrap();
        } else {
            let path = path.display();
            assert!(page == renewed, "{path}: run SHARECELL_BLESS=1 cargo test --test pages");
        }
    }
}

#[test]
fn all_that_is_marked_is_shown() {
    let pages: Vec<String> = pages().iter().map(|path| read(path)).collect();
    let shown: BTreeSet<_> = pages.iter().flat_map(|page| page.lines().filter_map(source)).collect();
    let mut total = 0;
    for (file, _) in EXAMPLES.into_iter().chain([TEST]) {
        let text = read(&root().join(file));
        let marked: Vec<&str> = text.lines().filter_map(mark).filter(|name| !name.starts_with('/')).collect();
        assert!(!marked.is_empty(), "{file} has no marks");
        for name in &marked {
            assert!(shown.contains(&(file, name)), "no page shows [{name}] of {file}");
        }
        total += marked.len();
    }
    assert!(total > 40, "there are marks missing: {total}");
}

/// What a page says of C is in the header. (`shc_value_get, _set` names two functions.)
#[test]
fn pages_name_what_c_has() {
    let header = read(&root().join("include/sharecell.h"));
    let mut names = 0;
    for path in pages() {
        let page = read(&path);
        let spans = page.split('`').skip(1).step_by(2).filter(|span| span.starts_with("shc_"));
        for span in spans {
            // Up to the second underscore.
            let object = span.match_indices('_').nth(1).map_or("", |(at, _)| &span[..at]);
            for word in span.split(", ").filter_map(|word| word.split(' ').next()) {
                let name = if word.starts_with('_') { format!("{object}{word}") } else { word.to_owned() };
                let found = [format!("{name}("), format!("typedef struct {name} ")];
                let found =
                    found.iter().any(|text| header.contains(text)) || header.contains(&format!("}} {name};"));
                assert!(found, "{}: {name} is not in the header", path.display());
                names += 1;
            }
        }
    }
    assert!(names > 50, "the pages name only {names} functions of C");
}

/// A page without its code.
fn prose(page: &str) -> String {
    page.split("\n```").step_by(2).collect()
}

#[test]
fn links_lead_to_pages() {
    let index = root().join("docs/objects.md");
    let mut links = 0;
    for path in pages().into_iter().chain([index.clone()]) {
        let page = prose(&read(&path));
        let targets = page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(to, _)| to);
        for target in targets.filter(|to| !to.starts_with("http")) {
            let to = path.parent().unwrap().join(target.split('#').next().unwrap());
            assert!(to.exists(), "{} links to {target}", path.display());
            links += 1;
        }
    }
    let index = read(&index);
    for page in pages() {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(index.contains(&format!("](objects/{name})")), "docs/objects.md does not link to {name}");
    }
    assert!(links > 10, "there are links missing");
}
