"""Named segments of shared memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from select import POLLIN, poll
from time import monotonic
from typing import Any
from weakref import ref

from . import _native
from ._object import WeakList, descriptor, encode_name, option, patience, uninterrupted
from .errors import BusyError, InvalidHandleError, NotFoundError, SharecellError, check, fail

__all__ = ["ObjectInfo", "Participant", "Segment", "gc", "unlink"]


@dataclass(frozen=True)
class ObjectInfo:
    """An object of a segment."""

    name: str
    """Its name."""
    kind: str
    """What it is: value, array, lock, semaphore, queue, pipe, rlock, condition, event, barrier or rwlock."""
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

    An `anonymous` segment has no name that could be unlinked or taken: it is handed on by fork, as a
    descriptor, or over a Unix socket. One over memory that the program has is made by `create_over`.
    """

    _name: str
    _picklable = True
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

    @classmethod
    def anonymous(cls, *, limit: int | None = None, participants: int | None = None) -> Segment:
        """Creates a segment without a name, which nobody can unlink, squat or truncate; see `create`.

        It is there as long as somebody is attached to it or has a descriptor of it.
        """
        options = _creation(limit, None, False, participants, False)
        return cls._take(None, _native.slow.shc_segment_create_anonymous, options)

    @classmethod
    def from_fd(cls, fd: Any) -> Segment:
        """Attaches to an anonymous segment by a descriptor of it, which stays the caller's.

        NotASegmentError when it is no descriptor of one.
        """
        return cls._take(None, _native.slow.shc_segment_from_fd, descriptor(fd))

    def fd(self) -> int:
        """A new descriptor of an anonymous segment, for another process. The caller closes it.

        It is not inherited over exec; UnsupportedError when the segment has a name.
        """
        answer = _native.out_fd()
        self._ask(_native.slow.shc_segment_to_fd, _native.out(answer))
        return int(answer.value)

    def send_over(self, socket: Any) -> None:
        """Hands an anonymous segment over a connected Unix socket, to `receive_over`.

        UnsupportedError when the segment has a name.
        """
        self._ask(_native.slow.shc_segment_send_over, descriptor(socket))

    @classmethod
    def receive_over(cls, socket: Any, timeout: float | None = None) -> Segment:
        """Attaches to an anonymous segment that comes over a Unix socket.

        TimeoutError when none has come for `timeout` seconds, None for ever; EOFError when the socket was
        closed or something else came. Only from a sender that is trusted.
        """
        fd = descriptor(socket)
        seconds = patience(True, timeout)
        # Of Python's own, so that signal handlers run meanwhile.
        arrival = poll()
        arrival.register(fd, POLLIN)
        if not arrival.poll(None if seconds is None else min(seconds, 1e6) * 1000):
            raise TimeoutError("no segment has come over the socket")
        return cls._take(None, _native.slow.shc_segment_receive_over, fd)

    @classmethod
    def create_over(
        cls, name: str, memory: Any, *, mode: int | None = None, participants: int | None = None
    ) -> Segment:
        """Lays a new segment over shared memory that this program has mapped; its content is lost.

        `memory` is a writable buffer that begins at a page, as an `mmap.mmap` of a shared file has it. It is
        exported, and so cannot be closed, as long as the segment or objects of it are open in this process,
        be it through another Segment. Nobody else may use it meanwhile. `name` is
        that of a file that keeps the leases, by which it is known who lives; `unlink` removes it. Truncating
        the memory's own file kills who touches it. The segment does not grow beyond the memory.
        AlreadyExistsError; InvalidArgumentError when the memory is too small.
        """
        options = _creation(None, mode, False, participants, False)
        return cls._over(_native.slow.shc_segment_create_over, name, memory, options)

    @classmethod
    def open_over(cls, name: str, memory: Any) -> Segment:
        """Attaches to a segment that was laid over the same memory, wherever it is mapped here.

        As `create_over`; NotFoundError when there is no segment of that name.
        """
        options = _creation(None, None, False, None, False)
        return cls._over(_native.slow.shc_segment_open_over, name, memory, options)

    @classmethod
    def open_or_create_over(
        cls, name: str, memory: Any, *, mode: int | None = None, participants: int | None = None
    ) -> Segment:
        """Attaches to a segment that was laid over the same memory, or lays a new one over it.

        As `create_over`; waits up to a second for somebody else who is laying it.
        """
        options = _creation(None, mode, False, participants, False)
        return cls._over(_native.slow.shc_segment_open_or_create_over, name, memory, options)

    @classmethod
    def _over(cls, verb: Any, name: str, memory: Any, options: _native.SegmentOptions) -> Segment:
        view = memoryview(memory).cast("B")
        if view.readonly:
            raise TypeError("a writable buffer is needed")
        exported = _native.writable(view)
        what, keeper = encode_name(name, "a segment"), _keeper(name)
        keeper.append(exported)
        try:
            return cls._take(keeper, verb, what, exported, view.nbytes, options)
        except SharecellError:
            keeper.remove(exported)
            raise

    @classmethod
    def _take(cls, memory: Any, verb: Any, *arguments: Any) -> Segment:
        """A segment that cannot be found by a name alone."""
        handle = _native.SegmentHandle()
        handle.memory = memory
        status = uninterrupted(verb, *arguments, _native.out(handle))
        if status == _native.CLOSED:
            raise EOFError("no segment has come over the socket")
        check(status)
        name = _native.out_bytes(256)
        check(_native.slow.shc_segment_name(handle, name, len(name)))
        segment = cls._made(name.value.decode(), handle, False)
        segment._picklable = False
        return segment

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

    def is_anonymous(self) -> bool:
        """Whether it has no name and never had one."""
        answer = _native.out_bool()
        self._ask(_native.slow.shc_segment_is_anonymous, _native.out(answer))
        return bool(answer.value)

    def is_ephemeral(self) -> bool:
        """Whether the last process to leave unlinks it."""
        answer = _native.out_bool()
        self._ask(_native.slow.shc_segment_is_ephemeral, _native.out(answer))
        return bool(answer.value)

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
        if not self._picklable:
            raise TypeError(f"segment {self._name!r} is not found by its name alone, and cannot be pickled")
        return _restore, (type(self), self._name, self._any_user)

    def __repr__(self) -> str:
        return f"<{'closed ' if self._handle is None else ''}sharecell.Segment {self._name!r}>"


class _Keeper(list[Any]):
    """Memory that was given for one segment: its handles in this process all use what came first."""

    __slots__ = ("__weakref__",)


_keepers: dict[str, ref[_Keeper]] = {}


def _keeper(name: str) -> _Keeper:
    """What keeps all that was given for a segment as long as it is open here."""
    known = _keepers.get(name)
    keeper = known() if known else None
    if keeper is None:
        keeper = _Keeper()
        for old in [old for old, reference in _keepers.items() if reference() is None]:
            del _keepers[old]
        _keepers[name] = ref(keeper)
    return keeper


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


def names() -> list[str]:
    """The names of this machine's segments, in no particular order."""
    room = 64
    while True:
        infos, count = _native.segment_infos(room), _native.out_size()
        check(uninterrupted(_native.slow.shc_segment_names, infos, room, _native.out(count)))
        if count.value <= room:
            return [info.name.decode() for info in infos[: count.value]]
        room = count.value + 16


def gc() -> int:
    """Removes ephemeral and unfinished segments that nobody lives in; how many. Never a persistent one."""
    answer = _native.out_size()
    check(uninterrupted(_native.slow.shc_gc, _native.out(answer)))
    return int(answer.value)
