"""The tests of CPython that are not run, each with its reason.

A test is named by its class in `test._test_multiprocessing` with the prefix that says what it runs on, as
unittest shows it. `since` and `until` are the versions that have it, `methods` the start methods.
"""

METHODS = ("fork", "spawn", "forkserver")

FEEDER = "put has no feeder thread: what cannot be pickled raises in put"
TRACKER = "our objects have no names that a resource tracker would have to know, and start none"
SOCKET = "writes to the descriptor of a connection, which is no socket"
MODULES = "looks for the modules of the standard library by their files"
MIXED = "objects of a fork context can be given to spawned processes"
BLOCKS = "a message that is to block its sender does not, and the sender may have ended when it is signalled"

EXCEPTIONS = [
    {"test": "TestIgnoreEINTR.test_ignore", "reason": BLOCKS, "methods": ("forkserver",)},
    {"test": "TestStartMethod.test_mixed_startmethod", "reason": MIXED, "since": (3, 11)},
    {"test": "_TestImportStar.test_import", "reason": MODULES},
    {"test": "WithProcessesTestConnection.test_missing_fd_transfer", "reason": SOCKET},
    {"test": "TestResourceTracker.test_resource_tracker_sigkill", "reason": TRACKER},
    {"test": "WithProcessesTestQueue.test_queue_feeder_donot_stop_onexc", "reason": FEEDER},
    {"test": "WithProcessesTestQueue.test_queue_feeder_on_queue_feeder_error", "reason": FEEDER},
]


def exceptions_for(method, version):
    """The reasons of those that concern a start method and a version, by name."""
    return {
        entry["test"]: entry["reason"]
        for entry in EXCEPTIONS
        if entry.get("since", (3, 0)) <= version <= entry.get("until", (4, 0))
        and method in entry.get("methods", METHODS)
    }
