/* Events: set, cleared and waited for by threads and processes; set by a signal handler; killed waiters. */

#include "check.h"

#include <pthread.h>

static shc_event *event;
static signpost waiting, seen;

static bool is_set(void) {
    bool is = false;
    OK(shc_event_is_set(event, &is));
    return is;
}

static void one_process(void) {
    CHECK(!is_set());
    STATUS(SHC_WOULD_BLOCK, shc_event_wait(event, 0));
    STATUS(SHC_TIMED_OUT, shc_event_wait(event, SHORT_NS));
    OK(shc_event_set(event));
    OK(shc_event_set(event));
    CHECK(is_set());
    OK(shc_event_wait(event, 0));
    OK(shc_event_wait(event, -1));
    OK(shc_event_clear(event));
    OK(shc_event_clear(event));
    STATUS(SHC_WOULD_BLOCK, shc_event_wait(event, 0));
}

static void wait_for_it(void *unused) {
    (void)unused;
    reached(waiting);
    OK(shc_event_wait(event, LONG_NS));
}

static void *wait_in_a_thread(void *unused) {
    wait_for_it(NULL);
    return unused;
}

static void all_are_woken(void) {
    pthread_t threads[3];
    pid_t children[3];
    for (int i = 0; i < 3; i++) children[i] = start(wait_for_it, NULL);
    for (int i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, wait_in_a_thread, NULL) == 0);
    for (int i = 0; i < 6; i++) await(waiting);
    OK(shc_event_set(event));
    for (int i = 0; i < 3; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < 3; i++) finish(children[i]);
    OK(shc_event_clear(event));
}

static void set_it(int unused) {
    (void)unused;
    shc_event_set(event);
}

static void set_by_a_signal(void *unused) {
    struct sigaction action;
    (void)unused;
    memset(&action, 0, sizeof action);
    action.sa_handler = set_it;
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    reached(waiting);
    stay();
}

static void a_handler_sets_it(void) {
    pid_t child = start(set_by_a_signal, NULL);
    await(waiting);
    CHECK(kill(child, SIGUSR1) == 0);
    OK(shc_event_wait(event, LONG_NS));
    slay(child);
    OK(shc_event_clear(event));
}

static void set_and_stay(void *unused) {
    (void)unused;
    OK(shc_event_set(event));
    reached(seen);
    stay();
}

/* A killed waiter keeps nobody else from being woken, and what the dead have set stays set. */
static void deaths(void) {
    pid_t dead = start(wait_for_it, NULL), other = start(wait_for_it, NULL);
    await(waiting);
    await(waiting);
    slay(dead);
    dead = start(set_and_stay, NULL);
    await(seen);
    slay(dead);
    finish(other);
    CHECK(is_set());
    OK(shc_event_clear(event));
    CHECK(!is_set());
}

int main(void) {
    shc_segment *segment = test_segment("event");
    shc_event *again = NULL, *none = NULL;
    shc_lock *lock = NULL;
    waiting = new_signpost();
    seen = new_signpost();
    OK(shc_event_create(segment, "event", &event));
    OK(shc_lock_create(segment, "lock", &lock));
    STATUS(SHC_ERR_ALREADY_EXISTS, shc_event_create(segment, "event", &none));
    STATUS(SHC_ERR_WRONG_KIND, shc_event_open(segment, "lock", &none));
    OK(shc_event_open(segment, "event", &again));
    OK(shc_event_set(again));
    CHECK(is_set());
    OK(shc_event_clear(again));
    OK(shc_event_close(again));
    OK(shc_event_open_or_create(segment, "event", &again));
    OK(shc_event_close(again));

    one_process();
    all_are_woken();
    a_handler_sets_it();
    deaths();
    OK(shc_lock_close(lock));
    OK(shc_event_close(event));
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
