"""Whatever happens, both stores come to the same; closing, reopening and killing in between change nothing."""

import asyncio
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest
from fault_tools import QuietBot, as_if_killed, audit, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from walks import BUSY, ON_ACCEPT, events, started

from handoff_kit.controller import Controller, Outcome
from handoff_kit.controller.stores.memory import MemoryStore
from handoff_kit.controller.stores.sqlite import SqliteStore
from handoff_kit.controller.testing import ManualClock, MemoryChannel, agent_says, closed, says, turn
from handoff_kit.machines import Event, HandoffError, Policy

ROUNDS = settings(max_examples=30, suppress_health_check=list(HealthCheck))


class Side:
    """One controller, with a customer whom it cannot reach, so that the outbox keeps what is owed."""

    def __init__(self, policy: Policy, store: Any) -> None:
        self.policy = policy
        self.store = store
        self.clock = ManualClock()
        self.channel = MemoryChannel()
        self.channel.reaches = lambda conversation: False  # type: ignore[method-assign]
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        opening = Controller.open(self.store, policy=self.policy, clock=self.clock, channel=self.channel, bot=QuietBot())
        self.controller = await self._stack.enter_async_context(opening)

    async def close(self) -> None:
        await self._stack.aclose()

    async def handle(self, event: Event) -> Any:
        if event.at is not None:
            self.clock.set(max(event.at, self.clock.now()))
        try:
            return told(await self.controller.handle(event))
        except HandoffError as error:
            return type(error)

    async def rest(self) -> None:
        """Let the ports answer, whose answers are events too, and timers fire that are due."""
        for _ in range(3):
            await self.controller.drain()
            await asyncio.sleep(0)

    async def holds(self) -> Any:
        """What the store holds, as values that can be compared."""
        await self.controller.drain()
        store = self.controller.store
        found = await audit(store)
        lines = [(one.conversation, one.data) async for one in store.history()]
        declined = [one async for one in store.declined()]
        open_ = {key: (one.port, one.effect, one.position, one.status) for key, one in found.open.items()}
        snapshots = {name: await store.load(name) for name in found.steps}
        due = [await store.due(self.clock.now(), 100), await store.next_due()]
        return {"lines": lines, "declined": declined, "open": open_, "snapshots": snapshots, "due": due}


def told(outcome: Outcome) -> tuple[Any, ...]:
    refused = outcome.refused.name if outcome.refused is not None else None
    fields = (outcome.conversation, outcome.state, outcome.version, outcome.epoch, outcome.owner, outcome.reply, refused)
    return (*fields, outcome.duplicate, outcome.verdicts)


def _by_conversation(holds: Any) -> Any:
    """The same without the order between conversations, which two runs need not share."""
    lines: dict[str, list[Any]] = {}
    for name, data in holds["lines"]:
        lines.setdefault(name, []).append(data)
    return {**holds, "lines": lines, "declined": None}


@ROUNDS
@given(data=st.data(), policy=st.sampled_from((BUSY, ON_ACCEPT)))
def test_both_stores_come_to_the_same_and_reopening_changes_nothing(data: st.DataObject, policy: Policy) -> None:
    async def body(folder: Path) -> None:
        memory, disk = Side(policy, MemoryStore()), Side(policy, SqliteStore(folder / "one.db"))
        for side in (memory, disk):
            await side.open()
            await side.handle(started("w-1"))
        known: list[Event] = []
        for number in range(data.draw(st.integers(1, 14))):
            now = await memory.store.load("w-1")
            assert now is not None
            event = attrs.evolve(data.draw(events(now)), seq=None)
            if known and data.draw(st.integers(0, 5)) == 0:
                event = data.draw(st.sampled_from(known))  # it comes again
            elif data.draw(st.booleans()):
                event = attrs.evolve(event, id=f"e-{number}")
                known.append(event)
            assert await memory.handle(event) == await disk.handle(event)
            await memory.rest()
            await disk.rest()
            what = data.draw(st.sampled_from(("go on", "go on", "go on", "fold", "reopen", "kill", "deliver")))
            if what == "fold":
                await disk.controller.store._fold_all()  # type: ignore[attr-defined]
            elif what in ("reopen", "kill"):
                path = as_if_killed(Path(disk.store.path), folder)
                await disk.close()
                again = Side(policy, SqliteStore(path if what == "kill" else disk.store.path))
                again.clock.set(disk.clock.now())
                disk = again
                await disk.open()
            elif what == "deliver":
                owed = sorted(one.key for one in await memory.store.deliveries(port="channel"))
                for side in (memory, disk):
                    await side.controller.delivered(*owed[:1])
        assert await memory.holds() == await disk.holds()
        for event in known:
            first, second = await memory.handle(event), await disk.handle(event)
            assert first == second
        for side in (memory, disk):
            await side.close()

    with tempfile.TemporaryDirectory() as folder:
        run(body(Path(folder)))


@pytest.mark.parametrize("kind", [MemoryStore, SqliteStore])
def test_a_seq_of_the_callers_own_changes_nothing_for_a_replay(tmp_path: Path, kind: Any) -> None:
    async def body() -> None:
        side = Side(BUSY, MemoryStore() if kind is MemoryStore else SqliteStore(tmp_path / "one.db"))
        await side.open()
        await side.handle(attrs.evolve(started("w-1"), seq=7))
        for number in (1, 1, 5):
            await side.handle(says("w-1", seq=number))
        await side.handle(turn("w-1", in_reply_to=3))
        await side.holds()  # replays it
        await side.close()

    run(body())


@ROUNDS
@given(
    script=st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(("says", "turn", "agent", "closed", "again")), st.integers(0, 3)),
        max_size=40,
    )
)
def test_each_conversation_keeps_the_order_in_which_events_were_submitted(script: list[tuple[int, str, int]]) -> None:
    # Nothing here asks a port for an answer: an answer's place among the events is nobody's to promise.
    def event(number: int, conversation: int, kind: str) -> Event:
        name = f"w-{conversation}"
        if kind == "turn":
            return turn(name, f"{number}", id=f"e-{number}")
        if kind == "closed" and number % 7 == 0:
            return closed(name, id=f"e-{number}")
        if kind == "agent":
            return agent_says(name, f"{number}", id=f"e-{number}")
        if kind == "again":
            return says(name, "again", id=f"e-{conversation}-again")
        return says(name, f"{number}", id=f"e-{number}")

    async def play(store: Any) -> tuple[list[Any], Any]:
        side = Side(BUSY, store)
        await side.open()
        for conversation in range(4):
            await side.handle(started(f"w-{conversation}"))
        tasks = []
        for number, (conversation, kind, pause) in enumerate(script):
            tasks.append(asyncio.create_task(side.handle(event(number, conversation, kind))))
            for _ in range(pause):
                await asyncio.sleep(0)
        outcomes = await asyncio.gather(*tasks)
        held = await side.holds()
        await side.close()
        return outcomes, held

    async def body(folder: Path) -> None:
        outcomes, held = await play(MemoryStore())
        others, as_well = await play(SqliteStore(folder / "one.db"))
        assert outcomes == others
        assert _by_conversation(held) == _by_conversation(as_well)
        places: dict[str, int] = {}
        for outcome in outcomes:
            name, version, refused, duplicate = outcome[0], outcome[2], outcome[6], outcome[7]
            if refused is None and not duplicate:
                assert version > places.get(name, 0), "an event overtook another"
                places[name] = version

    with tempfile.TemporaryDirectory() as folder:
        run(body(Path(folder)))
