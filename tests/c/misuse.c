/*
 * Arguments that make no sense: each is refused with its own error, and nothing is written, not even by half.
 * What handles.c shows of handles, this shows of everything else.
 */

#include "check.h"

static union {
    unsigned char bytes[4096];
    uint64_t word;
    void *pointer;
} out;

/* The call ends with this status and leaves what it could have written as it was. */
#define REFUSED(status, call)                                                                                \
    do {                                                                                                     \
        memset(&out, 0xa5, sizeof out);                                                                      \
        STATUS(status, call);                                                                                \
        for (size_t i = 0; i < sizeof out; i++) CHECK(out.bytes[i] == 0xa5);                                 \
    } while (0)
#define INVALID(call) REFUSED(SHC_ERR_INVALID_ARGUMENT, call)

/* Lengths that are negative numbers, and one that is merely absurd. */
#define NEGATIVE SIZE_MAX
#define ABSURD ((size_t)PTRDIFF_MAX)

static bool never_called(void *unused) {
    (void)unused;
    CHECK(!"called");
    return false;
}

static shc_segment *segment;
static void *const o = &out;

static const int64_t bad_timeouts[] = {-2, -1000000000, INT64_MIN};
#define EACH_BAD_TIMEOUT(t)                                                                                  \
    for (const int64_t *t = bad_timeouts; t < bad_timeouts + sizeof bad_timeouts / sizeof *bad_timeouts; t++)

static void segments(void) {
    const char *name = unique_name("none");
    INVALID(shc_segment_create(NULL, NULL, o));
    INVALID(shc_segment_create(name, NULL, NULL));
    INVALID(shc_segment_open(NULL, NULL, o));
    INVALID(shc_segment_open(name, NULL, NULL));
    INVALID(shc_segment_open_or_create(NULL, NULL, o));
    INVALID(shc_segment_open_or_create(name, NULL, NULL));
    INVALID(shc_segment_unlink(NULL));
    INVALID(shc_gc(NULL));
    INVALID(shc_segment_name(segment, NULL, 10));
    INVALID(shc_segment_name(segment, o, NEGATIVE));
    REFUSED(SHC_ERR_BUFFER_TOO_SMALL, shc_segment_name(segment, NULL, 0));
    REFUSED(SHC_ERR_BUFFER_TOO_SMALL, shc_segment_name(segment, o, 3));
    INVALID(shc_segment_limit(segment, NULL));
    INVALID(shc_segment_size(segment, NULL));
    INVALID(shc_segment_is_unlinked(segment, NULL));
    INVALID(shc_segment_is_anonymous(segment, NULL));
    INVALID(shc_segment_is_ephemeral(segment, NULL));
    INVALID(shc_segment_names(o, 1, NULL));
    INVALID(shc_segment_names(NULL, 1, o));
    INVALID(shc_segment_remove(segment, NULL));
    INVALID(shc_segment_recover(segment, NULL));
    INVALID(shc_segment_objects(segment, NULL, 1, o));
    INVALID(shc_segment_objects(segment, o, 1, NULL));
    INVALID(shc_segment_participants(segment, NULL, 1, o));
    INVALID(shc_segment_participants(segment, o, 1, NULL));
    STATUS(SHC_ERR_NOT_FOUND, shc_segment_open(name, NULL, o));
}

static void segment_options(void) {
    const char *name = unique_name("none");
    shc_segment_options options;
#define WITH(field, value)                                                                                   \
    (memset(&options, 0, sizeof options), options.struct_size = sizeof options, options.field = (value))
#define REFUSED_BY_CREATE(field, value)                                                                      \
    WITH(field, value);                                                                                      \
    INVALID(shc_segment_create(name, &options, o));                                                          \
    INVALID(shc_segment_open_or_create(name, &options, o))
#define REFUSED_BY_ALL(field, value)                                                                         \
    REFUSED_BY_CREATE(field, value);                                                                         \
    INVALID(shc_segment_open(name, &options, o))
    REFUSED_BY_ALL(struct_size, 0);
    REFUSED_BY_ALL(struct_size, sizeof(size_t) - 1);
    REFUSED_BY_ALL(struct_size, 4097);
    REFUSED_BY_ALL(struct_size, NEGATIVE);
    REFUSED_BY_ALL(flags, 4);
    REFUSED_BY_ALL(flags, UINT32_MAX);
    REFUSED_BY_ALL(reserved, 1);
    REFUSED_BY_CREATE(participants, 4096);
    REFUSED_BY_CREATE(participants, UINT32_MAX);
    REFUSED_BY_CREATE(limit, 1);
    REFUSED_BY_CREATE(mode, 0400);
    REFUSED_BY_CREATE(mode, 010600);
    STATUS(SHC_ERR_NOT_FOUND, shc_segment_open(name, NULL, o));
#undef WITH
#undef REFUSED_BY_CREATE
#undef REFUSED_BY_ALL
}

static void names(void) {
    char segment_name[202], object_name[130];
    const char *bad[] = {"", "a/b", "/", "..\n", "\x7f", "\xff\xfe", segment_name};
    const char *bad_object[] = {"", "a\tb", "\xff\xfe", object_name};
    const shc_type type = {'i', 0, 0, NULL};
    memset(segment_name, 'n', 201);
    segment_name[201] = 0;
    memset(object_name, 'n', 129);
    object_name[129] = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        REFUSED(SHC_ERR_INVALID_NAME, shc_segment_create(bad[i], NULL, o));
        REFUSED(SHC_ERR_INVALID_NAME, shc_segment_open(bad[i], NULL, o));
        REFUSED(SHC_ERR_INVALID_NAME, shc_segment_open_or_create(bad[i], NULL, o));
        REFUSED(SHC_ERR_INVALID_NAME, shc_segment_unlink(bad[i]));
    }
    for (size_t i = 0; i < sizeof bad_object / sizeof *bad_object; i++) {
        const char *name = bad_object[i];
        REFUSED(SHC_ERR_INVALID_NAME, shc_segment_remove(segment, name));
        REFUSED(SHC_ERR_INVALID_NAME, shc_value_create(segment, name, &type, NULL, o));
        REFUSED(SHC_ERR_INVALID_NAME, shc_array_open(segment, name, &type, o));
        REFUSED(SHC_ERR_INVALID_NAME, shc_lock_open_or_create(segment, name, o));
        REFUSED(SHC_ERR_INVALID_NAME, shc_semaphore_create(segment, name, 1, o));
        REFUSED(SHC_ERR_INVALID_NAME, shc_queue_create(segment, name, NULL, o));
        REFUSED(SHC_ERR_INVALID_NAME, shc_pipe_open(segment, name, SHC_END_A, o));
    }
}

static void types(void) {
    char long_name[66];
    const shc_type bad[] = {
        {'x', 0, 0, NULL},       {'I' << 8, 0, 0, NULL}, {0x110000, 0, 0, NULL},  {UINT32_MAX, 0, 0, NULL},
        {0, 8, 8, NULL},         {0, 8, 8, ""},          {0, 8, 0, "T"},          {0, 0, 8, "T"},
        {0, 3, 8, "T"},          {0, 128, 128, "T"},     {0, UINT32_MAX, 8, "T"}, {0, 8, (1 << 30) + 8, "T"},
        {0, 8, UINT64_MAX, "T"}, {0, 8, 8, "T\n"},       {0, 8, 8, long_name},
    };
    memset(long_name, 'T', 65);
    long_name[65] = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        INVALID(shc_value_create(segment, "none", &bad[i], NULL, o));
        INVALID(shc_value_open(segment, "none", &bad[i], o));
        INVALID(shc_value_open_or_create(segment, "none", &bad[i], NULL, o));
        INVALID(shc_array_create(segment, "none", &bad[i], 1, o));
        INVALID(shc_array_open(segment, "none", &bad[i], o));
        INVALID(shc_array_open_or_create(segment, "none", &bad[i], 1, o));
    }
}

static void values(void) {
    const shc_type type = {'i', 0, 0, NULL};
    const int32_t one = 1;
    shc_value *value = NULL;
    bool changed = true;
    INVALID(shc_value_create(segment, NULL, &type, NULL, o));
    INVALID(shc_value_create(segment, "none", NULL, NULL, o));
    INVALID(shc_value_create(segment, "none", &type, NULL, NULL));
    INVALID(shc_value_open(segment, NULL, &type, o));
    INVALID(shc_value_open(segment, "none", NULL, o));
    INVALID(shc_value_open(segment, "none", &type, NULL));
    INVALID(shc_value_open_or_create(segment, NULL, &type, NULL, o));
    INVALID(shc_value_open_or_create(segment, "none", NULL, NULL, o));
    INVALID(shc_value_open_or_create(segment, "none", &type, NULL, NULL));
    OK(shc_value_create(segment, "value", &type, NULL, &value));
    INVALID(shc_value_size(value, NULL));
    INVALID(shc_value_get(value, NULL, 4));
    INVALID(shc_value_set(value, NULL, 4));
    INVALID(shc_value_exchange(value, NULL, 4, o));
    INVALID(shc_value_exchange(value, &one, 4, NULL));
    INVALID(shc_value_compare_exchange(value, NULL, &one, 4, o, &changed));
    INVALID(shc_value_compare_exchange(value, &one, NULL, 4, o, &changed));
    INVALID(shc_value_compare_exchange(value, &one, &one, 4, NULL, &changed));
    INVALID(shc_value_compare_exchange(value, &one, &one, 4, o, NULL));
    INVALID(shc_value_address(value, NULL));
    INVALID(shc_value_lock(value, -2));
    INVALID(shc_value_lock(value, INT64_MIN));
    for (size_t i = 0; i < 6; i++) {
        const size_t sizes[] = {0, 3, 5, 8, ABSURD, NEGATIVE};
        REFUSED(SHC_ERR_WRONG_SIZE, shc_value_get(value, o, sizes[i]));
        REFUSED(SHC_ERR_WRONG_SIZE, shc_value_set(value, o, sizes[i]));
        REFUSED(SHC_ERR_WRONG_SIZE, shc_value_exchange(value, o, sizes[i], o));
        REFUSED(SHC_ERR_WRONG_SIZE, shc_value_compare_exchange(value, o, o, sizes[i], o, &changed));
    }
    REFUSED(SHC_ERR_VALUE_RANGE, shc_value_add_int(value, INT64_MAX, o));
    REFUSED(SHC_ERR_WRONG_TYPE, shc_value_add_float(value, 1, o));
    CHECK(changed);
    int32_t seen = 7;
    OK(shc_value_get(value, &seen, 4));
    CHECK(seen == 0);
    OK(shc_value_close(value));
}

static void arrays(void) {
    const shc_type type = {'i', 0, 0, NULL};
    const int32_t one = 1;
    shc_array *array = NULL;
    INVALID(shc_array_create(segment, NULL, &type, 1, o));
    INVALID(shc_array_create(segment, "none", NULL, 1, o));
    INVALID(shc_array_create(segment, "none", &type, 1, NULL));
    INVALID(shc_array_create(segment, "none", &type, NEGATIVE, o));
    INVALID(shc_array_create(segment, "none", &type, ABSURD, o));
    INVALID(shc_array_create(segment, "none", &type, SIZE_MAX / 4 + 2, o));
    REFUSED(SHC_ERR_LIMIT_REACHED, shc_array_create(segment, "none", &type, 100 << 20, o));
    INVALID(shc_array_open(segment, NULL, &type, o));
    INVALID(shc_array_open(segment, "none", NULL, o));
    INVALID(shc_array_open(segment, "none", &type, NULL));
    INVALID(shc_array_open_or_create(segment, NULL, &type, 1, o));
    INVALID(shc_array_open_or_create(segment, "none", NULL, 1, o));
    INVALID(shc_array_open_or_create(segment, "none", &type, 1, NULL));
    INVALID(shc_array_open_or_create(segment, "none", &type, NEGATIVE, o));
    REFUSED(SHC_ERR_NOT_FOUND, shc_array_open(segment, "none", &type, o));

    OK(shc_array_create(segment, "array", &type, 10, &array));
    INVALID(shc_array_len(array, NULL));
    INVALID(shc_array_element_size(array, NULL));
    INVALID(shc_array_address(array, NULL));
    INVALID(shc_array_read(array, 0, NULL, 4));
    INVALID(shc_array_write(array, 0, NULL, 4));
    INVALID(shc_array_fill(array, 0, 1, NULL, 4));
    INVALID(shc_array_get_text(array, NULL, 4, o));
    INVALID(shc_array_get_text(array, o, 4, NULL));
    INVALID(shc_array_set_text(array, NULL, 4));
    INVALID(shc_array_read(array, 0, o, NEGATIVE));
    INVALID(shc_array_write(array, 0, o, NEGATIVE - 3));
    INVALID(shc_array_fill(array, 0, 1, o, NEGATIVE));
    INVALID(shc_array_get_text(array, o, NEGATIVE, o));
    INVALID(shc_array_set_text(array, o, NEGATIVE));
    REFUSED(SHC_ERR_OUT_OF_RANGE, shc_array_read(array, 0, o, ABSURD - 3));
    REFUSED(SHC_ERR_OUT_OF_RANGE, shc_array_write(array, 0, o, ABSURD - 3));
    REFUSED(SHC_ERR_OUT_OF_RANGE, shc_array_read(array, SIZE_MAX, o, 4));
    REFUSED(SHC_ERR_OUT_OF_RANGE, shc_array_write(array, SIZE_MAX, &one, 4));
    REFUSED(SHC_ERR_OUT_OF_RANGE, shc_array_write(array, SIZE_MAX / 4 + 1, &one, 4));
    REFUSED(SHC_ERR_OUT_OF_RANGE, shc_array_fill(array, 0, SIZE_MAX, &one, 4));
    REFUSED(SHC_ERR_OUT_OF_RANGE, shc_array_fill(array, 1, SIZE_MAX, &one, 4));
    REFUSED(SHC_ERR_OUT_OF_RANGE, shc_array_fill(array, SIZE_MAX, 1, &one, 4));
    REFUSED(SHC_ERR_TOO_LARGE, shc_array_set_text(array, o, 44));
    INVALID(shc_array_lock(array, -2));
    INVALID(shc_array_lock(array, INT64_MIN));
    for (size_t i = 0; i < 10; i++) {
        int32_t seen = 7;
        OK(shc_array_read(array, i, &seen, 4));
        CHECK(seen == 0);
    }
    OK(shc_array_close(array));
}

static void locks_and_semaphores(void) {
    shc_lock *lock = NULL;
    shc_semaphore *semaphore = NULL;
    uint32_t value = 0;
    INVALID(shc_lock_create(segment, NULL, o));
    INVALID(shc_lock_create(segment, "none", NULL));
    INVALID(shc_lock_open(segment, NULL, o));
    INVALID(shc_lock_open(segment, "none", NULL));
    INVALID(shc_lock_open_or_create(segment, NULL, o));
    INVALID(shc_lock_open_or_create(segment, "none", NULL));
    OK(shc_lock_create(segment, "lock", &lock));
    INVALID(shc_lock_acquire(lock, -2));
    INVALID(shc_lock_acquire(lock, INT64_MIN));
    INVALID(shc_lock_holder(lock, NULL));
    INVALID(shc_lock_acquire_or_repair(lock, -2, never_called, NULL));
    INVALID(shc_lock_acquire_or_repair(lock, 0, NULL, NULL));
    INVALID(shc_lock_is_poisoned(lock, NULL));
    INVALID(shc_lock_clear_poison(lock, NULL));
    REFUSED(SHC_ERR_NOT_HELD, shc_lock_release(lock));
    OK(shc_lock_close(lock));

    INVALID(shc_semaphore_create(segment, NULL, 1, o));
    INVALID(shc_semaphore_create(segment, "none", 1, NULL));
    INVALID(shc_semaphore_create(segment, "none", UINT32_MAX, o));
    INVALID(shc_semaphore_open(segment, NULL, o));
    INVALID(shc_semaphore_open(segment, "none", NULL));
    INVALID(shc_semaphore_open_or_create(segment, NULL, 1, o));
    INVALID(shc_semaphore_open_or_create(segment, "none", 1, NULL));
    INVALID(shc_semaphore_open_or_create(segment, "none", UINT32_MAX, o));
    INVALID(shc_semaphore_create_with(segment, NULL, 1, 0, o));
    INVALID(shc_semaphore_create_with(segment, "none", 1, 4, o));
    INVALID(shc_semaphore_create_with(segment, "none", 1, 0, NULL));
    INVALID(shc_semaphore_open_or_create_with(segment, "none", 1, UINT32_MAX, o));
    OK(shc_semaphore_create(segment, "semaphore", 1, &semaphore));
    INVALID(shc_semaphore_acquire(semaphore, -2));
    INVALID(shc_semaphore_acquire(semaphore, INT64_MIN));
    INVALID(shc_semaphore_value(semaphore, NULL));
    REFUSED(SHC_ERR_OVERFLOW, shc_semaphore_release(semaphore, UINT32_MAX));
    OK(shc_semaphore_value(semaphore, &value));
    CHECK(value == 1);
    OK(shc_semaphore_close(semaphore));
}

static void sync_objects(void) {
    shc_rlock *rlock = NULL;
    shc_rwlock *rwlock = NULL;
    shc_condition *condition = NULL;
    shc_event *event = NULL;
    shc_barrier *barrier = NULL;
#define EACH_VERB(kind)                                                                                      \
    INVALID(shc_##kind##_create(segment, NULL, o));                                                          \
    INVALID(shc_##kind##_create(segment, "none", NULL));                                                     \
    INVALID(shc_##kind##_open(segment, NULL, o));                                                            \
    INVALID(shc_##kind##_open(segment, "none", NULL));                                                       \
    INVALID(shc_##kind##_open_or_create(segment, NULL, o));                                                  \
    INVALID(shc_##kind##_open_or_create(segment, "none", NULL));                                             \
    REFUSED(SHC_ERR_INVALID_NAME, shc_##kind##_create(segment, "", o));                                      \
    REFUSED(SHC_ERR_NOT_FOUND, shc_##kind##_open(segment, "none", o))
    EACH_VERB(rlock);
    EACH_VERB(rwlock);
    EACH_VERB(condition);
    EACH_VERB(event);
#undef EACH_VERB
    INVALID(shc_barrier_create(segment, NULL, 1, o));
    INVALID(shc_barrier_create(segment, "none", 1, NULL));
    INVALID(shc_barrier_create(segment, "none", 0, o));
    INVALID(shc_barrier_create(segment, "none", UINT32_MAX, o));
    INVALID(shc_barrier_open(segment, NULL, o));
    INVALID(shc_barrier_open_or_create(segment, "none", 0, o));

    OK(shc_rlock_create(segment, "rlock", &rlock));
    OK(shc_rwlock_create(segment, "rwlock", &rwlock));
    OK(shc_condition_create(segment, "condition", &condition));
    OK(shc_event_create(segment, "event", &event));
    OK(shc_barrier_create(segment, "barrier", 2, &barrier));
    OK(shc_condition_acquire(condition, 0));
    EACH_BAD_TIMEOUT(t) {
        INVALID(shc_rlock_acquire(rlock, *t));
        INVALID(shc_rwlock_acquire_read(rwlock, *t));
        INVALID(shc_rwlock_acquire_write(rwlock, *t));
        INVALID(shc_condition_acquire(condition, *t));
        INVALID(shc_condition_wait(condition, *t));
        INVALID(shc_condition_wait_for(condition, *t, never_called, NULL, o));
        INVALID(shc_event_wait(event, *t));
        INVALID(shc_barrier_wait(barrier, *t, o));
    }
    OK(shc_condition_release(condition));
    INVALID(shc_condition_wait_for(condition, 0, NULL, NULL, o));
    INVALID(shc_condition_wait_for(condition, 0, never_called, NULL, NULL));
    INVALID(shc_rlock_holder(rlock, NULL));
    INVALID(shc_condition_waiters(condition, NULL));
    INVALID(shc_event_is_set(event, NULL));
    INVALID(shc_barrier_wait(barrier, 0, NULL));
    INVALID(shc_barrier_wait_with(barrier, 0, NULL, NULL, o));
    INVALID(shc_barrier_parties(barrier, NULL));
    INVALID(shc_barrier_n_waiting(barrier, NULL));
    INVALID(shc_barrier_is_broken(barrier, NULL));
    OK(shc_barrier_close(barrier));
    OK(shc_event_close(event));
    OK(shc_condition_close(condition));
    OK(shc_rwlock_close(rwlock));
    OK(shc_rlock_close(rlock));
}

static void handed_segments(void) {
    static char memory[1];
    const char *name = unique_name("none");
    INVALID(shc_segment_create_anonymous(NULL, NULL));
    INVALID(shc_segment_to_fd(segment, NULL));
    INVALID(shc_segment_from_fd(-1, o));
    INVALID(shc_segment_from_fd(0, NULL));
    INVALID(shc_segment_send_over(segment, -1));
    INVALID(shc_segment_receive_over(-1, o));
    INVALID(shc_segment_receive_over(0, NULL));
    INVALID(shc_segment_create_over(NULL, memory, 1, NULL, o));
    INVALID(shc_segment_create_over(name, NULL, 4096, NULL, o));
    INVALID(shc_segment_create_over(name, memory, 1, NULL, NULL));
    INVALID(shc_segment_open_over(NULL, memory, 1, NULL, o));
    INVALID(shc_segment_open_over(name, memory, 1, NULL, NULL));
    REFUSED(SHC_ERR_NOT_FOUND, shc_segment_open_over(name, memory, 1, NULL, o));
    INVALID(shc_segment_open_or_create_over(NULL, memory, 1, NULL, o));
    INVALID(shc_segment_open_or_create_over(name, NULL, 4096, NULL, o));
    INVALID(shc_segment_open_or_create_over(name, memory, 1, NULL, NULL));
    INVALID(shc_bell_create(NULL));
}

static void queue_options(void) {
    shc_queue_options options;
    struct {
        shc_queue_options known;
        uint64_t unknown;
    } newer;
#define REFUSED_BY_ALL(field, value)                                                                         \
    memset(&options, 0, sizeof options);                                                                     \
    options.struct_size = sizeof options;                                                                    \
    options.field = (value);                                                                                 \
    INVALID(shc_queue_create(segment, "none", &options, o));                                                 \
    INVALID(shc_queue_open_or_create(segment, "none", &options, o))
    REFUSED_BY_ALL(struct_size, 0);
    REFUSED_BY_ALL(struct_size, sizeof(size_t) - 1);
    REFUSED_BY_ALL(struct_size, 4097);
    REFUSED_BY_ALL(struct_size, NEGATIVE);
    REFUSED_BY_ALL(flags, 2);
    REFUSED_BY_ALL(flags, UINT32_MAX);
    REFUSED_BY_ALL(reserved, 1);
    REFUSED_BY_ALL(capacity, (1u << 30) + 1);
    REFUSED_BY_ALL(capacity, UINT64_MAX);
    REFUSED_BY_ALL(inline_bytes, (1 << 20) + 1);
    REFUSED_BY_ALL(inline_bytes, UINT64_MAX);
#undef REFUSED_BY_ALL
    memset(&newer, 0, sizeof newer);
    newer.known.struct_size = sizeof newer;
    newer.unknown = 1;
    REFUSED(SHC_ERR_UNSUPPORTED, shc_queue_create(segment, "none", &newer.known, o));
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.capacity = 1 << 30;
    REFUSED(SHC_ERR_LIMIT_REACHED, shc_queue_create(segment, "none", &options, o));
    INVALID(shc_queue_create(segment, NULL, NULL, o));
    INVALID(shc_queue_create(segment, "none", NULL, NULL));
    INVALID(shc_queue_open(segment, NULL, o));
    INVALID(shc_queue_open(segment, "none", NULL));
    INVALID(shc_queue_open_or_create(segment, NULL, NULL, o));
    INVALID(shc_queue_open_or_create(segment, "none", NULL, NULL));
    REFUSED(SHC_ERR_NOT_FOUND, shc_queue_open(segment, "none", o));
}

static bool never_taken(void *unused, const void *data, size_t len) {
    (void)unused, (void)data, (void)len;
    CHECK(!"called");
    return false;
}

static void queues(void) {
    const shc_buffer one = {"x", 1}, none = {NULL, 1}, negative = {"x", NEGATIVE};
    const shc_buffer two[] = {{"x", 1}, {NULL, 1}};
    const shc_item no_item = {"x", 1, 0, 1, 0, {12345, 678}};
    const shc_slot no_slot = {o, 1, {12345, 678}};
    shc_queue *queue = NULL;
    size_t lens[2] = {7, 7}, size = 99;
    OK(shc_queue_create(segment, "queue", NULL, &queue));
    INVALID(shc_queue_put(queue, NULL, 1, 0));
    INVALID(shc_queue_put(queue, "x", NEGATIVE, 0));
    REFUSED(SHC_ERR_TOO_LARGE, shc_queue_put(queue, "x", ABSURD, 0));
    INVALID(shc_queue_put_many(queue, NULL, 1, 0, o));
    INVALID(shc_queue_put_many(queue, &one, 1, 0, NULL));
    INVALID(shc_queue_put_many(queue, &one, NEGATIVE, 0, o));
    INVALID(shc_queue_put_many(queue, &one, ABSURD, 0, o));
    INVALID(shc_queue_put_many(queue, &none, 1, 0, o));
    INVALID(shc_queue_put_many(queue, two, 2, 0, o));
    INVALID(shc_queue_put_many(queue, &negative, 1, 0, o));
    INVALID(shc_queue_join(queue, -2));
    INVALID(shc_queue_reserve(queue, NEGATIVE, 0, o));
    INVALID(shc_queue_reserve(queue, 1, 0, NULL));
    REFUSED(SHC_ERR_TOO_LARGE, shc_queue_reserve(queue, ABSURD, 0, o));
    EACH_BAD_TIMEOUT(t) {
        INVALID(shc_queue_put(queue, "x", 1, *t));
        INVALID(shc_queue_put_many(queue, &one, 1, *t, o));
        INVALID(shc_queue_put_many(queue, &one, 0, *t, o));
        INVALID(shc_queue_reserve(queue, 1, *t, o));
    }
    OK(shc_queue_qsize(queue, &size));
    CHECK(size == 0);

    OK(shc_queue_put(queue, "abc", 3, 0));
    INVALID(shc_queue_get(queue, NULL, 8, 0, o));
    INVALID(shc_queue_get(queue, o, 8, 0, NULL));
    INVALID(shc_queue_get(queue, o, NEGATIVE, 0, o));
    INVALID(shc_queue_get_many(queue, NULL, 8, lens, 2, 0, o));
    INVALID(shc_queue_get_many(queue, o, NEGATIVE, lens, 2, 0, o));
    INVALID(shc_queue_get_many(queue, o, 8, NULL, 2, 0, o));
    INVALID(shc_queue_get_many(queue, o, 8, lens, 2, 0, NULL));
    INVALID(shc_queue_get_with(queue, 1, 0, NULL, NULL, o));
    INVALID(shc_queue_get_with(queue, 1, 0, never_taken, NULL, NULL));
    INVALID(shc_queue_recv(queue, 0, NULL));
    INVALID(shc_queue_release(queue, NULL));
    INVALID(shc_queue_put_back(queue, NULL));
    INVALID(shc_queue_commit(queue, NULL, 0));
    INVALID(shc_queue_abort(queue, NULL));
    EACH_BAD_TIMEOUT(t) {
        INVALID(shc_queue_get(queue, o, 8, *t, o));
        INVALID(shc_queue_get_many(queue, o, 8, lens, 2, *t, o));
        INVALID(shc_queue_get_many(queue, o, 8, lens, 0, *t, o));
        INVALID(shc_queue_get_with(queue, 1, *t, never_taken, NULL, o));
        INVALID(shc_queue_recv(queue, *t, o));
    }
    REFUSED(SHC_ERR_NOT_HELD, shc_queue_release(queue, &no_item));
    REFUSED(SHC_ERR_NOT_HELD, shc_queue_put_back(queue, &no_item));
    REFUSED(SHC_ERR_NOT_HELD, shc_queue_commit(queue, &no_slot, 1));
    REFUSED(SHC_ERR_NOT_HELD, shc_queue_abort(queue, &no_slot));
    INVALID(shc_queue_qsize(queue, NULL));
    INVALID(shc_queue_empty(queue, NULL));
    INVALID(shc_queue_full(queue, NULL));
    INVALID(shc_queue_capacity(queue, NULL));
    INVALID(shc_queue_max_item(queue, NULL));
    INVALID(shc_queue_max_bytes(queue, NULL));
    INVALID(shc_queue_is_shutdown(queue, NULL));
    CHECK(lens[0] == 7 && lens[1] == 7);
    OK(shc_queue_get(queue, o, 3, 0, &size));
    CHECK(size == 3);
    OK(shc_queue_close(queue));
}

static void pipe_options(void) {
    shc_pipe_options options;
    struct {
        shc_pipe_options known;
        uint64_t unknown;
    } newer;
    const char *name = "none";
#define REFUSED_BY_ALL(field, value)                                                                         \
    memset(&options, 0, sizeof options);                                                                     \
    options.struct_size = sizeof options;                                                                    \
    options.field = (value);                                                                                 \
    INVALID(shc_pipe_create(segment, name, &options, o, o));                                                 \
    INVALID(shc_pipe_open_or_create(segment, name, SHC_END_A, &options, o))
    REFUSED_BY_ALL(struct_size, 0);
    REFUSED_BY_ALL(struct_size, sizeof(size_t) - 1);
    REFUSED_BY_ALL(struct_size, NEGATIVE);
    REFUSED_BY_ALL(flags, 2);
    REFUSED_BY_ALL(flags, UINT32_MAX);
    REFUSED_BY_ALL(reserved, 1);
    REFUSED_BY_ALL(capacity, UINT64_MAX);
    REFUSED_BY_ALL(inline_bytes, UINT64_MAX);
#undef REFUSED_BY_ALL
    memset(&newer, 0, sizeof newer);
    newer.known.struct_size = sizeof newer;
    newer.unknown = 1;
    REFUSED(SHC_ERR_UNSUPPORTED, shc_pipe_create(segment, name, &newer.known, o, o));
    INVALID(shc_pipe_create(segment, NULL, NULL, o, o));
    INVALID(shc_pipe_create(segment, name, NULL, NULL, o));
    INVALID(shc_pipe_create(segment, name, NULL, o, NULL));
    INVALID(shc_pipe_open(segment, NULL, SHC_END_A, o));
    INVALID(shc_pipe_open(segment, name, 2, o));
    INVALID(shc_pipe_open(segment, name, UINT32_MAX, o));
    INVALID(shc_pipe_open(segment, name, SHC_END_A, NULL));
    INVALID(shc_pipe_open_or_create(segment, NULL, SHC_END_A, NULL, o));
    INVALID(shc_pipe_open_or_create(segment, name, 2, NULL, o));
    INVALID(shc_pipe_open_or_create(segment, name, SHC_END_A, NULL, NULL));
    REFUSED(SHC_ERR_NOT_FOUND, shc_pipe_open(segment, name, SHC_END_A, o));
}

static void pipes(void) {
    const shc_item no_item = {"x", 1, 0, 1, 0, {12345, 678}};
    const shc_slot no_slot = {o, 1, {12345, 678}};
    shc_pipe *a = NULL, *b = NULL;
    size_t size = 99;
    OK(shc_pipe_create(segment, "pipe", NULL, &a, &b));
    INVALID(shc_pipe_send(a, NULL, 1, 0));
    INVALID(shc_pipe_send(a, "x", NEGATIVE, 0));
    INVALID(shc_pipe_reserve(a, NEGATIVE, 0, o));
    REFUSED(SHC_ERR_TOO_LARGE, shc_pipe_reserve(a, ABSURD, 0, o));
    INVALID(shc_pipe_reserve(a, 1, 0, NULL));
    REFUSED(SHC_WOULD_BLOCK, shc_pipe_recv(b, o, 8, 0, o));
    OK(shc_pipe_send(a, "abc", 3, 0));
    INVALID(shc_pipe_recv(b, NULL, 8, 0, o));
    INVALID(shc_pipe_recv(b, o, NEGATIVE, 0, o));
    INVALID(shc_pipe_recv(b, o, 8, 0, NULL));
    INVALID(shc_pipe_recv_with(b, 0, NULL, NULL, o));
    INVALID(shc_pipe_recv_with(b, 0, never_taken, NULL, NULL));
    INVALID(shc_pipe_recv_in_place(b, 0, NULL));
    INVALID(shc_pipe_release(b, NULL));
    INVALID(shc_pipe_commit(b, NULL, 0));
    INVALID(shc_pipe_abort(b, NULL));
    INVALID(shc_pipe_poll(b, 0, NULL));
    EACH_BAD_TIMEOUT(t) {
        INVALID(shc_pipe_send(a, "x", 1, *t));
        INVALID(shc_pipe_reserve(a, 1, *t, o));
        INVALID(shc_pipe_recv(b, o, 8, *t, o));
        INVALID(shc_pipe_recv_with(b, *t, never_taken, NULL, o));
        INVALID(shc_pipe_recv_in_place(b, *t, o));
        INVALID(shc_pipe_poll(b, *t, o));
    }
    REFUSED(SHC_ERR_NOT_HELD, shc_pipe_release(b, &no_item));
    REFUSED(SHC_ERR_NOT_HELD, shc_pipe_commit(b, &no_slot, 1));
    REFUSED(SHC_ERR_NOT_HELD, shc_pipe_abort(b, &no_slot));
    INVALID(shc_pipe_can_send(a, NULL));
    INVALID(shc_pipe_can_recv(a, NULL));
    INVALID(shc_pipe_is_duplex(a, NULL));
    OK(shc_pipe_recv(b, o, 3, 0, &size));
    CHECK(size == 3);
    REFUSED(SHC_WOULD_BLOCK, shc_pipe_recv(b, o, 8, 0, o));
    OK(shc_pipe_close(a));
    OK(shc_pipe_close(b));
}

/* The sentence names what was wrong, and a buffer that is too small gets as much of it as it holds. */
static void last_error(void) {
    char whole[512], cut[8];
    STATUS(SHC_ERR_INVALID_NAME, shc_segment_open("a/b", NULL, o));
    OK(shc_last_error(whole, sizeof whole));
    CHECK(strstr(whole, "a/b") != NULL);
    memset(cut, 'z', sizeof cut);
    OK(shc_last_error(cut, 5));
    CHECK(strncmp(cut, whole, 4) == 0 && cut[4] == 0 && cut[5] == 'z');
    OK(shc_last_error(cut, 1));
    CHECK(cut[0] == 0);
    REFUSED(SHC_ERR_BUFFER_TOO_SMALL, shc_last_error(o, 0));
    INVALID(shc_last_error(NULL, 8));
    INVALID(shc_last_error(o, NEGATIVE));
}

static void nothing_was_left(void) {
    size_t count = 99;
    const char *made[] = {"value", "array",  "lock",      "semaphore", "queue",  "pipe",
                          "rlock", "rwlock", "condition", "event",     "barrier"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++) OK(shc_segment_remove(segment, made[i]));
    OK(shc_segment_objects(segment, NULL, 0, &count));
    CHECK(count == 0);
}

int main(void) {
    segment = test_segment("misuse");
    segments();
    segment_options();
    names();
    types();
    values();
    arrays();
    locks_and_semaphores();
    sync_objects();
    handed_segments();
    queue_options();
    queues();
    pipe_options();
    pipes();
    last_error();
    nothing_was_left();
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
