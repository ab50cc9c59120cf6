"""The drop-in: objects under each start method, by inheritance and by pickling, and their lifetimes."""

import asyncio
import ctypes
import gc
import importlib
import inspect
import multiprocessing
import os
import pickle
import pkgutil
import queue
import selectors
import socket
import subprocess
import sys
import threading

import pytest
from processes import PATIENCE, eventually, forked

import sharecell as sc
import sharecell.multiprocessing as mp
from sharecell.multiprocessing import _places, connection, sharedctypes

METHODS = ["fork", "spawn", "forkserver"]


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("n", ctypes.c_int)]


class Linked(ctypes.Structure):
    _fields_ = [("next", ctypes.c_void_p), ("wide", ctypes.c_wchar)]


@pytest.fixture(params=METHODS)
def ctx(request):
    return mp.get_context(request.param)


@pytest.fixture(autouse=True)
def _nothing_is_left_in_the_private_segment():
    before = names()
    yield
    eventually(lambda: names() <= before)


def names():
    gc.collect()
    _places.reap(everything=True)
    gc.collect()
    # Names of which the last holder was killed go with the next collections.
    for _ in range(2):
        _places._collect(_places.home())
    return {info.name for info in _places.home().objects()}


def run(ctx, target, *args):
    """Runs it in a process, to its end in good order."""
    process = ctx.Process(target=target, args=args)
    process.start()
    process.join(PATIENCE)
    assert process.exitcode == 0


def objects(ctx):
    return {
        "lock": ctx.Lock(),
        "rlock": ctx.RLock(),
        "semaphore": ctx.Semaphore(3),
        "bounded": ctx.BoundedSemaphore(1),
        "condition": ctx.Condition(),
        "over": ctx.Condition(ctx.Lock()),
        "event": ctx.Event(),
        "barrier": ctx.Barrier(1),
        "queue": ctx.Queue(),
        "few": ctx.Queue(2),
        "jobs": ctx.JoinableQueue(),
        "simple": ctx.SimpleQueue(),
        "ends": ctx.Pipe(),
        "value": ctx.Value("i", 5),
        "point": ctx.Value(Point, 1.5, 2),
        "linked": ctx.Value(Linked),
        "array": ctx.Array("d", [1, 2, 3]),
        "points": ctx.Array(Point, 2),
        "text": ctx.Array("c", 10),
        "wide": ctx.Array("u", "abc"),
        "raw": ctx.RawValue("h", 7),
        "rows": ctx.RawArray(ctypes.c_int * 2, 2),
        "given": ctx.Value("q", 1, lock=ctx.RLock()),
    }


def use(things):
    for lock in "lock", "rlock", "semaphore", "bounded", "condition", "over":
        with things[lock]:
            pass
    things["semaphore"].acquire()
    with things["condition"]:
        things["condition"].notify_all()
    with things["over"]:
        things["over"].notify()
    things["event"].set()
    things["barrier"].wait()
    for name in "queue", "few", "simple":
        things[name].put(things[name].get() * 2)
    things["jobs"].get()
    things["jobs"].task_done()
    things["ends"][1].send(things["ends"][1].recv() + 1)
    with things["value"].get_lock():
        things["value"].value += 1
    things["point"].x += 1
    things["linked"].wide = "ü"
    things["array"][:] = [x * 2 for x in things["array"]]
    things["points"][1].n = 9
    things["text"].value = b"hello"
    things["wide"][0] = "x"
    things["raw"].value += 1
    things["rows"][1][1] = 4
    with things["given"]:
        things["given"].value += 1


def begin(things):
    for name in "queue", "few", "simple", "jobs":
        things[name].put(21)
    things["ends"][0].send(1)


def check(things):
    assert things["semaphore"].get_value() == 2
    assert things["event"].is_set()
    assert [things[name].get() for name in ("queue", "few", "simple")] == [42, 42, 42]
    assert things["jobs"].join(PATIENCE)
    assert things["ends"][0].recv() == 2
    assert things["value"].value == 6
    assert (things["point"].x, things["point"].n) == (2.5, 2)
    assert things["linked"].wide == "ü"
    assert things["array"][:] == [2, 4, 6]
    assert things["points"][1].n == 9
    assert (things["text"].value, things["text"].raw) == (b"hello", b"hello" + b"\0" * 5)
    assert "".join(things["wide"]) == "xbc"
    assert things["raw"].value == 8
    assert things["rows"][1][1] == 4
    assert things["given"].value == 2


def test_all_objects_as_arguments(ctx):
    things = objects(ctx)
    begin(things)
    run(ctx, use, things)
    check(things)


def hand_on(method, things):
    run(mp.get_context(method), use, things)


@pytest.mark.parametrize("inner", METHODS)
def test_a_child_hands_them_on(ctx, inner):
    if (ctx.get_start_method(), inner) == ("fork", "forkserver"):
        pytest.skip("in a forked child the standard library looks for its parent's fork server")
    things = objects(ctx)
    begin(things)
    run(ctx, hand_on, inner, things)
    check(things)


def test_fork_and_spawn_mix():
    things = objects(mp.get_context("fork"))
    begin(things)
    run(mp.get_context("spawn"), use, things)
    check(things)


def test_pickles_in_one_process():
    things = objects(mp)
    begin(things)
    # Of the standard library's own, as it knows ctypes objects.
    use(pickle.loads(mp.reduction.ForkingPickler.dumps(things)))
    check(things)


def give_back(received, answers):
    lock, event, jobs, end, value = received.get()
    with lock:
        value.value += 1
    event.set()
    end.send("through the end")
    answers.put(jobs.get())


def test_objects_go_through_queues_after_the_sender_let_go(ctx):
    there, answers = ctx.Queue(), ctx.Queue()
    mine, theirs = ctx.Pipe()
    lock, event, jobs, value = ctx.Lock(), ctx.Event(), ctx.Queue(), ctx.Value("i")
    jobs.put("left behind")
    there.put((lock, event, jobs, theirs, value))
    del lock, event, jobs, value
    theirs.close()
    gc.collect()
    run(ctx, give_back, there, answers)
    assert mine.recv() == "through the end"
    assert answers.get() == "left behind"
    with pytest.raises(EOFError):
        mine.recv()


def start_and_forget(ctx, done):
    q = ctx.Queue()
    q.put("kept")
    ctx.Process(target=pass_on, args=(q, done)).start()


def pass_on(source, sink):
    sink.put(source.get())


def test_an_object_on_its_way_outlives_its_sender_s_interest(ctx):
    done = ctx.Queue()
    start_and_forget(ctx, done)
    gc.collect()
    assert done.get(timeout=PATIENCE) == "kept"
    for process in mp.active_children():
        process.join(PATIENCE)


def die_early(end):
    os._exit(3)


def test_end_of_file_when_the_receiver_of_an_end_dies_early(ctx):
    mine, theirs = ctx.Pipe()
    process = ctx.Process(target=die_early, args=(theirs,))
    process.start()
    theirs.close()
    with pytest.raises(EOFError):
        mine.recv()
    with pytest.raises(BrokenPipeError):
        mine.send("nobody")
    process.join(PATIENCE)


class Stillborn:
    def __reduce__(self):
        raise RuntimeError("cannot be pickled")


def test_a_process_that_cannot_be_started_keeps_nothing():
    mine, theirs = mp.Pipe()
    with pytest.raises(RuntimeError, match="cannot be pickled"):
        mp.get_context("spawn").Process(target=print, args=(theirs, Stillborn())).start()
    theirs.close()
    gc.collect()
    with pytest.raises(EOFError):
        mine.recv()


def test_many_objects_leave_nothing():
    def make():
        objects(mp)
        gc.collect()
        return _places.home().size

    make()
    before = make()
    for _ in range(50):
        make()
    assert _places.home().size == before


def test_the_public_surface_is_the_standard_one():
    assert set(mp.__all__) == set(multiprocessing.__all__)
    for name in multiprocessing.__all__:
        assert callable(getattr(mp, name)) == callable(getattr(multiprocessing, name)), name


def modules_of_multiprocessing():
    yield "multiprocessing"
    for module in pkgutil.walk_packages(multiprocessing.__path__, "multiprocessing."):
        # How the standard library starts a process under each method: nobody else imports them.
        if not module.name.startswith("multiprocessing.popen_"):
            yield module.name


@pytest.mark.parametrize("name", list(modules_of_multiprocessing()))
def test_each_module_has_all_names_of_the_standard_one(name):
    standard = importlib.import_module(name)
    ours = importlib.import_module(f"sharecell.{name}")
    public = [
        called
        for called, thing in vars(standard).items()
        if not called.startswith("_") and not inspect.ismodule(thing)
    ]
    assert public and [called for called in public if not hasattr(ours, called)] == []


def test_modules_that_programs_reach_into():
    from sharecell.multiprocessing import (
        dummy,
        heap,
        managers,
        process,
        resource_tracker,
        shared_memory,
        util,
    )
    from sharecell.multiprocessing.context import BaseContext, assert_spawning
    from sharecell.multiprocessing.dummy import connection as dummy_connection
    from sharecell.multiprocessing.pool import Pool, ThreadPool
    from sharecell.multiprocessing.queues import Empty, Full, Queue
    from sharecell.multiprocessing.reduction import ForkingPickler
    from sharecell.multiprocessing.synchronize import SEM_VALUE_MAX, Lock

    assert process is multiprocessing.process and util is multiprocessing.util
    assert dummy.Process and heap.Arena and managers.SyncManager and shared_memory.SharedMemory
    assert resource_tracker.ensure_running and dummy_connection.Pipe and ForkingPickler and assert_spawning
    assert (Empty, Full) == (queue.Empty, queue.Full) and SEM_VALUE_MAX > 0
    assert isinstance(mp.get_context("fork"), BaseContext) and isinstance(mp.Lock(), Lock)
    assert isinstance(mp.Queue(), Queue) and issubclass(Pool, multiprocessing.pool.Pool)
    assert ThreadPool is multiprocessing.pool.ThreadPool
    assert mp.Process is multiprocessing.Process


def test_one_start_method_for_both():
    before = multiprocessing.get_start_method(allow_none=True)
    try:
        mp.set_start_method("spawn", force=True)
        assert multiprocessing.get_start_method() == mp.get_start_method() == "spawn"
        assert type(mp.get_context()).__name__ == "SpawnContext"
    finally:
        mp.set_start_method(before, force=True)
    with pytest.raises(ValueError):
        mp.get_context("no such method")
    with pytest.raises(ValueError):
        mp.get_context("fork").set_start_method("spawn")


def test_wait_on_mixed_things(ctx):
    mine, theirs = ctx.Pipe()
    jobs = ctx.Queue()
    a, b = socket.socketpair()
    process = ctx.Process(target=die_early, args=(theirs,))
    things = [mine, jobs, jobs._reader, a, b.fileno()]
    with a, b:
        assert connection.wait(things, 0) == []
        assert connection.wait([], 0) == []
        a.send(b"x")
        assert connection.wait(things) == [b.fileno()]
        jobs.put(1)
        assert connection.wait(things) == [jobs, things[2], b.fileno()]
        theirs.send(2)
        process.start()
        assert mine in connection.wait([mine, process.sentinel])
        assert process.sentinel in connection.wait([process.sentinel])
        process.join(PATIENCE)
        assert connection.wait([jobs], -1) == [jobs]
        # The standard one takes them as well, by their descriptors.
        assert set(multiprocessing.connection.wait([mine, jobs, b])) == {mine, jobs, b}


def test_wait_on_more_than_the_library_takes_at_once():
    events = [mp.Pipe(False, capacity=2) for _ in range(130)]
    readers = [reader for reader, _ in events]
    assert connection.wait(readers, 0.01) == []
    events[77][1].send("x")
    assert connection.wait(readers) == [readers[77]]


def test_selectors(ctx):
    reader, writer = ctx.Pipe(False)
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)

        def is_silent():
            return not reader.poll() and selector.select(0) == []

        eventually(is_silent)  # it may be readable in vain, until the next try
        for round in range(3):
            writer.send(round)
            writer.send(round)
            assert selector.select(PATIENCE)
            assert reader.recv() == round
            assert selector.select(PATIENCE)
            assert reader.recv() == round
            eventually(is_silent)
        writer.close()
        assert selector.select(PATIENCE)
        selector.unregister(reader.fileno())


def test_asyncio():
    jobs = mp.Queue()
    reader, writer = mp.Pipe(False)

    async def collect():
        loop = asyncio.get_running_loop()
        found, done = [], loop.create_future()

        def receive():
            if not reader.poll():  # it may be readable in vain
                raise queue.Empty
            return reader.recv()

        def take(get):
            try:
                found.append(get())
            except queue.Empty:
                return
            if len(found) == 6 and not done.done():
                done.set_result(None)

        loop.add_reader(jobs.fileno(), take, jobs.get_nowait)
        loop.add_reader(reader.fileno(), take, receive)
        thread = threading.Thread(target=lambda: [(jobs.put(n), writer.send(n)) for n in range(3)])
        thread.start()
        await asyncio.wait_for(done, PATIENCE)
        thread.join()
        loop.remove_reader(jobs.fileno())
        loop.remove_reader(reader.fileno())
        return sorted(found)

    assert asyncio.run(collect()) == [0, 0, 1, 1, 2, 2]


def test_names_are_found_by_unrelated_processes(seg, child):
    value = mp.Value("i", 3, name="value", segment=seg)
    array = mp.Array("d", [1, 2], name="array", segment=seg)
    point = mp.RawValue(Point, 1.0, 2, name="point", segment=seg)
    lock, event = mp.Lock(name="lock", segment=seg), mp.Event(name="event", segment=seg)
    jobs = mp.Queue(name="jobs", segment=seg)
    end = connection.pipe_end("A", name="pipe", segment=seg)
    other = child(
        """
        import sharecell.multiprocessing as mp
        from sharecell.multiprocessing import connection
        value = mp.Value("i", 100, name="value", segment=seg)
        with value.get_lock(), sc.Lock.open(seg, "lock"):
            value.value += 1
        sc.Array.open(seg, "array", "d")[1] = 7
        mp.Event(name="event", segment=seg).set()
        mp.Queue(name="jobs", segment=seg).put([1, 2])
        with connection.pipe_end("B", name="pipe", segment=seg) as end:
            end.send("hello")
            say("done")
            hear()
        """
    )
    assert other.line() == "done"
    assert (value.value, array[:]) == (4, [1, 7])
    assert lock.acquire(False) and event.is_set()
    assert jobs.get(timeout=PATIENCE) == [1, 2] and end.recv() == "hello"
    assert (point.x, point.n) == (1.0, 2)
    other.tell("go")
    other.finish()
    with pytest.raises(EOFError):
        end.recv()
    lock.release()
    assert mp.Value("i", 8, name="value", segment=seg).value == 4
    with pytest.raises(sc.WrongTypeError):
        mp.Value("d", name="value", segment=seg)
    with pytest.raises(ValueError):
        mp.Lock(segment=seg)
    assert pickle.loads(pickle.dumps(lock)).name == "lock"


def test_a_name_alone_is_found_in_a_segment_of_its_own(name, monkeypatch):
    monkeypatch.setenv("SHARECELL_SEGMENT", name)
    lock = mp.Lock(name="a")
    assert lock.segment.name == name and os.path.exists(f"/dev/shm/sharecell.{name}")
    code = "import sharecell.multiprocessing as mp; print(mp.Lock(name='a').locked())"
    with lock:
        assert subprocess.check_output([sys.executable, "-c", code], text=True) == "True\n"
    _places._state.named.pop(name).__exit__()


PROGRAM = """
import os, signal, sys
import sharecell.multiprocessing as mp

def work(q, method):
    q.put(os.getpid())
    if method:
        mp.get_context(method).Process(target=work, args=(q, None)).start()

if __name__ == "__main__":
    ctx = mp.get_context(sys.argv[1])
    q, e, v = ctx.Queue(), ctx.Event(), ctx.Value("i", name="v" if sys.argv[3] == "named" else None)
    process = ctx.Process(target=work, args=(q, sys.argv[1]))
    process.start()
    q.get(); q.get()
    if sys.argv[2] == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    process.join()
"""


@pytest.mark.parametrize("end", ["exit", "kill"])
@pytest.mark.parametrize("method", METHODS)
def test_nothing_stays_in_dev_shm(tmp_path, name, method, end):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    environment = {**os.environ, "SHARECELL_SEGMENT": name}
    result = subprocess.run(
        [sys.executable, script, method, end, "private"], env=environment, timeout=PATIENCE
    )
    assert result.returncode == (-9 if end == "kill" else 0)
    assert [entry for entry in os.listdir("/dev/shm") if name in entry] == []


def test_a_named_segment_goes_with_the_program(tmp_path, name):
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    environment = {**os.environ, "SHARECELL_SEGMENT": name}
    subprocess.run(
        [sys.executable, script, "spawn", "exit", "named"], env=environment, timeout=PATIENCE, check=True
    )
    assert not os.path.exists(f"/dev/shm/sharecell.{name}")


def test_forks_without_multiprocessing():
    lock, q = mp.Lock(), mp.Queue()

    def leave():
        with lock:
            q.put(os.getpid())
        return True

    assert forked(leave)
    assert q.get(timeout=PATIENCE) != os.getpid()


def test_threads(ctx):
    q, total = ctx.Queue(), ctx.Value("i")

    def turn():
        for _ in range(200):
            q.put(1)
            got = q.get()
            with total.get_lock():
                total.value += got

    threads = [threading.Thread(target=turn) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total.value == 800 and q.empty()


def test_representations():
    lock, rlock, event = mp.Lock(), mp.RLock(), mp.Event()
    assert repr(lock) == "<Lock(owner=None)>" and repr(rlock) == "<RLock(None, 0)>"
    with lock, rlock:
        assert repr(lock) == "<Lock(owner=MainProcess)>" and repr(rlock) == "<RLock(MainProcess, nonzero)>"
        assert lock._semlock._is_mine() and lock._semlock._is_zero() and lock.locked()
    assert repr(mp.Semaphore(2)) == "<Semaphore(value=2)>"
    assert repr(mp.BoundedSemaphore(2)) == "<BoundedSemaphore(value=2, maxvalue=2)>"
    assert repr(event).endswith("unset>")


def test_releasing_what_is_not_held():
    for lock, error in (
        (mp.Lock(), ValueError),
        (mp.RLock(), AssertionError),
        (mp.BoundedSemaphore(), ValueError),
    ):
        with pytest.raises(error):
            lock.release()
    for condition in mp.Condition(), mp.Condition(mp.Lock()):
        with pytest.raises(AssertionError):
            condition.wait()


def test_conditions_that_share_a_lock():
    lock = mp.RLock()
    there, taken = mp.Condition(lock), mp.Condition(lock)
    items = []

    def consume():
        for _ in range(100):
            with there:
                assert there.wait_for(lambda: items, PATIENCE)
                items.pop()
                taken.notify()

    thread = threading.Thread(target=consume)
    thread.start()
    for n in range(100):
        with taken, lock:
            assert taken.wait_for(lambda: not items, PATIENCE)
            items.append(n)
            there.notify()
    thread.join(PATIENCE)
    assert not thread.is_alive() and items == []


def test_raw_objects_and_copies():
    point = mp.RawValue(Point, 1.0, 2)
    copied = sharedctypes.copy(point)
    point.x = 9.0
    assert (copied.x, copied.n) == (1.0, 2)
    both = sharedctypes.synchronized(copied)
    assert both.x == 1.0 and both.get_obj() is copied
    assert sharedctypes.copy(mp.RawArray("i", [1, 2]))[:] == [1, 2]
    assert len(mp.RawArray("i", 0)) == 0
    with pytest.raises(ValueError):
        mp.RawArray("i", -1)


def test_the_lock_of_a_value_is_reentrant_and_known_to_others():
    value = mp.Value("i")
    with value.get_lock(), value:
        assert not forked(lambda: value.shared.get_lock().acquire(False))
        assert not forked(lambda: value.get_lock().acquire(False))
    assert forked(lambda: value.get_lock().acquire(False))
    with pytest.raises(AssertionError):
        value.get_lock().release()
