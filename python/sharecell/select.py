"""Waiting for any of several things."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any

from . import _native
from ._object import SLICE_NS, SharedObject, descriptor, nanoseconds, patience
from .errors import check
from .event import Event
from .lock import Lock
from .pipe import Pipe
from .queue import Queue
from .semaphore import Semaphore

__all__ = ["Bell", "Interest", "readable", "wait_any", "writable"]


@dataclass(frozen=True)
class Interest:
    """Something that can be waited for: `readable` and `writable` make it."""

    source: Any
    """The queue, the pipe, the object with a `fileno`, or the number of a descriptor."""
    what: int
    """What is waited for, as a number of the library."""

    def _native(self) -> tuple[int, int, _native.Handle | None]:
        if isinstance(self.source, SharedObject):
            return self.what, -1, self.source._open_handle()
        return self.what, descriptor(self.source), None


def readable(source: Any) -> Interest:
    """That an item or message can be got from a queue or pipe, or a descriptor be read from, or the end.

    A descriptor is a number or has a `fileno`: a socket, a pipe, a pidfd, which is readable when its process
    has ended.
    """
    return _interest(source, _native.QUEUE_READABLE, _native.PIPE_READABLE, _native.FD_READABLE)


def writable(source: Any) -> Interest:
    """That an item or message can be put into a queue or pipe, or a descriptor be written to, or the end."""
    return _interest(source, _native.QUEUE_WRITABLE, _native.PIPE_WRITABLE, _native.FD_WRITABLE)


def _interest(source: Any, queue: int, pipe: int, fd: int) -> Interest:
    if isinstance(source, Queue):
        return Interest(source, queue)
    if isinstance(source, Pipe):
        return Interest(source, pipe)
    if isinstance(source, SharedObject):
        raise TypeError(f"{type(source).__name__} is neither readable nor writable")
    return Interest(source, fd)


def _as_interest(thing: Any) -> Interest:
    if isinstance(thing, Interest):
        return thing
    if isinstance(thing, Event):
        return Interest(thing, _native.EVENT_SET)
    if isinstance(thing, Semaphore):
        return Interest(thing, _native.SEMAPHORE_FREE)
    if isinstance(thing, Lock):
        return Interest(thing, _native.LOCK_FREE)
    if isinstance(thing, (Queue, Pipe)):
        raise TypeError(f"say whether readable({thing!r}) or writable(...) of it is waited for")
    return readable(thing)


def wait_any(things: Iterable[Any], timeout: float | None = None) -> list[Any]:
    """Waits until any of several things is ready, up to `timeout` seconds, None for ever; those that are.

    A thing is what `readable` or `writable` has made; an event (until it is set); a semaphore or a lock
    (until it can be acquired); a descriptor or what has a `fileno` (until it can be read from). Nothing is
    taken: somebody else may be faster. An empty list when the time is up. InvalidArgumentError for no thing
    at all and for more than 127 objects of segments.
    """
    given = list(things)
    wanted = [_as_interest(thing) for thing in given]
    ready = _native.answers(len(given))
    seconds = patience(True, timeout)
    end = None if seconds is None else monotonic_ns() + nanoseconds(seconds)
    status = _call(_native.quick, wanted, 0, ready)
    while status in (_native.WOULD_BLOCK, _native.TIMED_OUT, _native.INTERRUPTED):
        now = SLICE_NS if end is None else min(SLICE_NS, end - monotonic_ns())
        if now <= 0:
            return []
        status = _call(_native.slow, wanted, now, ready)
    check(status)
    return [thing for thing, is_ready in zip(given, ready) if is_ready]


def _call(library: Any, wanted: list[Interest], timeout_ns: int, ready: Any) -> int:
    # The list keeps the handles open during the call.
    given = [interest._native() for interest in wanted]
    return int(library.shc_wait_any(_native.interests(given), len(given), timeout_ns, ready))


class Bell:
    """A descriptor for loops of other people's that becomes readable when an object may have become ready.

    It has a `fileno`, for `select`, `selectors` and the like. While it is armed a thread of the library
    sleeps for it, one for all. `with` closes it.
    """

    def __init__(self) -> None:
        status, handles = _native.obtain(_native.BellHandle, 1, _native.quick.shc_bell_create)
        check(status)
        self._handle: _native.Handle | None = handles[0]

    def fileno(self) -> int:
        """Its descriptor, which is closed with it."""
        answer = _native.out_fd()
        check(_native.quick.shc_bell_fd(self._handle, _native.out(answer)))
        return int(answer.value)

    def arm(self, things: Iterable[Any]) -> None:
        """Lets it ring, once, when any of several things may have become ready; at once, if one is.

        Things are as for `wait_any`; descriptors among them do not count. It may ring in vain.
        """
        # The list keeps the handles open during the call.
        given = [_as_interest(thing)._native() for thing in things]
        check(_native.slow.shc_bell_arm(self._handle, _native.interests(given), len(given)))

    def clear(self) -> None:
        """Makes its descriptor unreadable again."""
        check(_native.quick.shc_bell_clear(self._handle))

    def close(self) -> None:
        """Closes it now."""
        self._handle = None

    def __enter__(self) -> Bell:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
