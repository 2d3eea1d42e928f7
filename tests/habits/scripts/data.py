"""Arrays and tables: numpy and pandas, as arguments, as results, and kept across a wait."""

import io
import json
import os

import drive
import lithops
import numpy as np
import pandas as pd
from together import together

WEIGHTS = np.linspace(0, 1, 5)


def same(value):
    return value


def mean_of(array, axis=None):
    return array.mean(axis=axis)


def arrays():
    grid = np.arange(12, dtype='int16').reshape(3, 4)
    there = yield mean_of, grid, 0
    grid += 1
    return there.tolist(), there.dtype, grid.sum(), (yield mean_of, grid)


def views_and_orders():
    base = np.arange(10)
    view, fortran = base[::-2], np.asfortranarray(np.ones((2, 3)))
    there, other = yield same, (view, fortran)
    view[0] = 100
    return there.tolist(), other.flags.f_contiguous, base[-1]


def scalars():
    there = yield same, [np.float32(1.5), np.int64(-3), np.bool_(True), np.datetime64('2024-01-01'), np.complex64(1j)]
    return [(type(one).__name__, str(one)) for one in there]


def arrays_of_records():
    table = np.array([('a', 1, 2.5), ('b', 2, 3.5)], dtype=[('name', 'U5'), ('n', 'i4'), ('x', 'f8')])
    there = yield same, table[table['n'] > 1]
    return there, there['name'][0], there.dtype.names


def arrays_of_objects_and_texts():
    mixed = np.array([{'a': 1}, None, 'x'], dtype=object)
    there, names = yield same, (mixed, np.char.upper(np.array(['ab', 'c'])))
    return there.tolist(), names.tolist()


def masks_and_what_is_no_number():
    values = np.array([1.0, np.nan, 3.0])
    masked = yield np.ma.masked_invalid, values
    return masked.mean(), masked.mask.tolist(), np.nansum((yield same, values))


def large_arrays():
    large = np.ones((500, 400))
    total = yield np.sum, large
    back = yield same, large * 2
    return total, back.shape, back.sum()


def arrays_that_were_made_at_the_top():
    there = yield mean_of, WEIGHTS
    return there, WEIGHTS[1:3].tolist()


def linear_algebra():
    matrix = np.array([[2.0, 1.0], [1.0, 3.0]])
    there = yield np.linalg.solve, matrix, np.array([1.0, 2.0])
    return np.allclose(matrix @ there, [1, 2]), np.einsum('ij,j', matrix, there).round(6).tolist()


def arrays_in_files():
    array = np.eye(2)
    np.save('eye.npy', array)
    there = yield np.load, os.path.abspath('eye.npy')
    np.savez('both.npz', a=array, b=there)
    with np.load('both.npz') as both:
        names = sorted(both.files)
    os.remove('both.npz')
    return there.tolist(), names


def errors_of_numpy():
    try:
        yield mean_of, np.zeros(2), 5
    except np.exceptions.AxisError as error:
        # Its text is lost on the way, in Lithops
        first = type(error).__name__
    with np.errstate(divide='ignore'):
        return first, (np.array([1.0]) / 0).tolist()


def summed(frame):
    return frame.groupby('city', as_index=False)['n'].sum()


def tables():
    frame = pd.DataFrame({'city': ['a', 'b', 'a'], 'n': [1, 2, 3], 'x': [0.5, None, 1.5]})
    there = yield summed, frame
    frame['twice'] = frame['n'] * 2
    return there.to_dict('records'), frame.describe().loc['mean'].to_dict(), frame.dtypes.astype(str).tolist()


def parts_of_tables():
    frame = pd.DataFrame({'k': range(6), 'v': np.arange(6) ** 2})
    parts = []
    for _, part in frame.groupby(frame.k % 3):
        parts.append((yield same, part))
    return pd.concat(parts).sort_values('k').equals(frame), parts[1].index.tolist()


def columns_and_indices():
    series = pd.Series([3, 1, 2], index=list('cab'), name='s')
    there = yield same, series.sort_index()
    return there.to_dict(), there.name, there.rank().tolist(), there.map(lambda v: v * 10).iloc[-1]


def times_in_tables():
    index = pd.date_range('2024-01-01', periods=48, freq='h', tz='UTC')
    there = yield same, pd.Series(range(48), index=index).resample('D').mean()
    stamp = yield same, pd.Timestamp('2024-02-29', tz='Europe/Paris') + pd.Timedelta('1D')
    return there.tolist(), str(there.index[0]), str(stamp)


def categories_and_what_is_missing():
    frame = pd.DataFrame({'c': pd.Categorical(['x', None, 'y']), 'n': pd.array([1, None, 3], dtype='Int64')})
    there = yield same, frame
    return there['c'].cat.categories.tolist(), there['n'].isna().tolist(), there.fillna({'n': 0})['n'].tolist()


def tables_joined():
    left, right = pd.DataFrame({'id': [1, 2], 'a': [5, 6]}), pd.DataFrame({'id': [2, 3], 'b': [7, 8]})
    there = yield pd.merge, left, right, 'outer', 'id'
    pivot = there.melt('id').dropna().pivot(index='id', columns='variable', values='value')
    return there.to_csv(index=False), pivot.shape, there.query('id == 2')['b'].item()


def tables_in_files():
    frame = pd.read_csv(io.StringIO('when,n\n2024-01-02,1\n2024-01-03,2\n'), parse_dates=['when'])
    frame.to_csv('frame.csv', index=False)
    there = yield pd.read_csv, os.path.abspath('frame.csv')
    return there.to_dict('list'), json.loads(frame.to_json(orient='split', date_format='iso'))['columns']


def functions_of_rows():
    frame = pd.DataFrame({'a': [1, 2], 'b': [3, 4]})
    factor = yield same, 10
    return frame.apply(lambda row: row.a * factor + row.b, axis=1).tolist(), frame.agg(['sum', 'max']).to_dict()


def indices_of_two_levels():
    index = pd.MultiIndex.from_product([['a', 'b'], [1, 2]], names=['k', 'n'])
    there = yield same, pd.DataFrame({'v': range(4)}, index=index)
    return there.xs(1, level='n')['v'].to_dict(), there.unstack().shape, there.index.names


HABITS = [
    arrays,
    views_and_orders,
    scalars,
    arrays_of_records,
    arrays_of_objects_and_texts,
    masks_and_what_is_no_number,
    large_arrays,
    arrays_that_were_made_at_the_top,
    linear_algebra,
    arrays_in_files,
    errors_of_numpy,
    tables,
    parts_of_tables,
    columns_and_indices,
    times_in_tables,
    categories_and_what_is_missing,
    tables_joined,
    tables_in_files,
    functions_of_rows,
    indices_of_two_levels,
]


def main():
    return together(lithops.FunctionExecutor(), HABITS)


if __name__ == '__main__':
    drive.drive(main)
