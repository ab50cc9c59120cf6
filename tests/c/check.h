/*
 * What the programs of tests/c and tests/cpp share: checks that end the process, a watchdog, children, and
 * segments of their own. Include it first: it says which functions of the system are wanted.
 */

#ifndef CHECK_H
#define CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <sharecell.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A program that hangs is ended after this many seconds. */
#define WATCHDOG 240
/* A timeout that a call which works never reaches. */
#define LONG_NS 180000000000
/* A timeout that is meant to be reached. */
#define SHORT_NS 3000000

#define CHECK(expression) ((expression) ? (void)0 : check_failed(__FILE__, __LINE__, #expression))
/* The call ends with this status. */
#define STATUS(expected, call) check_status(__FILE__, __LINE__, #call, (expected), (call))
#define OK(call) STATUS(SHC_OK, call)

static inline void check_failed(const char *file, int line, const char *what) {
    char why[512] = "";
    shc_last_error(why, sizeof why);
    fprintf(stderr, "%s:%d: %s; shc_last_error: %s\n", file, line, what, why);
    fflush(NULL);
    _exit(1);
}

static inline void check_status(const char *file, int line, const char *call, shc_status expected,
                                shc_status got) {
    char what[512];
    if (got == expected) return;
    snprintf(what, sizeof what, "%s is %d, not %d", call, (int)got, (int)expected);
    check_failed(file, line, what);
}

/* What a child does with what it was given. */
typedef void child_body(void *);

/* Starts a child, which exits with 0 when its body returns. */
static inline pid_t start(child_body *body, void *with) {
    pid_t child;
    fflush(NULL);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(WATCHDOG);
        body(with);
        fflush(NULL);
        _exit(0);
    }
    return child;
}

/* Waits for a child, which must have ended well. */
static inline void finish(pid_t child) {
    int status = -1;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Kills a child, and waits until it is dead. */
static inline void slay(pid_t child) {
    int status = -1;
    CHECK(kill(child, SIGKILL) == 0);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* One process tells another that it has come to a certain point. */
typedef struct {
    int fds[2];
} signpost;

static inline signpost new_signpost(void) {
    signpost post;
    CHECK(pipe(post.fds) == 0);
    return post;
}

static inline void reached(signpost post) { CHECK(write(post.fds[1], "!", 1) == 1); }

static inline void await(signpost post) {
    char mark;
    CHECK(read(post.fds[0], &mark, 1) == 1);
}

/* Waits to be killed. */
static inline void stay(void) {
    for (;;) pause();
}

/* A name that no other run of a test has. */
static inline const char *unique_name(const char *test) {
    static char name[128];
    snprintf(name, sizeof name, "test-c-%ld-%s", (long)getpid(), test);
    return name;
}

/* Starts the watchdog, and makes a segment that goes when the program does. */
static inline shc_segment *test_segment(const char *test) {
    shc_segment_options options;
    shc_segment *segment = NULL;
    alarm(WATCHDOG);
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.limit = 64 << 20;
    options.flags = SHC_SEGMENT_EPHEMERAL;
    OK(shc_segment_create(unique_name(test), &options, &segment));
    return segment;
}

/* The type of a typecode. */
static inline shc_type code(char typecode) {
    shc_type type;
    memset(&type, 0, sizeof type);
    type.typecode = (uint32_t)typecode;
    return type;
}

#endif
