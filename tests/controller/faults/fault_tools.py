"""What the tests of faults share: adapters that live in files, commits to try stores with, and the audit of a store.

The audit is the judge. It believes nothing that the store says about itself: it replays the history with the pure machine and
compares.
"""

import asyncio
import json
import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import attrs

from handoff_kit.controller import Controller, Delivery, Store
from handoff_kit.controller.records import PORTS, Commit, key_of
from handoff_kit.controller.stores.memory import MemoryStore
from handoff_kit.controller.stores.sqlite import SqliteStore
from handoff_kit.controller.testing import ManualClock
from handoff_kit.machines import AiTurn, Conversation, Event, Policy, Replay, Step, parse_policy
from handoff_kit.machines.codec import RecordedStep, event_from_data
from handoff_kit.machines.effects import OpenTicket, SendToCustomer

POLICY = parse_policy(
    """
    [[trigger]]
    name = "asks"
    reason = "explicit_request"
    when = { customer_says = ["human"] }

    [[trigger]]
    name = "ai_asks"
    when = { wants_handoff = true }
    """
)


def run(work: Coroutine[Any, Any, Any], limit_s: float = 30) -> Any:
    """Run a coroutine on a loop of its own, and not for ever."""

    async def limited() -> Any:
        async with asyncio.timeout(limit_s):
            return await work

    return asyncio.run(limited())


async def until(holds: Callable[[], bool], limit_s: float = 5, what: str = "it never came to that") -> None:
    """Wait until something holds; the test fails where it does not."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit_s
    while not holds():
        assert loop.time() < end, what
        await asyncio.sleep(0.002)


# --- stores without a controller


async def commits_of(*events: Event, policy: Policy = POLICY) -> list[Commit]:
    """Return the commits that a controller with all ports makes of events; nothing of them was delivered."""
    made: list[Commit] = []

    class Noting(MemoryStore):
        async def commit(self, commit: Commit) -> None:
            await super().commit(commit)
            made.append(commit)

        async def claim(self, *_: Any, **__: Any) -> list[Delivery]:
            return []

        async def next_delivery(self, port: str) -> None:
            return None

    clock = ManualClock()
    async with Controller.open(
        Noting(), policy=policy, clock=clock, channel=FileChannel(os.devnull), desk=FileDesk(os.devnull), bot=QuietBot()
    ) as controller:
        for event in events:
            await controller.handle(event)
            clock.advance(0.1)
    return made


async def sqlite_with(path: Path | str, commits: Iterable[Commit] = (), policy: Policy = POLICY) -> SqliteStore:
    """Return an open SQLite store that holds commits."""
    store = SqliteStore(path)
    await store.open()
    await store.put_policy(policy)
    for one in commits:
        await store.commit(one)
    return store


def as_if_killed(path: Path, under: Path | None = None) -> Path:
    """Return a copy of a store's file, as a kill of its process would leave it now."""
    folder = Path(tempfile.mkdtemp(dir=under or path.parent))
    for part in ("", "-wal"):
        if Path(f"{path}{part}").exists():
            shutil.copy(f"{path}{part}", f"{folder / path.name}{part}")
    return folder / path.name


def gone_pid() -> int:
    """Return the id of a process that is no longer there."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


@contextmanager
def holding_the_lock(path: Path | str) -> Iterator[sqlite3.Connection]:
    """Hold the write lock of a file, as another process does in a long transaction."""
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        yield other
    finally:
        if other.in_transaction:
            other.execute("ROLLBACK")
        other.close()


# --- adapters that outlive the process


def append_line(path: Path | str, *fields: Any) -> None:
    """Append one line; a kill in the middle of the write leaves a torn line, which counts as not written."""
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(file).st_size
        torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
        os.write(file, (("\n" if torn else "") + json.dumps(fields) + "\n").encode())
    finally:
        os.close(file)


def lines_of(path: Path | str) -> list[list[Any]]:
    """Return what was appended to a file, torn lines left out."""
    if not Path(path).exists():
        return []
    found = []
    for line in Path(path).read_text().splitlines():
        with suppress(json.JSONDecodeError):
            found.append(json.loads(line))
    return found


class FileChannel:
    """Appends (key, conversation, speaker, text, mark) to a file; a key that comes again is appended again."""

    kind: Literal["push", "host", "inline"] = "push"

    def __init__(self, path: Path | str, pause: Callable[[], float] = lambda: 0, mark: str = "") -> None:
        self.path = str(path)
        self._pause = pause
        self._mark = mark

    async def send(self, conversation: str, text: SendToCustomer, key: str) -> None:
        await asyncio.sleep(self._pause())
        append_line(self.path, key, conversation, text.speaker, text.text, self._mark)
        await asyncio.sleep(self._pause())

    def reaches(self, conversation: str) -> bool:
        return True


class FileDesk:
    """Opens a ticket by appending (key, conversation, handle), and finds it there when it is asked again."""

    name = "files"

    def __init__(self, path: Path | str, pause: Callable[[], float] = lambda: 0) -> None:
        self.path = str(path)
        self._pause = pause

    async def open(self, conversation: str, queue: str, payload: Any, key: str) -> str | None:
        await asyncio.sleep(self._pause())
        known = {line[0]: line[2] for line in lines_of(self.path) if line[1] == conversation}
        if key not in known:
            known[key] = f"T-{key}"
            append_line(self.path, key, conversation, known[key])
        await asyncio.sleep(self._pause())
        return known[key]

    async def perform(self, conversation: str, effect: Any, key: str) -> None:
        await asyncio.sleep(self._pause())


class QuietBot:
    """An AI whose turns come as events."""

    async def turn(self, conversation: Conversation, ask: Any, key: str) -> AiTurn | None:
        return None

    async def resume(self, conversation: Conversation, resume: Any, key: str) -> AiTurn | None:
        return None

    async def draft(self, conversation: Conversation, ask: Any, key: str) -> str | None:
        return None

    async def end(self, conversation: str, reason: str, key: str) -> None:
        return None


# --- the audit


@attrs.define
class Audit:
    """What a store holds, as the pure machine sees it.

    Attributes:
        steps: of each conversation, made again out of its history.
        ids: how often an event's id stands in a conversation's history.
        open: the deliveries that are open, by key.
        held: keys of texts that were held back after a takeover.
    """

    steps: dict[str, list[Step]] = attrs.field(factory=dict)
    ids: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    open: dict[str, Delivery] = attrs.field(factory=dict)
    held: set[str] = attrs.field(factory=set)

    def effects(self, port: str) -> dict[str, Any]:
        """Return all effects of a port, by key."""
        return {
            key_of(one.after.id, one.after.version, index): effect
            for steps in self.steps.values()
            for one in steps
            for index, effect in enumerate(one.effects)
            if PORTS[type(effect)] == port
        }

    def tickets(self) -> dict[str, OpenTicket]:
        """Return the tickets that were asked for, by key."""
        return {key: effect for key, effect in self.effects("desk").items() if isinstance(effect, OpenTicket)}


async def audit(store: Store, policies: Mapping[str, Policy] | None = None) -> Audit:
    """Replay what a store holds, and check that it is whole: gapless, verified, and equal to its snapshots."""
    known = {one.fingerprint: one for one in await store.policies()} if policies is None else policies
    found = Audit()
    replays: dict[str, Replay] = {}
    async for line in store.history():
        data = dict(line.data)
        recorded = RecordedStep(**data.pop("step"))
        event = event_from_data({**data, "conversation": line.conversation})
        replay = replays.get(line.conversation)
        if replay is None:
            replay = replays[line.conversation] = Replay(known[recorded.policy])
        steps = found.steps.setdefault(line.conversation, [])
        assert data["seq"] == len(steps) + 1, f"{line.conversation}: line {len(steps) + 1} of its history has seq {data['seq']}"
        (replayed,) = replay.feed(event, recorded)
        assert replayed.result == "verified", f"{line.conversation} at {data['seq']}: {replayed.differences}"
        steps.append(replayed.step)
        if event.id is not None:
            found.ids[line.conversation, event.id] += 1
        if event.type == "delivery_failed" and data.get("error") == "stale_epoch":
            found.held.add(data["effect"])
    twice = [key for key, count in found.ids.items() if count > 1]
    assert not twice, f"in the history twice: {twice}"
    for name, steps in found.steps.items():
        assert await store.load(name) == steps[-1].after, f"{name}: its snapshot is not what its history makes"
        alone = [line.data["seq"] async for line in store.history(name)]
        assert alone == list(range(1, len(steps) + 1)), f"{name}: its own history has {alone}"
    found.open = {one.key: one for one in await store.deliveries(limit=1_000_000)}
    return found


def check_order(delivered: Iterable[str]) -> None:
    """Check that texts came to each customer in the order of their commits, counting each key where it came first."""
    last: dict[str, tuple[int, int]] = {}
    for key in dict.fromkeys(delivered):
        conversation, version, index = key.rsplit(":", 2)
        place = (int(version), int(index))
        assert place > last.get(conversation, (0, -1)), f"{key} came after {last[conversation]}"
        last[conversation] = place
