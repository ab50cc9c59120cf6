/* Each object of the toolbox once, between this process and children of it. */

#define _GNU_SOURCE
#include <sharecell.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OK(call) check((call) == SHC_OK, #call)

static void check(bool good, const char *what) {
    char why[512] = "";
    if (good) return;
    shc_last_error(why, sizeof why);
    fprintf(stderr, "%s: %s\n", what, why);
    exit(1);
}

/* Forks a child for what follows, which ends with leave(). */
static bool in_child(pid_t *child) {
    fflush(NULL);
    *child = fork();
    check(*child >= 0, "fork");
    return *child == 0;
}

static void leave(void) { _exit(0); }

static void finish(pid_t child) {
    int status = -1;
    check(waitpid(child, &status, 0) == child && status == 0, "a child");
}

static void kill_now(pid_t child) {
    int status;
    check(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child, "kill");
}

/* RLock: a function that locks may call another that does. */
static void rlock(const shc_segment *segment) {
    shc_rlock *lock;
    pid_t child;
    OK(shc_rlock_create(segment, "rlock", &lock));
    OK(shc_rlock_acquire(lock, -1));
    OK(shc_rlock_acquire(lock, -1));
    OK(shc_rlock_release(lock));
    if (in_child(&child)) {
        check(shc_rlock_acquire(lock, 0) == SHC_WOULD_BLOCK, "held");
        leave();
    }
    finish(child);
    OK(shc_rlock_release(lock));
    OK(shc_rlock_close(lock));
    puts("rlock: taken twice, and nobody else's until it was given back twice");
}

/* RwLock: readers together, a writer alone; a killed reader is forgotten. */
static void rwlock(const shc_segment *segment, const shc_event *ready) {
    shc_rwlock *lock;
    pid_t child;
    OK(shc_rwlock_create(segment, "rwlock", &lock));
    if (in_child(&child)) {
        OK(shc_rwlock_acquire_read(lock, -1));
        OK(shc_event_set(ready));
        pause();
    }
    OK(shc_event_wait(ready, -1));
    OK(shc_event_clear(ready));
    OK(shc_rwlock_acquire_read(lock, -1));
    OK(shc_rwlock_release_read(lock));
    check(shc_rwlock_acquire_write(lock, 0) == SHC_WOULD_BLOCK, "a reader");
    kill_now(child);
    OK(shc_rwlock_acquire_write(lock, -1));
    OK(shc_rwlock_release_write(lock));
    OK(shc_rwlock_close(lock));
    puts("rwlock: two readers at once, and a writer after one of them was killed");
}

static int32_t value_of(const shc_value *number) {
    int32_t value;
    OK(shc_value_get(number, &value, sizeof value));
    return value;
}

/* Condition: waits until a number is what somebody wants it to be. */
static void condition(const shc_segment *segment) {
    const shc_type type = {'i', 0, 0, NULL};
    shc_condition *changed;
    shc_value *number;
    pid_t child;
    OK(shc_condition_create(segment, "changed", &changed));
    OK(shc_value_create(segment, "number", &type, NULL, &number));
    if (in_child(&child)) {
        for (int i = 0; i < 3; i++) {
            OK(shc_condition_acquire(changed, -1));
            OK(shc_value_add_int(number, 1, NULL));
            OK(shc_condition_notify(changed, SIZE_MAX));
            OK(shc_condition_release(changed));
        }
        leave();
    }
    OK(shc_condition_acquire(changed, -1));
    while (value_of(number) < 3) OK(shc_condition_wait(changed, -1));
    printf("condition: the number is %d\n", (int)value_of(number));
    OK(shc_condition_release(changed));
    finish(child);
    OK(shc_value_close(number));
    OK(shc_condition_close(changed));
}

/* Barrier: nobody goes on before all have come. */
static void barrier(const shc_segment *segment) {
    shc_barrier *all;
    size_t number;
    pid_t children[2];
    OK(shc_barrier_create(segment, "barrier", 3, &all));
    for (int i = 0; i < 2; i++) {
        if (in_child(&children[i])) {
            OK(shc_barrier_wait(all, -1, &number));
            leave();
        }
    }
    OK(shc_barrier_wait(all, -1, &number));
    for (int i = 0; i < 2; i++) finish(children[i]);
    check(shc_barrier_wait(all, 1000000, &number) == SHC_BROKEN, "nobody else comes");
    OK(shc_barrier_reset(all));
    OK(shc_barrier_close(all));
    puts("barrier: three have met; one who came alone broke it");
}

/* Semaphores: one that is never more than it was, and one that gets back what the dead held. */
static void semaphores(const shc_segment *segment, const shc_event *ready) {
    shc_semaphore *bounded, *undo;
    pid_t child;
    OK(shc_semaphore_create_with(segment, "bounded", 1, SHC_SEMAPHORE_BOUNDED, &bounded));
    check(shc_semaphore_release(bounded, 1) == SHC_ERR_OVERFLOW, "one too many");
    OK(shc_semaphore_create_with(segment, "undo", 1, SHC_SEMAPHORE_UNDO, &undo));
    if (in_child(&child)) {
        OK(shc_semaphore_acquire(undo, -1));
        OK(shc_event_set(ready));
        pause();
    }
    OK(shc_event_wait(ready, -1));
    OK(shc_event_clear(ready));
    kill_now(child);
    OK(shc_semaphore_acquire(undo, -1));
    OK(shc_semaphore_release(undo, 1));
    OK(shc_semaphore_close(undo));
    OK(shc_semaphore_close(bounded));
    puts("semaphores: one release too many refused; a killed process's permit came back");
}

/* A work queue: join waits until all that was put is done, and not only taken. */
static void joinable_queue(const shc_segment *segment) {
    shc_queue_options options = {sizeof options, 16, 0, 0, 0, SHC_QUEUE_JOINABLE, 0};
    shc_queue *work;
    char job[16];
    size_t len;
    pid_t child;
    OK(shc_queue_create(segment, "work", &options, &work));
    if (in_child(&child)) {
        while (shc_queue_get(work, job, sizeof job, -1, &len) == SHC_OK) OK(shc_queue_task_done(work));
        leave();
    }
    for (int i = 0; i < 100; i++) OK(shc_queue_put(work, "job", 3, -1));
    OK(shc_queue_join(work, -1));
    OK(shc_queue_shutdown(work));
    finish(child);
    OK(shc_queue_close(work));
    puts("joinable queue: 100 jobs are done");
}

/* Lock: who is told that its owner died repairs what it protects, or gives it up. */
static void poison(const shc_segment *segment, const shc_event *ready) {
    shc_lock *lock;
    bool was;
    pid_t child;
    OK(shc_lock_create(segment, "lock", &lock));
    if (in_child(&child)) {
        OK(shc_lock_acquire(lock, -1));
        OK(shc_event_set(ready));
        pause();
    }
    OK(shc_event_wait(ready, -1));
    OK(shc_event_clear(ready));
    kill_now(child);
    check(shc_lock_acquire(lock, -1) == SHC_OWNER_DIED, "told");
    OK(shc_lock_poison(lock));
    check(shc_lock_acquire(lock, -1) == SHC_ERR_POISONED, "beyond repair");
    OK(shc_lock_clear_poison(lock, &was));
    OK(shc_lock_close(lock));
    puts("lock: its owner was killed, and what it protects declared beyond repair");
}

/* A segment without a name, handed to a process that has nothing but a socket. */
static void anonymous_segment(void) {
    shc_segment *segment, *received;
    shc_queue *queue;
    char text[32];
    size_t len;
    int sockets[2];
    pid_t child;
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0, "socketpair");
    if (in_child(&child)) {
        OK(shc_segment_receive_over(sockets[1], &received));
        OK(shc_queue_open(received, "queue", &queue));
        OK(shc_queue_put(queue, "received", 8, -1));
        leave();
    }
    OK(shc_segment_create_anonymous(NULL, &segment));
    OK(shc_queue_create(segment, "queue", NULL, &queue));
    OK(shc_segment_send_over(segment, sockets[0]));
    OK(shc_queue_get(queue, text, sizeof text, -1, &len));
    finish(child);
    OK(shc_queue_close(queue));
    OK(shc_segment_close(segment));
    close(sockets[0]);
    close(sockets[1]);
    printf("anonymous segment: %.*s\n", (int)len, text);
}

/* One call for an object and for the end of a process. */
static void wait_any(const shc_event *ready) {
    shc_interest any[2] = {{SHC_EVENT_SET, -1, ready}, {SHC_FD_READABLE, -1, NULL}};
    bool is[2];
    pid_t child;
    if (in_child(&child)) pause();
    any[1].fd = (int)syscall(SYS_pidfd_open, child, 0);
    check(any[1].fd >= 0, "pidfd_open");
    check(shc_wait_any(any, 2, 0, is) == SHC_WOULD_BLOCK, "not yet");
    kill(child, SIGKILL);
    OK(shc_wait_any(any, 2, -1, is));
    check(!is[0] && is[1], "the child has ended");
    waitpid(child, NULL, 0);
    close(any[1].fd);
    puts("wait_any: a process has ended");
}

/* A bell: a descriptor for a loop that knows nothing of this library. */
static void bell(shc_event *ready) {
    const shc_interest interest = {SHC_EVENT_SET, -1, ready};
    struct pollfd loop = {-1, POLLIN, 0};
    shc_bell *bell;
    pid_t child;
    OK(shc_bell_create(&bell));
    OK(shc_bell_fd(bell, &loop.fd));
    OK(shc_bell_arm(bell, &interest, 1));
    if (in_child(&child)) {
        OK(shc_event_set(ready));
        leave();
    }
    check(poll(&loop, 1, -1) == 1, "poll");
    OK(shc_event_wait(ready, -1));
    OK(shc_event_clear(ready));
    finish(child);
    OK(shc_bell_close(bell));
    puts("bell: it rang when the event was set");
}

int main(void) {
    shc_segment_options options = {sizeof options, 0, 0, 0, 0, SHC_SEGMENT_EPHEMERAL, 0};
    shc_segment *segment;
    shc_event *ready;
    char name[64];
    snprintf(name, sizeof name, "toolbox-%ld", (long)getpid());
    OK(shc_segment_create(name, &options, &segment));
    OK(shc_event_create(segment, "ready", &ready));
    rlock(segment);
    rwlock(segment, ready);
    condition(segment);
    barrier(segment);
    semaphores(segment, ready);
    joinable_queue(segment);
    poison(segment, ready);
    anonymous_segment();
    wait_any(ready);
    bell(ready);
    OK(shc_event_close(ready));
    OK(shc_segment_close(segment));
    return 0;
}
