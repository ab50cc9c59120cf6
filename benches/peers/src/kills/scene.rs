//! A scene: a process of its own makes the object, starts a victim and survivors, kills, and writes down what it saw.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Deserialize;

use crate::kills::BOUND_MS;
use crate::machine::now;
use crate::region::Region;
use crate::trial::{Child, Message};

/// What became of one kill.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[repr(C)]
#[serde(default)]
pub struct Outcome {
    pub hung: u64,
    pub failed: u64,
    /// From the kill to the first success of a survivor that began after the victim was gone.
    pub gap_ns: u64,
    pub lost: u64,
    pub doubled: u64,
    pub torn: u64,
    pub along: u64,
}

/// What the processes of a scene tell each other.
#[repr(C)]
pub struct Marks {
    /// Victim and survivors that have come so far as to do operations.
    pub ready: AtomicU64,
    pub killed_at: AtomicU64,
    /// The kernel has buried the victim.
    pub gone: AtomicU64,
    /// When a survivor's first operation that began after this had succeeded.
    pub done_at: AtomicU64,
    outcome: Outcome,
    error: Message,
}

pub struct Scene {
    marks: Region<Marks>,
    child: Option<Child>,
}

impl Scene {
    pub fn begin(play: fn(&Scene) -> Result<()>) -> Result<Self> {
        let scene = Self { marks: Region::new()?, child: None };
        let child = Child::fork(|| match play(&scene) {
            Ok(()) => true,
            Err(e) => {
                // SAFETY: the parent reads it when this process has ended.
                unsafe { (*scene.marks.as_ptr()).error.set(&format!("{e:#}")) };
                false
            }
        })?;
        Ok(Self { child: Some(child), ..scene })
    }

    pub fn marks(&self) -> &Marks {
        self.marks.get()
    }

    /// Returns when it has ended, or so long after its kill.
    pub fn watch(&self, alone_ns: u64) {
        let child = self.child.as_ref().expect("begun");
        while !child.has_ended() {
            let killed_at = self.marks().killed_at.load(SeqCst);
            if killed_at != 0 && now() > killed_at + alone_ns {
                return;
            }
            pause();
        }
    }

    /// Its outcome, when it has ended.
    pub fn end(mut self) -> Result<Outcome> {
        let good = self.child.take().expect("begun").wait();
        // SAFETY: the writer has ended.
        let marks = unsafe { &*self.marks.as_ptr() };
        match (good, marks.error.get()) {
            (true, _) => Ok(marks.outcome),
            (false, Some(error)) => bail!("{error}"),
            (false, None) => bail!("a scene was ended by a signal"),
        }
    }

    /// Waits for what the players do before the kill.
    pub fn until(&self, ready: impl Fn() -> bool) -> Result<()> {
        let patience = now() + 10 * BOUND_MS * 1_000_000;
        while !ready() {
            if now() > patience {
                bail!("the players did not come to do anything");
            }
            pause();
        }
        Ok(())
    }

    /// Within the scene: kills the victim at some moment when all `players` do operations.
    pub fn kill(&self, victim: Child, players: u64) -> Result<()> {
        let marks = self.marks();
        self.until(|| marks.ready.load(SeqCst) >= players)?;
        // The clock's last digits are as good as dice.
        std::thread::sleep(Duration::from_nanos(100_000 + now() * 7919 % 2_000_000));
        marks.killed_at.store(now(), SeqCst);
        victim.kill();
        if victim.wait() {
            bail!("the victim ended by itself");
        }
        marks.gone.store(1, SeqCst);
        Ok(())
    }

    /// Waits for what survivors do, until the bound. Of survivors that end badly it says that they failed.
    pub fn survive(&self, survivors: &[&Child], done: impl Fn() -> bool) -> Fate {
        let deadline = self.marks().killed_at.load(SeqCst) + BOUND_MS * 1_000_000;
        loop {
            if done() {
                return Fate::Well;
            }
            if survivors.iter().any(|s| s.has_failed()) {
                return Fate::Failed;
            }
            if now() > deadline {
                return Fate::Hung;
            }
            pause();
        }
    }

    /// Writes down how it ended.
    pub fn note(&self, outcome: Outcome) {
        let marks = self.marks();
        let gap = marks.done_at.load(SeqCst).saturating_sub(marks.killed_at.load(SeqCst));
        let gap_ns = if outcome.hung + outcome.failed == 0 { gap } else { 0 };
        // SAFETY: only this process writes it, and the parent reads it when this one has ended.
        unsafe { (*self.marks.as_ptr()).outcome = Outcome { gap_ns, ..outcome } };
    }
}

/// What became of the survivors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Well,
    Hung,
    Failed,
}

impl Fate {
    /// As far as the survivors did not come to their end.
    pub fn outcome(self) -> Outcome {
        Outcome {
            hung: u64::from(self == Self::Hung),
            failed: u64::from(self == Self::Failed),
            ..Outcome::default()
        }
    }
}

/// Between two looks.
pub fn pause() {
    std::thread::sleep(Duration::from_micros(50));
}
