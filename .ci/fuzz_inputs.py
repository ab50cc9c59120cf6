"""Keeps the fuzzer's inputs in one file, a line of hexadecimal digits each.

usage: fuzz_inputs.py unpack DIRECTORY <FILE
       fuzz_inputs.py pack DIRECTORY FILE      adds what is not in it
"""

import hashlib
import pathlib
import sys

action, directory = sys.argv[1], pathlib.Path(sys.argv[2])
if action == "unpack":
    for line in sys.stdin:
        data = bytes.fromhex(line)
        (directory / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
else:
    kept = pathlib.Path(sys.argv[3])
    known = set(kept.read_text(encoding="ascii").split())
    found = {path.read_bytes().hex() for path in directory.iterdir()} - known
    kept.write_text("".join(f"{line}\n" for line in sorted(known | found)), encoding="ascii")
    print(f"{len(found)} inputs added to {kept}")
