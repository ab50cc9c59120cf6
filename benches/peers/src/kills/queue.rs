//! One puts and one gets, and beside them a victim does either. Every item is accounted for.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};

use anyhow::Result;

use crate::kills::WORDS;
use crate::kills::scene::{Fate, Marks, Outcome, Scene, pause};
use crate::machine::now;
use crate::peers::queues::{Fifo, Words};
use crate::region::Region;
use crate::trial::Child;

const CAPACITY: usize = 1024;
/// As many as a putter puts before the kill, and again as many after it.
const MOST: usize = 1 << 18;
const SURVIVOR: usize = 0;
const VICTIM: usize = 1;
/// The number of the very last item.
const LAST: u64 = u64::MAX;

#[repr(C)]
struct Ledger {
    /// Of each putter: the items whose put has returned.
    put: [AtomicU64; 2],
    /// The survivor's first item whose put began after the death; 0 if there is none yet.
    fresh: AtomicU64,
    /// Items that nobody can have put.
    torn: AtomicU64,
    /// No more is put.
    stop: AtomicU64,
    /// Survivors that are done.
    ended: AtomicU64,
    /// How often each item came.
    got: [[AtomicU8; 2 * MOST + 2]; 2],
}

pub fn play<F: Fifo<WORDS>, const GETS: bool>(scene: &Scene) -> Result<()> {
    let queue = F::make(CAPACITY)?;
    let marks = scene.marks();
    let ledger = Region::<Ledger>::new()?;
    let books = ledger.get();
    // Until the kill the survivor on the victim's side holds back, so that the victim has its hands full.
    let back = |slow: bool| if slow { pause as fn() } else { || () };
    let putter = |who| {
        let rest = back(who == SURVIVOR && !GETS);
        Child::fork(|| queue.tx().map(|tx| put_all::<F>(tx, who, rest, marks, books)).is_ok())
    };
    let getter = |who| {
        let rest = back(who == SURVIVOR && GETS);
        Child::fork(|| queue.rx().map(|rx| get_all::<F>(rx, who, rest, marks, books)).is_ok())
    };
    let (puts, gets) = (putter(SURVIVOR)?, getter(SURVIVOR)?);
    let victim = if GETS { getter(VICTIM)? } else { putter(VICTIM)? };
    scene.kill(victim, 3)?;
    let survivors = [&puts, &gets];
    let mut fate = scene.survive(&survivors, || marks.done_at.load(SeqCst) != 0);
    if fate == Fate::Well {
        queue.settle();
        books.stop.store(1, SeqCst);
        fate = scene.survive(&survivors, || books.ended.load(SeqCst) == 2);
    }
    let outcome = match fate {
        Fate::Well => balance(books, GETS),
        _ => fate.outcome(),
    };
    scene.note(outcome);
    Ok(())
}

fn put_all<F: Fifo<WORDS>>(mut tx: F::Tx<'_>, who: usize, rest: fn(), marks: &Marks, books: &Ledger) {
    marks.ready.fetch_add(1, SeqCst);
    let mut number = 0;
    while who == VICTIM || books.stop.load(SeqCst) == 0 {
        let after = marks.gone.load(SeqCst) as usize;
        if number == (MOST * (1 + after)) as u64 {
            pause();
            continue;
        }
        number += 1;
        if who == SURVIVOR && after == 1 && books.fresh.load(SeqCst) == 0 {
            books.fresh.store(number, SeqCst);
        }
        F::put(&mut tx, &Words::new((who as u64) << 32 | number));
        books.put[who].store(number, SeqCst);
        if after == 0 {
            rest();
        }
    }
    F::put(&mut tx, &Words::new(LAST));
    books.ended.fetch_add(1, SeqCst);
    // Whose process ends may take along what it has sent.
    while books.ended.load(SeqCst) != 2 {
        pause();
    }
}

fn get_all<F: Fifo<WORDS>>(mut rx: F::Rx<'_>, who: usize, rest: fn(), marks: &Marks, books: &Ledger) {
    marks.ready.fetch_add(1, SeqCst);
    loop {
        let item = F::get(&mut rx);
        let (by, number) = ((item.0[0] >> 32) as usize, (item.0[0] & 0xffff_ffff) as usize);
        if item.0 == [LAST; WORDS] {
            break;
        }
        if item.0.iter().any(|word| *word != item.0[0]) || by > VICTIM || number > 2 * MOST {
            books.torn.fetch_add(1, SeqCst);
            continue;
        }
        books.got[by][number].fetch_add(1, SeqCst);
        if marks.gone.load(SeqCst) == 0 {
            rest();
        }
        let fresh = books.fresh.load(SeqCst) as usize;
        let first = who == SURVIVOR && by == SURVIVOR && fresh != 0 && number >= fresh;
        if first && marks.done_at.load(SeqCst) == 0 {
            marks.done_at.store(now(), SeqCst);
        }
    }
    books.ended.fetch_add(1, SeqCst);
}

/// What came beside what was put.
fn balance(books: &Ledger, victim_gets: bool) -> Outcome {
    let mut all = Outcome { torn: books.torn.load(SeqCst), ..Outcome::default() };
    for (put, got) in books.put.iter().zip(&books.got) {
        let put = put.load(SeqCst) as usize;
        for (number, times) in got.iter().enumerate().skip(1) {
            match times.load(SeqCst) {
                0 if number <= put => all.lost += 1,
                // The one that was under way at the death may have come.
                times if number > put + 1 => all.torn += u64::from(times),
                times => all.doubled += u64::from(times.saturating_sub(1)),
            }
        }
    }
    if victim_gets && all.lost > 0 {
        all.lost -= 1;
        all.along = 1;
    }
    all
}
