"""Two controllers on one file: both see what the other committed, conflicts are decided anew, and nothing happens twice."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fault_tools import POLICY, FileChannel, audit, check_order, lines_of, run, sqlite_with, until

from handoff_kit.controller import Controller
from handoff_kit.controller.testing import (
    ManualClock,
    MemoryChannel,
    MemoryDesk,
    agent_says,
    asks_for_a_person,
    closed,
    returns_to_ai,
    says,
    started,
    turn,
)


@asynccontextmanager
async def two(path: Path, **options: Any) -> AsyncIterator[tuple[Controller, Controller]]:
    async with (
        Controller.open(str(path), policy=POLICY, **options) as one,
        Controller.open(str(path), policy=POLICY, **options) as other,
    ):
        yield one, other


def test_each_sees_what_the_other_committed(tmp_path: Path) -> None:
    async def body() -> None:
        async with two(tmp_path / "one.db") as (one, other):
            await one.handle(started())
            for number in range(20):
                here, there = (one, other) if number % 2 else (other, one)
                outcome = await here.handle(says(text=f"{number}", id=f"m-{number}"))
                assert outcome.version == 2 + number
                assert (await there.conversation("c-1")).version == 2 + number
                again = await there.handle(says(text=f"{number}", id=f"m-{number}"))
                assert again.duplicate
                assert again.version == outcome.version
            found = await audit(one.store)
            assert len(found.steps["c-1"]) == 21

    run(body())


def test_a_refusal_is_decided_on_what_the_other_committed(tmp_path: Path) -> None:
    async def body() -> None:
        async with two(tmp_path / "one.db") as (one, other):
            await one.handle(started())
            await one.handle(agent_says())
            assert (await other.conversation("c-1")).state == "agent_active"
            back = await one.handle(returns_to_ai())
            outcome = await other.handle(turn(epoch=back.epoch, id="r-1"))
            assert outcome.refused is None
            assert outcome.reply == "accepted"
            await one.handle(agent_says())
            outcome = await other.handle(turn(epoch=back.epoch, id="r-2"))
            assert outcome.refused is not None
            assert outcome.refused.name == "stale_epoch"

    run(body())


def test_a_conversation_that_the_other_began_is_known_while_one_is_busy(tmp_path: Path) -> None:
    async def body() -> None:
        async with two(tmp_path / "one.db") as (one, other):
            names = [f"busy-{number}" for number in range(6)]
            for name in names:
                await other.handle(started(name))
            stop = False

            async def noise(name: str) -> None:
                while not stop:
                    await other.handle(says(name))

            noises = [asyncio.create_task(noise(name)) for name in names]
            for number in range(60):
                await one.handle(started(f"c-{number}"))
                outcome = await other.handle(says(f"c-{number}"))
                assert outcome.version == 2
            stop = True
            await asyncio.gather(*noises)

    run(body())


def test_a_timer_that_the_other_left_behind_fires_and_the_poller_comes_to_rest(tmp_path: Path) -> None:
    async def body() -> None:
        clock = ManualClock()
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY, clock=clock) as stays:
            async with Controller.open(str(tmp_path / "one.db"), policy=POLICY, clock=clock) as leaves:
                await leaves.handle(started())
                assert (await stays.conversation("c-1")).version == 1
                asked = await leaves.handle(says())
            looks = 0
            due = stays.store.due

            async def counted(*args: Any) -> list[str]:
                nonlocal looks
                looks += 1
                return await due(*args)

            stays.store.due = counted  # type: ignore[method-assign]
            clock.advance(61)  # timer ai_reply
            for _ in range(50):
                await asyncio.sleep(0.002)
            found = await stays.store.load("c-1")
            assert found is not None
            assert found.version == asked.version + 1
            assert looks < 20

    run(body())


def test_timers_fire_once_although_both_are_awake(tmp_path: Path) -> None:
    async def body() -> None:
        clock = ManualClock()
        async with two(tmp_path / "one.db", clock=clock) as (one, other):
            for number in range(30):
                await one.handle(started(f"c-{number}"))
                await other.handle(says(f"c-{number}"))
            clock.advance(61)

            async def fired() -> int:
                return sum([(await one.store.load(f"c-{number}")).version == 3 for number in range(30)])  # type: ignore[union-attr]

            for _ in range(300):
                if await fired() == 30:
                    break
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            assert await fired() == 30
            found = await audit(one.store)
            assert all(len(steps) == 3 and steps[-1].event.type == "timer_fired" for steps in found.steps.values())

    run(body())


def test_each_text_and_each_ticket_goes_out_once_while_both_live(tmp_path: Path) -> None:
    async def body() -> None:
        channel, desk = MemoryChannel(), MemoryDesk()
        send = channel.send

        async def slowly(*args: Any) -> None:
            await asyncio.sleep(random.random() * 0.01)
            await send(*args)
            await asyncio.sleep(random.random() * 0.01)

        channel.send = slowly  # type: ignore[method-assign]
        async with two(tmp_path / "one.db", channel=channel, desk=desk) as both:

            async def talk(name: str) -> None:
                await both[0].handle(started(name))
                for number in range(6):
                    await both[number % 2].handle(says(name))
                    await both[(number + 1) % 2].handle(turn(name, f"{name} {number}"))
                await both[0].handle(asks_for_a_person(name))

            await asyncio.gather(*(talk(f"c-{number}") for number in range(8)))
            for _ in range(200):
                await asyncio.gather(*(one.drain() for one in both))
                if not await both[0].store.deliveries():
                    break
                await asyncio.sleep(0.01)
            found = await audit(both[1].store)
            assert not found.open
            assert Counter(channel.calls) == Counter(dict.fromkeys(found.effects("channel"), 1))
            assert [key for key in desk.calls if key in found.tickets()] == [
                one for one in dict.fromkeys(desk.calls) if one in found.tickets()
            ]
            assert len(desk.tickets) == 8
            check_order(channel.calls)

    run(body())


def test_one_that_opens_later_leaves_alone_what_the_first_is_sending(tmp_path: Path) -> None:
    async def body() -> None:
        channel = MemoryChannel()
        channel.hangs()
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY, channel=channel) as first:
            await first.handle(started())
            await first.handle(turn())
            await until(lambda: len(channel.calls) == 1)
            async with Controller.open(str(tmp_path / "one.db"), policy=POLICY, channel=channel) as second:
                await first.handle(says())
                await second.handle(says())
                await asyncio.sleep(0.1)
                channel.release()
            await first.drain()
            assert len(channel.calls) == 1
            assert channel.texts() == ["an answer"]

    run(body())


def test_at_once_on_one_conversation_each_event_counts_once(tmp_path: Path) -> None:
    async def body() -> None:
        async with two(tmp_path / "one.db") as both:
            await both[0].handle(started())
            events = [says(text=f"{number}", id=f"m-{number % 40}") for number in range(80)]  # each id at both, at once
            outcomes = await asyncio.gather(*(both[number % 2].handle(event) for number, event in enumerate(_pairs(events))))
            assert sum(one.duplicate for one in outcomes) == 40
            assert sorted(one.version for one in outcomes if not one.duplicate) == list(range(2, 42))
            found = await audit(both[1].store)
            assert len(found.steps["c-1"]) == 41

    run(body())


def _pairs(events: list[Any]) -> list[Any]:
    half = len(events) // 2
    return [event for pair in zip(events[:half], events[half:], strict=True) for event in pair]


def test_a_closed_conversation_goes_on_in_one_new_one(tmp_path: Path) -> None:
    async def body() -> None:
        async with two(tmp_path / "one.db") as both:
            await both[0].handle(started())
            await both[1].handle(closed())
            outcomes = await asyncio.gather(*(both[number % 2].handle(says(id=f"m-{number}")) for number in range(10)))
            (name,) = {one.conversation for one in outcomes}
            assert name != "c-1"
            assert sorted(one.version for one in outcomes) == list(range(2, 12))
            again = await both[0].handle(says(id="m-3"))
            assert again.duplicate
            found = await audit(both[0].store)
            assert {key: len(steps) for key, steps in found.steps.items()} == {"c-1": 2, name: 11}

    run(body())


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_that_write_at_once_lose_nothing(tmp_path: Path, processes: int) -> None:
    path, each, names = tmp_path / "one.db", 40, ["c-0", "c-1"]

    async def begin() -> None:
        async with Controller.open(str(path), policy=POLICY, channel=FileChannel(tmp_path / "sent")) as controller:
            for name in names:
                await controller.handle(started(name))

    async def work(number: int) -> None:
        channel = FileChannel(tmp_path / "sent", lambda: 0.0005)
        async with Controller.open(str(path), policy=POLICY, channel=channel) as controller:

            async def talk(name: str) -> None:
                for count in range(each):
                    if count % 2:
                        outcome = await controller.handle(turn(name, f"{number}/{count}", id=f"{number}/{count}"))
                    else:
                        outcome = await controller.handle(says(name, id=f"{number}/{count}"))
                    assert not outcome.duplicate

            await asyncio.gather(*map(talk, names))
            await controller.drain()

    run(begin())
    children = []
    for number in range(processes):
        pid = os.fork()
        if pid == 0:
            try:
                run(work(number), 25)
            except BaseException:
                import traceback

                (tmp_path / f"error-{number}").write_text(traceback.format_exc())
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    assert [one.read_text() for one in tmp_path.glob("error-*")] == []

    async def check() -> None:
        store = await sqlite_with(path)
        found = await audit(store)
        for name in names:
            ids = {key for (conversation, key) in found.ids if conversation == name}
            declined = {one["event"]["id"] async for one in store.declined(name)}
            assert ids | declined == {f"{number}/{count}" for number in range(processes) for count in range(each)}
            assert not ids & declined
        sent = [line[0] for line in lines_of(tmp_path / "sent")]
        assert set(sent) | set(found.open) == set(found.effects("channel"))
        assert Counter(sent).most_common(1)[0][1] == 1
        check_order(sent)
        await store.close()

    run(check())


def test_the_lease_of_a_claim_ends_where_its_process_is_stuck(tmp_path: Path) -> None:
    """Another process may take over a claim once it has run out, and not before."""

    async def body() -> None:
        clock = ManualClock()
        stuck, other = MemoryChannel(), MemoryChannel()
        stuck.hangs()
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY, channel=stuck, clock=clock) as one:
            await one.handle(started())
            await one.handle(turn())
            await until(lambda: len(stuck.calls) == 1)
            async with Controller.open(str(tmp_path / "one.db"), policy=POLICY, channel=other, clock=clock) as second:
                clock.advance(59)
                await second.drain()
                assert other.texts() == []
                clock.advance(2)
                await second.drain()
                await until(lambda: other.texts() == ["an answer"])
            stuck.release()
            await one.drain()
            assert await one.store.deliveries() == []

    run(body())


def test_what_one_host_says_is_delivered_counts_although_it_has_not_looked_since(tmp_path: Path) -> None:
    """Two workers of a host without a channel: one owes the text, the other one sent it."""

    async def body() -> None:
        async with two(tmp_path / "one.db") as (one, other):
            await one.handle(started())
            outcome = await one.handle(turn())
            await other.delivered(outcome.owed[0].key)
            assert await one.deliveries("c-1") == []
            assert await one.drain() == []

    run(body())


def test_who_lost_a_claim_does_not_give_away_that_of_another(tmp_path: Path) -> None:
    async def body() -> None:
        clock = ManualClock()
        stuck, other = MemoryChannel(), MemoryChannel()
        stuck.fails(1, ConnectionError("reset"))
        stuck.hangs()
        other.hangs()
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY, channel=stuck, clock=clock) as one:
            await one.handle(started())
            await one.handle(turn())
            await until(lambda: len(stuck.calls) == 1)
            async with Controller.open(str(tmp_path / "one.db"), policy=POLICY, channel=other, clock=clock) as second:
                clock.advance(61)  # the claim has run out, and another process takes it over
                await until(lambda: len(other.calls) == 1, what="nobody took the claim over")
                stuck.release()  # only now the first learns that it failed
                for _ in range(5):
                    clock.advance(1)
                    await asyncio.sleep(0.01)
                assert len(stuck.calls) == 1, "it is sent by two at once"
                other.release()
                await second.drain()
            await one.drain()
            assert stuck.texts() + other.texts() == ["an answer"]
            assert await one.deliveries("c-1") == []

    run(body())
