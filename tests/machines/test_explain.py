"""Decisions in sentences: each leaf with its numbers, each event, each state, each refusal."""

from typing import Any

import attrs
import pytest
from machines_build import DEFAULT, START, Talk, at, policy

from handoff_kit.machines import (
    EVENTS,
    Action,
    Actor,
    AgentAssigned,
    AgentFinished,
    AgentLost,
    AgentMessage,
    AgentParked,
    AiTurn,
    Closed,
    ContextReady,
    ConversationStarted,
    Customer,
    CustomerMessage,
    Deferred,
    DeliveryFailed,
    DraftProposed,
    DraftResolved,
    Event,
    FailedAction,
    Feedback,
    HandoffRequested,
    HandoffWithdrawn,
    Observed,
    OfferAccepted,
    OfferMade,
    Offloaded,
    PresenceChanged,
    QueueFacts,
    Reclaimed,
    ReturnedToAi,
    State,
    Step,
    TicketFailed,
    TicketOpened,
    TimerFired,
    TransferRequested,
    Verdict,
    step,
)
from handoff_kit.machines.conditions import LEAVES
from handoff_kit.machines.explain import (
    _TIMERS_IN_WORDS,
    STATES_IN_WORDS,
    account_of,
    closest,
    leaf_in_words,
    trigger_in_words,
)
from handoff_kit.machines.timers import TIMERS
from handoff_kit.machines.triggers import plan_of

# --- leaves


def leaf(name: str, holds: bool | None, value: Any = None, threshold: Any = None, margin: float | None = None) -> Verdict:
    return Verdict(name, holds, value, threshold, margin)


AMOUNT = {"name": "amount", "at_least": 1000.0}
SMALL = {"name": "amount", "below": 10.0}

IN_WORDS: list[tuple[Verdict, str]] = [
    (leaf("intent", True, "x", "x"), "the intent is x"),
    (leaf("intent", False, "y", "x"), "the intent is y, not x"),
    (leaf("intent", None, None, "x"), "the intent is not known"),
    (leaf("intent_in", True, "x", ["x", "y"]), "the intent x is one of x, y"),
    (leaf("intent_in", False, "z", ["x", "y"]), "the intent z is not one of x, y"),
    (leaf("confidence_below", True, 0.5, 0.8, 0.3), "confidence 0.5 is below 0.8 (by 0.3)"),
    (leaf("confidence_below", False, 0.9, 0.8, -0.1), "confidence 0.9 is not below 0.8 (by 0.1)"),
    (leaf("confidence_below", None, None, 0.8), "confidence is not known"),
    (leaf("sentiment_below", True, -0.5, -0.3, 0.2), "sentiment -0.5 is below -0.3 (by 0.2)"),
    (leaf("sentiment_trend_below", True, -0.4, -0.2, 0.2), "the sentiment's slope per turn -0.4 is below -0.2 (by 0.2)"),
    (leaf("misses_at_least", True, 3, 2, 1), "misses in a row 3 is at least 2 (by 1)"),
    (leaf("misses_at_least", False, 1, 2, -1), "misses in a row 1 is under 2 (by 1)"),
    (leaf("failed_action", True, True, True), "an action of the AI failed"),
    (leaf("failed_action", True, False, False), "no action of the AI failed"),
    (leaf("failed_action", None, None, True), "failed_action is not known"),
    (leaf("error_code_in", True, "E1", ["E1"]), "the error code E1 is one of E1"),
    (leaf("error_code_in", False, None, ["E1", "E2"]), "the error code (none) is not one of E1, E2"),
    (leaf("wants_handoff", True, True, True), "the AI itself asks for a person"),
    (leaf("wants_handoff", False, False, True), "the AI does not ask for a person"),
    (leaf("customer_says", True, "human"), "the customer said “human”"),
    (leaf("customer_says", False), "the customer said none of the phrases"),
    (leaf("choice_in", True, "b1"), "the customer chose “b1”"),
    (leaf("choice_in", False), "the customer chose none of the buttons"),
    (leaf("reply_says", True, "a colleague"), "the AI's reply said “a colleague”"),
    (leaf("reply_says", False), "the AI's reply said none of the phrases"),
    (leaf("entity", True, 1500, AMOUNT, 500.0), "entity amount 1500 is at least 1000 (by 500)"),
    (leaf("entity", False, 999.5, AMOUNT, -0.5), "entity amount 999.5 is under 1000 (by 0.5)"),
    (leaf("entity", True, 5, SMALL, 5.0), "entity amount 5 is below 10 (by 5)"),
    (leaf("entity", False, 50, SMALL, -40.0), "entity amount 50 is not below 10 (by 40)"),
    (leaf("entity", None, None, AMOUNT), "entity amount is not known"),
    (leaf("entity", True, "x", {"name": "k", "present": True}), "entity k is known"),
    (leaf("entity", False, None, {"name": "k", "present": True}), "entity k is not known"),
    (leaf("entity", True, "EUR", {"name": "k", "equals": "EUR"}), "entity k EUR is EUR"),
    (leaf("entity", False, True, {"name": "k", "equals": False}), "entity k yes is not no"),
    (leaf("entity", True, "a", {"name": "k", "in": ["a", 5.0]}), "entity k a is one of a, 5"),
    (leaf("attribute", True, 8, {"name": "severity", "at_least": 7.0}, 1.0), "attribute severity 8 is at least 7 (by 1)"),
    (leaf("customer_tier_in", True, "gold", ["gold"]), "the customer's tier gold is one of gold"),
    (leaf("lifetime_value_at_least", True, 6000.0, 5000.0, 1000.0), "lifetime value 6000 is at least 5000 (by 1000)"),
    (leaf("customer_identified", True, True, True), "the customer is identified"),
    (leaf("customer_identified", False, False, True), "the customer is not identified"),
    (leaf("channel_in", True, "web", ["web", "sms"]), "the channel web is one of web, sms"),
    (leaf("locale_in", False, "fr", ["de"]), "the locale fr is not one of de"),
    (leaf("turns_at_least", True, 12, 12, 0), "AI turns 12 is at least 12 (by 0)"),
    (
        leaf("elapsed_at_least_s", True, 700.25, 600.0, 100.25),
        "seconds since the stretch began 700.25 is at least 600 (by 100.25)",
    ),
    (leaf("frustration_within_s", True, 60.0, 120.0, 60.0), "predicted seconds to frustration 60 is below 120 (by 60)"),
    (
        leaf("frustration_before_service", False, 400.0, 330.0, -70.0),
        "predicted seconds to frustration 400 is not below 330 (by 70)",
    ),
    (leaf("queue_wait_at_least_s", True, 400.0, 300.0, 100.0), "estimated wait in seconds 400 is at least 300 (by 100)"),
    (leaf("queue_open", True, True, True), "the queue is open"),
    (leaf("queue_open", True, False, False), "the queue is closed"),
    (leaf("queue_open", None, None, True), "queue_open is not known"),
    (leaf("agents_available_at_least", False, 0, 1, -1), "agents available 0 is under 1 (by 1)"),
]


@pytest.mark.parametrize(("verdict", "words"), IN_WORDS)
def test_a_leaf_in_words(verdict: Verdict, words: str) -> None:
    assert leaf_in_words(verdict) == words


def test_every_kind_of_leaf_has_words() -> None:
    assert {verdict.name for verdict, _ in IN_WORDS} == set(LEAVES)


def test_a_broken_leaf_says_what_went_wrong() -> None:
    assert leaf_in_words(Verdict("entity", None, "x", error="'x' is not a number")) == (
        "entity could not be evaluated: 'x' is not a number"
    )


def test_numbers_are_rounded_to_three_decimals() -> None:
    assert leaf_in_words(leaf("confidence_below", True, 0.123456, 0.8, 0.676544)) == "confidence 0.123 is below 0.8 (by 0.677)"


def test_a_number_next_to_nothing_has_no_sign() -> None:
    assert leaf_in_words(leaf("sentiment_below", True, -0.0001, 0.5, 0.5001)) == "sentiment 0 is below 0.5 (by 0.5)"


# --- triggers


def test_a_trigger_that_holds_tells_the_conditions_that_hold() -> None:
    both = (leaf("confidence_below", True, 0.5, 0.8, 0.3), leaf("intent", False, "y", "x"))
    assert trigger_in_words(Verdict("t", True, leaves=both)) == "confidence 0.5 is below 0.8 (by 0.3)"


def test_a_trigger_that_fails_tells_the_conditions_that_fail() -> None:
    both = (leaf("confidence_below", True, 0.5, 0.8, 0.3), leaf("intent", False, "y", "x"))
    assert trigger_in_words(Verdict("t", False, leaves=both)) == "the intent is y, not x"


def test_a_trigger_that_no_single_condition_decides_tells_all() -> None:
    both = (leaf("intent", False, "y", "x"), leaf("wants_handoff", False, False, True))
    assert trigger_in_words(Verdict("t", True, leaves=both)) == "the intent is y, not x; the AI does not ask for a person"


def test_a_recorded_trigger_without_conditions_says_so() -> None:
    assert trigger_in_words(Verdict("t", True)) == "the recorded verdict says so"


# --- events


def words_of(event: Event) -> str:
    """The sentence of an event, told by a step that it was refused in."""
    talk = Talk()
    return account_of(talk.policy, Step(talk.now, event, talk.now)).what


A = {"conversation": "c-1", "at": START, "agent": "a1"}
C = {"conversation": "c-1", "at": START}

SENTENCES: list[tuple[Event, str]] = [
    (ConversationStarted(**C, channel="web", customer=Customer(id="x")), "The conversation began on web with customer x."),
    (
        ConversationStarted(**C, channel="web", customer=Customer(id="x", tier="gold"), previous="c-0"),
        "The conversation began on web with customer x, tier gold; it continues c-0.",
    ),
    (CustomerMessage(**C, text="  hi\n there "), "The customer wrote: “hi there”."),
    (CustomerMessage(**C, text="hi", choice="b1"), "The customer wrote: “hi”. [chose b1]"),
    (AiTurn(**C), "The AI has no reply."),
    (
        AiTurn(
            **C,
            reply="Yes.",
            intent="x",
            confidence=0.5,
            sentiment=-0.25,
            missed=True,
            failed_action=FailedAction(name="export", error_code="E1"),
            wants_handoff=True,
            wants_close=True,
        ),
        "The AI proposes: “Yes.” [intent x; confidence 0.5; sentiment -0.25; it did not understand; "
        "its action export failed (E1); it asks for a person; it says that it is done]",
    ),
    (AiTurn(**C, failed_action=FailedAction(name="export")), "The AI has no reply. [its action export failed]"),
    (HandoffRequested(**C), "A person was requested by customer."),
    (HandoffRequested(**C, by="ai", reason="stuck"), "A person was requested by ai: stuck."),
    (HandoffRequested(**C, actor=Actor(kind="api")), "A person was requested by api."),
    (HandoffWithdrawn(**C, reason="solved"), "Handoff withdrawn: solved."),
    (OfferMade(**A, offer=3), "Offer 3 to a1: made."),
    (OfferAccepted(**A, offer=3), "Offer 3 to a1: accepted."),
    (AgentMessage(**A, text="hello"), "Agent a1 wrote: “hello”."),
    (AgentMessage(**A, text="hm", audience="internal"), "Agent a1 noted for colleagues: “hm”."),
    (AgentAssigned(**A), "Agent a1 was assigned by somebody."),
    (AgentAssigned(**A, by="router"), "Agent a1 was assigned by router."),
    (AgentParked(**A, waiting_for="third_party"), "Agent a1 parked it, waiting for the third party."),
    (AgentLost(**A, reason="heartbeat"), "Agent lost (a1): heartbeat."),
    (ReturnedToAi(**A), "Agent a1 gave it back to the AI."),
    (
        ReturnedToAi(**A, instruction="re-run it", facts={"granted": True, "limit": 2.5}),
        "Agent a1 gave it back to the AI: “re-run it”. [granted = yes, limit = 2.5]",
    ),
    (TransferRequested(**A), "Agent a1 asked for a transfer."),
    (TransferRequested(**A, note="cards"), "Agent a1 asked for a transfer: “cards”."),
    (DraftProposed(**C, draft=1, text="Yes."), "The AI drafted: “Yes.”"),
    (DraftResolved(**A, draft=1, resolution="edited"), "Agent a1: draft 1 edited."),
    (TimerFired(**C, timer="odd"), "A timer fired. [timer odd]"),
    (Deferred(**C, kind="callback", reason="none_available"), "A callback is promised: none available."),
    (TicketOpened(**C, desk="d", ticket="t-1"), "d opened ticket t-1."),
    (TicketOpened(**C, desk="d"), "d opened ticket (without a number)."),
    (TicketFailed(**C, desk="d", error={"code": 5}), "d could not open a ticket (code 5)."),
    (DeliveryFailed(**C, effect="e-1", error=["a", 1]), "Effect e-1 was not delivered (a, 1)."),
    (Feedback(**C, csat=4), "The customer rated it 4."),
    (Feedback(**C), "The customer rated it without a number."),
    (Closed(**C), "The conversation was closed: other."),
    (Closed(**C, reason="spam"), "The conversation was closed: spam."),
    (Offloaded(**C), "Offloaded."),
    (AgentFinished(**A), "Agent finished (a1)."),
    (PresenceChanged(**A), "Presence changed (a1)."),
]


@pytest.mark.parametrize(("event", "sentence"), SENTENCES, ids=lambda value: getattr(value, "type", None))
def test_an_event_in_words(event: Event, sentence: str) -> None:
    assert words_of(event) == sentence


@pytest.mark.parametrize("cls", [TicketFailed, DeliveryFailed])
def test_an_error_that_nobody_told_is_not_called_none(cls: type[Event]) -> None:
    event = cls(**C, **({"desk": "d"} if cls is TicketFailed else {"effect": "e-1"}))
    assert "None" not in words_of(event)


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_every_event_has_words(name: str) -> None:
    cls = EVENTS[name]
    filler: dict[str, Any] = {
        "customer": Customer(id="x"),
        "kind": "ticket",
        "offer": 1,
        "reason": "closed",
        "resolution": "accepted",
    }
    given = {field.name: filler.get(field.name, "x") for field in attrs.fields(cls) if field.default is attrs.NOTHING}
    sentence = words_of(cls(conversation="c-1", at=START, **given))
    assert sentence.partition(" [")[0].endswith((".", "”"))
    assert sentence[0].isupper() or sentence.startswith("x ")
    assert "_" not in sentence


@pytest.mark.parametrize("name", TIMERS)
def test_every_timer_has_words(name: str) -> None:
    sentence = words_of(TimerFired(conversation="c-1", at=START, timer=name))
    assert sentence == f"{_TIMERS_IN_WORDS[name]} [timer {name}]"
    assert _TIMERS_IN_WORDS[name].endswith(".")


def test_every_state_has_words() -> None:
    assert set(STATES_IN_WORDS) == set(State)


def test_a_long_text_is_cut() -> None:
    assert words_of(CustomerMessage(**C, text="x" * 140)) == f"The customer wrote: “{'x' * 140}”."
    assert words_of(CustomerMessage(**C, text="x" * 141)) == f"The customer wrote: “{'x' * 139}…”"


# --- decisions


def told(talk: Talk) -> tuple[str, ...]:
    return account_of(talk.policy, talk.steps[-1]).decision


def test_the_first_event_decides_nothing() -> None:
    assert told(Talk()) == ()


def test_an_account_has_the_time_of_its_step() -> None:
    talk = Talk()
    assert account_of(talk.policy, talk.turn(7)).at == at(7)


def test_a_late_event_has_the_time_that_it_was_taken_as() -> None:
    talk = Talk()
    talk.turn(7)
    assert account_of(talk.policy, talk.turn(5)).at == at(7)


def test_a_handoff_is_told_with_trigger_reasons_and_the_withheld_reply() -> None:
    talk = Talk(policy(DEFAULT))
    talk.turn(1, confidence=0.5, reply="Maybe.")
    assert told(talk) == (
        "bot_active → escalation_pending: it is being handed over.",
        "Trigger unsure holds: confidence 0.5 is below 0.8 (by 0.3).",
        "Reasons that the person is told: low_confidence (queue default, priority 5).",
        "The AI's reply was withheld.",
    )


def test_a_turn_that_moves_nothing_tells_nothing() -> None:
    talk = Talk()
    talk.turn(1, confidence=0.95, reply="Hello.")
    assert told(talk) == ()


def test_a_trigger_that_was_held_back_says_for_how_long() -> None:
    talk = Talk()
    talk.accept(1)
    talk.do(ReturnedToAi, 100, agent="a1")
    talk.turn(130, confidence=0.5)
    assert told(talk)[0] == "Trigger unsure held but was held back: the cool-down runs for another 90 s."


def test_a_broken_trigger_says_what_broke() -> None:
    talk = Talk(policy("[[trigger]]\nname='big'\nwhen={ entity={ name='n', at_least=1 } }"))
    talk.turn(1, entities={"n": "lots"})
    assert told(talk)[1] == "Trigger big could not be evaluated ('lots' is not a number), so a person takes over."


def test_the_new_owner_is_named() -> None:
    talk = Talk()
    talk.accept(1)
    assert told(talk)[0] == "queued → agent_active: an agent holds the conversation (a1)."


def test_effects_that_people_ask_about_are_told() -> None:
    talk = Talk()
    talk.queue(1)
    lines = told(talk)
    assert "A ticket is asked for (queue default; fields: 4 sent)." in lines
    assert any(line.startswith("The system tells the customer: “I am connecting you") for line in lines)


def test_what_is_withheld_from_the_desk_is_counted() -> None:
    talk = Talk(policy('[[destination]]\nname = "default"\nfields = ["channel"]'))
    talk.queue(1)
    assert "A ticket is asked for (queue default; fields: 1 sent, 4 withheld)." in told(talk)


def test_an_offer_that_rings_is_told() -> None:
    talk = Talk()
    talk.queue(1)
    talk.do(OfferMade, 2, agent="a1", offer=1)
    assert told(talk) == ("It rings at a1.",)


def test_what_the_agent_says_is_not_told_twice() -> None:
    talk = Talk()
    talk.accept(1)
    talk.do(AgentMessage, 2, agent="a1", text="hello")
    assert told(talk) == ()


def test_a_supervisor_who_is_told_is_told_of() -> None:
    talk = Talk()
    talk.queue(1)
    talk.do(TicketFailed, 2, desk="d", error="no")
    assert told(talk) == ("A supervisor is told: ticket failed.",)


def test_the_way_back_to_the_ai_names_what_it_may_re_run() -> None:
    talk = Talk(policy(""))
    talk.turn(1, failed_action=FailedAction(name="export"))
    talk.accept(2)
    talk.do(ReturnedToAi, 3, agent="a1")
    assert "The AI gets the floor back, and may re-run export." in told(talk)


def test_an_offload_re_runs_nothing() -> None:
    talk = Talk(policy(""))
    talk.turn(1, failed_action=FailedAction(name="export"))
    talk.do(HandoffRequested, 2, by="ai")
    talk.queue(3)
    talk.do(Offloaded, 4)
    assert "The AI gets the floor back." in told(talk)


def test_an_item_that_is_reclaimed_kept_its_place() -> None:
    talk = Talk(policy(""))
    talk.do(HandoffRequested, 2, by="ai")
    talk.queue(3)
    talk.do(Offloaded, 4)
    talk.do(Reclaimed, 5)
    assert "It kept its place in line." in told(talk)


def test_a_closed_queue_is_given_as_the_reason() -> None:
    talk = Talk()
    talk.escalate(1)
    talk.do(ContextReady, 2, observed=Observed(queues={"default": QueueFacts(open=False)}))
    assert "No person is possible now: the queue is closed, or nobody is available." in told(talk)


def test_an_ai_that_is_done_is_given_as_the_reason() -> None:
    talk = Talk()
    talk.turn(1, wants_close=True, confidence=0.9)
    assert "The AI says that it is done." in told(talk)


def test_a_ticket_that_is_closed_is_told() -> None:
    talk = Talk()
    talk.queue(1)
    talk.do(TicketOpened, 2, desk="d", ticket="t-7")
    talk.do(Closed, 3, reason="spam")
    assert "The ticket t-7 is closed (spam)." in told(talk)


def test_reasons_that_did_not_change_are_not_told_again() -> None:
    talk = Talk()
    talk.queue(1)
    talk.do(OfferMade, 2, agent="a1", offer=1)
    assert not any("Reasons" in line for line in told(talk))


def test_a_handoff_without_reasons_tells_none() -> None:
    talk = Talk()
    talk.do(AgentMessage, 1, agent="a1", text="I take this")
    assert not any("Reasons" in line for line in told(talk))


# --- refusals


def test_a_refusal_is_told_with_its_sentence_and_facts() -> None:
    talk = Talk()
    talk.accept(1)
    account = account_of(talk.policy, talk.do(AgentMessage, 5, agent="a2", text="me"))
    assert account.at == at(5)
    assert account.decision == (
        "Refused (not_owner): Only the owner of the conversation may do this, and somebody else holds it. It is with agent a1.",
    )


@pytest.mark.parametrize(
    ("lead", "event", "owner"),
    [
        ("closed", AiTurn(**C, epoch=0, reply="x"), "It is with nobody."),
        ("queue", AiTurn(**C, epoch=1, reply="x"), "It is with the system, since the customer waits for a person."),
        ("start", OfferAccepted(**A, offer=9), "It is with the AI."),
    ],
)
def test_a_refusal_says_with_whom_the_conversation_is(lead: str, event: Event, owner: str) -> None:
    talk = Talk()
    if lead == "queue":
        talk.queue(1)
    if lead == "closed":
        talk.do(Closed, 1)
    (line,) = account_of(talk.policy, talk.take(attrs.evolve(event, at=at(5)))).decision
    assert line.endswith(owner)


def test_a_refusal_with_other_facts_lists_them() -> None:
    talk = Talk()
    account = account_of(talk.policy, talk.do(TimerFired, 5, timer="queue", generation=2))
    assert account.decision == (
        "Refused (stale_timer): That timer is no longer owed, or not yet due. [timer queue, generation 2]",
    )


def test_a_reply_that_was_sent_is_an_answer() -> None:
    talk = Talk()
    assert account_of(talk.policy, talk.turn(1, confidence=0.9, reply="Yes")).what == "The AI answers: “Yes”. [confidence 0.9]"


def test_context_that_came_is_told_with_its_summary() -> None:
    assert words_of(ContextReady(**C)) == "The context for the person is ready."
    assert words_of(ContextReady(**C, summary="a refund")) == "The context for the person is ready: “a refund”."


def test_a_refusal_without_facts_is_its_sentence() -> None:
    talk = Talk(policy("[ai]\nrequire_epoch = true"))
    account = account_of(talk.policy, talk.do(AiTurn, 5))
    assert account.decision == ("Refused (unfenced): The policy requires that every turn of the AI states its epoch.",)


def test_a_refused_event_keeps_its_own_time() -> None:
    talk = Talk()
    talk.accept(10)
    refused = step(talk.policy, talk.now, AgentMessage(conversation="c-1", at=at(5), agent="a2", text="me"))
    assert account_of(talk.policy, refused).at == at(5)


# --- what came closest


def test_the_closest_is_the_trigger_with_most_of_its_conditions() -> None:
    text = """
    [[trigger]]
    name = "near"
    when.all = [{ intent = "x" }, { confidence_below = 0.5 }]
    [[trigger]]
    name = "far"
    when.all = [{ intent = "y" }, { confidence_below = 0.5 }]
    """
    talk = Talk(policy(text))
    talk.turn(1, intent="x", confidence=0.9)
    found = closest(talk.steps)
    assert found is not None
    assert (found[0], found[1].name) == (talk.steps[-1], "near")


def test_among_equals_the_smallest_distance_counts() -> None:
    talk = Talk(policy("[[trigger]]\nname='t'\nwhen={ confidence_below=0.5 }"))
    for second, confidence in enumerate((0.9, 0.6, 0.8)):
        talk.turn(1 + second, confidence=confidence)
    found = closest(talk.steps)
    assert found is not None
    assert found[1].value == 0.6


def test_what_holds_or_has_nothing_in_it_is_not_close() -> None:
    talk = Talk()
    talk.turn(1, wants_handoff=True)
    assert closest(talk.steps) is None
    assert closest([]) is None


def test_a_plan_and_its_verdicts_have_the_same_names() -> None:
    talk = Talk()
    names = [trial.trigger.name for trial in plan_of(talk.policy)]
    assert [verdict.name for verdict in talk.turn(1, confidence=0.9).verdicts if verdict.leaves] == names


def test_what_the_ai_did_is_told_with_how_it_went() -> None:
    talk = Talk(policy(""))
    talk.turn(1, reply="Let me see.", actions=(Action(name="look_up", status="ok"), Action(name="refund")))
    assert account_of(talk.policy, talk.steps[-1]).what.endswith("[it did look_up (ok); it did refund]")
