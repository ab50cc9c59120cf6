//! A parent puts numbers on a queue; a child takes them, keeps their squares and adds them up.

use std::process::{Command, ExitCode};

use sharecell::{Array, Deadline, ErrorKind, Lock, Queue, QueueOptions, Segment, Value};

const NUMBERS: i64 = 100;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    // This program again, as the child: it finds everything by its name.
    if let Some(name) = std::env::args().nth(1) {
        work(&name)?;
        return Ok(ExitCode::SUCCESS);
    }
    let name = format!("quickstart-rs-{}", std::process::id());
    let segment = Segment::options().ephemeral(true).create(&name)?;
    let total = Value::create(&segment, "total", 0i64)?;
    let squares = Array::<i64>::create(&segment, "squares", NUMBERS as usize)?;
    let _lock = Lock::create(&segment, "lock")?;
    let jobs = Queue::create(&segment, "jobs", &QueueOptions::new(1024))?;

    let mut child = Command::new(std::env::current_exe()?).arg(&name).spawn()?;
    for number in 0..NUMBERS {
        jobs.put(&number.to_ne_bytes())?;
    }
    jobs.shutdown(); // no more; what is there is still got
    let ended_well = child.wait()?.success();

    let (last, sum) = (squares.get(NUMBERS as usize - 1)?, total.get()?);
    println!("the last of {NUMBERS} squares is {last}, their sum {sum}");
    Ok(if ended_well && sum == 328_350 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn work(name: &str) -> Result<(), Box<dyn std::error::Error>> {
    let segment = Segment::open(name)?;
    let total = Value::<i64>::open(&segment, "total")?;
    let squares = Array::<i64>::open(&segment, "squares")?;
    let lock = Lock::open(&segment, "lock")?;
    let jobs = Queue::open(&segment, "jobs")?;
    loop {
        let job = match jobs.recv(Deadline::Never) {
            Ok(job) => job, // given to somebody else if we are killed here
            Err(e) if e.kind() == ErrorKind::Closed => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        let number = i64::from_ne_bytes(job[..].try_into()?);
        squares.set(number as usize, number * number)?;
        let _guard = lock.lock()?;
        total.set(total.get()? + number * number)?;
    }
}
