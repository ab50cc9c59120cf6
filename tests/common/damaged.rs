//! A golden segment, damaged as some bytes say, and used: what the fuzzer runs, and the test that replays what it found.
//!
//! The segment lies over memory of our own between pages that nobody can touch, so that what is read or written outside
//! of it is a fault. The bytes: one of flags, then records of 12: which word (3, little-endian), how it changes (1), and
//! by what (8).

use std::sync::atomic::Ordering::Relaxed;

use sharecell::*;

use super::everything::{PATIENCE, use_everything};

/// As long as the golden segment may become.
const LEN: usize = 1 << 20;
const PAGE: usize = 4096;
const RECORD: usize = 12;
/// Bit of the flags: the damage is done while objects are open.
const WHILE_OPEN: u8 = 1;
/// Bit of the flags: waits last for a moment.
const WITH_WAITS: u8 = 2;

/// The memory, and what it holds before it is damaged.
pub struct Scene {
    name: String,
    memory: *mut u8,
    golden: Vec<u8>,
    /// Where words are that are not all 0, or near one.
    vital: Vec<usize>,
}

impl Scene {
    /// `golden` is a segment of this layout version; its boot id does not matter.
    pub fn new(name: &str, mut golden: Vec<u8>) -> Self {
        let memory = guarded_memory();
        create(name, memory);
        golden.resize(LEN, 0);
        let row = layout_table().into_iter().find(|row| (row.0, row.1) == ("Header", "boot_id")).unwrap();
        let boot_id = row.2..row.2 + row.3;
        // SAFETY: the memory is LEN bytes long, and nobody else writes to it now.
        let head = unsafe { std::slice::from_raw_parts(memory, LEN) };
        golden[boot_id.clone()].copy_from_slice(&head[boot_id]);
        let vital = vital(&golden);
        Self { name: name.to_owned(), memory, golden, vital }
    }

    /// Damages the segment as `input` says, and uses all of it.
    pub fn run(&self, input: &[u8]) {
        let Some((flags, records)) = input.split_first() else { return };
        if !std::fs::exists(format!("/dev/shm/sharecell.{}", self.name)).unwrap() {
            create(&self.name, self.memory); // it was ephemeral, as somebody had damaged it
        }
        // SAFETY: nobody is attached, so nobody else uses the memory; both are LEN bytes long.
        unsafe { std::ptr::copy_nonoverlapping(self.golden.as_ptr(), self.memory, LEN) };
        PATIENCE.store(if flags & WITH_WAITS == 0 { 0 } else { 100_000 }, Relaxed);
        let first = (flags & WHILE_OPEN != 0).then(|| self.open().expect("it is not damaged yet"));
        let open = first
            .as_ref()
            .map(|s| (Queue::open(s, "queue"), Pipe::open(s, "pipe", End::A), Lock::open(s, "free lock")));
        records.chunks_exact(RECORD).for_each(|record| self.change(record));
        if let Ok(s) = self.open() {
            use_everything(&s, &["queue", "pipe"]);
        }
        drop((open, first));
    }

    fn open(&self) -> Result<Segment> {
        // SAFETY: as in `new`.
        unsafe { Segment::options().open_over(&self.name, self.memory, LEN) }
    }

    fn change(&self, record: &[u8]) {
        let number = usize::from(record[0]) | usize::from(record[1]) << 8 | usize::from(record[2]) << 16;
        let by = u64::from_le_bytes(record[4..].try_into().unwrap());
        let at = self.vital[number % self.vital.len()];
        // SAFETY: a word of the memory, which is aligned; processes only access it atomically too.
        let word = unsafe { &*self.memory.add(at).cast::<std::sync::atomic::AtomicU64>() };
        let old = word.load(Relaxed);
        let new = match record[3] % 5 {
            0 => by,
            1 => old.wrapping_add(by),
            2 => old ^ by,
            // Half a word: many fields are.
            3 => old & !0xffff_ffff | by & 0xffff_ffff,
            _ => old & 0xffff_ffff | by << 32,
        };
        word.store(new, Relaxed);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = Segment::unlink(&self.name);
    }
}

fn create(name: &str, memory: *mut u8) {
    // SAFETY: the mapping is shared, stays, and only this library uses it.
    unsafe { Segment::options().create_over(name, memory, LEN) }.unwrap().close().unwrap();
}

/// Shared memory with a page on each side that nobody can touch.
fn guarded_memory() -> *mut u8 {
    let none = (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let shared = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: a new mapping at an address of the kernel's choice, whose middle is then replaced.
    unsafe {
        let whole = libc::mmap(std::ptr::null_mut(), LEN + 2 * PAGE, none.0, none.1, -1, 0);
        assert_ne!(whole, libc::MAP_FAILED);
        let middle = libc::mmap(whole.byte_add(PAGE), LEN, libc::PROT_READ | libc::PROT_WRITE, shared, -1, 0);
        assert_ne!(middle, libc::MAP_FAILED);
        middle.cast()
    }
}

fn vital(bytes: &[u8]) -> Vec<usize> {
    let used = |at: usize| bytes.get(at..at + 8).is_some_and(|word| word.iter().any(|byte| *byte != 0));
    (0..bytes.len() - 8)
        .step_by(8)
        .filter(|at| (at.saturating_sub(16)..at + 24).step_by(8).any(used))
        .collect()
}
