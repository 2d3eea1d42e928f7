"""The base class of all public errors. It is here so that errors of every floor can derive from it."""

from typing import Any


class TriggerflowError(Exception):
    """Base of all errors of this project."""

    def __reduce__(self) -> Any:
        # An exception pickles its arguments, and ours take fields instead
        return restored, (type(self), self.args, dict(self.__dict__))


def restored(kind: type[TriggerflowError], args: tuple[Any, ...], fields: dict[str, Any]) -> TriggerflowError:
    """An error with its arguments and its attributes, made without calling its ``__init__``."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error
