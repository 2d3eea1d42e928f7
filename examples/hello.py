"""
The shortest orchestrator: a function that sleeps and adds 3, called twice in a
row, each time on the other's result.
"""

import time

import lithops

from triggerflow_lithops import TriggerflowExecutor


def my_function(x):
    time.sleep(2)
    return x + 3


def main(args):
    fexec = lithops.FunctionExecutor(**args)
    fexec.call_async(my_function, 0)
    res = fexec.get_result()
    fexec.call_async(my_function, res)
    return fexec.get_result()


if __name__ == '__main__':
    run = TriggerflowExecutor(log_level='WARNING').run(main)
    print(run.result())
