/* Segments: options, names, lists, seats, closing and unlinking. */

#include "check.h"

static shc_segment_options defaults(void) {
    shc_segment_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    return options;
}

static bool is_listed(const char *name) {
    static shc_segment_info list[4096];
    size_t count = 0;
    OK(shc_segment_names(list, 4096, &count));
    for (size_t i = 0; i < count && i < 4096; i++) {
        if (strcmp(list[i].name, name) == 0) return true;
    }
    return false;
}

static void versions(void) {
    CHECK(shc_abi_version() == 1);
    CHECK(shc_layout_version() >= 1);
    CHECK(strlen(shc_version()) >= 5);
}

static void create_open_unlink(void) {
    shc_segment_options options = defaults();
    shc_segment *made = NULL, *opened = NULL, *none = NULL;
    const char *name = unique_name("open");
    char text[256];
    uint64_t number = 0;
    bool unlinked = true;
    options.limit = 8 << 20;
    STATUS(SHC_ERR_NOT_FOUND, shc_segment_open(name, NULL, &none));
    OK(shc_segment_create(name, &options, &made));
    STATUS(SHC_ERR_ALREADY_EXISTS, shc_segment_create(name, NULL, &none));
    OK(shc_segment_open(name, NULL, &opened));
    OK(shc_segment_close(opened));
    OK(shc_segment_open_or_create(name, &options, &opened));
    CHECK(none == NULL);

    OK(shc_segment_name(opened, text, sizeof text));
    CHECK(strcmp(text, name) == 0);
    OK(shc_segment_name(opened, text, strlen(name) + 1));
    STATUS(SHC_ERR_BUFFER_TOO_SMALL, shc_segment_name(opened, text, strlen(name)));
    OK(shc_segment_limit(opened, &number));
    CHECK(number == 8 << 20);
    OK(shc_segment_size(opened, &number));
    CHECK(number > 0 && number <= 8 << 20);

    OK(shc_segment_is_anonymous(made, &unlinked));
    CHECK(!unlinked);
    OK(shc_segment_is_ephemeral(made, &unlinked));
    CHECK(!unlinked && is_listed(name));
    OK(shc_segment_is_unlinked(made, &unlinked));
    CHECK(!unlinked);
    OK(shc_segment_unlink(name));
    STATUS(SHC_ERR_NOT_FOUND, shc_segment_unlink(name));
    OK(shc_segment_is_unlinked(made, &unlinked));
    CHECK(unlinked);
    STATUS(SHC_ERR_NOT_FOUND, shc_segment_open(name, NULL, &none));

    /* Who is attached goes on, beside a new segment of that name. */
    OK(shc_segment_create(name, &options, &none));
    OK(shc_segment_is_unlinked(made, &unlinked));
    CHECK(unlinked);
    OK(shc_segment_unlink(name));
    OK(shc_segment_close(none));
    OK(shc_segment_close(opened));
    OK(shc_segment_close(made));
    OK(shc_segment_close(NULL));
}

/* What a caller of an older header leaves out has its default, what one of a newer header leaves at 0 is
 * fine. */
static void struct_sizes(void) {
    struct {
        shc_segment_options known;
        uint64_t unknown;
    } newer;
    shc_segment *segment = NULL;
    const char *name = unique_name("sizes");
    uint64_t limit = 0;
    memset(&newer, 0, sizeof newer);
    newer.known.struct_size = sizeof newer;
    newer.known.limit = 4 << 20;
    newer.unknown = 1;
    STATUS(SHC_ERR_UNSUPPORTED, shc_segment_create(name, &newer.known, &segment));
    newer.unknown = 0;
    OK(shc_segment_create(name, &newer.known, &segment));
    OK(shc_segment_limit(segment, &limit));
    CHECK(limit == 4 << 20);
    OK(shc_segment_unlink(name));
    OK(shc_segment_close(segment));

    newer.known.struct_size = sizeof(size_t);
    OK(shc_segment_create(name, &newer.known, &segment));
    OK(shc_segment_limit(segment, &limit));
    CHECK(limit == 1 << 30);
    OK(shc_segment_unlink(name));
    OK(shc_segment_close(segment));
}

static void ephemeral(void) {
    shc_segment_options options = defaults();
    shc_segment *segment = NULL, *none = NULL;
    const char *name = unique_name("ephemeral");
    size_t removed = 0;
    bool is = false;
    options.flags = SHC_SEGMENT_EPHEMERAL;
    OK(shc_segment_create(name, &options, &segment));
    OK(shc_segment_is_ephemeral(segment, &is));
    CHECK(is);
    OK(shc_gc(&removed));
    OK(shc_segment_open(name, NULL, &none));
    OK(shc_segment_close(none));
    OK(shc_segment_close(segment));
    STATUS(SHC_ERR_NOT_FOUND, shc_segment_open(name, NULL, &none));
}

static void grows_to_its_limit(void) {
    shc_segment_options options = defaults();
    shc_segment *segment = NULL;
    shc_array *array = NULL, *none = NULL;
    shc_type type = code('B');
    const char *name = unique_name("limit");
    uint64_t before = 0, after = 0;
    options.flags = SHC_SEGMENT_EPHEMERAL;
    options.limit = 4 << 20;
    OK(shc_segment_create(name, &options, &segment));
    OK(shc_segment_size(segment, &before));
    OK(shc_array_create(segment, "large", &type, 2 << 20, &array));
    OK(shc_segment_size(segment, &after));
    CHECK(after > before && after <= 4 << 20);
    STATUS(SHC_ERR_LIMIT_REACHED, shc_array_create(segment, "larger", &type, 8 << 20, &none));
    CHECK(none == NULL);
    OK(shc_array_close(array));
    OK(shc_segment_close(segment));
}

static void busy(void) {
    shc_segment *segment = test_segment("busy"), *second = NULL;
    shc_value *value = NULL;
    shc_type type = code('i');
    OK(shc_value_create(segment, "v", &type, NULL, &value));
    STATUS(SHC_ERR_BUSY, shc_segment_close(segment));
    OK(shc_segment_open(unique_name("busy"), NULL, &second));
    OK(shc_segment_close(segment));
    STATUS(SHC_ERR_BUSY, shc_segment_close(second));
    OK(shc_value_close(value));
    OK(shc_segment_close(second));
}

static const shc_object_info *find(const shc_object_info *list, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0) return &list[i];
    CHECK(!"the object is in the list");
    return NULL;
}

static void objects(void) {
    shc_segment *segment = test_segment("objects");
    shc_object_info list[8];
    const shc_object_info *info;
    shc_value *value = NULL, *other = NULL;
    shc_array *array = NULL;
    shc_lock *lock = NULL;
    shc_semaphore *semaphore = NULL;
    shc_queue *queue = NULL;
    shc_pipe *a = NULL, *b = NULL;
    shc_type type = code('d');
    size_t count = 7;
    OK(shc_segment_objects(segment, NULL, 0, &count));
    CHECK(count == 0);
    OK(shc_value_create(segment, "v", &type, NULL, &value));
    OK(shc_array_create(segment, "a", &type, 12, &array));
    OK(shc_lock_create(segment, "l", &lock));
    OK(shc_semaphore_create(segment, "s", 1, &semaphore));
    OK(shc_queue_create(segment, "q", NULL, &queue));
    OK(shc_pipe_create(segment, "p", NULL, &a, &b));
    OK(shc_segment_objects(segment, NULL, 0, &count));
    CHECK(count == 6);
    memset(list, 0x5a, sizeof list);
    OK(shc_segment_objects(segment, list, 2, &count));
    CHECK(count == 6 && list[2].name[0] == 0x5a);
    OK(shc_segment_objects(segment, list, 8, &count));
    CHECK(count == 6 && list[6].name[0] == 0x5a);

    info = find(list, count, "v");
    CHECK(info->kind == SHC_KIND_VALUE && info->typecode == 'd' && info->element_size == 8 &&
          info->count == 1);
    info = find(list, count, "a");
    CHECK(info->kind == SHC_KIND_ARRAY && info->typecode == 'd' && info->element_size == 8 &&
          info->count == 12);
    CHECK(find(list, count, "l")->kind == SHC_KIND_LOCK);
    CHECK(find(list, count, "s")->kind == SHC_KIND_SEMAPHORE);
    info = find(list, count, "q");
    CHECK(info->kind == SHC_KIND_QUEUE && info->count == 1024);
    CHECK(find(list, count, "p")->kind == SHC_KIND_PIPE);

    /* One table of names for all kinds. */
    STATUS(SHC_ERR_ALREADY_EXISTS, shc_value_create(segment, "l", &type, NULL, &other));
    STATUS(SHC_ERR_WRONG_KIND, shc_value_open(segment, "l", &type, &other));
    STATUS(SHC_ERR_WRONG_KIND, shc_value_open_or_create(segment, "q", &type, NULL, &other));

    /* A removed object lives on for who has it open, and its name is free. */
    OK(shc_segment_remove(segment, "v"));
    STATUS(SHC_ERR_NOT_FOUND, shc_segment_remove(segment, "v"));
    STATUS(SHC_ERR_NOT_FOUND, shc_value_open(segment, "v", &type, &other));
    OK(shc_value_create(segment, "v", &type, &(double){2.5}, &other));
    OK(shc_value_set(value, &(double){1.5}, sizeof(double)));
    double seen = 0;
    OK(shc_value_get(other, &seen, sizeof seen));
    CHECK(seen == 2.5);

    OK(shc_pipe_close(b));
    OK(shc_pipe_close(a));
    OK(shc_queue_close(queue));
    OK(shc_semaphore_close(semaphore));
    OK(shc_lock_close(lock));
    OK(shc_array_close(array));
    OK(shc_value_close(other));
    OK(shc_value_close(value));
    OK(shc_segment_close(segment));
}

static signpost ready;

static void show_up(void *unused) {
    (void)unused;
    reached(ready);
    stay();
}

/* The name of this program's command, as the kernel has it. */
static bool is_own_command(const char *command) {
    char own[24] = "";
    FILE *file = fopen("/proc/self/comm", "r");
    CHECK(file != NULL && fgets(own, sizeof own, file) != NULL);
    fclose(file);
    own[strcspn(own, "\n")] = 0;
    return strcmp(command, own) == 0;
}

static void participants(void) {
    shc_segment *segment = test_segment("seats");
    shc_participant_info list[4];
    size_t count = 0, swept = 0;
    pid_t child;
    ready = new_signpost();
    child = start(show_up, NULL);
    await(ready);
    OK(shc_segment_participants(segment, list, 4, &count));
    CHECK(count == 2);
    CHECK(list[0].pid == (uint32_t)getpid() && list[1].pid == (uint32_t)child);
    CHECK(list[0].label != 0 && list[1].label != 0 && list[0].label != list[1].label);
    CHECK(list[0].alive && list[1].alive && list[0].start_time > 0 && list[1].start_time == 0);
    CHECK(is_own_command(list[0].command) && is_own_command(list[1].command));
    slay(child);
    OK(shc_segment_recover(segment, &swept));
    CHECK(swept == 1);
    OK(shc_segment_participants(segment, list, 4, &count));
    CHECK(count == 1);
    OK(shc_segment_recover(segment, &swept));
    CHECK(swept == 0);
    OK(shc_segment_close(segment));
}

static void find_no_seat(void *lock) {
    STATUS(SHC_ERR_NOT_ATTACHED, shc_lock_acquire((const shc_lock *)lock, 0));
    STATUS(SHC_ERR_NOT_ATTACHED, shc_lock_release((const shc_lock *)lock));
}

static signpost made;

static void open_a_full_one(void *name) {
    shc_segment *none = NULL;
    await(made);
    STATUS(SHC_ERR_TABLE_FULL, shc_segment_open((const char *)name, NULL, &none));
    CHECK(none == NULL);
}

static void table_full(void) {
    shc_segment_options options = defaults();
    shc_segment *segment = NULL;
    shc_lock *lock = NULL;
    char name[128];
    pid_t stranger;
    snprintf(name, sizeof name, "%s", unique_name("full"));
    made = new_signpost();
    stranger = start(open_a_full_one, name);
    options.participants = 1;
    options.flags = SHC_SEGMENT_EPHEMERAL;
    OK(shc_segment_create(name, &options, &segment));
    reached(made);
    finish(stranger);
    OK(shc_lock_create(segment, "l", &lock));
    finish(start(find_no_seat, lock));
    OK(shc_lock_acquire(lock, 0));
    OK(shc_lock_release(lock));
    OK(shc_lock_close(lock));
    OK(shc_segment_close(segment));
}

static void create_it(void *name) {
    shc_segment *segment = NULL;
    await(made);
    OK(shc_segment_create((const char *)name, NULL, &segment));
    OK(shc_segment_close(segment));
}

static void waits_for_a_creator(void) {
    shc_segment_options options = defaults();
    shc_segment *segment = NULL;
    char name[128];
    pid_t creator;
    snprintf(name, sizeof name, "%s", unique_name("wait"));
    options.wait_ns = SHORT_NS;
    STATUS(SHC_ERR_NOT_FOUND, shc_segment_open(name, &options, &segment));
    made = new_signpost();
    creator = start(create_it, name);
    reached(made);
    options.wait_ns = LONG_NS;
    OK(shc_segment_open(name, &options, &segment));
    finish(creator);
    OK(shc_segment_unlink(name));
    OK(shc_segment_close(segment));
}

int main(void) {
    alarm(WATCHDOG);
    versions();
    create_open_unlink();
    struct_sizes();
    ephemeral();
    grows_to_its_limit();
    busy();
    objects();
    participants();
    table_full();
    waits_for_a_creator();
    puts("ok");
    return 0;
}
