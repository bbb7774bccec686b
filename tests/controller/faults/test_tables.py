"""The tables are the log's index: whoever brings them up to date, and when, nothing is lost and nothing comes back."""

import asyncio
import os
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fault_tools import POLICY, as_if_killed, audit, commits_of, gone_pid, run, sqlite_with

from handoff_kit.controller import VersionConflict
from handoff_kit.controller.records import Commit, Declined, Remembered, Settled
from handoff_kit.controller.stores.memory import MemoryStore
from handoff_kit.controller.stores.sqlite import SqliteStore
from handoff_kit.controller.testing import START, agent_says, says, started, turn
from handoff_kit.machines import Refusal

LATER = START + timedelta(hours=1)
ME = f"{os.getpid()}-me"


async def _messages(count: int, conversation: str = "c-1") -> list[Commit]:
    texts = (says(conversation, f"message {number}", id=f"m-{number}") for number in range(count - 1))
    return await commits_of(started(conversation), *texts)


def test_a_crash_between_two_folds_leaves_a_file_that_opens(tmp_path: Path) -> None:
    async def body() -> None:
        commits = await _messages(200)
        store = await sqlite_with(tmp_path / "one.db", commits[:150])
        await store._fold()
        for one in commits[150:]:
            await store.commit(one)
        left = await sqlite_with(as_if_killed(tmp_path / "one.db"))
        await store.close()
        found = await audit(left)
        assert len(found.steps["c-1"]) == 200
        assert set(found.open) == {f"c-1:{number}:0" for number in range(2, 201)}  # the AI is asked after each message
        for number in range(199):
            assert await left.recall("c-1", f"m-{number}") is not None
        await left.close()

    run(body())


def test_histories_read_side_by_side_lose_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        commits = [one for number in range(60) for one in await _messages(3, f"c-{number}")]
        store = await sqlite_with(tmp_path / "one.db", commits[:100])

        async def read() -> int:
            return len([line async for line in store.history()])

        async def write() -> None:
            for one in commits[100:]:
                await store.commit(one)
                await asyncio.sleep(0)

        await asyncio.gather(read(), read(), store.forget_ids(START), write(), read())
        await store.close()
        again = await sqlite_with(tmp_path / "one.db")
        found = await audit(again)
        assert {name: len(steps) for name, steps in found.steps.items()} == {f"c-{number}": 3 for number in range(60)}
        assert len(found.open) == 120
        for number in range(60):
            assert await again.recall(f"c-{number}", "m-1") is not None
        await again.close()

    run(body())


def test_what_was_settled_does_not_come_back_by_a_process_that_lags_behind(tmp_path: Path) -> None:
    async def body() -> None:
        commits = await commits_of(started(), says(), turn(reply="once only"))
        quick = await sqlite_with(tmp_path / "one.db")
        slow = await sqlite_with(tmp_path / "one.db")
        for one in commits:
            await quick.commit(one)
        assert await slow.deliveries(port="channel")  # by now it knows what is owed
        (delivery,) = await quick.claim("channel", LATER, limit=9, by=ME, until=LATER + timedelta(seconds=60))
        await quick.settle([Settled(key=delivery.key, result="done")])
        await quick.close()  # brings the tables up to date
        if slow._unfolded:
            await slow._fold()  # and now the one that has not looked since, and is killed then
        third = await sqlite_with(as_if_killed(tmp_path / "one.db"))
        assert await third.deliveries(port="channel") == []
        await third.close()
        await slow.close()

    run(body())


def test_a_process_that_lags_behind_follows_although_the_tables_are_ahead_of_it(tmp_path: Path) -> None:
    async def body() -> None:
        first, *rest = await _messages(5)
        quick = await sqlite_with(tmp_path / "one.db", [first])
        slow = await sqlite_with(tmp_path / "one.db")
        known = await slow.load("c-1")
        assert known is not None
        assert known.version == 1
        others = await _messages(3, "c-2")
        for one in (*rest, *others):
            await quick.commit(one)
        await quick.close()
        found = await audit(slow)
        assert {name: len(steps) for name, steps in found.steps.items()} == {"c-1": 5, "c-2": 3}
        assert len(found.open) == 6
        await slow.close()

    run(body())


@pytest.mark.parametrize("reads", ["FROM outbox", "FROM meta", "FROM log"])
def test_a_fold_by_another_process_while_the_file_is_opened_hides_no_delivery(tmp_path: Path, reads: str) -> None:
    async def body() -> None:
        other = await sqlite_with(tmp_path / "one.db", await _messages(4))

        class Slow(SqliteStore):
            """Is overtaken wherever it reads."""

            folds = 0

            def _rows(self, sql: str, *values: Any) -> list[Any]:
                rows = super()._rows(sql, *values)
                if self.folds < 1 and reads in sql:
                    self.folds += 1
                    _opened_and_closed(tmp_path / "one.db")
                return rows

        store = Slow(tmp_path / "one.db")
        await store.open()
        assert store.folds == 1
        found = await audit(store)
        assert len(found.open) == 3
        await store.close()
        await other.close()

    run(body())


def _opened_and_closed(path: Path) -> None:
    """Open a store and close it, which brings its tables up to date, while the caller's loop stands still."""

    async def body() -> None:
        await (await sqlite_with(path)).close()

    other = threading.Thread(target=run, args=(body(),))
    other.start()
    other.join()


@pytest.mark.parametrize("folded", [False, True])
def test_what_a_dead_process_had_claimed_is_claimed_again_and_once(tmp_path: Path, folded: bool) -> None:
    async def body() -> None:
        dead = await sqlite_with(tmp_path / "one.db", await commits_of(started(), says(), turn()))
        claimed = await dead.claim("channel", LATER, limit=9, by=f"{gone_pid()}-dead", until=LATER + timedelta(hours=1))
        assert len(claimed) == 1
        if folded:
            await dead.close()
        store = await sqlite_with(tmp_path / "one.db")
        again = await store.claim("channel", LATER, limit=9, by=ME, until=LATER + timedelta(hours=1))
        assert [one.key for one in again] == [claimed[0].key]
        assert await store.claim("channel", LATER, limit=9, by=ME, until=LATER + timedelta(hours=1)) == []
        await store.close()
        if not folded:
            await dead.close()

    run(body())


@pytest.mark.parametrize("kind", [MemoryStore, SqliteStore])
def test_a_retry_at_the_very_same_time_is_claimed_once(tmp_path: Path, kind: Any) -> None:
    async def body() -> None:
        store = MemoryStore() if kind is MemoryStore else SqliteStore(tmp_path / "one.db")
        await store.open()
        await store.put_policy(POLICY)
        for one in await commits_of(started(), says(), turn()):
            await store.commit(one)
        for attempt in range(1, 4):
            claimed = await store.claim("channel", LATER, limit=9, by=ME, until=LATER + timedelta(hours=1))
            assert len(claimed) == 1
            one = claimed[0]
            await store.settle([Settled(key=one.key, result="retry", attempts=attempt, next_at=one.next_at)])
        await store.close()

    run(body())


@pytest.mark.parametrize("kind", [MemoryStore, SqliteStore])
def test_an_id_is_remembered_once_although_two_commits_come_at_once(tmp_path: Path, kind: Any) -> None:
    async def body() -> None:
        store = MemoryStore() if kind is MemoryStore else SqliteStore(tmp_path / "one.db")
        await store.open()
        await store.put_policy(POLICY)
        first, second = await commits_of(started(), agent_says(id="r-1"))
        await store.commit(first)
        (accepted,) = second.steps
        outcome = Remembered("c-1", "r-1", "c-1", "bot_active", 1, 0, "ai", "none", (), Refusal("not_owner"), START)
        twice = Commit(declined=(Declined(accepted.step.event, START, 1, Refusal("not_owner")),), remembered=(outcome,))
        results = await asyncio.gather(store.commit(twice), store.commit(twice), return_exceptions=True)
        assert [type(one) for one in results] == [type(None), VersionConflict]
        assert len([one async for one in store.declined("c-1")]) == 1
        await store.close()

    run(body())


@pytest.mark.parametrize("kind", [MemoryStore, SqliteStore])
def test_a_closed_conversation_goes_on_in_one_although_two_come_at_once(tmp_path: Path, kind: Any) -> None:
    async def body() -> None:
        store = MemoryStore() if kind is MemoryStore else SqliteStore(tmp_path / "one.db")
        await store.open()
        await store.put_policy(POLICY)
        made = [(await commits_of(started(name, previous="c-0")))[0] for name in ("c-0~1", "c-0~2")]
        twice = [Commit(steps=one.steps, continues=("c-0", one.steps[0].stream)) for one in made]
        results = await asyncio.gather(*map(store.commit, twice), return_exceptions=True)
        assert [type(one) for one in results] == [type(None), VersionConflict]
        assert await store.successor("c-0") == "c-0~1"
        assert await store.load("c-0~2") is None
        await store.close()

    run(body())


def test_a_fold_at_every_moment_changes_nothing(tmp_path: Path) -> None:
    async def body() -> None:
        store = await sqlite_with(tmp_path / "one.db")
        commits = [one for number in range(10) for one in await _messages(6, f"c-{number}")]
        for number, one in enumerate(commits):
            await store.commit(one)
            if number % 3 == 0 and store._unfolded:
                await store._fold()
            if number % 10 == 0:
                copy = await sqlite_with(as_if_killed(tmp_path / "one.db"))
                found = await audit(copy)
                assert sum(map(len, found.steps.values())) == number + 1
                await copy.close()
        await store.close()

    run(body())


def test_rows_that_another_process_brought_into_the_tables_leave_nobody_waiting(tmp_path: Path) -> None:
    """The signal that many rows wait may be left over from rows that are not here any more: it must not keep the loop busy."""

    async def body() -> None:
        store = SqliteStore(tmp_path / "one.db")
        await store.open()
        store._full.set()
        await asyncio.wait_for(asyncio.sleep(0.1), 5)
        assert not store._full.is_set()
        await store.close()

    run(body(), 10)
