"""For the tests of hosts and adapters: a clock that a test moves, adapters in memory, builders of events.

Beside these there are `strategies` (needs Hypothesis) and `contracts`, the suites that every adapter passes (needs pytest):
import either by its name.
"""

from .builders import (
    Talk,
    accepts,
    agent_says,
    asks_for_a_person,
    assigned,
    closed,
    context_ready,
    declines,
    finishes,
    offered,
    presence,
    rates,
    returns_to_ai,
    says,
    small_policy,
    started,
    ticket_opened,
    transfers,
    turn,
    wraps_up,
)
from .clock import START, ManualClock
from .fakes import Call, Ended, MemoryChannel, MemoryDesk, MemoryNotifier, Opened, ScriptedBot, Sent

__all__ = [
    "Call",
    "Ended",
    "ManualClock",
    "MemoryChannel",
    "MemoryDesk",
    "MemoryNotifier",
    "Opened",
    "START",
    "ScriptedBot",
    "Sent",
    "Talk",
    "accepts",
    "agent_says",
    "asks_for_a_person",
    "assigned",
    "closed",
    "context_ready",
    "declines",
    "finishes",
    "offered",
    "presence",
    "rates",
    "returns_to_ai",
    "says",
    "small_policy",
    "started",
    "ticket_opened",
    "transfers",
    "turn",
    "wraps_up",
]
