/* The agent in C; src/agent.rs says how it is started, src/ledger.rs what it writes. It does a part of what
 * the agent in Rust does, in the same way. */
#define _GNU_SOURCE

#include "sharecell.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* As in src/ledger.rs. */
enum { LANES = 24, FORKED = 12, OBJECTS = 22, FIRST_ITEMS = 11, ITEM_OBJECTS = 8, PARTS = 18, ITEMS = 8192 };
/* A message of more bytes goes in parts. */
enum { WHOLE = (4 << 20) / 8 };
enum { HEAD_WORDS = 16, LANE_WORDS = 16, OBJECT_WORDS = 272, TALLY_WORDS = 16, ITEM_WORDS = 4 };
enum {
    LANES_AT = HEAD_WORDS,
    OBJECTS_AT = LANES_AT + LANES * LANE_WORDS,
    TALLIES_AT = OBJECTS_AT + OBJECTS * OBJECT_WORDS,
    ITEMS_AT = TALLIES_AT + LANES * OBJECTS * TALLY_WORDS,
    WORDS = ITEMS_AT + ITEM_OBJECTS * LANES * ITEMS * ITEM_WORDS
};
enum { SEED = 1, STOP = 3, CALM = 4, NO_LONG_WAITS = 5, LONG_STOPS = 6, LONG_STOP_EVENTS = 7 };
enum { LIFE, DOOMED, OP, SINCE, COUNT, STOPPED, PID, FORKS, EXECS, TIMES_STOPPED };
enum { HOLDER, RELEASED_AT, KILLED_AT, WORST_RECOVERY, HEALED, KILLS, STOPS, STOPPED_IN = 8, HISTOGRAM = 16 };
enum { BEGUN, A, B, A_KILLED, B_KILLED, PUT_BACKS, LATE, HOLDING, TAKES_KILLED, HALF, HALVES };
enum { ITEM_PUT, ITEM_WHO, ITEM_DONE, ITEM_NUMBER };
enum { NOT_PUT, PUT_BEGUN, PUT_RETURNED, PUT_REFUSED };
enum { KIND_A = 1, KIND_B = 2, KIND_OTHER = 3 };
#define PUT_BACK ((uint64_t)1 << 63)
#define TICKED 1500000000
#define HANG 60000000000
#define MS 1000000

typedef _Atomic uint64_t word;

typedef struct {
    uint64_t words[5];
} wide;

static word *ledger;
static int faults, pids, lane;
static uint64_t life, random_state, started, stops_before, buffer[70000];
static int64_t last[ITEM_OBJECTS][LANES];
static shc_segment *segment, *small;
static shc_value *value, *wide_value;
static shc_array *array;
static shc_lock *lock;
static shc_rlock *rlock;
static shc_rwlock *rwlock;
static shc_semaphore *semaphore, *undo;
static shc_condition *condition;
static shc_event *event;
static shc_barrier *barrier;
static shc_queue *queues[4];
static shc_pipe *pipes[3][2];
static uint64_t *pairs;

/* ---- the books */

static word *lane_word(int of, int w) { return &ledger[LANES_AT + of * LANE_WORDS + w]; }
static word *object_word(int object, int w) { return &ledger[OBJECTS_AT + object * OBJECT_WORDS + w]; }
static word *tally(int of, int object, int w) {
    return &ledger[TALLIES_AT + (of * OBJECTS + object) * TALLY_WORDS + w];
}
static word *item_word(int object, int of, uint64_t seq, int w) {
    return &ledger[ITEMS_AT + (((object - FIRST_ITEMS) * LANES + of) * ITEMS + (long)seq) * ITEM_WORDS + w];
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t mix(uint64_t a, uint64_t b, uint64_t c) {
    uint64_t x = (a * 0x9e3779b97f4a7c15u) ^ b;
    uint64_t y = (x * 0xbf58476d1ce4e5b9u) ^ c;
    return y * 0x94d049bb133111ebu;
}

static uint64_t below(uint64_t n) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return ((random_state * 0x2545f4914f6cdd1du) >> 32) % n;
}

static uint64_t me(void) { return (uint64_t)lane << 40 | life; }

static bool is_doomed(uint64_t who) {
    return *lane_word((int)(who >> 40 & 0x3f), DOOMED) >= (who & (((uint64_t)1 << 40) - 1));
}

static const char *const names[OBJECTS] = {"value",
                                           "wide value",
                                           "array",
                                           "lock",
                                           "rlock",
                                           "rwlock",
                                           "semaphore",
                                           "semaphore, undo",
                                           "condition",
                                           "event",
                                           "barrier",
                                           "queue",
                                           "queue, spilling",
                                           "queue, joinable",
                                           "queue, byte limit",
                                           "pipe, A to B",
                                           "pipe, B to A",
                                           "pipe, simplex",
                                           "pipe, in parts",
                                           "create, remove",
                                           "attach, detach",
                                           "wait_any"};

static void fault(int object, const char *format, ...) {
    char text[400], line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int len = snprintf(line, sizeof line, "%s: %s (lane %d, life %lu, C)\n", names[object], text, lane,
                       (unsigned long)life);
    if (write(faults, line, (size_t)len) < 0) abort();
}

static void add(int object, int w, uint64_t n) {
    word *at = tally(lane, object, w);
    *at = *at + n;
}

static uint64_t stop_events(void) {
    return *lane_word(lane % FORKED, TIMES_STOPPED) + ledger[LONG_STOP_EVENTS];
}

static void begin(int object, uint64_t kind, uint64_t n) {
    started = now();
    stops_before = stop_events();
    *lane_word(lane, SINCE) = started;
    *lane_word(lane, OP) = (uint64_t)(object + 1) | kind << 8 | n << 16;
}

static void most(word *at, uint64_t n) {
    uint64_t seen = *at;
    while (seen < n && !atomic_compare_exchange_weak(at, &seen, n)) continue;
}

static void waited(int object, uint64_t since) {
    uint64_t from = since > started ? since : started, at = now();
    uint64_t wait = at > from ? at - from : 0;
    if (wait < TICKED || stop_events() != stops_before || ledger[LONG_STOPS]) return;
    atomic_fetch_add(object_word(object, HEALED), 1);
    if (ledger[CALM] && object != PARTS)
        fault(object, "nobody was killed, and a wait lasted %lu ms too long", (unsigned long)(wait / MS));
}

static void end(int object, bool success) {
    if (object < 2 || object == 10 || object >= 19) waited(object, 0);
    *lane_word(lane, OP) = 0;
    *lane_word(lane, COUNT) = *lane_word(lane, COUNT) + 1;
    if (*object_word(object, STOPPED_IN) + ledger[LONG_STOPS]) {
        *object_word(object, KILLED_AT) = 0;
        return;
    }
    uint64_t at =
        success && *object_word(object, KILLED_AT) ? atomic_exchange(object_word(object, KILLED_AT), 0) : 0;
    if (!at) return;
    uint64_t ns = now() - at;
    if (ns < 8) ns = 8;
    int power = 63 - __builtin_clzll(ns);
    int bucket = power * 4 + (int)(ns >> (power - 2) & 3);
    most(object_word(object, WORST_RECOVERY), ns);
    atomic_fetch_add(object_word(object, HISTOGRAM + (bucket < 256 ? bucket : 255)), 1);
}

static void settle(int of) {
    if (atomic_exchange(tally(of, PARTS, HALF), 0)) atomic_fetch_add(tally(of, PARTS, HALVES), 1);
    uint64_t op = atomic_exchange(lane_word(of, OP), 0);
    if (!op) return;
    int object = (int)(op & 0xff) - 1;
    uint64_t kind = op >> 8 & 0xff, n = op >> 16;
    atomic_fetch_add(object_word(object, KILLS), 1);
    if (kind == KIND_A) {
        atomic_fetch_add(tally(of, object, A_KILLED), n);
        return;
    }
    if (kind == KIND_B) atomic_fetch_add(tally(of, object, B_KILLED), n);
    atomic_fetch_add(tally(of, object, TAKES_KILLED), n);
}

/* Whether it was done; any outcome but success and those allowed is a fault. */
static bool done(int object, shc_status status, shc_status allowed, shc_status or_this) {
    char text[300] = "";
    if (status == SHC_OK) return true;
    if (status == allowed || status == or_this) return false;
    if (status < 0) shc_last_error(text, sizeof text);
    fault(object, "status %d %s", (int)status, text);
    return false;
}

static int64_t timeout(void) {
    bool may_be_long = ledger[NO_LONG_WAITS] > now();
    uint64_t n = below(100);
    if (n < 30) return 0;
    if (n < 80) return 300000;
    if (n < 97) return 10 * MS;
    return may_be_long ? 2500 * (int64_t)MS : 2 * MS;
}

/* ---- cells */

static void use_value(void) {
    int64_t before, old;
    done(0, shc_value_get(value, &before, 8), 0, 0);
    begin(0, KIND_A, 1);
    if (done(0, shc_value_add_int(value, 1, &old), 0, 0)) {
        if (old < before) fault(0, "went back from %ld to %ld", (long)before, (long)old);
        add(0, A, 1);
    }
    end(0, true);
}

static wide wide_of(uint64_t count) {
    wide w;
    for (uint64_t i = 0; i < 5; i++) w.words[i] = count * (2 * i + 1);
    return w;
}

static void use_wide(void) {
    wide seen, next, old;
    bool changed = false;
    if (!done(1, shc_value_get(wide_value, &seen, sizeof seen), 0, 0)) return;
    begin(1, KIND_A, 1);
    while (!changed) {
        next = wide_of(seen.words[0]);
        if (memcmp(&seen, &next, sizeof seen) != 0) {
            fault(1, "torn: %lx %lx", (unsigned long)seen.words[0], (unsigned long)seen.words[1]);
        }
        next = wide_of(seen.words[0] + 1);
        if (!done(1, shc_value_compare_exchange(wide_value, &seen, &next, sizeof seen, &old, &changed), 0, 0))
            break;
        seen = old;
    }
    if (changed) add(1, A, 1);
    end(1, true);
}

/* ---- locks */

static void hold(int object, bool owner_died) {
    uint64_t before = atomic_exchange(object_word(object, HOLDER), me());
    if (before && !is_doomed(before)) {
        fault(object, "robbed: lane %d has it and lives", (int)(before >> 40));
    } else if (before && !owner_died) {
        fault(object, "the last holder was killed, and the next was not told");
    }
    waited(object, *object_word(object, RELEASED_AT));
}

static void let_go(int object) {
    *object_word(object, RELEASED_AT) = now();
    if (atomic_exchange(object_word(object, HOLDER), 0) != me()) fault(object, "robbed while holding it");
}

/* Changes a pair of elements that the object protects. */
static void work(int object, bool owner_died) {
    volatile uint64_t *pair = pairs + 2 * (object - 2);
    uint64_t a = pair[0], b = pair[1];
    if (a != b && !owner_died) fault(object, "torn: %lu and %lu", (unsigned long)a, (unsigned long)b);
    pair[0] = (a > b ? a : b) + 1;
    if (below(50) == 0) usleep(200);
    pair[1] = (a > b ? a : b) + 1;
}

/* Whether it was acquired, and in `died` whether its last owner died. */
static bool acquired(int object, shc_status status, shc_status allowed, bool *died) {
    *died = status == SHC_OWNER_DIED;
    return *died || done(object, status, allowed, allowed);
}

static void use_lock(void) {
    bool died;
    begin(3, KIND_OTHER, 0);
    int64_t time = below(3) == 0 ? 0 : HANG;
    bool got = acquired(3, shc_lock_acquire(lock, time), time ? 0 : SHC_WOULD_BLOCK, &died);
    if (got) {
        hold(3, died);
        work(3, died);
        let_go(3);
        done(3, shc_lock_release(lock), 0, 0);
    }
    end(3, got);
}

static void use_array(void) {
    bool died;
    begin(2, KIND_OTHER, 0);
    if (acquired(2, shc_array_lock(array, HANG), 0, &died)) {
        hold(2, died);
        work(2, died);
        let_go(2);
        done(2, shc_array_unlock(array), 0, 0);
    }
    end(2, true);
}

static void use_rlock(void) {
    bool died, again;
    begin(4, KIND_OTHER, 0);
    if (acquired(4, shc_rlock_acquire(rlock, HANG), 0, &died)) {
        hold(4, died);
        if (acquired(4, shc_rlock_acquire(rlock, 0), 0, &again)) {
            work(4, died);
            done(4, shc_rlock_release(rlock), 0, 0);
        }
        let_go(4);
        done(4, shc_rlock_release(rlock), 0, 0);
    }
    end(4, true);
}

static void use_rwlock(void) {
    bool died;
    begin(5, KIND_OTHER, 0);
    if (below(3) == 0) {
        if (acquired(5, shc_rwlock_acquire_write(rwlock, HANG), 0, &died)) {
            hold(5, died);
            for (int other = 0; other < LANES; other++) {
                uint64_t reader = *tally(other, 5, HOLDING);
                if (reader && !is_doomed(reader)) fault(5, "a writer beside the reader of lane %d", other);
            }
            work(5, died);
            let_go(5);
            done(5, shc_rwlock_release_write(rwlock), 0, 0);
        }
    } else if (acquired(5, shc_rwlock_acquire_read(rwlock, HANG), 0, &died)) {
        *tally(lane, 5, HOLDING) = me();
        uint64_t writer = *object_word(5, HOLDER);
        if (writer && !is_doomed(writer)) fault(5, "a reader beside a writer");
        waited(5, *object_word(5, RELEASED_AT));
        *tally(lane, 5, HOLDING) = 0;
        done(5, shc_rwlock_release_read(rwlock), 0, 0);
    }
    end(5, true);
}

/* ---- semaphores, condition, event, barrier */

static void use_semaphore(void) {
    if (below(2) == 0) {
        begin(6, KIND_A, 1);
        if (done(6, shc_semaphore_release(semaphore, 1), 0, 0)) add(6, A, 1);
        end(6, true);
        return;
    }
    int64_t time = timeout();
    begin(6, KIND_B, 1);
    bool got = done(6, shc_semaphore_acquire(semaphore, time), SHC_WOULD_BLOCK, SHC_TIMED_OUT);
    if (got) add(6, B, 1);
    end(6, got);
}

static void use_undo(void) {
    begin(7, KIND_OTHER, 0);
    if (done(7, shc_semaphore_acquire(undo, HANG), 0, 0)) {
        int holders = 0;
        *tally(lane, 7, HOLDING) = me();
        for (int other = 0; other < LANES; other++) {
            uint64_t who = *tally(other, 7, HOLDING);
            holders += who && !is_doomed(who);
        }
        if (holders > 3) fault(7, "%d hold 3 permits", holders);
        waited(7, *object_word(7, RELEASED_AT));
        *tally(lane, 7, HOLDING) = 0;
        *object_word(7, RELEASED_AT) = now();
        done(7, shc_semaphore_release(undo, 1), 0, 0);
    }
    end(7, true);
}

static void use_condition(void) {
    bool produce = below(2) == 0, died, success = produce;
    volatile uint64_t *count = pairs + 12;
    int64_t time = timeout();
    begin(8, produce ? KIND_A : KIND_B, 1);
    if (acquired(8, shc_condition_acquire(condition, HANG), 0, &died)) {
        hold(8, died);
        if (produce) {
            *count = *count + 1;
            add(8, A, 1);
            done(8, shc_condition_notify(condition, 1), 0, 0);
        } else {
            bool left = true;
            while (*count == 0 && left) {
                let_go(8);
                shc_status status = shc_condition_wait(condition, time);
                left = status == SHC_OWNER_DIED || done(8, status, SHC_WOULD_BLOCK, SHC_TIMED_OUT);
                started = now();
                hold(8, status != SHC_OK);
            }
            success = *count > 0;
            if (success) {
                *count = *count - 1;
                add(8, B, 1);
            }
        }
        let_go(8);
        done(8, shc_condition_release(condition), 0, 0);
    }
    end(8, success);
}

static void use_event(void) {
    bool success = true;
    int64_t time = timeout();
    begin(9, KIND_OTHER, 0);
    switch (below(4)) {
    case 0:
        done(9, shc_event_clear(event), 0, 0);
        break;
    case 1:
        success = done(9, shc_event_wait(event, time), SHC_WOULD_BLOCK, SHC_TIMED_OUT);
        break;
    default:
        done(9, shc_event_set(event), 0, 0);
    }
    end(9, success);
}

static void use_barrier(void) {
    size_t number = 9;
    begin(10, KIND_OTHER, 1);
    bool met = done(10, shc_barrier_wait(barrier, 5 * MS, &number), SHC_BROKEN, SHC_TIMED_OUT);
    if (met && number > 1) fault(10, "party %lu of 2", (unsigned long)number);
    if (met) add(10, number == 0 ? A : B, 1);
    if (!met) done(10, shc_barrier_reset(barrier), 0, 0);
    end(10, met);
}

/* ---- items */

static size_t make(int object, uint64_t seq) {
    uint64_t n = below(100), words = 4 + below(9);
    if (object == 12 && n < 50) words = 4 + below(600);
    if (object == 14) words = 4 + below(100);
    if (object == 15 && n < 10) words = 1000;
    if (object == PARTS && n < 20) words = n < 3 ? 69000 : 4000;
    uint64_t kind = (uint64_t)lane | (uint64_t)object << 8 | words << 16;
    buffer[0] = kind;
    buffer[1] = seq;
    buffer[2] = now();
    buffer[3] = mix(kind, seq, buffer[2]);
    for (uint64_t i = 4; i < words; i++) buffer[i] = buffer[3];
    return words * 8;
}

static void put_item(int object) {
    uint64_t seq = *tally(lane, object, BEGUN);
    if (seq >= ITEMS - 8) return;
    int64_t time = timeout();
    size_t len = make(object, seq);
    shc_status status;
    begin(object, KIND_A, 1);
    *item_word(object, lane, seq, ITEM_PUT) = PUT_BEGUN;
    add(object, BEGUN, 1);
    if (object == PARTS && len > WHOLE) *item_word(object, lane, seq, ITEM_NUMBER) = UINT64_MAX;
    if (object >= 15) {
        static const int which[] = {0, 0, 1, 2};
        status = shc_pipe_send(pipes[which[object - 15]][object != 15], buffer, len, time);
    } else if (below(4) == 0) {
        shc_slot slot;
        status = shc_queue_reserve(queues[object - 11], len, time, &slot);
        if (status == SHC_OK) {
            memcpy(slot.data, buffer, len);
            status = shc_queue_commit(queues[object - 11], &slot, len);
        }
    } else {
        status = shc_queue_put(queues[object - 11], buffer, len, time);
    }
    if (status == SHC_ERR_LIMIT_REACHED) status = SHC_TIMED_OUT;
    bool put = done(object, status, SHC_WOULD_BLOCK, SHC_TIMED_OUT);
    *item_word(object, lane, seq, ITEM_PUT) = put ? PUT_RETURNED : PUT_REFUSED;
    if (put) add(object, A, 1);
    end(object, put);
}

/* Checks an item against the books and enters it; the item's words there, or NULL. */
static word *took(int object, const uint64_t *data, size_t len, const shc_item *about) {
    if (len < 32) {
        fault(object, "torn: %lu bytes", (unsigned long)len);
        return NULL;
    }
    uint64_t kind = data[0], seq = data[1];
    bool whole = mix(kind, seq, data[2]) == data[3] && (kind >> 16) * 8 == len &&
                 (int)(kind >> 8 & 0xff) == object && seq < ITEMS;
    for (size_t i = 4; whole && i < len / 8; i++) whole = data[i] == data[3];
    if (!whole) {
        fault(object, "torn: %lu bytes that begin %lx", (unsigned long)len, (unsigned long)kind);
        return NULL;
    }
    int producer = (int)(kind & 0xff);
    word *item = item_word(object, producer, seq, 0);
    if (item[ITEM_PUT] == NOT_PUT || item[ITEM_PUT] == PUT_REFUSED) {
        fault(object, "item %lu of lane %d came, in state %lu", (unsigned long)seq, producer,
              (unsigned long)item[ITEM_PUT]);
    }
    uint64_t before = atomic_exchange(&item[ITEM_WHO], me());
    if (before && before != PUT_BACK) {
        if (item[ITEM_DONE] || (about && about->deliveries < 2)) {
            fault(object, "item %lu of lane %d doubled", (unsigned long)seq, producer);
        } else if (!is_doomed(before)) {
            fault(object, "item %lu of lane %d robbed: lane %d has it and lives", (unsigned long)seq,
                  producer, (int)(before >> 40));
        }
    }
    if (about && object < 15) {
        uint64_t noted = atomic_exchange(&item[ITEM_NUMBER], about->number + 1);
        if (noted && noted != about->number + 1)
            fault(object, "item %lu has another number", (unsigned long)seq);
    }
    int64_t *latest = &last[object - FIRST_ITEMS][producer];
    if ((int64_t)seq < *latest) {
        add(object, LATE, 1);
    } else {
        *latest = (int64_t)seq;
    }
    add(object, B, 1);
    waited(object, data[2]);
    return item;
}

static void take_item(int object) {
    static const int which[] = {0, 0, 1, 2};
    static uint64_t room[80000];
    bool copy = below(4) == 0 || object == PARTS, pipe = object >= 15, got;
    const void *from = pipe ? (void *)pipes[which[object - 15]][object == 15] : (void *)queues[object - 11];
    int64_t time = timeout();
    size_t len = 0;
    shc_item item;
    word *entry;
    begin(object, copy ? KIND_B : KIND_OTHER, 1);
    if (copy) {
        static unsigned char large[4 << 20];
        void *into = object == PARTS ? (void *)large : (void *)room;
        size_t size = object == PARTS ? sizeof large : sizeof room;
        if (object == PARTS) *tally(lane, PARTS, HALF) = 1;
        shc_status status =
            pipe ? shc_pipe_recv(from, into, size, time, &len) : shc_queue_get(from, into, size, time, &len);
        if ((got = done(object, status, SHC_WOULD_BLOCK, SHC_TIMED_OUT))) {
            if ((entry = took(object, into, len, NULL))) entry[ITEM_DONE] = 1;
            if (object == PARTS && len > WHOLE) *tally(lane, PARTS, HALF) = 0;
            if (object == 13) done(13, shc_queue_task_done(from), 0, 0);
        }
        end(object, got);
        return;
    }
    shc_status status = pipe ? shc_pipe_recv_in_place(from, time, &item) : shc_queue_recv(from, time, &item);
    if ((got = done(object, status, SHC_WOULD_BLOCK, SHC_TIMED_OUT))) {
        entry = took(object, item.data, item.len, &item);
        if (below(60) == 0) usleep(300);
        if (entry && !pipe && below(40) == 0) {
            add(object, PUT_BACKS, 1);
            entry[ITEM_WHO] = PUT_BACK;
            done(object, shc_queue_put_back(from, &item), 0, 0);
        } else {
            done(object, pipe ? shc_pipe_release(from, &item) : shc_queue_release(from, &item), 0, 0);
            if (entry) entry[ITEM_DONE] = 1;
        }
    }
    end(object, got);
}

static void use_items(void) {
    int object = FIRST_ITEMS + (int)below(ITEM_OBJECTS);
    if (below(2)) {
        put_item(object);
    } else {
        take_item(object);
    }
}

/* ---- segments */

static void come_and_go(void) {
    char name[32];
    uint64_t k = below(6);
    snprintf(name, sizeof name, "passing-%d", (int)k);
    bool made = false;
    begin(19, KIND_OTHER, 0);
    if (k % 3 == 0) {
        shc_type type = {'q', 0, 0, NULL};
        int64_t five = 5, old;
        shc_value *v = NULL;
        if ((made = done(19, shc_value_open_or_create(segment, name, &type, &five, &v), 0, 0))) {
            done(19, shc_value_add_int(v, 1, &old), 0, 0);
        }
        shc_value_close(v);
    } else if (k % 3 == 2) {
        shc_lock *l = NULL;
        bool died;
        if ((made = done(19, shc_lock_open_or_create(segment, name, &l), 0, 0)) &&
            acquired(19, shc_lock_acquire(l, HANG), 0, &died)) {
            done(19, shc_lock_release(l), 0, 0);
        }
        shc_lock_close(l);
    }
    if (below(2)) done(19, shc_segment_remove(segment, name), SHC_ERR_NOT_FOUND, 0);
    end(19, made);
}

static void attach(const char *base) {
    char name[64];
    shc_segment_options options = {sizeof options, 1 << 20, 0, 0, 0, SHC_SEGMENT_EPHEMERAL, 0};
    shc_segment *side = NULL;
    snprintf(name, sizeof name, "%s-side", base);
    begin(20, KIND_OTHER, 0);
    done(20, shc_segment_open_or_create(name, &options, &side), 0, 0);
    done(20, shc_segment_close(side), 0, 0);
    end(20, true);
}

static void use_wait_any(void) {
    bool ready[4];
    shc_interest all[4] = {{SHC_QUEUE_READABLE, 0, queues[0]},
                           {SHC_EVENT_SET, 0, event},
                           {SHC_LOCK_FREE, 0, lock},
                           {SHC_SEMAPHORE_FREE, 0, undo}};
    begin(21, KIND_OTHER, 0);
    end(21, done(21, shc_wait_any(all, 1 + below(4), 5 * MS, ready), SHC_TIMED_OUT, 0));
}

static void step(const char *base) {
    uint64_t n = below(100);
    if (n < 4)
        use_value();
    else if (n < 8)
        use_wide();
    else if (n < 13)
        use_array();
    else if (n < 19)
        use_lock();
    else if (n < 23)
        use_rlock();
    else if (n < 29)
        use_rwlock();
    else if (n < 32)
        use_semaphore();
    else if (n < 36)
        use_undo();
    else if (n < 41)
        use_condition();
    else if (n < 43)
        use_event();
    else if (n < 45)
        use_barrier();
    else if (n < 90)
        use_items();
    else if (n < 94)
        come_and_go();
    else if (n < 96)
        attach(base);
    else
        use_wait_any();
}

/* ---- rounds */

static void must(shc_status status, const char *what) {
    char text[300] = "";
    if (status == SHC_OK) return;
    shc_last_error(text, sizeof text);
    fprintf(stderr, "agent.c: %s: %d %s\n", what, (int)status, text);
    exit(1);
}

static const char *of_round(const char *name, const char *round) {
    static char text[64];
    snprintf(text, sizeof text, "%s.%s", name, round);
    return text;
}

static void open_all(const char *base, const char *round) {
    static const char *const queue_names[] = {"queue", "spilling", "joinable", "bytes"};
    static const char *const pipe_names[] = {"duplex", "simplex", "parts"};
    char other[64];
    shc_type number = {'q', 0, 0, NULL}, words = {0, 8, sizeof(wide), "Wide"},
             unsigned_number = {'Q', 0, 0, NULL};
    void *address;
    snprintf(other, sizeof other, "%s-small", base);
    must(shc_segment_open(base, NULL, &segment), base);
    must(shc_segment_open(other, NULL, &small), other);
    must(shc_value_open(segment, of_round("value", round), &number, &value), "value");
    must(shc_value_open(segment, of_round("wide", round), &words, &wide_value), "wide");
    must(shc_array_open(segment, of_round("array", round), &unsigned_number, &array), "array");
    must(shc_array_address(array, &address), "the array's address");
    pairs = address;
    must(shc_lock_open(segment, of_round("lock", round), &lock), "lock");
    must(shc_rlock_open(segment, of_round("rlock", round), &rlock), "rlock");
    must(shc_rwlock_open(segment, of_round("rwlock", round), &rwlock), "rwlock");
    must(shc_semaphore_open(segment, of_round("semaphore", round), &semaphore), "semaphore");
    must(shc_semaphore_open(segment, of_round("undo", round), &undo), "undo");
    must(shc_condition_open(segment, of_round("condition", round), &condition), "condition");
    must(shc_event_open(segment, of_round("event", round), &event), "event");
    must(shc_barrier_open(segment, of_round("barrier", round), &barrier), "barrier");
    for (int i = 0; i < 4; i++)
        must(shc_queue_open(segment, of_round(queue_names[i], round), &queues[i]), "queue");
    for (int i = 0; i < 6; i++) {
        shc_segment *s = i / 2 == 2 ? small : segment;
        must(shc_pipe_open(s, of_round(pipe_names[i / 2], round), i % 2, &pipes[i / 2][i % 2]), "pipe");
    }
}

static void close_all(void) {
    must(shc_value_close(value), "close");
    must(shc_value_close(wide_value), "close");
    must(shc_array_close(array), "close");
    must(shc_lock_close(lock), "close");
    must(shc_rlock_close(rlock), "close");
    must(shc_rwlock_close(rwlock), "close");
    must(shc_semaphore_close(semaphore), "close");
    must(shc_semaphore_close(undo), "close");
    must(shc_condition_close(condition), "close");
    must(shc_event_close(event), "close");
    must(shc_barrier_close(barrier), "close");
    for (int i = 0; i < 4; i++) must(shc_queue_close(queues[i]), "close");
    for (int i = 0; i < 6; i++) must(shc_pipe_close(pipes[i / 2][i % 2]), "close");
    must(shc_segment_close(small), "detach");
    must(shc_segment_close(segment), "detach");
}

static void begin_life(void) {
    settle(lane);
    *lane_word(lane, LIFE) = (*lane_word(lane, LIFE) | 1) + 1;
    life = *lane_word(lane, LIFE);
    random_state = mix(mix(ledger[SEED], (uint64_t)lane, life), 1, 2) | 1;
    memset(last, 0, sizeof last);
}

static _Noreturn void work_for_ever(const char *base) {
    int own = lane;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) {
        step(base);
        if (below(200)) continue;
        /* A child that shares the handles, works a little, and leaves without a word. */
        settle(own + FORKED);
        *lane_word(own + FORKED, LIFE) = life;
        *lane_word(own + FORKED, FORKS) = *lane_word(own + FORKED, FORKS) + 1;
        pid_t pid = fork();
        if (pid == 0) {
            lane = own + FORKED;
            for (int i = 0; i < 20; i++) step(base);
            settle(lane);
            _exit(0);
        }
        while (pid > 0 && waitpid(pid, NULL, 0) != pid) continue;
    }
}

static void nest(const char *base) {
    while (!ledger[STOP]) {
        int status;
        begin_life();
        pid_t pid = fork();
        if (pid < 0) exit(1);
        setpgid(pid, pid);
        if (pid == 0) work_for_ever(base);
        *lane_word(lane, PID) = (uint64_t)pid;
        if (write(pids, &pid, 4) != 4) exit(1);
        while (waitpid(pid, &status, 0) != pid) continue;
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
            dprintf(faults, "lane %d: ended with status %x before it was killed\n", lane, (unsigned)status);
        }
        while (waitpid(-pid, &status, 0) > 0) continue;
        settle(lane + FORKED);
    }
    *lane_word(lane, PID) = 0;
    settle(lane);
}

int main(int argc, char **argv) {
    char round[32];
    if (argc != 7) return 2;
    void *at = mmap(NULL, (size_t)WORDS * 8, PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[2]), 0);
    if (at == MAP_FAILED) return 1;
    ledger = at;
    faults = atoi(argv[3]);
    pids = atoi(argv[4]);
    lane = atoi(argv[5]);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    while (fgets(round, sizeof round, stdin)) {
        round[strcspn(round, "\n")] = 0;
        open_all(argv[1], round);
        if (strcmp(argv[6], "nest") == 0) {
            nest(argv[1]);
        } else {
            begin_life();
            *lane_word(lane, PID) = (uint64_t)getpid();
            while (!ledger[STOP]) step(argv[1]);
            settle(lane);
            *lane_word(lane, PID) = 0;
        }
        close_all();
        puts("done");
        fflush(stdout);
    }
    return 0;
}
