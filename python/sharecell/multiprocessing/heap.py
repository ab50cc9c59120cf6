"""The standard library's `multiprocessing.heap`, as it is."""

import sys
from multiprocessing import heap

sys.modules[__name__] = heap
