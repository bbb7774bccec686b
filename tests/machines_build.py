"""Builders for the tests of the machines: a policy, times, and a conversation that is led through its states."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from handoff_kit.machines import (
    AiTurn,
    ContextReady,
    Conversation,
    ConversationStarted,
    Customer,
    Event,
    HandoffRequested,
    OfferAccepted,
    OfferMade,
    Policy,
    State,
    Step,
    advance,
    due,
    parse_policy,
    step,
)

START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)

DEFAULT = """
[[trigger]]
name = "asks"
when = { customer_says = ["human", "real person"] }

[[trigger]]
name = "ai_asks"
when = { wants_handoff = true }

[[trigger]]
name = "unsure"
when = { confidence_below = 0.8 }
"""

T = TypeVar("T")


def at(seconds: float) -> datetime:
    """The time so many seconds after the start."""
    return START + timedelta(seconds=seconds)


def policy(text: str = DEFAULT) -> Policy:
    """The policy of a TOML text."""
    return parse_policy(text)


def effects_of(steps: Step | Iterable[Step], cls: type[T]) -> list[T]:
    """All effects of one class, in order, of one step or of several."""
    listed = [steps] if isinstance(steps, Step) else list(steps)
    return [effect for one in listed for effect in one.effects if isinstance(effect, cls)]


class Talk:
    """A conversation that starts at 0 s and keeps every step it took."""

    def __init__(
        self,
        policy: Policy | None = None,
        conversation: str = "c-1",
        channel: str = "web",
        customer: Customer | None = None,
    ) -> None:
        self.policy = parse_policy(DEFAULT) if policy is None else policy
        self.conversation = conversation
        self.steps: list[Step] = []
        self.offers = 0
        first = ConversationStarted(
            conversation=conversation, at=START, channel=channel, customer=customer or Customer(id="cu-1")
        )
        self.now: Conversation = self._keep(step(self.policy, None, first)).after

    def _keep(self, one: Step) -> Step:
        self.steps.append(one)
        self.now = one.after
        return one

    @property
    def state(self) -> State:
        return self.now.state

    @property
    def epoch(self) -> int:
        return self.now.epoch

    def do(self, cls: type[Event], seconds: float, **fields: Any) -> Step:
        """Step the timers that are due, then the event; return the event's own step."""
        return self.take(cls(conversation=self.conversation, at=at(seconds), **fields))

    def take(self, event: Event) -> Step:
        """The same with an event that is already made."""
        for one in advance(self.policy, self.now, event):
            self._keep(one)
        return self.steps[-1]

    def wait(self, seconds: float) -> list[Step]:
        """Fire all timers that are due up to that time; return their steps."""
        fired: list[Step] = []
        while (timer := due(self.now, at(seconds))) is not None:
            fired.append(self._keep(step(self.policy, self.now, timer)))
            assert fired[-1].refused is None, fired[-1].refused
        return fired

    def escalate(self, seconds: float) -> Step:
        """To escalation_pending, as the customer asked."""
        return self.do(HandoffRequested, seconds, by="customer")

    def queue(self, seconds: float) -> Step:
        """To queued."""
        if self.state is not State.ESCALATION_PENDING:
            self.escalate(seconds)
        return self.do(ContextReady, seconds)

    def accept(self, seconds: float, agent: str = "a1") -> Step:
        """To agent_active, by an offer that the agent takes."""
        if self.now.queue is None:
            self.queue(seconds)
        self.offers = max((self.offers, *self.now.offers_used, *(offer.number for offer in self.now.offers))) + 1
        self.do(OfferMade, seconds, agent=agent, offer=self.offers)
        return self.do(OfferAccepted, seconds, agent=agent, offer=self.offers)

    def turn(self, seconds: float, **fields: Any) -> Step:
        """The AI answers under the present epoch."""
        return self.do(AiTurn, seconds, **{"epoch": self.epoch, **fields})
