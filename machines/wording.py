"""A policy in words that a conversation designer reads: conditions, spans of time, steps of a queue.

Words are made of the policy alone. What was found in one conversation is said in `explain`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .conditions import Comparison, Condition, Leaf
from .policy import QueueStep, StepFilter

__all__ = ["condition_in_words", "figure", "listed", "only_in_words", "span", "step_in_words", "when_in_words"]


def figure(value: float) -> str:
    """Return a number as people write it: no `.0`, no exponent for what a policy holds."""
    return f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"


def span(seconds: float) -> str:
    """Return a time span in its two largest units: `90` as `1 min 30 s`, `3600` as `1 h`, `0.5` as `0.5 s`."""
    seconds = round(seconds, 1)
    if seconds < 60:
        return f"{figure(seconds)} s"
    units = [("d", 86400), ("h", 3600), ("min", 60), ("s", 1)]
    at = next(index for index, (_, size) in enumerate(units) if seconds >= size)
    (name, size), (small, part) = units[at : at + 2]
    parts = round(seconds / part)
    whole, rest = divmod(parts, size // part)
    return f"{whole} {name} {rest} {small}" if rest else f"{whole} {name}"


def listed(words: Sequence[str], joint: str = "or", most: int | None = None) -> str:
    """Return `a, b or c`; with `most`, the first so many `or 3 more`."""
    if most is not None and len(words) > most + 1:
        words = [*words[:most], f"{len(words) - most} more"]
    if len(words) == 1:
        return words[0]
    return f"{', '.join(words[:-1])} {joint} {words[-1]}"


def condition_in_words(condition: Condition, *, most: int | None = None) -> str:
    """Return a condition as a phrase: `intent is fee_dispute and (confidence below 0.8 or sentiment below -0.3)`.

    Args:
        most: how many phrases or words of a list are named; None: all.
    """
    return _in_words(condition, most, inside=False)


def _in_words(condition: Condition, most: int | None, *, inside: bool) -> str:
    if isinstance(condition, Leaf):
        return _LEAVES_IN_WORDS[condition.kind](condition.threshold, most)
    parts = [_in_words(inner, most, inside=True) for inner in condition.conditions]
    if condition.kind == "none":
        return f"not ({' or '.join(parts)})"
    if len(parts) == 1:
        return parts[0]
    if condition.kind == "all":
        words = " and ".join(parts)
    else:  # a list of phrases has an `or` of its own, which must not read as this one
        words = ("; or " if any(" or " in part for part in parts) else " or ").join(parts)
    return f"({words})" if inside else words


def _quoted(phrases: Sequence[str], most: int | None) -> str:
    return listed([f"“{phrase}”" for phrase in phrases], most=most)


def _compared(subject: str) -> Callable[[Comparison, int | None], str]:
    def words(wanted: Comparison, most: int | None) -> str:
        name = f"{subject} {wanted.name}"
        if wanted.operator == "present":
            return f"{name} is known" if wanted.operand else f"{name} is not known"
        if wanted.operator in ("at_least", "below"):
            return f"{name} {wanted.operator.replace('_', ' ')} {figure(wanted.operand)}"
        operands = wanted.operand if isinstance(wanted.operand, tuple) else (wanted.operand,)
        return f"{name} is {listed([_scalar(one) for one in operands], most=most)}"

    return words


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return figure(value) if isinstance(value, int | float) else str(value)


def _flag(yes: str, no: str) -> Callable[[bool, int | None], str]:
    return lambda wanted, _: yes if wanted else no


_LEAVES_IN_WORDS: dict[str, Callable[[Any, int | None], str]] = {
    "intent": lambda v, _: f"intent is {v}",
    "intent_in": lambda v, most: f"intent is {listed(v, most=most)}",
    "confidence_below": lambda v, _: f"confidence below {figure(v)}",
    "sentiment_below": lambda v, _: f"sentiment below {figure(v)}",
    "sentiment_trend_below": lambda v, _: f"sentiment trend below {figure(v)} a turn",
    "misses_at_least": lambda v, _: f"{v} misses in a row" if v > 1 else "a miss",
    "failed_action": _flag("an action failed", "no action failed"),
    "error_code_in": lambda v, most: f"error code is {listed(v, most=most)}",
    "wants_handoff": _flag("the AI asks for a person", "the AI does not ask for a person"),
    "customer_says": lambda v, most: f"customer says {_quoted(v, most)}",
    "choice_in": lambda v, most: f"customer presses {listed(v, most=most)}",
    "reply_says": lambda v, most: f"the AI's reply says {_quoted(v, most)}",
    "entity": _compared("entity"),
    "attribute": _compared("attribute"),
    "customer_tier_in": lambda v, most: f"customer tier is {listed(v, most=most)}",
    "lifetime_value_at_least": lambda v, _: f"lifetime value at least {figure(v)}",
    "customer_identified": _flag("customer is identified", "customer is not identified"),
    "channel_in": lambda v, most: f"channel is {listed(v, most=most)}",
    "locale_in": lambda v, most: f"locale is {listed(v, most=most)}",
    "turns_at_least": lambda v, _: f"at least {v} AI turns" if v > 1 else "at least 1 AI turn",
    "elapsed_at_least_s": lambda v, _: f"at least {span(v)} with the AI",
    "frustration_within_s": lambda v, _: f"frustration expected within {span(v)}",
    "frustration_before_service": lambda v, _: f"frustration expected before service {_margin(v)}",
    "queue_wait_at_least_s": lambda v, _: f"wait in line at least {span(v)}",
    "queue_open": _flag("the queue is open", "the queue is closed"),
    "agents_available_at_least": lambda v, _: f"at least {v} agents free" if v > 1 else "at least 1 agent free",
}


def _margin(seconds: float) -> str:
    return f"plus {span(seconds)}" if seconds >= 0 else f"less {span(-seconds)}"


# --- queues


def when_in_words(step: QueueStep) -> str:
    """Return when a queue's step runs: `after 5 min`, `when the wait exceeds 5 min`, `when nobody is available`."""
    if step.after_s is not None:
        return f"after {span(step.after_s)}" if step.after_s else "at once"
    if step.when_wait_above_s is not None:
        return f"when the whole wait exceeds {span(step.when_wait_above_s)}"
    return "when nobody is available"


def step_in_words(step: QueueStep) -> str:
    """Return what a queue's step does."""
    if step.do == "widen":
        return f"agents of {step.tier} may take it too"
    if step.do == "drop_skill":
        return f"the skill {step.skill} is no longer asked" if step.skill is not None else "no skill is asked any more"
    if step.do == "raise_priority":
        return f"priority rises by {step.by}"
    if step.do == "notify":
        return f"{step.audience} is told"
    return {
        "offload_to_ai": "the AI tries; the place in line is kept",
        "callback": "the customer is promised a callback",
        "ticket": "the customer is promised an answer by ticket",
    }[step.do]


def only_in_words(only: StepFilter | None) -> str:
    """Return which items a step concerns: `priority at most 3, intent is order_status`; empty for all."""
    if only is None:
        return ""
    parts = []
    if only.priority_at_most is not None:
        parts.append(f"priority at most {only.priority_at_most}")
    if only.intent_in is not None:
        parts.append(f"intent is {listed(only.intent_in)}")
    return ", ".join(parts)
