"""Modules of Lithops that something else of their name hides, where they are imported as others are."""

import importlib
from typing import Any

#: ``lithops.wait`` is a function, too
wait_module = importlib.import_module('lithops.wait')
job_module: Any = importlib.import_module('lithops.job.job')
