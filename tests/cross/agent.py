"""The agent in Python; `main.rs` says what it understands."""

import ctypes
import mmap
import os
import queue
import selectors
import signal
import struct
import sys
from functools import partialmethod

import sharecell as sc

# As in driver.rs.
SOCKET, INHERITED = 3, 4
PERIOD = 251
SHORT = 64
KINDS = ["value", "array", "lock", "semaphore", "queue", "pipe"]
KINDS += ["rlock", "condition", "event", "barrier", "rwlock"]


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_double), ("y", ctypes.c_int32), ("z", ctypes.c_int32)]


class Wide(ctypes.Structure):
    _fields_ = [("words", ctypes.c_uint64 * 5)]


TYPES = {"Point": Point, "Wide": Wide}


# ---- words -----------------------------------------------------------------------------------------------


def pattern(length: int, first: int) -> bytes:
    period = bytes((first + i) % PERIOD for i in range(PERIOD))
    return (period * (length // PERIOD + 1))[:length]


def decode(word: str) -> bytes:
    """The bytes that a word means: `-`, hexadecimal digits, or `*LEN:FIRST`."""
    if word == "-":
        return b""
    if word.startswith("*"):
        length, first = word[1:].split(":")
        return pattern(int(length), int(first))
    return bytes.fromhex(word)


def encode(data: bytes) -> str:
    if not data:
        return "-"
    if len(data) <= SHORT:
        return data.hex()
    if data == pattern(len(data), data[0]):
        return f"*{len(data)}:{data[0]}"
    return f"garbled:{len(data)}"


class Type:
    """How a type's values become bytes and back: by Python's own means, not by the library's."""

    def __init__(self, word: str) -> None:
        self.type = TYPES.get(word, word)
        self.size = struct.calcsize(word) if self.type == word else ctypes.sizeof(self.type)

    def value(self, data: bytes):
        if isinstance(self.type, str):
            return struct.unpack(self.type, data)[0]
        return self.type.from_buffer_copy(data)

    def bytes(self, value) -> bytes:
        return struct.pack(self.type, value) if isinstance(self.type, str) else bytes(value)

    def values(self, data: bytes) -> list:
        return [self.value(data[at : at + self.size]) for at in range(0, len(data), self.size)]

    def amount(self, word: str):
        return float(word) if self.type in ("f", "d") else int(word)


class Words:
    """The words of a command, one after the other."""

    def __init__(self, line: str) -> None:
        self.words = iter(line.split(" "))

    def word(self) -> str:
        return next(self.words)

    def option(self) -> "str | None":
        """The last word, if there is one."""
        return next(self.words, None)

    def number(self) -> int:
        return int(self.word())

    def data(self) -> bytes:
        return decode(self.word())

    def timeout(self):
        """As the library's functions with only a timeout take it."""
        ms = self.number()
        agent.tried = ms == 0
        return None if ms < 0 else ms / 1000

    def wait(self) -> dict:
        """As the library's functions with `block` and `timeout` take it."""
        timeout = self.timeout()
        return {"block": False} if timeout == 0 else {"timeout": timeout}


def flag(yes: bool) -> str:
    return str(int(yes))


# ---- commands --------------------------------------------------------------------------------------------


class NotAcquired(Exception):
    """The time ran out."""


def acquire(lock, words: Words) -> str:
    if not lock.acquire(**words.wait()):
        raise NotAcquired
    return died(lock)


def died(lock) -> str:
    return "died" if lock.owner_died else "clean"


class Agent:
    """What is open."""

    def __init__(self) -> None:
        self.bell = None
        self.segment = None
        self.objects = {}
        self.types = {}
        self.items = {}
        self.slots = {}
        self.tried = False

    def keep(self, key: str, thing, type_: "Type | None" = None) -> str:
        self.objects[key] = thing
        self.types[key] = type_
        return ""

    def close(self, key: str) -> str:
        self.items.pop(key, None)
        self.slots.pop(key, None)
        self.types.pop(key)
        self.objects.pop(key).close()
        return ""

    def reset(self) -> str:
        self.bell = None
        for key in list(self.objects):
            self.close(key)
        segment, self.segment = self.segment, None
        if segment is not None:
            segment.close()
        return ""

    def run(self, line: str) -> str:
        words = Words(line)
        kind = words.word()
        if kind == "reset":
            return self.reset()
        if kind == "hammer":
            return self.hammer(words)
        if kind == "wait_any":
            return self.wait_any(words)
        verb = words.word()
        if kind == "bell":
            return self.bell_command(verb, words)
        if kind == "segment":
            return self.segment_command(verb, words)
        name = words.word()
        if kind == "pipe":
            return self.pipe_command(verb, name, words)
        if verb in ("create", "open"):
            return getattr(self, f"get_{kind}")(verb == "create", name, words)
        if verb == "close":
            return self.close(name)
        return getattr(self, f"{kind}_command")(verb, name, self.objects[name], words)

    def segment_command(self, verb: str, words: Words) -> str:
        if verb == "create":
            self.segment = sc.Segment.create(words.word(), limit=words.number(), ephemeral=True)
        elif verb == "open":
            self.segment = sc.Segment.open(words.word())
        elif verb == "anonymous":
            self.segment = sc.Segment.anonymous(limit=words.number())
        elif verb == "over":
            name, path = words.word(), words.word()
            with open(path, "r+b") as file:
                memory = mmap.mmap(file.fileno(), 0)
            self.segment = sc.Segment.open_or_create_over(name, memory)
        elif verb == "is_anonymous":
            return flag(self.segment.is_anonymous())
        elif verb == "send":
            self.segment.send_over(SOCKET)
        elif verb == "receive":
            self.segment = sc.Segment.receive_over(SOCKET)
        elif verb == "exec":
            os.dup2(self.segment.fd(), INHERITED)
            command = list(words.words)
            os.execvp(command[0], command)
        elif verb == "inherited":
            self.segment = sc.Segment.from_fd(INHERITED)
        elif verb == "unlink":
            sc.unlink(words.word())
        elif verb == "is_unlinked":
            return flag(self.segment.is_unlinked())
        elif verb == "limit":
            return str(self.segment.limit)
        elif verb == "size":
            return str(self.segment.size)
        elif verb == "remove":
            self.segment.remove(words.word())
        elif verb == "recover":
            self.segment.recover()
        elif verb == "objects":
            lines = [
                f"{o.name}:{KINDS.index(o.kind) + 1}:{o.typecode or '-'}:{o.count}"
                for o in self.segment.objects()
            ]
            return " ".join(sorted(lines))
        elif verb == "participants":
            return " ".join(map(str, sorted(p.pid for p in self.segment.participants() if p.alive)))
        else:
            raise NotImplementedError(verb)
        return ""

    def thing(self, word: str):
        """What a word like `readable:q` means."""
        what, name = word.split(":")
        if what == "exited":
            return os.pidfd_open(int(name))
        object = self.objects[name.replace("/", " ")]
        if what == "readable":
            return sc.readable(object)
        return sc.writable(object) if what == "writable" else object

    def wait_any(self, words: Words) -> str:
        timeout = words.timeout()
        given = list(words.words)
        things = list(map(self.thing, given))
        try:
            ready = sc.wait_any(things, timeout)
        finally:
            for thing in things:
                if isinstance(thing, int):
                    os.close(thing)
        if not ready:
            raise NotAcquired
        return " ".join(word for word, thing in zip(given, things) if thing in ready)

    def bell_command(self, verb: str, words: Words) -> str:
        if self.bell is None:
            self.bell = sc.Bell()
        if verb == "arm":
            self.bell.arm(map(self.thing, words.words))
        elif verb == "poll":
            with selectors.DefaultSelector() as loop:
                loop.register(self.bell, selectors.EVENT_READ)
                ms = words.number()
                return flag(bool(loop.select(None if ms < 0 else ms / 1000)))
        elif verb == "clear":
            self.bell.clear()
        else:
            raise NotImplementedError(verb)
        return ""

    def callback(self, words: Words):
        """What is called back: it adds 1 to a value, and then works, or does not, or never returns."""
        how, value = words.word(), self.objects[words.word()]

        def call() -> bool:
            value.add(1)
            while how == "stays":
                signal.pause()
            return how == "works"

        return call

    def get_value(self, create: bool, name: str, words: Words) -> str:
        type_ = Type(words.word())
        if create:
            value = sc.Value.create(self.segment, name, type_.type, type_.value(words.data()))
        else:
            value = sc.Value.open(self.segment, name, type_.type)
        return self.keep(name, value, type_)

    def value_command(self, verb: str, name: str, value, words: Words) -> str:
        type_ = self.types[name]
        if verb == "get":
            return encode(type_.bytes(value.value))
        if verb == "set":
            value.set(type_.value(words.data()))
            return ""
        if verb == "add":
            return encode(type_.bytes(value.add(type_.amount(words.word()))))
        if verb == "exchange":
            return encode(type_.bytes(value.exchange(type_.value(words.data()))))
        if verb == "compare_exchange":
            changed, old = value.compare_exchange(type_.value(words.data()), type_.value(words.data()))
            return f"{flag(changed)} {encode(type_.bytes(old))}"
        return self.own_lock(verb, value, words)

    def own_lock(self, verb: str, thing, words: Words) -> str:
        lock = thing.get_lock()
        if verb == "lock":
            return acquire(lock, words)
        if verb == "unlock":
            lock.release()
            return ""
        raise NotImplementedError(verb)

    def get_array(self, create: bool, name: str, words: Words) -> str:
        type_ = Type(words.word())
        if create:
            array = sc.Array.create(self.segment, name, type_.type, words.number())
        else:
            array = sc.Array.open(self.segment, name, type_.type)
        self.keep(name, array, type_)
        return str(len(array))

    def array_command(self, verb: str, name: str, array, words: Words) -> str:
        type_ = self.types[name]
        if verb == "get":
            return encode(type_.bytes(array[words.number()]))
        if verb == "set":
            index = words.number()
            array[index] = type_.value(words.data())
        elif verb == "read":
            start, count = words.number(), words.number()
            return encode(b"".join(map(type_.bytes, values(array[start : start + count]))))
        elif verb == "write":
            start, new = words.number(), type_.values(words.data())
            array[start : start + len(new)] = b"".join(new) if type_.type == "c" else new
        elif verb == "fill":
            array.fill(type_.value(words.data()))
        elif verb == "peek":
            start, count = words.number() * type_.size, words.number() * type_.size
            with array.view() as view, view.cast("B") as octets:
                return encode(bytes(octets[start : start + count]))
        elif verb == "poke":
            start, data = words.number() * type_.size, words.data()
            with array.view() as view, view.cast("B") as octets:
                octets[start : start + len(data)] = data
        elif verb == "text":
            return encode(array.value)
        elif verb == "set_text":
            array.value = words.data()
        elif verb == "raw":
            return encode(array.raw)
        else:
            return self.own_lock(verb, array, words)
        return ""

    def get_named(self, cls: type, create: bool, name: str, _: Words) -> str:
        return self.keep(name, (cls.create if create else cls.open)(self.segment, name))

    get_lock = partialmethod(get_named, sc.Lock)
    get_rlock = partialmethod(get_named, sc.RLock)
    get_rwlock = partialmethod(get_named, sc.RwLock)
    get_condition = partialmethod(get_named, sc.Condition)
    get_event = partialmethod(get_named, sc.Event)

    def lock_command(self, verb: str, name: str, lock, words: Words) -> str:
        if verb == "repair":
            wait = words.wait()
            if not lock.acquire_or_repair(self.callback(words), **wait):
                raise NotAcquired
            return ""
        if verb == "is_poisoned":
            return flag(lock.is_poisoned())
        if verb == "poison":
            lock.poison()
            return ""
        if verb == "clear_poison":
            return flag(lock.clear_poison())
        return self.rlock_command(verb, name, lock, words)

    def rlock_command(self, verb: str, name: str, lock, words: Words) -> str:
        if verb == "acquire":
            return acquire(lock, words)
        if verb == "is_held":
            return flag(lock.holder() != 0)
        if verb != "release":
            raise NotImplementedError(verb)
        lock.release()
        return ""

    def rwlock_command(self, verb: str, name: str, lock, words: Words) -> str:
        if verb == "read":
            return acquire(lock.read(), words)
        if verb == "write":
            return acquire(lock.write(), words)
        if verb == "release_read":
            lock.release_read()
        elif verb == "release_write":
            lock.release_write()
        else:
            raise NotImplementedError(verb)
        return ""

    def condition_command(self, verb: str, name: str, condition, words: Words) -> str:
        if verb == "acquire":
            return acquire(condition, words)
        if verb == "wait":
            if not condition.wait(words.timeout()):
                raise NotAcquired
            return died(condition)
        if verb == "wait_for":
            timeout, value, wanted = words.timeout(), words.word(), words.data()
            value, type_ = self.objects[value], self.types[value]
            condition.owner_died = False
            met = condition.wait_for(lambda: type_.bytes(value.value) == wanted, timeout)
            return "died" if condition.owner_died else flag(met)
        if verb == "waiters":
            return str(condition.waiters())
        if verb == "release":
            condition.release()
        elif verb == "notify":
            condition.notify(words.number())
        elif verb == "notify_all":
            condition.notify_all()
        else:
            raise NotImplementedError(verb)
        return ""

    def event_command(self, verb: str, name: str, event, words: Words) -> str:
        if verb == "wait":
            if not event.wait(words.timeout()):
                raise NotAcquired
        elif verb == "set":
            event.set()
        elif verb == "clear":
            event.clear()
        elif verb == "is_set":
            return flag(event.is_set())
        else:
            raise NotImplementedError(verb)
        return ""

    def get_barrier(self, create: bool, name: str, words: Words) -> str:
        if create:
            return self.keep(name, sc.Barrier.create(self.segment, name, words.number()))
        return self.keep(name, sc.Barrier.open(self.segment, name))

    def barrier_command(self, verb: str, name: str, barrier, words: Words) -> str:
        if verb == "wait":
            return str(barrier.wait(words.timeout()))
        if verb == "wait_with":
            timeout, action = words.timeout(), self.callback(words)
            with sc.Barrier.open(self.segment, name, lambda: None if action() else 1 / 0) as same:
                try:
                    return str(same.wait(timeout))
                except ZeroDivisionError:  # from the action, which breaks the barrier
                    raise sc.BrokenBarrierError("the action has failed") from None
        if verb == "parties":
            return str(barrier.parties)
        if verb == "n_waiting":
            return str(barrier.n_waiting)
        if verb == "is_broken":
            return flag(barrier.broken)
        if verb == "abort":
            barrier.abort()
        elif verb == "reset":
            barrier.reset()
        else:
            raise NotImplementedError(verb)
        return ""

    def get_semaphore(self, create: bool, name: str, words: Words) -> str:
        if not create:
            return self.keep(name, sc.Semaphore.open(self.segment, name))
        value, sort = words.number(), words.option()
        cls = sc.BoundedSemaphore if sort == "bounded" else sc.Semaphore
        return self.keep(name, cls.create(self.segment, name, value, undo=sort == "undo"))

    def semaphore_command(self, verb: str, name: str, semaphore, words: Words) -> str:
        if verb == "acquire":
            if not semaphore.acquire(**words.wait()):
                raise NotAcquired
        elif verb == "release":
            semaphore.release(words.number())
        elif verb == "value":
            return str(semaphore.get_value())
        else:
            raise NotImplementedError(verb)
        return ""

    def get_queue(self, create: bool, name: str, words: Words) -> str:
        if not create:
            return self.keep(name, sc.Queue.open(self.segment, name))
        capacity, max_item = words.number(), words.number() or None
        joinable = words.option() == "joinable"
        queue = sc.Queue.create(self.segment, name, capacity, max_item=max_item, joinable=joinable)
        return self.keep(name, queue)

    def queue_command(self, verb: str, name: str, queue, words: Words) -> str:
        if verb == "put":
            wait = words.wait()
            queue.put(words.data(), **wait)
        elif verb == "get":
            return encode(queue.get(**words.wait()))
        elif verb == "put_many":
            timeout = words.timeout()
            return str(queue.put_many(map(decode, words.words), timeout=timeout))
        elif verb == "get_many":
            timeout = words.timeout()
            return " ".join(map(encode, queue.get_many(words.number(), timeout=timeout)))
        elif verb == "recv":
            item = self.items[name] = queue.recv(**words.wait())
            return f"{item.number} {item.deliveries} {encode(bytes(item.data))}"
        elif verb == "put_back":
            self.items.pop(name).put_back()
        elif verb == "reserve":
            wait = words.wait()
            self.slots[name] = queue.reserve(words.number(), **wait)
        elif verb == "qsize":
            return str(queue.qsize())
        elif verb == "empty":
            return flag(queue.empty())
        elif verb == "full":
            return flag(queue.full())
        elif verb == "capacity":
            return str(queue.maxsize)
        elif verb == "task_done":
            queue.task_done()
        elif verb == "join":
            if not queue.join(words.timeout()):
                raise NotAcquired
        elif verb == "shutdown":
            queue.shutdown()
        elif verb == "is_shutdown":
            return flag(queue.is_shutdown())
        else:
            return self.in_place_command(verb, name, words)
        return ""

    def in_place_command(self, verb: str, key: str, words: Words) -> str:
        """What is done with an item that was taken, or a place that was reserved."""
        if verb == "release":
            self.items[key].release()
        elif verb == "abort":
            self.slots.pop(key).abort()
        elif verb == "write":
            data = words.data()
            self.slots[key].data[: len(data)] = data
        elif verb == "commit":
            data = words.data()
            slot = self.slots.pop(key)
            slot.data[: len(data)] = data
            slot.commit(len(data))
        else:
            raise NotImplementedError(verb)
        return ""

    def pipe_command(self, verb: str, name: str, words: Words) -> str:
        if verb == "create":
            duplex, capacity = words.word() == "duplex", words.number()
            a, b = sc.Pipe.create(self.segment, name, duplex, capacity=capacity)
            self.keep(f"{name} A", a)
            return self.keep(f"{name} B", b)
        end = words.word()
        key = f"{name} {end}"
        if verb == "open":
            return self.keep(key, sc.Pipe.open(self.segment, name, end))
        if verb == "open_or_create":
            return self.keep(key, sc.Pipe.open_or_create(self.segment, name, end, words.word() == "duplex"))
        if verb == "close":
            return self.close(key)
        pipe = self.objects[key]
        if verb == "send":
            timeout = words.timeout()
            pipe.send_bytes(words.data(), timeout=timeout)
        elif verb == "recv":
            return encode(pipe.recv_bytes(timeout=words.timeout()))
        elif verb == "recv_into":
            buffer = bytearray(words.number())
            length = pipe.recv_bytes_into(buffer)
            return encode(bytes(buffer[:length]))
        elif verb == "recv_in_place":
            item = self.items[key] = pipe.recv_in_place(timeout=words.timeout())
            return encode(bytes(item.data))
        elif verb == "reserve":
            self.slots[key] = pipe.reserve(words.number())
        elif verb == "poll":
            return flag(pipe.poll(words.timeout()))
        elif verb == "can":
            return f"{flag(pipe.readable)} {flag(pipe.writable)}"
        else:
            return self.in_place_command(verb, key, words)
        return ""

    def hammer(self, words: Words) -> str:
        """Does something over and over, until the process is killed."""
        key = words.word().replace("/", " ")
        thing = self.objects[key]
        both = [words.data(), words.data()]
        reply("ok")
        while True:
            for data in both:
                if isinstance(thing, sc.Value):
                    thing.set(self.types[key].value(data))
                elif isinstance(thing, sc.Array):
                    with thing.get_lock():
                        thing[0 : len(thing)] = self.types[key].values(data)
                elif isinstance(thing, (sc.Lock, sc.RLock, sc.Semaphore)):
                    thing.acquire()
                    thing.release()
                elif isinstance(thing, sc.RwLock):
                    with thing.read():
                        pass
                    with thing.write():
                        pass
                elif isinstance(thing, sc.Condition):
                    with thing:
                        thing.notify()
                elif isinstance(thing, sc.Event):
                    thing.set()
                    thing.clear()
                elif isinstance(thing, sc.Barrier):
                    thing.wait()
                elif isinstance(thing, sc.Queue):
                    thing.put(data)
                    thing.get()
                else:
                    thing.send_bytes(data)


def values(part):
    """The elements of a slice: of a 'c' array that is bytes, whose elements are numbers."""
    return [part[i : i + 1] for i in range(len(part))] if isinstance(part, bytes) else part


def code(error: Exception):
    """The number that the error has in Rust and C."""
    if isinstance(error, sc.SharecellError):
        return error.code
    if isinstance(error, (sc.ShutDown, EOFError, BrokenPipeError)):
        return 4
    if isinstance(error, (NotAcquired, queue.Full, queue.Empty, TimeoutError)):
        return 1 if agent.tried else 2
    raise error


def reply(line: str) -> None:
    print(line.rstrip(" "), flush=True)


agent = Agent()


def main() -> None:
    reply("\nready")
    for line in sys.stdin:
        try:
            reply("ok " + agent.run(line.rstrip("\n")))
        except Exception as error:
            reply(f"error {code(error)} {error}")


main()
