"""Types of a module beside the scripts: what a call returns cannot be of a type of ``__main__``, in Lithops."""

import collections
import dataclasses
import enum
import typing

Point = collections.namedtuple('Point', 'x y', defaults=[0])


class Stop(typing.NamedTuple):
    name: str
    line: int = 3


@dataclasses.dataclass(order=True)
class Item:
    price: float
    name: str = dataclasses.field(compare=False)
    tags: list = dataclasses.field(default_factory=list)

    @property
    def dear(self):
        return self.price > 10


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    bucket: str
    name: str


class Color(enum.Enum):
    RED = 1
    BLUE = 'b'


class Level(str, enum.Enum):
    LOW = 'low'


class Right(enum.IntFlag):
    READ = enum.auto()
    WRITE = enum.auto()


class Registry(collections.UserDict):
    def __setitem__(self, key, value):
        super().__setitem__(key.lower(), value)
