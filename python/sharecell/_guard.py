"""Items and places of queues and pipes, used where they lie."""

from __future__ import annotations

import os
from functools import partial
from itertools import starmap
from typing import TYPE_CHECKING, Any

from . import _native
from .errors import InvalidArgumentError, NotHeldError, check

if TYPE_CHECKING:
    from ._object import SharedObject


class _Guard:
    """Gives a claim back once. The library writes into the claim: then it is held, until it is forgotten."""

    __slots__ = ("_shared", "_handle", "_claim", "_view", "_pid", "_undo", "__weakref__")

    def __init__(self, shared: SharedObject, claim: Any, undo: Any) -> None:
        self._claim = claim
        self._undo = _native.Undo((partial(undo, shared._handle, claim),))
        self._view: memoryview | None = None
        self._shared = shared
        self._handle = shared._handle
        self._pid = os.getpid()

    def _is_held(self) -> bool:
        return bool(self._claim.len != _native.FORGOTTEN)

    def _held(self) -> Any:
        if not self._is_held():
            raise NotHeldError("it was given back already")
        return self._claim

    def _memory(self) -> memoryview:
        claim = self._held()
        if self._view is None:
            exporter = _native.memory(self._handle, claim.data, claim.len)
            self._view = memoryview(exporter).cast("B")
        return self._view

    def _finish(self, call: Any, *rest: Any) -> None:
        claim = self._held()
        outcome: list[int] = []
        try:
            # In one step, so that no exception can come between giving back and knowing it.
            outcome += starmap(call, ((self._handle, claim, *rest),))
        finally:
            if outcome:
                claim.len = _native.FORGOTTEN
        self._let_go()
        check(outcome[0])

    def _let_go(self) -> None:
        self._handle = None
        view, self._view = self._view, None
        if view is not None:
            try:
                view.release()
            except BufferError:
                pass

    def _drop(self, call: Any, *rest: Any) -> None:
        """As `_finish`, if there is anything to finish: a forked child holds nothing of its parent's."""
        if self._is_held() and self._pid == os.getpid():
            self._finish(call, *rest)

    def __len__(self) -> int:
        return int(self._held().len)

    def __bool__(self) -> bool:
        return True


class Item(_Guard):
    """An item that was taken and is read where it lies.

    Leaving its `with` block is the receipt: the item is done with. If the block ends with an exception, the
    item is put back and somebody gets it again, with its number unchanged and its deliveries counted. The
    same happens if the process dies, or nothing refers to an item that was not given back.

    Views made from `data` must not be used after that: other bytes will be there. Threads may share an
    item; in a forked child it is the parent's and does nothing.
    """

    __slots__ = ("_release", "_put_back")

    def __init__(self, shared: SharedObject, claim: Any, release: Any, put_back: Any) -> None:
        self._release = release
        self._put_back = put_back
        super().__init__(shared, claim, put_back)

    @property
    def data(self) -> memoryview:
        """Its bytes in place, read-only."""
        return self._memory().toreadonly()

    @property
    def number(self) -> int:
        """Its number: unique in its queue, and the same at each delivery."""
        return int(self._claim.number)

    @property
    def deliveries(self) -> int:
        """How often it was delivered, this time included."""
        return int(self._claim.deliveries)

    def release(self) -> None:
        """Gives the item back: it is done with. NotHeldError if it was given back already."""
        self._finish(self._release)

    def put_back(self) -> None:
        """Gives the item back undone: somebody else gets it. NotHeldError if it was given back already."""
        self._finish(self._put_back)

    def __bytes__(self) -> bytes:
        return self._memory().tobytes()

    def __enter__(self) -> Item:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        self._drop(self._release if kind is None else self._put_back)


class Slot(_Guard):
    """A place in a queue or pipe that is being written.

    Leaving its `with` block commits it, unless that was done already; an exception aborts it, and so does
    the process's death, or dropping it. Views made from `data` must not be written to after that. Threads may
    share it; in a forked child it is the parent's and does nothing.
    """

    __slots__ = ("_commit", "_abort")

    def __init__(self, shared: SharedObject, claim: Any, commit: Any, abort: Any) -> None:
        self._commit = commit
        self._abort = abort
        super().__init__(shared, claim, abort)

    @property
    def data(self) -> memoryview:
        """Its bytes in place, to be written; what is in them at first is arbitrary."""
        return self._memory()

    def commit(self, size: int | None = None) -> None:
        """Puts the first `size` bytes, or all. NotHeldError if it was committed or aborted already."""
        room = len(self)
        if size is None:
            size = room
        elif not 0 <= size <= room:
            raise InvalidArgumentError(f"{room} bytes were reserved; got {size} to commit")
        self._finish(self._commit, size)

    def abort(self) -> None:
        """Gives the place back: nothing was put. NotHeldError if it was committed or aborted already."""
        self._finish(self._abort)

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if kind is not None:
            self._drop(self._abort)
        elif self._is_held():
            self._drop(self._commit, len(self))
