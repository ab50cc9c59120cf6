/* Anonymous segments: inherited, by descriptor and over a socket; nobody truncates them; their users die. */

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

static signpost held;

static shc_segment *new_anonymous(void) {
    shc_segment_options options;
    shc_segment *segment = NULL;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.limit = 64 << 20;
    OK(shc_segment_create_anonymous(&options, &segment));
    return segment;
}

static size_t participants(const shc_segment *segment) {
    shc_participant_info list[8];
    size_t count = 0;
    OK(shc_segment_participants(segment, list, 8, &count));
    return count;
}

static void put_one(void *queue) { OK(shc_queue_put(queue, "from the child", 14, LONG_NS)); }

static void a_fork_inherits_it(void) {
    shc_segment *segment = new_anonymous();
    shc_queue *queue = NULL;
    char seen[32];
    size_t len = 0;
    uint64_t limit = 0;
    bool unlinked = true, anonymous = false;
    pid_t child;
    OK(shc_segment_is_anonymous(segment, &anonymous));
    CHECK(anonymous);
    OK(shc_segment_limit(segment, &limit));
    OK(shc_segment_is_unlinked(segment, &unlinked));
    CHECK(limit == 64 << 20 && !unlinked);
    OK(shc_queue_create(segment, "queue", NULL, &queue));
    child = start(put_one, queue);
    OK(shc_queue_get(queue, seen, sizeof seen, LONG_NS, &len));
    CHECK(len == 14 && memcmp(seen, "from the child", 14) == 0);
    finish(child);
    OK(shc_queue_close(queue));
    OK(shc_segment_close(segment));
}

/* Receives the segment over a socket, adds to its value, and holds its lock until it is killed. */
static void receive(void *sockets) {
    shc_segment *segment = NULL;
    shc_type type = code('q');
    shc_value *value = NULL;
    shc_lock *lock = NULL;
    OK(shc_segment_receive_over(((int *)sockets)[1], &segment));
    OK(shc_value_open(segment, "value", &type, &value));
    OK(shc_value_add_int(value, 5, NULL));
    OK(shc_lock_open(segment, "lock", &lock));
    OK(shc_lock_acquire(lock, LONG_NS));
    reached(held);
    stay();
}

static void it_goes_over_a_socket(void) {
    int sockets[2];
    shc_segment *segment = NULL;
    shc_type type = code('q');
    shc_value *value = NULL;
    shc_lock *lock = NULL;
    int64_t now = 0;
    pid_t child;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    /* Started before there is a segment, so that it has nothing but what it is sent. */
    child = start(receive, sockets);
    segment = new_anonymous();
    OK(shc_value_create(segment, "value", &type, NULL, &value));
    OK(shc_lock_create(segment, "lock", &lock));
    OK(shc_segment_send_over(segment, sockets[0]));
    await(held);
    OK(shc_value_get(value, &now, sizeof now));
    CHECK(now == 5 && participants(segment) == 2);
    STATUS(SHC_WOULD_BLOCK, shc_lock_acquire(lock, 0));
    slay(child);
    STATUS(SHC_OWNER_DIED, shc_lock_acquire(lock, LONG_NS));
    OK(shc_lock_release(lock));
    OK(shc_lock_close(lock));
    OK(shc_value_close(value));
    OK(shc_segment_close(segment));
    CHECK(close(sockets[0]) == 0 && close(sockets[1]) == 0);
}

static void what_else_comes_over_a_socket(void) {
    int sockets[2];
    shc_segment *none = NULL;
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    CHECK(write(sockets[0], "x", 1) == 1);
    STATUS(SHC_CLOSED, shc_segment_receive_over(sockets[1], &none));
    CHECK(close(sockets[0]) == 0);
    STATUS(SHC_CLOSED, shc_segment_receive_over(sockets[1], &none));
    CHECK(close(sockets[1]) == 0 && none == NULL);
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_segment_receive_over(-1, &none));
}

static void by_descriptor(void) {
    shc_segment *segment = new_anonymous(), *again = NULL, *none = NULL, *named = test_segment("anonymous");
    int32_t fd = -1, null = open("/dev/null", O_RDWR | O_CLOEXEC);
    OK(shc_segment_to_fd(segment, &fd));
    CHECK(fd >= 0 && null >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
    CHECK(ftruncate(fd, 0) == -1 && errno == EPERM);
    CHECK(ftruncate(fd, 4096) == -1 && errno == EPERM);
    /* Twice in a process is one participant, and the descriptor stays the caller's. */
    OK(shc_segment_from_fd(fd, &again));
    CHECK(participants(segment) == 1);
    OK(shc_segment_close(segment));
    CHECK(close(fd) == 0);
    CHECK(participants(again) == 1);
    OK(shc_segment_close(again));

    CHECK(shc_segment_from_fd(null, &none) < 0 && shc_segment_from_fd(fd, &none) < 0);
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_segment_from_fd(-1, &none));
    CHECK(close(null) == 0);
    /* That of a segment with a name can be truncated, and is not handed on. */
    STATUS(SHC_ERR_UNSUPPORTED, shc_segment_to_fd(named, &fd));
    CHECK(none == NULL);
    OK(shc_segment_close(named));
}

/* A file that could be truncated under its users, and one that holds no segment. */
static void others_are_refused(void) {
    shc_segment *none = NULL;
    int open_to_all = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(open_to_all >= 0 && ftruncate(open_to_all, 1 << 20) == 0);
    CHECK(shc_segment_from_fd(open_to_all, &none) < 0);
    CHECK(fcntl(open_to_all, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
    CHECK(shc_segment_from_fd(open_to_all, &none) < 0);
    CHECK(close(open_to_all) == 0 && none == NULL);
}

int main(void) {
    alarm(WATCHDOG);
    held = new_signpost();
    a_fork_inherits_it();
    it_goes_over_a_socket();
    what_else_comes_over_a_socket();
    by_descriptor();
    others_are_refused();
    puts("ok");
    return 0;
}
