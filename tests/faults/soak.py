"""
Kills for real: runs on localhost, while their processes are killed at random.

    .venv/bin/python tests/faults/soak.py --kills 2000 --seed 7

It starts runs, and kills: handlers and functions of calls, handlers and orchestrators
of activations, the service, and the clients that wait. Now and then it fills the disk
for a second (a small file system of its own) or makes the bucket read-only. Each run
has to come to the result that it has without all that. It prints one JSON object, and
exits with 1 if one did not. The seed repeats the choices, not the moments.

It needs Linux, and to mount: as root, or where users may have namespaces.
"""

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

#: Set in the process that has a mount namespace of its own
APART = 'TRIGGERFLOW_SOAK_FOLDER'
#: MB of the file system that everything lies on
DISK = 64
#: Seconds that one run may take, with all that happens to it
PATIENCE = 240
#: Runs under way at once
WIDTH = 3

CONFIG = {
    'lithops': {'backend': 'localhost', 'storage': 'localhost'},
    'localhost': {'worker_processes': 4},
    # Activations are killed more often here than anywhere, and often in a row
    'triggerflow': {'idle_seconds': 2, 'max_deaths': 50, 'retry': {'retries': 50, 'on': [], 'backoff': 0.1, 'max_backoff': 2}},
}

#: How often each is chosen
VICTIMS = {
    'function': 6,
    'call handler': 5,
    'orchestrator': 4,
    'activation handler': 4,
    'service': 2,
    'client': 3,
    'full disk': 0.3,
    'read-only bucket': 0.3,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--kills', type=int, default=200, metavar='N')
    parser.add_argument('--seed', type=int, default=None, metavar='S')
    parser.add_argument('--only', choices=VICTIMS, metavar='VICTIM', help=f'one of {", ".join(VICTIMS)}')
    asked = parser.parse_args()
    seed = random.SystemRandom().randrange(10**9) if asked.seed is None else asked.seed
    if APART not in os.environ:
        only = ['--only', asked.only] if asked.only else []
        return _in_a_namespace_of_its_own(['--kills', str(asked.kills), '--seed', str(seed), *only])
    told = Soak(Path(os.environ[APART]), seed, asked.only).until(asked.kills)
    print(json.dumps(told, indent=2).replace('\\n', '\n'))
    return 1 if told['wrong'] else 0


def _in_a_namespace_of_its_own(arguments):
    unshare = ['unshare', '--mount', '--propagation', 'private']
    if os.geteuid():
        unshare += ['--user', '--map-root-user']
    with tempfile.TemporaryDirectory(prefix='triggerflow-soak-') as folder:
        environment = {**os.environ, APART: folder, 'HOME': folder, 'TMPDIR': f'{folder}/disk/tmp'}
        return subprocess.run([*unshare, sys.executable, __file__, *arguments], env=environment).returncode


class Soak:
    """
    :param folder: where the small file system is mounted
    """

    def __init__(self, folder, seed, only=None):
        self.seed = seed
        self.random = random.Random(seed)
        self.kills = Counter()
        self.wrong = []
        self.finished = Counter()
        self.clients = {}
        self.disk = folder / 'disk'
        self.disk.mkdir()
        _mount('-t', 'tmpfs', '-o', f'size={DISK}m', 'soak', self.disk)
        (self.disk / 'tmp').mkdir()
        self.storage = self.disk / 'tmp' / f'lithops-{_user()}' / 'storage'
        self.number = 0
        self.victims = {only: 1} if only else VICTIMS

    def until(self, kills):
        """Runs and kills until there were so many kills and the last run has ended."""
        began = time.monotonic()
        try:
            while self.kills.total() < kills:
                self._keep_runs_going()
                time.sleep(self.random.uniform(0.02, 0.25))
                self._strike()
            while self.clients:
                self._keep_runs_going(start=False)
                time.sleep(0.1)
        finally:
            left = self._end()
        return {
            'seed': self.seed,
            'kills': dict(sorted(self.kills.items())),
            'all_kills': self.kills.total(),
            'runs': dict(sorted(self.finished.items())),
            'processes_left': left,
            'wrong': self.wrong,
            'seconds': round(time.monotonic() - began, 1),
        }

    # Runs and their clients

    def _keep_runs_going(self, start=True):
        for run_id, (client, name, began) in list(self.clients.items()):
            code = client.poll()
            if code is None and time.monotonic() - began < PATIENCE:
                continue
            if code is None:
                wrong = f'it has not ended after {PATIENCE} s\n{self._what_there_is(run_id, client)}'
                client.kill()
                self._over(run_id, name, wrong)
            elif code == 0:
                self._over(run_id, name, None)
            elif code == -signal.SIGKILL:
                # Anybody may go on waiting for it
                self.clients[run_id] = self._client(run_id, name), name, began
            else:
                self._over(run_id, name, client.stderr.read().strip()[-2000:])
        while start and len(self.clients) < WIDTH:
            self.number += 1
            name, run_id = self.random.choice(ORCHESTRATORS), f'soak-{self.number}'
            self.clients[run_id] = self._client(run_id, name), name, time.monotonic()

    def _client(self, run_id, name):
        command = [sys.executable, str(Path(__file__).parent / 'client.py'), run_id, name]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def _over(self, run_id, name, wrong):
        del self.clients[run_id]
        self.finished[name] += 1
        if wrong:
            self.wrong.append({'run': run_id, 'orchestrator': name, 'wrong': wrong})

    def _what_there_is(self, run_id, client):
        """All that helps to find out why a run does not end."""
        facts = sorted(Path(at, name) for at, _, names in os.walk(self.storage) for name in names if f'/{run_id}/' in f'{at}/')
        lines = [f'client {client.pid} waits in {_waits_in(client.pid)}', 'processes:']
        lines += [f'  {pid} {kind} {_job(pid)} waits in {_waits_in(pid)}' for pid, kind in _processes(self.disk)]
        lines.append('facts:')
        lines += [f'  {path.stat().st_mtime:.3f} {path.stat().st_size:6} {path.relative_to(self.storage)}' for path in facts]
        for log in sorted(self.disk.rglob('*.log'), key=lambda log: log.stat().st_mtime)[-3:]:
            lines += [f'end of {log.name}:', *(f'  {line}' for line in log.read_text(errors='replace').splitlines()[-30:])]
        return '\n'.join(lines)

    # Faults

    def _strike(self):
        victim = self.random.choices([*self.victims], [*self.victims.values()])[0]
        if victim == 'full disk':
            self._fill_the_disk()
        elif victim == 'read-only bucket':
            self._write_protect_the_bucket()
        else:
            found = self._clients() if victim == 'client' else [pid for pid, kind in _processes(self.disk) if kind == victim]
            if not found:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.random.choice(found), signal.SIGKILL)
                self.kills[victim] += 1

    def _clients(self):
        return [client.pid for client, _, _ in self.clients.values() if client.poll() is None]

    def _fill_the_disk(self):
        filler = self.disk / 'filler'
        with contextlib.suppress(OSError), open(filler, 'wb', buffering=0) as file:
            while True:
                file.write(bytes(65536))
        with contextlib.suppress(OSError), open(filler, 'ab', buffering=0) as file:
            while True:
                file.write(b'x')
        time.sleep(1)
        filler.unlink()
        self.kills['full disk'] += 1

    def _write_protect_the_bucket(self):
        if not self.storage.is_dir():
            return
        _mount('--bind', self.storage, self.storage)
        while subprocess.run(['mount', '-o', 'remount,bind,ro', self.storage], stderr=subprocess.DEVNULL).returncode:
            time.sleep(0.02)  # somebody writes to it just now
        time.sleep(1)
        while subprocess.run(['umount', self.storage], stderr=subprocess.DEVNULL).returncode:
            time.sleep(0.02)  # somebody reads in it just now
        self.kills['read-only bucket'] += 1

    def _end(self):
        for client, _, _ in self.clients.values():
            client.kill()
        deadline = time.monotonic() + 30
        while _processes(self.disk) and time.monotonic() < deadline:
            time.sleep(0.2)
        left = len(_processes(self.disk))
        for pid, _ in _processes(self.disk):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
        subprocess.run(['umount', '--lazy', self.disk], check=True)
        return left


ORCHESTRATORS = ['sequence', 'fan_out', 'first_of_many', 'caught', 'large']


def _processes(disk):
    """(pid, kind) of each process of the service that lives on ``disk``."""
    found, parents, marks = [], {}, f'triggerflow_lithops.local_service {disk}'.replace(' ', '\0').encode()
    for path in Path('/proc').glob('[0-9]*'):
        with contextlib.suppress(OSError, ValueError):
            if marks in (path / 'cmdline').read_bytes():
                stat = (path / 'stat').read_text().rsplit(')', 1)[1].split()
                if stat[0] != 'Z':
                    parents[int(path.name)] = int(stat[1])
    for pid, parent in parents.items():
        if parent not in parents:
            # The service, or what is left of one that was killed
            kind = 'service' if _job(pid) is None else _kind(pid, True)
        else:
            kind = _kind(pid, parents.get(parent) not in parents)
        found.append((pid, kind))
    return found


def _kind(pid, is_handler):
    job = _job(pid)
    if job is None:
        return 'other'
    if job.endswith('-O000'):
        return 'activation handler' if is_handler else 'orchestrator'
    return 'call handler' if is_handler else 'function'


def _job(pid):
    """The job whose log a process writes; None for one that writes none."""
    with contextlib.suppress(OSError):
        log = os.readlink(f'/proc/{pid}/fd/1')
        if '/logs/' in log:
            return Path(log).stem
    return None


def _waits_in(pid):
    with contextlib.suppress(OSError):
        return Path(f'/proc/{pid}/wchan').read_text()
    return 'nothing: it has ended'


def _mount(*arguments):
    subprocess.run(['mount', *map(str, arguments)], check=True)


def _user():
    import getpass

    return getpass.getuser()


if __name__ == '__main__':
    sys.exit(main())
