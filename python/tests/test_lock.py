import gc
import sys
import threading
import time

import pytest
from processes import forked

import sharecell as sc


def test_acquire_and_release(seg):
    a, b = sc.Lock.create(seg, "l"), sc.Lock.open(seg, "l")
    assert a.acquire() is True and a.owner_died is False
    (me,) = seg.participants()
    assert a.holder() == b.holder() == me.label
    assert b.acquire(False) is False
    assert b.acquire(timeout=0) is b.acquire(timeout=-1) is b.acquire(True, 0.01) is False
    b.release()
    assert a.holder() == 0 and b.acquire(block=True, timeout=5)
    b.release()


def test_with(seg):
    lock = sc.Lock.create(seg, "l")
    with lock as held:
        assert held is lock and lock.holder() != 0
    assert lock.holder() == 0 and not lock.closed
    with pytest.raises(KeyError), lock:
        raise KeyError
    assert lock.holder() == 0
    with pytest.raises(sc.NotHeldError), lock:
        lock.release()


@pytest.mark.skipif(sys.implementation.name != "cpython", reason="others count no references")
def test_nothing_waits_for_the_collector(name):
    gc.disable()
    try:
        segment = sc.Segment.create(name, ephemeral=True)
        things = [
            sc.Lock.create(segment, "lock"),
            sc.RLock.create(segment, "rlock"),
            sc.RwLock.create(segment, "rwlock"),
            sc.Condition.create(segment, "condition"),
            sc.Semaphore.create(segment, "semaphore", 1),
            sc.Event.create(segment, "event"),
            sc.Value.create(segment, "value", "i"),
            sc.Array.create(segment, "array", "i", 3),
            sc.Queue.create(segment, "queue", 4),
        ]
        with things[0], things[1], things[2].read(), things[3], things[4]:
            things[3].notify()
        with things[6].get_lock(), things[7].get_lock():
            things[8].put(b"x")
        things.clear()
        segment.close()
    finally:
        gc.enable()


def test_release_of_what_is_not_held(seg):
    lock = sc.Lock.create(seg, "l")
    with pytest.raises(sc.NotHeldError) as caught:
        lock.release()
    assert isinstance(caught.value, ValueError)


def test_release_of_what_another_process_holds(seg, child):
    lock = sc.Lock.create(seg, "l")
    other = child("l = sc.Lock.open(seg, 'l'); l.acquire(); say('held'); hear(); l.release(); say('free')")
    other.line()
    with pytest.raises(sc.NotOwnerError) as caught:
        lock.release()
    assert isinstance(caught.value, RuntimeError)
    assert not lock.acquire(timeout=0.01)
    other.tell("go")
    assert other.line() == "free"
    assert lock.acquire()
    lock.release()


def test_a_timeout_bounds_the_call(seg, child):
    lock = sc.Lock.create(seg, "l")
    other = child("l = sc.Lock.open(seg, 'l'); l.acquire(); say('held'); hear()")
    other.line()
    start = time.monotonic()
    assert not lock.acquire(timeout=0.5)
    assert time.monotonic() - start >= 0.5


@pytest.mark.parametrize("timeout, error", [(float("nan"), sc.InvalidArgumentError), ("1", TypeError)])
def test_timeouts_that_cannot_be(seg, timeout, error):
    lock = sc.Lock.create(seg, "l")
    with lock, pytest.raises(error):
        lock.acquire(timeout=timeout)


def test_any_thread_of_the_process_releases(seg):
    lock = sc.Lock.create(seg, "l")
    lock.acquire()
    thread = threading.Thread(target=lock.release)
    thread.start()
    assert lock.acquire(), "waits for the other thread"
    thread.join()
    lock.release()


def test_threads_exclude_each_other(seg):
    lock = sc.Lock.create(seg, "l")
    count = [0]

    def work():
        for _ in range(2000):
            with lock:
                now = count[0]
                time.sleep(0)
                count[0] = now + 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count[0] == 8000


def test_processes_exclude_each_other(seg, child):
    lock, count = sc.Lock.create(seg, "l"), sc.Value.create(seg, "v", "q")
    code = """
    l, v = sc.Lock.open(seg, 'l'), sc.Value.open(seg, 'v', 'q')
    for _ in range(5000):
        with l: v.value = v.value + 1
    """
    others = [child(code) for _ in range(2)]
    for _ in range(5000):
        with lock:
            count.value = count.value + 1
    for other in others:
        other.finish()
    assert count.value == 15000


@pytest.mark.parametrize(
    "make, open",
    [
        ("sc.Lock.create(seg, 'x')", "sc.Lock.open(seg, 'x')"),
        ("sc.Value.create(seg, 'x', 'i')", "sc.Value.open(seg, 'x', 'i').get_lock()"),
        ("sc.Array.create(seg, 'x', 'i', 3)", "sc.Array.open(seg, 'x', 'i').get_lock()"),
    ],
)
@pytest.mark.parametrize("waits", [False, True])
def test_a_killed_holder(seg, child, make, open, waits):
    made = eval(make)
    holder = child(f"l = {open}; l.acquire(); say('held'); hear()")
    holder.line()
    lock = eval(open)
    assert not lock.acquire(False)
    if waits:
        waiter = child(f"l = {open}; say('waits'); l.acquire(); say(l.owner_died); l.release(); say('free')")
        waiter.line()
        waiter.sleeps()
        holder.kill()
        assert waiter.line() == "True"
        assert waiter.line() == "free"
        assert lock.acquire() and not lock.owner_died
    else:
        holder.kill()
        assert lock.acquire() and lock.owner_died
        second = child(f"l = {open}; say(l.acquire(False))")
        assert second.line() == "False"
    lock.release()
    with lock:
        assert not lock.owner_died, "released in good order"
    assert made.name == "x"


def test_every_owner_is_told_until_one_releases(seg, child):
    lock = sc.Lock.create(seg, "l")
    for _ in range(2):
        holder = child("l = sc.Lock.open(seg, 'l'); l.acquire(); say(l.owner_died); hear()")
        holder.line()
        holder.kill()
    with lock:
        assert lock.owner_died
    with lock:
        assert not lock.owner_died


def test_a_fork_leaves_the_lock_with_the_parent(seg):
    lock = sc.Lock.create(seg, "l")

    def use():
        with pytest.raises(sc.NotOwnerError):
            lock.release()
        return not lock.acquire(False) and not lock.acquire(timeout=0.01)

    with lock:
        assert forked(use)
        assert lock.holder() != 0, "and its end changes nothing"
    assert forked(lambda: lock.acquire(False)), "it is another participant"
    with lock:
        assert lock.owner_died, "which has died with the lock"


def test_closing_while_another_thread_waits(seg):
    lock = sc.Lock.create(seg, "l")
    other = sc.Lock.open(seg, "l")
    found = []

    def wait():
        try:
            other.acquire()
        except sc.InvalidHandleError as error:
            found.append(error)

    with lock:
        thread = threading.Thread(target=wait)
        thread.start()
        while not found:
            other.close()
            thread.join(0.01)
    thread.join()
    assert lock.acquire(False)
    lock.release()


def test_use_after_close(seg):
    lock = sc.Lock.create(seg, "l")
    lock.close()
    for use in (lock.acquire, lock.release, lock.holder, lock.__enter__):
        with pytest.raises(sc.InvalidHandleError, match="lock 'l' was closed"):
            use()
