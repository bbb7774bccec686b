"""The SQLite store: one file, durable, for one process or a few.

The log is the truth: a commit appends one row to it, and a row's number is its place in the one order of everything. Whoever
appends must know all rows before it: a number that another process took meanwhile fails, its rows are read, and what was to be
written is checked anew. Rows that are not yet in the other tables are held in a ledger in memory, and made again out of the log
by whoever opens the file: deciding is deterministic, so that events are enough. So a commit dirties few pages, and callers that
wait together share one fsync.

All that touches the ledger runs on the event loop. SQL that may wait runs on one thread, one piece of work at a time; a commit
that waits alone is written at once, which saves the way there and back. What may not go in here: rules, the text of rows
(`encoding`), the tables themselves (`schema`).
"""

import asyncio
import contextlib
import json
import logging
import shutil
import sqlite3
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import attrs

from handoff_kit.machines import Agent, AgentStep, Conversation, Event, Policy, State, step
from handoff_kit.machines.canonical import canonical, rfc3339
from handoff_kit.machines.codec import (
    agent_from_data,
    conversation_from_data,
    conversation_to_data,
    event_from_data,
    verdict_from_data,
)
from handoff_kit.machines.policy_codec import policy_from_data, policy_to_data

from ..errors import StoreCorrupt, StoreError, StoreFull, StoreLocked, VersionConflict
from ..logs import log_fact
from ..records import Accepted, AgentAccepted, Commit, Delivery, Line, Remembered, Settled
from .encoding import (
    commit_text,
    declined_from_data,
    delivery_from_data,
    delivery_text,
    remembered_from_data,
    remembered_text,
    settled_from_data,
    settled_text,
    time_from,
)
from .ledger import Ledger, Stream, first_due
from .owners import is_gone
from .schema import check_is_ours, migrate

__all__ = ["SqliteStore"]

_PATIENCE_S = 5.0  # how long we wait for another process that writes
_FOLD_AT = 512  # rows of the log that are held in memory before they are brought into the tables
_IDLE_S = 0.25  # seconds without a commit after which the tables are brought up to date
_CHECKPOINT_PAGES = 1000  # of 1 KB; while the write-ahead log is small its space is used again, which costs less than growth
_ROOM = 1 << 20  # bytes; with less the write-ahead log cannot grow
_VERSIONS = 10_000  # streams whose versions are kept though the tables have them
_CHUNK = 500  # rows that are read at once where a whole history is read


@attrs.define(eq=False)
class _Write:
    """One row that waits to be appended, and what follows once it is.

    Args:
        prepare: called on the loop just before; returns the row's text (None: there is nothing to write), or raises.
        apply: called on the loop once it is in the log, with its number.
        durable: whether it must be on the disk before anybody is told.
    """

    prepare: Callable[[], str | None]
    apply: Callable[[int], Any]
    streams: frozenset[str]
    durable: bool
    done: "asyncio.Future[Any]"


@attrs.define
class _Unfolded:
    """A row of the log that the tables do not have yet."""

    record: int
    streams: tuple[str, ...] = ()
    remembered: tuple[tuple[str, str], ...] = ()
    declined: tuple[tuple[str, str], ...] = ()
    deliveries: tuple[str, ...] = ()
    continues: str | None = None


class SqliteStore:
    """A store in a SQLite file.

    Args:
        path: the file; it is made where it does not exist. Its folder must exist, on a local disk.
        durable: False tells the disk to write when it likes: after a power cut (not after a crash of the process) the last events
            may be lost.
    """

    def __init__(self, path: str | Path, *, durable: bool = True) -> None:
        self.path = str(path)
        self._durable = durable
        self._opened = False

    # --- opening and closing

    async def open(self) -> None:
        """Open the file, bring its tables to this version, and read what they do not have yet."""
        if self._opened:
            return
        self._ledger = Ledger()
        self._policies: dict[str, Policy] = {}
        self._last = -1
        self._folded = -1
        self._unfolded: list[_Unfolded] = []
        self._works: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._waiting: list[_Write] = []
        self._turns: list[asyncio.Future[None]] = []
        self._busy = False
        self._scheduled = False
        self._works_first = True
        self._folds = asyncio.Lock()
        self._full = asyncio.Event()
        self._folding: asyncio.Task[None] | None = None
        self._touched = 0.0
        self._versions: dict[str, tuple[int, int]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="handoff-sqlite")
        self._loop = asyncio.get_running_loop()
        self._connections: list[sqlite3.Connection] = []
        try:
            await self._loop.run_in_executor(self._thread, self._connect)
            self._catch_up()
        except BaseException:
            await self._loop.run_in_executor(self._thread, self._disconnect)
            self._thread.shutdown()
            raise
        self._ledger.outbox.release(is_gone)
        self._opened = True
        self._folding = asyncio.create_task(self._fold_when_idle())

    def _connect(self) -> None:
        folder = Path(self.path).resolve().parent
        if not folder.is_dir():
            raise StoreError(f"{self.path}: its folder does not exist; make it first")
        try:
            self._writer = self._connection()
            _patiently(lambda: check_is_ours(self._writer, self.path))
            self._writer.execute("PRAGMA page_size = 1024")
            _patiently(lambda: self._writer.execute("PRAGMA journal_mode = WAL").fetchone())
            _patiently(lambda: migrate(self._writer, self.path))
            self._reader = self._connection()
            self._quick = self._connection()
            self._writer.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'NORMAL'}")
            self._quick.execute("PRAGMA synchronous = NORMAL")
            for connection in self._connections:
                connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        except sqlite3.Error as error:
            raise self._told(error) from None

    def _connection(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=0)
        self._connections.append(connection)
        return connection

    async def close(self) -> None:
        """Bring the tables up to date and close the file."""
        if not self._opened:
            return
        if self._folding is not None:
            self._folding.cancel()
            await asyncio.gather(self._folding, return_exceptions=True)
        while self._busy or self._waiting or self._works:
            await self._turn()
        with contextlib.suppress(StoreError):  # the rows are in the log: whoever opens the file next reads them there
            await self._fold_all()
        self._opened = False
        await self._loop.run_in_executor(self._thread, self._disconnect)
        self._thread.shutdown()

    def _disconnect(self) -> None:
        for connection in reversed(self._connections):
            with contextlib.suppress(sqlite3.Error):
                if connection is self._connections[0]:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()

    def _told(self, error: sqlite3.Error) -> StoreError:
        """Return what an error of SQLite means."""
        text = str(error)
        code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
        if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and self._has_no_room()):
            return StoreFull(f"{self.path}: no room on the disk; nothing of this was written")
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return StoreLocked(f"{self.path}: another process holds the file for more than {_PATIENCE_S:g} s")
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return StoreCorrupt(f"{self.path}: not a store of ours, or damaged ({text}); restore it from a copy")
        return StoreError(f"{self.path}: {text}; nothing of this was written")

    def _has_no_room(self) -> bool:
        """Whether the disk has no room: SQLite says so only of its main file."""
        try:
            return shutil.disk_usage(Path(self.path).resolve().parent).free < _ROOM
        except OSError:
            return False

    # --- reading

    def _rows(self, sql: str, *values: Any) -> list[Any]:
        try:
            return self._reader.execute(sql, tuple(map(_storable, values))).fetchall()
        except sqlite3.Error as error:
            raise self._told(error) from None

    def _catch_up(self) -> None:
        """Take in what others wrote, or what an earlier process left; nothing of our own may be under way.

        What others have brought into the tables meanwhile is dropped here, and read there from now on.
        """
        if self._rows("SELECT 1 FROM log WHERE id > ? UNION ALL SELECT 1 FROM meta WHERE value <> ?", self._last, self._folded):
            self._reader.execute("BEGIN")  # one look: the tables and the log must belong together
            try:
                ((folded,),) = self._rows("SELECT value FROM meta WHERE name = 'folded'")
                if folded != self._folded:
                    self._rebase(folded)
                for record, body in self._rows("SELECT id, body FROM log WHERE id > ? ORDER BY id", self._last):
                    self._take(record, body)
            finally:
                self._reader.execute("COMMIT")

    def _rebase(self, folded: int) -> None:
        """Others have brought rows of the log into the tables, up to one."""
        if folded > self._last:  # even some that are not known here
            self._ledger = Ledger()
            self._unfolded = []
            self._versions.clear()
            for (body,) in self._rows("SELECT body FROM outbox"):
                self._ledger.outbox.add(delivery_from_data(json.loads(body)))
            self._last = folded
        else:
            self._forget([row for row in self._unfolded if row.record <= folded])
        self._folded = folded

    def _forget(self, rows: list[_Unfolded]) -> None:
        """Drop what is known here only because rows were not in the tables."""
        if not rows:
            return
        last = rows[-1].record
        self._unfolded = [row for row in self._unfolded if row.record > last]
        for row in rows:
            for name in row.streams:
                stream = self._ledger.streams.get(name)
                if stream is not None and stream.record <= last:
                    self._ledger.forget(name)
                    self._remember_version(name, stream)
            for key in row.remembered:
                self._ledger.remembered.pop(key, None)
            if row.continues is not None:
                self._ledger.successors.pop(row.continues, None)

    def _take(self, record: int, body: str) -> None:
        """Take in one row of the log that was not written here."""
        try:
            data = json.loads(body)
            if "steps" in data:
                commit = Commit(
                    steps=tuple([self._made_again(record, one) for one in data["steps"]]),
                    remembered=tuple(map(remembered_from_data, data.get("remembered", ()))),
                    continues=tuple(data["continues"]) if "continues" in data else None,
                )
                declined = [(one["event"]["conversation"], _dumped(one)) for one in data.get("declined", ())]
                self._apply_commit(commit, record, declined)
            else:
                self._apply_deliveries(record, data)
        except StoreError:
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise StoreCorrupt(
                f"{self.path}: row {record} of the log cannot be read ({what}); restore the file from a copy"
            ) from None
        self._last = record

    def _made_again(self, record: int, data: dict[str, Any]) -> Accepted | AgentAccepted:
        """Return a step out of its event: deciding is deterministic, and what was recorded of it is the proof."""
        if "agent" in data:
            before = self._agent(data["agent"])
            event: Event = event_from_data(data["event"])
            made = AgentAccepted(AgentStep(before, event, agent_from_data(data["snapshot"])))
            self._ledger.streams[made.stream] = Stream(made.step.after.version, made.step.after, 0, record)
            return made
        recorded = data["step"]
        policy = self._known_policy(recorded["policy"])
        if policy is None:
            raise StoreCorrupt(f"{self.path}: row {record} of the log names a policy that the store does not hold")
        event = event_from_data({**data["event"], "conversation": data["conversation"]})
        verdicts = tuple(map(verdict_from_data, recorded["verdicts"])) if event.erased else None
        decided = step(policy, self._conversation(data["conversation"]), event, recorded=verdicts)
        after = decided.after
        if (after.version, after.state, after.epoch) != (recorded["version"], recorded["state"], recorded["epoch"]):
            raise StoreCorrupt(
                f"{self.path}: row {record} of the log does not decide as it did ({after.state} at version {after.version}, not "
                f"{recorded['state']} at {recorded['version']}): open it once with the version of handoff-kit that wrote it"
            )
        # Seen by the next step of the same row.
        known = self._ledger.streams.get(after.id)
        epoch = known.person_epoch if known is not None else self._base_version(after.id)[1]
        self._ledger.streams[after.id] = Stream(after.version, after, epoch, record)
        return Accepted(decided, recorded["policy"], tuple([(index, port) for index, port in data["owed"]]))

    def _conversation(self, name: str) -> Conversation | None:
        stream = self._ledger.streams.get(name)
        if stream is not None:
            assert isinstance(stream.snapshot, Conversation)
            return stream.snapshot
        for (snapshot,) in self._rows("SELECT snapshot FROM streams WHERE name = ?", name):
            return conversation_from_data(json.loads(snapshot), place=f"{self.path}: conversation {name!r}")
        self._keep_version(name, (0, 0))  # a commit asks next; that somebody else made it meanwhile shows in the log
        return None

    def _agent(self, name: str) -> Agent | None:
        stream = self._ledger.streams.get(f"agent/{name}")
        if stream is not None:
            assert isinstance(stream.snapshot, Agent)
            return stream.snapshot
        for (snapshot,) in self._rows("SELECT snapshot FROM streams WHERE name = ?", f"agent/{name}"):
            return agent_from_data(json.loads(snapshot))
        return None

    def _base_version(self, stream: str) -> tuple[int, int]:
        """Return a stream's version and person's epoch as the tables have them; (0, 0) where they have none."""
        known = self._versions.get(stream)
        if known is None:
            found = self._rows("SELECT version, person_epoch FROM streams WHERE name = ?", stream)
            known = (found[0][0], found[0][1]) if found else (0, 0)
        return known

    def _version_of(self, stream: str) -> int:
        known = self._ledger.streams.get(stream)
        return known.version if known is not None else self._base_version(stream)[0]

    def _person_epoch(self, stream: str) -> int:
        known = self._ledger.streams.get(stream)
        return known.person_epoch if known is not None else self._base_version(stream)[1]

    async def _turn(self) -> None:
        """Wait until the work that is under way is done."""
        turn: asyncio.Future[None] = self._loop.create_future()
        self._turns.append(turn)
        self._soon()
        await turn

    def _turned(self) -> None:
        turns, self._turns = self._turns, []
        for turn in turns:
            if not turn.done():
                turn.set_result(None)

    async def _look(self) -> None:
        """See what others wrote; while we write ourselves, what we know is what we are about to build on."""
        if not self._opened:
            raise StoreError(f"{self.path}: the store is not open")
        if not self._busy:
            self._catch_up()

    # --- the port: reading

    async def load(self, conversation: str) -> Conversation | None:
        """Return a conversation's snapshot."""
        await self._look()
        found = self._conversation(conversation)
        while found is None and self._busy:  # it may be somebody else's, and new
            await self._turn()
            await self._look()
            found = self._conversation(conversation)
        return found

    async def load_agent(self, agent: str) -> Agent | None:
        """Return an agent's snapshot."""
        await self._look()
        return self._agent(agent)

    async def successor(self, conversation: str) -> str | None:
        """Return the conversation that continues a closed one."""
        await self._look()
        known = self._ledger.successors.get(conversation)
        if known is None:
            for (known,) in self._rows("SELECT goes_on FROM successors WHERE closed = ?", conversation):
                return str(known)
        return known

    async def recall(self, conversation: str, id: str) -> Remembered | None:
        """Return the first outcome of an event's id."""
        known = self._ledger.remembered.get((conversation, id))
        if known is not None:
            return known
        for (outcome,) in self._rows("SELECT outcome FROM remembered WHERE stream = ? AND id = ?", conversation, id):
            return remembered_from_data(json.loads(outcome))
        return None

    async def put_policy(self, policy: Policy) -> None:
        """Keep a policy."""
        self._policies[policy.fingerprint] = policy
        body = json.dumps(policy_to_data(policy), ensure_ascii=False)
        await self._in_thread(
            lambda: self._write_all([("INSERT OR IGNORE INTO policies VALUES (?, ?)", (policy.fingerprint, body))], durable=True)
        )

    async def policy(self, fingerprint: str) -> Policy | None:
        """Return a policy."""
        return self._known_policy(fingerprint)

    def _known_policy(self, fingerprint: str) -> Policy | None:
        known = self._policies.get(fingerprint)
        if known is None:
            for (body,) in self._rows("SELECT body FROM policies WHERE fingerprint = ?", fingerprint):
                known = self._policies[fingerprint] = policy_from_data(
                    json.loads(body), file=f"{self.path}: policy {fingerprint}"
                )
        return known

    async def policies(self) -> list[Policy]:
        """Return all policies."""
        names = [name for (name,) in self._rows("SELECT fingerprint FROM policies ORDER BY fingerprint")]
        return [policy for name in names if (policy := self._known_policy(name)) is not None]

    # --- the port: commits

    async def commit(self, commit: Commit) -> None:
        """Append a commit to the log."""

        def prepare() -> str:
            self._ledger.check(commit, self._version_of, self._remembers)
            if commit.continues is not None and self._rows("SELECT 1 FROM successors WHERE closed = ?", commit.continues[0]):
                raise VersionConflict(commit.continues[0], 0, None)
            return text

        text = commit_text(commit)
        declined = [(one.event.conversation, "") for one in commit.declined]
        if declined:
            declined = [(one["event"]["conversation"], _dumped(one)) for one in json.loads(text)["declined"]]
        streams = frozenset(commit.expected)
        if commit.continues is not None:
            streams |= {f"continues/{commit.continues[0]}"}
        await self._append(
            prepare,
            lambda record: self._apply_commit(commit, record, declined),
            streams,
            durable=self._durable,
            alone=commit.alone,
        )

    def _remembers(self, stream: str, id: str) -> bool:
        known = (stream, id) in self._ledger.remembered
        return known or bool(self._rows("SELECT 1 FROM remembered WHERE stream = ? AND id = ?", stream, id))

    def _apply_commit(self, commit: Commit, record: int, declined: list[tuple[str, str]]) -> None:
        streams = tuple(dict.fromkeys(one.stream for one in commit.steps))
        for name in streams:
            if name not in self._ledger.streams:  # what a person took before is in the tables
                version, epoch = self._base_version(name)
                self._ledger.streams[name] = Stream(version, None, epoch, 0)
        owed = self._ledger.apply(commit, record)
        self._unfolded.append(
            _Unfolded(
                record,
                streams,
                tuple((one.stream, one.id) for one in commit.remembered),
                tuple(declined),
                tuple(one.key for one in owed),
                commit.continues[0] if commit.continues is not None else None,
            )
        )

    # --- the port: timers

    async def due(self, at: datetime, limit: int) -> list[str]:
        """Return conversations with a timer that is due."""
        await self._look()
        found = self._ledger.due(at, limit)
        listed = self._rows(
            "SELECT due, name FROM streams WHERE due <= ? ORDER BY due LIMIT ?", _sortable(at), limit + len(self._ledger.streams)
        )
        for due, name in listed:
            if name not in self._ledger.streams:
                known = time_from(due)
                assert known is not None
                found.append((known, name))
        return [name for _, name in sorted(found)[:limit]]

    async def next_due(self) -> datetime | None:
        """Return when the next timer is due."""
        times = [self._ledger.next_due()]
        try:
            for due, name in self._reader.execute("SELECT due, name FROM streams WHERE due IS NOT NULL ORDER BY due"):
                if name not in self._ledger.streams:
                    times.append(time_from(due))
                    break
        except sqlite3.Error as error:
            raise self._told(error) from None
        return min((at for at in times if at is not None), default=None)

    # --- the port: deliveries

    async def claim(
        self,
        port: str,
        at: datetime,
        *,
        limit: int,
        by: str,
        until: datetime,
        reaches: Callable[[str], bool] | None = None,
        conversation: str | None = None,
    ) -> list[Delivery]:
        """Claim deliveries; the row of the log comes after all that was committed before, and before all that follows."""
        if self._ledger.outbox.next_at(port) is None and conversation is None:
            await self._look()
        if not self._ledger.outbox.claimable(port, at, limit=1, reaches=reaches, conversation=conversation):
            return []
        claimed: list[Delivery] = []

        def prepare() -> str | None:
            chosen = self._ledger.outbox.claimable(port, at, limit=limit, reaches=reaches, conversation=conversation)
            claimed[:] = self._ledger.claimed(chosen, by, until, self._person_epoch)
            if not claimed:
                return None
            rows = [[one.key, by, rfc3339(until), one.held] for one in claimed]
            return f'{{"claimed":{canonical(rows)}}}'

        def apply(record: int) -> None:
            self._apply_deliveries(record, {"claimed": [[one.key, by, rfc3339(until), one.held] for one in claimed]})

        # Two claims of a port may not be prepared side by side: both would choose the same.
        await self._append(prepare, apply, frozenset({f"claim/{port}"}), durable=False, first=True)
        return claimed

    async def settle(self, settled: Sequence[Settled]) -> None:
        """Say what became of claimed deliveries."""
        if any(one.key not in self._ledger.outbox.rows for one in settled):
            await self._look()  # it may be another process's
        known = [one for one in settled if one.key in self._ledger.outbox.rows]
        if known:
            data = json.loads(settled_text(known))
            await self._append(
                lambda: _dumped(data), lambda record: self._apply_deliveries(record, data), frozenset(), durable=False, first=True
            )

    def _apply_deliveries(self, record: int, data: dict[str, Any]) -> None:
        """Take in what became of deliveries: a row of the log."""
        outbox = self._ledger.outbox
        changed: list[str] = []
        for key, by, until, held in data.get("claimed", ()):
            delivery = outbox.rows.get(key)
            if delivery is not None:
                outbox.put(attrs.evolve(delivery, status="sending", claimed_by=by, claimed_until=time_from(until), held=held))
                changed.append(key)
        changed += [one.key for one in outbox.settle(map(settled_from_data, data.get("settled", ())))]
        if "revived" in data:
            at = time_from(data["at"])
            assert at is not None
            changed += outbox.revive(data["revived"], at)
        changed += [key for key in data.get("dropped", ()) if outbox.remove(key) is not None]
        self._unfolded.append(_Unfolded(record, deliveries=tuple(changed)))

    async def next_delivery(self, port: str) -> datetime | None:
        """Return when the next delivery may be claimed."""
        return self._ledger.outbox.next_at(port)

    async def deliveries(
        self,
        *,
        port: str | None = None,
        conversation: str | None = None,
        status: Literal["pending", "sending", "dead"] | None = None,
        limit: int = 1000,
    ) -> list[Delivery]:
        """Return open deliveries and dead letters."""
        await self._look()
        return self._ledger.outbox.listed(port=port, conversation=conversation, status=status, limit=limit)

    async def revive(self, keys: Collection[str], at: datetime) -> list[str]:
        """Let dead letters be tried again."""
        return await self._with_dead(keys, lambda known: {"revived": known, "at": rfc3339(at)})

    async def drop(self, keys: Collection[str]) -> list[str]:
        """Forget dead letters."""
        return await self._with_dead(keys, lambda known: {"dropped": known})

    async def _with_dead(self, keys: Collection[str], row: Callable[[list[str]], dict[str, Any]]) -> list[str]:
        await self._look()
        known: list[str] = []

        def prepare() -> str | None:
            known[:] = self._ledger.outbox.dead_among(keys)
            return _dumped(row(known)) if known else None

        await self._append(prepare, lambda record: self._apply_deliveries(record, row(known)), frozenset(), durable=True)
        return known

    # --- the port: history

    async def port_of(self, key: str) -> str | None:
        """Return the port to which the effect of a key was owed."""
        conversation, _, index = key.rpartition(":")
        conversation, _, version = conversation.rpartition(":")
        await self._look()
        for _, body in self._records(self._records_of(conversation)):
            for one in json.loads(body)["steps"]:
                if one.get("conversation") == conversation and str(one["version"]) == version:
                    return next((port for number, port in one["owed"] if str(number) == index), None)
        return None

    async def history(self, conversation: str | None = None) -> AsyncIterator[Line]:
        """Yield accepted events with their recorded steps."""
        await self._look()
        if conversation is None:
            rows = self._all_records()
        else:
            rows = self._records(self._records_of(conversation))
        for number, (_, body) in enumerate(rows):
            for one in json.loads(body).get("steps", ()):
                name = one.get("conversation")
                if name is not None and conversation in (None, name):
                    data = {**one["event"], "seq": one["version"], "step": one["step"]}
                    yield Line(name, data, one["event"].get("seq"))
            if number % _CHUNK == 0:
                await asyncio.sleep(0)

    def _all_records(self) -> Iterator[tuple[int, str]]:
        last = 0
        while rows := self._rows("SELECT id, body FROM log WHERE id > ? ORDER BY id LIMIT ?", last, _CHUNK):
            last = rows[-1][0]
            yield from rows

    def _records_of(self, stream: str) -> list[int]:
        """Return the rows of the log that hold steps of a stream: as the tables say, and those that they do not have yet."""
        known = [record for (record,) in self._rows("SELECT record FROM history WHERE stream = ?", stream)]
        return sorted({*known, *(row.record for row in self._unfolded if stream in row.streams)})

    def _records(self, numbers: list[int]) -> Iterator[tuple[int, str]]:
        for number in numbers:
            yield from self._rows("SELECT id, body FROM log WHERE id = ?", number)

    async def declined(self, conversation: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """Yield refused events."""
        await self._look()
        later = [(row.record, number, *one) for row in self._unfolded for number, one in enumerate(row.declined)]
        last = (0, -1)
        where = "WHERE (record, number) > (?, ?) ORDER BY record, number LIMIT ?"
        while rows := self._rows(f"SELECT record, number, stream, body FROM declined {where}", *last, _CHUNK):
            last = (rows[-1][0], rows[-1][1])
            for _, _, stream, body in rows:
                if conversation in (None, stream):
                    yield declined_from_data(json.loads(body))
            await asyncio.sleep(0)
        for record, number, stream, body in later:
            if (record, number) > last and conversation in (None, stream):
                yield declined_from_data(json.loads(body))

    async def forget_ids(self, before: datetime) -> int:
        """Forget event ids of conversations that were closed before a time."""
        await self._fold_all()
        statement = "DELETE FROM remembered WHERE stream IN (SELECT name FROM streams WHERE closed_at < ?)"
        count: int = await self._in_thread(lambda: self._write_all([(statement, (_sortable(before),))], durable=True))
        return count

    # --- appending

    async def _append(
        self,
        prepare: Callable[[], str | None],
        apply: Callable[[int], Any],
        streams: frozenset[str],
        *,
        durable: bool,
        first: bool = False,
        alone: bool = False,
    ) -> None:
        """Append a row, with all that waits at the same time, and return once it is there.

        Args:
            first: before commits that wait at the same time: what is claimed was claimed before them.
            alone: nobody else is about to come, so that there is nobody to wait for.
        """
        if not self._opened:
            raise StoreError(f"{self.path}: the store is not open")
        write = _Write(prepare, apply, streams, durable, self._loop.create_future())
        if first:
            self._waiting.insert(0, write)
        else:
            self._waiting.append(write)
        if alone and len(self._waiting) == 1 and not self._busy and not self._works:
            self._flush()
        else:
            self._soon()
        if write.done.done():
            write.done.result()
        else:
            await asyncio.shield(write.done)

    def _soon(self) -> None:
        if (self._waiting or self._works) and not self._busy and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Do the next work: other work that waits for its turn; what is to be appended, alone at once, else on the thread."""
        self._scheduled = False
        if self._busy:
            return
        if self._works and (self._works_first or not self._waiting):
            self._works_first = False
            self._busy = True
            work, asked = self._works.popleft()
            self._loop.run_in_executor(self._thread, lambda: _patiently(work)).add_done_callback(
                lambda done: self._worked(asked, done)
            )
            return
        self._works_first = True
        group = self._prepared()
        if not group:
            self._soon()
            return
        if len(group) == 1:
            try:
                written = self._write(group)
            except Exception as error:
                if not isinstance(error, sqlite3.Error) or not isinstance(self._told(error), StoreLocked):
                    self._finish(group, error)
                    return
            else:
                self._finish(group, None if written else _FOREIGN)
                return
        self._busy = True
        self._loop.run_in_executor(self._thread, lambda: _patiently(lambda: self._write(group))).add_done_callback(
            lambda done: self._written(group, done)
        )

    def _worked(self, asked: "asyncio.Future[Any]", done: "asyncio.Future[Any]") -> None:
        self._busy = False
        error = done.exception()
        if not asked.done():
            if error is None:
                asked.set_result(done.result())
            else:
                asked.set_exception(self._told(error) if isinstance(error, sqlite3.Error) else error)
        self._turned()
        self._soon()

    def _prepared(self) -> list[tuple[_Write, int, str]]:
        """Return the rows that can be appended together: no stream twice, each with its number."""
        waiting, self._waiting = self._waiting, []
        group: list[tuple[_Write, int, str]] = []
        taken: set[str] = set()
        number = self._last
        for write in waiting:
            if write.streams & taken:
                self._waiting.append(write)
                continue
            try:
                text = write.prepare()
            except Exception as error:
                _fail(write, error)
                continue
            if text is None:
                _succeed(write)
                continue
            taken |= write.streams
            number += 1
            group.append((write, number, _storable(text)))
        return group

    def _write(self, group: list[tuple[_Write, int, str]]) -> bool:
        """Append rows in one transaction; return False where another process took a number first."""
        # What need not be on the disk at once is written by a connection that does not wait for it; the next that waits, waits
        # for both.
        connection = self._writer if any(write.durable for write, _, _ in group) else self._quick
        try:
            if len(group) == 1:
                connection.execute("INSERT INTO log VALUES (?, ?)", group[0][1:])
                return True
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT INTO log VALUES (?, ?)", [(number, text) for _, number, text in group])
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.IntegrityError):
                return False
            raise
        return True

    def _written(self, group: list[tuple[_Write, int, str]], done: "asyncio.Future[bool]") -> None:
        self._busy = False
        error = done.exception() if not done.cancelled() else asyncio.CancelledError()
        self._finish(group, error if error is not None else (None if done.result() else _FOREIGN))

    def _finish(self, group: list[tuple[_Write, int, str]], error: BaseException | None) -> None:
        self._touched = time.monotonic()
        if error is _FOREIGN:
            # Others wrote: see what, and check everything anew.
            self._waiting = [write for write, _, _ in group] + self._waiting
            try:
                self._catch_up()
            except StoreError as failure:
                for write in self._waiting:
                    _fail(write, failure)
                self._waiting = []
        elif error is not None:
            told = self._told(error) if isinstance(error, sqlite3.Error) else error
            for write, _, _ in group:
                _fail(write, told)
        else:
            for write, number, _ in group:
                self._last = number
                write.apply(number)
                _succeed(write)
        if len(self._unfolded) >= _FOLD_AT:
            self._full.set()
        self._turned()
        self._soon()

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        """Do other writing on the thread, in turn with what is appended."""
        asked: asyncio.Future[Any] = self._loop.create_future()
        self._works.append((work, asked))
        self._soon()
        return await asked

    def _write_all(self, statements: list[tuple[str, tuple[Any, ...]]], *, durable: bool) -> int:
        connection = self._writer if durable else self._quick
        connection.execute("BEGIN IMMEDIATE")
        try:
            count = 0
            for sql, values in statements:
                count += max(0, connection.execute(sql, tuple(map(_storable, values))).rowcount)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return count

    # --- bringing the tables up to date

    async def _fold_when_idle(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_IDLE_S):
                    await self._full.wait()
            if len(self._unfolded) < _FOLD_AT:  # others may have brought them into the tables meanwhile
                self._full.clear()
            idle = time.monotonic() - self._touched > _IDLE_S
            if not self._unfolded or not (idle or self._full.is_set()):
                continue
            try:
                await self._fold()
            except Exception as error:  # the rows stay in the log, and in memory; a later try brings them in
                log_fact(logging.WARNING, "store_not_folded", path=self.path, error=f"{type(error).__name__}: {error}")
                self._full.clear()
                self._touched = time.monotonic()

    async def _fold_all(self) -> None:
        await self._look()
        while self._unfolded:
            await self._fold()

    async def _fold(self) -> None:
        """Bring all rows that the tables do not have into them."""
        async with self._folds:
            folded: list[_Unfolded] = []

            def work() -> bool:
                # All of them: the snapshots that are known are those after the last row, and the tables must not be ahead of it.
                folded[:] = self._unfolded
                if not folded:
                    return True
                ledger = self._ledger
                names = {name for row in folded for name in row.streams}
                remembered = {key: ledger.remembered[key] for row in folded for key in row.remembered}
                keys = {key for row in folded for key in row.deliveries}
                statements = _folding(
                    folded,
                    {name: ledger.streams[name] for name in sorted(names)},
                    remembered,
                    {row.continues: ledger.successors[row.continues] for row in folded if row.continues is not None},
                    {key: ledger.outbox.rows.get(key) for key in sorted(keys)},
                )
                return self._write_folded(statements, folded[-1].record)

            if await self._in_thread(work):
                if folded:
                    self._folded = folded[-1].record
                    self._forget(folded)
                if len(self._unfolded) < _FOLD_AT:
                    self._full.clear()
            else:
                self._catch_up()

    def _write_folded(self, statements: dict[str, list[tuple[Any, ...]]], last: int) -> bool:
        """Write what brings rows into the tables; return False where another process did so meanwhile."""
        self._quick.execute("BEGIN IMMEDIATE")
        try:
            ((folded,),) = self._quick.execute("SELECT value FROM meta WHERE name = 'folded'").fetchall()
            if folded != self._folded:
                self._quick.execute("ROLLBACK")
                return False
            for sql, rows in statements.items():
                self._quick.executemany(sql, [tuple(map(_storable, values)) for values in rows])
            self._quick.execute("UPDATE meta SET value = ? WHERE name = 'folded'", (last,))
            self._quick.execute("COMMIT")
        except BaseException:
            if self._quick.in_transaction:
                self._quick.execute("ROLLBACK")
            raise
        return True

    def _remember_version(self, name: str, stream: Stream) -> None:
        """Keep the version of a stream that was just brought into the tables; a look there costs more than the memory."""
        self._keep_version(name, (stream.version, stream.person_epoch))

    def _keep_version(self, name: str, known: tuple[int, int]) -> None:
        self._versions[name] = known
        if len(self._versions) > _VERSIONS:
            self._versions.pop(next(iter(self._versions)))


_FOREIGN: Any = RuntimeError("another process took the number")


def _folding(
    rows: list[_Unfolded],
    streams: dict[str, Stream],
    remembered: dict[tuple[str, str], Remembered],
    successors: dict[str, str],
    deliveries: dict[str, Delivery | None],
) -> dict[str, list[tuple[Any, ...]]]:
    """Return the statements that bring rows of the log into the tables, each with all its values."""
    statements: dict[str, list[tuple[Any, ...]]] = {_PUT_STREAM: [], _PUT_HISTORY: [], _PUT_DECLINED: []}
    for name, stream in streams.items():
        snapshot = stream.snapshot
        due = closed_at = None
        if isinstance(snapshot, Conversation):
            first = first_due(snapshot)
            due = _sortable(first) if first is not None else None
            closed_at = _sortable(snapshot.at) if snapshot.state is State.CLOSED else None
            body = json.dumps(conversation_to_data(snapshot), ensure_ascii=False)
        else:
            assert snapshot is not None
            body = canonical(snapshot)
        statements[_PUT_STREAM].append((name, stream.version, stream.record, stream.person_epoch, due, closed_at, body))
    for row in rows:
        statements[_PUT_HISTORY] += [(name, row.record) for name in row.streams]
        statements[_PUT_DECLINED] += [(row.record, number, *one) for number, one in enumerate(row.declined)]
    statements[_PUT_REMEMBERED] = [(*key, remembered_text(outcome)) for key, outcome in remembered.items()]
    statements[_PUT_SUCCESSOR] = list(successors.items())
    statements[_DROP_DELIVERY] = [(key,) for key, delivery in deliveries.items() if delivery is None]
    statements[_PUT_DELIVERY] = [(key, delivery_text(one)) for key, one in deliveries.items() if one is not None]
    return {sql: values for sql, values in statements.items() if values}


_PUT_STREAM = (
    "INSERT INTO streams VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
    "version = excluded.version, record = excluded.record, person_epoch = excluded.person_epoch, due = excluded.due, "
    "closed_at = excluded.closed_at, snapshot = excluded.snapshot WHERE excluded.record > record"
)
_PUT_HISTORY = "INSERT OR IGNORE INTO history VALUES (?, ?)"
_PUT_DECLINED = "INSERT OR IGNORE INTO declined VALUES (?, ?, ?, ?)"
_PUT_REMEMBERED = "INSERT OR IGNORE INTO remembered VALUES (?, ?, ?)"
_PUT_SUCCESSOR = "INSERT OR IGNORE INTO successors VALUES (?, ?)"
_DROP_DELIVERY = "DELETE FROM outbox WHERE key = ?"
_PUT_DELIVERY = "INSERT OR REPLACE INTO outbox VALUES (?, ?)"


def _patiently(work: Callable[[], Any]) -> Any:
    """Do something that another process may keep from being done for a moment."""
    until = time.monotonic() + _PATIENCE_S
    pause = 0.0005
    while True:
        try:
            return work()
        except sqlite3.OperationalError as error:
            code = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
            if code not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > until:
                raise
        time.sleep(pause)
        pause = min(0.002, pause * 2)


def _storable(value: Any) -> Any:
    """Return a text as SQLite can hold it: half of a surrogate pair, which JSON lets in, is written as JSON's escape of it."""
    if value.__class__ is not str or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def _sortable(at: datetime) -> str:
    """Return a time as text that sorts as times do: always with microseconds."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _succeed(write: _Write) -> None:
    if not write.done.done():
        write.done.set_result(None)


def _fail(write: _Write, error: BaseException) -> None:
    if not write.done.done():
        write.done.set_exception(error)
