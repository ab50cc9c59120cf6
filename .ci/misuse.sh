# shellcheck shell=sh
# What the scripts about misuse of the C ABI share. TARGET, CC, VENV_BIN, SHARECELL_LIBRARY: as the Makefile sets them.

out=$TARGET/misuse
libraries=$(dirname "$SHARECELL_LIBRARY")
ran=0
mkdir -p "$out"
"$VENV_BIN/python" tests/misuse/generate.py include/sharecell.h >"$out/calls.h"

build() { # SOURCE BINARY FLAGS
    # shellcheck disable=SC2086 # several words on purpose
    $CC -std=c99 -Wall -Wextra -Wpedantic -Werror -O1 -g -pthread $3 -Iinclude -I"$out" "$1" -o "$2" \
        -L"$libraries" -lsharecell -Wl,-rpath,"$libraries"
}

run() { # COMMAND... : one that hangs is ended
    echo "$*" | sed "s:$TARGET/::g"
    timeout -k 5 300 "$@" </dev/null || { echo "FAILED, with status $?" >&2; exit 1; }
    ran=$((ran + 1))
}

install_valgrind() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends valgrind; } \
        >"$out/apt.log" 2>&1
}
