"""Random walks: events of every kind, mostly such that they fit the conversation, sometimes such that they do not."""

from datetime import datetime

from hypothesis import strategies as st

from handoff_kit.controller.testing.strategies import AGENTS, KINDS, next_event, timer_events
from handoff_kit.machines import EVENTS, Conversation, Event, parse_policy
from handoff_kit.machines.events import ConversationStarted

__all__ = ["AGENTS", "BUSY", "EVENTS", "ON_ACCEPT", "POLICIES", "events", "started", "timer_events"]

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

_TYPES = list(KINDS)
_QUEUES = ("default", "q", "tier1", "tier2")


def events(conversation: Conversation, kinds: tuple[str, ...] = (*_TYPES, "timer_fired")) -> st.SearchStrategy[Event]:
    """One event on the conversation, at or after its last."""
    return next_event(conversation, kinds, queues=_QUEUES)


def started(conversation: str = "w-1", at: datetime | None = None) -> ConversationStarted:
    """The first event of a walk."""
    from machines_build import START

    from handoff_kit.machines import Customer

    return ConversationStarted(
        conversation=conversation, at=at or START, channel="web", customer=Customer(id="u-1", tier="gold", locale="en-US")
    )
