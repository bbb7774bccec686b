"""Triggers: order, reasons, destinations, what is missing, the cool-down, and the context boundary."""

from fractions import Fraction
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from machines_build import Talk, at, effects_of, policy

from handoff_kit.machines import (
    AiTurn,
    Customer,
    CustomerMessage,
    FailedAction,
    HandoffRequested,
    HandoffWithdrawn,
    Offloaded,
    PrepareContext,
    Reclaimed,
    ReturnedToAi,
    SendToCustomer,
    State,
    Step,
    Target,
    Verdict,
)
from handoff_kit.machines.actions import CALLBACKS
from handoff_kit.machines.engine import Engine
from handoff_kit.machines.facts import slope
from handoff_kit.machines.guards import GUARDS
from handoff_kit.machines.policy import Route
from handoff_kit.machines.step import step
from handoff_kit.machines.table import ROWS
from handoff_kit.machines.triggers import cooldown_left, failed_guard, judge, plan_of


def names(step: Step) -> list[str]:
    """The triggers' verdicts in their order."""
    return [verdict.name for verdict in step.verdicts if verdict.leaves]


def verdict_of(step: Step, name: str) -> Verdict:
    return next(verdict for verdict in step.verdicts if verdict.name == name)


def reasons(talk: Talk) -> tuple[str, ...]:
    assert talk.now.handoff is not None
    return talk.now.handoff.reasons


THREE = """
[[trigger]]
name = "unsure"
priority = 7
tier = "tier1"
skills = ["cards"]
when = { confidence_below = 0.8 }

[[trigger]]
name = "angry"
reason = "anger"
priority = 2
tier = "tier2"
when = { sentiment_below = 0 }

[[trigger]]
name = "asks"
priority = 3
tier = "tier3"
skills = ["talk"]
when = { customer_says = ["human"] }
"""

# --- order


def test_explicit_triggers_stand_first_and_then_the_files_order() -> None:
    assert [trial.trigger.name for trial in plan_of(policy(THREE))] == ["asks", "unsure", "angry"]


def test_verdicts_stand_in_that_order_whether_they_hold_or_not() -> None:
    assert names(Talk(policy(THREE)).turn(1, confidence=0.5)) == ["asks", "unsure", "angry"]


def test_every_leaf_is_evaluated_though_the_first_decides() -> None:
    talk = Talk(policy('[[trigger]]\nname="t"\nwhen.any = [{ intent = "x" }, { confidence_below = 0.5 }]'))
    verdict = verdict_of(talk.turn(1, intent="x", confidence=0.9), "t")
    assert [(leaf.name, leaf.holds) for leaf in verdict.leaves] == [("intent", True), ("confidence_below", False)]


def test_the_first_that_holds_gives_tier_and_skills() -> None:
    talk = Talk(policy(THREE))
    talk.turn(1, confidence=0.5, sentiment=-1)
    assert talk.now.handoff is not None
    assert (talk.now.handoff.tier, talk.now.handoff.skills) == ("tier1", ("cards",))


def test_the_highest_priority_counts_whoever_came_first() -> None:
    talk = Talk(policy(THREE.replace("priority = 2", "priority = 9")))
    talk.turn(1, confidence=0.5, sentiment=-1)
    assert talk.now.handoff is not None
    assert talk.now.handoff.priority == 9


def test_the_priority_of_a_trigger_that_fails_does_not_count() -> None:
    talk = Talk(policy(THREE))
    talk.turn(1, sentiment=-1)
    assert talk.now.handoff is not None
    assert talk.now.handoff.priority == 2


def test_priority_is_5_where_none_is_given() -> None:
    talk = Talk()
    talk.turn(1, wants_handoff=True)
    assert talk.now.handoff is not None
    assert talk.now.handoff.priority == 5


# --- reasons


def test_reasons_stand_in_the_order_in_which_triggers_decide() -> None:
    talk = Talk(policy(THREE))
    talk.turn(1, confidence=0.5, sentiment=-1)
    assert reasons(talk) == ("low_confidence", "anger")


def test_each_reason_is_told_once() -> None:
    text = THREE.replace('reason = "anger"', 'reason = "low_confidence"')
    talk = Talk(policy(text))
    talk.turn(1, confidence=0.5, sentiment=-1)
    assert reasons(talk) == ("low_confidence",)


def test_each_leaf_that_holds_gives_its_own_reason() -> None:
    leaves = "{ intent = 'x' }, { sentiment_below = 0 }, { confidence_below = 0.5 }, { confidence_below = 0.6 }"
    talk = Talk(policy(f"[[trigger]]\nname='t'\nwhen.any = [{leaves}]"))
    talk.turn(1, intent="x", sentiment=0.5, confidence=0.1)
    assert reasons(talk) == ("low_confidence",)


def test_a_trigger_whose_leaves_give_none_is_named_itself() -> None:
    talk = Talk(policy("[[trigger]]\nname='refunds'\nwhen = { intent = 'refund' }"))
    talk.turn(1, intent="refund")
    assert reasons(talk) == ("refunds",)


def test_the_verdict_of_the_condition_names_the_first_that_holds() -> None:
    found = verdict_of(Talk(policy(THREE)).turn(1, confidence=0.5, sentiment=-1), "a_trigger_holds")
    assert (found.holds, found.value) == (True, "unsure")


def test_a_trigger_shows_the_numbers_of_the_leaf_that_decided() -> None:
    talk = Talk(policy("[[trigger]]\nname='t'\nwhen.all = [{ intent = 'x' }, { confidence_below = 0.75 }]"))
    verdict = verdict_of(talk.turn(1, intent="x", confidence=0.5), "t")
    assert (verdict.value, verdict.threshold, verdict.margin) == (0.5, 0.75, 0.25)


def test_a_trigger_without_numbers_shows_the_first_leaf_that_answers_alike() -> None:
    talk = Talk(policy("[[trigger]]\nname='t'\nwhen.all = [{ wants_handoff = true }, { intent = 'x' }, { intent = 'y' }]"))
    verdict = verdict_of(talk.turn(1, intent="z", wants_handoff=True), "t")
    assert (verdict.holds, verdict.value, verdict.threshold) == (False, "z", "x")


def test_a_negation_that_holds_shows_its_first_leaf() -> None:
    talk = Talk(policy("[[trigger]]\nname='t'\nwhen.none = [{ intent = 'x' }]"))
    verdict = verdict_of(talk.turn(1, intent="z"), "t")
    assert (verdict.holds, verdict.value, verdict.margin) == (True, "z", None)


# --- explicit


@pytest.mark.parametrize(
    ("lines", "explicit"),
    [
        ("when = { customer_says = ['human'] }", True),
        ("when = { choice_in = ['b'] }", True),
        ("when.any = [{ customer_says = ['human'] }, { choice_in = ['b'] }]", True),
        ("when.any = [{ customer_says = ['human'] }, { intent = 'x' }]", False),
        ("when = { wants_handoff = true }", False),
        ("reason = 'other'\nwhen = { customer_says = ['human'] }", False),
        ("reason = 'explicit_request'\nwhen = { intent = 'x' }", True),
        ("reason = 'explicit_request'\nexplicit = false\nwhen = { intent = 'x' }", False),
        ("explicit = false\nwhen = { customer_says = ['human'] }", False),
        ("explicit = true\nwhen = { intent = 'x' }", True),
    ],
)
def test_what_is_explicit_by_default(lines: str, explicit: bool) -> None:
    assert policy(f"[[trigger]]\nname='t'\n{lines}").trigger[0].is_explicit is explicit


@pytest.mark.parametrize(("text", "explicit"), [("a human", True), ("hm", False)])
def test_a_handoff_is_explicit_if_one_of_its_triggers_is(text: str, explicit: bool) -> None:
    talk = Talk(policy(THREE + "\n[[trigger]]\nname='gold'\nwhen = { customer_tier_in = ['gold'] }"), customer=_gold())
    talk.do(CustomerMessage, 1, text=text)
    assert talk.now.handoff is not None
    assert talk.now.handoff.explicit is explicit


def _gold() -> Customer:
    return Customer(id="cu-1", tier="gold")


# --- what is missing

MISSING = "[[trigger]]\nname='t'\nwhen_missing = 'holds'\nwhen.all = [{ confidence_below = 0.8 }, { wants_handoff = false }]"


def test_an_unknown_result_fails_unless_the_policy_says_otherwise() -> None:
    talk = Talk(policy(MISSING.replace("'holds'", "'fails'")))
    assert verdict_of(talk.turn(1), "t").holds is None
    assert talk.state is State.BOT_ACTIVE


def test_an_unknown_result_holds_where_the_policy_says_so() -> None:
    talk = Talk(policy(MISSING))
    verdict = verdict_of(talk.turn(1), "t")
    assert (verdict.holds, verdict.margin) == (True, None)
    assert talk.state is State.ESCALATION_PENDING


def test_only_the_final_result_counts_as_missing() -> None:
    text = "[[trigger]]\nname='t'\nwhen_missing='holds'\nwhen.all = [{ confidence_below = 0.8 }, { wants_handoff = true }]"
    talk = Talk(policy(text))
    assert verdict_of(talk.turn(1), "t").holds is False


def test_a_customers_message_never_makes_the_missing_hold() -> None:
    talk = Talk(policy(MISSING))
    assert verdict_of(talk.do(CustomerMessage, 1, text="hm"), "t").holds is None


def test_the_silence_of_the_ai_never_makes_the_missing_hold() -> None:
    talk = Talk(policy(MISSING))
    talk.do(CustomerMessage, 1, text="hm")
    (silence,) = talk.wait(61)
    assert verdict_of(silence, "t").holds is None


def test_a_missing_value_in_a_cooldown_is_held_back() -> None:
    talk = Talk(policy(MISSING))
    talk.accept(1)
    talk.do(ReturnedToAi, 10, agent="a1")
    assert verdict_of(talk.turn(11), "t").suppressed


# --- when


def test_the_silence_of_the_ai_is_a_miss_and_has_the_triggers_judged() -> None:
    talk = Talk(policy("[[trigger]]\nname='lost'\nwhen = { misses_at_least = 2 }"))
    talk.turn(1, missed=True)
    talk.do(CustomerMessage, 2, text="hm")
    (silence,) = talk.wait(62)
    assert silence.after.state is State.ESCALATION_PENDING
    assert reasons(talk) == ("repeated_misses",)


def test_the_silence_of_the_ai_is_no_turn() -> None:
    talk = Talk(policy("[[trigger]]\nname='long'\nwhen = { turns_at_least = 2 }"))
    talk.turn(1)
    talk.do(CustomerMessage, 2, text="hm")
    (silence,) = talk.wait(62)
    assert verdict_of(silence, "long").leaves[0].value == 1


def test_the_silence_of_the_ai_has_no_values() -> None:
    text = (
        "[[trigger]]\nname='t'\nwhen.any = [{ intent='x' }, { wants_handoff=true }, { failed_action=true }, { reply_says=['r'] }]"
    )
    talk = Talk(policy(text))
    talk.do(CustomerMessage, 2, text="hm")
    (silence,) = talk.wait(62)
    assert [leaf.holds for leaf in verdict_of(silence, "t").leaves] == [None, False, False, False]


def test_the_silence_of_the_ai_adds_nothing_to_a_trend() -> None:
    talk = Talk(policy("[[trigger]]\nname='t'\nwhen = { sentiment_trend_below = -0.6 }"))
    for second, sentiment in enumerate((1.0, 0.5, 0.0)):
        talk.turn(1 + second, sentiment=sentiment)
    talk.do(CustomerMessage, 5, text="hm")
    (silence,) = talk.wait(65)
    assert verdict_of(silence, "t").leaves[0].value == -0.5


def test_what_a_customer_says_counts_until_the_ai_has_answered() -> None:
    talk = Talk(policy("[[trigger]]\nname='t'\nwhen.all = [{ customer_says=['human'] }, { confidence_below = 0.5 }]"))
    talk.do(CustomerMessage, 1, text="a human")
    talk.do(CustomerMessage, 2, text="hello?")
    assert verdict_of(talk.turn(3, confidence=0.9), "t").leaves[0].holds is True
    assert verdict_of(talk.turn(4, confidence=0.1), "t").leaves[0].holds is False


def test_two_triggers_read_the_same_words_and_the_same_trend() -> None:
    text = "".join(
        f"[[trigger]]\nname='{name}'\nwhen.all = [{{ customer_says=['{word}'] }}, {{ sentiment_trend_below = {below} }}]\n"
        for name, word, below in (("t", "human", -0.1), ("u", "person", -0.9))
    )
    talk = Talk(policy(text))
    talk.turn(1, sentiment=1.0)
    talk.turn(2, sentiment=0.5)
    talk.do(CustomerMessage, 3, text="a human person")
    step = talk.turn(4, sentiment=0.0)
    assert [(leaf.value, leaf.holds) for leaf in verdict_of(step, "t").leaves] == [("human", True), (-0.5, True)]
    assert [(leaf.value, leaf.holds) for leaf in verdict_of(step, "u").leaves] == [("person", True), (-0.5, False)]


def test_a_button_counts_until_the_ai_has_answered() -> None:
    talk = Talk(policy("[[trigger]]\nname='t'\nwhen.all = [{ choice_in=['b'] }, { confidence_below = 0.5 }]"))
    talk.do(CustomerMessage, 1, text="", choice="b")
    assert verdict_of(talk.turn(3, confidence=0.9), "t").leaves[0].holds is True
    assert verdict_of(talk.turn(4, confidence=0.1), "t").leaves[0].holds is False


def test_a_policy_without_triggers_never_hands_over() -> None:
    talk = Talk(policy(""))
    step = talk.turn(1, wants_handoff=True, confidence=0.0)
    assert verdict_of(step, "a_trigger_holds").holds is False


# --- the cool-down

BACK = """
[[trigger]]
name = "asks"
when = { customer_says = ["human"] }
[[trigger]]
name = "unsure"
when = { confidence_below = 0.8 }
[[trigger]]
name = "fails"
when = { failed_action = true }
[resume]
cooldown_s = 120
settle_turns = 9
[timers]
ai_reply_s = 900
"""
EXPORT = FailedAction(name="export", error_code="E1")


def returned(text: str = BACK, failed: FailedAction | None = None) -> Talk:
    """A conversation that the agent gave back at 100 s, after `failed` had brought it there."""
    talk = Talk(policy(text))
    if failed is not None:
        talk.turn(1, failed_action=failed)
    talk.accept(10)
    talk.do(ReturnedToAi, 100, agent="a1")
    assert talk.state is State.RESUMED_BOT
    return talk


def test_an_automatic_trigger_is_held_back_after_a_return() -> None:
    talk = returned()
    verdict = verdict_of(talk.turn(130, confidence=0.5), "unsure")
    assert verdict.suppressed
    assert verdict.holds is True
    assert talk.state is State.RESUMED_BOT


def test_a_suppressed_verdict_keeps_its_numbers_and_says_how_long_it_still_is() -> None:
    verdict = verdict_of(returned().turn(130, confidence=0.5), "unsure")
    assert (verdict.value, verdict.threshold, verdict.cooldown_left_s) == (0.5, 0.8, 90.0)
    assert verdict.margin == 0.8 - 0.5


def test_a_trigger_that_fails_is_not_marked() -> None:
    verdict = verdict_of(returned().turn(130, confidence=0.9), "unsure")
    assert not verdict.suppressed
    assert verdict.cooldown_left_s is None


@pytest.mark.parametrize(("seconds", "state"), [(219.999, State.RESUMED_BOT), (220, State.ESCALATION_PENDING)])
def test_the_cooldown_is_over_exactly_at_its_end(seconds: float, state: State) -> None:
    talk = returned()
    talk.turn(seconds, confidence=0.5)
    assert talk.state is state


def test_an_explicit_trigger_passes_the_cooldown() -> None:
    talk = returned()
    talk.do(CustomerMessage, 101, text="a human")
    assert talk.state is State.ESCALATION_PENDING
    assert reasons(talk) == ("explicit_request",)


def test_a_suppressed_trigger_gives_no_reason_beside_one_that_passes() -> None:
    talk = returned(
        BACK.replace('"unsure"\n', '"unsure"\nexplicit = true\n').replace("failed_action = true", "sentiment_below = 0")
    )
    talk.turn(101, confidence=0.5, sentiment=-1)
    assert reasons(talk) == ("low_confidence",)


def test_a_repeated_failure_of_the_contracts_action_passes() -> None:
    talk = returned(failed=EXPORT)
    talk.turn(101, failed_action=attrs.evolve(EXPORT, error_code="E2"))
    assert talk.state is State.ESCALATION_PENDING
    assert reasons(talk) == ("failed_action",)


def test_a_failure_of_another_action_is_held_back() -> None:
    talk = returned(failed=EXPORT)
    assert verdict_of(talk.turn(101, failed_action=FailedAction(name="import")), "fails").suppressed


def test_a_failure_where_nothing_had_failed_before_is_held_back() -> None:
    assert verdict_of(returned().turn(101, failed_action=EXPORT), "fails").suppressed


def test_a_repeated_failure_does_not_carry_other_triggers_through() -> None:
    talk = returned(failed=EXPORT)
    step = talk.turn(101, failed_action=EXPORT, confidence=0.5)
    assert verdict_of(step, "unsure").suppressed
    assert reasons(talk) == ("failed_action",)


def test_other_triggers_are_held_back_while_the_action_succeeds() -> None:
    talk = returned(failed=EXPORT)
    assert verdict_of(talk.turn(101, confidence=0.5), "unsure").suppressed


def test_a_broken_trigger_passes_the_cooldown() -> None:
    talk = returned(BACK.replace("failed_action = true", 'entity = { name = "n", at_least = 1 }'))
    talk.turn(101, entities={"n": "?"})
    assert talk.state is State.ESCALATION_PENDING
    assert reasons(talk) == ("guard_error",)


def test_a_withdrawal_starts_a_cooldown() -> None:
    talk = Talk(policy(BACK))
    talk.queue(1)
    talk.do(HandoffWithdrawn, 100)
    assert verdict_of(talk.turn(219, confidence=0.5), "unsure").cooldown_left_s == 1.0
    talk.turn(220, confidence=0.5)
    assert talk.state is State.ESCALATION_PENDING


def test_an_offload_starts_none() -> None:
    talk = Talk(policy(BACK))
    talk.turn(1, confidence=0.5)
    talk.queue(2)
    talk.do(Offloaded, 10)
    verdict = verdict_of(talk.turn(11, confidence=0.5), "unsure")
    assert not verdict.suppressed
    assert talk.state is State.QUEUED


def test_an_offload_ends_the_cooldown_of_an_earlier_return() -> None:
    talk = returned(BACK.replace("settle_turns = 9", "settle_turns = 1"))
    talk.do(HandoffRequested, 105, by="ai")
    talk.queue(106)
    talk.do(Offloaded, 107)
    assert talk.state is State.RESUMED_BOT
    assert cooldown_left(talk.policy, talk.now, at(108)) is None


def test_nothing_is_held_back_before_the_first_handoff() -> None:
    talk = Talk(policy(BACK))
    assert cooldown_left(talk.policy, talk.now, at(1)) is None


def test_a_cooldown_of_nothing_holds_nothing_back() -> None:
    talk = returned(BACK.replace("cooldown_s = 120", "cooldown_s = 0"))
    talk.turn(100, confidence=0.5)
    assert talk.state is State.ESCALATION_PENDING


# --- the context boundary

COUNTS = """
[[trigger]]
name = "t"
explicit = true
when.all = [
  { misses_at_least = 2 }, { turns_at_least = 3 }, { elapsed_at_least_s = 50 },
  { sentiment_trend_below = -9e-1 }, { customer_says = ["human"] }, { choice_in = ["b"] },
]
[resume]
settle_turns = 9
[timers]
ai_reply_s = 900
"""


def talked(talk: Talk, second: float) -> None:
    """Everything that counts, up to just below the thresholds; the customer's words are still unanswered at the end."""
    talk.turn(second, missed=True, sentiment=1.0)
    talk.turn(second + 1, missed=True, sentiment=0.0)
    talk.do(CustomerMessage, second + 2, text="a human", choice="b")


def leave_and_come_back(talk: Talk, how: str) -> None:
    if how == "return":
        talk.accept(100)
        talk.do(ReturnedToAi, 200, agent="a1")
        return
    talk.do(HandoffRequested, 100, by="ai")
    talk.queue(100)
    if how == "withdrawal":
        talk.do(HandoffWithdrawn, 200)
    else:
        talk.do(Offloaded, 200)


@pytest.mark.parametrize("how", ["return", "withdrawal", "offload"])
def test_nothing_looks_behind_the_boundary(how: str) -> None:
    talk = Talk(policy(COUNTS))
    talked(talk, 10)
    leave_and_come_back(talk, how)
    step = talk.turn(210, sentiment=-1.0, missed=True)
    values = [leaf.value for leaf in verdict_of(step, "t").leaves]
    assert values == [1, 1, 10.0, None, None, None]


def test_without_a_boundary_everything_counts() -> None:
    talk = Talk(policy(COUNTS))
    talked(talk, 10)
    step = talk.turn(60, sentiment=-1.0, missed=True)
    assert [leaf.value for leaf in verdict_of(step, "t").leaves] == [3, 3, 60.0, -1.0, "human", "b"]


def test_entities_are_known_beyond_the_boundary() -> None:
    talk = Talk(policy("[[trigger]]\nname='t'\nexplicit=true\nwhen.all=[{ entity={ name='n', present=true } }, { intent='x' }]"))
    talk.turn(1, entities={"n": 1})
    leave_and_come_back(talk, "return")
    talk.turn(210, intent="x")
    assert talk.state is State.ESCALATION_PENDING


def test_what_a_customer_says_to_an_agent_is_no_request() -> None:
    talk = Talk(policy(BACK))
    talk.accept(10)
    talk.do(CustomerMessage, 20, text="are you a human?")
    talk.do(ReturnedToAi, 100, agent="a1")
    assert verdict_of(talk.turn(101, confidence=0.9), "asks").holds is False


# --- trends


def reference(values: list[float | None]) -> Fraction | None:
    """Exact least squares by the textbook: (n·Σxy − Σx·Σy) / (n·Σx² − (Σx)²)."""
    points = [(Fraction(x), Fraction(y)) for x, y in enumerate(values) if y is not None]
    n = len(points)
    if n < 3:
        return None
    sx, sy = sum(x for x, _ in points), sum(y for _, y in points)
    sxy, sxx = sum(x * y for x, y in points), sum(x * x for x, _ in points)
    return (n * sxy - sx * sy) / (n * sxx - sx * sx)


SENTIMENTS = st.lists(st.none() | st.floats(-1, 1), max_size=9)


@given(SENTIMENTS)
def test_a_slope_is_least_squares_over_positions(values: list[float | None]) -> None:
    wanted = reference(values)
    got = slope(tuple(values))
    if wanted is None:
        assert got is None
    else:
        assert got == pytest.approx(float(wanted), abs=1e-12)


@given(values=SENTIMENTS.filter(len), window=st.integers(3, 6))
def test_a_trend_looks_at_the_last_turns_only(values: list[float | None], window: int) -> None:
    talk = Talk(policy(f"[context]\ntrend_turns={window}\n[[trigger]]\nname='t'\nwhen={{ sentiment_trend_below=-2 }}"))
    for second, value in enumerate(values):
        step = talk.turn(1 + second, sentiment=value)
    wanted = reference(values[-window:])
    got = verdict_of(step, "t").leaves[0].value
    assert got == (None if wanted is None else pytest.approx(float(wanted), abs=1e-12))


def test_a_turn_without_a_sentiment_keeps_its_position() -> None:
    assert slope((1.0, None, 0.0, -0.5)) == pytest.approx(-0.5)


def test_two_sentiments_are_no_trend() -> None:
    assert slope((1.0, None, -1.0)) is None


# --- where it goes

QUEUES = """
[[tier]]
name = "gold"
[[queue]]
name = "first"
tier = "silver"
[[queue]]
name = "second"
tier = "silver"
[[queue]]
name = "third"
"""
TIERS = "[[tier]]\nname = 'bronze'\n[[tier]]\nname = 'gold'\n"


@pytest.mark.parametrize(
    ("text", "asked", "queue", "tier"),
    [
        (QUEUES, {"queue": "second"}, "second", "silver"),
        (QUEUES, {"queue": "third"}, "third", "third"),
        (QUEUES, {"queue": "second", "tier": "gold"}, "second", "gold"),
        (QUEUES, {"tier": "silver"}, "first", "silver"),
        (QUEUES, {"tier": "third"}, "third", "third"),
        (QUEUES, {"tier": "gold"}, "gold", "gold"),
        (QUEUES, {}, "first", "silver"),
        (TIERS, {}, "bronze", "bronze"),
        (TIERS, {"tier": "gold"}, "gold", "gold"),
        ("", {}, "default", "default"),
        ("", {"queue": "odd"}, "odd", "odd"),
        ("", {"tier": "odd"}, "odd", "odd"),
    ],
)
def test_a_handoff_finds_its_queue(text: str, asked: dict[str, Any], queue: str, tier: str) -> None:
    found = policy(text).route(**asked)
    assert (found.queue, found.tier) == (queue, tier)


def test_a_target_carries_skills_and_the_wished_agent() -> None:
    target = Target(tier="silver", skills=("cards",), agent="a7")
    assert policy(QUEUES).route_to(target) == Route("first", "silver", ("cards",), "a7")


def test_no_target_goes_where_everything_goes() -> None:
    assert policy(QUEUES).route_to(None) == Route("first", "silver")


def test_a_trigger_goes_to_its_queue() -> None:
    talk = Talk(policy(QUEUES + "\n[[trigger]]\nname='t'\nqueue='third'\nwhen={ intent='x' }"))
    (prepare,) = effects_of(talk.turn(1, intent="x"), PrepareContext)
    assert prepare.queue == "third"


# --- broken and recorded verdicts

BROKEN = """
[[trigger]]
name = "asks"
when = { wants_handoff = true }
[[trigger]]
name = "broken"
tier = "tier2"
priority = 1
when = { entity = { name = "n", at_least = 1 } }
[[trigger]]
name = "unsure"
when = { confidence_below = 0.8 }
"""


def test_a_broken_trigger_stands_in_its_own_place() -> None:
    talk = Talk(policy(BROKEN))
    talk.turn(1, wants_handoff=True, confidence=0.1, entities={"n": "?"})
    assert reasons(talk) == ("ai_request", "guard_error", "low_confidence")


def test_a_broken_trigger_routes_as_it_would_have() -> None:
    talk = Talk(policy(BROKEN))
    talk.turn(1, entities={"n": "?"})
    assert talk.now.handoff is not None
    assert (talk.now.handoff.tier, talk.now.handoff.priority) == ("tier2", 1)


def test_a_reason_of_the_policy_does_not_hide_that_a_guard_broke() -> None:
    talk = Talk(policy(BROKEN.replace('tier = "tier2"', 'reason = "big_amount"')))
    talk.turn(1, entities={"n": "?"})
    assert reasons(talk) == ("guard_error",)


def test_recorded_verdicts_are_taken_as_they_are() -> None:
    talk = Talk(policy(BROKEN))
    recorded = {"unsure": Verdict("unsure", True), "asks": Verdict("asks", False)}
    event = AiTurn(conversation="c-1", at=at(1), epoch=0, wants_handoff=True, confidence=0.99)
    found = judge(talk.policy, talk.now, event, at(1), recorded)
    assert [trial.trigger.name for trial in found.held] == ["unsure"]
    assert found.reasons == ("unsure",)


def test_a_recorded_verdict_keeps_the_reasons_of_its_leaves() -> None:
    talk = Talk(policy(BROKEN))
    recorded = (Verdict("unsure", True, leaves=(Verdict("confidence_below", True, 0.1, 0.8, 0.7),)),)
    event = AiTurn(conversation="c-1", at=at(1), epoch=0)
    after = step(talk.policy, talk.now, event, recorded=recorded).after
    assert after.handoff is not None
    assert after.handoff.reasons == ("low_confidence",)


def test_nothing_that_holds_has_the_default_priority() -> None:
    talk = Talk()
    event = AiTurn(conversation="c-1", at=at(1), epoch=0)
    found = judge(talk.policy, talk.now, event, at(1))
    assert (found.priority, found.explicit, found.reasons) == (5, False, ())


def breaking(guard: str) -> Engine:
    """The conversation's machine with one guard that raises."""

    def boom(_: Any) -> Verdict:
        raise RuntimeError("boom")

    return Engine("conversation", State, ROWS, {**GUARDS, guard: boom}, CALLBACKS)


def test_a_broken_guard_of_the_table_sends_the_customer_to_a_person() -> None:
    talk = Talk()
    event = AiTurn(conversation="c-1", at=at(1), epoch=0, reply="Fine.")
    done = step(talk.policy, talk.now, event, engine=breaking("ai_wants_to_close"))
    assert done.after.state is State.ESCALATION_PENDING
    assert done.after.handoff is not None
    assert done.after.handoff.reasons == ("guard_error",)
    assert done.verdicts[0].error == "RuntimeError: boom"
    assert effects_of(done, SendToCustomer) == []


def test_a_broken_guard_elsewhere_moves_nothing() -> None:
    talk = Talk()
    talk.queue(1)
    done = step(talk.policy, talk.now, Offloaded(conversation="c-1", at=at(2)), engine=breaking("offload_is_allowed"))
    assert done.refused is not None
    assert done.refused.name == "guard_error"
    assert done.after is talk.now


def test_a_judgement_that_cannot_even_begin_sends_the_customer_to_a_person_too() -> None:
    talk = Talk()
    event = AiTurn(conversation="c-1", at=at(2), epoch=0)
    done = step(talk.policy, talk.now, event, engine=breaking("a_trigger_holds"))
    assert done.after.handoff is not None
    assert done.after.handoff.reasons == ("guard_error",)


def test_a_broken_guard_has_no_wish_of_a_person_in_it() -> None:
    found = failed_guard(policy(QUEUES), Verdict("g", None, error="x"))
    assert (found.explicit, found.priority, found.reasons) == (False, 5, ("guard_error",))
    assert found.held[0].route == Route("first", "silver")


# --- memory


@pytest.mark.parametrize(
    ("leaf", "fields"),
    [
        ("entity = { name = 'n', equals = true }", {"entities": {"n": False}}),
        ("entity = { name = 'n', present = true }", {}),
        ("attribute = { name = 'n', equals = 1 }", {"attributes": {"n": 0}}),
        ("wants_handoff = true", {}),
        ("confidence_below = 0.5", {"confidence": 0.75}),
        ("intent = 'x'", {"intent": "y"}),
    ],
)
def test_a_policy_does_not_grow_with_what_it_has_judged(leaf: str, fields: dict[str, Any]) -> None:
    judging = policy(f"[[trigger]]\nname='t'\nwhen = {{ {leaf} }}")
    talk = Talk(judging)
    for second in range(1, 20):
        talk.turn(second, **fields)
    assert len(plan_of(judging)[0].plain) <= 4


def test_reclaimed_at_its_place_an_item_keeps_its_reasons() -> None:
    talk = Talk(policy(BACK))
    talk.turn(1, confidence=0.5)
    talk.queue(2)
    talk.do(Offloaded, 10)
    talk.do(Reclaimed, 20)
    assert reasons(talk) == ("low_confidence",)
