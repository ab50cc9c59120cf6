"""The compiled companion, `sharecell._speed`, if there is one that fits this interpreter.

It lies beside the shared library. Its types stand in front of classes of this package and do what can be done
in one call; all else they leave to the methods of the class, which they find as `_pure_` and their name.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from types import FunctionType
from typing import Any, Callable, TypeVar

from . import _native

_NAME = "sharecell._speed"
_SUFFIX = ".abi3.so"
_VERSION = 3

Class = TypeVar("Class", bound=type)


def _load() -> Any:
    if os.environ.get("SHARECELL_PURE", "0") not in ("", "0"):
        return None
    # PyPy does not list the suffix. 3.9 and free-threaded builds do, but lack what the companion needs.
    if _SUFFIX not in EXTENSION_SUFFIXES or sys.version_info < (3, 10) or "t" in sys.abiflags:
        return None
    path = _native.library_path().with_name("_speed" + _SUFFIX)
    if not path.is_file():
        return None
    spec = spec_from_file_location(_NAME, path, loader=ExtensionFileLoader(_NAME, str(path)))
    if spec is None or spec.loader is None:
        return None
    try:
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
    except ImportError:
        # An interpreter inside this process that has a lock of its own.
        return None
    if module.VERSION != _VERSION:
        raise ImportError(
            f"{path} has version {module.VERSION}, this package needs {_VERSION}: run `make build`"
        )
    module.connect(_native.addresses(module.functions()))
    sys.modules[_NAME] = module
    return module


speed: Any = _load()


def fast(name: str) -> Callable[[Class], Class]:
    """Puts a type of the companion in front of a class, if there is one."""

    def combine(cls: Class) -> Class:
        if speed is None:
            return cls
        front = getattr(speed, name)
        space: dict[str, Any] = {
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__,
            "__doc__": cls.__doc__,
        }
        for method in vars(front):
            pure = getattr(cls, method, None)
            if isinstance(pure, FunctionType):
                space[f"_pure_{method}"] = pure
        return type(cls)(cls.__name__, (front, cls), space)

    return combine


def is_compiled() -> bool:
    """Whether the compiled companion is in use, and not ctypes alone."""
    return speed is not None
