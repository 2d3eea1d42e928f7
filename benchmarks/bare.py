"""
The same work by bare Lithops on localhost, in a process of its own.

``python bare.py sequence|fanout VERSION CALLS`` prints the seconds that it took.
"""

import sys
import time

import lithops


def no_op(x):
    return x


def sequence(fexec, calls):
    for _ in range(calls):
        fexec.call_async(no_op, 0)
        fexec.get_result()


def fanout(fexec, calls):
    fexec.get_result(fexec.map(no_op, range(calls)))


if __name__ == '__main__':
    work, version, calls = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    config = {
        'lithops': {'backend': 'localhost', 'storage': 'localhost'},
        'localhost': {'version': version, 'runtime': sys.executable},
    }
    with lithops.FunctionExecutor(config=config, log_level=None) as fexec:
        # The runtime's metadata, and whatever else is made once
        sequence(fexec, 1)
        started = time.monotonic()
        {'sequence': sequence, 'fanout': fanout}[work](fexec, calls)
        print(time.monotonic() - started, flush=True)
