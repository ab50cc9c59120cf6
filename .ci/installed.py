"""Uses an installed package, from a directory in which nothing else of it is."""

import os
import sys

import sharecell
import sharecell.multiprocessing as multiprocessing


def work(jobs, total):
    """Runs in another process."""
    with total.get_lock():
        total.value += jobs.get()


if __name__ == "__main__":
    here = os.path.realpath(sharecell.__file__)
    assert here.startswith(os.path.realpath(sys.argv[1]) + os.sep), here
    for method in "fork", "spawn", "forkserver":
        context = multiprocessing.get_context(method)
        jobs, total = context.Queue(), context.Value("i", 2)
        jobs.put(40)
        process = context.Process(target=work, args=(jobs, total))
        process.start()
        process.join()
        assert (process.exitcode, total.value) == (0, 42)
    print(f"sharecell {sharecell.__version__} works in {sys.argv[1]}")
