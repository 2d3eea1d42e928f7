"""
How the core is broken on purpose: a mutant replaces functions of it for a while. What it breaks is what somebody
might break who improves that function.
"""

import contextlib
from dataclasses import dataclass
from typing import Any, Callable, ContextManager, Iterator


@dataclass(frozen=True)
class Mutant:
    """
    :param said: what is broken
    :param broken: the core is, as long as this lasts
    :param seen_in: names of orchestrators; empty for one that any of them may see
    """

    said: str
    broken: Callable[[], ContextManager[None]]
    seen_in: tuple[str, ...]


MUTANTS: dict[str, Mutant] = {}


def mutant(owner: Any, name: str, *seen_in: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """
    Registers a function, which is given what ``owner`` has as ``name``, as what stands there instead.

    :param seen_in: the orchestrators that do what it breaks, where those are few
    """

    def register(broken: Callable[..., Any]) -> Callable[..., Any]:
        @contextlib.contextmanager
        def mutate() -> Iterator[None]:
            original = getattr(owner, name)

            def replacement(*args: Any, **kwargs: Any) -> Any:
                return broken(original, *args, **kwargs)

            setattr(owner, name, replacement)
            try:
                yield
            finally:
                setattr(owner, name, original)

        MUTANTS[broken.__name__] = Mutant((broken.__doc__ or '').strip(), mutate, seen_in)
        return broken

    return register
