/* A parent puts numbers on a queue; a child takes them, keeps their squares and adds them up. */
#define _POSIX_C_SOURCE 200809L

#include <sharecell.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NUMBERS = 100 };

static void check(shc_status status) {
    char why[512] = "";
    if (status == SHC_OK) return;
    shc_last_error(why, sizeof why);
    fprintf(stderr, "quickstart: status %d %s\n", (int)status, why);
    exit(1);
}

int main(void) {
    char name[64];
    snprintf(name, sizeof name, "quickstart-c-%ld", (long)getpid());

    const shc_segment_options options = {.struct_size = sizeof options, .flags = SHC_SEGMENT_EPHEMERAL};
    const shc_type integer = {.typecode = 'q'};
    shc_segment *segment;
    shc_value *total;
    shc_array *squares;
    shc_lock *lock;
    shc_queue *jobs;
    check(shc_segment_create(name, &options, &segment));
    check(shc_value_create(segment, "total", &integer, NULL, &total));
    check(shc_array_create(segment, "squares", &integer, NUMBERS, &squares));
    check(shc_lock_create(segment, "lock", &lock));
    check(shc_queue_create(segment, "jobs", NULL, &jobs));

    int64_t sum;
    const pid_t child = fork();
    if (child == 0) {
        shc_item item;
        while (shc_queue_recv(jobs, -1, &item) == SHC_OK) { /* given to somebody else if we are killed here */
            int64_t number;
            memcpy(&number, item.data, sizeof number);
            const int64_t square = number * number;
            check(shc_array_write(squares, (size_t)number, &square, sizeof square));
            check(shc_lock_acquire(lock, -1));
            check(shc_value_get(total, &sum, sizeof sum));
            sum += square;
            check(shc_value_set(total, &sum, sizeof sum));
            check(shc_lock_release(lock));
            check(shc_queue_release(jobs, &item));
        }
        _exit(0);
    }
    for (int64_t number = 0; number < NUMBERS; number++)
        check(shc_queue_put(jobs, &number, sizeof number, -1));
    check(shc_queue_shutdown(jobs)); /* no more; what is there is still got */
    waitpid(child, NULL, 0);

    int64_t last;
    check(shc_array_read(squares, NUMBERS - 1, &last, sizeof last));
    check(shc_value_get(total, &sum, sizeof sum));
    printf("the last of %d squares is %" PRId64 ", their sum %" PRId64 "\n", NUMBERS, last, sum);

    check(shc_queue_close(jobs));
    check(shc_lock_close(lock));
    check(shc_array_close(squares));
    check(shc_value_close(total));
    check(shc_segment_close(segment));
    return sum == 328350 ? 0 : 1;
}
