"""The customer waits: escalation, the queue and its steps, callbacks, offload and reclaim."""

from datetime import datetime
from typing import Any, Literal

from ..contracts import ResumeContract
from ..conversation import Handoff, Place, Promise, Waiting
from ..effects import PrepareContext, RelayToDesk
from ..events import ContextReady, Deferred, HandoffRequested
from ..evolve import evolve
from ..guards import step_of
from ..payload import line_for, summary_for
from ..policy import QueueStep, Route
from ..slate import Slate
from ..texts import eta_in_words
from ..values import QueueFacts
from .ai import ask_bot, resume_ai, start_stretch
from .desk import ask_for_ticket, end_tickets

__all__ = [
    "add_request",
    "defer",
    "do_queue_step",
    "enter_queue",
    "escalate",
    "escalate_by_request",
    "fall_back_to_callback",
    "fall_back_to_ticket_or_callback",
    "flag_missing_context",
    "hold",
    "offload",
    "promise_callback",
    "promise_ticket",
    "reclaim",
    "reclaim_after_silence",
    "reclaim_by_request",
    "take_context",
    "tell_position",
    "try_callback",
    "withdraw",
]


# --- escalation


def escalate(slate: Slate) -> None:
    """Begin a handoff for the triggers that hold."""
    judged = slate.judged
    first = judged.held[0]
    _begin(slate, first.route, judged.reasons, judged.explicit, judged.priority)


def escalate_by_request(slate: Slate) -> None:
    """Begin a handoff because somebody asked for it."""
    event: HandoffRequested = slate.event
    reason, explicit = _request(slate)
    _begin(slate, slate.policy.route_to(event.target), (reason,), explicit, 5, event.summary)


def _begin(
    slate: Slate,
    route: Route,
    reasons: tuple[str, ...],
    explicit: bool,
    priority: int,
    summary: str | None = None,
) -> None:
    c = slate.c
    end_handoff(slate, "new_handoff")
    c.handoffs += 1
    c.handoff = Handoff(
        number=c.handoffs,
        since=slate.at,
        reasons=reasons,
        explicit=explicit,
        priority=priority,
        queue=route.queue,
        tier=route.tier,
        skills=route.skills,
        wish=route.agent,
        summary=summary,
    )
    c.waiting = Waiting()
    slate.add(PrepareContext(c.handoffs, reasons, route.queue))


def _request(slate: Slate) -> tuple[str, bool]:
    """Return a request's reason, and whether it is the customer's own wish."""
    event: HandoffRequested = slate.event
    by = event.by or (event.actor.kind if event.actor is not None else "customer")
    fixed = {"customer": "explicit_request", "ai": "ai_request"}
    return event.reason or fixed.get(by, by), by == "customer"


def end_handoff(slate: Slate, reason: str) -> None:
    """The handoff is over, if there was one."""
    end_tickets(slate, reason)
    slate.c.handoff = None


def add_request(slate: Slate) -> None:
    """Somebody asked again while the customer waits: the reason is added."""
    event: HandoffRequested = slate.event
    reason, explicit = _request(slate)
    _add_reasons(slate, (reason,), explicit)
    if event.summary:
        _change(slate, summary=event.summary)
    slate.update_ticket("handoff_requested", anew=True)


def _add_reasons(slate: Slate, reasons: tuple[str, ...], explicit: bool = False, priority: int = 0) -> None:
    handoff = _handoff(slate)
    _change(
        slate,
        reasons=tuple(dict.fromkeys((*handoff.reasons, *reasons))),
        explicit=handoff.explicit or explicit,
        priority=max(handoff.priority, priority),
    )


def _handoff(slate: Slate) -> Handoff:
    assert slate.c.handoff is not None
    return slate.c.handoff


def _change(slate: Slate, **changes: Any) -> None:
    slate.c.handoff = evolve(_handoff(slate), **changes)


def _waiting(slate: Slate) -> Waiting:
    assert slate.c.waiting is not None
    return slate.c.waiting


# --- context


def take_context(slate: Slate) -> None:
    """Keep what was gathered for the person."""
    event: ContextReady = slate.event
    handoff = _handoff(slate)
    facts = {**handoff.facts, **event.facts}
    _change(slate, summary=event.summary or handoff.summary, facts=facts, context_missing=False)
    slate.update_ticket("context_ready", anew=True)


def flag_missing_context(slate: Slate) -> None:
    """Nobody gathered the context in time; the person is told so."""
    _change(slate, context_missing=True)


# --- the queue


def enter_queue(slate: Slate) -> None:
    """Stand in line. At the first entry of a handoff the customer is told and the ticket is asked for."""
    c = slate.c
    handoff = _handoff(slate)
    c.waiting = evolve(_waiting(slate), promise=None, seen=None)
    c.place = None
    c.awaiting_resume = False
    if handoff.connected:
        slate.update_ticket("queued", anew=True)
    else:
        _change(slate, connected=True)
        ask_for_ticket(slate)
        wanted = "{summary}" in slate.policy.text("connecting", c.customer.locale)
        slate.say("connecting", **({"summary": summary_for(slate.policy, c)} if wanted else {}))
    told: dict[str, Any] = {"reasons": slate.reasons(), "context_missing": handoff.context_missing}
    if slate.may_tell("priority"):
        told["priority"] = handoff.priority
    slate.notify(f"queue:{handoff.queue}", "queued", **told)


def look_at_queue(slate: Slate, queue: QueueFacts) -> None:
    """Keep what the event carries of the item's queue, and tell the customer the first time."""
    slate.c.waiting = evolve(_waiting(slate), seen=queue)
    if slate.c.waiting.told_at is None:
        tell_position(slate)


def tell_position(slate: Slate) -> None:
    """Tell place and wait, rounded and only where known; what was told last is not told again."""
    c = slate.c
    waiting = _waiting(slate)
    observed = slate.facts_of(_handoff(slate).queue)
    if observed is None or observed.position is None or observed.eta_s is None:
        c.waiting = evolve(waiting, told_at=slate.at)
        return
    values = {"position": str(observed.position), "eta": eta_in_words(observed.eta_s)}
    key = f"{values['position']}/{values['eta']}"
    if key != waiting.told:
        slate.say("position", **values)
    c.waiting = evolve(waiting, told=key, told_at=slate.at, seen=observed)


def hold(slate: Slate) -> None:
    """A customer's message while waiting: it reaches the desk; the AI helps by leave, else the hold text is said once."""
    c = slate.c
    line = line_for(slate.policy, _handoff(slate), slate.event.text)
    if line is not None and any(ticket.status != "failed" and not ticket.over for ticket in c.tickets):
        slate.add(RelayToDesk(line, None, slate.event.attachments))
    if slate.has_leave and slate.state != "escalation_pending":
        ask_bot(slate)
        return
    waiting = _waiting(slate)
    if not waiting.hold_said:
        slate.say("hold")
        c.waiting = evolve(waiting, hold_said=True)


def do_queue_step(slate: Slate) -> None:
    """A step of the queue that leaves the item in line; each acts once a handoff."""
    step = _spend_step(slate)
    handoff, reading = _handoff(slate), slate.c.reading
    if step is None or not step.concerns(handoff.priority, reading.intent if reading is not None else None):
        return
    if step.do == "widen":
        _change(slate, widened=(*handoff.widened, step.tier))
        slate.notify(f"tier:{step.tier}", "widened", queue=handoff.queue)
    elif step.do == "drop_skill":
        left = tuple(skill for skill in handoff.skills if step.skill is not None and skill != step.skill)
        _change(slate, skills=left)
    elif step.do == "raise_priority":
        _change(slate, priority=min(9, handoff.priority + step.by))
    elif step.do == "notify":
        waited = (slate.at - handoff.since).total_seconds()
        slate.notify(step.audience, "waited_too_long", queue=handoff.queue, waited_s=waited)


def _spend_step(slate: Slate) -> QueueStep | None:
    assert slate.timer is not None
    _change(slate, steps_done=(*_handoff(slate).steps_done, slate.timer.key))
    return step_of(slate)


# --- a promise instead of a person


def promise_callback(slate: Slate) -> None:
    """No person is possible: promise a callback."""
    seen = slate.facts_of(_handoff(slate).queue)
    closed = seen is not None and seen.open is False
    _promise(slate, "callback", "closed" if closed else "none_available", None)
    slate.notify(f"queue:{_handoff(slate).queue}", "callback_pending", reasons=slate.reasons())


def defer(slate: Slate) -> None:
    """A router promises a callback or a ticket."""
    event: Deferred = slate.event
    _promise(slate, event.kind, event.reason, event.due)


def fall_back_to_callback(slate: Slate) -> None:
    """A step of the queue promises a callback."""
    _spend_step(slate)
    _promise(slate, "callback", "waited_too_long", None)


def promise_ticket(slate: Slate) -> None:
    """The promise becomes a ticket; while the desk has not answered, a supervisor is told."""
    if slate.before.state == "callback_pending":
        slate.notify("supervisor", "callback_became_ticket", queue=_handoff(slate).queue)
    else:
        _spend_step(slate)
    _promise(slate, "ticket", "waited_too_long", None)


def fall_back_to_ticket_or_callback(slate: Slate) -> None:
    """The queue's time is over: its fallback is promised."""
    _promise(slate, slate.policy.queue_named(_handoff(slate).queue).fallback, "waited_too_long", None)


def _promise(slate: Slate, kind: Literal["callback", "ticket"], reason: str, due: datetime | None) -> None:
    c = slate.c
    waiting = _waiting(slate)
    seen = slate.facts_of(_handoff(slate).queue)
    if due is None and seen is not None and seen.opens_at is not None:
        due = seen.opens_at
    renewed = waiting.promise is not None
    c.left_at = None  # who is called back need not stay
    c.waiting = evolve(waiting, promise=Promise(kind, reason, due, slate.at), seen=seen)
    if kind == "ticket":
        ask_for_ticket(slate)
    slate.update_ticket("deferred", kind=kind, reason=reason)
    if not renewed:
        slate.say("closed_hours" if seen is not None and seen.open is False else "callback")


def try_callback(slate: Slate) -> None:
    """The promised time has come: back to the place in line."""
    _change(slate, callbacks=_handoff(slate).callbacks + 1)


# --- offload and reclaim, withdrawal


def offload(slate: Slate) -> None:
    """Let the AI try while the item keeps its place."""
    c = slate.c
    if slate.event.type == "timer_fired":
        _spend_step(slate)
    handoff = _handoff(slate)
    _change(slate, offloads=handoff.offloads + 1)
    c.place = Place(handoff.queue, handoff.since)
    c.boundary_kind = "offload"
    slate.say("offloaded")
    failed = c.reading.failed_action if c.reading is not None else None
    resume_ai(slate, ResumeContract(slate.at, failed_action=failed, offloaded=True))
    slate.update_ticket("offloaded")


def reclaim(slate: Slate) -> None:
    """The item goes back to its place, with what the AI's turn or the customer's message added."""
    if slate.event.type in ("ai_turn", "customer_message", "timer_fired"):
        judged = slate.judged
        reasons = judged.reasons if judged.held else ()
        _add_reasons(slate, reasons, judged.explicit, judged.priority if judged.held else 0)
    _back_in_line(slate)


def reclaim_by_request(slate: Slate) -> None:
    """Somebody asked for a person while the AI tried: the item goes back to its place."""
    reason, explicit = _request(slate)
    _add_reasons(slate, (reason,), explicit)
    _back_in_line(slate)


def reclaim_after_silence(slate: Slate) -> None:
    """The AI did not take the floor that it was given: back in line."""
    judged = slate.judged
    _add_reasons(slate, (*judged.reasons, "resume_failed"), judged.explicit, judged.priority if judged.held else 0)
    _back_in_line(slate)


def _back_in_line(slate: Slate) -> None:
    """Tell the customer, as the offload told them the other way."""
    slate.say("hold")
    slate.c.waiting = Waiting(hold_said=True)
    slate.c.contract = None


def withdraw(slate: Slate) -> None:
    """No person is wanted any more: the AI goes on, and automatic triggers wait for the cool-down."""
    end_handoff(slate, "withdrawn")
    start_stretch(slate)
    slate.c.boundary_kind = "withdrawal"
