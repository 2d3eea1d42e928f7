"""A module that a script imports by a text."""


def handle(value):
    return f'a handled {value}'
