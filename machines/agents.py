"""An agent's own stream: presence, and the work that takes capacity.

The presence machine says whether an agent can be offered work; capacity is independent of it. What an agent holds is derived from
the conversation after its step, so that the two cannot disagree. What may not go in here: who is offered what (the router).
"""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from .conversation import Conversation
from .engine import STAY, Engine, row, rows_of
from .engine import Slate as EngineSlate
from .errors import HandoffUsageError
from .events import (
    AgentAssigned,
    AgentEvent,
    AgentLost,
    AgentMessage,
    Event,
    OfferExpired,
    OfferMade,
    OfferRescinded,
    PresenceChanged,
    TimerFired,
)
from .evolve import evolve
from .policy import Policy
from .refusals import Refusal
from .states import Presence
from .verdicts import Verdict

__all__ = ["PRESENCE", "PRESENCE_ROWS", "Agent", "AgentStep", "Work", "step_agent"]


@attrs.frozen
class Work:
    """One conversation that takes capacity: `reserved` while an offer rings, else held."""

    conversation: str
    weight: float
    reserved: bool = False


@attrs.frozen
class Agent:
    """A snapshot of one agent.

    Args:
        version: counts accepted steps of this stream.
        lost: the connection was lost, so that the agent's next act brings them back.
        capacity: weighted units; 1 unless said otherwise.
        skills: level 1..5 by name.
    """

    id: str
    at: datetime
    version: int = 0
    presence: Presence = Presence.OFFLINE
    lost: bool = False
    capacity: float = 1.0
    tiers: tuple[str, ...] = ()
    skills: Mapping[str, int] = attrs.field(factory=dict)
    languages: tuple[str, ...] = ()
    work: tuple[Work, ...] = ()

    @property
    def load(self) -> float:
        """Units that are taken, reserved ones included."""
        return math.fsum(one.weight for one in self.work)


@attrs.frozen
class AgentStep:
    """What one event led to on an agent's stream; the fields are those of `Step`."""

    before: Agent | None
    event: Event
    after: Agent
    verdicts: tuple[Verdict, ...] = ()
    refused: Refusal | None = None


OFFLINE, AVAILABLE, AWAY, SILENT = Presence.OFFLINE, Presence.AVAILABLE, Presence.AWAY, Presence.NOT_RESPONDING
_ANY = frozenset(Presence)

PRESENCE_ROWS = rows_of(
    row("presence_offline", _ANY, OFFLINE),
    row("presence_available", _ANY, AVAILABLE),
    row("presence_away", _ANY, AWAY),
    row("presence_not_responding", _ANY, STAY, do="refuse_not_allowed_here"),
    row("presence_kept", _ANY, STAY),
    row("missed", {AVAILABLE, AWAY}, SILENT),
    row("missed", {OFFLINE, SILENT}, STAY),
    row("lost", _ANY, OFFLINE),
    row("acted", SILENT, AVAILABLE),
    row("acted", OFFLINE, AVAILABLE, when="was_lost"),
    row("acted", {OFFLINE, AVAILABLE, AWAY}, STAY),
    row("touched", _ANY, STAY),
)


class _AgentSlate(EngineSlate):
    """One agent during one event."""

    __slots__ = ("agent", "refused")

    def __init__(self, agent: Agent) -> None:
        super().__init__(agent.presence.value)
        self.agent = agent
        self.refused: Refusal | None = None


def _was_lost(slate: _AgentSlate) -> Verdict:
    """The connection was lost; the agent did not sign out."""
    return Verdict("was_lost", slate.agent.lost)


def _refuse(slate: _AgentSlate) -> None:
    slate.refused = Refusal("not_allowed_here", {"presence": str(slate.agent.presence)})


PRESENCE = Engine(
    "presence", Presence, PRESENCE_ROWS, guards={"was_lost": _was_lost}, callbacks={"refuse_not_allowed_here": _refuse}
)

#: Events that name an agent but are not that agent's own act.
_NOT_OWN_ACTS = (AgentLost, OfferMade, OfferExpired, OfferRescinded)


def _missed(agent: Agent, event: TimerFired, conversation: Conversation | None) -> bool:
    """Whether a timer of a conversation means that this agent let an offer, or the customer, wait too long."""
    work = next((one for one in agent.work if one.conversation == event.conversation), None)
    if work is None or event.timer not in ("offer", "agent_silent"):
        return False
    if event.timer == "agent_silent":
        return not work.reserved
    offers = conversation.offers if conversation is not None else ()
    return work.reserved and all(offer.agent != agent.id for offer in offers)


def _word(agent: Agent, event: Event, conversation: Conversation | None) -> str:
    """Return the word under which the presence table lists an event, seen from this agent."""
    if isinstance(event, PresenceChanged):
        return f"presence_{event.presence or 'kept'}"
    if isinstance(event, TimerFired):
        return "missed" if _missed(agent, event, conversation) else "touched"
    if not isinstance(event, AgentEvent) or event.agent != agent.id:
        return "touched"
    if isinstance(event, OfferExpired):
        return "missed"
    if isinstance(event, AgentLost):
        return "lost"
    automatic = isinstance(event, AgentMessage) and event.automatic
    by_others = isinstance(event, AgentAssigned) and event.by != "agent"
    return "touched" if automatic or by_others or isinstance(event, _NOT_OWN_ACTS) else "acted"


def step_agent(
    policy: Policy, before: Agent | None, event: Event, *, conversation: Conversation | None = None, agent: str = ""
) -> AgentStep:
    """Decide what an event leads to on an agent's stream.

    Args:
        before: the agent as they are; None where the stream does not exist yet.
        event: `presence_changed`, or an event of a conversation that concerns the agent.
        conversation: the conversation after its own step; what the agent holds of it is read off there.
        agent: whose stream, where `before` is None and the event names another agent or none.

    Raises:
        HandoffUsageError: the event has no `at`, or nothing says which agent is meant.
    """
    at = event.at
    name = before.id if before is not None else agent or getattr(event, "agent", "")
    if at is None or not name:
        raise HandoffUsageError(f"{event.type} on an agent's stream needs `at` and an agent: give both")
    now = before if before is not None else Agent(name, at)
    slate = _AgentSlate(now)
    PRESENCE.fire(_word(now, event, conversation), slate)
    changes: dict[str, Any] = {"presence": Presence(slate.state), "at": max(at, now.at), "version": now.version + 1}
    if isinstance(event, AgentLost) and event.agent == name:
        changes["lost"] = True
    elif changes["presence"] is not OFFLINE or (isinstance(event, PresenceChanged) and event.presence is not None):
        changes["lost"] = False
    if isinstance(event, PresenceChanged):
        for field in ("capacity", "tiers", "skills", "languages"):
            given = getattr(event, field)
            if given is not None:
                changes[field] = given
    after = evolve(now, **changes)
    if conversation is not None:
        after = evolve(after, work=_work(policy, after, conversation))
    refused = slate.refused
    if refused is None and _asks_for_room(event, name) and after.load > max(now.load, after.capacity):
        refused = Refusal("over_capacity", {"agent": name, "load": now.load, "capacity": after.capacity})
    if refused is not None:
        return AgentStep(before, event, now, tuple(slate.verdicts), refused)
    return AgentStep(before, event, after, tuple(slate.verdicts))


def _asks_for_room(event: Event, agent: str) -> bool:
    """An offer, or an assignment that neither a supervisor nor the desk made, respects capacity."""
    if isinstance(event, OfferMade):
        return event.agent == agent
    return isinstance(event, AgentAssigned) and event.agent == agent and event.by not in ("supervisor", "desk")


def _work(policy: Policy, agent: Agent, conversation: Conversation) -> tuple[Work, ...]:
    """Return the agent's work with that conversation's part read off the conversation itself."""
    others = tuple(one for one in agent.work if one.conversation != conversation.id)
    weight = policy.weights.get(conversation.channel, 1.0)
    if conversation.owner == f"agent:{agent.id}":
        return (*others, Work(conversation.id, 0.0 if conversation.weighs_nothing else weight))
    if any(offer.agent == agent.id for offer in conversation.offers):
        return (*others, Work(conversation.id, weight, reserved=True))
    return others
