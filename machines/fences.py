"""Fences: what is checked before the table is asked, in a fixed order, and the refusal that each gives.

Unfenced, stale epoch, not the owner, already answered, then the rest. They keep a bot from talking over a person, an agent from
taking what is not theirs, and a late timer from acting. What may not go in here: anything that depends on a policy's triggers,
but for the turn that answers a message a second time.
"""

import functools
from collections.abc import Callable

from .actions.ai import answered
from .events import (
    AgentAssigned,
    AgentEvent,
    AgentLost,
    AgentMessage,
    AgentWrapped,
    AiTurn,
    DraftProposed,
    DraftResolved,
    Event,
    OfferAccepted,
    OfferDeclined,
    OfferExpired,
    OfferMade,
    OfferRescinded,
    TicketFailed,
    TicketOpened,
    TimerFired,
    TransferRequested,
)
from .slate import Slate
from .states import AGENT_STATES, AI_STATES, State
from .verdicts import Verdict

__all__ = ["FENCES", "fences_of", "is_fenced_out"]

Fence = Callable[[Slate], None]

_UNFENCED = Verdict("unfenced", True)
_MAY_HELP = frozenset({State.QUEUED, State.CALLBACK_PENDING})


def states_its_epoch(slate: Slate) -> None:
    """A turn without an epoch is taken as of now, with a verdict that says so, or refused where the policy is strict."""
    event: AiTurn = slate.event
    if event.epoch is not None:
        return
    if slate.policy.ai.require_epoch:
        slate.refuse("unfenced")
    elif answered(slate, event.in_reply_to) is None:
        slate.verdicts.append(_UNFENCED)


def epoch_is_current(slate: Slate) -> None:
    """What was composed under another epoch is not sent."""
    event: AiTurn | AgentMessage | DraftResolved = slate.event
    epoch = event.epoch
    if epoch is None and isinstance(event, AiTurn):
        named = answered(slate, event.in_reply_to)
        epoch = named.epoch if named is not None else None
    if epoch is None or epoch == slate.before.epoch or (isinstance(event, AgentMessage) and event.delivered):
        return
    slate.refuse("stale_epoch", epoch=epoch, current=slate.before.epoch, owner=slate.before.owner)


def ai_may_write(slate: Slate) -> None:
    """The AI writes where it owns the reply, or by leave while the customer waits."""
    state = slate.before.state
    if state not in AI_STATES and not (state in _MAY_HELP and slate.has_leave):
        slate.refuse("not_owner", owner=slate.before.owner)


def message_is_open(slate: Slate) -> None:
    """One message, one answer; only a turn that hands over is heard a second time, and its reply is withheld."""
    event: AiTurn = slate.event
    named = answered(slate, event.in_reply_to)
    if named is None or not named.answered:
        return
    may_escalate = event.wants_handoff and slate.before.state in AI_STATES
    if not (may_escalate and slate.judged.held):
        slate.refuse("already_answered", in_reply_to=event.in_reply_to)


def agent_owns(slate: Slate) -> None:
    """Only the owner acts while an agent holds the conversation."""
    before = slate.before
    owned = before.state in AGENT_STATES or (before.state is State.WRAP_UP and isinstance(slate.event, AgentWrapped))
    if owned and slate.event.agent != before.agent:
        slate.refuse("not_owner", owner=f"agent:{before.agent}")


def agent_may_write(slate: Slate) -> None:
    """Who does not own may take the floor only from the AI or the system, or with `takeover`; notes are free."""
    event: AgentMessage = slate.event
    before = slate.before
    if event.audience == "internal" or event.delivered:
        return
    if before.state in AGENT_STATES:
        if event.agent != before.agent and not (event.takeover and event.speaks):
            slate.refuse("not_owner", owner=before.owner)
    elif event.automatic and before.state not in (State.WRAP_UP, State.CLOSED):
        slate.refuse("not_owner", owner=before.owner)


def agent_may_be_assigned(slate: Slate) -> None:
    """While an agent owns, only a supervisor or the desk puts another in their place."""
    event: AgentAssigned = slate.event
    before = slate.before
    other = before.state in AGENT_STATES and event.agent != before.agent
    if other and event.by not in ("supervisor", "desk"):
        slate.refuse("not_offered", owner=before.owner)


def lost_agent_is_ours(slate: Slate) -> None:
    """An agent who is gone matters as owner, or where an offer rings."""
    event: AgentLost = slate.event
    before = slate.before
    if any(offer.agent == event.agent for offer in before.offers):
        return
    if before.state in AGENT_STATES:
        if event.agent != before.agent:
            slate.refuse("not_owner", owner=before.owner)
    else:
        slate.refuse("not_allowed_here", state=str(before.state))


def offer_is_pending(slate: Slate) -> None:
    """An answer counts only for a pending offer, and only from the agent at whom it rings."""
    event: OfferAccepted = slate.event
    offer = slate.before.offer(event.offer)
    if offer is None:
        name = "stale_offer" if event.offer in slate.before.offers_used else "not_offered"
        slate.refuse(name, offer=event.offer, owner=slate.before.owner)
    elif offer.agent != event.agent:
        slate.refuse("not_offered", offer=event.offer, offered_to=offer.agent)


def offer_is_new(slate: Slate) -> None:
    """A number is used once."""
    event: OfferMade = slate.event
    if event.offer in slate.before.offers_used:
        slate.refuse("stale_offer", offer=event.offer)


def timer_is_owed(slate: Slate) -> None:
    """A timer acts only while it is owed, and not before it is due."""
    event: TimerFired = slate.event
    for timer in slate.before.timers:
        if timer.name == event.timer and event.generation in (None, timer.generation):
            slate.timer = timer
            if timer.due > slate.at:
                slate.refuse("stale_timer", due=timer.due.isoformat())
            return
    slate.refuse("stale_timer", timer=event.timer, generation=event.generation)


def ticket_is_awaited(slate: Slate) -> None:
    """A ticket event answers an open `OpenTicket`."""
    if not any(ticket.status == "asked" for ticket in slate.before.tickets):
        slate.refuse("unknown_ticket", ticket=slate.event.ticket)


def transfer_is_left(slate: Slate) -> None:
    """A conversation is not passed on for ever."""
    handoff, limit = slate.before.handoff, slate.policy.limits.transfers
    if slate.before.state in AGENT_STATES and handoff is not None and handoff.transfers >= limit:
        slate.refuse("transfer_limit", transfers=handoff.transfers, limit=limit)


def draft_is_known(slate: Slate) -> None:
    """A decision is about a draft that was proposed and not decided."""
    event: DraftResolved = slate.event
    held = slate.before.held
    if held is None or all(draft.draft != event.draft for draft in held.drafts):
        slate.refuse("not_allowed_here", draft=event.draft, state=str(slate.before.state))


def draft_answers_the_last_message(slate: Slate) -> None:
    """A draft for a message that was answered, or after which the customer wrote on, comes too late."""
    event: DraftProposed = slate.event
    named = answered(slate, event.in_reply_to)
    if slate.before.state is not State.COPILOT or named is None:
        return
    if named.answered or named is not slate.before.asked[-1]:
        slate.refuse("already_answered", in_reply_to=event.in_reply_to)


_OFFER_ANSWER = (offer_is_pending,)

#: The fences of each event, in the order in which they are asked; an event that is not listed has none.
FENCES: dict[type[Event], tuple[Fence, ...]] = {
    AiTurn: (states_its_epoch, epoch_is_current, ai_may_write, message_is_open),
    AgentMessage: (epoch_is_current, agent_may_write),
    AgentAssigned: (agent_may_be_assigned,),
    AgentLost: (lost_agent_is_ours,),
    DraftProposed: (draft_answers_the_last_message,),
    DraftResolved: (epoch_is_current, agent_owns, draft_is_known),
    TransferRequested: (agent_owns, transfer_is_left),
    OfferMade: (offer_is_new,),
    OfferAccepted: _OFFER_ANSWER,
    OfferDeclined: _OFFER_ANSWER,
    OfferExpired: _OFFER_ANSWER,
    OfferRescinded: _OFFER_ANSWER,
    TimerFired: (timer_is_owed,),
    TicketOpened: (ticket_is_awaited,),
    TicketFailed: (ticket_is_awaited,),
}


@functools.cache
def fences_of(event: type[Event]) -> tuple[Fence, ...]:
    """Return the fences of an event's class; whatever else an agent does, only the owner does."""
    found = FENCES.get(event)
    if found is not None:
        return found
    return (agent_owns,) if issubclass(event, AgentEvent) else ()


def is_fenced_out(slate: Slate) -> bool:
    """Ask the fences in order; return whether one refused the event."""
    for fence in fences_of(slate.event.__class__):
        fence(slate)
        if slate.refused is not None:
            return True
    return False
