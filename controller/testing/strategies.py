"""Hypothesis strategies for what may happen to a conversation: events of every kind, mostly such that they fit.

Hypothesis is needed here and nowhere else in this package, so import this module by its name:
`from handoff_kit.controller.testing import strategies`.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs
from hypothesis import strategies as st

from handoff_kit.machines import (
    EVENTS,
    Conversation,
    ConversationStarted,
    Customer,
    Event,
    Observed,
    Policy,
    QueueFacts,
    State,
    TimerFired,
)
from handoff_kit.machines.states import AI_STATES, WAITING_STATES
from handoff_kit.machines.timers import TIMERS

from .builders import Talk
from .clock import START

__all__ = ["AGENTS", "KINDS", "conversations", "next_event", "started_events", "timer_events"]

#: Agents who act where a test names none.
AGENTS = ("a1", "a2", "b1")

#: The types of events that may happen to a running conversation, without timers: those are the controller's.
KINDS = tuple(sorted(set(EVENTS) - {"conversation_started", "timer_fired"}))

_WITH_THE_AI = ("customer_message", "ai_turn", "handoff_requested", "agent_message")
_WAITING = ("context_ready", "ticket_opened", "offer_made", "offer_accepted", "customer_message", "ai_turn", "offloaded")
_WITH_AN_AGENT = ("agent_message", "customer_message", "returned_to_ai", "copilot_engaged", "agent_parked", "agent_finished")
_PASSED_ON = ("transfer_requested", "offer_made", "offer_accepted")
_DRAFTING = ("customer_message", "draft_proposed", "draft_resolved", "copilot_disengaged", "returned_to_ai")
_FITTING = {
    **dict.fromkeys(AI_STATES, _WITH_THE_AI),
    **dict.fromkeys(WAITING_STATES, _WAITING),
    State.AGENT_ACTIVE: _WITH_AN_AGENT + _PASSED_ON,
    State.COPILOT: _DRAFTING + _WITH_AN_AGENT,
    State.WRAP_UP: ("agent_wrapped", "customer_message", "feedback"),
    State.CLOSED: ("feedback",),
}

_LATER = (0, 1, 7, 30, 61, 400, 2000)  # seconds; some within every wait of a usual policy, some beyond


@st.composite
def next_event(
    draw: Any,
    conversation: Conversation,
    kinds: Sequence[str] = KINDS,
    *,
    agents: Sequence[str] = AGENTS,
    texts: Sequence[str] = ("hello", "a human please", ""),
    queues: Sequence[str] = ("default", "tier1", "tier2"),
) -> Event:
    """One event on the conversation, at its last event's time or later. Most fit, and some do not: they are refused.

    Args:
        kinds: the types to choose from.
        agents: who may act.
        texts: what the customer may say.
        queues: whose facts may have been looked up.
    """
    kind = draw(st.sampled_from(kinds))
    at = conversation.at + timedelta(seconds=draw(st.sampled_from(_LATER)))
    if kind == "timer_fired":
        timer: Event = draw(timer_events(conversation, at))
        return timer
    agent = draw(st.sampled_from((*[conversation.agent or agents[0]] * 2, *agents)))
    fields = draw(_fields(conversation, kind, texts))
    if kind.startswith("offer_") and kind != "offer_made":
        ringing = [offer.agent for offer in conversation.offers if offer.number == fields["offer"]]
        agent = draw(st.sampled_from((*ringing, agent)))
    if draw(st.integers(0, 3)) == 0:
        facts = draw(_queue_facts)
        fields["observed"] = Observed(queues=dict.fromkeys(queues, facts))
    cls = EVENTS[kind]
    if "agent" in attrs.fields_dict(cls):
        fields["agent"] = agent
    return cls(conversation=conversation.id, at=at, **fields)


_queue_facts = st.builds(
    QueueFacts,
    open=st.sampled_from((None, True, False)),
    available=st.sampled_from((None, 0, 2)),
    eta_s=st.sampled_from((None, 90.0)),
    position=st.sampled_from((None, 3)),
)


@st.composite
def _fields(draw: Any, conversation: Conversation, kind: str, texts: Sequence[str]) -> dict[str, Any]:
    """Fields that an event of a type must have, and some that decide what becomes of it."""
    epoch = draw(st.sampled_from((conversation.epoch, conversation.epoch, None, 0)))
    used = conversation.offers_used
    if kind == "customer_message":
        return {"text": draw(st.sampled_from(texts)), "seq": draw(st.integers(1, 9))}
    if kind == "ai_turn":
        return {
            "epoch": epoch,
            "reply": draw(st.sampled_from((None, "an answer"))),
            "confidence": draw(st.sampled_from((None, 0.3, 0.9))),
            "missed": draw(st.booleans()),
            "wants_handoff": draw(st.sampled_from((False, False, True))),
            "wants_close": draw(st.sampled_from((False, False, False, True))),
            "in_reply_to": draw(st.sampled_from((None, *(one.seq for one in conversation.asked), "unknown"))),
        }
    if kind == "handoff_requested":
        return {"by": draw(st.sampled_from((None, "ai", "customer", "api")))}
    if kind in ("ticket_opened", "ticket_failed"):
        return {"desk": "console", "ticket": "T-1"}
    if kind == "agent_assigned":
        return {"by": draw(st.sampled_from(("desk", "agent", "supervisor", "router")))}
    if kind == "offer_made":
        return {"offer": draw(st.sampled_from((max(used, default=0) + 1, *used)))}
    if kind.startswith("offer_"):
        return {"offer": draw(st.sampled_from((*(offer.number for offer in conversation.offers), *used, 99)))}
    if kind == "agent_message":
        return {
            "text": "words",
            "epoch": epoch,
            "audience": draw(st.sampled_from(("customer", "customer", "internal"))),
            "automatic": draw(st.sampled_from((False, False, True))),
            "delivered": draw(st.booleans()),
            "takeover": draw(st.sampled_from((False, False, True))),
        }
    if kind == "agent_parked":
        return {"waiting_for": draw(st.sampled_from(("customer", "third_party")))}
    if kind == "draft_proposed":
        return {"draft": draw(st.integers(1, 3)), "text": "a draft"}
    if kind == "draft_resolved":
        decisions = ("accepted", "edited", "rejected")
        return {"draft": draw(st.integers(1, 3)), "resolution": draw(st.sampled_from(decisions)), "epoch": epoch}
    if kind == "deferred":
        return {"kind": draw(st.sampled_from(("callback", "ticket"))), "reason": "none_available"}
    return {"delivery_failed": {"effect": "c/1/0"}, "policy_changed": {"fingerprint": "f" * 32}}.get(kind, {})


def timer_events(conversation: Conversation, at: datetime) -> st.SearchStrategy[TimerFired]:
    """An owed timer at its due time, or one that is not owed."""
    owed = [
        TimerFired(conversation=conversation.id, at=max(t.due, conversation.at), timer=t.name, generation=t.generation)
        for t in conversation.timers
    ]
    strays = [TimerFired(conversation=conversation.id, at=at, timer=name, generation=77) for name in TIMERS]
    return st.sampled_from(owed * 3 + strays[:1]) if owed else st.sampled_from(strays)


def started_events(conversation: str = "c-1", at: datetime = START) -> st.SearchStrategy[ConversationStarted]:
    """The first event of a conversation."""
    customers = st.builds(
        Customer,
        id=st.just("cu-1"),
        tier=st.sampled_from((None, "gold")),
        locale=st.sampled_from((None, "en-US", "de")),
        lifetime_value=st.sampled_from((None, 5000.0)),
    )
    return st.builds(
        ConversationStarted,
        conversation=st.just(conversation),
        at=st.just(at),
        channel=st.sampled_from(("web", "phone")),
        customer=customers,
    )


@st.composite
def conversations(
    draw: Any,
    policy: Policy | None = None,
    *,
    conversation: str = "c-1",
    kinds: Sequence[str] = tuple(kind for kind in KINDS if kind != "policy_changed"),
    at_most: int = 30,
) -> list[Event]:
    """The events of one conversation, as they come from outside: with their times, without `seq`, without timers.

    Args:
        policy: what the conversation is led by while events are chosen for it; `small_policy()` if not given.
        conversation: its id.
        kinds: the types to choose from. A change of policy is left out, since no store would hold the policy.
        at_most: how many events, the first included.
    """
    first = draw(started_events(conversation))
    talk = Talk(policy, first)
    events: list[Event] = [first]
    for _ in range(draw(st.integers(0, at_most - 1))):
        fitting = tuple(kind for kind in _FITTING[talk.now.state] if kind in kinds)
        event = draw(next_event(talk.now, draw(st.sampled_from((fitting or kinds, fitting or kinds, kinds)))))
        at = max(event.at, events[-1].at)  # a refused event moved no clock, and yet came before this one
        events.append(attrs.evolve(event, at=at, seq=None))
        talk.take(events[-1])
    return events
