"""
What is checked, each in an environment of its own. ``nox -l`` lists the sessions, and ``nox`` runs the quick ones.

What stands after ``--`` is handed on: ``nox -s simulate -- --seeds 100``, ``nox -s fast-3.12 -- -x``.
"""

import os
import tempfile

import nox

#: Those that the package supports
PYTHONS = ('3.10', '3.11', '3.12', '3.13')
#: The lowest and the newest Lithops that the package allows
LITHOPS = {'lowest': 'lithops==3.8.0', 'newest': 'lithops>=3.8,<4'}
#: The release that the source is formatted by. Another one may format otherwise
RUFF = 'ruff==0.17.*'

nox.needs_version = '>=2024.10.9'
nox.options.default_venv_backend = 'uv|virtualenv'
nox.options.error_on_missing_interpreters = 'CI' in os.environ
nox.options.sessions = ['lint', 'types', 'docs', 'package']


@nox.session
def lint(session: nox.Session) -> None:
    """The rules of ruff, and its format."""
    session.install(RUFF)
    session.run('ruff', 'check', '.')
    session.run('ruff', 'format', '--check', '.')


@nox.session
def types(session: nox.Session) -> None:
    """What mypy says of the package. It reads the types of what the package uses, so that is installed."""
    session.install('.[test]')
    session.run('mypy', *session.posargs)


@nox.session(python=PYTHONS)
def fast(session: nox.Session) -> None:
    """The tests that need no service and no server, in less than a minute."""
    session.install('.[test]')
    session.run('pytest', '-q', '-m', 'fast', *session.posargs)


@nox.session(python=PYTHONS)
@nox.parametrize('lithops', [nox.param(requirement, id=name) for name, requirement in LITHOPS.items()])
def tests(session: nox.Session, lithops: str) -> None:
    """All tests."""
    session.install('.[test]', lithops)
    session.run('pytest', '-q', *(session.posargs or ['tests']))


@nox.session
def simulate(session: nox.Session) -> None:
    """Simulated runs of the corpus, with new seeds each time. The first one is printed."""
    session.install('.[testing]')
    session.run('python', '-m', 'triggerflow_lithops.testing.simulate', *(session.posargs or ['--seeds', '5000']))


@nox.session
def docs(session: nox.Session) -> None:
    """The site. A warning is an error."""
    session.install('.[docs]')
    session.run('mkdocs', 'build', '--strict', '--site-dir', session.posargs[0] if session.posargs else session.create_tmp())


@nox.session
def package(session: nox.Session) -> None:
    """The source distribution, the wheel that is built of it, and what the package index would say of both."""
    session.install('build', 'twine')
    folder = session.posargs[0] if session.posargs else tempfile.mkdtemp(dir=session.create_tmp())
    session.run('python', '-m', 'build', '--outdir', folder)
    session.run('twine', 'check', '--strict', *(os.path.join(folder, name) for name in sorted(os.listdir(folder))))
