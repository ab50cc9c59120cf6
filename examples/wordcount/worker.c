/*
 * A worker of the word count, see main.rs: takes slices of text in place, writes the number of words of each
 * to its place in the array, and sends how often it has each word to the follower.
 *
 * usage: worker SEGMENT
 *
 * It may be killed anywhere. A slice that it has not released is delivered to another worker, and each step
 * that one repeats says whether it has been done already.
 */
#define _POSIX_C_SOURCE 200809L

#include "sharecell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST = 64, SLICE_MAX = 65536, WORDS_MAX = SLICE_MAX / 2, TABLE = 2 * WORDS_MAX };

/* The steps at which the first process may ask a worker to stop, to be killed there. */
enum { TAKEN = 1, SENT = 2, STORED = 3 };

/* What a slice begins with. */
struct slice_head {
    uint64_t number;
    uint32_t starts_inside;
    uint32_t reserved;
};

/* What a message to the follower begins with: `distinct` counts (uint32_t) follow, and as many words, a new
 * line behind each. */
struct message_head {
    uint64_t number;
    uint64_t words;
    uint64_t distinct;
};

struct word {
    const unsigned char *text;
    uint32_t len;
    uint32_t hash;
    uint32_t count;
};

static shc_queue *slices;
static shc_semaphore *in_hand, *holding;
static shc_array *results;
static shc_value *done, *hold, *held, *redelivered;
static shc_lock *done_lock;
static shc_pipe *frequencies;

static struct word table[TABLE];
static uint32_t used[WORDS_MAX];
static uint32_t distinct;
static uint64_t text_bytes;

static void check(shc_status status, const char *what) {
    char text[512] = "";
    if (status == SHC_OK) return;
    if (status < 0) shc_last_error(text, sizeof text);
    fprintf(stderr, "worker: %s: status %d %s\n", what, (int)status, text);
    exit(1);
}

static void open_all(const char *name) {
    const shc_type u64 = {'Q', 0, 0, NULL};
    const shc_type i32 = {'i', 0, 0, NULL};
    shc_segment *segment;
    check(shc_segment_open(name, NULL, &segment), name);
    check(shc_queue_open(segment, "slices", &slices), "slices");
    check(shc_semaphore_open(segment, "in-hand", &in_hand), "in-hand");
    check(shc_array_open(segment, "results", &u64, &results), "results");
    check(shc_value_open(segment, "done", &u64, &done), "done");
    check(shc_lock_open(segment, "done-lock", &done_lock), "done-lock");
    check(shc_pipe_open(segment, "frequencies", SHC_END_B, &frequencies), "frequencies");
    check(shc_value_open(segment, "hold", &i32, &hold), "hold");
    check(shc_value_open(segment, "held", &u64, &held), "held");
    check(shc_semaphore_open(segment, "holding", &holding), "holding");
    check(shc_value_open(segment, "redelivered", &u64, &redelivered), "redelivered");
}

/* Stops for good, if somebody is asked to stop at this step: the first to find that is the one. */
static void stop_if_asked(int32_t step, uint64_t number) {
    int32_t asked = -step, me = (int32_t)getpid(), old;
    bool is_me;
    check(shc_value_compare_exchange(hold, &asked, &me, sizeof me, &old, &is_me), "hold");
    if (!is_me) return;
    check(shc_value_set(held, &number, sizeof number), "held");
    check(shc_semaphore_release(holding, 1), "holding");
    for (;;) pause();
}

static bool is_space(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static void tally(const unsigned char *text, uint32_t len, uint32_t hash) {
    uint32_t i = hash % TABLE;
    for (; table[i].count > 0; i = (i + 1) % TABLE) {
        const struct word *w = &table[i];
        if (w->hash == hash && w->len == len && memcmp(w->text, text, len) == 0) break;
    }
    if (table[i].count == 0) {
        table[i].text = text;
        table[i].len = len;
        table[i].hash = hash;
        used[distinct++] = i;
        text_bytes += len + 1;
    }
    table[i].count++;
}

/* Counts the words that begin in a slice. */
static uint64_t count(const unsigned char *text, size_t len, bool starts_inside) {
    uint64_t words = 0;
    size_t i = 0;
    if (starts_inside) {
        while (i < len && !is_space(text[i])) i++;
    }
    for (;;) {
        uint32_t hash = 2166136261u; /* FNV-1a */
        size_t start;
        while (i < len && is_space(text[i])) i++;
        if (i == len) return words;
        for (start = i; i < len && !is_space(text[i]); i++) hash = (hash ^ text[i]) * 16777619u;
        words++;
        if (i - start <= LONGEST) tally(text + start, (uint32_t)(i - start), hash);
    }
}

/* Sends what was tallied, written in place, and clears the table. */
static void send_frequencies(uint64_t number, uint64_t words) {
    struct message_head head = {number, words, distinct};
    size_t counts_len = distinct * sizeof(uint32_t);
    size_t len = sizeof head + counts_len + (size_t)text_bytes;
    shc_status status;
    shc_slot slot;
    unsigned char *counts, *text;
    uint32_t i;

    while ((status = shc_pipe_reserve(frequencies, len, -1, &slot)) == SHC_INTERRUPTED) continue;
    check(status, "frequencies");
    memcpy(slot.data, &head, sizeof head);
    counts = (unsigned char *)slot.data + sizeof head;
    text = counts + counts_len;
    for (i = 0; i < distinct; i++) {
        struct word *w = &table[used[i]];
        memcpy(counts + i * sizeof w->count, &w->count, sizeof w->count);
        memcpy(text, w->text, w->len);
        text += w->len;
        *text++ = '\n';
        w->count = 0;
    }
    distinct = 0;
    text_bytes = 0;
    check(shc_pipe_commit(frequencies, &slot, len), "frequencies");
}

/* The number of slices that have a result. */
static uint64_t count_results(void) {
    uint64_t place, filled = 0;
    size_t i, len;
    check(shc_array_len(results, &len), "results");
    for (i = 0; i < len; i++) {
        check(shc_array_read(results, i, &place, sizeof place), "results");
        filled += place != 0;
    }
    return filled;
}

/* Stores a slice's result, and counts the slice as done, once. */
static void store(uint64_t number, uint64_t words) {
    uint64_t place, result = words + 1;
    shc_status status;
    while ((status = shc_lock_acquire(done_lock, -1)) == SHC_INTERRUPTED) continue;
    if (status == SHC_OWNER_DIED) {
        /* It may have died between the two stores below; the places are right in any case. */
        uint64_t filled = count_results();
        check(shc_value_set(done, &filled, sizeof filled), "done");
    } else {
        check(status, "done-lock");
    }
    check(shc_array_read(results, (size_t)number, &place, sizeof place), "results");
    if (place == 0) {
        check(shc_array_write(results, (size_t)number, &result, sizeof result), "results");
        stop_if_asked(STORED, number);
        check(shc_value_add_int(done, 1, NULL), "done");
    }
    check(shc_lock_release(done_lock), "done-lock");
}

static void work(const shc_item *item) {
    struct slice_head head;
    uint64_t words;
    if (item->len < sizeof head || item->len > SLICE_MAX) check(SHC_ERR_CORRUPTED, "a slice's length");
    memcpy(&head, item->data, sizeof head);
    stop_if_asked(TAKEN, head.number);
    if (item->deliveries > 1) check(shc_value_add_int(redelivered, 1, NULL), "redelivered");
    words = count((const unsigned char *)item->data + sizeof head, item->len - sizeof head,
                  head.starts_inside != 0);
    send_frequencies(head.number, words);
    stop_if_asked(SENT, head.number);
    store(head.number, words);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: worker SEGMENT\n");
        return 2;
    }
    open_all(argv[1]);
    for (;;) {
        shc_status status;
        shc_item item;
        while ((status = shc_semaphore_acquire(in_hand, -1)) == SHC_INTERRUPTED) continue;
        check(status, "in-hand");
        while ((status = shc_queue_recv(slices, -1, &item)) == SHC_INTERRUPTED) continue;
        if (status != SHC_CLOSED) {
            check(status, "slices");
            work(&item);
            check(shc_queue_release(slices, &item), "slices");
        }
        check(shc_semaphore_release(in_hand, 1), "in-hand");
        if (status == SHC_CLOSED) return 0;
    }
}
