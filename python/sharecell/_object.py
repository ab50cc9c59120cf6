"""What all objects have in common: names, handles, waiting."""

from __future__ import annotations

import math
import operator
import pickle
import weakref
from collections.abc import Iterable
from functools import partial
from itertools import starmap
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from . import _native
from ._companion import speed
from .errors import InvalidArgumentError, InvalidHandleError, InvalidNameError, fail

if TYPE_CHECKING:
    from .segment import Segment

# How long a wait stays away from the interpreter: a signal that another thread was given is dealt with then.
SLICE_NS = 200_000_000

_UNSETTLED = (_native.WOULD_BLOCK, _native.TIMED_OUT, _native.INTERRUPTED)

Self = TypeVar("Self", bound="SharedObject")
BoundSelf = TypeVar("BoundSelf", bound="Bound")
PassingSelf = TypeVar("PassingSelf", bound="Passing")
NamedSelf = TypeVar("NamedSelf", bound="Nameable")


def encode_name(name: str, what: str) -> bytes:
    """A name as the library takes it."""
    if not isinstance(name, str):
        raise TypeError(f"the name of {what} is a str, not {type(name).__name__}")
    if "\0" in name:
        raise InvalidNameError(f"the name of {what} has no NUL; got {name!r}")
    try:
        return name.encode()
    except UnicodeEncodeError:
        raise InvalidNameError(f"the name of {what} is not UTF-8: {name!r}") from None


def unsigned(value: Any, what: str, *, minimum: int = 0, bits: int = 64) -> int:
    """An integer that the library's unsigned types can hold: ctypes would cut it off."""
    number = operator.index(value)
    if not minimum <= number < 1 << bits:
        raise InvalidArgumentError(f"{what} is at least {minimum} and below 2**{bits}; got {number}")
    return number


def option(value: int | None, what: str, *, bits: int = 64) -> int:
    """An optional positive integer; 0 is the default of the library."""
    return 0 if value is None else unsigned(value, what, minimum=1, bits=bits)


def patience(block: bool, timeout: float | None) -> float | None:
    """How many seconds a call may wait: None is for ever; a negative timeout is a try, as 0 is."""
    if not block:
        return 0.0
    if timeout is None or timeout == math.inf:
        return None
    if timeout != timeout:
        raise InvalidArgumentError("a timeout is a number of seconds or None; got NaN")
    return max(0.0, timeout)


def nanoseconds(seconds: float | None) -> int:
    """A patience as the library takes it."""
    return -1 if seconds is None else int(min(seconds, 1e9) * 1e9)


def uninterrupted(call: Any, *arguments: Any) -> int:
    """Calls until no signal handler gets in the way; what the handlers raise comes out."""
    while True:
        status: int = call(*arguments)
        if status != _native.INTERRUPTED:
            return status


class WeakList:
    """Objects that it does not keep alive.

    Not a WeakSet: that has callbacks in Python, and what a signal handler raises in them is lost.
    """

    def __init__(self) -> None:
        self._references: list[weakref.ref[Any]] = []
        self._limit = 16

    def add(self, thing: Any) -> None:
        """Adds an object."""
        if len(self._references) >= self._limit:
            self._references = list(map(weakref.ref, self.living()))
            self._limit = 16 + 2 * len(self._references)
        self._references.append(weakref.ref(thing))

    def living(self) -> list[Any]:
        """Those that are still alive."""
        return [thing for thing in (reference() for reference in self._references) if thing is not None]


class Opened:
    """What is open in a segment, by its handle."""

    _handle: _native.Handle | None

    def _title(self) -> str:
        """What it is called, for people."""
        raise NotImplementedError

    def _closed_text(self) -> str:
        raise NotImplementedError

    def _let_go(self) -> None:
        self._handle = None

    def _open_handle(self) -> _native.Handle:
        if self._handle is None:
            self._fail(_native.ERR_INVALID_HANDLE)
        return self._handle

    def _fail(self, status: int) -> NoReturn:
        if status == _native.ERR_INVALID_HANDLE and self._handle is None:
            raise InvalidHandleError(self._closed_text())
        fail(status)

    def __repr__(self) -> str:
        state = "closed " if self._handle is None else ""
        return f"<{state}{self._title()}>"

    def _check(self, status: int) -> None:
        if status != 0:
            self._fail(status)

    def _ask(self, call: Any, answer: Any) -> Any:
        """Calls a function that answers one thing."""
        self._check(call(self._handle, _native.out(answer)))
        return answer.value

    def _wait(
        self,
        outcome: list[int],
        call: Any,
        seconds: float | None,
        before: tuple[Any, ...] = (),
        after: tuple[Any, ...] = (),
    ) -> int:
        """Calls `call(handle, *before, timeout, *after)` until it is settled or the time has passed.

        It returns to the interpreter between slices of the time, so that signal handlers run. Each status is
        in `outcome` as soon as it is known: an exception cannot come in between.
        """
        end = None if seconds is None else monotonic_ns() + int(seconds * 1e9)
        while True:
            handle = self._open_handle()
            now = SLICE_NS if end is None else min(SLICE_NS, end - monotonic_ns())
            if now <= 0:
                return _native.TIMED_OUT
            outcome.clear()
            outcome += starmap(call, ((handle, *before, now, *after),))
            if outcome[0] not in _UNSETTLED:
                return outcome[0]

    @staticmethod
    def _patience(block: bool, timeout: float | None) -> float | None:
        return patience(block, timeout)


class SharedObject(Opened):
    """An open object of a segment.

    It is closed by `close`, at the end of a `with` block, or when nothing refers to it any more; closing it
    leaves the object in the segment. It can be pickled, and so be given to a spawned process, which opens it
    by name; keep it open until that has happened. In a forked child it goes on working as it is. Threads may
    share it: a call that is under way while another thread closes it comes to its end, a wait with
    InvalidHandleError.
    """

    _kind: ClassVar[str]
    _segment: Segment
    _name: str

    def __init__(self) -> None:
        kind = type(self).__name__
        raise TypeError(f"use {kind}.create, {kind}.open or {kind}.open_or_create")

    @classmethod
    def _made(cls: type[Self], segment: Segment, name: str, handle: _native.Handle) -> Self:
        shared = object.__new__(cls)
        shared._handle = handle
        shared._segment = segment
        shared._name = name
        segment._objects.add(shared)
        return shared

    @property
    def name(self) -> str:
        """The object's name."""
        return self._name

    @property
    def segment(self) -> Segment:
        """The segment that it was opened in."""
        return self._segment

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._handle is None

    def close(self) -> None:
        """Closes it; closing it again does nothing. The object itself stays in the segment."""
        self._let_go()

    def _closed_text(self) -> str:
        return f"{self._kind} {self._name!r} was closed"

    def _title(self) -> str:
        return f"sharecell.{type(self).__name__} {self._name!r} in {self._segment.name!r}"

    def _restore_arguments(self) -> tuple[Any, ...]:
        return ()

    @classmethod
    def _restore(cls: type[Self], segment: Segment, name: str, *arguments: Any) -> Self:
        return cls.open(segment, name, *arguments)  # type: ignore[attr-defined, no-any-return, unused-ignore]

    def __reduce__(self) -> tuple[Any, ...]:
        return restore, (type(self), self._segment, self._name, *self._restore_arguments())

    def __enter__(self: Self) -> Self:
        self._open_handle()
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()


class Twin(Opened):
    """An object once more: its handle, open until this is let go itself."""

    def __init__(self, shared: SharedObject) -> None:
        self._handle = shared._handle
        self._texts = shared._title(), shared._closed_text()

    def _title(self) -> str:
        return self._texts[0]

    def _closed_text(self) -> str:
        return self._texts[1]


class Nameable(SharedObject):
    """An object of which there is nothing to say but its name."""

    # With its article, for people.
    _called: ClassVar[str]
    _handles: ClassVar[type[_native.Handle]]

    @classmethod
    def create(cls: type[NamedSelf], segment: Segment, name: str) -> NamedSelf:
        """Creates it; AlreadyExistsError when the name is taken."""
        return cls._named(segment, name, "create")

    @classmethod
    def open(cls: type[NamedSelf], segment: Segment, name: str) -> NamedSelf:
        """Opens it; NotFoundError when there is none."""
        return cls._named(segment, name, "open")

    @classmethod
    def open_or_create(cls: type[NamedSelf], segment: Segment, name: str) -> NamedSelf:
        """Opens it, or creates it."""
        return cls._named(segment, name, "open_or_create")

    @classmethod
    def _named(cls: type[NamedSelf], segment: Segment, name: str, verb: str) -> NamedSelf:
        call = getattr(_native.slow, f"shc_{cls._kind}_{verb}")
        return cls._made(
            segment, name, segment._obtain_one(cls._handles, call, encode_name(name, cls._called))
        )


def bound(handle: _native.Handle, found: _native.Found, take: str, give: str, *rest: int) -> _native.Binding:
    """How the lock of an open object is taken and given back."""
    return _native.Binding(handle, found, take, give, fail, *rest)


class Bound(SharedObject):
    """An object that has a lock, bound to the library as long as it is open."""

    _functions: ClassVar[tuple[Any, ...]]
    # None with the companion, which needs none.
    _bound: _native.Binding | None

    @classmethod
    def _made(cls: type[BoundSelf], segment: Segment, name: str, handle: _native.Handle) -> BoundSelf:
        shared = super()._made(segment, name, handle)
        shared._bound = None
        if speed is None:
            shared._bind(bound(handle, _native.Found(), *cls._functions))
        return shared

    def _bind(self, binding: _native.Binding) -> None:
        self._bound = binding

    def _let_go(self) -> None:
        super()._let_go()
        if self._bound is not None:
            shut(self, self._bound)
            self._bind(self._bound)


def shut(opened: Opened, way: _native.Binding | _native.Passage) -> None:
    """Has the way into an object that was closed say so."""
    way.shut(partial(_refuse, opened._closed_text()))


class Passing(SharedObject):
    """A queue or pipe, with its passage as long as it is open."""

    _functions: ClassVar[tuple[str, str, str]]
    _passage: _native.Passage

    @classmethod
    def _made(cls: type[PassingSelf], segment: Segment, name: str, handle: _native.Handle) -> PassingSelf:
        shared = super()._made(segment, name, handle)
        shared._passage = _native.Passage(handle, *cls._functions)
        return shared

    def _let_go(self) -> None:
        super()._let_go()
        shut(self, self._passage)


def _refuse(text: str, *_: object) -> NoReturn:
    raise InvalidHandleError(text)


class Pickling:
    """How objects become the bytes of items and messages, and again objects.

    None, bools, ints, floats, short texts and bytes may take a shorter way, whose bytes are a pickle, too.
    """

    _loads: Any = staticmethod(pickle.loads)
    # Whether the companion leaves long messages to a method `_take_long`, which is given the seconds to wait.
    _framed: bool

    @staticmethod
    def _dumps(obj: Any) -> bytes:
        return pickle.dumps(obj, 5)


def restore(cls: type[SharedObject], segment: Segment, name: str, *arguments: Any) -> SharedObject:
    """Opens what was pickled."""
    return cls._restore(segment, name, *arguments)


def descriptor(thing: Any) -> int:
    """The number of a descriptor, or of what has a `fileno`."""
    return operator.index(thing.fileno() if hasattr(thing, "fileno") else thing)


def flat(items: Iterable[Any]) -> list[bytes]:
    """Bytes-like objects as bytes."""
    return [item if type(item) is bytes else memoryview(item).tobytes() for item in items]
