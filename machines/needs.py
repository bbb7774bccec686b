"""What the shell must look up before an event can be decided; it puts the answers into the event.

So the decision itself never calls out, and a replay reads what was known at the time.
"""

import attrs

from .conditions import LEAVES, leaves_of
from .conversation import Conversation
from .events import AgentLost, AiTurn, ContextReady, CustomerMessage, Event, HandoffRequested, Reclaimed, TimerFired
from .policy import Policy
from .states import AI_STATES, State
from .triggers import plan_of

__all__ = ["Needs", "needs"]

_IN_LINE = frozenset({State.QUEUED, State.CALLBACK_PENDING})
_NOTHING_TO_SEE = frozenset({State.WRAP_UP, State.CLOSED})


@attrs.frozen
class Needs:
    """What to look up.

    Args:
        queues: queues whose facts belong into `event.observed`.
        prediction: whether `ai_turn.prediction` is needed.
    """

    queues: tuple[str, ...] = ()
    prediction: bool = False


def needs(policy: Policy, before: Conversation | None, event: Event) -> Needs:
    """Return what must be looked up before `step(policy, before, event)`; what the event carries already is left out."""
    if before is None or before.state in _NOTHING_TO_SEE:
        return Needs()
    queues: list[str] = []
    prediction = False
    if before.state in AI_STATES:
        judged = isinstance(event, AiTurn | CustomerMessage) or _is_timer(event, "ai_reply")
        if judged:
            for trial in plan_of(policy):
                wanted = {need for leaf in leaves_of(trial.trigger.when) for need in LEAVES[leaf.kind].needs}
                if "queue" in wanted:
                    queues.append(trial.route.queue)
                if "prediction" in wanted and isinstance(event, AiTurn) and event.prediction is None:
                    prediction = True
    if before.place is not None and isinstance(event, Reclaimed | HandoffRequested):
        queues.append(before.place.queue)
    elif before.handoff is not None and _looks_at_line(before.state, event):
        queues.append(before.handoff.queue)
    known = event.observed.queues if event.observed is not None else {}
    return Needs(tuple(dict.fromkeys(queue for queue in queues if queue not in known)), prediction)


def _looks_at_line(state: State, event: Event) -> bool:
    """On the way into the line, in it, and back into it: is a person possible, at which place, how soon?"""
    if state is State.ESCALATION_PENDING:
        return isinstance(event, ContextReady) or _is_timer(event, "context")
    return state in _IN_LINE or isinstance(event, AgentLost) or _is_timer(event, "agent_silent")


def _is_timer(event: Event, name: str) -> bool:
    return isinstance(event, TimerFired) and event.timer == name
