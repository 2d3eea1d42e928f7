"""Runs on an S3 server behind a network that loses, cuts, delays and repeats."""

import random
import uuid
from concurrent.futures import ThreadPoolExecutor

import servers
from faulty_proxy import CHANCES, faulty_proxy
from workloads import EXPECTED

from triggerflow_lithops import TriggerflowExecutor

#: How often each orchestrator is run, and how many runs are under way at once
TIMES, WIDTH = 4, 5


def on_s3(config, endpoint):
    access = {'access_key_id': servers.ACCESS_KEY, 'secret_access_key': servers.SECRET_KEY}
    minio = {'endpoint': endpoint, 'storage_bucket': f'bucket-{uuid.uuid4().hex[:8]}', **access}
    return {**config, 'lithops': {'backend': 'localhost', 'storage': 'minio'}, 'minio': minio}


def test_runs_end_right_on_an_object_store_behind_a_network_that_fails(seaweedfs, config, record_property):
    seed = random.SystemRandom().randrange(10**9)
    with faulty_proxy(seaweedfs, seed) as (endpoint, injected):
        # Activations may die more often in a row here than anywhere
        retry = {'retries': 20, 'on': [], 'backoff': 0.1, 'max_backoff': 1}
        patient = {'idle_seconds': 2, 'max_deaths': 20, 'retry': retry}
        tf = TriggerflowExecutor(config={**on_s3(config, endpoint), 'triggerflow': patient}, log_level=None)

        def came_to(name):
            return name, tf.run(EXPECTED[name][0]).result(timeout=300)

        with ThreadPoolExecutor(WIDTH) as pool:
            found = list(pool.map(came_to, [*EXPECTED] * TIMES))
        record_property('faults', dict(injected))
        record_property('seed', seed)
        assert [(name, value) for name, value in found if value != EXPECTED[name][1]] == [], seed
        assert len(found) >= 20 and set(injected) == set(CHANCES), injected


def test_a_bucket_that_somebody_else_makes_at_the_same_moment_is_used(seaweedfs, config):
    """The server has made it when the request that makes it comes once more."""
    with faulty_proxy(seaweedfs, 0, {'twice': 1.0}) as (endpoint, injected):
        assert TriggerflowExecutor(config=on_s3(config, endpoint), log_level=None).list_runs() == []
        assert injected['twice']
