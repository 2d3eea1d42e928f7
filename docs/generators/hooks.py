"""What MkDocs is told beside ``mkdocs.yml``."""

import os
import re
from pathlib import Path
from typing import Any

from mkdocs.utils import get_relative_url

ROOT = Path(__file__).parents[2]
#: What the theme loads from elsewhere, so that the search works in a site that is read from a folder
ELSEWHERE, HERE = 'https://unpkg.com/iframe-worker/shim', 'assets/iframe-worker.js'
LINK = re.compile(r'\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)')


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The site has pages only: a link to another file of the repository becomes its text. In the repository it is a link."""
    folder = Path('docs', page.file.src_uri).parent

    def without(link: re.Match[str]) -> str:
        target = os.path.normpath(folder / link[2])
        is_outside = '://' not in link[2] and not target.startswith('docs' + os.sep) and (ROOT / target).exists()
        return link[1] if is_outside else link[0]

    return LINK.sub(without, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """
    Docstrings are reST. A line before a block of code ends with two colons, of which Markdown would show both, and
    references have roles, which Markdown does not know.
    """
    html = re.sub(r':(?:class|func|meth|mod|attr):<code>(?:~[^<]*\.)?([^<]*)</code>', r'<code>\1</code>', html)
    html = re.sub(r'<td\b.*?</td>', lambda cell: re.sub(r'<code>([^<]*)</code>', _breakable, cell[0]), html, flags=re.DOTALL)
    return re.sub(r'::(</p>\s*<(?:div class="(?:\S+ )?highlight|pre))', r':\1', html)


def _breakable(code: re.Match[str]) -> str:
    """A name in a table: a line may end behind its dots, and behind its underscores if it is long."""
    text = re.sub(r'(?<=\w)(\.|/|::)(?=\w)', r'\1<wbr>', code[1])
    return f'<code>{text.replace("_", "_<wbr>") if len(code[1]) > 30 else text}</code>'


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """The site needs no network."""
    return output.replace(ELSEWHERE, get_relative_url(HERE, page.url))


def on_post_template(output_content: str, **_: Any) -> str:
    """Likewise, for the page that says that there is no such page."""
    return output_content.replace(ELSEWHERE, HERE)
