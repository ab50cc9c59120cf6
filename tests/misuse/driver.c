/*
 * Calls every function of the header with what makes no sense: each argument in turn, each pair of arguments,
 * and random choices for all of them at once. calls.h, which generate.py makes from the header, says what
 * there is to call.
 *
 * usage: driver singles | pairs | random SECONDS SEED
 *
 * What is given ends at a page that cannot be touched, and has marks before it: a byte too many, read or
 * written, is a fault or seen. A refused call must write nothing; a needed pointer that is NULL, or a handle
 * that is none, must be refused.
 */

#include "../c/check.h"

#include <fcntl.h>
#include <float.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

/* How many choices of handles there are: one that is right, NULL, and some that are none. */
#define HANDLES 6
#define MOST 8
#define LARGEST ((size_t)512)
#define MEMORY ((size_t)1 << 20)
#define PAGE ((size_t)4096)
#define ABSURD ((size_t)PTRDIFF_MAX)

enum kind {
    SEGMENT,
    VALUE,
    ARRAY,
    LOCK,
    RLOCK,
    RWLOCK,
    CONDITION,
    EVENT,
    BARRIER,
    BELL,
    SEMAPHORE,
    QUEUE,
    PIPE,
    KINDS,
    /* What the functions of no object are about. */
    GC,
    LAST,
    WAIT
};

struct function {
    const char *name;
    shc_status (*call)(const unsigned *pick);
    size_t arguments;
    unsigned choices[MOST];
    /* Which choice is a NULL that must be refused; 0 where there is none. */
    unsigned null[MOST];
    /* Whether it is a handle: each choice but the first two is none. */
    bool handle[MOST];
    /* Whether it is a timeout: some choices are none. */
    bool timeout[MOST];
};

/* ---- memory that is watched ---------------------------------------------------------------------------- */

static struct room {
    unsigned char *start, *end;
    size_t used;
    /* What was there before the call. */
    unsigned char kept[LARGEST];
    /* What kind of handle is written there. */
    enum kind makes;
} rooms[MOST];
static size_t rooms_used;

static void make_rooms(void) {
    for (size_t i = 0; i < MOST; i++) {
        unsigned char *start =
            mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(start != MAP_FAILED && mprotect(start + PAGE, PAGE, PROT_NONE) == 0);
        rooms[i].start = start;
        rooms[i].end = start + PAGE;
    }
}

/* `size` bytes of marks that end where nothing may be touched. */
static void *some_room(size_t size) {
    struct room *room = &rooms[rooms_used++];
    CHECK(rooms_used <= MOST && size <= LARGEST);
    memset(room->start, 0xa5, PAGE);
    memset(room->kept, 0xa5, LARGEST);
    room->used = size;
    room->makes = KINDS;
    return room->end - size;
}

static void *copied(const void *what, size_t size) {
    void *room = some_room(size);
    memcpy(rooms[rooms_used - 1].kept, what, size);
    return memcpy(room, what, size);
}

static bool marks_are_whole(const struct room *room) {
    for (const unsigned char *p = room->start; p < room->end - room->used; p++)
        if (*p != 0xa5) return false;
    return true;
}

static bool is_as_before(const struct room *room) {
    return memcmp(room->end - room->used, room->kept, room->used) == 0;
}

/* ---- the scene ----------------------------------------------------------------------------------------- */

static const char *const names[KINDS] = {NULL,        "value",     "array", "lock",    "rlock",
                                         "rwlock",    "condition", "event", "barrier", "bell",
                                         "semaphore", "queue",     "pipe"};
static void *handles[KINDS], *closed[KINDS];
static shc_pipe *other_end;
static shc_item items[KINDS];
static shc_slot slots[KINDS];
static char scene_name[64], foreign_name[64], missing_name[64], long_name[256];
static void *memory;
static int descriptors[6], peer;

static shc_status close_handle(enum kind kind, void *handle) {
    switch (kind) {
    case SEGMENT:
        return shc_segment_close(handle);
    case VALUE:
        return shc_value_close(handle);
    case ARRAY:
        return shc_array_close(handle);
    case LOCK:
        return shc_lock_close(handle);
    case RLOCK:
        return shc_rlock_close(handle);
    case RWLOCK:
        return shc_rwlock_close(handle);
    case CONDITION:
        return shc_condition_close(handle);
    case EVENT:
        return shc_event_close(handle);
    case BARRIER:
        return shc_barrier_close(handle);
    case BELL:
        return shc_bell_close(handle);
    case SEMAPHORE:
        return shc_semaphore_close(handle);
    case QUEUE:
        return shc_queue_close(handle);
    default:
        return shc_pipe_close(handle);
    }
}

/* A file where a segment is expected. */
static void make_foreign(void) {
    char path[128];
    FILE *file;
    snprintf(path, sizeof path, "/dev/shm/sharecell.%s", foreign_name);
    CHECK((file = fopen(path, "w")) != NULL);
    for (int i = 0; i < 20; i++) CHECK(fputs("SHARECELL? somebody else's file", file) >= 0);
    CHECK(fclose(file) == 0);
}

static void open_all(void *out[KINDS], shc_segment *segment) {
    const shc_type type = code('i');
    shc_queue_options room;
    memset(&room, 0, sizeof room);
    room.struct_size = sizeof room;
    room.capacity = 4;
    out[SEGMENT] = segment;
    OK(shc_value_open_or_create(segment, names[VALUE], &type, NULL, (shc_value **)&out[VALUE]));
    OK(shc_array_open_or_create(segment, names[ARRAY], &type, 2, (shc_array **)&out[ARRAY]));
    OK(shc_lock_open_or_create(segment, names[LOCK], (shc_lock **)&out[LOCK]));
    OK(shc_rlock_open_or_create(segment, names[RLOCK], (shc_rlock **)&out[RLOCK]));
    OK(shc_rwlock_open_or_create(segment, names[RWLOCK], (shc_rwlock **)&out[RWLOCK]));
    OK(shc_condition_open_or_create(segment, names[CONDITION], (shc_condition **)&out[CONDITION]));
    OK(shc_event_open_or_create(segment, names[EVENT], (shc_event **)&out[EVENT]));
    OK(shc_barrier_open_or_create(segment, names[BARRIER], 2, (shc_barrier **)&out[BARRIER]));
    OK(shc_bell_create((shc_bell **)&out[BELL]));
    OK(shc_semaphore_open_or_create(segment, names[SEMAPHORE], 1, (shc_semaphore **)&out[SEMAPHORE]));
    OK(shc_queue_open_or_create(segment, names[QUEUE], &room, (shc_queue **)&out[QUEUE]));
    OK(shc_pipe_open_or_create(segment, names[PIPE], SHC_END_A, NULL, (shc_pipe **)&out[PIPE]));
}

static void set_up(void) {
    shc_segment_options options;
    shc_segment *segment = NULL, *again = NULL;
    make_foreign();
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.limit = MEMORY;
    options.participants = 4;
    options.flags = SHC_SEGMENT_EPHEMERAL;
    OK(shc_segment_create(scene_name, &options, &segment));
    OK(shc_segment_open(scene_name, NULL, &again));
    open_all(closed, again);
    open_all(handles, segment);
    OK(shc_pipe_open(segment, names[PIPE], SHC_END_B, &other_end));
    for (int i = 0; i < 2; i++) {
        OK(shc_queue_put(handles[QUEUE], "abc", 3, 0));
        OK(shc_pipe_send(other_end, "abc", 3, 0));
    }
    OK(shc_queue_recv(handles[QUEUE], 0, &items[QUEUE]));
    OK(shc_pipe_recv_in_place(handles[PIPE], 0, &items[PIPE]));
    OK(shc_queue_reserve(handles[QUEUE], 64, 0, &slots[QUEUE]));
    OK(shc_pipe_reserve(handles[PIPE], 64, 0, &slots[PIPE]));
    for (int kind = KINDS; kind-- > 0;) OK(close_handle(kind, closed[kind]));
    CHECK((memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) !=
          MAP_FAILED);
}

/* What is open is closed, in whatever state it is; what was closed by the call is no handle any more. */
static void tear_down(void) {
    shc_pipe_close(other_end);
    for (int kind = KINDS; kind-- > 0;) {
        const shc_status status = close_handle(kind, handles[kind]);
        CHECK(status == SHC_OK || status == SHC_ERR_INVALID_HANDLE || status == SHC_ERR_BUSY);
    }
    shc_segment_unlink(scene_name);
    shc_segment_unlink(missing_name);
    shc_segment_unlink(foreign_name);
    /* What was laid over it may be open still, and nothing uses that any more. */
    CHECK(mmap(memory, MEMORY, PROT_NONE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == memory);
}

static void make_descriptors(void) {
    int pair[2];
    descriptors[0] = memfd_create("garbage", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    CHECK(descriptors[0] >= 0 && ftruncate(descriptors[0], 8192) == 0);
    CHECK(pwrite(descriptors[0], "SHARECELL, or not", 17, 0) == 17);
    CHECK(fcntl(descriptors[0], F_ADD_SEALS, F_SEAL_SHRINK) == 0);
    descriptors[1] = -1;
    descriptors[2] = INT_MAX;
    CHECK((descriptors[3] = open("/dev/null", O_RDWR | O_CLOEXEC)) >= 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    descriptors[4] = pair[0];
    CHECK(close(pair[1]) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0);
    descriptors[5] = pair[0];
    peer = pair[1];
}

static void make_names(void) {
    snprintf(scene_name, sizeof scene_name, "test-c-%ld-driver", (long)getpid());
    snprintf(foreign_name, sizeof foreign_name, "test-c-%ld-foreign", (long)getpid());
    snprintf(missing_name, sizeof missing_name, "test-c-%ld-missing", (long)getpid());
    memset(long_name, 'n', sizeof long_name - 1);
}

/* ---- what is given: choice 0 is right, or at least well formed ------------------------------------------
 */

static void *a_handle(enum kind kind, unsigned choice) {
    switch (choice) {
    case 0:
        return handles[kind];
    case 1:
        return NULL;
    case 2:
        return handles[(kind + 1) % KINDS];
    case 3:
        return closed[kind];
    case 4:
        return (char *)handles[kind] + 1;
    default:
        return some_room(1);
    }
}

static const char *a_name(enum kind kind, unsigned choice) {
    const char *valid[] = {kind < KINDS && names[kind] != NULL ? names[kind] : scene_name,
                           NULL,
                           "",
                           "a/b",
                           long_name,
                           "\xff\xfe",
                           missing_name,
                           kind < KINDS && names[kind] != NULL ? names[(kind + 1) % KINDS] : foreign_name,
                           "x\n"};
    const char *name = valid[choice];
    return name == NULL ? NULL : copied(name, strlen(name) + 1);
}

static const shc_type *a_type(unsigned choice) {
    const shc_type types[] = {{'i', 0, 0, NULL},
                              {'f', 0, 0, NULL},
                              {0, 3, 8, "T"},
                              {UINT32_MAX, 0, 0, NULL},
                              {0, 8, UINT64_MAX, "T"}};
    return choice == 5 ? NULL : copied(&types[choice], sizeof types[0]);
}

/* Options of any kind start with their size. */
static const void *some_options(size_t size, unsigned choice) {
    const size_t sizes[] = {size, 0, size - 1, SIZE_MAX};
    unsigned char options[LARGEST];
    if (choice == 4) return NULL;
    memset(options, choice == 3 ? 0xff : 0, size);
    memcpy(options, &sizes[choice], sizeof sizes[0]);
    return copied(options, size);
}
static const shc_pipe_options *pipe_options(unsigned choice) {
    return some_options(sizeof(shc_pipe_options), choice);
}
static const shc_queue_options *queue_options(unsigned choice) {
    return some_options(sizeof(shc_queue_options), choice);
}
static const shc_segment_options *segment_options(unsigned choice) {
    return some_options(sizeof(shc_segment_options), choice);
}

static const shc_buffer *a_buffer(unsigned choice) {
    const shc_buffer buffers[] = {{"abc", 3}, {NULL, 1}, {"abc", SIZE_MAX}, {"abc", ABSURD}};
    return choice == 4 ? NULL : copied(&buffers[choice], sizeof buffers[0]);
}

static const shc_interest *an_interest(unsigned choice) {
    const shc_interest interests[] = {{SHC_QUEUE_READABLE, -1, handles[QUEUE]},
                                      {SHC_QUEUE_READABLE, -1, handles[LOCK]},
                                      {UINT32_MAX, -1, handles[QUEUE]},
                                      {SHC_FD_READABLE, -1, NULL},
                                      {SHC_EVENT_SET, -1, NULL},
                                      {SHC_LOCK_FREE, 0, closed[LOCK]}};
    return choice == 6 ? NULL : copied(&interests[choice], sizeof interests[0]);
}

static const shc_item *an_item(enum kind kind, unsigned choice) {
    const shc_item garbage = {"x", ABSURD, 0, 1, 0, {12345, UINT64_MAX}};
    if (choice == 1) return NULL;
    return copied(choice == 0 ? &items[kind] : &garbage, sizeof garbage);
}

static const shc_slot *a_slot(enum kind kind, unsigned choice) {
    const shc_slot garbage = {long_name, ABSURD, {UINT64_MAX, 678}};
    if (choice == 1) return NULL;
    return copied(choice == 0 ? &slots[kind] : &garbage, sizeof garbage);
}

static size_t a_size(size_t right, unsigned choice) {
    const size_t sizes[] = {right, 0, SIZE_MAX, right == MEMORY ? PAGE : ABSURD};
    /* Nobody can know how much memory there is behind an address: too little of it must be said. */
    return right == MEMORY && choice == 2 ? 1 : sizes[choice];
}

static void *some_bytes(size_t size, unsigned choice) { return choice == 0 ? some_room(size) : NULL; }
static void *room_for(size_t size, unsigned choice) { return choice == 0 ? some_room(size) : NULL; }

static void *room_for_handle(enum kind kind, unsigned choice) {
    void *room = room_for(sizeof(void *), choice);
    if (room != NULL) rooms[rooms_used - 1].makes = kind;
    return room;
}

static void *a_memory(unsigned choice) {
    return choice == 0 ? memory : choice == 1 ? NULL : (char *)memory + 64;
}

static size_t a_count(unsigned choice) {
    const size_t counts[] = {1, 0, SIZE_MAX, ABSURD};
    return counts[choice];
}

static size_t a_start(unsigned choice) {
    const size_t starts[] = {0, 2, SIZE_MAX, SIZE_MAX / 4 + 1};
    return starts[choice];
}

static int64_t a_timeout(unsigned choice) {
    const int64_t timeouts[] = {0, 1000, -2, INT64_MIN, INT64_MIN + 1, 50000};
    return timeouts[choice];
}
static bool is_no_timeout(unsigned choice) { return a_timeout(choice) < -1; }

static int32_t a_descriptor(unsigned choice) {
    /* For who receives: a byte, and nothing with it. */
    if (choice == 5) CHECK(send(peer, "x", 1, MSG_NOSIGNAL) >= 0);
    return descriptors[choice];
}

static uint32_t a_number(unsigned choice) {
    const uint32_t numbers[] = {1, 0, UINT32_MAX, 0x80000000};
    return numbers[choice];
}

static int64_t an_integer(unsigned choice) {
    const int64_t integers[] = {1, INT64_MAX, INT64_MIN, INT32_MAX};
    return integers[choice];
}

static double an_amount(unsigned choice) {
    const double amounts[] = {1, DBL_MAX, -DBL_MAX, DBL_MIN / 2, 0.0 * -1};
    return amounts[choice];
}

static bool yes(void *unused) { return unused == NULL; }
static bool no(void *unused) { return unused != NULL; }
static bool (*an_action(unsigned choice))(void *) { return choice == 0 ? yes : choice == 1 ? NULL : no; }
static bool takes(void *unused, const void *data, size_t len) {
    CHECK(unused == NULL || unused == memory);
    return len == 3 && memcmp(data, "abc", len) == 0;
}
static bool takes_none(void *unused, const void *data, size_t len) { return !takes(unused, data, len); }
static bool (*a_taker(unsigned choice))(void *, const void *, size_t) {
    return choice == 0 ? takes : choice == 1 ? NULL : takes_none;
}
static void *a_userdata(unsigned choice) { return choice == 0 ? NULL : memory; }

#include "calls.h"
#define FUNCTIONS (sizeof functions / sizeof functions[0])

/* ---- the calls ----------------------------------------------------------------------------------------- */

static unsigned long calls, refusals;

static void complain(const struct function *f, const unsigned *pick, shc_status status, const char *what) {
    char why[512] = "";
    shc_last_error(why, sizeof why);
    fprintf(stderr, "%s, choices", f->name);
    for (size_t i = 0; i < f->arguments; i++) fprintf(stderr, " %u", pick[i]);
    fprintf(stderr, ": %d (%s): %s\n", (int)status, why, what);
    _exit(1);
}

/* Whether it is a number of the functions that return no status: the versions have no arguments. */
static bool is_status(shc_status status) {
    return status >= SHC_OK ? status <= SHC_BROKEN : status >= SHC_ERR_POISONED && status != SHC_ERR_PANIC;
}

static void check(const struct function *f, const unsigned *pick, shc_status status) {
    size_t wrong = 0;
    bool must_fail = false;
    for (size_t i = 0; i < f->arguments; i++) wrong += pick[i] != 0;
    for (size_t i = 0; i < f->arguments; i++) {
        if (wrong == 1 && pick[i] != 0 && pick[i] == f->null[i]) must_fail = true;
        if (f->handle[i] && pick[i] > 1) must_fail = true;
        /* Also when there is nothing to wait for. */
        if (f->timeout[i] && is_no_timeout(pick[i])) must_fail = true;
    }
    if (!is_status(status)) complain(f, pick, status, "no documented status, or a panic");
    if (must_fail && status >= 0) complain(f, pick, status, "it was not refused");
    for (size_t i = 0; i < rooms_used; i++) {
        if (!marks_are_whole(&rooms[i])) complain(f, pick, status, "it wrote before what was given");
        /* With a buffer that is too small comes the size that is needed. */
        if (status < 0 && status != SHC_ERR_BUFFER_TOO_SMALL && !is_as_before(&rooms[i]))
            complain(f, pick, status, "it was refused, and wrote");
    }
}

static void close_what_was_made(void) {
    for (size_t i = rooms_used; i-- > 0;) {
        void *made;
        if (rooms[i].makes == KINDS) continue;
        memcpy(&made, rooms[i].end - sizeof made, sizeof made);
        OK(close_handle(rooms[i].makes, made));
    }
}

static void try_one(const struct function *f, const unsigned *pick) {
    shc_status status;
    rooms_used = 0;
    set_up();
    status = f->call(pick);
    check(f, pick, status);
    if (status == SHC_OK) close_what_was_made();
    tear_down();
    calls++;
    refusals += status < 0;
}

static void singles(const struct function *f) {
    unsigned pick[MOST] = {0};
    try_one(f, pick);
    for (size_t i = 0; i < f->arguments; i++) {
        for (pick[i] = 1; pick[i] < f->choices[i]; pick[i]++) try_one(f, pick);
        pick[i] = 0;
    }
}

static void pairs(const struct function *f) {
    unsigned pick[MOST] = {0};
    for (size_t i = 0; i < f->arguments; i++) {
        for (size_t j = 0; j < i; j++) {
            for (pick[i] = 1; pick[i] < f->choices[i]; pick[i]++)
                for (pick[j] = 1; pick[j] < f->choices[j]; pick[j]++) try_one(f, pick);
            pick[i] = pick[j] = 0;
        }
    }
}

static void at_random(time_t seconds, unsigned seed) {
    const time_t end = time(NULL) + seconds;
    unsigned pick[MOST];
    srand(seed);
    while (time(NULL) < end) {
        const struct function *f = &functions[(size_t)rand() % FUNCTIONS];
        for (size_t i = 0; i < f->arguments; i++)
            pick[i] = rand() % 3 == 0 ? 0 : (unsigned)rand() % f->choices[i];
        try_one(f, pick);
    }
}

int main(int argc, char **argv) {
    const char *mode = argc > 1 ? argv[1] : "singles";
    CHECK(strcmp(mode, "singles") == 0 || strcmp(mode, "pairs") == 0 ||
          (strcmp(mode, "random") == 0 && argc == 4));
    make_rooms();
    make_descriptors();
    make_names();
    if (*mode == 'r') at_random(atoi(argv[2]), (unsigned)atoi(argv[3]));
    for (const struct function *f = functions; *mode != 'r' && f < functions + FUNCTIONS; f++)
        (*mode == 's' ? singles : pairs)(f);
    printf("%zu functions, %lu calls, %lu of them refused\n", FUNCTIONS, calls, refusals);
    return calls == 0;
}
