#!/bin/sh
# Counts the instructions of the fast paths and compares them with benches/count/counts.txt; with SHARECELL_BLESS=1
# writes that file. Without valgrind, or a processor that it knows, nothing is checked, and that is said.
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^gungraun = "=\(.*\)"/\1/p' benches/count/Cargo.toml)
tools=$TARGET/tools

if ! command -v valgrind >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get install -qq -y valgrind >/dev/null 2>&1 ||
        { apt-get update -qq && apt-get install -qq -y valgrind >/dev/null; } || true
fi
if ! valgrind --tool=none true >/dev/null 2>&1; then
    echo 'SKIPPED: instructions are not counted: valgrind is missing or does not run here (Debian: apt-get install valgrind)'
    exit 0
fi
if [ "$("$tools/bin/gungraun-runner" --version 2>/dev/null)" != "gungraun-runner $version" ]; then
    "$CARGO" install --quiet --locked --root "$tools" --target-dir "$TARGET/count" gungraun-runner --version "=$version"
fi
[ -x "$tools/bin/gungraun-runner" ] || { echo "the runner of gungraun $version was not installed" >&2; exit 1; }

cd benches/count
GUNGRAUN_HOME=$TARGET/count/gungraun GUNGRAUN_RUNNER=$tools/bin/gungraun-runner "$CARGO" bench --quiet --locked --target-dir "$TARGET/count" \
    --bench fast_paths -- --output-format=json >"$TARGET/count/counts.json"
"$VENV_BIN/python" ../../.ci/count.py "$TARGET/count/counts.json" counts.txt
