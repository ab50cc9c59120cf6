//! What all cases together have shown.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::table;

/// How a case ended that did not.
pub const HANGS: &str = "it hangs";

/// The steps of an operation by what survivors see after a death there.
#[derive(Default)]
pub struct Phases(Vec<(String, String, String)>);

impl Phases {
    /// Notes what was found after a death at a step, nothing if there was none; the steps come in order.
    pub fn add(&mut self, step: &str, found: &str) {
        if found.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some((_, last, same)) if same == found => step.clone_into(last),
            _ => self.0.push((step.to_owned(), step.to_owned(), found.to_owned())),
        }
    }

    /// In one line: what is found, and from which step on.
    pub fn close(self) -> String {
        let parts = self.0.iter().map(|(first, last, found)| format!("{first}|{last}|{found}"));
        parts.collect::<Vec<_>>().join("\t")
    }
}

/// Counts, and what stands in the way of success.
#[derive(Default)]
pub struct Report {
    rows: Vec<(String, String, String)>,
    waits: BTreeMap<String, Vec<u64>>,
    counts: BTreeMap<String, u64>,
    operations: u64,
    /// Failed cases by what went wrong.
    faults: BTreeMap<&'static str, u32>,
    failed: u32,
}

/// What a failed case says where it found this fault.
const FAULTS: [(&str, &[&str]); 5] = [
    ("hangs", &[HANGS, "itself hangs", "waited in vain", "a helper that waits"]),
    ("lost", &["lost"]),
    ("doubled", &["doubled"]),
    ("torn", &["torn"]),
    ("leaked", &["leaked", "left behind"]),
];

impl Report {
    /// Adds what a case said of itself.
    pub fn add(&mut self, object: &str, name: &str, (status, output): (String, String), time: Duration) {
        self.operations += 1;
        let lines: Vec<&str> = output.lines().collect();
        if status != "exit status: 0" {
            self.failed += 1;
            let said: Vec<&str> = lines.iter().filter(|line| !line.starts_with('@')).copied().collect();
            let said = format!("{status}\n{}", said.join("\n"));
            for (fault, words) in FAULTS {
                let has = words.iter().any(|word| said.contains(word));
                *self.faults.entry(fault).or_default() += u32::from(has);
            }
            println!("FAILED {name}: {said}");
            return;
        }
        let mut kills = 0;
        for (word, rest) in lines.iter().filter_map(|line| line.strip_prefix('@')?.split_once(' ')) {
            let number = rest.parse().unwrap_or(0);
            match word {
                "wait" => self.waits.entry(object.to_owned()).or_default().push(number),
                "row" => self.rows.push((object.to_owned(), name.to_owned(), rest.to_owned())),
                _ => *self.counts.entry(word.to_owned()).or_default() += number,
            }
            kills += if word == "kills" { number } else { 0 };
        }
        println!("{object}: {name}: {kills} kills in {:.1} s", time.as_secs_f64());
    }

    /// Says what was counted; whether all is well. `all`: no case was left out.
    pub fn close(mut self, order: impl Fn(&str) -> Option<usize>, all: bool) -> bool {
        self.rows.sort_by_key(|(_, name, _)| order(name));
        println!("\nFrom the burial of the dead to the success of who had waited, in ms:");
        println!("{:<20} {:>7} {:>9} {:>9} {:>9}", "", "waits", "median", "99 %", "worst");
        for (object, waits) in &mut self.waits {
            waits.sort_unstable();
            let at = |part: usize| waits[(waits.len() - 1) * part / 100] as f64 / 1e6;
            let figures = [at(50), at(99), at(100)];
            println!(
                "{object:<20} {:>7} {:>9.2} {:>9.2} {:>9.2}",
                waits.len(),
                figures[0],
                figures[1],
                figures[2]
            );
        }
        let table = self.failed > 0 || table::agrees(&self.rows, all);
        println!();
        let counts = self.counts.iter().map(|(what, count)| format!("{count} {what}"));
        let faults =
            FAULTS.iter().map(|(fault, _)| format!("{} {fault}", self.faults.get(fault).unwrap_or(&0)));
        println!(
            "{} operations, {}; {}",
            self.operations,
            counts.collect::<Vec<_>>().join(", "),
            faults.collect::<Vec<_>>().join(", ")
        );
        println!("{} passed, {} failed", self.operations - u64::from(self.failed), self.failed);
        self.failed == 0 && table
    }
}
