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
"$VENV_BIN/python" -c '
import os, sharecell
assert os.path.dirname(sharecell.__file__) == os.path.join(os.getcwd(), "sharecell"), sharecell.__file__
'
echo "the wheel works by itself"
