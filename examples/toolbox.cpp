// Each object of the toolbox once, between this process and children of it. docs/objects/ shows the parts
// between marks.

#include <sharecell.hpp>

#include <algorithm>
#include <csignal>
#include <iostream>
#include <mutex>
#include <poll.h>
#include <shared_mutex>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace sharecell;
using std::chrono::seconds;

static void check(bool good, const char *what) {
    if (!good) throw std::runtime_error(what);
}

// Forks a child that does something.
template <class Task> static pid_t start(Task task) {
    std::cout.flush();
    const pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
        int status = 1;
        try {
            task();
            status = 0;
        } catch (const std::exception &error) { std::cerr << "a child: " << error.what() << "\n"; }
        std::cout.flush();
        _exit(status);
    }
    return child;
}

static void finish(pid_t child) {
    int status = -1;
    check(waitpid(child, &status, 0) == child && status == 0, "a child");
}

// A child that holds something, and is killed while it does.
template <class Hold> static void killed(const Segment &segment, Hold hold) {
    auto ready = Event::open(segment, "ready");
    const pid_t child = start([&] {
        hold();
        ready.set();
        for (;;) pause();
    });
    ready.wait();
    ready.clear();
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
}

static void value(const Segment &segment) {
    // [value]
    auto best = Value<std::int64_t>::open_or_create(segment, "best", 0);
    best.add(3);
    const auto before = best.update([](auto old) { return std::max<std::int64_t>(old, 10); });
    std::cout << "value: it was " << before << " and is " << best.get() << "\n";
    // [/value]
}

static void array(const Segment &segment) {
    // [array]
    auto squares = Array<std::int64_t>::open_or_create(segment, "squares", 100);
    squares.set(9, 81); // one element is written whole
    {
        std::lock_guard hold(squares); // several are not
        for (std::size_t i = 0; i < 4; i++) squares.data()[i] = static_cast<std::int64_t>(i * i);
    }
    std::cout << "array: " << squares.get(3) << " and " << squares.get(9) << "\n";
    // [/array]
}

static void lock(const Segment &segment) {
    auto entries = Array<int>::create(segment, "entries", 8);
    auto held = Lock::create(segment, "lock");
    killed(segment, [&] { held.lock(); });
    // [lock]
    auto lock = Lock::open(segment, "lock");
    {
        // If this returned false or threw, the lock would be Poisoned for all.
        auto guard = lock.guard_or_repair([&] { entries.fill(0); });
        entries.set(0, 1);
    }
    std::cout << "lock: its holder was killed, and what it protects repaired\n";
    // [/lock]
}

static void rlock(const Segment &segment) {
    // [rlock]
    auto lock = RLock::open_or_create(segment, "rlock");
    std::unique_lock outer(lock);
    {
        std::lock_guard inner(lock); // the same thread, again
    }
    std::cout << "rlock: still held by " << lock.holder() << "\n";
    outer.unlock(); // free now
    // [/rlock]
}

static void rwlock(const Segment &segment) {
    auto held = RwLock::create(segment, "rwlock");
    killed(segment, [&] { held.lock_shared(); });
    // [rwlock]
    auto lock = RwLock::open(segment, "rwlock");
    {
        std::shared_lock one(lock), other(lock);
        check(!lock.try_lock(), "readers keep writers out");
    }
    auto writer = lock.guard();
    std::cout << "rwlock: a writer, and a killed reader is forgotten; a writer died: " << writer.owner_died()
              << "\n";
    // [/rwlock]
}

static void semaphore(const Segment &segment) {
    auto all = Semaphore::create(segment, "permits", SemaphoreOptions(2).undo());
    killed(segment, [&] { all.acquire(); });
    // [semaphore]
    auto permits = Semaphore::open(segment, "permits"); // created with SemaphoreOptions(2).undo()
    permits.acquire();
    check(permits.try_acquire_for(seconds(5)), "a killed process had this one");
    std::cout << "semaphore: " << permits.value() << " left\n";
    permits.release(2);
    // [/semaphore]
}

static void condition(const Segment &segment) {
    auto number = Value<int>::create(segment, "number");
    auto changed = Condition::create(segment, "changed");
    const pid_t child = start([&] {
        for (int i = 0; i < 3; i++) {
            std::lock_guard hold(changed);
            number.add(1);
            changed.notify_all();
        }
    });
    // [condition]
    {
        std::lock_guard hold(changed);
        while (!changed.wait_for(seconds(5), [&] { return number.get() == 3; }))
            std::cout << "condition: it takes long\n";
        std::cout << "condition: the number is " << number.get() << "\n";
    }
    // [/condition]
    finish(child);
}

static void event(const Segment &segment) {
    const pid_t child = start([&] { Event::open(segment, "ready").set(); });
    // [event]
    auto ready = Event::open(segment, "ready"); // somebody will set() it
    check(ready.wait_for(seconds(60)), "in time");
    ready.clear();
    std::cout << "event: it was set\n";
    // [/event]
    finish(child);
}

static void barrier(const Segment &segment) {
    auto three = Barrier::create(segment, "all", 3);
    const pid_t children[2] = {start([&] { three.wait(); }), start([&] { three.wait(); })};
    // [barrier]
    auto all = Barrier::open(segment, "all");
    const auto last = [] {}; // the last one to come does this before any goes on
    const std::size_t number = all.wait(last);
    std::cout << "barrier: " << all.parties() << " have met, this one came as number " << number << "\n";
    // [/barrier]
    for (const pid_t child : children) finish(child);
}

static void work(const Segment &segment) {
    auto jobs = Queue::open(segment, "jobs");
    // [worker]
    while (auto job = jobs.recv()) { // read in place; somebody else gets it if we are killed here
        if (job->deliveries() > 3)
            std::cout << "queue: " << job->number() << " has killed three workers, and is set aside\n";
    } // at the end of its life a job is done
    // [/worker]
}

static void queue(const Segment &segment) {
    auto jobs = Queue::create(segment, "jobs", QueueOptions(64).joinable());
    const pid_t child = start([&] { work(segment); });
    // [queue]
    for (const char *job : {"sweep", "wash", "cook"}) jobs.put(job); // it is in the queue, or this throws
    jobs.join();                                                     // each was taken, and is done
    jobs.shutdown();                                                 // no more; what is there is still got
    std::cout << "queue: all jobs are done\n";
    // [/queue]
    finish(child);
}

static void pipe(const Segment &segment) {
    const pid_t child = start([&] {
        auto other = Pipe::open_or_create(segment, "pipe", End::b);
        check(other.recv().has_value(), "a question");
        other.send("42");
    });
    // [pipe]
    auto mine = Pipe::open_or_create(segment, "pipe", End::a);
    mine.send("how much is 6 x 7?");
    const auto answer = mine.recv_for(seconds(60)); // none when nobody is left there
    std::cout << "pipe: " << Bytes(*answer).text() << "\n";
    // [/pipe]
    finish(child);
}

static void waiting(const Segment &segment) {
    auto queue = Queue::create(segment, "waiting");
    auto event = Event::create(segment, "end");
    const pid_t child = start([] { pause(); });
    const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
    check(pidfd >= 0, "pidfd_open");
    kill(child, SIGKILL);
    // [waiting]
    const char *names[] = {"an item", "the event", "a process has ended"};
    for (std::size_t ready : wait_any({queue.readable(), event.when_set(), Interest::exited(pidfd)}))
        std::cout << "waiting: " << names[ready] << "\n";

    Bell bell; // a descriptor for epoll and the like
    bell.arm({queue.readable(), event.when_set()});
    event.set();
    pollfd loop = {bell.fd(), POLLIN, 0}; // any loop will do
    check(poll(&loop, 1, -1) == 1, "poll");
    bell.clear();
    // [/waiting]
    close(pidfd);
    waitpid(child, nullptr, 0);
}

static void anonymous() {
    int sockets[2];
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0, "socketpair");
    const pid_t child = start([&] {
        auto segment = Segment::receive_over(sockets[1]);
        Queue::open(segment, "queue").put("received");
    });
    // [anonymous]
    auto segment = Segment::create_anonymous(SegmentOptions().limit(1 << 24));
    auto queue = Queue::create(segment, "queue");
    segment.send_over(sockets[0]); // the other process calls Segment::receive_over
    std::cout << "anonymous: " << Bytes(*queue.get()).text() << "\n";
    // [/anonymous]
    finish(child);
    close(sockets[0]);
    close(sockets[1]);
}

static void given(const std::string &name) {
    constexpr std::size_t size = 1 << 20;
    void *memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(memory != MAP_FAILED, "mmap");
    // [given]
    {
        auto segment = Segment::open_or_create_over(name, memory, size);
        std::cout << "given: a segment of " << segment.limit() << " bytes\n";
    }
    Segment::unlink(name); // the small file that keeps the leases
    // [/given]
    munmap(memory, size);
}

static void named(const std::string &name) {
    // [segment]
    auto segment = Segment::open_or_create(name, SegmentOptions().limit(64 << 20).ephemeral());
    auto again = Segment::open(name); // in this process or any other
    auto lock = Lock::create(again, "lock");
    for (const ObjectInfo &object : segment.objects())
        std::cout << "segment: " << segment.name() << " has " << object.name << "\n";
    segment.remove("lock");
    // [/segment]
}

int main() {
    const std::string name = "toolbox-cpp-" + std::to_string(getpid());
    auto segment = Segment::create(name, SegmentOptions().ephemeral());
    auto ready = Event::create(segment, "ready");
    named(name + "-named");
    value(segment);
    array(segment);
    lock(segment);
    rlock(segment);
    rwlock(segment);
    semaphore(segment);
    condition(segment);
    event(segment);
    barrier(segment);
    queue(segment);
    pipe(segment);
    waiting(segment);
    anonymous();
    given(name + "-given");
}
