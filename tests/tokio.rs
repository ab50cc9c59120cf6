//! The futures under a runtime, and the event descriptor in a loop of somebody else's.
#![cfg(feature = "async")]

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use sharecell::*;
use tokio::io::unix::AsyncFd;
use tokio::time::timeout;

fn segment(test: &str) -> Segment {
    Segment::options().ephemeral(true).create(&format!("tokio-{}-{test}", std::process::id())).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_hand_each_other_items() {
    let s = segment("items");
    let q = Queue::create(&s, "q", &QueueOptions::new(2)).unwrap();
    let (a, b) = Pipe::create(&s, "p", &PipeOptions::new().capacity(2)).unwrap();
    let putter = tokio::spawn(async move {
        for i in 0..500u32 {
            q.put_async(&i.to_ne_bytes()).await.unwrap();
        }
        q.shutdown();
    });
    let q = Queue::open(&s, "q").unwrap();
    let mover = tokio::spawn(async move {
        while let Ok(item) = q.get_async().await {
            a.send_async(&item).await.unwrap();
        }
    });
    for i in 0..500u32 {
        assert_eq!(b.recv_async().await.unwrap(), i.to_ne_bytes());
    }
    assert_eq!(b.recv_async().await.unwrap_err().kind(), ErrorKind::Closed);
    putter.await.unwrap();
    mover.await.unwrap();
}

#[tokio::test]
async fn a_future_that_is_dropped_has_taken_nothing() {
    let s = segment("dropped");
    let q = Queue::create(&s, "q", &QueueOptions::new(2)).unwrap();
    assert!(timeout(Duration::from_millis(5), q.get_async()).await.is_err());
    q.put(b"still here").unwrap();
    assert_eq!(q.get_async().await.unwrap(), b"still here");
    let file = std::path::Path::new("/dev/shm").join(format!("sharecell.{}", s.name()));
    assert!(timeout(Duration::from_millis(5), q.get_async()).await.is_err());
    assert!(file.exists());
    drop((s, q));
    assert!(!file.exists(), "the segment is still attached");
}

#[tokio::test]
async fn a_future_that_is_dropped_leaves_the_others_of_its_task() {
    let s = segment("siblings");
    let q = Queue::create(&s, "q", &QueueOptions::new(2)).unwrap();
    let e = Event::create(&s, "e").unwrap();
    let mut getting = std::pin::pin!(q.get_async());
    tokio::select! {
        biased;
        _ = &mut getting => panic!("nothing was put"),
        () = async { drop(timeout(Duration::from_millis(5), e.wait_async()).await) } => {}
    }
    q.put(b"x").unwrap();
    assert_eq!(getting.await.unwrap(), b"x");
}

#[tokio::test]
async fn many_tasks_wait() {
    let s = segment("many");
    let e = Event::create(&s, "e").unwrap();
    let m = Semaphore::create(&s, "m", 0).unwrap();
    let l = Lock::create(&s, "l").unwrap();
    // More than one sleep takes.
    let waiting: Vec<_> = (0..300)
        .map(|_| {
            let e = e.clone();
            tokio::spawn(async move { e.wait_async().await })
        })
        .collect();
    let one = m.clone();
    let acquiring = tokio::spawn(async move { one.acquire_async().await });
    let guard = l.lock_async().await.unwrap();
    let locking = {
        let l = l.clone();
        tokio::spawn(async move { l.lock_async().await.map(drop) })
    };
    tokio::task::yield_now().await;
    drop(guard);
    e.set();
    m.release(1).unwrap();
    for task in waiting {
        task.await.unwrap().unwrap();
    }
    acquiring.await.unwrap().unwrap();
    locking.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_bell_rings_in_a_loop_of_somebody_else() {
    let s = segment("bell");
    let q = Queue::create(&s, "q", &QueueOptions::new(2)).unwrap();
    let bell = Bell::new().unwrap();
    let fd: OwnedFd = bell.as_fd().try_clone_to_owned().unwrap();
    assert!(fd.as_raw_fd() >= 0);
    // SAFETY: the descriptor is owned, so it stays open until it is deregistered.
    let fd = unsafe { AsyncFd::register(fd) }.unwrap();
    for i in 0..50u32 {
        bell.arm(&[q.readable()]).unwrap();
        q.put(&i.to_ne_bytes()).unwrap();
        let item = loop {
            let mut ready = fd.readable().await.unwrap();
            bell.clear();
            ready.clear_ready();
            match q.try_get() {
                Ok(item) => break item,
                Err(_) => bell.arm(&[q.readable()]).unwrap(),
            }
        };
        assert_eq!(item, i.to_ne_bytes());
    }
    // What is ready already rings at once.
    q.put(b"x").unwrap();
    bell.clear();
    bell.arm(&[q.readable()]).unwrap();
    drop(fd.readable().await.unwrap());
}

/// What `docs/objects/waiting.md` shows.
#[tokio::test]
async fn the_example_of_the_documentation() -> Result<()> {
    let segment = segment("example");
    let queue = Queue::create(&segment, "q", &QueueOptions::new(2))?;
    let event = Event::create(&segment, "end")?;
    let putter = tokio::spawn({
        let queue = queue.clone();
        async move { queue.put_async(b"from a task").await }
    });
    // [async]
    let item = queue.get_async().await?;
    println!("async: {}", String::from_utf8_lossy(&item));

    tokio::select! { // any runtime and its combinators will do
        item = queue.get_async() => drop(item?),
        () = tokio::time::sleep(Duration::from_millis(5)) => {} // cancelled: nothing was taken
        set = event.wait_async() => set?,
    }
    // [/async]
    assert_eq!(item, b"from a task");
    putter.await.unwrap()
}
