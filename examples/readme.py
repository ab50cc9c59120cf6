"""The twenty lines of the README. Run it beside the Rust and the C one: they share the total."""

# [README]
import sharecell

segment = sharecell.Segment.open_or_create("readme", limit=1 << 30, ephemeral=True)
jobs = sharecell.Queue.open_or_create(segment, "jobs", 64)
total = sharecell.Value.open_or_create(segment, "total", "q")
lock = sharecell.Lock.open_or_create(segment, "lock")

jobs.put(b"some work")  # it is in the queue, or this raises
job = jobs.recv()  # read in place; if we are killed here, somebody else gets it

with lock:
    if lock.owner_died:
        print("the last holder was killed; here is the place to repair")
    total.add(len(job.data))
job.release()  # done with

print("total:", total.value)
# [README]
