"""Disks that are full, files that are locked, damaged or strange, callers that go away: nothing is half done, and it is said."""

import asyncio
import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
import traceback
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_tools import POLICY, as_if_killed, audit, commits_of, holding_the_lock, run, sqlite_with, until

from handoff_kit.controller import (
    Controller,
    ControllerClosed,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreTooNew,
    ThreadedController,
)
from handoff_kit.controller.stores import sqlite
from handoff_kit.controller.stores.sqlite import SqliteStore
from handoff_kit.controller.testing import (
    ManualClock,
    MemoryChannel,
    MemoryDesk,
    agent_says,
    asks_for_a_person,
    says,
    started,
    turn,
)


def in_a_child(work: Callable[[], Coroutine[Any, Any, None]], tmp_path: Path) -> None:
    """Run a coroutine in a process of its own; what fails there fails here."""
    pid = os.fork()
    if pid == 0:
        try:
            run(work())
        except BaseException:
            (tmp_path / "error").write_text(traceback.format_exc())
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the process ended with {status}"
    if (tmp_path / "error").exists():
        raise AssertionError((tmp_path / "error").read_text())


def stray_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if "handoff" in thread.name]


# --- no room


def fill_up(path: Path) -> None:
    """Write until not one byte is left on a disk."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        while True:
            os.write(file, b"x" * 512)
    except OSError:
        pass
    finally:
        os.close(file)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 KB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", "size=600k", "tiny", folder], capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_on_a_full_disk_nothing_is_half_done_and_it_goes_on_once_there_is_room(tiny: Path, tmp_path: Path) -> None:
    async def body() -> None:
        channel = MemoryChannel()
        async with Controller.open(str(tiny / "one.db"), policy=POLICY, channel=channel) as controller:
            await controller.handle(started())
            await controller.handle(started("small"))
            fill = tiny / "fill"
            fill.write_bytes(b"x" * 250_000)
            good = 1
            with pytest.raises(StoreFull, match="no room"):
                for number in range(1000):
                    await controller.handle(says(text="x" * 20_000, id=f"m-{number}"))
                    good += 1
            fill_up(fill)
            for _ in range(3):
                with pytest.raises(StoreError):
                    await controller.handle(agent_says("small", "y" * 20_000))
            assert (await controller.conversation("c-1")).version == good
            assert (await controller.conversation("small")).version == 1
            fill.unlink()
            outcome = await controller.handle(says(text="there is room", id=f"m-{good - 1}"))
            assert outcome.version == good + 1
            assert not outcome.duplicate
            await controller.handle(agent_says("small", "there is room"))
            await controller.drain()
            assert channel.texts("small") == ["there is room"]
        store = await sqlite_with(as_if_killed(tiny / "one.db", tmp_path))
        found = await audit(store)
        assert len(found.steps["c-1"]) == good + 1
        assert len(found.steps["small"]) == 2
        await store.close()

    run(body())


def test_a_disk_that_is_full_from_the_first_is_said_and_nothing_stays_open(tiny: Path) -> None:
    async def body() -> None:
        (tiny / "fill").write_bytes(b"x" * 590_000)
        with pytest.raises(StoreFull, match=r"one\.db: no room"):
            async with Controller.open(str(tiny / "one.db"), policy=POLICY):
                pass
        assert stray_threads() == []
        (tiny / "fill").unlink()
        async with Controller.open(str(tiny / "one.db"), policy=POLICY) as controller:
            await controller.handle(started())

    run(body())


def test_a_full_disk_while_it_closes_loses_nothing(tiny: Path) -> None:
    async def body() -> None:
        async with Controller.open(str(tiny / "one.db"), policy=POLICY) as controller:
            await controller.handle(started())
            for number in range(10):
                await controller.handle(says(text="z" * 3000, id=f"m-{number}"))
            fill_up(tiny / "fill")
        (tiny / "fill").unlink()
        store = await sqlite_with(tiny / "one.db")
        found = await audit(store)
        assert len(found.steps["c-1"]) == 11
        await store.close()

    run(body())


def test_a_limit_on_the_size_of_files_is_no_room(tmp_path: Path) -> None:
    async def body() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY) as controller:
            await controller.handle(started())
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
            good = 1
            with pytest.raises(StoreError):
                for _ in range(1000):
                    await controller.handle(says(text="x" * 10_000))
                    good += 1
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            outcome = await controller.handle(says(text="there is room"))
            assert outcome.version == good + 1
            await audit(controller.store)

    in_a_child(body, tmp_path)


def test_a_file_that_may_not_grow_is_full_and_then_is_not(tmp_path: Path) -> None:
    async def body() -> None:
        store = SqliteStore(tmp_path / "one.db")
        async with Controller.open(store, policy=POLICY) as controller:
            await controller.handle(started())
            store._writer.execute(f"PRAGMA max_page_count = {store._writer.execute('PRAGMA page_count').fetchone()[0] + 20}")
            good = 1
            results = await asyncio.gather(
                *(controller.handle(says(text="x" * 3000, id=f"m-{number}")) for number in range(50)), return_exceptions=True
            )
            good += sum(not isinstance(one, BaseException) for one in results)
            assert 1 < good < 51
            assert {type(one) for one in results if isinstance(one, BaseException)} == {StoreFull}
            store._writer.execute("PRAGMA max_page_count = 100000")
            again = await asyncio.gather(*(controller.handle(says(text="x" * 3000, id=f"m-{number}")) for number in range(50)))
            assert [one.duplicate for one in again] == [not isinstance(one, BaseException) for one in results]
            found = await audit(store)
            assert len(found.steps["c-1"]) == 51

    run(body())


def test_what_is_on_a_full_disk_can_be_read(tiny: Path) -> None:
    async def body() -> None:
        async with Controller.open(str(tiny / "one.db"), policy=POLICY) as controller:
            await controller.handle(started())
            for number in range(5):
                await controller.handle(says(text="z" * 3000, id=f"m-{number}"))
            await controller.handle(turn(epoch=7, id="refused"))
            fill_up(tiny / "fill")
            assert (await controller.conversation("c-1")).version == 6
            assert len([line async for line in controller.store.history()]) == 6
            assert len([line async for line in controller.store.history("c-1")]) == 6
            assert len([one async for one in controller.store.declined("c-1")]) == 1

    run(body())


# --- locked by somebody else


def test_a_lock_that_is_held_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    async def body() -> None:
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY) as controller:
            await controller.handle(started())
            with holding_the_lock(tmp_path / "one.db") as other:
                waiting = [asyncio.create_task(controller.handle(says(id=f"m-{number}"))) for number in range(5)]
                ticks = 0
                for _ in range(30):  # and the loop goes on meanwhile
                    await asyncio.sleep(0.01)
                    ticks += 1
                assert not any(task.done() for task in waiting)
                assert (await controller.conversation("c-1")).version == 1
                other.execute("ROLLBACK")
                outcomes = await asyncio.gather(*waiting)
            assert [one.version for one in outcomes] == [2, 3, 4, 5, 6]
            assert ticks == 30

    run(body())


def test_a_lock_that_is_held_for_long_is_an_error_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body() -> None:
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY) as controller:
            await controller.handle(started())
            await controller.handle(started("c-2"))
            monkeypatch.setattr(sqlite, "_PATIENCE_S", 0.1)
            with holding_the_lock(tmp_path / "one.db"):
                results = await asyncio.gather(
                    controller.handle(says(id="m-1")), controller.handle(says("c-2", id="m-1")), return_exceptions=True
                )
                assert [type(one) for one in results] == [StoreLocked, StoreLocked]
                with pytest.raises(StoreLocked, match="another process holds"):
                    async with Controller.open(str(tmp_path / "one.db"), policy=POLICY):
                        pass
            outcome = await controller.handle(says(id="m-1"))
            assert (outcome.version, outcome.duplicate) == (2, False)
            await audit(controller.store)
        assert stray_threads() == []

    run(body())


# --- strange files


def _put(path: Path, content: bytes) -> bytes:
    path.write_bytes(content)
    return content


async def _refused(path: Path, error: type[StoreError], match: str) -> None:
    """Check that a file is refused, twice, and stays as it is."""
    before = path.read_bytes()
    store = SqliteStore(path)
    for _ in range(2):
        with pytest.raises(error, match=match) as caught:
            await store.open()
        assert path.name in str(caught.value)
    assert path.read_bytes() == before
    assert stray_threads() == []
    held = [link for link in _open_files() if link.startswith(str(path))]
    assert held == []


def _open_files() -> list[str]:
    folder = Path("/proc/self/fd")
    return [str(one.readlink()) for one in folder.iterdir() if one.exists()] if folder.exists() else []


def test_a_file_that_is_no_database_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    async def body() -> None:
        (tmp_path / "one.db").write_text("Dear diary, today we handed over. " * 200)
        await _refused(tmp_path / "one.db", StoreCorrupt, "not a store of ours")
        (tmp_path / "two.db").write_bytes(os.urandom(9000))
        await _refused(tmp_path / "two.db", StoreCorrupt, "not a store of ours")

    run(body())


def test_a_database_of_another_application_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    async def body() -> None:
        for version in (0, 1, 7):
            path = tmp_path / f"{version}.db"
            other = sqlite3.connect(path)
            other.executescript(f"CREATE TABLE invoices (total REAL); PRAGMA user_version = {version}")
            other.close()
            await _refused(path, StoreCorrupt, "another application")

    run(body())


async def _small_file(path: Path) -> None:
    async with Controller.open(str(path), policy=POLICY) as controller:
        await controller.handle(started())
        for number in range(40):
            await controller.handle(says(text=f"{number} " * 40, id=f"m-{number}"))


def test_a_file_that_was_cut_off_is_refused_or_whole(tmp_path: Path) -> None:
    async def body() -> None:
        await _small_file(tmp_path / "one.db")
        whole = (tmp_path / "one.db").read_bytes()
        for part in (0.05, 0.3, 0.6, 0.9, 0.99):
            path = tmp_path / f"cut-{part}.db"
            path.write_bytes(whole[: int(len(whole) * part)])
            await _damaged(path)

    run(body())


def test_random_bytes_in_the_middle_are_never_taken_for_data(tmp_path: Path) -> None:
    async def body() -> None:
        await _small_file(tmp_path / "one.db")
        whole = (tmp_path / "one.db").read_bytes()
        import random

        chance = random.Random(4711)
        for number in range(25):
            at = chance.randrange(100, len(whole) - 600)
            path = tmp_path / f"{number}.db"
            path.write_bytes(whole[:at] + chance.randbytes(600) + whole[at + 600 :])
            await _damaged(path)

    run(body())


async def _damaged(path: Path) -> None:
    """Whatever becomes of a damaged file: an error of ours, or true data; nothing else, and no caller that waits for ever."""
    store = SqliteStore(path)
    try:
        await store.open()
    except StoreError:
        assert stray_threads() == []
        return
    try:
        async with asyncio.timeout(5):
            await store.load("c-1")
            await store.recall("c-1", "m-3")
            await store.deliveries()
            await store.due(ManualClock().now(), 10)
            await store.next_due()
            async for line in store.history():
                assert line.conversation == "c-1"
    except StoreError:
        pass
    finally:
        async with asyncio.timeout(5):
            await store.close()
    assert stray_threads() == []


@pytest.mark.parametrize(
    "damage", ["substr(body, 1, 50)", "'[]'", "'{}'", "replace(body, '\"version\":2', '\"version\":7')", "'{\"steps\":[{}]}'"]
)
def test_a_damaged_row_of_the_log_is_said_by_its_number(tmp_path: Path, damage: str) -> None:
    async def body() -> None:
        store = await sqlite_with(tmp_path / "one.db", await commits_of(started(), says(), says()))
        path = as_if_killed(tmp_path / "one.db")
        await store.close()
        other = sqlite3.connect(path)
        other.execute(f"UPDATE log SET body = {damage} WHERE id = 2")
        other.execute("PRAGMA journal_mode = DELETE")
        other.commit()
        other.close()
        left = SqliteStore(path)
        for _ in range(2):
            with pytest.raises(StoreCorrupt, match=r"row [23] of the log"):
                await left.open()
        assert stray_threads() == []

    run(body())


def test_a_row_that_another_process_wrote_and_nobody_can_read_leaves_no_caller_waiting(tmp_path: Path) -> None:
    async def body() -> None:
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY) as controller:
            await controller.handle(started())
            other = sqlite3.connect(tmp_path / "one.db")
            other.execute("INSERT INTO log SELECT max(id) + 1, '{\"steps\": 5}' FROM log")
            other.commit()
            other.close()
            results = await asyncio.wait_for(
                asyncio.gather(*(controller.handle(says(id=f"m-{number}")) for number in range(3)), return_exceptions=True), 5
            )
            assert {type(one) for one in results} == {StoreCorrupt}

    run(body())


def test_a_store_that_a_newer_version_wrote_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    async def body() -> None:
        await _small_file(tmp_path / "one.db")
        other = sqlite3.connect(tmp_path / "one.db")
        other.execute("PRAGMA user_version = 99")
        other.close()
        await _refused(tmp_path / "one.db", StoreTooNew, "its schema is 99")

    run(body())


def test_a_folder_that_is_not_there_is_named_and_not_made(tmp_path: Path) -> None:
    async def body() -> None:
        with pytest.raises(StoreError, match="its folder does not exist"):
            async with Controller.open(str(tmp_path / "no" / "one.db"), policy=POLICY):
                pass
        assert not (tmp_path / "no").exists()
        with pytest.raises(StoreError, match=tmp_path.name):
            async with Controller.open(str(tmp_path), policy=POLICY):
                pass
        assert stray_threads() == []

    run(body())


def test_a_file_that_may_only_be_read_is_an_error_that_says_so(tmp_path: Path) -> None:
    async def make() -> None:
        await _small_file(tmp_path / "one.db")

    run(make())
    before = (tmp_path / "one.db").read_bytes()
    tmp_path.chmod(0o777)
    (tmp_path / "one.db").chmod(0o444)

    async def body() -> None:
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)  # root may write everything
        with pytest.raises(StoreError, match=r"readonly|read-only|unable to open") as caught:
            async with Controller.open(str(tmp_path / "one.db"), policy=POLICY) as controller:
                await controller.handle(says())
        assert "one.db" in str(caught.value)

    parent = tmp_path
    while os.getuid() == 0 and parent != Path("/tmp") and parent != parent.parent:
        parent.chmod(parent.stat().st_mode | 0o055)
        parent = parent.parent
    in_a_child(body, tmp_path)
    assert (tmp_path / "one.db").read_bytes() == before


def test_a_controller_that_cannot_start_leaves_nothing_open(tmp_path: Path) -> None:
    async def body() -> None:
        class Broken(SqliteStore):
            async def put_policy(self, policy: Any) -> None:
                raise StoreFull("no room")

        with pytest.raises(StoreFull):
            async with Controller.open(Broken(tmp_path / "one.db"), policy=POLICY):
                pass
        assert stray_threads() == []
        assert len(asyncio.all_tasks()) == 1
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY) as controller:
            await controller.handle(started())

    run(body())


# --- the store fails at each of its write points


class Failing(SqliteStore):
    """Fails at its n-th write: before it, or after all of it but the commit."""

    def __init__(self, path: Path, at: int, *, late: bool) -> None:
        super().__init__(path)
        self.at = at
        self.late = late
        self.writes = 0

    def _fails(self) -> bool:
        self.writes += 1
        return self.writes == self.at

    def _write(self, group: Any) -> bool:
        return self._maybe(lambda: super(Failing, self)._write(group))

    def _write_all(self, statements: Any, *, durable: bool) -> int:
        return self._maybe(lambda: super(Failing, self)._write_all(statements, durable=durable))

    def _write_folded(self, statements: Any, last: int) -> bool:
        return self._maybe(lambda: super(Failing, self)._write_folded(statements, last))

    def _maybe(self, work: Callable[[], Any]) -> Any:
        if not self._fails():
            return work()
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        if not self.late:
            raise error
        writer = self._writer

        class Breaking:
            """A connection whose transaction is rolled back where it was to be committed."""

            in_transaction = property(lambda _: writer.in_transaction)

            def execute(self, sql: str, *values: Any) -> Any:
                if sql.startswith("INSERT INTO log") and not writer.in_transaction:
                    writer.execute("BEGIN IMMEDIATE")
                    writer.execute(sql, *values)
                    writer.execute("ROLLBACK")
                    raise error
                if sql == "COMMIT":
                    writer.execute("ROLLBACK")
                    raise error
                return writer.execute(sql, *values)

            def executemany(self, sql: str, *values: Any) -> Any:
                return writer.executemany(sql, *values)

        self._writer = Breaking()  # type: ignore[assignment]
        try:
            return work()
        finally:
            self._writer = writer


@pytest.mark.parametrize("late", [False, True])
def test_a_store_that_fails_at_any_write_leaves_all_of_an_escalation_or_nothing(tmp_path: Path, late: bool) -> None:
    async def escalate(path: Path, at: int) -> tuple[bool, int]:
        """Escalate with a store that fails once; return whether a write failed, and how many there were."""
        clock = ManualClock()
        channel, desk = MemoryChannel(), MemoryDesk()
        store = Failing(path, at, late=late)
        events = [
            started(id="e-1"),
            says(text="hello", id="e-2"),
            turn(reply="hi", epoch=0, id="e-3"),
            asks_for_a_person(id="e-4"),
        ]
        failed = False
        try:
            async with Controller.open(store, policy=POLICY, channel=channel, desk=desk, clock=clock) as controller:
                for event in events:
                    try:
                        await controller.handle(event)
                    except StoreFull:
                        failed = True
                        version = 0 if (loaded := await store.load("c-1")) is None else loaded.version
                        outcome = await controller.handle(event)  # again, as the error says
                        assert not outcome.duplicate
                        assert outcome.version == version + 1
                for _ in range(2):
                    await asyncio.sleep(0.005)
                    sent, tickets = list(channel.sent), set(desk.tickets)
                    _check(await _copied(path), sent, tickets)
                copy = as_if_killed(path)
        except StoreFull:
            return True, store.writes
        # As if it had been killed before it could try again what had failed.
        async with Controller.open(str(copy), policy=POLICY, channel=channel, desk=desk, clock=clock) as controller:
            for event in events:
                assert (await controller.handle(event)).duplicate
            for _ in range(4):
                clock.advance(20)
                await controller.drain()
            found = await audit(controller.store)
            _check(found, channel.sent, set(desk.tickets))
            assert found.open == {}
            assert {one.key for one in channel.sent} == set(found.effects("channel"))
            assert list(desk.tickets) == list(found.tickets())
            assert len(desk.tickets) == 1
            assert len([text for text in channel.sent if text.text.kind == "connecting"]) == 1
        return failed or store.writes >= at, store.writes

    async def body() -> None:
        points = 0
        for at in range(1, 60):
            folder = tmp_path / str(at)
            folder.mkdir()
            failed, writes = await escalate(folder / "one.db", at)
            if not failed:
                break
            points += 1
            assert writes >= at
        assert 8 < points < 59, f"{points} write points"

    run(body())


async def _copied(path: Path) -> Any:
    store = await sqlite_with(as_if_killed(path))
    found = await audit(store)
    await store.close()
    return found


def _check(found: Any, sent: list[Any], tickets: set[str]) -> None:
    """What reached the world is in the history; who reads `connecting` is queued, with timers and a ticket behind it."""
    texts = found.effects("channel")
    assert {one.key for one in sent} <= set(texts)
    assert tickets <= set(found.tickets())
    for one in sent:
        if one.text.kind == "connecting":
            steps = [step for step in found.steps["c-1"] if step.after.state == "queued"]
            assert steps
            assert any(timer.name == "queue" for timer in steps[0].after.timers)
            assert found.tickets()


# --- callers that go away


def test_a_caller_that_is_cancelled_undoes_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY) as controller:
            await controller.handle(started())
            for number in range(60):
                task = asyncio.create_task(controller.handle(says(id=f"m-{number}")))
                noise = [asyncio.create_task(controller.handle(says(id=f"n-{number}-{one}"))) for one in range(number % 3)]
                for _ in range(number % 7 + 1):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.gather(task, *noise, return_exceptions=True)
                outcome = await controller.handle(says(id=f"m-{number}"))
                again = await controller.handle(says(id=f"m-{number}"))
                assert again.duplicate
                assert again.version == outcome.version
                if task.cancelled():
                    assert outcome.duplicate
            found = await audit(controller.store)
            assert all(found.ids["c-1", f"m-{number}"] == 1 for number in range(60))

    run(body())


def test_a_caller_that_goes_away_at_once_has_submitted_nothing_or_all(tmp_path: Path) -> None:
    async def body() -> None:
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY) as controller:
            await controller.handle(started())
            tasks = [asyncio.create_task(controller.handle(says(id=f"m-{number}"))) for number in range(50)]
            await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        store = await sqlite_with(tmp_path / "one.db")
        found = await audit(store)
        assert [one.event.id for one in found.steps["c-1"][1:]] == [f"m-{number}" for number in range(50)]
        await store.close()

    run(body())


def test_a_controller_that_is_closed_finishes_what_was_submitted_and_takes_no_more(tmp_path: Path) -> None:
    async def body() -> None:
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY) as controller:
            await controller.handle(started())
            tasks = [asyncio.create_task(controller.handle(says(id=f"m-{number}"))) for number in range(50)]
            await asyncio.sleep(0)
        outcomes = await asyncio.gather(*tasks)
        assert [one.version for one in outcomes] == list(range(2, 52))
        with pytest.raises(ControllerClosed):
            await controller.handle(says())
        await controller.close()  # once more does no harm
        store = await sqlite_with(tmp_path / "one.db")
        assert len((await audit(store)).steps["c-1"]) == 51
        await store.close()

    run(body())


def test_events_are_submitted_from_threads(tmp_path: Path) -> None:
    async def body() -> None:
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY) as controller:
            names = [f"c-{number}" for number in range(4)]

            def work(name: str) -> list[int]:
                controller.submit(started(name)).result(10)
                waiting = [controller.submit(says(name, id=f"m-{number}")) for number in range(25)]
                return [one.result(10).version for one in waiting]

            versions = await asyncio.gather(*(asyncio.to_thread(work, name) for name in names))
            assert versions == [list(range(2, 27))] * 4
            cancelled = controller.submit(says("c-0", id="m-cancelled"))
            cancelled.cancel()
            await audit(controller.store)
        with pytest.raises(ControllerClosed):
            await asyncio.wrap_future(controller.submit(says("c-0")))

    run(body())


@pytest.mark.filterwarnings("error")
def test_a_thread_that_comes_after_the_end_is_told() -> None:
    with ThreadedController.open(policy=POLICY) as controller:
        controller.handle(started())
    for call in (lambda: controller.handle(says()), controller.drain, lambda: controller.conversation("c-1")):
        with pytest.raises(ControllerClosed):
            call()
    with pytest.raises(ControllerClosed):
        controller.controller.submit(says()).result(1)


@pytest.mark.parametrize("text", ["half a pair \ud83d", "\x00 nothing", "\udcff"])
def test_texts_that_are_no_text_break_nothing(tmp_path: Path, text: str) -> None:
    async def body() -> None:
        channel = MemoryChannel()
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY, channel=channel) as controller:
            await controller.handle(started())
            results = await asyncio.wait_for(
                asyncio.gather(
                    *(controller.handle(says(text=text, id=f"{text} {number}")) for number in range(3)),
                    controller.handle(turn(reply=text)),
                    controller.handle(agent_says(text=text)),
                    return_exceptions=True,
                ),
                5,
            )
            assert [one for one in results if isinstance(one, BaseException)] == []
            await controller.drain()
            await controller.store._fold_all()  # type: ignore[attr-defined]
            found = await audit(controller.store)
            copy = as_if_killed(tmp_path / "one.db")
        for path in (copy, tmp_path / "one.db"):
            store = await sqlite_with(path)
            assert len((await audit(store)).steps["c-1"]) == len(found.steps["c-1"])
            await store.close()

    run(body())


def test_the_loop_is_not_kept_waiting_by_a_slow_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commits that wait together are written on a thread; that they can be many is what a burst needs."""

    async def body() -> None:
        async with Controller.open(str(tmp_path / "one.db"), policy=POLICY) as controller:
            names = [f"c-{number}" for number in range(20)]
            for name in names:
                await controller.handle(started(name))
            store = controller.store
            write = store._write  # type: ignore[attr-defined]

            def slow(group: Any) -> bool:
                if len(group) > 1:
                    time.sleep(0.1)
                return bool(write(group))

            monkeypatch.setattr(store, "_write", slow)
            burst = asyncio.gather(*(controller.handle(says(name)) for name in names))
            longest = 0.0
            before = time.monotonic()
            while not burst.done():
                await asyncio.sleep(0.001)
                longest = max(longest, time.monotonic() - before)
                before = time.monotonic()
            assert longest < 0.09
            await until(burst.done)

    run(body())
