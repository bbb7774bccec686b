"""The offer machine: pending, then exactly one of accepted, declined, expired, rescinded.

An offer rings at one agent, has a number within its conversation and always a deadline. What may not go in here: who is offered
what (the router decides), what an accepted offer does to the conversation (`table`).
"""

from enum import StrEnum

from .engine import STAY, Engine, Slate, row, rows_of

__all__ = ["OFFER", "OFFER_ROWS", "OfferState", "after_offer_event"]


class OfferState(StrEnum):
    """Where an offer stands."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    EXPIRED = "expired"
    RESCINDED = "rescinded"


_OVER = (OfferState.ACCEPTED, OfferState.DECLINED, OfferState.EXPIRED, OfferState.RESCINDED)
_ANSWERS = ("offer_accepted", "offer_declined", "offer_expired", "offer_rescinded")

OFFER_ROWS = rows_of(
    row("offer_accepted", OfferState.PENDING, OfferState.ACCEPTED),
    row("offer_declined", OfferState.PENDING, OfferState.DECLINED),
    row("offer_expired", OfferState.PENDING, OfferState.EXPIRED),
    row("offer_rescinded", OfferState.PENDING, OfferState.RESCINDED),
    *(row(answer, _OVER, STAY, do="refuse_stale_offer") for answer in _ANSWERS),
)


class _OfferSlate(Slate):
    """One offer during one event."""

    __slots__ = ("refused",)

    def __init__(self, state: OfferState) -> None:
        super().__init__(state.value)
        self.refused: str | None = None


def _refuse(slate: _OfferSlate) -> None:
    slate.refused = "stale_offer"


OFFER = Engine("offer", OfferState, OFFER_ROWS, guards={}, callbacks={"refuse_stale_offer": _refuse})


def after_offer_event(state: OfferState, event: str) -> tuple[OfferState, str | None]:
    """Return the offer's state after an event, and the name of the refusal if it was refused."""
    slate = _OfferSlate(state)
    OFFER.fire(event, slate)
    return OfferState(slate.state), slate.refused
