"""The standard library's `multiprocessing.shared_memory`, as it is."""

import sys
from multiprocessing import shared_memory
from multiprocessing.shared_memory import *  # noqa: F403

sys.modules[__name__] = shared_memory
