"""Of a package without __init__.py."""


def veins(n):
    return n * 2
