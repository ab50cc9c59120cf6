"""Waiting in an event loop."""

import asyncio
import os
import time

import pytest
from processes import PATIENCE, eventually

import sharecell as sc


def run(main):
    return asyncio.run(asyncio.wait_for(main, PATIENCE))


def descriptors():
    return len(os.listdir("/proc/self/fd"))


async def begun(waiting):
    """A task that has made its first try."""
    task = asyncio.ensure_future(waiting)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def cancelled(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_queue(seg):
    q = sc.Queue.create(seg, "q", 1)

    async def main():
        getter = await begun(q.get_async())
        await q.put_async(b"1")
        assert await getter == b"1"
        await q.put_async(b"2")
        putter = await begun(q.put_async(b"3"))
        assert await q.get_async() == b"2"
        await putter
        with await q.recv_async() as item:
            assert bytes(item) == b"3"
        getter = await begun(q.get_async())
        q.shutdown()
        with pytest.raises(sc.ShutDown):
            await getter
        with pytest.raises(sc.ShutDown):
            await q.put_async(b"4")

    run(main())


def test_pipe(seg):
    a, b = sc.Pipe.create(seg, "p", capacity=1)

    async def main():
        receiver = await begun(a.recv_async())
        await b.send_async({"x": 1})
        assert await receiver == {"x": 1}
        await a.send_bytes_async(b"1")
        sender = await begun(a.send_bytes_async(b"2"))
        assert await b.recv_bytes_async() == b"1"
        await sender
        assert await b.recv_bytes_async() == b"2"
        receiver = await begun(a.recv_bytes_async())
        b.close()
        with pytest.raises(EOFError):
            await receiver
        with pytest.raises(BrokenPipeError):
            await a.send_async(1)

    run(main())


def test_event_semaphore_and_lock(seg):
    e, s, lock = sc.Event.create(seg, "e"), sc.Semaphore.create(seg, "s", 0), sc.Lock.create(seg, "l")

    async def main():
        waiter = await begun(e.wait_async())
        e.set()
        assert await waiter is True and await e.wait_async() is True
        acquirer = await begun(s.acquire_async())
        s.release()
        assert await acquirer is True and s.get_value() == 0
        assert await lock.acquire_async() is True
        acquirer = await begun(lock.acquire_async())
        lock.release()
        assert await acquirer is True and lock.holder() != 0 and not lock.owner_died
        lock.poison()
        with pytest.raises(sc.PoisonedError):
            await lock.acquire_async()

    run(main())


def test_an_owner_that_is_killed(seg, child):
    lock = sc.Lock.create(seg, "l")
    holder = child("l = sc.Lock.open(seg, 'l'); l.acquire(); say('held'); hear()")
    holder.line()

    async def main():
        acquirer = await begun(lock.acquire_async())
        holder.kill()
        assert await acquirer is True and lock.owner_died

    run(main())


def test_the_other_end_is_killed(seg, child):
    a, b = sc.Pipe.create(seg, "p")
    other = child("b = sc.Pipe.open(seg, 'p', 'B'); b.send(1); say('open'); hear()")
    other.line()
    b.close()

    async def main():
        assert await a.recv_async() == 1
        receiver = await begun(a.recv_async())
        other.kill()
        with pytest.raises(EOFError):
            await receiver

    run(main())


def test_other_processes(seg, child):
    there, back = sc.Queue.create(seg, "there", 2), sc.Queue.create(seg, "back", 2)
    echo = child(
        """
        there, back = sc.Queue.open(seg, 'there'), sc.Queue.open(seg, 'back')
        for _ in range(300): back.put(there.get())
        """
    )

    async def send():
        for number in range(300):
            await there.put_async(b"%d" % number)

    async def main():
        sender = asyncio.ensure_future(send())
        assert [await back.get_async() for _ in range(300)] == [b"%d" % number for number in range(300)]
        await sender

    run(main())
    echo.finish()


def test_waiting_in_another_process(seg, child):
    q = sc.Queue.create(seg, "q")
    code = "import asyncio; q = sc.Queue.open(seg, 'q'); say('waits'); say(asyncio.run(q.get_async()))"
    killed, other = child(code), child(code)
    for waiter in (killed, other):
        waiter.line()
        waiter.sleeps()
    killed.kill()
    q.put(b"x")
    assert other.line() == "b'x'"


def test_cancelled_waits_take_nothing(seg, child):
    q, s, lock = sc.Queue.create(seg, "q", 1), sc.Semaphore.create(seg, "s", 0), sc.Lock.create(seg, "l")

    async def main():
        with lock:
            tasks = [await begun(wait()) for wait in (q.get_async, s.acquire_async, lock.acquire_async)]
            for task in tasks:
                await cancelled(task)
        q.put(b"1")
        s.release()
        assert q.qsize() == s.get_value() == 1 and lock.holder() == 0
        await cancelled(await begun(q.put_async(b"2")))
        assert q.get() == b"1" and q.empty()

    run(main())


def test_cancelled_when_it_has_rung(seg):
    """The bell has rung, the task has not run yet."""
    q = sc.Queue.create(seg, "q")

    async def main():
        for turn in range(50):
            getter = await begun(q.get_async())
            q.put(b"%d" % turn)
            if turn % 2:
                await asyncio.sleep(0)
            getter.cancel()
            try:
                assert await getter == b"%d" % turn
            except asyncio.CancelledError:
                assert q.get_nowait() == b"%d" % turn
            assert q.empty()

    run(main())


def test_a_bell_that_was_not_answered_wakes_somebody_else(seg, child):
    q = sc.Queue.create(seg, "q")

    async def main():
        getter = await begun(q.get_async())
        other = child("q = sc.Queue.open(seg, 'q'); say('waits'); say(q.get())")
        other.line()
        other.sleeps()
        q.put(b"x")
        await cancelled(getter)
        assert other.line() == "b'x'"

    run(main())


def test_no_descriptor_stays(seg):
    q = sc.Queue.create(seg, "q")

    async def main():
        await cancelled(await begun(q.get_async()))
        before = descriptors()
        for _ in range(100):
            await cancelled(await begun(q.get_async()))
        return before

    before = run(main())
    eventually(lambda: descriptors() <= before)


def test_many_tasks(seg):
    s, steps = sc.Semaphore.create(seg, "s", 3), []

    async def work(number):
        await s.acquire_async()
        steps.append(number)
        await asyncio.sleep(0)
        s.release()

    async def main():
        await asyncio.gather(*(work(number) for number in range(200)))

    run(main())
    assert sorted(steps) == list(range(200)) and s.get_value() == 3


def test_the_loop_goes_on(seg):
    e = sc.Event.create(seg, "e")

    async def main():
        waiter = await begun(e.wait_async())
        start = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - start < 0.4, "it does not spin"
        e.set()
        await waiter

    run(main())


def test_closed(seg):
    q = sc.Queue.create(seg, "q")
    q.close()

    async def main():
        with pytest.raises(sc.InvalidHandleError):
            await q.get_async()
        other = sc.Queue.open(seg, "q")
        getter = await begun(other.get_async())
        other.close()
        with pytest.raises(sc.InvalidHandleError):
            await getter

    run(main())


def test_two_loops_one_after_the_other(seg):
    e = sc.Event.create(seg, "e")

    async def main():
        waiter = await begun(e.wait_async())
        e.set()
        return await waiter

    for _ in range(2):
        assert run(main())
        e.clear()
