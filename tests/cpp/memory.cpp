// Nothing is lost when there is no memory for what is got or received: it can be got again.

#include "check.hpp"

#include <limits>
#include <new>

using namespace sharecell;

static int allocations_left = std::numeric_limits<int>::max();

void *operator new(std::size_t size) {
    if (allocations_left-- <= 0) throw std::bad_alloc();
    if (void *memory = std::malloc(size)) return memory;
    throw std::bad_alloc();
}
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, std::size_t) noexcept { std::free(memory); }

// Fails with the first allocation, then with the second, and so on until none fails any more.
template <class Get> static void gets(const std::string &expected, Get get) {
    int failures = 0;
    for (bool done = false; !done; failures++) {
        try {
            allocations_left = failures;
            const auto bytes = get();
            allocations_left = std::numeric_limits<int>::max();
            CHECK(bytes && Bytes(*bytes).text() == expected);
            done = true;
        } catch (const std::bad_alloc &) { allocations_left = std::numeric_limits<int>::max(); }
    }
    CHECK(failures > 1);
}

int main() {
    Segment segment = new_segment("memory");
    auto queue = Queue::create(segment, "queue", QueueOptions(2));
    auto joinable = Queue::create(segment, "joinable", QueueOptions(2).joinable());
    auto [a, b] = Pipe::create(segment, "pipe");
    for (const std::size_t size : {10, 100000}) {
        const std::string text(size, 't');
        for (Queue *each : {&queue, &joinable}) {
            each->put(text);
            gets(text, [&] { return each->get(); });
            CHECK(each->empty());
        }
        joinable.task_done();
        joinable.join();
        a.send(text);
        gets(text, [&b = b] { return b.recv(); });
        CHECK(!b.poll());
    }
    std::puts("ok");
}
