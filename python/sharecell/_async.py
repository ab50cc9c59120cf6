"""Waiting in an event loop: a try, a bell that rings when it is worth another one."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Callable

from . import _native
from .errors import check

if TYPE_CHECKING:
    from ._object import SharedObject


async def until(attempt: Callable[[], Any], refusal: type[Exception], shared: SharedObject, what: int) -> Any:
    """What `attempt` returns as soon as it does not raise `refusal`, tried whenever `what` may be true.

    Nothing is awaited after a successful try: a task that is cancelled has taken nothing.
    """
    try:
        return attempt()
    except refusal:
        pass
    bell = _Bell(shared, what)
    try:
        while True:
            await bell.rings()
            try:
                return attempt()
            except refusal:
                pass
    finally:
        bell.close()


class _Bell:
    """A descriptor in the running loop that becomes readable when an object may be ready."""

    def __init__(self, shared: SharedObject, what: int) -> None:
        self._loop = asyncio.get_running_loop()
        status, handles = _native.obtain(_native.BellHandle, 1, _native.quick.shc_bell_create)
        check(status)
        self._handle: _native.Handle | None = handles[0]
        self._object = shared._open_handle()
        self._interests = _native.interests([(what, -1, self._object)])
        answer = _native.out_fd()
        check(_native.quick.shc_bell_fd(self._handle, _native.out(answer)))
        self._fd = int(answer.value)

    async def rings(self) -> None:
        """Arms it and waits until it has rung, maybe in vain; it is silent after that."""
        future = self._loop.create_future()
        self._loop.add_reader(self._fd, _settle, future)
        try:
            check(_native.quick.shc_bell_arm(self._handle, self._interests, 1))
            await future
        finally:
            self._loop.remove_reader(self._fd)
            check(_native.quick.shc_bell_clear(self._handle))

    def close(self) -> None:
        """Closes it now."""
        self._handle = None


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
