"""Condition variables."""

from __future__ import annotations

from time import monotonic_ns
from typing import Any, Callable, TypeVar

from . import _native
from ._companion import fast
from ._object import SLICE_NS, Bound, Nameable, nanoseconds, patience, unsigned
from .lock import HELD, Lockable

__all__ = ["Condition"]

T = TypeVar("T")

_ALL = (1 << 64) - 1


@fast("Condition")
class Condition(Lockable, Bound, Nameable):
    """A condition variable with its lock, which is reentrant and belongs to a thread as RLock does.

    `with condition:` acquires and releases the lock (and does not close the condition). Only who holds it
    waits and notifies. A notification that is spent on a process which is killed before it has the lock again
    passes on to another waiter. If a process is killed with the lock, the next one to get it, by `acquire` or
    out of a wait, finds `owner_died` true.
    """

    _kind, _called, _handles = "condition", "a condition", _native.ConditionHandle
    _wait_for = _native.slow.shc_condition_acquire
    _functions = ("shc_condition_acquire", "shc_condition_release")
    # Each step notifies one.
    _wakes: Any

    def _bind(self, binding: _native.Binding) -> None:
        super()._bind(binding)
        handle = self._handle
        # What is closed refuses this as it does a release.
        self._wakes = binding.gives if handle is None else _native.endless(handle, "shc_condition_notify", 1)

    def wait(self, timeout: float | None = None) -> bool:
        """Gives the lock back, waits for a notification, and takes the lock again; False when time is up.

        True also, as with every condition, after a wait that nobody has ended: when a signal handler has
        run. So wait in a loop, or with `wait_for`. NotHeldError, NotOwnerError without the lock;
        LimitReachedError when too many wait. On every exception but the first two the lock is held.
        """
        # Not in slices: a notification between two of them would be lost.
        status = _native.slow.shc_condition_wait(self._handle, nanoseconds(patience(True, timeout)))
        return self._notified(status) or status == _native.INTERRUPTED

    def wait_for(self, predicate: Callable[[], T], timeout: float | None = None) -> T:
        """Waits until `predicate` returns something true, or time is up; what it returned last.

        It is called with the lock held. Else as `wait`.
        """
        seconds = patience(True, timeout)
        end = None if seconds is None else monotonic_ns() + nanoseconds(seconds)
        while not (result := predicate()):
            now = SLICE_NS if end is None else min(SLICE_NS, end - monotonic_ns())
            if now <= 0:
                break
            self._notified(_native.slow.shc_condition_wait(self._handle, now))
        return result

    def _notified(self, status: int) -> bool:
        if status in (_native.WOULD_BLOCK, _native.TIMED_OUT, _native.INTERRUPTED):
            return False
        if status not in HELD:
            self._fail(status)
        self.owner_died = status == _native.OWNER_DIED
        return True

    def notify(self, n: int = 1) -> None:
        """Wakes up to `n` of those who wait, the longest waiting first. NotHeldError, NotOwnerError."""
        # The companion never asks for one.
        if type(n) is int and n == 1:
            status = next(self._wakes)
        else:
            status = _native.quick.shc_condition_notify(self._handle, unsigned(n, "n"))
        if status:
            self._fail(status)

    def notify_all(self) -> None:
        """Wakes all who wait; as `notify`."""
        self._check(_native.quick.shc_condition_notify(self._handle, _ALL))

    def waiters(self) -> int:
        """How many wait at this moment."""
        return int(self._ask(_native.quick.shc_condition_waiters, _native.out_size()))
