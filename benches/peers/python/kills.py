"""What a SIGKILL does to those who share an object in Python: kills.py PEER DURING TIMES BOUND_MS.

The scenes are those of ../src/kills: a process makes the object, starts a victim and survivors, kills the
victim in a tight loop, and accounts for every item. The answer is a line of JSON.
"""

import contextlib
import json
import mmap
import os
import random
import signal
import sys
import time
import traceback

import peers

CAPACITY = 64
MOST = 1 << 15
LAST = 2**64 - 1
ITEM_WORDS = 128
ALONE = 0.015
WAITING = 64
PATIENCE = 10.0

# Words that the processes of a scene share, by their place.
KILLED, GONE, DONE, FRESH, TORN, STOP, ENDED = range(7)
# What a victim and the survivors have done, and know of.
VICTIM, SURVIVOR, GETTER = range(7, 10)
WORDS = 10
NAMES = ("hung", "failed", "gap_ns", "lost", "doubled", "torn", "along")


def shared(count):
    """So many words of zero in memory that children share."""
    return memoryview(mmap.mmap(-1, count * 8)).cast("Q")


def fork(body):
    """A child that does this and no more."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            body()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


class Scene:
    """A process in which one kill happens."""

    def __init__(self, play, bound):
        """Begins it."""
        self.marks = shared(WORDS)
        self.outcome = shared(len(NAMES))
        self.bound = bound
        self.children = []
        self.child = fork(lambda: self.run(play))
        self.status = None

    def run(self, play):
        """In the scene's own process."""
        try:
            play(self)
        finally:
            for child in self.children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)

    def has_ended(self):
        """Whether it is over."""
        if self.status is None:
            pid, status = os.waitpid(self.child, os.WNOHANG)
            self.status = status if pid else None
        return self.status is not None

    def watch(self):
        """Returns when it has ended, or a little after its kill."""
        while not self.has_ended():
            killed = self.marks[KILLED]
            if killed and time.monotonic_ns() > killed + ALONE * 1e9:
                return
            time.sleep(0.0001)

    def end(self):
        """What came of it."""
        while not self.has_ended():
            time.sleep(0.001)
        if self.status != 0:
            raise RuntimeError("a scene failed")
        return dict(zip(NAMES, self.outcome))

    # What follows runs in the scene's process.

    def start(self, body):
        """A player."""
        child = fork(body)
        self.children.append(child)
        return child

    def kill(self, victim, *players):
        """Kills at some moment when all players do operations."""
        patience = time.monotonic() + PATIENCE
        while not all(self.marks[player] for player in players):
            if time.monotonic() > patience:
                raise RuntimeError("the players did not come to do anything")
            time.sleep(0.0001)
        time.sleep(random.uniform(0.0005, 0.005))
        self.marks[KILLED] = time.monotonic_ns()
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        self.children.remove(victim)
        self.marks[GONE] = 1

    def survive(self, done):
        """Whether survivors get so far; notes if they do not."""
        deadline = self.marks[KILLED] + self.bound * 1_000_000
        while not done():
            for child in self.children:
                info = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if info and info.si_status != 0:
                    self.outcome[1] = 1
                    return False
            if time.monotonic_ns() > deadline:
                self.outcome[0] = 1
                return False
            time.sleep(0.0001)
        return True

    def note(self, **found):
        """Writes it down."""
        found["gap_ns"] = self.marks[DONE] - self.marks[KILLED]
        for name, value in found.items():
            self.outcome[NAMES.index(name)] = value


# Locks: each yields what is used by `with`, and so does it in every process.


@contextlib.contextmanager
def sharecell_lock():
    """sharecell's lock."""
    with peers.sharecell_segment() as (sharecell, segment):
        yield sharecell.Lock.create(segment, "lock")


@contextlib.contextmanager
def standard_lock():
    """multiprocessing's lock."""
    yield peers.CONTEXT.Lock()


def play_lock(make, holds):
    """A victim and a survivor want one lock; what it guards is counted."""

    def play(scene):
        marks = scene.marks
        # Increments under the lock, and those that either knows to have made.
        guarded = shared(3)

        def victim():
            while True:
                with lock:
                    guarded[0] += 1
                    marks[VICTIM] = 1
                    while holds:
                        pass
                guarded[1] += 1

        def survivor():
            marks[SURVIVOR] = 1
            after = False
            while not after:
                after = marks[GONE]
                with lock:
                    guarded[0] += 1
                guarded[2] += 1
            marks[DONE] = time.monotonic_ns()

        with make() as lock:
            doomed = scene.start(victim)
            while not marks[VICTIM]:
                time.sleep(0.0001)
            scene.start(survivor)
            scene.kill(doomed, SURVIVOR)
            if scene.survive(lambda: marks[DONE]):
                known = guarded[1] + guarded[2]
                scene.note(lost=max(0, known - guarded[0]), doubled=max(0, guarded[0] - known - 1))

    return play


def item(who, number):
    """Words that all say the same."""
    return (who << 32 | number).to_bytes(8, "little") * ITEM_WORDS


def play_queue(make, gets):
    """One puts and one gets, and a victim does either beside them; every item is accounted for."""

    def play(scene):
        marks = scene.marks
        put_by = shared(2)
        came = [[shared(2 * MOST + 2) for _ in range(2)] for _ in range(2)]

        def put_all(who):
            put = putter()
            number = 0
            while who == 1 or not marks[STOP]:
                after = marks[GONE]
                if number == MOST * (1 + after):
                    time.sleep(0.0001)
                    continue
                number += 1
                if who == 0 and after and not marks[FRESH]:
                    marks[FRESH] = number
                put(item(who, number))
                put_by[who] = number
                marks[VICTIM if who else SURVIVOR] = 1
            put(LAST.to_bytes(8, "little") * ITEM_WORDS)
            while not marks[ENDED]:
                time.sleep(0.0001)

        def get_all(who):
            get = getter()
            mine = came[who]
            while True:
                data = bytes(get())
                marks[VICTIM if who else GETTER] = 1
                value = int.from_bytes(data[:8], "little")
                if data == LAST.to_bytes(8, "little") * ITEM_WORDS:
                    break
                by, number = value >> 32, value & 0xFFFFFFFF
                if data != data[:8] * ITEM_WORDS or by > 1 or number > 2 * MOST:
                    marks[TORN] += 1
                    continue
                mine[by][number] += 1
                fresh = marks[FRESH]
                if who == 0 and by == 0 and fresh and number >= fresh and not marks[DONE]:
                    marks[DONE] = time.monotonic_ns()
            marks[ENDED] = 1

        with make() as (putter, getter, settle):
            scene.start(lambda: put_all(0))
            scene.start(lambda: get_all(0))
            doomed = scene.start(lambda: (get_all if gets else put_all)(1))
            scene.kill(doomed, SURVIVOR, GETTER, VICTIM)
            if not scene.survive(lambda: marks[DONE]):
                return
            settle()
            marks[STOP] = 1
            if scene.survive(lambda: marks[ENDED]):
                scene.note(**balance(marks[TORN], put_by, came, gets))

    return play


def balance(torn, put_by, came, gets):
    """What came beside what was put."""
    lost = doubled = 0
    for by, put in enumerate(put_by):
        for number in range(1, put + 2):
            times = came[0][by][number] + came[1][by][number]
            lost += number <= put and not times
            doubled += max(0, times - 1)
        # Nobody can have put these.
        torn += sum(any(mine[by][put + 2 :]) for mine in came)
    along = 1 if gets and lost else 0
    return {"lost": lost - along, "doubled": doubled, "torn": torn, "along": along}


@contextlib.contextmanager
def sharecell_queue():
    """sharecell's queue of byte strings."""
    with peers.sharecell_segment() as (sharecell, segment):
        queue = sharecell.Queue.create(segment, "queue", CAPACITY)
        yield (lambda: queue.put), (lambda: queue.get), segment.recover


@contextlib.contextmanager
def standard_queue():
    """multiprocessing's queue, with its feeder thread."""
    queue = peers.CONTEXT.Queue(CAPACITY)
    yield (lambda: queue.put), (lambda: queue.get), int


@contextlib.contextmanager
def faster_fifo_queue():
    """faster-fifo, raw bytes."""
    import faster_fifo

    queue = faster_fifo.Queue(max_size_bytes=CAPACITY * (8 * ITEM_WORDS + 16), loads=bytes, dumps=bytes)
    yield (lambda: lambda data: queue.put(data, timeout=60)), (lambda: lambda: queue.get(timeout=60)), int


PEERS = {
    "sharecell.Lock": (play_lock, sharecell_lock),
    "multiprocessing.Lock": (play_lock, standard_lock),
    "sharecell.Queue": (play_queue, sharecell_queue),
    "multiprocessing.Queue": (play_queue, standard_queue),
    "faster-fifo, raw bytes": (play_queue, faster_fifo_queue),
}


def main(peer, during, times, bound):
    """Plays the scenes; those that hang are waited for while the next ones play."""
    kind, make = PEERS[peer]
    with make():
        pass  # what cannot be had says so here
    play = kind(make, during in ("while it holds", "get"))
    outcomes, waiting = [], []
    for _ in range(int(times)):
        if len(waiting) == WAITING:
            outcomes.append(waiting.pop(0).end())
        scene = Scene(play, int(bound))
        scene.watch()
        waiting.append(scene)
    outcomes += [scene.end() for scene in waiting]
    print(json.dumps(outcomes))


if __name__ == "__main__":
    main(*sys.argv[1:])
