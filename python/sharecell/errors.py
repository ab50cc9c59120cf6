"""The errors of the library: a class for each status, which is also the builtin that one would expect.

`code` is the number of the status in C. Outcomes that are no errors in C have Python's own forms: a lock or
a semaphore that is not acquired gives False, a queue `queue.Full`, `queue.Empty` and `ShutDown`, a pipe
`TimeoutError`, `EOFError` and `BrokenPipeError`.
"""

from __future__ import annotations

import errno
import queue as _queue
import threading as _threading
from typing import ClassVar, NoReturn

from . import _native

__all__ = [
    "AlreadyExistsError",
    "BrokenBarrierError",
    "BufferTooSmallError",
    "BusyError",
    "CorruptedError",
    "Empty",
    "Full",
    "IncompatibleError",
    "InvalidArgumentError",
    "InvalidHandleError",
    "InvalidNameError",
    "LimitReachedError",
    "NoSpaceError",
    "NotASegmentError",
    "NotAttachedError",
    "NotFoundError",
    "NotHeldError",
    "NotOwnerError",
    "OutOfRangeError",
    "OutOfResourcesError",
    "PanicError",
    "PermissionDeniedError",
    "PoisonedError",
    "RemovedError",
    "SemaphoreOverflowError",
    "SharecellError",
    "ShutDown",
    "StaleBootError",
    "SystemError_",
    "TableFullError",
    "TooLargeError",
    "UnfinishedError",
    "UnsupportedError",
    "ValueRangeError",
    "WrongKindError",
    "WrongSizeError",
    "WrongTypeError",
    "WrongUserError",
]

Empty = _queue.Empty
Full = _queue.Full


class SharecellError(Exception):
    """Any error of the library."""

    code: ClassVar[int] = 0


class InvalidArgumentError(SharecellError, ValueError):
    """An argument makes no sense by itself."""

    code = -1


class InvalidNameError(SharecellError, ValueError):
    """A name that no segment or object can have."""

    code = -2


class NotFoundError(SharecellError, FileNotFoundError):
    """Nothing has that name."""

    code = -3


class AlreadyExistsError(SharecellError, FileExistsError):
    """Something has that name already."""

    code = -4


class WrongKindError(SharecellError, TypeError):
    """The object of that name is of another kind."""

    code = -5


class WrongTypeError(SharecellError, TypeError):
    """The object has another typecode or element type."""

    code = -6


class WrongSizeError(SharecellError, ValueError):
    """The object has another length, capacity or limit."""

    code = -7


class IncompatibleError(SharecellError):
    """The segment has another layout version, byte order, word size or lock protocol."""

    code = -8


class NotASegmentError(SharecellError):
    """The file is not a segment."""

    code = -9


class UnfinishedError(SharecellError):
    """The segment's creator died before it was complete."""

    code = -10


class CorruptedError(SharecellError):
    """The segment's content contradicts itself."""

    code = -12


class PermissionDeniedError(SharecellError, PermissionError):
    """The operating system refused access."""

    code = -13


class WrongUserError(SharecellError, PermissionError):
    """The file belongs to another user."""

    code = -14


class NoSpaceError(SharecellError, OSError, MemoryError):
    """The memory of the machine that backs segments is exhausted."""

    code = -15


class LimitReachedError(SharecellError, MemoryError):
    """The segment has reached the limit that it was created with."""

    code = -16


class TooLargeError(SharecellError, ValueError):
    """The item is larger than the object admits."""

    code = -17


class OutOfRangeError(SharecellError, IndexError):
    """The index is outside the array."""

    code = -18


class ValueRangeError(SharecellError, OverflowError, ValueError):
    """The value cannot be represented in the typecode."""

    code = -19


class NotHeldError(SharecellError, ValueError):
    """What was to be released is not held."""

    code = -20


class NotOwnerError(SharecellError, RuntimeError):
    """What was to be released is held by another process."""

    code = -21


class NotAttachedError(SharecellError, RuntimeError):
    """This process has no seat in the segment: a raw clone made it, or no seat was free at its fork."""

    code = -22


class TableFullError(SharecellError, OSError):
    """All participants' seats are taken."""

    code = -23


class BusyError(SharecellError, BufferError):
    """Handles, guards or views are still in use."""

    code = -24


class UnsupportedError(SharecellError, OSError):
    """The kernel, the file system or this end of a pipe cannot do that."""

    code = -25


class RemovedError(SharecellError, FileNotFoundError):
    """The object was removed."""

    code = -26


class OutOfResourcesError(SharecellError, OSError):
    """A descriptor, mapping or similar resource of the process ran out."""

    code = -27


class SystemError_(SharecellError, OSError):
    """Any other error of the operating system."""

    code = -28


class PanicError(SharecellError, RuntimeError):
    """A defect of the library, stopped at its border."""

    code = -29


class SemaphoreOverflowError(SharecellError, ValueError):
    """The semaphore would exceed its maximum."""

    code = -30


class StaleBootError(SharecellError):
    """The segment was made before the machine was last started."""

    code = -31


class InvalidHandleError(SharecellError, ValueError):
    """The object was closed."""

    code = -32


class BufferTooSmallError(SharecellError, ValueError):
    """The buffer is too small for what is to be written to it."""

    code = -33


class PoisonedError(SharecellError, RuntimeError):
    """Somebody has declared what the lock protects to be beyond repair."""

    code = -34


class BrokenBarrierError(SharecellError, _threading.BrokenBarrierError):
    """The barrier is broken: a party was killed, gave up or aborted it."""

    code = 6


try:
    ShutDown: type[Exception] = _queue.ShutDown  # type: ignore[attr-defined, unused-ignore]
except AttributeError:

    class _ShutDown(Exception):
        """The queue was shut down: nothing more can be put, or nothing is left to be got."""

    _ShutDown.__name__ = _ShutDown.__qualname__ = "ShutDown"
    ShutDown = _ShutDown

_CLASSES: dict[int, type[SharecellError]] = {cls.code: cls for cls in SharecellError.__subclasses__()}

_ERRNO = {
    -3: errno.ENOENT,
    -4: errno.EEXIST,
    -13: errno.EACCES,
    -14: errno.EACCES,
    -15: errno.ENOSPC,
    -23: errno.EUSERS,
    -25: errno.EOPNOTSUPP,
    -26: errno.ENOENT,
    -27: errno.EMFILE,
}


def fail(status: int) -> NoReturn:
    """Raises the error that a call of this thread has just returned."""
    if status == _native.ERR_INVALID_HANDLE:
        raise InvalidHandleError("it is closed")
    # No local variable keeps the error: with its traceback it would keep the handles of all callers alive.
    raise _made(status)


def _made(status: int) -> SharecellError:
    error = _CLASSES.get(status, SharecellError)(_native.last_error())
    if status in _ERRNO and isinstance(error, OSError):
        error.errno = _ERRNO[status]
    return error


def check(status: int) -> None:
    """Raises what a call returned, unless it is 0."""
    if status != 0:
        fail(status)
