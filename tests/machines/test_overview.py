"""A policy at a glance: the order of decision, where each trigger leads, what happens to who waits."""

from typing import Any

import pytest
from hypothesis import given, settings
from machines_build import Talk, policy
from policy_values import POLICY_DATA

from handoff_kit.machines import Policy
from handoff_kit.machines.overview import QueueRow, effective_data, queue_rows, trigger_rows
from handoff_kit.machines.policy import Slo
from handoff_kit.machines.policy_codec import policy_from_data, policy_to_data
from handoff_kit.machines.triggers import plan_of

SHOP = """
[[trigger]]
name = "unsure"
priority = 3
skills = ["fees"]
when_missing = "holds"
when.all = [ { intent = "fee" }, { confidence_below = 0.8 } ]

[[trigger]]
name = "asks"
tier = "experts"
when = { customer_says = ["human", "person", "agent", "somebody"] }

[timers]
queue_s = 300
[timers.by_channel.email]
queue_s = 86400
[timers.by_channel.voice]
wrap_up_s = 5

[[tier]]
name = "experts"
[[tier]]
name = "night"

[[queue]]
name = "front"
tier = "people"
routed_by = "desk"
hours = "office"
keep_helping = true
fallback = "ticket"
slo = { within_s = 40, share = 0.8 }

[[queue.step]]
when_none_available = true
do = "notify"
[[queue.step]]
after_s = 200
do = "widen"
tier = "experts"
[[queue.step]]
when_wait_above_s = 100
do = "offload_to_ai"
only = { priority_at_most = 3 }

[[queue]]
name = "quiet"

[[destination]]
name = "people"
"""


def test_triggers_stand_in_the_order_of_decision() -> None:
    asks, unsure = trigger_rows(policy(SHOP))

    assert (asks.place, asks.index, asks.name, asks.explicit) == (1, 1, "asks", True)
    assert (unsure.place, unsure.index, unsure.name, unsure.explicit) == (2, 0, "unsure", False)


def test_a_trigger_says_where_it_leads_also_where_the_file_does_not() -> None:
    asks, unsure = trigger_rows(policy(SHOP))

    assert (asks.queue, asks.tier, asks.skills, asks.priority, asks.when_missing) == ("experts", "experts", (), 5, "fails")
    assert (unsure.queue, unsure.tier, unsure.skills) == ("front", "people", ("fees",))
    assert (unsure.priority, unsure.when_missing) == (3, "holds")


def test_a_condition_is_told_as_long_as_is_wished() -> None:
    asks = trigger_rows(policy(SHOP))[0]
    short = trigger_rows(policy(SHOP), most=2)[0]

    assert asks.words == "customer says “human”, “person”, “agent” or “somebody”"
    assert short.words == "customer says “human”, “person” or 2 more"


REASONS = [
    ('reason = "mine"\nwhen = { confidence_below = 0.5 }', ("mine",)),
    ("when = { confidence_below = 0.5 }", ("low_confidence",)),
    ('when = { intent = "x" }', ("t",)),
    ('when.all = [ { intent = "x" }, { confidence_below = 0.5 } ]', ("low_confidence",)),
    ('when.any = [ { intent = "x" }, { confidence_below = 0.5 } ]', ("low_confidence", "t")),
    ("when.any = [ { turns_at_least = 5 }, { elapsed_at_least_s = 5 } ]", ("long_conversation",)),
    ('when_missing = "holds"\nwhen = { confidence_below = 0.5 }', ("low_confidence", "t")),
    ('when.all = [ { misses_at_least = 2 }, { none = [ { customer_says = ["x"] } ] } ]', ("repeated_misses",)),
    ('when.none = [ { confidence_below = 0.5 }, { intent = "x" } ]', ("t",)),
    ("when.none = [ { none = [ { confidence_below = 0.5 } ] } ]", ("low_confidence",)),
    ('when.none = [ { none = [ { confidence_below = 0.5 }, { intent = "x" } ] } ]', ("low_confidence", "t")),
]


@pytest.mark.parametrize(("keys", "reasons"), REASONS)
def test_reasons_are_those_that_may_be_given(keys: str, reasons: tuple[str, ...]) -> None:
    (row,) = trigger_rows(policy(f'[[trigger]]\nname = "t"\n{keys}'))

    assert row.reasons == reasons


@pytest.mark.parametrize(
    ("keys", "turn", "reasons"),
    [
        (REASONS[4][0], {"intent": "x", "confidence": 0.9}, ["t"]),
        (REASONS[4][0], {"intent": "x", "confidence": 0.1}, ["low_confidence"]),
        (REASONS[6][0], {}, ["t"]),
        (REASONS[8][0], {"intent": "y", "confidence": 0.9}, ["t"]),
    ],
)
def test_the_reasons_that_are_given_are_among_them(keys: str, turn: dict[str, Any], reasons: list[str]) -> None:
    talk = Talk(policy(f'[[trigger]]\nname = "t"\n{keys}'))
    talk.turn(5, **turn)

    assert talk.now.handoff is not None
    assert list(talk.now.handoff.reasons) == reasons
    assert set(reasons) <= set(trigger_rows(talk.policy)[0].reasons)


def by_name(found: Policy) -> dict[str, QueueRow]:
    return {row.name: row for row in queue_rows(found)}


def test_a_queue_says_all_that_its_rules_say() -> None:
    front = by_name(policy(SHOP))["front"]

    assert (front.listed, front.tier, front.routed_by, front.hours) == (True, "people", "desk", "office")
    assert (front.keep_helping, front.fallback, front.slo) == (True, "ticket", Slo(within_s=40.0, share=0.8))
    assert (front.queue_s, front.queue_s_by_channel) == (300, {"email": 86400})
    assert (front.triggers, front.destination) == (("unsure",), "people")


def test_steps_stand_in_the_order_in_which_they_run() -> None:
    steps = by_name(policy(SHOP))["front"].steps

    assert [(step.index, step.seconds) for step in steps] == [(2, 100), (1, 200), (0, None)]
    assert (steps[0].when, steps[0].only) == ("when the whole wait exceeds 1 min 40 s", "priority at most 3")
    assert (steps[1].when, steps[1].what, steps[1].only) == ("after 3 min 20 s", "agents of experts may take it too", "")
    assert (steps[2].when, steps[2].what) == ("when nobody is available", "supervisor is told")


def test_queues_that_the_file_only_implies_come_last() -> None:
    rows = queue_rows(policy(SHOP))

    assert [(row.name, row.listed) for row in rows] == [("front", True), ("quiet", True), ("experts", False), ("night", False)]
    assert rows[1].triggers == ()
    assert (rows[2].tier, rows[2].triggers, rows[2].destination) == ("experts", ("asks",), None)


def test_without_queues_there_is_the_one_of_a_bare_request() -> None:
    (row,) = queue_rows(Policy())

    assert (row.name, row.tier, row.listed, row.steps, row.destination) == ("default", "default", False, (), None)


# --- every default


def test_effective_data_hold_every_default() -> None:
    data = effective_data(policy(SHOP))

    assert data["resume"] == {"cooldown_s": 120, "settle_turns": 2}
    assert data["policy"] == {"schema": 1, "name": "unnamed", "version": ""}
    assert data["trigger"][1]["do"] == "handoff"
    assert data["trigger"][1]["when"] == {"customer_says": ["human", "person", "agent", "somebody"]}
    assert data["queue"][1] == {"name": "quiet", "routed_by": "kit", "keep_helping": False, "fallback": "callback", "step": []}
    assert data["timers"]["by_channel"] == {"email": {"queue_s": 86400}, "voice": {"wrap_up_s": 5}}


@settings(max_examples=60)
@given(POLICY_DATA)
def test_effective_data_are_the_same_policy(data: dict[str, Any]) -> None:
    first = policy_from_data(data)
    again = policy_from_data(effective_data(first))

    assert again == first
    assert again.fingerprint == first.fingerprint
    assert policy_to_data(again) == policy_to_data(first)


@settings(max_examples=60)
@given(POLICY_DATA)
def test_every_trigger_has_a_row_and_leads_to_a_row(data: dict[str, Any]) -> None:
    found = policy_from_data(data)
    triggers, queues = trigger_rows(found), by_name(found)

    assert [row.name for row in triggers] == [trial.trigger.name for trial in plan_of(found)]
    assert all(found.trigger[row.index].name == row.name and row.reasons for row in triggers)
    assert all(row.name in queues[row.queue].triggers for row in triggers)
    assert sum(len(row.triggers) for row in queues.values()) == len(triggers)
    assert [row.name for row in queues.values() if row.listed] == [queue.name for queue in found.queue]
