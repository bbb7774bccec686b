"""The goals of `Controller.handle` on SQLite, and how each is measured.

Every event of the measured session is on the disk before `handle` answers, so the measure is what the disk can do: appending 1 KB
and waiting for it, in the same folder, in the same rounds. What may not go in here: the peer (a module of its own), how results
are shown.
"""

import asyncio
import gc
import math
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AsyncExitStack, ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from handoff_kit.machines import AiTurn, Conversation, ConversationStarted, Customer, CustomerMessage, Event
from handoff_kit.machines.effects import PrepareContext
from handoff_kit.machines.events import stamped

from ..controller import Controller
from ..ports import Clock
from ..records import key_of
from ..stores.sqlite import SqliteStore
from .core import Result, Telling, machine, resident
from .peer import graph_turns, peer_versions
from .rounds import Way, interleaved, ratios, spread
from .session import POLICY, SESSION, decided, session_of

__all__ = ["DEFAULT", "QUICK", "Plan", "about", "measure"]

#: How many call at the same time.
CALLERS = (1, 8, 64, 512)


@attrs.frozen(kw_only=True)
class Plan:
    """How much is measured.

    Args:
        rounds: in each of which every way has its turn.
        appends: of 1 KB, in a round.
        sessions: in a round, by the number of callers; each caller has as many as the others.
        turns: of the peer, in a round.
        held: conversations whose memory is measured.
        few, many: live conversations between which `handle` is compared.
        crowd_events: events in a round of that.
    """

    rounds: int
    appends: int
    sessions: dict[int, int]
    turns: int
    held: int
    few: int = 1_000
    many: int = 20_000
    crowd_events: int


DEFAULT = Plan(
    rounds=25,
    appends=150,
    sessions={1: 8, 8: 24, 64: 64, 512: 512},
    turns=10,
    held=8_000,
    crowd_events=3_000,
)
QUICK = Plan(
    rounds=5,
    appends=150,
    sessions={1: 8, 8: 24, 64: 64, 512: 512},
    turns=10,
    held=4_000,
    few=200,
    many=2_000,
    crowd_events=500,
)


def about() -> dict[str, Any]:
    """Return what the figures are measured on."""
    known = machine()
    return {**known, "versions": {**known["versions"], **(peer_versions() or {})}}


def measure(plan: Plan, folder: Path, tell: Telling = lambda _: None) -> Iterator[Result]:
    """Yield the results, goal by goal.

    Args:
        folder: where all files go; it is left as it was found by whoever made it.
        tell: called with what is being measured.
    """
    tell("handle, and what the disk can do")
    yield from _handling(plan, folder)
    tell("memory")
    yield from _memory(plan, folder)
    tell("many conversations")
    yield from _crowd(plan, folder)


# --- what the disk can do


@contextmanager
def appending(path: Path, times: int) -> Iterator[Way]:
    """Give a way that appends 1 KB to a file so many times, each time waiting for the disk."""
    block = b"x" * 1024
    with path.open("ab", buffering=0) as file:

        def way(_: int) -> None:
            for _ in range(times):
                file.write(block)
                _SYNC(file.fileno())

        yield way


_SYNC: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # not every system has the first


# --- handle


class _Host:
    """A summarizer that waits until the session has handed in its own context, so that the events keep their places."""

    def __init__(self) -> None:
        self._given: dict[str, asyncio.Event] = {}

    def _of(self, conversation: str) -> asyncio.Event:
        return self._given.setdefault(conversation, asyncio.Event())

    def given(self, conversation: str) -> None:
        """The session's context was handled."""
        self._of(conversation).set()

    async def summarize(self, conversation: Conversation, wanted: Any, key: str) -> tuple[str | None, dict[str, Any]]:
        """Give what by then is a repetition of the session's own answer, by its id."""
        await self._of(conversation.id).wait()
        del self._given[conversation.id]
        return None, {}


def _live_session(name: str) -> list[Event]:
    """Return the events of the session as a host hands them in: without time or number, the context with the id of an answer."""
    events: list[Event] = [stamped(event, None, None) for event in session_of(name, f"of-{name}")]
    at = _ANSWER
    events[at] = attrs.evolve(events[at], id=f"{key_of(name, at, _ASKED)}#0")
    return events


_ANSWER = next(place for place, event in enumerate(SESSION) if event.type == "context_ready")
_ASKED = next(place for place, effect in enumerate(decided()[_ANSWER - 1].effects) if isinstance(effect, PrepareContext))


class _Live:
    """A controller on a loop of its own, which runs only while it is measured.

    Args:
        clock: the system's where none is given.
    """

    def __init__(self, path: Path, *, clock: Clock | None = None) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._host = _Host()
        self._sessions = 0
        opened = Controller.open(SqliteStore(path), policy=POLICY, summarizer=self._host, clock=clock)
        self.controller = self.run(self._stack.enter_async_context(opened))

    def run(self, work: Any) -> Any:
        """Run something on the loop until it is done."""
        return self._runner.run(work)

    def close(self) -> None:
        """Close the controller and its loop."""
        self.run(self._stack.aclose())
        self._runner.close()

    def sessions(self, count: int, callers: int) -> list[float]:
        """Handle so many sessions, shared evenly by so many callers; return the seconds of each `handle`."""
        first = self._sessions
        self._sessions += count
        shares: list[list[list[Event]]] = [[] for _ in range(callers)]
        for number in range(count):
            shares[number % callers].append(_live_session(f"s-{first + number}"))
        took: list[float] = []
        self.run(self._all(shares, took))
        return took

    async def _all(self, shares: list[list[list[Event]]], took: list[float]) -> None:
        await asyncio.gather(*(self._caller(share, took) for share in shares))

    async def _caller(self, sessions: list[list[Event]], took: list[float]) -> None:
        handle, clock = self.controller.handle, time.perf_counter
        for events in sessions:
            for event in events:
                began = clock()
                outcome = await handle(event)
                took.append(clock() - began)
                if outcome.refused is not None or outcome.duplicate:
                    raise AssertionError(f"{event.type} was not accepted: {outcome.refused}")
                if event.type == "context_ready":
                    self._host.given(event.conversation)


def _handling(plan: Plan, folder: Path) -> Iterator[Result]:
    with ExitStack() as stack:
        peer = peer_versions()
        floor = stack.enter_context(appending(folder / "floor", plan.appends))
        latencies: list[tuple[float, float]] = []
        handled: dict[int, Way] = {}
        for callers in CALLERS:
            live = _Live(folder / f"handle-{callers}.db")
            stack.callback(live.close)
            handled[callers] = _handles(live, plan.sessions[callers], callers, latencies)
        # The disk is measured next to each: it may be twice as fast a second later.
        ways = {name: way for callers in CALLERS for name, way in ((f"floor {callers}", floor), (str(callers), handled[callers]))}
        if peer is not None:
            turns = stack.enter_context(graph_turns(folder / "graph.db"))
            ways["peer"] = lambda _: turns(plan.turns)
        for way in handled.values():
            way(1)
        latencies.clear()
        most = {f"floor {CALLERS[-1]}", str(CALLERS[-1])}  # takes seconds
        took = interleaved({name: way for name, way in ways.items() if name not in most}, plan.rounds, 0, time.perf_counter)
        took |= interleaved({name: ways[name] for name in most}, max(1, plan.rounds // 5), 0, time.perf_counter)
    each = {}
    for callers in CALLERS:
        disk = [seconds / plan.appends for seconds in took[f"floor {callers}"]]
        each[callers] = [seconds / (plan.sessions[callers] * len(SESSION)) for seconds in took[str(callers)]]
        yield _against_the_floor(callers, disk, each[callers])
    p50, p99 = ([one[place] for one in latencies] for place in (0, 1))
    tail = ratios(p99, p50)
    yield Result(
        goal="8",
        what="the slowest of 64 callers",
        formula="p99 / p50 of handle, 64 callers",
        unit="x",
        measured=tail,
        target="≤ 6",
        met=tail.median <= 6,
        note=f"p50 {1e3 * spread(p50).median:.1f} ms, p99 {1e3 * spread(p99).median:.1f} ms",
    )
    yield _against_the_peer(plan, each[1], took.get("peer"), peer)


def _handles(live: _Live, sessions: int, callers: int, latencies: list[tuple[float, float]]) -> Way:
    def way(_: int) -> None:
        took = sorted(live.sessions(sessions, callers))
        if callers == 64:
            latencies.append((took[len(took) // 2], took[len(took) * 99 // 100]))

    return way


#: By the number of callers: the goal, and the least.
_GOALS: dict[int, tuple[str, float | None]] = {1: ("5", 0.6), 8: ("7", None), 64: ("7", 5.0), 512: ("7", None)}


def _against_the_floor(callers: int, disk: list[float], each: list[float]) -> Result:
    goal, least = _GOALS[callers]
    share = ratios(disk, each)
    who = f"{callers} callers" if callers > 1 else "1 caller"
    rate, appends = 1 / spread(each).median, 1 / spread(disk).median
    return Result(
        goal=goal,
        what=f"durable handle, {who}",
        formula="rate(handle, SQLite FULL) / rate(1 KB append + fdatasync)",
        unit="x",
        measured=share,
        target=f"≥ {least}" if least is not None else "",
        met=share.median >= least if least is not None else None,
        note=f"{who}, {rate:,.0f} events/s; the disk did {appends:,.0f} appends/s",
    )


def _against_the_peer(plan: Plan, ours: list[float], theirs: list[float] | None, peer: dict[str, str] | None) -> Result:
    share = ratios([seconds / plan.turns for seconds in theirs], ours) if theirs is not None else None
    if share is None or theirs is None or peer is None:
        note = "not measured, since langgraph is not installed: pip install 'handoff-kit[bench]' and run this again"
    else:
        rate = plan.turns / spread(theirs).median
        note = (
            f"{', '.join(f'{name} {version}' for name, version in peer.items())}: {rate:,.0f} turns/s, resumed after `interrupt`"
        )
    return Result(
        goal="6",
        what="durable handle, against a human-in-the-loop turn of langgraph",
        formula="rate(handle, 1 caller) / rate(resume with SqliteSaver, durability sync)",
        unit="x",
        measured=share,
        target="≥ 20",
        met=share.median >= 20 if share is not None else None,
        note=note,
    )


# --- memory


class _Still:
    """A clock that stands still: no timer fires while memory is measured."""

    def now(self) -> datetime:
        """Return the time."""
        return datetime(2026, 1, 5, 9, tzinfo=UTC)

    async def sleep_until(self, at: datetime) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()


_TALK = (
    "Hello, I have a question about my statement.",
    "Hello! I am happy to help. Which line of the statement is it about?",
    "The third one. There is a fee that I do not know.",
    "That is the monthly fee of your account, as in your contract.",
    "I see. Since when is that so?",
)


def _talk(name: str, messages: int) -> Iterator[Event]:
    """Yield the events of a conversation that so many messages were written in, by the customer and the AI in turn."""
    yield ConversationStarted(conversation=name, channel="web", customer=Customer(id=f"of-{name}", tier="gold", locale="en-GB"))
    for number, text in enumerate(_TALK[:messages], 2):
        yield CustomerMessage(conversation=name, text=text) if number % 2 == 0 else _turn(name, text, number - 1)


def _turn(name: str, text: str, answers: int | None = None) -> AiTurn:
    return AiTurn(
        conversation=name,
        intent="statement",
        confidence=0.95,
        sentiment=0.1,
        reply=text,
        epoch=0,
        in_reply_to=answers,
    )


def _name_of(number: int) -> str:
    return f"c-{number}"


async def _talk_with_all(controller: Controller, numbers: range, messages: int) -> None:
    async def caller(share: range) -> None:
        for number in share:
            owed: list[str] = []
            for event in _talk(_name_of(number), messages):
                outcome = await controller.handle(event)
                assert outcome.refused is None, outcome.refused
                owed += [delivery.key for delivery in outcome.owed]
            if owed:
                await controller.delivered(*owed)

    callers = min(_AT_ONCE, len(numbers))
    await asyncio.gather(*(caller(numbers[first::callers]) for first in range(callers)))


_AT_ONCE = 64


def _held(path: str, count: int, messages: int) -> float:
    """Return the bytes that one idle conversation takes; in a process of its own."""
    live = _Live(Path(path), clock=_Still())

    async def talk(numbers: range) -> None:
        await _talk_with_all(live.controller, numbers, messages)
        async for _ in live.controller.store.history(_name_of(0)):  # by then what was written is in the tables, as when idle
            pass

    # What is taken once, such as the pages that SQLite keeps, is no conversation's: the first half pays it.
    live.run(talk(range(count // 2)))
    gc.collect()
    before = resident()
    live.run(talk(range(count // 2, count)))
    gc.collect()
    after = resident()
    live.close()
    if before is None or after is None:  # pragma: no cover - not on Linux
        return math.nan
    return (after - before) / (count - count // 2)


def _restored(path: str, count: int) -> float:
    """Return the seconds of reading a conversation that is not held; in a process of its own."""
    live = _Live(Path(path), clock=_Still())

    async def restore() -> None:
        for number in range(count):
            await live.controller.conversation(_name_of(number))

    began = time.perf_counter()
    live.run(restore())
    seconds = time.perf_counter() - began
    live.close()
    return seconds / count


def _memory(plan: Plan, folder: Path) -> Iterator[Result]:
    context = multiprocessing.get_context("spawn")
    for name, what, messages, most in (
        ("fresh", "a fresh conversation", 0, 1_024),
        ("full", "a conversation with 5 messages", len(_TALK), 2_560),
    ):
        path = str(folder / f"held-{name}.db")
        # A process each: memory that was given back would hide what is taken next.
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            size = pool.submit(_held, path, plan.held, messages).result()
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            seconds = pool.submit(_restored, path, plan.held).result()
        yield Result(
            goal="10",
            what=f"memory of {what}, idle in a controller",
            formula="bytes of resident memory / conversations",
            unit="bytes",
            measured=spread([size]),
            target=f"≤ {most:,}",
            met=None if math.isnan(size) else size <= most,
            note=f"{plan.held // 2:,} more that were handled, delivered and brought into the tables, with what the store keeps "
            "of them; growth of the resident memory of a process of their own",
        )
        yield Result(
            goal="10",
            what=f"{what} read from the store, a million times",
            formula="t(Controller.conversation, not held) × 1,000,000",
            unit="s",
            measured=spread([1e6 * seconds]),
            note=f"measured on {plan.held:,} and scaled",
        )


# --- many conversations


class _Crowd:
    """Live conversations whose AI speaks in turn."""

    def __init__(self, path: Path, count: int) -> None:
        self._live = _Live(path, clock=_Still())
        self._count = count
        self._next = 0
        self._live.run(_talk_with_all(self._live.controller, range(count), 0))

    def close(self) -> None:
        self._live.close()

    def handle(self, times: int) -> None:
        self._live.run(self._speak(times))

    async def _speak(self, times: int) -> None:
        numbers = iter(range(self._next, self._next + times))
        self._next += times

        async def caller() -> None:
            for number in numbers:  # all callers take from the same
                turn = _turn(_name_of(number % self._count), "The limit can be changed in the settings.")
                outcome = await self._live.controller.handle(turn)
                assert outcome.refused is None, outcome.refused

        await asyncio.gather(*(caller() for _ in range(min(_AT_ONCE, self._count))))


def _crowd(plan: Plan, folder: Path) -> Iterator[Result]:
    with ExitStack() as stack:
        crowds = {}
        for name, count in (("few", plan.few), ("many", plan.many)):
            crowds[name] = _Crowd(folder / f"crowd-{name}.db", count)
            stack.callback(crowds[name].close)
        few, many = crowds["few"], crowds["many"]
        ways: dict[str, Way] = {
            "few": lambda _: few.handle(plan.crowd_events),
            "many": lambda _: many.handle(plan.crowd_events),
        }
        for way in ways.values():
            way(1)
        took = interleaved(ways, plan.rounds, 0)
    growth = ratios(took["many"], took["few"])
    micro = {name: 1e6 * spread(values).median / plan.crowd_events for name, values in took.items()}
    yield Result(
        goal="12",
        what=f"handle among {plan.many:,} live conversations",
        formula=f"t(handle, {plan.many:,} in turn) / t(handle, {plan.few:,} in turn)",
        unit="x",
        measured=growth,
        target="≤ 1.3",
        met=growth.median <= 1.3,
        note=f"processor time, {micro['many']:.0f} and {micro['few']:.0f} µs an event: turns of the AI, 64 callers; a controller "
        "keeps the conversations that spoke last, and reads the others from the store",
    )
