"""Which kind of document lies at a key. So nobody who reads one can forget to check it."""

from .damage import Unfit, decode
from .run.document_checks import check_of_run
from .run.keys import HOMES, JOBS, RUNS, WORKSPACES
from .shape import mapping
from .workspace.document_checks import check_inside, check_workspace

_CHECKS = {JOBS: check_of_run, RUNS: check_of_run, WORKSPACES: check_workspace, HOMES: check_inside}


def document_at(where: str, value: bytes) -> dict[str, object]:
    """
    The document that was read at a key.

    :raises Damaged: it is none, or not one of the kind that belongs there
    """
    try:
        document = decode(value)
        check = _CHECKS.get(where.partition('/')[0])
        if check is None or where.count('/') < 1:
            mapping(document)
        else:
            check(where, document)
    except Unfit as unfit:
        raise unfit.of(where) from None
    return document  # type: ignore[no-any-return]
