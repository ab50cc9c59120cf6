"""The page on sharing with Rust and C shows the examples, and they work together."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import sharecell as sc

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
PATIENCE = 240


@pytest.mark.parametrize("ending", ["py", "rs", "c"])
def test_the_page_shows_the_example(ending):
    lines, shown = [], False
    for line in (EXAMPLES / f"sharing.{ending}").read_text().splitlines():
        if "[sharing]" in line:
            shown = not shown
        elif shown:
            lines.append(line)
    indent = min(len(line) - len(line.lstrip()) for line in lines if line)
    expected = "\n".join(line[indent:] for line in lines)
    page = (ROOT / "docs" / "python" / "sharing.md").read_text()
    blocks = re.findall(r"```(\w+)\n(.*?)\n```", page, re.DOTALL)
    assert expected in [text for _, text in blocks]


def compiled(tmp_path):
    library = Path(os.environ["SHARECELL_LIBRARY"])
    program = tmp_path / "sharing"
    subprocess.run(
        [
            *shlex.split(os.environ.get("CC", "cc")),
            EXAMPLES / "sharing.c",
            *("-o", program, f"-I{ROOT / 'include'}", f"-L{library.parent}", "-lsharecell"),
            f"-Wl,-rpath,{library.parent}",
        ],
        check=True,
    )
    return program


def said_by(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout


def test_python_rust_and_c_share(tmp_path, name):
    rust = Path(os.environ["SHARECELL_LIBRARY"]).parent / "examples" / "sharing"
    assert rust.exists(), f"{rust} is missing: run `make build`"
    python = subprocess.Popen(
        [sys.executable, EXAMPLES / "sharing.py", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert python.stdout.readline() == "counter: 1\n"
    assert said_by(compiled(tmp_path), name) == "first: 2.5\n"
    assert said_by(rust, name) == f"sum: {sum(range(500, 1000)) / 2:g}\n"
    with sc.Segment.open(name) as segment:
        assert sc.Array.open(segment, "frame", "d")[0] == 2.5
        assert sc.Queue.open(segment, "jobs").empty()
    told, _ = python.communicate("\n", PATIENCE)
    assert told.splitlines()[-1] == "counter: 3" and python.returncode == 0
