"""What a controller wrote is exported, and a replay of it verifies every step."""

import asyncio
import gzip
import io
import json
import sys
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog

from handoff_kit.controller import BUNDLED_POLICIES, load_policy
from handoff_kit.controller.cli.export import _Numbers
from handoff_kit.controller.cli.main import main
from handoff_kit.controller.controller import Controller
from handoff_kit.controller.logs import LOGGER
from handoff_kit.controller.records import Line
from handoff_kit.controller.sessions.reader import BUNDLED_RECORDINGS, decode, read_lines, sources_of
from handoff_kit.controller.stores import store_of
from handoff_kit.controller.testing import ManualClock
from handoff_kit.machines import Event, PresenceChanged, TimerFired

EARLY = datetime(2020, 1, 1, tzinfo=UTC)
#: Its record passes over a timer, which a controller fires.
UNLIKE_LIFE = "export-nobody-comes"


@attrs.frozen
class Done:
    stdout: str
    stderr: str


def handoff(*args: Any, code: int = 0) -> Done:
    """Run the command here, which is quicker than a process each time."""
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    level = LOGGER.level
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        patch.setattr(sys, "argv", ["handoff", *map(str, args)])
        patch.setenv("COLUMNS", "80")
        main()
    LOGGER.setLevel(level)
    structlog.reset_defaults()
    assert left.value.code == code, err.getvalue()
    out.flush()
    return Done(out.buffer.getvalue().decode(), err.getvalue())  # type: ignore[attr-defined]


def replayed(*args: Any) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(handoff("replay", *args, "--json").stdout)
    return data


class Silent:
    """A summarizer that never answers, so that only what was recorded is handled."""

    async def summarize(self, conversation: Any, wanted: Any, key: str) -> tuple[str | None, dict[str, Any]]:
        await asyncio.sleep(3600)
        return None, {}


class FollowingClock:
    """Shows the time of the event that is handled, which may lie before that of the last one; nobody is ever woken."""

    def __init__(self) -> None:
        self.at = EARLY

    def now(self) -> datetime:
        return self.at

    async def sleep_until(self, at: datetime) -> None:
        await asyncio.sleep(3600)


def events_of(recording: str) -> Iterable[Event]:
    for line in read_lines(sources_of((recording,))):
        event, _ = decode(line)
        if not isinstance(event, PresenceChanged) and event.conversation != UNLIKE_LIFE:
            yield event


def recorded_of(name: str, path: Path) -> Path:
    """Write what was recorded of the conversations that are handled live."""
    with path.open("wb") as file:
        for line in read_lines(sources_of((name,))):
            if UNLIKE_LIFE.encode() not in line.raw:
                file.write(line.raw + b"\n")
    return path


async def live(path: Path, policy: str, events: Iterable[Event]) -> None:
    """Handle what was recorded as it came; where a timer was recorded, it is its time."""
    clock = FollowingClock()
    async with Controller.open(str(path), policy=policy, clock=clock, summarizer=Silent()) as controller:
        for event in events:
            assert event.at is not None
            clock.at = event.at
            if isinstance(event, TimerFired):
                await controller._wake(event.conversation)
            else:
                await controller.handle(event)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has lived through all bundled recordings, in one process after the other."""
    path = tmp_path_factory.mktemp("live") / "handoff.db"
    for name in BUNDLED_RECORDINGS:
        asyncio.run(live(path, name, events_of(name)))
    return path


def test_a_replay_verifies_what_lived(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    done = handoff("export", store, "-o", out)
    data = replayed(out)

    assert f"{data['events']:,} events of {out} were written." in done.stderr
    assert out.read_text().splitlines()[0] == '{"type":"recording","format":1}'
    assert (data["mismatches"], data["changed"], data["refused"]) == (0, 0, {})
    assert data["verified"] == data["events"] > 200
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("name", BUNDLED_RECORDINGS)
def test_what_lived_has_the_digest_of_what_was_recorded(name: str, tmp_path: Path) -> None:
    asyncio.run(live(tmp_path / "s.db", name, events_of(name)))
    handoff("export", tmp_path / "s.db", "-o", tmp_path / "out.jsonl")

    assert replayed(tmp_path / "out.jsonl")["digest"] == replayed(recorded_of(name, tmp_path / "record.jsonl"))["digest"]


def test_lines_are_numbered_without_gaps(store: Path) -> None:
    numbers: dict[str, list[int]] = {}
    lines = handoff("export", store).stdout.splitlines()[1:]
    for data in map(json.loads, lines):
        numbers.setdefault(data["conversation"], []).append(data["seq"])

    assert len(numbers) > 20
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in numbers.values())


def test_a_file_that_ends_in_gz_is_gzipped_and_always_the_same(store: Path, tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        handoff("export", store, "-o", tmp_path / name)

    text = gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes()).decode()
    assert text == handoff("export", store).stdout
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()
    assert replayed(tmp_path / "a.jsonl.gz")["mismatches"] == 0


def test_one_conversation(store: Path, tmp_path: Path) -> None:
    name = next(iter(events_of("vip"))).conversation
    out = tmp_path / "one.jsonl"
    told = json.loads(handoff("export", store, "--conversation", name, "-o", out, "--json").stdout)

    assert told == {
        "out": str(out),
        "conversations": 1,
        "events": replayed(out)["events"],
        "policies": [load_policy("vip").fingerprint],
        "policy_files": [],
    }
    assert replayed(out)["sessions"] == 1
    assert handoff("explain", out, "--conversation", name).stdout


def test_the_file_may_stay_in_use(store: Path) -> None:
    async def both() -> str:
        async with Controller.open(str(store), clock=ManualClock(EARLY)):
            return (await asyncio.to_thread(handoff, "export", store)).stdout

    assert asyncio.run(both()) == handoff("export", store).stdout


@pytest.mark.parametrize("numbered", [False, True])
def test_timers_and_answers_of_ports_are_in_it(tmp_path: Path, numbered: bool) -> None:
    """As a host runs it: the clock goes on between events, texts are sent, context is gathered, and events have ids."""

    async def run() -> None:
        clock = ManualClock(datetime(2026, 5, 1, tzinfo=UTC))
        sent = []

        async def send(conversation: str, text: Any, key: str) -> None:
            sent.append(key)

        events = sorted((event for name in BUNDLED_POLICIES for event in events_of(name)), key=lambda event: event.at or EARLY)
        async with Controller.open(str(tmp_path / "s.db"), clock=clock, channel=send) as controller:
            for number, event in enumerate(events):
                if isinstance(event, TimerFired):
                    continue
                assert event.at is not None
                clock.set(max(clock.now(), event.at))
                given = 1000 + number if numbered else None
                # The answers name the recording's numbers, which are not those of this store.
                event = attrs.evolve(event, id=f"m-{event.seq}" if event.id is None else event.id, seq=given)
                if isinstance(named := getattr(event, "in_reply_to", None), int):
                    event = attrs.evolve(event, in_reply_to=f"m-{named}")  # type: ignore[call-arg]
                await controller.handle(event)
            await controller.drain()
            clock.advance(86_400)
            await controller.drain()
            assert sent

    asyncio.run(run())
    handoff("export", tmp_path / "s.db", "-o", tmp_path / "out.jsonl")
    data = replayed(tmp_path / "out.jsonl")

    assert (data["mismatches"], data["changed"], data["refused"]) == (0, 0, {})
    assert data["verified"] == data["events"]
    text = (tmp_path / "out.jsonl").read_text()
    assert '"type":"timer_fired"' in text
    assert '"type":"context_ready"' in text


def test_answers_name_the_numbers_of_the_export(tmp_path: Path) -> None:
    """A host that numbers its events in its own way answers by its own numbers."""

    def renumbered(event: Event) -> Event:
        assert event.seq is not None
        event = attrs.evolve(event, seq=event.seq + 500)
        if isinstance(named := getattr(event, "in_reply_to", None), int):
            event = attrs.evolve(event, in_reply_to=named + 500)  # type: ignore[call-arg]
        return event

    asyncio.run(live(tmp_path / "s.db", "banking", map(renumbered, events_of("banking"))))
    handoff("export", tmp_path / "s.db", "-o", tmp_path / "out.jsonl")
    data = replayed(tmp_path / "out.jsonl")

    assert data["refused"] == {}
    assert data["digest"] == replayed("banking")["digest"]


def test_only_numbers_that_differ_are_kept_and_only_while_a_conversation_lives() -> None:
    numbers = _Numbers()

    def renumbered(type_: str, seq: int, given: int, state: str = "bot_active", **more: Any) -> dict[str, Any]:
        data = {"conversation": "c", "type": type_, "at": "t", "seq": seq, "step": {"state": state}, **more}
        return numbers.renumbered(Line("c", data, given))

    renumbered("customer_message", 2, 2)
    assert numbers._seq_of == {}
    renumbered("customer_message", 3, 30)
    renumbered("customer_message", 4, 31)
    assert renumbered("ai_turn", 5, 32, in_reply_to=31)["in_reply_to"] == 4
    assert renumbered("ai_turn", 6, 33, in_reply_to="m-1")["in_reply_to"] == "m-1"
    renumbered("conversation_closed", 7, 34, "closed")
    assert numbers._seq_of == {}


def test_a_policy_of_ones_own_is_written_beside_it(tmp_path: Path) -> None:
    policy = tmp_path / "mine.toml"
    policy.write_text('[policy]\nname = "mine"\n[[trigger]]\nname = "t"\nwhen = { wants_handoff = true }\n')
    asyncio.run(live(tmp_path / "s.db", str(policy), events_of("general")))
    folder = tmp_path / "out"
    folder.mkdir()
    done = handoff("export", tmp_path / "s.db", "-o", folder / "r.jsonl")

    (written,) = folder.glob("r.*.toml")
    assert str(written) in done.stderr
    assert load_policy(str(written)) == load_policy(str(policy))
    assert replayed(folder / "r.jsonl")["mismatches"] == replayed(folder / "r.jsonl")["changed"] == 0
    assert "is not bundled, and a replay needs it" in handoff("export", tmp_path / "s.db").stderr

    before = (folder / "r.jsonl").read_bytes()
    assert "policy was written" not in handoff("export", tmp_path / "s.db", "-o", folder / "r.jsonl").stderr
    assert (folder / "r.jsonl").read_bytes() == before

    written.write_text("[other]\n")
    assert "is another policy" in handoff("export", tmp_path / "s.db", "-o", folder / "r.jsonl", code=2).stderr
    assert sorted(path.name for path in folder.iterdir()) == sorted(["r.jsonl", written.name])


def test_a_store_that_is_not_there_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    for name in (tmp_path / "none.db", f"sqlite:///{tmp_path}/none.db"):
        assert "there is no such file" in handoff("export", name, code=2).stderr
    (tmp_path / "empty.db").touch()
    assert "is empty, so no store" in handoff("export", tmp_path / "empty.db", code=2).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["empty.db"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["memory://"], "handoff: memory://: a store in memory ends with its process"),
        (["mysql://x"], "handoff: mysql://x: there is no store of scheme 'mysql'"),
        (["STORE", "--json"], "give the file with -o"),
        (["STORE", "-o", "/no/such/folder/x"], "handoff: /no/such/folder/x: its folder does not exist"),
        (["STORE", "-o", "STORE"], "is the store itself"),
        (["STORE", "--conversation", "nobody"], "handoff: conversation 'nobody' is not in the store"),
        ([], "handoff: Missing argument 'STORE'"),
    ],
)
def test_mistakes_are_told_in_one_line(store: Path, args: list[str], told: str) -> None:
    done = handoff("export", *[store if arg == "STORE" else arg for arg in args], code=2)

    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("not a database, but long enough to be read as the head of one" * 20)

    assert "not a store of ours" in handoff("export", tmp_path / "x.db", code=2).stderr


def test_what_fails_leaves_the_old_file(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    handoff("export", store, "--conversation", "nobody", "-o", out, code=2)

    assert [path.name for path in tmp_path.iterdir()] == ["out.jsonl"]
    assert out.read_text() == "old"


def test_history_of_an_empty_store_is_a_heading(tmp_path: Path) -> None:
    async def make() -> None:
        store = store_of(str(tmp_path / "s.db"))
        await store.open()
        await store.close()

    asyncio.run(make())
    assert handoff("export", tmp_path / "s.db").stdout == '{"type":"recording","format":1}\n'
