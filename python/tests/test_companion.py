"""The compiled companion does what the methods in Python do, and is what is tested when it is there."""

import gc
import inspect
import math
import os
import pickle
import re
import subprocess
import sys
import sysconfig
import threading
import tracemalloc
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest
from processes import PATIENCE, forked

import sharecell as sc
from sharecell import _companion, _native

IS_REFUSED = os.environ.get("SHARECELL_PURE", "0") not in ("", "0")
FITS = ".abi3.so" in EXTENSION_SUFFIXES and sys.version_info >= (3, 10) and "t" not in sys.abiflags
PATH = _native.library_path().with_name("_speed.abi3.so")

compiled = pytest.mark.skipif(not sc.is_compiled(), reason="the companion is not in use")


def run(code, **environment):
    environment = {**os.environ, **environment}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_it_is_used_unless_refused():
    if not PATH.exists():
        headers = Path(sysconfig.get_path("include"), "Python.h")
        assert not (FITS and headers.exists()), "`make build` should have made the companion"
        pytest.skip(f"no companion was built: {headers} is not there, or this Python is not served")
    assert sc.is_compiled() == (FITS and not IS_REFUSED)


def test_it_can_be_refused():
    code = "import sharecell; print(sharecell.is_compiled())"
    assert run(code, SHARECELL_PURE="1") == "False"
    assert run(code, SHARECELL_PURE="") == run(code, SHARECELL_PURE="0") == str(FITS and PATH.exists())


def fronts():
    if not sc.is_compiled():
        return []
    return [cls for cls in vars(_companion.speed).values() if isinstance(cls, type)]


@compiled
def test_signatures_are_those_of_python():
    seen = 0
    for cls in (sc.Lock, sc.RLock, sc.Condition, sc.Event, sc.Semaphore, sc.Value, sc.Queue, sc.Pipe):
        front, pure = cls.__mro__[1:3]
        assert front.__module__ == "sharecell._speed" and pure.__name__ == cls.__name__
        assert cls.__doc__ == pure.__doc__ and cls.__module__ == pure.__module__
        for name, method in vars(front).items():
            if name.startswith("_") or not callable(method):
                continue
            mine, theirs = (
                list(inspect.signature(m).parameters.values()) for m in (method, getattr(pure, name))
            )
            assert [p.name for p in mine] == [p.name for p in theirs], (cls, name)
            assert [p.default for p in mine] == [p.default for p in theirs], (cls, name)
            seen += 1
    assert seen > 20


@compiled
def test_the_stub_has_all():
    stub = Path(_companion.__file__).with_name("_speed.pyi").read_text()
    for cls in fronts():
        body = re.search(rf"^class {cls.__name__}\b.*?(?=^class |\Z)", stub, re.M | re.S)
        assert body, cls
    for name in ("functions", "connect", "VERSION"):
        assert re.search(rf"\b{name}\b", stub)


@compiled
def test_it_calls_the_library_that_is_loaded():
    maps = Path("/proc/self/maps").read_text()
    libraries = {line.split()[-1] for line in maps.splitlines() if "libsharecell" in line}
    assert len(libraries) == 1
    with pytest.raises(ValueError):
        _companion.speed.connect((1,))
    with pytest.raises(ValueError):
        _companion.speed.connect((0,) * len(_companion.speed.functions()))


@compiled
def test_an_object_that_was_not_opened():
    for cls in fronts():
        thing = cls.__new__(cls)
        for name in ("acquire", "release", "get", "recv", "put", "send", "poll", "add", "get_lock"):
            method = getattr(thing, name, None)
            if method is not None:
                with pytest.raises((AttributeError, TypeError)):
                    method(1) if name in ("put", "send", "add") else method()
        with pytest.raises((AttributeError, TypeError)):
            thing.value if hasattr(cls, "value") else thing[0]
    with pytest.raises((TypeError, ValueError)):
        _companion.speed.Value()._place(1, "z", 1, int)
    with pytest.raises((TypeError, AttributeError)):
        sc.Lock()


OBJECTS = [
    *(None, True, False, 0, 1, 255, 256, 65535, 65536, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1),
    *(2**63 - 1, -(2**63), 2**63, 2**100, 0.0, -0.5, 1e300, math.inf, b"", b".", b"\x94", b"x" * 255),
    *(
        b"x" * 256,
        b"x" * 5000,
        "",
        "a",
        "ä€😀",
        "x" * 255,
        "ä" * 200,
        "x" * 5000,
        "\ud800",
        [1, "two"],
        {"a": (1,)},
    ),
]


@pytest.mark.parametrize("obj", OBJECTS, ids=lambda obj: repr(obj)[:20].encode("ascii", "replace").decode())
def test_objects(seg, obj):
    q = sc.Queue.create(seg, "q", 16, max_item=8192)
    a, b = sc.Pipe.create(seg, "p")

    def same(got):
        return type(got) is type(obj) and got == obj

    q.put_object(obj)
    assert same(pickle.loads(q.get())), "what is put is a pickle"
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        q.put(pickle.dumps(obj, protocol))
        assert same(q.get_object())
    assert q.put_objects([obj] * 3) == 3
    assert all(map(same, q.get_objects(16)))
    a.send(obj)
    assert same(b.recv())
    a.send_bytes(pickle.dumps(obj))
    assert same(b.recv())


def test_what_is_no_pickle(seg):
    q = sc.Queue.create(seg, "q", 64)
    for wrong in (
        b"",
        b"\x80",
        b"\x80\x05K.",
        b"\x80\x04K\x01\x01.",
        b"\x80\x04\x8a\x09" + b"1" * 9,
        b"\x80\x04C\x09x.",
    ):
        q.put(wrong)
        with pytest.raises((pickle.UnpicklingError, EOFError, ValueError, IndexError)):
            q.get_object()
        assert q.empty()
    with pytest.raises(Exception, match="pickle|local"):
        q.put_object(lambda: None)
    with pytest.raises(Exception, match="pickle|local"):
        q.put_objects([1, lambda: None])
    assert q.empty()


def test_many_more_than_a_run(seg):
    q = sc.Queue.create(seg, "q", 2000)
    objects = [n if n % 3 else {"n": n} for n in range(1500)]
    assert q.put_objects(iter(objects)) == 1500
    assert q.get_objects(700) == objects[:700]
    assert q.get_objects(10**9, 0) == objects[700:]
    with pytest.raises(sc.Empty):
        q.get_objects(5, 0)
    with pytest.raises(sc.Full) as caught:
        for _ in range(3):
            q.put_many([b"x"] * 1000, 0.01)
    assert caught.value.done == 0 and q.qsize() == 2000
    assert q.get_many(1500) == [b"x"] * 1500
    assert q.put_many([b"y"] * 5000, 0.01) == 1500, "as many as there is room for"


def test_arguments(seg):
    q, lock = sc.Queue.create(seg, "q", 4), sc.Lock.create(seg, "l")
    lock.acquire()
    for call in (lock.acquire, q.get):
        for bad in ({"timeout": math.nan}, {"timeout": "soon"}):
            with pytest.raises((ValueError, TypeError)):
                call(**bad)
        with pytest.raises(TypeError):
            call(True, None, 1)
        with pytest.raises(TypeError):
            call(wrong=1)
        with pytest.raises(TypeError):
            call(True, block=True)
    assert lock.acquire(timeout=-1) is lock.acquire(0) is lock.acquire(block=[]) is False
    with pytest.raises(TypeError):
        q.put()
    with pytest.raises(TypeError):
        q.put("text")
    for kind in (bytearray, memoryview):
        q.put(data=kind(b"abc"))
        assert q.get(timeout=math.inf) == b"abc"


def things(seg):
    lock, value, array = (
        sc.Lock.create(seg, "l"),
        sc.Value.create(seg, "v", "i"),
        sc.Array.create(seg, "a", "i", 3),
    )
    queue, semaphore = sc.Queue.create(seg, "q", 4), sc.Semaphore.create(seg, "s", 1)
    a, b = sc.Pipe.create(seg, "p")
    return lock, value, array, queue, semaphore, a, b


def test_closed(seg):
    lock, value, array, queue, semaphore, a, b = opened = things(seg)
    locks = value.get_lock(), array.get_lock()
    for thing in opened:
        thing.close()
    calls = [lock.acquire, lock.release, lock.__enter__, semaphore.acquire, semaphore.release, value.get]
    calls += [
        queue.get,
        queue.get_object,
        a.recv,
        a.recv_bytes,
        a.poll,
        lambda: queue.put(b""),
        lambda: a.send(1),
    ]
    calls += [
        lambda: queue.put_many([b""]),
        lambda: queue.get_many(2),
        lambda: value.add(1),
        lambda: array[0],
    ]
    calls += [lambda: value.value, lambda: setattr(value, "value", 1), lambda: array.__setitem__(0, 1)]
    calls += [lambda: a.send_bytes(b""), lambda: queue.put_object(1), *(held.acquire for held in locks)]
    for call in calls:
        with pytest.raises(sc.InvalidHandleError, match="closed"):
            call()


def test_closed_inside_a_block(seg):
    lock, semaphore = sc.Lock.create(seg, "l"), sc.Semaphore.create(seg, "s", 1)
    for thing in (lock, semaphore):
        with thing:
            thing.close()
    assert sc.Lock.open(seg, "l").acquire(False), "it was given back"
    assert sc.Semaphore.open(seg, "s").get_value() == 1


@pytest.mark.parametrize(
    "wait", ["lock.acquire()", "queue.get()", "queue.get_objects(3)", "b.recv()", "semaphore.acquire()"]
)
def test_closed_by_another_thread_during_a_wait(seg, wait):
    lock, _, _, queue, semaphore, _, b = things(seg)
    lock.acquire()
    semaphore.acquire()
    names = {"lock": lock, "queue": queue, "b": b, "semaphore": semaphore}
    waits = threading.Event()
    caught = []

    def waiter():
        waits.set()
        try:
            eval(wait, names)
        except sc.InvalidHandleError as error:
            caught.append(str(error))

    thread = threading.Thread(target=waiter)
    thread.start()
    waits.wait()
    for thing in names.values():
        if isinstance(thing, sc._object.SharedObject):
            thing.close()
    thread.join(PATIENCE)
    assert not thread.is_alive() and "closed" in caught[0]


def test_a_forked_child_goes_on(seg):
    lock, value, array, queue, semaphore, a, b = things(seg)

    def child():
        with lock, value.get_lock(), array.get_lock(), semaphore:
            value.value += 5
            array[1] = 7
        queue.put_object({"from": "the child"})
        a.send("done")
        return True

    assert forked(child)
    assert (value.value, array[1], queue.get_object(), b.recv()) == (5, 7, {"from": "the child"}, "done")


def test_exit_with_everything_open(seg):
    code = f"""
import sharecell as sc, threading
seg = sc.Segment.open({seg.name!r})
q, l, v = sc.Queue.create(seg, 'q'), sc.Lock.create(seg, 'l'), sc.Value.create(seg, 'v', 'd')
held = v.get_lock(); held.__enter__(); l.acquire()
for wait in (q.get, l.acquire, q.get_objects):
    threading.Thread(target=wait, args=(5,) if wait == q.get_objects else (), daemon=True).start()
print('ends')
"""
    assert run(code) == "ends"
    assert sc.Lock.open(seg, "l").acquire(timeout=PATIENCE)


def test_nothing_leaks(seg):
    lock, value, array, queue, semaphore, a, b = things(seg)

    def use():
        for _ in range(200):
            with lock, value.get_lock(), array.get_lock(), semaphore:
                value.value = value.get() + 1
                array[1] = array[2] + 70000
            queue.put_objects([1, "two", [3.0], b"four" * 100])
            queue.get_objects(9)
            queue.put(b"x" * 300)
            queue.get(timeout=PATIENCE)
            a.send({"n": 1})
            b.recv()
            for refused in (
                lambda: queue.get(False),
                lambda: array[3],
                lambda: queue.put_object(use.__code__),
            ):
                with pytest.raises((sc.Empty, IndexError, TypeError)):
                    refused()
            sc.Value.open(seg, "v", "i").close()

    def grown():
        before = tracemalloc.get_traced_memory()[0]
        use()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    kept = (None, True, lock, value, b"four", sc.Value)
    tracemalloc.start()
    use()
    counts = list(map(sys.getrefcount, kept))
    # What is kept for later is kept once; a leak of the smallest object a turn would be more than this.
    assert min(grown() for _ in range(3)) < 3000
    tracemalloc.stop()
    assert all(abs(now - then) < 100 for then, now in zip(counts, map(sys.getrefcount, kept)))


SUBINTERPRETER = """
import {module} as interpreters, sharecell as sc, os
with sc.Segment.create('{name}', ephemeral=True) as seg:
    q = sc.Queue.create(seg, 'q', 4)
    code = '''
try:
    import sharecell as sc
    with sc.Segment.open('{name}') as seg:
        sc.Queue.open(seg, 'q').put_object(sc.is_compiled())
except ImportError:
    pass
'''
    {run}
    print('not' if q.empty() else 'works', 'ends')
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no way to have a subinterpreter before 3.12")
def test_a_subinterpreter_works_or_refuses(name):
    module = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    if module == "_interpreters":
        run_it = "i = interpreters.create(); interpreters.run_string(i, code); interpreters.destroy(i)"
    else:
        run_it = "i = interpreters.create(); interpreters.run_string(i, code)"
    out = run(SUBINTERPRETER.format(module=module, name=name, run=run_it))
    assert out.endswith("ends")
