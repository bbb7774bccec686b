"""Flows as they are often built: each is small, plausible, and wrong in its own way.

They are played with the very events that the machine was given, so that a story's test can show both halves: the machine holds,
and the flow breaks. What may not go in here: anything of the machine but its events.
"""

import re
import tomllib
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Self

from handoff_kit.machines import (
    AgentMessage,
    AiTurn,
    ContextReady,
    ConversationStarted,
    CustomerLeft,
    CustomerMessage,
    Event,
    HandoffRequested,
    OfferAccepted,
    OfferDeclined,
    OfferMade,
    ReturnedToAi,
    Step,
    TicketOpened,
    TransferRequested,
)

Kinds = tuple[type[Event], ...]


class Naive:
    """What all of them have.

    Attributes:
        sent: (speaker, text) of what the customer read.
        bot_calls: how often the AI was asked.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.bot_calls = 0

    def play(self, steps: Iterable[Step]) -> Self:
        """Handle the events of steps that the machine took (or refused), in their order."""
        for one in steps:
            self.handle(one.event)
        return self

    def handle(self, event: Event) -> None:
        raise NotImplementedError

    def texts(self, speaker: str) -> list[str]:
        return [text for who, text in self.sent if who == speaker]


# --- who may speak


class Flag(Naive):
    """One boolean says that a person has it: some events raise it, some (or none) lower it, and nobody owns it."""

    def __init__(self, raised_by: Kinds, lowered_by: Kinds = ()) -> None:
        super().__init__()
        self.raised_by = raised_by
        self.lowered_by = lowered_by
        self.taken_over = False

    def handle(self, event: Event) -> None:
        if isinstance(event, self.raised_by):
            self.taken_over = True
        if isinstance(event, AgentMessage) and not event.delivered:
            self.sent.append(("agent", event.text))
        elif isinstance(event, CustomerMessage) and not self.taken_over:
            self.bot_calls += 1
        elif isinstance(event, AiTurn) and not self.taken_over:
            self.sent.append(("ai", event.reply or ""))
        elif isinstance(event, CustomerLeft) and self.taken_over:
            self.sent.append(("system", "How was this conversation?"))
        if isinstance(event, self.lowered_by):
            self.taken_over = False


class DeafWebhook(Naive):
    """The desk keeps a status, and the bot's webhook never reads it."""

    def handle(self, event: Event) -> None:
        if isinstance(event, CustomerMessage):
            self.bot_calls += 1
        elif isinstance(event, AiTurn):
            self.sent.append(("ai", event.reply or ""))


class CheckThenPost(Naive):
    """Looks whether the message is still open, and posts in a second request."""

    def __init__(self) -> None:
        super().__init__()
        self.answered: set[int | str | None] = set()

    def at_once(self, turns: Iterable[AiTurn]) -> int:
        """Let all look before the first posts; return how many posted."""
        free = [turn for turn in turns if turn.in_reply_to not in self.answered]
        for turn in free:
            self.answered.add(turn.in_reply_to)
            self.sent.append(("ai", turn.reply or ""))
        return len(free)


class EpochAlone(Naive):
    """Compares the epoch, and remembers nothing about what was answered."""

    def handle(self, event: Event) -> None:
        if isinstance(event, AiTurn) and event.epoch == 0:
            self.sent.append(("ai", event.reply or ""))


class OwnerGate(Naive):
    """Sends after the commit where the AI is still the owner; that the AI itself let go is a take-over too."""

    def __init__(self) -> None:
        super().__init__()
        self.owner = "ai"

    def handle(self, event: Event) -> None:
        if isinstance(event, AiTurn):
            if event.wants_close:
                self.owner = "nobody"
            if self.owner == "ai":
                self.sent.append(("ai", event.reply or ""))


# --- the way back to the AI


class WholeHistory(Naive):
    """Every old turn and every old word counts for the next decision."""

    def __init__(self) -> None:
        super().__init__()
        self.said_human = False
        self.misses = 0
        self.escalations = 0

    def handle(self, event: Event) -> None:
        if isinstance(event, CustomerMessage):
            self.said_human = self.said_human or "human" in event.text
        elif isinstance(event, AiTurn):
            self.misses += event.missed
            self.escalations += self.said_human or self.misses >= 2


class HistoryOfTheCustomer(WholeHistory):
    """The counts are the customer's and not the conversation's: who comes back goes on where they left off."""

    def handle(self, event: Event) -> None:
        super().handle(event)
        if isinstance(event, ConversationStarted) and event.previous is None:
            self.said_human, self.misses = False, 0


class WaitsForAWord(Naive):
    """The bot is given the floor back, and wakes when the customer writes again; anybody may give it back."""

    def __init__(self) -> None:
        super().__init__()
        self.instructed: str | None = None
        self.returns = 0

    def handle(self, event: Event) -> None:
        if isinstance(event, ReturnedToAi):
            self.returns += 1
            self.instructed = event.instruction
        elif isinstance(event, CustomerMessage) and self.instructed is not None:
            self.bot_calls += 1


class RestartedGraph(Naive):
    """A graph that every message enters anew; the interrupt in it works once."""

    def __init__(self) -> None:
        super().__init__()
        self.tickets = 0
        self.escalated = False
        self.rounds = 0

    def handle(self, event: Event) -> None:
        if isinstance(event, CustomerMessage):
            self.bot_calls += 1
            self.tickets += self.escalated
        elif isinstance(event, AiTurn) and event.wants_handoff and self.rounds == 0:
            self.escalated = True
            self.tickets += 1
            self.rounds += 1
        elif isinstance(event, ReturnedToAi):
            self.escalated = False


class OneGate(Naive):
    """One number decides about everything, and the mute after a return holds everything back."""

    def __init__(self, below: float, cooldown_s: float) -> None:
        super().__init__()
        self.below = below
        self.cooldown = timedelta(seconds=cooldown_s)
        self.muted_until: datetime | None = None
        self.escalated = False

    def handle(self, event: Event) -> None:
        if isinstance(event, ReturnedToAi) and event.at is not None:
            self.muted_until = event.at + self.cooldown
        elif isinstance(event, CustomerMessage):
            self.bot_calls += 1
        elif isinstance(event, AiTurn) and event.at is not None and event.confidence is not None:
            muted = self.muted_until is not None and event.at < self.muted_until
            self.escalated = self.escalated or (event.confidence < self.below and not muted)


class StoredApart(Naive):
    """The history is stored with each event, the run's own state when the run is over; a restart takes what it finds."""

    def __init__(self) -> None:
        super().__init__()
        self.history: list[str] = []
        self.escalations = 0
        self.run_escalated = False

    def handle(self, event: Event) -> None:
        if isinstance(event, CustomerMessage):
            self.history.append(event.text)
        elif isinstance(event, AiTurn) and event.wants_handoff and not self.run_escalated:
            self.run_escalated = True
            self.escalations += 1

    def restart(self, unfinished: Iterable[Event]) -> None:
        """Lose the run's state, and run again what was not finished."""
        self.run_escalated = False
        for event in unfinished:
            self.handle(event)


# --- waiting, time, offers


class SleepingTimer(Naive):
    """A timer in memory, without a generation: when it wakes it acts on what it saw when it fell asleep."""

    def __init__(self, after_s: float) -> None:
        super().__init__()
        self.after = timedelta(seconds=after_s)
        self.wakes: datetime | None = None
        self.state = "bot_active"

    def handle(self, event: Event) -> None:
        assert event.at is not None
        if isinstance(event, ContextReady):
            self.state, self.wakes = "queued", event.at + self.after
        elif isinstance(event, OfferAccepted):
            self.state = "agent_active"
        if self.wakes is not None and event.at >= self.wakes:
            self.state, self.wakes = "callback_pending", None
            self.sent.append(("system", "Nobody is free right now."))


class RestartingClock(Naive):
    """Waiting since: the time of the last message of anybody."""

    def __init__(self) -> None:
        super().__init__()
        self.since: datetime | None = None
        self.waited_s = 0.0

    def handle(self, event: Event) -> None:
        assert event.at is not None
        if self.since is not None:
            self.waited_s = (event.at - self.since).total_seconds()
        if isinstance(event, CustomerMessage | AiTurn | AgentMessage):
            self.since = event.at


class Ringing(Naive):
    """An offer rings at an agent: it has no deadline and no number, and a click is a click."""

    def __init__(self) -> None:
        super().__init__()
        self.rings_at: set[str] = set()
        self.owners: list[str] = []

    def handle(self, event: Event) -> None:
        if isinstance(event, OfferMade):
            self.rings_at.add(event.agent)
        elif isinstance(event, OfferAccepted) and event.agent in self.rings_at:
            self.owners.append(event.agent)
        elif isinstance(event, OfferDeclined):
            self.rings_at.discard(event.agent)


class SettingsAtUse(Naive):
    """Keeps when it began to wait, and reads how long it may wait whenever it looks."""

    def __init__(self) -> None:
        super().__init__()
        self.entered: datetime | None = None

    def handle(self, event: Event) -> None:
        if isinstance(event, ContextReady):
            self.entered = event.at

    def due(self, queue_s: float) -> datetime:
        assert self.entered is not None
        return self.entered + timedelta(seconds=queue_s)


# --- two humans, and nobody


class DirectAssignment(Naive):
    """Who is named is the assignee, and stays it."""

    def __init__(self) -> None:
        super().__init__()
        self.assignee: str | None = None
        self.working: str | None = None

    def handle(self, event: Event) -> None:
        if isinstance(event, HandoffRequested) and event.target is not None:
            self.assignee = event.target.agent
        elif isinstance(event, OfferAccepted) and event.agent == self.assignee:
            self.working = event.agent


class EachOthersFallback(Naive):
    """The bot's way out is a person, and the way out where no person is there is the bot; transfers are not counted."""

    enough = 100

    def __init__(self) -> None:
        super().__init__()
        self.circles = 0
        self.transfers = 0

    def handle(self, event: Event) -> None:
        if isinstance(event, AiTurn) and event.failed_action is not None:
            self.fail()
        elif isinstance(event, TransferRequested):
            self.transfers += 1

    def fail(self) -> None:
        while self.circles < self.enough:
            self.circles += 1
            self.bot_calls += 1


# --- signals


class Prose(Naive):
    """Whether to hand over is read out of what the AI says."""

    marks = re.compile(r"\[handoff\]|transferring you|connect you|human agent", re.IGNORECASE)

    def __init__(self) -> None:
        super().__init__()
        self.escalated = False

    def handle(self, event: Event) -> None:
        if isinstance(event, AiTurn):
            reply = event.reply or ""
            self.sent.append(("ai", reply))
            self.escalated = self.escalated or bool(self.marks.search(reply))


def bare_bool(turn: AiTurn) -> bool:
    """A guard that says yes or no, and nothing about how nearly."""
    return turn.confidence is not None and turn.confidence < 0.8


def swallowed_errors(turn: AiTurn) -> bool:
    """A guard for which whatever goes wrong is a no."""
    try:
        return bool(turn.attributes["symptom_severity"] >= 7)
    except Exception:
        return False


class BagOfVariables(Naive):
    """What the policy names is copied by name out of the last turn into the ticket's fields; what is not there is empty."""

    def __init__(self, names: Iterable[str]) -> None:
        super().__init__()
        self.names = tuple(names)
        self.variables: dict[str, Any] = {}
        self.tickets: list[dict[str, Any]] = []
        self.ticket: str | None = None

    def handle(self, event: Event) -> None:
        if isinstance(event, AiTurn):
            self.variables = dict(event.entities)
        elif isinstance(event, ContextReady):
            self.tickets.append({name: self.variables.get(name, "") for name in self.names})
        elif isinstance(event, TicketOpened):
            self.ticket = event.ticket
        elif isinstance(event, ReturnedToAi):
            self.ticket = None


def bag_of_settings(text: str) -> tuple[str, ...]:
    """Take what is there under the name, and nothing where nothing is."""
    settings: dict[str, Any] = tomllib.loads(text)
    return tuple(settings.get("context", {}).get("entities", ()))
