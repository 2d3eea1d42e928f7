"""Triggers and functions of one's own: what a user writes, and what comes of it."""

import time

import pytest

from triggerflow_lithops import (
    ANY,
    END,
    JOIN,
    PASS,
    THRESHOLD,
    TIMEOUT,
    TRUE,
    CallAsync,
    CloudEvent,
    Failed,
    InvalidActionError,
    InvalidConditionError,
    InvalidEventError,
    InvalidTriggerError,
    Map,
    Orchestrate,
    Publish,
    PythonCallable,
    Retry,
    Succeeded,
    TriggerExistsError,
    Triggerflow,
    TriggerNotFoundError,
    WorkspaceNotFoundError,
    publish,
)


def total(context, events):
    return context.get('start', 0) + sum(event['data'] for event in events)


def fails(context, events):
    raise ValueError('no good')


def triple(x):
    return 3 * x


def shard(number, subject='today'):
    return CloudEvent('shard.done', subject, data=number)


@pytest.fixture
def tf(config, request):
    made = Triggerflow(f'w-{time.time_ns()}', config=config, log_level=None)
    yield made
    made.delete_workspace()


def test_a_join_calls_its_function_once_and_the_workspace_ends(tf):
    tf.add_trigger('merge', shard(0), JOIN(3), CallAsync(total), context={'start': 100})
    tf.add_trigger('end', Succeeded('merge'), action=END)
    for number in range(3):
        tf.publish(shard(number))
    assert tf.wait(timeout=60) == [103]
    assert [run.result(timeout=60) for run in tf.runs('merge')] == [103] and tf.list_triggers() == []
