//! The twenty lines of the README. Run it beside the C and the Python one: they share the total.

use sharecell::{Deadline, Lock, Queue, QueueOptions, Segment, Value};

fn main() -> sharecell::Result<()> {
    // [README]
    let segment = Segment::options().limit(1 << 30).ephemeral(true).open_or_create("readme")?;
    let jobs = Queue::open_or_create(&segment, "jobs", &QueueOptions::new(64))?;
    let total = Value::open_or_create(&segment, "total", 0i64)?;
    let lock = Lock::open_or_create(&segment, "lock")?;

    jobs.put(b"some work")?; // it is in the queue, or this is an error
    let job = jobs.recv(Deadline::Never)?; // read in place; if we are killed here, somebody else gets it

    let guard = lock.lock()?;
    if guard.owner_died() {
        println!("the last holder was killed; here is the place to repair");
    }
    total.add(job.len() as i64)?;
    drop(guard);
    drop(job); // done with

    println!("total: {}", total.get()?);
    // [README]
    Ok(())
}
