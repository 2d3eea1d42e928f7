"""
The tables of the documentation that come from code. They stand in their pages, between two comments, so that they can be
read without the site, too.

``python docs/generators/tables.py`` writes them; a test compares.
"""

import re
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from triggerflow_lithops import Retry
from triggerflow_lithops.deployment import config

DOCS = Path(__file__).parents[1]
#: A table with its name: the comments around it stay
TABLE = re.compile(r'(?s)(<!-- table: (\S+), made by docs/generators/tables.py -->\n).*?(<!-- end of table -->)')


def rendered(page: str) -> str:
    """The text of a page, with each of its tables as the code has it now."""
    return TABLE.sub(lambda found: f'{found[1]}\n{TABLES[found[2]]()}\n{found[3]}', page)


def pages() -> list[Path]:
    """All pages that have such a table."""
    return [path for path in sorted(DOCS.rglob('*.md')) if TABLE.search(path.read_text(encoding='utf-8'))]


def _settings(part: str) -> str:
    found = config.settings_of(part).values()
    rows = [f'| `{setting.name}` | {_default(setting)} | {setting.unit} | {setting.meaning} |\n' for setting in found]
    return ''.join(['| key | default | value | meaning |\n', '|---|---|---|---|\n', *rows])


def _default(setting: config.Setting) -> str:
    if setting.default is None or setting.default == '':
        return 'required' if setting.part != config.SECTION and setting.default is None else 'not set'
    return f'`{_yaml(setting.default)}`'


def _retry() -> str:
    """The fields of a Retry, which its docstring tells."""
    told = re.findall(r':param (\w+): (.*?)(?=:param|:raises)', Retry.__doc__ or '', re.DOTALL)
    meanings = {name: re.sub(r'\s+', ' ', text).strip().replace('``', '`') for name, text in told}
    rows = [f'| `{field.name}` | {_default_of_field(field)} | {meanings[field.name]} |\n' for field in fields(Retry)]
    return ''.join(['| field | default | meaning |\n', '|---|---|---|\n', *rows])


def _default_of_field(field: Any) -> str:
    if field.default is MISSING:
        return 'required'
    return f'`{field.default.__name__ if isinstance(field.default, type) else _yaml(field.default)}`'


def _yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'{value:g}' if isinstance(value, float) else str(value)


TABLES = {
    'settings': lambda: _settings(config.SECTION),
    'service': lambda: _settings(config.SERVICE),
    'sink': lambda: _settings(config.SINK),
    'retry': _retry,
}

if __name__ == '__main__':
    for path in pages():
        path.write_text(rendered(path.read_text(encoding='utf-8')), encoding='utf-8')
