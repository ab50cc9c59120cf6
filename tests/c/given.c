/* Segments over memory that the caller has mapped: what is refused, another mapping of it, and killed users.
 */

#include "check.h"

#include <sys/mman.h>

#define SIZE (1 << 20)

static char *name;
static signpost held;
static int memory;

static void *map(void) {
    void *mapped = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    CHECK(mapped != MAP_FAILED);
    return mapped;
}

/* Attaches over its own mapping of the memory, uses it, and holds the lock until it is killed. */
static void use(void *unused) {
    static unsigned char large[5000];
    shc_segment *segment = NULL;
    shc_queue *queue = NULL;
    shc_lock *lock = NULL;
    (void)unused;
    memset(large, 3, sizeof large);
    OK(shc_segment_open_over(name, map(), SIZE, NULL, &segment));
    OK(shc_queue_open(segment, "queue", &queue));
    OK(shc_queue_put(queue, large, sizeof large, LONG_NS));
    OK(shc_lock_open(segment, "lock", &lock));
    OK(shc_lock_acquire(lock, LONG_NS));
    reached(held);
    stay();
}

static void what_is_refused(char *mapped) {
    shc_segment *none = NULL;
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_segment_create_over(name, NULL, SIZE, NULL, &none));
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_segment_create_over(name, mapped + 64, SIZE - 64, NULL, &none));
    CHECK(shc_segment_create_over(name, mapped, 64, NULL, &none) < 0);
    STATUS(SHC_ERR_INVALID_NAME, shc_segment_create_over("", mapped, SIZE, NULL, &none));
    STATUS(SHC_ERR_NOT_FOUND, shc_segment_open_over(name, mapped, SIZE, NULL, &none));
    STATUS(SHC_ERR_NOT_FOUND, shc_segment_unlink(name));
    CHECK(none == NULL);
}

static void it_is_used(shc_segment *segment, pid_t user) {
    static unsigned char seen[8192];
    shc_type type = code('B');
    shc_array *none = NULL;
    shc_queue *queue = NULL;
    shc_lock *lock = NULL;
    size_t len = 0;
    uint64_t limit = 0;
    OK(shc_segment_limit(segment, &limit));
    CHECK(limit == SIZE);
    STATUS(SHC_ERR_LIMIT_REACHED, shc_array_create(segment, "large", &type, 2 * SIZE, &none));
    OK(shc_queue_open(segment, "queue", &queue));
    OK(shc_lock_open(segment, "lock", &lock));
    OK(shc_queue_get(queue, seen, sizeof seen, LONG_NS, &len));
    CHECK(len == 5000 && seen[0] == 3 && seen[4999] == 3);
    STATUS(SHC_WOULD_BLOCK, shc_lock_acquire(lock, 0));
    slay(user);
    STATUS(SHC_OWNER_DIED, shc_lock_acquire(lock, LONG_NS));
    OK(shc_lock_release(lock));
    OK(shc_lock_close(lock));
    OK(shc_queue_close(queue));
}

/* Of many that come at once one lays it, and the others open it. */
static void count_once(void *unused) {
    shc_type type = code('q');
    shc_segment *segment = NULL;
    shc_value *number = NULL;
    (void)unused;
    OK(shc_segment_open_or_create_over(name, map(), SIZE, NULL, &segment));
    OK(shc_value_open_or_create(segment, "number", &type, NULL, &number));
    OK(shc_value_add_int(number, 1, NULL));
}

static void open_or_create(void) {
    shc_type type = code('q');
    shc_segment *segment = NULL;
    shc_value *number = NULL;
    pid_t children[8];
    int64_t count = 0;
    bool is = true;
    for (int i = 0; i < 8; i++) children[i] = start(count_once, NULL);
    for (int i = 0; i < 8; i++) finish(children[i]);
    OK(shc_segment_open_or_create_over(name, map(), SIZE, NULL, &segment));
    OK(shc_segment_is_anonymous(segment, &is));
    CHECK(!is);
    OK(shc_value_open(segment, "number", &type, &number));
    OK(shc_value_get(number, &count, sizeof count));
    CHECK(count == 8);
    OK(shc_value_close(number));
    OK(shc_segment_close(segment));
    OK(shc_segment_unlink(name));
    STATUS(SHC_ERR_NOT_FOUND, shc_segment_unlink(name));
}

int main(void) {
    shc_segment *segment = NULL, *none = NULL;
    shc_queue *queue = NULL;
    shc_lock *lock = NULL;
    void *other;
    char *mapped;
    pid_t user;
    alarm(WATCHDOG);
    held = new_signpost();
    name = (char *)unique_name("given");
    memory = memfd_create("given", MFD_CLOEXEC);
    CHECK(memory >= 0 && ftruncate(memory, SIZE) == 0);
    mapped = map();
    what_is_refused(mapped);
    OK(shc_segment_create_over(name, mapped, SIZE, NULL, &segment));
    other = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    STATUS(SHC_ERR_ALREADY_EXISTS, shc_segment_create_over(name, other, SIZE, NULL, &none));
    OK(shc_queue_create(segment, "queue", NULL, &queue));
    OK(shc_lock_create(segment, "lock", &lock));
    OK(shc_queue_close(queue));
    OK(shc_lock_close(lock));
    user = start(use, NULL);
    await(held);
    it_is_used(segment, user);
    OK(shc_segment_close(segment));
    OK(shc_segment_unlink(name));
    open_or_create();
    CHECK(munmap(mapped, SIZE) == 0 && munmap(other, SIZE) == 0 && close(memory) == 0);
    puts("ok");
    return 0;
}
