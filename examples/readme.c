/* The twenty lines of the README. Run it beside the Rust and the Python one: they share the total. */
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

int main(void) {
    /* [README] */
    shc_segment_options options = {sizeof options, 1u << 30, 0, 0, 0, SHC_SEGMENT_EPHEMERAL, 0};
    shc_queue_options room = {sizeof room, 64, 0, 0, 0, 0, 0};
    shc_type number = {'q', 0, 0, NULL};
    shc_segment *segment;
    shc_queue *jobs;
    shc_value *total;
    shc_lock *lock;
    shc_item job;
    int64_t sum;

    check(shc_segment_open_or_create("readme", &options, &segment));
    check(shc_queue_open_or_create(segment, "jobs", &room, &jobs));
    check(shc_value_open_or_create(segment, "total", &number, NULL, &total));
    check(shc_lock_open_or_create(segment, "lock", &lock));

    check(shc_queue_put(jobs, "some work", 9, -1)); /* it is in the queue, or this is an error */
    check(shc_queue_recv(jobs, -1, &job)); /* read in place; if we are killed here, somebody else gets it */

    if (shc_lock_acquire(lock, -1) == SHC_OWNER_DIED)
        puts("the last holder was killed; here is the place to repair");
    check(shc_value_add_int(total, (int64_t)job.len, NULL));
    check(shc_lock_release(lock));
    check(shc_queue_release(jobs, &job)); /* done with */

    check(shc_value_get(total, &sum, sizeof sum));
    printf("total: %" PRId64 "\n", sum);
    /* [README] */
    check(shc_lock_close(lock));
    check(shc_value_close(total));
    check(shc_queue_close(jobs));
    check(shc_segment_close(segment));
    return 0;
}
