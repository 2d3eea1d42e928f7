"""Asks a runtime, by one small call, which version of this plugin it took along when it was deployed."""

import ast
import pickle
import time
import uuid
from typing import Any, Callable

from lithops.constants import JOBS_PREFIX
from lithops.invokers import create_invoker
from lithops.job import create_map_job
from lithops.monitoring.backends.triggerflow.compute import InvocationNotAccepted, InvocationRejected, submit
from lithops.monitoring.backends.triggerflow.failure import failure_of
from lithops.serverless import ServerlessHandler
from lithops.storage import InternalStorage

from ..errors import ConfigurationError
from .config import SECTION

#: Seconds that one call is given to answer, its image maybe to be fetched first, and how often it is made
PATIENCE, TRIES = 60.0, 3
#: Seconds between two looks for its answer
POLL = 0.1

_JOB, _CALL = 'A000', '00000'


class Probe:
    """
    A call of Lithops' own, which nothing of this plugin has to be there for.

    :param config: Lithops' configuration, of the runtime that is asked
    :param runtime: its name, memory (MB) and metadata, as Lithops has them
    """

    def __init__(
        self,
        config: dict[str, Any],
        internal_storage: InternalStorage,
        handler: ServerlessHandler,
        runtime: tuple[str, int, dict[str, Any]],
    ):
        own = {'monitoring': 'storage', 'backend_type': handler.get_backend_type()}
        self._config = {**config, 'lithops': {**config['lithops'], **own}}
        self._internal_storage = internal_storage
        self._handler = handler
        self._name, self._memory, self._metadata = runtime
        self._executor_id = f'{uuid.uuid4().hex}-0'

    def ask(self) -> str:
        """
        ``installation.digest`` of what it has; empty if it has nothing.

        :raises ConfigurationError: it does not answer
        """
        try:
            payload = self._payload()
            for _ in range(TRIES):
                submit(self._config, [payload])
                status = self._answer()
                if status is not None:
                    return self._digest_in(status)
        except (InvocationNotAccepted, InvocationRejected) as error:
            raise self._no_answer(str(error)) from error
        finally:
            store = self._internal_storage.storage
            keys = store.list_keys(self._internal_storage.bucket, f'{JOBS_PREFIX}/{self._executor_id}')
            store.delete_objects(self._internal_storage.bucket, keys)
        raise self._no_answer(f'{TRIES} calls have not ended within {PATIENCE:.0f} s each')

    def _payload(self) -> dict[str, Any]:
        job = create_map_job(
            config=self._config,
            internal_storage=self._internal_storage,
            executor_id=self._executor_id,
            job_id=_JOB,
            map_function=_digest(),
            iterdata=[()],
            runtime_meta=self._metadata,
            runtime_memory=self._memory,
            extra_env=None,
            include_modules=None,
            exclude_modules=['lithops'],
            execution_timeout=None,
        )
        job.runtime_name = self._name
        invoker = create_invoker(self._config, self._executor_id, self._internal_storage, self._handler, None)
        payload: dict[str, Any] = invoker._create_payload(job)
        # The field of no run, so that whoever reports takes it for a plain call
        return {**payload, 'call_ids': [_CALL], 'data_byte_strs': job.data_byte_strs, SECTION: {}}

    def _answer(self) -> dict[str, Any] | None:
        deadline = time.monotonic() + PATIENCE
        while True:
            status: dict[str, Any] | None = self._internal_storage.get_call_status(self._executor_id, _JOB, _CALL)
            if status is not None or time.monotonic() > deadline:
                return status
            time.sleep(POLL)

    def _digest_in(self, status: dict[str, Any]) -> str:
        failure = failure_of(status)
        if failure is not None:
            raise self._no_answer(failure.reason)
        return str(pickle.loads(ast.literal_eval(status['result'])))

    def _no_answer(self, said: str) -> ConfigurationError:
        name, memory, backend = self._name, self._memory, self._config['lithops']['backend']
        return ConfigurationError(
            f'Runtime {name!r} of {backend} was asked whether it has this plugin, and does not answer: {said}. Deploy it again, '
            f'with TriggerflowExecutor(deploy=True), or: lithops runtime deploy -b {backend} -m {memory} {name}'
        )


def _digest() -> Callable[[], str]:
    """What tells ``installation.digest`` of the Lithops that it runs in."""

    def digest() -> str:
        # It travels by itself: there may be nothing of ours where it runs
        import hashlib
        from pathlib import Path

        import lithops

        folder = Path(lithops.__file__).parent / 'monitoring' / 'backends' / 'triggerflow'
        found = hashlib.blake2b(digest_size=6)
        for module in sorted(folder.rglob('*.py')):
            found.update(module.relative_to(folder).as_posix().encode())
            found.update(module.read_bytes())
        return found.hexdigest() if folder.is_dir() else ''

    return digest
