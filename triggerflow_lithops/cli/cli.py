"""The command line: ``triggerflow-lithops``, in the style of ``lithops``."""

import contextlib
import errno
import functools
import json
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator

import click
from tabulate import tabulate

from ..client import doctor as checks
from ..client.executor import TriggerflowExecutor
from ..client.run import Run, utc
from ..client.runs import DamagedRun
from ..core import event
from ..core.damage import Damaged
from ..core.event import InvalidEventError
from ..core.limits import printable
from ..core.run.loss import LOST
from ..core.store import StoreUnavailable
from ..core.workspace.workspace import TriggerNotFoundError
from ..errors import RunNotFoundError, TriggerflowError
from ..native.client import Triggerflow
from ..native.events import CloudEvent
from ..native.trigger_set import InvalidTriggerError

#: What floor 0 says of bad input, and of what is damaged
INVALID = (Damaged, InvalidEventError, InvalidTriggerError, TriggerNotFoundError)


class _Failed(click.ClickException):
    """Any error. (2 is click's own exit status, of wrong usage.)"""

    exit_code = 1


class _NotThere(click.ClickException):
    """There is no run of the given id."""

    exit_code = 5


def _configured(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every command has; gives it a function that creates the executor."""

    @click.option('--config', '-c', 'config_file', default=None, type=click.Path(exists=True), help='Lithops config file')
    @click.option('--backend', '-b', default=None, help='Compute backend')
    @click.option('--storage', '-s', default=None, help='Storage backend')
    @click.option('--debug', '-d', is_flag=True, help='Debug mode: log everything, and show where an error comes from')
    @functools.wraps(command)
    def configured(config_file: str | None, backend: str | None, storage: str | None, debug: bool, **arguments: Any) -> None:
        def create() -> TriggerflowExecutor:
            return TriggerflowExecutor(
                config_file=config_file, backend=backend, storage=storage, log_level='DEBUG' if debug else None
            )

        try:
            command(create, **arguments)
        except Exception as error:
            if debug or _is_of_click(error):
                raise
            raise _told(error) from error

    return configured


def _is_of_click(error: Exception) -> bool:
    """What click handles by itself, a pipe that was closed included."""
    own = (click.ClickException, click.exceptions.Exit, click.Abort)
    return isinstance(error, own) or (isinstance(error, OSError) and error.errno == errno.EPIPE)


def _told(error: Exception) -> click.ClickException:
    """An error as a sentence on standard error, and its exit status."""
    said = _printable(str(error))
    if isinstance(error, RunNotFoundError):
        return _NotThere(said)
    if isinstance(error, (TriggerflowError, StoreUnavailable, *INVALID)):
        return _Failed(said)
    return _Failed(f'{type(error).__name__}: {said}. This was not expected: --debug shows where it comes from.')


@click.group('triggerflow-lithops')
@click.version_option(package_name='triggerflow-lithops')
def main() -> None:
    """
    Durable orchestrators on Lithops: their runs, and whether they can run here.

    A command that looks at a run that has not ended takes part in its care: it wakes the local service, or
    sweeps. What others have written is printed without control characters.

    The exit status is 0, 1 for an error, 2 for wrong usage, and 5 if there is no run of the given id.
    """


@main.command()
@_configured
def runs(create: Callable[[], TriggerflowExecutor]) -> None:
    """List all runs in the bucket, the oldest first."""
    rows = [
        [run.run_id, run.name, status, _started(run), len(run.activations())]
        for run, status in _with_status(create().list_runs())
    ]
    _echo_table(rows, headers=['Run', 'Name', 'Status', 'Started (UTC)', 'Activations'])


@main.command()
@click.argument('run_id', metavar='RUN')
@_configured
def status(create: Callable[[], TriggerflowExecutor], run_id: str) -> None:
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
    _echo_table(rows, tablefmt='plain')


@main.command()
@click.argument('run_id', metavar='RUN')
@click.option('--json', 'as_json', is_flag=True, help='Print the CloudEvents as one JSON list')
@_configured
def history(create: Callable[[], TriggerflowExecutor], run_id: str, as_json: bool) -> None:
    """Tell what happened in a run: a line per event, a cause before what it caused."""
    events = create().get_run(run_id).history()
    if as_json:
        click.echo(json.dumps(events, indent=2))
        return
    for found in events:
        kind = found['type'].removeprefix(f'{event.PREFIX}.')
        _echo(f'{found["time"]}  {kind:22}  {found["subject"]}  {_summary(found)}'.rstrip())


@main.command()
@click.argument('run_id', metavar='[RUN]', required=False)
@_configured
def sweep(create: Callable[[], TriggerflowExecutor], run_id: str | None) -> None:
    """Repair what nobody reported: in one run, or in all that are running and in all workspaces."""
    tf = create()
    swept = [tf.get_run(run_id)] if run_id else [run for run, status in _with_status(tf.list_runs()) if status == 'running']
    for run in swept:
        _echo(f'{run.run_id}: {"; ".join(run.sweep()) or "nothing to repair"}')
    for name in [] if run_id else Triggerflow(executor=tf).list_workspaces():
        try:
            said = '; '.join(Triggerflow(name, create=False, executor=tf).sweep()) or 'nothing to repair'
        except Damaged as damage:
            said = str(damage)
        _echo(f'workspace {name}: {said}')


@main.command()
@click.argument('run_id', metavar='RUN')
@_configured
def cancel(create: Callable[[], TriggerflowExecutor], run_id: str) -> None:
    """End a run as cancelled."""
    run = create().get_run(run_id)
    run.cancel()
    _echo(f'{run.run_id}: {run.status()}')


@main.command()
@click.argument('run_id', metavar='RUN')
@_configured
def purge(create: Callable[[], TriggerflowExecutor], run_id: str) -> None:
    """Remove everything of a run that has ended from the bucket."""
    run: Run[Any] = create().get_run(run_id)
    run.purge()
    _echo(f'{run.run_id}: purged')


@main.command()
@click.argument('workspace', metavar='WORKSPACE')
@click.option('--type', 'kind', required=True, help='Type of the event, such as shard.done')
@click.option('--subject', required=True, help='What it is about')
@click.option('--data', default=None, help='JSON, or @FILE with JSON')
@click.option('--source', default=None, help='Who publishes it')
@click.option('--id', 'event_id', default=None, help='Two events of one source and id are one event; random unless given')
@_configured
def publish(create: Callable[[], TriggerflowExecutor], workspace: str, **given: str | None) -> None:
    """Publish an event to a workspace of triggers."""
    named = {'source': given['source'], 'id': given['event_id']}
    found = CloudEvent(
        str(given['kind']),
        str(given['subject']),
        data=_json(given['data']),
        **{name: value for name, value in named.items() if value is not None},
    )
    new = Triggerflow(workspace, create=False, executor=create()).publish(found)
    _echo(f'{found.id}: {"published" if new else "was published before"}')


@main.command()
@_configured
def workspaces(create: Callable[[], TriggerflowExecutor]) -> None:
    """List all workspaces of triggers in the bucket."""
    for name in Triggerflow(executor=create()).list_workspaces():
        _echo(name)


@main.command()
@click.argument('workspace', metavar='WORKSPACE')
@_configured
def delete(create: Callable[[], TriggerflowExecutor], workspace: str) -> None:
    """Delete a workspace, with its triggers, its events and its runs."""
    # Without opening it: its document may be damaged
    Triggerflow(executor=create()).delete_workspace(workspace)
    _echo(f'{workspace}: deleted')


@main.command()
@click.argument('workspace', metavar='WORKSPACE')
@_configured
def triggers(create: Callable[[], TriggerflowExecutor], workspace: str) -> None:
    """List the triggers of a workspace."""
    tf = Triggerflow(workspace, create=False, executor=create())
    rows = []
    for trigger_id in tf.list_triggers():
        try:
            found = tf.get_trigger(trigger_id)
        except Damaged as damage:
            rows.append([trigger_id, str(damage), '', '', ''])
            continue
        events = ', '.join(f'{wanted["type"]} of {wanted["subject"]}' for wanted in found['activation_events'])
        fired = f'{found["fired"]}{"" if found["enabled"] else ", disabled"}'
        rows.append([found['id'], events, found['condition']['name'], found['action']['name'], fired])
    _echo_table(rows, headers=['Trigger', 'Events', 'Condition', 'Action', 'Fired'])


@main.command()
@_configured
def doctor(create: Callable[[], TriggerflowExecutor]) -> None:
    """Check whether orchestrators can run here, and say what to do if not."""
    findings = list(checks.examine(create))
    for finding in findings:
        _echo(f'{"ok    " if finding.ok else "FAILED"}  {finding.check:18}  {finding.said}')
    if not all(finding.ok for finding in findings):
        raise SystemExit(1)


def _echo(line: str) -> None:
    """
    A line on standard output. What it tells of may come from anybody who can write to the bucket: no
    control character of it reaches the terminal, and it stays one line.
    """
    click.echo(printable(line))


def _echo_table(rows: Iterable[Iterable[object]], **options: Any) -> None:
    # As texts: tabulate would take the id '1e5' for a number, and write 100000
    texts = [[printable(str(cell)) for cell in row] for row in rows]
    click.echo(tabulate(texts, disable_numparse=True, **options))


def _printable(text: str) -> str:
    """Of several lines."""
    return '\n'.join(map(printable, text.split('\n')))


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


def _json(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(Path(text[1:]).read_text() if text.startswith('@') else text)
    except (OSError, ValueError, RecursionError) as error:
        # Of a text that is long, its beginning
        raise click.BadParameter(f'{text[:100]} is not JSON, nor a file of it: {error}', param_hint='--data') from error


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
