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
How an execution failed, read from Lithops' status of it: what decides on a retry.
"""

import ast
import pickle
import pickletools
import traceback
from typing import Any, Dict, Optional, Tuple

from .triggers.attempt import Failure

#: First argument of an exception that Lithops' handler raised, not the function
HANDLER = 'HANDLER'


def lost(reason: str) -> Tuple[type, BaseException, None]:
    """The exception of a call that nobody reported, as Lithops' handler would have raised it"""
    return RuntimeError, RuntimeError(HANDLER, reason), None


def failure_of(status: Dict[str, Any]) -> Optional[Failure]:
    """
    None for an execution that ended with a value

    :param status: Lithops' status document
    """
    if not status.get('exception'):
        return None
    pickled = ast.literal_eval(status['exc_info'])
    try:
        found = pickle.loads(pickled)
    except Exception:
        # Its module is not there, or only where the function ran
        return _by_name('.'.join(_first_names(pickled)), 'an exception that cannot be read here')
    if isinstance(found, dict):
        # Lithops' form of an exception that does not survive pickling
        return _by_name(found['exc_type'].partition("'")[2].rpartition("'")[0], str(found['exc_value']))
    kind, error = found[0], found[1]
    if error.args[:1] == (HANDLER,):
        reason = str(error.args[1]) if len(error.args) > 1 else repr(error)
        if kind is TimeoutError:
            return Failure(reason, _names(kind))
        return Failure(reason, lost=True, out_of_memory=kind is MemoryError)
    return Failure(_one_line(kind.__qualname__, str(error)), _names(kind), out_of_memory=issubclass(kind, MemoryError))


def last_words(status: Dict[str, Any]) -> str:
    """How an execution failed, with its traceback where there is one"""
    try:
        found = pickle.loads(ast.literal_eval(status['exc_info']))
        if isinstance(found, dict):
            return str(found['exc_value'])
        return ''.join(traceback.format_exception(*found)).strip()
    except Exception as error:
        return f'an exception that cannot be read here ({error!r})'


def _names(kind: type) -> Tuple[str, ...]:
    classes = [found for found in kind.__mro__ if issubclass(found, BaseException)]
    return tuple(name for found in classes for name in (f'{found.__module__}.{found.__qualname__}', found.__qualname__))


def _by_name(name: str, message: str) -> Failure:
    bare = name.rpartition('.')[2]
    return Failure(_one_line(bare, message), (name, bare, *_names(Exception)))


def _one_line(name: str, message: str) -> str:
    lines = message.strip().splitlines()
    return f'{name}: {lines[0]}' if lines else name


def _first_names(pickled: bytes) -> Tuple[str, ...]:
    """Module and name of the class that a pickled exception begins with"""
    names = (argument for _, argument, _ in pickletools.genops(pickled) if isinstance(argument, str))
    return next(names, ''), next(names, '')
