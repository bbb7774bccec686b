"""The small values and the edge where numbers, names and maps are checked."""

import math
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from machines_build import Talk

from handoff_kit.machines import (
    Action,
    Actor,
    AgentMessage,
    AiTurn,
    Attachment,
    Customer,
    CustomerChange,
    CustomerMessage,
    CustomerUpdated,
    DeliveryFailed,
    FailedAction,
    Feedback,
    OfferMade,
    Prediction,
    PresenceChanged,
    QueueFacts,
    Target,
    TimerFired,
)
from handoff_kit.machines.values import Within

NOT_FINITE = [math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("number", NOT_FINITE)
@pytest.mark.parametrize(
    ("cls", "field", "more"),
    [
        (AiTurn, "confidence", {}),
        (AiTurn, "sentiment", {}),
        (Customer, "lifetime_value", {"id": "x"}),
        (CustomerChange, "lifetime_value", {}),
        (Prediction, "time_to_frustration_s", {}),
        (QueueFacts, "eta_s", {}),
        (PresenceChanged, "capacity", {"agent": "a1"}),
    ],
)
def test_no_number_is_nan_or_infinite(cls: type, field: str, more: dict[str, Any], number: float) -> None:
    with pytest.raises(ValueError, match=field):
        cls(**{field: number}, **more)


@pytest.mark.parametrize("number", NOT_FINITE)
@pytest.mark.parametrize(
    ("cls", "field", "more"),
    [
        (AiTurn, "entities", {}),
        (AiTurn, "attributes", {}),
        (Customer, "attributes", {"id": "x"}),
        (CustomerChange, "attributes", {}),
        (Action, "parameters", {"name": "x"}),
        (FailedAction, "parameters", {"name": "x"}),
        (Action, "result", {"name": "x"}),
        (Prediction, "because", {}),
        (OfferMade, "ranking", {"agent": "a1", "offer": 1}),
        (DeliveryFailed, "error", {"effect": "e"}),
    ],
)
def test_no_map_holds_nan_or_an_infinity(cls: type, field: str, more: dict[str, Any], number: float) -> None:
    with pytest.raises(ValueError, match=field):
        cls(**{field: {"key": number}}, **more)


@pytest.mark.parametrize("value", [{"a": [1, {"b": math.nan}]}, {"a": (math.inf,)}, {"a": {"b": {"c": math.inf}}}])
def test_nan_is_found_at_any_depth(value: Any) -> None:
    with pytest.raises(ValueError, match="entities must not hold NaN"):
        AiTurn(entities=value)


def test_a_map_of_plain_things_is_fine() -> None:
    value = {"a": [1, 2.5, None, "x", True], "b": {"c": []}}
    assert AiTurn(entities=value).entities == value


@pytest.mark.parametrize(
    ("cls", "field", "fine", "wrong", "more"),
    [
        (AiTurn, "confidence", [0, 1, 0.5], [-0.001, 1.001], {}),
        (AiTurn, "sentiment", [-1, 1], [-1.001, 1.001], {}),
        (AiTurn, "epoch", [0, 1], [-1], {}),
        (AiTurn, "seq", [1], [0], {}),
        (OfferMade, "offer", [1], [0], {"agent": "a1"}),
        (TimerFired, "generation", [1], [0], {"timer": "queue"}),
        (Feedback, "csat", [1, 5], [0, 6], {}),
        (Feedback, "previous_rating", [1, 5], [0, 6], {}),
        (DeliveryFailed, "attempts", [0], [-1], {"effect": "e"}),
        (QueueFacts, "waiting", [0], [-1], {}),
        (QueueFacts, "available", [0], [-1], {}),
        (QueueFacts, "eta_s", [0], [-0.5], {}),
        (QueueFacts, "position", [1], [0], {}),
        (Attachment, "size", [0], [-1], {}),
        (Prediction, "time_to_frustration_s", [0], [-1], {}),
        (PresenceChanged, "capacity", [0, 2.5], [-1], {"agent": "a1"}),
        (PresenceChanged, "skills", [{"cards": 1}, {"cards": 5}], [{"cards": 0}, {"cards": 6}], {"agent": "a1"}),
    ],
)
def test_a_number_has_its_bounds_and_both_are_allowed(
    cls: type, field: str, fine: list[Any], wrong: list[Any], more: dict[str, Any]
) -> None:
    for value in fine:
        assert getattr(cls(**{field: value}, **more), field) == value
    for value in wrong:
        with pytest.raises(ValueError, match=field):
            cls(**{field: value}, **more)


@pytest.mark.parametrize("value", [True, "0.5", [], 1j])
def test_a_number_is_a_number(value: Any) -> None:
    with pytest.raises(ValueError, match="confidence must be a number"):
        AiTurn(confidence=value)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ((), "a finite number"),
        ((0,), "at least 0 and finite"),
        ((0, 1), "from 0 to 1"),
        ((-1, 1), "from -1 to 1"),
        ((0.5, 2.5), "from 0.5 to 2.5"),
    ],
)
def test_bounds_in_words(bounds: tuple[float, ...], words: str) -> None:
    assert Within(*bounds).range() == words


@pytest.mark.parametrize("value", ["", None, 5])
def test_an_id_is_a_string_with_something_in_it(value: Any) -> None:
    with pytest.raises(ValueError, match="id must be a string that is not empty"):
        Customer(id=value)


@pytest.mark.parametrize("value", [None, 5, b"x"])
def test_a_text_is_a_string(value: Any) -> None:
    with pytest.raises(TypeError, match="text must be a string"):
        CustomerMessage(text=value)


def test_a_text_may_be_empty() -> None:
    assert CustomerMessage(text="").text == ""


def test_a_text_may_be_of_a_kind_of_string() -> None:
    class Tagged(str):
        """A string of the host's own."""

        __slots__ = ()

    assert CustomerMessage(text=Tagged("x")).text == "x"


@pytest.mark.parametrize("inner", [{}, [], ()])
def test_attributes_are_flat(inner: Any) -> None:
    with pytest.raises(ValueError, match="must be flat"):
        AiTurn(attributes={"a": inner})


def test_one_text_is_a_list_of_one() -> None:
    assert Target(skills="cards").skills == ("cards",)  # type: ignore[arg-type]
    assert Target(skills=["a", "b"]).skills == ("a", "b")  # type: ignore[arg-type]


def test_an_actor_has_a_known_kind() -> None:
    assert Actor(kind="desk", id="d").kind == "desk"
    with pytest.raises(ValueError, match="alien"):
        Actor(kind="alien")


@pytest.mark.parametrize("cls", [Customer, AiTurn, QueueFacts])
def test_values_are_frozen(cls: type) -> None:
    value = cls(id="x") if cls is Customer else cls()
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.id = "y"


def test_values_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        Customer("x")  # type: ignore[misc]


# --- changes of a customer

BEFORE = Customer(id="c", tier="gold", locale="de", lifetime_value=5, attributes={"a": 1, "b": 2})


def test_what_a_change_leaves_out_stays() -> None:
    assert CustomerChange().merged(BEFORE) == BEFORE


def test_what_a_change_says_is_new_and_attributes_are_merged() -> None:
    change = CustomerChange(tier="silver", lifetime_value=0, attributes={"b": 3, "c": None})
    assert change.merged(BEFORE) == Customer(
        id="c", tier="silver", locale="de", lifetime_value=0, attributes={"a": 1, "b": 3, "c": None}
    )


def test_a_change_may_give_another_id_and_locale() -> None:
    merged = CustomerChange(id="d", locale="fr").merged(BEFORE)
    assert (merged.id, merged.locale) == ("d", "fr")


def test_a_customer_who_changes_is_judged_anew() -> None:
    talk = Talk(customer=Customer(id="c"))
    talk.do(CustomerUpdated, 1, customer=CustomerChange(tier="gold"))
    assert talk.now.customer.tier == "gold"


# --- facts of a queue


@pytest.mark.parametrize(
    ("facts", "impossible"),
    [
        ({}, False),
        ({"open": True}, False),
        ({"open": False}, True),
        ({"open": False, "available": 3, "eta_s": 5}, True),
        ({"available": 0}, True),
        ({"available": 0, "eta_s": 300}, False),
        ({"available": 0, "eta_s": 0}, False),
        ({"available": 1}, False),
        ({"open": True, "available": 0}, True),
        ({"eta_s": 5}, False),
    ],
)
def test_when_no_person_is_possible(facts: dict[str, Any], impossible: bool) -> None:
    assert QueueFacts(**facts).no_human_is_possible is impossible


# --- what an event says about itself


def test_a_timer_is_listed_under_its_own_word() -> None:
    assert TimerFired(timer="queue").trigger == "timer_queue"
    assert AiTurn().trigger == "ai_turn"


@pytest.mark.parametrize(
    ("fields", "speaks"),
    [({}, True), ({"audience": "internal"}, False), ({"automatic": True}, False), ({"delivered": True}, True)],
)
def test_who_speaks_to_the_customer(fields: dict[str, Any], speaks: bool) -> None:
    assert AgentMessage(agent="a1", text="x", **fields).speaks is speaks


def test_a_time_to_which_no_timer_could_be_added_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond the year 9000"):
        CustomerMessage(conversation="c-1", at=datetime(9000, 1, 1, tzinfo=UTC), text="hello")
    last = datetime(8999, 12, 31, tzinfo=UTC)
    assert CustomerMessage(conversation="c-1", at=last, text="hello").at == last
