"""Stories about timers that outlive the process, timers that come late, and policies that change while somebody waits."""

import asyncio
import json
import sqlite3
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import naive
import naive_hosts
import pytest
from machines_build import DEFAULT, at, policy
from story_host import World, fired, history, killed, refusals, rest

from handoff_kit.controller.controller import Controller
from handoff_kit.controller.stores.memory import MemoryStore
from handoff_kit.controller.stores.sqlite import SqliteStore
from handoff_kit.controller.testing import (
    ManualClock,
    accepts,
    agent_says,
    asks_for_a_person,
    assigned,
    offered,
    says,
    started,
    turn,
)
from handoff_kit.machines import Event, Policy, Replay, SnapshotError, State, TimerFired
from handoff_kit.machines.codec import RecordedStep, event_from_data

# --- a time-out is on time, whoever was down meanwhile

IDLE = policy(DEFAULT + "[timers]\ncustomer_idle_s = 90\n")
ANSWERED: list[Event] = [started(), assigned(), says(text="one moment", id="m-1"), agent_says(text="Take your time.")]


async def left_at_one_minute(path: Path) -> Path:
    """What is on the disk when the process is killed sixty seconds after the agent's answer."""
    world = World()
    async with world.open(path, policy=IDLE) as controller:
        for event in ANSWERED:
            await controller.handle(event)
        await rest(controller)
        world.clock.advance(60)
        await rest(controller)
        return killed(path, "killed")


async def timers_with_times(controller: Controller) -> list[tuple[str, int, datetime]]:
    lines = await history(controller, "c-1")
    return [
        (line["timer"], line["generation"], datetime.fromisoformat(line["at"])) for line in lines if line["type"] == "timer_fired"
    ]


def test_a_time_out_is_on_time_after_a_restart(tmp_path: Path) -> None:
    """S25: the process was down when the timer was set, and ten minutes later the chat was still open."""

    async def main() -> None:
        file = await left_at_one_minute(tmp_path / "handoff.db")
        world = World(clock=ManualClock(at(80)))
        async with world.open(file, policy=IDLE) as controller:
            await rest(controller)
            world.clock.set(at(89.999))
            await rest(controller)
            assert await fired(controller) == []
            world.clock.set(at(90.5))
            await rest(controller)
            assert await timers_with_times(controller) == [("customer_idle", 1, at(90))]
            world.clock.set(at(600))
            await rest(controller)
            assert len(await fired(controller)) == 1
            assert await controller.store.due(at(600), 10) == []

    asyncio.run(main())


def test_a_message_just_before_the_time_out_stops_it(tmp_path: Path) -> None:
    """S25: the customer wrote in the last moment, and was cut off all the same."""

    async def main() -> None:
        file = await left_at_one_minute(tmp_path / "handoff.db")
        world = World(clock=ManualClock(at(80)))
        async with world.open(file, policy=IDLE) as controller:
            world.clock.set(at(89.9))
            await controller.handle(says(text="here I am", id="m-2"))
            world.clock.set(at(91))
            await rest(controller)
            assert await fired(controller) == []

    asyncio.run(main())


def test_a_time_out_that_fell_into_the_pause_is_made_up_for(tmp_path: Path) -> None:
    """S25: the process came back after the due time; it acts once, and the record says the time at which it was due."""

    async def main() -> None:
        file = await left_at_one_minute(tmp_path / "handoff.db")
        world = World(clock=ManualClock(at(300)))
        async with world.open(file, policy=IDLE) as controller:
            await rest(controller)
            assert await timers_with_times(controller) == [("customer_idle", 1, at(90))]

    asyncio.run(main())


def test_a_sleeping_task_dies_with_its_process() -> None:
    """S25, the other half: after ten minutes the chat is still alive."""

    async def main() -> naive_hosts.SleepingTimer:
        clock = ManualClock()
        flow = naive_hosts.SleepingTimer(clock, after_s=90)
        for event in ANSWERED:
            await flow.handle(event)
        clock.advance(60)
        await flow.killed()
        clock.advance(540)
        for _ in range(10):
            await asyncio.sleep(0)
        return flow

    assert asyncio.run(main()).idle_at == []


# --- a late timer looks again

QUEUE_TIMER = TimerFired(conversation="c-1", timer="queue", generation=1)


async def queued_at_noon(path: Path) -> Path:
    """What is on the disk when a process is killed at 12:05; the queue timer is due at 12:10."""
    world = World()
    async with world.open(path) as controller:
        await controller.handle(started())
        await controller.handle(asks_for_a_person())
        await rest(controller)
        world.clock.advance(300)
        await rest(controller)
        (timer,) = (await controller.conversation("c-1")).timers
        assert (timer.name, timer.generation, timer.due) == ("queue", 1, at(600))
        return killed(path, "at 12:05")


async def accepted_by_another(file: Path) -> None:
    """Another process offers it at 12:09; the agent accepts and answers."""
    world = World(clock=ManualClock(at(540)))
    async with world.open(file) as controller:
        for event in (offered(), accepts(), agent_says(text="I am here.")):
            assert (await controller.handle(event)).refused is None
        await rest(controller)


def kinds(world: World) -> list[str]:
    return [sent.text.kind for sent in world.channel.sent]


def test_a_timer_that_comes_late_looks_again(tmp_path: Path) -> None:
    """S55: the process came back after half an hour, and told a customer who was being helped that nobody was free."""

    async def main() -> None:
        file = await queued_at_noon(tmp_path / "handoff.db")
        await accepted_by_another(file)
        world = World(clock=ManualClock(at(2400)))
        async with world.open(file) as controller:
            late = await controller.handle(QUEUE_TIMER)
            await rest(controller)

            assert late.refused is not None
            assert late.refused.name == "stale_timer"
            now = await controller.conversation("c-1")
            assert (now.state, now.owner) == (State.AGENT_ACTIVE, "agent:a1")
            assert await fired(controller) == [("customer_idle", 1)], "what is owed is made up for, and nothing else"
            assert kinds(world) == []
            steps = naive.SleepingTimer(after_s=600)
            for line in await history(controller):
                steps.handle(event_from_data({name: value for name, value in line.items() if name != "step"}))

        steps.handle(attrs.evolve(QUEUE_TIMER, at=at(2400)))
        assert steps.state == "callback_pending", "the other half: it acts on what it saw when it fell asleep"
        assert steps.texts("system") == ["Nobody is free right now."]

    asyncio.run(main())


def test_of_two_processes_one_fires(tmp_path: Path) -> None:
    """S55: two processes came back at once, and the customer was told twice."""

    async def main() -> None:
        file = await queued_at_noon(tmp_path / "handoff.db")
        one, two = World(clock=ManualClock(at(2400))), World(clock=ManualClock(at(2400)))
        async with one.open(SqliteStore(file)) as first, two.open(SqliteStore(file)) as second:
            answers = await asyncio.gather(first.handle(QUEUE_TIMER), second.handle(QUEUE_TIMER))
            await asyncio.gather(rest(first), rest(second))
            await rest(first)

            assert await fired(first) == await fired(second) == [("queue", 1)]
            assert {one.state for one in answers} == {"callback_pending"}
            assert sum(outcome.refused is None for outcome in answers) <= 1
            lines = [line for line in await history(first) if line["type"] == "timer_fired"]
            assert [datetime.fromisoformat(line["at"]) for line in lines] == [at(600)]
            assert sorted(kinds(one) + kinds(two)) == ["callback"]

    asyncio.run(main())


def test_a_clock_that_is_fast_fires_by_its_own_time_and_once(tmp_path: Path) -> None:
    """S55: one process was five seconds ahead of the other; nothing fires before its time by the clock that decides."""

    async def main() -> None:
        file = await queued_at_noon(tmp_path / "handoff.db")
        slow, fast = World(clock=ManualClock(at(594.9))), World(clock=ManualClock(at(599.9)))
        async with slow.open(SqliteStore(file)) as true, fast.open(SqliteStore(file)) as ahead:
            await asyncio.gather(rest(true), rest(ahead))
            early = [await one.handle(attrs.evolve(QUEUE_TIMER, at=one.clock.now())) for one in (true, ahead)]
            assert [outcome.refused.name for outcome in early if outcome.refused is not None] == ["stale_timer"] * 2
            fast.clock.advance(0.1)
            await rest(ahead)
            assert await timers_with_times(ahead) == [("queue", 1, at(600))]

            message = await true.handle(says(text="hello?", id="m-2"))
            slow.clock.advance(60)
            await rest(true)
            assert message.state == "callback_pending"
            assert await timers_with_times(true) == [("queue", 1, at(600))]
            assert (await true.conversation("c-1")).at == at(600), "time does not go back for the conversation"

    asyncio.run(main())


def test_an_event_that_claims_to_come_from_the_future_fires_nothing_early() -> None:
    """S55: the sender's clock was five seconds fast; ours decides, and it was not yet time."""

    async def main() -> None:
        world = World()
        async with world.open() as controller:
            await controller.handle(started())
            await controller.handle(asks_for_a_person())
            await rest(controller)
            world.clock.set(at(595))
            early = await controller.handle(attrs.evolve(QUEUE_TIMER, at=at(600)))
            message = await controller.handle(says(text="hello?", at=at(600)))
            await rest(controller)

            assert early.refused is not None
            assert early.refused.name == "stale_timer"
            assert message.state == "queued"
            assert await fired(controller) == []
            assert await refusals(controller) == [("timer_fired", "stale_timer")]
            world.clock.set(at(600))
            await rest(controller)
            assert await fired(controller) == [("queue", 1)]

    asyncio.run(main())


@pytest.mark.parametrize("where", ["memory", "file"])
def test_what_another_process_did_is_seen_before_anything_is_refused(tmp_path: Path, where: str) -> None:
    """S55: the agent accepted at one process and wrote at another, which had the conversation from before in its memory."""

    async def main() -> None:
        clock, memory = ManualClock(), MemoryStore()
        one, two = World(clock=clock), World(clock=clock)
        stores = [memory if where == "memory" else SqliteStore(tmp_path / "handoff.db") for _ in range(2)]
        async with one.open(stores[0]) as first, two.open(stores[1]) as second:
            await first.handle(started())
            await first.handle(asks_for_a_person())
            await rest(first)
            await second.handle(offered())
            assert (await second.handle(accepts())).refused is None
            answer = await first.handle(agent_says(text="I am here.", epoch=2, id="m-1"))
            again = await first.handle(agent_says(text="I am here.", epoch=2, id="m-1"))
            assert (await first.conversation("c-1")).owner == "agent:a1"

            assert (answer.refused, answer.epoch, again.refused, again.duplicate) == (None, 2, None, True)
            assert await refusals(first) == []

    asyncio.run(main())


# --- another policy

TIER = '\n[[tier]]\nname = "tier1"\n'
POLICY_A = policy(
    DEFAULT.replace("when = { wants_handoff", 'tier = "tier1"\nwhen = { wants_handoff') + TIER + "[timers]\nqueue_s = 600\n"
)
POLICY_B = policy(
    """
    [[trigger]]
    name = "asks"
    when = { customer_says = ["human"] }
    [timers]
    queue_s = 60
    callback_s = 7200
    [texts.default]
    callback = "Another text."
    """
)


async def queued_under_a(path: Path) -> Path:
    world = World()
    async with world.open(path, policy=POLICY_A) as controller:
        await controller.handle(started())
        await controller.handle(turn(reply="One moment.", wants_handoff=True, epoch=0))
        await rest(controller)
        now = await controller.conversation("c-1")
        assert (now.state, [timer.due for timer in now.timers]) == (State.QUEUED, [at(600)])
        return killed(path, "killed")


def verified(lines: list[dict[str, Any]], policies: dict[str, Policy]) -> Counter[str]:
    """Replay a history, each step under the policy that its record names."""
    replays: dict[str, Replay] = {}
    results: Counter[str] = Counter()
    for line in lines:
        recorded = RecordedStep(**line.pop("step"))
        event = event_from_data(line)
        decided_by = policies[recorded.policy]
        one = replays.setdefault(event.conversation, Replay(decided_by))
        one.policy = decided_by
        results.update(replayed.result for replayed in one.feed(event, recorded))
    return results


def test_a_new_policy_does_not_bend_a_conversation_that_waits(tmp_path: Path) -> None:
    """S64: a new setting was deployed, and everybody who waited was thrown out of the queue at once."""

    async def main() -> None:
        file = await queued_under_a(tmp_path / "handoff.db")
        world = World(clock=ManualClock(at(100)))
        async with world.open(file, policy=POLICY_B) as controller:
            message = await controller.handle(says(text="hello?", id="m-2"))
            assert (message.state, message.refused) == ("queued", None)
            await controller.handle(started("c-2"))
            await controller.handle(asks_for_a_person("c-2"))
            await rest(controller)

            due = {
                name: [(timer.name, timer.due) for timer in (await controller.conversation(name)).timers]
                for name in ("c-1", "c-2")
            }
            assert due == {"c-1": [("queue", at(600))], "c-2": [("queue", at(160))]}
            world.clock.set(at(599.9))
            await rest(controller)
            assert await fired(controller) == []
            assert await fired(controller, "c-2") == [("queue", 1)]
            world.clock.set(at(600))
            await rest(controller)
            now = await controller.conversation("c-1")
            assert (now.state, await timers_with_times(controller)) == (State.CALLBACK_PENDING, [("queue", 1, at(600))])
            assert now.handoff is not None
            assert now.handoff.tier == "tier1", "where it stood in line stays where it is"
            assert [timer.due for timer in now.timers] == [at(600 + 3600)], "what comes next is decided by the old policy too"
            assert world.channel.texts("c-1")[-1] != "Another text."

            lines = await history(controller)
            of = {name: {line["step"]["policy"] for line in lines if line["conversation"] == name} for name in ("c-1", "c-2")}
            assert of == {"c-1": {POLICY_A.fingerprint}, "c-2": {POLICY_B.fingerprint}}
            kept = {one.fingerprint: one for one in await controller.store.policies()}
            assert verified(lines, kept) == {"verified": len(lines)}

            at_use = naive.SettingsAtUse()
            for line in await history(controller, "c-1"):
                at_use.handle(event_from_data({name: value for name, value in line.items() if name != "step"}))
            assert at_use.due(queue_s=60) < at(100), "the other half: gone before the customer's second message"

    asyncio.run(main())


def test_a_snapshot_of_another_machine_is_refused_by_name(tmp_path: Path) -> None:
    """S64: what another machine stored is not bent until it fits; the others go on."""

    async def main() -> None:
        path = tmp_path / "handoff.db"
        world = World()
        async with world.open(path) as controller:
            for name in ("c-1", "c-2"):
                await controller.handle(started(name))
            await rest(controller)
        connection = sqlite3.connect(path)
        (text,) = connection.execute("SELECT snapshot FROM streams WHERE name = 'c-1'").fetchone()
        data = {**json.loads(text), "machine": "feedbeef"}
        connection.execute("UPDATE streams SET snapshot = ? WHERE name = 'c-1'", (json.dumps(data),))
        connection.commit()
        connection.close()

        async with world.open(path) as controller:
            with pytest.raises(SnapshotError, match=r"c-1.*machine fingerprint .*feedbeef"):
                await controller.conversation("c-1")
            with pytest.raises(SnapshotError, match=r"c-1.*machine fingerprint .*feedbeef"):
                await controller.handle(says(text="hello?", id="m-2"))
            assert (await controller.handle(says("c-2", "hello?", id="m-2"))).refused is None
        again = sqlite3.connect(path)
        (text,) = again.execute("SELECT snapshot FROM streams WHERE name = 'c-1'").fetchone()
        again.close()
        assert json.loads(text) == data, "nothing was written over it"

    asyncio.run(main())
