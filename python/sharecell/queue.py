"""Bounded queues of byte strings."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from operator import attrgetter
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from . import _native
from ._async import until
from ._companion import fast
from ._guard import Item, Slot
from ._object import Passing, Pickling, encode_name, flat, option, patience, unsigned
from .errors import Empty, Full, ShutDown, TooLargeError

if TYPE_CHECKING:
    from .segment import Segment

__all__ = ["Item", "Queue", "Slot"]

Self = TypeVar("Self", bound="Queue")

# A longer copy does not keep other threads from running.
_LONG = 1 << 16

# How much is got from a joinable queue before the item's length is known.
_ROOM = 1024

_slow_get = _native.slow.shc_queue_get
_releases = attrgetter("releases")


@fast("Queue")
class Queue(Pickling, Passing):
    """A bounded first-in, first-out queue of byte strings, for any number of putters and getters.

    When a put has returned, the item is in the queue. An item is delivered to one get that completes. If a
    process is killed while it puts, its item was never there; if it is killed while it gets, or while it
    holds an item of `recv`, the item is delivered again, with its number unchanged.

    An exception that a signal handler raises (Ctrl-C) leaves an item that get was about to return in the
    queue, and ends what a put has not begun. As with every call, one that comes in the very moment in which
    get or put returns finds the item taken or put; who cannot bear that uses `recv`, whose item goes back.

    A joinable queue counts what was got and is not done: see `task_done` and `join`. What such a `get` has
    taken when a signal handler raises counts until this process ends.
    """

    _kind = "queue"
    _functions = ("shc_queue_put", "shc_queue_recv", "shc_queue_release")
    _maxsize: int
    _joinable: bool

    @classmethod
    def create(
        cls: type[Self],
        segment: Segment,
        name: str,
        maxsize: int = 1024,
        *,
        max_item: int | None = None,
        max_bytes: int | None = None,
        inline: int | None = None,
        joinable: bool = False,
    ) -> Self:
        """Creates a queue of up to `maxsize` items; AlreadyExistsError when the name is taken.

        `max_item` is the largest item in bytes, `max_bytes` how many bytes of items it holds in all, both as
        many as the segment admits by default. Items of up to `inline` bytes are kept in its cells (104, or
        `max_item` up to 4096), larger ones elsewhere in the segment. `task_done` and `join` are for
        `joinable` ones.
        """
        options = _options(maxsize, max_item, max_bytes, inline, joinable)
        return cls._get(segment, name, _native.slow.shc_queue_create, options)

    @classmethod
    def open(cls: type[Self], segment: Segment, name: str) -> Self:
        """Opens a queue; NotFoundError when there is none."""
        return cls._get(segment, name, _native.slow.shc_queue_open)

    @classmethod
    def open_or_create(
        cls: type[Self],
        segment: Segment,
        name: str,
        maxsize: int = 1024,
        *,
        max_item: int | None = None,
        max_bytes: int | None = None,
        inline: int | None = None,
        joinable: bool = False,
    ) -> Self:
        """Opens a queue of equal options, else WrongSizeError, or creates it."""
        options = _options(maxsize, max_item, max_bytes, inline, joinable)
        return cls._get(segment, name, _native.slow.shc_queue_open_or_create, options)

    @classmethod
    def _get(cls: type[Self], segment: Segment, name: str, verb: Any, *options: _native.QueueOptions) -> Self:
        handle = segment._obtain_one(_native.QueueHandle, verb, encode_name(name, "a queue"), *options)
        queue = cls._made(segment, name, handle)
        queue._maxsize = queue._ask(_native.quick.shc_queue_capacity, _native.out_size())
        queue._joinable = _native.quick.shc_queue_join(handle, 0) != _native.ERR_UNSUPPORTED
        return queue

    @property
    def maxsize(self) -> int:
        """How many items it holds."""
        return self._maxsize

    @property
    def joinable(self) -> bool:
        """Whether what was got and is not done is counted."""
        return self._joinable

    @property
    def max_item(self) -> int:
        """The largest item in bytes."""
        return int(self._ask(_native.quick.shc_queue_max_item, _native.out_u64()))

    @property
    def max_bytes(self) -> int | None:
        """The most bytes that may be in it; None when only items are counted."""
        answer = int(self._ask(_native.quick.shc_queue_max_bytes, _native.out_u64()))
        return None if answer == (1 << 64) - 1 else answer

    def put(self, data: Any, block: bool = True, timeout: float | None = None) -> None:
        """Puts a bytes-like object, waiting for room for up to `timeout` seconds, None for ever.

        Full when there was no room in time, ShutDown, TooLargeError; NoSpaceError or LimitReachedError when a
        large item finds no memory. On any error nothing was put.
        """
        size = len(data) if type(data) is bytes else _LONG
        if size < _LONG:
            status = self._passage.put(data, _native.sizes[size])
        else:
            data, size = _native.readable(data)
            library = _native.quick if size < _LONG else _native.slow
            status = library.shc_queue_put(self._handle, data, size, 0)
        if status == _native.WOULD_BLOCK:
            seconds = patience(block, timeout)
            if seconds != 0:
                status = self._wait([], _native.slow.shc_queue_put, seconds, (data, size))
        if status:
            self._unput(status)

    def put_nowait(self, data: Any) -> None:
        """Puts a bytes-like object if there is room; else Full."""
        self.put(data, False)

    def put_many(self, items: Iterable[Any], timeout: float | None = None) -> int:
        """Puts bytes-like objects in order, waiting for room for up to `timeout` seconds; how many were put.

        When the time has passed that is fewer than there are, and Full if none. An error that stops it half
        way has an attribute `done`, how many were put before.
        """
        return self._put_rest(list(items), timeout)

    def _put_rest(self, items: list[Any], timeout: float | None) -> int:
        """What the companion leaves of `put_many`."""
        data = flat(items)
        largest = max(map(len, data), default=0)
        if largest > self.max_item:
            raise TooLargeError(
                f"queue {self._name!r} holds items of up to {self.max_item} bytes; got {largest}"
            )
        buffers = _native.buffers(data)
        count = _native.out_size()
        library = _native.quick if sum(map(len, data)) < _LONG else _native.slow
        seconds = patience(True, timeout)
        end = None if seconds is None else monotonic() + seconds
        done = 0
        while done < len(data):
            rest = (_native.buffers_from(buffers, done), len(data) - done)
            status = library.shc_queue_put_many(self._handle, *rest, 0, _native.out(count))
            if status == _native.WOULD_BLOCK:
                left = None if end is None else end - monotonic()
                answer = (_native.out(count),)
                status = self._wait([], _native.slow.shc_queue_put_many, left, rest, answer)
            if status == _native.OK:
                done += count.value
            elif status == _native.TIMED_OUT and done:
                break
            else:
                self._unput(status, done)
        return done

    def put_object(self, obj: Any, block: bool = True, timeout: float | None = None) -> None:
        """Pickles and puts an object; as `put`."""
        self.put(self._dumps(obj), block, timeout)

    def put_objects(self, objects: Iterable[Any], timeout: float | None = None) -> int:
        """Pickles and puts objects in order; as `put_many`. If one cannot be pickled, none was put."""
        return self.put_many(list(map(self._dumps, objects)), timeout)

    def _unput(self, status: int, done: int = 0) -> NoReturn:
        try:
            if status in (_native.WOULD_BLOCK, _native.TIMED_OUT):
                raise Full
            if status == _native.CLOSED:
                raise ShutDown
            self._fail(status)
        except Exception as error:
            error.done = done  # type: ignore[attr-defined]
            raise

    def reserve(self, size: int, block: bool = True, timeout: float | None = None) -> Slot:
        """A place for an item of up to `size` bytes, to be written in place and committed.

        Waits for room as `put` does. Getters pass over it meanwhile, until the queue has gone round.
        """
        size = unsigned(size, "the size of an item", bits=63)
        library = _native.quick
        slot = Slot(self, _native.new_place(), library.shc_queue_commit, library.shc_queue_abort)
        try:
            status = library.shc_queue_reserve(self._handle, size, 0, slot._claim)
            if status == _native.WOULD_BLOCK:
                seconds = patience(block, timeout)
                if seconds != 0:
                    call = _native.slow.shc_queue_reserve
                    status = self._wait([], call, seconds, (size,), (slot._claim,))
            if status:
                self._unput(status)
            return slot
        except BaseException:
            slot._drop(library.shc_queue_abort)
            raise

    def get(self, block: bool = True, timeout: float | None = None) -> bytes:
        """Gets the oldest item, waiting for one for up to `timeout` seconds, None for ever.

        Empty when there was none in time; ShutDown when the queue is shut down and nothing is left. In a
        joinable queue say `task_done` when the work on it is done.
        """
        if self._joinable:
            return self._get_to_do(block, timeout)
        handle, passage = self._handle, self._passage
        spare = passage.spare
        taking = passage.taking()
        claim = taking.claim
        done = None
        try:
            for status in taking.tries:  # noqa: B007
                break
            if status:
                self._receive_late(status, claim, block, timeout)
            data: bytes = _native.bytes_at(claim.data, claim.len)
            # In one step, and nothing after it in which a signal handler could run.
            for done in taking.releases:  # noqa: B007
                break
            spare[taking] = None
            return data
        except BaseException:
            if done is None and claim.len != _native.FORGOTTEN:
                _put_back(handle, (claim,))
            raise

    def _get_to_do(self, block: bool, timeout: float | None) -> bytes:
        """Gets an item that counts as taken until it is done."""
        room = _native.out_bytes(_ROOM)
        size = _native.out_size()
        seconds = patience(block, timeout)
        end = None if seconds is None else monotonic() + seconds
        while True:
            status = _native.quick.shc_queue_get(self._handle, room, len(room), 0, _native.out(size))
            if status == _native.WOULD_BLOCK and seconds != 0:
                left = None if end is None else end - monotonic()
                after = (_native.out(size),)
                status = self._wait([], _slow_get, left, (room, len(room)), after)
            if status == _native.OK:
                return bytes(memoryview(room)[: size.value])
            if status != _native.ERR_BUFFER_TOO_SMALL:
                self._ungot(status)
            room = _native.out_bytes(min(4 * len(room), self.max_item))

    def get_nowait(self) -> bytes:
        """Gets the oldest item if there is one; else Empty."""
        return self.get(False)

    def get_many(self, max: int, timeout: float | None = None) -> list[bytes]:
        """Gets up to `max` items that are there, waiting for the first as `get` does."""
        room = unsigned(max, "max")
        if self._joinable:
            return self._get_many_to_do(room, timeout)
        handle, spare = self._handle, self._passage.spare
        takings: list[_native.Taking] = []
        released: list[int] = []
        try:
            data = self._gather(room, takings, timeout)
            again = dict.fromkeys(takings)
            # As in `get`.
            released += map(next, map(_releases, takings))
            spare |= again
            return data
        except BaseException:
            if not released:
                _put_back(handle, [taking.claim for taking in takings])
            raise

    def _gather(self, room: int, takings: list[_native.Taking], timeout: float | None) -> list[bytes]:
        """Takes what `get_many` returns. In CPython 3.13 no `try` has the jump back of a loop in it."""
        data: list[bytes] = []
        while len(data) < room:
            taking = self._passage.taking()
            takings.append(taking)
            for status in taking.tries:  # noqa: B007
                break
            if status and data:
                takings.pop()
                break
            if status:
                self._receive_late(status, taking.claim, True, timeout)
            data.append(_native.bytes_at(taking.claim.data, taking.claim.len))
        return data

    def _get_many_to_do(self, room: int, timeout: float | None) -> list[bytes]:
        data = [self._get_to_do(True, timeout)] if room else []
        try:
            while len(data) < room:
                data.append(self._get_to_do(False, None))
        except (Empty, ShutDown):
            pass
        return data

    def get_object(self, block: bool = True, timeout: float | None = None) -> Any:
        """Gets the oldest item, an object that was pickled; as `get`. Only from a putter that is trusted.

        One that cannot be unpickled is lost.
        """
        return self._loads(self.get(block, timeout))

    def get_objects(self, max: int, timeout: float | None = None) -> list[Any]:
        """Gets up to `max` objects that were pickled; as `get_many`. Only from putters that are trusted.

        If one cannot be unpickled, those that were got with it are lost, too.
        """
        return list(map(self._loads, self.get_many(max, timeout)))

    def recv(self, block: bool = True, timeout: float | None = None) -> Item:
        """Takes the oldest item in place, waiting for one as `get` does.

        It costs one cell of the queue until it is given back: see Item.
        """
        library = _native.quick
        claim = _native.new_claim()
        put_back = library.shc_queue_put_back
        item = Item(self, claim, library.shc_queue_release, put_back)
        try:
            self._receive(claim, block, timeout)
            return item
        except BaseException:
            item._drop(put_back)
            raise

    def _receive(self, claim: Any, block: bool, timeout: float | None) -> None:
        status = _native.quick.shc_queue_recv(self._handle, 0, claim)
        if status:
            self._receive_late(status, claim, block, timeout)

    def _receive_late(self, status: int, claim: Any, block: bool, timeout: float | None) -> None:
        """Goes on after a try that did not succeed."""
        if status == _native.WOULD_BLOCK:
            seconds = patience(block, timeout)
            if seconds != 0:
                status = self._wait([], _native.slow.shc_queue_recv, seconds, (), (claim,))
        if status:
            self._ungot(status)

    def _ungot(self, status: int) -> NoReturn:
        if status in (_native.WOULD_BLOCK, _native.TIMED_OUT):
            raise Empty
        if status == _native.CLOSED:
            raise ShutDown
        self._fail(status)

    async def get_async(self) -> bytes:
        """Gets the oldest item, as `get`, while the event loop goes on.

        A task that is cancelled has taken nothing. Closing the queue ends it with InvalidHandleError.
        """
        data: bytes = await until(self.get_nowait, Empty, self, _native.QUEUE_READABLE)
        return data

    async def recv_async(self) -> Item:
        """Takes the oldest item in place, as `recv`, while the event loop goes on; else as `get_async`."""
        item: Item = await until(partial(self.recv, False), Empty, self, _native.QUEUE_READABLE)
        return item

    async def put_async(self, data: Any) -> None:
        """Puts a bytes-like object, as `put`, while the event loop goes on.

        A task that is cancelled has put nothing.
        """
        await until(partial(self.put, data, False), Full, self, _native.QUEUE_WRITABLE)

    def task_done(self) -> None:
        """Says that an item which this process got is done, once for each get.

        One of `recv` is done when it is released, and needs no word. NotHeldError, which is a ValueError,
        when this process has got none that is not done; UnsupportedError unless the queue is joinable.
        """
        self._check(_native.quick.shc_queue_task_done(self._handle))

    def join(self, timeout: float | None = None) -> bool:
        """Waits until all that was put is done; False when it was not for `timeout` seconds, None for ever.

        What a process had got that is killed counts as done; an item of `recv` that it held is delivered
        again, and does not. UnsupportedError unless the queue is joinable.
        """
        status = _native.quick.shc_queue_join(self._handle, 0)
        if status == _native.WOULD_BLOCK:
            seconds = patience(True, timeout)
            if seconds != 0:
                status = self._wait([], _native.slow.shc_queue_join, seconds)
        if status in (_native.WOULD_BLOCK, _native.TIMED_OUT):
            return False
        self._check(status)
        return True

    def qsize(self) -> int:
        """How many items can be got at this moment."""
        return int(self._ask(_native.quick.shc_queue_qsize, _native.out_size()))

    def empty(self) -> bool:
        """Whether nothing can be got at this moment."""
        return bool(self._ask(_native.quick.shc_queue_empty, _native.out_bool()))

    def full(self) -> bool:
        """Whether a put would have to wait at this moment."""
        return bool(self._ask(_native.quick.shc_queue_full, _native.out_bool()))

    def shutdown(self) -> None:
        """Lets no more items in. Getters get what is left, then ShutDown; waiting putters get ShutDown."""
        self._check(_native.quick.shc_queue_shutdown(self._handle))

    def is_shutdown(self) -> bool:
        """Whether the queue was shut down."""
        return bool(self._ask(_native.quick.shc_queue_is_shutdown, _native.out_bool()))


def _put_back(handle: Any, claims: Iterable[Any]) -> None:
    for claim in claims:
        if claim.len != _native.FORGOTTEN:
            _native.quick.shc_queue_put_back(handle, claim)


def _options(
    maxsize: int, max_item: int | None, max_bytes: int | None, inline: int | None, joinable: bool
) -> _native.QueueOptions:
    return _native.queue_options(
        unsigned(maxsize, "maxsize", minimum=1),
        option(max_item, "max_item"),
        option(max_bytes, "max_bytes"),
        option(inline, "inline"),
        _native.QUEUE_JOINABLE if joinable else 0,
    )
