import array
import ctypes
import struct

import pytest
from test_value import LIMITS, Point

import sharecell as sc


@pytest.mark.parametrize("code", LIMITS)
def test_integers_to_their_limits(seg, code):
    low, high = LIMITS[code]
    a = sc.Array.create(seg, "a", code, [low, high, 0])
    b = sc.Array.open(seg, "a", code)
    assert b[:] == [low, high, 0] and list(b) == a[:] and len(b) == 3
    assert a.itemsize == struct.calcsize(code) and a.element_type == code
    b[2] = high
    assert a[2] == a[-1] == high
    for number in (low - 1, high + 1):
        for attempt in (
            lambda n=number: a.__setitem__(1, n),
            lambda n=number: a.__setitem__(slice(0, 2), [low, n]),
            lambda n=number: a.fill(n),
            lambda n=number: sc.Array.create(seg, "other", code, [0, n]),
        ):
            with pytest.raises(sc.ValueRangeError, match=f"'{code}'"):
                attempt()
    with pytest.raises(TypeError):
        a[0] = "text"
    with pytest.raises(TypeError):
        a[0:1] = [None]
    assert b[:] == [low, high, high]
    assert [info.name for info in seg.objects()] == ["a"], "a bad initializer leaves nothing behind"


@pytest.mark.parametrize("code", "fd")
def test_real_numbers(seg, code):
    a = sc.Array.create(seg, "a", code, (0.5, 1, True))
    assert a[:] == [0.5, 1.0, 1.0]
    a.fill(2.5)
    assert a[:] == [2.5] * 3


def test_truths(seg):
    a = sc.Array.create(seg, "a", "?", [True, False, 1])
    assert a[:] == [True, False, True]
    with pytest.raises(sc.ValueRangeError):
        a[0] = 2
    with pytest.raises(sc.ValueRangeError):
        a[:2] = b"\2\3"
    assert a[:] == [True, False, True]


def test_indices_are_those_of_a_list(seg):
    model = list(range(10))
    a = sc.Array.create(seg, "a", "i", model)
    for index in range(-10, 10):
        assert a[index] == model[index]
    for index in (10, -11, 1 << 70, -(1 << 70)):
        with pytest.raises(sc.OutOfRangeError, match="10 elements") as caught:
            a[index]
        assert isinstance(caught.value, IndexError)
        with pytest.raises(IndexError):
            a[index] = 1
    for index in ("1", None, 1.0, (1, 2)):
        with pytest.raises(TypeError):
            a[index]
        with pytest.raises(TypeError):
            a[index] = 1
    assert a[:] == model


@pytest.mark.parametrize("kind", ["i", Point])
def test_slices_are_those_of_a_list(seg, kind):
    make, read = ((lambda n: n), (lambda n: n)) if kind == "i" else ((lambda n: (0, 0, n)), lambda p: p.label)
    model = list(range(9))
    a = sc.Array.create(seg, "a", kind, [make(n) for n in model])
    number = 100
    for start in (None, 0, 2, -3, 20, -20):
        for stop in (None, 0, 5, -1, 20, -20):
            for step in (None, 1, 2, -1, -3, 10):
                part = slice(start, stop, step)
                assert [read(x) for x in a[part]] == model[part]
                values = [number + i for i in range(len(model[part]))]
                number += 10
                model[part] = values
                a[part] = [make(n) for n in values]
                assert [read(x) for x in a[:]] == model
    for part, count in ((slice(0, 3), 2), (slice(None, None, 2), 4), (slice(5, 5), 1)):
        with pytest.raises(sc.WrongSizeError, match="keeps its length") as caught:
            a[part] = [make(n) for n in range(count)]
        assert isinstance(caught.value, ValueError)
    assert [read(x) for x in a[:]] == model


def test_structures(seg):
    a = sc.Array.create(seg, "a", Point, 3)
    a[1] = Point(1, 2, 3)
    a[-1] = (4, 5, 6)
    assert [p.label for p in a] == [0, 3, 6] and a[2].x == 4
    a.fill((0, 0, 9))
    assert [p.label for p in sc.Array.open(seg, "a", Point)] == [9] * 3
    with pytest.raises(IndexError):
        a[3]
    with pytest.raises(TypeError):
        a[0] = 5
    with pytest.raises(TypeError):
        a["x"]


def test_initializers(seg):
    assert sc.Array.create(seg, "iterator", "h", iter([1, 2])).view().tolist() == [1, 2]
    assert sc.Array.create(seg, "array", "h", array.array("h", [3, 4]))[:] == [3, 4]
    assert sc.Array.create(seg, "other array", "h", array.array("q", [5]))[:] == [5]
    assert sc.Array.create(seg, "bytes", "B", b"ab")[:] == [97, 98]
    assert sc.Array.create(seg, "text", "c", b"ab").raw == b"ab"
    assert sc.Array.create(seg, "copy", "h", sc.Array.open(seg, "array", "h"))[:] == [3, 4]
    for size in (-1, 1 << 64):
        with pytest.raises(sc.InvalidArgumentError):
            sc.Array.create(seg, "x", "i", size)
    for wrong in (1.5, None):
        with pytest.raises((TypeError, sc.InvalidArgumentError)):
            sc.Array.create(seg, "x", "i", wrong)


def test_sizes_are_checked(seg):
    sc.Array.create(seg, "a", "i", 5)
    assert len(sc.Array.open_or_create(seg, "a", "i", 5)) == 5
    with pytest.raises(sc.WrongSizeError, match="5.*6"):
        sc.Array.open_or_create(seg, "a", "i", 6)
    with pytest.raises(sc.WrongTypeError, match="'i'.*'d'"):
        sc.Array.open(seg, "a", "d")
    with pytest.raises(sc.WrongKindError, match="array.*queue"):
        sc.Queue.open(seg, "a")
    with pytest.raises(sc.AlreadyExistsError):
        sc.Array.create(seg, "a", "i", 5)
    with pytest.raises(sc.NotFoundError):
        sc.Array.open(seg, "b", "i")
    assert sc.Array.open_or_create(seg, "b", "i", 2)[:] == [0, 0]


def test_text(seg):
    a = sc.Array.create(seg, "a", "c", 8)
    a.value = b"hello"
    assert a.value == b"hello" and a.raw == b"hello\0\0\0"
    a.raw = b"12345678"
    assert a.value == a.raw == b"12345678", "without a NUL all of it"
    a.value = b"ab"
    assert a.value == b"ab" and a.raw == b"ab\x0045678"
    a.raw = bytearray(b"x\0y")
    assert a.value == b"x" and a.raw == b"x\0y45678"
    a.value = b""
    assert a.value == b""
    assert a[1:3] == b"\0y" and a[2] == b"y" and a[::4] == b"\x005"
    a[0:2] = b"zz"
    a[2] = b"!"
    assert a.value == b"zz!45678"
    for attempt in (
        lambda: setattr(a, "value", b"123456789"),
        lambda: setattr(a, "raw", b"123456789"),
    ):
        with pytest.raises(sc.TooLargeError, match="8 bytes; got 9") as caught:
            attempt()
        assert isinstance(caught.value, ValueError)
    with pytest.raises(TypeError):
        a.value = "text"
    with pytest.raises(sc.ValueRangeError):
        a[0] = b"xy"
    assert a.value == b"zz!45678"
    every = sc.Array.create(seg, "every", "c", bytes(range(256)))
    assert every.raw == bytes(range(256))


def test_only_text_has_value_and_raw(seg):
    a = sc.Array.create(seg, "a", "i", 3)
    assert not hasattr(a, "value") and not hasattr(a, "raw")
    with pytest.raises(AttributeError, match="typecode 'c'"):
        a.value = b"x"


def test_empty(seg):
    a = sc.Array.create(seg, "a", "i", 0)
    assert len(a) == 0 and a[:] == [] and list(a) == [] and a.view().nbytes == 0
    a.fill(5)
    with pytest.raises(IndexError):
        a[0]


def test_its_lock(seg):
    a = sc.Array.create(seg, "a", "i", 1)
    with a.get_lock():
        assert not sc.Array.open(seg, "a", "i").get_lock().acquire(False)
    with a.get_lock():
        pass


def test_use_after_close(seg):
    for kind, element in (("i", 5), (Point, Point()), ("c", b"x")):
        a = sc.Array.create(seg, f"a{kind}", kind, 2)
        a.close()
        uses = [
            lambda a=a: a[0],
            lambda a=a: a[:],
            lambda a=a, e=element: a.__setitem__(0, e),
            lambda a=a, e=element: a.__setitem__(slice(0, 2), [e, e]),
            lambda a=a, e=element: a.fill(e),
            lambda a=a: list(a),
            a.view,
            a.get_lock().acquire,
        ]
        if kind == "c":
            uses += [lambda a=a: a.value, lambda a=a: a.raw, lambda a=a: setattr(a, "value", b"")]
        for use in uses:
            with pytest.raises(sc.InvalidHandleError, match="closed"):
                use()


def test_another_process(seg, child):
    a = sc.Array.create(seg, "a", "q", 1000)
    other = child(
        "a = sc.Array.open(seg, 'a', 'q'); a[:] = range(1000); a[0] = -1; a.fill.__call__; say(len(a))"
    )
    assert other.line() == "1000"
    other.finish()
    assert a[:] == [-1, *range(1, 1000)]


def test_large_copies(seg):
    count = 1 << 17
    a = sc.Array.create(seg, "a", "d", count)
    a[:] = array.array("d", range(count))
    assert a[count - 1] == count - 1 and sum(a[:]) == count * (count - 1) / 2
    a[1:] = a[:-1]
    assert a[count - 1] == count - 2


def test_plain_data_needs_equal_names(seg):
    other = type("Other", (ctypes.Structure,), {"_fields_": Point._fields_})
    sc.Array.create(seg, "a", Point, 1)
    with pytest.raises(sc.WrongTypeError, match="Point.*Other"):
        sc.Array.open(seg, "a", other)
