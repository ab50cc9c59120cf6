"""Objects with names, for sharing.rs and sharing.c to open. See docs/python/sharing.md."""

import sys

# [sharing]
import sharecell.multiprocessing as mp

segment = sys.argv[1] if len(sys.argv) > 1 else "sharing"
counter = mp.Value("q", 0, name="counter", segment=segment)
frame = mp.Array("d", 1000, name="frame", segment=segment)
jobs = mp.Queue(16, name="jobs", segment=segment)

for index in range(len(frame)):
    frame[index] = index / 2
jobs.shared.put(b"500 1000")  # bytes, as other languages see them; `put` would pickle
with counter.get_lock():
    counter.value += 1
# [sharing]

print("counter:", counter.value)
if len(sys.argv) > 1:
    print("others are done", input())
    print("counter:", counter.value)
