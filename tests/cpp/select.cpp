// Waiting for any of several things in C++, and bells in a poll() loop.

#include "check.hpp"

#include <algorithm>
#include <poll.h>
#include <sys/syscall.h>
#include <thread>

using namespace sharecell;

using Indices = std::vector<std::size_t>;

static bool rings(const Bell &bell, int milliseconds) {
    pollfd polled{bell.fd(), POLLIN, 0};
    return poll(&polled, 1, milliseconds) == 1;
}

static void objects(const Segment &segment) {
    auto queue = Queue::create(segment, "queue", QueueOptions(1));
    auto [a, b] = Pipe::create(segment, "pipe", PipeOptions().duplex(false).capacity(1));
    Event event = Event::create(segment, "event");
    auto semaphore = Semaphore::create(segment, "semaphore", 0);
    Lock lock = Lock::create(segment, "lock");
    std::optional<Lock::Guard> guard = lock.guard();
    const std::vector<Interest> all = {queue.readable(), a.readable(), event.when_set(),
                                       semaphore.when_free(), lock.when_free()};
    CHECK(try_wait_any(all).empty() && wait_any_for(all, a_moment).empty());
    THROWS(SHC_ERR_INVALID_ARGUMENT, wait_any({}));
    THROWS(SHC_ERR_UNSUPPORTED, try_wait_any({b.readable()}));
    THROWS(SHC_ERR_UNSUPPORTED, try_wait_any({a.writable()}));
    std::thread waiter([&] { CHECK(wait_any(all) == Indices{2}); });
    event.set();
    waiter.join();
    queue.put("x");
    b.send("x");
    semaphore.release();
    guard.reset();
    CHECK(wait_any(all) == (Indices{0, 1, 2, 3, 4}));
    CHECK(try_wait_any({queue.writable(), b.writable()}).empty());
    CHECK(queue.get() && a.recv());
    CHECK(wait_any_for({queue.writable(), b.writable(), a.readable()}, ages) == (Indices{0, 1}));
    Event moved = std::move(event);
    THROWS(SHC_ERR_INVALID_HANDLE, try_wait_any({event.when_set()}));
    CHECK(try_wait_any({moved.when_set()}) == Indices{0});
}

static void processes(const Segment &segment) {
    Lock lock = Lock::open(segment, "lock");
    Event event = Event::create(segment, "never");
    const signpost held = new_signpost();
    const pid_t child = start_child([&] {
        lock.lock();
        reached(held);
        stay();
    });
    await(held);
    const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
    CHECK(pidfd >= 0);
    const std::vector<Interest> both = {event.when_set(), Interest::exited(pidfd)};
    CHECK(wait_any_for(both, a_moment).empty() && try_wait_any({lock.when_free()}).empty());
    slay(child);
    CHECK(wait_any(both) == Indices{1} && wait_any({lock.when_free()}) == Indices{0});
    CHECK(lock.lock() == Acquired::owner_died);
    lock.unlock();
    CHECK(close(pidfd) == 0);
    CHECK(try_wait_any({Interest::writable(held.fds[1]), Interest::readable(held.fds[0])}) == Indices{0});
}

static void bells(const Segment &segment) {
    auto queue = Queue::open(segment, "queue");
    Event event = Event::open(segment, "never");
    Bell first;
    CHECK(!rings(first, 0));
    // Armed for one thing it rings once, in vain or not.
    first.arm({queue.readable()});
    Bell bell = std::move(first);
    CHECK(first.native() == nullptr);
    THROWS(SHC_ERR_INVALID_HANDLE, first.fd());
    std::thread other([&] { queue.put("x"); });
    CHECK(rings(bell, WATCHDOG * 1000));
    other.join();
    bell.clear();
    CHECK(!rings(bell, 0) && queue.get());
    event.set();
    bell.arm({queue.readable(), event.when_set()});
    CHECK(rings(bell, WATCHDOG * 1000));
}

int main() {
    Segment segment = new_segment("select");
    objects(segment);
    processes(segment);
    bells(segment);
    std::puts("ok");
}
