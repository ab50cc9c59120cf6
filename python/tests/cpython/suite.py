"""CPython's own tests of multiprocessing, run against sharecell.multiprocessing.

usage: suite.py METHOD [NAME...] - METHOD is fork, spawn or forkserver; a NAME is Class or Class.test.

The interpreter's installed `test._test_multiprocessing` is loaded as it is, but what it imports as
`multiprocessing` is the drop-in. This file is the main module of the processes that the tests start, too, and
so prepares them in the same way.
"""

import builtins
import importlib
import importlib.util
import sys
import types
import unittest

from exceptions import exceptions_for

THEIRS = "multiprocessing"
OURS = "sharecell.multiprocessing"
TESTS = "test._test_multiprocessing"


def _import(name, globals=None, locals=None, fromlist=(), level=0):
    """What `import` statements of the test module do."""
    if level or (name != THEIRS and not name.startswith(THEIRS + ".")):
        return builtins.__import__(name, globals, locals, fromlist, level)
    module = importlib.import_module(OURS + name[len(THEIRS) :])
    for part in fromlist or ():
        if not hasattr(module, part):
            importlib.import_module(f"{module.__name__}.{part}")
    return module if fromlist else importlib.import_module(OURS)


def load():
    """The test module, over the drop-in."""
    spec = importlib.util.find_spec(TESTS)
    module = importlib.util.module_from_spec(spec)
    module.__builtins__ = {**vars(builtins), "__import__": _import}
    sys.modules[TESTS] = module
    sys.modules["test"]._test_multiprocessing = module
    spec.loader.exec_module(module)
    assert module.multiprocessing.__name__ == OURS
    return module


try:
    tests = load()
except ModuleNotFoundError:
    tests = None


def tests_of(suite):
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from tests_of(part)
        else:
            yield part


def selected(suite, names):
    """The tests with these names, or all."""
    for test in tests_of(suite):
        cls, method = test.id().split(".")[-2:]
        if not names or cls in names or f"{cls}.{method}" in names:
            yield test


def skip(module, exceptions):
    """Has tests skipped by name; those that there are not."""
    missing = []
    for name, reason in exceptions.items():
        cls, _, method = name.partition(".")
        owner = getattr(module, cls, None)
        test = getattr(owner, method, None) if method else owner
        if test is None:
            missing.append(name)
        elif method:
            setattr(owner, method, unittest.skip(reason)(test))
        else:
            setattr(module, cls, unittest.skip(reason)(owner))
    return missing


def main(method, *names):
    if tests is None:
        sys.exit(f"{sys.version.split()[0]} at {sys.prefix} has no {TESTS}")
    module = types.ModuleType("suite")
    tests.install_tests_in_module_dict(vars(module), method)
    sys.modules["suite"] = module
    missing = skip(module, exceptions_for(method, sys.version_info[:2]))
    if missing:
        sys.exit(f"exceptions.py names tests that there are not: {', '.join(missing)}")
    loaded = unittest.defaultTestLoader.loadTestsFromModule(module)
    suite = unittest.TestSuite(selected(loaded, names))
    # Of the module for the set-up and tear-down that it has.
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite)
    print(f"RESULT {result.testsRun} run, {len(result.skipped)} skipped, ", end="")
    print(f"{len(result.failures) + len(result.errors)} failed", flush=True)
    if result.testsRun == 0:
        sys.exit("nothing was run")
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main(*sys.argv[1:])
