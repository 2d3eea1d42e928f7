"""Retries: what runs again when it failed, how often, and when. For all runs, for one, or for one job."""

import contextvars
from dataclasses import dataclass, fields
from typing import Any, Iterable, cast

from .core.limits import seconds
from .core.run.attempts import DEFAULT
from .core.run.documents import Policy
from .core.wording import shown
from .errors import ConfigurationError, OutsideOrchestratorError

#: The policies of the ``with`` blocks that the orchestrator is in, the innermost last.
#: There are none, not even an empty list, where no orchestrator runs
_blocks: contextvars.ContextVar[tuple[Policy, ...] | None] = contextvars.ContextVar('triggerflow_retry', default=None)

_Kind = type[BaseException] | str


@dataclass(frozen=True)
class Retry:
    """
    When a call that failed runs again. Only that call does, not its whole map.

    A call that was *lost* (its process was killed, for want of memory or otherwise,
    or it vanished) is always among those that do. For all runs it stands in the
    ``triggerflow: retry:`` section of the configuration, for the runs of an executor
    in ``TriggerflowExecutor(retry=…)``, for one run in ``run(…, retry=…)``, and for
    single jobs around them, in the orchestrator::

        with Retry(retries=5, on=ConnectionError):
            futures = fexec.map(fetch, urls)

    The innermost one counts, as a whole.

    :param retries: how often one call may run again, 0 to 100
    :param on: exceptions that are retried: classes, or their names with or without
        their module. Subclasses count
    :param backoff: seconds before the first retry
    :param factor: by which each further one waits longer
    :param max_backoff: seconds that it waits at the most. Where nothing starts a function later (OpenWhisk
        without its alarm feed, IBM Cloud Functions, any other cloud) the function itself waits, and no longer than 60
    :param jitter: up to which share of its wait a retry may come earlier, 0 to 1
    :param memory_factor: by which ``runtime_memory`` grows when a call was out of
        memory; 1 to leave it
    :raises ConfigurationError: a value that means nothing
    """

    retries: int = 3
    on: _Kind | Iterable[_Kind] = Exception
    backoff: float = DEFAULT['backoff']
    factor: float = DEFAULT['factor']
    max_backoff: float = DEFAULT['max_backoff']
    jitter: float = DEFAULT['jitter']
    memory_factor: float = DEFAULT['memory_factor']

    def __post_init__(self) -> None:
        for name in ('backoff', 'max_backoff'):
            object.__setattr__(self, name, _seconds(f"'retry: {name}'", getattr(self, name)))
        for name, kind, least, most in _BOUNDS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, kind) or not least <= value <= most:
                what = 'a whole number' if kind is int else 'a number'
                raise ConfigurationError(f"'retry: {name}' is {what} from {least} to {most}; found {shown(value)}.")
        _names(self.on)

    def __enter__(self) -> 'Retry':
        blocks = _blocks.get()
        if blocks is None:
            raise OutsideOrchestratorError(
                f'"with {self}:" stands where no orchestrator runs. It is for a function that was given to '
                'TriggerflowExecutor.run(); in a plain Lithops program, see lithops.RetryingFunctionExecutor.'
            )
        _blocks.set((*blocks, self.policy()))
        return self

    def __exit__(self, *error: Any) -> None:
        _blocks.set((_blocks.get() or ())[:-1])

    def policy(self) -> Policy:
        """As it is stored, and travels."""
        return cast(Policy, {**{name.name: getattr(self, name.name) for name in fields(self)}, 'on': _names(self.on)})

    @classmethod
    def of(cls, given: Any) -> 'Retry':
        """
        What was given as ``retry``: one of these, its fields as a mapping, or a number of retries.

        :raises ConfigurationError: something else
        """
        if isinstance(given, cls):
            return given
        if isinstance(given, int) and not isinstance(given, bool):
            return cls(retries=given)
        known = [field.name for field in fields(cls)]
        if isinstance(given, dict):
            # YAML takes the key "on" for true
            given = {'on' if key is True else key: value for key, value in given.items()}
        if not isinstance(given, dict) or not set(given) <= set(known):
            raise ConfigurationError(
                f"'retry' is a Retry, a number of retries, or a mapping of {', '.join(known)}; found {shown(given)}."
            )
        return cls(**given)


def policy_of(*given: Any) -> Policy:
    """The first of ``given``, each as :meth:`Retry.of` takes it, that is not None; the default one if all are."""
    return next((Retry.of(retry).policy() for retry in given if retry is not None), DEFAULT.copy())


def enter_orchestrator() -> None:
    """From here on this thread runs an orchestrator: ``with Retry(…):`` may stand in it."""
    _blocks.set(())


def innermost(policy: Policy) -> Policy:
    """The policy of the job that is being scheduled: ``policy``, unless a ``with`` block says otherwise."""
    return (policy, *(_blocks.get() or ()))[-1]


#: Seconds between two attempts: a day
_LONGEST_BACKOFF = 86_400

_BOUNDS: tuple[tuple[str, Any, float, float], ...] = (
    ('retries', int, 0, 100),
    ('factor', (int, float), 1, 100),
    ('jitter', (int, float), 0, 1),
    ('memory_factor', (int, float), 1, 16),
)


def _seconds(name: str, value: Any) -> float:
    try:
        return seconds(value, name, at_most=_LONGEST_BACKOFF)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _names(on: Any) -> list[str]:
    kinds = on if isinstance(on, (list, tuple, set, frozenset)) else [on]
    for kind in kinds:
        if not isinstance(kind, str) and not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise ConfigurationError(
                f"'retry: on' is an exception, its name, or several of them; found {shown(kind)}. "
                "Write, for instance, on=ConnectionError or on=['requests.exceptions.Timeout']."
            )
    return sorted(kind if isinstance(kind, str) else f'{kind.__module__}.{kind.__qualname__}' for kind in kinds)
