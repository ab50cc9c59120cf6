"""Unrelated processes that tests talk to by lines."""

import os
import select
import signal
import subprocess
import sys
import textwrap
import time

PATIENCE = 240

_PRELUDE = """
import ctypes, os, signal, sys, threading
import sharecell as sc

def say(*words):
    print(*words, flush=True)

def hear():
    return sys.stdin.readline().strip()

class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_double), ("label", ctypes.c_int)]

seg = sc.Segment.open(sys.argv[1])
"""


class Child:
    """Runs code in an interpreter of its own."""

    def __init__(self, segment, code):
        program = _PRELUDE + textwrap.dedent(code)
        self.process = subprocess.Popen(
            [sys.executable, "-X", "faulthandler", "-c", program, segment],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.pid = self.process.pid
        self._unread = b""

    def line(self):
        """The next line that it says."""
        end = time.monotonic() + PATIENCE
        while b"\n" not in self._unread:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            assert ready, f"the child said nothing for {PATIENCE} s"
            data = os.read(self.process.stdout.fileno(), 65536)
            assert data, f"the child has ended, with status {self.process.wait(PATIENCE)}"
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def tell(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def sleeps(self):
        """Waits until its main thread is asleep in the kernel."""
        eventually(lambda: state(self.pid) == "S")

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """Kills it, and waits until the kernel has buried it."""
        self.process.kill()
        self.process.wait(PATIENCE)

    def end(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.communicate()

    def finish(self):
        """Waits until it has ended in good order."""
        assert self.process.wait(PATIENCE) == 0


def state(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0]


def eventually(condition):
    """Waits for what must come true; how soon does not matter."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.001)


def left_alone(seg):
    """Waits until nothing is left of those who were killed: who reads /proc may keep their memory a while."""
    eventually(lambda: seg.recover() == 0 and len(seg.participants()) == 1)


def exit_status(pid):
    """Of a forked child of this very process."""
    return os.waitpid(pid, 0)[1]


def forked(action):
    """Runs `action` in a forked child; whether it returned something true."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = 0 if action() else 2
        finally:
            os._exit(status)
    return exit_status(pid) == 0
