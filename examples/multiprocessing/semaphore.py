"""No more than two processes at a time do something; a lock protects what they note."""

import sys

import sharecell.multiprocessing as multiprocessing


def visit(room, lock, inside, most):
    """Enters the room, and notes how many are in it."""
    with room:
        with lock:
            inside.value += 1
            most.value = max(most.value, inside.value)
        with lock:
            inside.value -= 1


if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1] if len(sys.argv) > 1 else "fork")
    room, lock = multiprocessing.Semaphore(2), multiprocessing.Lock()
    inside, most = multiprocessing.Value("i", 0), multiprocessing.Value("i", 0)
    visitors = [multiprocessing.Process(target=visit, args=(room, lock, inside, most)) for _ in range(5)]
    for process in visitors:
        process.start()
    for process in visitors:
        process.join()
    print("inside:", inside.value, "never more than two:", most.value <= 2)
