/* Values and arrays: elements of a typecode are read and written where they lie, as aligned machine words. */
#include "shared.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef struct {
    Shared shared;
    char *address;
    Py_ssize_t count;
    /* The typecode, or 0: then all is left to Python. */
    char code;
    PyObject *lock_type;
} Elements;

#define LOAD(type) type word = __atomic_load_n((type *)at, __ATOMIC_RELAXED)

static PyObject *load(char code, char *at) {
    switch (code) {
    case 'b': {
        LOAD(int8_t);
        return PyLong_FromLong(word);
    }
    case 'B': {
        LOAD(uint8_t);
        return PyLong_FromLong(word);
    }
    case 'h': {
        LOAD(int16_t);
        return PyLong_FromLong(word);
    }
    case 'H': {
        LOAD(uint16_t);
        return PyLong_FromLong(word);
    }
    case 'i': {
        LOAD(int32_t);
        return PyLong_FromLong(word);
    }
    case 'I': {
        LOAD(uint32_t);
        return PyLong_FromUnsignedLong(word);
    }
    case 'l': {
        LOAD(long);
        return PyLong_FromLong(word);
    }
    case 'L': {
        LOAD(unsigned long);
        return PyLong_FromUnsignedLong(word);
    }
    case 'q': {
        LOAD(int64_t);
        return PyLong_FromLongLong(word);
    }
    case 'Q': {
        LOAD(uint64_t);
        return PyLong_FromUnsignedLongLong(word);
    }
    case '?': {
        LOAD(uint8_t);
        return PyBool_FromLong(word);
    }
    case 'c': {
        LOAD(char);
        return PyBytes_FromStringAndSize(&word, 1);
    }
    case 'f': {
        LOAD(uint32_t);
        float number;
        memcpy(&number, &word, sizeof number);
        return PyFloat_FromDouble(number);
    }
    default: {
        LOAD(uint64_t);
        double number;
        memcpy(&number, &word, sizeof number);
        return PyFloat_FromDouble(number);
    }
    }
}

#define STORE(type, low, high)                                                                               \
    if (number < (low) || number > (high)) { return false; }                                                 \
    __atomic_store_n((type *)at, (type)number, __ATOMIC_RELAXED);                                            \
    return true

static bool store_int(char code, char *at, PyObject *value) {
    int overflow;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow != 0) { return false; }
    switch (code) {
    case 'b':
        STORE(int8_t, INT8_MIN, INT8_MAX);
    case 'B':
        STORE(uint8_t, 0, UINT8_MAX);
    case 'h':
        STORE(int16_t, INT16_MIN, INT16_MAX);
    case 'H':
        STORE(uint16_t, 0, UINT16_MAX);
    case 'i':
        STORE(int32_t, INT32_MIN, INT32_MAX);
    case 'I':
        STORE(uint32_t, 0, (int64_t)UINT32_MAX);
    case 'l':
        STORE(long, LONG_MIN, LONG_MAX);
    case 'q':
        STORE(int64_t, INT64_MIN, INT64_MAX);
    case 'L':
        STORE(unsigned long, 0, LONG_MAX);
    case 'Q':
        STORE(uint64_t, 0, INT64_MAX);
    default:
        return false;
    }
}

/* Whether it was stored: only what surely fits is. */
static bool store(char code, char *at, PyObject *value) {
    if (PyLong_CheckExact(value) && store_int(code, at, value)) { return true; }
    if (code == 'd' && (PyFloat_CheckExact(value) || PyLong_CheckExact(value))) {
        double number = PyFloat_AsDouble(value);
        if (number == -1.0 && PyErr_Occurred()) {
            PyErr_Clear();
            return false;
        }
        uint64_t word;
        memcpy(&word, &number, sizeof word);
        __atomic_store_n((uint64_t *)at, word, __ATOMIC_RELAXED);
        return true;
    }
    if (code == 'f' && PyFloat_CheckExact(value)) {
        double wide = PyFloat_AsDouble(value);
        if (fabs(wide) > FLT_MAX) { return false; }
        float number = (float)wide;
        uint32_t word;
        memcpy(&word, &number, sizeof word);
        __atomic_store_n((uint32_t *)at, word, __ATOMIC_RELAXED);
        return true;
    }
    if (code == '?' && (value == Py_True || value == Py_False)) {
        __atomic_store_n((uint8_t *)at, value == Py_True, __ATOMIC_RELAXED);
        return true;
    }
    return false;
}

static void elements_dealloc(PyObject *self) {
    Py_CLEAR(((Elements *)self)->lock_type);
    shared_dealloc(self);
}

/* Says where the elements are. Python has asked the library. */
static PyObject *place(PyObject *self, PyObject *args) {
    Elements *elements = (Elements *)self;
    PyObject *address, *lock_type;
    int code;
    Py_ssize_t count;
    if (!PyArg_ParseTuple(args, "OCnO", &address, &code, &count, &lock_type)) { return NULL; }
    if (!PyType_Check(lock_type) || count < 0 || code == 0 || code > 127 ||
        strchr("cbBhHiIlLqQfd?", code) == NULL) {
        PyErr_SetString(PyExc_ValueError, "elements of a typecode and the type of their lock are needed");
        return NULL;
    }
    void *at = PyLong_AsVoidPtr(address);
    if (at == NULL && PyErr_Occurred()) { return NULL; }
    elements->address = at;
    elements->count = at == NULL ? 0 : count;
    elements->code = (char)code;
    Py_XDECREF(elements->lock_type);
    elements->lock_type = Py_NewRef(lock_type);
    Py_RETURN_NONE;
}

static PyObject *get_lock(PyObject *self, PyObject *unused) {
    (void)unused;
    Elements *elements = (Elements *)self;
    if (elements->lock_type == NULL) { return PyObject_CallMethod(self, "_pure_get_lock", NULL); }
    return object_lock_of((PyTypeObject *)elements->lock_type, &elements->shared);
}

/* As `get_lock`, but of the type given, whose locks a thread can take again. */
static PyObject *own_lock(PyObject *self, PyObject *type) {
    Elements *elements = (Elements *)self;
    if (!PyType_Check(type) || elements->lock_type == NULL) {
        PyErr_SetString(PyExc_TypeError, "an open object and a type of locks are needed");
        return NULL;
    }
    return object_lock_of((PyTypeObject *)type, &elements->shared);
}

#define GET_LOCK                                                                                             \
    {"get_lock", get_lock, METH_NOARGS,                                                                      \
     "get_lock($self, /)\n--\n\nIts lock. It does not keep others from reading and writing without it."},    \
    {                                                                                                        \
        "_own_lock", own_lock, METH_O, NULL                                                                  \
    }

static PyObject *value_get(PyObject *self, void *unused) {
    (void)unused;
    Elements *value = (Elements *)self;
    if (value->shared.pointer == NULL || value->count == 0) {
        return PyObject_CallMethod(self, "_pure_get", NULL);
    }
    return load(value->code, value->address);
}

static int value_set(PyObject *self, PyObject *new, void *unused) {
    (void)unused;
    Elements *value = (Elements *)self;
    if (new == NULL) {
        PyErr_SetString(PyExc_AttributeError, "the value cannot be deleted");
        return -1;
    }
    if (value->shared.pointer != NULL && value->count != 0 && store(value->code, value->address, new)) {
        return 0;
    }
    PyObject *done = PyObject_CallMethod(self, "_pure_set", "(O)", new);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static PyObject *value_get_method(PyObject *self, PyObject *unused) {
    (void)unused;
    return value_get(self, NULL);
}

static PyObject *value_set_method(PyObject *self, PyObject *const *args, Py_ssize_t n, PyObject *kwnames) {
    static const char *const names[] = {"value"};
    PyObject *given[1] = {NULL};
    if (collect(names, 1, given, args, n, kwnames) < 0) { return NULL; }
    if (given[0] == NULL) {
        PyErr_SetString(PyExc_TypeError, "set() takes a value");
        return NULL;
    }
    if (value_set(self, given[0], NULL) < 0) { return NULL; }
    Py_RETURN_NONE;
}

static PyObject *value_add(PyObject *self, PyObject *amount) {
    Elements *value = (Elements *)self;
    int overflow = 1;
    long number = PyLong_CheckExact(amount) ? PyLong_AsLongAndOverflow(amount, &overflow) : 0;
    bool wide = value->code != 0 && strchr("lLqQ", value->code) != NULL;
    bool narrow =
        value->code != 0 && strchr("iI", value->code) != NULL && number >= INT32_MIN && number <= INT32_MAX;
    int64_t before;
    if (overflow != 0 || (!wide && !narrow) ||
        library.shc_value_add_int(value->shared.pointer, number, &before) != SHC_OK) {
        return PyObject_CallMethod(self, "_pure_add", "(O)", amount);
    }
    if (value->code == 'L' || value->code == 'Q') { return PyLong_FromUnsignedLongLong((uint64_t)before); }
    return PyLong_FromLongLong(before);
}

static PyMethodDef value_methods[] = {
    {"_place", place, METH_VARARGS, NULL},
    GET_LOCK,
    {"get", value_get_method, METH_NOARGS, "get($self, /)\n--\n\nThe value; a copy, if it is a structure."},
    METHOD("set", value_set_method,
           "set($self, /, value)\n--\n\nReplaces the value. ValueRangeError for what the typecode cannot "
           "represent."),
    {"add", value_add, METH_O,
     "add($self, amount, /)\n--\n\nAdds to the value; what it was before. Integers wrap around."},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef value_members[] = {
    SHARED_MEMBERS,
    {"value", value_get, value_set,
     "The value. Setting it raises ValueRangeError for what the typecode cannot represent.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

/* The place of an index, or NULL where Python has to look at it. */
static char *at_index(Elements *array, PyObject *index) {
    if (array->shared.pointer == NULL || !PyLong_CheckExact(index)) { return NULL; }
    int overflow;
    long at = PyLong_AsLongAndOverflow(index, &overflow);
    at += at < 0 ? array->count : 0;
    if (overflow != 0 || at < 0 || at >= array->count) { return NULL; }
    static const unsigned char log2_size[128] = {
        ['h'] = 1,
        ['H'] = 1,
        ['i'] = 2,
        ['I'] = 2,
        ['f'] = 2,
        ['d'] = 3,
        ['q'] = 3,
        ['Q'] = 3,
        ['l'] = sizeof(long) == 8 ? 3 : 2,
        ['L'] = sizeof(long) == 8 ? 3 : 2,
    };
    return array->address + ((size_t)at << log2_size[(unsigned char)array->code]);
}

static PyObject *array_get(PyObject *self, PyObject *index) {
    Elements *array = (Elements *)self;
    char *at = at_index(array, index);
    if (at == NULL) { return PyObject_CallMethod(self, "_pure___getitem__", "(O)", index); }
    return load(array->code, at);
}

static int array_set(PyObject *self, PyObject *index, PyObject *value) {
    Elements *array = (Elements *)self;
    if (value == NULL) {
        PyErr_SetString(PyExc_TypeError, "elements cannot be deleted");
        return -1;
    }
    char *at = at_index(array, index);
    if (at != NULL && store(array->code, at, value)) { return 0; }
    PyObject *done = PyObject_CallMethod(self, "_pure___setitem__", "OO", index, value);
    Py_XDECREF(done);
    return done == NULL ? -1 : 0;
}

static PyMethodDef array_methods[] = {
    {"_place", place, METH_VARARGS, NULL},
    GET_LOCK,
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef array_members[] = {
    SHARED_MEMBERS,
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot value_slots[] = {
    {Py_tp_dealloc, elements_dealloc},
    {Py_tp_methods, value_methods},
    {Py_tp_getset, value_members},
    {0, NULL},
};
PyType_Spec value_spec = {"sharecell._speed.Value", sizeof(Elements), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, value_slots};

static PyType_Slot array_slots[] = {
    {Py_tp_dealloc, elements_dealloc}, {Py_tp_methods, array_methods},   {Py_tp_getset, array_members},
    {Py_mp_subscript, array_get},      {Py_mp_ass_subscript, array_set}, {0, NULL},
};
PyType_Spec array_spec = {"sharecell._speed.Array", sizeof(Elements), 0,
                          Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, array_slots};
