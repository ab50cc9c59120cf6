"""Locks of all kinds, conditions, events, barriers, joinable queues, and waiting for any of several."""

import os
import pickle
import random
import selectors
import signal
import socket
import textwrap
import threading

import pytest
from processes import PATIENCE, eventually, forked, left_alone

import sharecell as sc

KINDS = {
    "rlock": sc.RLock,
    "rwlock": sc.RwLock,
    "condition": sc.Condition,
    "event": sc.Event,
    "barrier": sc.Barrier,
    "bounded": sc.BoundedSemaphore,
}


def make(seg, kind, name="x"):
    return KINDS[kind].create(seg, name, *([2] if kind == "barrier" else []))


@pytest.mark.parametrize("kind", KINDS)
def test_what_all_have(seg, kind):
    cls, parties = KINDS[kind], [2] if kind == "barrier" else []
    made = make(seg, kind)
    with pytest.raises(sc.AlreadyExistsError):
        make(seg, kind)
    with pytest.raises(sc.NotFoundError):
        cls.open(seg, "y")
    with pytest.raises(sc.WrongKindError):
        sc.Value.open(seg, "x", "i")
    with pytest.raises(TypeError):
        cls()
    assert made.name == "x" and made.segment is seg
    assert [info.kind for info in seg.objects()] == ["semaphore" if kind == "bounded" else kind]
    assert cls.open_or_create(seg, "x", *parties).name == "x"
    assert cls.open_or_create(seg, "z", *parties).name == "z" and len(seg.objects()) == 2
    assert type(pickle.loads(pickle.dumps(made))) is cls
    made.close()
    made.close()
    assert made.closed and "closed" in repr(made)


@pytest.mark.parametrize(
    "kind, calls",
    [
        ("rlock", ["acquire", "release", "holder"]),
        ("rwlock", ["acquire_read", "acquire_write", "release_read", "release_write"]),
        ("condition", ["acquire", "release", "wait", "notify", "notify_all", "waiters"]),
        ("event", ["set", "clear", "is_set", "wait"]),
        ("barrier", ["wait", "abort", "reset"]),
    ],
)
def test_use_after_close(seg, kind, calls):
    thing = make(seg, kind)
    thing.close()
    for call in calls:
        with pytest.raises(sc.InvalidHandleError, match=f"{kind} 'x' was closed"):
            getattr(thing, call)()


HOLDERS = {
    "rlock": (sc.RLock, "t.acquire(); t.acquire()"),
    "condition": (sc.Condition, "t.acquire()"),
    "rwlock": (sc.RwLock, "t.acquire_write()"),
}


@pytest.mark.parametrize("kind", HOLDERS)
def test_the_owner_is_killed(seg, child, kind):
    cls, hold = HOLDERS[kind]
    thing = cls.create(seg, "t")
    lock = thing.write() if kind == "rwlock" else thing
    holder = child(f"t = sc.{cls.__name__}.open(seg, 't'); {hold}; say('held'); hear()")
    holder.line()
    assert not lock.acquire(False) and not lock.acquire(timeout=0.01)
    with pytest.raises(sc.NotOwnerError):
        lock.release()
    open = f"sc.{cls.__name__}.open(seg, 't')" + (".write()" if kind == "rwlock" else "")
    waiter = child(f"t = {open}; say('waits'); t.acquire(); say(t.owner_died); hear()")
    waiter.line()
    waiter.sleeps()
    holder.kill()
    assert waiter.line() == "True"
    waiter.kill()
    with lock:
        assert lock.owner_died, "nobody has released it in good order"
    with lock:
        assert not lock.owner_died
    with pytest.raises(sc.NotHeldError):
        lock.release()


def test_rlock(seg, child):
    lock = sc.RLock.create(seg, "l")
    with lock as held, lock:
        assert held is lock and lock.holder() == seg.participants()[0].label
        lock.release()
        assert lock.acquire(timeout=5)
    assert lock.holder() == 0
    lock.acquire()
    found = []
    thread = threading.Thread(target=lambda: found.append(lock.acquire(False)))
    thread.start()
    thread.join()
    assert found == [False], "another thread is somebody else"
    assert forked(lambda: not lock.acquire(False))
    lock.release()


def test_rwlock(seg, child):
    lock = sc.RwLock.create(seg, "l")
    code = (
        "l = sc.RwLock.open(seg, 'l'); l.acquire_read(); say('reads'); hear(); l.release_read(); say('end')"
    )
    readers = [child(code) for _ in range(2)]
    for reader in readers:
        assert reader.line() == "reads"
    with lock.read():
        assert not lock.acquire_write(False) and not lock.acquire_write(timeout=0.01)
    readers[0].kill()
    assert not lock.acquire_write(False), "one reads on"
    readers[1].tell("end")
    assert readers[1].line() == "end"
    with lock.write() as side:
        assert not side.owner_died and not lock.owner_died, (
            "readers that are killed leave nothing half changed"
        )
        assert not lock.acquire_read(False) and not lock.acquire_read(timeout=0.01)
    with pytest.raises(sc.NotHeldError):
        lock.release_read()
    with pytest.raises(sc.NotHeldError):
        lock.release_write()
    with pytest.raises(KeyError), lock.write():
        raise KeyError
    with pytest.raises(TypeError, match="read"), lock:
        pass
    assert lock.acquire_write(False)
    lock.release_write()


def test_a_killed_reader_wakes_a_writer(seg, child):
    sc.RwLock.create(seg, "l")
    reader = child("l = sc.RwLock.open(seg, 'l'); l.acquire_read(); say('reads'); hear()")
    reader.line()
    writer = child("l = sc.RwLock.open(seg, 'l'); say('waits'); l.acquire_write(); say(l.owner_died)")
    writer.line()
    writer.sleeps()
    reader.kill()
    assert writer.line() == "False"


WAITER = """
c, v = sc.Condition.open(seg, 'c'), sc.Value.open(seg, 'v', 'q')
with c:
    say('waits')
    say(c.wait(), v.value)
"""


def test_condition(seg, child):
    c, v = sc.Condition.create(seg, "c"), sc.Value.create(seg, "v", "q")
    with c:
        assert c.wait(0) is c.wait(-1) is c.wait(0.01) is False
        assert c.wait_for(lambda: v.value, 0.01) == 0
        assert c.wait_for(lambda: "good") == "good"
    for misuse in (c.wait, c.notify, c.notify_all, lambda: c.wait_for(lambda: False)):
        with pytest.raises(sc.NotHeldError):
            misuse()
    waiters = [child(WAITER) for _ in range(3)]
    for waiter in waiters:
        assert waiter.line() == "waits"
    eventually(lambda: c.waiters() == 3)
    with c:
        v.value = 1
        for refused in (1.0, "1", -1):
            with pytest.raises((TypeError, sc.InvalidArgumentError)):
                c.notify(refused)
        c.notify(2)
        assert c.waiters() == 1
    with c:
        c.notify_all()
    for waiter in waiters:
        assert waiter.line() == "True 1"
        waiter.finish()


def test_a_predicate_of_several_processes(seg, child):
    c, v = sc.Condition.create(seg, "c"), sc.Value.create(seg, "v", "q")
    code = """
    c, v = sc.Condition.open(seg, 'c'), sc.Value.open(seg, 'v', 'q')
    for _ in range(100):
        with c:
            c.wait_for(lambda: v.value % 2 == 1)
            v.value += 1
            c.notify_all()
    """
    other = child(code)
    for _ in range(100):
        with c:
            assert c.wait_for(lambda: v.value % 2 == 0, PATIENCE)
            v.value += 1
            c.notify_all()
    other.finish()
    assert v.value == 200


def test_a_notification_of_a_killed_waiter_passes_on(seg, child):
    c = sc.Condition.create(seg, "c")
    sc.Value.create(seg, "v", "q")
    first, second = child(WAITER), None
    first.line()
    eventually(lambda: c.waiters() == 1)
    second = child(WAITER)
    second.line()
    eventually(lambda: c.waiters() == 2)
    with c:
        c.notify()
        first.kill()  # it was notified, and cannot have the lock
    assert second.line() == "True 0"


def test_the_notifier_is_killed_with_the_lock(seg, child):
    c = sc.Condition.create(seg, "c")
    other = child(
        "c = sc.Condition.open(seg, 'c'); c.acquire(); say('holds'); hear(); c.notify(); say('done'); hear()"
    )
    found = []

    def wait():
        with c:
            ready.set()
            found.append((c.wait(PATIENCE), c.owner_died))

    ready = threading.Event()
    other.line()
    thread = threading.Thread(target=wait)
    thread.start()
    assert not ready.wait(0.01)
    other.kill()
    eventually(lambda: c.waiters() == 1)
    with c:
        c.notify()
    thread.join()
    assert found == [(True, False)]


def test_event(seg, child):
    e = sc.Event.create(seg, "e")
    assert e.is_set() is e.wait(0) is e.wait(0.01) is False
    other = child(
        "e = sc.Event.open(seg, 'e'); say('waits'); say(e.wait()); hear(); e.clear(); say('end'); hear()"
    )
    other.line()
    other.sleeps()
    e.set()
    e.set()
    assert other.line() == "True" and e.is_set() and e.wait()
    other.tell("clear")
    other.line()
    assert not e.is_set()
    setter = child("e = sc.Event.open(seg, 'e'); e.set(); say('set'); hear()")
    setter.line()
    setter.kill()
    assert e.wait(0), "it stays set"


def test_barrier(seg, child):
    ran = []
    b = sc.Barrier.create(seg, "b", 3, action=lambda: ran.append(1))
    assert b.parties == 3 and b.n_waiting == 0 and not b.broken
    code = "b = sc.Barrier.open(seg, 'b')\nwhile True: say(b.wait()); hear()"
    others = [child(code) for _ in range(2)]
    for turn in range(3):
        eventually(lambda: b.n_waiting == 2)
        number = b.wait(PATIENCE)
        assert sorted([number, *(int(other.line()) for other in others)]) == [0, 1, 2]
        assert len(ran) == turn + 1, "by the last one, and here that is this process"
        for other in others:
            other.tell("again")
    with pytest.raises(sc.WrongSizeError):
        sc.Barrier.open_or_create(seg, "b", 4)
    for wrong in (0, -1, 65537, 1 << 40):
        with pytest.raises(sc.InvalidArgumentError):
            sc.Barrier.create(seg, "bad", wrong)


def test_a_barrier_breaks(seg, child):
    b = sc.Barrier.create(seg, "b", 2)
    with pytest.raises(sc.BrokenBarrierError) as caught:
        b.wait(0.01)
    assert isinstance(caught.value, threading.BrokenBarrierError) and b.broken
    with pytest.raises(sc.BrokenBarrierError):
        b.wait()
    b.reset()
    assert not b.broken
    code = """
    b = sc.Barrier.open(seg, 'b')
    try:
        b.wait()
    except threading.BrokenBarrierError:
        say('broken')
    """
    for end in (b.abort, b.reset):
        other = child(code)
        eventually(lambda: b.n_waiting == 1)
        end()
        assert other.line() == "broken"
        b.reset()
    assert b.n_waiting == 0


def test_the_last_party_of_a_barrier_looks_after_those_who_came(seg, child):
    b = sc.Barrier.create(seg, "b", 2)
    dead = child("sc.Barrier.open(seg, 'b').wait()")
    eventually(lambda: b.n_waiting == 1)
    dead.kill()
    with pytest.raises(sc.BrokenBarrierError):
        b.wait()  # nobody was asleep there, so nobody has noticed the death


def test_a_barrier_breaks_when_a_party_is_killed(seg, child):
    b = sc.Barrier.create(seg, "b", 3)
    code = """
    b = sc.Barrier.open(seg, 'b')
    try:
        b.wait()
    except sc.BrokenBarrierError:
        say('broken')
    """
    killed, other = child(code), child(code)
    eventually(lambda: b.n_waiting == 2)
    killed.kill()
    assert other.line() == "broken"
    assert b.broken
    b.reset()
    one = sc.Barrier.create(seg, "one", 1)
    assert one.wait() == one.wait(0) == 0


def test_an_action_that_raises(seg):
    def action():
        raise KeyError("of the action")

    b = sc.Barrier.create(seg, "b", 1, action)
    with pytest.raises(KeyError, match="of the action"):
        b.wait()
    assert b.broken
    b.reset()
    assert sc.Barrier.open(seg, "b").wait() == 0, "which has no action"


def test_bounded(seg):
    s = sc.BoundedSemaphore.create(seg, "s", 2)
    with pytest.raises(sc.SemaphoreOverflowError):
        s.release()
    with s:
        assert s.get_value() == 1
    assert isinstance(s, sc.Semaphore) and sc.BoundedSemaphore.open(seg, "s").get_value() == 2
    with pytest.raises(sc.SharecellError):
        sc.Semaphore.open_or_create(seg, "s", 2)


@pytest.mark.parametrize("cls", [sc.Semaphore, sc.BoundedSemaphore])
def test_undo(seg, child, cls):
    s = cls.create(seg, "s", 2, undo=True)
    with pytest.raises((sc.NotHeldError, sc.SemaphoreOverflowError)):
        s.release()
    other = child("s = sc.Semaphore.open(seg, 's'); s.acquire(); s.acquire(); say('acquired'); hear()")
    other.line()
    with pytest.raises(sc.NotHeldError):
        s.release()
    waiter = child("s = sc.Semaphore.open(seg, 's'); say('waits'); s.acquire(); say('acquired'); hear()")
    waiter.line()
    waiter.sleeps()
    other.kill()
    assert waiter.line() == "acquired"
    assert s.acquire(timeout=PATIENCE) and s.get_value() == 0
    s.release()


def test_poison(seg, child):
    lock = sc.Lock.create(seg, "l")
    assert not lock.clear_poison()
    with pytest.raises(sc.NotHeldError):
        lock.poison()
    waiter = child(
        """
        l = sc.Lock.open(seg, 'l')
        say('waits')
        try:
            l.acquire()
        except sc.PoisonedError as error:
            say('poisoned', isinstance(error, RuntimeError))
        """
    )
    lock.acquire()
    waiter.line()
    lock.poison()
    assert waiter.line() == "poisoned True"
    for use in (lock.acquire, lambda: lock.acquire(False), lock.__enter__):
        with pytest.raises(sc.PoisonedError):
            use()
    assert lock.clear_poison() and not lock.clear_poison()
    with lock:
        assert not lock.owner_died


def test_the_next_holder_poisons_what_a_dead_one_has_left(seg, child):
    lock = sc.Lock.create(seg, "l")
    holder = child("l = sc.Lock.open(seg, 'l'); l.acquire(); say('held'); hear()")
    holder.line()
    holder.kill()
    assert lock.acquire() and lock.owner_died
    lock.poison()
    other = child("l = sc.Lock.open(seg, 'l')\ntry: l.acquire()\nexcept sc.PoisonedError: say('poisoned')")
    assert other.line() == "poisoned"


def test_the_next_holder_repairs_what_a_dead_one_has_left(seg, child):
    lock = sc.Lock.create(seg, "l")
    repairs = []

    def left_held():
        holder = child("l = sc.Lock.open(seg, 'l'); l.acquire(); say('held'); hear()")
        holder.line()
        holder.kill()

    assert lock.acquire_or_repair(lambda: repairs.append("needless"))
    assert not lock.acquire_or_repair(repairs.clear, block=False)
    assert not lock.acquire_or_repair(repairs.clear, timeout=0.01)
    lock.release()

    left_held()
    mender = child(
        """
        l = sc.Lock.open(seg, 'l')
        def repair():
            say('repairs')
            hear()
        l.acquire_or_repair(repair)
        """
    )
    mender.line()
    mender.kill()
    assert lock.acquire_or_repair(lambda: repairs.append("once")) and not lock.owner_died
    assert repairs == ["once"]
    lock.release()
    with lock:
        assert not lock.owner_died

    left_held()
    with pytest.raises(sc.PoisonedError, match="repair of lock 'l'"):
        lock.acquire_or_repair(lambda: False)
    assert lock.is_poisoned() and lock.clear_poison() and not lock.is_poisoned()
    left_held()
    with pytest.raises(ZeroDivisionError):
        lock.acquire_or_repair(lambda: 1 / 0)
    with pytest.raises(sc.PoisonedError):
        lock.acquire_or_repair(repairs.clear)
    assert repairs == ["once"]


def test_a_bell_in_a_loop_of_other_people(seg, child):
    event, queue = sc.Event.create(seg, "e"), sc.Queue.create(seg, "q")
    with sc.Bell() as bell, selectors.DefaultSelector() as loop:
        loop.register(bell, selectors.EVENT_READ)
        assert loop.select(0) == []
        bell.arm([event, sc.readable(queue)])
        other = child("sc.Queue.open(seg, 'q').put(b'1')\nhear(); sc.Event.open(seg, 'e').set(); hear()")
        assert loop.select(PATIENCE) and queue.get() == b"1"
        other.tell("on")
        while not event.is_set():
            bell.clear()
            bell.arm([event])
            assert loop.select(PATIENCE)
    with sc.Bell() as bell, selectors.DefaultSelector() as loop:
        loop.register(bell, selectors.EVENT_READ)
        event.clear()
        bell.arm([event])
        event.set()
        assert loop.select(PATIENCE)
        bell.clear()
        assert loop.select(0) == [], "armed for one thing it rings once, in vain or not"
        bell.arm([event])  # it is set already
        assert loop.select(0)
        with pytest.raises(TypeError):
            bell.arm([queue])
    with pytest.raises(sc.InvalidHandleError):
        bell.fileno()


def test_a_bell_rings_after_a_death(seg, child):
    lock = sc.Lock.create(seg, "l")
    holder = child("l = sc.Lock.open(seg, 'l'); l.acquire(); say('held'); hear()")
    holder.line()
    with sc.Bell() as bell, selectors.DefaultSelector() as loop:
        loop.register(bell, selectors.EVENT_READ)
        bell.arm([lock])
        holder.kill()
        assert loop.select(PATIENCE)
    assert lock.acquire() and lock.owner_died
    lock.release()


def test_a_work_queue(seg, child):
    q = sc.Queue.create(seg, "q", 8, joinable=True)
    assert q.joinable and sc.Queue.open(seg, "q").joinable and q.join(0)
    with pytest.raises(sc.NotHeldError) as caught:
        q.task_done()
    assert isinstance(caught.value, ValueError)
    items = [b"", b"x" * 1024, b"x" * 1025, b"y" * 300_000]
    for item in items:
        q.put(item)
    assert q.get_many(3) == items[:3] and q.get(timeout=1) == items[3]
    with pytest.raises(sc.Empty):
        q.get_nowait()
    with pytest.raises(sc.Empty):
        q.get(timeout=0.01)
    for _ in items:
        assert not q.join(0) and not q.join(0.01)
        q.task_done()
    assert q.join() is True
    worker = child(
        """
        q = sc.Queue.open(seg, 'q')
        try:
            while True:
                q.get()
                q.task_done()
        except sc.ShutDown:
            pass
        """
    )
    for _ in range(100):
        q.put(b"job")
    assert q.join(PATIENCE) and q.empty()
    q.shutdown()
    worker.finish()
    with pytest.raises(sc.ShutDown):
        q.get()


def test_a_killed_worker(seg, child):
    q = sc.Queue.create(seg, "q", 8, joinable=True)
    q.put(b"taken")
    taker = child("q = sc.Queue.open(seg, 'q'); q.get(); say('taken'); hear()")
    taker.line()
    assert not q.join(0.01)
    taker.kill()
    assert q.join(PATIENCE), "nobody can do it any more"
    q.put(b"held")
    holder = child("q = sc.Queue.open(seg, 'q'); item = q.recv(); say(item.deliveries); hear()")
    assert holder.line() == "1"
    holder.kill()
    assert not q.join(0.01)
    with q.recv() as item:
        assert bytes(item) == b"held" and item.deliveries == 2
    assert q.join(PATIENCE)


def test_a_queue_that_is_not_joinable(seg):
    q = sc.Queue.create(seg, "q")
    assert not q.joinable
    for misuse in (q.task_done, q.join):
        with pytest.raises(sc.UnsupportedError):
            misuse()
    with pytest.raises(sc.SharecellError):
        sc.Queue.open_or_create(seg, "q", joinable=True)


def test_wait_any(seg):
    q, (a, b) = sc.Queue.create(seg, "q", 1), sc.Pipe.create(seg, "p", capacity=1)
    e, s, lock = sc.Event.create(seg, "e"), sc.Semaphore.create(seg, "s", 0), sc.Lock.create(seg, "l")
    near, far = socket.socketpair()
    lock.acquire()
    got, put = sc.readable(q), sc.writable(q)
    everything = [got, sc.readable(a), e, s, lock, near, sc.readable(near.fileno())]
    with near, far:
        assert sc.wait_any(everything, 0) == sc.wait_any(everything, 0.01) == []
        assert sc.wait_any([got, put]) == [put]
        q.put(b"x")
        assert sc.wait_any(everything) == [got] and sc.wait_any([put], 0.01) == []
        b.send_bytes(b"x")
        assert sc.wait_any(everything)[1].source is a and sc.wait_any([sc.writable(b)], 0) == []
        assert q.get() == b"x" and a.recv_bytes() == b"x"
        e.set()
        s.release()
        lock.release()
        far.send(b"x")
        assert sc.wait_any(everything) == everything[2:]
        assert s.get_value() == 1 and lock.acquire(False), "nothing was taken"
        lock.release()
        assert sc.wait_any(iter([sc.writable(near)])) == [sc.writable(near)]


def test_wait_any_is_woken(seg, child):
    q, e = sc.Queue.create(seg, "q"), sc.Event.create(seg, "e")
    other = child(
        """
        q, e = sc.readable(sc.Queue.open(seg, 'q')), sc.Event.open(seg, 'e')
        say('waits')
        for _ in range(2):
            say(*[type(thing).__name__ for thing in sc.wait_any([q, e])])
            hear()
        """
    )
    other.line()
    other.sleeps()
    e.set()
    assert other.line() == "Event"
    e.clear()
    other.tell("again")
    other.sleeps()
    q.put(b"x")
    assert other.line() == "Interest"


def test_wait_any_does_not_keep_what_it_does_not_take(seg, child):
    """One item, somebody who only looks, and somebody who waits to get it."""
    q = sc.Queue.create(seg, "q")
    looker = child(
        "q = sc.Queue.open(seg, 'q'); say('waits'); sc.wait_any([sc.readable(q)]); say('seen'); hear()"
    )
    looker.line()
    looker.sleeps()
    getter = child("q = sc.Queue.open(seg, 'q'); say('waits'); say(q.get())")
    getter.line()
    getter.sleeps()
    q.put(b"x")
    assert getter.line() == "b'x'"


def test_wait_any_for_the_end_of_a_process_and_a_killed_owner(seg, child):
    lock, e = sc.Lock.create(seg, "l"), sc.Event.create(seg, "e")
    holder = child("l = sc.Lock.open(seg, 'l'); l.acquire(); say('held'); hear()")
    holder.line()
    fd = os.pidfd_open(holder.pid)
    try:
        assert sc.wait_any([e, fd, lock], 0.01) == []
        holder.signal(signal.SIGKILL)
        assert sc.wait_any([e, fd], PATIENCE) == [fd]
        holder.kill()
        assert sc.wait_any([e, lock], PATIENCE) == [lock]
        assert lock.acquire() and lock.owner_died
    finally:
        os.close(fd)


def test_misuse_of_wait_any(seg):
    q, e = sc.Queue.create(seg, "q"), sc.Event.create(seg, "e")
    a, b = sc.Pipe.create(seg, "p", duplex=False)
    for wrong in ([q], [a], [sc.RLock.create(seg, "r")], ["x"]):
        with pytest.raises(TypeError):
            sc.wait_any(wrong, 0)
    for wrong in ([], [-1], [e] * 128):
        with pytest.raises(sc.InvalidArgumentError):
            sc.wait_any(wrong, 0)
    for wrong in (sc.readable(b), sc.writable(a)):
        with pytest.raises(sc.UnsupportedError):
            sc.wait_any([wrong], 0)
    with pytest.raises(TypeError):
        sc.readable(e)
    e.close()
    with pytest.raises(sc.InvalidHandleError, match="event 'e' was closed"):
        sc.wait_any([e], 0)


INTERRUPTED = {
    "event": "e = sc.Event.create(seg, 'x'); wait = e.wait",
    "rlock": "l = sc.RLock.open(seg, 'l'); wait = l.acquire",
    "read": "l = sc.RwLock.open(seg, 'w'); wait = l.acquire_read",
    "write": "l = sc.RwLock.open(seg, 'w'); wait = l.acquire_write",
    "condition's lock": "c = sc.Condition.open(seg, 'c'); wait = c.acquire",
    "condition": "c = sc.Condition.create(seg, 'x'); c.acquire(); wait = c.wait",
    "wait_for": "c = sc.Condition.create(seg, 'x'); c.acquire(); wait = lambda: c.wait_for(lambda: False)",
    "barrier": "b = sc.Barrier.create(seg, 'x', 2); wait = b.wait",
    "with an action": "b = sc.Barrier.create(seg, 'x', 2, print); wait = b.wait",
    "join": "q = sc.Queue.create(seg, 'x', joinable=True); q.put(b'x'); wait = q.join",
    "get": "q = sc.Queue.create(seg, 'x', joinable=True); wait = q.get",
    "wait_any": "e = sc.Event.create(seg, 'x'); wait = lambda: sc.wait_any([e])",
    "receive_over": "import socket; p = socket.socketpair(); wait = lambda: sc.Segment.receive_over(p[0])",
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("what", INTERRUPTED)
def test_ctrl_c_ends_every_wait(seg, child, what, number):
    rlock, rwlock = sc.RLock.create(seg, "l"), sc.RwLock.create(seg, "w")
    with rlock, rwlock.write(), sc.Condition.create(seg, "c"):
        other = child(
            f"""
            signal.signal({number:d}, signal.default_int_handler)
            {INTERRUPTED[what]}
            say('waits')
            try:
                wait()
            except KeyboardInterrupt:
                say('interrupted')
            if {what == "barrier"}: say(b.n_waiting, b.broken)
            if {what == "condition"}: c.release(); say('it was held')
            """
        )
        other.line()
        other.sleeps()
        other.signal(number)
        assert other.line() == "interrupted"
        if what == "barrier":
            assert other.line() == "0 False"
        if what == "condition":
            assert other.line() == "it was held"
        other.finish()


STEPS = {
    "rlock": """
        l = sc.RLock.open(seg, 'rlock')
        while True:
            with l, l: steps.add(1)
        """,
    "rwlock": """
        l = sc.RwLock.open(seg, 'rwlock')
        while True:
            with l.read(): pass
            with l.write(): steps.add(1)
        """,
    "condition": """
        c = sc.Condition.open(seg, 'condition')
        while True:
            with c:
                c.notify_all()
                c.wait(0.001)
                steps.add(1)
        """,
    "undo": """
        s = sc.Semaphore.open(seg, 'undo')
        while True:
            with s: steps.add(1)
        """,
    "joinable": """
        q = sc.Queue.open(seg, 'joinable')
        while True:
            q.put_many([b'x' * 500] * 2)
            q.get()
            q.task_done()
            with q.recv(): steps.add(1)
        """,
    "asyncio": """
        import asyncio
        async def main():
            q = sc.Queue.open(seg, 'there')
            while True:
                await q.put_async(b'x')
                await q.get_async()
                steps.add(1)
        asyncio.run(main())
        """,
}


@pytest.mark.parametrize("what", STEPS)
def test_killed_at_any_moment(seg, child, what):
    """Four go on and on, each round two of them are killed, and then everything is as good as new."""
    steps = sc.Value.create(seg, "steps", "q")
    rlock, rwlock = sc.RLock.create(seg, "rlock"), sc.RwLock.create(seg, "rwlock")
    condition = sc.Condition.create(seg, "condition")
    undo = sc.Semaphore.create(seg, "undo", 2, undo=True)
    joinable = sc.Queue.create(seg, "joinable", 64, joinable=True)
    there = sc.Queue.create(seg, "there", 64)
    code = "steps = sc.Value.open(seg, 'steps', 'q')\n" + textwrap.dedent(STEPS[what])
    others = []
    for _ in range(6):
        others += [child(code) for _ in range(4 - len(others))]
        seen = steps.value
        eventually(lambda seen=seen: steps.value > seen + 100 + random.randrange(200))
        for other in others[:2]:
            other.kill()
        others = others[2:]
    for other in others:
        other.kill()
    left_alone(seg)
    for lock in (rlock, rwlock.read(), rwlock.write(), condition):
        assert lock.acquire(timeout=PATIENCE)
        lock.release()
    with condition:
        assert not condition.wait(0) and condition.waiters() == 0
    assert undo.get_value() == 2
    while not joinable.empty():
        joinable.recv().release()
    assert joinable.join(PATIENCE)
    assert there.qsize() == 0 or there.get_many(64, 0)
    assert there.put_many([b"1", b"2"], 0) == 2
