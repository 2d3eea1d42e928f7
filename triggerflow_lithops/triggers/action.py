"""Actions: what a fired trigger does. Documents; the engine's caller performs them."""

from typing import Any, Protocol

Action = dict[str, Any]

START_ACTIVATION = 'START_ACTIVATION'


def start_activation(session: str, number: int) -> Action:
    """Activation ``number`` of a run starts, if nobody has claimed it."""
    return {'name': START_ACTIVATION, 'session': session, 'number': number}


class Performer(Protocol):
    """Performs actions. At least once: an action that was started twice does no harm."""

    def __call__(self, action: Action) -> None:
        """:raises Exception: it could not be started; somebody may try again"""
