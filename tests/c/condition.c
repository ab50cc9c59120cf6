/* Conditions: order of notification, predicates, timeouts, reentrance, and waiters and holders that die. */

#include "check.h"

#include <sched.h>

static shc_segment *segment;
static shc_condition *condition;
static shc_value *number;
static signpost woken, held;

static size_t waiters(void) {
    size_t count = 99;
    OK(shc_condition_waiters(condition, &count));
    return count;
}

static void until_waiters(size_t count) {
    while (waiters() != count) sched_yield();
}

/* What a killed process left behind is found by whoever looks. */
static void until_swept(size_t count) {
    size_t dead = 0;
    while (waiters() != count) {
        OK(shc_segment_recover(segment, &dead));
        sched_yield();
    }
}

static void one_process(void) {
    STATUS(SHC_ERR_NOT_HELD, shc_condition_wait(condition, 0));
    STATUS(SHC_ERR_NOT_HELD, shc_condition_notify(condition, 1));
    STATUS(SHC_ERR_NOT_HELD, shc_condition_release(condition));
    OK(shc_condition_acquire(condition, 0));
    OK(shc_condition_acquire(condition, 0));
    STATUS(SHC_TIMED_OUT, shc_condition_wait(condition, SHORT_NS));
    CHECK(shc_condition_wait(condition, 0) > SHC_OK);
    OK(shc_condition_notify(condition, SIZE_MAX));
    CHECK(waiters() == 0);
    OK(shc_condition_release(condition));
    OK(shc_condition_release(condition));
    STATUS(SHC_ERR_NOT_HELD, shc_condition_release(condition));
}

static void may_not(void *unused) {
    (void)unused;
    STATUS(SHC_WOULD_BLOCK, shc_condition_acquire(condition, 0));
    STATUS(SHC_TIMED_OUT, shc_condition_acquire(condition, SHORT_NS));
    STATUS(SHC_ERR_NOT_OWNER, shc_condition_wait(condition, 0));
    STATUS(SHC_ERR_NOT_OWNER, shc_condition_notify(condition, 1));
    STATUS(SHC_ERR_NOT_OWNER, shc_condition_release(condition));
}

static void a_fork_does_not_share_it(void) {
    OK(shc_condition_acquire(condition, -1));
    finish(start(may_not, NULL));
    OK(shc_condition_release(condition));
}

/* Waits with the lock held twice, and says when it was notified. */
static void wait_deep(void *unused) {
    (void)unused;
    OK(shc_condition_acquire(condition, -1));
    OK(shc_condition_acquire(condition, -1));
    OK(shc_condition_wait(condition, LONG_NS));
    OK(shc_condition_release(condition));
    reached(woken);
    OK(shc_condition_release(condition));
}

static void notify(size_t count) {
    OK(shc_condition_acquire(condition, -1));
    OK(shc_condition_notify(condition, count));
    OK(shc_condition_release(condition));
}

static void the_longest_waiting_first(void) {
    pid_t children[5];
    for (size_t i = 0; i < 5; i++) {
        children[i] = start(wait_deep, NULL);
        until_waiters(i + 1);
    }
    for (size_t i = 0; i < 2; i++) {
        notify(1);
        await(woken);
        finish(children[i]);
        CHECK(waiters() == 4 - i);
    }
    notify(0);
    CHECK(waiters() == 3);
    notify(2);
    for (int i = 2; i < 4; i++) finish(children[i]);
    notify(SIZE_MAX);
    finish(children[4]);
    for (int i = 2; i < 5; i++) await(woken);
    CHECK(waiters() == 0);
}

/* Turn by turn, each waiting for the number that is its own. */
static void take_turns(void *parity) {
    for (int64_t turn = *(int64_t *)parity; turn < 1000; turn += 2) {
        int64_t now = -1;
        OK(shc_condition_acquire(condition, -1));
        for (;;) {
            OK(shc_value_get(number, &now, sizeof now));
            if (now == turn) break;
            OK(shc_condition_wait(condition, LONG_NS));
        }
        OK(shc_value_add_int(number, 1, NULL));
        OK(shc_condition_notify(condition, SIZE_MAX));
        OK(shc_condition_release(condition));
    }
}

static void turns(void) {
    int64_t even = 0, odd = 1, last = 0;
    pid_t child = start(take_turns, &odd);
    take_turns(&even);
    finish(child);
    OK(shc_value_get(number, &last, sizeof last));
    CHECK(last == 1000);
}

static bool is_at_least(void *wanted) {
    int64_t now = -1;
    OK(shc_value_get(number, &now, sizeof now));
    return now >= *(int64_t *)wanted;
}

static void count_twice(void *unused) {
    (void)unused;
    for (int i = 0; i < 2; i++) {
        OK(shc_condition_acquire(condition, -1));
        OK(shc_value_add_int(number, 1, NULL));
        OK(shc_condition_notify(condition, 1));
        OK(shc_condition_release(condition));
    }
}

static void die_notifying(void *unused) {
    (void)unused;
    OK(shc_condition_acquire(condition, -1));
    OK(shc_condition_notify(condition, 1));
    kill(getpid(), SIGKILL);
}

static void predicates(void) {
    int64_t wanted = 1002;
    bool is = false;
    pid_t child;
    int status;
    STATUS(SHC_ERR_NOT_HELD, shc_condition_wait_for(condition, 0, is_at_least, &wanted, &is));
    OK(shc_condition_acquire(condition, -1));
    is = true;
    OK(shc_condition_wait_for(condition, SHORT_NS, is_at_least, &wanted, &is));
    CHECK(!is);
    child = start(count_twice, NULL);
    OK(shc_condition_wait_for(condition, LONG_NS, is_at_least, &wanted, &is));
    CHECK(is);
    finish(child);

    /* Killed with the lock in hand: who is woken by it is told. */
    wanted = 1003;
    child = start(die_notifying, NULL);
    STATUS(SHC_OWNER_DIED, shc_condition_wait_for(condition, LONG_NS, is_at_least, &wanted, &is));
    CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
    OK(shc_condition_release(condition));
}

static void wait_to_be_killed(void *unused) {
    (void)unused;
    OK(shc_condition_acquire(condition, -1));
    shc_condition_wait(condition, -1);
    stay();
}

static void hold(void *unused) {
    (void)unused;
    shc_condition_acquire(condition, -1);
    reached(held);
    stay();
}

static void deaths(void) {
    /* The lock is ours, so the first is notified and cannot go on; what was spent on it passes on. */
    pid_t first = start(wait_to_be_killed, NULL), second;
    until_waiters(1);
    second = start(wait_deep, NULL);
    until_waiters(2);
    OK(shc_condition_acquire(condition, -1));
    OK(shc_condition_notify(condition, 1));
    CHECK(waiters() == 1);
    slay(first);
    until_swept(0);
    OK(shc_condition_release(condition));
    await(woken);
    finish(second);

    /* One that is killed waiting is forgotten. */
    first = start(wait_to_be_killed, NULL);
    until_waiters(1);
    slay(first);
    until_swept(0);

    /* Of one that is killed with the lock, the next is told. */
    first = start(hold, NULL);
    await(held);
    slay(first);
    STATUS(SHC_OWNER_DIED, shc_condition_acquire(condition, LONG_NS));
    OK(shc_condition_release(condition));
    OK(shc_condition_acquire(condition, 0));
    OK(shc_condition_release(condition));
}

int main(void) {
    shc_condition *again = NULL, *none = NULL;
    shc_type type = code('q');
    segment = test_segment("condition");
    woken = new_signpost();
    held = new_signpost();
    OK(shc_condition_create(segment, "condition", &condition));
    OK(shc_value_create(segment, "number", &type, NULL, &number));
    STATUS(SHC_ERR_ALREADY_EXISTS, shc_condition_create(segment, "condition", &none));
    STATUS(SHC_ERR_WRONG_KIND, shc_condition_open(segment, "number", &none));
    OK(shc_condition_open(segment, "condition", &again));
    OK(shc_condition_close(again));
    OK(shc_condition_open_or_create(segment, "condition", &again));
    OK(shc_condition_close(again));

    one_process();
    a_fork_does_not_share_it();
    the_longest_waiting_first();
    turns();
    predicates();
    deaths();
    OK(shc_value_close(number));
    OK(shc_condition_close(condition));
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
