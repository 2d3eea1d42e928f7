"""Mutants of triggers that count events of any origin: their marks, and the looks at these."""

from typing import Any

from ..core.workspace.event_counter import CountSnapshot, EventCounter, is_long
from ..core.workspace.workspace import Workspace
from .mutant import mutant

#: Orchestrators whose triggers count more than a thousand events
_WIDE = ('added_to_the_last', 'joined_again', 'joined_by_many')


@mutant(Workspace, '_count', 'added_to_the_last')
def no_look_after_a_look(original: Any, self: Workspace, trigger: Any, state: Any, wanted: int, marks: EventCounter) -> None:
    """Who has written a look at the marks does not list them once more."""
    found, in_all = marks.found(), wanted * (len(state.fired) + 1)
    if len(found) >= in_all or not is_long(in_all):
        original(self, trigger, state, wanted, marks)
        return
    look = CountSnapshot(in_all - len(found))
    key = self._home.states(trigger['id'], f'look.{state.looks:06d}')
    self._facts.create(key, {'missing': look.missing, 'counts': look.cells(found)})


@mutant(CountSnapshot, 'suggests_another', *_WIDE)
def cells_must_gain_more_than_their_share(original: Any, self: CountSnapshot, counts: Any) -> bool:
    """A cell must have gained one more than its share of what is missing, before anybody looks at the others."""
    return bool(original(self, {cell: count - 1 for cell, count in counts.items()}))


@mutant(CountSnapshot, 'cells', *_WIDE)
def marks_of_other_cells_counted(original: Any, self: CountSnapshot, found: Any) -> Any:
    """A look notes for each cell how many marks there are in all."""
    counts = original(self, found)
    return {cell: sum(counts.values()) for cell in counts}


@mutant(EventCounter, 'may_suffice', *_WIDE)
def looks_never_read(original: Any, self: EventCounter, look_key: Any, in_all: int, digest: str) -> bool:
    """A publisher takes its cell to have been empty when somebody looked last, and all events to be missing."""
    return bool(original(self, None, in_all, digest))


@mutant(EventCounter, 'add_all', 'callable_acts', 'call_acts', 'added_to_the_last')
def events_before_their_trigger_not_marked(original: Any, self: EventCounter, channels: Any) -> None:
    """Events that came while a trigger was being added do not count for it."""


@mutant(Workspace, '_evaluate', 'added_to_the_last')
def looks_read_before_the_mark(original: Any, self: Workspace, trigger_id: str, published: Any = None) -> None:
    """A publisher reads what has become of a trigger before it marks its event, and goes by that."""
    state = self._state(trigger_id)
    self._state = lambda trigger_id: state  # type: ignore[method-assign]
    try:
        original(self, trigger_id, published)
    finally:
        del self._state


@mutant(Workspace, '_unused', 'joined_again')
def events_used_again(original: Any, self: Workspace, trigger: Any, fired: int, marks: Any) -> Any:
    """A trigger that fires again is given events that it has fired with."""
    return original(self, trigger, 0, marks)


@mutant(Workspace, '_start_again', 'joined_again', 'joined_by_many')
def firings_not_started_again(original: Any, self: Workspace, *args: Any) -> None:
    """An event that is published again does not start what its first publisher had made fire, and left."""
