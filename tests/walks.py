"""Random walks: events of every kind, mostly such that they fit the conversation, sometimes such that they do not."""

from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from handoff_kit.machines import EVENTS, Conversation, Event, Observed, QueueFacts, TimerFired, parse_policy
from handoff_kit.machines.events import ConversationStarted
from handoff_kit.machines.timers import TIMERS

AGENTS = ("a1", "a2", "b1")

#: A policy with something of everything, so that walks reach every row of the table.
BUSY = parse_policy(
    """
[[trigger]]
name = "asks"
when = { customer_says = ["human"] }
[[trigger]]
name = "ai_asks"
when = { wants_handoff = true }
[[trigger]]
name = "unsure"
when = { confidence_below = 0.5 }
tier = "tier2"
[[trigger]]
name = "missed"
when = { misses_at_least = 2 }
[resume]
cooldown_s = 30
[limits]
transfers = 2
[offer]
parallel = 2
[callback]
attempts = 1
[[queue]]
name = "tier1"
keep_helping = true
[[queue.step]]
after_s = 60
do = "offload_to_ai"
only = { priority_at_most = 5 }
[[queue.step]]
after_s = 120
do = "widen"
tier = "tier2"
[[queue.step]]
when_none_available = true
do = "notify"
[[queue.step]]
when_wait_above_s = 200
do = "raise_priority"
[[queue.step]]
after_s = 400
do = "callback"
[[queue]]
name = "tier2"
fallback = "ticket"
[[queue.step]]
after_s = 300
do = "ticket"
[[queue.step]]
after_s = 20
do = "drop_skill"
"""
)

ON_ACCEPT = parse_policy(
    """
[copilot]
engage = "on_accept"
[ai]
require_epoch = true
[[trigger]]
name = "asks"
when = { customer_says = ["human"] }
[[queue]]
name = "q"
fallback = "ticket"
"""
)

POLICIES = (BUSY, ON_ACCEPT, parse_policy(""))

_TYPES = sorted(set(EVENTS) - {"conversation_started", "timer_fired"})


@st.composite
def events(draw: Any, conversation: Conversation, kinds: tuple[str, ...] = (*_TYPES, "timer_fired")) -> Event:
    """One event on the conversation, at or after its last."""
    kind = draw(st.sampled_from(kinds))
    at = conversation.at + timedelta(seconds=draw(st.sampled_from((0, 1, 7, 30, 61, 400, 2000))))
    if kind == "timer_fired":
        return draw(timer_events(conversation, at))
    agent = draw(st.sampled_from((conversation.agent or "a1", *AGENTS)))
    epoch = draw(st.sampled_from((conversation.epoch, conversation.epoch, None, 0)))
    offers = [offer.number for offer in conversation.offers]
    fields: dict[str, Any] = {}
    if kind == "customer_message":
        fields = {"text": draw(st.sampled_from(("hello", "a human please", ""))), "seq": draw(st.integers(1, 9))}
    elif kind == "ai_turn":
        asked = [one.seq for one in conversation.asked]
        fields = {
            "epoch": epoch,
            "reply": draw(st.sampled_from((None, "an answer"))),
            "confidence": draw(st.sampled_from((None, 0.3, 0.9))),
            "missed": draw(st.booleans()),
            "wants_handoff": draw(st.sampled_from((False, False, True))),
            "wants_close": draw(st.sampled_from((False, False, False, True))),
            "in_reply_to": draw(st.sampled_from((None, *asked, "unknown"))),
        }
    elif kind == "handoff_requested":
        fields = {"by": draw(st.sampled_from((None, "ai", "customer", "api")))}
    elif kind in ("ticket_opened", "ticket_failed"):
        fields = {"desk": "console", "ticket": "T-1"}
    elif kind == "agent_assigned":
        fields = {"by": draw(st.sampled_from(("desk", "agent", "supervisor", "router")))}
    elif kind == "offer_made":
        used = conversation.offers_used
        fields = {"offer": draw(st.sampled_from((max(used, default=0) + 1, *used)))}
    elif kind.startswith("offer_"):
        fields = {"offer": draw(st.sampled_from((*offers, *conversation.offers_used, 99)))}
        ringing = [offer.agent for offer in conversation.offers if offer.number == fields["offer"]]
        agent = draw(st.sampled_from((*ringing, agent)))
    elif kind == "agent_message":
        fields = {
            "text": "words",
            "epoch": epoch,
            "audience": draw(st.sampled_from(("customer", "customer", "internal"))),
            "automatic": draw(st.sampled_from((False, False, True))),
            "delivered": draw(st.booleans()),
            "takeover": draw(st.sampled_from((False, False, True))),
        }
    elif kind == "agent_parked":
        fields = {"waiting_for": draw(st.sampled_from(("customer", "third_party")))}
    elif kind == "draft_proposed":
        fields = {"draft": draw(st.integers(1, 3)), "text": "a draft"}
    elif kind == "draft_resolved":
        fields = {
            "draft": draw(st.integers(1, 3)),
            "resolution": draw(st.sampled_from(("accepted", "edited", "rejected"))),
            "epoch": epoch,
        }
    elif kind == "deferred":
        fields = {"kind": draw(st.sampled_from(("callback", "ticket"))), "reason": "none_available"}
    elif kind == "delivery_failed":
        fields = {"effect": "c/1/0"}
    elif kind == "policy_changed":
        fields = {"fingerprint": "f" * 32}
    if draw(st.integers(0, 3)) == 0:
        facts = QueueFacts(
            open=draw(st.sampled_from((None, True, False))),
            available=draw(st.sampled_from((None, 0, 2))),
            eta_s=draw(st.sampled_from((None, 90.0))),
            position=draw(st.sampled_from((None, 3))),
        )
        fields["observed"] = Observed(queues={"tier1": facts, "tier2": facts, "q": facts, "default": facts})
    cls = EVENTS[kind]
    if "agent" in {field.name for field in cls.__attrs_attrs__}:  # type: ignore[attr-defined]
        fields["agent"] = agent
    return cls(conversation=conversation.id, at=at, **fields)


def timer_events(conversation: Conversation, at: datetime) -> st.SearchStrategy[TimerFired]:
    """An owed timer at its due time, or one that is not owed."""
    owed = [
        TimerFired(conversation=conversation.id, at=max(t.due, conversation.at), timer=t.name, generation=t.generation)
        for t in conversation.timers
    ]
    strays = [TimerFired(conversation=conversation.id, at=at, timer=name, generation=77) for name in TIMERS]
    return st.sampled_from(owed * 3 + strays[:1]) if owed else st.sampled_from(strays)


def started(conversation: str = "w-1", at: datetime | None = None) -> ConversationStarted:
    """The first event of a walk."""
    from machines_build import START

    from handoff_kit.machines import Customer

    return ConversationStarted(
        conversation=conversation, at=at or START, channel="web", customer=Customer(id="u-1", tier="gold", locale="en-US")
    )
