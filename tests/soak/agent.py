"""The agent in Python; src/agent.rs says how it is started, src/ledger.rs what it writes.

It does a part of what the agent in Rust does, in the same way.
"""

import ctypes
import mmap
import os
import queue
import random
import struct
import sys
import threading
import time

import sharecell as sc

LANES, FORKED, OBJECTS, FIRST_ITEMS, ITEM_OBJECTS, PARTS, ITEMS = 24, 12, 22, 11, 8, 18, 8192
LANES_AT = 16
OBJECTS_AT = LANES_AT + LANES * 16
TALLIES_AT = OBJECTS_AT + OBJECTS * 272
ITEMS_AT = TALLIES_AT + LANES * OBJECTS * 16
WORDS = ITEMS_AT + ITEM_OBJECTS * LANES * ITEMS * 4
SEED, STOP, CALM, NO_LONG_WAITS, LONG_STOPS, LONG_STOP_EVENTS = 1, 3, 4, 5, 6, 7
LIFE, DOOMED, OP, SINCE, COUNT, PID, STOPS = 0, 1, 2, 3, 4, 6, 9
HOLDER, RELEASED_AT, HEALED, KILLS = 0, 1, 4, 5
BEGUN, A, B, A_KILLED, B_KILLED, PUT_BACKS, LATE, HOLDING, TAKES_KILLED, HALF, HALVES = range(11)
PUT, WHO, DONE, NUMBER = range(4)
KIND_A, KIND_B, KIND_OTHER = 1, 2, 3
PUT_BACK = 1 << 63
TICKED = 1_500_000_000
HANG = 60.0
WHOLE = (4 << 20) // 8
NAMES = [
    "value",
    "wide value",
    "array",
    "lock",
    "rlock",
    "rwlock",
    "semaphore",
    "semaphore, undo",
    "condition",
]
NAMES += [
    "event",
    "barrier",
    "queue",
    "queue, spilling",
    "queue, joinable",
    "queue, byte limit",
    "pipe, A to B",
]
NAMES += ["pipe, B to A", "pipe, simplex", "pipe, in parts", "create, remove", "attach, detach", "wait_any"]
MASK = (1 << 64) - 1


class Wide(ctypes.Structure):
    _fields_ = [("words", ctypes.c_uint64 * 5)]


def wide(count: int) -> Wide:
    return Wide((ctypes.c_uint64 * 5)(*(count * (2 * i + 1) & MASK for i in range(5))))


def mix(a: int, b: int, c: int) -> int:
    x = (a * 0x9E3779B97F4A7C15 & MASK) ^ b
    y = (x * 0xBF58476D1CE4E5B9 & MASK) ^ c
    return y * 0x94D049BB133111EB & MASK


now = time.monotonic_ns


class Ledger:
    """The words of src/ledger.rs. Each access is one of a whole word."""

    def __init__(self, fd: int) -> None:
        self.words = memoryview(mmap.mmap(fd, WORDS * 8)).cast("Q")

    def lane(self, lane: int, word: int) -> int:
        return LANES_AT + lane * 16 + word

    def object(self, object_: int, word: int) -> int:
        return OBJECTS_AT + object_ * 272 + word

    def tally(self, lane: int, object_: int, word: int) -> int:
        return TALLIES_AT + (lane * OBJECTS + object_) * 16 + word

    def item(self, object_: int, lane: int, seq: int) -> int:
        return ITEMS_AT + (((object_ - FIRST_ITEMS) * LANES + lane) * ITEMS + seq) * 4

    def add(self, at: int, n: int) -> None:
        self.words[at] += n

    def is_doomed(self, who: int) -> bool:
        return self.words[self.lane(who >> 40 & 0x3F, DOOMED)] >= who & (1 << 40) - 1

    def settle(self, lane: int) -> None:
        half = self.tally(lane, PARTS, HALF)
        if self.words[half]:
            self.words[half] = 0
            self.add(self.tally(lane, PARTS, HALVES), 1)
        op = self.words[self.lane(lane, OP)]
        self.words[self.lane(lane, OP)] = 0
        if not op:
            return
        object_, kind, n = (op & 0xFF) - 1, op >> 8 & 0xFF, op >> 16
        self.add(self.object(object_, KILLS), 1)
        if kind == KIND_A:
            return self.add(self.tally(lane, object_, A_KILLED), n)
        if kind == KIND_B:
            self.add(self.tally(lane, object_, B_KILLED), n)
        self.add(self.tally(lane, object_, TAKES_KILLED), n)


class Worker:
    def __init__(self, base: str, ledger: Ledger, faults: int, pids: int, lane: int) -> None:
        self.base, self.ledger, self.words = base, ledger, ledger.words
        self.faults, self.pids, self.lane, self.life = faults, pids, lane, 0

    def open(self, round_: str) -> None:
        self.segment = s = sc.Segment.open(self.base)
        self.small = small = sc.Segment.open(f"{self.base}-small")
        self.value = sc.Value.open(s, f"value.{round_}", "q")
        self.wide = sc.Value.open(s, f"wide.{round_}", Wide)
        self.array = sc.Array.open(s, f"array.{round_}", "Q")
        self.lock = sc.Lock.open(s, f"lock.{round_}")
        self.rlock = sc.RLock.open(s, f"rlock.{round_}")
        self.semaphore = sc.Semaphore.open(s, f"semaphore.{round_}")
        self.undo = sc.Semaphore.open(s, f"undo.{round_}")
        self.event = sc.Event.open(s, f"event.{round_}")
        self.queues = [
            sc.Queue.open(s, f"{name}.{round_}") for name in ("queue", "spilling", "joinable", "bytes")
        ]
        pipes = [(s, "duplex"), (s, "simplex"), (small, "parts")]
        self.pipes = [[sc.Pipe.open(of, f"{name}.{round_}", end) for end in "AB"] for of, name in pipes]

    def close(self) -> None:
        ends = [end for pipe in self.pipes for end in pipe]
        cells = [
            self.value,
            self.wide,
            self.array,
            self.lock,
            self.rlock,
            self.semaphore,
            self.undo,
            self.event,
        ]
        for thing in cells + self.queues + ends + [self.small, self.segment]:
            thing.close()

    def begin_life(self) -> None:
        self.ledger.settle(self.lane)
        at = self.ledger.lane(self.lane, LIFE)
        self.words[at] = (self.words[at] | 1) + 1
        self.start()

    def start(self) -> None:
        self.life = self.words[self.ledger.lane(self.lane, LIFE)]
        self.me = self.lane << 40 | self.life
        self.random = random.Random(mix(self.words[SEED], self.lane, self.life))
        self.last = {}

    # ---- the books

    def fault(self, object_: int, text: str) -> None:
        line = f"{NAMES[object_]}: {text} (lane {self.lane}, life {self.life}, Python)\n"
        os.write(self.faults, line.encode()[:512])

    def add(self, object_: int, word: int, n: int = 1) -> None:
        self.ledger.add(self.ledger.tally(self.lane, object_, word), n)

    def begin(self, object_: int, kind: int, n: int = 0) -> None:
        self.started = now()
        self.stops = self.stop_events()
        self.words[self.ledger.lane(self.lane, SINCE)] = self.started
        self.words[self.ledger.lane(self.lane, OP)] = object_ + 1 | kind << 8 | n << 16

    def end(self) -> None:
        self.words[self.ledger.lane(self.lane, OP)] = 0
        self.ledger.add(self.ledger.lane(self.lane, COUNT), 1)

    def stop_events(self) -> int:
        return self.words[self.ledger.lane(self.lane % FORKED, STOPS)] + self.words[LONG_STOP_EVENTS]

    def waited(self, object_: int, since: int) -> None:
        wait = now() - max(since, self.started)
        if wait < TICKED or self.stop_events() != self.stops or self.words[LONG_STOPS]:
            return
        self.ledger.add(self.ledger.object(object_, HEALED), 1)
        if self.words[CALM] and object_ != PARTS:
            self.fault(object_, f"nobody was killed, and a wait lasted {wait // 1_000_000} ms too long")

    def timeout(self) -> float:
        n = self.random.random()
        if n < 0.3:
            return 0.0
        if n < 0.97:
            return 0.0003 if n < 0.8 else 0.01
        return 2.5 if self.words[NO_LONG_WAITS] > now() else 0.002

    # ---- cells and locks

    def use_value(self) -> None:
        before = self.value.get()
        self.begin(0, KIND_A, 1)
        if self.value.add(1) < before:
            self.fault(0, "went back")
        self.add(0, A)
        self.end()

    def use_wide(self) -> None:
        seen = self.wide.get()
        self.begin(1, KIND_A, 1)
        changed = False
        while not changed:
            if bytes(seen) != bytes(wide(seen.words[0])):
                return self.fault(1, f"torn: {list(seen.words)}")
            changed, seen = self.wide.compare_exchange(seen, wide(seen.words[0] + 1))
        self.add(1, A)
        self.end()

    def hold(self, object_: int, died: bool) -> None:
        at = self.ledger.object(object_, HOLDER)
        before, self.words[at] = self.words[at], self.me
        if before and not self.ledger.is_doomed(before):
            self.fault(object_, f"robbed: lane {before >> 40} has it and lives")
        elif before and not died:
            self.fault(object_, "the last holder was killed, and the next was not told")
        self.waited(object_, self.words[self.ledger.object(object_, RELEASED_AT)])

    def let_go(self, object_: int) -> None:
        self.words[self.ledger.object(object_, RELEASED_AT)] = now()
        at = self.ledger.object(object_, HOLDER)
        if self.words[at] != self.me:
            self.fault(object_, "robbed while holding it")
        self.words[at] = 0

    def work(self, object_: int, died: bool) -> None:
        at = 2 * (object_ - 2)
        a, b = self.array[at], self.array[at + 1]
        if a != b and not died:
            self.fault(object_, f"torn: {a} and {b}, and nobody died")
        self.array[at] = max(a, b) + 1
        self.array[at + 1] = max(a, b) + 1

    def use_lock(self, object_: int, lock) -> None:
        self.begin(object_, KIND_OTHER)
        if lock.acquire(timeout=HANG):
            died = lock.owner_died
            self.hold(object_, died)
            self.work(object_, died)
            self.let_go(object_)
            lock.release()
        else:
            self.fault(object_, f"not acquired within {HANG} s")
        self.end()

    def use_semaphore(self) -> None:
        if self.random.random() < 0.5:
            self.begin(6, KIND_A, 1)
            self.semaphore.release()
            self.add(6, A)
        else:
            timeout = self.timeout()
            self.begin(6, KIND_B, 1)
            if self.semaphore.acquire(timeout=timeout):
                self.add(6, B)
        self.end()

    def use_undo(self) -> None:
        self.begin(7, KIND_OTHER)
        if self.undo.acquire(timeout=HANG):
            self.words[self.ledger.tally(self.lane, 7, HOLDING)] = self.me
            everybody = [self.words[self.ledger.tally(lane, 7, HOLDING)] for lane in range(LANES)]
            holders = [who for who in everybody if who and not self.ledger.is_doomed(who)]
            if len(holders) > 3:
                self.fault(7, f"{len(holders)} hold 3 permits")
            self.words[self.ledger.tally(self.lane, 7, HOLDING)] = 0
            self.words[self.ledger.object(7, RELEASED_AT)] = now()
            self.undo.release()
        else:
            self.fault(7, f"not acquired within {HANG} s")
        self.end()

    def use_event(self) -> None:
        timeout = self.timeout()
        self.begin(9, KIND_OTHER)
        self.random.choice(
            [self.event.clear, self.event.set, self.event.set, lambda: self.event.wait(timeout)]
        )()
        self.end()

    # ---- items

    def make(self, object_: int, seq: int) -> bytes:
        n = self.random.random()
        words = 4 + self.random.randrange(9)
        if object_ == 12 and n < 0.5:
            words = 4 + self.random.randrange(600)
        elif object_ == 14:
            words = 4 + self.random.randrange(100)
        elif object_ == PARTS and n < 0.2:
            words = 69000 if n < 0.03 else 4000
        kind, put_at = self.lane | object_ << 8 | words << 16, now()
        check = mix(kind, seq, put_at)
        return struct.pack("=4Q", kind, seq, put_at, check) + struct.pack("=Q", check) * (words - 4)

    def put(self, object_: int) -> None:
        seq = self.words[self.ledger.tally(self.lane, object_, BEGUN)]
        if seq >= ITEMS - 8:
            return
        data, timeout, item = (
            self.make(object_, seq),
            self.timeout(),
            self.ledger.item(object_, self.lane, seq),
        )
        self.begin(object_, KIND_A, 1)
        self.words[item + PUT] = 1
        self.add(object_, BEGUN)
        if len(data) > WHOLE:
            self.words[item + NUMBER] = MASK
        try:
            if object_ >= 15:
                self.pipes[(0, 0, 1, 2)[object_ - 15]][object_ != 15].send_bytes(data, timeout)
            else:
                self.queues[object_ - 11].put(data, timeout=timeout)
        except (queue.Full, TimeoutError, sc.LimitReachedError):
            self.words[item + PUT] = 3
        else:
            self.words[item + PUT] = 2
            self.add(object_, A)
        self.end()

    def take(self, object_: int) -> None:
        pipe = object_ >= 15
        of = self.pipes[(0, 0, 1, 2)[object_ - 15]][object_ == 15] if pipe else self.queues[object_ - 11]
        copy, timeout = object_ == PARTS or self.random.random() < 0.25, self.timeout()
        self.begin(object_, KIND_B if copy else KIND_OTHER, 1)
        if object_ == PARTS:
            self.words[self.ledger.tally(self.lane, PARTS, HALF)] = 1
        try:
            if copy:
                data = of.recv_bytes(timeout) if pipe else of.get(timeout=timeout)
                self.took(object_, data, None)
                if object_ == 13:
                    of.task_done()
                if len(data) > WHOLE:
                    self.words[self.ledger.tally(self.lane, PARTS, HALF)] = 0
            else:
                item = of.recv_in_place(timeout) if pipe else of.recv(timeout=timeout)
                entry = self.took(object_, bytes(item), item)
                if not pipe and entry and self.random.random() < 0.03:
                    self.add(object_, PUT_BACKS)
                    self.words[entry + WHO] = PUT_BACK
                    item.put_back()
                else:
                    item.release()
                    if entry:
                        self.words[entry + DONE] = 1
        except (queue.Empty, TimeoutError):
            pass
        self.end()

    def took(self, object_: int, data: bytes, about) -> int:
        kind, seq, put_at, check = struct.unpack_from("=4Q", data) if len(data) >= 32 else (0, 0, 0, 1)
        whole = (
            mix(kind, seq, put_at) == check and (kind >> 16) * 8 == len(data) and kind >> 8 & 0xFF == object_
        )
        if not whole or data[32:] != struct.pack("=Q", check) * (len(data) // 8 - 4):
            self.fault(object_, f"torn: {len(data)} bytes that begin {data[:16].hex()}")
            return 0
        producer = kind & 0xFF
        item, what = self.ledger.item(object_, producer, seq), f"item {seq} of lane {producer}"
        if self.words[item + PUT] in (0, 3):
            self.fault(object_, f"{what} came, in state {self.words[item + PUT]}")
        before, self.words[item + WHO] = self.words[item + WHO], self.me
        if before and before != PUT_BACK:
            if self.words[item + DONE] or (about is not None and about.deliveries < 2):
                self.fault(object_, f"{what} doubled")
            elif not self.ledger.is_doomed(before):
                self.fault(object_, f"{what} robbed: lane {before >> 40} has it and lives")
        if about is None:
            self.words[item + DONE] = 1
        elif object_ < 15:
            noted, self.words[item + NUMBER] = self.words[item + NUMBER], about.number + 1
            if noted not in (0, about.number + 1):
                self.fault(object_, f"{what} had number {noted - 1}, now {about.number}")
        if seq < self.last.get((object_, producer), 0):
            self.add(object_, LATE)
        else:
            self.last[object_, producer] = seq
        self.add(object_, B)
        self.waited(object_, put_at)
        return item

    def use_items(self) -> None:
        object_ = FIRST_ITEMS + self.random.randrange(ITEM_OBJECTS)
        self.random.choice([self.put, self.take])(object_)

    # ---- segments

    def come_and_go(self) -> None:
        name = f"passing-{self.random.choice([0, 2, 3, 5])}"
        self.begin(19, KIND_OTHER)
        if name in ("passing-0", "passing-3"):
            with sc.Value.open_or_create(self.segment, name, "q", 5) as value:
                value.add(1)
        else:
            lock = sc.Lock.open_or_create(self.segment, name)
            with lock:
                pass
            lock.close()
        try:
            self.segment.remove(name)
        except sc.NotFoundError:
            pass
        self.end()

    def attach(self) -> None:
        self.begin(20, KIND_OTHER)
        with sc.Segment.open_or_create(f"{self.base}-side", ephemeral=True, limit=1 << 20):
            pass
        self.end()

    def use_wait_any(self) -> None:
        self.begin(21, KIND_OTHER)
        sc.wait_any([sc.readable(self.queues[0]), self.event, self.lock, self.undo], 0.005)
        self.end()

    def step(self) -> None:
        n = self.random.random() * 100
        if n < 5:
            self.use_value()
        elif n < 10:
            self.use_wide()
        elif n < 16:
            self.use_lock(2, self.array.get_lock())
        elif n < 22:
            self.use_lock(3, self.lock)
        elif n < 27:
            self.use_lock(4, self.rlock)
        elif n < 31:
            self.use_semaphore()
        elif n < 36:
            self.use_undo()
        elif n < 39:
            self.use_event()
        elif n < 90:
            self.use_items()
        elif n < 94:
            self.come_and_go()
        elif n < 96:
            self.attach()
        else:
            self.use_wait_any()

    # ---- lives

    def work_for_ever(self) -> None:
        own = self.lane
        prctl(PR_SET_PDEATHSIG, 9)
        while True:
            self.step()
            if self.random.random() < 0.995:
                continue
            # A child that shares the handles, works a little, and leaves without a word.
            self.ledger.settle(own + FORKED)
            self.words[self.ledger.lane(own + FORKED, LIFE)] = self.life
            self.ledger.add(self.ledger.lane(own + FORKED, 7), 1)
            pid = os.fork()
            if pid == 0:
                self.lane = own + FORKED
                self.start()
                for _ in range(20):
                    self.step()
                self.ledger.settle(self.lane)
                os._exit(0)
            os.waitpid(pid, 0)

    def nest(self) -> None:
        while not self.words[STOP]:
            self.begin_life()
            pid = os.fork()
            if pid == 0:
                try:
                    os.setpgid(0, 0)
                    self.work_for_ever()
                finally:
                    sys.excepthook(*sys.exc_info())
                    os._exit(1)
            try:
                os.setpgid(pid, pid)
            except OSError:
                pass
            self.words[self.ledger.lane(self.lane, PID)] = pid
            os.write(self.pids, struct.pack("=i", pid))
            _, status = os.waitpid(pid, 0)
            if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != 9:
                text = f"lane {self.lane}: ended with status {status:x} before it was killed\n"
                os.write(self.faults, text.encode())
            try:
                while True:
                    os.waitpid(-pid, 0)
            except ChildProcessError:
                pass
            self.ledger.settle(self.lane + FORKED)
        self.words[self.ledger.lane(self.lane, PID)] = 0
        self.ledger.settle(self.lane)

    def stay(self) -> None:
        self.begin_life()
        self.words[self.ledger.lane(self.lane, PID)] = os.getpid()
        while not self.words[STOP]:
            self.step()
        self.ledger.settle(self.lane)
        self.words[self.ledger.lane(self.lane, PID)] = 0


PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
prctl = ctypes.CDLL(None).prctl


def main() -> None:
    base, ledger, faults, pids, lane, mode = sys.argv[1:]
    prctl(PR_SET_PDEATHSIG, 9)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    worker = Worker(base, Ledger(int(ledger)), int(faults), int(pids), int(lane))
    for line in sys.stdin:
        worker.open(line.strip())
        worker.nest() if mode == "nest" else worker.stay()
        worker.close()
        print("done", flush=True)
    assert threading.active_count() == 1


main()
