"""What the hooked methods of Lithops do that wait, and that ask what came out."""

import ast
import base64
import functools
import math
import zlib
from types import SimpleNamespace
from typing import Any

import lithops.utils
from lithops.future import ResponseFuture
from lithops.monitoring.backends.triggerflow.future import OUTPUT_FIELD
from lithops.storage.utils import create_output_key

from ..core import limits
from ..core.damage import Damaged
from ..core.run.keys import event_key
from ..replay.outputs import Output
from ..replay.replay import Ended
from .jobs import future_like, is_pending
from .lithops_modules import wait_module
from .packing.pickles import is_pickle
from .steps import Steps


class Waits(Steps):
    """Waits for calls, and reads what they returned."""

    def wait(
        self,
        fs: Any,
        internal_storage: Any = None,
        job_monitor: Any = None,
        throw_except: bool = True,
        return_when: Any = wait_module.ALL_COMPLETED,
        download_results: bool = False,
        timeout: float | None = None,
        threadpool_size: int | None = None,
        wait_dur_sec: float | None = None,
        show_progressbar: bool = True,
        futures_from_executor_wait: bool = False,
    ) -> Any:
        """``lithops.wait.wait``. What Lithops polls is a durable wait here; the rest is Lithops'."""
        limits.timeout_of_wait(timeout)
        if not fs:
            return [], []
        fs = lithops.utils._as_future_list(fs)
        partition = functools.partial(wait_module._partition_futures, download_results=download_results)
        waited_for = partition(fs)[1] if futures_from_executor_wait else fs
        if partition(fs)[1]:
            wait_module._log_wait_start(lithops.utils.log_prefix(fs[0].executor_id), return_when, len(waited_for))
        # One for the futures given, and for those that they return
        due: float | None = None
        while partition(fs)[1]:
            pending = list({id(future): future for future in fs if is_pending(future)}.values())
            needed = min(len(pending), max(0, _needed(return_when, len(fs)) - (len(fs) - len(pending))))
            looks = pending and (needed or return_when == wait_module.ALWAYS)
            if looks:
                ended = self.await_calls(pending, needed, throw_except, timeout, due)
                due = ended.due
                if not ended.in_time:
                    # In the words of Lithops
                    raise TimeoutError(f'Timeout of {timeout} seconds exceeded waiting for function activations to finish')
            ready = wait_module._ready_futures(SimpleNamespace(futures=fs), download_results)
            if download_results:
                self.fetch_outputs(ready)
            returned = _fetch(ready, download_results, throw_except)
            # The user's own list, as in Lithops
            fs.extend(returned)
            if not returned or wait_module._check_done(fs, return_when, download_results):
                break
        return partition(fs)

    def adopt(self, future: ResponseFuture) -> None:
        """What a call returned are futures of its own: they are waited for like any other."""
        made_by = self.call_of(future).job
        future._new_futures = [future_like(found) for found in future._new_futures]
        for found in future._new_futures:
            self.replay.adopt(self.call_of(found).job, made_by)

    def output(self, future: ResponseFuture) -> bytes:
        """The pickled result of a call, which is too large for its event."""
        read = functools.partial(self.replay.outputs.get, self._output(future))
        return self.run_step(read, 'ResponseFuture.result()')  # type: ignore[no-any-return]

    def logs(self, future: ResponseFuture) -> str | None:
        """What a call that has ended had printed and logged."""
        key = event_key(self.replay.session, self.call_of(future))
        status: dict[str, Any] = self.run_step(lambda: self.replay.facts.read(key), 'ResponseFuture.logs') or {}
        return zlib.decompress(base64.b64decode(status['logs'])).decode() if 'logs' in status else None

    def require_readable(self, future: ResponseFuture) -> None:
        """Of a call whose end raised when it was read: leaves the orchestrator if what there is of it is damaged."""
        status, key = future._call_status or {}, event_key(self.replay.session, self.call_of(future))

        def require() -> None:
            for name in ('result', 'exc_info', 'new_futures'):
                if name in status and not is_pickle(ast.literal_eval(status[name])):
                    raise Damaged(key, f'bytes that are no pickle as {name!r}', 'one')
            if _has_output(status):
                output = self._output(future)
                if not is_pickle(self.replay.outputs.get(output)):
                    raise Damaged(output.key, 'bytes that are no pickle', 'one')

        if not status or is_pending(future) or not self.is_in_own_thread:
            return
        if self.is_recording:
            # A step of its own, which ends as this one would
            require()
        else:
            self.run_step(require, 'ResponseFuture.result()')

    def fetch_outputs(self, futures: list[ResponseFuture]) -> None:
        """Reads the results of many calls that are about to be asked for, those that are too large for their events."""
        wanted = [future for future in futures if _has_output(future._call_status)]
        if wanted:
            outputs = [self._output(future) for future in wanted]
            self.run_step(lambda: self.replay.outputs.fetch(outputs), 'get_result()')

    def _output(self, future: ResponseFuture) -> Output:
        status = future._call_status
        # A call that another one has made wrote it where Lithops does
        key = status.get(OUTPUT_FIELD) or create_output_key(future.executor_id, future.job_id, future.call_id)
        return Output(self.call_of(future), key, int(status['func_result_size']))

    def await_calls(
        self,
        pending: list[ResponseFuture],
        needed: int,
        until_failure: bool = False,
        timeout: float | None = None,
        due: float | None = None,
    ) -> Ended:
        """
        Waits until ``needed`` of the calls have ended, and makes ready the futures of those that have.

        :param needed: 0 to look only
        :param until_failure: whether the first failure is enough
        :param timeout: seconds
        :param due: seconds since the epoch, instead
        """
        timeout = limits.timeout_of_wait(timeout)
        of_call = {self.call_of(future): future for future in pending}
        ended: Ended = self.run_step(lambda: self.replay.wait(list(of_call), needed, until_failure, timeout, due), 'wait()')
        for call in ended.calls:
            future, status = of_call[call], dict(self.replay.history.events[call])
            future._set_ready(status)
            # Who asks on a replay is told the same as who asked first
            future._host_status_done_tstamp = status['worker_end_tstamp']
        return ended


def _needed(return_when: Any, calls: int) -> int:
    """How many of ``calls`` Lithops' ``wait`` wants done: the least d with int(d * 100 / calls) >= return_when."""
    if return_when == wait_module.ANY_COMPLETED:
        return 1
    return math.ceil(math.ceil(float(return_when)) * calls / 100)


def _has_output(status: dict[str, Any]) -> bool:
    return not status['exception'] and 'result' not in status and bool(status.get('func_result_size'))


def _fetch(ready: list[ResponseFuture], download_results: bool, throw_except: bool) -> list[ResponseFuture]:
    """
    Takes the status, or the result, of every future that is ready; the first failure is raised last.

    :return: the futures that they returned
    """
    first: BaseException | None = None
    for future in ready:
        try:
            (future.result if download_results else future.status)(throw_except=throw_except)
        except BaseException as error:
            first = first or error
    if first is not None:
        raise first
    return [returned for future in ready for returned in future._new_futures or ()]
