"""What Python has, measured one trial at a time: peers.py list, or peers.py run GROUP PEER COUNT."""

import contextlib
import json
import multiprocessing
import os
import sys
import tempfile
import time

CONTEXT = multiprocessing.get_context("fork")
ITEM_BYTES = 8
CAPACITY = 1024


def pin(rank):
    """This process on the processor of its rank."""
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {processors[rank % len(processors)]})


def unique():
    """A name that nobody else uses."""
    return f"shcbench-py-{os.getpid()}"


@contextlib.contextmanager
def sharecell_segment():
    """A segment for one trial, and the library."""
    import sharecell

    with sharecell.Segment.create(unique(), limit=1 << 28, ephemeral=True) as segment:
        yield sharecell, segment


# Queues: each yields what the putting and what the getting process makes of it, as functions.


@contextlib.contextmanager
def sharecell_queue():
    """sharecell's queue of byte strings."""
    with sharecell_segment() as (sharecell, segment):
        queue = sharecell.Queue.create(segment, "queue", CAPACITY)
        yield (lambda: queue.put), (lambda: queue.get)


@contextlib.contextmanager
def standard_queue():
    """multiprocessing's queue, with its feeder thread."""
    queue = CONTEXT.Queue(CAPACITY)
    yield (lambda: queue.put), (lambda: queue.get)


@contextlib.contextmanager
def simple_queue():
    """multiprocessing's queue without a thread."""
    queue = CONTEXT.SimpleQueue()
    yield (lambda: queue.put), (lambda: queue.get)


@contextlib.contextmanager
def standard_pipe():
    """multiprocessing's pipe."""
    get, put = CONTEXT.Pipe(duplex=False)
    yield (lambda: put.send_bytes), (lambda: get.recv_bytes)


@contextlib.contextmanager
def faster_fifo_queue():
    """faster-fifo, raw bytes."""
    import faster_fifo

    queue = faster_fifo.Queue(max_size_bytes=CAPACITY * 32, loads=bytes, dumps=bytes)
    yield (lambda: lambda item: queue.put(item, timeout=60)), (lambda: lambda: queue.get(timeout=60))


@contextlib.contextmanager
def zmq_queue():
    """Pyzmq over a Unix socket."""
    import zmq

    with tempfile.TemporaryDirectory() as folder:
        address = f"ipc://{folder}/socket"

        def putter():
            socket = zmq.Context().socket(zmq.PUSH)
            socket.bind(address)
            return socket.send

        def getter():
            socket = zmq.Context().socket(zmq.PULL)
            socket.connect(address)
            return socket.recv

        yield putter, getter


@contextlib.contextmanager
def posix_queue():
    """A POSIX message queue."""
    import posix_ipc

    with open("/proc/sys/fs/mqueue/msg_max") as file:
        most = int(file.read())
    name = "/" + unique()
    queue = posix_ipc.MessageQueue(
        name, posix_ipc.O_CREX, max_messages=min(CAPACITY, most), max_message_size=ITEM_BYTES
    )
    try:
        yield (lambda: queue.send), (lambda: lambda: queue.receive()[0])
    finally:
        queue.close()
        posix_ipc.unlink_message_queue(name)


def one_way(queue, count):
    """Items per second from one process to another, after a lap before the clock runs."""
    with queue() as (putter, getter):
        ready = CONTEXT.Barrier(2)

        def put_all():
            pin(0)
            put = putter()
            for _ in range(CAPACITY):
                put(bytes(ITEM_BYTES))
            ready.wait()
            for number in range(count):
                put(number.to_bytes(ITEM_BYTES, "little"))
            ready.wait()  # zmq's thread may lose what it has not sent when its process ends

        child = CONTEXT.Process(target=put_all)
        child.start()
        pin(1)
        get = getter()
        for _ in range(CAPACITY):
            get()
        ready.wait()
        start = time.perf_counter_ns()
        total = sum(int.from_bytes(get(), "little") for _ in range(count))
        elapsed = time.perf_counter_ns() - start
        ready.wait()
        child.join()
    if total != count * (count - 1) // 2:
        raise RuntimeError("not what was sent")
    return count / elapsed * 1e9, elapsed


# Operations of one process: each yields a function to be called over and over.


@contextlib.contextmanager
def sharecell_lock():
    """sharecell's lock, by `with`."""
    with sharecell_segment() as (sharecell, segment):
        lock = sharecell.Lock.create(segment, "lock")

        def pair():
            with lock:
                pass

        yield pair


@contextlib.contextmanager
def standard_lock():
    """multiprocessing's lock, by `with`."""
    lock = CONTEXT.Lock()

    def pair():
        with lock:
            pass

    yield pair


@contextlib.contextmanager
def posix_semaphore():
    """A named POSIX semaphore, by `with`."""
    import posix_ipc

    name = "/" + unique()
    semaphore = posix_ipc.Semaphore(name, posix_ipc.O_CREX, initial_value=1)

    def pair():
        with semaphore:
            pass

    try:
        yield pair
    finally:
        semaphore.close()
        posix_ipc.unlink_semaphore(name)


@contextlib.contextmanager
def sharecell_value_get():
    """Reading sharecell's value."""
    with sharecell_segment() as (sharecell, segment):
        value = sharecell.Value.create(segment, "value", "q")
        yield lambda: value.value


@contextlib.contextmanager
def standard_value_get():
    """Reading multiprocessing's value, as it comes: with its lock."""
    value = CONTEXT.Value("q", 0)
    yield lambda: value.value


@contextlib.contextmanager
def raw_value_get():
    """Reading multiprocessing's value without a lock."""
    value = CONTEXT.RawValue("q", 0)
    yield lambda: value.value


@contextlib.contextmanager
def sharecell_value_add():
    """Adding to sharecell's value."""
    with sharecell_segment() as (sharecell, segment):
        value = sharecell.Value.create(segment, "value", "q")
        yield lambda: value.add(1)


@contextlib.contextmanager
def standard_value_add():
    """Adding to multiprocessing's value under its lock."""
    value = CONTEXT.Value("q", 0)

    def add():
        with value.get_lock():
            value.value += 1

    yield add


def over_and_over(operation, count):
    """Nanoseconds of one call."""
    with operation() as call:
        pin(0)
        start = time.perf_counter_ns()
        for _ in range(count):
            call()
        elapsed = time.perf_counter_ns() - start
    return elapsed / count, elapsed


GROUPS = {
    "python.queue": (
        "Python: items of 8 bytes, one puts and one gets",
        "items/s",
        one_way,
        {
            "sharecell.Queue": sharecell_queue,
            "multiprocessing.Queue": standard_queue,
            "multiprocessing.SimpleQueue": simple_queue,
            "multiprocessing.Pipe": standard_pipe,
            "faster-fifo, raw bytes": faster_fifo_queue,
            "pyzmq, ipc": zmq_queue,
            "posix_ipc.MessageQueue": posix_queue,
        },
    ),
    "python.lock": (
        "Python: `with lock`, nobody else wants it",
        "ns",
        over_and_over,
        {
            "sharecell.Lock": sharecell_lock,
            "multiprocessing.Lock": standard_lock,
            "posix_ipc.Semaphore": posix_semaphore,
        },
    ),
    "python.value.get": (
        "Python: a value, read",
        "ns",
        over_and_over,
        {
            "sharecell.Value": sharecell_value_get,
            "multiprocessing.Value": standard_value_get,
            "multiprocessing.RawValue": raw_value_get,
        },
    ),
    "python.value.add": (
        "Python: a value, added to so that nothing is lost",
        "ns",
        over_and_over,
        {
            "sharecell.Value": sharecell_value_add,
            "multiprocessing.Value": standard_value_add,
        },
    ),
}


def main(command, *arguments):
    """Lists, or runs one trial; the answer is a line of JSON."""
    if command == "list":
        answer = [
            {"id": name, "title": title, "unit": unit, "peers": list(peers)}
            for name, (title, unit, _, peers) in GROUPS.items()
        ]
    else:
        group, peer, count = arguments
        _, _, measure, peers = GROUPS[group]
        try:
            value, elapsed = measure(peers[peer], int(count))
            answer = {"value": value, "elapsed_ns": elapsed}
        except (ImportError, OSError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
