"""A policy in words: every kind of condition, span and step."""

import json
from typing import Any

import attrs
import pytest
from machines_build import Talk, at

from handoff_kit.machines import CustomerMessage, OfferMade, SnapshotError, parse_policy
from handoff_kit.machines.canonical import canonical
from handoff_kit.machines.codec import effect_from_data
from handoff_kit.machines.diagram import FORMATS, MACHINES, Wanted, graph_of, offer_moves
from handoff_kit.machines.diagram.dot import dot_of
from handoff_kit.machines.events import stamped
from handoff_kit.machines.wording import condition_in_words, only_in_words, span, step_in_words, when_in_words


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ('entity = { name = "a", present = true }', "entity a is known"),
        ('entity = { name = "a", present = false }', "entity a is not known"),
        ('entity = { name = "a", at_least = 5 }', "entity a at least 5"),
        ('attribute = { name = "a", equals = true }', "attribute a is true"),
        ('attribute = { name = "a", equals = false }', "attribute a is false"),
        ('attribute = { name = "a", in = [1, "x"] }', "attribute a is 1 or x"),
        ("none = [{ failed_action = true }]", "not (an action failed)"),
        ("any = [{ failed_action = false }]", "no action failed"),
        ("frustration_before_service = { margin_s = -30 }", "frustration expected before service less 30 s"),
        ("misses_at_least = 1", "a miss"),
        ("turns_at_least = 1", "at least 1 AI turn"),
        ("turns_at_least = 3", "at least 3 AI turns"),
        ("agents_available_at_least = 1", "at least 1 agent free"),
        ("agents_available_at_least = 2", "at least 2 agents free"),
        ("lifetime_value_at_least = 5000000", "lifetime value at least 5000000"),
    ],
)
def test_conditions_in_words(when: str, words: str) -> None:
    policy = parse_policy(f'[[trigger]]\nname = "t"\nwhen = {{ {when} }}')

    assert condition_in_words(policy.trigger[0].when) == words


@pytest.mark.parametrize(("seconds", "words"), [(0.5, "0.5 s"), (59.97, "1 min"), (90, "1 min 30 s"), (90000, "1 d 1 h")])
def test_spans_in_words(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("step", "when", "what", "only"),
    [
        ('after_s = 0, do = "drop_skill"', "at once", "no skill is asked any more", ""),
        ('after_s = 60, do = "drop_skill", skill = "x"', "after 1 min", "the skill x is no longer asked", ""),
        ('when_wait_above_s = 60, do = "raise_priority", by = 2', "when the whole wait exceeds 1 min", "priority rises by 2", ""),
        (
            'when_none_available = true, do = "callback", only = { intent_in = ["a", "b"] }',
            "when nobody is available",
            "the customer is promised a callback",
            "intent is a or b",
        ),
        (
            'after_s = 1, do = "widen", tier = "t", only = { priority_at_most = 3 }',
            "after 1 s",
            "agents of t may take it too",
            "priority at most 3",
        ),
    ],
)
def test_steps_in_words(step: str, when: str, what: str, only: str) -> None:
    found = parse_policy(f'[[queue]]\nname = "q"\nstep = [{{ {step} }}]').queue[0].step[0]

    assert (when_in_words(found), step_in_words(found), only_in_words(found.only)) == (when, what, only)


def test_counts_stand_in_the_labels_of_arrows_that_were_taken() -> None:
    graph = graph_of(MACHINES["offer"])
    counts = {arrow: number for number, arrow in enumerate(graph.arrows)}

    assert "0 ×" not in dot_of(graph, counts=counts)
    assert " 2 × \\l" in dot_of(graph, counts=counts)


def test_a_machine_without_anything_that_stays_has_no_such_table() -> None:
    machine = MACHINES["offer"]
    moving = attrs.evolve(machine, rows=tuple(row for row in machine.rows if row.to is not None))
    resting = attrs.evolve(machine, rows=(attrs.evolve(machine.rows[0], to=None, do=()),))

    assert "moves nothing" not in FORMATS["markdown"](Wanted(machine=moving))
    assert "moves nothing" in FORMATS["markdown"](Wanted(machine=resting))


def test_an_offer_that_still_rings_has_not_moved() -> None:
    talk = Talk()
    talk.queue(5)
    talk.do(OfferMade, 6, agent="a1", offer=1)
    talk.do(CustomerMessage, 7, text="hello?")

    assert offer_moves(talk.steps) == ()


def test_an_event_is_stamped_only_where_it_is_not_yet() -> None:
    event = CustomerMessage(conversation="c", text="x", at=at(1), seq=2)

    assert stamped(event, event.at, 2) is event
    assert stamped(event, at(3), 4) == attrs.evolve(event, at=at(3), seq=4)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        ({"type": "fly"}, "there is no effect"),
        ({}, "there is no effect"),
        ({"type": "ask_bot", "epoch": "one"}, "epoch"),
    ],
)
def test_an_effect_that_cannot_be_read_names_what_is_wrong(data: dict[str, Any], what: str) -> None:
    with pytest.raises(SnapshotError, match=what):
        effect_from_data(data)


def test_effects_are_read_back_as_they_were() -> None:
    talk = Talk()
    talk.accept(5)
    effects = [effect for one in talk.steps for effect in one.effects]

    assert [effect_from_data(json.loads(canonical(effect))) for effect in effects] == effects
