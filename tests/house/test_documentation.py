"""The documentation is a site that is built without a warning, and what it says is so."""

import html.parser
import os
import re
import shlex
import subprocess
import sys
import textwrap
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import click
import pytest
import yaml

import triggerflow_lithops
from triggerflow_lithops import testing
from triggerflow_lithops.cli import main as cli
from triggerflow_lithops.deployment import config
from triggerflow_lithops.testing import api
from triggerflow_lithops.testing.mutants import MUTANTS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'
sys.path.insert(0, str(DOCS / 'generators'))

import tables  # noqa: E402

ERRORS = {
    name
    for name in triggerflow_lithops.__all__
    if isinstance(found := getattr(triggerflow_lithops, name), type) and issubclass(found, BaseException)
}


@dataclass
class Block:
    """
    A fenced block of code.

    :param title: of Python the name of its file, which other blocks of the page may import; ``Output`` of what the
        block before has printed
    :param code: as it runs: where it is marked as a continuation, with the blocks before it
    :param not_run: why it cannot run here; empty if it can
    """

    page: str
    line: int
    language: str
    title: str
    code: str
    not_run: str

    def __str__(self):
        return f'{self.page}:{self.line}'


#: What may stand in the line above a block: why it cannot run here, or that it goes on where the block before it ends
MARK = r'(?:<!-- (?:not run: (?P<why>[^\n]+?)|(?P<continues>continues)) -->\n+)?'
FENCE = re.compile(
    rf'(?ms)^{MARK}(?P<indent> *)```(?P<language>\w*)(?: title="(?P<title>[^"]*)")?[^\n]*\n(?P<code>.*?)^(?P=indent)```$'
)
#: Runs, or is checked; any other language is a text that is shown
CHECKED = ('python', 'sh', 'bash', 'shell', 'console', 'yaml')


def blocks():
    found = []
    for path in [ROOT / 'README.md', *sorted(DOCS.rglob('*.md'))]:
        text, before = path.read_text(encoding='utf-8'), {}
        for match in FENCE.finditer(text):
            language, code = match['language'], textwrap.dedent(match['code'])
            code = before.get(language, '') * bool(match['continues']) + code
            before[language] = code
            line = text.count('\n', 0, match.start('indent')) + 1
            found.append(Block(str(path.relative_to(ROOT)), line, language, match['title'] or '', code, match['why'] or ''))
    return found


BLOCKS = blocks()
RUN = [block for block in BLOCKS if block.language == 'python' and not block.not_run]
SHELL = [block for block in BLOCKS if block.language in ('sh', 'bash', 'shell', 'console')]
YAML = [block for block in BLOCKS if block.language == 'yaml']


class Links(html.parser.HTMLParser):
    """What a page of the site refers to, and what in it can be referred to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loaded, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found[name] for name in ('id', 'name') if found.get(name)}
        if tag == 'a' and found.get('href'):
            self.links.append(found['href'])
        elif tag in ('script', 'link', 'img', 'iframe', 'source', 'object', 'embed'):
            self.loaded += [found[name] for name in ('src', 'href', 'data', 'srcset') if found.get(name)]


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    """The folder of the site, and each of its pages by its path."""
    folder = tmp_path_factory.mktemp('site')
    # Not quietly: then MkDocs does not count its warnings
    command = [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(folder)]
    environment = {**os.environ, 'NO_MKDOCS_2_WARNING': '1'}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert 'WARNING' not in done.stdout + done.stderr, done.stdout + done.stderr
    return folder, {path: Links(path.read_text(encoding='utf-8')) for path in folder.rglob('*.html')}


def test_the_site_has_every_page_of_the_documentation(site):
    folder, pages = site
    written = {path.relative_to(DOCS).with_suffix('.html') for path in DOCS.rglob('*.md')}
    assert written | {Path('404.html')} == {path.relative_to(folder) for path in pages} and len(written) > 30


def test_nothing_is_loaded_from_elsewhere(site):
    folder, pages = site
    loaded = {name for page in pages.values() for name in page.loaded}
    assert loaded and not {name for name in loaded if re.match(r'\w+:|//', name) and not name.startswith('data:')}
    styles = ''.join(path.read_text(encoding='utf-8') for path in folder.rglob('*.css'))
    assert styles and not re.findall(r'(?:url\(|@import )\W*(?:https?:)?//[^)]*', styles)


def test_all_links_inside_the_site_lead_somewhere(site):
    folder, pages = site
    broken = []
    for path, page in pages.items():
        for link in page.links:
            target = urllib.parse.urlsplit(link)
            if target.scheme or path.name == '404.html':
                continue
            found = (path.parent / urllib.parse.unquote(target.path)).resolve() if target.path else path
            anchor = urllib.parse.unquote(target.fragment)
            if not found.exists() or (anchor and found in pages and anchor not in pages[found].ids):
                broken.append((str(path.relative_to(folder)), link))
    assert not broken


def test_all_pages_are_reached_from_the_navigation(site):
    folder, pages = site
    navigation = yaml.safe_load(re.sub(r'!!\S+', '', (ROOT / 'mkdocs.yml').read_text(encoding='utf-8')))['nav']
    named = set(re.findall(r'[\w/-]+\.md', str(navigation)))
    assert named == {str(path.relative_to(DOCS)) for path in DOCS.rglob('*.md')}
    first = pages[folder / 'index.html']
    assert len({link for link in first.links if link.endswith('.html')}) > 10


def test_links_of_the_pages_to_other_files_of_the_repository_lead_somewhere():
    """The site has these as text. They work where the repository is read."""
    missing = []
    for path in [ROOT / 'README.md', *DOCS.rglob('*.md')]:
        for target in re.findall(r'\]\(([^)#\s]+)', FENCE.sub('', path.read_text(encoding='utf-8'))):
            if '://' not in target and not (path.parent / target).exists():
                missing.append((str(path.relative_to(ROOT)), target))
    assert not missing


#: Values, whose docstrings are those of their classes
VALUES = {'ANY', 'END', 'HARD', 'NONE', 'PASS', 'SOFT', 'TRUE'}


def test_the_reference_has_every_public_name_once():
    pages = ''.join(path.read_text(encoding='utf-8') for path in (DOCS / 'reference' / 'python').glob('*.md'))
    named = re.findall(r'^::: (\S+)$', pages, re.MULTILINE)
    assert sorted(name.rpartition('.')[2] for name in named) == sorted([*triggerflow_lithops.__all__, *testing.__all__])


@pytest.mark.parametrize('package', [triggerflow_lithops, testing], ids=lambda package: package.__name__)
def test_the_reference_shows_the_docstring_of_every_public_name(site, package):
    html = ' '.join(path.read_text(encoding='utf-8') for path in (site[0] / 'reference' / 'python').glob('*.html'))
    shown = _words(re.sub(r'<[^>]+>', '', html.replace('&#39;', "'").replace('&lt;', '<').replace('&gt;', '>')))
    for name in {*package.__all__} - VALUES:
        found = getattr(package, name)
        if isinstance(found, ModuleType):
            # Once it was imported, the module of the command stands for the function, which it calls
            found = getattr(api, name)
        first = (found.__doc__ or '').strip().partition('\n\n')[0]
        assert first and _words(first.removesuffix('::')) in shown, name
    # What is left of reST
    assert not re.findall(r':(?:param|class|func|meth|raises|return)\b[^ ]*:', shown)


def _words(text):
    return ' '.join(text.replace('`', '').split())


def test_every_command_is_in_the_reference(site):
    page = (site[0] / 'reference' / 'command-line.html').read_text(encoding='utf-8')
    for name, command in cli.main.commands.items():
        assert f'triggerflow-lithops {name}' in page
        assert all(option in page for parameter in command.params for option in parameter.opts if option.startswith('--'))
    assert 'Sentinel' not in page


def test_every_public_error_has_a_cause_and_a_remedy():
    page = (DOCS / 'reference' / 'errors.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| `(\w+)` \| (.+) \| (.+) \|$', page, re.MULTILINE)
    assert sorted(name for name, *_ in rows) == sorted(ERRORS - {'TriggerflowError'})
    assert all(len(cause) > 20 and len(remedy) > 10 for _, cause, remedy in rows)


@pytest.mark.parametrize('path', tables.pages(), ids=lambda path: path.stem)
def test_tables_are_those_of_the_code(path):
    text = path.read_text(encoding='utf-8')
    assert text == tables.rendered(text), 'python docs/generators/tables.py'


def test_the_page_on_the_laws_names_every_mutant():
    """Each is in the row of a check that catches it."""
    page = (DOCS / 'explanation' / 'laws.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| .+ \| .+ \| (`.+`) \|$', page, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r'`(\w+)`', row)} == {*MUTANTS}


def test_every_setting_is_in_a_table_and_is_checked():
    page = (DOCS / 'reference' / 'configuration.md').read_text(encoding='utf-8')
    assert all(f'| `{setting.name}` |' in page for setting in config.SETTINGS)
    for setting in config.SETTINGS:
        assert setting.default is None or isinstance(setting.default, setting.kind)
    with pytest.raises(triggerflow_lithops.ConfigurationError, match="The nearest one is 'max_deaths'"):
        triggerflow_lithops.TriggerflowExecutor(config={'triggerflow': {'max_death': 3}}, log_level=None)


@pytest.mark.parametrize('page', sorted({block.page for block in RUN}))
def test_python_of_the_pages_runs_and_prints_what_they_say(page, tmp_path):
    """
    As a reader would run them: one after the other, in one folder. Each block is a program, or a file of tests.

    Some print what depends on which of two calls ends first, and a busy machine may take seconds to start one of them:
    each page is tried up to three times, each time with a temporary folder of its own.
    """
    tried = []
    for number in range(3):
        folder = tmp_path / str(number)
        (folder / 'tmp').mkdir(parents=True)
        try:
            return _run_page(page, folder)
        except AssertionError as error:
            tried.append(str(error))
    pytest.fail('\n'.join(tried))


def _run_page(page, folder):
    printed = None
    for block in BLOCKS:
        if block.page == page and block in RUN:
            printed = _printed_by(block, folder)
            # "print(x)    # 6" says what is printed
            promised = re.findall(r'^print\(.*\) +# (.+)$', block.code, re.MULTILINE)
            assert all(line in printed.splitlines() for line in promised), f'{block} printed {printed}'
        elif block.page == page and block.title == 'Output':
            assert printed is not None, f'{block} is behind no block that has run'
            assert block.code.strip() == printed.strip(), f'{block} says {block.code}; the one before it printed {printed}'
            printed = None


def _printed_by(block, folder):
    script = folder / (block.title or 'test_page.py')
    script.write_text(block.code, encoding='utf-8')
    is_test = re.search(r'^def test_', block.code, re.MULTILINE)
    how = ['-m', 'pytest', '-q', '-p', 'no:cacheprovider', '-p', 'no:xdist', '--rootdir', str(folder)] if is_test else []
    # As in an environment that is activated: plain Lithops runs its functions by "python"
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ['PATH']])
    environment = {**os.environ, 'PATH': path, 'TMPDIR': str(folder / 'tmp')}
    command = [sys.executable, *how, str(script)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f'{block}\n{done.stdout}{done.stderr}'
    return done.stdout


def test_python_that_cannot_run_here_compiles_and_says_why():
    found = [block for block in BLOCKS if block.language == 'python' and block.not_run]
    for block in found:
        compile(block.code, str(block), 'exec')
        assert len(block.not_run) > 10, block


@pytest.mark.parametrize('block', SHELL, ids=str)
def test_commands_of_the_pages_are_there(block):
    """They are parsed by a shell; of our own command, the subcommand and its options are looked up."""
    code = re.sub(r'(?m)^\$ ', '', block.code)
    done = subprocess.run(['bash', '-n'], input=code, capture_output=True, text=True)
    assert done.returncode == 0, f'{block}: {done.stderr}'
    for line in re.sub(r'\\\n', ' ', code).splitlines():
        for part in re.split(r'&&|\|\||;|\|(?!\|)', line.partition(' #')[0]):
            words = shlex.split(part, comments=True)
            programs = [number for number, word in enumerate(words) if word.endswith('triggerflow-lithops')]
            if programs and words[0] not in ('pip', 'python', 'uv', 'pipx') and not words[0].endswith(('/pip', '/python')):
                _require_usage(block, words[programs[0] + 1 :])


def _require_usage(block, words):
    if not words or words[0].startswith('-'):
        return
    command = cli.main.commands.get(words[0])
    assert command, f'{block}: there is no command {words[0]!r}'
    known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]} | {'--help'}
    assert not {word.partition('=')[0] for word in words[1:] if word.startswith('-')} - known, str(block)
    given = [word for word in words[1:] if not word.startswith('<')]
    assert isinstance(command.make_context(words[0], given or words[1:], resilient_parsing=True), click.Context)


@pytest.mark.parametrize('block', YAML, ids=str)
def test_configurations_of_the_pages_are_taken(block):
    """What is left out there is filled in. The section of this plugin is checked as in a run."""
    found = yaml.safe_load(block.code.replace('…', 'a'))
    assert isinstance(found, dict)
    if config.SECTION in found:
        config._checked_section(found[config.SECTION])


def test_each_block_of_code_is_run_or_checked():
    """A block has a language that is checked here, or is a text that is shown."""
    assert len(RUN) > 25 and SHELL and YAML and len([block for block in BLOCKS if block.title == 'Output']) > 20
    shown = {block.language for block in BLOCKS} - {*CHECKED}
    assert shown <= {'', 'text', 'json', 'toml', 'ini', 'diff', 'mermaid'}
    for block in BLOCKS:
        if block.language in ('', 'text'):
            assert 'import ' not in block.code, f'{block} looks like Python'
