"""Values and arrays in shared memory, as ctypes objects and with locks, by the names of `multiprocessing`."""

from __future__ import annotations

import multiprocessing.sharedctypes as _std
from functools import cache
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from .. import _native
from .._element import TYPECODES
from .._object import SharedObject
from ..array import Array as SharedArray
from ..lock import OwnArrayLock, OwnValueLock
from ..value import Value as SharedValue
from ._places import Lease, SegmentLike, pickled, place, reopened

if TYPE_CHECKING:
    from ..segment import Segment

# The standard library's, which takes any memory that makes a view of itself.
rebuild_ctype: Any = _std.rebuild_ctype  # type: ignore[attr-defined]
typecode_to_type: dict[Any, Any] = _std.typecode_to_type  # type: ignore[attr-defined]

__all__ = ["Array", "RawArray", "RawValue", "Value", "copy", "synchronized"]


class Memory:
    """Memory of a ctypes object: a value or an array of the library's, kept open by what lies in it."""

    def __init__(self, shared: SharedObject, lease: Lease | None) -> None:
        self.shared = shared
        self._lease = lease

    def create_memoryview(self) -> memoryview:
        """The bytes."""
        shared: Any = self.shared
        if isinstance(shared, SharedArray):
            return memoryview(shared._memory()).cast("B")
        address = shared._ask(_native.quick.shc_value_address, _native.out_address())
        return memoryview(_native.memory(shared._handle, address, shared._element.size)).cast("B")

    def __reduce__(self) -> tuple[Any, ...]:
        shared = self.shared
        arguments = map(_packed, shared._restore_arguments())
        return pickled(shared, self._lease, _reopen, type(shared), *arguments)


def _reopen(sent: Any, segment: Any, name: Any, cls: Any, *arguments: Any) -> Memory:
    def open_it(segment: Segment, name: str) -> Any:
        return cls.open(segment, name, *map(_unpacked, arguments))

    return Memory(*reopened(sent, segment, name, open_it))


def _packed(type_: Any) -> Any:
    """A ctypes type as a pickle takes it: array types cannot be found by a name."""
    return (_packed(type_._type_), type_._length_) if _native.is_array(type_) else type_


def _unpacked(packed: Any) -> Any:
    return _unpacked(packed[0]) * packed[1] if isinstance(packed, tuple) else packed


def _laid_over(type_: Any, memory: Memory) -> Any:
    """A ctypes object in memory of ours."""
    obj: Any = rebuild_ctype(type_, memory, None)
    # The standard library has just registered its own, which cannot do all of this.
    ForkingPickler.register(type_, _reduce_raw)
    return obj


def _reduce_raw(obj: Any) -> Any:
    memory = getattr(obj, "_wrapper", None)
    if isinstance(memory, Memory):
        return _rebuild_raw, (_packed(type(obj)), memory)
    return _std.reduce_ctype(obj)  # type: ignore[attr-defined]


def _rebuild_raw(packed: Any, memory: Memory) -> Any:
    return _laid_over(_unpacked(packed), memory)


def _value_memory(type_: Any, name: str | None, segment: SegmentLike) -> Memory:
    """Memory for a value. What has no typecode is an array of one element, which can be used in place."""
    code = _native.typecode_of(type_)
    if code is None or code not in TYPECODES:
        return _array_memory(type_, 1, name, segment)
    where = place(name, segment)
    return Memory(where.make(SharedValue.create, SharedValue.open_or_create, code), where.lease)


def _array_memory(type_: Any, count: int, name: str | None, segment: SegmentLike) -> Memory:
    """Memory for an array. What other languages cannot know (pointers, wide characters) is bytes to them."""
    code = _native.typecode_of(type_)
    element: Any = code
    if code is None or code not in TYPECODES:
        element = type_ if _native.plain_data(type_) is not None else None
    if element is None:
        element, count = "B", count * _native.size_of(type_)
    where = place(name, segment)
    return Memory(where.make(SharedArray.create, SharedArray.open_or_create, element, count), where.lease)


def _is_new(name: str | None, segment: SegmentLike) -> bool:
    """Whether an object of that name is to be made, not opened."""
    if name is None:
        return True
    where = place(name, segment)
    return all(info.name != name for info in where.segment.objects())


def RawValue(typecode_or_type: Any, *args: Any, name: str | None = None, segment: SegmentLike = None) -> Any:
    """A ctypes object in shared memory, without a lock. One that is there already keeps its value."""
    type_ = typecode_to_type.get(typecode_or_type, typecode_or_type)
    is_new = _is_new(name, segment)
    obj = _laid_over(type_, _value_memory(type_, name, segment))
    if is_new and args:
        obj.__init__(*args)
    return obj


def RawArray(
    typecode_or_type: Any,
    size_or_initializer: Any,
    *,
    name: str | None = None,
    segment: SegmentLike = None,
) -> Any:
    """A ctypes array in shared memory, without a lock. One that is there already keeps its elements."""
    type_ = typecode_to_type.get(typecode_or_type, typecode_or_type)
    content = None if isinstance(size_or_initializer, int) else size_or_initializer
    count = size_or_initializer if content is None else len(content)
    if count < 0:
        raise ValueError("Array length must be >= 0")
    is_new = _is_new(name, segment)
    obj = _laid_over(type_ * count, _array_memory(type_, count, name, segment))
    if is_new and content is not None:
        obj.__init__(*content)
    return obj


def Value(
    typecode_or_type: Any,
    *args: Any,
    lock: Any = True,
    ctx: Any = None,
    name: str | None = None,
    segment: SegmentLike = None,
) -> Any:
    """A value with a lock.

    Reading and assigning `value` takes no lock: both are atomic. What reads and then writes needs
    `get_lock`. The lock is that of the value itself, which other languages know as well, unless another is
    given.
    """
    return _with_lock(RawValue(typecode_or_type, *args, name=name, segment=segment), lock, ctx)


def Array(
    typecode_or_type: Any,
    size_or_initializer: Any,
    *,
    lock: Any = True,
    ctx: Any = None,
    name: str | None = None,
    segment: SegmentLike = None,
) -> Any:
    """An array with a lock. Slices take it; a single element is read and written without it."""
    return _with_lock(RawArray(typecode_or_type, size_or_initializer, name=name, segment=segment), lock, ctx)


def _with_lock(obj: Any, lock: Any, ctx: Any) -> Any:
    if lock is False:
        return obj
    if lock in (True, None):
        lock = None
    elif not hasattr(lock, "acquire"):
        raise AttributeError(f"{lock!r} has no method 'acquire'")
    return synchronized(obj, lock, ctx)


def copy(obj: Any) -> Any:
    """A copy of a ctypes object, in shared memory of its own."""
    type_ = type(obj)
    is_array = _native.is_array(type_)
    memory = (
        _array_memory(type_._type_, type_._length_, None, None)
        if is_array
        else _value_memory(type_, None, None)
    )
    new = _laid_over(type_, memory)
    memory.create_memoryview()[:] = memoryview(obj).cast("B")
    return new


def synchronized(obj: Any, lock: Any = None, ctx: Any = None) -> Any:
    """A ctypes object together with a lock: its own, if it lies in memory of ours and no other is given."""
    assert not isinstance(obj, SynchronizedBase), "object already synchronized"
    return _wrapper_of(obj)(obj, lock, ctx)


def _wrapper_of(obj: Any) -> Any:
    if _native.is_simple(obj):
        return Synchronized
    if _native.is_array(type(obj)):
        return SynchronizedString if _native.typecode_of(obj._type_) == "c" else SynchronizedArray
    cls = type(obj)
    if cls not in _structures:
        fields = [field[0] for base in reversed(cls.__mro__) for field in getattr(base, "_fields_", ())]
        members: dict[str, Any] = {field: _field(field) for field in fields}
        _structures[cls] = type("Synchronized" + cls.__name__, (SynchronizedBase,), members)
    return _structures[cls]


_structures: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def _field(name: str) -> property:
    def get(self: Any) -> Any:
        with self._lock:
            return getattr(self._obj, name)

    def put(self: Any, value: Any) -> None:
        with self._lock:
            setattr(self._obj, name, value)

    return property(get, put)


class SynchronizedBase:
    """A ctypes object together with a lock."""

    def __init__(self, obj: Any, lock: Any = None, ctx: Any = None) -> None:
        self._obj = obj
        self._given = lock
        if lock is None:
            memory = getattr(obj, "_wrapper", None)
            if isinstance(memory, Memory):
                shared: Any = memory.shared
                lock = shared._own_lock(OwnArrayLock if isinstance(shared, SharedArray) else OwnValueLock)
            else:
                from .synchronize import RLock

                lock = self._given = RLock()
        self._lock = lock
        self.acquire = lock.acquire
        self.release = lock.release

    @property
    def shared(self) -> Any:
        """The `sharecell.Value` or `sharecell.Array` that it lies in."""
        return self._obj._wrapper.shared

    def __enter__(self) -> Any:
        return self._lock.__enter__()

    def __exit__(self, *args: Any) -> Any:
        return self._lock.__exit__(*args)

    def get_obj(self) -> Any:
        """The ctypes object, which is used without the lock."""
        return self._obj

    def get_lock(self) -> Any:
        """The lock."""
        return self._lock

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (_packed(type(self._obj)), self._obj._wrapper, self._given)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} wrapper for {self._obj}>"


def _rebuild(packed: Any, memory: Any, lock: Any) -> Any:
    return synchronized(_rebuild_raw(packed, memory), lock)


class Synchronized(SynchronizedBase):
    """A number or character with a lock; `value` is read and assigned atomically, without the lock.

    It is itself a ctypes object, in the memory of the one that it stands for: nothing in Python lies between.
    """

    value: Any

    def __new__(cls, obj: Any = None, lock: Any = None, ctx: Any = None) -> Any:
        # PyPy first makes an empty one.
        if obj is None:
            return super().__new__(cls)
        bases: tuple[Any, ...] = (cls, type(obj))
        return _number(*bases).from_buffer(obj)

    def __bool__(self) -> bool:
        return True

    def __hash__(self) -> int:
        return object.__hash__(self)


@cache
def _number(*bases: Any) -> Any:
    return type(bases[0].__name__, bases, {})


class SynchronizedArray(SynchronizedBase):
    """An array with a lock; `numpy.asarray` is a view of it."""

    def __len__(self) -> int:
        return len(self._obj)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            with self._lock:
                return self._obj[index]
        return self._obj[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            with self._lock:
                self._obj[index] = value
        else:
            self._obj[index] = value

    def __getslice__(self, start: int, stop: int) -> Any:
        return self[start:stop]

    def __setslice__(self, start: int, stop: int, values: Any) -> None:
        self[start:stop] = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        import numpy

        array = numpy.asarray(self._obj)
        if dtype is not None and numpy.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError(f"a copy is needed to convert {array.dtype} to {numpy.dtype(dtype)}")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(self._obj)


class SynchronizedString(SynchronizedArray):
    """Bytes with a lock: `value` up to the first NUL, `raw` all of them."""

    value = _field("value")
    raw = _field("raw")


def __getattr__(name: str) -> Any:
    return getattr(_std, name)
