#!/bin/sh
# Says which tool is missing and how to get it, before something else fails less clearly.
set -u

missing=0
need() { # COMMAND ADVICE
    # A compiler may be given with arguments, as in CC="ccache gcc".
    command -v "${1%% *}" >/dev/null 2>&1 && return
    echo "$1 was not found: $2" >&2
    missing=1
}

need "${CARGO:-cargo}" "install Rust (https://rustup.rs), and have ~/.cargo/bin in PATH"
need "${CC:-cc}" "install a C compiler (Debian: apt-get install gcc), or name one: make CC=..."
need "${CXX:-c++}" "install a C++ compiler (Debian: apt-get install g++), or name one: make CXX=..."
need readelf "install binutils (Debian: apt-get install binutils)"
exit $missing
