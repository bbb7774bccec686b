"""What is written to a store and read from it: values that the controller, the stores and the dispatcher share.

What may not go in here: SQL, sending, deciding.
"""

import functools
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Literal

import attrs

from handoff_kit.machines import AgentStep, Event, Step, Verdict
from handoff_kit.machines.effects import (
    AskBot,
    CancelTimer,
    CloseTicket,
    DraftForAgent,
    Effect,
    EndBotSession,
    NotifyAgents,
    OfferConversation,
    OpenTicket,
    PrepareContext,
    PrepopulateConsole,
    RecordFeedback,
    RelayToDesk,
    RescindOffer,
    ResumeBot,
    SendToCustomer,
    StartTimer,
    UpdateTicket,
)
from handoff_kit.machines.refusals import Refusal

__all__ = [
    "PORTS",
    "Accepted",
    "AgentAccepted",
    "Commit",
    "Declined",
    "Delivery",
    "Line",
    "Remembered",
    "Settled",
    "deliveries_of",
    "key_of",
    "owed_of",
]

Port = Literal["channel", "bot", "desk", "notifier", "summarizer"]

#: Which port performs an effect; None: nothing is to be delivered, the store itself or the log is what it is for.
PORTS: Mapping[type[Effect], Port | None] = {
    SendToCustomer: "channel",
    AskBot: "bot",
    ResumeBot: "bot",
    DraftForAgent: "bot",
    EndBotSession: "bot",
    PrepareContext: "summarizer",
    OpenTicket: "desk",
    UpdateTicket: "desk",
    CloseTicket: "desk",
    RelayToDesk: "desk",
    OfferConversation: "desk",
    RescindOffer: "desk",
    PrepopulateConsole: "desk",
    NotifyAgents: "notifier",
    StartTimer: None,
    CancelTimer: None,
    RecordFeedback: None,
}


def key_of(conversation: str, version: int, index: int) -> str:
    """Return an effect's idempotency key."""
    return f"{conversation}:{version}:{index}"


@attrs.frozen
class Accepted:
    """One accepted step of a conversation, as it is written.

    Args:
        policy: the fingerprint of the policy that decided.
        owed: which of its effects are owed to the world: index and port.
    """

    step: Step
    policy: str
    owed: tuple[tuple[int, str], ...] = ()

    @property
    def stream(self) -> str:
        """The stream's name."""
        return self.step.after.id

    @property
    def expected(self) -> int:
        """The version before it; 0 for a conversation that does not exist yet."""
        return self.step.before.version if self.step.before is not None else 0


@attrs.frozen
class AgentAccepted:
    """One accepted step of an agent's stream."""

    step: AgentStep

    @property
    def stream(self) -> str:
        """The stream's name, which no conversation has."""
        return f"agent/{self.step.after.id}"

    @property
    def expected(self) -> int:
        """The version before it; 0 for an agent who is not known yet."""
        return self.step.before.version if self.step.before is not None else 0


@attrs.frozen
class Declined:
    """A refused event, for the log beside the events."""

    event: Event
    at: datetime
    version: int
    refusal: Refusal


@attrs.frozen
class Remembered:
    """The first outcome of an event with an `id`, which answers every repetition.

    Args:
        conversation: where it was handled: another one than the event's, where a closed one was continued.
        reply: `accepted`, `withheld` or `none`.
    """

    stream: str
    id: str
    conversation: str
    state: str
    version: int
    epoch: int
    owner: str
    reply: str
    verdicts: tuple[Verdict, ...] = ()
    refused: Refusal | None = None
    at: datetime | None = None


@attrs.frozen(kw_only=True)
class Commit:
    """One transaction over all streams concerned.

    Args:
        steps: accepted steps, in order; those of one stream follow each other without a gap.
        declined: refused events.
        remembered: outcomes to be remembered, each under its stream and id.
        continues: (closed conversation, new one), where a customer's message went on in a new conversation.
        alone: nobody else is about to commit here, so that there is nobody to wait for.
    """

    steps: tuple[Accepted | AgentAccepted, ...] = ()
    declined: tuple[Declined, ...] = ()
    remembered: tuple[Remembered, ...] = ()
    continues: tuple[str, str] | None = None
    alone: bool = False

    @functools.cached_property
    def expected(self) -> dict[str, int]:
        """The version at which each stream must stand."""
        versions: dict[str, int] = {}
        for one in self.steps:
            versions.setdefault(one.stream, one.expected)
        for declined in self.declined:  # it was declined as of a version, and may be right as of another
            versions.setdefault(declined.event.conversation, declined.version)
        return versions


#: `pending` waits for its turn or its time; `sending` was claimed; `dead` is a dead letter.
DeliveryStatus = Literal["pending", "sending", "dead"]


@attrs.frozen(kw_only=True)
class Delivery:
    """One effect that is owed to the world: a row of the outbox.

    Args:
        key: the idempotency key.
        position: orders deliveries of one conversation and port.
        attempts: how often it was tried.
        since: when it was owed first.
        next_at: not before this time.
        claimed_until: after this time another process may claim it.
        held: it was claimed only to be held back: an AI's text from before a person took the reply.
        error: what the last attempt said.
        revived: how often it was a dead letter that was to be tried again.
    """

    key: str
    conversation: str
    port: str
    effect: Effect
    position: tuple[int, int]
    since: datetime
    next_at: datetime
    status: DeliveryStatus = "pending"
    attempts: int = 0
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    held: bool = False
    error: str | None = None
    revived: int = 0

    @property
    def answer_id(self) -> str:
        """The id of the event that a port's answer is: the same for each attempt, another one after a revival."""
        return f"{self.key}#{self.revived}"


@attrs.frozen(kw_only=True)
class Settled:
    """What became of a claimed delivery: `done` leaves the outbox, `retry` waits until `next_at`, `dead` is a dead letter.

    Args:
        by: who claimed it; a failure of somebody whose claim has run out and was taken by another says nothing. None: anybody.
    """

    key: str
    result: Literal["done", "retry", "dead"]
    attempts: int = 0
    next_at: datetime | None = None
    error: str | None = None
    by: str | None = None


def owed_of(step: Step, ports: Collection[str]) -> tuple[tuple[int, str], ...]:
    """Return which effects of a step are for one of the ports: index and port."""
    named = ((index, PORTS[effect.__class__]) for index, effect in enumerate(step.effects))
    return tuple([(index, port) for index, port in named if port is not None and port in ports])


def deliveries_of(accepted: Accepted) -> list[Delivery]:
    """Return what a step owes to the world, in order."""
    after = accepted.step.after
    return [
        Delivery(
            key=key_of(after.id, after.version, index),
            conversation=after.id,
            port=port,
            effect=accepted.step.effects[index],
            position=(after.version, index),
            since=after.at,
            next_at=after.at,
        )
        for index, port in accepted.owed
    ]


@attrs.frozen
class Line:
    """One line of a store's history: an accepted event with its recorded step, as a recording keeps it.

    Args:
        data: its `seq` is the step's version, so that there are no gaps.
        given: the event's own `seq`, which an integer `in_reply_to` refers to.
    """

    conversation: str
    data: Mapping[str, Any]
    given: int | None = None
