// Locks and semaphores in C++: the standard's guards, our own, threads, forks, and owners that die.

#include "check.hpp"

#include <mutex>
#include <sys/time.h>
#include <thread>

using namespace sharecell;
using namespace std::chrono_literals;

static void standard_guards(const Segment &segment) {
    Lock lock = Lock::create(segment, "lock");
    auto count = Array<long>::create(segment, "count", 1);
    const auto work = [&] {
        for (int i = 0; i < 5000; i++) {
            std::lock_guard<Lock> hold(lock);
            *const_cast<volatile long *>(count.data()) += 1;
        }
    };
    const pid_t child = start_child(work);
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; i++) threads.emplace_back(work);
    for (auto &thread : threads) thread.join();
    finish(child);
    CHECK(count.get(0) == 4 * 5000);

    std::unique_lock<Lock> first(lock);
    CHECK(first.owns_lock() && lock.holder() != 0);
    CHECK(!std::unique_lock<Lock>(lock, std::try_to_lock).owns_lock());
    CHECK(!std::unique_lock<Lock>(lock, a_moment).owns_lock());
    CHECK(!std::unique_lock<Lock>(lock, std::chrono::steady_clock::now() + a_moment).owns_lock());
    first.unlock();
    CHECK(lock.holder() == 0 && std::unique_lock<Lock>(lock, std::try_to_lock).owns_lock());
    THROWS(SHC_ERR_NOT_HELD, lock.unlock());
}

static void durations(const Segment &segment) {
    Lock lock = Lock::create(segment, "durations");
    lock.lock();
    CHECK(!lock.try_lock_for(0s) && !lock.try_lock_for(-5h) && !lock.try_lock_for(1ns));
    CHECK(!lock.try_lock_for(std::chrono::duration<double>(1e-4)));
    CHECK(!lock.try_lock_for(std::chrono::duration<float, std::pico>(1.0f)));
    CHECK(lock.try_guard().outcome().would_block() && lock.guard_for(1us).outcome().timed_out());
    lock.unlock();
    CHECK(lock.try_lock_for(std::chrono::hours::max()));
    lock.unlock();
    CHECK(lock.try_lock_for(std::chrono::duration<double>(1e300)));
    lock.unlock();
}

static void our_guards(const Segment &segment) {
    Lock lock = Lock::create(segment, "guards");
    {
        Lock::Guard guard = lock.guard();
        Lock::Guard moved = std::move(guard);
        CHECK(lock.holder() != 0 && !moved.owner_died());
        guard.unlock();
        CHECK(lock.holder() != 0);
    }
    CHECK(lock.holder() == 0);
    try {
        auto guard = lock.guard();
        throw std::runtime_error("out of here");
    } catch (const std::runtime_error &) { CHECK(lock.holder() == 0); }
    auto guard = lock.guard();
    finish(start_child([&] {
        THROWS(SHC_ERR_NOT_OWNER, lock.unlock());
        auto inherited = std::move(guard);
    }));
    CHECK(lock.holder() != 0 && !lock.try_guard());
    lock.unlock();
    THROWS(SHC_ERR_NOT_HELD, guard.unlock());
    { auto late = lock.guard(); }
}

static void owners_die(const Segment &segment) {
    Lock lock = Lock::create(segment, "died");
    const signpost held = new_signpost();
    const auto killed_holding = [&] {
        const pid_t child = start_child([&] {
            lock.lock();
            reached(held);
            stay();
        });
        await(held);
        CHECK(!lock.try_lock());
        slay(child);
    };
    killed_holding();
    CHECK(lock.lock() == Acquired::owner_died && lock.owner_died());
    lock.unlock();
    CHECK(lock.lock() == Acquired::clean && !lock.owner_died());
    lock.unlock();
    killed_holding();
    {
        auto guard = lock.guard_for(ages);
        CHECK(guard && guard->owner_died());
    }
    killed_holding();
    {
        std::unique_lock<Lock> hold(lock, ages);
        CHECK(hold.owns_lock() && lock.owner_died());
    }
    CHECK(!lock.guard().owner_died());
}

static void semaphores(const Segment &segment) {
    auto semaphore = Semaphore::create(segment, "semaphore", 2);
    semaphore.acquire();
    CHECK(semaphore.try_acquire() && !semaphore.try_acquire() && !semaphore.try_acquire_for(a_moment));
    semaphore.release();
    semaphore.release(3);
    CHECK(semaphore.value() == 4 && Semaphore::open(segment, "semaphore").value() == 4);
    CHECK(Semaphore::open_or_create(segment, "semaphore", 0).value() == 4);
    THROWS(SHC_ERR_OVERFLOW, semaphore.release(Semaphore::max()));
    THROWS(SHC_ERR_INVALID_ARGUMENT, Semaphore::create(segment, "large", Semaphore::max() + 1));
    while (semaphore.try_acquire()) continue;
    std::thread other([&] { semaphore.acquire(); });
    const pid_t child = start_child([&] { CHECK(semaphore.try_acquire_for(ages)); });
    semaphore.release(2);
    other.join();
    finish(child);
    CHECK(semaphore.value() == 0);
}

// A handler without SA_RESTART ends a wait, and that is thrown.
static void interruptions(const Segment &segment) {
    const itimerval repeat{{0, 20000}, {0, 20000}}, none{};
    struct sigaction action{};
    auto semaphore = Semaphore::create(segment, "interrupted", 0);
    auto queue = Queue::create(segment, "interrupted queue");
    Lock lock = Lock::create(segment, "interrupted lock");
    lock.lock();
    action.sa_handler = [](int) {};
    CHECK(sigaction(SIGALRM, &action, nullptr) == 0 && setitimer(ITIMER_REAL, &repeat, nullptr) == 0);
    THROWS(SHC_INTERRUPTED, semaphore.acquire());
    THROWS(SHC_INTERRUPTED, semaphore.try_acquire_for(ages));
    THROWS(SHC_INTERRUPTED, lock.lock());
    THROWS(SHC_INTERRUPTED, lock.guard_for(ages));
    THROWS(SHC_INTERRUPTED, queue.get());
    THROWS(SHC_INTERRUPTED, queue.recv_for(ages));
    CHECK(setitimer(ITIMER_REAL, &none, nullptr) == 0);
    action.sa_handler = SIG_DFL;
    CHECK(sigaction(SIGALRM, &action, nullptr) == 0);
    alarm(WATCHDOG);
}

int main() {
    Segment segment = new_segment("sync");
    standard_guards(segment);
    durations(segment);
    our_guards(segment);
    owners_die(segment);
    semaphores(segment);
    interruptions(segment);
    std::puts("ok");
}
