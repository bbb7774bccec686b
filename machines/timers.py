"""Timers: what each state owes, from what it is counted, and when it is due.

Owed timers are derived from the snapshot after each step; nobody starts or cancels one by hand. A timer is kept as long as its
basis is the same, else a new generation replaces it. What may not go in here: what a timer does when it fires (`table`).
"""

from collections.abc import Set
from datetime import datetime, timedelta

from .conversation import Conversation, Draft, Generation, Timer
from .effects import CancelTimer, Effect, StartTimer
from .events import TimerFired
from .policy import Durations, Policy
from .states import AGENT_STATES, AI_STATES, State

__all__ = ["SIDE_BY_SIDE", "TIMERS", "due", "settle_timers"]

#: Every timer by name, as the table knows them (`timer_<name>`).
TIMERS = (
    "context",
    "queue",
    "queue_step",
    "offer",
    "ai_reply",
    "bot_idle",
    "agent_silent",
    "customer_idle",
    "customer_gone",
    "parked",
    "callback",
    "eta_update",
    "wrap_up",
)

#: Timers of which several may be owed at once; a new generation of any other replaces the one before it.
SIDE_BY_SIDE = frozenset({"offer", "queue_step"})

#: (name, basis, due, key)
_Owed = tuple[str, datetime, datetime, int]


def due(conversation: Conversation, at: datetime, spent: Set[tuple[str, int]] = frozenset()) -> TimerFired | None:
    """Return the event of the owed timer that must be stepped before anything at `at`; None if there is none.

    Call it again with the conversation after that step until it returns None. For an event that comes late, `at` is the
    conversation's own last time.

    Args:
        spent: (name, generation) of timers to pass over.
    """
    first: Timer | None = None
    for timer in conversation.timers:
        if timer.due > at or (spent and (timer.name, timer.generation) in spent):
            continue
        if first is None or (timer.due, timer.name, timer.generation) < (first.due, first.name, first.generation):
            first = timer
    if first is None:
        return None
    return TimerFired(conversation=conversation.id, at=first.due, timer=first.name, generation=first.generation)


def settle_timers(policy: Policy, c: Draft, at: datetime, effects: list[Effect], fired: Timer | None) -> None:
    """Bring the draft's timers in line with what its state owes, and add an effect for each that starts or ends.

    Args:
        fired: the timer that this step stepped; it is over in any case.
    """
    running = c.timers
    if fired is not None:
        running = tuple([timer for timer in running if timer is not fired])
    kept: list[Timer] = []
    started: list[Timer] = []
    for name, basis, when, key in _owed(policy.durations(c.channel), policy, c, at):
        for timer in running:
            if timer.basis == basis and timer.name == name and timer.key == key:
                kept.append(timer)
                break
        else:
            if name == "offer":
                generation = key
            else:
                generation = _count(c, name)
            timer = Timer(name, generation, when if when > at else at, basis, key)
            started.append(timer)
            effects.append(StartTimer(name, generation, timer.due))
    if len(kept) != len(running):
        replaced = [timer.name for timer in started if timer.name not in SIDE_BY_SIDE]
        for timer in running:
            if timer not in kept and timer.name not in replaced:
                effects.append(CancelTimer(timer.name, timer.generation))
    c.timers = (*kept, *started)


def _count(c: Draft, name: str) -> int:
    """Return the timer's next generation, and keep it."""
    for index, one in enumerate(c.generations):
        if one.name == name:
            c.generations = (*c.generations[:index], Generation(name, one.last + 1), *c.generations[index + 1 :])
            return one.last + 1
    c.generations = (*c.generations, Generation(name, 1))
    return 1


def _owed(spans: Durations, policy: Policy, c: Draft, at: datetime) -> list[_Owed]:
    """Return what the state owes: the table of the design, row by row."""
    owed: list[_Owed] = []
    state = c.state
    if state in AI_STATES:
        owed.append(("bot_idle", c.active_at, c.active_at + spans.bot_idle, 0))
        if c.ai_reply_since is not None:
            owed.append(("ai_reply", c.ai_reply_since, c.ai_reply_since + spans.ai_reply, 0))
    elif state is State.ESCALATION_PENDING:
        owed.append(("context", c.entered, c.entered + spans.context, 0))
    elif state is State.QUEUED:
        _owed_in_line(owed, spans, policy, c, at)
    elif state in AGENT_STATES:
        _owed_with_agent(owed, spans, c)
    elif state is State.CALLBACK_PENDING:
        assert c.waiting is not None
        assert c.waiting.promise is not None
        promise = c.waiting.promise
        owed.append(("callback", promise.due or promise.since, promise.due or promise.since + spans.callback, 0))
        return owed
    else:
        if state is State.WRAP_UP:
            owed.append(("wrap_up", c.entered, c.entered + spans.wrap_up, 0))
        return owed
    for offer in c.offers:
        owed.append(("offer", offer.at, offer.deadline, offer.number))
    if c.left_at is not None:
        owed.append(("customer_gone", c.left_at, c.left_at + spans.customer_gone, 0))
    return owed


def _owed_in_line(owed: list[_Owed], spans: Durations, policy: Policy, c: Draft, at: datetime) -> None:
    handoff, waiting = c.handoff, c.waiting
    assert handoff is not None
    assert waiting is not None
    owed.append(("queue", c.entered, c.entered + spans.queue, 0))
    for index, step in enumerate(policy.queue_named(handoff.queue).step):
        if index in handoff.steps_done:
            continue
        if step.after_s is not None:
            owed.append(("queue_step", c.entered, c.entered + timedelta(seconds=step.after_s), index))
        elif step.when_wait_above_s is not None:
            owed.append(("queue_step", handoff.since, handoff.since + timedelta(seconds=step.when_wait_above_s), index))
        elif waiting.seen is not None and waiting.seen.available == 0:
            owed.append(("queue_step", c.entered, at, index))
    if waiting.seen is not None and (waiting.seen.position is not None or waiting.seen.eta_s is not None):
        basis = waiting.told_at or c.entered
        owed.append(("eta_update", basis, basis + spans.eta_update, 0))


def _owed_with_agent(owed: list[_Owed], spans: Durations, c: Draft) -> None:
    held = c.held
    assert held is not None
    transfer, parked = held.transfer, held.parked
    if transfer is not None:
        owed.append(("queue", transfer.at, transfer.at + spans.queue, 0))
    if parked is not None:
        # While a transfer waits, its queue timer leads out; nobody may close the conversation under it.
        if transfer is None:
            owed.append(("parked", parked.until or parked.since, parked.until or parked.since + spans.parked, 0))
    elif held.to_answer == "agent":
        owed.append(("agent_silent", held.turn_since, held.turn_since + spans.agent_silent, 0))
    elif transfer is None:
        owed.append(("customer_idle", held.turn_since, held.turn_since + spans.customer_idle, 0))
