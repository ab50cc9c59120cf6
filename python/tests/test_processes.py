"""Objects in forked, spawned, forkserved and unrelated processes."""

import ctypes
import multiprocessing
import os
import pickle
import threading

import pytest
from processes import PATIENCE, exit_status, forked

import sharecell as sc


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_double), ("label", ctypes.c_int)]


def make(seg):
    return {
        "value": sc.Value.create(seg, "value", "i", 1),
        "point": sc.Value.create(seg, "point", Point, (1, 2, 3)),
        "array": sc.Array.create(seg, "array", "d", [1, 2, 3]),
        "points": sc.Array.create(seg, "points", Point, 2),
        "text": sc.Array.create(seg, "text", "c", 10),
        "lock": sc.Lock.create(seg, "lock"),
        "semaphore": sc.Semaphore.create(seg, "semaphore", 5),
        "jobs": sc.Queue.create(seg, "jobs", 8),
        "ends": sc.Pipe.create(seg, "pipe"),
    }


def use(seg, value, point, array, points, text, lock, semaphore, jobs, ends):
    """Runs in the other process."""
    with lock:
        value.value += 1
    with value.get_lock():
        value.add(1)
    point.value = Point(7, 8, point.value.label + 1)
    array[:] = [x * 2 for x in array]
    points[1] = (0, 0, 6)
    text.value = b"hello"
    semaphore.acquire()
    with jobs.recv() as job:
        jobs.put(bytes(job)[::-1])
    ends[1].send_bytes(ends[1].recv_bytes().upper())
    sc.Value.create(seg, "new", "q", os.getpid())


def start(things):
    things["jobs"].put(b"work")
    things["ends"][0].send_bytes(b"hello")


def check(seg, things, pid):
    assert things["value"].value == 3
    assert (things["point"].value.x, things["point"].value.label) == (7, 4)
    assert things["array"][:] == [2, 4, 6]
    assert things["points"][1].label == 6
    assert things["text"].value == b"hello"
    assert things["semaphore"].get_value() == 4
    assert things["jobs"].get(timeout=PATIENCE) == b"krow" and things["jobs"].empty()
    assert things["ends"][0].recv_bytes(timeout=PATIENCE) == b"HELLO"
    assert sc.Value.open(seg, "new", "q").value == pid


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(seg, method):
    things = make(seg)
    start(things)
    process = multiprocessing.get_context(method).Process(target=use, args=(seg,), kwargs=things)
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 0
    check(seg, things, process.pid)


def test_os_fork(seg):
    things = make(seg)
    start(things)
    pid = os.fork()
    if pid == 0:
        try:
            use(seg, **things)
        except BaseException:
            os._exit(1)
        os._exit(0)
    assert exit_status(pid) == 0
    check(seg, things, pid)


def test_an_unrelated_process(seg, child):
    things = make(seg)
    other = child(
        """
        value, array = sc.Value.open(seg, 'value', 'i'), sc.Array.open(seg, 'array', 'd')
        value.value = 9
        array[0] = array[1] + value.value
        with sc.Queue.open(seg, 'jobs').recv() as job:
            sc.Pipe.open(seg, 'pipe', 'B').send((bytes(job), os.getpid()))
        """
    )
    things["jobs"].put(b"work")
    assert things["ends"][0].recv(PATIENCE) == (b"work", other.pid)
    other.finish()
    assert things["value"].value == 9 and things["array"][0] == 11


def test_what_another_process_creates(seg, child):
    other = child(
        """
        v, a = sc.Value.create(seg, 'v', 'd', 1.5), sc.Array.create(seg, 'a', Point, [(1, 2, 3)])
        q = sc.Queue.create(seg, 'q', 4)
        q.put(b'left')
        """
    )
    other.finish()
    assert sc.Value.open(seg, "v", "d").value == 1.5
    assert sc.Array.open(seg, "a", Point)[0].label == 3
    assert sc.Queue.open(seg, "q").get(timeout=PATIENCE) == b"left"


def test_a_child_of_a_child(seg):
    v = sc.Value.create(seg, "v", "i")

    def grandchild():
        return v.add(1) == 0 or True

    assert forked(lambda: forked(grandchild) and v.add(1) >= 0)
    assert v.value == 2
    assert len(seg.participants()) >= 1


def test_a_child_closes_without_its_parent_noticing(name):
    with sc.Segment.create(name, ephemeral=True) as segment:
        q = sc.Queue.create(segment, "q")

        def leave():
            segment.__exit__()
            return segment.closed and q.closed

        assert forked(leave)
        q.put(b"x")
        assert q.get() == b"x" and not segment.is_unlinked()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_while_other_threads_use_objects(seg):
    q, v = sc.Queue.create(seg, "q", 4), sc.Value.create(seg, "v", "i")
    stop = []

    def turn():
        while not stop:
            q.put(b"x")
            q.get()
            sc.Value.open(seg, "v", "i").close()

    threads = [threading.Thread(target=turn) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            assert forked(lambda: sc.Value.open(seg, "v", "i").add(1) >= 0)
    finally:
        stop.append(True)
        for thread in threads:
            thread.join()
    assert v.value == 20


def test_pickles(seg):
    things = make(seg)
    copy = pickle.loads(pickle.dumps({"seg": seg, **things}))
    segment = copy.pop("seg")
    assert copy["value"].segment is segment
    start(things)
    use(segment, **copy)
    check(seg, things, os.getpid())
    assert [end.end for end in copy["ends"]] == ["A", "B"]
    segment.__exit__()


def test_a_pickle_of_what_is_gone(name):
    with sc.Segment.create(name, ephemeral=True) as segment:
        lock = pickle.dumps(sc.Lock.create(segment, "l"))
        segment.remove("l")
        with pytest.raises(sc.NotFoundError):
            pickle.loads(lock)
    with pytest.raises(sc.NotFoundError):
        pickle.loads(lock)
