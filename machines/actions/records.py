"""What is only taken down: facts about the customer, who is there, ratings, failed deliveries; and the end."""

from ..effects import RecordFeedback
from ..events import Closed, CustomerUpdated, Feedback, PolicyChanged
from ..evolve import evolve
from ..slate import Slate
from ..states import State
from .ai import end_bot_session
from .desk import end_tickets
from .people import leave_floor

__all__ = [
    "change_policy",
    "close_as_abandoned",
    "close_as_idle",
    "close_as_left",
    "close_as_resolved_by_ai",
    "close_as_told",
    "close_by_ticket",
    "close_wrapped",
    "customer_is_back",
    "customer_is_gone",
    "note",
    "record_feedback",
    "update_customer",
]


def note(slate: Slate) -> None:
    """Take the event down and change nothing else."""


def update_customer(slate: Slate) -> None:
    """Merge what changed."""
    event: CustomerUpdated = slate.event
    c = slate.c
    if event.customer is not None:
        c.customer = event.customer.merged(c.customer)
    if event.channel is not None:
        c.channel = event.channel
    if event.linked:
        c.linked = tuple(dict.fromkeys((*c.linked, *event.linked)))


def change_policy(slate: Slate) -> None:
    """From the next event on another policy decides; timers that run keep their times."""
    event: PolicyChanged = slate.event
    slate.c.policy = event.fingerprint


def customer_is_gone(slate: Slate) -> None:
    """The customer's connection went away; who waits for a callback need not stay."""
    if slate.c.left_at is None and slate.state != State.CALLBACK_PENDING:
        slate.c.left_at = slate.at


def customer_is_back(slate: Slate) -> None:
    """The customer is back."""
    slate.c.left_at = None


def record_feedback(slate: Slate) -> None:
    """Keep the rating."""
    event: Feedback = slate.event
    slate.add(RecordFeedback(event.csat, event.comment, event.previous_rating))


# --- the end


def _close(slate: Slate, reason: str, *, ticket_goes_on: bool = False) -> None:
    c = slate.c
    leave_floor(slate)
    c.ending = reason
    if ticket_goes_on:
        slate.update_ticket("continued_by_ticket")
    else:
        end_tickets(slate, reason)
    if c.handoff is not None and c.handoff.finished_at is None:
        c.handoff = evolve(c.handoff, finished_at=slate.at)
    c.place = None
    c.waiting = None
    end_bot_session(slate)


def close_as_told(slate: Slate) -> None:
    """Close for the reason that the event gives."""
    event: Closed = slate.event
    _close(slate, event.reason or "other")


def close_as_resolved_by_ai(slate: Slate) -> None:
    """The AI is done."""
    _close(slate, "resolved_by_ai")


def close_as_idle(slate: Slate) -> None:
    """The customer has not written for too long."""
    _close(slate, "customer_idle")


def close_as_left(slate: Slate) -> None:
    """The customer left the AI."""
    _close(slate, "customer_left")


def close_as_abandoned(slate: Slate) -> None:
    """The customer left while waiting for a person; a desk that has not answered yet is told too."""
    slate.update_ticket("abandoned_waiting")
    _close(slate, "abandoned_waiting")


def close_by_ticket(slate: Slate) -> None:
    """The desk's ticket goes on where the conversation ends; a customer who was promised nothing yet is told."""
    if slate.c.waiting is not None and slate.c.waiting.promise is None:
        slate.say("callback")
    _close(slate, "continued_by_ticket", ticket_goes_on=True)


def close_wrapped(slate: Slate) -> None:
    """The agent's paperwork is done, or its time is over."""
    _close(slate, slate.c.ending or "resolved_by_agent")
