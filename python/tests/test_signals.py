"""Ctrl-C ends every wait, and no signal handler that raises loses an item or leaves a lock held."""

import itertools
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest
from processes import PATIENCE
from test_toolbox import INTERRUPTED

import sharecell as sc

WAITS = {
    "lock": "l.acquire()",
    "lock, with a timeout": "l.acquire(timeout=1000)",
    "lock, with": "l.__enter__()",
    "lock, with a repair": "l.acquire_or_repair(print)",
    "value's lock": "v.get_lock().acquire()",
    "array's lock": "a.get_lock().__enter__()",
    "semaphore": "s.acquire()",
    "semaphore, with": "s.__enter__()",
    "get": "empty.get()",
    "get, with a timeout": "empty.get(timeout=1000)",
    "get_many": "empty.get_many(5)",
    "recv": "empty.recv()",
    "put": "full.put(b'x')",
    "put_many": "full.put_many([b'x', b'y'])",
    "reserve": "full.reserve(1)",
    "pipe's recv_bytes": "p.recv_bytes()",
    "pipe's recv": "p.recv()",
    "pipe's recv_bytes_into": "p.recv_bytes_into(bytearray(5))",
    "pipe's recv_in_place": "p.recv_in_place(timeout=1000)",
    "pipe's poll": "p.poll(None)",
    "pipe's send_bytes": "crowded.send_bytes(b'x')",
    "pipe's reserve": "crowded.reserve(1)",
    "open": "sc.Segment.open(seg.name + '-never', wait=1000)",
}

OPEN = """
l, v, a = sc.Lock.open(seg, 'l'), sc.Value.open(seg, 'v', 'i'), sc.Array.open(seg, 'a', 'i')
s, empty, full = sc.Semaphore.open(seg, 's'), sc.Queue.open(seg, 'empty'), sc.Queue.open(seg, 'full')
p, crowded = sc.Pipe.open(seg, 'p', 'A'), sc.Pipe.open(seg, 'crowded', 'A')
"""


@pytest.fixture
def stuck(seg):
    """Objects on which every wait is in vain."""
    lock = sc.Lock.create(seg, "l")
    value, array = sc.Value.create(seg, "v", "i"), sc.Array.create(seg, "a", "i", 1)
    locks = [lock, value.get_lock(), array.get_lock()]
    for each in locks:
        each.acquire()
    semaphore = sc.Semaphore.create(seg, "s", 0)
    empty, full = sc.Queue.create(seg, "empty", 1), sc.Queue.create(seg, "full", 1)
    full.put(b"full")
    ends = [*sc.Pipe.create(seg, "p"), *sc.Pipe.create(seg, "crowded", capacity=1)]
    ends[2].send_bytes(b"1")
    yield locks, semaphore, empty, full, ends


# Every call of the C ABI that waits, and the test here or in test_toolbox.py in which a signal ends it.
COVERED = {
    "shc_array_lock": "array's lock",
    "shc_barrier_wait": "barrier",
    "shc_barrier_wait_with": "with an action",
    "shc_condition_acquire": "condition's lock",
    "shc_condition_wait": "condition",
    "shc_condition_wait_for": "wait_for",
    "shc_event_wait": "event",
    "shc_lock_acquire": "lock",
    "shc_lock_acquire_or_repair": "lock, with a repair",
    "shc_pipe_poll": "pipe's poll",
    "shc_pipe_recv": "pipe's recv_bytes_into",
    "shc_pipe_recv_in_place": "pipe's recv_in_place",
    "shc_pipe_reserve": "pipe's reserve",
    "shc_pipe_send": "pipe's send_bytes",
    "shc_queue_get": "get",
    "shc_queue_get_many": "get_many",
    "shc_queue_join": "join",
    "shc_queue_put": "put",
    "shc_queue_put_many": "put_many",
    "shc_queue_recv": "recv",
    "shc_queue_reserve": "reserve",
    "shc_rlock_acquire": "rlock",
    "shc_rwlock_acquire_read": "read",
    "shc_rwlock_acquire_write": "write",
    "shc_semaphore_acquire": "semaphore",
    "shc_value_lock": "value's lock",
    "shc_wait_any": "wait_any",
}


# The companion tries with these, and never waits.
TRIED = {"shc_queue_get_with", "shc_pipe_recv_with"}


def test_no_wait_is_left_out():
    header = pathlib.Path(__file__).parents[2] / "include" / "sharecell.h"
    functions = re.findall(r"\nshc_status (\w+)\(([^;]*)\);", header.read_text(encoding="utf-8"))
    waits = {name for name, arguments in functions if "timeout_ns" in arguments}
    assert len(waits) > 20 and {*COVERED, *TRIED} == waits
    assert set(COVERED.values()) <= {*WAITS, *INTERRUPTED}


def check_nothing_happened(stuck):
    locks, semaphore, empty, full, ends = stuck
    for lock in locks:
        lock.release()
        assert lock.acquire(False) and not lock.owner_died
        lock.release()
    semaphore.release()
    assert semaphore.get_value() == 1
    empty.put(b"x", timeout=PATIENCE)
    assert empty.get(timeout=PATIENCE) == b"x" and full.get(timeout=60) == b"full" and full.empty()
    assert ends[3].recv_bytes(PATIENCE) == b"1" and not ends[3].poll()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS)
def test_ctrl_c(stuck, child, wait, number):
    waiter = child(
        f"""{OPEN}
signal.signal({number:d}, signal.default_int_handler)
try:
    say('waits')
    {wait}
except KeyboardInterrupt:
    say('interrupted')
hear()
"""
    )
    assert waiter.line() == "waits"
    waiter.sleeps()
    waiter.signal(number)
    assert waiter.line() == "interrupted"
    check_nothing_happened(stuck)


@pytest.mark.parametrize("wait", ["l.acquire()", "empty.get()", "p.poll(None)", "full.put(b'x')"])
def test_a_signal_that_another_thread_is_given(stuck, child, wait):
    waiter = child(
        f"""{OPEN}
threading.Thread(target=hear, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
try:
    say('waits')
    {wait}
except KeyboardInterrupt:
    say('interrupted')
os._exit(0)
"""
    )
    assert waiter.line() == "waits"
    waiter.sleeps()
    waiter.signal(signal.SIGINT)
    assert waiter.line() == "interrupted"
    waiter.finish()
    check_nothing_happened(stuck)


@pytest.mark.parametrize("restart", [False, True])
def test_a_handler_that_returns_does_not_end_the_wait(seg, child, restart):
    q = sc.Queue.create(seg, "q")
    waiter = child(
        f"""
        signal.signal(signal.SIGUSR1, lambda *_: say('handled'))
        signal.siginterrupt(signal.SIGUSR1, {not restart})
        q = sc.Queue.open(seg, 'q')
        say('waits')
        say(q.get(timeout=1000))
        """
    )
    assert waiter.line() == "waits"
    for _ in range(3):
        waiter.sleeps()
        waiter.signal(signal.SIGUSR1)
        assert waiter.line() == "handled"
    q.put(b"there")
    assert waiter.line() == "b'there'"


def test_a_handler_may_put_and_release(seg, child):
    q, s = sc.Queue.create(seg, "q"), sc.Semaphore.create(seg, "s", 0)
    waiter = child(
        """
        q, s = sc.Queue.open(seg, 'q'), sc.Semaphore.open(seg, 's')
        def handler(*_):
            q.put(b'from the handler')
            s.release()
        signal.signal(signal.SIGUSR1, handler)
        say('waits')
        s.acquire()
        say(q.get())
        """
    )
    assert waiter.line() == "waits"
    waiter.sleeps()
    waiter.signal(signal.SIGUSR1)
    assert waiter.line() == "b'from the handler'"
    assert q.empty() and s.get_value() == 0


class Alarm(Exception):
    pass


RINGER = """
import os, signal, sys, time
while os.getppid() == int(sys.argv[1]):
    os.kill(int(sys.argv[1]), signal.SIGUSR1)
    time.sleep(0.0001)
"""


@pytest.fixture
def alarms():
    """Alarms that raise, at any instruction, until they have done so 1000 times."""
    if sys.version_info < (3, 10):
        pytest.skip("up to 3.9, handlers run between any two instructions, also those of a return")

    def ring(*_):
        if armed:
            armed.clear()
            raise Alarm

    armed = []
    before = signal.signal(signal.SIGUSR1, ring)
    ringer = subprocess.Popen([sys.executable, "-c", RINGER, str(os.getpid())])

    def attempts(action):
        rung = 0
        while rung < 1000:
            try:
                armed.append(True)
                action()
                armed.clear()
            except Alarm:
                rung += 1
            yield

    yield attempts
    ringer.kill()
    ringer.wait()
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize(
    "make",
    [
        lambda seg: sc.Lock.create(seg, "x"),
        lambda seg: sc.Value.create(seg, "x", "i").get_lock(),
    ],
    ids=["lock", "value's lock"],
)
def test_alarms_leave_no_lock_held(seg, alarms, make):
    lock = make(seg)

    def use():
        with lock:
            inside = lock.owner_died
            return inside

    for _ in alarms(use):
        assert lock.acquire(False), "the lock stayed held"
        lock.release()


@pytest.mark.parametrize("timeout", [0, 0.00001])
def test_alarms_say_whether_it_was_acquired(seg, alarms, timeout):
    lock, semaphore = sc.Lock.create(seg, "l"), sc.Semaphore.create(seg, "s", 1)
    got = []

    for thing, is_free in (
        (lock, lambda: lock.holder() == 0),
        (semaphore, lambda: semaphore.get_value() == 1),
    ):
        # In one step: what happens after the return is no matter of the lock.
        for _ in alarms(lambda acquire=thing.acquire: got.extend(map(acquire, [True], [timeout]))):
            assert is_free() != bool(got)
            if got:
                thing.release()
                got.clear()


def test_alarms_keep_no_permit(seg, alarms):
    semaphore = sc.Semaphore.create(seg, "s", 1)

    def use():
        with semaphore:
            pass

    for _ in alarms(use):
        assert semaphore.get_value() == 1


@pytest.mark.parametrize("many", [False, True])
def test_alarms_lose_no_item(seg, alarms, many):
    q = sc.Queue.create(seg, "q", 16)
    got = []
    numbers = itertools.count()
    call, arguments = (q.get_many, (4, 0)) if many else (q.get, (False,))

    def use():
        # In one step: what happens after the return is no matter of the queue.
        got.extend(map(call, *([argument] for argument in arguments)))

    def fill():
        while q.qsize() < 8:
            q.put(b"%d" % next(numbers))

    fill()
    for _ in alarms(use):
        fill()
    got += q.get_many(100) if not many else [q.get_many(100)]
    items = [int(item) for batch in got for item in (batch if many else [batch])]
    assert sorted(items) == list(range(next(numbers))), "each once"
    assert items == sorted(items), "and in order"
    assert q.empty()


def test_alarms_lose_no_message(seg, alarms):
    a, b = sc.Pipe.create(seg, "p")
    got = []
    sent = [0]

    def use():
        got.extend(map(b.recv_bytes, [0]))

    def fill():
        while sent[0] - len(got) < 8:
            a.send_bytes(b"%d" % sent[0])
            sent[0] += 1

    fill()
    for _ in alarms(use):
        fill()
    while b.poll():
        got.append(b.recv_bytes())
    assert [int(message) for message in got] == list(range(sent[0]))


def test_alarms_lose_no_item_in_place(seg, alarms):
    q = sc.Queue.create(seg, "q", 16)
    q.put(b"work")

    def use():
        with q.recv(False) as item:
            item.put_back()

    for _ in alarms(use):
        assert q.qsize() == 1
    assert q.get(False) == b"work"


def test_alarms_leave_no_place_reserved(seg, alarms):
    q = sc.Queue.create(seg, "q", 4)

    def use():
        with q.reserve(8, False) as slot:
            slot.abort()

    for _ in alarms(use):
        pass
    for _ in range(8):
        q.put(b"x", timeout=PATIENCE)
        q.get(timeout=PATIENCE)


def test_alarms_leave_no_handle_open(name, alarms):
    segment = sc.Segment.create(name, ephemeral=True)
    sc.Value.create(segment, "v", "i")

    def use():
        sc.Value.open(segment, "v", "i").close()
        for end in sc.Pipe.create(segment, "p"):
            end.close()

    for _ in alarms(use):
        if any(info.name == "p" for info in segment.objects()):
            segment.remove("p")
    segment.close()
    assert not os.path.exists(f"/dev/shm/sharecell.{name}")
