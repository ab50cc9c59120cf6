/* Pipes: both ways or one, in place, messages of any length, polling, and the end-of-file by closing and by
 * dying. */

#include "check.h"

#include <pthread.h>

static shc_segment *segment;

static void make(const char *name, uint64_t capacity, uint32_t flags, shc_pipe **a, shc_pipe **b) {
    shc_pipe_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.capacity = capacity;
    options.flags = flags;
    OK(shc_pipe_create(segment, name, &options, a, b));
}

static void send_text(const shc_pipe *pipe, const char *text) {
    OK(shc_pipe_send(pipe, text, strlen(text), 0));
}

/* The next message is this text. */
static void gives(const shc_pipe *pipe, const char *text) {
    char seen[128];
    size_t len = 0;
    OK(shc_pipe_recv(pipe, seen, sizeof seen, LONG_NS, &len));
    CHECK(len == strlen(text) && memcmp(seen, text, len) == 0);
}

static bool polls(const shc_pipe *pipe, int64_t timeout_ns) {
    bool ready = false;
    OK(shc_pipe_poll(pipe, timeout_ns, &ready));
    return ready;
}

static void at_the_end(const shc_pipe *pipe) {
    char seen[4] = "zzz";
    size_t len = 99;
    shc_item item;
    CHECK(polls(pipe, LONG_NS));
    STATUS(SHC_CLOSED, shc_pipe_recv(pipe, seen, sizeof seen, -1, &len));
    STATUS(SHC_CLOSED, shc_pipe_recv(pipe, seen, sizeof seen, 0, &len));
    STATUS(SHC_CLOSED, shc_pipe_recv_in_place(pipe, -1, &item));
    CHECK(len == 99 && seen[0] == 'z');
}

static bool copy_text(void *text, const void *data, size_t len) {
    if (text == NULL) { return false; }
    strncat(text, data, len);
    return true;
}

static void with_a_function(void) {
    shc_pipe *a = NULL, *b = NULL;
    bool received = false;
    char text[16] = "";
    make("function", 2, 0, &a, &b);
    STATUS(SHC_WOULD_BLOCK, shc_pipe_recv_with(b, 0, copy_text, text, &received));
    STATUS(SHC_TIMED_OUT, shc_pipe_recv_with(b, SHORT_NS, copy_text, text, &received));
    send_text(a, "first");
    send_text(a, "second");
    OK(shc_pipe_recv_with(b, -1, copy_text, NULL, &received));
    CHECK(!received);
    OK(shc_pipe_recv_with(b, -1, copy_text, text, &received));
    CHECK(received && strcmp(text, "first") == 0);
    gives(b, "second");
    OK(shc_pipe_close(a));
    STATUS(SHC_CLOSED, shc_pipe_recv_with(b, -1, copy_text, text, &received));
    OK(shc_pipe_close(b));
}

static void duplex(void) {
    shc_pipe *a = NULL, *b = NULL, *again = NULL, *none = NULL;
    shc_pipe_options options;
    char seen[2] = "zz";
    size_t len = 99;
    bool can = false;
    make("duplex", 2, 0, &a, &b);
    OK(shc_pipe_can_send(a, &can));
    CHECK(can);
    OK(shc_pipe_can_recv(b, &can));
    CHECK(can);
    OK(shc_pipe_is_duplex(b, &can));
    CHECK(can);
    STATUS(SHC_WOULD_BLOCK, shc_pipe_recv(a, seen, 2, 0, &len));
    STATUS(SHC_TIMED_OUT, shc_pipe_recv(a, seen, 2, SHORT_NS, &len));
    CHECK(!polls(a, 0) && !polls(a, SHORT_NS));
    send_text(b, "to a");
    CHECK(polls(a, 0) && !polls(b, 0));
    send_text(a, "to b");
    send_text(a, "");
    STATUS(SHC_WOULD_BLOCK, shc_pipe_send(a, "x", 1, 0));
    STATUS(SHC_TIMED_OUT, shc_pipe_send(a, "x", 1, SHORT_NS));
    STATUS(SHC_ERR_BUFFER_TOO_SMALL, shc_pipe_recv(b, seen, 2, 0, &len));
    CHECK(len == 4 && seen[0] == 'z');
    gives(b, "to b");
    gives(b, "");
    gives(a, "to a");

    OK(shc_pipe_open(segment, "duplex", SHC_END_B, &again));
    send_text(again, "from another handle");
    gives(a, "from another handle");
    OK(shc_pipe_close(again));
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.capacity = 2;
    OK(shc_pipe_open_or_create(segment, "duplex", SHC_END_A, &options, &again));
    OK(shc_pipe_close(again));
    options.flags = SHC_PIPE_SIMPLEX;
    STATUS(SHC_ERR_WRONG_SIZE, shc_pipe_open_or_create(segment, "duplex", SHC_END_A, &options, &none));
    STATUS(SHC_ERR_NOT_FOUND, shc_pipe_open(segment, "none", SHC_END_A, &none));
    CHECK(none == NULL);

    send_text(b, "last");
    OK(shc_pipe_close(b));
    gives(a, "last");
    at_the_end(a);
    STATUS(SHC_CLOSED, shc_pipe_send(a, "x", 1, -1));
    STATUS(SHC_CLOSED, shc_pipe_reserve(a, 1, -1, &(shc_slot){0}));
    STATUS(SHC_CLOSED, shc_pipe_open(segment, "duplex", SHC_END_B, &none));
    OK(shc_pipe_close(a));
    OK(shc_pipe_close(NULL));
}

static void simplex(void) {
    shc_pipe *a = NULL, *b = NULL;
    char seen[8];
    size_t len = 99;
    bool can = true;
    shc_item item;
    shc_slot slot;
    make("simplex", 0, SHC_PIPE_SIMPLEX, &a, &b);
    OK(shc_pipe_can_send(a, &can));
    CHECK(!can);
    OK(shc_pipe_can_recv(b, &can));
    CHECK(!can);
    OK(shc_pipe_is_duplex(b, &can));
    CHECK(!can);
    send_text(b, "one way");
    gives(a, "one way");
    STATUS(SHC_ERR_UNSUPPORTED, shc_pipe_send(a, "x", 1, 0));
    STATUS(SHC_ERR_UNSUPPORTED, shc_pipe_reserve(a, 1, 0, &slot));
    STATUS(SHC_ERR_UNSUPPORTED, shc_pipe_recv(b, seen, sizeof seen, 0, &len));
    STATUS(SHC_ERR_UNSUPPORTED, shc_pipe_recv_in_place(b, 0, &item));
    STATUS(SHC_ERR_UNSUPPORTED, shc_pipe_poll(b, 0, &can));
    OK(shc_pipe_close(a));
    STATUS(SHC_CLOSED, shc_pipe_send(b, "x", 1, 0));
    OK(shc_pipe_close(b));
}

#define LARGE (2 << 20)

static void in_place(void) {
    static unsigned char bytes[LARGE], seen[LARGE];
    const size_t sizes[] = {0, 1, 104, 105, 5000, LARGE};
    shc_pipe *a = NULL, *b = NULL;
    shc_item item;
    shc_slot slot;
    size_t len = 0;
    make("in place", 4, 0, &a, &b);
    for (size_t i = 0; i < LARGE; i++) bytes[i] = (unsigned char)(i * 5 + i / 253);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const size_t size = sizes[i];
        OK(shc_pipe_reserve(a, size + 3, 0, &slot));
        CHECK(slot.len == size + 3);
        memcpy(slot.data, bytes, size);
        STATUS(SHC_ERR_INVALID_ARGUMENT, shc_pipe_commit(a, &slot, size + 4));
        STATUS(SHC_ERR_NOT_HELD, shc_pipe_commit(b, &slot, size));
        OK(shc_pipe_commit(a, &slot, size));
        STATUS(SHC_ERR_NOT_HELD, shc_pipe_commit(a, &slot, size));
        STATUS(SHC_ERR_NOT_HELD, shc_pipe_abort(a, &slot));
        OK(shc_pipe_send(a, bytes, size, 0));
        OK(shc_pipe_reserve(a, size, 0, &slot));
        OK(shc_pipe_abort(a, &slot));
        OK(shc_pipe_recv_in_place(b, 0, &item));
        CHECK(item.len == size && memcmp(item.data, bytes, size) == 0 && item.deliveries == 1);
        OK(shc_pipe_release(b, &item));
        STATUS(SHC_ERR_NOT_HELD, shc_pipe_release(b, &item));
        OK(shc_pipe_recv(b, seen, sizeof seen, 0, &len));
        CHECK(len == size && memcmp(seen, bytes, size) == 0);
    }
    CHECK(!polls(b, 0));
    OK(shc_pipe_close(a));
    OK(shc_pipe_close(b));
}

/* More than the segment may ever hold. */
#define HUGE (70 << 20)

static unsigned char at(size_t i) { return (unsigned char)(i * 3 + i / 257); }

static void send_huge(void *pipe) {
    unsigned char *bytes = (unsigned char *)malloc(HUGE);
    CHECK(bytes != NULL);
    for (size_t i = 0; i < HUGE; i++) bytes[i] = at(i);
    for (int i = 0; i < 2; i++) OK(shc_pipe_send((const shc_pipe *)pipe, bytes, HUGE, -1));
    free(bytes);
}

static bool is_huge(const unsigned char *bytes, size_t len) {
    for (size_t i = 0; i < len; i++)
        if (bytes[i] != at(i)) return false;
    return len == HUGE;
}

static void any_length(void) {
    unsigned char *bytes = (unsigned char *)malloc(HUGE);
    shc_pipe *a = NULL, *b = NULL;
    shc_item item;
    size_t len = 0;
    pid_t child;
    CHECK(bytes != NULL);
    make("any length", 4, SHC_PIPE_SIMPLEX, &a, &b);
    child = start(send_huge, b);
    OK(shc_pipe_recv(a, bytes, HUGE, -1, &len));
    CHECK(is_huge(bytes, len));
    OK(shc_pipe_recv_in_place(a, -1, &item));
    CHECK(is_huge((const unsigned char *)item.data, item.len));
    OK(shc_pipe_release(a, &item));
    STATUS(SHC_ERR_NOT_HELD, shc_pipe_release(a, &item));
    finish(child);
    OK(shc_pipe_close(a));
    OK(shc_pipe_close(b));
    free(bytes);
}

static signpost opened;

static void answer(void *ends) {
    shc_pipe *const a = ((shc_pipe **)ends)[0], *const b = ((shc_pipe **)ends)[1];
    char seen[16];
    size_t len = 0;
    OK(shc_pipe_close(a));
    reached(opened);
    for (;;) {
        const shc_status status = shc_pipe_recv(b, seen, sizeof seen, -1, &len);
        if (status == SHC_CLOSED) return;
        STATUS(SHC_OK, status);
        OK(shc_pipe_send(b, seen, len, -1));
    }
}

/* A child answers at end B, of which this process lets go, and ends at the end-of-file. */
static void with_a_child(void) {
    shc_pipe *ends[2] = {NULL, NULL};
    pid_t child;
    make("child", 4, 0, &ends[0], &ends[1]);
    child = start(answer, ends);
    await(opened);
    OK(shc_pipe_close(ends[1]));
    for (int i = 0; i < 3000; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        OK(shc_pipe_send(ends[0], text, strlen(text), LONG_NS));
        gives(ends[0], text);
    }
    OK(shc_pipe_close(ends[0]));
    finish(child);
}

static void open_and_stay(void *pipe) {
    send_text((const shc_pipe *)pipe, "before");
    reached(opened);
    stay();
}

static void take_and_stay(void *pipe) {
    shc_item item;
    OK(shc_pipe_recv_in_place((const shc_pipe *)pipe, -1, &item));
    reached(opened);
    stay();
}

static void reserve_and_stay(void *pipe) {
    shc_slot slot;
    OK(shc_pipe_reserve((const shc_pipe *)pipe, 100000, -1, &slot));
    memset(slot.data, 'x', slot.len);
    reached(opened);
    stay();
}

static void *receive_the_end(void *pipe) {
    at_the_end((const shc_pipe *)pipe);
    return NULL;
}

static void deaths(void) {
    shc_pipe *a = NULL, *b = NULL;
    pthread_t waiter;
    pid_t child;
    make("killed", 4, SHC_PIPE_SIMPLEX, &a, &b);
    child = start(reserve_and_stay, b);
    await(opened);
    slay(child);
    CHECK(!polls(a, 0));

    child = start(open_and_stay, b);
    await(opened);
    OK(shc_pipe_close(b));
    gives(a, "before");
    CHECK(pthread_create(&waiter, NULL, receive_the_end, a) == 0);
    slay(child);
    CHECK(pthread_join(waiter, NULL) == 0);
    at_the_end(a);
    OK(shc_pipe_close(a));

    /* A message that a killed receiver had taken goes to the next one of that end. */
    make("receiver killed", 2, SHC_PIPE_SIMPLEX, &a, &b);
    send_text(b, "again");
    child = start(take_and_stay, a);
    await(opened);
    slay(child);
    gives(a, "again");

    /* A sender who waits for room is told when the last receiver dies. */
    child = start(take_and_stay, a);
    send_text(b, "x");
    await(opened);
    OK(shc_pipe_close(a));
    send_text(b, "y");
    STATUS(SHC_TIMED_OUT, shc_pipe_send(b, "z", 1, SHORT_NS));
    slay(child);
    STATUS(SHC_CLOSED, shc_pipe_send(b, "z", 1, LONG_NS));
    OK(shc_pipe_close(b));
}

static void release_the_parents(void *with) {
    shc_pipe *const *ends = ((void **)with)[0];
    STATUS(SHC_ERR_NOT_HELD, shc_pipe_release(ends[0], ((void **)with)[1]));
    STATUS(SHC_ERR_NOT_HELD, shc_pipe_commit(ends[1], ((void **)with)[2], 0));
    STATUS(SHC_ERR_NOT_HELD, shc_pipe_abort(ends[1], ((void **)with)[2]));
}

static void a_fork_shares_no_message(void) {
    shc_pipe *ends[2] = {NULL, NULL};
    shc_item item;
    shc_slot slot;
    void *with[] = {ends, &item, &slot};
    make("fork", 4, SHC_PIPE_SIMPLEX, &ends[0], &ends[1]);
    send_text(ends[1], "mine");
    OK(shc_pipe_recv_in_place(ends[0], 0, &item));
    OK(shc_pipe_reserve(ends[1], 4, 0, &slot));
    finish(start(release_the_parents, with));
    CHECK(item.len == 4 && memcmp(item.data, "mine", 4) == 0);
    OK(shc_pipe_release(ends[0], &item));
    OK(shc_pipe_abort(ends[1], &slot));
    OK(shc_pipe_close(ends[0]));
    OK(shc_pipe_close(ends[1]));
}

int main(void) {
    segment = test_segment("pipe");
    opened = new_signpost();
    with_a_function();
    duplex();
    simplex();
    in_place();
    any_length();
    with_a_child();
    deaths();
    a_fork_shares_no_message();
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
