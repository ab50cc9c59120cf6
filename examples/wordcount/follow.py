"""Follows the word count, see main.rs: shows how far it is, and prints the most frequent words.

usage: follow.py SEGMENT

The frequencies of each slice come through a pipe, twice if a worker was killed after it had sent them: the
first counts. The table is bounded, whatever the text: when it is full, all counts are lowered by the largest
of those that have to go (the algorithm of Misra and Gries). The counts of what is left are then too small,
by no more than was taken off in all, which is said beside them; they are exact while the text has fewer
different words than the table has room.
"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator

import sharecell as sc

KEPT = 100_000
"""How many words are kept when the table is full, which it is with twice as many."""
SHOWN = 10
HEAD = 24
"""The length of a message's head: number of the slice, words, different words (u64 each)."""


class Frequencies:
    """How often which word occurs, in bounded memory."""

    def __init__(self) -> None:
        self.counts: defaultdict[bytes, int] = defaultdict(int)
        self.error = 0

    def add(self, words: list[bytes], counts: memoryview) -> None:
        """Adds the words of a slice."""
        table = self.counts
        for word, count in zip(words, counts):
            table[word] += count
        if len(table) > 2 * KEPT:
            self.prune()

    def prune(self) -> None:
        """Lowers all counts so far that at most KEPT words are left."""
        have = Counter(self.counts.values())
        left = len(self.counts)
        for lost in sorted(have):
            left -= have[lost]
            if left <= KEPT:
                break
        self.error += lost
        lower = {word: count - lost for word, count in self.counts.items() if count > lost}
        self.counts = defaultdict(int, lower)

    def most_common(self) -> list[tuple[bytes, int]]:
        """The most frequent words, in an order that does not depend on the processes."""
        return sorted(self.counts.items(), key=lambda pair: (-pair[1], pair[0]))[:SHOWN]


@contextlib.contextmanager
def progress(total: int) -> Iterator:
    """What to call for each slice: a bar on a terminal, else a line for each tenth."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(total=total, unit=" slices", dynamic_ncols=True) as bar:
            yield bar.update
        return
    tenths = done = 0

    def line() -> None:
        nonlocal tenths, done
        done += 1
        if done * 10 // total > tenths:
            tenths = done * 10 // total
            print(f"{tenths * 10:3} % of {total} slices", file=sys.stderr)

    yield line


def follow(pipe: sc.Pipe, total: int) -> tuple[int, int, Frequencies]:
    """Receives all messages; the number of slices, of words, and the frequencies."""
    seen = bytearray(total)
    words = 0
    frequencies = Frequencies()
    with progress(total) as another:
        while True:
            try:
                message = pipe.recv_bytes()
            except EOFError:
                return sum(seen), words, frequencies
            number, count, distinct = memoryview(message)[:HEAD].cast("Q")
            if seen[number]:
                continue
            seen[number] = 1
            words += count
            end = HEAD + 4 * distinct
            frequencies.add(message[end:].split(b"\n"), memoryview(message)[HEAD:end].cast("I"))
            another()


def main() -> None:
    with sc.Segment.open(sys.argv[1]) as segment:
        with sc.Array.open(segment, "results", "Q") as results:
            total = len(results)
        with sc.Pipe.open(segment, "frequencies", "A") as pipe:
            slices, words, frequencies = follow(pipe, total)
        common = frequencies.most_common()
        if frequencies.error:
            print(f"the most frequent words (up to {frequencies.error} more of each):")
        else:
            print("the most frequent words:")
        for word, count in common:
            print(f"{count:12} {word.decode(errors='backslashreplace')}")
        sys.stdout.flush()
        lines = [b"%d %d %d" % (slices, words, frequencies.error)]
        lines += [b"%d %s" % (count, word) for word, count in common]
        with sc.Pipe.open(segment, "summary", "B") as summary:
            summary.send_bytes(b"\n".join(lines))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: follow.py SEGMENT")
    main()
