"""Pipes: messages in one or both directions."""

from __future__ import annotations

from functools import partial
from itertools import starmap
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from . import _native
from ._async import until
from ._companion import fast
from ._guard import Item, Slot
from ._object import SLICE_NS, Passing, Pickling, encode_name, option, patience, unsigned
from .errors import BufferTooSmallError, InvalidArgumentError

if TYPE_CHECKING:
    from .segment import Segment

__all__ = ["Pipe"]

Self = TypeVar("Self", bound="Pipe")

# A longer copy does not keep other threads from running.
_LONG = 1 << 16

_release = _native.quick.shc_pipe_release
_put_back = _native.quick.shc_pipe_put_back

_ENDS = {"A": _native.END_A, "B": _native.END_B}


@fast("Pipe")
class Pipe(Pickling, Passing):
    """One end of a pipe, A or B. Of a simplex pipe, A receives and B sends.

    Several threads and processes may use an end at once; a message goes to one of those who receive. A
    message is there whole or not at all, whoever is killed, and one that a killed receiver had taken goes
    to the next receiver of that end. When nobody holds the other end any more, because it was closed or its
    holders died, receiving raises EOFError after the last message, and sending BrokenPipeError. A forked
    child holds the end as well.

    Ctrl-C and other exceptions of signal handlers leave no message lost, as with Queue.
    """

    _kind = "pipe"
    _functions = ("shc_pipe_send", "shc_pipe_recv_in_place", "shc_pipe_release")
    _end: str
    _readable: bool
    _writable: bool

    @classmethod
    def create(
        cls: type[Self],
        segment: Segment,
        name: str,
        duplex: bool = True,
        *,
        capacity: int | None = None,
        inline: int | None = None,
    ) -> tuple[Self, Self]:
        """Creates a pipe and opens both of its ends, A and B; AlreadyExistsError when the name is taken.

        `capacity` is how many messages may be under way in a direction (256). Messages of up to `inline`
        bytes are kept in its cells (104), larger ones elsewhere in the segment.
        """
        options = _options(duplex, capacity, inline)
        verb, what = _native.slow.shc_pipe_create, encode_name(name, "a pipe")
        _, (a, b) = segment._obtain(_native.PipeHandle, verb, what, options, count=2)
        return cls._over(segment, name, a, "A"), cls._over(segment, name, b, "B")

    @classmethod
    def open(cls: type[Self], segment: Segment, name: str, end: str) -> Self:
        """Opens end "A" or "B" of a pipe.

        NotFoundError when there is no pipe; BrokenPipeError when the other side has already seen the
        end-of-file of this end.
        """
        return cls._get(segment, name, end, _native.slow.shc_pipe_open)

    @classmethod
    def open_or_create(
        cls: type[Self],
        segment: Segment,
        name: str,
        end: str,
        duplex: bool = True,
        *,
        capacity: int | None = None,
        inline: int | None = None,
    ) -> Self:
        """Opens one end of a pipe, which must have been created with equal options, or creates the pipe."""
        options = _options(duplex, capacity, inline)
        return cls._get(segment, name, end, _native.slow.shc_pipe_open_or_create, options)

    @classmethod
    def _get(
        cls: type[Self], segment: Segment, name: str, end: str, verb: Any, *options: _native.PipeOptions
    ) -> Self:
        if end not in _ENDS:
            raise InvalidArgumentError(f'an end of a pipe is "A" or "B"; got {end!r}')
        what = encode_name(name, "a pipe")
        status, handles = segment._obtain(_native.PipeHandle, verb, what, _ENDS[end], *options)
        if status == _native.CLOSED:
            raise BrokenPipeError(f"end {end} of pipe {name!r} was closed for good")
        return cls._over(segment, name, handles[0], end)

    @classmethod
    def _over(cls: type[Self], segment: Segment, name: str, handle: _native.Handle, end: str) -> Self:
        pipe = cls._made(segment, name, handle)
        pipe._end = end
        pipe._readable = pipe._ask(_native.quick.shc_pipe_can_recv, _native.out_bool())
        pipe._writable = pipe._ask(_native.quick.shc_pipe_can_send, _native.out_bool())
        return pipe

    def _restore_arguments(self) -> tuple[Any, ...]:
        return (self._end,)

    @property
    def end(self) -> str:
        """Which end it is, "A" or "B"."""
        return self._end

    @property
    def duplex(self) -> bool:
        """Whether messages go both ways."""
        return bool(self._ask(_native.quick.shc_pipe_is_duplex, _native.out_bool()))

    @property
    def readable(self) -> bool:
        """Whether this end can receive."""
        return self._readable

    @property
    def writable(self) -> bool:
        """Whether this end can send."""
        return self._writable

    def send_bytes(self, data: Any, timeout: float | None = None) -> None:
        """Sends a bytes-like object, waiting for room for up to `timeout` seconds, None for ever.

        TimeoutError; BrokenPipeError when the other end was opened and nobody holds it any more;
        UnsupportedError at an end that only receives. On any error nothing was sent.
        """
        size = len(data) if type(data) is bytes else _LONG
        if size < _LONG:
            status = self._passage.put(data, _native.sizes[size])
        else:
            data, size = _native.readable(data)
            library = _native.quick if size < _LONG else _native.slow
            status = library.shc_pipe_send(self._handle, data, size, 0)
        if status == _native.WOULD_BLOCK:
            seconds = patience(True, timeout)
            if seconds != 0:
                status = self._wait([], _native.slow.shc_pipe_send, seconds, (data, size))
        if status:
            self._unsent(status)

    def send(self, obj: Any, timeout: float | None = None) -> None:
        """Pickles and sends an object; as `send_bytes`."""
        self.send_bytes(self._dumps(obj), timeout)

    def reserve(self, size: int, timeout: float | None = None) -> Slot:
        """A place for a message of up to `size` bytes, to be written and committed; as `send_bytes`."""
        size = unsigned(size, "the size of a message", bits=63)
        library = _native.quick
        slot = Slot(self, _native.new_place(), library.shc_pipe_commit, library.shc_pipe_abort)
        try:
            status = library.shc_pipe_reserve(self._handle, size, 0, slot._claim)
            if status == _native.WOULD_BLOCK:
                seconds = patience(True, timeout)
                if seconds != 0:
                    call = _native.slow.shc_pipe_reserve
                    status = self._wait([], call, seconds, (size,), (slot._claim,))
            if status:
                self._unsent(status)
            return slot
        except BaseException:
            slot._drop(library.shc_pipe_abort)
            raise

    def _unsent(self, status: int) -> NoReturn:
        if status in (_native.WOULD_BLOCK, _native.TIMED_OUT):
            raise TimeoutError(f"no room in pipe {self._name!r}")
        if status == _native.CLOSED:
            raise BrokenPipeError(f"nobody holds the other end of pipe {self._name!r}")
        self._fail(status)

    def recv_bytes(self, timeout: float | None = None) -> bytes:
        """Receives the next message, waiting for one for up to `timeout` seconds, None for ever.

        TimeoutError; EOFError when nobody holds the other end any more and all messages were received;
        UnsupportedError at an end that only sends.
        """
        handle, passage = self._handle, self._passage
        spare = passage.spare
        taking = passage.taking()
        claim = taking.claim
        done = None
        try:
            for status in taking.tries:  # noqa: B007
                break
            if status:
                self._receive_late(status, claim, timeout)
            data: bytes = _native.bytes_at(claim.data, claim.len)
            # In one step, and nothing after it in which a signal handler could run.
            for done in taking.releases:  # noqa: B007
                break
            spare[taking] = None
            return data
        except BaseException:
            if done is None and claim.len != _native.FORGOTTEN:
                _put_back(handle, claim)
            raise

    def recv_bytes_into(self, buffer: Any, timeout: float | None = None) -> int:
        """Receives the next message into a writable buffer; its length. Else as `recv_bytes`.

        BufferTooSmallError when the message is longer; it can still be received.
        """
        view = memoryview(buffer).cast("B")
        if view.readonly:
            raise TypeError("a writable buffer is needed")
        handle = self._handle
        claim = _native.new_claim()
        released: list[int] = []
        try:
            self._receive(claim, timeout)
            size = int(claim.len)
            if size > len(view):
                raise BufferTooSmallError(f"the message has {size} bytes, the buffer {len(view)}")
            if size:
                _native.copy(_native.writable(view), claim.data, size)
            released += starmap(_release, ((handle, claim),))
            return size
        except BaseException:
            if not released and claim.len != _native.FORGOTTEN:
                _put_back(handle, claim)
            raise

    def recv(self, timeout: float | None = None) -> Any:
        """Receives an object that was pickled; as `recv_bytes`. Only from a sender that is trusted."""
        return self._loads(self.recv_bytes(timeout))

    def recv_in_place(self, timeout: float | None = None) -> Item:
        """Takes the next message in place; as `recv_bytes`. See Item."""
        claim = _native.new_claim()
        item = Item(self, claim, _release, _put_back)
        try:
            self._receive(claim, timeout)
            return item
        except BaseException:
            item._drop(_put_back)
            raise

    def _receive(self, claim: Any, timeout: float | None) -> None:
        status = _native.quick.shc_pipe_recv_in_place(self._handle, 0, claim)
        if status:
            self._receive_late(status, claim, timeout)

    def _receive_late(self, status: int, claim: Any, timeout: float | None) -> None:
        """Goes on after a try that did not succeed."""
        if status == _native.WOULD_BLOCK:
            seconds = patience(True, timeout)
            if seconds != 0:
                status = self._wait([], _native.slow.shc_pipe_recv_in_place, seconds, (), (claim,))
        if status:
            self._unreceived(status)

    def _unreceived(self, status: int) -> NoReturn:
        if status in (_native.WOULD_BLOCK, _native.TIMED_OUT):
            raise TimeoutError(f"no message in pipe {self._name!r}")
        if status == _native.CLOSED:
            raise EOFError(f"nobody holds the other end of pipe {self._name!r}")
        self._fail(status)

    async def send_bytes_async(self, data: Any) -> None:
        """Sends a bytes-like object, as `send_bytes`, while the event loop goes on.

        A task that is cancelled has sent nothing. Closing the pipe ends it with InvalidHandleError.
        """
        await until(partial(self.send_bytes, data, 0), TimeoutError, self, _native.PIPE_WRITABLE)

    async def send_async(self, obj: Any) -> None:
        """Pickles and sends an object; as `send_bytes_async`."""
        await self.send_bytes_async(self._dumps(obj))

    async def recv_bytes_async(self) -> bytes:
        """Receives the next message, as `recv_bytes`, while the event loop goes on.

        A task that is cancelled has taken nothing. Closing the pipe ends it with InvalidHandleError.
        """
        attempt = partial(self.recv_bytes, 0)
        data: bytes = await until(attempt, TimeoutError, self, _native.PIPE_READABLE)
        return data

    async def recv_async(self) -> Any:
        """Receives an object that was pickled; as `recv_bytes_async`. Only from a sender that is trusted."""
        return self._loads(await self.recv_bytes_async())

    def poll(self, timeout: float | None = 0.0) -> bool:
        """Whether a message can be received, or the end-of-file, waiting up to `timeout` seconds for it."""
        seconds = patience(True, timeout)
        end = None if seconds is None else monotonic_ns() + int(seconds * 1e9)
        answer = _native.out_bool()
        status = _native.quick.shc_pipe_poll(self._handle, 0, _native.out(answer))
        while status in (_native.OK, _native.INTERRUPTED) and not answer.value:
            now = SLICE_NS if end is None else min(SLICE_NS, end - monotonic_ns())
            if now <= 0:
                return False
            status = _native.slow.shc_pipe_poll(self._open_handle(), now, _native.out(answer))
        self._check(status)
        return True


def _options(duplex: bool, capacity: int | None, inline: int | None) -> _native.PipeOptions:
    flags = 0 if duplex else _native.PIPE_SIMPLEX
    return _native.pipe_options(option(capacity, "capacity"), option(inline, "inline"), flags)
