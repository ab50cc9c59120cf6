"""Writes a table of all functions of include/sharecell.h in C, for tests/misuse/driver.c, which calls each
with what makes no sense. A function with an argument of a new type fails here, until it is said what can be
given.

usage: generate.py HEADER >calls.h
"""

import re
import sys

HANDLES = {
    "segment",
    "value",
    "array",
    "lock",
    "rlock",
    "rwlock",
    "condition",
    "event",
    "barrier",
    "bell",
    "semaphore",
    "queue",
    "pipe",
}

# What can be given for an argument: the driver's function that chooses, and how many choices there are.
SCALARS = {
    "bool (*action)(void*)": ("an_action", 3),
    "bool (*ready)(void*)": ("an_action", 3),
    "bool (*repair)(void*)": ("an_action", 3),
    "bool (*take)(void*, const void*, size_t)": ("a_taker", 3),
    "double amount": ("an_amount", 5),
    "int64_t amount": ("an_integer", 4),
    "int64_t timeout_ns": ("a_timeout", 6),
    "int32_t fd": ("a_descriptor", 6),
    "int32_t socket": ("a_descriptor", 6),
    "uint32_t flags": ("a_number", 4),
    "uint32_t parties": ("a_number", 4),
    "uint32_t permits": ("a_number", 4),
    "uint32_t value": ("a_number", 4),
    "uint32_t which": ("a_number", 4),
    "size_t count": ("a_count", 4),
    "size_t max": ("a_count", 4),
    "size_t room": ("a_count", 2),  # more is believed
    "size_t start": ("a_start", 4),
    "void *userdata": ("a_userdata", 2),
    "const char *name": ("a_name", 9),
    "const shc_type *ty": ("a_type", 6),
    "const shc_pipe_options *options": ("pipe_options", 5),
    "const shc_queue_options *options": ("queue_options", 5),
    "const shc_segment_options *options": ("segment_options", 5),
    "const shc_buffer *items": ("a_buffer", 5),
    "const shc_interest *interests": ("an_interest", 7),
    "const shc_item *item": ("an_item", 3),
    "const shc_slot *slot": ("a_slot", 3),
    "void *memory": ("a_memory", 3),
}
# Pointers to bytes that go with a length.
BYTES = re.compile(r"(const )?(void|char) \*(data|desired|element|expected|initial|text|buffer|old|out)")
# Where something is written to.
OUT = re.compile(
    r"(\w+) \*{1,2}(changed|out|out_a|out_b|old|ready|fd|list|count|done|len|lens|number|received|removed)"
)

# Arguments that may be NULL, by function and name.
OPTIONAL = re.compile(
    r"\w+_close \w+|\w+ options|shc_value_(create|open_or_create) initial|shc_value_add_\w+ old"
    r"|shc_barrier_wait_with (userdata|number)|shc_barrier_wait number"
)


def arguments(text):
    text = re.sub(r"\s+", " ", text).strip()
    return [] if text == "void" else [argument.strip() for argument in re.split(r",(?![^(]*\))", text)]


def choice(function, argument):
    """The expression that chooses, with %d for the number of the choice, and how many there are."""
    handle = re.fullmatch(r"(?:const )?shc_(\w+) \*(\w+)", argument)
    if handle and handle[1] in HANDLES:
        return f"a_handle({handle[1].upper()}, %d)", "HANDLES"
    if argument in SCALARS:
        name, count = SCALARS[argument]
        if name in ("an_item", "a_slot", "a_name"):
            return f"{name}({'PIPE' if '_pipe_' in function else subject(function)}, %d)", count
        return f"{name}(%d)", count
    if argument in ("size_t size", "size_t len"):
        # A message may be as long as it likes, so that any length but a negative one is believed.
        return f"a_size({usual_size(function)}, %d)", 3 if function == "shc_pipe_send" else 4
    if BYTES.fullmatch(argument):
        return f"some_bytes({usual_size(function)}, %d)", 2
    made = re.fullmatch(r"shc_(\w+) \*\*out\w*", argument)
    if made:
        return f"room_for_handle({made[1].upper()}, %d)", 2
    out = OUT.fullmatch(argument)
    if out:
        kind = argument.rsplit("*", 1)[0].strip()
        return f"room_for(sizeof({kind}), %d)", 2
    sys.exit(f"{function}: say in tests/misuse/generate.py what can be given for {argument!r}")


def null_choice(expression):
    """Which choice is NULL, or 0 where none is."""
    last = {
        "a_type": 5,
        "pipe_options": 4,
        "queue_options": 4,
        "segment_options": 4,
        "a_buffer": 4,
        "an_interest": 6,
    }
    first = (
        "a_handle",
        "a_name",
        "an_item",
        "a_slot",
        "a_memory",
        "a_taker",
        "some_bytes",
        "room_for",
        "room_for_handle",
    )
    name = expression.split("(")[0]
    return str(last.get(name, 1 if name in first else 0))


def subject(function):
    """The kind of object that a function is about."""
    return function.split("_")[1].upper()


def usual_size(function):
    if function.startswith("shc_segment_") and function.endswith("_over"):
        return "MEMORY"
    if function.startswith("shc_array_") and "text" not in function:
        return "4" if function.endswith("fill") else "8"
    return {"VALUE": "4", "ARRAY": "8"}.get(subject(function), "64")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        header = re.sub(r"/\*.*?\*/", "", file.read(), flags=re.DOTALL)
    functions = re.findall(r"\n(?:shc_status|uint32_t|const char \*) ?(\w+)\(([^;]*)\);", header)
    if len(functions) != len(set(re.findall(r"\b(shc_\w+)\(", header))):
        sys.exit("some declaration in the header was not understood")
    rows = []
    for name, text in functions:
        if arguments(text) == []:
            continue  # nothing can be wrong about those
        given, counts, nulls, handles, timeouts = [], [], [], [], []
        for i, argument in enumerate(arguments(text)):
            expression, count = choice(name, argument)
            given.append(expression.replace("%d", f"pick[{i}]"))
            counts.append(str(count))
            handles.append(str(int(expression.startswith("a_handle("))))
            timeouts.append(str(int(expression.startswith("a_timeout("))))
            nulls.append(
                "0" if OPTIONAL.fullmatch(f"{name} {argument.split('*')[-1]}") else null_choice(expression)
            )
        print(f"static shc_status call_{name}(const unsigned *pick) {{")
        print(f"    return {name}({', '.join(given)});\n}}")
        lists = ", ".join(f"{{{', '.join(each)}}}" for each in (counts, nulls, handles, timeouts))
        rows.append(f'    {{"{name}", call_{name}, {len(counts)}, {lists}}},')
    print("static const struct function functions[] = {", *rows, "};", sep="\n")


main()
