"""Where the time of measures goes: profile.py BENCH FOLDER NOTE, from the samples that are in FOLDER.

Prints it for people, and writes FOLDER/profiles.json, which `make bench-doc` gathers.
"""

import csv
import json
import re
import subprocess
import sys
from bisect import bisect_left
from collections import Counter, defaultdict
from pathlib import Path

ROOT = f"{Path(__file__).resolve().parent.parent}/"
PLACES, KINDS = 6, 5
# What the workers of a group do; where there are several, each half of them does the same.
SIDES = {"round": ("who asks", "who answers"), "loan": ("who asks", "who answers")}
MMAP = re.compile(r"MMAP2? \d+/\d+: \[0x(\w+)\(0x(\w+)\) @ (\w+) .*: r-xp (.*)")
FRAME = re.compile(r"\s+([0-9a-f]+) (.*?)(?:\+0x[0-9a-f]+)? \((.*)\)$")
SYSTEM_CALL = re.compile(r"__(?:x64|arm64|riscv|do)_sys_(?:new)?(\w+)|ksys_(mmap)_pgoff|(close|munmap)")
INSTRUCTIONS = [
    ("compare-and-swap", re.compile(r"(lock )?cmpxchg|casal?|cas[al]")),
    ("other atomic", re.compile(r"lock |xchg .*\(|mfence|dmb")),
    ("copying", re.compile(r"rep |\w*movnt")),
    ("pause", re.compile(r"pause|yield|isb")),
    ("computing", re.compile(r"lea|nop|data16|prefetch|call|ret|push|pop|j\w+ ")),
    ("load", re.compile(r"(cmp|test|bt)\w* .*\(")),
    ("store", re.compile(r"\S+ .*,\S*\([^)]*\)$")),
    ("load", re.compile(r".*\(%|.*\[")),
]


def said_by(*command, **keywords):
    """What a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True, **keywords).stdout


class Program:
    """The sampled program: for addresses in it, functions of this repository and kinds of instructions."""

    def __init__(self, path):
        self.path = path
        headers = re.findall(r"LOAD +0x(\w+) 0x(\w+) 0x\w+ 0x(\w+) .* R E ", said_by("readelf", "-lW", path))
        self.parts = [tuple(int(number, 16) for number in header) for header in headers]
        self.mappings = []

    def address(self, ip):
        """That of the file, of an address that perf gives: in memory, or an offset in the file."""
        for start, length, offset in self.mappings:
            if start <= ip < start + length:
                ip += offset - start
        return next((ip - offset + at for offset, at, size in self.parts if offset <= ip < offset + size), ip)

    def before(self, addresses):
        """For each address the instruction before it, which took the time: its address and text.

        One that repeats is interrupted in its midst.
        """
        text = said_by("objdump", "-d", "--no-show-raw-insn", self.path)
        lines = re.findall(r"^ *([0-9a-f]+):\t(.*?)(?: +[#<].*)?$", text, flags=re.MULTILINE)
        starts = [int(at, 16) for at, _ in lines]
        took = {}
        for address in addresses:
            i = min(bisect_left(starts, address), len(starts) - 1)
            i -= i > 0 and not lines[i][1].startswith("rep ")
            took[address] = starts[i], lines[i][1]
        return took

    def places(self, addresses):
        """For each address its function and file, as the innermost inlined ones that are ours."""
        asked = "\n".join(map(hex, addresses))
        text = said_by("addr2line", "-a", "-i", "-f", "-C", "-e", self.path, input=asked)
        found = {}
        for part in re.split(r"^0x", text, flags=re.MULTILINE)[1:]:
            at, *lines = part.splitlines()
            frames = list(zip(lines[::2], lines[1::2]))
            # addr2line gives the innermost one the name of the whole.
            named = ((plain(function), file) for function, file in frames[1:] or frames)
            ours = (f for f in named if f[0] and f[1].startswith(ROOT) and "/src/atomic.rs" not in f[1])
            function, file = next(ours, ("", ""))
            found[int(at, 16)] = function, file[len(ROOT) :].split(":")[0]
        return found


def plain(function):
    """The last name of a path, without closures, parameters and hashes."""
    nested = 1
    while nested:
        function, nested = re.subn(r"<[^<>]*>", "", function.replace("->", ""))
    names = re.sub(r"\{.*|\(.*", "", function).split("::")
    return next((name for name in reversed(names) if name and not re.fullmatch(r"h[0-9a-f]{16}", name)), "")


def kind(instruction):
    """What it does."""
    return next((name for name, form in INSTRUCTIONS if form.match(instruction)), "computing")


def samples(file, program):
    """Of each worker's rank the samples: the addresses, names and files that lead to it, innermost first."""
    rank, frames = None, []
    program.mappings.clear()
    for line in file:
        mapping = MMAP.search(line)
        if mapping and mapping[4].strip() == program.path:
            at, size, offset = (int(number, 16) for number in (mapping[1], mapping[2], mapping[3]))
            program.mappings.append((at, size, offset))
        frame = FRAME.match(line)
        if frame:
            frames.append((int(frame[1], 16), frame[2], frame[3]))
        elif frames:
            if rank is not None and not is_own(frames):
                yield rank, frames
            frames = []
        if line.startswith("timed-"):
            rank = int(line[len("timed-") :].split()[0])
        elif not line.startswith(("\t", " ")) and line.strip():
            rank = None


def in_kernel(frames):
    """What the kernel was doing, as its kind and in words; nothing if it was not in it."""
    if "kernel" not in frames[0][2]:
        return None
    names = [name for _, name, file in frames if "kernel" in file]
    if any("page_fault" in name for name in names):
        return "page faults", "page fault"
    call = next((found for name in names for found in SYSTEM_CALL.finditer(name)), None)
    if call:
        return "system calls", f"`{next(filter(None, call.groups()))}`"
    if any(name.startswith("entry_SYSCALL") or name == "x64_sys_call" for name in names):
        return "system calls", "to enter and leave the kernel"
    return "interrupts", "interrupts, other processes"


def is_own(frames):
    """Whether it is what sampling itself costs: records of mappings, the name of who is on the clock."""
    return any(name.startswith(("perf_", "__perf_")) or "_sys_prctl" in name for _, name, _ in frames)


def sides(table, every):
    """Who does the same: the names, and which ranks they are."""
    ranks = sorted({rank for rank, _ in every})
    if len(ranks) < 2:
        return [("time", ranks)]
    half = len(ranks) // 2
    first, second = SIDES.get(table.split(".")[0], ("who puts", "who gets"))
    return [(first, ranks[:half]), (second, ranks[half:])]


def classified(program, every):
    """For each sample its rank, its kind, and its place in words."""
    own = {program.address(f[0][0]) for _, f in every if f[0][2] == program.path}
    before = program.before(own)
    places = program.places({at for at, _ in before.values()})
    for rank, frames in every:
        at, name, file = frames[0]
        kernel = in_kernel(frames)
        if kernel:
            yield rank, *kernel
        elif file == program.path:
            took, text = before[program.address(at)]
            what, (function, source) = kind(text), places[took]
            where = f"`{function}` ({source.removeprefix('src/')})" if function else "the standard library"
            yield rank, what, f"{what}, {where}"
        else:
            what = "copying" if re.search("mem(move|cpy|set)", name) else "C library"
            yield rank, what, f"{what}, `{name}`"


def shares(counter, most):
    """The largest, in percent."""
    whole = counter.total() if hasattr(counter, "total") else sum(counter.values())
    return [{"percent": 100 * n / whole, "what": what} for what, n in counter.most_common(most)]


def measure(program, folder, number, table, row):
    """The profile of one measure."""
    with open(folder / f"{number}.samples", encoding="utf-8", errors="replace") as file:
        every = list(samples(file, program))
    if not every:
        sys.exit(
            f"no sample of {row!r} in {table!r}: are there a group and a contestant of these very names?"
        )
    kinds, places = defaultdict(Counter), defaultdict(Counter)
    for rank, what, where in classified(program, every):
        kinds[rank][what] += 1
        places[rank][where] += 1
    found = {"table": table, "row": row, "sides": []}
    for name, ranks in sides(table, every):
        what, where = (sum((of[rank] for rank in ranks), Counter()) for of in (kinds, places))
        side = {"name": name, "samples": sum(what.values())}
        found["sides"].append({**side, "kinds": shares(what, KINDS), "places": shares(where, PLACES)})
    return found


def show(folder, number, found):
    """Prints it; counts are divided by all operations that the run did, with those before the repeats."""
    tables = json.loads((folder / "results.json").read_text())["tables"]
    operations = sum(table["operations"] for table in tables)
    print(f"\n{found['table']}: {found['row']}")
    with open(folder / f"{number}.csv", encoding="utf-8") as file:
        for row in csv.reader(file):
            if len(row) > 2 and row[0].replace(".", "").isdigit():
                print(f"{float(row[0]) / operations:14.6f} {row[1] or row[2]} of {row[2]} for each")
    for side in found["sides"]:
        print(f"  {side['name']}, {side['samples']} samples")
        for share in side["kinds"] + [{"percent": 100, "what": "of which"}] + side["places"]:
            print(f"    {share['percent']:5.1f} %  {share['what']}")


def main(bench, folder, note):
    """Of all measures that are listed in the folder."""
    program = Program(bench)
    lines = (folder / "measures.tsv").read_text().splitlines()
    measures = []
    for number, line in enumerate(lines, 1):
        measures.append(measure(program, folder, number, *line.split("\t")))
        show(folder, number, measures[-1])
    commit = said_by("git", "describe", "--always", "--dirty").strip()
    all_of_it = {"event": note, "commit": commit, "absent": None, "measures": measures}
    (folder / "profiles.json").write_text(json.dumps(all_of_it, indent=1))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
