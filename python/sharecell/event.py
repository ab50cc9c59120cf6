"""Flags that can be waited for."""

from __future__ import annotations

from typing import Any

from . import _native
from ._async import until
from ._companion import fast
from ._object import Bound, Nameable, patience

__all__ = ["Event"]


@fast("Event")
class Event(Bound, Nameable):
    """A flag that any process sets and clears, and others wait for. At first it is not set.

    Nobody owns it: if who has set it is killed, it stays set.
    """

    _kind, _called, _handles = "event", "an event", _native.EventHandle

    _functions = ("shc_event_wait", "shc_event_set")
    _bound: Any

    def set(self) -> None:
        """Sets the flag and wakes all who wait."""
        self._check(next(self._bound.gives))

    def clear(self) -> None:
        """Clears the flag."""
        self._check(_native.quick.shc_event_clear(self._handle))

    def is_set(self) -> bool:
        """Whether the flag is set."""
        # A wait of no time costs one argument less than asking.
        for status in self._bound.tries:  # noqa: B007
            break
        if status == _native.WOULD_BLOCK:
            return False
        self._check(status)
        return True

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the flag is set; False when it was not for `timeout` seconds, None for ever."""
        status = _native.quick.shc_event_wait(self._handle, 0)
        if status == _native.WOULD_BLOCK:
            seconds = patience(True, timeout)
            if seconds == 0:
                return False
            status = self._wait([], _native.slow.shc_event_wait, seconds)
            if status == _native.TIMED_OUT:
                return False
        self._check(status)
        return True

    async def wait_async(self) -> bool:
        """Waits until the flag is set while the event loop goes on; always true."""
        return bool(await until(self._wait_now, BlockingIOError, self, _native.EVENT_SET))

    def _wait_now(self) -> bool:
        if not self.wait(0):
            raise BlockingIOError
        return True
