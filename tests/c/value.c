/* Values of every typecode and of plain data: whole, atomic, added to, swapped, locked. */

#include "check.h"

#include <pthread.h>

typedef struct {
    double x, y;
    int64_t when;
} point;

static shc_type point_type(void) {
    shc_type type;
    memset(&type, 0, sizeof type);
    type.size = sizeof(point);
    type.align = 8;
    type.name = "Point";
    return type;
}

static const struct {
    char code;
    size_t size;
} codes[] = {
    {'c', 1}, {'b', 1}, {'B', 1}, {'h', 2}, {'H', 2}, {'i', 4}, {'I', 4},
    {'l', 8}, {'L', 8}, {'q', 8}, {'Q', 8}, {'f', 4}, {'d', 8}, {'?', 1},
};

static void every_typecode(shc_segment *segment) {
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        const unsigned char one[8] = {1, 2, 3, 4, 5, 6, 7, 8}, two[8] = {8, 7, 6, 5, 4, 3, 2, 1};
        unsigned char seen[8] = {0};
        char name[] = {'v', codes[i].code, 0};
        shc_type type = code(codes[i].code), other = code(codes[i].code == 'd' ? 'f' : 'd');
        shc_value *value = NULL, *again = NULL, *none = NULL;
        size_t size = 0;
        bool changed = false;
        void *address = NULL;
        OK(shc_value_create(segment, name, &type, one, &value));
        OK(shc_value_size(value, &size));
        CHECK(size == codes[i].size);
        OK(shc_value_open(segment, name, &type, &again));
        OK(shc_value_get(again, seen, size));
        CHECK(memcmp(seen, one, size) == 0 && seen[7] == (size == 8 ? 8 : 0));
        OK(shc_value_set(value, two, size));
        OK(shc_value_exchange(again, one, size, seen));
        CHECK(memcmp(seen, two, size) == 0);
        OK(shc_value_compare_exchange(value, two, one, size, seen, &changed));
        CHECK(!changed && memcmp(seen, one, size) == 0);
        OK(shc_value_compare_exchange(value, one, two, size, seen, &changed));
        CHECK(changed && memcmp(seen, one, size) == 0);
        OK(shc_value_address(again, &address));
        CHECK(memcmp(address, two, size) == 0);
        STATUS(SHC_ERR_WRONG_SIZE, shc_value_get(value, seen, size + 1));
        STATUS(SHC_ERR_WRONG_SIZE, shc_value_set(value, two, size - 1));
        STATUS(SHC_ERR_WRONG_TYPE, shc_value_open(segment, name, &other, &none));
        STATUS(SHC_ERR_WRONG_TYPE, shc_value_open_or_create(segment, name, &other, NULL, &none));
        OK(shc_value_close(again));
        OK(shc_value_close(value));
        OK(shc_value_close(NULL));
    }
}

static shc_value *make(shc_segment *segment, const char *name, char typecode) {
    shc_type type = code(typecode);
    shc_value *value = NULL;
    OK(shc_value_create(segment, name, &type, NULL, &value));
    return value;
}

/* Adds `first`, then `second`, and checks what was there in between and at the end. */
static void adds(shc_value *value, int64_t first, int64_t between, int64_t second, int64_t end) {
    int64_t old = -7;
    OK(shc_value_add_int(value, first, &old));
    CHECK(old == 0);
    OK(shc_value_add_int(value, second, &old));
    CHECK(old == between);
    OK(shc_value_add_int(value, 0, &old));
    CHECK(old == end);
    OK(shc_value_add_int(value, 1, NULL));
    OK(shc_value_close(value));
}

static void refuses(shc_value *value, int64_t amount) {
    int64_t old = -7;
    STATUS(SHC_ERR_VALUE_RANGE, shc_value_add_int(value, amount, &old));
    CHECK(old == -7);
    OK(shc_value_add_int(value, 0, &old));
    CHECK(old == 0);
    OK(shc_value_close(value));
}

static void additions(shc_segment *segment) {
    double old = 0;
    int64_t whole = -7;
    shc_value *value;
    adds(make(segment, "b", 'b'), 127, 127, 1, -128);
    adds(make(segment, "B", 'B'), -1, 255, 2, 1);
    adds(make(segment, "h", 'h'), -32768, -32768, -1, 32767);
    adds(make(segment, "H", 'H'), -1, 65535, 1, 0);
    adds(make(segment, "i", 'i'), INT32_MAX, INT32_MAX, 1, INT32_MIN);
    adds(make(segment, "I", 'I'), -1, UINT32_MAX, 3, 2);
    adds(make(segment, "l", 'l'), INT64_MAX, INT64_MAX, 1, INT64_MIN);
    adds(make(segment, "L", 'L'), -1, -1, 2, 1);
    adds(make(segment, "q", 'q'), INT64_MIN, INT64_MIN, -1, INT64_MAX);
    adds(make(segment, "Q", 'Q'), INT64_MAX, INT64_MAX, 1, INT64_MIN);
    refuses(make(segment, "b2", 'b'), 128);
    refuses(make(segment, "B2", 'B'), 1000);
    refuses(make(segment, "h2", 'h'), -32769);
    refuses(make(segment, "H2", 'H'), 100000);
    refuses(make(segment, "i2", 'i'), (int64_t)INT32_MAX + 1);
    refuses(make(segment, "I2", 'I'), INT64_MIN);

    value = make(segment, "d", 'd');
    OK(shc_value_add_float(value, 1.5, NULL));
    OK(shc_value_add_float(value, -0.25, &old));
    CHECK(old == 1.5);
    STATUS(SHC_ERR_WRONG_TYPE, shc_value_add_int(value, 1, &whole));
    CHECK(whole == -7);
    OK(shc_value_get(value, &old, sizeof old));
    CHECK(old == 1.25);
    OK(shc_value_close(value));
    value = make(segment, "f", 'f');
    OK(shc_value_add_float(value, 0.5, NULL));
    OK(shc_value_add_float(value, 1, &old));
    CHECK(old == 0.5);
    OK(shc_value_close(value));
    value = make(segment, "?", '?');
    STATUS(SHC_ERR_WRONG_TYPE, shc_value_add_int(value, 1, NULL));
    STATUS(SHC_ERR_WRONG_TYPE, shc_value_add_float(value, 1, NULL));
    OK(shc_value_close(value));
    value = make(segment, "c", 'c');
    STATUS(SHC_ERR_WRONG_TYPE, shc_value_add_int(value, 1, NULL));
    OK(shc_value_close(value));
}

static void plain_data(shc_segment *segment) {
    shc_type type = point_type(), other = point_type();
    const point here = {1, 2, 3}, there = {4, 5, 6};
    point seen = {0, 0, 0};
    shc_value *value = NULL, *again = NULL, *none = NULL;
    void *address = NULL;
    bool changed = false;
    OK(shc_value_create(segment, "point", &type, &here, &value));
    OK(shc_value_open_or_create(segment, "point", &type, &there, &again));
    OK(shc_value_get(again, &seen, sizeof seen));
    CHECK(memcmp(&seen, &here, sizeof here) == 0);
    OK(shc_value_exchange(again, &there, sizeof there, &seen));
    CHECK(memcmp(&seen, &here, sizeof here) == 0);
    OK(shc_value_compare_exchange(value, &here, &here, sizeof here, &seen, &changed));
    CHECK(!changed && memcmp(&seen, &there, sizeof there) == 0);
    OK(shc_value_compare_exchange(value, &there, &here, sizeof here, &seen, &changed));
    CHECK(changed && memcmp(&seen, &there, sizeof there) == 0);
    STATUS(SHC_ERR_UNSUPPORTED, shc_value_address(value, &address));
    STATUS(SHC_ERR_WRONG_TYPE, shc_value_add_int(value, 1, NULL));
    CHECK(address == NULL);
    other.name = "Pixel";
    STATUS(SHC_ERR_WRONG_TYPE, shc_value_open(segment, "point", &other, &none));
    other = point_type();
    other.size = 16;
    STATUS(SHC_ERR_WRONG_TYPE, shc_value_open(segment, "point", &other, &none));
    CHECK(none == NULL);
    OK(shc_value_close(again));
    OK(shc_value_close(value));
}

#define ROUNDS 20000

static void *write_points(void *value) {
    for (int i = 1; i <= ROUNDS; i++) {
        const point p = {i, i, i};
        OK(shc_value_set((const shc_value *)value, &p, sizeof p));
    }
    return NULL;
}

static void add_ones(void *value) {
    for (int i = 0; i < ROUNDS; i++) OK(shc_value_add_int((const shc_value *)value, 1, NULL));
}

static void is_whole(shc_segment *segment) {
    shc_type type = point_type();
    shc_value *value = NULL, *sum = make(segment, "sum", 'q');
    pthread_t writers[2];
    pid_t adders[2];
    int64_t total = 0;
    OK(shc_value_create(segment, "whole", &type, NULL, &value));
    for (int i = 0; i < 2; i++) adders[i] = start(add_ones, sum);
    for (int i = 0; i < 2; i++) CHECK(pthread_create(&writers[i], NULL, write_points, value) == 0);
    for (int i = 0; i < ROUNDS; i++) {
        point p;
        OK(shc_value_get(value, &p, sizeof p));
        CHECK(p.x == p.y && p.x == (double)p.when);
    }
    for (int i = 0; i < 2; i++) CHECK(pthread_join(writers[i], NULL) == 0);
    for (int i = 0; i < 2; i++) finish(adders[i]);
    OK(shc_value_get(sum, &total, sizeof total));
    CHECK(total == 2 * ROUNDS);
    OK(shc_value_close(sum));
    OK(shc_value_close(value));
}

static signpost writing;

static void write_for_ever(void *value) {
    for (int64_t i = 1;; i++) {
        const point p = {(double)i, (double)i, i};
        OK(shc_value_set((const shc_value *)value, &p, sizeof p));
        if (i == 1000) reached(writing);
    }
}

/* Whole, and writable, when its writer is killed at any time. */
static void survives_its_writer(shc_segment *segment) {
    shc_type type = point_type();
    shc_value *value = NULL;
    writing = new_signpost();
    OK(shc_value_create(segment, "killed", &type, NULL, &value));
    for (int i = 1; i <= 20; i++) {
        const point mine = {-i, -i, -i};
        point p;
        pid_t child = start(write_for_ever, value);
        await(writing);
        slay(child);
        OK(shc_value_get(value, &p, sizeof p));
        CHECK(p.x == p.y && p.x == (double)p.when && p.x >= 1000);
        OK(shc_value_set(value, &mine, sizeof mine));
        OK(shc_value_get(value, &p, sizeof p));
        CHECK(p.x == -i);
    }
    OK(shc_value_close(value));
}

static void lock_and_stay(void *value) {
    OK(shc_value_lock((const shc_value *)value, -1));
    reached(writing);
    stay();
}

static void locked(shc_segment *segment) {
    shc_value *value = make(segment, "locked", 'i');
    pid_t child;
    STATUS(SHC_ERR_NOT_HELD, shc_value_unlock(value));
    OK(shc_value_lock(value, -1));
    STATUS(SHC_WOULD_BLOCK, shc_value_lock(value, 0));
    STATUS(SHC_TIMED_OUT, shc_value_lock(value, SHORT_NS));
    OK(shc_value_unlock(value));
    writing = new_signpost();
    child = start(lock_and_stay, value);
    await(writing);
    STATUS(SHC_WOULD_BLOCK, shc_value_lock(value, 0));
    STATUS(SHC_ERR_NOT_OWNER, shc_value_unlock(value));
    slay(child);
    STATUS(SHC_OWNER_DIED, shc_value_lock(value, LONG_NS));
    OK(shc_value_unlock(value));
    OK(shc_value_lock(value, 0));
    OK(shc_value_unlock(value));
    OK(shc_value_close(value));
}

int main(void) {
    shc_segment *segment = test_segment("value");
    every_typecode(segment);
    additions(segment);
    plain_data(segment);
    is_whole(segment);
    survives_its_writer(segment);
    locked(segment);
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
