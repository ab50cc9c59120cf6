/* Arrays: by index and by slice, filled, as text, in place, locked, shared with a child. */

#include "check.h"

static void elements(shc_segment *segment) {
    shc_type type = code('h'), other = code('H');
    shc_array *array = NULL, *again = NULL, *none = NULL;
    const int16_t three[] = {1, -2, 3}, nine = 9;
    int16_t seen[10];
    size_t number = 0;
    OK(shc_array_create(segment, "h", &type, 10, &array));
    OK(shc_array_len(array, &number));
    CHECK(number == 10);
    OK(shc_array_element_size(array, &number));
    CHECK(number == 2);
    OK(shc_array_read(array, 0, seen, sizeof seen));
    for (int i = 0; i < 10; i++) CHECK(seen[i] == 0);

    OK(shc_array_open(segment, "h", &type, &again));
    OK(shc_array_write(array, 4, three, sizeof three));
    OK(shc_array_read(again, 3, seen, 5 * sizeof *seen));
    CHECK(seen[0] == 0 && seen[1] == 1 && seen[2] == -2 && seen[3] == 3 && seen[4] == 0);
    OK(shc_array_fill(again, 8, 2, &nine, sizeof nine));
    OK(shc_array_read(array, 7, seen, 3 * sizeof *seen));
    CHECK(seen[0] == 0 && seen[1] == 9 && seen[2] == 9);
    OK(shc_array_read(array, 10, NULL, 0));
    OK(shc_array_write(array, 10, NULL, 0));
    OK(shc_array_fill(array, 10, 0, &nine, sizeof nine));
    OK(shc_array_close(again));

    OK(shc_array_open_or_create(segment, "h", &type, 10, &again));
    STATUS(SHC_ERR_WRONG_SIZE, shc_array_open_or_create(segment, "h", &type, 11, &none));
    STATUS(SHC_ERR_WRONG_TYPE, shc_array_open(segment, "h", &other, &none));
    STATUS(SHC_ERR_ALREADY_EXISTS, shc_array_create(segment, "h", &type, 10, &none));
    STATUS(SHC_ERR_NOT_FOUND, shc_array_open(segment, "none", &type, &none));
    CHECK(none == NULL);
    OK(shc_array_close(again));
    OK(shc_array_close(array));
    OK(shc_array_close(NULL));
}

static void outside(shc_segment *segment) {
    shc_type type = code('i');
    shc_array *array = NULL;
    int32_t two[2] = {7, 7};
    OK(shc_array_create(segment, "i", &type, 4, &array));
    STATUS(SHC_ERR_OUT_OF_RANGE, shc_array_read(array, 3, two, sizeof two));
    STATUS(SHC_ERR_OUT_OF_RANGE, shc_array_write(array, 3, two, sizeof two));
    STATUS(SHC_ERR_OUT_OF_RANGE, shc_array_write(array, 4, two, sizeof *two));
    STATUS(SHC_ERR_OUT_OF_RANGE, shc_array_read(array, 5, two, 0));
    STATUS(SHC_ERR_OUT_OF_RANGE, shc_array_fill(array, 3, 2, two, sizeof *two));
    STATUS(SHC_ERR_WRONG_SIZE, shc_array_read(array, 0, two, 7));
    STATUS(SHC_ERR_WRONG_SIZE, shc_array_write(array, 0, two, 1));
    STATUS(SHC_ERR_WRONG_SIZE, shc_array_fill(array, 0, 1, two, 8));
    CHECK(two[0] == 7 && two[1] == 7);
    OK(shc_array_read(array, 2, two, sizeof two));
    CHECK(two[0] == 0 && two[1] == 0);
    OK(shc_array_close(array));
}

static void text(shc_segment *segment) {
    shc_type type = code('c');
    shc_array *array = NULL;
    char seen[8] = "zzzzzzz";
    size_t len = 99;
    OK(shc_array_create(segment, "c", &type, 5, &array));
    OK(shc_array_get_text(array, seen, sizeof seen, &len));
    CHECK(len == 0 && seen[0] == 'z');
    OK(shc_array_set_text(array, "abcde", 5));
    OK(shc_array_get_text(array, seen, 5, &len));
    CHECK(len == 5 && memcmp(seen, "abcdezz", 7) == 0);
    OK(shc_array_set_text(array, "xy", 2));
    OK(shc_array_get_text(array, seen, 2, &len));
    CHECK(len == 2 && memcmp(seen, "xycde", 5) == 0);
    STATUS(SHC_ERR_BUFFER_TOO_SMALL, shc_array_get_text(array, seen, 1, &len));
    STATUS(SHC_ERR_TOO_LARGE, shc_array_set_text(array, "abcdef", 6));
    OK(shc_array_read(array, 0, seen, 5));
    CHECK(memcmp(seen, "xy\0de", 5) == 0);
    OK(shc_array_set_text(array, NULL, 0));
    OK(shc_array_get_text(array, NULL, 0, &len));
    CHECK(len == 0);
    OK(shc_array_close(array));
}

/* Element i is i. */
static void count_up(void *array) {
    void *address = NULL;
    OK(shc_array_address((const shc_array *)array, &address));
    for (int i = 0; i < 1000; i++) ((double *)address)[i] = i;
}

static void in_place(shc_segment *segment) {
    shc_type type = code('d');
    shc_array *array = NULL;
    void *address = NULL;
    double all[1000];
    OK(shc_array_create(segment, "d", &type, 1000, &array));
    OK(shc_array_address(array, &address));
    CHECK((uintptr_t)address % sizeof(double) == 0);
    finish(start(count_up, array));
    OK(shc_array_read(array, 0, all, sizeof all));
    for (int i = 0; i < 1000; i++) CHECK(all[i] == i && ((double *)address)[i] == i);
    OK(shc_array_close(array));
}

static void plain_data(shc_segment *segment) {
    typedef struct {
        int32_t id;
        char tag[8];
    } row;
    const row some[2] = {{1, "one"}, {2, "two"}};
    const shc_type type = {0, 4, sizeof(row), "Row"}, other = {0, 4, sizeof(row), "Column"};
    shc_array *array = NULL, *none = NULL;
    row seen[3];
    OK(shc_array_create(segment, "rows", &type, 3, &array));
    OK(shc_array_write(array, 1, some, sizeof some));
    OK(shc_array_read(array, 0, seen, sizeof seen));
    CHECK(seen[0].id == 0 && seen[1].id == 1 && strcmp(seen[2].tag, "two") == 0);
    OK(shc_array_fill(array, 0, 3, &some[1], sizeof(row)));
    OK(shc_array_read(array, 0, seen, sizeof(row)));
    CHECK(seen[0].id == 2);
    STATUS(SHC_ERR_WRONG_TYPE, shc_array_open(segment, "rows", &other, &none));
    OK(shc_array_close(array));
}

static signpost held;

static void lock_and_stay(void *array) {
    OK(shc_array_lock((const shc_array *)array, -1));
    reached(held);
    stay();
}

static void locked(shc_segment *segment) {
    shc_type type = code('Q');
    shc_array *array = NULL;
    pid_t child;
    OK(shc_array_create(segment, "locked", &type, 1, &array));
    STATUS(SHC_ERR_NOT_HELD, shc_array_unlock(array));
    OK(shc_array_lock(array, 0));
    STATUS(SHC_WOULD_BLOCK, shc_array_lock(array, 0));
    STATUS(SHC_TIMED_OUT, shc_array_lock(array, SHORT_NS));
    OK(shc_array_unlock(array));
    held = new_signpost();
    child = start(lock_and_stay, array);
    await(held);
    STATUS(SHC_ERR_NOT_OWNER, shc_array_unlock(array));
    slay(child);
    STATUS(SHC_OWNER_DIED, shc_array_lock(array, LONG_NS));
    OK(shc_array_unlock(array));
    OK(shc_array_close(array));
}

int main(void) {
    shc_segment *segment = test_segment("array");
    elements(segment);
    outside(segment);
    text(segment);
    in_place(segment);
    plain_data(segment);
    locked(segment);
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
