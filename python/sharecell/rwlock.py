"""Locks that many read under and one writes under."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _native
from ._object import Nameable, bound
from .lock import ObjectLock, ReadLock, WriteLock

if TYPE_CHECKING:
    from .segment import Segment

__all__ = ["RwLock"]


class RwLock(Nameable):
    """A lock that any number of readers hold together, or one writer alone. Not recursive.

    `with lock.read():` and `with lock.write():` acquire and release it. Readers do not starve a writer: those
    that come while one waits stand behind it. A process owns what it holds; any of its threads may release
    it. A reader that is killed is forgotten; if a writer is killed, those who acquire the lock next find
    `owner_died` true, until a writer releases it in good order.
    """

    _kind, _called, _handles = "rwlock", "a reader-writer lock", _native.RwLockHandle
    _read: ReadLock
    _write: WriteLock

    @classmethod
    def _made(cls, segment: Segment, name: str, handle: _native.Handle) -> RwLock:
        lock = super()._made(segment, name, handle)
        found = _native.Found()
        read = bound(handle, found, "shc_rwlock_acquire_read", "shc_rwlock_release_read")
        write = bound(handle, found, "shc_rwlock_acquire_write", "shc_rwlock_release_write")
        lock._read, lock._write = ReadLock(lock, read), WriteLock(lock, write)
        return lock

    def _let_go(self) -> None:
        super()._let_go()
        self._read._let_go()
        self._write._let_go()

    @property
    def owner_died(self) -> bool:
        """Whether the last acquire found that a writer had died in it; as of Lock."""
        return self._read.owner_died

    def read(self) -> ObjectLock:
        """The readers' side, for a `with` block."""
        return self._read

    def write(self) -> ObjectLock:
        """The writers' side, for a `with` block."""
        return self._write

    def acquire_read(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquires it with other readers; whether that was possible in `timeout` seconds, None for ever."""
        return self._read.acquire(block, timeout)

    def acquire_write(self, block: bool = True, timeout: float | None = None) -> bool:
        """Acquires it alone; whether that was possible in `timeout` seconds, None for ever."""
        return self._write.acquire(block, timeout)

    def release_read(self) -> None:
        """Releases it after reading. NotHeldError when this process does not read."""
        self._check(_native.quick.shc_rwlock_release_read(self._handle))

    def release_write(self) -> None:
        """Releases it after writing. NotHeldError when nobody writes, NotOwnerError when others do."""
        self._check(_native.quick.shc_rwlock_release_write(self._handle))

    # `with` would not say which side.
    def __enter__(self) -> RwLock:
        raise TypeError("use `with lock.read():` or `with lock.write():`")
