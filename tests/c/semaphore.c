/* Semaphores: permits between threads and processes, limits, and permits that a death takes along, or gives
 * back. */

#include "check.h"

#include <pthread.h>

#define MOST 2147483647

static shc_semaphore *semaphore, *answer;

static uint32_t value_of(const shc_semaphore *of) {
    uint32_t value = 77;
    OK(shc_semaphore_value(of, &value));
    return value;
}

static void one_process(void) {
    CHECK(value_of(semaphore) == 2);
    OK(shc_semaphore_acquire(semaphore, -1));
    OK(shc_semaphore_acquire(semaphore, 0));
    STATUS(SHC_WOULD_BLOCK, shc_semaphore_acquire(semaphore, 0));
    STATUS(SHC_TIMED_OUT, shc_semaphore_acquire(semaphore, SHORT_NS));
    CHECK(value_of(semaphore) == 0);
    OK(shc_semaphore_release(semaphore, 3));
    CHECK(value_of(semaphore) == 3);
    OK(shc_semaphore_release(semaphore, 0));
    STATUS(SHC_ERR_OVERFLOW, shc_semaphore_release(semaphore, MOST));
    CHECK(value_of(semaphore) == 3);
    OK(shc_semaphore_release(semaphore, MOST - 3));
    STATUS(SHC_ERR_OVERFLOW, shc_semaphore_release(semaphore, 1));
    CHECK(value_of(semaphore) == MOST);
}

static void play(void *unused) {
    (void)unused;
    for (int i = 0; i < 2000; i++) {
        OK(shc_semaphore_acquire(semaphore, -1));
        OK(shc_semaphore_release(answer, 1));
    }
}

static void *play_in_a_thread(void *unused) {
    play(NULL);
    return unused;
}

/* Two children and a thread each take what this one gives, and answer. */
static void ping_pong(shc_segment *segment) {
    pthread_t thread;
    pid_t children[2];
    OK(shc_semaphore_close(semaphore));
    OK(shc_segment_remove(segment, "semaphore"));
    OK(shc_semaphore_create(segment, "semaphore", 0, &semaphore));
    for (int i = 0; i < 2; i++) children[i] = start(play, NULL);
    CHECK(pthread_create(&thread, NULL, play_in_a_thread, NULL) == 0);
    for (int i = 0; i < 6000; i++) {
        OK(shc_semaphore_release(semaphore, 1));
        OK(shc_semaphore_acquire(answer, LONG_NS));
    }
    CHECK(pthread_join(thread, NULL) == 0);
    for (int i = 0; i < 2; i++) finish(children[i]);
    CHECK(value_of(semaphore) == 0 && value_of(answer) == 0);
}

static void take_and_stay(void *unused) {
    (void)unused;
    OK(shc_semaphore_acquire(semaphore, -1));
    OK(shc_semaphore_release(answer, 1));
    stay();
}

static void wait_for_ever(void *unused) {
    (void)unused;
    OK(shc_semaphore_release(answer, 1));
    shc_semaphore_acquire(semaphore, -1);
}

/* A killed process does not give back; one that is killed waiting takes no permit along but may take the
 * wake. */
static void deaths(void) {
    pid_t child, other;
    OK(shc_semaphore_release(semaphore, 2));
    child = start(take_and_stay, NULL);
    OK(shc_semaphore_acquire(answer, LONG_NS));
    slay(child);
    CHECK(value_of(semaphore) == 1);
    OK(shc_semaphore_acquire(semaphore, 0));

    child = start(wait_for_ever, NULL);
    other = start(take_and_stay, NULL);
    OK(shc_semaphore_acquire(answer, LONG_NS));
    slay(child);
    OK(shc_semaphore_release(semaphore, 1));
    OK(shc_semaphore_acquire(answer, LONG_NS));
    CHECK(value_of(semaphore) == 0);
    slay(other);
}

static void bounded(shc_segment *segment) {
    shc_semaphore *limited = NULL, *again = NULL;
    OK(shc_semaphore_create_with(segment, "bounded", 2, SHC_SEMAPHORE_BOUNDED, &limited));
    STATUS(SHC_ERR_OVERFLOW, shc_semaphore_release(limited, 1));
    OK(shc_semaphore_acquire(limited, 0));
    STATUS(SHC_ERR_OVERFLOW, shc_semaphore_release(limited, 2));
    CHECK(value_of(limited) == 1);
    OK(shc_semaphore_release(limited, 1));
    CHECK(value_of(limited) == 2);
    STATUS(SHC_ERR_WRONG_TYPE, shc_semaphore_open_or_create(segment, "bounded", 2, &again));
    STATUS(SHC_ERR_WRONG_TYPE,
           shc_semaphore_open_or_create_with(segment, "bounded", 2, SHC_SEMAPHORE_UNDO, &again));
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_semaphore_create_with(segment, "none", 2, 4, &again));
    STATUS(SHC_ERR_INVALID_ARGUMENT,
           shc_semaphore_create_with(segment, "none", 65537, SHC_SEMAPHORE_UNDO, &again));
    OK(shc_semaphore_open_or_create_with(segment, "bounded", 2, SHC_SEMAPHORE_BOUNDED, &again));
    OK(shc_semaphore_close(again));
    OK(shc_semaphore_close(limited));
}

static void take_two_and_stay(void *undo) {
    for (int i = 0; i < 2; i++) OK(shc_semaphore_acquire(undo, LONG_NS));
    OK(shc_semaphore_release(answer, 1));
    stay();
}

static void give_back_the_parents(void *undo) {
    STATUS(SHC_ERR_NOT_HELD, shc_semaphore_release(undo, 1));
    OK(shc_semaphore_acquire(undo, 0));
}

static void take_one(void *undo) {
    OK(shc_semaphore_release(answer, 1));
    OK(shc_semaphore_acquire(undo, LONG_NS));
    OK(shc_semaphore_release(undo, 1));
}

/* Permits are somebody's, and those of the dead, and of who has left, come back. */
static void undo(shc_segment *segment) {
    shc_semaphore *owned = NULL;
    pid_t holder, waiter;
    OK(shc_semaphore_create_with(segment, "undo", 3, SHC_SEMAPHORE_UNDO, &owned));
    STATUS(SHC_ERR_NOT_HELD, shc_semaphore_release(owned, 1));
    holder = start(take_two_and_stay, owned);
    OK(shc_semaphore_acquire(answer, LONG_NS));
    OK(shc_semaphore_acquire(owned, 0));
    STATUS(SHC_WOULD_BLOCK, shc_semaphore_acquire(owned, 0));
    STATUS(SHC_ERR_NOT_HELD, shc_semaphore_release(owned, 2));
    CHECK(value_of(owned) == 0);
    waiter = start(take_one, owned);
    OK(shc_semaphore_acquire(answer, LONG_NS));
    slay(holder);
    finish(waiter);
    OK(shc_semaphore_acquire(owned, LONG_NS));
    /* The child takes the last one and leaves with it; what the parent holds is not the child's. */
    finish(start(give_back_the_parents, owned));
    OK(shc_semaphore_acquire(owned, LONG_NS));
    CHECK(value_of(owned) == 0);
    OK(shc_semaphore_release(owned, 3));
    CHECK(value_of(owned) == 3);
    OK(shc_semaphore_close(owned));
}

int main(void) {
    shc_segment *segment = test_segment("semaphore");
    shc_semaphore *again = NULL, *none = NULL;
    OK(shc_semaphore_create(segment, "semaphore", 2, &semaphore));
    OK(shc_semaphore_create(segment, "answer", 0, &answer));
    STATUS(SHC_ERR_ALREADY_EXISTS, shc_semaphore_create(segment, "answer", 0, &none));
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_semaphore_create(segment, "none", 2147483648u, &none));
    STATUS(SHC_ERR_NOT_FOUND, shc_semaphore_open(segment, "none", &none));
    OK(shc_semaphore_open_or_create(segment, "semaphore", 9, &again));
    CHECK(value_of(again) == 2);
    OK(shc_semaphore_close(again));
    OK(shc_semaphore_open(segment, "semaphore", &again));
    OK(shc_semaphore_close(again));
    OK(shc_semaphore_close(NULL));
    one_process();
    ping_pong(segment);
    deaths();
    bounded(segment);
    undo(segment);
    OK(shc_semaphore_close(answer));
    OK(shc_semaphore_close(semaphore));
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
