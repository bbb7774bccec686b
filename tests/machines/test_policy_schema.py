"""The JSON Schema of a policy says what the parser does, in words for every key."""

import copy
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from jsonschema.validators import extend
from policy_values import POLICY_DATA

from handoff_kit.machines import Policy, PolicyError
from handoff_kit.machines.conditions import COMBINATORS, LEAVES
from handoff_kit.machines.policy import DEFAULT_TEXTS
from handoff_kit.machines.policy_codec import policy_from_data
from handoff_kit.machines.policy_schema import POLICY_SCHEMA
from handoff_kit.machines.policy_words import COMPARISON_WORDS, CONDITION_WORDS, EXAMPLES, KEY_WORDS, TEXT_WORDS

BUNDLED = sorted((Path(__file__).parents[2] / "controller" / "policies").glob("*.toml"))


def is_whole(_: Any, value: Any) -> bool:
    """TOML tells 1 from 1.0, which JSON Schema does not."""
    return isinstance(value, int) and not isinstance(value, bool)


VALIDATOR = extend(Draft7Validator, type_checker=Draft7Validator.TYPE_CHECKER.redefine("integer", is_whole))(POLICY_SCHEMA)


def classes(cls: type = Policy) -> Iterator[type]:
    """The classes of all tables."""
    yield cls
    for hint in typing.get_type_hints(cls).values():
        for inner in (hint, *typing.get_args(hint)):
            if attrs.has(inner) and inner.__module__ in ("handoff_kit.machines.policy", "handoff_kit.machines.destinations"):
                yield from classes(inner)


def accepted(data: Any) -> bool:
    """Whether the parser takes it."""
    try:
        policy_from_data(data)
    except PolicyError:
        return False
    return True


def test_it_is_a_schema_of_draft_7() -> None:
    Draft7Validator.check_schema(POLICY_SCHEMA)
    assert POLICY_SCHEMA["$schema"] == "http://json-schema.org/draft-07/schema#"


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: path.stem)
def test_it_accepts_the_bundled_policies(path: Path) -> None:
    VALIDATOR.validate(tomllib.loads(path.read_text(encoding="utf-8")))


def test_every_key_has_words_and_no_words_are_left_over() -> None:
    assert {cls: set(words) for cls, words in KEY_WORDS.items()} == {
        cls: {field.name for field in attrs.fields(cls)} for cls in classes()
    }
    assert list(CONDITION_WORDS) == [*COMBINATORS, *LEAVES]
    assert list(TEXT_WORDS) == list(DEFAULT_TEXTS)
    assert list(POLICY_SCHEMA["definitions"]["Condition"]["properties"]) == [*COMBINATORS, *LEAVES]
    entity = POLICY_SCHEMA["definitions"]["Condition"]["properties"]["entity"]["properties"]
    assert set(COMPARISON_WORDS) == {*entity, "margin_s"}


def test_words_are_sentences() -> None:
    for words in (*KEY_WORDS.values(), CONDITION_WORDS, COMPARISON_WORDS, TEXT_WORDS):
        for key, sentence in words.items():
            assert sentence[0].isupper() or sentence[0] in "`{", key
            assert sentence.endswith("."), key


def objects(schema: Any) -> Iterator[dict[str, Any]]:
    """All parts of the schema that describe an object."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for inner in schema.values():
            yield from objects(inner)


def test_every_key_is_described_and_no_other_is_accepted() -> None:
    found = list(objects(POLICY_SCHEMA))
    assert len(found) > 20
    for one in found:
        assert "additionalProperties" in one
        for key, schema in one.get("properties", {}).items():
            assert one["additionalProperties"] is False
            told = POLICY_SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
            assert told["description"], key


def test_what_a_reader_of_the_schema_sees_of_a_number() -> None:
    timers = POLICY_SCHEMA["definitions"]["TimerRules"]["properties"]
    assert timers["callback_s"]["default"] == 3600
    assert (timers["callback_s"]["minimum"], timers["callback_s"]["type"]) == (1, "number")
    confidence = POLICY_SCHEMA["definitions"]["Condition"]["properties"]["confidence_below"]
    assert (confidence["minimum"], confidence["maximum"]) == (0, 1)
    assert POLICY_SCHEMA["definitions"]["Queue"]["properties"]["routed_by"]["enum"] == ["kit", "desk"]
    assert POLICY_SCHEMA["definitions"]["Trigger"]["required"] == ["name", "when"]
    assert POLICY_SCHEMA["definitions"]["Trigger"]["properties"]["name"]["minLength"] == 1


def test_the_examples_are_accepted() -> None:
    shown = 0
    for one in objects(POLICY_SCHEMA):
        for key, schema in one.get("properties", {}).items():
            told = POLICY_SCHEMA["definitions"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
            for example in told.get("examples", ()):
                VALIDATOR.evolve(schema={**schema, "definitions": POLICY_SCHEMA["definitions"]}).validate(example)
                shown += 1
                assert example is not None, key
    assert shown >= sum(map(len, EXAMPLES.values()))


TRIGGER = {"name": "t", "when": {"intent": "x"}}
QUEUE = {"name": "q"}


def step(**keys: Any) -> dict[str, Any]:
    return {"queue": [{**QUEUE, "step": [{"do": "notify", **keys}]}]}


def leaves(kind: str, *values: Any) -> list[dict[str, Any]]:
    return [{"trigger": [{"name": "t", "when": {kind: value}}]} for value in values]


NEAR: list[dict[str, Any]] = [
    {},
    {"trigger": [TRIGGER]},
    {"trigger": [{**TRIGGER, "name": ""}]},
    {"trigger": [{**TRIGGER, "reason": ""}]},
    {"trigger": [{**TRIGGER, "explicit": 1}]},
    {"trigger": [{**TRIGGER, "priority": 10}]},
    {"trigger": [{**TRIGGER, "priority": 5.0}]},
    {"trigger": [{**TRIGGER, "do": "notify"}]},
    {"trigger": [{**TRIGGER, "when": {}}]},
    {"trigger": [{**TRIGGER, "when": {"intent": "x", "failed_action": True}}]},
    {"trigger": [{**TRIGGER, "when": {"all": []}}]},
    {"trigger": [{**TRIGGER, "when": {"none": [{"any": [{"intent": "x"}]}]}}]},
    *leaves("intent", "x", " ", "", 5, ["x"]),
    *leaves("intent_in", ["x"], [], ["x", "\t"], "x"),
    *leaves("confidence_below", 0, 1, 1.01, -0.01, True, "0.5"),
    *leaves("sentiment_trend_below", -2, 2, 2.5),
    *leaves("misses_at_least", 1, 0, 1.0, True),
    *leaves("elapsed_at_least_s", 0, -1),
    *leaves("failed_action", True, False, 1),
    *leaves("entity", {"name": "n"}, {"below": 1}, {"name": "n", "below": 1}, {"name": "n", "below": "1"}),
    *leaves(
        "entity", {"name": "", "equals": ""}, {"name": "n", "equals": []}, {"name": "n", "in": []}, {"name": "n", "in": [1, "a"]}
    ),
    *leaves("attribute", {"name": "n", "at_least": 1, "below": 2}, {"name": 5, "below": 1}, {"name": "n", "present": False}, 5),
    *leaves("frustration_before_service", {"margin_s": -5}, {"margin_s": "5"}, {}, {"margin_s": 1, "name": "x"}, 30),
    step(),
    step(after_s=1),
    step(after_s=1, when_wait_above_s=1),
    step(when_none_available=True),
    step(when_none_available=False),
    step(after_s=1, when_none_available=False),
    step(after_s=1, do="widen"),
    step(after_s=1, do="widen", tier=""),
    step(after_s=1, do="hang_up"),
    step(after_s=1, only={}),
    step(after_s=1, only={"intent_in": []}),
    step(after_s=1, only={"priority_at_most": 10}),
    step(after_s=100 * 366 * 86400),
    step(after_s=100 * 366 * 86400 + 1),
    {"queue": [{**QUEUE, "slo": {"within_s": 1}}]},
    {"queue": [{**QUEUE, "slo": {"within_s": 1, "share": 1.1}}]},
    {"policy": {"schema": 1}},
    {"policy": {"schema": 2}},
    {"policy": {"schema": 1.0}},
    {"texts": {"de": {"hold": ""}}},
    {"texts": {"de": {"holt": ""}}},
    {"texts": {"hold": ""}},
    {"weights": {"voice": 0}},
    {"weights": {"voice": -1}},
    {"timers": {"callback_s": 0}},
    {"timers": {"queue_s": 0}},
    {"timers": {"by_channel": {"email": {"queue_s": 5}}}},
    {"timers": {"by_channel": {"email": {"by_channel": {}}}}},
    {"hours": {"office": {"mon": [], "zone": "UTC"}}},
    {"hours": {"office": {"mon": "09:00"}}},
    *(
        {"destination": [{"name": "d", "fields": [field]}]}
        for field in (
            *(
                "customer",
                "customer.id",
                "customer.id.x",
                "customer.name",
                "customers",
                "entities.a b",
                "facts",
                "messages.x",
                "messages.",
                "customer..id",
                "",
            ),
            *("failed_action.parameters.x", "links.previous", "links.next", "summary.x", "xfacts.a", "customer_id"),
        )
    ),
]


@pytest.mark.parametrize("data", NEAR, ids=repr)
def test_it_accepts_what_the_parser_accepts(data: dict[str, Any]) -> None:
    assert VALIDATOR.is_valid(data) is accepted(data)


#: Values that some key takes and most do not.
JUNK = st.sampled_from(
    [
        *([], {}, "", " ", "x", "nurse", True, False, 0, 1, -1, 2, 10, 0.5, 1.0, -3.5, 1e300, ["x"], [""], [1], [[]], [{}]),
        *({"name": "x"}, {"intent": "x"}, {"margin_s": 1}, "kit", "ticket", "handoff", ["entities.x"], ["customer.x"]),
    ]
).map(copy.deepcopy)
KEYS = sorted(
    {field.name for cls in classes() for field in attrs.fields(cls)} | {*LEAVES, *COMBINATORS, *COMPARISON_WORDS, "zzz"}
)


def holders(data: Any) -> Iterator[Any]:
    """All tables and lists in it."""
    if isinstance(data, dict | list):
        yield data
        for inner in data.values() if isinstance(data, dict) else data:
            yield from holders(inner)


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    bundled = st.sampled_from(BUNDLED).map(lambda path: tomllib.loads(path.read_text(encoding="utf-8")))
    data: dict[str, Any] = copy.deepcopy(draw(bundled | POLICY_DATA))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.sampled_from(list(holders(data))))
        known = list(place) if isinstance(place, dict) else list(range(len(place)))
        change = draw(st.sampled_from(["drop", "replace", "add"] if known else ["add"]))
        if change == "drop":
            del place[draw(st.sampled_from(known))]
        elif change == "replace":
            place[draw(st.sampled_from(known))] = draw(JUNK)
        elif isinstance(place, dict):
            place[draw(st.sampled_from(KEYS))] = draw(JUNK)
        else:
            place.append(draw(JUNK))
    return data


def has_a_name_twice(data: dict[str, Any]) -> bool:
    """The rule that the schema cannot say."""
    for key in ("trigger", "tier", "queue", "destination"):
        table = data.get(key, ())
        names = [repr(one["name"]) for one in table if isinstance(one, dict) and "name" in one] if isinstance(table, list) else []
        if len(names) != len(set(names)):
            return True
    return False


@settings(max_examples=250)
@given(mutated())
def test_it_accepts_exactly_what_the_parser_accepts(data: dict[str, Any]) -> None:
    if has_a_name_twice(data):
        assert not accepted(data)
    else:
        assert VALIDATOR.is_valid(data) is accepted(data), data


@given(POLICY_DATA)
@settings(max_examples=50)
def test_what_the_strategies_make_is_a_policy(data: dict[str, Any]) -> None:
    assert accepted(data)


@pytest.mark.parametrize(
    ("data", "by_schema", "by_parser"),
    [
        ({"trigger": [TRIGGER, {**TRIGGER, "when": {"intent": "y"}}]}, True, False),
        ({"queue": [{**QUEUE, "slo": {"within_s": float("inf"), "share": 1}}]}, True, False),
        ({"trigger": [{**TRIGGER, "when": {"elapsed_at_least_s": 10**400}}]}, True, False),
    ],
)
def test_the_listed_exceptions_are_the_exceptions(data: dict[str, Any], by_schema: bool, by_parser: bool) -> None:
    assert (VALIDATOR.is_valid(data), accepted(data)) == (by_schema, by_parser)
