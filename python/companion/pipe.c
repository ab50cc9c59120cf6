/* Pipes: a message is received by one call, into the object that is returned. */
#include "message.h"

#include <stddef.h>
#include <structmember.h>

typedef struct {
    const void *data;
    size_t len;
} Bytes;

static shc_status wait_to_send(void *pointer, void *context, int64_t timeout_ns) {
    Bytes *bytes = context;
    return library.shc_pipe_send(pointer, bytes->data, bytes->len, timeout_ns);
}

static shc_status wait_to_receive(void *pointer, void *item, int64_t timeout_ns) {
    return library.shc_pipe_recv_in_place(pointer, timeout_ns, item);
}

static PyObject *send(Shared *pipe, Bytes bytes, PyObject *timeout) {
    shc_status status = library.shc_pipe_send(pipe->pointer, bytes.data, bytes.len, 0);
    if (status == SHC_WOULD_BLOCK) {
        int64_t ns = patience(pipe, NULL, timeout);
        if (ns == -2) { return NULL; }
        if (ns != 0) {
            PyObject *handle = hold(pipe);
            int failed = wait_for(pipe, handle, wait_to_send, &bytes, ns, &status);
            Py_DECREF(handle);
            if (failed) { return NULL; }
        }
    }
    if (status != SHC_OK) { return refuse(pipe, "_unsent", status); }
    Py_RETURN_NONE;
}

/* Gives what was taken during a wait back, when it has become an object. */
static void finish(void *pointer, const shc_item *item, Taken *taken) {
    if (take_one(taken, item->data, item->len)) {
        library.shc_pipe_release(pointer, item);
    } else {
        library.shc_pipe_put_back(pointer, item);
    }
}

static PyObject *receive(Shared *pipe, bool decoded, PyObject *timeout) {
    Taken taken = {.decoded = decoded, .framed = decoded && pipe->framed};
    bool received;
    int64_t start = 0;
    shc_status status = library.shc_pipe_recv_with(pipe->pointer, 0, take_one, &taken, &received);
    if (status == SHC_WOULD_BLOCK) {
        int64_t ns = patience(pipe, NULL, timeout);
        if (ns == -2) { return NULL; }
        start = taken.framed ? now_ns() : 0;
        if (ns != 0) {
            shc_item item;
            PyObject *handle = hold(pipe);
            int failed = wait_for(pipe, handle, wait_to_receive, &item, ns, &status);
            if (!failed && status == SHC_OK) { finish(PyLong_AsVoidPtr(handle), &item, &taken); }
            Py_DECREF(handle);
            if (failed) { return NULL; }
        }
    }
    if (status != SHC_OK) { return refuse(pipe, "_unreceived", status); }
    if (taken.left) {
        int64_t ns = patience(pipe, NULL, timeout);
        return ns == -2 ? NULL : take_long(pipe, ns, start);
    }
    if (taken.item == NULL || !taken.raw || !decoded) { return taken.item; }
    return load_with(pipe, taken.item);
}

static PyObject *send_bytes(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    static const char *const names[] = {"data", "timeout"};
    PyObject *given[2] = {NULL, NULL};
    if (collect(names, 2, given, args, n, kwnames) < 0) { return NULL; }
    if (given[0] == NULL || !PyBytes_CheckExact(given[0]) || PyBytes_Size(given[0]) >= LONG_BYTES) {
        return PyObject_CallMethod(self, "_pure_send_bytes", given[0] == NULL ? NULL : "OO", given[0],
                                   given[1] == NULL ? Py_None : given[1]);
    }
    Bytes bytes = {PyBytes_AsString(given[0]), (size_t)PyBytes_Size(given[0])};
    return send((Shared *)self, bytes, given[1]);
}

static PyObject *send_object(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    static const char *const names[] = {"obj", "timeout"};
    PyObject *given[2] = {NULL, NULL};
    if (collect(names, 2, given, args, n, kwnames) < 0) { return NULL; }
    if (given[0] == NULL) { return PyObject_CallMethod(self, "_pure_send", NULL); }
    unsigned char room[ENCODED_BYTES];
    Bytes bytes = {room, encode(given[0], room)};
    if (bytes.len != 0) { return send((Shared *)self, bytes, given[1]); }
    PyObject *data = dump_with((Shared *)self, given[0]);
    if (data == NULL) { return NULL; }
    PyObject *rest[2] = {data, given[1]};
    PyObject *done = send_bytes(self, rest, given[1] == NULL ? 1 : 2, NULL);
    Py_DECREF(data);
    return done;
}

static PyObject *receive_with(PyObject *self, bool decoded, PyObject *const *args, Py_ssize_t n,
                              PyObject *kwnames) {
    static const char *const names[] = {"timeout"};
    PyObject *given[1] = {NULL};
    if ((n != 0 || kwnames != NULL) && collect(names, 1, given, args, n, kwnames) < 0) { return NULL; }
    return receive((Shared *)self, decoded, given[0]);
}

static PyObject *recv_bytes(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    return receive_with(self, false, args, n, kwnames);
}

static PyObject *recv_object(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    return receive_with(self, true, args, n, kwnames);
}

static PyObject *poll_now(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    static const char *const names[] = {"timeout"};
    PyObject *given[1] = {NULL};
    if ((n != 0 || kwnames != NULL) && collect(names, 1, given, args, n, kwnames) < 0) { return NULL; }
    bool ready;
    int64_t ns = given[0] == NULL ? 0 : patience((Shared *)self, NULL, given[0]);
    if (ns == -2) { return NULL; }
    if (library.shc_pipe_poll(((Shared *)self)->pointer, 0, &ready) == SHC_OK && (ready || ns == 0)) {
        return PyBool_FromLong(ready);
    }
    return PyObject_CallMethod(self, "_pure_poll", given[0] == NULL ? NULL : "(O)", given[0]);
}

static PyMethodDef pipe_methods[] = {
    METHOD("send_bytes", send_bytes,
           "send_bytes($self, /, data, timeout=None)\n--\n\n"
           "Sends a bytes-like object, waiting for room for up to `timeout` seconds, None for ever."),
    METHOD("send", send_object,
           "send($self, /, obj, timeout=None)\n--\n\nPickles and sends an object; as `send_bytes`."),
    METHOD("recv_bytes", recv_bytes,
           "recv_bytes($self, /, timeout=None)\n--\n\n"
           "Receives the next message, waiting for one for up to `timeout` seconds, None for ever."),
    METHOD("recv", recv_object,
           "recv($self, /, timeout=None)\n--\n\n"
           "Receives an object that was pickled; as `recv_bytes`. Only from a sender that is trusted."),
    METHOD("poll", poll_now,
           "poll($self, /, timeout=0.0)\n--\n\n"
           "Whether a message can be received, or the end-of-file, waiting up to `timeout` seconds for it."),
    {NULL, NULL, 0, NULL},
};

static PyMemberDef pipe_fields[] = {
    {"_framed", T_BOOL, offsetof(Shared, framed), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyGetSetDef pipe_members[] = {
    SHARED_MEMBERS,
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot pipe_slots[] = {
    {Py_tp_dealloc, shared_dealloc},
    {Py_tp_methods, pipe_methods},
    {Py_tp_getset, pipe_members},
    {Py_tp_members, pipe_fields},
    {0, NULL},
};
PyType_Spec pipe_spec = {"sharecell._speed.Pipe", sizeof(Shared), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
                         pipe_slots};
