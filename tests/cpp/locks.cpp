// Locks for some, for many and for one thread many times, and conditions, in C++: the standard's guards, our
// own, moves, forks, and owners that die.

#include "check.hpp"

#include <mutex>
#include <shared_mutex>
#include <thread>

using namespace sharecell;

template <class Body> static void in_a_thread(Body body) { std::thread(body).join(); }

// A child that does this, says so, and is killed.
template <class Body> static void killed_after(Body body) {
    const signpost done = new_signpost();
    const pid_t child = start_child([&] {
        body();
        reached(done);
        stay();
    });
    await(done);
    slay(child);
}

static void rlocks(const Segment &segment) {
    RLock lock = RLock::create(segment, "rlock");
    THROWS(SHC_ERR_ALREADY_EXISTS, RLock::create(segment, "rlock"));
    THROWS(SHC_ERR_NOT_HELD, lock.unlock());
    {
        std::lock_guard<RLock> outer(lock);
        std::unique_lock<RLock> inner(lock, std::try_to_lock);
        RLock::Guard third = lock.guard();
        CHECK(inner.owns_lock() && lock.holder() != 0);
        RLock again = RLock::open(segment, "rlock");
        in_a_thread([&] {
            CHECK(!again.try_lock() && !again.try_lock_for(a_moment) && !again.try_guard());
            THROWS(SHC_ERR_NOT_OWNER, again.unlock());
        });
        inner.unlock();
        third.unlock();
        in_a_thread([&] { CHECK(!again.try_lock()); });
    }
    in_a_thread([&] { CHECK(lock.try_guard()); });
    RLock moved = std::move(lock);
    CHECK(lock.native() == nullptr && moved.holder() == 0);
    THROWS(SHC_ERR_INVALID_HANDLE, lock.lock());
    killed_after([&] {
        moved.lock();
        moved.lock();
    });
    CHECK(moved.lock() == Acquired::owner_died && moved.owner_died());
    CHECK(moved.lock() == Acquired::clean);
    moved.unlock();
    moved.unlock();
    CHECK(!RLock::open_or_create(segment, "rlock").guard().owner_died());
}

static void rwlocks(const Segment &segment) {
    RwLock lock = RwLock::create(segment, "rwlock");
    THROWS(SHC_ERR_WRONG_KIND, RwLock::open(segment, "rlock"));
    THROWS(SHC_ERR_NOT_HELD, lock.unlock_shared());
    {
        std::shared_lock<RwLock> first(lock), second(lock, std::try_to_lock), third(lock, ages),
            fourth(lock, std::chrono::steady_clock::now() + ages);
        CHECK(second.owns_lock() && third.owns_lock() && fourth.owns_lock());
        CHECK(!lock.try_lock() && !lock.try_guard() && lock.guard_for(a_moment).outcome().timed_out());
    }
    {
        std::unique_lock<RwLock> writer(lock);
        CHECK(!std::shared_lock<RwLock>(lock, std::try_to_lock).owns_lock());
        CHECK(!std::shared_lock<RwLock>(lock, a_moment).owns_lock());
        CHECK(!std::shared_lock<RwLock>(lock, std::chrono::steady_clock::now() + a_moment).owns_lock());
        CHECK(lock.try_shared_guard().outcome().would_block());
        CHECK(lock.shared_guard_for(a_moment).outcome().timed_out());
    }
    {
        SharedGuard reader = lock.shared_guard();
        SharedGuard moved = std::move(reader);
        const auto another = lock.try_shared_guard();
        CHECK(another && !moved.owner_died() && !lock.try_lock());
        finish(start_child([&] { auto inherited = std::move(moved); }));
        CHECK(!lock.try_lock());
        moved.unlock();
    }
    RwLock moved = std::move(lock);
    CHECK(moved.try_guard());
    killed_after([&] { moved.lock_shared(); });
    CHECK(moved.guard_for(ages) && !moved.owner_died());
    killed_after([&] { moved.lock(); });
    CHECK(moved.lock_shared() == Acquired::owner_died);
    moved.unlock_shared();
    CHECK(moved.shared_guard_for(ages)->owner_died());
    CHECK(RwLock::open(segment, "rwlock").guard().owner_died());
    CHECK(!RwLock::open_or_create(segment, "rwlock").shared_guard().owner_died());
}

static void readers_and_writers(const Segment &segment) {
    RwLock lock = RwLock::create(segment, "sums");
    auto sums = Array<long>::create(segment, "two sums", 2);
    const auto work = [&] {
        volatile long *both = sums.data();
        for (int i = 0; i < 3000; i++) {
            if (i % 3 == 0) {
                std::scoped_lock hold(lock);
                both[0] = both[0] + 1;
                both[1] = both[1] + 1;
            } else {
                std::shared_lock hold(lock);
                CHECK(both[0] == both[1]);
            }
        }
    };
    const pid_t child = start_child(work);
    std::thread threads[2] = {std::thread(work), std::thread(work)};
    for (auto &thread : threads) thread.join();
    finish(child);
    CHECK(sums.get(0) == 3000);
}

static void conditions(const Segment &segment) {
    Condition condition = Condition::create(segment, "condition");
    auto number = Value<int>::create(segment, "number");
    THROWS(SHC_ERR_NOT_HELD, condition.wait());
    THROWS(SHC_ERR_NOT_HELD, condition.notify());
    {
        std::unique_lock<Condition> hold(condition);
        std::lock_guard<Condition> deeper(condition);
        CHECK(!condition.wait_for(a_moment));
        CHECK(!condition.wait_for(a_moment, [] { return false; }));
        CHECK(condition.wait_for(std::chrono::seconds(-1), [] { return true; }));
        CHECK(condition.waiters() == 0 && hold.owns_lock());
    }
    const auto turns = [&](int parity) {
        for (int turn = parity; turn < 600; turn += 2) {
            Condition::Guard hold = condition.guard();
            const auto mine = [&] { return number.get() == turn; };
            if (turn % 3)
                condition.wait(mine);
            else
                CHECK(condition.wait_for(ages, mine));
            number.add(1);
            condition.notify_all();
        }
    };
    const pid_t child = start_child([&] { turns(1); });
    turns(0);
    finish(child);
    CHECK(number.get() == 600);

    Condition moved = std::move(condition);
    std::thread notified([&] {
        std::lock_guard<Condition> hold(moved);
        CHECK(moved.wait_for(ages));
    });
    while (moved.waiters() != 1) std::this_thread::yield();
    {
        std::lock_guard<Condition> hold(moved);
        moved.notify();
    }
    notified.join();
    killed_after([&] { moved.lock(); });
    CHECK(Condition::open_or_create(segment, "condition").guard_for(ages)->owner_died());
    CHECK(!moved.guard().owner_died());
}

static void poison(const Segment &segment) {
    Lock lock = Lock::create(segment, "poisoned");
    THROWS(SHC_ERR_NOT_HELD, lock.poison());
    killed_after([&] { lock.lock(); });
    {
        Lock::Guard guard = lock.guard();
        CHECK(guard.owner_died());
        guard.poison();
        CHECK(lock.holder() == 0);
    }
    const auto poisoned = [&](auto acquire) {
        try {
            acquire();
        } catch (const Poisoned &error) { return error.code() == SHC_ERR_POISONED && *error.what() != 0; }
        return false;
    };
    CHECK(poisoned([&] { lock.lock(); }) && poisoned([&] { lock.try_lock(); }));
    CHECK(poisoned([&] { auto guard = lock.guard_for(ages); }));
    CHECK(poisoned([&] { std::unique_lock<Lock> hold(lock, ages); }));
    finish(start_child([&] { CHECK(poisoned([&] { lock.lock(); })); }));
    CHECK(lock.clear_poison() && !lock.clear_poison());
    CHECK(lock.lock() == Acquired::clean);
    lock.poison();
    CHECK(lock.is_poisoned());
    CHECK(Lock::open(segment, "poisoned").clear_poison() && lock.try_guard());
    CHECK(!lock.is_poisoned());
}

static void repair(const Segment &segment) {
    Lock lock = Lock::create(segment, "repaired");
    int repairs = 0;
    const auto count = [&] { repairs++; };
    {
        const Lock::Guard guard = lock.guard_or_repair(count);
        CHECK(repairs == 0 && lock.guard_or_repair_for(a_moment, count).outcome().timed_out());
    }
    killed_after([&] { lock.lock(); });
    {
        const Lock::Guard guard = lock.guard_or_repair(count);
        CHECK(repairs == 1 && !guard.owner_died() && lock.holder() != 0);
    }
    CHECK(lock.lock() == Acquired::clean);
    lock.unlock();
    // Killed before it has repaired anything, which is left to the next one.
    killed_after([&] { lock.lock(); });
    killed_after([&] { lock.lock(); });
    CHECK(lock.guard_or_repair_for(ages, [&] { return ++repairs == 2; }));
    CHECK(repairs == 2 && lock.try_guard());

    killed_after([&] { lock.lock(); });
    THROWS(SHC_ERR_POISONED, lock.guard_or_repair([] { return false; }));
    CHECK(lock.is_poisoned() && lock.clear_poison());
    killed_after([&] { lock.lock(); });
    bool thrown = false;
    try {
        lock.guard_or_repair([] { throw std::runtime_error("cannot"); }).unlock();
    } catch (const std::runtime_error &) { thrown = true; }
    CHECK(thrown && lock.is_poisoned() && lock.clear_poison() && lock.try_guard());
}

int main() {
    Segment segment = new_segment("locks");
    rlocks(segment);
    rwlocks(segment);
    readers_and_writers(segment);
    conditions(segment);
    poison(segment);
    repair(segment);
    std::puts("ok");
}
