"""Guards of the conversation's table: statements about a slate that can be false.

A guard answers with a verdict and changes nothing. Their names are the words of the table.
"""

from collections.abc import Callable

from .policy import QueueStep
from .slate import Slate
from .states import AGENT_STATES
from .values import Json
from .verdicts import Verdict

__all__ = ["GUARDS", "step_of"]

Guard = Callable[[Slate], Verdict]
GUARDS: dict[str, Guard] = {}


def guard(statement: Callable[[Slate], bool]) -> Guard:
    """Register a statement under its own name; its two answers are made once."""
    name = statement.__name__
    true, false = Verdict(name, True), Verdict(name, False)

    def answer(slate: Slate) -> Verdict:
        return true if statement(slate) else false

    answer.__doc__ = statement.__doc__
    GUARDS[name] = answer
    return answer


def measured(read: Callable[[Slate], tuple[bool, Json, Json, float | None]]) -> Guard:
    """Register a guard that compares numbers: (holds, value, threshold, margin)."""
    name = read.__name__

    def answer(slate: Slate) -> Verdict:
        holds, value, threshold, margin = read(slate)
        return Verdict(name, holds, value, threshold, margin)

    answer.__doc__ = read.__doc__
    GUARDS[name] = answer
    return answer


_NO_TRIGGER = Verdict("a_trigger_holds", False)


def a_trigger_holds(slate: Slate) -> Verdict:
    """One of the policy's triggers holds, and the cool-down does not keep it back."""
    held = slate.judged.held
    return Verdict("a_trigger_holds", True, held[0].trigger.name) if held else _NO_TRIGGER


GUARDS["a_trigger_holds"] = a_trigger_holds


@guard
def keeps_a_place(slate: Slate) -> bool:
    """The item was offloaded and keeps its place in a queue."""
    return slate.before.place is not None


@guard
def turn_went_wrong(slate: Slate) -> bool:
    """The AI missed, or an action of its failed."""
    return slate.event.missed or slate.event.failed_action is not None


@guard
def ai_wants_to_close(slate: Slate) -> bool:
    """The AI says that it is done."""
    return bool(slate.event.wants_close)


@measured
def has_settled(slate: Slate) -> tuple[bool, Json, Json, float | None]:
    """So many turns in a row had neither miss nor failure, and no place is kept."""
    good = not slate.event.missed and slate.event.failed_action is None
    turns = slate.before.settled + 1 if good else 0
    wanted = slate.policy.resume.settle_turns
    return slate.before.place is None and turns >= wanted, turns, wanted, turns - wanted


@guard
def resume_failed(slate: Slate) -> bool:
    """The AI has had no accepted turn since it got the floor back."""
    return slate.before.awaiting_resume


@guard
def no_human_is_possible(slate: Slate) -> bool:
    """The queue is closed, or nobody is available and no wait can be estimated."""
    assert slate.before.handoff is not None
    seen = slate.facts_of(slate.before.handoff.queue)
    return seen is not None and seen.no_human_is_possible


@guard
def copilot_engages_on_accept(slate: Slate) -> bool:
    """The policy lets the AI draft from the moment an agent takes the conversation."""
    return slate.policy.copilot.engage == "on_accept"


@guard
def agent_takes_the_floor(slate: Slate) -> bool:
    """A person who does not own the reply speaks to the customer, with the right to take it."""
    event, before = slate.event, slate.before
    if not event.speaks:
        return False
    return before.state not in AGENT_STATES or (event.takeover and event.agent != before.agent)


@guard
def agent_wrote_past_the_owner(slate: Slate) -> bool:
    """A person who does not own wrote to the customer on the channel itself."""
    event = slate.event
    return bool(event.audience == "customer" and event.agent != slate.before.agent)


@guard
def is_a_note(slate: Slate) -> bool:
    """The message is for colleagues only."""
    return bool(slate.event.audience == "internal")


@guard
def a_transfer_waits(slate: Slate) -> bool:
    """The owner asked for somebody else, and nobody has accepted."""
    held = slate.before.held
    return held is not None and held.transfer is not None


@guard
def stands_in_a_queue(slate: Slate) -> bool:
    """The conversation is queued, keeps a place, or waits for a transfer."""
    return slate.before.queue is not None


@guard
def agent_is_another(slate: Slate) -> bool:
    """The event's agent is not the owner."""
    return bool(slate.event.agent != slate.before.agent)


@guard
def owner_is_lost(slate: Slate) -> bool:
    """The agent who is gone is the owner."""
    return bool(slate.event.agent == slate.before.agent)


@guard
def parked_for_a_third_party(slate: Slate) -> bool:
    """The agent waits for somebody else than the customer."""
    held = slate.before.held
    return held is not None and held.parked is not None and held.parked.waiting_for == "third_party"


@measured
def offload_is_allowed(slate: Slate) -> tuple[bool, Json, Json, float | None]:
    """The item was not asked for by the customer, and was not offloaded too often."""
    handoff = slate.before.handoff
    assert handoff is not None
    limit = slate.policy.limits.offloads
    return not handoff.explicit and handoff.offloads < limit, handoff.offloads, limit, limit - handoff.offloads


@measured
def callbacks_are_left(slate: Slate) -> tuple[bool, Json, Json, float | None]:
    """A callback was promised, and it may still be tried."""
    handoff, waiting = slate.before.handoff, slate.before.waiting
    assert handoff is not None
    assert waiting is not None
    assert waiting.promise is not None
    tried, limit = handoff.callbacks, slate.policy.callback.attempts
    return waiting.promise.kind == "callback" and tried < limit, tried, limit, limit - tried


def _ticket_is_open(slate: Slate) -> bool:
    handoff = slate.before.handoff
    return handoff is not None and any(
        ticket.handoff == handoff.number and ticket.status == "open" for ticket in slate.before.tickets
    )


@guard
def ticket_is_open(slate: Slate) -> bool:
    """The desk has opened this handoff's ticket."""
    return _ticket_is_open(slate)


@guard
def ticket_keeps_the_promise(slate: Slate) -> bool:
    """A ticket is promised instead of a person, and it is open."""
    return slate.event.kind == "ticket" and _ticket_is_open(slate)


@guard
def fallback_is_an_open_ticket(slate: Slate) -> bool:
    """The queue falls back to a ticket, and it is open."""
    assert slate.before.handoff is not None
    return slate.policy.queue_named(slate.before.handoff.queue).fallback == "ticket" and _ticket_is_open(slate)


@guard
def ticket_was_promised(slate: Slate) -> bool:
    """The customer was promised a ticket instead of a person."""
    waiting = slate.before.waiting
    promised = waiting is not None and waiting.promise is not None and waiting.promise.kind == "ticket"
    return promised and next(t for t in slate.before.tickets if t.status == "asked").over is False


def _step_does(slate: Slate, do: str) -> bool:
    step = step_of(slate)
    if step is None or step.do != do:
        return False
    handoff, reading = slate.before.handoff, slate.before.reading
    assert handoff is not None
    return step.concerns(handoff.priority, reading.intent if reading is not None else None)


def step_of(slate: Slate) -> QueueStep | None:
    """Return the queue step whose timer fired; None where a changed policy no longer has it."""
    handoff, timer = slate.before.handoff, slate.timer
    assert handoff is not None
    assert timer is not None
    steps = slate.policy.queue_named(handoff.queue).step
    return steps[timer.key] if timer.key < len(steps) else None


@guard
def step_offloads(slate: Slate) -> bool:
    """The queue's step lets the AI try this item."""
    return _step_does(slate, "offload_to_ai")


@guard
def step_calls_back(slate: Slate) -> bool:
    """The queue's step promises this item a callback."""
    return _step_does(slate, "callback")


@guard
def step_opens_a_ticket(slate: Slate) -> bool:
    """The queue's step promises this item a ticket."""
    return _step_does(slate, "ticket")
