"""Objects as messages: pickles, with large buffers beside them.

A message is a pickle as it is, or, when the object has large buffers (arrays of NumPy's, say, by protocol 5
of pickle), a head, the pickle, and the buffers at multiples of 64 bytes. Buffers are copied once when they
are sent. Who receives gets copies of its own, or views of the shared memory, which is given back with the
last.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
from functools import partial
from itertools import starmap
from multiprocessing.reduction import ForkingPickler
from typing import Any, Callable, Union

from .. import _native

__all__ = ["PLAIN", "Frame", "Message", "dumps", "load_copied", "loads", "take"]

# No pickle of protocol 2 or later begins with it.
_MAGIC = 1
_MARK = bytes([_MAGIC])
_HEAD = struct.Struct("<BxxxIQ")
_ALIGNMENT = 64
# Smaller buffers are better off in the pickle.
_LARGE = 1 << 14
# Longer messages are unpickled where they lie.
_LONG = 1 << 14

# What the companion has a shorter way for.
PLAIN = frozenset((int, float, bool, str, bytes, type(None)))

loads = pickle.loads


class _Pickler(pickle.Pickler):
    """A ForkingPickler that leaves large buffers out."""

    def __init__(self, file: io.BytesIO, buffers: list[memoryview]) -> None:
        def keep(buffer: pickle.PickleBuffer) -> bool:
            raw = buffer.raw()
            if raw.nbytes < _LARGE:
                return True
            buffers.append(raw)
            return False

        super().__init__(file, 5, buffer_callback=keep)
        self.dispatch_table = _reducers()


def _reducers() -> dict[Any, Any]:
    """What ForkingPickler makes of types, in one dictionary: a ChainMap is slow."""
    own: dict[Any, Any] = ForkingPickler._extra_reducers  # type: ignore[attr-defined]
    known = _known
    if known.sizes != (len(own), len(copyreg.dispatch_table)):
        _known.table = {**copyreg.dispatch_table, **own}
        _known.sizes = (len(own), len(copyreg.dispatch_table))
    return known.table


class _Known:
    table: dict[Any, Any] = {}
    sizes: tuple[int, int] = (-1, -1)


_known = _Known()


class Frame:
    """A message with buffers beside its pickle."""

    __slots__ = ("size", "_parts")

    def __init__(self, data: Any, buffers: list[memoryview]) -> None:
        lengths = [buffer.nbytes for buffer in buffers]
        head = _HEAD.pack(_MAGIC, len(buffers), len(data)) + struct.pack(f"<{len(buffers)}Q", *lengths)
        self._parts: list[tuple[int, Any]] = [(0, head), (len(head), data)]
        end = len(head) + len(data)
        for buffer in buffers:
            at = _aligned(end)
            self._parts.append((at, buffer))
            end = at + buffer.nbytes
        self.size = end

    def write(self, memory: memoryview) -> None:
        """Writes it into as many bytes as its size says."""
        for at, part in self._parts:
            memory[at : at + len(part)] = part


Message = Union[bytes, memoryview, Frame]


def dumps(obj: Any) -> Message:
    """An object as a message."""
    file = io.BytesIO()
    buffers: list[memoryview] = []
    _Pickler(file, buffers).dump(obj)
    return Frame(file.getbuffer(), buffers) if buffers else file.getvalue()


def _aligned(end: int) -> int:
    return -(-end // _ALIGNMENT) * _ALIGNMENT


def _is_frame(memory: memoryview) -> bool:
    return len(memory) > 0 and memory[0] == _MAGIC


def _pieces(memory: memoryview) -> tuple[memoryview, list[memoryview]]:
    """The pickle and the buffers of a frame."""
    _, count, size = _HEAD.unpack_from(memory)
    lengths = struct.unpack_from(f"<{count}Q", memory, _HEAD.size)
    at = _HEAD.size + 8 * count
    data = memory[at : at + size]
    end = at + size
    buffers = []
    for length in lengths:
        at = _aligned(end)
        buffers.append(memory[at : at + length])
        end = at + length
    return data, buffers


def _load_frame(memory: memoryview, own: Callable[[memoryview], Any]) -> Any:
    data, buffers = _pieces(memory)
    return pickle.loads(data, buffers=[own(buffer) for buffer in buffers])


def load_copied(data: bytes) -> Any:
    """The object of a message that was copied out."""
    return _load_frame(memoryview(data), bytearray) if data[:1] == _MARK else loads(data)


def take(
    handle: Any, receive: Callable[[Any], None], release: Any, put_back: Any, in_place: bool = False
) -> Any:
    """The object of a message that `receive` claims.

    With `in_place` its large buffers are read-only views; the message is released with the last of them, and
    delivered again if the process dies before that.
    """
    claim = _native.new_claim()
    released: list[int] = []
    try:
        receive(claim)
        if claim.len >= _LONG:
            return _take_long(handle, claim, release, in_place)
        data = _native.bytes_at(claim.data, claim.len)
        # In one step: an exception of a signal handler finds the message either taken or put back.
        released += starmap(release, ((handle, claim),))
    except BaseException:
        if not released and claim.len != _native.FORGOTTEN:
            put_back(handle, claim)
        raise
    return load_copied(data)


def _take_long(handle: Any, claim: Any, release: Any, in_place: bool) -> Any:
    exporter = _native.memory(handle, claim.data, claim.len)
    memory = memoryview(exporter).cast("B").toreadonly()
    if in_place and _is_frame(memory):
        # Released when no view refers to the memory any more.
        exporter._hold = _native.Undo((partial(_release, release, handle, claim),))
        return _load_frame(memory, _as_it_is)
    try:
        return _load_frame(memory, bytearray) if _is_frame(memory) else pickle.loads(memory)
    finally:
        _release(release, handle, claim)


def _release(release: Any, handle: Any, claim: Any) -> None:
    release(handle, claim)
    claim.len = _native.FORGOTTEN


def _as_it_is(memory: memoryview) -> memoryview:
    return memory
