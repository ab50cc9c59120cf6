"""The standard library's `multiprocessing.process`, as it is."""

import sys
from multiprocessing import process
from multiprocessing.process import *  # noqa: F403

sys.modules[__name__] = process
