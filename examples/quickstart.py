"""A parent puts numbers on a queue; a child takes them, keeps their squares and adds them up."""

import multiprocessing
import os

import sharecell


def work(jobs, squares, total, lock):
    """Runs in a spawned process, which opens the objects by their names."""
    try:
        while True:
            with jobs.recv() as job:  # given to somebody else if we are killed here
                number = int.from_bytes(job.data, "little")
                squares[number] = number * number
                with lock:
                    total.value += squares[number]
    except sharecell.ShutDown:  # and nothing is left
        pass


if __name__ == "__main__":
    with sharecell.Segment.create(f"quickstart-py-{os.getpid()}", ephemeral=True) as segment:
        jobs = sharecell.Queue.create(segment, "jobs", maxsize=16)
        squares = sharecell.Array.create(segment, "squares", "q", 100)
        total = sharecell.Value.create(segment, "total", "q")
        lock = sharecell.Lock.create(segment, "lock")
        child = multiprocessing.get_context("spawn").Process(target=work, args=(jobs, squares, total, lock))
        child.start()
        for number in range(100):
            jobs.put(number.to_bytes(8, "little"))
        jobs.shutdown()  # no more; what is there is still got
        child.join()
        print(f"the last of {len(squares)} squares is {squares[-1]}, their sum {total.value}")
        assert child.exitcode == 0 and total.value == 328350
