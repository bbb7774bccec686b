"""Hosts as they are often built: asynchronous, small, plausible, and each wrong in its own way.

They are given the very events that the controller was given, in the same order and with the same chances to get in each other's
way, so that a story's test can show both halves. What may not go in here: anything of the library but its events.
"""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from handoff_kit.machines import (
    AgentAssigned,
    AgentFinished,
    AgentMessage,
    AiTurn,
    ContextReady,
    CustomerLeft,
    CustomerMessage,
    Event,
    Feedback,
    HandoffRequested,
    OfferAccepted,
    ReturnedToAi,
    TicketOpened,
    TimerFired,
)


class Clock(Protocol):
    def now(self) -> datetime: ...

    async def sleep_until(self, at: datetime) -> None: ...


class NaiveHost:
    """What all of them have.

    Attributes:
        sent: (speaker, text) of what the customer read.
        bot_calls: how often the AI was asked.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.bot_calls = 0

    async def request(self) -> None:
        """Ask some server something; whoever else has work goes on meanwhile."""
        await asyncio.sleep(0)

    async def handle(self, event: Event) -> None:
        raise NotImplementedError

    def texts(self, speaker: str) -> list[str]:
        return [text for who, text in self.sent if who == speaker]

    def after(self, text: str) -> list[tuple[str, str]]:
        """What the customer read after a text."""
        places = [place for place, (_, words) in enumerate(self.sent) if words == text]
        return self.sent[places[0] + 1 :] if places else []


# --- who may speak


class CheckThenPost(NaiveHost):
    """Reads the status in one request and posts in the next."""

    def __init__(self) -> None:
        super().__init__()
        self.status = "bot"

    async def handle(self, event: Event) -> None:
        if isinstance(event, AgentMessage):
            await self.request()
            self.status = "human"
            self.sent.append(("agent", event.text))
        elif isinstance(event, AiTurn):
            await self.request()
            mine = self.status == "bot"
            await self.request()
            if mine:
                self.sent.append(("ai", event.reply or ""))


class CachedStatus(NaiveHost):
    """Reads the status when the job begins and acts on it when the job ends, be it an answer or the end of an idle talk."""

    def __init__(self, requests: int = 3) -> None:
        super().__init__()
        self.requests = requests
        self.status = "bot"
        self.closings = 0

    async def handle(self, event: Event) -> None:
        if isinstance(event, AgentMessage):
            await self.request()
            self.status = "human"
            self.sent.append(("agent", event.text))
            return
        mine = self.status == "bot"
        for _ in range(self.requests):
            await self.request()
        if mine and isinstance(event, AiTurn):
            self.sent.append(("ai", event.reply or ""))
        elif mine and isinstance(event, TimerFired):
            self.closings += 1


class ToolAndFinalText(NaiveHost):
    """Posts the tool's words, the connecting line and the final text, each as it comes; what our side wrote is a person's."""

    def __init__(self, connecting: str) -> None:
        super().__init__()
        self.connecting = connecting
        self.taken_over = False

    async def handle(self, event: Event) -> None:
        await self.request()
        if isinstance(event, AiTurn):
            self.sent.append(("ai", event.reply or ""))
            if event.wants_handoff:
                self.sent.append(("system", self.connecting))
        elif isinstance(event, AgentMessage):
            self.taken_over = True


# --- the way back, and the words on the way


class TwoColumns(NaiveHost):
    """Status and assignee are two columns, and whoever writes one does not think of the other."""

    def __init__(self) -> None:
        super().__init__()
        self.status, self.assignee = "bot", ""

    async def handle(self, event: Event) -> None:
        await self.request()
        if isinstance(event, AgentMessage):
            self.status, self.assignee = "open", event.agent
        elif isinstance(event, AgentFinished):
            self.status = "resolved"
        elif isinstance(event, CustomerMessage):
            if self.status == "resolved":
                self.status = "open"
            if not self.assignee:
                self.bot_calls += 1


class BotsOwnPause(NaiveHost):
    """All words go through the bot, whose tracker is paused while a person has it; what it hears then stays in the tracker."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = False
        self.at_the_desk: list[str] = []
        self.tracker: list[str] = []

    async def handle(self, event: Event) -> None:
        await self.request()
        if isinstance(event, OfferAccepted):
            self.paused = True
        elif isinstance(event, CustomerMessage):
            self.bot_calls += 1
            (self.tracker if self.paused else self.at_the_desk).append(event.text)
        elif isinstance(event, AgentMessage):
            self.sent.append(("agent", event.text))
        # Who returns it to the AI must also tell the tracker, from outside; nobody does.


# --- time


class SleepingTimer(NaiveHost):
    """A task sleeps until the customer has been silent for long enough; the process takes it with it."""

    def __init__(self, clock: Clock, after_s: float) -> None:
        super().__init__()
        self.clock = clock
        self.wait = timedelta(seconds=after_s)
        self.idle_at: list[datetime] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def handle(self, event: Event) -> None:
        await self.request()
        if isinstance(event, AgentMessage):
            self._tasks.append(asyncio.create_task(self._sleep(self.clock.now() + self.wait)))

    async def _sleep(self, until: datetime) -> None:
        await self.clock.sleep_until(until)
        self.idle_at.append(self.clock.now())

    async def killed(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()


# --- what is done, and what is stored


class NoiseOnAssignment(NaiveHost):
    """Rings when somebody is assigned, or when the customer writes again; once, and whoever is not reached is not reached."""

    def __init__(self, ring: Callable[[], bool]) -> None:
        super().__init__()
        self.ring = ring
        self.heard = 0
        self.messages = 0
        self.waits = False

    async def handle(self, event: Event) -> None:
        await self.request()
        if isinstance(event, HandoffRequested):
            self.waits = True
        elif isinstance(event, CustomerMessage):
            self.messages += 1
            if self.waits and self.messages == 2:
                self.heard += self.ring()
        elif isinstance(event, AgentAssigned | OfferAccepted):
            self.heard += self.ring()


class ThreeWrites(NaiveHost):
    """Looks, does what the ending asks for, and stores it in three writes. What it knows is in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.status, self.owner, self.timers = "human", "a1", ["agent_silent"]
        self.done: list[str] = []

    async def handle(self, event: Event) -> None:
        if self.owner != "a1" or isinstance(event, CustomerLeft):
            return
        await self.request()
        if isinstance(event, AgentFinished):
            ending, status, owner = "rating", "wrap_up", "nobody"
        elif isinstance(event, ReturnedToAi):
            ending, status, owner = "resume", "bot", "ai"
        elif isinstance(event, TimerFired):
            ending, status, owner = "requeue", "queued", "system"
        else:
            return
        self.done.append(ending)
        await self.request()
        self.status = status
        await self.request()
        self.owner = owner
        await self.request()
        self.timers = []


class RunsFromItsTop(NaiveHost):
    """A node opens the ticket, tells the customer, and then says that it is done; what is asked again runs again from the top."""

    def __init__(self, connecting: str) -> None:
        super().__init__()
        self.connecting = connecting
        self.handed_off = False
        self.tickets = 0

    async def handle(self, event: Event) -> None:
        if not isinstance(event, AiTurn) or not event.wants_handoff or self.handed_off:
            return
        await self.request()
        self.tickets += 1
        await self.request()
        self.sent.append(("system", self.connecting))
        await self.request()
        self.handed_off = True


class SendsThenStores(NaiveHost):
    """Does what is to be done, then stores that it was done; `write` may fail."""

    def __init__(self, write: Callable[[], None], connecting: str) -> None:
        super().__init__()
        self.write = write
        self.connecting = connecting
        self.state = "bot_active"
        self.tickets = 0
        self.timers: list[str] = []

    async def handle(self, event: Event) -> None:
        await self.request()
        if isinstance(event, HandoffRequested):
            self.write()
            self.state = "escalation_pending"
        elif isinstance(event, ContextReady):
            self.sent.append(("system", self.connecting))
            self.tickets += 1
            self.write()
            self.state = "queued"
            self.write()
            self.timers = ["queue"]


class EndsAtResolved(NaiveHost):
    """The flow ends when the case is resolved; the desk's webhook takes any ticket for the case's own."""

    def __init__(self) -> None:
        super().__init__()
        self.ratings: list[int | None] = []
        self.resolved = False
        self.ticket: str | None = None

    async def handle(self, event: Event) -> None:
        await self.request()
        if isinstance(event, AgentFinished):
            self.resolved = True
        elif isinstance(event, Feedback) and not self.resolved:
            self.ratings.append(event.csat)
        elif isinstance(event, AiTurn):
            self.sent.append(("ai", event.reply or ""))
        elif isinstance(event, TicketOpened):
            self.ticket = event.ticket
            self.bot_calls += 1


class RedactsOnTheWayOut(NaiveHost):
    """Stores what was said, and takes out what is private when it is sent somewhere."""

    def __init__(self, file: Path, redact: Callable[[str], str]) -> None:
        super().__init__()
        self.file = file
        self.redact = redact
        self.tickets: list[str] = []

    async def handle(self, event: Event) -> None:
        await self.request()
        if isinstance(event, CustomerMessage):
            row: dict[str, Any] = {"conversation": event.conversation, "text": event.text}
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            self.tickets.append(self.redact(event.text))
