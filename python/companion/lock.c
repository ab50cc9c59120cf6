/* Locks: of their own, and of values and arrays. Semaphores, which are taken and given back alike. */
#include "shared.h"

#include <pthread.h>

/* Of each lock, how it is taken and given back. */
typedef shc_status taker(void *pointer, int64_t timeout_ns);
typedef shc_status giver(void *pointer);

static shc_status wait_to_take(void *pointer, void *context, int64_t timeout_ns) {
    return (*(taker **)context)(pointer, timeout_ns);
}

/* 1: it is held; 0: it is not; -1: an exception. */
static inline int settle(Shared *shared, taker *take, shc_status status, PyObject *block, PyObject *timeout) {
    if (status == SHC_WOULD_BLOCK) {
        int64_t ns = patience(shared, block, timeout);
        if (ns == -2 || ns == 0) { return ns == 0 ? 0 : -1; }
        PyObject *handle = hold(shared);
        int failed = wait_for(shared, handle, wait_to_take, &take, ns, &status);
        Py_DECREF(handle);
        if (failed || status == SHC_TIMED_OUT) { return failed; }
    }
    if (status != SHC_OK && status != SHC_OWNER_DIED) {
        refuse(shared, "_fail", status);
        return -1;
    }
    shared->owner_died = status == SHC_OWNER_DIED;
    return 1;
}

static const char *const patience_names[] = {"block", "timeout"};

static inline PyObject *acquire(Shared *shared, taker *take, PyObject *const *args, Py_ssize_t n,
                                PyObject *kwnames) {
    PyObject *given[2] = {NULL, NULL};
    if ((n != 0 || kwnames != NULL) && collect(patience_names, 2, given, args, n, kwnames) < 0) {
        return NULL;
    }
    shc_status status = take(shared->pointer, 0);
    if (status == SHC_OK) {
        shared->owner_died = false;
        Py_RETURN_TRUE;
    }
    int held = settle(shared, take, status, given[0], given[1]);
    return held < 0 ? NULL : PyBool_FromLong(held);
}

static inline PyObject *release(Shared *shared, giver *give) {
    shc_status status = give(shared->pointer);
    if (status != SHC_OK) { return refuse(shared, "_fail", status); }
    Py_RETURN_NONE;
}

static inline PyObject *enter(PyObject *self, Shared *shared, taker *take) {
    shc_status status = take(shared->pointer, 0);
    if (status == SHC_OK) {
        shared->owner_died = false;
    } else if (settle(shared, take, status, NULL, NULL) < 0) {
        return NULL;
    }
    shared->within++;
    return Py_NewRef(self);
}

static inline PyObject *leave(Shared *shared, giver *give) {
    /* Who has closed it inside the block still gives it back. */
    shc_status status = give(shared->pointer != NULL ? shared->pointer : shared->left_pointer);
    if (shared->within != 0 && --shared->within == 0 && shared->left != NULL) {
        PyObject *left = shared->left;
        shared->left = NULL;
        shared->left_pointer = NULL;
        Py_DECREF(left);
    }
    if (status != SHC_OK) { return refuse(shared, "_fail", status); }
    Py_RETURN_NONE;
}

static PyObject *done(PyObject *self, shc_status status) {
    if (status != SHC_OK) { return refuse((Shared *)self, "_fail", status); }
    Py_RETURN_NONE;
}

static bool is_one(PyObject *n) {
    int overflow;
    return PyLong_CheckExact(n) && PyLong_AsLongAndOverflow(n, &overflow) == 1;
}

/* Whether `n` was given and is not 1: Python answers for other numbers. -1 is an exception. */
static int many(PyObject **given, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    static const char *const names[] = {"n"};
    if ((n != 0 || kwnames != NULL) && collect(names, 1, given, args, n, kwnames) < 0) { return -1; }
    return *given != NULL && !is_one(*given);
}

/* The lock of a value or an array. */
typedef struct {
    PyObject_HEAD Shared *owner;
} ObjectLock;

static Shared *owner_of(PyObject *self) {
    Shared *owner = ((ObjectLock *)self)->owner;
    if (owner == NULL) { PyErr_SetString(PyExc_TypeError, "use get_lock()"); }
    return owner;
}

static PyObject *get_owner(PyObject *self, void *unused) {
    (void)unused;
    return Py_XNewRef((PyObject *)owner_of(self));
}

static PyObject *get_died(PyObject *self, void *unused) {
    (void)unused;
    Shared *owner = owner_of(self);
    return owner == NULL ? NULL : PyBool_FromLong(owner->owner_died);
}

static PyGetSetDef object_lock_members[] = {
    {"_owner", get_owner, NULL, NULL, NULL},
    {"owner_died", get_died, NULL, "As of Lock.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static int object_lock_traverse(PyObject *self, visitproc visit, void *arg) {
    Py_VISIT(((ObjectLock *)self)->owner);
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static int object_lock_clear(PyObject *self) {
    Py_CLEAR(((ObjectLock *)self)->owner);
    return 0;
}

static void object_lock_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    object_lock_clear(self);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

PyObject *object_lock_of(PyTypeObject *type, Shared *owner) {
    PyObject *lock = ((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (lock != NULL) { ((ObjectLock *)lock)->owner = (Shared *)Py_NewRef((PyObject *)owner); }
    return lock;
}

static Shared *itself(PyObject *self) { return (Shared *)self; }

/* The functions of a lock: `shared` finds the object whose handle it is. */
#define LOCK_FUNCTIONS(prefix, shared, take, give)                                                           \
    static shc_status prefix##_take(void *pointer, int64_t timeout_ns) {                                     \
        return library.take(pointer, timeout_ns);                                                            \
    }                                                                                                        \
    static shc_status prefix##_give(void *pointer) { return library.give(pointer); }                         \
    static PyObject *prefix##_acquire(PyObject *self, PyObject *const *args, Py_ssize_t n,                   \
                                      PyObject *kwnames) {                                                   \
        Shared *owner = shared(self);                                                                        \
        return owner == NULL ? NULL : acquire(owner, prefix##_take, args, n, kwnames);                       \
    }                                                                                                        \
    static PyObject *prefix##_release(PyObject *self, PyObject *unused) {                                    \
        (void)unused;                                                                                        \
        Shared *owner = shared(self);                                                                        \
        return owner == NULL ? NULL : release(owner, prefix##_give);                                         \
    }                                                                                                        \
    static PyObject *prefix##_enter(PyObject *self, PyObject *unused) {                                      \
        (void)unused;                                                                                        \
        Shared *owner = shared(self);                                                                        \
        return owner == NULL ? NULL : enter(self, owner, prefix##_take);                                     \
    }                                                                                                        \
    static PyObject *prefix##_exit(PyObject *self, PyObject *const *args, Py_ssize_t n) {                    \
        (void)args;                                                                                          \
        (void)n;                                                                                             \
        Shared *owner = shared(self);                                                                        \
        return owner == NULL ? NULL : leave(owner, prefix##_give);                                           \
    }

/* They as methods. */
#define LOCK_ENTRIES(prefix)                                                                                 \
    METHOD("acquire", prefix##_acquire, ACQUIRE_DOC),                                                        \
        {"release", prefix##_release, METH_NOARGS, RELEASE_DOC},                                             \
        {"__enter__", prefix##_enter, METH_NOARGS, NULL}, {                                                  \
        "__exit__", (PyCFunction)(void (*)(void))prefix##_exit, METH_FASTCALL, NULL                          \
    }

#define LOCK_METHODS(prefix, shared, take, give)                                                             \
    LOCK_FUNCTIONS(prefix, shared, take, give)                                                               \
    static PyMethodDef prefix##_methods[] = {LOCK_ENTRIES(prefix), {NULL, NULL, 0, NULL}}

#define ACQUIRE_DOC                                                                                          \
    "acquire($self, /, block=True, timeout=None)\n--\n\n"                                                    \
    "Acquires the lock; whether that was possible, waiting up to `timeout` seconds, None for ever."
#define RELEASE_DOC                                                                                          \
    "release($self, /)\n--\n\n"                                                                              \
    "Releases the lock. NotHeldError when nobody holds it, NotOwnerError when another process does."

LOCK_METHODS(lock, itself, shc_lock_acquire, shc_lock_release);
LOCK_METHODS(rlock, itself, shc_rlock_acquire, shc_rlock_release);
LOCK_FUNCTIONS(condition, itself, shc_condition_acquire, shc_condition_release)
LOCK_METHODS(value_lock, owner_of, shc_value_lock, shc_value_unlock);
LOCK_METHODS(array_lock, owner_of, shc_array_lock, shc_array_unlock);

static PyObject *condition_notify(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    PyObject *given = NULL;
    int others = many(&given, args, n, kwnames);
    if (others != 0) { return others < 0 ? NULL : PyObject_CallMethod(self, "_pure_notify", "O", given); }
    return done(self, library.shc_condition_notify(((Shared *)self)->pointer, 1));
}

static PyObject *condition_notify_all(PyObject *self, PyObject *unused) {
    (void)unused;
    return done(self, library.shc_condition_notify(((Shared *)self)->pointer, SIZE_MAX));
}

static PyMethodDef condition_methods[] = {
    LOCK_ENTRIES(condition),
    METHOD("notify", condition_notify,
           "notify($self, /, n=1)\n--\n\nWakes up to `n` of those who wait, the longest waiting first."),
    {"notify_all", condition_notify_all, METH_NOARGS, "notify_all($self, /)\n--\n\nWakes all who wait."},
    {NULL, NULL, 0, NULL},
};

/* The lock of a value or an array that the thread which holds it can take again: this process counts. */
typedef struct {
    ObjectLock lock;
    unsigned long thread;
    unsigned depth, forks;
} OwnLock;

static unsigned forks_so_far;

static void forked(void) { forks_so_far++; }

int watch_forks(void) {
    static bool watched;
    if (!watched && pthread_atfork(NULL, NULL, forked) != 0) {
        PyErr_NoMemory();
        return -1;
    }
    watched = true;
    return 0;
}

static bool is_mine(const OwnLock *own) {
    return own->depth != 0 && own->thread == PyThread_get_thread_ident() && own->forks == forks_so_far;
}

static inline PyObject *own_acquire(PyObject *self, taker *take, PyObject *const *args, Py_ssize_t n,
                                    PyObject *kwnames) {
    PyObject *given[2] = {NULL, NULL};
    if ((n != 0 || kwnames != NULL) && collect(patience_names, 2, given, args, n, kwnames) < 0) {
        return NULL;
    }
    OwnLock *own = (OwnLock *)self;
    Shared *owner = owner_of(self);
    if (owner == NULL) { return NULL; }
    if (is_mine(own)) {
        own->depth++;
        Py_RETURN_TRUE;
    }
    shc_status status = take(owner->pointer, 0);
    int held = 1;
    if (status == SHC_OK) {
        owner->owner_died = false;
    } else {
        held = settle(owner, take, status, given[0], given[1]);
    }
    if (held <= 0) { return held < 0 ? NULL : Py_NewRef(Py_False); }
    own->thread = PyThread_get_thread_ident();
    own->forks = forks_so_far;
    own->depth = 1;
    Py_RETURN_TRUE;
}

static inline PyObject *own_release(PyObject *self, giver *give) {
    OwnLock *own = (OwnLock *)self;
    if (owner_of(self) == NULL) { return NULL; }
    if (!is_mine(own)) {
        PyErr_SetString(PyExc_AssertionError, "attempt to release recursive lock not owned by thread");
        return NULL;
    }
    if (--own->depth != 0) { Py_RETURN_NONE; }
    return release(own->lock.owner, give);
}

#define OWN_LOCK_METHODS(prefix, of)                                                                         \
    static PyObject *prefix##_acquire(PyObject *self, PyObject *const *args, Py_ssize_t n,                   \
                                      PyObject *kwnames) {                                                   \
        return own_acquire(self, of##_take, args, n, kwnames);                                               \
    }                                                                                                        \
    static PyObject *prefix##_release(PyObject *self, PyObject *unused) {                                    \
        (void)unused;                                                                                        \
        return own_release(self, of##_give);                                                                 \
    }                                                                                                        \
    static PyObject *prefix##_enter(PyObject *self, PyObject *unused) {                                      \
        (void)unused;                                                                                        \
        return own_acquire(self, of##_take, NULL, 0, NULL);                                                  \
    }                                                                                                        \
    static PyObject *prefix##_exit(PyObject *self, PyObject *const *args, Py_ssize_t n) {                    \
        (void)args;                                                                                          \
        (void)n;                                                                                             \
        return own_release(self, of##_give);                                                                 \
    }                                                                                                        \
    static PyMethodDef prefix##_methods[] = {                                                                \
        METHOD("acquire", prefix##_acquire, ACQUIRE_DOC),                                                    \
        {"release", prefix##_release, METH_NOARGS, "release($self, /)\n--\n\nReleases it."},                 \
        {"__enter__", prefix##_enter, METH_NOARGS, NULL},                                                    \
        {"__exit__", (PyCFunction)(void (*)(void))prefix##_exit, METH_FASTCALL, NULL},                       \
        {NULL, NULL, 0, NULL},                                                                               \
    }

OWN_LOCK_METHODS(own_value_lock, value_lock);
OWN_LOCK_METHODS(own_array_lock, array_lock);

/* Events. */
static PyObject *event_set(PyObject *self, PyObject *unused) {
    (void)unused;
    return done(self, library.shc_event_set(((Shared *)self)->pointer));
}

static PyObject *event_clear(PyObject *self, PyObject *unused) {
    (void)unused;
    return done(self, library.shc_event_clear(((Shared *)self)->pointer));
}

static PyObject *event_is_set(PyObject *self, PyObject *unused) {
    (void)unused;
    bool is_set;
    shc_status status = library.shc_event_is_set(((Shared *)self)->pointer, &is_set);
    return status == SHC_OK ? PyBool_FromLong(is_set) : refuse((Shared *)self, "_fail", status);
}

static PyMethodDef event_methods[] = {
    {"set", event_set, METH_NOARGS, "set($self, /)\n--\n\nSets the flag and wakes all who wait."},
    {"clear", event_clear, METH_NOARGS, "clear($self, /)\n--\n\nClears the flag."},
    {"is_set", event_is_set, METH_NOARGS, "is_set($self, /)\n--\n\nWhether the flag is set."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef event_members[] = {
    SHARED_MEMBERS,
    {NULL, NULL, NULL, NULL, NULL},
};

/* Semaphores: as a lock, but that several permits can be given back at once. */
static shc_status give_one(void *pointer) { return library.shc_semaphore_release(pointer, 1); }

static PyObject *semaphore_release_n(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    PyObject *given = NULL;
    int others = many(&given, args, n, kwnames);
    if (others != 0) { return others < 0 ? NULL : PyObject_CallMethod(self, "_pure_release", "O", given); }
    return release(itself(self), give_one);
}

static shc_status semaphore_take(void *pointer, int64_t timeout_ns) {
    return library.shc_semaphore_acquire(pointer, timeout_ns);
}

static PyObject *semaphore_acquire(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    return acquire(itself(self), semaphore_take, args, n, kwnames);
}

static PyObject *semaphore_enter(PyObject *self, PyObject *unused) {
    (void)unused;
    return enter(self, itself(self), semaphore_take);
}

static PyObject *semaphore_exit(PyObject *self, PyObject *const *args, Py_ssize_t n) {
    (void)args;
    (void)n;
    return leave(itself(self), give_one);
}

static PyMethodDef semaphore_methods[] = {
    METHOD("acquire", semaphore_acquire,
           "acquire($self, /, block=True, timeout=None)\n--\n\n"
           "Acquires a permit; whether that was possible, waiting up to `timeout` seconds, None for ever."),
    METHOD("release", semaphore_release_n, "release($self, /, n=1)\n--\n\nAdds `n` permits."),
    {"__enter__", semaphore_enter, METH_NOARGS, NULL},
    {"__exit__", (PyCFunction)(void (*)(void))semaphore_exit, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef lock_members[] = {
    SHARED_MEMBERS,
    {"owner_died", get_owner_died, set_owner_died,
     "Whether the last acquire found that the owner before it had died: what the lock protects may be half "
     "changed.",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define SHARED_TYPE(prefix, python_name, members)                                                            \
    static PyType_Slot prefix##_slots[] = {                                                                  \
        {Py_tp_dealloc, shared_dealloc},                                                                     \
        {Py_tp_methods, prefix##_methods},                                                                   \
        {Py_tp_getset, members},                                                                             \
        {0, NULL},                                                                                           \
    };                                                                                                       \
    PyType_Spec prefix##_spec = {python_name, sizeof(Shared), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,   \
                                 prefix##_slots}

SHARED_TYPE(lock, "sharecell._speed.Lock", lock_members);
SHARED_TYPE(rlock, "sharecell._speed.RLock", lock_members);
SHARED_TYPE(condition, "sharecell._speed.Condition", lock_members);
SHARED_TYPE(event, "sharecell._speed.Event", event_members);
SHARED_TYPE(semaphore, "sharecell._speed.Semaphore", lock_members);

#define OBJECT_LOCK_TYPE(prefix, python_name, type)                                                          \
    static PyType_Slot prefix##_slots[] = {                                                                  \
        {Py_tp_dealloc, object_lock_dealloc}, {Py_tp_traverse, object_lock_traverse},                        \
        {Py_tp_clear, object_lock_clear},     {Py_tp_methods, prefix##_methods},                             \
        {Py_tp_getset, object_lock_members},  {0, NULL},                                                     \
    };                                                                                                       \
    PyType_Spec prefix##_spec = {python_name, sizeof(type), 0,                                               \
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,              \
                                 prefix##_slots}

OBJECT_LOCK_TYPE(value_lock, "sharecell._speed.ValueLock", ObjectLock);
OBJECT_LOCK_TYPE(array_lock, "sharecell._speed.ArrayLock", ObjectLock);
OBJECT_LOCK_TYPE(own_value_lock, "sharecell._speed.OwnValueLock", OwnLock);
OBJECT_LOCK_TYPE(own_array_lock, "sharecell._speed.OwnArrayLock", OwnLock);
