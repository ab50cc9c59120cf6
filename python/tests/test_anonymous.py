"""Segments without a name, and segments over memory that the program has."""

import gc
import mmap
import os
import pickle
import socket
import subprocess
import sys
import threading

import pytest
from processes import PATIENCE, forked

import sharecell as sc

RECEIVER = """
import socket, sys
import sharecell as sc
with socket.socket(fileno=int(sys.argv[1])) as s, sc.Segment.receive_over(s) as seg:
    q = sc.Queue.open(seg, "q")
    q.put(b"received")
    l = sc.Lock.open(seg, "l")
    l.acquire()
    q.put(b"held")
    sys.stdin.readline()
"""


def descriptors():
    return len(os.listdir("/proc/self/fd"))


def test_a_process_that_has_nothing_but_a_socket():
    near, far = socket.socketpair()
    with near, far, sc.Segment.anonymous(limit=1 << 24) as seg:
        q, lock = sc.Queue.create(seg, "q"), sc.Lock.create(seg, "l")
        command = [sys.executable, "-c", RECEIVER, str(far.fileno())]
        other = subprocess.Popen(command, pass_fds=[far.fileno()], stdin=subprocess.PIPE)
        try:
            seg.send_over(near)
            assert q.get(timeout=PATIENCE) == b"received" and q.get(timeout=PATIENCE) == b"held"
            assert len(seg.participants()) == 2 and not lock.acquire(False)
        finally:
            other.kill()
            other.communicate()
        assert lock.acquire(timeout=PATIENCE) and lock.owner_died


def test_a_descriptor():
    before = descriptors()
    with sc.Segment.anonymous(limit=1 << 24) as seg:
        assert seg.is_anonymous() and not seg.is_ephemeral() and seg.name not in sc.names()
        assert seg.limit == 1 << 24 and not seg.is_unlinked() and seg.name.startswith("anonymous")
        value = sc.Value.create(seg, "v", "i", 7)
        fd = seg.fd()
        assert not os.get_inheritable(fd)
        with open(fd, "rb") as file, sc.Segment.from_fd(file) as same:
            assert sc.Value.open(same, "v", "i").value == 7
            with pytest.raises(PermissionError):
                os.truncate(fd, 0)
        again = seg.fd()
        assert forked(lambda: sc.Value.open(sc.Segment.from_fd(again), "v", "i").add(1) == 7)
        os.close(again)
        assert value.value == 8
    assert descriptors() == before


def test_it_lives_as_long_as_a_descriptor():
    seg = sc.Segment.anonymous(limit=1 << 24)
    with sc.Value.create(seg, "v", "i", 7):
        fd = seg.fd()
    seg.close()
    try:
        with sc.Segment.from_fd(fd) as same:
            assert sc.Value.open(same, "v", "i").value == 7
    finally:
        os.close(fd)


def test_what_only_anonymous_ones_can(seg, tmp_path):
    near, far = socket.socketpair()
    with near, far:
        with pytest.raises(sc.UnsupportedError):
            seg.fd()
        with pytest.raises(sc.UnsupportedError):
            seg.send_over(near)
        with pytest.raises(TimeoutError):
            sc.Segment.receive_over(far, 0.01)
        near.send(b"something else")
        with pytest.raises(EOFError):
            sc.Segment.receive_over(far)
        near.close()
        with pytest.raises(EOFError):
            sc.Segment.receive_over(far)
    with open(tmp_path / "file", "w+b") as file, pytest.raises(sc.NotASegmentError):
        sc.Segment.from_fd(file)
    with pytest.raises(TypeError):
        sc.Segment.from_fd("x")
    with pytest.raises(sc.SharecellError):
        sc.Segment.from_fd(-1)


def test_it_cannot_be_pickled():
    with sc.Segment.anonymous(limit=1 << 24) as seg:
        for thing in (seg, sc.Event.create(seg, "e")):
            with pytest.raises(TypeError, match="pickled"):
                pickle.dumps(thing)


def test_receiving_waits():
    near, far = socket.socketpair()
    found = []
    with near, far, sc.Segment.anonymous(limit=1 << 24) as seg:
        sc.Event.create(seg, "e")
        receiver = threading.Thread(target=lambda: found.append(sc.Segment.receive_over(far, PATIENCE)))
        receiver.start()
        seg.send_over(near)
        receiver.join()
        with found.pop() as same:
            assert [info.name for info in same.objects()] == ["e"]


@pytest.fixture
def memory(tmp_path):
    """Maps the same shared memory as often as one likes."""
    path = tmp_path / "memory"
    path.write_bytes(bytes(1 << 20))

    def mapped():
        with open(path, "r+b") as file:
            return mmap.mmap(file.fileno(), 1 << 20)

    yield mapped


def refused(error, name, memory):
    with pytest.raises(error):
        sc.Segment.create_over(name, memory)
    if isinstance(memory, mmap.mmap):
        gc.collect()
        memory.close()


def test_over_memory_made_by_the_first(name, memory):
    first, second = memory(), memory()
    try:
        with sc.Segment.open_or_create_over(name, first) as seg:
            assert not seg.is_anonymous() and not seg.is_ephemeral()
            sc.Value.create(seg, "v", "i", 7).close()
            with sc.Segment.open_or_create_over(name, second) as same:
                assert sc.Value.open(same, "v", "i").value == 7
    finally:
        sc.unlink(name)


def test_over_memory(name, memory):
    first, second = memory(), memory()
    try:
        with sc.Segment.create_over(name, first) as seg:
            assert seg.limit == 1 << 20 and seg.name == name
            value = sc.Value.create(seg, "v", "i", 7)
            refused(sc.AlreadyExistsError, name, mmap.mmap(-1, 1 << 20))
            refused(sc.AlreadyExistsError, name, memoryview(second))
            assert value.value == 7 and len(seg.objects()) == 1, "the memory is untouched"
            with pytest.raises(TypeError, match="pickled"):
                pickle.dumps(seg)
            with sc.Segment.open_over(name, second) as same:
                assert sc.Value.open(same, "v", "i").value == 7
                value.close()
                seg.close()
                with pytest.raises(BufferError):
                    first.close()
                assert sc.Value.open(same, "v", "i").value == 7, "it lies in the first one"
        gc.collect()
        first.close()
        second.close()
    finally:
        sc.unlink(name)
    with pytest.raises(sc.NotFoundError):
        sc.Segment.open_over(name, memory())


def test_over_memory_that_is_kept_by_an_object(name, memory):
    memory = memory()
    seg = sc.Segment.create_over(name, memory)
    value = sc.Value.create(seg, "v", "i", 7)
    sc.unlink(name)
    value._segment = None
    del seg
    gc.collect()
    with pytest.raises(BufferError):
        memory.close()
    assert value.value == 7
    value.close()
    memory.close()


OVER = """
import mmap, sys
import sharecell as sc
with open(sys.argv[2], "r+b") as file:
    memory = mmap.mmap(file.fileno(), 1 << 20)
seg = sc.Segment.open_over(sys.argv[1], memory)
l = sc.Lock.open(seg, "l")
l.acquire()
print("held", flush=True)
sys.stdin.readline()
"""


def test_over_memory_with_a_killed_process(name, memory, tmp_path):
    with sc.Segment.create_over(name, memory()) as seg:
        lock = sc.Lock.create(seg, "l")
        command = [sys.executable, "-c", OVER, name, str(tmp_path / "memory")]
        other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert other.stdout.readline() == b"held\n"
            assert not lock.acquire(False)
        finally:
            other.kill()
            other.communicate()
        assert lock.acquire(timeout=PATIENCE) and lock.owner_died
        sc.unlink(name)


def test_memory_that_will_not_do(name):
    with pytest.raises(TypeError):
        sc.Segment.create_over(name, bytes(1 << 20))
    refused(sc.InvalidArgumentError, name, memoryview(mmap.mmap(-1, 1 << 20))[8:])
    refused(sc.InvalidArgumentError, name, mmap.mmap(-1, 4096))
