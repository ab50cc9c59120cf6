/* Queues: an item is got by one call, into the object that is returned. */
#include "message.h"

#include <stddef.h>
#include <string.h>
#include <structmember.h>

/* How many items are got by one call. */
#define RUN 256

/* How many are put without memory for the list of them. */
#define FEW 64

typedef struct {
    const void *data;
    size_t len;
} Bytes;

static shc_status wait_to_put(void *pointer, void *context, int64_t timeout_ns) {
    Bytes *bytes = context;
    return library.shc_queue_put(pointer, bytes->data, bytes->len, timeout_ns);
}

static shc_status wait_to_take(void *pointer, void *item, int64_t timeout_ns) {
    return library.shc_queue_recv(pointer, timeout_ns, item);
}

static PyObject *put(Shared *queue, Bytes bytes, PyObject *block, PyObject *timeout) {
    shc_status status = library.shc_queue_put(queue->pointer, bytes.data, bytes.len, 0);
    if (status == SHC_WOULD_BLOCK) {
        int64_t ns = patience(queue, block, timeout);
        if (ns == -2) { return NULL; }
        if (ns != 0) {
            PyObject *handle = hold(queue);
            int failed = wait_for(queue, handle, wait_to_put, &bytes, ns, &status);
            Py_DECREF(handle);
            if (failed) { return NULL; }
        }
    }
    if (status != SHC_OK) { return refuse(queue, "_unput", status); }
    Py_RETURN_NONE;
}

/* Waits for an item of a queue without `task_done`, and takes it: 1; 0 with a status that is not SHC_OK; -1.
 */
static int wait_to_get(Shared *queue, int64_t ns, Taken *taken, shc_status *status) {
    shc_item item;
    PyObject *handle = hold(queue);
    int failed = wait_for(queue, handle, wait_to_take, &item, ns, status);
    if (!failed && *status == SHC_OK) {
        void *pointer = PyLong_AsVoidPtr(handle);
        if (take_one(taken, item.data, item.len)) {
            library.shc_queue_release(pointer, &item);
        } else {
            library.shc_queue_put_back(pointer, &item);
            failed = taken->left ? 0 : -1;
        }
    }
    Py_DECREF(handle);
    return failed ? -1 : *status == SHC_OK;
}

/* Whether what was got counts until it is done: then Python waits for it. -1 is an exception. */
static int is_joinable(Shared *queue) {
    PyObject *answer = PyObject_GetAttrString((PyObject *)queue, "_joinable");
    int joinable = answer == NULL ? -1 : PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    return joinable;
}

static PyObject *get(Shared *queue, bool decoded, PyObject *block, PyObject *timeout) {
    Taken taken = {.decoded = decoded, .framed = decoded && queue->framed};
    size_t count;
    int64_t start = 0;
    shc_status status = library.shc_queue_get_with(queue->pointer, 1, 0, take_one, &taken, &count);
    if (status == SHC_WOULD_BLOCK) {
        int64_t ns = patience(queue, block, timeout);
        start = taken.framed ? now_ns() : 0;
        int joinable = ns == -2 ? -1 : ns == 0 ? 0 : is_joinable(queue);
        if (joinable < 0) { return NULL; }
        if (joinable) {
            return PyObject_CallMethod((PyObject *)queue, decoded ? "_pure_get_object" : "_pure_get", "OO",
                                       Py_True, timeout == NULL ? Py_None : timeout);
        }
        if (ns != 0 && wait_to_get(queue, ns, &taken, &status) < 0) { return NULL; }
    }
    if (status != SHC_OK) { return refuse(queue, "_ungot", status); }
    if (taken.left) {
        int64_t ns = patience(queue, block, timeout);
        return ns == -2 ? NULL : take_long(queue, ns, start);
    }
    if (taken.item == NULL || !taken.raw || !decoded) { return taken.item; }
    return load_with(queue, taken.item);
}

static const char *const put_names[] = {"data", "block", "timeout"};
static const char *const object_names[] = {"obj", "block", "timeout"};
static const char *const get_names[] = {"block", "timeout"};

static PyObject *put_bytes(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    PyObject *given[3] = {NULL, NULL, NULL};
    if (collect(put_names, 3, given, args, n, kwnames) < 0) { return NULL; }
    if (given[0] == NULL || !PyBytes_CheckExact(given[0]) || PyBytes_Size(given[0]) >= LONG_BYTES) {
        return PyObject_CallMethod(self, "_pure_put", given[0] == NULL ? NULL : "OOO", given[0],
                                   given[1] == NULL ? Py_True : given[1],
                                   given[2] == NULL ? Py_None : given[2]);
    }
    Bytes bytes = {PyBytes_AsString(given[0]), (size_t)PyBytes_Size(given[0])};
    return put((Shared *)self, bytes, given[1], given[2]);
}

static PyObject *put_object(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    PyObject *given[3] = {NULL, NULL, NULL};
    if (collect(object_names, 3, given, args, n, kwnames) < 0) { return NULL; }
    if (given[0] == NULL) { return PyObject_CallMethod(self, "_pure_put_object", NULL); }
    unsigned char room[ENCODED_BYTES];
    Bytes bytes = {room, encode(given[0], room)};
    if (bytes.len != 0) { return put((Shared *)self, bytes, given[1], given[2]); }
    PyObject *data = dump_with((Shared *)self, given[0]);
    if (data == NULL) { return NULL; }
    PyObject *rest[3] = {data, given[1] == NULL ? Py_True : given[1], given[2] == NULL ? Py_None : given[2]};
    PyObject *done = put_bytes(self, rest, 3, NULL);
    Py_DECREF(data);
    return done;
}

static PyObject *get_as(PyObject *self, bool decoded, PyObject *const *args, Py_ssize_t n,
                        PyObject *kwnames) {
    PyObject *given[2] = {NULL, NULL};
    if ((n != 0 || kwnames != NULL) && collect(get_names, 2, given, args, n, kwnames) < 0) { return NULL; }
    return get((Shared *)self, decoded, given[0], given[1]);
}

static PyObject *get_bytes(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    return get_as(self, false, args, n, kwnames);
}

static PyObject *get_object(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    return get_as(self, true, args, n, kwnames);
}

/* A list of bytes as the library takes it; 1: it is for Python (not bytes, too large, or too much); -1: an
 * exception. */
static int buffers_of(Shared *queue, PyObject *list, shc_buffer *buffers) {
    size_t total = 0, largest = 0;
    for (Py_ssize_t i = 0; i < PyList_Size(list); i++) {
        PyObject *item = PyList_GetItem(list, i);
        if (!PyBytes_CheckExact(item)) { return 1; }
        buffers[i].data = PyBytes_AsString(item);
        buffers[i].len = (size_t)PyBytes_Size(item);
        total += buffers[i].len;
        largest = buffers[i].len > largest ? buffers[i].len : largest;
    }
    uint64_t max_item;
    shc_status status = library.shc_queue_max_item(queue->pointer, &max_item);
    return status != SHC_OK || largest > max_item || total >= LONG_BYTES;
}

typedef struct {
    const shc_buffer *buffers;
    size_t count, done;
} Batch;

static shc_status wait_to_put_some(void *pointer, void *context, int64_t timeout_ns) {
    Batch *batch = context;
    size_t done;
    shc_status status = library.shc_queue_put_many(pointer, batch->buffers + batch->done,
                                                   batch->count - batch->done, timeout_ns, &done);
    batch->done += status == SHC_OK ? done : 0;
    return status;
}

/* Puts all, waiting for room; -1 is an exception. What it ended with is in `status`. */
static int put_batch(Shared *queue, Batch *batch, PyObject *timeout, shc_status *status) {
    int64_t ns = -1, end = -1;
    *status = wait_to_put_some(queue->pointer, batch, 0);
    while (*status == SHC_WOULD_BLOCK || (*status == SHC_OK && batch->done < batch->count)) {
        if (end < 0) {
            ns = patience(queue, NULL, timeout);
            if (ns == -2) { return -1; }
            end = ns < 0 ? INT64_MAX : now_ns() + ns;
        }
        int64_t left = ns < 0 ? -1 : end - now_ns();
        PyObject *handle = hold(queue);
        int failed = wait_for(queue, handle, wait_to_put_some, batch, left > 0 || ns < 0 ? left : 0, status);
        Py_DECREF(handle);
        if (failed) { return -1; }
    }
    return 0;
}

/* Puts all; what is not simply bytes is left to Python. */
static PyObject *put_list(Shared *queue, PyObject *list, PyObject *timeout) {
    shc_buffer few[FEW];
    Py_ssize_t count = PyList_Size(list);
    shc_buffer *buffers = count <= FEW ? few : PyMem_Malloc((size_t)count * sizeof *buffers);
    if (buffers == NULL) { return PyErr_NoMemory(); }
    Batch batch = {buffers, (size_t)count, 0};
    shc_status status = SHC_OK;
    bool plain = buffers_of(queue, list, buffers) == 0;
    int failed = plain && count != 0 ? put_batch(queue, &batch, timeout, &status) : 0;
    if (buffers != few) { PyMem_Free(buffers); }
    if (failed) { return NULL; }
    if (!plain) {
        return PyObject_CallMethod((PyObject *)queue, "_put_rest", "OO", list,
                                   timeout == NULL ? Py_None : timeout);
    }
    if (status == SHC_OK || (status == SHC_TIMED_OUT && batch.done != 0)) {
        return PyLong_FromSize_t(batch.done);
    }
    return PyObject_CallMethod((PyObject *)queue, "_unput", "in", (int)status, (Py_ssize_t)batch.done);
}

static PyObject *encoded(Shared *queue, PyObject *obj) {
    unsigned char room[ENCODED_BYTES];
    size_t len = encode(obj, room);
    if (len == 0) { return dump_with(queue, obj); }
    return PyBytes_FromStringAndSize((const char *)room, (Py_ssize_t)len);
}

static PyObject *put_many_as(PyObject *self, bool objects, PyObject *const *args, Py_ssize_t n,
                             PyObject *kwnames) {
    static const char *const item_names[] = {"items", "timeout"};
    static const char *const many_names[] = {"objects", "timeout"};
    PyObject *given[2] = {NULL, NULL};
    if (collect(objects ? many_names : item_names, 2, given, args, n, kwnames) < 0) { return NULL; }
    if (given[0] == NULL) {
        return PyObject_CallMethod(self, objects ? "_pure_put_objects" : "_pure_put_many", NULL);
    }
    PyObject *list = PySequence_List(given[0]);
    for (Py_ssize_t i = 0; objects && list != NULL && i < PyList_Size(list); i++) {
        PyObject *data = encoded((Shared *)self, PyList_GetItem(list, i));
        if (data == NULL || PyList_SetItem(list, i, data) < 0) { Py_CLEAR(list); }
    }
    PyObject *done = list == NULL ? NULL : put_list((Shared *)self, list, given[1]);
    Py_XDECREF(list);
    return done;
}

static PyObject *put_many(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    return put_many_as(self, false, args, n, kwnames);
}

static PyObject *put_objects(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    return put_many_as(self, true, args, n, kwnames);
}

/* What is got by one call. */
typedef struct {
    PyObject *list;
    bool decoded;
    size_t count;
    /* Of each, whether it is still to be unpickled. */
    bool raw[RUN];
} Gathered;

static bool gather(void *context, const void *data, size_t len) {
    Gathered *run = context;
    Taken taken = {.decoded = run->decoded};
    if (!take_one(&taken, data, len)) { return false; }
    int failed = PyList_Append(run->list, taken.item);
    Py_DECREF(taken.item);
    if (failed) { return false; }
    run->raw[run->count++] = taken.raw;
    return true;
}

/* Unpickles those of the last run that are not decoded yet. */
static int load_run(Shared *queue, Gathered *run) {
    Py_ssize_t first = PyList_Size(run->list) - (Py_ssize_t)run->count;
    for (size_t i = 0; run->decoded && i < run->count; i++) {
        if (!run->raw[i]) { continue; }
        PyObject *data = Py_NewRef(PyList_GetItem(run->list, first + (Py_ssize_t)i));
        PyObject *obj = load_with(queue, data);
        if (obj == NULL || PyList_SetItem(run->list, first + (Py_ssize_t)i, obj) < 0) { return -1; }
    }
    return 0;
}

/* Gets what is there, up to `max`: 0, and the status of the first call; -1 is an exception. */
static int get_runs(Shared *queue, Gathered *run, size_t max, shc_status *status) {
    for (;;) {
        size_t wanted = max < RUN ? max : RUN, count = 0;
        run->count = 0;
        shc_status now = library.shc_queue_get_with(queue->pointer, wanted, 0, gather, run, &count);
        if (status != NULL) {
            *status = now;
            status = NULL;
        }
        if (PyErr_Occurred()) {
            /* Nothing more could be taken for want of memory: those that were are not lost. */
            if (PyList_Size(run->list) == 0) { return -1; }
            PyErr_Clear();
        }
        if (load_run(queue, run) < 0) { return -1; }
        max -= run->count;
        if (now != SHC_OK || max == 0 || run->count < wanted) { return 0; }
    }
}

/* Waits for the first, and gets what else is there then. */
static int get_after_waiting(Shared *queue, Gathered *run, size_t max, int64_t ns, shc_status *status) {
    Taken taken = {.decoded = run->decoded};
    int got = wait_to_get(queue, ns, &taken, status);
    if (got <= 0) { return got; }
    if (taken.raw && run->decoded) { taken.item = load_with(queue, taken.item); }
    if (taken.item == NULL) { return -1; }
    int failed = PyList_Append(run->list, taken.item);
    Py_DECREF(taken.item);
    return failed || max == 1 ? failed : get_runs(queue, run, max - 1, NULL);
}

static PyObject *get_many_as(PyObject *self, bool decoded, PyObject *const *args, Py_ssize_t n,
                             PyObject *kwnames) {
    static const char *const names[] = {"max", "timeout"};
    const char *pure = decoded ? "_pure_get_objects" : "_pure_get_many";
    PyObject *given[2] = {NULL, NULL};
    if (collect(names, 2, given, args, n, kwnames) < 0) { return NULL; }
    Shared *queue = (Shared *)self;
    PyObject *timeout = given[1] == NULL ? Py_None : given[1];
    Py_ssize_t max = given[0] == NULL || !PyLong_CheckExact(given[0]) ? -1 : PyLong_AsSsize_t(given[0]);
    if (max <= 0) {
        /* Python says what is wrong. */
        PyErr_Clear();
        return PyObject_CallMethod(self, pure, given[0] == NULL ? NULL : "OO", given[0], timeout);
    }
    Gathered run = {PyList_New(0), decoded, 0, {false}};
    shc_status status = SHC_OK;
    int failed = run.list == NULL ? -1 : get_runs(queue, &run, (size_t)max, &status);
    if (!failed && status == SHC_WOULD_BLOCK) {
        int64_t ns = patience(queue, NULL, given[1]);
        int joinable = ns == -2 ? -1 : ns == 0 ? 0 : is_joinable(queue);
        if (joinable > 0) {
            Py_DECREF(run.list);
            return PyObject_CallMethod(self, pure, "OO", given[0], timeout);
        }
        failed = joinable;
        if (!failed && ns != 0) { failed = get_after_waiting(queue, &run, (size_t)max, ns, &status); }
    }
    if (!failed && status == SHC_OK) { return run.list; }
    Py_XDECREF(run.list);
    return failed ? NULL : refuse(queue, "_ungot", status);
}

static PyObject *get_many(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    return get_many_as(self, false, args, n, kwnames);
}

static PyObject *get_objects(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    return get_many_as(self, true, args, n, kwnames);
}

#define ASK(name, type, object)                                                                              \
    static PyObject *ask_##name(PyObject *self, PyObject *unused) {                                          \
        (void)unused;                                                                                        \
        type answer;                                                                                         \
        shc_status status = library.shc_queue_##name(((Shared *)self)->pointer, &answer);                    \
        return status == SHC_OK ? object(answer) : refuse((Shared *)self, "_fail", status);                  \
    }

ASK(qsize, size_t, PyLong_FromSize_t)
ASK(empty, bool, PyBool_FromLong)
ASK(full, bool, PyBool_FromLong)
ASK(is_shutdown, bool, PyBool_FromLong)

static PyMethodDef queue_methods[] = {
    METHOD("put", put_bytes,
           "put($self, /, data, block=True, timeout=None)\n--\n\n"
           "Puts a bytes-like object, waiting for room for up to `timeout` seconds, None for ever."),
    METHOD("get", get_bytes,
           "get($self, /, block=True, timeout=None)\n--\n\n"
           "Gets the oldest item, waiting for one for up to `timeout` seconds, None for ever."),
    METHOD(
        "put_object", put_object,
        "put_object($self, /, obj, block=True, timeout=None)\n--\n\nPickles and puts an object; as `put`."),
    METHOD("get_object", get_object,
           "get_object($self, /, block=True, timeout=None)\n--\n\n"
           "Gets the oldest item, an object that was pickled; as `get`. Only from a putter that is trusted."),
    METHOD(
        "put_many", put_many,
        "put_many($self, /, items, timeout=None)\n--\n\n"
        "Puts bytes-like objects in order, waiting for room for up to `timeout` seconds; how many were put."),
    METHOD("get_many", get_many,
           "get_many($self, /, max, timeout=None)\n--\n\n"
           "Gets up to `max` items that are there, waiting for the first as `get` does."),
    METHOD("put_objects", put_objects,
           "put_objects($self, /, objects, timeout=None)\n--\n\nPickles and puts objects in order; as "
           "`put_many`."),
    METHOD("get_objects", get_objects,
           "get_objects($self, /, max, timeout=None)\n--\n\n"
           "Gets up to `max` objects that were pickled; as `get_many`. Only from putters that are trusted."),
    {"qsize", ask_qsize, METH_NOARGS, "qsize($self, /)\n--\n\nHow many items can be got at this moment."},
    {"empty", ask_empty, METH_NOARGS, "empty($self, /)\n--\n\nWhether nothing can be got at this moment."},
    {"full", ask_full, METH_NOARGS, "full($self, /)\n--\n\nWhether a put would have to wait at this moment."},
    {"is_shutdown", ask_is_shutdown, METH_NOARGS, "is_shutdown($self, /)\n--\n\nWhether it was shut down."},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef queue_fields[] = {
    {"_framed", T_BOOL, offsetof(Shared, framed), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef queue_members[] = {
    SHARED_MEMBERS,
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot queue_slots[] = {
    {Py_tp_dealloc, shared_dealloc},
    {Py_tp_methods, queue_methods},
    {Py_tp_getset, queue_members},
    {Py_tp_members, queue_fields},
    {0, NULL},
};
PyType_Spec queue_spec = {"sharecell._speed.Queue", sizeof(Shared), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, queue_slots};
