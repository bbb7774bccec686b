"""The baselines of the benchmark decide as the machine does, and the command prints what it measured."""

import json
import logging

import attrs
import pytest
from click.testing import CliRunner

from handoff_kit.controller.benchmarks import core, reference
from handoff_kit.controller.benchmarks.by_default import evolved_each_change, evolved_once, stock_engine
from handoff_kit.controller.benchmarks.by_hand import BY_HAND
from handoff_kit.controller.benchmarks.in_dicts import (
    canonical_text,
    decided_in_dicts,
    event_in_dict,
    same_snapshot,
    step_in_dicts,
)
from handoff_kit.controller.benchmarks.rounds import interleaved, ratios, spread
from handoff_kit.controller.benchmarks.session import POLICY, SESSION, decided, session_of, write_recording
from handoff_kit.controller.cli.bench import command
from handoff_kit.controller.logs import LOGGER
from handoff_kit.controller.sessions.reader import Source
from handoff_kit.controller.sessions.replaying import Job, replay_sessions
from handoff_kit.machines import Conversation, advance, step
from handoff_kit.machines.codec import canonical_step
from handoff_kit.machines.conversation import Draft

OURS = decided()
SMALL = core.Plan(
    rounds=1,
    slow_rounds=1,
    slice_s=0.0,
    replayed=60,
    shared=60,
    held=10,
    restored=10,
    few=2,
    many=4,
    crowd_steps=4,
)


def test_the_session_is_what_it_claims_to_be():
    assert len(SESSION) == 15
    assert all(done.refused is None for done in OURS)
    assert [str(done.after.state) for done in OURS][-1] == "closed"


def test_no_timer_falls_due_in_the_session():
    before = None
    for event, ours in zip(SESSION, OURS, strict=True):
        (done,) = advance(POLICY, before, event)
        assert done == ours
        before = done.after


def test_dispatch_by_hand_gives_the_same_steps():
    assert decided(engine=BY_HAND) == OURS


def test_dispatch_by_hand_says_what_it_does_not_know():
    with pytest.raises(LookupError, match="agent_message in queued"):
        step(POLICY, OURS[6].after, attrs.evolve(SESSION[9], epoch=None), engine=BY_HAND)


@pytest.mark.parametrize("number", range(15))
def test_dictionaries_give_the_same_steps(number):
    theirs = decided_in_dicts(tuple(map(event_in_dict, SESSION)))[number]

    assert canonical_text(theirs) == canonical_step(OURS[number])
    assert same_snapshot(theirs["after"], OURS[number].after)


def test_the_comparison_of_snapshots_sees_a_difference():
    theirs = decided_in_dicts(tuple(map(event_in_dict, SESSION)))[-1]["after"]

    assert not same_snapshot({**theirs, "messages": theirs["messages"][1:]}, OURS[-1].after)
    assert not same_snapshot({**theirs, "turns": 9}, OURS[-1].after)


def test_dictionaries_say_what_they_do_not_know():
    escalated = decided_in_dicts(tuple(map(event_in_dict, SESSION[:5])))[-1]["after"]
    with pytest.raises(LookupError, match="escalation_pending"):
        step_in_dicts(escalated, event_in_dict(SESSION[2]))


def test_the_stock_classes_give_the_same_steps():
    assert decided(engine=stock_engine()) == OURS


@pytest.mark.parametrize("copying", [evolved_each_change, evolved_once])
def test_the_defaults_give_the_same_steps_and_leave_nothing_behind(copying):
    with copying():
        theirs = decided(engine=stock_engine())
        assert type(theirs[5].after) is Conversation

    assert theirs == OURS
    assert step(POLICY, None, SESSION[0]) == OURS[0]
    assert not any(
        sub.__name__ in str(type(done.after)) for done in decided() for sub in Draft.__subclasses__() if sub is not Conversation
    )


def test_the_reference_of_replay_has_our_digest(tmp_path):
    pytest.importorskip("msgspec")
    path = tmp_path / "bench.jsonl"
    assert write_recording(path, 300) == 300

    tally, _ = replay_sessions(Job(sources=[Source(0, "bench", path)], policy=POLICY))
    decode = reference.decoder()

    assert decode is not None
    assert reference.replay_by_hand(path, decode) == tally.digest
    assert (tally.events, tally.sessions, tally.overrun) == (300, 20, 0)


def test_a_recording_holds_the_events_of_the_session(tmp_path):
    path = tmp_path / "bench.jsonl"
    write_recording(path, 15)
    decode = reference.decoder()
    if decode is None:
        pytest.skip("msgspec is not installed")

    events = tuple(map(decode, path.read_bytes().splitlines()))

    assert events == session_of("bench-0", "c-0")


def test_rounds_take_turns():
    order = []
    took = interleaved({name: lambda _, name=name: order.append(name) for name in "abc"}, 3, 0)

    assert "".join(order) == "abcbcacab"
    assert {name: len(values) for name, values in took.items()} == {"a": 3, "b": 3, "c": 3}


def test_ways_are_repeated_to_fill_their_slice():
    times = []
    took = interleaved({"a": lambda n: times.append(n) or sum(range(1000 * n))}, 2, 0.005)

    assert times[0] == 3
    assert len(set(times[-10:])) == 1
    assert len(took["a"]) == 2


def test_ratios_are_those_of_each_round():
    assert ratios([2.0, 9.0, 4.0], [1.0, 3.0, 4.0]) == spread([2.0, 3.0, 1.0])
    assert attrs.astuple(spread([2.0, 3.0, 1.0])) == (2.0, 1.0, 3.0, 3)


def test_without_msgspec_the_goal_is_not_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(core, "decoder", lambda: None)
    first, *others = core._replay(SMALL, tmp_path)

    assert first.measured is None
    assert first.met is None
    assert "pip install 'handoff-kit[bench]'" in first.note
    assert all(result.measured is not None for result in others)


def test_measuring_leaves_the_level_of_the_logger_as_it_was():
    before = LOGGER.level
    LOGGER.setLevel(logging.INFO)
    try:
        list(core._steps(attrs.evolve(SMALL, slice_s=0)))
        assert LOGGER.level == logging.INFO
    finally:
        LOGGER.setLevel(before)


def test_help_explains():
    for args in ([], ["--help"], ["core", "--help"]):
        result = CliRunner().invoke(command, args)
        assert result.exit_code == 0
        assert "baselines" in result.output or "compared" in result.output


def test_the_table_shows_every_goal(monkeypatch):
    monkeypatch.setattr("handoff_kit.controller.cli.bench.QUICK", SMALL)
    result = CliRunner().invoke(command, ["core", "--quick"])

    assert result.exit_code == 0, result.output
    for goal in ("1 ", "2a", "2b", "3 ", "4 ", "10", "11", "12"):
        assert any(line.startswith(goal) for line in result.output.splitlines()), goal
    assert "cores" in result.output


@pytest.mark.slow
def test_quick_prints_one_json_object_with_all_goals():
    result = CliRunner().invoke(command, ["core", "--quick", "--json", "--rounds", "3"])

    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert {goal["goal"] for goal in data["goals"]} == {"1", "2a", "2b", "3", "4", "10", "11", "12"}
    for goal in data["goals"]:
        assert goal["formula"]
        if goal["measured"] is not None:
            assert goal["measured"]["low"] <= goal["measured"]["median"] <= goal["measured"]["high"]
            assert goal["met"] in ((True, False) if goal["target"] else (None,))
    assert data["plan"]["rounds"] == 3
    assert data["machine"]["cores"] >= 1
