"""The standard library's `multiprocessing.spawn`, as it is."""

import sys
from multiprocessing import spawn

sys.modules[__name__] = spawn
