"""
Every error of this project. Each says what was found, what was expected and what
to do; fields are attributes; all of them survive pickling.
"""

from typing import Any


class TriggerflowError(Exception):
    """Base of all errors of this project."""

    def __reduce__(self) -> Any:
        # An exception pickles its arguments, and ours take fields instead
        return _restored, (type(self), self.args, dict(self.__dict__))


def _restored(kind: type[TriggerflowError], args: tuple[Any, ...], fields: dict[str, Any]) -> TriggerflowError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class ConfigurationError(TriggerflowError, ValueError):
    """The configuration asks for something that is not there."""


class InstallationError(TriggerflowError):
    """The plugin is not where this Lithops would take it along."""


class InvalidRunError(TriggerflowError, ValueError):
    """What was given to ``run()`` cannot be run."""


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
    Something that the run cannot go on without was removed from the bucket.

    :param reason: what is gone
    """

    def __init__(self, run_id: str, reason: str):
        self.run_id = run_id
        self.reason = reason
        super().__init__(
            f'Run {run_id} is lost: {reason}. Something other than run.purge() removed it, such as a rule of the bucket '
            'that deletes old objects: make it leave alone what begins with triggerflow. Nothing of this run starts again. '
            'Purge it, and start a new one.'
        )


class RunDied(TriggerflowError):
    """The activations of a run died again and again."""


class PayloadTooLarge(TriggerflowError):
    """An invocation of a call has more bytes than its function service takes."""


class RuntimeGone(TriggerflowError):
    """The function that runs a run is not deployed any more."""


class OutcomeError(TriggerflowError):
    """What the orchestrator returned or raised cannot be pickled, or not be read here."""


class ChangedCodeError(TriggerflowError):
    """
    An orchestrator does something else than its history says it did.

    :param position: number of the durable step, from 0
    :param recorded: what the history has there, in words
    :param found: what the code does there now, in words
    """

    def __init__(self, run_id: str, position: int, recorded: str, found: str):
        self.run_id = run_id
        self.position = position
        self.recorded = recorded
        self.found = found
        super().__init__(
            f'{run_id}, step {position}, was {recorded} in an earlier activation and is {found} now. '
            'Start a new run for changed code, or restore the order of the calls; '
            'what may differ between two runs of the same code (a set, the clock, the environment) '
            'has to be sorted, or recorded with now(), uuid4() or record().'
        )


class NotDurableError(TriggerflowError, NotImplementedError):
    """Something of Lithops that is not durable inside an orchestrator, or not yet."""


class OutsideOrchestratorError(TriggerflowError, RuntimeError):
    """A durable call from where no orchestrator runs."""
