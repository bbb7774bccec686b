"""Reasoning over triggers: what is called dead never holds, what is called shadowed never wins, and the search misses nothing."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines_build import START, Talk, at

from handoff_kit.machines import (
    AiTurn,
    Customer,
    CustomerMessage,
    Event,
    FailedAction,
    Observed,
    Prediction,
    QueueFacts,
    ReturnedToAi,
    TimerFired,
)
from handoff_kit.machines.conditions import LEAVES, Condition, Group, Leaf, leaves_of
from handoff_kit.machines.conversation import Conversation
from handoff_kit.machines.evolve import evolve
from handoff_kit.machines.facts import slope
from handoff_kit.machines.lint import lint
from handoff_kit.machines.lint.cells import values_of
from handoff_kit.machines.lint.imagined import Moment, facts_read, in_words
from handoff_kit.machines.lint.regions import UNDECIDED, Witness, claim_of, satisfiable
from handoff_kit.machines.policy import Policy, ResumeRules, Trigger
from handoff_kit.machines.policy_codec import policy_from_data, policy_to_data
from handoff_kit.machines.triggers import Judged, judge, plan_of

BRIEF = settings(max_examples=80)


def policy_of(*conditions: Condition, **fields: Any) -> Policy:
    return Policy(trigger=tuple(Trigger(name=f"t{index}", when=one, **fields) for index, one in enumerate(conditions)))


def leaf(kind: str, value: Any) -> Leaf:
    return Leaf(kind, LEAVES[kind].parse(value))


def can_hold(condition: Condition, **fields: Any) -> bool:
    (trial,) = plan_of(policy_of(condition, **fields))
    return isinstance(satisfiable([claim_of(trial)]), Witness)


# --- random policies over few facts, and the events that they may meet

LEAF = st.one_of(
    st.sampled_from([0.0, 0.3, 0.6, 1.0]).map(lambda v: leaf("confidence_below", v)),
    st.sampled_from([-1.0, 0.0, 0.5]).map(lambda v: leaf("sentiment_below", v)),
    st.sampled_from([-1.0, -0.2, 2.0]).map(lambda v: leaf("sentiment_trend_below", v)),
    st.sampled_from(["a", "b"]).map(lambda v: leaf("intent", v)),
    st.sampled_from([["a", "b"], ["c"]]).map(lambda v: leaf("intent_in", v)),
    st.sampled_from([1, 2]).map(lambda v: leaf("misses_at_least", v)),
    st.sampled_from([1, 3]).map(lambda v: leaf("turns_at_least", v)),
    st.sampled_from([0, 60]).map(lambda v: leaf("elapsed_at_least_s", v)),
    st.booleans().map(lambda v: leaf("failed_action", v)),
    st.sampled_from([["E1"], ["E2", "E3"]]).map(lambda v: leaf("error_code_in", v)),
    st.booleans().map(lambda v: leaf("wants_handoff", v)),
    st.sampled_from([["person"], ["real person"], ["agent"]]).map(lambda v: leaf("customer_says", v)),
    st.sampled_from([["x"], ["x", "y"]]).map(lambda v: leaf("choice_in", v)),
    st.sampled_from([["one moment"], ["moment"]]).map(lambda v: leaf("reply_says", v)),
    st.sampled_from([{"at_least": 5}, {"below": 3}, {"equals": "7"}, {"equals": 7}, {"in": ["u", True]}, {"present": False}]).map(
        lambda v: leaf("entity", {"name": "n", **v})
    ),
    st.sampled_from([["gold"], ["gold", "blue"]]).map(lambda v: leaf("customer_tier_in", v)),
    st.booleans().map(lambda v: leaf("customer_identified", v)),
    st.sampled_from([0, 50]).map(lambda v: leaf("lifetime_value_at_least", v)),
    st.sampled_from([["web"], ["web", "email"]]).map(lambda v: leaf("channel_in", v)),
    st.sampled_from([0, 30]).map(lambda v: leaf("frustration_within_s", v)),
    st.sampled_from([-20, 0, 20]).map(lambda v: leaf("frustration_before_service", {"margin_s": v})),
    st.sampled_from([0, 40]).map(lambda v: leaf("queue_wait_at_least_s", v)),
    st.booleans().map(lambda v: leaf("queue_open", v)),
    st.sampled_from([1, 2]).map(lambda v: leaf("agents_available_at_least", v)),
)
CONDITION = st.recursive(
    LEAF,
    lambda inner: st.builds(Group, st.sampled_from(["all", "any", "none"]), st.lists(inner, min_size=1, max_size=3).map(tuple)),
    max_leaves=5,
)
#: Over two facts only, so that regions meet often.
NARROW = st.recursive(
    st.one_of(
        st.sampled_from([0.0, 0.3, 0.6]).map(lambda v: leaf("confidence_below", v)),
        st.sampled_from([["E1"], ["E2"]]).map(lambda v: leaf("error_code_in", v)),
        st.booleans().map(lambda v: leaf("failed_action", v)),
    ),
    lambda inner: st.builds(Group, st.sampled_from(["all", "any", "none"]), st.lists(inner, min_size=1, max_size=3).map(tuple)),
    max_leaves=4,
)


def policies(condition: st.SearchStrategy[Condition]) -> st.SearchStrategy[Policy]:
    trigger = st.tuples(condition, st.sampled_from(["fails", "holds"]), st.sampled_from([None, None, True]), st.booleans())

    def made(parts: list[tuple[Condition, Any, bool | None, bool]]) -> Policy:
        triggers = [
            Trigger(name=f"t{index}", when=when, when_missing=missing, explicit=explicit, tier="far" if far else None)
            for index, (when, missing, explicit, far) in enumerate(parts)
        ]
        return Policy(trigger=tuple(triggers))

    return st.lists(trigger, min_size=1, max_size=3).map(made)


def maybe(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from((None, *values))


SEEN = st.builds(QueueFacts, open=maybe(True, False), available=maybe(0, 1, 2), eta_s=maybe(0.0, 10.0, 39.0, 40.0, 100.0))
FAILED = maybe(
    FailedAction(name="act"),
    FailedAction(name="act", error_code="E1"),
    FailedAction(name="act", error_code="E3"),
    FailedAction(name="act", error_code="E9"),
)


@st.composite
def met(draw: Any) -> tuple[Conversation, Event]:
    """A conversation with the AI, and an event at which triggers are judged."""
    attributes = draw(st.sampled_from([{}, {"identified": True}, {"identified": False}]))
    customer = Customer(
        id="cu", tier=draw(maybe("gold", "blue", "tin")), lifetime_value=draw(maybe(-1.0, 0.0, 49.0, 50.0)), attributes=attributes
    )
    talk = Talk(Policy(), channel=draw(st.sampled_from(["web", "email", "sms"])), customer=customer)
    later = at(draw(st.sampled_from([0, 59, 60, 300])))
    entities = draw(st.sampled_from([{}, *({"n": one} for one in (None, 2, 4, 7, "7", "7.0", "u", True, False, "zz", [1]))]))
    now = evolve(
        talk.now,
        entities=entities,
        misses=draw(st.sampled_from([0, 1, 2])),
        turns=draw(st.sampled_from([0, 1, 2, 5])),
        sentiments=draw(st.sampled_from([(), (1.0, 0.0, -1.0), (0.5, 0.2, None), (0.0, 0.5, 1.0)])),
        heard=draw(st.sampled_from([(), ("a Real  person",), ("person",), ("agent", "person"), ("personal",)])),
        choices=draw(st.sampled_from([(), ("x",), ("y",), ("z",)])),
    )
    observed = Observed(queues={"default": draw(SEEN), "far": draw(SEEN)}) if draw(st.booleans()) else None
    kind = draw(st.sampled_from(["turn", "turn", "message", "timer"]))
    if kind == "message":
        text = draw(st.sampled_from(["", "agent", "a real person"]))
        return now, CustomerMessage(conversation="c-1", at=later, text=text, choice=draw(maybe("x", "y")), observed=observed)
    if kind == "timer":
        return now, TimerFired(conversation="c-1", at=later, timer="ai_reply", generation=1, observed=observed)
    event = AiTurn(
        conversation="c-1",
        at=later,
        intent=draw(maybe("a", "b", "c", "d")),
        confidence=draw(maybe(0.0, 0.2, 0.3, 0.5, 0.6, 0.9, 1.0)),
        sentiment=draw(maybe(-1.0, -0.5, 0.0, 0.4, 0.5, 1.0)),
        missed=draw(st.booleans()),
        reply=draw(maybe("One moment", "moment", "momentum")),
        failed_action=draw(FAILED),
        wants_handoff=draw(st.booleans()),
        prediction=draw(maybe(*(Prediction(time_to_frustration_s=s) for s in (None, 0.0, 20.0, 29.0, 30.0, 60.0, 200.0)))),
        observed=observed,
    )
    return now, event


def judged_at(policy: Policy, moment: tuple[Conversation, Event]) -> Judged:
    conversation, event = moment
    assert event.at is not None
    return judge(policy, conversation, event, event.at)


MOMENTS = st.lists(met(), min_size=8, max_size=8)


def check_dead(policy: Policy, moments: list[tuple[Conversation, Event]]) -> None:
    dead = {named(policy, one.place) for one in lint(policy) if one.rule == "dead_trigger"}
    for moment in moments:
        for verdict in judged_at(policy, moment).verdicts:
            assert verdict.error is not None or not (verdict.name in dead and verdict.holds)


def check_shadowed(policy: Policy, moments: list[tuple[Conversation, Event]]) -> None:
    shadowed = {named(policy, one.place) for one in lint(policy) if one.rule == "shadowed_trigger"}
    for moment in moments:
        judged = judged_at(policy, moment)
        if judged.held and judged.held[0].trigger.name in shadowed:
            verdict = next(one for one in judged.verdicts if one.name == judged.held[0].trigger.name)
            assert verdict.error is not None


def named(policy: Policy, place: str) -> str:
    return policy.trigger[int(place.split("[")[1].split("]")[0])].name


@given(policy=policies(CONDITION), moments=MOMENTS)
@BRIEF
def test_what_is_called_dead_never_holds(policy: Policy, moments: list[tuple[Conversation, Event]]) -> None:
    check_dead(policy, moments)


@given(policy=policies(NARROW), moments=MOMENTS)
@BRIEF
def test_what_is_called_shadowed_is_never_first(policy: Policy, moments: list[tuple[Conversation, Event]]) -> None:
    check_shadowed(policy, moments)


@given(policy=policies(CONDITION), moments=MOMENTS)
@BRIEF
def test_what_is_called_shadowed_is_never_first_whatever_it_reads(
    policy: Policy, moments: list[tuple[Conversation, Event]]
) -> None:
    check_shadowed(policy, moments)


def back_with_the_ai() -> Talk:
    """A conversation that an agent gave back, with an action to run again, while the cool-down runs."""
    talk = Talk(Policy())
    talk.turn(1, failed_action=FailedAction(name="act", error_code="E1"))
    talk.accept(5)
    talk.do(ReturnedToAi, 10, agent="a1")
    assert talk.now.contract is not None
    assert talk.now.contract.failed_action is not None
    return talk


RETURNED = back_with_the_ai()


@given(policy=policies(NARROW), failed=FAILED, confidence=maybe(0.2, 0.5, 0.9))
@BRIEF
def test_what_is_called_shadowed_is_not_first_during_the_cool_down_either(
    policy: Policy, failed: FailedAction | None, confidence: float | None
) -> None:
    event = AiTurn(conversation="c-1", at=at(20), failed_action=failed, confidence=confidence)
    check_shadowed(policy, [(RETURNED.now, event)])


def test_a_repeated_failure_is_first_during_the_cool_down_where_an_earlier_trigger_is_held_back() -> None:
    unsure, failing = leaf("confidence_below", 0.9), Group("all", (leaf("confidence_below", 0.5), leaf("failed_action", True)))
    policy = policy_of(unsure, failing)
    assert lint(policy) == ()
    event = AiTurn(conversation="c-1", at=at(20), failed_action=FailedAction(name="act"), confidence=0.1)
    assert [one.trigger.name for one in judged_at(policy, (RETURNED.now, event)).held] == ["t1"]

    without = Policy(trigger=policy.trigger, resume=ResumeRules(cooldown_s=0))
    assert [one.rule for one in lint(without)] == ["shadowed_trigger"]
    explicit = Policy(trigger=(Trigger(name="t0", when=unsure, explicit=True), policy.trigger[1]))
    assert [one.rule for one in lint(explicit)] == ["shadowed_trigger"]


# --- the search misses nothing


GRID_LEAF = st.one_of(
    st.sampled_from([0.0, 0.3, 0.6, 1.0]).map(lambda v: leaf("confidence_below", v)),
    st.sampled_from([["person"], ["real person"], ["agent"]]).map(lambda v: leaf("customer_says", v)),
    st.sampled_from([{"at_least": 5}, {"below": 3}, {"equals": "7"}, {"present": False}]).map(
        lambda v: leaf("entity", {"name": "n", **v})
    ),
    st.sampled_from([0, 30]).map(lambda v: leaf("frustration_within_s", v)),
    st.sampled_from([-20, 0, 20]).map(lambda v: leaf("frustration_before_service", {"margin_s": v})),
    st.sampled_from([0, 40]).map(lambda v: leaf("queue_wait_at_least_s", v)),
)
GRID = st.recursive(
    GRID_LEAF,
    lambda inner: st.builds(Group, st.sampled_from(["all", "any", "none"]), st.lists(inner, min_size=1, max_size=3).map(tuple)),
    max_leaves=4,
)
SAYINGS = [(), ("person",), ("real person",), ("agent",), ("agent", "person"), ("agent", "real person")]
TIMES = [None, 0.0, 5.0, 10.0, 19.0, 20.0, 25.0, 30.0, 35.0, 40.0, 50.0, 60.0, 70.0]


def everything(conditions: list[Condition]) -> list[tuple[Conversation, Event]]:
    """Every combination of values of the facts that the conditions read, and the silence and a message beside the turn."""
    kinds = {one.kind for condition in conditions for one in leaves_of(condition)}

    def read(*names: str) -> bool:
        return any(kind.startswith(names) for kind in kinds)

    confidences = [None, 0.0, 0.2, 0.3, 0.5, 0.6, 0.9, 1.0] if read("confidence") else [None]
    entities: list[dict[str, Any]] = [{}, *({"n": one} for one in (2, 4, 7, "7", "zz"))] if read("entity") else [{}]
    frustrations = TIMES if read("frustration") else [None]
    etas = TIMES if read("queue", "frustration_before") else [None]
    start = Talk(Policy()).now
    found: list[tuple[Conversation, Event]] = []
    for said, known in itertools.product(SAYINGS if read("customer_says") else [()], entities):
        now = evolve(start, heard=said, entities=known)
        for eta in etas:
            seen = Observed(queues={"default": QueueFacts(eta_s=eta)})
            found.append((now, CustomerMessage(conversation="c-1", at=START, text="", observed=seen)))
            found.append((now, TimerFired(conversation="c-1", at=START, timer="ai_reply", generation=1, observed=seen)))
            for confidence, seconds in itertools.product(confidences, frustrations):
                prediction = Prediction(time_to_frustration_s=seconds)
                turn = AiTurn(conversation="c-1", at=START, confidence=confidence, prediction=prediction, observed=seen)
                found.append((now, turn))
    return found


@given(condition=GRID, missing=st.sampled_from(["fails", "holds"]))
@settings(max_examples=60)
def test_the_search_agrees_with_trying_everything(condition: Condition, missing: Any) -> None:
    policy = policy_of(condition, when_missing=missing)
    held = False
    for moment in everything([condition]):
        (verdict,) = judged_at(policy, moment).verdicts
        held = held or (verdict.holds is True and verdict.error is None)
        if held:
            break
    assert can_hold(condition, when_missing=missing) is held


@given(first=GRID, second=GRID)
@settings(max_examples=40)
def test_the_search_for_one_without_the_other_agrees_with_trying_everything(first: Condition, second: Condition) -> None:
    policy = policy_of(first, second, explicit=False)
    one, other = map(claim_of, plan_of(policy))
    found = any(
        a.holds is True and b.holds is not True and a.error is None and b.error is None
        for a, b in (judged_at(policy, moment).verdicts for moment in everything([first, second]))
    )
    assert isinstance(satisfiable([one], [other]), Witness) is found


def test_a_search_that_grows_too_large_concludes_nothing() -> None:
    condition = Group("all", tuple(leaf("intent", word) for word in "ab"))
    (trial,) = plan_of(policy_of(condition))
    assert satisfiable([claim_of(trial)]) is None
    assert satisfiable([claim_of(trial)], budget=0) is UNDECIDED


def test_a_region_is_found_though_another_moment_was_too_large() -> None:
    (trial,) = plan_of(policy_of(leaf("elapsed_at_least_s", 0)))
    assert satisfiable([claim_of(trial)], moments=(Moment.MESSAGE,), budget=1) == Witness(Moment.MESSAGE, ())
    assert Witness(Moment.MESSAGE, ()).in_words() == "on a customer's message"


def test_phrases_of_too_many_combinations_are_left_undecided() -> None:
    conditions = [leaf("choice_in", [f"c{index}"]) for index in range(10)]
    (trial,) = plan_of(policy_of(Group("all", (*conditions, Group("none", (conditions[0],))))))
    assert satisfiable([claim_of(trial)]) is UNDECIDED
    assert lint(policy_of(Group("all", (*conditions, Group("none", (conditions[0],)))))) == ()


# --- facts


def test_every_condition_says_what_it_reads() -> None:
    for kind, value in EXAMPLES.items():
        one = leaf(kind, value)
        for moment in Moment:
            keys = facts_read(one, "q", moment)
            assert bool(keys) is not (moment is Moment.MESSAGE and LEAVES[kind].reads == "turn")
            for key in keys:
                assert values_of(key, [(one, "q")], moment)
    assert set(EXAMPLES) == set(LEAVES)


EXAMPLES: dict[str, Any] = {
    "intent": "a",
    "intent_in": ["a"],
    "confidence_below": 0.5,
    "sentiment_below": 0,
    "sentiment_trend_below": 0,
    "misses_at_least": 2,
    "failed_action": True,
    "error_code_in": ["E"],
    "wants_handoff": True,
    "customer_says": ["person"],
    "choice_in": ["x"],
    "reply_says": ["moment"],
    "entity": {"name": "n", "at_least": 1},
    "attribute": {"name": "n", "below": 1},
    "customer_tier_in": ["gold"],
    "lifetime_value_at_least": 5,
    "customer_identified": True,
    "channel_in": ["web"],
    "locale_in": ["de"],
    "turns_at_least": 2,
    "elapsed_at_least_s": 5,
    "frustration_within_s": 5,
    "frustration_before_service": {"margin_s": 5},
    "queue_wait_at_least_s": 5,
    "queue_open": True,
    "agents_available_at_least": 1,
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_each_condition_alone_can_hold_and_can_fail(kind: str) -> None:
    one = leaf(kind, EXAMPLES[kind])
    assert can_hold(one)
    assert can_hold(Group("none", (one,)))


@pytest.mark.parametrize("high", [1e308, -1e308, 1e17])
def test_numbers_at_the_end_of_what_a_float_can_say(high: float) -> None:
    at_least, more = leaf("lifetime_value_at_least", high), leaf("entity", {"name": "n", "below": high})
    assert can_hold(Group("all", (at_least, more)))
    assert can_hold(Group("none", (at_least, more)))
    assert not can_hold(Group("all", (at_least, Group("none", (at_least,)))))


def test_values_at_which_a_condition_cannot_be_evaluated_are_left_out() -> None:
    number, word = leaf("entity", {"name": "n", "at_least": 5}), leaf("entity", {"name": "n", "equals": "many"})
    assert not can_hold(Group("all", (number, word)))
    digits = leaf("entity", {"name": "n", "equals": "7"})
    assert can_hold(Group("all", (number, digits)))
    assert not can_hold(Group("all", (leaf("entity", {"name": "n", "at_least": 8}), digits)))
    assert can_hold(Group("any", (number, word)))


def test_a_mentioned_word_is_not_taken_for_another() -> None:
    words = [leaf("intent_in", ["something_else", "a"]), leaf("intent_in", ["something_else_"])]
    assert can_hold(Group("none", tuple(words)))


@pytest.mark.parametrize(
    ("first", "second", "both"),
    [
        # saying the longer phrase says the shorter one too, at word boundaries and case-folded
        (["real person"], ["person"], False),
        (["Real  PERSON"], ["real person"], False),
        (["personal"], ["person"], True),
        (["转人工服务"], ["人工"], False),
        (["person"], ["real person"], True),
    ],
)
@pytest.mark.parametrize("kind", ["customer_says", "reply_says"])
def test_a_phrase_says_what_it_contains(kind: str, first: list[str], second: list[str], both: bool) -> None:
    condition = Group("all", (leaf(kind, first), Group("none", (leaf(kind, second),))))
    assert can_hold(condition) is both


def test_several_things_may_be_said_or_one_alone() -> None:
    condition = Group("all", (leaf("customer_says", ["person"]), leaf("customer_says", ["bill"])))
    (trial,) = plan_of(policy_of(condition))
    found = satisfiable([claim_of(trial)])
    assert isinstance(found, Witness)
    assert found.in_words() == "customer says “bill” and “person”"
    assert satisfiable([claim_of(trial)], several_at_once=False) is None


@pytest.mark.parametrize(
    ("within", "wait", "margin", "possible"),
    [
        # frustration at least `within`, wait below `wait`, and frustration below wait and margin
        (50, 40, 10, False),
        (50, 40, 10.5, True),
        (39, 40, 0, True),
        (40, 40, 0, False),
        (5, 40, -36, False),
        (5, 40, -34, True),
    ],
)
def test_frustration_and_wait_are_reasoned_about_together(within: float, wait: float, margin: float, possible: bool) -> None:
    before = leaf("frustration_before_service", {"margin_s": margin})
    fails = Group("none", (leaf("frustration_within_s", within), leaf("queue_wait_at_least_s", wait)))
    assert can_hold(Group("all", (before, fails))) is possible


@pytest.mark.parametrize(
    ("condition", "missing", "possible"),
    [
        # in silence a miss is counted, and the turn's values are absent
        (Group("all", (Leaf("misses_at_least", 1), Group("none", (Leaf("turns_at_least", 1),)))), "fails", True),
        (Group("all", (Leaf("confidence_below", 0.5), Group("none", (Leaf("turns_at_least", 1),)))), "fails", False),
        # what is missing counts on an AI's turn only, where there is a turn to count
        (Group("all", (Leaf("confidence_below", 0.0), Group("none", (Leaf("turns_at_least", 1),)))), "holds", False),
        (Leaf("confidence_below", 0.0), "holds", True),
        # the trend is known in silence too
        (Group("all", (Leaf("sentiment_trend_below", 0.0), Group("none", (Leaf("turns_at_least", 1),)))), "fails", True),
    ],
)
def test_moments_are_told_apart(condition: Condition, missing: Any, possible: bool) -> None:
    assert can_hold(condition, when_missing=missing) is possible


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (("confidence",), 0.4, "confidence 0.4"),
        (("confidence",), None, "confidence unknown"),
        (("elapsed",), 90.0, "time with the AI 1 min 30 s"),
        (("intent",), "refund", "intent refund"),
        (("entity", "amount"), True, "entity amount true"),
        (("entity", "amount"), False, "entity amount false"),
        (("failure",), None, "no action failed"),
        (("failure",), "", "an action failed without a code"),
        (("failure",), "E1", "an action failed with E1"),
        (("open", "q"), False, "the queue is closed"),
        (("open", "q"), None, "open unknown"),
        (("wish",), True, "the AI asks for a person"),
        (("pressed",), ("x", "y"), "customer presses “x” and “y”"),
        (("said",), (), "customer says none of the phrases"),
    ],
)
def test_values_are_said_in_words(key: tuple[str, ...], value: Any, words: str) -> None:
    assert in_words(key, value) == words


@given(policy=policies(CONDITION))
@settings(max_examples=60)
def test_linting_is_the_same_for_the_policy_read_again(policy: Policy) -> None:
    assert lint(policy_from_data(policy_to_data(policy))) == lint(policy)


def test_the_steepest_trend_is_that_of_three_turns() -> None:
    ends = (-1.0, 0.0, 1.0, None)
    slopes = [one for n in (3, 4, 5) for values in itertools.product(ends, repeat=n) if (one := slope(values)) is not None]
    assert (min(slopes), max(slopes)) == (-1, 1)
