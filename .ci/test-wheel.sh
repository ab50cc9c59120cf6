#!/bin/sh
# Unpacks the wheel by itself and uses it, so that neither the checkout nor SHARECELL_LIBRARY can stand in for what it lacks.
set -eu
cd "$(dirname "$0")/.."
site=$TARGET/wheel
unset SHARECELL_LIBRARY PYTHONPATH

rm -rf "$site"
"$VENV_BIN/python" -m pip install --quiet --no-deps --no-index --target "$site" python/dist/*.whl
cd "$site"
test -f sharecell/libsharecell.so
test -f sharecell/py.typed
# Where it could be built, the companion is in the wheel, and is what is used.
has_companion=False
[ ! -f "$TARGET/release/_speed.abi3.so" ] || has_companion=True
"$VENV_BIN/python" -c '
import os, sharecell
assert os.path.dirname(sharecell.__file__) == os.path.join(os.getcwd(), "sharecell"), sharecell.__file__
assert sharecell.is_compiled() == '"$has_companion"', "the wheel and the checkout differ in the companion"
'
echo "the wheel works by itself"
