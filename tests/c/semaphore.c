/* Semaphores: permits between threads and processes, limits, and permits that a death takes along. */

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
    OK(shc_semaphore_close(answer));
    OK(shc_semaphore_close(semaphore));
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
