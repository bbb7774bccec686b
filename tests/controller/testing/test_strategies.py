"""Drawn conversations: they fit mostly, they reach most of the machine, and nothing needs Hypothesis but their own module."""

import itertools
import subprocess
import sys
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from handoff_kit.controller.testing import Talk
from handoff_kit.controller.testing.contracts.script import rich_policy
from handoff_kit.controller.testing.strategies import KINDS, conversations, next_event
from handoff_kit.machines import ConversationStarted, Event, Policy, State, replay

MANY = settings(max_examples=150, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


def test_drawn_conversations_mostly_fit() -> None:
    states: Counter[State] = Counter()
    outcomes: Counter[bool] = Counter()
    kinds: Counter[str] = Counter()

    @MANY
    @given(conversations(rich_policy()))
    def look(events: list[Event]) -> None:
        assert isinstance(events[0], ConversationStarted)
        assert all(one.conversation == "c-1" and one.at is not None for one in events)
        assert [one.seq for one in events] == [None] * len(events)
        assert all(before.at <= after.at for before, after in itertools.pairwise(events))  # type: ignore[operator]
        for one in replay(rich_policy(), events):
            states[one.after.state] += 1
            outcomes[one.refused is None] += 1
            kinds[one.event.type] += 1

    look()
    assert len(states) >= len(State) - 1
    assert outcomes[True] > outcomes[False] > 0
    assert len(set(kinds) & set(KINDS)) > 0.9 * len(KINDS)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_an_event_is_drawn_for_a_conversation_as_it_stands(data: st.DataObject) -> None:
    talk = Talk()
    for _ in range(10):
        event = data.draw(next_event(talk.now, ("customer_message", "agent_message"), agents=("x",), texts=("only this",)))
        talk.take(event)

        assert getattr(event, "agent", "x") == "x"
        assert event.type == "agent_message" or event.text == "only this"  # type: ignore[attr-defined]


@settings(max_examples=20, deadline=None)
@given(conversations(conversation="c-7", kinds=("customer_message",), at_most=3))
def test_conversations_are_as_asked_for(events: list[Event]) -> None:
    policy: Policy = Talk().policy

    assert len(events) <= 3
    assert {one.conversation for one in events} == {"c-7"}
    assert {one.type for one in events[1:]} <= {"customer_message"}
    assert list(replay(policy, events))


def test_the_package_needs_neither_hypothesis_nor_pytest() -> None:
    code = "import sys, handoff_kit.controller.testing;"
    code += "sys.exit(', '.join({'hypothesis', 'pytest', 'handoff_kit.controller.testing.strategies'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
