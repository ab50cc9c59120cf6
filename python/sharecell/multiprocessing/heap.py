"""The standard library's `multiprocessing.heap`, as it is."""

import sys
from multiprocessing import heap
from multiprocessing.heap import *  # noqa: F403

sys.modules[__name__] = heap
