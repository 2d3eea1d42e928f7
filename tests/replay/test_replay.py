"""What a replay must not do: differ, repeat, or be heard."""

import os
import random
import time
from pathlib import Path

import lithops
import pytest

from triggerflow_lithops import ChangedCodeError


def add3(x):
    # So long that the activation is suspended meanwhile: one that sees that the call has ended goes on, and nothing is replayed
    time.sleep(1)
    return x + 3


def once_per_activation(path):
    """How many activations have come by here."""
    with open(path, 'a') as file:
        file.write('x')
    return os.path.getsize(path)


def keys_of(run):
    return set(run._facts.list(f'triggerflow.jobs/{run.session}'))


def test_a_changed_call_is_reported_with_position_and_both_calls(executor, tmp_path):
    path = str(tmp_path / 'activations')

    def shout(x):
        time.sleep(1)
        return x

    def whisper(x):
        return x

    def main():
        fexec = lithops.FunctionExecutor()
        changed = once_per_activation(path) > 1
        fexec.get_result(fexec.map(whisper if changed else shout, range(3)))

    run = executor.run(main)
    with pytest.raises(ChangedCodeError) as raised:
        run.result(timeout=90)
    text = str(raised.value)
    assert f'{run.run_id}, step 0' in text
    assert 'shout, 3 calls' in text and 'whisper, 3 calls' in text


def test_changed_code_writes_nothing_but_its_outcome(executor, tmp_path):
    path = str(tmp_path / 'activations')
    before = str(tmp_path / 'before')

    def listing():
        from lithops.storage import Storage

        return '\n'.join(sorted(Storage(backend='localhost').list_keys('storage', 'triggerflow.jobs/')))

    def main():
        fexec = lithops.FunctionExecutor()
        if once_per_activation(path) == 1:
            fexec.get_result(fexec.call_async(add3, 1))
        Path(before).write_text(listing())
        fexec.get_result(fexec.call_async(add3, b'2' * 10_000))

    run = executor.run(main)
    with pytest.raises(ChangedCodeError):
        run.result(timeout=90)
    known = {key for key in Path(before).read_text().split('\n') if run.session in key}
    assert keys_of(run) == known and run.status() == 'failed'


@pytest.mark.parametrize(
    'first, then',
    [
        (lambda fexec: fexec.call_async(add3, 1), lambda fexec: fexec.map(add3, [1])),
        (lambda fexec: fexec.call_async(add3, 1), lambda fexec: fexec.call_async(add3, 2)),
        (lambda fexec: fexec.map(add3, [1, 2]), lambda fexec: fexec.map(add3, [1, 2, 3])),
        (lambda fexec: fexec.call_async(add3, 1), lambda fexec: None),
        (lambda fexec: None, lambda fexec: fexec.call_async(add3, 1)),
    ],
)
def test_any_other_step_at_a_position_is_reported(executor, tmp_path, first, then):
    path = str(tmp_path / 'activations')

    def main():
        fexec = lithops.FunctionExecutor()
        (first if once_per_activation(path) == 1 else then)(fexec)
        return fexec.get_result(fexec.call_async(add3, 100))

    with pytest.raises(ChangedCodeError):
        executor.run(main).result(timeout=90)


def test_an_orchestrator_that_ends_too_early_is_reported(executor, tmp_path):
    path = str(tmp_path / 'activations')

    def main():
        fexec = lithops.FunctionExecutor()
        if once_per_activation(path) == 1:
            fexec.get_result(fexec.call_async(add3, 100))

    with pytest.raises(ChangedCodeError, match='is the end now'):
        executor.run(main).result(timeout=90)


def test_changed_code_cannot_be_caught_by_the_orchestrator(executor, tmp_path):
    path = str(tmp_path / 'activations')

    def main():
        fexec = lithops.FunctionExecutor()
        try:
            fexec.get_result(fexec.call_async(add3, once_per_activation(path)))
        except BaseException:
            return 'caught'

    with pytest.raises(ChangedCodeError):
        executor.run(main).result(timeout=90)


def test_a_loop_over_a_set_that_comes_in_another_order_is_reported(executor, tmp_path):
    path = str(tmp_path / 'activations')

    class Colour(str):
        # An order that differs from process to process, as that of strings does
        def __hash__(self):
            return random.SystemRandom().randrange(10**9)

    def main():
        fexec = lithops.FunctionExecutor()
        for colour in {Colour(name) for name in 'abcdefghijklmnop'}:
            fexec.get_result(fexec.call_async(lambda x: x, str(colour)))
        return once_per_activation(path)

    with pytest.raises(ChangedCodeError, match='sorted'):
        executor.run(main).result(timeout=90)


def test_finally_with_and_except_around_a_wait_run_once(run, tmp_path):
    log = str(tmp_path / 'log')

    def note(what):
        with open(log, 'a') as file:
            file.write(f'{what}\n')

    class Context:
        def __enter__(self):
            return self

        def __exit__(self, *error):
            note(f'exit {error[0]}')

    def main():
        fexec = lithops.FunctionExecutor()
        try:
            with Context():
                value = fexec.get_result(fexec.call_async(add3, 0))
                return fexec.get_result(fexec.call_async(add3, value))
        except BaseException as error:
            note(f'except {error}')
            raise
        finally:
            note('finally')

    assert run(main) == 6
    with open(log) as file:
        assert file.read() == 'exit None\nfinally\n'


def test_a_wait_inside_a_thread_pool_block_does_not_keep_the_process(executor):
    def main():
        from concurrent.futures import ThreadPoolExecutor

        fexec = lithops.FunctionExecutor()
        with ThreadPoolExecutor(2) as pool:
            pool.submit(len, 'x').result()
            return fexec.get_result(fexec.call_async(add3, 0))

    run = executor.run(main)
    assert run.result(timeout=90) == 3
    assert all(activation['ended'] - activation['started'] < 60 for activation in run.activations())


def test_a_replay_prints_and_logs_nothing_that_was_printed(executor):
    def main():
        import logging

        fexec = lithops.FunctionExecutor()
        for number in range(3):
            print(f'step-{number}')
            logging.getLogger('lithops').info(f'line-{number}')
            fexec.get_result(fexec.call_async(add3, number))
        print('the-end')

    run = executor.run(main)
    run.result(timeout=90)
    from lithops.constants import LOGS_DIR

    log = Path(LOGS_DIR, f'{run.session}-O000.log').read_text()
    assert [log.count(text) for text in ('step-0', 'step-1', 'step-2', 'the-end')] == [1, 1, 1, 1]


def test_a_replay_uploads_the_function_of_a_loop_once(executor):
    def main():
        fexec = lithops.FunctionExecutor()
        for number in range(5):
            fexec.get_result(fexec.call_async(add3, number))

    run = executor.run(main)
    run.result(timeout=90)
    assert sum(key.endswith('.func.pickle') for key in keys_of(run)) == 2


def test_a_long_history_is_packed(executor):
    def main():
        fexec = lithops.FunctionExecutor()
        return sum(fexec.get_result(fexec.call_async(lambda x: x, number)) for number in range(30))

    run = executor.run(main)
    assert run.result(timeout=120) == sum(range(30))
    assert any('/pack/' in key for key in keys_of(run))


def test_an_orchestrator_whose_process_dies_is_succeeded(executor, tmp_path):
    path = str(tmp_path / 'activations')

    def main():
        fexec = lithops.FunctionExecutor()
        value = fexec.get_result(fexec.call_async(add3, 0))
        if once_per_activation(path) == 1:
            os.kill(os.getpid(), 9)
        return fexec.get_result(fexec.call_async(add3, value))

    run = executor.run(main)
    assert run.result(timeout=90) == 6
    assert 'died' in {activation['result'] for activation in run.activations()}


def test_an_orchestrator_that_dies_again_and_again_fails_and_says_of_what(executor):
    from triggerflow_lithops import RunDied

    def main():
        os._exit(7)

    with pytest.raises(RunDied, match=r'(?s)3 activations in a row died.*code 7'):
        executor.run(main).result(timeout=90)
