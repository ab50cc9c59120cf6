"""The standard library's `multiprocessing.dummy.connection`, as it is."""

import sys
from multiprocessing.dummy import connection

sys.modules[__name__] = connection
