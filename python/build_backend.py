"""Builds the package in this directory when the root of the repository is what is installed."""

import os
from pathlib import Path

from hatchling import build

os.chdir(Path(__file__).parent)

get_requires_for_build_wheel = build.get_requires_for_build_wheel
build_wheel = build.build_wheel
get_requires_for_build_editable = build.get_requires_for_build_editable
build_editable = build.build_editable
get_requires_for_build_sdist = build.get_requires_for_build_sdist
build_sdist = build.build_sdist
