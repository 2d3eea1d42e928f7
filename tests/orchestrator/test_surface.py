"""docs/reference/lithops-surface.md says of all that Lithops has what becomes of it inside an orchestrator."""

from pathlib import Path

import lithops
import pytest
import surface

from triggerflow_lithops import NotDurableError, TriggerflowExecutor

DOCUMENT = Path(__file__).parents[2] / 'docs' / 'reference' / 'lithops-surface.md'


def test_every_public_callable_and_parameter_of_lithops_is_in_the_table():
    found = surface.found_in_lithops()
    assert set(surface.SURFACE) == set(found)
    for name, parameters in found.items():
        listed = [each for names in surface.SURFACE[name].parameters().values() for each in names]
        assert len(listed) == len(set(listed)), name
        if parameters is not None:
            assert set(listed) == set(parameters), name


def test_the_table_is_the_one_in_the_documentation():
    assert DOCUMENT.read_text(encoding='utf-8') == surface.rendered(), f'python tests/support/surface.py > {DOCUMENT}'


REFUSED = [name for name, row in surface.SURFACE.items() if row.verdict == 'refused']
ARGUMENTS = {'Array': ('i', 2), 'Barrier': (2,), 'RawArray': ('i', 2), 'RawValue': ('i', 1), 'Value': ('i', 1)}


@pytest.fixture(scope='module')
def said_of_redis(config):
    """What an orchestrator is told where it makes state in Redis, by the row of the table; None where it got it."""
    tf = TriggerflowExecutor(config={**config, 'redis': {'host': '127.0.0.1', 'port': 1}}, log_level=None)
    arguments = {name: ARGUMENTS.get(name.rpartition('.')[2], ()) for name in REFUSED}

    def main():
        import lithops.multiprocessing as multiprocessing

        said = {}
        for name, given in arguments.items():
            owner = multiprocessing.get_context() if 'DefaultContext' in name else multiprocessing
            try:
                made = getattr(owner, name.rpartition('.')[2])(*given)
                if name.endswith('Manager'):
                    made.list([1])
            except Exception as error:
                said[name] = str(error)
        # After a replay, too
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.call_async(lambda x: x, 1)), said

    one, said = tf.run(main).result(timeout=60)
    assert one == 1
    return said


@pytest.mark.parametrize('name', REFUSED)
def test_what_the_table_says_is_refused_is_refused_and_told_what_to_write(said_of_redis, name):
    # Lithops puts some of its own words around it
    assert 'each of its activations would make it anew' in said_of_redis[name]
    assert 'Make it inside the calls, or hand values over as arguments and results.' in said_of_redis[name]


def test_the_table_refuses_no_more_than_state_in_redis():
    """Another kind of refusal needs another test."""
    assert {surface.SURFACE[name].note for name in REFUSED} == {surface.STATE_IN_REDIS}
    assert all(not row.refused or row.verdict == 'refused' for row in surface.SURFACE.values())


def test_what_lithops_supports_in_nothing_the_table_says_so(run):
    rows = [name for name, row in surface.SURFACE.items() if row.note == surface.UNKNOWN_TO_LITHOPS]

    def main():
        import lithops.multiprocessing as multiprocessing

        owners = {
            'multiprocessing': multiprocessing,
            'multiprocessing.DefaultContext': multiprocessing.get_context(),
            'multiprocessing.Process': multiprocessing.Process(target=print),
            'ResponseFuture': lithops.FunctionExecutor().call_async(lambda x: x, 1),
        }
        said = []
        for name in rows:
            owner, _, attribute = name.rpartition('.')
            try:
                getattr(owners[owner], attribute)()
            except NotImplementedError:
                said.append(name)
        return said

    assert run(main) == rows and len(rows) > 5


def test_futures_are_not_awaited_in_asyncio_and_the_error_says_what_to_write(run):
    def main():
        import asyncio

        from lithops.concurrent.futures import FunctionExecutor

        with FunctionExecutor() as executor:
            future = executor.submit(pow, 2, 8)

            async def awaited():
                return await asyncio.wrap_future(future)

            try:
                asyncio.run(awaited())
            except NotDurableError as error:
                # What has ended may be awaited: nobody waits for it any more
                return str(error), future.result(), asyncio.run(awaited())

    said, *values = run(main)
    assert 'Wait with future.result()' in said and values == [256, 256]


def test_futures_of_threads_and_of_calls_are_not_waited_for_together(run):
    def main():
        import concurrent.futures

        from lithops.concurrent.futures import FunctionExecutor

        with concurrent.futures.ThreadPoolExecutor() as threads, FunctionExecutor() as executor:
            futures = [threads.submit(pow, 2, 3), executor.submit(pow, 2, 8)]
            said = []
            for wait in (concurrent.futures.wait, concurrent.futures.as_completed):
                try:
                    wait(futures)
                except NotDurableError as error:
                    said.append(str(error))
            return said, [future.result() for future in futures]

    said, values = run(main)
    assert len(said) == 2 and all('wait for those of calls first' in text for text in said) and values == [8, 256]


def test_state_in_redis_needs_redis_as_in_lithops(run):
    def main():
        import lithops.multiprocessing

        lithops.multiprocessing.Queue()

    with pytest.raises(Exception, match='Redis section not found'):
        run(main)


def test_plots_and_summaries_work_after_a_replay(run, tmp_path):
    folder = str(tmp_path)

    def main():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map(lambda x: x, [1, 2, 3])
        fexec.get_result(futures)
        fexec.call_async(lambda x: x, 1).result()
        fexec.plot(dst=f'{folder}/plot')
        fexec.job_summary()
        return len(fexec.futures), sorted(futures[0].stats)[:1]

    assert run(main) == (4, ['func_data_size_bytes'])
    assert sorted(path.name for path in tmp_path.iterdir()) == ['plot_histogram.png', 'plot_timeline.png']
