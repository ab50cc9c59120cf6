#!/bin/sh
# usage: venv.sh PYTHON VENV REQUIREMENTS - makes a virtual environment with the pinned tools.
set -eu
python=$1 venv=$2 requirements=$3

command -v "$python" >/dev/null 2>&1 || {
    echo "$python was not found: install Python 3.9 or later, or name one: make PYTHON=..." >&2
    exit 1
}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' || {
    echo "$python is $("$python" -V 2>&1), and 3.9 or later is needed: name one with make PYTHON=..." >&2
    exit 1
}

# Debian keeps ensurepip in a package of its own (python3-venv); without it, pip is brought in from outside.
rm -rf "$venv"
if "$python" -c 'import ensurepip' 2>/dev/null; then
    "$python" -m venv "$venv"
else
    "$python" -m venv --without-pip "$venv"
    "$venv/bin/python" "$(dirname "$0")/get_pip.py"
fi
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
