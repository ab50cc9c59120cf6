#!/bin/sh
# Every check, one after the other; a failure does not stop those that follow. The last line counts the C, C++ and
# example programs and the checks that print no count of their own.
set -u

RESULTS=$TARGET/programs/results
export RESULTS
mkdir -p "$(dirname "$RESULTS")"
: >"$RESULTS"
failed=''

failures() { grep -c '^FAILED' "$RESULTS"; }

for step in test-rust steps model doc test-c test-python test-cpython test-examples test-soak demo test-wheel sanitize-short count fmt lint; do
    echo "==== $step"
    before=$(failures)
    start=$(date +%s)
    if "$MAKE" --no-print-directory "$step" FILE=; then
        case $step in
            test-rust | test-c | test-python | test-cpython | test-examples) ;; # these have counted what they ran
            *) echo "ok $step" >>"$RESULTS" ;;
        esac
    else
        failed="$failed $step"
        [ "$(failures)" -gt "$before" ] || echo "FAILED $step" >>"$RESULTS"
    fi
    echo "---- $step: $(($(date +%s) - start)) s"
done

echo
grep '^FAILED' "$RESULTS"
[ -z "$failed" ] || echo "failed:$failed (run one again with \`make NAME\`)"
echo "$(grep -c '^ok' "$RESULTS") passed, $(failures) failed"
[ -z "$failed" ]
