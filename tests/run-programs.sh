#!/bin/sh
# usage: run-programs.sh KIND...
# Compiles (C, C++) and runs every program of each KIND; one passes when it exits with 0 in time.
#   c         tests/c/*.c       C99
#   cpp       tests/cpp/*.cpp   C++17
#   examples  examples/*.c, *.cpp, *.py and *.rs (these `make build` has built)
# CC, CXX, TARGET, VENV_BIN, SHARECELL_LIBRARY: as the Makefile sets them; RESULTS: a file that gets a line a program.
set -u
cd "$(dirname "$0")/.." || exit 1

RESULTS=${RESULTS:-/dev/null}
warnings='-Wall -Wextra -Wpedantic -Werror'
libraries=$(dirname "$SHARECELL_LIBRARY")
passed=0
failed=0

report() { # ok|FAILED NAME
    echo "$1 $2"
    echo "$1 $2" >>"$RESULTS"
    if [ "$1" = ok ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

compile() { # SOURCE BINARY
    case $1 in
        *.c) compiler="$CC -std=c99" ;;
        *.cpp) compiler="$CXX -std=c++17" ;;
    esac
    # shellcheck disable=SC2086 # several words on purpose
    $compiler $warnings -O2 -g -pthread -Iinclude "$1" -o "$2" \
        -L"$libraries" -lsharecell -Wl,-rpath,"$libraries"
}

run() { # NAME COMMAND... : a program that hangs is ended, and what it said is shown when it fails
    name=$1
    shift
    timeout -k 5 300 "$@" >"$log" 2>&1 </dev/null
    status=$?
    if [ $status -eq 0 ]; then
        report ok "$name"
    else
        cat "$log"
        [ $status -ne 124 ] || echo "it was ended after 300 s"
        [ $status -eq 124 ] || echo "it exited with $status"
        report FAILED "$name"
    fi
}

run_all() { # PATTERN... : fails for each pattern that names nothing, since a check that ran nothing has shown nothing
    for source in "$@"; do
        if [ ! -e "$source" ]; then
            report FAILED "$source: there is no such program"
            continue
        fi
        binary=$TARGET/programs/$source.out
        log=$TARGET/programs/$source.log
        mkdir -p "$(dirname "$binary")"
        case $source in
            *.py) run "$source" "$VENV_BIN/python" "$source" ;;
            *.rs) run "$source" "$TARGET/release/examples/$(basename "$source" .rs)" ;;
            *) if compile "$source" "$binary"; then run "$source" "$binary"; else report FAILED "$source"; fi ;;
        esac
    done
}

for kind in "$@"; do
    case $kind in
        c) run_all tests/c/*.c ;;
        cpp) run_all tests/cpp/*.cpp ;;
        examples) run_all examples/*.c examples/*.cpp examples/*.py examples/*.rs ;;
        *) echo "run-programs.sh: unknown kind $kind (c, cpp or examples)" >&2; exit 2 ;;
    esac
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
