"""
What an event costs: many of them for one trigger, and one of them until its action begins.
"""

import os
import statistics
import time

from home import settle

from triggerflow_lithops import TRUE, CallAsync, CloudEvent, PythonCallable, Triggerflow, TriggerflowExecutor
from triggerflow_lithops.core import condition
from triggerflow_lithops.core.event import new_event
from triggerflow_lithops.core.memory_store import MemoryStore
from triggerflow_lithops.core.run.attempts import DEFAULT
from triggerflow_lithops.core.store import Facts
from triggerflow_lithops.core.workspace.workspace import Workspace

#: What the trigger says of an action that is never run
NOT_RUN = {
    **{'action': {'name': 'CallAsync'}, 'context': {}, 'retry': DEFAULT, 'time': 0.0},
    'orchestrator': {
        **{'code_key': 'code', 'execution_timeout': 600, 'runtime_name': 'python', 'runtime_memory': None},
        **{'max_deaths': 3, 'sweep_seconds': None, 'lanes': 0, 'max_pending_calls': 200_000},
    },
}
#: Keys that an object store shows in one listing
PAGE = 1000
#: Seconds for an action to begin, and between two looks whether it has
PATIENCE, POLL = 60.0, 0.002


class Counted:
    """A store whose requests are counted, and the keys that its listings show. A listing is a request for each page."""

    def __init__(self, store):
        self._store = store
        self.requests = self.listed = 0

    def get(self, key):
        self.requests += 1
        return self._store.get(key)

    def put_new(self, key, value):
        self.requests += 1
        return self._store.put_new(key, value)

    def list(self, prefix):
        found = self._store.list(prefix)
        self.requests += 1 + len(found) // PAGE
        self.listed += len(found)
        return found

    def delete(self, keys):
        self.requests += 1
        self._store.delete(keys)


def store_of(storage, config):
    """The one in memory, or that of a configuration, as a client opens it."""
    return MemoryStore() if storage == 'memory' else TriggerflowExecutor(config=config, log_level=None).store


def joined(store, subjects, each):
    """
    What each event costs of a join of ``each`` events of each of ``subjects`` subjects, in turn.

    Published to a ``Workspace`` over the store, as ``Triggerflow.publish`` does once it has seen that the data is JSON: so
    both stores take the same way, and a firing is counted when something is started, not when it is written down. What
    it takes to add the trigger is left out. One publisher, one event after the other.

    :param store: empty
    """
    counted, started = Counted(store), []
    workspace = Workspace(Facts(counted), 'triggerflow.events/join@benchmark', started.append)
    names = [f'subject-{number}' for number in range(subjects)]
    workspace.add(
        {
            'id': 'join',
            'activation_events': [{'type': 'shard.done', 'subject': name} for name in names],
            'condition': condition.join(subjects * each),
            'transient': True,
            **NOT_RUN,
        }
    )
    counted.requests = counted.listed = 0
    began = time.monotonic()
    for number in range(each):
        for name in names:
            event = new_event('shard.done', name, 'urn:benchmark', time=time.time(), event_id=f'{name}/{number}')
            workspace.publish(event)
    seconds, events = time.monotonic() - began, subjects * each
    costs = {
        'events': events,
        'events_per_second': events / seconds,
        'requests_per_event': round(counted.requests / events, 3),
        'listed_per_event': round(counted.listed / events, 3),
    }
    # As who was not told that the last one was written
    workspace.publish(event)
    # That one is started again, as the same run. It has fired with fewer than there are, if it was too early
    fired = {firing.number: firing.events for firing in started}
    return {**costs, 'fired': len(fired), 'fired_with': len({key for events in fired.values() for key in events})}


def note(context, events):
    """An action: it writes when it began where the event says."""
    began = time.time()
    path = (events[-1] if isinstance(events, list) else events)['data']
    with open(f'{path}.unfinished', 'w') as noted:
        noted.write(repr(began))
    os.replace(f'{path}.unfinished', path)


def until_started(config, starts, folder):
    """
    Seconds from just before ``Triggerflow.publish`` until the action of a trigger begins: the median, by kind of action.

    One event after the other, each when the function service, which is there, has nothing left to do.
    """
    tf = Triggerflow('starts', config=config, log_level=None)
    medians = {}
    for kind in (PythonCallable, CallAsync):
        name = kind.__name__
        tf.add_trigger(name, CloudEvent('benchmark', name), TRUE, kind(note), transient=False)
        # The first one is not counted: it starts the service
        times = [_start(tf, name, os.path.join(folder, f'{name}-{number}')) for number in range(starts + 1)]
        medians[name] = statistics.median(times[1:])
    return medians


def _start(tf, subject, path):
    event = CloudEvent('benchmark', subject, data=path)
    published = time.time()
    tf.publish(event)
    while not os.path.exists(path):
        if time.time() > published + PATIENCE:
            raise TimeoutError(f'The {subject} of {event} has not begun within {PATIENCE} s.')
        time.sleep(POLL)
    settle()
    with open(path) as noted:
        return float(noted.read()) - published
