"""Conditions: the data of a policy's `when`, and how each is judged.

A condition is a leaf (one named comparison) or a combinator over conditions. Leaves stand in one table, so that the linter, the
explanations and the documentation list the same things that are evaluated. What may not go in here: which condition leads where.
"""

import math
import operator
import sys
from collections.abc import Callable, Mapping
from typing import Any, Literal

import attrs

from .facts import Facts, ImpossibleValue, as_number
from .phrases import normalized, phrase_finder
from .values import Json
from .verdicts import Verdict, kleene_all, kleene_any, kleene_none

__all__ = [
    "COMBINATORS",
    "LEAVES",
    "Comparison",
    "Condition",
    "Group",
    "Leaf",
    "LeafKind",
    "compile_leaf",
    "guarded",
    "leaves_of",
]

Judge = Callable[[Facts], Verdict]

COMBINATORS: dict[str, Callable[[list[bool | None]], bool | None]] = {
    "all": kleene_all,
    "any": kleene_any,
    "none": kleene_none,
}


@attrs.frozen
class Comparison:
    """What `entity` and `attribute` hold: a name and exactly one operator with its operand."""

    name: str
    operator: Literal["at_least", "below", "equals", "in", "present"]
    operand: Json


@attrs.frozen
class Leaf:
    """One comparison: `kind` is a key of `LEAVES`, `threshold` what it compares with."""

    kind: str
    threshold: Any


@attrs.frozen
class Group:
    """A combinator (`all`, `any`, `none`) over conditions."""

    kind: str
    conditions: tuple["Condition", ...]


Condition = Leaf | Group


class Answers:
    """The answers of one leaf. Those without a number in them are made once and are the same object each time."""

    def __init__(self, name: str, threshold: Json) -> None:
        self.name = name
        self.threshold = threshold
        self.unknown = Verdict(name, None, None, threshold)
        #: What is absent counts as false.
        self.nothing = Verdict(name, False, None, threshold)
        self.flags = {
            (holds, value): Verdict(name, holds, value, threshold) for holds in (True, False) for value in (True, False)
        }

    @property
    def constants(self) -> tuple[Verdict, ...]:
        """The answers that are the same objects for as long as the policy lives."""
        return (self.unknown, self.nothing, *self.flags.values())

    def number(self, holds: bool, value: Json, margin: float) -> Verdict:
        """Return the answer to a comparison of numbers."""
        if not math.isfinite(margin):  # two finite numbers may lie further apart than a float can say
            margin = math.copysign(sys.float_info.max, margin)
        return Verdict(self.name, holds, value, self.threshold, margin)

    def word(self, holds: bool, value: Json) -> Verdict:
        """Return the answer to a comparison of words."""
        return Verdict(self.name, holds, value, self.threshold)


@attrs.frozen
class LeafKind:
    """How one kind of leaf is read from a policy and judged.

    Args:
        parse: checks the value in the policy and returns the threshold; raises `ValueError` saying what is allowed.
        judge: makes a judge out of the leaf's answers, its threshold, the trigger's target queue and the number of turns of a
            trend.
        reads: `turn` where an AI turn must be there (unknown on a customer's message), else `any`.
        reason: what `auto_escalated_due_to` says where the trigger gives no reason.
        needs: what the shell must look up beforehand: `queue`, `prediction`.
    """

    parse: Callable[[Json], Any]
    judge: Callable[[Answers, Any, str, int], Judge]
    reads: Literal["turn", "any"]
    reason: str | None = None
    needs: tuple[str, ...] = ()


def leaves_of(condition: Condition) -> list[Leaf]:
    """Return the leaves of a condition, in order."""
    if isinstance(condition, Leaf):
        return [condition]
    return [leaf for inner in condition.conditions for leaf in leaves_of(inner)]


def compile_leaf(leaf: Leaf, queue: str, trend_turns: int) -> tuple[Judge, Judge, Answers]:
    """Return two functions that judge `leaf`, where there is an AI turn and on a customer's message, and its answers.

    The functions may raise, see `guarded`.
    """
    kind = LEAVES[leaf.kind]
    answers = Answers(leaf.kind, _shown(leaf))
    judge = kind.judge(answers, leaf.threshold, queue, trend_turns)
    on_message = (lambda _: answers.unknown) if kind.reads == "turn" else judge
    return judge, on_message, answers


def guarded(judge: Judge, leaf: Leaf, facts: Facts) -> Verdict:
    """Return a judge's verdict, or one that says in `error` what went wrong."""
    try:
        return judge(facts)
    except ImpossibleValue as error:
        return Verdict(leaf.kind, None, error.value, _shown(leaf), error=str(error))
    except Exception as error:
        return Verdict(leaf.kind, None, None, _shown(leaf), error=f"{type(error).__name__}: {error}")


def _shown(leaf: Leaf) -> Json:
    """Return the threshold as verdicts show it; a list of phrases is left out, the value says which of them was found."""
    threshold = leaf.threshold
    if leaf.kind in ("customer_says", "reply_says", "choice_in"):
        return None
    if isinstance(threshold, Comparison):
        operand = list(threshold.operand) if isinstance(threshold.operand, tuple) else threshold.operand
        return {"name": threshold.name, threshold.operator: operand}
    return list(threshold) if isinstance(threshold, tuple) else threshold


# --- reading thresholds out of a policy


def number(low: float | None = None, high: float | None = None) -> Callable[[Json], float]:
    """Return a parser for a finite number within bounds (both allowed)."""
    lowest = float("-inf") if low is None else low
    highest = float("inf") if high is None else high
    words = "a finite number" if low is None else f"at least {low:g}" if high is None else f"from {low:g} to {high:g}"

    def parse(value: Json) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"a number ({words})")
        if not lowest <= value <= highest or value - value != 0:
            raise ValueError(words)
        return float(value)

    return parse


def whole(low: int) -> Callable[[Json], int]:
    """Return a parser for a whole number."""

    def parse(value: Json) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(f"a whole number, at least {low}")
        return value

    return parse


def flag(value: Json) -> bool:
    """Parse true or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def text(value: Json) -> str:
    """Parse a string that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a string that is not empty")
    return value


def texts(value: Json) -> tuple[str, ...]:
    """Parse a list of strings, neither the list nor a string empty."""
    if not isinstance(value, list) or not value or not all(isinstance(v, str) and v.strip() for v in value):
        raise ValueError("a list of strings that is not empty")
    return tuple(value)


def phrases(value: Json) -> tuple[str, ...]:
    """Parse a list of phrases; two that are the same once case-folded are one."""
    return tuple({normalized(phrase): phrase for phrase in texts(value)}.values())


def comparison(value: Json) -> Comparison:
    """Parse `{ name = .., <one operator> = .. }`."""
    operands: dict[str, Callable[[Json], Json]] = {
        "at_least": number(),
        "below": number(),
        "equals": _scalar,
        "in": _scalars,
        "present": flag,
    }
    allowed = "{ name = .., and one of " + ", ".join(operands) + " }"
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str) or len(value) != 2:
        raise ValueError(allowed)
    word = next(key for key in value if key != "name")
    if word not in operands:
        raise ValueError(allowed)
    try:
        operand = operands[word](value[word])
    except ValueError as error:
        raise ValueError(f"{word} = {error}") from None
    return Comparison(value["name"], word, operand)


def margin_s(value: Json) -> float:
    """Parse `{ margin_s = .. }`."""
    if not isinstance(value, Mapping) or set(value) != {"margin_s"}:
        raise ValueError("{ margin_s = seconds }")
    return number()(value["margin_s"])


def _scalar(value: Json) -> Json:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int | float):
        return number()(value)
    raise ValueError("a string, a number, true or false")


def _scalars(value: Json) -> Json:
    if not isinstance(value, list) or not value:
        raise ValueError("a list that is not empty")
    return tuple(map(_scalar, value))


# --- judging

Maker = Callable[[Answers, Any, str, int], Judge]


def _below(read: Callable[[Facts], float | None]) -> Maker:
    def make(answers: Answers, threshold: float, queue: str, turns: int) -> Judge:
        unknown, number = answers.unknown, answers.number

        def judge(facts: Facts) -> Verdict:
            value = read(facts)
            return unknown if value is None else number(value < threshold, value, threshold - value)

        return judge

    return make


def _at_least(read: Callable[[Facts], float | None]) -> Maker:
    def make(answers: Answers, threshold: float, queue: str, turns: int) -> Judge:
        unknown, number = answers.unknown, answers.number

        def judge(facts: Facts) -> Verdict:
            value = read(facts)
            return unknown if value is None else number(value >= threshold, value, value - threshold)

        return judge

    return make


def _is(read: Callable[[Facts], bool | None]) -> Maker:
    def make(answers: Answers, threshold: bool, queue: str, turns: int) -> Judge:
        unknown, true, false = answers.unknown, answers.flags[threshold, True], answers.flags[not threshold, False]

        def judge(facts: Facts) -> Verdict:
            value = read(facts)
            return unknown if value is None else true if value else false

        return judge

    return make


def _equals(read: Callable[[Facts], str | None]) -> Maker:
    def make(answers: Answers, threshold: str, queue: str, turns: int) -> Judge:
        def judge(facts: Facts) -> Verdict:
            value = read(facts)
            return answers.unknown if value is None else answers.word(value == threshold, value)

        return judge

    return make


def _in(read: Callable[[Facts], str | None], *, absent_is_false: bool = False) -> Maker:
    def make(answers: Answers, threshold: tuple[str, ...], queue: str, turns: int) -> Judge:
        allowed = frozenset(threshold)
        absent = answers.nothing if absent_is_false else answers.unknown

        def judge(facts: Facts) -> Verdict:
            value = read(facts)
            return absent if value is None else answers.word(value in allowed, value)

        return judge

    return make


def _trend(answers: Answers, threshold: float, queue: str, turns: int) -> Judge:
    return _below(lambda facts: facts.trend(turns))(answers, threshold, queue, turns)


def _says(read: Callable[[Facts], tuple[str, ...]]) -> Maker:
    def make(answers: Answers, threshold: tuple[str, ...], queue: str, turns: int) -> Judge:
        find = phrase_finder(threshold)

        def judge(facts: Facts) -> Verdict:
            for said in read(facts):
                found = find(said)
                if found is not None:
                    return answers.word(True, found)
            return answers.nothing

        return judge

    return make


def _pressed(answers: Answers, threshold: tuple[str, ...], queue: str, turns: int) -> Judge:
    wanted = frozenset(threshold)

    def judge(facts: Facts) -> Verdict:
        found = next((choice for choice in facts.choices if choice in wanted), None)
        return answers.nothing if found is None else answers.word(True, found)

    return judge


def _compared(read: Callable[[Facts, str], Json]) -> Maker:
    def make(answers: Answers, wanted: Comparison, queue: str, turns: int) -> Judge:
        name, test, operand = wanted.name, wanted.operator, wanted.operand

        def judge(facts: Facts) -> Verdict:
            value = read(facts, name)
            if test == "present":
                return answers.word((value is not None) is operand, value)
            if value is None:
                return answers.unknown
            if test == "at_least":
                return answers.number((at := as_number(value)) >= operand, value, at - operand)
            if test == "below":
                return answers.number((at := as_number(value)) < operand, value, operand - at)
            if test == "equals":
                return answers.word(_same(value, operand), value)
            return answers.word(any(_same(value, one) for one in operand), value)

        return judge

    return make


def _same(value: Json, operand: Json) -> bool:
    """Compare as the operand's type asks: a number with a number (or a plain decimal string), a text with a text."""
    if isinstance(operand, bool) or isinstance(value, bool):
        return value is operand
    if isinstance(operand, float):
        try:
            return as_number(value) == operand
        except ImpossibleValue:
            return False
    return bool(value == operand)


def _frustration(facts: Facts) -> float | None:
    prediction = facts.turn.prediction if facts.turn is not None else None
    return prediction.time_to_frustration_s if prediction is not None else None


def _before_service(answers: Answers, margin: float, queue: str, turns: int) -> Judge:
    def judge(facts: Facts) -> Verdict:
        value = _frustration(facts)
        seen = facts.queue(queue)
        if value is None or seen is None or seen.eta_s is None:
            return answers.unknown
        limit = seen.eta_s + margin
        return Verdict(answers.name, value < limit, value, limit, limit - value)

    return judge


def _queue_fact(name: str, test: Callable[[Callable[[Facts], Any]], Maker]) -> Maker:
    def make(answers: Answers, threshold: Any, queue: str, turns: int) -> Judge:
        def read(facts: Facts) -> Any:
            seen = facts.queue(queue)
            return None if seen is None else getattr(seen, name)

        return test(read)(answers, threshold, queue, turns)

    return make


def _customer(name: str) -> Callable[[Facts], Any]:
    return operator.attrgetter(f"conversation.customer.{name}")


def _turn(name: str) -> Callable[[Facts], Any]:
    return operator.attrgetter(f"turn.{name}")


def _identified(facts: Facts) -> bool:
    value = facts.conversation.customer.attributes.get("identified")
    if value is None or isinstance(value, bool):
        return bool(value)
    raise ImpossibleValue(value, "true or false")


def _failed(facts: Facts) -> bool:
    return facts.turn is not None and facts.turn.failed_action is not None


def _error_code(facts: Facts) -> str | None:
    failed = facts.turn.failed_action if facts.turn is not None else None
    return failed.error_code if failed is not None else None


def _reply(facts: Facts) -> tuple[str, ...]:
    reply = facts.turn.reply if facts.turn is not None else None
    return (normalized(reply),) if reply else ()


#: Every kind of leaf: how its value is written, how it is judged, what it reads, and the reason that it gives.
LEAVES: dict[str, LeafKind] = {
    "intent": LeafKind(text, _equals(_turn("intent")), "turn"),
    "intent_in": LeafKind(texts, _in(_turn("intent")), "turn"),
    "confidence_below": LeafKind(number(0, 1), _below(_turn("confidence")), "turn", "low_confidence"),
    "sentiment_below": LeafKind(number(-1, 1), _below(_turn("sentiment")), "turn", "negative_sentiment"),
    "sentiment_trend_below": LeafKind(number(-2, 2), _trend, "turn", "falling_sentiment"),
    "misses_at_least": LeafKind(whole(1), _at_least(operator.attrgetter("misses")), "turn", "repeated_misses"),
    "failed_action": LeafKind(flag, _is(_failed), "turn", "failed_action"),
    "error_code_in": LeafKind(texts, _in(_error_code, absent_is_false=True), "turn", "failed_action"),
    "wants_handoff": LeafKind(flag, _is(_turn("wants_handoff")), "turn", "ai_request"),
    "customer_says": LeafKind(phrases, _says(operator.attrgetter("texts")), "any", "explicit_request"),
    "choice_in": LeafKind(texts, _pressed, "any", "explicit_request"),
    "reply_says": LeafKind(phrases, _says(_reply), "turn", "promised_human"),
    "entity": LeafKind(comparison, _compared(lambda facts, name: facts.entity(name)), "any"),
    "attribute": LeafKind(comparison, _compared(lambda facts, name: facts.attribute(name)), "any"),
    "customer_tier_in": LeafKind(texts, _in(_customer("tier")), "any"),
    "lifetime_value_at_least": LeafKind(number(), _at_least(_customer("lifetime_value")), "any"),
    "customer_identified": LeafKind(flag, _is(_identified), "any"),
    "channel_in": LeafKind(texts, _in(operator.attrgetter("conversation.channel")), "any"),
    "locale_in": LeafKind(texts, _in(_customer("locale")), "any"),
    "turns_at_least": LeafKind(whole(1), _at_least(operator.attrgetter("turns")), "turn", "long_conversation"),
    "elapsed_at_least_s": LeafKind(number(0), _at_least(operator.attrgetter("elapsed_s")), "any", "long_conversation"),
    "frustration_within_s": LeafKind(number(0), _below(_frustration), "turn", "predicted_frustration", needs=("prediction",)),
    "frustration_before_service": LeafKind(
        margin_s, _before_service, "turn", "predicted_frustration", needs=("prediction", "queue")
    ),
    "queue_wait_at_least_s": LeafKind(number(0), _queue_fact("eta_s", _at_least), "any", needs=("queue",)),
    "queue_open": LeafKind(flag, _queue_fact("open", _is), "any", needs=("queue",)),
    "agents_available_at_least": LeafKind(whole(1), _queue_fact("available", _at_least), "any", needs=("queue",)),
}
