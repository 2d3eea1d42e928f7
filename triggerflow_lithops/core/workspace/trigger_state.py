"""What has become of a trigger of a workspace."""

from dataclasses import dataclass

from ..store import Facts
from .keys import WorkspaceKeys


@dataclass(frozen=True)
class State:
    """
    Facts, as one listing has them.

    :param acted: whether a callable has let it fire for the one time that it may
    :param late: whether its time is up
    :param switches: how often it was enabled or disabled
    :param fired: numbers of its firings, unless it fires for each event
    :param purged: numbers of its firings whose runs were purged
    :param look: key of the newest look, if there is one
    """

    deleted: bool
    acted: bool
    late: bool
    enabled: bool
    switches: int
    fired: list[str]
    purged: set[str]
    look: str | None
    looks: int

    @classmethod
    def of(cls, facts: Facts, home: WorkspaceKeys, trigger_id: str) -> 'State':
        """As it is now."""
        prefix = home.states(trigger_id)
        names = [key.removeprefix(prefix) for key in facts.list(prefix)]
        looks = [name for name in names if name.startswith('look.')]
        switches = [name for name in names if name.startswith('switch.')]
        return cls(
            deleted='deleted' in names,
            acted='acted' in names,
            late='late' in names,
            enabled=not switches or switches[-1].endswith('.on'),
            switches=len(switches),
            fired=[name.removeprefix('fired.') for name in names if name.startswith('fired.')],
            purged={name.removeprefix('purged.') for name in names if name.startswith('purged.')},
            look=home.states(trigger_id, max(looks)) if looks else None,
            looks=len(looks),
        )
