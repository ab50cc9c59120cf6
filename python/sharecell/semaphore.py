"""Counting semaphores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from . import _native
from ._async import until
from ._companion import fast
from ._object import Bound, encode_name, unsigned
from .lock import Acquirable

if TYPE_CHECKING:
    from .segment import Segment

__all__ = ["BoundedSemaphore", "Semaphore"]

Self = TypeVar("Self", bound="Semaphore")

_release = _native.quick.shc_semaphore_release


@fast("Semaphore")
class Semaphore(Acquirable, Bound):
    """A counting semaphore for threads of any number of processes.

    `with semaphore:` acquires and releases a permit (and does not close it). Anybody may release, also
    without having acquired. A process that is killed does not give back what it had acquired, unless the
    semaphore was created with `undo`: then permits are owned by processes, those of one that is killed come
    back, and only who holds a permit can release it.
    """

    _kind = "semaphore"
    _flags = 0
    _wait_for = _native.slow.shc_semaphore_acquire
    _functions = ("shc_semaphore_acquire", "shc_semaphore_release", 1)

    @classmethod
    def create(cls: type[Self], segment: Segment, name: str, value: int = 1, *, undo: bool = False) -> Self:
        """Creates a semaphore with a first value; AlreadyExistsError when the name is taken."""
        verb = _native.slow.shc_semaphore_create_with
        return cls._get(segment, name, verb, _initial(value), cls._flags_with(undo))

    @classmethod
    def open(cls: type[Self], segment: Segment, name: str) -> Self:
        """Opens a semaphore, bounded and with undo as it was created; NotFoundError when there is none."""
        return cls._get(segment, name, _native.slow.shc_semaphore_open)

    @classmethod
    def open_or_create(
        cls: type[Self], segment: Segment, name: str, value: int = 1, *, undo: bool = False
    ) -> Self:
        """Opens a semaphore of the same kind, or creates it with a first value."""
        verb = _native.slow.shc_semaphore_open_or_create_with
        return cls._get(segment, name, verb, _initial(value), cls._flags_with(undo))

    @classmethod
    def _flags_with(cls, undo: bool) -> int:
        return cls._flags | (_native.SEMAPHORE_UNDO if undo else 0)

    @classmethod
    def _get(cls: type[Self], segment: Segment, name: str, verb: Any, *options: int) -> Self:
        what = encode_name(name, "a semaphore")
        handle = segment._obtain_one(_native.SemaphoreHandle, verb, what, *options)
        return cls._made(segment, name, handle)

    def release(self, n: int = 1) -> None:
        """Adds `n` permits. SemaphoreOverflowError, with nothing added, beyond its maximum.

        That is 2147483647, or the first value of a bounded semaphore. NotHeldError for one with undo when
        this process does not hold as many.
        """
        # The companion has no binding, and never asks for this.
        if type(n) is int and n == 1:
            status = next(self._bound.gives)
        else:
            status = _release(self._handle, unsigned(n, "n", minimum=1, bits=32))
        if status:
            self._fail(status)

    def get_value(self) -> int:
        """The value at this moment."""
        return int(self._ask(_native.quick.shc_semaphore_value, _native.out_u32()))

    async def acquire_async(self) -> bool:
        """Acquires a permit while the event loop goes on; always true. A task that is cancelled has none."""
        return bool(await until(self._acquire_now, BlockingIOError, self, _native.SEMAPHORE_FREE))

    def _acquire_now(self) -> bool:
        if not self.acquire(False):
            raise BlockingIOError
        return True


class BoundedSemaphore(Semaphore):
    """A semaphore whose value never exceeds the first one: releasing once too often is an error.

    All else is as for Semaphore.
    """

    _flags = _native.SEMAPHORE_BOUNDED


def _initial(value: int) -> int:
    return unsigned(value, "the value of a semaphore", bits=32)
