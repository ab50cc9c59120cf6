//! A group of contestants that are measured in turn, and what came out.

use std::cell::Cell;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::Settings;
use crate::machine::{self, NoiseMeter};
use crate::suite::round;
use crate::trial::Place;

/// The levels at which a distribution is kept, in percent.
pub const LEVELS: [f64; 11] = [0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99, 100.0];

/// A repeat during which others used more of the processors than this is done again.
const DISTURBED: f64 = 0.05;

/// What one trial gave.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub value: f64,
    pub elapsed_ns: f64,
    /// Latencies in nanoseconds at [`LEVELS`]; empty when there is no distribution.
    pub levels: Vec<f64>,
}

impl Sample {
    /// `value` as it is, from a trial that took `elapsed_ns`.
    pub fn new(value: f64, elapsed_ns: f64) -> Self {
        Self { value, elapsed_ns, levels: Vec::new() }
    }
}

type Trial<'a> = Box<dyn Fn(u64) -> Result<Sample> + 'a>;

/// Something to be measured beside others.
pub struct Contestant<'a> {
    pub name: String,
    pub place: Place,
    /// Measures this many operations; their number is raised until a trial takes long enough.
    pub trial: Trial<'a>,
}

/// Contestants of one discipline.
pub struct Group<'a> {
    pub id: String,
    pub title: String,
    pub unit: &'static str,
    pub contestants: Vec<Contestant<'a>>,
    /// How many operations a trial has, quick and full, where it is not found by trying.
    pub fixed: Option<(u64, u64)>,
    absent: Vec<(String, String)>,
    operations: Cell<u64>,
}

/// A row of the results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub peer: String,
    pub place: Place,
    pub median: f64,
    pub min: f64,
    pub max: f64,
    /// In the order of the repeats, which all contestants went through in turn.
    pub samples: Vec<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<f64>,
}

/// The results of a group.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Table {
    pub id: String,
    pub title: String,
    pub unit: String,
    pub rows: Vec<Row>,
    /// Who could not be measured, and why.
    pub absent: Vec<(String, String)>,
    /// The part of the processors that others used meanwhile.
    #[serde(default)]
    pub others: f64,
    /// What a line of memory took there and back between two processors, at each repeat: virtual ones move.
    #[serde(default)]
    pub line_ns: Vec<f64>,
    /// Of all trials, those before the repeats too: what a profile of the run is divided by.
    #[serde(default)]
    pub operations: u64,
}

impl Table {
    /// Prints it for people.
    pub fn print(&self) {
        println!("{} [{}]: {}", self.id, self.unit, self.title);
        for row in &self.rows {
            let [median, min, max] = [row.median, row.min, row.max].map(short);
            println!("    {:40} {median:>9}  ({min} to {max})", row.peer);
        }
        for (peer, why) in &self.absent {
            println!("    {peer:40} absent: {why}");
        }
        println!("    {}", self.meanwhile());
    }

    /// What the machine did beside.
    pub fn meanwhile(&self) -> String {
        let (low, high) = self.line_ns.iter().fold((f64::INFINITY, 0.0), |(l, h), ns| (ns.min(l), ns.max(h)));
        let line = match self.line_ns[..] {
            [] => String::new(),
            _ => format!("; a line of memory took {} to {} ns there and back", short(low), short(high)),
        };
        format!("meanwhile others used {:.1} % of the processors{line}", 100.0 * self.others)
    }

    pub fn row(&self, peer: &str) -> Option<&Row> {
        self.rows.iter().find(|r| r.peer == peer)
    }
}

impl<'a> Group<'a> {
    pub fn new(id: impl Into<String>, title: impl Into<String>, unit: &'static str) -> Self {
        Self {
            id: id.into(),
            title: title.into(),
            unit,
            contestants: Vec::new(),
            fixed: None,
            absent: Vec::new(),
            operations: Cell::new(0),
        }
    }

    /// With so many operations in a trial, quick and full.
    pub fn fixed(mut self, quick: u64, full: u64) -> Self {
        self.fixed = Some((quick, full));
        self
    }

    pub fn add(&mut self, name: impl Into<String>, place: Place, trial: impl Fn(u64) -> Result<Sample> + 'a) {
        self.contestants.push(Contestant { name: name.into(), place, trial: Box::new(trial) });
    }

    /// Somebody who cannot take part, and why.
    pub fn missing(&mut self, name: &str, why: &str) {
        self.absent.push((name.into(), why.into()));
    }

    pub fn is_wanted(&self, settings: &Settings) -> bool {
        let absent = self.absent.iter().map(|a| &a.0);
        self.contestants.iter().map(|c| &c.name).chain(absent).any(|name| settings.wants(&self.id, name))
    }

    /// Measures all contestants, one repeat of each after the other.
    pub fn run(&self, settings: &Settings, noise: &mut NoiseMeter) -> Table {
        let mut absent = self.absent.clone();
        absent.retain(|(name, _)| settings.wants(&self.id, name));
        let mut present = Vec::new();
        for contestant in self.contestants.iter().filter(|c| settings.wants(&self.id, &c.name)) {
            match self.calibrate(contestant, settings) {
                Ok(count) => present.push((contestant, count, Vec::new(), None)),
                Err(e) => absent.push((contestant.name.clone(), format!("{e:#}"))),
            }
        }
        // Those that decide themselves how much they do are the slow ones.
        let repeats = if settings.quick && self.fixed.is_some() { 1 } else { settings.repeats };
        let (mut others, mut line_ns) = (Vec::new(), Vec::new());
        // A repeat that others disturbed is done again, as often as there are repeats; when in a hurry, once.
        let mut patience = match self.fixed {
            Some(_) => 0,
            None if settings.quick => 1,
            None => repeats,
        };
        while others.len() < repeats {
            noise.sample();
            noise.watch();
            let line = round::line_ns();
            let mut once = Vec::new();
            for (contestant, count, _, broken) in present.iter_mut().filter(|p| p.3.is_none()) {
                match self.measure(contestant, *count) {
                    Ok(sample) => once.push(sample),
                    Err(e) => *broken = Some(format!("{e:#}")),
                }
            }
            let used = noise.others();
            if used > DISTURBED && patience > 0 {
                patience -= 1;
                continue;
            }
            others.push(used);
            line_ns.extend(line);
            let whole = present.iter_mut().filter(|p| p.3.is_none());
            whole.zip(once).for_each(|(p, sample)| p.2.push(sample));
        }
        let mut rows = Vec::new();
        for (contestant, _, samples, broken) in present {
            match broken {
                Some(why) => absent.push((contestant.name.clone(), why)),
                None => rows.push(row(contestant, &samples)),
            }
        }
        Table {
            id: self.id.clone(),
            title: self.title.clone(),
            unit: self.unit.into(),
            rows,
            absent,
            others: median(others),
            line_ns,
            operations: self.operations.get(),
        }
    }

    fn measure(&self, contestant: &Contestant<'_>, count: u64) -> Result<Sample> {
        self.operations.set(self.operations.get() + count);
        machine::trial(|| (contestant.trial)(count))
    }

    /// The number of operations with which a trial takes about as long as wanted. Also warms up.
    fn calibrate(&self, contestant: &Contestant<'_>, settings: &Settings) -> Result<u64> {
        if let Some((quick, full)) = self.fixed {
            return Ok(if settings.quick { quick } else { full });
        }
        let target = settings.trial_ms as f64 * 1e6;
        let mut count = 1024;
        for _ in 0..12 {
            let sample = self.measure(contestant, count)?;
            if sample.elapsed_ns <= 0.0 {
                bail!("a trial took no time");
            }
            let rise = target / sample.elapsed_ns;
            count = ((count as f64 * rise.clamp(0.1, 32.0)) as u64).max(64);
            if rise < 3.0 {
                break;
            }
        }
        Ok(count)
    }
}

fn row(contestant: &Contestant<'_>, samples: &[Sample]) -> Row {
    let values: Vec<f64> = samples.iter().map(|s| s.value).collect();
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    let levels = match samples.first() {
        Some(first) if !first.levels.is_empty() => {
            (0..LEVELS.len()).map(|i| median(samples.iter().map(|s| s.levels[i]).collect())).collect()
        }
        _ => Vec::new(),
    };
    Row {
        peer: contestant.name.clone(),
        place: contestant.place,
        median: median(values.clone()),
        min: sorted[0],
        max: sorted[sorted.len() - 1],
        samples: values,
        levels,
    }
}

/// The middle one, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    if n == 0 {
        return f64::NAN;
    }
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

/// Three or four digits that matter.
pub fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 1e9 => (value / 1e9, " G"),
        v if v >= 1e6 => (value / 1e6, " M"),
        v if v >= 1e4 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    match scaled.abs() {
        v if v >= 100.0 => format!("{scaled:.0}{unit}"),
        v if v >= 10.0 => format!("{scaled:.1}{unit}"),
        _ => format!("{scaled:.2}{unit}"),
    }
}
