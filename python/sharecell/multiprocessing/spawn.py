"""The standard library's `multiprocessing.spawn`, as it is."""

import sys
from multiprocessing import spawn
from multiprocessing.spawn import *  # noqa: F403

sys.modules[__name__] = spawn
