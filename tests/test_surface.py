"""docs/lithops-surface.md says of all that Lithops has what becomes of it inside an orchestrator."""

from pathlib import Path

import lithops
import pytest
import surface

from triggerflow_lithops import TriggerflowExecutor

DOCUMENT = Path(__file__).parent.parent / 'docs' / 'lithops-surface.md'


def test_every_public_callable_and_parameter_of_lithops_is_in_the_table():
    found = surface.found_in_lithops()
    assert set(surface.SURFACE) == set(found)
    for name, parameters in found.items():
        listed = [each for names in surface.SURFACE[name].parameters().values() for each in names]
        assert len(listed) == len(set(listed)), name
        if parameters is not None:
            assert set(listed) == set(parameters), name


def test_the_table_is_the_one_in_the_documentation():
    assert DOCUMENT.read_text(encoding='utf-8') == surface.rendered(), 'python tests/surface.py > docs/lithops-surface.md'


@pytest.mark.parametrize('name', ['Queue', 'Lock', 'Value', 'Manager', 'Pipe'])
def test_state_in_redis_is_refused_inside_an_orchestrator(config, name):
    tf = TriggerflowExecutor(config={**config, 'redis': {'host': '127.0.0.1', 'port': 1}}, log_level=None)

    def main():
        import lithops.multiprocessing as multiprocessing

        created = getattr(multiprocessing, name)(*(['i', 1] if name == 'Value' else []))
        return created.list([1]) if name == 'Manager' else None

    # Lithops puts some of its own words around it
    with pytest.raises(Exception, match='each of its activations would make it anew'):
        tf.run(main).result(timeout=60)


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
