#!/bin/sh
# usage: demo.sh [FILE] - compiles the demonstration's C worker and runs it on FILE, or on a text of some 8 MB.
set -eu
cd "$(dirname "$0")/.."

file=${1:-}
out=$TARGET/demo
libraries=$(dirname "$SHARECELL_LIBRARY")
mkdir -p "$out"

if [ -z "$file" ]; then
    file=$out/text.txt
    find README.md docs src include -type f \( -name '*.md' -o -name '*.rs' -o -name '*.h' -o -name '*.hpp' \) |
        LC_ALL=C sort | xargs cat >"$out/once.txt"
    [ -s "$out/once.txt" ] || { echo "found no text to count: name a file, make demo FILE=..." >&2; exit 1; }
    : >"$file"
    while [ "$(wc -c <"$file")" -lt 8000000 ]; do cat "$out/once.txt" >>"$file"; done
elif [ ! -r "$file" ]; then
    echo "$file cannot be read: name a text file, make demo FILE=..." >&2
    exit 1
fi

# shellcheck disable=SC2086 # CC may hold arguments
$CC -std=c99 -O2 -Wall -Wextra -Iinclude examples/wordcount/worker.c -o "$out/worker" \
    -L"$libraries" -lsharecell -Wl,-rpath,"$libraries" -pthread
exec "$TARGET/release/examples/wordcount" "$file" "$out/worker" "$VENV_BIN/python" examples/wordcount/follow.py
