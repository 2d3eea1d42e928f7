"""What users look at when calls have ended works after a replay as it does in Lithops."""

import sys
from pathlib import Path
from types import SimpleNamespace

import lithops
import pytest
from lithops.constants import LOGS_DIR

from triggerflow_lithops import TriggerflowExecutor, record


def add3(x):
    print(f'added to {x}')
    return x + 3


def large(x):
    return bytes(100_000)


def fail(x):
    raise ValueError(x)


def two_jobs(fexec):
    """What comes back is small, or large."""
    futures = fexec.map(add3, [1, 2])
    fexec.get_result(futures)
    futures.append(fexec.call_async(large, 1))
    fexec.get_result(futures[-1])
    return futures


def three_jobs(fexec):
    """What comes back of the third is an exception."""
    futures = two_jobs(fexec)
    futures.append(fexec.call_async(fail, 1))
    futures[-1].status(throw_except=False)
    return futures


@pytest.fixture
def driver(config):
    """A plain executor of Lithops. The first version of its localhost backend: the second one hangs now and then."""
    plain = {'lithops': config['lithops'], 'localhost': {'version': 1, 'runtime': sys.executable}}
    with lithops.FunctionExecutor(config=plain, log_level=None) as fexec:
        yield fexec


def replayed(fexec):
    """Lets the orchestrator be suspended, and start anew."""
    for step in range(2):
        fexec.call_async(add3, step).result()


def measured(futures):
    """The names of all stats, and whether they are numbers."""
    return [{name: isinstance(value, (int, float)) for name, value in sorted(future.stats.items())} for future in futures]


def test_stats_are_those_of_lithops_after_a_replay(executor, driver):
    def main():
        fexec = lithops.FunctionExecutor()
        futures = three_jobs(fexec)
        replayed(fexec)
        return measured(futures)

    run = executor.run(main)
    found = run.result(timeout=60)
    assert len(run.activations()) > 3
    assert found == measured(three_jobs(driver))


def test_stats_are_the_same_on_every_replay(run):
    def main():
        fexec = lithops.FunctionExecutor()
        futures = three_jobs(fexec)
        # As it was when they had just come
        first = record(lambda: [future.stats for future in futures])
        replayed(fexec)
        return first, [future.stats for future in futures]

    first, then = run(main)
    assert first == then
    for stats in then[:3]:
        assert stats['host_submit_tstamp'] < stats['worker_end_tstamp'] <= stats['host_result_done_tstamp']


def test_plots_are_drawn_after_a_replay(run, tmp_path):
    folder = str(tmp_path)

    def main():
        fexec = lithops.FunctionExecutor()
        futures = three_jobs(fexec)
        replayed(fexec)
        fexec.plot(dst=f'{folder}/all')
        fexec.plot(futures[:2], dst=f'{folder}/some', figsize=(4, 3))
        return len(fexec.futures)

    assert run(main) == 6
    files = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert sorted(files) == [f'{which}_{kind}.png' for which in ('all', 'some') for kind in ('histogram', 'timeline')]
    assert min(files.values()) > 1000


def summed_up(fexec):
    """The summary of an executor, as if its backend knew what it costs. The times differ each time."""
    import pandas

    fexec.compute_handler = SimpleNamespace(
        backend=SimpleNamespace(name='priced', calc_cost=lambda runtimes, memory: len(runtimes) * sum(memory)),
        clear=lambda *args, **kwargs: None,
    )
    for future in fexec.futures:
        # Which Lithops knows everywhere but on localhost
        future.runtime_memory = 128
    fexec.job_summary(cloud_objects_n=2)
    summary = pandas.read_csv(fexec.log_path)
    assert (summary.AvgRuntime > 0).all()
    return summary.drop(columns='AvgRuntime').to_csv(index=False)


def test_a_summary_after_a_replay_is_that_of_lithops(run, driver):
    def main():
        fexec = lithops.FunctionExecutor()
        two_jobs(fexec)
        replayed(fexec)
        return summed_up(fexec)

    two_jobs(driver)
    replayed(driver)
    summary = summed_up(driver)
    # A header, four jobs, and all of them
    assert len(summary.splitlines()) == 6
    assert run(main) == summary


def test_what_calls_have_printed_is_kept_once_and_known_after_a_replay(executor):
    def main():
        fexec = lithops.FunctionExecutor()
        futures = three_jobs(fexec)
        replayed(fexec)
        return [future.logs for future in futures], futures[0].job_key

    run = executor.run(main)
    logs, job_key = run.result(timeout=60)
    assert len(run.activations()) > 3
    assert [log.count('added to') for log in logs] == [1, 1, 0, 0] and 'ValueError' in logs[3]
    assert Path(LOGS_DIR, f'{job_key}.log').read_text().count('added to') == 2


def test_an_orchestrator_logs_what_a_driver_logs_and_each_line_once(config):
    def main():
        fexec = lithops.FunctionExecutor()
        fexec.get_result(fexec.map(add3, [1, 2]))
        fexec.wait(fexec.call_async(add3, 1))
        replayed(fexec)

    run = TriggerflowExecutor(config=config, log_level='INFO').run(main)
    run.result(timeout=60)
    log = Path(LOGS_DIR, f'{run.session}-O000.log').read_text()
    said = [
        'Starting function invocation: add3() - Total: 2 activations',
        f'View execution logs at {LOGS_DIR}/{run.session}-0-M000.log',
        'Getting results from 2 function activations',
        'Waiting for 2 function activations to complete',
    ]
    assert [log.count(line) for line in said] == [1] * len(said)
    assert log.count('Starting function invocation: add3() - Total: 1 activations') == 3
