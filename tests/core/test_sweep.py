"""What nobody reports: the sweep, attempts that run out, and activations that die again and again."""

import pytest
import whole

from triggerflow_lithops.core import condition
from triggerflow_lithops.core.run import attempts, keys
from triggerflow_lithops.core.run.attempts import DEFAULT, Execution, Failure
from triggerflow_lithops.core.run.engine import Engine
from triggerflow_lithops.core.run.keys import Call
from triggerflow_lithops.core.run.sweep import Limits, Sweeper
from triggerflow_lithops.core.run.trigger import Members, Trigger
from triggerflow_lithops.core.store import encode

LIMITS = Limits(life=100, start=10, max_deaths=3)
CALLS = [Call('0-M000', number) for number in range(3)]
STATUS = encode(whole.event(CALLS[0], exception=True))
LOST = Failure('killed', lost=True)
RAISED = Failure('ValueError: no', ('builtins.ValueError', 'ValueError', 'builtins.Exception', 'Exception'))


@pytest.fixture
def actions():
    return []


@pytest.fixture
def engine(bucket, actions):
    return Engine(bucket, actions.append)


def sweep(engine, now=0.0, held=None, meanwhile=lambda: None, started=0.0):
    return Sweeper(engine, 's', LIMITS, lambda: held).sweep(now, started, meanwhile)


def claim(engine, number, time=0.0):
    engine.facts.create(keys.claim_key('s', number), {'cause': '', 'time': time})


def suspend(engine, number=0, time=0.0, due=None):
    """Activation ``number`` has scheduled CALLS at position 0, and waits for all of them."""
    claim(engine, number)
    engine.facts.write(keys.fact_key('s', 0), encode(whole.job(activation=number)))
    trigger = Trigger('s', number, 1, condition.join(3), Members.of(CALLS), False, {'0-M000': 0}, due)
    engine.facts.write(keys.trigger_key('s', number), encode(whole.trigger(trigger, time)))
    assert not engine.watch(trigger)


def end(engine, call):
    engine.facts.write(keys.event_key('s', call), encode(whole.event(call)))


def execution(number=0, **kwargs):
    return Execution('s', CALLS[number], position=0, number=0, **kwargs)


def test_a_sweep_finds_nothing_to_do_where_nothing_is_lost(engine, actions):
    suspend(engine)
    assert sweep(engine, now=49) == [] and not actions


def test_a_call_that_was_looked_at_in_vain_is_found_though_nobody_waits_for_it(engine, actions):
    """Who looks again and again, and sleeps meanwhile, would do so for ever."""
    suspend(engine)
    asleep = Trigger('s', 1, 5, condition.never(), Members({}), False, {'0-M000': 0}, 500.0, looked_at=Members.of(CALLS[1:2]))
    claim(engine, 1)
    engine.facts.write(keys.trigger_key('s', 1), encode(whole.trigger(asleep, 20.0)))
    assert Trigger.from_document('s', asleep.document()) == asleep
    assert sweep(engine, now=49) == []
    assert sweep(engine, now=51) == ['call 0-M000/00001 was lost (attempt 0)']


def test_a_sweep_starts_a_run_whose_first_invocation_was_lost(engine, actions):
    assert sweep(engine, now=9) == []
    assert sweep(engine, now=11) and [action['number'] for action in actions] == [0]


def test_a_sweep_does_not_start_again_what_the_function_service_has(engine, actions):
    assert sweep(engine, now=1000, held={0}) == [] and not actions


def test_a_sweep_wakes_whom_nobody_woke(engine, actions):
    suspend(engine)
    for call in CALLS:
        end(engine, call)
    assert sweep(engine) and [action['number'] for action in actions] == [1]


def test_a_sweep_leaves_alone_what_is_just_under_way(engine, actions):
    assert sweep(engine, now=11, meanwhile=lambda: claim(engine, 0, time=11)) == [] and not actions


def test_a_sweep_repairs_only_what_was_overdue_at_both_looks(engine, actions):
    suspend(engine)

    def meanwhile():
        for call in CALLS[:2]:
            end(engine, call)

    assert sweep(engine, now=51, meanwhile=meanwhile) == ['call 0-M000/00002 was lost (attempt 0)']
    assert [action['call'] for action in actions] == [['0-M000', 2]]


def test_a_sweep_succeeds_an_activation_that_is_too_old_to_live(engine, actions):
    claim(engine, 0, time=100)
    assert sweep(engine, now=199) == [] and not actions
    assert sweep(engine, now=201) and [action['number'] for action in actions] == [1]


def test_a_sweep_succeeds_at_once_an_activation_that_the_function_service_has_lost(engine, actions):
    claim(engine, 0, time=100)
    assert sweep(engine, now=101, held=set()) and [action['number'] for action in actions] == [1]


def test_an_activation_is_known_by_the_number_that_its_process_was_started_as(engine, actions):
    """One that found its condition to hold already goes on as the next number."""
    suspend(engine)
    engine.facts.create(keys.claim_key('s', 1), {'cause': '', 'time': 0, 'lived_by': 0})
    assert sweep(engine, now=1, held={0}) == [] and not actions
    assert sweep(engine, now=1, held=set()) == ['activation 1 had vanished']


def test_a_call_is_lost_when_its_time_and_some_grace_have_passed(engine, actions):
    suspend(engine, time=10)
    assert sweep(engine, now=59) == []
    assert len(sweep(engine, now=61)) == 3
    assert {action['name'] for action in actions} == {'REPORT_LOST'}


def test_a_call_is_lost_at_once_when_the_function_service_says_so(engine):
    suspend(engine, time=10)
    assert sweep(engine, now=11, held={*CALLS[1:]}) == ['call 0-M000/00000 was lost (attempt 0)']


def test_a_further_attempt_has_a_deadline_of_its_own(engine, actions):
    suspend(engine)
    engine.report(execution(), STATUS, LOST, now=40)
    due = actions.pop()['attempt']['due']
    assert not any('00000' in said for said in sweep(engine, now=due + 49))
    assert 'call 0-M000/00000 was lost (attempt 1)' in sweep(engine, now=due + 51)


def schedule(engine):
    engine.facts.write(keys.fact_key('s', 0), encode(whole.job()))


def test_nothing_runs_again_in_a_run_that_has_ended(engine, actions):
    schedule(engine)
    engine.facts.create(keys.outcome_key('s'), {'status': 'cancelled', 'time': 0.0})
    engine.report(execution(), STATUS, LOST, now=5)
    assert not actions


def test_nothing_runs_again_in_a_run_that_was_purged(engine, actions):
    engine.report(execution(), STATUS, LOST, now=5)
    assert not actions


def test_a_call_that_was_lost_runs_again(engine, actions):
    schedule(engine)
    engine.report(execution(), STATUS, LOST, now=5)
    assert [(action['name'], action['attempt']['attempt']) for action in actions] == [('START_CALL', 1)]
    assert engine.facts.read(keys.event_key('s', CALLS[0])) is None


def test_a_call_that_raised_does_not_run_again_unless_it_is_said(engine, actions):
    engine.report(execution(), STATUS, RAISED, now=5)
    assert not actions and engine.facts.read(keys.event_key('s', CALLS[0])) is not None


@pytest.mark.parametrize('on', ['ValueError', 'builtins.ValueError', 'builtins.Exception'])
def test_an_exception_is_retried_by_its_name_or_that_of_a_base(engine, actions, on):
    schedule(engine)
    engine.report(execution(policy={**DEFAULT, 'on': [on]}), STATUS, RAISED, now=5)
    assert [action['name'] for action in actions] == ['START_CALL']


def test_an_exception_of_another_kind_is_not_retried(engine, actions):
    engine.report(execution(policy={**DEFAULT, 'on': ['builtins.KeyError']}), STATUS, RAISED, now=5)
    assert not actions


def test_retries_are_used_up(engine, actions):
    engine.report(execution(attempt=3), STATUS, LOST, now=5)
    assert not actions and engine.facts.read(keys.event_key('s', CALLS[0])) is not None


def test_two_executions_of_one_attempt_that_fail_start_the_next_one_once(engine, actions):
    schedule(engine)
    for _ in range(2):
        engine.report(execution(), STATUS, LOST, now=5)
    assert len(actions) == 1


def test_what_is_delivered_again_starts_the_next_attempt_again(engine, actions):
    """Whoever wrote that attempt may have died before it invoked it."""
    schedule(engine)
    engine.report(execution(), STATUS, LOST, now=5)
    engine.report(execution(redelivered=True), STATUS, LOST, now=6)
    assert [action['attempt']['attempt'] for action in actions] == [1, 1]


def test_a_late_failure_starts_nothing_when_the_call_has_ended(engine, actions):
    end(engine, CALLS[0])
    engine.report(execution(), STATUS, LOST, now=5)
    assert not actions


def test_backoff_is_exponential_with_a_limit_and_jitter():
    policy = {**DEFAULT, 'backoff': 2.0, 'factor': 3.0, 'max_backoff': 50.0, 'jitter': 0.5}
    assert [attempts.delay(policy, number, lambda: 0.0) for number in (1, 2, 3, 4, 99)] == [2, 6, 18, 50, 50]
    assert attempts.delay(policy, 2, lambda: 1.0) == 3


@pytest.mark.parametrize('out_of_memory, memory', [(True, 256), (False, 128)])
def test_memory_grows_after_an_out_of_memory_kill_only(out_of_memory, memory):
    failure = Failure('killed', lost=True, out_of_memory=out_of_memory)
    assert attempts.next_attempt(execution(memory=128), failure, now=0)['runtime_memory'] == memory


def test_an_activation_that_died_is_succeeded_after_a_while_that_doubles(engine, actions):
    sweeper = Sweeper(engine, 's', LIMITS)
    for number in range(2):
        sweeper.handle_death(number, 'poison', now=100)
    assert [(action['number'], action['due']) for action in actions] == [(1, 100.5), (2, 101)]


def test_a_run_whose_activations_die_again_and_again_fails_with_all_that_is_known(engine, actions):
    sweeper = Sweeper(engine, 's', LIMITS)
    for number, reason in enumerate(['poison', 'poison again', 'killed']):
        sweeper.handle_death(number, reason, now=100)
    kind, message = engine.facts.read(keys.outcome_key('s'))['error']
    assert kind == 'RunDied' and len(actions) == 2
    told = 'activation 0 of: poison; activation 1 of: poison again; activation 2 of: killed'
    assert message == f'3 activations in a row died, {told}'


def test_deaths_are_counted_in_a_row(engine, actions):
    sweeper = Sweeper(engine, 's', LIMITS)
    for number in range(2):
        sweeper.handle_death(number, 'poison', now=100)
    suspend(engine, number=2)
    for number in range(3, 5):
        sweeper.handle_death(number, 'poison', now=200)
    assert engine.facts.read(keys.outcome_key('s')) is None


def test_a_sweep_waits_for_the_successor_of_a_dead_activation_until_it_is_due(engine, actions):
    Sweeper(engine, 's', LIMITS).handle_death(0, 'poison', now=100)
    actions.clear()
    assert sweep(engine, now=110) == []
    assert sweep(engine, now=111) and [action['number'] for action in actions] == [1]


def test_an_activation_that_went_on_as_the_next_number_is_buried_as_that(engine, actions):
    suspend(engine)
    engine.facts.create(keys.claim_key('s', 1), {'cause': '', 'time': 0, 'lived_by': 0})
    Sweeper(engine, 's', LIMITS).handle_death(0, 'poison', now=100)
    assert engine.facts.read(keys.death_key('s', 1)) and [action['number'] for action in actions] == [2]


def test_an_activation_that_somebody_else_succeeded_is_not_buried(engine, actions):
    suspend(engine)
    claim(engine, 1)
    Sweeper(engine, 's', LIMITS).handle_death(0, 'killed', now=100)
    assert not actions and engine.facts.read(keys.death_key('s', 1)) is None


def test_a_timer_that_was_lost_is_found_when_its_time_is_up(engine, actions):
    suspend(engine, due=30)
    assert sweep(engine, now=29, held={*CALLS}) == []
    assert sweep(engine, now=31, held={*CALLS}) and [action['number'] for action in actions] == [1]


def test_an_activation_that_died_after_it_had_suspended_is_woken_by_its_trigger(engine, actions):
    suspend(engine)
    Sweeper(engine, 's', LIMITS).handle_death(0, 'killed', now=100)
    assert not actions and engine.facts.read(keys.death_key('s', 0)) is None


def test_an_activation_that_died_before_it_set_its_timer_has_it_set(engine, actions):
    suspend(engine, due=100.0)
    Sweeper(engine, 's', LIMITS).handle_death(0, 'killed', now=1.0)
    assert [(action['number'], action['due']) for action in actions] == [(1, 100.0)]


def in_one_lane(engine, ended):
    """The three calls follow upon each other; some have ended, at 60."""
    suspend(engine)
    engine.facts.store.delete([keys.fact_key('s', 0)])
    engine.facts.write(keys.fact_key('s', 0), encode(whole.job(lanes=1)))
    for call in ended:
        engine.facts.write(keys.event_key('s', call), encode(whole.event(call, ended=60.0)))


def test_a_call_that_waits_for_its_turn_is_not_lost(engine, actions):
    in_one_lane(engine, [])
    sweep(engine, now=100)
    assert [(action['name'], action['call'][1]) for action in actions] == [('REPORT_LOST', 0)]


@pytest.mark.parametrize(('now', 'started'), [(100, []), (111, [[1]])])
def test_a_lane_that_did_not_go_on_is_started_again_when_its_next_call_should_have_ended(engine, actions, now, started):
    in_one_lane(engine, CALLS[:1])
    sweep(engine, now=now)
    sweep(engine, now=now)
    assert [action['numbers'] for action in actions] == started


@pytest.mark.parametrize('held', [set(CALLS[:1]), set(CALLS[1:2])])
def test_a_lane_goes_on_as_long_as_whoever_ended_its_call_is_alive(engine, actions, held):
    in_one_lane(engine, CALLS[:1])
    assert sweep(engine, now=111, held=held) == [] and not actions


def test_a_sweep_stops_when_the_run_ends(bucket, actions):
    def perform(action):
        actions.append(action)
        engine.facts.create(keys.outcome_key('s'), {'status': 'cancelled', 'time': 0.0})

    engine = Engine(bucket, perform)
    suspend(engine)
    assert len(sweep(engine, now=51)) == 1 and len(actions) == 1


def test_nothing_is_repaired_in_a_run_that_has_ended(engine, actions):
    suspend(engine)
    engine.facts.create(keys.outcome_key('s'), {'status': 'cancelled', 'time': 0.0})
    assert sweep(engine, now=1000, held=set()) == [] and not actions
