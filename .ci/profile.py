"""Where the time of a measure goes: profile.py ONLY PEER FOLDER, from what profile.sh has put there."""

import csv
import json
import sys
from pathlib import Path


def main(only, peer, folder):
    """Counts are divided by all operations that the run did, with those before the repeats."""
    tables = json.loads((folder / "results.json").read_text())["tables"]
    operations = sum(table["operations"] for table in tables)
    rows = [row["peer"] for table in tables for row in table["rows"]]
    if not rows or not operations:
        sys.exit(f"no measure has a name that contains {only!r} and a peer with {peer!r}")
    print(f"{only}: {', '.join(rows)}; {operations} operations")
    with open(folder / "stat.csv", encoding="utf-8") as file:
        for row in csv.reader(file):
            if len(row) > 2 and row[0].replace(".", "").isdigit():
                unit = row[1] or row[2]
                print(f"{float(row[0]) / operations:14.6f} {unit} of {row[2]} for each")
    print("\nof its time, in percent:")
    print((folder / "symbols.txt").read_text(), end="")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
