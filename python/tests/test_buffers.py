"""Views of arrays, with and without NumPy, and what closing does to them."""

import gc
import os
import pickle
import sys

import pytest
from test_value import LIMITS, Point

import sharecell as sc
from sharecell import _native

numpy = pytest.importorskip("numpy")


def exists(name):
    return os.path.exists(f"/dev/shm/sharecell.{name}")


@pytest.mark.parametrize("code", [*LIMITS, "f", "d", "?", "c"])
def test_views_have_the_format(seg, code):
    a = sc.Array.create(seg, "a", code, 4)
    view = a.view()
    assert (view.format, view.itemsize, len(view), view.readonly) == (code, a.itemsize, 4, False)
    view[2] = {"?": True, "c": b"x"}.get(code, 1)
    assert a[2] == view[2]
    array = numpy.asarray(a)
    assert array.shape == (4,) and array.itemsize == a.itemsize
    assert numpy.shares_memory(array, numpy.asarray(a)), "no copy"
    array[3] = {"c": b"y"}.get(code, 1)
    assert a[3] == array[3]
    assert array.dtype == numpy.dtype({"c": "S1"}.get(code, code))


def test_numpy_without_a_copy_in_another_process(seg, child):
    a = sc.Array.create(seg, "a", "d", 1000)
    array = numpy.asarray(a)
    array[:] = numpy.arange(1000) / 2
    other = child(
        """
        a = sc.Array.open(seg, 'a', 'd')
        say(a[999], sum(a[:]))
        import numpy
        numpy.asarray(a)[:10] = -1
        """
    )
    assert other.line() == "499.5 249750.0"
    other.finish()
    assert list(array[8:12]) == [-1, -1, 5, 5.5] and a[9] == -1


def test_numpy_with_a_structure(seg):
    a = sc.Array.create(seg, "a", Point, [(1, 2, 3), (4, 5, 6)])
    array = numpy.asarray(a)
    assert array.dtype.names == ("x", "y", "label") and list(array["label"]) == [3, 6]
    array["x"] = 9
    assert [p.x for p in a] == [9, 9]
    assert a.view().format == "B" and a.view().nbytes == 48


def test_what_numpy_asks_for(seg):
    a = sc.Array.create(seg, "a", "i", [1, 2, 3])
    assert numpy.asarray(a, dtype="d").tolist() == [1.0, 2.0, 3.0]
    copy = numpy.array(a)
    copy[0] = 9
    assert a[0] == 1
    assert a.__array__(copy=True).base is None
    with pytest.raises(ValueError):
        a.__array__("d", copy=False)
    assert (numpy.asarray(a) * 2).tolist() == [2, 4, 6]
    a[:] = numpy.array([7, 8, 9], dtype="i")
    a[1:] = numpy.array([1, 2], dtype="q")
    a[0] = numpy.int64(5)
    assert a[:] == [5, 1, 2]
    v = sc.Value.create(seg, "v", "?", numpy.bool_(True))
    assert v.value is True


@pytest.mark.skipif(sys.version_info < (3, 12), reason="__buffer__ came with 3.12")
def test_the_buffer_protocol(seg):
    a = sc.Array.create(seg, "a", "i", [1, 2])
    view = memoryview(a)
    view[0] = 5
    assert a[0] == 5 and bytes(a) == bytes(view)
    with pytest.raises(sc.BusyError):
        a.close()
    view.release()
    a.close()


@pytest.mark.parametrize("make", [lambda a: a.view(), lambda a: a.view()[1:2], numpy.asarray])
def test_close_is_refused_while_views_live(name, make):
    segment = sc.Segment.create(name, ephemeral=True)
    a = sc.Array.create(segment, "a", "i", 4)
    view = make(a)
    with pytest.raises(sc.BusyError, match="1 views") as caught:
        a.close()
    assert isinstance(caught.value, BufferError)
    a[1] = 7
    assert 7 in view.tolist()
    with pytest.raises(sc.BusyError):
        segment.close()
    del view
    a.close()
    segment.close()
    assert not exists(name)


def test_views_outlive_the_end_of_with(name):
    with sc.Segment.create(name, ephemeral=True) as segment:
        a = sc.Array.create(segment, "a", "i", [1, 2, 3])
        view, array = a.view(), numpy.asarray(a)
    assert a.closed and segment.closed and exists(name), "the memory is still in use"
    array[1] = 9
    assert view.tolist() == [1, 9, 3]
    with pytest.raises(sc.InvalidHandleError):
        a[0]
    del view
    assert array.sum() == 13
    part = array[1:]
    del array
    assert part.tolist() == [9, 3]
    del part
    assert not exists(name), "and goes with the last view"


def test_views_outlive_the_objects(name):
    array = numpy.asarray(sc.Array.create(sc.Segment.create(name, ephemeral=True), "a", "i", [1, 2, 3]))
    assert array.sum() == 6
    del array
    assert not exists(name)


def test_the_collector_spares_the_memory_of_views(name):
    """In a cycle of garbage everything is finalized, in any order, and a finalizer may look at a view."""
    seen = []

    class Node:
        def __del__(self):
            seen.append(self.view.tolist())

    with sc.Segment.create(name, ephemeral=True) as segment:
        array = sc.Array.create(segment, "a", "i", [1, 2, 3])
        node = Node()
        node.self = node
        node.array, node.view = array, numpy.asarray(array)
    del node, array
    gc.collect()
    assert seen == [[1, 2, 3]] and not exists(name)


def test_handles_are_not_tracked(seg):
    for shared in (sc.Array.create(seg, "a", "i", 1), sc.Queue.create(seg, "q"), *sc.Pipe.create(seg, "p")):
        assert isinstance(shared._handle, _native.Handle) and not gc.is_tracked(shared._handle)


def test_items_keep_the_memory(name):
    with sc.Segment.create(name, ephemeral=True) as segment:
        q = sc.Queue.create(segment, "q")
        q.put(b"x" * 100_000)
        item = q.recv()
        array = numpy.frombuffer(item.data, dtype="B")
    assert array.sum() == 120 * 100_000
    item.release()
    assert array.size == 100_000
    array.tolist()
    del array, item
    assert not exists(name)


def test_a_view_in_a_forked_child(seg):
    a = sc.Array.create(seg, "a", "i", [1, 2])
    array = numpy.asarray(a)
    pid = os.fork()
    if pid == 0:
        array[0] = 5
        seg.__exit__()
        array[1] = 6
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert a[:] == [5, 6]


@pytest.mark.parametrize("kept", ["view", "array", "item", "slot", "iterator", "lock"])
def test_the_end_of_the_interpreter(child, kept):
    """Nothing is closed, all is alive: the process ends with 0 and without a word."""
    other = child(
        f"""
        import numpy
        a = sc.Array.create(seg, 'a', 'd', range(1000))
        q = sc.Queue.create(seg, 'q')
        q.put(b'x' * 1000)
        l = sc.Lock.create(seg, 'l')
        class Keeper:
            def __init__(self, what):
                self.what, self.me = what, self
            def __del__(self):
                if {kept!r} in ('view', 'array'):
                    assert sum(self.what.tolist()) == 499500
        things = {{
            'view': lambda: a.view(),
            'array': lambda: numpy.asarray(a),
            'item': lambda: q.recv(),
            'slot': lambda: q.reserve(5),
            'iterator': lambda: iter(a),
            'lock': lambda: l.__enter__(),
        }}
        keeper = Keeper(things[{kept!r}]())
        sys.modules['a module that goes late'] = keeper
        threading.Thread(target=hear, daemon=True).start()
        threading.Thread(target=sc.Semaphore.create(seg, 's', 0).acquire, daemon=True).start()
        say('done')
        """
    )
    other.line()
    other.finish()


def test_arrays_travel_as_names_and_numpy_arrays_as_bytes(seg):
    a = sc.Array.create(seg, "a", "i", [1, 2])
    assert len(pickle.dumps(a)) < 300
    assert pickle.loads(pickle.dumps(numpy.asarray(a))).tolist() == [1, 2]
