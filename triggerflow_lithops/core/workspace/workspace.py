"""
A workspace: triggers that wait for events of any origin, and what makes them fire.

Whoever publishes an event writes it, looks who watches its kind, and evaluates. Whoever
adds a trigger writes it, watches, and looks at the events that are there. So an event
that comes before its trigger counts, and one with an id that was seen counts once.

A *channel* has the events of one type and subject.
"""

import contextlib
import logging
from dataclasses import dataclass
from typing import Callable, Iterator

from .. import condition, event
from ..damage import Damaged
from ..errors import TriggerflowError
from ..store import Facts, decode, encode
from ..wording import shown
from .event_counter import CountSnapshot, EventCounter, is_long
from .keys import NUMBER, Document, WorkspaceKeys, channel_of, channels_of, digest_of, last_of
from .trigger_state import State

logger = logging.getLogger(__name__)


class TriggerExistsError(TriggerflowError, ValueError):
    """Another trigger of the workspace has this id, or had it."""


class TriggerNotFoundError(TriggerflowError, LookupError):
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


class Workspace:
    """
    :param facts: the bucket
    :param home: prefix of all its keys, different for two workspaces that had one name
    :param start: starts what a fired trigger's action says
    """

    def __init__(self, facts: Facts, home: str, start: Start):
        self._facts = facts
        self._home = WorkspaceKeys(home)
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
        channel, digest = channel_of(document['type'], document['subject']), digest_of(document)
        new = self._facts.write(self._home.event(channel, digest), event.encoded(document))
        # One that was there may have lost its publisher before it looked, …
        watching = [last_of(key) for key in self._facts.list(self._home.watches(channel))]
        for trigger_id in watching:
            with _alone(trigger_id):
                self._evaluate(trigger_id, (channel, digest))
                if not new:
                    # … or before it started what had fired
                    self._start_again(trigger_id, self._home.event(channel, digest))
        if not watching:
            unwatched()
        return new

    def has(self, document: Document) -> bool:
        """Whether an event was published."""
        channel = channel_of(document['type'], document['subject'])
        return self._facts.has(self._home.event(channel, digest_of(document)))

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
        key = self._home.trigger(trigger['id'])
        # As it is read: a tuple is a list then
        wanted = decode(encode(_definition(trigger)))
        is_same = self._facts.write(key, encode(trigger)) or _definition(self._facts.read(key)) == wanted
        if not is_same or self._state(trigger['id']).deleted:
            raise TriggerExistsError(f'Trigger {trigger["id"]!r} is there already, or was deleted: choose another id.')
        self._watch(trigger)
        self._evaluate(trigger['id'])

    def switch(self, trigger_id: str, enabled: bool) -> None:
        """
        Events that come while a trigger is disabled count when it is enabled again.

        :raises TriggerNotFoundError: there is none
        """
        state = self._existing(trigger_id)
        if state.enabled != enabled:
            name = f'switch.{state.switches:06d}.{"on" if enabled else "off"}'
            self._facts.write(self._home.states(trigger_id, name), b'{}')
        if enabled:
            self._evaluate(trigger_id)

    def intercept(self, trigger_id: str, by: str) -> None:
        """
        Whenever ``trigger_id`` fires, the action of trigger ``by`` is first.

        :raises TriggerNotFoundError: there is none
        """
        for name in (trigger_id, by):
            self._existing(name)
        self._facts.write(self._home.interceptors(trigger_id, by), b'{}')

    def interceptors(self, trigger_id: str) -> list[Document]:
        """The triggers that intercept one, and that are there."""
        prefix = self._home.interceptors(trigger_id)
        found = [self.trigger(key.removeprefix(prefix)) for key in self._facts.list(prefix)]
        return [trigger for trigger in found if trigger]

    def time_is_up(self, trigger_id: str) -> None:
        """A trigger fires with what has come, if it has not fired and is there."""
        self._facts.write(self._home.states(trigger_id, 'late'), b'{}')
        self._evaluate(trigger_id)

    def may_act(self, firing: Firing) -> bool:
        """For a firing that a callable has let pass: whether it is the one, where there may be only one."""
        if not firing.trigger['transient']:
            return True
        key = self._home.states(firing.trigger['id'], 'acted')
        self._facts.write(key, encode({'number': firing.number}))
        return bool((self._facts.read(key) or {}).get('number') == firing.number)

    def delete(self, trigger_id: str) -> bool:
        """
        Deletes a trigger, for good. What it has started goes on.

        :return: whether there was one
        """
        try:
            trigger = self.trigger(trigger_id)
        except Damaged:
            # Nobody can tell what it waits for
            watches = [key for key in self._facts.list(self._home.watches()) if last_of(key) == trigger_id]
        else:
            if trigger is None:
                return False
            watches = [self._home.watch(channel, trigger_id) for channel in channels_of(trigger)]
        self._facts.write(self._home.states(trigger_id, 'deleted'), b'{}')
        self._facts.store.delete(watches)
        return True

    def trigger(self, trigger_id: str) -> Document | None:
        """A trigger as it was added; None if there is none (any more)."""
        trigger = self._facts.read(self._home.trigger(trigger_id))
        return None if trigger is None or self._state(trigger_id).deleted else trigger

    def triggers(self, *, deleted_too: bool = False) -> list[str]:
        """
        The ids of all triggers that were added and not deleted.

        :param deleted_too: of those that were deleted, too
        """
        found = [key.split('/') for key in self._facts.list(self._home.triggers())]
        deleted = set() if deleted_too else {parts[-2] for parts in found if parts[-1] == 's.deleted'}
        return [parts[-2] for parts in found if parts[-1] == 'trigger.json' and parts[-2] not in deleted]

    def is_enabled(self, trigger_id: str) -> bool:
        """Whether a trigger may fire."""
        return self._state(trigger_id).enabled

    def firing(self, trigger_id: str, number: str) -> Firing | None:
        """A firing of a trigger, whatever has become of that since."""
        trigger = self._facts.read(self._home.trigger(trigger_id))
        fact = self._facts.read(self._home.firing(trigger_id, number))
        return None if trigger is None or fact is None else Firing(trigger, number, fact['events'])

    def numbers(self, trigger_id: str) -> list[str]:
        """The numbers of all firings of a trigger."""
        return [*self._state(trigger_id).fired, *self._fired_for_each(trigger_id)]

    def firings(self, trigger_id: str) -> list[Firing]:
        """All firings of a trigger."""
        found = [self.firing(trigger_id, number) for number in self.numbers(trigger_id)]
        return [firing for firing in found if firing]

    def sweep(self, not_started: Callable[[str, list[str]], list[str]]) -> list[str]:
        """
        Evaluates each trigger once more, and starts what was not started.

        :param not_started: given a trigger's id and the numbers of its firings, those whose action was not
        :return: ids of the triggers for which something was done
        """
        repaired = []
        for trigger_id in self.triggers():
            with _alone(trigger_id):
                if self._sweep(trigger_id, not_started):
                    repaired.append(trigger_id)
        return repaired

    def _sweep(self, trigger_id: str, not_started: Callable[[str, list[str]], list[str]]) -> bool:
        # Whoever added it may have died before it watched
        self._watch(self._facts.read(self._home.trigger(trigger_id)) or {'activation_events': []})
        before = len(self.numbers(trigger_id))
        self._evaluate(trigger_id)
        now = self.numbers(trigger_id)
        lost = not_started(trigger_id, now)
        if lost:
            purged = self._state(trigger_id).purged
            lost = [number for number in lost if number not in purged]
        for firing in filter(None, (self.firing(trigger_id, number) for number in lost)):
            self._start(firing)
        return bool(lost) or len(now) > before

    def _watch(self, trigger: Document) -> None:
        for channel in channels_of(trigger):
            self._facts.write(self._home.watch(channel, trigger['id']), b'{}')

    # Evaluation

    def _evaluate(self, trigger_id: str, published: tuple[str, str] | None = None) -> None:
        """
        Fires a trigger, as often as it holds.

        :param published: channel and digest of the event because of which it is evaluated, if it is
        """
        trigger = self._facts.read(self._home.trigger(trigger_id))
        if trigger is None:
            return
        if trigger['condition']['name'] == 'CALLABLE' or (trigger['condition']['name'] == 'TRUE' and not trigger['transient']):
            self._fire_for_each(trigger, published)
            return
        # An event is marked before the looks are read: whoever writes one lists the marks after that
        marks = self._marks(trigger_id)
        if published is None:
            marks.add_all(channels_of(trigger))
        else:
            marks.add(*published)
        state = self._state(trigger_id)
        if state.deleted or not state.enabled or (trigger['transient'] and state.fired):
            return
        if trigger['condition']['name'] == 'NEVER' or state.late:
            if state.late:
                come = [self._home.event(channel, digest) for digest, channel in marks.found().items()]
                self._fire(trigger, f'{0:0{NUMBER}d}', come)
            return
        wanted = int(trigger['condition'].get('count', 1))
        in_all = wanted * (len(state.fired) + 1)
        if published is None or marks.may_suffice(state.look, in_all, published[1]):
            self._count(trigger, state, wanted, marks)

    def _fire_for_each(self, trigger: Document, published: tuple[str, str] | None) -> None:
        state = self._state(trigger['id'])
        if state.deleted or state.acted or not state.enabled:
            return
        if published is not None:
            self._fire(trigger, published[1], [self._home.event(*published)])
            return
        fired = set(self._fired_for_each(trigger['id']))
        for channel in channels_of(trigger):
            for key in self._facts.list(self._home.events(channel)):
                digest = last_of(key)
                if digest not in fired:
                    self._fire(trigger, digest, [key])

    def _marks(self, trigger_id: str) -> EventCounter:
        return EventCounter(self._facts, self._home, trigger_id)

    def _count(self, trigger: Document, state: State, wanted: int, marks: EventCounter) -> None:
        """Looks at all marks, and fires, until what is missing is written down and nothing has come meanwhile."""
        looks, fired = state.looks, len(state.fired)
        look: CountSnapshot | None = None
        while True:
            found = marks.found()
            in_all = wanted * (fired + 1)
            missing = in_all - len(found)
            if missing <= 0:
                self._fire(trigger, f'{fired:0{NUMBER}d}', self._unused(trigger, fired, found)[:wanted])
                if trigger['transient']:
                    return
                fired, look = fired + 1, None
                continue
            if not is_long(in_all) or (look and not look.suggests_another(look.cells(found))):
                return
            look = CountSnapshot(missing, CountSnapshot(missing).cells(found))
            key = self._home.states(trigger['id'], f'look.{looks:06d}')
            self._facts.create(key, {'missing': missing, 'counts': look.counts})
            looks += 1

    def _unused(self, trigger: Document, fired: int, marks: dict[str, str]) -> list[str]:
        """The keys of the events that no firing had before."""
        used: set[str] = set()
        for number in range(fired):
            fact = self._facts.read(self._home.firing(trigger['id'], f'{number:0{NUMBER}d}'))
            used |= set(fact['events'] if fact else ())
        return [key for digest, channel in marks.items() if (key := self._home.event(channel, digest)) not in used]

    def _fire(self, trigger: Document, number: str, events: list[str]) -> None:
        """Only who writes that it has fired starts anything."""
        ours, fact = self._facts.create(self._home.firing(trigger['id'], number), {'events': events})
        if ours:
            self._start(Firing(trigger, number, fact['events']))

    def _start_again(self, trigger_id: str, event_key: str) -> None:
        """Starts what an event has made fire, unless that was started."""
        # Not all firings of one that fires for each event, which may be many: its number is the event's digest
        state = self._state(trigger_id)
        for number in [*state.fired, last_of(event_key)]:
            firing = self.firing(trigger_id, number)
            if firing and event_key in firing.events and number not in state.purged:
                self._start(firing)

    def _state(self, trigger_id: str) -> State:
        return State.of(self._facts, self._home, trigger_id)

    def _existing(self, trigger_id: str) -> State:
        state = self._state(trigger_id)
        if state.deleted or not self._facts.has(self._home.trigger(trigger_id)):
            raise TriggerNotFoundError(f'No trigger {trigger_id!r} is there: it was never added, or it was deleted.')
        return state

    def _fired_for_each(self, trigger_id: str) -> list[str]:
        """The digests of the events for each of which a trigger has fired."""
        prefix = self._home.fired_for_each(trigger_id)
        return [key.removeprefix(prefix) for key in self._facts.list(prefix)]


@contextlib.contextmanager
def _alone(trigger_id: str) -> Iterator[None]:
    """What is damaged of one trigger keeps no other one from firing."""
    try:
        yield
    except Damaged as damage:
        logger.warning('Trigger %s does not fire: %s', trigger_id, damage)


def require_subject(document: Document) -> Document:
    """:raises InvalidEventError: no trigger can wait for such an event"""
    subject = document.get('subject')
    if not isinstance(subject, str) or not subject:
        raise event.InvalidEventError(f'Triggers know an event by its type and its subject; found subject {shown(subject)}.')
    return document


def _definition(trigger: Document | None) -> Document:
    """What makes two triggers of one id the same."""
    names = ('id', 'activation_events', 'condition', 'transient', 'action', 'context')
    return {name: (trigger or {}).get(name) for name in names}
