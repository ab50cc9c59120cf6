//! Opens what sharing.py has made, takes a job and does it. See docs/python/sharing.md.

use sharecell::{Array, Deadline, Queue, QueueOptions, Segment, Value};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = std::env::args().nth(1);
    let is_alone = name.is_none();
    let name = name.unwrap_or_else(|| "sharing".to_owned());
    // [sharing]
    let segment = Segment::options().ephemeral(true).open_or_create(&name)?;
    let counter = Value::open_or_create(&segment, "counter", 0i64)?;
    let frame: Array<f64> = Array::open_or_create(&segment, "frame", 1000)?;
    let jobs = Queue::open_or_create(&segment, "jobs", &QueueOptions::new(16))?;
    // [sharing]
    if is_alone {
        jobs.put(b"0 10")?;
    }
    // [sharing]
    let job = jobs.recv(Deadline::Never)?; // given to somebody else if we are killed here
    let bounds: Vec<usize> =
        std::str::from_utf8(&job)?.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let sum: f64 = frame.read(bounds[0], bounds[1] - bounds[0])?.iter().sum();
    let guard = counter.lock()?; // the lock that Python's get_lock() takes
    counter.set(counter.get()? + 1)?;
    drop(guard);
    drop(job); // done with
    // [sharing]
    println!("sum: {sum}");
    Ok(())
}
