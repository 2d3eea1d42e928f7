"""
A workspace: triggers that wait for events of any origin, and what makes them fire.

Whoever publishes an event writes it, looks who watches its kind, and evaluates. Whoever
adds a trigger writes it, watches, and looks at the events that are there. So an event
that comes before its trigger counts, and one with an id that was seen counts once.

A *channel* has the events of one type and subject. A trigger that counts has a mark of each
event that counts for it, by the event's digest, so that one listing shows them. Where that
would be a long one, the marks are parted into ``k`` cells, and a *look* at all of them is
written down, with what is missing, ``m`` events: as long as no cell has gained ``m / k``, the
sum cannot have been reached, and a publisher lists its own cell only. How many cells there are
follows from ``m``: all who go by one look take the same.
"""

import hashlib
import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Callable, Iterable

from . import condition, event
from .store import Facts, encode

#: Marks that are counted in one listing
PAGE = 1000
#: Hexadecimal digits of an event's digest that tell the cell of its mark, at the most, where there are more
DIGITS = 2
#: Digits of the number of a firing, where events are counted
NUMBER = 6
#: Missing events for each cell, below which there are fewer cells: one that may gain a single one tells nothing
SPARE = 2

Document = dict[str, Any]


class TriggerExistsError(ValueError):
    """Another trigger of the workspace has this id, or had it."""


class TriggerNotFoundError(LookupError):
    """No trigger of the workspace has this id (any more)."""


@dataclass(frozen=True)
class Firing:
    """
    A trigger has fired.

    :param number: among the firings of its trigger: from 0, or, where each event fires, the event's digest
    :param events: keys of the events that made it fire. None, where time did
    """

    trigger: Document
    number: str
    events: list[str]


#: Starts what a fired trigger's action says, unless it was started: whoever finds the firing may ask again
Start = Callable[[Firing], None]


@dataclass(frozen=True)
class _State:
    """
    What has become of a trigger.

    :param acted: whether a callable has let it fire for the one time that it may
    :param late: whether its time is up
    """

    deleted: bool
    acted: bool
    late: bool
    enabled: bool
    switches: int
    fired: list[str]
    look: str | None
    looks: int


@dataclass(frozen=True)
class _Look:
    """How many events each cell had, and how many more had to come for the next firing."""

    missing: int
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def digits(self) -> int:
        """Of a digest, that tell a cell: the fewer are missing, the fewer cells."""
        return next((digits for digits in range(DIGITS, 0, -1) if self.missing >= SPARE * 16**digits), 0)

    def cells(self, marks: Iterable[str]) -> dict[str, int]:
        """How many marks each cell has."""
        return Counter(digest[: self.digits] for digest in marks)

    def suggests_another(self, counts: dict[str, int]) -> bool:
        """Whether nothing may be missing any more, by what some cells have gained."""
        gain = math.ceil(self.missing / 16**self.digits)
        return any(count - self.counts.get(cell, 0) >= gain for cell, count in counts.items())


class Workspace:
    """
    :param facts: the bucket
    :param home: prefix of all its keys, different for two workspaces that had one name
    :param start: starts what a fired trigger's action says
    """

    def __init__(self, facts: Facts, home: str, start: Start):
        self._facts = facts
        self._home = home
        self._start = start

    def publish(self, document: Document, unwatched: Callable[[], object] = lambda: None) -> bool:
        """
        Writes an event, and fires what it makes fire.

        :param document: a CloudEvents 1.0 document, with a subject
        :param unwatched: called when no trigger waits for such events
        :return: whether it is new
        :raises InvalidEventError: it is none
        """
        document = require_subject(event.validated(document))
        channel = channel_of(document['type'], document['subject'])
        digest = _digest([document['source'], document['id']])
        new = self._facts.write(self._event_key(channel, digest), event.encoded(document))
        # One that was there may have lost its publisher before it looked, …
        watching = [key.rpartition('/')[2] for key in self._facts.list(f'{self._home}/w/{channel}/')]
        for trigger_id in watching:
            self._evaluate(trigger_id, (channel, digest))
            if not new:
                # … or before it started what had fired
                self._start_again(trigger_id, self._event_key(channel, digest))
        if not watching:
            unwatched()
        return new

    def events(self, keys: list[str]) -> list[Document]:
        """The events that lie at ``keys``."""
        return [found for key in keys if (found := self._facts.read(key))]

    def add(self, trigger: Document) -> None:
        """
        Adds a trigger. The events that are there count.

        :param trigger: 'id', 'activation_events' ('type' and 'subject' of each), 'condition', 'transient', 'action'
            and 'context', and whatever starting its action needs
        :raises TriggerExistsError: there is one of this id that differs in one of those, or there was one
        """
        condition.validated(trigger['condition'])
        key = self._trigger_key(trigger['id'])
        there = trigger if self._facts.write(key, encode(trigger)) else self._facts.read(key)
        if _definition(there) != json.loads(encode(_definition(trigger))) or self._state(trigger['id']).deleted:
            raise TriggerExistsError(f"Trigger {trigger['id']!r} is there already, or was deleted: choose another id.")
        self._watch(trigger)
        self._evaluate(trigger['id'])

    def switch(self, trigger_id: str, enabled: bool) -> None:
        """
        Events that come while a trigger is disabled count when it is enabled again.

        :raises TriggerNotFoundError: there is none
        """
        state = self._existing(trigger_id)
        if state.enabled != enabled:
            name = f"s.switch.{state.switches:06d}.{'on' if enabled else 'off'}"
            self._facts.write(f'{self._trigger_prefix(trigger_id)}{name}', b'{}')
        if enabled:
            self._evaluate(trigger_id)

    def intercept(self, trigger_id: str, by: str) -> None:
        """
        Whenever ``trigger_id`` fires, the action of trigger ``by`` is first.

        :raises TriggerNotFoundError: there is none
        """
        for name in (trigger_id, by):
            self._existing(name)
        self._facts.write(f'{self._trigger_prefix(trigger_id)}x.{by}', b'{}')

    def interceptors(self, trigger_id: str) -> list[Document]:
        """The triggers that intercept one, and that are there."""
        listed = self._facts.list(f'{self._trigger_prefix(trigger_id)}x.')
        found = [self.trigger(key.rpartition('/')[2].removeprefix('x.')) for key in listed]
        return [trigger for trigger in found if trigger]

    def time_is_up(self, trigger_id: str) -> None:
        """A trigger fires with what has come, if it has not fired and is there."""
        self._facts.write(f'{self._trigger_prefix(trigger_id)}s.late', b'{}')
        self._evaluate(trigger_id)

    def may_act(self, firing: Firing) -> bool:
        """For a firing that a callable has let pass: whether it is the one, where there may be only one."""
        if not firing.trigger['transient']:
            return True
        key = f"{self._trigger_prefix(firing.trigger['id'])}s.acted"
        self._facts.write(key, encode({'number': firing.number}))
        return bool((self._facts.read(key) or {}).get('number') == firing.number)

    def delete(self, trigger_id: str) -> bool:
        """
        Deletes a trigger, for good. What it has started goes on.

        :return: whether there was one
        """
        trigger = self.trigger(trigger_id)
        if trigger is None:
            return False
        self._facts.write(self._tombstone_key(trigger_id), b'{}')
        self._facts.store.delete([f'{self._home}/w/{channel}/{trigger_id}' for channel in _channels(trigger)])
        return True

    def trigger(self, trigger_id: str) -> Document | None:
        """A trigger as it was added; None if there is none (any more)."""
        trigger = self._facts.read(self._trigger_key(trigger_id))
        return None if trigger is None or self._state(trigger_id).deleted else trigger

    def triggers(self, *, deleted_too: bool = False) -> list[str]:
        """
        The ids of all triggers that were added and not deleted.

        :param deleted_too: of those that were deleted, too
        """
        found = [key.split('/') for key in self._facts.list(f'{self._home}/t/')]
        deleted = set() if deleted_too else {parts[-2] for parts in found if parts[-1] == 's.deleted'}
        return [parts[-2] for parts in found if parts[-1] == 'trigger.json' and parts[-2] not in deleted]

    def is_enabled(self, trigger_id: str) -> bool:
        """Whether a trigger may fire."""
        return self._state(trigger_id).enabled

    def firing(self, trigger_id: str, number: str) -> Firing | None:
        """A firing of a trigger, whatever has become of that since."""
        trigger = self._facts.read(self._trigger_key(trigger_id))
        fact = self._facts.read(self._firing_key(trigger_id, number))
        return None if trigger is None or fact is None else Firing(trigger, number, fact['events'])

    def firings(self, trigger_id: str) -> list[Firing]:
        """All firings of a trigger."""
        numbers = [*self._state(trigger_id).fired, *self._fired_for_each(trigger_id)]
        found = [self.firing(trigger_id, number) for number in numbers]
        return [firing for firing in found if firing]

    def sweep(self, is_started: Callable[[Firing], bool]) -> list[str]:
        """
        Evaluates each trigger once more, and starts what was not started.

        :param is_started: whether an action was
        :return: ids of the triggers for which something was done
        """
        repaired = []
        for trigger_id in self.triggers():
            # Whoever added it may have died before it watched
            self._watch(self._facts.read(self._trigger_key(trigger_id)) or {'activation_events': []})
            before = len(self.firings(trigger_id))
            self._evaluate(trigger_id)
            now = self.firings(trigger_id)
            lost = [firing for firing in now if not is_started(firing)]
            for firing in lost:
                self._start(firing)
            if lost or len(now) > before:
                repaired.append(trigger_id)
        return repaired

    def _watch(self, trigger: Document) -> None:
        for channel in _channels(trigger):
            self._facts.write(f"{self._home}/w/{channel}/{trigger['id']}", b'{}')

    # Evaluation

    def _evaluate(self, trigger_id: str, published: tuple[str, str] | None = None) -> None:
        """
        Fires a trigger, as often as it holds.

        :param published: channel and digest of the event because of which it is evaluated, if it is
        """
        trigger = self._facts.read(self._trigger_key(trigger_id))
        if trigger is None:
            return
        if trigger['condition']['name'] == 'CALLABLE' or (trigger['condition']['name'] == 'TRUE' and not trigger['transient']):
            self._fire_for_each(trigger, published)
            return
        # An event is marked before the looks are read: whoever writes one lists the marks after that
        if published is None:
            self._mark_all(trigger)
        else:
            self._mark(trigger_id, *published)
        state = self._state(trigger_id)
        if state.deleted or not state.enabled or (trigger['transient'] and state.fired):
            return
        if trigger['condition']['name'] == 'NEVER' or state.late:
            if state.late:
                come = [self._event_key(channel, digest) for digest, channel in self._marks(trigger_id).items()]
                self._fire(trigger, f'{0:0{NUMBER}d}', come)
            return
        wanted = int(trigger['condition'].get('count', 1))
        in_all = wanted * (len(state.fired) + 1)
        if published is None or in_all <= PAGE or self._may_hold(trigger, state, in_all, published[1]):
            self._count(trigger, state, wanted)

    def _fire_for_each(self, trigger: Document, published: tuple[str, str] | None) -> None:
        state = self._state(trigger['id'])
        if state.deleted or state.acted or not state.enabled:
            return
        if published is not None:
            self._fire(trigger, published[1], [self._event_key(*published)])
            return
        fired = set(self._fired_for_each(trigger['id']))
        for channel in _channels(trigger):
            for key in self._facts.list(f'{self._home}/e/{channel}/'):
                digest = key.rpartition('/')[2]
                if digest not in fired:
                    self._fire(trigger, digest, [key])

    def _mark_all(self, trigger: Document) -> None:
        marked = self._marks(trigger['id'])
        for channel in _channels(trigger):
            for key in self._facts.list(f'{self._home}/e/{channel}/'):
                digest = key.rpartition('/')[2]
                if digest not in marked:
                    self._mark(trigger['id'], channel, digest)

    def _mark(self, trigger_id: str, channel: str, digest: str) -> None:
        self._facts.write(f'{self._home}/m/{trigger_id}/{digest[:DIGITS]}/{digest}.{channel}', b'{}')

    def _marks(self, trigger_id: str, cell: str = '') -> dict[str, str]:
        """The digests of the events that count, or of those of a cell, and a channel of each."""
        listed = self._facts.list(f'{self._home}/m/{trigger_id}/{cell}')
        return dict(key.rpartition('/')[2].split('.') for key in listed)

    def _may_hold(self, trigger: Document, state: _State, in_all: int, digest: str) -> bool:
        found = self._facts.read(state.look) if state.look else None
        look = _Look(found['missing'], found['counts']) if found else _Look(in_all)
        cell = digest[: look.digits]
        return look.suggests_another({cell: len(self._marks(trigger['id'], cell))})

    def _count(self, trigger: Document, state: _State, wanted: int) -> None:
        """Looks at all marks, and fires, until what is missing is written down and nothing has come meanwhile."""
        looks, fired = state.looks, len(state.fired)
        look: _Look | None = None
        while True:
            marks = self._marks(trigger['id'])
            in_all = wanted * (fired + 1)
            missing = in_all - len(marks)
            if missing <= 0:
                self._fire(trigger, f'{fired:0{NUMBER}d}', self._unused(trigger, fired, marks)[:wanted])
                if trigger['transient']:
                    return
                fired, look = fired + 1, None
                continue
            if in_all <= PAGE or (look and not look.suggests_another(look.cells(marks))):
                return
            look = _Look(missing, _Look(missing).cells(marks))
            key = f"{self._trigger_prefix(trigger['id'])}s.look.{looks:06d}"
            self._facts.create(key, {'missing': missing, 'counts': look.counts})
            looks += 1

    def _unused(self, trigger: Document, fired: int, marks: dict[str, str]) -> list[str]:
        """The keys of the events that no firing had before."""
        used: set[str] = set()
        for number in range(fired):
            fact = self._facts.read(self._firing_key(trigger['id'], f'{number:0{NUMBER}d}'))
            used |= set(fact['events'] if fact else ())
        return [key for digest, channel in marks.items() if (key := self._event_key(channel, digest)) not in used]

    def _fire(self, trigger: Document, number: str, events: list[str]) -> None:
        """Only who writes that it has fired starts anything."""
        ours, fact = self._facts.create(self._firing_key(trigger['id'], number), {'events': events})
        if ours:
            self._start(Firing(trigger, number, fact['events']))

    def _start_again(self, trigger_id: str, event_key: str) -> None:
        """Starts what an event has made fire, unless that was started."""
        for firing in self.firings(trigger_id):
            if event_key in firing.events:
                self._start(firing)

    def _state(self, trigger_id: str) -> _State:
        listed = self._facts.list(f'{self._trigger_prefix(trigger_id)}s.')
        names = [key.rpartition('/')[2] for key in listed]
        looks = [key for key, name in zip(listed, names, strict=True) if name.startswith('s.look.')]
        switches = [name for name in names if name.startswith('s.switch.')]
        return _State(
            deleted='s.deleted' in names,
            acted='s.acted' in names,
            late='s.late' in names,
            enabled=not switches or switches[-1].endswith('.on'),
            switches=len(switches),
            fired=[name.removeprefix('s.fired.') for name in names if name.startswith('s.fired.')],
            look=max(looks, default=None),
            looks=len(looks),
        )

    def _existing(self, trigger_id: str) -> _State:
        state = self._state(trigger_id)
        if state.deleted or self._facts.read(self._trigger_key(trigger_id)) is None:
            raise TriggerNotFoundError(f'No trigger {trigger_id!r} is there: it was never added, or it was deleted.')
        return state

    # Keys

    def _event_key(self, channel: str, digest: str) -> str:
        return f'{self._home}/e/{channel}/{digest}'

    def _trigger_prefix(self, trigger_id: str) -> str:
        return f'{self._home}/t/{trigger_id}/'

    def _trigger_key(self, trigger_id: str) -> str:
        return f'{self._trigger_prefix(trigger_id)}trigger.json'

    def _tombstone_key(self, trigger_id: str) -> str:
        return f'{self._trigger_prefix(trigger_id)}s.deleted'

    def _fired_for_each(self, trigger_id: str) -> list[str]:
        """The digests of the events for each of which a trigger has fired. Apart from its state, for they may be many."""
        return [key.rpartition('/')[2].removeprefix('e.') for key in self._facts.list(f'{self._trigger_prefix(trigger_id)}e.')]

    def _firing_key(self, trigger_id: str, number: str) -> str:
        return f"{self._trigger_prefix(trigger_id)}{'s.fired' if len(number) == NUMBER else 'e'}.{number}"


def require_subject(document: Document) -> Document:
    """:raises InvalidEventError: no trigger can wait for such an event"""
    subject = document.get('subject')
    if not isinstance(subject, str) or not subject:
        raise event.InvalidEventError(f'Triggers know an event by its type and its subject; found subject {subject!r}.')
    return document


def channel_of(kind: str, subject: str) -> str:
    """The channel of all events of a type and a subject."""
    return _digest([kind, subject])


def _digest(parts: list[str]) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()


def _channels(trigger: Document) -> list[str]:
    return sorted({channel_of(wanted['type'], wanted['subject']) for wanted in trigger['activation_events']})


def _definition(trigger: Document | None) -> Document:
    """What makes two triggers of one id the same."""
    names = ('id', 'activation_events', 'condition', 'transient', 'action', 'context')
    return {name: (trigger or {}).get(name) for name in names}
