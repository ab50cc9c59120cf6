/* Queues: put and get, many at a time, in place, large items, limits, shutdown, children, and killed holders.
 */

#include "check.h"

static shc_segment *segment;

static shc_queue_options defaults(void) {
    shc_queue_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    return options;
}

static shc_queue *make(const char *name, uint64_t capacity) {
    shc_queue_options options = defaults();
    shc_queue *queue = NULL;
    options.capacity = capacity;
    OK(shc_queue_create(segment, name, &options, &queue));
    return queue;
}

static size_t qsize(const shc_queue *queue) {
    size_t size = 99;
    bool empty = false;
    OK(shc_queue_qsize(queue, &size));
    OK(shc_queue_empty(queue, &empty));
    CHECK(empty == (size == 0));
    return size;
}

static bool full(const shc_queue *queue) {
    bool is = false;
    OK(shc_queue_full(queue, &is));
    return is;
}

static void put(const shc_queue *queue, const char *text) { OK(shc_queue_put(queue, text, strlen(text), 0)); }

/* The next item is this text. */
static void gives(const shc_queue *queue, const char *text) {
    char seen[128];
    size_t len = 0;
    OK(shc_queue_get(queue, seen, sizeof seen, LONG_NS, &len));
    CHECK(len == strlen(text) && memcmp(seen, text, len) == 0);
}

static bool is(const shc_item *item, const char *text) {
    return item->len == strlen(text) && memcmp(item->data, text, item->len) == 0;
}

static void put_and_get(void) {
    shc_queue *queue = make("simple", 3), *again = NULL, *none = NULL;
    shc_queue_options options = defaults();
    char seen[4] = "zzz";
    size_t len = 99;
    uint64_t largest = 0;
    bool down = true;
    CHECK(qsize(queue) == 0 && !full(queue));
    STATUS(SHC_WOULD_BLOCK, shc_queue_get(queue, seen, sizeof seen, 0, &len));
    STATUS(SHC_TIMED_OUT, shc_queue_get(queue, seen, sizeof seen, SHORT_NS, &len));
    CHECK(len == 99 && seen[0] == 'z');
    put(queue, "one");
    put(queue, "");
    put(queue, "three");
    CHECK(qsize(queue) == 3 && full(queue));
    STATUS(SHC_WOULD_BLOCK, shc_queue_put(queue, "x", 1, 0));
    STATUS(SHC_TIMED_OUT, shc_queue_put(queue, "x", 1, SHORT_NS));
    gives(queue, "one");
    gives(queue, "");
    STATUS(SHC_ERR_BUFFER_TOO_SMALL, shc_queue_get(queue, seen, sizeof seen, 0, &len));
    CHECK(len == 5 && qsize(queue) == 1);
    gives(queue, "three");
    OK(shc_queue_put(queue, NULL, 0, 0));
    OK(shc_queue_get(queue, NULL, 0, 0, &len));
    CHECK(len == 0);

    OK(shc_queue_capacity(queue, &len));
    CHECK(len == 3);
    OK(shc_queue_max_item(queue, &largest));
    CHECK(largest >= 1 << 20);
    OK(shc_queue_is_shutdown(queue, &down));
    CHECK(!down);

    options.capacity = 3;
    OK(shc_queue_open(segment, "simple", &again));
    OK(shc_queue_close(again));
    OK(shc_queue_open_or_create(segment, "simple", &options, &again));
    put(again, "shared");
    gives(queue, "shared");
    options.capacity = 4;
    STATUS(SHC_ERR_WRONG_SIZE, shc_queue_open_or_create(segment, "simple", &options, &none));
    STATUS(SHC_ERR_ALREADY_EXISTS, shc_queue_create(segment, "simple", NULL, &none));
    STATUS(SHC_ERR_NOT_FOUND, shc_queue_open(segment, "none", &none));
    CHECK(none == NULL);
    OK(shc_queue_close(again));
    OK(shc_queue_close(queue));
    OK(shc_queue_close(NULL));
}

static void many(void) {
    const shc_buffer items[] = {{"a", 1}, {NULL, 0}, {"ccc", 3}, {"dd", 2}};
    shc_queue *queue = make("many", 3);
    char seen[8];
    size_t lens[4], count = 99;
    OK(shc_queue_put_many(queue, items, 0, 0, &count));
    CHECK(count == 0);
    OK(shc_queue_put_many(queue, items, 4, 0, &count));
    CHECK(count == 3 && full(queue));
    count = 99;
    STATUS(SHC_WOULD_BLOCK, shc_queue_put_many(queue, items, 4, 0, &count));
    STATUS(SHC_TIMED_OUT, shc_queue_put_many(queue, items, 4, SHORT_NS, &count));
    CHECK(count == 99);
    OK(shc_queue_get_many(queue, seen, sizeof seen, lens, 2, LONG_NS, &count));
    CHECK(count == 2 && lens[0] == 1 && lens[1] == 0 && seen[0] == 'a');
    OK(shc_queue_put_many(queue, items + 3, 1, 0, &count));
    CHECK(count == 1);

    /* "ccc" fits, "dd" does not any more. */
    OK(shc_queue_get_many(queue, seen, 4, lens, 4, 0, &count));
    CHECK(count == 1 && lens[0] == 3 && memcmp(seen, "ccc", 3) == 0);
    count = 99;
    STATUS(SHC_ERR_BUFFER_TOO_SMALL, shc_queue_get_many(queue, seen, 1, lens, 4, 0, &count));
    CHECK(count == 99);
    gives(queue, "dd");
    STATUS(SHC_WOULD_BLOCK, shc_queue_get_many(queue, seen, sizeof seen, lens, 4, 0, &count));
    STATUS(SHC_TIMED_OUT, shc_queue_get_many(queue, seen, sizeof seen, lens, 4, SHORT_NS, &count));
    CHECK(count == 99);
    OK(shc_queue_close(queue));
}

/* Where items go, as long as there is room for them. */
typedef struct {
    char text[64];
    size_t items, room;
} basket;

static bool into_basket(void *userdata, const void *data, size_t len) {
    basket *all = userdata;
    if (all->items == all->room) { return false; }
    all->items++;
    strncat(all->text, data, len);
    return true;
}

static void with_a_function(void) {
    shc_queue *queue = make("function", 8);
    size_t count = 99;
    basket none = {"", 0, 0}, two = {"", 0, 2}, all = {"", 0, 9};
    STATUS(SHC_WOULD_BLOCK, shc_queue_get_with(queue, 3, 0, into_basket, &all, &count));
    STATUS(SHC_TIMED_OUT, shc_queue_get_with(queue, 3, SHORT_NS, into_basket, &all, &count));
    CHECK(count == 99);
    put(queue, "one ");
    put(queue, "two ");
    put(queue, "three ");
    OK(shc_queue_get_with(queue, 3, 0, into_basket, &none, &count));
    CHECK(count == 0 && qsize(queue) == 3);
    OK(shc_queue_get_with(queue, 0, -1, into_basket, &all, &count));
    CHECK(count == 0 && all.items == 0);
    OK(shc_queue_get_with(queue, 3, -1, into_basket, &two, &count));
    CHECK(count == 2 && strcmp(two.text, "one two ") == 0);
    /* What was refused is still the oldest, and was not delivered. */
    shc_item item;
    OK(shc_queue_recv(queue, 0, &item));
    CHECK(is(&item, "three ") && item.deliveries == 1);
    OK(shc_queue_put_back(queue, &item));
    OK(shc_queue_shutdown(queue));
    OK(shc_queue_get_with(queue, 3, -1, into_basket, &all, &count));
    CHECK(count == 1 && strcmp(all.text, "three ") == 0);
    STATUS(SHC_CLOSED, shc_queue_get_with(queue, 3, -1, into_basket, &all, &count));
    OK(shc_queue_close(queue));
}

static void items_in_place(void) {
    shc_queue *queue = make("items", 3);
    shc_item first, second, copy;
    put(queue, "first");
    put(queue, "second");
    OK(shc_queue_recv(queue, -1, &first));
    OK(shc_queue_recv(queue, 0, &second));
    CHECK(is(&first, "first") && is(&second, "second"));
    CHECK(first.number != second.number && first.deliveries == 1 && first.reserved == 0);
    STATUS(SHC_WOULD_BLOCK, shc_queue_recv(queue, 0, &copy));
    STATUS(SHC_TIMED_OUT, shc_queue_recv(queue, SHORT_NS, &copy));

    /* Items that are kept cost a cell each, not the queue. */
    for (int i = 0; i < 10; i++) {
        put(queue, "passes by");
        gives(queue, "passes by");
    }
    CHECK(is(&first, "first") && is(&second, "second"));

    /* Put back, it comes again under its number. */
    OK(shc_queue_put_back(queue, &first));
    STATUS(SHC_ERR_NOT_HELD, shc_queue_put_back(queue, &first));
    STATUS(SHC_ERR_NOT_HELD, shc_queue_release(queue, &first));
    OK(shc_queue_recv(queue, LONG_NS, &copy));
    CHECK(is(&copy, "first") && copy.number == first.number && copy.deliveries == 2);
    OK(shc_queue_release(queue, &copy));
    STATUS(SHC_ERR_NOT_HELD, shc_queue_release(queue, &copy));
    STATUS(SHC_ERR_NOT_HELD, shc_queue_put_back(queue, &copy));
    OK(shc_queue_release(queue, &second));
    STATUS(SHC_ERR_NOT_HELD, shc_queue_release(queue, &second));
    CHECK(qsize(queue) == 0);
    OK(shc_queue_close(queue));
}

/* An item that was given back means nothing, also when its cell holds another by now. */
static void stale_items(size_t len, const char *name) {
    char *bytes = (char *)calloc(1, len);
    shc_queue *queue = make(name, 1);
    shc_item old, now;
    shc_slot place, next;
    for (int i = 0; i < 3; i++) {
        OK(shc_queue_put(queue, bytes, len, 0));
        OK(shc_queue_recv(queue, 0, &old));
        OK(shc_queue_release(queue, &old));
        OK(shc_queue_put(queue, bytes, len, 0));
        STATUS(SHC_ERR_NOT_HELD, shc_queue_release(queue, &old));
        OK(shc_queue_recv(queue, 0, &now));
        STATUS(SHC_ERR_NOT_HELD, shc_queue_release(queue, &old));
        STATUS(SHC_ERR_NOT_HELD, shc_queue_put_back(queue, &old));
        OK(shc_queue_release(queue, &now));

        OK(shc_queue_reserve(queue, len, 0, &place));
        OK(shc_queue_abort(queue, &place));
        OK(shc_queue_reserve(queue, len, 0, &next));
        STATUS(SHC_ERR_NOT_HELD, shc_queue_commit(queue, &place, len));
        STATUS(SHC_ERR_NOT_HELD, shc_queue_abort(queue, &place));
        OK(shc_queue_abort(queue, &next));
    }
    CHECK(qsize(queue) == 0);
    OK(shc_queue_close(queue));
    free(bytes);
}

static void places(void) {
    shc_queue *queue = make("places", 2);
    shc_slot slot, other;
    OK(shc_queue_reserve(queue, 10, 0, &slot));
    CHECK(slot.len == 10);
    memcpy(slot.data, "0123456789", 10);
    CHECK(qsize(queue) == 0);
    OK(shc_queue_reserve(queue, 5, 0, &other));
    CHECK(full(queue));
    STATUS(SHC_WOULD_BLOCK, shc_queue_reserve(queue, 5, 0, &(shc_slot){0}));
    STATUS(SHC_TIMED_OUT, shc_queue_reserve(queue, 5, SHORT_NS, &(shc_slot){0}));
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_queue_commit(queue, &slot, 11));
    OK(shc_queue_abort(queue, &other));
    STATUS(SHC_ERR_NOT_HELD, shc_queue_abort(queue, &other));
    STATUS(SHC_ERR_NOT_HELD, shc_queue_commit(queue, &other, 1));
    OK(shc_queue_commit(queue, &slot, 4));
    STATUS(SHC_ERR_NOT_HELD, shc_queue_commit(queue, &slot, 4));
    gives(queue, "0123");
    CHECK(qsize(queue) == 0);
    OK(shc_queue_reserve(queue, 0, 0, &slot));
    OK(shc_queue_commit(queue, &slot, 0));
    gives(queue, "");
    OK(shc_queue_close(queue));
}

#define LARGE (3 << 20)

static void fill(unsigned char *bytes, size_t len, unsigned seed) {
    for (size_t i = 0; i < len; i++) bytes[i] = (unsigned char)(i * 7 + i / 251 + seed);
}

/* Sizes about the border of a cell, and far beyond it. */
static void large_items(void) {
    static unsigned char bytes[LARGE], seen[LARGE];
    const size_t sizes[] = {1, 103, 104, 105, 4096, 65537, LARGE};
    shc_queue *queue = make("large", 4);
    shc_item item;
    shc_slot slot;
    size_t len = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const size_t size = sizes[i];
        fill(bytes, size, (unsigned)i);
        OK(shc_queue_put(queue, bytes, size, 0));
        OK(shc_queue_reserve(queue, size, 0, &slot));
        memcpy(slot.data, bytes, size);
        OK(shc_queue_commit(queue, &slot, size));
        OK(shc_queue_get(queue, seen, sizeof seen, 0, &len));
        CHECK(len == size && memcmp(seen, bytes, size) == 0);
        OK(shc_queue_recv(queue, 0, &item));
        CHECK(item.len == size && memcmp(item.data, bytes, size) == 0);
        OK(shc_queue_put_back(queue, &item));
        STATUS(SHC_ERR_BUFFER_TOO_SMALL, shc_queue_get(queue, seen, size - 1, 0, &len));
        OK(shc_queue_recv(queue, 0, &item));
        CHECK(item.len == size && memcmp(item.data, bytes, size) == 0);
        OK(shc_queue_release(queue, &item));
    }
    /* Memory comes back: this is more than the segment holds. */
    for (int i = 0; i < 100; i++) {
        OK(shc_queue_put(queue, bytes, LARGE, 0));
        OK(shc_queue_get(queue, seen, sizeof seen, 0, &len));
        OK(shc_queue_reserve(queue, LARGE, 0, &slot));
        OK(shc_queue_abort(queue, &slot));
    }
    OK(shc_queue_close(queue));
}

static void limits(void) {
    static unsigned char bytes[1000];
    shc_queue_options options = defaults();
    shc_queue *queue = NULL;
    uint64_t largest = 0;
    char seen[1000];
    size_t len;
    options.capacity = 8;
    options.max_item = 300;
    OK(shc_queue_create(segment, "max_item", &options, &queue));
    OK(shc_queue_max_item(queue, &largest));
    CHECK(largest == 300);
    OK(shc_queue_put(queue, bytes, 300, 0));
    STATUS(SHC_ERR_TOO_LARGE, shc_queue_put(queue, bytes, 301, 0));
    STATUS(SHC_ERR_TOO_LARGE, shc_queue_reserve(queue, 301, 0, &(shc_slot){0}));
    CHECK(qsize(queue) == 1);
    OK(shc_queue_close(queue));

    options = defaults();
    options.capacity = 8;
    options.max_bytes = 1000;
    options.inline_bytes = 64;
    OK(shc_queue_create(segment, "max_bytes", &options, &queue));
    OK(shc_queue_max_bytes(queue, &largest));
    CHECK(largest == 1000);
    STATUS(SHC_ERR_TOO_LARGE, shc_queue_put(queue, bytes, 1001, 0));
    for (int i = 0; i < 20; i++) {
        OK(shc_queue_put(queue, bytes, 600, 0));
        OK(shc_queue_put(queue, bytes, 400, 0));
        STATUS(SHC_WOULD_BLOCK, shc_queue_put(queue, bytes, 1, 0));
        STATUS(SHC_TIMED_OUT, shc_queue_put(queue, bytes, 1, SHORT_NS));
        OK(shc_queue_get(queue, seen, sizeof seen, 0, &len));
        OK(shc_queue_put(queue, bytes, 600, 0));
        OK(shc_queue_get(queue, seen, sizeof seen, 0, &len));
        OK(shc_queue_get(queue, seen, sizeof seen, 0, &len));
    }
    OK(shc_queue_close(queue));
}

static void get_until_closed(void *queue) {
    char seen[16];
    size_t len = 0;
    gives((const shc_queue *)queue, "last");
    STATUS(SHC_CLOSED, shc_queue_get((const shc_queue *)queue, seen, sizeof seen, -1, &len));
}

static void put_until_closed(void *queue) {
    STATUS(SHC_CLOSED, shc_queue_put((const shc_queue *)queue, "x", 1, -1));
}

static void shutdown_wakes_all(void) {
    shc_queue *queue = make("shutdown", 1), *filled = make("filled", 1);
    const shc_buffer one = {"x", 1};
    shc_item item;
    size_t count = 99;
    bool down = false;
    pid_t children[2];
    put(queue, "last");
    put(filled, "stays");
    children[0] = start(get_until_closed, queue);
    children[1] = start(put_until_closed, filled);
    OK(shc_queue_shutdown(queue));
    OK(shc_queue_shutdown(filled));
    for (int i = 0; i < 2; i++) finish(children[i]);
    OK(shc_queue_is_shutdown(queue, &down));
    CHECK(down);
    STATUS(SHC_CLOSED, shc_queue_put(queue, "x", 1, 0));
    STATUS(SHC_CLOSED, shc_queue_put_many(queue, &one, 1, -1, &count));
    STATUS(SHC_CLOSED, shc_queue_reserve(queue, 1, -1, &(shc_slot){0}));
    STATUS(SHC_CLOSED, shc_queue_recv(queue, -1, &item));
    OK(shc_queue_shutdown(queue));
    CHECK(count == 99 && qsize(filled) == 1);
    gives(filled, "stays");
    STATUS(SHC_CLOSED, shc_queue_recv(filled, 0, &item));
    OK(shc_queue_close(filled));
    OK(shc_queue_close(queue));
}

static signpost taken;

static void take_and_stay(void *queue) {
    shc_item item;
    OK(shc_queue_recv((const shc_queue *)queue, -1, &item));
    reached(taken);
    stay();
}

static void reserve_and_stay(void *queue) {
    shc_slot slot;
    OK(shc_queue_reserve((const shc_queue *)queue, 5000, -1, &slot));
    memset(slot.data, 'x', slot.len);
    reached(taken);
    stay();
}

/* What a killed process had taken comes again; what it was putting was never there. */
static void deaths(size_t len, const char *name) {
    unsigned char *bytes = (unsigned char *)malloc(len);
    shc_queue *queue = make(name, 2);
    shc_item item;
    uint64_t number = 0;
    pid_t child;
    fill(bytes, len, 1);
    OK(shc_queue_put(queue, bytes, len, 0));
    for (uint32_t i = 1; i <= 3; i++) {
        child = start(take_and_stay, queue);
        await(taken);
        STATUS(SHC_WOULD_BLOCK, shc_queue_recv(queue, 0, &item));
        slay(child);
        OK(shc_queue_recv(queue, LONG_NS, &item));
        CHECK(item.len == len && memcmp(item.data, bytes, len) == 0);
        CHECK(item.deliveries == 2 * i && (i == 1 || item.number == number));
        number = item.number;
        OK(shc_queue_put_back(queue, &item));
    }
    OK(shc_queue_recv(queue, 0, &item));
    OK(shc_queue_release(queue, &item));
    for (int i = 0; i < 5; i++) {
        child = start(reserve_and_stay, queue);
        await(taken);
        slay(child);
        OK(shc_queue_put(queue, "after", 5, LONG_NS));
        gives(queue, "after");
        CHECK(qsize(queue) == 0);
    }
    OK(shc_queue_close(queue));
    free(bytes);
}

static void take_and_close(void *queue) {
    shc_item item;
    shc_slot slot;
    OK(shc_queue_recv((const shc_queue *)queue, -1, &item));
    OK(shc_queue_reserve((const shc_queue *)queue, 1, -1, &slot));
    OK(shc_queue_close((shc_queue *)queue));
    reached(taken);
    stay();
}

/* Who closes a queue for good gives back what it holds of it. */
static void closing_gives_back(void) {
    shc_queue *queue = make("closed", 2);
    shc_item item;
    pid_t child;
    put(queue, "kept");
    child = start(take_and_close, queue);
    await(taken);
    OK(shc_queue_recv(queue, 0, &item));
    CHECK(is(&item, "kept") && item.deliveries == 2);
    put(queue, "x");
    slay(child);
    OK(shc_queue_release(queue, &item));
    OK(shc_queue_close(queue));
}

static void give_back_the_parents(void *with) {
    const shc_queue *queue = ((void **)with)[0];
    const shc_item *item = ((void **)with)[1];
    const shc_slot *slot = ((void **)with)[2];
    STATUS(SHC_ERR_NOT_HELD, shc_queue_release(queue, item));
    STATUS(SHC_ERR_NOT_HELD, shc_queue_put_back(queue, item));
    STATUS(SHC_ERR_NOT_HELD, shc_queue_commit(queue, slot, 1));
    STATUS(SHC_ERR_NOT_HELD, shc_queue_abort(queue, slot));
}

static void a_fork_shares_no_item(void) {
    shc_queue *queue = make("fork", 4);
    shc_item item;
    shc_slot slot;
    void *with[] = {queue, &item, &slot};
    put(queue, "mine");
    OK(shc_queue_recv(queue, 0, &item));
    OK(shc_queue_reserve(queue, 1, 0, &slot));
    finish(start(give_back_the_parents, with));
    CHECK(is(&item, "mine"));
    OK(shc_queue_release(queue, &item));
    OK(shc_queue_commit(queue, &slot, 1));
    CHECK(qsize(queue) == 1);
    OK(shc_queue_close(queue));
}

#define ITEMS 20000
#define WORKERS 3

static shc_value *sum;

static void consume(void *queue) {
    for (int turn = 0;; turn++) {
        int64_t number[16], total = 0;
        size_t lens[16], count = 1;
        shc_status status;
        shc_item item;
        if (turn % 2) {
            status = shc_queue_recv((const shc_queue *)queue, -1, &item);
            if (status == SHC_OK) {
                memcpy(number, item.data, sizeof *number);
                OK(shc_queue_release((const shc_queue *)queue, &item));
            }
        } else
            status =
                shc_queue_get_many((const shc_queue *)queue, number, sizeof number, lens, 16, -1, &count);
        if (status == SHC_CLOSED) return;
        STATUS(SHC_OK, status);
        for (size_t i = 0; i < count; i++) total += number[i];
        OK(shc_value_add_int(sum, total, NULL));
    }
}

static void produce(void *queue) {
    for (int64_t i = 1; i <= ITEMS; i++) OK(shc_queue_put((const shc_queue *)queue, &i, sizeof i, -1));
}

static void workers(void) {
    shc_queue *queue = make("work", 32);
    shc_type type = code('q');
    pid_t consumers[WORKERS], producers[2];
    int64_t total = 0;
    OK(shc_value_create(segment, "sum", &type, NULL, &sum));
    for (int i = 0; i < WORKERS; i++) consumers[i] = start(consume, queue);
    for (int i = 0; i < 2; i++) producers[i] = start(produce, queue);
    for (int i = 0; i < 2; i++) finish(producers[i]);
    OK(shc_queue_shutdown(queue));
    for (int i = 0; i < WORKERS; i++) finish(consumers[i]);
    OK(shc_value_get(sum, &total, sizeof total));
    CHECK(total == (int64_t)ITEMS * (ITEMS + 1));
    OK(shc_value_close(sum));
    OK(shc_queue_close(queue));
}

static void get_two_and_stay(void *queue) {
    gives(queue, "one");
    gives(queue, "two");
    reached(taken);
    stay();
}

static void join_it(void *queue) {
    reached(taken);
    OK(shc_queue_join(queue, LONG_NS));
}

/* What was got is not done until somebody says so; what was taken in place, until it is given back. */
static void what_is_done(const shc_queue *queue) {
    shc_item item;
    STATUS(SHC_ERR_NOT_HELD, shc_queue_task_done(queue));
    OK(shc_queue_join(queue, 0));
    put(queue, "one");
    put(queue, "two");
    STATUS(SHC_WOULD_BLOCK, shc_queue_join(queue, 0));
    gives(queue, "one");
    OK(shc_queue_recv(queue, 0, &item));
    STATUS(SHC_TIMED_OUT, shc_queue_join(queue, SHORT_NS));
    OK(shc_queue_release(queue, &item));
    STATUS(SHC_WOULD_BLOCK, shc_queue_join(queue, 0));
    OK(shc_queue_task_done(queue));
    OK(shc_queue_join(queue, 0));
    STATUS(SHC_ERR_NOT_HELD, shc_queue_task_done(queue));
    put(queue, "one");
    OK(shc_queue_recv(queue, 0, &item));
    OK(shc_queue_put_back(queue, &item));
    STATUS(SHC_WOULD_BLOCK, shc_queue_join(queue, 0));
    gives(queue, "one");
    OK(shc_queue_task_done(queue));
}

/* What a killed process had got counts as done; what it had taken in place is delivered again. */
static void joinable(void) {
    shc_queue_options options = defaults();
    shc_queue *queue = NULL, *none = NULL, *plain = make("plain", 4);
    pid_t worker, joiner;
    options.capacity = 4;
    options.flags = SHC_QUEUE_JOINABLE;
    OK(shc_queue_create(segment, "joinable", &options, &queue));
    options.flags = 0;
    STATUS(SHC_ERR_WRONG_TYPE, shc_queue_open_or_create(segment, "joinable", &options, &none));
    options.flags = 2;
    STATUS(SHC_ERR_INVALID_ARGUMENT, shc_queue_create(segment, "none", &options, &none));
    STATUS(SHC_ERR_UNSUPPORTED, shc_queue_task_done(plain));
    STATUS(SHC_ERR_UNSUPPORTED, shc_queue_join(plain, 0));
    what_is_done(queue);

    put(queue, "one");
    put(queue, "two");
    worker = start(get_two_and_stay, queue);
    await(taken);
    joiner = start(join_it, queue);
    await(taken);
    STATUS(SHC_WOULD_BLOCK, shc_queue_join(queue, 0));
    STATUS(SHC_ERR_NOT_HELD, shc_queue_task_done(queue));
    slay(worker);
    finish(joiner);

    put(queue, "again");
    worker = start(take_and_stay, queue);
    await(taken);
    slay(worker);
    STATUS(SHC_TIMED_OUT, shc_queue_join(queue, SHORT_NS));
    gives(queue, "again");
    OK(shc_queue_task_done(queue));
    OK(shc_queue_join(queue, LONG_NS));
    OK(shc_queue_close(plain));
    OK(shc_queue_close(queue));
}

int main(void) {
    segment = test_segment("queue");
    taken = new_signpost();
    put_and_get();
    many();
    with_a_function();
    items_in_place();
    stale_items(10, "stale");
    stale_items(10000, "stale large");
    places();
    large_items();
    limits();
    shutdown_wakes_all();
    deaths(10, "deaths");
    deaths(100000, "deaths large");
    closing_gives_back();
    a_fork_shares_no_item();
    workers();
    joinable();
    OK(shc_segment_close(segment));
    puts("ok");
    return 0;
}
