#!/bin/sh
# Installs the wheel, and the root of the repository, each into an environment of its own, and uses it there, so that neither
# the checkout nor SHARECELL_LIBRARY can stand in for what it lacks.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
unset SHARECELL_LIBRARY PYTHONPATH

use() { # NAME REQUIREMENT
    site=$TARGET/installed/$1
    echo "$2" >"$TARGET/installed/requirements.txt"
    "$root/.ci/venv.sh" "$VENV_BIN/python" "$site" "$TARGET/installed/requirements.txt"
    cp "$root/.ci/installed.py" "$TARGET/installed/use.py"
    (cd "$TARGET/installed" && "$site/bin/python" use.py "$site")
    packages=$("$site/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    test -f "$packages/sharecell/libsharecell.so"
    test -f "$packages/sharecell/py.typed"
    # Where it could be built, the companion is in the wheel, and is what is used.
    has_companion=False
    [ ! -f "$TARGET/release/_speed.abi3.so" ] || has_companion=True
    (cd "$TARGET/installed" && "$site/bin/python" -c '
import sharecell
assert sharecell.is_compiled() == '"$has_companion"', "what is installed and the checkout differ in the companion"
')
}

rm -rf "$TARGET/installed"
mkdir -p "$TARGET/installed"
use wheel "$(ls "$root"/python/dist/*.whl)"
use root "$root"
echo "the wheel and the clone can be installed"
