"""The command that checks whether runs can be here."""

import click

from ..client import doctor as checks
from .command import Create, configured
from .output import echo


@click.command()
@configured
def doctor(create: Create) -> None:
    """Check whether orchestrators can run here, and say what to do if not."""
    findings = list(checks.examine(create))
    for finding in findings:
        echo(f'{"ok    " if finding.ok else "FAILED"}  {finding.check:18}  {finding.said}')
    if not all(finding.ok for finding in findings):
        raise SystemExit(1)
