"""Contexts, as of `multiprocessing`: its start methods and processes, and our objects.

There is one start method for both packages: setting it here sets it there.
"""

from __future__ import annotations

import multiprocessing.context as _std
from multiprocessing.context import (
    Process,
)
from typing import Any

from . import connection, queues, sharedctypes, synchronize
from ._places import SegmentLike

__all__ = ()

# As it is known to type checkers, it makes other objects.
_Base: Any = _std.BaseContext


class BaseContext(_Base):
    """What all contexts have: the objects of this package. Each takes a `name`, and a `segment` for it."""

    def Pipe(
        self,
        duplex: bool = True,
        *,
        capacity: int | None = None,
        name: str | None = None,
        segment: SegmentLike = None,
    ) -> tuple[connection.PipeConnection, connection.PipeConnection]:
        """Two connections; see `connection.Pipe`."""
        return connection.Pipe(duplex, capacity=capacity, name=name, segment=segment)

    def Lock(self, *, name: str | None = None, segment: SegmentLike = None) -> synchronize.Lock:
        """A lock."""
        return synchronize.Lock(ctx=self.get_context(), name=name, segment=segment)

    def RLock(self, *, name: str | None = None, segment: SegmentLike = None) -> synchronize.RLock:
        """A reentrant lock."""
        return synchronize.RLock(ctx=self.get_context(), name=name, segment=segment)

    def Condition(
        self, lock: Any = None, *, name: str | None = None, segment: SegmentLike = None
    ) -> synchronize.Condition:
        """A condition, with a lock of its own or a given one."""
        return synchronize.Condition(lock, ctx=self.get_context(), name=name, segment=segment)

    def Semaphore(
        self, value: int = 1, *, undo: bool = False, name: str | None = None, segment: SegmentLike = None
    ) -> synchronize.Semaphore:
        """A semaphore."""
        return synchronize.Semaphore(value, ctx=self.get_context(), undo=undo, name=name, segment=segment)

    def BoundedSemaphore(
        self, value: int = 1, *, undo: bool = False, name: str | None = None, segment: SegmentLike = None
    ) -> synchronize.BoundedSemaphore:
        """A semaphore that is not released too often."""
        return synchronize.BoundedSemaphore(
            value, ctx=self.get_context(), undo=undo, name=name, segment=segment
        )

    def Event(self, *, name: str | None = None, segment: SegmentLike = None) -> synchronize.Event:
        """An event."""
        return synchronize.Event(ctx=self.get_context(), name=name, segment=segment)

    def Barrier(
        self,
        parties: int,
        action: Any = None,
        timeout: float | None = None,
        *,
        name: str | None = None,
        segment: SegmentLike = None,
    ) -> synchronize.Barrier:
        """A barrier."""
        ctx = self.get_context()
        return synchronize.Barrier(parties, action, timeout, ctx=ctx, name=name, segment=segment)

    def Queue(
        self, maxsize: int = 0, *, name: str | None = None, segment: SegmentLike = None
    ) -> queues.Queue:
        """A queue."""
        return queues.Queue(maxsize, ctx=self.get_context(), name=name, segment=segment)

    def JoinableQueue(
        self, maxsize: int = 0, *, name: str | None = None, segment: SegmentLike = None
    ) -> queues.JoinableQueue:
        """A queue that counts what is not done."""
        return queues.JoinableQueue(maxsize, ctx=self.get_context(), name=name, segment=segment)

    def SimpleQueue(self, *, name: str | None = None, segment: SegmentLike = None) -> queues.SimpleQueue:
        """A pipe as a queue."""
        return queues.SimpleQueue(ctx=self.get_context(), name=name, segment=segment)

    def Pool(
        self,
        processes: int | None = None,
        initializer: Any = None,
        initargs: Any = (),
        maxtasksperchild: int | None = None,
    ) -> Any:
        """A pool of processes."""
        from .pool import Pool

        return Pool(processes, initializer, initargs, maxtasksperchild, context=self.get_context())

    def RawValue(
        self, typecode_or_type: Any, *args: Any, name: str | None = None, segment: SegmentLike = None
    ) -> Any:
        """A ctypes object in shared memory."""
        return sharedctypes.RawValue(typecode_or_type, *args, name=name, segment=segment)

    def RawArray(
        self,
        typecode_or_type: Any,
        size_or_initializer: Any,
        *,
        name: str | None = None,
        segment: SegmentLike = None,
    ) -> Any:
        """A ctypes array in shared memory."""
        return sharedctypes.RawArray(typecode_or_type, size_or_initializer, name=name, segment=segment)

    def Value(
        self,
        typecode_or_type: Any,
        *args: Any,
        lock: Any = True,
        name: str | None = None,
        segment: SegmentLike = None,
    ) -> Any:
        """A value with a lock."""
        ctx = self.get_context()
        return sharedctypes.Value(typecode_or_type, *args, lock=lock, ctx=ctx, name=name, segment=segment)

    def Array(
        self,
        typecode_or_type: Any,
        size_or_initializer: Any,
        *,
        lock: Any = True,
        name: str | None = None,
        segment: SegmentLike = None,
    ) -> Any:
        """An array with a lock."""
        ctx = self.get_context()
        return sharedctypes.Array(
            typecode_or_type, size_or_initializer, lock=lock, ctx=ctx, name=name, segment=segment
        )

    def get_context(self, method: str | None = None) -> BaseContext:
        """The context of a start method; without one, this."""
        if method is None:
            return self
        try:
            context = _concrete_contexts[method]
        except KeyError:
            raise ValueError(f"cannot find context for {method!r}") from None
        context._check_available()
        return context


class ForkContext(BaseContext, _std.ForkContext):  # type: ignore[misc]
    """Of the start method fork."""


class SpawnContext(BaseContext, _std.SpawnContext):  # type: ignore[misc]
    """Of the start method spawn."""


class ForkServerContext(BaseContext, _std.ForkServerContext):  # type: ignore[misc]
    """Of the start method forkserver."""


class DefaultContext(BaseContext, _std.DefaultContext):  # type: ignore[misc]
    """Of the start method that is set, for both packages, or of the system's."""

    Process = Process

    def __init__(self) -> None:
        pass

    def get_context(self, method: str | None = None) -> BaseContext:
        """The context of a start method; without one, of that which is set."""
        return super().get_context(method or _std._default_context.get_start_method())

    def set_start_method(self, method: str | None, force: bool = False) -> None:
        """Sets the start method, for both packages."""
        _std._default_context.set_start_method(method, force)

    def get_start_method(self, allow_none: bool = False) -> Any:
        """The start method, that of both packages."""
        return _std._default_context.get_start_method(allow_none)

    def get_all_start_methods(self) -> list[str]:
        """The start methods that there are, the default first."""
        return list(_std._default_context.get_all_start_methods())


_concrete_contexts: dict[str, BaseContext] = {
    "fork": ForkContext(),
    "spawn": SpawnContext(),
    "forkserver": ForkServerContext(),
}
_default_context = DefaultContext()


def __getattr__(name: str) -> Any:
    return getattr(_std, name)
