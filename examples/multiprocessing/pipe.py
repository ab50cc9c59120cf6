"""Messages go through a pipe until END."""

import sys

import sharecell.multiprocessing as multiprocessing


def talk(connection):
    """Sends a few messages."""
    for word in ["one", ["two", 2], {"three": 3}, "END"]:
        connection.send(word)
    print("the child hears:", connection.recv())
    connection.close()


if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1] if len(sys.argv) > 1 else "fork")
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=talk, args=(theirs,))
    process.start()
    theirs.close()
    while (message := ours.recv()) != "END":
        print(message, flush=True)
    ours.send("thank you")
    process.join()
    try:
        ours.recv()
    except EOFError:
        print("the child has closed its end")
