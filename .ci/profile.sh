#!/bin/sh
# usage: profile.sh BENCH [GROUP CONTESTANT] - runs one measure of the benches (the program BENCH), or each that does not meet
# its aim in target/bench/results.json, for some seconds under perf. Where their time goes is written to target/bench/profile.txt,
# and for all of them to target/bench/profiles.json, from which `make bench-doc` takes it. Without perf that is written there.
set -eu
cd "$(dirname "$0")/.."
bench=$1 group=${2-} contestant=${3-}
out=$TARGET/bench/profile
mkdir -p "$out"

absent() {
    echo "SKIPPED: no profile: $1"
    [ "$group" ] || printf '{"event": "", "commit": "", "absent": "%s", "measures": []}\n' "$1" >"$TARGET/bench/profiles.json"
    exit 0
}

can() { perf record -q -e cpu-clock -o "$out/try.data" true >/dev/null 2>&1; }
if ! can && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get install -qq -y linux-perf >/dev/null 2>&1 || { apt-get update -qq && apt-get install -qq -y linux-perf >/dev/null; } || true
fi
can || absent 'perf is missing or may not be used (Debian: apt-get install linux-perf; see kernel.perf_event_paranoid)'
for tool in addr2line objdump readelf; do
    command -v $tool >/dev/null || absent "$tool is missing (Debian: apt-get install binutils)"
done
# Many virtual machines have no counters of the processor.
event=cpu-clock counted=cpu-clock
note='cpu-clock, a timer of the kernel, as the machine gives no counters of its processor'
if perf stat -e cycles true 2>&1 | grep -q '[0-9] *cycles'; then event=cycles counted=cycles,instructions note=cycles; fi

if [ "$group" ]; then
    printf '%s\t%s\n' "$group" "$contestant"
else
    "$bench" unmet --results "$TARGET/bench/results.json"
fi >"$out/measures.tsv"

run() { # PERF-ARGUMENTS... : with the measure that was read
    perf "$@" "$bench" run --exact --only "$table" --peer "$row" --repeats 3 --trial-ms "${MS:-1000}" \
        --out "$out/results.json" </dev/null >/dev/null
}
number=0
while IFS='	' read -r table row; do
    number=$((number + 1))
    echo "$table: $row" >&2
    run stat -x, -o "$out/$number.csv" -e "task-clock,context-switches,$counted" --
    run record -q -g -F 4000 -e "$event" -o "$out/perf.data" --
    perf script -i "$out/perf.data" --show-mmap-events -F comm,pid,tid,ip,sym,symoff,dso >"$out/$number.samples" 2>/dev/null
done <"$out/measures.tsv"

"$VENV_BIN/python" .ci/profile.py "$bench" "$out" "$note" >"$TARGET/bench/profile.txt"
[ "$group" ] || mv "$out/profiles.json" "$TARGET/bench/profiles.json"
cat "$TARGET/bench/profile.txt"
echo "$TARGET/bench/profile.txt"
