"""
The ledger of one activation: its position, the facts of its run, and what its code does at each position.

Each durable step takes the next *position*. A fact is written at its position before the user's code sees it. A step
that differs from its fact ends the activation, because the code has changed.
"""

from typing import Any, Callable, NoReturn

from ..core.run.engine import Engine
from ..core.run.keys import fact_key
from ..errors import ChangedCodeError
from .difference import Difference, steps_in_words
from .effects import Effects, Failed, Superseded
from .fingerprint import Fingerprint
from .history import History
from .lookout import Lookout
from .readings import TOO_MANY, Readings

#: Given the whole fact of a step whose arguments differ, tells which one does
Explain = Callable[[dict[str, Any]], Difference | None]


class Ledger:
    """
    Where an activation is on its way, and what is written there.

    :param number: of this activation. It grows where a wait turns out to be over
        at once: the same process then lives the next number, too
    :ivar lives: all numbers that this process has lived
    """

    def __init__(self, run_id: str, session: str, number: int, history: History, engine: Engine, effects: Effects):
        self.run_id = run_id
        self.session = session
        self.number = number
        self.history = history
        self.engine = engine
        self.facts = engine.facts
        self.effects = effects
        self.position = -1
        self.readings = Readings(history)
        self.lookout = Lookout(self.facts, session, effects.time)
        self.lives = {number}
        if history.position < 0:
            effects.caught_up()

    @property
    def is_replaying(self) -> bool:
        """Whether an earlier activation has come further, and has shown what there was to see."""
        return self.position < self.history.position

    def advance(self) -> int:
        """The position of the next durable step."""
        self.position += 1
        if self.position == self.history.position:
            self.effects.caught_up()
        return self.position

    def known(
        self, position: int, found: Fingerprint, explain: Explain | None = None, calls: int = 0
    ) -> tuple[dict[str, Any] | None, bool]:
        """
        The fact of a position, if it matches, and whether an activation that died left it. There is
        none of a new step, which is not taken if the run has ended.

        :param calls: that a new step schedules
        """
        fact = self.history.facts.get(position)
        if fact is not None:
            self._compare(position, fact['fingerprint'], found, explain)
            return fact, position in self.history.inherited
        if position == self.history.position and self.history.waiting:
            self._compare(position, self.history.waiting, found)
        over = self.lookout.how_over(calls)
        if over is not None:
            self.effects.stop(Superseded(self.number, over))
        return None, False

    def derive(self, position: int, fingerprint: Fingerprint, derived: Any = None) -> dict[str, Any]:
        """
        What follows from other facts is not written, unless something was read before it. The history carries what it was.

        :param derived: as a choice, which it then is
        """
        if self.readings.pending():
            # Two activations that have read other things meet at this position, and not each at another one
            return self.choose(position, fingerprint, derived)
        fact = {'fingerprint': fingerprint.document()}
        self.history.add_fact(position, fact)
        return fact

    def choose(
        self,
        position: int,
        fingerprint: Fingerprint,
        choice: Any,
        more: dict[str, Any] | None = None,
        explain: Explain | None = None,
    ) -> dict[str, Any]:
        """Writes a choice at its position, and gives the fact that holds."""
        chosen = {'fingerprint': fingerprint.document(), 'choice': choice}
        return self.create(position, chosen, fingerprint, more, explain)[1]

    def create(
        self,
        position: int,
        document: dict[str, Any],
        fingerprint: Fingerprint,
        more: dict[str, Any] | None = None,
        explain: Explain | None = None,
    ) -> tuple[bool, dict[str, Any]]:
        """
        Writes the fact of a position, or takes the one that is there.

        :param document: what the fact begins with
        :param more: what it ends with
        :return: whether it was written here, and the fact
        """
        ours, fact = self.facts.create(
            fact_key(self.session, position),
            {
                **document,
                'activation': self.number,
                'time': self.effects.time(),
                **self._read_before(),
                **(more or {}),
            },
        )
        self._take(position, fact, ours, fingerprint, explain)
        return ours, fact

    def _take(
        self, position: int, fact: dict[str, Any], ours: bool, fingerprint: Fingerprint, explain: Explain | None = None
    ) -> None:
        """Takes the fact of a position as it was written, here or by another activation."""
        if not ours:
            if fact.get('readings', []) != self.readings.pending():
                self._step_back(fact['activation'])
            self._compare(position, fact['fingerprint'], fingerprint, explain)
        self.readings.settled()
        self.history.add_fact(position, fact)

    def _step_back(self, other: int) -> NoReturn:
        """
        Another activation was first, and had read other things of clock and chance. What it has read holds.

        :param other: its number
        """
        if other < self.number:
            # It may be dead, and nobody would follow upon it: who takes its number finds this one
            cause = f'activation {self.number} gave way to {other}'
            self.engine.give_way(self.session, self.number, cause, self.effects.time())
        self.effects.stop(Superseded(self.number, f'activation {other} has read another time, or other random numbers'))

    def _read_before(self) -> dict[str, Any]:
        """What was read since the last fact, as a part of the next one."""
        pending = self.readings.pending()
        return {'readings': pending} if pending else {}

    def _compare(self, position: int, recorded: list[Any], found: Fingerprint, explain: Explain | None = None) -> None:
        if recorded != found.document():
            what = steps_in_words(recorded, found.document())
            differs = self._explained(position, explain) if recorded[:3] == found.document()[:3] else None
            known = vars(differs) if differs else {}
            if self.readings.were_too_many(position):
                known = {**known, 'hint': TOO_MANY}
            error = ChangedCodeError(self.run_id, position, *what, **known)
            self.effects.stop(Failed(error))

    def _explained(self, position: int, explain: Explain | None) -> Difference | None:
        """Which argument differs. Whatever happens while it is looked for, the step differs all the same."""
        try:
            fact = self.facts.read(fact_key(self.session, position)) if explain else None
            return explain(fact) if explain and fact else None
        except (Exception, SystemExit):
            # To unpickle the data of the user may raise anything
            return None
