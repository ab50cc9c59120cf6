"""The standard library's `multiprocessing.dummy`, as it is: threads in the place of processes."""

import sys
from multiprocessing import dummy
from multiprocessing.dummy import *  # noqa: F403

sys.modules[__name__] = dummy
