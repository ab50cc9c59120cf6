/* What all types have in common: handles, arguments, waiting. */
#include "shared.h"

#include <math.h>
#include <time.h>

struct library library;

/* How long a wait stays away from the interpreter: a signal that another thread was given is dealt with then.
 */
#define SLICE_NS 200000000

PyObject *get_handle(PyObject *self, void *unused) {
    (void)unused;
    PyObject *handle = ((Shared *)self)->handle;
    if (handle == NULL) { Py_RETURN_NONE; }
    return Py_NewRef(handle);
}

int set_handle(PyObject *self, PyObject *value, void *unused) {
    (void)unused;
    Shared *shared = (Shared *)self;
    void *pointer = NULL;
    PyObject *handle = NULL;
    if (value != NULL && value != Py_None) {
        pointer = PyLong_AsVoidPtr(value);
        if (pointer == NULL && PyErr_Occurred()) { return -1; }
        handle = Py_NewRef(value);
    }
    PyObject *before = shared->handle;
    if (shared->within != 0 && shared->left == NULL) {
        shared->left = before;
        shared->left_pointer = shared->pointer;
        before = NULL;
    }
    shared->handle = handle;
    shared->pointer = pointer;
    /* Last: it may close the object, and run code in Python. */
    Py_XDECREF(before);
    return 0;
}

PyObject *get_owner_died(PyObject *self, void *unused) {
    (void)unused;
    return PyBool_FromLong(((Shared *)self)->owner_died);
}

int set_owner_died(PyObject *self, PyObject *value, void *unused) {
    (void)unused;
    int died = value == NULL ? 0 : PyObject_IsTrue(value);
    if (died < 0) { return -1; }
    ((Shared *)self)->owner_died = died;
    return 0;
}

void shared_dealloc(PyObject *self) {
    Shared *shared = (Shared *)self;
    PyTypeObject *type = Py_TYPE(self);
    PyObject *handle = shared->handle, *left = shared->left;
    shared->handle = shared->left = NULL;
    shared->pointer = shared->left_pointer = NULL;
    Py_XDECREF(left);
    Py_XDECREF(handle);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

int collect(const char *const *names, Py_ssize_t count, PyObject **given, PyObject *const *args, Py_ssize_t n,
            PyObject *kwnames) {
    if (n > count) {
        PyErr_Format(PyExc_TypeError, "at most %zd arguments are taken; got %zd", count, n);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) { given[i] = args[i]; }
    Py_ssize_t named = kwnames == NULL ? 0 : PyTuple_Size(kwnames);
    for (Py_ssize_t k = 0; k < named; k++) {
        PyObject *name = PyTuple_GetItem(kwnames, k);
        Py_ssize_t i = 0;
        while (i < count && PyUnicode_CompareWithASCIIString(name, names[i]) != 0) { i++; }
        if (i == count || given[i] != NULL) {
            PyErr_Format(PyExc_TypeError, "argument %R is %s", name, i == count ? "unknown" : "given twice");
            return -1;
        }
        given[i] = args[n + k];
    }
    return 0;
}

int64_t patience(Shared *shared, PyObject *block, PyObject *timeout) {
    if (block != NULL && block != Py_True) {
        int blocks = PyObject_IsTrue(block);
        if (blocks <= 0) { return blocks < 0 ? -2 : 0; }
    }
    if (timeout == NULL || timeout == Py_None) { return -1; }
    double seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred()) { return -2; }
    if (isnan(seconds)) {
        Py_XDECREF(PyObject_CallMethod((PyObject *)shared, "_patience", "OO", Py_True, timeout));
        return -2;
    }
    if (isinf(seconds) && seconds > 0) { return -1; }
    return seconds <= 0 ? 0 : seconds >= 1e9 ? (int64_t)1e18 : (int64_t)(seconds * 1e9);
}

int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

PyObject *hold(Shared *shared) { return Py_NewRef(shared->handle == NULL ? Py_None : shared->handle); }

int wait_for(Shared *shared, PyObject *handle, waiting *call, void *context, int64_t timeout_ns,
             shc_status *status) {
    int64_t end = timeout_ns < 0 ? INT64_MAX : now_ns() + timeout_ns;
    for (;;) {
        int64_t slice = SLICE_NS;
        if (shared->handle != handle) {
            *status = SHC_ERR_INVALID_HANDLE;
            return 0;
        }
        if (timeout_ns >= 0) {
            int64_t left = end - now_ns();
            slice = left < slice ? left : slice;
        }
        if (slice <= 0) {
            *status = SHC_TIMED_OUT;
            return 0;
        }
        void *pointer = shared->pointer;
        Py_BEGIN_ALLOW_THREADS *status = call(pointer, context, slice);
        Py_END_ALLOW_THREADS if (*status != SHC_TIMED_OUT && *status != SHC_INTERRUPTED &&
                                 *status != SHC_WOULD_BLOCK) {
            return 0;
        }
        if (PyErr_CheckSignals() < 0) { return -1; }
    }
}

PyObject *take_long(Shared *shared, int64_t timeout_ns, int64_t start) {
    if (timeout_ns < 0) { return PyObject_CallMethod((PyObject *)shared, "_take_long", "O", Py_None); }
    int64_t left = start == 0 ? timeout_ns : timeout_ns - (now_ns() - start);
    return PyObject_CallMethod((PyObject *)shared, "_take_long", "d", left > 0 ? (double)left / 1e9 : 0.0);
}

PyObject *refuse(Shared *shared, const char *method, shc_status status) {
    PyObject *answer = PyObject_CallMethod((PyObject *)shared, method, "i", (int)status);
    if (answer != NULL) {
        Py_DECREF(answer);
        PyErr_Format(PyExc_SystemError, "%s has raised nothing for status %d", method, (int)status);
    }
    return NULL;
}
