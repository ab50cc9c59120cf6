"""Compares counted instructions with those that were committed: count.py COUNTED.json COMMITTED.txt."""

import json
import os
import subprocess
import sys

TIMES = 1000  # as in fast_paths.rs
TOLERANCE = 0.03


def counted(path):
    """Instructions of one operation by its name, as the benches report them."""
    counts = {}
    with open(path) as lines:
        for line in lines:
            bench = json.loads(line)
            total = bench["profiles"][0]["data"]["total"]["metrics"]["Ir"]
            counts[bench["function_name"]] = total["values"]["new"] / TIMES
    if not counts:
        sys.exit("nothing was counted")
    return counts


def committed(path):
    """The compiler with which the committed counts were made, and the counts."""
    with open(path) as lines:
        compiler, *rest = [line.strip() for line in lines if not line.startswith("#")]
    return compiler, {name: float(count) for name, count in (line.split() for line in rest)}


def write(path, compiler, counts):
    """Makes the counts those that later ones are compared with."""
    with open(path, "w") as file:
        print(
            "# Instructions of one operation, written by `make count BLESS=1`, with this compiler:", file=file
        )
        print(compiler, file=file)
        for name, count in counts.items():
            print(f"{name:26} {count:8.1f}", file=file)


def judge(name, now, before):
    """One line about a count, and whether it is as it should be."""
    if now is None or before is None:
        return f"{name}: {'not counted' if now is None else 'new'}: bless", False
    change = (now - before) / before
    text = f"{name:26} {now:8.1f}  committed {before:8.1f}  {change:+7.1%}"
    if change > TOLERANCE:
        return text + "  RISEN", False
    if change < -TOLERANCE:
        return text + "  fallen: bless, so that it stays so", False
    return text, True


def main(found, kept):
    """Compares, or blesses."""
    compiler = subprocess.check_output(["rustc", "--version"], text=True).strip()
    now = counted(found)
    if os.environ.get("SHARECELL_BLESS") == "1":
        write(kept, compiler, now)
        print(f"{len(now)} counts written")
        return 0
    their_compiler, before = committed(kept)
    verdicts = [judge(name, now.get(name), before.get(name)) for name in {**before, **now}]
    print("\n".join(text for text, _ in verdicts))
    if all(good for _, good in verdicts):
        print(f"{len(verdicts)} counts within {TOLERANCE:.0%}")
        return 0
    if compiler != their_compiler:
        print(f"SKIPPED: counted with {compiler}, committed with {their_compiler}: not comparable")
        return 0
    print("`make count BLESS=1` makes these the committed counts")
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
