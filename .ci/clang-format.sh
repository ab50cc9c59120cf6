#!/bin/sh
# usage: clang-format.sh OPTION... - on the C and C++ files that people write (cbindgen writes sharecell.h).
set -eu
cd "$(dirname "$0")/.."

files=$(find include benches tests/c tests/cpp tests/cross tests/misuse tests/soak examples python/companion -type f -name '*.[ch]' -o \
    -type f -name '*.[ch]pp' |
    grep -vx include/sharecell.h) || { echo "clang-format.sh: found no C or C++ file" >&2; exit 1; }
echo "$files" | LC_ALL=C sort | xargs "$VENV_BIN/clang-format" "$@"
