"""`step`: one event, one decision. Pure, and the only caller of the conversation's machine.

What follows from a state rather than from an arrow stands here, once for all arrows: the owner and the epoch, the end of pending
offers, the timers that are owed.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import attrs

from .actions.desk import rescind_all
from .actions.waiting import end_handoff, look_at_queue
from .conversation import Conversation, Draft, sealed
from .effects import Effect
from .engine import Engine, GuardFailed
from .errors import HandoffUsageError
from .events import AiTurn, ConversationStarted, CustomerMessage, Event, TimerFired
from .fences import is_fenced_out
from .policy import Policy
from .refusals import Refusal
from .slate import Slate
from .states import AGENT_STATES, AI_STATES, State, owner_of
from .table import CONVERSATION
from .timers import due, settle_timers
from .verdicts import Verdict

__all__ = ["Step", "advance", "step"]

#: Events on which triggers are evaluated; a guard that breaks there sends the customer to a person.
_JUDGED = (AiTurn, CustomerMessage)


@attrs.frozen
class Step:
    """What one event led to.

    Args:
        before: the snapshot before; None for `conversation_started`.
        event: the event.
        after: the snapshot after; the very object `before` where the event was refused.
        effects: what the shell must do, in order; an effect's key is (conversation, `after.version`, index).
        verdicts: what the guards answered, in the order in which they were asked.
        refused: why the event was not accepted, or None.
    """

    before: Conversation | None
    event: Event
    after: Conversation
    effects: tuple[Effect, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    refused: Refusal | None = None

    @property
    def reply(self) -> str:
        """What became of the AI's reply: `accepted`, `withheld`, or `none` where the event carries none."""
        if not isinstance(self.event, AiTurn) or not (self.event.reply or self.event.attachments):
            return "none"
        sent = any(getattr(effect, "speaker", None) == "ai" for effect in self.effects)
        return "accepted" if sent else "withheld"

    @property
    def late(self) -> bool:
        """The event's time is before the conversation's last, and was taken as that."""
        return self.before is not None and self.event.at is not None and self.event.at < self.before.at


def step(
    policy: Policy,
    before: Conversation | None,
    event: Event,
    *,
    recorded: tuple[Verdict, ...] | None = None,
    engine: Engine = CONVERSATION,
) -> Step:
    """Decide what an event leads to.

    Timers that are due before the event must be stepped first: see `advance`, or `due` for a host with a loop of its own.

    Args:
        policy: the policy that decides.
        before: the conversation as it is; None where it does not exist yet.
        event: what happened; `at` must be given.
        recorded: triggers' verdicts that are taken as they are, where fields that they read were erased.
        engine: the machine; the default serves everybody, others are for tests and measurements.

    Raises:
        HandoffUsageError: the event has no `at`, or is not `ConversationStarted` though `before` is None.
    """
    at = event.at
    if at is None:
        raise HandoffUsageError(f"{event.type} of {event.conversation!r} has no `at`: step reads no clock, so give one")
    if before is None:
        return _start(policy, event, at)
    if at < before.at:
        at = before.at
    by_name = {verdict.name: verdict for verdict in recorded} if recorded is not None else None
    slate = Slate(policy, before, event, at, by_name)
    try:
        if not is_fenced_out(slate):
            engine.fire(event.trigger, slate)
    except GuardFailed as failure:
        slate = _after_broken_guard(policy, slate, failure.verdict, engine)
    if slate.refused is not None:
        return Step(before, event, before, (), tuple(slate.verdicts), slate.refused)
    after = _settle(slate, before)
    return Step(before, event, after, tuple(slate.effects), tuple(slate.verdicts))


class _LenientSlate(Slate):
    """The slate of a second try after a guard broke: what breaks again does not hold, and the customer goes to a person."""

    __slots__ = ()

    def ask(self, name: str, guard: Callable[[Any], Verdict]) -> Verdict:
        """Return the guard's verdict, or one that says that it broke."""
        try:
            return super().ask(name, guard)
        except GuardFailed as failure:
            broken = attrs.evolve(failure.verdict, holds=True if name == "a_trigger_holds" else None)
            return super().ask(name, lambda _: broken)


def _after_broken_guard(policy: Policy, slate: Slate, verdict: Verdict, engine: Engine) -> Slate:
    """In the AI's states the customer goes to a person; elsewhere nothing moves."""
    event, before = slate.event, slate.before
    judged = isinstance(event, _JUDGED) or (isinstance(event, TimerFired) and event.timer == "ai_reply")
    if judged and before.state in AI_STATES:
        again = _LenientSlate(policy, before, event, slate.at, None, verdict)
        again.timer = slate.timer
        engine.fire(event.trigger, again)
        return again
    refused = Slate(policy, before, event, slate.at)
    refused.verdicts.append(verdict)
    refused.refuse("guard_error", guard=verdict.name, error=verdict.error)
    return refused


def _settle(slate: Slate, before: Conversation) -> Conversation:
    """Bring owner, epoch, offers and timers in line with the new state, and seal the draft."""
    c, at = slate.c, slate.at
    state: State = slate.state if isinstance(slate.state, State) else State(slate.state)
    moved = state is not before.state
    c.state = state
    c.owner = owner_of(state, c.agent)
    c.version += 1
    if moved:
        c.entered = at
        if state is State.BOT_ACTIVE:
            end_handoff(slate, "settled")
    if c.owner != before.owner:
        c.epoch += 1
        if c.offers:
            rescind_all(slate, "taken" if state in AGENT_STATES else "left_queue")
    elif moved and c.offers and not (state in AGENT_STATES and before.state in AGENT_STATES):
        rescind_all(slate, "left_queue")
    c.at = at
    event, timer = slate.event, slate.timer
    if state is State.QUEUED and event.observed is not None and c.handoff is not None:
        seen = event.observed.queues.get(c.handoff.queue)
        if seen is not None:
            look_at_queue(slate, seen)
    settle_timers(slate.policy, c, at, slate.effects, timer)
    return sealed(c)


def _start(policy: Policy, event: Event, at: datetime) -> Step:
    if not isinstance(event, ConversationStarted):
        raise HandoffUsageError(
            f"{event.type} of {event.conversation!r}, which was never started: step ConversationStarted first"
        )
    c = Draft(
        id=event.conversation,
        channel=event.channel,
        customer=event.customer,
        policy=policy.fingerprint,
        at=at,
        boundary=at,
        entered=at,
        active_at=at,
        previous=event.previous,
    )
    effects: list[Effect] = []
    settle_timers(policy, c, at, effects, None)
    return Step(None, event, sealed(c), tuple(effects))


def advance(policy: Policy, before: Conversation | None, event: Event) -> Iterator[Step]:
    """Yield the steps of all timers that are due before the event, in their order, and then the event's own.

    This is the one rule of timers, live and in replay. The last step is the event's.
    """
    if before is not None and event.at is not None:
        at = max(event.at, before.at)  # a late event is taken as of now, and overtakes nothing that is due now
        while (timer := due(before, at)) is not None:
            fired = step(policy, before, timer)
            yield fired
            if fired.refused is not None:
                break
            before = fired.after
    yield step(policy, before, event)
