"""Everything that a step may ask the shell to do: one frozen class an effect, imperative.

Effects are returned, never performed. An effect's idempotency key is (conversation, version after the step, index).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Literal

import attrs

from .contracts import Payload, ResumeContract
from .values import EMPTY, Attachment, Json

Speaker = Literal["ai", "agent", "system"]


@attrs.frozen
class Effect:
    """What all effects share: a name on the wire."""

    type: ClassVar[str] = ""


@attrs.frozen
class SendToCustomer(Effect):
    """Send a text under `epoch`; `kind` is `reply`, `agent`, or the name of the policy's text."""

    type: ClassVar[str] = "send_to_customer"
    speaker: Speaker
    text: str
    epoch: int
    kind: str = "reply"
    agent: str | None = None
    attachments: tuple[Attachment, ...] = ()


@attrs.frozen
class AskBot(Effect):
    """Ask the AI for a turn; the answer comes back as `ai_turn` with this epoch and `in_reply_to` (seq or id)."""

    type: ClassVar[str] = "ask_bot"
    epoch: int
    in_reply_to: int | str | None = None


@attrs.frozen
class PrepareContext(Effect):
    """Gather what the person needs; the answer comes back as `context_ready`."""

    type: ClassVar[str] = "prepare_context"
    handoff: int
    reasons: tuple[str, ...]
    queue: str


@attrs.frozen
class OpenTicket(Effect):
    """Open the desk's handle for this handoff; the answer comes back as `ticket_opened` or `ticket_failed`."""

    type: ClassVar[str] = "open_ticket"
    handoff: int
    queue: str
    tier: str
    payload: Payload


@attrs.frozen
class UpdateTicket(Effect):
    """Tell the desk what became of the handoff (`what` is the state or event), with a new payload where there is more to know."""

    type: ClassVar[str] = "update_ticket"
    handoff: int
    what: str
    desk: str | None = None
    ticket: str | None = None
    facts: Mapping[str, Json] = attrs.field(factory=dict)
    payload: Payload | None = None


@attrs.frozen
class CloseTicket(Effect):
    """The desk's handle is no longer needed."""

    type: ClassVar[str] = "close_ticket"
    handoff: int
    reason: str
    desk: str | None = None
    ticket: str | None = None


@attrs.frozen
class RelayToDesk(Effect):
    """Bring the customer's words to whoever holds the conversation; `agent` is None while it waits."""

    type: ClassVar[str] = "relay_to_desk"
    text: str
    agent: str | None = None
    attachments: tuple[Attachment, ...] = ()


@attrs.frozen
class NotifyAgents(Effect):
    """Make a noise. `audience` is `agent:<id>`, `queue:<name>` or `supervisor`; `about` says what happened."""

    type: ClassVar[str] = "notify_agents"
    audience: str
    about: str
    facts: Mapping[str, Json] = attrs.field(factory=dict)


@attrs.frozen
class OfferConversation(Effect):
    """Ring at an agent until `deadline`."""

    type: ClassVar[str] = "offer_conversation"
    agent: str
    offer: int
    deadline: datetime
    queue: str
    reasons: tuple[str, ...] = ()


@attrs.frozen
class RescindOffer(Effect):
    """Stop ringing."""

    type: ClassVar[str] = "rescind_offer"
    agent: str
    offer: int
    reason: str


@attrs.frozen
class PrepopulateConsole(Effect):
    """Fill the owner's console with the account and the failed action's parameters, as far as they may leave."""

    type: ClassVar[str] = "prepopulate_console"
    agent: str
    customer: Mapping[str, Json] = EMPTY
    failed_action: Mapping[str, Json] = EMPTY
    entities: Mapping[str, Json] = EMPTY


@attrs.frozen
class ResumeBot(Effect):
    """Give the AI the floor and the contract; its turn comes back with this epoch, without waiting for a message."""

    type: ClassVar[str] = "resume_bot"
    epoch: int
    contract: ResumeContract


@attrs.frozen
class EndBotSession(Effect):
    """End the AI platform's own session, so that the next customer inherits nothing."""

    type: ClassVar[str] = "end_bot_session"
    reason: str


@attrs.frozen
class DraftForAgent(Effect):
    """Ask the AI for a draft; the answer comes back as `draft_proposed`."""

    type: ClassVar[str] = "draft_for_agent"
    agent: str
    epoch: int
    in_reply_to: int | str | None = None


@attrs.frozen
class StartTimer(Effect):
    """Wake the conversation at `due`; an older generation of the same timer and key is replaced."""

    type: ClassVar[str] = "start_timer"
    timer: str
    generation: int
    due: datetime


@attrs.frozen
class CancelTimer(Effect):
    """The timer is no longer owed."""

    type: ClassVar[str] = "cancel_timer"
    timer: str
    generation: int


@attrs.frozen
class RecordFeedback(Effect):
    """Keep the customer's rating."""

    type: ClassVar[str] = "record_feedback"
    csat: int | None = None
    comment: str | None = None
    previous_rating: int | None = None


#: Every effect, by its name on the wire.
EFFECTS: dict[str, type[Effect]] = {
    cls.type: cls
    for cls in (
        SendToCustomer,
        AskBot,
        PrepareContext,
        OpenTicket,
        UpdateTicket,
        CloseTicket,
        RelayToDesk,
        NotifyAgents,
        OfferConversation,
        RescindOffer,
        PrepopulateConsole,
        ResumeBot,
        EndBotSession,
        DraftForAgent,
        StartTimer,
        CancelTimer,
        RecordFeedback,
    )
}

__all__ = [
    "AskBot",
    "CancelTimer",
    "CloseTicket",
    "DraftForAgent",
    "EFFECTS",
    "Effect",
    "EndBotSession",
    "NotifyAgents",
    "OfferConversation",
    "OpenTicket",
    "PrepareContext",
    "PrepopulateConsole",
    "RecordFeedback",
    "RelayToDesk",
    "RescindOffer",
    "ResumeBot",
    "SendToCustomer",
    "StartTimer",
    "UpdateTicket",
]
