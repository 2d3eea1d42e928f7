"""
Exceptions of an orchestrator's code on their way to where they are read: as part of an outcome, or of a record.

They are pickled, classes that cannot be imported included. Beside that stands what each of them was, in
words: an exception that cannot be pickled, or not be unpickled where it is read, becomes an OutcomeError.
"""

import base64
from typing import Any, Mapping

from lithops.monitoring.backends.triggerflow.error_text import kind_of, name_of, text_of, traceback_text
from lithops.monitoring.backends.triggerflow.exceptions import CannotBeRead, CannotTravel, dumps, load_error, loads

from ...errors import OutcomeError
from .values import Pickler


def document_of(error: BaseException) -> dict[str, Any]:
    """An exception as it is stored. Whatever it does when it is described or pickled, this does not fail."""
    document = {
        'error': [name_of(type(error)), text_of(error)],
        'kind': kind_of(type(error)),
        'traceback': traceback_text(error),
    }
    try:
        return {**document, 'exception': base64.b64encode(dumps(error, by_value=True, pickler=Pickler)).decode()}
    except CannotTravel as problem:
        return {**document, 'problem': text_of(problem)}


def exception_of(document: Mapping[str, Any], what: str) -> BaseException:
    """
    An exception that was stored, or an OutcomeError that says what it was.

    :param document: as :func:`document_of` made it
    :param what: what raised it, for people to read
    """
    if 'exception' not in document:
        return _stand_in(document, what, f'It cannot be pickled ({document["problem"]}).')
    try:
        error: BaseException = load_error(base64.b64decode(document['exception']))
        return error
    except CannotBeRead as problem:
        return _stand_in(document, what, f'It cannot be read here ({text_of(problem)}). Is a module missing in this process?')


def value_of(encoded: str, what: str) -> Any:
    """
    A value that was stored.

    :param encoded: pickled, in base 64
    :param what: the value, for people to read
    :raises OutcomeError: it cannot be unpickled here
    """
    try:
        return loads(base64.b64decode(encoded))
    except CannotBeRead as problem:
        reason = f'{what} cannot be read here: {text_of(problem)}. Is a module missing in this process?'
    raise OutcomeError(reason)


def _stand_in(document: Mapping[str, Any], what: str, why: str) -> OutcomeError:
    (_, message), kind, traceback = document['error'], document['kind'], document['traceback']
    told = f'{what} raised {kind}: {message}\n{why} Its traceback was:\n{traceback}'
    return OutcomeError(told, kind, message, traceback)
