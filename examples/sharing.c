/* Opens what sharing.py has made, and changes it. See docs/python/sharing.md. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sharecell.h"

static void check(shc_status status) {
    char text[256];
    if (status < 0) {
        shc_last_error(text, sizeof text);
        fprintf(stderr, "%s\n", text);
        exit(1);
    }
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "sharing";
    /* [sharing] */
    shc_segment_options options = {sizeof options, 0, 0, 0, 0, SHC_SEGMENT_EPHEMERAL, 0};
    shc_type int64 = {'q', 0, 0, NULL}, float64 = {'d', 0, 0, NULL};
    shc_segment *segment;
    shc_value *counter;
    shc_array *frame;
    void *address;
    double *numbers;

    check(shc_segment_open_or_create(name, &options, &segment));
    check(shc_value_open_or_create(segment, "counter", &int64, NULL, &counter));
    check(shc_array_open_or_create(segment, "frame", &float64, 1000, &frame));

    check(shc_array_lock(frame, -1)); /* the lock that Python's get_lock() takes */
    check(shc_array_address(frame, &address));
    numbers = address; /* in place: Python sees it in the same moment */
    numbers[0] = 2.5;
    check(shc_array_unlock(frame));
    check(shc_value_add_int(counter, 1, NULL)); /* atomic, without a lock */
    /* [sharing] */
    printf("first: %g\n", numbers[0]);
    check(shc_array_close(frame));
    check(shc_value_close(counter));
    check(shc_segment_close(segment));
    return 0;
}
