"""A client of the soak: starts a run, or finds it again, and waits for its result, which it knows."""

import os
import sys
import time

from soak import CONFIG
from workloads import EXPECTED

from triggerflow_lithops import ConfigurationError, TriggerflowExecutor


def main(run_id, name):
    orchestrator, expected = EXPECTED[name]
    try:
        tf = TriggerflowExecutor(config=CONFIG, log_level=None)
        found = tf.run(orchestrator, run_id=run_id).result(timeout=200)
    except TimeoutError:
        raise
    except (ConfigurationError, OSError):
        # It cannot be started while the disk is full, and is told so: it tries again, in a
        # new process, for Python chooses its temporary folder once
        time.sleep(0.5)
        os.execv(sys.executable, [sys.executable, __file__, run_id, name])
    if found != expected:
        raise AssertionError(f'{name} came to {found!r} and not to {expected!r}')


if __name__ == '__main__':
    main(*sys.argv[1:])
