"""CPython's own tests of multiprocessing, run against sharecell.multiprocessing.

usage: suite.py METHOD [NAME...] - METHOD is fork, spawn or forkserver; a NAME is Class, Class.test, a part
of all tests, as in 1/3, or a beginning of classes that are left out, as in -WithManager.

The interpreter's installed `test._test_multiprocessing` is loaded as it is, but what it imports as
`multiprocessing` is the drop-in. The tests lie in the module `suite`, which is this file imported by itself:
so it is in the processes that the tests start, where this file is the main module, too.
"""

import builtins
import importlib
import importlib.util
import os
import signal
import sys
import unittest

from exceptions import exceptions_for

THEIRS = "multiprocessing"
OURS = "sharecell.multiprocessing"
TESTS = "test._test_multiprocessing"
METHOD = "SHARECELL_START_METHOD"
# So many failures are looked at a second time.
FEW = 3


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


def tests_of(suite):
    for part in suite:
        if isinstance(part, unittest.TestSuite):
            yield from tests_of(part)
        else:
            yield part


def selected(suite, names):
    """The tests with these names, or all; those of threads have nothing of ours."""
    parts = [tuple(map(int, name.split("/"))) for name in names if "/" in name]
    left_out = ("WithThreads", *(name[1:] for name in names if name.startswith("-")))
    names = [name for name in names if "/" not in name and not name.startswith("-")]
    kept = [test for test in tests_of(suite) if not type(test).__name__.startswith(left_out)]
    for number, test in enumerate(kept):
        cls, method = test.id().split(".")[-2:]
        if names and cls not in names and f"{cls}.{method}" not in names:
            continue
        if all(number % of == part - 1 for part, of in parts):
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


def run(names):
    """Runs the tests of the module `suite`."""
    method = os.environ[METHOD]
    missing = skip(suite, exceptions_for(method, sys.version_info[:2]))
    if missing:
        sys.exit(f"exceptions.py names tests that there are not: {', '.join(missing)}")
    loaded = unittest.defaultTestLoader.loadTestsFromModule(suite)
    chosen = unittest.TestSuite(selected(loaded, names))
    runner = unittest.TextTestRunner(verbosity=2, stream=sys.stdout)
    result = runner.run(chosen)
    bad = [test for test, _ in (*result.failures, *result.errors) if isinstance(test, unittest.TestCase)]
    again = 0
    if 0 < len(bad) <= FEW and len(bad) == len(result.failures) + len(result.errors):
        # As CPython's own runner does: some of the tests measure times.
        print("AGAIN", *(test.id() for test in bad))
        second = runner.run(unittest.TestSuite(type(test)(test._testMethodName) for test in bad))
        again = len(bad)
        bad = [*second.failures, *second.errors]
        again -= len(bad)
    failed = len(bad) or int(not again and not result.wasSuccessful())
    print(
        f"RESULT {result.testsRun} run, {len(result.skipped)} skipped, {again} again, {failed} failed",
        flush=True,
    )
    if result.testsRun == 0:
        sys.exit("nothing was run")
    sys.exit(failed > 0)


if __name__ == "suite":
    load().install_tests_in_module_dict(globals(), os.environ[METHOD])
else:
    if __name__ == "__main__":
        os.environ[METHOD] = sys.argv[1]
        if importlib.util.find_spec("test") is None or importlib.util.find_spec(TESTS) is None:
            sys.exit(f"{sys.version.split()[0]} at {sys.prefix} has no {TESTS}")
    import suite

    if __name__ == "__main__":
        # Shells have what they start in the background ignore it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        run(sys.argv[2:])
