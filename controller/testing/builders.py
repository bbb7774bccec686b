"""Short forms of the events that a host's tests need most, and a conversation that is led through its states.

The builders leave `at` to the controller, as a host does; any other field can be given by name. `Talk` is for tests without a
controller: it steps the machine itself, and keeps every step.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import attrs

from handoff_kit.machines import (
    AgentAssigned,
    AgentFinished,
    AgentMessage,
    AgentWrapped,
    AiTurn,
    Closed,
    ContextReady,
    Conversation,
    ConversationStarted,
    Customer,
    CustomerMessage,
    Event,
    Feedback,
    HandoffRequested,
    OfferAccepted,
    OfferDeclined,
    OfferMade,
    Policy,
    PresenceChanged,
    ReturnedToAi,
    Step,
    TicketOpened,
    TransferRequested,
    due,
    parse_policy,
    step,
)
from handoff_kit.machines.effects import Effect
from handoff_kit.machines.states import Presence

from .clock import START

__all__ = [
    "Talk",
    "accepts",
    "agent_says",
    "asks_for_a_person",
    "assigned",
    "closed",
    "context_ready",
    "declines",
    "finishes",
    "offered",
    "presence",
    "rates",
    "returns_to_ai",
    "says",
    "small_policy",
    "started",
    "ticket_opened",
    "transfers",
    "turn",
    "wraps_up",
]

E = TypeVar("E", bound=Effect)


def small_policy() -> Policy:
    """Return a policy that hands over where the customer asks, the AI asks, or the AI is unsure (confidence below 0.8)."""
    return parse_policy(
        """
        [[trigger]]
        name = "asks"
        reason = "explicit_request"
        when = { customer_says = ["human", "real person"] }

        [[trigger]]
        name = "ai_asks"
        when = { wants_handoff = true }

        [[trigger]]
        name = "unsure"
        reason = "low_confidence"
        when = { confidence_below = 0.8 }
        """
    )


# --- the customer and the AI


def started(conversation: str = "c-1", **fields: Any) -> ConversationStarted:
    """A customer came to the web channel."""
    given: dict[str, Any] = {"channel": "web", "customer": Customer(id="cu-1"), **fields}
    return ConversationStarted(conversation=conversation, **given)


def says(conversation: str = "c-1", text: str = "hello", **fields: Any) -> CustomerMessage:
    """The customer wrote."""
    return CustomerMessage(conversation=conversation, text=text, **fields)


def turn(conversation: str = "c-1", reply: str | None = "an answer", **fields: Any) -> AiTurn:
    """The AI answers, and is sure of itself; give `epoch` and `in_reply_to` where a test is about them."""
    return AiTurn(conversation=conversation, reply=reply, **{"confidence": 0.95, **fields})


def rates(conversation: str = "c-1", csat: int = 5, **fields: Any) -> Feedback:
    """The customer rated the conversation."""
    return Feedback(conversation=conversation, csat=csat, **fields)


def closed(conversation: str = "c-1", reason: str = "resolved_by_ai", **fields: Any) -> Closed:
    """The conversation was ended."""
    return Closed(conversation=conversation, reason=reason, **fields)


# --- on the way to a person


def asks_for_a_person(conversation: str = "c-1", **fields: Any) -> HandoffRequested:
    """The customer pressed the button."""
    return HandoffRequested(conversation=conversation, **{"by": "customer", **fields})


def context_ready(conversation: str = "c-1", summary: str | None = None, **fields: Any) -> ContextReady:
    """What the person needs was gathered."""
    return ContextReady(conversation=conversation, summary=summary, **fields)


def ticket_opened(conversation: str = "c-1", ticket: str = "T-1", **fields: Any) -> TicketOpened:
    """The desk opened its ticket."""
    return TicketOpened(conversation=conversation, ticket=ticket, **{"desk": "memory", **fields})


def offered(conversation: str = "c-1", agent: str = "a1", offer: int = 1, **fields: Any) -> OfferMade:
    """It rings at an agent."""
    return OfferMade(conversation=conversation, agent=agent, offer=offer, **fields)


def accepts(conversation: str = "c-1", agent: str = "a1", offer: int = 1, **fields: Any) -> OfferAccepted:
    """The agent took the offer."""
    return OfferAccepted(conversation=conversation, agent=agent, offer=offer, **fields)


def declines(conversation: str = "c-1", agent: str = "a1", offer: int = 1, **fields: Any) -> OfferDeclined:
    """The agent said no."""
    return OfferDeclined(conversation=conversation, agent=agent, offer=offer, **fields)


def assigned(conversation: str = "c-1", agent: str = "a1", **fields: Any) -> AgentAssigned:
    """The desk made the agent the owner."""
    return AgentAssigned(conversation=conversation, agent=agent, **{"by": "desk", **fields})


def presence(agent: str = "a1", is_now: str = "available", **fields: Any) -> PresenceChanged:
    """An agent came or went."""
    return PresenceChanged(agent=agent, presence=Presence(is_now), **fields)


# --- with a person, and back


def agent_says(conversation: str = "c-1", text: str = "a person's words", agent: str = "a1", **fields: Any) -> AgentMessage:
    """The agent wrote to the customer."""
    return AgentMessage(conversation=conversation, text=text, agent=agent, **fields)


def transfers(conversation: str = "c-1", agent: str = "a1", **fields: Any) -> TransferRequested:
    """The owner asks somebody else to take over."""
    return TransferRequested(conversation=conversation, agent=agent, **fields)


def returns_to_ai(conversation: str = "c-1", agent: str = "a1", **fields: Any) -> ReturnedToAi:
    """The agent gives it back to the AI."""
    return ReturnedToAi(conversation=conversation, agent=agent, **fields)


def finishes(conversation: str = "c-1", agent: str = "a1", **fields: Any) -> AgentFinished:
    """The agent is done with the customer."""
    return AgentFinished(conversation=conversation, agent=agent, **fields)


def wraps_up(conversation: str = "c-1", agent: str = "a1", **fields: Any) -> AgentWrapped:
    """The agent is done with the paperwork."""
    return AgentWrapped(conversation=conversation, agent=agent, **fields)


# --- without a controller


class Talk:
    """A conversation that the machine steps, one second an event where the event says no time of its own.

    Args:
        policy: the policy that decides; `small_policy()` if not given.
        first: the event that starts it, or only its id.

    Attributes:
        steps: every step, refused ones and those of fired timers too.
        now: the snapshot as it stands.
    """

    def __init__(
        self, policy: Policy | None = None, first: ConversationStarted | str = "c-1", *, start: datetime = START
    ) -> None:
        self.policy = policy or small_policy()
        event = started(first) if isinstance(first, str) else first
        event = attrs.evolve(event, at=event.at or start, seq=event.seq or 1)
        self.steps: list[Step] = [step(self.policy, None, event)]
        self.now: Conversation = self.steps[0].after

    def take(self, *events: Event, after_s: float = 1) -> list[Step]:
        """Step events, each so many seconds after the one before, and the timers that fall due; return their steps.

        What an event does not say is given as a controller gives it: `at`, `seq` (the version that it leads to), conversation.
        """
        taken: list[Step] = []
        for event in events:
            at = event.at or self.now.at + timedelta(seconds=after_s)
            taken += self._fire(at)
            event = attrs.evolve(event, conversation=self.now.id, at=at, seq=event.seq or self.now.version + 1)
            taken.append(self._keep(event))
        return taken

    def wait(self, seconds: float) -> list[Step]:
        """Let timers fire that fall due within so many seconds; return their steps."""
        return self._fire(self.now.at + timedelta(seconds=seconds))

    def effects(self, kind: type[E], of: Iterable[Step] | None = None) -> list[E]:
        """Return the effects of one class, in order; of all steps where none are named."""
        return [one for taken in (self.steps if of is None else of) for one in taken.effects if isinstance(one, kind)]

    def _fire(self, at: datetime) -> list[Step]:
        fired: list[Step] = []
        while (timer := due(self.now, max(at, self.now.at))) is not None:
            fired.append(self._keep(attrs.evolve(timer, seq=self.now.version + 1)))
        return fired

    def _keep(self, event: Event) -> Step:
        done = step(self.policy, self.now, event)
        self.steps.append(done)
        self.now = done.after
        return done
