"""The XState export: its form, and that the real XState walks the same path through it."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from handoff_kit.controller.sessions.one import conversations_in, session_in
from handoff_kit.controller.shelf import BUNDLED_POLICIES, load_policy
from handoff_kit.machines import Step
from handoff_kit.machines.diagram import FORMATS, MACHINES, Wanted

ROOT = Path(__file__).parents[3]


def exported(name: str, policy: str | None = None) -> dict[str, Any]:
    return json.loads(FORMATS["xstate"](Wanted(machine=MACHINES[name], policy=load_policy(policy) if policy else None)))


@pytest.mark.parametrize("name", MACHINES)
def test_every_row_that_is_no_refusal_is_a_transition(name: str) -> None:
    machine, data = MACHINES[name], exported(name)

    assert data["initial"] == machine.states[0]
    assert list(data["states"]) == list(machine.states)
    for state, found in data["states"].items():
        on = found.get("on", found.get("meta", {}).get("on", {}))
        rows = [row for row in machine.rows if row.source == state and row.refuses is None]
        assert sum(map(len, on.values())) == len(rows)
        for event, transitions in on.items():
            mine = [row for row in rows if row.event == event]
            assert [one.get("target") for one in transitions] == [row.to for row in mine]
            assert [tuple(one.get("actions", ())) for one in transitions] == [row.do for row in mine]
        assert (found.get("type") == "final") == (state in machine.final)


def test_a_guard_of_several_is_one_that_names_them_in_order() -> None:
    transitions = exported("conversation")["states"]["resumed_bot"]["on"]["ai_turn"]

    assert transitions[0]["guard"] == {"type": "all", "params": {"guards": ["keeps_a_place", "a_trigger_holds"]}}
    assert transitions[2]["guard"] == "a_trigger_holds"
    assert "guard" not in transitions[-1]


def test_with_a_policy_the_descriptions_have_its_numbers() -> None:
    data = exported("conversation", "vip")

    assert data["meta"]["policy"] == "vip"
    assert data["states"]["queued"]["on"]["timer_queue"][-1]["description"] == "timer queue (15 min)"
    assert data["meta"]["triggers"][1].startswith("valued_and_losing_patience: lifetime value at least 5000")


def node_modules() -> Path:
    """Where `xstate` is installed: HANDOFF_NODE_MODULES, or build/node of this checkout."""
    if shutil.which("node") is None:
        pytest.skip("needs Node, and none is on the PATH")
    folder = Path(os.environ.get("HANDOFF_NODE_MODULES", ROOT / "build/node/node_modules"))
    if not (folder / "xstate").is_dir():
        pytest.skip(f"needs xstate 5 in {folder}: npm install --prefix build/node xstate@5")
    return folder


def event_of(step: Step) -> dict[str, Any]:
    return {"type": step.event.trigger, "guards": {v.name: v.holds for v in step.verdicts}}


def walked(folder: Path, walks: list[dict[str, Any]], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    (tmp_path / "machine.json").write_text(FORMATS["xstate"](Wanted(machine=MACHINES["conversation"])), encoding="utf-8")
    (tmp_path / "walks.json").write_text(json.dumps(walks), encoding="utf-8")
    script = Path(__file__).with_name("xstate_walk.cjs")
    return subprocess.run(
        ["node", str(script), str(folder), str(tmp_path / "machine.json"), str(tmp_path / "walks.json")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_xstate_walks_the_bundled_sessions_as_we_do(tmp_path: Path) -> None:
    folder = node_modules()
    sessions = [session_in(name, one) for name in BUNDLED_POLICIES for one in conversations_in(name)]
    taken = {s.conversation: [step for step in s.steps if step.before is not None and step.refused is None] for s in sessions}
    walks = [{"conversation": one, "events": [event_of(step) for step in steps]} for one, steps in taken.items()]

    done = walked(folder, walks, tmp_path)

    assert done.returncode == 0, done.stderr
    found = {line["conversation"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert found.keys() == taken.keys()
    assert len(found) >= 28
    for one, steps in taken.items():
        assert [row["state"] for row in found[one]["states"]] == [str(step.after.state) for step in steps]
        assert (found[one]["status"] == "done") == (steps[-1].after.state == "closed")
    closed = [row for line in found.values() for row in line["states"] if row["state"] == "closed"]
    assert any("close_wrapped" in row["actions"] for row in closed)


def test_a_guard_that_was_not_recorded_fails_the_walk(tmp_path: Path) -> None:
    done = walked(node_modules(), [{"conversation": "c", "events": [{"type": "ai_turn", "guards": {}}]}], tmp_path)

    assert done.returncode != 0
    assert "guard a_trigger_holds was asked and not recorded" in done.stderr
