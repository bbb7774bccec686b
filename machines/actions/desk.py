"""The desk's side: tickets, and offers that ring at agents."""

from datetime import timedelta

from ..conversation import Offer, Ticket
from ..effects import CloseTicket, OfferConversation, OpenTicket, RescindOffer
from ..events import OfferEvent, TicketFailed, TicketOpened
from ..evolve import evolve
from ..offers import OfferState, after_offer_event
from ..slate import Slate

__all__ = ["end_offer", "expire_offer", "lose_offers", "make_offer", "ticket_failed", "ticket_opened"]


# --- tickets


def ask_for_ticket(slate: Slate) -> None:
    """Ask the desk for this handoff's ticket, unless it has one or is about to."""
    c = slate.c
    handoff = c.handoff
    assert handoff is not None
    if any(t.handoff == handoff.number and t.status != "failed" for t in c.tickets):
        return
    ticket = Ticket(handoff.number, "asked", queue=handoff.queue, tier=handoff.tier)
    c.tickets = (*[one for one in c.tickets if one.handoff != handoff.number], ticket)
    slate.add(OpenTicket(handoff.number, handoff.queue, handoff.tier, slate.payload()))


def end_tickets(slate: Slate, reason: str) -> None:
    """The handoff is over: close its ticket, or remember to close it once the desk answers."""
    c = slate.c
    left = []
    for ticket in c.tickets:
        if ticket.status == "open":
            slate.add(CloseTicket(ticket.handoff, reason, ticket.desk, ticket.ticket))
        elif ticket.status == "asked":
            left.append(evolve(ticket, over=True))
    c.tickets = tuple(left)


def ticket_opened(slate: Slate) -> None:
    """Keep the desk's handle; one that comes too late is closed."""
    event: TicketOpened = slate.event
    ticket = _answered(slate)
    if ticket.over:
        slate.add(CloseTicket(ticket.handoff, slate.c.ending or "too_late", event.desk, event.ticket))
        _replace(slate, ticket, None)
    else:
        _replace(slate, ticket, evolve(ticket, status="open", desk=event.desk, ticket=event.ticket))


def ticket_failed(slate: Slate) -> None:
    """Remember that there is no ticket; a person is told, since the customer may have been promised one."""
    event: TicketFailed = slate.event
    ticket = _answered(slate)
    if ticket.over:
        _replace(slate, ticket, None)
    else:
        _replace(slate, ticket, evolve(ticket, status="failed", desk=event.desk))
        slate.notify("supervisor", "ticket_failed", desk=event.desk, error=event.error)


def _answered(slate: Slate) -> Ticket:
    return next(ticket for ticket in slate.c.tickets if ticket.status == "asked")


def _replace(slate: Slate, old: Ticket, new: Ticket | None) -> None:
    slate.c.tickets = tuple([t for t in ((new if t is old else t) for t in slate.c.tickets) if t is not None])


# --- offers


def make_offer(slate: Slate) -> None:
    """Ring at an agent; what rings beyond the policy's number, or at the same agent, is taken back."""
    event: OfferEvent = slate.event
    c = slate.c
    deadline = event.deadline or slate.at + timedelta(seconds=slate.policy.offer.deadline_s)
    for offer in c.offers:
        if offer.agent == event.agent:
            rescind(slate, offer, "replaced")
    for offer in c.offers[: max(0, len(c.offers) + 1 - slate.policy.offer.parallel)]:
        rescind(slate, offer, "replaced")
    offer = Offer(event.offer, event.agent, slate.at, deadline)
    c.offers = (*c.offers, offer)
    c.offers_used = tuple(sorted({*c.offers_used, event.offer}))
    assert c.queue is not None
    slate.add(OfferConversation(event.agent, event.offer, deadline, c.queue, tuple(slate.reasons())))


def move_offer(slate: Slate, offer: Offer, event: str) -> OfferState:
    """Let the offer machine take an event; an offer that is over leaves the conversation."""
    state, _ = after_offer_event(offer.state, event)
    slate.c.offers = tuple([one for one in slate.c.offers if one.number != offer.number])
    return state


def rescind(slate: Slate, offer: Offer, reason: str) -> None:
    """Take a pending offer back."""
    move_offer(slate, offer, "offer_rescinded")
    slate.add(RescindOffer(offer.agent, offer.number, reason))


def rescind_all(slate: Slate, reason: str) -> None:
    """Take all pending offers back."""
    for offer in slate.c.offers:
        rescind(slate, offer, reason)


def end_offer(slate: Slate) -> None:
    """An offer was declined, expired or taken back; an owner who waits for a transfer is told."""
    event: OfferEvent = slate.event
    offer = slate.c.offer(event.offer)
    assert offer is not None
    _end(slate, offer, event.type)


def expire_offer(slate: Slate) -> None:
    """Nobody took the offer before its deadline."""
    assert slate.timer is not None
    offer = slate.c.offer(slate.timer.key)
    assert offer is not None
    _end(slate, offer, "offer_expired")


def _end(slate: Slate, offer: Offer, event: str) -> None:
    state = move_offer(slate, offer, event)
    if state is not OfferState.DECLINED:
        slate.add(RescindOffer(offer.agent, offer.number, str(state)))
    c = slate.c
    if c.held is not None and c.held.transfer is not None:
        slate.notify(f"agent:{c.agent}", f"transfer_{state}", agent=offer.agent, offer=offer.number)


def lose_offers(slate: Slate) -> None:
    """An agent is gone: what rings there is taken back."""
    for offer in slate.c.offers:
        if offer.agent == slate.event.agent:
            rescind(slate, offer, "agent_lost")
