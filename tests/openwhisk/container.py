"""
The process in a container of an action: it takes one activation after the other, as OpenWhisk's own
Python runtimes do. Started with the action's folder first on its path, and with no Lithops but the one in there.
"""

import datetime
import importlib.util
import json
import os
import sys
import time
import traceback

answers = os.fdopen(3, 'w')
real_time = time.time


def shifted_time():
    with open(os.environ['CLOCK']) as clock:
        return real_time() + float(clock.read())


class ShiftedDatetime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(shifted_time(), tz)


time.time = shifted_time
if os.environ.get('IAM_URL'):
    # The identity service has an address that is built in
    from ibm_cloud_sdk_core.token_managers import iam_request_based_token_manager as identity

    identity.IAMRequestBasedTokenManager.DEFAULT_IAM_URL = os.environ['IAM_URL']
folder = sys.argv[1]
specification = importlib.util.spec_from_file_location('action', os.path.join(folder, '__main__.py'))
action = importlib.util.module_from_spec(specification)
specification.loader.exec_module(action)
if os.environ.get('IAM_URL'):
    # Not everywhere: a storage refuses requests that are signed days ahead
    from lithops.util import ibm_token_manager

    ibm_token_manager.datetime = ShiftedDatetime
for line in sys.stdin:
    activation = json.loads(line)
    os.environ.update(activation['environment'])
    try:
        answer = {'success': True, 'result': action.main(activation['value'])}
    except BaseException as error:
        traceback.print_exc()
        answer = {'success': False, 'result': {'error': f'{type(error).__name__}: {error}'}}
    sys.stdout.flush()
    answers.write(json.dumps(answer) + '\n')
    answers.flush()
