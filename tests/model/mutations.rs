//! Deliberate defects, each of which its model must notice.

use std::path::Path;

use sharecell::model;
use sharecell::model::Action::{self, Answer, Blind, Relaxed, Skip};

/// Printed where a mutation's place is not found: the run fails then.
pub const BROKEN: &str = "no such place for a mutation";

pub struct Mutation {
    pub name: &'static str,
    pub model: &'static str,
    /// The source file, what the line holds, and which of the lines that do, from 0.
    place: (&'static str, &'static str, usize),
    action: Action,
}

/// Each names the model that must notice it. A place that is not there any more fails the run.
#[rustfmt::skip]
const MUTATIONS: &[Mutation] = &[
    mutation("a put's commit is relaxed", "a queue of one, wrapping", ("src/queue/ring/put.rs", "cell.state.store(State::new(ticket, 0, FULL).0, Release)", 0), Relaxed),
    mutation("a getter's look at a cell is relaxed", "a queue of one, wrapping", ("src/queue/ring/get.rs", "if cell.state.load(Acquire) != full.0", 0), Relaxed),
    mutation("a get's release is relaxed", "a queue of one, wrapping", ("src/queue/ring/get.rs", "self.cell(ticket).state.store(next.0, Release)", 0), Relaxed),
    mutation("a release after a wait is relaxed", "a queue of one, wrapping", ("src/queue/ring/get.rs", "State::new(claim.ticket.wrapping_add(n), 0, FREE).0, Release)", 0), Relaxed),
    mutation("the commit of a reserved place is relaxed", "a queue of one with spilled items", ("src/queue/ring/put.rs", "cell.state.store(State::new(claim.ticket, 0, FULL).0, Release)", 0), Relaxed),
    mutation("giving a place up is relaxed", "a place is given up", ("src/queue/ring/put.rs", "self.cell(ticket).state.store(next.0, Release);", 0), Relaxed),
    mutation("a put does not look at the end after its claim", "a put meets the end", ("src/queue/ring/put.rs", "if head.closed.load(SeqCst) != 0 {", 0), Answer(0)),
    mutation("a put that waited does not look at the end after its claim", "a put that waits for room meets the end", ("src/queue/ring/put.rs", "if self.head().closed.load(SeqCst) != 0 {", 0), Answer(0)),
    mutation("a putter's claim does not compare", "two putters, one getter", ("src/queue/ring/put.rs", "|| cell.state.cas(free.0, State::new(ticket, me, WRITING).0).is_err()", 0), Blind),
    mutation("a getter's claim does not compare", "one putter, two getters", ("src/queue/ring/get.rs", "if cell.state.cas(full.0, State::new(ticket, me, READING).0).is_err()", 0), Blind),
    mutation("a getter does not look again at what it passed over", "a queue of two, wrapping, nothing overtakes", ("src/queue/ring/get.rs", "let seen = self.state(*t);", 0), Answer(0)),
    mutation("who notifies does not fence", "an event", ("src/atomic.rs", " fence(SeqCst);", 0), Skip),
    mutation("who falls asleep does not fence", "an event", ("src/atomic.rs", " fence(SeqCst);", 1), Skip),
    mutation("who falls asleep as the flag is cleared is not woken", "an event that is cleared", ("src/wait.rs", "futex::wake(self.0.raw(), u32::MAX)", 0), Skip),
    mutation("a lock's release is relaxed", "a lock", ("src/latch.rs", "self.0.swap(0, Release)", 0), Relaxed),
    mutation("a lock's acquisition is relaxed", "a lock", ("src/latch.rs", "if self.0.cas(0, me).is_ok()", 0), Relaxed),
    mutation("a lock's acquisition does not compare", "a lock", ("src/latch.rs", "self.0.cas(seen, seen | me | extra)", 0), Blind),
    mutation("a lock's release wakes nobody", "a lock", ("src/latch.rs", "futex::wake(self.0.raw(), 1);", 0), Skip),
    mutation("a sweep forgets locks", "the holder of a lock is killed", ("src/latch.rs", "let seen = self.0.load(Relaxed);", 1), Answer(0)),
    mutation("a permit is taken without comparing", "a semaphore", ("src/sync/semaphore.rs", "match value.cas(now, now - 1)", 0), Blind),
    mutation("an event is set relaxed", "an event", ("src/sync/event.rs", "self.cell.set.store(1, Release)", 0), Relaxed),
    mutation("a reader does not fence", "a reader and a writer", ("src/sync/rwlock.rs", "fence(SeqCst); // pairs with the fence in `acquire_write`", 0), Skip),
    mutation("a writer does not fence", "a reader and a writer", ("src/sync/rwlock.rs", "fence(SeqCst); // pairs with the fence in `acquire_read`", 0), Skip),
    mutation("a sweep forgets readers", "a reader is killed", ("src/sync/rwlock.rs", "count.store(0, SeqCst)", 0), Skip),
    mutation("who opens an object does not fence", "an object is opened as it is removed", ("src/segment/openlist.rs", "fence(SeqCst); // pairs with the fence in `remove`", 0), Skip),
    mutation("who frees an object does not fence", "an object is opened as it is removed", ("src/segment/directory.rs", "fence(SeqCst); // pairs with the fence of who opens", 0), Skip),
    mutation("who opens an object does not list it", "an object is opened as it is removed", ("src/segment/openlist.rs", "word.store(entry, Release);", 0), Skip),
    mutation("an object leaves its chain unseen", "an object is opened as it is removed", ("src/segment/directory.rs", "header.unlinked.fetch_add(1, SeqCst)", 0), Skip),
    mutation("an insertion is not noted before", "a creator is killed", ("src/segment/directory.rs", "header.pending.store(word, Release)", 0), Skip),
    mutation("an insertion is committed relaxed", "two create one name", ("src/segment/directory.rs", "chain.store(word, Release)", 0), Relaxed),
    mutation("a removal is not noted before", "who removes an object is killed", ("src/segment/directory.rs", "self.header().pending.store(found.block, Release)", 0), Skip),
    mutation("a block is taken without a mark", "one of two who need memory is killed", ("src/segment/arena.rs", "word.fetch_or(bit, SeqCst)", 0), Skip),
    mutation("a sweep forgets blocks", "a putter is killed, queue of one, spilled", ("src/segment/arena.rs", "let _ = word.cas(Owner::Participant(dead).pack(), 0)", 0), Skip),
    mutation("a sweep forgets permits", "a semaphore with undo", ("src/sync/semaphore.rs", ".filter(|permit| permit.cas(dead, 0).is_ok()).count()", 0), Skip),
    mutation("a sweep forgets arrivals", "a party that has come is killed", ("src/sync/barrier.rs", "word.load(Acquire) == arrival(round, dead)", 0), Answer(0)),
    mutation("a sweep does not say that it reopened cells", "two sweep one", ("src/queue/ring/recover.rs", "self.head().reopened.fetch_add(1, SeqCst)", 0), Skip),
    mutation("a sweep forgets locks that are taken twice", "the holder of a lock that it took twice is killed", ("src/latch.rs", "let seen = self.0.load(Relaxed);", 1), Answer(0)),
    mutation("a run's commit is relaxed", "runs come and go, wrapping", ("src/queue/ring/run.rs", "cell.state.store(State::full(ticket, 0, FULL | RUN).0, Release)", 0), Relaxed),
    mutation("a run's release is relaxed", "runs come and go, wrapping", ("src/queue/ring/run.rs", "self.cell(ticket).state.store(next.0, Release)", 0), Relaxed),
    mutation("a putter's claim of a run does not compare", "two put runs", ("src/queue/ring/run.rs", "if self.cas(ticket, seen, State::new(ticket, me, WRITING | RUN)) {", 0), Blind),
    mutation("a getter's claim of a run does not compare", "one gets a run, another an item of it", ("src/queue/ring/run.rs", "if !self.cas(ticket, seen, State::new(ticket, me, READING | RUN)) {", 0), Blind),
    mutation("who splits a run does not compare", "two get items of runs one by one", ("src/queue/ring/run.rs", "let _ = cell.state.cas(seen.0, single(i).0);", 0), Blind),
    mutation("who ends a split does not compare", "two get items of runs one by one", ("src/queue/ring/run.rs", "let _ = self.cell(first).state.cas(run.0, single(0).0);", 0), Blind),
    mutation("who gets one item of a run does not compare", "two get items of runs one by one", ("src/queue/ring/run.rs", "if !self.cas(ticket, seen, State::new(ticket, me, READING | PACKED)) {", 0), Blind),
    mutation("a sweep forgets the lock of who sends parts", "the sender of a message in parts is killed", ("src/latch.rs", "let seen = self.0.load(Relaxed);", 1), Answer(0)),
    mutation("a thread's name stays on a lock that it gives back", "two threads of a process take a lock", ("src/sync/rlock.rs", "self.owner.store(0, Relaxed);", 0), Skip),
    mutation("a sweep forgets locks that one of two threads has", "a process dies whose two threads take a lock", ("src/latch.rs", "let seen = self.0.load(Relaxed);", 1), Answer(0)),
    mutation("the claim of one of two threads does not compare", "a process dies whose two threads put", ("src/queue/ring/put.rs", "|| cell.state.cas(free.0, State::new(ticket, me, WRITING).0).is_err()", 0), Blind),
    mutation("who leaves does not go through what was open", "a process leaves as another one sweeps", ("src/segment/recover.rs", "slot.state.cas(seat.to(SEAT_LIVE).pack(), seat.to(SEAT_LEFT).pack())", 0), Skip),
    mutation("who attaches does not look at GONE", "the last one leaves as another one comes", ("src/segment/seat.rs", "if gone.load(Relaxed) == 0 {", 0), Answer(0)),
    mutation("who unlinks does not fence", "the last one leaves as another one comes", ("src/segment/cleanup.rs", "fence(SeqCst); // pairs with the fence of who attaches", 0), Skip),
    mutation("who unlinks does not say so", "the last one leaves as another one comes", ("src/segment/cleanup.rs", "mark_gone(file, 1);", 0), Skip),
    mutation("memory is added relaxed", "two need memory", ("src/segment/arena.rs", "extent.offset.store(end, Release)", 0), Relaxed),
];

const fn mutation(
    name: &'static str,
    model: &'static str,
    place: (&'static str, &'static str, usize),
    action: Action,
) -> Mutation {
    Mutation { name, model, place, action }
}

pub fn all() -> impl Iterator<Item = &'static Mutation> {
    MUTATIONS.iter()
}

/// Makes the defect of that name, or relaxes what is at `FILE:LINE`.
pub fn apply(name: &str) {
    if let Some(mutation) = all().find(|m| m.name == name) {
        return mutation.apply();
    }
    let (file, line) = name.rsplit_once(':').expect("a known mutation");
    model::mutate(file, line.parse().expect("a line's number"), Relaxed);
}

impl Mutation {
    fn apply(&self) {
        let (file, text, nth) = self.place;
        let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).expect(BROKEN);
        let mut lines = source.lines().zip(1..).filter(|(line, _)| line.contains(text));
        let Some((_, line)) = lines.nth(nth) else { panic!("{BROKEN}: {text:?} in {file}") };
        model::mutate(file, line, self.action);
    }
}
