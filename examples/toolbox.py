"""Each object of the toolbox once, between this process and children of it.

`docs/objects/` shows the parts between marks.
"""

import asyncio
import mmap
import os
import select
import signal
import socket
import sys
import tempfile

import sharecell


def start(action, *arguments):
    """Forks a child, which does something and ends; its process id."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            action(*arguments)
            status = 0
        finally:
            sys.stdout.flush()
            os._exit(status)
    return pid


def finish(*pids):
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0, "a child"


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def killed(acquire, ready):
    """A child that holds something, and is killed while it does."""

    def hold():
        acquire()
        ready.set()
        signal.pause()

    pid = start(hold)
    ready.wait()
    ready.clear()
    kill(pid)


def value(segment):
    # [value]
    best = sharecell.Value.open_or_create(segment, "best", "q")
    best.add(3)
    before = best.update(lambda old: max(old, 10))  # again, if somebody else was faster
    print("value: it was", before, "and is", best.value)
    # [/value]


def array(segment):
    # [array]
    squares = sharecell.Array.open_or_create(segment, "squares", "q", 100)
    squares[9] = 81  # one element is written whole
    with squares.get_lock():  # several are not
        squares[0:4] = [0, 1, 4, 9]
    print("array:", squares[1:4], "and", squares[9])
    # [/array]


def lock(segment, ready):
    entries = sharecell.Array.create(segment, "entries", "i", 8)
    held = sharecell.Lock.create(segment, "lock")
    killed(held.acquire, ready)
    # [lock]
    lock = sharecell.Lock.open(segment, "lock")
    lock.acquire_or_repair(lambda: entries.fill(0))  # if that returned False: PoisonedError for all
    entries[0] = 1
    lock.release()
    print("lock: its holder was killed, and what it protects repaired")

    with lock:  # or like this, with a look at what has happened
        assert not lock.owner_died
    # [/lock]


def rlock(segment):
    # [rlock]
    lock = sharecell.RLock.open_or_create(segment, "rlock")
    with lock:
        with lock:  # the same thread, again
            pass
        print("rlock: still held by", lock.holder())
    # [/rlock]


def rwlock(segment, ready):
    held = sharecell.RwLock.create(segment, "rwlock")
    killed(held.acquire_read, ready)
    # [rwlock]
    lock = sharecell.RwLock.open(segment, "rwlock")
    with lock.read(), lock.read():
        assert not lock.write().acquire(block=False)
    with lock.write():
        print("rwlock: a writer, and a killed reader is forgotten; a writer died:", lock.owner_died)
    # [/rwlock]


def semaphore(segment, ready):
    held = sharecell.Semaphore.create(segment, "permits", 2, undo=True)
    killed(held.acquire, ready)
    # [semaphore]
    permits = sharecell.Semaphore.open(segment, "permits")  # created with undo=True, and 2 permits
    permits.acquire()
    assert permits.acquire(timeout=5), "a killed process had this one"
    print("semaphore:", permits.get_value(), "left")
    permits.release(2)
    # [/semaphore]
    bounded = sharecell.BoundedSemaphore.create(segment, "bounded", 1)
    try:
        bounded.release()
    except ValueError:
        print("bounded semaphore: one release too many was refused")


def count(changed, number):
    for _ in range(3):
        with changed:
            number.value += 1
            changed.notify_all()


def condition(segment):
    number = sharecell.Value.create(segment, "number", "i")
    changed = sharecell.Condition.create(segment, "changed")
    child = start(count, changed, number)
    # [condition]
    with changed:
        while not changed.wait_for(lambda: number.value == 3, timeout=5):
            print("condition: it takes long")
        print("condition: the number is", number.value)
    # [/condition]
    finish(child)


def event(segment, someone):
    child = start(someone.set)
    # [event]
    ready = sharecell.Event.open(segment, "ready")  # somebody will set it
    assert ready.wait(timeout=60)
    ready.clear()
    print("event: it was set")
    # [/event]
    finish(child)


def barrier(segment):
    three = sharecell.Barrier.create(segment, "all", 3)
    children = [start(three.wait) for _ in range(2)]

    def last():
        print("barrier: all have come")

    # [barrier]
    # The last one to come calls its action before any goes on; if that raises, the barrier breaks.
    all = sharecell.Barrier.open(segment, "all", action=last)
    number = all.wait()  # BrokenBarrierError, if a party dies
    print("barrier:", all.parties, "have met, this one came as number", number)
    # [/barrier]
    finish(*children)


def work(jobs):
    # [worker]
    try:
        while True:
            with jobs.recv() as job:  # read in place; somebody else gets it if we are killed here
                if job.deliveries > 3:
                    print("queue:", job.number, "has killed three workers, and is set aside")
            # released: done
    except sharecell.ShutDown:
        pass
    # [/worker]


def queue(segment):
    jobs = sharecell.Queue.create(segment, "jobs", 64, joinable=True)
    child = start(work, jobs)
    # [queue]
    for job in (b"sweep", b"wash", b"cook"):
        jobs.put(job)  # it is in the queue, or this raises
    jobs.join()  # each was taken, and is done
    jobs.shutdown()  # no more; what is there is still got
    print("queue: all jobs are done")
    # [/queue]
    finish(child)


def answer(segment):
    pipe = sharecell.Pipe.open_or_create(segment, "pipe", "B")
    assert pipe.recv_bytes()
    pipe.send_bytes(b"42")


def pipe(segment):
    child = start(answer, segment)
    # [pipe]
    mine = sharecell.Pipe.open_or_create(segment, "pipe", "A")
    mine.send_bytes(b"how much is 6 x 7?")
    print("pipe:", mine.recv_bytes(timeout=60).decode())  # EOFError: nobody is left there
    # [/pipe]
    finish(child)


def waiting(segment):
    queue = sharecell.Queue.create(segment, "waiting", 8)
    event = sharecell.Event.create(segment, "end")
    child = start(signal.pause)
    pidfd = os.pidfd_open(child)
    os.kill(child, signal.SIGKILL)
    # [waiting]
    ready = sharecell.wait_any([sharecell.readable(queue), event, pidfd])
    if pidfd in ready:
        print("waiting: a process has ended")

    with sharecell.Bell() as bell:  # a descriptor for selectors and the like
        bell.arm([sharecell.readable(queue), event])
        event.set()
        select.select([bell], [], [])  # any loop will do
        bell.clear()
    # [/waiting]
    os.waitpid(child, 0)
    os.close(pidfd)


async def in_a_loop(segment):
    queue = sharecell.Queue.create(segment, "queue", 8)
    child = start(queue.put, b"from a child")
    # [asyncio]
    item = await queue.get_async()
    print("asyncio:", item.decode())
    # [/asyncio]
    finish(child)


def receive(far):
    with sharecell.Segment.receive_over(far) as segment:
        sharecell.Queue.open(segment, "queue").put(b"received")


def anonymous():
    near, far = socket.socketpair()
    child = start(receive, far)
    # [anonymous]
    with sharecell.Segment.anonymous(limit=1 << 24) as segment:
        queue = sharecell.Queue.create(segment, "queue", 8)
        segment.send_over(near)  # the other process calls Segment.receive_over
        print("anonymous:", queue.get().decode())
    # [/anonymous]
    finish(child)
    near.close()
    far.close()


def given(name):
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 20)
        memory = mmap.mmap(file.fileno(), 1 << 20)
        # [given]
        with sharecell.Segment.open_or_create_over(name, memory) as segment:
            print("given: a segment of", segment.limit, "bytes")
        sharecell.unlink(name)  # the small file that keeps the leases
        # [/given]
        memory.close()


def named(name):
    # [segment]
    segment = sharecell.Segment.open_or_create(name, limit=64 << 20, ephemeral=True)
    again = sharecell.Segment.open(name)  # in this process or any other
    lock = sharecell.Lock.create(again, "lock")
    for info in segment.objects():
        print("segment:", segment.name, "has a", info.kind, "named", info.name)
    segment.remove("lock")
    # [/segment]
    lock.close()
    again.close()
    segment.close()


if __name__ == "__main__":
    name = f"toolbox-py-{os.getpid()}"
    with sharecell.Segment.create(name, ephemeral=True) as segment:
        ready = sharecell.Event.create(segment, "ready")
        named(f"{name}-named")
        value(segment)
        array(segment)
        lock(segment, ready)
        rlock(segment)
        rwlock(segment, ready)
        semaphore(segment, ready)
        condition(segment)
        event(segment, ready)
        barrier(segment)
        queue(segment)
        pipe(segment)
        waiting(segment)
        asyncio.run(in_a_loop(segment))
        anonymous()
        given(f"{name}-given")
