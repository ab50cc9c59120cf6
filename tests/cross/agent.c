/* The agent in C; main.rs says what it understands. */
#define _GNU_SOURCE

#include "sharecell.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the longest items of the tests need. */
#define BUFFER (32u << 20)
/* As in driver.rs. */
#define SOCKET 3
#define INHERITED 4
/* A pattern's length: so long that it cannot be mistaken for a power of two. */
#define PERIOD 251
/* Bytes in hexadecimal digits have at most this length. */
#define SHORT 64

typedef struct {
    double x;
    int32_t y, z;
} point;

typedef struct {
    uint64_t words[5];
} wide;

enum kind { VALUE, ARRAY, LOCK, SEMAPHORE, QUEUE, PIPE, RLOCK, CONDITION, EVENT, BARRIER, RWLOCK };

/* An object that is open. */
struct object {
    struct object *next;
    char *key;
    enum kind kind;
    void *handle;
    size_t element;
    char typecode;
    shc_item item;
    shc_slot slot;
};

static struct object *objects;
static shc_segment *segment;
static shc_bell *bell;
static unsigned char buffer[BUFFER];

/* ---- lines
 * ------------------------------------------------------------------------------------------------- */

static void broken(const char *what) {
    fprintf(stderr, "agent.c: %s\n", what);
    exit(1);
}

static char *word(void) {
    char *w = strtok(NULL, " ");
    if (!w) broken("a word is missing");
    return w;
}

/* The last word, or "" if there is none. */
static const char *option(void) {
    const char *w = strtok(NULL, " ");
    return w ? w : "";
}

static int64_t number(void) { return strtoll(word(), NULL, 10); }

static int64_t timeout(void) {
    int64_t ms = number();
    return ms < 0 ? ms : ms * 1000000;
}

struct data {
    unsigned char *bytes;
    size_t len;
};

/* The bytes that a word means: `-`, hexadecimal digits, or `*LEN:FIRST`. The caller frees them. */
static struct data decode(const char *w) {
    struct data d = {NULL, 0};
    unsigned long len, first, i;
    unsigned byte;
    if (sscanf(w, "*%lu:%lu", &len, &first) == 2) {
        d.bytes = malloc(len);
        for (i = 0; i < len; i++) d.bytes[i] = (unsigned char)((first + i) % PERIOD);
        d.len = len;
        return d;
    }
    d.bytes = malloc(strlen(w) / 2 + 1);
    if (strcmp(w, "-") != 0) {
        for (; sscanf(w, "%2x", &byte) == 1; w += 2) d.bytes[d.len++] = (unsigned char)byte;
    }
    return d;
}

static struct data data(void) { return decode(word()); }

static void put_data(const void *from, size_t len) {
    const unsigned char *bytes = from;
    size_t i;
    putchar(' ');
    if (len == 0) {
        putchar('-');
        return;
    }
    if (len <= SHORT) {
        for (i = 0; i < len; i++) printf("%02x", bytes[i]);
        return;
    }
    for (i = 0; i < len && bytes[i] == (bytes[0] + i) % PERIOD; i++) continue;
    if (i == len) {
        printf("*%lu:%u", (unsigned long)len, bytes[0]);
    } else {
        printf("garbled:%lu", (unsigned long)len);
    }
}

/* Begins the reply: whether the call did what it was to do. */
static bool ok(shc_status status) {
    char text[1024] = "";
    if (status == SHC_OK) {
        fputs("ok", stdout);
        return true;
    }
    if (status < 0) shc_last_error(text, sizeof text);
    printf("error %d %s", (int)status, text);
    return false;
}

static void answer(shc_status status, const char *format, ...) {
    va_list args;
    if (!ok(status)) return;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

/* As a lock's: an owner that died is no error. */
static void locked(shc_status status) {
    if (status == SHC_OWNER_DIED) {
        answer(SHC_OK, " died");
    } else {
        answer(status, " clean");
    }
}

static bool is(const char *a, const char *b) { return strcmp(a, b) == 0; }

/* ---- objects
 * ----------------------------------------------------------------------------------------------- */

static struct object *find(const char *key) {
    struct object *o = objects;
    while (o && !is(o->key, key)) o = o->next;
    if (!o) broken(key);
    return o;
}

static struct object *keep(const char *key, enum kind kind, void *handle) {
    struct object *o = calloc(1, sizeof *o);
    o->next = objects;
    o->key = strcpy(malloc(strlen(key) + 1), key);
    o->kind = kind;
    o->handle = handle;
    return objects = o;
}

/* Has the reply begin with "ok", and keeps the object; or NULL. */
static struct object *keep_if_ok(shc_status status, const char *key, enum kind kind, void *handle) {
    return ok(status) ? keep(key, kind, handle) : NULL;
}

static shc_status close_object(struct object *o) {
    switch (o->kind) {
    case VALUE:
        return shc_value_close(o->handle);
    case ARRAY:
        return shc_array_close(o->handle);
    case LOCK:
        return shc_lock_close(o->handle);
    case SEMAPHORE:
        return shc_semaphore_close(o->handle);
    case QUEUE:
        return shc_queue_close(o->handle);
    case PIPE:
        return shc_pipe_close(o->handle);
    case RLOCK:
        return shc_rlock_close(o->handle);
    case CONDITION:
        return shc_condition_close(o->handle);
    case EVENT:
        return shc_event_close(o->handle);
    case BARRIER:
        return shc_barrier_close(o->handle);
    case RWLOCK:
        return shc_rwlock_close(o->handle);
    }
    return SHC_ERR_INVALID_ARGUMENT;
}

static void forget(struct object *o) {
    struct object **at = &objects;
    while (*at != o) at = &(*at)->next;
    *at = o->next;
    free(o->key);
    free(o);
}

static shc_status reset(void) {
    shc_status status = SHC_OK;
    while (objects && status == SHC_OK) {
        status = close_object(objects);
        forget(objects);
    }
    if (status == SHC_OK) status = shc_bell_close(bell);
    bell = NULL;
    if (status == SHC_OK) status = shc_segment_close(segment);
    segment = NULL;
    return status;
}

static shc_type type_of(const char *w) {
    shc_type ty = {0, 0, 0, NULL};
    if (is(w, "Point")) {
        ty.name = "Point";
        ty.size = sizeof(point);
        ty.align = 8;
    } else if (is(w, "Wide")) {
        ty.name = "Wide";
        ty.size = sizeof(wide);
        ty.align = 8;
    } else {
        ty.typecode = (uint32_t)w[0];
    }
    return ty;
}

/* ---- commands
 * ---------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int by_number(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void list_objects(void) {
    static shc_object_info list[64];
    static char texts[64][256];
    char *lines[64];
    size_t count, i;
    if (!ok(shc_segment_objects(segment, list, 64, &count))) return;
    for (i = 0; i < count; i++) {
        int typecode = list[i].typecode ? (int)list[i].typecode : '-';
        snprintf(texts[i], sizeof texts[i], " %.135s:%u:%c:%lu", list[i].name, (unsigned)list[i].kind,
                 typecode, (unsigned long)list[i].count);
        lines[i] = texts[i];
    }
    qsort(lines, count, sizeof lines[0], by_text);
    for (i = 0; i < count; i++) fputs(lines[i], stdout);
}

static void list_participants(void) {
    static shc_participant_info list[64];
    uint32_t pids[64];
    size_t count, i, living = 0;
    if (!ok(shc_segment_participants(segment, list, 64, &count))) return;
    for (i = 0; i < count; i++) {
        if (list[i].alive) pids[living++] = list[i].pid;
    }
    qsort(pids, living, sizeof pids[0], by_number);
    for (i = 0; i < living; i++) printf(" %u", (unsigned)pids[i]);
}

/* Becomes another program, which inherits a descriptor of the segment. */
static void exec_with_segment(void) {
    char *words[64], *w;
    size_t count = 0;
    int32_t fd;
    if (shc_segment_to_fd(segment, &fd) != SHC_OK) broken("to_fd");
    while (count < 63 && (w = strtok(NULL, " "))) words[count++] = w;
    words[count] = NULL;
    dup2(fd, INHERITED); /* which clears close-on-exec */
    execvp(words[0], words);
    broken("exec");
}

/* A segment over the memory that is in a file. */
static void over_memory(const char *name, const char *path) {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct stat file;
    if (fd < 0 || fstat(fd, &file) != 0) broken("open");
    void *memory = mmap(NULL, (size_t)file.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) broken("mmap");
    close(fd);
    ok(shc_segment_open_or_create_over(name, memory, (size_t)file.st_size, NULL, &segment));
}

static void segment_command(const char *verb) {
    if (is(verb, "anonymous")) {
        shc_segment_options options = {0};
        options.struct_size = sizeof options;
        options.limit = (uint64_t)number();
        ok(shc_segment_create_anonymous(&options, &segment));
    } else if (is(verb, "over")) {
        const char *name = word();
        over_memory(name, word());
    } else if (is(verb, "is_anonymous")) {
        bool yes = false;
        shc_status status = shc_segment_is_anonymous(segment, &yes);
        answer(status, " %d", yes);
    } else if (is(verb, "send")) {
        ok(shc_segment_send_over(segment, SOCKET));
    } else if (is(verb, "receive")) {
        ok(shc_segment_receive_over(SOCKET, &segment));
    } else if (is(verb, "exec")) {
        exec_with_segment();
    } else if (is(verb, "inherited")) {
        ok(shc_segment_from_fd(INHERITED, &segment));
    } else if (is(verb, "create")) {
        shc_segment_options options = {0};
        const char *name = word();
        options.struct_size = sizeof options;
        options.limit = (uint64_t)number();
        options.flags = SHC_SEGMENT_EPHEMERAL;
        ok(shc_segment_create(name, &options, &segment));
    } else if (is(verb, "open")) {
        ok(shc_segment_open(word(), NULL, &segment));
    } else if (is(verb, "unlink")) {
        ok(shc_segment_unlink(word()));
    } else if (is(verb, "is_unlinked")) {
        bool yes = false;
        shc_status status = shc_segment_is_unlinked(segment, &yes);
        answer(status, " %d", yes);
    } else if (is(verb, "limit")) {
        uint64_t bytes = 0;
        shc_status status = shc_segment_limit(segment, &bytes);
        answer(status, " %lu", (unsigned long)bytes);
    } else if (is(verb, "size")) {
        uint64_t bytes = 0;
        shc_status status = shc_segment_size(segment, &bytes);
        answer(status, " %lu", (unsigned long)bytes);
    } else if (is(verb, "remove")) {
        ok(shc_segment_remove(segment, word()));
    } else if (is(verb, "recover")) {
        size_t count;
        ok(shc_segment_recover(segment, &count));
    } else if (is(verb, "objects")) {
        list_objects();
    } else if (is(verb, "participants")) {
        list_participants();
    } else {
        broken(verb);
    }
}

static void get_value(const char *name, bool create) {
    const char *w = word();
    shc_type ty = type_of(w);
    shc_value *handle = NULL;
    struct object *o;
    shc_status status;
    if (create) {
        struct data d = data();
        status = shc_value_create(segment, name, &ty, d.bytes, &handle);
        free(d.bytes);
    } else {
        status = shc_value_open(segment, name, &ty, &handle);
    }
    if ((o = keep_if_ok(status, name, VALUE, handle))) {
        o->typecode = (char)ty.typecode;
        shc_value_size(handle, &o->element);
    }
}

static void get_array(const char *name, bool create) {
    shc_type ty = type_of(word());
    shc_array *handle = NULL;
    struct object *o;
    size_t len;
    shc_status status = create ? shc_array_create(segment, name, &ty, (size_t)number(), &handle)
                               : shc_array_open(segment, name, &ty, &handle);
    if ((o = keep_if_ok(status, name, ARRAY, handle))) {
        shc_array_element_size(handle, &o->element);
        shc_array_len(handle, &len);
        printf(" %lu", (unsigned long)len);
    }
}

static void get_queue(const char *name, bool create) {
    shc_queue *handle = NULL;
    shc_status status;
    if (create) {
        shc_queue_options options = {0};
        options.struct_size = sizeof options;
        options.capacity = (uint64_t)number();
        options.max_item = (uint64_t)number();
        options.flags = is(option(), "joinable") ? SHC_QUEUE_JOINABLE : 0;
        status = shc_queue_create(segment, name, &options, &handle);
    } else {
        status = shc_queue_open(segment, name, &handle);
    }
    keep_if_ok(status, name, QUEUE, handle);
}

static void get_semaphore(const char *name, bool create) {
    shc_semaphore *handle = NULL;
    shc_status status;
    if (create) {
        uint32_t value = (uint32_t)number(), flags = 0;
        const char *sort = option();
        if (is(sort, "bounded")) flags = SHC_SEMAPHORE_BOUNDED;
        if (is(sort, "undo")) flags = SHC_SEMAPHORE_UNDO;
        status = shc_semaphore_create_with(segment, name, value, flags, &handle);
    } else {
        status = shc_semaphore_open(segment, name, &handle);
    }
    keep_if_ok(status, name, SEMAPHORE, handle);
}

static void get(const char *kind, const char *name, bool create) {
    if (is(kind, "value")) {
        get_value(name, create);
    } else if (is(kind, "array")) {
        get_array(name, create);
    } else if (is(kind, "lock")) {
        shc_lock *handle = NULL;
        shc_status status =
            create ? shc_lock_create(segment, name, &handle) : shc_lock_open(segment, name, &handle);
        keep_if_ok(status, name, LOCK, handle);
    } else if (is(kind, "semaphore")) {
        get_semaphore(name, create);
    } else if (is(kind, "queue")) {
        get_queue(name, create);
    } else if (is(kind, "rlock")) {
        shc_rlock *handle = NULL;
        shc_status status =
            create ? shc_rlock_create(segment, name, &handle) : shc_rlock_open(segment, name, &handle);
        keep_if_ok(status, name, RLOCK, handle);
    } else if (is(kind, "rwlock")) {
        shc_rwlock *handle = NULL;
        shc_status status =
            create ? shc_rwlock_create(segment, name, &handle) : shc_rwlock_open(segment, name, &handle);
        keep_if_ok(status, name, RWLOCK, handle);
    } else if (is(kind, "condition")) {
        shc_condition *handle = NULL;
        shc_status status = create ? shc_condition_create(segment, name, &handle)
                                   : shc_condition_open(segment, name, &handle);
        keep_if_ok(status, name, CONDITION, handle);
    } else if (is(kind, "event")) {
        shc_event *handle = NULL;
        shc_status status =
            create ? shc_event_create(segment, name, &handle) : shc_event_open(segment, name, &handle);
        keep_if_ok(status, name, EVENT, handle);
    } else if (is(kind, "barrier")) {
        shc_barrier *handle = NULL;
        shc_status status = create ? shc_barrier_create(segment, name, (uint32_t)number(), &handle)
                                   : shc_barrier_open(segment, name, &handle);
        keep_if_ok(status, name, BARRIER, handle);
    } else {
        broken(kind);
    }
}

static void value_command(const char *verb, struct object *o) {
    shc_value *v = o->handle;
    unsigned char old[sizeof(wide)];
    shc_status status;
    if (is(verb, "get")) {
        if (ok(shc_value_get(v, old, o->element))) put_data(old, o->element);
    } else if (is(verb, "set")) {
        struct data d = data();
        ok(shc_value_set(v, d.bytes, d.len));
        free(d.bytes);
    } else if (is(verb, "exchange")) {
        struct data d = data();
        if (ok(shc_value_exchange(v, d.bytes, d.len, old))) put_data(old, d.len);
        free(d.bytes);
    } else if (is(verb, "compare_exchange")) {
        struct data expected = data(), desired = data();
        bool changed = false;
        status = shc_value_compare_exchange(v, expected.bytes, desired.bytes, desired.len, old, &changed);
        answer(status, " %d", changed);
        if (status == SHC_OK) put_data(old, desired.len);
        free(expected.bytes);
        free(desired.bytes);
    } else if (is(verb, "add") && (o->typecode == 'f' || o->typecode == 'd')) {
        double before = 0;
        float half;
        status = shc_value_add_float(v, strtod(word(), NULL), &before);
        half = (float)before;
        if (!ok(status)) return;
        if (o->typecode == 'f') {
            put_data(&half, sizeof half);
        } else {
            put_data(&before, sizeof before);
        }
    } else if (is(verb, "add")) {
        int64_t before = 0;
        status = shc_value_add_int(v, number(), &before);
        /* The low bytes come first on every machine that this is tested on. */
        if (ok(status)) put_data(&before, o->element);
    } else if (is(verb, "lock")) {
        locked(shc_value_lock(v, timeout()));
    } else if (is(verb, "unlock")) {
        ok(shc_value_unlock(v));
    } else {
        broken(verb);
    }
}

static void array_command(const char *verb, struct object *o) {
    shc_array *a = o->handle;
    size_t start, len;
    struct data d = {NULL, 0};
    void *base;
    if (is(verb, "get") || is(verb, "read")) {
        start = (size_t)number();
        len = is(verb, "get") ? o->element : (size_t)number() * o->element;
        if (ok(shc_array_read(a, start, buffer, len))) put_data(buffer, len);
    } else if (is(verb, "set") || is(verb, "write")) {
        start = (size_t)number();
        d = data();
        ok(shc_array_write(a, start, d.bytes, d.len));
    } else if (is(verb, "fill")) {
        shc_array_len(a, &len);
        d = data();
        ok(shc_array_fill(a, 0, len, d.bytes, d.len));
    } else if (is(verb, "peek")) {
        start = (size_t)number();
        len = (size_t)number() * o->element;
        if (ok(shc_array_address(a, &base))) put_data((char *)base + start * o->element, len);
    } else if (is(verb, "poke")) {
        start = (size_t)number();
        d = data();
        if (ok(shc_array_address(a, &base))) memcpy((char *)base + start * o->element, d.bytes, d.len);
    } else if (is(verb, "text")) {
        if (ok(shc_array_get_text(a, buffer, sizeof buffer, &len))) put_data(buffer, len);
    } else if (is(verb, "set_text")) {
        d = data();
        ok(shc_array_set_text(a, d.bytes, d.len));
    } else if (is(verb, "raw")) {
        shc_array_len(a, &len);
        if (ok(shc_array_read(a, 0, buffer, len))) put_data(buffer, len);
    } else if (is(verb, "lock")) {
        locked(shc_array_lock(a, timeout()));
    } else if (is(verb, "unlock")) {
        ok(shc_array_unlock(a));
    } else {
        broken(verb);
    }
    free(d.bytes);
}

/* What is called back, and how it ends. */
struct callback {
    const shc_value *value;
    const char *how;
};

static struct callback callback(void) {
    struct callback c;
    c.how = word();
    c.value = find(word())->handle;
    return c;
}

/* Adds 1 to a value, and then has done well, or has not, or never returns. */
static bool call_back(void *with) {
    const struct callback *c = with;
    if (shc_value_add_int(c->value, 1, NULL) != SHC_OK) broken("a value to add to");
    while (is(c->how, "stays")) pause();
    return is(c->how, "works");
}

static void lock_command(const char *verb, struct object *o) {
    shc_lock *l = o->handle;
    if (is(verb, "repair")) {
        int64_t limit = timeout();
        struct callback c = callback();
        ok(shc_lock_acquire_or_repair(l, limit, call_back, &c));
    } else if (is(verb, "is_poisoned")) {
        bool yes = false;
        shc_status status = shc_lock_is_poisoned(l, &yes);
        answer(status, " %d", yes);
    } else if (is(verb, "acquire")) {
        locked(shc_lock_acquire(l, timeout()));
    } else if (is(verb, "release")) {
        ok(shc_lock_release(l));
    } else if (is(verb, "is_held")) {
        uint32_t holder = 0;
        shc_status status = shc_lock_holder(l, &holder);
        answer(status, " %d", holder != 0);
    } else if (is(verb, "poison")) {
        ok(shc_lock_poison(l));
    } else if (is(verb, "clear_poison")) {
        bool yes = false;
        shc_status status = shc_lock_clear_poison(l, &yes);
        answer(status, " %d", yes);
    } else {
        broken(verb);
    }
}

static void rlock_command(const char *verb, struct object *o) {
    shc_rlock *l = o->handle;
    if (is(verb, "acquire")) {
        locked(shc_rlock_acquire(l, timeout()));
    } else if (is(verb, "release")) {
        ok(shc_rlock_release(l));
    } else if (is(verb, "is_held")) {
        uint32_t holder = 0;
        shc_status status = shc_rlock_holder(l, &holder);
        answer(status, " %d", holder != 0);
    } else {
        broken(verb);
    }
}

static void rwlock_command(const char *verb, struct object *o) {
    shc_rwlock *l = o->handle;
    if (is(verb, "read")) {
        locked(shc_rwlock_acquire_read(l, timeout()));
    } else if (is(verb, "write")) {
        locked(shc_rwlock_acquire_write(l, timeout()));
    } else if (is(verb, "release_read")) {
        ok(shc_rwlock_release_read(l));
    } else if (is(verb, "release_write")) {
        ok(shc_rwlock_release_write(l));
    } else {
        broken(verb);
    }
}

struct wanted {
    const struct object *value;
    struct data data;
};

static bool is_wanted(void *with) {
    const struct wanted *w = with;
    unsigned char now[sizeof(wide)];
    return shc_value_get(w->value->handle, now, w->value->element) == SHC_OK &&
           memcmp(now, w->data.bytes, w->data.len) == 0;
}

static void wait_for(shc_condition *c) {
    int64_t limit = timeout();
    struct wanted wanted;
    bool yes = false;
    shc_status status;
    wanted.value = find(word());
    wanted.data = data();
    status = shc_condition_wait_for(c, limit, is_wanted, &wanted, &yes);
    if (status == SHC_OWNER_DIED) {
        answer(SHC_OK, " died");
    } else {
        answer(status, " %d", yes);
    }
    free(wanted.data.bytes);
}

static void condition_command(const char *verb, struct object *o) {
    shc_condition *c = o->handle;
    if (is(verb, "wait_for")) {
        wait_for(c);
    } else if (is(verb, "acquire")) {
        locked(shc_condition_acquire(c, timeout()));
    } else if (is(verb, "release")) {
        ok(shc_condition_release(c));
    } else if (is(verb, "wait")) {
        locked(shc_condition_wait(c, timeout()));
    } else if (is(verb, "notify")) {
        ok(shc_condition_notify(c, (size_t)number()));
    } else if (is(verb, "notify_all")) {
        ok(shc_condition_notify(c, SIZE_MAX));
    } else if (is(verb, "waiters")) {
        size_t count = 0;
        shc_status status = shc_condition_waiters(c, &count);
        answer(status, " %lu", (unsigned long)count);
    } else {
        broken(verb);
    }
}

static void event_command(const char *verb, struct object *o) {
    shc_event *e = o->handle;
    if (is(verb, "set")) {
        ok(shc_event_set(e));
    } else if (is(verb, "clear")) {
        ok(shc_event_clear(e));
    } else if (is(verb, "is_set")) {
        bool yes = false;
        shc_status status = shc_event_is_set(e, &yes);
        answer(status, " %d", yes);
    } else if (is(verb, "wait")) {
        ok(shc_event_wait(e, timeout()));
    } else {
        broken(verb);
    }
}

static void barrier_command(const char *verb, struct object *o) {
    shc_barrier *b = o->handle;
    size_t count = 0;
    bool yes = false;
    shc_status status;
    if (is(verb, "wait")) {
        status = shc_barrier_wait(b, timeout(), &count);
        answer(status, " %lu", (unsigned long)count);
    } else if (is(verb, "wait_with")) {
        int64_t limit = timeout();
        struct callback c = callback();
        status = shc_barrier_wait_with(b, limit, call_back, &c, &count);
        answer(status, " %lu", (unsigned long)count);
    } else if (is(verb, "abort")) {
        ok(shc_barrier_abort(b));
    } else if (is(verb, "reset")) {
        ok(shc_barrier_reset(b));
    } else if (is(verb, "parties")) {
        status = shc_barrier_parties(b, &count);
        answer(status, " %lu", (unsigned long)count);
    } else if (is(verb, "n_waiting")) {
        status = shc_barrier_n_waiting(b, &count);
        answer(status, " %lu", (unsigned long)count);
    } else if (is(verb, "is_broken")) {
        status = shc_barrier_is_broken(b, &yes);
        answer(status, " %d", yes);
    } else {
        broken(verb);
    }
}

static void semaphore_command(const char *verb, struct object *o) {
    shc_semaphore *s = o->handle;
    if (is(verb, "acquire")) {
        ok(shc_semaphore_acquire(s, timeout()));
    } else if (is(verb, "release")) {
        ok(shc_semaphore_release(s, (uint32_t)number()));
    } else if (is(verb, "value")) {
        uint32_t value = 0;
        shc_status status = shc_semaphore_value(s, &value);
        answer(status, " %u", (unsigned)value);
    } else {
        broken(verb);
    }
}

/* The functions of a queue or a pipe for what was taken and what was reserved. */
static shc_status release(struct object *o) {
    return o->kind == QUEUE ? shc_queue_release(o->handle, &o->item) : shc_pipe_release(o->handle, &o->item);
}

static shc_status commit(struct object *o, size_t len) {
    return o->kind == QUEUE ? shc_queue_commit(o->handle, &o->slot, len)
                            : shc_pipe_commit(o->handle, &o->slot, len);
}

static shc_status give_up(struct object *o) {
    return o->kind == QUEUE ? shc_queue_abort(o->handle, &o->slot) : shc_pipe_abort(o->handle, &o->slot);
}

/* What is done with an item that was taken, or a place that was reserved. */
static void in_place_command(const char *verb, struct object *o) {
    if (is(verb, "release")) {
        ok(release(o));
    } else if (is(verb, "abort")) {
        ok(give_up(o));
    } else if (is(verb, "write")) {
        struct data d = data();
        memcpy(o->slot.data, d.bytes, d.len);
        free(d.bytes);
        ok(SHC_OK);
    } else if (is(verb, "commit")) {
        struct data d = data();
        memcpy(o->slot.data, d.bytes, d.len);
        ok(commit(o, d.len));
        free(d.bytes);
    } else {
        broken(verb);
    }
}

static void put_many(shc_queue *q) {
    int64_t limit = timeout();
    struct data items[64];
    shc_buffer buffers[64];
    size_t count = 0, done = 0;
    const char *w;
    shc_status status;
    while ((w = strtok(NULL, " "))) {
        items[count] = decode(w);
        buffers[count].data = items[count].bytes;
        buffers[count].len = items[count].len;
        count++;
    }
    status = shc_queue_put_many(q, buffers, count, limit, &done);
    answer(status, " %lu", (unsigned long)done);
    while (count > 0) free(items[--count].bytes);
}

static void get_many(shc_queue *q) {
    int64_t limit = timeout();
    size_t lens[64], max = (size_t)number(), count = 0, at = 0, i;
    if (!ok(shc_queue_get_many(q, buffer, sizeof buffer, lens, max, limit, &count))) return;
    for (i = 0; i < count; i++) {
        put_data(buffer + at, lens[i]);
        at += lens[i];
    }
}

static void queue_command(const char *verb, struct object *o) {
    shc_queue *q = o->handle;
    size_t len = 0;
    bool yes = false;
    shc_status status;
    int64_t limit;
    if (is(verb, "put")) {
        struct data d;
        limit = timeout();
        d = data();
        ok(shc_queue_put(q, d.bytes, d.len, limit));
        free(d.bytes);
    } else if (is(verb, "get")) {
        if (ok(shc_queue_get(q, buffer, sizeof buffer, timeout(), &len))) put_data(buffer, len);
    } else if (is(verb, "put_many")) {
        put_many(q);
    } else if (is(verb, "get_many")) {
        get_many(q);
    } else if (is(verb, "recv")) {
        status = shc_queue_recv(q, timeout(), &o->item);
        answer(status, " %lu %u", (unsigned long)o->item.number, (unsigned)o->item.deliveries);
        if (status == SHC_OK) put_data(o->item.data, o->item.len);
    } else if (is(verb, "put_back")) {
        ok(shc_queue_put_back(q, &o->item));
    } else if (is(verb, "reserve")) {
        limit = timeout();
        ok(shc_queue_reserve(q, (size_t)number(), limit, &o->slot));
    } else if (is(verb, "qsize")) {
        status = shc_queue_qsize(q, &len);
        answer(status, " %lu", (unsigned long)len);
    } else if (is(verb, "capacity")) {
        status = shc_queue_capacity(q, &len);
        answer(status, " %lu", (unsigned long)len);
    } else if (is(verb, "empty")) {
        status = shc_queue_empty(q, &yes);
        answer(status, " %d", yes);
    } else if (is(verb, "full")) {
        status = shc_queue_full(q, &yes);
        answer(status, " %d", yes);
    } else if (is(verb, "task_done")) {
        ok(shc_queue_task_done(q));
    } else if (is(verb, "join")) {
        ok(shc_queue_join(q, timeout()));
    } else if (is(verb, "shutdown")) {
        ok(shc_queue_shutdown(q));
    } else if (is(verb, "is_shutdown")) {
        status = shc_queue_is_shutdown(q, &yes);
        answer(status, " %d", yes);
    } else {
        in_place_command(verb, o);
    }
}

static uint32_t end_of(const char *w) { return is(w, "A") ? SHC_END_A : SHC_END_B; }

static shc_pipe_options pipe_options(bool duplex) {
    shc_pipe_options options = {0};
    options.struct_size = sizeof options;
    options.flags = duplex ? 0 : SHC_PIPE_SIMPLEX;
    return options;
}

static void get_pipe(const char *verb, const char *name) {
    shc_pipe *a = NULL, *b = NULL;
    shc_pipe_options options;
    char key[256];
    const char *end;
    if (is(verb, "create")) {
        options = pipe_options(is(word(), "duplex"));
        options.capacity = (uint64_t)number();
        if (!ok(shc_pipe_create(segment, name, &options, &a, &b))) return;
        snprintf(key, sizeof key, "%s A", name);
        keep(key, PIPE, a);
        snprintf(key, sizeof key, "%s B", name);
        keep(key, PIPE, b);
        return;
    }
    end = word();
    snprintf(key, sizeof key, "%s %s", name, end);
    if (is(verb, "open")) {
        shc_status status = shc_pipe_open(segment, name, end_of(end), &a);
        keep_if_ok(status, key, PIPE, a);
    } else {
        shc_status status;
        options = pipe_options(is(word(), "duplex"));
        status = shc_pipe_open_or_create(segment, name, end_of(end), &options, &a);
        keep_if_ok(status, key, PIPE, a);
    }
}

static void pipe_command(const char *verb, struct object *o) {
    shc_pipe *p = o->handle;
    size_t len;
    bool yes = false, other = false;
    shc_status status;
    if (is(verb, "send")) {
        int64_t limit = timeout();
        struct data d = data();
        ok(shc_pipe_send(p, d.bytes, d.len, limit));
        free(d.bytes);
    } else if (is(verb, "recv")) {
        if (ok(shc_pipe_recv(p, buffer, sizeof buffer, timeout(), &len))) put_data(buffer, len);
    } else if (is(verb, "recv_into")) {
        if (ok(shc_pipe_recv(p, buffer, (size_t)number(), -1, &len))) put_data(buffer, len);
    } else if (is(verb, "recv_in_place")) {
        status = shc_pipe_recv_in_place(p, timeout(), &o->item);
        if (ok(status)) put_data(o->item.data, o->item.len);
    } else if (is(verb, "reserve")) {
        ok(shc_pipe_reserve(p, (size_t)number(), -1, &o->slot));
    } else if (is(verb, "poll")) {
        status = shc_pipe_poll(p, timeout(), &yes);
        answer(status, " %d", yes);
    } else if (is(verb, "can")) {
        status = shc_pipe_can_recv(p, &yes);
        if (status == SHC_OK) status = shc_pipe_can_send(p, &other);
        answer(status, " %d %d", yes, other);
    } else {
        in_place_command(verb, o);
    }
}

static void must(shc_status status) {
    char text[1024] = "";
    if (status == SHC_OK || status == SHC_OWNER_DIED) return;
    if (status < 0) shc_last_error(text, sizeof text);
    fprintf(stderr, "agent.c: status %d %s\n", (int)status, text);
    exit(1);
}

/* Does something over and over, until the process is killed. */
static void hammer(void) {
    char *key = word(), *slash = strchr(key, '/');
    struct object *o;
    struct data both[2];
    size_t i, len;
    if (slash) *slash = ' ';
    o = find(key);
    both[0] = data();
    both[1] = data();
    puts("ok");
    fflush(stdout);
    for (i = 0;; i ^= 1) {
        switch (o->kind) {
        case VALUE:
            must(shc_value_set(o->handle, both[i].bytes, both[i].len));
            break;
        case ARRAY:
            must(shc_array_lock(o->handle, -1));
            must(shc_array_write(o->handle, 0, both[i].bytes, both[i].len));
            must(shc_array_unlock(o->handle));
            break;
        case LOCK:
            must(shc_lock_acquire(o->handle, -1));
            must(shc_lock_release(o->handle));
            break;
        case SEMAPHORE:
            must(shc_semaphore_acquire(o->handle, -1));
            must(shc_semaphore_release(o->handle, 1));
            break;
        case QUEUE:
            must(shc_queue_put(o->handle, both[i].bytes, both[i].len, -1));
            must(shc_queue_get(o->handle, buffer, sizeof buffer, -1, &len));
            break;
        case PIPE:
            must(shc_pipe_send(o->handle, both[i].bytes, both[i].len, -1));
            break;
        case RLOCK:
            must(shc_rlock_acquire(o->handle, -1));
            must(shc_rlock_release(o->handle));
            break;
        case CONDITION:
            must(shc_condition_acquire(o->handle, -1));
            must(shc_condition_notify(o->handle, 1));
            must(shc_condition_release(o->handle));
            break;
        case EVENT:
            must(shc_event_set(o->handle));
            must(shc_event_clear(o->handle));
            break;
        case BARRIER:
            must(shc_barrier_wait(o->handle, -1, &len));
            break;
        case RWLOCK:
            must(shc_rwlock_acquire_read(o->handle, -1));
            must(shc_rwlock_release_read(o->handle));
            must(shc_rwlock_acquire_write(o->handle, -1));
            must(shc_rwlock_release_write(o->handle));
            break;
        }
    }
}

/* ---- waiting for several
 * ---------------------------------------------------------------------------------- */

#define MOST_THINGS 16

/* What words like `readable:q` mean; how many there are. */
static size_t interests(shc_interest *list, char **words) {
    size_t count = 0;
    char *w, *name, *slash;
    while (count < MOST_THINGS && (w = strtok(NULL, " "))) {
        shc_interest *i = &list[count];
        char key[256];
        const struct object *o;
        words[count++] = w;
        name = strchr(w, ':') + 1;
        i->fd = -1;
        i->object = NULL;
        if (strncmp(w, "exited:", 7) == 0) {
            i->what = SHC_FD_READABLE;
            i->fd = (int32_t)syscall(SYS_pidfd_open, atoi(name), 0);
            continue;
        }
        strcpy(key, name);
        if ((slash = strchr(key, '/'))) *slash = ' ';
        o = find(key);
        i->object = o->handle;
        if (o->kind == QUEUE) {
            i->what = *w == 'r' ? SHC_QUEUE_READABLE : SHC_QUEUE_WRITABLE;
        } else if (o->kind == PIPE) {
            i->what = *w == 'r' ? SHC_PIPE_READABLE : SHC_PIPE_WRITABLE;
        } else if (o->kind == EVENT) {
            i->what = SHC_EVENT_SET;
        } else {
            i->what = o->kind == LOCK ? SHC_LOCK_FREE : SHC_SEMAPHORE_FREE;
        }
    }
    return count;
}

static void wait_any(void) {
    shc_interest list[MOST_THINGS];
    char *words[MOST_THINGS];
    bool ready[MOST_THINGS];
    int64_t limit = timeout();
    size_t count = interests(list, words), i;
    if (ok(shc_wait_any(list, count, limit, ready))) {
        for (i = 0; i < count; i++) {
            if (ready[i]) printf(" %s", words[i]);
        }
    }
    for (i = 0; i < count; i++) {
        if (list[i].fd >= 0) close(list[i].fd);
    }
}

/* Whether the bell's descriptor can be read from within some milliseconds. */
static int rings(int ms) {
    struct epoll_event event = {EPOLLIN, {0}};
    int loop = epoll_create1(EPOLL_CLOEXEC), ready;
    int32_t fd = -1;
    if (shc_bell_fd(bell, &fd) != SHC_OK || epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) != 0) broken("a bell");
    ready = epoll_wait(loop, &event, 1, ms);
    close(loop);
    return ready == 1;
}

static void bell_command(const char *verb) {
    if (!bell && shc_bell_create(&bell) != SHC_OK) broken("a bell");
    if (is(verb, "arm")) {
        shc_interest list[MOST_THINGS];
        char *words[MOST_THINGS];
        size_t count = interests(list, words);
        ok(shc_bell_arm(bell, list, count));
    } else if (is(verb, "poll")) {
        int ms = (int)number();
        answer(SHC_OK, " %d", rings(ms));
    } else if (is(verb, "clear")) {
        ok(shc_bell_clear(bell));
    } else {
        broken(verb);
    }
}

static void close_named(const char *key) {
    struct object *o = find(key);
    if (ok(close_object(o))) forget(o);
}

static void object_command(const char *kind, const char *verb, const char *name) {
    struct object *o;
    if (is(verb, "create") || is(verb, "open")) {
        get(kind, name, is(verb, "create"));
        return;
    }
    if (is(verb, "close")) {
        close_named(name);
        return;
    }
    o = find(name);
    switch (o->kind) {
    case VALUE:
        value_command(verb, o);
        break;
    case ARRAY:
        array_command(verb, o);
        break;
    case LOCK:
        lock_command(verb, o);
        break;
    case SEMAPHORE:
        semaphore_command(verb, o);
        break;
    case QUEUE:
        queue_command(verb, o);
        break;
    case PIPE:
        broken(name);
        break;
    case RLOCK:
        rlock_command(verb, o);
        break;
    case CONDITION:
        condition_command(verb, o);
        break;
    case EVENT:
        event_command(verb, o);
        break;
    case BARRIER:
        barrier_command(verb, o);
        break;
    case RWLOCK:
        rwlock_command(verb, o);
        break;
    }
}

static void run(char *line) {
    const char *kind = strtok(line, " "), *verb, *name;
    char key[256];
    if (is(kind, "reset")) {
        ok(reset());
    } else if (is(kind, "segment")) {
        segment_command(word());
    } else if (is(kind, "hammer")) {
        hammer();
    } else if (is(kind, "wait_any")) {
        wait_any();
    } else if (is(kind, "bell")) {
        bell_command(word());
    } else {
        verb = word();
        name = word();
        if (!is(kind, "pipe")) {
            object_command(kind, verb, name);
        } else if (is(verb, "create") || is(verb, "open") || is(verb, "open_or_create")) {
            get_pipe(verb, name);
        } else {
            snprintf(key, sizeof key, "%s %s", name, word());
            if (is(verb, "close")) {
                close_named(key);
            } else {
                pipe_command(verb, find(key));
            }
        }
    }
}

int main(void) {
    char *line = NULL;
    size_t room = 0;
    ssize_t len;
    puts("\nready");
    fflush(stdout);
    while ((len = getline(&line, &room, stdin)) > 0) {
        line[len - 1] = '\0';
        run(line);
        putchar('\n');
        fflush(stdout);
    }
    free(line);
    return 0;
}
