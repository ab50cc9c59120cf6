"""Connections over shared memory, and the standard library's `multiprocessing.connection` beside them."""

from __future__ import annotations

import multiprocessing.connection as _std
from multiprocessing import BufferTooShort
from multiprocessing.connection import Client, Connection, Listener
from time import monotonic
from typing import TYPE_CHECKING, Any, Callable

from .. import _native
from .._companion import is_compiled
from .._object import patience
from ..errors import InvalidHandleError
from ..pipe import Pipe as SharedPipe
from ..queue import Queue as SharedQueue
from ..select import readable as _readable
from ..select import wait_any
from . import _messages
from ._bells import Doorbell
from ._places import Lease, SegmentLike, pickled, place, reap, reopened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..segment import Segment

__all__ = ["Client", "Listener", "Pipe", "wait"]

# How many messages fit into a direction of a pipe.
_SIMPLEX_CAPACITY = 2048
_DUPLEX_CAPACITY = 512

# How often a receiver looks whether an end that is on its way to another process has arrived.
_SLICE = 0.05
_MOST_OBJECTS = 127

_MISSING = object()

_release = _native.quick.shc_pipe_release
_put_back = _native.quick.shc_pipe_put_back


class MessagePipe(SharedPipe):
    """One end of a pipe of messages."""

    _loads = staticmethod(_messages.load_copied)

    @classmethod
    def _made(cls, segment: Segment, name: str, handle: Any) -> MessagePipe:
        pipe = super()._made(segment, name, handle)
        pipe._framed = True
        return pipe

    def send_message(self, obj: Any, timeout: float | None) -> None:
        """Sends an object."""
        if type(obj) in _messages.PLAIN:
            self.send(obj, timeout)
            return
        message = _messages.dumps(obj)
        if isinstance(message, _messages.Frame):
            with self.reserve(message.size, timeout) as slot:
                message.write(slot.data)
        else:
            self.send_bytes(message, timeout)

    def take(self, seconds: float | None, in_place: bool = False) -> Any:
        """Receives an object, the buffers of a long message straight from where they lie."""

        def receive(claim: Any) -> None:
            self._receive(claim, seconds)

        return _messages.take(self._open_handle(), receive, _release, _put_back, in_place)

    def take_view(self, seconds: float | None) -> Any:
        """Receives an object whose large buffers are views."""
        return self.take(seconds, True)

    # The companion leaves long messages to it, Python all.
    _take_long = take
    receive = SharedPipe.recv if is_compiled() else take


# As it is known to type checkers, it is a socket's.
_Base: Any = Connection


class PipeConnection(_Base):
    """One end of a pipe in shared memory.

    It does what a `Connection` of the standard library does. Several processes and threads may use an end at
    once; a message is there whole or not at all, and goes to one of them. A `timeout` bounds a whole call.
    The end-of-file comes when no living process has the other end open.
    """

    def __init__(self, pipe: MessagePipe, lease: Lease | None) -> None:
        self._pipe: MessagePipe | None = pipe
        self._lease = lease
        self._bell: Doorbell | None = None
        self._readable = pipe.readable
        self._writable = pipe.writable

    @property
    def shared(self) -> MessagePipe:
        """The end of the pipe as `sharecell.Pipe`, for messages as bytes and in place."""
        if self._pipe is None:
            raise OSError("handle is closed")
        return self._pipe

    def _check_closed(self) -> None:
        if self._pipe is None:
            raise OSError("handle is closed")

    @property
    def closed(self) -> bool:
        """Whether this end was closed in this process."""
        return self._pipe is None

    def fileno(self) -> int:
        """A descriptor that is readable when a message may be there, or the end-of-file.

        It is for selectors and event loops only. It may be readable in vain: see `poll`.
        """
        bell = self._bell
        if bell is None:
            bell = self._bell = Doorbell(self.shared, _native.PIPE_READABLE)
        self._check_closed()
        reap()
        return bell.fileno()

    def close(self) -> None:
        """Closes this end in this process; a thread that waits at it gets OSError."""
        pipe, self._pipe = self._pipe, None
        self._bell = None
        if pipe is not None:
            pipe.close()

    def send_bytes(
        self, buf: Any, offset: int = 0, size: int | None = None, *, timeout: float | None = None
    ) -> None:
        """Sends bytes as a message, waiting for room; TimeoutError, with nothing sent, when there is none.

        BrokenPipeError when no living process has the other end open.
        """
        self._check_closed()
        self._check_writable()
        if offset or size is not None or type(buf) is not bytes:
            buf = _part(buf, offset, size)
        try:
            self.shared.send_bytes(buf, timeout)
        except InvalidHandleError:
            raise OSError("handle is closed") from None

    def send(self, obj: Any, *, timeout: float | None = None) -> None:
        """Sends an object, as `send_bytes`. Large buffers in it are copied once."""
        self._check_closed()
        self._check_writable()
        try:
            self.shared.send_message(obj, timeout)
        except InvalidHandleError:
            raise OSError("handle is closed") from None

    def recv(self, *, timeout: float | None = None) -> Any:
        """Receives an object, waiting for one; TimeoutError when there is none in time. EOFError."""
        return self._recv(self.shared.receive, timeout)

    def recv_view(self, *, timeout: float | None = None) -> Any:
        """Receives an object whose large buffers are read-only views of the shared memory.

        The memory is given back when nothing refers to them any more. If this process dies before that,
        another receiver gets the message again.
        """
        return self._recv(self.shared.take_view, timeout)

    def _recv(self, call: Callable[[float | None], Any], timeout: float | None) -> Any:
        self._check_readable()
        try:
            return _in_slices(call, timeout)
        except InvalidHandleError:
            raise OSError("handle is closed") from None
        finally:
            self._look_again()

    def recv_bytes(self, maxlength: int | None = None, *, timeout: float | None = None) -> bytes:
        """Receives a message as bytes, as `recv`; one longer than `maxlength` stays, with OSError."""
        self._check_closed()
        self._check_readable()
        if maxlength is not None and maxlength < 0:
            raise ValueError("negative maxlength")
        pipe = self.shared
        try:
            if maxlength is None:
                data: bytes = _in_slices(pipe.recv_bytes, timeout)
                return data
            with _in_slices(pipe.recv_in_place, timeout) as item:
                if len(item) > maxlength:
                    raise OSError("bad message length")
                return bytes(item)
        except InvalidHandleError:
            raise OSError("handle is closed") from None
        finally:
            self._look_again()

    def recv_bytes_into(self, buf: Any, offset: int = 0, *, timeout: float | None = None) -> int:
        """Receives a message into a buffer; its length. BufferTooShort has the message if it is longer."""
        self._check_closed()
        self._check_readable()
        view = memoryview(buf).cast("B")
        if offset < 0:
            raise ValueError("negative offset")
        if offset > len(view):
            raise ValueError("offset too large")
        try:
            with _in_slices(self.shared.recv_in_place, timeout) as item:
                size = len(item)
                fits = offset + size <= len(view)
                if fits:
                    view[offset : offset + size] = item.data
                message = b"" if fits else bytes(item)
        except InvalidHandleError:
            raise OSError("handle is closed") from None
        finally:
            self._look_again()
        if not fits:
            raise BufferTooShort(message)
        return size

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Whether a message or the end-of-file can be received, waiting up to `timeout` seconds for it."""
        self._check_closed()
        self._check_readable()
        pipe = self.shared
        try:
            return bool(_in_slices(pipe.poll, timeout, False))
        except TimeoutError:
            return False
        except InvalidHandleError:
            raise OSError("handle is closed") from None
        finally:
            self._look_again()

    def _look_again(self) -> None:
        if self._bell is not None and self._pipe is not None:
            self._bell.refresh()

    def __reduce__(self) -> tuple[Any, ...]:
        return pickled(self.shared, self._lease, _rebuild, self.shared.end)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {'closed' if self._pipe is None else self._pipe.end} at {id(self):#x}>"
        )


def _rebuild(sent: Any, segment: Any, name: Any, end: str) -> PipeConnection:
    pipe, lease = reopened(sent, segment, name, lambda segment, name: MessagePipe.open(segment, name, end))
    return PipeConnection(pipe, lease)


def _part(buf: Any, offset: int, size: int | None) -> memoryview:
    view = memoryview(buf)
    if view.itemsize > 1:
        view = view.cast("B")
    length = view.nbytes
    if offset < 0:
        raise ValueError("offset is negative")
    if length < offset:
        raise ValueError("buffer length < offset")
    if size is None:
        size = length - offset
    elif size < 0:
        raise ValueError("size is negative")
    elif offset + size > length:
        raise ValueError("buffer length < offset + size")
    return view[offset : offset + size]


def _in_slices(call: Callable[[float | None], Any], timeout: float | None, nothing: Any = _MISSING) -> Any:
    """Waits in `call`, which raises TimeoutError or returns `nothing` when time is up.

    As long as ends of pipes are on their way to other processes, this one keeps them open and looks whether
    they have arrived: the end-of-file may depend on it.
    """
    if not reap():
        return call(timeout)
    seconds = patience(True, timeout)
    end = None if seconds is None else monotonic() + seconds
    pause = 0.001
    while True:
        left = None if end is None else max(0.0, end - monotonic())
        if left is not None and left <= pause:
            return call(left)
        try:
            answer = call(pause)
            if answer is not nothing:
                return answer
        except TimeoutError:
            pass
        pause = min(2 * pause, _SLICE)
        reap()


def Pipe(
    duplex: bool = True, *, capacity: int | None = None, name: str | None = None, segment: SegmentLike = None
) -> tuple[PipeConnection, PipeConnection]:
    """Two connections, of which the first only receives and the second only sends unless it is `duplex`.

    `capacity` is how many messages may be under way in a direction. With a `name` (and a `segment`) it is a
    pipe that unrelated processes find: see `pipe_end`.
    """
    where = place(name, segment)
    count = capacity or (_DUPLEX_CAPACITY if duplex else _SIMPLEX_CAPACITY)
    ends = where.make(
        lambda at, called: MessagePipe.create(at, called, duplex, capacity=count),
        lambda at, called: tuple(
            MessagePipe.open_or_create(at, called, end, duplex, capacity=count) for end in "AB"
        ),
    )
    return PipeConnection(ends[0], where.lease), PipeConnection(ends[1], where.lease)


def pipe_end(
    end: str, duplex: bool = True, *, name: str, segment: SegmentLike = None, capacity: int | None = None
) -> PipeConnection:
    """End "A" or "B" of a pipe with a name, which is made if there is none.

    Each process opens the end that it uses. Of a simplex pipe, A receives and B sends.
    """
    where = place(name, segment)
    count = capacity or (_DUPLEX_CAPACITY if duplex else _SIMPLEX_CAPACITY)
    pipe = MessagePipe.open_or_create(where.segment, where.name, end, duplex, capacity=count)
    return PipeConnection(pipe, None)


def wait(object_list: Iterable[Any], timeout: float | None = None) -> list[Any]:
    """Those of several things that are ready to be read from, waiting until one is.

    Things are connections, queues, sockets, sentinels of processes, descriptors, and what has a `fileno`.
    """
    given = list(object_list)
    if not given:
        return _std.wait(given, timeout)
    shared = [_shared(thing) for thing in given]
    if sum(thing is not None for thing in shared) > _MOST_OBJECTS:
        return _wait_for_many(given, timeout)
    interests = [_readable(of or thing) for of, thing in zip(shared, given)]

    def ready(seconds: float | None) -> Any:
        return wait_any(interests, seconds) or False

    known = {id(interest) for interest in _in_slices(ready, timeout, False) or ()}
    return [thing for thing, interest in zip(given, interests) if id(interest) in known]


def _shared(thing: Any) -> SharedPipe | SharedQueue | None:
    """What the library itself can wait for."""
    if isinstance(thing, PipeConnection):
        return thing.shared
    waitable = getattr(thing, "_waitable", None)
    return waitable() if waitable is not None else None


def _wait_for_many(given: list[Any], timeout: float | None) -> list[Any]:
    """By their descriptors, of which some may be readable in vain."""
    end = None if timeout is None else monotonic() + timeout
    while True:
        left = None if end is None else max(0.0, end - monotonic())
        rung: list[Any] = list(_std.wait(given, left))
        ready = [thing for thing in rung if not _is_idle(thing)]
        if ready or left == 0.0:
            return ready


def _is_idle(thing: Any) -> bool:
    """Whether the descriptor of something has rung in vain."""
    if isinstance(thing, PipeConnection):
        return not thing.poll()
    return hasattr(thing, "_is_idle") and bool(thing._is_idle())


def __getattr__(name: str) -> Any:
    return getattr(_std, name)
