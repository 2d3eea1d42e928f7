"""
Where each fact of a run lives in the bucket. Nothing here touches a store.

All keys of a run carry its *session*, ``<run_id>-<incarnation>``: a run that is
purged and started again under the same id never meets its past. The events of
calls are Lithops' own status objects, and have the keys that Lithops gives them,
but for the prefix: Lithops' cleaners delete all that lies below Lithops' own.

A *job* is named inside its run by ``<executor number>-<job id>`` (``0-M001``),
a *call* by a pair of its job and its index (``('0-M001', 4)``).
"""

import re
from typing import Iterable, NamedTuple

#: Everything that a run needs, in the layout that Lithops has below ``lithops.jobs``
JOBS = 'triggerflow.jobs'
#: The documents of runs, and their outcomes
RUNS = 'triggerflow.runs'
RUNTIMES = 'triggerflow.runtimes'
#: Written once in a bucket: whoever writes it again is told that it exists
PROBE = 'triggerflow.probe'
#: The documents of workspaces, and what they hold
WORKSPACES = 'triggerflow.workspaces'
HOMES = 'triggerflow.events'
#: What all keys of this plugin begin with
PREFIXES = (f'{JOBS}/', f'{RUNS}/', f'{RUNTIMES}/', PROBE, f'{WORKSPACES}/', f'{HOMES}/')

#: Calls whose events are listed together. Ten, so that a group is a prefix of
#: Lithops' five-digit call ids
GROUP = 10
#: Call ids have five digits, and a longer one would be in two groups
MAX_CALLS = 100_000

#: What an id is: of a run, of a trigger, and the name of a workspace, which are parts of keys
ID = '1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or a digit'
_RUN_ID = re.compile(r'[A-Za-z0-9][A-Za-z0-9._-]{0,63}')
_WATCH = re.compile(r'/\d{4}\.w(\d{6})$')
_DEPENDENT = re.compile(r'/\d{4}\.d\d{6}\.\d{5}$')
_EVENT = re.compile(r'/(\d{5})/status\.json$')
#: Behind its session: of itself, of an executor, of a job, and of an executor inside a call
_OF_A_RUN = re.compile(r'/|-\d+/|-\d+-[A-Z]\d+(/|-\d{5}-[0-9a-f]{12}-\d+[-/])')
_REFUSED = re.compile(r'/att/(\d{5})\.refused\.json$')
_ATTEMPT = re.compile(r'/att/(\d{5})\.(\d{3})\.json$')


class Call(NamedTuple):
    """One function of one job, inside a run."""

    job: str
    number: int

    @property
    def call_id(self) -> str:
        """Lithops' id of this call, such as ``00004``."""
        return call_id(self.number)


class Group(NamedTuple):
    """Ten neighbouring calls of one job, whose events one listing shows."""

    job: str
    number: int


def is_run_id(text: object) -> bool:
    """Whether ``text`` is 1 to 64 of ``A-Z a-z 0-9 . _ -``, the first a letter or a digit: no path, no hidden file, no option."""
    return isinstance(text, str) and bool(_RUN_ID.fullmatch(text))


def session_of(run_id: str, incarnation: str) -> str:
    """The session id that Lithops is given for all that a run calls."""
    return f'{run_id}-{incarnation}'


def run_of_session(session: str) -> tuple[str, str]:
    """The inverse of :func:`session_of`. An incarnation has no dash; a run id may have some."""
    run_id, _, incarnation = session.rpartition('-')
    return run_id, incarnation


def call_id(index: int) -> str:
    """Lithops' call id: five digits."""
    return f'{index:05d}'


def run_key(run_id: str) -> str:
    """That a run was started, and its incarnation."""
    return f'{RUNS}/{run_id}/run.json'


def runtime_key(name: str, digest: str) -> str:
    """
    That a runtime was found to have what a worker needs.

    :param name: Lithops' key of the runtime
    :param digest: of what a worker needs
    """
    return f'{RUNTIMES}/{name}/{digest}.json'


def run_ids(listed: Iterable[str]) -> list[str]:
    """The ids of the runs whose documents are among the ``listed`` keys."""
    return [key.split('/')[1] for key in listed if key.endswith('/run.json')]


def sessions_of(run_id: str, listed: Iterable[str]) -> list[str]:
    """
    The sessions of a run, one for each time that it was started, of which there is anything.

    :param listed: keys of it, and maybe of runs whose ids begin alike
    """
    own = re.compile(rf'(?:{JOBS}/({re.escape(run_id)}-[0-9a-f]+)/|{RUNS}/{re.escape(run_id)}/([0-9a-f]+)\.outcome\.json$)')
    found = (match for match in map(own.match, listed) if match)
    return sorted({match[1] or session_of(run_id, match[2]) for match in found})


def outcome_key(session: str) -> str:
    """How the run ended. It lies beside the document of the run."""
    run_id, incarnation = run_of_session(session)
    return f'{RUNS}/{run_id}/{incarnation}.outcome.json'


def run_prefix(session: str) -> str:
    """What belongs to a run but to no job."""
    return f'{JOBS}/{session}/'


def code_key(session: str) -> str:
    """The orchestrator and its arguments, in the form of a Lithops function."""
    return f'{run_prefix(session)}orchestrator.func.pickle'


def activation_prefix(session: str) -> str:
    """What the activations of a run left."""
    return f'{run_prefix(session)}a/'


def claim_key(session: str, number: int) -> str:
    """Who lives activation ``number``."""
    return f'{activation_prefix(session)}{number:06d}/claim.json'


def trigger_key(session: str, number: int) -> str:
    """What activation ``number`` waits for, and the history that it knew."""
    return f'{activation_prefix(session)}{number:06d}/trigger.json'


def fired_key(session: str, number: int) -> str:
    """That somebody saw the trigger of activation ``number`` hold, and acts upon it."""
    return f'{activation_prefix(session)}{number:06d}/fired.json'


def death_key(session: str, number: int) -> str:
    """That activation ``number`` died, and of what."""
    return f'{activation_prefix(session)}{number:06d}/died.json'


def fact_key(session: str, position: int) -> str:
    """
    The one fact of a position: a job that was scheduled, or a choice. One key
    for both, so that two activations that differ meet in one place.
    """
    return f'{run_prefix(session)}p/{position:06d}.json'


def position_of(key: str) -> int:
    """The inverse of :func:`fact_key`."""
    return int(key.rsplit('/', 1)[1].removesuffix('.json'))


def facts_prefix(session: str) -> str:
    """All scheduled jobs and recorded choices of a run."""
    return f'{run_prefix(session)}p/'


def failure_prefix(session: str) -> str:
    """The calls that failed, for waits that end at the first failure."""
    return f'{run_prefix(session)}fail/'


def failure_key(session: str, call: Call) -> str:
    """That ``call`` failed."""
    return f'{failure_prefix(session)}{call.job}.{call.call_id}'


def failed_call(key: str) -> Call:
    """The inverse of :func:`failure_key`."""
    job, _, index = key.rsplit('/', 1)[1].rpartition('.')
    return Call(job, int(index))


def pack_key(session: str, nonce: str) -> str:
    """A copy of old facts in one object. A cache: facts never change."""
    return f'{run_prefix(session)}pack/{nonce}'


def sweep_key(session: str, number: int) -> str:
    """Who makes sweep ``number``, where one function after the other waits until the next one is due."""
    return f'{run_prefix(session)}s/{number:06d}.json'


def job_prefix(session: str, job: str) -> str:
    """All that belongs to one job."""
    return f'{JOBS}/{session}-{job}/'


def data_key(session: str, job: str, nonce: str) -> str:
    """The arguments of a job that are too large to travel in its payloads."""
    return f'{job_prefix(session, job)}data/{nonce}.pickle'


def output_key(job_key: str, call_id: str, nonce: str) -> str:
    """The output of one execution of one call. Two executions share none."""
    return f'{JOBS}/{job_key}/out/{call_id}.{nonce}.pickle'


def event_key(session: str, call: Call) -> str:
    """The event of a call: Lithops' own status object."""
    return f'{job_prefix(session, call.job)}{call.call_id}/status.json'


def attempts_prefix(session: str, job: str) -> str:
    """The attempts of the calls of a job, from each call's second one on; of a deferred call, from its first."""
    return f'{job_prefix(session, job)}att/'


def attempt_key(session: str, call: Call, attempt: int) -> str:
    """
    That ``call`` is to run again: attempt 1 follows upon attempt 0. That one has a key
    only if the call was deferred.
    """
    return f'{attempts_prefix(session, call.job)}{call.call_id}.{attempt:03d}.json'


def refused_key(session: str, call: Call) -> str:
    """That ``call`` should have followed in its lane, and the function service did not take it."""
    return f'{attempts_prefix(session, call.job)}{call.call_id}.refused.json'


def refused_calls(job: str, listed: Iterable[str]) -> set[Call]:
    """The calls that have such a key, among the ``listed`` ones."""
    return {Call(job, int(match[1])) for match in map(_REFUSED.search, listed) if match}


def latest_attempts(job: str, listed: Iterable[str]) -> dict[Call, int]:
    """The latest attempt of each call that has one with a key, among the ``listed`` keys."""
    found = (match for match in map(_ATTEMPT.search, sorted(listed)) if match)
    return {Call(job, int(match[1])): int(match[2]) for match in found}


def retried_call(key: str) -> tuple[str, int] | None:
    """Call id and number of the further attempt that ``key`` is of; None if it is another key."""
    match = _ATTEMPT.search(key)
    return None if match is None or not int(match[2]) else (match[1], int(match[2]))


def group_of(call: Call) -> Group:
    """The group that ``call`` is listed with."""
    return Group(call.job, call.number // GROUP)


def group_prefix(session: str, group: Group) -> str:
    """One listing of it shows the events of a group and who watches it."""
    return f'{job_prefix(session, group.job)}{group.number:04d}'


def watch_key(session: str, group: Group, number: int) -> str:
    """That activation ``number`` watches a group."""
    return f'{group_prefix(session, group)}.w{number:06d}'


def dependent_key(session: str, group: Group, position: int, first: int) -> str:
    """That calls of the job of ``position``, the first one of which is ``first``, wait for calls of a group."""
    return f'{group_prefix(session, group)}.d{position:06d}.{call_id(first)}'


def ended_calls(job: str, listed: Iterable[str]) -> set[Call]:
    """The calls of ``job`` whose events are among the ``listed`` keys."""
    return {Call(job, int(match[1])) for match in map(_EVENT.search, listed) if match}


def watchers(listed: Iterable[str]) -> list[int]:
    """The numbers of the activations that watch, among the ``listed`` keys."""
    return sorted(int(match[1]) for match in map(_WATCH.search, listed) if match)


def dependents(listed: Iterable[str]) -> list[str]:
    """The keys of what waits for calls of a group, among the ``listed`` keys."""
    return [key for key in listed if _DEPENDENT.search(key)]


def is_key_of(session: str, key: str, below: str = JOBS) -> bool:
    """Whether ``key``, which lies ``below`` a prefix, belongs to the run of ``session`` and to no other."""
    rest = key.removeprefix(f'{below}/{session}')
    return rest != key and bool(_OF_A_RUN.match(rest))
