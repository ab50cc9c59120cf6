import os
import pickle

import pytest
from processes import PATIENCE, exit_status, forked

import sharecell as sc


def test_duplex(seg):
    a, b = sc.Pipe.create(seg, "p")
    assert (a.end, b.end) == ("A", "B") and a.readable and a.writable and b.readable and b.writable
    a.send_bytes(b"ping")
    assert b.poll() and b.recv_bytes() == b"ping" and not b.poll()
    b.send_bytes(b"")
    b.send_bytes(b"pong")
    assert [a.recv_bytes(), a.recv_bytes()] == [b"", b"pong"]


def test_simplex(seg):
    a, b = sc.Pipe.create(seg, "p", duplex=False)
    assert not a.duplex and not b.duplex
    assert a.readable and not a.writable and b.writable and not b.readable
    b.send_bytes(b"x")
    assert a.recv_bytes() == b"x"
    for attempt in (lambda: a.send_bytes(b"x"), lambda: a.reserve(1), b.recv_bytes, b.poll, b.recv_in_place):
        with pytest.raises(sc.UnsupportedError, match="simplex") as caught:
            attempt()
        assert isinstance(caught.value, OSError)


def test_objects(seg):
    a, b = sc.Pipe.create(seg, "p")
    for thing in (None, {"a": [1, 2.5]}, "text" * 10000, sc.NotFoundError("x")):
        a.send(thing)
        assert repr(b.recv(timeout=5)) == repr(thing)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        a.send(lambda: 0)
    assert not b.poll()


def test_timeouts(seg):
    a, b = sc.Pipe.create(seg, "p", capacity=2)
    for timeout in (0, 0.01, -1):
        for receive in (a.recv_bytes, a.recv, a.recv_in_place):
            with pytest.raises(TimeoutError):
                receive(timeout=timeout)
        assert not a.poll(timeout)
    b.send_bytes(b"1", timeout=0)
    b.send_bytes(b"2", timeout=1)
    for timeout in (0, 0.01, -1):
        for send in (b.send_bytes, b.send, lambda _, timeout: b.reserve(1, timeout)):
            with pytest.raises(TimeoutError):
                send(b"3", timeout=timeout)
    assert a.poll(None) and a.recv_bytes() == b"1"


@pytest.mark.parametrize("size", [0, 104, 105, 100_000, 2_000_000])
def test_messages_of_any_size(seg, size):
    a, b = sc.Pipe.create(seg, "p", inline=104)
    data = os.urandom(size)
    for _ in range(3):
        a.send_bytes(data)
        assert b.recv_bytes() == data
        a.send_bytes(bytearray(data))
        buffer = bytearray(size + 3)
        assert b.recv_bytes_into(buffer) == size and buffer == data + b"\0\0\0"
        with a.reserve(size) as slot:
            slot.data[:] = data
        with b.recv_in_place() as message:
            assert message.data == data and message.deliveries == 1


def test_into_a_buffer(seg):
    a, b = sc.Pipe.create(seg, "p")
    a.send_bytes(b"12345")
    a.send_bytes(b"next")
    for small in (bytearray(4), bytearray()):
        with pytest.raises(sc.BufferTooSmallError, match="5 bytes") as caught:
            b.recv_bytes_into(small)
        assert isinstance(caught.value, ValueError) and bytes(small) == bytes(len(small))
    with pytest.raises(TypeError):
        b.recv_bytes_into(b"read-only")
    buffer = bytearray(8)
    assert b.recv_bytes_into(memoryview(buffer)[2:]) == 5 and buffer == b"\0\x0012345\0"
    assert b.recv_bytes() == b"next"


def test_put_back_keeps_the_order(seg):
    a, b = sc.Pipe.create(seg, "p")
    for data in (b"1", b"2", b"3"):
        a.send_bytes(data)
    message = b.recv_in_place()
    message.put_back()
    with pytest.raises(KeyError), b.recv_in_place() as message:
        assert bytes(message) == b"1"
        raise KeyError
    assert b.poll()
    assert [b.recv_bytes(), b.recv_bytes(), b.recv_bytes()] == [b"1", b"2", b"3"]
    assert not b.poll()


def test_in_place(seg):
    a, b = sc.Pipe.create(seg, "p")
    with a.reserve(10) as slot:
        slot.data[:2] = b"hi"
        slot.commit(2)
    with pytest.raises(KeyError), a.reserve(3):
        raise KeyError
    a.reserve(3).abort()
    with b.recv_in_place() as message:
        assert bytes(message.data) == b"hi"
    with pytest.raises(sc.NotHeldError):
        message.release()
    assert not b.poll()


def test_end_of_file(seg):
    a, b = sc.Pipe.create(seg, "p")
    a.send_bytes(b"last")
    assert b.recv_bytes() == b"last"
    a.send_bytes(b"very last")
    a.close()
    assert b.poll(None) and b.recv_bytes() == b"very last"
    assert b.poll(None), "the end-of-file can be received"
    for receive in (b.recv_bytes, b.recv, b.recv_in_place, lambda: b.recv_bytes_into(bytearray(1))):
        with pytest.raises(EOFError):
            receive()
    for send in (lambda: b.send_bytes(b"x"), lambda: b.send(1), lambda: b.reserve(1)):
        with pytest.raises(BrokenPipeError):
            send()
    with pytest.raises(BrokenPipeError, match="closed for good"):
        sc.Pipe.open(seg, "p", "A")


def test_nobody_yet_is_no_end_of_file(seg):
    a = sc.Pipe.open_or_create(seg, "p", "A")
    with pytest.raises(TimeoutError):
        a.recv_bytes(timeout=0.01)
    a.send_bytes(b"for whom it may concern")
    b = sc.Pipe.open(seg, "p", "B")
    assert b.recv_bytes() == b"for whom it may concern"


def test_mismatches(seg):
    ends = sc.Pipe.create(seg, "p", capacity=16)
    assert sc.Pipe.open_or_create(seg, "p", "A", capacity=16).end == "A"
    for options in ({"capacity": 17}, {"capacity": 16, "duplex": False}):
        with pytest.raises(sc.WrongSizeError, match="duplex with 16"):
            sc.Pipe.open_or_create(seg, "p", "A", **options)
    with pytest.raises(sc.AlreadyExistsError):
        sc.Pipe.create(seg, "p")
    with pytest.raises(sc.NotFoundError):
        sc.Pipe.open(seg, "q", "A")
    for wrong in ("C", "", "a", 0, None):
        with pytest.raises(sc.InvalidArgumentError, match='"A" or "B"'):
            sc.Pipe.open(seg, "p", wrong)
    for options in ({"capacity": 0}, {"capacity": -1}, {"inline": -1}):
        with pytest.raises(sc.InvalidArgumentError):
            sc.Pipe.create(seg, "r", **options)
    with pytest.raises(sc.WrongKindError):
        sc.Lock.open(seg, "p")
    assert len(ends) == 2


@pytest.mark.parametrize("waits", [False, True])
def test_a_death_is_an_end_of_file(seg, child, waits):
    a = sc.Pipe.open_or_create(seg, "p", "A")
    other = child(
        "b = sc.Pipe.open(seg, 'p', 'B'); b.send_bytes(b'hello'); b.send_bytes(b'bye'); say('sent'); hear()"
    )
    other.line()
    assert a.recv_bytes() == b"hello"
    if waits:
        waiter = child(
            """
            a = sc.Pipe.open(seg, 'p', 'A')
            say(a.recv_bytes().decode())
            try: a.recv_bytes()
            except EOFError: say('end')
            """
        )
        assert waiter.line() == "bye"
        waiter.sleeps()
        other.kill()
        assert waiter.line() == "end"
    else:
        other.kill()
        assert a.recv_bytes() == b"bye"
    with pytest.raises(EOFError):
        a.recv_bytes()
    with pytest.raises(BrokenPipeError):
        a.send_bytes(b"x")


def test_a_death_wakes_a_sender(seg, child):
    reader = child("a = sc.Pipe.open_or_create(seg, 'p', 'A', capacity=1); say('there'); hear()")
    reader.line()
    sender = child(
        """
        b = sc.Pipe.open(seg, 'p', 'B')
        b.send_bytes(b'1'); say('waits')
        try: b.send_bytes(b'2')
        except BrokenPipeError: say('broken')
        """
    )
    sender.line()
    sender.sleeps()
    reader.kill()
    assert sender.line() == "broken"


def test_what_a_killed_receiver_had_taken(seg, child):
    a, b = sc.Pipe.create(seg, "p")
    a.send_bytes(b"work")
    other = child("b = sc.Pipe.open(seg, 'p', 'B'); m = b.recv_in_place(); say(bytes(m)); hear()")
    assert other.line() == "b'work'"
    other.kill()
    with b.recv_in_place(timeout=PATIENCE) as message:
        assert bytes(message) == b"work" and message.deliveries == 2


def test_what_another_receiver_puts_back(seg, child):
    a, b = sc.Pipe.create(seg, "p")
    a.send_bytes(b"work")
    other = child("b = sc.Pipe.open(seg, 'p', 'B'); b.recv_in_place().put_back(); say('put back'); hear()")
    other.line()
    with b.recv_in_place(timeout=PATIENCE) as message:
        assert bytes(message) == b"work" and message.deliveries == 2


def test_fork(seg):
    a, b = sc.Pipe.create(seg, "p")
    assert forked(lambda: b.send_bytes(b"from the child") is None)
    assert a.recv_bytes() == b"from the child"
    with pytest.raises(TimeoutError):
        a.recv_bytes(timeout=0.01)
    b.send_bytes(b"held")
    message = a.recv_in_place()

    def leave():
        with pytest.raises(sc.NotHeldError):
            message.release()
        with message:
            return not a.poll()

    assert forked(leave), "what the parent holds is not the child's"
    assert bytes(message) == b"held"
    message.release()


def test_a_forked_child_holds_the_end(seg):
    a, b = sc.Pipe.create(seg, "p")
    pid = os.fork()
    if pid == 0:
        a.close()
        data = b.recv_bytes()
        b.send_bytes(data.upper())
        os._exit(0)
    b.close()
    a.send_bytes(b"hello")
    assert a.recv_bytes() == b"HELLO"
    assert exit_status(pid) == 0
    with pytest.raises(EOFError):
        a.recv_bytes()


def test_use_after_close(seg):
    a, _ = sc.Pipe.create(seg, "p")
    a.close()
    for use in (
        a.recv_bytes,
        a.recv,
        a.recv_in_place,
        a.poll,
        lambda: a.poll(1),
        lambda: a.send_bytes(b"x"),
        lambda: a.send(1),
        lambda: a.reserve(1),
        lambda: a.recv_bytes_into(bytearray(1)),
    ):
        with pytest.raises(sc.InvalidHandleError, match="pipe 'p' was closed"):
            use()
