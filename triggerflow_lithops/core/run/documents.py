"""
What is stored of a run, and what is sent of it: the type of each document.

Types only: nothing here runs. :mod:`.document_checks` says what a document that was read has to look like. Of two
classes, one with an underscore has the fields that a document need not have.
"""

from typing import Any, Literal, TypedDict

#: Calls of each job, as ranges ``[first, stop)``
Ranges = dict[str, list[list[int]]]


class Stored(TypedDict, total=False):
    """
    What each fact may have.

    :ivar nonce: says who wrote it
    """

    nonce: str


class Policy(TypedDict):
    """When a call that failed runs again: ``Retry`` of the public surface, in the form in which it travels."""

    retries: int
    on: list[str]
    backoff: float
    factor: float
    max_backoff: float
    jitter: float
    memory_factor: float


class _Orchestrator(TypedDict, total=False):
    firing: dict[str, str]


class OrchestratorFields(_Orchestrator):
    """What invoking the function of a run itself needs, and its limits. 'firing' says which firing of a trigger it performs."""

    function: str
    function_name: str
    code_key: str
    execution_timeout: float
    log_level: Any
    runtime_name: str
    runtime_memory: int | None
    max_deaths: int
    max_pending_calls: int
    lanes: int
    sweep_seconds: float | None


class RunFields(TypedDict):
    """What every payload of a run carries."""

    version: int
    run_id: str
    session: str
    orchestrator: OrchestratorFields
    retry: Policy


class RunDocument(Stored):
    """``run.json``: that there is a run."""

    version: int
    run_id: str
    incarnation: str
    name: str
    orchestrator: OrchestratorFields
    retry: Policy
    time: float


class _Outcome(Stored, total=False):
    value: str
    reason: str
    error: list[str]
    fields: dict[str, Any]
    kind: str
    traceback: str
    exception: str
    problem: str


class Outcome(_Outcome):
    """``outcome.json``: how a run ended. :mod:`..outcome` builds it, and says which fields belong to which status."""

    status: str
    time: float


# Activations


class _Claim(Stored, total=False):
    lived_by: int


class Claim(_Claim):
    """``claim.json``: an activation has begun. 'lived_by' is the number that its process was started as, if another one."""

    cause: str
    time: float


class _Death(Stored, total=False):
    gave_way: bool


class Death(_Death):
    """``died.json``: an activation has died, or has given way. The next one starts at 'due'."""

    reason: str
    time: float
    due: float


class TriggerContext(TypedDict):
    """What an activation waits for: the fields of :class:`.trigger.Trigger`."""

    position: int
    members: Ranges
    until_failure: bool
    jobs: dict[str, int]
    due: float | None
    looked_at: Ranges


class HistoryDocument(TypedDict):
    """What a trigger carries of the history of its run."""

    packs: list[str]
    tail: str
    outputs: list[Any]
    waiting: list[Any]


class _TriggerDocument(TypedDict, total=False):
    time: float
    history: HistoryDocument


class TriggerDocument(_TriggerDocument):
    """``trigger.json``, which has a time and a history, and a watch, which has none."""

    id: str
    activation_events: list[dict[str, str]]
    condition: dict[str, Any]
    action: 'StartActivation'
    context: TriggerContext
    transient: bool


# Jobs


class _InputRange(TypedDict, total=False):
    all: Ranges
    each: list[Any]


class InputRange(_InputRange):
    """Calls from 'first' to before 'stop' wait for 'all' of some calls, or 'each' for the next call of a job."""

    first: int
    stop: int


class InputsDocument(TypedDict):
    """What the deferred calls of a job wait for, and where the jobs of that were scheduled."""

    ranges: list[InputRange]
    jobs: dict[str, int]


class _Invocation(TypedDict, total=False):
    inputs: InputsDocument | None


class Invocation(_Invocation):
    """
    What only invoking calls needs.

    'data' and 'data_byte_ranges' are lists of all calls of a job in its fact, and documents by the number of a
    call in a :class:`Job`, which has no 'inputs'.
    """

    extra_env: dict[str, Any]
    data_key: str | None
    data_byte_ranges: list[list[int]] | dict[str, list[int]] | None
    data: list[str] | dict[str, str] | None


class Job(TypedDict):
    """What invoking some calls of a job needs of the fact that scheduled it."""

    job: str
    activation: int
    calls: int
    func_key: str
    func_name: str
    chunksize: int
    lanes: int
    execution_timeout: float
    lifetime: float
    retry: Policy
    runtime_name: str
    runtime_memory: int | None
    invocation: Invocation


class _JobFact(Job, Stored, total=False):
    readings: list[list[Any]]


class JobFact(_JobFact):
    """The fact of a position at which a job was scheduled."""

    fingerprint: list[Any]
    metadata: dict[str, Any]
    parts_per_object: list[int] | None
    time: float


class LaneRest(TypedDict, total=False):
    """
    What is left of a lane: 'call', whose end lets it go on, and 'chunks' with the 'job' that they are of.
    Without these two it is looked up.
    """

    call: int
    chunks: list[list[int]]
    job: Job


class DependentDocument(TypedDict):
    """Calls that wait for others. 'inputs' has those by the number of the call that waits."""

    position: int
    job: Job
    inputs: dict[str, Ranges]


# Calls


class _AttemptFact(Stored, total=False):
    after: str


class AttemptFact(_AttemptFact):
    """An attempt of a call starts at 'due', with 'runtime_memory' MB. The first one has no 'after', why there is another."""

    attempt: int
    time: float
    due: float
    runtime_memory: int | None


class _CallStatus(TypedDict, total=False):
    func_result_size: float
    result: str
    new_futures: str
    exc_info: str
    logs: str
    triggerflow_attempt: int
    triggerflow_output: str
    triggerflow_raised: str


class CallStatus(_CallStatus):
    """The event of a call that has ended: Lithops' own ``status.json``, as much of it as is relied upon."""

    type: str
    executor_id: str
    job_id: str
    call_id: str
    activation_id: str | None
    exception: bool
    worker_start_tstamp: float
    worker_end_tstamp: float


# Actions


class StartActivation(TypedDict):
    """An activation starts, if nobody has claimed its number."""

    name: Literal['START_ACTIVATION']
    session: str
    number: int
    cause: str
    due: float


class StartCall(TypedDict):
    """A further attempt of a call starts. 'call' is the name of its job, and its number."""

    name: Literal['START_CALL']
    session: str
    call: list[Any]
    position: int
    attempt: AttemptFact


class StartDeferred(TypedDict):
    """Calls of a job start, for what they waited for has ended."""

    name: Literal['START_DEFERRED']
    session: str
    position: int
    job: Job
    numbers: list[int]


class StartFollowing(TypedDict):
    """The next chunk of a lane starts."""

    name: Literal['START_FOLLOWING']
    session: str
    position: int
    following: LaneRest


class ReportLost(TypedDict):
    """An attempt of a call is reported as lost."""

    name: Literal['REPORT_LOST']
    session: str
    call: list[Any]
    position: int
    attempt: int
    reason: str


Action = StartActivation | StartCall | StartDeferred | StartFollowing | ReportLost
