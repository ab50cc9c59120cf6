"""Locks that many read under and one writes under."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import _native
from ._object import SharedObject, encode_name
from .lock import ObjectLock, ReadLock, WriteLock

if TYPE_CHECKING:
    from .segment import Segment

__all__ = ["RwLock"]


class RwLock(SharedObject):
    """A lock that any number of readers hold together, or one writer alone. Not recursive.

    `with lock.read():` and `with lock.write():` acquire and release it. Readers do not starve a writer: those
    that come while one waits stand behind it. A process owns what it holds; any of its threads may release
    it. A reader that is killed is forgotten; if a writer is killed, those who acquire the lock next find
    `owner_died` true, until a writer releases it in good order.
    """

    _kind = "rwlock"
    # Of each side that was used, how it is taken and given back.
    _bindings: dict[tuple[str, str], _native.Binding]

    @classmethod
    def create(cls, segment: Segment, name: str) -> RwLock:
        """Creates a reader-writer lock; AlreadyExistsError when the name is taken."""
        return cls._get(segment, name, _native.slow.shc_rwlock_create)

    @classmethod
    def open(cls, segment: Segment, name: str) -> RwLock:
        """Opens a reader-writer lock; NotFoundError when there is none."""
        return cls._get(segment, name, _native.slow.shc_rwlock_open)

    @classmethod
    def open_or_create(cls, segment: Segment, name: str) -> RwLock:
        """Opens a reader-writer lock, or creates it."""
        return cls._get(segment, name, _native.slow.shc_rwlock_open_or_create)

    @classmethod
    def _get(cls, segment: Segment, name: str, verb: Any) -> RwLock:
        handle = segment._obtain_one(_native.RwLockHandle, verb, encode_name(name, "a reader-writer lock"))
        lock = cls._made(segment, name, handle)
        lock._bindings = {}
        return lock

    def _let_go(self) -> None:
        super()._let_go()
        self._bindings = {}

    @property
    def owner_died(self) -> bool:
        """Whether the last acquire found that a writer had died in it; as of Lock."""
        return self._owner_died

    def read(self) -> ObjectLock:
        """The readers' side, for a `with` block."""
        return ReadLock(self)

    def write(self) -> ObjectLock:
        """The writers' side, for a `with` block."""
        return WriteLock(self)

    def acquire_read(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquires it with other readers; whether that was possible in `timeout` seconds, None for ever."""
        return self.read().acquire(block, timeout)

    def acquire_write(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquires it alone; whether that was possible in `timeout` seconds, None for ever."""
        return self.write().acquire(block, timeout)

    def release_read(self) -> None:
        """Releases it after reading. NotHeldError when this process does not read."""
        self._check(_native.quick.shc_rwlock_release_read(self._handle))

    def release_write(self) -> None:
        """Releases it after writing. NotHeldError when nobody writes, NotOwnerError when others do."""
        self._check(_native.quick.shc_rwlock_release_write(self._handle))

    # `with` would not say which side.
    def __enter__(self) -> RwLock:
        raise TypeError("use `with lock.read():` or `with lock.write():`")
