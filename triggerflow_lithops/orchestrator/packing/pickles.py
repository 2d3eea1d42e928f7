"""
Whether bytes that cannot be unpickled are a pickle at all. If they are, that is the user's own affair: a class that is
missing, or that raises. If they are not, they are damaged.
"""

import io
import pickle
from typing import Any


class _Anything:
    """Stands for whatever a pickle would make: nothing of the user's runs."""

    def __new__(cls, *args: Any, **kwargs: Any) -> '_Anything':
        return object.__new__(_Anything)

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> '_Anything':
        return self

    __setstate__ = append = extend = add = update = __setitem__ = __call__


class _Unpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _Anything

    def persistent_load(self, pid: Any) -> Any:
        return _Anything()


def is_pickle(value: bytes) -> bool:
    """Whether bytes are a whole pickle. Slow: for what could not be unpickled."""
    try:
        _Unpickler(io.BytesIO(value)).load()
    except Exception:
        return False
    return True
