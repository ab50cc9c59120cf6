// Segments that are handed on, and segments over memory of one's own, in C++.

#include "check.hpp"

#include <sys/mman.h>
#include <sys/socket.h>

using namespace sharecell;

static void over_a_socket() {
    int sockets[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    const signpost held = new_signpost();
    const pid_t child = start_child([&] {
        Segment received = Segment::receive_over(sockets[1]);
        auto value = Value<int>::open(received, "value");
        Lock lock = Lock::open(received, "lock");
        lock.lock();
        value.set(7);
        reached(held);
        stay();
    });
    Segment segment = Segment::create_anonymous(SegmentOptions().limit(1 << 24));
    auto value = Value<int>::create(segment, "value");
    Lock lock = Lock::create(segment, "lock");
    CHECK(segment.limit() == 1 << 24 && !segment.is_unlinked());
    segment.send_over(sockets[0]);
    await(held);
    CHECK(value.get() == 7 && !lock.try_lock());
    slay(child);
    CHECK(lock.guard().owner_died());
    CHECK(close(sockets[0]) == 0);
    THROWS(SHC_CLOSED, Segment::receive_over(sockets[1]));
    CHECK(close(sockets[1]) == 0);
}

static void by_descriptor_and_fork() {
    Segment segment = Segment::create_anonymous();
    CHECK(segment.is_anonymous() && !segment.is_ephemeral());
    auto queue = Queue::create(segment, "queue");
    finish(start_child([&] { queue.put("inherited"); }));
    CHECK(queue.try_get()->size() == 9);
    const int fd = segment.to_fd();
    CHECK(ftruncate(fd, 0) == -1);
    Segment again = Segment::from_fd(fd);
    segment.recover();
    CHECK(close(fd) == 0 && again.participants().size() == 1);
    queue.put("again");
    CHECK(Queue::open(again, "queue").try_get()->size() == 5);
    THROWS(SHC_ERR_INVALID_ARGUMENT, Segment::from_fd(-1));
}

static void over_memory() {
    constexpr std::size_t size = 1 << 20;
    const std::string name = unique_name("handed");
    const auto map = [] {
        return mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    };
    void *const memory = map(), *const other = map();
    CHECK(memory != MAP_FAILED && other != MAP_FAILED);
    {
        Segment segment = Segment::create_over(name, memory, size, SegmentOptions().participants(4));
        auto value = Value<int>::create(segment, "value", 3);
        THROWS(SHC_ERR_ALREADY_EXISTS, Segment::create_over(name, other, size));
        CHECK(segment.limit() == size && segment.name() == name);
        finish(start_child([&] { value.add(4); }));
        CHECK(value.get() == 7);
    }
    {
        Segment again = Segment::open_over(name, memory, size);
        CHECK(Value<int>::open(again, "value").get() == 7);
    }
    Segment::unlink(name);
    THROWS(SHC_ERR_NOT_FOUND, Segment::open_over(name, memory, size));
    CHECK(munmap(memory, size) == 0 && munmap(other, size) == 0);
}

int main() {
    alarm(WATCHDOG);
    over_a_socket();
    by_descriptor_and_fork();
    over_memory();
    std::puts("ok");
}
