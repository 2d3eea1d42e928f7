"""What tests do to a loopback OpenWhisk, and wait for."""

import contextlib
import shutil
import time

import psutil

from triggerflow_lithops.core.run.keys import outcome_key


def until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'it never came true'
        time.sleep(0.1)


def has_ended(run):
    """Looked up in the bucket: unlike ``run.status()``, this takes no part in the care for the run."""
    return run._facts.read(outcome_key(run.session)) is not None


def until_calls_began(openwhisk, number):
    until(lambda: len([found for found in openwhisk.of_run('call') if found.pid]) >= number)


def settled(openwhisk):
    until(lambda: not openwhisk.running)
    return openwhisk


def take_plugin_out(action):
    """What the action took along is of before this plugin was installed."""
    shutil.rmtree(action.folder / 'lithops' / 'monitoring' / 'backends' / 'triggerflow')


def children(text):
    """Processes of ours whose command line has ``text`` in it."""
    found = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):  # it has just ended
            if text in ' '.join(child.cmdline()):
                found.append(child)
    return found


class renewing:
    """The identity service has an address that is built in."""

    def __init__(self, openwhisk):
        from ibm_cloud_sdk_core.token_managers.iam_request_based_token_manager import IAMRequestBasedTokenManager

        self.manager, self.endpoint = IAMRequestBasedTokenManager, openwhisk.endpoint

    def __enter__(self):
        self.before, self.manager.DEFAULT_IAM_URL = self.manager.DEFAULT_IAM_URL, self.endpoint

    def __exit__(self, *_):
        self.manager.DEFAULT_IAM_URL = self.before
