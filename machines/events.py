"""Everything that can happen to a conversation or an agent: one frozen class an event, past tense.

An event is a fact from outside and carries its own time. Values are checked when an event is made, so that an event with
NaN, a number out of range or a time without a zone cannot exist. What an event leads to is not said here but in `table`.
"""

import functools
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal, TypeVar, get_args

import attrs

from .states import Presence
from .values import (
    ACTOR_KINDS,
    Action,
    Actor,
    ActorKind,
    Attachment,
    Customer,
    CustomerChange,
    FailedAction,
    Json,
    Observed,
    OneOf,
    Prediction,
    Target,
    Whole,
    Within,
    are_levels,
    as_utc,
    frozen_texts,
    is_finite_json,
    is_flat,
    is_name,
    is_text,
)

#: Why a conversation may end; another word is kept, and counted as `other`.
CloseReason = Literal[
    "resolved_by_ai",
    "resolved_by_agent",
    "abandoned_waiting",
    "customer_left",
    "customer_idle",
    "continued_by_ticket",
    "transferred_out",
    "duplicate",
    "spam",
    "record_end",
    "other",
]
DeferReason = Literal["none_available", "closed", "waited_too_long", "no_common_language", "offer_exhausted"]


def _texts() -> Any:
    return attrs.field(default=(), converter=frozen_texts)


def _json() -> Any:
    return attrs.field(default=None, validator=is_finite_json)


def _map() -> Any:
    return attrs.field(factory=dict, validator=is_finite_json)


E = TypeVar("E", bound="Event")


@attrs.frozen(kw_only=True)
class Event:
    """What all events share.

    Args:
        conversation: the conversation's id (empty on an agent's own stream).
        seq: the line's place in a recording, from 1; a live host leaves it to the controller.
        at: when we received it (aware, UTC).
        id: idempotency id, unique within the conversation.
        sent_at: the sender's own time, for transcripts; no guard reads it.
        actor: who caused it, where the type does not say.
        observed: facts that the shell looked up beforehand, see `needs`.
        erased: names of fields that were erased on a customer's demand.
    """

    type: ClassVar[str] = ""

    conversation: str = attrs.field(default="", validator=is_text)
    seq: int | None = attrs.field(default=None, validator=Whole(1))
    at: datetime | None = attrs.field(default=None, converter=as_utc)
    id: str | None = None
    sent_at: datetime | None = attrs.field(default=None, converter=as_utc)
    actor: Actor | None = None
    observed: Observed | None = None
    erased: tuple[str, ...] = ()

    @property
    def trigger(self) -> str:
        """The word under which the machine's table lists this event."""
        return self.type


def stamped(event: E, at: datetime | None, seq: int | None) -> E:
    """Return an event with its time and its place; `at` must be aware and in UTC, `seq` at least 1.

    Nothing is checked again: a host stamps each event, and what an event holds was checked when it was made.
    """
    if event.at is at and event.seq == seq:
        return event
    cls: Any = event.__class__
    made: E = cls.__new__(cls)
    for name in _fields_of(cls):
        object.__setattr__(made, name, getattr(event, name))
    object.__setattr__(made, "at", at)
    object.__setattr__(made, "seq", seq)
    return made


@functools.cache
def _fields_of(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(cls))


@attrs.frozen(kw_only=True)
class ConversationStarted(Event):
    """A conversation began; `previous` names the closed one that it continues."""

    type: ClassVar[str] = "conversation_started"
    channel: str = attrs.field(validator=is_name)
    customer: Customer
    previous: str | None = None


@attrs.frozen(kw_only=True)
class CustomerUpdated(Event):
    """Facts about the customer, the channel or linked conversations changed."""

    type: ClassVar[str] = "customer_updated"
    customer: CustomerChange | None = None
    channel: str | None = None
    linked: tuple[str, ...] = _texts()


@attrs.frozen(kw_only=True)
class CustomerMessage(Event):
    """The customer wrote, or pressed a button (`choice`)."""

    type: ClassVar[str] = "customer_message"
    text: str = attrs.field(validator=is_text)
    attachments: tuple[Attachment, ...] = ()
    choice: str | None = None
    external_id: str | None = None
    replaces: str | None = None


@attrs.frozen(kw_only=True)
class AiTurn(Event):
    """The AI's reading of the last message, and the reply that it proposes.

    Args:
        confidence: of the intent, 0..1.
        sentiment: of the customer, -1..1.
        epoch: the epoch under which the reply was composed.
        in_reply_to: seq (integer) or id (string) of the customer's message.
        missed: the platform's no-match; an absent intent alone is no miss.
    """

    type: ClassVar[str] = "ai_turn"
    intent: str | None = None
    confidence: float | None = attrs.field(default=None, validator=Within(0, 1))
    sentiment: float | None = attrs.field(default=None, validator=Within(-1, 1))
    entities: Mapping[str, Json] = _map()
    attributes: Mapping[str, Json] = attrs.field(factory=dict, validator=is_flat)
    reply: str | None = None
    attachments: tuple[Attachment, ...] = ()
    epoch: int | None = attrs.field(default=None, validator=Whole(0))
    in_reply_to: int | str | None = None
    missed: bool = False
    actions: tuple[Action, ...] = ()
    failed_action: FailedAction | None = None
    wants_handoff: bool = False
    wants_close: bool = False
    summary: str | None = None
    prediction: Prediction | None = None
    bot: str | None = None


@attrs.frozen(kw_only=True)
class HandoffRequested(Event):
    """Somebody asked for a person without a trigger: a button, an API, the AI's tool."""

    type: ClassVar[str] = "handoff_requested"
    by: ActorKind | None = attrs.field(default=None, validator=OneOf(*ACTOR_KINDS))
    reason: str | None = None
    summary: str | None = None
    target: Target | None = None


@attrs.frozen(kw_only=True)
class HandoffWithdrawn(Event):
    """The customer no longer wants a person."""

    type: ClassVar[str] = "handoff_withdrawn"
    by: ActorKind | None = attrs.field(default=None, validator=OneOf(*ACTOR_KINDS))
    reason: str | None = None


@attrs.frozen(kw_only=True)
class ContextReady(Event):
    """What the person needs has been gathered."""

    type: ClassVar[str] = "context_ready"
    summary: str | None = None
    facts: Mapping[str, Json] = _map()
    by: str | None = None


@attrs.frozen(kw_only=True)
class TicketOpened(Event):
    """A desk opened what `OpenTicket` asked for; `ticket` is its handle."""

    type: ClassVar[str] = "ticket_opened"
    desk: str = attrs.field(validator=is_name)
    ticket: str | None = None
    error: Json = _json()


@attrs.frozen(kw_only=True)
class TicketFailed(Event):
    """A desk could not open the ticket, and that is final."""

    type: ClassVar[str] = "ticket_failed"
    desk: str = attrs.field(validator=is_name)
    ticket: str | None = None
    error: Json = _json()


@attrs.frozen(kw_only=True)
class AgentEvent(Event):
    """What all events with an agent share."""

    agent: str = attrs.field(validator=is_name)


@attrs.frozen(kw_only=True)
class AgentAssigned(AgentEvent):
    """A desk, a supervisor, a router or an agent made `agent` the owner."""

    type: ClassVar[str] = "agent_assigned"
    by: Literal["desk", "agent", "supervisor", "router"] | None = attrs.field(
        default=None, validator=OneOf("desk", "agent", "supervisor", "router")
    )
    evidence: Literal["event", "inferred", "polled"] | None = attrs.field(
        default=None, validator=OneOf("event", "inferred", "polled")
    )
    override: bool = False


@attrs.frozen(kw_only=True)
class OfferEvent(AgentEvent):
    """What all events of an offer share; `offer` is its number within the conversation."""

    offer: int = attrs.field(validator=Whole(1))
    deadline: datetime | None = attrs.field(default=None, converter=as_utc)
    ranking: Json = _json()


@attrs.frozen(kw_only=True)
class OfferMade(OfferEvent):
    """The router offered the conversation to an agent, who has until `deadline`."""

    type: ClassVar[str] = "offer_made"


@attrs.frozen(kw_only=True)
class OfferAccepted(OfferEvent):
    """The agent took the offer."""

    type: ClassVar[str] = "offer_accepted"


@attrs.frozen(kw_only=True)
class OfferDeclined(OfferEvent):
    """The agent said no."""

    type: ClassVar[str] = "offer_declined"


@attrs.frozen(kw_only=True)
class OfferExpired(OfferEvent):
    """The agent said nothing in time."""

    type: ClassVar[str] = "offer_expired"


@attrs.frozen(kw_only=True)
class OfferRescinded(OfferEvent):
    """The offer was taken back."""

    type: ClassVar[str] = "offer_rescinded"


@attrs.frozen(kw_only=True)
class AgentMessage(AgentEvent):
    """An agent wrote.

    Args:
        audience: `internal` notes never reach the customer, change no owner and stop no clock.
        automatic: sent by a rule of the desk; changes no owner and stops no clock.
        delivered: already on the customer's channel; it is not sent again.
        takeover: a supervisor takes the floor from another agent.
    """

    type: ClassVar[str] = "agent_message"
    text: str = attrs.field(validator=is_text)
    attachments: tuple[Attachment, ...] = ()
    epoch: int | None = attrs.field(default=None, validator=Whole(0))
    audience: Literal["customer", "internal"] = attrs.field(default="customer", validator=OneOf("customer", "internal"))
    automatic: bool = False
    delivered: bool = False
    takeover: bool = False

    @property
    def speaks(self) -> bool:
        """A person speaks to the customer: this takes the floor and stops clocks."""
        return self.audience == "customer" and not self.automatic


@attrs.frozen(kw_only=True)
class AgentParked(AgentEvent):
    """The agent waits for the customer or a third party; the conversation weighs nothing meanwhile."""

    type: ClassVar[str] = "agent_parked"
    waiting_for: Literal["customer", "third_party"] = attrs.field(default="customer", validator=OneOf("customer", "third_party"))
    until: datetime | None = attrs.field(default=None, converter=as_utc)


@attrs.frozen(kw_only=True)
class AgentUnparked(AgentEvent):
    """The agent goes on."""

    type: ClassVar[str] = "agent_unparked"
    waiting_for: Literal["customer", "third_party"] | None = attrs.field(default=None, validator=OneOf("customer", "third_party"))
    until: datetime | None = attrs.field(default=None, converter=as_utc)


@attrs.frozen(kw_only=True)
class AgentLost(AgentEvent):
    """The agent signed out, or the heartbeat stopped."""

    type: ClassVar[str] = "agent_lost"
    reason: str | None = None


@attrs.frozen(kw_only=True)
class ConsultStarted(AgentEvent):
    """The owner asks a colleague; the customer is not told."""

    type: ClassVar[str] = "consult_started"
    with_: str | None = None
    note: str | None = None


@attrs.frozen(kw_only=True)
class ConsultEnded(AgentEvent):
    """The consultation is over."""

    type: ClassVar[str] = "consult_ended"
    with_: str | None = None
    note: str | None = None


@attrs.frozen(kw_only=True)
class CopilotEngaged(AgentEvent):
    """The owner lets the AI draft."""

    type: ClassVar[str] = "copilot_engaged"


@attrs.frozen(kw_only=True)
class CopilotDisengaged(AgentEvent):
    """The owner writes alone again."""

    type: ClassVar[str] = "copilot_disengaged"


@attrs.frozen(kw_only=True)
class DraftProposed(Event):
    """The AI wrote a draft for the owner."""

    type: ClassVar[str] = "draft_proposed"
    draft: int | str
    text: str = attrs.field(validator=is_text)
    in_reply_to: int | str | None = None
    model: str | None = None


@attrs.frozen(kw_only=True)
class DraftResolved(AgentEvent):
    """The owner decided on a draft; accepted and edited drafts are sent as the agent's own words."""

    type: ClassVar[str] = "draft_resolved"
    draft: int | str
    resolution: Literal["accepted", "edited", "rejected", "superseded"] = attrs.field(
        validator=OneOf("accepted", "edited", "rejected", "superseded")
    )
    text: str | None = None
    epoch: int | None = attrs.field(default=None, validator=Whole(0))


@attrs.frozen(kw_only=True)
class ReturnedToAi(AgentEvent):
    """The agent gives the conversation back, with what has changed."""

    type: ClassVar[str] = "returned_to_ai"
    instruction: str | None = None
    facts: Mapping[str, Json] = _map()
    agreed: tuple[str, ...] = _texts()
    promises: tuple[str, ...] = _texts()
    bot: str | None = None


@attrs.frozen(kw_only=True)
class TransferRequested(AgentEvent):
    """The owner asks somebody else to take over, and stays owner until somebody does."""

    type: ClassVar[str] = "transfer_requested"
    target: Target | None = None
    note: str | None = None
    reason: str | None = None


@attrs.frozen(kw_only=True)
class TransferCancelled(AgentEvent):
    """The owner keeps the conversation after all."""

    type: ClassVar[str] = "transfer_cancelled"
    target: Target | None = None
    note: str | None = None
    reason: str | None = None


@attrs.frozen(kw_only=True)
class DispositionEvent(AgentEvent):
    """How an agent's work ended; `corrections` say what the AI got wrong (training data)."""

    disposition: str | None = None
    tags: tuple[str, ...] = _texts()
    resolved: bool | None = None
    corrections: Mapping[str, Json] = _map()


@attrs.frozen(kw_only=True)
class AgentFinished(DispositionEvent):
    """The agent is done with the customer; wrap-up begins."""

    type: ClassVar[str] = "agent_finished"


@attrs.frozen(kw_only=True)
class AgentWrapped(DispositionEvent):
    """The agent is done with the paperwork."""

    type: ClassVar[str] = "agent_wrapped"


@attrs.frozen(kw_only=True)
class Offloaded(Event):
    """The router lets the AI try a waiting item, which keeps its place."""

    type: ClassVar[str] = "offloaded"
    reason: str | None = None


@attrs.frozen(kw_only=True)
class Reclaimed(Event):
    """An offloaded item goes back to its place."""

    type: ClassVar[str] = "reclaimed"
    reason: str | None = None


@attrs.frozen(kw_only=True)
class Deferred(Event):
    """No person now: a callback or a ticket is promised instead."""

    type: ClassVar[str] = "deferred"
    kind: Literal["callback", "ticket"] = attrs.field(validator=OneOf("callback", "ticket"))
    reason: DeferReason = attrs.field(validator=OneOf(*get_args(DeferReason)))
    due: datetime | None = attrs.field(default=None, converter=as_utc)


@attrs.frozen(kw_only=True)
class CustomerLeft(Event):
    """The customer's connection went away."""

    type: ClassVar[str] = "customer_left"
    reason: str | None = None


@attrs.frozen(kw_only=True)
class CustomerReturned(Event):
    """The customer is back."""

    type: ClassVar[str] = "customer_returned"
    reason: str | None = None


@attrs.frozen(kw_only=True)
class Closed(Event):
    """The conversation was ended; a `reason` outside the closed list is kept and counted as `other`."""

    type: ClassVar[str] = "closed"
    reason: str | None = None


@attrs.frozen(kw_only=True)
class DeliveryFailed(Event):
    """An effect could not be delivered; `attempts` 0 means that it was held back on purpose."""

    type: ClassVar[str] = "delivery_failed"
    effect: str = attrs.field(validator=is_name)
    error: Json = _json()
    attempts: int | None = attrs.field(default=None, validator=Whole(0))


@attrs.frozen(kw_only=True)
class TimerFired(Event):
    """An owed timer fell due; for `offer` the generation is the offer's number."""

    type: ClassVar[str] = "timer_fired"
    timer: str = attrs.field(validator=is_name)
    generation: int | None = attrs.field(default=None, validator=Whole(1))

    @property
    def trigger(self) -> str:
        """Each timer has rows of its own in the machine's table."""
        return f"timer_{self.timer}"


@attrs.frozen(kw_only=True)
class PolicyChanged(Event):
    """From here on another policy decides."""

    type: ClassVar[str] = "policy_changed"
    fingerprint: str = attrs.field(validator=is_name)


@attrs.frozen(kw_only=True)
class Feedback(Event):
    """The customer rated the conversation (`csat` 1..5)."""

    type: ClassVar[str] = "feedback"
    csat: int | None = attrs.field(default=None, validator=Whole(1, 5))
    comment: str | None = None
    previous_rating: int | None = attrs.field(default=None, validator=Whole(1, 5))


@attrs.frozen(kw_only=True)
class PresenceChanged(Event):
    """A line of an agent's own stream. `capacity` is in weighted units, `skills` are levels 1..5."""

    type: ClassVar[str] = "presence_changed"
    agent: str = attrs.field(validator=is_name)
    presence: Presence | None = None
    capacity: float | None = attrs.field(default=None, validator=Within(0))
    tiers: tuple[str, ...] | None = None
    skills: Mapping[str, int] | None = attrs.field(default=None, validator=are_levels)
    languages: tuple[str, ...] | None = None


#: Every event of a conversation, by its type.
EVENTS: dict[str, type[Event]] = {
    cls.type: cls
    for cls in (
        ConversationStarted,
        CustomerUpdated,
        CustomerMessage,
        AiTurn,
        HandoffRequested,
        HandoffWithdrawn,
        ContextReady,
        TicketOpened,
        TicketFailed,
        AgentAssigned,
        OfferMade,
        OfferAccepted,
        OfferDeclined,
        OfferExpired,
        OfferRescinded,
        AgentMessage,
        AgentParked,
        AgentUnparked,
        AgentLost,
        ConsultStarted,
        ConsultEnded,
        CopilotEngaged,
        CopilotDisengaged,
        DraftProposed,
        DraftResolved,
        ReturnedToAi,
        TransferRequested,
        TransferCancelled,
        AgentFinished,
        AgentWrapped,
        Offloaded,
        Reclaimed,
        Deferred,
        CustomerLeft,
        CustomerReturned,
        Closed,
        DeliveryFailed,
        TimerFired,
        PolicyChanged,
        Feedback,
    )
}

#: Events that are planned; a recording that holds one is told so by name.
RESERVED_EVENTS = ("approval_requested", "approval_resolved")

__all__ = [
    "AgentAssigned",
    "AgentEvent",
    "AgentFinished",
    "AgentLost",
    "AgentMessage",
    "AgentParked",
    "AgentUnparked",
    "AgentWrapped",
    "AiTurn",
    "Closed",
    "ConsultEnded",
    "ConsultStarted",
    "ContextReady",
    "ConversationStarted",
    "CopilotDisengaged",
    "CopilotEngaged",
    "CustomerLeft",
    "CustomerMessage",
    "CustomerReturned",
    "CustomerUpdated",
    "Deferred",
    "DeliveryFailed",
    "DispositionEvent",
    "DraftProposed",
    "DraftResolved",
    "EVENTS",
    "Event",
    "Feedback",
    "HandoffRequested",
    "HandoffWithdrawn",
    "OfferAccepted",
    "OfferDeclined",
    "OfferEvent",
    "OfferExpired",
    "OfferMade",
    "OfferRescinded",
    "Offloaded",
    "PolicyChanged",
    "PresenceChanged",
    "RESERVED_EVENTS",
    "Reclaimed",
    "ReturnedToAi",
    "TicketFailed",
    "TicketOpened",
    "TimerFired",
    "TransferCancelled",
    "TransferRequested",
]
