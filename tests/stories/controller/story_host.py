"""What the controller's stories share: a world around it, and ways to wait, to get in each other's way, and to be killed."""

import asyncio
import copy
import shutil
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import attrs
from machines_build import policy

from handoff_kit.controller.controller import Controller
from handoff_kit.controller.ports import Store
from handoff_kit.controller.records import Commit
from handoff_kit.controller.testing import ManualClock, MemoryChannel, MemoryDesk, MemoryNotifier, ScriptedBot
from handoff_kit.machines import Event

T = TypeVar("T")

CONNECTING = "Connecting you with a person."


@attrs.define
class World:
    """All that is outside, which goes on when a process ends."""

    clock: ManualClock = attrs.field(factory=ManualClock)
    channel: MemoryChannel = attrs.field(factory=MemoryChannel)
    desk: MemoryDesk = attrs.field(factory=MemoryDesk)
    bot: ScriptedBot = attrs.field(factory=ScriptedBot)
    notifier: MemoryNotifier = attrs.field(factory=MemoryNotifier)

    def as_it_is(self) -> "World":
        """A copy of what has happened outside by now; the bot of the copy says nothing."""
        other = World(clock=ManualClock(self.clock.now()))
        for mine, its in ((self.channel, other.channel), (self.desk, other.desk), (self.notifier, other.notifier)):
            for name in ("calls", "sent", "tickets", "log", "notices", "_done"):
                if hasattr(mine, name):
                    setattr(its, name, copy.copy(getattr(mine, name)))
        return other

    def open(self, store: str | Store | Path = "memory://", **given: Any) -> AbstractAsyncContextManager[Controller]:
        """A controller in this world."""
        outside = {
            "policy": policy(),
            "channel": self.channel,
            "desk": self.desk,
            "bot": self.bot,
            "notifier": self.notifier,
            "clock": self.clock,
        }
        return Controller.open(str(store) if isinstance(store, Path) else store, **{**outside, **given})


async def rest(controller: Controller) -> None:
    """Wait until no timer is due and nothing more can be delivered now."""
    for _ in range(100_000):
        await controller.drain()
        if not await controller.store.due(controller.clock.now(), 1):
            await controller.drain()
            return
        await asyncio.sleep(0)
    raise AssertionError("a timer is due, and nobody fires it")


async def all_attempts(controller: Controller, clock: ManualClock, port: str) -> None:
    """Let time pass from attempt to attempt until a port owes nothing more."""
    await rest(controller)
    while (at := await controller.store.next_delivery(port)) is not None:
        clock.set(max(at, clock.now()))
        await rest(controller)


async def at_random(handle: Callable[[Event], Awaitable[T]], events: Iterable[Event], random: Random) -> list[T]:
    """Hand in all events, each after the loop has gone round for some while, and wait for all answers, in the events' order."""

    async def one(event: Event, rounds: int) -> T:
        for _ in range(rounds):
            await asyncio.sleep(0)
        return await handle(event)

    return await asyncio.gather(*[one(event, random.randrange(30)) for event in events])


async def history(controller: Controller, conversation: str | None = None) -> list[dict[str, Any]]:
    """The accepted events with their recorded steps, in order."""
    return [dict(line.data) async for line in controller.store.history(conversation)]


async def fired(controller: Controller, conversation: str = "c-1") -> list[tuple[str, int]]:
    """(name, generation) of the timers that acted."""
    lines = await history(controller, conversation)
    return [(line["timer"], line["generation"]) for line in lines if line["type"] == "timer_fired"]


async def refusals(controller: Controller, conversation: str = "c-1") -> list[tuple[str, str]]:
    """(event, name) of what was refused."""
    return [(line["event"]["type"], line["name"]) async for line in controller.store.declined(conversation)]


def killed(path: Path, name: str) -> Path:
    """What a process leaves that is killed now: the file and its write-ahead log as they are. Returns the copy of the file."""
    folder = path.parent / name
    folder.mkdir()
    for one in (path, path.with_name(path.name + "-wal")):
        if one.exists():
            shutil.copy(one, folder / one.name)
    return folder / path.name


class Gate:
    """A store behind which commits can be made to wait; everything else goes through."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._shut: asyncio.Event | None = None
        self.waiting = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def shut(self) -> None:
        self._shut = asyncio.Event()

    def let_through(self) -> None:
        assert self._shut is not None
        self._shut.set()
        self._shut = None

    async def commit(self, commit: Commit) -> None:
        if self._shut is not None:
            self.waiting += 1
            await self._shut.wait()
        await self._store.commit(commit)

    async def until_somebody_waits(self) -> None:
        while not self.waiting:
            await asyncio.sleep(0)
