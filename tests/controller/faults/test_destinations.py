"""Destinations that fail, hang, ask for patience or lose their answer: what is owed is delivered in order, and no other waits."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fault_tools import POLICY, audit, run, until

from handoff_kit.controller import Controller, Delivery, Rejected, Unavailable
from handoff_kit.controller.stores.memory import MemoryStore
from handoff_kit.controller.testing import (
    ManualClock,
    MemoryChannel,
    MemoryDesk,
    MemoryNotifier,
    ScriptedBot,
    agent_says,
    asks_for_a_person,
    says,
    started,
    turn,
)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else str(tmp_path / "one.db")


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """End what keeps the whole loop from running, which no time-out of the loop's own can."""

    def rang(*_: Any) -> None:
        raise AssertionError(f"the loop stood still for {seconds} s")

    before = signal.signal(signal.SIGALRM, rang)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


async def _calm() -> None:
    for _ in range(30):
        await asyncio.sleep(0.001)


def test_a_destination_that_breaks_is_tried_again_later_and_others_go_on(store: str) -> None:
    async def body() -> None:
        channel, clock = MemoryChannel(), ManualClock()
        channel.fails(3, ConnectionError("500"))
        async with Controller.open(store, policy=POLICY, channel=channel, clock=clock) as controller:
            await controller.handle(started("c-1"))
            await controller.handle(turn("c-1", "first"))
            await until(lambda: len(channel.calls) == 1)
            await controller.handle(turn("c-1", "second"))
            await controller.drain()
            assert channel.texts() == []
            (waits, behind) = await controller.deliveries("c-1")
            assert (waits.status, waits.attempts, waits.error) == ("pending", 1, "500")
            assert behind.attempts == 0  # order is kept: it waits for the first
            for _ in range(40):
                clock.advance(1)
                await controller.drain()
            assert channel.texts() == ["first", "second"]
            assert channel.calls.count("c-1:2:0") == 4
            assert await controller.deliveries("c-1") == []

    run(body())


def test_a_destination_that_asks_for_patience_is_not_called_before(store: str) -> None:
    async def body() -> None:
        channel, clock = MemoryChannel(), ManualClock()
        channel.fails(1, Unavailable("429", retry_after_s=120))
        async with Controller.open(store, policy=POLICY, channel=channel, clock=clock) as controller:
            await controller.handle(started())
            await controller.handle(turn())
            await until(lambda: len(channel.calls) == 1)
            clock.advance(119)
            await controller.drain()
            await _calm()
            assert len(channel.calls) == 1
            clock.advance(1)
            await until(lambda: channel.texts() == ["an answer"])  # by itself, nobody asked for a drain

    run(body())


@pytest.mark.parametrize("after_s", [0, 0.0001])
def test_a_retry_at_once_is_one_call_at_a_time(store: str, after_s: float) -> None:
    async def body() -> None:
        under_way, most = 0, 0

        async def send(conversation: str, text: Any, key: str) -> None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.001)
            under_way -= 1
            calls.append(key)
            if len(calls) < 5:
                raise Unavailable("at once", retry_after_s=after_s)

        calls: list[str] = []
        clock = ManualClock()
        async with Controller.open(store, policy=POLICY, channel=send, clock=clock) as controller:
            await controller.handle(started())
            await controller.handle(turn())
            for _ in range(6):
                await controller.drain()
                clock.advance(0.001)
            assert len(calls) == 5
            assert most == 1

    run(body())


def test_who_hangs_stalls_nobody_else_and_is_given_up_in_time(store: str) -> None:
    async def body() -> None:
        desk, clock = MemoryDesk(), ManualClock()
        sent: list[str] = []
        stuck = asyncio.Event()

        async def send(conversation: str, text: Any, key: str) -> None:
            if conversation == "stuck" and not stuck.is_set():
                await stuck.wait()
            sent.append(text.text)

        desk.hangs()
        async with Controller.open(store, policy=POLICY, channel=send, desk=desk, clock=clock) as controller:
            ports = controller._dispatcher._ports
            for port in ports.values():
                port.timeout_s = 0.3
            await controller.handle(started("stuck"))
            await controller.handle(turn("stuck", "late"))
            for number in range(10):
                await controller.handle(started(f"c-{number}"))
                await controller.handle(turn(f"c-{number}", f"{number}"))
                await controller.handle(asks_for_a_person(f"c-{number}"))  # its ticket hangs
            await until(lambda: {str(number) for number in range(10)} <= set(sent), 0.25, "the others wait for those that hang")
            await until(lambda: not any(port.under_way for port in ports.values()), 2, "it is never given up")
            failed = {one.key: one for one in await controller.store.deliveries() if one.attempts}
            assert {one.error for one in failed.values()} == {"no answer in time"}
            assert len([one for one in failed.values() if one.port == "desk"]) == 10
            stuck.set()
            desk.release()
            for _ in range(5):
                clock.advance(1)
                await controller.drain()
            assert sent.count("late") == 1
            assert len(desk.tickets) == 10

    run(body())


def test_work_that_was_done_although_its_answer_was_lost_is_not_done_twice(store: str) -> None:
    async def body() -> None:
        channel, desk, notifier, clock = MemoryChannel(), MemoryDesk(), MemoryNotifier(), ManualClock()
        bot = ScriptedBot(["the AI's answer"])
        for fake in (channel, desk, bot):
            fake.fails(2, TimeoutError(), after=True)
        ports: dict[str, Any] = {"channel": channel, "desk": desk, "bot": bot, "notifier": notifier}
        async with Controller.open(store, policy=POLICY, clock=clock, **ports) as controller:
            await controller.handle(started())
            await controller.handle(says())
            for _ in range(10):
                await controller.drain()
                clock.advance(0.9)
            await controller.handle(asks_for_a_person())
            for _ in range(20):
                await controller.drain()
                clock.advance(1)
            found = await audit(controller.store)
            assert len(desk.tickets) == len(found.tickets()) == 1
            assert [one.key for one in channel.sent] == list(found.effects("channel"))
            turns = [one for one in found.steps["c-1"] if one.event.type == "ai_turn"]
            assert len(turns) == 1
            opened = [one for one in found.steps["c-1"] if one.event.type == "ticket_opened"]
            assert len(opened) == 1
            assert found.open == {}

    run(body())


def test_what_will_never_work_is_a_dead_letter_and_the_next_text_goes_out(store: str) -> None:
    async def body() -> None:
        channel, clock = MemoryChannel(), ManualClock()
        channel.rejects(1, "no such number")
        async with Controller.open(store, policy=POLICY, channel=channel, clock=clock) as controller:
            await controller.handle(started())
            await controller.handle(turn(reply="first"))
            await controller.handle(turn(reply="second"))
            await controller.drain()
            assert channel.texts() == ["second"]
            (dead,) = await controller.deliveries("c-1")
            assert (dead.status, dead.error) == ("dead", "no such number")
            found = await audit(controller.store)
            failed = [one.event for one in found.steps["c-1"] if one.event.type == "delivery_failed"]
            assert [(one.effect, one.error, one.attempts) for one in failed] == [(dead.key, "no such number", 1)]  # type: ignore[attr-defined]

    run(body())


def test_after_so_many_attempts_it_is_a_dead_letter(store: str) -> None:
    async def body() -> None:
        channel, desk, clock = MemoryChannel(), MemoryDesk(), ManualClock()
        desk.fails(1000, OSError("503"))
        async with Controller.open(store, policy=POLICY, channel=channel, desk=desk, clock=clock) as controller:
            await controller.handle(started())
            await controller.handle(asks_for_a_person())
            await controller.drain()
            await until(lambda: bool(desk.calls))
            key = desk.calls[0]
            for _ in range(12):
                clock.advance(61)
                await controller.drain()
            assert desk.calls.count(key) == 10
            dead = [one for one in await controller.deliveries("c-1") if one.status == "dead"]
            assert key in {one.key for one in dead}
            found = await audit(controller.store)
            assert len([one for one in found.steps["c-1"] if one.event.type == "ticket_failed"]) == 1
            assert channel.texts()[0]  # the customer was told all the same

    run(body())


def test_drain_does_not_stand_still_where_a_retry_falls_due_meanwhile(store: str) -> None:
    async def body() -> None:
        channel, desk = MemoryChannel(), MemoryDesk()
        channel.fails(1, Unavailable("later", retry_after_s=0.05))
        send, open_ = channel.send, desk.open

        async def slow_send(*args: Any) -> None:
            await send(*args)
            await asyncio.sleep(0.3)

        async def slow_open(*args: Any) -> str | None:
            await asyncio.sleep(0.15)
            return await open_(*args)

        channel.send, desk.open = slow_send, slow_open  # type: ignore[method-assign]
        async with Controller.open(store, policy=POLICY, channel=channel, desk=desk) as controller:
            await controller.handle(started())
            await controller.handle(turn())
            await until(lambda: len(channel.calls) == 1)
            await controller.handle(asks_for_a_person())
            with no_longer_than(5):
                await controller.drain()
            assert channel.texts()[0] == "an answer"
            assert len(desk.tickets) == 1

    run(body())


def test_drain_sees_what_was_committed_before_it_although_a_look_was_in_the_air() -> None:
    async def body() -> None:
        class Distant(MemoryStore):
            """Answers late, as a store behind a network does."""

            async def claim(self, *args: Any, **options: Any) -> list[Delivery]:
                found = await super().claim(*args, **options)
                await asyncio.sleep(0.01)
                return found

        channel = MemoryChannel()
        async with Controller.open(Distant(), policy=POLICY, channel=channel) as controller:
            await controller.handle(started())
            for number in range(20):
                await controller.handle(turn(reply=str(number)))
                await controller.drain()
                assert channel.texts() == [str(one) for one in range(number + 1)]
                await asyncio.sleep(0.0013 * number)

    run(body())


def test_a_reach_that_raises_stops_nothing_for_good(store: str) -> None:
    async def body() -> None:
        channel, clock = MemoryChannel(), ManualClock()
        asked = 0

        def reaches(conversation: str) -> bool:
            nonlocal asked
            asked += 1
            if asked < 3:
                raise KeyError(conversation)
            return True

        channel.reaches = reaches  # type: ignore[method-assign]
        async with Controller.open(store, policy=POLICY, channel=channel, clock=clock) as controller:
            await controller.handle(started())
            await controller.handle(turn())
            for _ in range(10):
                await controller.drain()
                clock.advance(1)
                await _calm()
            assert channel.texts() == ["an answer"]

    run(body())


def test_a_text_whose_customer_is_elsewhere_is_left_to_whom_it_reaches(store: str) -> None:
    async def body() -> None:
        channel = MemoryChannel()
        channel.unreachable.add("c-1")
        async with Controller.open(store, policy=POLICY, channel=channel) as controller:
            for name in ("c-1", "c-2"):
                await controller.handle(started(name))
                await controller.handle(turn(name, name))
            await controller.drain()
            assert channel.texts() == ["c-2"]
            (waits,) = await controller.deliveries("c-1")
            assert (waits.status, waits.attempts) == ("pending", 0)
            channel.unreachable.clear()
            await controller.drain()
            assert channel.texts() == ["c-2", "c-1"]

    run(body())


def test_what_hangs_when_it_closes_is_delivered_by_the_next(tmp_path: Path) -> None:
    async def body() -> None:
        channel = MemoryChannel()
        channel.hangs()
        path = str(tmp_path / "one.db")
        async with Controller.open(path, policy=POLICY, channel=channel) as controller:
            await controller.handle(started())
            await controller.handle(turn())
            await until(lambda: len(channel.calls) == 1)
        again = MemoryChannel()
        async with Controller.open(path, policy=POLICY, channel=again) as controller:
            await controller.drain()
            assert again.texts() == ["an answer"]
            assert await controller.deliveries("c-1") == []

    run(body())


def test_an_old_reply_that_waits_for_its_retry_is_held_back_after_a_takeover(store: str) -> None:
    async def body() -> None:
        channel, clock = MemoryChannel(), ManualClock()
        channel.fails(1, Unavailable("later", retry_after_s=10))
        async with Controller.open(store, policy=POLICY, channel=channel, clock=clock) as controller:
            await controller.handle(started())
            await controller.handle(turn(reply="from the AI"))
            await until(lambda: len(channel.calls) == 1)
            await controller.drain()
            await controller.handle(agent_says(text="from a person"))
            clock.advance(10)
            await controller.drain()
            await until(lambda: bool(channel.sent))
            assert channel.texts() == ["from a person"]
            found = await audit(controller.store)
            assert found.held == {"c-1:2:0"}
            (failed,) = [one.event for one in found.steps["c-1"] if one.event.type == "delivery_failed"]
            assert (failed.error, failed.attempts) == ("stale_epoch", 0)  # type: ignore[attr-defined]

    run(body())


def test_a_dead_letter_that_is_revived_is_delivered_and_its_answer_counts(store: str) -> None:
    async def body() -> None:
        desk, clock = MemoryDesk(), ManualClock()
        desk.fails(1, Rejected("closed for today"))
        async with Controller.open(store, policy=POLICY, desk=desk, clock=clock) as controller:
            await controller.handle(started())
            await controller.handle(asks_for_a_person())
            await controller.drain()
            (dead,) = [one for one in await controller.deliveries("c-1") if one.status == "dead"]
            assert await controller.store.revive([dead.key], clock.now() + timedelta(0)) == [dead.key]
            await controller.drain()
            assert len(desk.tickets) == 1
            found = await audit(controller.store)
            told = [one.event.type for one in found.steps["c-1"] if one.event.type.startswith("ticket_")]
            declined = [one["name"] async for one in controller.store.declined("c-1")]
            assert told == ["ticket_failed", "ticket_opened"] or declined, "the desk's answer is lost without a trace"

    run(body())
