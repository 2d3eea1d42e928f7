"""The command line: ``triggerflow-lithops``, in the style of ``lithops``."""

import click

from . import doctor, runs, workspaces


@click.group('triggerflow-lithops')
@click.version_option(package_name='triggerflow-lithops')
def main() -> None:
    """
    Durable orchestrators on Lithops: their runs, and whether they can run here.

    A command that looks at a run that has not ended takes part in its care: it wakes the local service, or
    sweeps. What others have written is printed without control characters.

    The exit status is 0, 1 for an error, 2 for wrong usage, and 5 if there is no run of the given id.
    """


for _command in (
    *(runs.runs, runs.status, runs.history, runs.sweep, runs.cancel, runs.purge),
    *(workspaces.publish, workspaces.workspaces, workspaces.delete, workspaces.triggers),
    doctor.doctor,
):
    main.add_command(_command)
