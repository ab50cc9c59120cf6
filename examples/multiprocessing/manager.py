"""A list and a dictionary that live in the process of a manager."""

import sys

import sharecell.multiprocessing as multiprocessing


def fill(numbers, names, key):
    """Changes both."""
    numbers.append(key)
    names[key] = chr(ord("a") + key)


if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1] if len(sys.argv) > 1 else "fork")
    with multiprocessing.Manager() as manager:
        numbers, names = manager.list(), manager.dict()
        processes = [multiprocessing.Process(target=fill, args=(numbers, names, key)) for key in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        print(sorted(numbers), dict(sorted(names.items())))
