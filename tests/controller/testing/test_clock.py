"""The manual clock: time passes when a test says so, and for nobody else."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from handoff_kit.controller.ports import Clock
from handoff_kit.controller.testing import START, ManualClock
from handoff_kit.controller.testing.contracts import run


def test_it_is_a_clock_that_stands_still() -> None:
    clock = ManualClock()

    assert isinstance(clock, Clock)
    assert clock.now() == clock.now() == START


def test_time_passes_and_does_not_go_back() -> None:
    clock = ManualClock()
    clock.advance(1.5)
    clock.advance(0)
    clock.set(START + timedelta(seconds=1.5))
    assert clock.now() == START + timedelta(seconds=1.5)
    with pytest.raises(ValueError, match="time does not go back"):
        clock.advance(-0.001)
    with pytest.raises(ValueError, match="time does not go back"):
        clock.set(START)
    assert clock.now() == START + timedelta(seconds=1.5)


def test_times_are_aware_and_in_utc() -> None:
    with pytest.raises(ValueError, match="no zone"):
        ManualClock(datetime(2026, 1, 1))  # noqa: DTZ001
    clock = ManualClock(datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))))
    assert clock.now() == datetime(2026, 1, 1, tzinfo=UTC)
    assert clock.now().tzinfo is UTC
    with pytest.raises(ValueError, match="no zone"):
        clock.set(datetime(2026, 1, 2))  # noqa: DTZ001


def test_sleepers_wake_in_the_order_of_their_times() -> None:
    async def body() -> None:
        clock, woken = ManualClock(), []

        async def sleep(name: str, seconds: float) -> None:
            await clock.sleep_until(START + timedelta(seconds=seconds))
            woken.append(name)

        tasks = [asyncio.create_task(sleep(*one)) for one in (("c", 30), ("a", 10), ("b", 20), ("a again", 10), ("now", 0))]
        await asyncio.sleep(0)
        assert woken == ["now"]
        assert clock.sleepers == tuple(START + timedelta(seconds=seconds) for seconds in (10, 10, 20, 30))
        clock.advance(9.999)
        await asyncio.sleep(0)
        assert woken == ["now"]
        clock.advance(15)
        await asyncio.sleep(0)
        assert woken == ["now", "a", "a again", "b"]
        assert clock.sleepers == (START + timedelta(seconds=30),)
        clock.set(START + timedelta(seconds=30))
        await asyncio.gather(*tasks)
        assert woken == ["now", "a", "a again", "b", "c"]

    run(body())


def test_a_cancelled_sleeper_is_gone() -> None:
    async def body() -> None:
        clock = ManualClock()
        task = asyncio.create_task(clock.sleep_until(START + timedelta(seconds=5)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert clock.sleepers == ()
        clock.advance(10)

        late = asyncio.create_task(clock.sleep_until(START + timedelta(seconds=15)))
        await asyncio.sleep(0)
        clock.advance(10)
        late.cancel()  # woken and cancelled in one go
        await asyncio.gather(late, return_exceptions=True)
        assert clock.sleepers == ()

    run(body())
