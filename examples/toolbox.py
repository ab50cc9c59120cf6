"""Each object of the toolbox once, between this process and children of it."""

import asyncio
import mmap
import os
import signal
import socket
import sys
import tempfile

import sharecell as sc


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
            os._exit(status)
    return pid


def finish(*pids):
    for pid in pids:
        assert os.waitpid(pid, 0)[1] == 0, "a child"


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def hold(acquire, ready):
    """What a child does that is to be killed while it holds something."""
    acquire()
    ready.set()
    signal.pause()


def holder(acquire, ready):
    pid = start(hold, acquire, ready)
    ready.wait()
    ready.clear()
    return pid


def refused(lock):
    assert not lock.acquire(False)


def rlock(segment):
    with sc.RLock.create(segment, "rlock") as lock, lock:
        finish(start(refused, lock))
    print("rlock: taken twice, and nobody else's meanwhile")


def rwlock(segment, ready):
    lock = sc.RwLock.create(segment, "rwlock")
    reader = holder(lock.acquire_read, ready)
    with lock.read():
        assert not lock.acquire_write(block=False)
    kill(reader)
    with lock.write():
        print("rwlock: two readers at once, and a writer after one of them was killed")


def count(changed, number):
    for _ in range(3):
        with changed:
            number.value += 1
            changed.notify_all()


def condition(segment):
    changed = sc.Condition.create(segment, "changed")
    number = sc.Value.create(segment, "number", "i")
    child = start(count, changed, number)
    with changed:
        changed.wait_for(lambda: number.value == 3)
        print("condition: the number is", number.value)
    finish(child)


def barrier(segment):
    everybody = sc.Barrier.create(segment, "barrier", 3)
    children = [start(everybody.wait) for _ in range(2)]
    everybody.wait()
    finish(*children)
    try:
        everybody.wait(timeout=0.01)
    except sc.BrokenBarrierError:
        print("barrier: three have met; one who came alone broke it")
    everybody.reset()


def semaphores(segment, ready):
    bounded = sc.BoundedSemaphore.create(segment, "bounded", 1)
    try:
        bounded.release()
    except ValueError:
        print("bounded semaphore: one release too many was refused")
    undo = sc.Semaphore.create(segment, "undo", 1, undo=True)
    kill(holder(undo.acquire, ready))
    with undo:
        print("semaphore with undo: a killed process's permit came back")


def work(jobs):
    try:
        while True:
            jobs.get()
            jobs.task_done()
    except sc.ShutDown:
        pass


def joinable_queue(segment):
    jobs = sc.Queue.create(segment, "jobs", 16, joinable=True)
    child = start(work, jobs)
    for _ in range(100):
        jobs.put(b"job")
    jobs.join()
    jobs.shutdown()
    finish(child)
    print("joinable queue: 100 jobs are done")


def poison(segment, ready):
    lock = sc.Lock.create(segment, "lock")
    kill(holder(lock.acquire, ready))
    lock.acquire()
    assert lock.owner_died
    lock.poison()
    try:
        lock.acquire()
    except sc.PoisonedError:
        print("lock: its owner was killed, and what it protects declared beyond repair")
    lock.clear_poison()


def receive(far):
    with sc.Segment.receive_over(far) as segment:
        sc.Queue.open(segment, "queue").put(b"received")


def anonymous_segment():
    near, far = socket.socketpair()
    with near, far:
        child = start(receive, far)
        with sc.Segment.anonymous() as segment:
            queue = sc.Queue.create(segment, "queue")
            segment.send_over(near)
            print("anonymous segment:", queue.get().decode())
        finish(child)


def given_memory(name):
    with tempfile.TemporaryFile() as file:
        file.truncate(1 << 20)
        memory = mmap.mmap(file.fileno(), 1 << 20)
        with sc.Segment.create_over(name, memory) as segment:
            print("given memory: a segment of", segment.limit, "bytes")
        sc.unlink(name)
        memory.close()


def wait_any(ready):
    child = start(signal.pause)
    end = os.pidfd_open(child)
    assert sc.wait_any([ready, end], timeout=0) == []
    os.kill(child, signal.SIGKILL)
    assert sc.wait_any([ready, end]) == [end]
    os.waitpid(child, 0)
    os.close(end)
    print("wait_any: a process has ended")


async def in_a_loop(segment):
    queue = sc.Queue.create(segment, "queue")
    waiting = asyncio.ensure_future(queue.get_async())
    await asyncio.sleep(0)
    child = start(queue.put, b"from a child")
    print("asyncio:", (await waiting).decode())
    finish(child)


if __name__ == "__main__":
    name = f"toolbox-py-{os.getpid()}"
    with sc.Segment.create(name, ephemeral=True) as segment:
        ready = sc.Event.create(segment, "ready")
        rlock(segment)
        rwlock(segment, ready)
        condition(segment)
        barrier(segment)
        semaphores(segment, ready)
        joinable_queue(segment)
        poison(segment, ready)
        anonymous_segment()
        given_memory(f"{name}-memory")
        wait_any(ready)
        asyncio.run(in_a_loop(segment))
