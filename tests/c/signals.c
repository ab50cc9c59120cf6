/* A signal whose handler was installed without SA_RESTART ends each call that waits, and nothing has
 * happened: SIGINT and SIGTERM, each call. tests/c_complete.rs finds the calls that are missing here. */

#include "check.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define TICK_US 20000

static volatile sig_atomic_t ticks;
/* Which signal came last, and which one is to come. */
static volatile sig_atomic_t last;
static volatile sig_atomic_t *wanted;
/* What the handler releases, if it is to. */
static shc_semaphore *volatile released;

static void on_signal(int signal) {
    last = signal;
    if (released != NULL) shc_semaphore_release(released, 1);
    ticks++;
}

/* The signal comes again and again, because one that comes before the call sleeps ends no sleep. */
static void pester(void *unused) {
    (void)unused;
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0);
    for (;;) {
        CHECK(kill(getppid(), *wanted) == 0);
        usleep(TICK_US);
    }
}

#define INTERRUPTED(call)                                                                                    \
    do {                                                                                                     \
        ticks = 0;                                                                                           \
        STATUS(SHC_INTERRUPTED, call);                                                                       \
        CHECK(ticks > 0 && (int)last == (int)*wanted);                                                       \
    } while (0)

static bool act(void *unused) { return unused == NULL; }
static bool never(void *unused) { return unused != NULL; }
static bool leave(void *unused, const void *data, size_t len) { return unused && data && len; }

static void *hold_reentrant_locks(void *both) {
    OK(shc_rlock_acquire(*(shc_rlock **)((void **)both)[0], 0));
    OK(shc_condition_acquire(*(shc_condition **)((void **)both)[1], 0));
    return NULL;
}

/* The rest of the toolbox; the alarm is running. */
static void toolbox(shc_segment *segment, int64_t timeout) {
    shc_queue_options options;
    shc_rlock *rlock = NULL;
    shc_rwlock *rwlock = NULL;
    shc_condition *condition = NULL, *mine = NULL;
    shc_event *event = NULL;
    shc_barrier *barrier = NULL;
    shc_semaphore *undo = NULL;
    shc_queue *work = NULL;
    void *both[2] = {&rlock, &condition};
    pthread_t thread;
    int sockets[2];
    size_t number = 99;
    bool ready[2] = {true, true}, broken = true;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.flags = SHC_QUEUE_JOINABLE;
    OK(shc_rlock_create(segment, "rlock", &rlock));
    OK(shc_rwlock_create(segment, "rwlock", &rwlock));
    OK(shc_condition_create(segment, "condition", &condition));
    OK(shc_condition_create(segment, "mine", &mine));
    OK(shc_event_create(segment, "event", &event));
    OK(shc_barrier_create(segment, "barrier", 2, &barrier));
    OK(shc_semaphore_create_with(segment, "undo", 0, SHC_SEMAPHORE_UNDO, &undo));
    OK(shc_queue_create(segment, "work", &options, &work));
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    CHECK(pthread_create(&thread, NULL, hold_reentrant_locks, both) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    OK(shc_condition_acquire(mine, 0));
    OK(shc_queue_put(work, "x", 1, 0));
    const shc_interest any[2] = {{SHC_EVENT_SET, -1, event}, {SHC_FD_READABLE, sockets[0], NULL}};

    INTERRUPTED(shc_rlock_acquire(rlock, timeout));
    INTERRUPTED(shc_condition_acquire(condition, timeout));
    INTERRUPTED(shc_condition_wait(mine, timeout));
    INTERRUPTED(shc_condition_wait_for(mine, timeout, never, NULL, ready));
    OK(shc_condition_release(mine));
    OK(shc_rwlock_acquire_read(rwlock, 0));
    INTERRUPTED(shc_rwlock_acquire_write(rwlock, timeout));
    OK(shc_rwlock_release_read(rwlock));
    OK(shc_rwlock_acquire_write(rwlock, 0));
    INTERRUPTED(shc_rwlock_acquire_write(rwlock, timeout));
    INTERRUPTED(shc_rwlock_acquire_read(rwlock, timeout));
    OK(shc_rwlock_release_write(rwlock));
    INTERRUPTED(shc_event_wait(event, timeout));
    INTERRUPTED(shc_barrier_wait(barrier, timeout, &number));
    INTERRUPTED(shc_barrier_wait_with(barrier, timeout, act, NULL, &number));
    INTERRUPTED(shc_semaphore_acquire(undo, timeout));
    INTERRUPTED(shc_queue_join(work, timeout));
    INTERRUPTED(shc_wait_any(any, 1, timeout, ready));
    INTERRUPTED(shc_wait_any(any, 2, timeout, ready));
    CHECK(number == 99 && ready[0] && ready[1]);
    OK(shc_barrier_n_waiting(barrier, &number));
    OK(shc_barrier_is_broken(barrier, &broken));
    CHECK(number == 0 && !broken);
    OK(shc_condition_waiters(mine, &number));
    CHECK(number == 0);

    CHECK(close(sockets[0]) == 0 && close(sockets[1]) == 0);
    OK(shc_queue_close(work));
    OK(shc_semaphore_close(undo));
    OK(shc_barrier_close(barrier));
    OK(shc_event_close(event));
    OK(shc_condition_close(mine));
    OK(shc_condition_close(condition));
    OK(shc_rwlock_close(rwlock));
    OK(shc_rlock_close(rlock));
    const char *made[] = {"rlock", "rwlock", "condition", "mine", "event", "barrier", "undo", "work"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) OK(shc_segment_remove(segment, made[i]));
}

int main(void) {
    const int signals[] = {SIGINT, SIGTERM};
    const shc_buffer one = {"x", 1};
    const shc_type type = code('i');
    shc_segment *segment = NULL;
    shc_queue_options options;
    struct sigaction action;
    pid_t sender;
    shc_value *value = NULL;
    shc_array *array = NULL;
    shc_lock *lock = NULL;
    shc_semaphore *semaphore = NULL;
    shc_queue *empty = NULL, *full = NULL;
    shc_pipe *a = NULL, *b = NULL;
    shc_item item;
    shc_slot slot;
    char seen[8] = "zzzzzzz";
    size_t len = 99, lens[1] = {99};
    uint32_t permits = 99;
    bool ready = true;

    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    for (int i = 0; i < 2; i++) CHECK(sigaction(signals[i], &action, NULL) == 0);
    wanted = mmap(NULL, sizeof *wanted, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(wanted != MAP_FAILED);
    *wanted = signals[0];
    sender = start(pester, NULL);
    segment = test_segment("signals");
    OK(shc_value_create(segment, "value", &type, NULL, &value));
    OK(shc_array_create(segment, "array", &type, 1, &array));
    OK(shc_lock_create(segment, "lock", &lock));
    OK(shc_semaphore_create(segment, "semaphore", 0, &semaphore));
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.capacity = 1;
    OK(shc_queue_create(segment, "empty", &options, &empty));
    OK(shc_queue_create(segment, "full", &options, &full));
    OK(shc_pipe_create(segment, "pipe", NULL, &a, &b));
    OK(shc_value_lock(value, 0));
    OK(shc_array_lock(array, 0));
    OK(shc_lock_acquire(lock, 0));
    OK(shc_queue_put(full, "x", 1, 0));
    while (shc_pipe_send(b, "x", 1, 0) == SHC_OK) continue;

    const int64_t timeouts[] = {-1, LONG_NS * 4};
    for (int i = 0; i < 4; i++) {
        const int64_t timeout = timeouts[i / 2];
        *wanted = signals[i % 2];
        while (last != *wanted) usleep(TICK_US);
        INTERRUPTED(shc_value_lock(value, timeout));
        INTERRUPTED(shc_array_lock(array, timeout));
        INTERRUPTED(shc_lock_acquire(lock, timeout));
        INTERRUPTED(shc_lock_acquire_or_repair(lock, timeout, act, NULL));
        INTERRUPTED(shc_semaphore_acquire(semaphore, timeout));
        INTERRUPTED(shc_queue_put(full, "x", 1, timeout));
        INTERRUPTED(shc_queue_put_many(full, &one, 1, timeout, &len));
        INTERRUPTED(shc_queue_reserve(full, 1, timeout, &slot));
        INTERRUPTED(shc_queue_get(empty, seen, sizeof seen, timeout, &len));
        INTERRUPTED(shc_queue_get_many(empty, seen, sizeof seen, lens, 1, timeout, &len));
        INTERRUPTED(shc_queue_get_with(empty, 1, timeout, leave, NULL, &len));
        INTERRUPTED(shc_queue_recv(empty, timeout, &item));
        INTERRUPTED(shc_pipe_send(b, "x", 1, timeout));
        INTERRUPTED(shc_pipe_reserve(b, 1, timeout, &slot));
        INTERRUPTED(shc_pipe_recv(b, seen, sizeof seen, timeout, &len));
        INTERRUPTED(shc_pipe_recv_with(b, timeout, leave, NULL, &ready));
        INTERRUPTED(shc_pipe_recv_in_place(b, timeout, &item));
        INTERRUPTED(shc_pipe_poll(b, timeout, &ready));
        toolbox(segment, timeout);
    }
    CHECK(len == 99 && lens[0] == 99 && seen[0] == 'z' && ready);

    /* A handler may release a semaphore. */
    ticks = 0;
    released = semaphore;
    for (int i = 0; i < 3; i++) {
        shc_status status;
        do status = shc_semaphore_acquire(semaphore, -1);
        while (status == SHC_INTERRUPTED);
        STATUS(SHC_OK, status);
    }
    released = NULL;
    while (shc_semaphore_acquire(semaphore, 0) == SHC_OK) continue;

    /* Calls that need not wait are not interrupted. */
    ticks = 0;
    OK(shc_semaphore_release(semaphore, 1));
    for (int i = 0; i < 100000; i++) {
        OK(shc_semaphore_acquire(semaphore, -1));
        OK(shc_semaphore_release(semaphore, 1));
    }
    OK(shc_semaphore_value(semaphore, &permits));
    CHECK(permits == 1);
    OK(shc_value_unlock(value));
    OK(shc_array_unlock(array));
    OK(shc_lock_release(lock));
    OK(shc_queue_qsize(full, &len));
    CHECK(len == 1);
    OK(shc_queue_qsize(empty, &len));
    CHECK(len == 0);

    slay(sender);
    OK(shc_pipe_close(b));
    OK(shc_pipe_close(a));
    OK(shc_queue_close(full));
    OK(shc_queue_close(empty));
    OK(shc_semaphore_close(semaphore));
    OK(shc_lock_close(lock));
    OK(shc_array_close(array));
    OK(shc_value_close(value));
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
