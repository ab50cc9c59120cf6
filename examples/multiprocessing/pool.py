"""A pool of workers: apply_async, map, starmap."""

import sys

import sharecell.multiprocessing as multiprocessing


def square(x):
    """Runs in a worker."""
    return x * x


def power(base, exponent):
    """Runs in a worker."""
    return base**exponent


def fail():
    """Runs in a worker; its exception comes out of `get`."""
    raise ValueError("not today")


if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1] if len(sys.argv) > 1 else "fork")
    with multiprocessing.Pool(processes=3) as pool:
        print(pool.map(square, range(10)))
        print(pool.starmap(power, [(2, 3), (3, 2), (10, 0)]))
        print(pool.apply_async(square, (20,)).get(timeout=60))
        print(sorted(pool.imap_unordered(square, range(5), chunksize=2)))
        try:
            pool.apply_async(fail).get(timeout=60)
        except ValueError as error:
            print("a worker said:", error)
        pool.close()
        pool.join()
