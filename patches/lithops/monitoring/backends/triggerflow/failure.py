#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
#
"""
How an execution failed: what a worker notes of it in Lithops' status, and what is read from that.

Who wrote a status tells a call that raised from one that was lost. The process of the user's
function notes what was raised, in a field of its own. What Lithops' handler writes itself (a
time-out, a kill) lacks that field, and so does what is written in place of a report that never came.
"""

import ast
import json
import pickle
from typing import Any, Dict, NamedTuple, Optional, Tuple

from .core.run.attempts import Failure
from .error_text import first_line, frames_text, kind_of, names_of, shortened, text_of, traceback_text
from .exceptions import CannotBeRead, CannotTravel, dumps, is_text_in_lithops, load_error, loads

#: First argument of an exception that Lithops' handler raised, not the function
HANDLER = 'HANDLER'

#: In the status of a call: what its function raised, as JSON
RAISED_FIELD = 'triggerflow_raised'


class InputLost(RuntimeError):
    """What a call was to be given could not be read: it has not run, and is lost"""


class RaisedByCall(NamedTuple):
    """
    What a function raised, told in words

    :ivar kinds: names of the exception's classes, the most derived first, each with and without its module
    :ivar line: in one line
    """

    kind: str
    kinds: Tuple[str, ...]
    line: str
    text: str
    traceback: str


def lost(reason: str) -> Tuple[type, BaseException, None]:
    """The exception of a call that nobody reported, as Lithops' handler would have raised it"""
    return RuntimeError, RuntimeError(HANDLER, reason), None


def stats_of(error: BaseException) -> Dict[str, Any]:
    """
    What a worker notes of an exception that ended its call: fields of Lithops' status

    One that cannot be pickled is noted in Lithops' own form of it, its text
    """
    if type(error) is InputLost:
        return {'exception': True, 'exc_info': str(pickle.dumps(lost(text_of(error))))}
    kind = type(error)
    noted = RaisedByCall(kind_of(kind), names_of(kind), first_line(error), text_of(error), traceback_text(error))
    stats = {'exception': True, RAISED_FIELD: json.dumps(noted._asdict())}
    try:
        if issubclass(kind, Exception) and is_text_in_lithops(error):
            # A script sees the same as it does without orchestrators
            raise CannotTravel('Lithops does not pickle it, or cannot unpickle it again')
        # What is no Exception Lithops does not report. As a text it would be caught by "except Exception"
        pickled = dumps(error, by_value=not issubclass(kind, Exception), as_exc_info=True)
    except CannotTravel as problem:
        stats['exc_pickle_fail'] = True
        frames = frames_text(error)
        document = {
            'exc_type': f"<class '{noted.kind}'>",
            'exc_value': f'{noted.text}\n{frames}' if frames else noted.text,
            'exc_traceback': None,
            'pickle_exception': text_of(problem),
        }
        pickled = pickle.dumps(document)
    return {**stats, 'exc_info': str(pickled)}


def raised_of(status: Dict[str, Any]) -> Optional[RaisedByCall]:
    """What the function of a call raised, in words; None if it raised nothing, or never ended"""
    try:
        found = json.loads(status[RAISED_FIELD])
        return RaisedByCall(**{**found, 'kinds': tuple(found['kinds'])})
    except (KeyError, TypeError, ValueError):
        return None


def exception_of(status: Dict[str, Any]) -> Optional[BaseException]:
    """
    What the function of a call raised, with its traceback. What cannot be read here is an Exception with its text

    :return: None if it raised nothing, or never ended
    """
    raised = raised_of(status)
    if raised is None:
        return None
    try:
        pickled = ast.literal_eval(status['exc_info'])
        if not status.get('exc_pickle_fail'):
            return load_error(pickled)
        return Exception(loads(pickled)['exc_value'])
    except (CannotBeRead, KeyError, TypeError, ValueError, SyntaxError) as problem:
        why = f'(This exception of a call cannot be read here: {text_of(problem)}. Is a module missing?)'
        return Exception(f'{raised.kind}: {raised.text}\n{why}\n{raised.traceback}')


def failure_of(status: Dict[str, Any]) -> Optional[Failure]:
    """
    None for an execution that ended with a value

    :param status: Lithops' status document
    """
    if not status.get('exception'):
        return None
    raised = raised_of(status)
    if raised is not None:
        return Failure(raised.line, raised.kinds, out_of_memory='builtins.MemoryError' in raised.kinds)
    try:
        error = load_error(ast.literal_eval(status['exc_info']))
    except (CannotBeRead, KeyError, TypeError, ValueError, SyntaxError) as problem:
        return Failure(f'What the worker noted of its end cannot be read: {text_of(problem)}', lost=True)
    # Of Lithops' handler, or of ours: nobody else writes a status without that field
    reason = str(error.args[1]) if _is_marked(error) else first_line(error)
    if type(error) is TimeoutError:
        return Failure(reason, names_of(TimeoutError))
    return Failure(reason, lost=True, out_of_memory=type(error) is MemoryError)


def last_words(status: Dict[str, Any]) -> str:
    """How an execution failed, with its traceback where there is one"""
    raised = raised_of(status)
    if raised is not None:
        return raised.traceback.strip()
    try:
        error = load_error(ast.literal_eval(status['exc_info']))
    except (CannotBeRead, KeyError, TypeError, ValueError, SyntaxError) as problem:
        return f'an exception that cannot be read here ({text_of(problem)})'
    return shortened(str(error.args[1])) if _is_marked(error) else traceback_text(error).strip()


def _is_marked(error: BaseException) -> bool:
    return len(error.args) == 2 and type(error.args[0]) is str and error.args[0] == HANDLER
