/* Every function refuses a handle that is NULL, of another type, closed, or no handle at all, and writes
 * nothing. tests/c_complete.rs finds those that are missing here. */

#include "check.h"

static union {
    unsigned char bytes[4096];
    uint64_t word;
    void *pointer;
} out;

/* The call fails with SHC_ERR_INVALID_HANDLE and leaves what it could have written as it was. */
#define REFUSED(call)                                                                                        \
    do {                                                                                                     \
        memset(&out, 0xa5, sizeof out);                                                                      \
        STATUS(SHC_ERR_INVALID_HANDLE, call);                                                                \
        for (size_t i = 0; i < sizeof out; i++) CHECK(out.bytes[i] == 0xa5);                                 \
    } while (0)

static bool never_called(void *unused) {
    (void)unused;
    CHECK(!"called");
    return false;
}

static void refuse_segment(void *handle) {
    const shc_type type = {'i', 0, 0, NULL};
    void *o = &out;
    REFUSED(shc_segment_name(handle, o, 64));
    REFUSED(shc_segment_limit(handle, o));
    REFUSED(shc_segment_size(handle, o));
    REFUSED(shc_segment_is_unlinked(handle, o));
    REFUSED(shc_segment_is_anonymous(handle, o));
    REFUSED(shc_segment_is_ephemeral(handle, o));
    REFUSED(shc_segment_remove(handle, "x"));
    REFUSED(shc_segment_recover(handle, o));
    REFUSED(shc_segment_objects(handle, o, 1, o));
    REFUSED(shc_segment_participants(handle, o, 1, o));
    REFUSED(shc_segment_to_fd(handle, o));
    REFUSED(shc_segment_send_over(handle, -1));
    REFUSED(shc_value_create(handle, "x", &type, NULL, o));
    REFUSED(shc_value_open(handle, "x", &type, o));
    REFUSED(shc_value_open_or_create(handle, "x", &type, NULL, o));
    REFUSED(shc_array_create(handle, "x", &type, 1, o));
    REFUSED(shc_array_open(handle, "x", &type, o));
    REFUSED(shc_array_open_or_create(handle, "x", &type, 1, o));
    REFUSED(shc_lock_create(handle, "x", o));
    REFUSED(shc_lock_open(handle, "x", o));
    REFUSED(shc_lock_open_or_create(handle, "x", o));
    REFUSED(shc_rlock_create(handle, "x", o));
    REFUSED(shc_rlock_open(handle, "x", o));
    REFUSED(shc_rlock_open_or_create(handle, "x", o));
    REFUSED(shc_rwlock_create(handle, "x", o));
    REFUSED(shc_rwlock_open(handle, "x", o));
    REFUSED(shc_rwlock_open_or_create(handle, "x", o));
    REFUSED(shc_condition_create(handle, "x", o));
    REFUSED(shc_condition_open(handle, "x", o));
    REFUSED(shc_condition_open_or_create(handle, "x", o));
    REFUSED(shc_event_create(handle, "x", o));
    REFUSED(shc_event_open(handle, "x", o));
    REFUSED(shc_event_open_or_create(handle, "x", o));
    REFUSED(shc_barrier_create(handle, "x", 1, o));
    REFUSED(shc_barrier_open(handle, "x", o));
    REFUSED(shc_barrier_open_or_create(handle, "x", 1, o));
    REFUSED(shc_semaphore_create(handle, "x", 1, o));
    REFUSED(shc_semaphore_open(handle, "x", o));
    REFUSED(shc_semaphore_open_or_create(handle, "x", 1, o));
    REFUSED(shc_semaphore_create_with(handle, "x", 1, 0, o));
    REFUSED(shc_semaphore_open_or_create_with(handle, "x", 1, 0, o));
    REFUSED(shc_queue_create(handle, "x", NULL, o));
    REFUSED(shc_queue_open(handle, "x", o));
    REFUSED(shc_queue_open_or_create(handle, "x", NULL, o));
    REFUSED(shc_pipe_create(handle, "x", NULL, o, o));
    REFUSED(shc_pipe_open(handle, "x", SHC_END_A, o));
    REFUSED(shc_pipe_open_or_create(handle, "x", SHC_END_A, NULL, o));
}

static void refuse_value(void *handle) {
    const int32_t one = 1;
    void *o = &out;
    REFUSED(shc_value_size(handle, o));
    REFUSED(shc_value_get(handle, o, 4));
    REFUSED(shc_value_set(handle, &one, 4));
    REFUSED(shc_value_exchange(handle, &one, 4, o));
    REFUSED(shc_value_compare_exchange(handle, &one, &one, 4, o, o));
    REFUSED(shc_value_add_int(handle, 1, o));
    REFUSED(shc_value_add_float(handle, 1, o));
    REFUSED(shc_value_address(handle, o));
    REFUSED(shc_value_lock(handle, -1));
    REFUSED(shc_value_unlock(handle));
}

static void refuse_array(void *handle) {
    const int32_t one = 1;
    void *o = &out;
    REFUSED(shc_array_len(handle, o));
    REFUSED(shc_array_element_size(handle, o));
    REFUSED(shc_array_read(handle, 0, o, 4));
    REFUSED(shc_array_write(handle, 0, &one, 4));
    REFUSED(shc_array_fill(handle, 0, 1, &one, 4));
    REFUSED(shc_array_address(handle, o));
    REFUSED(shc_array_get_text(handle, o, 4, o));
    REFUSED(shc_array_set_text(handle, &one, 4));
    REFUSED(shc_array_lock(handle, -1));
    REFUSED(shc_array_unlock(handle));
}

static void refuse_lock(void *handle) {
    REFUSED(shc_lock_acquire(handle, -1));
    REFUSED(shc_lock_acquire_or_repair(handle, -1, never_called, NULL));
    REFUSED(shc_lock_is_poisoned(handle, (void *)&out));
    REFUSED(shc_lock_release(handle));
    REFUSED(shc_lock_holder(handle, (void *)&out));
    REFUSED(shc_lock_poison(handle));
    REFUSED(shc_lock_clear_poison(handle, (void *)&out));
}

static void refuse_rlock(void *handle) {
    REFUSED(shc_rlock_acquire(handle, -1));
    REFUSED(shc_rlock_release(handle));
    REFUSED(shc_rlock_holder(handle, (void *)&out));
}

static void refuse_rwlock(void *handle) {
    REFUSED(shc_rwlock_acquire_read(handle, -1));
    REFUSED(shc_rwlock_acquire_write(handle, -1));
    REFUSED(shc_rwlock_release_read(handle));
    REFUSED(shc_rwlock_release_write(handle));
}

static void refuse_condition(void *handle) {
    REFUSED(shc_condition_acquire(handle, -1));
    REFUSED(shc_condition_release(handle));
    REFUSED(shc_condition_wait(handle, -1));
    REFUSED(shc_condition_wait_for(handle, -1, never_called, NULL, (void *)&out));
    REFUSED(shc_condition_notify(handle, 1));
    REFUSED(shc_condition_waiters(handle, (void *)&out));
}

static void refuse_event(void *handle) {
    REFUSED(shc_event_set(handle));
    REFUSED(shc_event_clear(handle));
    REFUSED(shc_event_is_set(handle, (void *)&out));
    REFUSED(shc_event_wait(handle, -1));
}

static void refuse_barrier(void *handle) {
    void *o = &out;
    REFUSED(shc_barrier_wait(handle, -1, o));
    REFUSED(shc_barrier_wait_with(handle, -1, never_called, NULL, o));
    REFUSED(shc_barrier_abort(handle));
    REFUSED(shc_barrier_reset(handle));
    REFUSED(shc_barrier_parties(handle, o));
    REFUSED(shc_barrier_n_waiting(handle, o));
    REFUSED(shc_barrier_is_broken(handle, o));
}

static void refuse_bell(void *handle) {
    shc_interest interest = {SHC_FD_READABLE, 0, NULL};
    REFUSED(shc_bell_fd(handle, (void *)&out));
    REFUSED(shc_bell_arm(handle, &interest, 1));
    REFUSED(shc_bell_clear(handle));
}

/* As what somebody waits for. */
static void refuse_interest(uint32_t what, const void *handle, const shc_bell *bell) {
    const shc_interest interest = {what, -1, handle};
    REFUSED(shc_wait_any(&interest, 1, -1, (void *)&out));
    REFUSED(shc_bell_arm(bell, &interest, 1));
}

static void refuse_semaphore(void *handle) {
    REFUSED(shc_semaphore_acquire(handle, -1));
    REFUSED(shc_semaphore_release(handle, 1));
    REFUSED(shc_semaphore_value(handle, (void *)&out));
}

static bool never_taken(void *unused, const void *data, size_t len) {
    (void)unused, (void)data, (void)len;
    CHECK(!"called");
    return false;
}

static void refuse_queue(void *handle) {
    const shc_buffer item = {"x", 1};
    const shc_item taken = {"x", 1, 0, 1, 0, {0, 0}};
    const shc_slot slot = {NULL, 0, {0, 0}};
    size_t lens[1] = {7};
    void *o = &out;
    REFUSED(shc_queue_put(handle, "x", 1, -1));
    REFUSED(shc_queue_put_many(handle, &item, 1, -1, o));
    REFUSED(shc_queue_get(handle, o, 8, -1, o));
    REFUSED(shc_queue_get_many(handle, o, 8, lens, 1, -1, o));
    REFUSED(shc_queue_get_with(handle, 1, -1, never_taken, NULL, o));
    REFUSED(shc_queue_recv(handle, -1, o));
    REFUSED(shc_queue_release(handle, &taken));
    REFUSED(shc_queue_put_back(handle, &taken));
    REFUSED(shc_queue_reserve(handle, 8, -1, o));
    REFUSED(shc_queue_commit(handle, &slot, 0));
    REFUSED(shc_queue_abort(handle, &slot));
    REFUSED(shc_queue_qsize(handle, o));
    REFUSED(shc_queue_empty(handle, o));
    REFUSED(shc_queue_full(handle, o));
    REFUSED(shc_queue_capacity(handle, o));
    REFUSED(shc_queue_max_item(handle, o));
    REFUSED(shc_queue_max_bytes(handle, o));
    REFUSED(shc_queue_shutdown(handle));
    REFUSED(shc_queue_task_done(handle));
    REFUSED(shc_queue_join(handle, -1));
    REFUSED(shc_queue_is_shutdown(handle, o));
    CHECK(lens[0] == 7);
}

static void refuse_pipe(void *handle) {
    const shc_item taken = {"x", 1, 0, 1, 0, {0, 0}};
    const shc_slot slot = {NULL, 0, {0, 0}};
    void *o = &out;
    REFUSED(shc_pipe_send(handle, "x", 1, -1));
    REFUSED(shc_pipe_recv(handle, o, 8, -1, o));
    REFUSED(shc_pipe_recv_with(handle, -1, never_taken, NULL, o));
    REFUSED(shc_pipe_recv_in_place(handle, -1, o));
    REFUSED(shc_pipe_release(handle, &taken));
    REFUSED(shc_pipe_put_back(handle, &taken));
    REFUSED(shc_pipe_reserve(handle, 8, -1, o));
    REFUSED(shc_pipe_commit(handle, &slot, 0));
    REFUSED(shc_pipe_abort(handle, &slot));
    REFUSED(shc_pipe_poll(handle, -1, o));
    REFUSED(shc_pipe_can_send(handle, o));
    REFUSED(shc_pipe_can_recv(handle, o));
    REFUSED(shc_pipe_is_duplex(handle, o));
}

static shc_status close_segment(void *handle) { return shc_segment_close(handle); }
static shc_status close_value(void *handle) { return shc_value_close(handle); }
static shc_status close_array(void *handle) { return shc_array_close(handle); }
static shc_status close_lock(void *handle) { return shc_lock_close(handle); }
static shc_status close_semaphore(void *handle) { return shc_semaphore_close(handle); }
static shc_status close_queue(void *handle) { return shc_queue_close(handle); }
static shc_status close_pipe(void *handle) { return shc_pipe_close(handle); }
static shc_status close_rlock(void *handle) { return shc_rlock_close(handle); }
static shc_status close_rwlock(void *handle) { return shc_rwlock_close(handle); }
static shc_status close_condition(void *handle) { return shc_condition_close(handle); }
static shc_status close_event(void *handle) { return shc_event_close(handle); }
static shc_status close_barrier(void *handle) { return shc_barrier_close(handle); }
static shc_status close_bell(void *handle) { return shc_bell_close(handle); }

static const struct {
    void (*refuse)(void *);
    shc_status (*close)(void *);
} types[] = {
    {refuse_segment, close_segment},     {refuse_value, close_value},         {refuse_array, close_array},
    {refuse_lock, close_lock},           {refuse_semaphore, close_semaphore}, {refuse_queue, close_queue},
    {refuse_pipe, close_pipe},           {refuse_rlock, close_rlock},         {refuse_rwlock, close_rwlock},
    {refuse_condition, close_condition}, {refuse_event, close_event},         {refuse_barrier, close_barrier},
    {refuse_bell, close_bell},
};
#define TYPES (sizeof types / sizeof types[0])

/* What each interest is in, as an index into types; SHC_QUEUE_READABLE is the first. */
static const size_t subjects[] = {5, 5, 6, 6, 10, 4, 3};
#define SUBJECTS (sizeof subjects / sizeof subjects[0])

int main(void) {
    static uint64_t zeroes[64];
    const shc_type type = {'i', 0, 0, NULL};
    shc_segment *segment = test_segment("handles"), *second = NULL;
    shc_value *value = NULL;
    shc_array *array = NULL;
    shc_lock *lock = NULL;
    shc_semaphore *semaphore = NULL;
    shc_queue *queue = NULL;
    shc_pipe *a = NULL, *b = NULL;
    shc_rlock *rlock = NULL;
    shc_rwlock *rwlock = NULL;
    shc_condition *condition = NULL;
    shc_event *event = NULL;
    shc_barrier *barrier = NULL;
    shc_bell *bell = NULL, *spare = NULL;
    OK(shc_segment_open(unique_name("handles"), NULL, &second));
    OK(shc_value_create(segment, "v", &type, NULL, &value));
    OK(shc_array_create(segment, "a", &type, 4, &array));
    OK(shc_lock_create(segment, "l", &lock));
    OK(shc_semaphore_create(segment, "s", 1, &semaphore));
    OK(shc_queue_create(segment, "q", NULL, &queue));
    OK(shc_pipe_create(segment, "p", NULL, &a, &b));
    OK(shc_rlock_create(segment, "r", &rlock));
    OK(shc_rwlock_create(segment, "w", &rwlock));
    OK(shc_condition_create(segment, "c", &condition));
    OK(shc_event_create(segment, "e", &event));
    OK(shc_barrier_create(segment, "b", 1, &barrier));
    OK(shc_bell_create(&bell));
    OK(shc_bell_create(&spare));

    void *const handles[TYPES] = {second, value,  array,     lock,  semaphore, queue, b,
                                  rlock,  rwlock, condition, event, barrier,   bell};
    for (size_t i = 0; i < TYPES; i++) {
        types[i].refuse(NULL);
        OK(types[i].close(NULL));
        for (size_t j = 0; j < TYPES; j++) {
            if (j == i) continue;
            types[i].refuse(handles[j]);
            STATUS(SHC_ERR_INVALID_HANDLE, types[i].close(handles[j]));
        }
        types[i].refuse(zeroes);
        types[i].refuse((char *)handles[i] + 1);
        STATUS(SHC_ERR_INVALID_HANDLE, types[i].close((char *)handles[i] + 1));
    }
    for (size_t i = 0; i < SUBJECTS; i++) {
        const uint32_t what = SHC_QUEUE_READABLE + (uint32_t)i;
        refuse_interest(what, NULL, spare);
        refuse_interest(what, zeroes, spare);
        for (size_t j = 0; j < TYPES; j++)
            if (j != subjects[i]) refuse_interest(what, handles[j], spare);
    }
    /* What was refused has done nothing to them; closed, they are refused as well. */
    for (size_t i = TYPES; i-- > 0;) {
        OK(types[i].close(handles[i]));
        STATUS(SHC_ERR_INVALID_HANDLE, types[i].close(handles[i]));
        types[i].refuse(handles[i]);
    }
    for (size_t i = 0; i < SUBJECTS; i++)
        refuse_interest(SHC_QUEUE_READABLE + (uint32_t)i, handles[subjects[i]], spare);
    OK(shc_bell_close(spare));
    OK(shc_pipe_close(a));
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
