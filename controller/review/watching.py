"""What sessions showed under a policy: how often each arrow, trigger and refusal occurred, and examples of each trigger.

It looks on while sessions are replayed and holds a few lines of each that is under way, so that memory stays flat.
"""

from collections import Counter, deque
from datetime import datetime

import attrs

from handoff_kit.machines import AgentMessage, AiTurn, CustomerMessage, Policy, State, Step
from handoff_kit.machines.explain import STATES_IN_WORDS, account_of

__all__ = ["Example", "Line", "Sessions", "TriggerCount"]

_EXAMPLES = 3  # of each trigger
_LINES = 6  # of the talk before a decision; chosen by us, since that fits a card
_MOVES = 8  # of what followed
_TEXT = 240  # characters of one line


@attrs.frozen
class Line:
    """One line of the talk before a decision."""

    speaker: str
    text: str


@attrs.define
class Example:
    """One conversation that a trigger handed over.

    Args:
        customer: who wrote, in words.
        talk: the last lines before the decision, the deciding one included.
        decision: what was decided and why, in sentences.
        after: what followed: seconds since the decision, the state, what it means.
    """

    conversation: str
    customer: str
    talk: tuple[Line, ...]
    decision: tuple[str, ...]
    after: list[tuple[float, str, str]] = attrs.field(factory=list)
    decided_at: datetime | None = None
    ending: str | None = None


@attrs.define
class TriggerCount:
    """How often a trigger mattered: it was the first to hold, it held beside the first, the cool-down held it back."""

    first: int = 0
    beside: int = 0
    held_back: int = 0


@attrs.define
class _UnderWay:
    talk: deque[Line] = attrs.field(factory=lambda: deque(maxlen=_LINES))
    example: Example | None = None
    escalated: bool = False


class Sessions:
    """Counts over all sessions.

    Attributes:
        conversations: how many there were, and `escalated` how many of them were handed over at least once.
        arrows: by (from, to, event), changes of the owner within a state included.
        refusals: by (refusal, event).
        triggers: by name.
        examples: the first conversations of each trigger, in the order in which they were decided.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.conversations = 0
        self.escalated = 0
        self.arrows: Counter[tuple[str, str, str]] = Counter()
        self.refusals: Counter[tuple[str, str]] = Counter()
        self.final: Counter[str] = Counter()
        self.triggers = {trigger.name: TriggerCount() for trigger in policy.trigger}
        self.examples: dict[str, list[Example]] = {trigger.name: [] for trigger in policy.trigger}
        self._under_way: dict[str, _UnderWay] = {}
        self._last: dict[str, State] = {}

    def step(self, conversation: str, step: Step) -> None:
        """Look at one step."""
        here = self._under_way.setdefault(conversation, _UnderWay())
        self._last[conversation] = step.after.state
        _keep_talk(here, step)
        if step.refused is not None:
            self.refusals[step.refused.name, step.event.trigger] += 1
            return
        before, after = step.before, step.after
        if before is None:
            return
        self._count_triggers(here, step)
        if before.state is not after.state or before.owner != after.owner:
            self.arrows[str(before.state), str(after.state), step.event.trigger] += 1
            _keep_move(here, step)
        if after.state is State.ESCALATION_PENDING and before.state is not after.state:
            here.escalated = True

    def end(self, conversation: str) -> None:
        """The record of a conversation is over."""
        here = self._under_way.pop(conversation, None)
        self.conversations += 1
        self.escalated += here is not None and here.escalated
        last = self._last.pop(conversation, None)
        if last is not None:
            self.final[str(last)] += 1

    def _count_triggers(self, here: _UnderWay, step: Step) -> None:
        held = []
        for verdict in step.verdicts:
            count = self.triggers.get(verdict.name)
            if count is None or not (verdict.holds or verdict.error is not None):
                continue
            if verdict.suppressed:
                count.held_back += 1
            else:
                held.append(verdict.name)
        if not held or step.before is None or step.before.state is step.after.state:
            return
        self.triggers[held[0]].first += 1
        for name in held[1:]:
            self.triggers[name].beside += 1
        examples = self.examples[held[0]]
        if len(examples) < _EXAMPLES:
            here.example = self._example(here, step)
            examples.append(here.example)

    def _example(self, here: _UnderWay, step: Step) -> Example:
        customer = step.after.customer
        facts = [
            f"tier {customer.tier}" if customer.tier else None,
            f"lifetime value {customer.lifetime_value:g}" if customer.lifetime_value is not None else None,
            customer.locale,
            step.after.channel,
        ]
        account = account_of(self.policy, step)
        return Example(
            step.after.id,
            ", ".join(fact for fact in facts if fact),
            tuple(here.talk),
            account.decision,
            decided_at=step.after.at,
        )


def _keep_talk(here: _UnderWay, step: Step) -> None:
    event = step.event
    if isinstance(event, CustomerMessage) and event.text:
        here.talk.append(Line("customer", _cut(event.text)))
    elif isinstance(event, AiTurn) and event.reply:
        here.talk.append(Line("AI, withheld" if step.reply == "withheld" else "AI", _cut(event.reply)))
    elif isinstance(event, AgentMessage) and event.audience == "customer":
        here.talk.append(Line("agent", _cut(event.text)))


def _keep_move(here: _UnderWay, step: Step) -> None:
    example = here.example
    if example is None or example.decided_at is None or len(example.after) >= _MOVES:
        return
    after = step.after
    if after.at == example.decided_at and not example.after and after.state is State.ESCALATION_PENDING:
        return  # the decision itself
    since = (after.at - example.decided_at).total_seconds()
    whom = f" ({after.agent})" if after.owner.startswith("agent:") else ""
    example.after.append((since, str(after.state), f"{STATES_IN_WORDS[after.state]}{whom}"))
    example.ending = after.ending


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _TEXT else f"{text[: _TEXT - 1]}…"
