import ctypes
import gc
import math
import struct

import pytest

import sharecell as sc


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_double), ("label", ctypes.c_int)]


class Pair(ctypes.Structure):
    _fields_ = [("a", ctypes.c_int32), ("b", ctypes.c_int32)]


INTEGERS = {code: 8 * struct.calcsize(code) for code in "bBhHiIlLqQ"}
LIMITS = {
    code: (-(1 << bits - 1), (1 << bits - 1) - 1) if code.islower() else (0, (1 << bits) - 1)
    for code, bits in INTEGERS.items()
}


@pytest.mark.parametrize("code", INTEGERS)
def test_integers_to_their_limits(seg, code):
    low, high = LIMITS[code]
    v = sc.Value.create(seg, "v", code)
    assert v.value == 0 and v.element_type == code
    same = sc.Value.open(seg, "v", code)
    for number in (low, high, 0, 1, True, low + 1):
        v.value = number
        assert same.value == same.get() == number
    for number in (low - 1, high + 1, 1 << 200, -(1 << 200)):
        before = v.value
        for attempt in (lambda n=number: setattr(v, "value", n), lambda n=number: v.set(n)):
            with pytest.raises(sc.ValueRangeError, match=f"'{code}'.*{low} to {high}") as caught:
                attempt()
            assert isinstance(caught.value, OverflowError)
        with pytest.raises(sc.ValueRangeError):
            v.exchange(number)
        with pytest.raises(sc.ValueRangeError):
            v.compare_exchange(before, number)
        with pytest.raises(sc.ValueRangeError):
            sc.Value.create(seg, "other", code, number)
        assert same.value == before
    for wrong in (1.5, "1", b"1", None, [1]):
        with pytest.raises(TypeError):
            v.value = wrong
    assert [info.name for info in seg.objects()] == ["v"]


@pytest.mark.parametrize("code", INTEGERS)
def test_integers_add_and_wrap(seg, code):
    low, high = LIMITS[code]
    v = sc.Value.create(seg, "v", code, high)
    assert v.add(1) == high and v.value == low
    assert v.add(-1) == low and v.value == high
    assert v.add(high) == high and v.value == (high * 2 - low) % (1 << INTEGERS[code]) + low
    for amount in (high * 2 + 2, low * 2 - 2 * high):
        with pytest.raises(sc.ValueRangeError):
            v.add(amount)
    with pytest.raises(TypeError):
        v.add(0.5)


def test_exchange(seg):
    v = sc.Value.create(seg, "v", "i", 5)
    assert v.exchange(6) == 5
    assert v.compare_exchange(5, 7) == (False, 6)
    assert v.compare_exchange(6, 7) == (True, 6)
    assert v.value == 7


@pytest.mark.parametrize("code", "fd")
def test_real_numbers(seg, code):
    v = sc.Value.create(seg, "v", code, 1.5)
    assert v.value == 1.5 and v.add(0.25) == 1.5 and v.exchange(-0.0) == 1.75
    assert math.copysign(1, v.value) == -1
    for number in (math.inf, -math.inf, 7, True):
        v.value = number
        assert v.value == number
    v.value = math.nan
    assert math.isnan(v.value)
    v.value = 2
    with pytest.raises(sc.ValueRangeError):
        v.value = 10**400
    for wrong in ("1", None, 1j, b"1"):
        with pytest.raises(TypeError):
            v.value = wrong
    assert v.value == 2.0


def test_a_single_has_its_own_range(seg):
    v = sc.Value.create(seg, "v", "f")
    most = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
    for number in (most, -most, 1e-45, 0.1):
        v.value = number
        assert v.value == struct.unpack("<f", struct.pack("<f", number))[0]
    v.value = 3
    for number in (1e39, -1e39, most * 1.000001):
        with pytest.raises(sc.ValueRangeError):
            v.value = number
        with pytest.raises(sc.ValueRangeError):
            sc.Array.create(seg, "a", "f", [number])
    assert v.value == 3


def test_bytes(seg):
    v = sc.Value.create(seg, "v", "c")
    assert v.value == b"\0"
    for byte in range(256):
        v.value = bytes([byte])
        assert v.value == bytes([byte])
    for wrong in (b"", b"ab"):
        with pytest.raises(sc.ValueRangeError, match="length 1"):
            v.value = wrong
    for wrong in ("a", 5, None):
        with pytest.raises(TypeError):
            v.value = wrong
    with pytest.raises(sc.WrongTypeError):
        v.add(1)
    assert sc.Value.create(seg, "w", "c", b"x").value == b"x"


def test_truth(seg):
    v = sc.Value.create(seg, "v", "?")
    assert v.value is False
    for truth in (True, False, 1, 0):
        v.value = truth
        assert v.value is bool(truth)
    for wrong in (2, -1, 0.5):
        with pytest.raises(sc.ValueRangeError):
            v.value = wrong
    for wrong in ("x", None, []):
        with pytest.raises(TypeError):
            v.value = wrong
    assert v.exchange(True) is False and v.compare_exchange(True, False) == (True, True)


def test_structures(seg, child):
    v = sc.Value.create(seg, "v", Point, Point(1, 2, 3))
    p = v.value
    assert (p.x, p.y, p.label) == (1, 2, 3)
    p.x = 9
    assert v.value.x == 1, "it was a copy"
    v.value = p
    assert v.get().x == 9
    old = v.exchange((4, 5, 6))
    assert old.x == 9 and v.value.label == 6
    changed, old = v.compare_exchange(Point(4, 5, 6), Point(7, 8, 9))
    assert changed and old.y == 5 and v.value.y == 8
    changed, old = v.compare_exchange(Point(), Point())
    assert not changed and old.y == 8
    for wrong in (5, b"x" * 24, Pair(1, 2), None):
        with pytest.raises(TypeError):
            v.value = wrong
    other = child("v = sc.Value.open(seg, 'v', Point); say(v.value.label); v.value = (0, 0, 12)")
    assert other.line() == "9"
    other.finish()
    assert v.value.label == 12


def test_narrow_structures_unions_and_arrays(seg):
    pair = sc.Value.create(seg, "pair", Pair, (1, 2))
    pair.value = (3, 4)
    assert (pair.value.a, pair.value.b) == (3, 4)
    kind = ctypes.c_int * 3
    triple = sc.Value.create(seg, "triple", kind, (1, 2, 3))
    assert list(triple.value) == [1, 2, 3]

    class Either(ctypes.Union):
        _fields_ = [("number", ctypes.c_int64), ("parts", Pair)]

    either = sc.Value.create(seg, "either", Either)
    either.value = Either(number=1 << 32)
    assert either.value.parts.b == 1


def test_a_structure_without_an_initial_value_is_zero(seg):
    assert sc.Value.create(seg, "v", Point).value.label == 0


@pytest.mark.parametrize(
    "ctype, code",
    [
        (ctypes.c_char, "c"),
        (ctypes.c_bool, "?"),
        (ctypes.c_int8, "b"),
        (ctypes.c_uint8, "B"),
        (ctypes.c_int16, "h"),
        (ctypes.c_uint16, "H"),
        (ctypes.c_int32, "i"),
        (ctypes.c_uint32, "I"),
        (ctypes.c_int64, "q"),
        (ctypes.c_uint64, "Q"),
        (ctypes.c_long, "l"),
        (ctypes.c_float, "f"),
        (ctypes.c_double, "d"),
    ],
)
def test_simple_ctypes_are_typecodes(seg, ctype, code):
    v = sc.Value.create(seg, "v", ctype)
    assert sc.Value.open(seg, "v", code).value == v.value


@pytest.mark.parametrize("code", ["", "x", "ii", "u", "w", "e", "n", "P", "O", "\0", "<i"])
def test_unknown_typecodes(seg, code):
    for cls, rest in ((sc.Value, ()), (sc.Array, (3,))):
        with pytest.raises(sc.InvalidArgumentError, match="c b B h H i I l L q Q f d ?"):
            cls.create(seg, "x", code, *rest)
        with pytest.raises(sc.InvalidArgumentError):
            cls.open(seg, "x", code)
    assert seg.objects() == []


class Pointing(ctypes.Structure):
    _fields_ = [("where", ctypes.POINTER(ctypes.c_int))]


class Nested(ctypes.Structure):
    _fields_ = [("inner", Pointing * 2)]


class Objects(ctypes.Structure):
    _fields_ = [("thing", ctypes.py_object)]


class Nothing(ctypes.Structure):
    _fields_ = []


@pytest.mark.parametrize(
    "type",
    [
        Pointing,
        Nested,
        Objects,
        Nothing,
        ctypes.c_void_p,
        ctypes.c_char_p,
        ctypes.c_wchar,
        ctypes.c_longdouble,
        int,
        5,
        None,
        object(),
        Point(),
    ],
)
def test_types_that_are_no_plain_data(seg, type):
    with pytest.raises(TypeError, match="typecode or a ctypes type"):
        sc.Value.create(seg, "v", type)
    assert seg.objects() == []


def test_mismatches_name_both_sides(seg):
    sc.Value.create(seg, "v", "i", 5)
    sc.Array.create(seg, "a", "d", 3)
    with pytest.raises(sc.WrongTypeError, match="'i'.*'d'") as caught:
        sc.Value.open(seg, "v", "d")
    assert isinstance(caught.value, TypeError)
    with pytest.raises(sc.WrongTypeError, match=r"'i'.*Point \(24 bytes\)"):
        sc.Value.open_or_create(seg, "v", Point)
    with pytest.raises(sc.WrongKindError, match="array.*value"):
        sc.Value.open(seg, "a", "d")
    with pytest.raises(sc.AlreadyExistsError):
        sc.Value.create(seg, "v", "i")
    with pytest.raises(sc.NotFoundError, match="nothing"):
        sc.Value.open(seg, "nothing", "i")
    assert sc.Value.open_or_create(seg, "v", "i", 9).value == 5
    assert sc.Value.open_or_create(seg, "w", "i", 9).value == 9


def test_its_lock(seg):
    v = sc.Value.create(seg, "v", "i")
    with v.get_lock() as lock:
        assert not lock.owner_died
        assert not sc.Value.open(seg, "v", "i").get_lock().acquire(block=False)
        assert not v.get_lock().acquire(timeout=0.01)
        v.value += 1
    assert v.get_lock().acquire()
    v.get_lock().release()
    with pytest.raises(sc.NotHeldError):
        v.get_lock().release()


def test_its_lock_may_outlive_it(seg):
    lock = sc.Value.create(seg, "v", "i").get_lock()
    gc.collect()
    assert repr(lock) == f"<lock of <sharecell.Value 'v' in {seg.name!r}>>"
    with lock:
        assert not sc.Value.open(seg, "v", "i").get_lock().acquire(False)
    assert sc.Value.open(seg, "v", "i").get_lock().acquire(False)


def test_use_after_close(seg):
    for v in (sc.Value.create(seg, "v", "i"), sc.Value.create(seg, "p", Point)):
        lock = v.get_lock()
        v.close()
        v.close()
        for use in (
            lambda v=v: v.value,
            v.get,
            lambda v=v: setattr(v, "value", 1 if v.name == "v" else Point()),
            lambda v=v: v.exchange(1 if v.name == "v" else Point()),
            lock.acquire,
            lock.release,
            lock.__enter__,
            v.__enter__,
        ):
            with pytest.raises(sc.InvalidHandleError, match=f"{v.name}.*closed"):
                use()
        assert "closed" in repr(v)


def test_processes_add_up(seg, child):
    v = sc.Value.create(seg, "v", "q")
    w = sc.Value.create(seg, "w", Pair)
    code = """
    v, w = sc.Value.open(seg, 'v', 'q'), 0
    for _ in range(20000): v.add(1)
    """
    others = [child(code) for _ in range(2)]
    for _ in range(20000):
        v.add(1)
    for other in others:
        other.finish()
    assert v.value == 60000 and w.value.a == 0


def test_update(seg):
    value = sc.Value.create(seg, "v", "i", 3)
    assert value.update(lambda old: old * 2) == 3 and value.value == 6
    seen = []

    def late(old):
        seen.append(old)
        if len(seen) == 1:
            value.value = 10  # somebody else is faster
        return old + 1

    assert value.update(late) == 10 and value.value == 11 and seen == [6, 10]
    with pytest.raises(ZeroDivisionError):
        value.update(lambda old: old // 0)
    pair = sc.Value.create(seg, "pair", Pair, Pair(1, 2))
    assert pair.update(lambda old: Pair(old.b, old.a)).a == 1 and pair.value.a == 2
