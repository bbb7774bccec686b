"""A process that is killed: it handles events of several conversations until its end, and notes what was acknowledged.

Its notes are lines of a file, one write each, so that they outlive it: `S` submitted, `A` acknowledged, `O` opened, `C` closing.
"""

import asyncio
import os
import random
import resource
import traceback
from pathlib import Path
from typing import Any

import attrs
from fault_tools import FileChannel, FileDesk, QuietBot, append_line, audit, check_order, lines_of, sqlite_with

from handoff_kit.controller import Controller, Outcome
from handoff_kit.controller.records import Accepted, Commit, key_of
from handoff_kit.controller.stores import sqlite
from handoff_kit.controller.stores.sqlite import SqliteStore
from handoff_kit.controller.testing import (
    accepts,
    agent_says,
    asks_for_a_person,
    assigned,
    closed,
    finishes,
    offered,
    returns_to_ai,
    says,
    started,
    transfers,
    turn,
    wraps_up,
)
from handoff_kit.machines import AiTurn, Conversation, Event, State, parse_policy
from handoff_kit.machines.codec import event_from_data, event_to_data
from handoff_kit.machines.effects import SendToCustomer

#: Timers of a fraction of a second, so that some fall due in every life, and some while nobody lives.
POLICY = parse_policy(
    """
    [[trigger]]
    name = "asks"
    reason = "explicit_request"
    when = { customer_says = ["human"] }

    [[trigger]]
    name = "ai_asks"
    when = { wants_handoff = true }

    [timers]
    ai_reply_s = 0.2
    queue_s = 0.5
    agent_silent_s = 0.5
    wrap_up_s = 0.1
    """
)


@attrs.frozen
class Life:
    """How a process lives.

    Args:
        number: of this life; it stands in what the process sends and submits.
        twin: tells processes apart that live at the same time, and have one number.
        seconds: after so many it closes by itself, if it is not killed before.
        fold_at, idle_s: how eagerly the store brings its tables up to date.
        again: events that were never acknowledged: they are handed in once more.
        naive: `write_behind` acknowledges what is written later, `inline_effects` sends before it commits: the judge must see it.
    """

    folder: Path
    seed: int
    number: int
    conversations: int
    seconds: float
    fold_at: int
    idle_s: float
    pause_s: float
    again: tuple[Event, ...]
    twin: int = 0
    naive: str = ""

    @property
    def notes(self) -> Path:
        return self.folder / "notes"


class AnsweringBot(QuietBot):
    """Answers at once every second time; the other turns come as events."""

    async def turn(self, conversation: Conversation, ask: Any, key: str) -> AiTurn | None:
        if len(key) % 2:
            return None
        return AiTurn(conversation=conversation.id, reply=f"answered by the bot, {key}", confidence=0.9)


def ports(life: Life, chance: random.Random) -> dict[str, Any]:
    """Return the adapters of a life."""

    def pause() -> float:
        return chance.random() * life.pause_s

    return {
        "channel": FileChannel(life.folder / "channel", pause, str(life.number)),
        "desk": FileDesk(life.folder / "desk", pause),
        "bot": AnsweringBot(),
    }


def live(life: Life) -> None:
    """Be the process; never returns."""
    code = 3
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        log = os.open(life.folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        for name, value in (("_FOLD_AT", life.fold_at), ("_IDLE_S", life.idle_s)):
            assert hasattr(sqlite, name)
            setattr(sqlite, name, value)
        if life.naive:
            _be_naive(life)
        asyncio.run(_live(life))
        code = 0
    except BaseException:
        append_line(life.notes, "E", traceback.format_exc())
    finally:
        os._exit(code)


def _be_naive(life: Life) -> None:
    write, commit = SqliteStore._write, SqliteStore.commit
    behind: list[Any] = []

    def write_behind(self: Any, group: Any) -> bool:
        behind.append(group)
        if len(behind) == 10:
            for one in behind:
                write(self, one)
            behind.clear()
        return True

    async def commit_last(self: Any, one: Commit) -> None:
        for accepted in one.steps:
            assert isinstance(accepted, Accepted)
            for index, effect in enumerate(accepted.step.effects):
                if isinstance(effect, SendToCustomer):
                    after = accepted.step.after
                    key = key_of(after.id, after.version, index)
                    append_line(life.folder / "channel", key, after.id, effect.speaker, effect.text, str(life.number))
                    await asyncio.sleep(0.01)
        await commit(self, one)

    if life.naive == "write_behind":
        SqliteStore._write = write_behind  # type: ignore[method-assign]
    else:
        SqliteStore.commit = commit_last  # type: ignore[method-assign]


async def _live(life: Life) -> None:
    chance = random.Random(life.seed)
    async with Controller.open(str(life.folder / "handoff.db"), policy=POLICY, **ports(life, chance)) as controller:
        append_line(life.notes, "O", life.number)
        end = asyncio.get_running_loop().time() + life.seconds
        await asyncio.gather(*(_submit(controller, life, event) for event in life.again))
        await asyncio.gather(*(_talk(controller, life, number, chance, end) for number in range(life.conversations)))
        append_line(life.notes, "C", life.number)


async def _submit(controller: Controller, life: Life, event: Event) -> Outcome:
    append_line(life.notes, "S", life.number, event_to_data(event))
    outcome = await controller.handle(event)
    append_line(life.notes, "A", life.number, event.id, outcome.conversation, *told(outcome))
    return outcome


def told(outcome: Any) -> tuple[Any, ...]:
    """What an outcome, or what is remembered of it, says."""
    refused = outcome.refused.name if outcome.refused is not None else None
    return (outcome.version, outcome.state, outcome.epoch, outcome.owner, outcome.reply, refused)


async def _talk(controller: Controller, life: Life, number: int, chance: random.Random, end: float) -> None:
    base = name = f"c-{number}"
    count = 0

    def next_id() -> str:
        nonlocal count
        count += 1
        return f"{base}/{life.number}.{life.twin}/{count}"

    if await controller.store.load(base) is None:
        await _submit(controller, life, started(base, id=next_id()))
    while asyncio.get_running_loop().time() < end:
        now = await controller.conversation(name)
        events = [_next(chance, now, next_id()) for _ in range(chance.choice((1, 1, 1, 2, 3)))]
        outcomes = await asyncio.gather(*(_submit(controller, life, event) for event in events))
        name = max((one.conversation for one in outcomes), key=len)
        if chance.random() < 0.5:
            await asyncio.sleep(chance.random() * 0.01)


def _next(chance: random.Random, now: Conversation, name: str) -> Event:
    """Return an event that mostly fits."""
    agent = now.agent or chance.choice(("a1", "a2"))
    ringing = {offer.agent: offer.number for offer in now.offers}
    hello = says(now.id, chance.choice(("hello", "what?", "a human please")), id=name)
    if now.state in (State.BOT_ACTIVE, State.RESUMED_BOT):
        asked = now.asked[-1].id if now.asked else None
        answer = turn(now.id, f"the AI's words, {name}", epoch=now.epoch, in_reply_to=asked, id=name)
        wants = turn(now.id, wants_handoff=True, epoch=now.epoch, id=name)
        return chance.choice(
            (hello, hello, answer, answer, answer, wants, agent_says(now.id, f"an agent's words, {name}", agent, id=name))
        )
    if now.state in (State.ESCALATION_PENDING, State.CALLBACK_PENDING):
        return chance.choice((hello, assigned(now.id, agent, id=name), turn(now.id, epoch=now.epoch - 1, id=name)))
    if now.state is State.QUEUED:
        if ringing:
            agent, number = chance.choice(sorted(ringing.items()))
            return accepts(now.id, agent, number, id=name)
        return chance.choice(
            (hello, offered(now.id, agent, max((0, *now.offers_used)) + 1, id=name), assigned(now.id, agent, id=name))
        )
    if now.state in (State.AGENT_ACTIVE, State.COPILOT):
        words = agent_says(now.id, f"an agent's words, {name}", agent, id=name)
        late = turn(now.id, "a late answer", epoch=now.epoch - 1, id=name)
        back = returns_to_ai(now.id, agent, id=name)
        return chance.choice(
            (words, words, hello, late, back, back, transfers(now.id, agent, id=name), finishes(now.id, agent, id=name))
        )
    if now.state is State.WRAP_UP:
        return chance.choice((wraps_up(now.id, agent, id=name), closed(now.id, id=name), hello))
    return chance.choice((hello, asks_for_a_person(now.id, id=name)))


# --- the judge


@attrs.define
class Notes:
    """What the processes of a folder noted.

    Attributes:
        submitted: each event, by its id.
        acknowledged: (conversation, what the outcome said, the life that heard it), by the event's id.
    """

    submitted: dict[str, Event] = attrs.field(factory=dict)
    acknowledged: dict[str, tuple[str, tuple[Any, ...], int]] = attrs.field(factory=dict)
    opened: set[int] = attrs.field(factory=set)
    closing: set[int] = attrs.field(factory=set)

    @property
    def unheard(self) -> tuple[Event, ...]:
        return tuple(event for name, event in self.submitted.items() if name not in self.acknowledged)


def read_notes(folder: Path) -> Notes:
    notes = Notes()
    for kind, *rest in lines_of(folder / "notes"):
        if kind == "S":
            event = event_from_data(rest[1])
            assert event.id is not None
            notes.submitted[event.id] = event
        elif kind == "A":
            life, name, conversation, *said = rest
            known = notes.acknowledged.setdefault(name, (conversation, tuple(said), life))
            assert known[:2] == (conversation, tuple(said)), f"{name} was told {known[1]}, and then {said}"
        elif kind == "O":
            notes.opened.add(rest[0])
        elif kind == "C":
            notes.closing.add(rest[0])
        else:
            raise AssertionError(f"the process broke by itself: {rest[0]}")
    return notes


async def judge(folder: Path, path: Path, *, drained: bool) -> Notes:
    """Check that a file holds all that was acknowledged, whole, and owes or has delivered all that follows from it."""
    notes = read_notes(folder)
    store = await sqlite_with(path, policy=POLICY)
    found = await audit(store)
    sent, tickets = lines_of(folder / "channel"), lines_of(folder / "desk")

    for name, (conversation, said, _) in notes.acknowledged.items():
        remembered = await store.recall(conversation, name)
        assert remembered is not None, f"{name} was acknowledged and is forgotten"
        assert told(remembered) == said, f"{name}: {told(remembered)}, and {said} was acknowledged"
        assert found.ids[conversation, name] == (said[-1] is None), f"{name} was acknowledged and is not in the history"

    texts = found.effects("channel")
    keys = {line[0] for line in sent}
    assert keys <= set(texts), f"sent and not committed: {keys - set(texts)}"
    assert all(texts[line[0]].text == line[3] for line in sent)
    lost = set(texts) - keys - found.held - set(found.open)
    assert not lost, f"neither sent, nor held back, nor owed: {sorted(lost)}"
    check_order(line[0] for line in sent)

    wanted = found.tickets()
    assert len({line[0] for line in tickets}) == len(tickets)
    assert {line[0] for line in tickets} <= set(wanted)
    lost = set(wanted) - {line[0] for line in tickets} - set(found.open)
    assert not lost, f"neither opened nor owed: {sorted(lost)}"

    for name, steps in found.steps.items():
        connecting: list[int] = []
        opened: list[int] = []
        for one in steps:
            handoff = one.after.handoff.number if one.after.handoff is not None else 0
            connecting += [handoff for effect in one.effects if getattr(effect, "kind", None) == "connecting"]
            opened += [handoff for effect in one.effects if effect.type == "open_ticket"]
        assert len(connecting) == len(set(connecting)), f"{name}: connecting more than once a handoff: {connecting}"
        assert len(opened) == len(set(opened)), f"{name}: a ticket more than once a handoff: {opened}"
        # What the AI wrote before a takeover is not claimed in a later life than the one that heard of the takeover.
        for one in steps:
            heard = notes.acknowledged.get(one.event.id or "")
            if (
                heard is None
                or not one.after.owner.startswith("agent:")
                or one.before is None
                or one.before.owner == one.after.owner
            ):
                continue
            late = [
                line
                for line in sent
                if line[1] == name and line[2] == "ai" and texts[line[0]].epoch < one.after.epoch and int(line[4]) > heard[2]
            ]
            assert not late, f"{name}: sent after the takeover at version {one.after.version}: {late}"

    if drained:
        assert not found.open, f"left open by drain: {sorted(found.open)}"
    await store.close()
    return notes


async def settle_all(life: Life) -> None:
    """Hand in what was never acknowledged, twice, and deliver all that is owed."""
    notes = read_notes(life.folder)
    chance = random.Random(life.seed)
    async with Controller.open(str(life.folder / "handoff.db"), policy=POLICY, **ports(life, chance)) as controller:
        for event in notes.unheard:
            first = await _submit(controller, life, event)
            again = await controller.handle(event)
            assert again.duplicate
            assert (again.conversation, told(again)) == (first.conversation, told(first))
        for name in chance.sample(sorted(notes.acknowledged), min(20, len(notes.acknowledged))):
            conversation, said, _ = notes.acknowledged[name]
            again = await controller.handle(notes.submitted[name])
            assert again.duplicate, f"{name} was acknowledged, and is handled as if it were new"
            assert (again.conversation, told(again)) == (conversation, said)
        await controller.drain()
        for _ in range(200):
            if not await controller.store.deliveries():
                break
            await asyncio.sleep(0.02)
            await controller.drain()
