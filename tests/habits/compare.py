"""
Runs scripts three times, and says what each of their habits came to.

As a plain Lithops driver; as orchestrators; and as orchestrators where each invocation runs in an interpreter of its own,
with a hash seed of its own. Each time it is the script that is run, as a user runs it, in a process and folder of its own.
"""

import ast
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path

SCRIPTS = Path(__file__).parent / 'scripts'
#: Programs of one test file that run at the same time
PROGRAMS = 3
#: Into so many programs a script of many plain drivers is cut, for most of the time they wait
PARTS = 4
PATIENCE = 450
LITHOPS = {'backend': 'localhost', 'storage': 'localhost', 'log_level': 'WARNING'}
#: What each way to run a script has in its configuration
CONFIGURATIONS = {
    # The first version of Lithops' localhost backend: the second one hangs now and then
    'plain': {'localhost': {'version': 1, 'runtime': sys.executable}},
    'forked': {'triggerflow': {'idle_seconds': 2}},
    'fresh': {'triggerflow': {'idle_seconds': 2, 'fresh_interpreters': True}},
}
MODES = ['forked', 'fresh']
#: What Lithops writes into the same log, and perhaps into the midst of a line
LOGGED = re.compile(r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} \[[A-Z]+\] .*\n|-{10,}.*\n')
#: A line that a habit printed: its name comes first
LINE = re.compile(r'\b([a-z_]+)\| ', re.IGNORECASE)


class Came:
    """What a script came to."""

    def __init__(self, outcomes, output, files, activations):
        self.outcomes = outcomes
        self.output = output
        self.files = files
        self.activations = activations

    @cached_property
    def lines(self):
        """What each habit printed, line by line."""
        found = {}
        for line in re.split('[\r\n]+', LOGGED.sub('', self.output)):
            if match := LINE.search(line):
                found.setdefault(match[1].lower(), []).append(line)
        return found


class Programs:
    """
    The programs of one test file, a few at a time.

    :param home: a folder for all that they leave
    :param wanted: pairs of a script's name and a mode
    """

    def __init__(self, home, wanted):
        self._home = home
        self._pool = ThreadPoolExecutor(PROGRAMS)
        # Those that take longest come first
        self._futures = {pair: self._pool.submit(self._run, *pair) for pair in sorted(wanted, key=lambda pair: pair[1])}

    def came(self, script, mode):
        """What a script came to, in a mode."""
        return self._futures[script, mode].result()

    def close(self):
        self._pool.shutdown(cancel_futures=True)

    def _run(self, script, mode):
        drivers = names_of(script, ('ORCHESTRATORS',))
        if mode != 'plain' or not drivers:
            return self._run_part(script, mode)
        with ThreadPoolExecutor(PARTS) as pool:
            return joined(pool.map(lambda part: self._run_part(script, mode, drivers[part::PARTS]), range(PARTS)))

    def _run_part(self, script, mode, only=()):
        folder = self._home / mode / '-'.join([script, *only[:1]])
        try:
            return self._run_once(script, mode, folder, only)
        except subprocess.TimeoutExpired:
            if mode != 'plain':
                raise
            # A bare Lithops hangs now and then
            return self._run_once(script, mode, folder / 'again', only)

    def _run_once(self, script, mode, folder, only=()):
        # A bare Lithops copies itself to its temporary folder, and two at once disturb each other
        temporary = folder / 'tmp' if mode == 'plain' else self._home / f'tmp-{mode}'
        for made in (folder / 'cwd', temporary):
            made.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            'LITHOPS_CONFIG': json.dumps({'lithops': LITHOPS, **CONFIGURATIONS[mode]}),
            'DRIVEN_AS': 'plain' if mode == 'plain' else 'orchestrator',
            'OUTCOMES': str(folder / 'outcomes'),
            'HABIT_OF_THE_SHELL': 'of the shell',
            'PYTHONDONTWRITEBYTECODE': '1',
            'TMPDIR': str(temporary),
        }
        if only:
            environment['HABITS'] = ' '.join(only)
        output, code = self._output(script, environment, folder)
        assert code == 0, f'{script} ended with {code} as {mode}:\n{output[-6000:]}'
        told = json.loads((folder / 'outcomes').read_text(encoding='utf-8'))
        # What an orchestrator printed is in its log
        output = told['output'] or output
        return Came(told['outcomes'], output, files_of(folder / 'cwd'), told['activations'])

    def _output(self, script, environment, folder):
        command = [sys.executable, str(SCRIPTS / f'{script}.py'), '--count', '3']
        pipes = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT}
        program = subprocess.Popen(command, env=environment, cwd=folder / 'cwd', start_new_session=True, **pipes)
        try:
            output, _ = program.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            program.communicate()
            raise
        return output.decode(errors='replace'), program.returncode


def joined(parts):
    """What the parts of a script came to, as one."""
    outcomes, files = {}, {}
    for part in parts:
        outcomes |= part.outcomes
        files |= part.files
    return Came(outcomes, '', files, None)


def files_of(folder):
    """Names of the files of a folder, and what is in them."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


def names_of(script, lists=('HABITS', 'ALONE', 'SHARED', 'ORCHESTRATORS')):
    """The names of a script's habits, as its lists name them. It is read, and not imported: it has effects."""
    tree = ast.parse((SCRIPTS / f'{script}.py').read_text(encoding='utf-8'))
    found = []
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], 'id', None) in lists:
            if isinstance(node.value, ast.Dict):
                found += [key.value for key in node.value.keys]
            else:
                found += [element.id for element in node.value.elts if isinstance(element, ast.Name)]
    return found


def habits_of(scripts):
    """Pairs of a script and one of its habits."""
    return [(script, name) for script in scripts for name in names_of(script)]


def removed(folder):
    """What is left of the programs goes: services end when their folder is gone."""
    shutil.rmtree(folder, ignore_errors=True)
