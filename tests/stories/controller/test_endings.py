"""Stories about the end: several ways to it at once, and what comes after it."""

import asyncio
from pathlib import Path
from random import Random

import naive_hosts as naive
import pytest
from machines_build import at
from story_host import World, at_random, fired, history, killed, refusals, rest

from handoff_kit.controller.controller import Controller
from handoff_kit.controller.outcome import Outcome
from handoff_kit.controller.testing import (
    ManualClock,
    ScriptedBot,
    accepts,
    agent_says,
    asks_for_a_person,
    finishes,
    offered,
    rates,
    returns_to_ai,
    says,
    started,
    ticket_opened,
    turn,
    wraps_up,
)
from handoff_kit.machines import CustomerLeft, Event, NotifyAgents, RecordFeedback, State, TimerFired

# --- four ways at once

TIMES = 500
#: What whoever loses is told.
LOST = {"not_owner", "stale_timer", "not_allowed_here"}
#: Each ending, and the state to which it leads.
ENDINGS = {"agent_finished": "wrap_up", "returned_to_ai": "resumed_bot", "timer_fired": "queued"}


def four_ways(conversation: str = "c-1") -> list[Event]:
    """Received in the last moment before the agent has been silent for too long, and at that moment.

    That the customer left is no end of its own: it is taken down, whoever wins.
    """
    last_moment = at(299.999)
    return [
        finishes(conversation, id="e-1", at=last_moment, resolved=True),
        CustomerLeft(conversation=conversation, id="e-2", at=last_moment),
        returns_to_ai(conversation, id="e-3", at=last_moment),
        TimerFired(conversation=conversation, id="e-4", timer="agent_silent", generation=1, at=at(300)),
    ]


async def with_the_agent(world: World, controller: Controller, conversation: str) -> None:
    await controller.handle(started(conversation))
    await controller.handle(asks_for_a_person(conversation))
    await rest(controller)
    await controller.handle(offered(conversation))
    outcome = await controller.handle(accepts(conversation))
    assert (outcome.state, outcome.epoch) == ("agent_active", 2)


def test_of_four_ways_to_end_at_once_one_wins() -> None:
    """S46: the agent ended it, gave it back and was timed out at once; it was in two places at once."""
    won: dict[str, int] = dict.fromkeys(ENDINGS, 0)

    async def main() -> None:
        random, world = Random(46), World(bot=ScriptedBot())
        names = [f"c-{number}" for number in range(TIMES)]
        async with world.open() as controller:
            for name in names:
                await with_the_agent(world, controller, name)
            await rest(controller)
            noise = len(world.notifier.notices)
            waiting = [random.sample(four_ways(name), 4) for name in names]
            world.clock.set(at(300))
            outcomes = await asyncio.gather(*[at_random(controller.handle, events, random) for events in waiting])
            await rest(controller)

            happened: dict[str, list[str]] = {name: [] for name in names}
            for line in await history(controller):
                happened[line["conversation"]].append(line["type"])
            declined = {name: {refusal for _, refusal in await refusals(controller, name)} for name in names[:20]}
            for name, events, answers in zip(names, waiting, outcomes, strict=True):
                (winner,) = [kind for kind in happened[name] if kind in ENDINGS]
                assert happened[name].count("customer_left") == 1
                won[winner] += 1
                assert declined.get(name, set()) <= LOST
                await check_one(
                    world, controller, name, winner, dict(zip([event.type for event in events], answers, strict=True))
                )
            assert sum(won.values()) == TIMES
            assert len(world.bot.resumes) == won["returned_to_ai"]
            effects = [one.effect for one in world.notifier.notices[noise:]]
            requeued = [one for one in effects if isinstance(one, NotifyAgents) and one.about == "queued"]
            assert len(requeued) == won["timer_fired"]

    asyncio.run(main())
    assert all(won.values()), f"each of them wins sometimes: {won}"


async def check_one(world: World, controller: Controller, name: str, winner: str, answers: dict[str, Outcome]) -> None:
    now = await controller.conversation(name)
    assert (now.state, now.epoch) == (State(ENDINGS[winner]), 3)
    for ending in ENDINGS:
        refused = answers[ending].refused
        if ending != winner:
            assert refused is not None, "whoever lost was told"
            assert refused.name in LOST
    assert answers["customer_left"].refused is None
    kinds = [sent.text.kind for sent in world.channel.sent if sent.conversation == name]
    assert kinds.count("rating") == (winner == "agent_finished")
    assert kinds.count("resumed") <= (winner == "returned_to_ai")


def test_three_writes_end_it_in_three_ways() -> None:
    """S46, the other half: all look before the first has stored; and what was in memory is gone with the process."""

    async def main() -> tuple[int, naive.ThreeWrites]:
        random, torn = Random(46), 0
        for _ in range(TIMES):
            flow = naive.ThreeWrites()
            await asyncio.gather(*[flow.handle(event) for event in random.sample(four_ways(), 4)])
            torn += len(flow.done) > 1
        return torn, naive.ThreeWrites()

    torn, restarted = asyncio.run(main())
    assert torn == TIMES
    assert restarted.owner == "a1", "after a restart it is with the agent again, whatever was decided"


@pytest.mark.parametrize("seed", range(25))
def test_a_process_that_is_killed_among_four_endings_leaves_one_story(tmp_path: Path, seed: int) -> None:
    """S46: killed at any moment; what had been answered is there, with its epoch and its timers, by the ordinary load."""

    async def main() -> None:
        random, world = Random(seed), World()
        path = tmp_path / "handoff.db"
        answered: dict[str, Outcome] = {}
        script: list[Event] = [*four_ways(), says(text="hello?", id="m-7", at=at(299))]
        random.shuffle(script)
        async with world.open(path) as controller:
            await with_the_agent(world, controller, "c-1")
            world.clock.set(at(299.9999))

            async def keep(event: Event) -> None:
                answered[event.type] = await controller.handle(event)

            running = asyncio.create_task(at_random(keep, script, random))
            for number in range(random.randrange(40)):
                await asyncio.sleep(0)
                if number == 10:
                    world.clock.set(at(300))
            known = dict(answered)
            file = killed(path, "killed")
            world.clock.set(at(300))
            await running

        other = World(clock=ManualClock(at(300)))
        async with other.open(file) as controller:
            loaded = await controller.conversation("c-1")
            assert loaded.timers
            assert (loaded.epoch, loaded.owner) == (2, "agent:a1") or loaded.epoch > 2
            assert loaded.epoch >= max((outcome.epoch for outcome in known.values()), default=2)
            lines = await history(controller, "c-1")
            for name, outcome in known.items():
                if outcome.refused is None and name != "timer_fired":
                    assert lines[outcome.version - 1]["type"] == name, "what was answered was stored"
            for event in script:
                again = await controller.handle(event)
                if event.type in known:
                    assert (again.duplicate, again.version) == (True, known[event.type].version)
            await rest(controller)
            winners = [line for line in await history(controller, "c-1") if line["type"] in ENDINGS]
            assert [line["step"]["epoch"] for line in winners[:1]] == [3]
            assert len(await fired(controller)) == len(set(await fired(controller)))

    asyncio.run(main())


# --- after the end

ENDED: list[Event] = [
    started(),
    asks_for_a_person(),
    offered(),
    accepts(),
    agent_says(text="It works again."),
    finishes(resolved=True, disposition="solved"),
]
LATE_BOT = turn(reply="Have you tried turning it off?", epoch=0, id="t-9")
STRANGER = ticket_opened(ticket="T-999", desk="somebody else's", id="k-1")
RATING = rates(csat=4, comment="good", id="f-1")


async def ended(world: World, controller: Controller) -> None:
    for event in ENDED:
        outcome = await controller.handle(event)
        await rest(controller)
    assert (outcome.state, outcome.owner) == ("wrap_up", "nobody")


@pytest.mark.parametrize("when", ["in wrap-up", "an hour after the end"])
def test_after_the_person_a_rating_counts_and_nobody_else_speaks(when: str) -> None:
    """S49: the rating was lost, the bot came back with an old answer, and a stranger's ticket woke it up."""

    async def main() -> None:
        world = World()
        async with world.open() as controller:
            await ended(world, controller)
            if when != "in wrap-up":
                await controller.handle(wraps_up())
                world.clock.advance(3600)
                await rest(controller)
            before = await controller.conversation("c-1")
            sent = [one.text.kind for one in world.channel.sent]
            assert sent.count("rating") == 1

            rated = await controller.handle(RATING)
            again = await controller.handle(RATING)
            late = await controller.handle(LATE_BOT)
            stranger = await controller.handle(STRANGER)
            await rest(controller)

            assert rated.effects == (RecordFeedback(csat=4, comment="good"),)
            assert (rated.refused, again.duplicate, again.effects) == (None, True, ())
            assert [one.refused.name for one in (late, stranger) if one.refused is not None] == ["stale_epoch", "unknown_ticket"]
            now = await controller.conversation("c-1")
            assert (now.state, now.epoch, now.timers, now.tickets) == (before.state, before.epoch, before.timers, before.tickets)
            lines = [line["type"] for line in await history(controller)]
            assert (lines.count("feedback"), lines.count("ticket_opened")) == (1, 1)
            assert [one.text.kind for one in world.channel.sent] == sent
            assert world.bot.asks == world.bot.resumes == []

    asyncio.run(main())


def test_a_flow_that_ends_at_resolved_hears_no_rating_and_trusts_a_stranger() -> None:
    """S49, the other half."""

    async def main() -> naive.EndsAtResolved:
        flow = naive.EndsAtResolved()
        for event in [*ENDED, RATING, LATE_BOT, STRANGER]:
            await flow.handle(event)
        return flow

    flow = asyncio.run(main())
    assert flow.ratings == []
    assert flow.sent == [("ai", LATE_BOT.reply)]
    assert (flow.ticket, flow.bot_calls) == ("T-999", 1)
