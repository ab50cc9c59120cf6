//! A process is killed while it holds, writes or reads an object; the others go on. All by real processes.

mod common;

use std::os::unix::process::CommandExt;
use std::time::{Duration, Instant};

use common::*;
use sharecell::*;

#[test]
#[ignore = "the other side of these tests; they start it"]
fn child() {
    act(&[
        ("hold", hold),
        ("wait", wait),
        ("hold and exec", hold_and_exec),
        ("forget", forget),
        ("attach", attach),
        ("come and go", come_and_go),
        ("leave leftovers", leave_leftovers),
        ("looked at", |_| in_private_shm(64 << 20, looked_at)),
        ("write wide", write_wide),
        ("send long messages", send_long_messages),
        ("receive long messages", receive_long_messages),
        ("produce", produce),
        ("consume", consume),
    ]);
}

#[derive(Clone, Copy, Debug, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct Wide([u64; 5]);

impl Element for Wide {
    const NAME: &'static str = "Wide";
}

/// An item that lies in its cell, and one that is spilled.
const SIZES: [usize; 2] = [16, 5000];

/// What has a lock.
const LOCKS: [&str; 3] = ["lock", "value", "array"];

enum Locked {
    Lock(Lock),
    Value(Value<i64>),
    Array(Array<u8>),
}

impl Locked {
    fn open(s: &Segment, what: &str) -> Option<Self> {
        Some(match what {
            "lock" => Self::Lock(Lock::open_or_create(s, what).unwrap()),
            "value" => Self::Value(Value::open_or_create(s, what, 5).unwrap()),
            "array" => Self::Array(Array::open_or_create(s, what, 3).unwrap()),
            _ => return None,
        })
    }

    fn lock(&self, deadline: Deadline) -> Result<LockGuard<'_>> {
        match self {
            Self::Lock(lock) => lock.lock_until(deadline),
            Self::Value(value) => value.lock_until(deadline),
            Self::Array(array) => array.lock_until(deadline),
        }
    }
}

fn in_time() -> Deadline {
    Deadline::after(WATCHDOG)
}

/// Long enough for somebody who robs the living to do so.
fn for_a_while() -> Deadline {
    Deadline::after(Duration::from_millis(150))
}

fn item(size: usize, fill: u8) -> Vec<u8> {
    vec![fill; size]
}

/// Says what an item is: number, deliveries, length, and its bytes if they are all the same.
fn describe(item: &Item<'_>) -> String {
    let fill = item.first().filter(|first| item.iter().all(|byte| byte == *first));
    format!("{} {} {} {fill:?}", item.number(), item.deliveries(), item.len())
}

/// Holds what the second argument says until it is told to go on, and then gives it back in good order.
fn hold(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let size = || args[2].parse().unwrap();
    match args[1].as_str() {
        "put" => {
            let q = Queue::open(&s, "queue").unwrap();
            let mut place = q.reserve(size(), Deadline::Never).unwrap();
            place.fill(7);
            held();
            place.commit().unwrap();
        }
        "all" => {
            let q = Queue::open(&s, "queue").unwrap();
            let places: Vec<_> = (0..q.capacity()).map(|_| q.reserve(size(), Deadline::Never)).collect();
            held();
            drop(places);
        }
        "get" => {
            let q = Queue::open(&s, "queue").unwrap();
            let item = q.recv(Deadline::Never).unwrap();
            say(describe(&item));
            held();
            drop(item);
        }
        "send" => {
            let pipe = Pipe::open(&s, "pipe", End::B).unwrap();
            let mut place = pipe.reserve(size(), Deadline::Never).unwrap();
            place.fill(7);
            held();
            place.commit().unwrap();
        }
        "recv" => {
            let pipe = Pipe::open(&s, "pipe", End::A).unwrap();
            let message = pipe.recv_in_place(Deadline::Never).unwrap();
            say(format!("{} {:?}", message.len(), message[0]));
            held();
            drop(message);
        }
        "end A" => drop((Pipe::open(&s, "pipe", End::A).unwrap(), held())),
        "end B" => drop((Pipe::open(&s, "pipe", End::B).unwrap(), held())),
        "wide" => {
            let wide = Value::<Wide>::open(&s, "wide").unwrap();
            let write = |_| {
                held();
                Wide([7; 5])
            };
            wide.update(write).unwrap();
        }
        what => {
            let locked = Locked::open(&s, what).expect("a known thing to hold");
            let guard = locked.lock(Deadline::Never).unwrap();
            held();
            guard.unlock().unwrap();
        }
    }
    say("done");
    park();
}

/// Waits for what the second argument says, and says what it got.
fn wait(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    match args[1].as_str() {
        "get" => {
            let q = Queue::open(&s, "queue").unwrap();
            say("waiting");
            say(describe(&q.recv(in_time()).unwrap()));
        }
        "put" => {
            let q = Queue::open(&s, "queue").unwrap();
            say("waiting");
            q.put_until(&item(args[2].parse().unwrap(), 9), in_time()).unwrap();
            say("put");
        }
        "recv" => {
            let pipe = Pipe::open(&s, "pipe", End::A).unwrap();
            say("waiting");
            say(format!("{:?}", pipe.recv_until(in_time()).map_err(|e| e.kind())));
        }
        "send" => {
            let pipe = Pipe::open(&s, "pipe", End::B).unwrap();
            while pipe.try_send(b"m").is_ok() {}
            say("waiting");
            say(format!("{:?}", pipe.send_until(b"m", in_time()).map_err(|e| e.kind())));
        }
        "wide" => {
            let wide = Value::<Wide>::open(&s, "wide").unwrap();
            say("waiting");
            wide.set(Wide([9; 5])).unwrap();
            say("set");
        }
        what => {
            let locked = Locked::open(&s, what).expect("a known thing to wait for");
            say("waiting");
            let guard = locked.lock(in_time()).unwrap();
            say(format!("owner died: {}", guard.owner_died()));
            held();
            guard.unlock().unwrap();
        }
    }
    park();
}

/// A process that waits for `what` and has fallen asleep over it.
fn asleep(s: &Segment, args: &[&str]) -> Process {
    let mut waiter = spawn("wait", &[&[s.name()], args].concat());
    waiter.expect("waiting");
    waiter.wait_asleep();
    waiter
}

/// A process that holds `what`, as it has said.
fn holding(s: &Segment, args: &[&str]) -> Process {
    let mut holder = spawn("hold", &[&[s.name()], args].concat());
    holder.expect("held");
    holder
}

// ---- locks ---------------------------------------------------------------------------------------------

#[test]
fn a_killed_holder_of_a_lock_hands_it_over_with_a_mark() {
    let world = World::new("lock");
    let s = world.segment();
    for what in LOCKS {
        let locked = Locked::open(&s, what).unwrap();
        let mut holder = holding(&s, &[what]);
        assert_eq!(kind(locked.lock(Deadline::Now)), ErrorKind::WouldBlock);
        let mut heir = asleep(&s, &[what]);
        holder.kill();
        heir.expect("owner died: true");
        heir.expect("held");
        // The mark stays until somebody gives the lock back in good order.
        let mut next = asleep(&s, &[what]);
        heir.kill();
        next.expect("owner died: true");
        next.expect("held");
        next.tell("go on");
        assert!(!locked.lock(in_time()).unwrap().owner_died(), "{what}");
    }
}

#[test]
fn a_zombie_is_dead() {
    let world = World::new("zombie");
    let s = world.segment();
    let holder = {
        Locked::open(&s, "lock").unwrap();
        holding(&s, &["lock"])
    };
    let mut heir = asleep(&s, &["lock"]);
    holder.kill_unreaped();
    heir.expect("owner died: true");
    assert_eq!(process_state(holder.pid()), 'Z');
}

fn hold_and_exec(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let lock = Lock::open(&s, "lock").unwrap();
    let _guard = lock.lock().unwrap();
    let q = Queue::open(&s, "queue").unwrap();
    let _item = q.recv(Deadline::Never).unwrap();
    held();
    panic!("exec: {}", std::process::Command::new("cat").exec());
}

#[test]
fn a_process_that_executes_another_program_has_left() {
    let world = World::new("exec");
    let s = world.segment();
    let _lock = Lock::create(&s, "lock").unwrap();
    let q = Queue::create(&s, "queue", &QueueOptions::new(2)).unwrap();
    q.put(b"item").unwrap();
    let mut holder = spawn("hold and exec", &[s.name()]);
    holder.expect("held");
    let mut heir = asleep(&s, &["lock"]);
    let mut getter = asleep(&s, &["get"]);
    holder.tell("go on");
    heir.expect("owner died: true");
    assert!(getter.line().starts_with("0 2 4 "));
    // The new program waits for input.
    holder.kill();
}

fn forget(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let lock = Lock::open(&s, "lock").unwrap();
    let _ = lock.acquire(Deadline::Never).unwrap();
    drop(lock);
    let q = Queue::open(&s, "queue").unwrap();
    std::mem::forget(q.recv(Deadline::Never).unwrap());
    drop(q);
    held();
}

/// The handle is closed, what it acquired is not given back: its owner's end does that, killed or not.
#[test]
fn what_was_acquired_through_a_closed_handle_is_given_back_at_death() {
    for killed in [true, false] {
        let world = World::new("closed");
        let s = world.segment();
        let lock = Lock::create(&s, "lock").unwrap();
        let q = Queue::create(&s, "queue", &QueueOptions::new(2)).unwrap();
        q.put(b"item").unwrap();
        let mut holder = spawn("forget", &[s.name()]);
        holder.expect("held");
        if killed {
            holder.kill();
        } else {
            holder.tell("go on");
            holder.finish();
        }
        assert!(lock.lock_until(in_time()).expect("the lock of a dead process").owner_died());
        assert_eq!(q.recv(in_time()).unwrap().deliveries(), 2);
    }
}

// ---- values --------------------------------------------------------------------------------------------

#[test]
fn a_killed_writer_of_a_wide_value_leaves_the_old_one_and_the_next_may_write() {
    let world = World::new("wide");
    let s = world.segment();
    let wide = Value::create(&s, "wide", Wide([1; 5])).unwrap();
    let mut writer = holding(&s, &["wide"]);
    assert_eq!(wide.get().unwrap(), Wide([1; 5]));
    let mut next = asleep(&s, &["wide"]);
    writer.kill();
    next.expect("set");
    assert_eq!(wide.get().unwrap(), Wide([9; 5]));
}

fn write_wide(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let wide = Value::<Wide>::open(&s, "wide").unwrap();
    say("writing");
    for i in 0.. {
        wide.set(Wide([i; 5])).unwrap();
    }
}

#[test]
fn a_wide_value_is_never_torn_by_kills() {
    let world = World::new("torn");
    let s = world.segment();
    let wide = Value::create(&s, "wide", Wide([1; 5])).unwrap();
    for _ in 0..30 {
        let mut writers = [0; 2].map(|_| spawn("write wide", &[s.name()]));
        for writer in &mut writers {
            writer.expect("writing");
        }
        for writer in &mut writers {
            for _ in 0..2000 {
                let Wide(words) = wide.get().unwrap();
                assert!(words.iter().all(|word| *word == words[0]), "{words:?}");
            }
            writer.kill();
        }
        let before = wide.exchange(Wide([3; 5])).unwrap();
        assert!(before.0.iter().all(|word| *word == before.0[0]), "{before:?}");
        assert_eq!(wide.get().unwrap(), Wide([3; 5]));
    }
}

// ---- queues --------------------------------------------------------------------------------------------

/// Fills and empties the queue, so that every cell is used.
fn check_queue(q: &Queue, size: usize) {
    for round in 0..3 {
        for i in 0..q.capacity() {
            q.put_until(&item(size, (round * 64 + i) as u8), in_time()).unwrap();
        }
        assert!(q.is_full());
        assert_eq!(kind(q.try_put(b"one too many")), ErrorKind::WouldBlock);
        for i in 0..q.capacity() {
            assert_eq!(q.get_until(in_time()).unwrap(), item(size, (round * 64 + i) as u8));
        }
        assert_eq!((q.qsize(), kind(q.try_get())), (0, ErrorKind::WouldBlock));
    }
}

#[test]
fn a_killed_putter_was_never_there_not_even_if_the_queue_was_full_of_it() {
    let world = World::new("putter");
    for size in SIZES {
        for capacity in [1, 2, 3, 4] {
            let s = world.segment();
            let q = Queue::create(&s, "queue", &QueueOptions::new(capacity)).unwrap();
            let size_text = size.to_string();
            let mut putter = holding(&s, &["all", &size_text]);
            assert!(q.is_full() && q.qsize() == 0);
            let mut other = asleep(&s, &["put", &size_text]);
            let mut getter = asleep(&s, &["get"]);
            putter.kill();
            other.expect("put");
            // The tickets of the dead one were skipped, and numbers are tickets.
            getter.expect(&format!("{capacity} 1 {size} Some(9)"));
            check_queue(&q, size);
        }
    }
}

#[test]
fn getters_pass_over_the_cell_of_a_killed_putter() {
    let world = World::new("passed");
    for size in SIZES {
        let s = world.segment();
        let q = Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap();
        let mut putter = holding(&s, &["put", &size.to_string()]);
        q.put(b"second").unwrap();
        putter.kill();
        q.put(b"third").unwrap();
        assert_eq!(q.get_until(in_time()).unwrap(), b"second");
        assert_eq!(q.get_until(in_time()).unwrap(), b"third");
        check_queue(&q, size);
    }
}

#[test]
fn an_item_whose_holder_is_killed_is_delivered_again() {
    let world = World::new("item");
    for size in SIZES {
        for capacity in [1, 2, 3, 4, 64] {
            let s = world.segment();
            let q = Queue::create(&s, "queue", &QueueOptions::new(capacity)).unwrap();
            q.put(&item(size, 5)).unwrap();
            let mut first = spawn("hold", &[s.name(), "get"]);
            first.expect(&format!("0 1 {size} Some(5)"));
            first.expect("held");
            let mut second = asleep(&s, &["get"]);
            first.kill();
            second.expect(&format!("0 2 {size} Some(5)"));
            // Done with in good order, so it does not come a third time.
            second.finish();
            check_queue(&q, size);
        }
    }
}

#[test]
fn an_item_survives_any_number_of_holders_while_the_queue_goes_round() {
    let world = World::new("again");
    for size in SIZES {
        let s = world.segment();
        let q = Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap();
        q.put(&item(size, 5)).unwrap();
        for delivery in 1..=5 {
            let mut holder = spawn("hold", &[s.name(), "get"]);
            holder.expect(&format!("0 {delivery} {size} Some(5)"));
            holder.expect("held");
            for fill in 0..10 {
                q.put_until(&item(size, fill), in_time()).unwrap();
                assert_eq!(q.get_until(in_time()).unwrap(), item(size, fill));
            }
            holder.kill();
            // Whoever waits sweeps by itself; a try does not.
            s.recover();
        }
        assert_eq!(describe(&q.recv(in_time()).unwrap()), format!("0 6 {size} Some(5)"));
        check_queue(&q, size);
    }
}

#[test]
fn a_queue_ends_only_when_what_a_killed_getter_held_was_delivered() {
    let world = World::new("shutdown");
    let s = world.segment();
    let q = Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap();
    q.put(b"last").unwrap();
    let mut holder = spawn("hold", &[s.name(), "get"]);
    holder.line();
    holder.expect("held");
    q.shutdown();
    assert_eq!(kind(q.recv(for_a_while())), ErrorKind::TimedOut, "the holder may yet die");
    let mut getter = asleep(&s, &["get"]);
    holder.kill();
    getter.expect("0 2 4 None");
    getter.finish();
    assert_eq!(kind(q.recv(in_time())), ErrorKind::Closed);
}

// ---- pipes ---------------------------------------------------------------------------------------------

#[test]
fn a_killed_sender_leaves_no_half_message() {
    let world = World::new("sender");
    for size in SIZES {
        for capacity in [1, 2] {
            let s = world.segment();
            let (a, b) = Pipe::create(&s, "pipe", &PipeOptions::new().capacity(capacity)).unwrap();
            let mut sender = holding(&s, &["send", &size.to_string()]);
            sender.kill();
            b.send_until(&item(size, 1), in_time()).unwrap();
            assert_eq!(a.recv_until(in_time()).unwrap(), item(size, 1));
            assert_eq!(kind(a.try_recv()), ErrorKind::WouldBlock);
        }
    }
}

#[test]
fn a_message_whose_receiver_is_killed_goes_to_the_next() {
    let world = World::new("receiver");
    for size in SIZES {
        let s = world.segment();
        let (a, b) = Pipe::create(&s, "pipe", &PipeOptions::new()).unwrap();
        b.send(&item(size, 4)).unwrap();
        b.send(b"next").unwrap();
        let mut receiver = spawn("hold", &[s.name(), "recv"]);
        receiver.expect(&format!("{size} 4"));
        receiver.expect("held");
        receiver.kill();
        s.recover();
        assert_eq!(a.recv_until(in_time()).unwrap(), item(size, 4));
        assert_eq!(a.recv_until(in_time()).unwrap(), b"next");
    }
}

#[test]
fn a_receiver_gets_the_end_of_file_when_the_last_sender_is_killed() {
    let world = World::new("eof");
    for duplex in [true, false] {
        let s = world.segment();
        let (a, b) = Pipe::create(&s, "pipe", &PipeOptions::new().duplex(duplex)).unwrap();
        let mut senders = [0; 2].map(|_| holding(&s, &["end B"]));
        let [mut one, mut other] = [0; 2].map(|_| asleep(&s, &["recv"]));
        b.send(b"before").unwrap();
        drop(b);
        wait_until("one of them has the message", || one.said_something() || other.said_something());
        if other.said_something() {
            std::mem::swap(&mut one, &mut other);
        }
        one.expect(&format!("Ok({:?})", b"before"));
        senders[0].kill();
        assert_eq!(kind(a.recv_until(for_a_while())), ErrorKind::TimedOut, "there is another sender");
        senders[1].kill();
        other.expect("Err(Closed)");
        assert_eq!(kind(a.recv_until(in_time())), ErrorKind::Closed);
        assert!(a.poll(in_time()).unwrap());
        if duplex {
            assert_eq!(kind(a.send_until(b"x", in_time())), ErrorKind::Closed);
        }
    }
}

#[test]
fn a_blocked_sender_is_told_when_the_last_reader_is_killed() {
    let world = World::new("blocked");
    let s = world.segment();
    let (a, b) = Pipe::create(&s, "pipe", &PipeOptions::new().capacity(2)).unwrap();
    let mut reader = holding(&s, &["end A"]);
    drop(a);
    let mut sender = asleep(&s, &["send"]);
    assert_eq!(kind(b.send_until(b"m", for_a_while())), ErrorKind::TimedOut);
    reader.kill();
    sender.expect("Err(Closed)");
    assert_eq!(kind(b.try_send(b"m")), ErrorKind::Closed);
}

/// A message that goes in several parts through a segment of 4 MiB.
fn long(fill: u8) -> Vec<u8> {
    vec![fill; 1_250_000]
}

fn send_long_messages(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let b = Pipe::open(&s, "pipe", End::B).unwrap();
    say("waiting");
    for fill in [7, 8] {
        b.send_until(&long(fill), in_time()).unwrap();
    }
    say("sent");
    park();
}

fn receive_long_messages(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let a = Pipe::open(&s, "pipe", End::A).unwrap();
    say("waiting");
    for _ in 0..2 {
        let message = a.recv_until(in_time()).unwrap();
        assert!(message == long(message[0]));
        say(format!("{} {}", message[0], message.len()));
    }
    park();
}

/// A pipe in whose segment long messages go in parts.
fn narrow_pipe(world: &World) -> (Segment, Pipe, Pipe) {
    let s = world.segment_with(SegmentOptions::new().limit(4 << 20));
    let (a, b) = Pipe::create(&s, "pipe", &PipeOptions::new()).unwrap();
    (s, a, b)
}

/// A process in a role of a long message, that waits in the middle of it.
fn in_the_middle(s: &Segment, role: &str) -> Process {
    let mut process = spawn(role, &[s.name()]);
    process.expect("waiting");
    process.wait_asleep();
    process
}

#[test]
fn a_killed_sender_of_a_long_message_leaves_nothing_of_it() {
    let world = World::new("long-sender");
    let (s, a, b) = narrow_pipe(&world);
    in_the_middle(&s, "send long messages").kill();
    b.send(b"short").unwrap();
    assert_eq!(a.recv_until(in_time()).unwrap(), b"short");
    // Nor does who has received what there was of it keep others from receiving.
    let mut sender = in_the_middle(&s, "send long messages");
    let mut other = spawn("receive long messages", &[s.name()]);
    other.expect("waiting");
    other.expect("7 1250000");
    other.expect("8 1250000");
    sender.expect("sent");
    assert_eq!(kind(a.try_recv()), ErrorKind::WouldBlock);
}

#[test]
fn a_killed_receiver_of_a_long_message_takes_no_other_along() {
    let world = World::new("long-receiver");
    let (s, a, _b) = narrow_pipe(&world);
    let mut sender = in_the_middle(&s, "send long messages");
    sender.stop();
    in_the_middle(&s, "receive long messages").kill();
    sender.proceed();
    assert!(a.recv_until(in_time()).unwrap() == long(8));
    sender.expect("sent");
    assert_eq!(kind(a.try_recv()), ErrorKind::WouldBlock);
}

// ---- the living are not robbed -------------------------------------------------------------------------

#[test]
fn a_stopped_holder_of_a_lock_keeps_it() {
    let world = World::new("stopped-lock");
    let s = world.segment();
    for what in LOCKS {
        let locked = Locked::open(&s, what).unwrap();
        let mut holder = holding(&s, &[what]);
        let mut heir = asleep(&s, &[what]);
        holder.stop();
        assert_eq!(kind(locked.lock(for_a_while())), ErrorKind::TimedOut);
        assert_eq!(s.recover(), 0);
        holder.proceed();
        holder.tell("go on");
        holder.expect("done");
        heir.expect("owner died: false");
    }
}

#[test]
fn a_stopped_writer_keeps_its_cell_and_delays_nobody() {
    let world = World::new("stopped-writer");
    for size in SIZES {
        let s = world.segment();
        let q = Queue::create(&s, "queue", &QueueOptions::new(2)).unwrap();
        let mut writer = holding(&s, &["put", &size.to_string()]);
        writer.stop();
        q.put(b"other").unwrap();
        assert_eq!(q.get_until(in_time()).unwrap(), b"other");
        assert_eq!(kind(q.recv(for_a_while())), ErrorKind::TimedOut);
        assert_eq!(s.recover(), 0);
        writer.proceed();
        writer.tell("go on");
        writer.expect("done");
        assert_eq!(describe(&q.recv(in_time()).unwrap()), format!("0 1 {size} Some(7)"));
        check_queue(&q, size);
    }
}

#[test]
fn a_stopped_holder_keeps_its_item() {
    let world = World::new("stopped-holder");
    for size in SIZES {
        let s = world.segment();
        let q = Queue::create(&s, "queue", &QueueOptions::new(2)).unwrap();
        q.put(&item(size, 5)).unwrap();
        let mut holder = spawn("hold", &[s.name(), "get"]);
        holder.expect(&format!("0 1 {size} Some(5)"));
        holder.expect("held");
        holder.stop();
        assert_eq!(kind(q.recv(for_a_while())), ErrorKind::TimedOut);
        assert_eq!(s.recover(), 0);
        holder.proceed();
        holder.tell("go on");
        holder.expect("done");
        check_queue(&q, size);
    }
}

#[test]
fn a_stopped_writer_of_a_wide_value_is_waited_for() {
    let world = World::new("stopped-wide");
    let s = world.segment();
    let wide = Value::create(&s, "wide", Wide([1; 5])).unwrap();
    let mut writer = holding(&s, &["wide"]);
    let mut next = asleep(&s, &["wide"]);
    writer.stop();
    assert_eq!(s.recover(), 0);
    assert_eq!(wide.get().unwrap(), Wide([1; 5]));
    assert!(!next.said_something());
    writer.proceed();
    writer.tell("go on");
    writer.expect("done");
    next.expect("set");
    assert_eq!(wide.get().unwrap(), Wide([9; 5]));
}

// ---- segments ------------------------------------------------------------------------------------------

/// Creates or opens the segment with two seats, and stays.
fn attach(args: Args) {
    match SegmentOptions::new().participants(2).open_or_create(&args[0]) {
        Ok(s) => {
            Value::open_or_create(&s, "v", 8u8).unwrap();
            say("attached");
            park();
        }
        Err(e) => say(format!("{:?}", e.kind())),
    }
}

#[test]
fn all_seats_may_be_taken_by_the_dead() {
    let world = World::new("seats");
    let name = world.name();
    for _ in 0..3 {
        let mut two = [0; 2].map(|_| spawn("attach", &[&name]));
        for one in &mut two {
            one.expect("attached");
        }
        let mut third = spawn("attach", &[&name]);
        third.expect("TableFull");
        for one in &mut two {
            one.kill();
        }
        // Also the creator was killed; a persistent segment stays with all that is in it.
        let s = Segment::open(&name).unwrap();
        assert_eq!(Value::<u8>::open(&s, "v").unwrap().get().unwrap(), 8);
        assert_eq!(s.participants().iter().filter(|p| p.alive).count(), 1);
    }
    Segment::unlink(&name).unwrap();
}

/// In a /dev/shm of its own: the next creation, or `gc`, removes what nobody lives in and nobody wants.
fn leave_leftovers(_: Args) {
    in_private_shm(64 << 20, leave_and_look);
}

fn leave_and_look() {
    let ephemeral = || Segment::options().ephemeral(true);
    let leftover = |name: &'static str| {
        let pid = fork(|| {
            let s = ephemeral().create(name).unwrap();
            let q = Queue::create(&s, "queue", &QueueOptions::new(4)).unwrap();
            let _place = q.reserve(10_000, Deadline::Never).unwrap();
            // SAFETY: pause has no preconditions.
            while unsafe { libc::pause() } != 0 {}
            0
        });
        let is_full = |s| Queue::open(&s, "queue").map(|q| q.reserve(1, Deadline::Now).is_ok());
        wait_until("the child has reserved", || Segment::open(name).and_then(is_full).is_ok());
        // SAFETY: kill has no memory-safety preconditions.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        assert_eq!(reap(pid), -libc::SIGKILL);
    };
    leftover("first");
    assert_eq!(Segment::names().unwrap(), ["first"]);
    let other = ephemeral().create("other").unwrap();
    assert_eq!(Segment::names().unwrap(), ["other"]);
    leftover("second");
    assert_eq!(Segment::gc().unwrap(), ["second"]);
    drop(Segment::create("persistent").unwrap());
    assert_eq!(Segment::gc().unwrap(), [""; 0]);
    let mut names = Segment::names().unwrap();
    names.sort();
    assert_eq!(names, ["other", "persistent"]);
    drop(other);
    assert_eq!(Segment::names().unwrap(), ["persistent"]);
}

#[test]
fn what_the_killed_leave_behind_is_removed() {
    run("leave leftovers", &[]);
}

/// Who collects is stopped wherever it is while the only user of a segment leaves.
fn looked_at() {
    let collector = fork(|| {
        loop {
            Segment::gc().unwrap();
        }
    });
    let signal = |signal, state| {
        // SAFETY: kill has no memory-safety preconditions; the child was not reaped, so the id is its own.
        assert_eq!(unsafe { libc::kill(collector, signal) }, 0);
        wait_until("the collector has got the signal", || (process_state(collector) == 'T') == state);
    };
    let mut random = Random::new(3);
    for round in 0..500 {
        let s = Segment::options().ephemeral(true).limit(1 << 20).create("looked at").unwrap();
        std::thread::sleep(Duration::from_micros(random.below(1000)));
        signal(libc::SIGSTOP, true);
        drop(s);
        assert_eq!(Segment::names().unwrap(), [""; 0], "round {round}");
        signal(libc::SIGCONT, false);
    }
    // SAFETY: as above.
    unsafe { libc::kill(collector, libc::SIGKILL) };
    assert_eq!(reap(collector), -libc::SIGKILL);
}

#[test]
fn who_only_looks_keeps_no_segment() {
    run("looked at", &[]);
}

/// Attaches and detaches as it is told.
fn come_and_go(_: Args) {
    loop {
        let name = hear();
        let s = Segment::options().ephemeral(true).open_or_create(&name).unwrap();
        say("in");
        hear();
        drop(s);
        say("out");
    }
}

#[test]
fn who_leaves_last_takes_an_ephemeral_segment_along_also_if_two_leave_at_once() {
    let world = World::new("leave");
    let mut two = [0; 2].map(|_| spawn("come and go", &[]));
    for round in 0..400 {
        let name = world.name();
        for one in &mut two {
            one.tell(&name);
            one.expect("in");
        }
        for one in &mut two {
            one.tell("leave");
        }
        for one in &mut two {
            one.expect("out");
        }
        assert_eq!(world.leftovers(), [""; 0], "round {round}");
    }
}

// ---- the soak ------------------------------------------------------------------------------------------

/// How many items a producer numbers before it takes a new identity.
const RUN: u64 = 64;
/// How many identities there are.
const RUNS: u64 = 1 << 15;

/// What the soak's processes share.
struct Ledger {
    queue: Queue,
    /// The next identity of a producer.
    next: Value<u64>,
    /// By identity: how many of its puts have returned.
    sent: Array<u64>,
    /// By identity and item: whether it was processed.
    seen: Array<u8>,
    wide: Value<Wide>,
    lock: Lock,
    /// Two numbers that are equal whenever nobody holds the lock.
    pair: Array<u64>,
}

impl Ledger {
    fn open(s: &Segment, capacity: u64) -> Self {
        Self {
            queue: Queue::open_or_create(s, "queue", &QueueOptions::new(capacity)).unwrap(),
            next: Value::open_or_create(s, "next", 0).unwrap(),
            sent: Array::open_or_create(s, "sent", RUNS as usize).unwrap(),
            seen: Array::open_or_create(s, "seen", (RUNS * RUN) as usize).unwrap(),
            wide: Value::open_or_create(s, "wide", Wide([0; 5])).unwrap(),
            lock: Lock::open_or_create(s, "lock").unwrap(),
            pair: Array::open_or_create(s, "pair", 2).unwrap(),
        }
    }

    fn count_under_lock(&self) {
        let guard = self.lock.lock_until(in_time()).unwrap();
        let [first, second] = [self.pair.get(0).unwrap(), self.pair.get(1).unwrap()];
        assert!(first == second || guard.owner_died() && first == second + 1, "{first} {second}");
        self.pair.set(0, first + 1).unwrap();
        self.pair.set(1, first + 1).unwrap();
        guard.unlock().unwrap();
    }
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// An item: identity, number, filling of a length that often spills, checksum.
fn sealed(run: u64, n: u64) -> Vec<u8> {
    let filling = [8, 60, 200, 3000][(run + n) as usize % 4];
    let mut bytes = [run.to_ne_bytes(), n.to_ne_bytes()].concat();
    bytes.extend((0..filling).map(|i| (run ^ n ^ i) as u8));
    bytes.extend(checksum(&bytes).to_ne_bytes());
    bytes
}

fn unseal(bytes: &[u8]) -> (u64, u64) {
    let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    let end = bytes.len() - 8;
    assert_eq!(word(end), checksum(&bytes[..end]), "torn: {bytes:?}");
    (word(0), word(8))
}

fn produce(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let ledger = Ledger::open(&s, args[1].parse().unwrap());
    loop {
        let run = ledger.next.add(1).unwrap();
        if run >= RUNS {
            park();
        }
        ledger.wide.set(Wide([run; 5])).unwrap();
        ledger.count_under_lock();
        let mut n = 0;
        while n < RUN {
            n += put_some(&ledger.queue, run, n);
            ledger.sent.set(run as usize, n).unwrap();
        }
    }
}

/// Puts one or more items from `n` on, by one of the ways there are; how many.
fn put_some(q: &Queue, run: u64, n: u64) -> u64 {
    match n % 8 {
        0 => {
            let item = sealed(run, n);
            let mut place = q.reserve(item.len() + 10, in_time()).unwrap();
            place[..item.len()].copy_from_slice(&item);
            place.commit_len(item.len()).unwrap();
        }
        1 => {
            q.reserve(4000, in_time()).map(Reservation::abort).and_then(|()| q.put(&sealed(run, n))).unwrap()
        }
        2 => return q.put_many((n..n + 3).map(|n| sealed(run, n))).unwrap() as u64,
        _ => q.put_until(&sealed(run, n), in_time()).unwrap(),
    }
    1
}

fn consume(args: Args) {
    let s = Segment::open(&args[0]).unwrap();
    let ledger = Ledger::open(&s, args[1].parse().unwrap());
    loop {
        let item = match ledger.queue.recv(in_time()) {
            Ok(item) => item,
            Err(e) if e.kind() == ErrorKind::Closed => return,
            Err(e) => panic!("{e}"),
        };
        let (run, n) = unseal(&item);
        let place = (run * RUN + n) as usize;
        let seen = ledger.seen.get(place).unwrap();
        assert!(seen == 0 || item.deliveries() > 1, "{run}/{n} came twice");
        ledger.seen.set(place, 1).unwrap();
        let Wide(words) = ledger.wide.get().unwrap();
        assert!(words.iter().all(|word| *word == words[0]), "{words:?}");
        drop(item);
    }
}

/// All that a put has returned for was processed, and nothing that was never put.
fn settle(ledger: &Ledger) -> u64 {
    let runs = ledger.next.get().unwrap().min(RUNS);
    let seen = ledger.seen.to_vec().unwrap();
    let mut items = 0;
    for run in 0..runs {
        let sent = ledger.sent.get(run as usize).unwrap();
        let seen = &seen[(run * RUN) as usize..][..RUN as usize];
        let lost: Vec<_> = (0..sent).filter(|n| seen[*n as usize] == 0).collect();
        assert!(lost.is_empty(), "of {sent} items of {run} were lost: {lost:?}");
        // The producer may have been killed after a put and before it noted that; `put_many` puts 3.
        let unnoted = seen[sent as usize..].iter().filter(|seen| **seen != 0).count();
        assert!(unnoted <= 3, "{unnoted} items of {run} came from nowhere");
        items += sent + unnoted as u64;
    }
    items
}

fn soak(capacity: u64, time: Duration) {
    let world = World::new(&format!("soak{capacity}"));
    let s = world.segment_with(SegmentOptions::new().limit(256 << 20));
    let ledger = Ledger::open(&s, capacity);
    let capacity = capacity.to_string();
    let start = |role| spawn(role, &[s.name(), &capacity]);
    let roles = ["produce", "consume", "produce", "consume", "produce"];
    let mut crew = roles.map(start);
    let mut random = Random::new(u64::from(std::process::id()));
    let (begin, mut kills) = (Instant::now(), 0);
    let sent = || ledger.sent.to_vec().unwrap().iter().sum::<u64>();
    while begin.elapsed() < time || kills <= 10 || sent() <= 100 {
        std::thread::sleep(Duration::from_micros(random.below(6000)));
        let who = random.below(crew.len() as u64) as usize;
        crew[who].kill();
        kills += 1;
        crew[who] = start(roles[who]);
    }
    for (process, role) in crew.iter_mut().zip(roles) {
        if role == "produce" {
            process.kill();
        }
    }
    ledger.queue.shutdown();
    for (process, role) in crew.into_iter().zip(roles) {
        if role == "consume" {
            process.finish();
        }
    }
    assert_eq!(ledger.queue.qsize(), 0);
    ledger.count_under_lock();
    let items = settle(&ledger);
    assert!(kills > 10 && items > 100, "{kills} kills, {items} items: that is no soak");
    println!("capacity {capacity}: {items} items, {kills} kills");
}

#[test]
fn random_kills_lose_nothing_double_nothing_and_tear_nothing() {
    for capacity in [1, 2, 4, 64] {
        soak(capacity, Duration::from_millis(1200));
    }
}
