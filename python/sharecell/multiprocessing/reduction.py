"""The standard library's `multiprocessing.reduction`, as it is."""

import sys
from multiprocessing import reduction
from multiprocessing.reduction import *  # noqa: F403

sys.modules[__name__] = reduction
