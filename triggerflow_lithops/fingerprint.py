"""What tells that the code of an orchestrator has changed: a step as it was recorded, and as it is found."""

import hashlib
from dataclasses import dataclass
from typing import Any, Callable


@dataclass(frozen=True)
class Fingerprint:
    """
    What is compared between two activations at one position.

    :param kind: ``call_async``, ``map``, ``wait``, ``now``, ``record``, …
    :param function: qualified name of what is called; empty for a choice
    :param calls: number of calls that it is about
    :param digest: of those arguments that are of plain types
    """

    kind: str
    function: str = ''
    calls: int = 0
    digest: str = ''

    def __str__(self) -> str:
        if not self.function:
            return f'{self.kind}({self.calls} calls)' if self.calls else f'{self.kind}()'
        calls = f"{self.calls} call{'' if self.calls == 1 else 's'}"
        return f'{self.kind}({self.function}, {calls}, arguments {self.digest})'

    def document(self) -> list[Any]:
        """As it is stored."""
        return [self.kind, self.function, self.calls, self.digest]


def digest_of(values: Any, name_of: Callable[[Any], str] = lambda value: '') -> str:
    """
    Eight hexadecimal digits that differ when plain arguments differ.

    Containers count in their own order, a set's included: what depends on it
    differs from process to process. What is not plain counts by its type only.

    :param name_of: what is not plain counts by this, too
    """
    digest = hashlib.blake2b(digest_size=4)
    _feed(digest, values, name_of)
    return digest.hexdigest()


def _feed(digest: Any, value: Any, name_of: Callable[[Any], str]) -> None:
    digest.update(type(value).__name__.encode())
    if isinstance(value, (str, int, float, bool, bytes)) or value is None:
        digest.update(value if isinstance(value, bytes) else repr(value).encode())
    elif isinstance(value, dict):
        for key, item in value.items():
            _feed(digest, key, name_of)
            _feed(digest, item, name_of)
    elif isinstance(value, (list, tuple, set, frozenset, range)):
        digest.update(str(len(value)).encode())
        for item in value:
            _feed(digest, item, name_of)
    else:
        digest.update(name_of(value).encode())
