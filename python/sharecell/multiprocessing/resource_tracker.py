"""The standard library's `multiprocessing.resource_tracker`, as it is."""

import sys
from multiprocessing import resource_tracker

sys.modules[__name__] = resource_tracker
