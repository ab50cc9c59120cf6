"""Arrays of fixed length."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Callable

from . import _native
from ._companion import fast
from ._element import Element, Scalar, element
from ._object import Bound, WeakList, encode_name, unsigned
from .errors import BusyError, OutOfRangeError, TooLargeError, WrongSizeError
from .lock import ArrayLock, ObjectLock
from .value import Closed

if TYPE_CHECKING:
    from .segment import Segment

__all__ = ["Array"]

# A longer copy does not keep other threads from running.
_LONG = 1 << 16


@fast("Array")
class Array(Bound):
    """An array of fixed length, of a typecode or of a ctypes type without pointers in it.

    It is indexed and sliced as a list is, but for its length. Elements of 1, 2, 4 and 8 bytes are read and
    written whole; what takes more needs the array's lock, `get_lock`. If this process is killed, elements
    that it was about to write may be old or new.

    `view` and `numpy.asarray` give access without a copy. They keep the memory mapped: while they live,
    `close` raises BusyError; leaving a `with` block lets go of the array, and the memory goes with the last
    view. They can be used after that, and no use of them ever faults.
    """

    _kind = "array"
    _functions = ("shc_array_lock", "shc_array_unlock")
    _element: Element
    # Whether a memoryview checks all that is to be checked.
    _exact: bool
    _len: int
    _address: int
    # The companion makes another.
    _lock: ObjectLock
    _view: Any
    _views: WeakList

    @classmethod
    def create(
        cls, segment: Segment, name: str, type: Any, size_or_initializer: int | Iterable[Any]
    ) -> Array:
        """Creates an array; AlreadyExistsError when the name is taken.

        With a size all elements are zero bytes; else they are those of the iterable, which others see a
        moment after the array. For `type` see Value.create.
        """
        return cls._get(segment, name, _native.slow.shc_array_create, element(type), size_or_initializer)

    @classmethod
    def open(cls, segment: Segment, name: str, type: Any) -> Array:
        """Opens an array; NotFoundError when there is none, WrongTypeError when it is of another type."""
        return cls._get(segment, name, _native.slow.shc_array_open, element(type), None)

    @classmethod
    def open_or_create(cls, segment: Segment, name: str, type: Any, size: int) -> Array:
        """Opens an array of the same type and length, else WrongSizeError, or creates it."""
        size = operator.index(size)
        return cls._get(segment, name, _native.slow.shc_array_open_or_create, element(type), size)

    @classmethod
    def _get(
        cls,
        segment: Segment,
        name: str,
        verb: Any,
        element: Element,
        content: int | Iterable[Any] | None,
    ) -> Array:
        data = None
        size: tuple[int, ...] = ()
        if hasattr(content, "__index__"):
            size = (unsigned(content, "the size of an array"),)
        elif content is not None:
            data = element.encode_all(content)
            size = (len(data) // element.size,)
        what = encode_name(name, "an array")
        handle = segment._obtain_one(_native.ArrayHandle, verb, what, element.native, *size)
        array = cls._made(segment, name, handle)
        array._element = element
        array._exact = isinstance(element, Scalar) and element.refine is None
        array._len = array._ask(_native.quick.shc_array_len, _native.out_size())
        array._address = array._ask(_native.quick.shc_array_address, _native.out_address())
        array._views = WeakList()
        array._view = None
        if isinstance(element, Scalar):
            array._view = memoryview(array._memory()).cast("B").cast(element.format)
        if array._bound is not None:
            array._lock = ArrayLock(array, array._bound)
        address = array._address if isinstance(element, Scalar) else 0
        array._place(address or 0, element.typecode or "c", array._len, ArrayLock)
        if data:
            array._write(0, data)
        return array

    def _place(self, address: int, typecode: str, count: int, lock: type) -> None:
        """Tells the companion where it is; 0 if only Python can use it."""

    def _restore_arguments(self) -> tuple[Any, ...]:
        return (self._element.spec,)

    def _memory(self) -> Any:
        handle = self._open_handle()
        return _native.memory(handle, self._address, self._len * self._element.size)

    def close(self) -> None:
        """Closes it; BusyError, and it stays open, while views of it live. Closing it again does nothing."""
        views = len(self._views.living())
        if views:
            raise BusyError(f"array {self._name!r}: {views} views of it are in use")
        super().close()

    def _let_go(self) -> None:
        super()._let_go()
        if self._bound is not None:
            self._lock._let_go()
        self._view = Closed(f"array {self._name!r}")

    @property
    def element_type(self) -> Any:
        """The typecode, or the ctypes type."""
        return self._element.spec

    @property
    def itemsize(self) -> int:
        """The size of an element in bytes."""
        return self._element.size

    def view(self) -> memoryview:
        """A writable view of the elements, without a copy.

        Its format is the typecode; of other types it has the bytes, format B.
        """
        memory = self._memory()
        self._views.add(memory)
        view = memoryview(memory).cast("B")
        if isinstance(self._element, Scalar):
            view = view.cast(self._element.format)
        return view

    def __buffer__(self, flags: int) -> memoryview:
        if isinstance(self._element, Scalar):
            return self.view()
        raise BufferError(f"array {self._name!r} has no format of the buffer protocol; use view()")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        import numpy

        if isinstance(self._element, Scalar):
            array = numpy.asarray(self.view())
        else:
            array = numpy.frombuffer(self.view(), dtype=numpy.dtype(self._element.spec))
        if dtype is not None and numpy.dtype(dtype) != array.dtype:
            if copy is False:
                raise ValueError(f"a copy is needed to convert {array.dtype} to {numpy.dtype(dtype)}")
            return array.astype(dtype)
        return array.copy() if copy else array

    def __len__(self) -> int:
        return self._len

    def __iter__(self) -> Iterator[Any]:
        for index in range(self._len):
            yield self[index]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self._get_slice(index)
        try:
            return self._view[index]
        except (IndexError, OverflowError):
            self._out_of_range(index)
        except TypeError:
            if self._view is not None:
                raise TypeError(f"an index is an integer or a slice; got {index!r}") from None
        data = _native.out_bytes(self._element.size)
        self._check(_native.quick.shc_array_read(self._handle, self._at(index), data, len(data)))
        return self._element.decode(data)

    def __setitem__(self, index: Any, value: Any) -> None:
        if self._exact and type(index) is int:
            try:
                self._view[index] = value
                return
            except (IndexError, OverflowError, TypeError, ValueError):
                pass
        if isinstance(index, slice):
            self._set_slice(index, value)
        elif isinstance(self._element, Scalar):
            self._element.store(self._view, self._at(index), value)
        else:
            self._write(self._at(index), self._element.encode(value))

    def _at(self, index: Any) -> int:
        """An index from the start."""
        at = operator.index(index)
        at += self._len if at < 0 else 0
        if not 0 <= at < self._len:
            self._out_of_range(index)
        return at

    def _out_of_range(self, index: Any) -> None:
        raise OutOfRangeError(f"array {self._name!r} has {self._len} elements; got index {index}") from None

    def _get_slice(self, index: slice) -> Any:
        if isinstance(self._element, Scalar):
            part = self._view[index]
            return part.tobytes() if self._element.typecode == "c" else part.tolist()
        return [self[at] for at in range(*index.indices(self._len))]

    def _set_slice(self, index: slice, values: Iterable[Any]) -> None:
        places = range(*index.indices(self._len))
        data = self._element.encode_all(values)
        size = self._element.size
        if len(data) != len(places) * size:
            raise WrongSizeError(
                f"array {self._name!r} keeps its length: {len(places)} elements are to be replaced by "
                f"{len(data) // size}"
            )
        if places.step == 1:
            self._write(places.start, data)
            return
        for count, at in enumerate(places):
            self._write(at, data[count * size : (count + 1) * size])

    def _write(self, start: int, data: bytes) -> None:
        library = _native.quick if len(data) < _LONG else _native.slow
        self._check(library.shc_array_write(self._handle, start, data, len(data)))

    def fill(self, value: Any) -> None:
        """Makes all elements equal to `value`."""
        data = self._element.encode(value)
        self._check(_native.slow.shc_array_fill(self._handle, 0, self._len, data, len(data)))

    def get_lock(self) -> ObjectLock:
        """The array's lock. It does not keep others from reading and writing without it."""
        return self._lock

    def _own_lock(self, kind: Callable[[Array], Any]) -> Any:
        """The lock as a thread can take it again; see OwnLock."""
        return kind(self)

    def _text(self, attribute: str) -> None:
        if self._element.typecode != "c":
            raise AttributeError(f"only arrays of typecode 'c' have {attribute!r}")

    @property
    def value(self) -> bytes:
        """The bytes before the first NUL, of an array of typecode 'c'; setting it puts a NUL behind."""
        self._text("value")
        text: bytes = self._view.tobytes()
        return text.split(b"\0", 1)[0]

    @value.setter
    def value(self, text: bytes) -> None:
        self._text("value")
        self._check(_native.quick.shc_array_set_text(self._handle, *self._fitting(text)))

    @property
    def raw(self) -> bytes:
        """All bytes, of an array of typecode 'c'; setting it leaves what lies behind a shorter text."""
        self._text("raw")
        text: bytes = self._view.tobytes()
        return text

    @raw.setter
    def raw(self, text: bytes) -> None:
        self._text("raw")
        self._write(0, self._fitting(text)[0])

    def _fitting(self, text: bytes) -> tuple[bytes, int]:
        data = memoryview(text).tobytes()
        if len(data) > self._len:
            raise TooLargeError(f"array {self._name!r} has {self._len} bytes; got {len(data)}")
        return data, len(data)
