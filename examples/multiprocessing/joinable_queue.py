"""Workers say of each task when it is done; None is for them to go home."""

import sys

import sharecell.multiprocessing as multiprocessing


def work(tasks, results):
    """Does tasks until there is a None."""
    while (task := tasks.get()) is not None:
        results.put(task * 10)
        tasks.task_done()
    tasks.task_done()


if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1] if len(sys.argv) > 1 else "fork")
    tasks, results = multiprocessing.JoinableQueue(), multiprocessing.Queue()
    workers = [multiprocessing.Process(target=work, args=(tasks, results)) for _ in range(2)]
    for process in workers:
        process.start()
    for task in range(8):
        tasks.put(task)
    tasks.join()
    print(sorted(results.get() for _ in range(8)))
    for _ in workers:
        tasks.put(None)
    tasks.join()
    for process in workers:
        process.join()
    print("exit codes:", [process.exitcode for process in workers])
