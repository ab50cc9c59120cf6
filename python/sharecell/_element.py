"""Element types: what may lie in a value or an array, and how it becomes bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Callable, Union

from . import _native
from .errors import InvalidArgumentError, InvalidHandleError, ValueRangeError

TYPECODES = "cbBhHiIlLqQfd?"


class Scalar:
    """A typecode of Python's array module: memoryview has the conversions, which check most ranges."""

    def __init__(self, typecode: str) -> None:
        self.spec: Any = typecode
        self.typecode: str = typecode
        self.format: Any = typecode
        self.size = struct.calcsize(typecode)
        self.native = _native.type_of(typecode, None)
        self.refine: Callable[[Any], Any] | None = {"f": _single, "?": _bool}.get(typecode)

    def store(self, view: memoryview, index: int, value: Any) -> None:
        """Makes `value` an element of a view, in one piece."""
        try:
            view[index] = value if self.refine is None else self.refine(value)
        except InvalidHandleError:
            raise
        except (OverflowError, ValueError):
            raise ValueRangeError(self._misfit(value)) from None
        except TypeError:
            # PyPy says so of all that does not fit.
            kind = ValueRangeError if self._is_of_the_kind(value) else TypeError
            raise kind(self._misfit(value)) from None

    def _is_of_the_kind(self, value: Any) -> bool:
        if self.typecode == "c":
            return isinstance(value, bytes)
        return isinstance(value, int) or (self.typecode in "fd" and isinstance(value, float))

    def _misfit(self, value: Any) -> str:
        text = repr(value)
        text = text if len(text) <= 40 else text[:37] + "..."
        return f"{text} is no value for typecode {self.typecode!r}, which takes {_takes(self.typecode)}"

    def encode(self, value: Any) -> bytes:
        """The bytes of a value."""
        return self.encode_all((value,))

    def encode_all(self, values: Iterable[Any]) -> bytes:
        """The bytes of values, one behind the other."""
        data = self._same(values)
        if data is not None:
            return data
        values = values if isinstance(values, (list, tuple)) else list(values)
        buffer = bytearray(len(values) * self.size)
        view = memoryview(buffer).cast(self.format)
        for index, value in enumerate(values):
            self.store(view, index, value)
        return bytes(buffer)

    def _same(self, values: Any) -> bytes | None:
        """The bytes of a buffer with elements of this very type, else None."""
        if self.typecode == "c" and isinstance(values, (bytes, bytearray)):
            return bytes(values)
        try:
            view = memoryview(values)
        except TypeError:
            return None
        same = view.ndim == 1 and view.format.lstrip("@") == self.typecode
        return view.tobytes() if same and self.typecode != "?" else None

    def decode(self, data: Any) -> Any:
        """The value of bytes."""
        return memoryview(data).cast("B").cast(self.format)[0]


class Plain:
    """A ctypes structure, union or array: plain data, which other languages check by name and size."""

    def __init__(self, data: _native.PlainData) -> None:
        self.spec: Any = data.ctype
        self.typecode: str | None = None
        self.size = data.size
        self.native = _native.type_of(None, data)
        self.encode = data.encode
        self.decode = data.decode

    def encode_all(self, values: Iterable[Any]) -> bytes:
        """The bytes of values, one behind the other."""
        return b"".join(map(self.encode, values))


Element = Union[Scalar, Plain]


def element(spec: Any) -> Element:
    """What a user names by a typecode or a ctypes type."""
    if isinstance(spec, str):
        if len(spec) != 1 or spec not in TYPECODES:
            raise InvalidArgumentError(f"unknown typecode {spec!r}; one of {' '.join(TYPECODES)}")
        return Scalar(spec)
    code = _native.typecode_of(spec)
    if code is not None and code in TYPECODES:
        return Scalar(code)
    data = _native.plain_data(spec)
    if data is None:
        raise TypeError(f"a type is a typecode or a ctypes type without pointers in it; got {spec!r}")
    return Plain(data)


def _takes(typecode: str) -> str:
    if typecode == "c":
        return "bytes of length 1"
    if typecode == "?":
        return "True and False"
    if typecode in "fd":
        return "real numbers of its range"
    bits = 8 * struct.calcsize(typecode)
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if typecode.islower() else (0, (1 << bits) - 1)
    return f"integers from {low} to {high}"


def _single(value: Any) -> Any:
    # memoryview would make an infinity of a number that is too large.
    try:
        struct.pack("<f", value)
    except OverflowError:
        raise ValueError from None
    except struct.error:
        raise ValueError if hasattr(value, "__index__") else TypeError from None
    return value


def _bool(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    if value == 0 or value == 1:
        return bool(value)
    raise ValueError if isinstance(value, (int, float)) else TypeError
