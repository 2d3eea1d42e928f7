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
The functions of a cloud: invocations handed to them by Lithops' own compute handlers.

Lithops' invokers are not used. What such a service refuses they keep in a queue of
their own process, and in a worker that process is about to end.
"""

import hashlib
import json
import logging
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Dict, List, Optional, Tuple

from lithops.config import extract_serverless_config
from lithops.constants import LOCALHOST
from lithops.serverless import ServerlessHandler
from lithops.utils import BackendType

from .openwhisk_alarms import set_alarm

logger = logging.getLogger(__name__)

#: Invocations that one process hands in at the same time
THREADS = 32
#: Seconds between two tries of an invocation that was refused: at first, and at the most
PAUSES = (0.1, 5.0)
#: Seconds after which whoever invokes gives up. A sweep finds what was not started
PATIENCE = 60.0
#: Seconds from now from which on an alarm is set for what is due later
ALARM = 60.0
#: Seconds between two looks whether a function waits in vain
LOOK = 30.0
#: Which share of its time a function waits until it is due; then it hands over
SHARE = 0.8
#: Seconds before its end when a token is taken for expired
TOKEN_GRACE = 300.0
#: Bytes that one invocation may have, where the service says how many
MAX_PAYLOAD = {'openwhisk': 1_048_576, 'ibm_cf': 5_242_880}

#: What a handler renews, …
_RENEWED = ('token', 'token_expiry_time')
#: … and all that it learns, and whoever is invoked is told
_LEARNED = (*_RENEWED, 'namespace', 'namespace_id')


class UnsupportedBackendError(Exception):
    """A compute backend that cannot run orchestrators"""


class InvocationNotAccepted(Exception):
    """A function service did not take an invocation, for as long as one can try again"""


class InvocationRejected(Exception):
    """An invocation that a function service will not take, however often it is tried"""


class RuntimeGone(InvocationRejected):
    """The function that is to be invoked is not deployed"""


class PayloadTooLarge(InvocationRejected):
    """An invocation has more bytes than the function service takes"""


def is_local(config: Dict[str, Any]) -> bool:
    """Whether the local function service runs what is invoked"""
    return config['lithops']['backend'] == LOCALHOST


def submit(config: Dict[str, Any], payloads: List[Dict[str, Any]], patience: Optional[float] = None) -> None:
    """
    Hands in invocations. Returns when all of them have been accepted

    :param config: Lithops' configuration, as whoever invokes was given it
    :param patience: seconds, instead of :data:`PATIENCE`
    :raises RuntimeGone: the function is not deployed
    :raises PayloadTooLarge: one of them is too large; then none has been handed in
    :raises InvocationNotAccepted: some were not accepted
    """
    backend = config['lithops']['backend']
    _require_size(backend, payloads)
    patience = PATIENCE if patience is None else patience
    if len(payloads) == 1:
        _hand_in(config, payloads[0], patience)
        return
    with ThreadPoolExecutor(min(THREADS, len(payloads))) as pool:
        list(pool.map(lambda payload: _hand_in(config, payload, patience), payloads))


def _is_kept(handler: ServerlessHandler, payload: Dict[str, Any]) -> bool:
    """Whether a service that has a clock makes this invocation at its time. Otherwise its function waits"""
    due = payload['triggerflow'].get('due', 0.0)
    if handler.backend_name != 'openwhisk' or due - time.time() < ALARM:
        return False
    return set_alarm(handler.backend, payload, due)


def wait_until(due: float, execution_timeout: float, is_in_vain: Callable[[], bool]) -> bool:
    """
    Lets the time pass until a function is due, where functions start at once

    :param due: seconds since the epoch
    :param execution_timeout: seconds that one function may take
    :param is_in_vain: whether nobody needs what is to be done then
    :return: whether it is time, or the wait is in vain; else as much time has passed as
        one function may take, and another one has to wait on
    """
    until = time.time() + SHARE * execution_timeout
    while (left := due - time.time()) > 0:
        if time.time() >= until:
            return False
        time.sleep(min(LOOK, left, until - time.time()))
        if left > LOOK and is_in_vain():
            return True
    return True


_handlers: Dict[str, Tuple[ServerlessHandler, float]] = {}
_mutex = threading.Lock()


def handler_of(config: Dict[str, Any], refused: Optional[ServerlessHandler] = None) -> ServerlessHandler:
    """
    Lithops' compute handler, one for each configuration that this process has met.

    A handler renews its token when it is made, and in a worker at no other time. So
    another one is made before the token has expired

    :param refused: the one whose token was refused
    """
    backend = config['lithops']['backend']
    own = {name: value for name, value in config[backend].items() if name not in _RENEWED}
    # A connection that is open is of one process: what another one, forked from it, sends there breaks both
    key = f'{os.getpid()}/{backend}/' + hashlib.sha256(json.dumps(own, sort_keys=True, default=str).encode()).hexdigest()
    with _mutex:
        handler, until = _handlers.get(key, (None, 0.0))
        if handler in (None, refused) or until < time.time() + TOKEN_GRACE:
            if refused is not None:
                # Without one Lithops might take the same one from a file
                config[backend]['token_expiry_time'] = 1
            handler = _create_handler(config)
            until = float(handler.config[backend].get('token_expiry_time') or 'inf')
            _handlers[key] = handler, until
        learned = handler.config[backend]
        config[backend].update({name: learned[name] for name in _LEARNED if name in learned})
        return handler


def _create_handler(config: Dict[str, Any]) -> ServerlessHandler:
    handler = ServerlessHandler(extract_serverless_config(config), None)
    require_no_batch(handler)
    return handler


def require_no_batch(handler: ServerlessHandler) -> None:
    """
    Checks that a compute backend runs functions, each by itself

    :raises UnsupportedBackendError: it does not
    """
    if handler.get_backend_type() != BackendType.FAAS.value:
        raise UnsupportedBackendError(
            f'Found compute backend {handler.backend_name!r}, which runs jobs as a batch. Orchestrators need one that '
            "runs functions: 'openwhisk', 'ibm_cf', 'aws_lambda', …"
        )


def _require_size(backend: str, payloads: List[Dict[str, Any]]) -> None:
    limit = MAX_PAYLOAD.get(backend)
    for payload in payloads if limit else ():
        size = len(json.dumps(payload, default=str))
        if size > limit:
            raise PayloadTooLarge(
                f'An invocation of {payload["func_name"]} has {size} bytes; {backend} takes {limit} at the most. '
                'What makes it large is extra_env, or the configuration: hand large values over as arguments.'
            )


def _hand_in(config: Dict[str, Any], payload: Dict[str, Any], patience: float) -> None:
    deadline = time.monotonic() + patience
    backend = config['lithops']['backend']
    pause, longest = PAUSES
    # Whose token was refused, and whether another one was asked for
    refused, renewed = None, False
    while True:
        said = 'it is full'
        try:
            # Another thread, or a second of waiting, may have renewed it
            handler = handler_of(config, refused)
            refused = None
            own = {**payload, 'config': {**payload['config'], backend: config[backend]}}
            if _is_kept(handler, own) or _is_accepted(handler, own):
                return
        except _Unauthorized:
            if renewed:
                raise InvocationNotAccepted(f'{backend} refuses its credentials, also with a new token.') from None
            refused, renewed = handler, True
            continue
        except (UnsupportedBackendError, PayloadTooLarge):
            raise
        except RuntimeGone:
            if not _is_larger(payload):
                raise
            # No other attempt has had as much memory
            payload = _with_memory_deployed(handler, payload)
            continue
        except Exception as error:
            said = f'{type(error).__name__}: {error}'
        if time.monotonic() > deadline:
            raise InvocationNotAccepted(f'{backend} has not taken an invocation within {patience:.0f} s: {said}')
        logger.debug(f'An invocation was refused, and is tried again: {said}')
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(longest, pause * 2)


def _is_larger(payload: Dict[str, Any]) -> bool:
    field = payload['triggerflow']
    return bool(field.get('attempt')) and payload['runtime_memory'] != field['memory']


def _with_memory_deployed(handler: ServerlessHandler, payload: Dict[str, Any]) -> Dict[str, Any]:
    """
    Deploys the action of a further attempt that is given more memory, from the Lithops that
    runs here. The payload of what can be invoked: if there is no more memory, with what it had
    """
    name, memory = payload['runtime_name'], payload['runtime_memory']
    try:
        handler.deploy_runtime(name, memory, payload['config'][handler.backend_name]['runtime_timeout'])
        return payload
    except Exception as error:
        had = payload['triggerflow']['memory']
        logger.warning(f'{name} with {memory} MB cannot be deployed, so the call is tried again with {had} MB: {error}')
        return {**payload, 'runtime_memory': had}


class _Unauthorized(Exception):
    """The credentials were refused: a token has expired"""


def _is_accepted(handler: ServerlessHandler, payload: Dict[str, Any]) -> bool:
    backend = handler.backend
    client = getattr(backend, 'cf_client', None)
    if client is None:
        return bool(handler.invoke(payload))
    # Lithops' own way from here takes 404 for an activation, or waits for a lock that it
    # holds, and calls itself again and again upon 401
    if handler.backend_name == 'ibm_cf':
        backend._get_or_create_namespace()
    action = backend._format_function_name(payload['runtime_name'], payload['runtime_memory'])
    try:
        answer = client.invoke(backend.package, action, payload, backend.is_lithops_worker)
    except Exception as error:
        # All that Lithops' client tells of 413
        if 'larger than allowed' in str(error):
            said = f'An invocation of {payload["func_name"]} is refused by {handler.backend_name}: {error}'
            raise PayloadTooLarge(said) from error
        raise
    if answer == 404:
        raise RuntimeGone(
            f"{handler.backend_name} has no action '{backend.package}/{action}' (any more). Deploy it again: "
            f'lithops runtime deploy -b {handler.backend_name} -m {payload["runtime_memory"]} {payload["runtime_name"]}'
        )
    if answer == 401:
        raise _Unauthorized()
    return bool(answer)
