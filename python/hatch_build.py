"""Builds the shared library with cargo and its companion with the C compiler, and puts both in the wheel."""

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

LIBRARY = "libsharecell.so"


class CargoBuildHook(BuildHookInterface):
    """One wheel serves every interpreter of a platform: the library knows nothing of Python.

    The companion does, but needs no tag: interpreters that cannot load it leave it alone.
    """

    def initialize(self, version, build_data):
        """Runs before hatchling collects the files."""
        if self.target_name != "wheel":
            raise RuntimeError(
                "a source distribution of the Python package would lack the Rust sources: "
                "build a wheel from a checkout, with `make wheel` or `python -m build --wheel python`"
            )
        library = cargo_build(Path(self.root).parent)
        for file in filter(None, (library, build_companion(self.root, library.parent))):
            if version == "editable":
                # A link, so that what is imported is what was last built.
                link = Path(self.root, "sharecell", file.name)
                link.unlink(missing_ok=True)
                link.symlink_to(file)
            else:
                build_data["force_include"][str(file)] = f"sharecell/{file.name}"
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"


def build_companion(here, directory):
    """Where the companion is, or None: see build_companion.py, which is beside this file."""
    sys.path.insert(0, str(here))
    try:
        import build_companion as companion
    finally:
        sys.path.remove(str(here))
    return companion.build(directory)


def cargo_build(root):
    """Returns where cargo has put the library, which its own settings may move."""
    command = [os.environ.get("CARGO", "cargo"), "build", "--release", "--lib", "--features", "capi"]
    command.append("--message-format=json-render-diagnostics")
    try:
        output = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout
    except FileNotFoundError:
        raise RuntimeError(f"{command[0]} was not found: install Rust from https://rustup.rs") from None
    for line in output.splitlines():
        for name in json.loads(line).get("filenames", ()):
            if Path(name).name == LIBRARY:
                return Path(name)
    raise RuntimeError(f"cargo built no {LIBRARY} in {root}")
