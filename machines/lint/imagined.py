"""Facts that nobody met: what conditions read, and facts that hold some values and nothing else.

With them a condition is judged by the very judges that decide in production, so there is no second reading of what it means.
What may not go in here: which values there are (`cells`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from ..conditions import LEAVES, Comparison, Leaf
from ..conversation import Conversation
from ..events import AiTurn
from ..facts import Facts
from ..phrases import normalized
from ..values import Customer, FailedAction, Json, Prediction, QueueFacts
from ..wording import figure, listed, span

__all__ = ["NO_CODE", "Imagined", "Key", "Moment", "facts_read", "in_words"]

#: A fact: what it is, and of what: ("confidence",), ("entity", "amount"), ("eta", "tier1").
Key = tuple[str, ...]


class Moment(Enum):
    """When triggers are judged; AGAIN is a turn in which an action failed again while the cool-down runs."""

    TURN = "on the AI's turn"
    SILENCE = "when the AI does not answer"
    MESSAGE = "on a customer's message"
    AGAIN = "on the AI's turn, when an action fails again during the cool-down"


#: What each kind of leaf reads.
_READS: Mapping[str, tuple[str, ...]] = {
    "intent": ("intent",),
    "intent_in": ("intent",),
    "confidence_below": ("confidence",),
    "sentiment_below": ("sentiment",),
    "sentiment_trend_below": ("trend",),
    "misses_at_least": ("misses",),
    # Whether an action failed and with which code is one fact: without a failure there is no code.
    "failed_action": ("failure",),
    "error_code_in": ("failure",),
    "wants_handoff": ("wish",),
    "customer_says": ("said",),
    "choice_in": ("pressed",),
    "reply_says": ("reply",),
    "entity": ("entity",),
    "attribute": ("attribute",),
    "customer_tier_in": ("customer_tier",),
    "lifetime_value_at_least": ("lifetime_value",),
    "customer_identified": ("identified",),
    "channel_in": ("channel",),
    "locale_in": ("locale",),
    "turns_at_least": ("turns",),
    "elapsed_at_least_s": ("elapsed",),
    "frustration_within_s": ("frustration",),
    "frustration_before_service": ("frustration", "eta"),
    "queue_wait_at_least_s": ("eta",),
    "queue_open": ("open",),
    "agents_available_at_least": ("available",),
}

_OF_A_QUEUE = frozenset({"eta", "open", "available"})

#: An action that failed without a code.
NO_CODE = ""


def facts_read(leaf: Leaf, queue: str, moment: Moment) -> tuple[Key, ...]:
    """Return the facts that a leaf reads at a moment, where `queue` is its trigger's."""
    kind = LEAVES[leaf.kind]
    if moment is Moment.MESSAGE and kind.reads == "turn":
        return ()
    named = (leaf.threshold.name,) if isinstance(leaf.threshold, Comparison) else ()
    return tuple((name, queue) if name in _OF_A_QUEUE else (name, *named) for name in _READS[leaf.kind])


# --- facts that hold one value


_TIME = datetime(2000, 1, 1, tzinfo=UTC)  # any: nothing reads it


class Imagined(Facts):
    """Facts of which only some are given; all others are absent."""

    __slots__ = ("given",)

    def __init__(self, given: Mapping[Key, Json]) -> None:
        self.given = given

        def one(name: str) -> Any:
            return given.get((name,))

        failure = one("failure")
        frustration = one("frustration")
        self.turn = AiTurn(
            conversation="",
            intent=one("intent"),
            confidence=one("confidence"),
            sentiment=one("sentiment"),
            reply="\0".join(one("reply") or ()),  # no letter, so that each phrase keeps its edges, and in no phrase
            failed_action=FailedAction(name="-", error_code=failure or None) if failure is not None else None,
            wants_handoff=bool(one("wish")),
            prediction=Prediction(time_to_frustration_s=frustration),
        )
        self.conversation = Conversation(
            id="",
            channel=one("channel") or "",
            customer=Customer(
                id="-",
                tier=one("customer_tier"),
                locale=one("locale"),
                lifetime_value=one("lifetime_value"),
                attributes={"identified": one("identified")},
            ),
            policy="",
            at=_TIME,
            boundary=_TIME,
            entered=_TIME,
            active_at=_TIME,
        )
        self._texts = tuple(map(normalized, one("said") or ()))
        self._slope = (one("trend"),)
        self.choices = one("pressed") or ()
        self.misses = one("misses")
        self.turns = one("turns")

    @property
    def elapsed_s(self) -> float:
        """Seconds since the boundary."""
        seconds: float = self.given[("elapsed",)]
        return seconds

    def entity(self, name: str) -> Json:
        """Return an entity."""
        return self.given.get(("entity", name))

    def attribute(self, name: str) -> Json:
        """Return an attribute."""
        return self.given.get(("attribute", name))

    def queue(self, name: str) -> QueueFacts:
        """Return what is known of a queue."""
        given = self.given
        return QueueFacts(
            eta_s=given.get(("eta", name)), open=given.get(("open", name)), available=given.get(("available", name))
        )


# --- in words


_NAMES: Mapping[str, str] = {
    "customer_tier": "customer tier",
    "lifetime_value": "lifetime value",
    "trend": "sentiment trend",
    "misses": "misses in a row:",
    "turns": "AI turns:",
    "elapsed": "time with the AI",
    "frustration": "frustration expected in",
    "eta": "wait in line",
    "available": "agents free:",
}
_FLAGS: Mapping[str, tuple[str, str]] = {
    "wish": ("the AI asks for a person", "the AI does not ask for a person"),
    "identified": ("customer identified", "customer not identified"),
    "open": ("the queue is open", "the queue is closed"),
}
_SAYINGS: Mapping[str, str] = {"said": "customer says", "pressed": "customer presses", "reply": "the AI's reply says"}
_SPANS = frozenset({"elapsed", "frustration", "eta"})


def in_words(key: Key, value: Json) -> str:
    """Return a fact's value as people say it."""
    name = key[0]
    if name in _SAYINGS:
        return f"{_SAYINGS[name]} {listed([f'“{one}”' for one in value], 'and') if value else 'none of the phrases'}"
    if name == "failure":
        if value is None:
            return "no action failed"
        return f"an action failed with {value}" if value else "an action failed without a code"
    if name in _FLAGS and value is not None:
        return _FLAGS[name][0 if value else 1]
    subject = f"{name} {key[1]}" if name in ("entity", "attribute") else _NAMES.get(name, name)
    return f"{subject} {_value_in_words(name, value)}"


def _value_in_words(name: str, value: Json) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    return span(value) if name in _SPANS else figure(value)
