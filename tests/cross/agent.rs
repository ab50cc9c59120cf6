//! The agent in Rust; `main.rs` says what it understands.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::str::FromStr;

use bytemuck::{Pod, Zeroable};
use memmap2::MmapRaw;
use sharecell::*;

use crate::data::{decode, encode};
use crate::driver::{INHERITED, SOCKET};

/// Three numbers, as in `agent.c` and `agent.py`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Point {
    x: f64,
    y: i32,
    z: i32,
}

impl Element for Point {
    const NAME: &'static str = "Point";
}

/// Wider than any atomic, as in `agent.c` and `agent.py`.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Wide {
    words: [u64; 5],
}

impl Element for Wide {
    const NAME: &'static str = "Wide";
}

/// An object that guards are kept of; they have to go first.
struct Kept<T: 'static>(&'static T);

impl<T> Kept<T> {
    fn new(object: T) -> Self {
        Self(Box::leak(Box::new(object)))
    }
}

impl<T> Drop for Kept<T> {
    fn drop(&mut self) {
        // SAFETY: `new` made it a box, and all guards are in fields before this one.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(self.0).cast_mut()) });
    }
}

/// A value of whatever type.
trait AnyValue {
    fn get(&self) -> Result<Vec<u8>>;
    fn set(&self, data: &[u8]) -> Result<()>;
    fn add(&self, amount: &str) -> Result<Vec<u8>>;
    fn exchange(&self, data: &[u8]) -> Result<Vec<u8>>;
    fn compare_exchange(&self, expected: &[u8], new: &[u8]) -> Result<(bool, Vec<u8>)>;
    fn lock(&self, deadline: Deadline) -> Result<LockGuard<'static>>;
}

type Add<T> = fn(&Value<T>, &str) -> Result<T>;

struct TypedValue<T: Element> {
    object: Kept<Value<T>>,
    add: Option<Add<T>>,
}

fn element<T: Element>(data: &[u8]) -> T {
    bytemuck::checked::try_pod_read_unaligned(data).expect("the bytes of an element")
}

fn bytes<T: Element>(value: T) -> Vec<u8> {
    bytemuck::bytes_of(&value).to_vec()
}

fn add<T: Number + FromStr>(value: &Value<T>, amount: &str) -> Result<T> {
    value.add(amount.parse().unwrap_or_else(|_| panic!("{amount} is no amount")))
}

impl<T: Element> AnyValue for TypedValue<T> {
    fn get(&self) -> Result<Vec<u8>> {
        self.object.0.get().map(bytes)
    }
    fn set(&self, data: &[u8]) -> Result<()> {
        self.object.0.set(element(data))
    }
    fn add(&self, amount: &str) -> Result<Vec<u8>> {
        (self.add.expect("a number"))(self.object.0, amount).map(bytes)
    }
    fn exchange(&self, data: &[u8]) -> Result<Vec<u8>> {
        self.object.0.exchange(element(data)).map(bytes)
    }
    fn compare_exchange(&self, expected: &[u8], new: &[u8]) -> Result<(bool, Vec<u8>)> {
        let result = self.object.0.compare_exchange(element(expected), element(new))?;
        Ok((result.is_ok(), bytes(result.unwrap_or_else(|old| old))))
    }
    fn lock(&self, deadline: Deadline) -> Result<LockGuard<'static>> {
        self.object.0.lock_until(deadline)
    }
}

/// An array of whatever type.
trait AnyArray {
    fn len(&self) -> usize;
    fn get(&self, index: usize) -> Result<Vec<u8>>;
    fn set(&self, index: usize, data: &[u8]) -> Result<()>;
    fn read(&self, start: usize, count: usize) -> Result<Vec<u8>>;
    fn write(&self, start: usize, data: &[u8]) -> Result<()>;
    fn fill(&self, data: &[u8]) -> Result<()>;
    fn address(&self) -> (*mut u8, usize);
    fn lock(&self, deadline: Deadline) -> Result<LockGuard<'static>>;
}

impl<T: Element> AnyArray for Kept<Array<T>> {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn get(&self, index: usize) -> Result<Vec<u8>> {
        self.0.get(index).map(bytes)
    }
    fn set(&self, index: usize, data: &[u8]) -> Result<()> {
        self.0.set(index, element(data))
    }
    fn read(&self, start: usize, count: usize) -> Result<Vec<u8>> {
        Ok(bytemuck::cast_slice(&self.0.read(start, count)?).to_vec())
    }
    fn write(&self, start: usize, data: &[u8]) -> Result<()> {
        let values: Vec<T> = data.chunks(size_of::<T>()).map(element).collect();
        self.0.write(start, &values)
    }
    fn fill(&self, data: &[u8]) -> Result<()> {
        self.0.fill(element(data))
    }
    fn address(&self) -> (*mut u8, usize) {
        (self.0.as_ptr().cast(), size_of::<T>())
    }
    fn lock(&self, deadline: Deadline) -> Result<LockGuard<'static>> {
        self.0.lock_until(deadline)
    }
}

/// Calls a function for the type that a word names: `number` for those that can be added to, else `other`.
macro_rules! of_type {
    ($ty:expr, $number:ident, $other:ident, $($arg:expr),*) => {
        match $ty {
            "b" => $number::<i8>($($arg),*),
            "B" => $number::<u8>($($arg),*),
            "h" => $number::<i16>($($arg),*),
            "H" => $number::<u16>($($arg),*),
            "i" => $number::<i32>($($arg),*),
            "I" => $number::<u32>($($arg),*),
            "l" | "q" => $number::<i64>($($arg),*),
            "L" | "Q" => $number::<u64>($($arg),*),
            "f" => $number::<f32>($($arg),*),
            "d" => $number::<f64>($($arg),*),
            "c" => $other::<Char>($($arg),*),
            "?" => $other::<bool>($($arg),*),
            "Point" => $other::<Point>($($arg),*),
            "Wide" => $other::<Wide>($($arg),*),
            other => panic!("unknown type {other}"),
        }
    };
}

fn get_value<T: Element>(segment: &Segment, name: &str, initial: Option<&[u8]>) -> Result<Value<T>> {
    match initial {
        Some(data) => Value::create(segment, name, element(data)),
        None => Value::open(segment, name),
    }
}

fn number<T: Number + FromStr>(s: &Segment, name: &str, initial: Option<&[u8]>) -> Result<Box<dyn AnyValue>> {
    let object = Kept::new(get_value::<T>(s, name, initial)?);
    Ok(Box::new(TypedValue { object, add: Some(add::<T>) }))
}

fn plain<T: Element>(s: &Segment, name: &str, initial: Option<&[u8]>) -> Result<Box<dyn AnyValue>> {
    Ok(Box::new(TypedValue { object: Kept::new(get_value::<T>(s, name, initial)?), add: None }))
}

fn array<T: Element>(segment: &Segment, name: &str, len: Option<usize>) -> Result<Box<dyn AnyArray>> {
    let array = match len {
        Some(len) => Array::<T>::create(segment, name, len)?,
        None => Array::<T>::open(segment, name)?,
    };
    Ok(Box::new(Kept::new(array)))
}

/// An object that is open, with what is held of it.
enum Object {
    Value(Option<LockGuard<'static>>, Box<dyn AnyValue>),
    Array(Option<LockGuard<'static>>, Box<dyn AnyArray>, Option<Array<Char>>),
    Lock(Lock),
    Semaphore(Semaphore),
    Queue(Option<Item<'static>>, Option<Reservation<'static>>, Kept<Queue>),
    Pipe(Option<Message<'static>>, Option<Reservation<'static>>, Kept<Pipe>),
    RLock(RLock),
    Condition(Condition),
    Event(Event),
    Barrier(Barrier),
    RwLock(RwLock),
}

#[derive(Default)]
struct Agent {
    bell: Option<Bell>,
    objects: BTreeMap<String, Object>,
    segment: Option<Segment>,
}

/// The words of a command, one after the other.
struct Words<'a>(std::str::Split<'a, char>);

impl<'a> Words<'a> {
    fn word(&mut self) -> &'a str {
        self.0.next().expect("another word")
    }
    /// The last word, if there is one.
    fn option(&mut self) -> Option<&'a str> {
        self.0.next()
    }
    fn number<T: FromStr>(&mut self) -> T {
        let word = self.word();
        word.parse().unwrap_or_else(|_| panic!("{word} is no number"))
    }
    fn data(&mut self) -> Vec<u8> {
        decode(self.word())
    }
    fn deadline(&mut self) -> Deadline {
        Deadline::from_ns(match self.number::<i64>() {
            -1 => -1,
            ms => ms * 1_000_000,
        })
    }
}

/// A descriptor that this process was started with.
fn descriptor(number: i32) -> BorrowedFd<'static> {
    // SAFETY: nobody closes it.
    unsafe { BorrowedFd::borrow_raw(number) }
}

fn pidfd(pid: &str) -> OwnedFd {
    let pid: libc::pid_t = pid.parse().expect("a process id");
    // SAFETY: the call takes numbers alone.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    assert!(fd >= 0, "pidfd_open");
    // SAFETY: the descriptor is new.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

/// Whether a descriptor can be read from within some milliseconds.
fn readable(fd: BorrowedFd<'_>, ms: i32) -> bool {
    let mut poll = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: there is one entry.
    unsafe { libc::poll(&mut poll, 1, ms) == 1 }
}

fn nothing(result: Result<()>) -> Result<String> {
    result.map(|()| String::new())
}

fn data(result: Result<Vec<u8>>) -> Result<String> {
    result.map(|data| encode(&data))
}

fn flag(yes: bool) -> Result<String> {
    Ok(u8::from(yes).to_string())
}

fn died(yes: bool) -> Result<String> {
    Ok(if yes { "died" } else { "clean" }.to_owned())
}

fn acquired(result: Result<Acquired>) -> Result<String> {
    died(result? == Acquired::OwnerDied)
}

fn lock(guard: &mut Option<LockGuard<'static>>, result: Result<LockGuard<'static>>) -> Result<String> {
    let new = result?;
    let answer = died(new.owner_died());
    *guard = Some(new);
    answer
}

/// Without a guard there is nothing to release, and no function to do it with: what C and Python are told.
fn unlock(guard: &mut Option<LockGuard<'static>>) -> Result<String> {
    nothing(guard.take().map_or_else(|| Err(not_held()), LockGuard::unlock))
}

fn not_held() -> Error {
    ErrorKind::NotHeld.into()
}

/// Reads elements where they lie.
fn peek((base, size): (*mut u8, usize), start: usize, count: usize) -> Vec<u8> {
    // SAFETY: the driver asks for elements that exist, and nobody writes to them meanwhile.
    (0..count * size).map(|i| unsafe { base.add(start * size + i).read_volatile() }).collect()
}

/// Writes elements where they lie.
fn poke((base, size): (*mut u8, usize), start: usize, data: &[u8]) {
    for (i, byte) in data.iter().enumerate() {
        // SAFETY: as in `peek`.
        unsafe { base.add(start * size + i).write_volatile(*byte) };
    }
}

impl Agent {
    fn segment(&self) -> &Segment {
        self.segment.as_ref().expect("a segment that is open")
    }

    fn object(&mut self, key: &str) -> &mut Object {
        self.objects.get_mut(key).unwrap_or_else(|| panic!("{key} is not open"))
    }

    fn run(&mut self, line: &str) -> Result<String> {
        let mut words = Words(line.split(' '));
        match words.word() {
            "reset" => {
                self.bell = None;
                self.objects.clear();
                let segment = self.segment.take();
                nothing(segment.map_or(Ok(()), |segment| segment.close().map_err(|(_, e)| e)))
            }
            "segment" => self.segment_command(&mut words),
            "hammer" => self.hammer(&mut words),
            "wait_any" => self.wait_any(&mut words),
            "bell" => self.bell_command(&mut words),
            kind => {
                let (verb, name) = (words.word(), words.word());
                if kind == "pipe" {
                    return self.pipe_command(verb, name, &mut words);
                }
                if matches!(verb, "create" | "open") {
                    return self.get(kind, verb == "create", name, &mut words);
                }
                if verb == "close" {
                    return self.close(name);
                }
                match kind {
                    "value" => self.value_command(verb, name, &mut words),
                    "array" => self.array_command(verb, name, &mut words),
                    "lock" => self.lock_command(verb, name, &mut words),
                    "semaphore" => self.semaphore_command(verb, name, &mut words),
                    "queue" => self.queue_command(verb, name, &mut words),
                    "rlock" => self.rlock_command(verb, name, &mut words),
                    "rwlock" => self.rwlock_command(verb, name, &mut words),
                    "condition" => self.condition_command(verb, name, &mut words),
                    "event" => self.event_command(verb, name, &mut words),
                    "barrier" => self.barrier_command(verb, name, &mut words),
                    other => panic!("unknown kind {other}"),
                }
            }
        }
    }

    fn close(&mut self, key: &str) -> Result<String> {
        self.objects.remove(key).unwrap_or_else(|| panic!("{key} is not open"));
        Ok(String::new())
    }

    fn segment_command(&mut self, words: &mut Words<'_>) -> Result<String> {
        match words.word() {
            "create" => {
                let (name, limit) = (words.word(), words.number());
                self.segment = Some(Segment::options().limit(limit).ephemeral(true).create(name)?);
                Ok(String::new())
            }
            "open" => {
                self.segment = Some(Segment::open(words.word())?);
                Ok(String::new())
            }
            "anonymous" => {
                self.segment = Some(Segment::options().limit(words.number()).create_anonymous()?);
                Ok(String::new())
            }
            "over" => {
                let (name, path) = (words.word(), words.word());
                let file = File::options().read(true).write(true).open(path).expect("the memory's file");
                let memory = MmapRaw::map_raw(&file).expect("mmap");
                // SAFETY: the mapping is shared, is never unmapped, and only segments lie in the file.
                let made = unsafe {
                    Segment::options().open_or_create_over(name, memory.as_mut_ptr(), memory.len())
                };
                std::mem::forget(memory);
                self.segment = Some(made?);
                Ok(String::new())
            }
            "is_anonymous" => flag(self.segment().is_anonymous()),
            "send" => nothing(self.segment().send_over(descriptor(SOCKET))),
            "receive" => {
                self.segment = Some(Segment::receive_over(descriptor(SOCKET))?);
                Ok(String::new())
            }
            "exec" => self.exec(words),
            "inherited" => {
                self.segment = Some(Segment::from_fd(descriptor(INHERITED))?);
                Ok(String::new())
            }
            "unlink" => nothing(Segment::unlink(words.word())),
            "is_unlinked" => flag(self.segment().is_unlinked()),
            "limit" => Ok(self.segment().limit().to_string()),
            "size" => Ok(self.segment().size()?.to_string()),
            "remove" => nothing(self.segment().remove(words.word())),
            "recover" => {
                self.segment().recover();
                Ok(String::new())
            }
            "participants" => {
                let living = self.segment().participants().into_iter().filter(|one| one.alive);
                let mut pids: Vec<u32> = living.map(|one| one.pid).collect();
                pids.sort_unstable();
                Ok(pids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
            }
            "objects" => {
                let line = |o: ObjectInfo| {
                    let typecode = o.typecode.map_or("-".into(), String::from);
                    format!("{}:{}:{typecode}:{}", o.name, o.kind as u32, o.count)
                };
                let mut all: Vec<String> = self.segment().objects()?.into_iter().map(line).collect();
                all.sort();
                Ok(all.join(" "))
            }
            other => panic!("unknown verb {other}"),
        }
    }

    /// Becomes another program, which inherits a descriptor of the segment.
    fn exec(&self, words: &mut Words<'_>) -> Result<String> {
        let fd = self.segment().to_fd()?;
        // SAFETY: dup2 takes any number; it clears close-on-exec.
        assert_eq!(unsafe { libc::dup2(fd.as_raw_fd(), INHERITED) }, INHERITED);
        let error = Command::new(words.word()).args(words.0.by_ref()).exec();
        panic!("exec: {error}")
    }

    /// What a word like `readable:q` means. `pidfds` keeps what had to be opened for it.
    fn interest<'a>(&'a self, word: &str, pidfds: &'a [(&str, OwnedFd)]) -> Result<Interest<'a>> {
        let (what, name) = word.split_once(':').expect("what is waited for");
        if what == "exited" {
            let found = pidfds.iter().find(|(pid, _)| *pid == name).expect("a pidfd");
            return Ok(Interest::exited(found.1.as_fd()));
        }
        Ok(match (what, &self.objects[&name.replace('/', " ")]) {
            ("readable", Object::Queue(_, _, queue)) => queue.0.readable(),
            ("writable", Object::Queue(_, _, queue)) => queue.0.writable(),
            ("readable", Object::Pipe(_, _, pipe)) => pipe.0.readable()?,
            ("writable", Object::Pipe(_, _, pipe)) => pipe.0.writable()?,
            ("set", Object::Event(event)) => event.when_set(),
            ("free", Object::Semaphore(semaphore)) => semaphore.when_free(),
            ("free", Object::Lock(lock)) => lock.when_free(),
            _ => panic!("nothing to wait for: {word}"),
        })
    }

    fn wait_any(&self, words: &mut Words<'_>) -> Result<String> {
        let deadline = words.deadline();
        let things: Vec<&str> = words.0.by_ref().collect();
        let pids = things.iter().filter_map(|thing| thing.strip_prefix("exited:"));
        let pidfds: Vec<(&str, OwnedFd)> = pids.map(|pid| (pid, pidfd(pid))).collect();
        let interests =
            things.iter().map(|thing| self.interest(thing, &pidfds)).collect::<Result<Vec<_>>>()?;
        let ready = wait_any(&interests, deadline)?;
        Ok(ready.iter().map(|i| things[*i]).collect::<Vec<_>>().join(" "))
    }

    fn bell_command(&mut self, words: &mut Words<'_>) -> Result<String> {
        let bell = match self.bell.take() {
            Some(bell) => bell,
            None => Bell::new()?,
        };
        let answer = match words.word() {
            "arm" => {
                let interests =
                    words.0.by_ref().map(|thing| self.interest(thing, &[])).collect::<Result<Vec<_>>>();
                nothing(interests.and_then(|interests| bell.arm(&interests)))
            }
            "poll" => flag(readable(bell.as_fd(), words.number())),
            "clear" => {
                bell.clear();
                Ok(String::new())
            }
            other => panic!("unknown verb {other}"),
        };
        self.bell = Some(bell);
        answer
    }

    /// What is called back: it adds 1 to a value, and then has done well, or has not, or never returns.
    fn callback(&self, words: &mut Words<'_>) -> impl FnOnce() -> bool {
        let (how, name) = (words.word().to_owned(), words.word());
        let Some(Object::Value(_, value)) = self.objects.get(name) else { panic!("{name} is no value") };
        move || {
            value.add("1").expect("a number");
            if how == "stays" {
                loop {
                    std::thread::park();
                }
            }
            how == "works"
        }
    }

    fn get(&mut self, kind: &str, create: bool, name: &str, words: &mut Words<'_>) -> Result<String> {
        let segment = self.segment();
        let mut answer = String::new();
        let object = match (kind, create) {
            ("value", _) => {
                let ty = words.word();
                let initial = create.then(|| words.data());
                Object::Value(None, of_type!(ty, number, plain, segment, name, initial.as_deref())?)
            }
            ("array", _) => {
                let ty = words.word();
                let len = create.then(|| words.number());
                let array = of_type!(ty, array, array, segment, name, len)?;
                answer = array.len().to_string();
                let text = (ty == "c").then(|| Array::open(segment, name)).transpose()?;
                Object::Array(None, array, text)
            }
            ("lock", true) => Object::Lock(Lock::create(segment, name)?),
            ("lock", false) => Object::Lock(Lock::open(segment, name)?),
            ("semaphore", true) => {
                let options = SemaphoreOptions::new(words.number());
                let options = match words.option() {
                    Some("bounded") => options.bounded(),
                    Some("undo") => options.undo(),
                    _ => options,
                };
                Object::Semaphore(Semaphore::create_with(segment, name, &options)?)
            }
            ("semaphore", false) => Object::Semaphore(Semaphore::open(segment, name)?),
            ("queue", true) => {
                let mut options = QueueOptions::new(words.number());
                let max_item = words.number();
                if max_item > 0 {
                    options = options.max_item(max_item);
                }
                options = options.joinable(words.option() == Some("joinable"));
                Object::Queue(None, None, Kept::new(Queue::create(segment, name, &options)?))
            }
            ("queue", false) => Object::Queue(None, None, Kept::new(Queue::open(segment, name)?)),
            ("rlock", true) => Object::RLock(RLock::create(segment, name)?),
            ("rlock", false) => Object::RLock(RLock::open(segment, name)?),
            ("rwlock", true) => Object::RwLock(RwLock::create(segment, name)?),
            ("rwlock", false) => Object::RwLock(RwLock::open(segment, name)?),
            ("condition", true) => Object::Condition(Condition::create(segment, name)?),
            ("condition", false) => Object::Condition(Condition::open(segment, name)?),
            ("event", true) => Object::Event(Event::create(segment, name)?),
            ("event", false) => Object::Event(Event::open(segment, name)?),
            ("barrier", true) => Object::Barrier(Barrier::create(segment, name, words.number())?),
            ("barrier", false) => Object::Barrier(Barrier::open(segment, name)?),
            other => panic!("unknown kind {other:?}"),
        };
        self.objects.insert(name.to_owned(), object);
        Ok(answer)
    }

    fn value_command(&mut self, verb: &str, name: &str, words: &mut Words<'_>) -> Result<String> {
        let Object::Value(guard, value) = self.object(name) else { panic!("{name} is no value") };
        match verb {
            "get" => data(value.get()),
            "set" => nothing(value.set(&words.data())),
            "add" => data(value.add(words.word())),
            "exchange" => data(value.exchange(&words.data())),
            "compare_exchange" => {
                let (changed, old) = value.compare_exchange(&words.data(), &words.data())?;
                Ok(format!("{} {}", u8::from(changed), encode(&old)))
            }
            "lock" => lock(guard, value.lock(words.deadline())),
            "unlock" => unlock(guard),
            other => panic!("unknown verb {other}"),
        }
    }

    fn array_command(&mut self, verb: &str, name: &str, words: &mut Words<'_>) -> Result<String> {
        let Object::Array(guard, array, text) = self.object(name) else { panic!("{name} is no array") };
        let text = || text.as_ref().expect("an array of typecode c");
        match verb {
            "get" => data(array.get(words.number())),
            "set" => nothing(array.set(words.number(), &words.data())),
            "read" => data(array.read(words.number(), words.number())),
            "write" => nothing(array.write(words.number(), &words.data())),
            "fill" => nothing(array.fill(&words.data())),
            "peek" => Ok(encode(&peek(array.address(), words.number(), words.number()))),
            "poke" => {
                poke(array.address(), words.number(), &words.data());
                Ok(String::new())
            }
            "text" => Ok(encode(&text().value())),
            "set_text" => nothing(text().set_value(&words.data())),
            "raw" => Ok(encode(&text().raw())),
            "lock" => lock(guard, array.lock(words.deadline())),
            "unlock" => unlock(guard),
            other => panic!("unknown verb {other}"),
        }
    }

    fn lock_command(&mut self, verb: &str, name: &str, words: &mut Words<'_>) -> Result<String> {
        let Object::Lock(lock) = &self.objects[name] else { panic!("{name} is no lock") };
        match verb {
            "repair" => {
                let deadline = words.deadline();
                let guard = lock.lock_or_repair(deadline, self.callback(words))?;
                std::mem::forget(guard); // until `release`
                Ok(String::new())
            }
            "is_poisoned" => flag(lock.is_poisoned()),
            "acquire" => acquired(lock.acquire(words.deadline())),
            "release" => nothing(lock.release()),
            "is_held" => flag(lock.holder() != 0),
            "poison" => nothing(lock.release_poisoned()),
            "clear_poison" => flag(lock.clear_poison()),
            other => panic!("unknown verb {other}"),
        }
    }

    fn rlock_command(&mut self, verb: &str, name: &str, words: &mut Words<'_>) -> Result<String> {
        let Object::RLock(lock) = self.object(name) else { panic!("{name} is no reentrant lock") };
        match verb {
            "acquire" => acquired(lock.acquire(words.deadline())),
            "release" => nothing(lock.release()),
            "is_held" => flag(lock.holder() != 0),
            other => panic!("unknown verb {other}"),
        }
    }

    fn rwlock_command(&mut self, verb: &str, name: &str, words: &mut Words<'_>) -> Result<String> {
        let Object::RwLock(lock) = self.object(name) else { panic!("{name} is no reader-writer lock") };
        match verb {
            "read" => acquired(lock.acquire_read(words.deadline())),
            "write" => acquired(lock.acquire_write(words.deadline())),
            "release_read" => nothing(lock.release_read()),
            "release_write" => nothing(lock.release_write()),
            other => panic!("unknown verb {other}"),
        }
    }

    fn condition_command(&mut self, verb: &str, name: &str, words: &mut Words<'_>) -> Result<String> {
        let Object::Condition(condition) = &self.objects[name] else { panic!("{name} is no condition") };
        match verb {
            "wait_for" => {
                let (deadline, value, wanted) = (words.deadline(), words.word(), words.data());
                let Object::Value(_, value) = &self.objects[value] else { panic!("{value} is no value") };
                let ready = || value.get().is_ok_and(|value| value == wanted);
                match condition.wait_for(deadline, ready) {
                    Err(e) if e.kind() == ErrorKind::OwnerDied => died(true),
                    result => flag(result?),
                }
            }
            "acquire" => acquired(condition.acquire(words.deadline())),
            "release" => nothing(condition.release()),
            "wait" => acquired(condition.wait_until(words.deadline())),
            "notify" => nothing(condition.notify(words.number())),
            "notify_all" => nothing(condition.notify_all()),
            "waiters" => Ok(condition.waiters().to_string()),
            other => panic!("unknown verb {other}"),
        }
    }

    fn event_command(&mut self, verb: &str, name: &str, words: &mut Words<'_>) -> Result<String> {
        let Object::Event(event) = self.object(name) else { panic!("{name} is no event") };
        match verb {
            "set" => event.set(),
            "clear" => event.clear(),
            "is_set" => return flag(event.is_set()),
            "wait" => event.wait_until(words.deadline())?,
            other => panic!("unknown verb {other}"),
        }
        Ok(String::new())
    }

    fn barrier_command(&mut self, verb: &str, name: &str, words: &mut Words<'_>) -> Result<String> {
        let Object::Barrier(barrier) = &self.objects[name] else { panic!("{name} is no barrier") };
        match verb {
            "wait_with" => {
                let deadline = words.deadline();
                Ok(barrier.wait_with(deadline, self.callback(words))?.to_string())
            }
            "wait" => Ok(barrier.wait_with(words.deadline(), || true)?.to_string()),
            "abort" => nothing(barrier.abort()),
            "reset" => nothing(barrier.reset()),
            "parties" => Ok(barrier.parties().to_string()),
            "n_waiting" => Ok(barrier.n_waiting().to_string()),
            "is_broken" => flag(barrier.is_broken()),
            other => panic!("unknown verb {other}"),
        }
    }

    fn semaphore_command(&mut self, verb: &str, name: &str, words: &mut Words<'_>) -> Result<String> {
        let Object::Semaphore(semaphore) = self.object(name) else { panic!("{name} is no semaphore") };
        match verb {
            "acquire" => nothing(semaphore.acquire_until(words.deadline())),
            "release" => nothing(semaphore.release(words.number())),
            "value" => Ok(semaphore.value().to_string()),
            other => panic!("unknown verb {other}"),
        }
    }

    fn queue_command(&mut self, verb: &str, name: &str, words: &mut Words<'_>) -> Result<String> {
        let Object::Queue(item, place, queue) = self.object(name) else { panic!("{name} is no queue") };
        let queue = queue.0;
        match verb {
            "put" => {
                let deadline = words.deadline();
                nothing(queue.put_until(&words.data(), deadline))
            }
            "get" => data(queue.get_until(words.deadline())),
            "put_many" => {
                let deadline = words.deadline();
                let items: Vec<Vec<u8>> = words.0.by_ref().map(decode).collect();
                Ok(queue.put_many_until(items, deadline)?.to_string())
            }
            "get_many" => {
                let (deadline, max) = (words.deadline(), words.number());
                let items = queue.get_many_until(max, deadline)?;
                Ok(items.iter().map(|item| encode(item)).collect::<Vec<_>>().join(" "))
            }
            "recv" => {
                let taken = item.insert(queue.recv(words.deadline())?);
                Ok(format!("{} {} {}", taken.number(), taken.deliveries(), encode(taken)))
            }
            "put_back" => {
                item.take().expect("an item").put_back();
                Ok(String::new())
            }
            "reserve" => {
                let (deadline, len) = (words.deadline(), words.number());
                *place = Some(queue.reserve(len, deadline)?);
                Ok(String::new())
            }
            "release" | "write" | "commit" | "abort" => in_place(verb, item, place, words),
            "qsize" => Ok(queue.qsize().to_string()),
            "empty" => flag(queue.is_empty()),
            "full" => flag(queue.is_full()),
            "capacity" => Ok(queue.capacity().to_string()),
            "task_done" => nothing(queue.task_done()),
            "join" => nothing(queue.join(words.deadline())),
            "shutdown" => {
                queue.shutdown();
                Ok(String::new())
            }
            "is_shutdown" => flag(queue.is_shutdown()),
            other => panic!("unknown verb {other}"),
        }
    }

    fn pipe_command(&mut self, verb: &str, name: &str, words: &mut Words<'_>) -> Result<String> {
        if verb == "create" {
            let (duplex, capacity) = (words.word() == "duplex", words.number());
            let options = PipeOptions::new().duplex(duplex).capacity(capacity);
            let (a, b) = Pipe::create(self.segment(), name, &options)?;
            for (end, pipe) in [("A", a), ("B", b)] {
                self.objects.insert(format!("{name} {end}"), Object::Pipe(None, None, Kept::new(pipe)));
            }
            return Ok(String::new());
        }
        let end = words.word();
        let key = format!("{name} {end}");
        let which = if end == "A" { End::A } else { End::B };
        match verb {
            "open" | "open_or_create" => {
                let pipe = if verb == "open" {
                    Pipe::open(self.segment(), name, which)?
                } else {
                    let options = PipeOptions::new().duplex(words.word() == "duplex");
                    Pipe::open_or_create(self.segment(), name, which, &options)?
                };
                self.objects.insert(key, Object::Pipe(None, None, Kept::new(pipe)));
                return Ok(String::new());
            }
            "close" => return self.close(&key),
            _ => {}
        }
        let Object::Pipe(item, place, pipe) = self.object(&key) else { panic!("{key} is no pipe") };
        let pipe = pipe.0;
        match verb {
            "send" => {
                let deadline = words.deadline();
                nothing(pipe.send_until(&words.data(), deadline))
            }
            "recv" => data(pipe.recv_until(words.deadline())),
            "recv_into" => {
                let mut buffer = vec![0; words.number()];
                let len = pipe.recv_into(&mut buffer, Deadline::Never)?;
                Ok(encode(&buffer[..len]))
            }
            "recv_in_place" => {
                let taken = item.insert(pipe.recv_in_place(words.deadline())?);
                Ok(encode(taken))
            }
            "reserve" => {
                *place = Some(pipe.reserve(words.number(), Deadline::Never)?);
                Ok(String::new())
            }
            "release" | "write" | "commit" | "abort" => in_place(verb, item, place, words),
            "poll" => flag(pipe.poll(words.deadline())?),
            "can" => Ok(format!("{} {}", u8::from(pipe.can_recv()), u8::from(pipe.can_send()))),
            other => panic!("unknown verb {other}"),
        }
    }

    /// Does something over and over, until the process is killed.
    fn hammer(&mut self, words: &mut Words<'_>) -> Result<String> {
        let (key, both) = (words.word().replace('/', " "), [words.data(), words.data()]);
        let object = self.object(&key);
        reply("ok");
        for data in both.iter().cycle() {
            match object {
                Object::Value(_, value) => value.set(data)?,
                Object::Array(_, array, _) => {
                    let _guard = array.lock(Deadline::Never)?;
                    array.write(0, data)?;
                }
                Object::Lock(lock) => {
                    let _ = lock.acquire(Deadline::Never)?;
                    lock.release()?;
                }
                Object::Semaphore(semaphore) => {
                    semaphore.acquire()?;
                    semaphore.release(1)?;
                }
                Object::Queue(_, _, queue) => {
                    queue.0.put(data)?;
                    queue.0.get()?;
                }
                Object::Pipe(_, _, pipe) => pipe.0.send(data)?,
                Object::RLock(lock) => drop(lock.lock()?),
                Object::RwLock(lock) => {
                    drop(lock.read()?);
                    drop(lock.write()?);
                }
                Object::Condition(condition) => {
                    let _guard = condition.lock()?;
                    condition.notify(1)?;
                }
                Object::Event(event) => {
                    event.set();
                    event.clear();
                }
                Object::Barrier(barrier) => drop(barrier.wait()?),
            }
        }
        unreachable!("it has to be killed")
    }
}

/// What is done with an item that was taken, or a place that was reserved.
fn in_place<T>(
    verb: &str,
    item: &mut Option<T>,
    place: &mut Option<Reservation<'static>>,
    words: &mut Words<'_>,
) -> Result<String> {
    match verb {
        "release" => drop(item.take().ok_or_else(not_held)?),
        "abort" => place.take().ok_or_else(not_held)?.abort(),
        "write" => {
            let data = words.data();
            place.as_mut().expect("a place")[..data.len()].copy_from_slice(&data);
        }
        _ => {
            let data = words.data();
            let mut place = place.take().ok_or_else(not_held)?;
            place[..data.len()].copy_from_slice(&data);
            place.commit_len(data.len())?;
        }
    }
    Ok(String::new())
}

fn reply(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", line.trim_end()).and_then(|()| out.flush()).expect("somebody who listens");
}

/// Does what standard input says, until it ends.
pub fn main() -> ! {
    let mut agent = Agent::default();
    reply("\nready");
    for line in std::io::stdin().lines() {
        match agent.run(&line.expect("a line")) {
            Ok(answer) => reply(&format!("ok {answer}")),
            Err(e) => reply(&format!("error {} {e}", e.code())),
        }
    }
    std::process::exit(0)
}
