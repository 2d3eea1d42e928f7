"""The packages that a Lithops runtime has, and nothing else: no Lithops, and nothing of ours."""

import importlib.metadata
from pathlib import Path

from packaging.requirements import Requirement

#: What Lithops' images install, but for what only functions of users would import
RUNTIME = 'cloudpickle tblib ps-mem psutil PyYAML requests pika tqdm boto3 ibm-cos-sdk ibm-cloud-sdk-core'


def build(folder):
    """Links these packages, and what they require, into ``folder``."""
    folder.mkdir(parents=True)
    found, wanted = set(), RUNTIME.lower().split()
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found.add(name)
        package = importlib.metadata.distribution(name)
        for required in map(Requirement, package.requires or ()):
            if required.marker is None or required.marker.evaluate({'extra': ''}):
                wanted.append(required.name.lower())
        for top in {path.parts[0] for path in package.files if path.parts[0] not in ('..', '__pycache__')}:
            there = Path(package.locate_file(top))
            if there.exists() and not (folder / top).exists():
                (folder / top).symlink_to(there)
    assert not {'lithops', 'triggerflow_lithops'} & {path.name for path in folder.iterdir()}
    return folder
