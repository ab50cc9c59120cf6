/* Objects as bytes, and how they come out of a queue or a pipe. */
#ifndef SHARECELL_SPEED_MESSAGE_H
#define SHARECELL_SPEED_MESSAGE_H

#include "shared.h"

/* The longest pickle that `encode` makes. */
#define ENCODED_BYTES 1024

/* Writes the pickle of None, a bool, an int of 64 bits, a float, or a short str or bytes; its length, 0 for
 * anything else. It is what any unpickler reads. */
size_t encode(PyObject *obj, unsigned char *out);

/* The object of such a pickle, whoever wrote it; NULL, without an exception, for any other. */
PyObject *decode(const unsigned char *data, size_t len);

/* The object of bytes that `decode` did not take, by the `_loads` of an object. Steals `data`. */
PyObject *load_with(Shared *shared, PyObject *data);

/* The pickle of an object by the `_dumps` of another; exact bytes. */
PyObject *dump_with(Shared *shared, PyObject *obj);

/* What a function of the library calls with the bytes of an item. */
typedef struct {
    /* Whether objects are wanted, or else bytes. */
    bool decoded;
    /* Whether long ones are left where they are, and whether one was. */
    bool framed, left;
    /* The item; `raw` if it is still to be unpickled. NULL with an exception. */
    PyObject *item;
    bool raw;
} Taken;

bool take_one(void *taken, const void *data, size_t len);

#endif
