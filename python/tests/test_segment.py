import os
import pickle
import signal
import threading

import pytest
from processes import eventually, forked

import sharecell as sc


def shm(name):
    return f"/dev/shm/sharecell.{name}"


def collected(name):
    """Waits until it is gone: somebody else who looks at it at this moment is in the way of a collection."""

    def is_gone():
        sc.gc()
        return not os.path.exists(shm(name))

    eventually(is_gone)


def test_create_open_unlink(name):
    a = sc.Segment.create(name, limit=1 << 20, mode=0o640, participants=5)
    b = sc.Segment.open(name)
    assert a.name == b.name == name
    assert a.limit == b.limit == 1 << 20
    assert 0 < a.size <= a.limit
    assert os.stat(shm(name)).st_mode & 0o777 == 0o640
    assert not a.is_unlinked()
    sc.unlink(name)
    assert a.is_unlinked() and b.is_unlinked() and not os.path.exists(shm(name))
    sc.Value.create(a, "v", "i", 3)
    assert sc.Value.open(b, "v", "i").value == 3
    with pytest.raises(sc.NotFoundError):
        sc.unlink(name)


def test_mode_is_private_whatever_the_umask(name):
    before = os.umask(0)
    try:
        segment = sc.Segment.create(name)
    finally:
        os.umask(before)
    assert os.stat(shm(name)).st_mode & 0o777 == 0o600
    segment.close()
    assert os.path.exists(shm(name)), "only an ephemeral segment goes with its last user"
    sc.unlink(name)


def test_names_are_taken_once(seg):
    with pytest.raises(sc.AlreadyExistsError, match="already exists") as caught:
        sc.Segment.create(seg.name)
    assert isinstance(caught.value, FileExistsError)
    assert sc.Segment.open_or_create(seg.name, limit=1 << 20).limit == seg.limit


def test_open_or_create_creates(name):
    with sc.Segment.open_or_create(name, ephemeral=True, limit=1 << 20) as segment:
        assert segment.limit == 1 << 20 and segment.is_ephemeral() and not segment.is_anonymous()
        assert name in sc.names()
    assert not os.path.exists(shm(name))


def test_missing(name):
    with pytest.raises(sc.NotFoundError) as caught:
        sc.Segment.open(name)
    assert isinstance(caught.value, FileNotFoundError)
    assert caught.value.code == -3
    with pytest.raises(FileNotFoundError):
        sc.Segment.open(name, wait=0.3)


def test_open_waits_for_a_creator(name):
    opened = []
    opener = threading.Thread(target=lambda: opened.append(sc.Segment.open(name, wait=60)))
    opener.start()
    with sc.Segment.create(name, ephemeral=True):
        opener.join()
        assert opened[0].name == name
        opened.pop().close()


@pytest.mark.parametrize("bad", ["", "a/b", "x" * 201, "new\nline", "nul\0", "\udc80"])
def test_names_that_cannot_be(bad):
    for verb in (sc.Segment.create, sc.Segment.open, sc.Segment.open_or_create, sc.unlink):
        with pytest.raises(sc.InvalidNameError) as caught:
            verb(bad)
        assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("bad", ["", "a/b", "x" * 129, "nul\0", "\udc80"])
def test_object_names_that_cannot_be(seg, bad):
    for verb in (sc.Lock.create, sc.Lock.open, sc.Queue.open_or_create, sc.Semaphore.create):
        with pytest.raises(sc.InvalidNameError):
            verb(seg, bad)
    with pytest.raises(sc.InvalidNameError):
        seg.remove(bad)
    assert seg.objects() == []


def test_names_are_text(seg):
    for bad in (b"bytes", 5, None):
        with pytest.raises(TypeError):
            sc.Segment.open(bad)
        with pytest.raises(TypeError):
            sc.Lock.create(seg, bad)


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 0},
        {"limit": -1},
        {"limit": 1 << 64},
        {"limit": 4096},
        {"mode": 0},
        {"mode": 0o400},
        {"mode": 0o1777},
        {"mode": -1},
        {"participants": 0},
        {"participants": 4096},
        {"participants": -3},
        {"participants": 1 << 33},
    ],
)
def test_options_that_cannot_be(name, options):
    for verb in (sc.Segment.create, sc.Segment.open_or_create):
        with pytest.raises(sc.InvalidArgumentError):
            verb(name, **options)


def test_other_files_are_no_segments(name):
    for content, error in (
        (b"", sc.UnfinishedError),
        (bytes(4096), sc.UnfinishedError),
        (b"text" * 4096, sc.NotASegmentError),
    ):
        found = None
        while found is None or type(found) is sc.NotFoundError:
            # Who creates a segment meanwhile, on this machine, may remove one that looks unfinished.
            with open(shm(name), "wb") as file:
                file.write(content)
            with pytest.raises(sc.SharecellError, match=name) as caught:
                sc.Segment.open(name)
            found = caught.value
        assert type(found) is error
        if os.path.exists(shm(name)):
            os.unlink(shm(name))


@pytest.mark.parametrize(
    "offset, error", [(8, sc.IncompatibleError), (12, sc.IncompatibleError), (16, sc.IncompatibleError)]
)
def test_segments_of_another_world(name, offset, error):
    sc.Segment.create(name).close()
    with open(shm(name), "r+b") as file:
        file.seek(offset)
        file.write(b"\x7f\x00\x00\x55")
    with pytest.raises(error, match="0x5500007f"):
        sc.Segment.open(name)
    sc.unlink(name)


def test_truncated(name):
    sc.Segment.create(name).close()
    os.truncate(shm(name), 8192)
    with pytest.raises(sc.CorruptedError, match="truncated"):
        sc.Segment.open(name)
    sc.unlink(name)


def test_boot_of_another_day(name):
    sc.Segment.create(name).close()
    with open(shm(name), "r+b") as file:
        file.seek(40)
        file.write(bytes(16))
    with pytest.raises(sc.StaleBootError):
        sc.Segment.open(name)
    sc.unlink(name)


def test_limit_reached(name):
    with sc.Segment.create(name, ephemeral=True, limit=1 << 20) as segment:
        with pytest.raises(sc.LimitReachedError) as caught:
            sc.Array.create(segment, "a", "B", 1 << 24)
        assert isinstance(caught.value, MemoryError)
        assert segment.objects() == []
        sc.Array.create(segment, "a", "B", 1 << 10)


def test_objects_are_listed_and_removed(seg):
    sc.Value.create(seg, "v", "d")
    a = sc.Array.create(seg, "a", "h", 7)
    sc.Queue.create(seg, "q", 9, max_item=50)
    sc.Pipe.create(seg, "p")
    sc.Lock.create(seg, "l")
    sc.Semaphore.create(seg, "s")
    found = {info.name: info for info in seg.objects()}
    kinds = {"v": "value", "a": "array", "q": "queue", "p": "pipe", "l": "lock", "s": "semaphore"}
    assert {info.name: info.kind for info in found.values()} == kinds
    assert found["a"] == sc.ObjectInfo("a", "array", "h", 2, 7)
    assert (found["q"].element_size, found["q"].count, found["q"].typecode) == (50, 9, None)
    seg.remove("a")
    a[3] = 5
    assert a[:] == [0, 0, 0, 5, 0, 0, 0], "who has it open goes on with it"
    with pytest.raises(sc.NotFoundError):
        sc.Array.open(seg, "a", "h")
    with pytest.raises(sc.NotFoundError):
        seg.remove("a")
    assert sc.Array.create(seg, "a", "h", 2)[:] == [0, 0]


def test_many_objects_are_listed(seg):
    locks = [sc.Lock.create(seg, f"lock {number}") for number in range(300)]
    assert {info.name for info in seg.objects()} == {lock.name for lock in locks}


def test_participants_and_recover(seg, child):
    (me,) = seg.participants()
    assert (me.pid, me.alive) == (os.getpid(), True)
    other = child("say('here'); hear()")
    other.line()
    assert {p.pid for p in seg.participants()} == {os.getpid(), other.pid}
    other.kill()
    dead = [p for p in seg.participants() if not p.alive]
    # Up to 3.9 it was forked, and had a seat of its own, before it became another program.
    assert {p.pid for p in dead} == {other.pid} and "python" in dead[-1].command
    assert seg.recover() == len(dead) <= 2
    assert [p.pid for p in seg.participants()] == [os.getpid()]


def test_table_full(name, child):
    name += "-full"
    with sc.Segment.create(name, ephemeral=True, participants=1) as segment:
        lock = sc.Lock.create(segment, "l")

        def refused():
            with pytest.raises(sc.NotAttachedError):
                lock.acquire()
            return True

        assert forked(refused), "a child for which no seat was free"
        other = child(
            f"""
            try:
                sc.Segment.open({name!r})
            except sc.TableFullError as error:
                say(error)
            """
        )
        assert "seats" in other.line()


def test_gc_removes_what_nobody_lives_in(name, child, seg):
    other = child(
        f"""
        a = sc.Segment.create({name + "-a"!r}, ephemeral=True)
        b = sc.Segment.create({name + "-b"!r})
        say('made')
        hear()
        """
    )
    other.line()
    other.kill()
    collected(name + "-a")
    assert os.path.exists(shm(name + "-b")), "a persistent segment is never removed"
    sc.unlink(name + "-b")
    assert not seg.is_unlinked()


def test_close_is_refused_while_objects_are_open(name):
    segment = sc.Segment.create(name, ephemeral=True)
    lock = sc.Lock.create(segment, "l")
    with pytest.raises(sc.BusyError, match="1 of its objects") as caught:
        segment.close()
    assert isinstance(caught.value, BufferError)
    assert lock.acquire(), "and all is still open"
    lock.release()
    lock.close()
    segment.close()
    segment.close()
    assert segment.closed and not os.path.exists(shm(name))


def test_with_closes_the_objects(name):
    with sc.Segment.create(name, ephemeral=True) as segment:
        lock = sc.Lock.create(segment, "l")
    assert lock.closed and segment.closed and not os.path.exists(shm(name))


def test_an_object_keeps_its_segment(name):
    value = sc.Value.create(sc.Segment.create(name, ephemeral=True), "v", "i", 5)
    assert value.value == 5 and value.segment.name == name
    del value
    assert not os.path.exists(shm(name)), "and lets go of it"


def test_use_after_close(name):
    segment = sc.Segment.create(name, ephemeral=True)
    segment.close()
    for use in (
        lambda: segment.limit,
        lambda: segment.size,
        segment.is_unlinked,
        segment.objects,
        segment.participants,
        segment.recover,
        lambda: segment.remove("x"),
        lambda: sc.Lock.create(segment, "l"),
        lambda: sc.Pipe.create(segment, "p"),
        segment.__enter__,
    ):
        with pytest.raises(sc.InvalidHandleError, match="closed"):
            use()


def test_pickle(seg):
    copy = pickle.loads(pickle.dumps(seg))
    sc.Value.create(copy, "v", "i", 7)
    assert sc.Value.open(seg, "v", "i").value == 7
    copy.__exit__()


def test_constructors_are_not_for_users():
    for cls in (sc.Segment, sc.Value, sc.Array, sc.Lock, sc.Semaphore, sc.Queue, sc.Pipe):
        with pytest.raises(TypeError, match="create"):
            cls()


def test_unlinked_by_another_process(seg, child):
    other = child("sc.unlink(seg.name); say(seg.is_unlinked())")
    assert other.line() == "True"
    assert seg.is_unlinked()
    other.finish()


def test_a_killed_last_user_leaves_nothing_for_long(name, seg, child):
    other = child(f"s = sc.Segment.create({name + '-dead'!r}, ephemeral=True); say('made'); hear()")
    other.line()
    other.signal(signal.SIGKILL)
    other.process.wait()
    # Each creation on this machine looks at a few names; gc looks at all.
    collected(name + "-dead")
