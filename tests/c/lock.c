/* Locks: between threads and processes, right after a fork, after their owner's death, and
 * beyond repair. */

#include "check.h"

#include <pthread.h>

static shc_lock *lock;
static shc_array *counter;
static signpost held, go;

/* Adds one to a plain number, which is lost as soon as two do it at once. */
static void count(void) {
    void *address = NULL;
    OK(shc_array_address(counter, &address));
    for (int i = 0; i < 5000; i++) {
        OK(shc_lock_acquire(lock, -1));
        *(volatile int64_t *)address += 1;
        OK(shc_lock_release(lock));
    }
}

static void *count_in_a_thread(void *unused) {
    count();
    return unused;
}

static void count_in_a_child(void *unused) {
    (void)unused;
    count();
}

static void excludes(void) {
    pthread_t threads[3];
    pid_t children[3];
    int64_t total = 0;
    for (int i = 0; i < 3; i++) children[i] = start(count_in_a_child, NULL);
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, count_in_a_thread, NULL) == 0);
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < 3; i++) finish(children[i]);
    OK(shc_array_read(counter, 0, &total, sizeof total));
    CHECK(total == 6 * 5000);
}

static void *release_in_a_thread(void *unused) {
    OK(shc_lock_release(lock));
    return unused;
}

static void one_process(void) {
    pthread_t thread;
    uint32_t holder = 99;
    OK(shc_lock_holder(lock, &holder));
    CHECK(holder == 0);
    STATUS(SHC_ERR_NOT_HELD, shc_lock_release(lock));
    OK(shc_lock_acquire(lock, 0));
    OK(shc_lock_holder(lock, &holder));
    CHECK(holder != 0);
    STATUS(SHC_WOULD_BLOCK, shc_lock_acquire(lock, 0));
    STATUS(SHC_TIMED_OUT, shc_lock_acquire(lock, 1));
    STATUS(SHC_TIMED_OUT, shc_lock_acquire(lock, SHORT_NS));
    CHECK(pthread_create(&thread, NULL, release_in_a_thread, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    OK(shc_lock_acquire(lock, INT64_MAX));
    OK(shc_lock_release(lock));
}

static void may_not_release(void *unused) {
    (void)unused;
    STATUS(SHC_ERR_NOT_OWNER, shc_lock_release(lock));
    STATUS(SHC_WOULD_BLOCK, shc_lock_acquire(lock, 0));
    reached(held);
    OK(shc_lock_acquire(lock, LONG_NS));
    OK(shc_lock_release(lock));
}

static void a_fork_does_not_share_it(void) {
    pid_t child;
    OK(shc_lock_acquire(lock, -1));
    child = start(may_not_release, NULL);
    await(held);
    OK(shc_lock_release(lock));
    finish(child);
}

static void hold(void *unused) {
    (void)unused;
    OK(shc_lock_acquire(lock, -1));
    reached(held);
    await(go);
    kill(getpid(), SIGKILL);
}

static void die_waiting(void *unused) {
    (void)unused;
    reached(held);
    shc_lock_acquire(lock, -1);
}

/* Whoever takes a dead owner's lock is told, until one has given it back in good order. */
static void an_owner_dies(void) {
    int status;
    pid_t child = start(hold, NULL);
    await(held);
    slay(child);
    STATUS(SHC_OWNER_DIED, shc_lock_acquire(lock, LONG_NS));
    OK(shc_lock_release(lock));
    OK(shc_lock_acquire(lock, 0));
    OK(shc_lock_release(lock));

    child = start(hold, NULL);
    await(held);
    reached(go);
    STATUS(SHC_OWNER_DIED, shc_lock_acquire(lock, LONG_NS));
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));

    child = start(die_waiting, NULL);
    await(held);
    slay(child);
    OK(shc_lock_release(lock));
    OK(shc_lock_acquire(lock, LONG_NS));
    OK(shc_lock_release(lock));
}

static void take_and_stay(void *unused) {
    (void)unused;
    shc_lock_acquire(lock, LONG_NS);
    reached(held);
    stay();
}

/* The mark stays when its second owner dies as well. */
static void the_mark_stays(void) {
    for (int i = 0; i < 2; i++) {
        pid_t child = start(take_and_stay, NULL);
        await(held);
        slay(child);
    }
    STATUS(SHC_OWNER_DIED, shc_lock_acquire(lock, LONG_NS));
    OK(shc_lock_release(lock));
}

/* Who was told that its owner died gives the lock up, and nobody gets it until that is cleared. */
static void find_it_poisoned(void *unused) {
    (void)unused;
    reached(held);
    STATUS(SHC_ERR_POISONED, shc_lock_acquire(lock, LONG_NS));
    STATUS(SHC_ERR_POISONED, shc_lock_acquire(lock, 0));
}

static void poison(void) {
    bool was = true;
    pid_t child;
    STATUS(SHC_ERR_NOT_HELD, shc_lock_poison(lock));
    OK(shc_lock_clear_poison(lock, &was));
    CHECK(!was);
    child = start(take_and_stay, NULL);
    await(held);
    STATUS(SHC_ERR_NOT_OWNER, shc_lock_poison(lock));
    slay(child);
    STATUS(SHC_OWNER_DIED, shc_lock_acquire(lock, LONG_NS));

    child = start(find_it_poisoned, NULL);
    await(held);
    OK(shc_lock_poison(lock));
    finish(child);
    STATUS(SHC_ERR_POISONED, shc_lock_acquire(lock, -1));
    STATUS(SHC_ERR_NOT_HELD, shc_lock_release(lock));
    STATUS(SHC_ERR_NOT_HELD, shc_lock_poison(lock));
    OK(shc_lock_clear_poison(lock, &was));
    CHECK(was);
    OK(shc_lock_clear_poison(lock, &was));
    CHECK(!was);
    OK(shc_lock_acquire(lock, 0));
    OK(shc_lock_release(lock));
}

static int repairs;

static bool repair(void *works) {
    repairs++;
    STATUS(SHC_WOULD_BLOCK, shc_lock_acquire(lock, 0));
    return works != NULL;
}

static bool repair_while_killed(void *unused) {
    (void)unused;
    reached(held);
    stay();
    return true;
}

static void die_repairing(void *unused) {
    (void)unused;
    shc_lock_acquire_or_repair(lock, LONG_NS, repair_while_killed, NULL);
}

/* Who takes a dead owner's lock repairs what it protects before others have it; so does the next if that one
 * is killed in the middle of it. */
static void repaired(void) {
    bool is = true;
    pid_t child;
    repairs = 0;
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_lock_acquire_or_repair(lock, 0, NULL, NULL));
    OK(shc_lock_acquire_or_repair(lock, 0, repair, &repairs));
    CHECK(repairs == 0);
    STATUS(SHC_WOULD_BLOCK, shc_lock_acquire_or_repair(lock, 0, repair, &repairs));
    STATUS(SHC_TIMED_OUT, shc_lock_acquire_or_repair(lock, SHORT_NS, repair, &repairs));
    OK(shc_lock_release(lock));

    child = start(take_and_stay, NULL);
    await(held);
    slay(child);
    child = start(die_repairing, NULL);
    await(held);
    slay(child);
    OK(shc_lock_acquire_or_repair(lock, LONG_NS, repair, &repairs));
    CHECK(repairs == 1);
    OK(shc_lock_release(lock));
    OK(shc_lock_acquire(lock, 0));
    OK(shc_lock_release(lock));

    child = start(take_and_stay, NULL);
    await(held);
    slay(child);
    STATUS(SHC_ERR_POISONED, shc_lock_acquire_or_repair(lock, LONG_NS, repair, NULL));
    CHECK(repairs == 2);
    STATUS(SHC_ERR_POISONED, shc_lock_acquire_or_repair(lock, LONG_NS, repair, &repairs));
    CHECK(repairs == 2);
    OK(shc_lock_is_poisoned(lock, &is));
    CHECK(is);
    OK(shc_lock_clear_poison(lock, &is));
    OK(shc_lock_is_poisoned(lock, &is));
    CHECK(!is);
}

int main(void) {
    shc_segment *segment = test_segment("lock");
    shc_lock *again = NULL, *none = NULL;
    shc_type type = code('q');
    held = new_signpost();
    go = new_signpost();
    OK(shc_lock_create(segment, "lock", &lock));
    OK(shc_array_create(segment, "counter", &type, 1, &counter));
    STATUS(SHC_ERR_ALREADY_EXISTS, shc_lock_create(segment, "lock", &none));
    STATUS(SHC_ERR_WRONG_KIND, shc_lock_open(segment, "counter", &none));
    OK(shc_lock_open(segment, "lock", &again));
    OK(shc_lock_close(again));
    OK(shc_lock_open_or_create(segment, "lock", &again));

    OK(shc_lock_acquire(lock, 0));
    STATUS(SHC_WOULD_BLOCK, shc_lock_acquire(again, 0));
    OK(shc_lock_release(again));
    OK(shc_lock_close(again));
    OK(shc_lock_close(NULL));

    one_process();
    excludes();
    a_fork_does_not_share_it();
    an_owner_dies();
    the_mark_stays();
    poison();
    repaired();
    OK(shc_array_close(counter));
    OK(shc_lock_close(lock));
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
