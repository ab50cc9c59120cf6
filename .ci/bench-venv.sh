#!/bin/sh
# usage: bench-venv.sh PYTHON VENV REQUIREMENTS - a virtual environment with the peers of the benches. Each is installed for
# itself: one that cannot be had is absent from the results, with the reason that its import gives.
set -eu
cd "$(dirname "$0")/.."
python=$1 venv=$2 requirements=$3

empty=$(mktemp)
trap 'rm -f "$empty"' EXIT
.ci/venv.sh "$python" "$venv" "$empty"
while read -r peer; do
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$peer" || echo "absent: $peer" >&2
done <"$requirements"
