"""A module that a script imports inside of functions only."""

LIMIT = 3


def limited(value):
    return min(value, LIMIT)
