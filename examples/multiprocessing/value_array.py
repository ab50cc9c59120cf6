"""Squares in shared memory, and a counter that several processes increment."""

import sys

import sharecell.multiprocessing as multiprocessing


def square_all(result, total):
    """Fills an array and a value."""
    for index in range(len(result)):
        result[index] = index * index
    total.value = sum(result)


def count(counter, times):
    """Increments under the value's lock."""
    for _ in range(times):
        with counter.get_lock():
            counter.value += 1


if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1] if len(sys.argv) > 1 else "fork")
    result, total = multiprocessing.Array("i", 10), multiprocessing.Value("d", 0.0)
    process = multiprocessing.Process(target=square_all, args=(result, total))
    process.start()
    process.join()
    print(result[:], total.value)

    counter = multiprocessing.Value("i", 0)
    processes = [multiprocessing.Process(target=count, args=(counter, 100)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    print(counter.value)
