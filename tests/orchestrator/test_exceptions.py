"""What describes a failure cannot fail: exceptions come out as they went in, or as something that says what they were."""

import ast
import base64
import contextlib
import contextvars
import functools
import importlib
import inspect
import json
import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import cloudpickle
import failing
import lithops
import pytest
from failing import NOT_SENT, SENT, add3, caught, in_a_call, looks, seen
from lithops.monitoring.backends.triggerflow import compute, error_text, exceptions, runner_hooks
from lithops.monitoring.backends.triggerflow.failure import exception_of, failure_of, last_words, lost, stats_of
from lithops.worker.jobrunner import JobRunner
from lithops.worker.utils import LogStream

import triggerflow_lithops
from triggerflow_lithops import ChangedCodeError, OutcomeError, Retry, errors, record, testing
from triggerflow_lithops.client.run import Run, value_of
from triggerflow_lithops.core.outcome import failed_run
from triggerflow_lithops.core.run.attempts import DEFAULT, Execution, next_attempt
from triggerflow_lithops.core.run.keys import Call
from triggerflow_lithops.core.store import Facts, StoreUnavailable
from triggerflow_lithops.orchestrator.outcome import completed, raised
from triggerflow_lithops.orchestrator.packing import exception_documents
from triggerflow_lithops.orchestrator.runner import run_to_end
from triggerflow_lithops.orchestrator.user_code import NO_ARGUMENTS, call

#: Reads exceptions where nothing of Lithops' worker has been set up, and shows each
READER = """
import json, pickle, sys
from failing import seen
with open(sys.argv[1], 'rb') as file:
    shown = [seen(pickle.loads(pickled)) for pickled in pickle.load(file)]
print(json.dumps(shown))
"""


with_groups = pytest.mark.skipif(sys.version_info < (3, 11), reason='there are no groups of exceptions before Python 3.11')


def links(error):
    return [type(found).__name__ for found in (error.__cause__, error.__context__)], error.__suppress_context__


# Sending


@pytest.mark.parametrize('name', SENT)
def test_the_same_exception_comes_out(name):
    error = caught(SENT[name])
    for by_value in (False, True):
        found = exceptions.loads(exceptions.dumps(error, by_value=by_value))
        assert type(found) is type(error) and seen(found) == seen(error)


def test_the_same_exceptions_come_out_in_another_process(tmp_path):
    found = {name: caught(fail) for name, fail in SENT.items()}
    (tmp_path / 'pickled').write_bytes(pickle.dumps([exceptions.dumps(error) for error in found.values()]))
    folder = os.path.dirname(failing.__file__)
    environment = {**os.environ, 'PYTHONPATH': folder}
    ended = subprocess.run([sys.executable, '-c', READER, tmp_path / 'pickled'], env=environment, capture_output=True, check=True)
    shown = dict(zip(found, json.loads(ended.stdout), strict=True))
    assert shown == {name: seen(error) for name, error in found.items()}


@pytest.mark.parametrize('name', ['chain', 'circle'])
def test_causes_and_contexts_come_along(name):
    error = caught(SENT[name])
    found = exceptions.loads(exceptions.dumps(error))
    assert links(found) == links(error) and str(found.__cause__) == str(error.__cause__)


def test_a_cause_that_cannot_be_sent_is_stood_in_for_and_spoils_nothing():
    found = exceptions.loads(exceptions.dumps(caught(SENT['lock as cause'])))
    assert str(found) == 'caused oddly' and type(found.__cause__) is Exception and 'ValueError: <unlocked' in str(found.__cause__)


def test_a_chain_without_end_is_cut():
    error = None
    for number in range(2000):
        following = ValueError(number)
        following.__context__, error = error, following
    found = exceptions.loads(exceptions.dumps(error))
    assert str(found) == '1999' and str(found.__context__) == '1998'


def test_a_traceback_comes_along_of_a_deep_one_both_ends():
    found = exceptions.loads(exceptions.dumps(caught(SENT['recursion'])))
    frames = error_text.frames_text(found)
    assert 'in caught' in frames and 'in deep' in frames


@with_groups
def test_a_member_of_a_group_that_cannot_be_sent_is_stood_in_for():
    found = exceptions.loads(exceptions.dumps(ExceptionGroup('group', [ValueError(1), caught(NOT_SENT['lock'])])))  # noqa: F821
    assert [type(member) for member in found.exceptions] == [ValueError, Exception] and 'lock' in str(found.exceptions[1])


@with_groups
def test_a_group_that_its_members_lead_back_to_comes_out():
    member = ValueError('member')
    found = ExceptionGroup('group', [member])  # noqa: F821
    member.__context__ = found
    outer = ExceptionGroup('outer', [found])  # noqa: F821
    found.__cause__ = outer
    again = exceptions.loads(exceptions.dumps(outer))
    assert again.exceptions[0].__cause__ is again and again.exceptions[0].exceptions[0].__context__ is again.exceptions[0]


def test_its_own_way_to_pickle_it_is_preferred():
    pickled = exceptions.dumps(caught(SENT['own way']))
    failing.made_in_its_own_way.clear()
    assert exceptions.loads(pickled).code == 7 and failing.made_in_its_own_way == [7]


def test_what_an_exception_means_to_leave_out_is_left_out():
    found = exceptions.loads(exceptions.dumps(failing.LeavesOut('a lock')))
    assert str(found) == 'a lock' and found.lock is not None


@pytest.mark.parametrize('name', NOT_SENT)
def test_what_cannot_be_sent_is_said(name):
    with pytest.raises(exceptions.CannotTravel):
        exceptions.dumps(caught(NOT_SENT[name]))


def test_an_object_that_has_no_such_attribute_is_not_stored():
    """It may be an executor, with the credentials of a store."""
    secret = SimpleNamespace(key='a-credential')
    assert b'a-credential' not in exceptions.dumps(caught(lambda: secret.not_there), by_value=True)


# Texts


@pytest.mark.parametrize('name', [*SENT, *NOT_SENT])
def test_a_text_is_short_and_can_be_encoded(name):
    error = caught({**SENT, **NOT_SENT}[name])
    for text in (error_text.text_of(error), error_text.traceback_text(error), error_text.described(error)):
        assert len(text.encode('utf-8')) < 15_000
    assert error_text.kind_of(type(error)) and error_text.names_of(type(error))


def test_of_a_long_text_both_ends_are_kept():
    text = error_text.text_of(ValueError('begin' + 'x' * 100_000 + 'end'))
    assert text.startswith('begin') and text.endswith('end') and 'left out' in text


# What a worker notes, and what is read from it


def test_what_the_function_raised_is_told_without_unpickling_it():
    status = {**stats_of(caught(SENT['end when read'])), 'exc_info': str(b'no pickle')}
    failure = failure_of(status)
    assert failure.reason == 'EndsWhenRead: n' and {'EndsWhenRead', 'failing.EndsWhenRead', 'Exception'} <= set(failure.kinds)
    assert 'EndsWhenRead' in last_words(status)


@pytest.mark.parametrize('name', ['mark', 'mark of memory', 'mark of time', 'array', 'final', 'number'])
def test_whatever_a_function_raised_was_not_lost(name):
    failure = failure_of(stats_of(caught(SENT[name])))
    assert failure.kinds and not failure.lost


@pytest.mark.parametrize('error', [RuntimeError('HANDLER', 'gone'), MemoryError('HANDLER', 'gone')])
def test_what_the_handler_says_of_a_call_is_that_it_was_lost(error):
    failure = failure_of({'exception': True, 'exc_info': str(pickle.dumps((type(error), error, None)))})
    assert failure.lost and failure.reason == 'gone' and failure.out_of_memory == isinstance(error, MemoryError)


def test_an_exception_is_retried_by_the_names_of_a_class_that_fails_when_it_is_asked():
    failure = failure_of(stats_of(caught(SENT['class'])))
    execution = Execution('s', Call('0-A000', 0), 0, 0, policy={**DEFAULT, 'on': Retry(on='failing.OddKind').policy()['on']})
    assert next_attempt(execution, failure, 0.0) is not None


def test_a_status_with_no_exception_in_it_is_of_a_call_that_was_lost():
    assert failure_of({'exception': True}).lost and failure_of({'exception': True, 'exc_info': 'nonsense'}).lost
    assert exception_of({'exception': True, 'exc_info': str(pickle.dumps(lost('gone')))}) is None


def test_a_call_whose_exception_is_of_a_module_that_is_missing_here_is_told_in_words(tmp_path, monkeypatch):
    (tmp_path / 'missing_here.py').write_text('class Odd(Exception):\n    pass\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    status = stats_of(importlib.import_module('missing_here').Odd('words'))
    document = exception_documents.document_of(sys.modules['missing_here'].Odd('words'))
    monkeypatch.undo()
    del sys.modules['missing_here']
    found = exception_of(status)
    assert type(found) is Exception and str(found).startswith('missing_here.Odd: words\n') and 'No module named' in str(found)
    found = exception_documents.exception_of(document, 'Run r')
    assert (type(found), found.kind, found.message) == (OutcomeError, 'missing_here.Odd', 'words')
    assert "No module named 'missing_here'" in str(found) and 'missing_here.Odd: words' in found.traceback


def test_what_lithops_sends_as_a_text_is_sent_as_that_text():
    class Local(Exception):
        pass

    status = stats_of(caught(lambda: failing.raises(Local('words'))))
    found = pickle.loads(ast.literal_eval(status['exc_info']))
    assert status['exc_pickle_fail'] and found['exc_value'].startswith('words\n  File ') and 'Local' in found['exc_type']
    assert type(exception_of(status)) is Exception and str(exception_of(status)) == found['exc_value']


# Hooks into Lithops' worker


@pytest.mark.parametrize('module, owner, name', [hooked[:3] for hooked in runner_hooks.HOOKED])
def test_what_is_hooked_is_there(module, owner, name):
    assert callable(getattr(getattr(importlib.import_module(module), owner), name))


def test_a_call_of_no_run_ends_as_lithops_made_it():
    runner, asked = SimpleNamespace(job=SimpleNamespace(config={}, executor_id='e')), []
    for ours in (runner_hooks._run, runner_hooks._write_exception):
        ours(asked.append, runner)
    future = SimpleNamespace(_call_status={'exception': True})
    runner_hooks._raise_call_exception(lambda *given: asked.append(given), future, True)
    assert asked == [runner, runner, (future, True)]


def test_what_lithops_itself_could_not_report_is_not_taken_for_an_end_of_the_function():
    """An upload of a result that failed, for instance."""

    def fails(runner):
        raise OSError('no storage')

    field = {'session': 's', 'subject': 'call'}
    runner = SimpleNamespace(job=SimpleNamespace(triggerflow=field, config={}, executor_id='s-0'))
    with pytest.raises(OSError, match='no storage'):
        runner_hooks._run(fails, runner)


def test_hooking_twice_hooks_once():
    runner_hooks.hook()
    hooked = JobRunner.run, lithops.future.ResponseFuture._raise_call_exception
    runner_hooks.hook()
    assert (JobRunner.run, lithops.future.ResponseFuture._raise_call_exception) == hooked


# Outcomes


def ours():
    """An error of each class that an outcome may name."""
    return [
        ChangedCodeError('run-7', 3, 'map(shout)', 'map(whisper)'),
        errors.RunNotFoundError('run-7', 'bucket'),
        errors.RunCancelled('run-7'),
        OutcomeError('cannot be read', 'm.Odd', 'words', 'lines'),
        *(kind('words') for kind in errors._BY_NAME.values() if '__init__' not in vars(kind)),
    ]


@pytest.mark.parametrize('error', ours(), ids=lambda error: type(error).__name__)
def test_an_error_of_ours_comes_out_of_an_outcome_with_its_fields(error):
    outcome = json.loads(json.dumps(failed_run(error, 0.0)))
    found = caught(lambda: value_of('run-7', outcome))
    assert type(found) is type(error) and str(found) == str(error) and vars(found) == vars(error)


@pytest.mark.parametrize('kind', [compute.PayloadTooLarge, compute.RuntimeGone])
def test_an_error_of_a_worker_comes_out_as_ours_of_the_same_name(kind):
    with pytest.raises(getattr(errors, kind.__name__), match='words'):
        value_of('r', failed_run(kind('words'), 0.0))


def test_every_error_of_ours_can_come_out_of_an_outcome():
    defined = [found for found in vars(errors).values() if isinstance(found, type) and issubclass(found, errors.TriggerflowError)]
    assert {found.__name__ for found in defined} - {'TriggerflowError'} == set(errors._BY_NAME)


@pytest.mark.parametrize('name', [*triggerflow_lithops.__all__, *testing.__all__])
def test_public_errors_are_one_tree(name):
    found = getattr(triggerflow_lithops, name, None) or getattr(testing, name)
    if isinstance(found, type) and issubclass(found, BaseException):
        assert issubclass(found, errors.TriggerflowError)


def test_a_bucket_that_does_not_answer_is_a_public_error():
    class Away:
        def get(self, key):
            raise StoreUnavailable('it is away')

    document = {'run_id': 'r', 'name': 'r', 'incarnation': 'i', 'time': 0.0}
    with pytest.raises(triggerflow_lithops.TriggerflowError, match='it is away'):
        Run({}, Facts(Away(), pauses=()), document).status()


@pytest.mark.parametrize('name', ['my_activation.py', 'runner.py', 'user_code.py'])
def test_the_traceback_begins_in_the_code_of_the_user_whatever_its_file_is_called(tmp_path, name):
    scope = {}
    exec(compile('def main():\n    raise ValueError("no")\n', str(tmp_path / name), 'exec'), scope)
    hooks = SimpleNamespace(replay=SimpleNamespace(seed=lambda: None))
    # In a context of its own, as an orchestrator has one
    played = contextvars.copy_context().run(run_to_end, functools.partial(call, scope['main'], NO_ARGUMENTS), hooks)
    error = played.error
    assert len(frames_of(error)) == 3
    outcome = raised(error, 0.0)
    assert frames_of(exception_documents.exception_of(outcome, 'r')) == [(str(tmp_path / name), 'main')]
    assert outcome['traceback'].count('File ') == 1


def frames_of(error):
    """File and function of each frame of its traceback."""
    frames, traceback = [], error.__traceback__
    while traceback is not None:
        frames.append((traceback.tb_frame.f_code.co_filename, traceback.tb_frame.f_code.co_name))
        traceback = traceback.tb_next
    return frames


class EndsWhenPickled:
    def __reduce__(self):
        raise SystemExit(9)


class EndsWhenRead:
    def __reduce__(self):
        return failing._exits, ()


def test_a_value_that_ends_its_process_when_it_is_pickled_or_read_is_an_outcome_error():
    with pytest.raises(OutcomeError, match='cannot be pickled: SystemExit: 9'):
        value_of('r', completed(EndsWhenPickled(), 0.0))
    with pytest.raises(OutcomeError, match='cannot be read here: SystemExit: 9'):
        value_of('r', completed(EndsWhenRead(), 0.0))


def test_an_outcome_that_cannot_be_read_is_an_outcome_error_and_not_what_it_does():
    outcome = {**raised(ValueError('words'), 0.0), 'exception': base64.b64encode(cloudpickle.dumps(EndsWhenRead())).decode()}
    found = caught(lambda: value_of('r', outcome))
    assert (type(found), found.kind, found.message) == (OutcomeError, 'ValueError', 'words')


# Real runs


def test_each_call_that_fails_runs_once_and_its_exception_is_the_same_on_every_replay(run, tmp_path):
    first, second = run(looks, str(tmp_path))
    assert first == second
    assert {name: (tmp_path / name).read_text() for name in (*SENT, *NOT_SENT)} == dict.fromkeys((*SENT, *NOT_SENT), 'x')
    found = dict(zip((*SENT, *NOT_SENT), first, strict=True))
    # Lithops sends these as texts: their classes cannot be called with their arguments
    as_texts = {'two', 'slots', 'file of its own', *NOT_SENT}
    assert {name for name, shown in found.items() if shown[0] == 'Exception'} == as_texts
    assert {name: found[name] for name in {*SENT} - as_texts} == {name: seen(caught(SENT[name])) for name in {*SENT} - as_texts}


@pytest.mark.parametrize('name', ['exit', 'cancelled', 'final', 'number', 'end when read', 'slots', 'axis', 'mark', 'class'])
def test_an_orchestrator_that_raises_fails_its_run_at_once_with_that_exception(executor, tmp_path, name):
    run = executor.run(lambda folder: in_a_call(name, folder), str(tmp_path))
    error = caught(lambda: run.result(timeout=60))
    assert seen(error) == seen(caught(SENT[name])) and run.status() == 'failed'
    assert (tmp_path / name).read_text() == 'x'
    assert 'in_a_call' in [function for _, function in frames_of(error)]


def test_an_orchestrator_whose_exception_cannot_be_pickled_is_told_in_words(executor, tmp_path):
    error = caught(lambda: executor.run(lambda folder: in_a_call('lock', folder), str(tmp_path)).result(timeout=60))
    assert (type(error), error.kind) == (OutcomeError, 'ValueError') and '_thread.lock' in error.message
    assert 'in in_a_call' in error.traceback and 'cannot pickle' in str(error) and (tmp_path / 'lock').read_text() == 'x'


def test_what_record_raises_is_the_same_at_first_and_on_every_replay(run):
    names = [name for name in SENT if name != 'recursion']

    def main():
        shown = [seen(caught(lambda name=name: record(SENT[name]))) for name in names]
        first = record(lambda: shown)
        lithops.FunctionExecutor().call_async(add3, 1).result()
        unpicklable = caught(lambda: record(NOT_SENT['lock']))
        return first, shown, type(unpicklable).__name__, unpicklable.kind, 'in raises' in unpicklable.traceback

    first, shown, *stand_in = run(main)
    assert first == shown == [seen(caught(SENT[name])) for name in names] and stand_in == ['OutcomeError', 'ValueError', True]


def test_an_end_inside_a_call_that_makes_calls_is_an_end_too(run, tmp_path):
    def nested(folder):
        fexec = lithops.FunctionExecutor()
        return type(caught(fexec.call_async(in_a_call, ('cancelled', folder)).result)).__name__

    def main(folder):
        fexec = lithops.FunctionExecutor()
        return fexec.call_async(nested, folder).result()

    assert run(main, str(tmp_path)) == 'CancelledError' and (tmp_path / 'cancelled').read_text() == 'x'


@pytest.mark.parametrize(('name', 'given'), [('write', ['a line\n']), ('flush', [])])
def test_a_log_for_which_there_is_no_room_is_no_failure_of_the_function_that_prints(name, given):
    (ours,) = [ours for _, owner, hooked, ours in runner_hooks.HOOKED if (owner, hooked) == ('LogStream', name)]
    with contextlib.suppress(OSError), open('/dev/full', 'w') as full:
        stream = LogStream(full)
        full.write('a line before')
        with pytest.raises(OSError, match='No space left'):
            inspect.unwrap(LogStream.flush)(stream)
        ours(inspect.unwrap(getattr(LogStream, name)), stream, *given)
        given.append('it came here')
    assert given[-1] == 'it came here'
