"""Locks, semaphores, conditions, events and barriers in shared memory, by the names of `multiprocessing`."""

from __future__ import annotations

import multiprocessing.synchronize as _std
import os
import threading
from multiprocessing import process
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from .. import barrier as _barrier
from .. import condition as _condition
from .. import event as _event
from .. import lock as _lock
from .. import semaphore as _semaphore
from .._object import SharedObject
from ..errors import NotHeldError, NotOwnerError
from ._places import Lease, SegmentLike, pickled, place, reopened

if TYPE_CHECKING:
    from ..segment import Segment

__all__ = ["Barrier", "BoundedSemaphore", "Condition", "Event", "Lock", "RLock", "Semaphore"]

SEM_VALUE_MAX: int = _std.SEM_VALUE_MAX  # type: ignore[attr-defined]

_REENTRANT = (_lock.RLock, _std.RLock, type(threading.RLock()))

Self = TypeVar("Self", bound="_Private")
T = TypeVar("T")


class _Private:
    """An object that is made by a call of its class, in the private segment unless it has a name."""

    _lease: Lease | None

    @classmethod
    def _new(cls: type[Self], name: str | None, segment: SegmentLike, *options: Any) -> Self:
        where = place(name, segment)
        made: Self = where.make(cls.create, cls.open_or_create, *options)  # type: ignore[attr-defined]
        made._lease = where.lease
        return made

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __reduce__(self) -> tuple[Any, ...]:
        assert isinstance(self, SharedObject)
        return pickled(self, self._lease, _rebuild, type(self), *self._restore_arguments())


def _rebuild(sent: Any, segment: Any, name: Any, cls: Any, *arguments: Any) -> Any:
    def open_it(segment: Segment, name: str) -> Any:
        return cls.open(segment, name, *arguments)

    shared: Any
    shared, lease = reopened(sent, segment, name, open_it)
    shared._lease = lease
    return shared


class _SemLock:
    """What programs look at in the standard library's `_semlock`."""

    def __init__(
        self, value: Callable[[], int], is_mine: Callable[[], bool], name: str, maxvalue: int
    ) -> None:
        self._get_value = value
        self._is_mine = is_mine
        self.name = name
        self.maxvalue = maxvalue

    def _is_zero(self) -> bool:
        return self._get_value() == 0

    def _count(self) -> int:
        return int(self._is_mine())


def _holder_name(lock: Any) -> str:
    """Who holds a lock, as its repr says it."""
    holder = lock.holder()
    if holder == 0:
        return "None"
    return process.current_process().name if _pid_of(lock, holder) == os.getpid() else "SomeOtherProcess"


def _pid_of(lock: SharedObject, label: int) -> int:
    return next((who.pid for who in lock.segment.participants() if who.label == label), 0)


class _Held:
    """What a lock and a reentrant lock have in common."""

    holder: Callable[[], int]
    name: str

    @property
    def _semlock(self) -> _SemLock:
        def is_mine() -> bool:
            return _pid_of(self, self.holder()) == os.getpid()  # type: ignore[arg-type]

        return _SemLock(lambda: int(self.holder() == 0), is_mine, self.name, 1)

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self.holder() != 0


class Lock(_Private, _Held, _lock.Lock):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A lock that survives its holder: if that is killed, the next one gets it, and `owner_died` is true.

    It belongs to the process that acquired it: only that process (any thread of it) can release it.
    """

    def __new__(cls, *, ctx: Any = None, name: str | None = None, segment: SegmentLike = None) -> Lock:
        """Makes a lock, or opens the one of that name."""
        return cls._new(name, segment)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(owner={_owner(self)})>"


class RLock(_Private, _Held, _lock.RLock):  # pyright: ignore[reportIncompatibleVariableOverride]
    """A lock that the thread which holds it can take again; as Lock, but that it belongs to a thread."""

    def __new__(cls, *, ctx: Any = None, name: str | None = None, segment: SegmentLike = None) -> RLock:
        """Makes a reentrant lock, or opens the one of that name."""
        return cls._new(name, segment)

    def release(self) -> None:
        """Releases it; AssertionError when this thread does not hold it."""
        try:
            super().release()
        except (NotHeldError, NotOwnerError):
            raise AssertionError("attempt to release recursive lock not owned by thread") from None

    def __repr__(self) -> str:
        name = _owner(self)
        return f"<{type(self).__name__}({name}, {0 if name == 'None' else 'nonzero'})>"


def _owner(lock: Any) -> str:
    return "unknown" if lock.closed else _holder_name(lock)


class Semaphore(_Private, _semaphore.Semaphore):
    """A counting semaphore. What a killed process had acquired is gone, unless it is made with `undo`.

    With `undo` it comes back, and only who has acquired can release.
    """

    _maximum = SEM_VALUE_MAX

    def __new__(
        cls,
        value: int = 1,
        *,
        ctx: Any = None,
        undo: bool = False,
        name: str | None = None,
        segment: SegmentLike = None,
    ) -> Semaphore:
        """Makes a semaphore, or opens the one of that name."""
        where = place(name, segment)
        made: Semaphore = where.make(
            lambda at, called: cls.create(at, called, value, undo=undo),
            lambda at, called: cls.open_or_create(at, called, value, undo=undo),
        )
        made._lease = where.lease
        return made

    @property
    def _semlock(self) -> _SemLock:
        return _SemLock(self.get_value, lambda: False, self.name, self._maximum)

    def locked(self) -> bool:
        """Whether no permit is free."""
        return self.get_value() == 0

    def __repr__(self) -> str:
        return f"<{type(self).__name__}(value={'unknown' if self.closed else self.get_value()})>"


class BoundedSemaphore(Semaphore):
    """A semaphore whose value never exceeds the first one: a release too many is a ValueError."""

    _flags = _semaphore.BoundedSemaphore._flags
    _first: int

    def __new__(
        cls,
        value: int = 1,
        *,
        ctx: Any = None,
        undo: bool = False,
        name: str | None = None,
        segment: SegmentLike = None,
    ) -> BoundedSemaphore:
        """Makes a bounded semaphore, or opens the one of that name."""
        made: Any = super().__new__(cls, value, ctx=ctx, undo=undo, name=name, segment=segment)
        made._first = value
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return pickled(self, self._lease, _rebuild_bounded, type(self), self._first)

    def __repr__(self) -> str:
        value = "unknown" if self.closed else self.get_value()
        return f"<{type(self).__name__}(value={value}, maxvalue={self._first})>"


def _rebuild_bounded(sent: Any, segment: Any, name: Any, cls: Any, first: int) -> Any:
    semaphore = _rebuild(sent, segment, name, cls)
    semaphore._first = first
    return semaphore


class _Number:
    """A number that is asked for, where the standard library has a semaphore."""

    def __init__(self, get_value: Callable[[], int]) -> None:
        self.get_value = self._get_value = get_value

    @property
    def _semlock(self) -> _Number:
        return self


_notify = _condition.Condition.notify


class Condition(_Private, _condition.Condition):
    """A condition. A notification spent on a process that dies passes on to another waiter.

    With a `lock` of its user's, several conditions can share that lock; then a notification that is spent on
    a process which is killed between its wake and its getting the lock is lost.
    """

    def __new__(
        cls, lock: Any = None, *, ctx: Any = None, name: str | None = None, segment: SegmentLike = None
    ) -> Condition:
        """Makes a condition, or opens the one of that name."""
        if lock is None:
            return cls._new(name, segment)
        made = ConditionOver._new(name, segment)
        made._over = lock
        return made

    @property
    def _lock(self) -> Any:
        return self

    @property
    def _sleeping_count(self) -> _Number:
        return _Number(self.waiters)

    @property
    def _woken_count(self) -> _Number:
        return _Number(lambda: 0)

    _wait_semaphore = _woken_count

    def wait(self, timeout: float | None = None) -> bool:
        """Gives the lock back, waits for a notification and takes it again; False when time is up."""
        try:
            return super().wait(timeout)
        except (NotHeldError, NotOwnerError):
            raise AssertionError("must acquire() condition before using wait()") from None

    def notify(self, n: int = 1) -> None:
        """Wakes up to `n` of those who wait."""
        try:
            _notify(self, n)
        except (NotHeldError, NotOwnerError):
            raise AssertionError("lock is not owned") from None

    def notify_all(self) -> None:
        """Wakes all who wait."""
        try:
            super().notify_all()
        except (NotHeldError, NotOwnerError):
            raise AssertionError("lock is not owned") from None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({'unknown' if self.closed else self.waiters()} waiters)>"


class ConditionOver(Condition):
    """A condition with a lock of its user's.

    Who waits takes the condition's own lock before giving back the user's, and who notifies needs both: so no
    notification falls between the two.
    """

    _over: Any

    @property
    def _lock(self) -> Any:
        return self._over

    def acquire(self, *args: Any, **kwds: Any) -> bool:
        """Acquires the user's lock."""
        return bool(self._over.acquire(*args, **kwds))

    def release(self) -> None:
        """Releases the user's lock."""
        self._over.release()

    def __enter__(self) -> Any:
        return self._over.__enter__()

    def __exit__(self, *args: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        return self._over.__exit__(*args)

    def wait(self, timeout: float | None = None) -> bool:
        """Gives the lock back, waits for a notification and takes it again; False when time is up."""
        inner = _condition.Condition
        inner.acquire(self)
        try:
            depth = self._release_all()
        except BaseException:
            inner.release(self)
            raise
        try:
            return inner.wait(self, timeout)
        finally:
            inner.release(self)
            for _ in range(depth):
                self._over.acquire()

    def _release_all(self) -> int:
        """Gives back a lock that may be held several times over; how many times it was."""
        depth = 0
        is_reentrant = isinstance(self._over, _REENTRANT) or hasattr(self._over, "_depth")
        while True:
            try:
                self._over.release()
            except (AssertionError, RuntimeError, ValueError):
                if depth == 0:
                    raise AssertionError("must acquire() condition before using wait()") from None
                return depth
            depth += 1
            if not is_reentrant:
                return depth

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Waits until `predicate` returns something true, or time is up; what it returned last."""
        wait_for: Any = threading.Condition.wait_for
        result: T = wait_for(self, predicate, timeout)
        return result

    def notify(self, n: int = 1) -> None:
        """Wakes up to `n` of those who wait."""
        inner = _condition.Condition
        inner.acquire(self)
        try:
            inner.notify(self, n)
        finally:
            inner.release(self)

    def notify_all(self) -> None:
        """Wakes all who wait."""
        self.notify((1 << 64) - 1)

    def __reduce__(self) -> tuple[Any, ...]:
        return pickled(self, self._lease, _rebuild_over, self._over)


def _rebuild_over(sent: Any, segment: Any, name: Any, lock: Any) -> ConditionOver:
    condition: ConditionOver = _rebuild(sent, segment, name, ConditionOver)
    condition._over = lock
    return condition


class Event(_Private, _event.Event):
    """A flag that processes set, clear and wait for."""

    def __new__(cls, *, ctx: Any = None, name: str | None = None, segment: SegmentLike = None) -> Event:
        """Makes an event, or opens the one of that name."""
        return cls._new(name, segment)

    def __repr__(self) -> str:
        state = "closed" if self.closed else "set" if self.is_set() else "unset"
        return f"<{type(self).__qualname__} at {id(self):#x} {state}>"


class Barrier(_Private, _barrier.Barrier):
    """A meeting point of `parties`, which breaks when one who has come is killed.

    `timeout` is that of a `wait` without one.
    """

    _timeout: float | None

    def __new__(
        cls,
        parties: int,
        action: Callable[[], object] | None = None,
        timeout: float | None = None,
        *,
        ctx: Any = None,
        name: str | None = None,
        segment: SegmentLike = None,
    ) -> Barrier:
        """Makes a barrier, or opens the one of that name."""
        made: Any = cls._new(name, segment, parties, action)
        made._timeout = timeout
        return made

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the others; this party's number. BrokenBarrierError, also when the time is up."""
        return super().wait(self._timeout if timeout is None else timeout)

    def __reduce__(self) -> tuple[Any, ...]:
        return pickled(self, self._lease, _rebuild_barrier, type(self), self._action, self._timeout)

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} at {id(self):#x} of {'?' if self.closed else self.parties}>"


def _rebuild_barrier(
    sent: Any, segment: Any, name: Any, cls: Any, action: Any, timeout: float | None
) -> Barrier:
    barrier: Barrier = _rebuild(sent, segment, name, cls, action)
    barrier._timeout = timeout
    return barrier


def __getattr__(name: str) -> Any:
    return getattr(_std, name)
