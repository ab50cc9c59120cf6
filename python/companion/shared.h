/*
 * sharecell._speed: the hot paths of the Python package, compiled, over the same C ABI.
 *
 * Nothing here knows a protocol: each operation is one call of a function of libsharecell.so, whose addresses
 * the package hands over (`connect`), so that there is one copy of the library in the process. And nothing
 * here knows an error: what does not simply succeed is left to the methods in Python that these types stand
 * in front of.
 *
 * The interpreter lock is held during tries and released during waits. All that is under way in a method is
 * known to it alone: signal handlers run only in `wait_for`, between two slices of a wait, when nothing is
 * held.
 */
#ifndef SHARECELL_SPEED_SHARED_H
#define SHARECELL_SPEED_SHARED_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

#include "sharecell.h"

/* To be raised when what the package and these types expect of each other changes. */
#define COMPANION_VERSION 3

/* A longer copy does not keep other threads from running: Python has the code for that. */
#define LONG_BYTES 65536

#define FUNCTIONS(USE)                                                                                       \
    USE(shc_array_lock)                                                                                      \
    USE(shc_array_unlock)                                                                                    \
    USE(shc_condition_acquire)                                                                               \
    USE(shc_condition_notify)                                                                                \
    USE(shc_condition_release)                                                                               \
    USE(shc_event_clear)                                                                                     \
    USE(shc_event_is_set)                                                                                    \
    USE(shc_event_set)                                                                                       \
    USE(shc_lock_acquire)                                                                                    \
    USE(shc_lock_release)                                                                                    \
    USE(shc_pipe_poll)                                                                                       \
    USE(shc_pipe_put_back)                                                                                   \
    USE(shc_pipe_recv_in_place)                                                                              \
    USE(shc_pipe_recv_with)                                                                                  \
    USE(shc_pipe_release)                                                                                    \
    USE(shc_pipe_send)                                                                                       \
    USE(shc_queue_empty)                                                                                     \
    USE(shc_queue_full)                                                                                      \
    USE(shc_queue_get_with)                                                                                  \
    USE(shc_queue_is_shutdown)                                                                               \
    USE(shc_queue_max_item)                                                                                  \
    USE(shc_queue_put)                                                                                       \
    USE(shc_queue_put_back)                                                                                  \
    USE(shc_queue_put_many)                                                                                  \
    USE(shc_queue_qsize)                                                                                     \
    USE(shc_queue_recv)                                                                                      \
    USE(shc_queue_release)                                                                                   \
    USE(shc_rlock_acquire)                                                                                   \
    USE(shc_rlock_release)                                                                                   \
    USE(shc_semaphore_acquire)                                                                               \
    USE(shc_semaphore_release)                                                                               \
    USE(shc_value_add_int)                                                                                   \
    USE(shc_value_lock)                                                                                      \
    USE(shc_value_unlock)

/* The functions of the library that is loaded, under their names. */
struct library {
#define MEMBER(name) __typeof__(name) *name;
    FUNCTIONS(MEMBER)
#undef MEMBER
};
extern struct library library;

/* An open object. `handle` is what Python closes when nothing refers to it any more; `pointer` is its number.
 */
typedef struct {
    PyObject_HEAD PyObject *handle;
    void *pointer;
    /* What was closed inside a `with` block, for its end. */
    PyObject *left;
    void *left_pointer;
    unsigned within;
    bool owner_died;
    /* Whether long objects are for `_take_long`, a method in Python, and not to be copied out as bytes. */
    char framed;
} Shared;

/* The members of all types, for their tables of getsets. */
#define SHARED_MEMBERS                                                                                       \
    {"_handle", get_handle, set_handle, NULL, NULL}, {                                                       \
        "_owner_died", get_owner_died, set_owner_died, NULL, NULL                                            \
    }
PyObject *get_handle(PyObject *self, void *unused);
int set_handle(PyObject *self, PyObject *value, void *unused);
PyObject *get_owner_died(PyObject *self, void *unused);
int set_owner_died(PyObject *self, PyObject *value, void *unused);
void shared_dealloc(PyObject *self);

/* Puts arguments where their names are; those that were not given stay NULL. */
int collect(const char *const *names, Py_ssize_t count, PyObject **given, PyObject *const *args, Py_ssize_t n,
            PyObject *kwnames);

/* How long to wait, as the library takes it; -2 is an exception. NULL stands for an argument that was not
 * given. */
int64_t patience(Shared *shared, PyObject *block, PyObject *timeout);

/* The handle, to be kept alive during a wait; None, which ends it, if somebody has closed the object. */
PyObject *hold(Shared *shared);

/* A call that may wait. */
typedef shc_status waiting(void *pointer, void *context, int64_t timeout_ns);

/* Calls until it is settled or the time has passed, with signal handlers in between; -1 is an exception. */
int wait_for(Shared *shared, PyObject *handle, waiting *call, void *context, int64_t timeout_ns,
             shc_status *status);

/* Lets `_take_long` take what was found to be long: within `timeout_ns` from `start`. */
PyObject *take_long(Shared *shared, int64_t timeout_ns, int64_t start);

int64_t now_ns(void);

/* Lets a method of Python raise what a status means. NULL. */
PyObject *refuse(Shared *shared, const char *method, shc_status status);

/* The lock of a value or an array. */
PyObject *object_lock_of(PyTypeObject *type, Shared *owner);

extern PyType_Spec condition_spec, event_spec, lock_spec, rlock_spec, value_lock_spec, array_lock_spec,
    own_value_lock_spec, own_array_lock_spec, semaphore_spec, value_spec, array_spec, queue_spec, pipe_spec;

/* Has locks that a thread can take again know a fork. */
int watch_forks(void);

#define METHOD(name, function, doc)                                                                          \
    {name, (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS, doc}

#endif
