"""Where objects live, how long their names stay, and how one gets to another process.

Objects without a name of the user's lie in the program's private segment, an anonymous one: there is nothing
in /dev/shm, and it is gone with the last process. A forked child has it as its parent does. One that was
spawned attaches to it when it unpickles the first object, through /proc and the sender's descriptor.

There an object has a name that only pickles know. It is taken away when nobody needs it any more, and then
the library frees the object as soon as nobody has it open:

- An object that was never pickled is held by its creator and by forks. The creator takes the name when it
  lets go; forks go on with the object.
- From the first pickle on, each process that has it holds a permit of a semaphore beside it. Who lets go
  and finds all permits there takes both names. Permits come back from the dead (`undo`).
- A handle in a pickle is kept open by the sender until the receiver has opened the object, which it tells by
  removing a token; or until the process that it was meant for has ended, or the sender.
"""

from __future__ import annotations

import itertools
import multiprocessing.context as std_context
import os
import threading
from collections import deque
from multiprocessing import util
from typing import Any, Callable, Union
from weakref import ref

from .._object import SharedObject, WeakList
from ..errors import LimitReachedError, NotFoundError, SharecellError
from ..event import Event
from ..segment import Segment
from ..semaphore import Semaphore

__all__ = ["Lease", "Place", "SegmentLike", "attach", "found", "home", "pickled", "place", "reap", "sending"]

SegmentLike = Union[Segment, str, None]

# How many permits a semaphore of holders has; those who find none rely on the others to leave the name.
_ALL = 256
# How often names that dead processes have left are looked for, in objects made.
_BETWEEN_COLLECTIONS = 512
# How many objects on their way are looked after at a time.
_AT_A_TIME = 8


class _State:
    """What this process knows; a forked child begins with its parent's."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.home: Segment | None = None
        self.private: dict[str, Segment] = {}
        self.named: dict[str, Segment] = {}
        self.descriptors: dict[str, tuple[int, int]] = {}
        self.leases = WeakList()
        self.sent: deque[_Sent] = deque()
        self.made = 0
        self.suspects: set[str] = set()
        self.begin()

    def begin(self) -> None:
        """Makes names of this process's own."""
        self.prefix = f"~{os.getpid()}.{os.urandom(4).hex()}."
        self.numbers = itertools.count()


def default_limit() -> int:
    """How large the private segment may grow, in bytes: SHARECELL_MP_LIMIT, or a quarter of the memory."""
    given = os.environ.get("SHARECELL_MP_LIMIT")
    if given:
        return int(given)
    return max(1 << 28, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4)


def default_participants() -> int:
    """How many processes may have the private segment open: SHARECELL_MP_PROCESSES, or 1000."""
    return int(os.environ.get("SHARECELL_MP_PROCESSES") or 1000)


def home() -> Segment:
    """The private segment of this program's run."""
    if _state.home is None:
        with _state.lock:
            if _state.home is None:
                segment = Segment.anonymous(limit=default_limit(), participants=default_participants())
                _state.private[segment.name] = segment
                _state.home = segment
    return _state.home


def _named_segment(segment: SegmentLike) -> Segment:
    if isinstance(segment, Segment):
        return segment
    name = segment or os.environ.get("SHARECELL_SEGMENT") or "multiprocessing"
    with _state.lock:
        known = _state.named.get(name)
        if known is None or known.closed or known.is_unlinked():
            known = Segment.open_or_create(
                name, limit=default_limit(), ephemeral=True, participants=default_participants()
            )
            _state.named[name] = known
        return known


class Place:
    """Where an object is to be: a segment, a name in it, and the lease of the name if it is private."""

    __slots__ = ("segment", "name", "lease")

    def __init__(self, segment: Segment, name: str, lease: Lease | None) -> None:
        self.segment = segment
        self.name = name
        self.lease = lease

    def make(self, create: Callable[..., Any], open_or_create: Callable[..., Any], *options: Any) -> Any:
        """Makes an object here, with one of the two verbs of its class."""
        if self.lease is None:
            return open_or_create(self.segment, self.name, *options)
        try:
            return create(self.segment, self.name, *options)
        except LimitReachedError:
            reap(everything=True)
            _collect(self.segment)
            return create(self.segment, self.name, *options)


def place(name: str | None, segment: SegmentLike) -> Place:
    """The place of a new object; with a name, that of one which may be there already."""
    if name is not None:
        return Place(_named_segment(segment), name, None)
    if segment is not None:
        raise ValueError("a segment was given, but no name to be found by in it")
    where = home()
    if _state.sent:
        reap()
    _state.made += 1
    if _state.made % _BETWEEN_COLLECTIONS == 0:
        _collect(where)
    private = f"{_state.prefix}{next(_state.numbers):x}"
    return Place(where, private, Lease(where, private))


def _remove(segment: Segment, name: str) -> None:
    try:
        segment.remove(name)
    except (NotFoundError, ValueError):
        pass


class Lease:
    """The interest of this process in the name of a private object, until nothing refers to it."""

    __slots__ = ("segment", "name", "pid", "holders", "more", "__weakref__")

    def __init__(self, segment: Segment, name: str) -> None:
        self.segment = segment
        self.name = name
        # Who takes the name away: not a fork of it.
        self.pid = os.getpid()
        self.holders: Semaphore | None = None
        # Other names that go with it.
        self.more: Callable[[], list[str]] | None = None
        _state.leases.add(self)

    def share(self) -> None:
        """From now on, or in this fork, this process is one of several that have the object."""
        if self.holders is None:
            self.holders = Semaphore.open_or_create(self.segment, self.name + "#", _ALL, undo=True)
            self._hold()
        elif self.pid != os.getpid():
            self._hold()

    def _hold(self) -> None:
        assert self.holders is not None
        self.pid = os.getpid() if self.holders.acquire(False) else 0

    def end(self) -> None:
        """Lets go of the name; who does so last takes it away."""
        if self.pid != os.getpid() or self.segment.closed:
            return
        self.pid = 0
        holders = self.holders
        if holders is not None:
            holders.release()
        else:
            # A fork may have sent it on.
            try:
                holders = Semaphore.open(self.segment, self.name + "#")
            except NotFoundError:
                pass
        if holders is None or _is_deserted(self.segment, holders):
            for name in (self.name + "#", *(self.more() if self.more else ()), self.name):
                _remove(self.segment, name)

    def __del__(self) -> None:
        try:
            self.end()
        except (SharecellError, TypeError, AttributeError):
            pass  # the interpreter or the segment is coming to its end


class _Sent:
    """A handle in a pickle, kept open until it has arrived."""

    __slots__ = ("lease", "token", "handles", "process")

    def __init__(self, lease: Lease, handles: Any) -> None:
        lease.share()
        self.lease = lease
        self.handles = handles
        self.token = f"{_state.prefix}{next(_state.numbers):x}!"
        Event.create(lease.segment, self.token).close()
        popen = std_context.get_spawning_popen()
        self.process: Any = None if popen is None else ref(popen)

    def is_over(self) -> bool:
        """Whether it has arrived, or never will."""
        if self.lease.segment.closed:
            return True
        try:
            Event.open(self.lease.segment, self.token).close()
        except NotFoundError:
            return True
        if self.process is None:
            return False
        popen = self.process()
        # One that has no pid yet is being started.
        if popen is None or (getattr(popen, "pid", None) is not None and popen.poll() is not None):
            _remove(self.lease.segment, self.token)
            return True
        return False


def sending(lease: Lease, handles: Any) -> tuple[Any, ...]:
    """Keeps `handles` open until whoever gets a pickle of the object has opened it; what the pickle says."""
    reap()
    sent = _Sent(lease, handles)
    _state.sent.append(sent)
    segment = lease.segment
    return (segment.name, os.getpid(), _descriptor(segment), lease.name, sent.token)


def _descriptor(segment: Segment) -> int:
    """A descriptor of a private segment that stays open, through which other processes attach to it."""
    fd, inode = _state.descriptors.get(segment.name, (-1, 0))
    try:
        if fd >= 0 and os.fstat(fd).st_ino == inode:
            return fd
    except OSError:
        pass  # somebody has closed it
    fd = segment.fd()
    _state.descriptors[segment.name] = (fd, os.fstat(fd).st_ino)
    return fd


def attach(key: str, pid: int, fd: int) -> Segment:
    """The private segment that a pickle of process `pid` names."""
    with _state.lock:
        segment = _state.private.get(key)
        if segment is not None:
            return segment
        path = f"/proc/{pid}/fd/{fd}"
        try:
            copy = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise NotFoundError(
                f"the sender of this object, process {pid}, cannot be reached: {error}"
            ) from None
        try:
            segment = Segment.from_fd(copy)
        finally:
            os.close(copy)
        if segment.name != key:
            segment.close()
            raise NotFoundError(f"the sender of this object, process {pid}, has gone")
        _state.private[key] = segment
        if _state.home is None:
            _state.home = segment
        return segment


def found(sent: tuple[Any, ...], open_it: Callable[[Segment, str], Any]) -> tuple[Any, Lease]:
    """Opens what a pickle names, and tells the sender so."""
    key, pid, fd, name, token = sent
    segment = attach(key, pid, fd)
    thing = open_it(segment, name)
    lease = Lease(segment, name)
    lease.share()
    _remove(segment, token)
    return thing, lease


def pickled(shared: SharedObject, lease: Lease | None, rebuild: Any, *arguments: Any) -> tuple[Any, ...]:
    """What `__reduce__` of an object returns; `rebuild` is given it as `reopened` wants it."""
    if lease is None:
        return rebuild, (None, shared.segment, shared.name, *arguments)
    return rebuild, (sending(lease, shared._open_handle()), None, None, *arguments)


def reopened(
    sent: tuple[Any, ...] | None, segment: Any, name: Any, open_it: Callable[[Segment, str], Any]
) -> tuple[Any, Lease | None]:
    """Opens what `pickled` has said."""
    if sent is None:
        return open_it(segment, name), None
    return found(sent, open_it)


def reap(everything: bool = False) -> bool:
    """Lets go of handles that have arrived; whether some are still on their way."""
    sent = _state.sent
    for _ in range(len(sent) if everything else min(len(sent), _AT_A_TIME)):
        try:
            first = sent.popleft()
        except IndexError:
            break
        if not first.is_over():
            sent.append(first)
    return bool(sent)


def _is_deserted(segment: Segment, holders: Semaphore) -> bool:
    """Whether no living process has the object."""
    if holders.get_value() == _ALL:
        return True
    segment.recover()
    return holders.get_value() == _ALL


def _collect(segment: Segment) -> None:
    """Takes away the names that dead processes have left."""
    segment.recover()
    living = {participant.pid for participant in segment.participants() if participant.alive}
    names = {info.name for info in segment.objects() if info.name.startswith("~")}
    suspects = _state.suspects
    _state.suspects = set()
    for name in names:
        # A queue's later rings have its name before a dot.
        base = ".".join(name.rstrip("#!").split(".")[:3])
        if base + "#" not in names:
            if int(base[1:].split(".")[0]) not in living:
                _remove(segment, name)
        elif name == base and _looks_deserted(segment, base):
            # Only if it did at the last time, too: somebody may be about to hold it.
            if base in suspects:
                for part in (base + "#", *(other for other in names if other.startswith(base + ".")), base):
                    _remove(segment, part)
            _state.suspects.add(base)


def _looks_deserted(segment: Segment, name: str) -> bool:
    try:
        return Semaphore.open(segment, name + "#").get_value() == _ALL
    except NotFoundError:
        return False


def _forked() -> None:
    """In a forked child: its names are its own, and what its parent has sent is its parent's."""
    _state.lock = threading.RLock()
    _state.begin()
    for lease in _state.leases.living():
        if lease.holders is not None and lease.pid:
            try:
                lease.share()
            except SharecellError:
                pass  # no seat was free for this process: using the object will say so
    _state.sent = deque()


def _leave() -> None:
    """At the end of the process."""
    for lease in _state.leases.living():
        try:
            lease.end()
        except SharecellError:
            pass
    for segment in _state.named.values():
        if not segment.closed:
            segment.__exit__()


def _leave_later(_: object) -> None:
    util.Finalize(None, _leave, exitpriority=-1000)


_state = _State()
os.register_at_fork(after_in_child=_forked)
_leave_later(None)
# A child of multiprocessing forgets all finalizers first.
util.register_after_fork(_state, _leave_later)
