"""Payloads as JSON: what the schema says, what is read back, which versions are read."""

import json
from typing import Any

import hypothesis.strategies as st
import pytest
import walks
from hypothesis import given, settings
from jsonschema import Draft202012Validator, ValidationError
from machines_build import Talk, effects_of, policy

from handoff_kit.machines import (
    Action,
    Attachment,
    ContextReady,
    Customer,
    CustomerMessage,
    CustomerUpdated,
    FailedAction,
    HandoffRequested,
    Manifest,
    OpenTicket,
    Payload,
    Policy,
    SnapshotError,
    Step,
    Target,
    Withheld,
    parse_policy,
    step,
)
from handoff_kit.machines import payload_codec as codec
from handoff_kit.machines.contracts import PAYLOAD_VERSION
from handoff_kit.machines.payload_codec import PAYLOAD_SCHEMA, payload_from_data, payload_to_data

SCHEMA = Draft202012Validator(PAYLOAD_SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
LEAST = Payload(conversation="c-1", handoff=1, queue="q", tier="t", manifest=Manifest("q"))
LEAST_DATA = {
    "version": 1,
    "conversation": "c-1",
    "handoff": 1,
    "queue": "q",
    "tier": "t",
    "manifest": {"destination": "q"},
}


def full(rule: str = "") -> Payload:
    """A payload with something in every field."""
    customer = Customer(id="cu-7", tier="gold", locale="de", lifetime_value=120.5, attributes={"branch": "north"})
    talk = Talk(policy(f'[context]\nentities = ["iban"]\n{rule}'), customer=customer)
    talk.do(CustomerUpdated, 0, linked=("c-0",))
    talk.turn(1)
    talk.do(CustomerMessage, 1, text="hello", attachments=(Attachment(id="f", kind="image", size=3, url="https://f"),))
    talk.turn(
        2,
        intent="fee",
        confidence=0.5,
        sentiment=-0.5,
        entities={"card": {"last": "4711"}},
        attributes={"x": 1},
        actions=(Action(name="look_up", parameters={"a": [1]}, status="ok", result=[{"fee": 25}]),),
        failed_action=FailedAction(name="export", parameters={"p": 1}, error_code="E", message="m"),
    )
    talk.do(HandoffRequested, 3, by="ai", target=Target(skills=("fees",), agent="a9"))
    (ticket,) = effects_of(talk.do(ContextReady, 4, summary="words", facts={"plan": "basic"}), OpenTicket)
    return ticket.payload


RULE = """
[[destination]]
name = "default"
purpose = "billing"
fields = ["messages", "customer.tier", "failed_action.parameters", "entities", "summary"]
text_at_most = 3
"""


# --- the schema


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(PAYLOAD_SCHEMA)
    assert json.loads(json.dumps(PAYLOAD_SCHEMA)) == PAYLOAD_SCHEMA


def test_the_schema_knows_every_field() -> None:
    assert set(PAYLOAD_SCHEMA["properties"]) == {field.name for field in Payload.__attrs_attrs__}  # type: ignore[attr-defined]
    manifest = PAYLOAD_SCHEMA["properties"]["manifest"]["properties"]
    assert set(manifest) == {field.name for field in Manifest.__attrs_attrs__}  # type: ignore[attr-defined]


@pytest.mark.parametrize("found", [LEAST, full(), full(RULE)], ids=["least", "full", "with a rule"])
def test_what_is_written_fits_the_schema_and_is_plain_json(found: Payload) -> None:
    data = payload_to_data(found)

    SCHEMA.validate(data)
    assert json.loads(json.dumps(data)) == data


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"version": None},
        {"handoff": 0},
        {"surplus": 1},
        {"confidence": 1.5},
        {"sentiments": [0.5, -2]},
        {"priority": 10},
        {"messages": [{"speaker": "ai", "text": "x"}]},
        {"actions": [{}]},
        {"customer": {"name": "x"}},
        {"manifest": {}},
    ],
)
def test_what_does_not_fit_the_schema_is_found(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SCHEMA.validate({**LEAST_DATA, **change})


RULED = parse_policy(
    """
[[trigger]]
name = "asks"
when = { customer_says = ["human"] }
[[trigger]]
name = "unsure"
when = { confidence_below = 0.5 }
tier = "tier2"
[[queue]]
name = "tier1"
keep_helping = true
[context]
entities = ["order", "iban"]
[[destination]]
name = "tier1"
purpose = "service"
fields = ["messages", "summary", "customer.id", "entities.order", "actions", "links", "sentiments", "failed_action.parameters"]
messages_at_most = 2
text_at_most = 4
[[destination]]
name = "default"
fields = ["confidence", "customer.attributes", "facts.x", "failed_action", "priority"]
"""
)
NAMED: dict[str, st.SearchStrategy[Any]] = {
    "intent": st.sampled_from((None, "fee_dispute")),
    "confidence": st.sampled_from((None, 0.0, 0.9)),
    "sentiment": st.sampled_from((None, -1.0, 0.25)),
    "entities": st.sampled_from(({}, {"order": "o-1", "card": {"last": [1, None]}})),
    "attributes": st.sampled_from(({}, {"x": None})),
    "summary": st.sampled_from((None, "in words")),
    "actions": st.sampled_from(((), (Action(name="a", result={"x": None}),))),
    "failed_action": st.sampled_from((None, FailedAction(name="f"), FailedAction(name="f", parameters={"p": [1]}, message=""))),
    "wants_handoff": st.booleans(),
}
KINDS = ("customer_message", "handoff_requested", "context_ready", "offer_made", "offer_accepted", "agent_message", "agent_lost")


@settings(max_examples=60)
@given(st.data(), st.sampled_from((RULED, *walks.POLICIES)))
def test_every_payload_of_a_walk_fits_the_schema_and_is_read_back(data: st.DataObject, policy: Policy) -> None:
    for payload in payloads_of(walk(data, policy)):
        written = payload_to_data(payload)

        SCHEMA.validate(written)
        assert payload_to_data(payload_from_data(json.loads(json.dumps(written)))) == written


def walk(data: st.DataObject, policy: Policy) -> list[Step]:
    """A walk that begins with a turn of the AI, and mostly leads to persons."""
    steps = [step(policy, None, walks.started())]
    turn = {name: data.draw(strategy) for name, strategy in NAMED.items()}
    events = [lambda now: walks.EVENTS["ai_turn"](conversation=now.id, at=now.at, epoch=now.epoch, **turn)]
    events += [lambda now: data.draw(walks.events(now, KINDS))] * 3
    events += [lambda now: data.draw(walks.events(now))] * data.draw(st.integers(0, 8))
    for event in events:
        steps.append(step(policy, steps[-1].after, event(steps[-1].after)))
    return steps


def payloads_of(steps: list[Step]) -> list[Payload]:
    found = [getattr(effect, "payload", None) for one in steps for effect in one.effects]
    return [payload for payload in found if payload is not None]


# --- writing


def test_the_least_payload_is_written_with_version_and_manifest() -> None:
    assert payload_to_data(LEAST) == LEAST_DATA
    assert next(iter(payload_to_data(LEAST))) == "version"


def test_what_is_unknown_or_withheld_is_left_out() -> None:
    data = payload_to_data(full(RULE))

    assert data["customer"] == {"tier": "gold"}
    assert data["failed_action"] == {"parameters": {"p": 1}}
    assert "intent" not in data
    assert data["manifest"]["destination"] == "default"
    assert {"field": "intent", "rule": "not among the fields of default (billing)"} in data["manifest"]["withheld"]
    assert data["manifest"]["missing"] == ["iban"]


def test_times_and_files_are_written_plainly() -> None:
    assert payload_to_data(full())["messages"] == [
        {
            "speaker": "customer",
            "text": "hello",
            "at": "2026-03-02T12:00:01Z",
            "attachments": [{"id": "f", "kind": "image", "size": 3, "url": "https://f"}],
        }
    ]


# --- reading


@pytest.mark.parametrize("found", [LEAST, full(), full(RULE)], ids=["least", "full", "with a rule"])
def test_what_was_written_is_read_back(found: Payload) -> None:
    data = json.loads(json.dumps(payload_to_data(found)))
    read = payload_from_data(data)

    assert payload_to_data(read) == data
    assert (read.manifest, read.customer, read.sentiments, read.skills) == (
        found.manifest,
        found.customer,
        found.sentiments,
        found.skills,
    )


def test_what_holds_no_message_is_read_back_as_the_very_same() -> None:
    found = Payload(
        conversation="c-1",
        handoff=2,
        queue="q",
        tier="t",
        channel="web",
        confidence=0.5,
        sentiments=(None, 0.5),
        skills=("fees",),
        manifest=Manifest("q", "p", ("channel",), (Withheld("messages", "because"),), ("cut",), ("iban",)),
    )

    assert payload_from_data(payload_to_data(found)) == found


def test_an_older_version_is_brought_up_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def from_minus_one(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "version": 0, "line": data["queue_name"]}

    def from_nought(data: dict[str, Any]) -> dict[str, Any]:
        kept = {name: value for name, value in data.items() if name not in ("line", "queue_name")}
        return {**kept, "version": 1, "queue": data["line"]}

    monkeypatch.setitem(codec.UPCASTERS, -1, from_minus_one)
    monkeypatch.setitem(codec.UPCASTERS, 0, from_nought)
    old = {name: value for name, value in LEAST_DATA.items() if name != "queue"} | {"version": -1, "queue_name": "q"}
    before = dict(old)

    assert payload_from_data(old) == LEAST
    assert old == before


def test_there_is_a_way_up_from_every_older_version() -> None:
    assert set(codec.UPCASTERS) == set(range(1, PAYLOAD_VERSION))


@pytest.mark.parametrize("version", [2, 0, "1", None, [1], {}, True, 1.5])
def test_another_version_is_refused_by_name(version: Any) -> None:
    with pytest.raises(SnapshotError) as caught:
        payload_from_data({**LEAST_DATA, "version": version}, place="line 3")

    assert caught.value.place == "line 3"
    if version is not True:
        assert caught.value.what == f"payload version {json.dumps(version)} is not 1"
        assert caught.value.mend == "use the version of handoff-kit that wrote it"


def test_a_payload_without_a_version_is_refused() -> None:
    with pytest.raises(SnapshotError, match="payload: payload version null is not 1"):
        payload_from_data({name: value for name, value in LEAST_DATA.items() if name != "version"})


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"handoff": "one"}, 'handoff: must be a whole number, not "one"'),
        ({"intent": 3}, "intent: must be a string, not 3"),
        ({"skills": [1]}, "skills: must be a list of strings, not [1]"),
        ({"sentiments": [0.5, "x"]}, "sentiments[1]: "),
        ({"messages": "x"}, 'messages: must be a list, not "x"'),
        ({"messages": [1]}, "messages[0]: must be an object, not 1"),
        ({"entities": []}, "entities: must be an object, not []"),
        ({"manifest": {"destination": 1}}, "manifest.destination: must be a string, not 1"),
        (
            {"manifest": {"destination": "q", "withheld": [{"field": "x"}]}},
            "manifest.withheld[0].rule: the key 'rule' is missing",
        ),
        ({"intnet": "x"}, "intnet: there is no key 'intnet' here"),
    ],
)
def test_wrong_data_is_refused_with_its_path(change: dict[str, Any], what: str) -> None:
    with pytest.raises(SnapshotError) as caught:
        payload_from_data({**LEAST_DATA, **change})

    assert caught.value.place == "payload"
    assert caught.value.what.startswith(what)


def test_a_key_that_is_missing_is_named() -> None:
    with pytest.raises(SnapshotError, match="'queue' is missing"):
        payload_from_data({name: value for name, value in LEAST_DATA.items() if name != "queue"})


def test_a_misspelt_key_is_refused_with_a_guess() -> None:
    with pytest.raises(SnapshotError) as caught:
        payload_from_data({**LEAST_DATA, "intnet": "x"})

    assert caught.value.mend == "did you mean 'intent'?"


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(SnapshotError, match="must be an object"):
        payload_from_data("x")  # type: ignore[arg-type]
