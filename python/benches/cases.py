"""What is measured, beside whom, and what is aimed at."""

import contextlib
import multiprocessing
import os
import statistics
import sys
import timeit
from functools import partial
from multiprocessing import sharedctypes

import between

import sharecell as sc
import sharecell.multiprocessing as drop_in

try:
    import faster_fifo
except ImportError:
    faster_fifo = None


def run(mode, quick):
    """The rows of one mode."""
    compiled = mode == "compiled"
    assert sc.is_compiled() == compiled, (
        f"{mode} is not what is loaded: `make build`, with the headers of Python"
    )
    with sc.Segment.create(f"bench-python-{os.getpid()}", ephemeral=True) as segment:
        learn_the_processors(segment)
        rows = calls(segment, compiled, quick)
        rows += drop_ins(compiled, quick)
        rows += floors(segment, quick) if not compiled else []
        rows += queues(segment, compiled, quick)
        rows += pipes(segment, compiled, quick)
        rows += round_trips(segment, compiled, quick)
    return rows


def learn_the_processors(segment):
    """Waits once, before this process is pinned: the library asks only once whether there are several."""
    with contextlib.suppress(sc.Empty):
        sc.Queue.create(segment, "nothing").get(timeout=0.001)


def row(name, peer, ours, theirs, unit, aim, at_most):
    """One line of the table; `aim` is a bound of the ratio of ours to the peer's."""
    ratio = statistics.median(ours) / statistics.median(theirs)
    met = aim is not None and (ratio <= aim if at_most else ratio >= aim)
    return {
        "mode": "compiled" if sc.is_compiled() else "ctypes",
        "name": name,
        "peer": peer,
        "unit": unit,
        "ours": ours,
        "theirs": theirs,
        "ratio": ratio,
        "aim": aim,
        "at_most": at_most,
        "met": met,
    }


# Name, statement, the peer, its statement, the aims of the companion and of ctypes alone.
CALLS = (
    ("lock: acquire, release", "L.acquire(); L.release()", "mp", "ML.acquire(); ML.release()", 1, None),
    ("lock: with", "with L: pass", "mp", "with ML: pass", 0.5, 1),
    (
        "semaphore: acquire, release",
        "S.acquire(); S.release()",
        "mp",
        "MS.acquire(); MS.release()",
        None,
        None,
    ),
    ("value: get", "V.value", "RawValue", "RV.value", 1.3, None),
    ("value: set", "V.value = 5", "RawValue", "RV.value = 5", 1.3, None),
    ("value: get", "V.value", "mp", "MV.value", 1, 1),
    ("value: set", "V.value = 5", "mp", "MV.value = 5", 1, 1),
    (
        "value: += with its lock",
        "with V.get_lock(): V.value += 1",
        "mp",
        "with MV.get_lock(): MV.value += 1",
        1,
        1,
    ),
    ("array: get", "A[7]", "RawArray", "RA[7]", 1.3, None),
    ("array: set", "A[7] = 5", "RawArray", "RA[7] = 5", 1.3, None),
    ("array: get", "A[7]", "mp", "MA[7]", 1, 1),
    ("array: set", "A[7] = 5", "mp", "MA[7] = 5", 1, 1),
    (
        "pipe: send, receive bytes",
        "B.send_bytes(data); C.recv_bytes()",
        "mp",
        "MB.send_bytes(data); MC.recv_bytes()",
        0.2,
        1,
    ),
    ("pipe: send, receive an int", "B.send(12345); C.recv()", "mp", "MB.send(12345); MC.recv()", 0.2, 1),
    (
        "queue: put, get an int",
        "Q.put_object(12345); Q.get_object()",
        "SimpleQueue",
        "MQ.put(12345); MQ.get()",
        None,
        1,
    ),
)


def calls(segment, compiled, quick):
    """What happens within a process."""
    ours = {
        "L": sc.Lock.create(segment, "lock"),
        "S": sc.Semaphore.create(segment, "semaphore", 1),
        "V": sc.Value.create(segment, "value", "i"),
        "A": sc.Array.create(segment, "array", "i", 100),
        "Q": sc.Queue.create(segment, "own queue", 64),
    }
    ours["B"], ours["C"] = sc.Pipe.create(segment, "own pipe")
    peers = {
        "ML": multiprocessing.Lock(),
        "MS": multiprocessing.Semaphore(1),
        "RV": sharedctypes.RawValue("i"),
        "MV": multiprocessing.Value("i"),
        "RA": sharedctypes.RawArray("i", 100),
        "MA": multiprocessing.Array("i", 100),
        "MQ": multiprocessing.SimpleQueue(),
    }
    peers["MB"], peers["MC"] = multiprocessing.Pipe()
    return timed(CALLS, {**ours, **peers, "data": b"12345678"}, compiled, quick)


def timed(cases, names, compiled, quick):
    """A row of each."""
    rows = []
    with between.pinned(0):
        for name, mine, peer, theirs, aim_compiled, aim_ctypes in cases:
            progress(name)
            taken = bursts(mine, theirs, names, 31 if quick else 301)
            rows.append(row(name, peer, *taken, "ns", aim_compiled if compiled else aim_ctypes, True))
    return rows


# What `import sharecell.multiprocessing` gives, beside what stands in the same place of multiprocessing.
# Name, statement, the aims of the companion and of ctypes alone.
DROP_INS = (
    ("lock: with", "with {}.lock: pass", 0.5, 1),
    ("rlock: with", "with {}.rlock: pass", 1, 1),
    ("semaphore: with", "with {}.semaphore: pass", 1, 1),
    ("condition: with", "with {}.condition: pass", 1, 1),
    ("condition: with, notify", "with {0}.condition: {0}.condition.notify()", 1, 1),
    ("value: get", "{}.value.value", 1, 1),
    ("value: set", "{}.value.value = 5", 1, 1),
    ("value: += with its lock", "with {0}.value.get_lock(): {0}.value.value += 1", 1, 1),
    ("array: get", "{}.array[7]", 1, 1),
    ("array: set", "{}.array[7] = 5", 1, 1),
    ("array: a slice of 10", "{}.array[:10]", 1, 1),
    ("event: is_set", "{}.event.is_set()", 1, 1),
    ("event: set, clear", "{0}.event.set(); {0}.event.clear()", 1, 1),
    ("pipe: send, receive bytes", "{0}.ends[0].send_bytes(data); {0}.ends[1].recv_bytes()", 0.2, 1),
    ("pipe: send, receive an int", "{0}.ends[0].send(12345); {0}.ends[1].recv()", 0.2, 1),
    ("simple queue: put, get an int", "{0}.simple.put(12345); {0}.simple.get()", 0.2, 1),
    ("queue: put, get an int", "{0}.queue.put(12345); {0}.queue.get()", 0.125, 1),
    ("queue: empty", "{}.queue.empty()", 1, 1),
    ("queue: qsize", "{}.queue.qsize()", None, None),
    ("queue(64): put, get an int", "{0}.bounded.put(12345); {0}.bounded.get()", 0.125, 1),
    (
        "joinable: put, get, task_done",
        "{0}.joinable.put(1); {0}.joinable.get(); {0}.joinable.task_done()",
        1,
        1,
    ),
)


class Objects:
    """One of each that a package makes."""

    def __init__(self, package):
        self.lock, self.rlock, self.semaphore = package.Lock(), package.RLock(), package.Semaphore(1)
        self.condition, self.event = package.Condition(), package.Event()
        self.value, self.array = package.Value("i", 0), package.Array("i", 100)
        self.ends, self.simple = package.Pipe(), package.SimpleQueue()
        self.queue, self.bounded, self.joinable = package.Queue(), package.Queue(64), package.JoinableQueue()


def drop_ins(compiled, quick):
    """What happens within a process that has changed its import."""
    names = {"ours": Objects(drop_in), "theirs": Objects(multiprocessing), "data": b"12345678"}
    cases = (
        (f"drop-in {name}", text.format("ours"), "mp", text.format("theirs"), *aims)
        for name, text, *aims in DROP_INS
    )
    return timed(cases, names, compiled, quick)


class Bare:
    """The foreign calls of a lock by ctypes as a `with` block, whatever they say."""

    __slots__ = ("__enter__", "__exit__")

    def __init__(self, lock):
        self.__enter__, self.__exit__ = lock._bound.tries.__next__, lock._bound.leave


FLOORS = (
    ("floor: two foreign calls", "take(); give()", "with mp.Lock", "with ML: pass", None, None),
    ("floor: with, two foreign calls", "with bare: pass", "with mp.Lock", "with ML: pass", None, None),
    (
        "floor: the same around RV.value += 1",
        "with bare: RV.value += 1",
        "mp",
        "with MV.get_lock(): MV.value += 1",
        None,
        None,
    ),
)


def floors(segment, quick):
    """What no package can go below by ctypes alone."""
    lock = sc.Lock.create(segment, "bare")
    names = {
        "bare": Bare(lock),
        "take": lock._bound.tries.__next__,
        "give": lock._bound.gives.__next__,
        "RV": sharedctypes.RawValue("i"),
        "ML": multiprocessing.Lock(),
        "MV": multiprocessing.Value("i"),
    }
    return timed(FLOORS, names, False, quick)


def bursts(mine, theirs, names, repeats):
    """Nanoseconds a time, of each burst, by turns."""
    timers = [timeit.Timer(statement, globals=names) for statement in (mine, theirs)]
    taken = ([], [])
    for timer in timers:
        timer.timeit(2000)
    for _ in range(repeats):
        for timer, list_ in zip(timers, taken):
            list_.append(timer.timeit(500) / 500 * 1e9)
    return taken


def queues(segment, compiled, quick):
    """Items a second from one process to another."""
    count = 20_000 if quick else 100_000
    queue = sc.Queue.create(segment, "queue", 1024)
    by = {
        "int": (queue.put_object, queue.get_object),
        "byte": (queue.put, queue.get),
    }
    many = {
        "ints": (queue.put_objects, queue.get_objects),
        "bytes": (queue.put_many, queue.get_many),
    }
    flow = partial(between.flow, repeats=3 if quick else 5)
    few = max(2000, count // 10)
    ours, peers = {}, {}
    for name, ends in {**by, **many}.items():
        progress(f"queue: {name}")
        batch = 100 if name in many else None
        ours[name] = flow(*ends, items_of(name), count if compiled else few, batch=batch)
    for name in by:
        progress(f"queue: {name}, the peers")
        peer = multiprocessing.Queue(1000)
        peers[name, "mp"] = flow(peer.put, peer.get, items_of(name), few)
        peer.close()
        peer.join_thread()
        if faster_fifo is not None:
            fifo = faster_fifo.Queue(1_000_000)
            peers[name, "faster-fifo"] = flow(fifo.put, fifo.get, items_of(name), few)
            fifo.close()
    rows = []
    if compiled:
        rows.append(row("queue: int", "1.5 M/s", ours["int"], [1_500_000], "/s", 1, False))
    for (name, peer), rates in peers.items():
        aim = {"mp": 8, "faster-fifo": 3}[peer] if compiled else 1
        rows.append(row(f"queue: {name}", peer, ours[name], rates, "/s", aim, False))
        # With many at a time, three times that again.
        aim = 3 * aim if compiled else 1
        rows.append(row(f"queue: {name}s by hundreds", peer, ours[name + "s"], rates, "/s", aim, False))
    if faster_fifo is None:
        print("faster-fifo is not installed: the queue is not measured beside it", file=sys.stderr)
    return rows


def items_of(name):
    """What makes the items of a case."""
    return between.ints if name.startswith("int") else between.texts


def pipes(segment, compiled, quick):
    """Messages a second from one process to another."""
    count = 20_000 if quick else 100_000
    flow = partial(between.flow, repeats=3 if quick else 5)
    a, b = sc.Pipe.create(segment, "pipe", capacity=1024)
    c, d = multiprocessing.Pipe()
    rows = []
    for name, mine, theirs, make in (
        ("byte", (a.send_bytes, b.recv_bytes), (c.send_bytes, d.recv_bytes), between.texts),
        ("int", (a.send, b.recv), (c.send, d.recv), between.ints),
    ):
        progress(f"pipe: {name}")
        ours = flow(*mine, make, count if compiled else count // 4)
        peer = flow(*theirs, make, count // 4)
        rows.append(row(f"pipe: {name}", "mp", ours, peer, "/s", 5 if compiled else 1, False))
    return rows


def round_trips(segment, compiled, quick):
    """A small message or object there and back, between two processors and on one."""
    trips = 300 if quick else 3000
    a, b = sc.Pipe.create(segment, "there and back")
    c, d = multiprocessing.Pipe()
    e, f = drop_in.Pipe()
    there, back = (sc.Queue.create(segment, name, 64) for name in ("there", "back"))
    out, home = multiprocessing.SimpleQueue(), multiprocessing.SimpleQueue()
    ways = {
        "pipe": ((a.send_bytes, a.recv_bytes), (b.send_bytes, b.recv_bytes)),
        "drop-in pipe": ((e.send_bytes, e.recv_bytes), (f.send_bytes, f.recv_bytes)),
        "queue": ((there.put_object, back.get_object), (back.put_object, there.get_object)),
    }
    theirs = {
        "pipe": ((c.send_bytes, c.recv_bytes), (d.send_bytes, d.recv_bytes)),
        "queue": ((out.put, home.get), (home.put, out.get)),
    }
    rows = []
    for apart in (True, False):
        where = "two processors" if apart else "one processor"
        peers = {name: between.round_trips(*ends, trips, apart) for name, ends in theirs.items()}
        for name, ends in ways.items():
            progress(f"{name}: round trip, {where}")
            taken = between.round_trips(*ends, trips, apart)
            peer = peers[name.split()[-1]]
            aim = 0.1 if compiled and apart else 1
            rows.append(row(f"{name}: round trip, {where}", "mp", taken, peer, "ns", aim, True))
            if compiled and apart and name == "queue":
                rows.append(row(f"{name}: round trip, {where}", "5 µs", taken, [5000], "ns", 1, True))
    return rows


def progress(what):
    """Says on a terminal what is being measured."""
    if sys.stderr.isatty():
        print(f"\r{what:60s}\r", end="", file=sys.stderr)
