"""
What the console script ``triggerflow-lithops`` runs.

It stands outside of the package: where there is no Lithops that the plugin works
with, the package cannot be imported, and that is to be one sentence, too.
"""

import sys


def main() -> None:
    """The command line. Where the package cannot be imported, why, and an exit status of 1."""
    try:
        from triggerflow_lithops.cli import main as cli
    except Exception as error:
        # The class is in the package that cannot be imported: an InstallationError is known by its name
        if type(error).__name__ != 'InstallationError':
            raise
        sys.exit(f'Error: {error}')
    cli.main()
