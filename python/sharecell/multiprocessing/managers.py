"""The standard library's `multiprocessing.managers`, as it is."""

import sys
from multiprocessing import managers
from multiprocessing.managers import *  # noqa: F403

sys.modules[__name__] = managers
