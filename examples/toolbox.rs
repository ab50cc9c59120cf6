//! Each object of the toolbox once, between this process and children of it. `docs/objects/` shows the parts between
//! marks.

use std::error::Error;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use memmap2::MmapMut;
use sharecell::*;

type Done = std::result::Result<(), Box<dyn Error>>;

/// Starts this program again, to do one thing in the segment.
fn start(task: &str, segment: &Segment) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?).args([task, segment.name()]).spawn()
}

fn finish(mut child: Child) -> Done {
    if child.wait()?.success() { Ok(()) } else { Err("a child failed".into()) }
}

/// A child that holds something, and is killed while it does.
fn killed(task: &str, segment: &Segment) -> Done {
    let ready = Event::open(segment, "ready")?;
    let mut child = start(task, segment)?;
    ready.wait()?;
    ready.clear();
    child.kill()?;
    child.wait()?;
    Ok(())
}

/// What a child does that is to be killed.
fn stay(segment: &Segment) -> ! {
    Event::open(segment, "ready").expect("the event").set();
    loop {
        std::thread::park();
    }
}

fn value(segment: &Segment) -> Result<()> {
    // [value]
    let best = Value::open_or_create(segment, "best", 0i64)?;
    best.add(3)?;
    let before = best.update(|old| old.max(10))?; // again, if somebody else was faster
    println!("value: it was {before} and is {}", best.get()?);
    // [/value]
    Ok(())
}

fn array(segment: &Segment) -> Result<()> {
    // [array]
    let squares = Array::<i64>::open_or_create(segment, "squares", 100)?;
    squares.set(9, 81)?; // one element is written whole
    {
        let _guard = squares.lock()?; // several are not
        squares.write(0, &[0, 1, 4, 9])?;
    }
    println!("array: {:?} and {}", squares.read(1, 3)?, squares.get(9)?);
    // [/array]
    Ok(())
}

fn lock(segment: &Segment) -> Done {
    let entries = Array::<i32>::create(segment, "entries", 8)?;
    let _lock = Lock::create(segment, "lock")?;
    killed("hold", segment)?;
    // [lock]
    let lock = Lock::open(segment, "lock")?;
    let repair = || entries.fill(0).is_ok(); // false: beyond repair, and all get Poisoned
    let guard = lock.lock_or_repair(Deadline::Never, repair)?;
    entries.set(0, 1)?;
    drop(guard);
    println!("lock: its holder was killed, and what it protects repaired");
    // [/lock]
    Ok(())
}

fn rlock(segment: &Segment) -> Result<()> {
    // [rlock]
    let lock = RLock::open_or_create(segment, "rlock")?;
    let outer = lock.lock()?;
    let inner = lock.lock()?; // the same thread, again
    drop(inner);
    println!("rlock: still held by {}", lock.holder());
    drop(outer); // free now
    // [/rlock]
    Ok(())
}

fn rwlock(segment: &Segment) -> Done {
    let _lock = RwLock::create(segment, "rwlock")?;
    killed("read", segment)?;
    // [rwlock]
    let lock = RwLock::open(segment, "rwlock")?;
    {
        let (_one, _other) = (lock.read()?, lock.read()?);
        assert!(lock.try_write().is_err());
    }
    let writer = lock.write()?;
    println!("rwlock: a writer, and a killed reader is forgotten; a writer died: {}", writer.owner_died());
    // [/rwlock]
    Ok(())
}

fn semaphore(segment: &Segment) -> Done {
    let _permits = Semaphore::create_with(segment, "permits", &SemaphoreOptions::new(2).undo())?;
    killed("acquire", segment)?;
    // [semaphore]
    let options = SemaphoreOptions::new(2).undo();
    let permits = Semaphore::open_or_create_with(segment, "permits", &options)?;
    permits.acquire()?;
    permits.acquire_timeout(Duration::from_secs(5))?; // a killed process had this one
    println!("semaphore: {} left", permits.value());
    permits.release(2)?;
    // [/semaphore]
    let bounded = Semaphore::create_with(segment, "bounded", &SemaphoreOptions::new(1).bounded())?;
    assert_eq!(bounded.release(1).unwrap_err().kind(), ErrorKind::Overflow);
    Ok(())
}

fn condition(segment: &Segment) -> Done {
    let number = Value::create(segment, "number", 0i32)?;
    let changed = Condition::create(segment, "changed")?;
    let child = start("count", segment)?;
    // [condition]
    let guard = changed.lock()?;
    let is_three = || number.get().is_ok_and(|number| number == 3);
    while !changed.wait_for(Deadline::after(Duration::from_secs(5)), is_three)? {
        println!("condition: it takes long");
    }
    println!("condition: the number is {}", number.get()?);
    drop(guard);
    // [/condition]
    finish(child)
}

fn count(segment: &Segment) -> Result<()> {
    let number = Value::<i32>::open(segment, "number")?;
    let changed = Condition::open(segment, "changed")?;
    for _ in 0..3 {
        let _guard = changed.lock()?;
        number.add(1)?;
        changed.notify_all()?;
    }
    Ok(())
}

fn event(segment: &Segment) -> Done {
    let child = start("set", segment)?;
    // [event]
    let ready = Event::open(segment, "ready")?; // somebody will `set` it
    ready.wait_timeout(Duration::from_secs(60))?;
    ready.clear();
    println!("event: it was set");
    // [/event]
    finish(child)
}

fn barrier(segment: &Segment) -> Done {
    let _all = Barrier::create(segment, "all", 3)?;
    let children = [start("meet", segment)?, start("meet", segment)?];
    // [barrier]
    let all = Barrier::open(segment, "all")?;
    let last = || true; // the last one to come does this before any goes on; false breaks the barrier
    let number = all.wait_with(Deadline::Never, last)?;
    println!("barrier: {} have met, this one came as number {number}", all.parties());
    // [/barrier]
    children.into_iter().try_for_each(finish)
}

fn queue(segment: &Segment) -> Done {
    let jobs = Queue::create(segment, "jobs", &QueueOptions::new(64).joinable(true))?;
    let child = start("work", segment)?;
    // [queue]
    for job in ["sweep", "wash", "cook"] {
        jobs.put(job.as_bytes())?; // it is in the queue, or this is an error
    }
    jobs.join(Deadline::Never)?; // each was taken, and is done
    jobs.shutdown(); // no more; what is there is still got
    println!("queue: all jobs are done");
    // [/queue]
    finish(child)
}

fn work(segment: &Segment) -> Result<()> {
    let jobs = Queue::open(segment, "jobs")?;
    // [worker]
    loop {
        let job = match jobs.recv(Deadline::Never) {
            Ok(job) => job, // read in place; somebody else gets it if we are killed here
            Err(e) if e.kind() == ErrorKind::Closed => return Ok(()),
            Err(e) => return Err(e),
        };
        if job.deliveries() > 3 {
            println!("queue: {} has killed three workers, and is set aside", job.number());
        }
        drop(job); // done
    }
    // [/worker]
}

fn pipe(segment: &Segment) -> Done {
    let child = start("answer", segment)?;
    // [pipe]
    let mine = Pipe::open_or_create(segment, "pipe", End::A, &PipeOptions::new())?;
    mine.send(b"how much is 6 x 7?")?;
    let answer = mine.recv_timeout(Duration::from_secs(60))?; // Closed when nobody is left there
    println!("pipe: {}", String::from_utf8_lossy(&answer));
    // [/pipe]
    finish(child)
}

fn waiting(segment: &Segment) -> Done {
    let queue = Queue::create(segment, "waiting", &QueueOptions::new(8))?;
    let event = Event::create(segment, "end")?;
    let mut child = start("stay", segment)?;
    let pidfd = pidfd(&child)?;
    child.kill()?;
    // [waiting]
    let things = [queue.readable(), event.when_set(), Interest::exited(pidfd.as_fd())];
    for ready in wait_any(&things, Deadline::Never)? {
        println!("waiting: {}", ["an item", "the event", "a process has ended"][ready]);
    }

    let bell = Bell::new()?; // a descriptor for epoll and the like
    bell.arm(&[queue.readable(), event.when_set()])?;
    event.set();
    wait_any(&[Interest::readable(bell.as_fd())], Deadline::Never)?; // any loop will do
    bell.clear();
    // [/waiting]
    child.wait()?;
    Ok(())
}

fn pidfd(child: &Child) -> std::io::Result<OwnedFd> {
    // SAFETY: the call takes numbers alone, and the descriptor is new.
    unsafe {
        match libc::syscall(libc::SYS_pidfd_open, child.id(), 0) {
            -1 => Err(std::io::Error::last_os_error()),
            fd => Ok(OwnedFd::from_raw_fd(fd as i32)),
        }
    }
}

fn anonymous() -> Done {
    let (near, far) = UnixStream::pair()?;
    // The child has the socket as its standard input.
    let mut command = Command::new(std::env::current_exe()?);
    let child = command.arg("receive").stdin(Stdio::from(OwnedFd::from(far))).spawn()?;
    // [anonymous]
    let segment = Segment::options().limit(1 << 24).create_anonymous()?;
    let queue = Queue::create(&segment, "queue", &QueueOptions::new(8))?;
    segment.send_over(near.as_fd())?; // the other process calls Segment::receive_over
    println!("anonymous: {}", String::from_utf8_lossy(&queue.get()?));
    // [/anonymous]
    finish(child)
}

fn receive(socket: BorrowedFd<'_>) -> Result<()> {
    let segment = Segment::receive_over(socket)?;
    Queue::open(&segment, "queue")?.put(b"received")
}

fn given(name: &str) -> Done {
    let path = std::env::temp_dir().join(name);
    let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(path)?;
    file.set_len(1 << 20)?;
    // SAFETY: nobody else can find the file.
    let mut memory = unsafe { MmapMut::map_mut(&file) }?;
    // [given]
    // SAFETY: the memory is shared, stays mapped as long as the segment, and is used by nothing else.
    let segment = unsafe { Segment::options().create_over(name, memory.as_mut_ptr(), memory.len()) }?;
    println!("given: a segment of {} bytes", segment.limit());
    drop(segment);
    Segment::unlink(name)?; // the small file that keeps the leases
    // [/given]
    Ok(())
}

fn named(name: &str) -> Result<()> {
    // [segment]
    let segment = Segment::options().limit(64 << 20).ephemeral(true).open_or_create(name)?;
    let again = Segment::open(name)?; // in this process or any other
    Lock::create(&again, "lock")?;
    for object in segment.objects()? {
        println!("segment: {} has {:?} {:?}", segment.name(), object.kind, object.name);
    }
    segment.remove("lock")?;
    // [/segment]
    Ok(())
}

/// What a child is started for.
fn child(task: &str, segment: &Segment) -> Done {
    match task {
        "hold" => {
            let lock = Lock::open(segment, "lock")?;
            let _guard = lock.lock()?;
            stay(segment)
        }
        "read" => {
            let lock = RwLock::open(segment, "rwlock")?;
            let _guard = lock.read()?;
            stay(segment)
        }
        "acquire" => {
            let permits = Semaphore::open(segment, "permits")?;
            permits.acquire()?;
            stay(segment)
        }
        "stay" => loop {
            std::thread::park();
        },
        "set" => Event::open(segment, "ready")?.set(),
        "count" => count(segment)?,
        "meet" => drop(Barrier::open(segment, "all")?.wait()?),
        "work" => work(segment)?,
        "answer" => {
            let pipe = Pipe::open_or_create(segment, "pipe", End::B, &PipeOptions::new())?;
            pipe.recv()?;
            pipe.send(b"42")?;
        }
        other => return Err(format!("unknown task {other}").into()),
    }
    Ok(())
}

fn main() -> Done {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match &words[..] {
        [task] if task == "receive" => return Ok(receive(std::io::stdin().as_fd())?),
        [task, name] => return child(task, &Segment::open(name)?),
        _ => {}
    }
    let name = format!("toolbox-rs-{}", std::process::id());
    let segment = Segment::options().ephemeral(true).create(&name)?;
    let _ready = Event::create(&segment, "ready")?;
    named(&format!("{name}-named"))?;
    value(&segment)?;
    array(&segment)?;
    lock(&segment)?;
    rlock(&segment)?;
    rwlock(&segment)?;
    semaphore(&segment)?;
    condition(&segment)?;
    event(&segment)?;
    barrier(&segment)?;
    queue(&segment)?;
    pipe(&segment)?;
    waiting(&segment)?;
    anonymous()?;
    given(&format!("{name}-given"))?;
    Ok(())
}
