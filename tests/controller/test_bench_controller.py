"""The measured session is handled as it is decided, and the command prints what it measured; no time is asserted."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from click.testing import CliRunner

from handoff_kit.controller.benchmarks import controller, peer
from handoff_kit.controller.benchmarks.session import SESSION, decided
from handoff_kit.controller.cli.bench import command
from handoff_kit.machines import Conversation

TINY = controller.Plan(
    rounds=2,
    appends=2,
    sessions={1: 1, 8: 8, 64: 64, 512: 512},
    turns=2,
    held=8,
    few=2,
    many=4,
    crowd_events=8,
)


@pytest.fixture
def few_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many callers as there are in a tiny run."""
    monkeypatch.setattr(controller, "CALLERS", (1, 8, 64))


@pytest.fixture
def live(tmp_path: Path) -> Iterator[controller._Live]:
    one = controller._Live(tmp_path / "live.db")
    yield one
    one.close()


def test_the_session_is_handled_as_it_is_decided(live: controller._Live) -> None:
    took = live.sessions(4, 2)
    ends: list[Conversation] = [live.run(live.controller.conversation(f"s-{number}")) for number in range(4)]
    last = decided()[-1].after

    assert len(took) == 4 * len(SESSION)
    assert all(seconds > 0 for seconds in took)
    assert {(end.state, end.version, end.epoch) for end in ends} == {(last.state, last.version, last.epoch)}


def test_another_round_has_sessions_of_its_own(live: controller._Live) -> None:
    live.sessions(1, 1)
    live.sessions(2, 2)

    assert live.run(live.controller.conversation("s-2")).version == len(SESSION)
    assert not live._host._given


def test_an_event_that_is_not_accepted_stops_the_measuring(live: controller._Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        controller, "_live_session", lambda name: [*controller.session_of(name)[:1], controller.session_of(name)[7]]
    )

    with pytest.raises(AssertionError, match="offer_made was not accepted"):
        live.sessions(1, 1)


def test_a_conversation_of_five_messages(tmp_path: Path) -> None:
    live = controller._Live(tmp_path / "s.db", clock=controller._Still())
    live.run(controller._talk_with_all(live.controller, range(3), 5))
    kept = live.run(live.controller.conversation("c-2"))
    owed = live.run(live.controller.deliveries("c-2"))
    live.close()

    assert [message.text for message in kept.messages] == list(controller._TALK)
    assert [one for one in owed if one.port == "channel"] == []


def test_the_disk_is_measured_by_appending(tmp_path: Path) -> None:
    with controller.appending(tmp_path / "floor", 3) as way:
        way(1)
        way(1)

    assert (tmp_path / "floor").stat().st_size == 6 * 1024


def test_the_clock_of_the_memory_stands_still() -> None:
    async def wait() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(clock.sleep_until(clock.now()), 0.01)

    clock = controller._Still()
    asyncio.run(wait())
    assert clock.now() == clock.now()


def test_the_peer_goes_on_with_each_turn(tmp_path: Path) -> None:
    if peer.peer_versions() is None:
        pytest.skip("langgraph is not installed")
    with peer.graph_turns(tmp_path / "graph.db") as turns:
        turns(2)
        turns(1)


def test_without_the_peer_the_goal_is_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, few_callers: None) -> None:
    monkeypatch.setattr(controller, "peer_versions", lambda: None)
    results = list(controller._handling(TINY, tmp_path))
    last = results[-1]

    assert [result.goal for result in results] == ["5", "7", "7", "8", "6"]
    assert (last.measured, last.met) == (None, None)
    assert "pip install 'handoff-kit[bench]'" in last.note
    assert all(result.measured is not None for result in results[:-1])


class Here:
    """Does at once, in this process, what is otherwise asked of another."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, work: Any, *args: Any) -> "Here":
        self._given = work(*args)
        return self

    def result(self) -> Any:
        return self._given


@pytest.mark.slow
def test_json_has_every_goal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, few_callers: None) -> None:
    monkeypatch.setattr(controller, "QUICK", TINY)
    result = CliRunner().invoke(command, ["controller", "--quick", "--rounds", "1", "--directory", str(tmp_path), "--json"])

    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert [goal["goal"] for goal in data["goals"]] == ["5", "7", "7", "8", "6", "10", "10", "10", "10", "12"]
    for goal in data["goals"]:
        assert goal["formula"]
        assert goal["met"] in ((True, False, None) if goal["target"] else (None,))
    assert data["plan"]["rounds"] == 1
    assert list(tmp_path.iterdir()) == []


def test_the_table_shows_every_goal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, few_callers: None) -> None:
    monkeypatch.setattr(controller, "QUICK", TINY)
    monkeypatch.setattr(controller, "peer_versions", lambda: None)
    monkeypatch.setattr(controller, "ProcessPoolExecutor", Here)
    result = CliRunner().invoke(command, ["controller", "--quick", "--directory", str(tmp_path)])

    assert result.exit_code == 0, result.output
    for goal in ("5 ", "6 ", "7 ", "8 ", "10 ", "12 "):
        assert any(line.startswith(goal) for line in result.output.splitlines()), goal
    assert "handoff-kit[bench]" in result.output.replace("\n", "")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["controller", "--directory", str(tmp_path / "none")])

    assert result.exit_code == 2
    assert "there is no such folder; make it first" in result.stderr


def test_help_explains() -> None:
    result = CliRunner().invoke(command, ["controller", "--help"])

    assert result.exit_code == 0
    assert "what the disk can do" in result.output
