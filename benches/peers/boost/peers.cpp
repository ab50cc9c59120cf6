// Boost.Interprocess, for the Rust side of the benches: locks as loops, since a call for each pair would
// count.
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_semaphore.hpp>
#include <cstddef>
#include <cstdint>
#include <new>

namespace bip = boost::interprocess;

extern "C" {

static_assert(sizeof(bip::interprocess_mutex) <= 128 && sizeof(bip::interprocess_semaphore) <= 128);

static void work(volatile std::uint64_t *counter, std::uint64_t dwell) {
    *counter = *counter + 1;
    for (std::uint64_t i = 0; i < dwell; i++) asm volatile("");
}

void boost_mutex_init(void *at) { new (at) bip::interprocess_mutex; }

void boost_mutex_pairs(void *at, volatile std::uint64_t *counter, std::uint64_t dwell, std::uint64_t count) {
    auto &mutex = *static_cast<bip::interprocess_mutex *>(at);
    for (std::uint64_t i = 0; i < count; i++) {
        mutex.lock();
        work(counter, dwell);
        mutex.unlock();
    }
}

void boost_semaphore_init(void *at) { new (at) bip::interprocess_semaphore(1); }

void boost_semaphore_pairs(void *at, volatile std::uint64_t *counter, std::uint64_t dwell,
                           std::uint64_t count) {
    auto &semaphore = *static_cast<bip::interprocess_semaphore *>(at);
    for (std::uint64_t i = 0; i < count; i++) {
        semaphore.wait();
        work(counter, dwell);
        semaphore.post();
    }
}

void *boost_queue_create(const char *name, std::size_t capacity, std::size_t item) try {
    return new bip::message_queue(bip::create_only, name, capacity, item);
} catch (...) { return nullptr; }

void *boost_queue_open(const char *name) try {
    return new bip::message_queue(bip::open_only, name);
} catch (...) { return nullptr; }

void boost_queue_close(void *queue) { delete static_cast<bip::message_queue *>(queue); }

void boost_queue_remove(const char *name) { bip::message_queue::remove(name); }

int boost_queue_put(void *queue, const void *item, std::size_t len) try {
    static_cast<bip::message_queue *>(queue)->send(item, len, 0);
    return 0;
} catch (...) { return -1; }

int boost_queue_get(void *queue, void *item, std::size_t len) try {
    bip::message_queue::size_type got = 0;
    unsigned priority = 0;
    static_cast<bip::message_queue *>(queue)->receive(item, len, got, priority);
    return got == len ? 0 : -1;
} catch (...) { return -1; }
}
