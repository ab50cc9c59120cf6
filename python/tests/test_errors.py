import ctypes
import errno
import os
import pickle
import queue
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import sharecell as sc
from sharecell import _native, errors

HEADER = Path(__file__).parents[2] / "include" / "sharecell.h"


def numbers(prefix):
    found = re.findall(rf"^#define {prefix}(\w+) (-?\d+)$", HEADER.read_text(), re.M)
    assert found
    return {name: int(number) for name, number in found}


def test_there_is_a_class_for_each_status():
    codes = {cls.code for cls in sc.SharecellError.__subclasses__()}
    assert codes == {_native.BROKEN, *numbers("SHC_ERR_").values()}
    for cls in sc.SharecellError.__subclasses__():
        assert getattr(sc, cls.__name__) is getattr(errors, cls.__name__) is cls
        assert cls.__name__ in sc.__all__ and cls.__name__ in errors.__all__ and cls.__doc__


def test_numbers_are_those_of_the_header():
    outcomes = ("OK", "WOULD_BLOCK", "TIMED_OUT", "INTERRUPTED", "CLOSED", "OWNER_DIED", "BROKEN")
    for name, number in numbers("SHC_").items():
        if name in outcomes or hasattr(_native, name):
            assert getattr(_native, name) == number, name
    assert {kind.upper(): number for number, kind in _native.KINDS.items()} == numbers("SHC_KIND_")


def test_every_function_of_the_header_has_a_prototype():
    declared = re.findall(r"\b(shc_\w+)\(", re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S))
    assert set(declared) == set(_native.PROTOTYPES)


def test_structs_are_as_large_as_in_c():
    sizes = {
        _native.Type: 24,
        _native.SegmentOptions: 40,
        _native.QueueOptions: 48,
        _native.PipeOptions: 32,
        _native.Claim: 48,
        _native.Place: 32,
        _native.Buffer: 16,
        _native.Interest: 16,
        _native.ObjectInfo: 160,
        _native.ParticipantInfo: 48,
    }
    for struct, size in sizes.items():
        assert ctypes.sizeof(struct) == size, struct


@pytest.mark.parametrize(
    "cls, builtin",
    [
        (sc.NotFoundError, FileNotFoundError),
        (sc.AlreadyExistsError, FileExistsError),
        (sc.InvalidNameError, ValueError),
        (sc.InvalidArgumentError, ValueError),
        (sc.WrongKindError, TypeError),
        (sc.WrongTypeError, TypeError),
        (sc.WrongSizeError, ValueError),
        (sc.PermissionDeniedError, PermissionError),
        (sc.WrongUserError, PermissionError),
        (sc.NoSpaceError, OSError),
        (sc.NoSpaceError, MemoryError),
        (sc.LimitReachedError, MemoryError),
        (sc.TooLargeError, ValueError),
        (sc.OutOfRangeError, IndexError),
        (sc.ValueRangeError, OverflowError),
        (sc.NotHeldError, ValueError),
        (sc.NotOwnerError, RuntimeError),
        (sc.PoisonedError, RuntimeError),
        (sc.BrokenBarrierError, threading.BrokenBarrierError),
        (sc.NotAttachedError, RuntimeError),
        (sc.BusyError, BufferError),
        (sc.UnsupportedError, OSError),
        (sc.OutOfResourcesError, OSError),
        (sc.SystemError_, OSError),
        (sc.SemaphoreOverflowError, ValueError),
        (sc.InvalidHandleError, ValueError),
        (sc.BufferTooSmallError, ValueError),
        (sc.Full, queue.Full),
        (sc.Empty, queue.Empty),
    ],
)
def test_errors_are_what_one_would_expect(cls, builtin):
    assert issubclass(cls, builtin)


def test_errors_say_what_and_travel(name):
    with pytest.raises(sc.NotFoundError, match=name) as caught:
        sc.Segment.open(name)
    assert caught.value.errno == errno.ENOENT
    copy = pickle.loads(pickle.dumps(caught.value))
    assert type(copy) is sc.NotFoundError and str(copy) == str(caught.value) and copy.code == -3


def run(code, **environment):
    environment = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)


def test_a_missing_library_is_an_import_error(tmp_path):
    done = run("import sharecell", SHARECELL_LIBRARY=str(tmp_path / "nothing.so"))
    assert done.returncode == 1 and "ImportError" in done.stderr and "make build" in done.stderr
    other = tmp_path / "other.so"
    other.write_bytes(b"no library")
    done = run("import sharecell", SHARECELL_LIBRARY=str(other))
    assert "ImportError" in done.stderr and "cannot be loaded" in done.stderr


def test_the_import_brings_nothing_along():
    code = "import sys, sharecell; print(sorted({'numpy', 'multiprocessing'} & set(sys.modules)))"
    assert run(code).stdout == "[]\n"


def test_all_is_there():
    assert sorted(sc.__all__) == sc.__all__
    for name in sc.__all__:
        assert getattr(sc, name) is not None
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", sc.__version__)
