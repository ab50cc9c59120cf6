// Queues in C++: bytes, text and plain values, results, items and places as guards, threads and children.

#include "check.hpp"

#include <algorithm>
#include <numeric>
#include <thread>

using namespace sharecell;

struct Job {
    std::int32_t first, last;
};

static std::string text(const std::vector<std::byte> &bytes) { return std::string(Bytes(bytes).text()); }

static void put_and_get(const Segment &segment) {
    auto queue = Queue::create(segment, "simple", QueueOptions(4));
    CHECK(queue.empty() && !queue.full() && queue.capacity() == 4 && queue.max_item() > 1000);
    CHECK(queue.max_bytes() == UINT64_MAX);
    CHECK(queue.try_get().outcome().would_block() && queue.get_for(a_moment).outcome().timed_out());
    queue.put("text");
    queue.put(std::string("a\0b", 3));
    queue.put(std::vector<std::int16_t>{1, 2});
    CHECK(queue.try_put(bytes_of(Job{3, 4})));
    CHECK(queue.full() && queue.qsize() == 4);
    CHECK(queue.try_put("x").would_block() && queue.put_for("x", a_moment).timed_out());
    CHECK(text(*queue.get()) == "text");
    CHECK(text(*queue.try_get()) == std::string("a\0b", 3));
    CHECK(queue.get_for(ages)->size() == 4);
    const auto job = Bytes(*queue.get()).as<Job>();
    CHECK(job.first == 3 && job.last == 4);
    CHECK(queue.try_get().value_or(std::vector<std::byte>(7)).size() == 7);
    queue.put(Bytes());
    CHECK(queue.get()->empty());
    const std::string large(3 << 20, 'x');
    queue.put(large);
    CHECK(text(*queue.get()) == large);
    THROWS(SHC_ERR_ALREADY_EXISTS, Queue::create(segment, "simple"));
    THROWS(SHC_ERR_WRONG_SIZE, Queue::open_or_create(segment, "simple", QueueOptions(5)));
    THROWS(SHC_ERR_NOT_FOUND, Queue::open(segment, "none"));
}

static void many(const Segment &segment) {
    auto queue = Queue::create(segment, "many", QueueOptions(3).max_item(10));
    const std::vector<std::string> items{"a", "", "ccc", "dddd"};
    const std::string_view views[] = {"e", "f"};
    CHECK(*queue.try_put_many(items) == 3 && queue.try_put_many(items).outcome().would_block());
    CHECK(queue.put_many_for(items, a_moment).outcome().timed_out());
    auto got = queue.get_many(2);
    CHECK(got->size() == 2 && text((*got)[0]) == "a" && (*got)[1].empty());
    CHECK(queue.put_many(views) == 2);
    got = queue.get_many_for(10, ages);
    CHECK(got->size() == 3 && text((*got)[0]) == "ccc" && text((*got)[2]) == "f");
    CHECK(queue.try_get_many(10).outcome().would_block());
    THROWS(SHC_ERR_TOO_LARGE, queue.put(std::string(11, 'x')));
    THROWS(SHC_ERR_TOO_LARGE, queue.try_put(std::string(11, 'x')));
    CHECK(queue.empty());
}

static void by_a_function(const Segment &segment) {
    auto queue = Queue::create(segment, "by a function", QueueOptions(4));
    std::string got;
    const auto take = [&](Bytes item) {
        if (item.text() == "c") throw std::runtime_error("no c");
        if (item.text() == "b" && got == "a") return false;
        got += item.text();
        return true;
    };
    CHECK(queue.try_get_with(4, take).outcome().would_block());
    CHECK(queue.get_with_for(4, a_moment, take).outcome().timed_out());
    for (const char *item : {"a", "b", "c"}) queue.put(item);
    CHECK(*queue.get_with(4, take) == 1 && got == "a" && queue.qsize() == 2);
    got.clear();
    CHECK(*queue.try_get_with(1, take) == 1 && got == "b");
    bool thrown = false;
    try {
        (void)queue.get_with(4, take);
    } catch (const std::runtime_error &error) { thrown = std::string_view(error.what()) == "no c"; }
    CHECK(thrown && queue.qsize() == 1);
    queue.shutdown();
    CHECK(*queue.get_with_for(4, ages, [](Bytes item) { return item.size() == 1; }) == 1);
    CHECK(queue.get_with(4, take).outcome().closed());
}

static void items(const Segment &segment) {
    auto queue = Queue::create(segment, "items", QueueOptions(2));
    queue.put("first");
    std::uint64_t number = 0;
    {
        auto item = queue.recv();
        CHECK(item && item->text() == "first" && item->size() == 5 && item->deliveries() == 1);
        CHECK(std::count(item->begin(), item->end(), std::byte{'r'}) == 1);
        number = item->number();
        item->put_back();
        CHECK(queue.qsize() == 1);
    }
    {
        Item item = *queue.recv_for(ages);
        CHECK(item.number() == number && item.deliveries() == 2);
        THROWS(SHC_ERR_WRONG_SIZE, item.as<std::int64_t>());
        Item moved = std::move(item);
        item.release();
        CHECK(moved.text() == "first" && queue.try_recv().outcome().would_block());
    }
    CHECK(queue.empty() && queue.recv_for(a_moment).outcome().timed_out());

    // An item that is destroyed by an exception is done with.
    queue.put("second");
    try {
        auto item = queue.recv();
        throw std::runtime_error("out of here");
    } catch (const std::runtime_error &) { CHECK(queue.empty()); }

    // In a forked child it is the parent's.
    queue.put(bytes_of(Job{1, 2}));
    auto item = queue.recv();
    finish(start_child([&] {
        auto inherited = std::move(item);
        THROWS(SHC_ERR_NOT_HELD, inherited->release());
    }));
    CHECK(item->as<Job>().last == 2);
    item->release();
    CHECK(queue.empty());

    // Whoever dies with an item leaves it to others.
    const signpost taken = new_signpost();
    queue.put("again");
    const pid_t child = start_child([&] {
        auto held = queue.recv();
        reached(taken);
        stay();
    });
    await(taken);
    slay(child);
    CHECK(queue.recv_for(ages)->deliveries() == 2);
}

static void places(const Segment &segment) {
    auto queue = Queue::create(segment, "places", QueueOptions(2));
    {
        Slot slot = queue.reserve(26);
        CHECK(slot.size() == 26);
        std::iota(reinterpret_cast<char *>(slot.data()), reinterpret_cast<char *>(slot.data()) + 26, 'a');
        slot[0] = std::byte{'A'};
        THROWS(SHC_ERR_INVALID_ARGUMENT, slot.commit(27));
        Slot moved = std::move(slot);
        moved.commit(3);
    }
    CHECK(text(*queue.get()) == "Abc");
    {
        Slot slot = queue.reserve(5000);
        std::fill(slot.begin(), slot.end(), std::byte{1});
        slot.commit();
        THROWS(SHC_ERR_INVALID_HANDLE, slot.commit());
    }
    CHECK(queue.get()->size() == 5000);
    {
        auto abandoned = queue.try_reserve(1), aborted = queue.reserve_for(1, ages);
        CHECK(abandoned && aborted && queue.full());
        CHECK(queue.try_reserve(1).outcome().would_block());
        CHECK(queue.reserve_for(1, a_moment).outcome().timed_out());
        aborted->abort();
    }
    CHECK(queue.empty() && !queue.full());
}

static void shutdown(const Segment &segment) {
    auto queue = Queue::create(segment, "shutdown", QueueOptions(1));
    queue.put("last");
    std::thread putter([&] { THROWS(SHC_CLOSED, queue.put("x")); });
    queue.shutdown();
    putter.join();
    CHECK(queue.is_shutdown() && queue.try_put("x").closed() && queue.put_for("x", ages).closed());
    CHECK(queue.try_put_many(std::vector<std::string>{"x"}).outcome().closed());
    THROWS(SHC_CLOSED, queue.put_many(std::vector<std::string>{"x"}));
    THROWS(SHC_CLOSED, queue.reserve(1));
    int got = 0;
    while (auto item = queue.recv()) got++;
    CHECK(got == 1 && queue.recv().outcome().closed() && queue.get().outcome().closed());
    CHECK(queue.get_many(2).outcome().closed());
}

static void joins(const Segment &segment) {
    auto queue = Queue::create(segment, "joinable", QueueOptions(4).joinable());
    queue.join();
    queue.put("a");
    queue.put("b");
    CHECK(!queue.join_for(a_moment));
    {
        auto item = queue.recv();
        CHECK(item && text(*queue.get()) == "b");
        queue.task_done();
        THROWS(SHC_ERR_NOT_HELD, queue.task_done());
        CHECK(!queue.join_for(a_moment));
    }
    CHECK(queue.join_for(ages));
    queue.join();
    THROWS(SHC_ERR_UNSUPPORTED, Queue::create(segment, "not joinable").task_done());

    // Of any size, and counted when it is one of many.
    Queue again = Queue::open(segment, "joinable");
    const std::string large(70000, 'l');
    again.put(large);
    again.put("small");
    CHECK(text(*queue.try_get()) == large && again.get_many(3)->size() == 1);
    CHECK(again.try_get().outcome().would_block() && again.get_for(a_moment).outcome().timed_out());
    for (int i = 0; i < 2; i++) {
        CHECK(!queue.join_for(a_moment));
        queue.task_done();
    }
    queue.join();
    const signpost held = new_signpost();
    queue.put("taken along");
    const pid_t child = start_child([&] {
        CHECK(again.get_for(ages));
        reached(held);
        stay();
    });
    await(held);
    CHECK(!queue.join_for(a_moment));
    slay(child);
    CHECK(queue.join_for(ages));
    again.shutdown();
    CHECK(queue.get().outcome().closed());
}

static void workers(const Segment &segment) {
    auto queue = Queue::create(segment, "work", QueueOptions(16));
    auto sum = Value<std::int64_t>::create(segment, "sum");
    const auto work = [&] {
        while (auto item = queue.recv()) {
            const auto job = item->as<Job>();
            for (std::int32_t i = job.first; i < job.last; i++) sum.add(i);
        }
    };
    const pid_t child = start_child(work);
    std::thread threads[2] = {std::thread(work), std::thread(work)};
    for (std::int32_t i = 0; i < 10000; i += 10) queue.put(bytes_of(Job{i, i + 10}));
    queue.shutdown();
    for (auto &thread : threads) thread.join();
    finish(child);
    CHECK(sum.get() == 9999 * 5000);
}

int main() {
    Segment segment = new_segment("queue");
    put_and_get(segment);
    many(segment);
    by_a_function(segment);
    items(segment);
    places(segment);
    shutdown(segment);
    joins(segment);
    workers(segment);
    std::puts("ok");
}
