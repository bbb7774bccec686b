"""The goals of one step and of replay, and how each is measured.

A goal is a ratio that is measured in one run, or a size; `measure` yields them in order. What may not go in here: baselines (they
have modules of their own), how results are shown.
"""

import gc
import json
import logging
import multiprocessing
import os
import platform
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import date, timedelta
from importlib import metadata
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

import attrs

from handoff_kit.machines import AiTurn, Conversation, CustomerMessage, Event, advance, step
from handoff_kit.machines.codec import canonical_step, conversation_from_data, conversation_to_data

from ..logs import LOGGER, log_step
from ..sessions.reader import Source
from ..sessions.replaying import Job, replay_sessions
from ..sessions.tally import Tally
from .by_default import evolved_each_change, evolved_once, stock_engine
from .by_hand import BY_HAND
from .in_dicts import canonical_text, decided_in_dicts, event_in_dict, same_snapshot
from .reference import decoder, replay_by_hand
from .rounds import Spread, Way, interleaved, ratios, spread
from .session import POLICY, SESSION, decided, session_of, write_recording

__all__ = ["DEFAULT", "QUICK", "Plan", "Result", "compare_baselines", "machine", "measure"]

Telling = Callable[[str], None]


@attrs.frozen(kw_only=True)
class Plan:
    """How much is measured.

    Args:
        rounds: of a step.
        slow_rounds: at most so many rounds where one takes seconds.
        slice_s: seconds of each way in a round.
        replayed, shared: events of the recordings that are replayed by one process, and by one and by several.
        held: conversations whose memory is measured.
        restored: conversations that are restored in a round.
        few, many: live conversations between which a step is compared.
        crowd_steps: steps in a round of that.
    """

    rounds: int
    slow_rounds: int
    slice_s: float
    replayed: int
    shared: int
    held: int
    restored: int
    few: int = 1_000
    many: int
    crowd_steps: int


DEFAULT = Plan(
    rounds=15,
    slow_rounds=3,
    slice_s=0.06,
    replayed=30_000,
    shared=60_000,
    held=100_000,
    restored=5_000,
    many=100_000,
    crowd_steps=5_000,
)
QUICK = Plan(
    rounds=5,
    slow_rounds=1,
    slice_s=0.04,
    replayed=4_500,
    shared=15_000,
    held=10_000,
    restored=1_000,
    many=5_000,
    crowd_steps=1_000,
)


@attrs.frozen(kw_only=True)
class Result:
    """One measured figure.

    Args:
        goal: its number; several figures may belong to one goal.
        unit: `x` (a ratio), `%`, `bytes`, `s`, `events/s`.
        measured: None where it could not be measured; `note` says why.
        target: in words; empty where the figure is given for comparison only.
        met: None where there is no target, or nothing was measured.
    """

    goal: str
    what: str
    formula: str
    unit: Literal["x", "%", "bytes", "s", "events/s"]
    measured: Spread | None
    target: str = ""
    met: bool | None = None
    note: str = ""


def machine() -> dict[str, Any]:
    """Return what the figures are measured on; ask before measuring, since `load` is what else runs."""
    names = ("handoff-kit", "transitions", "attrs", "cattrs", "msgspec")
    return {
        "cores": _cores(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "processor": platform.machine(),
        "system": platform.system(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: found for name in names if (found := _version(name)) is not None},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # pragma: no cover - not on Linux
        return os.cpu_count() or 1


def compare_baselines() -> None:
    """Hold all baselines against ours on the measured session.

    Raises:
        AssertionError: one of them decides otherwise, so that its time would say nothing.
    """
    ours = decided()
    assert all(done.refused is None for done in ours)
    driven: list[Any] = []
    for event in SESSION:
        driven.extend(advance(POLICY, driven[-1].after if driven else None, event))
    assert driven == ours, "a timer falls due in the session"
    assert decided(engine=BY_HAND) == ours, "the hand-written dispatch decides otherwise"
    stock = stock_engine()
    assert decided(engine=stock) == ours, "the stock classes decide otherwise"
    for copying in (evolved_each_change, evolved_once):
        with copying():
            assert decided(engine=stock) == ours, "the defaults decide otherwise"
    for done, other in zip(ours, decided_in_dicts(tuple(map(event_in_dict, SESSION))), strict=True):
        assert canonical_step(done) == canonical_text(other), f"dictionaries decide {done.event.type} otherwise"
        assert same_snapshot(other["after"], done.after), f"dictionaries keep {done.event.type} otherwise"


def measure(plan: Plan, tell: Telling = lambda _: None) -> Iterator[Result]:
    """Yield the results, goal by goal.

    Args:
        tell: called with what is being measured.
    """
    compare_baselines()
    tell("a step")
    yield from _steps(plan)
    with tempfile.TemporaryDirectory(prefix="handoff-bench-") as folder:
        tell("replay in one process")
        yield from _replay(plan, Path(folder))
        tell("replay in several processes")
        yield from _shared_replay(plan, Path(folder))
    tell("memory")
    yield from _memory(plan)
    yield from _restoring(plan)
    tell("many conversations")
    yield from _crowd(plan)


# --- one step


def _steps(plan: Plan) -> Iterator[Result]:
    stock = stock_engine()
    events = tuple(map(event_in_dict, SESSION))

    def slim(times: int) -> None:
        for _ in repeat(None, times):
            decided()

    def by_hand(times: int) -> None:
        for _ in repeat(None, times):
            decided(engine=BY_HAND)

    def in_dicts(times: int) -> None:
        for _ in repeat(None, times):
            decided_in_dicts(events)

    def by_default(times: int) -> None:
        with evolved_each_change():
            for _ in repeat(None, times):
                decided(engine=stock)

    def mildly(times: int) -> None:
        with evolved_once():
            for _ in repeat(None, times):
                decided(engine=stock)

    def logged(times: int) -> None:
        for _ in repeat(None, times):
            for done in decided():
                log_step(done)

    ways: dict[str, Way] = {
        "slim": slim,
        "logged": logged,
        "hand": by_hand,
        "dicts": in_dicts,
        "default": by_default,
        "mild": mildly,
    }
    level = LOGGER.level
    LOGGER.setLevel(logging.WARNING)
    try:
        took = interleaved(ways, plan.rounds, plan.slice_s)
    finally:
        LOGGER.setLevel(level)
    micro = {name: 1e6 * spread(values).median / len(SESSION) for name, values in took.items()}
    against_hand = ratios(took["slim"], took["hand"])
    against_dicts = ratios(took["slim"], took["dicts"])
    against_default = ratios(took["default"], took["slim"])
    against_mild = ratios(took["mild"], took["slim"])
    logging_too = ratios(took["logged"], took["slim"])
    yield Result(
        goal="1",
        what="a step through transitions, against dispatch written by hand",
        formula="t(slim classes) / t(by hand, same guards, callbacks and values)",
        unit="x",
        measured=against_hand,
        target="≤ 2.0",
        met=against_hand.median <= 2.0,
        note=f"a step takes {micro['slim']:.1f} µs, by hand {micro['hand']:.1f} µs",
    )
    yield Result(
        goal="2a",
        what="a step, against plain dictionaries",
        formula="t(slim classes) / t(dictionaries and tuples, same work)",
        unit="x",
        measured=against_dicts,
        target="≤ 4.0",
        met=against_dicts.median <= 4.0,
        note=f"a step in dictionaries takes {micro['dicts']:.1f} µs",
    )
    yield Result(
        goal="2b",
        what="a step, against the defaults",
        formula="t(stock transitions, an attrs.evolve a changed field) / t(slim classes)",
        unit="x",
        measured=against_default,
        target="≥ 3.0",
        met=against_default.median >= 3.0,
        note=f"the defaults take {micro['default']:.1f} µs: stock classes of transitions with its logging at its own level and "
        "no handler, and a frozen snapshot that is copied for each field that changes",
    )
    yield Result(
        goal="2b",
        what="the same, against milder defaults",
        formula="t(stock transitions, one attrs.evolve a step) / t(slim classes)",
        unit="x",
        measured=against_mild,
        note=f"{micro['mild']:.1f} µs: the snapshot is copied once a step, with all changes together",
    )
    yield Result(
        goal="11",
        what="a log line that is filtered away",
        formula="t(step and log_step, level WARNING) / t(step) - 1",
        unit="%",
        measured=attrs.evolve(
            logging_too,
            median=100 * (logging_too.median - 1),
            low=100 * (logging_too.low - 1),
            high=100 * (logging_too.high - 1),
        ),
        target="≤ 10",
        met=logging_too.median <= 1.1,
    )


# --- replay


def _job(path: Path, workers: int = 1, record: Path | None = None) -> Job:
    return Job(sources=[Source(0, path.name, path)], policy=POLICY, workers=workers, record=record)


def _replay(plan: Plan, folder: Path) -> Iterator[Result]:
    plain, recorded = folder / "plain.jsonl", folder / "recorded.jsonl"
    events = write_recording(plain, plan.replayed)
    tally, _ = replay_sessions(_job(plain, record=recorded))
    digests = {tally.digest}
    verified: set[int] = set()

    def again(_: int) -> None:
        digests.add(replay_sessions(_job(plain))[0].digest)

    def again_verified(_: int) -> None:
        tally, _seconds = replay_sessions(_job(recorded))
        digests.add(tally.digest)
        verified.add(tally.verified)

    ways: dict[str, Way] = {"ours": again, "verified": again_verified}
    decode = decoder()
    if decode is not None:
        known = decode
        ways["reference"] = lambda _: digests.add(replay_by_hand(plain, known))
    took = interleaved(ways, min(plan.rounds, plan.slow_rounds), 0)
    assert digests == {tally.digest}, "one of the replays decides otherwise"
    assert verified == {events}, "a recorded step was not the same again"
    rate = spread(events / seconds for seconds in took["ours"])
    share = ratios(took["reference"], took["ours"]) if decode is not None else None
    words = f"{events:,} events in a file, one process; decoded, decided, with a digest for each conversation, which is the same"
    yield Result(
        goal="3",
        what="replay, against msgspec and dispatch by hand",
        formula="rate(replay) / rate(msgspec decode into the event classes, by hand, same digest)",
        unit="x",
        measured=share,
        target="≥ 0.6, or 150,000/s",
        met=share.median >= 0.6 or rate.median >= 150_000 if share is not None else None,
        note=words
        if share is not None
        else "not measured, since msgspec is not installed: pip install 'handoff-kit[bench]' and run this again",
    )
    yield Result(
        goal="3",
        what="replay, a second and a core",
        formula="events / t(replay)",
        unit="events/s",
        measured=rate,
    )
    yield Result(
        goal="3",
        what="the same with each step verified against its record",
        formula="events / t(replay)",
        unit="events/s",
        measured=spread(events / seconds for seconds in took["verified"]),
    )


def _shared_replay(plan: Plan, folder: Path) -> Iterator[Result]:
    processes = max(2, _cores())
    short, long = folder / "short.jsonl", folder / "long.jsonl"
    write_recording(short, len(SESSION) * processes)
    events = write_recording(long, plan.shared)
    digests: set[int] = set()

    def replayed(path: Path, workers: int) -> Way:
        def way(_: int) -> Tally:
            tally, _seconds = replay_sessions(_job(path, workers))
            if path is long:
                digests.add(tally.digest)
            return tally

        return way

    took = interleaved(
        {
            "one": replayed(long, 1),
            "several": replayed(long, processes),
            "one, start": replayed(short, 1),
            "several, start": replayed(short, processes),
        },
        min(plan.rounds, plan.slow_rounds),
        0,
        time.perf_counter,
    )
    assert len(digests) == 1, "the number of processes changes the digest"
    one = [all_ - start for all_, start in zip(took["one"], took["one, start"], strict=True)]
    several = [processes * (all_ - start) for all_, start in zip(took["several"], took["several, start"], strict=True)]
    share = ratios(one, several)
    start_s = spread(took["several, start"]).median
    yield Result(
        goal="4",
        what=f"replay in {processes} processes, without their start",
        formula="rate(P) / (P × rate(1))",
        unit="x",
        measured=share,
        target="≥ 0.85",
        met=share.median >= 0.85,
        note=f"{events:,} events; starting {processes} processes takes {start_s:.1f} s, measured on {len(SESSION) * processes} "
        "events in the same round and taken off; whatever else runs on the machine counts against it",
    )
    yield Result(
        goal="4",
        what="the same, with their start",
        formula="rate(P) / (P × rate(1))",
        unit="x",
        measured=ratios(took["one"], [processes * seconds for seconds in took["several"]]),
    )


# --- memory

_SESSION_DAY = "2026-01-05"
_FIRST_DAY = date(1700, 1, 1)  # each conversation has a day of its own, and all of them are over before the session begins


def _named(text: str, number: int) -> Any:
    """Return the data of a snapshot as it would be read from a store, with a name, a customer and times of its own."""
    day = (_FIRST_DAY + timedelta(days=number)).isoformat()
    own = text.replace("bench-1", f"bench-{number}").replace('"c-1"', f'"c-{number}"').replace(_SESSION_DAY, day)
    return json.loads(own)


def _snapshots() -> dict[str, str]:
    steps = decided()
    full = _talked(steps[0].after)
    assert len(full.messages) == POLICY.context.messages
    return {"fresh": _text_of(steps[0].after), "full": _text_of(full)}


def _talked(conversation: Conversation) -> Conversation:
    """Return the conversation after three messages of the customer and two replies of the AI."""
    assert POLICY.context.messages == 5
    for number, text in enumerate(_TALK, 1):
        at = conversation.at + timedelta(seconds=10)
        event: Event
        if number % 2:
            event = CustomerMessage(conversation=conversation.id, at=at, seq=number + 1, text=text)
        else:
            event = AiTurn(
                conversation=conversation.id,
                at=at,
                intent="greeting",
                confidence=0.95,
                sentiment=0.1,
                reply=text,
                epoch=0,
                in_reply_to=number,
            )
        conversation = step(POLICY, conversation, event).after
    return conversation


_TALK = (
    "Hello, I have a question about my statement.",
    "Hello! I am happy to help. Which line of the statement is it about?",
    "The third one. There is a fee that I do not know.",
    "That is the monthly fee of your account, as in your contract.",
    "I see. Since when is that so?",
)


def _text_of(conversation: Conversation) -> str:
    return json.dumps(conversation_to_data(conversation))


def resident() -> int | None:
    """Return the bytes of memory that this process has; None where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:  # pragma: no cover - not on Linux
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _held_bytes(text: str, count: int) -> float:
    """Return the bytes that one conversation takes, of so many that are held; asked for in a process of its own."""
    held: list[Conversation | None] = [None] * count
    gc.disable()
    before = resident()
    if before is None:  # pragma: no cover - not on Linux
        tracemalloc.start()
    for number in range(count):
        held[number] = conversation_from_data(_named(text, number))
    after = resident()
    if before is None or after is None:  # pragma: no cover - not on Linux
        return tracemalloc.get_traced_memory()[0] / count
    return (after - before) / count


def _memory(plan: Plan) -> Iterator[Result]:
    context = multiprocessing.get_context("spawn")
    sizes = {}
    for name, text in _snapshots().items():
        # A process each: memory that was given back would hide what is taken next.
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            sizes[name] = pool.submit(_held_bytes, text, plan.held).result()
    note = f"{plan.held:,} held, each restored from JSON of its own; growth of the resident memory of a process of their own"
    for name, what, most in (("fresh", "a fresh conversation", 1_024), ("full", "one with 5 messages", 2_560)):
        yield Result(
            goal="10",
            what=f"memory of {what}",
            formula="bytes held / conversations",
            unit="bytes",
            measured=spread([sizes[name]]),
            target=f"≤ {most:,}",
            met=sizes[name] <= most,
            note=note,
        )


def _restoring(plan: Plan) -> Iterator[Result]:
    def restored(text: str) -> Way:
        read = [_named(text, number) for number in range(plan.restored)]
        return lambda _: [conversation_from_data(data) for data in read]

    ways = {name: restored(text) for name, text in _snapshots().items()}
    took = interleaved(ways, min(plan.rounds, plan.slow_rounds), 0)
    for name, what in (("fresh", "fresh conversations"), ("full", "conversations with 5 messages")):
        seconds = spread(1e6 / plan.restored * one for one in took[name])
        yield Result(
            goal="10",
            what=f"a million {what} restored",
            formula="t(conversation_from_data) × 1,000,000",
            unit="s",
            measured=seconds,
            target="≤ 10",
            met=seconds.median <= 10,
            note=f"measured on {plan.restored:,} and scaled; from data, so without reading JSON",
        )


# --- many conversations

_EXCHANGES = 5  # after so many turns of the AI a further one leaves the snapshot at its size
_PASS = 1_000  # steps after which the clock of the events moves on


def _settled_conversation() -> Conversation:
    started = session_of("bench-1")[0]
    events: list[Event] = [started]
    for number in range(_EXCHANGES):
        assert started.at is not None
        at = started.at + timedelta(seconds=2 * number)
        events.append(CustomerMessage(conversation="bench-1", seq=2 + 2 * number, at=at, text="And what about the limit?"))
        events.append(_turn(3 + 2 * number, number))
    return decided(tuple(events))[-1].after


def _turn(seq: int, number: int) -> AiTurn:
    at = SESSION[0].at
    assert at is not None
    return AiTurn(
        conversation="bench-1",
        seq=seq,
        at=at + timedelta(seconds=1 + 2 * number),
        intent="limit",
        confidence=0.8,
        sentiment=0.1,
        reply="The limit can be changed in the settings.",
        epoch=0,
    )


class _Crowd:
    """Live conversations that are stepped in turn, each with a turn of the AI; the new snapshot takes the old one's place."""

    def __init__(self, text: str, count: int) -> None:
        self.live = [conversation_from_data(_named(text, number)) for number in range(count)]
        self.next = 0
        self.steps = 0

    def step(self, times: int) -> None:
        live, count, index = self.live, len(self.live), self.next
        turn = _turn(100, 0)
        for number in range(self.steps, self.steps + times):
            if turn.seq == 100 or not number % _PASS:
                turn = _turn(101, _EXCHANGES + number // _PASS)
            live[index] = step(POLICY, live[index], turn).after
            index = index + 1 if index + 1 < count else 0
        self.next = index
        self.steps += times


def _crowd(plan: Plan) -> Iterator[Result]:
    text = _text_of(_settled_conversation())
    few, many = _Crowd(text, plan.few), _Crowd(text, plan.many)
    # Each crowd is stepped once before, so that neither is measured while it is new.
    ways: dict[str, Way] = {
        "few": lambda _: few.step(plan.crowd_steps),
        "many": lambda _: many.step(plan.crowd_steps),
    }
    for way in ways.values():
        way(1)
    took = interleaved(ways, plan.rounds, 0)
    growth = ratios(took["many"], took["few"])
    yield Result(
        goal="12",
        what=f"a step among {plan.many:,} live conversations",
        formula=f"t(step, {plan.many:,} held, in turn) / t(step, {plan.few:,} held, in turn)",
        unit="x",
        measured=growth,
        target="≤ 1.3",
        met=growth.median <= 1.3,
        note="turns of the AI; garbage collector on, both crowds in one process",
    )
