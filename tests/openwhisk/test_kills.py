"""
Kills for real, on OpenWhisk: the workloads of the soak, while containers die, activations are dropped or come twice,
the namespace is full, the store stands still and tokens are revoked. What only time can tell is told by a clock that
goes faster.
"""

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from types import SimpleNamespace

import pytest
import servers
from helpers import children, renewing, settled
from lithops.monitoring.backends.triggerflow import compute, status, sweep
from workloads import EXPECTED

from triggerflow_lithops import TriggerflowExecutor

#: What has to go wrong at least until the trouble is over
ENOUGH = {'kill': 15, 'drop': 2, 'twice': 4, 'full': 1, 'revoked': 1, 'standstill': 1}
#: Seconds that it may take altogether
PATIENCE = 180.0
#: Runs under way at once
WIDTH = 3
#: Seconds to which time jumps when nothing is left running: any deadline is over
JUMP = 200.0
SETTINGS = {'max_deaths': 50, 'retry': {'retries': 50, 'on': [], 'backoff': 0.1, 'max_backoff': 2}}
STRIKES = {'kill': 12, 'full': 1, 'standstill': 0.7, 'revoked': 1}


class Trouble:
    """Chooses what goes wrong, by a seed."""

    def __init__(self, openwhisk, store, seed):
        self.openwhisk, self.store, self.seed = openwhisk, store, seed
        self.random = random.Random(seed)
        self.done = Counter()
        self.limit = openwhisk.limit
        openwhisk.fate = self._fate

    @property
    def over(self):
        return not Counter(ENOUGH) - self.done

    def strike(self):
        chosen = self.random.choices([*STRIKES], [*STRIKES.values()])[0]
        if getattr(self, f'_{chosen}')():
            self.done[chosen] += 1

    def _fate(self, found):
        if self.over or not found.subject:
            return None
        fate = self.random.choices([None, 'drop', 'twice'], [80, 6, 14])[0]
        if fate:
            self.done[fate] += 1
        return fate

    def _kill(self):
        victims = [found.process.pid for found in [*self.openwhisk.running] if hasattr(found, 'process')]
        if victims:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.random.choice(victims), signal.SIGKILL)
                return True

    def _full(self):
        self.openwhisk.limit = 1
        threading.Timer(1.0, self._room).start()
        return True

    def _room(self):
        self.openwhisk.limit = self.limit

    def _standstill(self):
        self.store.suspend()
        threading.Timer(1.5, self.store.resume).start()
        return True

    def _revoked(self):
        self.openwhisk.tokens.clear()
        return True


@pytest.mark.parametrize('backend', ['openwhisk', 'ibm_cf'], indirect=True)
def test_runs_end_right_whatever_is_killed_dropped_or_doubled(openwhisk, cloud, backend, tmp_path, monkeypatch):
    clock = SimpleNamespace(time=lambda: time.time() + openwhisk.passed(), sleep=time.sleep, monotonic=time.monotonic)
    for module in (compute, status, sweep):
        monkeypatch.setattr(module, 'time', clock)
    monkeypatch.setattr(sweep, 'PATIENCE', {False: 0.5})
    openwhisk.limit = 12
    seed = random.SystemRandom().randrange(10**9)
    with servers.seaweedfs(tmp_path / 'store') as endpoint, renewing(openwhisk):
        cloud['minio']['endpoint'] = endpoint
        executor = TriggerflowExecutor(config={**cloud, 'triggerflow': SETTINGS}, log_level=None)
        executor.run(EXPECTED['sequence'][0], run_id='before').result(timeout=60)
        (store,) = children(str(tmp_path / 'store'))
        trouble = Trouble(openwhisk, store, seed)
        finished = soak(executor, openwhisk, trouble)
        settled(openwhisk)
        accepted = len(openwhisk.activations)
        time.sleep(1)
        assert len(openwhisk.activations) == accepted, 'it goes on after the end'
    assert finished.total() >= WIDTH, (seed, finished)


def soak(executor, openwhisk, trouble):
    """Runs one workload after the other, until the trouble is over and they have ended. How many of each have."""
    running, finished, number = {}, Counter(), 0
    ends = time.monotonic() + PATIENCE
    while not trouble.over or running:
        assert time.monotonic() < ends, f'{running} did not end, seed {trouble.seed}, {trouble.done}'
        while not trouble.over and len(running) < WIDTH:
            name = [*EXPECTED][number % len(EXPECTED)]
            running[executor.run(EXPECTED[name][0], run_id=f'{name}-{number}')] = name
            number += 1
        for run, name in [*running.items()]:
            if run.status() != 'running':
                assert run.result() == EXPECTED[name][1], run
                finished[running.pop(run)] += 1
        if not trouble.over:
            trouble.strike()
        if not openwhisk.running:
            time.sleep(0.5)
            if not openwhisk.running:
                openwhisk.later(JUMP)
                for run in running:
                    run.sweep()
        time.sleep(trouble.random.uniform(0.05, 0.3))
    return finished
