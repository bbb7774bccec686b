"""Builders of events, and the talk that steps them."""

import inspect
from datetime import timedelta

import pytest

from handoff_kit.controller import testing
from handoff_kit.controller.testing import (
    START,
    Talk,
    accepts,
    agent_says,
    asks_for_a_person,
    assigned,
    builders,
    closed,
    context_ready,
    declines,
    finishes,
    offered,
    presence,
    rates,
    returns_to_ai,
    says,
    started,
    ticket_opened,
    transfers,
    turn,
    wraps_up,
)
from handoff_kit.machines import Event, OpenTicket, Policy, PresenceChanged, SendToCustomer, Step, parse_policy


def test_every_builder_has_defaults_and_takes_any_field() -> None:
    made = 0
    for name in builders.__all__:
        build = getattr(builders, name)
        if not inspect.isfunction(build) or name == "small_policy":
            continue
        event = build()
        made += 1

        assert isinstance(event, Event)
        assert event.at is None
        assert event.conversation == ("" if isinstance(event, PresenceChanged) else "c-1")
        assert build(at=START, id="e-1").id == "e-1"
        assert build.__doc__
        assert getattr(testing, name) is build
    assert made == 18


def test_defaults_give_way() -> None:
    assert turn("c-2", "words", confidence=0.4).confidence == 0.4
    assert turn("c-2", None).reply is None
    assert started("c-2", channel="phone").channel == "phone"
    assert asks_for_a_person("c-2", by="api").by == "api"
    assert assigned("c-2", "a2", by="supervisor").by == "supervisor"
    assert presence("a2", "away", capacity=3).capacity == 3


def test_a_talk_is_led_through_its_states() -> None:
    talk = Talk()
    states = []
    for event in (
        says(),
        turn(),
        says(text="a human"),
        context_ready(),
        ticket_opened(),
        offered(),
        declines(),
        offered(offer=2),
        accepts(offer=2),
        agent_says(),
        transfers(),
        returns_to_ai(),
        says(text="a human"),
        assigned(agent="a2"),
        finishes(agent="a2"),
        wraps_up(agent="a2"),
        rates(),
        closed(),
    ):
        taken = talk.take(event)
        states.append((str(talk.now.state), taken[-1].refused and taken[-1].refused.name))

    assert [state for state, refused in states if refused is None] == [
        "bot_active",
        "bot_active",
        "escalation_pending",
        "queued",
        "queued",
        "queued",
        "queued",
        "queued",
        "agent_active",
        "agent_active",
        "agent_active",
        "resumed_bot",
        "escalation_pending",
        "agent_active",
        "wrap_up",
        "closed",
        "closed",
    ]
    assert states[-1] == ("closed", "not_allowed_here")
    assert len(talk.effects(OpenTicket)) >= 1
    assert talk.effects(SendToCustomer, talk.steps[:2]) == []


def test_a_talk_gives_what_a_controller_gives() -> None:
    talk = Talk(first=started("c-9"), start=START + timedelta(hours=1))
    (first,) = talk.take(says("another id"), after_s=5)
    (second,) = talk.take(says(at=START + timedelta(hours=1, seconds=7), seq=77))

    assert (first.event.conversation, first.event.seq, first.event.at) == ("c-9", 2, START + timedelta(hours=1, seconds=5))
    assert second.event.seq == 77


def test_timers_that_are_due_come_first() -> None:
    policy: Policy = parse_policy("[timers]\nbot_idle_s = 60\nai_reply_s = 10")
    talk = Talk(policy)
    talk.take(says())

    def triggers(steps: list[Step]) -> list[str]:
        return [one.event.trigger for one in steps]

    assert triggers(talk.wait(9)) == []
    assert triggers(talk.take(says(), after_s=12)) == ["timer_ai_reply", "customer_message"]
    assert triggers(talk.wait(1000)) == ["timer_ai_reply", "timer_bot_idle"]
    assert talk.now.state == "closed"
    assert [one.event.seq for one in talk.steps] == list(range(1, talk.now.version + 1))


def test_what_is_exported_is_sorted_and_there() -> None:
    assert list(testing.__all__) == sorted(testing.__all__)
    for name in testing.__all__:
        assert getattr(testing, name) is not None
    with pytest.raises(AttributeError):
        _ = testing.nothing  # type: ignore[attr-defined]
