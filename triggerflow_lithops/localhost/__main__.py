"""Runs the local function service: ``python -m triggerflow_lithops.localhost FOLDER``."""

import sys

from .service import serve

serve(sys.argv[1])
