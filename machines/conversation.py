"""The snapshot of one conversation: everything that a decision may depend on, and nothing else.

`Conversation` is frozen. `Draft` has the same fields and is what callbacks write to during one step; `sealed` turns a draft
into the next snapshot. What may not go in here: rules (who may speak, what is owed, what an event leads to).
"""

import operator
from collections.abc import Mapping
from datetime import datetime
from typing import Literal, cast

import attrs

from .contracts import ResumeContract
from .offers import OfferState
from .states import AGENT_STATES, State
from .values import EMPTY, Action, Attachment, Customer, FailedAction, Json, QueueFacts

__all__ = [
    "AgentDraft",
    "Asked",
    "Conversation",
    "Draft",
    "Generation",
    "Handoff",
    "Held",
    "Message",
    "Offer",
    "Parked",
    "Place",
    "Promise",
    "Reading",
    "Ticket",
    "Timer",
    "Transfer",
    "Waiting",
    "drafted",
    "sealed",
]


@attrs.frozen(weakref_slot=False)
class Message:
    """One line of the transcript's tail; `speaker` is customer, ai, system, or agent:<id>."""

    speaker: str
    text: str
    at: datetime
    attachments: tuple[Attachment, ...] = ()


@attrs.frozen(weakref_slot=False)
class Asked:
    """A customer's message that an answer may name.

    Args:
        epoch: the one in which it came.
        waited: timer ai_reply has counted it as a miss; it does so once.
    """

    seq: int | None
    id: str | None
    epoch: int
    at: datetime
    answered: bool = False
    waited: bool = False


@attrs.frozen(weakref_slot=False)
class Timer:
    """An owed timer.

    Args:
        basis: what the due time was counted from; the timer is kept as long as its basis is the same.
        key: tells several timers of one name apart (an offer's number, a queue step's index).
    """

    name: str
    generation: int
    due: datetime
    basis: datetime
    key: int = 0


@attrs.frozen(weakref_slot=False)
class Generation:
    """How often a timer was started, by its name."""

    name: str
    last: int


@attrs.frozen(weakref_slot=False)
class Reading:
    """What the AI made of the conversation in its last turn."""

    intent: str | None = None
    confidence: float | None = None
    sentiment: float | None = None
    summary: str | None = None
    failed_action: FailedAction | None = None
    actions: tuple[Action, ...] = ()
    attributes: Mapping[str, Json] = EMPTY


@attrs.frozen(weakref_slot=False)
class Handoff:
    """One handoff, from its first reason until the conversation settles with the AI again or closes.

    Args:
        number: counts from 1 within the conversation.
        since: the first escalation; the customer's wait runs from here and is never reset.
        connected: it was queued once, so that the customer was told and the ticket was asked for.
        context_missing: it was queued by the context timer.
        accepted_at: when the first agent took it.
        answered_at: when the first agent wrote to the customer; the customer's wait ends here.
        handle_s: seconds that agents held it in earlier stretches.
        held_s: seconds that it was parked.
        steps_done: indexes of the queue's steps that acted (each acts once a handoff).
    """

    number: int
    since: datetime
    reasons: tuple[str, ...] = ()
    explicit: bool = False
    priority: int = 5
    queue: str = "default"
    tier: str = "default"
    skills: tuple[str, ...] = ()
    wish: str | None = None
    summary: str | None = None
    facts: Mapping[str, Json] = EMPTY
    connected: bool = False
    context_missing: bool = False
    accepted_at: datetime | None = None
    answered_at: datetime | None = None
    finished_at: datetime | None = None
    handle_s: float = 0.0
    held_s: float = 0.0
    offloads: int = 0
    callbacks: int = 0
    transfers: int = 0
    steps_done: tuple[int, ...] = ()
    widened: tuple[str, ...] = ()


@attrs.frozen(weakref_slot=False)
class Promise:
    """What was promised instead of a person now."""

    kind: Literal["callback", "ticket"]
    reason: str
    due: datetime | None
    since: datetime


@attrs.frozen(weakref_slot=False)
class Waiting:
    """A stretch in which the customer waits.

    Args:
        hold_said: the hold message was sent in this stretch.
        seen: the last facts about the item's queue.
        told: the last position text, and when it was looked at (`told_at`).
    """

    hold_said: bool = False
    seen: QueueFacts | None = None
    told: str = ""
    told_at: datetime | None = None
    promise: Promise | None = None


@attrs.frozen(weakref_slot=False)
class Place:
    """The place in a queue that an offloaded item keeps."""

    queue: str
    since: datetime


@attrs.frozen(weakref_slot=False)
class Ticket:
    """The desk's handle for a handoff; `over` means that its handoff ended before the desk answered.

    What it may hold is decided by the queue and tier for which it was opened.
    """

    handoff: int
    status: Literal["asked", "open", "failed"]
    desk: str | None = None
    ticket: str | None = None
    over: bool = False
    queue: str = "default"
    tier: str = "default"


@attrs.frozen(weakref_slot=False)
class Offer:
    """A pending offer; its life is the offer machine's."""

    number: int
    agent: str
    at: datetime
    deadline: datetime
    state: OfferState = OfferState.PENDING


@attrs.frozen(weakref_slot=False)
class Transfer:
    """A transfer that waits for somebody to accept; the owner stays."""

    by: str
    at: datetime
    queue: str
    tier: str
    skills: tuple[str, ...] = ()
    agent: str | None = None
    note: str | None = None


@attrs.frozen(weakref_slot=False)
class Parked:
    """The conversation weighs nothing; `idle` means that the customer's silence did it, not the agent."""

    waiting_for: Literal["customer", "third_party"]
    since: datetime
    until: datetime | None = None
    idle: bool = False


@attrs.frozen(weakref_slot=False)
class AgentDraft:
    """A reply that the AI drafted and the owner has not decided on."""

    draft: int | str
    text: str
    at: datetime
    in_reply_to: int | str | None = None


@attrs.frozen(weakref_slot=False)
class Held:
    """One agent's stretch.

    Args:
        since: when this agent took the floor.
        to_answer: whose turn it is.
        turn_since: since when.
    """

    since: datetime
    turn_since: datetime
    to_answer: Literal["agent", "customer"] = "agent"
    parked: Parked | None = None
    transfer: Transfer | None = None
    drafts: tuple[AgentDraft, ...] = ()
    consulting: str | None = None


@attrs.define(slots=True, weakref_slot=False, eq=False)
class Draft:
    """A conversation in the making: the mutable twin that callbacks write to during one step.

    Attributes:
        version: counts accepted steps.
        epoch: adds one exactly when the owner of the reply changes.
        agent: the last agent who owned it; the owner, in the agents' states.
        policy: fingerprint of the policy that decides.
        generations: the last generation of each timer, by name.
        messages: the transcript's tail, as long as the policy's `context.messages`.
        asked: the last 16 customer messages.
        heard, choices: what the customer wrote and pressed since the last AI turn, for `customer_says` and `choice_in`.
        boundary: talk before it no longer counts for triggers; `boundary_kind` says what made it.
        turns, misses, sentiments, settled: counts since the boundary.
        entered: entry of the state.
        active_at: what timer bot_idle runs from.
        ai_reply_since: what timer ai_reply runs from; None when nothing is awaited of the AI.
        awaiting_resume: the AI has not yet had an accepted turn since a return or an offload.
        ending: the reason with which wrap-up will close.
    """

    id: str
    channel: str
    customer: Customer
    policy: str
    at: datetime
    boundary: datetime
    entered: datetime
    active_at: datetime
    state: State = State.BOT_ACTIVE
    version: int = 1
    epoch: int = 0
    owner: str = "ai"
    agent: str | None = None
    previous: str | None = None
    linked: tuple[str, ...] = ()
    timers: tuple[Timer, ...] = ()
    generations: tuple[Generation, ...] = ()
    messages: tuple[Message, ...] = ()
    asked: tuple[Asked, ...] = ()
    heard: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    entities: Mapping[str, Json] = EMPTY
    reading: Reading | None = None
    boundary_kind: Literal["start", "return", "withdrawal", "offload"] = "start"
    turns: int = 0
    misses: int = 0
    sentiments: tuple[float | None, ...] = ()
    settled: int = 0
    ai_reply_since: datetime | None = None
    awaiting_resume: bool = False
    contract: ResumeContract | None = None
    handoff: Handoff | None = None
    handoffs: int = 0
    place: Place | None = None
    waiting: Waiting | None = None
    held: Held | None = None
    tickets: tuple[Ticket, ...] = ()
    offers: tuple[Offer, ...] = ()
    offers_used: tuple[int, ...] = ()
    left_at: datetime | None = None
    ending: str | None = None

    @property
    def queue(self) -> str | None:
        """The queue in which it stands, by itself or by a waiting transfer; None where it stands in none."""
        if self.state is State.QUEUED and self.handoff is not None:
            return self.handoff.queue
        if self.place is not None:
            return self.place.queue
        return self.held.transfer.queue if self.held is not None and self.held.transfer is not None else None

    @property
    def weighs_nothing(self) -> bool:
        """Parked and customer-idle conversations take no capacity."""
        return self.state in AGENT_STATES and self.held is not None and self.held.parked is not None

    def offer(self, number: int) -> Offer | None:
        """Return the pending offer of that number."""
        return next((offer for offer in self.offers if offer.number == number), None)


@attrs.frozen(slots=True, weakref_slot=False)
class Conversation(Draft):
    """A frozen snapshot; `Draft` documents the fields. Made by `step`, never by hand."""


_values = operator.attrgetter(*(field.name for field in attrs.fields(Draft)))


def drafted(conversation: Conversation) -> Draft:
    """Return a draft with the values of a snapshot."""
    return Draft(*_values(conversation))


def _sealed_by_copy(draft: Draft) -> Conversation:
    """Turn a draft into a snapshot by making a new object."""
    return Conversation(*_values(draft))


def _sealed_in_place(draft: Draft) -> Conversation:
    """Turn a draft into a snapshot by exchanging its class: both have the same slots, so nothing is copied."""
    draft.__class__ = Conversation
    return cast(Conversation, draft)


def _classes_can_be_exchanged() -> bool:
    """Whether this interpreter exchanges the classes of objects with equal slots (CPython does)."""
    try:
        Draft.__new__(Draft).__class__ = Conversation
    except TypeError:  # pragma: no cover - not on CPython
        return False
    return True


#: Turn a draft into the next snapshot; the draft must not be used afterwards.
sealed = _sealed_in_place if _classes_can_be_exchanged() else _sealed_by_copy
