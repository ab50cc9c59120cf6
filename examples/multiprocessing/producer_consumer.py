"""A producer puts work on a queue, consumers take it for ever, and are terminated when it is all done."""

import sys

import sharecell.multiprocessing as multiprocessing


def produce(jobs, count):
    """Puts numbers."""
    for number in range(count):
        jobs.put(number)


def consume(jobs, results):
    """Takes numbers until it is terminated."""
    while True:
        number = jobs.get()
        results.put(number * number)


if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1] if len(sys.argv) > 1 else "fork")
    jobs, results = multiprocessing.Queue(), multiprocessing.Queue()
    producer = multiprocessing.Process(target=produce, args=(jobs, 20))
    consumers = [multiprocessing.Process(target=consume, args=(jobs, results)) for _ in range(2)]
    for process in (producer, *consumers):
        process.start()
    squares = sorted(results.get() for _ in range(20))
    producer.join()
    for process in consumers:
        process.terminate()
        process.join()
    print(squares)
    print("terminated:", all(process.exitcode < 0 for process in consumers))
