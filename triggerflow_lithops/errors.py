"""
Every error of this project. Each says what was found, what was expected and what
to do; fields are attributes; all of them survive pickling.
"""

from typing import Any

from .core import errors
from .core.errors import TriggerflowError as TriggerflowError


class ConfigurationError(TriggerflowError, ValueError):
    """The configuration asks for something that is not there."""


class ConfigurationTypeError(ConfigurationError, TypeError):
    """An argument of the configuration is of a type that cannot be meant."""


class InstallationError(TriggerflowError):
    """The plugin is not where this Lithops would take it along."""


class InvalidRunError(TriggerflowError, ValueError):
    """What was given to ``run()`` cannot be run."""


class InvalidRunTypeError(InvalidRunError, TypeError):
    """What was given to ``run()`` or ``get_run()`` is of a type that cannot be meant."""


class RunNotFoundError(TriggerflowError, LookupError):
    """No run of this id is in the bucket."""

    def __init__(self, run_id: str, bucket: str):
        self.run_id = run_id
        self.bucket = bucket
        super().__init__(
            f'No run {run_id!r} in {bucket}. It may have been purged, or removed by a cleaner (on localhost by '
            "'lithops clean'), or started with another configuration; "
            "'triggerflow-lithops runs' lists those that are there."
        )


class RunExistsError(TriggerflowError):
    """A run of this id is there already, and it is not the same."""


class RunCancelled(TriggerflowError):
    """The run was cancelled before it ended."""

    def __init__(self, run_id: str):
        self.run_id = run_id
        super().__init__(f'Run {run_id} was cancelled.')


class RunLost(TriggerflowError):
    """
    Something that the run cannot go on without was removed from the bucket, or is damaged.

    :param reason: what is gone, or damaged
    """

    def __init__(self, run_id: str, reason: str):
        self.run_id = run_id
        self.reason = reason
        super().__init__(
            f'Run {run_id} is lost: {reason}. Something other than this plugin removed it or changed it, such as a rule of '
            'the bucket that deletes old objects: make it leave alone what begins with triggerflow. Nothing of this run '
            'starts again. Purge it, and start a new one.'
        )


class RunDied(TriggerflowError):
    """The activations of a run died again and again."""


class TooManyPendingCalls(TriggerflowError):
    """
    An orchestrator has scheduled calls, and more calls, and has not waited for them.

    :param pending: how many there would have been
    :param most: how many there may be
    """

    def __init__(self, run_id: str, pending: int, most: int):
        self.run_id = run_id
        self.pending = pending
        self.most = most
        super().__init__(
            f'Run {run_id} would have had {pending} calls that it has scheduled and not yet waited for; {most} is the most. '
            'A loop that calls and never waits has no end. If these are meant, wait for some of them before you make more '
            "(get_result(), wait()), or set 'triggerflow: max_pending_calls' to a higher number and start the run anew."
        )


class PayloadTooLarge(TriggerflowError):
    """An invocation of a call has more bytes than its function service takes."""


class RuntimeGone(TriggerflowError):
    """The function that runs a run is not deployed any more."""


class OutcomeError(TriggerflowError):
    """
    What the orchestrator returned or raised cannot be pickled, or not be read here.

    :param what: the whole message
    :param kind: the class of the exception that this one stands for, with its module; None if it stands for none
    :param message: the text of that exception
    :param traceback: its traceback, as text
    """

    def __init__(self, what: str, kind: str | None = None, message: str | None = None, traceback: str | None = None):
        self.kind = kind
        self.message = message
        self.traceback = traceback
        super().__init__(what)


class ChangedCodeError(TriggerflowError):
    """
    An orchestrator does something else than its history says it did.

    :param position: number of the durable step, from 0
    :param recorded: what the history has there, in words
    :param found: what the code does there now, in words
    :param argument: the first argument that differs, in words, where it is known which one
    :param recorded_value: what this was, shortened
    :param found_value: what it is now, shortened
    :param hint: what usually causes such a difference, and what to do
    """

    def __init__(
        self,
        run_id: str,
        position: int,
        recorded: str,
        found: str,
        argument: str = '',
        recorded_value: str = '',
        found_value: str = '',
        hint: str = '',
    ):
        self.run_id = run_id
        self.position = position
        self.recorded = recorded
        self.found = found
        self.argument = argument
        self.recorded_value = recorded_value
        self.found_value = found_value
        self.hint = hint or (
            'What may differ between two runs of the same code (a set, the clock, a random number, the environment) '
            'has to be sorted, or recorded with now(), uuid4() or record().'
        )
        what = f'was {recorded} in an earlier activation and is {found} now'
        if argument:
            alike = ' (they differ in what is not shown here)' if recorded_value == found_value else ''
            what += f': {argument} was {recorded_value}, and is {found_value} now{alike}'
        super().__init__(
            f'{run_id}, step {position}, {what}. {self.hint} '
            'If the code was changed, start a new run for it, or restore the order of its calls.'
        )


class NotDurableError(TriggerflowError, NotImplementedError):
    """Something of Lithops that is not durable inside an orchestrator, or not yet."""


class OutsideOrchestratorError(TriggerflowError, RuntimeError):
    """A durable call from where no orchestrator runs."""


def restored(name: str, message: str, fields: dict[str, Any]) -> TriggerflowError | None:
    """
    One of these errors, out of the outcome of a run.

    :param name: of its class
    :param fields: its attributes
    :return: None if there is no such error
    """
    kind = _BY_NAME.get(name)
    return None if kind is None else errors.restored(kind, (message,), fields)


#: Every error that an outcome may name. Workers have a PayloadTooLarge and a RuntimeGone of their own
_BY_NAME: dict[str, type[TriggerflowError]] = {
    kind.__name__: kind
    for kind in (
        *(ChangedCodeError, ConfigurationError, InstallationError, InvalidRunError, NotDurableError, OutcomeError),
        *(OutsideOrchestratorError, PayloadTooLarge, RunCancelled, RunDied, RunExistsError, RunLost, RunNotFoundError),
        *(ConfigurationTypeError, InvalidRunTypeError, RuntimeGone, TooManyPendingCalls),
    )
}
