"""Segments with names of their own, processes to play with, and a check that nothing stays behind."""

import gc
import itertools
import os
import sys
from pathlib import Path

import pytest
from processes import Child

import sharecell as sc

PREFIX = f"pytest-{os.getpid()}-"
_numbers = itertools.count()


def leftovers():
    return sorted(path.name for path in Path("/dev/shm").glob(f"sharecell.{PREFIX}*"))


@pytest.fixture(autouse=True)
def _nothing_stays_behind():
    assert leftovers() == []
    yield
    # A failed assertion keeps the frames of the test, and what they hold. PyPy collects a layer at a time.
    for _ in range(1 if sys.implementation.name == "cpython" else 4):
        gc.collect()
    found = leftovers()
    for name in found:
        os.unlink(f"/dev/shm/{name}")
    assert found == [], "the test has left segments behind"


@pytest.fixture
def name():
    return f"{PREFIX}{next(_numbers)}"


@pytest.fixture
def seg(name):
    with sc.Segment.create(name, ephemeral=True) as segment:
        yield segment


@pytest.fixture
def child(seg):
    """Starts Python in a process of its own: `seg` is open there, `sc` imported, `say` writes a line."""
    children = []

    def start(code):
        children.append(Child(seg.name, code))
        return children[-1]

    yield start
    for process in children:
        process.end()
