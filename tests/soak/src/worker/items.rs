//! What goes through queues and pipes.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use sharecell::*;

use super::Worker;
use crate::ledger::*;
use crate::objects::SMALL;

/// Whether a message of so many bytes goes in parts.
fn is_long(bytes: usize) -> bool {
    bytes as u64 > SMALL / 8
}

/// An item's head; words with the same content follow.
const HEAD: usize = 4;

impl Worker<'_> {
    pub(super) fn items(&mut self) {
        let object = FIRST_ITEMS + self.random.below(ITEM_OBJECTS as u64) as usize;
        if self.random.below(2) == 0 { self.put(object) } else { self.take(object) }
    }

    /// Writes an item into the buffer; its words.
    fn make(&mut self, object: usize, seq: u64) -> usize {
        let words = match (object, self.random.below(100)) {
            (PARTS, 0..5) => (SMALL / 8 / 8) as usize + self.random.below(60_000) as usize,
            (PARTS, 5..20) => 4000,
            (12, 0..50) => HEAD + self.random.below(600) as usize,
            (14, _) => HEAD + self.random.below(100) as usize,
            (15, 0..10) => 1000,
            _ => HEAD + self.random.below(9) as usize,
        };
        let put_at = now();
        let kind = self.lane as u64 | (object as u64) << 8 | (words as u64) << 16;
        let check = mix(kind, seq, put_at);
        self.buffer.clear();
        self.buffer.extend([kind, seq, put_at, check]);
        self.buffer.resize(words, check);
        words
    }

    fn put(&mut self, object: usize) {
        let seq = self.ledger.tally(self.lane, object, tally::BEGUN).load(SeqCst);
        if seq >= ITEMS as u64 - 8 {
            return;
        }
        let deadline = self.deadline();
        let many = object < 15 && self.random.below(8) == 0;
        let count = if many { 1 + self.random.below(4) } else { 1 };
        let mut items = Vec::new();
        for i in 0..count {
            self.make(object, seq + i);
            items.push(bytemuck::cast_slice::<u64, u8>(&self.buffer).to_vec());
        }
        self.begin(object, KIND_A, count);
        for i in 0..count {
            self.ledger.item(object, self.lane, seq + i, item::PUT).store(BEGUN, SeqCst);
        }
        if object == PARTS && is_long(items[0].len()) {
            self.ledger.item(object, self.lane, seq, item::NUMBER).store(LONG, SeqCst);
        }
        self.tally(object, tally::BEGUN, count);
        let done = match object {
            11..15 => {
                let queue = &self.objects.queues[object - 11];
                match self.random.below(4) {
                    _ if many => queue.put_many_until(&items, deadline),
                    0 => queue.reserve(items[0].len(), deadline).and_then(|mut place| {
                        place.copy_from_slice(&items[0]);
                        place.commit().map(|()| 1)
                    }),
                    _ => queue.put_until(&items[0], deadline).map(|()| 1),
                }
            }
            _ => {
                let [a, b] = &self.objects.pipes[[0, 0, 1, 2][object - 15]];
                let end = if object == 15 { a } else { b };
                end.send_until(&items[0], deadline).map(|()| 1)
            }
        };
        use ErrorKind::*;
        let done = self.check(object, done, &[WouldBlock, TimedOut, LimitReached]).unwrap_or(0) as u64;
        for i in 0..count {
            let state = if i < done { RETURNED } else { REFUSED };
            self.ledger.item(object, self.lane, seq + i, item::PUT).store(state, SeqCst);
        }
        self.tally(object, tally::A, done);
        self.end(object, done > 0);
    }

    fn take(&mut self, object: usize) {
        let deadline = self.deadline();
        let copy = self.random.below(4) == 0;
        let allowed = [ErrorKind::WouldBlock, ErrorKind::TimedOut];
        self.begin(object, if copy { KIND_B } else { KIND_OTHER }, 1);
        let objects = self.objects;
        let got = if let 11..15 = object {
            let queue = &objects.queues[object - 11];
            if copy {
                let got = self.check(object, queue.get_until(deadline), &allowed);
                if let Some(bytes) = &got {
                    self.copied(object, bytes);
                    if object == 13 {
                        self.check(13, queue.task_done(), &[]);
                    }
                }
                got.is_some()
            } else {
                let got = self.check(object, queue.recv(deadline), &allowed);
                let some = got.is_some();
                if let Some(item) = got {
                    let about = Some((item.number(), item.deliveries()));
                    let back = self.keep(object, &item, about);
                    if back {
                        item.put_back()
                    } else {
                        drop(item)
                    }
                    self.gave_back(back);
                }
                some
            }
        } else {
            let [a, b] = &objects.pipes[[0, 0, 1, 2][object - 15]];
            let end = if object == 15 { b } else { a };
            if copy || object == PARTS {
                // One that comes in parts is copied whatever we do.
                self.name(object, KIND_B, 1);
                if object == PARTS {
                    self.ledger.tally(self.lane, PARTS, tally::HALF).store(1, SeqCst);
                }
                let got = self.check(object, end.recv_until(deadline), &allowed);
                if let Some(bytes) = &got {
                    self.copied(object, bytes);
                    if is_long(bytes.len()) {
                        self.ledger.tally(self.lane, PARTS, tally::HALF).store(0, SeqCst);
                    }
                }
                got.is_some()
            } else {
                let got = self.check(object, end.recv_in_place(deadline), &allowed);
                let some = got.is_some();
                if let Some(message) = got {
                    self.keep(object, &message, None);
                    drop(message);
                    self.gave_back(false);
                }
                some
            }
        };
        self.end(object, got);
    }

    /// Books an item that lies in place; whether it is to be put back.
    fn keep(&mut self, object: usize, bytes: &[u8], about: Option<(u64, u32)>) -> bool {
        self.took(object, bytes, about);
        if self.random.below(60) == 0 {
            std::thread::sleep(Duration::from_micros(300));
        }
        let back = about.is_some() && self.random.below(40) == 0;
        if back {
            self.tally(object, tally::PUT_BACKS, 1);
            self.mark(item::WHO, PUT_BACK);
        }
        back
    }

    fn gave_back(&self, back: bool) {
        if !back {
            self.mark(item::DONE, 1);
        }
    }

    /// Writes into the books of the item that was taken last.
    fn mark(&self, word: usize, value: u64) {
        let [kind, seq, ..] = self.buffer[..] else { return };
        let (lane, object) = ((kind & 0xff) as usize, (kind >> 8 & 0xff) as usize);
        if (FIRST_ITEMS..FIRST_ITEMS + ITEM_OBJECTS).contains(&object) && lane < LANES && seq < ITEMS as u64 {
            self.ledger.item(object, lane, seq, word).store(value, SeqCst);
        }
    }

    /// Enters what the audit has found in an object.
    pub fn drained(&mut self, object: usize, bytes: &[u8]) {
        self.started = now();
        self.copied(object, bytes);
    }

    /// As [`took`](Self::took), of a copy: it is done with at once.
    fn copied(&mut self, object: usize, bytes: &[u8]) {
        self.took(object, bytes, None);
        self.mark(item::DONE, 1);
    }

    /// Checks an item against the books and enters it.
    fn took(&mut self, object: usize, bytes: &[u8], about: Option<(u64, u32)>) {
        self.buffer.clear();
        self.buffer
            .extend(bytes.chunks_exact(8).take(HEAD).map(|w| u64::from_ne_bytes(w.try_into().unwrap())));
        let [kind, seq, put_at, check] = self.buffer[..] else {
            return self.fault(object, &format!("torn: {} bytes", bytes.len()));
        };
        let words = bytes.chunks_exact(8).map(|w| u64::from_ne_bytes(w.try_into().unwrap()));
        let whole = mix(kind, seq, put_at) == check
            && (kind >> 16) as usize * 8 == bytes.len()
            && kind >> 8 & 0xff == object as u64
            && seq < ITEMS as u64
            && words.skip(HEAD).all(|word| word == check);
        if !whole {
            self.buffer.clear();
            return self.fault(object, &format!("torn: {} bytes that begin {kind:x} {seq:x}", bytes.len()));
        }
        let producer = (kind & 0xff) as usize;
        let at = |word| self.ledger.item(object, producer, seq, word);
        let what = format!("item {seq} of lane {producer}");
        match at(item::PUT).load(SeqCst) {
            0 => self.fault(object, &format!("{what} came before it was put")),
            REFUSED => self.fault(object, &format!("{what} came although it was refused")),
            _ => {}
        }
        let before = at(item::WHO).swap(self.me(), SeqCst);
        let again = about.is_none_or(|(_, deliveries)| deliveries > 1);
        if before != 0 && before != PUT_BACK {
            if at(item::DONE).load(SeqCst) != 0 || !again {
                self.fault(object, &format!("{what} doubled"));
            } else if !self.ledger.is_doomed(before) {
                self.fault(object, &format!("{what} robbed: lane {} has it and lives", before >> 40));
            }
        }
        if let Some((number, deliveries)) = about {
            let noted = at(item::NUMBER).swap(number + 1, SeqCst);
            if noted != 0 && noted != number + 1 {
                self.fault(object, &format!("{what} had number {}, now {number}", noted - 1));
            }
            if before == PUT_BACK && deliveries < 2 {
                self.fault(object, &format!("{what} was put back, and is said to come for the first time"));
            }
        }
        let last = &mut self.last[object - FIRST_ITEMS][producer];
        if last.is_some_and(|last| seq < last) {
            self.tally(object, tally::LATE, 1);
        } else {
            *last = Some(seq);
        }
        self.tally(object, tally::B, 1);
        self.waited(object, put_at);
    }
}
