"""Two processes, pinned to two processors, and what goes between them."""

import contextlib
import multiprocessing
import os
import time

_fork = multiprocessing.get_context("fork")


@contextlib.contextmanager
def pinned(number):
    """This process runs on one processor, another for each number."""
    before = os.sched_getaffinity(0)
    processors = sorted(before)
    os.sched_setaffinity(0, {processors[number % len(processors)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def ints(count):
    """Small objects."""
    return list(range(count))


def texts(count):
    """Small byte strings."""
    return [b"%08d" % number for number in range(count)]


def flow(put, get, make, count, repeats, batch=None):
    """Items a second that one process puts and this one gets, each time; all must have come in order."""
    items = make(count)
    rates = []
    for _ in range(repeats):
        ready, go = _fork.Event(), _fork.Event()
        sender = _fork.Process(target=_send, args=(put, items, batch, ready, go))
        sender.start()
        with pinned(0):
            ready.wait()
            start = time.perf_counter()
            go.set()
            got = _receive(get, count, batch)
            rates.append(count / (time.perf_counter() - start))
        sender.join()
        assert got == items, "what came is not what was sent"
    return rates


def _send(put, items, batch, ready, go):
    with pinned(1):
        ready.set()
        go.wait()
        if batch is None:
            for item in items:
                put(item)
            return
        for start in range(0, len(items), batch):
            put(items[start : start + batch])


def _receive(get, count, batch):
    if batch is None:
        return [get() for _ in range(count)]
    got = []
    while len(got) < count:
        got += get(batch)
    return got


def round_trips(mine, other, count, apart):
    """Nanoseconds of each round trip of a small message, between two processors or on one."""
    (send, receive), (answer, take) = mine, other
    echo = _fork.Process(target=_echo, args=(answer, take, count, int(apart)))
    echo.start()
    taken = []
    with pinned(0):
        for _ in range(count):
            start = time.perf_counter_ns()
            send(b"12345678")
            receive()
            taken.append(time.perf_counter_ns() - start)
    echo.join()
    return taken[count // 10 :]


def _echo(answer, take, count, processor):
    with pinned(processor):
        for _ in range(count):
            answer(take())
