"""What must be looked up before an event can be decided."""

from typing import Any

import pytest
from machines_build import Talk, at, policy

from handoff_kit.machines import (
    AgentFinished,
    AgentLost,
    AgentMessage,
    AiTurn,
    Closed,
    ContextReady,
    ConversationStarted,
    Customer,
    CustomerLeft,
    CustomerMessage,
    Deferred,
    Event,
    Needs,
    Observed,
    OfferDeclined,
    Prediction,
    QueueFacts,
    ReturnedToAi,
    TimerFired,
    needs,
)

PEEKS = """
[[trigger]]
name = "long_line"
queue = "q1"
when.any = [{ queue_wait_at_least_s = 300 }, { queue_open = false }]
[[trigger]]
name = "busy"
queue = "q2"
when = { agents_available_at_least = 2 }
[[trigger]]
name = "soon"
queue = "q1"
when = { none = [{ frustration_before_service = { margin_s = 30 } }] }
"""
PREDICTS = "[[trigger]]\nname = 't'\nwhen = { frustration_within_s = 60 }"
NOTHING = Needs()


def event(cls: type[Event], **fields: Any) -> Event:
    return cls(conversation="c-1", at=at(500), **fields)


SPOKEN: list[tuple[type[Event], dict[str, Any]]] = [
    (AiTurn, {}),
    (CustomerMessage, {"text": "x"}),
    (TimerFired, {"timer": "ai_reply"}),
]


@pytest.mark.parametrize(("cls", "fields"), SPOKEN)
def test_the_queues_of_triggers_that_read_one_each_once(cls: type[Event], fields: dict[str, Any]) -> None:
    talk = Talk(policy(PEEKS))
    assert needs(talk.policy, talk.now, event(cls, **fields)).queues == ("q1", "q2")


def test_the_resumed_ai_is_judged_too() -> None:
    talk = Talk(policy(PEEKS))
    talk.accept(1)
    talk.do(ReturnedToAi, 2, agent="a1")
    assert needs(talk.policy, talk.now, event(AiTurn)).queues == ("q1", "q2")


@pytest.mark.parametrize(
    ("cls", "fields"),
    [(CustomerLeft, {}), (TimerFired, {"timer": "bot_idle"}), (AgentMessage, {"agent": "a1", "text": "x"}), (Closed, {})],
)
def test_what_judges_no_trigger_needs_nothing(cls: type[Event], fields: dict[str, Any]) -> None:
    talk = Talk(policy(PEEKS))
    assert needs(talk.policy, talk.now, event(cls, **fields)) == NOTHING


@pytest.mark.parametrize(("cls", "fields"), SPOKEN)
def test_triggers_that_read_no_queue_need_none(cls: type[Event], fields: dict[str, Any]) -> None:
    talk = Talk()
    assert needs(talk.policy, talk.now, event(cls, **fields)) == NOTHING


def test_what_the_event_carries_already_is_left_out() -> None:
    talk = Talk(policy(PEEKS))
    seen = Observed(queues={"q1": QueueFacts(open=True)})
    assert needs(talk.policy, talk.now, event(AiTurn, observed=seen)).queues == ("q2",)


def test_a_prediction_is_needed_where_a_trigger_reads_one() -> None:
    talk = Talk(policy(PREDICTS))
    assert needs(talk.policy, talk.now, event(AiTurn)) == Needs(prediction=True)


def test_a_prediction_that_came_along_is_enough() -> None:
    talk = Talk(policy(PREDICTS))
    assert needs(talk.policy, talk.now, event(AiTurn, prediction=Prediction())) == NOTHING


@pytest.mark.parametrize(("cls", "fields"), SPOKEN[1:])
def test_only_a_turn_of_the_ai_is_predicted_upon(cls: type[Event], fields: dict[str, Any]) -> None:
    talk = Talk(policy(PREDICTS))
    assert not needs(talk.policy, talk.now, event(cls, **fields)).prediction


def test_frustration_before_service_needs_queue_and_prediction() -> None:
    talk = Talk(policy("[[trigger]]\nname='t'\nwhen = { frustration_before_service = { margin_s = 30 } }"))
    assert needs(talk.policy, talk.now, event(AiTurn)) == Needs(("default",), True)


def test_a_conversation_that_does_not_exist_needs_nothing() -> None:
    start = ConversationStarted(conversation="c-1", at=at(0), channel="web", customer=Customer(id="x"))
    assert needs(policy(PEEKS), None, start) == NOTHING


@pytest.mark.parametrize(
    ("cls", "fields", "queues"),
    [
        (ContextReady, {}, ("default",)),
        (TimerFired, {"timer": "context"}, ("default",)),
        (CustomerMessage, {"text": "x"}, ()),
        (TimerFired, {"timer": "customer_gone"}, ()),
    ],
)
def test_on_the_way_into_the_line_it_is_looked_at(cls: type[Event], fields: dict[str, Any], queues: tuple[str, ...]) -> None:
    talk = Talk()
    talk.escalate(1)
    assert needs(talk.policy, talk.now, event(cls, **fields)).queues == queues


@pytest.mark.parametrize("cls", [CustomerMessage, OfferDeclined])
def test_in_line_every_event_looks_at_it(cls: type[Event]) -> None:
    talk = Talk()
    talk.queue(1)
    fields: dict[str, Any] = {"text": "x"} if cls is CustomerMessage else {"agent": "a1", "offer": 1}
    assert needs(talk.policy, talk.now, event(cls, **fields)).queues == ("default",)


def test_a_promised_callback_looks_at_the_line() -> None:
    talk = Talk()
    talk.queue(1)
    talk.do(Deferred, 2, kind="callback", reason="none_available")
    assert needs(talk.policy, talk.now, event(TimerFired, timer="callback")).queues == ("default",)


@pytest.mark.parametrize(
    ("cls", "fields", "queues"),
    [
        (AgentLost, {"agent": "a1"}, ("default",)),
        (TimerFired, {"timer": "agent_silent"}, ("default",)),
        (TimerFired, {"timer": "customer_idle"}, ()),
        (AgentMessage, {"agent": "a1", "text": "x"}, ()),
    ],
)
def test_with_an_agent_only_the_way_back_into_the_line_counts(
    cls: type[Event], fields: dict[str, Any], queues: tuple[str, ...]
) -> None:
    talk = Talk()
    talk.accept(1)
    assert needs(talk.policy, talk.now, event(cls, **fields)).queues == queues


def test_after_the_conversation_nothing_is_looked_at() -> None:
    talk = Talk(policy(PEEKS))
    talk.accept(1)
    talk.do(AgentFinished, 2, agent="a1")
    assert needs(talk.policy, talk.now, event(CustomerMessage, text="x")) == NOTHING
    talk.do(Closed, 3)
    assert needs(talk.policy, talk.now, event(CustomerMessage, text="x")) == NOTHING
