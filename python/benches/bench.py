"""Times the Python package beside multiprocessing and faster-fifo, in one run, and says which aims are met.

usage: bench.py [--json FILE] [--quick]

Calls within a process are timed in short bursts, ours and the peer's by turns; what is shown is the median of
the bursts and the ratio of the medians. What goes between processes runs in two, pinned to two processors if
there are two. All is measured with the compiled companion and, in a process of its own, with ctypes alone.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time

MODES = ("compiled", "ctypes")


def main():
    """Measures and shows."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", metavar="FILE", help="write the results there, too")
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    parser.add_argument("--mode", choices=MODES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.mode:
        import cases

        json.dump(cases.run(options.mode, options.quick), sys.stdout)
        return
    results = []
    for mode in MODES:
        part = measured(mode, options.quick)
        show(mode, part)
        results += part
    summary = {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processors": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d"),
        "load": os.getloadavg()[0],
        "results": results,
    }
    aims = [row for row in results if row["aim"] is not None]
    print(f"\n{sum(row['met'] for row in aims)} of {len(aims)} aims are met", end="")
    print(
        f" (load average {summary['load']:.1f}: above 1, what is between processes measures the others, too)"
    )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(summary, file, indent=1)


def measured(mode, quick):
    """The rows of a mode, measured in a process of its own."""
    environment = {**os.environ, "SHARECELL_PURE": "1" if mode == "ctypes" else "0"}
    command = [sys.executable, __file__, "--mode", mode, *(["--quick"] if quick else [])]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def show(mode, rows):
    """Prints them."""
    print(f"\n{mode:48s} {'ours':>12s} {'the peer':>12s} {'ratio':>7s} {'aim':>8s}")
    for row in rows:
        aim = "" if row["aim"] is None else f"{'≤' if row['at_most'] else '≥'} {row['aim']:g}"
        met = "" if row["aim"] is None else "met" if row["met"] else "MISSED"
        name = f"{row['name']} : {row['peer']}"
        print(f"{name:48s} {amount(row, 'ours')} {amount(row, 'theirs')} {row['ratio']:7.2f} {aim:>8s} {met}")


def amount(row, side):
    """A time or a rate, for people."""
    value = statistics.median(row[side])
    if row["unit"] == "ns":
        return f"{value:9.0f} ns" if value < 10000 else f"{value / 1000:9.1f} µs"
    return f"{value / 1000:8.0f} k/s"


if __name__ == "__main__":
    main()
