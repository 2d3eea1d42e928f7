"""Where everything of a workspace lies in the bucket. Nothing here touches a store."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

#: Hexadecimal digits of an event's digest that tell the folder of its mark
DIGITS = 2
#: Digits of the number of a firing, where events are counted
NUMBER = 6

Document = dict[str, Any]


def channel_of(kind: str, subject: str) -> str:
    """The channel of all events of a type and a subject."""
    return _digest([kind, subject])


def channels_of(trigger: Document) -> list[str]:
    """Those whose events count for a trigger."""
    return sorted({channel_of(wanted['type'], wanted['subject']) for wanted in trigger['activation_events']})


def digest_of(event: Document) -> str:
    """What two deliveries of one event have in common."""
    return _digest([event['source'], event['id']])


def _digest(parts: list[str]) -> str:
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=12).hexdigest()


def last_of(key: str) -> str:
    """A key without the folders it is in."""
    return key.rpartition('/')[2]


@dataclass(frozen=True)
class WorkspaceKeys:
    """
    The keys of a workspace.

    :param prefix: of all of them, different for two workspaces that had one name
    """

    prefix: str

    def event(self, channel: str, digest: str) -> str:
        """An event, as it was published."""
        return f'{self.events(channel)}{digest}'

    def events(self, channel: str) -> str:
        """Prefix of the events of a channel."""
        return f'{self.prefix}/e/{channel}/'

    def watch(self, channel: str, trigger_id: str) -> str:
        """That a trigger waits for the events of a channel."""
        return f'{self.watches(channel)}{trigger_id}'

    def watches(self, channel: str = '') -> str:
        """Prefix of who waits for the events of a channel, or of any."""
        return f'{self.prefix}/w/{channel}/' if channel else f'{self.prefix}/w/'

    def mark(self, trigger_id: str, channel: str, digest: str) -> str:
        """That an event counts for a trigger."""
        return f'{self.marks(trigger_id)}{digest[:DIGITS]}/{digest}.{channel}'

    def marks(self, trigger_id: str, cell: str = '') -> str:
        """Prefix of the marks of a trigger, or of those whose digests begin with ``cell``."""
        return f'{self.prefix}/m/{trigger_id}/{cell}'

    def triggers(self) -> str:
        """Prefix of all triggers."""
        return f'{self.prefix}/t/'

    def trigger(self, trigger_id: str) -> str:
        """A trigger, as it was added."""
        return f'{self._of(trigger_id)}trigger.json'

    def states(self, trigger_id: str, name: str = '') -> str:
        """Prefix of what has become of a trigger, or one such fact."""
        return f'{self._of(trigger_id)}s.{name}'

    def interceptors(self, trigger_id: str, by: str = '') -> str:
        """Prefix of the triggers that intercept one, or that one of them does."""
        return f'{self._of(trigger_id)}x.{by}'

    def fired_for_each(self, trigger_id: str, digest: str = '') -> str:
        """Prefix of the firings of a trigger that fires for each event, or one. Apart from its state, for they may be many."""
        return f'{self._of(trigger_id)}e.{digest}'

    def firing(self, trigger_id: str, number: str) -> str:
        """A firing, by its number or by its event's digest."""
        return self.states(trigger_id, f'fired.{number}') if len(number) == NUMBER else self.fired_for_each(trigger_id, number)

    def purged(self, trigger_id: str, number: str) -> str:
        """That the run of a firing was purged."""
        return self.states(trigger_id, f'purged.{number}')

    def contexts(self, trigger_id: str) -> str:
        """Prefix of the versions of a trigger's context, the oldest first."""
        return f'{self.prefix}/c/{trigger_id}/'

    def context(self, trigger_id: str, version: int) -> str:
        """One of them, from 1. Version 0 is what the trigger was added with."""
        return f'{self.contexts(trigger_id)}{version:08d}'

    def code(self, trigger_id: str, nonce: str) -> str:
        """What one try to add a trigger would have run."""
        return f'{self.prefix}/code/{trigger_id}.{nonce}'

    def data(self, event_id: str) -> str:
        """The data of an event, where they are large."""
        return f'{self.prefix}/d/{event_id}'

    def end(self) -> str:
        """That the workspace has come to its end."""
        return f'{self.prefix}/ended.json'

    def _of(self, trigger_id: str) -> str:
        return f'{self.triggers()}{trigger_id}/'
