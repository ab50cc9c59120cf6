"""The programs of the tutorial: with the standard library and with the import changed they say the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples" / "multiprocessing"
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py"))
OURS = "import sharecell.multiprocessing as multiprocessing\n"
THEIRS = "import multiprocessing\n"


def test_there_are_all():
    assert len(PROGRAMS) == 7


def said_by(path, method):
    done = subprocess.run(
        [sys.executable, path, method], capture_output=True, text=True, timeout=240, env={**os.environ}
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_says_the_same(tmp_path, program):
    source = (EXAMPLES / program).read_text()
    assert source.count(OURS) == 1
    standard = tmp_path / program
    standard.write_text(source.replace(OURS, THEIRS))
    expected = said_by(standard, "fork")
    assert expected
    for method in "fork", "spawn", "forkserver":
        assert said_by(EXAMPLES / program, method) == expected
