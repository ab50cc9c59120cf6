"""The standard library's `multiprocessing.util`, as it is."""

import sys
from multiprocessing import util

sys.modules[__name__] = util
