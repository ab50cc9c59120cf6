import array
import queue
import sys
import threading

import pytest
from processes import PATIENCE, eventually, forked

import sharecell as sc


def test_first_in_first_out(seg):
    a, b = sc.Queue.create(seg, "q", 3), sc.Queue.open(seg, "q")
    assert a.maxsize == b.maxsize == 3 and a.empty() and not a.full() and a.qsize() == 0
    for item in (b"one", b"", b"\0three"):
        a.put(item)
    assert b.qsize() == 3 and b.full() and not b.empty()
    assert [b.get(), b.get_nowait(), b.get(block=False)] == [b"one", b"", b"\0three"]
    assert a.empty()


def test_full_and_empty(seg):
    q = sc.Queue.create(seg, "q", 1)
    for attempt in (q.get_nowait, lambda: q.get(False), lambda: q.get(timeout=0), lambda: q.get(True, 0.01)):
        with pytest.raises(queue.Empty):
            attempt()
    for attempt in (lambda: q.recv(False), lambda: q.recv(timeout=0.01), lambda: q.get_many(5, timeout=0.01)):
        with pytest.raises(sc.Empty):
            attempt()
    q.put(b"x")
    for attempt in (
        lambda: q.put_nowait(b"y"),
        lambda: q.put(b"y", False),
        lambda: q.put(b"y", timeout=-1),
        lambda: q.put(b"y", True, 0.01),
        lambda: q.reserve(1, False),
        lambda: q.reserve(1, timeout=0.01),
        lambda: q.put_many([b"y"], timeout=0),
        lambda: q.put_many([b"y"], timeout=0.01),
    ):
        with pytest.raises(queue.Full):
            attempt()
    assert q.get() == b"x" and q.empty()


@pytest.mark.parametrize("size", [0, 1, 103, 104, 105, 4096, 100_000, 3_000_000])
def test_items_of_any_size(seg, size):
    q = sc.Queue.create(seg, "q", 4)
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    for _ in range(6):
        q.put(data)
        assert q.get() == data
        assert q.put_many([data, data]) == 2
        assert q.get_many(9) == [data, data]
    with q.reserve(size) as slot:
        slot.data[:] = data
    with q.recv() as item:
        assert item.data == data and len(item) == size and bytes(item) == data
        assert item.data.readonly


@pytest.mark.parametrize(
    "data, expected",
    [
        (b"bytes", b"bytes"),
        (bytearray(b"array"), b"array"),
        (memoryview(b"read-only"), b"read-only"),
        (memoryview(bytearray(b"writable"))[2:5], b"ita"),
        (memoryview(b"abcdef")[::2], b"ace"),
        (memoryview(bytearray(b"abcdef"))[::-1], b"fedcba"),
        (array.array("h", [1, -1]), b"\1\0\xff\xff"),
        (bytearray(), b""),
        (bytearray(b"x") * 200_000, b"x" * 200_000),
    ],
)
def test_all_that_is_bytes_like(seg, data, expected):
    q = sc.Queue.create(seg, "q", 4)
    q.put(data)
    q.put_many([data, data])
    assert q.get_many(5) == [expected] * 3


@pytest.mark.parametrize("wrong", ["text", 5, None, [b"x"]])
def test_what_is_not_bytes_like(seg, wrong):
    q = sc.Queue.create(seg, "q", 4)
    with pytest.raises(TypeError):
        q.put(wrong)
    with pytest.raises(TypeError):
        q.put_many([b"ok", wrong])
    assert q.empty()


def test_too_large(seg):
    q = sc.Queue.create(seg, "q", 4, max_item=10)
    assert q.max_item == 10 and q.max_bytes is None
    assert sc.Queue.create(seg, "b", 4, max_bytes=100).max_bytes == 100
    for attempt in (
        lambda: q.put(b"x" * 11),
        lambda: q.put(b"x" * 11, block=False),
        lambda: q.reserve(11),
        lambda: q.put_many([b"x", b"x" * 11]),
    ):
        with pytest.raises(sc.TooLargeError, match="10 bytes; got 11") as caught:
            attempt()
        assert isinstance(caught.value, ValueError)
    assert q.empty()
    q.put(b"x" * 10)


def test_bytes_are_bounded_too(seg):
    q = sc.Queue.create(seg, "q", 100, max_bytes=1000)
    assert q.put_many([b"x" * 300] * 5, timeout=0.01) == 3
    with pytest.raises(sc.Full):
        q.put(b"x" * 300, block=False)
    q.put(b"x" * 100)
    assert q.get() == b"x" * 300
    q.put(b"x" * 300)


@pytest.mark.parametrize(
    "options",
    [
        {"maxsize": 0},
        {"maxsize": -1},
        {"maxsize": 1 << 64},
        {"max_item": 0},
        {"max_bytes": -5},
        {"inline": -1},
    ],
)
def test_options_that_cannot_be(seg, options):
    with pytest.raises(sc.InvalidArgumentError):
        sc.Queue.create(seg, "q", **options)
    assert seg.objects() == []


def test_mismatches(seg):
    sc.Queue.create(seg, "q", 8, max_item=64)
    sc.Lock.create(seg, "l")
    assert sc.Queue.open_or_create(seg, "q", 8, max_item=64).maxsize == 8
    with pytest.raises(sc.WrongSizeError, match="8.*9"):
        sc.Queue.open_or_create(seg, "q", 9, max_item=64)
    with pytest.raises(sc.WrongKindError):
        sc.Queue.open(seg, "l")
    with pytest.raises(sc.AlreadyExistsError):
        sc.Queue.create(seg, "q", 8)


def test_no_memory_for_a_large_item(name):
    with sc.Segment.create(name + "-small", ephemeral=True, limit=1 << 20) as small:
        q = sc.Queue.create(small, "q", 8)
        with pytest.raises(sc.LimitReachedError):
            q.put(b"x" * (1 << 22))
        with pytest.raises(sc.LimitReachedError) as caught:
            q.put_many([b"x", b"x" * (1 << 22)])
        assert caught.value.done == 1
        assert q.get_many(9) == [b"x"]


def test_many(seg):
    q = sc.Queue.create(seg, "q", 8)
    assert q.put_many([]) == 0 and q.get_many(0) == []
    assert q.put_many(iter([b"a", b"b", b"c"])) == 3
    assert q.get_many(2) == [b"a", b"b"] and q.get_many(max=10) == [b"c"]
    assert q.put_many([b"%d" % n for n in range(20)], timeout=0.01) == 8
    assert q.get_many(100) == [b"%d" % n for n in range(8)]
    with pytest.raises(sc.InvalidArgumentError):
        q.get_many(-1)


def test_more_than_it_holds(seg, child):
    q = sc.Queue.create(seg, "q", 8)
    other = child(
        """
        q, n = sc.Queue.open(seg, 'q'), 0
        while n < 5000:
            for item in q.get_many(5):
                assert item == b'%d' % n
                n += 1
        say('all')
        """
    )
    assert q.put_many(b"%d" % n for n in range(5000)) == 5000
    assert other.line() == "all"


def test_shutdown(seg, child):
    q = sc.Queue.create(seg, "q", 1)
    q.put(b"left")
    putter = child(
        """
        q = sc.Queue.open(seg, 'q'); say('waits')
        try: q.put(b'x')
        except sc.ShutDown as error: say(type(error).__name__)
        """
    )
    putter.line()
    putter.sleeps()
    assert not q.is_shutdown()
    q.shutdown()
    assert q.is_shutdown() and putter.line() == "ShutDown"
    for attempt in (
        lambda: q.put(b"x"),
        lambda: q.put_nowait(b"x"),
        lambda: q.reserve(1),
        lambda: q.put_many([b"x"]),
    ):
        with pytest.raises(sc.ShutDown):
            attempt()
    assert q.get() == b"left"
    for attempt in (q.get, q.get_nowait, q.recv, lambda: q.get_many(2)):
        with pytest.raises(sc.ShutDown):
            attempt()


def test_shutdown_wakes_a_getter(seg, child):
    q = sc.Queue.create(seg, "q", 1)
    getter = child(
        """
        q = sc.Queue.open(seg, 'q'); say('waits')
        try: q.get()
        except sc.ShutDown: say('shut down')
        """
    )
    getter.line()
    getter.sleeps()
    q.shutdown()
    assert getter.line() == "shut down"


@pytest.mark.skipif(sys.version_info < (3, 13), reason="queue.ShutDown came with 3.13")
def test_shutdown_is_that_of_the_standard_library():
    assert sc.ShutDown is queue.ShutDown


def test_in_place(seg):
    q = sc.Queue.create(seg, "q", 4)
    q.put(b"first")
    q.put(b"second")
    with q.recv() as item:
        assert (bytes(item.data), item.deliveries) == (b"first", 1)
        number = item.number
        assert q.qsize() == 1
    for use in (lambda: item.data, item.release, item.put_back, lambda: len(item)):
        with pytest.raises(sc.NotHeldError):
            use()
    second = q.recv()
    assert second.number != number
    second.put_back()
    again = q.recv(timeout=5)
    assert (again.number, again.deliveries, bytes(again)) == (second.number, 2, b"second")
    again.release()
    assert q.empty()


def test_an_exception_puts_the_item_back(seg):
    q = sc.Queue.create(seg, "q", 4)
    q.put(b"work")
    with pytest.raises(KeyError), q.recv():
        raise KeyError
    with pytest.raises(KeyError), q.recv() as item:
        assert item.deliveries == 2
        item.release()
        raise KeyError
    assert q.empty(), "released is released"


def test_an_item_that_is_dropped_is_delivered_again(seg):
    q = sc.Queue.create(seg, "q", 4)
    q.put(b"work")
    item = q.recv()
    del item
    assert q.recv(False).deliveries == 2


def test_an_item_outlives_its_queue_object(seg):
    q = sc.Queue.create(seg, "q", 4)
    q.put(b"work")
    item = q.recv()
    q.close()
    assert bytes(item.data) == b"work"
    item.release()
    assert sc.Queue.open(seg, "q").empty()


def test_held_items_cost_one_cell_each(seg):
    q = sc.Queue.create(seg, "q", 4)
    q.put(b"held")
    held = q.recv()
    for _ in range(20):
        q.put(b"x")
        assert q.get(timeout=5) == b"x"
    assert bytes(held) == b"held"
    held.release()


def test_reserve(seg):
    q = sc.Queue.create(seg, "q", 16)
    with q.reserve(10) as slot:
        slot.data[:5] = b"hello"
        assert q.empty()
        slot.commit(5)
        with pytest.raises(sc.NotHeldError):
            slot.commit()
        with pytest.raises(sc.NotHeldError):
            slot.data  # noqa: B018
    with q.reserve(2) as slot:
        slot.data[:] = b"ok"
    with pytest.raises(KeyError), q.reserve(3):
        raise KeyError
    with q.reserve(3) as slot:
        slot.abort()
    slot = q.reserve(3)
    for wrong in (4, -1, 1 << 70):
        with pytest.raises(sc.InvalidArgumentError):
            slot.commit(wrong)
    del slot
    with q.reserve(0):
        pass
    assert q.get_many(9) == [b"hello", b"ok", b""]
    for wrong in (-1, 1 << 63):
        with pytest.raises(sc.InvalidArgumentError):
            q.reserve(wrong)


def test_a_killed_holder_is_delivered_again(seg, child):
    q = sc.Queue.create(seg, "q", 4)
    q.put(b"work")
    other = child("q = sc.Queue.open(seg, 'q'); item = q.recv(); say(item.number, item.deliveries); hear()")
    number, deliveries = other.line().split()
    assert deliveries == "1"
    with pytest.raises(sc.Empty):
        q.recv(timeout=0.01)
    other.kill()
    with q.recv(timeout=PATIENCE) as item:
        assert (item.number, item.deliveries, bytes(item)) == (int(number), 2, b"work")


def test_a_killed_writer_has_put_nothing(seg, child):
    q = sc.Queue.create(seg, "q", 2)
    other = child("q = sc.Queue.open(seg, 'q'); s = q.reserve(9); s.data[:3] = b'abc'; say('writes'); hear()")
    other.line()
    other.kill()
    seg.recover()
    assert q.put_many([b"a", b"b"], timeout=PATIENCE) == 2
    assert q.get_many(3) == [b"a", b"b"]


def test_killed_at_random_nothing_is_lost(seg, child):
    q = sc.Queue.create(seg, "q", 64)
    done = sc.Array.create(seg, "done", "B", 300)
    code = """
    q, done = sc.Queue.open(seg, 'q'), sc.Array.open(seg, 'done', 'B')
    say('works')
    while True:
        with q.recv() as item:
            done[int(bytes(item))] = 1
    """
    workers = [child(code) for _ in range(2)]
    for worker in workers:
        worker.line()
    for number in range(300):
        q.put(b"%d" % number)
        if number % 60 == 30:
            victim = workers.pop(0)
            victim.kill()
            workers.append(child(code))
    eventually(lambda: sum(done) == 300)


def test_fork(seg):
    q = sc.Queue.create(seg, "q", 4)
    q.put(b"to the child")
    held = sc.Queue.open(seg, "q").recv()

    def use():
        with pytest.raises(sc.NotHeldError):
            held.release()
        q.put(b"to the parent")
        return True

    assert forked(use)
    assert q.get() == b"to the parent"
    assert bytes(held) == b"to the child"
    held.release()
    slot = q.reserve(2)

    def leave():
        with slot:
            pass
        return q.empty()

    assert forked(leave)
    slot.data[:] = b"ok"
    slot.commit()
    assert q.get() == b"ok"


def test_threads(seg):
    q = sc.Queue.create(seg, "q", 8)
    got = []

    def get():
        while True:
            try:
                got.append(int(q.get()))
            except sc.ShutDown:
                return

    getters = [threading.Thread(target=get) for _ in range(3)]
    putters = [
        threading.Thread(target=lambda a=a: [q.put(b"%d" % n) for n in range(a, 3000, 3)]) for a in range(3)
    ]
    for thread in getters + putters:
        thread.start()
    for thread in putters:
        thread.join()
    q.shutdown()
    for thread in getters:
        thread.join()
    assert sorted(got) == list(range(3000))


def test_use_after_close(seg):
    q = sc.Queue.create(seg, "q")
    q.close()
    for use in (
        q.get,
        q.get_nowait,
        q.recv,
        q.qsize,
        q.empty,
        q.full,
        q.shutdown,
        q.is_shutdown,
        lambda: q.put(b"x"),
        lambda: q.put_many([b"x"]),
        lambda: q.get_many(1),
        lambda: q.reserve(1),
    ):
        with pytest.raises(sc.InvalidHandleError, match="queue 'q' was closed"):
            use()
    assert q.maxsize == 1024
