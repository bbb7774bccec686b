"""What conditions may read when triggers are evaluated: one throwaway object a step.

Counts include the present turn and start at the context boundary. What is absent is None (unknown) for numbers and intents,
and false or 0 for flags and counts.
"""

import math
import re
from datetime import datetime

from .conversation import Conversation
from .events import AiTurn, CustomerMessage, Event, TimerFired
from .phrases import normalized
from .values import Json, QueueFacts

__all__ = ["Facts", "ImpossibleValue", "as_number"]

#: The values of the turn that never came, for timer ai_reply.
_NO_TURN = AiTurn(conversation="", missed=True)

_DECIMAL = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)


class ImpossibleValue(Exception):
    """A condition met a value that it cannot be asked about; it becomes a `guard_error`."""

    def __init__(self, value: Json, wanted: str) -> None:
        super().__init__(f"{value!r} is not {wanted}")
        self.value = value


def as_number(value: Json) -> float:
    """Return a number, also from a string that is a plain decimal number.

    Raises:
        ImpossibleValue: for anything else.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _DECIMAL.fullmatch(value) and math.isfinite(number := float(value)):
        return number
    raise ImpossibleValue(value, "a number")


class Facts:
    """Everything that conditions read.

    Attributes:
        turn: the AI's turn; on timer ai_reply one without values; None on a customer's message, where all that reads a turn
            or counts turns is unknown.
        misses: AI turns in a row that missed.
        turns: AI turns since the boundary.
    """

    __slots__ = ("_slope", "_texts", "at", "choices", "conversation", "event", "misses", "replied", "turn", "turns")

    def __init__(self, conversation: Conversation, event: Event, at: datetime) -> None:
        self.conversation = conversation
        self.event = event
        self.at = at
        self._texts: tuple[str, ...] | None = None
        self._slope: tuple[float | None] | None = None
        self.choices = conversation.choices
        self.misses = conversation.misses
        self.turns = conversation.turns
        self.replied = False
        self.turn: AiTurn | None = None
        if isinstance(event, AiTurn):
            self.turn = event
            self.replied = True
            self.turns += 1
            self.misses = self.misses + 1 if event.missed else 0
        elif isinstance(event, TimerFired):
            self.turn = _NO_TURN
            self.misses += 1
        elif isinstance(event, CustomerMessage) and event.choice is not None:
            self.choices = (*self.choices, event.choice)

    @property
    def texts(self) -> tuple[str, ...]:
        """The customer's messages since the last AI turn, normalized."""
        if self._texts is None:
            texts = self.conversation.heard
            if isinstance(self.event, CustomerMessage):
                texts = (*texts, self.event.text)
            self._texts = tuple(map(normalized, texts))
        return self._texts

    @property
    def elapsed_s(self) -> float:
        """Seconds since the boundary."""
        return (self.at - self.conversation.boundary).total_seconds()

    def entity(self, name: str) -> Json:
        """Return an entity seen so far, the present turn's first."""
        if self.turn is not None and name in self.turn.entities:
            return self.turn.entities[name]
        return self.conversation.entities.get(name)

    def attribute(self, name: str) -> Json:
        """Return an attribute of the turn, else of the customer."""
        if self.turn is not None and name in self.turn.attributes:
            return self.turn.attributes[name]
        return self.conversation.customer.attributes.get(name)

    def queue(self, name: str) -> QueueFacts | None:
        """Return what the event carries of a queue."""
        observed = self.event.observed
        return observed.queues.get(name) if observed is not None else None

    def trend(self, turns: int) -> float | None:
        """Return the least-squares slope of the sentiment per turn over the last `turns` AI turns (the policy's number).

        x is the turn's position among them; turns without a sentiment are left out; None with fewer than 3.
        """
        if self._slope is None:
            sentiments = self.conversation.sentiments
            if self.replied:
                assert self.turn is not None
                sentiments = (*sentiments, self.turn.sentiment)
            self._slope = (slope(sentiments[-turns:]),)
        return self._slope[0]


def slope(sentiments: tuple[float | None, ...]) -> float | None:
    """Return the least-squares slope over positions; None with fewer than 3 values.

    The sums are made with `math.fsum`, so that the result is the same on every machine.
    """
    points = [(x, y) for x, y in enumerate(sentiments) if y is not None]
    n = len(points)
    if n < 3:
        return None
    mean_x = math.fsum(x for x, _ in points) / n
    mean_y = math.fsum(y for _, y in points) / n
    along = math.fsum((x - mean_x) * (y - mean_y) for x, y in points)
    return along / math.fsum((x - mean_x) ** 2 for x, _ in points)
