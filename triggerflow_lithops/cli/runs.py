"""Commands on runs."""

import contextlib
import json
from typing import Any, Iterator

import click

from ..client.run import Run, utc
from ..client.runs import DamagedRun
from ..core import event
from ..core.damage import Damaged
from ..core.outcome import LOST
from ..errors import RunNotFoundError
from ..native.client import Triggerflow
from .command import Create, configured
from .output import echo, echo_table


@click.command()
@configured
def runs(create: Create) -> None:
    """List all runs in the bucket, the oldest first."""
    rows = [
        [run.run_id, run.name, status, _started(run), len(run.activations())]
        for run, status in _with_status(create().list_runs())
    ]
    echo_table(rows, headers=['Run', 'Name', 'Status', 'Started (UTC)', 'Activations'])


@click.command()
@click.argument('run_id', metavar='RUN')
@configured
def status(create: Create, run_id: str) -> None:
    """Tell how a run stands. If it has not ended, this also takes part in its care: what nobody reported is looked for."""
    run = create().get_run(run_id)
    history = run.history()
    scheduled = sum(found['data']['calls'] for found in history if found['type'] == event.JOB_SCHEDULED)
    ended = sum(found['type'] in (event.SUCCESS, event.FAILURE) for found in history)
    rows: list[list[object]] = [
        ['Run', run.run_id],
        ['Name', run.name],
        ['Status', run.status()],
        ['Started (UTC)', _started(run)],
        ['Activations', len(run.activations())],
        ['Calls ended', f'{ended} of {scheduled}'],
    ]
    told = history[-1].get('data') or {}
    if error := told.get('error'):
        rows.append(['Error', f'{error[0]}: {error[1].splitlines()[0] if error[1] else ""}'])
    if run.status() == LOST:
        rows.append(['Reason', told['reason']])
    echo_table(rows, tablefmt='plain')


@click.command()
@click.argument('run_id', metavar='RUN')
@click.option('--json', 'as_json', is_flag=True, help='Print the CloudEvents as one JSON list')
@configured
def history(create: Create, run_id: str, as_json: bool) -> None:
    """Tell what happened in a run: a line per event, a cause before what it caused."""
    events = create().get_run(run_id).history()
    if as_json:
        click.echo(json.dumps(events, indent=2))
        return
    for found in events:
        kind = found['type'].removeprefix(f'{event.PREFIX}.')
        echo(f'{found["time"]}  {kind:22}  {found["subject"]}  {_summary(found)}'.rstrip())


@click.command()
@click.argument('run_id', metavar='[RUN]', required=False)
@configured
def sweep(create: Create, run_id: str | None) -> None:
    """Repair what nobody reported: in one run, or in all that are running and in all workspaces."""
    tf = create()
    swept = [tf.get_run(run_id)] if run_id else [run for run, status in _with_status(tf.list_runs()) if status == 'running']
    for run in swept:
        echo(f'{run.run_id}: {"; ".join(run.sweep()) or "nothing to repair"}')
    for name in [] if run_id else Triggerflow(executor=tf).list_workspaces():
        try:
            said = '; '.join(Triggerflow(name, create=False, executor=tf).sweep()) or 'nothing to repair'
        except Damaged as damage:
            said = str(damage)
        echo(f'workspace {name}: {said}')


@click.command()
@click.argument('run_id', metavar='RUN')
@configured
def cancel(create: Create, run_id: str) -> None:
    """End a run as cancelled."""
    run = create().get_run(run_id)
    run.cancel()
    echo(f'{run.run_id}: {run.status()}')


@click.command()
@click.argument('run_id', metavar='RUN')
@configured
def purge(create: Create, run_id: str) -> None:
    """Remove everything of a run that has ended from the bucket."""
    run: Run[Any] = create().get_run(run_id)
    run.purge()
    echo(f'{run.run_id}: purged')


def _with_status(runs: list[Run[Any]]) -> Iterator[tuple[Run[Any], str]]:
    """Runs with their status, less those that were purged since they were listed."""
    for run in runs:
        with contextlib.suppress(RunNotFoundError):
            try:
                status = run.status()
            except Damaged:
                status = 'unknown: of a newer version of this plugin'
            yield run, f'{status}: its document is damaged' if isinstance(run, DamagedRun) and status == LOST else status


def _started(run: Run[Any]) -> str:
    return 'unknown' if isinstance(run, DamagedRun) else utc(run.document['time'])


def _summary(found: dict[str, Any]) -> str:
    """What is worth a few words in the data of an event."""
    data = found.get('data') or {}
    if 'step' in data:
        return f'step {data["position"]}: {data["step"]}'
    if 'worker_start_tstamp' in data:
        return f'{data["worker_end_tstamp"] - data["worker_start_tstamp"]:.3f} s'
    if 'context' in data:
        condition = data['condition']
        return f'until {condition["name"]} of {condition.get("count", 1)}'
    return str(data.get('cause') or data.get('reason') or data.get('error') or data.get('orchestrator') or '').split('\n')[-1]
