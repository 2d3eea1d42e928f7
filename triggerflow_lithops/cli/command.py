"""What every command has: options for the executor, errors as one sentence, and an exit status."""

import errno
import functools
from typing import Any, Callable

import click

from ..client.executor import TriggerflowExecutor
from ..errors import RunNotFoundError, TriggerflowError
from .output import printable_lines

#: Creates the executor that the options of a command describe
Create = Callable[[], TriggerflowExecutor]


class _Failed(click.ClickException):
    """Any error. (2 is click's own exit status, of wrong usage.)"""

    exit_code = 1


class _NotThere(click.ClickException):
    """There is no run of the given id."""

    exit_code = 5


def configured(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every command has; gives it a function that creates the executor."""

    @click.option('--config', '-c', 'config_file', default=None, type=click.Path(exists=True), help='Lithops config file')
    @click.option('--backend', '-b', default=None, help='Compute backend')
    @click.option('--storage', '-s', default=None, help='Storage backend')
    @click.option('--debug', '-d', is_flag=True, help='Debug mode: log everything, and show where an error comes from')
    @functools.wraps(command)
    def with_options(config_file: str | None, backend: str | None, storage: str | None, debug: bool, **arguments: Any) -> None:
        def create() -> TriggerflowExecutor:
            return TriggerflowExecutor(
                config_file=config_file, backend=backend, storage=storage, log_level='DEBUG' if debug else None
            )

        try:
            command(create, **arguments)
        except Exception as error:
            if debug or _is_of_click(error):
                raise
            raise _told(error) from error

    return with_options


def _is_of_click(error: Exception) -> bool:
    """What click handles by itself, a pipe that was closed included."""
    own = (click.ClickException, click.exceptions.Exit, click.Abort)
    return isinstance(error, own) or (isinstance(error, OSError) and error.errno == errno.EPIPE)


def _told(error: Exception) -> click.ClickException:
    """An error as a sentence on standard error, and its exit status."""
    said = printable_lines(str(error))
    if isinstance(error, RunNotFoundError):
        return _NotThere(said)
    if isinstance(error, TriggerflowError):
        return _Failed(said)
    return _Failed(f'{type(error).__name__}: {said}. This was not expected: --debug shows where it comes from.')
