/* Reader-writer locks: what excludes what, writers that are not starved, and killed readers and writers. */

#include "check.h"

#include <pthread.h>
#include <sched.h>

static shc_rwlock *lock;
static shc_array *pair;
static signpost held;

static void one_process(void) {
    STATUS(SHC_ERR_NOT_HELD, shc_rwlock_release_read(lock));
    STATUS(SHC_ERR_NOT_HELD, shc_rwlock_release_write(lock));
    OK(shc_rwlock_acquire_read(lock, -1));
    OK(shc_rwlock_acquire_read(lock, 0));
    STATUS(SHC_WOULD_BLOCK, shc_rwlock_acquire_write(lock, 0));
    STATUS(SHC_TIMED_OUT, shc_rwlock_acquire_write(lock, SHORT_NS));
    OK(shc_rwlock_release_read(lock));
    STATUS(SHC_WOULD_BLOCK, shc_rwlock_acquire_write(lock, 0));
    OK(shc_rwlock_release_read(lock));
    OK(shc_rwlock_acquire_write(lock, 0));
    STATUS(SHC_WOULD_BLOCK, shc_rwlock_acquire_read(lock, 0));
    STATUS(SHC_TIMED_OUT, shc_rwlock_acquire_read(lock, SHORT_NS));
    STATUS(SHC_WOULD_BLOCK, shc_rwlock_acquire_write(lock, 0));
    STATUS(SHC_ERR_NOT_HELD, shc_rwlock_release_read(lock));
    OK(shc_rwlock_release_write(lock));
}

/* Two plain numbers that are equal whenever no writer is at work. */
static volatile int64_t *numbers(void) {
    void *address = NULL;
    OK(shc_array_address(pair, &address));
    return address;
}

static void write_often(void *unused) {
    volatile int64_t *both = numbers();
    (void)unused;
    for (int i = 0; i < 2000; i++) {
        OK(shc_rwlock_acquire_write(lock, -1));
        both[0] += 1;
        both[1] += 1;
        OK(shc_rwlock_release_write(lock));
    }
}

static void read_often(void *unused) {
    volatile int64_t *both = numbers();
    (void)unused;
    for (int i = 0; i < 2000; i++) {
        OK(shc_rwlock_acquire_read(lock, -1));
        CHECK(both[0] == both[1]);
        OK(shc_rwlock_release_read(lock));
    }
}

static void *write_in_a_thread(void *unused) {
    write_often(NULL);
    return unused;
}

static void *read_in_a_thread(void *unused) {
    read_often(NULL);
    return unused;
}

static void excludes(void) {
    pthread_t writer, reader;
    pid_t children[4];
    for (int i = 0; i < 4; i++) children[i] = start(i % 2 ? write_often : read_often, NULL);
    CHECK(pthread_create(&writer, NULL, write_in_a_thread, NULL) == 0);
    CHECK(pthread_create(&reader, NULL, read_in_a_thread, NULL) == 0);
    CHECK(pthread_join(writer, NULL) == 0 && pthread_join(reader, NULL) == 0);
    for (int i = 0; i < 4; i++) finish(children[i]);
    CHECK(numbers()[0] == 6000);
}

static void is_the_parents(void *unused) {
    (void)unused;
    STATUS(SHC_ERR_NOT_HELD, shc_rwlock_release_read(lock));
    STATUS(SHC_ERR_NOT_OWNER, shc_rwlock_release_write(lock));
    STATUS(SHC_WOULD_BLOCK, shc_rwlock_acquire_read(lock, 0));
}

static void a_fork_does_not_share_it(void) {
    OK(shc_rwlock_acquire_write(lock, 0));
    finish(start(is_the_parents, NULL));
    OK(shc_rwlock_release_write(lock));
}

static void read_and_stay(void *unused) {
    (void)unused;
    OK(shc_rwlock_acquire_read(lock, -1));
    OK(shc_rwlock_acquire_read(lock, -1));
    reached(held);
    stay();
}

static void write_and_stay(void *unused) {
    (void)unused;
    shc_rwlock_acquire_write(lock, -1);
    reached(held);
    stay();
}

static void write_once(void *unused) {
    (void)unused;
    OK(shc_rwlock_acquire_write(lock, LONG_NS));
    reached(held);
    OK(shc_rwlock_release_write(lock));
}

static void write_for_ever(void *unused) {
    (void)unused;
    shc_rwlock_acquire_write(lock, -1);
}

/* A writer that waits keeps new readers out. */
static void until_a_writer_waits(void) {
    shc_status status;
    while ((status = shc_rwlock_acquire_read(lock, 0)) == SHC_OK) {
        OK(shc_rwlock_release_read(lock));
        sched_yield();
    }
    STATUS(SHC_WOULD_BLOCK, status);
}

/* Acquires it in time, whether somebody died or not. */
static void acquired(shc_status (*acquire)(const shc_rwlock *, int64_t)) {
    const shc_status status = acquire(lock, LONG_NS);
    CHECK(status == SHC_OK || status == SHC_OWNER_DIED);
}

/* Dead readers are forgotten, and the writer that waited for them is told nothing. */
static void readers_die(void) {
    pid_t reader = start(read_and_stay, NULL), writer;
    await(held);
    STATUS(SHC_WOULD_BLOCK, shc_rwlock_acquire_write(lock, 0));
    writer = start(write_once, NULL);
    until_a_writer_waits();
    slay(reader);
    await(held);
    finish(writer);

    /* A writer that dies waiting for readers may be told of, and is not in the way. */
    reader = start(read_and_stay, NULL);
    await(held);
    writer = start(write_for_ever, NULL);
    until_a_writer_waits();
    slay(writer);
    acquired(shc_rwlock_acquire_read);
    OK(shc_rwlock_release_read(lock));
    slay(reader);
    acquired(shc_rwlock_acquire_write);
    OK(shc_rwlock_release_write(lock));
    OK(shc_rwlock_acquire_write(lock, LONG_NS));
    OK(shc_rwlock_release_write(lock));
}

/* All are told, readers as well, until a writer has given it back in good order. */
static void writers_die(void) {
    for (int i = 0; i < 2; i++) {
        pid_t writer = start(write_and_stay, NULL);
        await(held);
        STATUS(SHC_WOULD_BLOCK, shc_rwlock_acquire_read(lock, 0));
        slay(writer);
    }
    for (int i = 0; i < 2; i++) {
        STATUS(SHC_OWNER_DIED, shc_rwlock_acquire_read(lock, LONG_NS));
        OK(shc_rwlock_release_read(lock));
    }
    STATUS(SHC_OWNER_DIED, shc_rwlock_acquire_write(lock, LONG_NS));
    OK(shc_rwlock_release_write(lock));
    OK(shc_rwlock_acquire_read(lock, 0));
    OK(shc_rwlock_release_read(lock));
    OK(shc_rwlock_acquire_write(lock, 0));
    OK(shc_rwlock_release_write(lock));
}

int main(void) {
    shc_segment *segment = test_segment("rwlock");
    shc_rwlock *again = NULL, *none = NULL;
    shc_type type = code('q');
    held = new_signpost();
    OK(shc_rwlock_create(segment, "lock", &lock));
    OK(shc_array_create(segment, "pair", &type, 2, &pair));
    STATUS(SHC_ERR_ALREADY_EXISTS, shc_rwlock_create(segment, "lock", &none));
    STATUS(SHC_ERR_WRONG_KIND, shc_rwlock_open(segment, "pair", &none));
    OK(shc_rwlock_open(segment, "lock", &again));
    OK(shc_rwlock_acquire_write(lock, 0));
    STATUS(SHC_WOULD_BLOCK, shc_rwlock_acquire_read(again, 0));
    OK(shc_rwlock_release_write(again));
    OK(shc_rwlock_close(again));
    OK(shc_rwlock_open_or_create(segment, "lock", &again));
    OK(shc_rwlock_close(again));

    one_process();
    excludes();
    a_fork_does_not_share_it();
    readers_die();
    writers_die();
    OK(shc_array_close(pair));
    OK(shc_rwlock_close(lock));
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
