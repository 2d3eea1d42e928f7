"""
Values of an orchestrator on their way to where they are read: what it has returned, or recorded.

A class of the script is the one that is there, where the script is: in the program that has
started the run, and in the run's other activations. Elsewhere it is made again.
"""

import io
import pickle
import sys
from typing import Any

import cloudpickle.cloudpickle as cloudpickle

from .class_reducers import completed_class
from .main_module import MAIN


def dumps(value: Any) -> bytes:
    """
    A value, pickled. Any unpickler reads it.

    :raises Exception: it cannot be pickled
    """
    with io.BytesIO() as file:
        Pickler(file).dump(value)
        return file.getvalue()


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """By value what cannot be imported, as cloudpickle does, but for the classes of the script."""

    def reducer_override(self, obj: Any) -> Any:
        found = super().reducer_override(obj)
        if isinstance(obj, type) and isinstance(found, tuple):
            if obj.__module__ == MAIN:
                return class_of, (cloudpickle._get_or_create_tracker_id(obj), obj.__qualname__, _by_value(obj))
            return completed_class(obj, found)
        return found


class _OfClasses(cloudpickle.Pickler):  # type: ignore[misc]
    def reducer_override(self, obj: Any) -> Any:
        found = super().reducer_override(obj)
        return completed_class(obj, found) if isinstance(obj, type) and isinstance(found, tuple) else found


def _by_value(kind: type) -> bytes | None:
    """None if its methods refer to something that cannot be pickled, such as an executor."""
    with io.BytesIO() as file:
        try:
            _OfClasses(file).dump(kind)
        except Exception:
            return None
        return file.getvalue()


def class_of(tracker: str, name: str, code: bytes | None) -> Any:
    """
    A class of the script.

    :param tracker: what cloudpickle knows it by, if it has come from this process, or to it
    :param name: its qualified name
    :param code: the class by value
    """
    known = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(tracker)
    if known is not None:
        # To load it would give the class of this process methods that no longer share its variables
        return known
    if code is not None:
        return pickle.loads(code)
    found: Any = sys.modules[MAIN]
    for part in name.split('.'):
        found = getattr(found, part)
    return found
