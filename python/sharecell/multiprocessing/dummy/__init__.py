"""The standard library's `multiprocessing.dummy`, as it is: threads in the place of processes."""

import sys
from multiprocessing import dummy

sys.modules[__name__] = dummy
