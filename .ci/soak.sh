#!/bin/sh
# usage: soak.sh SECONDS - builds the soak and its agents and runs it. SEED=n repeats its choices, SOAK_REPORT=file has
# the figures written between the markers of that file.
set -eu
cd "$(dirname "$0")/.."
out=$TARGET/soak
libraries=$(dirname "$SHARECELL_LIBRARY")
mkdir -p "$out"

"$CARGO" build --quiet --release --manifest-path tests/soak/Cargo.toml --target-dir "$out"
# shellcheck disable=SC2086 # CC may hold arguments
$CC -std=c11 -O2 -Wall -Wextra -Iinclude tests/soak/agent.c -o "$out/agent-c" \
    -L"$libraries" -lsharecell -Wl,-rpath,"$libraries" -pthread

set -- --seconds "$1" --c-agent "$out/agent-c" --python "$VENV_BIN/python" --python-agent tests/soak/agent.py \
    --dumps "$out" ${SEED:+--seed "$SEED"} ${SOAK_REPORT:+--report "$SOAK_REPORT"}
PYTHONDONTWRITEBYTECODE=1 exec "$out/release/soak" "$@"
