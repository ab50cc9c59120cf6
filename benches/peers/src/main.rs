//! Measures sharecell beside its peers, in one run, one repeat of each after the other, so that ratios hold.

mod doc;
mod group;
mod kills;
mod machine;
mod peers;
mod region;
mod suite;
mod trial;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use group::{Group, Table};
use machine::{Machine, Noise, NoiseMeter};

/// Measures sharecell beside its peers.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures, prints tables, and writes the results as JSON.
    Run(Settings),
    /// Kills users of sharecell and of its peers in the middle of operations, and looks what becomes of the others.
    Kills(kills::Settings),
    /// Writes the pages of documentation from the results of a run and of kills, of those that there are.
    Doc {
        /// The results.
        #[arg(long, default_value = "target/bench/results.json")]
        results: PathBuf,
        /// The results of kills.
        #[arg(long, default_value = "target/bench/kills.json")]
        kills: PathBuf,
        /// Where the time goes in what does not meet its aim.
        #[arg(long, default_value = "target/bench/profiles.json")]
        profiles: PathBuf,
        /// Where the page goes.
        #[arg(long, default_value = "docs")]
        folder: PathBuf,
    },
    /// Lists the groups and who is in them.
    List,
    /// Lists the measures of a run that do not meet their aims: group, tab, contestant.
    Unmet {
        /// The results.
        #[arg(long, default_value = "target/bench/results.json")]
        results: PathBuf,
    },
}

/// What to measure, and how long.
#[derive(Parser, Clone, Debug)]
pub struct Settings {
    /// Few and short repeats: the figures are rough.
    #[arg(long)]
    quick: bool,
    /// Only groups whose name contains this ("lock", "queue.8", …); may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Only contestants whose name contains this; may be given several times.
    #[arg(long)]
    peer: Vec<String>,
    /// Only those that have these very names.
    #[arg(long)]
    exact: bool,
    /// Repeats of each.
    #[arg(long, default_value_t = 5)]
    repeats: usize,
    /// How long a trial is to take, in milliseconds.
    #[arg(long, default_value_t = 100)]
    trial_ms: u64,
    /// The interpreter with Python's peers; without one they are absent.
    #[arg(long)]
    python: Option<PathBuf>,
    /// Where the results go.
    #[arg(long, default_value = "target/bench/results.json")]
    out: PathBuf,
}

impl Settings {
    fn wants(&self, group: &str, peer: &str) -> bool {
        let is = |x: &String, name: &str| if self.exact { x == name } else { name.contains(x) };
        let chosen = |all: &[String], name: &str| all.is_empty() || all.iter().any(|x| is(x, name));
        chosen(&self.only, group) && chosen(&self.peer, peer)
    }
}

/// All that a run found out.
#[derive(Serialize, Deserialize)]
pub struct Results {
    pub machine: Machine,
    pub noise: Noise,
    pub quick: bool,
    pub repeats: usize,
    pub trial_ms: u64,
    pub seconds: u64,
    pub tables: Vec<Table>,
}

fn groups<'a>(quick: bool, python: &Option<PathBuf>) -> Vec<Group<'a>> {
    let mut all = suite::lock::groups();
    all.extend(suite::queue::groups());
    all.extend(suite::round::groups());
    all.extend(suite::pipe::groups());
    all.extend(suite::loan::groups());
    all.extend(suite::value::groups());
    all.extend(suite::open::groups());
    all.extend(suite::quiet::groups());
    all.extend(suite::recovery::groups());
    all.extend(suite::sweep::groups());
    all.extend(suite::growth::groups(quick));
    all.extend(suite::python::groups(python));
    all
}

fn run(mut settings: Settings) -> Result<()> {
    if settings.quick {
        settings.repeats = settings.repeats.min(3);
        settings.trial_ms = settings.trial_ms.min(15);
    }
    let start = Instant::now();
    let groups = groups(settings.quick, &settings.python);
    let wanted: Vec<_> = groups.iter().filter(|g| g.is_wanted(&settings)).collect();
    let style = ProgressStyle::with_template("{elapsed:>5} {bar:30} {pos}/{len} {msg}")?;
    let bar = ProgressBar::new(wanted.len() as u64).with_style(style);
    let mut noise = NoiseMeter::new();
    noise.sample();
    let mut tables = Vec::new();
    for group in wanted {
        bar.set_message(group.id.clone());
        let table = group.run(&settings, &mut noise);
        bar.suspend(|| table.print());
        tables.push(table);
        bar.inc(1);
    }
    bar.finish_and_clear();
    let results = Results {
        machine: Machine::look(),
        noise: noise.end(),
        quick: settings.quick,
        repeats: settings.repeats,
        trial_ms: settings.trial_ms,
        seconds: start.elapsed().as_secs(),
        tables,
    };
    if let Some(folder) = settings.out.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_string_pretty(&results)?;
    std::fs::write(&settings.out, text).with_context(|| format!("writing {}", settings.out.display()))?;
    let n = &results.noise;
    println!(
        "noise: a fixed loop took up to {:.2} times its best (median {:.2}), {:.1} % used by others, {:.1} % stolen, load {}",
        n.spin_worst, n.spin_median, n.others_percent, n.stolen_percent, n.load
    );
    println!("{} s; {}", results.seconds, settings.out.display());
    Ok(())
}

fn document(results: &Path, kills: &Path, profiles: &Path, folder: &Path) -> Result<()> {
    ensure!(
        results.exists() || kills.exists(),
        "nothing was measured: run `make bench` or `make kills` first"
    );
    match results.exists() {
        true => doc::write(results, profiles, folder)?,
        false => println!("{} is not there: run `make bench`", results.display()),
    }
    match kills.exists() {
        true => doc::write_kills(kills, &folder.join("reliability.md"))?,
        false => println!("{} is not there: run `make kills`", kills.display()),
    }
    Ok(())
}

fn main() -> Result<()> {
    peers::iceoryx::quiet();
    trial::keep_panics();
    match Arguments::parse().command {
        Command::Run(settings) => run(settings),
        Command::Kills(settings) => kills::run(&settings),
        Command::Doc { results, kills, profiles, folder } => document(&results, &kills, &profiles, &folder),
        Command::List => {
            for group in groups(false, &None) {
                println!("{}: {}", group.id, group.title);
                for contestant in &group.contestants {
                    println!("    {}", contestant.name);
                }
            }
            Ok(())
        }
        Command::Unmet { results } => {
            for aim in doc::unmet(&results)? {
                println!("{}\t{}", aim.table, aim.row);
            }
            Ok(())
        }
    }
}
