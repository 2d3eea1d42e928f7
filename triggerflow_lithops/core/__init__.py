"""
Floor 0: events, triggers, conditions and the engine that evaluates them.

Standard library only, relative imports only. This package is installed twice
from one source: here, and inside Lithops' tree, where it travels to every
worker. No instance of a class of one copy ever meets the other: only ``str``,
``bytes`` and plain documents cross.
"""
