import pytest
from processes import forked

import sharecell as sc


def test_permits(seg):
    s = sc.Semaphore.create(seg, "s", 2)
    same = sc.Semaphore.open(seg, "s")
    assert s.acquire() is True and same.acquire(False) is True and s.get_value() == 0
    assert s.acquire(False) is s.acquire(timeout=0) is s.acquire(timeout=0.01) is False
    same.release()
    assert s.get_value() == 1
    s.release(3)
    assert s.get_value() == 4
    with s as held:
        assert held is s and s.get_value() == 3
    assert s.get_value() == 4
    with pytest.raises(KeyError), s:
        raise KeyError
    assert s.get_value() == 4


def test_values(seg):
    assert sc.Semaphore.create(seg, "one").get_value() == 1
    most = sc.Semaphore.create(seg, "most", 2**31 - 1)
    for number in (1, 2**31, 2**32 - 1):
        with pytest.raises(sc.SemaphoreOverflowError) as caught:
            most.release(number)
        assert isinstance(caught.value, ValueError)
    assert most.get_value() == 2**31 - 1
    for wrong in (-1, 2**31, 2**32, 1 << 70):
        with pytest.raises(sc.InvalidArgumentError):
            sc.Semaphore.create(seg, "bad", wrong)
    for wrong in (0, -1, 2**32 + 1):
        with pytest.raises(sc.InvalidArgumentError):
            most.release(wrong)
    with pytest.raises(TypeError):
        sc.Semaphore.create(seg, "bad", 1.5)
    assert sc.Semaphore.open_or_create(seg, "one", 9).get_value() == 1
    assert sc.Semaphore.open_or_create(seg, "nine", 9).get_value() == 9
    assert "bad" not in {info.name for info in seg.objects()}


def test_a_waiter_is_woken(seg, child):
    s = sc.Semaphore.create(seg, "s", 0)
    other = child("s = sc.Semaphore.open(seg, 's'); say('waits'); s.acquire(); say('acquired')")
    other.line()
    other.sleeps()
    s.release()
    assert other.line() == "acquired"
    assert s.get_value() == 0


def test_a_killed_process_keeps_its_permit(seg, child):
    s = sc.Semaphore.create(seg, "s", 2)
    other = child("s = sc.Semaphore.open(seg, 's'); s.acquire(); say('acquired'); hear()")
    other.line()
    other.kill()
    seg.recover()
    assert s.get_value() == 1


def test_a_killed_waiter_takes_nothing(seg, child):
    s = sc.Semaphore.create(seg, "s", 0)
    code = "s = sc.Semaphore.open(seg, 's'); say('waits'); s.acquire(); say('acquired')"
    killed, other = child(code), child(code)
    for waiter in (killed, other):
        waiter.line()
        waiter.sleeps()
    killed.kill()
    s.release()
    assert other.line() == "acquired"


def test_fork(seg):
    s = sc.Semaphore.create(seg, "s", 1)
    assert forked(lambda: s.acquire(False))
    assert s.get_value() == 0
    assert forked(lambda: s.release() is None)
    assert s.get_value() == 1


def test_use_after_close(seg):
    s = sc.Semaphore.create(seg, "s")
    s.close()
    for use in (s.acquire, s.release, s.get_value, s.__enter__):
        with pytest.raises(sc.InvalidHandleError, match="semaphore 's' was closed"):
            use()
