/* Waiting for any of several objects, descriptors and processes, with one call; and bells for loops of
 * others. */

#include "check.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static shc_segment *segment;
static shc_queue *queue;
static shc_event *event;
static shc_semaphore *semaphore;
static shc_lock *lock;
static shc_pipe *a, *b;
static signpost held;

static void make_objects(void) {
    shc_queue_options options;
    shc_pipe_options narrow;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.capacity = 1;
    memset(&narrow, 0, sizeof narrow);
    narrow.struct_size = sizeof narrow;
    narrow.capacity = 1;
    OK(shc_queue_create(segment, "queue", &options, &queue));
    OK(shc_event_create(segment, "event", &event));
    OK(shc_semaphore_create(segment, "semaphore", 0, &semaphore));
    OK(shc_lock_create(segment, "lock", &lock));
    OK(shc_pipe_create(segment, "pipe", &narrow, &a, &b));
}

static shc_interest in(uint32_t what, const void *object) {
    shc_interest interest;
    interest.what = what;
    interest.fd = -1;
    interest.object = object;
    return interest;
}

static shc_interest on(uint32_t what, int fd) {
    shc_interest interest;
    interest.what = what;
    interest.fd = fd;
    interest.object = NULL;
    return interest;
}

#define KINDS 7

static void list_kinds(shc_interest *all) {
    all[0] = in(SHC_QUEUE_READABLE, queue);
    all[1] = in(SHC_QUEUE_WRITABLE, queue);
    all[2] = in(SHC_PIPE_READABLE, a);
    all[3] = in(SHC_PIPE_WRITABLE, b);
    all[4] = in(SHC_EVENT_SET, event);
    all[5] = in(SHC_SEMAPHORE_FREE, semaphore);
    all[6] = in(SHC_LOCK_FREE, lock);
}

static void get_one(void) {
    char byte;
    size_t len;
    OK(shc_queue_get(queue, &byte, 1, LONG_NS, &len));
}

static void receive_one(void) {
    char byte;
    size_t len;
    OK(shc_pipe_recv(a, &byte, 1, LONG_NS, &len));
}

/* The state in which this kind, and only this kind of its object, is not ready. */
static void make_unready(size_t kind) {
    if (kind == 1) OK(shc_queue_put(queue, "x", 1, 0));
    if (kind == 3) OK(shc_pipe_send(b, "x", 1, 0));
    if (kind == 6) OK(shc_lock_acquire(lock, 0));
}

static void make_ready(void *kind) {
    switch (*(size_t *)kind) {
    case 0:
        OK(shc_queue_put(queue, "x", 1, 0));
        break;
    case 1:
        get_one();
        break;
    case 2:
        OK(shc_pipe_send(b, "x", 1, 0));
        break;
    case 3:
        receive_one();
        break;
    case 4:
        OK(shc_event_set(event));
        break;
    case 5:
        OK(shc_semaphore_release(semaphore, 1));
        break;
    default:
        OK(shc_lock_release(lock));
    }
}

static void take_what_was_ready(size_t kind) {
    if (kind == 0) get_one();
    if (kind == 2) receive_one();
    if (kind == 4) OK(shc_event_clear(event));
    if (kind == 5) OK(shc_semaphore_acquire(semaphore, 0));
}

/* Takes the lock, and gives it back when told; for the other kinds makes it ready when told. */
static void make_ready_later(void *kind) {
    const bool of_lock = *(size_t *)kind == 6;
    if (of_lock) OK(shc_lock_acquire(lock, LONG_NS));
    reached(held);
    make_ready(kind);
}

static void each_kind(void) {
    shc_interest all[KINDS];
    bool ready = true;
    list_kinds(all);
    for (size_t kind = 0; kind < KINDS; kind++) {
        pid_t child;
        if (kind != 6) make_unready(kind);
        if (kind != 6) STATUS(SHC_WOULD_BLOCK, shc_wait_any(&all[kind], 1, 0, &ready));
        child = start(make_ready_later, &kind);
        await(held);
        OK(shc_wait_any(&all[kind], 1, LONG_NS, &ready));
        CHECK(ready);
        finish(child);
        /* Nothing was taken. */
        OK(shc_wait_any(&all[kind], 1, 0, &ready));
        take_what_was_ready(kind);
    }
}

/* All at once, each told apart; an empty queue, an empty pipe and a free lock are ready. */
static void several(void) {
    shc_interest all[KINDS];
    bool ready[KINDS];
    list_kinds(all);
    OK(shc_wait_any(all, KINDS, 0, ready));
    for (size_t kind = 0; kind < KINDS; kind++) CHECK(ready[kind] == (kind == 1 || kind == 3 || kind == 6));
    OK(shc_event_set(event));
    OK(shc_semaphore_release(semaphore, 1));
    OK(shc_wait_any(all, KINDS, -1, ready));
    for (size_t kind = 0; kind < KINDS; kind++) CHECK(ready[kind] == (kind != 0 && kind != 2));
    OK(shc_event_clear(event));
    OK(shc_semaphore_acquire(semaphore, 0));
}

static void timeouts_and_mistakes(void) {
    shc_interest many[128], one = in(SHC_EVENT_SET, event);
    bool ready[128];
    memset(ready, 0x5a, sizeof ready);
    STATUS(SHC_WOULD_BLOCK, shc_wait_any(&one, 1, 0, ready));
    STATUS(SHC_TIMED_OUT, shc_wait_any(&one, 1, SHORT_NS, ready));
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_wait_any(&one, 0, 0, ready));
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_wait_any(NULL, 1, 0, ready));
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_wait_any(&one, 1, 0, NULL));
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_wait_any(&one, 1, -2, ready));
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_wait_any(&one, SIZE_MAX, 0, ready));
    for (size_t i = 0; i < 128; i++) many[i] = one;
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_wait_any(many, 128, 0, ready));
    STATUS(SHC_TIMED_OUT, shc_wait_any(many, 127, SHORT_NS, ready));
    many[0] = in(0, event);
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_wait_any(many, 1, 0, ready));
    many[0] = in(99, event);
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_wait_any(many, 1, 0, ready));
    many[0] = on(SHC_FD_READABLE, -1);
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_wait_any(many, 1, 0, ready));
    for (size_t i = 0; i < sizeof ready; i++) CHECK(((unsigned char *)ready)[i] == 0x5a);
}

static void set_it(void *unused) {
    (void)unused;
    OK(shc_event_set(event));
}

static void descriptors(void) {
    int sockets[2];
    shc_interest both[2];
    bool ready[2];
    pid_t child;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    both[0] = in(SHC_EVENT_SET, event);
    both[1] = on(SHC_FD_READABLE, sockets[1]);
    STATUS(SHC_WOULD_BLOCK, shc_wait_any(both, 2, 0, ready));
    STATUS(SHC_TIMED_OUT, shc_wait_any(both, 2, SHORT_NS, ready));
    STATUS(SHC_TIMED_OUT, shc_wait_any(&both[1], 1, SHORT_NS, ready));
    child = start(set_it, NULL);
    OK(shc_wait_any(both, 2, LONG_NS, ready));
    CHECK(ready[0] && !ready[1]);
    finish(child);
    OK(shc_event_clear(event));
    CHECK(write(sockets[0], "x", 1) == 1);
    OK(shc_wait_any(both, 2, LONG_NS, ready));
    CHECK(!ready[0] && ready[1]);
    OK(shc_event_set(event));
    OK(shc_wait_any(both, 2, LONG_NS, ready));
    CHECK(ready[0] && ready[1]);
    OK(shc_event_clear(event));
    both[1] = on(SHC_FD_WRITABLE, sockets[0]);
    OK(shc_wait_any(both, 2, LONG_NS, ready));
    CHECK(!ready[0] && ready[1]);
    CHECK(close(sockets[0]) == 0);
    both[1] = on(SHC_FD_READABLE, sockets[1]);
    OK(shc_wait_any(both, 2, 0, ready));
    CHECK(!ready[0] && ready[1] && close(sockets[1]) == 0);
}

static void hold_both(void *unused) {
    (void)unused;
    OK(shc_lock_acquire(lock, LONG_NS));
    reached(held);
    stay();
}

/* The end of a process, by its pidfd; the lock that it held is free with it, and so is the pipe's end. */
static void deaths(void) {
    shc_interest all[3];
    bool ready[3];
    int pidfd;
    pid_t child = start(hold_both, NULL);
    await(held);
    OK(shc_pipe_close(b));
    pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    CHECK(pidfd >= 0);
    all[0] = on(SHC_FD_READABLE, pidfd);
    all[1] = in(SHC_LOCK_FREE, lock);
    all[2] = in(SHC_PIPE_READABLE, a);
    STATUS(SHC_TIMED_OUT, shc_wait_any(all, 3, SHORT_NS, ready));
    slay(child);
    for (size_t i = 0; i < 3; i++) {
        OK(shc_wait_any(&all[i], 1, LONG_NS, ready));
        CHECK(ready[0]);
    }
    STATUS(SHC_OWNER_DIED, shc_lock_acquire(lock, 0));
    OK(shc_lock_release(lock));
    CHECK(close(pidfd) == 0);
}

/* A watchdog as long as a call that works never takes. */
static bool rings(const shc_bell *bell, bool expected) {
    struct pollfd polled;
    int32_t fd = -1;
    OK(shc_bell_fd(bell, &fd));
    polled.fd = fd;
    polled.events = POLLIN;
    return poll(&polled, 1, expected ? WATCHDOG * 1000 : 0) == 1;
}

static void bells(void) {
    shc_interest all[2];
    shc_bell *bell = NULL;
    pid_t child;
    OK(shc_bell_create(&bell));
    CHECK(!rings(bell, false));
    all[0] = in(SHC_EVENT_SET, event);
    all[1] = in(SHC_QUEUE_READABLE, queue);
    /* Armed for one thing it rings once, in vain or not. */
    OK(shc_bell_arm(bell, all, 1));
    child = start(set_it, NULL);
    CHECK(rings(bell, true));
    finish(child);
    CHECK(rings(bell, true));
    OK(shc_bell_clear(bell));
    CHECK(!rings(bell, false));
    /* At once, since it is ready. */
    OK(shc_bell_arm(bell, all, 2));
    CHECK(rings(bell, true));
    OK(shc_event_clear(event));
    OK(shc_bell_clear(bell));

    OK(shc_bell_arm(bell, all, 2));
    OK(shc_queue_put(queue, "x", 1, 0));
    CHECK(rings(bell, true));
    get_one();
    OK(shc_bell_clear(bell));
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_bell_arm(bell, NULL, 1));
    OK(shc_bell_close(bell));
    OK(shc_bell_close(NULL));
}

/* Objects and their segment may go while a bell is armed for them, and the bell as well. */
static void closed_while_armed(void) {
    shc_segment *other = NULL;
    shc_event *gone = NULL;
    shc_bell *bells[2] = {NULL, NULL};
    shc_interest one;
    OK(shc_segment_create_anonymous(NULL, &other));
    OK(shc_event_create(other, "gone", &gone));
    one = in(SHC_EVENT_SET, gone);
    for (int i = 0; i < 2; i++) {
        OK(shc_bell_create(&bells[i]));
        OK(shc_bell_arm(bells[i], &one, 1));
    }
    OK(shc_bell_close(bells[0]));
    OK(shc_event_close(gone));
    OK(shc_segment_close(other));
    one = in(SHC_EVENT_SET, event);
    OK(shc_bell_clear(bells[1]));
    OK(shc_bell_arm(bells[1], &one, 1));
    OK(shc_event_set(event));
    CHECK(rings(bells[1], true));
    OK(shc_event_clear(event));
    OK(shc_bell_close(bells[1]));
}

static void ring_in_the_child(void *unused) {
    shc_interest one = in(SHC_EVENT_SET, event);
    shc_bell *bell = NULL;
    OK(shc_bell_create(&bell));
    OK(shc_bell_arm(bell, &one, 1));
    set_it(unused);
    CHECK(rings(bell, true));
    OK(shc_bell_close(bell));
}

/* The thread that sleeps for bells is not there in a forked child, which gets one of its own. */
static void a_fork(void) {
    shc_interest one = in(SHC_EVENT_SET, event);
    shc_bell *bell = NULL;
    OK(shc_bell_create(&bell));
    OK(shc_bell_arm(bell, &one, 1));
    finish(start(ring_in_the_child, NULL));
    CHECK(rings(bell, true));
    OK(shc_event_clear(event));
    OK(shc_bell_close(bell));
}

int main(void) {
    segment = test_segment("select");
    held = new_signpost();
    make_objects();
    each_kind();
    several();
    timeouts_and_mistakes();
    descriptors();
    bells();
    closed_while_armed();
    a_fork();
    deaths();
    OK(shc_pipe_close(a));
    OK(shc_lock_close(lock));
    OK(shc_semaphore_close(semaphore));
    OK(shc_event_close(event));
    OK(shc_queue_close(queue));
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
