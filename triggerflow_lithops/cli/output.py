"""What commands print: lines and tables without control characters."""

from typing import Any, Iterable

import click
from tabulate import tabulate

from ..core.wording import printable


def echo(line: str) -> None:
    """
    A line on standard output. What it tells of may come from anybody who can write to the bucket: no
    control character of it reaches the terminal, and it stays one line.
    """
    click.echo(printable(line))


def echo_table(rows: Iterable[Iterable[object]], **options: Any) -> None:
    # As texts: tabulate would take the id '1e5' for a number, and write 100000
    texts = [[printable(str(cell)) for cell in row] for row in rows]
    click.echo(tabulate(texts, disable_numparse=True, **options))


def printable_lines(text: str) -> str:
    """Of several lines."""
    return '\n'.join(map(printable, text.split('\n')))
