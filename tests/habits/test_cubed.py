"""A library that drives Lithops, unchanged, inside an orchestrator."""

import sys

import numpy as np
import pytest

if sys.version_info < (3, 11):
    pytest.skip('cubed needs Python 3.11', allow_module_level=True)


def compute(folder):
    import cubed
    import cubed.array_api as xp
    from cubed.runtime.executors.lithops import LithopsExecutor

    spec = cubed.Spec(work_dir=folder, allowed_mem='200MB')
    numbers = xp.asarray(np.arange(36.0).reshape(6, 6), chunks=(3, 3), spec=spec)
    ones = xp.ones((6, 6), chunks=(3, 3), spec=spec)
    product = xp.matmul(xp.add(numbers, ones), ones)
    return product.compute(executor=LithopsExecutor()), float(xp.mean(numbers).compute(executor=LithopsExecutor()))


def test_cubed_computes_on_its_lithops_executor_what_numpy_does(executor, tmp_path):
    run = executor.run(compute, str(tmp_path))
    product, mean = run.result(timeout=120)
    numbers, ones = np.arange(36.0).reshape(6, 6), np.ones((6, 6))
    assert np.array_equal(product, (numbers + ones) @ ones) and mean == numbers.mean()
    assert len(run.activations()) > 3


def given(array):
    from cubed.runtime.executors.lithops import LithopsExecutor

    return array.compute(executor=LithopsExecutor())


def test_an_array_that_is_given_to_an_orchestrator_needs_no_pinning(executor, tmp_path):
    import cubed
    import cubed.array_api as xp

    spec = cubed.Spec(work_dir=str(tmp_path), allowed_mem='200MB')
    numbers = xp.asarray(np.arange(16.0).reshape(4, 4), chunks=(2, 2), spec=spec)
    found = executor.run(given, xp.add(numbers, numbers)).result(timeout=60)
    assert np.array_equal(found, 2 * np.arange(16.0).reshape(4, 4))
