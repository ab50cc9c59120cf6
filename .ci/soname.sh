#!/bin/sh
# Programs linked with the library look for it under its soname: have that name beside it, as an installed one would.
set -eu

library=$SHARECELL_LIBRARY
soname=$(LC_ALL=C readelf -d "$library" | sed -n '/(SONAME)/s/.*\[\(.*\)\].*/\1/p')
[ -n "$soname" ] || { echo "$library has no soname: build.rs should give it one" >&2; exit 1; }
ln -sf "$(basename "$library")" "$(dirname "$library")/$soname"
