"""What `Controller.handle` answers."""

import attrs

from handoff_kit.machines import Step, Verdict
from handoff_kit.machines.effects import Effect
from handoff_kit.machines.refusals import Refusal

from .records import Delivery, Remembered

__all__ = ["Outcome"]


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of an event; durable by the time it is returned.

    Args:
        conversation: where it was handled: another one than the event's, where a closed conversation was continued.
        state, version, epoch, owner: of that conversation after it.
        step: the event's own step; None for a repetition, whose first outcome was remembered without it.
        effects: of all steps that were committed, timers that fell due before the event included.
        verdicts: which triggers and guards held in the event's own step, and by how much.
        reply: of an AI's turn: `accepted`, `withheld`, or `none` where there is none.
        refused: why the event was not accepted, or None.
        duplicate: its `id` had been handled before; this is the first outcome again.
        owed: texts that the host must send, each with its key, where the channel is `host` (those of this event) or `inline` (all
            that are open for the conversation); see `Controller.delivered`.
    """

    conversation: str
    state: str
    version: int
    epoch: int
    owner: str
    step: Step | None = None
    effects: tuple[Effect, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    reply: str = "none"
    refused: Refusal | None = None
    duplicate: bool = False
    owed: tuple[Delivery, ...] = ()

    @classmethod
    def again(cls, first: Remembered) -> "Outcome":
        """Return the answer to a repetition."""
        return cls(
            conversation=first.conversation,
            state=first.state,
            version=first.version,
            epoch=first.epoch,
            owner=first.owner,
            verdicts=first.verdicts,
            reply=first.reply,
            refused=first.refused,
            duplicate=True,
        )
