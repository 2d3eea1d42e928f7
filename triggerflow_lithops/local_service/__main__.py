"""
Runs the local function service: ``python -m triggerflow_lithops.local_service FOLDER``; or, in an
interpreter of its own, one invocation that the service of that folder has accepted.
"""

import sys

if len(sys.argv) == 2:
    from .service import serve

    serve(sys.argv[1])
else:
    from .interpreter import run_alone

    run_alone(*sys.argv[1:])
