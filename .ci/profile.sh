#!/bin/sh
# usage: profile.sh BENCH ONLY PEER - runs one measure of the benches (the program BENCH) for some seconds under perf, and
# writes to target/bench/profile.txt where its time goes. Without perf nothing is done, and that is said.
set -eu
cd "$(dirname "$0")/.."
bench=$1 only=$2 peer=$3
out=$TARGET/bench/profile
mkdir -p "$out"

can() { perf record -q -e cpu-clock -o "$out/try.data" true >/dev/null 2>&1; }
if ! can && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get install -qq -y linux-perf >/dev/null 2>&1 || { apt-get update -qq && apt-get install -qq -y linux-perf >/dev/null; } || true
fi
if ! can; then
    echo 'SKIPPED: no profile: perf is missing or may not be used here (Debian: apt-get install linux-perf; see kernel.perf_event_paranoid)'
    exit 0
fi
# Many virtual machines have no counters of the processor.
event=cpu-clock
if perf stat -e cycles true 2>&1 | grep -q '[0-9] *cycles'; then event=cycles,instructions; fi

run() { # REPEATS PERF-ARGUMENTS...
    repeats=$1
    shift
    perf "$@" "$bench" run --only "$only" --peer "$peer" --repeats "$repeats" --trial-ms 1000 --out "$out/results.json"
}
run 3 stat -x, -o "$out/stat.csv" -e "task-clock,context-switches,$event" --
run 3 record -q -F 4000 -e "${event%%,*}" -o "$out/perf.data" -- >/dev/null
perf report --stdio --no-inline --percent-limit 0.5 --sort dso,symbol -i "$out/perf.data" 2>/dev/null |
    sed '/^#/d; /^$/d; s/ *- *- *$//' >"$out/symbols.txt"
[ -s "$out/symbols.txt" ] || { echo 'perf has recorded nothing' >&2; exit 1; }

"$VENV_BIN/python" .ci/profile.py "$only" "$peer" "$out" >"$TARGET/bench/profile.txt"
cat "$TARGET/bench/profile.txt"
echo "$TARGET/bench/profile.txt"
