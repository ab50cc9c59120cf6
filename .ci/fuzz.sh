#!/bin/sh
# usage: fuzz.sh SECONDS - lets libFuzzer damage the golden segment, from the inputs in fuzz/corpus.txt on. What makes the
# library fail is added to fuzz/found.txt, which tests/fuzzed.rs replays; SHARECELL_BLESS=1 keeps the new corpus.
#
# The stable compiler can do it: these are the flags that cargo-fuzz would give, but for the sanitizer, which needs a
# nightly one. (Pages around the segment that nobody can touch stand in for it.)
set -eu
cd "$(dirname "$0")/.."
seconds=$1
host=$("${RUSTC:-rustc}" -vV | sed -n 's/^host: //p')
work=$TARGET/fuzz
corpus=$work/corpus
export SHARECELL_FUZZ_NAME="fuzz-$$"
trap 'rm -f "/dev/shm/sharecell.$SHARECELL_FUZZ_NAME"' EXIT

pass=-Cllvm-args=-sanitizer-coverage
RUSTFLAGS="--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module $pass-level=4 $pass-inline-8bit-counters \
$pass-pc-table $pass-trace-compares" "$CARGO" build --release --quiet --manifest-path fuzz/Cargo.toml --target "$host" --target-dir "$work"

rm -rf "$corpus" "$work/found"
mkdir -p "$corpus" "$work/found"
"$VENV_BIN/python" .ci/fuzz_inputs.py unpack "$corpus" <fuzz/corpus.txt
"$VENV_BIN/python" .ci/fuzz_inputs.py unpack "$corpus" <fuzz/found.txt
status=0
"$work/$host/release/sharecell-fuzz" "$corpus" -max_total_time="$seconds" -timeout=10 -max_len=121 -len_control=20 -rss_limit_mb=4096 \
    -print_final_stats=1 -artifact_prefix="$work/found/" || status=$?
"$VENV_BIN/python" .ci/fuzz_inputs.py pack "$work/found" fuzz/found.txt
if [ -n "${SHARECELL_BLESS:-}" ]; then
    rm -rf "$work/small"
    mkdir "$work/small"
    "$work/$host/release/sharecell-fuzz" -merge=1 "$work/small" "$corpus"
    : >fuzz/corpus.txt
    "$VENV_BIN/python" .ci/fuzz_inputs.py pack "$work/small" fuzz/corpus.txt
fi
exit $status
