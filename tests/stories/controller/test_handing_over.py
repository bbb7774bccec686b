"""Stories about the way to the person: it makes a noise, it happens once, and nothing is promised before it is stored."""

import asyncio
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import naive_hosts as naive
import pytest
from machines_build import at
from story_host import CONNECTING, World, all_attempts, history, killed, refusals, rest

from handoff_kit.controller.controller import Controller
from handoff_kit.controller.errors import StoreError, StoreFull
from handoff_kit.controller.stores.sqlite import SqliteStore
from handoff_kit.controller.testing import (
    MemoryChannel,
    MemoryDesk,
    MemoryNotifier,
    accepts,
    asks_for_a_person,
    context_ready,
    offered,
    started,
    turn,
)
from handoff_kit.machines import Event, NotifyAgents, OpenTicket, SendToCustomer, State
from handoff_kit.machines.effects import Effect

# --- a noise

AT_ONCE: list[Event] = [started(), asks_for_a_person()]


async def noise_of(world: World, controller: Controller) -> str:
    """The customer asks for a person at once; returns the key of the one notice."""
    for event in AT_ONCE:
        await controller.handle(event)
    await rest(controller)
    (delivery,) = [one for one in await controller.deliveries("c-1") if one.port == "notifier"]
    assert isinstance(delivery.effect, NotifyAgents)
    assert (delivery.effect.audience, delivery.effect.about) == ("queue:default", "queued")
    return delivery.key


async def is_taken(controller: Controller) -> None:
    """Whatever the notifier does, the conversation stands in the queue, and an agent can be offered it."""
    assert (await controller.conversation("c-1")).state is State.QUEUED
    assert (await controller.handle(offered())).refused is None
    assert (await controller.handle(accepts())).state == "agent_active"


def test_a_handoff_makes_a_noise_though_the_notifier_fails_three_times() -> None:
    """S28: the bell was out of order for a moment, and the customer waited for an hour."""

    async def main() -> None:
        world = World()
        world.notifier.fails(3)
        async with world.open() as controller:
            key = await noise_of(world, controller)
            assert world.notifier.notices == []
            await all_attempts(controller, world.clock, "notifier")

            assert world.notifier.calls == [key] * 4
            assert [notice.key for notice in world.notifier.notices] == [key]
            assert "delivery_failed" not in [line["type"] for line in await history(controller)]
            await is_taken(controller)

    asyncio.run(main())


@pytest.mark.parametrize("how", ["never works", "is rejected"])
def test_a_noise_that_cannot_be_made_is_on_record_and_holds_up_nothing(how: str) -> None:
    """S28: the notice failed for good; the handoff went on, and one could see that nobody had been called."""

    async def main() -> None:
        world = World()
        if how == "never works":
            world.notifier.fails(1000)
        else:
            world.notifier.fails(2)
            world.notifier.rejects()
        async with world.open() as controller:
            key = await noise_of(world, controller)
            await all_attempts(controller, world.clock, "notifier")

            assert set(world.notifier.calls) == {key}
            attempts = len(world.notifier.calls)
            assert attempts == (10 if how == "never works" else 3)
            (failed,) = [line for line in await history(controller) if line["type"] == "delivery_failed"]
            assert (failed["effect"], failed["attempts"]) == (key, attempts)
            (dead,) = [one for one in await controller.deliveries("c-1") if one.port == "notifier"]
            assert (dead.status, dead.key) == ("dead", key)
            assert [sent.text.kind for sent in world.channel.sent] == ["connecting"]
            assert len(world.desk.tickets) == 1
            await is_taken(controller)

    asyncio.run(main())


def test_a_noise_that_hangs_on_an_assignment_is_not_made() -> None:
    """S28, the other half: nobody is assigned and there is no second message, so nobody hears of it; nor if it fails once."""

    async def main() -> tuple[int, int]:
        silent, unheard = naive.NoiseOnAssignment(lambda: True), naive.NoiseOnAssignment(lambda: False)
        for event in [*AT_ONCE, context_ready()]:
            await silent.handle(event)
        for event in [*AT_ONCE, context_ready(), offered(), accepts()]:
            await unheard.handle(event)
        return silent.heard, unheard.heard

    assert asyncio.run(main()) == (0, 0)


# --- once

R1 = turn(reply="I fetch somebody.", wants_handoff=True, epoch=0, id="r1")
R2 = attrs.evolve(R1, id="r2")


def test_a_retry_hands_off_once() -> None:
    """S47: the answer took thirty seconds, the host asked again, and there were two tickets."""

    async def main() -> None:
        world = World()
        async with world.open() as controller:
            await controller.handle(started())
            asked = asyncio.create_task(controller.handle(R1))
            await asyncio.sleep(0)
            asked.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asked
            world.clock.advance(30)
            again = await controller.handle(R1)
            other = await controller.handle(R2)
            third = await controller.handle(R2)
            await rest(controller)

            assert (again.duplicate, again.refused, again.state, again.epoch) == (True, None, "escalation_pending", 1)
            assert (again.reply, again.version) == ("withheld", 2)
            assert "ai_asks" in [verdict.name for verdict in again.verdicts if verdict.holds]
            assert other.refused is not None
            assert (other.refused.name, other.duplicate) == ("stale_epoch", False)
            assert (third.refused, third.duplicate) == (other.refused, True)
            assert await refusals(controller) == [("ai_turn", "stale_epoch")]
            assert len(world.desk.tickets) == 1
            assert [sent.text.kind for sent in world.channel.sent] == ["connecting"]

    asyncio.run(main())


def test_a_desk_whose_answer_is_lost_is_asked_under_the_same_key() -> None:
    """S47: the desk had opened the ticket when the line broke."""

    async def main() -> None:
        world = World()
        for one in (world.desk, world.channel, world.notifier):
            one.fails(2, after=True)
        async with world.open() as controller:
            await controller.handle(started())
            await controller.handle(R1)
            for port in ("desk", "channel", "notifier"):
                await all_attempts(controller, world.clock, port)

            assert [len(one.calls) for one in (world.desk, world.channel, world.notifier)] == [3, 3, 3]
            assert [len(set(one.calls)) for one in (world.desk, world.channel, world.notifier)] == [1, 1, 1]
            assert len(world.desk.tickets) == len(world.channel.sent) == len(world.notifier.notices) == 1
            now = await controller.conversation("c-1")
            assert [(ticket.status, ticket.ticket) for ticket in now.tickets] == [("open", "T-1")]

    asyncio.run(main())


class Film:
    """Keeps, at each moment, what is on the disk and what the world outside has seen by then."""

    def __init__(self, path: Path, world: World) -> None:
        self.path = path
        self.world = world
        self.frames: list[tuple[str, Path, World]] = []

    def take(self, moment: str) -> None:
        file = killed(self.path, f"frame {len(self.frames)}")
        self.frames.append((moment, file, self.world.as_it_is()))


class Filmed:
    """An adapter that is filmed before and after each delivery."""

    def __init__(self, adapter: MemoryChannel | MemoryDesk | MemoryNotifier, film: Film) -> None:
        self._adapter = adapter
        self._film = film
        self.kind = "push"
        self.name = "memory"

    async def _filmed(self, name: str, *args: Any) -> Any:
        self._film.take(f"before {name}")
        answer = await getattr(self._adapter, name)(*args)
        self._film.take(f"after {name}")
        return answer

    def reaches(self, _: str) -> bool:
        return True

    async def send(self, *args: Any) -> None:
        await self._filmed("send", *args)

    async def open(self, *args: Any) -> Any:
        return await self._filmed("open", *args)

    async def perform(self, *args: Any) -> None:
        await self._filmed("perform", *args)

    async def notify(self, *args: Any) -> None:
        await self._filmed("notify", *args)


def seen(world: World) -> set[str]:
    """The keys of all that was done outside."""
    keys = [sent.key for sent in world.channel.sent]
    keys += [*world.desk.tickets, *(call.key for call in world.desk.log), *(call.key for call in world.notifier.notices)]
    assert len(keys) == len(set(keys))
    return set(keys)


def test_a_process_that_is_killed_around_a_delivery_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """S47: killed before and after each delivery; the next process finds what is owed, and uses the same keys."""

    async def main() -> None:
        world = World()
        film = Film(tmp_path / "handoff.db", world)
        adapters = {name: Filmed(getattr(world, name), film) for name in ("channel", "desk", "notifier")}
        async with world.open(film.path, **adapters) as controller:
            await controller.handle(started())
            await controller.handle(R1)
            await rest(controller)
        undisturbed = seen(world)
        assert len(undisturbed) == 3
        assert {when for when, _, _ in film.frames} == {
            f"{when} {what}" for when in ("before", "after") for what in ("send", "open", "notify")
        }

        for when, file, left in film.frames:
            async with left.open(file) as controller:
                again = await controller.handle(R1)
                assert (again.duplicate, again.state) == (True, "escalation_pending"), when
                other = await controller.handle(R2)
                assert other.refused is not None
                await rest(controller)
                left.clock.advance(60)
                await rest(controller)
                assert (await controller.conversation("c-1")).state is State.QUEUED
                assert await controller.deliveries("c-1") == [], when
            assert seen(left) == undisturbed, when
            assert len(left.desk.tickets) == len(left.channel.sent) == 1

    asyncio.run(main())


def test_a_node_that_runs_again_from_its_top_hands_off_twice() -> None:
    """S47, the other half: cut off and asked again; and the same content twice at once, on one status that was read before."""

    async def main() -> tuple[int, int, int]:
        retried = naive.RunsFromItsTop(CONNECTING)
        run = asyncio.create_task(retried.handle(R1))
        for _ in range(3):
            await asyncio.sleep(0)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        await retried.handle(R1)
        cached = naive.RunsFromItsTop(CONNECTING)
        await asyncio.gather(cached.handle(R1), cached.handle(R2))
        return retried.tickets, len(retried.sent), cached.tickets

    assert asyncio.run(main()) == (2, 2, 2)


# --- promise after the commit

ESCALATION = asks_for_a_person(id="h-1")


class Faults:
    """Counts what a store writes, statement by statement: at one of them the disk is full; before and after each it tells."""

    def __init__(self, fails_at: int = 0, tell: Callable[[], None] = lambda: None) -> None:
        self.fails_at = fails_at
        self.tell = tell
        self.statements = 0

    def around(self, run: Callable[..., Any], sql: str, *args: Any) -> Any:
        if not sql.startswith(("BEGIN", "INSERT", "UPDATE", "DELETE", "COMMIT")):
            return run(sql, *args)
        self.statements += 1
        if self.statements == self.fails_at:
            error = sqlite3.OperationalError("database or disk is full")
            error.sqlite_errorcode = sqlite3.SQLITE_FULL
            raise error
        self.tell()
        result = run(sql, *args)
        self.tell()
        return result


class FaultyConnection(sqlite3.Connection):
    """A connection with faults."""

    faults: Faults | None = None

    def execute(self, sql: str, *args: Any) -> Any:
        return super().execute(sql, *args) if self.faults is None else self.faults.around(super().execute, sql, *args)

    def executemany(self, sql: str, *args: Any) -> Any:
        return super().executemany(sql, *args) if self.faults is None else self.faults.around(super().executemany, sql, *args)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FaultyConnection]]:
    """From here on all connections may have faults."""
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **given: connect(*args, **given, factory=FaultyConnection))
    yield FaultyConnection
    FaultyConnection.faults = None


async def is_kept_whole(file: Path, world: World) -> str:
    """Look at what is on the disk, without delivering: all of the promise is there, or none. Returns the state."""
    store = SqliteStore(file)
    await store.open()
    now = await store.load("c-1")
    owed: dict[str, Effect] = {one.key: one.effect for one in await store.deliveries(conversation="c-1")}
    await store.close()
    assert now is not None
    timers = {timer.name for timer in now.timers}
    sent: dict[str, Effect] = {one.key: one.text for one in world.channel.sent}
    kinds = [one.kind for one in (owed | sent).values() if isinstance(one, SendToCustomer)]
    tickets = {*world.desk.tickets, *(key for key, effect in owed.items() if isinstance(effect, OpenTicket))}
    if now.tickets and now.tickets[0].status == "open":
        assert world.desk.tickets
    if now.state is State.QUEUED:
        assert now.queue == "default"
        assert now.handoff is not None
        assert "queue" in timers
        assert kinds == ["connecting"]
        assert len(tickets) == 1
    else:
        assert now.state in (State.BOT_ACTIVE, State.ESCALATION_PENDING)
        assert (now.queue, kinds, tickets) == (None, [], set())
        assert ("context" in timers) == (now.state is State.ESCALATION_PENDING)
    return str(now.state)


async def escalated(path: Path, faults: Faults, faulty: type[FaultyConnection]) -> tuple[World, str]:
    """Escalate on a disk that is full at one moment, and again until it works; returns what the host was told."""
    world = World()
    async with world.open(path) as controller:
        await controller.handle(started())
        await rest(controller)
        faulty.faults = faults
        told = "no failure"
        try:
            await controller.handle(ESCALATION)
        except StoreError as error:
            told = type(error).__name__
            assert (await controller.conversation("c-1")).state is State.BOT_ACTIVE
            await controller.handle(ESCALATION)
        for _ in range(70):  # longer than a claim lasts whose outcome could not be stored
            world.clock.advance(1)
            await rest(controller)
        faulty.faults = None
        assert (await controller.conversation("c-1")).state is State.QUEUED
        assert (await controller.handle(ESCALATION)).duplicate
    return world, told


def test_a_disk_that_is_full_at_any_moment_breaks_no_promise(tmp_path: Path, faulty: type[FaultyConnection]) -> None:
    """S57: "connecting you" was sent, the commit failed, and nobody ever came."""

    async def main() -> None:
        counted = Faults()
        _, told = await escalated(tmp_path / "handoff.db", counted, faulty)
        assert (told, counted.statements > 5) == ("no failure", True)
        answers = []
        for number in range(1, counted.statements + 1):
            folder = tmp_path / f"full at {number}"
            folder.mkdir()
            world, told = await escalated(folder / "handoff.db", Faults(number), faulty)
            answers.append(told)
            assert [sent.text.kind for sent in world.channel.sent] == ["connecting"], number
            assert len(world.desk.tickets) == 1
            assert await is_kept_whole(folder / "handoff.db", world) == "queued"
        assert answers[0] == StoreFull.__name__
        assert set(answers) == {"no failure", StoreFull.__name__}

    asyncio.run(main())


def test_a_process_that_is_killed_at_any_write_breaks_no_promise(tmp_path: Path, faulty: type[FaultyConnection]) -> None:
    """S57: the same where the process ends; what the customer read by then has a queued conversation behind it."""

    async def main() -> None:
        world = World()
        film = Film(tmp_path / "handoff.db", world)
        async with world.open(film.path) as controller:
            await controller.handle(started())
            await rest(controller)
            faulty.faults = Faults(tell=lambda: film.take("a write"))
            await controller.handle(ESCALATION)
            await rest(controller)
            faulty.faults = None
            film.take("the end")
        states = [await is_kept_whole(file, left) for _, file, left in film.frames]
        assert [state for state, _ in itertools.groupby(states)] == ["bot_active", "escalation_pending", "queued"]

        for _, file, left in film.frames[::4]:
            async with left.open(file) as controller:
                await controller.handle(ESCALATION)
                await rest(controller)
                left.clock.advance(60)
                await rest(controller)
            assert [sent.text.kind for sent in left.channel.sent] == ["connecting"]
            assert len(left.desk.tickets) == 1
            assert await is_kept_whole(file, left) == "queued"

    asyncio.run(main())


@pytest.mark.parametrize("fails_at", [2, 3])
def test_a_promise_before_the_commit_is_broken(fails_at: int) -> None:
    """S57, the other half: it sends, then stores; what it stores in several writes is left half done."""
    writes = itertools.count(1)

    def write() -> None:
        if next(writes) == fails_at:
            raise OSError("no space left on device")

    async def main() -> naive.SendsThenStores:
        flow = naive.SendsThenStores(write, CONNECTING)
        for event in (ESCALATION, context_ready(at=at(1))):
            try:
                await flow.handle(event)
            except OSError:
                continue
        return flow

    flow = asyncio.run(main())
    assert flow.texts("system") == [CONNECTING]
    assert (flow.state, flow.timers) == ("escalation_pending" if fails_at == 2 else "queued", [])
