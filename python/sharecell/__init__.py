"""Named values, arrays, locks of all kinds, queues and pipes in memory that processes share.

Processes in Python, C, C++ and Rust open the same object by the same name, and any of them may be killed at
any instruction without hanging, corrupting or leaking what the others use.

    import sharecell

    with sharecell.Segment.create("demo", ephemeral=True) as segment:
        jobs = sharecell.Queue.create(segment, "jobs", 64)
        done = sharecell.Value.create(segment, "done", "q")
        jobs.put(b"hello")  # in this process or any other that has opened the segment
        with jobs.recv() as job:  # delivered again, if this process is killed here
            done.add(len(job.data))

Every object has `create` (the name must be free), `open` (it must exist) and `open_or_create`, is a context
manager, can be pickled for a spawned process, and goes on working in a forked one. Timeouts are in seconds;
None waits for ever, 0 tries. Ctrl-C ends every wait.
"""

from . import _native
from ._companion import is_compiled
from ._guard import Item, Slot
from .array import Array
from .barrier import Barrier
from .condition import Condition
from .errors import (
    AlreadyExistsError,
    BrokenBarrierError,
    BufferTooSmallError,
    BusyError,
    CorruptedError,
    Empty,
    Full,
    IncompatibleError,
    InvalidArgumentError,
    InvalidHandleError,
    InvalidNameError,
    LimitReachedError,
    NoSpaceError,
    NotASegmentError,
    NotAttachedError,
    NotFoundError,
    NotHeldError,
    NotOwnerError,
    OutOfRangeError,
    OutOfResourcesError,
    PanicError,
    PermissionDeniedError,
    PoisonedError,
    RemovedError,
    SemaphoreOverflowError,
    SharecellError,
    ShutDown,
    StaleBootError,
    SystemError_,
    TableFullError,
    TooLargeError,
    UnfinishedError,
    UnsupportedError,
    ValueRangeError,
    WrongKindError,
    WrongSizeError,
    WrongTypeError,
    WrongUserError,
)
from .event import Event
from .lock import Lock, ObjectLock, RLock
from .pipe import Pipe
from .queue import Queue
from .rwlock import RwLock
from .segment import ObjectInfo, Participant, Segment, gc, names, unlink
from .select import Bell, Interest, readable, wait_any, writable
from .semaphore import BoundedSemaphore, Semaphore
from .value import Value

__version__ = _native.version()

__all__ = [
    "AlreadyExistsError",
    "Array",
    "Barrier",
    "Bell",
    "BoundedSemaphore",
    "BrokenBarrierError",
    "BufferTooSmallError",
    "BusyError",
    "Condition",
    "CorruptedError",
    "Empty",
    "Event",
    "Full",
    "IncompatibleError",
    "Interest",
    "InvalidArgumentError",
    "InvalidHandleError",
    "InvalidNameError",
    "Item",
    "LimitReachedError",
    "Lock",
    "NoSpaceError",
    "NotASegmentError",
    "NotAttachedError",
    "NotFoundError",
    "NotHeldError",
    "NotOwnerError",
    "ObjectInfo",
    "ObjectLock",
    "OutOfRangeError",
    "OutOfResourcesError",
    "PanicError",
    "Participant",
    "PermissionDeniedError",
    "Pipe",
    "PoisonedError",
    "Queue",
    "RLock",
    "RemovedError",
    "RwLock",
    "Segment",
    "Semaphore",
    "SemaphoreOverflowError",
    "SharecellError",
    "ShutDown",
    "Slot",
    "StaleBootError",
    "SystemError_",
    "TableFullError",
    "TooLargeError",
    "UnfinishedError",
    "UnsupportedError",
    "Value",
    "ValueRangeError",
    "WrongKindError",
    "WrongSizeError",
    "WrongTypeError",
    "WrongUserError",
    "gc",
    "is_compiled",
    "names",
    "readable",
    "unlink",
    "wait_any",
    "writable",
]
