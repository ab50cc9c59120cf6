/*
 * sharecell: named values, arrays, locks, queues and pipes in memory that processes share.
 *
 * Generated from src/capi by `make header`: change it there.
 *
 * - Functions return shc_status: 0 is success; positive numbers are outcomes that are no mistake (timed out, would
 *   block, closed; owner died: the lock *is* held); negative ones are errors. A number never changes its meaning.
 * - Results come last, through pointers, and are written only on success, unless a function says otherwise. A buffer
 *   is followed by its size.
 * - Handles are opaque. Each has a function that closes it, which takes NULL too; closing never unlinks. Each type says
 *   which threads may use it, and what becomes of it in a forked child.
 * - Structs of options begin with their own size: set it with sizeof, and zero what you do not use.
 * - `timeout_ns`: 0 tries, -1 waits for ever, any other number is the most that the whole call takes.
 * - Pointers, lengths and kinds are checked. A NULL where none is allowed is an error, not a fault.
 */


#ifndef SHARECELL_H
#define SHARECELL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The first end; of a simplex pipe, the one that receives.
 */
#define SHC_END_A 0

/**
 * The second end; of a simplex pipe, the one that sends.
 */
#define SHC_END_B 1

/**
 * End B sends and end A receives, and not the other way round.
 */
#define SHC_PIPE_SIMPLEX 1

/**
 * What was taken and is not done is counted, for shc_queue_task_done and shc_queue_join.
 */
#define SHC_QUEUE_JOINABLE 1

/**
 * The last participant to leave a new segment unlinks it.
 */
#define SHC_SEGMENT_EPHEMERAL 1

/**
 * Open a segment that belongs to another user, who can change and truncate it at will.
 */
#define SHC_SEGMENT_ANY_USER 2

/**
 * A value.
 */
#define SHC_KIND_VALUE 1

/**
 * An array.
 */
#define SHC_KIND_ARRAY 2

/**
 * A lock.
 */
#define SHC_KIND_LOCK 3

/**
 * A semaphore.
 */
#define SHC_KIND_SEMAPHORE 4

/**
 * A queue.
 */
#define SHC_KIND_QUEUE 5

/**
 * A pipe.
 */
#define SHC_KIND_PIPE 6

/**
 * A reentrant lock.
 */
#define SHC_KIND_RLOCK 7

/**
 * A condition.
 */
#define SHC_KIND_CONDITION 8

/**
 * An event.
 */
#define SHC_KIND_EVENT 9

/**
 * A barrier.
 */
#define SHC_KIND_BARRIER 10

/**
 * A reader-writer lock.
 */
#define SHC_KIND_RWLOCK 11

/**
 * That an item can be got from a shc_queue, or that it is shut down.
 */
#define SHC_QUEUE_READABLE 1

/**
 * That an item can be put into a shc_queue, or that it is shut down.
 */
#define SHC_QUEUE_WRITABLE 2

/**
 * That a message can be received at a shc_pipe, or the end-of-file.
 */
#define SHC_PIPE_READABLE 3

/**
 * That a message can be sent at a shc_pipe.
 */
#define SHC_PIPE_WRITABLE 4

/**
 * That a shc_event is set.
 */
#define SHC_EVENT_SET 5

/**
 * That a permit of a shc_semaphore can be acquired.
 */
#define SHC_SEMAPHORE_FREE 6

/**
 * That nobody holds a shc_lock.
 */
#define SHC_LOCK_FREE 7

/**
 * That a descriptor can be read from, or has ended: a socket, a pipe, a pidfd.
 */
#define SHC_FD_READABLE 8

/**
 * That a descriptor can be written to, or has ended.
 */
#define SHC_FD_WRITABLE 9

/**
 * A release beyond the first value is an error.
 */
#define SHC_SEMAPHORE_BOUNDED 1

/**
 * Permits are owned by processes: those of one that is killed come back, only who holds one can release it, and the
 * value never exceeds the first one, at most 65536.
 */
#define SHC_SEMAPHORE_UNDO 2

/**
 * An array of fixed length. Any thread may use it, and so may a forked child. Close it with shc_array_close.
 */
typedef struct shc_array shc_array;

/**
 * A meeting point: each of a fixed number of parties waits until all have come. It breaks when one who has come is
 * killed, gives up or aborts it, until it is reset. Close it with shc_barrier_close.
 */
typedef struct shc_barrier shc_barrier;

/**
 * A descriptor for loops of other people's (epoll, asyncio, libuv) that becomes readable when an object may have become
 * ready. While it is armed a thread of this library sleeps for it, one for all. Close it with shc_bell_close.
 */
typedef struct shc_bell shc_bell;

/**
 * A condition variable with its lock, which is reentrant. Only who holds the lock waits and notifies. A notification
 * that is spent on a process which dies passes on. Close it with shc_condition_close.
 */
typedef struct shc_condition shc_condition;

/**
 * A flag that can be waited for. Any thread may use it, and so may a forked child. Close it with shc_event_close.
 */
typedef struct shc_event shc_event;

/**
 * A mutual exclusion lock, not recursive. A process owns it: any of its threads may release it, and no other
 * process. It stays with the parent when that forks. Close it with shc_lock_close; with its last handle a process gives
 * up a lock that it holds, as its death would.
 */
typedef struct shc_lock shc_lock;

/**
 * One end of a pipe. Any thread may use it, and so may a forked child, which holds the end as well. Close it
 * with shc_pipe_close.
 */
typedef struct shc_pipe shc_pipe;

/**
 * A bounded first-in, first-out queue of byte strings, for any number of putters and getters. Any thread may
 * use it, and so may a forked child. Close it with shc_queue_close.
 */
typedef struct shc_queue shc_queue;

/**
 * A lock that the thread which holds it can take again; it is free when that thread has released it as often. If
 * the owner's process is killed, the next one to acquire it is told. Close it with shc_rlock_close.
 */
typedef struct shc_rlock shc_rlock;

/**
 * A lock that any number of readers hold together, or one writer alone. Not recursive. If a writer is killed, those who
 * acquire it next are told; readers that are killed are forgotten. Close it with shc_rwlock_close.
 */
typedef struct shc_rwlock shc_rwlock;

/**
 * A segment that this process is attached to. Any thread may use it, and so may a forked child, which is a
 * participant of its own. Close it with shc_segment_close.
 */
typedef struct shc_segment shc_segment;

/**
 * A counting semaphore. Any thread may use it, and so may a forked child. A process that is killed does not
 * give back what it had acquired. Close it with shc_semaphore_close.
 */
typedef struct shc_semaphore shc_semaphore;

/**
 * A single value. Any thread may use it, and so may a forked child. Close it with shc_value_close.
 */
typedef struct shc_value shc_value;

/**
 * What a function returns: 0, an outcome above, or an error below.
 */
typedef int32_t shc_status;

/**
 * What elements are: a typecode as in Python's array module (c b B h H i I l L q Q f d ?), or, with
 * typecode 0, plain data of a name, size and alignment that all languages agree on.
 */
typedef struct {
    /**
     * The typecode's character, or 0.
     */
    uint32_t typecode;
    /**
     * With typecode 0: the alignment in bytes, at most 64.
     */
    uint32_t align;
    /**
     * With typecode 0: the size in bytes.
     */
    uint64_t size;
    /**
     * With typecode 0: the type's name; else NULL.
     */
    const char *name;
} shc_type;

/**
 * How to create a pipe. What is 0 has its default.
 */
typedef struct {
    /**
     * sizeof(shc_pipe_options).
     */
    size_t struct_size;
    /**
     * How many messages may be under way in a direction. Default 256.
     */
    uint64_t capacity;
    /**
     * How many bytes of a message are kept in its cell; larger ones spill into the segment's arena. Default 104.
     */
    uint64_t inline_bytes;
    /**
     * SHC_PIPE_SIMPLEX, or 0 for a duplex pipe.
     */
    uint32_t flags;
    /**
     * 0.
     */
    uint32_t reserved;
} shc_pipe_options;

/**
 * An item or message that was taken and lies where it was put, to be read there and given back with the
 * function of its queue or pipe. Copies of this struct mean the same item. In a forked child it is the
 * parent's. If this process dies before, the item is delivered to somebody else.
 */
typedef struct {
    /**
     * Its bytes.
     */
    const void *data;
    /**
     * How many there are.
     */
    size_t len;
    /**
     * Its number: unique in its queue, and the same at each delivery.
     */
    uint64_t number;
    /**
     * How often it was delivered, this time included.
     */
    uint32_t deliveries;
    /**
     * 0.
     */
    uint32_t reserved;
    /**
     * The library's own.
     */
    uint64_t claim[2];
} shc_item;

/**
 * A place in a queue or pipe that is being written, to be committed or aborted. Copies of this struct mean the
 * same place. In a forked child it is the parent's. If this process dies before, nothing was put.
 */
typedef struct {
    /**
     * Where to write.
     */
    void *data;
    /**
     * How many bytes there are.
     */
    size_t len;
    /**
     * The library's own.
     */
    uint64_t claim[2];
} shc_slot;

/**
 * How to create a queue. What is 0 has its default.
 */
typedef struct {
    /**
     * sizeof(shc_queue_options).
     */
    size_t struct_size;
    /**
     * How many items it holds. Default 1024.
     */
    uint64_t capacity;
    /**
     * The largest item in bytes. Default: as large as the segment admits.
     */
    uint64_t max_item;
    /**
     * The most bytes of items in it. Default: no limit but the segment's.
     */
    uint64_t max_bytes;
    /**
     * How many bytes of an item are kept in its cell; larger ones spill into the segment's arena. Default 104,
     * or max_item up to 4096.
     */
    uint64_t inline_bytes;
    /**
     * SHC_QUEUE_JOINABLE, or 0.
     */
    uint32_t flags;
    /**
     * 0.
     */
    uint32_t reserved;
} shc_queue_options;

/**
 * Bytes to be put.
 */
typedef struct {
    /**
     * The bytes; NULL is fine if there are none.
     */
    const void *data;
    /**
     * How many there are.
     */
    size_t len;
} shc_buffer;

/**
 * How to create or open a segment. What is 0 has its default.
 */
typedef struct {
    /**
     * sizeof(shc_segment_options).
     */
    size_t struct_size;
    /**
     * The size in bytes that a new segment may grow to: a ceiling, not a cost. Default 1 GiB.
     */
    uint64_t limit;
    /**
     * How long opening waits for somebody to create the segment, in nanoseconds. Default 0.
     */
    uint64_t wait_ns;
    /**
     * The permissions of a new segment, whatever the umask. Default 0600.
     */
    uint32_t mode;
    /**
     * How many processes may be attached at a time. Default 64, at most 4095.
     */
    uint32_t participants;
    /**
     * SHC_SEGMENT_EPHEMERAL, SHC_SEGMENT_ANY_USER.
     */
    uint32_t flags;
    /**
     * 0.
     */
    uint32_t reserved;
} shc_segment_options;

/**
 * An object of a segment.
 */
typedef struct {
    /**
     * Its name, ended by a NUL.
     */
    char name[136];
    /**
     * What kind of object it is: one of SHC_KIND_*.
     */
    uint32_t kind;
    /**
     * Its typecode's character, or 0.
     */
    uint32_t typecode;
    /**
     * The size of an element, or of the largest item, in bytes.
     */
    uint64_t element_size;
    /**
     * The number of elements, or the capacity in items.
     */
    uint64_t count;
} shc_object_info;

/**
 * A participant of a segment.
 */
typedef struct {
    /**
     * Its label in the segment, from 1.
     */
    uint32_t label;
    /**
     * Its process id, in its own pid namespace.
     */
    uint32_t pid;
    /**
     * When its process started, in clock ticks since boot; 0 in a forked child.
     */
    uint64_t start_time;
    /**
     * Its command's name, ended by a NUL.
     */
    char command[24];
    /**
     * Whether it lives, by the kernel's word.
     */
    bool alive;
} shc_participant_info;

/**
 * The name of a segment.
 */
typedef struct {
    /**
     * The name, ended by a NUL.
     */
    char name[256];
} shc_segment_info;

/**
 * Something to wait for.
 */
typedef struct {
    /**
     * SHC_QUEUE_READABLE and so on.
     */
    uint32_t what;
    /**
     * The descriptor, for SHC_FD_READABLE and SHC_FD_WRITABLE.
     */
    int32_t fd;
    /**
     * The handle of the object, of the type that `what` names; else NULL.
     */
    const void *object;
} shc_interest;

/**
 * Done.
 */
#define SHC_OK 0

/**
 * The call would have had to wait, and was told not to.
 */
#define SHC_WOULD_BLOCK 1

/**
 * The deadline passed.
 */
#define SHC_TIMED_OUT 2

/**
 * A signal handler ran during the wait.
 */
#define SHC_INTERRUPTED 3

/**
 * The object was shut down, or nobody is left at the other end.
 */
#define SHC_CLOSED 4

/**
 * The lock is held by the caller, and who held it before died: what it protects may be half changed.
 */
#define SHC_OWNER_DIED 5

/**
 * The barrier is broken.
 */
#define SHC_BROKEN 6

/**
 * An argument makes no sense by itself.
 */
#define SHC_ERR_INVALID_ARGUMENT -1

/**
 * A name that no segment or object can have.
 */
#define SHC_ERR_INVALID_NAME -2

/**
 * Nothing has that name.
 */
#define SHC_ERR_NOT_FOUND -3

/**
 * Something has that name already.
 */
#define SHC_ERR_ALREADY_EXISTS -4

/**
 * The object of that name is of another kind.
 */
#define SHC_ERR_WRONG_KIND -5

/**
 * The object has another typecode or element type.
 */
#define SHC_ERR_WRONG_TYPE -6

/**
 * The object has another length, capacity or limit.
 */
#define SHC_ERR_WRONG_SIZE -7

/**
 * The segment has another layout version, byte order, word size or lock protocol.
 */
#define SHC_ERR_INCOMPATIBLE -8

/**
 * The file is not a segment.
 */
#define SHC_ERR_NOT_A_SEGMENT -9

/**
 * The segment's creator died before it was complete.
 */
#define SHC_ERR_UNFINISHED -10

/**
 * The segment's content contradicts itself.
 */
#define SHC_ERR_CORRUPTED -12

/**
 * The operating system refused access.
 */
#define SHC_ERR_PERMISSION_DENIED -13

/**
 * The file belongs to another user.
 */
#define SHC_ERR_WRONG_USER -14

/**
 * The memory of the machine that backs segments is exhausted.
 */
#define SHC_ERR_NO_SPACE -15

/**
 * The segment has reached the limit that it was created with.
 */
#define SHC_ERR_LIMIT_REACHED -16

/**
 * The item is larger than the object admits.
 */
#define SHC_ERR_TOO_LARGE -17

/**
 * The index is outside the array.
 */
#define SHC_ERR_OUT_OF_RANGE -18

/**
 * The value cannot be represented in the typecode.
 */
#define SHC_ERR_VALUE_RANGE -19

/**
 * What was to be released is not held.
 */
#define SHC_ERR_NOT_HELD -20

/**
 * What was to be released is held by another process.
 */
#define SHC_ERR_NOT_OWNER -21

/**
 * This process has no seat in the segment: it was made by a raw clone, or no seat was free at its fork.
 */
#define SHC_ERR_NOT_ATTACHED -22

/**
 * All participants' seats are taken.
 */
#define SHC_ERR_TABLE_FULL -23

/**
 * Handles, guards or views are still in use.
 */
#define SHC_ERR_BUSY -24

/**
 * The kernel, the file system or this end of a pipe cannot do that.
 */
#define SHC_ERR_UNSUPPORTED -25

/**
 * The object was removed.
 */
#define SHC_ERR_REMOVED -26

/**
 * A descriptor, mapping or similar resource of the process ran out.
 */
#define SHC_ERR_OUT_OF_RESOURCES -27

/**
 * Any other error of the operating system.
 */
#define SHC_ERR_SYSTEM -28

/**
 * A defect of this library, stopped at its border.
 */
#define SHC_ERR_PANIC -29

/**
 * The semaphore would exceed its maximum.
 */
#define SHC_ERR_OVERFLOW -30

/**
 * The segment was made before the machine was last started.
 */
#define SHC_ERR_STALE_BOOT -31

/**
 * The handle was closed, or is no handle of this type.
 */
#define SHC_ERR_INVALID_HANDLE -32

/**
 * The buffer is too small for what is to be written to it.
 */
#define SHC_ERR_BUFFER_TOO_SMALL -33

/**
 * Somebody has declared what the lock protects to be beyond repair.
 */
#define SHC_ERR_POISONED -34

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of this ABI; a library of another one must not be used. It is not the package's version.
 */
uint32_t shc_abi_version(void);

/**
 * The version of what lies in memory; segments of another version are refused.
 */
uint32_t shc_layout_version(void);

/**
 * The package's version, as text that lives for ever.
 */
const char *shc_version(void);

/**
 * Copies the sentence of this thread's last error (a negative status) and a NUL into a buffer, cut off if it
 * is too small.
 */
shc_status shc_last_error(char *buffer, size_t size);

/**
 * Creates an array of `len` elements, all zero bytes. The caller closes it.
 */
shc_status shc_array_create(const shc_segment *segment,
                            const char *name,
                            const shc_type *ty,
                            size_t len,
                            shc_array **out);

/**
 * Opens an array of the same type, of any length. The caller closes it.
 */
shc_status shc_array_open(const shc_segment *segment, const char *name, const shc_type *ty, shc_array **out);

/**
 * Opens an array of the same type and length, or creates it. The caller closes it.
 */
shc_status shc_array_open_or_create(const shc_segment *segment,
                                    const char *name,
                                    const shc_type *ty,
                                    size_t len,
                                    shc_array **out);

/**
 * Closes a handle; NULL is fine.
 */
shc_status shc_array_close(shc_array *array);

/**
 * The number of elements.
 */
shc_status shc_array_len(const shc_array *array, size_t *out);

/**
 * The size of an element in bytes.
 */
shc_status shc_array_element_size(const shc_array *array, size_t *out);

/**
 * Copies elements from index `start` on to `out`: `size` bytes, a multiple of the element's size. An element
 * of 1, 2, 4 or 8 bytes is read whole.
 */
shc_status shc_array_read(const shc_array *array, size_t start, void *out, size_t size);

/**
 * Copies `size` bytes, a multiple of the element's size, to the elements from index `start` on. An element
 * of 1, 2, 4 or 8 bytes is written whole.
 */
shc_status shc_array_write(const shc_array *array, size_t start, const void *data, size_t size);

/**
 * Makes `count` elements from index `start` on equal to the one of `size` bytes that `element` points to.
 */
shc_status shc_array_fill(const shc_array *array,
                          size_t start,
                          size_t count,
                          const void *element,
                          size_t size);

/**
 * The address of the first element, valid while the handle is open. Others read and write there at any time.
 */
shc_status shc_array_address(const shc_array *array, void **out);

/**
 * Copies the text of an array up to its first NUL, without one, to a buffer; its length in bytes.
 */
shc_status shc_array_get_text(const shc_array *array, void *buffer, size_t size, size_t *len);

/**
 * Copies `len` bytes to the start of an array, and a NUL behind them if there is room.
 */
shc_status shc_array_set_text(const shc_array *array, const void *text, size_t len);

/**
 * Acquires the array's lock; as shc_value_lock.
 */
shc_status shc_array_lock(const shc_array *array, int64_t timeout_ns);

/**
 * Releases the array's lock; as shc_value_unlock.
 */
shc_status shc_array_unlock(const shc_array *array);

/**
 * Creates a barrier for 1 to 65536 parties. The caller closes it.
 */
shc_status shc_barrier_create(const shc_segment *segment,
                              const char *name,
                              uint32_t parties,
                              shc_barrier **out);

/**
 * Opens a barrier. The caller closes it.
 */
shc_status shc_barrier_open(const shc_segment *segment, const char *name, shc_barrier **out);

/**
 * Opens a barrier for as many parties, or creates it. The caller closes it.
 */
shc_status shc_barrier_open_or_create(const shc_segment *segment,
                                      const char *name,
                                      uint32_t parties,
                                      shc_barrier **out);

/**
 * Closes a handle; NULL is fine.
 */
shc_status shc_barrier_close(shc_barrier *barrier);

/**
 * Waits for the others; this party's number in order of arrival goes to `number`. SHC_BROKEN, also when the time
 * is up; SHC_INTERRUPTED, and then this party has not arrived.
 */
shc_status shc_barrier_wait(const shc_barrier *barrier,
                            int64_t timeout_ns,
                            size_t *number);

/**
 * As shc_barrier_wait; the last party to arrive calls `action` with `userdata` before any goes on. If that returns
 * false the barrier is broken.
 */
shc_status shc_barrier_wait_with(const shc_barrier *barrier,
                                 int64_t timeout_ns,
                                 bool (*action)(void*),
                                 void *userdata,
                                 size_t *number);

/**
 * Breaks the barrier for all who wait and all who come, until it is reset.
 */
shc_status shc_barrier_abort(const shc_barrier *barrier);

/**
 * Begins a new round, whole. Those who wait get SHC_BROKEN.
 */
shc_status shc_barrier_reset(const shc_barrier *barrier);

/**
 * How many parties it takes.
 */
shc_status shc_barrier_parties(const shc_barrier *barrier, size_t *out);

/**
 * How many wait; 0 when it is broken.
 */
shc_status shc_barrier_n_waiting(const shc_barrier *barrier, size_t *out);

/**
 * Whether it is broken.
 */
shc_status shc_barrier_is_broken(const shc_barrier *barrier, bool *out);

/**
 * Creates a condition. The caller closes it.
 */
shc_status shc_condition_create(const shc_segment *segment, const char *name, shc_condition **out);

/**
 * Opens a condition. The caller closes it.
 */
shc_status shc_condition_open(const shc_segment *segment, const char *name, shc_condition **out);

/**
 * Opens a condition, or creates it. The caller closes it.
 */
shc_status shc_condition_open_or_create(const shc_segment *segment, const char *name, shc_condition **out);

/**
 * Closes a handle; NULL is fine.
 */
shc_status shc_condition_close(shc_condition *condition);

/**
 * Acquires the lock: SHC_OK, or SHC_OWNER_DIED (it is held, too); SHC_WOULD_BLOCK, SHC_TIMED_OUT,
 * SHC_INTERRUPTED.
 */
shc_status shc_condition_acquire(const shc_condition *condition, int64_t timeout_ns);

/**
 * Releases the lock once: SHC_OK, SHC_ERR_NOT_HELD; SHC_ERR_NOT_OWNER when another thread or process holds it.
 */
shc_status shc_condition_release(const shc_condition *condition);

/**
 * Gives the lock back, waits for a notification, and takes the lock again: SHC_OK; SHC_OWNER_DIED, notified or not, when
 * whoever held the lock meanwhile died.
 * SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED: not notified, but the lock is held again.
 * SHC_ERR_NOT_HELD, SHC_ERR_NOT_OWNER without the lock; SHC_ERR_LIMIT_REACHED when too many wait.
 */
shc_status shc_condition_wait(const shc_condition *condition,
                              int64_t timeout_ns);

/**
 * Waits, as shc_condition_wait, until `ready` returns true, which is asked with `userdata` and with the lock held, or
 * time is up; what it returned last goes to `out`. SHC_OWNER_DIED, SHC_INTERRUPTED: `out` is not written, the lock is
 * held. `ready` has to return: it must not unwind or jump out.
 */
shc_status shc_condition_wait_for(const shc_condition *condition,
                                  int64_t timeout_ns,
                                  bool (*ready)(void*),
                                  void *userdata,
                                  bool *out);

/**
 * Wakes up to `count` of those who wait, the longest waiting first; SIZE_MAX wakes all. SHC_ERR_NOT_HELD,
 * SHC_ERR_NOT_OWNER without the lock.
 */
shc_status shc_condition_notify(const shc_condition *condition, size_t count);

/**
 * How many wait.
 */
shc_status shc_condition_waiters(const shc_condition *condition, size_t *out);

/**
 * Creates an event. The caller closes it.
 */
shc_status shc_event_create(const shc_segment *segment, const char *name, shc_event **out);

/**
 * Opens an event. The caller closes it.
 */
shc_status shc_event_open(const shc_segment *segment, const char *name, shc_event **out);

/**
 * Opens an event, or creates it. The caller closes it.
 */
shc_status shc_event_open_or_create(const shc_segment *segment, const char *name, shc_event **out);

/**
 * Closes a handle; NULL is fine.
 */
shc_status shc_event_close(shc_event *event);

/**
 * Sets the flag and wakes all who wait. Async-signal-safe.
 */
shc_status shc_event_set(const shc_event *event);

/**
 * Clears the flag.
 */
shc_status shc_event_clear(const shc_event *event);

/**
 * Whether the flag is set.
 */
shc_status shc_event_is_set(const shc_event *event, bool *out);

/**
 * Waits until the flag is set: SHC_OK, SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED.
 */
shc_status shc_event_wait(const shc_event *event, int64_t timeout_ns);

/**
 * Creates a lock. The caller closes it.
 */
shc_status shc_lock_create(const shc_segment *segment, const char *name, shc_lock **out);

/**
 * Opens a lock. The caller closes it.
 */
shc_status shc_lock_open(const shc_segment *segment, const char *name, shc_lock **out);

/**
 * Opens a lock, or creates it. The caller closes it.
 */
shc_status shc_lock_open_or_create(const shc_segment *segment, const char *name, shc_lock **out);

/**
 * Closes a handle; NULL is fine.
 */
shc_status shc_lock_close(shc_lock *lock);

/**
 * Acquires the lock: SHC_OK, or SHC_OWNER_DIED (it is held, too, and what it protects may be half changed);
 * SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED, SHC_ERR_POISONED.
 */
shc_status shc_lock_acquire(const shc_lock *lock, int64_t timeout_ns);

/**
 * Acquires the lock, and if its last owner died calls `repair` with `userdata` before anybody else can have it. When
 * that returns true the lock is held, SHC_OK; when it returns false what the lock protects is beyond repair, and the
 * lock is not held: SHC_ERR_POISONED, as for all others, until somebody clears that. Else as shc_lock_acquire. `repair`
 * has to return: it must not unwind or jump out.
 */
shc_status shc_lock_acquire_or_repair(const shc_lock *lock,
                                      int64_t timeout_ns,
                                      bool (*repair)(void*),
                                      void *userdata);

/**
 * Releases the lock: SHC_OK, SHC_ERR_NOT_HELD, SHC_ERR_NOT_OWNER.
 */
shc_status shc_lock_release(const shc_lock *lock);

/**
 * Releases the lock so that nobody can acquire it any more: what it protects is beyond repair. All get
 * SHC_ERR_POISONED, until somebody clears that.
 */
shc_status shc_lock_poison(const shc_lock *lock);

/**
 * Whether what the lock protects was declared beyond repair.
 */
shc_status shc_lock_is_poisoned(const shc_lock *lock, bool *out);

/**
 * Lets the lock be acquired again, when what it protects was made anew; whether it was poisoned.
 */
shc_status shc_lock_clear_poison(const shc_lock *lock, bool *out);

/**
 * The label of the participant that holds the lock, 0 if nobody does.
 */
shc_status shc_lock_holder(const shc_lock *lock, uint32_t *out);

/**
 * Creates a pipe and opens both of its ends. `options` may be NULL. The caller closes both.
 */
shc_status shc_pipe_create(const shc_segment *segment,
                           const char *name,
                           const shc_pipe_options *options,
                           shc_pipe **out_a,
                           shc_pipe **out_b);

/**
 * Opens one end of a pipe: SHC_END_A or SHC_END_B. SHC_CLOSED when the other side has already seen the
 * end-of-file of this end. The caller closes it.
 */
shc_status shc_pipe_open(const shc_segment *segment, const char *name, uint32_t which, shc_pipe **out);

/**
 * Opens one end of a pipe, which must have been created with equal options, or creates it. `options` may be
 * NULL. The caller closes it.
 */
shc_status shc_pipe_open_or_create(const shc_segment *segment,
                                   const char *name,
                                   uint32_t which,
                                   const shc_pipe_options *options,
                                   shc_pipe **out);

/**
 * Closes a handle; NULL is fine. When no process holds the end any more the other side is told.
 */
shc_status shc_pipe_close(shc_pipe *pipe);

/**
 * Sends a message of `len` bytes: SHC_OK; SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED; SHC_CLOSED when
 * nobody holds the other end any more; or an error. Unless SHC_OK nothing was sent.
 */
shc_status shc_pipe_send(const shc_pipe *pipe, const void *data, size_t len, int64_t timeout_ns);

/**
 * Receives the next message into a buffer; its length goes to `len`. SHC_WOULD_BLOCK, SHC_TIMED_OUT,
 * SHC_INTERRUPTED; SHC_CLOSED at the end-of-file; SHC_ERR_BUFFER_TOO_SMALL, and the message is still
 * there; its length goes to `len` then too.
 */
shc_status shc_pipe_recv(const shc_pipe *pipe, void *buffer, size_t size, int64_t timeout_ns, size_t *len);

/**
 * Calls `take` with the bytes of the next message, where they lie, for as long as that call lasts; it must neither wait
 * nor leave by other ways than returning: true if the message is received, false if it is to stay. Which of them goes to
 * `received`. Outcomes as of shc_pipe_recv.
 */
shc_status shc_pipe_recv_with(const shc_pipe *pipe,
                              int64_t timeout_ns,
                              bool (*take)(void*, const void*, size_t),
                              void *userdata,
                              bool *received);

/**
 * Takes the next message in place; it must be given back with shc_pipe_release or shc_pipe_put_back.
 * Outcomes as of shc_pipe_recv.
 */
shc_status shc_pipe_recv_in_place(const shc_pipe *pipe, int64_t timeout_ns, shc_item *out);

/**
 * Gives a message back: it is done with. SHC_ERR_NOT_HELD if it was given back already.
 */
shc_status shc_pipe_release(const shc_pipe *pipe, const shc_item *item);

/**
 * Gives a message back unread: it can be received again.
 */
shc_status shc_pipe_put_back(const shc_pipe *pipe, const shc_item *item);

/**
 * A place for a message of up to `len` bytes, to be written and then given to shc_pipe_commit or
 * shc_pipe_abort. Outcomes as of shc_pipe_send.
 */
shc_status shc_pipe_reserve(const shc_pipe *pipe, size_t len, int64_t timeout_ns, shc_slot *out);

/**
 * Sends the first `len` bytes of a place.
 */
shc_status shc_pipe_commit(const shc_pipe *pipe, const shc_slot *slot, size_t len);

/**
 * Gives a place back: nothing was sent.
 */
shc_status shc_pipe_abort(const shc_pipe *pipe, const shc_slot *slot);

/**
 * Waits until a message can be received, or the end-of-file; whether one of them came in time.
 */
shc_status shc_pipe_poll(const shc_pipe *pipe, int64_t timeout_ns, bool *out);

/**
 * Whether this end can send.
 */
shc_status shc_pipe_can_send(const shc_pipe *pipe, bool *out);

/**
 * Whether this end can receive.
 */
shc_status shc_pipe_can_recv(const shc_pipe *pipe, bool *out);

/**
 * Whether messages go both ways.
 */
shc_status shc_pipe_is_duplex(const shc_pipe *pipe, bool *out);

/**
 * Creates a queue. `options` may be NULL. The caller closes it.
 */
shc_status shc_queue_create(const shc_segment *segment,
                            const char *name,
                            const shc_queue_options *options,
                            shc_queue **out);

/**
 * Opens a queue. The caller closes it.
 */
shc_status shc_queue_open(const shc_segment *segment, const char *name, shc_queue **out);

/**
 * Opens a queue, which must have been created with equal options, or creates it. `options` may be NULL. The
 * caller closes it.
 */
shc_status shc_queue_open_or_create(const shc_segment *segment,
                                    const char *name,
                                    const shc_queue_options *options,
                                    shc_queue **out);

/**
 * Closes a handle; NULL is fine. The queue itself goes on; see shc_queue_shutdown.
 */
shc_status shc_queue_close(shc_queue *queue);

/**
 * Puts an item of `len` bytes: SHC_OK; SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED, SHC_CLOSED, or an
 * error, and then nothing was put.
 */
shc_status shc_queue_put(const shc_queue *queue, const void *data, size_t len, int64_t timeout_ns);

/**
 * Puts `count` items in order; how many were put goes to `done`. Getters are woken once for all of them.
 * Anything but SHC_OK means that nothing was put.
 */
shc_status shc_queue_put_many(const shc_queue *queue,
                              const shc_buffer *items,
                              size_t count,
                              int64_t timeout_ns,
                              size_t *done);

/**
 * Gets the oldest item into a buffer; its length goes to `len`. SHC_WOULD_BLOCK, SHC_TIMED_OUT,
 * SHC_INTERRUPTED; SHC_CLOSED when the queue is shut down and nothing is left; SHC_ERR_BUFFER_TOO_SMALL, and
 * the item is still there; its length goes to `len` then too.
 */
shc_status shc_queue_get(const shc_queue *queue, void *buffer, size_t size, int64_t timeout_ns, size_t *len);

/**
 * Gets up to `max` items that are there, waiting for the first, one behind the other into a buffer; their
 * lengths go to `lens`, which has room for `max`, and their number to `count`. It ends before an item for
 * which the buffer has no room; less than `max` does not mean that nothing is left. Up to 64 are given back
 * together when all are copied: if this process dies before, they are delivered again.
 */
shc_status shc_queue_get_many(const shc_queue *queue,
                              void *buffer,
                              size_t size,
                              size_t *lens,
                              size_t max,
                              int64_t timeout_ns,
                              size_t *count);

/**
 * Calls `take` with the bytes of up to `max` items that are there, oldest first, waiting for the first; how many were
 * got goes to `count`. The bytes lie where they were put, for as long as the call of `take` lasts, which must neither
 * wait nor leave by other ways than returning: true if the item is got, false if it and those behind it are to stay.
 * A death is as for shc_queue_get_many.
 */
shc_status shc_queue_get_with(const shc_queue *queue,
                              size_t max,
                              int64_t timeout_ns,
                              bool (*take)(void*, const void*, size_t),
                              void *userdata,
                              size_t *count);

/**
 * Takes the oldest item in place; it must be given back with shc_queue_release or shc_queue_put_back. It costs
 * one cell of the queue until then. Outcomes as of shc_queue_get.
 */
shc_status shc_queue_recv(const shc_queue *queue,
                          int64_t timeout_ns,
                          shc_item *out);

/**
 * Gives an item back: it is done with. SHC_ERR_NOT_HELD if it was given back already.
 */
shc_status shc_queue_release(const shc_queue *queue, const shc_item *item);

/**
 * Gives an item back undone: somebody else gets it.
 */
shc_status shc_queue_put_back(const shc_queue *queue, const shc_item *item);

/**
 * A place for an item of up to `len` bytes, to be written and then given to shc_queue_commit or
 * shc_queue_abort. Outcomes as of shc_queue_put.
 */
shc_status shc_queue_reserve(const shc_queue *queue, size_t len, int64_t timeout_ns, shc_slot *out);

/**
 * Makes the first `len` bytes of a place an item that can be got.
 */
shc_status shc_queue_commit(const shc_queue *queue, const shc_slot *slot, size_t len);

/**
 * Gives a place back: nothing was put.
 */
shc_status shc_queue_abort(const shc_queue *queue, const shc_slot *slot);

/**
 * How many items can be got at this moment.
 */
shc_status shc_queue_qsize(const shc_queue *queue, size_t *out);

/**
 * Whether nothing can be got at this moment.
 */
shc_status shc_queue_empty(const shc_queue *queue, bool *out);

/**
 * Whether a put would have to wait at this moment.
 */
shc_status shc_queue_full(const shc_queue *queue, bool *out);

/**
 * How many items the queue holds.
 */
shc_status shc_queue_capacity(const shc_queue *queue, size_t *out);

/**
 * The largest item in bytes.
 */
shc_status shc_queue_max_item(const shc_queue *queue, uint64_t *out);

/**
 * The most bytes that may be in the queue; UINT64_MAX when only items are counted.
 */
shc_status shc_queue_max_bytes(const shc_queue *queue, uint64_t *out);

/**
 * Says that an item which this process got is done, once for each get. (One that was taken in place is done when it
 * is released.) SHC_ERR_NOT_HELD when this process has got none that is not done.
 */
shc_status shc_queue_task_done(const shc_queue *queue);

/**
 * Waits until every item that was put is done: SHC_OK, SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED. What a process
 * had got that is killed counts as done; what it had taken in place is delivered again, and does not.
 */
shc_status shc_queue_join(const shc_queue *queue,
                          int64_t timeout_ns);

/**
 * Lets no more items in. Getters get what is left, then SHC_CLOSED; waiting putters get SHC_CLOSED.
 */
shc_status shc_queue_shutdown(const shc_queue *queue);

/**
 * Whether the queue was shut down.
 */
shc_status shc_queue_is_shutdown(const shc_queue *queue, bool *out);

/**
 * Creates a reentrant lock. The caller closes it.
 */
shc_status shc_rlock_create(const shc_segment *segment, const char *name, shc_rlock **out);

/**
 * Opens a reentrant lock. The caller closes it.
 */
shc_status shc_rlock_open(const shc_segment *segment, const char *name, shc_rlock **out);

/**
 * Opens a reentrant lock, or creates it. The caller closes it.
 */
shc_status shc_rlock_open_or_create(const shc_segment *segment, const char *name, shc_rlock **out);

/**
 * Closes a handle; NULL is fine.
 */
shc_status shc_rlock_close(shc_rlock *rlock);

/**
 * Acquires the lock: SHC_OK, or SHC_OWNER_DIED (it is held, too); SHC_WOULD_BLOCK, SHC_TIMED_OUT,
 * SHC_INTERRUPTED.
 */
shc_status shc_rlock_acquire(const shc_rlock *rlock, int64_t timeout_ns);

/**
 * Releases the lock once: SHC_OK, SHC_ERR_NOT_HELD; SHC_ERR_NOT_OWNER when another thread or process holds it.
 */
shc_status shc_rlock_release(const shc_rlock *rlock);

/**
 * The label of the participant that holds the lock, 0 if nobody does.
 */
shc_status shc_rlock_holder(const shc_rlock *rlock, uint32_t *out);

/**
 * Creates a reader-writer lock. The caller closes it.
 */
shc_status shc_rwlock_create(const shc_segment *segment, const char *name, shc_rwlock **out);

/**
 * Opens a reader-writer lock. The caller closes it.
 */
shc_status shc_rwlock_open(const shc_segment *segment, const char *name, shc_rwlock **out);

/**
 * Opens a reader-writer lock, or creates it. The caller closes it.
 */
shc_status shc_rwlock_open_or_create(const shc_segment *segment, const char *name, shc_rwlock **out);

/**
 * Closes a handle; NULL is fine.
 */
shc_status shc_rwlock_close(shc_rwlock *rwlock);

/**
 * Acquires the lock for reading: SHC_OK, or SHC_OWNER_DIED (it is held, too); SHC_WOULD_BLOCK, SHC_TIMED_OUT,
 * SHC_INTERRUPTED.
 */
shc_status shc_rwlock_acquire_read(const shc_rwlock *rwlock, int64_t timeout_ns);

/**
 * Acquires the lock for writing: SHC_OK, or SHC_OWNER_DIED (it is held, too); SHC_WOULD_BLOCK, SHC_TIMED_OUT,
 * SHC_INTERRUPTED.
 */
shc_status shc_rwlock_acquire_write(const shc_rwlock *rwlock, int64_t timeout_ns);

/**
 * Releases the lock after reading: SHC_OK; SHC_ERR_NOT_HELD when no thread of this process reads.
 */
shc_status shc_rwlock_release_read(const shc_rwlock *rwlock);

/**
 * Releases the lock after writing: SHC_OK, SHC_ERR_NOT_HELD, SHC_ERR_NOT_OWNER.
 */
shc_status shc_rwlock_release_write(const shc_rwlock *rwlock);

/**
 * Creates a segment. `options` may be NULL. The caller closes the segment.
 */
shc_status shc_segment_create(const char *name, const shc_segment_options *options, shc_segment **out);

/**
 * Opens a segment. `options` may be NULL. The caller closes the segment.
 */
shc_status shc_segment_open(const char *name, const shc_segment_options *options, shc_segment **out);

/**
 * Opens a segment, or creates it where there is none. `options` may be NULL. The caller closes the segment.
 */
shc_status shc_segment_open_or_create(const char *name,
                                      const shc_segment_options *options,
                                      shc_segment **out);

/**
 * Creates a segment without a name, which nobody can unlink, squat or truncate. It is handed on by fork, and as a
 * descriptor. `options` may be NULL. The caller closes the segment.
 */
shc_status shc_segment_create_anonymous(const shc_segment_options *options,
                                        shc_segment **out);

/**
 * A descriptor of an anonymous segment, for another process to attach by. The caller closes it.
 */
shc_status shc_segment_to_fd(const shc_segment *segment, int32_t *fd);

/**
 * Attaches to an anonymous segment by a descriptor of it, which stays the caller's. The caller closes the segment.
 */
shc_status shc_segment_from_fd(int32_t fd,
                               shc_segment **out);

/**
 * Hands an anonymous segment over a connected Unix socket.
 */
shc_status shc_segment_send_over(const shc_segment *segment, int32_t socket);

/**
 * Attaches to an anonymous segment that comes over a Unix socket. SHC_CLOSED when the socket was closed, or something
 * else came; SHC_WOULD_BLOCK, SHC_INTERRUPTED. The caller closes the segment.
 */
shc_status shc_segment_receive_over(int32_t socket,
                                    shc_segment **out);

/**
 * Lays a new segment over `len` bytes of shared memory that the caller has mapped and keeps mapped, aligned to a page.
 * `name` is that of the file that keeps the leases; shc_segment_unlink removes it. The segment does not grow beyond
 * the memory. `options` may be NULL. The caller closes the segment.
 */
shc_status shc_segment_create_over(const char *name,
                                   void *memory,
                                   size_t len,
                                   const shc_segment_options *options,
                                   shc_segment **out);

/**
 * Attaches to a segment that was laid over the same memory, wherever this process has it mapped; one that is attached
 * already goes on with the mapping that it attached with. `options` may be NULL. The caller closes the segment.
 */
shc_status shc_segment_open_over(const char *name,
                                 void *memory,
                                 size_t len,
                                 const shc_segment_options *options,
                                 shc_segment **out);

/**
 * Attaches to a segment that was laid over the same memory, or lays a new one over it where there is none of that name;
 * while somebody else is laying it, this waits up to a second for that. `options` may be NULL. The caller closes the
 * segment.
 */
shc_status shc_segment_open_or_create_over(const char *name,
                                           void *memory,
                                           size_t len,
                                           const shc_segment_options *options,
                                           shc_segment **out);

/**
 * Takes the name from a segment. Who is attached goes on with it. Of one over given memory it removes the file that
 * keeps the leases.
 */
shc_status shc_segment_unlink(const char *name);

/**
 * Closes a handle to a segment; NULL is fine. SHC_ERR_BUSY, with the handle still open, while objects of the
 * segment are open in this process and this is its last handle to the segment.
 */
shc_status shc_segment_close(shc_segment *segment);

/**
 * Copies the segment's name and a NUL into a buffer.
 */
shc_status shc_segment_name(const shc_segment *segment, char *buffer, size_t size);

/**
 * The size in bytes that the segment may grow to.
 */
shc_status shc_segment_limit(const shc_segment *segment, uint64_t *out);

/**
 * The memory that the segment takes, in bytes.
 */
shc_status shc_segment_size(const shc_segment *segment, uint64_t *out);

/**
 * Whether the segment's name was taken from it, or leads to another segment by now.
 */
shc_status shc_segment_is_unlinked(const shc_segment *segment, bool *out);

/**
 * Whether the segment has no name and never had one.
 */
shc_status shc_segment_is_anonymous(const shc_segment *segment, bool *out);

/**
 * Whether the last participant to leave unlinks the segment.
 */
shc_status shc_segment_is_ephemeral(const shc_segment *segment, bool *out);

/**
 * Takes the name from an object. Who has it open goes on with it; its memory is reused when the last one has
 * closed it.
 */
shc_status shc_segment_remove(const shc_segment *segment, const char *name);

/**
 * Clears up after participants that have died; how many there were. Waiting calls do this by themselves.
 */
shc_status shc_segment_recover(const shc_segment *segment, size_t *out);

/**
 * Writes up to `room` of the segment's objects to `list`, in no particular order; how many there are in all.
 */
shc_status shc_segment_objects(const shc_segment *segment, shc_object_info *list, size_t room, size_t *count);

/**
 * Writes up to `room` of the segment's participants to `list`; how many there are in all.
 */
shc_status shc_segment_participants(const shc_segment *segment,
                                    shc_participant_info *list,
                                    size_t room,
                                    size_t *count);

/**
 * Removes ephemeral and unfinished segments that nobody lives in; how many. Never a persistent segment.
 */
shc_status shc_gc(size_t *removed);

/**
 * Writes up to `room` of the names of this machine's segments to `list`; how many there are in all.
 */
shc_status shc_segment_names(shc_segment_info *list, size_t room, size_t *count);

/**
 * Waits until any of `count` interests is ready: SHC_OK, and for each, in `ready`, whether it is; nothing is taken.
 * SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED. At most 127 may be objects.
 */
shc_status shc_wait_any(const shc_interest *interests,
                        size_t count,
                        int64_t timeout_ns,
                        bool *ready);

/**
 * Creates a silent bell. The caller closes it.
 */
shc_status shc_bell_create(shc_bell **out);

/**
 * Closes a bell; NULL is fine.
 */
shc_status shc_bell_close(shc_bell *bell);

/**
 * The bell's descriptor, which is closed with it.
 */
shc_status shc_bell_fd(const shc_bell *bell, int32_t *fd);

/**
 * Lets the bell ring, once, when any of `count` interests may have become ready; at once, if one is. It may ring in
 * vain. Descriptors among them do not count.
 */
shc_status shc_bell_arm(const shc_bell *bell,
                        const shc_interest *interests,
                        size_t count);

/**
 * Makes the bell's descriptor unreadable again.
 */
shc_status shc_bell_clear(const shc_bell *bell);

/**
 * Creates a semaphore with a first value of at most 2147483647. The caller closes it.
 */
shc_status shc_semaphore_create(const shc_segment *segment,
                                const char *name,
                                uint32_t value,
                                shc_semaphore **out);

/**
 * Creates a semaphore with SHC_SEMAPHORE_BOUNDED, SHC_SEMAPHORE_UNDO, both or none. The caller closes it.
 */
shc_status shc_semaphore_create_with(const shc_segment *segment,
                                     const char *name,
                                     uint32_t value,
                                     uint32_t flags,
                                     shc_semaphore **out);

/**
 * Opens a semaphore of the same flags, or creates it. The caller closes it.
 */
shc_status shc_semaphore_open_or_create_with(const shc_segment *segment,
                                             const char *name,
                                             uint32_t value,
                                             uint32_t flags,
                                             shc_semaphore **out);

/**
 * Opens a semaphore. The caller closes it.
 */
shc_status shc_semaphore_open(const shc_segment *segment, const char *name, shc_semaphore **out);

/**
 * Opens a semaphore, or creates it with a first value. The caller closes it.
 */
shc_status shc_semaphore_open_or_create(const shc_segment *segment,
                                        const char *name,
                                        uint32_t value,
                                        shc_semaphore **out);

/**
 * Closes a handle; NULL is fine.
 */
shc_status shc_semaphore_close(shc_semaphore *semaphore);

/**
 * Acquires a permit: SHC_OK, SHC_WOULD_BLOCK, SHC_TIMED_OUT, SHC_INTERRUPTED.
 */
shc_status shc_semaphore_acquire(const shc_semaphore *semaphore, int64_t timeout_ns);

/**
 * Adds `permits`; SHC_ERR_OVERFLOW beyond its maximum, SHC_ERR_NOT_HELD of one with undo, and then
 * nothing was added. Async-signal-safe unless it
 * fails.
 */
shc_status shc_semaphore_release(const shc_semaphore *semaphore, uint32_t permits);

/**
 * The value at this moment.
 */
shc_status shc_semaphore_value(const shc_semaphore *semaphore, uint32_t *out);

/**
 * Creates a value. `initial` points to a value of the type, or is NULL for zero bytes. The caller closes it.
 */
shc_status shc_value_create(const shc_segment *segment,
                            const char *name,
                            const shc_type *ty,
                            const void *initial,
                            shc_value **out);

/**
 * Opens a value of the same type. The caller closes it.
 */
shc_status shc_value_open(const shc_segment *segment, const char *name, const shc_type *ty, shc_value **out);

/**
 * Opens a value of the same type, or creates it. The caller closes it.
 */
shc_status shc_value_open_or_create(const shc_segment *segment,
                                    const char *name,
                                    const shc_type *ty,
                                    const void *initial,
                                    shc_value **out);

/**
 * Closes a handle; NULL is fine.
 */
shc_status shc_value_close(shc_value *value);

/**
 * The size of the value in bytes.
 */
shc_status shc_value_size(const shc_value *value, size_t *out);

/**
 * Copies the value to `out`, whose `size` must be the value's. Atomic, at any size.
 */
shc_status shc_value_get(const shc_value *value, void *out, size_t size);

/**
 * Makes what `data` points to the value. Atomic, at any size.
 */
shc_status shc_value_set(const shc_value *value, const void *data, size_t size);

/**
 * Makes what `data` points to the value, and copies what it was before to `old`. Atomic, at any size.
 */
shc_status shc_value_exchange(const shc_value *value, const void *data, size_t size, void *old);

/**
 * Makes what `desired` points to the value if it is what `expected` points to, byte by byte; copies what it
 * was before to `old`, and whether it was changed to `changed`. Atomic, at any size.
 */
shc_status shc_value_compare_exchange(const shc_value *value,
                                      const void *expected,
                                      const void *desired,
                                      size_t size,
                                      void *old,
                                      bool *changed);

/**
 * Adds to a value of an integer typecode, wrapping around; what it was before goes to `old`, if that is not
 * NULL (an unsigned 64-bit number as the same bits). Atomic.
 */
shc_status shc_value_add_int(const shc_value *value, int64_t amount, int64_t *old);

/**
 * Adds to a value of typecode f or d; what it was before goes to `old`, if that is not NULL. Atomic.
 */
shc_status shc_value_add_float(const shc_value *value, double amount, double *old);

/**
 * The address of a value of 1, 2, 4 or 8 bytes, valid while the handle is open. Others read and write it at
 * any time: access it by whole words. SHC_ERR_UNSUPPORTED for other sizes.
 */
shc_status shc_value_address(const shc_value *value, void **out);

/**
 * Acquires the value's lock: SHC_OK, or SHC_OWNER_DIED (it is held, too); SHC_WOULD_BLOCK, SHC_TIMED_OUT,
 * SHC_INTERRUPTED.
 */
shc_status shc_value_lock(const shc_value *value, int64_t timeout_ns);

/**
 * Releases the value's lock: SHC_OK, SHC_ERR_NOT_HELD, SHC_ERR_NOT_OWNER.
 */
shc_status shc_value_unlock(const shc_value *value);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SHARECELL_H */
