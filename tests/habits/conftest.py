"""The programs of a test file, started once for all of its tests."""

import compare
import pytest


@pytest.fixture(scope='module')
def programs(request, tmp_path_factory):
    """What the scripts come to that tests of this file ask for."""
    wanted = set()
    for item in request.session.items:
        if item.module is request.module and 'programs' in getattr(item, 'fixturenames', ()):
            modes = {item.callspec.params['mode']} | ({'plain'} if getattr(request.module, 'PLAIN', True) else set())
            wanted |= {(item.callspec.params['script'], mode) for mode in modes}
    home = tmp_path_factory.mktemp('habits')
    running = compare.Programs(home, wanted)
    yield running
    running.close()
    compare.removed(home)
