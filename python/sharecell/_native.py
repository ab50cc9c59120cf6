"""The C ABI of the library: the only module that knows ctypes.

The library is loaded twice. `slow` releases the interpreter during a call: for what waits, or calls the
operating system. `quick` keeps it: for tries and other calls that take less time than releasing it would.
Both are filled from one table of prototypes, which covers all of `include/sharecell.h`.
"""

from __future__ import annotations

import ctypes
import os
import sys
from ctypes import POINTER, c_bool, c_char, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint32
from ctypes import c_uint64 as c_uint64
from ctypes import c_void_p as c_void_p
from functools import cache, partial
from itertools import repeat, starmap
from operator import itemgetter
from pathlib import Path
from typing import Any, ClassVar, cast

ABI_VERSION = 1

# Outcomes; what is negative is an error, of which `errors` has the table.
OK = 0
WOULD_BLOCK = 1
TIMED_OUT = 2
INTERRUPTED = 3
CLOSED = 4
OWNER_DIED = 5
BROKEN = 6
ERR_BUSY = -24
ERR_UNSUPPORTED = -25
ERR_INVALID_HANDLE = -32
ERR_BUFFER_TOO_SMALL = -33

END_A = 0
END_B = 1
PIPE_SIMPLEX = 1
QUEUE_JOINABLE = 1
SEMAPHORE_BOUNDED = 1
SEMAPHORE_UNDO = 2
SEGMENT_EPHEMERAL = 1
SEGMENT_ANY_USER = 2
QUEUE_READABLE = 1
QUEUE_WRITABLE = 2
PIPE_READABLE = 3
PIPE_WRITABLE = 4
EVENT_SET = 5
SEMAPHORE_FREE = 6
LOCK_FREE = 7
FD_READABLE = 8
FD_WRITABLE = 9
KINDS = {
    1: "value",
    2: "array",
    3: "lock",
    4: "semaphore",
    5: "queue",
    6: "pipe",
    7: "rlock",
    8: "condition",
    9: "event",
    10: "barrier",
    11: "rwlock",
}


class Type(ctypes.Structure):
    """shc_type: what elements are."""

    _fields_ = [("typecode", c_uint32), ("align", c_uint32), ("size", c_uint64), ("name", c_char_p)]


class SegmentOptions(ctypes.Structure):
    """shc_segment_options."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("limit", c_uint64),
        ("wait_ns", c_uint64),
        ("mode", c_uint32),
        ("participants", c_uint32),
        ("flags", c_uint32),
        ("reserved", c_uint32),
    ]


class QueueOptions(ctypes.Structure):
    """shc_queue_options."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("capacity", c_uint64),
        ("max_item", c_uint64),
        ("max_bytes", c_uint64),
        ("inline_bytes", c_uint64),
        ("flags", c_uint32),
        ("reserved", c_uint32),
    ]


class PipeOptions(ctypes.Structure):
    """shc_pipe_options."""

    _fields_ = [
        ("struct_size", c_size_t),
        ("capacity", c_uint64),
        ("inline_bytes", c_uint64),
        ("flags", c_uint32),
        ("reserved", c_uint32),
    ]


class Claim(ctypes.Structure):
    """shc_item: an item that was taken, if its `len` is not FORGOTTEN."""

    _fields_ = [
        ("data", c_void_p),
        ("len", c_size_t),
        ("number", c_uint64),
        ("deliveries", c_uint32),
        ("reserved", c_uint32),
        ("claim", c_uint64 * 2),
    ]


class Place(ctypes.Structure):
    """shc_slot: a place that is being written, if its `len` is not FORGOTTEN."""

    _fields_ = [("data", c_void_p), ("len", c_size_t), ("claim", c_uint64 * 2)]


# The library finds no claim of this length to be held, whatever else is in it.
FORGOTTEN = (1 << 63) - 1


def new_claim() -> Claim:
    """Room for an item, in which there is none."""
    return Claim(None, FORGOTTEN)


def new_place() -> Place:
    """Room for a place, in which there is none."""
    return Place(None, FORGOTTEN)


class Buffer(ctypes.Structure):
    """shc_buffer: bytes to be put."""

    _fields_ = [("data", c_void_p), ("len", c_size_t)]


class Interest(ctypes.Structure):
    """shc_interest: something to wait for."""

    _fields_ = [("what", c_uint32), ("fd", c_int32), ("object", c_void_p)]


class ObjectInfo(ctypes.Structure):
    """shc_object_info."""

    _fields_ = [
        ("name", c_char * 136),
        ("kind", c_uint32),
        ("typecode", c_uint32),
        ("element_size", c_uint64),
        ("count", c_uint64),
    ]


class ParticipantInfo(ctypes.Structure):
    """shc_participant_info."""

    _fields_ = [
        ("label", c_uint32),
        ("pid", c_uint32),
        ("start_time", c_uint64),
        ("command", c_char * 24),
        ("alive", c_bool),
    ]


class SegmentInfo(ctypes.Structure):
    """shc_segment_info."""

    _fields_ = [("name", c_char * 256)]


# What shc_barrier_wait_with and the like call.
Action = ctypes.CFUNCTYPE(c_bool, c_void_p)

# What shc_queue_get_with and shc_pipe_recv_with call.
Take = ctypes.CFUNCTYPE(c_bool, c_void_p, c_void_p, c_size_t)

_Status = c_int32
_P = c_void_p
_Name = c_char_p
_OutP = POINTER(c_void_p)
_OutBool = POINTER(c_bool)
_OutSize = POINTER(c_size_t)
_OutU32 = POINTER(c_uint32)
_OutU64 = POINTER(c_uint64)
_OutI64 = POINTER(c_int64)
_OutDouble = POINTER(c_double)
_OutFd = POINTER(c_int32)
_Type = POINTER(Type)
_Claim = POINTER(Claim)
_Place = POINTER(Place)
_SegmentOptions = POINTER(SegmentOptions)
_QueueOptions = POINTER(QueueOptions)
_PipeOptions = POINTER(PipeOptions)
_Buffers = POINTER(Buffer)
_ObjectInfos = POINTER(ObjectInfo)
_ParticipantInfos = POINTER(ParticipantInfo)
_SegmentInfos = POINTER(SegmentInfo)
_Interests = POINTER(Interest)

# Of each function what it returns, then what it takes.
PROTOTYPES: dict[str, tuple[Any, ...]] = {
    "shc_abi_version": (c_uint32,),
    "shc_layout_version": (c_uint32,),
    "shc_version": (c_char_p,),
    "shc_last_error": (_Status, _Name, c_size_t),
    "shc_array_create": (_Status, _P, _Name, _Type, c_size_t, _OutP),
    "shc_array_open": (_Status, _P, _Name, _Type, _OutP),
    "shc_array_open_or_create": (_Status, _P, _Name, _Type, c_size_t, _OutP),
    "shc_array_close": (_Status, _P),
    "shc_array_len": (_Status, _P, _OutSize),
    "shc_array_element_size": (_Status, _P, _OutSize),
    "shc_array_read": (_Status, _P, c_size_t, _P, c_size_t),
    "shc_array_write": (_Status, _P, c_size_t, _P, c_size_t),
    "shc_array_fill": (_Status, _P, c_size_t, c_size_t, _P, c_size_t),
    "shc_array_address": (_Status, _P, _OutP),
    "shc_array_get_text": (_Status, _P, _P, c_size_t, _OutSize),
    "shc_array_set_text": (_Status, _P, _P, c_size_t),
    "shc_array_lock": (_Status, _P, c_int64),
    "shc_array_unlock": (_Status, _P),
    "shc_barrier_create": (_Status, _P, _Name, c_uint32, _OutP),
    "shc_barrier_open": (_Status, _P, _Name, _OutP),
    "shc_barrier_open_or_create": (_Status, _P, _Name, c_uint32, _OutP),
    "shc_barrier_close": (_Status, _P),
    "shc_barrier_wait": (_Status, _P, c_int64, _OutSize),
    "shc_barrier_wait_with": (_Status, _P, c_int64, Action, _P, _OutSize),
    "shc_barrier_abort": (_Status, _P),
    "shc_barrier_reset": (_Status, _P),
    "shc_barrier_parties": (_Status, _P, _OutSize),
    "shc_barrier_n_waiting": (_Status, _P, _OutSize),
    "shc_barrier_is_broken": (_Status, _P, _OutBool),
    "shc_condition_create": (_Status, _P, _Name, _OutP),
    "shc_condition_open": (_Status, _P, _Name, _OutP),
    "shc_condition_open_or_create": (_Status, _P, _Name, _OutP),
    "shc_condition_close": (_Status, _P),
    "shc_condition_acquire": (_Status, _P, c_int64),
    "shc_condition_release": (_Status, _P),
    "shc_condition_wait": (_Status, _P, c_int64),
    "shc_condition_wait_for": (_Status, _P, c_int64, Action, _P, _OutBool),
    "shc_condition_notify": (_Status, _P, c_size_t),
    "shc_condition_waiters": (_Status, _P, _OutSize),
    "shc_event_create": (_Status, _P, _Name, _OutP),
    "shc_event_open": (_Status, _P, _Name, _OutP),
    "shc_event_open_or_create": (_Status, _P, _Name, _OutP),
    "shc_event_close": (_Status, _P),
    "shc_event_set": (_Status, _P),
    "shc_event_clear": (_Status, _P),
    "shc_event_is_set": (_Status, _P, _OutBool),
    "shc_event_wait": (_Status, _P, c_int64),
    "shc_lock_create": (_Status, _P, _Name, _OutP),
    "shc_lock_open": (_Status, _P, _Name, _OutP),
    "shc_lock_open_or_create": (_Status, _P, _Name, _OutP),
    "shc_lock_close": (_Status, _P),
    "shc_lock_acquire": (_Status, _P, c_int64),
    "shc_lock_acquire_or_repair": (_Status, _P, c_int64, Action, _P),
    "shc_lock_release": (_Status, _P),
    "shc_lock_poison": (_Status, _P),
    "shc_lock_is_poisoned": (_Status, _P, _OutBool),
    "shc_lock_clear_poison": (_Status, _P, _OutBool),
    "shc_lock_holder": (_Status, _P, _OutU32),
    "shc_pipe_create": (_Status, _P, _Name, _PipeOptions, _OutP, _OutP),
    "shc_pipe_open": (_Status, _P, _Name, c_uint32, _OutP),
    "shc_pipe_open_or_create": (_Status, _P, _Name, c_uint32, _PipeOptions, _OutP),
    "shc_pipe_close": (_Status, _P),
    "shc_pipe_send": (_Status, _P, _P, c_size_t, c_int64),
    "shc_pipe_recv": (_Status, _P, _P, c_size_t, c_int64, _OutSize),
    "shc_pipe_recv_with": (_Status, _P, c_int64, Take, _P, _OutBool),
    "shc_pipe_recv_in_place": (_Status, _P, c_int64, _Claim),
    "shc_pipe_release": (_Status, _P, _Claim),
    "shc_pipe_put_back": (_Status, _P, _Claim),
    "shc_pipe_reserve": (_Status, _P, c_size_t, c_int64, _Place),
    "shc_pipe_commit": (_Status, _P, _Place, c_size_t),
    "shc_pipe_abort": (_Status, _P, _Place),
    "shc_pipe_poll": (_Status, _P, c_int64, _OutBool),
    "shc_pipe_can_send": (_Status, _P, _OutBool),
    "shc_pipe_can_recv": (_Status, _P, _OutBool),
    "shc_pipe_is_duplex": (_Status, _P, _OutBool),
    "shc_queue_create": (_Status, _P, _Name, _QueueOptions, _OutP),
    "shc_queue_open": (_Status, _P, _Name, _OutP),
    "shc_queue_open_or_create": (_Status, _P, _Name, _QueueOptions, _OutP),
    "shc_queue_close": (_Status, _P),
    "shc_queue_put": (_Status, _P, _P, c_size_t, c_int64),
    "shc_queue_put_many": (_Status, _P, _Buffers, c_size_t, c_int64, _OutSize),
    "shc_queue_get": (_Status, _P, _P, c_size_t, c_int64, _OutSize),
    "shc_queue_get_many": (_Status, _P, _P, c_size_t, _OutSize, c_size_t, c_int64, _OutSize),
    "shc_queue_get_with": (_Status, _P, c_size_t, c_int64, Take, _P, _OutSize),
    "shc_queue_recv": (_Status, _P, c_int64, _Claim),
    "shc_queue_release": (_Status, _P, _Claim),
    "shc_queue_put_back": (_Status, _P, _Claim),
    "shc_queue_reserve": (_Status, _P, c_size_t, c_int64, _Place),
    "shc_queue_commit": (_Status, _P, _Place, c_size_t),
    "shc_queue_abort": (_Status, _P, _Place),
    "shc_queue_qsize": (_Status, _P, _OutSize),
    "shc_queue_empty": (_Status, _P, _OutBool),
    "shc_queue_full": (_Status, _P, _OutBool),
    "shc_queue_capacity": (_Status, _P, _OutSize),
    "shc_queue_max_item": (_Status, _P, _OutU64),
    "shc_queue_max_bytes": (_Status, _P, _OutU64),
    "shc_queue_task_done": (_Status, _P),
    "shc_queue_join": (_Status, _P, c_int64),
    "shc_queue_shutdown": (_Status, _P),
    "shc_queue_is_shutdown": (_Status, _P, _OutBool),
    "shc_rlock_create": (_Status, _P, _Name, _OutP),
    "shc_rlock_open": (_Status, _P, _Name, _OutP),
    "shc_rlock_open_or_create": (_Status, _P, _Name, _OutP),
    "shc_rlock_close": (_Status, _P),
    "shc_rlock_acquire": (_Status, _P, c_int64),
    "shc_rlock_release": (_Status, _P),
    "shc_rlock_holder": (_Status, _P, _OutU32),
    "shc_rwlock_create": (_Status, _P, _Name, _OutP),
    "shc_rwlock_open": (_Status, _P, _Name, _OutP),
    "shc_rwlock_open_or_create": (_Status, _P, _Name, _OutP),
    "shc_rwlock_close": (_Status, _P),
    "shc_rwlock_acquire_read": (_Status, _P, c_int64),
    "shc_rwlock_acquire_write": (_Status, _P, c_int64),
    "shc_rwlock_release_read": (_Status, _P),
    "shc_rwlock_release_write": (_Status, _P),
    "shc_segment_create": (_Status, _Name, _SegmentOptions, _OutP),
    "shc_segment_open": (_Status, _Name, _SegmentOptions, _OutP),
    "shc_segment_open_or_create": (_Status, _Name, _SegmentOptions, _OutP),
    "shc_segment_create_anonymous": (_Status, _SegmentOptions, _OutP),
    "shc_segment_to_fd": (_Status, _P, _OutFd),
    "shc_segment_from_fd": (_Status, c_int32, _OutP),
    "shc_segment_send_over": (_Status, _P, c_int32),
    "shc_segment_receive_over": (_Status, c_int32, _OutP),
    "shc_segment_create_over": (_Status, _Name, _P, c_size_t, _SegmentOptions, _OutP),
    "shc_segment_open_over": (_Status, _Name, _P, c_size_t, _SegmentOptions, _OutP),
    "shc_segment_open_or_create_over": (_Status, _Name, _P, c_size_t, _SegmentOptions, _OutP),
    "shc_segment_unlink": (_Status, _Name),
    "shc_segment_close": (_Status, _P),
    "shc_segment_name": (_Status, _P, _Name, c_size_t),
    "shc_segment_limit": (_Status, _P, _OutU64),
    "shc_segment_size": (_Status, _P, _OutU64),
    "shc_segment_is_unlinked": (_Status, _P, _OutBool),
    "shc_segment_is_anonymous": (_Status, _P, _OutBool),
    "shc_segment_is_ephemeral": (_Status, _P, _OutBool),
    "shc_segment_remove": (_Status, _P, _Name),
    "shc_segment_recover": (_Status, _P, _OutSize),
    "shc_segment_objects": (_Status, _P, _ObjectInfos, c_size_t, _OutSize),
    "shc_segment_participants": (_Status, _P, _ParticipantInfos, c_size_t, _OutSize),
    "shc_segment_names": (_Status, _SegmentInfos, c_size_t, _OutSize),
    "shc_gc": (_Status, _OutSize),
    "shc_wait_any": (_Status, _Interests, c_size_t, c_int64, _OutBool),
    "shc_bell_create": (_Status, _OutP),
    "shc_bell_close": (_Status, _P),
    "shc_bell_fd": (_Status, _P, _OutFd),
    "shc_bell_arm": (_Status, _P, _Interests, c_size_t),
    "shc_bell_clear": (_Status, _P),
    "shc_semaphore_create": (_Status, _P, _Name, c_uint32, _OutP),
    "shc_semaphore_create_with": (_Status, _P, _Name, c_uint32, c_uint32, _OutP),
    "shc_semaphore_open_or_create_with": (_Status, _P, _Name, c_uint32, c_uint32, _OutP),
    "shc_semaphore_open": (_Status, _P, _Name, _OutP),
    "shc_semaphore_open_or_create": (_Status, _P, _Name, c_uint32, _OutP),
    "shc_semaphore_close": (_Status, _P),
    "shc_semaphore_acquire": (_Status, _P, c_int64),
    "shc_semaphore_release": (_Status, _P, c_uint32),
    "shc_semaphore_value": (_Status, _P, _OutU32),
    "shc_value_create": (_Status, _P, _Name, _Type, _P, _OutP),
    "shc_value_open": (_Status, _P, _Name, _Type, _OutP),
    "shc_value_open_or_create": (_Status, _P, _Name, _Type, _P, _OutP),
    "shc_value_close": (_Status, _P),
    "shc_value_size": (_Status, _P, _OutSize),
    "shc_value_get": (_Status, _P, _P, c_size_t),
    "shc_value_set": (_Status, _P, _P, c_size_t),
    "shc_value_exchange": (_Status, _P, _P, c_size_t, _P),
    "shc_value_compare_exchange": (_Status, _P, _P, _P, c_size_t, _P, _OutBool),
    "shc_value_add_int": (_Status, _P, c_int64, _OutI64),
    "shc_value_add_float": (_Status, _P, c_double, _OutDouble),
    "shc_value_address": (_Status, _P, _OutP),
    "shc_value_lock": (_Status, _P, c_int64),
    "shc_value_unlock": (_Status, _P),
}


def library_path() -> Path:
    """Where the shared library is."""
    named = os.environ.get("SHARECELL_LIBRARY")
    path = Path(named) if named else Path(__file__).with_name("libsharecell.so")
    if path.is_file():
        return path
    if named:
        raise ImportError(f"SHARECELL_LIBRARY is {named}, which is no file: run `make build`, or correct it")
    raise ImportError(
        f"the shared library of sharecell is not at {path}: run `make build` in a checkout, and set "
        "SHARECELL_LIBRARY to the libsharecell.so that it made; or install a wheel, which brings it along"
    )


def _declare(library: ctypes.CDLL) -> None:
    for name, (result, *arguments) in PROTOTYPES.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"{library._name} has no {name}: it is older than this package") from None
        function.restype = result
        function.argtypes = arguments


_IS_CPYTHON = sys.implementation.name == "cpython"


def _load() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    path = library_path()
    try:
        slow = ctypes.CDLL(str(path))
        # PyPy has no way of calling that keeps the interpreter.
        quick = ctypes.PyDLL(str(path)) if _IS_CPYTHON else slow
    except OSError as error:
        raise ImportError(f"the shared library of sharecell cannot be loaded: {error}") from error
    try:
        version = slow.shc_abi_version()
    except AttributeError:
        raise ImportError(f"{path} is no library of sharecell") from None
    if version != ABI_VERSION:
        raise ImportError(f"{path} has version {version} of the ABI, this package needs {ABI_VERSION}")
    _declare(slow)
    _declare(quick)
    return slow, quick


slow, quick = _load()


def addresses(names: tuple[str, ...]) -> tuple[int, ...]:
    """Where the functions of the library are, for who calls them from C."""
    return tuple(map(_address, names))


@cache
def _address(name: str) -> int:
    return ctypes.cast(quick[name], c_void_p).value or 0


def version() -> str:
    """The library's version."""
    return str(quick.shc_version().decode())


def last_error() -> str:
    """The sentence of this thread's last error."""
    text = ctypes.create_string_buffer(1024)
    quick.shc_last_error(text, len(text))
    return text.value.decode(errors="replace")


class SegmentHandle(c_void_p):
    """A handle to a segment, closed when nothing refers to it any more.

    The library writes into this very object, so that no exception can come between opening and knowing.
    """

    # What keeps memory mapped that was given for the segment.
    memory: Any = None

    def close(self, _close: Any = slow.shc_segment_close) -> int:
        """Closes it now, unless it is busy."""
        status: int = _close(self)
        if status == OK:
            self.value = self.memory = None
        return status

    def __del__(self, _busy: int = ERR_BUSY) -> None:
        if self.value is not None and self.close() == _busy:
            later = _LaterHandle(self.value)
            later.memory = self.memory
            _close_later(later)


class _LaterHandle(c_void_p):
    """A segment that is closed after its objects."""

    memory: Any = None


class Handle(int):
    """A handle to an object, closed when nothing refers to it any more: no call, no view, no guard."""

    __slots__ = ()
    _close: ClassVar[Any] = None


# Calls `close` with the object, from C: what a signal handler raises in a finalizer of Python's is lost.
def _finalizer(close: Any) -> Any:
    return property(partial(partial, close))


class ValueHandle(Handle):
    """Of a value."""

    __slots__ = ()
    _close = slow.shc_value_close
    __del__ = _finalizer(_close)


class ArrayHandle(Handle):
    """Of an array."""

    __slots__ = ()
    _close = slow.shc_array_close
    __del__ = _finalizer(_close)


class LockHandle(Handle):
    """Of a lock."""

    __slots__ = ()
    _close = slow.shc_lock_close
    __del__ = _finalizer(_close)


class SemaphoreHandle(Handle):
    """Of a semaphore."""

    __slots__ = ()
    _close = slow.shc_semaphore_close
    __del__ = _finalizer(_close)


class QueueHandle(Handle):
    """Of a queue."""

    __slots__ = ()
    _close = slow.shc_queue_close
    __del__ = _finalizer(_close)


class PipeHandle(Handle):
    """Of an end of a pipe."""

    __slots__ = ()
    _close = slow.shc_pipe_close
    __del__ = _finalizer(_close)


class RLockHandle(Handle):
    """Of a reentrant lock."""

    __slots__ = ()
    _close = slow.shc_rlock_close
    __del__ = _finalizer(_close)


class RwLockHandle(Handle):
    """Of a reader-writer lock."""

    __slots__ = ()
    _close = slow.shc_rwlock_close
    __del__ = _finalizer(_close)


class ConditionHandle(Handle):
    """Of a condition."""

    __slots__ = ()
    _close = slow.shc_condition_close
    __del__ = _finalizer(_close)


class EventHandle(Handle):
    """Of an event."""

    __slots__ = ()
    _close = slow.shc_event_close
    __del__ = _finalizer(_close)


class BarrierHandle(Handle):
    """Of a barrier."""

    __slots__ = ()
    _close = slow.shc_barrier_close
    __del__ = _finalizer(_close)


class BellHandle(Handle):
    """Of a bell."""

    __slots__ = ()
    _close = slow.shc_bell_close
    __del__ = _finalizer(_close)


class Undo(tuple[Any]):
    """Calls what it holds when nothing refers to it any more."""

    __slots__ = ()
    __del__ = property(itemgetter(0))


# Segments that were let go of while objects of theirs were open.
_waiting: list[c_void_p] = []


def _close_later(segment: c_void_p) -> None:
    _waiting.append(segment)
    _after_closing(_close_waiting)


def _close_waiting(status: int) -> int:
    """Runs after each closing of an object, as long as a segment waits for that."""
    for _ in range(len(_waiting)):
        try:
            segment = _waiting.pop()
        except IndexError:
            break
        if slow.shc_segment_close(segment) == ERR_BUSY:
            _waiting.append(segment)
    if not _waiting:
        _after_closing(_Status)
    return status


def _after_closing(result: Any) -> None:
    for kind in Handle.__subclasses__():
        kind._close.restype = result


# Keeps the garbage collector from finalizing a handle of a cycle before what still looks at a view of it.
_untrack: Any = bool
if _IS_CPYTHON:
    _untrack = ctypes.PYFUNCTYPE(None, ctypes.py_object)(("PyObject_GC_UnTrack", ctypes.pythonapi))


def obtain(kind: type[Handle], count: int, call: Any) -> tuple[int, list[Handle]]:
    """The status of `call`, which is given `count` places for handles, and the handles if it is OK."""
    places = [c_void_p() for _ in range(count)]
    made: list[Handle] = []
    try:
        status: int = call(*map(ctypes.byref, places))
        if status == OK:
            # In one step: an exception finds either the places or the handles to be closed.
            made += map(kind, [place.value for place in places])
            for handle in made:
                _untrack(handle)
        return status, made
    except BaseException:
        for place in places:
            if place.value is not None and not made:
                kind._close(place)
        raise


out = ctypes.byref


# Places for functions to write one thing to.
out_bool: Any = c_bool
out_size: Any = c_size_t
out_u32: Any = c_uint32
out_u64: Any = c_uint64
out_i64: Any = c_int64
out_double: Any = c_double
out_address: Any = c_void_p
out_fd: Any = c_int32


def out_bytes(size: int) -> Any:
    """A place for a function to write bytes to; its `raw` has them."""
    return ctypes.create_string_buffer(size)


def object_infos(count: int) -> Any:
    """Room for `count` objects."""
    return (ObjectInfo * count)()


def participant_infos(count: int) -> Any:
    """Room for `count` participants."""
    return (ParticipantInfo * count)()


def segment_infos(count: int) -> Any:
    """Room for the names of segments."""
    return (SegmentInfo * count)()


def segment_options(limit: int, wait_ns: int, mode: int, participants: int, flags: int) -> SegmentOptions:
    """Options with their size set."""
    size = ctypes.sizeof(SegmentOptions)
    return SegmentOptions(size, limit, wait_ns, mode, participants, flags, 0)


def queue_options(capacity: int, max_item: int, max_bytes: int, inline: int, flags: int) -> QueueOptions:
    """Options with their size set."""
    return QueueOptions(ctypes.sizeof(QueueOptions), capacity, max_item, max_bytes, inline, flags, 0)


def pipe_options(capacity: int, inline: int, flags: int) -> PipeOptions:
    """Options with their size set."""
    return PipeOptions(ctypes.sizeof(PipeOptions), capacity, inline, flags, 0)


def interests(given: list[tuple[int, int, Handle | None]]) -> Any:
    """What to wait for, each with its descriptor and its handle, which must outlive it."""
    return (Interest * len(given))(*starmap(Interest, given))


def answers(count: int) -> Any:
    """Room for `count` answers, yes or no."""
    return (c_bool * count)()


class _Pointee(ctypes.Structure):
    """What a handle points to; it keeps the handle open."""

    handle: Any = None


def _pointer(handle: Handle) -> Any:
    """A handle as an argument that needs no conversion, and no memory at each call."""
    pointee = _Pointee.from_address(int(handle))
    pointee.handle = handle
    return ctypes.byref(pointee)


class _Ignored:
    """The type of arguments that a function ignores: `callable` takes anything, and calls nothing of it."""

    from_param = callable


class _Always:
    """The type of an argument in whose place, whatever it is, another one is passed."""

    __slots__ = ("from_param",)

    def __init__(self, argument: Any) -> None:
        # Of `next` this is the iterator, and what is given is the default, for its end.
        self.from_param = partial(next, repeat(argument))


class Found:
    """What the last acquire of a lock has found."""

    __slots__ = ("owner_died",)

    def __init__(self) -> None:
        self.owner_died = False


class Binding:
    """How a lock is taken and given back, with the least that a foreign call costs. It keeps its handle open.

    Declared types of arguments would cost as much as the call, and so would arguments that are made for it:
    these are made once.
    """

    __slots__ = ("tries", "gives", "leave", "found")

    def __init__(self, handle: Handle, found: Found, take: str, give: str, fail: Any, *rest: int) -> None:
        pointer = _pointer(handle)
        more = tuple(map(c_uint32.from_param, rest))
        # Endless: each step is a call, and gives its status. A `for` over it knows that in the same moment.
        self.tries: Any = starmap(_undeclared(take), repeat((pointer, _AT_ONCE)))
        self.gives: Any = starmap(_undeclared(give), repeat((pointer, *more)))
        # For the end of a `with` block.
        self.leave: Any = _leaving(give, (pointer, *more), fail)
        self.found = found

    def shut(self, refuse: Any) -> None:
        """Calls `refuse` from now on, but at the end of a `with` block that has begun."""
        self.tries = self.gives = starmap(refuse, repeat(()))
        self.leave = refuse


def endless(handle: Handle, name: str, size: int) -> Any:
    """Calls a function with a size at each step, as those of a binding."""
    return starmap(_undeclared(name), repeat((_pointer(handle), c_size_t.from_param(size))))


class Taking:
    """A claim, how an item is taken into it, and how it is given back done."""

    __slots__ = ("claim", "tries", "releases")

    def __init__(self, pointer: Any, take: str, release: str) -> None:
        self.claim: Any = new_claim()
        place = ctypes.byref(self.claim)
        # As those of a binding.
        self.tries: Any = starmap(_undeclared(take), repeat((pointer, _AT_ONCE, place)))
        self.releases: Any = starmap(_undeclared(release), repeat((pointer, place)))


class Passage:
    """How items go into a queue or pipe and come out, with the least that foreign calls cost.

    It keeps its handle open, and so does each taking.
    """

    __slots__ = ("put", "spare", "_new")

    def __init__(self, handle: Handle, put: str, take: str, release: str) -> None:
        pointer = _pointer(handle)
        give = _undeclared(put)
        # A try, given bytes and their length as a size.
        self.put: Any = lambda data, size: give(pointer, data, size, _AT_ONCE)
        # Takings that nobody uses: `popitem` is one step, and so is storing one.
        self.spare: dict[Taking, None] = {}
        self._new: Any = partial(Taking, pointer, take, release)

    def shut(self, refuse: Any) -> None:
        """Calls `refuse` from now on."""
        self.put = self._new = refuse
        self.spare = {}

    def taking(self) -> Taking:
        """One that nobody uses, in which there is nothing."""
        try:
            taking, _ = self.spare.popitem()
        except KeyError:
            return cast(Taking, self._new())
        taking.claim.len = FORGOTTEN
        return taking


class _Sizes(dict[int, Any]):
    """Lengths as arguments that need no conversion."""

    def __missing__(self, size: int) -> Any:
        made = c_size_t.from_param(size)
        if size < 1024:
            self[size] = made
        return made


sizes = _Sizes()

_AT_ONCE = c_int64.from_param(0)


@cache
def _undeclared(name: str) -> Any:
    function = quick[name]
    function.restype = _Status
    return function


def _leaving(name: str, arguments: tuple[Any, ...], fail: Any) -> Any:
    """A function that takes the three arguments of `__exit__`, and calls another with those given here.

    A `with` block calls it directly: no signal handler runs before it, as one would at the start of a method.
    """
    # By its address: a function that is found by its name refers to itself, and so would keep a handle open.
    function: Any = quick._FuncPtr(_address(name))
    function.argtypes = [*map(_Always, arguments), *repeat(_Ignored, 3 - len(arguments))]
    function.restype = _results(fail)
    return function


@cache
def _results(fail: Any) -> Any:
    """Makes nothing of OK, and gives all else to `fail`."""
    return type("_Results", (dict,), {"__missing__": staticmethod(fail)})({OK: None}).__getitem__


# Copies `size` bytes at an address: a C function, so that no signal handler runs in between.
bytes_at: Any = ctypes.string_at
if _IS_CPYTHON:
    bytes_at = ctypes.PYFUNCTYPE(ctypes.py_object, c_void_p, c_size_t)(
        ("PyBytes_FromStringAndSize", ctypes.pythonapi)
    )

copy = ctypes.memmove


def memory(handle: Handle | None, address: int | None, size: int) -> Any:
    """The bytes at an address, as an exporter of buffers that keeps `handle` open."""
    kind = c_char * size
    exporter: Any = kind.from_address(address) if address and size else kind()
    exporter._handle = handle
    return exporter


def readable(data: Any) -> tuple[Any, int]:
    """What `quick` and `slow` take for the address of a bytes-like object, and its length.

    Bytes and what is writable are not copied.
    """
    if isinstance(data, bytes):
        return data, len(data)
    view = memoryview(data)
    if not view.c_contiguous or view.readonly or view.nbytes == 0:
        copied = view.tobytes()
        return copied, len(copied)
    return (c_char * view.nbytes).from_buffer(view.cast("B")), view.nbytes


def writable(view: memoryview) -> Any:
    """What `quick` and `slow` take for the address of a writable, contiguous view of bytes."""
    return (c_char * view.nbytes).from_buffer(view)


def buffers(items: list[bytes]) -> Any:
    """A list of buffers; `items` must outlive it."""
    array = (Buffer * len(items))()
    words = memoryview(array).cast("B").cast("Q")
    words[0::2] = memoryview((c_char_p * len(items))(*items)).cast("B").cast("Q")
    words[1::2] = memoryview((c_uint64 * len(items))(*map(len, items))).cast("B").cast("Q")
    return array


def buffers_from(array: Any, index: int) -> Any:
    """The part of a list of buffers that begins at an index."""
    return ctypes.byref(array[0], index * ctypes.sizeof(Buffer))


class PlainData:
    """A ctypes type whose instances lie in shared memory as they are."""

    def __init__(self, ctype: Any) -> None:
        self.ctype = ctype
        self.name: str = ctype.__name__
        self.size = ctypes.sizeof(ctype)

    def encode(self, value: Any) -> bytes:
        """The bytes of an instance; a tuple stands for the instance that it makes."""
        if isinstance(value, tuple):
            value = self.ctype(*value)
        if not isinstance(value, self.ctype):
            raise TypeError(f"a {self.name} is needed, not {type(value).__name__}")
        return bytes(value)

    def decode(self, data: Any) -> Any:
        """An instance of its own with these bytes."""
        return self.ctype.from_buffer_copy(data)


_SIMPLE = type(ctypes.c_int)
_DATA: tuple[Any, ...] = (ctypes.Structure, ctypes.Union, ctypes.Array)


def typecode_of(ctype: Any) -> str | None:
    """The typecode of a simple ctypes type as ctypes has it, else None."""
    return ctype._type_ if isinstance(ctype, _SIMPLE) and isinstance(ctype._type_, str) else None


def size_of(ctype: Any) -> int:
    """The size of a ctypes type in bytes."""
    return ctypes.sizeof(ctype)


def is_simple(thing: Any) -> bool:
    """Whether it is a number or character of ctypes."""
    return isinstance(type(thing), _SIMPLE)


def is_array(ctype: Any) -> bool:
    """Whether it is an array type of ctypes."""
    return isinstance(ctype, type) and issubclass(ctype, ctypes.Array)


def plain_data(ctype: Any) -> PlainData | None:
    """A ctypes type without pointers, else None."""
    return PlainData(ctype) if _is_plain(ctype) else None


def _is_plain(ctype: Any) -> bool:
    if not isinstance(ctype, type):
        return False
    if issubclass(ctype, ctypes.Array):
        return _is_plain(ctype._type_) or _is_number(ctype._type_)
    if not issubclass(ctype, _DATA):
        return False
    fields = [field for base in ctype.__mro__ for field in getattr(base, "_fields_", ())]
    return bool(fields) and all(_is_plain(field[1]) or _is_number(field[1]) for field in fields)


def _is_number(ctype: Any) -> bool:
    code = typecode_of(ctype)
    return code is not None and code in "cbBhHiIlLqQfd?"


def type_of(typecode: str | None, data: PlainData | None) -> Type:
    """As the library takes it."""
    if data is not None:
        return Type(0, ctypes.alignment(data.ctype), data.size, data.name.encode())
    return Type(ord(typecode or "\0"), 0, 0, None)
