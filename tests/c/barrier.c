/* Barriers: rounds of threads and processes, actions, and all that breaks them. */

#include "check.h"

#include <pthread.h>
#include <sched.h>

#define ROUNDS 300

static shc_barrier *barrier;
static shc_value *actions;

static size_t n_waiting(void) {
    size_t count = 99;
    OK(shc_barrier_n_waiting(barrier, &count));
    return count;
}

static bool broken(void) {
    bool is = false;
    OK(shc_barrier_is_broken(barrier, &is));
    return is;
}

static void until_waiting(size_t count) {
    while (n_waiting() != count) sched_yield();
}

static bool act(void *userdata) {
    CHECK(userdata == &actions);
    OK(shc_value_add_int(actions, 1, NULL));
    return true;
}

/* Nobody goes on before the action of the round is done. */
static void meet(void *unused) {
    (void)unused;
    for (int64_t round = 0; round < ROUNDS; round++) {
        size_t number = 99;
        int64_t done = 0;
        OK(shc_barrier_wait_with(barrier, -1, act, &actions, &number));
        CHECK(number < 3);
        OK(shc_value_get(actions, &done, sizeof done));
        CHECK(done > round);
    }
}

static void *meet_in_a_thread(void *unused) {
    meet(NULL);
    return unused;
}

static void rounds(void) {
    pthread_t thread;
    pid_t child = start(meet, NULL);
    int64_t done = 0;
    CHECK(pthread_create(&thread, NULL, meet_in_a_thread, NULL) == 0);
    meet(NULL);
    CHECK(pthread_join(thread, NULL) == 0);
    finish(child);
    OK(shc_value_get(actions, &done, sizeof done));
    CHECK(done == ROUNDS);
}

/* Each party has another number. */
static void arrive(void *sum) {
    size_t number = 99;
    OK(shc_barrier_wait(barrier, LONG_NS, &number));
    OK(shc_value_add_int(*(shc_value **)sum, 1 << (4 * number), NULL));
}

static void numbers(shc_segment *segment) {
    shc_type type = code('q');
    shc_value *sum = NULL;
    pid_t children[2];
    int64_t all = 0;
    OK(shc_value_create(segment, "sum", &type, NULL, &sum));
    for (int i = 0; i < 2; i++) children[i] = start(arrive, &sum);
    arrive(&sum);
    for (int i = 0; i < 2; i++) finish(children[i]);
    OK(shc_value_get(sum, &all, sizeof all));
    CHECK(all == 0x111);
    OK(shc_value_close(sum));
}

static void find_it_broken(void *unused) {
    size_t number = 99;
    (void)unused;
    STATUS(SHC_BROKEN, shc_barrier_wait(barrier, LONG_NS, &number));
    CHECK(number == 99);
}

static void mend(void) {
    OK(shc_barrier_reset(barrier));
    CHECK(!broken() && n_waiting() == 0);
}

static void it_breaks(void) {
    pid_t children[2];
    size_t number = 99;
    for (int i = 0; i < 2; i++) children[i] = start(find_it_broken, NULL);
    until_waiting(2);
    OK(shc_barrier_abort(barrier));
    for (int i = 0; i < 2; i++) finish(children[i]);
    CHECK(broken() && n_waiting() == 0);
    find_it_broken(NULL);
    mend();

    children[0] = start(find_it_broken, NULL);
    until_waiting(1);
    mend();
    finish(children[0]);

    children[0] = start(find_it_broken, NULL);
    until_waiting(1);
    STATUS(SHC_BROKEN, shc_barrier_wait(barrier, SHORT_NS, &number));
    finish(children[0]);
    mend();
    STATUS(SHC_BROKEN, shc_barrier_wait(barrier, 0, &number));
    CHECK(broken());
    mend();
}

static bool fail(void *unused) {
    (void)unused;
    return false;
}

static bool kill_oneself(void *unused) {
    (void)unused;
    return kill(getpid(), SIGKILL) == 0;
}

static void die_acting(void *unused) {
    size_t number;
    (void)unused;
    shc_barrier_wait_with(barrier, -1, kill_oneself, NULL, &number);
}

static void actions_fail(void) {
    pid_t children[2];
    size_t number = 99;
    pid_t dead;
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_barrier_wait_with(barrier, -1, NULL, NULL, &number));
    for (int i = 0; i < 2; i++) children[i] = start(find_it_broken, NULL);
    until_waiting(2);
    STATUS(SHC_BROKEN, shc_barrier_wait_with(barrier, -1, fail, NULL, &number));
    for (int i = 0; i < 2; i++) finish(children[i]);
    mend();

    for (int i = 0; i < 2; i++) children[i] = start(find_it_broken, NULL);
    until_waiting(2);
    dead = start(die_acting, NULL);
    for (int i = 0; i < 2; i++) finish(children[i]);
    slay(dead);
    mend();
}

static void arrive_and_stay(void *unused) {
    size_t number;
    (void)unused;
    shc_barrier_wait(barrier, -1, &number);
    stay();
}

static void deaths(void) {
    pid_t dead = start(arrive_and_stay, NULL), other;
    until_waiting(1);
    other = start(find_it_broken, NULL);
    until_waiting(2);
    slay(dead);
    finish(other);
    CHECK(broken());
    mend();
}

int main(void) {
    shc_segment *segment = test_segment("barrier");
    shc_type type = code('q');
    shc_barrier *again = NULL, *none = NULL;
    size_t parties = 0;
    OK(shc_barrier_create(segment, "barrier", 3, &barrier));
    OK(shc_value_create(segment, "actions", &type, NULL, &actions));
    STATUS(SHC_ERR_ALREADY_EXISTS, shc_barrier_create(segment, "barrier", 3, &none));
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_barrier_create(segment, "none", 0, &none));
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_barrier_create(segment, "none", 65537, &none));
    STATUS(SHC_ERR_WRONG_SIZE, shc_barrier_open_or_create(segment, "barrier", 4, &none));
    STATUS(SHC_ERR_WRONG_KIND, shc_barrier_open(segment, "actions", &none));
    OK(shc_barrier_open(segment, "barrier", &again));
    OK(shc_barrier_parties(again, &parties));
    CHECK(parties == 3 && n_waiting() == 0 && !broken());
    OK(shc_barrier_close(again));
    OK(shc_barrier_open_or_create(segment, "barrier", 3, &again));
    OK(shc_barrier_close(again));

    rounds();
    numbers(segment);
    it_breaks();
    actions_fail();
    deaths();
    OK(shc_value_close(actions));
    OK(shc_barrier_close(barrier));
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
