"""What is measured: one session of 15 events under a small policy.

A customer's transfer fails twice, the AI hands over, an agent takes an offer, writes, and gives the conversation back; the AI
closes it. No timer falls due on the way. What may not go in here: how it is decided, and by what.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from handoff_kit.machines import (
    AgentMessage,
    AiTurn,
    ContextReady,
    Conversation,
    ConversationStarted,
    Customer,
    CustomerMessage,
    Event,
    FailedAction,
    Observed,
    OfferAccepted,
    OfferMade,
    Policy,
    QueueFacts,
    ReturnedToAi,
    Step,
    TicketOpened,
    parse_policy,
    step,
)
from handoff_kit.machines.codec import event_to_data
from handoff_kit.machines.engine import Engine
from handoff_kit.machines.table import CONVERSATION

__all__ = ["POLICY", "SESSION", "decided", "described", "session_of", "write_recording"]

POLICY: Policy = parse_policy(
    """
[policy]
name = "bench"

[[trigger]]
name = "asks_for_a_person"
when = { customer_says = ["human", "a person", "an agent", "a manager", "talk to someone", "mitarbeiter"] }
priority = 6

[[trigger]]
name = "failed_and_unhappy"
when.all = [{ failed_action = true }, { sentiment_below = -0.3 }]

[[trigger]]
name = "is_unsure"
when = { confidence_below = 0.35 }

[[queue]]
name = "payments"
tier = "second"
""",
    file="bench",
)

_START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
_PACE_S = 4  # seconds between two events: shorter than every timer of the policy


def session_of(name: str, customer: str = "c-1") -> tuple[Event, ...]:
    """Return the 15 events of a conversation of that name."""

    def common(seq: int) -> dict[str, Any]:
        return {"conversation": name, "seq": seq, "at": _START + timedelta(seconds=_PACE_S * seq)}

    failed = FailedAction(
        name="transfer_money",
        parameters={"amount": 120.5, "to": "DE02 1203 0000 0000 2020 51"},
        error_code="limit",
        message="The daily limit is reached.",
    )
    seen = Observed(queues={"payments": QueueFacts(open=True, waiting=3, available=2, eta_s=95.0, position=4)})
    return (
        ConversationStarted(
            **common(1),
            channel="web",
            customer=Customer(id=customer, tier="gold", locale="en-GB", attributes={"identified": True}),
        ),
        CustomerMessage(**common(2), text="Hello, I cannot send money to my landlord."),
        AiTurn(
            **common(3),
            intent="transfer_money",
            confidence=0.82,
            sentiment=0.05,
            entities={"recipient": "landlord"},
            reply="I can help with that. Which amount should I send?",
            epoch=0,
            in_reply_to=2,
        ),
        CustomerMessage(**common(4), text="120.50, as I said yesterday already. It failed then, too."),
        AiTurn(
            **common(5),
            intent="transfer_money",
            confidence=0.91,
            sentiment=-0.55,
            entities={"amount": 120.5},
            reply="I am sorry, the transfer failed.",
            epoch=0,
            in_reply_to=4,
            failed_action=failed,
        ),
        ContextReady(**common(6), summary="A transfer failed twice at the daily limit.", facts={"limit": 100}, observed=seen),
        TicketOpened(**common(7), desk="desk", ticket="T-4711"),
        OfferMade(**common(8), agent="ann", offer=1),
        OfferAccepted(**common(9), agent="ann", offer=1),
        AgentMessage(**common(10), agent="ann", text="Hello, this is Ann. I see that your daily limit is too low.", epoch=2),
        CustomerMessage(**common(11), text="Yes. Please raise it, my rent is due."),
        AgentMessage(**common(12), agent="ann", text="Done. The assistant will now send the money.", epoch=2),
        ReturnedToAi(
            **common(13),
            agent="ann",
            instruction="Run the transfer again.",
            facts={"limit": 500},
            agreed=("The daily limit is 500.",),
        ),
        CustomerMessage(**common(14), text="Great, thank you!"),
        AiTurn(
            **common(15),
            intent="thanks",
            confidence=0.97,
            sentiment=0.7,
            reply="The money is on its way. Goodbye!",
            epoch=3,
            in_reply_to=14,
            wants_close=True,
        ),
    )


SESSION = session_of("bench-1")


def decided(events: tuple[Event, ...] = SESSION, engine: Engine = CONVERSATION) -> list[Step]:
    """Return the steps of a session."""
    steps = []
    conversation: Conversation | None = None
    for event in events:
        done = step(POLICY, conversation, event, engine=engine)
        conversation = done.after
        steps.append(done)
    return steps


def described() -> str:
    """Say in one sentence what the session is."""
    steps = decided()
    verdicts = sum(len(done.verdicts) for done in steps) / len(steps)
    effects = sum(len(done.effects) for done in steps) / len(steps)
    states: dict[str, None] = dict.fromkeys(str(done.after.state) for done in steps)
    return (
        f"One session of {len(steps)} events under a policy of {len(POLICY.trigger)} triggers: {' → '.join(states)}; "
        f"{verdicts:.1f} verdicts and {effects:.1f} effects a step."
    )


_TOGETHER = 100  # how many sessions run at the same time in a recording


def write_recording(path: Path, events: int) -> int:
    """Write a recording of about so many events, made of sessions that interleave; return the number of its events."""
    lines = [json.dumps(event_to_data(event), separators=(",", ":")) + "\n" for event in session_of("@name", "@customer")]
    sessions = max(1, round(events / len(lines)))
    with path.open("w", encoding="utf-8") as file:
        for group in _groups(sessions):
            for line in lines:
                file.writelines(line.replace("@name", f"bench-{n}").replace("@customer", f"c-{n}") for n in group)
    return sessions * len(lines)


def _groups(sessions: int) -> Iterator[range]:
    for first in range(0, sessions, _TOGETHER):
        yield range(first, min(first + _TOGETHER, sessions))
