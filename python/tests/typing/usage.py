"""What a program looks like to type checkers; it is not run."""

from __future__ import annotations

from typing import Any

import sharecell
import sharecell.multiprocessing as mp
from sharecell.multiprocessing.connection import PipeConnection, wait
from sharecell.multiprocessing.managers import SyncManager
from sharecell.multiprocessing.pool import Pool
from sharecell.multiprocessing.queues import JoinableQueue, Queue
from sharecell.multiprocessing.shared_memory import SharedMemory
from sharecell.multiprocessing.synchronize import Barrier, Condition, Event, Lock, RLock, Semaphore


def work(jobs: Queue, lock: Lock, done: Event, end: PipeConnection) -> None:
    with lock:
        end.send(jobs.get(timeout=1.0), timeout=2.0)
    done.set()


def main() -> None:
    segment: sharecell.Segment = sharecell.Segment.create("typing", ephemeral=True)
    jobs: Queue = mp.Queue(8, name="jobs", segment=segment)
    more: JoinableQueue = mp.JoinableQueue()
    lock: Lock = mp.Lock(name="lock", segment="typing")
    others: tuple[RLock, Semaphore, Condition, Barrier] = (
        mp.RLock(),
        mp.Semaphore(2, undo=True),
        mp.Condition(lock),
        mp.Barrier(2, timeout=1.0),
    )
    done: Event = mp.get_context("spawn").Event()
    mine, theirs = mp.Pipe(duplex=False, capacity=10)
    process = mp.Process(target=work, args=(jobs, lock, done, theirs))
    process.start()
    ready: list[Any] = wait([mine, jobs, process.sentinel], timeout=0.5)
    numbers = mp.Array("i", 10)
    numbers[:] = range(10)
    raw: sharecell.Queue = jobs.shared
    raw.put(b"bytes")
    size: int = more.qsize() + len(ready) + len(others)
    with mp.Pool(2) as pool:
        results: list[int] = pool.map(abs, range(size))
    print(results, Pool, SyncManager, SharedMemory)
