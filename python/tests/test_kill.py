"""Processes that are killed at any moment; what their own files do not have."""

import random

import pytest
from processes import PATIENCE, eventually, left_alone
from test_value import Point

import sharecell as sc

ROUNDS = 8


def test_a_wide_value_is_whole(seg, child):
    v = sc.Value.create(seg, "v", Point)
    rounds = sc.Value.create(seg, "rounds", "q")
    for turn in range(ROUNDS):
        writer = child(
            """
            v, rounds, n = sc.Value.open(seg, 'v', Point), sc.Value.open(seg, 'rounds', 'q'), 0
            while True:
                n += 1
                v.value = Point(n, n, n)
                rounds.value += 1
            """
        )
        seen = rounds.value
        eventually(lambda seen=seen: rounds.value > seen + random.randrange(300))
        writer.kill()
        p = v.value
        assert p.x == p.y == p.label
        v.value = (turn, turn, turn)
        assert v.value.x == turn, "and others write on"


@pytest.mark.parametrize(
    "make, open, write",
    [
        ("sc.Value.create(seg, 'x', Point)", "sc.Value.open(seg, 'x', Point)", "x.value = Point(1, 1, 1)"),
        ("sc.Array.create(seg, 'x', 'd', 5000)", "sc.Array.open(seg, 'x', 'd')", "x.fill(1)"),
    ],
)
def test_killed_in_the_lock_of_an_object(seg, child, make, open, write):
    thing = eval(make)
    for _ in range(ROUNDS):
        other = child(f"x = {open}; l = x.get_lock(); l.acquire(); {write}; say('holds'); hear()")
        other.line()
        other.kill()
        with thing.get_lock() as lock:
            assert lock.owner_died
    with thing.get_lock() as lock:
        assert not lock.owner_died


def test_putters_and_getters(seg, child):
    """Each item that a living putter has put arrives; one of a killed getter arrives again."""
    q = sc.Queue.create(seg, "q", 16)
    steps = sc.Value.create(seg, "steps", "q")
    code = {
        "putter": "while True: q.put(b'noise' * 50); steps.add(1)",
        "getter": """while True:
                with q.recv() as item: assert bytes(item)[:5] == b'noise'
                steps.add(1)""",
        "in batches": """while True:
                for item in q.get_many(5): assert item[:5] == b'noise'
                q.put_many([b'noise' * 50] * 5)
                steps.add(1)""",
    }
    for _ in range(ROUNDS):
        kinds = ["putter", "getter", "in batches"]
        others = [
            child(
                f"""
            q, steps = sc.Queue.open(seg, 'q'), sc.Value.open(seg, 'steps', 'q')
            {code[kind]}
            """
            )
            for kind in kinds
        ]
        seen = steps.value
        eventually(lambda seen=seen: steps.value > seen + 100 + random.randrange(300))
        for other in others:
            other.kill()
        left_alone(seg)
        left = 0
        while not q.empty():
            assert q.get(timeout=PATIENCE) == b"noise" * 50, "whole"
            left += 1
        assert left <= q.maxsize and q.qsize() == 0
        assert q.put_many([b"%d" % n for n in range(16)], timeout=PATIENCE) == 16
        assert q.get_many(99) == [b"%d" % n for n in range(16)]


def test_talkers(seg, child):
    a, b = sc.Pipe.create(seg, "p", capacity=8)
    for _ in range(ROUNDS):
        echo = child("b = sc.Pipe.open(seg, 'p', 'B')\nwhile True: b.send_bytes(b.recv_bytes())")
        for number in range(random.randrange(20, 60)):
            a.send_bytes(b"%d" % number * 60)
            assert a.recv_bytes(PATIENCE) == b"%d" % number * 60
        for _ in range(4):
            a.send_bytes(b"for the next")
        echo.kill()
        left_alone(seg)
        while a.poll(0):
            assert a.recv_bytes() == b"for the next"
        while b.poll(0):
            assert b.recv_bytes() == b"for the next"


def test_killed_while_creating(name, seg, child):
    """The names that it had reached are whole, and the memory of the others comes back."""
    for turn in range(ROUNDS):
        other = child(
            """
            say('creates')
            for n in range(100000):
                sc.Array.create(seg, f'a{n}', 'q', [n] * 100).close()
                seg.remove(f'a{n}')
            """
        )
        other.line()
        lock = sc.Lock.create(seg, f"l{turn}")
        other.kill()
        left_alone(seg)
        for info in seg.objects():
            if info.kind == "array":
                assert len(sc.Array.open(seg, info.name, "q")) == 100
                seg.remove(info.name)
        assert {info.kind for info in seg.objects()} == {"lock"}
        assert lock.acquire(False)
        lock.release()
    assert seg.size < 1 << 22
