#include "message.h"

#include <endian.h>
#include <string.h>

enum {
    PROTO = 0x80,
    PROTOCOL = 4,
    FRAME = 0x95,
    MEMOIZE = 0x94,
    STOP = '.',
    NONE = 'N',
    NEWTRUE = 0x88,
    NEWFALSE = 0x89,
    BININT = 'J',
    BININT1 = 'K',
    BININT2 = 'M',
    LONG1 = 0x8a,
    BINFLOAT = 'G',
    SHORT_BINBYTES = 'C',
    BINBYTES = 'B',
    SHORT_BINUNICODE = 0x8c,
    BINUNICODE = 'X',
};

static unsigned char *put_number(unsigned char *at, uint64_t number, int bytes) {
    for (int i = 0; i < bytes; i++) { *at++ = (unsigned char)(number >> (8 * i)); }
    return at;
}

static uint64_t get_number(const unsigned char *at, int bytes) {
    uint64_t number = 0;
    for (int i = 0; i < bytes; i++) { number |= (uint64_t)at[i] << (8 * i); }
    return number;
}

static unsigned char *put_int(unsigned char *at, long long number) {
    if (number >= 0 && number <= UINT8_MAX) {
        *at++ = BININT1;
        return put_number(at, (uint64_t)number, 1);
    }
    if (number >= 0 && number <= UINT16_MAX) {
        *at++ = BININT2;
        return put_number(at, (uint64_t)number, 2);
    }
    if (number >= INT32_MIN && number <= INT32_MAX) {
        *at++ = BININT;
        return put_number(at, (uint64_t)number, 4);
    }
    *at++ = LONG1;
    *at++ = 8;
    return put_number(at, (uint64_t)number, 8);
}

static unsigned char *put_text(unsigned char *at, int short_code, int code, const char *text,
                               Py_ssize_t size) {
    if (text == NULL || size > ENCODED_BYTES - 16) { return NULL; }
    *at++ = (unsigned char)(size <= UINT8_MAX ? short_code : code);
    at = put_number(at, (uint64_t)size, size <= UINT8_MAX ? 1 : 4);
    memcpy(at, text, (size_t)size);
    return at + size;
}

static unsigned char *put_object(unsigned char *at, PyObject *obj) {
    if (PyLong_CheckExact(obj)) {
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(obj, &overflow);
        return overflow != 0 ? NULL : put_int(at, number);
    }
    if (PyBytes_CheckExact(obj)) {
        return put_text(at, SHORT_BINBYTES, BINBYTES, PyBytes_AsString(obj), PyBytes_Size(obj));
    }
    if (PyUnicode_CheckExact(obj)) {
        Py_ssize_t size = 0;
        /* The text of a longer one would be kept with it. */
        const char *text =
            PyUnicode_GetLength(obj) > ENCODED_BYTES ? NULL : PyUnicode_AsUTF8AndSize(obj, &size);
        if (text == NULL) { PyErr_Clear(); }
        return put_text(at, SHORT_BINUNICODE, BINUNICODE, text, size);
    }
    if (PyFloat_CheckExact(obj)) {
        double number = PyFloat_AsDouble(obj);
        uint64_t word;
        memcpy(&word, &number, sizeof word);
        word = htobe64(word);
        *at++ = BINFLOAT;
        memcpy(at, &word, sizeof word);
        return at + sizeof word;
    }
    if (obj == Py_None || obj == Py_True || obj == Py_False) {
        *at++ = obj == Py_None ? NONE : obj == Py_True ? NEWTRUE : NEWFALSE;
        return at;
    }
    return NULL;
}

size_t encode(PyObject *obj, unsigned char *out) {
    out[0] = PROTO;
    out[1] = PROTOCOL;
    unsigned char *at = put_object(out + 2, obj);
    if (at == NULL) { return 0; }
    *at++ = STOP;
    return (size_t)(at - out);
}

/* What is between the header of a pickle and its end, if it is one opcode. */
static PyObject *get_object(int code, const unsigned char *at, size_t len) {
    switch (code) {
    case NONE:
        return len == 0 ? Py_NewRef(Py_None) : NULL;
    case NEWTRUE:
        return len == 0 ? Py_NewRef(Py_True) : NULL;
    case NEWFALSE:
        return len == 0 ? Py_NewRef(Py_False) : NULL;
    case BININT1:
        return len == 1 ? PyLong_FromLong(at[0]) : NULL;
    case BININT2:
        return len == 2 ? PyLong_FromLong((long)get_number(at, 2)) : NULL;
    case BININT:
        return len == 4 ? PyLong_FromLong((int32_t)get_number(at, 4)) : NULL;
    case LONG1: {
        int size = len == 0 ? 0 : at[0];
        if (size == 0 || size > 8 || len != (size_t)size + 1) { return NULL; }
        int unused = 64 - 8 * size;
        return PyLong_FromLongLong((int64_t)(get_number(at + 1, size) << unused) >> unused);
    }
    case BINFLOAT: {
        uint64_t word;
        double number;
        if (len != sizeof word) { return NULL; }
        memcpy(&word, at, sizeof word);
        word = be64toh(word);
        memcpy(&number, &word, sizeof number);
        return PyFloat_FromDouble(number);
    }
    case SHORT_BINBYTES:
    case SHORT_BINUNICODE:
        if (len == 0 || at[0] != len - 1) { return NULL; }
        at += 1;
        len -= 1;
        break;
    case BINBYTES:
    case BINUNICODE:
        if (len < 4 || get_number(at, 4) != len - 4) { return NULL; }
        at += 4;
        len -= 4;
        break;
    default:
        return NULL;
    }
    if (code == SHORT_BINBYTES || code == BINBYTES) {
        return PyBytes_FromStringAndSize((const char *)at, (Py_ssize_t)len);
    }
    return PyUnicode_DecodeUTF8((const char *)at, (Py_ssize_t)len, "surrogatepass");
}

/* Whether an opcode leaves nothing to be put into the memo. */
static bool has_no_memo(int code) {
    return code != SHORT_BINBYTES && code != BINBYTES && code != SHORT_BINUNICODE && code != BINUNICODE;
}

PyObject *decode(const unsigned char *data, size_t len) {
    if (len < 4 || len > ENCODED_BYTES || data[0] != PROTO || data[1] < 2 || data[1] > 5 ||
        data[len - 1] != STOP) {
        return NULL;
    }
    size_t start = 2, end = len - 1;
    if (data[2] == FRAME && len > 12) {
        if (get_number(data + 3, 8) != len - 11) { return NULL; }
        start = 11;
    }
    int code = data[start++];
    PyObject *obj = get_object(code, data + start, end - start);
    if (obj == NULL && !PyErr_Occurred() && end > start && data[end - 1] == MEMOIZE && !has_no_memo(code)) {
        obj = get_object(code, data + start, end - start - 1);
    }
    if (obj == NULL) {
        /* What cannot be decoded is for the unpickler to say. */
        PyErr_Clear();
    }
    return obj;
}

PyObject *load_with(Shared *shared, PyObject *data) {
    PyObject *obj = PyObject_CallMethod((PyObject *)shared, "_loads", "(O)", data);
    Py_DECREF(data);
    return obj;
}

PyObject *dump_with(Shared *shared, PyObject *obj) {
    PyObject *data = PyObject_CallMethod((PyObject *)shared, "_dumps", "(O)", obj);
    if (data != NULL && !PyBytes_CheckExact(data)) {
        PyErr_SetString(PyExc_TypeError, "_dumps makes bytes");
        Py_CLEAR(data);
    }
    return data;
}

bool take_one(void *context, const void *data, size_t len) {
    Taken *taken = context;
    taken->left = taken->framed && len >= LONG_BYTES;
    if (taken->left) { return false; }
    taken->item = taken->decoded ? decode(data, len) : NULL;
    taken->raw = taken->item == NULL;
    if (taken->raw) { taken->item = PyBytes_FromStringAndSize(data, (Py_ssize_t)len); }
    return taken->item != NULL;
}
