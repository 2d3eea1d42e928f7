"""Runs bodies as plain Lithops drivers: ``python plain.py OUTCOMES NAME …``. One process, as a user's."""

import pickle
import sys

from bodies import BODIES


def outcome_of(run):
    """What came out, in a form that two processes can compare: a value, or an exception's type and text."""
    try:
        return 'value', run()
    except BaseException as error:
        return 'exception', type(error).__name__, str(error)


if __name__ == '__main__':
    for name in sys.argv[2:]:
        outcome = outcome_of(BODIES[name])
        with open(sys.argv[1], 'ab') as outcomes:
            pickle.dump((name, outcome), outcomes)
