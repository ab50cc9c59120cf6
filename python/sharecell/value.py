"""Single values."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Callable, NoReturn

from . import _native
from ._companion import fast
from ._element import Element, Scalar, element
from ._object import Bound, encode_name, uninterrupted
from .errors import InvalidHandleError, ValueRangeError, WrongTypeError
from .lock import ObjectLock, ValueLock

if TYPE_CHECKING:
    from .segment import Segment

__all__ = ["Value"]


class Closed:
    """Stands where the memory of a closed object was."""

    def __init__(self, what: str) -> None:
        self._what = what

    def _refuse(self, *_: Any) -> NoReturn:
        raise InvalidHandleError(f"{self._what} was closed")

    __getitem__ = __setitem__ = tobytes = _refuse


@fast("Value")
class Value(Bound):
    """A single value of a typecode, or of a ctypes structure, union or array without pointers in it.

    Each operation is atomic, also for wide types: another process sees the value whole, even if this one is
    killed half way. What takes several operations needs the value's lock, `get_lock`.

    Values of a typecode are read and written as plain machine words: on machines with a weak memory order
    that orders no other memory, which `exchange`, `add`, `compare_exchange` and the lock do.

    The value of a structure is a copy: change it and set it.
    """

    _kind = "value"
    _functions = ("shc_value_lock", "shc_value_unlock")
    _element: Element
    _word: Any
    # The companion makes another.
    _lock: ObjectLock
    # Whether a memoryview checks all that is to be checked.
    _exact: bool

    @classmethod
    def create(cls, segment: Segment, name: str, type: Any, initial: Any = 0) -> Value:
        """Creates a value; AlreadyExistsError when the name is taken.

        `type` is a typecode, one of c b B h H i I l L q Q f d ?, or a ctypes type: a simple one stands for
        its typecode, of others all languages check the name and the size.
        """
        return cls._get(segment, name, _native.slow.shc_value_create, element(type), (initial,))

    @classmethod
    def open(cls, segment: Segment, name: str, type: Any) -> Value:
        """Opens a value; NotFoundError when there is none, WrongTypeError when it is of another type."""
        return cls._get(segment, name, _native.slow.shc_value_open, element(type), ())

    @classmethod
    def open_or_create(cls, segment: Segment, name: str, type: Any, initial: Any = 0) -> Value:
        """Opens a value of the same type, or creates it."""
        return cls._get(segment, name, _native.slow.shc_value_open_or_create, element(type), (initial,))

    @classmethod
    def _get(
        cls, segment: Segment, name: str, verb: Any, element: Element, initial: tuple[Any, ...]
    ) -> Value:
        data = tuple(None if _is_zero(value) else element.encode(value) for value in initial)
        what = encode_name(name, "a value")
        handle = segment._obtain_one(_native.ValueHandle, verb, what, element.native, *data)
        value = cls._made(segment, name, handle)
        value._element = element
        value._word = None
        value._exact = isinstance(element, Scalar) and element.refine is None
        address = 0
        if isinstance(element, Scalar):
            address = value._ask(_native.quick.shc_value_address, _native.out_address())
            word = memoryview(_native.memory(handle, address, element.size))
            value._word = word.cast("B").cast(element.format)
        if value._bound is not None:
            value._lock = ValueLock(value, value._bound)
        value._place(address, element.typecode or "c", 1, ValueLock)
        return value

    def _place(self, address: int, typecode: str, count: int, lock: type) -> None:
        """Tells the companion where it is; 0 if only Python can use it."""

    def _restore_arguments(self) -> tuple[Any, ...]:
        return (self._element.spec,)

    def _let_go(self) -> None:
        super()._let_go()
        if self._bound is not None:
            self._lock._let_go()
        if self._word is not None:
            self._word = Closed(f"value {self._name!r}")

    @property
    def element_type(self) -> Any:
        """The typecode, or the ctypes type."""
        return self._element.spec

    @property
    def value(self) -> Any:
        """The value. Setting it raises ValueRangeError for what the typecode cannot represent."""
        return self.get() if self._word is None else self._word[0]

    @value.setter
    def value(self, value: Any) -> None:
        if self._exact:
            try:
                self._word[0] = value
                return
            except (OverflowError, TypeError, ValueError):
                pass
        self.set(value)

    def get(self) -> Any:
        """The value; a copy, if it is a structure."""
        if self._word is not None:
            return self._word[0]
        data = _native.out_bytes(self._element.size)
        # A reader of a wide value waits for nobody.
        self._check(_native.quick.shc_value_get(self._handle, data, len(data)))
        return self._element.decode(data)

    def set(self, value: Any) -> None:
        """Replaces the value. ValueRangeError for what the typecode cannot represent."""
        element = self._element
        if isinstance(element, Scalar):
            element.store(self._word, 0, value)
        else:
            data = element.encode(value)
            self._check(uninterrupted(_native.slow.shc_value_set, self._handle, data, len(data)))

    def exchange(self, value: Any) -> Any:
        """Replaces the value; what it was before."""
        data = self._element.encode(value)
        old = _native.out_bytes(len(data))
        self._check(uninterrupted(_native.slow.shc_value_exchange, self._handle, data, len(data), old))
        return self._element.decode(old)

    def compare_exchange(self, expected: Any, new: Any) -> tuple[bool, Any]:
        """Replaces the value by `new` if it is `expected`, byte by byte; whether it was, and what it was."""
        want, data = self._element.encode(expected), self._element.encode(new)
        old, changed = _native.out_bytes(len(data)), _native.out_bool()
        call = _native.slow.shc_value_compare_exchange
        self._check(uninterrupted(call, self._handle, want, data, len(data), old, _native.out(changed)))
        return bool(changed.value), self._element.decode(old)

    def update(self, function: Callable[[Any], Any]) -> Any:
        """Sets the value to what `function` makes of it, atomically; the value before.

        If somebody else changes the value meanwhile, `function` is called again with the new one.
        """
        old = self.get()
        while True:
            changed, old = self.compare_exchange(old, function(old))
            if changed:
                return old

    def add(self, amount: Any) -> Any:
        """Adds to the value; what it was before. Integers wrap around."""
        code = self._element.typecode
        if code is not None and code in "fd":
            before = _native.out_double()
            call = _native.quick.shc_value_add_float
        elif code is not None and code in "bBhHiIlLqQ":
            amount = _as_signed(amount, code, self._element.size)
            before = _native.out_i64()
            call = _native.quick.shc_value_add_int
        else:
            raise WrongTypeError(f"value {self._name!r} holds no number that can be added to")
        self._check(call(self._handle, amount, _native.out(before)))
        old = before.value
        return old % (1 << 64) if code in "LQ" else old

    def get_lock(self) -> ObjectLock:
        """The value's lock. It does not keep others from reading and writing without it."""
        return self._lock

    def _own_lock(self, kind: Callable[[Value], Any]) -> Any:
        """The lock as a thread can take it again; see OwnLock."""
        return kind(self)


def _is_zero(value: Any) -> bool:
    """Whether it stands for the zero bytes of any type."""
    return type(value) is int and value == 0


def _as_signed(amount: Any, code: str, size: int) -> int:
    """An amount to add, as the signed number of `size` bytes that has the same effect."""
    number = operator.index(amount)
    half = 1 << 8 * size - 1
    low, high = (-half, half) if code.islower() else (-half, 2 * half)
    if not low <= number < high:
        raise ValueRangeError(f"{number} cannot be added to a value of typecode {code!r}")
    return (number + half) % (2 * half) - half
