"""How long things took: clocks of a handoff, read off the snapshot.

`customer_wait` runs from the first escalation to the agent's first words, through offloads, transfers and requeues; nothing that
the AI or the system says resets it.
"""

from datetime import datetime

import attrs

from .conversation import Conversation
from .states import State

__all__ = ["Clocks", "clocks"]


@attrs.frozen
class Clocks:
    """Seconds; None where a clock never started.

    Args:
        customer_wait_s: first escalation to the agent's first message (or until now).
        time_to_accept_s: first escalation to the first agent's acceptance (or until now).
        handle_s: that agents held it, pauses included.
        hold_s: that it was parked.
        wrap_up_s: end of the conversation to the end of the paperwork (or until now).
    """

    customer_wait_s: float | None = None
    time_to_accept_s: float | None = None
    handle_s: float | None = None
    hold_s: float | None = None
    wrap_up_s: float | None = None


def clocks(conversation: Conversation, at: datetime) -> Clocks:
    """Return the clocks of the present handoff as of `at`; all None where there is none."""
    handoff, held = conversation.handoff, conversation.held
    if handoff is None:
        return Clocks()
    end = handoff.finished_at or at
    handle = hold = None
    if handoff.accepted_at is not None:
        handle, hold = handoff.handle_s, handoff.held_s
        if held is not None:
            handle += (at - held.since).total_seconds()
            if held.parked is not None:
                hold += (at - held.parked.since).total_seconds()
    wrap_up = None
    if handoff.accepted_at is not None and handoff.finished_at is not None:
        over = conversation.at if conversation.state is State.CLOSED else at
        wrap_up = (over - handoff.finished_at).total_seconds()
    return Clocks(
        customer_wait_s=((handoff.answered_at or end) - handoff.since).total_seconds(),
        time_to_accept_s=((handoff.accepted_at or end) - handoff.since).total_seconds(),
        handle_s=handle,
        hold_s=hold,
        wrap_up_s=wrap_up,
    )
