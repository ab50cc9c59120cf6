#!/bin/sh
# usage: sanitize.sh [full] - misuse of the C ABI under AddressSanitizer, UndefinedBehaviorSanitizer and valgrind.
# Without "full", what `make test` has time for: every argument of every function wrong, alone. The sanitizers watch the
# C side, valgrind the library too.
set -eu
cd "$(dirname "$0")/.."
. .ci/misuse.sh

sanitizers='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer'
if echo 'int main(void) { return 0; }' >"$out/none.c" && build "$out/none.c" "$out/none" "$sanitizers" 2>/dev/null; then
    build tests/misuse/driver.c "$out/driver.sanitized" "$sanitizers"
    run "$out/driver.sanitized" singles
    build tests/c/misuse.c "$out/misuse.sanitized" "$sanitizers"
    run "$out/misuse.sanitized"
    if [ "${1:-}" = full ]; then
        run "$out/driver.sanitized" pairs
        run "$out/driver.sanitized" random 60 "$(date +%s)"
        for source in tests/c/*.c; do
            build "$source" "$out/program.sanitized" "$sanitizers"
            run "$out/program.sanitized"
        done
    fi
else
    echo "NOT TESTED: $CC has no -fsanitize=address,undefined (Debian: apt-get install gcc, or llvm's compiler-rt)"
fi

if command -v valgrind >/dev/null || install_valgrind; then
    memcheck="valgrind -q --error-exitcode=9"
    build tests/misuse/driver.c "$out/driver" ''
    run $memcheck "$out/driver" singles
    for program in misuse handles; do
        build tests/c/$program.c "$out/$program" ''
        run $memcheck "$out/$program"
    done
else
    echo 'NOT TESTED: no valgrind here, and no right to install it (Debian: apt-get install valgrind)'
fi
[ "$ran" -gt 0 ] || { echo 'nothing was run' >&2; exit 1; }
echo "$ran programs, no fault"
