//! Values: read, written, added to; beside a bare atomic in shared memory.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::*};

use anyhow::Result;
use sharecell::Value;

use crate::group::{Group, Sample};
use crate::peers::Scratch;
use crate::peers::queues::Words;
use crate::region::Region;
use crate::trial::{self, Place};

pub fn groups<'a>() -> Vec<Group<'a>> {
    let mut get = Group::new("value.get", "Value, read", "ns");
    let mut set = Group::new("value.set", "Value, written", "ns");
    let mut add = Group::new("value.add", "Value, added to", "ns");
    let name = "sharecell Value<u64>";
    get.add(name, Place::Processes, |n| number(n, |v| touch(v.get().expect("get"))));
    set.add(name, Place::Processes, |n| number(n, |v| v.set(black_box(1)).expect("set")));
    add.add(name, Place::Processes, |n| number(n, |v| touch(v.add(1).expect("add"))));
    let name = "sharecell Value of 64 bytes";
    get.add(name, Place::Processes, |n| wide(n, |v| touch(v.get().expect("get"))));
    set.add(name, Place::Processes, |n| wide(n, |v| v.set(black_box(Words([1; 8]))).expect("set")));
    let name = "bare atomic";
    get.add(name, Place::Processes, |n| bare(n, |v| touch(v.load(Acquire))));
    set.add(name, Place::Processes, |n| bare(n, |v| v.store(black_box(1), Release)));
    add.add(name, Place::Processes, |n| bare(n, |v| touch(v.fetch_add(1, AcqRel))));
    vec![get, set, add]
}

/// Makes the compiler believe that it is used.
fn touch<T>(value: T) {
    black_box(value);
}

fn number(count: u64, operation: impl Fn(&Value<u64>)) -> Result<Sample> {
    let scratch = Scratch::new()?;
    Value::create(&scratch.segment, "value", 0u64)?;
    trial::alone(count, &|worker| {
        let value = Value::open(&scratch.open()?, "value")?;
        worker.measure(|_| (0..count).for_each(|_| operation(&value)));
        Ok(())
    })
}

fn wide(count: u64, operation: impl Fn(&Value<Words<8>>)) -> Result<Sample> {
    let scratch = Scratch::new()?;
    Value::create(&scratch.segment, "value", Words([0; 8]))?;
    trial::alone(count, &|worker| {
        let value = Value::open(&scratch.open()?, "value")?;
        worker.measure(|_| (0..count).for_each(|_| operation(&value)));
        Ok(())
    })
}

fn bare(count: u64, operation: impl Fn(&AtomicU64)) -> Result<Sample> {
    let word = Region::<AtomicU64>::new()?;
    trial::alone(count, &|worker| {
        worker.measure(|_| (0..count).for_each(|_| operation(word.get())));
        Ok(())
    })
}
