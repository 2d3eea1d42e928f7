"""Commands on workspaces of custom triggers."""

import json
from pathlib import Path
from typing import Any

import click

from ..core.damage import Damaged
from ..native.client import Triggerflow
from ..native.events import CloudEvent
from .command import Create, configured
from .output import echo, echo_table


@click.command()
@click.argument('workspace', metavar='WORKSPACE')
@click.option('--type', 'kind', required=True, help='Type of the event, such as shard.done')
@click.option('--subject', required=True, help='What it is about')
@click.option('--data', default=None, help='JSON, or @FILE with JSON')
@click.option('--source', default=None, help='Who publishes it')
@click.option('--id', 'event_id', default=None, help='Two events of one source and id are one event; random unless given')
@configured
def publish(create: Create, workspace: str, **given: str | None) -> None:
    """Publish an event to a workspace of triggers."""
    named = {'source': given['source'], 'id': given['event_id']}
    found = CloudEvent(
        str(given['kind']),
        str(given['subject']),
        data=_json(given['data']),
        **{name: value for name, value in named.items() if value is not None},
    )
    new = Triggerflow(workspace, create=False, executor=create()).publish(found)
    echo(f'{found.id}: {"published" if new else "was published before"}')


@click.command()
@configured
def workspaces(create: Create) -> None:
    """List all workspaces of triggers in the bucket."""
    for name in Triggerflow(executor=create()).list_workspaces():
        echo(name)


@click.command()
@click.argument('workspace', metavar='WORKSPACE')
@configured
def delete(create: Create, workspace: str) -> None:
    """Delete a workspace, with its triggers, its events and its runs."""
    # Without opening it: its document may be damaged
    Triggerflow(executor=create()).delete_workspace(workspace)
    echo(f'{workspace}: deleted')


@click.command()
@click.argument('workspace', metavar='WORKSPACE')
@configured
def triggers(create: Create, workspace: str) -> None:
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
    echo_table(rows, headers=['Trigger', 'Events', 'Condition', 'Action', 'Fired'])


def _json(text: str | None) -> Any:
    if text is None:
        return None
    try:
        return json.loads(Path(text[1:]).read_text() if text.startswith('@') else text)
    except (OSError, ValueError, RecursionError) as error:
        # Of a text that is long, its beginning
        raise click.BadParameter(f'{text[:100]} is not JSON, nor a file of it: {error}', param_hint='--data') from error
