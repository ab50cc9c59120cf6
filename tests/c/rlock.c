/* Reentrant locks: depth, threads, processes, forks, and killed owners. */

#include "check.h"

#include <pthread.h>

static shc_rlock *lock;
static shc_array *counter;
static signpost held;

static uint32_t holder(void) {
    uint32_t label = 99;
    OK(shc_rlock_holder(lock, &label));
    return label;
}

static void *is_refused(void *unused) {
    STATUS(SHC_WOULD_BLOCK, shc_rlock_acquire(lock, 0));
    STATUS(SHC_TIMED_OUT, shc_rlock_acquire(lock, SHORT_NS));
    STATUS(SHC_ERR_NOT_OWNER, shc_rlock_release(lock));
    return unused;
}

static void *is_let_in(void *unused) {
    OK(shc_rlock_acquire(lock, 0));
    OK(shc_rlock_release(lock));
    return unused;
}

static void in_a_thread(void *(*body)(void *)) {
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, body, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

static void a_thread_owns_it(void) {
    CHECK(holder() == 0);
    STATUS(SHC_ERR_NOT_HELD, shc_rlock_release(lock));
    for (int i = 0; i < 3; i++) OK(shc_rlock_acquire(lock, 0));
    CHECK(holder() != 0);
    for (int i = 0; i < 3; i++) {
        in_a_thread(is_refused);
        OK(shc_rlock_release(lock));
    }
    CHECK(holder() == 0);
    in_a_thread(is_let_in);
    STATUS(SHC_ERR_NOT_HELD, shc_rlock_release(lock));
}

static void count(void *unused) {
    void *address = NULL;
    (void)unused;
    OK(shc_array_address(counter, &address));
    for (int i = 0; i < 3000; i++) {
        OK(shc_rlock_acquire(lock, -1));
        OK(shc_rlock_acquire(lock, -1));
        *(volatile int64_t *)address += 1;
        OK(shc_rlock_release(lock));
        *(volatile int64_t *)address += 1;
        OK(shc_rlock_release(lock));
    }
}

static void *count_in_a_thread(void *unused) {
    count(NULL);
    return unused;
}

static void excludes(void) {
    pthread_t threads[2];
    pid_t children[2];
    int64_t total = 0;
    for (int i = 0; i < 2; i++) children[i] = start(count, NULL);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, count_in_a_thread, NULL) == 0);
    for (int i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < 2; i++) finish(children[i]);
    OK(shc_array_read(counter, 0, &total, sizeof total));
    CHECK(total == 4 * 6000);
}

static void is_the_parents(void *unused) {
    is_refused(unused);
    reached(held);
    OK(shc_rlock_acquire(lock, LONG_NS));
    OK(shc_rlock_release(lock));
}

static void a_fork_does_not_share_it(void) {
    pid_t child;
    OK(shc_rlock_acquire(lock, -1));
    child = start(is_the_parents, NULL);
    await(held);
    OK(shc_rlock_release(lock));
    finish(child);
}

static void hold_twice(void *unused) {
    (void)unused;
    shc_rlock_acquire(lock, LONG_NS);
    OK(shc_rlock_acquire(lock, 0));
    reached(held);
    stay();
}

/* Told once, by the outermost acquire, until somebody has given it back in good order. */
static void owners_die(void) {
    for (int i = 0; i < 2; i++) {
        pid_t child = start(hold_twice, NULL);
        await(held);
        STATUS(SHC_WOULD_BLOCK, shc_rlock_acquire(lock, 0));
        slay(child);
    }
    STATUS(SHC_OWNER_DIED, shc_rlock_acquire(lock, LONG_NS));
    OK(shc_rlock_acquire(lock, 0));
    OK(shc_rlock_release(lock));
    OK(shc_rlock_release(lock));
    in_a_thread(is_let_in);
}

int main(void) {
    shc_segment *segment = test_segment("rlock");
    shc_rlock *again = NULL, *none = NULL;
    shc_type type = code('q');
    held = new_signpost();
    OK(shc_rlock_create(segment, "lock", &lock));
    OK(shc_array_create(segment, "counter", &type, 1, &counter));
    STATUS(SHC_ERR_ALREADY_EXISTS, shc_rlock_create(segment, "lock", &none));
    STATUS(SHC_ERR_WRONG_KIND, shc_rlock_open(segment, "counter", &none));
    STATUS(SHC_ERR_NOT_FOUND, shc_rlock_open(segment, "none", &none));
    OK(shc_rlock_open(segment, "lock", &again));
    OK(shc_rlock_acquire(lock, 0));
    OK(shc_rlock_acquire(again, 0));
    OK(shc_rlock_release(lock));
    OK(shc_rlock_release(again));
    OK(shc_rlock_close(again));
    OK(shc_rlock_open_or_create(segment, "lock", &again));
    OK(shc_rlock_close(again));

    a_thread_owns_it();
    excludes();
    a_fork_does_not_share_it();
    owners_die();
    OK(shc_array_close(counter));
    OK(shc_rlock_close(lock));
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
