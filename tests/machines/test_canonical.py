"""The canonical text of a value, against an independent conversion to plain data."""

import hashlib
import json
import math
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machines_build import START, Talk
from machines_values import JSON, values_of

from handoff_kit.machines import EFFECTS, EVENTS, Event, Observed, PresenceChanged, QueueFacts, State, Verdict
from handoff_kit.machines.canonical import canonical, digest_of, fields_writer, rfc3339, text_digest
from handoff_kit.machines.effects import Effect

FEW = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))


def plain(value: Any) -> Any:
    """Plain data of a value, by the words of the rules."""
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if not attrs.has(type(value)):
        return value
    out = {"type": value.type} if getattr(value, "type", "") else {}
    for field in attrs.fields(type(value)):
        if field.name.startswith("_"):
            continue
        default = field.default.factory() if isinstance(field.default, attrs.Factory) else field.default  # type: ignore[arg-type]
        found = getattr(value, field.name)
        if field.default is attrs.NOTHING or found != default:
            out[field.name.rstrip("_")] = plain(found)
    return out


def reference(value: Any) -> str:
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


CLASSES: dict[str, type[Event] | type[Effect]] = {**EVENTS, **EFFECTS, "presence_changed": PresenceChanged}


@pytest.mark.parametrize("name", sorted(CLASSES))
@FEW
@given(data=st.data())
def test_the_text_of_an_event_or_effect_is_sorted_json(name: str, data: st.DataObject) -> None:
    value = data.draw(values_of(CLASSES[name]))
    assert canonical(value) == reference(value)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_the_generated_writer_has_no_field_too_few(name: str) -> None:
    cls = CLASSES[name]

    class Bare:
        """Has every field of the class, and none of them is its default."""

    bare = Bare()
    for field in attrs.fields(cls):
        setattr(bare, field.name, {datetime: START, int: 7}.get(field.type, "x"))
    written = json.loads(fields_writer(cls)(bare))
    assert sorted(written) == sorted({"type", *(field.name.rstrip("_") for field in attrs.fields(cls))})


@FEW
@given(values_of(Verdict))
def test_the_text_of_a_verdict_is_sorted_json(verdict: Verdict) -> None:
    assert verdict.text == canonical(verdict) == reference(verdict)


def test_the_text_of_a_verdict_is_made_once() -> None:
    verdict = Verdict("x", True)
    assert verdict.text is verdict.text


def test_the_text_is_no_part_of_a_verdict() -> None:
    read, unread = Verdict("x", True), Verdict("x", True)
    assert read.text
    assert read == unread
    assert repr(read) == repr(unread)


@given(JSON)
def test_the_text_of_json_is_sorted_json(value: Any) -> None:
    assert canonical(value) == json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def test_the_text_of_a_snapshot_is_sorted_json() -> None:
    talk = Talk()
    talk.accept(5)
    assert canonical(talk.now) == reference(talk.now)


@given(
    st.dictionaries(
        st.text(max_size=3), st.none() | st.just(State.QUEUED) | st.just(QueueFacts(eta_s=1.5)) | st.just(START), max_size=4
    )
)
def test_a_map_may_hold_values_of_ours(value: Any) -> None:
    assert canonical(value) == reference(value)


def test_a_map_in_a_map_of_ours() -> None:
    value = {"b": {"y": Observed(queues={"q": QueueFacts(open=True)})}, "a": (1, [START])}
    assert canonical(value) == reference(value)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_text(number: float) -> None:
    for value in (number, [number], {"a": number}, {"a": [number], "b": START}, Verdict("x", True, number)):
        with pytest.raises(ValueError):
            canonical(value)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", 1j, {"a": object()}])
def test_a_value_of_no_known_class_has_no_text(value: Any) -> None:
    with pytest.raises(TypeError, match="has no canonical form"):
        canonical(value)


@pytest.mark.parametrize(
    ("micros", "text"),
    [(0, "2026-03-02T12:00:00Z"), (1, "2026-03-02T12:00:00.000001Z"), (250000, "2026-03-02T12:00:00.250000Z")],
)
def test_a_time_has_microseconds_only_where_there_are_any(micros: int, text: str) -> None:
    assert rfc3339(START + timedelta(microseconds=micros)) == text


def test_a_digest_is_the_beginning_of_a_sha256() -> None:
    assert digest_of({"b": 1, "a": "é"}) == hashlib.sha256('{"a":"é","b":1}'.encode()).hexdigest()[:32]


def test_half_a_character_has_a_digest_too() -> None:
    assert len(text_digest("\ud800")) == 32


def test_what_equals_its_default_is_left_out() -> None:
    @attrs.frozen
    class Odd:
        """Defaults of each kind."""

        need: int
        flag: bool = True
        off: bool = False
        many: tuple[int, ...] = ()
        more: dict[str, int] = attrs.field(factory=dict)
        word: str = "w"
        hidden_: str | None = None
        _private: int = 1

    assert canonical(Odd(1)) == '{"need":1}'
    assert canonical(Odd(1, False, True, (2,), {"a": 1}, "v", "h", 9)) == (
        '{"flag":false,"hidden":"h","many":[2],"more":{"a":1},"need":1,"off":true,"word":"v"}'
    )


def test_subclasses_of_plain_types_are_written_as_those() -> None:
    """A frozen clock has a datetime class of its own."""

    class OtherTime(datetime):
        pass

    class OtherWord(str):
        __slots__ = ()

    assert canonical(OtherTime(2026, 3, 2, tzinfo=UTC)) == '"2026-03-02T00:00:00Z"'
    assert canonical([OtherWord("a")]) == '["a"]'
