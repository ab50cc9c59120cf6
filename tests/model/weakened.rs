//! Every ordered access of the protocols made relaxed, one at a time: which model notices.

use std::path::{Path, PathBuf};

use super::runner::{Explored, Model, explore_weakened};
use super::{directory, pipes, queues, seats, sync};

/// Sources, and the models that go through them.
const GROUPS: &[(&[&str], &[&[Model]])] = &[
    (&["src/queue/ring"], &[queues::MODELS]),
    (&["src/latch.rs", "src/sync"], &[sync::MODELS]),
    (&["src/wait.rs"], &[sync::MODELS]),
    (&["src/segment/openlist.rs", "src/segment/directory.rs", "src/segment/arena.rs"], &[directory::MODELS]),
    (
        &["src/segment/recover.rs", "src/segment/attach.rs", "src/segment/seat.rs", "src/segment/cleanup.rs"],
        &[seats::MODELS, directory::MODELS],
    ),
    (&["src/pipe"], &[pipes::MODELS]),
];

/// A line that has such a word has an ordered access; a compare-and-swap is one without saying so.
const ORDERED: &[&str] = &["Acquire", "Release", "SeqCst", "AcqRel", ".cas(", "self.state(", "self.seat("];

/// Prints for each ordered access of the sources whose path holds `filter` what becomes of it; how many there are.
pub fn run(filter: &str) -> usize {
    let mut count = 0;
    for (sources, models) in GROUPS {
        let models: Vec<&Model> = models.iter().copied().flatten().collect();
        for file in sources.iter().flat_map(|source| files(source)).filter(|file| file.contains(filter)) {
            for (number, line) in accesses(&file) {
                let found = verdict(&format!("{file}:{number}"), &models);
                println!("{found}: {file}: {}", line.trim());
                count += 1;
            }
        }
    }
    count
}

/// What the models say, from the first to the one that notices.
fn verdict(place: &str, models: &[&Model]) -> String {
    let mut met = false;
    for model in models {
        match explore_weakened(model, place) {
            Explored::Noticed => return format!("noticed by {:?}", model.name),
            Explored::Unmet => {}
            Explored::Unnoticed => met = true,
        }
    }
    if met { "not noticed".into() } else { "in no model".into() }
}

/// The sources at `path`, a file or a folder.
fn files(path: &str) -> Vec<String> {
    let root = root();
    let mut files: Vec<PathBuf> = match std::fs::read_dir(root.join(path)) {
        Ok(entries) => entries.map(|entry| entry.unwrap().path()).collect(),
        Err(_) => vec![root.join(path)],
    };
    files.sort();
    files.iter().map(|file| file.strip_prefix(root).unwrap().to_str().unwrap().to_owned()).collect()
}

/// The numbered lines of a source that have ordered accesses, without its tests.
fn accesses(file: &str) -> Vec<(usize, String)> {
    let source = std::fs::read_to_string(root().join(file)).unwrap();
    let code = source.lines().take_while(|line| !line.contains("#[cfg(test)]"));
    let is_code = |line: &str| !line.trim_start().starts_with("//") && !line.trim_start().starts_with("use ");
    let is_ordered = |line: &str| ORDERED.iter().any(|word| line.contains(word));
    (1..)
        .zip(code)
        .filter(|(_, line)| is_code(line) && is_ordered(line))
        .map(|(n, line)| (n, line.into()))
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
