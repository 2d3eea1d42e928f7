"""
Thousands of runs of the corpus, each with other faults::

    python -m triggerflow_lithops.testing.simulate --seeds 5000

It prints one JSON object, and exits with 1 if a law was broken, or a kind of fault was too seldom.
"""

import argparse
import contextlib
import functools
import gc
import json
import multiprocessing
import os
import random
import sys
import time
import types
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

from ..orchestrator.user_code import NO_ARGUMENTS
from .api import simulate, try_seed
from .corpus import CORPUS, MOST_PENDING
from .corpus_functions import NOTES
from .faults import Faults
from .mutants import MUTANTS
from .simulation import SEEN, Simulated, Simulation, simulating

#: Failing seeds that are told, of all that there are
TOLD = 20
#: Seeds that one process takes at a time
CHUNK = 100
#: Share of the runs from which something is removed, of those that are swept
CLEANED = 0.1
#: Share of the runs that are cancelled
CANCELLED = 0.1
#: Kinds of faults that are injected, and what follows from them, seen in the runs
KINDS = (*(kind.name for kind in fields(Faults)), *SEEN)


@dataclass
class Tally:
    """What many runs came to."""

    runs: int = 0
    events: int = 0
    requests: int = 0
    faults: 'Counter[str]' = field(default_factory=Counter)
    repairs: int = 0
    failing: list[dict[str, Any]] = field(default_factory=list)

    def add(self, name: str, run: Simulated, wrong: list[str]) -> None:
        """One more run."""
        self.runs += 1
        self.events += len(run.events())
        self.requests += run.requests.total()
        self.faults += run.faults + run.seen
        self.repairs += len(run.repaired)
        if wrong:
            self.failing.append({'seed': run.seed, 'orchestrator': name, 'broken': wrong})

    def __iadd__(self, other: 'Tally') -> 'Tally':
        self.runs += other.runs
        self.events += other.events
        self.requests += other.requests
        self.faults += other.faults
        self.repairs += other.repairs
        self.failing += other.failing
        return self


def simulate_seeds(first: int, seeds: int, names: list[str], mutant: str | None = None, until_broken: bool = False) -> Tally:
    """
    Runs ``seeds`` seeds, the orchestrators of ``names`` in turn.

    :param mutant: breaks the core on purpose
    :param until_broken: stops at the first law that was broken
    """
    tally = Tally()
    expected = {name: _without_faults(name) for name in names}
    with simulating(), MUTANTS[mutant].broken() if mutant else contextlib.nullcontext():
        for seed in range(first, first + seeds):
            # Not in step with the kinds of faults, which go by the seed, too
            name = names[(seed // 4) % len(names)]
            NOTES.clear()
            run, wrong = try_seed(
                *(CORPUS[name], NO_ARGUMENTS, seed, expected[name]),
                cleaned=CLEANED,
                cancelled=CANCELLED,
                most_pending=MOST_PENDING,
                ours=True,
            )
            tally.add(name, run, wrong)
            if wrong and until_broken:
                break
    return tally


def orchestrators(mutant: str | None = None) -> list[str]:
    """The names of those that are run: all, or those that can see what a mutant has broken."""
    return list((mutant and MUTANTS[mutant].seen_in) or CORPUS)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    asked = _parser().parse_args(arguments)
    if asked.list_mutants:
        for name, mutant in MUTANTS.items():
            print(f'{name:32} {mutant.said}')
        return 0
    first = random.SystemRandom().randrange(10**9) if asked.first is None else asked.first
    names = [asked.orchestrator] if asked.orchestrator else orchestrators(asked.mutant)
    began = time.perf_counter()
    tally = Tally()
    for part in _parts(first, asked, names):
        tally += part
        if asked.mutant and tally.failing:
            break
    seldom = {kind: tally.faults[kind] for kind in KINDS if tally.faults[kind] < asked.least}
    print(json.dumps(_report(first, asked, tally, seldom, time.perf_counter() - began), indent=2))
    return 1 if tally.failing or seldom else 0


def _parts(first: int, asked: Any, names: list[str]) -> Any:
    chunks = [
        (start, min(CHUNK, first + asked.seeds - start), names, asked.mutant, bool(asked.mutant))
        for start in range(first, first + asked.seeds, CHUNK)
    ]
    if asked.processes == 1:
        yield from (simulate_seeds(*chunk) for chunk in chunks)
        return
    with multiprocessing.get_context('spawn').Pool(asked.processes, _collect_seldom) as pool:
        yield from pool.imap_unordered(_simulate_chunk, chunks)


def _collect_seldom() -> None:
    # What was imported is not garbage, and a run leaves much at once
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)


def _simulate_chunk(chunk: Any) -> Tally:
    return simulate_seeds(*chunk)


@functools.cache
def _without_faults(name: str) -> Simulated:
    NOTES.clear()
    with simulating():
        return Simulation(CORPUS[name], NO_ARGUMENTS, 0, most_pending=MOST_PENDING, costs=True).run()


def _report(first: int, asked: Any, tally: Tally, seldom: dict[str, int], seconds: float) -> dict[str, Any]:
    return {
        'first_seed': first,
        'seeds': asked.seeds,
        'mutant': asked.mutant,
        'runs': tally.runs,
        'events': tally.events,
        'requests': tally.requests,
        'faults': dict(sorted(tally.faults.items())),
        'too_seldom': seldom,
        'repairs': tally.repairs,
        'seconds': round(seconds, 1),
        'failed': len(tally.failing),
        'failing': sorted(tally.failing, key=lambda failed: failed['seed'])[:TOLD],
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='python -m triggerflow_lithops.testing.simulate', description=__doc__.split('::')[0])
    parser.add_argument('--seeds', type=int, default=1000, metavar='N', help='how many runs (1000)')
    parser.add_argument('--from', dest='first', type=int, default=None, metavar='S', help='the first seed (a random one)')
    parser.add_argument('--orchestrator', choices=CORPUS, help='this one only')
    parser.add_argument('--mutant', choices=MUTANTS, help='break the core on purpose, and stop when it is found')
    parser.add_argument('--least', type=int, default=0, metavar='N', help='fail if a kind of fault came less often (0)')
    parser.add_argument('--list-mutants', action='store_true', help='tell what mutants there are')
    parser.add_argument('--processes', type=int, default=os.cpu_count() or 1, metavar='P', help='one for each core')
    return parser


class _Callable(types.ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Simulated:
        return simulate(*args, **kwargs)


# To import this module puts it where the package has the function of that name
sys.modules[__name__].__class__ = _Callable

if __name__ == '__main__':
    sys.exit(main())
