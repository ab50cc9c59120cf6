// Events, barriers, and semaphores with a bound and with undo, in C++.

#include "check.hpp"

#include <stdexcept>
#include <thread>

using namespace sharecell;

static void events(const Segment &segment) {
    Event event = Event::create(segment, "event");
    CHECK(!event.is_set() && !event.wait_for(a_moment) && !event.wait_for(std::chrono::seconds(0)));
    std::thread other([&] { event.wait(); });
    const pid_t child = start_child([&] { CHECK(Event::open(segment, "event").wait_for(ages)); });
    event.set();
    other.join();
    finish(child);
    Event moved = std::move(event);
    CHECK(moved.is_set() && event.native() == nullptr);
    moved.wait();
    moved.clear();
    CHECK(!Event::open_or_create(segment, "event").is_set());
    THROWS(SHC_ERR_INVALID_HANDLE, event.set());
    THROWS(SHC_ERR_ALREADY_EXISTS, Event::create(segment, "event"));
}

static void until_waiting(const Barrier &barrier, std::size_t count) {
    while (barrier.n_waiting() != count) std::this_thread::yield();
}

static void barriers_meet(const Segment &segment) {
    Barrier barrier = Barrier::create(segment, "barrier", 3);
    auto rounds = Value<int>::create(segment, "rounds");
    THROWS(SHC_ERR_INVALID_ARGUMENT, Barrier::create(segment, "none", 0));
    THROWS(SHC_ERR_WRONG_SIZE, Barrier::open_or_create(segment, "barrier", 2));
    CHECK(barrier.parties() == 3 && barrier.n_waiting() == 0 && !barrier.is_broken());
    const auto meet = [&] {
        for (int round = 0; round < 200; round++) {
            CHECK(barrier.wait([&] { rounds.add(1); }) < 3);
            CHECK(rounds.get() == round + 1);
            CHECK(barrier.wait_for(ages) < 3);
        }
    };
    const pid_t child = start_child(meet);
    std::thread other(meet);
    meet();
    other.join();
    finish(child);
}

static void barriers_break(const Segment &segment) {
    Barrier barrier = Barrier::open(segment, "barrier"), alone = Barrier::create(segment, "alone", 1);
    const auto finds_it_broken = [&] { THROWS(SHC_BROKEN, barrier.wait()); };
    THROWS(SHC_BROKEN, barrier.wait_for(a_moment));
    CHECK(barrier.is_broken());
    barrier.reset();

    std::thread other(finds_it_broken);
    until_waiting(barrier, 1);
    barrier.abort();
    other.join();
    finds_it_broken();
    barrier.reset();

    const pid_t dead = start_child([&] { barrier.wait(); });
    until_waiting(barrier, 1);
    std::thread left(finds_it_broken);
    until_waiting(barrier, 2);
    slay(dead);
    left.join();
    barrier.reset();

    THROWS(SHC_BROKEN, alone.wait([] { return false; }));
    alone.reset();
    CHECK(alone.wait([] { return true; }) == 0 && alone.wait_for(ages, [] {}) == 0);
    // What an action throws comes through, and breaks the barrier.
    try {
        alone.wait([] { throw std::out_of_range("thrown"); });
        CHECK(!"reached");
    } catch (const std::out_of_range &error) { CHECK(std::string(error.what()) == "thrown"); }
    CHECK(alone.is_broken());
    Barrier moved = std::move(alone);
    moved.reset();
    CHECK(moved.wait() == 0 && alone.native() == nullptr);
}

static void semaphores(const Segment &segment) {
    auto bounded = Semaphore::create(segment, "bounded", SemaphoreOptions(2).bounded());
    THROWS(SHC_ERR_OVERFLOW, bounded.release());
    bounded.acquire();
    bounded.release();
    CHECK(bounded.value() == 2);
    THROWS(SHC_ERR_WRONG_TYPE, Semaphore::open_or_create(segment, "bounded", 2));
    CHECK(Semaphore::open_or_create(segment, "bounded", SemaphoreOptions(2).bounded()).value() == 2);

    auto undo = Semaphore::create(segment, "undo", SemaphoreOptions(2).undo());
    THROWS(SHC_ERR_NOT_HELD, undo.release());
    const signpost held = new_signpost();
    const pid_t child = start_child([&] {
        undo.acquire();
        undo.acquire();
        reached(held);
        stay();
    });
    await(held);
    CHECK(!undo.try_acquire());
    std::thread waiter([&] { CHECK(undo.try_acquire_for(ages)); });
    slay(child);
    waiter.join();
    undo.acquire();
    THROWS(SHC_ERR_NOT_HELD, undo.release(3));
    undo.release(2);
    CHECK(undo.value() == 2);
    auto both = SemaphoreOptions(1).bounded().undo();
    CHECK(both.flags() == (SHC_SEMAPHORE_BOUNDED | SHC_SEMAPHORE_UNDO) && both.undo(false).flags() == 1);
}

int main() {
    Segment segment = new_segment("meeting");
    events(segment);
    barriers_meet(segment);
    barriers_break(segment);
    semaphores(segment);
    std::puts("ok");
}
