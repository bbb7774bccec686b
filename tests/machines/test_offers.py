"""The offer machine: pending, then exactly one end."""

import pytest

from handoff_kit.machines.offers import OFFER_ROWS, OfferState, after_offer_event

ENDS = {
    "offer_accepted": OfferState.ACCEPTED,
    "offer_declined": OfferState.DECLINED,
    "offer_expired": OfferState.EXPIRED,
    "offer_rescinded": OfferState.RESCINDED,
}


@pytest.mark.parametrize(("event", "end"), ENDS.items())
def test_a_pending_offer_takes_its_end(event: str, end: OfferState) -> None:
    state, refused = after_offer_event(OfferState.PENDING, event)
    assert state is end
    assert refused is None


@pytest.mark.parametrize("event", ENDS)
@pytest.mark.parametrize("state", set(OfferState) - {OfferState.PENDING})
def test_an_offer_that_is_over_stays_as_it_is(state: OfferState, event: str) -> None:
    assert after_offer_event(state, event) == (state, "stale_offer")


def test_every_pair_of_state_and_event_is_decided_once() -> None:
    pairs = [(row.source, row.event) for row in OFFER_ROWS]
    assert sorted(pairs) == sorted((state, event) for state in OfferState for event in ENDS)
