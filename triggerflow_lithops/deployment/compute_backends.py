"""Which of Lithops' compute backends run orchestrators, and why the others do not."""

from typing import Any

from lithops.constants import LOCALHOST, SERVERLESS_BACKENDS, STANDALONE_BACKENDS

from ..errors import ConfigurationError

#: Those that the tests run on, …
TESTED = (LOCALHOST, 'openwhisk', 'ibm_cf')
#: … and those of which Lithops' client has been read only
READ = ('aws_lambda', 'azure_containers', 'azure_functions', 'gcp_functions', 'aliyun_fc')

_MACHINES = 'which has virtual machines'
_BATCH = 'which runs a job as a batch, and no function by itself'
_LATE = 'which answers an invocation only when the function has ended: whoever starts an orchestrator or a call would wait for it'

REFUSED = {
    **dict.fromkeys(STANDALONE_BACKENDS, _MACHINES),
    **dict.fromkeys(('aws_batch', 'code_engine', 'k8s', 'singularity'), _BATCH),
    **dict.fromkeys(('gcp_cloudrun', 'knative'), _LATE),
    'oracle_f': 'whose client in Lithops invokes one function at a time, the one that it was told last',
}

#: Those that may be invoked in two ways, by their key 'trigger': this one is refused
_LATE_TRIGGER = {'azure_functions': 'https', 'gcp_functions': 'https'}


def require_functions(backend: str, section: dict[str, Any]) -> None:
    """
    Checks that orchestrators can run on a compute backend.

    :param section: its own, of the configuration
    :raises ConfigurationError: they cannot
    """
    why, what = REFUSED.get(backend), f"compute backend '{backend}'"
    if section.get('trigger') == _LATE_TRIGGER.get(backend, ''):
        why, what = f"{_LATE}. With 'trigger: pub/sub' it does not", f"{what} with 'trigger: {section['trigger']}'"
    if not why and backend not in (LOCALHOST, *SERVERLESS_BACKENDS):
        why = 'which Lithops does not have'
    if why:
        others = ', '.join(f"'{name}'" for name in (*TESTED, *READ))
        raise ConfigurationError(f'Found {what}, {why}. Orchestrators run where there are functions: {others}.')
