"""Locks: of their own, and of values and arrays."""

from __future__ import annotations

from os import register_at_fork
from threading import get_ident
from typing import Any, Callable, TypeVar

from . import _native
from ._async import until
from ._companion import fast, speed
from ._native import WOULD_BLOCK
from ._object import Bound, Nameable, SharedObject, Twin, patience, shut
from .errors import PoisonedError

__all__ = ["Lock", "ObjectLock", "RLock"]

HELD = (_native.OK, _native.OWNER_DIED)

Self = TypeVar("Self", bound="Acquirable")


class Leaving:
    """Has its `__exit__` in a slot: a `with` block calls the library, and nothing runs in between.

    A type of the companion has a method instead, and could not be combined with a slot.
    """

    __slots__ = ("__exit__",) if speed is None else ()
    __exit__: Any


class Acquirable(Leaving):
    """What is acquired and released, over its binding to the library."""

    _bound: Any
    _wait_for: Any

    def _bind(self, binding: _native.Binding) -> None:
        self._bound = binding
        self.__exit__ = binding.leave

    def _shared(self) -> Any:
        return self

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquires it; whether that was possible, waiting up to `timeout` seconds, None for ever."""
        status = WOULD_BLOCK
        try:
            # So that no exception can come between holding it and the knowledge of it.
            for status in self._bound.tries:  # noqa: B007
                break
            if status:
                return self._settle(status, block, timeout)
            self._bound.found.owner_died = False
            return True
        except BaseException:
            self._undo(status)
            raise

    def _settle(self, status: int, block: bool, timeout: float | None) -> bool:
        """Goes on after a try that did not simply succeed."""
        shared = self._shared()
        outcome: list[int] = []
        try:
            if status == WOULD_BLOCK:
                seconds = patience(block, timeout)
                if seconds == 0:
                    return False
                status = shared._wait(outcome, self._wait_for, seconds)
                if status == _native.TIMED_OUT:
                    return False
            if status not in HELD:
                shared._fail(status)
            self._bound.found.owner_died = status == _native.OWNER_DIED
            return True
        except BaseException:
            if outcome:
                self._undo(outcome[0])
            raise

    def _undo(self, status: int) -> None:
        if status in HELD:
            next(self._bound.gives)

    def __enter__(self: Self) -> Self:
        # Not by `acquire`: an exception could come between its return and ours.
        status = WOULD_BLOCK
        try:
            for status in self._bound.tries:  # noqa: B007
                break
            if status:
                self._settle(status, True, None)
            else:
                self._bound.found.owner_died = False
            return self
        except BaseException:
            self._undo(status)
            raise


class Lockable(Acquirable):
    """What has an owner. The process owns it: any of its threads may release it."""

    @property
    def owner_died(self) -> bool:
        """Whether the last acquire found that the owner before it had died.

        What the lock protects may be half changed then. Every owner is told so until one releases the lock in
        good order.
        """
        return bool(self._bound.found.owner_died)

    @owner_died.setter
    def owner_died(self, died: bool) -> None:
        self._bound.found.owner_died = died

    def release(self) -> None:
        """Releases it. NotHeldError when nobody holds it, NotOwnerError when another process does."""
        for status in self._bound.gives:
            if status:
                self._shared()._fail(status)
            return


@fast("Lock")
class Lock(Lockable, Bound, Nameable):
    """A mutual exclusion lock for threads of any number of processes. Not recursive.

    `with lock:` acquires and releases it (and does not close it). A process owns it, whichever of its
    threads acquired it; any of its threads may release it, no other process may; in a forked child it is
    the parent's. If the owner is killed, the next one to acquire it gets it, and `owner_died` is true. So
    it is if the owner closes it without having released it. What cannot be repaired then can be marked so:
    see `poison`.
    """

    _kind, _called, _handles = "lock", "a lock", _native.LockHandle
    _wait_for = _native.slow.shc_lock_acquire
    _functions = ("shc_lock_acquire", "shc_lock_release")

    def acquire_or_repair(
        self, repair: Callable[[], object], block: bool = True, timeout: float | None = None
    ) -> bool:
        """Acquires the lock, and calls `repair` before anybody else can have it if its last owner died.

        If that returns False (None is not False), what the lock protects is beyond repair and the lock is
        not held: PoisonedError, here and for all others, until somebody clears that. So it is if `repair`
        raises, and what it raises comes out here. Else as `acquire`.
        """
        if not self.acquire(block, timeout):
            return False
        if not self.owner_died:
            return True
        try:
            repaired = repair() is not False
        except BaseException:
            self.poison()
            raise
        if not repaired:
            self.poison()
            raise PoisonedError(f"the repair of lock {self._name!r} has failed")
        self.owner_died = False
        return True

    def holder(self) -> int:
        """The label of the participant that holds the lock, 0 if nobody does; see Segment.participants."""
        return int(self._ask(_native.quick.shc_lock_holder, _native.out_u32()))

    def poison(self) -> None:
        """Releases the lock so that nobody can acquire it any more: what it protects is beyond repair.

        Whoever asks for it gets PoisonedError, until somebody clears that. The lock is not held after it:
        NotHeldError at the end of a `with` block that did it; use `acquire` where that may become necessary.
        """
        self._check(_native.slow.shc_lock_poison(self._handle))

    def is_poisoned(self) -> bool:
        """Whether what the lock protects was declared beyond repair."""
        return bool(self._ask(_native.quick.shc_lock_is_poisoned, _native.out_bool()))

    def clear_poison(self) -> bool:
        """Lets the lock be acquired again, what it protects being made anew; whether it was poisoned."""
        return bool(self._ask(_native.slow.shc_lock_clear_poison, _native.out_bool()))

    async def acquire_async(self) -> bool:
        """Acquires the lock, as `acquire`, while the event loop goes on; always true.

        A task that is cancelled does not hold it.
        """
        return bool(await until(self._acquire_now, BlockingIOError, self, _native.LOCK_FREE))

    def _acquire_now(self) -> bool:
        if not self.acquire(False):
            raise BlockingIOError
        return True


@fast("RLock")
class RLock(Lockable, Bound, Nameable):
    """A lock that the thread which holds it can take again.

    It is free when that thread has released it as often as it has acquired it. `with lock:` acquires and
    releases it (and does not close it). Only the thread that holds it can release it. If its process is
    killed, the next one to acquire it gets it, and `owner_died` is true.
    """

    _kind, _called, _handles = "rlock", "a reentrant lock", _native.RLockHandle
    _wait_for = _native.slow.shc_rlock_acquire
    _functions = ("shc_rlock_acquire", "shc_rlock_release")

    def holder(self) -> int:
        """The label of the participant that holds the lock, 0 if nobody does; see Segment.participants."""
        return int(self._ask(_native.quick.shc_rlock_holder, _native.out_u32()))


class ObjectLock(Lockable):
    """The lock of a value or an array, or one side of a RwLock.

    It is open until that is closed, and keeps it open as long as it is used itself; all else is as for Lock.
    """

    def __init__(self, shared: SharedObject, binding: _native.Binding) -> None:
        # Not `shared` itself, which has this lock.
        self._owner = Twin(shared)
        self._bind(binding)
        shared._segment._objects.add(self)

    def _shared(self) -> Any:
        return self._owner

    def _let_go(self) -> None:
        self._owner._let_go()
        shut(self._owner, self._bound)
        self._bind(self._bound)

    def __repr__(self) -> str:
        return f"<lock of {self._owner!r}>"


@fast("ValueLock")
class ValueLock(ObjectLock):
    """The lock of a value."""

    _wait_for = _native.slow.shc_value_lock


@fast("ArrayLock")
class ArrayLock(ObjectLock):
    """The lock of an array."""

    _wait_for = _native.slow.shc_array_lock


class ReadLock(ObjectLock):
    """The readers' side of a RwLock."""

    __slots__ = ("__exit__",)
    _wait_for = _native.slow.shc_rwlock_acquire_read


class WriteLock(ObjectLock):
    """The writers' side of a RwLock."""

    __slots__ = ("__exit__",)
    _wait_for = _native.slow.shc_rwlock_acquire_write


# How many forks lie between the process that imported this and the one that runs.
_forks = 0


def _forked() -> None:
    global _forks
    _forks += 1


register_at_fork(after_in_child=_forked)


_NOT_MINE = "attempt to release recursive lock not owned by thread"


class OwnLock:
    """The lock of a value or an array, which the thread that holds it can take again.

    If its holder is killed, the next one gets it, and `owner_died` is true.
    """

    def __init__(self, shared: Any) -> None:
        self._lock = shared.get_lock()
        self._bound: _native.Binding = self._lock._bound
        self._holder = self._forks = self._depth = 0

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquires it; whether that was possible, waiting up to `timeout` seconds, None for ever."""
        me, status = get_ident(), WOULD_BLOCK
        try:
            # As of Acquirable. Whether this thread has it already is asked when somebody has.
            for status in self._bound.tries:  # noqa: B007
                break
            if status:
                return self._settle(status, me, block, timeout)
            self._bound.found.owner_died = False
            self._holder, self._forks, self._depth = me, _forks, 1
            return True
        except BaseException:
            self._lock._undo(status)
            raise

    __enter__ = acquire

    def _settle(self, status: int, me: int, block: bool, timeout: float | None) -> bool:
        """Goes on after a try that did not simply succeed."""
        if status == WOULD_BLOCK and self._is_held_by(me):
            self._depth += 1
            return True
        if not self._lock._settle(status, block, timeout):
            return False
        self._holder, self._forks, self._depth = me, _forks, 1
        return True

    def _is_held_by(self, thread: int) -> bool:
        return self._depth != 0 and self._holder == thread and self._forks == _forks

    def release(self) -> None:
        """Releases it; AssertionError when this thread does not hold it."""
        if not self._is_held_by(get_ident()):
            raise AssertionError(_NOT_MINE)
        self.__exit__(None, None, None)

    @property
    def owner_died(self) -> bool:
        """Whether the last acquire found that the owner before it had died."""
        return bool(self._bound.found.owner_died)

    # Three arguments take less time than any number; and the thread is that of `__enter__`.
    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if self._depth == 1:
            self._depth = 0
            for status in self._bound.gives:
                if status:
                    self._lock._shared()._fail(status)
                return
        if self._depth == 0:
            raise AssertionError(_NOT_MINE)
        self._depth -= 1


@fast("OwnValueLock")
class OwnValueLock(OwnLock):
    """That of a value."""


@fast("OwnArrayLock")
class OwnArrayLock(OwnLock):
    """That of an array."""
