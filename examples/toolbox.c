/* Each object of the toolbox once, between this process and children of it. docs/objects/ shows the parts
 * between marks. */

#define _GNU_SOURCE
#include <sharecell.h>

#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
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

static void leave(void) {
    fflush(NULL);
    _exit(0);
}

static void finish(pid_t child) {
    int status = -1;
    check(waitpid(child, &status, 0) == child && status == 0, "a child");
}

/* What a child does that is to be killed while it holds something. */
static void stay(const shc_event *ready) {
    OK(shc_event_set(ready));
    for (;;) pause();
}

static void kill_when_ready(pid_t child, const shc_event *ready) {
    int status;
    OK(shc_event_wait(ready, -1));
    OK(shc_event_clear(ready));
    check(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child, "kill");
}

static void value(const shc_segment *segment) {
    /* [value] */
    const shc_type number = {'q', 0, 0, NULL};
    int64_t old, ten = 10, now;
    bool changed;
    shc_value *best;
    OK(shc_value_open_or_create(segment, "best", &number, NULL, &best));
    OK(shc_value_add_int(best, 3, &old));
    do {
        OK(shc_value_get(best, &old, sizeof old));
        OK(shc_value_compare_exchange(best, &old, &ten, sizeof ten, &now, &changed));
    } while (!changed); /* again, if somebody else was faster */
    OK(shc_value_get(best, &now, sizeof now));
    printf("value: it was %" PRId64 " and is %" PRId64 "\n", old, now);
    OK(shc_value_close(best));
    /* [/value] */
}

static void array(const shc_segment *segment) {
    /* [array] */
    const shc_type number = {'q', 0, 0, NULL};
    const int64_t first[] = {0, 1, 4, 9}, last = 81;
    int64_t some[3];
    shc_array *squares;
    OK(shc_array_open_or_create(segment, "squares", &number, 100, &squares));
    OK(shc_array_write(squares, 9, &last, sizeof last)); /* one element is written whole */
    OK(shc_array_lock(squares, -1));                     /* several are not */
    OK(shc_array_write(squares, 0, first, sizeof first));
    OK(shc_array_unlock(squares));
    OK(shc_array_read(squares, 1, some, sizeof some));
    printf("array: %d, %d, %d\n", (int)some[0], (int)some[1], (int)some[2]);
    OK(shc_array_close(squares));
    /* [/array] */
}

/* [lock] */
/* The last holder was killed. If this returned false, the lock would be SHC_ERR_POISONED for all. */
static bool repair(void *entries) {
    const int32_t nothing = 0;
    return shc_array_fill(entries, 0, 8, &nothing, sizeof nothing) == SHC_OK;
}

static void add_entry(const shc_lock *lock, shc_array *entries) {
    const int32_t entry = 1;
    OK(shc_lock_acquire_or_repair(lock, -1, repair, entries));
    OK(shc_array_write(entries, 0, &entry, sizeof entry));
    OK(shc_lock_release(lock));
    puts("lock: its holder was killed, and what it protects repaired");
}
/* [/lock] */

static void lock(const shc_segment *segment, const shc_event *ready) {
    const shc_type number = {'i', 0, 0, NULL};
    shc_lock *lock;
    shc_array *entries;
    pid_t child;
    OK(shc_lock_create(segment, "lock", &lock));
    OK(shc_array_create(segment, "entries", &number, 8, &entries));
    if (in_child(&child)) {
        OK(shc_lock_acquire(lock, -1));
        stay(ready);
    }
    kill_when_ready(child, ready);
    add_entry(lock, entries);
    OK(shc_array_close(entries));
    OK(shc_lock_close(lock));
}

static void rlock(const shc_segment *segment) {
    /* [rlock] */
    shc_rlock *lock;
    uint32_t holder;
    OK(shc_rlock_open_or_create(segment, "rlock", &lock));
    OK(shc_rlock_acquire(lock, -1));
    OK(shc_rlock_acquire(lock, -1)); /* the same thread, again */
    OK(shc_rlock_release(lock));
    OK(shc_rlock_holder(lock, &holder));
    printf("rlock: still held by %u\n", (unsigned)holder);
    OK(shc_rlock_release(lock)); /* free now */
    OK(shc_rlock_close(lock));
    /* [/rlock] */
}

static void rwlock(const shc_segment *segment, const shc_event *ready) {
    shc_rwlock *lock;
    pid_t child;
    OK(shc_rwlock_create(segment, "rwlock", &lock));
    if (in_child(&child)) {
        OK(shc_rwlock_acquire_read(lock, -1));
        stay(ready);
    }
    kill_when_ready(child, ready);
    /* [rwlock] */
    OK(shc_rwlock_acquire_read(lock, -1));
    check(shc_rwlock_acquire_write(lock, 0) == SHC_WOULD_BLOCK, "readers keep writers out");
    OK(shc_rwlock_release_read(lock));
    OK(shc_rwlock_acquire_write(lock, -1)); /* SHC_OWNER_DIED, if a writer had died */
    puts("rwlock: a writer, and a killed reader is forgotten");
    OK(shc_rwlock_release_write(lock));
    /* [/rwlock] */
    OK(shc_rwlock_close(lock));
}

static void semaphore(const shc_segment *segment, const shc_event *ready) {
    shc_semaphore *permits;
    uint32_t left;
    pid_t child;
    OK(shc_semaphore_create_with(segment, "permits", 2, SHC_SEMAPHORE_UNDO, &permits));
    if (in_child(&child)) {
        OK(shc_semaphore_acquire(permits, -1));
        stay(ready);
    }
    kill_when_ready(child, ready);
    OK(shc_semaphore_close(permits));
    /* [semaphore] */
    OK(shc_semaphore_open_or_create_with(segment, "permits", 2, SHC_SEMAPHORE_UNDO, &permits));
    OK(shc_semaphore_acquire(permits, -1));
    OK(shc_semaphore_acquire(permits, 5 * SECOND)); /* a killed process had this one */
    OK(shc_semaphore_value(permits, &left));
    printf("semaphore: %u left\n", (unsigned)left);
    OK(shc_semaphore_release(permits, 2));
    OK(shc_semaphore_close(permits));
    /* [/semaphore] */
}

/* [condition] */
static bool is_three(void *number) {
    int32_t now;
    OK(shc_value_get(number, &now, sizeof now));
    return now == 3;
}

static void wait_for_three(const shc_condition *changed, shc_value *number) {
    bool is = false;
    OK(shc_condition_acquire(changed, -1));
    while (!is) OK(shc_condition_wait_for(changed, 5 * SECOND, is_three, number, &is));
    puts("condition: the number is 3");
    OK(shc_condition_release(changed));
}
/* [/condition] */

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
    wait_for_three(changed, number);
    finish(child);
    OK(shc_value_close(number));
    OK(shc_condition_close(changed));
}

static void event(const shc_event *ready) {
    pid_t child;
    if (in_child(&child)) {
        OK(shc_event_set(ready));
        leave();
    }
    /* [event] */
    OK(shc_event_wait(ready, 60 * SECOND)); /* somebody will set it */
    OK(shc_event_clear(ready));
    puts("event: it was set");
    /* [/event] */
    finish(child);
}

/* [barrier] */
/* The last one to come does this before any goes on; false breaks the barrier. */
static bool all_have_come(void *unused) {
    (void)unused;
    return true;
}

static void meet(const shc_barrier *all) {
    size_t number;
    OK(shc_barrier_wait_with(all, -1, all_have_come, NULL, &number)); /* SHC_BROKEN, if a party dies */
    printf("barrier: all have met, this one came as number %d\n", (int)number);
}
/* [/barrier] */

static void barrier(const shc_segment *segment) {
    shc_barrier *all;
    pid_t children[2];
    OK(shc_barrier_create(segment, "all", 3, &all));
    for (int i = 0; i < 2; i++) {
        if (in_child(&children[i])) {
            meet(all);
            leave();
        }
    }
    meet(all);
    for (int i = 0; i < 2; i++) finish(children[i]);
    OK(shc_barrier_close(all));
}

/* [worker] */
static void work(const shc_queue *jobs) {
    shc_item job;
    while (shc_queue_recv(jobs, -1, &job) == SHC_OK) { /* somebody else gets it if we are killed here */
        if (job.deliveries > 3)
            printf("queue: %" PRIu64 " has killed three workers, and is set aside\n", job.number);
        OK(shc_queue_release(jobs, &job)); /* done */
    }
}
/* [/worker] */

static void queue(const shc_segment *segment) {
    pid_t child;
    /* [queue] */
    const shc_queue_options options = {sizeof options, 64, 0, 0, 0, SHC_QUEUE_JOINABLE, 0};
    shc_queue *jobs;
    OK(shc_queue_create(segment, "jobs", &options, &jobs));
    OK(shc_queue_put(jobs, "sweep", 5, -1)); /* it is in the queue, or this is an error */
    OK(shc_queue_put(jobs, "wash", 4, -1));
    /* [/queue] */
    if (in_child(&child)) {
        work(jobs);
        leave();
    }
    /* [join] */
    OK(shc_queue_join(jobs, -1)); /* each was taken, and is done */
    OK(shc_queue_shutdown(jobs)); /* no more; what is there is still got */
    puts("queue: all jobs are done");
    /* [/join] */
    finish(child);
    OK(shc_queue_close(jobs));
}

static void pipe_(const shc_segment *segment) {
    shc_pipe *other;
    pid_t child;
    if (in_child(&child)) {
        char question[32];
        size_t size;
        OK(shc_pipe_open_or_create(segment, "pipe", SHC_END_B, NULL, &other));
        OK(shc_pipe_recv(other, question, sizeof question, -1, &size));
        OK(shc_pipe_send(other, "42", 2, -1));
        leave();
    }
    /* [pipe] */
    shc_pipe *mine;
    char answer[32];
    size_t len;
    OK(shc_pipe_open_or_create(segment, "pipe", SHC_END_A, NULL, &mine));
    OK(shc_pipe_send(mine, "how much is 6 x 7?", 18, -1));
    OK(shc_pipe_recv(mine, answer, sizeof answer, 60 * SECOND, &len)); /* SHC_CLOSED: nobody is there */
    printf("pipe: %.*s\n", (int)len, answer);
    OK(shc_pipe_close(mine));
    /* [/pipe] */
    finish(child);
}

static void waiting(const shc_segment *segment) {
    shc_queue *queue;
    shc_event *event;
    int pidfd;
    pid_t child;
    OK(shc_queue_create(segment, "waiting", NULL, &queue));
    OK(shc_event_create(segment, "end", &event));
    if (in_child(&child)) pause();
    pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    check(pidfd >= 0, "pidfd_open");
    kill(child, SIGKILL);
    /* [waiting] */
    const shc_interest things[] = {
        {SHC_QUEUE_READABLE, -1, queue},
        {SHC_EVENT_SET, -1, event},
        {SHC_FD_READABLE, pidfd, NULL},
    };
    bool ready[3];
    OK(shc_wait_any(things, 3, -1, ready));
    if (ready[2]) puts("waiting: a process has ended");

    struct pollfd loop = {-1, POLLIN, 0};
    shc_bell *bell; /* a descriptor for epoll and the like */
    OK(shc_bell_create(&bell));
    OK(shc_bell_fd(bell, &loop.fd));
    OK(shc_bell_arm(bell, things, 2));
    OK(shc_event_set(event));
    check(poll(&loop, 1, -1) == 1, "any loop will do");
    OK(shc_bell_close(bell));
    /* [/waiting] */
    close(pidfd);
    waitpid(child, NULL, 0);
    OK(shc_event_close(event));
    OK(shc_queue_close(queue));
}

static void anonymous(void) {
    int sockets[2];
    pid_t child;
    check(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0, "socketpair");
    if (in_child(&child)) {
        shc_segment *received;
        shc_queue *same;
        OK(shc_segment_receive_over(sockets[1], &received));
        OK(shc_queue_open(received, "queue", &same));
        OK(shc_queue_put(same, "received", 8, -1));
        leave();
    }
    /* [anonymous] */
    const shc_segment_options options = {sizeof options, 1 << 24, 0, 0, 0, 0, 0};
    shc_segment *segment;
    shc_queue *queue;
    char text[32];
    size_t len;
    OK(shc_segment_create_anonymous(&options, &segment));
    OK(shc_queue_create(segment, "queue", NULL, &queue));
    OK(shc_segment_send_over(segment, sockets[0])); /* the other process: shc_segment_receive_over */
    OK(shc_queue_get(queue, text, sizeof text, -1, &len));
    printf("anonymous: %.*s\n", (int)len, text);
    OK(shc_queue_close(queue));
    OK(shc_segment_close(segment));
    /* [/anonymous] */
    finish(child);
    close(sockets[0]);
    close(sockets[1]);
}

static void given(const char *name) {
    const size_t size = 1 << 20;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    check(memory != MAP_FAILED, "mmap");
    /* [given] */
    shc_segment *segment;
    uint64_t limit;
    OK(shc_segment_open_or_create_over(name, memory, size, NULL, &segment));
    OK(shc_segment_limit(segment, &limit));
    printf("given: a segment of %" PRIu64 " bytes\n", limit);
    OK(shc_segment_close(segment));
    OK(shc_segment_unlink(name)); /* the small file that keeps the leases */
    /* [/given] */
    munmap(memory, size);
}

static void named(const char *name) {
    /* [segment] */
    const shc_segment_options options = {sizeof options, 64 << 20, 0, 0, 0, SHC_SEGMENT_EPHEMERAL, 0};
    shc_segment *segment, *again;
    shc_lock *lock;
    shc_object_info object;
    size_t count;
    OK(shc_segment_open_or_create(name, &options, &segment));
    OK(shc_segment_open(name, NULL, &again)); /* in this process or any other */
    OK(shc_lock_create(again, "lock", &lock));
    OK(shc_segment_objects(segment, &object, 1, &count));
    printf("segment: %s has %d object, %s\n", name, (int)count, object.name);
    OK(shc_segment_remove(segment, "lock"));
    OK(shc_lock_close(lock));
    OK(shc_segment_close(again));
    OK(shc_segment_close(segment));
    /* [/segment] */
}

int main(void) {
    const shc_segment_options options = {sizeof options, 0, 0, 0, 0, SHC_SEGMENT_EPHEMERAL, 0};
    shc_segment *segment;
    shc_event *ready;
    char name[64], other[80];
    snprintf(name, sizeof name, "toolbox-c-%ld", (long)getpid());
    OK(shc_segment_create(name, &options, &segment));
    OK(shc_event_create(segment, "ready", &ready));
    snprintf(other, sizeof other, "%s-named", name);
    named(other);
    value(segment);
    array(segment);
    lock(segment, ready);
    rlock(segment);
    rwlock(segment, ready);
    semaphore(segment, ready);
    condition(segment);
    event(ready);
    barrier(segment);
    queue(segment);
    pipe_(segment);
    waiting(segment);
    anonymous();
    snprintf(other, sizeof other, "%s-given", name);
    given(other);
    OK(shc_event_close(ready));
    OK(shc_segment_close(segment));
    return 0;
}
