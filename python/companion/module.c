/* The module: its types, and the functions of the library that they call. */
#include "shared.h"

#include <string.h>

static const char *const function_names[] = {
#define NAME(name) #name,
    FUNCTIONS(NAME)
#undef NAME
};

#define FUNCTION_COUNT (sizeof function_names / sizeof *function_names)
_Static_assert(sizeof library == FUNCTION_COUNT * sizeof(void *),
               "a place for each function, and nothing else");

/* The names of the functions whose addresses `connect` takes, in this order. */
static PyObject *functions(PyObject *module, PyObject *unused) {
    (void)module;
    (void)unused;
    PyObject *names = PyTuple_New(FUNCTION_COUNT);
    for (size_t i = 0; names != NULL && i < FUNCTION_COUNT; i++) {
        PyObject *name = PyUnicode_FromString(function_names[i]);
        if (name == NULL || PyTuple_SetItem(names, (Py_ssize_t)i, name) < 0) { Py_CLEAR(names); }
    }
    return names;
}

static PyObject *connect_to(PyObject *module, PyObject *addresses) {
    (void)module;
    struct library found;
    if (!PyTuple_Check(addresses) || PyTuple_Size(addresses) != FUNCTION_COUNT) {
        PyErr_Format(PyExc_ValueError, "a tuple of %zu addresses is needed", FUNCTION_COUNT);
        return NULL;
    }
    for (size_t i = 0; i < FUNCTION_COUNT; i++) {
        void *address = PyLong_AsVoidPtr(PyTuple_GetItem(addresses, (Py_ssize_t)i));
        if (address == NULL) {
            return PyErr_Occurred()
                       ? NULL
                       : PyErr_Format(PyExc_ValueError, "%s is at no address", function_names[i]);
        }
        memcpy((char *)&found + i * sizeof address, &address, sizeof address);
    }
    library = found;
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"functions", functions, METH_NOARGS,
     "functions()\n--\n\nThe names of the functions of the library that are called."},
    {"connect", connect_to, METH_O,
     "connect(addresses, /)\n--\n\nTakes the addresses of `functions()`, of the library that this process "
     "has loaded."},
    {NULL, NULL, 0, NULL},
};

static int add_types(PyObject *module) {
    static const struct {
        const char *name;
        PyType_Spec *spec;
    } types[] = {
        {"Condition", &condition_spec},
        {"Lock", &lock_spec},
        {"RLock", &rlock_spec},
        {"ValueLock", &value_lock_spec},
        {"ArrayLock", &array_lock_spec},
        {"Semaphore", &semaphore_spec},
        {"Value", &value_spec},
        {"Array", &array_spec},
        {"Queue", &queue_spec},
        {"Pipe", &pipe_spec},
        {"Event", &event_spec},
        {"OwnValueLock", &own_value_lock_spec},
        {"OwnArrayLock", &own_array_lock_spec},
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        PyObject *type = PyType_FromSpec(types[i].spec);
        int failed = type == NULL ? -1 : PyModule_AddObjectRef(module, types[i].name, type);
        Py_XDECREF(type);
        if (failed) { return -1; }
    }
    if (watch_forks() < 0) { return -1; }
    return PyModule_AddIntConstant(module, "VERSION", COMPANION_VERSION);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, add_types},
    {0, NULL},
};

static PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "sharecell._speed",
    .m_doc = "The hot paths of sharecell, compiled.",
    .m_methods = methods,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__speed(void) { return PyModuleDef_Init(&definition); }
