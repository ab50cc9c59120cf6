"""Queues of objects in shared memory, by the names of `multiprocessing`, with no thread that feeds them."""

from __future__ import annotations

import multiprocessing.queues as _std
import types
from queue import Full
from time import monotonic
from typing import TYPE_CHECKING, Any, Callable

from .. import _native
from .._companion import is_compiled
from .._object import patience
from ..errors import (
    AlreadyExistsError,
    InvalidHandleError,
    NotFoundError,
    NotHeldError,
    NotOwnerError,
    ShutDown,
)
from ..event import Event
from ..queue import Queue as SharedQueue
from . import _messages
from ._bells import Doorbell
from ._places import Lease, SegmentLike, found, place, sending
from .connection import Pipe

if TYPE_CHECKING:
    from ..segment import Segment

__all__ = ["JoinableQueue", "Queue", "SimpleQueue"]

# A queue without a bound begins with so many cells, and has four times as many with each ring that follows.
_FIRST = 256
_GROWTH = 4
_MOST_RINGS = 16
# What a queue with a name holds, if it was not said.
_NAMED = 1024

_release = _native.quick.shc_queue_release
_put_back = _native.quick.shc_queue_put_back


class RingQueue(SharedQueue):
    """A queue of messages."""

    _loads = staticmethod(_messages.load_copied)

    @classmethod
    def _get(cls, segment: Segment, name: str, verb: Any, *options: Any) -> RingQueue:
        ring: Any = super()._get(segment, name, verb, *options)
        # What was taken in place and given back would not count as got.
        ring._framed = not ring.joinable
        return ring

    def put_message(self, obj: Any, message: Any, block: bool, timeout: float | None) -> None:
        """Puts an object, which `message` is made of unless the companion knows better."""
        if message is None:
            self.put_object(obj, block, timeout)
        elif isinstance(message, _messages.Frame):
            with self.reserve(message.size, block, timeout) as slot:
                message.write(slot.data)
        else:
            self.put(message, block, timeout)

    def take(self, seconds: float | None, in_place: bool = False) -> Any:
        """Gets an object, the buffers of a long message straight from where they lie."""

        def receive(claim: Any) -> None:
            self._receive(claim, True, seconds)

        return _messages.take(self._open_handle(), receive, _release, _put_back, in_place)

    _take_long = take

    def get_message(self, seconds: float | None) -> Any:
        """Gets an object."""
        if is_compiled() or not self._framed:
            return self.get_object(True, seconds)
        return self.take(seconds)


class _Ring:
    """One of the rings that a queue consists of, with its number."""

    __slots__ = ("number", "shared")

    def __init__(self, number: int, shared: RingQueue) -> None:
        self.number = number
        self.shared = shared


class Queue:
    """A first-in, first-out queue of objects for any number of processes and threads.

    When `put` has returned, the object is in the queue; what cannot be pickled raises there. `qsize`, `empty`
    and `full` say how it is. A killed process takes nothing with it but what its `get` had returned.

    Without a `maxsize` it grows until the memory of its segment is used up; then `put` raises
    LimitReachedError, a MemoryError. It does so by rings: who finds the last one full makes a larger one and
    shuts the full one, which is emptied first. A queue with a `name` is one ring of 1024 items, or `maxsize`,
    that other languages open as well.
    """

    _joinable = False

    def __init__(
        self,
        maxsize: int = 0,
        *,
        ctx: Any = None,
        name: str | None = None,
        segment: SegmentLike = None,
    ) -> None:
        where = place(name, segment)
        self._segment, self._name = where.segment, where.name
        self._lease: Lease | None = where.lease
        self._maxsize = maxsize if maxsize > 0 else _NAMED if name is not None else 0
        self._begin()

        def make(verb: Any) -> Callable[..., RingQueue]:
            return lambda at, called: verb(at, called, self._maxsize or _FIRST, joinable=self._joinable)

        first = where.make(make(RingQueue.create), make(RingQueue.open_or_create))
        self._rings: tuple[_Ring, ...] = (_Ring(0, first),)

    def _begin(self) -> None:
        self._closed = False
        self._used = False
        self._bell: Doorbell | None = None
        if self._lease is not None and self._maxsize == 0:
            self._lease.more = _NamesOfRings(self._name)

    @property
    def shared(self) -> SharedQueue:
        """The queue as `sharecell.Queue`, for bytes; of one that grows, the ring that is emptied now."""
        return self._rings[0].shared

    def put(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Puts an object, waiting for room for up to `timeout` seconds, None for ever; Full.

        On any error nothing was put. Large buffers in the object are copied once.
        """
        self._check_open()
        message = None if type(obj) in _messages.PLAIN else _messages.dumps(obj)
        self._used = True
        try:
            if self._maxsize:
                self._rings[0].shared.put_message(obj, message, block, timeout)
            else:
                self._put_growing(obj, message)
        except InvalidHandleError:
            self._check_open()
            raise

    def _put_growing(self, obj: Any, message: Any) -> None:
        ring = self._rings[-1]
        while True:
            try:
                ring.shared.put_message(obj, message, False, None)
                return
            except Full:
                self._grow(ring)
            except ShutDown:
                pass
            following = self._after(ring)
            if following is None:
                raise ShutDown
            ring = following

    def _grow(self, ring: _Ring) -> None:
        """Makes the ring after a full one, then shuts that. Whoever does the same meanwhile finds it made."""
        number = ring.number + 1
        size = _FIRST * _GROWTH**number
        try:
            name = _ring_name(self._name, number)
            made = RingQueue.create(self._segment, name, size, joinable=self._joinable)
            self._rings = (*self._rings, _Ring(number, made))
        except AlreadyExistsError:
            made = None
        if made is not None and self._is_ended():
            made.shutdown()
        ring.shared.shutdown()

    def _is_ended(self) -> bool:
        try:
            Event.open(self._segment, _end_name(self._name)).close()
        except NotFoundError:
            return False
        return True

    def _after(self, ring: _Ring) -> _Ring | None:
        """The ring after one that is shut; None if it was the last."""
        if self._maxsize:
            return None
        for known in self._rings:
            if known.number > ring.number:
                return known
        for number in range(ring.number + 1, _MOST_RINGS):
            try:
                shared = RingQueue.open(self._segment, _ring_name(self._name, number))
            except NotFoundError:
                continue
            following = _Ring(number, shared)
            self._rings = (*self._rings, following)
            return following
        return None

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Gets the oldest object, waiting for one for up to `timeout` seconds, None for ever; Empty."""
        return self._get(block, timeout, False)

    def get_view(self, block: bool = True, timeout: float | None = None) -> Any:
        """Gets the oldest object, with its large buffers as read-only views of the shared memory.

        The memory is given back when nothing refers to them any more. If this process dies before that,
        somebody else gets the object again.
        """
        return self._get(block, timeout, True)

    def _get(self, block: bool, timeout: float | None, in_place: bool) -> Any:
        self._check_open()
        seconds = patience(block, timeout)
        end = None if seconds is None else monotonic() + seconds
        try:
            ring = self._rings[0]
            while True:
                try:
                    if in_place and not self._joinable:
                        return ring.shared.take(seconds, True)
                    return ring.shared.get_message(seconds)
                except ShutDown:
                    following = self._after(ring)
                    if following is None:
                        raise
                self._forget(ring)
                ring = following
                seconds = None if end is None else max(0.0, end - monotonic())
        except InvalidHandleError:
            self._check_open()
            raise
        finally:
            if self._bell is not None and not self._closed:
                self._bell.refresh()

    def _forget(self, ring: _Ring) -> None:
        """A ring that is shut and empty is of no use to anybody."""
        self._rings = tuple(known for known in self._rings if known.number > ring.number)
        self._bell = None
        if ring.number:
            try:
                self._segment.remove(_ring_name(self._name, ring.number))
            except NotFoundError:
                pass

    def put_nowait(self, obj: Any) -> None:
        """Puts an object if there is room; else Full."""
        self.put(obj, False)

    def get_nowait(self) -> Any:
        """Gets the oldest object if there is one; else Empty."""
        return self.get(False)

    def _all_rings(self) -> tuple[_Ring, ...]:
        """The rings in which something may be: what follows one that is not shut is empty."""
        self._check_usable()
        while not self._maxsize and self._rings[-1].shared.is_shutdown():
            if self._after(self._rings[-1]) is None:
                break
        return self._rings

    def qsize(self) -> int:
        """How many objects can be got at this moment."""
        return sum(ring.shared.qsize() for ring in self._all_rings())

    def empty(self) -> bool:
        """Whether nothing can be got at this moment."""
        self._check_usable()
        if not self._rings[0].shared.empty():
            return False
        return bool(self._maxsize) or all(ring.shared.empty() for ring in self._all_rings()[1:])

    def full(self) -> bool:
        """Whether a put would have to wait at this moment."""
        self._check_usable()
        return bool(self._maxsize) and self._rings[0].shared.full()

    def close(self) -> None:
        """Ends the use of the queue by this process; its threads that wait in it get ValueError."""
        self._closed = True
        self._bell = None
        if self._used and not self._joinable:
            for ring in self._rings:
                ring.shared.close()

    def shutdown(self) -> None:
        """Lets nobody put any more. Getters get what is left, then ShutDown; waiting putters get ShutDown."""
        self._check_open()
        if not self._maxsize:
            # First, so that who makes another ring now sees it.
            Event.open_or_create(self._segment, _end_name(self._name)).close()
        while self._after(self._rings[-1]) is not None:
            pass
        for ring in self._rings:
            ring.shared.shutdown()

    def join_thread(self) -> None:
        """Does nothing: there is no thread, and what was put is in the queue."""
        assert self._closed, f"Queue {self!r} not closed"

    def cancel_join_thread(self) -> None:
        """Does nothing, for the same reason."""

    def _check_open(self) -> None:
        if self._closed:
            raise ValueError(f"Queue {self!r} is closed")

    def _check_usable(self) -> None:
        if self._closed and self._used:
            raise OSError(f"Queue {self!r} is closed")

    def fileno(self) -> int:
        """A descriptor that is readable when something may be there to get.

        It is for selectors and event loops only, and may be readable in vain. Of a queue that has grown ask
        for it anew.
        """
        self._check_usable()
        bell = self._bell
        if bell is None:
            bell = self._bell = Doorbell(self._waitable(), _native.QUEUE_READABLE)
        return bell.fileno()

    def _waitable(self) -> SharedQueue:
        """The ring to wait at: the first in which something is or may come."""
        self._check_usable()
        rings = self._all_rings() if not self._maxsize else self._rings
        for ring in rings:
            if ring is rings[-1] or not ring.shared.empty():
                return ring.shared
        return rings[-1].shared

    def _is_idle(self) -> bool:
        return self.empty()

    @property
    def _reader(self) -> _Reader:
        return _Reader(self)

    @property
    def _writer(self) -> _Reader:
        return _Reader(self)

    def __getstate__(self) -> Any:
        self._check_open()
        state = (self._maxsize, self._rings[0].number)
        if self._lease is None:
            return (None, self._segment, self._name, *state)
        handles = [ring.shared._open_handle() for ring in self._rings]
        return (sending(self._lease, handles), None, None, *state)

    def __setstate__(self, state: Any) -> None:
        sent, self._segment, self._name, self._maxsize, number = state

        def open_it(segment: Any, name: str) -> _Ring:
            for at in range(number, _MOST_RINGS):
                try:
                    return _Ring(at, RingQueue.open(segment, _ring_name(name, at)))
                except NotFoundError:
                    if self._maxsize:
                        raise
            raise NotFoundError(f"queue {name!r} is gone")

        if sent is None:
            self._lease = None
            ring = open_it(self._segment, self._name)
        else:
            ring, self._lease = found(sent, open_it)
            self._segment, self._name = self._lease.segment, self._lease.name
        self._begin()
        self._rings = (ring,)

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} object at {id(self):#x}>"

    __class_getitem__: Any = classmethod(types.GenericAlias)


class _Reader:
    """What programs reach for in the connections of the standard library's queue."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def fileno(self) -> int:
        """See Queue."""
        return self._queue.fileno()

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Whether something can be got, waiting up to `timeout` seconds for it."""
        from .connection import wait

        return bool(wait([self._queue], timeout))

    def close(self) -> None:
        """Does nothing: the queue has no connection of its own."""

    @property
    def closed(self) -> bool:
        """Whether the queue was closed in this process."""
        return self._queue._closed

    def _waitable(self) -> SharedQueue:
        return self._queue._waitable()

    def _is_idle(self) -> bool:
        return self._queue.empty()


class _NamesOfRings:
    """The names that may be left of a queue's rings."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self) -> list[str]:
        return [*(_ring_name(self._name, number) for number in range(1, _MOST_RINGS)), _end_name(self._name)]


def _ring_name(name: str, number: int) -> str:
    return f"{name}.{number}" if number else name


def _end_name(name: str) -> str:
    return f"{name}.end"


class JoinableQueue(Queue):
    """A queue that counts what was got and is not done.

    `task_done` is for the process that got the object. What a killed process had got counts as done.
    """

    _joinable = True

    def _forget(self, ring: _Ring) -> None:
        """Keeps a ring that is empty: what was got out of it may not be done."""

    def task_done(self) -> None:
        """Says that an object which this process got is done; ValueError when it has said so for all."""
        for ring in self._rings:
            try:
                ring.shared.task_done()
                return
            except (NotHeldError, NotOwnerError):
                pass
        raise ValueError("task_done() called too many times")

    def join(self, timeout: float | None = None) -> bool:
        """Waits until all that was put is done; False when it was not for `timeout` seconds."""
        seconds = patience(True, timeout)
        end = None if seconds is None else monotonic() + seconds
        ring: _Ring | None = self._first()
        while ring is not None:
            if not ring.shared.join(None if end is None else max(0.0, end - monotonic())):
                return False
            ring = self._after(ring)
        return True

    def _first(self) -> _Ring:
        """The ring that was the first, which this process may not have known."""
        first = self._rings[0]
        if first.number:
            for number in range(first.number):
                shared = RingQueue.open(self._segment, _ring_name(self._name, number))
                self._rings = (*self._rings, _Ring(number, shared))
            self._rings = tuple(sorted(self._rings, key=lambda ring: ring.number))
        return self._rings[0]


class _NoLock:
    """Stands where the standard library has a lock: a connection needs none."""

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Does nothing."""
        return True

    def release(self) -> None:
        """Does nothing."""

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        pass


class SimpleQueue:
    """A pipe with the methods of a queue: `get` ends with EOFError when nobody is left who could put."""

    def __init__(self, *, ctx: Any = None, name: str | None = None, segment: SegmentLike = None) -> None:
        self._reader, self._writer = Pipe(False, name=name, segment=segment)
        self._begin()

    def _begin(self) -> None:
        self._rlock = self._wlock = _NoLock()
        self._poll = self._reader.poll

    def put(self, obj: Any) -> None:
        """Puts an object, waiting for room."""
        self._writer.send(obj)

    def get(self) -> Any:
        """Gets the oldest object, waiting for one."""
        return self._reader.recv()

    def empty(self) -> bool:
        """Whether nothing can be got at this moment."""
        return not self._poll()

    def close(self) -> None:
        """Ends the use of the queue by this process."""
        self._reader.close()
        self._writer.close()

    def fileno(self) -> int:
        """A descriptor that is readable when something may be there to get."""
        return self._reader.fileno()

    def _waitable(self) -> Any:
        return self._reader.shared

    def _is_idle(self) -> bool:
        return self.empty()

    def __getstate__(self) -> Any:
        return self._reader, self._writer

    def __setstate__(self, state: Any) -> None:
        self._reader, self._writer = state
        self._begin()

    __class_getitem__: Any = classmethod(types.GenericAlias)


def __getattr__(name: str) -> Any:
    return getattr(_std, name)
