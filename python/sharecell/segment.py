"""Named segments of shared memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from . import _native
from ._object import WeakList, encode_name, option, patience, uninterrupted
from .errors import BusyError, InvalidHandleError, NotFoundError, check, fail

__all__ = ["ObjectInfo", "Participant", "Segment", "gc", "unlink"]


@dataclass(frozen=True)
class ObjectInfo:
    """An object of a segment."""

    name: str
    """Its name."""
    kind: str
    """What it is: value, array, lock, semaphore, queue or pipe."""
    typecode: str | None
    """Its typecode, or None."""
    element_size: int
    """The size of an element, or of the largest item, in bytes."""
    count: int
    """The number of elements, or the capacity in items."""


@dataclass(frozen=True)
class Participant:
    """A process that is attached to a segment, or was until it died."""

    label: int
    """Its label in the segment, from 1."""
    pid: int
    """Its process id, in its own pid namespace."""
    start_time: int
    """When its process started, in clock ticks since boot; 0 in a forked child."""
    command: str
    """Its command's name."""
    alive: bool
    """Whether it lives, by the kernel's word."""


class Segment:
    """A named segment of shared memory that this process is attached to.

    Objects are created and opened in it by name. Threads may share it, and a forked child is a participant of
    its own. It can be pickled; who unpickles it opens it by name. If the process is killed, what it held is
    given back by whoever notices, and what it had half done is undone.

    At the end of a `with` block the objects that were opened through this Segment are closed, and then the
    segment. `close` is stricter: it refuses while objects are open.
    """

    _name: str
    _any_user: bool
    _handle: _native.SegmentHandle | None
    _objects: WeakList
    _calls: set[object]

    def __init__(self) -> None:
        raise TypeError("use Segment.create, Segment.open or Segment.open_or_create")

    @classmethod
    def _made(cls, name: str, handle: _native.SegmentHandle, any_user: bool) -> Segment:
        segment = cls.__new__(cls)
        segment._name = name
        segment._any_user = any_user
        segment._handle = handle
        segment._objects = WeakList()
        segment._calls = set()
        return segment

    @classmethod
    def create(
        cls,
        name: str,
        *,
        limit: int | None = None,
        mode: int | None = None,
        ephemeral: bool = False,
        participants: int | None = None,
    ) -> Segment:
        """Creates a segment; AlreadyExistsError when the name is taken.

        `limit` is the size in bytes that it may grow to, a ceiling and no cost (default 1 GiB); `mode` its
        permissions, whatever the umask (0600); an `ephemeral` one is unlinked when the last process leaves;
        `participants` is how many processes may be attached at a time (64).
        """
        options = _creation(limit, mode, ephemeral, participants, False)
        return cls._open(_native.slow.shc_segment_create, name, options, False)

    @classmethod
    def open(cls, name: str, *, wait: float = 0.0, any_user: bool = False) -> Segment:
        """Opens a segment; NotFoundError when there is none, after waiting up to `wait` seconds for it.

        `any_user` is needed for a segment that belongs to another user, who can change it at will and kill
        who touches it by truncating its file.
        """
        seconds = patience(True, wait)
        end = None if seconds is None else monotonic() + seconds
        flags = _native.SEGMENT_ANY_USER if any_user else 0
        slice_ns = 0
        while True:
            options = _native.segment_options(0, slice_ns, 0, 0, flags)
            try:
                return cls._open(_native.slow.shc_segment_open, name, options, any_user)
            except NotFoundError:
                left = 0.2 if end is None else min(0.2, end - monotonic())
                if left <= 0:
                    raise
                slice_ns = int(left * 1e9)

    @classmethod
    def open_or_create(
        cls,
        name: str,
        *,
        limit: int | None = None,
        mode: int | None = None,
        ephemeral: bool = False,
        participants: int | None = None,
        any_user: bool = False,
    ) -> Segment:
        """Opens a segment, or creates it where there is none; the options of `create` matter only then."""
        options = _creation(limit, mode, ephemeral, participants, any_user)
        return cls._open(_native.slow.shc_segment_open_or_create, name, options, any_user)

    @classmethod
    def _open(cls, verb: Any, name: str, options: _native.SegmentOptions, any_user: bool) -> Segment:
        handle = _native.SegmentHandle()
        check(uninterrupted(verb, encode_name(name, "a segment"), options, _native.out(handle)))
        return cls._made(name, handle, any_user)

    def _obtain(
        self, kind: type[_native.Handle], verb: Any, name: bytes, *arguments: Any, count: int = 1
    ) -> tuple[int, list[_native.Handle]]:
        """Creates or opens an object: OK and its handles, or what is no error either."""
        token = object()
        try:
            self._calls.add(token)
            if self._handle is None:
                raise InvalidHandleError(f"segment {self._name!r} was closed")
            call = partial(uninterrupted, verb, self._handle, name, *arguments)
            status, handles = _native.obtain(kind, count, call)
            if status < 0:
                fail(status)
            return status, handles
        finally:
            self._calls.discard(token)

    def _obtain_one(
        self, kind: type[_native.Handle], verb: Any, name: bytes, *arguments: Any
    ) -> _native.Handle:
        return self._obtain(kind, verb, name, *arguments)[1][0]

    def _ask(self, call: Any, *arguments: Any) -> None:
        token = object()
        try:
            self._calls.add(token)
            if self._handle is None:
                raise InvalidHandleError(f"segment {self._name!r} was closed")
            check(uninterrupted(call, self._handle, *arguments))
        finally:
            self._calls.discard(token)

    @property
    def name(self) -> str:
        """The segment's name."""
        return self._name

    @property
    def limit(self) -> int:
        """The size in bytes that it may grow to."""
        answer = _native.out_u64()
        self._ask(_native.slow.shc_segment_limit, _native.out(answer))
        return int(answer.value)

    @property
    def size(self) -> int:
        """The memory that it takes, in bytes."""
        answer = _native.out_u64()
        self._ask(_native.slow.shc_segment_size, _native.out(answer))
        return int(answer.value)

    @property
    def closed(self) -> bool:
        """Whether this Segment was closed."""
        return self._handle is None

    def is_unlinked(self) -> bool:
        """Whether the name was taken from it, or leads to another segment by now."""
        answer = _native.out_bool()
        self._ask(_native.slow.shc_segment_is_unlinked, _native.out(answer))
        return bool(answer.value)

    def objects(self) -> list[ObjectInfo]:
        """Its objects, in no particular order."""
        infos = self._list(_native.slow.shc_segment_objects, _native.object_infos)
        return [
            ObjectInfo(
                info.name.decode(errors="replace"),
                _native.KINDS.get(info.kind, f"kind {info.kind}"),
                chr(info.typecode) if info.typecode else None,
                info.element_size,
                info.count,
            )
            for info in infos
        ]

    def participants(self) -> list[Participant]:
        """Its participants, those that have died and were not swept yet included."""
        infos = self._list(_native.slow.shc_segment_participants, _native.participant_infos)
        return [
            Participant(
                info.label, info.pid, info.start_time, info.command.decode(errors="replace"), info.alive
            )
            for info in infos
        ]

    def _list(self, call: Any, make_room: Any) -> list[Any]:
        room = 64
        while True:
            infos, count = make_room(room), _native.out_size()
            self._ask(call, infos, room, _native.out(count))
            if count.value <= room:
                return list(infos[: count.value])
            room = count.value + 16

    def recover(self) -> int:
        """Clears up after participants that have died; how many there were. Waits do this by themselves."""
        answer = _native.out_size()
        self._ask(_native.slow.shc_segment_recover, _native.out(answer))
        return int(answer.value)

    def remove(self, name: str) -> None:
        """Takes the name from an object. Who has it open goes on with it; the last to close it frees it."""
        self._ask(_native.slow.shc_segment_remove, encode_name(name, "an object"))

    def close(self) -> None:
        """Closes the segment, and detaches from it if this was the process's last handle to it.

        BusyError, and it stays open, while objects of it or views of them are open in this process or another
        thread is in a call of it. Closing it again does nothing. The segment stays until it is unlinked,
        unless it is ephemeral.
        """
        handle, self._handle = self._handle, None
        if handle is None:
            return
        if self._calls:
            self._handle = handle
            raise BusyError(f"segment {self._name!r}: another thread is in a call of it")
        status = handle.close()
        if status != 0:
            self._handle = handle
            fail(status)

    def __enter__(self) -> Segment:
        if self._handle is None:
            raise InvalidHandleError(f"segment {self._name!r} was closed")
        return self

    def __exit__(self, *_: object) -> None:
        for shared in self._objects.living():
            shared._let_go()
        self._handle = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self._name, self._any_user)

    def __repr__(self) -> str:
        return f"<{'closed ' if self._handle is None else ''}sharecell.Segment {self._name!r}>"


def _creation(
    limit: int | None, mode: int | None, ephemeral: bool, participants: int | None, any_user: bool
) -> _native.SegmentOptions:
    flags = _native.SEGMENT_EPHEMERAL if ephemeral else 0
    flags |= _native.SEGMENT_ANY_USER if any_user else 0
    return _native.segment_options(
        option(limit, "the limit of a segment"),
        0,
        option(mode, "the mode of a segment", bits=32),
        option(participants, "the number of participants", bits=32),
        flags,
    )


def _restore(cls: type[Segment], name: str, any_user: bool) -> Segment:
    return cls.open(name, any_user=any_user)


def unlink(name: str) -> None:
    """Takes the name from a segment. Who is attached goes on with it; NotFoundError when there is none."""
    check(uninterrupted(_native.slow.shc_segment_unlink, encode_name(name, "a segment")))


def gc() -> int:
    """Removes ephemeral and unfinished segments that nobody lives in; how many. Never a persistent one."""
    answer = _native.out_size()
    check(uninterrupted(_native.slow.shc_gc, _native.out(answer)))
    return int(answer.value)
