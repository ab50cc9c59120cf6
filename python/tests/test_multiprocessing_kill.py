"""What the drop-in does better: nobody hangs, nothing is lost, and it says what happened.

The comments say what the standard class does in the same test.
"""

import os
import queue
import signal
import subprocess
import sys
import threading

import pytest
from processes import PATIENCE, eventually, state

import sharecell as sc
import sharecell.multiprocessing as mp


@pytest.fixture
def ctx(request):
    return mp.get_context(getattr(request, "param", "fork"))


both = pytest.mark.parametrize("ctx", ["fork", "spawn"], indirect=True)


@pytest.fixture
def start(ctx):
    processes = []

    def begin(target, *args):
        process = ctx.Process(target=target, args=args)
        process.start()
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.is_alive():
            process.kill()
        process.join(PATIENCE)


def kill(process):
    process.kill()
    process.join(PATIENCE)


def sleeps(process):
    eventually(lambda: state(process.pid) == "S")


def hold(lock, held):
    lock.acquire()
    held.set()
    signal.pause()


# multiprocessing.Lock and RLock: acquire waits for ever.
@both
@pytest.mark.parametrize("kind", ["Lock", "RLock", "value", "array"])
def test_a_killed_holder_of_a_lock(ctx, start, kind):
    if kind == "value":
        thing = mp.Value("i")
        lock = thing.get_lock()
    elif kind == "array":
        thing = mp.Array("d", 3)
        lock = thing.get_lock()
    else:
        thing = lock = getattr(ctx, kind)()
    held = ctx.Event()
    holder = start(hold, thing, held)
    assert held.wait(PATIENCE)
    assert not lock.acquire(False)
    kill(holder)
    assert lock.acquire(timeout=PATIENCE)
    assert lock.owner_died
    lock.release()
    with lock:
        assert not lock.owner_died


# multiprocessing.Condition: notify waits for ever for the dead waiter to say that it has woken.
def test_a_killed_waiter_at_a_condition(ctx, start):
    condition, waiting, woken = ctx.Condition(), ctx.Semaphore(0), ctx.Queue()
    waiters = [start(wait_for_notification, condition, waiting, woken) for _ in range(2)]
    for _ in waiters:
        assert waiting.acquire(timeout=PATIENCE)
    with condition:
        assert condition.waiters() == 2
    kill(waiters[0])
    with condition:
        condition.notify()
    assert woken.get(timeout=PATIENCE) == waiters[1].pid


def wait_for_notification(condition, waiting, woken):
    with condition:
        waiting.release()
        condition.wait()
    woken.put(os.getpid())


# multiprocessing.Queue: the killed one holds the queue's lock for reading, and every get waits for ever.
@both
def test_a_killed_waiter_at_a_queue(ctx, start):
    jobs, done = ctx.Queue(), ctx.Queue()
    waiters = [start(pass_on, jobs, done) for _ in range(2)]
    for waiter in waiters:
        assert done.get(timeout=PATIENCE) == "here"
        sleeps(waiter)
    kill(waiters[0])
    jobs.put("work")
    assert done.get(timeout=PATIENCE) == "work"


def pass_on(jobs, done):
    done.put("here")
    done.put(jobs.get())


# multiprocessing.Queue: sooner or later one is killed with a lock, or half a pickle in the pipe.
def test_workers_killed_anywhere_in_put_and_get(ctx, start):
    jobs, done = ctx.Queue(), ctx.Queue(4)
    expected = list(range(300))
    for number in expected:
        jobs.put((number, b"x" * (number * 50)))
    found = {}
    worker = start(work, jobs, done)
    while len(found) < 250:
        number, size = done.get(timeout=PATIENCE)
        # What a worker had got and not put yet when it was killed is gone with it, and nothing else.
        assert number not in found and size == number * 50
        found[number] = size
        if len(found) % 25 == 0:
            kill(worker)
            worker = start(work, jobs, done)
    kill(worker)
    left = jobs.qsize() + done.qsize()
    assert len(found) + left >= len(expected) - 2 * 11
    assert sum(1 for _ in range(left) if (jobs if jobs.qsize() else done).get(timeout=PATIENCE)) == left


def work(jobs, done):
    while True:
        number, data = jobs.get()
        done.put((number, len(data)))


# multiprocessing.Queue: what the feeder had not written yet is lost, mostly everything.
@both
def test_what_was_put_survives_who_put_it(ctx, start):
    q = ctx.Queue()
    putter = start(put_and_die, q)
    putter.join(PATIENCE)
    assert putter.exitcode == -signal.SIGKILL
    assert q.qsize() == 100
    assert [q.get_nowait() for _ in range(100)] == list(range(100))


def put_and_die(q):
    for number in range(100):
        q.put(number)
    os.kill(os.getpid(), signal.SIGKILL)


# multiprocessing.Queue: the process waits at its end for a reader, so who joins it first waits for ever.
@both
def test_exit_waits_for_nobody(ctx, start):
    q = ctx.Queue()
    putter = start(put_much, q)
    putter.join(PATIENCE)
    assert putter.exitcode == 0
    assert [len(q.get_nowait()) for _ in range(10)] == [1 << 20] * 10


def put_much(q):
    for _ in range(10):
        q.put(b"x" * (1 << 20))


# multiprocessing.Queue: the feeder prints a traceback, and the item is gone.
def test_what_cannot_be_pickled_raises_in_put():
    for q in mp.Queue(), mp.Queue(1), mp.JoinableQueue(), mp.SimpleQueue():
        with pytest.raises((AttributeError, TypeError)):
            q.put(lambda: None)
        with pytest.raises(TypeError):
            q.put(threading.Lock())
        assert q.empty()


# multiprocessing.Queue: empty() may still be true after put, and full() before anybody can get.
def test_the_truth_about_a_queue():
    q = mp.Queue(2)
    assert (q.qsize(), q.empty(), q.full()) == (0, True, False)
    q.put(1)
    assert (q.qsize(), q.empty(), q.full()) == (1, False, False)
    q.put(2)
    assert (q.qsize(), q.empty(), q.full()) == (2, False, True)
    with pytest.raises(queue.Full):
        q.put(3, timeout=0.01)
    assert [q.get(False), q.get(False)] == [1, 2]
    with pytest.raises(queue.Empty):
        q.get(False)


# multiprocessing.Queue: a thread that waits in get goes on waiting.
def test_closing_wakes_threads():
    q = mp.Queue()
    q.put(0)
    q.get()
    reader, writer = mp.Pipe(False)
    outcomes = queue.Queue()

    def wait(call):
        try:
            call()
        except Exception as error:
            outcomes.put(type(error))

    threads = [threading.Thread(target=wait, args=(call,)) for call in (q.get, reader.recv)]
    for thread in threads:
        thread.start()
    q.close()
    reader.close()
    found = {outcomes.get(timeout=PATIENCE), outcomes.get(timeout=PATIENCE)}
    assert found == {ValueError, OSError}
    for thread in threads:
        thread.join(PATIENCE)


# multiprocessing.Queue has no shutdown.
@pytest.mark.parametrize("size", [0, 8])
def test_a_shutdown_wakes_processes(ctx, start, size):
    q, ended = ctx.Queue(size), ctx.Queue()
    getters = [start(get_to_the_end, q, ended) for _ in range(2)]
    for getter in getters:
        assert ended.get(timeout=PATIENCE) == "here"
        sleeps(getter)
    q.put("last")
    q.shutdown()
    assert sorted([ended.get(timeout=PATIENCE), ended.get(timeout=PATIENCE)]) == [0, 1]
    with pytest.raises(sc.ShutDown):
        q.put("too late")


def get_to_the_end(q, ended):
    ended.put("here")
    count = 0
    try:
        while True:
            q.get()
            count += 1
    except sc.ShutDown:
        ended.put(count)


# multiprocessing.Connection: only poll has a timeout; the rest of a message is waited for after it, for ever.
def test_a_stopped_process_does_not_prolong_a_timeout(ctx, start):
    q, there = ctx.Queue(), ctx.Event()
    mine, theirs = ctx.Pipe()
    putter = start(put_for_ever, q, theirs, there)
    assert there.wait(PATIENCE)
    for _ in range(20):
        os.kill(putter.pid, signal.SIGSTOP)
        eventually(lambda: state(putter.pid) == "T")
        with pytest.raises(queue.Empty):
            while True:
                q.get(timeout=0.01)
        with pytest.raises(TimeoutError):
            while True:
                mine.recv(timeout=0.01)
        os.kill(putter.pid, signal.SIGCONT)
    assert q.get(timeout=PATIENCE)


def put_for_ever(q, end, there):
    there.set()
    while True:
        q.put(b"x" * 5000)
        end.send(b"y" * 5000)


def test_timeouts_of_pipes():
    reader, writer = mp.Pipe(False, capacity=2)
    writer.send(1)
    writer.send(2)
    with pytest.raises(TimeoutError):
        writer.send(3, timeout=0.01)
    assert [reader.recv(timeout=1), reader.recv()] == [1, 2]
    with pytest.raises(TimeoutError):
        reader.recv_bytes(timeout=0)


# multiprocessing.Pool: an idle worker holds the lock of the tasks; if it is killed, nobody ever gets a task.
@both
def test_killed_workers_of_a_pool(ctx):
    with ctx.Pool(2) as pool:
        for _ in range(3):
            for pid in set(pool.map(pid_of_worker, range(20))):
                os.kill(pid, signal.SIGKILL)
            assert pool.apply_async(abs, (-3,)).get(PATIENCE) == 3


def pid_of_worker(_):
    return os.getpid()


# multiprocessing.Queue() keeps what does not fit into its pipe in the memory of who puts.
GROWING = """
import sharecell as sc, sharecell.multiprocessing as mp
q = mp.Queue()
count = 0
try:
    while True:
        q.put((count, "x" * 200))
        count += 1
except sc.LimitReachedError as error:
    assert isinstance(error, MemoryError) and "limit" in str(error), error
assert count > 10000 and q.qsize() == count, count
for number in range(count):
    assert q.get_nowait()[0] == number
assert q.empty()
q.put("again")
assert q.get() == "again"
"""


def test_a_queue_grows_up_to_its_limit_and_says_so():
    environment = {**os.environ, "SHARECELL_MP_LIMIT": str(32 << 20)}
    subprocess.run([sys.executable, "-c", GROWING], env=environment, timeout=PATIENCE, check=True)


def test_a_growing_queue_keeps_the_order_of_each_putter(ctx, start):
    q = ctx.Queue()
    putters = [start(put_numbers, q, name, 3000) for name in range(3)]
    last = [-1] * 3
    for _ in range(9000):
        name, number = q.get(timeout=PATIENCE)
        assert number == last[name] + 1
        last[name] = number
    for putter in putters:
        putter.join(PATIENCE)
    assert q.empty() and q.qsize() == 0


def put_numbers(q, name, count):
    for number in range(count):
        q.put((name, number))


@both
def test_putters_killed_while_a_queue_grows(ctx, start):
    for _ in range(5):
        q = ctx.Queue()
        putters = [start(put_numbers, q, name, 1 << 30) for name in range(2)]
        eventually(lambda q=q: q.qsize() > 3000)
        for putter in putters:
            kill(putter)
        q.put((2, 0))
        last = [-1] * 3
        while not q.empty():
            name, number = q.get(timeout=PATIENCE)
            assert number == last[name] + 1
            last[name] = number
        assert last[2] == 0


def test_a_joinable_queue_and_a_killed_worker(ctx, start):
    jobs, started = ctx.JoinableQueue(), ctx.Semaphore(0)
    for number in range(600):  # more than one ring
        jobs.put(number)
    worker = start(take_one_and_wait, jobs, started)
    assert started.acquire(timeout=PATIENCE)
    assert not jobs.join(timeout=0.01)
    kill(worker)
    for _ in range(599):
        jobs.get(timeout=PATIENCE)
        jobs.task_done()
    assert jobs.join(PATIENCE)
    with pytest.raises(ValueError):
        jobs.task_done()


def take_one_and_wait(jobs, started):
    jobs.get()
    started.release()
    signal.pause()


# multiprocessing.Barrier: the others wait for ever, or for their timeout.
def test_a_killed_party_of_a_barrier(ctx, start):
    barrier = ctx.Barrier(3)
    party = start(come, barrier)
    eventually(lambda: barrier.n_waiting == 1)
    kill(party)
    with pytest.raises(threading.BrokenBarrierError):
        barrier.wait(PATIENCE)


def come(barrier):
    barrier.wait()


# multiprocessing.Semaphore: the permits are gone.
def test_permits_of_a_killed_process(ctx, start):
    semaphore, taken = ctx.Semaphore(2, undo=True), ctx.Event()
    holder = start(take_permits, semaphore, taken)
    assert taken.wait(PATIENCE)
    assert semaphore.get_value() == 0
    kill(holder)
    assert semaphore.acquire(timeout=PATIENCE)


def take_permits(semaphore, taken):
    semaphore.acquire()
    semaphore.acquire()
    taken.set()
    signal.pause()
