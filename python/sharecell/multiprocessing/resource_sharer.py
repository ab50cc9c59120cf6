"""The standard library's `multiprocessing.resource_sharer`, as it is."""

import sys
from multiprocessing import resource_sharer

sys.modules[__name__] = resource_sharer
