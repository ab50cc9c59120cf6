"""Large data through the drop-in: one copy in, none out for who keeps a view."""

import array
import gc
import pickle
import queue as queue_module
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest
from processes import PATIENCE, forked

import sharecell.multiprocessing as mp
from sharecell.multiprocessing import _messages, _places, sharedctypes

LARGE = 64 << 20
LITTLE = 1 << 20


@pytest.fixture(params=["queue", "pipe", "simple"])
def channel(request):
    """How an object is sent, received, and received as a view."""
    if request.param == "queue":
        q = mp.Queue()
        return q.put, q.get, q.get_view
    if request.param == "simple":
        simple = mp.SimpleQueue()
        return simple.put, simple.get, simple._reader.recv_view
    a, b = mp.Pipe()
    return a.send, b.recv, b.recv_view


def peak_of(call, *args):
    """What a call returns, and how much memory of Python's it needed at a time."""
    gc.collect()
    tracemalloc.start()
    try:
        result = call(*args)
        return result, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_frame_costs_its_copy_and_no_more(channel):
    put, get, get_view = channel
    frame = numpy.arange(LARGE // 8)
    _, needed = peak_of(put, {"frame": frame, "number": 7})
    assert needed < LITTLE
    found, needed = peak_of(get)
    assert found["number"] == 7 and numpy.array_equal(found["frame"], frame)
    assert LARGE <= needed < LARGE + LITTLE
    assert found["frame"].flags.writeable

    put(frame)
    view, needed = peak_of(get_view)
    assert needed < LITTLE
    assert numpy.array_equal(view, frame) and not view.flags.writeable


def test_the_memory_of_a_view_is_given_back_with_its_last_use(channel):
    put, get, get_view = channel

    def turn():
        put(numpy.ones(LARGE // 8))
        part = get_view()[5:10]
        gc.collect()
        assert part.sum() == 5  # the whole message is kept as long as that
        return _places.home().size

    size = turn()
    for _ in range(5):
        assert turn() == size
    assert get is not None


def test_a_view_that_dies_with_its_process_is_delivered_again():
    q = mp.Queue()
    q.put(numpy.arange(100000))
    kept = []
    assert forked(lambda: kept.append(q.get_view()) or q.empty())
    assert q.get(timeout=PATIENCE).sum() == numpy.arange(100000).sum()


@pytest.mark.parametrize(
    "thing",
    [
        numpy.zeros(0),
        numpy.arange(10),
        numpy.arange(100000, dtype="f4").reshape(100, 1000),
        numpy.asfortranarray(numpy.arange(100000).reshape(100, 1000)),
        numpy.arange(100000)[::2],
        [numpy.arange(20000), "text", numpy.ones(30000)],
        b"x" * 100000,
        bytearray(b"y" * 100000),
        array.array("d", [1.5]) * 50000,
        pickle.PickleBuffer(b"z" * 100000),
        "",
        b"",
        None,
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_what_goes_in_comes_out(channel, thing):
    put, get, get_view = channel
    for receive in get, get_view:
        put(thing)
        found = receive()
        if isinstance(thing, pickle.PickleBuffer):
            assert bytes(found) == bytes(thing)
        elif isinstance(thing, list):
            assert all(numpy.array_equal(a, b) for a, b in zip(found, thing))
        else:
            assert numpy.array_equal(found, thing) and type(found) is type(thing)


def test_a_message_that_cannot_be_unpickled_is_done_with(channel):
    put, get, get_view = channel
    for size in 1, LITTLE:
        for receive in get, get_view:
            put(Bad(size))
            put("next")
            with pytest.raises(ZeroDivisionError):
                receive()
            assert receive() == "next"


class Bad:
    def __init__(self, size):
        self.content = b"x" * size

    def __reduce__(self):
        return divide, (self.content,)


def divide(content):
    return len(content) / 0


def test_pickles_are_plain_where_nothing_is_large():
    message = _messages.dumps([1, numpy.arange(3)])
    assert isinstance(message, bytes) and message[0] == 0x80
    assert pickle.loads(message)[0] == 1


def test_an_array_is_a_numpy_view():
    shared = mp.Array("d", 1000)
    view = numpy.asarray(shared)
    view[:] = range(1000)
    assert shared[999] == 999 and shared[:3] == [0, 1, 2]
    assert numpy.shares_memory(view, numpy.asarray(shared.get_obj()))
    assert numpy.frombuffer(mp.RawArray("i", [1, 2]), dtype="i").tolist() == [1, 2]
    assert forked(lambda: numpy.asarray(shared)[7] == 7)
    assert numpy.array(shared, dtype="f4").dtype == "f4"
    kept = numpy.asarray(mp.Array("i", [4, 5]))
    gc.collect()
    assert kept.tolist() == [4, 5]


def test_a_number_is_used_as_it_was_wrapped():
    value = mp.Value("i", 0)
    assert value and value in {value} and value != value.get_obj(), "it is an object, and no number"
    value.value = 7
    value.get_obj().value += 1
    assert value.value == 8 and repr(value) == "<Synchronized wrapper for c_int(8)>"
    lock = mp.RLock()
    other = sharedctypes.Synchronized(mp.RawValue("d", 1.5), lock)
    assert other.value == 1.5 and other.get_lock() is lock and isinstance(value, sharedctypes.Synchronized)
    with pytest.raises(AssertionError), value:
        value.release()


@pytest.mark.parametrize("make", [lambda: mp.Value("i", 0), lambda: mp.Array("i", 3)], ids=["value", "array"])
def test_the_lock_of_a_value_belongs_to_a_thread_and_counts(make):
    thing = make()
    lock = thing.get_lock()

    def in_a_thread(call):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(call).result()

    with lock, lock:
        assert lock.acquire() and lock.acquire(False)
        assert not in_a_thread(lambda: lock.acquire(False))
        assert not in_a_thread(lambda: lock.acquire(timeout=0.01))
        with pytest.raises(AssertionError):
            in_a_thread(lock.release)
        assert forked(lambda: not lock.acquire(False)), "a child is somebody else"
        lock.release()
        lock.release()
    assert in_a_thread(lambda: lock.acquire(False) and lock.release() is None)
    with pytest.raises(AssertionError):
        lock.release()
    assert forked(lambda: lock.acquire(False)), "and takes it when it is free"
    # What a process held that has ended is given to the next, who is told.
    assert lock.acquire(timeout=60) and lock.owner_died
    lock.release()


@pytest.mark.parametrize("kind", ["queue", "joinable", "pipe"])
def test_a_long_message_that_is_waited_for(kind):
    sent = {"number": 1, "text": "x" * 300_000, "bytes": bytearray(200_000)}
    if kind == "pipe":
        there, here = mp.Pipe()
        put, get = there.send, here.recv
    else:
        queue = mp.Queue(4) if kind == "queue" else mp.JoinableQueue(4)
        put, get = queue.put, queue.get
    with ThreadPoolExecutor(1) as pool:
        for _ in range(5):
            got = pool.submit(get, timeout=60)
            put(sent)
            assert got.result() == sent
    put(False)
    assert get() is False
    with pytest.raises((queue_module.Empty, TimeoutError)):
        get(timeout=0.01)
