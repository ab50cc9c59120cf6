"""Meeting points."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any, Callable

from . import _native
from ._object import SharedObject, encode_name, nanoseconds, patience, unsigned
from .errors import BrokenBarrierError

if TYPE_CHECKING:
    from .segment import Segment

__all__ = ["Barrier"]

_Action = Callable[[], object]


class Barrier(SharedObject):
    """A meeting point: each of a fixed number of parties waits until all have come.

    It breaks when one who has come is killed, gives up or aborts it, until it is reset; all who wait and
    all who come get BrokenBarrierError then. The last party to arrive calls the `action` of its own Barrier
    object, if that has one, before any goes on.
    """

    _kind = "barrier"
    _action: _Action | None

    @classmethod
    def create(cls, segment: Segment, name: str, parties: int, action: _Action | None = None) -> Barrier:
        """Creates a barrier for 1 to 65536 parties; AlreadyExistsError when the name is taken."""
        return cls._get(segment, name, action, _native.slow.shc_barrier_create, _parties(parties))

    @classmethod
    def open(cls, segment: Segment, name: str, action: _Action | None = None) -> Barrier:
        """Opens a barrier; NotFoundError when there is none."""
        return cls._get(segment, name, action, _native.slow.shc_barrier_open)

    @classmethod
    def open_or_create(
        cls, segment: Segment, name: str, parties: int, action: _Action | None = None
    ) -> Barrier:
        """Opens a barrier for as many parties, else WrongSizeError, or creates it."""
        return cls._get(segment, name, action, _native.slow.shc_barrier_open_or_create, _parties(parties))

    @classmethod
    def _get(cls, segment: Segment, name: str, action: _Action | None, verb: Any, *parties: int) -> Barrier:
        what = encode_name(name, "a barrier")
        barrier = cls._made(segment, name, segment._obtain_one(_native.BarrierHandle, verb, what, *parties))
        barrier._action = action
        return barrier

    def _restore_arguments(self) -> tuple[Any, ...]:
        return (self._action,)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for the others, up to `timeout` seconds, None for ever; this party's number, from 0.

        When the time is up the barrier breaks. BrokenBarrierError. What the action raises comes out here,
        and the barrier breaks. If a signal handler raises, this party has not arrived.
        """
        # Not in slices: each would break the barrier.
        seconds = patience(True, timeout)
        end = None if seconds is None else monotonic() + seconds
        number = _native.out_size()
        raised: list[BaseException] = []
        call = _native.slow.shc_barrier_wait
        action: tuple[Any, ...] = ()
        if self._action is not None:
            call = _native.slow.shc_barrier_wait_with
            action = (_callback(self._action, raised), None)
        while True:
            left = None if end is None else max(0.0, end - monotonic())
            status = call(self._handle, nanoseconds(left), *action, _native.out(number))
            if raised:
                raise raised.pop()
            if status == _native.BROKEN:
                raise BrokenBarrierError(f"barrier {self._name!r} is broken")
            if status != _native.INTERRUPTED:
                self._check(status)
                return int(number.value)

    def abort(self) -> None:
        """Breaks the barrier for all who wait and all who come, until it is reset."""
        self._check(_native.slow.shc_barrier_abort(self._handle))

    def reset(self) -> None:
        """Begins a new round, whole. Those who wait get BrokenBarrierError."""
        self._check(_native.slow.shc_barrier_reset(self._handle))

    @property
    def parties(self) -> int:
        """How many parties it takes."""
        return int(self._ask(_native.quick.shc_barrier_parties, _native.out_size()))

    @property
    def n_waiting(self) -> int:
        """How many wait at this moment; 0 when it is broken."""
        return int(self._ask(_native.quick.shc_barrier_n_waiting, _native.out_size()))

    @property
    def broken(self) -> bool:
        """Whether it is broken."""
        return bool(self._ask(_native.quick.shc_barrier_is_broken, _native.out_bool()))


def _parties(number: int) -> int:
    return unsigned(number, "the number of parties", minimum=1, bits=32)


def _callback(action: _Action, raised: list[BaseException]) -> Any:
    """What the library calls; an exception cannot pass through it, and is kept."""

    def call(_: object) -> bool:
        try:
            action()
            return True
        except BaseException as error:
            raised.append(error)
            return False

    return _native.Action(call)
