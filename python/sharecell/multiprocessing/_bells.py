"""Descriptors of queues and connections, for selectors, asyncio and the standard `connection.wait`."""

from __future__ import annotations

import os
import select
from typing import Any

from .. import _native
from .._object import SharedObject
from ..errors import check

__all__ = ["Doorbell"]


class Doorbell:
    """A descriptor that is readable while something can be got, as far as this process knows.

    It rings in vain when another process is faster, and is silent again after the next try. So whoever is
    called by a selector tries: `poll`, or `get` without blocking. A thread of the library sleeps for it while
    it is armed.
    """

    def __init__(self, shared: SharedObject, what: int) -> None:
        self._shared = shared
        self._what = what
        self._pid = 0
        self._fd = -1
        self._handle: _native.Handle | None = None
        self._armed = False

    def fileno(self) -> int:
        """The descriptor, armed."""
        if self._pid != os.getpid():
            self._begin()
        self.refresh()
        return self._fd

    def _begin(self) -> None:
        # A forked child would share the descriptor with its parent.
        status, handles = _native.obtain(_native.BellHandle, 1, _native.quick.shc_bell_create)
        check(status)
        answer = _native.out_fd()
        check(_native.quick.shc_bell_fd(handles[0], _native.out(answer)))
        self._handle, self._fd, self._pid = handles[0], int(answer.value), os.getpid()
        self._armed = False

    def refresh(self) -> None:
        """After something was got, or in vain: has it ring for what is there, or comes."""
        if self._pid != os.getpid() or (self._armed and not self._has_rung()):
            return
        check(_native.quick.shc_bell_clear(self._handle))
        self._armed = True
        given: Any = [(self._what, -1, self._shared._open_handle())]
        check(_native.quick.shc_bell_arm(self._handle, _native.interests(given), 1))

    def _has_rung(self) -> bool:
        # Each thread has a poll of its own.
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(0))
