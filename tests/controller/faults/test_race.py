"""The race: AI replies that are on their way while a person takes over. Whoever wins, the bot does not talk over the person."""

import asyncio
import json
import os
import random
import sqlite3
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest
from fault_tools import POLICY, FileChannel, audit, check_order, lines_of, run

from handoff_kit.controller import Controller, Delivery, Outcome
from handoff_kit.controller.records import Accepted, Commit
from handoff_kit.controller.stores.memory import MemoryStore
from handoff_kit.controller.stores.sqlite import SqliteStore
from handoff_kit.controller.testing import ManualClock, agent_says, returns_to_ai, says, started, turn
from handoff_kit.machines import REFUSALS, AiTurn, Event
from handoff_kit.machines.effects import SendToCustomer

SEEDS = int(os.environ.get("HANDOFF_RACES", "6"))


@attrs.define
class Seen:
    """What became of a race.

    Attributes:
        log: in the order of the store: ("takeover", its epoch) and ("claimed", key).
        sent: (key, text) in the order in which the channel was called.
        outcomes: each with its event.
    """

    log: list[tuple[str, Any]] = attrs.field(factory=list)
    sent: list[tuple[str, SendToCustomer]] = attrs.field(factory=list)
    outcomes: list[tuple[Event, Outcome]] = attrs.field(factory=list)


class Watched(MemoryStore):
    """Notes the order of takeovers and claims."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen

    async def commit(self, commit: Commit) -> None:
        await super().commit(commit)
        self.seen.log += [
            ("takeover", one.step.after.epoch) for one in commit.steps if isinstance(one, Accepted) and _takes_over(one.step)
        ]

    async def claim(self, port: str, *args: Any, **options: Any) -> list[Delivery]:
        claimed = await super().claim(port, *args, **options)
        self.seen.log += [("claimed", one.key) for one in claimed if port == "channel" and not one.held]
        return claimed


class Heedless(Watched):
    """Claims without a look at who holds the reply, as a queue of jobs does that post on the status they once read."""

    async def claim(self, port: str, *args: Any, **options: Any) -> list[Delivery]:
        claimed = [attrs.evolve(one, held=False) for one in await MemoryStore.claim(self, port, *args, **options)]
        self.seen.log += [("claimed", one.key) for one in claimed if port == "channel"]
        return claimed


def _takes_over(step: Any) -> bool:
    return step.after.owner.startswith("agent:") and (step.before is None or step.before.owner != step.after.owner)


def log_of(path: Path) -> list[tuple[str, Any]]:
    """Return takeovers and claims in the order in which a SQLite store wrote them."""
    log: list[tuple[str, Any]] = []
    epoch = 0
    database = sqlite3.connect(path)
    for (body,) in database.execute("SELECT body FROM log ORDER BY id").fetchall():
        row = json.loads(body)
        for one in row.get("steps", ()):
            now = one["step"]["epoch"]
            if now != epoch and one["event"]["type"] == "agent_message":
                log.append(("takeover", now))
            epoch = now
        log += [("claimed", key) for key, _, _, held in row.get("claimed", ()) if not held]
    database.close()
    return log


async def race(
    controllers: list[Controller], seen: Seen, chance: random.Random, tasks: int, *, agents: int, comes_back: bool
) -> None:
    """Let tasks happen at once, in an order that chance decides."""
    await controllers[0].handle(started())

    async def one(kind: str, number: int) -> None:
        controller = chance.choice(controllers)
        for _ in range(chance.randrange(400 if kind in ("agent", "back") else 60)):
            await asyncio.sleep(0)
        if kind == "ai":
            asked = await controller.handle(says(text=f"question {number}", id=f"q-{number}"))
            for _ in range(chance.randrange(30)):  # the AI composes its answer
                await asyncio.sleep(0)
            event: Event = turn(reply=f"AI {number}", epoch=asked.epoch, in_reply_to=f"q-{number}", id=f"a-{number}")
        elif kind == "agent":
            event = agent_says(text=f"agent {number}", agent=f"a{number % agents}", takeover=number >= agents, id=f"p-{number}")
        elif kind == "back":
            event = returns_to_ai(agent=f"a{number % agents}", id=f"b-{number}")
        else:
            event = says(text=f"customer {number}", id=f"c-{number}")
        seen.outcomes.append((event, await chance.choice(controllers).handle(event)))

    kinds = (
        ["ai"] * (tasks * 7 // 10)
        + ["agent"] * (tasks // 10)
        + ["customer"] * (tasks // 5)
        + ["back"] * (tasks // 20 * comes_back)
    )
    chance.shuffle(kinds)
    await asyncio.gather(*(one(kind, number) for number, kind in enumerate(kinds)))
    for _ in range(500):
        for controller in controllers:
            await controller.drain()
        if not await controllers[0].store.deliveries():
            return
        await asyncio.sleep(0.002)
    raise AssertionError(f"not all was delivered: {await controllers[0].store.deliveries()}")


def channel_of(seen: Seen, chance: random.Random) -> Any:
    """Return a push channel that is slow, and slower at times."""

    async def send(conversation: str, text: SendToCustomer, key: str) -> None:
        seen.sent.append((key, text))
        for _ in range(chance.choice((0, 5, 25, 60))):
            await asyncio.sleep(0)

    return send


async def judge(seen: Seen, controller: Controller) -> Counter[str]:
    """Check what must hold of every race; return what it was worth."""
    found = await audit(controller.store)
    texts: dict[str, SendToCustomer] = found.effects("channel")
    worth: Counter[str] = Counter(held=len(found.held))

    highest = 0
    for kind, what in seen.log:
        if kind == "takeover":
            highest = max(highest, what)
        else:
            assert texts[what].speaker != "ai" or texts[what].epoch >= highest, (
                f"{what} was claimed after the takeover of epoch {highest}"
            )
            worth["claimed"] += 1

    highest = 0
    for key, text in seen.sent:
        if text.speaker == "agent":
            highest = max(highest, text.epoch)
        assert text.speaker != "ai" or text.epoch >= highest, f"{key} was sent after the words of an agent"
    assert Counter(key for key, _ in seen.sent) == Counter({key: 1 for key in texts if key not in found.held})
    check_order(key for key, _ in seen.sent)

    epochs = {one.after.version: one.after.epoch for one in found.steps["c-1"]}
    for event, outcome in seen.outcomes:
        worth[outcome.refused.name if outcome.refused is not None else "accepted"] += 1
        if outcome.refused is not None:
            assert outcome.refused.name in REFUSALS
            assert outcome.version in epochs
            assert outcome.reply != "accepted"
        elif isinstance(event, AiTurn):
            assert epochs[outcome.version] == event.epoch or outcome.reply == "withheld"
        if outcome.refused is None:
            assert found.ids["c-1", event.id or ""] == 1
    accepted = sorted(outcome.version for _, outcome in seen.outcomes if outcome.refused is None)
    assert len(accepted) == len(set(accepted))
    declined = [one["event"]["id"] async for one in controller.store.declined("c-1")]
    assert sorted(declined) == sorted(event.id or "" for event, outcome in seen.outcomes if outcome.refused is not None)
    return worth


@pytest.mark.parametrize("comes_back", [False, True])
def test_in_memory_no_reply_of_the_ai_comes_after_a_person_took_over(comes_back: bool) -> None:
    worth: Counter[str] = Counter()

    async def body(seed: int) -> None:
        chance, seen = random.Random(seed), Seen()
        async with Controller.open(
            Watched(seen), policy=POLICY, channel=channel_of(seen, chance), clock=ManualClock()
        ) as controller:
            await race([controller], seen, chance, 200, agents=1 + seed % 3, comes_back=comes_back)
            worth.update(await judge(seen, controller))

    for seed in range(SEEDS):
        run(body(seed))
    assert worth["held"] > SEEDS // 2, worth  # or the races were no races
    assert worth["stale_epoch"] > SEEDS, worth
    assert worth["claimed"] > SEEDS, worth


def test_a_claim_that_does_not_look_is_found_out() -> None:
    async def body(seed: int) -> None:
        chance, seen = random.Random(seed), Seen()
        async with Controller.open(
            Heedless(seen), policy=POLICY, channel=channel_of(seen, chance), clock=ManualClock()
        ) as controller:
            await race([controller], seen, chance, 200, agents=1, comes_back=False)
            await judge(seen, controller)

    with pytest.raises(AssertionError, match="after the takeover"):
        for seed in range(SEEDS):
            run(body(seed))


@pytest.mark.parametrize("stores", [1, 2])
def test_on_sqlite_no_reply_of_the_ai_comes_after_a_person_took_over(tmp_path: Path, stores: int) -> None:
    worth: Counter[str] = Counter()

    async def body(seed: int) -> None:
        chance, seen = random.Random(seed), Seen()
        path = tmp_path / f"{seed}.db"
        options: dict[str, Any] = {"policy": POLICY, "channel": channel_of(seen, chance), "clock": ManualClock()}
        async with Controller.open(SqliteStore(path), **options) as one, Controller.open(SqliteStore(path), **options) as other:
            controllers = [one, other][:stores]
            await race(controllers, seen, chance, 160, agents=1 + seed % 3, comes_back=bool(seed % 2))
            seen.log = log_of(path)
            worth.update(await judge(seen, other))

    for seed in range(max(2, SEEDS // 4)):
        run(body(seed))
    assert worth["stale_epoch"] > 0, worth
    assert worth["claimed"] > 0, worth


def test_twenty_turns_and_one_takeover_in_many_orders() -> None:
    held = 0

    async def body() -> None:
        nonlocal held
        chance = random.Random(1)
        for _ in range(12 * SEEDS):
            seen = Seen()
            async with Controller.open(
                Watched(seen), policy=POLICY, channel=channel_of(seen, chance), clock=ManualClock()
            ) as controller:
                await controller.handle(started())

                async def later(event: Event, controller: Controller = controller, seen: Seen = seen) -> None:
                    for _ in range(chance.randrange(30)):
                        await asyncio.sleep(0)
                    seen.outcomes.append((event, await controller.handle(event)))

                events: list[Event] = [turn(reply=f"AI {number}", epoch=0, id=f"a-{number}") for number in range(20)]
                await asyncio.gather(*map(later, [*events, agent_says(epoch=0, id="p")]))
                await controller.drain()
                held += (await judge(seen, controller))["held"]
                last = [text.speaker for _, text in seen.sent]
                assert last[-1] == "agent"

    run(body(), 120)
    assert held > 0


def test_two_processes_race_on_one_file(tmp_path: Path) -> None:
    """One answers as the AI, the other takes over and gives back, again and again."""
    path = tmp_path / "one.db"
    rounds = 8

    async def begin() -> None:
        async with Controller.open(str(path), policy=POLICY, channel=FileChannel(tmp_path / "sent")) as controller:
            await controller.handle(started())

    async def answer() -> None:
        async with Controller.open(str(path), policy=POLICY, channel=FileChannel(tmp_path / "sent", lambda: 0.001)) as controller:
            number = 0
            while not (tmp_path / "over").exists():
                number += 1
                asked = await controller.handle(says(id=f"q-{number}"))
                await asyncio.gather(
                    *(
                        controller.handle(turn(reply=f"AI {number} {one}", epoch=asked.epoch, id=f"a-{number}-{one}"))
                        for one in range(3)
                    )
                )
            await controller.drain()

    async def take_over() -> None:
        async with Controller.open(str(path), policy=POLICY, channel=FileChannel(tmp_path / "sent", lambda: 0.001)) as controller:
            for number in range(rounds):
                outcome = await controller.handle(agent_says(text=f"agent {number}", id=f"p-{number}"))
                assert outcome.owner == "agent:a1"
                await asyncio.sleep(0.01)
                outcome = await controller.handle(returns_to_ai(id=f"b-{number}"))
                assert outcome.owner == "ai"
                await asyncio.sleep(0.03)
            await controller.handle(agent_says(text="and for good", id="p-last"))
            (tmp_path / "over").touch()
            await controller.drain()

    run(begin())
    children = []
    for number, work in enumerate((answer, take_over)):
        pid = os.fork()
        if pid == 0:
            try:
                run(work(), 25)
            except BaseException:
                (tmp_path / f"error-{number}").write_text(traceback.format_exc())
                (tmp_path / "over").touch()
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert [one.read_text() for one in tmp_path.glob("error-*")] == []

    async def check() -> None:
        async with Controller.open(str(path), policy=POLICY, channel=FileChannel(tmp_path / "sent")) as controller:
            for _ in range(100):
                await controller.drain()
                if not await controller.store.deliveries():
                    break
                await asyncio.sleep(0.02)
            found = await audit(controller.store)
            texts = found.effects("channel")
            sent = [line[0] for line in lines_of(tmp_path / "sent")]
            assert Counter(sent) == Counter({key: 1 for key in texts if key not in found.held})
            check_order(sent)
            highest = 0
            for kind, what in log_of(path):
                if kind == "takeover":
                    highest = max(highest, what)
                else:
                    assert texts[what].speaker != "ai" or texts[what].epoch >= highest
            highest = 0
            for key in sent:
                highest = max(highest, texts[key].epoch if texts[key].speaker == "agent" else 0)
                assert texts[key].speaker != "ai" or texts[key].epoch >= highest
            assert highest == 2 * rounds + 1

    run(check())
