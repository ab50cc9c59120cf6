/* The same fast paths through the C ABI, by the header that C programs use. */
#include <stdlib.h>

#include "sharecell.h"

struct object {
    shc_lock *lock;
    shc_queue *queue;
    shc_pipe *a, *b;
    shc_value *value;
};

void *c_setup(int what);
void c_lock_pairs(const struct object *o, int times);
void c_queue_pairs(const struct object *o, int times);
void c_pipe_pairs(const struct object *o, int times);
void c_value_gets(const struct object *o, int times);
void c_value_sets(const struct object *o, int times);
void c_value_adds(const struct object *o, int times);

static void check(shc_status status) {
    if (status != SHC_OK) abort();
}

/* One object of its kind in a segment of its own, used once to warm up. */
void *c_setup(int what) {
    struct object *o = calloc(1, sizeof *o);
    shc_queue_options room = {sizeof room, 64, 0, 0, 0, 0, 0};
    shc_type number = {'q', 0, 0, NULL};
    shc_segment *segment;

    check(shc_segment_create_anonymous(NULL, &segment));
    switch (what) {
    case 'l':
        check(shc_lock_create(segment, "x", &o->lock));
        c_lock_pairs(o, 1);
        break;
    case 'q':
        check(shc_queue_create(segment, "x", &room, &o->queue));
        c_queue_pairs(o, 1);
        break;
    case 'p':
        check(shc_pipe_create(segment, "x", NULL, &o->a, &o->b));
        c_pipe_pairs(o, 1);
        break;
    default:
        check(shc_value_create(segment, "x", &number, NULL, &o->value));
    }
    return o;
}

void c_lock_pairs(const struct object *o, int times) {
    for (int i = 0; i < times; i++) {
        check(shc_lock_acquire(o->lock, -1));
        check(shc_lock_release(o->lock));
    }
}

void c_queue_pairs(const struct object *o, int times) {
    int64_t item = 1;
    size_t len;

    for (int i = 0; i < times; i++) {
        check(shc_queue_put(o->queue, &item, sizeof item, -1));
        check(shc_queue_get(o->queue, &item, sizeof item, -1, &len));
    }
}

void c_pipe_pairs(const struct object *o, int times) {
    int64_t item = 1;
    size_t len;

    for (int i = 0; i < times; i++) {
        check(shc_pipe_send(o->a, &item, sizeof item, -1));
        check(shc_pipe_recv(o->b, &item, sizeof item, -1, &len));
    }
}

void c_value_gets(const struct object *o, int times) {
    int64_t number;

    for (int i = 0; i < times; i++) check(shc_value_get(o->value, &number, sizeof number));
}

void c_value_sets(const struct object *o, int times) {
    int64_t number = 1;

    for (int i = 0; i < times; i++) check(shc_value_set(o->value, &number, sizeof number));
}

void c_value_adds(const struct object *o, int times) {
    for (int i = 0; i < times; i++) check(shc_value_add_int(o->value, 1, NULL));
}
