#!/bin/sh
# The unit tests under ThreadSanitizer, with the stable compiler: its runtime comes with the toolchain, its flag is let
# through by RUSTC_BOOTSTRAP. Without the library's sources (rust-src) the standard library is not instrumented.
set -eu
cd "$(dirname "$0")/.."
host=$("${RUSTC:-rustc}" -vV | sed -n 's/^host: //p')
runtimes=$("${RUSTC:-rustc}" --print sysroot)/lib/rustlib/$host/lib
if [ -z "$(find "$runtimes" -name '*rt.tsan.a')" ]; then
    echo "NOT TESTED: the toolchain has no ThreadSanitizer for $host"
    exit 0
fi
TSAN_OPTIONS="suppressions=$PWD/tests/tsan.supp" RUSTC_BOOTSTRAP=1 \
    RUSTFLAGS='-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer' \
    "$CARGO" test --target "$host" --target-dir "$TARGET/tsan" --features capi --lib
