"""
What each kind of document of a run looks like, as far as anybody relies on it.

What is relied upon counts, and not only types: nothing that is taken from here makes a loop endless,
or waits for what can never be.
"""

import re
from typing import Any, Callable, Sequence

from .. import condition as conditions
from ..damage import Unfit
from ..shape import (
    LATEST,
    MOST,
    Check,
    anything,
    base64,
    base64s,
    between,
    both,
    by,
    count,
    each,
    exactly,
    fields,
    finite,
    flag,
    key,
    literal_bytes,
    mapping,
    moment,
    number,
    optional,
    pairs,
    pattern,
    positive,
    row,
    seconds,
    sequence,
    simple,
    text,
    texts,
)
from ..wording import outline
from .keys import JOBS, MAX_CALLS, RUNS

#: Of the protocol: of the documents that say that there is a run, or a workspace
VERSION = 1
#: Calls that one wait, or one call, may wait for
MOST_MEMBERS = 10_000_000

#: Names of steps that schedule jobs
JOB_KINDS = ('call_async', 'map', 'reduce')

#: A check that knows which key it is about
Rule = Callable[[str, Any], None]

#: A job that a call has made has the name of that call in front
_JOB = r'\d{1,9}-[A-Z]\d{1,9}'
job_name = pattern("the name of a job, such as '0-M001'", rf'{_JOB}(?:-\d{{5}}(?:-[0-9a-f]{{12}})?-{_JOB})*')
call_index = simple(f'a whole number from 0 to {MAX_CALLS - 1}', lambda value: type(value) is int and 0 <= value < MAX_CALLS)
calls = simple(f'a number of calls from 0 to {MAX_CALLS}', lambda value: type(value) is int and 0 <= value <= MAX_CALLS)
incarnation = pattern('an incarnation', r'[0-9A-Za-z]{1,32}')
#: Kind, function, number of calls, digest of the arguments
fingerprint = row(text, text, calls, text)

policy = fields(
    {
        'retries': between(0, MOST),
        'on': texts,
        'backoff': between(0, MOST),
        'factor': between(0, MOST),
        'max_backoff': between(0, MOST),
        'jitter': between(0, 1),
        'memory_factor': between(0, MOST),
    }
)

#: What an invocation of a run's own function needs. A firing says so in its trigger, but for the names
_CODE = {
    'code_key': key,
    'execution_timeout': seconds,
    'runtime_name': text,
    'runtime_memory': optional(count),
    'max_deaths': positive,
    'sweep_seconds': optional(seconds),
    'lanes': count,
    'max_pending_calls': count,
}
code = fields(_CODE)
_orchestrator = fields(
    {**_CODE, 'function': text, 'function_name': text},
    {'firing': fields({'home': key, 'trigger': text, 'number': text})},
)


def version(value: Any) -> None:
    """That of the protocol. What a newer one has written is not damaged."""
    if type(value) is int and value > VERSION:
        raise Unfit(f'version {outline(value)}', f'version {VERSION}: upgrade the plugin here', newer=True)
    exactly(VERSION)(value)


def members(value: Any) -> None:
    """Calls, as ranges of each job, in order and without a call that is in two of them."""
    mapping(value)
    total = 0
    for job, ranges in value.items():
        job_name(job)
        sequence(ranges)
        last = 0
        for found in ranges:
            if type(found) is not list or len(found) != 2 or not all(type(bound) is int for bound in found):
                raise Unfit(outline(found), 'two numbers of calls').inside(job)
            if not last <= found[0] < found[1] <= MAX_CALLS:
                raise Unfit(f'calls {outline(found[0])} to {outline(found[1])}', f'ranges in order, up to {MAX_CALLS}').inside(
                    job
                )
            last = found[1]
            total += last - found[0]
    if total > MOST_MEMBERS:
        raise Unfit(f'{total} calls', f'{MOST_MEMBERS} at the most')


position = count
positions = by(job_name, position)

# What starts a run, and ends it

_run = fields(
    {
        'version': version,
        'run_id': text,
        'incarnation': incarnation,
        'name': text,
        'orchestrator': _orchestrator,
        'retry': policy,
        'time': moment,
    }
)
#: What was raised: as :mod:`triggerflow_lithops.orchestrator.packing.exception_documents` has it
_raised = both(
    fields({'error': row(text, text), 'kind': text, 'traceback': text}, {'exception': base64, 'problem': text}),
    simple('what it was, or why it cannot be told', lambda value: 'exception' in value or 'problem' in value),
)
_failed = fields({'error': row(text, text)}, {'fields': mapping})
_ended: dict[str, Check] = {
    'completed': fields({'value': base64}),
    'cancelled': mapping,
    'lost': fields({'reason': text}),
    'failed': lambda value: _raised(value) if 'kind' in value else _failed(value),
}
_status = fields({'status': exactly(*_ended), 'time': moment})


def _run_of_its_id(where: str, document: Any) -> None:
    _run(document)
    if document['run_id'] != where.split('/')[1]:
        raise Unfit(f'the run {outline(document["run_id"])}', f'the run {where.split("/")[1]}').inside('run_id')


def _outcome(document: Any) -> None:
    _status(document)
    _ended[document['status']](document)


# Activations

_claim = fields({'cause': text, 'time': moment}, {'lived_by': count})
_death = fields({'reason': text, 'time': moment, 'due': seconds}, {'gave_way': flag})
_waiting = fields(
    {
        'context': fields(
            {
                'position': count,
                'members': members,
                'until_failure': flag,
                'jobs': positions,
                'due': optional(finite),
                'looked_at': members,
            }
        ),
        'action': fields({'number': positive}),
    }
)
_history = fields(
    {
        'time': moment,
        'history': fields(
            {
                'packs': each(key),
                'tail': base64,
                'outputs': each(row(key, members, count)),
                'waiting': lambda value: None if value == [] else fingerprint(value),
            }
        ),
    }
)


def _can_fire(document: Any) -> None:
    """What an activation waits for: something that can be."""
    _waiting(document)
    context = document['context']
    try:
        condition = conditions.validated(document.get('condition'))
    except (ValueError, TypeError):
        raise Unfit(outline(document.get('condition')), 'a condition').inside('condition') from None
    for name in ('members', 'looked_at'):
        for job in context[name]:
            if job not in context['jobs']:
                raise Unfit('nothing', f'where {job} was scheduled').inside('jobs')
    there = sum(stop - first for ranges in context['members'].values() for first, stop in ranges)
    if condition['name'] == 'NEVER' and context['due'] is not None:
        return
    wanted = condition.get('count', 0)
    possible = {'JOIN': wanted == there, 'THRESHOLD': wanted <= there}
    if not possible.get(condition['name'], False):
        raise Unfit(f'{condition["name"]} of {outline(wanted)}', f'what {there} calls can fulfil').inside('condition')


def _numbered(number: int, document: Any) -> None:
    if document['action']['number'] != number + 1:
        raise Unfit(outline(document['action']['number']), str(number + 1)).inside('action.number')


def _trigger(where: str, document: Any) -> None:
    _can_fire(document)
    _history(document)
    _numbered(int(where.split('/')[3]), document)


def _watch(where: str, document: Any) -> None:
    _can_fire(document)
    _numbered(int(where.rpartition('.w')[2]), document)


# What was decided at a position

_of_a_job = fields(
    {
        'job': job_name,
        'calls': calls,
        'func_key': key,
        'func_name': text,
        'chunksize': positive,
        'lanes': count,
        'execution_timeout': seconds,
        'lifetime': seconds,
        'retry': policy,
        'runtime_name': text,
        'runtime_memory': optional(count),
    }
)
_of_futures = fields({'metadata': mapping, 'parts_per_object': optional(each(count))})
_invocation = fields({'extra_env': mapping, 'data_key': optional(key), 'data_byte_ranges': anything, 'data': anything})
_inputs = optional(fields({'ranges': each(fields({'first': call_index, 'stop': positive})), 'jobs': positions}))
readings = each(row(count, text, sequence))
_recorded = fields({'activation': count, 'time': moment})
_choices: dict[str, Check] = {
    'now': number,
    'sleep': fields({'due': finite}),
    'wait': fields({'ended': members, 'in_time': flag, 'due': optional(finite)}),
    'record': lambda value: fields({'value': base64})(value) if type(value) is dict and 'value' in value else _raised(value),
}


def _data(found: Any, names: Sequence[object], where: str, check: Check) -> None:
    """What belongs to each call: a list of all of them in a fact, or by number in what is needed of one."""
    if type(found) is list:
        if len(found) != len(names):
            raise Unfit(outline(found), f'a list of {len(names)}').inside(where)
    elif type(found) is not dict or not all(str(name) in found for name in names):
        raise Unfit(outline(found), f'something for each of {len(names)} calls').inside(where)
    check(list(found.values()) if type(found) is dict else found)


def invocation(value: Any, names: Sequence[object]) -> None:
    """
    What invoking calls needs.

    :param names: their numbers, as text where only some of a job are meant
    """
    _invocation(value)
    if value['data_key'] is not None:
        _data(value['data_byte_ranges'], names, 'data_byte_ranges', pairs)
    elif names:
        _data(value['data'], names, 'data', base64s)


def inputs(needed: Any, of: int) -> None:
    """
    What the deferred calls of a job wait for.

    :param needed: to invoke them
    :param of: how many calls the job has
    """
    fields({'inputs': _inputs})(needed)
    value = needed['inputs']
    last = 0
    for found in value['ranges'] if value else ():
        if not last <= found['first'] < found['stop'] <= of:
            raise Unfit(f'calls up to {outline(found["stop"])}', f'calls of the {of} there are').inside('ranges')
        last = found['stop']
        if 'all' in found:
            members(found['all'])
            jobs = [*found['all']]
        else:
            row(job_name, call_index)(found.get('each'))
            jobs = [found['each'][0]]
            if found['each'][1] + found['stop'] - found['first'] > MAX_CALLS:
                raise Unfit(f'calls from {found["each"][1]}', f'calls below {MAX_CALLS}').inside('each')
        for job in jobs:
            if job not in value['jobs']:
                raise Unfit('nothing', f'where {job} was scheduled').inside('jobs')


def job(value: Any) -> None:
    """What is known of a scheduled job, but for what only invoking it needs."""
    if type(value) is dict and 'error' in value:
        # It could not be made
        fields({'job': job_name, 'calls': exactly(0)})(value)
        _raised(value)
        return
    _of_a_job(value)
    _of_futures(value)


def step(value: Any) -> None:
    """What a history knows of a fact. One that was derived has been written nowhere."""
    fields({'fingerprint': fingerprint}, {'activation': count, 'readings': readings})(value)
    kind = value['fingerprint'][0]
    if kind in JOB_KINDS:
        job(value)
    elif 'choice' in value and kind in _choices:
        try:
            _choices[kind](value['choice'])
        except Unfit as unfit:
            raise unfit.inside('choice') from None
    elif 'activation' in value and 'choice' not in value:
        raise Unfit('nothing', "a field 'choice'")


def _fact(document: Any) -> None:
    step(document)
    _recorded(document)
    if document['fingerprint'][0] in JOB_KINDS and 'error' not in document:
        try:
            found = document.get('invocation')
            invocation(found, range(document['calls']))
            inputs(found, document['calls'])
        except Unfit as unfit:
            raise unfit.inside('invocation') from None


# Calls

_attempt_of_a_call = fields(
    {'attempt': count, 'time': moment, 'due': between(0, LATEST), 'runtime_memory': optional(count)}, {'after': text}
)
_number = pattern('the number of a call', r'0|[1-9]\d{0,4}')
_dependent = fields({'position': position, 'job': fields({'activation': count}), 'inputs': by(_number, members)})
_event = fields(
    {
        'type': text,
        'executor_id': text,
        'job_id': text,
        'call_id': pattern('the id of a call', r'\d{5}'),
        'activation_id': optional(text),
        'exception': flag,
        'worker_start_tstamp': moment,
        'worker_end_tstamp': moment,
    },
    {
        'func_result_size': seconds,
        'result': literal_bytes,
        'new_futures': literal_bytes,
        'exc_info': literal_bytes,
        'logs': base64,
        'triggerflow_attempt': count,
        'triggerflow_output': key,
        'triggerflow_raised': text,
    },
)


def _attempt(where: str, document: Any) -> None:
    _attempt_of_a_call(document)
    if document['attempt'] != int(where.split('.')[-2]):
        raise Unfit(f'attempt {outline(document["attempt"])}', f'attempt {int(where.split(".")[-2])}').inside('attempt')
    if document['attempt']:
        text(document.get('after'))


def _waiting_calls(document: Any) -> None:
    _dependent(document)
    _of_a_job(document['job'])
    names = [*document['inputs']]
    if not names or not all(document['inputs'].values()):
        raise Unfit('nothing', 'calls, and what they wait for').inside('inputs')
    try:
        invocation(document['job'].get('invocation'), names)
    except Unfit as unfit:
        raise unfit.inside('job.invocation') from None


def event(document: Any) -> None:
    """Lithops' own status document of a call that has ended."""
    _event(document)
    if document['exception'] and 'exc_info' not in document:
        raise Unfit('nothing', "a field 'exc_info'")


def _always(check: Check) -> Rule:
    return lambda where, document: check(document)


#: By the last part of the key: what lies beside an activation
_OF_AN_ACTIVATION: dict[str, Rule] = {
    'claim.json': _always(_claim),
    'died.json': _always(_death),
    'trigger.json': _trigger,
    'fired.json': _always(mapping),
}
_WATCH = re.compile(r'\d{4}\.w\d{6,9}')
_DEPENDENT = re.compile(r'\d{4}\.d\d{6,9}\.\d{5}')


def _rule_of(where: str) -> Rule:
    parts = where.split('/')
    last = parts[-1]
    if parts[0] == JOBS and len(parts) >= 3:
        if parts[2] == 'a' and len(parts) == 5 and parts[3].isdigit():
            return _OF_AN_ACTIVATION.get(last, _always(mapping))
        if parts[2] == 'p':
            return _always(_fact)
        if last == 'status.json':
            return _always(event)
        if parts[2] == 'att':
            return _always(mapping) if last.endswith('.refused.json') else _attempt
        if _WATCH.fullmatch(last):
            return _watch
        if _DEPENDENT.fullmatch(last):
            return _always(_waiting_calls)
    elif parts[0] == RUNS and len(parts) == 3:
        return _run_of_its_id if last == 'run.json' else _always(_outcome)
    return _always(mapping)


def check_of_run(where: str, document: Any) -> None:
    """:raises Unfit: it is not one of the kind that belongs at a key of a run"""
    _rule_of(where)(where, document)
