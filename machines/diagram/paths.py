"""The path of a recorded session through a machine, as moves that a picture highlights."""

from collections.abc import Iterable

from ..events import OfferEvent, TimerFired
from ..step import Step
from .graph import Move
from .labels import event_in_words

__all__ = ["conversation_moves", "offer_moves"]


def conversation_moves(steps: Iterable[Step]) -> tuple[Move, ...]:
    """Return the conversation's moves, numbered from 1: changes of state, and changes of the owner within one."""
    moves: list[Move] = []
    for step in steps:
        if step.before is None or step.refused is not None:
            continue
        before, after = step.before, step.after
        if before.state is not after.state or before.owner != after.owner:
            moves.append(Move(len(moves) + 1, str(before.state), str(after.state), _why(step)))
    return tuple(moves)


def _why(step: Step) -> str:
    """Return the event, and the triggers that held."""
    told = event_in_words(step.event.trigger)
    held = [verdict.name for verdict in step.verdicts if verdict.leaves and verdict.holds and not verdict.suppressed]
    return f"{told}: {', '.join(held)}" if held else told


def offer_moves(steps: Iterable[Step]) -> tuple[Move, ...]:
    """Return how the conversation's offers ended, numbered by time; offers that still ring have no move."""
    moves: list[Move] = []
    for step in steps:
        if step.before is None or step.refused is not None:
            continue
        ringing = {offer.number for offer in step.after.offers}
        for offer in step.before.offers:
            if offer.number not in ringing:
                moves.append(
                    Move(len(moves) + 1, "pending", _ending(step, offer.number), f"offer {offer.number} to {offer.agent}")
                )
    return tuple(moves)


def _ending(step: Step, offer: int) -> str:
    event = step.event
    if isinstance(event, OfferEvent) and event.offer == offer and event.type != "offer_made":
        return event.type.removeprefix("offer_")
    if isinstance(event, TimerFired) and event.timer == "offer" and event.generation == offer:
        return "expired"
    return "rescinded"
