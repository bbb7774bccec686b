"""Each kind of leaf: where it begins to hold, what it answers to what is absent, and which reason it gives."""

import math
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from machines_build import Talk, at, policy

from handoff_kit.machines import (
    AiTurn,
    Customer,
    CustomerMessage,
    FailedAction,
    Observed,
    Prediction,
    QueueFacts,
    State,
    Step,
    Verdict,
)
from handoff_kit.machines.conditions import LEAVES

UNKNOWN, FALSE, TRUE = None, False, True


@attrs.frozen(kw_only=True)
class Given:
    """A situation: who writes, on which channel, earlier turns, and the event that is judged."""

    turn: Mapping[str, Any] | None = attrs.field(factory=dict)
    message: Mapping[str, Any] | None = None
    lead: tuple[Mapping[str, Any], ...] = ()
    customer: Mapping[str, Any] = attrs.field(factory=dict)
    channel: str = "web"
    line: Mapping[str, Any] | None = None
    at: float = 30

    def as_message(self) -> "Given":
        """The same situation, with what the turn brought as an earlier turn, and a customer's message to judge."""
        return attrs.evolve(self, turn=None, message={"text": "hm"}, lead=(*self.lead, self.turn or {}))


def stepped(leaf: str, situation: Given, more: str = "") -> Step:
    """The step of the situation's last event under a policy of one trigger; what came before was under an empty policy."""
    talk = Talk(policy(""), channel=situation.channel, customer=Customer(id="cu-1", **situation.customer))
    for index, fields in enumerate(situation.lead):
        talk.turn(1 + index, **fields)
    talk.policy = policy(f'[[trigger]]\nname = "t"\nwhen = {{ {leaf} }}\n{more}')
    observed = Observed(queues={"default": QueueFacts(**situation.line)}) if situation.line is not None else None
    if situation.message is not None:
        return talk.do(CustomerMessage, situation.at, observed=observed, **situation.message)
    return talk.do(AiTurn, situation.at, epoch=0, observed=observed, **(situation.turn or {}))


def trigger_of(step: Step) -> Verdict:
    return next(verdict for verdict in step.verdicts if verdict.name == "t")


def judged(leaf: str, situation: Given) -> Verdict:
    return trigger_of(stepped(leaf, situation)).leaves[0]


@attrs.frozen(kw_only=True)
class Case:
    """What one kind of leaf says: where it just holds, where it just does not, and where the value is absent.

    The expected answers are (value, margin); `unless_turn` says what a customer's message gives.
    """

    leaf: str
    threshold: Any
    yes: Given
    no: Given
    found: tuple[Any, float | None]
    not_found: tuple[Any, float | None]
    absent: Given | None
    absent_is: bool | None = UNKNOWN
    reason: str = "t"


def turn(**fields: Any) -> Given:
    return Given(turn=fields)


def said(text: str, **fields: Any) -> Given:
    return Given(turn=None, message={"text": text, **fields})


def who(**fields: Any) -> Given:
    return Given(customer=fields)


def line(**fields: Any) -> Given:
    return Given(line=fields)


def in_s(seconds: float, **fields: Any) -> Given:
    return Given(turn={"prediction": Prediction(time_to_frustration_s=seconds)}, **fields)


MISSED = {"missed": True}
FAILED = FailedAction(name="export", error_code="E42")

CASES: dict[str, Case] = {
    "intent": Case(
        leaf='intent = "refund"',
        threshold="refund",
        yes=turn(intent="refund"),
        no=turn(intent="Refund"),
        found=("refund", None),
        not_found=("Refund", None),
        absent=turn(),
    ),
    "intent_in": Case(
        leaf='intent_in = ["refund", "chargeback"]',
        threshold=["refund", "chargeback"],
        yes=turn(intent="chargeback"),
        no=turn(intent="fee"),
        found=("chargeback", None),
        not_found=("fee", None),
        absent=turn(),
    ),
    "confidence_below": Case(
        leaf="confidence_below = 0.75",
        threshold=0.75,
        yes=turn(confidence=math.nextafter(0.75, 0)),
        no=turn(confidence=0.75),
        found=(math.nextafter(0.75, 0), 0.75 - math.nextafter(0.75, 0)),
        not_found=(0.75, 0.0),
        absent=turn(),
        reason="low_confidence",
    ),
    "sentiment_below": Case(
        leaf="sentiment_below = -0.25",
        threshold=-0.25,
        yes=turn(sentiment=-0.5),
        no=turn(sentiment=-0.25),
        found=(-0.5, 0.25),
        not_found=(-0.25, 0.0),
        absent=turn(),
        reason="negative_sentiment",
    ),
    "sentiment_trend_below": Case(
        leaf="sentiment_trend_below = -0.25",
        threshold=-0.25,
        yes=Given(lead=({"sentiment": 1.0}, {"sentiment": 0.5}), turn={"sentiment": 0.0}),
        no=Given(lead=({"sentiment": 0.5}, {"sentiment": 0.25}), turn={"sentiment": 0.0}),
        found=(-0.5, 0.25),
        not_found=(-0.25, 0.0),
        absent=Given(lead=({"sentiment": 1.0}, {}), turn={"sentiment": -1.0}),
        reason="falling_sentiment",
    ),
    "misses_at_least": Case(
        leaf="misses_at_least = 2",
        threshold=2,
        yes=Given(lead=(MISSED,), turn=MISSED),
        no=Given(lead=({},), turn=MISSED),
        found=(2, 0),
        not_found=(1, -1),
        absent=Given(),
        absent_is=FALSE,
        reason="repeated_misses",
    ),
    "failed_action": Case(
        leaf="failed_action = true",
        threshold=True,
        yes=turn(failed_action=FAILED),
        no=turn(),
        found=(True, None),
        not_found=(False, None),
        absent=turn(),
        absent_is=FALSE,
        reason="failed_action",
    ),
    "error_code_in": Case(
        leaf='error_code_in = ["E41", "E42"]',
        threshold=["E41", "E42"],
        yes=turn(failed_action=FAILED),
        no=turn(failed_action=FailedAction(name="export", error_code="E43")),
        found=("E42", None),
        not_found=("E43", None),
        absent=turn(failed_action=FailedAction(name="export")),
        absent_is=FALSE,
        reason="failed_action",
    ),
    "wants_handoff": Case(
        leaf="wants_handoff = true",
        threshold=True,
        yes=turn(wants_handoff=True),
        no=turn(wants_handoff=False),
        found=(True, None),
        not_found=(False, None),
        absent=turn(),
        absent_is=FALSE,
        reason="ai_request",
    ),
    "customer_says": Case(
        leaf='customer_says = ["human", "real person"]',
        threshold=None,
        yes=said("Give me a REAL\n person!"),
        no=said("humans are real persons"),
        found=("real person", None),
        not_found=(None, None),
        absent=said(""),
        absent_is=FALSE,
        reason="explicit_request",
    ),
    "choice_in": Case(
        leaf='choice_in = ["btn_agent", "btn_call"]',
        threshold=None,
        yes=said("", choice="btn_call"),
        no=said("", choice="btn_calls"),
        found=("btn_call", None),
        not_found=(None, None),
        absent=said("btn_call"),
        absent_is=FALSE,
        reason="explicit_request",
    ),
    "reply_says": Case(
        leaf='reply_says = ["a colleague"]',
        threshold=None,
        yes=turn(reply="One moment, A  Colleague will help."),
        no=turn(reply="A colleagues' matter"),
        found=("a colleague", None),
        not_found=(None, None),
        absent=turn(),
        absent_is=FALSE,
        reason="promised_human",
    ),
    "entity": Case(
        leaf='entity = { name = "amount", at_least = 1000 }',
        threshold={"name": "amount", "at_least": 1000.0},
        yes=turn(entities={"amount": 1000}),
        no=turn(entities={"amount": 999.5}),
        found=(1000, 0.0),
        not_found=(999.5, -0.5),
        absent=turn(entities={"amounts": 5000}),
    ),
    "attribute": Case(
        leaf='attribute = { name = "severity", at_least = 7 }',
        threshold={"name": "severity", "at_least": 7.0},
        yes=turn(attributes={"severity": 7}),
        no=turn(attributes={"severity": 6}),
        found=(7, 0.0),
        not_found=(6, -1.0),
        absent=turn(),
    ),
    "customer_tier_in": Case(
        leaf='customer_tier_in = ["gold", "platinum"]',
        threshold=["gold", "platinum"],
        yes=who(tier="gold"),
        no=who(tier="silver"),
        found=("gold", None),
        not_found=("silver", None),
        absent=Given(),
    ),
    "lifetime_value_at_least": Case(
        leaf="lifetime_value_at_least = 5000",
        threshold=5000.0,
        yes=who(lifetime_value=5000),
        no=who(lifetime_value=4999.5),
        found=(5000, 0.0),
        not_found=(4999.5, -0.5),
        absent=Given(),
    ),
    "customer_identified": Case(
        leaf="customer_identified = true",
        threshold=True,
        yes=who(attributes={"identified": True}),
        no=who(attributes={"identified": False}),
        found=(True, None),
        not_found=(False, None),
        absent=Given(),
        absent_is=FALSE,
    ),
    "channel_in": Case(
        leaf='channel_in = ["voice", "sms"]',
        threshold=["voice", "sms"],
        yes=Given(channel="voice"),
        no=Given(channel="web"),
        found=("voice", None),
        not_found=("web", None),
        absent=None,
    ),
    "locale_in": Case(
        leaf='locale_in = ["de-DE"]',
        threshold=["de-DE"],
        yes=who(locale="de-DE"),
        no=who(locale="de"),
        found=("de-DE", None),
        not_found=("de", None),
        absent=Given(),
    ),
    "turns_at_least": Case(
        leaf="turns_at_least = 3",
        threshold=3,
        yes=Given(lead=({}, {})),
        no=Given(lead=({},)),
        found=(3, 0),
        not_found=(2, -1),
        absent=Given(),
        absent_is=FALSE,
        reason="long_conversation",
    ),
    "elapsed_at_least_s": Case(
        leaf="elapsed_at_least_s = 600",
        threshold=600.0,
        yes=Given(at=600),
        no=Given(at=599.5),
        found=(600.0, 0.0),
        not_found=(599.5, -0.5),
        absent=None,
        reason="long_conversation",
    ),
    "frustration_within_s": Case(
        leaf="frustration_within_s = 120",
        threshold=120.0,
        yes=in_s(119.5),
        no=in_s(120),
        found=(119.5, 0.5),
        not_found=(120, 0.0),
        absent=turn(prediction=Prediction()),
        reason="predicted_frustration",
    ),
    "frustration_before_service": Case(
        leaf="frustration_before_service = { margin_s = 30 }",
        threshold=330.0,
        yes=in_s(329.5, line={"eta_s": 300}),
        no=in_s(330, line={"eta_s": 300}),
        found=(329.5, 0.5),
        not_found=(330, 0.0),
        absent=None,
        reason="predicted_frustration",
    ),
    "queue_wait_at_least_s": Case(
        leaf="queue_wait_at_least_s = 300",
        threshold=300.0,
        yes=line(eta_s=300),
        no=line(eta_s=299.5),
        found=(300, 0.0),
        not_found=(299.5, -0.5),
        absent=line(open=True),
    ),
    "queue_open": Case(
        leaf="queue_open = true",
        threshold=True,
        yes=line(open=True),
        no=line(open=False),
        found=(True, None),
        not_found=(False, None),
        absent=line(eta_s=1),
    ),
    "agents_available_at_least": Case(
        leaf="agents_available_at_least = 2",
        threshold=2,
        yes=line(available=2),
        no=line(available=1),
        found=(2, 0),
        not_found=(1, -1),
        absent=line(open=True),
    ),
}

EACH = pytest.mark.parametrize("kind", sorted(CASES))


def test_every_kind_of_leaf_has_a_case() -> None:
    assert set(CASES) == set(LEAVES)


@EACH
def test_a_leaf_holds_at_its_boundary(kind: str) -> None:
    case = CASES[kind]
    value, margin = case.found
    assert judged(case.leaf, case.yes) == Verdict(kind, TRUE, value, case.threshold, margin)


@EACH
def test_a_leaf_fails_just_beyond_its_boundary(kind: str) -> None:
    case = CASES[kind]
    value, margin = case.not_found
    assert judged(case.leaf, case.no) == Verdict(kind, FALSE, value, case.threshold, margin)


@pytest.mark.parametrize("kind", sorted(kind for kind, case in CASES.items() if case.absent is not None))
def test_what_is_absent_is_unknown_or_false(kind: str) -> None:
    case = CASES[kind]
    assert case.absent is not None
    assert judged(case.leaf, case.absent).holds is case.absent_is


@EACH
def test_a_leaf_that_holds_gives_its_reason(kind: str) -> None:
    case = CASES[kind]
    after = stepped(case.leaf, case.yes).after
    assert after.state is State.ESCALATION_PENDING
    assert after.handoff is not None
    assert after.handoff.reasons == (case.reason,)


@EACH
def test_a_leaf_that_fails_moves_nothing(kind: str) -> None:
    case = CASES[kind]
    assert stepped(case.leaf, case.no).after.state is State.BOT_ACTIVE


READS_A_TURN = {
    "intent",
    "intent_in",
    "confidence_below",
    "sentiment_below",
    "sentiment_trend_below",
    "misses_at_least",
    "failed_action",
    "error_code_in",
    "wants_handoff",
    "reply_says",
    "turns_at_least",
    "frustration_within_s",
    "frustration_before_service",
}


@pytest.mark.parametrize("kind", sorted(READS_A_TURN))
def test_what_reads_or_counts_turns_is_unknown_on_a_customers_message(kind: str) -> None:
    case = CASES[kind]
    assert judged(case.leaf, case.yes.as_message()) == Verdict(kind, UNKNOWN, None, _written_threshold(case))


def _written_threshold(case: Case) -> Any:
    """Only frustration_before_service compares with something else than what the policy says."""
    return 30.0 if case.leaf.startswith("frustration_before") else case.threshold


@pytest.mark.parametrize("kind", sorted(set(CASES) - READS_A_TURN - {"customer_says", "choice_in", "attribute"}))
def test_other_facts_are_known_on_a_customers_message(kind: str) -> None:
    case = CASES[kind]
    assert judged(case.leaf, case.yes.as_message()).holds is TRUE
    assert judged(case.leaf, case.no.as_message()).holds is FALSE


def test_an_attribute_of_an_earlier_turn_is_forgotten() -> None:
    case = CASES["attribute"]
    assert judged(case.leaf, case.yes.as_message()).holds is UNKNOWN


def test_an_attribute_of_the_turn_hides_the_customers() -> None:
    case = CASES["attribute"]
    hidden = Given(customer={"attributes": {"severity": 9}}, turn={"attributes": {"severity": 1}})
    assert judged(case.leaf, hidden).value == 1


@pytest.mark.parametrize("as_message", [False, True])
def test_an_attribute_of_the_customer_counts_where_the_turn_has_none(as_message: bool) -> None:
    situation = who(attributes={"severity": 9})
    verdict = judged(CASES["attribute"].leaf, situation.as_message() if as_message else situation)
    assert (verdict.holds, verdict.value, verdict.margin) == (TRUE, 9, 2.0)


def test_an_entity_seen_earlier_still_counts() -> None:
    seen = Given(lead=({"entities": {"amount": 1500}}, {}), turn={"entities": {"other": 1}})
    assert judged(CASES["entity"].leaf, seen).value == 1500


def test_the_present_turns_entity_replaces_an_earlier_one() -> None:
    seen = Given(lead=({"entities": {"amount": 1500}},), turn={"entities": {"amount": 10}})
    assert judged(CASES["entity"].leaf, seen).holds is FALSE


def test_a_failed_action_can_be_asked_for_by_its_absence() -> None:
    assert judged("failed_action = false", turn()).holds is TRUE
    assert judged("failed_action = false", turn(failed_action=FAILED)).holds is FALSE


def test_an_ai_that_wants_no_handoff_can_be_asked_for() -> None:
    assert judged("wants_handoff = false", turn(wants_handoff=True)) == Verdict("wants_handoff", FALSE, True, False)


def test_a_closed_queue_can_be_asked_for_and_an_unseen_one_is_unknown() -> None:
    assert judged("queue_open = false", line(open=False)).holds is TRUE
    assert judged("queue_open = false", line()).holds is UNKNOWN
    assert judged("queue_open = false", turn()).holds is UNKNOWN


def test_error_codes_without_a_failed_action_are_false() -> None:
    assert judged(CASES["error_code_in"].leaf, turn()) == Verdict("error_code_in", FALSE, None, ["E41", "E42"])


def test_misses_are_counted_in_a_row() -> None:
    broken = Given(lead=(MISSED, {}), turn=MISSED)
    assert judged("misses_at_least = 2", broken).value == 1


def test_an_absent_intent_alone_is_no_miss() -> None:
    assert judged("misses_at_least = 1", Given(turn={"intent": None})).value == 0


@pytest.mark.parametrize(
    "situation",
    [
        turn(),
        in_s(10),
        in_s(10, line={"open": True}),
        Given(line={"eta_s": 300}),
        Given(turn={"prediction": Prediction(model="m")}, line={"eta_s": 300}),
    ],
)
def test_frustration_before_service_needs_both_numbers(situation: Given) -> None:
    assert judged("frustration_before_service = { margin_s = 30 }", situation).holds is UNKNOWN


def test_a_frustration_that_was_not_predicted_is_unknown() -> None:
    assert judged("frustration_within_s = 120", turn()).holds is UNKNOWN


def test_observed_facts_of_another_queue_say_nothing() -> None:
    verdict = trigger_of(stepped("queue_open = true", line(open=True), 'queue = "other"')).leaves[0]
    assert verdict.holds is UNKNOWN


# --- entity and attribute: the five operators


OPERATORS = [
    ("at_least = 1000", 1000, TRUE, 0.0),
    ("at_least = 1000", 999.75, FALSE, -0.25),
    ("below = 1000", 999.75, TRUE, 0.25),
    ("below = 1000", 1000, FALSE, 0.0),
    ('equals = "EUR"', "EUR", TRUE, None),
    ('equals = "EUR"', "eur", FALSE, None),
    ("equals = 5", 5, TRUE, None),
    ("equals = 5", "5.0", TRUE, None),
    ("equals = 5", "five", FALSE, None),
    ('equals = "5"', 5, FALSE, None),
    ("equals = 1", True, FALSE, None),
    ("equals = true", True, TRUE, None),
    ("equals = true", 1, FALSE, None),
    ("equals = true", "true", FALSE, None),
    ('in = ["a", 5, false]', "a", TRUE, None),
    ('in = ["a", 5, false]', 5.0, TRUE, None),
    ('in = ["a", 5, false]', False, TRUE, None),
    ('in = ["a", 5, false]', 0, FALSE, None),
    ('in = ["a", 5, false]', "b", FALSE, None),
    ("present = true", "x", TRUE, None),
    ("present = true", False, TRUE, None),
    ("present = true", None, FALSE, None),
]


@pytest.mark.parametrize("what", ["entity", "attribute"])
@pytest.mark.parametrize(("test", "value", "holds", "margin"), OPERATORS)
def test_an_operator_compares_as_its_operand_asks(
    what: str, test: str, value: Any, holds: bool | None, margin: float | None
) -> None:
    brought = {"entities" if what == "entity" else "attributes": {"x": value}}
    verdict = judged(f'{what} = {{ name = "x", {test} }}', turn(**brought))
    assert (verdict.holds, verdict.value, verdict.margin) == (holds, value, margin)


@pytest.mark.parametrize("what", ["entity", "attribute"])
@pytest.mark.parametrize("test", ["at_least = 1", "below = 1", "equals = 1", 'in = ["a"]'])
def test_an_operator_on_nothing_is_unknown(what: str, test: str) -> None:
    assert judged(f'{what} = {{ name = "x", {test} }}', turn()).holds is UNKNOWN


@pytest.mark.parametrize("what", ["entity", "attribute"])
def test_presence_of_nothing_is_false(what: str) -> None:
    assert judged(f'{what} = {{ name = "x", present = true }}', turn()).holds is FALSE


def test_a_list_equals_no_scalar() -> None:
    assert judged('entity = { name = "x", equals = "a" }', turn(entities={"x": ["a"]})).holds is FALSE


# --- plain decimal strings


@given(st.decimals(-(10**6), 10**6, places=3))
def test_a_plain_decimal_string_counts_as_its_number(number: Any) -> None:
    as_text = judged(CASES["entity"].leaf, turn(entities={"amount": format(number, "f")}))
    as_number = judged(CASES["entity"].leaf, turn(entities={"amount": float(number)}))
    assert (as_text.holds, as_text.margin) == (as_number.holds, as_number.margin)
    assert as_text.value == format(number, "f")


@pytest.mark.parametrize("written", ["1000", "+1000", "1000.0", "01000"])
def test_a_plain_decimal_holds(written: str) -> None:
    assert judged(CASES["entity"].leaf, turn(entities={"amount": written})).holds is TRUE


NOT_PLAIN = ["", " 1000", "1000 ", "1e3", "1_000", "1,000", ".5", "5.", "0x10", "NaN", "inf", "١٠٠٠", "--1", "many"]


@pytest.mark.parametrize("written", NOT_PLAIN)
def test_any_other_string_is_no_number(written: str) -> None:
    step = stepped(CASES["entity"].leaf, turn(entities={"amount": written}))
    assert trigger_of(step).error is not None


def test_a_decimal_too_long_for_a_number_is_an_impossible_value() -> None:
    verdict = trigger_of(stepped(CASES["entity"].leaf, turn(entities={"amount": "9" * 400})))
    assert verdict.error is not None
    assert verdict.text


# --- a value of a wrong type


WRONG = [
    ('entity = { name = "x", at_least = 1 }', turn(entities={"x": "many"}), "many"),
    ('entity = { name = "x", below = 1 }', turn(entities={"x": [1]}), [1]),
    ('entity = { name = "x", at_least = 1 }', turn(entities={"x": {"n": 1}}), {"n": 1}),
    ('entity = { name = "x", at_least = 1 }', turn(entities={"x": True}), True),
    ('attribute = { name = "x", at_least = 1 }', turn(attributes={"x": "severe"}), "severe"),
    ('attribute = { name = "x", below = 1 }', turn(attributes={"x": False}), False),
    ('attribute = { name = "x", below = 1 }', who(attributes={"x": "severe"}), "severe"),
    ("customer_identified = true", who(attributes={"identified": "yes"}), "yes"),
    ("customer_identified = false", who(attributes={"identified": 0}), 0),
]


@pytest.mark.parametrize(("leaf", "situation", "value"), WRONG)
def test_a_wrong_type_sends_the_customer_to_a_person(leaf: str, situation: Given, value: Any) -> None:
    turn = {**(situation.turn or {}), "reply": "All is well."}
    step = stepped(leaf, attrs.evolve(situation, turn=turn))
    assert step.refused is None
    assert step.after.state is State.ESCALATION_PENDING
    assert step.after.handoff is not None
    assert step.after.handoff.reasons == ("guard_error",)
    assert step.reply == "withheld"


@pytest.mark.parametrize(("leaf", "situation", "value"), WRONG)
def test_the_trace_names_the_broken_leaf_and_its_value(leaf: str, situation: Given, value: Any) -> None:
    verdict = trigger_of(stepped(leaf, situation))
    assert verdict.error is not None
    assert repr(value) in verdict.error
    assert (verdict.leaves[0].name, verdict.leaves[0].value) == (leaf.split()[0], value)
    assert verdict.leaves[0].error == verdict.error


def test_a_wrong_type_breaks_on_a_customers_message_too() -> None:
    step = stepped("customer_identified = true", who(attributes={"identified": "yes"}).as_message())
    assert step.after.handoff is not None
    assert step.after.handoff.reasons == ("guard_error",)


def test_one_broken_leaf_is_enough_though_another_says_no() -> None:
    both = 'all = [{ intent = "x" }, { entity = { name = "n", at_least = 1 } }]'
    step = stepped(both, turn(intent="y", entities={"n": "?"}))
    assert step.after.state is State.ESCALATION_PENDING
    assert [leaf.error is not None for leaf in trigger_of(step).leaves] == [False, True]


def test_a_number_too_large_to_subtract_from_is_an_error_with_its_name() -> None:
    verdict = trigger_of(stepped(CASES["entity"].leaf, turn(entities={"amount": 10**400})))
    assert verdict.error is not None
    assert verdict.error.startswith("OverflowError")


# --- margins

FINITE = st.floats(allow_nan=False, allow_infinity=False)
UNIT = st.floats(0, 1)
SEEN = st.floats(0, 1e9)
COUNT = st.integers(1, 50)
NUMBERS: dict[str, tuple[Any, Any, str]] = {
    "confidence_below": (UNIT, UNIT, "confidence"),
    "sentiment_below": (st.floats(-1, 1), st.floats(-1, 1), "sentiment"),
    "lifetime_value_at_least": (st.floats(-1e12, 1e12), st.floats(-1e12, 1e12), "lifetime_value"),
    "elapsed_at_least_s": (st.floats(0, 1700), st.floats(5, 1700), "at"),
    "frustration_within_s": (SEEN, SEEN, "prediction"),
    "queue_wait_at_least_s": (SEEN, SEEN, "eta_s"),
    "agents_available_at_least": (COUNT, COUNT, "available"),
    "entity_at_least": (st.floats(-1e12, 1e12), st.floats(-1e12, 1e12), "entity"),
    "entity_below": (st.floats(-1e12, 1e12), st.floats(-1e12, 1e12), "entity"),
}


def _situation(place: str, value: Any) -> Given:
    if place in ("confidence", "sentiment"):
        return turn(**{place: value})
    if place == "at":
        return Given(at=value)
    if place == "prediction":
        return in_s(value)
    if place in ("eta_s", "available"):
        return line(**{place: value})
    if place == "entity":
        return turn(entities={"x": value})
    return who(**{place: value})


@pytest.mark.parametrize("kind", sorted(NUMBERS))
@given(data=st.data())
def test_a_margin_is_never_negative_where_the_leaf_holds_and_never_positive_where_not(kind: str, data: Any) -> None:
    thresholds, values, place = NUMBERS[kind]
    threshold, value = data.draw(thresholds), data.draw(values)
    leaf = f"{kind} = {threshold!r}"
    if place == "entity":
        leaf = f'entity = {{ name = "x", {kind.removeprefix("entity_")} = {threshold!r} }}'
    verdict = judged(leaf, _situation(place, value))
    assert verdict.margin is not None
    assert verdict.margin >= 0 if verdict.holds else verdict.margin <= 0


@given(sentiments=st.lists(st.floats(-1, 1), min_size=3, max_size=6), threshold=st.floats(-2, 2))
def test_the_margin_of_a_trend_agrees_with_its_answer(sentiments: list[float], threshold: float) -> None:
    *before, last = sentiments
    situation = Given(lead=tuple({"sentiment": one} for one in before), turn={"sentiment": last})
    verdict = judged(f"sentiment_trend_below = {threshold!r}", situation)
    assert verdict.margin is not None
    assert verdict.margin > 0 if verdict.holds else verdict.margin <= 0


@given(left=FINITE, right=FINITE)
@example(left=-1.7e308, right=1.7e308)
@example(left=1.7e308, right=-1.7e308)
def test_a_margin_can_always_be_written_down(left: float, right: float) -> None:
    verdict = judged(f"lifetime_value_at_least = {left!r}", who(lifetime_value=right))
    assert verdict.margin is not None
    assert math.isfinite(verdict.margin)
    assert verdict.text


def test_the_time_of_a_case_is_the_events() -> None:
    assert stepped("turns_at_least = 9", Given(at=77)).after.at == at(77)
