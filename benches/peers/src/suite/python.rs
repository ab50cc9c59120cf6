//! What Python has: a script runs each trial in an interpreter of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::group::{Group, Sample};
use crate::trial::Place;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python/peers.py");

#[derive(Deserialize)]
struct Listed {
    id: String,
    title: String,
    unit: String,
    peers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Trial {
    Good { value: f64, elapsed_ns: f64 },
    Bad { error: String },
}

/// The groups that the script knows; one without contestants if `python` cannot run it.
pub fn groups<'a>(python: &Option<PathBuf>) -> Vec<Group<'a>> {
    let missing = |why: &str| {
        let mut g = Group::new("python", "Python", "");
        g.missing("everything in Python", why);
        vec![g]
    };
    let Some(python) = python else { return missing("no interpreter was given (--python)") };
    let listed: Vec<Listed> = match say(python, &["list"]) {
        Ok(listed) => listed,
        Err(e) => return missing(&format!("{e:#}")),
    };
    listed.into_iter().map(|l| group(python, l)).collect()
}

fn group<'a>(python: &Path, listed: Listed) -> Group<'a> {
    let unit = if listed.unit == "ns" { "ns" } else { "items/s" };
    let mut g = Group::new(listed.id.clone(), listed.title, unit);
    for peer in listed.peers {
        let (python, id, name) = (python.to_path_buf(), listed.id.clone(), peer.clone());
        g.add(peer, Place::Processes, move |count| {
            match say(&python, &["run", &id, &name, &count.to_string()])? {
                Trial::Good { value, elapsed_ns } => Ok(Sample::new(value, elapsed_ns)),
                Trial::Bad { error } => bail!("{error}"),
            }
        });
    }
    g
}

/// What the script answers.
fn say<T: for<'a> Deserialize<'a>>(python: &Path, arguments: &[&str]) -> Result<T> {
    // A trial that hangs is ended like a worker that does.
    let out = Command::new("timeout")
        .arg("60")
        .arg(python)
        .arg(SCRIPT)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} cannot be run", python.display()))?;
    let error = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{}: {}", out.status, error.lines().last().unwrap_or(""));
    Ok(serde_json::from_slice(&out.stdout)?)
}
