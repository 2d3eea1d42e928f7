"""Numbers and chance: decimals, fractions, statistics, random numbers with a seed and without one, keys."""

import cmath
import decimal
import fractions
import math
import numbers
import random
import secrets
import statistics
import uuid
from decimal import Decimal
from fractions import Fraction
from random import choice

import drive
import lithops
import numpy as np
from together import together

#: Made when the script is loaded
dice = random.Random(7)
salt = uuid.uuid4().hex


def same(*values):
    return values if len(values) > 1 else values[0]


def decimals():
    price = Decimal('19.99')
    there = yield same, price * 3
    rounded = there.quantize(Decimal('0.1'), rounding=decimal.ROUND_HALF_UP)
    return there, rounded, Decimal('NaN').is_nan(), sum([Decimal('0.1')] * 3) == Decimal('0.3')


def contexts_of_decimals():
    with decimal.localcontext() as context:
        context.prec = 5
        short = Decimal(1) / Decimal(3)
    there = yield same, short
    return there, Decimal(1) / Decimal(7)


def common_fractions():
    there = yield fractions.Fraction, '3/6'
    return there + Fraction(1, 3), there.limit_denominator(10), isinstance(there, numbers.Rational), math.gcd(12, 18)


def statistics_of_a_sample():
    sample = [2.5, 3.5, 3.5, 8.0]
    there = yield statistics.mean, sample
    return there, statistics.median(sample), statistics.mode(sample), statistics.quantiles(sample), statistics.pstdev(sample)


def functions_of_numbers():
    there = yield math.comb, 5, 2
    special = math.isclose(0.1 + 0.2, 0.3), math.isnan(math.nan), math.inf > 10**300, round(2.5), -7 // 2, divmod(-7, 2)
    return there, special, cmath.sqrt(-4), math.prod([1, 2, 3]), (0.1).hex(), float.fromhex('0x1.8p1'), (0.75).as_integer_ratio()


def numbers_that_are_not_finite():
    there = yield same, [math.nan, math.inf, -math.inf]
    return there, there[1] == math.inf


def the_users_seed():
    random.seed(42)
    first = random.random(), random.sample(range(100), 3)
    yield same, first[1]
    return first, random.randint(0, 10**6), choice('abc'), random.gauss(0, 1)


def a_generator_of_ones_own():
    rng = random.Random(1)
    first = rng.random()
    yield same, first
    state = rng.getstate()
    second = rng.random()
    rng.setstate(state)
    return first, second, rng.random() == second


def a_generator_that_was_made_at_the_top():
    first = dice.randint(1, 6)
    yield same, first
    return first, dice.randint(1, 6)


def ids_that_are_made():
    name = f'job-{uuid.uuid4()}'
    there = yield same, name
    other = uuid.uuid1()
    back = yield same, other
    return there == name, back == other, other.version, uuid.uuid5(uuid.NAMESPACE_DNS, 'a.org')


def an_id_that_was_made_at_the_top():
    there = yield same, salt
    return there == salt, len(salt)


def secrets_that_stay_here():
    token = secrets.token_hex(8)
    yield same, len(token)
    return len(token), secrets.compare_digest('a', 'a'), len(secrets.choice(['a', 'b']))


def chance_in_numpy():
    rng = np.random.default_rng(5)
    first = rng.integers(0, 100, 3)
    there = yield same, first
    return there.tolist(), rng.integers(0, 100, 3).tolist()


def the_seed_of_numpy():
    np.random.seed(3)
    first = np.random.rand(2)
    there = yield same, first
    return there.tolist(), np.random.randint(0, 1000)


def inside_of_circle(seed, n):
    rng = random.Random(seed)
    return sum(rng.random() ** 2 + rng.random() ** 2 < 1 for _ in range(n))


def chance_in_calls():
    seeds = random.Random(9).sample(range(1000), 2)
    counts = []
    for seed in seeds:
        counts.append((yield inside_of_circle, seed, 1000))
    return seeds, counts, 4 * sum(counts) / 2000


HABITS = [
    decimals,
    contexts_of_decimals,
    common_fractions,
    statistics_of_a_sample,
    functions_of_numbers,
    numbers_that_are_not_finite,
    the_users_seed,
    a_generator_of_ones_own,
    a_generator_that_was_made_at_the_top,
    ids_that_are_made,
    an_id_that_was_made_at_the_top,
    secrets_that_stay_here,
    chance_in_numpy,
    the_seed_of_numpy,
    chance_in_calls,
]


def main():
    return together(lithops.FunctionExecutor(), HABITS)


if __name__ == '__main__':
    drive.drive(main)
