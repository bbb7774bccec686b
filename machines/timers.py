"""Timers: what each state owes, from what it is counted, and when it is due.

Owed timers are derived from the snapshot after each step; nobody starts or cancels one by hand. A timer is kept as long as its
basis is the same, else a new generation replaces it. What may not go in here: what a timer does when it fires (`table`).
"""

from collections.abc import Iterator, Set
from datetime import datetime, timedelta

from .conversation import Conversation, Draft, Timer
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

    Call it again with the conversation after that step until it returns None.

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


def settle_timers(policy: Policy, c: Draft, at: datetime, effects: list[Effect], fired: tuple[str, int] | None) -> None:
    """Bring the draft's timers in line with what its state owes, and add an effect for each that starts or ends.

    Args:
        fired: (name, generation) of the timer that this step stepped; it is over in any case.
    """
    running = c.timers
    if fired is not None:
        running = tuple([t for t in running if (t.name, t.generation) != fired])
    kept: list[Timer] = []
    started: list[Timer] = []
    for name, basis, when, key in _owed(policy.durations(c.channel), policy, c, at):
        for timer in running:
            if timer.name == name and timer.key == key and timer.basis == basis:
                kept.append(timer)
                break
        else:
            generation = key if name == "offer" else c.generation(name) + 1
            if name != "offer":
                c.generations = (*[one for one in c.generations if one[0] != name], (name, generation))
            timer = Timer(name, generation, when if when > at else at, basis, key)
            started.append(timer)
            effects.append(StartTimer(name, generation, timer.due))
    if started or len(kept) != len(running):
        replaced = {timer.name for timer in started} - SIDE_BY_SIDE
        for timer in running:
            if timer not in kept and timer.name not in replaced:
                effects.append(CancelTimer(timer.name, timer.generation))
    c.timers = (*kept, *started)


def _owed(spans: Durations, policy: Policy, c: Draft, at: datetime) -> Iterator[_Owed]:
    """Yield what the state owes: the table of the design, row by row."""
    state = c.state
    if state in AI_STATES:
        yield "bot_idle", c.active_at, c.active_at + spans.bot_idle, 0
        if c.ai_reply_since is not None:
            yield "ai_reply", c.ai_reply_since, c.ai_reply_since + spans.ai_reply, 0
    elif state is State.ESCALATION_PENDING:
        yield "context", c.entered, c.entered + spans.context, 0
    elif state is State.QUEUED:
        yield from _owed_in_line(spans, policy, c, at)
    elif state in AGENT_STATES:
        yield from _owed_with_agent(spans, c)
    elif state is State.CALLBACK_PENDING:
        assert c.waiting is not None
        assert c.waiting.promise is not None
        promise = c.waiting.promise
        yield "callback", promise.since, promise.due or promise.since + spans.callback, 0
        return
    else:
        if state is State.WRAP_UP:
            yield "wrap_up", c.entered, c.entered + spans.wrap_up, 0
        return
    for offer in c.offers:
        yield "offer", offer.at, offer.deadline, offer.number
    if c.left_at is not None:
        yield "customer_gone", c.left_at, c.left_at + spans.customer_gone, 0


def _owed_in_line(spans: Durations, policy: Policy, c: Draft, at: datetime) -> Iterator[_Owed]:
    handoff, waiting = c.handoff, c.waiting
    assert handoff is not None
    assert waiting is not None
    yield "queue", c.entered, c.entered + spans.queue, 0
    for index, step in enumerate(policy.queue_named(handoff.queue).step):
        if index in handoff.steps_done:
            continue
        if step.after_s is not None:
            yield "queue_step", c.entered, c.entered + timedelta(seconds=step.after_s), index
        elif step.when_wait_above_s is not None:
            yield "queue_step", handoff.since, handoff.since + timedelta(seconds=step.when_wait_above_s), index
        elif waiting.seen is not None and waiting.seen.available == 0:
            yield "queue_step", c.entered, at, index
    if waiting.seen is not None and (waiting.seen.position is not None or waiting.seen.eta_s is not None):
        basis = waiting.told_at or c.entered
        yield "eta_update", basis, basis + spans.eta_update, 0


def _owed_with_agent(spans: Durations, c: Draft) -> Iterator[_Owed]:
    held = c.held
    assert held is not None
    transfer, parked = held.transfer, held.parked
    if transfer is not None:
        yield "queue", transfer.at, transfer.at + spans.queue, 0
    if parked is not None:
        # While a transfer waits, its queue timer leads out; nobody may close the conversation under it.
        if transfer is None:
            yield "parked", parked.since, parked.until or parked.since + spans.parked, 0
    elif held.to_answer == "agent":
        yield "agent_silent", held.turn_since, held.turn_since + spans.agent_silent, 0
    elif transfer is None:
        yield "customer_idle", held.turn_since, held.turn_since + spans.customer_idle, 0
