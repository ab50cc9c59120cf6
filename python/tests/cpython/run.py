"""Runs suite.py on every CPython that the machine has, and says how each did.

usage: run.py [--long] [NAME...] - Without --long, this interpreter runs the tests under all start methods
and each of the others under one, and none runs those of managers, whose objects are the standard library's.
SHARECELL_PYTHONS lists interpreters to be used in place of those found.
"""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from shutil import which

from exceptions import METHODS

HERE = Path(__file__).parent
# The tests sleep most of the time.
AT_A_TIME = 2 * (os.cpu_count() or 1)
PATIENCE = 1200
MANAGERS = "-WithManager"
DESCRIBE = (
    "import importlib.util as u, sys; v = sys.version_info; "
    "t = u.find_spec('test') and u.find_spec('test._test_multiprocessing'); "
    "print(sys.implementation.name, v[0], v[1], v[2], int(bool(t)), sys.base_prefix)"
)


class Interpreter:
    """A Python that can be run."""

    def __init__(self, path):
        self.path = path
        told = subprocess.run([path, "-c", DESCRIBE], capture_output=True, text=True)
        self.words = told.stdout.split() if told.returncode == 0 else []

    def is_wanted(self):
        return len(self.words) == 6 and self.words[0] == "cpython" and (3, 9) <= self.version < (3, 14)

    @property
    def version(self):
        return tuple(map(int, self.words[1:3]))

    @property
    def full_version(self):
        return ".".join(self.words[1:4])

    def has_tests(self):
        return self.words[4] == "1"

    def key(self):
        return self.words[5]


def interpreters():
    """One for each installation, this one first."""
    given = os.environ.get("SHARECELL_PYTHONS")
    paths = given.split() if given else [sys.executable, *found()]
    known = {}
    for path in paths:
        python = Interpreter(path)
        if python.is_wanted():
            known.setdefault(python.key(), python)
    return list(known.values())


def found():
    for minor in range(9, 14):
        yield from filter(None, [which(f"python3.{minor}")])
    yield from map(str, sorted(Path.home().glob(".pyenv/versions/3.*/bin/python")))
    yield "/usr/bin/python3"


class Run:
    """A part of the tests, on one interpreter under one start method."""

    def __init__(self, python, method, names):
        self.python, self.method, self.names = python, method, names
        self.output = ""

    def __call__(self):
        command = [self.python.path, "-X", "faulthandler", "suite.py", self.method, *self.names]
        try:
            done = subprocess.run(
                command, cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE
            )
            self.output, self.status = done.stdout.decode(errors="replace"), done.returncode
        except subprocess.TimeoutExpired as error:
            self.output, self.status = (
                (error.stdout or b"").decode(errors="replace"),
                f"no end in {PATIENCE} s",
            )

    def counts(self):
        """How many ran, were skipped, passed only the second time, failed."""
        result = re.search(
            r"^RESULT (\d+) run, (\d+) skipped, (\d+) again, (\d+) failed", self.output, re.MULTILINE
        )
        return tuple(map(int, result.groups())) if result and self.status in (0, 1) else None


def all_runs(pythons, is_long, names):
    for number, python in enumerate(pythons):
        if not python.has_tests():
            print(f"CPython {python.full_version} at {python.key()}: its tests are not installed", flush=True)
            continue
        few = [] if is_long else [MANAGERS]
        methods = METHODS if is_long or number == 0 else [METHODS[number % len(METHODS)]]
        for method in methods:
            parts = [names] if names else [[*few, part] for part in ("1/3", "2/3", "3/3")]
            yield [Run(python, method, part) for part in parts]


def run_all(runs):
    waiting = list(runs)
    lock = threading.Lock()

    def work():
        while True:
            with lock:
                if not waiting:
                    return
                run = waiting.pop(0)
            run()
            if run.counts() is None or run.status:
                print(
                    f"---- {run.python.full_version} {run.method} {run.names}: {run.status}\n{run.output}",
                    flush=True,
                )

    threads = [threading.Thread(target=work) for _ in range(AT_A_TIME)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main(arguments):
    is_long = "--long" in arguments
    names = [argument for argument in arguments if not argument.startswith("--")]
    groups = list(all_runs(interpreters(), is_long, names))
    run_all([run for group in groups for run in group])
    good = bool(groups)
    for group in groups:
        counts = [run.counts() for run in group]
        label = f"CPython {group[0].python.full_version:8} {group[0].method:11}"
        if None in counts:
            print(f"{label} did not come to its end")
            good = False
            continue
        ran, skipped, again, failed = map(sum, zip(*counts))
        print(
            f"{label} {ran:4} run, {ran - skipped - failed:4} passed ({again} the second time), "
            f"{skipped:3} skipped, {failed} failed"
        )
        good = good and not failed and ran > skipped
    if not groups:
        print("no CPython with its tests was found: install one (Debian: libpython3-testsuite)")
    sys.exit(not good)


if __name__ == "__main__":
    main(sys.argv[1:])
