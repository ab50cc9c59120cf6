//! The trials of a case, side by side: by a few processes, each of which takes the next that nobody has taken.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::FromRawFd;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::common::*;
use crate::play::{reap_orphans_here, wait_for};
use crate::report::HANGS;
use crate::shared::Shared;

/// Where a process notes what it is trying, for the one who hears that it has failed.
pub struct Doing<'a>(&'a [AtomicU64]);

impl Doing<'_> {
    /// Two numbers that mean something to `side_by_side`'s `describe`.
    pub fn note(&self, numbers: [u64; 2]) {
        self.0.iter().zip(numbers).for_each(|(word, number)| word.store(number, Relaxed));
    }

    fn read(&self) -> [u64; 2] {
        [0, 1].map(|i| self.0[i].load(Relaxed))
    }
}

/// Makes the trials 0 to `count` - 1, in any order; what each of them returned, which is one line. Fails when one fails,
/// and says which by what that had noted last.
pub fn side_by_side(
    count: usize,
    describe: impl Fn([u64; 2]) -> String,
    trial: impl Fn(usize, &Doing) -> String,
) -> Vec<String> {
    let words = Shared::page();
    let (taken, notes) = words.split_first().expect("a page of words");
    let (most, mut results) = (count as u64, memory_file());
    let work = |doing: Doing| {
        reap_orphans_here();
        loop {
            let n = taken.fetch_add(1, Relaxed);
            if n >= most {
                return 0;
            }
            let line = format!("{n}\t{}\n", trial(n as usize, &doing));
            (&results).write_all(line.as_bytes()).unwrap();
        }
    };
    let doing = |i: usize| Doing(&notes[2 * i..2 * i + 2]);
    let processes: Vec<i32> = (0..crate::processors().min(count)).map(|i| fork(|| work(doing(i)))).collect();
    let mut failed = false;
    for (i, pid) in processes.into_iter().enumerate() {
        let status = wait_for(pid);
        if status != 0 {
            let how = if status == libc::SIGALRM { HANGS.to_owned() } else { format!("status {status:#x}") };
            println!("at {}: {how}", describe(doing(i).read()));
            failed = true;
        }
    }
    assert!(!failed, "a trial has failed");
    let mut lines = String::new();
    results.rewind().unwrap();
    results.read_to_string(&mut lines).unwrap();
    let mut all = vec![None; count];
    for (n, result) in lines.lines().filter_map(|line| line.split_once('\t')) {
        all[n.parse::<usize>().unwrap()] = Some(result.to_owned());
    }
    all.into_iter().map(|result| result.expect("every trial was made")).collect()
}

/// A file without a name, at whose end several processes can write.
fn memory_file() -> File {
    // SAFETY: the name is a string; the descriptor is new, and nobody else's.
    unsafe {
        let file = libc::memfd_create(c"results".as_ptr(), libc::MFD_CLOEXEC);
        assert!(file >= 0, "memfd_create: {}", std::io::Error::last_os_error());
        assert_eq!(libc::fcntl(file, libc::F_SETFL, libc::O_APPEND), 0);
        File::from_raw_fd(file)
    }
}
