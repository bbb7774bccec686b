"""`EFFECTS_OF`: what the tables say of a callback's effects is what its source can add, and more than it was ever seen to add."""

import ast
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import walks
from hypothesis import given, settings
from hypothesis import strategies as st

import handoff_kit.machines.actions as actions
from handoff_kit.controller.sessions.one import conversations_in, session_in
from handoff_kit.controller.shelf import BUNDLED_POLICIES
from handoff_kit.machines import step
from handoff_kit.machines.actions import CALLBACKS, EFFECTS_OF
from handoff_kit.machines.effects import EFFECTS
from handoff_kit.machines.engine import Engine
from handoff_kit.machines.guards import GUARDS
from handoff_kit.machines.states import State
from handoff_kit.machines.table import ROWS

SEEN: dict[str, set[str]] = defaultdict(set)


def watched(name: str, callback: Callable[[Any], None]) -> Callable[[Any], None]:
    def call(slate: Any) -> None:
        before = len(slate.effects)
        callback(slate)
        SEEN[name] |= {type(effect).__name__ for effect in slate.effects[before:]}

    return call


WATCHED = Engine("watched", State, ROWS, GUARDS, {name: watched(name, one) for name, one in CALLBACKS.items()})


def declared(name: str) -> set[str]:
    return {effect.__name__ for effect in EFFECTS_OF.get(name, ())}


@settings(max_examples=60)
@given(st.data())
def test_no_callback_adds_an_effect_that_is_not_declared(data: st.DataObject) -> None:
    policy = data.draw(st.sampled_from(walks.POLICIES))
    conversation = step(policy, None, walks.started()).after
    for _ in range(data.draw(st.integers(1, 40))):
        conversation = step(policy, conversation, data.draw(walks.events(conversation)), engine=WATCHED).after

    for name, seen in SEEN.items():
        assert seen <= declared(name), name


def test_the_recorded_sessions_show_most_of_what_is_declared() -> None:
    for policy in BUNDLED_POLICIES:
        for one in conversations_in(policy):
            session = session_in(policy, one)
            before = None
            for taken in session.steps:
                if before is not None:
                    step(session.policy, before, taken.event, engine=WATCHED)
                before = taken.after

    assert all(seen <= declared(name) for name, seen in SEEN.items())
    assert {"PrepareContext"} <= SEEN["escalate"]
    assert {"SendToCustomer", "OpenTicket", "NotifyAgents"} <= SEEN["enter_queue"]


def test_every_declared_effect_can_be_reached_in_the_source() -> None:
    """A name that no code adds any more would be a lie in the tables."""
    folder = Path(actions.__file__).parent
    classes = {cls.__name__ for cls in EFFECTS.values()}
    calls: dict[str, set[str]] = {}
    for file in [*folder.glob("*.py"), folder.parent / "slate.py"]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                found = (call.func for call in ast.walk(node) if isinstance(call, ast.Call))
                calls[node.name] = {f.id if isinstance(f, ast.Name) else getattr(f, "attr", "") for f in found}

    def reached(name: str, seen: frozenset[str] = frozenset()) -> set[str]:
        out = calls.get(name, set()) & classes
        for inner in calls.get(name, set()) - seen - classes:
            out |= reached(inner, seen | {name, inner})
        return out

    for name in EFFECTS_OF:
        assert declared(name) <= reached(name), name
