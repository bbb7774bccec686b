"""The states of a conversation and the facts that hold for each of them.

What may not go in here: arrows (they are in `table`), timers (in `timers`), anything about one conversation.
"""

from enum import StrEnum

__all__ = [
    "AGENT_STATES",
    "AI_STATES",
    "NOBODY",
    "Presence",
    "State",
    "WAITING_STATES",
    "owner_of",
]


class State(StrEnum):
    """Who holds the conversation, and in which role."""

    BOT_ACTIVE = "bot_active"
    ESCALATION_PENDING = "escalation_pending"
    QUEUED = "queued"
    AGENT_ACTIVE = "agent_active"
    COPILOT = "copilot"
    RESUMED_BOT = "resumed_bot"
    CALLBACK_PENDING = "callback_pending"
    WRAP_UP = "wrap_up"
    CLOSED = "closed"


class Presence(StrEnum):
    """Whether an agent can be offered work. `not_responding` is set by the system alone."""

    OFFLINE = "offline"
    AVAILABLE = "available"
    AWAY = "away"
    NOT_RESPONDING = "not_responding"


NOBODY = "nobody"

#: The AI owns the reply.
AI_STATES = frozenset({State.BOT_ACTIVE, State.RESUMED_BOT})
#: The customer waits for a person; the system owns the reply.
WAITING_STATES = frozenset({State.ESCALATION_PENDING, State.QUEUED, State.CALLBACK_PENDING})
#: One named agent owns the reply.
AGENT_STATES = frozenset({State.AGENT_ACTIVE, State.COPILOT})

_FIXED_OWNERS = {
    **dict.fromkeys(AI_STATES, "ai"),
    **dict.fromkeys(WAITING_STATES, "system"),
    State.WRAP_UP: NOBODY,
    State.CLOSED: NOBODY,
}


def owner_of(state: State, agent: str | None) -> str:
    """Return the owner of the reply: `ai`, `system`, `agent:<id>` or `nobody`.

    Args:
        state: the conversation's state.
        agent: the id of the agent who holds it, read in the agents' states only.
    """
    return _FIXED_OWNERS.get(state) or f"agent:{agent}"
