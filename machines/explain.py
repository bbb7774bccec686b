"""Decisions in sentences that a support lead understands: which guard, which value, which threshold, by how much.

What may not go in here: colours and layout (the command's), any decision.
"""

from collections.abc import Callable
from datetime import datetime

import attrs

from .conversation import Conversation
from .effects import (
    CloseTicket,
    Effect,
    NotifyAgents,
    OfferConversation,
    OpenTicket,
    ResumeBot,
    SendToCustomer,
)
from .events import (
    AgentAssigned,
    AgentMessage,
    AgentParked,
    AiTurn,
    Closed,
    ContextReady,
    ConversationStarted,
    CustomerMessage,
    Deferred,
    DeliveryFailed,
    DraftProposed,
    DraftResolved,
    Event,
    Feedback,
    HandoffRequested,
    OfferEvent,
    ReturnedToAi,
    TicketFailed,
    TicketOpened,
    TimerFired,
    TransferRequested,
)
from .policy import Policy
from .refusals import Refusal
from .states import State
from .step import Step
from .values import Json
from .verdicts import Verdict

__all__ = ["Account", "account_of", "closest", "leaf_in_words", "trigger_in_words"]

_LONG = 140  # characters of a quoted text; chosen by us, since a decision should fit a few lines

#: What it means that a conversation is in a state.
STATES_IN_WORDS: dict[State, str] = {
    State.BOT_ACTIVE: "the AI holds the conversation",
    State.ESCALATION_PENDING: "it is being handed over",
    State.QUEUED: "the customer waits in line for a person",
    State.AGENT_ACTIVE: "an agent holds the conversation",
    State.COPILOT: "an agent holds the conversation, and the AI drafts",
    State.RESUMED_BOT: "the AI has the floor back",
    State.CALLBACK_PENDING: "the customer was promised an answer later",
    State.WRAP_UP: "the agent finishes the paperwork",
    State.CLOSED: "the conversation is closed",
}

_TIMERS_IN_WORDS: dict[str, str] = {
    "context": "The context for the person was not ready in time.",
    "queue": "Nobody took it in the time that the queue allows.",
    "queue_step": "A step of the queue fell due.",
    "offer": "The offer was not taken in time.",
    "ai_reply": "The AI did not answer in time, which counts as a miss.",
    "bot_idle": "Nothing happened for as long as the policy allows.",
    "agent_silent": "The agent did not write in time.",
    "customer_idle": "The customer has not answered, so the conversation takes no capacity for now.",
    "customer_gone": "The customer did not come back in time.",
    "parked": "The pause is over.",
    "callback": "The time of the promised callback has come.",
    "eta_update": "It is time to tell the customer the place in line.",
    "wrap_up": "The time for paperwork is over.",
}

#: Guards of the table that explain why a row was taken; the others say only what the state says anyway.
_GUARDS_IN_WORDS: dict[str, str] = {
    "no_human_is_possible": "No person is possible now: the queue is closed, or nobody is available.",
    "keeps_a_place": "It kept its place in line.",
    "resume_failed": "The AI did not take up the floor that it was given.",
    "has_settled": "The AI has answered well often enough since it got the floor back.",
    "ai_wants_to_close": "The AI says that it is done.",
}


@attrs.frozen
class Account:
    """One step in words.

    Args:
        what: what happened.
        decision: what follows, and why; empty where nothing was decided.
    """

    at: datetime
    what: str
    decision: tuple[str, ...] = ()


def account_of(policy: Policy, step: Step) -> Account:
    """Return one step in sentences."""
    what = _what(step)
    at = step.after.at if step.refused is None else (step.event.at or step.after.at)
    if step.refused is not None:
        return Account(at, what, (_refusal_in_words(step.refused),))
    return Account(at, what, tuple(_decision(policy, step)))


def _refusal_in_words(refused: Refusal) -> str:
    told = f"Refused ({refused.name}): {refused.sentence}"
    owner = refused.facts.get("owner")
    if owner is not None:
        return f"{told} It is with {_OWNERS_IN_WORDS.get(owner, owner.replace(':', ' '))}."
    facts = ", ".join(f"{name} {_plain(value)}" for name, value in refused.facts.items() if value is not None)
    return f"{told} [{facts}]" if facts else told


_OWNERS_IN_WORDS = {
    "ai": "the AI",
    "system": "the system, since the customer waits for a person",
    "nobody": "nobody",
}


def _decision(policy: Policy, step: Step) -> list[str]:
    before, after = step.before, step.after
    moved = before is not None and before.state is not after.state
    lines: list[str] = []
    if before is not None and moved:
        lines.append(f"{before.state} → {after.state}: {STATES_IN_WORDS[after.state]}{_whom(after)}.")
    for trigger in policy.trigger:
        verdict = next((v for v in step.verdicts if v.name == trigger.name), None)
        if verdict is None:
            continue
        if verdict.error is not None:
            lines.append(f"Trigger {trigger.name} could not be evaluated ({verdict.error}), so a person takes over.")
        elif verdict.suppressed:
            left = verdict.cooldown_left_s or 0.0
            lines.append(f"Trigger {trigger.name} held but was held back: the cool-down runs for another {left:g} s.")
        elif verdict.holds:
            lines.append(f"Trigger {trigger.name} holds: {trigger_in_words(verdict)}.")
    if moved:
        lines += [_GUARDS_IN_WORDS[v.name] for v in step.verdicts if v.holds is True and v.name in _GUARDS_IN_WORDS]
    if before is not None and after.handoff is not None and _reasons(before) != after.handoff.reasons:
        told = ", ".join(after.handoff.reasons)
        where = f"queue {after.handoff.queue}, priority {after.handoff.priority}"
        lines.append(f"Reasons that the person is told: {told} ({where}).")
    if step.reply == "withheld":
        lines.append("The AI's reply was withheld.")
    lines += [line for effect in step.effects if (line := _effect_in_words(effect)) is not None]
    return lines


def _reasons(conversation: Conversation) -> tuple[str, ...]:
    return conversation.handoff.reasons if conversation.handoff is not None else ()


def _whom(conversation: Conversation) -> str:
    return f" ({conversation.agent})" if conversation.owner.startswith("agent:") else ""


# --- events


def _what(step: Step) -> str:
    event = step.event
    if isinstance(event, AiTurn):
        return _ai_turn(event, "answers" if step.reply == "accepted" else "proposes")
    for cls, words in _EVENTS_IN_WORDS.items():
        if isinstance(event, cls):
            return words(event)
    agent = getattr(event, "agent", None)
    name = event.type.replace("_", " ")
    reason = getattr(event, "reason", None)
    return f"{name[0].upper()}{name[1:]}{f' ({agent})' if agent else ''}{f': {reason}' if reason else ''}."


def _quoted(text: str) -> str:
    """Return a text in quotation marks, cut where it is long, and a full stop after it where it has no end of its own."""
    text = " ".join(text.split())
    if len(text) > _LONG:
        return f"“{text[: _LONG - 1]}…”"
    return f"“{text}”" if text.endswith((".", "!", "?", "…")) else f"“{text}”."


def _ai_turn(event: AiTurn, verb: str) -> str:
    read = []
    if event.intent is not None:
        read.append(f"intent {event.intent}")
    if event.confidence is not None:
        read.append(f"confidence {_plain(event.confidence)}")
    if event.sentiment is not None:
        read.append(f"sentiment {_plain(event.sentiment)}")
    if event.missed:
        read.append("it did not understand")
    for action in event.actions:
        read.append(f"it did {action.name}{f' ({action.status})' if action.status else ''}")
    if event.failed_action is not None:
        code = f" ({event.failed_action.error_code})" if event.failed_action.error_code else ""
        read.append(f"its action {event.failed_action.name} failed{code}")
    if event.wants_handoff:
        read.append("it asks for a person")
    if event.wants_close:
        read.append("it says that it is done")
    said = f"The AI {verb}: {_quoted(event.reply)}" if event.reply else "The AI has no reply."
    return f"{said} [{'; '.join(read)}]" if read else said


def _started(event: ConversationStarted) -> str:
    tier = f", tier {event.customer.tier}" if event.customer.tier else ""
    before = f"; it continues {event.previous}" if event.previous else ""
    return f"The conversation began on {event.channel} with customer {event.customer.id}{tier}{before}."


def _asked(event: HandoffRequested) -> str:
    by = event.by or (event.actor.kind if event.actor is not None else "customer")
    return f"A person was requested by {by}{f': {event.reason}' if event.reason else ''}."


def _offer(event: OfferEvent) -> str:
    return f"Offer {event.offer} to {event.agent}: {event.type.removeprefix('offer_')}."


def _agent_wrote(event: AgentMessage) -> str:
    if event.audience == "internal":
        return f"Agent {event.agent} noted for colleagues: {_quoted(event.text)}"
    return f"Agent {event.agent} wrote: {_quoted(event.text)}"


def _returned(event: ReturnedToAi) -> str:
    told = f": {_quoted(event.instruction)}" if event.instruction else "."
    facts = ", ".join(f"{name} = {_plain(value)}" for name, value in event.facts.items())
    return f"Agent {event.agent} gave it back to the AI{told}{f' [{facts}]' if facts else ''}"


def _error(error: Json) -> str:
    return f" ({_plain(error)})" if error is not None else ""


_EVENTS_IN_WORDS: dict[type[Event], Callable[..., str]] = {
    ConversationStarted: _started,
    CustomerMessage: lambda e: f"The customer wrote: {_quoted(e.text)}{f' [chose {e.choice}]' if e.choice else ''}",
    HandoffRequested: _asked,
    OfferEvent: _offer,
    AgentMessage: _agent_wrote,
    AgentAssigned: lambda e: f"Agent {e.agent} was assigned by {e.by or 'somebody'}.",
    AgentParked: lambda e: f"Agent {e.agent} parked it, waiting for the {e.waiting_for.replace('_', ' ')}.",
    ContextReady: lambda e: f"The context for the person is ready{f': {_quoted(e.summary)}' if e.summary else '.'}",
    ReturnedToAi: _returned,
    TransferRequested: lambda e: f"Agent {e.agent} asked for a transfer{f': {_quoted(e.note)}' if e.note else '.'}",
    DraftProposed: lambda e: f"The AI drafted: {_quoted(e.text)}",
    DraftResolved: lambda e: f"Agent {e.agent}: draft {e.draft} {e.resolution}{f': {_quoted(e.text)}' if e.text else '.'}",
    TimerFired: lambda e: f"{_TIMERS_IN_WORDS.get(e.timer, 'A timer fired.')} [timer {e.timer}]",
    Deferred: lambda e: f"A {e.kind} is promised: {e.reason.replace('_', ' ')}.",
    TicketOpened: lambda e: f"{e.desk} opened ticket {e.ticket or '(without a number)'}.",
    TicketFailed: lambda e: f"{e.desk} could not open a ticket{_error(e.error)}.",
    DeliveryFailed: lambda e: f"Effect {e.effect} was not delivered{_error(e.error)}.",
    Feedback: lambda e: f"The customer rated it {e.csat if e.csat is not None else 'without a number'}.",
    Closed: lambda e: f"The conversation was closed: {e.reason or 'other'}.",
}


def _effect_in_words(effect: Effect) -> str | None:
    if isinstance(effect, SendToCustomer):
        return f"The system tells the customer: {_quoted(effect.text)}" if effect.speaker == "system" else None
    if isinstance(effect, OpenTicket):
        withheld = len(effect.payload.manifest.withheld)
        sent = len(effect.payload.manifest.sent)
        kept = f", {withheld} withheld" if withheld else ""
        return f"A ticket is asked for (queue {effect.queue}; fields: {sent} sent{kept})."
    if isinstance(effect, CloseTicket):
        return f"The ticket {effect.ticket or ''} is closed ({effect.reason})."
    if isinstance(effect, OfferConversation):
        return f"It rings at {effect.agent}."
    if isinstance(effect, NotifyAgents) and effect.audience == "supervisor":
        return f"A supervisor is told: {effect.about.replace('_', ' ')}."
    if isinstance(effect, ResumeBot):
        failed = effect.contract.failed_action
        rerun = f", and may re-run {failed.name}" if failed is not None and effect.contract.held_by else ""
        return f"The AI gets the floor back{rerun}."
    return None


# --- verdicts


def _plain(value: Json) -> str:
    """Return a value as people write it: at most three decimals, lists with commas, true minus signs left alone."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        shown = f"{value:.3f}".rstrip("0").rstrip(".")
        return "0" if shown == "-0" else shown
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(inner)}" for name, inner in value.items())
    return str(value)


_SUBJECTS: dict[str, str] = {
    "confidence_below": "confidence",
    "sentiment_below": "sentiment",
    "sentiment_trend_below": "the sentiment's slope per turn",
    "misses_at_least": "misses in a row",
    "lifetime_value_at_least": "lifetime value",
    "turns_at_least": "AI turns",
    "elapsed_at_least_s": "seconds since the stretch began",
    "frustration_within_s": "predicted seconds to frustration",
    "frustration_before_service": "predicted seconds to frustration",
    "queue_wait_at_least_s": "estimated wait in seconds",
    "agents_available_at_least": "agents available",
    "intent": "the intent",
    "intent_in": "the intent",
    "customer_tier_in": "the customer's tier",
    "channel_in": "the channel",
    "locale_in": "the locale",
    "error_code_in": "the error code",
}

_FLAGS: dict[str, tuple[str, str]] = {
    "failed_action": ("an action of the AI failed", "no action of the AI failed"),
    "wants_handoff": ("the AI itself asks for a person", "the AI does not ask for a person"),
    "customer_identified": ("the customer is identified", "the customer is not identified"),
    "queue_open": ("the queue is open", "the queue is closed"),
}

_SAID: dict[str, tuple[str, str]] = {
    "customer_says": ("the customer said", "the customer said none of the phrases"),
    "reply_says": ("the AI's reply said", "the AI's reply said none of the phrases"),
    "choice_in": ("the customer chose", "the customer chose none of the buttons"),
}


def leaf_in_words(verdict: Verdict) -> str:
    """Return what one condition found: value, threshold, margin."""
    name, value = verdict.name, verdict.value
    if verdict.error is not None:
        return f"{name} could not be evaluated: {verdict.error}"
    if name in _SAID:
        yes, no = _SAID[name]
        return f"{yes} “{value}”" if verdict.holds else no
    if name in _FLAGS and value is not None:
        return _FLAGS[name][0 if value else 1]
    subject = _subject(verdict)
    if verdict.holds is None:
        return f"{subject} is not known"
    if verdict.margin is not None:
        below = name.endswith("_below") or name.startswith("frustration") or _operator(verdict) == "below"
        compared = ("below" if verdict.holds else "not below") if below else ("at least" if verdict.holds else "under")
        return f"{subject} {_plain(value)} is {compared} {_plain(_limit(verdict))} (by {_plain(abs(verdict.margin))})"
    if _operator(verdict) == "present":
        return f"{subject} is {'known' if value is not None else 'not known'}"
    if name == "intent":
        return f"{subject} is {value}" if verdict.holds else f"{subject} is {value}, not {_limit(verdict)}"
    is_or_not = "is" if verdict.holds else "is not"
    shown = f"{subject} {_plain(value)}" if value is not None else f"{subject} (none)"
    several = isinstance(_limit(verdict), list)
    return f"{shown} {is_or_not} {'one of ' if several else ''}{_plain(_limit(verdict))}"


def _subject(verdict: Verdict) -> str:
    if isinstance(verdict.threshold, dict):
        return f"{verdict.name} {verdict.threshold['name']}"
    return _SUBJECTS.get(verdict.name, verdict.name)


def _operator(verdict: Verdict) -> str | None:
    if isinstance(verdict.threshold, dict):
        return str(next(key for key in verdict.threshold if key != "name"))
    return None


def _limit(verdict: Verdict) -> Json:
    operator = _operator(verdict)
    return verdict.threshold[operator] if operator is not None else verdict.threshold


def trigger_in_words(verdict: Verdict) -> str:
    """Return why a trigger holds (the conditions that hold), or why it does not (those that do not)."""
    wanted = [leaf for leaf in verdict.leaves if leaf.holds is verdict.holds]
    return "; ".join(map(leaf_in_words, wanted or verdict.leaves)) or "the recorded verdict says so"


def closest(steps: list[Step]) -> tuple[Step, Verdict] | None:
    """Return the step and trigger that came closest to holding without doing so.

    That is the one with the largest share of its conditions holding; among equals the smallest distance to the threshold.
    """
    best: tuple[tuple[float, float], Step, Verdict] | None = None
    for one in steps:
        for verdict in one.verdicts:
            if not verdict.leaves or verdict.holds:
                continue
            share = sum(leaf.holds is True for leaf in verdict.leaves) / len(verdict.leaves)
            near = -abs(verdict.margin) if verdict.margin is not None else float("-inf")
            if (share > 0 or verdict.margin is not None) and (best is None or (share, near) > best[0]):
                best = ((share, near), one, verdict)
    return best[1:] if best is not None else None
