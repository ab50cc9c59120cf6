"""Compiles the companion of the package, `_speed.abi3.so`, into a directory.

usage: build_companion.py DIRECTORY

It needs a C compiler and the headers of any CPython from 3.10 on: what comes out serves them all. Where one
of them is missing it says so, and the package works without the companion, by ctypes alone.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

NAME = "_speed.abi3.so"
HERE = Path(__file__).resolve().parent
# The oldest limited API in which functions are called without a tuple of their arguments.
LIMITED_API = "0x030A0000"
FLAGS = ["-std=c11", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wl,-z,now"]


def headers():
    """Where this interpreter's Python.h is; None if it has none with the limited API of 3.10."""
    if sys.version_info < (3, 10) or sys.implementation.name != "cpython":
        return None
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return None
    for name in ("include", "platinclude"):
        path = Path(sysconfig.get_path(name))
        if (path / "Python.h").is_file():
            return path
    return None


def build(directory):
    """The compiled companion, or None after a line that says why there is none."""
    include = headers()
    if include is None:
        print(
            f"no companion: {sys.executable} has no Python.h of CPython 3.10 or later (Debian: python3-dev)"
        )
        return None
    target = Path(directory, NAME)
    # Renamed when complete: somebody may be using the one before.
    unfinished = target.with_suffix(f".{os.getpid()}")
    command = [
        *shlex.split(os.environ.get("CC", "cc")),
        *FLAGS,
        f"-DPy_LIMITED_API={LIMITED_API}",
        f"-I{HERE.parent / 'include'}",
        f"-I{include}",
        *sorted(map(str, HERE.glob("companion/*.c"))),
        "-o",
        str(unfinished),
    ]
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        print(f"no companion: {command[0]} was not found")
        return None
    unfinished.replace(target)
    return target


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if build(sys.argv[1]) is None:
        # What an earlier build has left there is of another time.
        Path(sys.argv[1], NAME).unlink(missing_ok=True)
