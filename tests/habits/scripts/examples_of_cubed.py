"""
Written after the computations that cubed publishes (its folder ``examples``), with small arrays, on its Lithops executor.

``add`` stands for ``add-asarray`` and ``add-random`` and for the notebook ``demo``, ``matmul_random`` for the script of its
name, ``vorticity`` and ``quadratic_means`` for the first two of the Pangeo workloads, without xarray. ``reductions`` is after
its documentation.

Not here: ``pangeo-3-tem`` and ``pangeo-4-climatological-anomalies``, which need xarray and flox; progress bars and histories,
which need rich; what configures cubed on other services (coiled, modal, ray, dask, beam).

Nothing is pinned: the names of what lies between two steps are made when cubed is imported, and random arrays are random.
"""

import cubed
import cubed.array_api as xp
import cubed.random
import drive
import numpy as np
from cubed import map_overlap
from cubed.runtime.executors.lithops import LithopsExecutor
from cubed.runtime.types import Callback


class TasksCounted(Callback):
    def on_compute_start(self, event):
        self.tasks = 0

    def on_task_end(self, event):
        self.tasks += event.num_tasks


def at_once(*arrays, **options):
    """The steps of several arrays side by side: one wait for all."""
    return cubed.compute(*arrays, executor=LithopsExecutor(), compute_arrays_in_parallel=True, **options)


def add():
    spec = cubed.Spec(work_dir='tmp', allowed_mem='100MB')
    a = xp.asarray([[1, 2, 3], [4, 5, 6], [7, 8, 9]], chunks=(3, 2), spec=spec)
    b = xp.asarray([[1, 1, 1], [1, 1, 1], [1, 1, 1]], chunks=(3, 2), spec=spec)
    x = cubed.random.random((6, 4), chunks=(3, 4), spec=spec)
    y = cubed.random.random((6, 4), chunks=(3, 4), spec=spec)
    tasks = TasksCounted()
    found, first, second, total = at_once(xp.add(a, b), x, y, xp.add(x, y), callbacks=[tasks])
    random = np.allclose(first + second, total) and (first >= 0).all() and (first != second).any()
    return found.tolist(), bool(random), tasks.tasks > 3


def matmul_random():
    a = cubed.random.random((4, 4), chunks=(2, 4))
    b = cubed.random.random((4, 4), chunks=(4, 2))
    first, second, product = at_once(a, b, xp.matmul(a, b))
    return np.allclose(first @ second, product), product.shape


def diff_pad(x, axis):
    depth = tuple(1 if i == axis else 0 for i in range(x.ndim))
    return map_overlap(_diff_pad, x, dtype=x.dtype, chunks=x.chunks, depth=depth, boundary=0, trim=False, axis=axis)


def _diff_pad(a, block_id=None, axis=None):
    keep = slice(1, -1) if block_id[axis] == 0 else slice(None, -1)
    found = np.diff(a[tuple(keep if i == axis else slice(None) for i in range(a.ndim))], axis=axis)
    if block_id[axis] == 0:
        found = np.pad(found, tuple((1, 0) if i == axis else (0, 0) for i in range(a.ndim)), mode='symmetric')
    return found


def winds():
    rng = np.random.default_rng(3)
    return rng.random((4, 3, 5)), rng.random((4, 3, 5)), rng.random((3, 5)), rng.random((3, 5))


def vorticity():
    names = ['u', 'v', 'dx', 'dy']
    paths = [f'{name}.zarr' for name in names]
    arrays = [xp.asarray(array, chunks=(2, *array.shape[1:]) if array.ndim == 3 else array.shape) for array in winds()]
    cubed.store(arrays, paths, executor=LithopsExecutor(), compute_arrays_in_parallel=True)
    u, v, dx, dy = map(cubed.from_zarr, paths)
    omega = diff_pad(u, axis=1) * dx - diff_pad(v, axis=2) * dy
    return xp.mean(omega, axis=0).compute(executor=LithopsExecutor()).round(9).tolist()


def quadratic_means():
    u, v, _, _ = (xp.asarray(array, chunks=(2, *array.shape[1:]) if array.ndim == 3 else array.shape) for array in winds())
    quad = [xp.mean(u**2, axis=0), xp.mean(v**2, axis=0), xp.mean(u * v, axis=0)]
    return [found.round(9).tolist() for found in at_once(*quad)]


def reductions():
    numbers = xp.asarray(np.arange(36.0).reshape(6, 6), chunks=(3, 6))
    anomaly = numbers - xp.mean(numbers, axis=0)
    turned = xp.permute_dims(cubed.rechunk(numbers, (6, 3)), (1, 0))
    reduced = xp.sum(numbers, axis=1), xp.max(numbers), xp.argmax(numbers, axis=0), xp.sum(anomaly**2), turned
    return [found.tolist() for found in at_once(*reduced)]


ORCHESTRATORS = {
    'add': add,
    'matmul_random': matmul_random,
    'vorticity': vorticity,
    'quadratic_means': quadratic_means,
    'reductions': reductions,
}

if __name__ == '__main__':
    drive.drive_each(ORCHESTRATORS)
